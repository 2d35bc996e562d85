"""Beta: slopes of drivers' moves on market drivers' moves, with the standard errors that robust neutrality needs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.errors import DataError, NotApplicable, SpecError
from optihedge.risk.beta_regression import (
    anchored_regression,
    decay,
    drawn_in,
    huber_regression,
    kalman_regression,
    vasicek,
    weighted_regression,
)
from optihedge.risk.estimator import MovesEstimator

_METHODS = ("ols", "ewma", "anchored", "dimson", "huber", "kalman")
_SINGULAR = 1e-10  # a scaled Gram matrix with a smaller eigenvalue ratio has no unique slopes


class Beta(MovesEstimator):
    """Betas of D drivers on m market drivers, jointly: move_d = a_d + sum_j beta_dj market_j + residual.

    method     "ols"; "ewma" (weights 2^(-age / halflife)); "anchored" (an EWMA fit held to a slow one by a ridge: the
               loud direction, the market, follows the last weeks, the quiet ones the last years; moves about zero, no
               a_d; hedges best out of sample, with `clip` 3 and "vasicek"); "dimson" (slopes on lags 0..lags and leads
               1..leads summed, for markets that close at other hours); "huber"; "kalman" (betas as random walks)
    market     driver names (column numbers for an array), or a single one; None: those in moves.attrs["markets"]
    window     use the last `window` periods only; None: all
    halflife   periods, for "ewma" and "anchored"
    anchor_halflife, anchor   periods of the slow fit, and the ridge in units of the mean market variance
    drift      standard deviation of a beta's change per period, for "kalman"
    clip       None; moves further than `clip` deviations from a first fit are read as that far ("huber" does its own)
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
        clip: float | None = None,
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
        self.clip = clip
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
        if self.clip is not None and self.method == "huber":
            raise SpecError("Beta: huber draws far moves in itself; leave clip out, or choose another method")
        if self.shrinkage not in (None, "vasicek", "blume"):
            raise SpecError(f"Beta: shrinkage {self.shrinkage!r} is unknown; choose vasicek, blume or leave it out")
        for name, value, least in (("halflife", self.halflife, 0), ("anchor_halflife", self.anchor_halflife, 0),
                                   ("anchor", self.anchor, -1e-300), ("drift", self.drift, -1e-300),
                                   ("lags", self.lags, -1), ("leads", self.leads, -1), ("minimum", self.minimum, 2),
                                   ("clip", 1.0 if self.clip is None else self.clip, 0),
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
        # where no move is missing one column of weights, and so one Gram matrix, serves all
        alike = bool(present.all()) and self.method not in ("huber", "kalman")
        weights = np.ones((len(y), 1)) if alike else present.astype(float)
        if self.method == "ewma":
            weights *= decay(len(y), self.halflife)
        known = ~short
        size = design.shape[1]
        coefficients, covariance = np.zeros((len(drivers), size)), np.zeros((len(drivers), size, size))
        if known.any():
            coefficients[known], covariance[known] = self._regress(
                y[:, known], design, weights if alike else weights[:, known]
            )
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
        slow = weights * decay(len(y), self.anchor_halflife) if self.method == "anchored" else weights
        if self.clip is not None:
            y = drawn_in(y, design, slow, clip=self.clip)
        if self.method == "kalman":
            return kalman_regression(y, design, weights, drift=self.drift)
        if self.method == "anchored":
            return anchored_regression(y, design, weights * decay(len(y), self.halflife), slow, anchor=self.anchor)
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
