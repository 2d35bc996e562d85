"""What terms may read of the N contracts in play, over which all vectors run: exposures, groups, sizes, costs, risk."""

from __future__ import annotations

from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import DataError, NotApplicable, SpecError
from optihedge.frames import brief, nearest, some
from optihedge.hedge.horizon import Horizon
from optihedge.hedge.variance import VarianceForm, variance_of
from optihedge.market.book import gross_of
from optihedge.market.costs import holding_costs, unquoted_funding
from optihedge.market.pricing import SECONDS_PER_YEAR
from optihedge.market.snapshot import Market
from optihedge.program.arrays import one_row
from optihedge.risk.contract_risk import ContractRisk
from optihedge.risk.root import Risk

Array = np.ndarray
Values: TypeAlias = float | Array | pd.Series
HUGE = 1e100  # no figure of a desk is larger: squares stay finite, as those of the tables do
_CONVEX = ("quadratic", "power", "diagonal")  # costs that may not be below zero


class BuilderData:
    """The reading half of `ProgramBuilder`: see there for what it is made of."""

    def __init__(
        self,
        market: Market,
        start: Array,
        tradable: Array,
        *,
        positions: Array,
        risk: Risk | ContractRisk | None,
        horizon: Horizon,
        capital: float,
    ) -> None:
        self.market, self.risk, self.capital = market, risk, capital
        self.periods, self.days, self.years = horizon.periods, horizon.days, horizon.years
        self.positions = positions
        self.names = market.names if len(positions) == len(market.names) else market.names[positions]
        self.start = np.array(start, dtype=float)
        self.start.setflags(write=False)
        cost = market.sides[positions]
        self.can_buy, self.can_sell = np.isfinite(cost).T & tradable
        self.tradable = self.can_buy | self.can_sell
        self.notes: list[str] = []
        self._form: VarianceForm | None = None
        self._term = "model"

    @cached_property
    def gross(self) -> float:
        """Notional of the book before trading, base currency: sum of |quantity| x notional, base money left out."""
        return gross_of(self.market, self.positions, self.start)

    @property
    def size(self) -> float:
        """What shares are taken of, base currency: the book's gross, or the capital where that is larger."""
        return max(self.gross, self.capital)

    @cached_property
    def _notional(self) -> Array:
        return np.abs(self.market.notional.to_numpy(dtype=float)[self.positions])

    def instrument_column(self, name: str, table: str = "instruments") -> pd.Series:
        """A column of the market's instruments (or quotes) over contracts in play. Raises SpecError if absent."""
        frame = getattr(self.market, table)
        self._refuse_unnamed(name, f"column of {table}")
        if name not in frame.columns:
            hint = nearest(name, frame.columns)
            raise NotApplicable(f"{self._term}: {table} have no column {name!r}{hint}; add it or use another")
        return frame[name].iloc[self.positions]

    def numbers(self, name: str, table: str = "instruments") -> Array:
        """A column of numbers over contracts in play (N), NaN where empty. Raises SpecError if absent, DataError."""
        column = self.instrument_column(name, table)
        values = pd.to_numeric(column.replace("", np.nan), errors="coerce")
        bad = values.isna() & column.notna() & (column != "")
        if bad.any():
            text = column[bad].iloc[0]
            raise DataError(f"{self._term}: {name} of {column.index[bad][0]} is {text!r}; {table} need numbers")
        return values.to_numpy(dtype=float)

    def _refuse_unnamed(self, given: object, what: str) -> None:
        """Refuse numbers where the name of numbers is asked for."""
        if not isinstance(given, str):
            raise SpecError(f"{self._term}: {brief(given)} is no name; put the numbers into a {what} and give its name")

    def total(self, name: str) -> Array:
        """An exposure per contract in its desk unit (N). Raises SpecError for an unknown one."""
        known = self.market.exposure_columns
        self._refuse_unnamed(name, "exposure")
        if name not in known:
            near = nearest(name, list(known))
            beta = "" if not name.startswith("beta") else "; betas come from HedgeModel(betas=Beta(market=(DRIVER,)))"
            raise NotApplicable(
                f"{self._term}: the market has no exposure {name!r}{near}; it has {', '.join(map(str, known))}{beta}"
            )
        return self._vector(f"exposure {name}", known[name][self.positions])

    def unit(self, name: str) -> str:
        """The desk unit of an exposure, as the market names it."""
        return self.market.exposure_units.get(name, "")

    def group(self, by: str) -> tuple[Array, tuple[str, ...]]:
        """Codes (N; -1 is in no group) and labels of the groups that contracts in play fall into."""
        self.instrument_column(by)
        codes, labels = self.market.group(by)
        present, inverse = np.unique(codes[self.positions], return_inverse=True)
        some = present >= 0
        renumbered = np.where(some, np.cumsum(some) - 1, -1)
        return renumbered[inverse], tuple(str(labels[code]) for code in present[some])

    def grouped(self, values: Array, by: str | None) -> tuple[tuple[str, ...], sp.csr_array]:
        """Labels and the m x N matrix that holds `values` (N), one row per group of `by` (None: one row, label '')."""
        if by is None:
            return ("",), one_row(values)
        codes, labels = self.group(by)
        inside = np.flatnonzero(codes >= 0)
        shape = (len(labels), len(self.names))
        return labels, sp.csr_array((values[inside], (codes[inside], inside)), shape=shape)

    def exposure(self, name: str, by: str | None = None) -> dict[str, Array]:
        """An exposure by group of `by`, each over all contracts in play; None gives {'': the whole}."""
        labels, matrix = self.grouped(self.total(name), by)
        return dict(zip(labels, matrix.toarray(), strict=True))

    def measure(self, name: str) -> Array:
        """Size per contract, base currency >= 0: 'notional' (quantity x multiplier x price) or 'delta' (cash delta)."""
        if name == "notional":
            return self._vector("notional", self._notional)
        if name == "delta":
            return np.abs(self.total("delta"))
        raise SpecError(f"{self._term}: measure {name!r} is unknown; use 'notional' or 'delta'")

    def half_spread(self) -> tuple[Array, Array]:
        """Cost of buying and of selling one contract (N each), base currency; 0 on a side that cannot trade."""
        cost = self.market.sides[self.positions]
        return np.where(self.can_buy, cost[:, 0], 0.0), np.where(self.can_sell, cost[:, 1], 0.0)

    def variance(self) -> VarianceForm:
        """The variance of P&L over the horizon. Raises SpecError where the hedging model has no risk."""
        if self.risk is None:
            raise SpecError(f"{self._term}: the hedging model has no risk; give it a risk estimator or a Risk")
        if self._form is None:
            self._form = variance_of(self.market, self.positions, self.risk, self.periods)
        return self._form

    def underlying_volatility(self) -> Array:
        """Volatility per period of each contract's underlying under the risk (N, decimal); 0 for base-currency cash."""
        if self.risk is None:
            raise SpecError(f"{self._term}: the hedging model has no risk; give it a risk estimator or a Risk")
        volatility = self.risk.volatility().reindex(self.market.drivers.index).fillna(0.0).to_numpy()
        driver = self.market.paths.driver[self.positions]
        return np.where(driver >= 0, np.append(volatility, 0.0)[driver], 0.0)

    def daily_deviation(self) -> Array:
        """Standard deviation per day of one of each contract by itself (N), base currency; gamma left out."""
        return self.variance().alone() / np.sqrt(self.days)

    def basis_roll(self) -> Array:
        """P&L per contract (N) as its ln(F/S) runs off evenly over its life, base currency; whatever the drivers are.

        Of what has no expiry, and of what is its own underlying, 0. A price below zero rolls down by F - S.
        """
        market, at = self.market, self.positions
        table, basis = market.instruments.iloc[at], market.sensitivities.basis[at]
        life = (table["expiry"] - market.as_of).dt.total_seconds().to_numpy() / SECONDS_PER_YEAR
        on = (basis != 0) & np.isfinite(life) & (table["underlying"] != table.index).to_numpy()
        forward, spot = market.contracts.forward[at][on], market.contracts.spot[at][on]
        lean = np.log(forward / spot, out=1 - spot / forward, where=(forward > 0) & (spot > 0))
        roll = np.zeros(len(at))
        roll[on] = -basis[on] * lean * np.minimum(self.years / life[on], 1.0)
        return roll

    def funding(self) -> Array:
        """What one long contract (N) pays of funding over the horizon at its quoted rate, base currency; 0 unquoted."""
        silent = unquoted_funding(self.market, self.names)
        if len(silent):
            self.notes.append(f"{some(silent)}: no funding_rate, carried at 0")
        one = pd.Series(1.0, index=self.names)
        return holding_costs(self.market, one, self.years)["funding"].to_numpy()

    @property
    def options_tradable(self) -> bool:
        """Whether a tradable contract has gamma: then variance includes it unless told otherwise."""
        columns = np.zeros(len(self.market.names), dtype=bool)
        columns[self.positions[self.tradable]] = True
        return bool(columns[self.market.convexity.indices].any())

    def _vector(self, what: str, values: Values) -> Array:
        if isinstance(values, pd.Series) and not values.index.equals(self.names):
            raise SpecError(f"{self._term}: {what} is labelled otherwise than the contracts in play; reindex it")
        if np.iscomplexobj(values):
            raise SpecError(f"{self._term}: {what} is complex; give real numbers")
        vector = np.asarray(values, dtype=float)
        vector = vector if vector.shape == (len(self.names),) else np.broadcast_to(vector, len(self.names))
        sound = np.abs(vector).max(initial=0.0) <= HUGE  # a NaN is not
        if sound and what not in _CONVEX:
            return vector
        if what in _CONVEX and (vector < 0).any():
            raise SpecError(f"{self._term}: {what} of {self.names[vector < 0][0]} is {vector[vector < 0][0]:g}: below "
                            "zero the problem is not convex")  # fmt: skip
        if not np.isfinite(vector).all():
            contract = self.names[~np.isfinite(vector)][0]
            raise DataError(f"{self._term}: {what} of {contract} is not a finite number; complete its data")
        self._refuse_huge(what, vector)
        return vector

    def _refuse_huge(self, what: str, values: Array) -> None:
        """Raise SpecError for a figure that no desk has, whose square is no number any more."""
        if values.min(initial=0.0) >= -HUGE and values.max(initial=0.0) <= HUGE:
            return
        huge = np.isfinite(values) & (np.abs(values) > HUGE)
        if huge.any():
            raise SpecError(f"{self._term}: {what} is {values[huge].flat[0]:g}; nothing is beyond {HUGE:g} in "
                            "absolute value: check its unit")  # fmt: skip
