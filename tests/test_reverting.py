"""Bases and rates over a horizon: as much risk as their own moves over so many periods, whatever they do in one."""

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.risk.reverting import variance_ratio, with_own_horizon

ROWS = 4000
DAYS = pd.date_range("2010-01-04", periods=ROWS, freq="B")


def autoregressive(memory, seed):
    """Levels x' = memory x + e, started at rest."""
    shocks = np.random.default_rng(seed).normal(0, 1e-3, ROWS + 500)
    levels = np.zeros(len(shocks))
    for row in range(1, len(shocks)):
        levels[row] = memory * levels[row - 1] + shocks[row]
    return levels[500:]


def coin_market(memory, seed=0, rows=ROWS):
    rng = np.random.default_rng(seed + 100)
    spot = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, ROWS)))
    history = pd.DataFrame({"BTC": spot, "basis": autoregressive(memory, seed)}, DAYS).iloc[:rows]
    last = history.iloc[-1]
    perp = last["BTC"] * np.exp(last["basis"])
    table = pd.DataFrame({"instrument": ["BTC", "PERP"], "type": ["spot", "perpetual"], "underlying": "BTC"})
    table["hedge"] = [False, True]
    quotes = pd.DataFrame({"instrument": ["BTC", "PERP"], "bid": [last["BTC"] - 0.01, perp - 0.01]})
    quotes["ask"] = quotes["bid"] + 0.02
    drivers = pd.DataFrame({"driver": ["BTC", "basis"], "kind": ["price", "basis"], "underlying": "BTC"})
    drivers["tenor"], drivers["periods_per_year"] = ["", "perpetual"], 252
    return oh.Market(
        table, quotes, "USD", drivers=drivers, history=history, as_of=history.index[-1] + pd.Timedelta("1D")
    )


@pytest.mark.parametrize("memory", [0.5, 0.9])
@pytest.mark.parametrize("span", [2, 5, 20])
def test_the_ratio_of_an_autoregression_is_its_closed_form(memory, span):
    """Var(x(t + h) - x(t)) = 2 (1 - memory^h) var(x), and one step is h = 1 of it."""
    right = (1 - memory**span) / (span * (1 - memory))
    found = np.mean([variance_ratio(autoregressive(memory, seed), span) for seed in range(8)])
    assert found == pytest.approx(right, rel=0.08)


@pytest.mark.parametrize("span", [2, 5, 20])
def test_a_random_walk_keeps_the_root_of_time(span):
    rng = np.random.default_rng(1)
    found = np.mean([variance_ratio(np.cumsum(rng.normal(0.3, 1, 2000)), span) for _ in range(40)])
    assert found == pytest.approx(1.0, abs=0.05)  # its drift is no risk


@pytest.mark.parametrize("horizon", ["5d", "20d"])
def test_a_hedge_over_many_days_has_the_basis_risk_of_so_many_days(horizon):
    market, days = coin_market(0.5), int(horizon[:-1])
    risk = oh.SampleRisk(window=ROWS - 1)
    model = oh.HedgeModel(risk=risk, objective=(oh.Variance(1e-3), oh.SpreadCost()), horizon=horizon)
    hedge = model.hedge(market, {"BTC": 10.0})
    moves = market.history["basis"].diff(days).std()
    said = hedge.risk_model.volatility()["basis"] * np.sqrt(days)
    assert said == pytest.approx(moves, rel=0.03)
    assert any(f"risk of basis over {days} periods" in note for note in hedge.problem.notes)
    price = market.moves()["BTC"]
    assert hedge.risk_model.volatility()["BTC"] == pytest.approx(np.sqrt((price**2).mean()), rel=0.02)


def test_a_day_and_a_short_history_stay_as_they_are():
    for market, periods in ((coin_market(0.5), 1.0), (coin_market(0.5, rows=60), 20.0)):
        fitted = oh.SampleRisk(window=59).fit(market.moves()).risk_
        scaled = with_own_horizon(fitted, market, periods, market.drivers.index)
        assert scaled.covariance().equals(fitted.covariance()) and scaled.notes == fitted.notes
