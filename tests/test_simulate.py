"""A backtest is its nights: the same step, the same state, the same bytes; and it sees nothing of the future."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from nights import DeltaRule, coin_markets, fundings, path

from optihedge.accounts.fills import fills_frame, read_fills
from optihedge.accounts.state import State
from optihedge.accounts.valuation import opening
from optihedge.backtest.simulate import run_backtest
from optihedge.errors import DataError, InfeasibleError, SpecError
from optihedge.market.snapshot import Market
from optihedge.risk.beta import Beta
from optihedge.step.broker import AtQuote, Delayed, Partial, Reject
from optihedge.step.step import step

BOOK = {"C0": -3.0, "P0": -2.0, "C1": 4.0, "COIN": 2.0}
BROKERS = {
    "at quote": AtQuote(), "delayed": Delayed(), "partial": Partial(0.5), "partly rejected": Reject(0.4),
    "all at once": Reject(0.3, Partial(0.6, Delayed())),
}  # fmt: skip


@dataclass(frozen=True)
class TwoLegs:
    """Half of the delta with each of two contracts, so that one may be rejected and the other not."""

    def hedge(self, market, book):
        first, second = (DeltaRule(name).hedge(market, book).trades for name in ("PERP", "LIN"))
        return type("Answer", (), {"trades": pd.concat([first, second]) / 2})


def nights(markets, events, broker, folder, skipped=()):
    """The desk's way: each night the state is read from a file, fills from a table, and the state is written back."""
    before, states, lists = None, [], []
    for number, market in enumerate(markets):
        if number in skipped:
            continue
        if before is None:
            night = step(opening("book", market, BOOK), None, market, TwoLegs())
        else:
            state = State.from_text((folder / "state.json").read_text())
            fills, reports = broker.execute(state.orders, before, market)
            fills_frame(fills).to_csv(folder / "fills.csv", index=False)
            imported = read_fills(folder / "fills.csv")
            due = [e for e in events if before.as_of < e.time <= market.as_of]
            night = step(state, before, market, TwoLegs(), fills=imported, reports=reports, events=due)
        (folder / "state.json").write_text(night.state.text)
        before = market
        states.append(night.state.hash)
        lists.append("" if night.trades is None else night.trades.sha256)
    return states, lists


@pytest.fixture(scope="module")
def desk():
    spots = path(7)
    return coin_markets(spots), fundings(spots)


@pytest.mark.parametrize("broker", BROKERS)
def test_nights_are_the_backtest_byte_for_byte(broker, desk, tmp_path):
    markets, events = desk
    skipped = (2, 4) if broker == "all at once" else ()
    broker = BROKERS[broker]
    kept = [market for number, market in enumerate(markets) if number not in skipped]
    walk = run_backtest(TwoLegs(), kept, BOOK, broker=broker, events=events)
    states, lists = nights(markets, events, broker, tmp_path, skipped)
    assert walk.steps["state"].tolist() == states
    assert walk.steps["sha256"].tolist() == lists
    assert (walk.steps["lines"] > 0).sum() >= 2


def test_every_change_of_equity_is_the_sum_of_its_parts():
    spots = path(7, seed=3)
    for base in ("USD", "BTC"):
        walk = run_backtest(TwoLegs(), coin_markets(spots, base), BOOK, broker=Partial(0.7, Delayed()),
                            events=fundings(spots))  # fmt: skip
        parts = walk.explained.drop(columns="total").sum(axis=1).groupby("time").sum()
        change = walk.steps["change"].iloc[1:]
        scale = walk.steps["equity"].abs().max()
        np.testing.assert_allclose(parts.reindex(change.index), change, rtol=0, atol=1e-9 * scale)
        np.testing.assert_allclose(walk.steps["equity"].diff().iloc[1:], change, rtol=0, atol=1e-9 * scale)
        assert (walk.explained[["funding", "fill", "delta", "gamma"]].abs().sum() > 0).all()
        own = (walk.explained["total"] - walk.explained["transfer"]).groupby(level=["time", "account"]).sum()
        told = own.unstack("account").reindex(index=walk.steps.index[1:]).fillna(0.0)
        np.testing.assert_allclose(walk.pnl[["book", "hedge"]], told[["book", "hedge"]], rtol=0, atol=1e-9 * scale)
        fills = -walk.explained["fill"].groupby("time").sum().reindex(change.index)
        np.testing.assert_allclose(walk.pnl["cost"], fills, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("cut", [2, 3])
def test_the_first_steps_are_the_backtest_of_the_first_markets_whatever_the_future(cut):
    spots = path(6)
    changed = spots.copy()
    changed[cut + 1 :] *= np.linspace(1.08, 0.94, len(spots) - cut - 1)
    first, second = (run_backtest(TwoLegs(), coin_markets(s), BOOK, events=fundings(s)) for s in (spots, changed))
    pd.testing.assert_frame_equal(first.steps.iloc[: cut + 1], second.steps.iloc[: cut + 1], check_exact=True)
    assert first.steps["state"].iloc[cut + 1] != second.steps["state"].iloc[cut + 1]


@pytest.mark.slow
def test_no_step_changes_when_the_future_is_corrupted_at_a_hundred_random_cuts():
    """Levels, fundings and the quotes of what is held, all after a random market of a random path."""
    chance = np.random.default_rng(7)
    for seed in range(20):
        spots = path(6, seed)
        known = run_backtest(TwoLegs(), coin_markets(spots), BOOK, events=fundings(spots))
        for cut in chance.integers(1, 5, 5):
            changed = spots.copy()
            changed[cut + 1 :] *= np.exp(0.2 * chance.standard_normal(len(spots) - cut - 1))
            again = run_backtest(TwoLegs(), coin_markets(changed)[: cut + 2], BOOK, events=fundings(changed))
            pd.testing.assert_frame_equal(
                known.steps.iloc[: cut + 1], again.steps.iloc[: cut + 1], check_exact=True, check_freq=False
            )
            assert known.steps["state"].iloc[cut + 1] != again.steps["state"].iloc[cut + 1]


STOCK = pd.Series({"STOCK": 100_000.0})


def levels(periods: int = 40) -> pd.DataFrame:
    """An index and a stock of beta 1.5."""
    chance = np.random.default_rng(0)
    index = 0.01 * chance.standard_normal(periods)
    returns = np.column_stack([index, 1.5 * index + 0.004 * chance.standard_normal(periods)])
    days = pd.date_range("2024-01-01", periods=periods, tz="UTC")
    return pd.DataFrame(100 * np.cumprod(1 + returns, axis=0), index=days, columns=["SPY", "STOCK"])


def stock_markets(prices: pd.DataFrame) -> list[Market]:
    return [
        Market.from_prices(prices, base_currency="USD", as_of=day, spread=0.002, fee=0.0001)
        for day in prices.index[25:]
    ]


@dataclass(frozen=True)
class BetaRule:
    """Sells the stock's beta of the index; refuses on one day."""

    refuse: pd.Timestamp | None = None

    def hedge(self, market, book):
        if market.as_of == self.refuse:
            raise InfeasibleError("no hedge today")
        beta = Beta(market=("SPY",)).fit(market.moves()).betas_.loc["STOCK", "SPY"]
        wanted = -beta * book["STOCK"] * market.price["STOCK"] / market.price["SPY"]
        return type("Answer", (), {"trades": pd.Series({"SPY": wanted - book.get("SPY", 0.0)})})


def test_a_walk_earns_quantity_times_price_change_less_half_spread_and_fee_of_what_was_traded():
    prices = levels()
    walk = run_backtest(BetaRule(), stock_markets(prices), STOCK)
    changes, held = prices.diff().iloc[26:], walk.positions["SPY"].xs("hedge", level="account").iloc[1:]
    np.testing.assert_allclose(walk.pnl["book"], 1e5 * changes["STOCK"], atol=1e-6)
    np.testing.assert_allclose(walk.pnl["hedge"] + walk.pnl["cost"], held * changes["SPY"], atol=1e-6)
    traded = held.diff().fillna(held).abs().to_numpy()
    np.testing.assert_allclose(walk.pnl["cost"], traded * prices["SPY"].iloc[25:-1] * 0.0011, atol=1e-6)
    cents = 0.0051  # a list's notional is in cents
    np.testing.assert_allclose(walk.steps["notional"].iloc[:-1], traded * prices["SPY"].iloc[25:-1], rtol=0, atol=cents)
    assert 0.5 < walk.effectiveness.table.loc["variance removed", "value"] < 1.0


def test_a_failed_step_keeps_the_last_hedge_and_says_so():
    prices = levels()
    walk = run_backtest(BetaRule(refuse=prices.index[30]), stock_markets(prices), STOCK)
    assert walk.steps["status"].iloc[5] == "failed" and "no hedge today" in walk.steps["why"].iloc[5]
    held = walk.positions["SPY"].xs("hedge", level="account")
    assert held.iloc[6] == held.iloc[5] != held.iloc[7]


def test_a_book_of_each_day_is_told_by_date_or_by_function_and_its_changes_earn_nothing():
    prices, seen = levels(30), []
    markets = stock_markets(prices)
    books = {day: i * STOCK for i, day in enumerate(prices.index)}
    by_date = run_backtest(BetaRule(), markets, books, progress=lambda n, day: seen.append((n, day)))
    by_function = run_backtest(BetaRule(), markets, lambda market: books[market.as_of])
    pd.testing.assert_frame_equal(by_date.steps, by_function.steps)
    earned = np.arange(25, 29) * 1e5 * prices["STOCK"].diff().iloc[26:]
    np.testing.assert_allclose(by_date.pnl["book"], earned, atol=1e-4)
    assert seen[-1] == (5, prices.index[-1])


def test_wrong_walks_are_refused():
    two = stock_markets(levels(27))
    with pytest.raises(DataError, match="is not after"):
        run_backtest(BetaRule(), two[::-1], STOCK)
    with pytest.raises(SpecError, match="at least two markets"):
        run_backtest(BetaRule(), two[:1], STOCK)
    with pytest.raises(DataError, match="GOOG"):
        run_backtest(BetaRule(), two, {"GOOG": 1.0})
    with pytest.raises(DataError, match="no book for 2024-01-27"):
        run_backtest(BetaRule(), two, {two[0].as_of: STOCK})
