"""Tails without a column for each scenario: what a column of its own lets a row exceed, at a cost, is a soft row.

A row a'q - t - u <= b that defines u >= 0, where u costs w and stands nowhere else, is a'q - t <= b at a penalty of w.
What is left has as many columns as there are contracts and quantiles, whatever the number of scenarios. A limit on the
tail, in which u stands too, gets a price, and the price is found (`tail_limit.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.costs import PIECES
from optihedge.program.loss_box import measures
from optihedge.program.program import Program
from optihedge.program.status import Status
from optihedge.program.tail_limit import within

_DIGITS = 1e-6  # of what multipliers push: so much a solver may leave
_REACH = 3.0  # times the largest loss at the start: what a quantile may come to
_EDGE = 1e-3  # of that box: nearer to its ends the optimum may lie outside
_BY_COLUMN = ("start", "lower", "upper", "lot", "diagonal", *(piece for piece in PIECES if piece != "linear"))

Solve = Callable[[Program, float | None, Candidate | None], Candidate]


@dataclass(frozen=True)
class Softened:
    """Solves without scenarios' own columns; their quantities follow from the answer's.

    tolerance  share of the scale: how near the price of a limited tail is found
    """

    inner: Solve
    tolerance: float = 1e-10
    name: str = "softened"

    def solve(self, program: Program, *, deadline: float | None, warm: Candidate | None = None) -> Candidate:
        """A candidate of the whole Program, as optimal as the inner solver's."""
        own = own_columns(program)
        ends = np.inf if deadline is None else time.perf_counter() + deadline
        last = None if warm is None else replace(warm, h=np.delete(warm.h, own.column))

        def at(price: float) -> Candidate:
            soft = own.softened(program, price)
            near, left = _near(soft), None if deadline is None else ends - time.perf_counter()
            found = self.inner(near, left, last)
            if _touches(found.h, near, soft):
                found = self.inner(soft, left, last)
            return own.restored(program, found, price)

        found = at(0.0) if own.limit < 0 else within(program, own.limit, at, self.tolerance, warm)
        if not (np.isfinite(found.h).all() and np.isfinite(found.multipliers).all()):
            return found
        return replace(found, multipliers=_balanced(program, own, found.multipliers))


@dataclass(frozen=True, eq=False)
class Own:
    """Columns that one row each defines: which row, which column, and how much of the row a unit of it lets pass.

    limit  a row that limits the tail, in which these columns stand too (`counted`); -1 where there is none
    """

    row: Array  # integers
    column: Array
    weight: Array  # > 0
    counted: Array  # >= 0
    limit: int = -1

    def penalty(self, p: Program, price: float) -> Array:
        """What a unit beyond each of these rows costs, where the limit has a price."""
        return np.asarray((p.linear[self.column] + price * self.counted) / self.weight)

    def softened(self, p: Program, price: float = 0.0) -> Program:
        """The Program without these columns: their rows are soft; and with a price in place of the limit."""
        if not len(self.row):
            return p
        kept = np.ones(len(p.columns), bool)
        kept[self.column] = False
        columns, least = np.flatnonzero(kept), p.lower[self.column]
        linear, upper, penalty, tier = p.linear, p.row_upper.copy(), p.row_penalty.copy(), p.row_tier.copy()
        upper[self.row] += self.weight * least
        penalty[self.row], tier[self.row] = self.penalty(p, price), 0.0
        if self.limit >= 0:
            linear, upper[self.limit] = linear + price * p.rows[[self.limit]].toarray()[0], np.inf
        return p.derived(
            columns=tuple(p.columns[i] for i in columns), **{name: getattr(p, name)[columns] for name in _BY_COLUMN},
            linear=linear[columns], depth=p.depth.renumbered(np.where(kept, np.cumsum(kept) - 1, -1)),
            factors=p.factors[:, columns], specifics=p.specifics[:, columns], rows=p.rows[:, columns],
            rows_on_holdings=p.rows_on_holdings[:, columns], rows_on_trades=p.rows_on_trades[:, columns],
            row_upper=upper, row_penalty=penalty, row_tier=tier,
            constant=p.constant + float(linear[self.column] @ least),
        )  # fmt: skip

    def restored(self, p: Program, found: Candidate, price: float = 0.0) -> Candidate:
        """An answer of the softened Program as one of p; FAILED where a column would leave its box."""
        h, multipliers = np.zeros(len(p.columns)), found.multipliers
        h[np.setdiff1d(np.arange(len(h)), self.column)] = found.h
        beyond = p.row_table.values(h, h - p.start)[self.row] - p.row_upper[self.row]
        h[self.column] = np.maximum(p.lower[self.column], beyond / self.weight)
        if (h[self.column] > p.upper[self.column]).any():
            return Candidate.none(p, Status.FAILED, "a scenario's loss is beyond its box")
        if self.limit >= 0:
            multipliers = multipliers.copy()
            multipliers[self.limit] = price
        return replace(found, h=h, multipliers=multipliers)


def own_columns(p: Program) -> Own:
    """Columns that cost, measure and do no more, in one row each that defines them from below, and in one limit."""
    defines = (p.row_tier < 0) & np.isinf(p.row_penalty) & np.isneginf(p.row_lower)
    limits = ~defines & np.isneginf(p.row_lower) & np.isfinite(p.row_upper)
    for sized in (p.rows_on_holdings, p.rows_on_trades):
        limits &= np.diff(sized.indptr) == 0
    row, column, entry = _entries(p, np.flatnonzero(measures(p) & (p.linear >= 0)))
    count = lambda some: np.bincount(column[some], minlength=len(p.columns))  # noqa: E731
    limited = limits[row] & (entry > 0)
    limit = int(np.bincount(row[limited]).argmax()) if limited.any() else -1
    own, counts = defines[row] & (entry < 0), row == limit
    idle = (count(own) == 1) & (count(own | counts) == count(entry != 0)) & ((p.linear > 0) | (count(counts) > 0))
    chosen = np.flatnonzero(own & idle[column])
    chosen = chosen[np.unique(row[chosen], return_index=True)[1]]  # one of a row's, should it have several
    counted = np.zeros(len(p.columns))
    counted[column[counts]] = entry[counts]
    of = column[chosen]
    return Own(row[chosen], of, -entry[chosen], counted[of], limit if counted[of].any() else -1)


def _near(p: Program) -> Program:
    """The softened Program with its measures in a box of the size of what they measure at the start."""
    h = np.clip(p.start, p.lower, p.upper)
    row, column, entry = _entries(p, np.flatnonzero(measures(p)))
    size, excess = np.zeros(len(h)), p.row_table.values(h, h - p.start) - p.row_upper
    some = (entry < 0) & np.isneginf(p.row_lower[row]) & np.isfinite(p.row_upper[row])
    row, column, entry = row[some], column[some], entry[some]
    np.maximum.at(size, column, np.abs(excess[row] / entry - h[column]))
    lower, upper = np.maximum(p.lower, -_REACH * size), np.minimum(p.upper, _REACH * size)
    boxed = (size > 0) & (lower < upper)
    return p.boxed(np.where(boxed, lower, p.lower), np.where(boxed, upper, p.upper))


def _touches(h: Array, near: Program, p: Program) -> bool:
    """Whether an answer lies at an end of the nearer box."""
    edge = _EDGE * (near.upper - near.lower)
    low = (near.lower > p.lower) & ~(h > near.lower + edge)
    return bool((low | ((near.upper < p.upper) & ~(h < near.upper - edge))).any())


def _balanced(p: Program, own: Own, multipliers: Array) -> Array:
    """Multipliers (m) whose push on each quantile is its cost to the last digit, none above its scenario's penalty.

    A quantile's box is as wide as all that contracts could lose: times that, a solver's last digit is no proof.
    """
    m, most = multipliers.copy(), np.full(len(multipliers), np.inf)
    most[own.row] = own.penalty(p, m[own.limit] if own.limit >= 0 else 0.0)
    m = np.where(p.row_tier < 0, np.clip(m, np.minimum(m, 0.0), most), m)
    row, column, entry = _entries(p, np.setdiff1d(np.flatnonzero(measures(p)), own.column))
    for one in np.unique(column):
        rows, entries = row[column == one], entry[column == one]
        inside = (p.row_tier[rows] < 0) & (entries < 0) & (m[rows] > 0) & (m[rows] < most[rows])
        pushed = -float(entries[inside] @ m[rows[inside]])
        missing = float(entries @ m[rows]) + p.linear[one]
        if abs(missing) < _DIGITS * pushed:  # more is meant: the quantile lies at its bound
            m[rows[inside]] *= 1 + missing / pushed
    return np.minimum(m, most)


def _entries(p: Program, columns: Array) -> tuple[Array, Array, Array]:
    """Row, column and value of what is not zero in these columns' part of the rows."""
    found = sp.coo_array(p.rows[:, columns])
    some = found.data != 0
    return found.row[some], columns[found.col[some]], found.data[some]
