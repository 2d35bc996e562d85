"""Fees by tier: what was traded at a venue decides, an instrument's own fee stands, mistakes are named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.errors import DataError, SpecError
from optihedge.frames import read_raw
from optihedge.market.fee_tiers import UNTRADED, with_fee_tiers
from optihedge.market.panel import Panel
from optihedge.market.snapshot import Market
from optihedge.trades.orders.table import OrderStyle, order_table
from optihedge.trades.table import trade_table

TIERS = pd.DataFrame({
    "venue": ["a", "a", "a", "a", "b"], "type": ["", "", "perpetual", "perpetual", ""],
    "volume": [0.0, 1e6, 0.0, 5e6, 0.0], "taker": [1e-3, 8e-4, 5e-4, 3e-4, 2e-3],
    "maker": [1e-3, 6e-4, 2e-4, -1e-4, 2e-3],
})  # fmt: skip
NAMES = pd.DataFrame({"type": ["spot", "perpetual", "perpetual", "spot"], "venue": ["a", "a", "b", "c"]},
                     index=["A", "AP", "BP", "C"])  # fmt: skip


@pytest.mark.parametrize(
    ("traded", "taker", "maker"),
    [({}, [1e-3, 5e-4, 2e-3, 0.0], [1e-3, 2e-4, 2e-3, 0.0]), ({"a": 999_999.0}, [1e-3, 5e-4, 2e-3, 0.0], None),
     ({"a": 1e6}, [8e-4, 5e-4, 2e-3, 0.0], [6e-4, 2e-4, 2e-3, 0.0]),
     ({"a": 9e6}, [8e-4, 3e-4, 2e-3, 0.0], [6e-4, -1e-4, 2e-3, 0.0])],
)  # fmt: skip
def test_the_tier_that_the_volume_reaches_is_charged(traded: dict, taker: list, maker: list | None) -> None:
    made, told = with_fee_tiers(NAMES, TIERS, traded)
    assert not told and UNTRADED not in made.columns
    assert made["fee"].tolist() == taker
    assert maker is None or made["maker_fee"].tolist() == maker


def test_a_fee_of_its_own_stands_and_mistakes_are_named() -> None:
    own = NAMES.assign(fee=["", "7e-5", "", ""])
    assert with_fee_tiers(own, TIERS, {})[0]["fee"].tolist() == [1e-3, 7e-5, 2e-3, 0.0]
    assert with_fee_tiers(own, TIERS, {})[0]["maker_fee"].tolist() == [1e-3, 7e-5, 2e-3, 0.0]
    makes = own.assign(maker_fee=["", "-1e-5", 3e-4, ""])
    assert with_fee_tiers(makes, TIERS, {})[0]["maker_fee"].tolist() == [1e-3, -1e-5, 3e-4, 0.0]
    wide = own.assign(fee=["1,5", "7e-5", "", ""])
    assert with_fee_tiers(wide, TIERS, {})[0]["fee"].tolist() == ["1,5", 7e-5, 2e-3, 0.0]  # the door names it


@pytest.mark.parametrize(
    ("row", "traded", "untraded", "why"),
    [("a,,x,1e-3,1e-3", {}, ["A"], "volume is 'x'"), ("a,perpetual,9e9,,1e-3", {}, ["AP"], "taker is empty"),
     ("a,perpetual,9e9,1e-3", {}, ["A", "AP"], "4 fields where the header has 5"),
     ("a,perpetul,0,1e-3,1e-3", {}, ["A", "AP"], "type is 'perpetul'"),
     ("b,,-1,1e-3,1e-3", {}, ["BP"], "volume is -1"), ("b,,0,1e-3,1e-3", {}, ["BP"], "twice with other fees"),
     ("c,,5,1e-3,1e-3", {}, ["C"], "c has no tier from a volume of 0 on"),
     ("", {"a": "much"}, ["A", "AP"], "traded of a is 'much'"), ("", {"b": -1}, ["BP"], "traded of b is -1"),
     ("", {"c": 1.0}, ["C"], "traded: c has no fee tiers"), ("", {"B": 5.0}, ["BP"], "traded: B has no fee tiers"),
     (",,0,1e-3,1e-3", {}, [], "venue is empty"), ("z,,x,1e-3,1e-3", {}, [], "volume is 'x'")],
)  # fmt: skip
def test_a_fault_of_a_venue_takes_its_contracts_without_a_fee_of_their_own_out_of_trading(
    tmp_path: Path, row: str, traded: dict, untraded: list, why: str
) -> None:
    (tmp_path / "fee_tiers.csv").write_text(f"{TIERS.to_csv(index=False)}{row}\n")
    tiers = read_raw(tmp_path / "fee_tiers.csv", lenient=True)
    made, told = with_fee_tiers(NAMES, tiers, traded)
    plain, _ = with_fee_tiers(NAMES, TIERS, {})
    reasons = made[UNTRADED] if untraded else pd.Series("", NAMES.index)
    assert reasons.index[reasons != ""].tolist() == untraded
    assert all(why in text for text in (*reasons[untraded], *told.values())) and (untraded or told)
    assert (made["fee"] == plain["fee"])[reasons == ""].all()
    assert UNTRADED not in with_fee_tiers(NAMES.assign(fee=1e-4), tiers, traded)[0].columns


@pytest.mark.parametrize("none", [np.nan, None, pd.NA, "", " "])
def test_a_tier_that_names_no_venue_is_told_by_its_row_and_spoils_none(none: object) -> None:
    tiers = pd.concat([TIERS.astype(object), pd.DataFrame([[none, "", 0, 9.0, 9.0]], columns=TIERS.columns)])
    made, told = with_fee_tiers(NAMES, tiers.reset_index(drop=True), {})
    assert [*told] == [f"fee_tiers row {len(TIERS) + 1}"] and "venue" in next(iter(told.values()))
    assert made.equals(with_fee_tiers(NAMES, TIERS, {})[0])


def test_a_folder_with_tiers_charges_them_and_a_hedge_goes_where_it_is_cheaper(tmp_path: Path) -> None:
    """One coin at two venues at the same quotes: a desk in the upper tier of `a` trades there, another one at `b`."""
    names = pd.DataFrame({"instrument": ["COIN-a", "COIN-b", "HELD"], "type": ["spot", "spot", "index"],
                          "underlying": "COIN", "venue": ["a", "b", ""]})  # fmt: skip
    quotes = pd.DataFrame({"instrument": names["instrument"], "bid": 99.9, "ask": 100.1, "mark": 100.0})
    tiers = pd.DataFrame({"venue": ["a", "a", "b"], "volume": [0, 1e6, 0], "taker": [2e-3, 1e-4, 1e-3], "maker": 0.0})
    for name, frame in (("instruments", names), ("quotes", quotes), ("fee_tiers", tiers)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    for volume, cheaper in ((0.0, "COIN-b"), (2e6, "COIN-a")):
        (tmp_path / "market.toml").write_text(
            f'base_currency = "USD"\nas_of = "2026-01-20T12:00:00Z"\n[traded]\na = {volume}\n'
        )
        market = oh.read_market(tmp_path)
        model = oh.HedgeModel(objective=(oh.SpreadCost(), oh.FeeCost()), capital=1e6,
                              constraints=(oh.Neutral("delta", target=5_000.0),))  # fmt: skip
        trades = model.hedge(market, {}).trades
        assert trades[trades.abs() > 1e-6].index.tolist() == [cheaper]
    settings = 'base_currency = "USD"\nas_of = "2026-01-20T12:00:00Z"\n[traded]\na = "much"\n'
    (tmp_path / "market.toml").write_text(settings)
    spoiled = oh.read_market(tmp_path)
    later = spoiled.updated(quotes.assign(time="2026-01-20T13:00:00Z"))
    for market in (spoiled, later, replace(spoiled, depth=None)):
        trades = model.hedge(market, {"HELD": 1.0, "COIN-a": 2.0}).trades
        assert trades[trades.abs() > 1e-6].index.tolist() == ["COIN-b"]
        assert [*market.unread] == ["COIN-a"] and "traded of a is 'much'" in market.unread["COIN-a"]


def two_venues(maker: list) -> oh.Market:
    """One coin at two venues at the same quotes: `a` takes 2 bp, `b` 1 bp; makers as given."""
    names = pd.DataFrame({"type": ["spot", "spot", "index"], "underlying": "COIN", "venue": ["a", "b", ""],
                          "fee": [2e-4, 1e-4, 0.0], "maker_fee": [*maker, ""], "hedge": [True, True, False],
                          "fee_per_contract": [0.01, 0.01, 0.0]}, index=["COIN-a", "COIN-b", "COIN"])  # fmt: skip
    quotes = pd.DataFrame({"bid": 99.9, "ask": 100.1, "mark": 100.0}, index=names.index)
    return oh.Market(names.rename_axis("instrument"), quotes.rename_axis("instrument"), "USD",
                     as_of="2026-01-20T12:00:00Z")  # fmt: skip


@pytest.mark.parametrize(("making", "traded"), [(0.0, "COIN-b"), (0.2, "COIN-b"), (0.3, "COIN-a"), (1.0, "COIN-a")])
def test_what_waits_in_the_book_is_charged_the_makers_fee_and_goes_where_that_is_least(
    making: float, traded: str
) -> None:
    """Expected at a: 2 (1 - m) - 2 m, at b: 1 (1 - m) + 1 m bp: equal at a quarter."""
    market = two_venues([-2e-4, ""])
    model = oh.HedgeModel(objective=(oh.SpreadCost(), oh.FeeCost(making=making)), capital=1e6,
                          constraints=(oh.Neutral("delta", target=5_000.0),))  # fmt: skip
    hedge = model.hedge(market, {})
    assert hedge.trades[hedge.trades.abs() > 1e-6].index.tolist() == [traded]
    rate = (1 - making) * 2e-4 - making * 2e-4 if traded == "COIN-a" else 1e-4
    assert hedge.charges["fees"] == pytest.approx(5_000.0 * rate + 50 * 0.01, rel=1e-6)
    assert hedge.costs["fees"] == pytest.approx(5_000.0 * (2e-4 if traded == "COIN-a" else 1e-4) + 50 * 0.01, rel=1e-6)


def test_an_order_tells_the_fee_that_its_type_leads_to() -> None:
    market = two_venues([-2e-4, 5e-5])
    lines = trade_table(market, pd.Series({"COIN-a": 10.0, "COIN-b": -20.0}))
    taken, made = [10 * (0.02 + 0.01), 20 * (0.01 + 0.01)], [10 * (-0.02 + 0.01), 20 * (0.005 + 0.01)]
    for style, told in (
        ({}, taken),
        ({"urgency": "join"}, made),
        ({"urgency": "middle", "time_in_force": "gtc"}, made),
        ({"urgency": "join", "time_in_force": "ioc"}, taken),
        ({"type": "market"}, taken),
    ):
        assert order_table(market, lines, style=OrderStyle(**style))["expected_fee"].tolist() == pytest.approx(told)


def test_a_share_that_waits_is_a_share() -> None:
    with pytest.raises(SpecError, match=r"making is 1\.5"):
        oh.FeeCost(making=1.5)
    with pytest.raises(DataError, match="maker_fee of COIN-b is 'low'"):
        two_venues([0.0, "low"]).maker_fees  # noqa: B018


def test_a_share_whose_fee_cannot_be_told_is_traded_on_no_day_of_its_markets_past() -> None:
    days = pd.bdate_range("2025-06-02", periods=40, tz="UTC")
    steps = np.random.default_rng(0).normal(size=(40, 2))
    prices = pd.DataFrame(50 * np.exp(np.cumsum(0.01 * steps, axis=0)), days, ["A", "B"])
    table = pd.DataFrame({UNTRADED: ["taker is 'x'", ""]}, ["A", "B"])
    panel = Panel.from_prices(prices, rows=30, base_currency="USD", spread=1e-3, instruments=table)
    for market in (panel.last, *panel, *Panel.of(panel.last, rows=30)):
        assert np.isnan(market.sides).any(axis=1).tolist() == [True, False] and list(market.unread) == ["A"]


@pytest.mark.parametrize("none", [np.nan, None, "", " "])
def test_a_contract_that_nothing_is_said_against_is_traded(none: object) -> None:
    table = pd.DataFrame({"instrument": ["A", "B"], "type": "equity", "underlying": ["A", "B"], UNTRADED: none})
    quotes = pd.DataFrame({"instrument": ["A", "B"], "bid": 9.0, "ask": 10.0})
    market = Market(table, quotes, "USD", as_of="2026-01-20T21:00Z")
    assert not market.unread and np.isfinite(market.sides).all()


def test_a_reason_that_was_given_stays_when_other_fees_cannot_be_told() -> None:
    tiers = pd.DataFrame({"venue": ["b"], "type": [""], "volume": ["9"], "taker": ["1e-3"], "maker": ["1e-3"]})
    made, _ = with_fee_tiers(NAMES.assign(**{UNTRADED: ["halted", "", np.nan, ""]}), tiers, {})
    assert made[UNTRADED].tolist()[:2] == ["halted", ""] and "lowest" in made[UNTRADED].iloc[2]


def test_a_column_of_the_desks_own_called_not_traded_says_nothing_to_us() -> None:
    table = pd.DataFrame({"instrument": ["A"], "type": "equity", "underlying": ["A"], "not_traded": "False"})
    market = Market(table, pd.DataFrame({"instrument": ["A"], "bid": [9.0], "ask": [10.0]}), "USD", as_of="2026-01-20")
    assert np.isfinite(market.sides).all()
