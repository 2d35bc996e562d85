"""Rich and cheap: what lies on its smile is neither, what is moved off is, in half spreads and in vega's money."""

from dataclasses import replace
from pathlib import Path

import pytest
from recorded_desks import RECORDED

import optihedge as oh
from optihedge.market.rich_cheap import rich_cheap


@pytest.fixture(scope="module")
def market(example_folder: Path) -> oh.Market:
    return oh.read_market(example_folder)


def test_quotes_around_a_smooth_smile_are_neither_rich_nor_cheap(market: oh.Market) -> None:
    table = rich_cheap(market)
    options = market.instruments["strike"].notna() & (market.quotes["bid"] > 0)
    assert set(table.index) <= set(market.names[options]) and len(table) >= 4
    assert (table["bid_vol"] <= table["vol"]).all() and (table["vol"] <= table["ask_vol"]).all()
    assert table["half_spreads"].abs().max() < 1, "the example's premiums are made from a smooth skew"


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_quote_that_is_moved_is_rich_or_cheap_by_about_what_it_was_moved(market: oh.Market, side: float) -> None:
    name = "SPX-SEP16-2000-P"
    quotes = market.quotes.copy()
    spread = quotes.at[name, "ask"] - quotes.at[name, "bid"]
    for column in ("bid", "ask", "mark"):
        quotes.loc[name, column] = quotes.at[name, column] + 0.45 * side * spread
    before, row = rich_cheap(market).loc[name], rich_cheap(replace(market, quotes=quotes)).loc[name]
    moved = row["half_spreads"] - before["half_spreads"]
    assert moved == pytest.approx(0.9 * side, rel=0.05), "the smile through the others does not follow"
    worth = moved * spread / 2 * market.instruments.at[name, "multiplier"]
    assert row["vega_money"] - before["vega_money"] == pytest.approx(worth, rel=0.05)


@pytest.mark.parametrize("place", ["Deribit", pytest.param("SPX", marks=pytest.mark.slow)])
def test_on_recorded_chains_the_smile_is_inside_most_quotes(place: str, recorded) -> None:
    folder, made, _ = RECORDED[place]
    found = rich_cheap(made(recorded(folder)))
    assert len(found) > 500 and (found["half_spreads"].abs() <= 1).mean() > 0.8
    both = found.dropna()
    assert ((both["bid_vol"] <= both["ask_vol"]) | (both["ask_vol"] == 0)).all()
