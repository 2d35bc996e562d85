"""Margin to the cent: examples that exchanges, brokers and books have published, and one account as recorded."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.errors import DataError, SpecError
from optihedge.market.margin import MarginRules, read_margin_rules
from optihedge.market.margin_scan import Needs, initial_margin, standing
from optihedge.market.pricing import black

RULES = Path(__file__).resolve().parents[1] / "models" / "margin"
AS_OF = pd.Timestamp("2007-04-02T20:00:00Z")


def market(spot: float, options: dict[str, float], *, days: float = 18, base: str = "USD", future: float | None = None,
           multiplier: float = 100.0, kind: str = "equity", vols: float | None = None) -> oh.Market:  # fmt: skip
    """One underlying U at `spot`, options named C100 or P95 at these prices, a future F."""
    expiry = AS_OF + pd.Timedelta(days=days)
    rows = {"U": (kind, 1.0, pd.NaT, np.nan, "")}
    rows |= {name: ("option", multiplier, expiry, float(name[1:]), name[0]) for name in options}
    rows |= {"F": ("future", multiplier, expiry, np.nan, "")} if future else {}
    rows |= {"USD": ("cash", 1.0, pd.NaT, np.nan, "")}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["type", "multiplier", "expiry", "strike", "right"])
    table["underlying"] = np.where(table.index == "USD", "USD", "U")
    price = pd.Series({"U": spot, **options, **({"F": future} if future else {}), "USD": 1.0})
    quotes = pd.DataFrame({"bid": price, "ask": price, "mark": price}).rename_axis("instrument")
    if vols is not None:
        quotes["vol"] = np.where(table["type"] == "option", vols, np.nan)
    return oh.Market(table.rename_axis("instrument"), quotes, base, as_of=AS_OF)


# CBOE, "Margin requirement examples for sample options-based positions" (2007), strategy-based column
IBM = {"C100": 1.68, "P100": 3.18, "P95": 1.02, "C105": 0.40, "C95": 4.53}
SPX = {"C1460": 21.66, "P1460": 22.55, "P1450": 18.72, "C1500": 5.96, "C1450": 27.57}
PUBLISHED = [
    ("short call", IBM, {"C100": -100}, 172_760.0), ("short put", IBM, {"P100": -100}, 195_460.0),
    ("protective put", IBM, {"U": 10_000, "P95": 100}, 498_850.0),
    ("synthetic long", IBM, {"C100": 100, "P100": -100}, 212_260.0),
    ("risk reversal", IBM, {"P95": 100, "C105": -100}, 132_960.0),
    ("short call", SPX, {"C1460": -100}, 2_088_685.0), ("short put", SPX, {"P1460": -100}, 2_176_785.0),
    ("synthetic long", SPX, {"C1460": 100, "P1460": -100}, 2_393_385.0),
    ("risk reversal", SPX, {"P1450": 100, "C1500": -100}, 1_875_885.0),
    ("covered call", IBM, {"U": 10_000, "C100": -100}, 471_850.0),
    ("collar", IBM, {"U": 10_000, "P95": 100, "C105": -100}, 494_850.0),
    ("long vertical call spread", IBM, {"C95": 100, "C105": -100}, 41_300.0),
    ("long vertical call spread", SPX, {"C1450": 100, "C1500": -100}, 216_100.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "held", "told"), PUBLISHED)
def test_strategy_margin_is_what_the_exchange_published(name: str, options: dict, held: dict, told: float) -> None:
    rules = read_margin_rules(RULES / "reg_t.toml")
    index = options is SPX
    if index:  # a broad index: 15 % in place of 20 %
        rules = MarginRules(**{**vars(rules), "short": {"option": (0.15, 0.10)}})
    given = market(1451.19 if index else 97.73, options, kind="index" if index else "equity")
    assert initial_margin(given, pd.Series(held, dtype=float), rules) == pytest.approx(told, abs=0.005), name


# Brokers' examples: requirement less what the sale brings, which equity has; the margin of both sides of a strangle
# (200 + 700) less the smaller one; a spread's width; a longer life covers a shorter one
@pytest.mark.parametrize(
    ("spot", "options", "held", "told"),
    [(45.0, {"C47": 2.10, "P43": 1.20}, {"C47": -1, "P43": -1}, 1_030.0 - 330.0),
     (130.0, {"P120": 0.80, "P125": 1.24}, {"P120": 1, "P125": -1}, 580.0 - 124.0),
     (60.0, {"P50": 0.80, "P53": 1.25}, {"P50": 2, "P53": -2}, 600.0 - 90.0),
     (60.0, {"C67": 2.00, "C70": 0.75}, {"C67": -2, "C70": 2}, 600.0 - 250.0)],
)  # fmt: skip
def test_pairs_of_options_need_what_brokers_publish(spot: float, options: dict, held: dict, told: float) -> None:
    rules = read_margin_rules("reg_t")
    assert initial_margin(market(spot, options), pd.Series(held, dtype=float), rules) == pytest.approx(told, abs=0.005)


def test_corn_against_soybeans_needs_what_their_exchange_published() -> None:
    """Two of corn at 1 750 against one of soybeans at 2 500, credit 55 %: 6 000 less 3 300; nothing on one side."""
    rules = MarginRules(
        source="an exchange's page of spread credits", date=date(2024, 1, 1), moves=(-0.08, 0.08),
        ranges={"SOY": 0.625}, credits=(("CORN", 10_000.0, "SOY", 5_000.0, 0.55),),
    )  # fmt: skip
    given = two_futures(4.375, 10.0)
    margin = lambda **held: initial_margin(given, pd.Series(held, dtype=float), rules)  # noqa: E731
    assert margin(CORN=2) == pytest.approx(3_500.0) and margin(SOY=-1) == pytest.approx(2_500.0)
    assert margin(CORN=2, SOY=-1) == pytest.approx(2_700.0, abs=0.005)
    assert margin(CORN=-2, SOY=1) == pytest.approx(2_700.0, abs=0.005)
    assert margin(CORN=2, SOY=1) == pytest.approx(6_000.0)
    assert margin(CORN=3, SOY=-1) == pytest.approx(2_700.0 + 1_750.0), "one of corn is left over"


def two_futures(corn: float, soy: float) -> oh.Market:
    """A future each on CORN and on SOY, of 5 000 units."""
    table = pd.DataFrame({"type": "future", "underlying": ["CORN", "SOY"], "multiplier": 5_000.0,
                          "expiry": pd.Timestamp("2007-12-14T17:00Z")}, index=["CORN", "SOY"])  # fmt: skip
    price = pd.Series({"CORN": corn, "SOY": soy})
    quotes = pd.DataFrame({"bid": price, "ask": price, "mark": price, "underlying_price": price})
    return oh.Market(table.rename_axis("instrument"), quotes.rename_axis("instrument"), "USD", as_of=AS_OF)


def test_margin_by_tiers_is_what_a_venue_publishes_for_each_step_of_notional() -> None:
    """A perpetual at 0.40 % to 50 000, 0.50 % to 500 000 (less 50), 1 % beyond (less 2 550) of notional."""
    rules = MarginRules(source="a venue's brackets", date=date(2024, 1, 1), tiers={
        "future": ((0.0, 0.004), (50_000.0, 0.005), (500_000.0, 0.01))})  # fmt: skip
    given = market(100.0, {}, future=100.0, multiplier=1.0, kind="index")
    for notional, told in ((20_000.0, 80.0), (50_000.0, 200.0), (200_000.0, 950.0), (1_000_000.0, 7_450.0)):
        for side in (1, -1):
            assert initial_margin(given, pd.Series({"F": side * notional / 100}), rules) == pytest.approx(told)


def test_a_put_far_out_of_the_money_needs_a_tenth_of_its_strike() -> None:
    """FINRA 4210(f)(2)(E): 20 % of 209 less 109 is below 10 % of the strike 100, so 10 x 100 a contract."""
    rules = read_margin_rules(RULES / "reg_t.toml")
    assert initial_margin(market(209.0, {"P100": 0.02}), pd.Series({"P100": -1.0}), rules) == pytest.approx(1_000.0)
    near = market(209.0, {"P200": 1.20})  # a broker's example: 3 400 with the premium of 120, which equity pays for
    assert initial_margin(near, pd.Series({"P200": -1.0}), rules) == pytest.approx(3_280.0, abs=0.005)


# McMillan, Options as a Strategic Investment (4th ed. 2002), part V: P&L of one future and of one short Dec 410 call
FUTURE = [0, 0, 3330, 3330, -3330, -3330, 6670, 6670, -6670, -6670, 10000, 10000, -10000, -10000, 7000, -7000]
SHORT_CALL = [-460, 610, -2640, -1730, 1270, 2340, -5210, -4540, 2540, 3430, -8060, -7640, 3380, 3990, -3130, 1500]


@pytest.mark.parametrize(
    ("held", "told"), [({"F": 1}, 10_000.0), ({"C410": -1}, 8_060.0), ({"F": 1, "C410": -1}, 6_620.0)]
)
def test_sixteen_scenarios_of_a_published_array_are_scanned_as_the_book_does(held: dict, told: float) -> None:
    arrays = {"F": tuple(-float(x) for x in FUTURE), "C410": tuple(map(float, SHORT_CALL))}
    rules = MarginRules(source="McMillan 2002", date=date(2002, 1, 1), arrays=arrays)
    given = market(410.0, {"C410": 8.0, "C420": 4.0}, kind="index", future=410.0, multiplier=500.0)
    assert initial_margin(given, pd.Series(held, dtype=float), rules) == pytest.approx(told, abs=0.005)
    with pytest.raises(DataError, match="no array of C420"):
        initial_margin(given, pd.Series({"C420": -1.0}), rules)


def test_a_future_needs_its_scan_and_its_contingency_as_an_options_venue_published() -> None:
    """Ten futures at 2 253.2, index 2 243.3: 15 % of what they are worth (3 380) and 0.6 % of the index (134.6).

    Our share is of a contract's own price, so the second figure is that of a future at the index.
    """
    rules = MarginRules(source="portfolio margin of a venue", date=date(2024, 1, 10),
                        moves=tuple(np.arange(-15, 16, 3) / 100), share={"future": 0.006})  # fmt: skip
    given = market(2243.3, {}, future=2253.2, multiplier=1.0, kind="index")
    scan = MarginRules(**{**vars(rules), "share": {}})
    assert round(initial_margin(given, pd.Series({"F": 10.0}), scan)) == 3380
    given = market(2243.3, {}, future=2243.3, multiplier=1.0, kind="index")
    beside = initial_margin(given, pd.Series({"F": 10.0}), rules) - initial_margin(given, pd.Series({"F": 10.0}), scan)
    assert round(beside, 1) == 134.6


def test_calls_and_puts_at_a_strike_are_netted_before_their_contingency() -> None:
    """A venue's example: 10 calls and -20 puts at one strike are 10 short, 0.01 of the underlying each."""
    rules = MarginRules(source="portfolio margin of a venue", date=date(2020, 1, 1), short_strike=0.01)
    given = market(100.0, {"C100": 3.0, "P100": 3.0, "C110": 1.0}, multiplier=1.0, kind="index")
    margin = lambda **held: initial_margin(given, pd.Series(held, dtype=float), rules)  # noqa: E731
    assert margin(C100=10, P100=-20) == pytest.approx(10 * 0.01 * 100)
    assert margin(C100=-10, P100=20) == 0.0
    assert margin(C100=-10, C110=10) == pytest.approx(10 * 0.01 * 100), "another strike"


@pytest.mark.parametrize("days", [7.5, 30.0, 90.0])
def test_vols_of_a_scan_are_shares_of_each_options_own_by_its_life(days: float) -> None:
    """Up (1 + 0.5 (30/d)^p) and at least 0.5, down (1 - 0.25 (30/d)^p), p = 0.3 below 30 days, else 0.13."""
    rules = MarginRules(source="a venue", date=date(2026, 1, 1), moves=(0.0,), vols=(-0.25, 0.5), powers=(0.3, 0.13),
                        least_vol=0.5)  # fmt: skip
    for own in (0.8, 0.2):
        price = float(black(100.0, 105.0, days / 365, own, 1))
        given = market(100.0, {"C105": price}, days=days, multiplier=1.0, kind="index", vols=own)
        by = (30 / days) ** (0.3 if days < 30 else 0.13)
        up, down = max(own * (1 + 0.5 * by), 0.5), own * (1 - 0.25 * by)
        then = [float(black(100.0, 105.0, days / 365, vol, 1)) for vol in (down, up)]
        assert initial_margin(given, pd.Series({"C105": 1.0}), rules) == pytest.approx(price - then[0], abs=1e-6)
        assert initial_margin(given, pd.Series({"C105": -1.0}), rules) == pytest.approx(then[1] - price, abs=1e-6)


def test_a_recorded_account_stands_as_its_venue_says(recorded) -> None:
    """A clearinghouse state at leverage 25: margin used, account value and what may be withdrawn, to the cent."""
    import json

    path = recorded("venue_messages") / "fixtures" / "hyperliquid"
    (found,) = [body for file in sorted(path.glob("*.json"))
                if "crossMarginSummary" in (body := json.loads(file.read_text()))
                and float(body["crossMarginSummary"]["totalMarginUsed"]) > 0]  # fmt: skip
    told = {key: float(value) for key, value in found["crossMarginSummary"].items()}
    rules = MarginRules(source="leverage 25", date=date(2023, 11, 14), share={"future": 1 / 25}, haircut={"USD": 0.0})
    given = market(100.0, {}, future=100.0, multiplier=1.0, kind="index")
    stood = standing(given, pd.Series({"F": told["totalNtlPos"] / 100, "USD": told["accountValue"]}), rules)
    assert stood.initial == pytest.approx(told["totalMarginUsed"], abs=0.005)
    assert stood.equity - stood.initial == pytest.approx(float(found["withdrawable"]), abs=0.005)


def test_only_named_assets_are_collateral_and_after_their_haircut() -> None:
    rules = MarginRules(source="x", date=date(2026, 1, 1), moves=(-0.1, 0.1), haircut={"U": 0.2})
    given = market(100.0, {}, future=100.0, multiplier=1.0, kind="spot")
    stood = standing(given, pd.Series({"U": 50.0, "F": 10.0}), rules, unrealised=7.0)
    assert (stood.equity, stood.exposure) == pytest.approx((50 * 100 * 0.8 + 7, 50 * 100 + 7))
    assert stood.initial == pytest.approx(100.0), "collateral is not scanned"
    needs = Needs.of(given, rules, given.names)
    assert list(given.names[~np.isnan(needs.counted)]) == ["U"], "cash in another asset is none"
    for wrong in ({"haircut": {"U": 1.2}}, {"haircut": {"U": -0.1}}, {"arrays": {"F": (1.0,)}}):
        with pytest.raises(SpecError):
            MarginRules(**{**vars(rules), **wrong})
