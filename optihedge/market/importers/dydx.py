"""dYdX (v3): markets with index, oracle and funding, books with their changes, the account.

One contract is one coin. Its published rules, in no message: margin and profits are in USDC, funding is hourly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.importers.books import Level, Message, last_book, levels_of
from optihedge.market.importers.coins import add_contracts, add_index, finish_coins, label_of, own_fills
from optihedge.market.importers.envelope import listed, read_messages, received
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile

FUNDING_HOURS, MONEY = 1.0, "USDC"


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of dYdX's into the intake."""
    read_messages(raw, intake, "dYdX's", _unwrapped, SHAPES)


def finish(intake: Intake) -> None:
    """Fees; USDC is what it reckons in."""
    intake.money = intake.money or MONEY
    if len(intake.frame("instruments")):
        intake.note("margin in USDC and hourly funding are dYdX's published rules; no message says them")
    finish_coins(intake)


def _unwrapped(values: Any, intake: Intake) -> Iterator[tuple[str, dict]]:
    for place, value, seen in received(values, intake):
        if isinstance(value, dict) and isinstance(value.get("markets"), dict):
            yield from listed(place, list(value["markets"].values()), _seen=seen)
        elif isinstance(value, dict) and isinstance(value.get("account"), dict):
            yield from listed(place, value["account"], _seen=seen)
        elif isinstance(value, dict) and isinstance(value.get("fills"), list):
            yield from listed(place, value["fills"])
        elif isinstance(value, dict) and "channel" in value and "contents" in value:
            extra = {"_channel": value["channel"], "_type": value.get("type"), "_market": value.get("id")}
            contents = value["contents"]
            if isinstance(contents, dict) and "trades" in contents:
                contents = contents["trades"]
            elif isinstance(contents, dict) and isinstance(contents.get("markets"), dict):
                contents = list(contents["markets"].values())
            yield from listed(place, contents, _seen=seen, **extra)
        else:
            yield from listed(place, value, _seen=seen)


def _markets(f: Fields, intake: Intake) -> None:
    live = (f.text("status") == "ONLINE") & (f.text("type") == "PERPETUAL")
    if (~live).any():
        intake.reject("market", "not online, or no perpetual", count=int((~live).sum()))
    f = f.where(live)
    base = f.text("baseAsset")
    add_contracts(intake, pd.DataFrame({
        "symbol": f.text("market"), "family": "perpetual", "base": base, "quote": f.text("quoteAsset"),
        "settle": MONEY, "size": 1.0, "lot": f.number("stepSize", needed=True),
        "least": f.number("minOrderSize"), "tick": f.number("tickSize", needed=True),
    }))  # fmt: skip
    head = {"instrument": label_of(intake.venue, f.text("market")), "time": f.time("_seen")}
    index, oracle, rate = f.number("indexPrice"), f.number("oraclePrice"), f.number("nextFundingRate")
    intake.quotes(pd.DataFrame(head | {"mark": oracle, "underlying_price": index}))
    hours = np.where(rate.notna(), FUNDING_HOURS, np.nan)
    intake.quotes(pd.DataFrame(head | {"funding_rate": rate, "funding_hours": hours}))
    add_index(intake, base, pd.Series(MONEY, index=base.index), head["time"], index)


def _books(f: Fields, intake: Intake) -> None:
    """A whole book on subscription, then changes of levels. Messages bear no time but that of their receipt and may
    come late: a level changes only where the message's offset is not below the level's own.
    """
    messages: dict[str, list[Message]] = {}
    offsets: dict[tuple[str, str, float], int] = {}
    for symbol, when, kind, offset, bids, asks in zip(
        f.text("_market"), f.time("_seen"), f.text("_type"), f.number("offset"), f.raw("bids"), f.raw("asks"),
        strict=True,
    ):  # fmt: skip
        whole = kind != "channel_data"
        sides: dict[str, list[Level]] = {"bid": [], "ask": []}
        for side, levels in (("bid", bids), ("ask", asks)):
            for level in levels if isinstance(levels, list) else []:
                own = level.get("offset") if isinstance(level, dict) else offset
                number = int(own) if own is not None and own == own else 0
                for price, size in levels_of([level]):
                    if whole or number >= offsets.get((symbol, side, price), 0):
                        offsets[symbol, side, price] = number
                        sides[side].append((price, size))
        messages.setdefault(symbol, []).append((when, whole, sides["bid"], sides["ask"]))
    for symbol, of_one in messages.items():
        last_book(f"{intake.venue}:{symbol}", of_one, intake)


def _accounts(f: Fields, intake: Intake) -> None:
    """The positions, and the account's equity as USDC (perpetuals have no value of their own)."""
    rows = []
    for equity, positions, when in zip(
        f.number("equity", needed=True), f.raw("openPositions"), f.time("_seen"), strict=True
    ):
        rows.append((MONEY, equity, when, "balance"))
        for market, position in (positions or {}).items():
            size, side = position.get("size"), str(position.get("side")).lower()
            if size in (None, "") or side not in ("long", "short"):
                intake.lose(f"position of {market}", f"size {size!r} on side {side!r} says no quantity")
                continue
            signed = -abs(float(size)) if side == "short" else abs(float(size))
            rows.append((f"{intake.venue}:{market}", signed, when, "positions"))
    frame = pd.DataFrame(rows, columns=["instrument", "quantity", "time", "scope"])
    intake.add("books", frame.assign(book=intake.account))


def _own_fills(f: Fields, intake: Intake) -> None:
    own_fills(f, intake, fill="id", order="orderId", symbol="market", size="size", side=f.text("side"), price="price",
              fee=f.number("fee"), money=MONEY, time="createdAt")  # fmt: skip


SHAPES = (
    shape("market", "market baseAsset stepSize tickSize", _markets),
    shape("order book", "_channel bids asks", _books),
    shape("account", "openPositions", _accounts, holds="openPositions equity"),
    shape("own fill", "id market side price size fee orderId", _own_fills),
    shape("trade", "side size price createdAt", why="a trade of others: no part of a market at one instant"),
    shape("change of a market", "_channel", why="a change of some of a market's figures: give the markets"),
    shape("answer", "type connection_id", why="to a request: no market data"),
    shape("plain value", "value", why="no market data"),
)  # fmt: skip
