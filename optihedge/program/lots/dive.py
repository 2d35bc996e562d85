"""The dive: fix the coarsest legs at whole lots, solve the rest again, until every leg is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.general.scaling import column_risk
from optihedge.program.lots.grid import Grid
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
    def status(self) -> Status:
        """What is proved of them, or claimed."""


def dive(
    program: Program, h: Array, solve: Callable[[Program], Answer], grid: Grid, multipliers: Array | None
) -> tuple[Array, int]:
    """Fix the coarsest legs at their nearest permitted lots, solve the rest again, until all are whole."""
    soft = replace(program, row_penalty=_penalties(program, h, grid, multipliers))
    coarse = _coarseness(program, grid)
    lower, upper = program.lower.copy(), program.upper.copy()
    free = grid.lumpy.copy()
    stuck = (grid.lot > 0) & (grid.low == grid.high)
    h = np.clip(h, lower, upper)
    h[stuck] = _snap(grid, h, np.flatnonzero(stuck))
    lower[stuck] = upper[stuck] = h[stuck]
    batch, solves = 0, 0
    while True:
        open_legs = np.flatnonzero(free & ~grid.permitted(grid.lots(h)))
        if not len(open_legs):
            break
        batch = max(batch, int(np.ceil(_SHARE * len(open_legs)))) if solves < _ROUNDS else len(open_legs)
        fixed = open_legs[np.argsort(-coarse[open_legs], kind="stable")[:batch]]
        h = h.copy()
        h[fixed] = _snap(grid, h, fixed)
        lower[fixed] = upper[fixed] = h[fixed]
        free[fixed] = False
        if solves < _ROUNDS and (free.any() or (grid.lot == 0).any()):
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


def _penalties(program: Program, h: Array, grid: Grid, multipliers: Array | None) -> Array:
    """Every hard row made soft: 1e3 x its multiplier, at least the whole objective for one coarsest lot beyond it."""
    weights = np.abs(program.rows.toarray()) + program.rows_on_holdings.toarray() + program.rows_on_trades.toarray()
    coarsest = (weights * grid.lot).max(axis=1, initial=0.0)
    scale = risk_value(program, program.start) + risk_value(program, h)
    scale += np.abs(program.trading(h - program.start)).sum() + np.abs(program.holding(h)).sum()
    floor = max(scale, 1e-6) / np.where(coarsest > 0, coarsest, 1.0)
    held = np.abs(multipliers) * _PENALTY if multipliers is not None else 0.0
    return np.where(np.isfinite(program.row_penalty), program.row_penalty, np.maximum(held, floor))


def _coarseness(program: Program, grid: Grid) -> Array:
    """Size of each leg's lot against the coarsest on any row or in risk, between 0 and 1."""
    lots = np.vstack([
        np.abs(program.rows.toarray()) * grid.lot,
        column_risk(program) * grid.lot,
    ])  # fmt: skip
    largest = lots.max(axis=1, initial=0.0, keepdims=True)
    return (lots / np.where(largest > 0, largest, 1.0)).max(axis=0)
