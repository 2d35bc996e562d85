"""Small markets that met desks in use: each gives what a desk must be told, or the answer of its clean twin."""

import os
from pathlib import Path

import pytest

import optihedge as oh
from optihedge.cli import main
from optihedge.market.snapshot import read_market
from optihedge.risk.contradictions import find_contradictions

CASES = Path(os.environ.get("OPTIHEDGE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")).parent / "cases"
AS_OF = {"wti_hist": "2020-04-24T20:00:00Z", "option_quote_astray": "2025-11-28T18:00:00Z"}
ANSWERS = {  # SELL (negative) of one contract by the clean twin, and how near
    "unheld_gap_freeze": ("IDXF", -140, 0), "nan_mid_freeze": ("IDXF", -140, 0), "dead": ("IDXF", -137, 0),
    "ipo25": ("IDXF", -140, 1), "renamed": ("IDXF", -140, 1), "expired_unheld": ("IDXF", -140, 0),
    "dividend_with_forward": ("T", -989, 10), "dust_only": ("ENA-P", -5, 0),
}  # fmt: skip
HELD = {
    "pence_one": "quote and history of BARC", "split_today": "quote and history of BARC",
    "perpetual_in_thousands": "against spot of 1000PEPE", "option_quote_astray": "strike arbitrage of C100",
    "dividend_no_forward": "parity of T 2026-07-17", "idx_late": "late column of IDX", "roll_120": "market jump of IDX",
    "hist_very_old": "old history of history", "midnightZ": "midnight bars of history",
    "wti_hist": "through zero of CLK0",
}  # fmt: skip
REFUSED = {
    "side_column": "column side is not known", "no_multiplier": "multiplier of C25 is empty",
    "hist_Date": r"column time is missing \(did you mean Date\?\)",
}  # fmt: skip
NAMED = {"ipo25": "CCC", "renamed": "META", "expired_unheld": "OPTX"}


def opened(name):
    folder = CASES / "desk" / name
    if not folder.is_dir():
        pytest.skip(f"case {name} is not here")
    market = read_market(folder, as_of=AS_OF.get(name, "2026-01-20T21:00:00Z"))
    return market, oh.read_book(folder / "book.csv", market)


def listed(name, model="beta_hedge", **checks):
    market, book = opened(name)
    return market, oh.trade_list(oh.load_model(model).hedge(market, book), **checks)


@pytest.mark.parametrize("name", ANSWERS)
def test_the_list_is_that_of_the_clean_twin(name):
    label, quantity, near = ANSWERS[name]
    market, found = listed(name)
    assert not found.held
    assert found.hedge.trades[label] == pytest.approx(quantity, abs=near)
    if name in NAMED:
        told = (*found.hedge.problem.notes, *map(str, find_contradictions(market)))
        assert any(NAMED[name] in line for line in told)


@pytest.mark.parametrize("name", HELD)
def test_what_contradicts_itself_is_named_and_held_until_it_is_accepted(name):
    market, found = listed(name)
    assert any(reason.startswith(HELD[name] + ": ") for reason in found.reasons), found.reasons
    names = [f"{one.kind} of {one.subject}" for one in find_contradictions(market)]
    accepted = listed(name, checks={"accept": tuple(names)})[1]
    assert not [reason for reason in accepted.reasons if any(reason.startswith(n) for n in names)]
    assert any(note.startswith(f"accepted: {HELD[name]}") for note in accepted.notes)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_rightly_is_refused_by_name(name):
    with pytest.raises(oh.DataError, match=REFUSED[name]):
        opened(name)


def test_the_names_of_a_renamed_ticker_are_both_told_with_the_remedy():
    found = [str(one) for one in find_contradictions(opened("renamed")[0])]
    assert any("CCC ends" in line and "META begins" in line and "rename" in line for line in found)


def test_a_worthless_option_is_hedged_at_no_carry():
    found = listed("worthless_mark0", "optimal_hedge")[1]
    assert not found.held and found.costs["carry"] == 0 if "carry" in found.costs else not found.held


@pytest.mark.parametrize("verb", ["check", "run", "doctor"])
def test_every_verb_says_the_same_of_a_market(verb, tmp_path, capsys):
    opened("idx_late")
    folder = str(CASES / "desk" / "idx_late")
    options = {
        "check": ["beta_hedge", "--as-of", "2026-01-20T21:00:00Z"],
        "run": ["beta_hedge", "--as-of", "2026-01-20T21:00:00Z", "--out", str(tmp_path)], "doctor": ["--past"],
    }[verb]  # fmt: skip
    main([verb, *options, "--data", folder])
    assert "IDX" in (shown := capsys.readouterr().out)
    assert verb == "doctor" or "severe: late column of IDX" in " ".join(shown.split())
