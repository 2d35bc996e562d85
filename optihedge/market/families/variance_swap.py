"""Variance swaps, margined: they end at the realised variance of their underlying, in points (20 % vol is 400).

With T the years from `accrual_start` to expiry and u = years left / T, the price is 1e4 x (what has accrued + u vol^2):
a return r adds ln(1 + r)^2 / T to what has accrued. Carr and Madan 1998, Towards a Theory of Volatility Trading.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from optihedge.market.contracts import Contracts
from optihedge.market.families.base import Family, Floats, InstrumentType, Parts, Shift, price_change

_POINTS = 1e4
_DAY, _MONTH = 1 / 365, 30 / 365


def _told(c: Contracts, instruments: pd.DataFrame, quotes: pd.DataFrame) -> Contracts:
    """With the span of the average, and the vol of what is left of it: the quote's own, else the whole price's."""
    begun = (quotes["time"] - instruments["accrual_start"]).dt.total_seconds().to_numpy() / (365 * 86_400)
    vol = quotes["vol"].to_numpy(dtype=float)
    vol = np.where(np.isnan(vol), np.sqrt(np.maximum(c.price, 0.0) / _POINTS), vol)
    return replace(c, span=c.years + np.maximum(np.nan_to_num(begun), 0.0), vol=vol)


def _parts(c: Contracts) -> Parts:
    left = c.years / c.span
    return {
        "gamma": np.full(len(left), 2 * _POINTS) / c.span,
        "vega": 2 * _POINTS * left * c.vol,
        "volga": 2 * _POINTS * left,
        "theta": -_POINTS * c.vol**2 / c.span,
    }


def _price(c: Contracts) -> Floats:
    return c.price


def _settle(c: Contracts, level: Floats) -> Floats:
    """Unknown from a level alone: what was realised on the way decides."""
    return np.full(len(level), np.nan)


def _revalue(c: Contracts, shift: Shift) -> Floats:
    vol = np.maximum(c.vol + shift.vol + np.sqrt(_MONTH / np.maximum(c.years, _DAY)) * shift.term, 0.0)
    left = np.maximum(c.years - shift.days / 365, 0.0)
    gain = shift.log_growth**2 + left * vol**2 - c.years * c.vol**2
    return _POINTS * gain / c.span * shift.fx_growth


VARIANCE_SWAP = Family(
    types={"variance_swap": InstrumentType(dated=True, margined=True, volatile=True)},
    parts=_parts, size=_price, margin=price_change, settle=_settle, revalue=_revalue, told=_told,
    terms=("accrual_start",),
)  # fmt: skip
