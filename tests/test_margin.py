"""Margin: worked examples to the cent, never below full enumeration, a limit that costs no more than its dual says."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, options, stocks

import optihedge as oh
from optihedge.errors import DataError, SpecError
from optihedge.market.margin import MarginRules, initial_margin, liquidation_moves, rates_of, read_margin_rules
from optihedge.market.scenarios import scenario_pnl
from optihedge.program.program import objective

RULES = Path(__file__).resolve().parents[1] / "models" / "margin"
SCAN = MarginRules(source="test", date=date(2026, 1, 1), moves=(-0.1, 0.0, 0.1), vols=(-0.05, 0.0, 0.05),
                   extended=((-0.4, 0.1, 0.3), (0.4, 0.1, 0.3)), share={"option": 0.002, "future": 0.01})  # fmt: skip


def future(price: float = 4000.0, multiplier: float = 50.0) -> oh.Market:
    names = ["FUT", "SHARE"]
    instruments = pd.DataFrame({
        "instrument": names, "type": ["future", "equity"], "underlying": ["IDX", "SHARE"],
        "multiplier": [multiplier, 1.0], "expiry": [pd.Timestamp("2026-06-19T13:30Z"), pd.NaT], "venue": ["A", "B"],
    })  # fmt: skip
    quotes = pd.DataFrame({"instrument": names, "bid": [price, 49.9], "ask": [price, 50.1],
                           "underlying_price": [price, np.nan]})  # fmt: skip
    return oh.Market(instruments, quotes, "USD", as_of="2026-03-02T15:00:00Z")


def test_a_future_needs_its_scan_range_as_span_says() -> None:
    """6 % of 50 x 4000 is 12 000 a contract; three times the range at 33 % is 11 880: less."""
    rules = read_margin_rules(RULES / "span_like.toml")
    for held in (2.0, -2.0):
        assert initial_margin(future(), pd.Series({"FUT": held}), rules) == pytest.approx(24_000.0, abs=0.005)


def test_shares_need_half_their_value() -> None:
    rules = read_margin_rules(RULES / "reg_t.toml")
    for held in (300.0, -300.0):
        assert initial_margin(future(), pd.Series({"SHARE": held}), rules) == pytest.approx(7_500.0, abs=0.005)


def test_exchange_margins_through_time_are_those_in_force(recorded) -> None:
    table = pd.read_parquet(recorded("futures_margins_history") / "margins.parquet")
    told = {}
    for day in ("2012-05-01", "2020-03-19"):
        rate = rates_of(table, {"FUT": "ES"}, pd.Timestamp(day))
        rules = MarginRules(source="exchange", date=date.fromisoformat(day), rate=rate)
        told[day] = initial_margin(future(), pd.Series({"FUT": -3.0}), rules)
    assert told == pytest.approx({"2012-05-01": 3 * 4_375.0, "2020-03-19": 3 * 13_200.0}, abs=0.005)
    with pytest.raises(DataError, match="ES of FUT has no margin by 1980-01-01"):
        rates_of(table, {"FUT": "ES"}, pd.Timestamp("1980-01-01"))


def enumerated(market: oh.Market, book: pd.Series, rules: MarginRules) -> float:
    """Scenario by scenario and underlying by underlying, the whole book revalued in each; plain loops."""
    total = 0.0
    for _, part in book.groupby(market.instruments.loc[book.index, "underlying"]):
        worst = 0.0
        for row in rules.scenarios.itertuples():
            pnl = scenario_pnl(market, pd.DataFrame([{"spot": row.spot, "term": row.term}]), part.index)
            worst = max(worst, -row.weight * float(pnl.iloc[0] @ part))
        total += worst
    for name, held in book.items():
        kind = market.instruments.loc[name, "type"]
        total += abs(held) * rules.share.get(kind, 0.0) * float(market.notional[name])
    return total


def check_books(count: int) -> None:
    market, rng = options(), np.random.default_rng(0)
    for _ in range(count):
        chosen = rng.choice(market.names, int(rng.integers(1, 8)), replace=False)
        book = pd.Series(np.round(rng.normal(0, 20, len(chosen)), 1), index=chosen)
        told, full = initial_margin(market, book, SCAN), enumerated(market, book, SCAN)
        assert told >= full - 1e-9 * max(full, 1.0) and told == pytest.approx(full, rel=1e-9)


def test_margin_is_never_below_full_enumeration() -> None:
    check_books(20)


@pytest.mark.slow
def test_margin_of_a_thousand_books_is_never_below_full_enumeration() -> None:
    check_books(1000)


def desk(*constraints: oh.Term, **given: object) -> oh.Hedge:
    market = options()
    model = oh.HedgeModel(risk=flat_risk(market), objective=(oh.Variance(0.05), oh.SpreadCost()),
                          constraints=(oh.TradeLimit(200.0), *constraints), **given)  # fmt: skip
    return model.hedge(market, {"C100-30": -40.0, "P100-90": -25.0, "U": 10.0})


def test_a_margin_limit_is_kept_and_costs_no_more_than_its_dual_says() -> None:
    free = desk()
    market = free.market
    needs = initial_margin(market, free.after, SCAN)
    bound = desk(oh.terms.MarginLimit(rules=SCAN, limit=0.6 * needs))
    assert bound.status == "optimal"
    assert initial_margin(market, bound.after, SCAN) <= 0.6 * needs * (1 + 1e-6)
    told = bound.limits.loc["margin"]
    assert told["after"] == pytest.approx(initial_margin(market, bound.after, SCAN), rel=1e-6)
    cost = objective(bound.program, bound.h) - objective(free.program, free.h)
    assert 0 < cost <= -told["shadow_price"] * 0.4 * needs * (1 + 1e-6)
    loose = desk(oh.terms.MarginLimit(rules=SCAN, limit=1.01 * needs))
    assert objective(loose.program, loose.h) == pytest.approx(objective(free.program, free.h), rel=1e-6)


def test_margin_that_costs_is_used_less() -> None:
    free = desk()
    market = free.market
    model = oh.HedgeModel(risk=flat_risk(market), constraints=(oh.TradeLimit(200.0),), objective=(
        oh.Variance(0.05), oh.SpreadCost(), oh.terms.MarginCost(rules=SCAN, rate=2.0)))  # fmt: skip
    dear = model.hedge(market, free.before[free.before != 0])
    assert initial_margin(market, dear.after, SCAN) < initial_margin(market, free.after, SCAN)
    told = dear.charges["margin cost"]
    assert told == pytest.approx(2.0 * dear.problem.years * initial_margin(market, dear.after, SCAN), rel=1e-4)


def test_only_what_is_at_the_venue_counts() -> None:
    market = future()
    rules = read_margin_rules(RULES / "reg_t.toml")
    model = oh.HedgeModel(objective=(oh.SpreadCost(),), capital=1e6, universe=("SHARE",), constraints=(
        oh.terms.MarginLimit(rules=rules, venue="B", limit=5_000.0, name="b"),
        oh.terms.MarginLimit(rules=rules, venue="A", limit=1.0, name="a"),
    ))  # fmt: skip
    hedge = model.hedge(market, {"SHARE": 300.0})
    assert hedge.after["SHARE"] == pytest.approx(200.0, rel=1e-6), "10 000 of shares need 5 000"


def test_a_book_one_move_from_liquidation_says_so() -> None:
    """Long 2 at 4000 x 50 with 40 000: at a move m equity is 40 000 + 400 000 m, maintenance 0.9 x 24 000 (1 + m)."""
    rules = read_margin_rules(RULES / "span_like.toml")
    down, up = liquidation_moves(future(), pd.Series({"FUT": 2.0}), 40_000.0, rules, steps=900)
    exact = (0.9 * 24_000 - 40_000) / (400_000 - 0.9 * 24_000)
    assert down == pytest.approx(exact, abs=0.001) and up == np.inf
    assert liquidation_moves(future(), pd.Series({"FUT": 2.0}), 20_000.0, rules)[0] == 0.0
    assert liquidation_moves(future(), pd.Series({"FUT": 2.0}), 1e9, rules) == (-np.inf, np.inf)


def test_rules_say_where_they_are_from_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    for path in sorted(RULES.glob("*.toml")):
        assert read_margin_rules(path).source
    (tmp_path / "r.toml").write_text('source = "x"\nmovs = [0.1]\ndate = 2026-01-01\n')
    with pytest.raises(SpecError, match=r"there is no movs \(did you mean moves\?\)"):
        read_margin_rules(tmp_path / "r.toml")
    (tmp_path / "r.toml").write_text("date = 2026-01-01\n")
    with pytest.raises(SpecError, match="source is missing"):
        read_margin_rules(tmp_path / "r.toml")
    with pytest.raises(SpecError, match="a move above -1"):
        MarginRules(source="x", date=date(2026, 1, 1), moves=(-1.0,))
    with pytest.raises(SpecError, match=r"give limit .* or share"):
        oh.terms.MarginLimit(rules=SCAN)


def test_three_venues_split_as_their_closed_form_says() -> None:
    """One coin at three venues, cost c_i |x| + k_i |x|^2: each is traded to the same marginal cost, or not at all."""
    market = stocks(4, days=30)
    names = ["V1", "V2", "V3"]
    spread, volume = np.array([0.02, 0.05, 0.20]), np.array([400.0, 1600.0, 6400.0])
    instruments = pd.DataFrame({"type": "spot", "underlying": "COIN", "venue": names, "hedge": True}, index=names)
    instruments.loc["COIN"] = ["index", "COIN", "", False]
    quotes = pd.DataFrame({"bid": 100 - spread, "ask": 100 + spread, "mark": 100.0, "volume": volume}, index=names)
    quotes.loc["COIN"] = [np.nan, np.nan, 100.0, np.nan]
    market = oh.Market(instruments.rename_axis("instrument"), quotes.rename_axis("instrument"), "USD",
                       drivers=pd.DataFrame({"driver": ["COIN"], "kind": ["price"], "underlying": ["COIN"]}),
                       as_of="2026-01-20T12:00:00Z")  # fmt: skip
    risk = oh.Risk.from_covariance(pd.DataFrame([[4e-4]], index=["COIN"], columns=["COIN"]), periods_per_year=365)
    wanted = 300.0
    model = oh.HedgeModel(risk=risk, objective=(oh.SpreadCost(), oh.ImpactCost(coefficient=1.0)), capital=1e6,
                          constraints=(oh.Neutral("delta", target=wanted * 100),))  # fmt: skip
    hedge = model.hedge(market, {})
    bend = 2 * 0.02 * 100 / volume  # of x^2 sigma notional / volume: slope 2 k x
    used, price = np.ones(3, bool), 0.0
    for _ in range(3):
        price = (wanted + (spread / bend)[used].sum()) / (1 / bend)[used].sum()
        used = spread < price
    split = np.where(used, (price - spread) / bend, 0.0)
    assert hedge.trades[names].to_numpy() == pytest.approx(split, rel=1e-5, abs=1e-3)
    assert split.sum() == pytest.approx(wanted)
