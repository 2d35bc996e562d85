"""Hedge: what was decided and why it should be believed; every figure recomputed from the market and the quantities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from optihedge.frames.table import Table
from optihedge.hedge import report
from optihedge.hedge.answer import Answer
from optihedge.hedge.baselines import baselines
from optihedge.hedge.costs import cost_parts, cost_sums, uncharged
from optihedge.hedge.marginal import liquidity, marginal
from optihedge.hedge.problem import Problem
from optihedge.hedge.rolls import roll_plan
from optihedge.hedge.spec import HedgeSpec
from optihedge.hedge.tables import (
    charged_by_term,
    charges_of,
    cost_table,
    exposure_table,
    limit_table,
    risk_table,
)
from optihedge.hedge.venues import venue_table
from optihedge.market.snapshot import Market
from optihedge.program.aversion import equivalent_aversion
from optihedge.program.certificate import Certificate
from optihedge.program.program import Program
from optihedge.program.status import Status
from optihedge.readonly import read_only, read_only_property
from optihedge.risk.contract_risk import ContractRisk
from optihedge.risk.root import Risk

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray
_MATERIAL = 0.1  # share of variance below which a hedge is noise


@dataclass(frozen=True, eq=False, kw_only=True)
class Hedge:
    """A hedged book. Frames run over the N contracts in play (held or tradable); money in base currency.

    model, market      what was asked, betas included in the market's exposures
    risk_model         the Risk that was fitted, or None
    answer             what is proved of the problem; its parts are at hand here under their own names

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> hedge = oh.load_model("delta_neutral").hedge(market, book)
    >>> print(hedge.certificate.status, len(hedge.trades) == len(hedge.after))
    optimal True
    """

    model: HedgeSpec
    market: Market
    risk_model: Risk | ContractRisk | None
    answer: Answer

    @property
    def problem(self) -> Problem:
        """The optimisation and the way from its columns back to contracts."""
        return self.answer.problem

    @property
    def program(self) -> Program:
        """What the solver saw."""
        return self.answer.problem.program

    @property
    def h(self) -> Array:
        """Quantities by column of the Program."""
        return self.answer.h

    @property
    def multipliers(self) -> Array:
        """By row of the Program; a limit's shadow price is minus its multiplier."""
        return self.answer.multipliers

    @property
    def limit_multiplier(self) -> float:
        """Of the volatility limit."""
        return self.answer.limit_multiplier

    @property
    def certificate(self) -> Certificate:
        """What is proved."""
        return self.answer.certificate

    @property
    def status(self) -> Status:
        """What is proved, in a word."""
        return self.answer.status

    @property
    def relaxation(self) -> pd.DataFrame | None:
        """Limits that gave way, or None: have (the limit), need (the limit used instead), change."""
        return self.answer.relaxation

    @read_only_property
    def before(self) -> pd.Series:
        """Quantities before, contracts."""
        return pd.Series(self.problem.start, index=self.problem.names, name="before")

    @read_only_property
    def after(self) -> pd.Series:
        """Quantities after, contracts."""
        return pd.Series(self.problem.columns.to_contracts(self.h), index=self.problem.names, name="after")

    @read_only_property
    def trades(self) -> pd.Series:
        """Contracts to buy (positive) or sell (negative)."""
        trade = self.after.to_numpy() - self.problem.start
        return pd.Series(trade, index=self.problem.names, name="trade")

    def with_quantities(self, h: Array, certificate: Certificate) -> Hedge:
        """The same request answered by other quantities (n columns): whole lots, say. Everything is recomputed."""
        h = read_only(np.array(h, dtype=float))
        return replace(self, answer=replace(self.answer, h=h, certificate=certificate))

    @read_only_property
    def limits(self) -> pd.DataFrame:
        """Every limit: before, after, target, lower, upper, violation, shadow price (see `shadow_prices`), unit, term,
        and kind: hard or soft, whether a hedge exists, whether it gave way.

        One that no tradable contract moves is listed too, as it stands. A limit that gave way is listed as it was
        given, with its violation.
        """
        return self.limit_columns.frame()

    @cached_property
    def limit_columns(self) -> Table:
        """`limits` as columns."""
        return limit_table(self)

    @read_only_property
    def exposures(self) -> pd.DataFrame:
        """Exposures before and after, desk units: the book's totals, then each limited exposure with its band."""
        return self._exposures.frame()

    @cached_property
    def _exposures(self) -> Table:
        return exposure_table(self, self.limit_columns)

    @read_only_property
    def risk(self) -> pd.DataFrame:
        """Variance over the horizon by source (base currency squared), and volatility per day, before and after."""
        frame = self._risk.frame()
        if len(frame):
            told = "variance: base currency squared over the horizon; volatility: base currency per day"
            frame.attrs["unit"] = told
        return frame

    @cached_property
    def _risk(self) -> Table:
        return risk_table(self)

    def volatility(self) -> tuple[float, float]:
        """Of a day, before and after, base currency; NaN without a risk."""
        return tuple(self._risk[end][-1] if len(self._risk) else np.nan for end in ("before", "after"))  # type: ignore[return-value]

    @property
    def equivalent_aversion(self) -> float:
        """The aversion, 1 / base currency, at which `Variance` asks for the same trades as this price of volatility.

        Price / volatility over the horizon after; 0 without a price.
        """
        return equivalent_aversion(self.program, self.h)

    @property
    def material(self) -> bool:
        """Whether this hedge or a baseline takes a tenth off the book's variance; True where nothing is known."""
        volatility = self.baselines["volatility"]
        alone = volatility["no trade"]
        return not alone > 0 or bool(volatility.min() ** 2 <= (1 - _MATERIAL) * alone**2)

    @read_only_property
    def told_costs(self) -> pd.DataFrame:
        """What each contract will cost, base currency, part by part: see `optihedge.hedge.costs.cost_parts`."""
        return pd.DataFrame(self.cost_parts, index=self.problem.names)

    @cached_property
    def cost_parts(self) -> dict[str, Array]:
        """`told_costs` by part, N each."""
        return read_only(cost_parts(self.market, self.problem, self.problem.start, self.after.to_numpy()))

    @read_only_property
    def costs(self) -> pd.Series:
        """What the hedge will cost, all of it, whatever the objective saw: base currency.

        spread, fees, depth, impact, other and their sum `trading`; funding, borrow, financing of the whole book over
        the horizon and their sum `holding`, where income is below 0; `total` is both. `charges` are the objective's.
        """
        return pd.Series(self.cost_sums, name="cost")

    @cached_property
    def cost_sums(self) -> dict[str, float]:
        """`costs` as plain numbers."""
        return cost_sums(self.cost_parts)

    @read_only_property
    def charges_by_contract(self) -> pd.DataFrame:
        """What each term charged each contract in the objective, base currency."""
        before, after = self.problem.start, self.after.to_numpy()
        columns = {label: cost.by_contract(before, after) for label, cost in self.problem.costs.items()}
        return pd.DataFrame(columns, index=self.problem.names)

    @read_only_property
    def charges(self) -> pd.Series:
        """What the objective saw beside risk, by term, base currency: costs, views, soft limits' penalties, `total`."""
        return pd.Series(self.charge_sums, dtype=float, name="charge")

    @cached_property
    def charge_sums(self) -> dict[str, float]:
        """`charges` as plain numbers."""
        return charges_of(self, self._charged)

    @cached_property
    def _charged(self) -> dict[str, float]:
        return charged_by_term(self)

    @read_only_property
    def cost_table(self) -> pd.DataFrame:
        """`costs` beside the part of each that the objective saw (`charged`), base currency."""
        return self._costs.frame()

    @cached_property
    def _costs(self) -> Table:
        return cost_table(self.cost_sums, self._charged, self.problem.covers)

    @read_only_property
    def uncharged(self) -> tuple[str, ...]:
        """Costs that these contracts have and no term of the model charges, a sentence each."""
        return uncharged(self.market, self.problem)

    @read_only_property
    def rolls(self) -> pd.DataFrame:
        """Traded legs that expire before the risk they hedge, and what to roll them into: see `roll_plan`."""
        return roll_plan(self.market, self.before, self.trades[self.trades.abs() > report.DUST])

    @read_only_property
    def shadow_prices(self) -> pd.Series:
        """Derivative of the least objective in each limit's binding end: base currency per unit of the limit.

        At an upper limit it is the derivative in the upper end, never positive: one unit more saves its size. At a
        lower limit, in the lower end, never negative: one unit less saves its size. Where both ends are one number,
        in the target: both signs occur. So a band's price with respect to its own width is minus the size of this. A
        limit that does not bind has 0; the volatility limit's is per unit of volatility a day. Where the objective has
        a kink in the limit, a number between the derivatives on its two sides. attrs["unit"]: the unit of each limit.
        """
        prices = self.limits["shadow_price"].rename("shadow price")
        prices.attrs["unit"] = dict(self.limits["unit"])
        return prices

    @read_only_property
    def baselines(self) -> pd.DataFrame:
        """Risk and cost of doing nothing, of the nearest single instrument, of a regression beta, and of this hedge."""
        return self._baselines.frame()

    @cached_property
    def _baselines(self) -> Table:
        return baselines(self.market, self.problem, self.after.to_numpy(), self.cost_parts)

    @property
    def tables(self) -> dict[str, Table]:
        """What a report writes, by the name of its file; none that is empty."""
        charges = Table(
            "term", list(self.charge_sums), {"charge": np.array(list(self.charge_sums.values()), dtype=float)}
        )
        found = {"exposures": self._exposures, "limits": self.limit_columns, "risk": self._risk, "costs": self._costs,
                 "objective": charges}  # fmt: skip
        if self.relaxation is not None:
            found["relaxed"] = Table.of(self.relaxation)
        if self.problem.variance is not None:
            found["baselines"] = self._baselines
        return {name: table for name, table in found.items() if len(table)}

    @read_only_property
    def venues(self) -> pd.DataFrame:
        """Equity, exposure, margin and distance to liquidation at each venue whose rules the model names; see there."""
        return venue_table(self.market, self.model.terms, self.before, self.after)

    def marginal(self, contract: str, size: float = 1.0) -> pd.Series:
        """What the book would cost or save with `size` more of a contract, hedged: the skew of a quote; see there."""
        return marginal(self.model, self.market, self.risk_model, self.problem, contract, size)

    def liquidity(self, *, share: float | Mapping[str, float] = 0.1, confidence: float = 0.99) -> pd.DataFrame:
        """Days to close each line and the book, and what may be lost till then; see `hedge.marginal.liquidity`."""
        return liquidity(self.market, self.problem, self.after.to_numpy(float), share, confidence)

    def plot(self, what: str = "summary") -> Figure:
        """A picture: summary (volatility against the baselines', delta by underlying, vega by expiry), bands, risk,
        payoff, spot_vol, vega, all before and after; liquidity."""
        from optihedge.hedge.pictures import picture

        return picture(self, what)

    def __str__(self) -> str:
        return report.text(self)

    def __repr__(self) -> str:
        return f"<Hedge {self.model.name or self.status}: {int((self.trades != 0).sum())} trades>"

    def _repr_html_(self) -> str:
        return report.html(self)
