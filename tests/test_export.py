"""What leaves the house as text: the same bytes as pandas writes, without its price a table."""

import numpy as np
import pandas as pd
import pytest

from optihedge.trades.export import csv_text

TABLE = pd.DataFrame(
    {
        "number": [1.5, np.nan, -0.0, 1e16, 1e-7, np.inf],
        "text": ["x", "y, z", "", 'quo"te', "two\nlines", "ü"],
        "flag": [True, False] * 3,
        "count": range(6),
        "day": pd.to_datetime(["2020-01-01"] * 5 + [None]),
        "instant": pd.date_range("2020-01-01", periods=6, tz="UTC", freq="h"),
        "mixed": ["a", None, np.nan, 1.5, np.float64(2), 3],
        "maybe": pd.Series([1, None] * 3, dtype="Int64"),
        "small": pd.Series([0.1] * 6, dtype="float32"),
    }
)


@pytest.mark.parametrize("table", [TABLE, TABLE.iloc[:0], TABLE[["text"]], TABLE[["number"]], TABLE.iloc[:, [1, 1]]])
def test_a_table_as_text_is_what_pandas_writes(table: pd.DataFrame) -> None:
    assert csv_text(table) == table.to_csv(index=False, lineterminator="\n")
