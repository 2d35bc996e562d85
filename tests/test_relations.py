"""A planted leader and a planted long-run pair are found with the right lag and ratio, and nothing in noise."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from optihedge.errors import DataError, SpecError
from optihedge.market.snapshot import Market
from optihedge.risk.relations import (
    _holm,
    basis_drivers,
    cointegrated_pairs,
    cointegration,
    funding_driver,
    lead_lag,
)


def venues(seed: int = 0, periods: int = 800, strength: float = 0.3) -> pd.DataFrame:
    """Five fat-tailed series with a common part and changing volatility; SLOW follows FAST two rows later."""
    rng = np.random.default_rng(seed)
    volatility = np.exp(np.cumsum(0.02 * rng.standard_normal((periods, 1)), axis=0))
    common = rng.standard_normal((periods, 1))
    moves = volatility * (0.5 * common + rng.standard_t(5, (periods, 5)))
    moves[2:, 1] += strength * moves[:-2, 0]
    return pd.DataFrame(moves, columns=["FAST", "SLOW", "A", "B", "C"])


def long_run(seed: int = 0, ratio: float = 0.7, periods: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.standard_normal((periods, 4)), axis=0)
    spread = np.zeros(periods)
    for t in range(1, periods):
        spread[t] = 0.9 * spread[t - 1] + rng.standard_normal()
    return pd.DataFrame(np.c_[ratio * walk[:, 0] + spread + 5, walk], columns=["PAIR", "LEG", "X", "Y", "Z"])


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_leader_is_found_at_its_lag(seed: int) -> None:
    table = lead_lag(venues(seed))
    first = table.iloc[0]
    assert (first["leader"], first["follower"], first["lag"]) == ("FAST", "SLOW", 2)
    assert 0.1 < first["correlation"] < 0.5
    assert not ((table["leader"] == "SLOW") & (table["follower"] == "FAST")).any()


def test_noise_has_no_leader() -> None:
    runs = [lead_lag(venues(seed, strength=0.0), level=0.05) for seed in range(200)]
    share = np.mean([len(table) > 0 for table in runs])
    print(f"tables of noise with any false leader at 5 %: {share:.1%}")
    assert share <= 0.09  # 5 % + 2.6 binomial standard errors


def test_a_trending_driver_leads_nobody() -> None:
    rng = np.random.default_rng(1)
    slow = np.zeros(2000)
    for t in range(1, 2000):
        slow[t] = 0.5 * slow[t - 1] + rng.standard_normal()
    moves = pd.DataFrame({"TREND": slow, "ECHO": slow + 0.5 * rng.standard_normal(2000)})
    assert len(lead_lag(moves[["TREND", "ECHO"]], own_lags=0)) > 0
    found = lead_lag(moves, own_lags=3)
    assert found.empty or found["correlation"].abs().max() < 0.15


def test_missing_moves_are_left_out_pair_by_pair() -> None:
    moves = venues()
    moves.iloc[:200, 0] = np.nan
    moves.iloc[300:310, 1] = np.nan
    first = lead_lag(moves).iloc[0]
    assert (first["leader"], first["follower"], first["lag"]) == ("FAST", "SLOW", 2)
    with pytest.raises(DataError, match="too few for 5 lags"):
        lead_lag(moves.iloc[:20])


def test_adjusted_p_values_are_statsmodels() -> None:
    p = np.random.default_rng(0).uniform(size=40) ** 3
    np.testing.assert_allclose(_holm(p), multipletests(p, method="holm")[1])


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_long_run_pair_is_found_with_its_ratio(seed: int) -> None:
    found = cointegrated_pairs(long_run(seed))
    assert (found["target"].iloc[0], found["hedge"].iloc[0]) == ("PAIR", "LEG")
    assert abs(found["ratio"].iloc[0] - 0.7) < 4 * found["standard_error"].iloc[0] + 0.01
    assert found["standard_error"].iloc[0] < 0.05
    assert 3 < found["half_life"].iloc[0] < 12  # ln 2 / -ln 0.9 = 6.6


def test_independent_walks_are_seldom_called_cointegrated() -> None:
    rng = np.random.default_rng(0)
    p = []
    for _ in range(200):
        walks = pd.DataFrame(np.cumsum(rng.standard_normal((300, 2)), axis=0), columns=["A", "B"])
        p.append(cointegration(walks, "A").p_value)
    share = np.mean(np.array(p) <= 0.05)
    print(f"independent random walks called cointegrated at 5 %: {share:.1%}")
    assert share <= 0.09


def test_two_hedges_share_a_long_run_target() -> None:
    rng = np.random.default_rng(3)
    walks = np.cumsum(rng.standard_normal((800, 2)), axis=0)
    levels = pd.DataFrame({"T": walks @ [0.4, 1.1] + rng.standard_normal(800), "A": walks[:, 0], "B": walks[:, 1]})
    fit = cointegration(levels, "T")
    np.testing.assert_allclose(fit.ratios, [0.4, 1.1], atol=0.02)
    assert fit.p_value < 0.01
    np.testing.assert_allclose(fit.spread + (levels["T"] - fit.spread).mean() - levels["T"].mean(),
                               fit.spread - fit.spread.mean(), atol=1e-9)  # fmt: skip
    assert abs(fit.spread.mean()) < 1e-9
    with pytest.raises(DataError, match="A has gaps"):
        cointegration(levels.assign(A=np.nan), "T")
    with pytest.raises(DataError, match="Q is not among"):
        cointegration(levels, "Q")


def test_a_future_moves_by_its_spot_and_its_basis(recorded) -> None:
    bars = pd.read_parquet(recorded("crypto_spot_perp_8h_2023_2024") / "all_exchanges_8h.parquet")
    bars = bars[bars["exchange"] == "binance"]
    closes = bars.pivot(index="time_utc", columns="pair", values="close").astype(float).tz_localize("UTC")
    closes.columns = closes.columns.astype(str)
    spot = closes["BTC/USDT"].rename("BTC")
    table, levels = basis_drivers(spot, closes[["BTCUSDT"]], {"BTCUSDT": "perpetual"})
    future, moved = np.log(closes["BTCUSDT"]).diff(), np.log(spot).diff() + levels["basis BTCUSDT"].diff()
    np.testing.assert_allclose(future.iloc[1:], moved.iloc[1:], atol=1e-14)
    assert levels["basis BTCUSDT"].diff().std() < 0.05 * np.log(spot).diff().std()
    instruments = pd.DataFrame(
        {"type": ["spot", "perpetual"], "underlying": "BTC", "currency": "USDT"}, index=["BTC", "BTCUSDT"]
    )
    prices = closes.iloc[-1][["BTC/USDT", "BTCUSDT"]].to_numpy()
    market = Market(
        instruments=instruments,
        quotes=pd.DataFrame({"bid": prices, "ask": prices}, index=instruments.index),
        base_currency="USDT",
        drivers=pd.concat([pd.DataFrame({"kind": "price"}, index=pd.Index(["BTC"], name="driver")), table]),
        history=pd.concat([spot, levels], axis=1),
    )
    loadings = pd.DataFrame(market.loadings.matrix.toarray(), market.loadings.drivers, market.names)
    assert loadings.loc["basis BTCUSDT", "BTCUSDT"] == pytest.approx(prices[1])
    assert loadings.loc["basis BTCUSDT", "BTC"] == 0.0


def test_funding_is_annualised_by_its_interval() -> None:
    rates = pd.Series([0.0001, -0.0002], name="BTCUSDT")
    np.testing.assert_allclose(funding_driver(rates, 8), [0.1095, -0.219])
    np.testing.assert_allclose(funding_driver(rates, 4), [0.219, -0.438])
    np.testing.assert_allclose(funding_driver(rates, 1).iloc[0], 0.876)
    assert funding_driver(rates, 8).name == "funding BTCUSDT"


def test_basis_drivers_name_what_is_missing() -> None:
    spot = pd.Series([1.0, 2.0], name="X")
    futures = pd.DataFrame({"F": [1.0, 2.1]})
    with pytest.raises(DataError, match="F has no tenor"):
        basis_drivers(spot, futures, {})
    with pytest.raises(DataError, match="label 2 of spot is 1 where that of futures is missing"):
        basis_drivers(spot, futures.iloc[:1], {"F": "perpetual"})
    with pytest.raises(DataError, match="not positive"):
        basis_drivers(spot, -futures, {"F": "perpetual"})


def test_lags_refuse_rows_that_are_not_in_order_of_time() -> None:
    days = pd.date_range("2024-01-01", periods=600)
    late, pair = venues().iloc[:600].set_axis(days), long_run().set_axis(days)
    order = np.r_[0:99, 100, 99, 101:600]
    with pytest.raises(DataError, match=r"lead-lag: the row of 2024-04-09 .* stands after 2024-04-10 .*; sort"):
        lead_lag(late.iloc[order])
    with pytest.raises(DataError, match="cointegration: the row of 2024-04-09"):
        cointegration(pair.iloc[order], "PAIR")


def test_six_hedges_are_more_than_the_cointegration_test_is_tabled_for() -> None:
    walks = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 7)).cumsum(axis=0), columns=list("ABCDEFG"))
    assert np.isfinite(cointegration(walks[list("ABCDEF")], "A").p_value)
    with pytest.raises(DataError, match="6 hedges of A; the test takes 5"):
        cointegration(walks, "A")


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_an_exact_copy_is_no_cointegrated_pair(size: float) -> None:
    walks = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 2)).cumsum(axis=0), columns=["A", "B"])
    walks = size * (100 + walks)
    copied = walks.assign(COPY=7 * walks["A"] + 3 * size)
    with pytest.raises(DataError, match="A is constant or a copy of COPY"):
        cointegration(copied[["A", "COPY"]], "A")
    with pytest.raises(DataError, match="A is constant or a copy of COPY"):
        cointegrated_pairs(copied)
    in_ticks = copied.assign(COPY=(copied["COPY"] / size).round(0) * size)
    assert cointegration(in_ticks[["A", "COPY"]], "A").ratios.item() == pytest.approx(1 / 7, rel=1e-2)


def test_lags_that_are_no_whole_numbers_are_refused_by_name() -> None:
    moves = venues()
    for lags in (0, -1, "5", 2.5):
        with pytest.raises(SpecError, match="lead-lag: lags is"):
            lead_lag(moves, lags=lags)
    with pytest.raises(SpecError, match="lead-lag: own_lags is -1"):
        lead_lag(moves, own_lags=-1)
    for lags in (-1, "2"):
        with pytest.raises(SpecError, match="cointegration: lags is"):
            cointegration(moves.cumsum(), moves.columns[0], lags=lags)


def test_one_driver_has_no_leader() -> None:
    with pytest.raises(DataError, match="1 columns of moves have no leader"):
        lead_lag(venues()[["FAST"]])
