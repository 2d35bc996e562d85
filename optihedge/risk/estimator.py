"""What every risk estimator shares: the door for moves, the likelihood score, the scikit-learn manners."""

from __future__ import annotations

from functools import wraps
from numbers import Integral
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
from scipy.linalg import cho_solve, cholesky

from optihedge.errors import DataError, SpecError
from optihedge.market.snapshot import Market
from optihedge.program.threads import one_thread
from optihedge.risk.contract_risk import ContractRisk
from optihedge.risk.manners import Estimator, plain_values, refuse_unfitted
from optihedge.risk.root import Risk

Moves: TypeAlias = pd.DataFrame | np.ndarray


class MovesError(DataError, ValueError):
    """The moves handed to an estimator are wrong. A ValueError too, as scikit-learn's callers expect."""


class LimitedEstimator(Estimator):
    """An estimator whose `fit` and `partial_fit`, and those of every subclass, use one thread of linear algebra."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for name in ("fit", "partial_fit"):
            if name in cls.__dict__:
                setattr(cls, name, _limited(cls.__dict__[name]))


def _limited(learn: Any) -> Any:
    @wraps(learn)
    def limited(*arguments: Any, **keywords: Any) -> Any:
        with one_thread():
            return learn(*arguments, **keywords)

    return limited


class MovesEstimator(LimitedEstimator):
    """The door for moves that all estimators share; `_accepts_missing`: NaN may stand for a move not observed."""

    _accepts_missing = False

    def _read(self, moves: Moves, *, reset: bool = True, minimum: int = 2) -> tuple[np.ndarray, pd.Index]:
        """The moves as T x D floats with their drivers; raises MovesError naming driver and row."""
        if isinstance(moves, pd.DataFrame) and moves.columns.has_duplicates:
            raise MovesError(
                f"moves: driver {moves.columns[moves.columns.duplicated()][0]} appears twice; keep one column"
            )
        values = self._values(moves, reset, minimum)
        drivers = moves.columns if isinstance(moves, pd.DataFrame) else pd.RangeIndex(values.shape[1])
        rows = moves.index if isinstance(moves, pd.DataFrame) else pd.RangeIndex(len(values))
        bad = np.isinf(values) if self._accepts_missing else ~np.isfinite(values)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise MovesError(
                f"moves: driver {drivers[column]} is {values[row, column]} (NaN or infinity) at {rows[row]}; "
                f"{type(self).__name__} needs a finite move there"
            )
        if isinstance(rows, pd.DatetimeIndex) and not (rows.is_monotonic_increasing and rows.is_unique):
            raise MovesError("moves: the rows are not in strictly increasing order of time; sort them, drop duplicates")
        return values, drivers

    def _values(self, moves: Moves, reset: bool, minimum: int) -> np.ndarray:
        """What scikit-learn's check gives, which is asked where it may have something to say."""
        plain = plain_values(self, moves, reset=reset, minimum=minimum)
        if plain is not None:
            return plain
        from sklearn.utils.validation import validate_data

        asked = {"dtype": np.float64, "ensure_all_finite": False, "ensure_min_samples": minimum}
        return validate_data(self, moves, reset=reset, **asked)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._accepts_missing
        return tags


class RiskEstimator(MovesEstimator):
    """Base of the estimators that turn moves (T x D) into a Risk over their drivers.

    A subclass has `fit(moves, y=None)` that sets `risk_`, and says in `_accepts_missing` whether NaN may stand for
    a move that was not observed (a late listing, a holiday); it is never read as zero.
    """

    risk_: Risk

    def fit(self, moves: Moves, y: object = None) -> Self:
        raise NotImplementedError

    def score(self, moves: Moves, y: object = None) -> float:
        """Mean Gaussian log likelihood of a row of moves (zero mean) under `risk_`; higher is better."""
        refuse_unfitted(self, "risk_")
        values, _ = self._read(moves, reset=False, minimum=1)
        return float(log_likelihood(self.risk_, values).mean())


class OnlineRiskEstimator(RiskEstimator):
    """An estimator that takes further rows: `partial_fit` on new rows equals `fit` on all of them.

    A call that raises leaves the estimator as it was.
    """

    def fit(self, moves: Moves, y: object = None) -> Self:
        return self._update_or_restore(moves, fresh=True)

    def partial_fit(self, moves: Moves, y: object = None) -> Self:
        """Add rows that follow those already seen; the first call is `fit`."""
        return self._update_or_restore(moves, fresh=not hasattr(self, "risk_"))

    def _update_or_restore(self, moves: Moves, *, fresh: bool) -> Self:
        before = dict(self.__dict__)
        try:
            return self._update(moves, fresh=fresh)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _update(self, moves: Moves, *, fresh: bool) -> Self:
        """`fit` (fresh) or `partial_fit`; replaces the learned arrays, never writes into them."""
        raise NotImplementedError


class ContractRiskEstimator(LimitedEstimator):
    """Base of the estimators that read a whole Market (chain, drivers, history) and learn a ContractRisk, `risk_`.

    A subclass has `fit(market, periods=1.0)`, periods the horizon in periods of the drivers.
    """

    risk_: ContractRisk

    def fit(self, market: Market, periods: float = 1.0) -> Self:
        raise NotImplementedError


def periods_per_year(moves: Moves, default: float = 252.0) -> float:
    """How many periods of these moves make a year: `moves.attrs["periods_per_year"]`, else 252."""
    return float(getattr(moves, "attrs", {}).get("periods_per_year", default))


def whole_number(what: str, value: object, least: int) -> None:
    """Raise SpecError unless value is a whole number of at least `least`."""
    if not isinstance(value, Integral) or value < least:
        raise SpecError(f"{what} is {value!r}; give a whole number of at least {least}")


def require_history(observed: np.ndarray, drivers: pd.Index, minimum: int) -> None:
    """Raise MovesError for the first driver with fewer than `minimum` observed moves (observed: D counts)."""
    short = observed < minimum
    if short.any():
        raise MovesError(
            f"moves: driver {drivers[short][0]} has {int(observed[short][0])} observed moves, fewer than {minimum} "
            f"({int(short.sum())} such drivers); give a longer history, a proxy, or leave the driver out"
        )


def log_likelihood(risk: Risk, moves: np.ndarray) -> np.ndarray:
    """Gaussian log density (zero mean) of each row of moves, T x D in the risk's order; NaN is integrated out.

    -inf where the covariance is singular. Factor form stays in factor form (Woodbury).
    """
    missing = np.isnan(moves)
    density = np.empty(len(moves))
    for pattern in np.unique(missing, axis=0):
        rows, seen = (missing == pattern).all(axis=1), ~pattern
        density[rows] = _log_density(risk.root[:, seen], risk.specific[seen], moves[np.ix_(rows, seen)])
    return density


def _log_density(root: np.ndarray, specific: np.ndarray, moves: np.ndarray) -> np.ndarray:
    constant = moves.shape[1] * np.log(2 * np.pi)
    try:
        if (specific > 0).all() and len(root) < len(specific):
            scaled, whitened = root / specific, moves / specific
            factor = cholesky(np.eye(len(root)) + scaled @ scaled.T, lower=True)
            projected = whitened @ scaled.T
            distance = (whitened**2).sum(1) - (projected * cho_solve((factor, True), projected.T).T).sum(1)
            log_determinant = 2 * (np.log(specific).sum() + np.log(np.diag(factor)).sum())
        else:
            factor = cholesky(root.T @ root + np.diag(specific**2), lower=True)
            distance = (moves * cho_solve((factor, True), moves.T).T).sum(1)
            log_determinant = 2 * np.log(np.diag(factor)).sum()
    except np.linalg.LinAlgError:
        return np.full(len(moves), -np.inf)
    return -0.5 * (constant + log_determinant + distance)
