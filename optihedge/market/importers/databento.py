"""Databento: reference data as JSON lines (corporate actions, adjustment factors, security master), DBN files.

DBN needs the package databento-dbn (extra `databento`): definitions, best bid and offer, books of ten levels,
settlement statistics. Prices are integers of 1e-9, undefined ones 2^63 - 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.importers.envelope import listed, received
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, shape
from optihedge.market.importers.listed import CLOSES
from optihedge.market.importers.raw import RawFile


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of Databento's into the intake."""
    content: Any = raw.content
    if raw.form == "json":
        values = ((p, r) for place, value, _ in received(content, intake) for p, r in listed(place, value))
        intake.records(values, SHAPES)
    elif raw.form == "zstd":
        from optihedge.market.importers.databento_dbn import read_dbn

        read_dbn(content, intake)
    else:
        intake.reject("the file", f"{raw.form} is no format of Databento's; give DBN or JSON lines")


def finish(intake: Intake) -> None:
    """The money of the most instruments."""
    told = intake.frame("instruments")
    monies = told["currency"][told["currency"] != ""].value_counts()
    intake.money = intake.money or (str(monies.index[0]) if len(monies) else "")


def _opens(f: Fields, name: str) -> pd.Series:
    """Ex-dates as instants: the open of New York, 09:30, or of the listing's currency's zone."""
    day = pd.to_datetime(f.text(name), errors="coerce")
    zone = CLOSES["USD"][1]
    return (day + pd.Timedelta(hours=9, minutes=30)).dt.tz_localize(zone).dt.tz_convert("UTC").dt.as_unit("ns")


def _actions(f: Fields, intake: Intake) -> None:
    """Corporate actions: splits and cash dividends; other kinds are named."""
    kind, time = f.text("event"), _opens(f, "event_date")
    known = f.time("ts_record").fillna(time)
    number = f.text("event_unique_id").where(f.text("event_unique_id") != "", f.text("event_id"))
    symbol, money = f.text("symbol"), f.text("rate_currency")
    money = money.where(money != "", f.text("trading_currency"))
    new, old = f.number("ratio_new"), f.number("ratio_old")
    split = kind.isin(("SPLT", "FSPLT", "RSPLT", "CONSD", "SD", "BON")) & (new > 0) & (old > 0)
    gross = f.number("gross_dividend").fillna(f.number("net_dividend"))
    paid = kind.isin(("DIV", "DRIP")) & (gross > 0)
    deleted = f.text("event_action") == "D"
    ratio = (new / old).where(kind != "BON", 1 + new / old)
    rows = pd.DataFrame({
        "event_id": "databento " + number, "time": time, "known_at": known,
        "kind": np.where(split, "split", "dividend"), "instrument": symbol,
        "value": ratio.where(split, gross), "money": money.where(paid, ""), "other": "",
    })[(split | paid) & ~deleted & time.notna()]  # fmt: skip
    intake.add("events", rows.drop_duplicates("event_id"))
    rest = ~(split | paid) | deleted
    for name in kind[rest].unique():
        count = int((rest & (kind == name)).sum())
        intake.reject(
            f"corporate action {name}", "no split or dividend with its ratio or amount, or taken back", count=count
        )


def _factors(f: Fields, intake: Intake) -> None:
    """Adjustment factors of dividends: their detail says the amount; splits have the ratio in the factor."""
    kind, time = f.text("event_type"), _opens(f, "ex_date")
    amount = pd.to_numeric(f.text("detail").str.extract(r"DIVPAYRATE=([\d.]+)")[0], errors="coerce").astype(float)
    money = f.text("detail").str.extract(r"DIVCURRENCY=([A-Z]{3})")[0].fillna(f.text("currency"))
    split = kind.isin(("SPLT", "FSPLT", "RSPLT", "SD", "CONSD"))
    factor = f.number("factor")
    good = ((kind == "DIV") & (amount > 0)) | (split & (factor > 0))
    rows = pd.DataFrame({
        "event_id": "databento " + f.text("security_id") + " " + f.text("event_id"), "time": time,
        "known_at": time, "kind": np.where(split, "split", "dividend"), "instrument": f.text("nasdaq_symbol"),
        "value": (1 / factor).where(split, amount), "money": money.where(~split, ""), "other": "",
    })[good & time.notna()]  # fmt: skip
    intake.add("events", rows.drop_duplicates("event_id"))
    if (~good).any():
        intake.reject("adjustment factor", "it says no amount of a dividend and is no split", count=int((~good).sum()))


def _securities(f: Fields, intake: Intake) -> None:
    """The security master: shares with their currency and listing; board lots are beside, US shares trade singly."""
    symbol = f.text("local_code").where(f.text("local_code") != "", f.text("symbol"))
    delisted = f.text("delisting_date") != ""
    if delisted.any():
        intake.reject("security", "delisted", count=int(delisted.sum()))
    rows = pd.DataFrame({
        "instrument": symbol, "type": "equity", "underlying": symbol, "currency": f.text("trading_currency"),
        "multiplier": 1.0, "lot": 1.0, "symbol": symbol, "isin": f.text("isin"), "listing": f.text("operating_mic"),
        "board_lot": f.number("lot_size"),
    })  # fmt: skip
    intake.add("instruments", rows[~delisted])


SHAPES = (
    shape("adjustment factor", "security_id event_type ex_date factor", _factors),
    shape("corporate action", "event event_date symbol", _actions),
    shape("security", "security_id listing_id trading_currency symbol", _securities),
    shape("plain value", "value", why="no reference data"),
)  # fmt: skip
