"""Factors that a book of common contracts does not show: each against the contract's own terms, written out here."""

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, stocks
from test_exposures import EXPIRY, SPOT
from test_lots import small_program
from test_pnl import coins

from optihedge.hedge.baselines import nearest_trade, regression_trades
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.objective import Variance
from optihedge.market.earned import contract_pnl
from optihedge.market.exposures import price_unit
from optihedge.market.scenarios import scenario_pnl
from optihedge.market.snapshot import Market
from optihedge.program.lots.neighbourhood import Volatility

START = pd.Timestamp("2026-01-20T12:00:00Z")


def test_a_tick_of_an_inverse_future_is_worth_what_its_own_formula_says() -> None:
    """10 USD at F is 10 / F coin: a tick costs 10 (1 / F - 1 / (F + tick)) coin, each worth S, which is not F."""
    market = coins("USD", 0, 0)
    unit = pd.Series(price_unit(market.contracts), market.names)
    tick, price = 1e-4, market.price["FUT"]
    assert price / SPOT > 1.01
    assert unit["FUT"] == pytest.approx(10 * (1 / price - 1 / (price + tick)) * SPOT / tick, rel=1e-6)


def test_a_value_behind_an_inverted_pair_is_convex_in_it() -> None:
    """A stock of 9 dollars in a book of coin at S dollars is 9 / S coin, whose S^2 d2/dS2 is 2 x 9 / S."""
    names = ["INDEX", "STOCK"]
    market = Market(
        pd.DataFrame({"instrument": names, "type": ["index", "equity"], "underlying": ["BTC", "STOCK"],
                      "currency": "USD"}),
        pd.DataFrame({"instrument": names, "mark": [50.0, 9.0], "bid": np.nan, "ask": np.nan}), "BTC",
        drivers=pd.DataFrame({"driver": ["BTC", "STOCK"], "currency": ["USD", "USD"]}), as_of=START,
    )  # fmt: skip
    h = 1e-3
    up, down = scenario_pnl(market, pd.DataFrame({"BTC": [h, -h]}), ["STOCK"])["STOCK"]
    assert (up + down) / h**2 == pytest.approx(2 * 9 / 50, rel=1e-5)
    gamma = market.convexity.toarray()[:, market.names.get_loc("STOCK")]
    assert gamma[gamma != 0] == pytest.approx([2 * 9 / 50])


def test_a_rate_between_two_tenors_leans_to_the_nearer() -> None:
    """45 days between 30 at 1 % and 90 at 4 %: a quarter of the way, 1.75 %."""
    expiry = START + pd.Timedelta(days=45)
    market = Market(
        pd.DataFrame({"instrument": ["S", "C"], "type": ["equity", "option"], "underlying": "S",
                      "expiry": [pd.NaT, expiry], "strike": [np.nan, 100.0], "right": ["", "C"]}),
        pd.DataFrame({"instrument": ["S", "C"], "bid": [100.0, np.nan], "ask": [100.0, np.nan], "vol": [np.nan, 0.2]}),
        "USD", drivers=pd.DataFrame({"driver": ["S", "r1", "r3"], "kind": ["price", "rate", "rate"],
                                     "underlying": ["S", "USD", "USD"], "tenor": ["", "30d", "90d"]}),
        history=pd.DataFrame({"S": [100.0], "r1": [0.01], "r3": [0.04]}, index=pd.DatetimeIndex([START])), as_of=START,
    )  # fmt: skip
    assert market.quotes.at["C", "rate"] == pytest.approx(0.0175, rel=1e-9)


@pytest.mark.parametrize(("greek", "power"), [("delta", 1), ("vega", 1), ("theta", 1), ("gamma", 2), ("volga", 2)])
def test_while_the_settlement_average_runs_second_derivatives_shrink_by_its_square(greek: str, power: int) -> None:
    def desk(window: float) -> float:
        expiry = START + pd.Timedelta(minutes=15)
        table = pd.DataFrame({
            "instrument": ["I", "C"], "type": ["index", "option"], "underlying": "I", "expiry": [pd.NaT, expiry],
            "strike": [np.nan, 100.1], "right": ["", "C"], "settlement_window": [0.0, window],
        })  # fmt: skip
        quotes = pd.DataFrame({"instrument": ["I", "C"], "mark": [100.0, np.nan], "bid": np.nan, "ask": np.nan,
                               "vol": [np.nan, 0.5]})  # fmt: skip
        return float(Market(table, quotes, "USD", as_of=START).exposures.at["C", greek])

    assert desk(20.0) != 0
    assert desk(60.0) / desk(0.0) == pytest.approx(0.25**power, rel=1e-9)


def test_a_dollar_payoff_is_paid_in_dollars_at_the_settlement_level_of_a_coin_book() -> None:
    """In coin a call pays max(S - K, 0) / S with the S it settles at, not the S of the start."""
    left = (EXPIRY - START) / pd.Timedelta(hours=1)
    start = coins("BTC", left - 24, 0)
    keep = pd.Index(["INDEX", "COIN", "USD"])
    level = 1.1 * SPOT
    quotes = pd.DataFrame({"instrument": ["INDEX"], "mark": [level], "bid": [np.nan], "ask": [np.nan]})
    drivers = pd.DataFrame({"driver": ["BTC"], "currency": ["USD"]})
    end = Market(start.instruments.loc[keep], quotes, "BTC", drivers=drivers, as_of=EXPIRY)
    earned = contract_pnl(start, end)
    assert earned["LINEAR"] == pytest.approx((level - 90_000.0) / level - start.value["LINEAR"], rel=1e-12)
    assert earned["LFUT"] == pytest.approx((level - start.price["LFUT"]) / level, rel=1e-12)


def test_the_simple_hedges_are_sold_against_a_long_book() -> None:
    """Three stocks that rise and fall together: each baseline sells, and leaves less variance than none."""
    market = stocks(3, days=250)
    problem = HedgeModel(risk=flat_risk(market), objective=(Variance(1e-4), SpreadCost()), universe=("S2",)).hedge(
        market, {"S0": 100.0}
    ).problem  # fmt: skip
    nearest, regression = nearest_trade(market, problem), regression_trades(market, problem)
    assert regression is not None and problem.variance is not None
    before = problem.variance.volatility(problem.start)
    for trade in (nearest, regression):
        assert trade.min() < 0 == trade.max()
        assert problem.variance.volatility(problem.start + trade) < before


@pytest.mark.parametrize("seed", range(3))
def test_the_volatility_after_a_pair_of_lots_holds_their_cross_term(seed: int) -> None:
    p, rng = small_program(seed, 4), np.random.default_rng(seed)
    one = Volatility(p.factors, p.factor_offset, p.diagonal, 1.0)
    h, steps = p.start, rng.normal(size=(2, 5))
    i, j = np.full(5, 1), np.full(5, 3)
    after = np.repeat(h[None], 5, axis=0)
    after[:, 1] += steps[0]
    after[:, 3] += steps[1]
    assert one.after(h, [(i, steps[0]), (j, steps[1])]) == pytest.approx(one.at(after), rel=1e-12)
