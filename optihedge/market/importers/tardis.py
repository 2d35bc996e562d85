"""Tardis: its CSV files (options_chain, book snapshots, incremental books, derivative tickers, trades), its normalised
messages and instruments as JSON.

Vols of options_chain are percent, those of messages
decimals; amounts are the venue's own. Contracts of Deribit bear its bare names, others exchange:symbol.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.importers.books import book, last_book, levels_of
from optihedge.market.importers.coins import decimal_vols, years_to
from optihedge.market.importers.deribit_messages import named_contracts
from optihedge.market.importers.envelope import listed, received
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile
from optihedge.market.importers.tables import csv_records


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of Tardis' into the intake."""
    content: Any = raw.content
    if raw.form == "text":
        records = csv_records(content, intake)
        levels = (
            [re.sub(r"^(asks|bids)\[(\d+)\]\.(price|amount)$", r"\1 \2 \3", k) for k in records[0]] if records else []
        )
        if any(" " in name for name in levels):
            records = [_folded(record) for record in records]
        intake.records([(f"row {n}", r) for n, r in enumerate(records, start=2)], SHAPES)
    elif raw.form == "json":
        values = ((p, r) for place, value, _ in received(content, intake) for p, r in listed(place, value))
        intake.records(values, SHAPES)
    else:
        intake.reject("the file", f"{raw.form} is no format of Tardis'; give CSV or JSON")


def finish(intake: Intake) -> None:
    """Deribit's contracts that no instrument describes, by their names."""
    from optihedge.market.importers.deribit import finish as finish_deribit

    finish_deribit(intake)


def _folded(record: dict[str, str]) -> dict[str, Any]:
    """A row of book_snapshot_N with its levels as lists."""
    sides: dict[str, list] = {"asks": [], "bids": []}
    rest = {}
    for key, value in record.items():
        level = re.match(r"^(asks|bids)\[(\d+)\]\.price$", key)
        if level:
            sides[level[1]].append([value, record.get(f"{level[1]}[{level[2]}].amount")])
        elif "[" not in key:
            rest[key] = value
    return {**rest, **sides}


def _labels(f: Fields) -> pd.Series:
    exchange, symbol = f.text("exchange"), f.text("symbol").where(f.text("symbol") != "", f.text("id"))
    return symbol.where(exchange == "deribit", exchange + ":" + symbol)


def _chain(f: Fields, intake: Intake) -> None:
    tops = {"bid": "bid_price", "bid_size": "bid_amount", "ask": "ask_price", "ask_size": "ask_amount"}
    _options(f, intake, tops, ("mark_iv", "mark_price", "underlying_price"), said=0.01)


def _summaries(f: Fields, intake: Intake) -> None:
    tops = {"bid": "bestBidPrice", "bid_size": "bestBidAmount", "ask": "bestAskPrice", "ask_size": "bestAskAmount"}
    _options(f, intake, tops, ("markIV", "markPrice", "underlyingPrice"), said=1.0)


def _options(f: Fields, intake: Intake, tops: dict[str, str], marks: tuple[str, ...], said: float) -> None:
    """Quotes, marks (see `_marks`) and the venue's Greeks of options."""
    head = {"instrument": _labels(f), "time": f.time("timestamp", needed=True)}
    intake.quotes(pd.DataFrame(head | {ours: f.number(theirs) for ours, theirs in tops.items()}))
    intake.quotes(pd.DataFrame(head | _marks(f, head, marks, intake, said)))
    told = {f"venue_{g}": f.number(g) for g in ("delta", "gamma", "vega", "theta", "rho")}
    intake.add("greeks", pd.DataFrame(head | told))


def _marks(f: Fields, head: dict, names: tuple[str, ...], intake: Intake, said: float) -> dict[str, pd.Series]:
    """Mark, forward and decimal vol; `said` is the unit of vols as documented, which marks of Deribit's confirm."""
    vol, mark, forward = (f.number(name) for name in names)
    parts = named_contracts(head["instrument"])
    inverse, years = (parts["money"] == "").to_numpy(), years_to(head["time"], parts["expiry"])
    vol = decimal_vols(vol, mark, forward, parts["strike"], years, parts["right"], inverse, intake, said)
    return {"mark": mark, "underlying_price": forward, "vol": vol}


def _tickers(f: Fields, intake: Intake) -> None:
    """Derivative tickers. Whose hours a funding rate is for they do not say, so that it is named and not used."""
    head = {"instrument": _labels(f), "time": f.time("timestamp", needed=True)}
    mark = f.number("mark_price").fillna(f.number("markPrice"))
    index = f.number("index_price").fillna(f.number("indexPrice"))
    intake.quotes(pd.DataFrame(head | {"mark": mark, "underlying_price": index}))
    rate = f.number("funding_rate").fillna(f.number("fundingRate"))
    if rate.notna().any():
        intake.reject("funding rate", "the interval that it is paid for is not said", count=int(rate.notna().sum()))


def _books(f: Fields, intake: Intake) -> None:
    for label, when, bids, asks in zip(
        _labels(f), f.time("timestamp", needed=True), f.raw("bids"), f.raw("asks"), strict=True
    ):
        book(label, when, levels_of(bids), levels_of(asks), intake)


def _changes(f: Fields, intake: Intake) -> None:
    messages: dict[str, list] = {}
    whole = f.flag("isSnapshot")
    for label, when, first, bids, asks in zip(
        _labels(f), f.time("timestamp", needed=True), whole, f.raw("bids"), f.raw("asks"), strict=True
    ):
        messages.setdefault(label, []).append((when, first, levels_of(bids), levels_of(asks)))
    for label, of_one in messages.items():
        last_book(label, of_one, intake)


def _increments(f: Fields, intake: Intake) -> None:
    """incremental_book_L2: rows of one local_timestamp are one message; the first of a run of snapshots is whole."""
    frame = pd.DataFrame({
        "label": _labels(f), "time": f.time("timestamp", needed=True), "whole": f.flag("is_snapshot"),
        "side": f.text("side"), "price": f.number("price"), "size": f.number("amount"), "at": f.text("local_timestamp"),
    })  # fmt: skip
    for label, rows in frame.groupby("label", sort=False):
        messages, before = [], False
        for _, message in rows.groupby("at", sort=False):
            sides = {s: list(zip(part["price"], part["size"], strict=True)) for s, part in message.groupby("side")}
            first = bool(message["whole"].iloc[0])
            messages.append(
                (message["time"].iloc[-1], first and not before, sides.get("bid", []), sides.get("ask", []))
            )
            before = first
        last_book(str(label), messages, intake)


def _instruments(f: Fields, intake: Intake) -> None:
    """Instruments of the API. An amount of one is contractMultiplier; of Deribit's futures its step is one contract."""
    kind = f.text("type")
    known = kind.isin(("perpetual", "future", "option", "spot"))
    if (~known).any():
        intake.reject(f"instrument of type {kind[~known].iloc[0]}", "a combination; its legs are the contracts",
                      count=int((~known).sum()))  # fmt: skip
    f = f.where(known)
    if not len(f):
        return
    kind, base, quote = f.text("type"), f.text("baseCurrency"), f.text("quoteCurrency")
    inverse = f.flag("inverse") & (kind != "spot")
    step = f.number("amountIncrement", needed=True)
    deribit = (f.text("exchange") == "deribit") & (kind != "option") & inverse
    size = f.number("contractMultiplier").fillna(1.0).where(~deribit, step)
    amount = pd.Series(1.0, index=size.index).where(~deribit, step)
    settle = f.text("settlementCurrency")
    money = quote.where(~inverse | (quote != base), "USD")
    symbol = f.text("id")
    label = symbol.where(f.text("exchange") == "deribit", f.text("exchange") + ":" + symbol)
    intake.add("instruments", pd.DataFrame({
        "instrument": label, "type": np.where(inverse, "inverse_", "") + kind, "underlying": base,
        "currency": money.where(inverse | (settle == ""), settle), "multiplier": size, "venue_amount": amount,
        "expiry": f.time("expiry").where(kind.isin(("future", "option"))), "strike": f.number("strikePrice"),
        "right": f.text("optionType").map({"call": "C", "put": "P"}).fillna(""), "venue": f.text("exchange"),
        "symbol": symbol, "lot": step / amount, "tick": f.number("priceIncrement", needed=True),
        "min_quantity": f.number("minTradeAmount") / amount, "fee": f.number("takerFee"),
        "maker_fee": f.number("makerFee"),
    }))  # fmt: skip


_OTHERS = "a trade of others: no part of a market at one instant"
SHAPES = (
    shape("chain", "exchange symbol strike_price expiration mark_iv", _chain),
    shape("option summary", "exchange symbol markIV", _summaries),
    shape("change of a book", "exchange symbol isSnapshot bids asks", _changes),
    shape("book", "exchange symbol bids asks", _books),
    shape("increment of a book", "exchange symbol is_snapshot side price amount", _increments),
    shape("ticker", "exchange symbol index_price mark_price", _tickers),
    shape("ticker", "exchange symbol indexPrice markPrice", _tickers),
    shape("instrument", "id exchange baseCurrency quoteCurrency priceIncrement", _instruments),
    shape("bar", "exchange symbol open close", why="bars: no part of a market at one instant"),
    shape("trade", "exchange symbol side price amount", why=_OTHERS),
    shape("disconnect", "type exchange", why="the recorder lost its connection then", lacks="symbol"),
)  # fmt: skip
