"""ProgramBuilder: the verbs in which terms speak. Vectors run over all contracts in play; fixed ones fold later."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import DataError, InfeasibleError, NotApplicable, SpecError
from optihedge.frames import nearest, some
from optihedge.hedge.horizon import Horizon
from optihedge.hedge.variance import VarianceForm, variance_form
from optihedge.market.costs import holding_costs, unquoted_funding
from optihedge.market.pricing import SECONDS_PER_YEAR
from optihedge.market.snapshot import Market
from optihedge.program.costs import Costs, Depth
from optihedge.risk.contract_risk import ContractRisk
from optihedge.risk.root import Risk

Array = np.ndarray
DEFAULT_BOX = 10.0  # times the larger of the book's gross and the capital, where the user gives no limit
DEFINES = -1  # tier of a row that only says what an auxiliary is: no limit of anyone's, and it never gives way
Values: TypeAlias = float | Array | pd.Series


_CONVEX = ("quadratic", "power", "diagonal")  # costs that may not be below zero


@dataclass(frozen=True, eq=False, kw_only=True)
class RowBlock:
    """Rows lo <= a q + on_holdings |q| + on_trades |q - start| + auxiliaries z <= hi, over N contracts in play."""

    term: str
    names: tuple[str, ...]
    unit: str
    a: sp.csr_array
    on_holdings: sp.csr_array
    on_trades: sp.csr_array
    auxiliaries: sp.csr_array  # m x (auxiliaries known when it was written)
    lower: Array
    upper: Array
    penalty: Array
    target: Array
    tier: int
    value: Callable[[Array], float] | None  # of a row over auxiliaries: what it stands for, from N quantities


@dataclass(frozen=True, eq=False, kw_only=True)
class Auxiliary:
    """Columns without a position: their bounds and linear cost (base currency per unit)."""

    term: str
    names: tuple[str, ...]
    lower: Array
    upper: Array
    cost: Array


class ProgramBuilder:
    """Collects what the terms of one hedging model say about one market and book.

    market     the Market, betas included                positions  N integers into market.names: contracts in play
    start      N quantities before (contracts)           tradable   N booleans; the others keep their quantity
    risk       Risk, ContractRisk, or None               horizon    in periods of the drivers, days and years
    capital    base currency, for default boxes
    """

    def __init__(
        self,
        market: Market,
        start: Array,
        tradable: Array,
        *,
        positions: Array,
        risk: Risk | ContractRisk | None = None,
        horizon: Horizon,
        capital: float = 0.0,
    ) -> None:
        self.market, self.risk, self.capital = market, risk, capital
        self.periods, self.days, self.years = horizon.periods, horizon.days, horizon.years
        self.positions = positions
        self.names = market.names[positions]
        self.start = np.array(start, dtype=float)
        self.start.setflags(write=False)
        cost = market.trade_cost.to_numpy(dtype=float)[positions]
        self.can_buy, self.can_sell = np.isfinite(cost).T & tradable
        self.tradable = self.can_buy | self.can_sell
        self.lower = np.where(self.can_sell, -np.inf, self.start)
        self.upper = np.where(self.can_buy, np.inf, self.start)
        self.rows_: list[RowBlock] = []
        self.auxiliaries_: list[Auxiliary] = []
        self.costs_: dict[str, Costs] = {}
        self.risk_dense_: list[tuple[Array, Array]] = []
        self.risk_sparse_: list[tuple[sp.csr_array, Array]] = []
        self.diagonal_ = np.zeros(len(self.names))
        self.risk_terms_: set[str] = set()
        self.volatility_limit_: tuple[str, float, VarianceForm] | None = None
        self.volatility_price_: tuple[str, float, VarianceForm] | None = None
        self.cvxpy_: list[tuple[str, Callable[..., Any]]] = []
        self.notes: list[str] = []
        self.left_out: list[str] = []  # contracts that may not trade, and why
        self.assumed: list[str] = []  # what is a prior, for want of a history
        self.covers_: dict[str, tuple[str, ...]] = {}
        self.borrow_ = np.nan_to_num(market.quotes["borrow_rate"].to_numpy(dtype=float)[positions])
        self.financing_ = np.zeros(len(self.names))
        self._form: VarianceForm | None = None
        self._term = "model"

    # data over contracts in play

    @cached_property
    def gross(self) -> float:
        """Notional of the book before trading, base currency: sum of |quantity| x notional."""
        held = self.start != 0
        return float(np.abs(self.start[held]) @ np.abs(self._notional[held]))

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

    def total(self, name: str) -> Array:
        """An exposure per contract in its desk unit (N). Raises SpecError for an unknown one."""
        frame = self.market.exposures
        if name not in frame.columns:
            raise NotApplicable(
                f"{self._term}: the market has no exposure {name!r}{nearest(name, frame.columns)}; "
                f"it has {', '.join(map(str, frame.columns))}"
            )
        return self._vector(f"exposure {name}", frame[name].to_numpy(dtype=float)[self.positions])

    def unit(self, name: str) -> str:
        """The desk unit of an exposure, as the market names it."""
        return str(self.market.exposures.attrs.get("unit", {}).get(name, ""))

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
            return ("",), sp.csr_array(values[None, :])
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
        cost = self.market.trade_cost.to_numpy(dtype=float)[self.positions]
        return np.where(self.can_buy, cost[:, 0], 0.0), np.where(self.can_sell, cost[:, 1], 0.0)

    def variance(self) -> VarianceForm:
        """The variance of P&L over the horizon. Raises SpecError where the hedging model has no risk."""
        if self.risk is None:
            raise SpecError(f"{self._term}: the hedging model has no risk; give it a risk estimator or a Risk")
        if self._form is None:
            self._form = variance_form(self.market, self.positions, self.risk, self.periods)
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

    def reach(self, matrix: Array | sp.sparray) -> tuple[Array, Array]:
        """Least and greatest value of each row of matrix (m x N) x quantities within the boxes said so far."""
        low, high = self._extent()
        rows = sp.csr_array(matrix)
        up, down = rows.maximum(0), rows.minimum(0)
        return up @ low + down @ high, up @ high + down @ low

    @property
    def options_tradable(self) -> bool:
        """Whether a tradable contract has gamma: then variance includes it unless told otherwise."""
        columns = sp.csc_array(self.market.convexity)[:, self.positions[self.tradable]]
        return bool(columns.nnz)

    def largest(self) -> Array:
        """The largest |quantity| of each contract (N) within the boxes said so far."""
        low, high = self._extent()
        return np.maximum(np.abs(low), np.abs(high))

    def boxes(self, notes: list[str] | None = None) -> tuple[Array, Array, Array, Array]:
        """Finite bounds of quantities after (N, contracts), and which of them (N booleans each) are default boxes.

        An empty book without capital has nothing to size them by: then they reach one contract, enough to find out
        whether to trade at all (see `Problem.asks_for_capital`). Raises InfeasibleError for an empty box, DataError.
        """
        lower, upper, start = self.lower, self.upper, self.start
        empty = self.tradable & (lower > upper)
        if empty.any():
            i = int(np.flatnonzero(empty)[0])
            raise InfeasibleError(
                f"{self.names[i]}: its limits leave no quantity (at least {lower[i]:.10g}, at most {upper[i]:.10g}; "
                f"held {start[i]:.10g}); widen its position or trade limit"
            )
        default_lower, default_upper = self.tradable & np.isneginf(lower), self.tradable & np.isposinf(upper)
        default = default_lower | default_upper
        if not default.any():
            return lower, upper, default_lower, default_upper
        size = DEFAULT_BOX * self.size
        notional = self.measure("notional")
        bad = default & ~(notional > 0)
        if bad.any():
            raise DataError(f"{self.names[bad][0]} has no notional to size its trade limit; give it a TradeLimit")
        reach = size / np.where(default, notional, 1.0) if size > 0 else np.ones(len(start))
        if notes is not None:
            most = f"the default {size:,.6g} base currency of notional" if size > 0 else "one contract, by default,"
            notes.append(f"{int(default.sum())} contracts may trade up to {most} each")
        return (
            np.where(default_lower, np.minimum(start - reach, upper), lower),
            np.where(default_upper, np.maximum(start + reach, lower), upper),
            default_lower,
            default_upper,
        )

    def _extent(self) -> tuple[Array, Array]:
        lower, upper, *_ = self.boxes()
        return np.where(self.tradable, lower, self.start), np.where(self.tradable, upper, self.start)

    # verbs

    def begin(self, label: str, covers: tuple[str, ...] = ()) -> None:
        """What follows is said by the term of this label, which charges these real costs (see `Term.covers`)."""
        self._term = label
        self.covers_[label] = covers

    def assume_rates(self, borrow: Array, financing: Array) -> None:
        """Borrow rate and rate on long market value by contract in play (N), decimal per year, for told costs."""
        self.borrow_, self.financing_ = borrow, financing

    def row(
        self,
        name: str,
        a: Values | None = None,
        lo: float = -np.inf,
        hi: float = np.inf,
        *,
        on_holdings: Values | None = None,
        on_trades: Values | None = None,
        soft: float | None = None,
        tier: int = 0,
        auxiliaries: tuple[Array, Values] | None = None,
        unit: str = "",
        value: Callable[[Array], float] | None = None,
    ) -> None:
        """lo <= a'q + on_holdings'|q| + on_trades'|q - start| + coefficients'z <= hi, z the auxiliaries.

        auxiliaries   (handles, coefficients);  soft  penalty per unit, None: hard
        tier          0 gives way last; DEFINES: the row only says what an auxiliary is, and is no limit
        value         what reports show for a row over auxiliaries, a function of quantities over contracts in play
        """
        one = lambda v: None if v is None else self._vector(name, v)[None, :]  # noqa: E731
        if auxiliaries is not None:
            handles, coefficients = auxiliaries
            auxiliaries = (handles, np.broadcast_to(np.asarray(coefficients, dtype=float), len(handles))[None, :])
        self.rows((name,), one(a), lo, hi, on_holdings=one(on_holdings), on_trades=one(on_trades), soft=soft,
                  tier=tier, auxiliaries=auxiliaries, unit=unit, value=value)  # fmt: skip

    def rows(
        self,
        names: Iterable[str],
        a: Array | sp.sparray | None = None,
        lo: Values = -np.inf,
        hi: Values = np.inf,
        *,
        on_holdings: Array | sp.sparray | None = None,
        on_trades: Array | sp.sparray | None = None,
        soft: float | None = None,
        tier: int = 0,
        auxiliaries: tuple[Array, Array | sp.sparray] | None = None,
        unit: str = "",
        target: float = np.nan,
        value: Callable[[Array], float] | None = None,
    ) -> None:
        """Many rows at once: matrices m x N (auxiliaries: m x handles), limits of m or one for all."""
        names = tuple(names)
        m, n = len(names), len(self.names)
        handles, coefficients = auxiliaries if auxiliaries is not None else (np.zeros(0, int), np.zeros((m, 0)))
        entries = sp.coo_array(coefficients)
        known = sum(len(x.names) for x in self.auxiliaries_)
        wide = sp.csr_array((entries.data, (entries.row, np.asarray(handles)[entries.col])), shape=(m, known))
        matrices = [sp.csr_array((m, n)) if x is None else sp.csr_array(x) for x in (a, on_holdings, on_trades)]
        for matrix in matrices:
            bad = ~np.isfinite(matrix.data)
            if bad.any():
                raise DataError(f"{names[0]}: {self.names[matrix.indices[bad][0]]} has no finite exposure; complete it")
        limits = [np.broadcast_to(np.asarray(x, dtype=float), m) for x in (lo, hi)]
        if np.isnan(limits).any() or (limits[0] > limits[1]).any():
            what = f"{self._term}, {names[0]}" if names and names[0] != self._term else self._term
            raise SpecError(f"{what}: limits {lo}, {hi} are not lower <= upper")
        penalty = np.full(m, np.inf if soft is None else float(soft))
        self.rows_.append(RowBlock(
            term=self._term, names=names, unit=unit, a=matrices[0], on_holdings=matrices[1],
            on_trades=matrices[2], auxiliaries=wide, lower=limits[0], upper=limits[1], penalty=penalty,
            target=np.full(m, target), tier=tier, value=value,
        ))  # fmt: skip

    def cost(
        self,
        *,
        buy: Values = 0.0,
        sell: Values = 0.0,
        quadratic: Values = 0.0,
        power: Values = 0.0,
        long: Values = 0.0,
        short: Values = 0.0,
        linear: Values = 0.0,
    ) -> None:
        """Trading, holding and linear costs: base currency per contract (quadratic: squared; power: to the 3/2)."""
        v = self._vector
        self._charge(Costs.of(
            len(self.names),
            buy=v("buy", buy), sell=v("sell", sell), quadratic=v("quadratic", quadratic), power=v("power", power),
            long=v("long", long), short=v("short", short), linear=v("linear", linear),
        ))  # fmt: skip

    def hinges(self, column: Array, side: Array, beyond: Array, slope: Array) -> None:
        """Depth: slope x max(side x trade - beyond, 0) for each hinge; column counts contracts in play."""
        self._charge(Costs.of(len(self.names), depth=Depth(column=column, side=side, beyond=beyond, slope=slope)))

    def risk_rows(self, rows: Array | sp.sparray, offset: Values = 0.0) -> None:
        """Add 1/2 |rows q + offset|^2 to the objective: rows r x N, dense or sparse."""
        if np.ndim(rows) != 2 or rows.shape[1] != len(self.names):
            raise SpecError(f"{self._term}: rows of risk are {rows.shape}; give r x {len(self.names)}, a column "
                            "each of the contracts in play")  # fmt: skip
        shift = np.broadcast_to(np.asarray(offset, dtype=float), rows.shape[0])
        self.risk_terms_.add(self._term)
        if sp.issparse(rows):
            self.risk_sparse_.append((sp.csr_array(rows), shift))
        else:
            self.risk_dense_.append((np.asarray(rows, dtype=float), shift))

    def diagonal(self, values: Values) -> None:
        """Add 1/2 sum values q^2 to the objective: base currency per contract squared."""
        self.risk_terms_.add(self._term)
        self.diagonal_ = self.diagonal_ + self._vector("diagonal", values)

    def box(self, lower: Values = -np.inf, upper: Values = np.inf) -> None:
        """Bounds on quantities after trading, contracts; those of fixed contracts do not apply."""
        low, high = self._bound(lower), self._bound(upper)
        if (low > high).any():
            i = int(np.argmax(low > high))
            raise SpecError(f"{self._term}: the box of {self.names[i]} is from {low[i]:g} to {high[i]:g}; swap the two")
        self.note_fixed_beyond(low, high)
        self.lower, self.upper = np.maximum(self.lower, low), np.minimum(self.upper, high)

    def note_fixed_beyond(self, lower: Array, upper: Array) -> None:
        """Say which contracts that cannot trade are held beyond these bounds (N each, contracts)."""
        beyond = self.names[~self.tradable & ((self.start < lower) | (self.start > upper))]
        if len(beyond):
            self.notes.append(f"{self._term}: {some(beyond)} beyond the limit, but not tradable")

    def trade_box(self, lower: Values = -np.inf, upper: Values = np.inf) -> None:
        """Bounds on trades, contracts: lower <= 0 <= upper."""
        self.box(self.start + self._bound(lower), self.start + self._bound(upper))

    def auxiliary(self, name: str, lower: Values, upper: Values, cost: Values = 0.0, count: int = 1) -> Array:
        """`count` columns without a position, in a finite box, at a linear cost; returns their handles for rows."""
        sized = [np.broadcast_to(np.asarray(v, dtype=float), count) for v in (lower, upper, cost)]
        if not np.isfinite(sized).all():
            raise SpecError(f"{self._term}: auxiliary {name} has a bound or cost that is not a finite number; give one")
        first = sum(len(x.names) for x in self.auxiliaries_)
        names = (name,) if count == 1 else tuple(f"{name}[{i}]" for i in range(count))
        self.auxiliaries_.append(Auxiliary(term=self._term, names=names, lower=sized[0], upper=sized[1], cost=sized[2]))
        return np.arange(first, first + count)

    def cap_volatility(self, limit: float, second_order: bool) -> None:
        """Volatility per day <= limit, base currency. At most one in a hedging model."""
        if self.volatility_limit_ is not None:
            raise SpecError(f"{self._term}: a hedging model has at most one volatility limit; keep one")
        form = self.variance()
        self.volatility_limit_ = (self._term, limit, form if second_order else form.first_order())

    def price_volatility(self, price: float) -> None:
        """price x volatility over the horizon in the objective, a pure number >= 0. At most one in a hedging model."""
        if self.volatility_price_ is not None:
            raise SpecError(f"{self._term}: a hedging model has at most one price of volatility; keep one")
        self.volatility_price_ = (self._term, price, self.variance())
        self.risk_terms_.add(self._term)

    def cvxpy(self, function: Callable[[Any, ProgramBuilder], Any]) -> None:
        """function(h, p) -> CVXPY expression, constraint or list; h: quantities after over p.names."""
        self.cvxpy_.append((self._term, function))

    def _charge(self, cost: Costs) -> None:
        earlier = self.costs_.get(self._term)
        self.costs_[self._term] = cost if earlier is None else earlier.plus(cost)

    def _vector(self, what: str, values: Values) -> Array:
        if isinstance(values, pd.Series) and not values.index.equals(self.names):
            raise SpecError(f"{self._term}: {what} is labelled otherwise than the contracts in play; reindex it")
        if np.iscomplexobj(values):
            raise SpecError(f"{self._term}: {what} is complex; give real numbers")
        vector = np.broadcast_to(np.asarray(values, dtype=float), len(self.names))
        if what in _CONVEX and (vector < 0).any():
            raise SpecError(f"{self._term}: {what} of {self.names[vector < 0][0]} is {vector[vector < 0][0]:g}: below "
                            "zero the problem is not convex")  # fmt: skip
        if not np.isfinite(vector).all():
            contract = self.names[~np.isfinite(vector)][0]
            raise DataError(f"{self._term}: {what} of {contract} is not a finite number; complete its data")
        return vector

    def _bound(self, values: Values) -> Array:
        vector = np.broadcast_to(np.asarray(values, dtype=float), len(self.names))
        if np.isnan(vector).any():
            raise SpecError(f"{self._term}: the bound of {self.names[np.isnan(vector)][0]} is NaN; give a number")
        return vector
