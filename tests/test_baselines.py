"""Why nothing is traded: its cost, its limits, or its lots; said of the simple hedge that takes off most risk."""

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, stocks

from optihedge.hedge.baselines import regression_trades, why_no_trade
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.result import Hedge
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.limits import TradeLimit, TurnoverLimit
from optihedge.hedge.terms.objective import Variance
from optihedge.market.snapshot import Market
from optihedge.trades.lots import round_to_lots


def hedged(market: Market, *constraints, aversion: float = 1.0, held: float = 100.0) -> Hedge:
    objective = (Variance(aversion), SpreadCost())
    return HedgeModel(risk=flat_risk(market), objective=objective, constraints=constraints).hedge(market, {"S0": held})


def table(market: Market, **simple: tuple[float, float]) -> pd.DataFrame:
    """Baselines: (volatility per day, cost) by name, beside 3.0 at no cost."""
    rows = {"no trade": (3.0, 0.0), **simple, "hedge": (3.0, 0.0)}
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["volatility", "cost"])
    return frame.assign(trades="+1 S0")


@pytest.mark.parametrize(("limit", "name"), [(TradeLimit(0.0), "bounds of S0"), (TurnoverLimit(0.0), "turnover")])
def test_a_limit_that_forbids_the_trade_is_named_and_not_its_cost(limit, name):
    """100 S0 sold takes off all of the 1 % a day: worth aversion / 2 x (0.01 x value)^2, far above half the spread."""
    market = stocks(3, spread=2e-3)
    hedge = hedged(market, limit)
    value = 100 * market.price["S0"]
    worth, cost = 0.5 * (0.01 * value) ** 2, 100 * market.trade_cost.at["S0", "sell"]
    (line,) = (line for line in str(hedge).splitlines() if line.startswith(("no trade:", "no trade,")))
    assert f"worth {worth:,.6g}, cost {cost:,.6g}" in line and worth > cost
    assert line.startswith("no trade, not for its cost") and f"limits forbid it: {name}" in line


def test_whole_lots_that_leave_the_trade_out_are_not_called_its_cost():
    market = stocks(3, spread=1e-4, lot=1.0)
    hedge = round_to_lots(hedged(market, held=0.4))
    assert (hedge.trades == 0).all()
    assert "no trade, not for its cost" in str(hedge) and "whole lots or another term leave it out" in str(hedge)


def test_the_simple_hedge_of_largest_worth_speaks():
    """Aversion 2: worth is the fall of variance, 9 - 4 = 5 against 9 - 10 = -1, whatever is cheaper."""
    market = stocks(3)
    problem = hedged(market, aversion=1e-12).problem
    cheap = table(market, **{"nearest instrument": (2.0, 10.0), "regression beta": (np.sqrt(10.0), 0.1)})
    text = "no trade: risk reduction worth 5, cost 10 (nearest instrument: +1 S0)"
    assert why_no_trade(market, problem, cheap, 2.0) == text
    pays = table(market, **{"nearest instrument": (1.0, 10.0), "regression beta": (2.0, 4.0)})
    said = why_no_trade(market, problem, pays, 2.0)  # 8 for 10 does not pay, 5 for 4 does
    assert said.startswith("no trade, not for its cost (risk reduction worth 5, cost 4, regression beta: +1 S0)")
    assert why_no_trade(market, problem, table(market, **{"nearest instrument": (3.5, 0.1)}), 2.0) == ""


def test_what_a_book_could_have_done_simply_does_not_depend_on_the_books_before_it():
    """Books that hold and may trade other contracts, one after the other in one market, as each in a market alone."""
    shared = stocks(6, hedge=[False, False, True, True, True, True])
    books = [{"S0": 50.0}, {"S1": -20.0}, {"S0": 10.0, "S1": 30.0}, {"S0": 50.0}]

    def simple(market: Market, book: dict[str, float]) -> pd.DataFrame:
        given = {"risk": flat_risk(market), "objective": (Variance(1e-4), SpreadCost())}
        return HedgeModel(**given).hedge(market, book).baselines

    for book in books:
        alone = simple(stocks(6, hedge=[False, False, True, True, True, True]), book)
        pd.testing.assert_frame_equal(simple(shared, book), alone, check_exact=True)
        assert "regression beta" in alone.index


def test_a_regression_has_an_answer_where_all_that_may_be_traded_was_listed_lately():
    """Two months listed for 90 and 50 of 250 days: least squares on all that the longer one has."""
    rng, days = np.random.default_rng(6), pd.date_range("2025-01-01", periods=250, tz="UTC", name="time")
    index = 0.01 * rng.standard_normal(250)
    own = pd.DataFrame({"FUND": 1.1 * index, "MAR": index, "JUN": index}) + 0.001 * rng.standard_normal((250, 3))
    prices = (100 * np.exp(own.cumsum())).set_axis(days)
    for name, listed in (("MAR", 90), ("JUN", 50)):
        prices.loc[prices.index[:-listed], name] = np.nan
    table = pd.DataFrame({"hedge": [False, True, True]}, index=prices.columns)
    market = Market.from_prices(prices, base_currency="USD", instruments=table)
    problem = HedgeModel(risk=flat_risk(market), objective=(Variance(1.0),)).problem(market, {"FUND": 10.0})
    trade = pd.Series(regression_trades(market, problem), problem.names)
    rows = prices.pct_change(fill_method=None).dropna(subset=["MAR"])
    slope = np.polyfit(rows["MAR"], rows["FUND"], 1)[0]
    expected = -slope * 10.0 * prices["FUND"].iloc[-1] / prices["MAR"].iloc[-1]
    assert trade.to_dict() == pytest.approx({"FUND": 0.0, "MAR": expected, "JUN": 0.0})
