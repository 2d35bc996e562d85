"""What the lists of a desk cost: by line, from the ledger's fills, the same money that the accounts book."""

import io

import numpy as np
import pandas as pd
import pytest
from desk_nights import last_run, one_night, told
from nights import coin_markets, path
from test_desk_nights import BROKERS, coin_desk

from optihedge.cli import main
from optihedge.desk.execution import executed
from optihedge.desk.ledger.database import open_ledger
from optihedge.desk.ledger.reading import files_of
from optihedge.errors import DataError
from optihedge.market.events import Event, events_frame
from optihedge.market.store.store import open_store


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Two nights; of the first list half was filled, of the second nothing yet."""
    desk, markets, _ = coin_desk(tmp_path_factory.mktemp("desk"), 2)
    one_night(desk, markets[0])
    one_night(desk, markets[1], BROKERS["partial"], markets[0])
    return desk, markets


def first_list(lines):
    return lines[lines["as_of"] == lines["as_of"].min()].set_index("instrument")


def test_what_fills_cost_is_what_the_accounts_book_as_fills(desk):
    desk, _ = desk
    lines = executed(desk).lines
    first, second = first_list(lines), lines[lines["as_of"] > lines["as_of"].min()]
    with open_ledger(desk.ledger).read() as connection:
        told = io.StringIO(files_of(connection, last_run(desk)["id"])["explained.csv"])
    booked = pd.read_csv(told).query("account == 'hedge'").set_index("instrument")["fill"]
    assert set(first.index) == {"LIN", "PERP"} and (first["realised"] > 0).all()
    assert first.at["LIN", "realised"] == pytest.approx(-booked["LIN"], rel=1e-9)
    assert first.at["PERP", "realised"] == pytest.approx(
        -booked["PERP"], rel=0.01
    )  # in coin, at the coin of then and now
    assert (first["filled"].abs() < first["wanted"].abs()).all() and (first["filled"] * first["wanted"] > 0).all()
    assert len(second) and (second["filled"] == 0).all()


def test_what_was_left_is_charged_its_move_until_the_next_night(desk):
    desk, markets = desk
    lines = executed(desk, "one").lines
    first = first_list(lines).loc["LIN"]
    move = float(markets[1].price["LIN"] - markets[0].price["LIN"])
    assert first.opportunity == pytest.approx(first.left * move, rel=1e-12)
    assert np.isnan(lines["opportunity"].iloc[-1])


def test_a_book_is_the_sum_of_its_lines_and_a_bust_leaves_no_cost(desk, tmp_path):
    desk, markets = desk
    both = executed(desk)
    book, lines = both.books.loc["one"], both.lines
    assert book["realised"] == pytest.approx(lines["realised"].sum(), rel=1e-12) and book["lines"] == len(lines)
    filled = first_list(lines)["filled"].abs()
    notional = filled["LIN"] * markets[0].price["LIN"] + filled["PERP"] * 10  # ten dollars a contract
    assert book["realised_bp"] == pytest.approx(1e4 * lines["realised"].sum() / notional, rel=1e-12)
    other, markets, _ = coin_desk(tmp_path / "busted", 2)
    one_night(other, markets[0])
    told(other, BROKERS["at quote"], *markets)
    fills = pd.read_csv(other.path.with_name("fills.csv"))
    at = markets[1].as_of
    busts = [Event(at, f"bust-{row.fill_id}", at, "bust", row.instrument, abs(row.quantity), "USD", row.fill_id)
             for row in fills.itertuples()]  # fmt: skip
    assert executed(other).lines["realised"].sum() > 0
    open_store(other.store).record(coin_markets(path(3))[2], events_frame(busts))
    assert executed(other).lines[["filled", "realised"]].abs().to_numpy().max() == 0


def test_the_verb_tells_lines_and_books_and_refuses_where_nothing_left(desk, tmp_path, capsys):
    desk, _ = desk
    assert main(["slippage", "--desk", str(desk.path)]) == 0
    said = capsys.readouterr().out
    assert "LIN" in said and "realised" in said and "opportunity" in said
    fresh, _, _ = coin_desk(tmp_path / "fresh", 1)
    with pytest.raises(DataError, match="no list has left"):
        executed(fresh)
    with pytest.raises(DataError, match=r"no list of onee \(did you mean one"):
        executed(desk, "onee")
