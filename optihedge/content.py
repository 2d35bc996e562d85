"""Content: what plain values and tables say, as one canonical text and one hash, the same in any process and machine.

A table is hashed by its values, never by the bytes of a file: labels, the kind of each column and its values in order.
Floats count exactly (-0.0 is 0.0, every NaN the same), instants by their UTC nanosecond, text by its UTF-8.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import weakref
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from functools import cache, lru_cache
from json.encoder import encode_basestring
from math import isfinite
from typing import TypeAlias, TypeVar

import numpy as np
import pandas as pd

from optihedge.errors import DataError

Key = TypeVar("Key")
_Part: TypeAlias = tuple[str, bytes]  # the kind of its values, and they


def content_hash(value: object) -> str:
    """The sha256, 64 hexadecimal digits, of a plain value's canonical text or of a table's values.

    Equal content has equal hash whatever made it: the order of a mapping's keys, the width of a dtype, the unit of an
    instant, a string's storage do not count; the order of rows and columns does. Raises DataError for what is neither
    plain nor a table.

    >>> content_hash({"b": 2.0, "a": [1, None]}) == content_hash({"a": (1, None), "b": 2.0})
    True
    """
    if isinstance(value, (pd.DataFrame, pd.Series, pd.Index, np.ndarray)):
        return _table_hash(value)
    return text_hash(canonical_text(value))


def content_hashes(tables: Mapping[Key, pd.DataFrame]) -> dict[Key, str]:
    """`content_hash` of each of these tables, which have the same columns."""
    columns = next((_labels_of(table.columns) for table in tables.values()), None)
    return {name: _table_hash(table, columns) for name, table in tables.items()}


def text_hash(text: str) -> str:
    """The sha256 of a text's UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_text(value: object) -> str:
    """A plain value as JSON with sorted keys, exact floats and no spaces; a table stands in it as its hash.

    Plain are None, flags, numbers, text, instants (ISO, UTC, to the nanosecond), durations (nanoseconds), sequences,
    mappings with text keys, enums by their value and dataclasses by their fields. Raises DataError for anything else.
    """
    return _json(_plain(value))


def canonical_object(texts: Mapping[str, str]) -> str:
    """The canonical text of a mapping whose values' canonical texts these are."""
    return "{" + ",".join([f"{_key(key)}:{texts[key]}" for key in sorted(texts)]) + "}"


def canonical_fields(value: object) -> str:
    """`canonical_text` of a dataclass of numbers, texts and instants."""
    parts = []
    for name in _in_order(type(value)):  # type: ignore[arg-type]
        one = getattr(value, name)
        kind = type(one)
        if kind is str:
            told = encode_basestring(one)
        elif kind is float and isfinite(one):
            told = repr(one + 0.0)
        elif kind is pd.Timestamp:
            told = f'"{_instant_text(one)}"'
        else:
            told = canonical_text(one)
        parts.append(f'"{name}":{told}')
    return f"{{{','.join(parts)}}}"


def _json(plain: object) -> str:
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=65536)
def _key(text: str) -> str:
    return _json(text)


def _plain(value: object) -> object:
    kind = type(value)
    if kind is str or kind is int or kind is bool:
        return value
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, (str, bool, int)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, float):
        return float(value) + 0.0  # -0.0 is 0.0
    if isinstance(value, (datetime, np.datetime64)):
        return _instant_text(pd.Timestamp(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (pd.Timedelta, np.timedelta64)):
        return int(pd.Timedelta(value).as_unit("ns").value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, (pd.DataFrame, pd.Series, pd.Index, np.ndarray)):
        return _table_hash(value)
    if isinstance(value, Mapping):
        stray = next((key for key in value if not isinstance(key, str)), None)
        if stray is not None:
            raise DataError(f"content: key {stray!r} of a mapping is no text; name it by text")
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in _stated(type(value))}
    raise DataError(f"content: {type(value).__name__} is neither plain nor a table; give numbers, text or frames")


@cache
def _in_order(kind: type) -> tuple[str, ...]:
    return tuple(sorted(_stated(kind)))


@cache
def _stated(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass that it is made of."""
    return tuple(item.name for item in dataclasses.fields(kind) if item.init)


@lru_cache(maxsize=4096)
def _instant_text(stamp: pd.Timestamp) -> str:
    if stamp.tzinfo is None:
        return stamp.as_unit("ns").isoformat(timespec="nanoseconds")
    return stamp.as_unit("ns").tz_convert("UTC").tz_localize(None).isoformat(timespec="nanoseconds") + "Z"


def _table_hash(table: pd.DataFrame | pd.Series | pd.Index | np.ndarray, labels: list[_Part] | None = None) -> str:
    """sha256 of a header (shape, names, and kind and length of every part), then the values of axes and columns.

    labels   of the columns, where they are known
    """
    if isinstance(table, np.ndarray):
        kind, body = _column_bytes(table.ravel())
        return hashlib.sha256(f"array:{table.shape}:{kind};".encode() + body).hexdigest()
    if isinstance(table, pd.Index):
        table = pd.Series(np.arange(len(table)), index=table)
    if isinstance(table, pd.Series):
        table = table.to_frame()
    axes = (table.index, table.columns)
    labels = _labels_of(table.index) + (_labels_of(table.columns) if labels is None else labels)
    if all(
        isinstance(dtype, np.dtype) and dtype.kind == "f" for dtype in set(table.dtypes.to_numpy())
    ):  # the same bytes
        columns = [_column_bytes(table.to_numpy().T.ravel())]
        kinds = [columns[0][0]] * table.shape[1]
    else:
        columns = _columns_of(table)
        kinds = [kind for kind, _ in columns]
    names = [[None if name is None else str(name) for name in axis.names] for axis in axes]
    header = _json([list(table.shape), names, [kind for kind, _ in labels], kinds])
    return hashlib.sha256(b"".join([header.encode(), *(body for _, body in labels + columns)])).hexdigest()


def _labels_of(axis: pd.Index) -> list[_Part]:
    """The labels of each level; of values that an axis shares with one before, which never change, as they were."""
    if axis.nlevels > 1:
        return [_column_bytes(axis.get_level_values(level)) for level in range(axis.nlevels)]
    values = axis._values
    known = _LABELS.get(id(values))
    if known is None or known[0]() is not values:
        known = _LABELS[id(values)] = weakref.ref(values, _forgotten(id(values))), [_column_bytes(axis)]
    return known[1]


_LABELS: dict[int, tuple[weakref.ref, list[_Part]]] = {}


def _forgotten(key: int) -> Callable[[weakref.ref], object]:
    return lambda gone: _LABELS.pop(key, None) if _LABELS.get(key, (None,))[0] is gone else None


def _columns_of(table: pd.DataFrame) -> list[_Part]:
    """Each column's values; those of floats are taken out at once."""
    floats = [isinstance(dtype, np.dtype) and dtype.kind == "f" for dtype in table.dtypes.to_numpy()]
    numbers = iter(table.iloc[:, np.flatnonzero(floats)].to_numpy().T)
    return [
        _number_bytes(next(numbers)) if is_float else _column_bytes(table.iloc[:, position])
        for position, is_float in enumerate(floats)
    ]


def _column_bytes(values: pd.Series | pd.Index | np.ndarray) -> _Part:
    """The kind of a column and its values as bytes: little-endian numbers, or text with the length of each field."""
    column = values if isinstance(values, pd.Series) else pd.Series(values)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    zoned = isinstance(column.dtype, pd.DatetimeTZDtype)
    if zoned:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if column.dtype.kind in "mM":
        kind = "span" if column.dtype.kind == "m" else "instant" if zoned else "time"
        return kind, column.to_numpy().astype(f"{column.dtype.kind}8[ns]").astype("<i8").tobytes()
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
        return _number_bytes(column.to_numpy())
    cells = [None if gone else cell for cell, gone in zip(column.to_numpy(dtype=object), column.isna(), strict=True)]
    if all(cell is None or isinstance(cell, str) for cell in cells):
        return "text", _text_bytes(cells)
    return "mixed", _text_bytes([canonical_text(cell) for cell in cells])


def _number_bytes(values: np.ndarray) -> tuple[str, bytes]:
    if values.dtype.kind == "b":
        return "flag", values.astype("u1").tobytes()
    if values.dtype.kind != "f":
        return "whole", values.astype("<i8").tobytes()
    exact = values.astype("<f8") + 0.0
    exact[np.isnan(exact)] = np.nan
    return "number", exact.tobytes()


def _text_bytes(fields: list[str | None]) -> bytes:
    encoded = [None if field is None else field.encode() for field in fields]
    lengths = np.array([-1 if field is None else len(field) for field in encoded], dtype="<i8")
    return lengths.tobytes() + b"".join(field for field in encoded if field is not None)
