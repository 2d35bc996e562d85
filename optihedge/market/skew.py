"""The slope of today's smile at the money, by expiry, and what a vol driver at the moving forward says of the spot.

A history of at-the-money vol is a series at the moving forward. Where the spot rises by the return r, the forward meets
the smile at another strike, so that such a driver moves by (s / sqrt T) r though no strike's vol does, s being the
smile's slope d sigma / d(ln(K/F) / sqrt T). Each option's spot loading takes that back.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from optihedge.market.contracts import Contracts
from optihedge.market.exposures import Sensitivities
from optihedge.market.valuation import Paths
from optihedge.readonly import coded, told

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

_LEAST = 5  # strikes near the money that an expiry needs
_WILD = 6.0  # robust deviations beyond which a vol is left out
_REWEIGHTINGS = 15
_ROUGH = 1e-3  # of the level: what every vol may be off
_RIDGE = 1e-12  # of the weights' sum: strikes on top of each other


def at_the_money(z: Floats, vol: Floats, group: Positions) -> tuple[Floats, Floats]:
    """Level and slope at z = 0 of a quadratic through the vols of each group, numbered from 0 and none empty; NaN with
    too few strikes or a level below zero.

    Vols far from the quadratic of least absolute deviations (by reweighting) are wild and left out.
    """
    order = np.lexsort((z, group))
    x, y, group = z[order], vol[order], group[order]
    size = np.bincount(group)
    first = np.cumsum(size) - size
    # moneyness in [-1, 1] of each group, and what the normal equations of a quadratic in it sum
    middle, half = (x[first + size - 1] + x[first]) / 2, (x[first + size - 1] - x[first]) / 2
    half = np.where(half > 0, half, 1.0)
    t = (x - middle[group]) / half[group]
    terms = np.stack([t**4, t**3, t**2, t, np.ones(len(t)), y * t**2, y * t, y])

    def normal_equations(weight: Floats) -> tuple[Floats, Floats]:
        sums = np.add.reduceat(terms * weight, first, axis=1).T if len(first) else np.zeros((0, 8))
        return sums[:, [[0, 1, 2], [1, 2, 3], [2, 3, 4]]], sums[:, 5:, None]

    # the quadratic of least absolute deviations
    least = _ROUGH * _median(y, group, first, size)
    left, weight = np.zeros(len(t)), np.ones(len(t))
    for _ in range(_REWEIGHTINGS):
        gram, aim = normal_equations(weight)
        bent, slope, level = np.linalg.solve(gram + _RIDGE * gram[:, 2:, 2:] * np.eye(3), aim)[:, :, 0].T
        left = np.abs(y - (bent[group] * t + slope[group]) * t - level[group])
        weight = 1 / np.maximum(left, least[group])
    # that of least squares through the vols near it, at z = 0
    tame = left <= (_WILD * (1.4826 * _median(left, group, first, size) + least))[group]
    gram, aim = normal_equations(tame.astype(float))
    bent, slope, level = (np.linalg.pinv(gram, hermitian=True) @ aim)[:, :, 0].T
    at = -middle / half
    level, slope = (bent * at + slope) * at + level, (2 * bent * at + slope) / half
    x, group = x[tame], group[tame]
    another = np.append(True, (np.diff(x) != 0) | (np.diff(group) != 0))[: len(x)]
    good = (np.bincount(group[another], minlength=len(size)) >= _LEAST) & (level > 0)
    return np.where(good, level, np.nan), np.where(good, slope, np.nan)


def _median(values: Floats, group: Positions, first: Positions, size: Positions) -> Floats:
    """The median of each group, whose values begin at `first`."""
    ordered = values[np.lexsort((values, group))]
    return (ordered[first + (size - 1) // 2] + ordered[first + size // 2]) / 2


def expiry_smiles(c: Contracts, at: Positions) -> tuple[Floats, Floats, Floats]:
    """Lives of the expiries of one underlying's options, and level and slope at the money of each: see `at_the_money`.

    Read from the strikes with |z| < vol, z = ln(K/F) / sqrt(T); lives in years, rounded to five digits, in order.
    """
    years, vol = c.years[at], c.vol[at]
    z = np.log(c.strike[at] / c.forward[at]) / np.sqrt(years)
    near = np.abs(z) < vol
    lives, group = np.unique(np.round(years[near], 5), return_inverse=True)
    return (lives, *at_the_money(z[near], vol[near], group))


def smile_slopes(c: Contracts, instruments: pd.DataFrame) -> Floats:
    """d sigma / d ln(K/F) at the money of each option's expiry, N: s / sqrt(T), 0 for the rest.

    s is that of `expiry_smiles`, linear between expiries that have enough strikes and flat beyond; 0 where an
    underlying has none.
    """
    usable = c.option & (c.vol > 0) & (c.years > 0)
    slopes = np.zeros(len(c.years))
    underlying, _ = coded(instruments, "underlying")
    for one in np.unique(underlying[usable]):
        at = np.flatnonzero(usable & (underlying == one))
        years = c.years[at]
        lives, _, found = expiry_smiles(c, at)
        known = np.isfinite(found)
        if known.any():
            slopes[at] = np.interp(years, lives[known], found[known]) / np.sqrt(years)
    return slopes


def skew_loadings(
    s: Sensitivities, c: Contracts, instruments: pd.DataFrame, drivers: pd.DataFrame, paths: Paths, shares: sp.csr_array
) -> sp.csr_array:
    """D x N: what vol drivers at the forward add to the spot loadings, base currency per unit return.

    shares: of each vol driver's move in each option's vol, D x N.
    """
    shape = (len(drivers), len(s.vega))
    if not shares.nnz:
        return sp.csr_array(shape)
    forward = told(drivers, "kind", "vol") & ~told(drivers, "at", "strike")
    reached = forward.astype(float) @ shares * (paths.driver >= 0)
    at = np.flatnonzero(reached * s.vega)
    if not at.size:
        return sp.csr_array(shape)
    amount = -(reached * s.vega)[at] * smile_slopes(c, instruments)[at]
    return sp.csr_array(sp.coo_array((amount, (paths.driver[at], at)), shape=shape))
