"""Small markets that met desks in use: each gives what a desk must be told, or the answer of its clean twin."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lot_choices import by_enumeration
from scipy.optimize import brentq
from scipy.stats import norm

import optihedge as oh
from optihedge.cli import main
from optihedge.desk.doctor import doctor
from optihedge.market.folder import read_market
from optihedge.market.pricing import black
from optihedge.risk.contradictions import find_contradictions

CASES = Path(os.environ.get("OPTIHEDGE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")).parent / "cases"
AS_OF = {"wti_hist": "2020-04-24T20:00:00Z", "option_quote_astray": "2025-11-28T18:00:00Z"}
ANSWERS = {  # SELL (negative) of one contract by the clean twin, how near, and by which model if not beta_hedge
    "unheld_gap_freeze": ("IDXF", -140, 0), "nan_mid_freeze": ("IDXF", -140, 0), "dead": ("IDXF", -137, 0),
    "ipo25": ("IDXF", -140, 1), "renamed": ("IDXF", -140, 1), "expired_unheld": ("IDXF", -140, 0),
    "dividend_with_forward": ("T", -989, 0, "delta_neutral"), "dust_only": ("ENA-P", -5, 0),
    "one_expiry_40000": ("ES-H26", -19, 0), "two_expiries_40000": ("ES-H26", -19, 0),
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
    label, quantity, near, *model = ANSWERS[name]
    market, found = listed(name, *model)
    assert not found.held
    assert found.hedge.trades[label] == pytest.approx(quantity, abs=near)
    if name in NAMED:
        told = (*found.hedge.problem.notes, *map(str, find_contradictions(market)))
        assert any(NAMED[name] in line for line in told)


def test_two_expiries_with_a_basis_each_are_both_sold_in_the_lots_that_enumeration_finds():
    """Spread over both, their bases' risk is less than in one; nothing is bought to be sold beside it."""
    found = listed("two_expiries_basis")[1]
    trades = found.hedge.trades[["ES-H26", "ES-M26"]]
    assert (trades <= 0).all() and trades.sum() == pytest.approx(-18.5, abs=0.5) and found.costs["trading"] <= 118.75
    program = found.hedge.problem.program
    near = replace(program, lower=np.maximum(program.lower, -30.0), upper=np.minimum(program.upper, 30.0))
    best = by_enumeration(near)[0]
    assert found.hedge.certificate.primal == pytest.approx(best, rel=1e-9)
    assert best - found.hedge.certificate.dual < 1e-3 * best  # and no fraction of a lot does much better


def test_a_spread_book_is_hedged_at_its_spot_delta_less_the_band():
    """Black at the forward given: N(d1) F / S of both, short; the band of the model is met by a whole share."""
    market, book = opened("dividend_with_forward")
    years, spot, forward, strike = 177.958333 / 365, 25.0, 24.2201, 25.0
    total = 0.0
    for sign, price in ((1, 1.1487), (-1, 1.9285)):
        vol = brentq(lambda v: float(black(forward, strike, years, v, sign)) - price, 0.01, 2.0)  # noqa: B023
        total += sign * norm.cdf(sign * (np.log(forward / strike) / vol / years**0.5 + vol * years**0.5 / 2))
    found = oh.trade_list(oh.load_model("delta_neutral").hedge(market, book)).hedge
    band = found.limits["upper"].iloc[0]
    assert found.trades["T"] == np.floor(total * forward / spot * 100 * 100 + band / spot)  # the share that is inside


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


@pytest.mark.parametrize(("name", "remedy"), [("pence_one", "pence"), ("split_today", "split")])
def test_a_share_in_another_unit_is_seen_through_its_new_label(tmp_path, name, remedy):
    """The night before is the same folder with the quote of the last level; tonight BARC is called BARC LN."""
    opened(name)
    for night, label in (("before", "BARC"), ("tonight", "BARC LN")):
        (tmp_path / night).mkdir()
        for path in (CASES / "desk" / name).iterdir():
            text = path.read_text()
            if path.stem in ("instruments", "quotes", "book"):
                text = text.replace("\nBARC,", f"\n{label},")
            if night == "before" and path.stem == "quotes":
                lines = [line if not line.startswith("BARC") else "BARC,136.55,136.61" for line in text.split("\n")]
                text = "\n".join(lines)
            text = (
                text.replace("2026-01-20T21", "2026-01-19T21") if night == "before" and path.suffix == ".toml" else text
            )
            if night == "before" and path.stem == "history":
                text = text[: text.index("2026-01-20")]
            (tmp_path / night / path.name).write_text(text)
    books = [tmp_path / "tonight" / "book.csv"]
    found = doctor(tmp_path / "tonight", books=books, before=tmp_path / "before").findings
    told = [f"{one.problem}; {one.remedy}" for one in found.itertuples() if one.subject == "BARC LN"]
    assert any("times that of BARC of the night before" in text and remedy in text for text in told), told
    market = read_market(tmp_path / "tonight")
    kinds = {(one.kind, one.subject, one.severity) for one in oh.risk.find_contradictions(market)}
    assert ("share and underlying", "BARC LN", "severe" if remedy == "pence" else "warning") in kinds
