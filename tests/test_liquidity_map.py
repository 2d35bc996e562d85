"""What trading costs as maps: each cell is the median contract's own cost, worked out by hand from quotes and fees."""

import numpy as np
import pandas as pd
import pytest
from desks import stocks

import optihedge as oh
from optihedge.display.svg import heat_svg
from optihedge.market.liquidity_map import PLACES


def options(quotes: pd.DataFrame, **more: object) -> oh.Market:
    """Five calls of one expiry, from far in the money to far out of it, and their underlying."""
    strikes = [60.0, 85.0, 100.0, 115.0, 180.0]
    table = pd.DataFrame({
        "instrument": ["A", *(f"C{k:.0f}" for k in strikes)], "type": ["equity", *["option"] * 5], "underlying": "A",
        "expiry": [None, *["2026-07-20T16:00:00Z"] * 5], "strike": [None, *strikes], "right": [None, *"CCCCC"],
        "venue": "X", **more,
    })  # fmt: skip
    return oh.Market(table, quotes, base_currency="USD", as_of="2026-01-20T16:00:00Z")


def quotes(half: float = 0.05) -> pd.DataFrame:
    mids = np.array([100.0, 40.5, 17.5, 9.0, 4.5, 0.3])
    names = ["A", "C60", "C85", "C100", "C115", "C180"]
    return pd.DataFrame(
        {"instrument": names, "bid": mids - half, "ask": mids + half, "vol": 0.3, "underlying_price": 100.0}
    )


def test_an_options_cost_is_half_its_spread_and_its_fee_over_its_vega() -> None:
    market = options(quotes(), fee=0.0002)
    found = market.liquidity_map()["options"]
    assert found.index.tolist() == ["2026-07-20"] and found.columns.tolist() == list(PLACES)
    vega, fee = market.exposures["vega"], market.fees
    for name, place in zip(["C60", "C85", "C100", "C115", "C180"], PLACES, strict=True):
        assert found.loc["2026-07-20", place] == pytest.approx((0.05 + fee[name]) / vega[name], rel=1e-9)


def test_a_share_costs_basis_points_of_its_notional() -> None:
    assert options(quotes(0.05)).liquidity_map()["others"].loc["A", "X"] == pytest.approx(5.0)


def test_what_is_quoted_on_one_side_alone_has_no_cell() -> None:
    table = quotes()
    table.loc[table["instrument"] == "C100", "ask"] = np.nan
    found = options(table).liquidity_map()["options"]
    assert "money" not in found.columns or found["money"].isna().all()


def test_the_median_contract_speaks_for_its_cell_and_the_dearest_row_comes_first() -> None:
    market = stocks(6)
    found = market.liquidity_map()["others"]
    own = 1e4 * (market.trade_cost.mean(axis=1) + market.fees) / market.notional
    assert "options" not in market.liquidity_map()
    pd.testing.assert_series_equal(
        found.max(axis=1), own.sort_values(ascending=False, kind="stable"), check_names=False, check_index=False
    )


def test_a_map_of_costs_leaves_what_is_not_known_empty() -> None:
    drawn = heat_svg(pd.DataFrame({"a": [1.0, np.nan], "b": [4.0, 0.5]}, index=["x", "y"]), "t", cost=True)
    assert drawn.count("<rect") == 3 and "nan" not in drawn.lower() and "gain" not in drawn
