"""Whole lots of a quadratic Program: rounded leg by leg and improved; where that is dear, in part solved again.

Several lists of not too many legs are other starts. The coarsest legs of the best list so far stay, the rest is solved
with them fixed, rounded and improved. Where lots are dearer still, the dive is another start.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.duality import clip_multipliers, column_slopes, dual_gap, scale_of
from optihedge.program.lots.dive import Answer, bent, dive
from optihedge.program.lots.few_legs import MOST_LEGS
from optihedge.program.lots.local_search import GAIN, improve
from optihedge.program.lots.lot_program import mended
from optihedge.program.lots.neighbourhood import Neighbourhood
from optihedge.program.lots.successive import several, successive
from optihedge.program.narrow import narrowed
from optihedge.program.program import Program, objective

_DEAR, _DEAREST = 1e-4, 2e-3  # of the objective's scale: what lots cost above which more is tried, and the dive too
_MOST, LISTS = 64, 32  # legs of which several lists are had at once, and how many lists
_STARTS = ((1e-3, 2), (1e-2, 4), (np.inf, 12))  # up to that share of the objective's scale so many are improved
_KEPT = (0.25, 0.5)  # of the legs traded, the coarsest first
_COLUMNS = 80  # solved again: those traded, and those whose trading costs least
_LARGE, _WORTH = 50_000, 0.7  # entries of a root, and share of its columns, to which fewer are looked for

Solve = Callable[[Program], Answer]


def refined(around: Neighbourhood, h: Array, solve: Solve, multipliers: Array | None) -> tuple[Array, int, int]:
    """The best list found near the continuous optimum h (n, in its box); solves and moves made."""
    p, least = around.program, objective(around.program, h)
    scale, few = scale_of(p, h), around.grid.lumpy.sum() <= MOST_LEGS
    nearest = around.grid.start + around.grid.lot * around.grid.nearest(around.grid.lots(h))
    been: set[bytes] = set()  # lists that were improved
    free = around.rank(nearest) <= (0.0, least + GAIN * abs(least))  # then there is nothing to make up for
    found = nearest if free else successive(around, h, multipliers)
    found, moves = _improved(around, h, found, multipliers, been)
    found, solves = rows_met(around, found), 0
    rank = around.rank(found)

    def dear(share: float) -> bool:
        return not few and around.left > 0 and (rank[0] > 0 or rank[1] - least > share * scale)

    if dear(_DEAR) and multipliers is not None and may_be_several(around):
        count = starts((rank[1] - least) / max(scale, 1e-300))
        (rank, found), more = _of_several(around, h, (rank, found), multipliers, count, been)
        moves += more
    for kept in _KEPT:
        if dear(_DEAR):
            other, more = improve(around, _solved_again(around, h, found, solve, multipliers, kept), been=been)
            (rank, found), moves, solves = _better(around, rank, found, other), moves + more, solves + 1
    if dear(_DEAREST):
        start, some = _dived(around, h, found, solve, multipliers)
        other, more = improve(around, start, been=been)
        other = rows_met(around, other)
        (rank, found), moves, solves = _better(around, rank, found, other), moves + more, solves + some
    return found, solves, moves


def _better(
    around: Neighbourhood, rank: tuple[float, float], found: Array, other: Array
) -> tuple[tuple[float, float], Array]:
    """The better of a list whose rank is known and another, and its rank."""
    after = around.rank(other)
    return (after, other) if after < rank else (rank, found)


def _improved(
    around: Neighbourhood, h: Array, found: Array, multipliers: Array | None, been: set[bytes]
) -> tuple[Array, int]:  # fmt: skip
    """The list `found` after the local search, of a large root over the columns that a better one may trade; and moves
    made.
    """
    if around.root.size < _LARGE:
        return improve(around, found, been=been)
    columns = np.flatnonzero(tradable(around, h, found, multipliers))
    if not 0 < len(columns) <= _WORTH * len(h):
        return improve(around, found, been=been)
    inner, moves = improve(around.over(columns, found), found[columns])
    whole = found.copy()
    whole[columns] = inner
    return whole, moves


def tradable(around: Neighbourhood, h: Array, found: Array, multipliers: Array | None) -> Array:
    """Columns (a mask) that may be traded by a list that is better than `found`, which breaks no row.

    By multipliers no list is worth less than the bound of h (n), more what each column's quantity costs beside its best
    (its part of the duality gap), less the room that the list's finest leg gives the rows, at their prices. A better
    list trades each leg whose rest alone would cost too much, so that its room is no more than any of theirs.
    """
    p, grid = around.program, around.grid
    excess, value = around.rank(found)
    if multipliers is None or excess > 0:
        return grid.lumpy
    m = clip_multipliers(p, multipliers)
    gap, least = dual_gap(p, h, m), objective(p, h)
    above = value - least + gap.total + GAIN * abs(least) + float(np.abs(m) @ (around.flat * around.units))
    still, lot = np.clip(p.start, p.lower, p.upper), grid.least * grid.lot
    room = around.exposure.max(axis=1, initial=0.0) / 2
    traded = gap.parts(p.start, still) > above + float(np.abs(m) @ room)
    finest = np.where(traded & (around.exposure > 0), around.exposure, np.inf).min(axis=1, initial=np.inf)
    above += float(np.abs(m) @ np.minimum(room, finest / 2))
    apart = [gap.parts(p.start, np.clip(p.start + lots, p.lower, p.upper)) for lots in (lot, -lot)]
    return grid.lumpy & ((found != p.start) | (np.minimum(*apart) <= above))


def rows_met(around: Neighbourhood, h: Array) -> Array:
    """The list h; where it breaks a row, the better of it and the nearest list that breaks none, improved."""
    near = mended(around, h) if around.rank(h)[0] > 0 else None
    return h if near is None else min(h, improve(around, near)[0], key=around.rank)


def may_be_several(around: Neighbourhood) -> bool:
    """Whether several lists are had at once: of not too many legs, and of nothing that is not traded in lots."""
    p, grid = around.program, around.grid
    return bool(grid.lumpy.sum() <= _MOST and not ((grid.lot == 0) & (p.lower < p.upper)).any())


def starts(share: float) -> int:
    """How many of several lists are improved, where lots cost so much of the objective's scale."""
    return next(count for most, count in _STARTS if share <= most)


def _of_several(
    around: Neighbourhood, h: Array, best: tuple[tuple[float, float], Array], multipliers: Array, count: int,
    been: set[bytes],
) -> tuple[tuple[tuple[float, float], Array], int]:  # fmt: skip
    """The best of a list and its rank and of so many of several that are improved; and moves made."""
    lists, made = several(around, h, multipliers, LISTS), 0
    excess, value = around.points(lists, around.allowance(np.round(around.grid.lots(lists))))
    for first in np.lexsort((value, np.round(excess, 9)))[:count]:
        other, moves = improve(around, lists[first], been=been)
        best, made = _better(around, *best, other), made + moves
    return best, made


def _solved_again(
    around: Neighbourhood, h: Array, found: Array, solve: Solve, multipliers: Array | None, kept: float
) -> Array:
    """The list after all but the coarsest legs of `found` are solved and rounded again."""
    p, fixed = around.program, idle(around, h, found, multipliers)
    traded = np.flatnonzero(~fixed & (found != p.start))
    traded = traded[np.argsort(-around.coarseness[traded], kind="stable")]
    fixed[traded[: int(np.ceil(kept * len(traded)))]] = True
    if fixed.all():
        return found
    soft = bent(around, h, multipliers)
    inner, columns = narrowed(soft.boxed(np.where(fixed, found, p.lower), np.where(fixed, found, p.upper)))
    answer, whole = solve(inner), found.copy()
    if not np.isfinite(answer.h).all():
        return found
    whole[columns] = np.clip(answer.h, inner.lower, inner.upper)
    return successive(around, whole, answer.multipliers, fixed)


def _dived(around: Neighbourhood, h: Array, found: Array, solve: Solve, multipliers: Array | None) -> tuple[Array, int]:
    """The dive's list, over the columns that are solved again; and its solves."""
    p, fixed = around.program, idle(around, h, found, multipliers)
    inner, columns = narrowed(p.boxed(np.where(fixed, found, p.lower), np.where(fixed, found, p.upper)))
    near, whole = Neighbourhood(inner, around.grid.over(inner, columns)), found.copy()
    whole[columns], solves = dive(near, h[columns], solve, multipliers)
    return whole, solves


def idle(around: Neighbourhood, h: Array, found: Array, multipliers: Array | None) -> Array:
    """Columns (a mask) that are not solved again: without a choice, or beyond the most and dearest to trade by their
    reduced costs.
    """
    p, still = around.program, ~around.grid.lumpy
    if multipliers is not None and len(h) > _COLUMNS:
        below, above = column_slopes(p, dual_gap(p, h, clip_multipliers(p, multipliers)), h)
        dear = np.maximum(np.minimum(above, -below), 0.0) / np.sqrt(np.maximum(around.curvature, 1e-300))
        dear[found != p.start] = -1.0
        still[np.argsort(dear, kind="stable")[_COLUMNS:]] = True
    return still
