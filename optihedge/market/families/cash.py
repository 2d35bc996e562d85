"""Money: worth the same in its own currency whatever its underlying does."""

from __future__ import annotations

import numpy as np

from optihedge.market.contracts import Contracts
from optihedge.market.families.base import Family, Floats, InstrumentType, Parts, Shift, at_price


def _parts(c: Contracts) -> Parts:
    return {"value": c.price}


def _price(c: Contracts) -> Floats:
    return c.price


def _revalue(c: Contracts, shift: Shift) -> Floats:
    return c.price * (np.ones_like(shift.growth) * shift.fx_growth - 1)


CASH = Family(types={"cash": InstrumentType()}, parts=_parts, size=_price, worth=at_price, revalue=_revalue)
