"""Adaptive risk, for many drivers: a factor model whose market, factors and specific part are each rescaled."""

from __future__ import annotations

from math import ceil
from typing import Self

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.risk.estimator import Moves, OnlineRiskEstimator, periods_per_year, require_history
from optihedge.risk.ewma import decayed_sums
from optihedge.risk.factor import FactorModel, FactorRisk
from optihedge.risk.manners import clone
from optihedge.risk.root import Risk

_GROUPS = ("market", "factors", "specific")
_WARM_UP = 60  # rows before the first forecast that is compared with what happened
_MEMORY = 10  # half-lives of realised squares kept
_CLIP = 4.2  # bound on standardised moves that shape the factors
_JUMP = 5.0  # bound on one driver's standardised residual when specific risk is rescaled


class AdaptiveRisk(OnlineRiskEstimator):
    """A factor model of standardised moves; volatilities and the size of each group of factors follow the market fast.

    base                  a factor model; None is FactorRisk(), on moves divided by their running volatility
    volatility_halflife   of each driver's own volatility; None: the base sees moves as they are
    scale_halflives       of the scales of market, other factors and specific risk
    window                rows the base is fitted to, the latest; before them, the last `min_periods` rows of a driver
                          with fewer in them, so that one that is not observed any more keeps its risk
    refresh               rows between two fits of the base
    min_periods           observed moves a driver needs

    Every row is first forecast, then compared: with f the factor returns by generalised least squares and e what they
    leave, the squares f^2 and e^2 over their expectations average to one in each group if the forecast was right. Their
    EWMA, from forecasts made before each row only, multiplies the variance of the group. One global multiplier would
    follow the market and inflate hedged books.

        C = V (m_1^2 b_1 b_1' + m_2^2 sum_j b_j b_j' + m_3^2 (K'K + diag(s^2))) V

    It needs many drivers to tell factors from specific moves: on 3 to 12 perpetuals its volatilities of long-only books
    are some 8 % low, on 25 some 5 % (720 days to 2026); there `EwmaRisk(halflife=63)`, the models' default, is right.

    NaN is a move not observed. Rows are counted from the first, so `partial_fit` on new rows equals `fit` on all of
    them, to the bit. A model gives it whole quarters (`ragged.from_whole_period`), so that the next day is a step.
    Learns `risk_`, `base_` (for inspection), `volatility_` (D) and `scales_` (market, factors, specific).

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> risk = oh.risk.AdaptiveRisk().fit(moves).risk_
    >>> bool(abs(risk.volatility()["A"] / 0.0112 - 1) < 0.2)
    True
    """

    _accepts_missing = True
    _exact_in_steps = True
    base_: FactorModel
    _count: int
    _periods: float
    _fitted_at: int
    _observed: np.ndarray
    _squares: np.ndarray
    _weights: np.ndarray
    _volatility: np.ndarray
    _history: np.ndarray
    _realised: np.ndarray
    _index: pd.Index
    _numbers: np.ndarray
    _shape: Risk

    def __init__(
        self,
        base: FactorModel | None = None,
        volatility_halflife: float | None = 42.0,
        scale_halflives: tuple[float, float, float] = (10.0, 10.0, 10.0),
        window: int = 756,
        refresh: int = 5,
        min_periods: int = 10,
    ) -> None:
        self.base = base
        self.volatility_halflife = volatility_halflife
        self.scale_halflives = scale_halflives
        self.window = window
        self.refresh = refresh
        self.min_periods = min_periods

    def _update(self, moves: Moves, *, fresh: bool) -> Self:
        self._check()
        values, drivers = self._read(moves, reset=fresh, minimum=2 if fresh else 1)
        rows = moves.index if isinstance(moves, pd.DataFrame) else pd.RangeIndex(len(values))
        if fresh:
            self._start(len(drivers), rows)
        observed = self._observed + np.isfinite(values).sum(axis=0)
        require_history(observed, drivers, self.min_periods)
        standard, surprise = self._standardise(values)
        self._history = np.vstack([self._history, standard])
        self._index = self._index.append(rows)
        first, self._count, self._observed = self._count, self._count + len(values), observed
        self._numbers = np.concatenate([self._numbers, np.arange(first, self._count)])
        self._periods = periods_per_year(moves)
        self._compare(surprise, first, drivers)
        if len(self._shape.drivers) < len(drivers):
            self._fit_base(self._count, drivers)
        recent = self._count - self.refresh  # no later fit ends before it
        kept = self._rows_until(recent) | (self._numbers >= recent)
        if not kept.all():
            self._history, self._index, self._numbers = self._history[kept], self._index[kept], self._numbers[kept]
        scales = self._scales()
        self.scales_ = pd.Series(scales, index=list(_GROUPS), name="scale")
        self.volatility_ = pd.Series(self._volatility, index=drivers, name="volatility")
        group = dict(zip(_GROUPS, scales, strict=True))
        root = np.array([group[name] for name in self.base_.factor_groups_]).reshape(-1, 1) * self._shape.root
        self.risk_ = Risk(
            root * self._volatility,
            group["specific"] * self._shape.specific * self._volatility,
            drivers,
            self._periods,
        )
        return self

    def _check(self) -> None:
        given = (*self.scale_halflives, 1.0 if self.volatility_halflife is None else self.volatility_halflife)
        if len(self.scale_halflives) != 3 or not all(value > 0 for value in given):
            raise SpecError(f"AdaptiveRisk: they are {self.scale_halflives} and {self.volatility_halflife}; give three "
                            "positive scale_halflives and a positive volatility_halflife")  # fmt: skip
        if self.window < _WARM_UP or self.refresh < 1:
            raise SpecError(f"AdaptiveRisk: they are {self.window} and {self.refresh}; give a window of at least "
                            f"{_WARM_UP} rows and a refresh of at least 1")  # fmt: skip

    def _start(self, dimension: int, rows: pd.Index) -> None:
        self._count, self._observed = 0, np.zeros(dimension, dtype=int)
        self._squares, self._weights = np.zeros(dimension), np.zeros(dimension)
        self._volatility = np.full(dimension, np.nan if self.volatility_halflife else 1.0)
        self._history, self._index = np.zeros((0, dimension)), rows[:0]
        self._numbers = np.zeros(0, dtype=int)
        self._realised = np.zeros((0, len(_GROUPS)))
        self._fitted_at = -1

    def _standardise(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Moves over the volatility known after each row (clipped), and over the one known before it."""
        if self.volatility_halflife is None:
            return values, values
        before = self._volatility
        self._squares, self._weights, path = decayed_sums(
            values, self.volatility_halflife, self._squares, self._weights
        )
        self._volatility = np.sqrt(self._squares / self._weights)
        earlier = np.vstack([before, path[:-1]])
        with np.errstate(invalid="ignore", divide="ignore"):
            surprise = np.where(earlier > 0, values / earlier, np.nan)
            standard = np.clip(np.where(path > 0, values / path, 0.0 * values), -_CLIP, _CLIP)
        return standard, surprise

    def _compare(self, surprise: np.ndarray, first: int, drivers: pd.Index) -> None:
        """Forecast and compare rows from `first` on, in spans between fits of the base; leave the last base fitted."""
        kept = ceil(_MEMORY * max(self.scale_halflives))
        start = max(first, _WARM_UP, self._count - kept)
        for fit_at in range(start - start % self.refresh, self._count + 1, self.refresh):
            fit_at = max(fit_at, _WARM_UP)
            if fit_at > self._count:
                break
            if fit_at != self._fitted_at:
                self._fit_base(fit_at, drivers)
            span = surprise[max(fit_at, start) - first : fit_at - fit_at % self.refresh + self.refresh - first]
            if len(span):
                known = drivers.get_indexer(self._shape.drivers)
                squares = realised_squares(self._shape, self.base_.factor_groups_, span[:, known])
                self._realised = np.vstack([self._realised, squares])[-kept:]
        if self._count < _WARM_UP:
            self._fit_base(self._count, drivers)

    def _fit_base(self, until: int, drivers: pd.Index) -> None:
        """Fit the base to the window before row `until`, on the drivers that were known long enough by then."""
        rows = self._rows_until(until)
        history, index = (self._history, self._index) if rows.all() else (self._history[rows], self._index[rows])
        known = np.isfinite(history).sum(axis=0) >= self.min_periods
        known = known | (until == self._count)
        if not known.all():
            history, drivers = history[:, known], drivers[known]
        base = clone(FactorRisk() if self.base is None else self.base)
        self.base_ = base.learn(history, drivers, index, self._periods)
        self._shape, self._fitted_at = self.base_.risk_, until
        if self.volatility_halflife is not None:  # the running volatility alone says how large a driver's moves are
            volatility = self._shape.volatility().to_numpy()
            self._shape = self._shape.scaled(1 / np.where(volatility > 0, volatility, 1.0))

    def _rows_until(self, until: int) -> np.ndarray:
        """Flags of the rows kept that a fit before row `until` sees: its window and what short drivers need before."""
        window = (self._numbers >= until - self.window) & (self._numbers < until)
        if window.all():
            return window
        seen = np.isfinite(self._history) & (self._numbers < until)[:, None]
        seen = seen[:, seen[window].sum(axis=0) < self.min_periods]
        last = seen & (np.cumsum(seen[::-1], axis=0)[::-1] <= self.min_periods)
        return window | last.any(axis=1)

    def _scales(self) -> np.ndarray:
        """Scale of each group: the root of the EWMA of its realised squares, started at one."""
        scales = []
        for halflife, squares in zip(self.scale_halflives, self._realised.T, strict=True):
            squares = np.concatenate([[1.0], squares[np.isfinite(squares)]])
            weights = 0.5 ** (np.arange(len(squares))[::-1] / halflife)
            scales.append(np.sqrt(weights @ squares / weights.sum()))
        return np.array(scales)


def realised_squares(risk: Risk, groups: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Squares of factor returns and residuals over their expectations, averaged by group: T x 3 (NaN: no such group).

    For moves x (T x D, NaN where not observed) forecast by a risk whose root's rows belong to `groups`: the factors'
    rows are B, the residual variances q (specific risk and the rows of its clusters), and
    f = (B Q^-1 B')^-1 B Q^-1 x has variance 1 + diag (B Q^-1 B')^-1, while e = x - B'f has q less what f takes.
    """
    own, root = groups == "specific", risk.root[groups != "specific"]
    residual = risk.specific**2 + (risk.root[own] ** 2).sum(axis=0)
    usable = residual > 1e-8 * (residual + (root**2).sum(axis=0))  # a factor that is itself a driver has no residual
    residual = np.where(usable, residual, 1e-8 * (root**2).sum(axis=0) + 1e-300)
    squares = np.full((len(moves), len(_GROUPS)), np.nan)
    parts = [groups[~own] == name for name in _GROUPS[:2]]
    seen = np.isfinite(moves)
    forms: dict[bytes, tuple[np.ndarray, ...]] = {}
    for row, (move, pattern) in enumerate(zip(moves, seen, strict=True)):  # one by one: the same beside any other rows
        if not pattern.any():
            continue
        if (key := pattern.tobytes()) not in forms:
            loading, variance = (root, residual) if pattern.all() else (root[:, pattern], residual[pattern])
            weighted = loading / variance
            noise = np.linalg.pinv(weighted @ loading.T)
            expected = variance - ((noise @ loading) * loading).sum(axis=0)
            counted = usable[pattern] & (expected > 1e-3 * variance)
            forms[key] = loading, noise @ weighted, 1 + np.diag(noise), expected, counted
        loading, gain, size, expected, counted = forms[key]
        own_move = move[pattern]
        returns = gain @ own_move
        factor = returns**2 / size
        for column, members in enumerate(parts):
            if members.any():
                squares[row, column] = factor[members].mean()
        if counted.any():
            left = (own_move - returns @ loading)[counted] ** 2 / expected[counted]
            squares[row, 2] = np.minimum(left, _JUMP**2).mean()
    return squares
