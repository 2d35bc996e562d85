"""Beta: slopes of drivers' moves on market drivers' moves, with the standard errors that robust neutrality needs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.errors import DataError, NotApplicable, SpecError
from optihedge.risk.estimator import MovesEstimator

_METHODS = ("ols", "ewma", "anchored", "dimson", "huber", "kalman")
_HUBER = 1.345  # 95 % efficient for normal residuals
_SINGULAR = 1e-10  # a scaled Gram matrix with a smaller eigenvalue ratio has no unique slopes


class Beta(MovesEstimator):
    """Betas of D drivers on m market drivers, jointly: move_d = a_d + sum_j beta_dj market_j + residual.

    method     "ols"; "ewma" (weights 2^(-age / halflife)); "anchored" (an EWMA fit held to a slow one by a ridge: the
               loud direction, the market, follows the last weeks, the quiet ones the last years; moves about zero, no
               a_d; hedges best out of sample); "dimson" (slopes on lags 0..lags and leads 1..leads summed, for markets
               that close at other hours); "huber"; "kalman" (betas as random walks, filtered)
    market     driver names (column numbers for an array), or a single one; None: those in moves.attrs["markets"]
    window     use the last `window` periods only; None: all
    halflife   periods, for "ewma" and "anchored"
    anchor_halflife, anchor   periods of the slow fit, and the ridge in units of the mean market variance
    drift      standard deviation of a beta's change per period, for "kalman"
    shrinkage  None; "vasicek" (towards the cross-section's mean, by the precision of each estimate);
               "blume" (1/3 + 2/3 beta; one market only)
    minimum    a driver with fewer moves than this gets the cross-section's prior under "vasicek", else is a DataError

    Learned, D x m frames: `betas_` and `standard_errors_`. A market driver is 1 to itself and 0 to the others; drivers
    whose kind (moves.attrs["kinds"]) is not "price" are 0. Missing moves are left out driver by driver.
    Sources: Dimson 1979; Huber 1981 ch. 7; Vasicek 1973 (its prior variance here net of sampling noise); Blume 1975.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> fitted = oh.Beta("ols", market="A").fit(moves.assign(B=2 * moves["A"]))
    >>> round(float(fitted.betas_.loc["B", "A"]), 6)
    2.0
    """

    _accepts_missing = True

    def __init__(
        self,
        method: str = "ols",
        *,
        market: str | int | tuple[str | int, ...] | None = None,
        window: int | None = None,
        halflife: float = 42.0,
        anchor_halflife: float = 252.0,
        anchor: float = 2.0,
        lags: int = 1,
        leads: int = 0,
        drift: float = 0.01,
        shrinkage: str | None = None,
        minimum: int = 20,
    ) -> None:
        self.method = method
        self.market = market
        self.window = window
        self.halflife = halflife
        self.anchor_halflife = anchor_halflife
        self.anchor = anchor
        self.lags = lags
        self.leads = leads
        self.drift = drift
        self.shrinkage = shrinkage
        self.minimum = minimum

    def fit(self, moves: pd.DataFrame | np.ndarray, y: None = None) -> Beta:
        """Fit to moves, T x D (DataFrame or array, NaN where missing). Raises DataError, SpecError."""
        self._check_parameters()
        attrs = getattr(moves, "attrs", {})
        values, drivers = self._read(moves, minimum=4)
        values, drivers = values[-self.window if self.window else None :], drivers.rename("driver")
        market = attrs.get("markets", ()) if self.market is None else self.market
        chosen = (market,) if isinstance(market, (str, int, np.integer)) else tuple(market)
        columns = _market_columns(drivers, chosen)
        kinds = attrs.get("kinds", {})
        own = np.array([i for i, d in enumerate(drivers) if i not in columns and kinds.get(d, "price") == "price"], int)
        slopes = np.zeros((len(drivers), len(columns)))
        covariance = np.zeros((len(drivers), len(columns), len(columns)))
        if len(own):
            design, counted = self._design(values[:, columns], drivers[columns])
            slopes[own], covariance[own] = self._estimate(values[:, own], design, counted, drivers[own])
        slopes[columns] = np.eye(len(columns))
        errors = np.sqrt(np.clip(np.diagonal(covariance, axis1=1, axis2=2), 0, None))
        labels = drivers[columns].rename("market")
        self.betas_ = pd.DataFrame(slopes, index=drivers, columns=labels)
        self.standard_errors_ = pd.DataFrame(errors, index=drivers, columns=labels)
        return self

    def _check_parameters(self) -> None:
        if self.method not in _METHODS:
            raise SpecError(f"Beta: method {self.method!r} is unknown; choose one of {', '.join(_METHODS)}")
        if self.shrinkage not in (None, "vasicek", "blume"):
            raise SpecError(f"Beta: shrinkage {self.shrinkage!r} is unknown; choose vasicek, blume or leave it out")
        for name, value, least in (("halflife", self.halflife, 0), ("anchor_halflife", self.anchor_halflife, 0),
                                   ("anchor", self.anchor, -1e-300), ("drift", self.drift, -1e-300),
                                   ("lags", self.lags, -1), ("leads", self.leads, -1), ("minimum", self.minimum, 2),
                                   ("window", 1 if self.window is None else self.window, 0)):  # fmt: skip
            if not (np.isfinite(value) and value > least):
                raise SpecError(f"Beta: {name} is {value}; give a larger number")

    def _design(self, market: np.ndarray, names: pd.Index) -> tuple[np.ndarray, np.ndarray]:
        """T x p regressors (1, then the markets at each lag), and which rows have all of them."""
        shifts = range(-self.leads, self.lags + 1) if self.method == "dimson" else (0,)
        shifted = [_shift(market, s) for s in shifts]
        design = np.hstack([np.ones((len(market), 1)), *shifted])
        counted = np.isfinite(design).all(axis=1)
        design[~counted] = 0.0
        centred = np.where(counted[:, None], market - market[counted].mean(axis=0) if counted.any() else 0.0, 0.0)
        scale = np.sqrt((centred**2).sum(axis=0))
        constant = scale <= 1e-12 * np.abs(design[:, 1 : 1 + len(names)]).max(initial=0.0)
        if constant.any():
            raise DataError(f"Beta: market driver {names[constant][0]} does not move; mend its history")
        if np.linalg.eigvalsh((centred / scale).T @ (centred / scale))[0] < _SINGULAR * len(names):
            raise DataError(f"Beta: market drivers {', '.join(map(str, names))} are collinear; leave one out")
        return design, counted

    def _estimate(
        self, moves: np.ndarray, design: np.ndarray, counted: np.ndarray, drivers: pd.Index
    ) -> tuple[np.ndarray, np.ndarray]:
        """Slopes (D x m) and their covariance (D x m x m) of non-market drivers."""
        present = np.isfinite(moves) & counted[:, None]
        y = np.where(present, moves, 0.0)
        short = present.sum(axis=0) < max(self.minimum, design.shape[1] + 2)
        if short.any() and self.shrinkage != "vasicek":
            raise DataError(
                f"Beta: driver {drivers[short][0]} has {present[:, short][:, 0].sum()} moves beside the market's; "
                f"it needs {max(self.minimum, design.shape[1] + 2)}: leave it out or set shrinkage='vasicek'"
            )
        weights = present.astype(float)
        if self.method == "ewma":
            weights *= _decay(len(y), self.halflife)
        known = ~short
        size = design.shape[1]
        coefficients, covariance = np.zeros((len(drivers), size)), np.zeros((len(drivers), size, size))
        if known.any():
            coefficients[known], covariance[known] = self._regress(y[:, known], design, weights[:, known])
        total = np.tile(np.eye(self._markets(design)), (1, (size - 1) // self._markets(design)))  # sums over lags
        slopes = coefficients[:, 1:] @ total.T
        spread = total @ covariance[:, 1:, 1:] @ total.T
        if self.shrinkage == "vasicek":
            return vasicek(slopes, spread, known)
        if self.shrinkage == "blume":
            if slopes.shape[1] > 1:
                raise SpecError("Beta: blume shrinks towards 1, which needs exactly one market; use vasicek")
            return 1 / 3 + 2 / 3 * slopes, 4 / 9 * spread
        return slopes, spread

    def _markets(self, design: np.ndarray) -> int:
        return (design.shape[1] - 1) // (self.lags + self.leads + 1 if self.method == "dimson" else 1)

    def _regress(self, y: np.ndarray, design: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.method == "kalman":
            return kalman_regression(y, design, weights, drift=self.drift)
        if self.method == "anchored":
            slow = weights * _decay(len(y), self.anchor_halflife)
            return anchored_regression(y, design, weights * _decay(len(y), self.halflife), slow, anchor=self.anchor)
        return (huber_regression if self.method == "huber" else weighted_regression)(y, design, weights)


def _market_columns(drivers: pd.Index, chosen: tuple[str | int, ...]) -> np.ndarray:
    if not chosen:
        raise NotApplicable("Beta: no market driver; set market=(...) or mark drivers with market = true")
    columns = drivers.get_indexer(pd.Index(chosen))
    if (columns < 0).any() or len(set(chosen)) < len(chosen):
        missing = [str(c) for c, i in zip(chosen, columns, strict=True) if i < 0]
        problem = f"{missing[0]} is not a driver" if missing else f"{chosen} name one twice"
        raise SpecError(f"Beta: market driver {problem}; give driver names, each once")
    return columns


def _shift(values: np.ndarray, lag: int) -> np.ndarray:
    """Row t becomes row t - lag; NaN where there is none."""
    out = np.full(values.shape, np.nan)
    rows = slice(max(lag, 0), len(values) + min(lag, 0))
    out[rows] = values[max(-lag, 0) : len(values) - max(lag, 0)]
    return out


def _decay(periods: int, halflife: float) -> np.ndarray:
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
    """Least squares of each column of y (T x D) on design (T x p) with weights (T x D; 0 leaves a row out).

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


def vasicek(slopes: np.ndarray, covariance: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior slopes (D x m) and covariances (D x m x m) under a normal prior learned from the cross-section.

    The prior's mean is the mean of the known slopes and its covariance theirs less the mean sampling covariance (cut at
    zero). Rows not `known` get the prior. One market: (b / s^2 + mean / p^2) / (1 / s^2 + 1 / p^2). Raises DataError.
    """
    if known.sum() < 3:
        raise DataError(f"Beta: vasicek learns its prior from the other drivers and has {known.sum()}; it needs 3")
    mean = slopes[known].mean(axis=0)
    excess = np.atleast_2d(np.cov(slopes[known].T)) - covariance[known].mean(axis=0)
    values, vectors = np.linalg.eigh(excess)
    prior = (vectors * np.clip(values, 0, None)) @ vectors.T
    gain = covariance @ np.linalg.pinv(covariance + prior, hermitian=True)
    shrunk = slopes + np.einsum("dij,dj->di", gain, mean - slopes)
    spread = covariance - gain @ covariance
    shrunk[~known], spread[~known] = mean, prior
    return shrunk, spread
