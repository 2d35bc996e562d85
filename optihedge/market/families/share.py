"""What is held for its price: stocks, coins and other spot; and indices, which cannot be traded."""

from __future__ import annotations

from optihedge.market.contracts import Contracts
from optihedge.market.families.base import Family, Floats, InstrumentType, Parts, Shift, at_price


def _parts(c: Contracts) -> Parts:
    return {"value": c.price, "delta": c.price}


def _price(c: Contracts) -> Floats:
    return c.price


def _revalue(c: Contracts, shift: Shift) -> Floats:
    return c.price * (shift.growth * shift.fx_growth - 1)


SHARE = Family(
    types={"equity": InstrumentType(), "spot": InstrumentType(), "index": InstrumentType(tradable=False)},
    parts=_parts, size=_price, worth=at_price, revalue=_revalue,
)  # fmt: skip
