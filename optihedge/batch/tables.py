"""Tables that a run wrote, read back: names of digits stay names, and a number that is missing is NaN."""

from __future__ import annotations

import io

import pandas as pd

TEXT = (
    "as_of", "book", "order_id", "instrument", "venue", "side", "reason", "model", "model_hash", "account", "money",
    "exposure", "unit", "target", "baseline", "trades",
)  # fmt: skip


def table_of(text: str) -> pd.DataFrame:
    """The table of a text that `csv_text` wrote: columns of TEXT as they stand ("005930", "NA", "1e5"), others numbers
    where every cell is one or is empty."""
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    for name in table.columns.difference(TEXT):
        numbers = pd.to_numeric(table[name].where(table[name] != ""), errors="coerce")
        if (numbers.notna() | (table[name] == "")).all():
            table[name] = numbers.astype(float)
    return table
