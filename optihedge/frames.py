"""Tables at the door: strict reading, one schema per table, and refusals that name file, row, column and remedy.

Nothing is guessed: text stays text (the ticker NA, the code 0005), every row has the header's number of fields, an
instant carries its time zone. Rows are counted as a spreadsheet shows them: the header of a file is row 1.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
import pandas as pd

from optihedge.errors import DataError, require_extra

Kind = Literal["text", "number", "time", "flag"]

_TRUE, _FALSE = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")
_NUMBER = "write a finite number with a decimal point and no thousands separator, or leave it empty"
_HUGE = 1e100  # no quantity of a market is larger, or smaller than its inverse; squares of both stay finite
DAY_END = pd.Timedelta(hours=23, minutes=59, seconds=59)  # of a date without a time
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute a text that begins so
_SAME_WORD = 0.85  # likeness of two words above which one is taken for a slip of the other
_DATE = r"\d{4}-\d{2}-\d{2}"
_INSTANT = rf"{_DATE}[T ]\d{{2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?"


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


# ---- reading -------------------------------------------------------------------------------------------------------


def read_frame(path: Path | str, schema: Schema, *, others: Kind | None = "text") -> pd.DataFrame:
    """The checked table of a .csv (or .parquet) file; columns outside the schema are of kind `others`, None refuses.

    Raises DataError naming file, row, column and remedy.
    """
    return check_frame(read_raw(path), schema, Path(path).name, others=others)


def read_raw(path: Path | str) -> pd.DataFrame:
    """The table as it stands, every field of a .csv as text, for a later `check_frame`; attrs["source"] is its name."""
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the file")
    frame = _read_parquet(path) if path.suffix == ".parquet" else _read_text(path)
    frame.attrs["source"] = path.name
    return frame


def find_table(folder: Path, name: str) -> Path | None:
    """folder/name.csv, else folder/name.parquet, else None. Both at once is a DataError: which one holds?"""
    found = [p for p in (folder / f"{name}.csv", folder / f"{name}.parquet") if p.is_file()]
    if len(found) > 1:
        raise DataError(f"{folder}: both {found[0].name} and {found[1].name} are there; keep one")
    return found[0] if found else None


def _read_text(path: Path) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream, strict=True))
    except FileNotFoundError:
        raise DataError(f"{path} is not there; put the file in its folder") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path.name}: {error}; check its quotation marks") from None
    while rows and not rows[-1]:
        rows.pop()
    if not rows:
        raise DataError(f"{path.name} is empty; give a header row")
    header = [name.strip() for name in rows[0]]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise DataError(f"{path.name}: its fields are not separated by commas; save it as comma-separated, UTF-8")
    body = rows[1:]
    for position, name in enumerate(header):
        if not name:
            raise DataError(f"{path.name}: column {position + 1} has no name; name it in the header or remove it")
    lengths = np.fromiter(map(len, body), dtype=int, count=len(body))
    wrong = np.flatnonzero(lengths != len(header))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"{path.name} row {row + 2}: {lengths[row]} fields where the header has {len(header)}, starting "
            f"{','.join(body[row])[:60]!r}; quote a field that holds a comma, or complete the row"
        )
    cells = np.array(body, dtype=object).reshape(len(body), len(header))
    return pd.DataFrame(cells, columns=pd.Index(header), dtype=object)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise require_extra("pyarrow", "parquet") from None
    if not path.is_file():
        raise DataError(f"{path} is not there; put the file in its folder")
    frame = pd.read_parquet(path)
    return frame.reset_index() if frame.index.name is not None else frame


# ---- checking ------------------------------------------------------------------------------------------------------


def check_frame(frame: pd.DataFrame, schema: Schema, source: str, *, others: Kind | None = "text") -> pd.DataFrame:
    """A copy with every column converted to its kind and checked; the index is kept. Raises DataError.

    source   what messages call the table, for instance "quotes.csv" or "quotes"
    others   kind of the columns that the schema does not name: "number", "text" (left as given), or None to refuse them
    """
    header = pd.Index(frame.columns)
    if header.has_duplicates:
        raise DataError(f"{source}: column {header[header.duplicated()][0]} appears twice; remove or rename one")
    missing = [name for name, column in schema.items() if column.required and name not in header]
    if missing:
        near = nearest(missing[0], header)
        raise DataError(f"{source}: column {missing[0]} is missing{near}; add it")
    unknown = [name for name in header if name not in schema]
    if unknown and others is None:
        near = nearest(unknown[0], [name for name in schema if name not in header])
        raise DataError(f"{source}: column {unknown[0]} is not known{near}; rename or remove it")
    converted: dict[object, object] = {}
    for name in header:
        column = schema.get(name) or Column("number" if others == "number" else "text")
        if name in schema or others == "number":
            converted[name] = _convert(frame[name], column, str(name), source)
        else:
            converted[name] = _plain(frame[name])
    result = pd.DataFrame(converted, index=frame.index, columns=header)
    result.attrs["source"] = source
    return result


def nearest(word: object, among: Iterable[object]) -> str:
    """' (did you mean X?)' for the nearest of the words, whatever their case, or nothing."""
    words = {str(w).lower(): str(w) for w in among}
    cutoff = 0.6 if len(str(word)) > 3 else 0.5
    close = difflib.get_close_matches(str(word).lower(), words, n=1, cutoff=cutoff)
    return f" (did you mean {words[close[0]]}?)" if close else ""


def some(names: Iterable[object], most: int = 1) -> str:
    """'A, B and 3 more': the first `most` of the names, and how many are left out."""
    words = [str(name) for name in names]
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def plain_text(text: object) -> str:
    """A text that no spreadsheet computes: one that looks like a formula gets an apostrophe before it."""
    word = str(text)
    return "'" + word if word.startswith(_FORMULA) else word


def misspelt(header: pd.Index, schema: Schema, source: str) -> None:
    """Refuse a column that is nearly the name of one that is absent: in an open table it would be ignored."""
    absent = [name for name in schema if name not in header]
    for name in header:
        close = difflib.get_close_matches(str(name), absent, n=1, cutoff=_SAME_WORD)
        if name not in schema and close:
            raise DataError(f"{source}: column {name} is not known (did you mean {close[0]}?); rename it")


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


def row_of(source: str, position: int) -> str:
    """'quotes.csv row 41': the spreadsheet's row of a file, the 1-based row of a frame."""
    return f"{source} row {position + (2 if source.endswith(('.csv', '.parquet')) else 1)}"


def place_of(message: str) -> tuple[str, int, str]:
    """Table, row (as `row_of` counts; 0: none) and the rest of a message that begins with `row_of`."""
    match = re.match(r"(\S+)(?: row (\d+))?: (.*)", message, flags=re.DOTALL)
    return (match[1], int(match[2] or 0), match[3]) if match else ("", 0, message)


def refuse(
    bad: np.ndarray, source: str, problem: str, values: pd.Series, remedy: str, labels: pd.Index | None = None
) -> None:
    """Raise a DataError for the first row where `bad` holds; `problem` is the column's name, or words with {value}."""
    wrong = np.flatnonzero(np.asarray(bad))
    if not wrong.size:
        return
    position = int(wrong[0])
    value = values.iloc[position]
    value = value.item() if isinstance(value, np.generic) else value
    of = f" of {labels[position]}" if labels is not None else ""
    said = any(word in problem for word in ("{value}", " is "))
    text = problem.replace("{value}", str(value)) if said else f"{problem}{{of}} is {value!r}"
    more = f" (and {wrong.size - 1} more rows)" if wrong.size > 1 else ""
    raise DataError(f"{row_of(source, position)}: {text.replace('{of}', of)}{more}; {remedy}")


def unique_labels(frame: pd.DataFrame, column: str, source: str) -> pd.DataFrame:
    """The frame indexed by a column of unique labels; a frame already indexed by it is taken as it is."""
    if column not in frame.columns:
        if isinstance(frame.index, pd.RangeIndex):
            raise DataError(f"{source}: column {column} is missing{nearest(column, frame.columns)}; add it")
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
    if header.has_duplicates:
        raise DataError(f"{source}: column {header[header.duplicated()][0]} appears twice; remove or rename one")
    raw = frame.to_numpy()
    cells = pd.Series(raw.ravel() if raw.dtype != bool else raw.astype(object).ravel())
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float, copy=True)
    bad = _absurd(numbers)
    if cells.dtype == object or not pd.api.types.is_numeric_dtype(cells):
        bad |= _said(cells, np.isnan(numbers))
    if bad.any():
        column = int(np.argmax(bad)) % len(header)
        refuse(bad.reshape(raw.shape)[:, column], source, str(header[column]), frame.iloc[:, column], _NUMBER)
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


# ---- times ---------------------------------------------------------------------------------------------------------


def _times(values: pd.Series, column: Column, name: str, source: str) -> pd.Series:
    times, is_date = parse_times(values, name, source)
    if is_date:
        remedy = "write the instant with its time zone, such as 2026-03-27T08:00:00Z"
        refuse(times.notna().to_numpy(), source, f"{name} {{value}} is a date without an hour", values, remedy)
    if column.required:
        refuse(times.isna().to_numpy(), source, f"{name} is empty", values, "write the instant with its time zone")
    return times


def parse_times(values: pd.Series, name: str, source: str) -> tuple[pd.Series, bool]:
    """UTC instants, and whether all are dates without an hour (then midnight UTC of that day). Raises DataError.

    Written times are either all dates or all instants with one offset: a mixture hides an error of hours.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            return values.dt.tz_convert("UTC").dt.as_unit("ns"), False
        naive = (values.notna() & (values != values.dt.normalize())).to_numpy()
        refuse(naive, source, f"{name} {{value}} has no time zone", values, "use tz_localize('UTC')")
        return values.dt.tz_localize("UTC").dt.as_unit("ns"), bool(values.notna().any())
    if all(isinstance(v, pd.Timestamp) or pd.isna(v) for v in values):
        zones = {str(v.tzinfo) for v in values if not pd.isna(v)}
        if len(zones) > 1:
            named = ", ".join(sorted(zones))
            raise DataError(f"{source}: column {name} mixes time zones ({named}); convert all to UTC")
        return parse_times(pd.Series(pd.DatetimeIndex(values), index=values.index), name, source)
    words = values.where(values.notna(), "").astype(str).str.strip()
    empty = (words == "").to_numpy()
    dates = words.str.fullmatch(_DATE).to_numpy(dtype=bool)
    offsets = words.str.extract(rf"^{_INSTANT}(Z|[+-]\d{{2}}:?\d{{2}})$", expand=False)
    naive = words.str.fullmatch(_INSTANT).to_numpy(dtype=bool)
    zoned = offsets.notna().to_numpy()
    refuse(naive, source, f"{name} {{value}} has no time zone", words, "write it as 2026-01-20T16:00:00Z")
    known = empty | dates | zoned
    refuse(~known, source, name, words, "write a date 2026-01-20 or an instant 2026-01-20T16:00:00Z")
    if dates.any() and zoned.any():
        refuse(dates, source, f"{name} {{value}} is a date among instants", words, "write instants everywhere")
    offset = offsets.str.replace(":", "").replace({"Z": "+0000"})
    if offset.dropna().nunique() > 1:
        other = (zoned & (offset != offset[zoned].iloc[0])).to_numpy()
        refuse(other, source, f"{name} {{value}} mixes time zones", words, "write all times in UTC, ending in Z")
    times = pd.to_datetime(words.where(~empty, None), utc=True, format="ISO8601", errors="coerce")
    far = ((times.dt.year < 1700) | (times.dt.year > 2200)).to_numpy()
    refuse(far, source, f"{name} {{value}} is out of range", words, "write a year between 1700 and 2200")
    times = times.dt.as_unit("ns")
    refuse(known & ~empty & times.isna().to_numpy(), source, f"{name} {{value}} is no calendar time", words, "mend it")
    return times, bool(dates.any())


def duration(value: object, name: str) -> pd.Timedelta:
    """A positive duration written '1d', '8h', '30min'; `name` is what messages call it. Raises DataError."""
    text = re.sub(r"(?<=[\d ])d(ays?)?$", "D", value.strip()) if isinstance(value, str) else value
    try:
        span = pd.NaT if isinstance(text, (int, float, np.number)) else pd.Timedelta(text)  # a number has no unit
    except (TypeError, ValueError):
        span = pd.NaT
    if not span > pd.Timedelta(0):
        raise DataError(f"{name} is {value!r}; write a duration such as '1d' or '30min'")
    return span


def instant(value: object, name: str) -> pd.Timestamp:
    """One UTC instant from text or a timestamp; a bare date is the last second of that day. Raises DataError."""
    try:
        stamp = pd.Timestamp(value)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        _no_instant(value, name)
    if stamp is pd.NaT:
        _no_instant(value, name)
    if stamp.tzinfo is None:
        if stamp != stamp.normalize():
            raise DataError(f"{name} {value} has no time zone; write it as 2026-01-20T16:00:00Z")
        stamp = stamp + DAY_END
        return stamp.tz_localize("UTC").as_unit("ns")
    return stamp.tz_convert("UTC").as_unit("ns")


def _no_instant(value: object, name: str) -> NoReturn:
    raise DataError(f"{name} {value!r} is no time; write a date 2026-01-20 or an instant 2026-01-20T16:00:00Z")
