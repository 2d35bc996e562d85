"""Bit.com: instruments of its linear, coin-settled and spot markets, tickers, depth with its updates.

Quantities are in `contract_size_currency`: coins of a linear contract, dollars of a coin-settled one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.importers.books import chained_books, levels_of
from optihedge.market.importers.coins import add_contracts, add_index, finish_coins, label_of
from optihedge.market.importers.envelope import listed, read_messages, received
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of Bit.com's into the intake."""
    read_messages(raw, intake, "Bit.com's", _unwrapped, SHAPES)


def finish(intake: Intake) -> None:
    """Depth with its updates, fees."""
    chained_books(intake)
    finish_coins(intake)


def _unwrapped(values: Any, intake: Intake) -> Iterator[tuple[str, dict]]:
    for place, value, seen in received(values, intake):
        if isinstance(value, dict) and "channel" in value and "data" in value:
            extra = {"_channel": value["channel"], "_time": value.get("timestamp") or seen}
            yield from listed(place, value["data"], **extra)
        elif isinstance(value, dict) and "code" in value and "data" in value:
            yield from listed(place, value["data"], _time=seen)
        else:
            yield from listed(place, value, _time=seen)


def _instruments(f: Fields, intake: Intake) -> None:
    live = f.flag("active", default=True) & f.text("status").isin(("", "online"))
    future = f.text("category") == "future"
    if (~live).any():
        intake.reject("instrument", "no longer traded", count=int((~live).sum()))
    if (live & ~future).any():
        why = "an option: no message says in which money it is quoted and settled"
        intake.reject("instrument", why, count=int((live & ~future).sum()))
    f = f.where(live & future)
    if not len(f):
        return
    symbol, base, quote = f.text("instrument_id"), f.text("base_currency"), f.text("quote_currency")
    linear = f.text("contract_size_currency") != quote
    perpetual = symbol.str.endswith("PERPETUAL")
    size = f.number("contract_size", needed=True)
    add_contracts(intake, pd.DataFrame({
        "symbol": symbol, "family": np.where(perpetual, "perpetual", "future"), "base": base, "quote": quote,
        "settle": quote.where(linear, base), "size": size, "amount": size,
        "lot": f.number("size_step", needed=True) / size, "least": f.number("min_size") / size,
        "tick": f.number("price_step", needed=True), "expiry": f.time("expiration_at").where(~perpetual),
    }))  # fmt: skip


def _pairs(f: Fields, intake: Intake) -> None:
    add_contracts(intake, pd.DataFrame({
        "symbol": f.text("pair"), "family": "spot", "base": f.text("base_currency"), "quote": f.text("quote_currency"),
        "settle": "", "size": 1.0, "lot": f.number("qty_step", needed=True), "least": f.number("qty_min"),
        "tick": f.number("price_step", needed=True), "fee": f.number("taker_fee_rate"),
        "min_notional": f.number("quote_qty_min"),
    }))  # fmt: skip


def _tickers(f: Fields, intake: Intake) -> None:
    """Best, mark, index; of the funding rates the one that says its hours, funding_rate8h."""
    symbol = f.text("instrument_id").where(f.text("instrument_id") != "", f.text("pair"))
    head = {"instrument": label_of(intake.venue, symbol), "time": f.time("time").fillna(f.time("_time"))}
    tops = {"bid": "best_bid", "ask": "best_ask", "bid_size": "best_bid_qty", "ask_size": "best_ask_qty"}
    intake.quotes(pd.DataFrame(head | {ours: f.number(theirs) for ours, theirs in tops.items()}))
    index, rate = f.number("index_price"), f.number("funding_rate8h")
    intake.quotes(pd.DataFrame(head | {"mark": f.number("mark_price"), "underlying_price": index}))
    intake.quotes(pd.DataFrame(head | {"funding_rate": rate, "funding_hours": np.where(rate.notna(), 8.0, np.nan)}))
    intake.quotes(pd.DataFrame(head | {"volume": f.number("volume24h")}))
    pair = symbol.str.extract(r"^([^-]+)-([A-Z]+)-").fillna("")
    add_index(intake, pair[0], pair[1], head["time"], index)


def _depth(f: Fields, intake: Intake) -> None:
    """Whole books by the number they bear, and changes [side, price, size] that name the number before."""
    for symbol, when, number, prior, bids, asks, changes in zip(
        f.text("instrument_id"), f.time("_time"), f.number("sequence"), f.number("prev_sequence"), f.raw("bids"),
        f.raw("asks"), f.raw("changes"), strict=True,
    ):  # fmt: skip
        label = f"{intake.venue}:{symbol}"
        if not isinstance(changes, list):
            intake.whole_books[label] = (number, (when, True, levels_of(bids), levels_of(asks)))
            continue
        given = [c for c in changes if isinstance(c, list) and len(c) == 3]
        bids, asks = ([c[1:] for c in given if c[0] == side] for side in ("buy", "sell"))
        update = (number, number, prior, (when, False, levels_of(bids), levels_of(asks)))
        intake.changes.setdefault(label, []).append(update)


SHAPES = (
    shape("instrument", "instrument_id category contract_size price_step", _instruments),
    shape("pair", "pair base_currency qty_step price_step", _pairs),
    shape("ticker", "best_bid best_ask time", _tickers),
    shape("depth", "_channel instrument_id sequence", _depth),
    shape("answer", "_channel code", why="to a request: no market data"),
    shape("trade", "trade_id price", why="a trade of others: no part of a market at one instant"),
    shape("plain value", "value", why="no market data"),
)  # fmt: skip
