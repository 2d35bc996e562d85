"""Contract families, one file each; a new one is its file and its line here."""

from __future__ import annotations

from optihedge.market.families.base import Family, InstrumentType
from optihedge.market.families.cash import CASH
from optihedge.market.families.future import FUTURE
from optihedge.market.families.inverse_future import INVERSE_FUTURE
from optihedge.market.families.inverse_option import INVERSE_OPTION
from optihedge.market.families.option import OPTION
from optihedge.market.families.perpetual import INVERSE_PERPETUAL, PERPETUAL
from optihedge.market.families.pool import POOL
from optihedge.market.families.share import SHARE
from optihedge.market.families.variance_swap import VARIANCE_SWAP

FAMILIES: tuple[Family, ...] = (
    SHARE,
    CASH,
    FUTURE,
    INVERSE_FUTURE,
    PERPETUAL,
    INVERSE_PERPETUAL,
    OPTION,
    INVERSE_OPTION,
    VARIANCE_SWAP,
    POOL,
)

TYPES: dict[str, InstrumentType] = {name: kind for family in FAMILIES for name, kind in family.types.items()}
TERMS: tuple[str, ...] = (
    "type", "underlying", "currency", "multiplier", "expiry",
    *dict.fromkeys(name for family in FAMILIES for name in family.terms),
)  # fmt: skip
"""Fields of an instrument without which it is another contract, whatever its name."""

STRUCK: tuple[str, ...] = tuple(name for family in FAMILIES if "strike" in family.terms for name in family.types)
"""Types that have a strike and a right, whatever they pay for them."""

FAMILY_OF: dict[str, int] = {name: place for place, family in enumerate(FAMILIES) for name in family.types}
