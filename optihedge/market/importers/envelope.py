"""Envelopes: what recorders and venues wrap their messages in, taken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from optihedge.market.importers.intake import Intake, Shape
from optihedge.market.importers.raw import RawFile

Unwrap = Callable[[Any, Intake], Iterator[tuple[str, dict]]]


def read_messages(raw: RawFile, intake: Intake, whose: str, unwrap: Unwrap, shapes: tuple[Shape, ...]) -> None:
    """The records that a venue's JSON file holds, by their shapes; a file of another form is named."""
    if raw.form != "json":
        intake.reject("the file", f"{raw.form} is no format of {whose}; give JSON")
        return
    intake.records(unwrap(raw.content, intake), shapes)


def received(values: Any, intake: Intake) -> Iterator[tuple[str, Any, pd.Timestamp]]:
    """Place, value and time of receipt of a file's values; broken lines and requests to the venue are named.

    A recorder's line is {"t": seconds, "dir": "recv" or "sent", "msg": the message}.
    """
    for place, value in values:
        if isinstance(value, ValueError):
            intake.reject("the text", f"nothing to read ({value})", place)
            continue
        seen = pd.NaT
        if isinstance(value, dict) and "msg" in value and "dir" in value:
            if value["dir"] != "recv":
                intake.reject("request", "what was asked of the venue, not said by it", place)
                continue
            seen, value = pd.Timestamp(round(float(value.get("t") or 0) * 1e6), unit="us", tz="UTC"), value["msg"]
        yield place, value, seen


def listed(place: str, value: Any, **extra: Any) -> Iterator[tuple[str, dict]]:
    """The records of a value: the items of a list, or itself; `extra` fields go with each, where it lacks them."""
    for item in value if isinstance(value, list) else [value]:
        record = item if isinstance(item, dict) else {"value": item}
        yield place, {**extra, **record}
