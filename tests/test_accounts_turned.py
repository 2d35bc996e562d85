"""Contracts that turn into others or end while they are traded: cases worked by hand, and random weeks kept twice."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from nights import EXPIRIES, coin_markets, path
from test_accounts import at, closes, event, fill, market

from optihedge.accounts.advance import advance
from optihedge.accounts.state import Fill, Order, State
from optihedge.accounts.valuation import opening
from optihedge.errors import DataError
from optihedge.market.events import Event
from optihedge.market.snapshot import Market


def orders(*given: Order) -> State:
    return State(book="b", seq=1, as_of=at(0), orders=given)


# ---- labels ----------------------------------------------------------------------------------------------------------


def test_a_merger_into_shares_that_are_held_short_closes_these():
    start, end = market(0, {"A": 20.0, "B": 50.0}), market(2, {"B": 52.0})
    swap = [event("merger", "A", 0.4, 1, other="B")]
    even = advance(opening("b", start, {"A": 100.0, "B": -40.0}), start, end, events=swap)
    assert even.state.positions == {} and even.state.cash == {}
    assert even.closed["gain"].tolist() == [pytest.approx(0.0)]  # sold at 50, and 20 / 0.4 was paid
    closes(even)
    some = advance(opening("b", start, {"A": 100.0, "B": -30.0}), start, end, events=swap)
    assert some.state.quantities().to_dict() == {"B": 10.0}
    assert some.change == pytest.approx(100 * (0.4 * 52 - 20) - 30 * 2)
    closes(some)


def test_what_is_spun_off_is_set_against_a_short_position_in_it():
    start, end = market(0, {"N": 32.0, "F": 10.0}), market(2, {"N": 22.0, "F": 10.5})
    parted = [event("spin_off", "N", 0.25, 1, other="F")]
    moved = advance(opening("b", start, {"N": 100.0, "F": -15.0}), start, end, events=parted)
    assert moved.state.quantities().to_dict() == {"F": 10.0, "N": 100.0}
    assert moved.change == pytest.approx(100 * (22 + 0.25 * 10.5 - 32) - 15 * 0.5)
    closes(moved)


def test_a_parent_sold_after_its_spin_off_has_left_the_child_behind():
    start, end = market(0, {"N": 32.0, "F": 10.0}), market(2, {"N": 22.0, "F": 10.5})
    trades = [fill(7.0, 31.0, 0.5, "N"), fill(-40.0, 22.5, 1.5, "N"), fill(-5.0, 10.2, 1.6, "F")]
    moved = advance(
        opening("b", start, hedge={"N": 100.0}), start, end, trades, events=[event("spin_off", "N", 0.25, 1, other="F")]
    )
    assert moved.state.quantities().to_dict() == {"F": 107 * 0.25 - 5, "N": 67.0}
    cash = -7 * 31.0 + 40 * 22.5 + 5 * 10.2
    assert moved.change == pytest.approx(67 * 22 + (107 * 0.25 - 5) * 10.5 + cash - 3_200)
    closes(moved)


@pytest.mark.parametrize(
    ("renames", "held"),
    [
        ((("A", "B"), ("B", "A")), {"A": 7.0, "B": 100.0}),  # exchanged
        ((("B", "C"), ("A", "B")), {"B": 100.0, "C": 7.0}),  # one moves up as the other leaves
        ((("A", "B"), ("B", "C"), ("C", "A")), {"A": 3.0, "B": 100.0, "C": 7.0}),  # in a circle
    ],
)
def test_labels_that_change_hands_at_one_instant_keep_their_holders(renames, held):
    names = {name for pair in renames for name in pair}
    before = {name: 20.0 + 10 * i for i, name in enumerate(sorted({old for old, _ in renames}))}
    book = {name: q for name, q in {"A": 100.0, "B": 7.0, "C": 3.0}.items() if name in before}
    start, end = market(0, before), market(2, {name: 30.0 + 5 * i for i, name in enumerate(sorted(names & {*held}))})
    events = [event("rename", old, 1.0, 1, other=new) for old, new in renames]
    moved = advance(opening("b", start, book), start, end, events=events)
    assert moved.state.quantities().to_dict() == held
    worth = sum(q * end.price[name] for name, q in held.items()) - sum(q * before[name] for name, q in book.items())
    assert moved.change == pytest.approx(worth)
    closes(moved)


def test_a_label_given_up_and_taken_by_another_share_is_traded_as_that_one():
    start, end = market(0, {"GOOG": 1_130.0}), market(2, {"GOOG": 570.0, "GOOGL": 569.0})
    happened = [event("rename", "GOOG", 1, 0.9, other="GOOGL"), event("spin_off", "GOOGL", 1.0, 1, other="GOOG")]
    trades = [fill(3.0, 1_131.0, 0.5, "GOOG"), fill(-2.0, 571.0, 1.5, "GOOG"), fill(-1.0, 572.0, 1.6, "GOOGL")]
    moved = advance(opening("b", start, {"GOOG": 10.0}), start, end, trades, events=happened)
    assert moved.state.quantities("hedge").to_dict() == {"GOOG": 1.0, "GOOGL": 2.0}
    hedge = 570.0 + 2 * 569.0 - 3 * 1_131.0 + 2 * 571.0 + 572.0
    assert moved.change == pytest.approx(10 * (570.0 + 569.0 - 1_130.0) + hedge)
    closes(moved)
    with pytest.raises(DataError, match=r"A became B on 2026-01-21, and is spoken of later"):
        there = market(0, {"A": 20.0})
        advance(opening("b", there, {"A": 1.0}), there, market(2, {"B": 21.0}), [fill(5.0, 20.0, 1.5, "A")],
                events=[event("rename", "A", 1, 1, other="B")])  # fmt: skip


def test_an_option_that_the_splits_of_its_stock_have_adjusted_ends_as_adjusted():
    start, end = market(0, {"X": 100.0}, {"C": ("X", "C", 90.0, 1.5, 10.4)}), market(2, {"X": 50.0})
    state, split = opening("b", start, {"C": 3.0}), event("split", "X", 2.0, 0.5)
    named = event("rename", "C", 2.0, 0.5, other="C45")
    for more, label in (([], "C"), ([named], "C45")):
        cash = advance(state, start, end, events=[split, *more, event("settlement", label, 51.0, 1.5, other="cash")])
        assert cash.state.cash["book"]["USD"] == pytest.approx(3 * 100 * (2 * 51.0 - 90.0))
        assumed = advance(state, start, end, events=[split, *more])
        assert assumed.state.cash["book"]["USD"] == pytest.approx(3 * 100 * 10.0) and assumed.notes
        shares = advance(
            state, start, end, events=[split, *more, event("settlement", label, 51.0, 1.5, other="physical")]
        )
        assert shares.state.quantities().to_dict() == {"X": 600.0}
        assert shares.state.cash["book"]["USD"] == pytest.approx(-600 * 45.0)
        early = advance(state, start, end, events=[split, *more, event("exercise", label, 3.0 * len(more) or 3.0, 1.0)])
        for moved in (cash, assumed, shares, early):
            closes(moved)


@pytest.mark.parametrize(
    ("ratios", "strike", "multiplier", "label", "units"),
    [
        ((2.0, 4.0), 11.25, 100.0, "C", 8.0),
        ((0.25, 2.0), 180.0, 100.0, "NEW", 0.5),
        ((1.5, 2.0), 30.0, 150.0, "C", 2.0),
    ],
)
def test_options_are_adjusted_by_all_splits_of_their_stock_between_two_markets(
    ratios, strike, multiplier, label, units
):
    """The last ends in a 3:2 split, which enlarges the contract, and a 2:1 split, which doubles their number."""
    whole = float(np.prod(ratios))
    start = market(0, {"X": 96.0}, {"C": ("X", "C", 90.0, 60, 10.4)})
    end = market(2, {"X": 96.0 / whole}, {label: ("X", "C", strike, 60, 10.4 * 100 / (units * multiplier), multiplier)})
    splits = [event("split", "X", ratio, 0.5 + i / 2) for i, ratio in enumerate(ratios)]
    moved = advance(opening("b", start, {"C": 3.0, "X": -100.0}), start, end, events=splits)
    assert moved.state.quantities().to_dict() == {label: 3.0 * units, "X": -100.0 * whole}
    assert moved.change == pytest.approx(0.0, abs=1e-9)
    closes(moved)


def test_what_has_joined_another_share_leaves_that_ones_label_to_it():
    """A share from abroad merges into one that was renamed: what is traded there is told from that one's mark."""
    start = abroad(0, 1.1, {"S": 40.0, "EA": 10.0})
    end = abroad(2, 1.2, {"Z": 44.0})
    events = [event("rename", "S", 2.0, 0.3, other="Z"), event("merger", "EA", 0.5, 0.6, other="Z")]
    trades = [Fill("1", "", "Z", 6.0, 21.0, at(0.9), 1.0, "EUR")]
    moved = advance(opening("b", start, {"S": 5.0, "EA": 8.0}), start, end, trades, events=events)
    assert moved.equity == pytest.approx((10 + 4 + 6) * 44.0 - 6 * 21.0 - 1.2)
    assert moved.explained.loc[("hedge", "S"), "fill"] == pytest.approx(-6 * (21.0 - 20.0) - 1.2)
    closes(moved)


def test_a_fill_after_an_adjustment_is_of_the_adjusted_contract():
    start = market(0, {"X": 60.0}, {"O": ("X", "C", 45.0, 60, 16.0)})
    end = market(2, {"X": 40.0}, {"O": ("X", "C", 30.0, 60, 10.6, 150.0)})
    state, split = opening("b", start, {"O": 2.0}), [event("split", "X", 1.5, 1)]
    after = advance(state, start, end, [fill(1.0, 10.5, 1.5, "O")], events=split)
    assert after.change == pytest.approx(2 * (150 * 10.6 - 1_600) + 150 * (10.6 - 10.5))
    before = advance(state, start, end, [fill(1.0, 15.9, 0.5, "O")], events=split)
    assert before.change == pytest.approx(2 * (150 * 10.6 - 1_600) + 150 * 10.6 - 1_590)
    closes(after)
    closes(before)


# ---- ends ------------------------------------------------------------------------------------------------------------


def euro_and_dollar(day: float, pair: float, listed: bool) -> Market:
    table = pd.DataFrame({"instrument": ["X", "EURUSD", "EUR"], "type": ["equity", "spot", "cash"],
                          "underlying": ["X", "EUR", "EUR"], "currency": ["USD", "USD", "EUR"]})  # fmt: skip
    quotes = pd.DataFrame({"instrument": ["X", "EURUSD"], "mark": [3.0, pair]})
    quotes = quotes.assign(bid=quotes["mark"], ask=quotes["mark"])
    kept = slice(None) if listed else slice(1, None)
    return Market(table[kept], quotes[kept], "USD", as_of=at(day))


@pytest.mark.parametrize("kind", ["delisting", "merger"])
def test_what_is_paid_out_in_another_money_is_paid_in_it(kind):
    start, end = euro_and_dollar(0, 1.10, True), euro_and_dollar(2, 1.20, False)
    moved = advance(opening("b", start, {"X": 50.0}), start, end, events=[event(kind, "X", 4.0, 1, "EUR")])
    assert moved.state.cash == {"book": {"EUR": pytest.approx(200.0)}}
    assert moved.change == pytest.approx(200 * 1.2 - 150)
    closes(moved)


def abroad(day: float, pair: float, prices: dict[str, float]) -> Market:
    """Shares in USD, those that begin with E in EUR, and the pair."""
    moneys = {name: "EUR" if name.startswith("E") else "USD" for name in prices}
    table = pd.DataFrame({"instrument": [*prices, "EURUSD", "EUR"], "underlying": [*prices, "EUR", "EUR"],
                          "type": ["equity"] * len(prices) + ["spot", "cash"],
                          "currency": [*moneys.values(), "USD", "EUR"]})  # fmt: skip
    quotes = pd.DataFrame({"instrument": [*prices, "EURUSD"], "mark": [*prices.values(), pair]})
    drivers = pd.DataFrame({"driver": [*prices, "EURUSD"], "kind": ["price"] * len(prices) + ["fx"],
                            "underlying": [*prices, "EUR"], "currency": [*moneys.values(), "USD"]})  # fmt: skip
    history = pd.DataFrame({**prices, "EURUSD": pair}, index=pd.DatetimeIndex([at(day)], name="time"))
    return Market(table, quotes.assign(bid=quotes["mark"], ask=quotes["mark"]), "USD", drivers=drivers,
                  history=history, as_of=at(day))  # fmt: skip


def test_spin_offs_and_mergers_go_over_borders():
    start, end = abroad(0, 1.1, {"P": 100.0, "EC": 20.0, "ET": 10.0}), abroad(2, 1.2, {"P": 80.0, "EC": 22.0})
    events = [event("spin_off", "P", 0.5, 0.5, other="EC"), event("merger", "ET", 0.3, 1, other="P"),
              event("dividend", "EC", 1.0, 1.5, "EUR")]  # fmt: skip
    trades = [Fill("1", "", "P", -10.0, 81.0, at(0.7), 1.0, "EUR"), Fill("2", "", "EC", 4.0, 21.0, at(0.8), 1.0, "EUR"),
              Fill("3", "", "ET", 5.0, 10.5, at(0.9))]  # fmt: skip
    state = opening("b", start, {"P": 50.0, "EC": -7.0, "ET": 100.0}, hedge={"P": 20.0})
    moved = advance(state, start, end, trades, events=events)
    parents, children = 50 + 20 - 10 + 0.3 * 105, -7 + 0.5 * 70 + 4
    euros = -1 - 4 * 21.0 - 1 - 5 * 10.5 + children
    assert moved.equity == pytest.approx(parents * 80.0 + children * 22.0 * 1.2 + 810.0 + euros * 1.2)
    closes(moved)
    lots = moved.state.lots().set_index(["account", "instrument"])["price"]
    assert 10.5 / 0.3 * 1.2 in lots["hedge", "P"].to_numpy()  # paid in EUR, told in USD


def test_a_contract_ends_once_and_what_has_its_label_later_is_another():
    start, gone, listed = market(0, {"X": 3.0, "Y": 1.0}), market(2, {"Y": 1.0}), market(2, {"X": 3.0, "Y": 1.0})
    state, end = opening("b", start, {"X": 50.0}), event("delisting", "X", 0.4, 1, "USD")
    twice = advance(state, start, gone, events=[end, event("delisting", "X", 0.2, 1.2, "USD")])
    assert twice.state.cash["book"]["USD"] == pytest.approx(20.0)
    closes(twice)
    again = advance(state, start, listed, [fill(5.0, 2.5, 1.5)], events=[end])
    assert again.change == pytest.approx(20 - 150 + 5 * 0.5)
    closes(again)
    with pytest.raises(DataError, match="X ended on 2026-01-21, and is spoken of later"):
        advance(state, start, gone, [fill(5.0, 2.5, 1.5)], events=[end])


@pytest.mark.parametrize(("was", "now"), [(0.0, 5.0), (5.0, 0.0), (0.0, -3.0), (-37.63, 10.01)])
def test_a_price_of_zero_or_below_is_a_price(was, now):
    def day(number: float, price: float, ends: float = 30) -> Market:
        table = {"instrument": ["CL"], "type": "future", "multiplier": 1_000.0, "expiry": [at(ends)]}
        quotes = {"instrument": ["CL"], "bid": [price - 0.01], "ask": [price + 0.01], "mark": [price]}
        return Market(pd.DataFrame(table), pd.DataFrame(quotes), "USD", as_of=at(number))

    start, end = day(0, was), day(1, now)
    trade = Fill("f", "", "CL", -4.0, (was + now) / 2, at(0.5), money="USD")
    moved = advance(opening("b", start, {"CL": 10.0}), start, end, [trade])
    assert moved.change == pytest.approx(1_000 * (now - was) * (10 - 4 / 2))
    assert moved.explained.loc[("book", "CL"), "delta"] == pytest.approx(10_000 * (now - was))
    closes(moved)


def test_how_a_contract_ended_is_applied_when_it_becomes_known():
    """Assumed at the next level until the settlement, the exercise or the assignment is told, days later."""
    chain = {"C": ("X", "C", 100.0, 1, 6.0), "P": ("X", "P", 110.0, 1, 7.0)}
    days = [market(0, {"X": 105.0}, chain), *(market(day, {"X": price}) for day, price in ((2, 112.0), (3, 113.0)))]
    first = advance(opening("b", days[0], {"C": 2.0, "P": -3.0}, hedge={"C": -1.0}), days[0], days[1])
    state = State.from_text(first.state.text)  # what is remembered survives the night
    assert state.hash == first.state.hash and set(state.assumed) == {"C", "P"}

    def told(*events: Event):
        moved = advance(state, days[1], days[2], events=events)
        closes(moved)
        return moved

    def known(kind: str, name: str, value: float, other: str = "") -> Event:
        return event(kind, name, value, 1, other=other, known_at=at(2.5))

    cash = told(known("settlement", "C", 107.0, "cash"), known("settlement", "P", 107.0, "cash"))
    assert cash.state.cash == {"book": {"USD": 2 * 700.0 - 3 * 300.0}, "hedge": {"USD": -700.0}}
    assert cash.explained["late"].sum() == pytest.approx(cash.change) == pytest.approx(-500.0 - 900.0)
    shares = told(known("settlement", "C", 107.0, "physical"), known("settlement", "P", 107.0, "physical"))
    assert shares.state.quantities("book").to_dict() == {"X": 200.0 + 300.0}
    assert shares.state.cash["book"]["USD"] == pytest.approx(-200 * 100.0 - 300 * 110.0)
    assert shares.state.quantities("hedge").to_dict() == {"X": -100.0}
    assert shares.equity == pytest.approx(100 * (113.0 - 100.0) + 300 * (113.0 - 110.0))
    assigned = told(known("assignment", "C", 1.0), known("exercise", "C", 1.5), known("assignment", "P", 3.0))
    assert assigned.state.quantities("book").to_dict() == {"X": 150.0 + 300.0}
    assert assigned.state.cash["book"]["USD"] == pytest.approx(0.5 * 1_200.0 - 150 * 100.0 - 300 * 110.0)
    assert set(assigned.state.assumed) == {"C"} and assigned.state.assumed["C"]["held"] == {"book": 0.5}
    with pytest.raises(DataError, match="exercise of 3 C, but there are 2 in book"):
        told(known("exercise", "C", 3.0))
    later = advance(cash.state, days[2], market(40, {"X": 113.0}), events=[known("settlement", "C", 90.0, "cash")])
    assert later.change == 0.0 and later.state.assumed == {}


@pytest.mark.parametrize("level", np.random.default_rng(5).uniform(101, 140, 30))
def test_what_was_assumed_is_remembered_whatever_its_digits(level):
    """A hundred times a price over a hundred is not always the price."""
    start, end = market(0, {"X": 105.0}, {"C": ("X", "C", 100.0, 1, 6.0)}), market(2, {"X": float(level)})
    moved = advance(opening("b", start, {"C": 2.0}), start, end)
    assert moved.state.assumed["C"]["paid"] == pytest.approx(level - 100.0)


@pytest.mark.parametrize("name", ["C0", "P0", "FUT0"])
def test_a_coin_contract_assumed_to_end_is_settled_when_told(name):
    """Told in time or a day late, the coin is the same."""
    markets = coin_markets(path(9, seed=4))
    state = opening("b", markets[4], {name: -20.0})
    when, level = EXPIRIES[0], 88_000.0

    def settled(known: pd.Timestamp) -> Event:
        return Event(when, "s", known, "settlement", name, level, "", "cash")

    soon = advance(state, markets[4], markets[6], events=[settled(when)]).state
    late = advance(state, markets[4], markets[6]).state
    late = advance(late, markets[6], markets[7], events=[settled(markets[6].as_of + pd.Timedelta(hours=2))])
    closes(late)
    assert late.state.cash.get("book", {}).get("BTC", 0.0) == pytest.approx(soon.cash.get("book", {}).get("BTC", 0.0))
    assert late.state.assumed == soon.assumed == {}


# ---- orders and fills ------------------------------------------------------------------------------------------------


def test_a_fill_that_cannot_be_of_its_order_is_refused_until_it_is_taken_back():
    start, end = market(0, {"X": 50.0, "Y": 20.0}), market(1, {"X": 52.0, "Y": 21.0})
    state = orders(Order("a", "X", -10.0, -10.0, 49.0, at(0)))
    wrong = {
        r"10 X of order a, which is for -10 X": fill(10.0, 50.0, 0.1, order_id="a"),
        r"-10 Y of order a, which is for -10 X": fill(-10.0, 20.0, 0.1, "Y", order_id="a"),
        r"is before order a": fill(-10.0, 50.0, -0.1, order_id="a"),
    }
    for message, one in wrong.items():
        with pytest.raises(DataError, match=message):
            advance(state, start, end, [one])
        back = event("bust", "X", 10.0, 0.3, other=one.fill_id)
        mended = advance(state, start, end, [one], events=[back])
        assert mended.state.orders == state.orders and mended.change == 0.0 and not mended.state.positions


def test_open_orders_follow_their_contract():
    start, state = market(0, {"A": 20.0}), orders(Order("a", "A", -10.0, -10.0, 19.0, at(0)))
    turned = advance(state, start, market(2, {"B": 21.0}), events=[event("rename", "A", 1, 1, other="B")])
    assert turned.state.orders[0].instrument == "B"
    end, split = market(2, {"A": 10.0}), [event("split", "A", 2.0, 1)]
    trades = [fill(-4.0, 20.1, 0.5, "A", order_id="a"), fill(-12.0, 10.1, 1.5, "A", order_id="a")]
    done = advance(state, start, end, trades, events=split)
    assert done.state.orders == () and done.state.quantities().to_dict() == {"A": -20.0}
    left = advance(state, start, end, trades[:1], events=split).state.orders[0]
    assert (left.quantity, left.left, left.limit) == (-20.0, -12.0, 9.5)


def test_a_fill_is_taken_back_once_whenever_and_in_the_units_of_now():
    days = [market(day, {"X": price}) for day, price in enumerate((60.0, 60.0, 31.0, 32.0))]
    state = advance(opening("b", days[0], {"X": 10.0}), days[0], days[1], [fill(4.0, 60.0, 0.3)]).state
    split, bust = event("split", "X", 2.0, 1.5), event("bust", "X", 4.0, 1.7, other="f0.3")
    moved = advance(state, days[1], days[2], events=[split, bust])
    assert moved.state.quantities().to_dict() == {"X": 20.0} and moved.equity == pytest.approx(620.0)
    closes(moved)
    again = event("bust", "X", 1.0, 2.5, other="f0.3", event_id="again")
    with pytest.raises(DataError, match=r"takes back more than fill f0.3 traded \(4 of 4"):
        advance(moved.state, days[2], days[3], events=[again])
    part = advance(opening("b", days[0]), days[0], days[1], [fill(10.0, 60.0, 0.2, fee=2.0)],
                   events=[event("bust", "X", 4.0, 0.4, other="f0.2")])  # fmt: skip
    assert part.state.quantities().to_dict() == {"X": 6.0}
    assert part.state.cash["hedge"]["USD"] == pytest.approx(-360.0 - 1.2)
    closes(part)


@pytest.mark.parametrize("sold", [-10.0, -4.0, -13.0])
def test_late_money_is_on_what_was_held_then_sold_since_or_not(sold):
    days = [market(day, {"X": 50.0}) for day in range(4)]
    state = advance(opening("b", days[0], hedge={"X": 10.0}), days[0], days[1]).state
    state = advance(state, days[1], days[2], [fill(3.0, 50.0, 1.1), fill(sold, 50.0, 1.5)]).state
    late = event("dividend", "X", 1.0, 1.3, "USD", known_at=at(2.5))
    unheld = event("dividend", "GONE", 1.0, 1.3, "USD", known_at=at(2.5))  # of a share that nobody lists any more
    moved = advance(state, days[2], days[3], events=[late, unheld])
    assert moved.explained["late"].sum() == pytest.approx(13.0) == moved.change
    closes(moved)


def test_a_late_fill_is_of_what_its_contract_has_become_since():
    days = [market(0, {"X": 60.0}), market(1, {"X": 30.0}), market(2, {"Z": 31.0}), market(3, {"Z": 32.0})]
    events = [event("split", "X", 2.0, 0.5), event("rename", "X", 1.0, 1.5, other="Z")]
    state, one = opening("b", days[0], {"X": 10.0}), fill(4.0, 59.0, 0.3)
    soon = late = later = state
    for place, (before, now) in enumerate(pairwise(days)):
        soon = advance(soon, before, now, [one], events=events).state
        late = advance(late, before, now, [one] if place > 0 else [], events=events).state
        moved = advance(later, before, now, [one] if place > 1 else [], events=events)
        closes(moved)
        later = moved.state
    assert soon.quantities("hedge").to_dict() == late.quantities("hedge").to_dict() == {"Z": 8.0}
    assert later.quantities("hedge").to_dict() == {"Z": 8.0} and soon.cash == late.cash == later.cash
    assert moved.explained["late"].sum() == pytest.approx(8 * 31.0 - 4 * 59.0)


@pytest.mark.parametrize("known", [12.5, 20.5, 29.5])
def test_a_rate_known_late_has_earned_on_what_the_balance_was_by_then_as_in_time(known):
    """Through fills, a dividend, a margin payment, and another rate that was known in time."""
    days = [market(day, {"X": 50.0}) for day in (0, 10, 20, 30)]
    told = [event("interest", "", 0.03, 0.5, "USD"), event("interest", "", 0.01, 17, "USD"),
            event("dividend", "X", 0.7, 6, "USD"), event("margin", "", -200.0, 13, "USD", "hedge")]  # fmt: skip
    trades = [fill(10.0, 50.0, 2), fill(-4.0, 50.0, 8), fill(5.0, 50.0, 15)]
    state = State(book="b", seq=1, as_of=at(0), cash={"hedge": {"USD": 1_000.0}, "book": {"USD": -300.0}})

    def kept(late: Event) -> State:
        now = state
        for before, later in pairwise(days):
            moved = advance(now, before, later, [f for f in trades if f.time <= later.as_of], events=[*told, late])
            closes(moved)
            now = State.from_text(moved.state.text)
        return now

    soon, late = (kept(event("interest", "", 0.05, 5, "USD", known_at=at(day))) for day in (5, known))
    for held in ("cash", "accrued"):
        for account in ("book", "hedge"):
            assert getattr(late, held)[account] == pytest.approx(getattr(soon, held)[account], rel=1e-12)
    assert late.rates == soon.rates == {"USD": 0.01}
    years = np.diff([0.5, 2, 5, 6, 8, 13, 15, 17, 30]) / 365  # of the hedge, by hand
    cash = 1_000.0 - np.cumsum([0.0, 500.0, 0.0, -7.0, -200.0, 200.0, 250.0])
    first = cash[:2] @ years[:2] * 0.03
    second = (cash[2:7] + first) @ years[2:7] * 0.05
    assert late.cash["hedge"]["USD"] == pytest.approx(cash[-1] + first + second, rel=1e-12)
    assert late.accrued["hedge"]["USD"] == pytest.approx((cash[-1] + first + second) * 0.01 * years[7], rel=1e-12)


def test_a_rate_from_before_the_month_that_is_remembered_counts_from_its_beginning_and_says_so():
    days = [market(day, {"X": 50.0}) for day in (0, 73, 146)]
    state = State(book="b", seq=1, as_of=at(0), cash={"hedge": {"USD": 1_000.0}})
    state = advance(state, days[0], days[1]).state
    late = Event(at(36.5), "r", at(100), "interest", "", 0.05, "USD")
    moved = advance(state, days[1], days[2], events=[late])
    assert moved.change == pytest.approx(1_000 * 0.05 * (146 - 42) / 365) and "it counts from there" in moved.notes[0]
    closes(moved)


@pytest.mark.parametrize("told", [1, 2, 3])
def test_a_late_fill_has_what_its_contract_has_brought_since(told):
    """Children, dividends of both, a split and another name, as if it had been told in time."""
    days = [market(0, {"P": 60.0, "C": 10.0}), market(1, {"P": 50.0, "C": 10.0}), market(2, {"P": 26.0, "C": 11.0}),
            market(3, {"Q": 27.0, "C": 11.0})]  # fmt: skip
    happened = [
        event("spin_off", "P", 0.5, 0.5, other="C"), event("dividend", "C", 1.0, 0.7, "USD"),
        event("split", "P", 2.0, 1.5), event("dividend", "P", 0.25, 1.7, "USD"),
        event("rename", "P", 1.0, 2.5, other="Q"), event("interest", "", 0.05, 0.1, "USD"),
    ]  # fmt: skip
    one, state = fill(8.0, 59.0, 0.3, "P", fee=1.0), opening("b", days[0], {"P": 100.0}, hedge={"C": -2.0})
    soon = late = state
    for place, (before, now) in enumerate(pairwise(days), start=1):
        soon = advance(soon, before, now, [one], events=happened).state
        moved = advance(late, before, now, [one] if place >= told else [], events=happened)
        closes(moved)
        late = State.from_text(moved.state.text)
    assert late.quantities("hedge").to_dict() == {"C": 2.0, "Q": 16.0} == soon.quantities("hedge").to_dict()
    assert late.cash["hedge"]["USD"] == pytest.approx(-8 * 59.0 - 1.0 + (4 - 2) * 1.0 + 16 * 0.25)
    assert late.cash["hedge"] == pytest.approx(soon.cash["hedge"], rel=1e-12)
    assert late.accrued["hedge"] == pytest.approx(soon.accrued["hedge"], rel=1e-12)
    back = event("bust", "P", 8.0, 3.5, other=one.fill_id)
    gone = advance(late, days[3], market(4, {"Q": 27.0, "C": 11.0}), events=[*happened, back])
    never = advance(opening("b", days[0], {"P": 100.0}, hedge={"C": -2.0}), days[0], market(4, {"Q": 27.0, "C": 11.0}),
                    events=happened)  # fmt: skip
    closes(gone)
    assert gone.state.quantities("hedge").to_dict() == {"C": -2.0}
    assert gone.equity == pytest.approx(never.equity, abs=1e-9)


@pytest.mark.parametrize("told", [1, 2])
def test_a_late_fill_of_an_option_is_adjusted_by_the_splits_of_its_stock_since(told):
    """Nobody told of the option: the markets did, on the night of the split."""
    days = [market(0, {"X": 60.0}, {"C": ("X", "C", 50.0, 60, 12.0)}),
            market(1, {"X": 30.0}, {"N": ("X", "C", 25.0, 60, 6.0)}),
            market(2, {"X": 31.0}, {"N": ("X", "C", 25.0, 60, 6.5)})]  # fmt: skip
    split, one, state = event("split", "X", 2.0, 0.5), fill(3.0, 11.0, 0.3, "C"), opening("b", days[0], {"X": 1.0})
    for place, (before, now) in enumerate(pairwise(days), start=1):
        moved = advance(state, before, now, [one] if place >= told else [], events=[split])
        closes(moved)
        state = State.from_text(moved.state.text)
    assert state.quantities("hedge").to_dict() == {"N": 6.0} and state.cash["hedge"]["USD"] == pytest.approx(-3_300.0)
    back = advance(state, days[2], market(3, {"X": 31.0}, {"N": ("X", "C", 25.0, 60, 6.5)}),
                   events=[split, event("bust", "C", 3.0, 2.5, other=one.fill_id)])  # fmt: skip
    assert "hedge" not in back.state.positions and back.equity == pytest.approx(62.0)


@pytest.mark.parametrize("told", [1, 2])
def test_a_late_fill_abroad_is_paid_in_the_money_it_was_traded_in(told):
    days = [abroad(0, 1.1, {"S": 40.0, "EA": 10.0}), abroad(1, 1.2, {"S": 44.0}), abroad(2, 1.3, {"S": 45.0})]
    events, one = [event("merger", "EA", 0.5, 0.6, other="S")], fill(6.0, 9.0, 0.3, "EA")
    state = opening("b", days[0], {"S": 1.0, "EA": 2.0})
    for place, (before, now) in enumerate(pairwise(days), start=1):
        moved = advance(state, before, now, [one] if place >= told else [], events=events)
        closes(moved)
        state = State.from_text(moved.state.text)
    assert state.cash["hedge"] == {"EUR": pytest.approx(-54.0)}
    assert moved.equity == pytest.approx((1 + 1 + 3) * 45.0 - 54.0 * 1.3)
    (lot,) = state.positions["hedge"]["S"]
    assert lot.price == pytest.approx(9.0 / 0.5 * 1.2)


def test_a_late_fill_of_what_has_ended_says_how_to_enter_what_it_gained():
    days = [market(0, {"X": 3.0, "Y": 1.0}), market(2, {"Y": 1.0}), market(3, {"Y": 1.0})]
    ended = event("delisting", "X", 0.4, 1, "USD")
    state = advance(opening("b", days[0], {"X": 5.0}), days[0], days[1], events=[ended]).state
    with pytest.raises(DataError, match=r"fill f0\.5: X has ended since .* enter what it has gained as a margin event"):
        advance(state, days[1], days[2], [fill(10.0, 2.5, 0.5)], events=[ended])
    gained = event("margin", "", 10 * (0.4 - 2.5), 2.5, "USD", "hedge")
    assert advance(state, days[1], days[2], events=[gained]).state.cash["hedge"] == {"USD": pytest.approx(-21.0)}


# ---- random weeks, kept twice ----------------------------------------------------------------------------------------


def kept_by_hand(held: dict, cash: float, happened: list) -> tuple[dict, float]:
    """Shares and cash after events and fills in their order, without lots, parts or labels of before."""
    for one in happened:
        if isinstance(one, Fill):
            held[one.instrument] = held.get(one.instrument, 0.0) + one.quantity
            cash -= one.quantity * one.price + one.fee
        elif one.kind == "dividend":
            cash += held.get(one.instrument, 0.0) * one.value
        elif one.kind == "split":
            held[one.instrument] = held.get(one.instrument, 0.0) * one.value
        elif one.kind == "spin_off":
            held[one.other] = held.get(one.other, 0.0) + held.get(one.instrument, 0.0) * one.value
        elif one.kind in ("rename", "merger") and one.other:
            held[one.other] = held.get(one.other, 0.0) + held.pop(one.instrument, 0.0) * one.value
        else:
            cash += held.pop(one.instrument, 0.0) * one.value
    return held, cash


@pytest.mark.parametrize("seed", range(40))
def test_random_weeks_of_actions_and_fills_are_what_plain_bookkeeping_says(seed):
    """Through a market in the middle or not, given in any order."""
    rng = np.random.default_rng(seed)
    names, listed = [f"S{i}" for i in range(6)], [[f"S{i}" for i in range(6)]]
    book = {name: float(rng.integers(-50, 50)) for name in names}
    happened: list = []
    for day in (0, 1):
        alive, ended, touched = list(listed[-1]), set(), set()
        for i, hour in enumerate(np.sort(rng.uniform(0.02, 0.98, 9))):
            kind = str(
                rng.choice(["fill", "fill", "fill", "dividend", "split", "spin_off", "rename", "merger", "gone"])
            )
            one, other = rng.choice(alive, 2, replace=False)
            when, tag = day + float(hour), f"{day}-{i}"
            if kind == "fill":
                happened.append(Fill(tag, "", str(one), float(rng.integers(1, 30) * rng.choice([-1, 1])),
                                     float(rng.uniform(5, 50)), at(when), 0.25, "USD"))  # fmt: skip
            elif kind == "rename":
                happened.append(event(kind, str(one), 1.0, when, other=f"R{tag}", event_id=tag))
                alive = [f"R{tag}" if name == one else name for name in alive]
            elif kind in ("merger", "gone") and len(alive) > 3 and one not in touched:
                if kind == "merger":
                    happened.append(event(kind, str(one), 0.5, when, other=str(other), event_id=tag))
                else:
                    happened.append(event("delisting", str(one), 7.0, when, "USD", event_id=tag))
                alive.remove(one)
                ended.add(one)
            elif kind == "split":
                happened.append(event(kind, str(one), float(rng.choice([2.0, 0.25])), when, event_id=tag))
            elif kind == "spin_off":
                happened.append(event(kind, str(one), 0.5, when, other=str(other), event_id=tag))
                touched |= {one, other}
            elif kind == "dividend":
                happened.append(event(kind, str(one), 0.5, when, "USD", event_id=tag))
        listed.append(alive)
    prices = [{name: float(rng.uniform(5, 50)) for name in day} for day in listed]
    days = [market(i, {**day}) for i, day in enumerate(prices)]
    fills, events = ([x for x in happened if isinstance(x, kind)] for kind in (Fill, Event))
    state = opening("b", days[0], {k: v for k, v in book.items() if v}, hedge={"S0": 5.0})
    worth = sum(q * prices[0][name] for name, q in book.items()) + 5.0 * prices[0]["S0"]
    for day, kept in ((1, [x for x in happened if x.time < at(1)]), (2, happened)):
        held, cash = kept_by_hand({name: q + 5.0 * (name == "S0") for name, q in book.items()}, 0.0, kept)
        value = cash + sum(q * prices[day][name] for name, q in held.items() if q)
        shuffled = [fills[i] for i in rng.permutation(len(fills))], [events[i] for i in rng.permutation(len(events))]
        whole = advance(state, days[0], days[day], [f for f in shuffled[0] if f.time <= at(day)], events=shuffled[1],
                        compare=False)  # fmt: skip
        assert whole.equity == pytest.approx(value, rel=1e-9, abs=1e-7)
        assert whole.change == pytest.approx(value - worth, rel=1e-9, abs=1e-7)
        closes(whole)
    first = advance(state, days[0], days[1], [f for f in fills if f.time <= at(1)], events=events, compare=False)
    second = advance(first.state, days[1], days[2], fills, events=events, compare=False)
    assert second.equity == pytest.approx(value, rel=1e-9, abs=1e-7)
    quantities = {name: q for name, q in held.items() if abs(q) > 1e-9}
    assert second.state.quantities().to_dict() == pytest.approx(quantities) == whole.state.quantities().to_dict()
    closes(second)
