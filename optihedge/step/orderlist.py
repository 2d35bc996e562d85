"""The list of one step: what a model answered, in whole lots and checked, or why it is held."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from optihedge.hedge.result import Hedge
from optihedge.market.snapshot import Market
from optihedge.trades.checks import Checks
from optihedge.trades.export import csv_text
from optihedge.trades.tradelist import TradeList, trade_list, trade_table


class HasTrades(Protocol):
    """What a hedger answers with: contracts to trade, by instrument."""

    @property
    def trades(self) -> pd.Series: ...


class Hedger(Protocol):
    """Anything that hedges a book in a market: a HedgeModel, or a simple rule."""

    def hedge(self, market: Market, book: pd.Series) -> HasTrades: ...


@dataclass(frozen=True, eq=False)
class OrderList:
    """Lines that may be sent (`table`, empty where the list is held), why not, and their fingerprint.

    cost   expected, base currency: far side less mark, fees and depth;  notional   of the lines
    listed the whole of it, for reports; None for a simple rule's
    """

    table: pd.DataFrame
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    listed: TradeList | None = None

    @property
    def held(self) -> bool:
        """Whether it must not be sent."""
        return bool(self.reasons)

    @property
    def sha256(self) -> str:
        """Of the list's bytes as a file."""
        return hashlib.sha256(csv_text(self.table).encode()).hexdigest()

    @property
    def cost(self) -> float:
        """Expected trading cost, base currency."""
        return float(self.table["cost"].sum())

    @property
    def notional(self) -> float:
        """Base currency."""
        return float(self.table["notional"].sum())


def order_list(answer: HasTrades, market: Market, book: str, checks: Checks | None) -> OrderList:
    """The list of an answer. A simple rule's trades are rounded to the nearest lot and pass no checks."""
    if not isinstance(answer, Hedge):
        return OrderList(trade_table(market, _lots(market, answer.trades), book=book), (), ())
    listed = trade_list(answer, book=book, checks="model" if checks is None else checks)
    return OrderList(listed.table, listed.reasons, listed.notes, listed)


def _lots(market: Market, trades: pd.Series) -> pd.Series:
    trades = trades[trades != 0].astype(float)
    lot = market.instruments["lot"].reindex(trades.index).to_numpy(dtype=float)
    return pd.Series(np.round(np.round(trades.to_numpy() / lot) * lot, 10), trades.index)
