"""Gate.io's futures (v4): contracts with their fees, marks and funding, order books and their updates, accounts.

A contract is `quanto_multiplier` coins and settles in the quote currency; an `inverse` one is 1 USD and settles in
coin. Sizes are contracts everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.importers.books import chained_books, file_label, levels_of
from optihedge.market.importers.coins import add_contracts, add_index, finish_coins, label_of
from optihedge.market.importers.envelope import listed, read_messages, received
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile

_PAIR = r"^(?P<base>.+)_(?P<quote>[A-Z]+)$"


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of Gate.io's into the intake."""
    read_messages(raw, intake, "Gate.io's", _unwrapped, SHAPES)


def finish(intake: Intake) -> None:
    """Books with their updates, fees."""
    chained_books(intake)
    finish_coins(intake)


def _unwrapped(values: Any, intake: Intake) -> Iterator[tuple[str, dict]]:
    for place, value, seen in received(values, intake):
        if isinstance(value, dict) and "channel" in value and "event" in value:
            if value["event"] in ("subscribe", "unsubscribe"):
                intake.reject("answer", "to a request: no market data", place)
                continue
            yield from listed(place, value.get("result"), _seen=value.get("time_ms") or seen)
        else:
            yield from listed(place, value, _seen=seen)


def _contracts(f: Fields, intake: Intake) -> None:
    gone = f.flag("in_delisting")
    if gone.any():
        intake.reject("contract", "being delisted", count=int(gone.sum()))
    f = f.where(~gone)
    pair = f.text("name").str.extract(_PAIR).fillna("")
    direct = f.text("type") != "inverse"
    add_contracts(intake, pd.DataFrame({
        "symbol": f.text("name"), "family": "perpetual", "base": pair["base"], "quote": pair["quote"],
        "settle": pair["quote"].where(direct, pair["base"]),
        "size": f.number("quanto_multiplier", needed=True).where(direct, 1.0), "lot": 1.0,
        "least": f.number("order_size_min"), "tick": f.number("order_price_round", needed=True),
        "fee": f.number("taker_fee_rate"),
    }))  # fmt: skip
    head = {"instrument": label_of(intake.venue, f.text("name")), "time": f.time("_seen")}
    index, rate = f.number("index_price"), f.number("funding_rate")
    intake.quotes(pd.DataFrame(head | {"mark": f.number("mark_price"), "underlying_price": index}))
    hours = (f.number("funding_interval") / 3600).where(rate.notna())
    intake.quotes(pd.DataFrame(head | {"funding_rate": rate, "funding_hours": hours}))
    add_index(intake, pair["base"], pair["quote"], head["time"], index)


def _books(f: Fields, intake: Intake) -> None:
    """Whole books, which name no contract: the name of their file does."""
    numbers = f.number("id")
    for when, number, bids, asks in zip(f.time("update"), numbers, f.raw("bids"), f.raw("asks"), strict=True):
        whole = (when, True, levels_of(bids), levels_of(asks))
        intake.whole_books[file_label(intake.file)] = (number, whole)


def _updates(f: Fields, intake: Intake) -> None:
    for symbol, when, first, last, bids, asks in zip(
        f.text("s"), f.time("t"), f.number("U"), f.number("u"), f.raw("b"), f.raw("a"), strict=True
    ):
        update = (first, last, np.nan, (when, False, levels_of(bids), levels_of(asks)))
        intake.changes.setdefault(f"{intake.venue}:{symbol}", []).append(update)


def _tops(f: Fields, intake: Intake) -> None:
    names = {"bid": "b", "ask": "a", "bid_size": "B", "ask_size": "A"}
    head = {"instrument": label_of(intake.venue, f.text("s")), "time": f.time("t", needed=True)}
    intake.quotes(pd.DataFrame(head | {ours: f.number(theirs) for ours, theirs in names.items()}))


def _positions(f: Fields, intake: Intake) -> None:
    name, time = label_of(intake.venue, f.text("contract")), f.time("_seen")
    scope = "positions " + f.text("contract") + " " + f.text("mode")
    intake.holds(name, f.number("size", needed=True), time, scope)
    intake.held_marks(name, time, f.number("mark_price"))


def _accounts(f: Fields, intake: Intake) -> None:
    """The total excludes what open positions have gained; the book counts it."""
    money = f.text("currency")
    total = f.number("total", needed=True) + f.number("unrealised_pnl", needed=True)
    intake.holds(money, total, f.time("_seen"), "balance " + money)


def _own_trades(f: Fields, intake: Intake) -> None:
    pair = f.text("contract").str.extract(_PAIR).fillna("")
    intake.add("fills", pd.DataFrame({
        "fill_id": f.text("id"), "order_id": f.text("order_id"), "book": intake.account,
        "instrument": label_of(intake.venue, f.text("contract")), "quantity": f.number("size", needed=True),
        "price": f.number("price", needed=True), "fee": f.number("fee"),
        "money": pair["quote"].where(pair["quote"] != "USD", pair["base"]),
        "time": f.time("create_time", needed=True), "source": intake.venue,
    }))  # fmt: skip


SHAPES = (
    shape("contract", "name quanto_multiplier order_price_round", _contracts),
    shape("order book", "id update bids asks", _books),
    shape("update of a book", "U u s b a", _updates),
    shape("best", "s b B a A", _tops),
    shape("position", "contract size leverage", _positions, holds="entry_price"),
    shape("account", "currency total unrealised_pnl", _accounts, holds="unrealised_pnl"),
    shape("own trade", "contract order_id size price fee role", _own_trades),
    shape("trade", "contract size price create_time", why="a trade of others: no part of a market at one instant"),
    shape("bar", "o h l c", why="bars: no part of a market at one instant"),
    shape("plain value", "value", why="no market data"),
)  # fmt: skip
