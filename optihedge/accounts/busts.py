"""Fills taken back by bust events: each once, and no more of it than there was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from optihedge.accounts.state import DUST, Fill
from optihedge.errors import DataError
from optihedge.market.events import Event
from optihedge.market.fate import in_order


def without_undone(events: Sequence[Event], fills: Sequence[Fill]) -> tuple[list[Event], list[Fill], list[Fill]]:
    """Both without the fills that are taken back whole in the same period, which never were; and these, reversed."""
    busts = {event.other: event for event in events if event.kind == "bust"}
    gone = {f.fill_id: f for f in fills if f.fill_id in busts and abs(busts[f.fill_id].value) == abs(f.quantity)}
    taken = [busts[name].event_id for name in gone]
    left = [event for event in events if event.event_id not in taken], [f for f in fills if f.fill_id not in gone]
    return *left, [_back(fill, busts[name]) for name, fill in gone.items()]


def undone(
    events: Sequence[Event], fills: Sequence[Fill], applied: Sequence[Fill]
) -> tuple[list[Event], list[Fill], list[Fill], list[Fill]]:
    """Events and fills without those taken back whole at once; what was taken back, as it is told and as of its trade.

    applied   fills of before. Raises DataError for a bust of an unknown fill, and beyond it.
    """
    if not any(event.kind == "bust" for event in events):
        return list(events), list(fills), [], []
    events, fills, busts = without_undone(events, fills)
    known, back = {fill.fill_id: fill for fill in (*applied, *fills, *busts)}, []
    for event in sorted((event for event in events if event.kind == "bust"), key=in_order):
        told = taken_back(event, known)
        known[told.fill_id] = told
        busts.append(told)
        back.append(replace(told, time=known[event.other].time))
    return events, fills, busts, back


def taken_back(event: Event, known: Mapping[str, Fill]) -> Fill:
    """What a bust takes back of one of the known fills. Raises DataError for an unknown one, and beyond it."""
    if event.other not in known:
        raise DataError(f"event {event.event_id}: fill {event.other} is not among those applied in the last month")
    fill = known[event.other]
    back = _back(fill, event)
    before = sum(abs(one.quantity) for one in known.values() if one.source == back.source)
    if abs(back.quantity) + before > abs(fill.quantity) * (1 + DUST):
        raise DataError(
            f"event {event.event_id}: takes back more than fill {event.other} traded ({before:g} of "
            f"{abs(fill.quantity):g} were taken back before)"
        )
    return back


def _back(fill: Fill, event: Event) -> Fill:
    share = abs(event.value / fill.quantity)
    return replace(
        fill, fill_id=f"bust {event.event_id}", quantity=-share * fill.quantity, fee=-share * fill.fee,
        time=event.time, source=f"bust of {event.other}",
    )  # fmt: skip
