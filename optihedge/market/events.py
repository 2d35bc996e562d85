"""Events: what happens to contracts between two snapshots, each with its instant, when it was known, and an id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import Column, Schema, check_frame, completed, instant, nearest, refuse, row_of

KINDS = (
    "funding", "dividend", "split", "settlement", "spin_off", "merger", "rename", "exercise", "assignment",
    "delisting", "interest", "margin", "bust",
)  # fmt: skip
"""What an event can be; `value`, `money` and `other` mean by kind:

kind         value                                               money             other
funding      money per unit of multiplier, rate x mark then      what it is in     -
dividend     money per unit of the underlying                    what it is in     "special", or nothing
split        new units for one old (2 for 2:1, 0.1 for 1:10)     -                 -
settlement   level it settles at: an option's underlying's,     -                 "cash" or "physical"
             another's own price (a future, a variance swap)
spin_off     units received for one held                         -                 instrument received
merger       units received for one held, which goes; without    currency of the   instrument received, or nothing
             an instrument received money per unit               money, else none
rename       1 (or the ratio of a change of line)                -                 the new label
exercise, assignment   contracts, positive                       -                 account, where there are several
                                                                                   (in a desk also BOOK/ACCOUNT)
delisting    last value per unit, 0 where nothing is paid        what it is in     -
interest     yearly rate, simple, from this instant; what has    what it is on     -
             accrued until then is paid
margin       money moved into (+) the account                    what it is in     account, or BOOK/ACCOUNT
bust         quantity taken back of a fill                       -                 the fill's id
"""
_OF_ACCOUNTS = ("interest", "margin", "bust")  # of an account or a fill: no instrument is needed
_PAYING = ("funding", "dividend", "interest", "margin")
_RECEIVING = ("spin_off", "rename")
_SAID = ("kind", "instrument", "value", "money", "other")

EVENTS: Schema = {
    "event_id": Column("text", required=True),
    "time": Column("time", required=True),
    "known_at": Column("time"),
    "kind": Column("text", required=True, choices=KINDS),
    "instrument": Column("text"),
    "value": Column("number", required=True),
    "money": Column("text"),
    "other": Column("text"),
}
"""Columns of events.csv. known_at defaults to `time`; one before it is an announcement, one after it late news."""


@dataclass(frozen=True, order=True)
class Event:
    """One thing that happens to a contract or an account at an instant; see KINDS for what its fields mean.

    time       UTC, when it takes effect;  known_at  UTC, when it could be known
    value      a number in the unit that the kind gives it
    A restatement is a new event with an id of its own and the difference. Raises DataError for an impossible field.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> when = pd.Timestamp("2026-02-10T14:30Z")
    >>> oh.store.Event(when, "1", when, "dividend", "AAPL", 0.25, "USD").kind
    'dividend'
    """

    time: pd.Timestamp
    event_id: str
    known_at: pd.Timestamp
    kind: str
    instrument: str
    value: float
    money: str = ""
    other: str = ""

    def __post_init__(self) -> None:
        for name in ("time", "known_at"):
            object.__setattr__(self, name, instant(getattr(self, name), f"event {self.event_id}: {name}"))
        object.__setattr__(self, "value", float(self.value))
        wrong = "event_id is empty; name it" if not self.event_id else _fault(self.kind, *self.what())
        if wrong:
            raise DataError(f"event {self.event_id}: {wrong}")

    def what(self) -> tuple[str, float, str, str]:
        """instrument, value, money, other."""
        return self.instrument, self.value, self.money, self.other


def _fault(kind: str, instrument: str, value: float, money: str, other: str) -> str:
    """What is wrong with the fields of one event, with its remedy; empty where nothing is."""
    pays_cash = kind == "merger" and not other
    if kind not in KINDS:
        return f"kind {kind} is not known{nearest(kind, KINDS)}; write one of {', '.join(KINDS)}"
    if not np.isfinite(value):
        return f"value is {value}; write a finite number"
    if not instrument and kind not in _OF_ACCOUNTS:
        return f"instrument of a {kind} is empty; name the contract or underlying it happens to"
    if not money and (kind in _PAYING or pays_cash):
        return f"money of a {kind} is empty; name the currency it is paid in"
    if not other and kind in _RECEIVING:
        return f"other of a {kind} is empty; name the instrument received"
    if other == instrument and (kind in _RECEIVING or kind == "merger"):
        return f"{instrument} turns into itself; name in other what is received"
    if value <= 0 and (kind in ("split", *_RECEIVING) or (kind == "merger" and other)):
        return f"ratio is {value:g}; write the units received for one held"
    if value <= 0 and kind in ("exercise", "assignment"):
        return f"value is {value:g}; write the number of contracts, positive"
    if kind == "settlement" and other not in ("cash", "physical"):
        return f"other of a settlement is {other!r}; write cash or physical"
    return ""


def check_events(frame: pd.DataFrame) -> pd.DataFrame:
    """The events in order of time and id, columns of EVENTS, known_at filled. Raises DataError naming the row."""
    source = frame.attrs.get("source", "events")
    table = completed(check_frame(frame, EVENTS, source, others=None), EVENTS)[list(EVENTS)]
    ids = table["event_id"]
    refuse(ids.duplicated().to_numpy(), source, "event_id {value} appears twice", ids, "give every event its own id")
    for row, fields_of_row in enumerate(zip(*(table[name] for name in _SAID), strict=True)):
        wrong = _fault(*fields_of_row)
        if wrong:
            raise DataError(f"{row_of(source, row)}: {wrong}", table=source, rows=(row,))
    table["known_at"] = table["known_at"].fillna(table["time"])
    order = np.lexsort((ids.to_numpy(dtype=str), table["time"].astype("int64").to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def events_of(frame: pd.DataFrame) -> list[Event]:
    """The rows of checked events as values."""
    return [Event(**row) for row in frame[[item.name for item in fields(Event)]].to_dict("records")]


def events_frame(events: Iterable[Event]) -> pd.DataFrame:
    """Events as a table with the columns of EVENTS, in the order given."""
    rows = [[getattr(event, name) for name in EVENTS] for event in events]
    return pd.DataFrame(rows, columns=list(EVENTS))


def known_events(
    events: pd.DataFrame, since: pd.Timestamp | None, until: pd.Timestamp, known_at: pd.Timestamp | None = None
) -> pd.DataFrame:
    """The events with since < time <= until, as they were known at `known_at` (default: as they are known at all).

    Raises DataError where since is after until.
    """
    if since is not None and since > until:
        raise DataError(f"events from {since} to {until}: the interval runs backwards; exchange its ends")
    chosen = events["time"] <= until
    if since is not None:
        chosen &= events["time"] > since
    if known_at is not None:
        chosen &= events["known_at"] <= known_at
    return events[chosen].reset_index(drop=True)
