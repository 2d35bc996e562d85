"""Whole lots: from a continuous answer to quantities that a venue accepts, limits kept.

One leg after another is rounded and the rest makes up for it; then a local search, where lots are dear the rest solved
again, and with few legs an integer program. The continuous optimum bounds what any lot choice could reach, so the price
of whole lots is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from optihedge.program.arrays import Array
from optihedge.program.aversion import at_answer, with_aversion
from optihedge.program.defined import with_defined
from optihedge.program.duality import scale_of
from optihedge.program.lots.cone_limits import meet_own
from optihedge.program.lots.dive import Answer, dive, settle
from optihedge.program.lots.few_legs import MOST_LEGS, best_lots
from optihedge.program.lots.grid import Grid
from optihedge.program.lots.local_search import GAIN, improve
from optihedge.program.lots.neighbourhood import Neighbourhood
from optihedge.program.lots.refined import LISTS, idle, may_be_several, refined, rows_met, starts
from optihedge.program.lots.row_ends import RowEnds
from optihedge.program.lots.successive import several
from optihedge.program.narrow import narrowed
from optihedge.program.own.terms import OwnTerms
from optihedge.program.program import Program, objective

_SHARE_LEFT, _WHOLE = 0.1, 1e-9  # of what a lot of each split column leaves together; of a lot: less is whole
_TOUCHES, _APART = 5, 1e-3  # quadratic Programs for a price of volatility, where lots move it by more than this
_DEAR, _NEAREST = 1e-3, 2  # of the objective's scale: where lots of many legs cost less, the nearest of these do
_DESCENTS = 20
_SHARE_OF_TOUCH = 0.04  # of the work for few legs' best list: under another aversion, where a good one is known


@dataclass(frozen=True, eq=False)
class Rounding:
    """Whole-lot quantities and what they cost against the continuous optimum.

    h          n, contracts; auxiliary columns continuous
    objective  base currency, at h; `bound` the continuous optimum's, below which no lot choice can fall
    ends       where rows end, then a volatility limit and the user's own constraints, where nothing is allowed
    """

    h: Array
    objective: float
    bound: float
    ends: RowEnds
    solves: int
    moves: int

    @property
    def rows(self) -> pd.DataFrame:
        """By row name: value, lower, upper, violation and allowed violation, desk unit; `finest` leg traded on it."""
        return self.ends.table

    @property
    def gap(self) -> float:
        """Objective above the continuous optimum, base currency; with equal limits no lot choice has a negative one."""
        return self.objective - self.bound

    @property
    def broken(self) -> pd.DataFrame:
        """Hard rows that end further outside their band than half the finest traded lot explains."""
        return self.rows[self.ends.over(self.ends.allowed)]


def round_program(
    program: Program,
    h: Array,
    solve: Callable[[Program], Answer],
    *,
    multipliers: Array | None = None,
    smallest: Array | None = None,
    until: float | None = None,
) -> Rounding:
    """Whole lots near the continuous optimum h (n): every trade a multiple of its lot, every quantity in its box.

    solve        takes a Program and returns anything with `.h` and `.status`
    multipliers  m, of the continuous optimum; they set how hard the dive holds each row
    smallest     n, contracts: the least |trade| of each column (minimum quantity or notional)
    until        instant (`time.perf_counter`, s) from which no better list is looked for than the one at hand

    With at most eight lumpy legs bands are met exactly, at the least objective; unless no lots do, or that raises the
    objective by more than it costs to trade the best list within half the finest traded lot of its bands: then that
    list is the answer. Where there is none either, their violations' sum is least, each row's in lots of its median
    leg. With more legs a row ends at most that half lot beyond its band, or is named in `broken`.

    Raises InfeasibleError where a box holds no whole lot.

    A price of volatility is rounded by quadratic Programs that touch it from above: at h, and where whole lots leave
    another volatility, at some between that and no trade's; where many legs' lots cost little, the nearest of these do.
    Many legs are then improved at the lots' own volatility, until none moves.
    """
    inner, columns = narrowed(program)
    if len(columns) < len(program.columns):
        least = None if smallest is None else smallest[columns]
        found = round_program(inner, h[columns], solve, multipliers=multipliers, smallest=least, until=until)
        return _widened(program, h, found, columns, smallest)
    if program.volatility_price is None:
        return _round(program, h, solve, multipliers, smallest, until)
    price, exact = program.volatility_price, _volatility_left(program, h)

    def rounded(quadratic: Program) -> Rounding:
        found = _round(quadratic, h, solve, multipliers, smallest, until)
        return replace(found, objective=objective(program, found.h), bound=objective(program, h))

    if not exact > 0:
        return rounded(at_answer(program, h))
    best = rounded(with_aversion(program, price.price / exact))
    if best.gap <= GAIN * scale_of(program, h) and not best.ends.over().any():
        return best  # no other lots can gain
    whole, before = price.volatility(best.h), price.volatility(program.start)
    few = Grid.of(program, smallest).lumpy.sum() <= MOST_LEGS
    if abs(whole - exact) > _APART * exact:
        low, high = min(exact, whole or exact), max(whole, before, exact)
        dear = few or best.gap > _DEAR * scale_of(program, h)
        sigmas = np.setdiff1d(np.geomspace(low, high, _TOUCHES)[: _TOUCHES if dear else _NEAREST], exact)
        best = _touched(program, h, best, (price.price / sigmas).tolist(), solve, multipliers, smallest, until)
    if few:
        return best
    best = _descended(program, best, smallest, until)
    return _of_several(program, h, best, solve, multipliers, smallest, until)


def _touched(
    program: Program, h: Array, best: Rounding, aversions: list[float], solve: Callable[[Program], Answer],
    multipliers: Array | None, smallest: Array | None, until: float | None,
) -> Rounding:  # fmt: skip
    """The best of a rounding and those under other aversions, of the columns it trades or that trade most cheaply."""
    if not aversions:
        return best
    around = Neighbourhood(at_answer(program, h), Grid.of(program, smallest), until)
    still = idle(around, np.clip(h, program.lower, program.upper), best.h, multipliers)
    lower, upper = np.where(still, best.h, program.lower), np.where(still, best.h, program.upper)
    inner, columns = narrowed(program.boxed(lower, upper))
    least, answers = None if smallest is None else smallest[columns], [best]
    for aversion in aversions:
        if around.left <= 0:
            break
        touch = with_aversion(inner, aversion)
        found = _round(touch, h[columns], solve, multipliers, least, until, near=best.h[columns])
        whole = best.h.copy()
        whole[columns] = found.h
        ends = RowEnds.of(around, whole)
        answers.append(replace(found, h=whole, objective=objective(program, whole), bound=best.bound, ends=ends))
    return min(answers, key=_order)


def _of_several(
    program: Program, h: Array, best: Rounding, solve: Callable[[Program], Answer], multipliers: Array | None,
    smallest: Array | None, until: float | None,
) -> Rounding:  # fmt: skip
    """The better of a rounding of not too many legs under a price of volatility and several lists around two optima:
    the Program's own, and that of its touch where the rounding is; what they are worth is told at their own volatility.
    """
    around = Neighbourhood(program, Grid.of(program, smallest), until)
    share, at = best.gap / max(scale_of(program, h), 1e-300), at_answer(program, best.h)
    if share <= _DEAR or multipliers is None or not may_be_several(around) or at.has_cones or around.left <= 0:
        return best
    optima, answer = [(at_answer(program, h), h, multipliers)], solve(at)
    if np.isfinite(answer.h).all():
        optima.append((at, answer.h, answer.multipliers))
    lists = np.vstack([
        several(Neighbourhood(touch, around.grid), np.clip(q, program.lower, program.upper), m, LISTS)
        for touch, q, m in optima
    ])  # fmt: skip
    value, excess = np.array([objective(program, one) for one in lists]), around.excess_of(lists)
    for first in np.lexsort((value, excess))[: starts(share)]:
        ends = RowEnds.of(around, lists[first])
        other = replace(best, h=lists[first], objective=float(value[first]), ends=ends)
        best = min(best, _descended(program, other, smallest, until), key=_order)
    return best


def _order(one: Rounding) -> tuple[float, float]:
    """Of roundings: how far beyond their limits, then the objective."""
    return round(one.ends.beyond, 9), one.objective


def _descended(program: Program, best: Rounding, smallest: Array | None, until: float | None) -> Rounding:
    """Many legs under a price of volatility improved by touches at the lots themselves, until none moves."""
    grid = Grid.of(program, smallest)
    if program.cvxpy_terms or ((grid.lot == 0) & (program.lower < program.upper)).any():
        return best
    for _ in range(_DESCENTS):
        h, moves = improve(Neighbourhood(at_answer(program, best.h), grid, until), best.h)
        value = objective(program, h)
        if not moves or value >= best.objective:
            break
        ends = RowEnds.of(Neighbourhood(program, grid), h)
        best = replace(best, h=h, objective=value, ends=ends, moves=best.moves + moves)
    return best


def _volatility_left(program: Program, h: Array) -> float:
    """The volatility at h; of a hedge that leaves none or nearly so, part of what lots of its split columns have."""
    v = program.volatility_price
    assert v is not None
    lots = (h - program.start) / np.where(program.lot > 0, program.lot, 1.0)
    split = (program.lot > 0) & (np.abs(lots - np.round(lots)) > _WHOLE)
    fractions = float(np.linalg.norm((v.each * program.lot)[split]))
    return max(v.volatility(h), _SHARE_LEFT * fractions)


def _widened(program: Program, h: Array, found: Rounding, columns: Array, smallest: Array | None) -> Rounding:
    """What was found over the columns that can move, told of all."""
    whole = np.clip(h, program.lower, program.upper)
    whole[columns] = found.h
    ends = RowEnds.of(Neighbourhood(program, Grid.of(program, smallest)), whole)
    return replace(found, h=whole, objective=objective(program, whole), bound=objective(program, h), ends=ends)


def _round(
    program: Program,
    h: Array,
    solve: Callable[[Program], Answer],
    multipliers: Array | None,
    smallest: Array | None,
    until: float | None,
    near: Array | None = None,
) -> Rounding:
    """As `round_program`, without prices of volatility.

    near   a list known to be good, where h is the optimum of another Program; None: of this one
    """
    around = Neighbourhood(program, Grid.of(program, smallest), until)
    grid, inside, solves, moves = around.grid, np.clip(h, program.lower, program.upper), 0, 0
    if program.cvxpy_terms:  # only CVXPY can value these: the dive's answer stands unless it breaks one
        dived, solves = dive(around, h, solve, multipliers)
        own = OwnTerms(program)
        met, moves = meet_own(around, own, dived)
        value, bound = (objective(program, q) + own.at(q)[0] for q in (met, h))
        return Rounding(met, value, bound, RowEnds.of(around, met, own), solves, moves)
    answer = _nearest(around, inside, multipliers) if near is None else None
    if answer is not None:
        return Rounding(answer, objective(program, answer), objective(program, h), RowEnds.of(around, answer), 0, 0)
    continuous = (grid.lot == 0) & (program.lower < program.upper)
    if program.has_cones or continuous.any() or near is not None:
        start, solves = dive(around, h, solve, multipliers)
        found, moves = improve(around, start)
        found = rows_met(around, found)
    else:
        found, solves, moves = refined(around, inside, solve, multipliers)
    centre = np.where(grid.lumpy, inside, found)
    if near is None:
        best = best_lots(around, centre, [found], multipliers if (centre == inside).all() else None)
    else:  # one of several Programs
        best = best_lots(around, centre, [found, near], share=_SHARE_OF_TOUCH)
    answer = found if best is None else best
    if (grid.lot == 0).any() and solves:
        answer, solves = settle(program, answer, solve, grid, solves)
        answer = with_defined(program, answer)
    return Rounding(
        answer, objective(program, answer), objective(program, h), RowEnds.of(around, answer), solves, moves
    )


def _nearest(around: Neighbourhood, h: Array, multipliers: Array | None) -> Array | None:
    """The nearest lots of every leg at once where multipliers prove that no others gain. None elsewhere."""
    p, grid = around.program, around.grid
    if multipliers is None or (grid.lot == 0).any():
        return None
    whole, least = grid.start + grid.lot * grid.nearest(grid.lots(h)), objective(p, h)
    room = around.exposure.max(axis=1, initial=0.0) / 2  # the most by which lots may leave a band
    above = objective(p, whole) - least + float(np.abs(multipliers) @ room)
    # the optimum of wider bands is lower by no more than room at the multipliers' price
    return whole if above <= GAIN * abs(least) and around.rank(whole)[0] == 0 else None
