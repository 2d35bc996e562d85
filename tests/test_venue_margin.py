"""Venues of a list: margin kept in whole lots, told in the report, and near liquidation said."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, options
from test_margin import SCAN, WHOLE

import optihedge as oh
from optihedge.accounts.valuation import opening
from optihedge.market.margin import MarginRules
from optihedge.market.margin_scan import initial_margin
from optihedge.step.policies.base import View
from optihedge.step.policies.triggers import MarginTrigger
from optihedge.trades.checks import Checks, list_reasons
from optihedge.trades.page import page_of

RULES = MarginRules(source="test", date=date(2026, 1, 1), moves=(-0.1, 0.1), haircut={"USD": 0.0}, maintenance=0.8)
OFF = Checks.none()


def market(lot: float = 1.0) -> oh.Market:
    """A future on IDX at 100 x 10, cash at the same venue, and a share that moves with IDX."""
    rows = {"FUT": ("future", "IDX", 10.0, "A"), "IDX": ("index", "IDX", 1.0, ""), "CASH": ("cash", "USD", 1.0, "A"),
            "BOOK": ("equity", "BOOK", 1.0, "B")}  # fmt: skip
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["type", "underlying", "multiplier", "venue"])
    table["expiry"] = pd.Series({"FUT": pd.Timestamp("2026-06-19T13:30Z")})
    table["lot"] = pd.Series({"FUT": lot, "IDX": 1.0, "CASH": 0.01, "BOOK": 1.0})
    table["hedge"] = table.index == "FUT"
    price = pd.Series({"FUT": 100.0, "IDX": 100.0, "CASH": 1.0, "BOOK": 100.0})
    quotes = pd.DataFrame({"bid": price - 0.005, "ask": price + 0.005, "mark": price})
    return oh.Market(table.rename_axis("instrument"), quotes.rename_axis("instrument"), "USD",
                     as_of="2026-03-02T15:00:00Z")  # fmt: skip


def hedge(lot: float, *constraints: oh.Term, cash: float = 50_000.0) -> oh.Hedge:
    """Short 300 of BOOK, hedged by the future: thirty contracts where nothing stops it."""
    given = market(lot)
    risk = pd.DataFrame([[1.0, 0.999], [0.999, 1.0]], index=["IDX", "BOOK"], columns=["IDX", "BOOK"]) * 1e-4
    risk = risk.loc[given.drivers.index, given.drivers.index]
    model = oh.HedgeModel(risk=oh.Risk.from_covariance(risk, periods_per_year=252), constraints=constraints,
                          objective=(oh.Variance(1e-2), oh.SpreadCost()))  # fmt: skip
    return model.hedge(given, {"BOOK": -300.0, "CASH": cash})


@pytest.mark.parametrize("lot", [1.0, 4.0, 7.0])
def test_a_list_in_whole_lots_keeps_its_margin_limit(lot: float) -> None:
    """2 500 of margin are 25 contracts at 100 each; lots of 4 and of 7 must round down, whatever risk would like."""
    limited = hedge(lot, oh.terms.MarginLimit(rules=RULES, venue="A", limit=2_590.0))
    assert limited.after["FUT"] == pytest.approx(25.9, rel=1e-4)
    made = oh.trade_list(limited)
    assert made.verdict == "send"
    held = made.hedge.after["FUT"]
    assert held == lot * np.floor(25.9 / lot) and held > 0
    assert initial_margin(made.hedge.market, made.hedge.after[["FUT"]], RULES) <= 2_590.0
    assert made.hedge.certificate.dual == pytest.approx(limited.certificate.dual)


def test_only_the_margin_check_fires_where_a_list_breaks_a_venues_limit() -> None:
    limited = hedge(4.0, oh.terms.MarginLimit(rules=RULES, venue="A", limit=2_650.0))
    whole = oh.round_to_lots(limited)
    future = np.array(whole.program.columns) == "FUT"
    beyond = whole.with_quantities(np.where(future, 28.0, whole.h), whole.certificate)
    assert list_reasons(beyond, replace(OFF, margin=True), limited.answer) == [
        "margin would be 2,800.00 USD, above its limit 2,650.00, 0.00 now"
    ]
    assert list_reasons(whole, replace(OFF, margin=True), limited.answer) == []


def test_a_soft_margin_limit_holds_nothing() -> None:
    soft = hedge(7.0, oh.terms.MarginLimit(rules=RULES, venue="A", limit=2_590.0, soft=0.01))
    made = oh.trade_list(soft)
    assert made.verdict == "send" and initial_margin(made.hedge.market, made.hedge.after[["FUT"]], RULES) > 2_590.0


@pytest.mark.parametrize("seed", range(4))
def test_lists_of_options_in_whole_lots_keep_their_margin(seed: int) -> None:
    rng, base = np.random.default_rng(seed), options()
    given = replace(base, instruments=base.instruments.assign(lot=5.0))
    book = pd.Series(np.round(rng.normal(0, 40, 6)), index=rng.choice(given.names, 6, replace=False))
    model = oh.HedgeModel(risk=flat_risk(given), objective=(oh.Variance(0.05), oh.SpreadCost()),
                          constraints=(oh.TradeLimit(200.0),))  # fmt: skip
    rules = (SCAN, WHOLE)[seed % 2]
    limit = 0.6 * initial_margin(given, model.hedge(given, book).after, rules)
    bound = replace(model, constraints=(*model.constraints, oh.terms.MarginLimit(rules=rules, limit=limit)))
    made = oh.trade_list(bound.hedge(given, book), checks=replace(OFF, margin=True))
    before = initial_margin(given, book, rules)
    assert made.verdict == "send"
    assert initial_margin(given, made.hedge.after, rules) <= max(limit, before) * (1 + 1e-9)


def test_the_report_tells_equity_margin_and_distance_and_says_when_one_move_liquidates() -> None:
    """Thirty contracts are 30 000: 5 000 of equity are gone near -15 %, 2 000 within one scanned move of 10 %."""
    for cash, near in ((5_000.0, False), (2_900.0, True)):
        told = hedge(1.0, oh.terms.MarginLimit(rules=RULES, venue="A", limit=1e6), cash=cash)
        row = told.venues.loc["A"]
        held = float(told.after["FUT"])
        assert held > 25
        assert (row["equity"], row["exposure"]) == (cash, cash)
        assert (row["margin before"], row["margin"]) == pytest.approx((0.0, held * 100))
        assert row["maintenance"] == pytest.approx(0.8 * held * 100)
        exact = (0.8 * held * 100 - cash) / (held * 1000 - 0.8 * held * 100)
        assert row["down"] == pytest.approx(exact, abs=0.015) and row["up"] == np.inf
        assert ("ONE MOVE FROM LIQUIDATION at A" in str(told)) is near and "venues" in str(told)
        made = oh.trade_list(told, checks=None)
        assert any("ONE MOVE FROM LIQUIDATION at A" in note for note in made.notes) is near
    gone = hedge(1.0, oh.terms.MarginLimit(rules=RULES, venue="A", limit=1e6), cash=100.0)
    assert "LIQUIDATION at A: equity 100 is below maintenance margin" in str(gone)
    assert "liquidation at" in page_of(oh.trade_list(gone, checks=None)).lower()
    empty = hedge(1.0, oh.terms.MarginLimit(rules=RULES, venue="NOWHERE", limit=1.0)).venues.loc["NOWHERE"]
    assert empty.drop(["down before", "down", "up before", "up"]).eq(0.0).all()
    plain = oh.HedgeModel(risk=flat_risk(market()), objective=(oh.Variance(1e-2),)).hedge(market(), {"BOOK": -1.0})
    assert not len(plain.venues)


def test_a_margin_trigger_reads_the_rules_of_the_model_whose_lists_are_sent() -> None:
    """Twenty contracts need 2 000 by the model's scan of 10 %, and 10 000 by a rate of 50 %."""
    given = market()
    state = opening("b", given, hedge={"FUT": 20.0, "CASH": 4_000.0})
    model = hedge(1.0, oh.terms.MarginLimit(rules=RULES, venue="A", limit=1e6)).model
    bare = replace(model, constraints=())
    elsewhere = replace(model, constraints=(oh.terms.MarginLimit(rules=RULES, venue="B", limit=1e6),))
    asked = lambda model, **of: MarginTrigger(**of).decide(View(state, None, given, model, None), {}).act  # noqa: E731
    assert asked(model, limit=0.499, rate=1e-9) and not asked(model, limit=0.501, rate=0.5)
    assert asked(bare, limit=2.499, rate=0.5) and not asked(bare, limit=2.501, rate=0.5)
    assert not asked(elsewhere, limit=1e-6, rate=0.5)
