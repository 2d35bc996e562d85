"""Liquidity between two prices of a pool: one contract is one unit of it, worth what its amounts are.

With S held inside [lower, upper] a unit is 1 / sqrt(S) - 1 / sqrt(upper) of the asset and sqrt(S) - sqrt(lower) of
money, so that it sells what rises: its gamma is below zero. Fees owed are no part of it: they stand in a book as what
they are paid in. Source: the published Uniswap v3 core white paper, equations 2.1 and 2.2.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from optihedge.market.contracts import Contracts
from optihedge.market.families.base import Family, Floats, InstrumentType, Parts, Shift, at_price

TERMS = ("range_lower", "range_upper")
Ends = Floats | float


def amounts(price: Floats, lower: Ends, upper: Ends) -> tuple[Floats, Floats]:
    """Asset and money per unit of liquidity at prices above zero; the range may be 0 to infinity."""
    root = np.sqrt(np.clip(price, lower, upper))
    return 1 / root - 1 / np.sqrt(upper), root - np.sqrt(lower)


def worth(price: Floats, lower: Ends, upper: Ends) -> Floats:
    """Money per unit of liquidity."""
    asset, money = amounts(price, lower, upper)
    return asset * price + money


def bend(price: Floats, lower: Ends, upper: Ends) -> Floats:
    """Second derivative of `worth` by price: below zero inside the range, zero outside."""
    return np.where((price > lower) & (price < upper), -0.5 / price**1.5, 0.0)


def _told(c: Contracts, instruments: pd.DataFrame, quotes: pd.DataFrame) -> Contracts:
    """With its range, an empty end being 0 or infinity, and its worth for a mark where it has none."""
    lower, upper = (instruments[name].to_numpy(dtype=float) for name in TERMS)
    lower, upper = np.nan_to_num(lower), np.where(np.isnan(upper), np.inf, upper)
    price = np.where(np.isnan(c.price), worth(c.spot, lower, upper), c.price)
    return replace(c, price=price, lower=lower, upper=upper)


def _parts(c: Contracts) -> Parts:
    asset, _ = amounts(c.spot, c.lower, c.upper)
    return {"value": c.price, "delta": asset * c.spot, "gamma": bend(c.spot, c.lower, c.upper) * c.spot**2}


def _price(c: Contracts) -> Floats:
    return c.price


def _revalue(c: Contracts, shift: Shift) -> Floats:
    gain = worth(c.spot * shift.growth, c.lower, c.upper) - worth(c.spot, c.lower, c.upper)
    return (c.price + gain) * shift.fx_growth - c.price


POOL = Family(
    types={"pool": InstrumentType(modelled=True)},
    parts=_parts, size=_price, worth=at_price, terms=TERMS, told=_told, revalue=_revalue,
)  # fmt: skip
