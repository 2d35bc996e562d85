"""Where a smile stands today: its level and skew at 30 days, read from one chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.market.skew import expiry_smiles
from optihedge.market.snapshot import Market
from optihedge.readonly import coded, told

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
    codes, names = coded(market.instruments, "underlying")
    return tuple(str(names[code]) for code in pd.unique(codes[usable & (codes >= 0)]))


def smile_state(market: Market, underlying: str) -> SmileState:
    """Level and skew of the smile of `underlying`, which has an option with a vol (see `chain_underlyings`).

    Per expiry of 5 to 200 days a quadratic in z = ln(K/F) / sqrt(T) over |z| < vol, wild vols left out; level and slope
    at z = 0 are interpolated to 30 days.
    """
    c = market.contracts
    on = told(market.instruments, "underlying", underlying)
    at = np.flatnonzero(on & c.option & np.isfinite(c.vol) & (c.vol > 0) & (c.years > 0))
    read = at[(c.years[at] > _FROM) & (c.years[at] < _TO)]
    lives, levels, skews = expiry_smiles(c, read)
    known = np.isfinite(levels)
    if not known.any():
        weight = np.abs(market.sensitivities.vega[at])
        level = float(np.average(c.vol[at], weights=weight)) if weight.sum() > 0 else float(np.median(c.vol[at]))
        return SmileState(underlying, level, 0.0, 0)
    level, skew = (float(np.interp(MONTH, lives[known], column[known])) for column in (levels, skews))
    return SmileState(underlying, level, skew, int(known.sum()))
