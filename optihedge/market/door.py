"""The door of a market: a fault of what nobody may trade is left out and named, any other refuses the market.

An instrument that is marked `hedge = false`, or has expired, can hurt only a book that holds it; such a book is refused
by name, and the others go on. A driver goes with it where nothing else stands on it and it is no market driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pandas as pd

from optihedge.errors import DataError, Expired
from optihedge.market.drivers import pair_of

Tables = Mapping[str, pd.DataFrame | None]
Checked = TypeVar("Checked")

TABLES = ("instruments", "quotes", "drivers", "history", "own_exposures", "own_loadings", "depth")
_PAYMENTS = ("dividend", "funding", "borrow", "interest")
_MOST = 1000  # faults one by one; rows of one kind of fault go together
_NO = ("", "false", "no", "0", "0.0", "nan", "none")


def admit(check: Callable[[Tables], Checked], tables: Tables) -> tuple[Checked, dict[str, str]]:
    """What `check` makes of the tables, and by label why an instrument or driver was left out. Raises DataError."""
    left: dict[str, str] = {}
    for _ in range(_MOST):
        try:
            return check(tables), left
        except DataError as error:
            instruments, drivers = _spare(error, tables)
            if not {*instruments, *drivers} - left.keys():  # nothing, or nothing more, can go
                raise
            left |= dict.fromkeys((*instruments, *drivers), str(error))
            tables = {name: _without(name, table, instruments, drivers) for name, table in tables.items()}
    return check(tables), left


def changed_by_events(events: pd.DataFrame | None) -> frozenset[str]:
    """Instruments that an event other than a payment changes: a split, a rename, a merger."""
    if not isinstance(events, pd.DataFrame) or "kind" not in events.columns:
        return frozenset()
    told = zip(_texts(events, "kind"), _texts(events, "instrument"), strict=True)
    return frozenset(name for kind, name in told if kind not in _PAYMENTS and name)


def _spare(error: DataError, tables: Tables) -> tuple[set[str], set[str]]:
    """The instruments and drivers at fault that may be left out; none where any of them may not."""
    listed = tables["instruments"]
    if not isinstance(listed, pd.DataFrame):
        return set(), set()
    labels = _labels(listed, "instrument")
    spare = {name for name, marked in zip(labels, _marked(listed), strict=True) if not marked}
    blamed = {*error.instruments}
    for name in ("instruments", "quotes"):
        table = tables[name]
        if isinstance(table, pd.DataFrame) and error.table == table.attrs.get("source", name):
            blamed |= {_labels(table, "instrument")[row] for row in error.rows if row < len(table)}
    drivers = {*error.drivers}
    if drivers & _marked_markets(tables) or _on_a_path(drivers, tables):
        return set(), set()
    assets = drivers | _assets(drivers, tables["drivers"])
    on = _texts(listed, "underlying")
    blamed |= {name for name, asset in zip(labels, on, strict=True) if assets & {asset, name}}
    if isinstance(error, Expired):
        return blamed & spare or blamed & {*labels}, set()
    return (blamed, drivers) if blamed <= spare else (set(), set())


def _labels(table: pd.DataFrame, column: str) -> list[str]:
    return [str(v).strip() for v in (table[column] if column in table.columns else table.index)]


def _texts(table: pd.DataFrame, column: str) -> list[str]:
    return [str(v).strip() for v in table[column]] if column in table.columns else [""] * len(table)


def _marked(table: pd.DataFrame) -> list[bool]:
    """Which rows may be traded: without a column `hedge` all."""
    if "hedge" not in table.columns:
        return [True] * len(table)
    return [str(value).strip().lower() not in _NO for value in table["hedge"]]


def _marked_markets(tables: Tables) -> set[str]:
    drivers = tables["drivers"]
    if not isinstance(drivers, pd.DataFrame) or "market" not in drivers.columns:
        return set()
    marks = (str(value).strip().lower() not in _NO for value in drivers["market"])
    return {name for name, marked in zip(_labels(drivers, "driver"), marks, strict=True) if marked}


def _assets(drivers: set[str], table: pd.DataFrame | None) -> set[str]:
    """What these drivers are the price, vol, rate or basis of, where their table says so."""
    if not isinstance(table, pd.DataFrame):
        return set()
    said = zip(_labels(table, "driver"), _texts(table, "underlying"), strict=True)
    return {asset for name, asset in said if name in drivers and asset}


def _on_a_path(drivers: set[str], tables: Tables) -> bool:
    """Whether one of these is a pair of a money of some instrument, or a rate in it: its value may hang on it."""
    listed, table = tables["instruments"], tables["drivers"]
    monies = {*_texts(listed, "currency")} - {""} if isinstance(listed, pd.DataFrame) else set()
    pairs = {part for name in drivers for part in pair_of(name)} | _assets(drivers, table)
    return bool(monies & pairs)


def _without(name: str, table: Any, instruments: set[str], drivers: set[str]) -> Any:
    """A table without the rows of these instruments and drivers, or history without these columns."""
    if not isinstance(table, pd.DataFrame):
        return table
    if name == "history":
        kept = table.loc[:, [str(column) not in drivers for column in table.columns]]
    else:
        key, gone = ("driver", drivers) if name == "drivers" else ("instrument", instruments)
        kept = table.loc[[label not in gone for label in _labels(table, key)]]
        if key not in table.columns and isinstance(table.index, pd.RangeIndex):
            kept = table  # its door says what is missing
    kept.attrs = dict(table.attrs)
    return kept
