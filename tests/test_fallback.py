"""Options whose own quote gives no vol take another's: whose, how near the truth, and that a hedge says so."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_smile_risk import smile

from optihedge.hedge.modelfile import load_model
from optihedge.hedge.report import notes
from optihedge.market.pricing import black
from optihedge.market.snapshot import Market

BOOK = {"U-C100-30": -50.0, "U-P95-60": -20.0, "U-C110-120": 30.0}
TWO = (95.0, 105.0)


def requoted(market: Market, **changed: dict[str, float]) -> Market:
    """The market with prices alone (no vols), quotes changed as {label: {column: value}} say (labels by keyword _)."""
    quotes = market.quotes[["bid", "ask", "mark"]].copy()
    for name, values in changed.items():
        for column, value in values.items():
            quotes.loc[name, column] = value
    return Market(market.instruments, quotes, "USD", as_of=market.as_of)


BROKEN = {
    "below intrinsic": {"U-P110-60": {"bid": 8.0, "ask": 8.2, "mark": 8.1}},
    "no quote": {"U-P110-60": {"bid": np.nan, "ask": np.nan, "mark": np.nan}},
    "wild": {"U-P110-60": {"bid": 30.0, "ask": 30.2, "mark": 30.1}},
}


@pytest.mark.parametrize("how", list(BROKEN))
def test_its_neighbours_vol_is_taken_and_lies_near_the_smile(how):
    whole = smile()
    market = requoted(whole, **BROKEN[how])
    at = market.names.get_loc("U-P110-60")
    assert market.vol_from["U-P110-60"] == "of U-P107.5-60 and U-P112.5-60"
    assert market.contracts.vol[at] == pytest.approx(whole.contracts.vol[at], abs=2e-3)
    others = np.arange(len(market.names)) != at
    np.testing.assert_array_equal(market.contracts.vol[others], requoted(whole).contracts.vol[others])
    assert market.trade_cost.loc["U-P110-60"].isna().all()


@pytest.mark.parametrize("how", list(BROKEN))
def test_a_book_that_holds_it_is_hedged_and_the_note_says_whose_vol_was_taken(how):
    market = requoted(smile(), **BROKEN[how])
    hedge = load_model("optimal_hedge").hedge(market, BOOK | {"U-P110-60": -10.0})
    assert hedge.status == "optimal"
    assert hedge.trades.get("U-P110-60", 0.0) == 0.0
    assert any("U-P110-60" in note and "of U-P107.5-60 and U-P112.5-60" in note for note in notes(hedge))
    silent = load_model("optimal_hedge").hedge(market, BOOK)
    assert not any("vol of" in note or "no usable vol" in note for note in notes(silent))


def test_an_option_without_quote_is_worth_what_its_neighbours_say():
    whole = smile()
    market = requoted(whole, **BROKEN["no quote"])
    assert market.price["U-P110-60"] == pytest.approx(whole.price["U-P110-60"], rel=5e-3)


def test_an_option_without_a_bid_is_never_worth_its_ask_and_may_be_bought_for_it():
    whole = smile()
    market = requoted(whole, **{"U-P82.5-30": {"bid": 0.0, "ask": 0.5, "mark": np.nan}})
    assert market.price["U-P82.5-30"] == pytest.approx(whole.price["U-P82.5-30"], abs=0.02)
    cost = market.trade_cost.loc["U-P82.5-30"]
    assert cost["buy"] == pytest.approx(0.5 - market.price["U-P82.5-30"]) and np.isnan(cost["sell"])
    cheap = requoted(whole, **{"U-P110-60": {"bid": 0.0, "ask": 0.01, "mark": np.nan}})
    assert cheap.price["U-P110-60"] == 0.01


def test_an_expiry_of_two_strikes_takes_the_vol_of_the_other_the_twin_or_the_surface():
    nothing = {"bid": np.nan, "ask": np.nan, "mark": np.nan}
    whole, few = smile(days=(30, 90)), smile(days=(60,), strikes=TWO, name="U")
    table = pd.concat([whole.instruments, few.instruments.drop(index="U")])
    quotes = pd.concat([f.quotes[["bid", "ask", "mark"]].drop(index=out) for f, out in ((whole, []), (few, ["U"]))])
    market = Market(table, quotes, "USD", as_of=whole.as_of)
    cases = {
        ("U-P95-60",): "of U-P105-60",
        ("U-P95-60", "U-P105-60"): "of U-C95-60, its twin",
        ("U-P95-60", "U-P105-60", "U-C95-60", "U-C105-60"): "of the surface of 2 expiries",
    }
    for lost, said in cases.items():
        broken = requoted(market, **dict.fromkeys(lost, nothing))
        assert broken.vol_from["U-P95-60"] == said
        hedge = load_model("optimal_hedge").hedge(broken, {"U-P95-60": -10.0, "U-C100-30": -5.0})
        assert hedge.status == "optimal" and any(said in note for note in notes(hedge))
    true = 0.2 - 0.3 * np.log(0.95) / np.sqrt(60 / 365)
    surface = broken.contracts.vol[broken.names.get_loc("U-P95-60")]
    assert surface == pytest.approx(true, abs=2e-3)  # a smile of one shape in z has its surface there


def test_the_nearest_expiry_at_the_money_is_the_last_resort():
    nothing = {"bid": np.nan, "ask": np.nan, "mark": np.nan}
    gone = {f"U-{right}{strike:g}-90": nothing for right in "CP" for strike in TWO}
    broken = requoted(smile(days=(30, 90), strikes=TWO), **gone)
    assert len(broken.vol_from) == 4
    assert broken.vol_from.str.fullmatch("of U-[CP](95|105)-30, nearest at the money").all()


def test_a_price_at_intrinsic_implies_no_vol_of_nought_and_stays_tradable():
    market = requoted(smile(), **{"U-P115-30": {"bid": 14.99, "ask": 15.01, "mark": 15.0}})
    assert "U-P115-30" in market.vol_from.index
    assert market.contracts.vol[market.names.get_loc("U-P115-30")] > 0.05
    assert market.trade_cost.loc["U-P115-30"].notna().all()


def test_a_quote_that_its_neighbours_vol_meets_is_not_wild_however_wide():
    whole = smile()
    market = requoted(whole, **{"U-P110-60": {"bid": 5.0, "ask": 55.0, "mark": 30.0}})
    assert "U-P110-60" not in market.vol_from


def test_a_steep_true_smile_has_no_wild_quote():
    for level, skew in ((0.2, -0.4), (0.6, 0.8), (0.15, -0.2)):
        market = smile(level, skew)
        c = market.contracts
        timed = market.names[c.option & (c.price - np.maximum(c.right * (c.spot - c.strike), 0.0) > 0.05)]
        assert not len(requoted(market).vol_from.index.intersection(timed)) and len(timed) > 60


def test_a_market_read_again_has_the_same_vols_prices_and_origins():
    for changed in (*BROKEN.values(), {"U-P82.5-30": {"bid": 0.0, "ask": 0.5, "mark": np.nan}}):
        market = requoted(smile(), **changed)
        again = replace(market)
        assert again.hash == market.hash and again.vol_from.to_dict() == market.vol_from.to_dict()
        np.testing.assert_array_equal(again.contracts.vol, market.contracts.vol)
        np.testing.assert_array_equal(again.price, market.price)


def test_where_no_option_has_a_vol_the_missing_one_is_refused_by_name():
    market = smile(days=(30,), strikes=(100.0,))
    nothing = {"bid": np.nan, "ask": np.nan, "mark": np.nan}
    left = requoted(market, **{"U-C100-30": nothing, "U-P100-30": nothing}).left_out
    assert "U-C100-30 has neither bid, ask, mark nor vol, nor has any option beside it" in left["U-C100-30"]


def test_an_american_option_takes_a_neighbours_vol_too():
    whole = smile()
    table = whole.instruments.assign(exercise=np.where(whole.contracts.option, "american", ""))
    market = Market(table, whole.quotes[["bid", "ask", "mark"]], "USD", as_of=whole.as_of)
    broken = requoted(market, **{"U-C90-60": {"bid": np.nan, "ask": np.nan, "mark": np.nan}})
    at = broken.names.get_loc("U-C90-60")
    assert broken.price["U-C90-60"] == pytest.approx(
        float(black(100, 90, 60 / 365, whole.contracts.vol[at], 1)), rel=2e-3
    )
    assert "U-C87.5-60" in broken.vol_from["U-C90-60"]


def test_a_recorded_chain_has_few_wild_quotes(recorded):
    from recorded_markets import spx_days, spx_market

    folder = recorded("spx_options_2019")
    day = spx_days(folder)[10]
    given = spx_market(folder, day, max_days=125)
    implied = Market(given.instruments, given.quotes.drop(columns="vol"), "USD", drivers=given.drivers,
                     history=given.history, as_of=given.as_of, on_missing="freeze")  # fmt: skip
    traded = given.trade_cost.notna().all(axis=1)
    assert len(implied.vol_from.index.intersection(traded.index[traded])) < 0.005 * traded.sum()
