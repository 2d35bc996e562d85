"""Tables that cannot be changed: what a frozen value hands out reads like any pandas table and refuses to be written.

What is made of one (a selection, a sum, a copy) is a plain table of its own: changing that changes nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from functools import cache, cached_property
from typing import Any, NoReturn, TypeVar

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.content import content_hash
from optihedge.errors import DataError

_INDEXERS = ("loc", "iloc", "at", "iat")
_WRITERS = ("__setitem__", "__delitem__", "insert", "isetitem", "update", "pop", "_update_inplace", "_inplace_method",
            "_set_value")  # fmt: skip
_TOLD = ("attrs", "flags")  # what pandas itself keeps beside the values


class Shared(dict[Any, Any]):
    """A mapping beside a table's values (in its `attrs`) that what is made of the table shares; it is not changed."""

    def __deepcopy__(self, memo: object) -> Shared:
        return self


def _refuse(*_: object, **__: object) -> NoReturn:
    raise DataError("this table belongs to a frozen value and is read-only; change a copy (table.copy(), "
                    "table.assign(...)) and make a new value with it: replace(market, quotes=...)")  # fmt: skip


@cache
def _reading(kind: type) -> type:
    """The same indexer, which reads only."""
    return type(kind.__name__, (kind,), {"__setitem__": _refuse})


class _ReadOnly:
    """What makes a pandas class read-only: every door through which pandas writes refuses."""

    def __setattr__(self, name: str, value: object) -> None:
        if name[0] != "_" and name not in _TOLD:
            _refuse()
        super().__setattr__(name, value)


def _indexer(name: str) -> property:
    def read(self: Any) -> Any:
        found = getattr(super(_ReadOnly, self), name)
        return _reading(type(found))(found.name, found.obj)  # type: ignore[arg-type]

    return property(read)


for _name in _INDEXERS:
    setattr(_ReadOnly, _name, _indexer(_name))
for _name in _WRITERS:
    setattr(_ReadOnly, _name, _refuse)


class ReadOnlyFrame(_ReadOnly, pd.DataFrame):
    """A DataFrame that refuses to be changed."""

    _constructor = pd.DataFrame
    _constructor_sliced = pd.Series

    def _constructor_from_mgr(self, mgr: Any, axes: Any) -> pd.DataFrame:
        return pd.DataFrame._from_mgr(mgr, axes)

    def _constructor_sliced_from_mgr(self, mgr: Any, axes: Any) -> pd.Series:
        made = pd.Series._from_mgr(mgr, axes)
        made._name = None  # told by who asked
        return made


class ReadOnlySeries(_ReadOnly, pd.Series):
    """A Series that refuses to be changed."""

    _constructor = pd.Series
    _constructor_expanddim = pd.DataFrame

    def _constructor_from_mgr(self, mgr: Any, axes: Any) -> pd.Series:
        made = pd.Series._from_mgr(mgr, axes)
        made._name = None
        return made


Value = TypeVar("Value")


def read_only_property(method: Callable[[Any], Value]) -> cached_property[Value]:
    """A property worked out once, and read-only."""

    def once(self: Any) -> Value:
        return read_only(method(self))

    once.__doc__ = method.__doc__
    return cached_property(once)


def read_only(value: Value) -> Value:
    """A read-only copy of a table; an array, a sparse matrix or a value that consists of them, from now on read-only.

    A class that says `seals_itself` has done so when it was made.

    >>> read_only(pd.DataFrame({"a": [1.0]})).loc[0, "a"]
    np.float64(1.0)
    """
    return _sealed(value)


def read_only_view(table: pd.DataFrame) -> pd.DataFrame:
    """A part of a read-only table as a read-only table of its own, without a copy of its values."""
    table.__class__ = ReadOnlyFrame
    return table


def read_only_series(values: np.ndarray, index: pd.Index, name: str) -> pd.Series:
    """A read-only array as a read-only Series, without a copy of its values."""
    made = pd.Series(values, index, name=name, copy=False)
    made.__class__ = ReadOnlySeries
    return made


def content_of(table: pd.DataFrame | pd.Series) -> str:
    """The `content_hash` of a table; of a read-only one worked out once."""
    known: str | None = table.__dict__.get("_content") if isinstance(table, _ReadOnly) else None
    if known is None:
        known = content_hash(table)
        if isinstance(table, _ReadOnly):
            object.__setattr__(table, "_content", known)
    return known


def kept(table: pd.DataFrame, what: str, make: Callable[[], Value], *of: object) -> Value:
    """What `make` makes of a table and of these other values, worked out once while a read-only table lives.

    Whoever shares the table shares it. what   names it;  of   further values it depends on, compared by identity
    """
    if any(isinstance(one, pd.DataFrame) and not isinstance(one, _ReadOnly) for one in (table, *of)):
        return make()
    known = table.__dict__.get("_kept")
    if known is None:
        object.__setattr__(table, "_kept", known := {})
    found = known.get(what)
    if found is None or not all(one is other for one, other in zip(found[0], of, strict=True)):
        known[what] = found = of, make()
    return found[1]


def keep(table: pd.DataFrame, what: str, value: object, *of: object) -> None:
    """Tell a read-only table what `kept` would work out of it and of these other values."""
    known = table.__dict__.get("_kept")
    if known is None:
        object.__setattr__(table, "_kept", known := {})
    known[what] = of, value


def column_of(table: pd.DataFrame, column: str) -> Any:
    """The values of a column as the table holds them, without a Series around them."""
    return table._mgr.iget_values(table.columns.get_loc(column))


def numbers(table: pd.DataFrame, column: str) -> np.ndarray:
    """A column of numbers as a read-only array; of a read-only table the same one whenever it is asked."""
    return kept(table, f"numbers {column}", lambda: read_only(np.array(column_of(table, column), dtype=float)))


def coded(table: pd.DataFrame, column: str) -> tuple[np.ndarray, tuple[object, ...]]:
    """Which of a column's different values each row has (-1: none), and these in order of appearance; `kept`."""

    def found() -> tuple[np.ndarray, tuple[object, ...]]:
        codes, values = pd.factorize(column_of(table, column))
        return read_only(codes), tuple(values)

    return kept(table, f"codes {column}", found)


def texts(table: pd.DataFrame, column: str) -> np.ndarray:
    """A column of texts as Python's strings, by its codes; empty where there is none."""
    codes, values = coded(table, column)
    return np.array([*values, ""], dtype=object)[codes]


def told(table: pd.DataFrame, column: str, value: object) -> np.ndarray:
    """Rows whose column says this value, booleans."""
    codes, values = coded(table, column)
    return codes == values.index(value) if value in values else np.zeros(len(table), dtype=bool)


def instants(table: pd.DataFrame, column: str) -> np.ndarray:
    """A column of instants as read-only datetime64[ns] in UTC, NaT where there is none; `kept`."""
    return kept(table, f"instants {column}", lambda: read_only(np.array(table[column].to_numpy("datetime64[ns]"))))


def read_only_like(table: pd.DataFrame, names: tuple[str, ...], values: np.ndarray, time: pd.Timestamp) -> pd.DataFrame:
    """A read-only table of the labels of another, of float columns (these values by name, in their order there) and
    instants (all this one): without a look at any of it.
    """
    blocks, told = [], {f"numbers {name}": ((), row) for name, row in zip(names, read_only(values), strict=True)}
    for block in table._mgr.blocks:
        inside = block.values
        if isinstance(inside, np.ndarray):
            block = block.make_block_same_class(values, placement=block.mgr_locs)
        else:
            when = read_only(np.full(inside.shape, time.asm8))
            at = zip(table.columns[block.mgr_locs.as_array], np.atleast_2d(when), strict=True)
            told |= {f"instants {name}": ((), row) for name, row in at}
            block = block.make_block_same_class(inside._simple_new(when, inside.dtype), placement=block.mgr_locs)
        blocks.append(block)
    manager = type(table._mgr)(tuple(blocks), table._mgr.axes, verify_integrity=False)
    made = ReadOnlyFrame._from_mgr(manager, manager.axes)
    object.__setattr__(made, "_kept", told)
    return made


def _sealed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    elif isinstance(value, (pd.DataFrame, pd.Series)):
        return value if isinstance(value, _ReadOnly) else _of_table(value)
    elif isinstance(value, tuple):
        return tuple(_sealed(part) for part in value)
    elif sp.issparse(value):
        for part in (value.data, value.indices, value.indptr):
            part.setflags(write=False)
    elif is_dataclass(value):
        for part in vars(value).values():
            if isinstance(part, np.ndarray):
                part.setflags(write=False)
            elif sp.issparse(part) or (is_dataclass(part) and not getattr(part, "seals_itself", False)):
                _sealed(part)
    return value


def _of_table(table: Any) -> Any:
    made = table.copy()
    for block in made._mgr.blocks:  # what `.array` hands out
        held = getattr(block.values, "_ndarray", block.values)
        if isinstance(held, np.ndarray):
            held.setflags(write=False)
        else:
            held._readonly = True
    made.__class__ = ReadOnlyFrame if isinstance(made, pd.DataFrame) else ReadOnlySeries
    return made
