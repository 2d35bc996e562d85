"""What a desk's night stands on: its file, its ledger, the disk below it, and whether somebody has halted it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from optihedge.desk.checkup.findings import Findings
from optihedge.desk.deskfile import Desk, read_desk
from optihedge.errors import OptihedgeError

LEAST_FREE = 2**30  # bytes of a disk that a night may fill


def check_desk(path: Path, found: Findings) -> None:
    """Findings on a desk file, its folders and its ledger; what cannot be read is one of them."""
    try:
        desk = read_desk(path)
    except OptihedgeError as error:
        for mistake in str(error).splitlines():
            found.add(path.name, 0, "", mistake, "mend the desk file")
        return
    if desk.halt.exists():
        found.add(desk.halt.name, 0, "", "the desk is halted, no list leaves", "remove the file when the halt is over")
    for what, folder in (("out", desk.out), ("outbox", desk.outbox), ("store", desk.store)):
        _disk(what, folder, found)
    _ledger(desk, found)


def _disk(what: str, folder: Path, found: Findings) -> None:
    """Whether the folder, or the nearest that is there, can be written and has room."""
    there = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        found.add(what, 0, str(folder), f"{there} cannot be written", "give the desk the right to, or another folder")
    elif (free := shutil.disk_usage(there).free) < LEAST_FREE:
        found.add(what, 0, str(folder), f"{free / 2**20:,.0f} MiB are free on its disk", "free a gibibyte at least")


def _ledger(desk: Desk, found: Findings) -> None:
    """What `optihedge verify` says of ledger, store and folders."""
    from optihedge.desk.replay import verify

    try:
        faults = verify(desk)
    except (OptihedgeError, OSError) as error:
        found.add("ledger", 0, "", str(error), "restore the ledger from a copy, or mend what it names")
        return
    for row in faults.itertuples():
        problem, _, remedy = str(row.problem).partition("; ")
        found.add(str(row.where), 0, "", problem, remedy or "see optihedge verify")
