"""Costs of trading and holding have one reference: far side less mark, fees, the order book, funding and borrow."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from optihedge.backtest.simulate import run_backtest
from optihedge.market.costs import holding_costs, trading_costs, unquoted_funding
from optihedge.market.snapshot import Market


def market(mark: float = np.nan, **given: object) -> Market:
    instruments = pd.DataFrame({
        "instrument": ["BTC", "PERP", "OTHER"], "type": ["spot", "perpetual", "perpetual"], "underlying": "BTC",
        "fee": [0.001, 0.0005, 0.0], "currency": "USD",
    })  # fmt: skip
    quotes = pd.DataFrame({
        "instrument": ["BTC", "PERP", "OTHER"], "bid": [99.0, 100.0, 100.0], "ask": [101.0, 102.0, 102.0],
        "mark": [np.nan, mark, np.nan],
        "funding_rate": [np.nan, 0.0001, np.nan], "funding_hours": [np.nan, 8.0, np.nan],
        "borrow_rate": [0.05, np.nan, np.nan],
    })  # fmt: skip
    return Market(instruments, quotes, "USD", **{"as_of": "2026-01-20T12:00:00Z", **given})


def test_a_trade_costs_the_far_side_less_the_mark_and_the_fee() -> None:
    told = trading_costs(market(mark=100.5), pd.Series({"BTC": 10.0, "PERP": -4.0}))
    assert told.loc["BTC"].tolist() == pytest.approx([10.0, 10 * 0.1, 0.0])
    assert told.loc["PERP"].tolist() == pytest.approx([4 * 0.5, 4 * 0.0005 * 100.5, 0.0])


def test_a_far_side_better_than_the_mark_is_no_income() -> None:
    bought = trading_costs(market(mark=103.0), pd.Series({"PERP": 4.0}))
    sold = trading_costs(market(mark=103.0), pd.Series({"PERP": -4.0}))
    assert bought["spread"].item() == 0.0 and sold["spread"].item() == pytest.approx(4 * 3.0)


def test_walking_the_book_pays_each_level_for_what_it_takes_there() -> None:
    depth = pd.DataFrame({
        "instrument": "PERP", "side": ["ask", "ask", "ask", "bid"], "price": [103.0, 102.0, 106.0, 100.0],
        "size": [5.0, 2.0, 50.0, 3.0],
    })  # fmt: skip
    told = trading_costs(market(depth=depth), pd.Series({"PERP": 9.0}))
    paid = 2 * 102 + 5 * 103 + 2 * 106
    assert told["spread"].item() + told["depth"].item() == pytest.approx(paid - 9 * 101)
    assert trading_costs(market(depth=depth), pd.Series({"PERP": -3.0}))["depth"].item() == 0.0


def test_what_fills_pay_is_every_part_of_what_was_told() -> None:
    """Half spread and fee as the broker books them, of a book that a rule trades into."""
    trades = pd.Series({"BTC": 10.0, "PERP": -4.0})
    rule = SimpleNamespace(hedge=lambda market, book: SimpleNamespace(trades=trades))
    days = [market(), market(as_of="2026-01-20T13:00:00Z")]
    walk = run_backtest(rule, days, {"OTHER": 1.0})
    assert walk.pnl["cost"].item() == pytest.approx(trading_costs(days[0], trades).to_numpy().sum())


def test_funding_is_paid_by_longs_and_borrow_by_shorts() -> None:
    year = holding_costs(market(), pd.Series({"BTC": -2.0, "PERP": 3.0, "OTHER": 1.0}), 1.0)
    assert year.loc["PERP", "funding"] == pytest.approx(0.1095 * 3 * 101)  # 0.01 % per 8 hours is 10.95 % a year
    assert year.loc["BTC", "borrow"] == pytest.approx(0.05 * 2 * 100)
    assert year.loc["OTHER"].tolist() == [0.0, 0.0]
    assert holding_costs(market(), pd.Series({"PERP": -3.0}), 1.0)["funding"].item() < 0
    assert list(unquoted_funding(market(), market().names)) == ["OTHER"]
