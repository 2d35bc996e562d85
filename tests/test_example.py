"""The embedded example: real prices where it says so, assumptions labelled, the same bytes every time."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optihedge.example import AS_OF, RATE, implied_vol_assumed, write_example
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.market.pricing import black, years_between


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_example(tmp_path_factory.mktemp("example"))


def test_it_reads_as_a_market_with_the_real_closes_of_the_day(folder: Path) -> None:
    market = read_market(folder)
    assert market.as_of == AS_OF
    assert market.history["SPX"].iloc[-1] == 2098.86  # S&P 500, close of 30 June 2016
    assert market.history["SPX-VOL"].iloc[-1] == pytest.approx(0.1563)  # VIX
    assert len(market.history) > 500
    assert (market.instruments["type"] == "equity").sum() == 25


def test_the_book_is_long_and_short_stocks_and_short_index_options(folder: Path) -> None:
    market = read_market(folder)
    book = read_book(folder / "book.csv")
    types = market.instruments["type"].reindex(book.index)
    assert (book[types == "equity"] > 0).sum() >= 5 and (book[types == "equity"] < 0).sum() >= 5
    assert (book[types == "option"] < 0).all() and (types == "option").any()
    exposures = market.exposures.loc[book.index].mul(book, axis=0).sum()
    assert exposures["gamma"] < 0 and exposures["vega"] < 0


def test_the_hedges_are_futures_five_etfs_and_a_strip_of_options(folder: Path) -> None:
    market = read_market(folder)
    hedges = market.instruments[market.instruments["hedge"]]
    counts = hedges["type"].value_counts()
    assert counts["equity"] == 5 and counts["future"] >= 1 and counts["option"] >= 10
    assert set(hedges["type"]) == {"equity", "future", "option"}


def test_what_is_not_real_is_labelled_and_premiums_are_the_stated_model(folder: Path) -> None:
    instruments = pd.read_csv(folder / "instruments.csv", index_col="instrument")
    quotes = pd.read_csv(folder / "quotes.csv", index_col="instrument")
    assert instruments["assumption"].notna().all()
    assert instruments.loc[instruments["type"].isin(["option", "future"]), "assumption"].str.contains("modelled").all()
    options = instruments[instruments["type"] == "option"].join(quotes)
    assert ((options["ask"] - options["bid"]) > 0).all()
    for name, option in options.iterrows():
        years = float(years_between(AS_OF, pd.Timestamp(option["expiry"])))
        forward = 2098.86 * np.exp(-0.014 * years)
        vol = implied_vol_assumed(option["strike"], forward, years, 0.1563)
        assert option["vol"] == pytest.approx(float(vol), abs=1e-6), name
        sign = 1 if option["right"] == "C" else -1
        premium = float(black(forward, option["strike"], years, float(vol), sign, np.exp(-RATE * years)))
        assert option["bid"] < premium < option["ask"], name


def test_the_skew_falls_with_the_strike_and_is_the_vix_at_the_money() -> None:
    vol = implied_vol_assumed(np.array([90.0, 100.0, 105.0]), 100.0, 0.25, 0.16)
    assert vol[0] > vol[1] == 0.16 > vol[2]
    assert vol[0] - 0.16 == pytest.approx(0.037, abs=5e-4)  # as its comment states


def test_written_twice_it_is_the_same_to_the_byte(folder: Path, tmp_path: Path) -> None:
    again = write_example(tmp_path / "again")
    for path in sorted(folder.iterdir()):
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_hedges_are_in_no_sector(folder: Path) -> None:
    """A hedge of the whole market must not count against a sector's limit."""
    instruments = read_market(folder).instruments
    assert (instruments.loc[instruments["hedge"], "sector"] == "").all()
    assert (instruments.loc[read_book(folder / "book.csv").index, "sector"] != "").sum() == 20
