"""Fills and final words as tables, written exactly and read strictly: who reads them has what was written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from optihedge.accounts.state import VERDICTS, Fill, Report
from optihedge.frames import Column, Schema, check_frame, completed, read_raw, refuse

FILLS: Schema = {
    "fill_id": Column("text", required=True),
    "order_id": Column("text"),
    "instrument": Column("text", required=True),
    "quantity": Column("number", required=True),
    "price": Column("number", required=True),
    "fee": Column("number", default=0.0),
    "money": Column("text"),
    "time": Column("time", required=True),
    "source": Column("text"),
}
"""Columns of fills.csv: contracts (signed), price units, fee paid (above 0) in `money`; see `Fill`."""
REPORTS: Schema = {
    "order_id": Column("text", required=True),
    "time": Column("time", required=True),
    "verdict": Column("text", required=True, choices=VERDICTS),
    "why": Column("text"),
}
"""Columns of reports.csv: the final word on an order, after which nothing more of it is filled."""
_NUMBERS = ("quantity", "price", "fee")


def fills_frame(fills: Iterable[Fill]) -> pd.DataFrame:
    """Fills as a table with the columns of FILLS, in order of time and id.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> fill = oh.policy.Fill("1", "", "S", -10.0, 100.0, pd.Timestamp("2026-01-20T15:00Z"), money="USD")
    >>> oh.policy.fills_frame([fill])["quantity"].tolist()
    [-10.0]
    """
    rows = [[getattr(fill, name) for name in FILLS] for fill in sorted(fills, key=lambda f: (f.time, f.fill_id))]
    return pd.DataFrame(rows, columns=list(FILLS))


def read_fills(source: Path | str | pd.DataFrame) -> list[Fill]:
    """The fills of a file (.csv, .parquet) or frame. Raises DataError naming row, column and remedy.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> fill = oh.policy.Fill("1", "", "S", -10.0, 100.0, pd.Timestamp("2026-01-20T15:00Z"), money="USD")
    >>> oh.policy.read_fills(oh.policy.fills_frame([fill])) == [fill]
    True
    """
    raw = source if isinstance(source, pd.DataFrame) else read_raw(source)
    name = raw.attrs.get("source", "fills")
    table = completed(check_frame(raw, FILLS, name, others=None), FILLS)
    refuse(table["fill_id"].duplicated().to_numpy(), name, "fill_id {value} appears twice", table["fill_id"],
           "keep one of its rows")  # fmt: skip
    for column in _NUMBERS:  # to the last digit: a text's own reading, not the fast one of a wide table
        if column in raw.columns:
            exact = [float(cell) if str(cell).strip() else 0.0 for cell in raw[column].fillna("")]
            table[column] = exact
    return [Fill(**row) for row in table[list(FILLS)].to_dict("records")]


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
