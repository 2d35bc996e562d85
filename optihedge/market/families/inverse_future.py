"""Inverse futures: V = m (1 / F0 - 1 / F) S in quote currency, settled in coin; delta m S / F, and no gamma."""

from __future__ import annotations

import numpy as np

from optihedge.market.contracts import Contracts
from optihedge.market.families.base import Family, Floats, InstrumentType, Parts, Shift, one
from optihedge.market.families.future import moved_price


def inverse_parts(c: Contracts) -> Parts:
    """Cash delta S d/dS."""
    return {"delta": c.spot / c.forward, "basis": c.spot / c.forward}


def per_price(c: Contracts) -> Floats:
    """d/dF of (1 / F0 - 1 / F) S."""
    return c.spot / c.forward**2


def coin_paid(c: Contracts, price: Floats) -> Floats:
    """What a purchase costs: bought at a rather than b it loses (1 / b - 1 / a) coin."""
    with np.errstate(divide="ignore"):
        return -c.spot / price


def coin_margin(c: Contracts, price: Floats, spot: Floats) -> Floats:
    """Variation margin in coin, at the spot of the end."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (1 / c.price - 1 / price) * spot


def inverse_revalued(c: Contracts, shift: Shift) -> Floats:
    """Variation margin of an inverse future, in today's currency."""
    return (1 / c.forward - 1 / moved_price(c, shift)) * (c.spot * shift.growth) * shift.fx_growth


INVERSE_FUTURE = Family(
    types={"inverse_future": InstrumentType(dated=True, inverse=True, margined=True, future=True)},
    parts=inverse_parts, size=one, unit=per_price, paid=coin_paid, margin=coin_margin, revalue=inverse_revalued,
)  # fmt: skip
