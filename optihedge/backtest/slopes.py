"""Least squares of one series on others, with errors that hold under autocorrelation and changing volatility."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

Array = np.ndarray
ROUNDING = 1e-12  # of a series' size: what rounding moves it by


@dataclass(frozen=True, eq=False)
class Line:
    """Least squares: slopes (m), intercept, and the standard error of each."""

    slopes: Array
    slope_errors: Array
    intercept: float
    intercept_error: float

    @property
    def slope(self) -> float:
        """The first."""
        return float(self.slopes[0])

    @property
    def slope_error(self) -> float:
        """Of the first."""
        return float(self.slope_errors[0])


def newey_west(values: Array, on: Array, lags: int | None = None) -> Line:
    """Least squares of values (T) on other series (T, or T x m), errors robust to heteroskedasticity and to
    autocorrelation over `lags` periods (default 4 (T/100)^(2/9), whole). Newey and West, Econometrica 1987.

    Series that copy each other share a slope; a slope on what does not move is NaN.
    """
    on = on[:, None] if on.ndim == 1 else on
    size, moving = len(values), np.array([not still(column) for column in on.T], dtype=bool)
    slopes, errors = np.full(on.shape[1], np.nan), np.full(on.shape[1], np.nan)
    if not moving.any():
        return Line(slopes, errors, float(np.mean(values)), np.nan)
    unit = np.abs(on[:, moving]).max(axis=0)
    design = np.column_stack([np.ones(size), on[:, moving] / unit])
    inverse = np.linalg.pinv(design.T @ design, hermitian=True)
    coefficients = inverse @ design.T @ values
    scores = design * (values - design @ coefficients)[:, None]
    meat = scores.T @ scores
    reach = int(4 * (size / 100) ** (2 / 9)) if lags is None else lags
    for lag in range(1, min(reach, size - 1) + 1):
        cross = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (reach + 1)) * (cross + cross.T)
    deviations = np.sqrt(np.maximum(np.diag(inverse @ meat @ inverse), 0.0))
    slopes[moving], errors[moving] = coefficients[1:] / unit, deviations[1:] / unit
    return Line(slopes, errors, float(coefficients[0]), float(deviations[0]))


def rolling_slopes(values: pd.DataFrame, on: pd.Series, window: int) -> pd.DataFrame:
    """The slope of each column (T x n) on a series (T) over the `window` rows up to each; NaN before there are so many,
    and where the series did not move in them.
    """
    variance = on.rolling(window).var()
    variance = variance.where(on.rolling(window).max() - on.rolling(window).min() > ROUNDING * on.abs().max())
    return values.apply(lambda column: column.rolling(window).cov(on)).div(variance, axis=0)


def still(values: Array) -> bool:
    """Whether a series moves by no more than its rounding."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())
