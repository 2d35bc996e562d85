"""Problem: one Program and the way back from its columns and rows to contracts, terms and units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from optihedge.errors import InfeasibleError
from optihedge.hedge.columns import Columns
from optihedge.hedge.variance import VarianceForm
from optihedge.market.snapshot import Market
from optihedge.program.costs import Costs
from optihedge.program.program import Program
from optihedge.readonly import read_only

Array = np.ndarray
_LOT_ROUNDING = 1e-9  # of a lot


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Problem:
    """A Program over n columns (tradable contracts, then auxiliaries) and the book of N contracts around it."""

    program: Program
    market: Market  # that it was asked in, betas included
    names: pd.Index  # N contracts in play
    positions: Array  # N integers into market.names
    start: Array  # N quantities before
    tradable: Array  # N booleans
    default_lower: Array  # n booleans: the bound is a default box, not a limit that someone set
    default_upper: Array
    costs: dict[str, Costs]
    auxiliary_costs: dict[str, Array]  # by term, over n columns: base currency per unit
    variance: VarianceForm | None
    risk_terms: frozenset[str]  # the terms that speak of risk, and what fixed positions cost under them
    risk_constant: float
    row_units: tuple[str, ...]
    row_targets: Array  # m; NaN where the row has limits only
    row_terms: tuple[str, ...]
    row_offset: Array  # m: what fixed positions bring to each row
    row_measures: dict[str, Callable[[Array], float]]  # by row over auxiliaries: its value from N quantities
    decided: pd.DataFrame  # rows without a tradable: value, lower, upper, violation
    gross: float
    capital: float
    days: float
    years: float
    notes: tuple[str, ...]  # all that a reader should know; of these:
    left_out: tuple[str, ...]  # contracts that may not trade, and why
    assumed: tuple[str, ...]  # what is a prior, for want of a history
    covers: dict[str, tuple[str, ...]]  # by term: the real costs it charges, see `Term.covers`
    borrow: Array  # N, decimal per year, of what is short
    financing: Array  # N, decimal per year, of what is long

    def __repr__(self) -> str:
        return f"<Problem: {len(self.names)} contracts in play, {self.program!r}>"

    def __post_init__(self) -> None:
        object.__setattr__(self, "decided", read_only(self.decided))
        read_only(self)

    @property
    def size(self) -> float:
        """What shares and relative aversions are taken of, base currency: gross, or the capital if larger."""
        return max(self.gross, self.capital)

    @property
    def row_limits(self) -> tuple[str, ...]:
        """m: the limit (or term) that each row belongs to: its own name, or its term's if it defines an auxiliary."""
        p = self.program
        return tuple(np.where(p.row_tier < 0, np.array(self.row_terms, dtype=object), p.row_names))

    @cached_property
    def columns(self) -> Columns:
        """The way between the N contracts in play and the Program's n columns."""
        return Columns.of(self.program, self.tradable, self.start)

    def with_risk_scaled(self, factor: float) -> Problem:
        """The same with its terms of risk multiplied: another aversion where `Variance` is the only one."""
        program = self.program.risk_scaled(factor, self.program.constant + (factor - 1) * self.risk_constant)
        made = object.__new__(Problem)  # nothing else is new, or looked at again
        made.__dict__.update(self.__dict__, program=program, risk_constant=factor * self.risk_constant)
        return made

    def with_price_scaled(self, factor: float) -> Problem:
        """The same with its price of volatility multiplied."""
        price = self.program.volatility_price
        scaled = None if price is None else replace(price, price=factor * price.price)
        return replace(self, program=replace(self.program, volatility_price=scaled))

    def asks_for_capital(self, h: Array | None) -> str:
        """Of an empty book without capital: the first contract that has to trade (h: the answer, None: there is none).

        Where standing still is the optimum among trades of a contract either way, it is the optimum of any size, for
        the problem is convex; otherwise the size of the trade would only be that of a default box.
        """
        default = self.default_lower | self.default_upper
        if self.gross > 0 or self.capital > 0 or not default.any():
            return ""
        moved = default if h is None else default & (h != self.program.start)
        return self.program.columns[int(np.argmax(moved))] if moved.any() else ""

    def boxed(self, buy: Array, sell: Array) -> Problem:
        """The same with at most so much bought and sold of each contract (N each, contracts): whole lots of it."""
        p, columns = self.program, self.columns
        lot = np.where(p.lot > 0, p.lot, 1.0)
        most_bought, most_sold = (
            np.floor(columns.of_limit(limit, np.inf) / lot + _LOT_ROUNDING) * lot for limit in (buy, sell)
        )
        lower, upper = np.maximum(p.lower, p.start - most_sold), np.minimum(p.upper, p.start + most_bought)
        empty = lower > upper
        if empty.any():
            name = p.columns[int(np.argmax(empty))]
            raise InfeasibleError(f"{name}: what it must trade is more than its line may; widen one of the two limits")
        return replace(
            self, program=replace(p, lower=lower, upper=upper),
            default_lower=self.default_lower & (lower == p.lower),
            default_upper=self.default_upper & (upper == p.upper),
        )  # fmt: skip

    def at_default_box(self, h: Array) -> list[str]:
        """Contracts whose quantity touches a default bound: the problem is unbounded there."""
        p = self.program
        near = 1e-6 * (p.upper - p.lower)
        touched = (self.default_lower & (h <= p.lower + near)) | (self.default_upper & (h >= p.upper - near))
        return [p.columns[i] for i in np.flatnonzero(touched & (p.upper > p.lower))]
