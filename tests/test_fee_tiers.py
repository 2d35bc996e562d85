"""Fees by tier: what was traded at a venue decides, an instrument's own fee stands, mistakes are named."""

from pathlib import Path

import pandas as pd
import pytest

import optihedge as oh
from optihedge.errors import DataError
from optihedge.market.fee_tiers import with_fee_tiers

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
    made = with_fee_tiers(NAMES, TIERS, traded)
    assert made["fee"].tolist() == taker
    assert maker is None or made["maker_fee"].tolist() == maker


def test_a_fee_of_its_own_stands_and_mistakes_are_named() -> None:
    own = NAMES.assign(fee=["", "7e-5", "", ""])
    assert with_fee_tiers(own, TIERS, {})["fee"].tolist() == [1e-3, 7e-5, 2e-3, 0.0]
    with pytest.raises(DataError, match=r"traded: bb has no fee tiers"):
        with_fee_tiers(NAMES, TIERS, {"bb": 1.0})
    with pytest.raises(DataError, match="no tier from a volume of 0 on"):
        with_fee_tiers(NAMES, TIERS.iloc[[1]], {})


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
    (tmp_path / "market.toml").write_text('base_currency = "USD"\n[traded]\na = "much"\n')
    with pytest.raises(DataError, match="traded of a is 'much'"):
        oh.read_market(tmp_path)
