"""Envelopes: what recorders and venues wrap their messages in, taken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake, Shape
from optihedge.market.importers.raw import RawFile

_FINE = ("0", "200", "200000", "00000")  # codes of answers that are no refusals
Unwrap = Callable[[Any, Intake], Iterator[tuple[str, dict]]]


def read_messages(raw: RawFile, intake: Intake, whose: str, unwrap: Unwrap, shapes: tuple[Shape, ...]) -> None:
    """The records that a venue's JSON file holds, by their shapes; a file of another form is named."""
    if raw.form != "json":
        intake.reject("the file", f"{raw.form} is no format of {whose}; give JSON")
        return
    intake.records(unwrap(raw.content, intake), shapes)


def received(values: Any, intake: Intake) -> Iterator[tuple[str, Any, pd.Timestamp]]:
    """Place, value and time of receipt of a file's values; broken texts, refusals and requests are named.

    A recorder's line is {"t": seconds, "dir": "recv" or "sent", "msg": the message}. A file that is one broken answer,
    or a refusal, may have been to say what is held: it is a problem; of a stream's lines those that speak of holdings.
    """
    for place, value in values:
        if isinstance(value, ValueError):
            text = str(getattr(value, "doc", ""))
            held = any(f'"{name}"' in text for name in intake.tells)
            (intake.lose if held else intake.reject)("the text", f"nothing to read ({value})", place)
            continue
        seen = pd.NaT
        if isinstance(value, dict) and "msg" in value and "dir" in value:
            if value["dir"] != "recv":
                intake.reject("request", "what was asked of the venue, not said by it", place)
                continue
            seen, value = _seconds(value.get("t")), value["msg"]
        refusal = _refusal(value)
        if refusal:
            (intake.reject if place else intake.lose)("answer", f"an error of the venue: {refusal}", place)
            continue
        yield place, value, seen


def _seconds(count: Any) -> pd.Timestamp:
    """The instant of a recorder's count of seconds, NaT where it is none."""
    try:
        return pd.Timestamp(round(float(count) * 1e6), unit="us", tz="UTC")
    except (TypeError, ValueError, OverflowError):
        return pd.NaT


def _refusal(value: Any) -> str:
    """What a venue says instead of an answer, '' where it answers."""
    if not isinstance(value, dict):
        return ""
    if value.get("error") and not isinstance(value["error"], list):
        return str(value["error"])
    said = next((str(value[key]) for key in ("msg", "message", "retMsg", "ret_msg") if value.get(key)), "")
    code = next((value[key] for key in ("code", "retCode", "ret_code", "label") if value.get(key)), None)
    return f"{code} {said}" if said and str(code) not in (*_FINE, "None") else ""


def listed(place: str, value: Any, **extra: Any) -> Iterator[tuple[str, dict]]:
    """The records of a value: the items of a list, or itself; `extra` fields go with each, where it lacks them."""
    several = isinstance(value, list)
    for number, item in enumerate(value if several else [value], start=1):
        record = item if isinstance(item, dict) else {"value": item}
        yield f"{place} item {number}".lstrip() if several else place, {**extra, **record}


def held_rows(value: Any, what: str, place: str, intake: Intake) -> list[dict]:
    """The records of a list of what is held; another value is a problem: how much is held is not known."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    intake.lose(what, f"{value!r} is no list of what is held", place)
    return []


def held_within(f: Fields, name: str, one: Shape, intake: Intake, **beside: pd.Series) -> None:
    """Read the list `name` of what each record holds.

    beside   fields that go with each item of a record's list
    """
    for at, value in enumerate(f.raw(name)):
        rows = held_rows(value, f"{f.what}: {name}", f.place(at), intake)
        intake.records(listed("", rows, **{key: given.iloc[at] for key, given in beside.items()}), (one,))
