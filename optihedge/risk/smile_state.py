"""Where a smile stands today: its level and skew at 30 days, read from one chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optihedge.market.skew import at_the_money
from optihedge.market.snapshot import Market

Array = np.ndarray
MONTH, DAY = 30 / 365, 1 / 365
_FROM, _TO = 5 / 365, 200 / 365  # lives of the expiries that are read


@dataclass(frozen=True)
class SmileState:
    """The smile of one underlying: sigma about level + skew x ln(K/F) / sqrt(T) near the money at 30 days.

    level, skew   decimals (T in years)
    expiries      read; 0: too few strikes, the level is the vega-weighted mean vol and the skew 0
    """

    underlying: str
    level: float
    skew: float
    expiries: int


def chain_underlyings(market: Market) -> tuple[str, ...]:
    """Underlyings that have an option with a usable vol, in the market's order."""
    c = market.contracts
    usable = c.option & np.isfinite(c.vol) & (c.vol > 0) & (c.years > 0)
    return tuple(market.instruments["underlying"][usable].unique())


def smile_state(market: Market, underlying: str) -> SmileState:
    """Level and skew of the smile of `underlying`, which has an option with a vol (see `chain_underlyings`).

    Per expiry of 5 to 200 days a quadratic in z = ln(K/F) / sqrt(T) over |z| < vol, wild vols left out; level and slope
    at z = 0 are interpolated to 30 days.
    """
    c = market.contracts
    on = (market.instruments["underlying"] == underlying).to_numpy()
    at = np.flatnonzero(on & c.option & np.isfinite(c.vol) & (c.vol > 0) & (c.years > 0))
    years, vol = c.years[at], c.vol[at]
    z = np.log(c.strike[at] / c.forward[at]) / np.sqrt(years)
    near = (np.abs(z) < vol) & (years > _FROM) & (years < _TO)
    lives, group = np.unique(np.round(years[near], 5), return_inverse=True)
    fits = [(life, *at_the_money(z[near][group == i], vol[near][group == i])) for i, life in enumerate(lives)]
    read = np.array([fit for fit in fits if np.isfinite(fit[1])])
    if not len(read):
        weight = np.abs(market.sensitivities.vega[at])
        level = float(np.average(vol, weights=weight)) if weight.sum() > 0 else float(np.median(vol))
        return SmileState(underlying, level, 0.0, 0)
    level, skew = (float(np.interp(MONTH, read[:, 0], column)) for column in (read[:, 1], read[:, 2]))
    return SmileState(underlying, level, skew, len(read))
