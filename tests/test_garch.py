"""Risk on the arch package's volatilities: its forecasts, an estimator's correlations."""

import numpy as np
import pandas as pd
import pytest

from optihedge.errors import DataError, SpecError
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.garch import GarchRisk

arch = pytest.importorskip("arch")


def some_moves(rows: int = 500) -> pd.DataFrame:
    """Three drivers with GARCH(1, 1) volatilities of about 1 %, correlated 0.6."""
    rng = np.random.default_rng(0)
    common, variance, values = rng.normal(size=rows), np.ones(3), np.empty((rows, 3))
    for row in range(rows):
        values[row] = np.sqrt(variance) * (np.sqrt(0.6) * common[row] + np.sqrt(0.4) * rng.normal(size=3))
        variance = 0.05 + 0.1 * values[row] ** 2 + 0.85 * variance
    frame = pd.DataFrame(0.01 * values, columns=["A", "B", "C"])
    frame.attrs["periods_per_year"] = 365.0
    return frame


@pytest.mark.parametrize(("o", "distribution"), [(0, "normal"), (1, "t")])
def test_volatilities_are_archs_own_forecasts(o, distribution):
    moves = some_moves()
    risk = GarchRisk(o=o, distribution=distribution).fit(moves).risk_
    for driver in moves:
        size = np.sqrt((moves[driver] ** 2).mean())
        model = arch.arch_model(moves[driver] / size, mean="Zero", o=o, dist=distribution, rescale=False)
        theirs = size * np.sqrt(model.fit(disp="off").forecast(horizon=1).variance.iloc[-1, 0])
        assert risk.volatility()[driver] == pytest.approx(theirs, rel=1e-10)
    assert risk.periods_per_year == 365.0


def test_correlations_are_the_estimators_on_standardised_residuals():
    moves = some_moves()
    covariance = GarchRisk(correlation=EwmaRisk(1e6)).fit(moves).risk_.covariance()
    volatility = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(volatility, volatility)
    np.testing.assert_allclose(correlation, 0.6 + 0.4 * np.eye(3), atol=0.08)


def test_a_fit_that_did_not_converge_is_named(monkeypatch):
    result = type(arch.arch_model(100 * some_moves()["A"], mean="Zero").fit(disp="off"))
    monkeypatch.setattr(result, "convergence_flag", property(lambda self: 9))
    with pytest.raises(DataError, match=r"driver A did not converge .*flag 9"):
        GarchRisk().fit(some_moves())


@pytest.mark.parametrize(
    ("fit", "error", "message"),
    [
        (lambda m: GarchRisk().fit(m.assign(B=0.0)), DataError, "driver B never moves"),
        (lambda m: GarchRisk().fit(m.assign(B=m["B"].where(m.index > 3))), DataError, "driver B is nan"),
        (lambda m: GarchRisk("ARCHIE").fit(m), SpecError, "GarchRisk: "),
    ],
)
def test_wrong_input_is_named(fit, error, message):
    with pytest.raises(error, match=message):
        fit(some_moves())
