"""Held contracts that a market does not list: carried at their last mark, frozen, until they come back or end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import completed, some
from optihedge.market.instruments import INSTRUMENTS
from optihedge.market.snapshot import Market

Rows = Mapping[str, Mapping[str, Any]]
_QUOTED = ("underlying_price", "vol", "rate")


def rows_of(market: Market, names: pd.Index) -> dict[str, dict[str, Any]]:
    """Terms, last mark, forward, vol and rate of contracts, as plain values that a State can hold."""
    rows = {}
    for name in names:
        terms, quote = market.instruments.loc[name], market.quotes.loc[name]
        row = {field: _plain(terms[field]) for field in INSTRUMENTS}
        row |= {f"last_{field}": _plain(quote[field]) for field in _QUOTED}
        rows[str(name)] = row | {"last_mark": float(market.price[name])}
    return rows


def with_rows(market: Market, rows: Rows) -> Market:
    """The market with carried contracts that it does not list: marked at their last, with no side to trade.

    Raises DataError where what one stands on is gone too.
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


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp) or value is pd.NaT:
        return None if value is pd.NaT else value.isoformat()
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, int, np.number)):
        return None if np.isnan(float(value)) else float(value)
    return str(value)
