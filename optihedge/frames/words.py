"""Words of messages: where something stands, what it may have meant, and texts that are safe to show."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import DataError

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\u2212", "\\t", "\\r")
"""A spreadsheet would compute a text that begins so, full-width signs included."""
_BRIEF = 60  # characters of a value in a message
_EACH = 1000  # rows of a fault that are told one by one
_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, direction and joining marks, lone surrogates, separators


def words(values: Any) -> np.ndarray:
    """Fields of a column as texts without spaces around them, '' where nothing is: an array of objects of its own."""
    if isinstance(values.dtype, pd.StringDtype) or values.dtype == object:
        fields = values.tolist()
        if all(isinstance(field, str) for field in fields):
            return objects(field.strip() for field in fields)
    given = pd.Series(values, dtype=values.dtype)
    return objects(given.where(given.notna(), "").astype(str).str.strip())


def array_of(column: pd.Series | pd.Index) -> Any:
    """The values of a column as they are: of NumPy, or of pandas where it holds instants or its own texts."""
    array = column.array
    return array.to_numpy() if isinstance(array, pd.arrays.NumpyExtensionArray) else array


def objects(fields: Iterable[object]) -> np.ndarray:
    """An array that holds these as they are."""
    listed = list(fields)
    made = np.empty(len(listed), dtype=object)
    made[:] = listed
    return made


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


def counted(number: int, noun: str) -> str:
    """'1 line', '4 lines': a number of things that a sentence names."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def brief(value: object) -> str:
    """A value as code writes it where that is short, else its kind: a message is no place for a matrix."""
    text = repr(value) if not hasattr(value, "shape") else ""
    return text if text and len(text) <= _BRIEF and "\n" not in text else f"a {type(value).__name__}"


def shown(value: object) -> str:
    """A value as a message shows it: its beginning, where it is long."""
    text = str(value)
    return text if len(text) <= _BRIEF else f"{text[: _BRIEF - 3]}..."


def plain_text(text: object) -> str:
    """A text that no spreadsheet computes and no screen obeys: one that looks like a formula, full-width signs and
    leading spaces included, gets an apostrophe before it; marks that steer a terminal are written out.
    """
    word = visible(text)
    return "'" + word if word.lstrip(" \u00a0\u3000").startswith(_FORMULA) else word


def visible(text: object, keep: str = "") -> str:
    """The text with every mark that steers a screen (control, direction, line separators) written out as \\u202e.

    keep   marks that stay, such as the line feeds of a message
    """
    word = str(text)
    steering = {mark for mark in set(word) - set(keep) if unicodedata.category(mark) in _STEERING}
    return word if not steering else "".join(_written(mark) if mark in steering else mark for mark in word)


def one_line(text: object) -> str:
    """A text of several lines as one: an indented line is what the line before speaks of, others are sentences.

    >>> one_line("two conflict: A, B\\na remedy is\\n  A: +1\\n  B: -1")
    'two conflict: A, B; a remedy is A: +1; B: -1'
    """
    line, before = "", ""
    for part in str(text).split("\n"):
        listed = part[:1].isspace() and not before[:1].isspace()
        line += ("" if not line else " " if listed else "; ") + part.strip()
        before = part
    return line


def _written(mark: str) -> str:
    return mark.encode("unicode_escape", "surrogatepass").decode()


def row_of(source: str, position: int) -> str:
    """'quotes.csv row 41': the spreadsheet's row of a file, the 1-based row of a frame."""
    return f"{source} row {position + (2 if source.endswith(('.csv', '.parquet')) else 1)}"


def place_of(message: str) -> tuple[str, int, str]:
    """Table, row (as `row_of` counts; 0: none) and the rest of a message that begins with `row_of`."""
    match = re.match(r"(\S+)(?: row (\d+))?: (.*)", message, flags=re.DOTALL)
    return (match[1], int(match[2] or 0), match[3]) if match else ("", 0, message)


def refuse_doubled(header: pd.Index, source: str) -> None:
    """Refuse a table in which a column stands twice: which one holds? Raises DataError naming table and column."""
    if header.has_duplicates:
        raise DataError(f"{source}: column {header[header.duplicated()][0]} appears twice; remove or rename one")


def refuse(
    bad: np.ndarray,
    source: str,
    problem: str,
    values: Any,
    remedy: str,
    labels: pd.Index | None = None,
    *,
    drivers: tuple[str, ...] = (),
    column: str = "",
    error: type[DataError] = DataError,
) -> None:
    """Raise a DataError for the first row where `bad` holds; `problem` is the column's name, or words with {value}.

    values   of the column, an array or a Series;  labels   of the instruments of the rows
    drivers  those at fault, where the table is of history;  column  whose cells alone are
    """
    wrong = np.flatnonzero(np.asarray(bad))
    if not wrong.size:
        return
    said = any(word in problem for word in ("{value}", " is "))

    def told(position: int, more: str = "") -> str:
        value = values.iloc[position] if isinstance(values, pd.Series) else values[position]
        value = value.item() if isinstance(value, np.generic) else value
        of = f" of {shown(labels[position])}" if labels is not None else ""
        written = repr(value) if not isinstance(value, str) else repr(shown(value))
        text = problem.replace("{value}", shown(value)) if said else f"{problem}{{of}} is {written}"
        return f"{row_of(source, position)}: {text.replace('{of}', of)}{more}; {remedy}"

    rows = tuple(wrong.tolist())
    more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
    instruments = () if labels is None else tuple(map(str, labels[wrong]))
    raise error(
        told(rows[0], more), table=source, rows=rows, instruments=instruments, drivers=drivers, column=column,
        each=tuple(map(told, rows[:_EACH])),
    )  # fmt: skip
