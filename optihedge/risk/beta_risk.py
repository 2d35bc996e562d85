"""Risk from betas: what the market drivers explain, and each driver's own rest."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.risk.beta import Beta
from optihedge.risk.estimator import Moves, RiskEstimator, periods_per_year
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.manners import clone
from optihedge.risk.root import Risk


class BetaRisk(RiskEstimator):
    """Factor risk with the market drivers as factors: covariance B C B' + diag(specific^2).

    B   D x m, the betas of `betas` (None: Beta(method="anchored"))
    C   covariance of the market drivers' moves, EWMA with `halflife` and `correlation_halflife` periods
    specific   EWMA volatility of moves less B market, `halflife`; 0 for a market driver

    The minimum-variance hedge of a book under this risk, with every market driver tradable, is minus its beta; with
    costs it stops trading where a trade no longer pays. What other drivers share (two vols, say) is not in it.
    Learns `betas_` (the fitted Beta) and `risk_`. Missing moves are left out, never read as zero.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> risk = oh.risk.BetaRisk(oh.Beta("ols", market="A")).fit(moves).risk_
    >>> risk.drivers.tolist()
    ['A', 'B', 'C', 'D']
    """

    _accepts_missing = True

    def __init__(
        self, betas: Beta | None = None, halflife: float = 63.0, correlation_halflife: float | None = 126.0
    ) -> None:
        self.betas = betas
        self.halflife = halflife
        self.correlation_halflife = correlation_halflife

    def fit(self, moves: Moves, y: object = None) -> Self:
        values, drivers = self._read(moves)
        if not self.halflife > 0:
            raise SpecError(f"BetaRisk: halflife is {self.halflife}; give a positive number of periods")
        self.betas_ = (Beta(method="anchored") if self.betas is None else clone(self.betas)).fit(moves)
        slopes = self.betas_.betas_.to_numpy()
        columns = drivers.get_indexer(self.betas_.betas_.columns)
        market = pd.DataFrame(values[:, columns], columns=drivers[columns])
        factor = EwmaRisk(self.halflife, self.correlation_halflife).fit(market).risk_.root
        own = values - np.nan_to_num(values[:, columns]) @ slopes.T
        seen = np.isfinite(own) & np.isfinite(values[:, columns]).all(axis=1)[:, None]
        weights = seen * 0.5 ** (np.arange(len(own))[::-1, None] / self.halflife)
        specific = np.sqrt((weights * np.where(seen, own, 0.0) ** 2).sum(axis=0) / weights.sum(axis=0))
        specific[columns] = 0.0
        self.risk_ = Risk(factor @ slopes.T, specific, drivers, periods_per_year(moves))
        return self
