"""What is told late: a fill, or a fill taken back, from before the state lives through all that has happened since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pandas as pd

from optihedge.accounts.past import REMEMBERED, Key, Move
from optihedge.accounts.state import Fill, State
from optihedge.errors import DataError
from optihedge.market.events import Event, events_of
from optihedge.market.fate import ORDER, followed, in_order, turns

AT_FILL = ORDER.index("fill")


def told(events: Sequence[Event], start: pd.Timestamp, end: pd.Timestamp, fills: Iterable[Fill] = ()) -> list[Event]:
    """The events that a period from start to end hears of, and where any of these or of its fills is late those of
    the month before, through which it has to live."""
    due = [event for event in events if start < max(event.time, event.known_at) <= end]
    late = any(event.time <= start or event.kind == "bust" for event in due) or any(one.time <= start for one in fills)
    if not late:
        return due
    since = start - REMEMBERED
    return [event for event in events if event.time > since and max(event.time, event.known_at) <= start] + due


def heard_of(events: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, fills: Sequence[Fill]) -> list[Event]:
    """Of a store's events those that a period hears of, see `told`."""
    since = events[["time", "known_at"]].max(axis=1)
    return told(events_of(events[(since <= end) & (since > start - REMEMBERED)]), start, end, fills)


@dataclass(frozen=True)
class Turn:
    """What an event made of a contract: the moneys of both, old money in new, and the new price for one of the old."""

    event: Event
    money: str
    became: str
    rate: float
    scale: float

    @property
    def row(self) -> dict[str, Any]:
        """As plain values, which a State holds."""
        told = {item.name: getattr(self.event, item.name) for item in fields(Event)}
        times = {name: told[name].isoformat() for name in ("time", "known_at")}
        return {**told, **times, "turned": [self.money, self.became, self.rate, self.scale]}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Turn:
        """What a row says."""
        told = {item.name: row[item.name] for item in fields(Event)}
        return cls(Event(**told), *row["turned"])


class Heard:
    """What a state as of now has heard of in the last month.

    events   in the order in which they are followed, each once;  turns   by event_id what those made of contracts
    """

    def __init__(self, events: Iterable[Event], now: pd.Timestamp, turned: Iterable[Mapping[str, Any]] = ()) -> None:
        self.turns = {turn.event.event_id: turn for turn in map(Turn.of, turned)}
        known = {name: turn.event for name, turn in self.turns.items()}  # of options that nobody told of too
        known |= {event.event_id: event for event in events if max(event.time, event.known_at) <= now}
        self.events = followed(known.values())


def label_now(name: str, since: Key, past: Iterable[Event]) -> str:
    """What a contract is called now that was called so at a place in the order of what happened."""
    for event in past:
        if turns(event) and event.instrument == name and key_of(event) > since:
            name = event.other or name
    return name


class Ended(DataError):
    """A contract that is told of has ended since, on terms that nobody lists any more."""


def known_late(event: Event, state: State) -> bool:
    """Whether an event left labels as they were before a state was made, which was not told of it: its market is one
    of after it, in new units. Held contracts that this market does not list are carried as of before."""
    turned = event.kind in ("split", "spin_off")
    return turned and event.time <= state.as_of and event.instrument not in state.carried


def key_of(event: Event) -> Key:
    """Where an event is in the order of what happens."""
    return in_order(event)[:2]


@dataclass
class Life:
    """What a late fill has come to.

    pieces   fills of what its contract has become: it and what it has spun off
    paid     payments on the way: the event, contracts held then, and the place of their piece
    money    what the fill was paid in, '' where that is what its contract is told in;  rate   of it, in that
    path     by label, the moves of what was held of it
    """

    pieces: list[Fill]
    paid: list[tuple[Event, float, int]] = field(default_factory=list)
    path: list[tuple[str, Move]] = field(default_factory=list)
    money: str = ""
    rate: float = 1.0


def life(fill: Fill, heard: Heard | None, share: Callable[[Event], float], rank: int = AT_FILL) -> Life:
    """A fill from before the state brought through what has happened since; None: nothing has.

    share   of an event the part of its parent's cost that what was spun off takes with it
    rank    of what it is among what happened at its instant

    Raises Ended where its contract has ended since, on terms that nobody lists any more.
    """
    found = Life([fill], path=[(fill.instrument, Move(fill.time, rank, fill.quantity))])
    for event in () if heard is None else heard.events:
        if heard is None or key_of(event) <= (fill.time, rank):
            continue
        for i, one in enumerate(list(found.pieces)):
            if one.instrument == event.instrument:
                _live(found, i, event, heard.turns.get(event.event_id), share)
    return found


def _live(found: Life, i: int, event: Event, turn: Turn | None, share: Callable[[Event], float]) -> None:
    """One event in the life of one piece."""
    one, key = found.pieces[i], key_of(event)
    if turns(event):
        label, quantity = event.other or one.instrument, one.quantity * event.value
        scale = 1 / event.value if turn is None else turn.scale
        found.pieces[i] = replace(one, instrument=label, quantity=quantity, price=one.price * scale)
        if turn is not None and i == 0:
            found.money, found.rate = found.money or turn.money, found.rate * turn.rate
        found.path += [(one.instrument, Move(*key, -one.quantity)), (label, Move(*key, quantity))]
    elif event.kind == "spin_off":
        part, quantity = share(event), one.quantity * event.value
        child = replace(
            one, fill_id=f"{one.fill_id} {event.event_id}", instrument=event.other, quantity=quantity,
            price=one.price * part / event.value, fee=0.0,
        )  # fmt: skip
        found.pieces[i] = replace(one, price=one.price * (1 - part))
        found.pieces.append(child)
        found.path.append((event.other, Move(*key, quantity)))
    elif event.kind in ("dividend", "funding"):
        found.paid.append((event, one.quantity, i))
    elif event.kind in ("settlement", "delisting", "merger"):
        raise Ended(
            f"{one.instrument} has ended since ({event.kind} of {event.time:%Y-%m-%d}), and its terms are known no "
            "more; enter what it has gained as a margin event"
        )
