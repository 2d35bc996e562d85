"""Betas agree with statsmodels and closed forms, and hedge ratios with the books."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from optihedge.errors import DataError, SpecError
from optihedge.risk.beta import Beta
from optihedge.risk.beta_regression import vasicek
from optihedge.risk.hedge_ratio import (
    beta_weighted_delta,
    contracts_for_beta,
    contracts_for_duration,
    dollar_offset,
    effectiveness,
    futures_contracts,
    minimum_variance_hedge,
    minimum_variance_ratio,
    r_squared,
)

AGREEMENT = 1e-10  # two least-squares routes on the same numbers
METHODS = ("ols", "ewma", "anchored", "dimson", "huber", "kalman")


def panel(seed: int = 0, periods: int = 300, missing: bool = False) -> pd.DataFrame:
    """Two correlated markets, five stocks with noise, one vol driver."""
    rng = np.random.default_rng(seed)
    market = rng.standard_normal((periods, 2)) @ [[0.010, 0.006], [0.0, 0.008]]
    true = np.array([[1.2, 0.1], [0.8, -0.3], [1.0, 0.5], [0.5, 0.0], [1.6, -0.2]])
    stocks = 0.0003 + market @ true.T + 0.012 * rng.standard_t(4, (periods, 5))
    if missing:
        stocks[:100, 1] = np.nan
        stocks[rng.random(periods) < 0.1, 2] = np.nan
    columns = ["SPX", "XLF", "A", "B", "C", "D", "E", "A vol"]
    moves = pd.DataFrame(np.column_stack([market, stocks, 0.01 * rng.standard_normal(periods)]), columns=columns)
    moves.index = pd.date_range("2020-01-01", periods=periods, tz="UTC")
    moves.attrs = {"markets": ("SPX", "XLF"), "kinds": {"A vol": "vol"}}
    return moves


@pytest.mark.parametrize("missing", [False, True])
def test_ols_betas_and_errors_are_statsmodels(missing: bool) -> None:
    import statsmodels.api as sm

    moves = panel(missing=missing)
    beta = Beta().fit(moves)
    for name in "ABCDE":
        rows = moves[["SPX", "XLF", name]].dropna()
        oracle = sm.OLS(rows[name], sm.add_constant(rows[["SPX", "XLF"]])).fit()
        np.testing.assert_allclose(beta.betas_.loc[name], oracle.params.iloc[1:], rtol=AGREEMENT)
        np.testing.assert_allclose(beta.standard_errors_.loc[name], oracle.bse.iloc[1:], rtol=AGREEMENT)


def test_ewma_betas_are_weighted_least_squares_with_a_sandwich_error() -> None:
    moves = panel()
    beta = Beta(method="ewma", halflife=40).fit(moves)
    weights = 0.5 ** (np.arange(len(moves))[::-1] / 40)
    design = np.column_stack([np.ones(len(moves)), moves[["SPX", "XLF"]]])
    bread = np.linalg.inv(design.T * weights @ design)
    hat = bread @ (design.T * weights)
    residuals = moves["A"] - design @ (hat @ moves["A"])
    influence = np.eye(len(moves)) - design @ hat
    variance = weights @ residuals**2 / np.trace(influence.T * weights @ influence)
    np.testing.assert_allclose(beta.betas_.loc["A"], (hat @ moves["A"])[1:], rtol=AGREEMENT)
    errors = np.sqrt(variance * np.diag(hat @ hat.T))[1:]
    np.testing.assert_allclose(beta.standard_errors_.loc["A"], errors, rtol=1e-8)


def test_anchored_betas_solve_their_ridge_and_carry_its_error() -> None:
    moves = panel(2)
    beta = Beta(method="anchored", halflife=30, anchor_halflife=200, anchor=0.7).fit(moves)
    x, y = moves[["SPX", "XLF"]].to_numpy(), moves["B"].to_numpy()
    age = np.arange(len(moves))[::-1]
    fast, slow = 0.5 ** (age / 30), 0.5 ** (age / 200)
    fast, slow = fast / fast.sum(), slow / slow.sum()
    penalty = np.eye(2) * 0.7 * np.trace(x.T * fast @ x) / 2
    to_slow = np.linalg.inv(x.T * slow @ x) @ (x.T * slow)
    to_beta = np.linalg.inv(x.T * fast @ x + penalty) @ (x.T * fast + penalty @ to_slow)
    influence = np.eye(len(y)) - x @ to_slow
    variance = slow @ (influence @ y) ** 2 / np.trace(influence.T * slow @ influence)
    np.testing.assert_allclose(beta.betas_.loc["B"], to_beta @ y, rtol=1e-9)
    errors = np.sqrt(variance * np.diag(to_beta @ to_beta.T))
    np.testing.assert_allclose(beta.standard_errors_.loc["B"], errors, rtol=1e-8)
    held = Beta(method="anchored", halflife=30, anchor_halflife=200, anchor=1e9).fit(moves)
    np.testing.assert_allclose(held.betas_.loc["B"], to_slow @ y, rtol=1e-6)


def test_huber_betas_and_errors_are_statsmodels() -> None:
    import statsmodels.api as sm

    moves = panel(3)
    beta = Beta(method="huber").fit(moves)
    design = sm.add_constant(moves[["SPX", "XLF"]])
    oracle = sm.RLM(moves["D"], design, M=sm.robust.norms.HuberT()).fit(tol=1e-12, maxiter=200)
    np.testing.assert_allclose(beta.betas_.loc["D"], oracle.params.iloc[1:], rtol=1e-7)
    np.testing.assert_allclose(beta.standard_errors_.loc["D"], oracle.bse.iloc[1:], rtol=1e-4)


def test_huber_ignores_a_wild_day_that_moves_ols() -> None:
    moves = panel(4)
    wild = moves.copy()
    wild.attrs = moves.attrs
    wild.iloc[150, 2] = 3.0
    shift = {m: (Beta(method=m).fit(wild).betas_ - Beta(method=m).fit(moves).betas_).abs().max().max()
             for m in ("ols", "huber")}  # fmt: skip
    assert shift["huber"] < 0.2 * shift["ols"]


def test_dimson_sums_the_slopes_of_a_market_seen_a_day_late() -> None:
    rng = np.random.default_rng(5)
    market = 0.01 * rng.standard_normal(2000)
    stock = 0.5 * market + 0.7 * np.r_[0.0, market[:-1]] + 0.002 * rng.standard_normal(2000)
    moves = pd.DataFrame({"M": market, "S": stock})
    late = Beta(method="dimson", market=("M",)).fit(moves)
    assert abs(late.betas_.loc["S", "M"] - 1.2) < 4 * late.standard_errors_.loc["S", "M"]
    assert abs(Beta(market=("M",)).fit(moves).betas_.loc["S", "M"] - 0.5) < 0.1
    early = moves.assign(M=moves["M"].shift(1)).iloc[1:]  # now the stock leads
    lead = Beta(method="dimson", market=("M",), lags=0, leads=1).fit(early)
    assert abs(lead.betas_.loc["S", "M"] - 1.2) < 0.02


def test_a_kalman_beta_is_the_gaussian_posterior_of_a_random_walk() -> None:
    moves = panel(6, periods=60)
    drift = 0.05
    beta = Beta(method="kalman", drift=drift).fit(moves)
    x = np.column_stack([np.ones(60), moves[["SPX", "XLF"]]])
    y = moves["A"].to_numpy()
    ols = np.linalg.lstsq(x, y, rcond=None)[0]
    noise = np.sum((y - x @ ols) ** 2) / 57
    age = np.minimum.outer(np.arange(60)[::-1], np.arange(60)[::-1])  # periods of walk shared, seen from the end
    errors = noise * np.eye(60) + drift**2 * age * (x[:, 1:] @ x[:, 1:].T)
    precision = np.linalg.inv(errors)
    bread = np.linalg.inv(x.T @ precision @ x)
    np.testing.assert_allclose(beta.betas_.loc["A"], (bread @ x.T @ precision @ y)[1:], rtol=1e-5)
    np.testing.assert_allclose(beta.standard_errors_.loc["A"], np.sqrt(np.diag(bread))[1:], rtol=1e-5)


def test_vasicek_weighs_each_beta_by_its_precision() -> None:
    slopes, errors = np.array([[0.4], [0.9], [1.0], [1.7]]), np.array([0.3, 0.1, 0.2, 0.4])
    prior = 3 / (4 - 3) * np.var(slopes, ddof=1) - np.mean(errors**2)  # Efron and Morris 1975
    expected = (slopes[:, 0] / errors**2 + 1.0 / prior) / (1 / errors**2 + 1 / prior)
    shrunk, spread = vasicek(slopes, errors[:, None, None] ** 2, np.ones(4, bool))
    np.testing.assert_allclose(shrunk[:, 0], expected, rtol=AGREEMENT)
    np.testing.assert_allclose(spread[:, 0, 0], 1 / (1 / errors**2 + 1 / prior), rtol=AGREEMENT)


def test_shrunk_betas_of_several_markets_are_nearer_the_truth() -> None:
    rng = np.random.default_rng(7)
    market = 0.01 * rng.standard_normal((60, 2)) @ [[1, 0.9], [0, 0.4]]
    true = [1.0, 0.2] + rng.standard_normal((80, 2)) * [0.3, 0.2]
    names = ["M", "N", *[f"S{i}" for i in range(80)]]
    moves = pd.DataFrame(np.c_[market, market @ true.T + 0.02 * rng.standard_normal((60, 80))], columns=names)
    error = [((Beta(market=("M", "N"), shrinkage=s).fit(moves).betas_.iloc[2:] - true) ** 2).to_numpy().mean()
             for s in (None, "vasicek")]  # fmt: skip
    assert error[1] < 0.5 * error[0]


@pytest.mark.parametrize("names", [4, 5, 8])
@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
def test_shrinkage_of_few_betas_costs_nothing_on_average(names: int, spread: float) -> None:
    rng = np.random.default_rng(11)
    lost = []
    for _ in range(2000):
        true = 1.0 + spread * rng.standard_normal((names, 1))
        seen = true + rng.standard_normal((names, 1))
        shrunk, _ = vasicek(seen, np.ones((names, 1, 1)), np.ones(names, bool))
        lost.append([((seen - true) ** 2).mean(), ((shrunk - true) ** 2).mean()])
    plain, better = np.mean(lost, axis=0)
    assert better < plain


def test_three_betas_are_too_few_to_learn_from_and_stay() -> None:
    slopes, covariance = np.array([[0.4], [0.9], [1.7]]), np.full((3, 1, 1), 0.1)
    shrunk, spread = vasicek(slopes, covariance, np.ones(3, bool))
    assert (shrunk == slopes).all()
    assert (spread == covariance).all()
    with pytest.raises(DataError, match="has 2; it needs 4"):
        vasicek(slopes, covariance, np.array([True, True, False]))


@pytest.mark.parametrize("method", ["ols", "ewma", "anchored", "dimson", "kalman"])
def test_clip_draws_a_wild_day_in_and_leaves_a_quiet_history_alone(method: str) -> None:
    moves, wild = panel(4), panel(4)
    wild.iloc[250, 2] = 3.0
    shift = {c: (Beta(method=method, clip=c).fit(wild).betas_ - Beta(method=method, clip=c).fit(moves).betas_)
             .abs().max().max() for c in (None, 3.0)}  # fmt: skip
    assert shift[3.0] < 0.1 * shift[None]
    far = Beta(method=method, clip=1e3).fit(moves)
    pd.testing.assert_frame_equal(far.betas_, Beta(method=method).fit(moves).betas_, rtol=1e-12)


def test_a_clipped_beta_is_the_regression_of_moves_drawn_in() -> None:
    moves = panel(6)
    design = np.column_stack([np.ones(len(moves)), moves[["SPX", "XLF"]]])
    y = moves["C"].to_numpy()
    told = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    most = 1.5 * np.sqrt(np.pi / 2) * np.abs(y - told).mean()
    drawn = np.minimum(np.maximum(y, told - most), told + most)
    expected = np.linalg.lstsq(design, drawn, rcond=None)[0][1:]
    np.testing.assert_allclose(Beta(clip=1.5).fit(moves).betas_.loc["C"], expected, rtol=1e-9)


def test_blume_is_a_third_of_one_and_two_thirds_of_the_estimate() -> None:
    moves = panel()
    plain, blume = (Beta(market=("SPX",), shrinkage=s).fit(moves) for s in (None, "blume"))
    np.testing.assert_allclose(blume.betas_.loc["A"], 1 / 3 + 2 / 3 * plain.betas_.loc["A"])
    np.testing.assert_allclose(blume.standard_errors_.loc["A"], 2 / 3 * plain.standard_errors_.loc["A"])
    with pytest.raises(SpecError, match="exactly one market"):
        Beta(shrinkage="blume").fit(moves)


def test_a_market_is_one_to_itself_and_a_vol_driver_has_no_beta() -> None:
    beta = Beta().fit(panel())
    for frame, one in ((beta.betas_, 1.0), (beta.standard_errors_, 0.0)):
        assert list(frame.loc["SPX"]) == [one, 0.0]
        assert list(frame.loc["XLF"]) == [0.0, one]
        assert list(frame.loc["A vol"]) == [0.0, 0.0]
        assert list(frame.columns) == ["SPX", "XLF"]


def test_a_young_driver_is_named_or_gets_the_prior() -> None:
    moves = panel()
    moves.iloc[:-10, 2] = np.nan
    with pytest.raises(DataError, match="driver A has 10 moves"):
        Beta().fit(moves)
    beta = Beta(shrinkage="vasicek").fit(moves)
    assert np.isfinite(beta.betas_).all().all()
    assert beta.standard_errors_.loc["A", "SPX"] > 0


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda m: m.assign(SPX=0.0), DataError, "SPX does not move"),
        (lambda m: m.assign(XLF=2 * m["SPX"]), DataError, "SPX, XLF are collinear"),
        (lambda m: m.assign(A=np.inf), DataError, "driver A is inf .* at 2020-01-01"),
        (lambda m: m.drop(columns="XLF"), SpecError, "market driver XLF is not a driver"),
    ],
)
def test_bad_histories_are_named(spoil, error, message) -> None:
    moves = spoil(panel())
    with pytest.raises(error, match=message):
        Beta(market=("SPX", "XLF")).fit(moves)


def test_wrong_requests_are_named() -> None:
    with pytest.raises(SpecError, match="no market driver"):
        Beta().fit(panel().to_numpy())
    with pytest.raises(SpecError, match="method 'lasso' is unknown"):
        Beta(method="lasso").fit(panel())
    with pytest.raises(SpecError, match="halflife is 0"):
        Beta(halflife=0).fit(panel())
    with pytest.raises(SpecError, match="clip is 0"):
        Beta(clip=0).fit(panel())
    with pytest.raises(SpecError, match="huber draws far moves in itself"):
        Beta("huber", clip=3.0).fit(panel())


@pytest.mark.parametrize("method", METHODS)
def test_the_future_never_changes_the_fit(method: str) -> None:
    moves = panel()
    past = moves.iloc[:200]
    spoiled = moves.copy()
    spoiled.iloc[200:] = 9.9
    spoiled.attrs = past.attrs = moves.attrs
    first, second = Beta(method=method).fit(past), Beta(method=method).fit(spoiled.iloc[:200])
    pd.testing.assert_frame_equal(first.betas_, second.betas_, check_exact=True)
    pd.testing.assert_frame_equal(first.standard_errors_, second.standard_errors_, check_exact=True)


@pytest.mark.parametrize("method", METHODS)
def test_scikit_learn_accepts_the_estimator(method: str) -> None:
    beta = Beta(method=method, market=(0,), minimum=4)
    assert clone(beta).get_params() == beta.get_params()
    checks = check_estimator(beta, on_fail=None, on_skip=None)
    failed = {c["check_name"] for c in checks if c["status"] == "failed"}
    assert failed == set()


# The books' numbers: Hull, chapters 3 and 6.


def test_m1_jet_fuel_hedged_with_heating_oil() -> None:
    ratio = minimum_variance_ratio(0.0263, 0.0313, 0.928)
    assert ratio == pytest.approx(0.7798, abs=5e-5)
    assert futures_contracts(ratio, 2_000_000, 42_000) == pytest.approx(37.13, abs=5e-3)
    item = np.array([29, 20, -44, 8, 26, -19, -10, -7, 43, 11, -36, -18, 9, -32, 23]) / 1000
    hedge = np.array([21, 35, -46, 1, 44, -29, -26, -29, 48, -6, -36, -11, 19, -27, 29]) / 1000
    ratios, share = minimum_variance_hedge(item, hedge)
    assert ratios[0] == pytest.approx(0.7777, abs=5e-5)
    assert futures_contracts(ratios[0], 2_000_000, 42_000) == pytest.approx(37.03, abs=5e-3)
    assert share == pytest.approx(0.862, abs=5e-4)
    assert effectiveness(item, item - ratios[0] * hedge) == pytest.approx(share, rel=1e-12)


def test_m3_change_of_beta_with_index_futures() -> None:
    trades = [contracts_for_beta(5_050_000, 1.5, target, 1010 * 250) for target in (0.0, 0.75, 2.0)]
    np.testing.assert_allclose(trades, [-30, -15, 10], rtol=1e-12)


def test_m4_duration_hedge() -> None:
    assert contracts_for_duration(10e6, 6.80, 93_062.50, 9.20) == pytest.approx(79.42, abs=5e-3)


def test_g14_beta_weighting() -> None:
    units, cash = beta_weighted_delta(55, 190, 1.2, 5000)
    assert units == pytest.approx(2.508)
    assert cash == pytest.approx(12_540)


def test_e2_effectiveness_by_hand() -> None:
    item, hedge = np.array([2.0, -1.0, 3.0, -4.0]), np.array([-1.0, 1.0, -3.0, 3.0])
    # hedged: 1, 0, 0, -1: variance 2/3; item: mean 0, variance 30/3; covariance with the hedge -24/3
    assert effectiveness(item, item + hedge) == pytest.approx(1 - (2 / 3) / 10)
    assert r_squared(item, hedge) == pytest.approx(24**2 / (20 * 30))
    np.testing.assert_allclose(dollar_offset(item, hedge), [0.5, 1.0, 1.0, 0.75])
    np.testing.assert_allclose(dollar_offset(item, hedge, cumulative=True), [0.5, 0.0, 0.75, np.nan])


def test_effectiveness_refuses_what_cannot_be_measured() -> None:
    with pytest.raises(DataError, match="does not move"):
        effectiveness(np.zeros(5), np.ones(5))
    with pytest.raises(DataError, match="change is missing"):
        r_squared(np.array([1.0, np.nan, 2.0]), np.ones(3))
    for measure in (effectiveness, r_squared, dollar_offset):
        with pytest.raises(DataError, match=r"shapes \(3,\) and \(3, 2\) of item and hedged?; give T each"):
            measure(np.arange(3.0), np.ones((3, 2)))
    with pytest.raises(DataError, match="change is missing"):
        dollar_offset(np.array([1.0, np.nan]), np.ones(2))


@pytest.mark.parametrize("measure", [minimum_variance_hedge, effectiveness, r_squared, dollar_offset])
def test_changes_of_other_days_or_in_another_order_are_refused(measure) -> None:
    days = pd.date_range("2024-01-01", periods=4)
    item = pd.Series([2.0, -1.0, 3.0, -4.0], index=days)
    hedge = pd.Series([1.0, -1.0, 3.0, -3.0], index=days)
    with pytest.raises(DataError, match=r"label 1 of item is 2024-01-01 .* of hedge.* is 2024-01-04 .*reindex"):
        measure(item, hedge[::-1])
    with pytest.raises(DataError, match=r"label 4 of item is 2024-01-04 .* of hedge.* is missing"):
        measure(item, hedge[:-1])
    by_position = measure(item.to_numpy(), hedge.to_numpy())
    for other in (hedge, hedge[::-1].reindex(item.index), hedge.to_numpy()):
        assert str(measure(item, other)) == str(by_position)
    there, here = (s.tz_localize("UTC") for s in (item, hedge))
    assert str(measure(there, here.tz_convert("Asia/Tokyo"))) == str(by_position)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: minimum_variance_ratio(0.03, 0.03, 1.2), "correlation is 1.2; give a number from -1 to 1"),
        (lambda: minimum_variance_ratio(0.03, 0.03, np.nan), "correlation is nan"),
        (lambda: minimum_variance_ratio(-0.03, 0.03, 0.9), "item_sd is -0.03; a standard deviation is at least 0"),
        (lambda: minimum_variance_ratio(0.03, -0.03, 0.9), "hedge_sd is -0.03; a standard deviation is at least 0"),
        (lambda: minimum_variance_ratio(0.03, 0.0, 0.9), "hedge_sd is 0.0; give a finite number other than 0"),
        (lambda: futures_contracts(0.8, 1e6, 0), "contract is 0"),
        (lambda: contracts_for_beta(1e6, 1.5, 0.0, np.float64(0)), "futures_value is 0.0"),
        (lambda: contracts_for_duration(1e7, 6.8, np.nan, 9.2), "futures_value is nan"),
        (lambda: contracts_for_duration(1e7, 6.8, 93_000, 0.0), "futures_duration is 0.0"),
        (lambda: beta_weighted_delta(55, 190, 1.2, 0), "index is 0"),
    ],
)
def test_numbers_without_a_hedge_ratio_are_named(call, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        call()


def test_a_single_market_may_be_named_alone() -> None:
    alone, listed = Beta(market="SPX").fit(panel()), Beta(market=("SPX",)).fit(panel())
    pd.testing.assert_frame_equal(alone.betas_, listed.betas_)
    values = panel().to_numpy()
    pd.testing.assert_frame_equal(Beta(market=0).fit(values).betas_, Beta(market=(0,)).fit(values).betas_)
    with pytest.raises(SpecError, match="market driver SPY is not a driver"):
        Beta(market="SPY").fit(panel())
