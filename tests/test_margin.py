"""Margin: worked examples to the cent, never below full enumeration, a limit that costs no more than its dual says."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, options, stocks

import optihedge as oh
from optihedge.errors import SpecError
from optihedge.market.margin import MarginRules, read_margin_rules
from optihedge.market.margin_scan import initial_margin, liquidation_moves
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
        in_force = table[(table["root"] == "ES") & (table["date"] <= day)].sort_values("date")["initial"].iloc[-1]
        rules = MarginRules(source="exchange", date=date.fromisoformat(day), rate={"FUT": float(in_force)})
        told[day] = initial_margin(future(), pd.Series({"FUT": -3.0}), rules)
    assert told == pytest.approx({"2012-05-01": 3 * 4_375.0, "2020-03-19": 3 * 13_200.0}, abs=0.005)


WHOLE = MarginRules(
    source="test", date=date(2026, 1, 1), moves=(-0.1, 0.0, 0.1), vols=(-0.25, 0.0, 0.5), powers=(0.3, 0.13),
    least_vol=0.25, extended=((-0.4, 0.5, 0.3), (0.4, 0.5, 0.3)), share={"future": 0.01}, long={"option": 0.5},
    short={"option": (0.15, 0.1)}, short_strike=0.02, haircut={"U": 0.1},
)  # fmt: skip


def vols_under(market: oh.Market, names: pd.Index, vol: float, rules: MarginRules) -> np.ndarray:
    """What a scenario does to the vol of each option, one by one."""
    table, changes = market.instruments, []
    for name in names:
        if table.loc[name, "type"] != "option":
            changes.append(0.0)
            continue
        days = (table.loc[name, "expiry"] - market.as_of).total_seconds() / 86_400
        now = float(market.quotes.loc[name, "vol"])
        then = now * (1 + vol * (30 / days) ** rules.powers[0 if days < 30 else 1])
        changes.append(max(then, rules.least_vol if vol > 0 else 0.0) - now)
    return np.array(changes)


def enumerated(market: oh.Market, book: pd.Series, rules: MarginRules) -> float:
    """Scenario by scenario and underlying by underlying, the whole book revalued in each; plain loops."""
    total, table = 0.0, market.instruments
    book = book[~(table.loc[book.index, "type"].isin(["cash", "spot"]) & table.loc[book.index, "underlying"].isin(
        list(rules.haircut)))]  # fmt: skip
    strikes: dict[tuple, float] = {}
    for name, held in book.items():
        row, value = table.loc[name], float(market.value[name])
        total += rules.long.get(row["type"], 0.0) * max(held, 0.0) * value
        if row["type"] == "option":
            size = float(market.notional[name])
            out = max((row["strike"] - 100.0) * (1 if row["right"] == "C" else -1), 0.0) / 100.0
            share, least = rules.short.get("option", (0.0, 0.0))
            total += max(-held, 0.0) * size * max(share - out, least)
            key = (row["expiry"], row["strike"])
            strikes[key] = strikes.get(key, 0.0) + held * size * rules.short_strike
    total += sum(max(-net, 0.0) for net in strikes.values())
    for _, part in book.groupby(market.instruments.loc[book.index, "underlying"]):
        worst = 0.0
        for row in rules.scenarios.itertuples():
            shock, vols = {"spot": row.spot, "term": row.term}, None
            if rules.powers is not None:
                shock, vols = {"spot": row.spot}, vols_under(market, part.index, row.term, rules)[None]
            pnl = scenario_pnl(market, pd.DataFrame([shock]), part.index, vols=vols)
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
        for rules in (SCAN, WHOLE):
            told, full = initial_margin(market, book, rules), enumerated(market, book, rules)
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


@pytest.mark.parametrize("rules", [SCAN, WHOLE])
def test_a_margin_limit_is_kept_and_costs_no_more_than_its_dual_says(rules: MarginRules) -> None:
    free = desk()
    market = free.market
    needs = initial_margin(market, free.after, rules)
    bound = desk(oh.terms.MarginLimit(rules=rules, limit=0.6 * needs))
    assert bound.status == "optimal"
    assert initial_margin(market, bound.after, rules) <= 0.6 * needs * (1 + 1e-6)
    told = bound.limits.loc["margin"]
    assert told["after"] == pytest.approx(initial_margin(market, bound.after, rules), rel=1e-6)
    cost = objective(bound.program, bound.h) - objective(free.program, free.h)
    assert 0 < cost <= -told["shadow_price"] * 0.4 * needs * (1 + 1e-6)
    loose = desk(oh.terms.MarginLimit(rules=rules, limit=1.01 * needs))
    assert objective(loose.program, loose.h) == pytest.approx(objective(free.program, free.h), rel=1e-6)


def test_margin_beyond_a_limit_is_met_by_a_transfer_only_as_far_as_one_may_and_pays() -> None:
    free = desk()
    needs = initial_margin(free.market, free.after, SCAN)
    still = desk(oh.terms.MarginLimit(rules=SCAN, limit=0.6 * needs))
    values = {}
    for name, most, cost in (("dear", needs, 1e6), ("cheap", needs, 0.0), ("some", 0.1 * needs, 0.0)):
        moved = desk(oh.terms.MarginLimit(rules=SCAN, limit=0.6 * needs, transfer=most, transfer_cost=cost))
        values[name] = objective(moved.program, moved.h)
        assert initial_margin(moved.market, moved.after, SCAN) <= (0.6 * needs + most) * (1 + 1e-6)
        assert moved.limits.loc["margin", "violation"] <= 1e-6 * needs
    assert values["dear"] == pytest.approx(objective(still.program, still.h), rel=1e-5)
    assert values["cheap"] == pytest.approx(objective(free.program, free.h), rel=1e-5)
    assert values["cheap"] < values["some"] < values["dear"]


def venue_desk(*constraints: oh.Term) -> oh.Hedge:
    """Ten futures of 200 000 each at venue A with 900 000 of cash there, variance wants them gone."""
    given = future()
    cash = pd.DataFrame({"type": "cash", "underlying": "USD", "venue": "A"}, index=["CASH"])
    table = pd.concat([given.instruments[["type", "underlying", "multiplier", "expiry", "venue"]], cash])
    quotes = pd.concat(
        [given.quotes[["bid", "ask", "underlying_price"]], pd.DataFrame({"bid": 1.0, "ask": 1.0}, index=["CASH"])]
    )
    quotes = quotes.assign(mark=quotes["bid"], bid=quotes["bid"] * 0.9999, ask=quotes["ask"] * 1.0001)
    market = oh.Market(table.rename_axis("instrument"), quotes.rename_axis("instrument"), "USD", as_of=given.as_of)
    model = oh.HedgeModel(objective=(oh.SpreadCost(),), capital=1e7, universe=("FUT",), constraints=constraints)
    return model.hedge(market, {"FUT": 10.0, "CASH": 900_000.0})


def test_equity_at_a_venue_outlasts_the_moves_that_a_liquidation_limit_names() -> None:
    """900 000 + 200 000 q m >= 0.9 x 12 000 q (1 + m) at m = -0.45: q <= 900 000 / (90 000 + 5 940)."""
    rules = MarginRules(**{**vars(read_margin_rules(RULES / "span_like.toml")), "haircut": {"USD": 0.0}})
    hedge = venue_desk(oh.terms.LiquidationLimit(rules=rules, venue="A", moves=(-0.45, 0.45)))
    assert hedge.after["FUT"] == pytest.approx(900_000 / (0.45 * 200_000 + 0.9 * 0.55 * 12_000), rel=1e-6)
    down, _ = liquidation_moves(hedge.market, hedge.after, 900_000.0, rules, steps=900)
    assert down == pytest.approx(-0.45, abs=0.002)
    half = MarginRules(**{**vars(rules), "haircut": {"USD": 0.5}})
    cut = venue_desk(oh.terms.LiquidationLimit(rules=half, venue="A", moves=(-0.45, 0.45)))
    assert cut.after["FUT"] == pytest.approx(hedge.after["FUT"] / 2, rel=1e-6)
    elsewhere = venue_desk(oh.terms.LiquidationLimit(rules=rules, venue="B", moves=(-0.45, 0.45)))
    assert elsewhere.after["FUT"] == 10.0


def test_margin_within_a_share_of_the_equity_and_what_a_venue_may_owe() -> None:
    rules = MarginRules(**{**vars(read_margin_rules(RULES / "span_like.toml")), "haircut": {"USD": 0.2}})
    hedge = venue_desk(oh.terms.MarginLimit(rules=rules, venue="A", of_equity=0.1))
    assert hedge.after["FUT"] == pytest.approx(0.1 * 0.8 * 900_000 / 12_000, rel=1e-6)
    owed = venue_desk(oh.terms.VenueLimit(rules=rules, venue="A", limit=1_000_000.0))
    best = 0.33 * 0.18 * 200_000  # three times the range counts a third: just below the range itself
    assert owed.after["FUT"] == pytest.approx(100_000.0 / max(best, 0.06 * 200_000), rel=1e-6)
    paid = venue_desk(oh.terms.VenueLimit(rules=rules, venue="A", limit=1_000_000.0, unrealised=40_000.0))
    assert paid.after["FUT"] == pytest.approx(60_000.0 / max(best, 0.06 * 200_000), rel=1e-6)
    with pytest.raises(SpecError, match="moves are"):
        oh.terms.LiquidationLimit(rules=rules, moves=(-1.0,))


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
