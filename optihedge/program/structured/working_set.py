"""Risk of about as many factors as columns: the columns that move are found first, the rest waits at its start.

A surrogate of few factors, or an earlier answer, names the columns that move. The Program is solved over these, and its
multipliers tell, column by column, what the others would gain by moving (the duality gap of the whole Program): those
that would join, until none does. What is proved is the whole Program's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.duality import clip_multipliers, column_slopes, dual_gap, scale_of
from optihedge.program.program import Program
from optihedge.program.status import Status
from optihedge.program.structured.own_variance import with_own_variance

_LEAST_COLUMNS, _LEAST_FACTORS = 150, 100
_MANY, _ENOUGH = 0.25, 250  # factors a column from which it is worth it, and factors from which it is anyhow
_MOST = 0.8  # of the columns: with more, the whole Program is no dearer
_ROUNDS = 12
_FEW = 40  # columns that a round may always add
_NEARLY = 0.05  # of the way between a column's slopes on its two sides: a column so near to gaining joins those that do
_RANK = 20
_LEAST_OWN = 1e-6  # of a column's variance, in the surrogate
_EXACT = 1e-11  # of the scale: what no column gains

Solve = Callable[[Program, Candidate | None], Candidate]


def worth_a_working_set(program: Program) -> bool:
    """Whether factors are so many that Newton steps over a part of the columns pay, and costs keep others still."""
    n, k, *_ = program.size
    kinks = program.buy + program.sell > 0
    large = n >= _LEAST_COLUMNS and k >= max(_LEAST_FACTORS, min(_MANY * n, _ENOUGH))
    moving = program.lower < program.upper
    return large and not program.has_cones and bool(moving.sum() >= _LEAST_COLUMNS and kinks[moving].mean() > 0.5)


def by_working_set(program: Program, solve: Solve, warm: Candidate | None) -> Candidate | None:
    """The optimum of the whole Program, from solves over some of its columns; None where that does not end."""
    rest = np.clip(program.start, program.lower, program.upper)
    moving = program.lower < program.upper
    first = warm if warm is not None else solve(_surrogate(program), None)
    if not (np.isfinite(first.h).all() and np.isfinite(first.multipliers).all()):
        return None
    chosen = moving & (np.clip(first.h, program.lower, program.upper) != rest)
    chosen |= _joining(program, first, moving & ~chosen, int(chosen.sum()), rough=True)
    last = first
    for _ in range(_ROUNDS):
        if chosen.sum() > _MOST * moving.sum():
            return None
        lower, upper = np.where(chosen, program.lower, rest), np.where(chosen, program.upper, rest)
        found = solve(with_own_variance(program.boxed(lower, upper)), last)
        if found.status is not Status.OPTIMAL:
            return None
        more = _joining(program, found, moving & ~chosen, int(chosen.sum()))
        if not more.any():
            return found
        chosen, last = chosen | more, found
    return None


def _joining(program: Program, candidate: Candidate, among: Array, known: int, rough: bool = False) -> Array:
    """The columns that would gain by moving, by the multipliers of an answer over others, and where some do or the
    answer is rough, those that nearly would; of many that gain the ones that gain most, as many as are `known`: where
    few move, multipliers say little of the rest.
    """
    h = np.clip(candidate.h, program.lower, program.upper)
    gap = dual_gap(program, h, clip_multipliers(program, candidate.multipliers))
    gain = np.where(among, gap.columns, 0.0)
    gaining = gain > _EXACT * scale_of(program, h) / len(h)
    if not (rough or gaining.any()):
        return gaining
    most = max(known, _FEW)
    if gaining.sum() > most:
        gaining &= gain >= np.partition(gain, -most)[-most]
    below, above = column_slopes(program, gap, h)
    near = (below < 0) & (above > 0) & (np.minimum(above, -below) < _NEARLY * (above - below))
    return gaining | (near & among)


def _surrogate(p: Program) -> Program:
    """The same with the strongest directions of its factors, the rest of each variance the column's own."""
    size = np.sqrt((p.factors**2).sum(axis=0))
    scaled = p.factors / np.where(size > 0, size, 1.0)
    basis = np.random.default_rng(0).normal(size=(p.factors.shape[1], _RANK))
    for _ in range(3):
        basis = np.linalg.qr(scaled.T @ (scaled @ basis))[0]
    values, vectors = np.linalg.eigh((shadow := scaled @ basis).T @ shadow)
    root = ((basis @ vectors) * np.sqrt(np.maximum(values, 0.0))).T
    own = np.maximum(1.0 - (root**2).sum(axis=0), _LEAST_OWN) * size**2
    return p.restated(root * size, np.zeros(_RANK), p.diagonal + own, p.linear + p.factor_offset @ p.factors)
