"""Rows of scenarios, most of which decide nothing: the worst are solved for, and what they leave broken is added.

A row that defines an auxiliary (tier below 0) and has an upper limit alone may be left out, with the auxiliary that
stands in no other such row at its lower bound, as long as the answer keeps to it: its multiplier is zero. The answer is
then that of the whole Program, which is what is proved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.narrow import narrowed
from optihedge.program.program import Program, row_values, row_violations
from optihedge.program.status import Status
from optihedge.program.tolerances import row_tolerances

_FEW, _LEAST = 10, 400  # rows that are scenarios at all; from which screening is worth it
_FIRST, _COLUMNS = 0.12, 3  # of each measure's rows, and times the other columns: what is solved for first
_TAIL = 1.5  # times the scenarios in the tail, likewise in a curved Program
_MOST = 0.6  # of the rows: with more, the whole Program is no dearer
_ROUNDS, _ROUGH_ROUNDS = 15, 4
_SETTLED = 0.15  # of the rows: where a rough round adds no more, the worst are known
_ROW_FIELDS = ("row_lower", "row_upper", "row_penalty", "row_tier", "row_fixed", "row_limit")

Solve = Callable[[Program, float | None, Candidate | None], Candidate]


def worth_screening(p: Program) -> bool:
    """Whether rows of scenarios prevail."""
    return len(p.row_names) >= _LEAST and not p.cvxpy_terms and int(_droppable(p).sum()) >= _LEAST


def has_scenarios(p: Program) -> bool:
    """Whether there are some such rows."""
    return len(p.row_names) >= _FEW and not p.cvxpy_terms and int(_droppable(p).sum()) >= _FEW


@dataclass(frozen=True)
class Screened:
    """Solves for the worst scenarios, and adds those that the answer breaks, until it breaks none.

    rough  gives an answer of a few digits: where there is one, it says which scenarios are the worst
    """

    inner: Solve
    rough: Solve | None = None
    name: str = "screened"

    def solve(self, program: Program, *, deadline: float | None, warm: Candidate | None = None) -> Candidate:
        """An optimal candidate of the whole Program, or declined where most scenarios matter."""
        tail = _Tail.of(program)
        kept, most = tail.worst(program.start if warm is None else warm.h), _MOST * tail.droppable.sum()
        found = None
        if self.rough:
            kept, found = self._worst(self.rough, program, tail, kept, deadline)
        for _ in range(_ROUNDS):
            if (kept & tail.droppable).sum() > most:
                if not self.rough:
                    return Candidate.none(program, Status.DECLINED, "most scenarios matter")
                kept[:] = True
            found = _of(self.inner, program, tail.own, kept, deadline, found)
            if found.status is not Status.OPTIMAL:
                return replace(found, status=Status.FAILED)
            beyond = np.where(kept, 0.0, row_violations(program, found.h) - row_tolerances(program, found.h))
            broken = np.flatnonzero(beyond > 0)
            if not len(broken):
                return found
            some = max(len(program.columns) - int(tail.droppable.sum()), int(kept.sum()) // 3)
            kept[broken[np.argsort(-beyond[broken])[:some]]] = True
        return Candidate.none(program, Status.DECLINED, f"scenarios still broken after {_ROUNDS} rounds")

    def _worst(
        self, rough: Solve, program: Program, tail: _Tail, kept: Array, deadline: float | None
    ) -> tuple[Array, Candidate | None]:
        """The kept rows, with those that are the worst at rough answers, and the last of these."""
        last = None
        for _ in range(_ROUGH_ROUNDS):
            found = _of(rough, program, tail.own, kept, deadline, last)
            if not np.isfinite(found.h).all():
                break
            last = found
            more = tail.worst(found.h) & ~kept
            kept = kept | more
            if more.sum() < _SETTLED * kept.sum():
                break
        return kept, last


def _of(solve: Solve, p: Program, own: Array, kept: Array, deadline: float | None, last: Candidate | None) -> Candidate:
    """The candidate of the kept rows, told of all: dropped ones weigh nothing. last: one of fewer rows."""
    rest = own[(own >= 0) & ~kept]
    upper = p.upper.copy()
    upper[rest] = p.lower[rest]
    at = np.flatnonzero(kept)
    part = p.derived(
        start=np.clip(p.start, p.lower, upper), upper=upper, row_names=tuple(p.row_names[i] for i in at),
        rows=p.rows[at], rows_on_holdings=p.rows_on_holdings[at], rows_on_trades=p.rows_on_trades[at],
        **{name: getattr(p, name)[at] for name in _ROW_FIELDS},
    )  # fmt: skip
    small, columns = narrowed(part)
    warm = None if last is None else replace(last, h=last.h[columns], multipliers=last.multipliers[at])
    found = solve(small, deadline, warm)
    h, multipliers = np.clip(p.lower, p.lower, upper), np.zeros(len(p.row_names))
    h[columns], multipliers[at] = found.h, found.multipliers
    return replace(found, h=h, multipliers=multipliers)


def _droppable(p: Program) -> Array:
    """Rows (a mask) that define an auxiliary from below: hard, without a lower limit."""
    return (p.row_tier < 0) & np.isinf(p.row_penalty) & np.isneginf(p.row_lower)


@dataclass(frozen=True, eq=False)
class _Tail:
    """A Program's scenarios."""

    program: Program
    droppable: Array  # m booleans
    own: Array  # m integers: each row's own auxiliary, in no other row that defines one; -1: none
    measure: Array  # m integers: what it measures with others, likewise
    worth: Array  # n, what a unit of each column costs and uses of limits

    @classmethod
    def of(cls, p: Program) -> _Tail:
        """Of a Program's rows that define auxiliaries."""
        droppable = _droppable(p)
        auxiliary = np.flatnonzero(p.lot == 0)
        block = sp.coo_array(p.rows[np.flatnonzero(droppable)][:, auxiliary])
        entry = block.data != 0
        row, column = np.flatnonzero(droppable)[block.row[entry]], auxiliary[block.col[entry]]
        alone = np.bincount(column, minlength=len(p.columns))[column] == 1
        own, measure = np.full(len(p.row_names), -1), np.full(len(p.row_names), -1)
        own[row[alone]], measure[row[~alone]] = column[alone], column[~alone]
        used = np.bincount(
            p.rows.indices, np.maximum(p.rows.data, 0.0) * ~np.repeat(droppable, np.diff(p.rows.indptr)), len(p.columns)
        )
        return cls(p, droppable, own, measure, p.linear + used)

    def losses(self, h: Array) -> Array:
        """How far each scenario is above its limit at h with nothing of its own, m; -inf where a row is none."""
        p, own = self.program, self.own[self.own >= 0]
        h = np.clip(h, p.lower, p.upper)
        h[own] = p.lower[own]
        return np.where(self.droppable, row_values(p, h) - p.row_upper, -np.inf)

    def worst(self, h: Array) -> Array:
        """Rows to solve for: those that are no scenario's, and of each measure the worst at h."""
        loss, kept = self.losses(h), ~self.droppable
        for one in np.unique(self.measure[self.droppable]):
            rows = np.flatnonzero(self.droppable & (self.measure == one))
            kept[rows[np.argsort(-loss[rows], kind="stable")[: self._count(one, rows)]]] = True
        return kept

    def _count(self, measure: int, rows: Array) -> int:
        p, own = self.program, self.own[rows]
        columns = len(p.columns) - int((self.own >= 0).sum())
        if not p.curved:
            return int(_FIRST * len(rows)) + _COLUMNS * columns
        dearest = self.worth[own[own >= 0]].max(initial=0.0)
        tail = self.worth[measure] / dearest if dearest > 0 else 1.0  # scenarios in it
        return int(_TAIL * tail) + columns
