"""The recorded desks through time: nights are the backtest, accounts close, events are booked at their instants."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from recorded_markets import spot_perpetual_market, spot_perpetual_panel
from recorded_nights import carry_fundings, coin_days, coin_market, stock_events, stock_market

import optihedge as oh
from optihedge.accounts.state import State
from optihedge.accounts.valuation import opening
from optihedge.step.broker import AtQuote, Partial
from optihedge.step.step import step

pytestmark = pytest.mark.slow


def closes(walk) -> None:
    parts = walk.attribution("time").drop(columns="total").sum(axis=1)
    scale = 1 + walk.steps["equity"].abs().max()
    np.testing.assert_allclose(parts, walk.steps["change"].iloc[1:], rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("broker", [AtQuote(), Partial(0.5)], ids=["whole", "partial"])
def test_nights_of_a_coin_settled_desk_are_its_backtest_through_an_expiry(recorded, broker):
    folder = recorded("deribit_btc_eth_2026")
    markets = [coin_market(folder, day, reach=0.25) for day in coin_days(folder)[40:44]]
    table = markets[0].instruments
    soon = table.index[(table["expiry"] <= markets[2].as_of) & (table["type"] == "inverse_option")]
    book = {str(soon[len(soon) // 2]): -5.0, "BTC": 3.0}
    model = oh.load_model("delta_neutral")
    walk = oh.run_backtest(model, markets, book, broker=broker)
    closes(walk)
    assert walk.notes["note"].str.contains("no settlement event").any()
    state, before, hashes = opening("book", markets[0], book), None, []
    for market in markets:
        if before is None:
            night = step(state, None, market, model)
        else:
            fills, reports = broker.execute(state.orders, before, market)
            night = step(state, before, market, model, fills=fills, reports=reports)
        state, before = State.from_text(night.state.text), market
        hashes.append(state.hash)
    assert walk.steps["state"].tolist() == hashes


def test_funding_is_what_was_paid_on_what_was_held(recorded):
    folder = recorded("crypto_spot_perp_8h_2023_2024")
    times = spot_perpetual_panel(folder).index[300:312:3]
    markets, events = [spot_perpetual_market(folder, time) for time in times], carry_fundings(folder)
    walk = oh.run_backtest(oh.load_model("delta_neutral"), markets, {"BTC": 10.0}, events=events)
    closes(walk)
    paid = 0.0
    for start, end in pairwise(times):
        held = walk.positions.xs("hedge", level="account").loc[end, "BTC-PERP"]
        due = [e.value for e in events if e.instrument == "BTC-PERP" and start < e.time <= end]
        assert len(due) == 3
        paid -= held * sum(due)
    funding = walk.explained["funding"].xs("BTC-PERP", level="instrument").sum()
    assert funding == pytest.approx(paid, rel=1e-9) and paid != 0


def test_a_stock_book_passes_apples_split_and_earns_its_dividends(recorded):
    folder, etfs = recorded("sp500_corporate_actions"), recorded("etf_daily_2006_2022")
    names = ["AAPL", "MSFT", "XOM", "JNJ"]
    days = pd.to_datetime(["2014-05-02", "2014-05-09", "2014-06-06", "2014-06-13"])
    markets = [stock_market(folder, etfs, day, names, rows=300) for day in days]
    events = stock_events(folder, names, "2014-01-01", "2014-12-31")
    walk = oh.run_backtest(oh.load_model("beta_hedge"), markets, {"AAPL": 100.0, "MSFT": -500.0}, events=events)
    closes(walk)
    book = walk.positions.xs("book", level="account")["AAPL"]
    assert book.tolist() == [100.0, 100.0, 100.0, 700.0]
    aapl = walk.explained.xs(("book", "AAPL"), level=("account", "instrument"))
    assert aapl["dividend"].tolist()[0] == pytest.approx(100 * 3.29)  # of 8 May 2014
    last = aapl.iloc[-1]
    assert last["delta"] == pytest.approx(700 * markets[3].price["AAPL"] - 100 * markets[2].price["AAPL"], abs=1e-6)
