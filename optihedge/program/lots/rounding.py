"""Whole lots: from a continuous answer to quantities that a venue accepts, limits kept.

Fix the coarsest legs, solve the rest again, repeat until every leg is whole; then search locally, and with few legs by
an integer program. The continuous optimum bounds what any lot choice could reach, so the price of whole lots is known.
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
from optihedge.program.lots.cone_limits import meet_own, other_limits
from optihedge.program.lots.dive import Answer, dive, settle
from optihedge.program.lots.few_legs import MOST_LEGS, best_lots
from optihedge.program.lots.grid import Grid
from optihedge.program.lots.local_search import GAIN, Neighbourhood, improve
from optihedge.program.lots.lot_program import nearest_within
from optihedge.program.narrow import narrowed
from optihedge.program.own.terms import OwnTerms
from optihedge.program.program import RESIDUAL_TOLERANCE, Program, objective, row_values, row_violations

_LADDER = 4  # finest traded legs of each row that may mend what the local search could not
_REACH = 50  # lots
_FINE = 1e-9  # of the objective's scale: lots that cost no more are as good as none
_ROUGH, _ROUGH_MANY = 10.0, 1e4  # times that: what the nearest lots of few, of many legs may cost before improved
_SHARE_LEFT, _WHOLE = 0.1, 1e-9  # of what a lot of each split column leaves together; of a lot: less is whole
_TOUCHES, _APART = 5, 1e-3  # quadratic Programs for a price of volatility, where lots move it by more than this
_DEAR = 1e-3  # of the objective's scale: where lots of many legs cost less, they are looked for near the optimum alone
_DESCENTS = 20


@dataclass(frozen=True, eq=False)
class Rounding:
    """Whole-lot quantities and what they cost against the continuous optimum.

    h          n, contracts; auxiliary columns continuous
    objective  base currency, at h; `bound` the continuous optimum's, below which no lot choice can fall
    rows       by row name: value, lower, upper, violation and allowed violation, desk unit; `finest` leg traded on it;
               then a volatility limit and the user's own constraints, where nothing is allowed
    """

    h: Array
    objective: float
    bound: float
    rows: pd.DataFrame
    solves: int
    moves: int

    @property
    def gap(self) -> float:
        """Objective above the continuous optimum, base currency; with equal limits no lot choice has a negative one."""
        return self.objective - self.bound

    @property
    def broken(self) -> pd.DataFrame:
        """Hard rows that end further outside their band than half the finest traded lot explains."""
        return self.rows[over(self.rows, self.rows["allowed"].to_numpy(float))]


def round_program(
    program: Program,
    h: Array,
    solve: Callable[[Program], Answer],
    *,
    multipliers: Array | None = None,
    smallest: Array | None = None,
) -> Rounding:
    """Whole lots near the continuous optimum h (n): every trade a multiple of its lot, every quantity in its box.

    solve        takes a Program and returns anything with `.h` and `.status`
    multipliers  m, of the continuous optimum; they set how hard the dive holds each row
    smallest     n, contracts: the least |trade| of each column (minimum quantity or notional)

    With at most eight lumpy legs bands are met exactly, at the least objective; unless no lots do, or that raises the
    objective by more than it costs to trade the best list within half the finest traded lot of its bands: then that
    list is the answer. Where there is none either, their violations' sum is least, each row's in lots of its median
    leg. With more legs a row ends at most that half lot beyond its band, or is named in `broken`.

    Raises InfeasibleError where a box holds no whole lot.

    A price of volatility is rounded by quadratic Programs that touch it from above: at h, where whole lots leave less
    volatility at that, and where lots are dear or legs few at some up to no trade's. Many legs are then improved at the
    lots' own, until none moves.
    """
    inner, columns = narrowed(program)
    if len(columns) < len(program.columns):
        least = None if smallest is None else smallest[columns]
        return _widened(program, h, round_program(inner, h[columns], solve, multipliers=multipliers, smallest=least),
                        columns, smallest)  # fmt: skip
    if program.volatility_price is None:
        return _round(program, h, solve, multipliers, smallest)
    price, exact = program.volatility_price, _volatility_left(program, h)

    def rounded(quadratic: Program) -> Rounding:
        found = _round(quadratic, h, solve, multipliers, smallest)
        return replace(found, objective=objective(program, found.h), bound=objective(program, h))

    if not exact > 0:
        return rounded(at_answer(program, h))
    best = rounded(with_aversion(program, price.price / exact))
    whole, before = price.volatility(best.h), price.volatility(program.start)
    few = Grid.of(program, smallest).lumpy.sum() <= MOST_LEGS
    if abs(whole - exact) > _APART * exact:
        sigmas = [whole] if 0 < whole < exact else []
        if few or best.gap > _DEAR * scale_of(program, h):
            low, high = min(exact, whole or exact), max(whole, before, exact)
            sigmas = np.setdiff1d(np.geomspace(low, high, _TOUCHES), exact).tolist()
        answers = [best, *(rounded(with_aversion(program, price.price / sigma)) for sigma in sigmas)]
        best = min(answers, key=lambda one: (round(_beyond(one), 9), one.objective))
    return best if few else _descended(program, best, smallest)


def _descended(program: Program, best: Rounding, smallest: Array | None) -> Rounding:
    """Many legs under a price of volatility improved by touches at the lots themselves, until none moves."""
    grid = Grid.of(program, smallest)
    if program.cvxpy_terms or ((grid.lot == 0) & (program.lower < program.upper)).any():
        return best
    for _ in range(_DESCENTS):
        h, moves = improve(Neighbourhood(at_answer(program, best.h), grid), best.h)
        value = objective(program, h)
        if not moves or value >= best.objective:
            break
        rows = _rows(Neighbourhood(program, grid), h)
        best = replace(best, h=h, objective=value, rows=rows, moves=best.moves + moves)
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
    rows = _rows(Neighbourhood(program, Grid.of(program, smallest)), whole)
    return replace(found, h=whole, objective=objective(program, whole), bound=objective(program, h), rows=rows)


def _beyond(found: Rounding) -> float:
    """How far hard rows end beyond what rounding explains, in sum."""
    hard = found.rows[found.rows["hard"]]
    return float(np.maximum(hard["violation"] - hard["allowed"], 0.0).sum())


def _round(
    program: Program,
    h: Array,
    solve: Callable[[Program], Answer],
    multipliers: Array | None,
    smallest: Array | None,
) -> Rounding:
    grid = Grid.of(program, smallest)
    around = Neighbourhood(program, grid)
    fine = None if program.cvxpy_terms else _fine(around, h, multipliers)
    if fine is not None:
        return Rounding(fine[0], objective(program, fine[0]), objective(program, h), _rows(around, fine[0]), 0, fine[1])
    dived, solves = dive(program, h, solve, grid, multipliers)
    if program.cvxpy_terms:  # only CVXPY can value these: the dive's answer stands unless it breaks one
        own = OwnTerms(program)
        met, moves = meet_own(around, own, dived)
        value, bound = (objective(program, q) + own.at(q)[0] for q in (met, h))
        return Rounding(met, value, bound, _rows(around, met, own), solves, moves)
    found, moves = improve(around, dived)
    answers = [found]
    if _rank(around, found)[0] > 0:
        answers += [improve(around, mended)[0] for mended in _mended(around, found)]
    centre = np.where(grid.lumpy, np.clip(h, program.lower, program.upper), dived)
    best = best_lots(around, centre, answers)
    answer = best if best is not None else min(answers, key=lambda q: _rank(around, q))
    if (grid.lot == 0).any() and solves:
        answer, solves = settle(program, answer, solve, grid, solves)
        answer = with_defined(program, answer)
    return Rounding(answer, objective(program, answer), objective(program, h), _rows(around, answer), solves, moves)


def _fine(around: Neighbourhood, h: Array, multipliers: Array | None) -> tuple[Array, int] | None:
    """The nearest lots of every leg at once, improved, where they cost next to nothing; and moves made. None elsewhere.

    No list in whole lots is better by more than these are above the continuous optimum.
    """
    p, grid = around.program, around.grid
    if (grid.lot == 0).any():
        return None
    h = np.clip(h, p.lower, p.upper)
    least, most = objective(p, h), _FINE * scale_of(p, h)
    whole = grid.start + grid.lot * grid.nearest(grid.lots(h))
    above = objective(p, whole) - least
    if above > (_ROUGH if grid.lumpy.sum() <= MOST_LEGS else _ROUGH_MANY) * most:
        return None
    if multipliers is not None and _rank(around, whole)[0] == 0:
        room = around.exposure.max(axis=1, initial=0.0) / 2  # the most by which lots may leave a band
        if above + float(np.abs(multipliers) @ room) <= GAIN * abs(least):
            return whole, 0  # by its multipliers the optimum of wider bands is no lower: no move gains
    whole, moves = improve(around, whole)
    excess, value = _rank(around, whole)
    return (whole, moves) if excess == 0 and value - least <= most else None


def _rank(around: Neighbourhood, h: Array) -> tuple[float, float]:
    """Order of answers with many legs: excess beyond half a lot, then the objective."""
    excess = around.excess_at(h, around.allowance(np.round(around.grid.lots(h))))
    return round(excess, 9), objective(around.program, h)


def _mended(around: Neighbourhood, h: Array) -> list[Array]:
    """The point nearest h within its allowance, moving only the finest traded legs of each row; none or one."""
    lots = np.round(around.grid.lots(h))
    legs: set[int] = set()
    for row in np.flatnonzero(around.hard):
        exposure = np.where(around.grid.lumpy & (lots != 0) & (around.exposure[row] > 0), around.exposure[row], np.inf)
        finest = np.argsort(exposure, kind="stable")[:_LADDER]
        legs.update(finest[np.isfinite(exposure[finest])].tolist())
    if not legs:
        return []
    mended = nearest_within(around, h, np.array(sorted(legs)), _REACH, around.allowance(lots))
    return [mended] if mended is not None else []


def over(rows: pd.DataFrame, allowed: Array | float = 0.0) -> Array:
    """Hard rows further outside their band than rounding explains (a mask)."""
    violation, scale = (rows[name].to_numpy(float) for name in ("violation", "scale"))
    return rows["hard"].to_numpy(bool) & (violation > allowed + RESIDUAL_TOLERANCE * scale)


def _rows(around: Neighbourhood, h: Array, own: OwnTerms | None = None) -> pd.DataFrame:
    p, lots = around.program, np.round(around.grid.lots(h))
    traded = np.where((lots != 0) & around.grid.lumpy & (around.exposure > 0), around.exposure, np.inf)
    finest = [p.columns[row.argmin()] if np.isfinite(row).any() else "" for row in traded]
    rows = pd.DataFrame(
        {
            "value": row_values(p, h),
            "lower": p.row_lower,
            "upper": p.row_upper,
            "violation": row_violations(p, h),
            "allowed": around.allowance(lots),
            "finest": finest,
            "hard": around.hard,
            "scale": (np.abs(around.rows) + around.on_holdings) @ np.abs(h) + p.row_fixed + around.units,
        },
        index=pd.Index(p.row_names, name="row", dtype=object),
    )
    if p.volatility_limit is None and own is None:
        return rows
    rest = other_limits(p, h, own)
    if rest.empty:
        return rows
    rest = rest.drop(columns="unit").assign(lower=-np.inf, allowed=0.0, finest="", hard=True)[list(rows.columns)]
    return pd.concat([rows, rest]) if len(rows) else rest
