"""Regimes: a Gaussian hidden Markov model, risk mixed over its states, and diagnostics of what normal moves miss."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from optihedge.errors import DataError, SolverError, SpecError
from optihedge.frames import refuse_doubled
from optihedge.risk.estimator import Moves, MovesError, RiskEstimator, whole_number
from optihedge.risk.manners import Estimator, clone, refuse_unfitted
from optihedge.risk.root import Risk
from optihedge.risk.sample import SampleRisk

_ROUNDING = 1e-9  # the log likelihood may fall by this share of its size before a step counts as wrong


class GaussianHmm(Estimator):
    """Hidden Markov model with normal moves in each of `states` states, by maximum likelihood (Baum-Welch).

    states      number of states, ordered from calm to wild (trace of covariance)
    tolerance   stop when an iteration adds less log likelihood than this;  iterations  at most
    persistence probability to stay in a state, at the start of the search

    Deterministic: the search starts from rows grouped by the size of the moves around them. The first row is in any
    state with equal probability. Raises SolverError where an iteration lowers the likelihood, DataError where a
    state shrinks to a few rows. Learns `transition_` (K x K, from row to column), `means_`, `covariances_`,
    `log_likelihood_`, `converged_`, `probabilities_` (T x K, filtered: each row from itself and those before it).
    Source: Rabiner 1989; Hamilton, Time Series Analysis, ch. 22.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> calm, wild = rng.normal(0, 0.01, (300, 1)), rng.normal(0, 0.05, (300, 1))
    >>> fitted = oh.risk.GaussianHmm(2).fit(pd.DataFrame(np.vstack([calm, wild]), columns=["A"]))
    >>> bool(fitted.covariances_[1, 0, 0] > 10 * fitted.covariances_[0, 0, 0])
    True
    """

    def __init__(
        self, states: int = 2, tolerance: float = 1e-6, iterations: int = 1000, persistence: float = 0.95
    ) -> None:
        self.states = states
        self.tolerance = tolerance
        self.iterations = iterations
        self.persistence = persistence

    def fit(self, moves: Moves, y: object = None) -> Self:
        """Fit to moves, T x D, all present. Raises DataError, SpecError, SolverError."""
        whole_number("GaussianHmm: states", self.states, 1)
        whole_number("GaussianHmm: iterations", self.iterations, 1)
        if not 0 < self.persistence < 1:
            raise SpecError(f"GaussianHmm: persistence is {self.persistence}; give a number between 0 and 1")
        values = self._values(moves, reset=True, minimum=2)
        weights = _first_guess(values, self.states)
        stay = self.persistence if self.states > 1 else 1.0
        self.transition_ = np.full((self.states,) * 2, (1 - stay) / max(self.states - 1, 1))
        np.fill_diagonal(self.transition_, stay)
        last, self.converged_ = -np.inf, False
        for _ in range(self.iterations):
            self.means_, self.covariances_ = _moments(values, weights)
            weights, counts, likelihood = self._expect(values)
            if likelihood < last - _ROUNDING * max(abs(last), 1.0):
                raise SolverError(f"GaussianHmm: the log likelihood fell from {last} to {likelihood}")
            self.converged_ = bool(likelihood - last < self.tolerance)
            if self.converged_:
                break
            last, self.transition_ = likelihood, counts / counts.sum(axis=1, keepdims=True)
        order = np.argsort(np.trace(self.covariances_, axis1=1, axis2=2), kind="stable")
        self.means_, self.covariances_ = self.means_[order], self.covariances_[order]
        self.transition_ = self.transition_[np.ix_(order, order)]
        self.probabilities_, self.log_likelihood_ = self._forward(values)[:2]
        return self

    def filter(self, moves: Moves) -> np.ndarray:
        """T x K: probability of each state given the rows up to and including each; a later row changes nothing."""
        refuse_unfitted(self, "means_")
        return self._forward(self._values(moves, reset=False, minimum=1))[0]

    def score(self, moves: Moves, y: object = None) -> float:
        """Mean log likelihood of a row."""
        refuse_unfitted(self, "means_")
        values = self._values(moves, reset=False, minimum=1)
        return self._forward(values)[1] / len(values)

    def forecast(self) -> np.ndarray:
        """K probabilities of the states of the row after the last one fitted."""
        refuse_unfitted(self, "means_")
        return self.probabilities_[-1] @ self.transition_

    def _values(self, moves: Moves, *, reset: bool, minimum: int) -> np.ndarray:
        from sklearn.utils.validation import validate_data

        return validate_data(self, moves, reset=reset, dtype=float, ensure_min_samples=minimum)

    def _forward(self, values: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        density = _log_densities(values, self.means_, self.covariances_)
        top = density.max(axis=1)
        steps = np.exp(density - top[:, None])[:, :, None] * self.transition_.T  # K x K: into row, from column
        steps[0] = np.diag(np.exp(density[0] - top[0]))
        products, scale = _running_products(steps)
        joint = products.sum(axis=2) / self.states
        total = joint.sum(axis=1)
        return joint / total[:, None], float(top.sum() + scale[-1] + np.log(total[-1])), steps

    def _expect(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Smoothed probabilities (T x K), expected transitions (K x K), log likelihood."""
        filtered, likelihood, steps = self._forward(values)
        later = np.ones_like(filtered)
        if len(values) > 1:
            later[:-1] = _running_products(steps[:0:-1].transpose(0, 2, 1))[0].sum(axis=2)[::-1]
        smoothed = filtered * later
        pairs = filtered[:-1, :, None] * steps[1:].transpose(0, 2, 1) * later[1:, None, :]
        counts = (pairs / pairs.sum(axis=(1, 2), keepdims=True)).sum(axis=0)
        return smoothed / smoothed.sum(axis=1, keepdims=True), counts, likelihood


def _first_guess(values: np.ndarray, states: int) -> np.ndarray:
    """T x K weights: rows in equal groups by the mean squared standardised move of the 11 rows around them."""
    spread = values.std(axis=0)
    size = (((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)) ** 2).mean(axis=1)
    around = pd.Series(size).rolling(11, center=True, min_periods=1).mean().to_numpy()
    group = np.argsort(np.argsort(around, kind="stable"), kind="stable") * states // len(values)
    return (group[:, None] == np.arange(states)).astype(float)


def _moments(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means (K x D) and covariances (K x D x D)."""
    total = weights.sum(axis=0)
    if (total < values.shape[1] + 1).any():
        raise MovesError(
            f"GaussianHmm: a state is left with {total.min():.1f} rows for {values.shape[1]} drivers; "
            "ask for fewer states or give a longer history"
        )
    means = weights.T @ values / total[:, None]
    apart = values[None] - means[:, None]
    return means, (apart * weights.T[:, :, None]).transpose(0, 2, 1) @ apart / total[:, None, None]


def _log_densities(values: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    density = np.empty((len(values), len(means)))
    for k, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
        try:
            factor = cholesky(covariance, lower=True)
        except LinAlgError:
            raise MovesError("GaussianHmm: drivers are constant or collinear in a state; leave some out") from None
        whitened = solve_triangular(factor, (values - mean).T, lower=True)
        density[:, k] = -0.5 * (whitened**2).sum(axis=0) - np.log(np.diag(factor)).sum()
    return density - 0.5 * values.shape[1] * np.log(2 * np.pi)


def _running_products(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """steps[t] @ ... @ steps[0] for every t (T x K x K, scaled to a largest entry of 1), and the log of each scale."""
    size = steps.max(axis=(1, 2), keepdims=True)
    products, scale, shift = steps / size, np.log(size[:, 0, 0]), 1
    while shift < len(steps):
        products[shift:] = products[shift:] @ products[:-shift]
        scale[shift:] = scale[shift:] + scale[:-shift]
        size = products.max(axis=(1, 2), keepdims=True)
        products, scale, shift = products / size, scale + np.log(size[:, 0, 0]), 2 * shift
    return products, scale


class RegimeRisk(RiskEstimator):
    """One risk per regime, mixed by the probabilities of the regimes one period ahead: the roots stack.

    base      risk estimator of each regime; None is SampleRisk(). It sees the moves weighted by sqrt of the probability
              of its regime, so it should take covariances about zero
    states    number of regimes;  market  drivers that tell them apart (names, or column numbers of an array); None:
              the mean of all standardised moves

    The regimes come from filtered probabilities: fitted to day t, nothing after t counts. Learns `hmm_`, `risks_` (calm
    to wild), `weights_` (their mixing weights) and `risk_`.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> calm, wild = rng.normal(0, 0.01, (300, 2)), rng.normal(0, 0.05, (300, 2))
    >>> risk = oh.risk.RegimeRisk(states=2).fit(pd.DataFrame(np.vstack([calm, wild]), columns=["A", "B"])).risk_
    >>> bool(risk.volatility()["A"] > 0.03)
    True
    """

    def __init__(
        self,
        base: RiskEstimator | None = None,
        states: int = 2,
        market: tuple[str | int, ...] | None = None,
    ) -> None:
        self.base = base
        self.states = states
        self.market = market

    def fit(self, moves: Moves, y: object = None) -> Self:
        values, drivers = self._read(moves)
        frame = pd.DataFrame(values, columns=drivers, index=getattr(moves, "index", None))
        self.hmm_ = GaussianHmm(self.states).fit(self._signal(frame))
        self.weights_ = self.hmm_.forecast()
        self.risks_ = []
        for probability in self.hmm_.probabilities_.T:
            weighted = frame.mul(np.sqrt(probability / probability.mean()), axis=0)
            weighted.attrs = dict(getattr(moves, "attrs", {}))
            base = SampleRisk() if self.base is None else clone(self.base)
            self.risks_.append(base.fit(weighted).risk_)
        self.risk_ = Risk.mix(self.risks_, self.weights_)
        return self

    def _signal(self, frame: pd.DataFrame) -> np.ndarray:
        if self.market is None:
            spread = frame.std(ddof=0)
            return (frame / spread.where(spread > 0, 1.0)).mean(axis=1).to_numpy()[:, None]
        unknown = [name for name in self.market if name not in frame.columns]
        if unknown:
            raise SpecError(f"RegimeRisk: market driver {unknown[0]} is not a driver; name one of the moves' columns")
        return frame[list(self.market)].to_numpy()


def leptokurtosis(moves: pd.DataFrame, threshold: float = 3.0) -> pd.DataFrame:
    """How far each driver's moves are from normal, D x 4: large values say that variance understates the tails.

    excess_kurtosis   0 for normal moves (Fisher's unbiased k-statistic);  t_statistic  over its normal standard error
    tail_days         observed moves beyond `threshold` standard deviations;  expected_days  under normality
    Missing moves are left out. Raises DataError for a driver with fewer than 10.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> oh.stats.leptokurtosis(moves).shape
    (4, 4)
    """
    from scipy.special import ndtr

    refuse_doubled(moves.columns, "leptokurtosis")
    count = moves.notna().sum()
    if (count < 10).any():
        raise DataError(f"leptokurtosis: driver {count.index[count < 10][0]} has {count.min()} moves; it needs 10")
    n = count.astype(float)
    error = np.sqrt(24 * n * (n - 1) ** 2 / ((n - 3) * (n - 2) * (n + 3) * (n + 5)))
    kurtosis = moves.kurt()
    beyond = (((moves - moves.mean()) / moves.std()).abs() > threshold).sum()
    return pd.DataFrame(
        {
            "excess_kurtosis": kurtosis,
            "t_statistic": kurtosis / error,
            "tail_days": beyond,
            "expected_days": 2 * ndtr(-threshold) * n,
        }
    )


def correlation_breakdown(moves: pd.DataFrame, market: str, share: float = 0.1) -> pd.DataFrame:
    """Whether correlations with the market change on its wildest days, (D - 1) x 5.

    all, stressed   correlation over all rows, and over the `share` of rows where |market| is largest
    expected        correlation that the second would have if nothing changed: choosing days by size alone raises it,
                    rho / sqrt(rho^2 + (1 - rho^2) Var(market) / Var(market | stressed))  (Boyer, Gibson, Loretan 1999)
    change, t_statistic   stressed less expected, and Fisher's z of it; beyond 2 or so, a hedge sized on all days is
                    wrong when it matters
    Rows with a missing market or driver are left out. Raises DataError.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> oh.stats.correlation_breakdown(moves, "A").index.tolist()
    ['B', 'C', 'D']
    """
    refuse_doubled(moves.columns, "correlation breakdown")
    if market not in moves.columns:
        raise DataError(f"correlation breakdown: {market} is not a driver; name one of the moves' columns")
    rows = {}
    for name in moves.columns.drop(market):
        pair = moves[[market, name]].dropna()
        size = pair[market].abs()
        wild = pair[size >= size.quantile(1 - share)]
        if len(wild) < 10:
            raise DataError(f"correlation breakdown: {name} has {len(wild)} stressed rows beside {market}; it needs 10")
        rho, stressed = pair.corr().iat[0, 1], wild.corr().iat[0, 1]
        ratio = pair[market].var() / wild[market].var()
        expected = rho / np.sqrt(rho**2 + (1 - rho**2) * ratio)
        z = (np.arctanh(stressed) - np.arctanh(expected)) * np.sqrt(len(wild) - 3)
        rows[name] = (rho, stressed, expected, stressed - expected, z)
    columns = ["all", "stressed", "expected", "change", "t_statistic"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("driver")
