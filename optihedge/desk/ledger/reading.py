"""Looking into the ledger: runs found by id or BOOK@DATE, what they were asked and what they left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from optihedge.accounts.state import Fill
from optihedge.desk.ledger.database import get_text
from optihedge.desk.ledger.runs import Made
from optihedge.desk.ledger.schema import APPLIED, FILES, FILLS, LISTS, NIGHTS, ORDERS, RUNS
from optihedge.errors import DataError, SpecError
from optihedge.frames import nearest


def find_run(connection: Connection, word: str) -> str:
    """The id of a run by the first digits of it (six or more), or by BOOK@DATE, the last night of that day or book.

    Raises DataError where there is none, or several.
    """
    book, at, date = word.rpartition("@")
    if at:
        asked = sa.select(NIGHTS.c.run).where(NIGHTS.c.book == book, NIGHTS.c.as_of.startswith(date))
        found = connection.execute(asked.order_by(NIGHTS.c.as_of.desc())).scalars().first()
        if found is None:
            books = connection.execute(sa.select(NIGHTS.c.book).distinct()).scalars().all()
            hint = nearest(book, books) if book not in books else ""
            raise DataError(f"there is no night {word}{hint}; runs lists them")
        return str(found)
    if len(word) < 6:
        raise SpecError(f"{word!r} is no run; give six digits of its id or more, or BOOK@DATE")
    every = connection.execute(sa.select(RUNS.c.id).where(RUNS.c.id.startswith(word))).scalars().all()
    if len(every) != 1:
        raise DataError(f"{len(every)} runs begin with {word}; runs lists them")
    return str(every[0])


def any_runs(connection: Connection) -> bool:
    """Whether the ledger holds any run."""
    return connection.execute(sa.select(RUNS.c.id).limit(1)).first() is not None


def books_of(connection: Connection) -> list[str]:
    """The books that have nights on which something was computed."""
    begun = sa.select(NIGHTS.c.book).join(RUNS, NIGHTS.c.run == RUNS.c.id).where(RUNS.c.after.is_not(None))
    return sorted(connection.execute(begun.distinct()).scalars().all())


def run_of(connection: Connection, run: str) -> dict[str, Any]:
    """A run's row, its list's status (`list`), sha256 and lines, and whether it `stands`."""
    asked = (
        sa.select(RUNS, LISTS.c.status.label("list"), LISTS.c.sha256, LISTS.c.lines,
                  NIGHTS.c.run.is_not(None).label("stands"))
        .outerjoin(LISTS, LISTS.c.run == RUNS.c.id).outerjoin(NIGHTS, NIGHTS.c.run == RUNS.c.id).where(RUNS.c.id == run)
    )  # fmt: skip
    return dict(connection.execute(asked).mappings().one())


def runs_of(connection: Connection, book: str | None = None, as_of: str | None = None) -> list[dict[str, Any]]:
    """Every run (of a book, of an instant), by night and by when it began."""
    asked = (
        sa.select(RUNS, LISTS.c.status.label("list"), LISTS.c.sha256, LISTS.c.lines,
                  NIGHTS.c.run.is_not(None).label("stands"))
        .outerjoin(LISTS, LISTS.c.run == RUNS.c.id).outerjoin(NIGHTS, NIGHTS.c.run == RUNS.c.id)
        .order_by(RUNS.c.as_of, RUNS.c.book, RUNS.c.begun, RUNS.c.id)
    )  # fmt: skip
    asked = asked if book is None else asked.where(RUNS.c.book == book)
    asked = asked if as_of is None else asked.where(RUNS.c.as_of == as_of)
    return [dict(row) for row in connection.execute(asked).mappings()]


def inputs_of(connection: Connection, run: str) -> dict[str, Any]:
    """What a run was asked."""
    found: dict[str, Any] = json.loads(get_text(connection, run))
    return found


def texts_of(connection: Connection, inputs: dict[str, Any]) -> dict[str, str]:
    """The texts that a run's inputs name."""
    previous = inputs.get("previous") or {"model": {"text": None}, "list": None}
    names = [inputs["state"], inputs["events"], inputs["model"]["text"], previous["model"]["text"], previous["list"]]
    return {name: get_text(connection, name) for name in names if name is not None}


def files_of(connection: Connection, run: str) -> dict[str, str]:
    """The files of a run, name -> text."""
    rows = connection.execute(sa.select(FILES.c.name, FILES.c.hash).where(FILES.c.run == run).order_by(FILES.c.name))
    return {name: get_text(connection, text) for name, text in rows.all()}


def made_of(connection: Connection, run: str) -> Made:
    """What a run left."""
    row = run_of(connection, run)
    text = {key: None if row[key] is None else get_text(connection, row[key]) for key in ("after", "unsent", "sha256")}
    files = files_of(connection, run)
    orders = connection.execute(sa.select(ORDERS.c.order_id).where(ORDERS.c.run == run)).scalars().all()
    applied = connection.execute(sa.select(APPLIED.c.fill_id).where(APPLIED.c.run == run)).scalars().all()
    return Made(row["status"], row["outcome"], row["why"], text["after"], text["unsent"], text["sha256"],
                tuple(orders), files, tuple(applied))  # fmt: skip


def fills_of(connection: Connection, book: str, orders: set[str]) -> Iterator[Fill]:
    """The fills of a book's orders, in order of time."""
    asked = sa.select(FILLS.c.body).where(FILLS.c.book == book).order_by(FILLS.c.time, FILLS.c.fill_id)
    for (body,) in connection.execute(asked):
        fill = Fill(**json.loads(body))
        if fill.order_id in orders:
            yield fill
