"""What a contract pays: money for a price, from one price to another, and at its settlement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.contracts import Contracts
from optihedge.market.families import FAMILIES


@dataclass(frozen=True)
class Terms:
    """One contract as its money goes: amounts are in `money`, the currency (or coin) it settles in.

    margined   paid by variation margin: a position has no value, only a gain since its price
    reciprocal an inverse future or perpetual, whose money goes with 1 / price
    contracts, place   its market's, of which it is the one at this place
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
    contracts: Contracts
    place: int

    @property
    def contract(self) -> Contracts:
        """It alone, as its family reads it."""
        return self.contracts.take(np.array([self.place]))

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

    def settled_at(self, value: float) -> float:
        """The price at which a settlement event ends it: by its underlying's level an option, else `value` itself."""
        return self.ends_at(value) if self.option else value

    def ends_at(self, level: float) -> float:
        """The price, in its own price units, at which it ends with its underlying at `level`, as its family says.

        Raises DataError for a contract whose end a level alone does not decide.
        """
        family = FAMILIES[int(self.contract.family[0])]
        price = float(family.settle(self.contract, np.array([level]))[0])
        if not np.isfinite(price):
            raise DataError(
                f"{self.name}: has expired, and {self.underlying} at {level:g} alone does not say what it ends at; "
                "give its settlement event (value: the price it settled at, other: cash)"
            )
        return price
