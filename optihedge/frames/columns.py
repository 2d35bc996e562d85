"""Tables at the door: strict reading, one schema per table, and refusals that name file, row, column and remedy.

Nothing is guessed: text stays text (the ticker NA, the code 0005), every row has the header's number of fields, an
instant carries its time zone. Rows are counted as a spreadsheet shows them: the header of a file is row 1.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames.known import meant
from optihedge.frames.reading import read_raw
from optihedge.frames.times import time_index
from optihedge.frames.words import array_of, nearest, refuse, refuse_doubled, words

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
Values: TypeAlias = Any  # an array of one dimension: of NumPy, or of pandas where it holds instants or its own texts


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
    return table_of(check_columns(frame, schema, source, others=others), frame.index, source, frame.columns)


def check_columns(
    frame: pd.DataFrame, schema: Schema, source: str, *, others: Kind | None = "text", labels: str = ""
) -> dict[str, Values]:
    """What `check_frame` checks and converts, by name; an array may be the frame's own: it is not written into.

    labels   a column that is not looked at: `label_index` reads it
    """
    header = pd.Index(frame.columns)
    refuse_doubled(header, source)
    missing = [name for name, column in schema.items() if column.required and name not in header]
    if missing:
        raise _without(missing, header, source)
    unknown = [name for name in header if name not in schema and name != labels]
    if unknown and others is None:
        near = nearest(unknown[0], [name for name in schema if name not in header])
        raise DataError(f"{source}: column {unknown[0]} is not known{near}; rename or remove it")
    converted: dict[str, Values] = {}
    faults: list[DataError] = []
    for name, given in frame.items():
        if name == labels:
            continue
        values = array_of(given)
        column = schema.get(name) or Column("number" if others == "number" else "text")
        try:
            told = name in schema or others == "number"
            converted[name] = _CONVERT[column.kind](values, column, str(name), source) if told else _plain(values)
        except DataError as fault:
            faults.append(fault)
    if faults:
        raise _together(faults)
    return converted


def table_of(
    columns: Mapping[str, Values], index: pd.Index, source: str, header: pd.Index | None = None
) -> pd.DataFrame:
    """Checked columns as a table, each of the kind that it is: nothing is guessed or looked at again."""
    header = pd.Index(list(columns)) if header is None else header
    arrays = [getattr(values, "array", values) for values in columns.values()]
    table = pd.DataFrame(dict(enumerate(arrays)), index=index, copy=False).set_axis(header, axis=1)
    table.attrs["source"] = source
    return table


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
    return table.assign(**absent_columns(table.columns, schema, len(table)))


def absent_columns(header: Container[str], schema: Schema, rows: int) -> dict[str, Values]:
    """The columns of the schema that a table lacks, at their default, else empty."""
    return {name: _filled(column, rows) for name, column in schema.items() if name not in header}


def _filled(column: Column, rows: int) -> Values:
    if column.kind == "time":
        return pd.DatetimeIndex(np.full(rows, np.datetime64("NaT", "ns"))).tz_localize("UTC")
    empty = {"number": np.nan, "flag": False, "text": ""}[column.kind]
    dtype = {"number": float, "flag": bool, "text": object}[column.kind]
    return np.full(rows, empty if column.default is None else column.default, dtype=dtype)


def unique_labels(frame: pd.DataFrame, column: str, source: str) -> pd.DataFrame:
    """The frame indexed by a column of unique labels; a frame already indexed by it is taken as it is."""
    labels = label_index(frame, column, source)
    return frame.drop(columns=column, errors="ignore").set_axis(labels)


def label_index(frame: pd.DataFrame, column: str, source: str) -> pd.Index:
    """The unique labels of a table's rows: its column of that name, else its index. Raises DataError."""
    refuse_doubled(frame.columns, source)
    if column not in frame.columns and isinstance(frame.index, pd.RangeIndex):
        raise _without([column], frame.columns, source)
    labels = words(array_of(frame[column] if column in frame.columns else frame.index))
    refuse(labels == "", source, f"{column} is empty", labels, "name it")
    index = pd.Index(labels, name=column, dtype=object)
    refuse(index.duplicated(), source, f"{column} {{value}} appears twice", labels, "keep one of its rows")
    return index


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
    cells = (raw if raw.dtype != bool else raw.astype(object)).ravel()
    written = cells.dtype == object or not pd.api.types.is_numeric_dtype(cells.dtype)
    numbers = _parsed(cells) if written else cells.astype(float)
    bad = _absurd(numbers)
    if written:
        bad |= _said(cells, np.isnan(numbers))
    if bad.any():
        column = int(np.argmax(bad)) % len(header)
        name, values = str(header[column]), frame.iloc[:, column]
        refuse(bad.reshape(raw.shape)[:, column], source, name, values, _NUMBER, drivers=(name,), column=name)
    return numbers.reshape(raw.shape)


def _absurd(numbers: np.ndarray) -> np.ndarray:
    size = np.abs(numbers)
    return (size > _HUGE) | ((size < 1 / _HUGE) & (size > 0))


def _said(values: Values, unread: np.ndarray) -> np.ndarray:
    """Which of the unread fields hold anything at all."""
    said = np.zeros(len(values), dtype=bool)
    said[unread] = words(values[unread]) != ""
    return said


def _plain(values: Values) -> Values:
    if pd.api.types.is_numeric_dtype(values.dtype) or isinstance(values.dtype, pd.DatetimeTZDtype):
        return values
    given = pd.Series(values, dtype=values.dtype)
    return given.where(given.notna(), "").map(lambda v: v.strip() if isinstance(v, str) else v).array


def _texts(values: Values, column: Column, name: str, source: str) -> Values:
    texts = words(values)
    empty = texts == ""
    if column.required and not column.empty:
        refuse(empty, source, f"{name} is empty", texts, "fill it")
    if isinstance(column.default, str):
        texts[empty] = column.default
    if column.choices:
        bad = np.array([text not in column.choices for text in texts], dtype=bool)
        remedy = f"write one of {', '.join(c or 'nothing' for c in column.choices)}"
        refuse(bad, source, name, texts, remedy, column=name)
    return texts


def _flags(values: Values, column: Column, name: str, source: str) -> Values:
    if values.dtype == bool:
        return np.array(values, dtype=bool)
    said = [word.lower() or ("true" if column.default else "false") for word in words(values)]
    bad = np.array([word not in _TRUE + _FALSE for word in said], dtype=bool)
    refuse(bad, source, name, values, "write true or false", column=name)
    return np.array([word in _TRUE for word in said], dtype=bool)


def _numbers(values: Values, column: Column, name: str, source: str) -> Values:
    if pd.api.types.is_numeric_dtype(values.dtype) and values.dtype != bool:
        numbers = np.asarray(values.astype(float), dtype=float)
    else:
        numbers = _parsed(values)
        wordy = _said(values, np.isnan(numbers))
        refuse(wordy, source, name, words(values) if wordy.any() else values, _NUMBER, column=name)
    refuse(
        _absurd(numbers), source, name, numbers,
        "write a finite number between 1e-100 and 1e100, or leave it empty", column=name,
    )  # fmt: skip
    absent = np.isnan(numbers)
    if column.required and not column.empty:
        refuse(absent, source, f"{name} is empty", numbers, "give a number")
    elif isinstance(column.default, (int, float)):
        numbers = np.where(absent, float(column.default), numbers)
    if column.above is not None:
        refuse(numbers <= column.above, source, name, numbers, f"give a number above {column.above:g}", column=name)
    if column.least is not None:
        refuse(numbers < column.least, source, name, numbers, f"give at least {column.least:g}", column=name)
    return numbers


def _parsed(values: Values) -> np.ndarray:
    """Written numbers, NaN where one is not read."""
    fields = np.asarray(values, dtype=object)
    if all(isinstance(field, str) and not field for field in fields):
        return np.full(len(fields), np.nan)
    return np.asarray(pd.to_numeric(fields, errors="coerce"), dtype=float)


def _times(values: Values, column: Column, name: str, source: str) -> Values:
    times, is_date = time_index(values, name, source)
    if is_date:
        remedy = "write the instant with its time zone, such as 2026-03-27T08:00:00Z"
        refuse(times.notna(), source, f"{name} {{value}} is a date without an hour", values, remedy)
    if column.required:
        refuse(times.isna(), source, f"{name} is empty", values, "write the instant with its time zone")
    return times


_CONVERT = {"number": _numbers, "text": _texts, "flag": _flags, "time": _times}
