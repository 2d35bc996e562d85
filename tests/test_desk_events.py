"""Events that are of one book of a desk reach that book alone; the others go on."""

from dataclasses import replace

import pandas as pd
from desk_nights import DESK, desk_in, last_run, one_night, told
from test_accounts import at, event
from test_desk_nights import BOOK, coin_desk
from test_monitor_events import stock_market

from optihedge.accounts.state import Lot, State
from optihedge.desk.deskfile import read_desk
from optihedge.desk.ledger.database import get_text, open_ledger
from optihedge.desk.ledger.facts import due_fills
from optihedge.desk.record import record_night
from optihedge.desk.replay import verify
from optihedge.desk.walks import walk_all, walks_of
from optihedge.desk.whose import events_of_book
from optihedge.market.events import Event, events_frame
from optihedge.market.store.store import open_store
from optihedge.step.broker import AtQuote

TWO = DESK + '[books.two]\nmodel = "neutral"\npositions = "one.csv"\nholds = "opening"\n'


def state_of(desk, book):
    with open_ledger(desk.ledger).read() as connection:
        return State.from_text(get_text(connection, last_run(desk, book)["after"]))


def test_a_fill_of_one_book_is_taken_back_there_and_money_moves_where_it_is_said(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 3, TWO)
    one_night(desk, markets[0])
    told(desk, AtQuote(), markets[0], markets[1])
    with open_ledger(desk.ledger).read() as connection:
        fill = due_fills(connection, "one", "2026-01-21T12:00:00.000000000Z")[0]
    one_night(desk, markets[1])
    told(desk, AtQuote(), markets[1], markets[2])
    when = markets[1].as_of + pd.Timedelta("3h")
    events = [Event(when, "back", when, "bust", fill.instrument, abs(fill.quantity), "", fill.fill_id),
              Event(when, "moved", when, "margin", "", 1e6, "USD", "two/hedge")]  # fmt: skip
    open_store(desk.store).record(markets[2], events_frame(events))
    night = one_night(desk, markets[2])
    assert [one.status for one in night.results] == ["solved", "solved"]
    after = {book: state_of(desk, book) for book in ("one", "two")}
    assert "bust back" in {one.fill_id for one in after["one"].applied}
    assert "bust back" not in {one.fill_id for one in after["two"].applied}
    moved = {b: pd.read_csv(tmp_path / "out" / "2026-01-22T120000Z" / b / "neutral" / "explained.csv") for b in after}
    assert {book: table["transfer"].sum() for book, table in moved.items()} == {"one": 0.0, "two": 1e6}
    assert verify(desk).empty


def test_an_exercise_is_of_the_books_that_hold_its_contract_or_of_the_one_it_names(tmp_path):
    desk, *_ = coin_desk(tmp_path, 1)
    held = {"book": {"C": (Lot(3.0, 1.0, at(0)),)}}
    one, two = (
        State(book=name, seq=1, as_of=at(0), positions=held if name == "one" else {}) for name in ("one", "two")
    )
    plain, named = event("exercise", "C", 2.0, 1, other="book"), event("exercise", "C", 2.0, 1, other="one/book")
    unknown = event("margin", "", 1.0, 1, "USD", "three/book")
    with open_ledger(desk.ledger).read() as connection:
        kept = {
            state.book: events_of_book(connection, [plain, named, unknown], state, [], ("one", "two"))
            for state in (one, two)
        }
        alone = events_of_book(connection, [plain], two, [], ("two",))
    assert kept == {"one": [plain, plain, unknown], "two": [unknown]} and alone == [plain]


def test_nights_without_a_history_of_their_own_go_on_through_a_split_and_a_new_name(tmp_path):
    """Levels of before are in new units: the split is no move, and the held share is not taken for a restated one."""
    (tmp_path / "model.toml").write_text('description = "Nothing."\nobjective = [{type = "SpreadCost"}]\n')
    nights = [{"X": 100.0, "Y": 20.0}, {"X": 101.0, "Y": 21.0}, {"X": 51.0, "Y": 21.5}, {"Z": 50.0, "Y": 22.0}]
    markets = [stock_market(pd.Timestamp(f"2026-01-2{day}T21:00Z"), prices) for day, prices in enumerate(nights)]
    desk = desk_in(tmp_path, markets[:1], {"X": 10.0, "Y": 1.0}, model="model.toml")
    split, named = (pd.Timestamp(f"2026-01-2{day}T14:30Z") for day in (2, 3))
    events = events_frame([Event(split, "s", split, "split", "X", 2.0),
                           Event(named, "r", named, "rename", "X", 1.0, "", "Z")])  # fmt: skip
    store = open_store(desk.store)
    for market in markets:
        record_night(store, market, events[events["time"] <= market.as_of])
        assert one_night(desk, store.open(market.as_of)).results[0].status in ("first", "empty")
    assert store.open().history["Z"].tolist() == [50.5, 51.0, 50.0]  # the first night left none
    assert state_of(desk, "one").held["book"] == {"Y": 1.0, "Z": 20.0} and verify(desk).empty


def test_a_history_that_a_told_split_has_not_adjusted_says_so(tmp_path):
    (tmp_path / "model.toml").write_text('description = "Nothing."\nobjective = [{type = "SpreadCost"}]\n')
    index = pd.date_range("2026-01-18T21:00Z", periods=3, name="time")
    raw = pd.DataFrame({"A": [99.0, 100.0, 51.0], "B": [20.0, 21.0, 22.0]}, index=index)
    first, second = (replace(stock_market(raw.index[k - 1], raw.iloc[k - 1].to_dict()), history=raw.iloc[:k])
                     for k in (2, 3))  # fmt: skip
    split = Event(raw.index[2], "s", raw.index[2], "split", "A", 2.0)
    desk = desk_in(tmp_path, [first, second], {"A": 10.0}, [split], model="model.toml")
    one_night(desk, first)
    why = one_night(desk, second).results[0].why
    assert "A has split by 2, and its levels of before are still in old units (100 at" in why and "divide them" in why


def test_a_walk_of_a_book_over_a_desks_store_hears_what_is_of_that_book_alone(tmp_path):
    """A bust is of a fill that a walk never had; money moved for another book, or another's exercise, is not of it."""
    desk, markets, _ = coin_desk(tmp_path, 3)
    when = markets[1].as_of + pd.Timedelta("3h")
    more = [Event(when, "back", when, "bust", "PERP", 1.0, "", "a fill of the desk"),
            Event(when, "moved", when, "margin", "", 1e6, "USD", "two/hedge"),
            Event(when, "ours", when, "margin", "", 5.0, "USD", "one/hedge"),
            Event(when, "theirs", when, "exercise", "C1", 1.0, "", "two/book")]  # fmt: skip
    store = open_store(desk.store)
    store.record(markets[2], events_frame(more))
    model = {"neutral": desk.models["neutral"].model}
    (walk,) = walks_of(store, {"one": BOOK}, model, {"": {"type": "Always"}})
    table = walk_all([walk], store, tmp_path / "walks")
    heard = {one.event_id: one.other for one in walk.events if one.kind in {other.kind for other in more}}
    assert table["why"].tolist() == [""] and heard == {"ours": "hedge"}


def test_what_names_a_book_that_the_desk_no_longer_has_is_of_no_other(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 3, TWO)
    when = [market.as_of - pd.Timedelta("3h") for market in markets]
    store = open_store(desk.store)
    moved = [Event(when[i], f"moved {i}", when[i], "margin", "", 1e6, "USD", "two/hedge") for i in (1, 2)]
    store.record(markets[1], events_frame(moved[:1]))
    one_night(desk, markets[0])
    one_night(desk, markets[1], AtQuote(), markets[0])
    text = (tmp_path / "desk.toml").read_text()
    (tmp_path / "desk.toml").write_text(text[: text.index("[books.two]")])
    desk = read_desk(tmp_path / "desk.toml")
    assert verify(desk).empty
    store.record(markets[2], events_frame(moved[1:]))
    (only,) = one_night(desk, markets[2], AtQuote(), markets[1]).results
    assert (only.book, only.status) == ("one", "solved") and verify(desk).empty
