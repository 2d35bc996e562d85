"""A panel's markets and an updated market are what the whole door makes of the same tables."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from desks import walk
from test_snapshot import write

import optihedge as oh
from optihedge.errors import DataError
from optihedge.market.fate import Fate
from optihedge.market.folder import read_market
from optihedge.market.greek_pnl import greek_parts
from optihedge.market.snapshot import Market
from optihedge.readonly import numbers

TERMS = {"spread": 4e-4, "fee": 5e-5, "base_currency": "USD"}


def prices(dates=False, rows=70, count=6):
    rng = np.random.default_rng(3)
    levels = 50 * np.exp(np.cumsum(0.02 * rng.normal(size=(rows, count)), axis=0))
    days = pd.bdate_range("2025-03-03", periods=rows, tz=None if dates else "UTC")
    return pd.DataFrame(levels, days if dates else days + pd.Timedelta("21h"), [f"S{i}" for i in range(count)])


def same(one: Market, other: Market) -> None:
    assert one.hash == other.hash
    assert one.as_of == other.as_of
    for name in ("levels", "price", "notional", "fees"):
        pd.testing.assert_series_equal(getattr(one, name), getattr(other, name), check_freq=False)
    for name in ("instruments", "quotes", "history", "exposures", "trade_cost"):
        pd.testing.assert_frame_equal(
            getattr(one, name), getattr(other, name), check_freq=False, check_dtype=name != "instruments"
        )  # text read again is text of another storage
    for name, value in vars(other.contracts).items():
        np.testing.assert_array_equal(getattr(one.contracts, name), value, err_msg=name)
    np.testing.assert_array_equal(one.loadings.matrix.toarray(), other.loadings.matrix.toarray())
    np.testing.assert_array_equal(one.convexity.toarray(), other.convexity.toarray())
    np.testing.assert_array_equal(one.price_rows, other.price_rows)
    for name in ("value", "maker_fees"):
        pd.testing.assert_series_equal(getattr(one, name), getattr(other, name))
    for kept in ("exposure_columns", "unspoken"):
        told, asked = getattr(one, kept), getattr(other, kept)
        assert list(told) == list(asked)
        for name in asked:
            np.testing.assert_array_equal(told[name], asked[name], err_msg=name)
    for name, value in vars(other.sensitivities).items():
        np.testing.assert_array_equal(getattr(one.sensitivities, name), value, err_msg=name)
    for name in ("bid", "ask", "mark", "volume", "borrow_rate"):
        np.testing.assert_array_equal(numbers(one.quotes, name), numbers(other.quotes, name), err_msg=name)
    assert one.periods_per_year == other.periods_per_year
    pd.testing.assert_frame_equal(one.moves(), other.moves(), check_freq=False)


@pytest.mark.parametrize("dates", [False, True], ids=["instants", "dates"])
def test_each_market_of_a_panel_is_the_market_of_its_window(dates):
    table, own = prices(dates), {"volume": pd.Series(1e5, prices().columns), "market": "S0"}
    own["instruments"] = pd.DataFrame(
        {"sector": list("AABBCC"), "lot": 5.0, "fee_per_contract": 0.01, "maker_fee": [-1e-5, "", 2e-5, "", "", ""],
         "multiplier": [1.0, 2.0, 1.0, 10.0, 1.0, 1.0]}, table.columns,
    )  # fmt: skip
    panel = oh.Panel.from_prices(table, rows=50, **own, **TERMS)
    markets = list(panel)
    assert len(markets) == len(panel) == 21
    for first in (0, 1, 13, 20):
        same(markets[first], Market.from_prices(table.iloc[first : first + 50], **own, **TERMS))
    same(panel.at(panel.times[13]), markets[13])


def test_a_share_closed_at_weekends_has_the_moves_of_its_own_window():
    """Repeated at weekends at first, quoted there later: what a window says of weekends is its own."""
    table = prices(rows=120).set_axis(pd.date_range("2025-03-03 21:00", periods=120, tz="UTC"))
    closed = (table.index.day_of_week >= 5) & (np.arange(120) < 70)
    table.loc[closed, "S0"] = np.nan
    table["S0"] = table["S0"].ffill()
    panel = oh.Panel.from_prices(table, rows=50, **TERMS)
    for first in (0, 11, 30, 70):
        own = Market.from_prices(table.iloc[first : first + 50], **TERMS)
        pd.testing.assert_frame_equal(panel.at(panel.times[first]).moves(), own.moves(), check_freq=False)
        assert own.moves()["S0"].isna().any() == (first < 30)


def test_moves_are_the_callers_own():
    market = oh.Panel.from_prices(prices(), rows=50, **TERMS).at(prices().index[-3])
    before = market.moves()
    for asked in ({}, {"rows": 5}, {"drivers": market.drivers.index[:2]}):
        moves = market.moves(**asked)
        moves.iloc[:, :] = 0.0
        pd.testing.assert_frame_equal(market.moves(), before)


def test_what_a_panel_hands_out_cannot_be_changed():
    panel = oh.Panel.from_prices(prices(), rows=50, **TERMS)
    market = panel.at(panel.times[3])
    for table in (market.history, market.quotes, market.instruments):
        with pytest.raises(DataError, match="read-only"):
            table.iloc[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        market.history.to_numpy()[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        market.contracts.price[0] = 1.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": 1}, "give 2 to as many"),
        ({"rows": 71}, "give 2 to as many"),
        ({"instruments": pd.DataFrame({"type": "index"}, prices().columns)}, "plain shares"),
    ],
)
def test_a_panel_refuses_what_it_cannot_be(change, said):
    with pytest.raises(DataError, match=said):
        oh.Panel.from_prices(prices(), **{"rows": 50, **TERMS, **change})


def test_a_share_without_a_price_where_markets_begin_is_named():
    late = prices()
    late.iloc[:55, 2] = np.nan
    with pytest.raises(DataError, match="S2 has no price"):
        oh.Panel.from_prices(late, rows=50, **TERMS)
    assert len(oh.Panel.from_prices(late, rows=60, **TERMS)) == 11


def test_an_instant_without_a_market_is_refused():
    panel = oh.Panel.from_prices(prices(), rows=50, **TERMS)
    for time in (panel.times[0] - pd.Timedelta("3D"), panel.times[-1] + pd.Timedelta("3D")):
        with pytest.raises(DataError, match="no market at"):
            panel.at(time)


def test_a_backtest_over_a_panel_is_the_backtest_over_its_markets():
    table = prices(rows=60)
    book = pd.Series([100.0, -50.0, 30.0, 20.0, -80.0, 10.0], table.columns)
    model = oh.HedgeModel(
        risk=oh.EwmaRisk(20), objective=(oh.Variance(relative=100.0), oh.SpreadCost(), oh.FeeCost()),
        constraints=(oh.Neutral("delta", band_share=0.01),),
    )  # fmt: skip
    one = oh.run_backtest(model, oh.Panel.from_prices(table, rows=50, **TERMS), book)
    alone = (Market.from_prices(table.iloc[i : i + 50], **TERMS) for i in range(11))
    other = oh.run_backtest(model, alone, book)
    for name in ("steps", "explained", "positions", "cash", "trades", "levels"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_freq=False)


# ---- updated ---------------------------------------------------------------------------------------------------------


def tables(market: Market, quotes: pd.DataFrame, history: pd.DataFrame) -> Market:
    """The whole door on the same tables."""
    return Market(
        instruments=market.instruments, quotes=quotes, base_currency=market.base_currency, drivers=market.drivers,
        history=history, as_of=None,
    )  # fmt: skip


def test_an_updated_market_is_what_the_whole_door_makes_of_the_same_tables(tmp_path):
    market = read_market(write(tmp_path))
    later = pd.Timestamp("2026-01-21T21:30:00Z")
    quotes = pd.DataFrame(
        {"bid": [101.0, 6049.0, 170.0], "ask": [103.0, 6051.0, 173.0], "time": later,
         "underlying_price": [np.nan, np.nan, 6050]},
        index=["NA", "ES", "SPX-C"],
    )  # fmt: skip
    row = pd.DataFrame([[102.0, 78.0, 6030.0, 0.1279, 0.171, 0.0031]], [later.tz_convert(None).normalize()],
                       ["NA", "0005", "SPX", "HKDUSD", "SPX vol", "ES basis"])  # fmt: skip
    history = market.history.tz_convert(None)
    one = market.updated(quotes, row)
    whole = pd.concat([market.quotes[~market.quotes.index.isin(quotes.index)], quotes])
    other = tables(market, whole, pd.concat([history, row]))
    same(one, other)
    assert market.history.index[-1] < one.history.index[-1]


def test_a_row_of_the_last_time_fills_what_was_not_known_of_it(tmp_path):
    write(tmp_path)
    early = read_market(tmp_path, as_of="2026-01-20T21:05:00Z")
    assert np.isnan(early.history["SPX vol"].iloc[-1])
    row = read_market(tmp_path).history.tz_convert(None).iloc[-1:]
    later = early.updated(early.quotes[["bid", "ask"]].iloc[:1], row, as_of="2026-01-20T21:30:00Z")
    pd.testing.assert_frame_equal(later.history, read_market(tmp_path).history)


@pytest.mark.parametrize(
    ("levels", "as_of", "said"),
    [
        (None, "2026-01-20T20:00:00Z", "before this market's"),
        (pd.DataFrame({"XX": [1.0]}, [pd.Timestamp("2026-01-21")]), "2026-01-22", "XX is no driver"),
        (pd.DataFrame({"NA": [1.0]}, [pd.Timestamp("2026-01-16")]), "2026-01-22", "before the history's last row"),
        (pd.DataFrame({"NA": [1.0]}, [pd.Timestamp("2026-01-21T05:00Z")]), "2026-01-22", "cannot be joined"),
        (pd.DataFrame({"NA": [-1.0]}, [pd.Timestamp("2026-01-21")]), "2026-01-22", "no level to take a return from"),
    ],
)
def test_what_does_not_follow_is_refused(tmp_path, levels, as_of, said):
    market = read_market(write(tmp_path))
    with pytest.raises(DataError, match=said):
        market.updated(market.quotes[["bid", "ask"]], levels, as_of=as_of)


def test_a_contract_that_expired_meanwhile_is_the_doors_business(tmp_path):
    market = read_market(write(tmp_path))
    later = market.updated(market.quotes[["bid", "ask"]], as_of="2026-03-21")
    assert {"ES", "SPX-C"} <= {*later.left_out}
    assert "ES" not in later.names


def test_a_quote_is_checked_as_at_the_door():
    market = Market.from_prices(walk(3), base_currency="USD")
    name = market.names[0]
    with pytest.raises(DataError, match="below its bid"):
        market.updated(pd.DataFrame({"bid": [2.0], "ask": [1.0]}, index=[name]), as_of=market.as_of)


def test_the_past_of_a_market_is_its_shares_at_its_own_levels_and_knows_nothing_later(example_folder, tmp_path):
    """Last row: today's shares; each market: the row of its day, whatever is told of later days."""
    market = read_market(example_folder)
    panel = oh.Panel.of(market, rows=252, keep=["AAPL", "USMV"])
    shares = market.instruments.index[market.instruments["type"] == "equity"]
    assert set(shares) | {"SPX"} == set(panel.last.names) and len(panel) == len(market.history) - 251
    middle = panel.at(panel.times[100])
    row = market.history.iloc[351]
    assert (middle.price == row[middle.names]).all() and middle.as_of.date() == row.name.date()
    assert list(panel.last.drivers.index[panel.last.drivers["market"]]) == ["SPX"]
    sides = market.quotes.loc[shares]
    spread = (sides["ask"] - sides["bid"]) / sides["mark"]
    then = (middle.quotes["ask"] - middle.quotes["bid"])[shares] / middle.quotes["mark"][shares]
    np.testing.assert_allclose(then, spread, rtol=1e-9)
    np.testing.assert_allclose(middle.fees[shares] / middle.price[shares], market.fees[shares] / market.price[shares])
    assert not middle.instruments.loc["SPX", "hedge"] and middle.instruments.loc["USMV", "hedge"]
    other = tmp_path / "other"
    shutil.copytree(example_folder, other)
    history = pd.read_csv(other / "history.csv")
    history.iloc[352:, 1:] *= 1.5
    history.to_csv(other / "history.csv", index=False)
    assert oh.Panel.of(read_market(other), rows=252).at(panel.times[100]).hash == middle.hash
    with pytest.raises(DataError, match="ES-SEP16 has no past price"):
        oh.Panel.of(market, keep=["ES-SEP16"])


def test_what_becomes_of_shares_between_two_markets_of_a_panel_is_what_all_contracts_formulas_say():
    table = prices(rows=55)
    views = list(oh.Panel.from_prices(table, rows=50, **TERMS))[1:3]
    alone = [Market.from_prices(table.iloc[i : 50 + i], **TERMS) for i in (1, 2)]
    one, other = Fate.of(*views), Fate.of(*alone)
    assert one.unchanged and not other.unchanged
    for name, value in vars(other).items():
        if name not in ("names", "unchanged"):
            np.testing.assert_array_equal(getattr(one, name), value, err_msg=name)
    parts, asked = greek_parts(*views, one), greek_parts(*alone, other)
    assert list(parts) == list(asked) and np.abs(parts["delta"]).min() > 0
    for name, value in asked.items():
        np.testing.assert_array_equal(parts[name], value, err_msg=name)
    built, wanted = (
        oh.HedgeModel(
            risk=oh.EwmaRisk(20), objective=(oh.Variance(relative=50.0), oh.SpreadCost(), oh.FeeCost()),
            constraints=(oh.Neutral("delta"), oh.terms.GrossLimit(share=0.8)),
        ).problem(market, {"S1": 100.0, "S4": -30.0}).program
        for market in (views[0], alone[0])
    )  # fmt: skip
    for field in dataclasses.fields(built):
        mine, theirs = getattr(built, field.name), getattr(wanted, field.name)
        if sp.issparse(theirs):
            np.testing.assert_array_equal(mine.toarray(), theirs.toarray(), err_msg=field.name)
        elif field.name != "depth":
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
