"""FIX sessions: execution reports as fills, busts as events, market data snapshots as quotes.

Fields end with SOH, or with | or ^A as logs print it. A line may begin with the logger's own time.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from optihedge.market.importers.books import book
from optihedge.market.importers.intake import Intake
from optihedge.market.importers.raw import RawFile

_MESSAGE = re.compile(r"8=FIX[^\x01|]*(?:\x01|\||\^A).*")
_SPLIT = re.compile(r"\x01|\||\^A")
_SIDES = {"1": 1.0, "2": -1.0, "5": -1.0, "6": -1.0}  # buy, sell, sell short, sell short exempt
_TRADES = ("F", "1", "2")  # ExecType: trade; partial fill and fill before FIX 4.3
_BUSTS = ("H",)
Message = list[tuple[str, str]]


def read(raw: RawFile, intake: Intake) -> None:
    """Put the messages of one log into the intake."""
    if raw.form != "text":
        intake.reject("the file", f"{raw.form} is no FIX log")
        return
    fills: list[dict | None] = []
    events: list[dict] = []
    others: dict[str, int] = {}
    for number, line in enumerate(str(raw.content).splitlines(), start=1):
        found = _MESSAGE.search(line)
        if found is None:
            if line.strip():
                intake.reject("line", "no FIX message", f"line {number}")
            continue
        message = [(tag, value) for tag, _, value in (part.partition("=") for part in _SPLIT.split(found[0])) if tag]
        one = dict(message)
        kind, trade = one.get("35", ""), one.get("150", one.get("39", ""))
        try:
            if kind == "8" and trade in _TRADES and float(one.get("32") or 0) > 0:
                fills.append(_fill(one, f"line {number}", intake))
            elif kind == "8" and trade in _BUSTS:
                events.append(_bust(one))
            elif kind == "W":
                _snapshot(message, one, intake)
            else:
                others[kind] = others.get(kind, 0) + 1
        except ValueError as error:
            intake.reject(f"message {kind}", f"a field of another kind than is known ({error})", f"line {number}")
    for kind, count in others.items():
        intake.reject(f"message {kind}", "no trade and no whole book", count=count)
    intake.add("fills", pd.DataFrame([fill for fill in fills if fill is not None]))
    intake.add("events", pd.DataFrame(events))
    intake.used[intake.file] = intake.used.get(intake.file, 0) + len(fills) + len(events)


def finish(intake: Intake) -> None:
    """Pairs of currencies as instruments; other symbols are described elsewhere."""
    seen = pd.concat([intake.frame("fills")["instrument"], intake.frame("quotes")["instrument"]]).drop_duplicates()
    pair = seen.str.extract(r"^([A-Z]{3})\.([A-Z]{3})$")
    rows = pd.DataFrame({"instrument": seen, "type": "spot", "underlying": pair[0], "currency": pair[1],
                         "multiplier": 1.0, "symbol": pair[0] + "/" + pair[1]})[pair[0].notna()]  # fmt: skip
    intake.add("instruments", rows)
    monies = rows["currency"].value_counts()
    intake.money = intake.money or (str(monies.index[0]) if len(monies) else "")


def _label(one: dict[str, str]) -> str:
    """The symbol; a pair EUR/USD is EUR.USD, as brokers call it."""
    symbol = one.get("55", "")
    return symbol.replace("/", ".") if re.fullmatch(r"[A-Z]{3}/[A-Z]{3}", symbol) else symbol


def _fill(one: dict[str, str], place: str, intake: Intake) -> dict | None:
    side = _SIDES.get(one.get("54", ""))
    missing = [name for name, tag in (("ExecID", "17"), ("LastPx", "31"), ("Symbol", "55")) if not one.get(tag)]
    if side is None or missing:
        intake.move("execution report", f"without {', '.join(missing) or 'a side that is known'}", place)
        return None
    kind, amount = one.get("13", "3"), float(one.get("12") or np.nan)
    quantity, price = float(one["32"]), float(one["31"])
    fee = {"1": amount * quantity, "2": amount / 100 * quantity * price, "3": amount}.get(kind, np.nan)
    if np.isnan(fee):
        intake.note("commissions are in no execution report of the session")
    return {
        "fill_id": one["17"], "order_id": one.get("37", one.get("11", "")), "book": intake.account or one.get("1", ""),
        "instrument": _label(one), "quantity": side * quantity, "price": price, "fee": fee,
        "money": one.get("479", one.get("15", "")), "time": _time(one.get("60") or one.get("52", "")), "source": "fix",
    }  # fmt: skip


def _bust(one: dict[str, str]) -> dict:
    """A trade cancel: it takes back the execution that ExecRefID names."""
    time = _time(one.get("60") or one.get("52", ""))
    quantity = float(one.get("32") or one.get("14") or 0)
    return {"event_id": f"fix bust {one.get('17', '')}", "time": time, "known_at": time, "kind": "bust",
            "instrument": _label(one), "value": quantity, "other": one.get("19", "")}  # fmt: skip


def _snapshot(message: Message, one: dict[str, str], intake: Intake) -> None:
    """A whole book (35=W): bids (269=0) and offers (269=1) with price and size."""
    sides: dict[str, list[tuple[float, float]]] = {"0": [], "1": []}
    kind, price = "", np.nan
    for tag, value in message:
        if tag == "269":
            kind, price = value, np.nan
        elif tag == "270":
            price = float(value)
        elif tag == "271" and kind in sides:
            sides[kind].append((price, float(value)))
    intake.used[intake.file] = intake.used.get(intake.file, 0) + 1
    book(_label(one), _time(one.get("52", "")), sides["0"], sides["1"], intake)


def _time(text: str) -> pd.Timestamp:
    """UTC instant of a UTCTimestamp 20111107-10:52:57.648."""
    return pd.to_datetime(text.replace("-", " ", 1), format="mixed", utc=True, errors="coerce")
