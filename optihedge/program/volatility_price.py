"""The optimum under a price of volatility: a search over the aversion to variance that asks for the same trades.

minimise cost(h) + price x sigma(h). At its optimum the slope of price x sigma is that of lambda / 2 sigma^2 with
lambda = price / sigma: it is the optimum of the quadratic Program at this lambda too. lambda x sigma rises with lambda.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optihedge.program.aversion import with_aversion
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import judge
from optihedge.program.priced_newton import sharpened
from optihedge.program.program import Program
from optihedge.program.status import Status
from optihedge.program.volatility_limit import SETTLED

_SOLVES = 30  # at most; 3 to 7 are usual
_CLOSE = 1e-10  # of log lambda: two digits beyond what trades are compared to
_FIRST = 2.0  # a cold search starts at so many times the aversion of no trade
_NEARER = (1e-2, 1e-4)  # of the largest trade, in lots: boxes around an answer that is not proved
_LEAST_SLOPE = 0.02  # of log(lambda sigma) in log lambda: near a perfect hedge it is flat
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
    if program.volatility_price is None:
        return inner(program, warm)
    first = last = _searched(program, inner, left, warm, tolerance)
    if first.status in SETTLED or program.volatility_limit is not None or program.cvxpy_terms:
        return first
    if judge(program, first, tolerance).status is Status.OPTIMAL:
        return first
    for share in (1.0, *_NEARER):  # what is near a perfect hedge is told apart in a box around it
        if not np.isfinite(last.h).all():
            break
        if share < 1:
            lots = share * max(float(np.abs(last.h - program.start).max(initial=0.0)), 1.0)
            reach = np.where(program.lot > 0, lots * program.lot, np.inf)
            near = program.boxed(np.maximum(program.lower, last.h - reach), np.minimum(program.upper, last.h + reach))
            last = _searched(near, inner, left, None, tolerance)
        found = sharpened(program, last, tolerance)
        if found is not None:
            return found
    return first


def _searched(
    program: Program,
    inner: Callable[[Program, Candidate | None], Candidate],
    left: Callable[[], float | None],
    warm: Candidate | None,
    tolerance: float,
) -> Candidate:
    v = program.volatility_price
    assert v is not None
    x = _first_guess(program, warm)
    points: list[tuple[float, float]] = []
    candidate = warm
    while True:
        candidate = inner(with_aversion(program, float(np.exp(x))), candidate)
        if candidate.status in SETTLED or not np.isfinite(candidate.h).all():
            return candidate
        volatility = v.volatility(np.clip(candidate.h, program.lower, program.upper))
        points.append((x, x + float(np.log(max(volatility, _TINY) / v.price))))
        step = _next(points) - x
        rest = left()
        if abs(points[-1][1]) <= _CLOSE or len(points) == _SOLVES or (rest is not None and rest <= 0):
            return candidate
        if abs(step) <= _CLOSE and judge(program, candidate, tolerance).status is Status.OPTIMAL:
            return candidate
        x += step


def _first_guess(program: Program, warm: Candidate | None) -> float:
    """log lambda: that of an earlier answer's volatility, else twice that of no trade's."""
    v = program.volatility_price
    assert v is not None
    start, factor = (program.start, _FIRST) if warm is None else (warm.h, 1.0)
    volatility = v.volatility(np.clip(start, program.lower, program.upper))
    if not volatility > 0:  # nothing held: the volatility of a lot of everything
        volatility = float(np.sqrt(((v.factors**2).sum(axis=0) + v.diagonal) @ np.maximum(program.lot, _TINY) ** 2))
    return float(np.log(factor * v.price / max(volatility, _TINY)))


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
        return guess
    return (low + high) / 2 if np.isfinite(low) and np.isfinite(high) else guess
