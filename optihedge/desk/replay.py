"""Replay: a run computed again from what the ledger kept; and verify: whether ledger, store and folders agree."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Connection

from optihedge.accounts.state import Fill, State
from optihedge.content import canonical_text
from optihedge.desk.deskfile import Desk
from optihedge.desk.ledger.database import StorageError, get_text, open_ledger
from optihedge.desk.ledger.reading import find_run, inputs_of, made_of, run_of, texts_of
from optihedge.desk.ledger.runs import LEFT, Made, standing
from optihedge.desk.ledger.schema import APPLIED, FILLS, NIGHTS, TEXTS
from optihedge.desk.night import folder_of, versions
from optihedge.desk.task import Bench, Task, compute
from optihedge.desk.whose import events_of_book
from optihedge.frames import some
from optihedge.market.events import events_of
from optihedge.market.store.store import open_store


@dataclass(frozen=True)
class Replayed:
    """A run computed again. differences: what came out otherwise, none: the same bytes; others: what of code, libraries
    and machine is not the run's, which may change last digits, texts, and what a state holds."""

    run: str
    differences: tuple[str, ...]
    others: tuple[str, ...]


def replay(desk: Desk, word: str) -> Replayed:
    """Compute a run again from the texts in the ledger and the markets in the store, and compare every byte.

    word   the run's id, or BOOK@DATE. Neither the desk file nor a model file is read. Raises DataError, StorageError.
    """
    with open_ledger(desk.ledger).read() as connection:
        run = find_run(connection, word)
        inputs, made = inputs_of(connection, run), made_of(connection, run)
        task, row = Task(inputs, texts_of(connection, inputs)), run_of(connection, run)
    again = compute(task, Bench(open_store(desk.store).open))
    then, now = json.loads(row["versions"]), json.loads(versions())
    others = tuple(f"{name} ({then.get(name, 'unknown')}, now {now[name]})" for name in sorted(now)
                   if then.get(name) != now[name])  # fmt: skip
    return Replayed(run, tuple(_differences(made, again)), others)


def _differences(first: Made, again: Made) -> Iterator[str]:
    for name in ("outcome", "why", "after", "unsent", "trades"):
        was, now = getattr(first, name), getattr(again, name)
        if was != now:
            what = {"after": "the state", "unsent": "the state of a list unsent", "trades": "the list"}.get(name, name)
            yield f"{what} differs" + (f": {was!r} and now {now!r}" if name in ("outcome", "why") else "")
    files, others = dict(first.files or {}), dict(again.files or {})
    for name in sorted(files.keys() | others.keys()):
        if files.get(name) != others.get(name):
            yield f"{name} differs" if name in files and name in others else f"{name} is in one of them only"


def verify(desk: Desk) -> pd.DataFrame:
    """Every fault of ledger, store and folders: where and problem (with its remedy); empty where all agree."""
    found: list[tuple[str, str]] = []
    with open_ledger(desk.ledger).read() as connection:
        for name in connection.execute(sa.select(TEXTS.c.hash).order_by(TEXTS.c.hash)).scalars().all():
            try:
                get_text(connection, name)
            except StorageError as error:
                found.append(("ledger", str(error)))
        if not found:
            for book in connection.execute(sa.select(NIGHTS.c.book).distinct().order_by(NIGHTS.c.book)).scalars().all():
                found += [(book, problem) for problem in _of_book(connection, desk, book)]
    store = open_store(desk.store).verify()
    found += [(f"store: {row.file}", row.problem) for row in store.itertuples()]
    return pd.DataFrame(found, columns=["where", "problem"])


def _of_book(connection: Connection, desk: Desk, book: str) -> Iterator[str]:
    """What is wrong with the chain of one book."""
    store, parent, applied = open_store(desk.store), None, Counter[str]()
    events = store.events()
    since = events[["time", "known_at"]].max(axis=1)
    for run in standing(connection, book):
        night, inputs = f"{book}@{run['as_of'][:16]}", inputs_of(connection, run["id"])
        if run["after"] is None:
            continue
        if parent is not None:
            left = parent["list"] is None or parent["list"] in LEFT
            expected = parent["after"] if left else parent["unsent"]
            if run["parent"] != parent["id"] or run["before"] != expected:
                yield f"{night} does not go on from the night before, {parent['id'][:12]}; run it again"
            began = State.from_text(get_text(connection, run["before"]))
            fills = [Fill(**one) for one in inputs["fills"]]
            due = events_of(events[(since > began.as_of) & (since <= pd.Timestamp(run["as_of"]))])
            due = events_of_book(connection, due, began, fills, desk.books)
            yield from _late(night, json.loads(canonical_text(due)), json.loads(get_text(connection, inputs["events"])))
        applied.update(connection.execute(sa.select(APPLIED.c.fill_id).where(APPLIED.c.run == run["id"])).scalars())
        if run["sha256"] is not None:
            made = made_of(connection, run["id"])
            lines = made.trades.count("\n") - 1 if made.trades is not None else -1
            if lines != run["lines"] or (made.files or {}).get("proposed.csv") != made.trades:
                yield f"{night}: its list is not the one in its files; restore a copy of the ledger"
        if not folder_of(desk, run["as_of"], book, run["model"]).is_dir():
            yield f"{night}: its folder is not there; the next run writes it again"
        parent = run
    twice = [fill for fill, count in applied.items() if count > 1]
    if twice:
        yield f"{some(twice, 3)} applied twice; restore a copy of the ledger"
    if parent is not None:
        known = connection.execute(
            sa.select(FILLS.c.fill_id).where(FILLS.c.book == book, FILLS.c.time <= parent["as_of"])
        ).scalars()
        waiting = [fill for fill in known if fill not in applied]
        if waiting:
            yield f"{some(waiting, 3)} came after the night that they belong to; the next one books them as late"


def _late(night: str, now: list[dict], then: list[dict]) -> Iterator[str]:
    """Events that the store has now and the night did not see, or the other way round."""
    ids = {one["event_id"] for one in then}
    missed = [one["event_id"] for one in now if one["event_id"] not in ids]
    if missed:
        yield (f"{night} did not see {some(missed, 3)}, recorded later with an earlier known_at; record it under a new "
               "id, known now")  # fmt: skip
