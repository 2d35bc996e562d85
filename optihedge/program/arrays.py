"""Arrays at the door of a frozen value: copied, read-only, of the right shape, without NaN; and tall ones shortened."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from optihedge.errors import SpecError

Array = np.ndarray

_TALL = 1.1  # rows a column that are left as they are


def vector(name: str, value: Array | None, length: int, default: float) -> Array:
    """A read-only copy of that length; `default` everywhere where None. Raises SpecError."""
    out = np.full(length, default) if value is None else np.array(value, dtype=float)
    if out.shape != (length,):
        raise SpecError(f"Program.{name} has shape {out.shape}; it needs {length} entries")
    if np.isnan(out).any():
        at = np.flatnonzero(np.isnan(out))[0]
        raise SpecError(f"Program.{name}[{at}] is NaN; a bound or cost must be a number")
    return frozen(out)


def dense(name: str, value: Array | None, n: int) -> Array:
    """A read-only copy with n columns, finite. Raises SpecError."""
    matrix = np.zeros((0, n)) if value is None else np.array(value, dtype=float, ndmin=2)
    if matrix.shape[1] != n or not np.isfinite(matrix).all():
        raise SpecError(f"Program.{name} is {matrix.shape} for {n} columns, or not finite")
    return frozen(matrix)


def sparse(name: str, value: sp.sparray | Array | None, m: int | None, n: int) -> sp.csr_array:
    """A read-only copy of m rows (None: any) and n columns, finite. Raises SpecError."""
    matrix = sp.csr_array((m or 0, n)) if value is None else sp.csr_array(value, dtype=float)
    if matrix.shape != (matrix.shape[0] if m is None else m, n) or not np.isfinite(matrix.data).all():
        raise SpecError(f"Program.{name} is {matrix.shape}, expected {m if m is not None else 'any'} x {n} and finite")
    if any(part.flags.writeable for part in (matrix.data, matrix.indices, matrix.indptr)):
        matrix = matrix.copy()
        matrix.sum_duplicates()
        for part in (matrix.data, matrix.indices, matrix.indptr):
            frozen(part)
    return matrix


_NOTHING = sp.csr_array((0, 0))
_NO_COLUMNS = sp.csc_matrix((0, 0))


def compressed(data: Array, indices: Array, indptr: Array, shape: tuple[int, int]) -> sp.csr_array:
    """A read-only matrix of its compressed rows, columns ascending and once in each: nothing is looked at or copied."""
    made = object.__new__(sp.csr_array)
    parts = {"data": frozen(data), "indices": frozen(indices.astype(np.int32, copy=False)),
             "indptr": frozen(indptr.astype(np.int32, copy=False))}  # fmt: skip
    made.__dict__.update(_NOTHING.__dict__, _shape=shape, **parts)
    return made


def over_columns(matrix: sp.csr_array, to: Array) -> sp.csr_array:
    """A compressed matrix over some of its columns, in their order: `to` is the place of each, -1 for one left out."""
    at = to[matrix.indices]
    kept = at >= 0
    indptr = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return compressed(matrix.data[kept], at[kept], indptr, (matrix.shape[0], int(to.max(initial=-1)) + 1))


def by_column(data: Array, indices: Array, indptr: Array, height: int) -> sp.csc_matrix:
    """The matrix of its compressed columns, as solvers read it: nothing is looked at or copied."""
    made = object.__new__(sp.csc_matrix)
    parts = {"data": data, "indices": indices.astype(np.int32, copy=False), "indptr": indptr}
    made.__dict__.update(_NO_COLUMNS.__dict__, _shape=(height, len(indptr) - 1), **parts)
    return made


def one_row(values: Array) -> sp.csr_array:
    """The 1 x n matrix of these values, zeros left out."""
    at = np.flatnonzero(values)
    return compressed(values[at], at, np.array([0, len(at)]), (1, len(values)))


def times(factor: float, matrix: sp.csr_array) -> sp.csr_array:
    """A compressed matrix times a number."""
    return compressed(factor * matrix.data, matrix.indices, matrix.indptr, matrix.shape)


def stacked(above: sp.csr_array, below: sp.csr_array) -> sp.csr_array:
    """Two compressed matrices of the same columns, one above the other."""
    indptr = np.concatenate([above.indptr, below.indptr[1:] + above.indptr[-1]])
    data, indices = (np.concatenate(both) for both in ((above.data, below.data), (above.indices, below.indices)))
    return compressed(data, indices, indptr, (above.shape[0] + below.shape[0], above.shape[1]))


def frozen(array: Array) -> Array:
    """The same array, from now on read-only."""
    array.setflags(write=False)
    return array


def fewest_rows(rows: Array, offset: Array) -> tuple[Array, Array]:
    """Rows and offset (k x n, k) of the same |rows h + offset|^2, few more than n at most: tall ones by their triangle,
    which costs more than it saves where rows are hardly more.
    """
    if len(rows) <= max(rows.shape[1] + 1, _TALL * rows.shape[1]):
        return rows, offset
    triangle = np.asarray(np.linalg.qr(np.column_stack([rows, offset]), mode="r"))
    return triangle[:, :-1], triangle[:, -1]
