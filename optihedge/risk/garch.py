"""Risk with volatilities forecast by the arch package's univariate models."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd

from optihedge.errors import SpecError, require_extra
from optihedge.risk.estimator import Moves, MovesError, RiskEstimator, periods_per_year
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.manners import clone


class GarchRisk(RiskEstimator):
    """Each driver's volatility from an arch model, correlations from a risk estimator on the standardised residuals.

    volatility      arch's name of the process: GARCH, EGARCH, FIGARCH, APARCH, HARCH ("GARCH" with o = 1 is GJR)
    p, o, q         its orders: squared moves, their asymmetric part, lagged variances
    distribution    arch's name: normal, t, skewt, ged
    correlation     a risk estimator; None is EwmaRisk(126). Bollerslev's (1990) constant correlations with a sample one

    Means are zero. Learns `risk_`, `volatility_` (D, forecast of the next row) and `parameters_` (by driver). Raises
    MovesError naming a driver whose fit did not converge; needs the extra `arch`. NaN is refused by name.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(0, 0.01, (400, 1))
    >>> moves = pd.DataFrame(common + rng.normal(0, 0.005, (400, 4)), columns=["A", "B", "C", "D"])
    >>> risk = oh.risk.GarchRisk().fit(moves[["A", "B"]]).risk_
    >>> bool(abs(risk.volatility()["A"] / 0.0112 - 1) < 0.3)
    True
    """

    def __init__(
        self,
        volatility: str = "GARCH",
        p: int = 1,
        o: int = 0,
        q: int = 1,
        distribution: str = "normal",
        correlation: RiskEstimator | None = None,
    ) -> None:
        self.volatility = volatility
        self.p = p
        self.o = o
        self.q = q
        self.distribution = distribution
        self.correlation = correlation

    def fit(self, moves: Moves, y: object = None) -> Self:
        try:
            from arch import arch_model
        except ImportError as error:
            raise require_extra("arch", "arch") from error
        values, drivers = self._read(moves, minimum=20)
        scale = np.sqrt((values**2).mean(axis=0))
        if not (scale > 0).all():
            raise MovesError(f"moves: driver {drivers[~(scale > 0)][0]} never moves; leave it out")
        standard, forecast, parameters = np.empty_like(values), np.empty(len(drivers)), {}
        for column, driver in enumerate(drivers):
            try:
                model = arch_model(
                    values[:, column] / scale[column],
                    mean="Zero",
                    vol=self.volatility,  # type: ignore[arg-type]
                    p=self.p,
                    o=self.o,
                    q=self.q,
                    dist=self.distribution,  # type: ignore[arg-type]
                    rescale=False,
                )
            except ValueError as error:
                raise SpecError(f"GarchRisk: {error}") from error
            fitted = model.fit(disp="off", show_warning=False)
            ahead = fitted.forecast(horizon=1, reindex=False).variance.to_numpy()[-1, 0]
            if fitted.convergence_flag != 0 or not np.isfinite(ahead):
                raise MovesError(
                    f"moves: the {self.volatility} fit of driver {driver} did not converge (arch's flag "
                    f"{fitted.convergence_flag}); give it more history, simpler orders, or use EwmaRisk"
                )
            standard[:, column] = fitted.std_resid
            forecast[column] = scale[column] * np.sqrt(ahead)
            parameters[driver] = fitted.params
        frame = pd.DataFrame(standard, columns=drivers)
        frame.attrs["periods_per_year"] = periods_per_year(moves)
        shape = clone(EwmaRisk(126) if self.correlation is None else self.correlation).fit(frame).risk_
        self.parameters_ = pd.DataFrame(parameters).T
        self.volatility_ = pd.Series(forecast, index=drivers, name="volatility")
        self.risk_ = shape.scaled(forecast / shape.volatility().to_numpy())
        return self
