"""Problem: one Program and the way back from its columns and rows to contracts, terms and units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from optihedge.hedge.variance import VarianceForm
from optihedge.program.costs import Costs
from optihedge.program.program import Program

Array = np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """A Program over n columns (tradable contracts, then auxiliaries) and the book of N contracts around it."""

    program: Program
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
    notes: tuple[str, ...]

    @property
    def size(self) -> float:
        """What shares and relative aversions are taken of, base currency: gross, or the capital if larger."""
        return max(self.gross, self.capital)

    @property
    def row_limits(self) -> tuple[str, ...]:
        """m: the limit (or term) that each row belongs to: its own name, or its term's if it defines an auxiliary."""
        p = self.program
        return tuple(np.where(p.row_tier < 0, np.array(self.row_terms, dtype=object), p.row_names))

    def quantities(self, h: Array) -> Array:
        """Quantities over the N contracts in play, from the Program's columns."""
        book = self.start.copy()
        book[self.tradable] = h[: int(self.tradable.sum())]
        return book

    def with_risk_scaled(self, factor: float) -> Problem:
        """The same with its terms of risk multiplied: another aversion where `Variance` is the only one."""
        p, root = self.program, np.sqrt(factor)
        program = replace(
            p, factors=root * p.factors, factor_offset=root * p.factor_offset, specifics=root * p.specifics,
            specific_offset=root * p.specific_offset, diagonal=factor * p.diagonal,
            constant=p.constant + (factor - 1) * self.risk_constant,
        )  # fmt: skip
        return replace(self, program=program, risk_constant=factor * self.risk_constant)

    def columns(self, quantities: Array, auxiliaries: Array | None = None) -> Array:
        """The Program's columns from N quantities; auxiliaries default to the Program's start."""
        count = int(self.tradable.sum())
        rest = self.program.start[count:] if auxiliaries is None else auxiliaries
        return np.concatenate([quantities[self.tradable], rest])

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

    def at_default_box(self, h: Array, tolerance: float = 1e-6) -> list[str]:
        """Contracts whose quantity touches a default bound: the problem is unbounded there."""
        p = self.program
        near = tolerance * (p.upper - p.lower)
        touched = (self.default_lower & (h <= p.lower + near)) | (self.default_upper & (h >= p.upper - near))
        return [p.columns[i] for i in np.flatnonzero(touched & (p.upper > p.lower))]
