"""Exponentially weighted risk, with a memory of its own for volatilities and one for correlations."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.readonly import read_only
from optihedge.risk.completed import completed
from optihedge.risk.estimator import Moves, OnlineRiskEstimator, periods_per_year, require_history
from optihedge.risk.root import Risk

_TALL = 2  # rows a driver


class EwmaRisk(OnlineRiskEstimator):
    """Exponentially weighted covariance about zero; with two half-lives, the iterated EWMA.

    halflife               periods after which a squared move counts half in the volatilities
    correlation_halflife   the same for the correlations, taken from moves divided by their running volatility and
                           clipped (Barratt and Boyd 2023; Engle's DCC with fixed weights); None: plain EWMA
    clip                   bound on those standardised moves, in standard deviations
    min_periods            observed moves a driver needs

    plain:      C = sum_t w_t x_t x_t' / sum_t w_t,  w_t = 2^(-age / halflife)
    iterated:   C = V R V,  R the EWMA of z_t z_t' scaled to a unit diagonal,  z_t = x_t / v_t,  v_t known at t

    NaN is a move not observed. What lies before a driver's first move is told by the drivers listed earlier (Stambaugh
    1997; `risk/completed.py`), so that histories of unequal length make one sample; an iterated EWMA keeps the driver's
    own volatility. Gaps: weights are counted per driver and per pair, decay over calendar rows (as pandas'
    `ewm(ignore_na=False)`), and the pairwise correlations are repaired to be positive semidefinite.
    `partial_fit` on new rows equals `fit` on all of them. Learns `risk_` and `volatility_` (D).

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> risk = oh.EwmaRisk(63).fit(moves).risk_
    >>> bool(abs(risk.volatility()["A"] / 0.0112 - 1) < 0.2)
    True
    """

    _accepts_missing = True

    def __init__(
        self,
        halflife: float = 63.0,
        correlation_halflife: float | None = None,
        clip: float = 4.2,
        min_periods: int = 10,
    ) -> None:
        self.halflife = halflife
        self.correlation_halflife = correlation_halflife
        self.clip = clip
        self.min_periods = min_periods

    def _update(self, moves: Moves, *, fresh: bool) -> Self:
        for name, value in (("halflife", self.halflife), ("correlation_halflife", self.correlation_halflife)):
            if value is not None and not value > 0:
                raise SpecError(f"EwmaRisk: {name} is {value}; give a positive number of periods")
        values, drivers = self._read(moves, reset=fresh, minimum=2 if fresh else 1)
        dimension = len(drivers)
        if fresh:
            self._squares, self._weights = np.zeros(dimension), np.zeros(dimension)
            self._rows, self._total = np.zeros((0, dimension)), 0.0
            self._products: np.ndarray | None = None
            self._pairs: np.ndarray | None = None
            self._late: np.ndarray | None = None if np.isfinite(values[0]).all() else np.zeros((0, dimension))
            self._observed = np.zeros(dimension, dtype=int)
        squares, weights = self._squares, self._weights
        observed = self._observed + np.isfinite(values).sum(axis=0)
        require_history(observed, drivers, self.min_periods)
        standardised = values
        if self.correlation_halflife is None:
            squares, weights = decayed_totals(values, self.halflife, squares, weights)
        else:
            squares, weights, path = decayed_sums(values, self.halflife, squares, weights)
            with np.errstate(invalid="ignore", divide="ignore"):
                standardised = np.clip(np.where(path > 0, values / path, 0.0 * values), -self.clip, self.clip)
        self._squares, self._weights, self._observed = squares, weights, observed
        size, periods = np.sqrt(squares / weights), periods_per_year(moves)
        if self._late is not None:
            self._late = np.vstack([self._late, standardised])
            self.risk_ = self._of_late(self._late, size, drivers, periods)
            self.volatility_ = self.risk_.volatility()
            return self
        self._add(standardised)
        self.volatility_ = pd.Series(size, index=drivers, name="volatility")
        if self._products is None or self._pairs is None:  # rows are the root
            if self.correlation_halflife is not None:  # plain, they weigh what their squares weigh
                squares = decayed_totals(self._rows, np.inf, *np.zeros((2, dimension)))[0]
            length = np.sqrt(squares)
            root = self._rows * (size / np.where(length > 0, length, 1.0))
            self.risk_ = Risk(read_only(root), np.zeros(dimension), drivers, periods)
            return self
        pairs = self._pairs
        covariance = np.divide(self._products, pairs, out=np.zeros_like(pairs), where=pairs > 0)
        covariance = _from_correlation(_correlation(covariance, pairs), size)
        self.risk_ = Risk.from_covariance(pd.DataFrame(covariance, index=drivers, columns=drivers), periods)
        return self

    @property
    def _memory(self) -> float:
        """Half-life of the products."""
        return self.halflife if self.correlation_halflife is None else self.correlation_halflife

    def _of_late(self, moves: np.ndarray, size: np.ndarray, drivers: pd.Index, periods: float) -> Risk:
        """Of all rows (T x D, standardised ones of an iterated EWMA) where some driver is listed late.

        size  D, deviations of the drivers' own moves; a plain EWMA takes late ones' from their completed rows.
        """
        plain = self.correlation_halflife is None
        weights = 0.5 ** (np.arange(len(moves))[::-1] / self._memory)
        filled, left, late = completed(moves, weights)
        seen, total = np.isfinite(filled), weights.sum()
        rows = np.sqrt(weights / total)[:, None] * np.where(seen, filled, 0.0)
        if seen.all() and len(moves) + len(late) < _TALL * len(drivers):
            # rows are the root, and what was left open has one of its own
            values, axes = np.linalg.eigh(left / total)
            root = np.vstack([rows, np.zeros((len(late), len(drivers)))])
            root[len(rows) :, late] = np.sqrt(np.clip(values, 0.0, None))[:, None] * axes.T
            length = np.sqrt(np.vecdot(root.T, root.T))
            size[late] = length[late] if plain else size[late]
            root *= size / np.where(length > 0, length, 1.0)
            return Risk(read_only(root), np.zeros(len(drivers)), drivers, periods)
        pairs = seen.T @ (weights[:, None] * seen)
        covariance = np.divide(total * (rows.T @ rows), pairs, out=np.zeros_like(pairs), where=pairs > 0)
        covariance[np.ix_(late, late)] += left / total
        size[late] = np.sqrt(np.diag(covariance))[late] if plain else size[late]
        told = _from_correlation(_correlation(covariance, pairs), size)
        return Risk.from_covariance(pd.DataFrame(told, index=drivers, columns=drivers), periods)

    def _add(self, moves: np.ndarray) -> None:
        """Keep the weighted rows while they are fewer than _TALL times the drivers and none is missing; then their
        products, which take an eigenvalue decomposition."""
        age = np.arange(len(moves))[::-1, None]
        weight, forget = 0.5 ** (age / self._memory), 0.5 ** (len(moves) / self._memory)
        if self._products is None or self._pairs is None:
            if np.isfinite(moves).all() and len(self._rows) + len(moves) < _TALL * moves.shape[1]:
                new = np.sqrt(weight) * moves
                self._rows = np.vstack([np.sqrt(forget) * self._rows, new]) if len(self._rows) else new
                self._total = forget * self._total + float(weight.sum())
                return
            self._products = self._rows.T @ self._rows
            self._pairs = np.full((moves.shape[1], moves.shape[1]), self._total)
        seen = np.isfinite(moves).astype(float)
        filled = np.where(seen > 0, moves, 0.0)
        self._products = forget * self._products + filled.T @ (weight * filled)
        self._pairs = forget * self._pairs + seen.T @ (weight * seen)


def decayed_totals(
    moves: np.ndarray, halflife: float, squares: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first two of `decayed_sums`, without the path; each driver's are the same beside any others, to the bit."""
    forget, weight = 0.5 ** (len(moves) / halflife), 0.5 ** (np.arange(len(moves))[::-1] / halflife)
    by_driver = np.multiply(moves.T, np.sqrt(weight), order="C")
    seen = np.isfinite(by_driver)
    if seen.all():
        return forget * squares + np.vecdot(by_driver, by_driver), forget * weights + weight.sum()
    by_driver = np.where(seen, by_driver, 0.0)
    return forget * squares + np.vecdot(by_driver, by_driver), forget * weights + np.vecdot(weight * seen, 1.0 * seen)


def decayed_sums(
    moves: np.ndarray, halflife: float, squares: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decayed sums of squares and of weights (D) after the rows, and the volatility known at each row (T x D)."""
    decay = 0.5 ** (1 / halflife)
    seen = np.isfinite(moves).astype(float)
    filled = np.where(seen > 0, moves, 0.0) ** 2
    square_path, weight_path = decayed(filled, decay, squares), decayed(seen, decay, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        return square_path[-1], weight_path[-1], np.sqrt(square_path / weight_path)


def decayed(values: np.ndarray, decay: float, start: np.ndarray) -> np.ndarray:
    """Running sums (T x D) of rows, each earlier one counted `decay` times for every row since; `start` before them."""
    path, before = np.empty_like(values), start
    for row, total in zip(values, path, strict=True):
        before = np.add(row, decay * before, out=total)
    return path


def _correlation(covariance: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Correlations from covariances (D x D) of decayed pair weights; repaired where these differ."""
    variance = np.diag(covariance)
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))  # a driver that never moved correlates with nothing
    correlation = covariance / np.outer(scale, scale)
    if not np.allclose(pairs, pairs[0, 0], rtol=1e-12):
        correlation = repaired_correlation(correlation)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def repaired_correlation(correlation: np.ndarray) -> np.ndarray:
    """The correlation matrix with negative eigenvalues cut to zero and the diagonal brought back to one."""
    correlation = np.clip(correlation, -1.0, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    if values[0] >= 0:
        return correlation
    cut = (vectors * np.clip(values, 0.0, None)) @ vectors.T
    scale = np.sqrt(np.diag(cut))
    return cut / np.outer(scale, scale)


def _from_correlation(correlation: np.ndarray, volatility: np.ndarray) -> np.ndarray:
    return correlation * np.outer(volatility, volatility)
