"""What became of the contracts of one market by the next: which carry on, under what name and in what units, which end.

A corporate action between two snapshots changes labels, units and strikes; a settlement ends a contract at a level of
its own. `Fate` says it per contract of the first market, so that a P&L can compare like with like.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.drivers import RETURNS
from optihedge.market.ends import Ends
from optihedge.market.events import Event
from optihedge.market.instruments import types_of
from optihedge.market.moneys import in_money, money_rate, settle_currencies
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


def turns(event: Event) -> bool:
    """Whether an event makes of one contract another, or more or fewer of itself."""
    return event.kind == "split" or (event.kind in ("rename", "merger") and bool(event.other))


def followed(events: Iterable[Event]) -> list[Event]:
    """Events in the order in which they are followed: labels that are exchanged at one instant are so at once."""
    ordered = sorted(events, key=in_order)
    leaving = {event.instrument for event in ordered if event.kind == "rename"}
    if not any(event.kind == "rename" and event.other in leaving for event in ordered):
        return ordered
    found: list[Event] = []
    for _, group in itertools.groupby(ordered, key=lambda event: in_order(event)[:2]):
        found += _exchanged(list(group))
    return found


def _exchanged(together: list[Event]) -> list[Event]:
    """Renames of one instant, none onto a label that is still to leave; in a circle one waits under a label between."""
    if together[0].kind != "rename":
        return together
    found, waiting = [], together
    while waiting:
        leaving = {event.instrument for event in waiting}
        free = next((event for event in waiting if event.other not in leaving), None)
        one = waiting[0] if free is None else free
        waiting = [event for event in waiting if event is not one]
        if free is None:
            between = f"{one.other} of {one.event_id}"
            waiting.append(replace(one, instrument=between, value=1.0))
            one = replace(one, event_id=f"{one.event_id}/between", other=between)
        found.append(one)
    return found


def with_option_splits(start: Market, end: Market, events: Iterable[Event]) -> list[Event]:
    """The events, and for each split of a stock those of its options that no event of their own speaks for.

    An option becomes the contract of `end` with its expiry and right and its strike / ratio: `ratio` contracts where
    the multiplier is the same (a whole split), one where it is `ratio` times as large.
    """
    given = sorted(events, key=in_order)
    spoken = {event.instrument for event in given if event.kind in ("split", "rename", "merger")}
    splits: dict[str, list[Event]] = {}
    for event in given:
        if event.kind == "split" and event.instrument in start.names:
            splits.setdefault(event.instrument, []).append(event)
    adjusted = [one for together in splits.values() for one in _adjusted(start, end, together)]
    return sorted(given + [one for one in adjusted if one.instrument not in spoken], key=in_order)


def _adjusted(start: Market, end: Market, splits: Sequence[Event]) -> Iterator[Event]:
    """Renames (or splits, where the label stays) of the options on a stock by its splits, one after the other."""
    table, later, stock = start.instruments, end.instruments, splits[0].instrument
    on = table["underlying"].at[stock]
    mine = table[types_of(table)["option"] & (table["underlying"] == on).to_numpy()]
    theirs = later[types_of(later)["option"] & (later["underlying"] == on).to_numpy()]
    if types_of(table.loc[[stock]])["option"][0] or theirs.empty:
        return
    ratio = float(np.prod([split.value for split in splits]))
    for name, terms in mine.iterrows():
        same = theirs[(theirs["expiry"] == terms["expiry"]) & (theirs["right"] == terms["right"])]
        same = same[np.isclose(same["strike"], terms["strike"] / ratio, rtol=_SAME_STRIKE, atol=_CENT)]
        for units in itertools.product(*((split.value, 1.0) for split in splits)):
            found = same.index[np.isclose(same["multiplier"], terms["multiplier"] * ratio / np.prod(units))]
            if len(found):
                yield from _by_each(splits, units, str(name), str(found[0]))
                break


def _by_each(splits: Sequence[Event], units: Sequence[float], name: str, label: str) -> Iterator[Event]:
    """An option's splits with those of its stock, of which the last gives it another label, where it has one."""
    for split, many in zip(splits, units, strict=True):
        kind, other = ("rename", label) if split is splits[-1] and label != name else ("split", "")
        yield replace(split, event_id=f"{split.event_id}/{name}", kind=kind, instrument=name, value=many, other=other)


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
    renamed: Mapping[int, str] = field(default_factory=dict)
    unchanged: bool = False  # one table of instruments and no event: every contract carries on as it was

    @property
    def ended(self) -> Array:
        """Contracts that settled, expired or were paid out."""
        return np.isfinite(self.level) | np.isfinite(self.paid)

    @classmethod
    def of(cls, start: Market, end: Market, events: Iterable[Event] = ()) -> Fate:
        """The fates by the events of the period. Raises DataError for a contract received that is nowhere quoted."""
        events = followed(events)
        if not events and start.instruments is end.instruments and start.drivers is end.drivers:
            return _carries_on(start, end)
        trail = _Trail(start, end)
        for place, event in enumerate(events):
            trail.follow(event, place)
        return trail.fate(ends_of(start, end, events))


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
        self.spun: list[tuple[Array, str, Array, int]] = []  # rows, label received, units for one, events until then
        self.moneys = settle_currencies(start.instruments)
        self.driver = underlying_drivers(start.instruments, start.drivers)
        self.own_price = ~types_of(start.instruments)["option"] & ~types_of(start.instruments)["margined"]

    def follow(self, event: Event, place: int) -> None:
        rows = np.flatnonzero((self.became == event.instrument) & ~np.isfinite(self.paid) & ~np.isfinite(self.level))
        self.touched[rows] |= event.kind in ("split", "rename", "merger")
        if event.kind == "split":
            self._split(rows, event)
        elif event.kind in ("rename", "merger") and event.other:
            self.units[rows] *= event.value
            self.became[rows] = event.other
            self._move_driver(rows, event.value, event.other)
        elif event.kind == "spin_off":
            self.spun.append((rows, event.other, self.units[rows] * event.value, place + 1))
        elif event.kind in ("delisting", "merger"):
            self.paid[rows] = [self._in_own(event, row) * self.units[row] for row in rows]
        elif event.kind == "settlement":
            self.level[rows] = event.value * self._shares(rows)

    def _in_own(self, event: Event, row: Any) -> float:
        """What was paid for a contract, in its currency at the end's rates."""
        own = self.moneys[row] if self.own_price[row] else event.money
        return in_money(self.end, event.value, event.money, own)

    def _shares(self, rows: Array) -> Array:
        """Units of each contract's underlying now for one at the start."""
        at = self.driver[rows]
        return np.where(at >= 0, self.driver_units[at], 1.0) if len(self.driver_units) else np.ones(len(rows))

    def _split(self, rows: Array, event: Event) -> None:
        self.units[rows] *= event.value
        self._move_driver(rows, event.value, "")

    def _move_driver(self, rows: Array, ratio: float, renamed: str) -> None:
        """A plain instrument that splits or merges takes the driver that is its own price with it."""
        for row in rows[self.own_price[rows] & (self.driver[rows] >= 0)]:
            self.driver_units[self.driver[row]] *= ratio
            if renamed and renamed in self.end.names:
                ends = underlying_drivers(self.end.instruments.loc[[renamed]], self.end.drivers)
                self.moved[self.driver[row]] = self.end.drivers.index[ends[0]]

    def fate(self, ends: Ends) -> Fate:
        place = _places(self.start.names, self.end.names)
        if self.touched.any():
            place = self.end.names.get_indexer(pd.Index(self.became))
        here = place >= 0
        after = np.where(here, self.end.contracts.multiplier[place], self.start.contracts.multiplier)
        scale = self.units * after / self.start.contracts.multiplier
        if self.touched.any():
            scale = scale * self._in_old_money(place)
        for rows, name, units, after_event in self.spun:
            for row, many in zip(rows, units, strict=True):
                worth = many * ends.of(name, after_event) / money_rate(self.end, self.moneys[row])
                self.received[row] += worth / self.start.contracts.multiplier[row]
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
            renamed=self.moved,
        )  # fmt: skip

    def _in_old_money(self, place: Array) -> Array:
        """N: money of each contract at the start for one of what it became, at the end's rates (a merger abroad)."""
        rate, later = np.ones(len(place)), settle_currencies(self.end.instruments)
        for row in np.flatnonzero(self.touched & (place >= 0)):
            was, now = self.moneys[row], later[place[row]]
            rate[row] = 1.0 if was == now else money_rate(self.end, now) / money_rate(self.end, was)
        return rate

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
        with np.errstate(divide="ignore", invalid="ignore"):
            spot = np.where(was == 0, known, self.start.contracts.spot * known / was)
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


def ends_of(start: Market, end: Market, events: Sequence[Event]) -> Ends:
    """What contracts of either market become worth by the end."""
    return Ends(end, events, dict(zip(start.names, settle_currencies(start.instruments), strict=True)))
