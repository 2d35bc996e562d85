"""Risk from any covariance estimator of scikit-learn or skfolio, and risk that the desk brings itself."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.frames import read_raw
from optihedge.risk.estimator import Moves, MovesError, RiskEstimator, periods_per_year
from optihedge.risk.manners import Learner, clone
from optihedge.risk.root import Risk

_APART = 100.0  # times: a total variance further from the moves' own is an estimator's failure


class SampleRisk(RiskEstimator):
    """The covariance of a fitted scikit-learn or skfolio estimator as a Risk.

    estimator   anything whose `fit` leaves `covariance_` (LedoitWolf, OAS, skfolio's GerberCovariance, ...) or
                `return_distribution_.covariance` (a skfolio prior); None is the sample covariance about zero
    window      rows used, the latest; None is all of them

    Learns `estimator_` and `risk_`. NaN is refused by name: a dense covariance needs every driver on every row.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> risk = oh.risk.SampleRisk(window=400).fit(moves).risk_
    >>> bool(np.allclose(risk.volatility()["A"] ** 2, (moves["A"] ** 2).mean()))
    True
    """

    def __init__(self, estimator: Learner | None = None, window: int | None = None) -> None:
        self.estimator = estimator
        self.window = window

    def fit(self, moves: Moves, y: object = None) -> Self:
        values, drivers = self._read(moves)
        if self.window is not None and self.window < 2:
            raise SpecError(f"SampleRisk: window is {self.window}; give at least 2 rows")
        recent = values if self.window is None else values[-self.window :]
        self.estimator_ = (_sample() if self.estimator is None else clone(self.estimator)).fit(recent)
        covariance = pd.DataFrame(_covariance(self.estimator_), index=drivers, columns=drivers)
        _refuse_other_size(type(self.estimator_).__name__, covariance, recent)
        self.risk_ = Risk.from_covariance(covariance, periods_per_year(moves))
        return self


def _sample() -> Learner:
    from sklearn.covariance import EmpiricalCovariance

    return EmpiricalCovariance(assume_centered=True)


def _refuse_other_size(name: str, covariance: pd.DataFrame, moves: np.ndarray) -> None:
    """Raise MovesError where an estimator's total variance is not of the size of the moves' own (T x D)."""
    total = float(np.trace(covariance.to_numpy(float)))
    least, most = float(moves.var(axis=0).sum()) / _APART, float((moves**2).mean(axis=0).sum()) * _APART
    if not least <= total <= most:
        raise MovesError(
            f"SampleRisk: {name} says a total variance of {total:.3g} for moves whose own is {least * _APART:.3g}; "
            "take another estimator, or more rows than drivers"
        )


class GivenRisk(RiskEstimator):
    """The desk's own covariance of moves, checked and put in the order of the drivers that `fit` sees.

    covariance   D x D frame labelled by driver on both sides, or the path of such a CSV (first column: driver)
    periods      how many periods of the moves it covers: 1 as it stands, 252 for an annual one of daily moves

    `fit` learns nothing from the moves but their drivers. Raises DataError naming a driver it does not know.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> covariance = pd.DataFrame([[4e-4, 0.0], [0.0, 1e-4]], index=["A", "B"], columns=["A", "B"])
    >>> moves = pd.DataFrame({"A": [0.01, -0.02], "B": [0.0, 0.01]})
    >>> oh.risk.GivenRisk(covariance).fit(moves).risk_.volatility().round(6).to_dict()
    {'A': 0.02, 'B': 0.01}
    """

    _accepts_missing = True

    def __init__(self, covariance: pd.DataFrame | str | PathLike[str], periods: float = 1.0) -> None:
        self.covariance = covariance
        self.periods = periods

    def fit(self, moves: Moves, y: object = None) -> Self:
        _, drivers = self._read(moves, minimum=1)
        if not (np.isfinite(self.periods) and self.periods > 0):
            raise SpecError(f"GivenRisk: periods is {self.periods}; give a positive number")
        given = self.covariance if isinstance(self.covariance, pd.DataFrame) else read_covariance(self.covariance)
        unknown = drivers.difference(given.index, sort=False)
        if len(unknown):
            raise MovesError(f"GivenRisk: the covariance does not hold driver {unknown[0]}; add its row and column")
        self.risk_ = Risk.from_covariance(given / self.periods, periods_per_year(moves)).reindex(drivers)
        return self


def read_covariance(path: str | PathLike[str]) -> pd.DataFrame:
    """A covariance from a CSV whose header and first column name the drivers in the same order. Raises DataError."""
    table = read_raw(Path(path), first="driver")
    text = table.set_index(table.columns[0]).rename_axis(None)
    numbers = text.apply(pd.to_numeric, errors="coerce")
    if numbers.isna().to_numpy().any():
        row, column = np.argwhere(numbers.isna().to_numpy())[0]
        raise DataError(
            f"{path}: covariance of {text.index[row]} and {text.columns[column]} is {text.iat[row, column]!r}; "
            "give a number"
        )
    return numbers


def _covariance(fitted: Learner) -> np.ndarray:
    for holder in (fitted, getattr(fitted, "return_distribution_", None)):
        for name in ("covariance_", "covariance"):
            if isinstance(getattr(holder, name, None), np.ndarray):
                return getattr(holder, name)
    raise SpecError(f"SampleRisk: {type(fitted).__name__} leaves no covariance_ after fit; give a covariance estimator")
