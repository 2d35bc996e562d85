"""A run that cannot be begun stands in the ledger with its reason, is told by every verb, and takes nothing away."""

import pandas as pd
import pytest
from desk_nights import DESK, desk_in, last_run, one_night, write_book
from nights import coin_markets, path
from test_desk_nights import BOOK, MODEL, coin_desk

from optihedge.cli import main
from optihedge.desk.challengers import beside_challengers
from optihedge.desk.execution import executed
from optihedge.desk.ledger.database import open_ledger
from optihedge.desk.ledger.reading import runs_of
from optihedge.desk.looking import difference, nights_table, runs_table, shown
from optihedge.desk.night import run_night
from optihedge.desk.outbox import send
from optihedge.desk.replay import replay, verify
from optihedge.errors import DataError
from optihedge.step.broker import AtQuote

CLIENT = DESK.replace('"opening"', '"client"')


def refused(desk, market):
    """The night of a market under a book's file that cannot be read as one."""
    (desk.path.parent / "one.csv").write_text("instrument,quantity\nNOTHING,1\n")
    return run_night(desk, as_of=market.as_of, who="ann")


def test_a_refused_night_is_told_by_every_verb_and_replays(tmp_path, capsys):
    desk, markets, _ = coin_desk(tmp_path, 2, CLIENT)
    one_night(desk, markets[0])
    (result,) = refused(desk, markets[1]).results
    assert result.status == "failed" and "NOTHING" in result.why and result.run
    seen = shown(desk, "one@2026-01-21")
    assert result.run in seen.lines[0] and any("NOTHING" in line for line in seen.lines)
    assert list(seen.log["what"]) == ["refused"]
    table = runs_table(desk, "one")
    assert "NOTHING" in table["why"].iloc[-1] and table["stands"].iloc[-1] == "yes"
    assert any("NOTHING" in line for line in difference(desk, "one@2026-01-20", "one@2026-01-21").lines)
    (told,) = nights_table(desk, "one").failed
    assert told.startswith("one 2026-01-21") and "NOTHING" in told
    assert replay(desk, "one@2026-01-21").differences == () and verify(desk).empty
    capsys.readouterr()
    for verb in (["show", "one@2026-01-21"], ["runs"], ["report"], ["diff", "one@2026-01-20", "one@2026-01-21"]):
        assert main([*verb, "--desk", str(desk.path)]) == 0
        assert "NOTHING" in capsys.readouterr().out
    with pytest.raises(DataError, match="left no list"):
        send(desk, "one@2026-01-21")


def test_a_book_that_is_refused_on_its_first_night_begins_once_it_is_mended(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 1, CLIENT)
    assert refused(desk, markets[0]).code == 1 and "NOTHING" in last_run(desk)["why"]
    write_book(tmp_path / "one.csv", BOOK)
    assert one_night(desk, markets[0]).results[0].status == "first"
    assert last_run(desk)["outcome"] == "first" and verify(desk).empty


def test_the_night_after_a_refused_one_is_as_if_that_had_not_been_asked_for(tmp_path):
    found = []
    for name in ("with", "without"):
        desk, markets, _ = coin_desk(tmp_path / name, 3, CLIENT)
        one_night(desk, markets[0])
        if name == "with":
            refused(desk, markets[1])
            write_book(desk.path.parent / "one.csv", BOOK)
        one_night(desk, markets[2], AtQuote(), markets[0])
        assert verify(desk).empty
        found.append((last_run(desk)["after"], last_run(desk)["sha256"]))
    assert found[0] == found[1]


def test_a_refusal_leaves_the_nights_list_as_it_stands(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 1, CLIENT)
    (made,) = run_night(desk, as_of=markets[0].as_of, who="ann").results
    (again,) = refused(desk, markets[0]).results
    assert made.run[:12] in again.why and last_run(desk)["id"] == made.run and last_run(desk)["list"] == "made"
    assert (desk.out / "2026-01-20T120000Z" / "one" / "neutral" / "proposed.csv").is_file()
    assert send(desk, "one@").sha256 == last_run(desk)["sha256"]


def test_an_earlier_night_may_be_run_again_after_a_refused_one_but_not_after_one_that_went_on(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 2, CLIENT)
    run_night(desk, as_of=markets[0].as_of, who="ann")
    refused(desk, markets[1])
    write_book(tmp_path / "one.csv", BOOK | {"COIN": 3.0})
    assert run_night(desk, as_of=markets[0].as_of, who="ann").results[0].status == "first"
    run_night(desk, as_of=markets[1].as_of, who="ann")
    write_book(tmp_path / "one.csv", BOOK)
    (late,) = run_night(desk, as_of=markets[0].as_of, who="bob").results
    assert "only the last may be run again" in late.why and last_run(desk)["as_of"].startswith("2026-01-21")
    with open_ledger(desk.ledger).read() as connection:
        assert [row["id"] for row in runs_of(connection) if row["id"] == late.run] == [late.run]
    assert verify(desk).empty


def test_a_challenger_that_is_refused_is_kept_and_never_stands(tmp_path):
    text = CLIENT.replace('positions = "one.csv"', 'positions = "one.csv"\nchallengers = ["other"]')
    desk, markets, _ = coin_desk(tmp_path, 1, text.replace("[models]", '[models]\nother = "delta_neutral"'))
    results = refused(desk, markets[0]).results
    assert [(one.role, one.status) for one in results] == [("challenger", "failed"), ("send", "failed")]
    assert last_run(desk)["role"] == "send" and len(runs_table(desk)) == 2


def test_a_night_is_held_to_what_the_last_one_that_was_computed_forecast(tmp_path):
    """And an order is open, a challenger ahead, until the next that is: a refusal between them changes no figure."""
    found, held = [], {"C1": 4.0, "PERP": 500.0}
    for name in ("with", "without"):
        text = CLIENT.replace('positions = "one.csv"', 'positions = "one.csv"\nchallengers = ["other"]')
        markets, folder = coin_markets(path(23))[-3:], tmp_path / name
        folder.mkdir()
        (folder / "model.toml").write_text(MODEL + 'risk = {type = "EwmaRisk", halflife = 10}\n')
        desk = desk_in(folder, markets, held, model="model.toml",
                       text=text.replace("[models]", '[models]\nother = "delta_neutral"'))  # fmt: skip
        one_night(desk, markets[0])
        if name == "with":
            refused(desk, markets[1])
            write_book(folder / "one.csv", held)
        one_night(desk, markets[2], AtQuote(), markets[0])
        nights = nights_table(desk, "one")
        told = nights.nights[nights.nights["outcome"] != "failed"].reset_index(drop=True)
        assert told["over forecast"].notna().tolist() == [False, True]
        found.append((told, nights.drift, executed(desk).lines, beside_challengers(desk)))
    for one, other in zip(*found, strict=True):
        pd.testing.assert_frame_equal(one, other, check_dtype=False)
