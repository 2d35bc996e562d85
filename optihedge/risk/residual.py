"""What factors leave of each driver: its variance, the drivers it still moves with, and their covariance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array

Array = np.ndarray

_BLOCK = 256  # columns of the residual correlation held at once
_FEW = 20  # drivers that always keep all of their residual correlations
_EXPLAINED = 1e-10  # unexplained shares below this are a factor itself


@dataclass(frozen=True, eq=False)
class Left:
    """Of moves without a gap: shares of each variance left (D), and covariances of what is left of unit variances."""

    shares: Array
    above: Array  # D x D, above the diagonal


@dataclass(frozen=True, eq=False)
class Residuals:
    """Moves (T x D, NaN where not observed) less factor returns (T x k) times loadings (k x D), rows weighted (T)."""

    moves: Array
    returns: Array
    loadings: Array
    weights: Array
    mass: Array  # D, of the rows each driver is seen in
    total: Array  # D, variance of the moves
    left: Left | None

    @cached_property
    def variance(self) -> Array:
        """Of the residuals, D."""
        return self._measured[1] if self.left is None else self.total * self.left.shares

    @cached_property
    def _measured(self) -> tuple[Array, Array]:
        """The residuals over their deviation (T x D), and their variance (D)."""
        rest = self.returns @ self.loadings
        np.subtract(self.moves, rest, out=rest)
        variance = weighted_squares(rest, self.weights) / self.mass
        rest /= np.sqrt(np.where(variance > 0, variance, 1.0))
        return rest, variance

    def over_deviation(self, members: Array) -> Array:
        """The residuals of some drivers over their deviation, T x members."""
        if self.left is None:
            return self._measured[0][:, members]
        rest = self.moves[:, members] - self.returns @ self.loadings[:, members]
        return np.asarray(rest / np.sqrt(self.variance[members]))

    def look_alikes(self, threshold: float) -> Array:
        """Cluster label of each driver, see `look_alikes`."""
        if self.left is None:
            return look_alikes(self._measured[0], self.weights, threshold)
        return _joined(_told_parts(self.left), len(self.total), _least(len(self.total), self.weights, threshold))

    def cluster_roots(self, labels: Array, observations: Array) -> tuple[Array, Array]:
        """Root (rows x D) and remaining specific volatility (D) of unit residual variances, cluster by cluster."""
        alone, rows = np.ones(len(labels)), []
        for label in np.flatnonzero(np.bincount(labels) > 1):
            members = np.flatnonzero(labels == label)
            own = np.sqrt(self.weights)[:, None] * _filled(self.over_deviation(members))
            size = np.sqrt((own**2).sum(axis=0))
            own = own / np.where(size > 0, size, 1.0)
            shrinkage = len(members) ** 2 / (len(members) ** 2 + observations[members].min() ** 2)
            values, vectors = np.linalg.eigh(own.T @ own)
            keep = values > 1e-12 * values[-1]
            part = np.zeros((int(keep.sum()), len(labels)))
            part[:, members] = (vectors[:, keep] * np.sqrt((1 - shrinkage) * values[keep])).T
            rows.append(part)
            alone[members] = np.sqrt(shrinkage)
        return np.vstack(rows) if rows else np.zeros((0, len(labels))), alone


def look_alikes(residuals: Array, weights: Array, threshold: float) -> Array:
    """Cluster label of each driver: connected where standardised residuals (T x D) correlate above the threshold.

    Above 2 sqrt(log D / observations) too, which the largest of D^2 correlations of pure noise hardly reaches.
    """
    dimension = residuals.shape[1]
    return _joined(_parts(residuals, weights), dimension, _least(dimension, weights, threshold))


def _least(dimension: int, weights: Array, threshold: float) -> float:
    return float(max(threshold, 2 * np.sqrt(np.log(dimension) * (weights**2).sum())))


def _parts(residuals: Array, weights: Array) -> Iterator[tuple[int, int, Array]]:
    """Correlations of standardised residuals (T x D): first row, first column, and a part of them, once each."""
    weighted = np.empty(residuals.shape, dtype=np.float32)
    np.multiply(np.sqrt(weights)[:, None], _filled(residuals), out=weighted, casting="same_kind")
    for start in range(0, residuals.shape[1], _BLOCK):
        own = weighted[:, start : start + _BLOCK]
        yield start, start, own.T @ own
        yield start, start + _BLOCK, own.T @ weighted[:, start + _BLOCK :]


def _told_parts(left: Left) -> Iterator[tuple[int, int, Array]]:
    """The same of what is left."""
    deviation = np.sqrt(left.shares)
    for start in range(0, len(deviation), _BLOCK):
        own, later = slice(start, start + _BLOCK), slice(start + _BLOCK, None)
        yield start, start, np.triu(left.above[own, own], 1) / np.outer(deviation[own], deviation[own])
        yield start, start + _BLOCK, left.above[own, later] / np.outer(deviation[own], deviation[later])


def _joined(parts: Iterator[tuple[int, int, Array]], dimension: int, threshold: float) -> Array:
    """Cluster labels of drivers, connected where their correlations are above the threshold."""
    if dimension <= _FEW:
        return np.zeros(dimension, dtype=int)
    if threshold >= 1:
        return np.arange(dimension)
    pairs = [np.zeros((2, 0), dtype=int)]
    for start, first, close in parts:
        row, column = np.divmod(np.flatnonzero(np.abs(close, out=close) > threshold), close.shape[1] or 1)
        pairs.append(np.array([row + start, column + first]))
    row, column = np.hstack(pairs)
    row, column = row[row != column], column[row != column]
    if not len(row):
        return np.arange(dimension)
    from scipy.sparse.csgraph import connected_components  # brings all of scipy.sparse.linalg

    graph = coo_array((np.ones(len(row), dtype=bool), (row, column)), shape=(dimension, dimension))
    return np.asarray(connected_components(graph, directed=False)[1])


def shrunk_shares(shares: Array, observations: Array) -> Array:
    """Unexplained shares of variance (D), shrunk in logarithms towards their mean by empirical Bayes.

    The logarithm of a variance of n normal observations has variance 2 / n (to first order).
    """
    usable = shares > _EXPLAINED
    if usable.sum() < 3:
        return shares
    logs, noise = np.log(shares[usable]), 2 / observations[usable]
    signal = max(logs.var(ddof=1) - noise.mean(), 0.0)
    shrunk = shares.copy()
    shrunk[usable] = np.exp(logs + noise / (noise + signal) * (logs.mean() - logs))
    return shrunk


def weighted_squares(moves: Array, weights: Array) -> Array:
    filled = _filled(moves)
    return np.einsum("t,td,td->d", weights, filled, filled)


def observed_mass(seen: Array, weights: Array) -> Array:
    """Sum of the weights of the rows that each driver is seen in, D."""
    return np.full(seen.shape[1], weights.sum()) if seen.all() else weights @ seen


def _filled(moves: Array) -> Array:
    """Zero where nothing was observed; moves without a gap as they are."""
    missing = np.isnan(moves)
    return np.where(missing, 0.0, moves) if missing.any() else moves


def ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
