"""Linear futures: V = m (S e^b - F0), the basis b held in every derivative but its own."""

from __future__ import annotations

import numpy as np

from optihedge.market.contracts import Contracts
from optihedge.market.families.base import Family, Floats, InstrumentType, Parts, Shift, price_change


def linear_parts(c: Contracts) -> Parts:
    """Cash delta S d/dS of a price F = S e^b."""
    return {"delta": c.forward, "basis": c.forward}


def price_of(c: Contracts) -> Floats:
    """The contract's own price."""
    return c.forward


def moved_price(c: Contracts, shift: Shift) -> Floats:
    """Price under a shift, R x N: ln(F/S) shrinks in proportion to the time left, and its shock holds while any is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = c.forward / c.spot
        lean = np.log(np.where(ratio > 0, ratio, 1.0))
        left = np.where(np.isnan(c.years), 1.0, np.maximum(1 - shift.days / 365 / c.years, 0.0))
    return c.forward * shift.growth * np.exp(lean * (left - 1) + np.where(left > 0, shift.basis, 0.0))


def revalued(c: Contracts, shift: Shift) -> Floats:
    """Variation margin of a linear future, in today's currency."""
    return (moved_price(c, shift) - c.forward) * shift.fx_growth


FUTURE = Family(
    types={"future": InstrumentType(dated=True, margined=True, future=True, signed=True)},
    parts=linear_parts, size=price_of, margin=price_change, revalue=revalued,
)  # fmt: skip
