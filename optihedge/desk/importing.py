"""What the venue said, into the ledger: files of fills and of final words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from optihedge.accounts.fills import read_fills
from optihedge.accounts.state import VERDICTS, Report
from optihedge.desk.deskfile import Desk
from optihedge.desk.ledger.database import open_ledger
from optihedge.desk.ledger.facts import import_fills, import_reports
from optihedge.errors import SpecError
from optihedge.frames import Column, Schema, check_frame, completed, read_raw, refuse

REPORTS: Schema = {
    "order_id": Column("text", required=True),
    "time": Column("time", required=True),
    "verdict": Column("text", required=True, choices=VERDICTS),
    "why": Column("text"),
}
"""Columns of reports.csv: the final word on an order, after which nothing more of it is filled."""


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


def read_reports(source: Path | str | pd.DataFrame) -> list[Report]:
    """The final words of a file (.csv, .parquet) or frame. Raises DataError naming row, column and remedy."""
    raw = source if isinstance(source, pd.DataFrame) else read_raw(source)
    name = raw.attrs.get("source", "reports")
    table = completed(check_frame(raw, REPORTS, name, others=None), REPORTS)
    refuse(table["order_id"].duplicated().to_numpy(), name, "order_id {value} appears twice", table["order_id"],
           "keep its last word")  # fmt: skip
    return [Report(**row) for row in table[list(REPORTS)].to_dict("records")]


def reports_frame(reports: Iterable[Report]) -> pd.DataFrame:
    """Final words as a table with the columns of REPORTS."""
    rows = [[getattr(report, name) for name in REPORTS] for report in reports]
    return pd.DataFrame(rows, columns=list(REPORTS))
