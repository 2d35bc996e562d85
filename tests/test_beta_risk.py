"""Risk from betas is B C B' + diag(specific^2), and its minimum-variance hedge is minus the beta."""

import numpy as np
import pandas as pd
import pytest
from recorded import perpetual_closes
from recorded_markets import perpetual_market
from sklearn.utils.estimator_checks import check_estimator

import optihedge as oh
from optihedge.backtest.hedge_evaluation import anchored_path, no_trade_path
from optihedge.errors import SpecError
from optihedge.risk.beta import Beta
from optihedge.risk.beta_risk import BetaRisk


def moves(seed: int = 0, periods: int = 250) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    market = 0.01 * rng.standard_normal((periods, 2)) @ [[1.0, 0.7], [0.0, 0.5]]
    stocks = market @ rng.uniform(0.5, 1.5, (2, 4)) + 0.01 * rng.standard_normal((periods, 4))
    frame = pd.DataFrame(np.c_[market, stocks], columns=["BTC", "ETH", "A", "B", "C", "D"])
    frame.attrs = {"markets": ("BTC", "ETH"), "periods_per_year": 365.0}
    return frame


def test_the_covariance_is_what_its_formula_says() -> None:
    frame = moves()
    frame.iloc[:50, 2] = np.nan
    fitted = BetaRisk(halflife=40, correlation_halflife=None).fit(frame)
    slopes = Beta(method="anchored").fit(frame).betas_.to_numpy()
    weights = 0.5 ** (np.arange(250)[::-1] / 40)
    market = frame[["BTC", "ETH"]].to_numpy()
    common = (market.T * weights) @ market / weights.sum()
    own = frame.to_numpy() - market @ slopes.T
    specific = np.array([np.average(e[np.isfinite(e)] ** 2, weights=weights[np.isfinite(e)]) for e in own.T])
    specific[:2] = 0.0
    expected = slopes @ common @ slopes.T + np.diag(specific)
    np.testing.assert_allclose(fitted.risk_.covariance(), expected, rtol=1e-10)
    assert fitted.risk_.periods_per_year == 365.0


def test_the_future_never_changes_the_risk() -> None:
    frame = moves()
    spoiled = frame.copy()
    spoiled.iloc[200:] = 5.0
    spoiled.attrs = frame.attrs
    first, second = (BetaRisk().fit(f.iloc[:200]).risk_ for f in (frame, spoiled))
    np.testing.assert_array_equal(first.root, second.root)
    np.testing.assert_array_equal(first.specific, second.specific)


def test_scikit_learn_accepts_the_estimator() -> None:
    checks = check_estimator(BetaRisk(Beta(method="ewma", market=(0,), minimum=4)), on_fail=None, on_skip=None)
    failed = {c["check_name"]: c["exception"] for c in checks if c["status"] == "failed"}
    assert failed == {}
    with pytest.raises(SpecError, match="halflife is 0"):
        BetaRisk(halflife=0).fit(moves())


def test_many_books_at_once_are_hedged_as_the_model_hedges_each() -> None:
    frame = moves(periods=200)
    levels = 100 * (1 + frame).cumprod()
    levels.index = pd.date_range("2024-01-01", periods=200, tz="UTC")
    names, spread, value, aversion = ["A", "B", "C", "D"], 4e-4, 1e6, 3e-4
    known = levels.pct_change().iloc[1:].to_numpy()
    books, hedges = known[:, 2:], known[:, :2]
    betas = anchored_path(np.vstack([books, books[:1]]), np.vstack([hedges, hedges[:1]]), 199)
    path = no_trade_path(betas, np.vstack([hedges, hedges[:1]]), 199, spread / 2, aversion * value, halflife=63)
    table = pd.DataFrame({"hedge": levels.columns.isin(["BTC", "ETH"])}, index=levels.columns)
    market = oh.Market.from_prices(levels, base_currency="USD", spread=spread, instruments=table)
    risk = BetaRisk(Beta(method="anchored", market=("BTC", "ETH")), halflife=63, correlation_halflife=None)
    model = oh.HedgeModel(risk=risk, objective=(oh.Variance(aversion=aversion), oh.SpreadCost()))
    for column, name in enumerate(names):
        hedge = model.hedge(market, pd.Series({name: value / market.price[name]}))
        cash = (hedge.after * market.price.reindex(hedge.after.index)).reindex(["BTC", "ETH"]).fillna(0.0)
        np.testing.assert_allclose(cash / value, path[199, :, column], atol=1e-6)
    assert (np.abs(path[199] + betas[199]) > 1e-3).any()  # the cost holds some of it back


def desk(recorded):
    folder = recorded("crypto_perp_daily")
    closes = perpetual_closes(folder)
    alts = sorted(c for c in closes.columns[closes.notna().all()] if c not in ("BTCUSDT", "ETHUSDT"))[:10]
    return folder, closes, alts


def test_a_free_hedge_is_minus_the_beta_and_a_costly_one_trades_less(recorded) -> None:
    folder, closes, alts = desk(recorded)
    market = perpetual_market(folder, closes.index[-1], alts)
    book = pd.Series(1e5 / closes.iloc[-1][alts], index=alts)
    risk = BetaRisk(Beta(method="anchored", market=("BTCUSDT", "ETHUSDT")))
    betas = risk.fit(market.moves()).betas_.betas_
    free = oh.HedgeModel(risk=risk, objective=(oh.Variance(aversion=1e-4),), capital=1e6).hedge(market, book)
    cash = free.after * market.exposures["delta"].reindex(free.after.index)
    expected = -(betas.loc[alts].sum() * 1e5)
    np.testing.assert_allclose(cash[["BTCUSDT", "ETHUSDT"]], expected, rtol=1e-6)
    costs = (oh.SpreadCost(), oh.FeeCost())
    thrifty = oh.HedgeModel(risk=risk, objective=(oh.Variance(aversion=1e-6), *costs), capital=1e6).hedge(market, book)
    assert 0 < np.abs(thrifty.trades * market.notional.reindex(thrifty.trades.index)).sum() < np.abs(expected).sum()
