"""The door of a market: a fault of one contract or driver takes from the market what stands on it, and is named.

A book that holds such a contract is refused by name; the others go on without it, whether they might trade it or not.
What spoils every book refuses the market: a fault of a market driver, of a pair on a currency's way to base, of all
that may be traded, and of what names no contract. Cells that can be read around are emptied (`market.read_around`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from optihedge.errors import DataError, Expired
from optihedge.market.drivers import pair_of
from optihedge.market.families import TYPES
from optihedge.market.fee_tiers import untraded
from optihedge.market.read_around import LEVELS, Tables, labels_of, read_around, rows_of, source_of, told_by_row

Checked = TypeVar("Checked")

TABLES = ("instruments", "quotes", "drivers", "history", "own_exposures", "own_loadings", "depth", "events")
_BY_ROW = ("instruments", "quotes", "own_exposures", "own_loadings", "drivers", "events")
_BY_DRIVER = ("drivers", "history")
_PAYMENTS = ("dividend", "funding", "borrow", "interest")
_MOST = 1000  # faults one by one; rows of one kind of fault go together
_PRICES = ("", "equity", "spot", "index")
_TOLD = 5  # faults in the message that refuses a market
_LEVEL = "; what stands on it is valued at the last level of its history"
_NO = ("", "false", "no", "0", "0.0", "nan", "none")


class Admitted(NamedTuple):
    """What was made of the tables.

    left_out   by label why an instrument or driver is not there
    unread     by label what could not be read of one that is: an instrument's quote, so that it has no sides, or levels
    """

    checked: Any
    left_out: dict[str, str]
    unread: dict[str, str]


def admit(check: Callable[[Tables], Checked], tables: Tables, *, frozen: bool = False) -> Admitted:
    """What `check` makes of the tables without what is at fault. Raises DataError.

    frozen   levels may be missing
    """
    instruments: dict[str, str] = {}
    drivers: dict[str, str] = {}
    unread: dict[str, str] = {}
    for _ in range(_MOST):
        try:
            return Admitted(check(tables), _named(instruments | drivers), _named(unread))
        except DataError as error:
            emptied, told = read_around(error, tables, frozen)
            if told and not _nothing_left(tables, {*instruments, *unread, *told}):
                tables, unread = emptied, told | unread
                continue
            ours, theirs = _at_fault(error, tables, {*instruments, *unread})
            if not (ours.keys() - instruments.keys()) | (theirs.keys() - drivers.keys()):  # nothing more can go
                error.args = (_whole_story([*instruments.values(), *drivers.values(), *unread.values()], error),)
                raise
            instruments |= {name: unread.pop(name, text) for name, text in ours.items()}
            drivers |= theirs
            tables = {name: _without(name, table, theirs if name in _BY_DRIVER else ours)
                      for name, table in tables.items()}  # fmt: skip
    return Admitted(check(tables), _named(instruments | drivers), _named(unread))


def _named(told: dict[str, str]) -> dict[str, str]:
    """What is told of a row without a label by its place."""
    return {name or why.partition(":")[0]: why for name, why in told.items()}


def _whole_story(before: list[str], error: DataError) -> str:
    """The faults that were left out first, as far as a message holds them, and the one that leaves nothing."""
    earlier = [text for text in dict.fromkeys(before) if text != str(error)]
    more = [f"({len(earlier) - _TOLD} more rows are left out)"] if len(earlier) > _TOLD else []
    return "\n".join([*earlier[:_TOLD], *more, str(error)])


def refuse_broken(tables: Tables) -> None:
    """Raise DataError for a row that has not as many fields as its header (see `frames.read_raw`)."""
    for table in tables.values():
        broken = table.attrs.get("broken", {}) if isinstance(table, pd.DataFrame) else {}
        if table is not None and broken:
            each = tuple(broken.values())
            raise DataError(each[0], table=str(table.attrs["source"]), rows=tuple(broken), each=each)


def still_out(left_out: Mapping[str, str], tables: Tables) -> dict[str, str]:
    """What was left out before, but for instruments that are given again: those are judged anew."""
    listed = tables["instruments"]
    given = {*labels_of(listed, "instrument")} if left_out and isinstance(listed, pd.DataFrame) else set()
    return {name: why for name, why in left_out.items() if name not in given}


def still_unread(unread: Mapping[str, str], checked: Mapping[str, Any]) -> dict[str, str]:
    """What was unread before and still is: a contract without sides, levels with gaps, a fee that nobody can tell."""
    table, quotes, history = checked["instruments"], checked["quotes"], checked["history"]
    told = untraded(table)
    found = {str(name): why for name, why in told[told != ""].items()}
    for name, why in unread.items():
        column = name.removeprefix(LEVELS)
        if name in quotes.index:
            stays = bool(quotes.loc[name, ["bid", "ask"]].isna().all())
        else:
            stays = column == name or (column in history.columns and bool(history[column].isna().any()))
        found |= {name: why} if stays and name not in found else {}
    return found


def changed_by_events(events: pd.DataFrame | None) -> frozenset[str]:
    """Instruments that an event other than a payment changes: a split, a rename, a merger."""
    if not isinstance(events, pd.DataFrame) or "kind" not in events.columns:
        return frozenset()
    told = zip(_texts(events, "kind"), _texts(events, "instrument"), strict=True)
    return frozenset(name for kind, name in told if kind not in _PAYMENTS and name)


def _at_fault(error: DataError, tables: Tables, gone: set[str]) -> tuple[dict[str, str], dict[str, str]]:
    """By label why the instruments at fault go, and the drivers; empty where the fault spoils every book."""
    listed = tables["instruments"]
    if not isinstance(listed, pd.DataFrame):
        return {}, {}
    ours, theirs = (dict.fromkeys(labels, str(error)) for labels in (error.instruments, error.drivers))
    ours |= {} if error.rows else dict(zip(error.instruments, error.each, strict=False))
    assets: set[str] = set()
    for name, table in tables.items():
        if isinstance(table, pd.DataFrame) and error.table == source_of(name, table) and name in _BY_ROW:
            labels = labels_of(table, "driver" if name == "drivers" else "instrument")
            told = {labels[row]: text for row, text in told_by_row(error).items() if row < len(table)}
            ours, theirs = (ours, theirs | told) if name == "drivers" else (ours | told, theirs)
            assets |= {*told} if name == "events" else set()
    if {*theirs} & _marked_markets(tables) or _on_a_path({*theirs}, tables):
        return {}, {}
    of = dict.fromkeys(assets, "") | dict.fromkeys(theirs, "") | _assets({*theirs}, tables["drivers"])
    columns = labels_of(listed, "instrument"), _texts(listed, "underlying"), _texts(listed, "type")
    for name, asset, kind in zip(*columns, strict=True):
        if any(_moved(kind, of[one]) for one in (name, asset) if one in of):
            ours.setdefault(name, theirs.get(name, theirs.get(asset, ours.get(asset, str(error)))))
    ours |= {name: f"{ours[name]}{_LEVEL}" for name in _priced_by(listed, ours)} if not theirs else {}
    lost = not isinstance(error, Expired) and _nothing_left(tables, {*gone, *ours})
    return ({}, {}) if lost else (ours, theirs)


def _priced_by(listed: pd.DataFrame, gone: Mapping[str, str]) -> list[str]:
    """Of these the ones whose quote is the price of what others stand on."""
    labels, assets = labels_of(listed, "instrument"), _texts(listed, "underlying")
    others = {asset for name, asset in zip(labels, assets, strict=True) if name not in gone}
    kinds = zip(labels, assets, _texts(listed, "type"), strict=True)
    return [name for name, asset, kind in kinds
            if name in gone and (asset or name) in others and kind in _PRICES]  # fmt: skip


def _moved(kind: str, by: str) -> bool:
    """Whether a type of contract stands on a driver of this kind of its underlying; yes where either is not known."""
    said = TYPES.get(kind or "equity")
    if said is None or by not in ("vol", "basis"):
        return True
    return said.volatile if by == "vol" else said.future or said.option


def _nothing_left(tables: Tables, gone: set[str]) -> bool:
    """Whether nothing that may be traded is left without these, where there was something."""
    listed = tables["instruments"]
    if not isinstance(listed, pd.DataFrame):
        return False
    kinds = [TYPES.get(kind or "equity") for kind in _texts(listed, "type")]
    labels = labels_of(listed, "instrument")
    offered = {
        name
        for name, marked, kind in zip(labels, _marked(listed), kinds, strict=True)
        if marked and (kind is None or (kind.tradable and kind is not TYPES["cash"]))
    }
    return bool(offered) and offered <= gone


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
    return {name for name, marked in zip(labels_of(drivers, "driver"), marks, strict=True) if marked}


def _assets(drivers: set[str], table: pd.DataFrame | None) -> dict[str, str]:
    """What these drivers are the price, vol, rate or basis of, where their table says so, and which of these."""
    if not isinstance(table, pd.DataFrame):
        return {}
    found: dict[str, str] = {}
    said = zip(labels_of(table, "driver"), _texts(table, "underlying"), _texts(table, "kind"), strict=True)
    for name, asset, kind in said:
        if name in drivers and asset:
            found[asset] = kind if found.get(asset, kind) == kind else ""
    return found


def _on_a_path(drivers: set[str], tables: Tables) -> bool:
    """Whether one of these is a pair of a money of some instrument, or a rate: its value may hang on it."""
    listed, table = tables["instruments"], tables["drivers"]
    monies = {*_texts(listed, "currency")} - {""} if isinstance(listed, pd.DataFrame) else set()
    pairs = {part for name in drivers for part in pair_of(name)}
    kinds = _assets(drivers, table)
    pairs |= {asset for asset, kind in kinds.items() if kind not in ("vol", "basis")}
    return bool(monies & pairs) or "rate" in kinds.values()


def _without(name: str, table: Any, gone: Mapping[str, str]) -> Any:
    """A table without the rows of these instruments or drivers, or history without these columns."""
    if not isinstance(table, pd.DataFrame):
        return table
    if name == "history":
        kept = table.loc[:, [str(column) not in gone for column in table.columns]]
    else:
        key = "driver" if name == "drivers" else "instrument"
        if key not in table.columns and isinstance(table.index, pd.RangeIndex):
            return table  # its door says what is missing
        return rows_of(table, np.array([label not in gone for label in labels_of(table, key)], dtype=bool))
    kept.attrs = dict(table.attrs)
    return kept
