"""OKX (v5): instruments, tickers, marks, option summaries, books, funding, balances, positions, own trades.

Sizes of contracts are contracts of ctVal x ctMult; fees are negative where they are paid.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.importers.books import file_label, last_book, levels_of
from optihedge.market.importers.coins import add_contracts, add_index, finish_coins, label_of, option_values, own_fills
from optihedge.market.importers.envelope import held_within, listed, read_messages, received
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile

_PAIR = r"^([^-]*)-?([^-]*)"


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of OKX's into the intake."""
    read_messages(raw, intake, "OKX's", _unwrapped, SHAPES)


def finish(intake: Intake) -> None:
    """Fees by kind of instrument, option values out of the balances."""
    finish_coins(intake)


def _unwrapped(values: Any, intake: Intake) -> Iterator[tuple[str, dict]]:
    for place, value, _ in received(values, intake):
        if isinstance(value, dict) and value.get("event"):
            intake.reject("answer", f"to a request ({value['event']}): no market data", place)
        elif isinstance(value, dict) and "data" in value:
            arg = value["arg"] if isinstance(value.get("arg"), dict) else {}
            extra = {"_action": value.get("action", "snapshot"), "_channel": arg.get("channel", "")}
            if "instId" in arg:
                extra["instId"] = arg["instId"]
            yield from listed(place, value["data"], **extra)
        else:
            yield from listed(place, value)


def _instruments(f: Fields, intake: Intake) -> None:
    kind = f.text("instType").str.lower().map({"spot": "spot", "swap": "perpetual", "futures": "future",
                                               "option": "option"})  # fmt: skip
    live = ~f.text("state").isin(("suspend", "expired")) & kind.notna()
    if (~live).any():
        why = "suspended, expired, or of another kind (MARGIN is its spot pair)"
        intake.reject("instrument", why, count=int((~live).sum()))
    f, kind = f.where(live), kind[live].reset_index(drop=True)
    if not len(f):
        return
    family = f.text("instFamily").where(f.text("instFamily") != "", f.text("uly")).str.extract(_PAIR)
    spot = kind == "spot"
    size = (f.number("ctVal") * f.number("ctMult").fillna(1.0)).where(~spot, 1.0)
    add_contracts(intake, pd.DataFrame({
        "symbol": f.text("instId"), "family": kind, "base": f.text("baseCcy").where(spot, family[0]),
        "quote": f.text("quoteCcy").where(spot, family[1]), "settle": f.text("settleCcy"), "size": size,
        "tick": f.number("tickSz", needed=True), "lot": f.number("lotSz", needed=True),
        "least": f.number("minSz", needed=True), "expiry": f.time("expTime"), "strike": f.number("stk"),
        "right": f.text("optType"), "fee_group": f.text("instType"),
    }))  # fmt: skip


def _tickers(f: Fields, intake: Intake) -> None:
    head = {"instrument": label_of(intake.venue, f.text("instId")), "time": f.time("ts", needed=True)}
    tops = {"bid": "bidPx", "ask": "askPx", "bid_size": "bidSz", "ask_size": "askSz"}
    intake.quotes(pd.DataFrame(head | {ours: f.number(theirs) for ours, theirs in tops.items()}))
    intake.quotes(pd.DataFrame(head | {"volume": f.number("vol24h")}))


def _marks(f: Fields, intake: Intake) -> None:
    head = {"instrument": label_of(intake.venue, f.text("instId")), "time": f.time("ts", needed=True)}
    intake.quotes(pd.DataFrame(head | {"mark": f.number("markPx")}))


def _indices(f: Fields, intake: Intake) -> None:
    pair = f.text("instId").str.extract(_PAIR)
    add_index(intake, pair[0], pair[1], f.time("ts", needed=True), f.number("idxPx"))


def _summaries(f: Fields, intake: Intake) -> None:
    """Option summaries: the forward, the vol of the mark (decimal), the venue's Black-Scholes Greeks."""
    head = {"instrument": label_of(intake.venue, f.text("instId")), "time": f.time("ts", needed=True)}
    vol = f.number("markVol")
    intake.quotes(pd.DataFrame(head | {"underlying_price": f.number("fwdPx"), "vol": vol.where(vol > 0)}))
    if "deltaBS" in f or "deltaBs" in f:
        ending = "BS" if "deltaBS" in f else "Bs"
        greeks = {f"venue_{g}": f.number(g + ending) for g in ("delta", "gamma", "vega", "theta")}
        intake.add("greeks", pd.DataFrame(head | greeks))


def _funding(f: Fields, intake: Intake) -> None:
    """The next rate, for the hours between the next two payments."""
    paid, after = f.time("fundingTime"), f.time("nextFundingTime")
    hours = (after - paid).dt.total_seconds() / 3600
    rate = f.number("fundingRate").where(hours > 0)
    time = f.time("ts").fillna(paid)
    rows = {"instrument": label_of(intake.venue, f.text("instId")), "time": time, "funding_rate": rate}
    intake.quotes(pd.DataFrame(rows | {"funding_hours": hours.where(hours > 0)}))


def _books(f: Fields, intake: Intake) -> None:
    symbols = f.text("instId")
    labels = label_of(intake.venue, symbols).where(symbols != "", file_label(intake.file))
    messages: dict[str, list] = {}
    for label, when, action, bids, asks in zip(
        labels, f.time("ts", needed=True), f.text("_action"), f.raw("bids"), f.raw("asks"), strict=True
    ):
        messages.setdefault(label, []).append((when, action != "update", levels_of(bids), levels_of(asks)))
    for label, of_one in messages.items():
        last_book(label, of_one, intake)


def _positions(f: Fields, intake: Intake) -> None:
    size, side = f.number("pos", needed=True), f.text("posSide")
    margin = f.text("instType") == "MARGIN"
    if margin.any():
        intake.reject("position", "on margin: it lies in the balances", count=int(margin.sum()))
    signed = f.signed(size, side, own=("net",))
    name, time = label_of(intake.venue, f.text("instId")), f.time("uTime")
    intake.holds(name[~margin], signed[~margin], time[~margin], "positions " + side[~margin])
    intake.held_marks(name, time, f.number("markPx"))
    option_values(intake, f.text("ccy"), f.number("optVal"))


def _accounts(f: Fields, intake: Intake) -> None:
    held_within(f, "details", shape("balance", "ccy eq", _balances, holds="eq cashBal ccy"), intake)


def _balances(f: Fields, intake: Intake) -> None:
    """The equity of a currency: cash, unrealised profit and option values (which `finish` takes off)."""
    intake.holds(f.text("ccy"), f.number("eq", needed=True), f.time("uTime"), "balance " + f.text("ccy"))


def _own_trades(f: Fields, intake: Intake) -> None:
    own_fills(f, intake, fill="tradeId", order="ordId", symbol="instId", size="fillSz", side=f.text("side"),
              price="fillPx", fee=-f.number("fee"), money=f.text("feeCcy"), time="ts")  # fmt: skip


def _fees(f: Fields, intake: Intake) -> None:
    """The account's taker fees by kind of instrument (negative where they are paid)."""
    for kind, taker in zip(f.text("instType"), f.number("taker"), strict=True):
        if np.isfinite(taker):
            intake.fees[("fee_group", kind)] = ("fixed", -taker)


SHAPES = (
    shape("instrument", "instId instType tickSz lotSz", _instruments),
    shape("own trade", "instId tradeId ordId fillPx billId", _own_trades),
    shape("order", "instId ordId", why="an order: its trades come as fills (transaction details)"),
    shape("algo order", "instId algoId", why="an order, not yet a trade"),
    shape("closed position", "instId closeAvgPx", why="a position that is closed"),
    shape("position", "instId pos", _positions, holds="pos upl uplRatio"),
    shape("account", "details", _accounts, holds="totalEq details"),
    shape("balance", "ccy eq", _balances, holds="eq cashBal"),
    shape("order book", "bids asks ts", _books),
    shape("option summary", "instId fwdPx markVol", _summaries),
    shape("funding rate", "instId fundingRate nextFundingTime", _funding),
    shape("funding paid", "instId fundingRate realizedRate", why="past funding without the mark it was paid on"),
    shape("mark price", "instId markPx ts", _marks),
    shape("index price", "instId idxPx ts", _indices),
    shape("ticker", "instId bidPx askPx", _tickers),
    shape("fees", "instType taker maker", _fees),
    shape("spread", "sprdId", why="a spread; its legs are the contracts"),
    shape("position tier", "maxLever minSz", why="margin tiers; see margin rules"),
    shape("trade", "instId tradeId px", why="a trade of others: no part of a market at one instant"),
    shape("answer to an order", "ordId sCode", why="an order, not yet a trade"),
    shape("answer to an order", "algoId", why="an order, not yet a trade"),
    shape("setting", "posMode", why="a setting of the account"),
    shape("bar", "value", why="a bar or plain value: no part of a market at one instant"),
)  # fmt: skip
