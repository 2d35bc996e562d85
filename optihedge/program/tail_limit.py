"""A limit on a tail by its price: the higher, the less the tail; between two prices, answers are mixed.

With a price in place of the limit the excess over it falls as the price rises (the dual's slope), piece by piece in a
straight line, so that the secant between two prices ends soon. Answers at both ends, mixed so that the limit is met to
the last digit, are optimal to within what the prices differ by times the excess.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from optihedge.program.candidate import Candidate
from optihedge.program.duality import scale_of
from optihedge.program.program import Program, row_values
from optihedge.program.status import Status

_GUESS, _FAR = 1.0, 1e9  # the first price, and one that no limit has
_STEP = 30.0  # the next one's ratio to it where the root lies beyond
_NEARER = 1.3  # the same where the first is an earlier answer's
_MOST = 60  # prices tried


@dataclass(frozen=True, eq=False)
class _End:
    """A price, its answer, by how much that is above the limit (<= 0: within), and what of it the secant sees."""

    price: float
    found: Candidate
    excess: float
    pull: float


def within(
    p: Program, limit: int, at: Callable[[float], Candidate], tolerance: float, warm: Candidate | None
) -> Candidate:
    """The answer within the limit (a row), from the answers at prices; the first that is none, else FAILED.

    tolerance  share of the scale that the answer may be from the optimum
    """
    most, before = float(p.row_penalty[limit]), 0.0 if warm is None else abs(float(warm.multipliers[limit]))
    low: _End | None = None
    high: _End | None = None
    price, step, near = min(before or _GUESS, most), _NEARER if before else _STEP, np.nan
    for _ in range(_MOST):
        found = at(price)
        if not np.isfinite(found.h).all() or found.status not in (Status.OPTIMAL, Status.ROUGH):
            return found
        near = near if np.isfinite(near) else tolerance * scale_of(p, found.h)
        excess = float(row_values(p, found.h)[limit] - p.row_upper[limit])
        # what is met at next to no price, or soft and missed at its own, needs no other price
        if (excess <= 0 and price * -excess <= near) or (excess > 0 and price == most):
            return found
        end = _End(price, found, excess, excess)
        low, high = (end, _halved(high)) if excess > 0 else (_halved(low), end)
        if low and high:
            if (high.price - low.price) * max(low.excess, -high.excess) <= near:
                return _mixed(low, high)
            price = (high.price * low.pull - low.price * high.pull) / (low.pull - high.pull)
            if not low.price < price < high.price:
                return _mixed(low, high)
        else:
            price, step = min(step * price, most) if low else price / step, step**2
        if price > _FAR and price != most:
            break
    return Candidate.none(p, Status.FAILED, "no price of the tail's limit")


def _halved(end: _End | None) -> _End | None:
    """An end that stays counts half (the Illinois rule), or the secant would creep towards it."""
    return None if end is None else replace(end, pull=0.5 * end.pull)


def _mixed(low: _End, high: _End) -> Candidate:
    """The mixture of both answers at which the limit is met to the last digit."""
    share = low.excess / (low.excess - high.excess)
    mix = lambda one, other: (1 - share) * one + share * other  # noqa: E731
    return replace(high.found, h=mix(low.found.h, high.found.h),
                   multipliers=mix(low.found.multipliers, high.found.multipliers))  # fmt: skip
