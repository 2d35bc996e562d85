"""Whether a hedge worked: figures by hand and against another library, intervals that cover, costs counted."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from nights import DeltaRule, Trades, coin_markets, fundings, path

import optihedge as oh
from optihedge.backtest.effectiveness import Effectiveness, shortfall, worst_drawdown
from optihedge.backtest.simulate import run_backtest
from optihedge.backtest.slopes import newey_west
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


def noise(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Unit variance: independent and normal, or normal of a volatility that comes and goes (GARCH .05 .1 .85)."""
    drawn = rng.standard_normal(size + 200)
    if kind == "normal":
        return drawn[200:]
    out, variance = np.zeros(size + 200), 1.0
    for t, z in enumerate(drawn):
        out[t] = np.sqrt(variance) * z
        variance = 0.05 + 0.1 * out[t] ** 2 + 0.85 * variance
    return out[200:]


@pytest.mark.parametrize(
    ("kind", "size", "least"), [("normal", 12, 0.9), ("normal", 60, 0.9), ("clustered", 200, 0.75)]
)
def test_intervals_of_95_per_cent_cover_the_truth_of_few_periods_and_of_clustered_volatility(kind, size, least):
    """Blocks of five and plain percentiles held it in 0.82, 0.90 and 0.61 of cases."""
    rng, true = np.random.default_rng(1), {"variance removed": 0.75, "R2": 0.8, "slope": -0.8}
    inside = []
    for _ in range(150):
        book, left = noise(kind, size, rng), noise(kind, size, rng)
        table = Effectiveness.of(pnl(book, -book + 0.5 * left), draws=500).table
        inside.append([table.at[name, "low"] <= value <= table.at[name, "high"] for name, value in true.items()])
    assert (np.mean(inside, axis=0) >= least).all(), np.mean(inside, axis=0)


def test_intervals_shrink_with_more_periods_and_follow_the_blocks_asked_for():
    rng, widths = np.random.default_rng(1), {}
    for size in (60, 240):
        book = rng.standard_normal((20, size))
        rows = [Effectiveness.of(pnl(one, -one + 0.5 * rng.standard_normal(size)), draws=300).table.loc["slope"]
                for one in book]  # fmt: skip
        widths[size] = np.mean([row["high"] - row["low"] for row in rows])
    assert widths[240] < 0.7 * widths[60]
    one = pnl(book[0], -book[0] + rng.standard_normal(size))
    assert [Effectiveness.of(one, block=block).block for block in (None, 7, 999)] == [48, 7, 120]
    with pytest.raises(SpecError, match="block"):
        Effectiveness.of(one, block=0)


def test_errors_on_several_series_are_statsmodels_and_copies_share_their_slope():
    rng = np.random.default_rng(5)
    on = rng.standard_normal((200, 3)) * [1.0, 1e-4, 1e6]
    values = 0.2 + on @ [1.0, -2e4, 3e-6] + rng.standard_normal(200) * (1 + np.abs(on[:, 0]))
    ours = newey_west(values, on, lags=4)
    theirs = sm.OLS(values, sm.add_constant(on)).fit(cov_type="HAC", cov_kwds={"maxlags": 4})
    assert [ours.intercept, *ours.slopes] == pytest.approx(list(theirs.params), rel=1e-8)
    assert [ours.intercept_error, *ours.slope_errors] == pytest.approx(list(theirs.bse), rel=1e-8)
    alone, twice = newey_west(values, on[:, 0]), newey_west(values, np.column_stack([on[:, 0], on[:, 0], 0 * values]))
    assert twice.slopes[:2] == pytest.approx([alone.slope / 2] * 2) and np.isnan(twice.slopes[2])
    assert (twice.intercept, twice.intercept_error) == pytest.approx((alone.intercept, alone.intercept_error))


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


@pytest.fixture(scope="module")
def two_markets():
    """A share that is 1.5 of a second market and 0.5 % of a third of its own, held through 80 days without a hedge."""
    rng = np.random.default_rng(3)
    moves = 0.01 * rng.standard_normal((120, 3)) + [0.0, 0.004, 0.0]
    moves[:, 2] = 1.5 * moves[:, 1] + 0.001 * moves[:, 2]
    days = pd.date_range("2024-01-01", periods=120, tz="UTC")
    prices = pd.DataFrame(100 * np.cumprod(1 + moves, axis=0), days, columns=["A", "B", "X"])
    table = pd.DataFrame({"hedge": [True, True, False]}, index=["A", "B", "X"])
    markets = [oh.Market.from_prices(prices.iloc[: i + 1], base_currency="USD", spread=1e-4, instruments=table,
                                     market=["A", "B"]) for i in range(39, 120)]  # fmt: skip

    class Idle:
        def hedge(self, market: oh.Market, book: pd.Series) -> Trades:
            return Trades(pd.Series(dtype=float))

    return markets, run_backtest(Idle(), markets, {"X": 1_000.0})


def test_alpha_is_what_no_market_driver_explains(two_markets):
    """The second market rose by 0.4 % a day: none of it is alpha."""
    _, walk = two_markets
    alpha, mean = walk.alpha, walk.pnl["both"].mean()
    assert abs(alpha["alpha"]) < 4 * alpha["error"] and alpha["error"] < 0.2 * mean
    ends = 1.5 * 1_000.0 * 100.0 * walk.levels["B"].iloc[[0, -1]] / 100.0
    assert 0.8 * ends.min() < alpha["beta:B"] < 1.2 * ends.max()
    assert abs(alpha["beta"]) < 0.1 * alpha["beta:B"]


def test_greeks_of_a_walk_are_the_positions_exposures_and_betas_slopes_of_their_window(two_markets):
    markets, walk = two_markets
    for market in markets[::20]:
        at = market.as_of
        told = walk.greeks.loc[at].sum()
        held = walk.positions.loc[at].sum()
        expected = held @ market.exposures.loc[held.index, ["delta", "gamma", "vega", "theta"]]
        assert told.to_dict() == pytest.approx(expected.to_dict(), abs=1e-9)
    betas, moves = walk.betas(window=30), walk.levels.pct_change().iloc[1:]
    assert betas.iloc[:29].isna().all(axis=None)
    slope = np.polyfit(moves["B"].iloc[-30:], walk.pnl["both"].iloc[-30:], 1)[0]
    assert betas["B", "both"].iloc[-1] == pytest.approx(slope) == pytest.approx(betas["B", "book"].iloc[-1])
    with pytest.raises(SpecError, match="window is 2"):
        walk.betas(2)


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
