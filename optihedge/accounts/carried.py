"""Held contracts that a market does not list: carried at their last mark, frozen, until they come back or end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import completed, some
from optihedge.market.drivers import DRIVERS
from optihedge.market.fate import Fate
from optihedge.market.instruments import INSTRUMENTS
from optihedge.market.snapshot import Market

CarriedRows = Mapping[str, Mapping[str, Any]]
HALTED = pd.Timedelta(days=14)
"""How long a contract is carried whose driver is gone too: regulators suspend trading for up to ten business days."""
_QUOTED = ("underlying_price", "vol", "rate")
_PLAIN = ("equity", "spot")
_ROWS = 252  # of levels that a driver which is gone is known by


def rows_of(before: Market, at: np.ndarray, fate: Fate, carried: CarriedRows) -> dict[str, dict[str, Any]]:
    """What a State holds of contracts, at these places of `before`, that its next market does not list.

    Label as it is now -> terms, last mark, forward, vol, rate and driver, and when it was quoted, as plain values. A
    share that split or was renamed meanwhile is carried as what it became, at as much money.
    """
    rows: dict[str, dict[str, Any]] = {}
    for i in sorted(at.tolist(), key=lambda place: bool(fate.touched[place])):
        name, label, units = str(before.names[i]), str(fate.became[i]), float(fate.units[i])
        if label in rows:  # what it turned into is held already, and carried itself
            continue
        terms, quote = before.instruments.loc[name], before.quotes.loc[name]
        row = {field: _plain(terms[field]) for field in INSTRUMENTS}
        row |= {f"last_{field}": _plain(quote[field]) for field in _QUOTED}
        row |= {"last_mark": float(before.price[name]) / units, "last_driver": _driver(before, i, units)}
        row["last_time"] = carried.get(name, {}).get("last_time") or before.as_of.isoformat()
        if fate.touched[i]:
            if terms["type"] not in _PLAIN:
                raise DataError(
                    f"{name} became {label} and is not in the market, which alone says on what terms; quote it there, "
                    "or give its delisting as an event (value: what it is worth)"
                )
            row |= {"underlying": label if label != name else row["underlying"]}
            row["last_driver"] |= {"driver": label, "underlying": label} if label != name and row["last_driver"] else {}
        rows[label] = row
    return rows


def _driver(market: Market, at: int, units: float) -> dict[str, Any]:
    """The price driver of a contract and its last year of levels, per new unit; of one on a foreign pair nothing."""
    place = int(market.paths.driver[at])
    if place < 0 or market.drivers["kind"].iloc[place] != "price":
        return {}
    row = {field: _plain(market.drivers[field].iloc[place]) for field in DRIVERS}
    levels = market.history.iloc[-_ROWS:, place].dropna() / units
    told = [[time.isoformat(), level] for time, level in levels.items()]
    return row | {"driver": str(market.drivers.index[place]), "levels": told}


def with_rows(market: Market, rows: CarriedRows) -> Market:
    """The market with carried contracts that it does not list: marked at their last, with no side to trade.

    A driver that is gone with them comes with its past levels, for as long as HALTED. Raises DataError after that, and
    where what one stands on is not known.
    """
    missing = {name: row for name, row in rows.items() if name not in market.names}
    if not missing:
        return market
    blank = completed(pd.DataFrame(index=[0]), INSTRUMENTS).iloc[0]  # for a field newer than the row
    terms = [{field: row.get(field, blank[field]) for field in INSTRUMENTS} for row in missing.values()]
    table = pd.DataFrame(terms, index=list(missing))
    for field in (field for field, column in INSTRUMENTS.items() if column.kind == "time"):
        table[field] = pd.to_datetime(table[field], utc=True, format="ISO8601")
    table["forward"], table["hedge"] = "", False
    numbers = [field for field, column in INSTRUMENTS.items() if column.kind == "number"]
    table[numbers] = table[numbers].astype(float)
    quotes = pd.DataFrame(
        {"bid": np.nan, "ask": np.nan, "mark": [row["last_mark"] for row in missing.values()],
         **{field: [row[f"last_{field}"] for row in missing.values()] for field in _QUOTED}}, index=list(missing),
    ).astype(float)  # fmt: skip
    try:
        carried = replace(
            market,
            instruments=pd.concat([market.instruments, table]).rename_axis("instrument"),
            quotes=pd.concat([market.quotes, quotes]).rename_axis("instrument"),
            on_missing="freeze",
            **_with_drivers(market, missing),
        )
        lost = [name for name in missing if name not in carried.names]
        why: object = carried.left_out.get(lost[0], "") if lost else ""
    except DataError as error:
        lost, why = list(missing), error
    if lost:
        raise DataError(
            f"{some(lost)} held but not in the market of {market.as_of}, and what it stands on is not either "
            f"({why}); give its delisting, settlement, rename or merger as an event"
        )
    return carried


def _with_drivers(market: Market, missing: CarriedRows) -> dict[str, pd.DataFrame]:
    """Drivers and history of a market with the drivers of missing contracts that it lacks. Raises DataError."""
    known = {*zip(market.drivers["underlying"], market.drivers["currency"], strict=True)}
    gone: dict[str, Mapping[str, Any]] = {}
    for name, row in missing.items():
        driver = row.get("last_driver") or {}
        if not driver or driver["driver"] in market.drivers.index:
            continue
        if (driver["underlying"], driver["currency"]) in known:
            continue
        if market.as_of - pd.Timestamp(row["last_time"]) > HALTED:
            raise DataError(
                f"{name} and the prices of {driver['underlying']} are missing since {row['last_time']}, and are "
                f"carried for {HALTED.days} days: add its rows to instruments and quotes (mark: what it is worth) and "
                "its level to the history, or end it by a delisting event (value: what is paid for one)"
            )
        gone[driver["driver"]] = driver
    if not gone:
        return {}
    table = pd.DataFrame([{field: row[field] for field in DRIVERS} for row in gone.values()], index=list(gone))
    drivers = pd.concat([market.drivers, table.astype(market.drivers.dtypes.to_dict())]).rename_axis("driver")
    history = market.history.copy()
    for driver, row in gone.items():
        levels = pd.Series({pd.Timestamp(time): level for time, level in row["levels"]}, dtype=float)
        if len(levels) and not len(history):
            history = pd.DataFrame(index=levels.index[-1:].rename("time"), columns=history.columns, dtype=float)
        history[driver] = levels.reindex(history.index)
        if len(levels) and history[driver].isna().all():
            history.iloc[-1, -1] = levels.iloc[-1]
    history.attrs = dict(market.history.attrs)
    return {"drivers": drivers, "history": history}


def note_of(rows: CarriedRows) -> str:
    """That they are carried, and since when."""
    since = min(str(row["last_time"]) for row in rows.values())[:10]
    return f"{some(rows, 3)} not listed: carried at the last mark (of {since}), not traded"


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp) or value is pd.NaT:
        return None if value is pd.NaT else value.isoformat()
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, int, np.number)):
        return None if np.isnan(float(value)) else float(value)
    return str(value)
