"""Coinbase (exchange): products, level 2 books with their changes, tickers, accounts, own fills. Spot alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from optihedge.market.importers.books import Message, last_book, levels_of
from optihedge.market.importers.coins import add_contracts, finish_coins, label_of, own_fills
from optihedge.market.importers.envelope import listed, read_messages, received
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of Coinbase's into the intake."""
    read_messages(raw, intake, "Coinbase's", _unwrapped, SHAPES)


def finish(intake: Intake) -> None:
    """Fees, and the money that most pairs are quoted in."""
    finish_coins(intake)


def _unwrapped(values: Any, intake: Intake) -> Iterator[tuple[str, dict]]:
    for place, value, seen in received(values, intake):
        if isinstance(value, dict) and value.get("type") in ("snapshot", "l2update"):
            yield place, {"_book": True, "_seen": seen, **value}
        else:
            yield from listed(place, value, _seen=seen)


def _products(f: Fields, intake: Intake) -> None:
    gone = (f.text("status") != "online") | f.flag("trading_disabled") | f.flag("cancel_only")
    if gone.any():
        intake.reject("product", "not traded", count=int(gone.sum()))
    f = f.where(~gone)
    step = f.number("base_increment", needed=True)
    add_contracts(intake, pd.DataFrame({
        "symbol": f.text("id"), "family": "spot", "base": f.text("base_currency"), "quote": f.text("quote_currency"),
        "settle": "", "size": 1.0, "lot": step, "least": f.number("base_min_size").fillna(step),
        "tick": f.number("quote_increment", needed=True), "min_notional": f.number("min_market_funds"),
    }))  # fmt: skip


def _books(f: Fields, intake: Intake) -> None:
    """Whole books, which bear no time but that of their receipt, and changes [side, price, size], in their order."""
    messages: dict[str, list[Message]] = {}
    for symbol, when, seen, bids, asks, changes in zip(
        f.text("product_id"), f.time("time"), f.time("_seen"), f.raw("bids"), f.raw("asks"), f.raw("changes"),
        strict=True,
    ):  # fmt: skip
        whole = not isinstance(changes, list)
        if not whole:
            given = [c for c in changes if isinstance(c, list) and len(c) == 3]
            bids, asks = ([c[1:] for c in given if c[0] == side] for side in ("buy", "sell"))
        message = (when if when is not pd.NaT else seen, whole, levels_of(bids), levels_of(asks))
        messages.setdefault(symbol, []).append(message)
    for symbol, of_one in messages.items():
        last_book(f"{intake.venue}:{symbol}", of_one, intake)


def _tickers(f: Fields, intake: Intake) -> None:
    head = {"instrument": label_of(intake.venue, f.text("product_id")), "time": f.time("time").fillna(f.time("_seen"))}
    intake.quotes(pd.DataFrame(head | {side: f.number(f"best_{side}") for side in ("bid", "ask")}))
    intake.quotes(pd.DataFrame(head | {"volume": f.number("volume_24h")}))


def _accounts(f: Fields, intake: Intake) -> None:
    money = f.text("currency")
    intake.holds(money, f.number("balance", needed=True), f.time("_seen"), "balance " + money)


def _own_fills(f: Fields, intake: Intake) -> None:
    money = f.text("product_id").str.partition("-")[2]
    own_fills(f, intake, fill="trade_id", order="order_id", symbol="product_id", size="size", side=f.text("side"),
              price="price", fee=f.number("fee"), money=money, time="created_at")  # fmt: skip


SHAPES = (
    shape("product", "id base_currency quote_currency base_increment", _products),
    shape("order book", "_book product_id", _books),
    shape("ticker", "product_id best_bid best_ask", _tickers),
    shape("account", "currency balance", _accounts, holds="balance hold available"),
    shape("own fill", "trade_id product_id order_id fee settled", _own_fills),
    shape("trade", "trade_id product_id price size", why="a trade of others: no part of a market at one instant"),
    shape("answer", "type channels", why="to a request: no market data"),
    shape("order", "id product_id filled_size", why="an order: its trades come as fills"),
    shape("plain value", "value", why="no market data"),
)  # fmt: skip
