"""A walk without lots trades what each day's hedge says, to the fraction of a contract, and earns what prices did."""

import numpy as np
import pandas as pd

import optihedge as oh

TERMS = {"spread": 4e-4, "fee": 5e-5, "base_currency": "USD", "rows": 30}
NAMES = [f"S{i:02d}" for i in range(25)]


def panel(days: int = 12, **own) -> oh.Panel:
    r = np.random.default_rng(11)
    moves = 0.01 * r.normal(size=(30 + days, 1)) + 0.015 * r.normal(size=(30 + days, len(NAMES)))
    times = pd.bdate_range("2025-03-03", periods=30 + days, tz="UTC") + pd.Timedelta("21h")
    table = pd.DataFrame(40 * np.exp(np.cumsum(moves, axis=0)), times, NAMES)
    told = pd.DataFrame({"hedge": np.arange(len(NAMES)) % 2 == 0} | own, NAMES)
    return oh.Panel.from_prices(table, **TERMS, instruments=told)


def model(**own) -> oh.HedgeModel:
    r = np.random.default_rng(12)
    root = np.vstack([0.01 * (1 + 0.2 * r.normal(size=25)), 0.004 * r.normal(size=25)])
    asked = {
        "risk": oh.Risk(root, np.full(25, 0.015), pd.Index(NAMES), 252.0),
        "objective": (oh.Variance(relative=30.0), oh.SpreadCost(), oh.FeeCost()),
        "constraints": (oh.Neutral("delta"),),
    }
    return oh.HedgeModel(**asked | own)


BOOK = pd.Series(np.round(2_000 * np.random.default_rng(13).normal(size=25)), NAMES)


def test_each_day_trades_what_a_cold_hedge_of_what_is_held_says() -> None:
    markets = panel()
    run = oh.run_backtest(model(), markets, BOOK, lots=False)
    held, moved = BOOK.copy(), 0
    for market in markets:
        told = run.trades[run.trades["as_of"] == f"{market.as_of:%Y-%m-%dT%H:%M:%SZ}"]
        done = told.set_index("instrument")["quantity"].reindex(NAMES, fill_value=0.0)
        asked = model().hedge(market, held).trades
        np.testing.assert_allclose(done, asked, rtol=1e-9, atol=1e-10)
        held, moved = held + done, moved + len(told)
    assert moved > 25 and (run.trades["quantity"] % 1 != 0).all()
    assert set(run.steps["status"]) <= {"first", "solved"}


def test_what_it_earns_is_what_prices_did_to_what_was_held_less_spread_and_fees() -> None:
    markets = list(panel())
    run = oh.run_backtest(model(), markets, BOOK, lots=False)
    for i in range(1, len(markets)):
        before, now = markets[i - 1], markets[i]
        told = run.trades[run.trades["as_of"] == f"{before.as_of:%Y-%m-%dT%H:%M:%SZ}"].set_index("instrument")
        held = run.positions.xs(now.as_of, level="time").sum().reindex(NAMES, fill_value=0.0)
        paid = (told["quantity"].abs() * before.price[told.index]).sum() * (2e-4 + 5e-5)
        earned = float(held @ (now.price - before.price)) - paid
        np.testing.assert_allclose(run.pnl.loc[now.as_of, "both"], earned, rtol=1e-9)
        np.testing.assert_allclose(run.pnl.loc[now.as_of, "cost"], paid, rtol=1e-9)


def test_lots_far_finer_than_matter_lead_to_the_same_money() -> None:
    free = oh.run_backtest(model(), panel(), BOOK, lots=False)
    fine = panel(lot=1e-8)
    listed = oh.run_backtest(model(), fine, BOOK)
    np.testing.assert_allclose(free.pnl, listed.pnl, rtol=1e-6, atol=1e-3)


def test_a_hedge_that_is_not_proved_is_not_traded() -> None:
    views = panel(days=2, alpha=0.5)
    greedy = model(objective=(oh.terms.ExpectedReturn("alpha"),), constraints=())
    run = oh.run_backtest(greedy, views, BOOK, lots=False)
    assert set(run.steps["status"]) == {"held"} and run.trades.empty
    assert run.steps["why"].str.contains("not proved optimal").all()
    assert (run.pnl["hedge"] == 0).all()
