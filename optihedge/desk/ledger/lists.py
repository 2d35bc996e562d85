"""Lists on their way: approved by somebody else, sent once; every change a word in the log."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import Connection

from optihedge.desk.ledger.database import get_text, note
from optihedge.desk.ledger.runs import CHALLENGER, LEFT
from optihedge.desk.ledger.schema import APPROVALS, LISTS, NIGHTS, RUNS
from optihedge.errors import DataError, SpecError

APPROVED, VETOED = "approved", "vetoed"


def judge(
    connection: Connection, run: str, sha256: str, who: str, verdict: str, why: str = "", *,
    another: bool = True, approvers: Collection[str] = (),
) -> None:  # fmt: skip
    """Approve a list or veto it, by its whole sha256 or the first twelve digits of it or more.

    another     refuse an approval by who submitted the run;  approvers  if any, the only ones who may approve
    Raises SpecError for who may not, and for another sha256; DataError for a list that stands no more or has left.
    """
    row = listed(connection, run)
    if len(sha256) < 12 or not row["sha256"].startswith(sha256):
        raise SpecError(
            f"the list of {row['book']} has sha256 {row['sha256'][:12]}..., not {sha256}; look at it again (show)"
        )
    if verdict == APPROVED:
        if another and who == row["submitter"]:
            raise SpecError(f"{who} ran {run[:12]} and may not approve it; another person must, see [send] approval")
        if approvers and who not in approvers:
            raise SpecError(f"{who} is not among the approvers ({', '.join(approvers)}); see [send] approvers")
    if row["list"] in LEFT:
        raise DataError(f"the list of {run[:12]} is {row['list']} already; cancel its orders at the venue")
    if row["list"] not in ("made", APPROVED, VETOED):
        raise DataError(f"the list of {run[:12]} is {row['list']}: it stands no more; run again")
    row_of = {"run": run, "who": who, "sha256": row["sha256"], "verdict": verdict, "why": why}
    connection.execute(APPROVALS.insert().values(row_of))
    connection.execute(LISTS.update().where(LISTS.c.run == run).values(status=verdict))
    note(connection, verdict, book=row["book"], run=run, text=f"{who}: {why}" if why else who)


def sending(connection: Connection, run: str, *, unapproved: bool = False) -> tuple[str, str]:
    """Say that a list is about to leave; its sha256 and text. From here on nothing withdraws it.

    unapproved   a list that nobody has judged may go, too
    Raises DataError for one that is not approved, stands no more or has left.
    """
    row = listed(connection, run)
    may = (APPROVED, "made") if unapproved else (APPROVED,)
    if row["list"] not in may:
        remedies = {"made": "approve it first", VETOED: "approve it first", **dict.fromkeys(LEFT, "it leaves once")}
        remedy = remedies.get(row["list"], "it stands no more: run again")
        raise DataError(f"the list of {row['book']}, run {run[:12]}, is {row['list']}; {remedy}")
    if not row["stands"]:
        raise DataError(f"run {run[:12]} does not stand for its night; send the list that does")
    changed = LISTS.update().where(LISTS.c.run == run, LISTS.c.status == row["list"]).values(status="sending")
    if connection.execute(changed).rowcount != 1:
        raise DataError(f"the list of {run[:12]} was changed at this moment; look at it again")
    note(connection, "sending", book=row["book"], run=run, text=row["sha256"])
    return row["sha256"], get_text(connection, row["sha256"])


def sent(connection: Connection, run: str) -> None:
    """Say that a list has left; once."""
    moved = LISTS.update().where(LISTS.c.run == run, LISTS.c.status == "sending").values(status="sent")
    if connection.execute(moved).rowcount:
        row = listed(connection, run)
        note(connection, "sent", book=row["book"], run=run, text=row["sha256"])


def on_their_way(connection: Connection) -> list[tuple[str, str]]:
    """Run and sha256 of the lists that are being sent, or were when their sender died."""
    asked = sa.select(LISTS.c.run, LISTS.c.sha256).where(LISTS.c.status == "sending").order_by(LISTS.c.run)
    return [(run, sha256) for run, sha256 in connection.execute(asked)]


def listed(connection: Connection, run: str) -> sa.RowMapping:
    """A run's row with its list's status (`list`), sha256, lines, and whether it `stands`. Raises DataError."""
    asked = (
        sa.select(RUNS, LISTS.c.status.label("list"), LISTS.c.sha256, LISTS.c.lines,
                  (NIGHTS.c.run.is_not(None)).label("stands"))
        .join(LISTS, LISTS.c.run == RUNS.c.id).outerjoin(NIGHTS, NIGHTS.c.run == RUNS.c.id).where(RUNS.c.id == run)
    )  # fmt: skip
    row = connection.execute(asked).mappings().first()
    if row is None:
        role, model = connection.execute(sa.select(RUNS.c.role, RUNS.c.model).where(RUNS.c.id == run)).one()
        if role == CHALLENGER:
            raise DataError(
                f"run {run[:12]} is of the challenger {model}, whose list never leaves; make {model} the model of the "
                "book in the desk file"
            )
        raise DataError(f"run {run[:12]} left no list that could be sent; show {run[:12]} says why")
    return row
