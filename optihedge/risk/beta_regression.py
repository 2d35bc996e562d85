"""Regressions of many columns on the same rows: slopes and the covariances of their errors."""

from __future__ import annotations

import numpy as np

from optihedge.errors import DataError

_HUBER = 1.345  # 95 % efficient for normal residuals
_MEAN_ABSOLUTE = float(np.sqrt(np.pi / 2))  # a normal deviation over its mean absolute one
_FEW = 4  # slopes from which a prior can be learned


def decay(periods: int, halflife: float) -> np.ndarray:
    """EWMA weights, periods x 1, 1 for the last row."""
    return 0.5 ** (np.arange(periods)[::-1, None] / halflife)


def _gram(design: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """X' diag(w_d) X for each of D weight columns: D x p x p."""
    size = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    return (weights.T @ products).reshape(-1, size, size)


def _scaled(design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regressors with unit root mean square, and the scale that was divided out."""
    scale = np.sqrt((design**2).mean(axis=0))
    return design / scale, scale


def weighted_regression(y: np.ndarray, design: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of each column of y (T x D) on design (T x p) with weights (T x D or T x 1; 0 leaves a row out).

    Coefficients D x p and covariances D x p x p for errors of equal variance: s^2 G^-1 (X'W^2 X) G^-1, G = X'W X,
    s^2 = sum w e^2 / (sum w - tr G^-1 X'W^2 X); with weights 0 or 1 this is ordinary least squares.
    """
    scaled, scale = _scaled(design)
    inverse = np.linalg.inv(_gram(scaled, weights))
    coefficients = np.einsum("dij,jd->di", inverse, scaled.T @ (weights * y))
    residuals = y - scaled @ coefficients.T
    squares = _gram(scaled, weights**2)
    freedom = weights.sum(axis=0) - np.einsum("dij,dji->d", inverse, squares)
    variance = (weights * residuals**2).sum(axis=0) / freedom
    covariance = variance[:, None, None] * (inverse @ squares @ inverse)
    return coefficients / scale, covariance / np.outer(scale, scale)


def anchored_regression(
    y: np.ndarray, design: np.ndarray, fast: np.ndarray, slow: np.ndarray, *, anchor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares with weights `fast`, its slopes held to those with weights `slow` by a ridge.

    minimise  sum fast e^2 / sum fast + k |slopes - slow slopes|^2,  k = anchor x mean square of the market columns.
    No intercept: the first column of design is left out, for the mean of a few weeks is noise. Shapes otherwise as in
    `weighted_regression`; the covariance is that of this linear map under the slow fit's error variance.
    """
    # columns of one size, so that one ridge suits all; its strength in money squared is the market columns' own
    scaled, scale = _scaled(design[:, 1:])
    fast, slow = fast / fast.sum(axis=0), slow / slow.sum(axis=0)
    gram, slow_inverse = _gram(scaled, fast), np.linalg.inv(_gram(scaled, slow))
    level = np.einsum("dii,i->d", gram, scale**2) / len(scale)
    ridge = anchor * level[:, None] / scale**2  # D x m, in scaled units
    inverse = np.linalg.inv(gram + ridge[:, :, None] * np.eye(len(scale)))
    pull = ridge[:, :, None] * slow_inverse
    # the slow slopes, and the fast ones pulled to them
    start = np.einsum("dij,jd->di", slow_inverse, scaled.T @ (slow * y))
    coefficients = np.einsum("dij,dj->di", inverse, (scaled.T @ (fast * y)).T + ridge * start)
    # errors of that linear map of y: both fits read the same rows, so their weights cross
    squares, crossed = _gram(scaled, slow**2), pull @ _gram(scaled, slow * fast)
    freedom = 1.0 - np.einsum("dij,dji->d", slow_inverse, squares)
    variance = (slow * (y - scaled @ start.T) ** 2).sum(axis=0) / freedom
    middle = _gram(scaled, fast**2) + crossed + crossed.transpose(0, 2, 1) + pull @ squares @ pull.transpose(0, 2, 1)
    covariance = np.zeros((y.shape[1], design.shape[1], design.shape[1]))
    covariance[:, 1:, 1:] = variance[:, None, None] * (inverse @ middle @ inverse) / np.outer(scale, scale)
    return np.insert(coefficients / scale, 0, 0.0, axis=1), covariance


def huber_regression(
    y: np.ndarray, design: np.ndarray, weights: np.ndarray, iterations: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    """Huber's M-estimate by iterated weighted least squares, scale by median absolute residual; shapes as above.

    Covariance: Huber 1981, equation 7.6.1 (the default of statsmodels' RLM). Rows with weight 0 are left out.
    """
    present = weights > 0
    count, size = present.sum(axis=0), design.shape[1]
    coefficients, _ = weighted_regression(y, design, weights)
    scaled, unit = _scaled(design)
    moving = np.arange(y.shape[1])  # the columns that have not settled
    for _ in range(iterations):
        seen, previous = present[:, moving], coefficients[moving]
        weight = seen / np.maximum(_scaled_residuals(y[:, moving], design, previous, seen)[0] / _HUBER, 1.0)
        inverse = np.linalg.inv(_gram(scaled, weight))
        coefficients[moving] = np.einsum("dij,jd->di", inverse, scaled.T @ (weight * y[:, moving])) / unit
        change = np.abs(coefficients[moving] - previous).max(axis=1)
        moving = moving[change > 1e-10 * np.abs(previous).max(axis=1)]
        if not moving.size:
            break
    size_of, scale = _scaled_residuals(y, design, coefficients, present)
    share = (present & (size_of <= _HUBER)).sum(axis=0) / count
    influence = np.minimum(size_of, _HUBER) * scale
    correction = 1 + size / count * (1 - share) / share
    variance = correction**2 * (influence**2).sum(axis=0) / (count - size) / share**2
    inverse = np.linalg.inv(_gram(scaled, present.astype(float))) / np.outer(unit, unit)
    return coefficients, variance[:, None, None] * inverse


def _scaled_residuals(
    y: np.ndarray, design: np.ndarray, coefficients: np.ndarray, present: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """|residuals| over their scale (T x D, zero where a row is left out), and the scale: median |residual| / 0.6745."""
    size = np.where(present, np.abs(y - design @ coefficients.T), np.nan)
    scale = np.array([np.median(column[~np.isnan(column)]) for column in size.T]) / 0.6744897501960817
    return np.nan_to_num(size) / np.where(scale > 0, scale, np.inf), scale


def kalman_regression(
    y: np.ndarray, design: np.ndarray, weights: np.ndarray, *, drift: float
) -> tuple[np.ndarray, np.ndarray]:
    """Filtered coefficients at the last row; slopes are random walks of `drift` per row, the intercept is fixed.

    Shapes as in `weighted_regression`. Diffuse start; the observation variance is that of the least-squares residuals.
    """
    # how noisy a row is: the residuals of least squares, never exactly none
    start, _ = weighted_regression(y, design, weights)
    present = weights > 0
    residuals = np.where(present, y - design @ start.T, 0.0)
    noise = (residuals**2).sum(axis=0) / (present.sum(axis=0) - design.shape[1])
    noise = np.maximum(noise, 1e-16 * (y**2).mean(axis=0) + 1e-300)
    # where the slopes are is unknown at first, and each row lets them drift
    size = design.shape[1]
    step = np.diag([0.0] + [drift**2] * (size - 1))
    scale = (design**2).mean(axis=0)
    state, spread = np.zeros((y.shape[1], size)), 1e8 * noise[:, None, None] * np.diag(1 / scale)
    for t in range(len(y)):
        row = design[t]
        spread = spread + step
        # the part of the surprise that is believed; a row without a move teaches nothing
        direction = spread @ row
        gain = (direction / (direction @ row + noise)[:, None]) * present[t][:, None]
        state = state + gain * (y[t] - state @ row)[:, None]
        shrink = np.eye(size) - gain[:, :, None] * row
        own = (noise[:, None] * gain)[:, :, None] * gain[:, None, :]
        spread = shrink @ spread @ shrink.transpose(0, 2, 1) + own  # Joseph's form stays positive
    return state, spread


def drawn_in(y: np.ndarray, design: np.ndarray, weights: np.ndarray, *, clip: float) -> np.ndarray:
    """y (T x D) with residuals beyond `clip` deviations moved to that distance from a first weighted fit.

    A deviation is sqrt(pi / 2) x the weighted mean |residual| of the column, that of a normal law which one wild row
    hardly moves. One step of Huber's estimate by pseudo-values (Huber 1981, 7.8), so that one row (an earnings day, a
    listing) bends no slope; rows with weight 0 stay.
    """
    slopes, _ = weighted_regression(y, design, weights)
    told = design @ slopes.T
    residuals = y - told
    most = clip * _MEAN_ABSOLUTE * (weights * np.abs(residuals)).sum(axis=0) / weights.sum(axis=0)
    return np.where(weights > 0, told + np.clip(residuals, -most, most), y)


def vasicek(slopes: np.ndarray, covariance: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior slopes (D x m) and covariances (D x m x m) under a normal prior learned from the cross-section.

    The prior's mean is the mean of the n known slopes. Its variance along each principal direction of their mean
    sampling covariance is (n - 1) / (n - 3) x theirs less that covariance's, cut at zero: the inverse of the first is
    unbiased (Efron and Morris 1975), so that few drivers are not pulled together by chance. Rows not `known` get the
    prior. One market: (b / s^2 + mean / p^2) / (1 / s^2 + 1 / p^2). With fewer than four known slopes all stay as they
    are; raises DataError where some row is not known then.
    """
    count = int(known.sum())
    if count < _FEW and known.all():
        return slopes, covariance
    if count < _FEW:
        raise DataError(f"Beta: vasicek learns its prior from the other drivers and has {count}; it needs {_FEW}")
    mean = slopes[known].mean(axis=0)
    # the spread of the slopes that their noise does not explain, a direction of the noise at a time
    noise, directions = np.linalg.eigh(covariance[known].mean(axis=0))
    along = (slopes[known] - mean) @ directions
    variance = np.clip((along**2).sum(axis=0) / (count - 3) - noise, 0, None)
    prior = (directions * variance) @ directions.T
    # each slope to the mean, by how much of what is seen is noise
    gain = covariance @ np.linalg.pinv(covariance + prior, hermitian=True)
    shrunk = slopes + np.einsum("dij,dj->di", gain, mean - slopes)
    spread = covariance - gain @ covariance
    shrunk[~known], spread[~known] = mean, prior
    return shrunk, spread
