"""The outbox: lists that left, each once; and recovery, which finishes or names what a run or a sender left undone.

A list is put aside, flushed, before the ledger says `sending`; then it is renamed into the outbox; then the ledger says
`sent`. Whoever dies between the two leaves `sending`: the file aside says that it did not leave, no file that it did.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from optihedge.batch.output import folder_name, instant_name
from optihedge.desk.deskfile import Desk
from optihedge.desk.halt import refuse_halted
from optihedge.desk.ledger.database import Ledger, note, open_ledger
from optihedge.desk.ledger.lists import APPROVED, VETOED, judge, listed, on_their_way, sending, sent
from optihedge.desk.ledger.reading import find_run
from optihedge.desk.ledger.runs import died
from optihedge.files import flush_folder, write_text
from optihedge.lock import locked

_ASIDE = ".leaving"


@dataclass(frozen=True)
class Sent:
    """A list on its way: its run and book, where it lies once it has left, its sha256 and lines."""

    run: str
    book: str
    path: Path
    sha256: str
    lines: int


def approve(desk: Desk, word: str, sha256: str, who: str) -> Sent:
    """Approve the list of a run by its sha256; see `ledger.lists.judge` for what is refused."""
    return _judge(desk, word, sha256, who, APPROVED, "")


def hold(desk: Desk, word: str, sha256: str, who: str, why: str) -> Sent:
    """Hold a list back that has not left; somebody may approve it later."""
    return _judge(desk, word, sha256, who, VETOED, why)


def _judge(desk: Desk, word: str, sha256: str, who: str, verdict: str, why: str) -> Sent:
    with open_ledger(desk.ledger).write() as connection:
        run = find_run(connection, word)
        judge(connection, run, sha256, who, verdict, why, another=desk.approval == "another", approvers=desk.approvers)
        row = listed(connection, run)
        return Sent(run, row["book"], _path(desk, row), row["sha256"], row["lines"])


def send(desk: Desk, word: str) -> Sent:
    """Put a run's list into the outbox. word: the run's id or BOOK@DATE.

    Raises Halted, DataError for a list that is not approved (where the desk asks for it), stands no more or has left.
    """
    refuse_halted(desk.halt)
    ledger = open_ledger(desk.ledger)
    aside = desk.outbox / _ASIDE
    aside.mkdir(parents=True, exist_ok=True)
    with locked(aside):
        _finish(desk, ledger)
        with ledger.write() as connection:
            run = find_run(connection, word)
            row = listed(connection, run)
            _, text = sending(connection, run, unapproved=desk.approval == "none")
            write_text(aside / f"{run}.csv", text)  # on disk before the word that it leaves is committed
            refuse_halted(desk.halt)
        path = _leave(desk, ledger, run)
        return Sent(run, row["book"], path, row["sha256"], row["lines"])


def recover(desk: Desk, ledger: Ledger) -> tuple[str, ...]:
    """Finish what a sender left, name the runs that died. What was done, in words."""
    told = [f"run {run['id'][:12]} of {run['book']} died ({run['owner']}); run again" for run in _died(ledger)]
    aside = desk.outbox / _ASIDE
    if aside.is_dir():
        with locked(aside):
            told += [f"list of {run[:12]}: its sending was finished" for run in _finish(desk, ledger)]
    return tuple(told)


def _died(ledger: Ledger) -> list[sa.RowMapping]:
    with ledger.write() as connection:
        return list(died(connection))


def _finish(desk: Desk, ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        waiting = [run for run, _ in on_their_way(connection)]
    for run in waiting:
        with ledger.write() as connection:
            note(connection, "finished sending", run=run)
        _leave(desk, ledger, run)
    aside = desk.outbox / _ASIDE
    for left in (*aside.glob("*.csv"), *aside.glob(".*.new")):
        left.unlink()  # put aside, or half of it, for a word that was never committed
    return waiting


def _leave(desk: Desk, ledger: Ledger, run: str) -> Path:
    with ledger.read() as connection:
        row = listed(connection, run)
    path = _path(desk, row)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = desk.outbox / _ASIDE / f"{run}.csv"
    if aside.is_file():  # else it left already, and somebody may have taken it
        os.replace(aside, path)
        flush_folder(path.parent)
    with ledger.write() as connection:
        sent(connection, run)
    return path


def _path(desk: Desk, row: sa.RowMapping) -> Path:
    folder = desk.outbox / instant_name(pd.Timestamp(row["as_of"]))
    return folder / f"{folder_name(row['book'])}.{row['sha256'][:12]}.csv"
