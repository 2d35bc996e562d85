"""What the venue said, into the ledger: files of fills and of final words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from optihedge.accounts.fills import read_fills, read_reports
from optihedge.desk.deskfile import Desk
from optihedge.desk.ledger.database import open_ledger
from optihedge.desk.ledger.facts import import_fills, import_reports
from optihedge.errors import SpecError


@dataclass(frozen=True)
class Imported:
    """How many fills were new, how many known already with the same figures, and how many final words were new."""

    fills: int
    known: int
    reports: int


def import_told(desk: Desk, fills: Path | None = None, reports: Path | None = None, *, book: str = "") -> Imported:
    """Import fills (columns as `accounts.fills.FILLS`) and final words, all of both files or nothing.

    book   of fills that belong to no order of ours. Raises DataError for an id that came before with other figures,
    and for what belongs to no order; SpecError for an unknown book.
    """
    if book and book not in desk.books:
        raise SpecError(f"there is no book {book} in {desk.path.name}; there are {', '.join(desk.books)}")
    filled = [] if fills is None else read_fills(fills)
    words = [] if reports is None else read_reports(reports)
    with open_ledger(desk.ledger).write() as connection:
        new, old = import_fills(connection, filled, book)
        return Imported(new, old, import_reports(connection, words))
