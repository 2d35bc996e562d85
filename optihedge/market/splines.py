"""Cubic B-splines on knots (n,), and two derivatives: the recursion of Cox and de Boor, at many points at once."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def cubic_splines(knots: Floats, x: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Which of the n - 4 splines do not vanish at x (m,): m x 4, and their value, slope and bend there: 3 x m x 4.

    Spline j rises at knot j and ends at knot j + 4, so that at the first and the last knot all of them vanish with two
    derivatives. A number below 0 or above n - 5 is none of them; outside the knots every value is zero.
    """
    # the ends repeated, so that every interval between two knots has its four splines
    padded = np.concatenate([np.repeat(knots[0], 3), knots, np.repeat(knots[-1], 3)])
    at = np.clip(x, knots[0], knots[-1])
    inside = ((x >= knots[0]) & (x <= knots[-1])).astype(float)
    interval = np.clip(np.searchsorted(padded, at, side="right") - 1, 3, knots.size + 1)
    # value, slope and bend of one degree from those of the degree below
    found = [inside[:, None]]
    for degree in (1, 2, 3):
        ends = interval[:, None] + 1 + np.arange(degree)
        right, left = padded[ends], padded[ends - degree]
        shares = [below / (right - left) for below in found]
        found = [_spread(shares[0] * (right - at[:, None]), shares[0] * (at[:, None] - left))]
        found += [_spread(-degree * share, degree * share) for share in shares[:2]]
    return interval[:, None] + np.arange(-6, -2), np.stack(found)


def _spread(here: Floats, next_: Floats) -> Floats:
    """What each spline of the degree below gives to its own and to the next one of this degree."""
    none = np.zeros((len(here), 1))
    return np.hstack([here, none]) + np.hstack([none, next_])
