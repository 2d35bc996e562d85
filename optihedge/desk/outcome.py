"""What became of a book in a night: of the run that was just made, and of those that the ledger has."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from optihedge.content import canonical_text
from optihedge.desk.deskfile import DeskBook
from optihedge.desk.ledger.database import Ledger
from optihedge.desk.ledger.reading import made_of, runs_of
from optihedge.desk.ledger.runs import SEND, Made
from optihedge.desk.task import ALTERNATIVE, TRACE
from optihedge.market.snapshot import Market

GOOD = ("first", "solved", "empty", "idle")


@dataclass(frozen=True)
class Result:
    """What became of a book under a model.

    new   computed now, not found as done;  status  of the step, or failed;  bug  failed by an internal error
    """

    book: str
    model: str
    role: str
    run: str
    status: str
    why: str
    lines: int
    new: bool
    bug: bool = False

    @property
    def good(self) -> bool:
        """Whether what was promised stands."""
        return self.status in GOOD


def result_of(book: str, model: str, role: str, run: str, made: Made, *, new: bool) -> Result:
    """Of a run; a challenger's lines are those of the list that never leaves."""
    files = made.files or {}
    lines = len(made.orders) if role == SEND else max(0, files.get(ALTERNATIVE, "").count("\n") - 1)
    return Result(book, model, role, run, made.outcome, made.why, lines, new, TRACE in files)


def rest_of(ledger: Ledger, market: Market, jobs: Iterable[tuple[DeskBook, str, str]]) -> tuple[Result, ...]:
    """What the ledger holds of a market's night of these books, models and roles; one without a run says so."""
    instant, found = json.loads(canonical_text(market.as_of)), []
    with ledger.read() as connection:
        for book, model, role in jobs:
            runs = [run for run in runs_of(connection, book.name, instant) if run["stands"] or run["role"] != SEND]
            known = [run["id"] for run in runs if (run["model"], run["role"]) == (model, role)]
            if known:
                made = made_of(connection, known[-1])
                found.append(result_of(book.name, model, role, known[-1], made, new=False))
            else:
                found.append(Result(book.name, model, role, "", "not run", "run it for this night", 0, False))
    return tuple(found)
