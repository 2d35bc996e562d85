"""What a contract pays: money for a price, from one price to another, and at its settlement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.fate import settle_currencies
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market


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


def terms_of(market: Market, names: pd.Index) -> dict[str, Terms]:
    """The terms of contracts that a market lists; others are left out."""
    table = market.instruments.loc[market.names[market.names.isin(names)]]
    kinds, money = types_of(table), settle_currencies(table)
    return {
        str(name): Terms(
            name=str(name), underlying=str(row.underlying), money=str(money[i]), multiplier=float(row.multiplier),
            option=bool(kinds["option"][i]), inverse=bool(kinds["inverse"][i]), margined=bool(kinds["margined"][i]),
            cash=row.type == "cash", strike=float(row.strike), right=-1.0 if row.right == "P" else 1.0,
            expiry=row.expiry,
        )
        for i, (name, row) in enumerate(zip(table.index, table.itertuples(index=False), strict=True))
    }  # fmt: skip


def deliverable(market: Market, terms: Terms) -> str:
    """The instrument that an option or future delivers: the stock or spot of its underlying. Raises DataError."""
    table = market.instruments
    plain = table.index[table["type"].isin(("equity", "spot")) & (table["underlying"] == terms.underlying)]
    if not len(plain):
        raise DataError(
            f"{terms.name} delivers {terms.underlying}, which the market of {market.as_of} does not list as equity or "
            "spot; add it, or settle the contract in cash"
        )
    own = table.loc[plain, "currency"] == terms.money
    return str(plain[np.argmax(own.to_numpy())])
