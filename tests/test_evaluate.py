"""Evaluation of risk estimators: the right one wins, nothing ahead is read, figures are those of the definitions."""

import numpy as np
import pandas as pd
import pytest
from recorded import large_cap_returns, perpetual_closes
from sklearn.base import clone
from sklearn.covariance import LedoitWolf

from optihedge.backtest.evaluate import evaluate_risk, minimum_variance, usual_estimators, walk_risk
from optihedge.errors import DataError, SpecError
from optihedge.risk.adaptive import AdaptiveRisk
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.factor import FactorRisk
from optihedge.risk.root import Risk
from optihedge.risk.sample import GivenRisk, SampleRisk

DRIVERS = [f"D{i}" for i in range(12)]


def truth() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    root = rng.normal(1.0, 0.5, size=(2, 12))
    return pd.DataFrame(1e-4 * (root.T @ root + np.eye(12)), index=DRIVERS, columns=DRIVERS)


def some_moves(rows: int = 700) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(rows, 12)) @ np.linalg.cholesky(truth()).T
    return pd.DataFrame(values, index=pd.date_range("2021-01-01", periods=rows), columns=DRIVERS)


@pytest.fixture(scope="module")
def evaluation():
    estimators = {
        "truth": GivenRisk(truth()),
        "half": GivenRisk(truth() / 4),
        "diagonal": GivenRisk(truth() * np.eye(12)),
        "sample": SampleRisk(window=60),
    }
    return evaluate_risk(estimators, some_moves(), start=100, hedges=("D0", "D1"), books=40, size=5, refit=10)


def test_the_truth_has_a_bias_of_one_and_the_best_rank(evaluation):
    forecasts = evaluation.forecasts.xs("truth")
    np.testing.assert_allclose(forecasts["bias"], 1.0, atol=0.06)
    assert (forecasts["bias_low"] < 1.0).all() and (forecasts["bias_high"] > 1.0).all()
    assert evaluation.ranking().index[0] == "truth"
    assert (evaluation.forecasts.loc[["half"], "qlike_low"] > 0).all()


def test_half_the_volatility_is_a_bias_of_two_and_builds_the_same_portfolios(evaluation):
    bias = evaluation.forecasts["bias"]
    np.testing.assert_allclose(bias.xs("half"), 2 * bias.xs("truth"), rtol=1e-9)
    np.testing.assert_allclose(evaluation.variances["ratio"].xs("half"), 1.0, rtol=1e-6)


def test_no_estimator_builds_a_better_portfolio_than_the_truth(evaluation):
    ratios = evaluation.variances["ratio"].unstack()
    assert (ratios.loc["diagonal", ["long-short", "fully invested"]] > 1.2).all()
    assert (ratios.loc["sample"] > 1.0).all()


def test_the_periods_bound_the_table(evaluation):
    assert list(evaluation.periods.columns) == ["to 2021-12-31", "to 2022-12-01"]
    np.testing.assert_allclose(evaluation.periods.min(axis=1), evaluation.forecasts["period_low"])


def test_half_years_are_those_of_the_calendar():
    moves = some_moves(300).set_axis(pd.date_range("2021-03-01", periods=300), axis=0)
    found = evaluate_risk({"EWMA": EwmaRisk()}, moves, start=50, books=3, size=5, months=6)
    assert list(found.periods.columns) == ["to 2021-06-30", "to 2021-12-25"]


def test_bias_and_qlike_are_those_of_their_definitions():
    moves = some_moves(200)
    one = evaluate_risk({"a": GivenRisk(truth()), "b": EwmaRisk(30)}, moves, start=150, books=1, size=12, seed=4)
    weights = np.random.default_rng(4)
    exponential = weights.exponential(size=12)
    book = np.zeros(12)
    book[weights.choice(12, 12, replace=False)] = exponential / exponential.sum()
    returns, variances = moves.to_numpy() @ book, []
    for row in range(150, 200):
        variances.append(float(EwmaRisk(30).fit(moves.iloc[:row]).risk_.variance(book)))
    standard = returns[150:] ** 2 / np.array(variances)
    plain = book @ truth().to_numpy() @ book
    found = one.forecasts.loc[("b", "random long-only")]
    assert found["bias"] == pytest.approx(np.sqrt(standard.mean()), rel=1e-9)
    expected = (np.log(variances) + standard - np.log(plain) - returns[150:] ** 2 / plain).mean()
    assert found["qlike"] == pytest.approx(expected, rel=1e-9)


class Spy(GivenRisk):
    """Remembers the last row it was shown."""

    seen: list[pd.Timestamp] = []  # noqa: RUF012

    def fit(self, moves, y=None):
        Spy.seen.append(moves.index[-1])
        return super().fit(moves)


def test_a_forecast_is_made_from_the_rows_before_it_only():
    moves = some_moves(120)
    Spy.seen.clear()
    rows = [row for row, _ in walk_risk(Spy(truth()), moves, 100)]
    assert rows == list(range(100, 120))
    assert Spy.seen == list(moves.index[99:119])


def test_online_estimators_walk_as_if_fitted_anew():
    moves = some_moves(118)
    for estimator in (EwmaRisk(20, 40), AdaptiveRisk(FactorRisk(2))):
        for row, risk in walk_risk(estimator, moves, 108):
            expected = estimator.fit(moves.iloc[:row]).risk_.covariance()
            np.testing.assert_allclose(risk.covariance(), expected, rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("specific", [0.3, 0.0])
def test_minimum_variance_weights_meet_the_first_order_condition(specific):
    rng = np.random.default_rng(5)
    risk = Risk(rng.normal(size=(12, 12)), np.full(12, specific), pd.Index(DRIVERS))
    exposures = rng.normal(size=(12, 3))
    weights = minimum_variance(risk, exposures)
    np.testing.assert_allclose((exposures * weights).sum(axis=0), 1.0, rtol=1e-9)
    slope = risk.covariance().to_numpy() @ weights / exposures
    np.testing.assert_allclose(slope, np.broadcast_to(slope[:1], slope.shape), rtol=1e-6)


def test_drivers_with_gaps_are_left_out_and_named():
    moves = some_moves(160)
    late = moves.assign(D3=moves["D3"].where(moves.index > moves.index[30]))
    found = evaluate_risk({"EWMA": EwmaRisk()}, late, start=120, books=5, size=5)
    assert found.left_out == ("D3",)
    assert "1 drivers with gaps left out" in str(found)


@pytest.mark.parametrize("gapped", [["D0"], ["D5"], ["D0", "D5", "D7"]])
def test_a_row_with_a_gap_is_as_if_it_were_not_there(gapped):
    """D0 hedges: a gap of its own, or of others, costs the row and neither the driver nor the evaluation."""
    moves = some_moves(200)
    holed = moves.copy()
    for offset, name in enumerate(gapped):
        holed.iloc[[40 + offset, 150 + offset], holed.columns.get_loc(name)] = np.nan
    arguments = {"start": 120, "hedges": ("D0",), "books": 5, "size": 5}
    found = evaluate_risk({"EWMA": EwmaRisk()}, holed, **arguments)
    without = evaluate_risk({"EWMA": EwmaRisk()}, moves[holed.notna().all(axis=1)], **arguments)
    assert found.left_out == () and found.skipped == 2 * len(gapped)
    assert f"{2 * len(gapped)} rows with a gap left out" in str(found)
    pd.testing.assert_frame_equal(found.forecasts, without.forecasts)


def test_the_plot_shows_every_estimator():
    moves = some_moves(160)
    found = evaluate_risk({"EWMA": EwmaRisk(), "sample": SampleRisk()}, moves, start=120, books=5, size=5)
    figure = found.plot()
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["EWMA", "sample"]


def test_the_usual_estimators_are_estimators():
    assert all(repr(clone(estimator)) == repr(estimator) for estimator in usual_estimators().values())
    assert isinstance(next(iter(usual_estimators().values())).estimator, LedoitWolf)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"baseline": "GARCH"}, "baseline 'GARCH' is not among EWMA"),
        ({"hedges": ("SPY",)}, "hedge SPY is not a driver"),
        ({"hedges": ("D1", "D1")}, "hedges D1, D1 name one twice"),
        ({"hedges": DRIVERS}, "12 of 12 drivers without gaps are hedges; leave at least two"),
        ({"hedges": DRIVERS[:11]}, "11 of 12 drivers without gaps are hedges"),
        ({"start": 700}, "start is 700 of 700"),
        ({"books": 0}, "books is 0; give a whole number of 1 or more"),
        ({"size": 0}, "size is 0; give a whole number of 2 or more"),
        ({"size": 1}, "size is 1; give a whole number of 2 or more"),
        ({"refit": 0}, "refit is 0"),
        ({"months": 0}, "months is 0"),
        ({"books": 2.5}, r"books is 2\.5"),
    ],
)
def test_wrong_requests_are_named(arguments, message):
    with pytest.raises(SpecError, match=message):
        evaluate_risk({"EWMA": EwmaRisk()}, some_moves(), **{"start": 100, **arguments})


def test_a_hedge_that_does_not_move_is_named():
    still = some_moves(160).assign(D1=0.0)
    with pytest.raises(DataError, match="hedges D0, D1: betas: hedge 2 of 2 does not move"):
        evaluate_risk({"EWMA": EwmaRisk()}, still, start=100, hedges=("D0", "D1"), books=3, size=5)


def test_a_book_without_risk_is_refused_and_not_a_missing_figure():
    still = some_moves(160).assign(**dict.fromkeys(DRIVERS[2:], 0.0))
    with pytest.raises(DataError, match="sample forecasts no variance for a random long-only book at row 100"):
        evaluate_risk({"sample": SampleRisk()}, still, start=100, books=10, size=2)


def test_two_drivers_beside_a_hedge_have_every_figure():
    found = evaluate_risk({"EWMA": EwmaRisk()}, some_moves(160)[DRIVERS[:3]], start=100, hedges=("D0",), books=3)
    assert found.forecasts.notna().all(axis=None) and found.variances.notna().all(axis=None)


def default_against_ledoit_wolf(moves: pd.DataFrame, **settings: object) -> tuple[pd.DataFrame, pd.Series]:
    """Forecast table and variance ratios of the recommended default."""
    estimators = {name: usual_estimators()[name] for name in ("Ledoit-Wolf 252", "adaptive")}
    found = evaluate_risk(estimators, moves, start=252, **settings)
    return found.forecasts.xs("adaptive"), found.variances["ratio"].xs("adaptive")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "long_short", "invested", "refit"), [(100, 0.82, 0.92, 1), (400, 0.60, 0.76, 5)], ids=["100", "400"]
)
def test_the_default_is_calibrated_and_hedges_better_on_large_caps(recorded, names, long_short, invested, refit):
    returns = large_cap_returns(recorded("sp500_returns_2007_2016")).dropna(axis=1)
    chosen = np.sort(np.random.default_rng(0).choice(returns.shape[1], names, replace=False))
    forecasts, ratios = default_against_ledoit_wolf(returns.iloc[:, chosen], books=50, refit=refit)
    assert forecasts["bias"].between(0.92, 1.10).all()
    narrow = forecasts.loc[["random long-short", "hedged"]]
    assert (narrow["period_low"] > 0.88).all() and (narrow["period_high"] < 1.12).all()
    wide = forecasts.loc["random long-only"]
    assert wide["period_low"] > 0.85 and wide["period_high"] < 1.25
    gains = -forecasts.loc[["random long-only", "random long-short", "hedged"], "qlike"].to_numpy()
    assert (gains > [0.15, 0.05, 0.08]).all()
    assert ratios["long-short"] < long_short
    assert ratios["fully invested"] < invested


@pytest.mark.slow
def test_the_default_developed_on_equities_is_calibrated_on_perpetuals(recorded):
    closes = perpetual_closes(recorded("crypto_perp_daily")).dropna(axis=1)
    hedges = ("BTCUSDT", "ETHUSDT")
    forecasts, ratios = default_against_ledoit_wolf(
        closes.pct_change().iloc[1:], hedges=hedges, books=100, size=10, months=6
    )
    assert forecasts["bias"].between(0.92, 1.10).all()
    assert (forecasts["period_low"] > 0.82).all() and (forecasts["period_high"] < 1.18).all()
    assert (forecasts.loc[["random long-short", "hedged"], "qlike"] < -0.05).all()
    assert (ratios[["long-short", "fully invested"]] < 1).all()
    assert ratios["hedge"] < 1.05  # two hedges alone: nothing gained over Ledoit-Wolf, see Beta for hedge ratios
