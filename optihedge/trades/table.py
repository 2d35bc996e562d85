"""The lines of a list: quantities, limit prices, costs and order ids of trades, in one table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from optihedge.frames import plain_text
from optihedge.market.costs import trading_parts
from optihedge.market.instruments import types_of, venue_amounts
from optihedge.market.snapshot import Market
from optihedge.readonly import kept, numbers
from optihedge.trades.export import PRICE_DIGITS, outward, rounded_to

COLUMNS = (
    "as_of", "book", "order_id", "instrument", "venue", "side", "quantity", "venue_amount", "lot", "price",
    "limit_price", "notional", "cost", "reason", "model", "model_hash",
)  # fmt: skip
_NUMBERS = ("quantity", "venue_amount", "lot", "price", "limit_price", "notional", "cost")
_KINDS = dict.fromkeys(_NUMBERS, "float64")
_MONEY_DIGITS = 6  # significant; two decimals at least


def trade_table(
    market: Market,
    trades: pd.Series,
    *,
    book: str = "",
    model: str = "",
    model_hash: str = "",
) -> pd.DataFrame:
    """The list of `trades` (contracts by instrument, positive buys), COLUMNS, in the market's order of instruments.

    quantity      contracts, signed;  venue_amount  what the venue counts (see market.instruments), never
                  negative: USD of a Deribit future, coin of its options, contracts elsewhere
    price         reference price, limit_price the far side of the quote rounded outwards to the tick, both in the
                  instrument's price units; a sell's is at least one tick where the price cannot be negative
    notional      base currency;  cost  what the line will cost to trade, all of it (see `trading_costs`), base
                  currency, to a hundredth of a cent
    reason        empty here; of a checked list what the line serves most
    order_id      a letter, then a hash of instant, book, model, instrument, quantity and limit price: the same order
                  has the same id in every run, an order at another price another one; no spreadsheet reads a number
    """
    columns = line_columns(market, trades, book=book, model=model, model_hash=model_hash)
    return frame_of(columns)


def frame_of(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    """Columns of lines as a table."""
    return pd.DataFrame({name: pd.Series(values, dtype=_KINDS.get(name, "str")) for name, values in columns.items()})


def line_columns(
    market: Market,
    trades: pd.Series,
    *,
    book: str = "",
    model: str = "",
    model_hash: str = "",
) -> dict[str, list[Any]]:
    """The columns of `trade_table`, plain values line by line."""
    every = trades.to_numpy(dtype=float)
    places = market.names.get_indexer(trades.index)
    chosen = np.flatnonzero((every != 0) & (places >= 0))
    chosen = chosen[np.argsort(places[chosen], kind="stable")]
    return columns_at(market, places[chosen], every[chosen], book=book, model=model, model_hash=model_hash)


def columns_at(
    market: Market,
    at: np.ndarray,
    quantity: np.ndarray,
    *,
    book: str = "",
    model: str = "",
    model_hash: str = "",
    expected: np.ndarray | None = None,
    told: list[str] | None = None,
) -> dict[str, list[Any]]:
    """The columns of trades (contracts, none 0) at positions `at` of market.names, which are in order.

    expected   what each will cost (default: see `trading_costs`);  told   its reason
    """
    every = kept(market.instruments, "labels", lambda: list(map(str, market.names)))
    buys = quantity > 0
    price = market.contracts.price[at]
    limit = _limit_prices(market, at, price, buys)
    if expected is None:
        expected = np.nansum(list(trading_parts(market, at, quantity).values()), axis=0)
    as_of = market.as_of.strftime("%Y-%m-%dT%H:%M:%SZ")
    labels, limits = [every[i] for i in at.tolist()], limit.tolist()
    lines = zip(labels, (f"{q:.10g}" for q in quantity.tolist()), map(repr, limits), strict=True)
    shown = kept(market.instruments, "labels shown", lambda: _shown(every))
    venues = kept(market.instruments, "venues shown", lambda: _shown(market.instruments["venue"].tolist()))
    told = [""] * len(labels) if told is None else told
    known = {text: plain_text(text) for text in {*told, book, model}}
    amounts = kept(market.instruments, "venue amounts", lambda: venue_amounts(market.instruments))
    count = len(labels)
    return {
        "as_of": [as_of] * count,
        "book": [known[book]] * count,
        "order_id": [_order_id(as_of, book, model_hash or model, *line) for line in lines],
        "instrument": [shown[i] for i in at.tolist()],
        "venue": [venues[i] for i in at.tolist()],
        "side": np.where(buys, "BUY", "SELL").tolist(),
        "quantity": np.round(quantity, 10).tolist(),
        "venue_amount": np.round(np.abs(quantity) * amounts[at], 10).tolist(),
        "lot": numbers(market.instruments, "lot")[at].tolist(),
        "price": rounded_to(price, PRICE_DIGITS).tolist(),
        "limit_price": limits,
        "notional": rounded_to(np.abs(quantity) * market.notional.to_numpy(float)[at], _MONEY_DIGITS).tolist(),
        "cost": rounded_to(expected, _MONEY_DIGITS, 4).tolist(),
        "reason": [known[text] for text in told],
        "model": [known[model]] * count,
        "model_hash": [model_hash] * count,
    }


def _shown(texts: list[Any]) -> list[str]:
    """Texts as a list shows them."""
    known = {text: plain_text(text) for text in {*texts}}
    return [known[text] for text in texts]


def _limit_prices(market: Market, at: np.ndarray, price: np.ndarray, buys: np.ndarray) -> np.ndarray:
    """The far side of each quote, else the price, rounded outwards to the tick; a sell's is a tick at least."""
    tick = numbers(market.instruments, "tick")[at]
    bid, ask = (numbers(market.quotes, side)[at] for side in ("bid", "ask"))
    far = np.where(buys, ask, bid)
    limit = outward(np.where(np.isfinite(far), far, price), tick, buys)
    least = np.where(buys | types_of(market.instruments)["signed"][at], 0.0, tick)
    return np.where(least > 0, np.maximum(limit, least), limit)


def _order_id(*parts: str) -> str:
    return "o" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:15]
