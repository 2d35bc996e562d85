"""Hull's table of dynamic hedging and the law that its error falls with the root of the number of rebalancings."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from nights import Trades

from optihedge.accounts.state import Lot, State
from optihedge.backtest.simulate import run_backtest
from optihedge.market.events import Event
from optihedge.market.pricing import black, greeks
from optihedge.market.snapshot import Market
from optihedge.step.broker import AtQuote
from optihedge.step.step import step

START = pd.Timestamp("2026-01-05T21:00:00Z")
YEAR = pd.Timedelta(days=365)
WEEKLY = [49.00, 48.12, 47.37, 50.25, 51.75, 53.12, 53.00, 51.87, 51.38, 53.00, 49.88, 48.50, 49.88, 50.37, 52.13,
          51.88, 52.87, 54.87, 54.62, 55.87, 57.25]  # fmt: skip


def market(
    years: float, spots: np.ndarray, expiry: float, strike: float, vol: float, rate: float, start: float
) -> Market:
    """Stocks S0, S1 ... without a spread, and a European call on each, as long as it lives."""
    as_of, count = START + years * YEAR, len(spots)
    stocks, calls = [f"S{i}" for i in range(count)], [f"C{i}" for i in range(count)]
    table = pd.DataFrame({"instrument": stocks, "type": "equity", "underlying": stocks, "multiplier": 1.0, "lot": 1e-6})
    quotes = pd.DataFrame({"instrument": stocks, "mark": spots, "bid": spots, "ask": spots})
    if years < expiry - 1e-9:
        left = expiry - years
        discount = np.exp(-rate * left)
        price = black(spots / discount, strike, left, vol, 1.0, discount)
        price = np.maximum(np.asarray(price), 1e-12)
        more = pd.DataFrame({"instrument": calls, "type": "option", "underlying": stocks, "multiplier": 100.0,
                             "strike": strike, "right": "C", "expiry": START + expiry * YEAR, "lot": 1.0})  # fmt: skip
        table = pd.concat([table, more], ignore_index=True)
        table["expiry"] = pd.to_datetime(table["expiry"], utc=True)
        quotes = pd.concat([quotes, pd.DataFrame({"instrument": calls, "mark": price, "rate": rate, "vol": vol})])
    first = np.full(count, start)
    times = [START - pd.Timedelta(days=1)] + ([as_of] if years else [])
    history = pd.DataFrame(np.vstack([first] + ([spots] if years else [])), columns=stocks, index=times)
    return Market(table, quotes.assign(bid=quotes.get("bid"), ask=quotes.get("ask")), "USD",
                  history=history.rename_axis("time"), as_of=as_of, on_missing="freeze")  # fmt: skip


@dataclass(frozen=True)
class Delta:
    """Holds N(d1) of every stock against the calls that are short; nothing more where they have gone."""

    digits: int | None = None

    def hedge(self, market: Market, book: pd.Series) -> Trades:
        calls = book[book.index.str.startswith("C")]
        stocks = "S" + calls.index.str[1:]
        at = market.names.get_indexer(calls.index)
        c = market.contracts.take(at)
        delta = np.asarray(greeks(c.spot, c.forward, c.strike, c.years, c.vol, 1.0, c.discount).delta)
        wanted = -calls.to_numpy() * 100 * (delta if self.digits is None else np.round(delta, self.digits))
        return Trades(pd.Series(wanted - book.reindex(stocks).fillna(0.0).to_numpy(), index=stocks))


@pytest.mark.parametrize(("digits", "cost", "within"), [(3, 263_300.0, 150.0), (None, 263_242.0, 1.0)])
def test_hulls_table_of_delta_hedging_in_the_money(digits, cost, within):
    """100 000 calls short at 49, strike 50, 20 % vol, 20 weeks; 5 % interest, continuous, paid weekly."""
    expiry, rate = 20 / 52, 52 * np.expm1(0.05 / 52)
    markets = [market(week / 52, np.array([spot]), expiry, 50.0, 0.2, 0.05, 49.0) for week, spot in enumerate(WEEKLY)]
    paid = [Event(m.as_of, f"interest {i}", m.as_of, "interest", "", rate, "USD") for i, m in enumerate(markets)]
    ends = markets[-1].as_of
    paid.append(Event(ends, "settlement", ends, "settlement", "C0", WEEKLY[-1], "", "physical"))
    opening = State(book="hull", seq=0, as_of=START, rates={"USD": rate},
                    positions={"book": {"C0": (Lot(-1_000.0, 2.4, START),)}})  # fmt: skip
    state, before = opening, None
    for now in markets:
        if before is None:
            done = step(state, None, now, Delta(digits))
        else:
            fills, reports = AtQuote().execute(state.orders, before, now)
            due = [e for e in paid if before.as_of < e.time <= now.as_of]
            done = step(state, before, now, Delta(digits), fills=fills, reports=reports, events=due)
        state, before = done.state, now
    assert state.quantities("book").to_dict() == {"S0": -100_000.0}
    assert state.cash["book"]["USD"] == pytest.approx(5e6, abs=20.0)
    held = state.quantities("hedge")["S0"]
    spent = -state.cash["hedge"]["USD"] + (100_000 - held) * WEEKLY[-1] - 5e6  # the last few shares at the last price
    assert held == pytest.approx(100_000, abs=10)
    assert spent == pytest.approx(cost, abs=within)


@pytest.mark.slow
def test_the_error_of_a_discrete_hedge_falls_with_the_root_of_its_steps():
    """Sixty-four stocks of their own, a call on each: the sixteenth of the interval, a quarter of the error.

    Its size is vol vega sqrt(pi / 4 / steps), to first order (Derman and Kamal, Quantitative Strategies 1999).
    """
    vol, expiry, count = 0.2, 0.25, 64
    errors = {}
    for steps in (4, 64):
        rng = np.random.default_rng(5)
        moves = vol * np.sqrt(expiry / steps) * rng.standard_normal((steps, count)) - vol**2 * expiry / steps / 2
        spots = 100 * np.exp(np.vstack([np.zeros(count), np.cumsum(moves, axis=0)]))
        markets = [market(i * expiry / steps, s, expiry, 100.0, vol, 0.0, 99.0) for i, s in enumerate(spots)]
        settled = [Event(markets[-1].as_of, f"s{i}", START, "settlement", f"C{i}", float(s), "", "cash")
                   for i, s in enumerate(spots[-1])]  # fmt: skip
        walk = run_backtest(Delta(), markets, {f"C{i}": -1.0 for i in range(count)}, events=settled)
        each = walk.attribution("instrument")["total"]
        errors[steps] = np.std([each[f"C{i}"] + each.get(f"S{i}", 0.0) for i in range(count)]) / 100
    vega = 100 * np.sqrt(expiry) * 0.3989
    assert errors[4] / errors[64] == pytest.approx(4.0, rel=0.3)
    assert errors[64] == pytest.approx(np.sqrt(np.pi / 4 / 64) * vega * vol, rel=0.3)
