"""A night's market into the store: with the history that earlier nights left, and the rows that tonight adds to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import find_table, read_raw
from optihedge.market.derived import driver_rows, funding_rows, with_history
from optihedge.market.events import Event, check_events, events_of, known_events
from optihedge.market.folder import read_market
from optihedge.market.snapshot import Market
from optihedge.market.store.store import Store, When
from optihedge.risk.smile_table import smile_rows


@dataclass(frozen=True)
class Recorded:
    """What became of a night: the market's hash, its instant, what was odd of its venues, rows derived by name, and how
    many events were new.
    """

    market: str
    as_of: pd.Timestamp
    findings: tuple[str, ...]
    derived: dict[str, int]
    events: int = 0


def record_night(
    store: Store, market: Market, events: pd.DataFrame | None = None, *, known_at: When | None = None
) -> Recorded:
    """Record a market and tonight's rows: "levels" of drivers, "smile" (moves since the last chain) and "funding".

    A market without history takes the levels of earlier nights as its own, so that yesterday's chain is today's
    history. Recording the same again changes nothing. Raises DataError.
    """
    before = store.snapshots(until=market.as_of - pd.Timedelta(1, "ns"), known_at=known_at)
    told = store.events(None, market.as_of, known_at=known_at)
    fresh = None if events is None else known_events(check_events(events), None, market.as_of)
    told = told if fresh is None else pd.concat([told, fresh[~fresh["event_id"].isin(told["event_id"])]])
    market = with_history(market, store.rows("levels", known_at=known_at), events_of(told))
    due = _since(store, before["as_of"].iloc[-1], market.as_of, events) if len(before) else []
    rows = {"levels": driver_rows(market), "funding": funding_rows(market, due)}
    if len(before) and market.contracts.option.any():
        rows["smile"] = smile_rows(store.open(before["market"].iloc[-1]), market)
    rows = {name: table for name, table in rows.items() if len(table)}
    known = len(store.events())
    name = store.record(market, events, rows=rows, known_at=known_at)
    listed = store.snapshots(market.as_of, market.as_of)
    return Recorded(name, market.as_of, tuple(listed["findings"].iloc[-1]), {n: len(t) for n, t in rows.items()},
                    len(store.events()) - known)  # fmt: skip


def _since(store: Store, since: pd.Timestamp, until: pd.Timestamp, events: pd.DataFrame | None) -> list[Event]:
    """The events of the period, those in the store and those that are about to be."""
    known = store.events(since, until)
    if events is not None:
        fresh = known_events(check_events(events), since, until)
        known = pd.concat([known, fresh[~fresh["event_id"].isin(known["event_id"])]], ignore_index=True)
    return events_of(known)


def record_folder(
    store: Store, folder: Path | str, *, as_of: str | None = None, known_at: When | None = None
) -> Recorded:
    """Record a market's folder with its events.csv, if there is one: an event that cannot be read is told by the market
    (`Market.left_out`) and is not recorded until it can. Raises DataError.
    """
    folder = Path(folder)
    path = find_table(folder, "events")
    events = None if path is None else _readable(read_raw(path, lenient=True))
    return record_night(store, read_market(folder, as_of=as_of), events, known_at=known_at)


def _readable(events: pd.DataFrame) -> pd.DataFrame:
    """The events without rows that are at fault, and without those that share such a row's id."""
    kept = events.drop(index=list(events.attrs.get("broken", {})))
    while len(kept):
        try:
            check_events(kept)
            break
        except DataError as error:
            if not error.rows:
                raise
            ids = kept["event_id"] if "event_id" in kept.columns else pd.Series(kept.index, kept.index)
            gone = ids.iloc[list(error.rows)]
            kept = kept[~ids.isin(gone)]
    return kept
