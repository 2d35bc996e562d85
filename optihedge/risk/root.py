"""Risk: the joint distribution of the drivers' moves over one period, as a root and a specific part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from optihedge.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PSD_TOLERANCE = 1e-9  # negative eigenvalues up to this share of the largest are rounding


def _own(values: np.ndarray) -> np.ndarray:
    """A copy as floats; an array of floats that owns what it holds and cannot be written is its own."""
    kept = isinstance(values, np.ndarray) and values.dtype == np.float64 and values.base is None
    return values if kept and not values.flags.writeable else np.array(values, dtype=float)


@dataclass(frozen=True, eq=False)
class Risk:
    """Covariance of D drivers' moves over one period: root' root + diag(specific^2).

    root      k x D, one row per factor: the drivers' moves for one standard deviation of it
    specific  D, standard deviation of each driver's own move, shared by every contract on the driver
    drivers   D labels, unique
    periods_per_year   how many periods make a year (252 business days, 365 days, 1095 of 8 hours)
    notes     what was assumed where no history speaks, in sentences

    Positive semidefinite by construction. A full covariance has k = D and specific = 0. Raises DataError.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> covariance = pd.DataFrame([[4e-4, 1e-4], [1e-4, 1e-4]], index=["A", "B"], columns=["A", "B"])
    >>> risk = oh.Risk.from_covariance(covariance)
    >>> risk.volatility().round(6).to_dict()
    {'A': 0.02, 'B': 0.01}
    """

    root: np.ndarray
    specific: np.ndarray
    drivers: pd.Index
    periods_per_year: float = 252.0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        drivers = pd.Index(self.drivers, name="driver")
        root, specific = np.atleast_2d(_own(self.root)), _own(self.specific)
        if drivers.has_duplicates:
            raise DataError(f"Risk: driver {drivers[drivers.duplicated()][0]} appears twice; name each driver once")
        if root.shape[1] != len(drivers) or specific.shape != (len(drivers),):
            raise DataError(
                f"Risk: root is {root.shape} and specific {specific.shape} for {len(drivers)} drivers; give k x D and D"
            )
        for name, values in (("root", root), ("specific", specific)):
            if not np.isfinite(values).all():
                column = drivers[np.argwhere(~np.isfinite(np.atleast_2d(values)))[0][1]]
                raise DataError(f"Risk: {name} of driver {column} is not finite; check its history")
        if (specific < 0).any():
            driver = drivers[specific < 0][0]
            raise DataError(f"Risk: specific of driver {driver} is negative; give a standard deviation")
        if not (np.isfinite(self.periods_per_year) and self.periods_per_year > 0):
            raise DataError(f"Risk: periods_per_year is {self.periods_per_year}; give a positive number")
        for values in (root, specific):
            values.setflags(write=False)
        for name, value in (("root", root), ("specific", specific), ("drivers", drivers)):
            object.__setattr__(self, name, value)

    @classmethod
    def from_covariance(cls, covariance: pd.DataFrame, periods_per_year: float = 252.0) -> Risk:
        """Risk of a full D x D covariance of moves per period (labels on both sides). Raises DataError."""
        if not isinstance(covariance, pd.DataFrame):
            raise DataError(
                f"covariance is a {type(covariance).__name__}, which names no drivers; give "
                "pd.DataFrame(covariance, index=drivers, columns=drivers)"
            )
        if not covariance.index.equals(covariance.columns):
            raise DataError("covariance: row and column labels differ; give the same drivers in the same order")
        matrix = covariance.to_numpy(dtype=float)
        if not np.isfinite(matrix).all():
            row, column = np.argwhere(~np.isfinite(matrix))[0]
            raise DataError(f"covariance of {covariance.index[row]} and {covariance.columns[column]} is not finite")
        if not np.allclose(matrix, matrix.T, rtol=1e-8, atol=1e-12 * np.abs(matrix).max(initial=0.0)):
            raise DataError("covariance is not symmetric; give (C + C') / 2")
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        if values.size and values[0] < -_PSD_TOLERANCE * max(values[-1], 0.0):
            raise DataError(f"covariance has a negative eigenvalue ({values[0]:.3g}): no variance can be negative")
        root = (vectors * np.sqrt(np.clip(values, 0, None))).T
        noise = len(values) * np.finfo(float).eps * values[-1] if values.size else 0.0  # of a null space
        return cls(root[values > noise], np.zeros(len(covariance)), covariance.index, periods_per_year)

    def covariance(self) -> pd.DataFrame:
        """The D x D covariance of moves per period."""
        dense = self.root.T @ self.root + np.diag(self.specific**2)
        return pd.DataFrame(dense, index=self.drivers, columns=self.drivers)

    def volatility(self) -> pd.Series:
        """Standard deviation of each driver's move per period."""
        return pd.Series(np.sqrt((self.root**2).sum(axis=0) + self.specific**2), index=self.drivers, name="volatility")

    def correlation(self) -> pd.DataFrame:
        """The D x D correlations of moves; a driver that never moves has none but with itself."""
        size = np.where(self.volatility() > 0, self.volatility(), 1.0)
        dense = self.covariance() / np.outer(size, size)
        return dense.where(~np.eye(len(size), dtype=bool), 1.0)

    def __repr__(self) -> str:
        return (
            f"<Risk: {len(self.drivers)} drivers, {len(self.root)} factors, {self.periods_per_year:g} periods a year>"
        )

    def plot(self) -> Figure:
        """Volatilities of the most volatile drivers and the correlations among them."""
        from optihedge.display import plot_risk

        return plot_risk(self.volatility(), self.correlation())

    def _repr_html_(self) -> str:
        from optihedge.display import page_html

        annual = self.volatility() * np.sqrt(self.periods_per_year)
        table = pd.DataFrame({"volatility per period": self.volatility(), "annualised": annual})
        table["shared by factors"] = 1 - self.specific**2 / np.where(self.volatility() > 0, self.volatility(), 1.0) ** 2
        return page_html(f"Risk of {len(self.drivers)} drivers, {len(self.root)} factors", {"": table})

    def variance(self, loadings: np.ndarray) -> np.ndarray:
        """Variance per period, base currency squared, of positions with loadings D or D x n."""
        own = (self.specific**2) @ (np.asarray(loadings) ** 2)
        return ((self.root @ loadings) ** 2).sum(axis=0) + own

    def reindex(self, drivers: pd.Index) -> Risk:
        """The same risk for these drivers only, in this order. Raises DataError for one that is not known."""
        positions = self.drivers.get_indexer(drivers)
        if (positions < 0).any():
            raise DataError(f"the risk does not know driver {pd.Index(drivers)[positions < 0][0]}; add its history")
        return Risk(self.root[:, positions], self.specific[positions], drivers, self.periods_per_year)

    def scaled(self, volatility: float | np.ndarray) -> Risk:
        """The same correlations with every volatility (or each of D) multiplied."""
        return Risk(self.root * volatility, self.specific * volatility, self.drivers, self.periods_per_year)

    @classmethod
    def mix(cls, risks: list[Risk], weights: np.ndarray) -> Risk:
        """The risk whose covariance is the weighted sum of the given ones: roots stack. Weights >= 0."""
        weights = np.asarray(weights, dtype=float)
        first = risks[0]
        if (weights < 0).any() or len(weights) != len(risks):
            raise DataError(f"mix: weights are {weights.tolist()} for {len(risks)} risks; give one >= 0 for each")
        if any(not r.drivers.equals(first.drivers) or r.periods_per_year != first.periods_per_year for r in risks):
            raise DataError("mix: the risks' drivers or periods differ; reindex them first")
        root = np.vstack([np.sqrt(w) * r.root for w, r in zip(weights, risks, strict=True)])
        specific = np.sqrt(sum(w * r.specific**2 for w, r in zip(weights, risks, strict=True)))
        return cls(root, specific, first.drivers, first.periods_per_year)
