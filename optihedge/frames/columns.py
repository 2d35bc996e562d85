"""Tables at the door: strict reading, one schema per table, and refusals that name file, row, column and remedy.

Nothing is guessed: text stays text (the ticker NA, the code 0005), every row has the header's number of fields, an
instant carries its time zone. Rows are counted as a spreadsheet shows them: the header of a file is row 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames.known import meant
from optihedge.frames.reading import read_raw
from optihedge.frames.times import parse_times
from optihedge.frames.words import nearest, refuse, refuse_doubled

Kind = Literal["text", "number", "time", "flag"]

_TRUE, _FALSE = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")
_NUMBER = "write a finite number with a decimal point and no thousands separator, or leave it empty"
_HUGE = 1e100  # no quantity of a market is larger, or smaller than its inverse; squares of both stay finite


@dataclass(frozen=True)
class Column:
    """One column of a table: its kind, whether it must be there (and filled), its default, and what is allowed."""

    kind: Kind
    required: bool = False
    empty: bool = False
    default: object = None
    choices: tuple[str, ...] = ()
    least: float | None = None
    above: float | None = None


Schema = Mapping[str, Column]


def read_frame(path: Path | str, schema: Schema, *, others: Kind | None = "text") -> pd.DataFrame:
    """The checked table of a .csv (or .parquet) file; columns outside the schema are of kind `others`, None refuses.

    Raises DataError naming file, row, column and remedy.
    """
    return check_frame(read_raw(path), schema, Path(path).name, others=others)


# ---- checking ------------------------------------------------------------------------------------------------------


def check_frame(frame: pd.DataFrame, schema: Schema, source: str, *, others: Kind | None = "text") -> pd.DataFrame:
    """A copy with every column converted to its kind and checked; the index is kept. Raises DataError.

    source   what messages call the table, for instance "quotes.csv" or "quotes"
    others   kind of the columns that the schema does not name: "number", "text" (left as given), or None to refuse them
    """
    header = pd.Index(frame.columns)
    refuse_doubled(header, source)
    missing = [name for name, column in schema.items() if column.required and name not in header]
    if missing:
        raise _without(missing, header, source)
    unknown = [name for name in header if name not in schema]
    if unknown and others is None:
        near = nearest(unknown[0], [name for name in schema if name not in header])
        raise DataError(f"{source}: column {unknown[0]} is not known{near}; rename or remove it")
    converted: dict[object, object] = {}
    faults: list[DataError] = []
    for name in header:
        column = schema.get(name) or Column("number" if others == "number" else "text")
        try:
            told = name in schema or others == "number"
            converted[name] = _convert(frame[name], column, str(name), source) if told else _plain(frame[name])
        except DataError as fault:
            faults.append(fault)
    if faults:
        raise _together(faults)
    result = pd.DataFrame(converted, index=frame.index, columns=header)
    result.attrs["source"] = source
    return result


def _without(missing: Sequence[str], header: pd.Index, source: str) -> DataError:
    """What to raise where columns are missing: the strange one that says the first of them, or all to add."""
    called = next((str(name) for name in header if meant(name, (missing[0],))), "")
    if called:
        return DataError(f"{source}: column {missing[0]} is missing (did you mean {called}?); rename it")
    others = f" (so is {', '.join(missing[1:])})" if len(missing) > 1 else ""
    return DataError(f"{source}: column {missing[0]} is missing{nearest(missing[0], header) or others}; add it")


def _together(faults: Sequence[DataError]) -> DataError:
    """The first of a table's faults, with a line for each of the others: all are mended in one go."""
    faults[0].args = ("\n".join(str(fault) for fault in faults),)
    return faults[0]


def completed(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The checked table with every column of the schema: those left out at their default, else empty."""
    absent = {name: _filled(column, len(table)) for name, column in schema.items() if name not in table.columns}
    return table.assign(**absent)


def _filled(column: Column, rows: int) -> object:
    if column.kind == "time":
        return pd.DatetimeIndex([pd.NaT] * rows).tz_localize("UTC").as_unit("ns")
    empty = {"number": np.nan, "flag": False, "text": ""}[column.kind]
    dtype = {"number": float, "flag": bool, "text": object}[column.kind]
    return np.full(rows, empty if column.default is None else column.default, dtype=dtype)


def unique_labels(frame: pd.DataFrame, column: str, source: str) -> pd.DataFrame:
    """The frame indexed by a column of unique labels; a frame already indexed by it is taken as it is."""
    refuse_doubled(frame.columns, source)
    if column not in frame.columns:
        if isinstance(frame.index, pd.RangeIndex):
            raise _without([column], frame.columns, source)
        frame = frame.rename_axis(column).reset_index()
    labels = frame[column].astype(str).str.strip()
    refuse((frame[column].isna() | (labels == "")).to_numpy(), source, f"{column} is empty", labels, "name it")
    duplicated = labels.duplicated().to_numpy()
    refuse(duplicated, source, f"{column} {{value}} appears twice", labels, "keep one of its rows")
    indexed = frame.drop(columns=column)
    indexed.index = pd.Index(labels.to_numpy(dtype=object).astype(str), name=column, dtype=object)
    return indexed


def same_labels(what: str, axis: int = 0, **values: object) -> None:
    """Refuse with a DataError labelled values whose labels along an axis differ; arrays go by position."""
    labels = {n: v.axes[axis] for n, v in values.items()
              if isinstance(v, (pd.Series, pd.DataFrame)) and -v.ndim <= axis < v.ndim}  # fmt: skip
    for name, given in list(labels.items())[1:]:
        first = next(iter(labels))
        if given.equals(labels[first]):
            continue
        for number, (one, other) in enumerate(zip_longest(labels[first], given, fillvalue="missing"), start=1):
            if one != other:
                raise DataError(
                    f"{what}: label {number} of {first} is {one} where that of {name} is {other}; "
                    "reindex one like the other, or give arrays to go by position"
                )


def number_block(frame: pd.DataFrame, source: str) -> np.ndarray:
    """All columns as one array of finite numbers, NaN where empty: the fast door of a wide table. Raises DataError."""
    header = pd.Index(frame.columns)
    refuse_doubled(header, source)
    raw = frame.to_numpy()
    cells = pd.Series(raw.ravel() if raw.dtype != bool else raw.astype(object).ravel())
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float, copy=True)
    bad = _absurd(numbers)
    if cells.dtype == object or not pd.api.types.is_numeric_dtype(cells):
        bad |= _said(cells, np.isnan(numbers))
    if bad.any():
        column = int(np.argmax(bad)) % len(header)
        name, values = str(header[column]), frame.iloc[:, column]
        refuse(bad.reshape(raw.shape)[:, column], source, name, values, _NUMBER, drivers=(name,))
    return numbers.reshape(raw.shape)


def _absurd(numbers: np.ndarray) -> np.ndarray:
    size = np.abs(numbers)
    return (size > _HUGE) | ((size < 1 / _HUGE) & (size > 0))


def _said(values: pd.Series, unread: np.ndarray) -> np.ndarray:
    """Which of the unread fields hold anything at all."""
    said = np.zeros(len(values), dtype=bool)
    at = np.flatnonzero(unread)
    fields = values.iloc[at]
    said[at] = (fields.notna() & (fields.astype(str).str.strip() != "")).to_numpy()
    return said


def _plain(values: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values) or isinstance(values.dtype, pd.DatetimeTZDtype):
        return values
    return values.where(values.notna(), "").map(lambda v: v.strip() if isinstance(v, str) else v)


def _convert(values: pd.Series, column: Column, name: str, source: str) -> pd.Series:
    convert = {"number": _numbers, "text": _texts, "flag": _flags, "time": _times}[column.kind]
    return convert(values, column, name, source)


def _texts(values: pd.Series, column: Column, name: str, source: str) -> pd.Series:
    default = column.default if isinstance(column.default, str) else ""
    texts = values.where(values.notna(), "").astype(str).str.strip()
    empty = (texts == "").to_numpy()
    if column.required and not column.empty:
        refuse(empty, source, f"{name} is empty", texts, "fill it")
    texts = texts.where(~empty, default)
    if column.choices:
        bad = ~texts.isin(column.choices).to_numpy()
        refuse(bad, source, name, texts, f"write one of {', '.join(c or 'nothing' for c in column.choices)}")
    return texts.astype(object)


def _flags(values: pd.Series, column: Column, name: str, source: str) -> pd.Series:
    if values.dtype == bool:
        return values.copy()
    words = values.where(values.notna(), "").astype(str).str.strip().str.lower()
    words = words.where(words != "", "true" if column.default else "false")
    bad = ~words.isin(_TRUE + _FALSE).to_numpy()
    refuse(bad, source, name, values, "write true or false")
    return words.isin(_TRUE)


def _numbers(values: pd.Series, column: Column, name: str, source: str) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values) and values.dtype != bool:
        numbers = values.astype(float)
        infinite = _absurd(numbers.to_numpy())
    else:
        numbers = pd.to_numeric(values, errors="coerce").astype(float)
        parsed = numbers.to_numpy()
        wordy = _said(values, np.isnan(parsed))
        refuse(wordy, source, name, values.astype(str).str.strip() if wordy.any() else values, _NUMBER)
        infinite = _absurd(parsed)
    refuse(infinite, source, name, numbers, "write a finite number between 1e-100 and 1e100, or leave it empty")
    absent = np.isnan(numbers.to_numpy())
    if column.required and not column.empty:
        refuse(absent, source, f"{name} is empty", numbers, "give a number")
    elif isinstance(column.default, (int, float)):
        numbers = numbers.fillna(float(column.default))
    if column.above is not None:
        refuse((numbers <= column.above).to_numpy(), source, name, numbers, f"give a number above {column.above:g}")
    if column.least is not None:
        refuse((numbers < column.least).to_numpy(), source, name, numbers, f"give at least {column.least:g}")
    return numbers


def _times(values: pd.Series, column: Column, name: str, source: str) -> pd.Series:
    times, is_date = parse_times(values, name, source)
    if is_date:
        remedy = "write the instant with its time zone, such as 2026-03-27T08:00:00Z"
        refuse(times.notna().to_numpy(), source, f"{name} {{value}} is a date without an hour", values, remedy)
    if column.required:
        refuse(times.isna().to_numpy(), source, f"{name} is empty", values, "write the instant with its time zone")
    return times
