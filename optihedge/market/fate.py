"""What became of the contracts of one market by the next: which carry on, under what name and in what units, which end.

A corporate action between two snapshots changes labels, units and strikes; a settlement ends a contract at a level of
its own. `Fate` says it per contract of the first market, so that a P&L can compare like with like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.currencies import currency_paths
from optihedge.market.drivers import RETURNS
from optihedge.market.events import Event
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market
from optihedge.market.valuation import underlying_drivers
from optihedge.readonly import kept, read_only

Array = np.ndarray
_SAME_STRIKE, _CENT = 1e-6, 0.0051  # relative, or price units: venues round adjusted strikes to a cent
ORDER = (
    "split", "spin_off", "merger", "rename", "dividend", "funding", "fill", "bust", "exercise", "assignment",
    "settlement", "delisting", "margin", "interest",
)  # fmt: skip
"""What comes first of what happens at one instant."""


def in_order(event: Event) -> tuple[pd.Timestamp, int, str]:
    """The order in which events are followed: time, ORDER of its kind, id."""
    return event.time, ORDER.index(event.kind), event.event_id


def with_option_splits(start: Market, end: Market, events: Iterable[Event]) -> list[Event]:
    """The events, and for each split of a stock those of its options that no event of their own speaks for.

    An option becomes the contract of `end` with its expiry and right and its strike / ratio: `ratio` contracts where
    the multiplier is the same (a whole split), one where it is `ratio` times as large.
    """
    given = sorted(events, key=in_order)
    spoken = {event.instrument for event in given if event.kind in ("split", "rename", "merger")}
    more = []
    for event in given:
        if event.kind == "split" and event.instrument in start.names:
            more += [one for one in _adjusted(start, end, event) if one.instrument not in spoken]
    return sorted(given + more, key=in_order)


def _adjusted(start: Market, end: Market, split: Event) -> Iterator[Event]:
    """Renames (or splits, where the label stays) of the options on a stock that split."""
    table, later = start.instruments, end.instruments
    stock = table["underlying"].at[split.instrument]
    mine = table[types_of(table)["option"] & (table["underlying"] == stock).to_numpy()]
    theirs = later[types_of(later)["option"] & (later["underlying"] == stock).to_numpy()]
    if types_of(table.loc[[split.instrument]])["option"][0] or theirs.empty:
        return
    for name, terms in mine.iterrows():
        same = theirs[(theirs["expiry"] == terms["expiry"]) & (theirs["right"] == terms["right"])]
        same = same[np.isclose(same["strike"], terms["strike"] / split.value, rtol=_SAME_STRIKE, atol=_CENT)]
        for units, multiplier in ((split.value, 1.0), (1.0, split.value)):
            found = same.index[np.isclose(same["multiplier"], terms["multiplier"] * multiplier)]
            if len(found):
                kind, other = ("split", "") if found[0] == name else ("rename", str(found[0]))
                yield replace(split, event_id=f"{split.event_id}/{name}", kind=kind, instrument=str(name),
                              value=units, other=other)  # fmt: skip
                break


@dataclass(frozen=True, eq=False)
class Fate:
    """Per contract of `start` (N), what it is at `end`.

    became     its label then ('' where it ended)
    units      contracts of that for one of the start's
    place      position of that in `end`, -1 where it is not there
    scale      prices then are per new unit: times scale they are per unit of the start's contract
    received   price units per unit, worth at the end of what else was received (a spin-off)
    level      level of the underlying at which it settled, NaN where it did not
    paid       price at which it was delisted or paid out, NaN where it was not
    levels     D: the drivers' levels at the end in the start's units, NaN where unknown;  driver_units   D: that factor
    touched    an event changed its units or label
    assumed    labels settled at the end's level for want of a settlement event
    """

    names: pd.Index
    became: Array
    units: Array
    place: Array
    scale: Array
    received: Array
    level: Array
    paid: Array
    levels: Array
    driver_units: Array
    touched: Array
    assumed: tuple[str, ...] = ()
    unchanged: bool = False  # one table of instruments and no event: every contract carries on as it was

    @property
    def ended(self) -> Array:
        """Contracts that settled, expired or were paid out."""
        return np.isfinite(self.level) | np.isfinite(self.paid)

    @classmethod
    def of(cls, start: Market, end: Market, events: Iterable[Event] = ()) -> Fate:
        """The fates by the events of the period. Raises DataError for a contract received that is nowhere quoted."""
        events = sorted(events, key=in_order)
        if not events and start.instruments is end.instruments and start.drivers is end.drivers:
            return _carries_on(start, end)
        trail = _Trail(start, end)
        for event in events:
            trail.follow(event)
        return trail.fate()


def _carries_on(start: Market, end: Market) -> Fate:
    """The fate of contracts of which the end has the same table, without an event."""

    def constants() -> dict[str, Any]:
        n, d = len(start.names), len(start.drivers)
        one, never = np.ones(n), np.full(n, np.nan)
        fields = {
            "became": start.names.to_numpy(dtype=object, copy=True), "units": one, "place": np.arange(n), "scale": one,
            "received": np.zeros(n), "level": never, "paid": never, "driver_units": np.ones(d),
            "touched": np.zeros(n, dtype=bool),
        }  # fmt: skip
        return {name: read_only(values) for name, values in fields.items()}

    same = kept(start.instruments, "carries on", constants, start.drivers)
    return Fate(names=start.names, levels=end.levels.to_numpy(dtype=float), unchanged=True, **same)


class _Trail:
    """Contracts of the start as they are renamed, split, paid out and settled, event by event."""

    def __init__(self, start: Market, end: Market) -> None:
        self.start, self.end = start, end
        self.became = start.names.to_numpy(dtype=object, copy=True)
        size = len(self.became)
        self.units, self.received = np.ones(size), np.zeros(size)
        self.level, self.paid = np.full(size, np.nan), np.full(size, np.nan)
        self.touched = np.zeros(size, dtype=bool)
        self.driver_units = np.ones(len(start.drivers))
        self.moved: dict[int, str] = {}  # drivers that go under another label at the end
        self.spun: list[tuple[Array, str, Array]] = []  # rows, label received, units for one of the start's
        self.driver = underlying_drivers(start.instruments, start.drivers)
        self.own_price = ~types_of(start.instruments)["option"] & ~types_of(start.instruments)["margined"]

    def follow(self, event: Event) -> None:
        rows = np.flatnonzero(self.became == event.instrument)
        self.touched[rows] |= event.kind in ("split", "rename", "merger")
        if event.kind == "split":
            self._split(rows, event)
        elif event.kind in ("rename", "merger") and event.other:
            self.units[rows] *= event.value
            self.became[rows] = event.other
            self._move_driver(rows, event.value, event.other)
            self.spun = [(r, event.other if name == event.instrument else name,
                          units * event.value if name == event.instrument else units)
                         for r, name, units in self.spun]  # fmt: skip
        elif event.kind == "spin_off":
            self.spun.append((rows, event.other, self.units[rows] * event.value))
        elif event.kind in ("delisting", "merger"):
            self.paid[rows] = event.value * self.units[rows]
        elif event.kind == "settlement":
            self.level[rows] = event.value

    def _split(self, rows: Array, event: Event) -> None:
        self.units[rows] *= event.value
        self._move_driver(rows, event.value, "")
        self.spun = [(r, name, units * event.value if name == event.instrument else units)
                     for r, name, units in self.spun]  # fmt: skip

    def _move_driver(self, rows: Array, ratio: float, renamed: str) -> None:
        """A plain instrument that splits or merges takes the driver that is its own price with it."""
        for row in rows[self.own_price[rows] & (self.driver[rows] >= 0)]:
            self.driver_units[self.driver[row]] *= ratio
            if renamed and renamed in self.end.names:
                ends = underlying_drivers(self.end.instruments.loc[[renamed]], self.end.drivers)
                self.moved[self.driver[row]] = self.end.drivers.index[ends[0]]

    def fate(self) -> Fate:
        place = _places(self.start.names, self.end.names)
        if self.touched.any():
            place = self.end.names.get_indexer(pd.Index(self.became))
        here = place >= 0
        after = np.where(here, self.end.contracts.multiplier[place], self.start.contracts.multiplier)
        scale = self.units * after / self.start.contracts.multiplier
        for rows, name, units in self.spun:
            if rows.size:
                self.received[rows] += units * _worth(self.end, name) / self.start.contracts.multiplier[rows]
        later = self._levels()
        levels = later * self.driver_units
        for i, label in self.moved.items():
            levels[i] = self.end.levels[label] * self.driver_units[i]
        levels = np.where(moving_drivers(self.start.drivers), levels, later)
        level, assumed = self._settled(levels, here)
        gone = np.isfinite(level) | np.isfinite(self.paid)
        return Fate(
            names=self.start.names, became=np.where(gone, "", self.became), units=self.units,
            place=np.where(gone, -1, place), scale=scale, received=self.received, level=level, paid=self.paid,
            levels=levels, driver_units=self.driver_units, touched=self.touched, assumed=assumed,
        )  # fmt: skip

    def _levels(self) -> Array:
        """D levels at the end of the drivers of the start, NaN where it does not know one."""
        at = _places(self.start.drivers.index, self.end.drivers.index)
        values = self.end.levels.to_numpy(dtype=float)
        return np.where(at >= 0, values[at], np.nan) if len(values) else np.full(len(at), np.nan)

    def _settled(self, levels: Array, here: Array) -> tuple[Array, tuple[str, ...]]:
        """Settlement levels; what expired without an event settles at the next level of its underlying."""
        due = expired_by(self.start.instruments, self.end.as_of) & ~here
        silent = due & ~np.isfinite(self.level) & ~np.isfinite(self.paid)
        known = np.where(self.driver >= 0, levels[self.driver], np.nan) if len(levels) else np.full(len(due), np.nan)
        was = np.where(self.driver >= 0, self.start.levels.to_numpy()[self.driver], np.nan) if len(levels) else known
        spot = self.start.contracts.spot * known / was
        return np.where(silent, spot, self.level), tuple(self.start.names[silent])


def _places(start: pd.Index, end: pd.Index) -> Array:
    """Where each label of the start is at the end, -1 where it is not."""
    return np.arange(len(start)) if start is end else end.get_indexer(start)


def moving_drivers(drivers: pd.DataFrame) -> Array:
    """D booleans: drivers of a price or of a pair, whose moves are returns."""
    return kept(drivers, "moving", lambda: read_only(drivers["kind"].isin(RETURNS).to_numpy()))


def expired_by(instruments: pd.DataFrame, time: pd.Timestamp) -> Array:
    """N booleans: contracts whose expiry is no later than an instant."""
    ends = kept(
        instruments, "expiry", lambda: read_only(np.array(instruments["expiry"].to_numpy(dtype="datetime64[ns]")))
    )
    return ends <= np.datetime64(time.as_unit("ns").value, "ns")  # NaT is never over


def _worth(market: Market, name: str) -> float:
    """Price times multiplier of one contract that was received, in its currency."""
    at = market.names.get_indexer(pd.Index([name]))[0]
    if at < 0:
        raise DataError(f"events: {name} was received but is not in the market of {market.as_of}; quote it there")
    return float(market.contracts.price[at] * market.contracts.multiplier[at])


def money_rate(market: Market, currency: str) -> float:
    """Base currency for one unit of a currency or coin. Raises DataError for one without a quoted path to base."""
    return rate_to_base(currency, market.drivers, market.levels, market.base_currency)


def rate_to_base(currency: str, drivers: pd.DataFrame, levels: pd.Series, base_currency: str) -> float:
    """Base currency for one unit of a currency or coin, by the drivers' levels. Raises DataError as `money_rate`."""
    if currency == base_currency:
        return 1.0
    rate, _ = currency_paths(pd.Index([currency]), drivers, levels.to_numpy(), base_currency)
    return float(rate[0])


def settle_currencies(instruments: pd.DataFrame) -> Array:
    """N currencies in which contracts pay: the coin of an inverse contract, else the contract's own."""
    inverse = types_of(instruments)["inverse"]
    return np.where(inverse, instruments["underlying"], instruments["currency"]).astype(object)
