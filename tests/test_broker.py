"""Brokers: where, how much and when simulated orders are filled, and their final words."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from nights import START, coin_markets, path

from optihedge.accounts.state import Order
from optihedge.backtest.simulate import walk
from optihedge.errors import SpecError
from optihedge.market.events import Event
from optihedge.market.snapshot import Market
from optihedge.step.broker import AtQuote, Delayed, Partial, Reject, WalkDepth


@pytest.fixture(scope="module")
def markets():
    one, two = coin_markets(path(2))
    rows = [("LIN", "ask", one.price["LIN"] + step, size) for step, size in ((10, 2.0), (20, 3.0), (40, 5.0))]
    rows += [("LIN", "bid", one.price["LIN"] - 15, 4.0)]
    return replace(one, depth=pd.DataFrame(rows, columns=["instrument", "side", "price", "size"])), two


def order(name: str, quantity: float, limit: float = np.nan, number: str = "o") -> Order:
    return Order(number, name, quantity, quantity, limit, START)


def test_at_quote_pays_the_far_side_and_the_fee_a_second_later(markets):
    one, two = markets
    fills, reports = AtQuote().execute([order("PERP", -100.0), order("C1", 2.0, number="p")], one, two)
    assert [fill.price for fill in fills] == [one.quotes.at["PERP", "bid"], one.quotes.at["C1", "ask"]]
    assert {fill.time for fill in fills} == {one.as_of + pd.Timedelta(seconds=1)}
    spot = float(one.levels["BTC"])
    assert fills[0].money == "BTC" and fills[0].fee == pytest.approx(1e-4 * 1_000.0 / spot)
    assert fills[1].fee == pytest.approx(1e-4 * 2.0)  # of the coin's worth, in coin
    assert [report.verdict for report in reports] == ["filled", "filled"]
    silent = replace(one, quotes=one.quotes.assign(ask=one.quotes["ask"].mask(one.names == "LIN")))
    fills, reports = AtQuote().execute([order("LIN", 1.0)], silent, two)
    assert not fills and reports[0].verdict == "rejected"


def test_the_order_book_is_walked_level_by_level(markets):
    one, two = markets
    fills, reports = WalkDepth().execute([order("LIN", 6.0)], one, two)
    assert [(f.quantity, f.price - one.price["LIN"]) for f in fills] == [(2.0, 10.0), (3.0, 20.0), (1.0, 40.0)]
    assert reports[0].verdict == "filled" and len({f.fill_id for f in fills}) == 3
    fills, reports = WalkDepth().execute([order("LIN", -5.0)], one, two)
    assert [(f.quantity, f.price - one.price["LIN"]) for f in fills] == [(-4.0, -15.0)]
    assert reports[0].verdict == "cancelled"
    limited = WalkDepth(limits=True).execute([order("LIN", 6.0, float(one.price["LIN"]) + 20.0)], one, two)
    assert [f.quantity for f in limited[0]] == [2.0, 3.0] and limited[1][0].verdict == "cancelled"
    quoted = WalkDepth().execute([order("PERP", 100.0)], one, two)[0]
    assert quoted == AtQuote().execute([order("PERP", 100.0)], one, two)[0]


def test_a_delayed_order_pays_the_next_market(markets):
    one, two = markets
    (fill,), _ = Delayed().execute([order("LIN", 3.0)], one, two)
    assert fill.price == two.quotes.at["LIN", "ask"] and fill.time == two.as_of
    fills, reports = Delayed().execute([order("GONE", 3.0)], one, two)
    assert not fills and reports[0].verdict == "rejected"


def shares(day: int, label: str, price: float) -> Market:
    table = pd.DataFrame({"instrument": [label, "F"], "type": ["equity", "equity"], "underlying": [label, "F"]})
    quotes = pd.DataFrame({"instrument": [label, "F"], "bid": [price - 0.01, 9.99], "ask": [price + 0.01, 10.01]})
    return Market(table, quotes, "USD", as_of=START + day * pd.Timedelta("1D"))


@dataclass(frozen=True)
class Rule:
    trades: pd.Series


@dataclass(frozen=True)
class Buys:
    """A hand that buys a hundred of what it is shown first, at the first market."""

    def hedge(self, market: Market, book: pd.Series) -> Rule:
        bought = pd.Series({market.names[0]: 100.0 * (market.as_of == START)})
        return Rule(bought)


@pytest.mark.parametrize("broker", [Delayed(), Partial(1.0, Delayed()), Reject(0.0, Delayed())])
@pytest.mark.parametrize(("kind", "other", "units"), [("split", "", 4.0), ("rename", "Z", 1.0), ("rename", "Z", 0.1)])
def test_an_order_that_waits_is_filled_for_what_its_contract_has_become(broker, kind, other, units):
    """Bought for as much money as on the day before, a fourth of the price and four times the shares."""
    one, two = shares(0, "X", 100.0), shares(1, other or "X", 100.0 / units)
    turned = Event(START + pd.Timedelta("12h"), "e", START, kind, "X", units, "", other)
    *_, (_, last) = walk(Buys(), [one, two], {"X": 1.0}, broker=broker, events=[turned])
    state = last.state
    assert state.quantities("hedge").to_dict() == {other or "X": 100.0 * units}
    assert state.cash["hedge"]["USD"] == pytest.approx(-100.0 * units * (100.0 / units + 0.01))


def test_a_partial_fill_is_whole_lots_and_its_rest_is_cancelled(markets):
    one, two = markets
    orders = [order("LIN", 0.05), order("PERP", -101.0, number="p")]
    fills, reports = Partial(0.5).execute(orders, one, two)
    assert [fill.quantity for fill in fills] == [0.02, -50.0]
    whole = AtQuote().execute(orders, one, two)[0]
    assert fills[0].fee == pytest.approx(whole[0].fee * 0.4)
    assert {report.verdict for report in reports} == {"cancelled"}
    assert [f.quantity for f in Partial(1.0).execute(orders, one, two)[0]] == [0.05, -101.0]
    nothing, reports = Partial(0.0).execute(orders, one, two)
    assert not nothing and {r.order_id for r in reports} == {"o", "p"}
    deep = Partial(0.5, WalkDepth()).execute([order("LIN", 6.0)], one, two)[0]
    assert [f.quantity for f in deep] == [2.0, 1.0]


def test_the_same_orders_are_rejected_in_every_run(markets):
    one, two = markets
    orders = [order("LIN", 1.0, number=f"o{i}") for i in range(200)]
    first, again = (Reject(0.3).execute(orders, one, two) for _ in range(2))
    assert first == again
    refused = [r for r in first[1] if r.verdict == "rejected"]
    assert 40 <= len(refused) <= 80 and len(first[0]) == 200 - len(refused)
    assert len(first[1]) == 200
    with pytest.raises(SpecError, match="a number from 0 to 1"):
        Reject(1.5)
