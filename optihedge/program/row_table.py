"""A Program's rows as they are multiplied: dense where they are few and short, and only where there are entries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array

_DENSE = 50_000  # entries up to which a whole matrix is quicker than the calls of a sparse one


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Weights of |quantity| or |trade|: the rows that have some, and these rows."""

    at: Array  # integers
    weights: Array | sp.csr_array

    @classmethod
    def of(cls, matrix: sp.csr_array, small: bool) -> _Sizes | None:
        """None where there are none."""
        if not matrix.nnz:
            return None
        at = np.flatnonzero(np.diff(matrix.indptr))
        if small:
            return cls(at, matrix.toarray()[at])
        return cls(at, matrix if len(at) == matrix.shape[0] else matrix[at])

    def add(self, to: Array, size: Array) -> None:
        to[self.at] += self.weights @ size

    def transposed(self, m: Array) -> Array:
        return transposed(self.weights, m[self.at])


@dataclass(frozen=True, eq=False)
class RowTable:
    """A h + P |h| + W |h - h0| of m rows and n columns; all values in the rows' desk units."""

    plain: Array | sp.csr_array
    on_holdings: _Sizes | None
    on_trades: _Sizes | None
    lot: Array  # n, contracts

    @property
    def dense(self) -> bool:
        """Whether the matrices are arrays."""
        return isinstance(self.plain, np.ndarray)

    @classmethod
    def of(cls, rows: sp.csr_array, on_holdings: sp.csr_array, on_trades: sp.csr_array, lot: Array) -> RowTable:
        """Of the three matrices, m x n each."""
        small = rows.shape[0] * rows.shape[1] <= _DENSE
        plain = rows.toarray() if small else rows
        return cls(plain, _Sizes.of(on_holdings, small), _Sizes.of(on_trades, small), lot)

    def values(self, h: Array, trade: Array) -> Array:
        """Each row's value at quantities h after these trades."""
        return self._summed(self.plain @ h, h, trade)

    def sizes(self, h: Array, trade: Array) -> Array:
        """Sum of |entry x quantity| of each row."""
        return self._summed(self._absolute @ np.abs(h), h, trade)

    def slopes(self, m: Array) -> Array:
        """What multipliers m add to each column's slope, its sizes apart: A'm, n."""
        return transposed(self.plain, m)

    def size_slopes(self, m: Array) -> tuple[Array, Array]:
        """What they charge for each column's |trade| and |quantity|: W'm and P'm, n each."""
        none = np.zeros(self.plain.shape[1])
        traded, held = self.on_trades, self.on_holdings
        return none if traded is None else traded.transposed(m), none if held is None else held.transposed(m)

    def reach(self, kinks: Array, start: Array) -> tuple[Array, Array]:
        """The least and largest value of each row, where quantities may be any of `kinks` (some x n). Of dense rows."""
        plain, at = np.asarray(self.plain), [s.at for s in (self.on_holdings, self.on_trades) if s]
        lower, upper = kinks.min(axis=0), kinks.max(axis=0)
        rising = np.maximum(plain, 0.0)
        falling = plain - rising
        low, high = rising @ lower + falling @ upper, rising @ upper + falling @ lower
        if at:
            sized = np.unique(np.concatenate(at))
            terms = plain[sized] * kinks[:, None]
            for sizes, size in ((self.on_holdings, np.abs(kinks)), (self.on_trades, np.abs(kinks - start))):
                if sizes is not None:
                    terms[:, np.searchsorted(sized, sizes.at)] += np.asarray(sizes.weights) * size[:, None]
            low[sized], high[sized] = terms.min(axis=0).sum(axis=1), terms.max(axis=0).sum(axis=1)
        return low, high

    @cached_property
    def counted(self) -> tuple[Array, Array, Array]:
        """Rows that count |quantity| or |trade| (integers), and what they count of each, dense."""
        parts = self.on_holdings, self.on_trades
        at = [part.at for part in parts if part]
        sized = np.unique(np.concatenate(at)) if at else np.zeros(0, dtype=int)
        weights = np.zeros((2, len(sized), self.plain.shape[1]))
        for of_kind, part in zip(weights, parts, strict=True):
            if part:
                some = part.weights
                of_kind[np.searchsorted(sized, part.at)] = some if isinstance(some, np.ndarray) else some.toarray()
        return sized, weights[0], weights[1]

    @cached_property
    def finest(self) -> Array:
        """The least of |entry| x lot among each row's entries; 0 where it has none of a column with a lot."""
        finest = np.full(self.plain.shape[0], np.inf)
        every = np.arange(len(finest))
        for at, matrix in ((every, self.plain), *((s.at, s.weights) for s in (self.on_holdings, self.on_trades) if s)):
            finest[at] = np.minimum(finest[at], _least(matrix, self.lot))
        return np.where(np.isfinite(finest), finest, 0.0)

    @cached_property
    def _absolute(self) -> Array | sp.csr_array:
        return abs(self.plain)

    def _summed(self, total: Array, h: Array, trade: Array) -> Array:
        if self.on_holdings is not None:
            self.on_holdings.add(total, np.abs(h))
        if self.on_trades is not None:
            self.on_trades.add(total, np.abs(trade))
        return total


def _least(matrix: Array | sp.csr_array, lot: Array) -> Array:
    """The least positive |entry| x lot of each row; inf where there is none."""
    if isinstance(matrix, np.ndarray):
        each = np.abs(matrix) * lot
        return np.where(each > 0, each, np.inf).min(axis=1, initial=np.inf)
    least, filled = np.full(matrix.shape[0], np.inf), np.flatnonzero(np.diff(matrix.indptr))
    if len(filled):
        each = np.abs(matrix.data) * lot[matrix.indices]
        each[each == 0] = np.inf
        least[filled] = np.minimum.reduceat(each, matrix.indptr[filled])
    return least


def transposed(matrix: Array | sp.csr_array, m: Array) -> Array:
    """matrix' m without building the transpose."""
    if isinstance(matrix, np.ndarray):
        return m @ matrix
    if not matrix.nnz:
        return np.zeros(matrix.shape[1])
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.bincount(matrix.indices, matrix.data * m[row], matrix.shape[1])
