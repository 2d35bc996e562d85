"""Cells that cannot be read, where the rest of their row or column can: they are emptied, and what they spoil is told.

A quote with such a cell is no price to trade at: its contract loses both sides and keeps its mark (the mid, or the side
that was read). One in what values the contract (its forward, vol, rate, time) is no such cell: see `market.door`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import row_of
from optihedge.market.families import TYPES

Tables = Mapping[str, pd.DataFrame | None]

OF_TRADING = ("bid", "ask", "mark", "bid_size", "ask_size", "volume", "funding_rate", "funding_hours")
"""Columns of quotes without which a contract that has a price keeps its value."""
LEVELS = "history of "  # before a driver's name: its levels
_FUNDING = ("funding_rate", "funding_hours")  # one says nothing without the other
_OF_OPTIONS = ("vol", "rate")  # of an option's value, and of no other's


def source_of(name: str, table: pd.DataFrame) -> str:
    """What messages call a table of a market."""
    return str(table.attrs.get("source", name.removeprefix("own_")))


def labels_of(table: pd.DataFrame, column: str) -> list[str]:
    """The labels of a table's rows: its column of that name, else its index."""
    return [str(v).strip() for v in (table[column] if column in table.columns else table.index)]


def told_by_row(error: DataError) -> dict[int, str]:
    """What a fault says of each of its rows."""
    each = dict(zip(error.rows, error.each, strict=False))
    return {row: each.get(row, str(error)) for row in error.rows}


def read_around(
    error: DataError, tables: Tables, frozen: bool
) -> tuple[dict[str, pd.DataFrame | None], dict[str, str]]:
    """The tables without the cells at fault, and by label what could not be read; neither where that is no remedy.

    frozen   a level may be missing, so that one that cannot be read is too
    """
    for name, table in tables.items():
        if not isinstance(table, pd.DataFrame) or error.table != source_of(name, table):
            continue
        told = {row: text for row, text in told_by_row(error).items() if row < len(table)}
        if name == "quotes" and error.column in (*OF_TRADING, *_OF_OPTIONS):
            labels = labels_of(table, "instrument")
            options = _options(tables["instruments"]) if error.column in _OF_OPTIONS else set()
            told = {row: text for row, text in told.items() if labels[row] not in options}
            hit = _flags(len(table), told)
            made = _emptied(table, error.column, hit)
            for other in _FUNDING if error.column in _FUNDING else ():
                made = _emptied(made, other, hit)
            said = {labels[row]: text for row, text in told.items()}
            return {**tables, name: _untraded(made, hit, tables["instruments"])}, said
        if name == "depth" and (told or error.instruments):
            labels = labels_of(table, "instrument")
            said = {labels[row]: text for row, text in told.items()} or dict.fromkeys(error.instruments, str(error))
            kept = rows_of(table, np.array([label not in said for label in labels], dtype=bool))
            return {**tables, name: kept, "quotes": _untraded_of(tables, said)}, said
        if name == "history" and frozen and told and error.column in ("", "time"):
            return {**tables, name: rows_of(table, ~_flags(len(table), told))}, {
                row_of(source_of(name, table), row): text for row, text in told.items()
            }
        if name == "history" and frozen and error.column:
            text = "\n".join(told.values())
            return {**tables, name: _emptied(table, error.column, _flags(len(table), told))}, {
                f"{LEVELS}{error.column}": text
            }
    return {}, {}


def rows_of(table: pd.DataFrame, stay: np.ndarray) -> pd.DataFrame:
    """The rows of a table that stay; what is said of broken ones goes with them."""
    kept, place = table.loc[stay], np.cumsum(stay) - 1
    kept.attrs = dict(table.attrs)
    if "broken" in table.attrs:
        kept.attrs["broken"] = {int(place[row]): text for row, text in table.attrs["broken"].items() if stay[row]}
    return kept


def _flags(rows: int, at: Mapping[int, str]) -> np.ndarray:
    hit = np.zeros(rows, dtype=bool)
    hit[list(at)] = True
    return hit


def _emptied(table: pd.DataFrame, column: str, hit: np.ndarray) -> pd.DataFrame:
    name = next((one for one in table.columns if str(one) == column), None)
    return table if name is None else _with(table, {name: table[name].mask(hit)})


def _with(table: pd.DataFrame, columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    made = table.copy()
    for name, values in columns.items():
        made[name] = values
    made.attrs = dict(table.attrs)
    return made


def _untraded_of(tables: Tables, said: Mapping[str, str]) -> pd.DataFrame | None:
    quotes = tables["quotes"]
    if not isinstance(quotes, pd.DataFrame):
        return quotes
    hit = np.array([label in said for label in labels_of(quotes, "instrument")], dtype=bool)
    return _untraded(quotes, hit, tables["instruments"])


def _untraded(quotes: pd.DataFrame, hit: np.ndarray, instruments: pd.DataFrame | None) -> pd.DataFrame:
    """The quotes with neither side in these rows; their marks, where they have none, from what the sides said.

    An option is not worth its ask alone: its vol, or its neighbours', says what it is worth.
    """
    bid, ask, mark = (_numbers(quotes, name) for name in ("bid", "ask", "mark"))
    options = _options(instruments)
    option = np.array([label in options for label in labels_of(quotes, "instrument")], dtype=bool)
    said = np.where(np.isnan(mark), (bid + ask) / 2, mark)
    said = np.where(np.isnan(said), bid, said)
    said = np.where(np.isnan(said) & ~option, ask, said)
    own = quotes["mark"] if "mark" in quotes.columns else pd.Series(np.nan, quotes.index)
    fill = hit & np.isnan(mark) & ~np.isnan(said)
    columns = {"mark": own.astype(object).mask(fill, said) if fill.any() else own}
    columns |= {side: quotes[side].mask(hit) for side in ("bid", "ask") if side in quotes.columns}
    return _with(quotes, columns)


def _options(instruments: pd.DataFrame | None) -> set[str]:
    if not isinstance(instruments, pd.DataFrame) or "type" not in instruments.columns:
        return set()
    kinds = (TYPES.get(str(kind).strip()) for kind in instruments["type"])
    labels = labels_of(instruments, "instrument")
    return {name for name, kind in zip(labels, kinds, strict=True) if kind is not None and kind.option}


def _numbers(quotes: pd.DataFrame, name: str) -> np.ndarray:
    """A column's prices, NaN where one is absent (0 is no price) or cannot be read."""
    if name not in quotes.columns:
        return np.full(len(quotes), np.nan)
    values = pd.to_numeric(quotes[name].astype(object), errors="coerce").to_numpy(dtype=float)
    return np.where(np.isfinite(values) & (values != 0), values, np.nan)
