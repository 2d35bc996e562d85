"""Non-linear shrinkage of a sample covariance, which scikit-learn and skfolio do not have."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.covariance import EmpiricalCovariance
from sklearn.utils.validation import validate_data

_WIDEST = 0.4  # bandwidth below 1 / sqrt(5), which fewer than 12 rows would pass
_FAR, _TERMS = 2 * np.sqrt(5), 24  # bandwidths from which the series is summed, to a quarter's 24th power


class AnalyticalShrinkage(EmpiricalCovariance):
    """Each eigenvalue of the sample covariance shrunk by its own amount (Ledoit and Wolf 2020, Annals of Statistics).

    A scikit-learn covariance estimator: use it as SampleRisk(AnalyticalShrinkage(), window=252). Learns `covariance_`,
    `location_` and, with `store_precision`, `precision_`. T may be smaller than D.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> oh.risk.AnalyticalShrinkage().fit(moves).covariance_.shape
    (4, 4)
    """

    def fit(self, X: np.ndarray, y: object = None) -> Self:
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        self.location_ = np.zeros(X.shape[1]) if self.assume_centered else X.mean(axis=0)
        observations = len(X) if self.assume_centered else len(X) - 1
        centred = X - self.location_
        values, axes = np.linalg.eigh(centred.T @ centred / observations)
        shrunk = shrunk_eigenvalues(values, observations)
        self._set_covariance((axes * shrunk) @ axes.T)
        return self


def shrunk_eigenvalues(values: np.ndarray, observations: int) -> np.ndarray:
    """Shrunk eigenvalues (D) of a sample covariance of so many observations, from its own in rising order.

    The density of the eigenvalues and its Hilbert transform by an Epanechnikov kernel of bandwidth n^(-1/3) times the
    eigenvalue (equations 4.7, 4.8), then the asymptotically optimal values (4.3, C.4, C.5, C.8). Directions without
    variance are left without.
    """
    dimension = len(values)
    zero = max(0, dimension - observations)
    present = values > 1e-12 * max(values[-1], 0.0)
    present[:zero] = False
    shrunk = np.zeros(dimension)
    if not present.any():
        return shrunk
    # the kernel is as wide as the eigenvalue is large
    known = values[present]
    width = min(observations ** (-1 / 3), _WIDEST)
    scale = width * known
    distance = (known[:, None] - known) / scale
    density = 3 / (4 * np.sqrt(5)) * (np.maximum(1 - distance**2 / 5, 0) / scale).mean(axis=1)
    hilbert = (hilbert_kernel(distance) / scale).mean(axis=1)
    # as many rows as names or more: each eigenvalue over the squared length of a complex number (4.3)
    if dimension <= observations:
        share = len(known) / observations
        real, imaginary = 1 - share - np.pi * share * known * hilbert, np.pi * share * known * density
        shrunk[present] = known / (real**2 + imaginary**2)
        return shrunk
    # fewer rows: what has no variance in the sample gets one level of its own, from the transform at 0 (C.4, C.8)
    root = np.sqrt(5) * width
    at_zero = 3 / (10 * width**2) + 3 / (4 * np.sqrt(5) * width) * (1 - 1 / (5 * width**2)) * np.log(
        (1 + root) / (1 - root)
    )
    at_zero *= (1 / known).mean() / np.pi
    shrunk[:zero] = 1 / (np.pi * zero / observations * at_zero)
    shrunk[present] = known / (np.pi**2 * known**2 * (density**2 + hilbert**2))
    return shrunk


def hilbert_kernel(distance: np.ndarray) -> np.ndarray:
    """Hilbert transform of the Epanechnikov kernel at each distance in bandwidths (equation 4.8).

    Far out its two terms, which grow, cancel to one that falls: there its series in a = sqrt(5) / distance,
    -3 / (sqrt(5) pi) sum of a^(2k+1) / ((2k+1) (2k+3)).
    """
    far = np.abs(distance) > _FAR
    near = np.where(far, 0.0, distance)
    edge = np.isclose(np.abs(near), np.sqrt(5), rtol=1e-14, atol=0)
    ratio = np.abs((np.sqrt(5) - near) / np.where(edge, 1.0, np.sqrt(5) + near))
    logarithm = np.log(np.where(edge | (ratio == 0), 1.0, ratio))
    closed = -3 / (10 * np.pi) * near + 3 / (4 * np.sqrt(5) * np.pi) * (1 - near**2 / 5) * logarithm
    a = np.sqrt(5) / np.where(far, distance, np.inf)
    series = np.zeros_like(a)
    for k in range(_TERMS, -1, -1):
        series = series * a**2 + 1 / ((2 * k + 1) * (2 * k + 3))
    return np.where(far, -3 / (np.sqrt(5) * np.pi) * a * series, closed)
