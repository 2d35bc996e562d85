"""A Program as one .npz file of plain arrays, nothing pickled: for a report of a failure, or for another process."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import IO, Any

import numpy as np
import scipy.sparse as sp

from optihedge.errors import SpecError
from optihedge.program.arrays import Array
from optihedge.program.costs import Depth
from optihedge.program.program import Program
from optihedge.program.volatility import Volatility, VolatilityLimit, VolatilityPrice


def save_program(program: Program, file: str | Path | IO[bytes]) -> None:
    """Write the Program. Raises SpecError if it holds CVXPY terms, which are code.

    >>> import optihedge as oh
    >>> program = oh.Program(columns=("a", "b"), start=[0.0, 0.0], lower=[-9.0, -9.0], upper=[9.0, 9.0], buy=[1.0, 2.0],
    ...                      sell=[1.0, 2.0], row_names=("sum",), rows=[[1.0, 1.0]], row_lower=[3.0])
    >>> oh.save_program(program, "program.npz")
    >>> oh.load_program("program.npz").row_names
    ('sum',)
    """
    if program.cvxpy_terms:
        raise SpecError("a Program with CVXPY terms cannot be saved: they are code")
    np.savez_compressed(file, allow_pickle=False, **_arrays(program, ""))


def load_program(file: str | Path | IO[bytes]) -> Program:
    """Read a Program that `save_program` wrote. Raises SpecError if it is none.

    >>> import optihedge as oh
    >>> program = oh.Program(columns=("a", "b"), start=[0.0, 0.0], lower=[-9.0, -9.0], upper=[9.0, 9.0], buy=[1.0, 2.0],
    ...                      sell=[1.0, 2.0], row_names=("sum",), rows=[[1.0, 1.0]], row_lower=[3.0])
    >>> oh.save_program(program, "program.npz")
    >>> oh.load_program("program.npz").columns
    ('a', 'b')
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError) as error:
        raise SpecError(f"{file} is not a saved Program: {error}") from error
    known = {field.name for field in fields(Program)} - {"cvxpy_terms"}
    missing = {"columns", "start", "lower", "upper"} - arrays.keys()
    if missing:
        raise SpecError(f"{file} is not a saved Program: {sorted(missing)[0]} is missing")
    values = _values(arrays, "")
    columns, row_names = (tuple(map(str, values.get(key, ()))) for key in ("columns", "row_names"))
    depth = _values(arrays, "depth.")
    rest = {key: value for key, value in values.items() if key in known - {"columns", "row_names"}}
    rest["constant"] = float(rest.get("constant", 0.0))
    if depth:
        rest["depth"] = Depth(**depth)
    for kind, number in ((VolatilityLimit, "limit"), (VolatilityPrice, "price")):
        if given := _values(arrays, f"{kind.field}."):
            scalars = {"name": str(given["name"]), number: float(given[number])}
            rest[kind.field] = kind(**{**given, **scalars})
    return Program(columns=columns, row_names=row_names, **rest)


def _arrays(value: Any, prefix: str) -> dict[str, Array]:
    """The fields of a frozen value as arrays; sparse matrices and nested values under dotted names."""
    arrays: dict[str, Array] = {}
    for field in fields(value):
        one, key = getattr(value, field.name), prefix + field.name
        if one is None or field.name == "cvxpy_terms":
            continue
        if sp.issparse(one):
            matrix = sp.csr_array(one)
            arrays |= {f"{key}:data": matrix.data, f"{key}:indices": matrix.indices, f"{key}:indptr": matrix.indptr,
                       f"{key}:shape": np.array(matrix.shape)}  # fmt: skip
        elif isinstance(one, Depth | Volatility):
            arrays |= _arrays(one, f"{key}.")
        else:
            arrays[key] = np.asarray(one, dtype=str) if isinstance(one, tuple) else np.asarray(one)
    return arrays


def _values(arrays: dict[str, Array], prefix: str) -> dict[str, Any]:
    """What `_arrays` wrote under the prefix, sparse matrices put together again."""
    values: dict[str, Any] = {}
    for key, array in arrays.items():
        name, _, part = key.removeprefix(prefix).partition(":")
        if not key.startswith(prefix) or "." in name:
            continue
        if part == "data":
            pieces = (array, arrays[f"{prefix}{name}:indices"], arrays[f"{prefix}{name}:indptr"])
            values[name] = sp.csr_array(pieces, shape=tuple(arrays[f"{prefix}{name}:shape"]))
        elif not part:
            values[name] = array
    return values
