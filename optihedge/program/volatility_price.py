"""The optimum under a price of volatility: a search over the aversion to variance that asks for the same trades.

minimise cost(h) + price x sigma(h). At its optimum the slope of price x sigma is that of lambda / 2 sigma^2 with
lambda = price / sigma: it is the optimum of the quadratic Program at this lambda too. lambda x sigma rises with lambda.

Where hedging wholly is worth its cost, no lambda is enough: sigma falls as 1 / lambda and lambda x sigma stays below
the price. The columns that trade then hedge all that they can, and what the price pulls with is told beside the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optihedge.program.aversion import with_aversion
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import judge
from optihedge.program.duality import clip_multipliers, column_slopes, dual_gap
from optihedge.program.program import Program, row_values
from optihedge.program.status import Status
from optihedge.program.volatility_limit import SETTLED

_SOLVES, _USUAL = 30, 8  # at most; 3 to 7 are usual
_SMALL = 0.01  # of the volatility of no trade: less may be nothing
_CLOSE = 1e-10  # of log lambda: two digits beyond what trades are compared to
_FIRST = 2.0  # a cold search starts at so many times the aversion of no trade
_LEAST_SLOPE = 0.02  # of log(lambda sigma) in log lambda: near a perfect hedge it is flat
_FARTHEST = float(np.log(100.0))  # step of log lambda upwards where no price has been high enough
_NOTHING = 1e-9  # of the largest trade, or of a volatility: less is none
_FIRST_ROWS = 1e4  # weight of a row that binds, of the largest risk: it is met before risk is
_LARGEST = 4e6  # entries of a matrix that is solved with
_RANK = 1e-13  # of the largest singular value
_LEAST = 1e-6  # of the volatility of no trade: a first guess looks no lower
_TINY = 1e-300


def at_price(
    program: Program,
    inner: Callable[[Program, Candidate | None], Candidate],
    left: Callable[[], float | None],
    warm: Candidate | None,
    tolerance: float,
) -> Candidate:
    """A candidate under the price of volatility, by secants of log(lambda sigma / price) in log lambda.

    inner  takes a Program without the price and an earlier candidate or None
    """
    v = program.volatility_price
    if v is None:
        return inner(program, warm)
    x = float(np.log(first_aversion(program, warm)))
    points: list[tuple[float, float]] = []
    untraded, candidate = v.volatility(np.clip(program.start, program.lower, program.upper)), warm
    while True:
        candidate = inner(with_aversion(program, float(np.exp(x))), candidate)
        if candidate.status in SETTLED or not np.isfinite(candidate.h).all():
            return candidate
        volatility = v.volatility(np.clip(candidate.h, program.lower, program.upper))
        points.append((x, x + float(np.log(max(volatility, _TINY) / v.price))))
        if points[-1][1] < 0 and (volatility <= _SMALL * untraded or len(points) > _USUAL):
            whole = _wholly_hedged(program, float(np.exp(x)), candidate)
            if judge(program, whole, tolerance).status is Status.OPTIMAL:
                return whole
        step = _next(points) - x
        rest = left()
        if abs(points[-1][1]) <= _CLOSE or len(points) == _SOLVES or (rest is not None and rest <= 0):
            return candidate
        if abs(step) <= _CLOSE and judge(program, candidate, tolerance).status is Status.OPTIMAL:
            return candidate
        x += step


def first_aversion(program: Program, warm: Candidate | None = None) -> float:
    """That of an earlier answer's volatility, else twice that of no trade's."""
    v = program.volatility_price
    assert v is not None
    start, factor = (program.start, _FIRST) if warm is None else (warm.h, 1.0)
    volatility = v.volatility(np.clip(start, program.lower, program.upper))
    volatility = max(volatility, _LEAST * v.volatility(np.clip(program.start, program.lower, program.upper)))
    if not volatility > 0:  # nothing held: the volatility of a lot of everything
        volatility = float(np.linalg.norm(v.each * np.where(program.lot > 0, program.lot, 1.0)))
    return factor * v.price / max(volatility, _TINY)


def _next(points: list[tuple[float, float]]) -> float:
    """The next log lambda: a secant through the last two points, kept between those below and above zero."""
    x, miss = points[-1]
    slope = 1.0
    if len(points) > 1 and x != points[-2][0]:
        slope = float(np.clip((miss - points[-2][1]) / (x - points[-2][0]), _LEAST_SLOPE, 1.0))
    guess = x - miss / slope
    low = max((at for at, m in points if m < 0), default=-np.inf)
    high = min((at for at, m in points if m > 0), default=np.inf)
    if low < guess < high:
        return guess if np.isfinite(high) else min(guess, x + _FARTHEST)
    return (low + high) / 2 if np.isfinite(low) and np.isfinite(high) else guess


def _wholly_hedged(program: Program, aversion: float, answer: Candidate) -> Candidate:
    """From the answer at an aversion: its columns that trade hedge all that they can, and no slope is left in them.

    z, the parts of the volatility, is then z0, what they cannot hedge; and along the answers of larger aversions, while
    the same columns trade, what z pulls with is aversion x z0 + d with one d. It is as long as the price at some
    aversion, or shorter for ever where z0 = 0. Rows that bind stay at their limits and their multipliers take part.
    """
    v, m = program.volatility_price, answer.multipliers.copy()
    assert v is not None
    start = np.clip(answer.h, program.lower, program.upper)
    h = start.copy()
    binding, moving = np.flatnonzero((m != 0) & np.isinf(program.row_penalty)), _moving(program, h)
    if not len(moving) or len(moving) * len(v.parts(h)) > _LARGEST:
        return answer
    inverse, weight = _inverse(program, moving, binding)
    limit = np.where(m[binding] > 0, program.row_upper[binding], program.row_lower[binding])
    h[moving] -= inverse @ np.concatenate([v.parts(h), weight * (row_values(program, h)[binding] - limit)])
    moving = _moving(program, h)
    still = np.setdiff1d(np.flatnonzero((h > program.lower) & (h < program.upper)), moving)
    h[still] = program.start[still]

    z, left = v.parts(start), v.parts(h)
    left = np.where(np.abs(left) > _NOTHING * np.linalg.norm(z), left, 0.0)
    pull = aversion * (z - left)
    reached = _length_reached(left, pull, v.price)
    if reached is not None:
        h, pull = h + (aversion / reached) * (start - h), pull + reached * left
    inverse, weight = _inverse(program, moving, binding)
    gap = dual_gap(program, h, clip_multipliers(program, m), answer.limit_multiplier, pull=pull)
    below, above = column_slopes(program, gap, h)
    change = inverse.T @ (0.5 * (below + above))[moving]
    m[binding] -= weight * change[len(pull) :]
    return replace(answer, h=h, multipliers=m, pull=pull - change[: len(pull)])


def _moving(program: Program, h: np.ndarray) -> np.ndarray:
    """Columns inside their box that trade."""
    trade = np.abs(h - program.start)
    return np.flatnonzero((trade > _NOTHING * trade.max(initial=0.0)) & (h > program.lower) & (h < program.upper))


def _inverse(program: Program, moving: np.ndarray, binding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pseudo-inverse of what columns bring to the volatility's parts and to weighted rows, and the weights."""
    v = program.volatility_price
    assert v is not None
    risk, rows = v.matrix[:, moving].toarray(), program.rows[binding][:, moving].toarray()
    weight = _FIRST_ROWS * np.abs(risk).max(initial=0.0) / np.maximum(np.abs(rows).max(axis=1, initial=0.0), _TINY)
    return np.linalg.pinv(np.vstack([risk, weight[:, None] * rows]), rcond=_RANK), weight


def _length_reached(left: np.ndarray, pull: np.ndarray, price: float) -> float | None:
    """The least aversion > 0 at which |aversion x left + pull| is the price; None where it is below it for ever."""
    a, b, c = float(left @ left), float(left @ pull), float(pull @ pull) - price**2
    if not a > 0 or c >= 0:
        return None
    return float((np.sqrt(b * b - a * c) - b) / a)
