"""Files that say what is held go on through expiries and chains that no longer list a contract; nothing is guessed."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from desk_nights import DESK, desk_in, last_run, one_night, write_book
from nights import coin_markets, path
from test_desk_nights import BOOK, MODEL

from optihedge.accounts.state import State
from optihedge.desk.ledger.database import get_text, open_ledger
from optihedge.desk.ledger.reading import files_of
from optihedge.desk.night import run_night
from optihedge.desk.replay import replay, verify


def desk_of(folder, markets, holds):
    folder.mkdir(exist_ok=True)
    (folder / "model.toml").write_text(MODEL)
    return desk_in(folder, markets, BOOK, model="model.toml", text=DESK.replace('"opening"', f'"{holds}"'))


def stands(desk):
    """The state after the last night, and its notes."""
    row = last_run(desk)
    with open_ledger(desk.ledger).read() as connection:
        state = State.from_text(get_text(connection, row["after"]))
        return state, json.loads(files_of(connection, row["id"])["night.json"])["notes"]


def without(market, *names):
    keep = ~market.names.isin(names)
    return replace(market, instruments=market.instruments[keep], quotes=market.quotes[keep])


@pytest.mark.parametrize("holds", ["client", "account"])
def test_a_file_that_still_names_what_has_ended_is_read_without_it_and_says_so(holds, tmp_path):
    markets = coin_markets(path(7))  # C0 and P0 end after five days and a half
    desk = desk_of(tmp_path, markets, holds)
    one_night(desk, markets[0]) if holds == "client" else run_night(desk, as_of=markets[0].as_of)  # no orders stay
    night = run_night(desk if holds == "account" else replace(desk, on_open_orders="cancel"), as_of=markets[6].as_of)
    assert night.results[0].status == "solved" and night.code == 0
    state, notes = stands(desk)
    assert {"C0", "P0"}.isdisjoint(state.quantities().index) and state.quantities()["C1"] == BOOK["C1"]
    assert [f"{name} ended 2026-01-26 00:00 UTC; take it out of one.csv" for name in ("C0", "P0")] == notes[:2]
    assert verify(desk).empty and not replay(desk, "one@").differences


def test_a_held_contract_that_is_listed_no_more_is_carried_by_a_desk_whose_client_names_it(tmp_path):
    markets = coin_markets(path(2))
    desk = desk_of(tmp_path, [markets[0], without(markets[1], "C1")], "client")
    run_night(desk, as_of=markets[0].as_of)
    assert run_night(desk, as_of=markets[1].as_of).results[0].status == "solved"
    state, notes = stands(desk)
    assert state.quantities()["C1"] == BOOK["C1"] and any("C1 not listed: carried" in text for text in notes)
    write_book(tmp_path / "one.csv", BOOK | {"C1": 0.0})
    assert run_night(desk, as_of=markets[1].as_of).results[0].status == "solved"
    assert "C1" not in stands(desk)[0].quantities().index


def test_a_contract_that_is_neither_listed_nor_held_nor_ended_is_refused_by_its_row_and_none_of_it_is_not(tmp_path):
    markets = coin_markets(path(2))
    desk = desk_of(tmp_path, [markets[0], without(markets[1], "P1")], "client")
    run_night(desk, as_of=markets[0].as_of)
    for name, quantity, word in (("P1", 1.0, "row 6"), ("NEVER", 0.0, "row 6"), ("P1", 0.0, None)):
        write_book(tmp_path / "one.csv", BOOK | {name: quantity})
        (result,) = run_night(desk, as_of=markets[1].as_of).results
        assert result.status == ("solved" if word is None else "failed")
        assert word is None or (word in result.why and name in result.why)


def test_a_file_of_venue_amounts_is_counted_by_the_terms_that_the_store_keeps(tmp_path):
    markets = coin_markets(path(7))
    desk = desk_of(tmp_path, markets, "client")
    amounts = pd.DataFrame({"instrument": ["C0", "C1", "PERP"], "venue_amount": [-3.0, 4.0, 250.0]})
    amounts.to_csv(tmp_path / "one.csv", index=False)
    run_night(desk, as_of=markets[0].as_of)
    assert run_night(desk, as_of=markets[6].as_of).results[0].status == "solved"
    assert stands(desk)[0].quantities()[["C1", "PERP"]].tolist() == [4.0, 25.0]


@pytest.mark.parametrize("coins", [5.0, 2.0, 0.0, None])
def test_a_balance_that_the_file_says_is_the_balance_none_too_and_one_it_does_not_say_stays(coins, tmp_path):
    markets = coin_markets(path(2))
    desk = desk_of(tmp_path, markets, "client")
    run_night(desk, as_of=markets[0].as_of)
    write_book(tmp_path / "one.csv", {**BOOK, "COIN": coins} if coins is not None else {"C1": BOOK["C1"]})
    run_night(desk, as_of=markets[1].as_of)
    state, _ = stands(desk)
    left = state.cash.get("book", {}).get("BTC", 0.0)
    if coins is None:  # what C0 and P0 brought as they went is in it
        assert left != 0.0
    else:
        assert left == coins
