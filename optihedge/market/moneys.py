"""Moneys: the rate of each to base at a market, and the one in which a contract pays."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.currencies import currency_paths
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market
from optihedge.readonly import kept, read_only, texts

Array = np.ndarray


def in_money(market: Market, value: float, money: str, own: str) -> float:
    """An amount of one money in another, at the rates of a market; where none is told it is in its own."""
    return value if money in ("", own) else value * money_rate(market, money) / money_rate(market, own)


def money_rate(market: Market, currency: str) -> float:
    """Base currency for one unit of a currency or coin. Raises DataError for one without a quoted path to base."""
    return rate_to_base(currency, market.drivers, market.levels, market.base_currency)


def rate_to_base(currency: str, drivers: pd.DataFrame, levels: pd.Series, base_currency: str) -> float:
    """Base currency for one unit of a currency or coin, by the drivers' levels. Raises DataError as `money_rate`."""
    if currency == base_currency:
        return 1.0
    rate, _ = currency_paths(pd.Index([currency]), drivers, levels.to_numpy(), base_currency)
    return float(rate[0])


def settle_currencies(instruments: pd.DataFrame) -> Array:
    """N currencies in which contracts pay: the coin of an inverse contract, else the contract's own."""

    def found() -> Array:
        coins, moneys = (texts(instruments, name) for name in ("underlying", "currency"))
        return read_only(np.where(types_of(instruments)["inverse"], coins, moneys))

    return kept(instruments, "settle currencies", found)
