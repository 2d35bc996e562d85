"""How far an answer may be from its limits, by the sizes of what is summed and of the limits themselves."""

from __future__ import annotations

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.program import RESIDUAL_TOLERANCE, Program

OWN_TOLERANCE = 1e-6  # of a limit's own size: the most a residual may be
MOST_TOLERANCE = 1e-3  # likewise, where rounding alone is more than that
ROUNDING = 1e-14  # of what is summed


def row_sizes(p: Program, h: Array) -> Array:
    """Sum of |entry x quantity| of each row, fixed positions included: the scale of its rounding, desk unit."""
    return p.row_fixed + p.row_table.sizes(h, h - p.start)


def row_tolerances(p: Program, h: Array) -> Array:
    """How far each hard row may be from its limits, desk unit: 1e-9 of its size at h, or of its finest lot's.

    The lot is for books of next to nothing. Its floor is the finest's, or one contract with a huge exposure per lot
    would excuse any miss by the others. However large the positions that offset each other, a millionth of the limit
    itself is the most; where even rounding is larger, a thousandth.
    """
    return tolerances_of(p, row_sizes(p, h))


def tolerances_of(p: Program, size: Array) -> Array:
    """The same of rows whose sizes at h are known."""
    wanted = RESIDUAL_TOLERANCE * np.maximum(size, p.row_table.finest)
    return np.minimum(wanted, _ceiling(size, p.row_limit))


def _ceiling(size: Array, limit: Array) -> Array:
    """The most that a tolerance may be of a limit's own size; none where the limit is zero."""
    most = np.minimum(np.maximum(ROUNDING * size, OWN_TOLERANCE * limit), MOST_TOLERANCE * limit)
    return np.where(limit > 0.0, most, np.inf)


def limit_tolerance(p: Program, h: Array) -> float:
    """How far the volatility may be above its limit: 1e-9 of the size of what it sums, or as `row_tolerances` says."""
    v = p.volatility_limit
    if v is None:
        return 0.0
    sizes = np.abs(v.factors) @ np.abs(h) + np.abs(v.factor_offset)
    own = abs(v.specifics) @ np.abs(h) + np.abs(v.specific_offset)
    size = float(np.sqrt(sizes @ sizes + own @ own + v.diagonal @ (h * h)) + v.limit)
    return min(RESIDUAL_TOLERANCE * size, float(_ceiling(np.array(size), np.array(v.limit))))


def worth_of_tolerances(p: Program, h: Array, m: Array, mu: float, tolerances: Array) -> float:
    """What the limits' tolerances and rounding are worth, base currency: no answer is better known than that.

    A soft row's tolerance costs its penalty, a hard one's its multiplier.
    """
    pieces = np.abs(p.trading(h - p.start)).sum() + np.abs(p.holding(h)).sum() + np.abs(p.linear) @ np.abs(h)
    price = np.where(np.isfinite(p.row_penalty), p.row_penalty, np.abs(m))
    limit = 0.0 if p.volatility_limit is None else mu * p.volatility_limit.limit * limit_tolerance(p, h)
    return float(price @ tolerances + limit + ROUNDING * pieces)
