"""Factor risk from observed factors: regressions over time on factor returns, or over drivers on characteristics."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from inspect import signature

import numpy as np
import pandas as pd
from scipy.linalg import null_space

from optihedge.errors import SpecError
from optihedge.frames import refuse_doubled
from optihedge.risk.estimator import MovesError
from optihedge.risk.factor import FactorModel, Factors
from optihedge.risk.manners import Learner, clone


class ObservedFactorRisk(FactorModel):
    """Time-series factor model: each driver's moves regressed on observed factor returns (Sharpe; Fama and French).

    factors      names of drivers that are the factors (an index, hedge ETFs), or a frame of factor returns whose index
                 holds every row of the moves (Fama-French); rows after the last move are never read
    regression   a scikit-learn linear regressor (Ridge, Lasso, HuberRegressor, ...); None is weighted least squares.
                 It sees factors and moves over their root mean squares, weights of mean one, and no intercept, so that
                 its penalty has no unit
    halflife, clusters, min_periods: see FactorModel

    A driver that is a factor loads one on itself and has no specific risk.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> risk = oh.risk.ObservedFactorRisk(["A"]).fit(moves).risk_
    >>> float(risk.specific[0].round(9))
    0.0
    """

    def __init__(
        self,
        factors: Sequence[Hashable] | pd.DataFrame = (0,),
        regression: Learner | None = None,
        halflife: float | None = 252.0,
        clusters: float = 0.5,
        min_periods: int = 10,
    ) -> None:
        self.factors = factors
        self.regression = regression
        self.halflife = halflife
        self.clusters = clusters
        self.min_periods = min_periods

    def extract(self, moves: np.ndarray, drivers: pd.Index, rows: pd.Index, weights: np.ndarray) -> Factors:
        inside = not isinstance(self.factors, pd.DataFrame)
        frame = pd.DataFrame(moves, index=rows, columns=drivers) if inside else pd.DataFrame(self.factors)
        names = pd.Index(list(self.factors))
        refuse_doubled(names, "ObservedFactorRisk")
        unknown = names.difference(frame.columns, sort=False)
        if len(unknown) or not len(names):
            wrong = f"factor {unknown[0]} is not among the drivers" if len(unknown) else "there are no factors"
            raise SpecError(f"ObservedFactorRisk: {wrong}; name drivers, or give a frame of factor returns")
        returns = frame.reindex(index=rows, columns=names).to_numpy(dtype=float)
        if not np.isfinite(returns).all():
            row, column = np.argwhere(~np.isfinite(returns))[0]
            raise MovesError(
                f"ObservedFactorRisk: factor {names[column]} has no return at {rows[row]}; give it, or drop the row"
            )
        scale = np.sqrt(weights @ returns**2)
        if not (scale > 0).all():
            raise MovesError(f"ObservedFactorRisk: factor {names[~(scale > 0)][0]} never moves; leave it out")
        loadings = self._regress(returns / scale, moves, weights) / scale[:, None]
        if inside:
            loadings[:, drivers.get_indexer(names)] = np.eye(len(names))
        return Factors(returns, loadings, tuple(str(name) for name in names))

    def _regress(self, factors: np.ndarray, moves: np.ndarray, weights: np.ndarray) -> np.ndarray:
        if self.regression is None:
            return weighted_regression(factors, moves, weights)
        fixed = {"fit_intercept": False} if "fit_intercept" in self.regression.get_params() else {}
        weighted = "sample_weight" in signature(self.regression.fit).parameters
        loadings = np.zeros((factors.shape[1], moves.shape[1]))
        for column in range(moves.shape[1]):
            rows = np.isfinite(moves[:, column])
            move, weight = moves[rows, column], weights[rows] / weights[rows].mean()
            size = np.sqrt((weight * move**2).mean())
            if size == 0:
                continue
            regressor = clone(self.regression).set_params(**fixed)
            if weighted:
                regressor.fit(factors[rows], move / size, sample_weight=weight)
            else:
                root = np.sqrt(weight)
                regressor.fit(factors[rows] * root[:, None], move / size * root)
            loadings[:, column] = size * np.ravel(regressor.coef_)
        return loadings


class FundamentalRisk(FactorModel):
    """Cross-sectional factor model: every row of moves regressed on what is known of the drivers (Rosenberg; Barra).

    characteristics   drivers x styles, the loadings themselves (z-scores, say); None: no styles
    sectors           the sector of each driver; None: no sector factors
    size              positive weight of each driver (capitalisation); None: one each
    halflife, clusters, min_periods: see FactorModel

    x_t = market_t + sector_t(of the driver) + characteristics style_t + e_t by least squares weighted with sqrt(size),
    under sum_s size_s sector_s = 0 (Heston and Rouwenhorst 1994), which makes `market` the size-weighted mean.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> sectors = pd.Series(["x", "x", "y", "y"], index=moves.columns)
    >>> oh.risk.FundamentalRisk(sectors=sectors).fit(moves).risk_.drivers.tolist()
    ['A', 'B', 'C', 'D']
    """

    def __init__(
        self,
        characteristics: pd.DataFrame | None = None,
        sectors: pd.Series | None = None,
        size: pd.Series | None = None,
        halflife: float | None = 252.0,
        clusters: float = 0.5,
        min_periods: int = 10,
    ) -> None:
        self.characteristics = characteristics
        self.sectors = sectors
        self.size = size
        self.halflife = halflife
        self.clusters = clusters
        self.min_periods = min_periods

    def extract(self, moves: np.ndarray, drivers: pd.Index, rows: pd.Index, weights: np.ndarray) -> Factors:
        size = np.ones(len(drivers)) if self.size is None else self._known("size", self.size, drivers)
        if not (size > 0).all():
            raise SpecError(f"FundamentalRisk: size of {drivers[~(size > 0)][0]} is not positive; mend it")
        design, constraint, names = [np.ones((len(drivers), 1))], [0.0], ["market"]
        if self.sectors is not None:
            codes, labels = pd.factorize(self._known("sectors", self.sectors, drivers), sort=True)
            dummies = np.eye(len(labels))[codes]
            design.append(dummies)
            constraint.extend(size @ dummies / size.sum())
            names.extend(str(label) for label in labels)
        if self.characteristics is not None:
            refuse_doubled(self.characteristics.columns, "FundamentalRisk")
            styles = self._known("characteristics", self.characteristics, drivers)
            design.append(styles)
            constraint.extend(np.zeros(styles.shape[1]))
            names.extend(str(name) for name in self.characteristics.columns)
        exposures = np.hstack(design)
        free = null_space(np.array([constraint])) if np.any(constraint) else np.eye(len(names))
        returns = np.empty((len(moves), len(names)))
        seen = np.isfinite(moves)
        for pattern in np.unique(seen, axis=0):
            at, root = (seen == pattern).all(axis=1), np.sqrt(size[pattern]) ** 0.5
            inverse = np.linalg.pinv(root[:, None] * (exposures[pattern] @ free))
            returns[at] = (moves[np.ix_(at, pattern)] * root) @ inverse.T @ free.T
        return Factors(returns, exposures.T.copy(), tuple(names))

    def _known(self, what: str, given: pd.DataFrame | pd.Series, drivers: pd.Index) -> np.ndarray:
        """Values of what is given, in the order of the drivers. Raises SpecError for a driver without one."""
        found = given.reindex(drivers)
        missing = found.isna().to_numpy().reshape(len(drivers), -1).any(axis=1)
        if missing.any():
            raise SpecError(f"FundamentalRisk: {what} of driver {drivers[missing][0]} is missing; add it")
        return found.to_numpy()


def weighted_regression(factors: np.ndarray, moves: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Loadings (k x D) of moves (T x D, NaN where not observed) on factors (T x k) by weighted least squares."""
    seen = np.isfinite(moves)
    weighted = weights[:, None] * factors
    loadings = np.linalg.pinv(factors.T @ weighted) @ (weighted.T @ np.where(seen, moves, 0.0))
    for column in np.flatnonzero(~seen.all(axis=0)):
        rows = seen[:, column]
        gram = factors[rows].T @ weighted[rows]
        loadings[:, column] = np.linalg.pinv(gram) @ (weighted[rows].T @ moves[rows, column])
    return loadings
