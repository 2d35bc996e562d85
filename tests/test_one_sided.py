"""What a held contract is worth for want of two sides of its quote is said, by name, at every door."""

import numpy as np
import pandas as pd
import pytest
from test_contradictions_at_both_doors import AS_OF, said, tables

import optihedge as oh
from optihedge.desk.doctor import doctor
from optihedge.risk.contradictions import book_contradictions
from optihedge.risk.finding import WARNING

HELD = ("A", "XP", "WF", "S-C147", "S-P133")
MODEL = oh.HedgeModel(objective=(oh.SpreadCost(),), universe=("MKT",))


def blank(name, *sides, value=np.nan):
    def change(t):
        t["quotes"].loc[name, list(sides)] = value

    return change


def market_of(change, **settings):
    made = tables()
    change(made)
    given = {name: made[name].reset_index() for name in ("instruments", "quotes", "drivers")}
    return oh.Market(**given, base_currency="USD", history=made["history"], as_of=AS_OF, **settings)


def named(market, book):
    return [one.subject for one in book_contradictions(market, pd.Series(book)) if one.kind == "one side"]


@pytest.mark.parametrize("name", HELD)
@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_held_contract_without_a_side_or_mark_is_named_wherever_no_vol_says_its_worth(name, side):
    market = market_of(blank(name, side))
    told = named(market, {name: 3.0})
    modelled = name.startswith("S-") and side == "bid"  # an ask alone is no value of an option: its neighbours' vol is
    assert told == ([] if modelled else [name])
    assert (name in market.vol_from.index) == modelled
    other = {"bid": "ask", "ask": "bid"}[side]
    assert modelled or market.price[name] == market.quotes.at[name, other]


@pytest.mark.parametrize("name", HELD)
def test_a_mark_is_a_price_and_what_nobody_holds_is_not_told(name):
    marked = lambda t: (blank(name, "bid")(t), t["quotes"].__setitem__("mark", np.nan),  # noqa: E731
                        t["quotes"].__setitem__("mark", t["quotes"]["ask"] * 0.9995))  # fmt: skip
    assert named(market_of(marked), {name: 3.0}) == []
    assert named(market_of(blank(name, "ask")), {"B": 5.0, name: 0.0}) == []
    assert named(market_of(lambda t: None), dict.fromkeys(HELD, 1.0)) == []


def test_an_option_is_told_of_the_share_that_is_valued_at_one_side():
    assert named(market_of(blank("S", "ask")), {"S-C147": -20.0}) == ["S"]
    assert named(market_of(blank("S", "bid")), {"A": 1.0}) == []


def test_a_price_of_zero_is_an_absent_side_too():
    assert named(market_of(blank("A", "ask", value=0.0)), {"A": 1.0}) == ["A"]


def test_a_frozen_share_says_that_its_value_is_its_last_level():
    market = market_of(blank("A", "bid", "ask"), on_missing="freeze")
    found = [one for one in book_contradictions(market, pd.Series({"A": 1.0})) if one.kind == "one side"]
    assert [one.subject for one in found] == ["A"] and "last level" in found[0].detail


def test_an_option_of_which_nobody_has_a_vol_is_told_where_half_its_ask_is_its_value():
    def alone(t):
        blank("S-C147", "bid")(t)
        for name in ("instruments", "quotes"):
            t[name] = t[name][~t[name].index.str.startswith("S-") | (t[name].index == "S-C147")]

    market = market_of(alone)
    assert market.price["S-C147"] == market.quotes.at["S-C147", "ask"] / 2
    assert named(market, {"S-C147": 1.0}) == ["S-C147"]


@pytest.mark.parametrize("checks", [oh.Checks(), oh.Checks.none()])
def test_the_list_says_so_whatever_is_checked(checks):
    hedge = MODEL.hedge(market_of(blank("A", "ask")), {"A": 100.0})
    told = [note for note in oh.trade_list(hedge, checks=checks).notes if "one side of A" in note]
    assert len(told) == 1 and told[0].startswith(WARNING)


@pytest.mark.parametrize(("name", "side"), [("A", "ask"), ("WF", "bid"), ("S-P133", "ask")])
def test_check_run_page_and_doctor_say_so(tmp_path, capsys, monkeypatch, name, side):
    monkeypatch.setenv("COLUMNS", "400")
    checked, ran, code, out = said(tmp_path, blank(name, side), capsys)
    assert code == 0 and f"one side of {name}" in checked and f"one side of {name}" in ran
    assert any(f"one side of {name}" in page.read_text() for page in out.rglob("report.html"))
    told = doctor(tmp_path, books=[tmp_path / "book.csv"]).findings
    assert [row for row in told.itertuples() if row.subject == name and f"its {side} is missing" in row.problem]
