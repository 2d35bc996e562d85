"""Recorded desks: nights through store, ledger and files are the backtest of the same days, byte for byte."""

from dataclasses import replace

import pandas as pd
import pytest
from desk_nights import DESK, desk_in, last_run, one_night, write_book
from recorded_markets import sp500_market
from recorded_nights import coin_days, coin_market, stock_events, stock_market

from optihedge.backtest.simulate import run_backtest
from optihedge.desk.deskfile import read_desk
from optihedge.desk.looking import difference, runs_table
from optihedge.desk.night import run_night
from optihedge.desk.replay import replay, verify
from optihedge.step.broker import AtQuote, Delayed, Partial, Reject

pytestmark = pytest.mark.slow
MIXED = Reject(0.3, Partial(0.6, Delayed()))


def coins(recorded):
    """Coin-settled options of which one expires on the way; coins are cash and delta."""
    folder = recorded("deribit_btc_eth_2026")
    markets = [coin_market(folder, day, reach=0.15) for day in coin_days(folder)[40:46]]
    table = markets[0].instruments
    soon = table.index[(table["expiry"] <= markets[2].as_of) & (table["type"] == "inverse_option")]
    later = table.index[(table["expiry"] > markets[-1].as_of) & (table["type"] == "inverse_option")]
    return (
        markets,
        {str(soon[len(soon) // 2]): -5.0, str(later[len(later) // 2]): -8.0, "BTC": 3.0},
        [],
        "delta_neutral",
    )


def splits(recorded):
    """Stocks and true ETFs, with dividends and Apple's 7:1."""
    folder, etfs = recorded("sp500_corporate_actions"), recorded("etf_daily_2006_2022")
    names = ["AAPL", "MSFT", "XOM", "JNJ", "JPM", "PG"]
    days = pd.to_datetime(["2014-05-02", "2014-05-09", "2014-05-30", "2014-06-06", "2014-06-13", "2014-06-20"])
    markets = [stock_market(folder, etfs, day, names, rows=300) for day in days]
    book = {"AAPL": 1_000.0, "MSFT": -5_000.0, "XOM": 3_000.0, "JPM": 4_000.0}
    return markets, book, stock_events(folder, names, "2014-01-01", "2014-12-31"), "beta_hedge"


def names(recorded):
    """Stocks hedged by stocks, week by week."""
    folder = recorded("sp500_daily_2012_2017")
    chosen = ["AAPL", "BAC", "CVX", "GE", "JNJ", "JPM", "MSFT", "PFE", "PG", "WMT", "XOM"]
    markets = []
    for day in pd.bdate_range("2015-03-02", periods=6, freq="5B"):
        whole = sp500_market(folder, day, chosen, proxies=False, rows=300)
        hedge = whole.instruments.index.isin(["JPM", "MSFT", "XOM", "WMT"])
        markets.append(replace(whole, instruments=whole.instruments.assign(hedge=hedge)))
    return markets, {"AAPL": 5_000.0, "BAC": -20_000.0, "CVX": 3_000.0, "PG": 4_000.0}, [], "optimal_hedge"


@pytest.mark.parametrize("case", [coins, splits, names])
@pytest.mark.parametrize(("broker", "skipped"), [(AtQuote(), ()), (MIXED, ()), (MIXED, (2, 3))],
                         ids=["whole", "partial late rejected", "and nights skipped"])  # fmt: skip
def test_nights_are_the_backtest_byte_for_byte(case, broker, skipped, recorded, tmp_path):
    markets, book, events, model = case(recorded)
    markets = [market for number, market in enumerate(markets) if number not in skipped]
    desk = desk_in(tmp_path, markets, book, events, model=model)
    before, found = None, []
    for market in markets:
        night, row = one_night(desk, market, broker, before), last_run(desk)
        found.append((night.results[0].status, row["sha256"] or "", row["after"]))
        before = market
    hedger = desk.models["neutral"].model
    walk = run_backtest(hedger, markets, book, broker=broker, events=events, name="one")
    assert found == [(row.status, row.sha256 if row.lines else "", row.state) for row in walk.steps.itertuples()]
    assert sum(lines > 0 for lines in walk.steps["lines"]) >= 2
    assert verify(desk).empty and not replay(desk, "one@").differences
    assert not run_night(desk, as_of=markets[-1].as_of).results[0].new


def test_every_run_of_a_ledger_of_many_nights_replays_to_the_byte(recorded, tmp_path):
    """Two books and a challenger over sixteen nights of coin options, through expiries, fills partial, late or none."""
    folder = recorded("deribit_btc_eth_2026")
    markets = [coin_market(folder, day, reach=0.1) for day in coin_days(folder)[40:56]]
    names, ends = markets[0].names, markets[0].instruments["expiry"]
    soon, later = (names[mine][mine.sum() // 2] for mine in (ends <= markets[4].as_of, ends > markets[-1].as_of))
    text = DESK.replace("[policy]", 'trial = "beta_hedge"\n[policy]') + (
        'challengers = ["trial"]\n[books.two]\nmodel = "neutral"\npositions = "two.csv"\nholds = "opening"\n'
    )
    desk = desk_in(tmp_path, markets, {str(soon): -5.0, str(later): -8.0, "BTC": 3.0}, text=text)
    write_book(tmp_path / "two.csv", {"ETH": 40.0, str(later): 4.0})
    desk, before = read_desk(desk.path), None
    for market in markets:
        one_night(desk, market, MIXED, before)
        before = market
    table = runs_table(desk)
    assert len(table) == 3 * len(markets) and (table["lines"] > 0).sum() > len(markets)
    assert verify(desk).empty
    for run in table["run"]:
        assert not replay(desk, run).differences, run
    told = difference(desk, "two@2026-02-10", "two@2026-02-11")
    assert any(line.startswith("snapshot") for line in told.lines) and set(told.tables) == {"positions", "lists"}
