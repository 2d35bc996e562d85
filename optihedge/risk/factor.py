"""Factor risk: a few common factors, each driver's loadings on them, and what is left of each driver."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk

from optihedge.errors import SpecError
from optihedge.risk.estimator import Moves, RiskEstimator, periods_per_year, require_history
from optihedge.risk.manners import clone
from optihedge.risk.residual import Left, Residuals, observed_mass, ratio, shrunk_shares, weighted_squares
from optihedge.risk.root import Risk

_COVERAGE = 0.8  # share of the rows a driver needs to shape the components
_FILLING_PASSES = 5
_TOLD = 1e-3  # unexplained shares below this are not told by the difference of two variances
_INSPECTED = ("factor_returns_", "loadings_", "t_statistics_", "r2_", "specific_", "clusters_")


@dataclass(frozen=True, eq=False)
class Factors:
    """Factor returns (T x k, any unit), the loadings on them (k x D), the factors' names; what is left where told."""

    returns: np.ndarray
    loadings: np.ndarray
    names: tuple[str, ...]
    left: Left | None = None


@dataclass(frozen=True, eq=False)
class _Fit:
    """What a factor model's tables for inspection are made of, when they are asked for."""

    found: Factors
    rows: pd.Index
    drivers: pd.Index
    weights: np.ndarray  # T
    effective: np.ndarray  # D, observations
    total: np.ndarray  # D, variance
    unexplained: np.ndarray
    specific: np.ndarray
    labels: np.ndarray  # D, clusters


class FactorModel(RiskEstimator):
    """Base of the factor models: from factors to Risk, without a D x D matrix on the way.

    C = B' O B + K'K + diag(s^2): B loadings (k x D), O the factors' covariance, s the specific volatility, and K the
    residual covariance inside clusters of look-alikes: drivers whose residuals correlate above `clusters` (two share
    classes, spot and future). Without K the spread between two of them would be all specific risk. 20 drivers or
    fewer are one cluster. Inside a cluster of m, off-diagonals shrink by m^2 / (m^2 + observations^2).

    Moves are weighted by 2^(-age / halflife); None weighs them alike. Unexplained shares of variance shrink, in
    logarithms, towards their mean by the part of their scatter that sampling noise explains (empirical Bayes).

    Learns `risk_`, `factor_groups_` (per row of its root: market, factors or specific), and for inspection
    `factor_returns_` (T x k), `loadings_` and `t_statistics_` (k x D), `r2_`, `specific_` (D), `clusters_` (D labels),
    `n_factors_`. NaN is a move not observed; a driver's loadings come from the rows it has.
    """

    _accepts_missing = True
    halflife: float | None
    clusters: float
    min_periods: int

    def extract(self, moves: np.ndarray, drivers: pd.Index, rows: pd.Index, weights: np.ndarray) -> Factors:
        """The factors in these moves (T x D, NaN where not observed) under these row weights (sum 1)."""
        raise NotImplementedError

    def fit(self, moves: Moves, y: object = None) -> Self:
        values, drivers = self._read(moves)
        rows = moves.index if isinstance(moves, pd.DataFrame) else pd.RangeIndex(len(values))
        return self.learn(values, drivers, rows, periods_per_year(moves))

    def learn(self, values: np.ndarray, drivers: pd.Index, rows: pd.Index, periods: float) -> Self:
        """`fit` behind the door: values T x D of these drivers and rows, finite or NaN; periods per year."""
        seen = np.isfinite(values)
        require_history(seen.sum(axis=0), drivers, self.min_periods)
        if self.halflife is not None and not self.halflife > 0:
            raise SpecError(f"{type(self).__name__}: halflife is {self.halflife}; give a positive number of periods")
        weights = decay_weights(len(values), self.halflife) * seen.any(axis=1)  # a row without a move says nothing
        weights /= weights.sum()
        found = self.extract(values, drivers, rows, weights)

        mass = observed_mass(seen, weights)
        total = weighted_squares(values, weights) / mass
        residuals = Residuals(values, found.returns, found.loadings, weights, mass, total, found.left)
        effective = mass**2 / observed_mass(seen, weights**2)
        freedom = np.maximum(effective - len(found.names), 1.0)
        specific = total * shrunk_shares(ratio(residuals.variance * effective / freedom, total), effective)
        triangle = np.linalg.qr(np.sqrt(weights)[:, None] * found.returns, mode="r")
        root = triangle @ found.loadings
        labels = residuals.look_alikes(self.clusters)
        together, alone = residuals.cluster_roots(labels, effective)

        for name in _INSPECTED:
            self.__dict__.pop(name, None)
        unexplained, found = residuals.variance, replace(found, left=None)
        self._fit = _Fit(found, rows, drivers, weights, effective, total, unexplained, specific, labels)
        self.n_factors_ = len(found.names)
        groups = ["market"] * min(1, len(root)) + ["factors"] * (len(root) - 1) + ["specific"] * len(together)
        self.factor_groups_ = np.array(groups, dtype=object)
        self.risk_ = Risk(np.vstack([root, together * np.sqrt(specific)]), np.sqrt(specific) * alone, drivers, periods)
        return self

    @cached_property
    def factor_returns_(self) -> pd.DataFrame:
        return pd.DataFrame(self._fit.found.returns, index=self._fit.rows, columns=list(self._fit.found.names))

    @cached_property
    def loadings_(self) -> pd.DataFrame:
        return pd.DataFrame(self._fit.found.loadings, index=list(self._fit.found.names), columns=self._fit.drivers)

    @cached_property
    def t_statistics_(self) -> pd.DataFrame:
        f, found = self._fit, self._fit.found
        covariance = found.returns.T @ (f.weights[:, None] * found.returns)
        error = np.sqrt(np.outer(np.diag(np.linalg.pinv(covariance)), f.specific / f.effective))
        return pd.DataFrame(ratio(found.loadings, error), index=list(found.names), columns=f.drivers)

    @cached_property
    def r2_(self) -> pd.Series:
        f = self._fit
        return pd.Series(1 - ratio(f.unexplained, f.total), index=f.drivers, name="r2")

    @cached_property
    def specific_(self) -> pd.Series:
        return pd.Series(np.sqrt(self._fit.specific), index=self._fit.drivers, name="specific")

    @cached_property
    def clusters_(self) -> pd.Series:
        return pd.Series(self._fit.labels, index=self._fit.drivers, name="cluster")


class FactorRisk(FactorModel):
    """Statistical factors: the principal components of the drivers' correlations (asymptotic PCA where T < D).

    factors       how many, or the criterion that counts them: "square_root" of the number of drivers (a missing factor
                  costs a hedger more than one too many), "bai_ng" (information criterion ICp2, Bai and Ng 2002) or
                  "eigenvalue_ratio" (Ahn and Horenstein 2013)
    max_factors   most that a criterion may choose; the latter two search no further than a third of the shorter of
                  drivers and rows (at least 1): near its end the criterion has nothing left to compare with
    halflife, clusters, min_periods: see FactorModel

    The Gram matrix of the shorter side is decomposed (Connor and Korajczyk 1986), so nothing is larger than the moves.
    Components come from the drivers with at least 80 % of the rows; their gaps are filled by the components themselves
    in five passes (Stock and Watson 2002). The other drivers load by regression on the factor returns.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> risk = oh.FactorRisk(1).fit(moves).risk_
    >>> bool(abs(risk.volatility()["A"] / 0.0112 - 1) < 0.2)
    True
    """

    def __init__(
        self,
        factors: int | str = "square_root",
        halflife: float | None = 252.0,
        max_factors: int = 20,
        clusters: float = 0.5,
        min_periods: int = 10,
    ) -> None:
        self.factors = factors
        self.halflife = halflife
        self.max_factors = max_factors
        self.clusters = clusters
        self.min_periods = min_periods

    def extract(self, moves: np.ndarray, drivers: pd.Index, rows: pd.Index, weights: np.ndarray) -> Factors:
        seen = np.isfinite(moves)
        scale = np.sqrt(weighted_squares(moves, weights) / observed_mass(seen, weights))
        whole = bool(seen.all())
        core = seen.mean(axis=0) >= _COVERAGE
        core = core if core.any() else np.ones_like(core)
        most = min(int(core.sum()) - 1, len(moves) - 1)
        wanted = self.max_factors if isinstance(self.factors, str) else self.factors
        if self.factors in ("bai_ng", "eigenvalue_ratio"):
            wanted = min(wanted, max(min(int(core.sum()), len(moves)) // 3, 1))
        if not isinstance(self.factors, str) and not 0 <= self.factors <= most:
            raise SpecError(
                f"FactorRisk: {self.factors} factors from {len(moves)} moves of {core.sum()} drivers; "
                f"give at most {most}"
            )
        wanted, root, unit = min(wanted, most), np.sqrt(weights)[:, None], np.where(scale > 0, scale, 1.0)
        if whole:
            standard = moves / unit
            standard *= root
            values, axes, products = _components(standard, wanted + 1)
            count = self._count(values, moves.shape, weights) if isinstance(self.factors, str) else self.factors
            loadings = np.sqrt(values[:count, None]) * axes[:count]
            returns = moves @ (axes[:count] / unit).T / np.sqrt(values[:count])
            left = None if products is None else _left(products, loadings)
            return Factors(returns, loadings * scale, _names(count), left)
        standard = moves / unit
        filled = np.where(seen, standard, 0.0)[:, core]
        for _ in range(1 if seen[:, core].all() else _FILLING_PASSES):
            values, axes = principal_components(root * filled, wanted + 1)
            count = self._count(values, filled.shape, weights) if isinstance(self.factors, str) else self.factors
            returns = filled @ axes[:count].T / np.sqrt(values[:count])
            loadings = np.sqrt(values[:count, None]) * axes[:count]
            filled = np.where(seen[:, core], filled, returns @ loadings)
        every = np.empty((count, moves.shape[1]))
        every[:, core] = loadings
        every[:, ~core] = late_loadings(returns, standard[:, ~core], weights, loadings)
        return Factors(returns, every * scale, _names(count))

    def _count(self, values: np.ndarray, shape: tuple[int, int], weights: np.ndarray) -> int:
        """Number of factors by the named criterion from the largest eigenvalues, in falling order."""
        observations, most = 1 / (weights**2).sum(), len(values) - 1
        if self.factors == "square_root":
            return min(round(shape[1] ** 0.5), most)
        if self.factors == "bai_ng":
            left = 1 - np.concatenate([[0.0], np.cumsum(values[:most])]) / shape[1]
            harmonic = (shape[1] + observations) / (shape[1] * observations)
            penalty = np.arange(most + 1) * harmonic * np.log(min(shape[1], observations))
            return int(np.argmin(np.log(np.maximum(left, 1e-15)) + penalty))
        if self.factors == "eigenvalue_ratio":
            return int(np.argmax(values[:-1] / np.maximum(values[1:], 1e-15))) + 1 if most else 0
        raise SpecError(
            f"FactorRisk: factors is {self.factors!r}; give a number, 'square_root', 'bai_ng' or 'eigenvalue_ratio'"
        )


class StackedRisk(FactorModel):
    """Factor models one after another, each on what the ones before left over: market, then sectors, then statistical.

    stages   factor models (ObservedFactorRisk, FundamentalRisk, FactorRisk, ...), cloned; their own halflife is unused
    halflife, clusters, min_periods: see FactorModel. The covariance of all stages' factors is estimated jointly.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> stages = (oh.risk.ObservedFactorRisk(["A"]), oh.FactorRisk(1))
    >>> oh.risk.StackedRisk(stages).fit(moves).risk_.drivers.tolist()
    ['A', 'B', 'C', 'D']
    """

    def __init__(
        self,
        stages: tuple[FactorModel, ...],
        halflife: float | None = 252.0,
        clusters: float = 0.5,
        min_periods: int = 10,
    ) -> None:
        self.stages = stages
        self.halflife = halflife
        self.clusters = clusters
        self.min_periods = min_periods

    def extract(self, moves: np.ndarray, drivers: pd.Index, rows: pd.Index, weights: np.ndarray) -> Factors:
        left, found = moves, []
        for stage in self.stages:
            found.append(clone(stage).extract(left, drivers, rows, weights))
            left = left - found[-1].returns @ found[-1].loadings
        names = tuple(f"{i + 1}:{name}" for i, part in enumerate(found) for name in part.names)
        return Factors(np.hstack([f.returns for f in found]), np.vstack([f.loadings for f in found]), names)


def decay_weights(rows: int, halflife: float | None) -> np.ndarray:
    """Weights of the rows, oldest first, that halve every `halflife` rows (None: equal); their sum is one."""
    weights = np.ones(rows) if halflife is None else 0.5 ** (np.arange(rows)[::-1] / halflife)
    return weights / weights.sum()


def principal_components(moves: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest `count` eigenvalues of moves' moves (falling) and their axes (count x D, positive sum).

    From the Gram matrix of the shorter side; squares the condition number, harmless for the leading components.
    """
    return _components(moves, count)[:2]


def _components(moves: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The same, and moves' moves below its diagonal where it was formed."""
    wide = moves.shape[0] < moves.shape[1]
    gram = moves @ moves.T if wide else moves.T @ moves
    size = len(gram)
    last = [size - count, size - 1]
    values, vectors = eigh(gram.T, subset_by_index=last, overwrite_a=True, check_finite=False)  # in LAPACK's order
    values, axes = np.maximum(values[::-1], 1e-300), vectors[:, ::-1].T
    if wide:
        axes = (axes @ moves) / np.sqrt(values)[:, None]
    axes = axes * np.where(axes.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    return values, axes, None if wide else gram  # of which the rest was LAPACK's to work in


def _left(products: np.ndarray, loadings: np.ndarray) -> Left | None:
    """What loadings (k x D) leave of standardised moves whose products are told below the diagonal (overwritten)."""
    shares = 1 - np.einsum("kd,kd->d", loadings, loadings)
    if not shares.min() >= _TOLD:
        return None
    return Left(shares, dsyrk(-1.0, loadings.T, beta=1.0, c=products.T, lower=0, overwrite_c=1))


def _names(count: int) -> tuple[str, ...]:
    return tuple(f"PC{i + 1}" for i in range(count))


def late_loadings(factors: np.ndarray, moves: np.ndarray, weights: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Loadings (k x D) of unit-variance drivers with short histories on factors (T x k): regression from a prior.

    The prior is the mean and scatter of the `known` loadings (k x others), as in Vasicek's betas, so that a driver
    listed last week loads like the others until its own moves say otherwise. moves: T x D, NaN where not observed.
    """
    mean, scatter = known.mean(axis=1), known.var(axis=1) + 1e-12
    noise = max(1 - (known**2).sum(axis=0).mean(), 0.05)
    loadings = np.empty((len(known), moves.shape[1]))
    for column in range(moves.shape[1]):
        rows = np.isfinite(moves[:, column])
        own = weights[rows] * weights[rows].sum() / (weights[rows] ** 2).sum()
        gram = factors[rows].T @ (own[:, None] * factors[rows])
        surprise = moves[rows, column] - factors[rows] @ mean
        loadings[:, column] = mean + np.linalg.solve(
            gram + np.diag(noise / scatter), factors[rows].T @ (own * surprise)
        )
    return loadings
