"""Pairs, credits and tiers of margin: the least of all choices, in books and as a limit of a hedge."""

from datetime import date
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, options
from scipy.optimize import linear_sum_assignment
from test_margin_examples import two_futures

import optihedge as oh
from optihedge.errors import SpecError
from optihedge.market.margin import MarginRules, margin_rule_names, read_margin_rules
from optihedge.market.margin_least import least_of
from optihedge.market.margin_needs import Needs
from optihedge.market.margin_scan import initial_margin, margin_of, standing

PAIRS = MarginRules(source="test", date=date(2026, 1, 1), share={"equity": 0.5, "spot": 0.5}, pairs=True,
                    short={"option": (0.20, 0.10)}, least_of_strike=True)  # fmt: skip
CREDITS = MarginRules(source="test", date=date(2026, 1, 1), moves=(-0.06, -0.02, 0.02, 0.06), ranges={"SOY": 0.7},
                      credits=(("CORN", 2.0, "SOY", 1.0, 0.55),))  # fmt: skip


def chain() -> oh.Market:
    """A share at 100 and options of 100 shares on it: five strikes, two lives; and a share that no option is on."""
    rows = {name: ("equity", 1.0, pd.NaT, np.nan, "", 100.0) for name in "UV"}
    for days, right, strike in product((30, 90), "CP", (85, 95, 100, 110, 125)):
        inside = max((100.0 - strike) * (1 if right == "C" else -1), 0.0)
        expiry = pd.Timestamp("2026-01-20T21:00Z") + pd.Timedelta(days=days)
        rows[f"{right}{strike}-{days}"] = ("option", 100.0, expiry, float(strike), right, inside + days / 30)
    table = pd.DataFrame.from_dict(rows, orient="index",
                                   columns=["type", "multiplier", "expiry", "strike", "right", "mark"])  # fmt: skip
    table["underlying"], price = np.where(table.index == "V", "V", "U"), table.pop("mark")
    quotes = pd.DataFrame({"bid": price, "ask": price, "mark": price})
    return oh.Market(table.rename_axis("instrument"), quotes.rename_axis("instrument"), "USD",
                     as_of="2026-01-20T21:00Z")  # fmt: skip


def paired(market: oh.Market, book: pd.Series) -> float:
    """Every choice of what each short contract is: alone, in a spread with a long one, covered by the share."""
    table, value = market.instruments, market.value
    longs = [name for name, held in book.items() if table.loc[name, "right"] and held > 0 for _ in range(int(held))]
    shorts = [name for name, held in book.items() if table.loc[name, "right"] and held < 0 for _ in range(int(-held))]
    share = float(book.get("U", 0.0))
    fixed = 50.0 * (abs(share) + abs(book.get("V", 0.0))) + sum(float(value[name]) for name in longs)
    sign = lambda name: 1.0 if table.loc[name, "right"] == "C" else -1.0  # noqa: E731
    inside = lambda name: 100 * max(sign(name) * (100.0 - table.loc[name, "strike"]), 0.0)  # noqa: E731

    def naked(name: str) -> float:
        strike = table.loc[name, "strike"]
        out = max(sign(name) * (strike - 100.0), 0.0)
        return 100 * max(20.0 - out, 0.1 * (strike if sign(name) < 0 else 100.0))

    def choices(at: int, left: tuple[str, ...], shares: float, alone: tuple[str, ...], paid: float) -> float:
        if at == len(shorts):
            calls, puts = ([naked(name) for name in alone if sign(name) == side] for side in (1.0, -1.0))
            size = max(len(calls), len(puts))
            calls, puts = (side + [0.0] * (size - len(side)) for side in (calls, puts))
            cost = np.maximum.outer(calls, puts) if size else np.zeros((0, 0))
            return paid + float(cost[linear_sum_assignment(cost)].sum())
        name = shorts[at]
        best = choices(at + 1, left, shares, (*alone, name), paid)
        if sign(name) * shares >= 100:
            part = (1 - sign(name) * 0.5) * inside(name) - float(value[name])
            best = min(best, choices(at + 1, left, shares - sign(name) * 100, alone, paid + part))
        for long in sorted(set(left)):
            if sign(long) != sign(name) or table.loc[long, "expiry"] < table.loc[name, "expiry"]:
                continue
            width = 100 * max(sign(name) * (table.loc[long, "strike"] - table.loc[name, "strike"]), 0.0)
            rest = list(left)
            rest.remove(long)
            part = paid + width - float(value[name])
            best = min(best, choices(at + 1, tuple(rest), shares, alone, part))
        return best

    return fixed + choices(0, tuple(longs), share, (), 0.0)


def check_pairs(count: int, seed: int = 0) -> None:
    market, rng = chain(), np.random.default_rng(seed)
    contracts = market.names[~market.names.isin(["U", "V"])]
    for _ in range(count):
        chosen = rng.choice(contracts, int(rng.integers(1, 6)), replace=False)
        book = pd.Series(rng.choice([-2.0, -1.0, 1.0, 2.0], len(chosen)), index=chosen)
        if rng.random() < 0.6:
            book["U"] = float(rng.choice([-300, -100, 100, 150, 300]))
        if rng.random() < 0.3:
            book["V"] = float(rng.choice([-200, 70]))
        told, full = initial_margin(market, book, PAIRS), paired(market, book)
        assert told >= full - 1e-6 and told == pytest.approx(full, rel=1e-9, abs=1e-6), book.to_dict()


def test_margin_of_pairs_is_the_least_of_all_choices() -> None:
    check_pairs(40)


@pytest.mark.slow
def test_margin_of_pairs_of_a_thousand_books_is_the_least_of_all_choices() -> None:
    check_pairs(1000, seed=1)


@pytest.mark.parametrize("rules", [PAIRS, CREDITS], ids=["pairs", "credits"])
def test_margin_as_columns_of_a_program_is_the_margin_of_the_book(rules: MarginRules) -> None:
    market, rng = chain() if rules is PAIRS else two_futures(4.375, 10.0), np.random.default_rng(2)
    needs = Needs.of(market, rules, market.names)
    for _ in range(20):
        held = np.round(rng.normal(0, 3, len(market.names)))
        held[market.names == "U"] *= 100
        told = float(margin_of(needs, held)[0])
        said = least_of(needs, held).at(held)
        assert said >= told - 1e-6
        if rules is CREDITS or held[market.names == "U"] >= 0:  # puts that are covered may be said to need more
            assert said == pytest.approx(told, rel=1e-9, abs=1e-6)
        turned = least_of(needs, -held).at(held)  # what covers was held on the other side when the Program was made
        assert turned >= told - 1e-6


def test_a_credit_is_the_best_number_of_spreads_and_never_more_than_that() -> None:
    """Futures of both: every number of spreads up to what both sides have, in steps of a hundredth."""
    market, rng = two_futures(4.375, 10.0), np.random.default_rng(3)
    corn, soy = 5000 * 4.375 * 0.06, 5000 * 10.0 * 0.06 * 0.7  # of one contract
    for _ in range(200):
        first, second = np.round(rng.normal(0, 10, 2))
        told = initial_margin(market, pd.Series({"CORN": first, "SOY": second}), CREDITS)
        most = min(abs(first) / 2, abs(second)) if first * second < 0 else 0.0
        alone = corn * abs(first) + soy * abs(second)
        assert told == pytest.approx(alone - 0.55 * (2 * corn + soy) * most, rel=1e-9, abs=1e-6)


def test_a_credit_larger_than_its_smaller_leg_is_cut_to_what_no_spread_too_many_would_gain() -> None:
    """Two of corn at 1 312.50 against one of soybeans at 2 100: a credit of 100 % takes off 2 x 2 100."""
    promised = MarginRules(**{**vars(CREDITS), "credits": (("CORN", 2.0, "SOY", 1.0, 1.0),)})
    market, corn, soy = two_futures(4.375, 10.0), 1_312.5, 2_100.0
    told = initial_margin(market, pd.Series({"CORN": 2.0, "SOY": -1.0}), promised)
    assert told == pytest.approx(2 * corn + soy - 2 * soy) and told > 0
    assert initial_margin(market, pd.Series({"CORN": 2.0}), promised) == pytest.approx(2 * corn)


@pytest.mark.parametrize("name", ["reg_t", "pairs and scan"])
def test_a_limit_of_paired_margin_is_kept_and_told(name: str) -> None:
    rules = read_margin_rules("reg_t") if name == "reg_t" else MarginRules(
        **{**vars(PAIRS), "moves": (-0.1, 0.1), "tiers": {"option": ((0.0, 0.001), (50_000.0, 0.01))}})  # fmt: skip
    market = options()
    book = {"C100-30": -40.0, "P100-90": -25.0, "U": 10.0}
    model = oh.HedgeModel(risk=flat_risk(market), objective=(oh.Variance(0.05), oh.SpreadCost()),
                          constraints=(oh.TradeLimit(200.0),))  # fmt: skip
    free = model.hedge(market, book)
    needs = initial_margin(market, free.after, rules)
    limit = oh.terms.MarginLimit(rules=rules, limit=0.7 * needs)
    bound = oh.HedgeModel(risk=model.risk, objective=model.objective, constraints=(*model.constraints, limit))
    found = bound.hedge(market, book)
    assert found.status == "optimal"
    in_parts = initial_margin(market, found.after + 1e-9, rules)  # whole contracts are covered by whole ones alone
    assert in_parts <= 0.7 * needs * (1 + 1e-6)
    assert found.limits.loc["margin", "after"] == pytest.approx(initial_margin(market, found.after, rules), rel=1e-6)
    dearer = found.certificate.primal - free.certificate.primal
    assert 0 < dearer <= -found.limits.loc["margin", "shadow_price"] * 0.3 * needs * (1 + 1e-6)


def test_shipped_rules_are_named_and_a_venues_own_name_finds_them(tmp_path: Path) -> None:
    assert set(margin_rule_names()) == {"deribit_like", "reg_t", "span_like"}
    assert read_margin_rules("deribit") == read_margin_rules("deribit_like")
    assert oh.terms.MarginLimit(venue="deribit", limit=1.0).read_rules() == read_margin_rules("deribit_like")
    assert oh.terms.MarginCost(rules="span_like").read_rules() == read_margin_rules("span_like")
    with pytest.raises(SpecError, match=r"no margin rules 'reg-t' \(did you mean reg_t\?\); shipped are deribit_like"):
        oh.terms.MarginLimit(rules="reg-t", limit=1.0)
    with pytest.raises(SpecError, match="no margin rules 'nowhere'"):
        oh.terms.MarginLimit(venue="nowhere", limit=1.0)
    text = '\n'.join(['description = "x"', "[[objective]]", 'type = "Variance"', "relative = 1.0", "[[constraints]]",
                      'type = "MarginLimit"', 'rules = "deribit"', 'venue = "deribit"', "of_equity = 0.5"])  # fmt: skip
    (term,) = oh.parse_model(text).constraints
    assert term.read_rules() == read_margin_rules("deribit_like")


def test_the_content_of_rules_is_part_of_a_model_s_fingerprint(tmp_path: Path) -> None:
    made = []
    for share in ("0.1", "0.2"):
        (tmp_path / "own.toml").write_text(f'source = "own"\ndate = 2026-01-01\n[share]\nequity = {share}\n')
        limit = oh.terms.MarginLimit(rules=str(tmp_path / "own.toml"), limit=1.0)
        made.append(oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(limit,)).fingerprint)
    assert made[0] != made[1]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"tiers": {"future": ((5.0, 0.1),)}}, "tiers of future"),
     ({"tiers": {"future": ((0.0, 0.2), (5.0, 0.1))}}, "tiers of future"),
     ({"credits": (("A", 1.0, "A", 1.0, 0.5),)}, "credit"), ({"credits": (("A", 1.0, "B", 0.0, 0.5),)}, "credit"),
     ({"credits": (("A", 1.0, "B", 1.0, 1.5),)}, "credit"), ({"credits": (("A", 1.0, "B"),)}, "credit"),
     ({"credits": (("A", np.inf, "B", 1.0, 0.5),)}, "credit"), ({"ranges": {"A": -1.0}}, "must be 0 or more"),
     ({"pairs": True, "short": {"option": (0.2, 0.1)}, "long": {"option": 0.5}}, "paid in full")],
)  # fmt: skip
def test_impossible_tiers_credits_and_pairs_are_named(wrong: dict, named: str) -> None:
    with pytest.raises(SpecError, match=named):
        MarginRules(source="x", date=date(2026, 1, 1), **wrong)


def test_a_paired_book_stands_with_what_it_has_beyond_its_margin() -> None:
    """A share for 10 000 and a call of 100 shares written at 110 for 1: what remains is half the share's price."""
    market = chain()
    rules = MarginRules(**{**vars(PAIRS), "haircut": {"USD": 0.0}})
    stood = standing(market, pd.Series({"U": 100.0, "C110-30": -1.0}), rules)
    assert stood.equity - stood.initial == pytest.approx(5_000.0)
