"""Interactive Brokers: Flex statements (XML), what its API answers (JSON), and CSV exports of Flex queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.importers.envelope import listed, received
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.ibkr_flex import SHAPES as FLEX
from optihedge.market.importers.ibkr_flex import contract_labels, read_flex
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.raw import RawFile
from optihedge.market.importers.tables import csv_records

_EXPORT = {  # columns of CSV exports of a Flex query, in the words of its XML
    "Buy/Sell": "buySell", "TradeDate": "tradeDate", "ISIN": "isin", "Quantity": "quantity", "TradePrice": "tradePrice",
    "TradeMoney": "tradeMoney", "CurrencyPrimary": "currency", "IBCommission": "ibCommission",
    "IBCommissionCurrency": "ibCommissionCurrency", "Type": "type", "SettleDate": "settleDate", "Amount": "amount",
    "Description": "description", "Symbol": "symbol", "AssetClass": "assetCategory", "DateTime": "dateTime",
    "TradeID": "tradeID", "IBOrderID": "ibOrderID", "IBExecID": "ibExecID", "Multiplier": "multiplier",
    "Strike": "strike", "Expiry": "expiry", "Put/Call": "putCall", "UnderlyingSymbol": "underlyingSymbol",
    "ClientAccountID": "accountId", "MarkPrice": "markPrice", "ReportDate": "reportDate", "Conid": "conid",
    "PositionValue": "positionValue", "LevelOfDetail": "levelOfDetail", "EndingCash": "endingCash",
    "ListingExchange": "listingExchange",
}  # fmt: skip


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of Interactive Brokers' into the intake."""
    content: Any = raw.content
    if raw.form == "xml":
        read_flex(content, intake)
    elif raw.form == "json":
        intake.records(_answers(content, intake), SHAPES)
    elif raw.form == "text":
        _export(content, intake)
    else:
        intake.reject("the file", f"{raw.form}; give Flex XML, JSON of the API, or CSV of a Flex query")


def finish(intake: Intake) -> None:
    """The money of the most positions, where no account says its own."""
    told = intake.frame("instruments")
    monies = told["currency"][told["type"] == "equity"].value_counts()
    intake.money = intake.money or (str(monies.index[0]) if len(monies) else "")


def _answers(content: Any, intake: Intake) -> Any:
    for place, value, seen in received(content, intake):
        yield from listed(place, value, _seen=seen)


def _export(text: str, intake: Intake) -> None:
    """A CSV export of a Flex query: trades, cash transactions or positions, by its columns."""
    records = csv_records(text, intake)
    renamed = [{_EXPORT.get(k, k): v for k, v in record.items()} for record in records]
    keys = set(renamed[0]) if renamed else set()
    kinds = {"trade": {"tradePrice", "quantity"}, "payment": {"type", "amount"}, "position": {"position", "markPrice"},
             "position ": {"quantity", "markPrice"}, "cash": {"endingCash"}}  # fmt: skip
    kind = next((name.strip() for name, needs in kinds.items() if needs <= keys), None)
    if kind is None:
        intake.reject("the table", f"columns {', '.join(sorted(keys)[:6])} are no known export", count=len(renamed))
        return
    for row in renamed:
        row["symbol"] = row.get("symbol") or row.get("isin") or ""
        row["assetCategory"] = row.get("assetCategory") or "STK"
        if kind == "position" and "position" not in row:
            row["position"] = row["quantity"]
        if kind == "trade" and row.get("buySell") == "SELL" and not str(row["quantity"]).startswith("-"):
            row["quantity"] = f"-{row['quantity']}"
    if "symbol" not in keys and "Symbol" not in keys:
        intake.note("the export has no symbols: contracts are labelled by their ISIN")
    intake.records([(f"row {n}", {**row, f"_{kind}": True}) for n, row in enumerate(renamed, start=2)], FLEX)


# ---- the API's answers ---------------------------------------------------------------------------------------------


def _account_values(f: Fields, intake: Intake) -> None:
    """Account values: the cash of each currency; everything else is a sum of it and the positions."""
    cash = f.text("tag").isin(("CashBalance", "TotalCashBalance")) & ~f.text("currency").isin(("", "BASE"))
    if (~cash).any():
        intake.reject("account value", "a sum or a margin figure, no holding", count=int((~cash).sum()))
    whole = f.where((f.text("tag") == "NetLiquidation") & ~f.text("currency").isin(("", "BASE")))
    intake.money = intake.money or next((m for m in whole.text("currency") if m), "")
    f = f.where(cash)
    book = intake.account or f.text("account")
    rows = {"book": book, "instrument": f.text("currency"), "quantity": f.number("value", needed=True),
            "time": f.time("_seen"), "scope": "balance " + f.text("currency")}  # fmt: skip
    intake.add("books", pd.DataFrame(rows))


def _contracts(f: Fields, intake: Intake) -> tuple[pd.Series, Fields]:
    """Labels of records with a `contract` of the API (secType, symbol, strike, right ...)."""
    words = {"secType": "assetCategory", "symbol": "symbol", "currency": "currency", "multiplier": "multiplier",
             "strike": "strike", "right": "putCall", "lastTradeDateOrContractMonth": "expiry", "conId": "conid",
             "localSymbol": "localSymbol"}  # fmt: skip
    rows = [{ours: (c or {}).get(theirs) for theirs, ours in words.items()} for c in f.raw("contract")]
    frame = pd.DataFrame(rows)
    frame["underlyingSymbol"] = frame["symbol"]
    pair = frame["assetCategory"] == "CASH"
    frame["symbol"] = frame["symbol"].where(~pair, frame["symbol"].astype(str) + "." + frame["currency"].astype(str))
    frame["multiplier"] = pd.to_numeric(frame["multiplier"], errors="coerce")
    return contract_labels(Fields(frame, f.reject, f.what), intake), f


def _api_positions(f: Fields, intake: Intake) -> None:
    label, _ = _contracts(f, intake)
    book = intake.account or f.text("account")
    time = f.time("_seen")
    rows = {"book": book, "instrument": label, "quantity": f.number("position", needed=True), "time": time,
            "scope": "positions"}  # fmt: skip
    intake.add("books", pd.DataFrame(rows))
    intake.held_marks(label, time, f.number("marketPrice"))


def _api_tickers(f: Fields, intake: Intake) -> None:
    label, _ = _contracts(f, intake)
    time = f.time("time").fillna(f.time("_seen"))
    head = {"instrument": label, "time": time}
    sides = {side: f.number(side).where(f.number(side) >= 0) for side in ("bid", "ask")}
    sizes = {f"{side}_size": f.number(f"{side}Size").where(f.number(f"{side}Size") >= 0) for side in ("bid", "ask")}
    intake.quotes(pd.DataFrame(head | sides | sizes))
    vol = f.number("modelGreeks.impliedVol")
    intake.quotes(pd.DataFrame(head | {"mark": f.number("markPrice"), "vol": vol.where(vol > 0)}))
    greeks = {f"venue_{g}": f.number(f"modelGreeks.{g}") for g in ("delta", "gamma", "vega", "theta")}
    if np.isfinite(greeks["venue_delta"]).any():
        intake.add("greeks", pd.DataFrame(head | greeks))


SHAPES = (
    shape("position", "contract position", _api_positions, holds="position avgCost averageCost"),
    shape("ticker", "contract bid ask", _api_tickers),
    shape("account value", "tag value currency", _account_values, holds="tag"),
    shape("tick", "priceBid priceAsk", why="ticks that name no contract: give tickers with their contract"),
    shape("tick", "price size", why="ticks that name no contract: give tickers with their contract"),
    shape("bar", "open high low close", why="bars: no part of a market at one instant"),
    shape("plain value", "value", why="no market data"),
)  # fmt: skip
