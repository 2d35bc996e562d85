"""Perpetuals, linear and inverse: futures that never expire; their funding is cash beside them."""

from __future__ import annotations

from optihedge.market.families.base import Family, InstrumentType, one, price_change
from optihedge.market.families.future import linear_parts, price_of, revalued
from optihedge.market.families.inverse_future import coin_margin, coin_paid, inverse_parts, inverse_revalued, per_price

PERPETUAL = Family(
    types={"perpetual": InstrumentType(margined=True, future=True)},
    parts=linear_parts, size=price_of, margin=price_change, revalue=revalued,
)  # fmt: skip

INVERSE_PERPETUAL = Family(
    types={"inverse_perpetual": InstrumentType(inverse=True, margined=True, future=True)},
    parts=inverse_parts, size=one, unit=per_price, paid=coin_paid, margin=coin_margin, revalue=inverse_revalued,
)  # fmt: skip
