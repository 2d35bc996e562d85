"""What leaves the house: prices on their tick, numbers to stated digits, tables as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

PRICE_DIGITS = 12  # significant; two decimals at least


def outward(price: np.ndarray, tick: np.ndarray, buys: np.ndarray) -> np.ndarray:
    """Prices rounded to their tick, up for a buy and down for a sell; tick 0 leaves a price as it is."""
    step = np.where(tick > 0, tick, 1.0)
    exact = price / step
    whole = np.round(exact)
    near = np.abs(exact - whole) <= 1e-9 * np.maximum(np.abs(exact), 1.0)
    steps = np.where(near, whole, np.where(buys, np.ceil(exact), np.floor(exact)))
    return rounded_to(np.where(tick > 0, steps * step, price), PRICE_DIGITS)


def rounded_to(values: np.ndarray, digits: int, decimals: int = 2) -> np.ndarray:
    """Values to so many significant digits, and to so many decimals at least."""
    size = np.abs(np.where(np.isfinite(values) & (values != 0), values, 1.0))
    places = np.clip(digits - 1 - np.floor(np.log10(size)), decimals, 300).astype(int)
    return np.array(list(map(round, values.tolist(), places.tolist())), dtype=float) + 0.0


def columns_text(columns: Mapping[str, list[Any]]) -> str:
    """`csv_text` of columns of numbers and texts."""
    cells = [numbers(v) if v and isinstance(v[0], float) else list(map(str, v)) for v in columns.values()]
    return csv_of(columns, cells)


def csv_text(table: pd.DataFrame) -> str:
    """The table as CSV, one way on every machine; what is missing is empty."""
    return csv_of(map(str, table.columns), [_cells(column) for _, column in table.items()])


def csv_of(names: Iterable[str], columns: Sequence[Sequence[str]]) -> str:
    """Cells by column as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def numbers(values: Iterable[float]) -> list[str]:
    """Each as the shortest text that reads back as it; NaN is empty."""
    return ["" if value != value else repr(value) for value in values]


def _cells(column: pd.Series) -> list[str]:
    if column.dtype == np.float64:
        return numbers(column.tolist())
    if column.dtype.kind in "iubO" and not column.isna().any():
        return [str(value) for value in column.tolist()]
    return [cell for (cell,) in csv.reader(io.StringIO(column.to_csv(index=False, header=False)))]
