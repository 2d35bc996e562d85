"""Walking a hedge forward: it earns what the contracts earned, and sees nothing of the future."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from optihedge.backtest.walk import walk_forward
from optihedge.errors import DataError, InfeasibleError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.market.pnl import contract_pnl, trading_cost
from optihedge.market.snapshot import Market
from optihedge.risk.beta import Beta

CENT = 1e-9  # base currency, on amounts of some thousands


def levels(periods: int = 40, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    market = 0.01 * rng.standard_normal(periods)
    returns = np.column_stack([market, 1.5 * market + 0.004 * rng.standard_normal(periods)])
    days = pd.date_range("2024-01-01", periods=periods, tz="UTC")
    return pd.DataFrame(100 * np.cumprod(1 + returns, axis=0), index=days, columns=["SPY", "STOCK"])


def markets(prices: pd.DataFrame, first: int = 25):
    for day in prices.index[first:]:
        yield Market.from_prices(prices, base_currency="USD", as_of=day, spread=0.002, fee=0.0001)


@dataclass(frozen=True)
class BetaHedge:
    """Sells beta x the book's value of SPY; refuses on one day."""

    refuse: pd.Timestamp | None = None

    def hedge(self, market: Market, book: pd.Series) -> SimpleNamespace:
        if market.as_of == self.refuse:
            raise InfeasibleError("no hedge today")
        beta = Beta(market=("SPY",)).fit(market.moves()).betas_.loc["STOCK", "SPY"]
        wanted = -beta * book["STOCK"] * market.price["STOCK"] / market.price["SPY"]
        return SimpleNamespace(trades=pd.Series({"SPY": wanted - book.get("SPY", 0.0)}))


BOOK = pd.Series({"STOCK": 100.0})


def test_realised_profit_is_quantity_times_price_change_less_cost() -> None:
    prices = levels()
    walk = walk_forward(BetaHedge(), markets(prices), BOOK)
    changes = prices.diff().iloc[26:]
    np.testing.assert_allclose(walk.pnl["book"], 100 * changes["STOCK"], atol=CENT)
    np.testing.assert_allclose(walk.pnl["hedge"], (walk.positions["SPY"] * changes["SPY"]), atol=CENT)
    traded = walk.positions["SPY"].diff().fillna(walk.positions["SPY"]).abs().to_numpy()
    np.testing.assert_allclose(walk.pnl["cost"], traded * prices["SPY"].iloc[25:-1] * 0.0011, atol=CENT)
    np.testing.assert_allclose(walk.steps["turnover"], traded * prices["SPY"].iloc[25:-1], atol=CENT)
    np.testing.assert_allclose(walk.pnl["total"], walk.pnl["book"] + walk.pnl["hedge"] - walk.pnl["cost"])
    assert 0.5 < walk.variance_removed() < 1.0
    assert "variance_removed" in str(walk)


def test_the_future_never_changes_a_hedge_already_made() -> None:
    prices = levels()
    changed = prices.copy()
    changed.iloc[33:] *= [1.3, 0.5]
    first, second = (walk_forward(BetaHedge(), markets(p), BOOK) for p in (prices, changed))
    pd.testing.assert_frame_equal(first.positions.iloc[:8], second.positions.iloc[:8], check_exact=True)
    pd.testing.assert_frame_equal(first.pnl.iloc[:7], second.pnl.iloc[:7], check_exact=True)
    assert not first.positions.iloc[9:].equals(second.positions.iloc[9:])


def test_a_failed_step_keeps_the_last_hedge_and_says_so() -> None:
    prices = levels()
    model = BetaHedge(refuse=prices.index[30])
    with pytest.raises(InfeasibleError, match="no hedge today"):
        walk_forward(model, markets(prices), BOOK)
    walk = walk_forward(model, markets(prices), BOOK, on_failure="hold")
    assert walk.steps["status"].iloc[5] == "infeasible: no hedge today"
    assert walk.positions["SPY"].iloc[5] == walk.positions["SPY"].iloc[4]
    assert walk.summary()["kept"] == 1


def test_books_may_change_and_progress_is_told() -> None:
    prices, seen = levels(30), []
    books = {day: i * BOOK for i, day in enumerate(prices.index)}
    by_date = walk_forward(BetaHedge(), markets(prices), books, progress=lambda n, day: seen.append((n, day)))
    by_function = walk_forward(BetaHedge(), markets(prices), lambda m: books[m.as_of])
    pd.testing.assert_frame_equal(by_date.pnl, by_function.pnl)
    np.testing.assert_allclose(by_date.pnl["book"], np.arange(25, 29) * 100 * prices["STOCK"].diff().iloc[26:])
    assert seen[-1] == (4, prices.index[-2])


def test_nothing_is_asked_of_the_model_or_the_book_at_the_last_market() -> None:
    prices = levels(30)
    books = dict.fromkeys(prices.index[:-1], BOOK)
    walk = walk_forward(BetaHedge(refuse=prices.index[-1]), markets(prices), books)
    assert list(walk.steps.index) == list(prices.index[25:-1])
    assert list(walk.pnl.index) == list(prices.index[26:])


def coins(spot: float, future: float, day: int, base: str = "USD", funding: float = 0.0001, expired: bool = False):
    """BTC: coin, inverse perpetual and inverse future; from day 3 the future has expired."""
    expiry = pd.Timestamp("2024-01-03 08:00", tz="UTC")
    rows = [("BTC", "spot", 1.0, None), ("PERP", "inverse_perpetual", 10.0, None), ("LIN", "perpetual", 1.0, None),
            ("FUT", "inverse_future", 10.0, expiry)][: 3 if expired else 4]  # fmt: skip
    table = pd.DataFrame(rows, columns=["instrument", "type", "multiplier", "expiry"]).set_index("instrument")
    table["expiry"] = pd.to_datetime(table["expiry"], utc=True)
    table["underlying"] = "BTC"
    table["currency"] = "USD"
    price = pd.Series([spot, spot, spot, future][: len(table)], index=table.index)
    quotes = pd.DataFrame({"bid": price, "ask": price})
    quotes["funding_rate"] = [np.nan, np.nan, funding, np.nan][: len(table)]
    quotes["funding_hours"] = 8.0
    time = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=day)
    history = pd.DataFrame({"BTC": [spot]}, index=[time])
    drivers = pd.DataFrame({"driver": ["BTC"], "kind": ["price"], "underlying": ["BTC"], "currency": ["USD"]})
    return Market(instruments=table, quotes=quotes, base_currency=base, drivers=drivers, history=history, as_of=time)


@pytest.mark.parametrize("leave", [9_500.0, 10_500.0, 20_000.0])
def test_a_coin_with_a_short_inverse_perpetual_keeps_its_dollar_value(leave: float) -> None:
    pnl = contract_pnl(coins(10_000, 10_100, 0), coins(leave, leave, 1))
    assert pnl["BTC"] - 1_000 * pnl["PERP"] == pytest.approx(0.0, abs=CENT)
    in_coin = contract_pnl(coins(10_000, 10_100, 0, "BTC"), coins(leave, leave, 1, "BTC"))
    assert in_coin["BTC"] == pytest.approx(0.0, abs=1e-15)
    assert in_coin["PERP"] == pytest.approx(10 * (1 / 10_000 - 1 / leave), abs=1e-15)


def test_a_linear_perpetual_pays_three_fundings_a_day() -> None:
    pnl = contract_pnl(coins(10_000, 10_100, 0), coins(10_000, 10_050, 1))
    assert pnl["LIN"] == pytest.approx(-3 * 0.0001 * 10_000)


def test_a_walk_pays_the_fundings_that_are_told() -> None:
    """Two days at one price: long 2 perpetuals pays 3 and 3 rates of what was told, 1 and -2 bp, not the quoted one."""
    markets = [coins(10_000, 10_050, day) for day in range(2)] + [coins(10_000, 10_050, 2)]
    times = [markets[0].as_of + pd.Timedelta(hours=8 * i) for i in range(1, 7)]
    rows = pd.DataFrame({"time": times, "rate": [1e-4] * 3 + [-2e-4] * 3, "mark": 10_000.0}).assign(instrument="LIN")
    idle = HedgeModel(objective=(SpreadCost(),), universe=("BTC",), capital=1e5)
    walk = walk_forward(idle, markets, pd.Series({"LIN": 2.0}), funding=rows)
    assert walk.pnl["book"].to_list() == pytest.approx([-2 * 3e-4 * 10_000, 2 * 6e-4 * 10_000], abs=1e-9)
    quoted = walk_forward(idle, markets, pd.Series({"LIN": 2.0}))
    assert quoted.pnl["book"].to_list() == pytest.approx([-2 * 3e-4 * 10_000] * 2, abs=1e-9)


def test_an_expired_future_settles_at_the_next_level() -> None:
    start, end = coins(10_000, 10_100, 1), coins(11_000, 0, 3, expired=True)
    assert contract_pnl(start, end)["FUT"] == pytest.approx(10 * (1 / 10_100 - 1 / 11_000) * 11_000)


def option(spot: float, day: int, price: float | None) -> Market:
    time = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=day)
    table = pd.DataFrame({"type": ["equity", "option"], "underlying": "X", "multiplier": [1.0, 100.0],
                          "strike": [np.nan, 50.0], "right": ["", "C"],
                          "expiry": [None, "2024-01-02T21:00:00Z"]}, index=["X", "C50"])  # fmt: skip
    table["expiry"] = pd.to_datetime(table["expiry"], utc=True)
    quotes = pd.DataFrame({"bid": [spot, price], "ask": [spot, price]}, index=table.index)
    keep = table.index[: 2 if price is not None else 1]
    history = pd.DataFrame({"X": [spot]}, index=[time])
    return Market(instruments=table.loc[keep], quotes=quotes.loc[keep].astype(float), base_currency="USD",
                  history=history, as_of=time)  # fmt: skip


def test_an_expired_option_pays_its_intrinsic_value() -> None:
    start = option(52.0, 0, 3.0)
    assert contract_pnl(start, option(55.0, 2, None))["C50"] == pytest.approx(100 * (5.0 - 3.0))
    assert contract_pnl(start, option(45.0, 2, None))["C50"] == pytest.approx(-300.0)


def test_a_held_contract_that_vanishes_is_named() -> None:
    prices = levels()
    gone = [*markets(prices.iloc[:27]), Market.from_prices(prices[["SPY"]], base_currency="USD")]
    with pytest.raises(DataError, match="STOCK is held but has no price"):
        walk_forward(BetaHedge(), gone[:1] + gone[-1:], BOOK)


def test_wrong_walks_are_refused() -> None:
    prices = levels()
    two = list(markets(prices.iloc[:27]))
    with pytest.raises(DataError, match="is not after"):
        walk_forward(BetaHedge(), two[::-1], BOOK)
    with pytest.raises(SpecError, match="at least two markets"):
        walk_forward(BetaHedge(), two[:1], BOOK)
    with pytest.raises(SpecError, match="on_failure is 'skip'"):
        walk_forward(BetaHedge(), two, BOOK, on_failure="skip")
    with pytest.raises(DataError, match="GOOG of the book"):
        walk_forward(BetaHedge(), two, pd.Series({"GOOG": 1.0}))


def test_a_trade_costs_half_the_spread_and_the_fee() -> None:
    market = next(markets(levels()))
    trades = pd.Series({"SPY": -10.0})
    assert trading_cost(market, trades) == pytest.approx(10 * market.price["SPY"] * (0.001 + 0.0001))
