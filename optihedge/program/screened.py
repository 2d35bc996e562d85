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

_LEAST = 400  # rows from which it is worth it
_FIRST, _COLUMNS = 0.12, 3  # of each measure's rows, and times the other columns: what is solved for first
_MOST = 0.6  # of the rows: with more, the whole Program is no dearer
_ROUNDS = 15
_ROW_FIELDS = ("row_lower", "row_upper", "row_penalty", "row_tier", "row_fixed", "row_limit")

Solve = Callable[[Program, float | None, Candidate | None], Candidate]


def worth_screening(p: Program) -> bool:
    """Whether rows of scenarios prevail in a linear Program: its vertex leaves no doubt which of them decide."""
    linear = not (p.curved or p.has_cones or p.cvxpy_terms)
    return linear and int(_droppable(p).sum()) >= _LEAST


@dataclass(frozen=True)
class Screened:
    """Solves for the worst scenarios, and adds those that the answer breaks, until it breaks none."""

    inner: Solve
    name: str = "screened"

    def solve(self, program: Program, *, deadline: float | None, warm: Candidate | None = None) -> Candidate:
        """An optimal candidate of the whole Program, or declined where most scenarios matter."""
        own, measure, droppable = _structure(program)
        kept = _worst(program, own, measure, droppable, program.start if warm is None else warm.h)
        for _ in range(_ROUNDS):
            if (kept & droppable).sum() > _MOST * droppable.sum():
                return Candidate.none(program, Status.DECLINED, "most scenarios matter")
            found = self._of(program, own, kept, deadline)
            if found.status is not Status.OPTIMAL:
                return replace(found, status=Status.FAILED)
            beyond = np.where(kept, 0.0, row_violations(program, found.h) - row_tolerances(program, found.h))
            broken = np.flatnonzero(beyond > 0)
            if not len(broken):
                return found
            most = max(len(program.columns) - int(droppable.sum()), int(kept.sum()) // 3)
            kept[broken[np.argsort(-beyond[broken])[:most]]] = True
        return Candidate.none(program, Status.DECLINED, f"scenarios still broken after {_ROUNDS} rounds")

    def _of(self, p: Program, own: Array, kept: Array, deadline: float | None) -> Candidate:
        """The candidate of the kept rows, told of all: dropped ones weigh nothing."""
        rest = own[(own >= 0) & ~kept]
        upper = p.upper.copy()
        upper[rest] = p.lower[rest]
        start = np.clip(p.start, p.lower, upper)
        at = np.flatnonzero(kept)
        part = replace(
            p, start=start, upper=upper, row_names=tuple(p.row_names[i] for i in at), rows=p.rows[at],
            rows_on_holdings=p.rows_on_holdings[at], rows_on_trades=p.rows_on_trades[at],
            **{name: getattr(p, name)[at] for name in _ROW_FIELDS},
        )  # fmt: skip
        small, columns = narrowed(part)
        found = self.inner(small, deadline, None)
        h, multipliers = np.clip(p.lower, p.lower, upper), np.zeros(len(p.row_names))
        h[columns], multipliers[at] = found.h, found.multipliers
        return replace(found, h=h, multipliers=multipliers)


def _droppable(p: Program) -> Array:
    """Rows (a mask) that define an auxiliary from below: hard, without a lower limit."""
    return (p.row_tier < 0) & np.isinf(p.row_penalty) & np.isneginf(p.row_lower)


def _structure(p: Program) -> tuple[Array, Array, Array]:
    """By row: its own auxiliary (in no other row that defines one; -1: none), what it measures with others, a mask."""
    droppable = _droppable(p)
    auxiliary = np.flatnonzero(p.lot == 0)
    block = sp.coo_array(p.rows[np.flatnonzero(droppable)][:, auxiliary])
    entry = block.data != 0
    row, column = np.flatnonzero(droppable)[block.row[entry]], auxiliary[block.col[entry]]
    alone = np.bincount(column, minlength=len(p.columns))[column] == 1
    own, measure = np.full(len(p.row_names), -1), np.full(len(p.row_names), -1)
    own[row[alone]], measure[row[~alone]] = column[alone], column[~alone]
    return own, measure, droppable


def _worst(p: Program, own: Array, measure: Array, droppable: Array, h: Array) -> Array:
    """Rows to begin with: those that are no scenario's, and of each measure the worst at h."""
    h = np.clip(h, p.lower, p.upper)
    h[own[own >= 0]] = p.lower[own[own >= 0]]
    loss = np.where(droppable, row_values(p, h) - p.row_upper, -np.inf)
    kept = ~droppable
    for one in np.unique(measure[droppable]):
        rows = np.flatnonzero(droppable & (measure == one))
        count = int(_FIRST * len(rows)) + _COLUMNS * (len(p.columns) - int((own >= 0).sum()))
        kept[rows[np.argsort(-loss[rows], kind="stable")[:count]]] = True
    return kept
