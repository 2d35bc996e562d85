"""The lines of a list: quantities, limit prices, costs and order ids of trades, in one table."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from optihedge.frames import plain_text
from optihedge.market.costs import trading_costs
from optihedge.market.instruments import types_of, venue_amounts
from optihedge.market.snapshot import Market
from optihedge.trades.export import PRICE_DIGITS, outward, rounded_to

COLUMNS = (
    "as_of", "book", "order_id", "instrument", "venue", "side", "quantity", "venue_amount", "lot", "price",
    "limit_price", "notional", "cost", "reason", "model", "model_hash",
)  # fmt: skip
_MONEY_DIGITS = 6  # significant; two decimals at least


def trade_table(
    market: Market,
    trades: pd.Series,
    *,
    book: str = "",
    model: str = "",
    model_hash: str = "",
    costs: pd.Series | None = None,
    reasons: pd.Series | None = None,
) -> pd.DataFrame:
    """The list of `trades` (contracts by instrument, positive buys), COLUMNS, in the market's order of instruments.

    quantity      contracts, signed;  venue_amount  what the venue counts (see market.instruments), never
                  negative: USD of a Deribit future, coin of its options, contracts elsewhere
    price         reference price, limit_price the far side of the quote rounded outwards to the tick, both in the
                  instrument's price units; a sell's is at least one tick where the price cannot be negative
    notional      base currency;  cost  what the line will cost to trade, all of it (default: see `trading_costs`),
                  base currency, to a hundredth of a cent
    reason        what the line serves most (see `reasons`)
    order_id      a letter, then a hash of instant, book, model, instrument, quantity and limit price: the same order
                  has the same id in every run, an order at another price another one; no spreadsheet reads a number
    """
    given = market.names.get_indexer(trades.index)
    traded = (trades.to_numpy(dtype=float) != 0) & (given >= 0)
    order = np.argsort(given[traded], kind="stable")
    at, quantity = given[traded][order], trades.to_numpy(dtype=float)[traded][order]
    names = market.names[at]
    instruments = market.instruments.iloc[at]
    buys = quantity > 0
    exact = [f"{q:.10g}" for q in quantity]
    price = market.price.to_numpy(float)[at]
    limit = _limit_prices(market, at, price, buys)
    expected = trading_costs(market, pd.Series(quantity, names)).sum(axis=1) if costs is None else costs.reindex(names)
    as_of = market.as_of.strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = zip(names, exact, map(repr, limit.tolist()), strict=True)
    said = np.full(len(at), "") if reasons is None else reasons.reindex(names).fillna("")
    plain = lambda texts: [plain_text(text) for text in texts]  # noqa: E731
    return pd.DataFrame(
        {
            "as_of": as_of,
            "book": plain_text(book),
            "order_id": [_order_id(as_of, book, model_hash or model, *line) for line in lines],
            "instrument": plain(names),
            "venue": plain(instruments["venue"]),
            "side": np.where(buys, "BUY", "SELL"),
            "quantity": np.round(quantity, 10),
            "venue_amount": np.round(np.abs(quantity) * venue_amounts(instruments), 10),
            "lot": instruments["lot"].to_numpy(float),
            "price": rounded_to(price, PRICE_DIGITS),
            "limit_price": limit,
            "notional": rounded_to(np.abs(quantity) * market.notional.to_numpy(float)[at], _MONEY_DIGITS),
            "cost": rounded_to(expected.to_numpy(float), _MONEY_DIGITS, 4),
            "reason": plain(said),
            "model": plain_text(model),
            "model_hash": model_hash,
        },
        columns=COLUMNS, index=range(len(at)),
    )  # fmt: skip


def _limit_prices(market: Market, at: np.ndarray, price: np.ndarray, buys: np.ndarray) -> np.ndarray:
    """The far side of each quote, else the price, rounded outwards to the tick; a sell's is a tick at least."""
    tick = market.instruments["tick"].to_numpy(float)[at]
    ask, bid = (market.quotes[side].to_numpy(float)[at] for side in ("ask", "bid"))
    far = np.where(buys, ask, bid)
    limit = outward(np.where(np.isfinite(far), far, price), tick, buys)
    least = np.where(buys | types_of(market.instruments)["signed"][at], 0.0, tick)
    return np.where(least > 0, np.maximum(limit, least), limit)


def _order_id(*parts: str) -> str:
    return "o" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:15]
