"""Fills as a table: written exactly, read strictly, so that a night that reads them is the night that made them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from optihedge.accounts.state import Fill
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
_NUMBERS = ("quantity", "price", "fee")


def fills_frame(fills: Iterable[Fill]) -> pd.DataFrame:
    """Fills as a table with the columns of FILLS, in order of time and id."""
    rows = [[getattr(fill, name) for name in FILLS] for fill in sorted(fills, key=lambda f: (f.time, f.fill_id))]
    return pd.DataFrame(rows, columns=list(FILLS))


def read_fills(source: Path | str | pd.DataFrame) -> list[Fill]:
    """The fills of a file (.csv, .parquet) or frame. Raises DataError naming row, column and remedy."""
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
