"""Runs: claimed before they compute, finished in one transaction, and of each night the one that stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from optihedge.desk.ledger.database import note, owner, put_text
from optihedge.desk.ledger.schema import APPLIED, FILES, LISTS, NIGHTS, ORDERS, RUNS
from optihedge.errors import DataError

LEFT = ("sending", "sent")  # what a list is that may be at the venue
SEND, CHALLENGER = "send", "challenger"


@dataclass(frozen=True)
class Asked:
    """What a run is asked: `inputs`, the text of all that decides it, whose sha256 is its id, and what finds it.

    parent      the run it goes on from, None on a first night;  before  the state it goes on from
    parent_left whether the parent's list was seen to have left: what the state before depends on
    """

    inputs: str
    book: str
    as_of: str
    model: str
    role: str
    snapshot: str
    parent: str | None
    before: str
    parent_left: bool
    submitter: str
    versions: str


@dataclass(frozen=True)
class Made:
    """What a run left. trades: the list as text, None where there is none to send; orders: its order ids.

    after, unsent   states as text: where the list leaves (or there is none), and where it never does
    """

    status: str
    outcome: str
    why: str
    after: str | None = None
    unsent: str | None = None
    trades: str | None = None
    orders: tuple[str, ...] = ()
    files: Mapping[str, str] | None = None
    applied: tuple[str, ...] = ()


def claim(connection: Connection, asked: Asked) -> tuple[str, bool]:
    """The run's id, and whether it still has to be computed; of the night's list sent so far nothing may be left.

    An earlier list of this night is superseded, one of the night before that never left is cancelled. A run that was
    done before stands again as it is. Raises DataError where a list of this night has left, or a later night stands.
    """
    name = put_text(connection, asked.inputs)
    known = connection.execute(sa.select(RUNS).where(RUNS.c.id == name)).mappings().first()
    if asked.role == SEND:
        _make_way(connection, asked, name)
    if known is not None and known["status"] == "done":
        if asked.role == SEND:
            _stand(connection, asked, name)
            again = (
                sa.update(LISTS)
                .where(LISTS.c.run == name, LISTS.c.status.in_(("superseded", "cancelled")))
                .values(status="made")
            )
            if connection.execute(again).rowcount:
                note(connection, "stands again", book=asked.book, run=name)
        return name, False
    row = {
        "book": asked.book, "as_of": asked.as_of, "model": asked.model, "role": asked.role, "snapshot": asked.snapshot,
        "parent": asked.parent, "before": asked.before, "status": "running", "submitter": asked.submitter,
        "owner": owner(), "versions": asked.versions,
    }  # fmt: skip
    put = RUNS.insert().values(id=name, **row) if known is None else RUNS.update().where(RUNS.c.id == name).values(row)
    connection.execute(put)
    note(connection, "claimed", book=asked.book, run=name, text=asked.submitter)
    return name, True


def finish(connection: Connection, run: str, asked: Asked, made: Made) -> None:
    """Put what a run left, all of it at once; it stands for its night from here on."""
    states = {key: None if text is None else put_text(connection, text)
              for key, text in (("after", made.after), ("unsent", made.unsent))}  # fmt: skip
    connection.execute(
        RUNS.update().where(RUNS.c.id == run)
        .values(status=made.status, outcome=made.outcome, why=made.why, ended=sa.func.now(), **states)
    )  # fmt: skip
    files = dict(made.files or {})
    for name in sorted(files):
        connection.execute(FILES.insert().values(run=run, name=name, hash=put_text(connection, files[name])))
    for fill in made.applied:
        connection.execute(APPLIED.insert().values(run=run, fill_id=fill))
    if asked.role == SEND:
        _stand(connection, asked, run)
        if made.trades is not None:
            sha256 = put_text(connection, made.trades)
            row = {"run": run, "sha256": sha256, "lines": len(made.orders), "status": "made"}
            connection.execute(LISTS.insert().values(row))
            for order in made.orders:
                connection.execute(ORDERS.insert().values(order_id=order, run=run, book=asked.book))
    note(connection, made.status, book=asked.book, run=run, text=f"{made.outcome}: {made.why}"[:2000])


def refuse(connection: Connection, asked: Asked, why: str) -> tuple[str, str]:
    """Put a run that could not be begun, and why; its id, and the run that goes on standing for its night, if one does.

    It stands itself where nothing of the night does that a later one could go on from: nothing that was made is lost.
    """
    name = put_text(connection, asked.inputs)
    if connection.execute(sa.select(RUNS.c.id).where(RUNS.c.id == name)).first() is None:
        row = {
            "book": asked.book, "as_of": asked.as_of, "model": asked.model, "role": asked.role,
            "snapshot": asked.snapshot, "parent": asked.parent, "before": asked.before, "submitter": asked.submitter,
            "owner": owner(), "versions": asked.versions, "status": "failed", "outcome": "failed", "why": why,
        }  # fmt: skip
        connection.execute(RUNS.insert().values(id=name, ended=sa.func.now(), **row))
    note(connection, "refused", book=asked.book, run=name, text=f"{asked.submitter}: {why}"[:2000])
    if asked.role != SEND:
        return name, ""
    night = (NIGHTS.c.book == asked.book, NIGHTS.c.as_of == asked.as_of)
    whole = sa.select(RUNS.c.id).join(NIGHTS, NIGHTS.c.run == RUNS.c.id).where(*night, RUNS.c.after.is_not(None))
    stands = connection.execute(whole).scalar()
    if stands is None:
        _stand(connection, asked, name)
    return name, stands or ""


def died(connection: Connection) -> Sequence[sa.RowMapping]:
    """Name the runs that began and never ended, which nobody is computing: their lists never were. Returns them."""
    found = connection.execute(sa.select(RUNS).where(RUNS.c.status == "running")).mappings().all()
    for run in found:
        connection.execute(RUNS.update().where(RUNS.c.id == run["id"]).values(status="died", ended=sa.func.now()))
        note(connection, "died", book=run["book"], run=run["id"], text=f"{run['owner']} ended before it was done")
    return found


def standing(connection: Connection, book: str, *, before: str | None = None) -> list[sa.RowMapping]:
    """The runs that stand, night by night (before an instant), with the status of their lists."""
    asked = (
        sa.select(RUNS, LISTS.c.status.label("list"), LISTS.c.sha256, LISTS.c.lines)
        .join(NIGHTS, NIGHTS.c.run == RUNS.c.id).outerjoin(LISTS, LISTS.c.run == RUNS.c.id)
        .where(NIGHTS.c.book == book).order_by(NIGHTS.c.as_of)
    )  # fmt: skip
    asked = asked if before is None else asked.where(NIGHTS.c.as_of < before)
    return list(connection.execute(asked).mappings())


def _make_way(connection: Connection, asked: Asked, name: str) -> None:
    later = (
        sa.select(NIGHTS.c.as_of)
        .join(RUNS, NIGHTS.c.run == RUNS.c.id)
        .where(NIGHTS.c.book == asked.book, NIGHTS.c.as_of > asked.as_of, RUNS.c.after.is_not(None))
    )
    found = connection.execute(later.order_by(NIGHTS.c.as_of)).scalar()
    if found is not None:
        raise DataError(f"{asked.book}: the night of {found[:19]} stands on this one; only the last may be run again")
    stands = connection.execute(
        sa.select(RUNS.c.id, LISTS.c.status).join(NIGHTS, NIGHTS.c.run == RUNS.c.id)
        .outerjoin(LISTS, LISTS.c.run == RUNS.c.id).where(NIGHTS.c.book == asked.book, NIGHTS.c.as_of == asked.as_of)
    ).first()  # fmt: skip
    if stands is not None and stands.id != name:
        if stands.status in LEFT:
            raise DataError(f"{asked.book}: the list of {stands.id[:12]} for this night is {stands.status}; it stands")
        _move(connection, stands.id, "superseded", asked.book, f"by {name[:12]}")
    if asked.parent is not None and not asked.parent_left:
        _move(connection, asked.parent, "cancelled", asked.book, "never sent before the next night began")
        left = sa.select(LISTS.c.status).where(LISTS.c.run == asked.parent, LISTS.c.status.in_(LEFT))
        if connection.execute(left).first() is not None:
            raise DataError(f"{asked.book}: the list of {asked.parent[:12]} is just being sent; run again")


def _move(connection: Connection, run: str, status: str, book: str, text: str) -> None:
    """Take a list that has not left out of the way."""
    waiting = LISTS.c.status.in_(("made", "approved", "vetoed"))
    moved = connection.execute(LISTS.update().where(LISTS.c.run == run, waiting).values(status=status))
    if moved.rowcount:
        note(connection, status, book=book, run=run, text=text)


def _stand(connection: Connection, asked: Asked, run: str) -> None:
    here = (NIGHTS.c.book == asked.book, NIGHTS.c.as_of == asked.as_of)
    if not connection.execute(NIGHTS.update().where(*here).values(run=run)).rowcount:
        connection.execute(NIGHTS.insert().values(book=asked.book, as_of=asked.as_of, run=run))
