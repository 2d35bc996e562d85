"""ContractRisk: the distribution of contracts' own P&L, where it comes from revaluation and not from drivers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray
_SHOWN = 20  # contracts of a picture
GAMMA = "gamma"  # the source of what is of second order in the moves


@dataclass(frozen=True, eq=False, kw_only=True)
class ContractRisk:
    """Variance of N contracts' P&L over `periods`: root' root + specifics' specifics + diag(own^2), base currency.

    names      N contracts
    root       r x N, base currency per contract for one standard deviation of an independent source
    sources    r labels: what each row speaks of ("spot", "vol", "gamma", ...)
    specifics  s x N, sparse, the same for sources that few contracts share; `specific_sources`: s labels
    own        N, standard deviation of each contract's own P&L
    driver_volatility   per driver and period, for market impact and carry
    notes      what a reader should know

    Positive semidefinite by construction. Raises DataError.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> risk = oh.SmileRisk().fit(market).risk_
    >>> len(risk.names) == len(market.names)
    True
    """

    names: pd.Index
    root: Array
    sources: tuple[str, ...]
    own: Array
    specifics: sp.csr_array = None  # type: ignore[assignment]  # none
    specific_sources: tuple[str, ...] = ()
    periods: float = 1.0
    periods_per_year: float = 252.0
    driver_volatility: pd.Series = field(default_factory=lambda: pd.Series(dtype=float))
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = pd.Index(self.names)
        root, own = np.array(self.root, dtype=float, ndmin=2), np.array(self.own, dtype=float)
        specifics = sp.csr_array((0, len(names)) if self.specifics is None else self.specifics, dtype=float, copy=True)
        specifics.sum_duplicates()
        if names.has_duplicates:
            raise DataError(f"ContractRisk: {names[names.duplicated()][0]} appears twice; name each contract once")
        if root.shape != (len(self.sources), len(names)) or own.shape != (len(names),):
            raise DataError(
                f"ContractRisk: root is {root.shape} and own {own.shape} for {len(self.sources)} sources and "
                f"{len(names)} contracts; give r x N and N"
            )
        if specifics.shape != (len(self.specific_sources), len(names)):
            raise DataError(
                f"ContractRisk: specifics are {specifics.shape} for {len(self.specific_sources)} sources and "
                f"{len(names)} contracts; give s x N"
            )
        bad = ~np.isfinite(root).all(axis=0) | ~(np.isfinite(own) & (own >= 0))
        if bad.any() or not np.isfinite(specifics.data).all():
            raise DataError(f"ContractRisk: {names[int(np.argmax(bad))]} has no finite risk; complete its data")
        for array in (root, own, specifics.data, specifics.indices, specifics.indptr):
            array.setflags(write=False)
        for name, value in (("names", names), ("root", root), ("own", own), ("specifics", specifics)):
            object.__setattr__(self, name, value)

    def volatility(self) -> pd.Series:
        """Standard deviation of each driver's move per period, decimal."""
        return self.driver_volatility

    def deviation(self) -> pd.Series:
        """Standard deviation of each contract's P&L over `periods`, base currency per contract."""
        shared = (self.root**2).sum(axis=0) + np.asarray(self.specifics.power(2).sum(axis=0)).ravel()
        return pd.Series(np.sqrt(shared + self.own**2), index=self.names, name="deviation")

    def covariance(self) -> pd.DataFrame:
        """The N x N covariance of P&L over `periods`, base currency squared."""
        dense = self.root.T @ self.root + (self.specifics.T @ self.specifics).toarray() + np.diag(self.own**2)
        return pd.DataFrame(dense, index=self.names, columns=self.names)

    def plot(self) -> Figure:
        """Deviations of the contracts that move most, and the correlations among them."""
        from optihedge.display import plot_risk

        most = self.deviation().nlargest(_SHOWN)
        at = self.names.get_indexer(most.index)
        root, few = self.root[:, at], self.specifics[:, at].toarray()
        size = np.where(most > 0, most, 1.0)
        shared = (root.T @ root + few.T @ few + np.diag(self.own[at] ** 2)) / np.outer(size, size)
        return plot_risk(most, pd.DataFrame(shared, most.index, most.index))

    def _repr_html_(self) -> str:
        from optihedge.display import page_html

        table = self.deviation().to_frame()
        return page_html(f"Risk of {len(self.names)} contracts over {self.periods:g} periods", {"": table})
