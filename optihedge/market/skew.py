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

Floats = NDArray[np.float64]

_LEAST = 5  # strikes near the money that an expiry needs
_WILD = 6.0  # robust deviations beyond which a vol is left out
_REWEIGHTINGS = 15
_ROUGH = 1e-3  # of the level: what every vol may be off


def at_the_money(z: Floats, vol: Floats) -> tuple[float, float]:
    """Level and slope at z = 0 of a quadratic through the vols; NaN with too few strikes or a level below zero.

    Vols far from the quadratic of least absolute deviations (by reweighting) are wild and left out.
    """
    if len(np.unique(z)) < _LEAST:
        return np.nan, np.nan
    least, weight = _ROUGH * float(np.median(vol)), np.ones(len(z))
    powers = np.vander(z / np.abs(z).max(), 3)
    for _ in range(_REWEIGHTINGS):
        weighted = powers * weight[:, None]
        left = np.abs(vol - powers @ np.linalg.lstsq(weighted.T @ powers, weighted.T @ vol, rcond=None)[0])
        weight = 1 / np.maximum(left, least)
    tame = left <= _WILD * (1.4826 * np.median(left) + least)
    if len(np.unique(z[tame])) < _LEAST:
        return np.nan, np.nan
    fit = np.polyfit(z[tame], vol[tame], 2)
    return (float(fit[2]), float(fit[1])) if fit[2] > 0 else (np.nan, np.nan)


def smile_slopes(c: Contracts, underlying: pd.Series) -> Floats:
    """d sigma / d ln(K/F) at the money of each option's expiry, N: s / sqrt(T), 0 for the rest.

    s is read from the strikes with |z| < vol of each expiry that has enough of them, z = ln(K/F) / sqrt(T), and is
    linear between such expiries and flat beyond; 0 where an underlying has none.
    """
    usable = c.option & (c.vol > 0) & (c.years > 0)
    slopes = np.zeros(len(c.years))
    names = underlying.to_numpy()
    for name in pd.unique(names[usable]):
        at = np.flatnonzero(usable & (names == name))
        years, vol = c.years[at], c.vol[at]
        z = np.log(c.strike[at] / c.forward[at]) / np.sqrt(years)
        near = np.abs(z) < vol
        lives, group = np.unique(np.round(years[near], 5), return_inverse=True)
        found = [at_the_money(z[near][group == i], vol[near][group == i])[1] for i in range(len(lives))]
        known = np.isfinite(found)
        if known.any():
            slopes[at] = np.interp(years, lives[known], np.array(found)[known]) / np.sqrt(years)
    return slopes


def skew_loadings(
    s: Sensitivities, c: Contracts, underlying: pd.Series, drivers: pd.DataFrame, paths: Paths, shares: sp.csr_array
) -> sp.csr_array:
    """D x N: what vol drivers at the forward add to the spot loadings, base currency per unit return.

    shares: of each vol driver's move in each option's vol, D x N.
    """
    shape = (len(drivers), len(s.vega))
    if not shares.nnz:
        return sp.csr_array(shape)
    forward = ((drivers["kind"] == "vol") & (drivers["at"] != "strike")).to_numpy()
    reached = forward.astype(float) @ shares * (paths.driver >= 0)
    at = np.flatnonzero(reached * s.vega)
    if not at.size:
        return sp.csr_array(shape)
    amount = -(reached * s.vega)[at] * smile_slopes(c, underlying)[at]
    return sp.csr_array(sp.coo_array((amount, (paths.driver[at], at)), shape=shape))
