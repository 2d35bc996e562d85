"""What a contract pays: money for a price, from one price to another, and at its settlement."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from optihedge.errors import DataError


@dataclass(frozen=True)
class Terms:
    """One contract as its money goes: amounts are in `money`, the currency (or coin) it settles in.

    margined   paid by variation margin: a position has no value, only a gain since its price
    reciprocal an inverse future or perpetual, whose money goes with 1 / price
    """

    name: str
    underlying: str
    money: str
    multiplier: float
    option: bool
    inverse: bool
    margined: bool
    cash: bool
    strike: float
    right: float
    expiry: pd.Timestamp

    @property
    def reciprocal(self) -> bool:
        """Whether its money goes with 1 / price."""
        return self.inverse and self.margined

    def worth(self, quantity: float, price: float) -> float:
        """Market value at a price; 0 where it is paid by variation margin."""
        return 0.0 if self.margined else quantity * self.multiplier * price

    def gain(self, quantity: float, entry: float, leave: float) -> float:
        """What a quantity gains from one price to another. Raises DataError for an inverse price not above zero."""
        if not self.reciprocal:
            return quantity * self.multiplier * (leave - entry)
        if not (entry > 0 and leave > 0):
            raise DataError(f"{self.name}: a price of {min(entry, leave):g}; an inverse contract's is above zero")
        return quantity * self.multiplier * (1 / entry - 1 / leave)

    def settled_at(self, level: float) -> float:
        """The price, in its own price units, at which it ends when its underlying settles at `level`."""
        if not self.option:
            return level
        payoff = max(self.right * (level - self.strike), 0.0)
        return payoff / level if self.inverse else payoff
