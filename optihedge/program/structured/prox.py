"""Each column's own minimiser in closed form, all columns at once.

For slopes c of the columns and the hinges' slopes, minimise over lower <= t <= upper, column by column,

    c t + 1/2 curvature t^2 + power |t - start|^(3/2) + sum of the column's hinges: slope x max(sign (t - at), 0)

The stationary point of each piece moves down, and the kinks move up, from piece to piece; so the minimiser is a nest
of minima and maxima: below the first kink its piece's own point, at a kink, or beyond it.
"""

from __future__ import annotations

import numpy as np

from optihedge.program.costs import resting_trade
from optihedge.program.structured.standard_form import StandardForm

Array = np.ndarray

_TINY = 1e-300
_NOTHING = np.zeros(1)


def minimiser(form: StandardForm, slope: Array, hinge_slopes: Array, curvature: Array) -> Array:
    """The minimising t of each column, n; exactly a kink or a bound where that is the answer."""
    curvature = np.maximum(curvature, _TINY)
    if not len(form.table):
        return np.minimum(np.maximum(_stationary(form, slope, curvature), form.lower), form.upper)
    kinks = np.concatenate([hinge_slopes, _NOTHING])[form.table]
    piece = slope + (form.table_above * kinks).sum(axis=0)  # slope above every kink
    t = _stationary(form, piece, curvature)
    for level in range(len(kinks) - 1, -1, -1):
        piece = piece - kinks[level]
        t = np.minimum(_stationary(form, piece, curvature), np.maximum(form.table_at[level], t))
    return np.minimum(np.maximum(t, form.lower), form.upper)


def _stationary(form: StandardForm, slope: Array, curvature: Array) -> Array:
    """Where slope + curvature t + d/dt power |t - start|^(3/2) is zero."""
    if not form.powered:
        return -slope / curvature
    trade = resting_trade(slope + curvature * form.start, curvature, form.power)
    return np.where(form.power > 0, form.start + trade, -slope / curvature)


def cost(form: StandardForm, t: Array, slope: Array, hinge_slopes: Array, curvature: Array, v: Array) -> float:
    """The function above at t (n), summed over the columns; v = form.open_hinges(t)."""
    value = (slope + 0.5 * curvature * t) @ t + hinge_slopes @ v
    if form.powered:
        value += form.power @ np.abs(t - form.start) ** 1.5
    return float(value)


def costlier(
    form: StandardForm, t: Array, best: Array, slope: Array, hinge_slopes: Array, curvature: Array, v: Array
) -> float:  # fmt: skip
    """By how much the function above is more at t than at best (n each), summed; v = form.open_hinges(t)."""
    more = (slope + 0.5 * curvature * (t + best)) @ (t - best) + hinge_slopes @ (v - form.open_hinges(best))
    if form.powered:
        more += form.power @ (np.abs(t - form.start) ** 1.5 - np.abs(best - form.start) ** 1.5)
    return float(more)


def response(form: StandardForm, t: Array, hinge_slopes: Array, curvature: Array) -> Array:
    """-dt/dslope at the minimiser t, n: 1 / curvature where t lies inside a piece, 0 at kinks and bounds."""
    stuck = (t <= form.lower) | (t >= form.upper)
    if len(form.table):
        stuck |= ((t == form.table_at) & (np.concatenate([hinge_slopes, _NOTHING])[form.table] > 0)).any(axis=0)
    if form.powered:
        curvature = curvature + 0.75 * form.power / np.sqrt(np.abs(t - form.start) + _TINY)
    return np.where(stuck, 0.0, 1.0 / np.maximum(curvature, _TINY))
