"""Options quoted and settled in coin: V = m S C(F) / F in the quote currency."""

from __future__ import annotations

import numpy as np

from optihedge.market.contracts import Contracts
from optihedge.market.families.base import Family, Floats, InstrumentType, Parts
from optihedge.market.families.option import STRUCK, cash_parts, payoff, spot_size
from optihedge.market.pricing import inverse_greeks


def _parts(c: Contracts) -> Parts:
    parts = cash_parts(inverse_greeks(c.spot, c.forward, c.strike, c.years, c.vol, c.right), c.spot)
    value = c.price * c.spot
    return parts | {"value": value, "basis": parts["delta"] - value}


def _worth(_: Contracts, price: Floats, spot: Floats) -> Floats:
    return price * spot


def _paid(c: Contracts, price: Floats) -> Floats:
    return price * c.spot


def _settle(c: Contracts, level: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return payoff(c, level) / level


INVERSE_OPTION = Family(
    types={"inverse_option": InstrumentType(dated=True, option=True, inverse=True, volatile=True)},
    parts=_parts, size=spot_size, unit=spot_size, paid=_paid, worth=_worth, settle=_settle,
    terms=STRUCK,
)  # fmt: skip
