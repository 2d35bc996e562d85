"""What is told late: shares delivered, split and spun off, fills of what has ended; as if it had been told in time."""

from itertools import pairwise

import pytest
from test_accounts import at, closes, event, fill, market

from optihedge.accounts.advance import advance
from optihedge.accounts.orders import orders_at
from optihedge.accounts.state import Order, State
from optihedge.accounts.valuation import opening
from optihedge.errors import DataError

CALL = {"C": ("X", "C", 100.0, 1, 6.0)}


def walked(state, days, events=(), fills=(), told=None):
    """Through these markets, by way of the texts of states; fills are told at the night of their place in `told`."""
    for place, (before, now) in enumerate(pairwise(days), start=1):
        come = [one for one in fills if (told or {}).get(one.fill_id, place) == place and one.time <= now.as_of]
        moved = advance(state, before, now, come, events=events)
        closes(moved)
        state = State.from_text(moved.state.text)
    return moved


def lots_of(moved, name, account="hedge"):
    return [(lot.quantity, lot.price) for lot in moved.state.positions[account][name]]


# ---- delivered -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [1.0, 2.5, 3.5])
def test_shares_that_are_delivered_have_their_dividends_splits_and_new_names_whenever_it_is_told(known):
    days = [market(0, {"X": 105.0}, CALL), market(2, {"X": 112.0}), market(3, {"X": 57.0}), market(4, {"Z": 58.0})]
    happened = [
        event("settlement", "C", 107.0, 1, other="physical", known_at=at(known)),
        event("dividend", "X", 2.0, 1.5, "USD"), event("split", "X", 2.0, 2.3), event("dividend", "X", 0.5, 2.6, "USD"),
        event("rename", "X", 1.0, 3.2, other="Z"),
    ]  # fmt: skip
    moved = walked(opening("b", days[0], {"C": 2.0}, hedge={"C": -1.0}), days, happened)
    assert moved.state.quantities("book").to_dict() == {"Z": 400.0}
    assert moved.state.cash["book"]["USD"] == pytest.approx(200 * (-100.0 + 2.0) + 400 * 0.5)
    assert moved.state.cash["hedge"]["USD"] == pytest.approx(-100 * (-100.0 + 2.0) - 200 * 0.5)
    assert lots_of(moved, "Z", "book") == [(400.0, pytest.approx(50.0))]


@pytest.mark.parametrize("known", [0.5, 1.5])
def test_an_exercise_that_is_told_late_has_its_dividend_too(known):
    chain = {"C": ("X", "C", 90.0, 30, 16.0)}
    days = [market(day, {"X": price}, chain) for day, price in ((0, 105.0), (1, 104.0), (2, 103.0))]
    happened = [event("exercise", "C", 2.0, 0.5, other="book", known_at=at(known)),
                event("dividend", "X", 1.0, 0.8, "USD")]  # fmt: skip
    moved = walked(opening("b", days[0], {"C": 3.0}), days, happened)
    assert moved.state.quantities("book").to_dict() == {"C": 1.0, "X": 200.0}
    assert moved.state.cash["book"]["USD"] == pytest.approx(200 * (-90.0 + 1.0))


@pytest.mark.parametrize("known", [1.0, 2.5])
@pytest.mark.parametrize(("how", "shares", "cash"), [("cash", 0.0, 3 * 200 * 6.0), ("physical", 600.0, -600 * 45.0)])
@pytest.mark.parametrize("label", ["C", "C45"])
def test_an_option_that_a_split_has_adjusted_is_settled_as_adjusted_whenever_it_is_told(
    known, how, shares, cash, label
):
    days = [market(0, {"X": 100.0}, {"C": ("X", "C", 90.0, 1.5, 10.4)}), market(2, {"X": 50.0}), market(3, {"X": 52.0})]
    happened = [event("split", "X", 2.0, 0.5), event("settlement", label, 51.0, 1.5, other=how, known_at=at(known))]
    happened += [event("rename", "C", 2.0, 0.5, other="C45")] if label == "C45" else []
    moved = walked(opening("b", days[0], {"C": 3.0}), days, happened)
    assert moved.state.quantities("book").to_dict() == ({"X": shares} if shares else {})
    assert moved.state.cash["book"]["USD"] == pytest.approx(cash)


# ---- splits and spin-offs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [0.5, 1.5, 2.5])
def test_a_split_turns_the_lots_of_before_it_alone_whenever_it_is_told(known):
    days = [market(0, {"X": 100.0}), market(1, {"X": 50.0}), market(2, {"X": 51.0}), market(3, {"X": 52.0})]
    trades = [fill(4.0, 98.0, 0.3), fill(7.0, 50.0, 0.7), fill(5.0, 51.0, 1.2)]
    moved = walked(opening("b", days[0], {"X": -10.0}), days, [event("split", "X", 2.0, 0.5, known_at=at(known)),
                   event("dividend", "X", 1.0, 0.8, "USD")], trades)  # fmt: skip
    assert moved.state.quantities("book").to_dict() == {"X": -20.0}
    assert lots_of(moved, "X") == [(8.0, pytest.approx(49.0)), (7.0, 50.0), (5.0, 51.0)]
    assert moved.state.cash["hedge"]["USD"] == pytest.approx(-4 * 98.0 - 7 * 50.0 - 5 * 51.0 + 15.0)
    assert moved.state.cash["book"]["USD"] == pytest.approx(-20.0)


@pytest.mark.parametrize("ratio", [2.0, 0.1, 1.5])
@pytest.mark.parametrize("sold", [3.0, 10.0, 12.0])
def test_a_split_is_of_what_was_held_at_its_instant_sold_since_or_not(ratio, sold):
    """Contracts, money and what all lots have gained together are those of a split told in time."""
    days = [market(0, {"X": 60.0}), market(1, {"X": 60.0 / ratio}), market(2, {"X": 61.0 / ratio})]
    trades, found = [fill(-sold, 60.0 / ratio, 0.7)], []
    for known in (0.5, 1.5):
        split = event("split", "X", ratio, 0.5, known_at=at(known))
        state, gained = opening("b", days[0], hedge={"X": 10.0}), 0.0
        for before, now in pairwise(days):
            moved = advance(state, before, now, [f for f in trades if f.time <= now.as_of], events=[split])
            closes(moved)
            gained += moved.closed["gain"].sum() if len(moved.closed) else 0.0
            state = moved.state
        held = state.positions.get("hedge", {}).get("X", ())
        gained += sum(lot.quantity * (61.0 / ratio - lot.price) for lot in held)
        found.append((sum(lot.quantity for lot in held), state.cash["hedge"]["USD"], moved.equity, gained))
    assert found[1] == pytest.approx(found[0])


@pytest.mark.parametrize("known", [0.5, 1.5, 2.5])
def test_what_is_spun_off_is_of_the_lots_of_before_it_alone_whenever_it_is_told(known):
    days = [market(0, {"P": 32.0, "C": 10.0}), *(market(day, {"P": 22.0, "C": 10.0}) for day in (1, 2, 3))]
    events = [event("spin_off", "P", 0.5, 0.5, other="C", known_at=at(known)), event("dividend", "C", 1.0, 0.8, "USD")]
    moved = walked(opening("b", days[0], hedge={"P": 100.0}), days, events, [fill(40.0, 22.0, 0.7, "P")])
    assert moved.state.quantities("hedge").to_dict() == {"C": 50.0, "P": 140.0}
    part = 0.5 * 10 / (22 + 0.5 * 10)
    assert lots_of(moved, "P") == [(100.0, pytest.approx(32 * (1 - part))), (40.0, 22.0)]
    assert lots_of(moved, "C") == [(50.0, pytest.approx(32 * part / 0.5))]
    assert moved.state.cash["hedge"]["USD"] == pytest.approx(-40 * 22.0 + 50 * 1.0)


def test_an_order_made_after_a_split_that_is_told_late_is_for_new_units():
    days = [market(1, {"X": 50.0}), market(2, {"X": 50.0})]
    orders = (Order("old", "X", 10.0, 10.0, 99.0, at(0.2)), Order("new", "X", 10.0, 10.0, 49.0, at(0.8)))
    state = State(book="b", seq=1, as_of=at(1), orders=orders)
    moved = advance(state, *days, events=[event("split", "X", 2.0, 0.5, known_at=at(1.5))])
    assert [(one.left, one.limit) for one in moved.state.orders] == [(20.0, 49.5), (10.0, 49.0)]


def test_an_order_of_the_night_after_a_split_that_is_told_late_is_filled_as_it_was_made():
    days = [market(1, {"X": 50.0}), market(2, {"X": 50.0})]
    made = (Order("new", "X", 10.0, 10.0, 49.0, at(1)),)
    assert orders_at(made, *days, [event("split", "X", 2.0, 0.5, known_at=at(1.5))]) == made


def test_a_late_split_leaves_listed_options_and_turns_those_carried_from_before_it():
    """C100 was not listed on the night after the split, which nobody told: it is carried, and becomes two C50."""
    chain = {"C50": ("X", "C", 50.0, 60, 7.0), "C25": ("X", "C", 25.0, 60, 27.0)}
    days = [market(0, {"X": 100.0}, {"C100": ("X", "C", 100.0, 60, 14.0)}), market(1, {"X": 50.0}, chain),
            market(2, {"X": 50.0}, chain)]  # fmt: skip
    split = event("split", "X", 2.0, 0.5, known_at=at(1.5))
    moved = walked(opening("b", days[0], {"C100": 3.0}), days, [split], [fill(5.0, 7.0, 0.9, "C50")])
    assert moved.state.quantities().to_dict() == {"C50": 11.0}


def test_a_split_told_of_what_has_ended_since_is_noted():
    days = [market(0, {"X": 3.0, "Y": 1.0}), market(2, {"Y": 1.0}), market(3, {"Y": 1.0})]
    events = [event("delisting", "X", 0.4, 1, "USD"), event("split", "X", 2.0, 0.5, known_at=at(2.5))]
    moved = walked(opening("b", days[0], {"X": 5.0}), days, events)
    assert moved.change == 0.0 and "is not applied: X has ended since" in " ".join(moved.notes)


# ---- fills of what has ended -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("settled", [None, 2.5, 3.5])
def test_a_late_fill_of_what_was_assumed_to_end_ends_with_it_and_is_settled_with_it(settled):
    days = [market(0, {"X": 105.0}, CALL), market(2, {"X": 112.0}), market(3, {"X": 113.0}), market(4, {"X": 113.0})]
    events = [event("settlement", "C", 107.0, 1, other="cash", known_at=at(settled))] if settled else []
    one = fill(3.0, 5.0, 0.4, "C", fee=1.0)
    moved = walked(opening("b", days[0], hedge={"C": -1.0}), days, events, [one], {one.fill_id: 2})
    assert moved.state.cash["hedge"]["USD"] == pytest.approx((7.0 if settled else 12.0) * 200.0 - 3 * 500.0 - 1.0)
    assert moved.state.positions == {}
    first = advance(opening("b", days[0], hedge={"C": -1.0}), days[0], days[1])
    late = advance(first.state, days[1], days[2], [one])
    assert any("f0.4: C has ended since; it ended at 12" in note for note in late.notes)
    assert late.explained["late"].sum() == pytest.approx(late.change) == pytest.approx(3 * 700.0 - 1.0)


@pytest.mark.parametrize("age", [0.5, -40.0])
def test_a_fill_that_cannot_be_booked_is_taken_out_by_a_bust(age):
    """Of an ended contract, of an unknown one, and of long ago: the book goes on."""
    days = [market(0, {"X": 3.0, "Y": 1.0}), market(2, {"Y": 1.0}), market(3, {"Y": 1.0})]
    ended = event("delisting", "X", 0.4, 1, "USD")
    state = advance(opening("b", days[0], {"X": 5.0}), days[0], days[1], events=[ended]).state
    for name in ("X", "TYPO"):
        one = fill(10.0, 2.5, age, name, fill_id=f"odd {name}")
        with pytest.raises(DataError, match=f"fill odd {name}.*by a bust event \\(other: odd {name}, value: 10\\)"):
            advance(state, days[1], days[2], [one], events=[ended])
        back = event("bust", name, 10.0, 2.5, other=one.fill_id)
        moved = advance(state, days[1], days[2], [one], events=[ended, back])
        assert moved.change == 0.0 and moved.state.positions == {}


def test_a_bust_of_a_fill_whose_contract_has_ended_is_noted():
    days = [market(0, {"X": 3.0, "Y": 1.0}), market(2, {"Y": 1.0}), market(3, {"Y": 1.0})]
    ended, one = event("delisting", "X", 0.4, 1, "USD"), fill(10.0, 2.5, 0.5)
    state = advance(opening("b", days[0]), days[0], days[1], [one], events=[ended]).state
    moved = advance(state, days[1], days[2], events=[ended, event("bust", "X", 10.0, 2.5, other=one.fill_id)])
    assert moved.change == 0.0 and "X has ended since" in moved.notes[0] and "margin event" in moved.notes[0]
