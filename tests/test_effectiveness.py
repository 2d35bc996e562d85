"""Whether a hedge worked: figures by hand and against another library, intervals that cover, costs counted."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from nights import DeltaRule, coin_markets, fundings, path

import optihedge as oh
from optihedge.backtest.effectiveness import Effectiveness, newey_west, shortfall, worst_drawdown
from optihedge.backtest.simulate import run_backtest
from optihedge.errors import DataError, SpecError
from optihedge.step.policies.triggers import Band


def pnl(book, hedge, cost=0.0) -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=len(book), tz="UTC")
    return pd.DataFrame({"book": book, "hedge": hedge, "cost": cost}, index=index, dtype=float)


def test_figures_of_a_small_series_by_hand():
    book = [10.0, -20.0, 5.0, -5.0, 10.0, -10.0, 20.0, -10.0, 4.0, -4.0]
    hedge = [-9.0, 18.0, -5.0, 2.0, -10.0, 10.0, -16.0, 10.0, -6.0, 3.0]
    found = Effectiveness.of(pnl(book, hedge, 0.5), dead_zone=4.5)
    both = np.add(book, hedge)
    assert found["variance removed"] == pytest.approx(1 - np.var(both, ddof=1) / np.var(book, ddof=1))
    assert found.offsets["cumulative"].iloc[2] == pytest.approx(-(-9.0 + 18.0 - 5.0) / (10.0 - 20.0 + 5.0))
    # beyond the dead zone: 0.9 0.9 1.0 0.4 1.0 1.0 0.8 1.0, of which 0.4 is outside 0.8 to 1.25
    assert found.counted == 8 and found["offset in band"] == pytest.approx(7 / 8)
    assert found["cost"] == 5.0
    removed = np.var(book, ddof=1) - np.var(both, ddof=1)
    assert found["cost per variance removed"] == pytest.approx(5.0 / removed)
    assert found["R2"] == pytest.approx(np.corrcoef(book, hedge)[0, 1] ** 2)
    assert found.offsets["period"].iloc[1] == pytest.approx(0.9)
    assert "10 periods, 8 beyond the dead zone" in str(found)


def test_tails_and_drawdowns_by_hand():
    assert shortfall(np.array([-10.0, 1.0, 2.0, 3.0] * 5)) == pytest.approx(10.0)
    assert shortfall(np.arange(-10.0, 20.0)) == pytest.approx((10.0 + 0.5 * 9.0) / 1.5)  # 1.5 of 30 periods
    assert worst_drawdown(np.array([-3.0, 5.0, -4.0, -2.0, 7.0])) == 6.0
    assert worst_drawdown(np.array([-3.0, 1.0, 5.0])) == 3.0
    assert worst_drawdown(np.array([1.0, 2.0])) == 0.0


def test_newey_and_wests_errors_are_statsmodels():
    rng = np.random.default_rng(4)
    noise = np.convolve(rng.standard_normal(303), [1.0, 0.6, 0.3], "valid")
    on = rng.standard_normal(301)
    values = 0.3 - 1.2 * on + noise * (1 + 0.5 * np.abs(on))
    ours = newey_west(values, on, lags=5)
    theirs = sm.OLS(values, sm.add_constant(on)).fit(cov_type="HAC", cov_kwds={"maxlags": 5})
    assert [ours.intercept, ours.slope] == pytest.approx(list(theirs.params), rel=1e-10)
    assert [ours.intercept_error, ours.slope_error] == pytest.approx(list(theirs.bse), rel=1e-10)


def test_intervals_cover_what_they_say_and_shrink_with_more_periods():
    rng = np.random.default_rng(1)
    inside, widths = 0, {}
    for size in (60, 240):
        for _ in range(40):
            book = rng.standard_normal(size)
            found = Effectiveness.of(pnl(book, -book + 0.5 * rng.standard_normal(size)), draws=200)
            row = found.table.loc["variance removed"]
            widths.setdefault(size, []).append(row["high"] - row["low"])
            inside += row["low"] <= 0.75 <= row["high"] if size == 240 else 0
    assert inside >= 32  # of 40, at 95 %
    assert np.mean(widths[240]) < 0.7 * np.mean(widths[60])


def test_no_hedge_removes_nothing_and_has_no_slope():
    book = np.random.default_rng(0).standard_normal(30)
    table = Effectiveness.of(pnl(book, 0.0 * book)).table
    assert table.at["variance removed", "value"] == table.at["R2", "value"] == table.at["cost", "value"] == 0.0
    assert table.loc["slope"].isna().all() and np.isnan(table.at["cost per variance removed", "value"])


def test_what_says_nothing_is_refused():
    with pytest.raises(DataError, match="give 10 or more"):
        Effectiveness.of(pnl([1.0] * 5, [0.0] * 5))
    with pytest.raises(DataError, match="does not move"):
        Effectiveness.of(pnl([1.0] * 12, [0.0] * 12))
    with pytest.raises(DataError, match="is missing"):
        Effectiveness.of(pnl([1.0, np.nan] * 6, [0.0] * 12))


@pytest.mark.parametrize("noise", [0.0, 1e-14])
def test_what_moves_by_its_rounding_alone_does_not_move(noise):
    """A hedge that earned the same each period has no slope; a book that did is nothing to hedge."""
    rng = np.random.default_rng(2)
    same, moves = 100.0 * (1 + noise * rng.standard_normal(20)), rng.normal(0, 50.0, 20)
    found = Effectiveness.of(pnl(moves, same))
    assert np.isnan(found["slope"]) and np.isnan(found["slope_error"]) and found["R2"] == 0.0
    assert found["variance removed"] == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(DataError, match="does not move"):
        Effectiveness.of(pnl(same, moves))
    tiny = Effectiveness.of(pnl(moves * 1e-150, -0.5 * moves * 1e-150))
    assert tiny["slope"] == pytest.approx(-2.0) and tiny["slope_error"] == pytest.approx(0.0, abs=1e-9)


def test_a_tail_of_gains_has_nothing_to_remove():
    gains = 200.0 + np.arange(20.0)
    assert np.isnan(Effectiveness.of(pnl(gains, gains))["tail removed"])


@pytest.fixture(scope="module")
def walk():
    spots = path(13, seed=2)
    return run_backtest(DeltaRule(), coin_markets(spots), {"C1": -10.0, "COIN": 4.0}, events=fundings(spots))


def test_a_delta_hedge_of_options_removes_most_variance_and_says_so(walk):
    found = walk.effectiveness
    assert 0.6 < found["variance removed"] < 1.0
    assert found["slope"] == pytest.approx(-1.0, abs=0.3)
    assert found.table.loc["variance removed", "low"] <= found["variance removed"]


def test_frames_of_a_walk_agree_with_each_other(walk):
    book_and_hedge = walk.pnl["book"] + walk.pnl["hedge"]
    np.testing.assert_allclose(walk.pnl["both"], book_and_hedge, rtol=1e-12)
    np.testing.assert_allclose(walk.pnl["both"], walk.steps["change"].iloc[1:], rtol=1e-9, atol=1e-6)
    assert walk.monthly.sum().to_dict() == pytest.approx(walk.pnl.sum().to_dict())
    assert walk.parts.loc["hedge", "total"] == pytest.approx(walk.pnl["hedge"].sum(), rel=1e-9)
    each = walk.attribution("time", "account", "instrument").drop(columns="total").sum().sum()
    assert each == pytest.approx(walk.steps["change"].sum(), abs=1e-6)
    fall = walk.drawdown["both"].min()
    assert -fall == pytest.approx(worst_drawdown(walk.pnl["both"].to_numpy()))
    spots = path(13, seed=2)
    expected = walk.steps["cost"].iloc[:-1] * spots[1:] / spots[:-1]  # in coin, paid in the period after the list
    np.testing.assert_allclose(walk.pnl["cost"], expected, rtol=1e-3)
    scalping = walk.gamma_scalping
    assert (scalping["realised"] <= 0).all() and scalping["implied"].sum() > 0  # short options
    alpha = walk.alpha
    assert abs(alpha["alpha"]) < 5 * alpha["error"] and np.isfinite(alpha["beta"])
    assert "Backtest of 13 steps" in str(walk)


def test_a_band_trades_less_than_the_clock(walk):
    spots = path(13, seed=2)
    rested = run_backtest(DeltaRule(), coin_markets(spots), {"C1": -10.0, "COIN": 4.0}, events=fundings(spots),
                          policy=Band("delta", 40_000.0))  # fmt: skip
    assert rested.steps["notional"].sum() < 0.8 * walk.steps["notional"].sum()
    assert (rested.steps["status"] == "idle").sum() >= 2
    assert rested.effectiveness["cost"] < walk.effectiveness["cost"]


def test_simple_hedges_are_walked_beside():
    prices = 100 * np.cumprod(1 + 0.01 * np.random.default_rng(0).standard_normal((60, 2)), axis=0)
    prices[:, 1] = 100 * (prices[:, 0] / 100) ** 1.2 * np.exp(0.001 * np.random.default_rng(1).standard_normal(60))
    frame = pd.DataFrame(prices, columns=["INDEX", "X"], index=pd.date_range("2024-01-01", periods=60, tz="UTC"))
    table = pd.DataFrame({"hedge": [True, False]}, index=["INDEX", "X"])
    markets = [oh.Market.from_prices(frame.iloc[: i + 1], base_currency="USD", spread=1e-4, instruments=table)
               for i in range(48, 60)]  # fmt: skip
    model = oh.HedgeModel(risk=oh.SampleRisk(), objective=(oh.Variance(relative=1000), oh.SpreadCost()))
    walk = run_backtest(model, markets, {"X": 1_000.0}, beside=True)
    assert set(walk.summary.index) == {"this", "no hedge", "nearest instrument", "regression beta"}
    removed = walk.summary["variance removed"]
    assert removed["no hedge"] == 0.0
    assert removed[["this", "nearest instrument", "regression beta"]].min() > 0.8
    with pytest.raises(SpecError, match="needs a HedgeModel"):
        run_backtest(DeltaRule(), markets, {"X": 1.0}, beside=True)
    with pytest.raises(SpecError, match="at least two markets"):
        run_backtest(model, markets[:1], {"X": 1.0})
    with pytest.raises(DataError, match="is not after"):
        run_backtest(model, markets[:2][::-1], {"X": 1.0})
