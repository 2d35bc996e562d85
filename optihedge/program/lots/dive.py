"""The dive: fix the coarsest legs at whole lots, solve the rest again, until every leg is whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.lots.grid import Grid
from optihedge.program.lots.neighbourhood import Neighbourhood
from optihedge.program.program import Program, risk_value
from optihedge.program.status import Status

_SHARE = 0.15  # of the legs still to be made whole, fixed before the rest is solved again
_ROUNDS = 8  # solves of the dive; then what is left is rounded: each further one only moves the remainder on
_PENALTY = 1e3  # x a row's multiplier: what a hard row costs while the dive may still bend it


class Answer(Protocol):
    """What a solve gives back."""

    @property
    def h(self) -> Array:
        """Quantities, n contracts."""

    @property
    def multipliers(self) -> Array:
        """Of its rows, m."""

    @property
    def status(self) -> Status:
        """What is proved of them, or claimed."""


def dive(
    around: Neighbourhood, h: Array, solve: Callable[[Program], Answer], multipliers: Array | None
) -> tuple[Array, int]:
    """Fix the coarsest legs at their nearest permitted lots, solve the rest again, until all are whole."""
    program, grid, coarse = around.program, around.grid, around.coarseness
    soft = bent(around, h, multipliers)
    lower, upper = program.lower.copy(), program.upper.copy()
    free = grid.lumpy.copy()
    stuck = (grid.lot > 0) & (grid.low == grid.high)
    h = np.clip(h, lower, upper)
    h[stuck] = _snap(grid, h, np.flatnonzero(stuck))
    lower[stuck] = upper[stuck] = h[stuck]
    batch, solves = 0, 0
    more = lambda: solves < _ROUNDS and around.left > 0  # noqa: E731
    while True:
        open_legs = np.flatnonzero(free & ~grid.permitted(grid.lots(h)))
        if not len(open_legs):
            break
        batch = max(batch, int(np.ceil(_SHARE * len(open_legs)))) if more() else len(open_legs)
        fixed = open_legs[np.argsort(-coarse[open_legs], kind="stable")[:batch]]
        h = h.copy()
        h[fixed] = _snap(grid, h, fixed)
        lower[fixed] = upper[fixed] = h[fixed]
        free[fixed] = False
        if more() and (free.any() or (grid.lot == 0).any()):
            answer = solve(soft.boxed(lower, upper))
            solves += 1
            told = np.isfinite(answer.h).all()
            if program.cvxpy_terms:  # these stay hard: the lots fixed so far may leave no answer
                told &= answer.status is Status.OPTIMAL
            h = np.clip(answer.h, lower, upper) if told else h
    lumpy = np.flatnonzero((grid.lot > 0) & (grid.low <= grid.high))
    h[lumpy] = _snap(grid, h, lumpy)
    return h, solves


def _snap(grid: Grid, h: Array, columns: Array) -> Array:
    lots = grid.nearest(grid.lots(h)[columns], columns)
    return grid.start[columns] + grid.lot[columns] * lots


def settle(
    program: Program, h: Array, solve: Callable[[Program], Answer], grid: Grid, solves: int
) -> tuple[Array, int]:
    """Auxiliary columns solved once more for the final lots."""
    lower, upper = np.where(grid.lot > 0, h, program.lower), np.where(grid.lot > 0, h, program.upper)
    answer = np.asarray(solve(program.boxed(lower, upper)).h, dtype=float)
    return (np.clip(answer, lower, upper) if np.isfinite(answer).all() else h), solves + 1


def bent(around: Neighbourhood, h: Array, multipliers: Array | None) -> Program:
    """Every hard row made soft: 1e3 x its multiplier, at least the whole objective for one coarsest lot beyond it."""
    p = around.program
    coarsest = ((np.abs(around.rows) + around.on_holdings + around.on_trades) * around.grid.lot).max(
        axis=1, initial=0.0
    )
    scale = risk_value(p, p.start) + risk_value(p, h)
    scale += np.abs(p.trading(h - p.start)).sum() + np.abs(p.holding(h)).sum()
    floor = max(scale, 1e-6) / np.where(coarsest > 0, coarsest, 1.0)
    held = np.abs(multipliers) * _PENALTY if multipliers is not None else 0.0
    return p.derived(row_penalty=np.where(around.hard, np.maximum(held, floor), p.row_penalty))
