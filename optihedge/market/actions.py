"""Corporate actions on frames: history without false jumps, books and terms that carry over, nothing of value lost.

Each function takes checked events (market.events) and follows them in order of time, kind and id; of events at one
instant a split comes before a dividend, which is then per new unit. Rows of history count as after an event from its
instant on, bare dates from its UTC date on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.events import Event
from optihedge.market.fate import in_order
from optihedge.market.instruments import types_of

ON_UNITS = ("split", "dividend", "spin_off", "rename", "merger", "delisting")
"""Kinds of event that change what a price or a position is."""

Array = np.ndarray


def actions_of(events: Iterable[Event]) -> Iterator[Event]:
    """Those that change units or pay holders, in order."""
    return (event for event in sorted(events, key=in_order) if event.kind in ON_UNITS)


# ---- history ---------------------------------------------------------------------------------------------------------


def adjusted_history(levels: pd.DataFrame, events: Iterable[Event], *, dividends: bool = True) -> pd.DataFrame:
    """Levels (T x D, a column per instrument, as traded) in today's units, so that a move is what a holder earned.

    The rows before a split are divided by its ratio; those before a dividend of D are multiplied by P / (P + D) with P
    the first price after it, those before a spin-off likewise with D the units received at their own first price. A
    renamed column goes on under its new name. `dividends` False leaves plain dividends in (special ones go too).

    A return over an action then is (P x ratio + D) / P_before - 1. Raises DataError for a spin-off whose new instrument
    has no level.
    """
    due = list(actions_of(events))
    rows = _first_after(levels, due)
    table = levels
    for event, row in zip(due, rows, strict=True):
        if event.kind == "rename" and event.instrument in table.columns:
            table = _renamed(table, event, row)
    final = _final_names(due)
    steps: dict[tuple[str, int], list[Event]] = {}
    for event, row in zip(due, rows, strict=True):
        column = final.get(event.instrument, event.instrument)
        if column in table.columns and 0 < row < len(table) and event.kind in ("split", "dividend", "spin_off"):
            steps.setdefault((column, row), []).append(event)
    factors = np.ones(table.shape)
    for (column, row), happened in steps.items():
        factors[row - 1, table.columns.get_loc(column)] = _factor(levels, row, happened, dividends)
    adjusted = table * np.cumprod(factors[::-1], axis=0)[::-1]
    adjusted.attrs = dict(levels.attrs)
    return adjusted


def _factor(levels: pd.DataFrame, row: int, happened: list[Event], dividends: bool) -> float:
    """What the rows before are multiplied by: the events of one row undone from the last to the first."""
    last = happened[-1]
    worth, factor = _first_known(levels, last.instrument, row), 1.0
    for event in reversed(happened):
        if event.kind == "split":
            worth, factor = worth * event.value, factor / event.value
            continue
        paid = event.value
        if event.kind == "spin_off":
            if event.other not in levels.columns:
                raise DataError(
                    f"event {event.event_id}: {event.other}, received for {event.instrument}, has no history; give its "
                    "column, or write its value as a dividend"
                )
            paid *= _first_known(levels, event.other, row)
        if event.kind == "spin_off" or dividends or event.other == "special":
            factor *= worth / (worth + paid)
        worth += paid
    if not np.isfinite(factor):
        raise DataError(
            f"history: {last.instrument} has no level from {levels.index[row]} on, when it changed; give it"
        )
    return factor


def _first_known(levels: pd.DataFrame, name: str, row: int) -> float:
    """The first level as traded at or after a row; NaN where there is none."""
    if name not in levels.columns:
        return np.nan
    later = levels[name].iloc[row:].dropna()
    return float(later.iloc[0]) if len(later) else np.nan


def _renamed(table: pd.DataFrame, event: Event, row: int) -> pd.DataFrame:
    """The old column's rows before the rename go on under the new name, in new units."""
    old = table[event.instrument] / event.value
    if event.other not in table.columns:
        table = table.rename(columns={event.instrument: event.other})
        table[event.other] = old.where(np.arange(len(table)) < row, old * event.value)
        return table
    joined = table[event.other].where(np.arange(len(table)) >= row, old)
    return table.assign(**{event.other: joined}).drop(columns=event.instrument)


def _final_names(events: Iterable[Event]) -> dict[str, str]:
    """What each label is called in the end."""
    final: dict[str, str] = {}
    for event in events:
        if event.kind == "rename":
            final = {name: event.other if last == event.instrument else last for name, last in final.items()}
            final[event.instrument] = event.other
    return final


def _first_after(table: pd.DataFrame, events: list[Event]) -> list[int]:
    """Of each event the first row that is after it."""
    index = table.index if table.index.tz is not None else table.index.tz_localize("UTC")
    times = pd.DatetimeIndex([event.time for event in events]) if events else index[:0]
    dates = bool(table.attrs.get("dates", (index == index.normalize()).all()))
    return [int(row) for row in index.searchsorted(times.normalize() if dates else times)]


# ---- books -----------------------------------------------------------------------------------------------------------


def adjusted_book(book: pd.Series, events: Iterable[Event]) -> tuple[pd.Series, pd.Series]:
    """The book after the events, and the cash by currency that they paid into it (short positions pay).

    book   quantities by instrument; an option's quantity stays, its terms change (see `adjusted_instruments`)
    Fractions of units are kept: what a broker pays for them is an event of its own.
    """
    held = {str(name): float(quantity) for name, quantity in book.items()}
    cash: dict[str, float] = {}
    for event in actions_of(events):
        quantity = held.get(event.instrument, 0.0)
        if not quantity:
            continue
        if event.kind in ("dividend", "delisting") or (event.kind == "merger" and not event.other):
            cash[event.money] = cash.get(event.money, 0.0) + quantity * event.value
        if event.kind in ("delisting", "merger", "rename"):
            del held[event.instrument]
        if event.kind == "split":
            held[event.instrument] = quantity * event.value
        elif event.kind in ("rename", "merger", "spin_off") and event.other:
            held[event.other] = held.get(event.other, 0.0) + quantity * event.value
    return pd.Series(held, dtype=float, name=book.name), pd.Series(cash, dtype=float, name="cash")


# ---- terms -----------------------------------------------------------------------------------------------------------


def adjusted_instruments(instruments: pd.DataFrame, events: Iterable[Event]) -> pd.DataFrame:
    """The terms after the events: one contract stays one contract and keeps its value.

    Of an option or future on a stock a split multiplies the multiplier and divides the strike by its ratio, a special
    dividend lowers the strike, a rename or merger into another stock goes through to the underlying (a merger as a
    split does), and a spin-off makes the underlying a basket, named by `basket_name`, whose history is
    `basket_history`. What was renamed, merged or delisted leaves the table.

    A whole split that the exchange turns into more contracts at the old multiplier is an event (rename) of each option,
    its value the number of new contracts.
    """
    table = instruments.copy()
    for event in actions_of(events):
        if event.instrument not in table.index:
            continue
        stock = table.at[event.instrument, "underlying"]
        derived = (table["underlying"] == stock) & (table.index != event.instrument)
        derived &= types_of(table)["dated"]
        if event.kind == "split" or (event.kind in ("merger", "rename") and event.other):
            table.loc[derived, "multiplier"] *= event.value
            table.loc[derived, "strike"] /= event.value
        if event.kind == "dividend" and event.other == "special":
            table.loc[derived, "strike"] -= event.value
        elif event.kind == "spin_off":
            table.loc[derived, "underlying"] = basket_name(event)
        elif event.kind in ("rename", "merger", "delisting"):
            table.loc[derived & bool(event.other), "underlying"] = event.other
            table = _relabelled(table, event) if event.kind == "rename" else table.drop(index=event.instrument)
    return table


def _relabelled(table: pd.DataFrame, event: Event) -> pd.DataFrame:
    if event.other in table.index:
        return table.drop(index=event.instrument)
    table = table.rename(index={event.instrument: event.other})
    if table.at[event.other, "underlying"] == event.instrument:
        table.loc[event.other, "underlying"] = event.other
    return table


def basket_name(event: Event) -> str:
    """What an option delivers after a spin-off, such as 'FOXA+0.25 NWSA'."""
    return f"{event.instrument}+{event.value:g} {event.other}"


def basket_history(levels: pd.DataFrame, event: Event) -> pd.Series:
    """Levels as traded of what an option delivers around a spin-off: the stock, then the stock and what it paid."""
    after = np.arange(len(levels)) >= _first_after(levels, [event])[0]
    paid = (event.value * levels[event.other]).where(after, 0.0)
    return (levels[event.instrument] + paid).rename(basket_name(event))
