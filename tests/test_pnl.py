"""P&L explain: the parts sum to the total, what is linear is explained exactly, the rest to second order."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from recorded_markets import deribit_market, deribit_snapshots, spx_days, spx_market
from test_exposures import BASIS, EXPIRY, PERP_BASIS, QUANTITY, SPOT, STRIKES, VOL

from optihedge.backtest.simulate import run_backtest
from optihedge.errors import DataError
from optihedge.market.earned import contract_pnl
from optihedge.market.pnl import PARTS, explain_hedge, explain_pnl
from optihedge.market.pricing import black, years_between
from optihedge.market.snapshot import Market

SUM = 1e-9  # of the P&L's parts against its total
START = pd.Timestamp("2026-01-20T12:00:00Z")


def coins(base: str, hours: float, size: float, **fields: object) -> Market:
    """The desk of test_exposures after so many hours, its spot, vol and bases moved in proportion to `size`."""
    as_of = START + pd.Timedelta(hours=hours)
    years = float(years_between(as_of, EXPIRY))
    spot, vol = SPOT * (1 + 0.02 * size), VOL + 0.01 * size
    forward, perpetual = spot * np.exp(BASIS + 0.001 * size), spot * np.exp(PERP_BASIS - 0.0002 * size)
    quotes = {"INDEX": spot, "PERP": perpetual, "FUT": forward, "LFUT": forward}
    for name, (strike, _, right) in STRIKES.items():
        quotes[name] = float(black(forward, strike, years, vol, right)) / forward
    quotes["LINEAR"] = quotes["CALL"] * forward
    table = pd.DataFrame([
        {"instrument": "INDEX", "type": "index"}, {"instrument": "COIN", "type": "cash", "currency": "BTC"},
        {"instrument": "USD", "type": "cash", "underlying": "USD"},
        {"instrument": "PERP", "type": "inverse_perpetual", "multiplier": 10.0},
        {"instrument": "FUT", "type": "inverse_future", "multiplier": 10.0, "expiry": EXPIRY},
        {"instrument": "LFUT", "type": "future", "expiry": EXPIRY},
        {"instrument": "CALL", "type": "inverse_option", "strike": 90_000.0, "right": "C", "expiry": EXPIRY},
        {"instrument": "PUT", "type": "inverse_option", "strike": 80_000.0, "right": "P", "expiry": EXPIRY},
        {"instrument": "LINEAR", "type": "option", "strike": 90_000.0, "right": "C", "expiry": EXPIRY},
    ])  # fmt: skip
    table["underlying"] = table["underlying"].fillna("BTC")
    table["currency"] = table["currency"].fillna("USD")
    table["fee"] = 1e-4
    marks = pd.DataFrame({"instrument": list(quotes), "mark": list(quotes.values())})
    half = np.where(marks["instrument"] == "INDEX", np.nan, 1e-4 * marks["mark"])
    marks["bid"], marks["ask"] = marks["mark"] - half, marks["mark"] + half
    marks["underlying_price"] = np.where(marks["instrument"].isin([*STRIKES, "LINEAR"]), forward, np.nan)
    perp = marks["instrument"] == "PERP"
    marks["funding_rate"], marks["funding_hours"] = np.where(perp, 1e-4, np.nan), np.where(perp, 8.0, np.nan)
    drivers = pd.DataFrame({"driver": ["BTC"], "currency": ["USD"]})
    return Market(table, marks, base, drivers=drivers, as_of=as_of, **fields)


def test_a_desks_own_loadings_are_no_currency():
    def curve(day: int, price: float) -> Market:
        table = pd.DataFrame({"instrument": ["O1", "O2"], "type": "future", "underlying": "OIL", "multiplier": 1_000.0,
                              "expiry": [EXPIRY, EXPIRY + pd.Timedelta("30D")]})  # fmt: skip
        marks = np.array([price, price - 1.0])
        quotes = pd.DataFrame({"instrument": table["instrument"], "bid": marks - 0.01, "ask": marks + 0.01})
        times = START + pd.to_timedelta(np.arange(-20, day + 1), unit="D")
        level = pd.Series(60.0 + 0.1 * np.sin(np.arange(len(times))), times)
        level.iloc[20:] = [60.0, price][: day + 1]
        history = pd.DataFrame({"OIL": level, "RANK2": level * 0.3}).rename_axis("time")
        own = pd.DataFrame({"instrument": ["O2"], "driver": ["RANK2"], "loading": [marks[1] * 1_000.0]})
        return Market(table, quotes, "USD", history=history, own_loadings=own, as_of=times[-1])

    frame = explain_pnl(curve(0, 60.0), curve(1, 63.0), {"O1": -1.0, "O2": 2.0})
    assert frame["currency"].eq(0.0).all()
    assert frame["total"].tolist() == pytest.approx([-3_000.0, 6_000.0])
    assert frame["unexplained"].abs().max() < 100.0  # of second order


@pytest.mark.parametrize("base", ["USD", "BTC"])
def test_the_parts_sum_to_the_total(base):
    start, end = coins(base, 0, 0), coins(base, 24, 1)
    trades = pd.Series({"CALL": 2.0, "PERP": -500.0})
    frame = explain_pnl(start, end, QUANTITY, trades)
    total = frame["total"]
    np.testing.assert_allclose(frame[list(PARTS)].sum(axis=1), total, rtol=SUM, atol=SUM * total.abs().max())
    earned = QUANTITY * contract_pnl(start, end)[QUANTITY.index]
    np.testing.assert_allclose(total - frame["fees"], earned, rtol=SUM, atol=SUM * earned.abs().max())
    assert (frame.loc[["CALL", "PERP"], "fees"] < 0).all()
    assert (frame["fees"].drop(["CALL", "PERP"]) == 0).all()


@pytest.mark.parametrize("base", ["USD", "BTC"])
def test_what_is_unexplained_shrinks_faster_than_the_moves(base):
    """Halving every move and the time divides it by eight where only S and vol moved, by four with time and basis."""
    start = coins(base, 0, 0)
    whole, half = (explain_pnl(start, coins(base, 8 * s, s), QUANTITY) for s in (0.5, 0.25))
    options = ["CALL", "PUT", "LINEAR"]
    assert (whole.loc[options, "unexplained"].abs() <= 0.02 * whole.loc[options, "total"].abs()).all()
    assert (half["unexplained"].abs() <= whole["unexplained"].abs() / 3 + 1e-12 * SPOT).all()


def test_what_is_linear_is_explained_exactly():
    frame = explain_pnl(coins("USD", 0, 0), coins("USD", 24, 1), QUANTITY)
    assert frame.loc["COIN", "unexplained"] == pytest.approx(0, abs=1e-8)
    assert frame.loc["COIN", "delta"] == pytest.approx(3 * 0.02 * SPOT)
    assert frame.loc["USD"].abs().max() == 0
    future = frame.loc["FUT"]
    assert future["delta"] + future["carry"] == pytest.approx(future["total"], rel=0.03)
    assert frame.loc["PERP", "funding"] == pytest.approx(9_000 * 10 * 1e-4 * 3, rel=1e-3)


def test_a_stock_is_all_delta_and_its_currency_a_part_of_its_own():
    def market(price: float, pair: float, day: str) -> Market:
        table = pd.DataFrame({"instrument": ["A", "B"], "currency": ["USD", "EUR"]})
        quotes = pd.DataFrame({"instrument": ["A", "B"], "bid": price, "ask": price})
        drivers = pd.DataFrame({"driver": ["A", "B", "EURUSD"], "kind": ["price", "price", "fx"]})
        history = pd.DataFrame({"A": [1.0, price], "B": [1.0, price], "EURUSD": [1.0, pair]},
                               pd.DatetimeIndex(["2026-01-01", day]))  # fmt: skip
        return Market(table, quotes, "USD", drivers=drivers, history=history)

    held = pd.Series({"A": 1.0, "B": 1.0})
    frame = explain_pnl(market(100, 1.2, "2026-01-02"), market(110, 1.26, "2026-01-05"), held)
    assert frame.loc["A", ["delta", "total"]].tolist() == pytest.approx([10, 10])
    assert frame.loc["B", "delta"] == pytest.approx(12)
    assert frame.loc["B", "currency"] == pytest.approx(6)
    assert frame.loc["B", "unexplained"] == pytest.approx(0.6)  # the cross of the two


def test_book_and_hedge_stand_beside_each_other():
    start, end = coins("USD", 0, 0), coins("USD", 24, 1)
    book, hedge = pd.Series({"COIN": 1.0, "CALL": -2.0}), pd.Series({"PERP": -9_000.0})
    frame = explain_hedge(start, end, book, hedge, hedge)
    assert frame.index.tolist() == ["book", "hedge", "both"]
    np.testing.assert_allclose(frame.loc["both"], frame.loc["book"] + frame.loc["hedge"])
    assert frame.loc["hedge", "fees"] < 0 and frame.loc["book", "fees"] == 0


def test_what_has_vanished_is_refused_by_name():
    start, end = coins("USD", 0, 0), coins("USD", 24, 1)
    gone = Market(
        end.instruments.drop("CALL"), end.quotes.drop("CALL"), "USD",
        drivers=pd.DataFrame({"driver": ["BTC"], "currency": ["USD"]}), as_of=end.as_of,
    )  # fmt: skip
    with pytest.raises(DataError, match="CALL is held but has no price on"):
        explain_pnl(start, gone, pd.Series({"CALL": 1.0}))
    with pytest.raises(DataError, match="instrument X is not in the market"):
        explain_pnl(start, end, pd.Series({"X": 1.0}))


def test_an_end_before_the_start_is_refused_with_both_instants():
    start, end = coins("USD", 0, 0), coins("USD", 24, 1)
    book = pd.Series({"CALL": 1.0})
    for call in (lambda: explain_pnl(end, start, book), lambda: contract_pnl(end, start)):
        with pytest.raises(DataError, match=f"the end {start.as_of} is before the start {end.as_of}".replace("+", ".")):
            call()
    shocked = coins("USD", 0, 1)  # another market at the same instant is a shock
    assert explain_pnl(start, shocked, book)["theta"].item() == 0.0


def edited(market: Market, table: str, name: str, field: str, value: object) -> Market:
    """The same market with one entry of its instruments or quotes written over."""
    frames = {"instruments": market.instruments.copy(), "quotes": market.quotes.copy()}
    frames[table].loc[name, field] = value
    drivers = pd.DataFrame({"driver": ["BTC"], "currency": ["USD"]})
    return Market(**frames, base_currency=market.base_currency, drivers=drivers, as_of=market.as_of)


@pytest.mark.parametrize(("name", "field", "value", "before", "after"), [
    ("CALL", "multiplier", 10.0, "1.0", "10.0"), ("CALL", "strike", 95_000.0, "90000.0", "95000.0"),
    ("CALL", "right", "P", "C", "P"), ("CALL", "expiry", EXPIRY + pd.Timedelta(days=1), str(EXPIRY), ""),
    ("PERP", "multiplier", 100.0, "10.0", "100.0"), ("PERP", "type", "perpetual", "inverse_perpetual", "perpetual"),
    ("LFUT", "type", "inverse_future", "future", "inverse_future"),
])  # fmt: skip
def test_a_contract_whose_terms_have_changed_is_refused_where_it_is_held_and_only_there(
    name, field, value, before, after
):
    start, end = coins("USD", 0, 0), coins("USD", 24, 1)
    other = edited(end, "instruments", name, field, value)
    said = rf"{field} of {name} is {before.replace('+', '.')} on .* and {after}.*not the same.*after a split"
    for call in (lambda: explain_pnl(start, other, {name: 1.0}),
                 lambda: contract_pnl(start, other, pd.Index([name]))):  # fmt: skip
        with pytest.raises(DataError, match=said):
            call()
    whole, known = contract_pnl(start, other), contract_pnl(start, end)
    assert np.isnan(whole[name])
    pd.testing.assert_series_equal(whole.drop(name), known.drop(name))
    assert explain_pnl(start, other, {"COIN": 1.0, name: 0.0})["total"].tolist() == pytest.approx([0.02 * SPOT, 0.0])


def test_a_walk_stops_at_a_held_contract_that_has_become_another():
    class Buys:
        def __init__(self, name):
            self.trades = pd.Series({name: 1.0})

        def hedge(self, market, book):
            return self

    start, end = coins("USD", 0, 0), coins("USD", 24, 1)
    markets, book = (start, edited(end, "instruments", "CALL", "multiplier", 10.0)), pd.Series({"COIN": 1.0})
    with pytest.raises(DataError, match="multiplier of CALL"):
        run_backtest(Buys("CALL"), markets, book)
    assert run_backtest(Buys("FUT"), markets, book).pnl["book"].item() == pytest.approx(0.02 * SPOT)
    with pytest.raises(DataError, match="quantity of COIN is not finite"):
        run_backtest(Buys("FUT"), markets, pd.Series({"COIN": np.nan}))


def test_markets_in_two_base_currencies_do_not_compare():
    for call in (contract_pnl, lambda a, b: explain_pnl(a, b, {"COIN": 1.0})):
        with pytest.raises(DataError, match="the start is in USD, the end in BTC; give both markets one base_currency"):
            call(coins("USD", 0, 0), coins("BTC", 24, 1))


def test_a_quantity_that_is_not_finite_is_no_quantity_of_zero():
    start, end = coins("USD", 0, 0), coins("USD", 24, 1)
    with pytest.raises(DataError, match="quantity of CALL is not finite"):
        explain_pnl(start, end, pd.Series({"CALL": np.nan}))
    with pytest.raises(DataError, match="trades: quantity of CALL is not finite"):
        explain_pnl(start, end, {"CALL": 1.0}, {"CALL": np.nan})


def test_a_book_is_explained_however_it_is_written():
    start, end = coins("USD", 0, 0), coins("USD", 24, 1)
    book = {"PUT": -2.0, "FUT": 1.0}
    frame = explain_pnl(start, end, pd.Series(book), {"FUT": 1.0})
    assert list(frame.index) == ["PUT", "FUT"]
    table = pd.DataFrame({"instrument": list(book), "quantity": list(book.values())})
    for other in (book, table):
        again = explain_pnl(start, end, other, {"FUT": 1.0})
        pd.testing.assert_frame_equal(again.loc[frame.index], frame, check_names=False)


def test_funding_that_stops_being_quoted_is_unknown_and_not_zero():
    start, end = coins("USD", 0, 0), coins("USD", 24, 1)
    silent = edited(edited(end, "quotes", "PERP", "funding_rate", np.nan), "quotes", "PERP", "funding_hours", np.nan)
    with pytest.raises(DataError, match=r"PERP is held but its funding is unknown.*give funding_rate and fund"):
        explain_pnl(start, silent, {"PERP": 1.0})
    assert explain_pnl(start, silent, {"COIN": 1.0})["total"].item() == pytest.approx(0.02 * SPOT)
    assert np.isnan(contract_pnl(start, silent)["PERP"])
    none = edited(edited(start, "quotes", "PERP", "funding_rate", np.nan), "quotes", "PERP", "funding_hours", np.nan)
    assert explain_pnl(none, silent, {"PERP": 1.0})["funding"].item() == 0.0  # a desk without funding data
    later = explain_pnl(none, end, {"PERP": -1.0})["funding"].item()
    assert later == pytest.approx(10 * 1e-4 * 3)  # 10 USD, 1 bp every 8 of 24 hours, received


def test_a_funding_rate_without_its_hours_is_refused_by_row():
    left = edited(coins("USD", 0, 0), "quotes", "PERP", "funding_hours", np.nan).left_out
    assert re.search(r"funding_hours of PERP is empty, .* 0\.0001; give the hours", left["PERP"])


def test_what_expired_without_a_level_to_settle_at_says_so():
    left = (EXPIRY - START) / pd.Timedelta(hours=1)
    start = coins("USD", left - 48, 0)
    keep = pd.Index(["USD"])
    end = Market(
        start.instruments.loc[keep], pd.DataFrame({"instrument": ["USD"], "bid": [np.nan], "ask": [np.nan]}), "USD",
        drivers=pd.DataFrame({"driver": ["ETH"], "currency": ["USD"]}),
        history=pd.DataFrame({"ETH": [1.0]}, index=pd.DatetimeIndex([EXPIRY])), as_of=EXPIRY,
    )  # fmt: skip
    with pytest.raises(DataError, match="LFUT has expired, but its underlying BTC has no level on"):
        explain_pnl(start, end, {"LFUT": 1.0})


@pytest.mark.slow
def test_recorded_index_options_are_explained_from_day_to_day(recorded):
    """Liquid contracts (bid above zero, 5-60 delta, 7-365 days) of all consecutive recorded days, on their forwards."""
    folder = recorded("spx_options_2019")
    pooled = []
    for today, tomorrow in pairwise(spx_days(folder)):
        start, end = spx_market(folder, today), spx_market(folder, tomorrow, liquid=False)
        delta = (start.exposures["delta"] / 100 / start.levels["SPX"]).abs()
        chosen = start.names.isin(end.names) & delta.between(0.05, 0.60).to_numpy() & (start.names != "SPX")
        names = start.names[chosen]
        frame = explain_pnl(start, end, pd.Series(0.01, index=names))  # per index point
        pooled.append(frame.assign(tick=np.where(start.price[names] < 3, 0.05, 0.10)))
    frame = pd.concat(pooled)
    total = frame["total"]
    simple = total - frame[["delta", "gamma", "vega", "theta", "carry"]].sum(axis=1)
    assert len(frame) > 90_000
    for left, explained, ticks in ((simple, 0.995, 2.0), (frame["unexplained"], 0.998, 1.2)):
        assert 1 - (left**2).sum() / ((total - total.mean()) ** 2).sum() >= explained
        assert (left.abs() / frame["tick"]).mean() <= ticks


@pytest.mark.parametrize("base", ["USD", "BTC"])
def test_a_recorded_coin_desk_is_explained_in_either_numeraire(recorded, base):
    """Options of 5-60 delta beyond a week, and all futures, pooled over the days between seven snapshots."""
    folder = recorded("deribit_btc_2026")
    markets = [deribit_market(folder, snapshot, base) for snapshot in deribit_snapshots(folder)]
    options, futures = [], []
    for start, end in pairwise(markets):
        table = start.instruments[start.names.isin(end.names)]
        frame = explain_pnl(start, end, pd.Series(1.0, index=table.index))
        delta = start.exposures.loc[table.index, "delta"].abs() / start.notional[table.index]
        later = table["expiry"] > start.as_of + pd.Timedelta(days=7)
        options.append(frame[(table["type"] == "inverse_option") & delta.between(0.05, 0.60) & later])
        futures.append(frame[table["type"] == "inverse_future"])
    pooled = pd.concat(options)
    total, left = pooled["total"], pooled["unexplained"]
    assert len(pooled) > 1_000
    assert 1 - (left**2).sum() / ((total - total.mean()) ** 2).sum() >= 0.9995
    margins = pd.concat(futures)
    assert margins["unexplained"].abs().sum() <= 1e-3 * margins["total"].abs().sum()


@pytest.mark.parametrize("base", ["USD", "BTC"])
def test_funding_given_by_rows_is_paid_at_each_instant_on_what_was_its_notional_then(base):
    start, end = coins(base, 0, 0), coins(base, 24, 1)
    hours, rates = (
        np.array([0, 8, 16, 24, 32]),
        np.array([9.0, 1e-4, -3e-4, 2e-4, 9.0]),
    )  # the first and last are not its
    rows = pd.DataFrame({"instrument": "PERP", "time": START + pd.to_timedelta(hours, unit="h"), "rate": rates})
    frame = explain_pnl(start, end, {"PERP": -9_000.0, "COIN": 1.0}, funding=rows)
    share = hours[1:4] / 24
    notional = start.notional["PERP"] + share * (end.notional["PERP"] - start.notional["PERP"])
    assert frame.loc["PERP", "funding"] == pytest.approx(9_000 * (rates[1:4] * notional).sum(), rel=1e-12)
    assert frame["total"].sum() == pytest.approx(frame[list(PARTS)].to_numpy().sum()) and not frame.attrs["notes"]
    without = explain_pnl(start, end, {"PERP": -9_000.0}).attrs["notes"]
    assert len(without) == 1 and "funding of PERP is a forecast" in without[0]


def test_a_perpetual_without_all_its_rows_of_funding_is_named_as_missing():
    start, end = coins("USD", 0, 0), coins("USD", 24, 1)
    rows = pd.DataFrame({"instrument": ["PERP"] * 2, "time": START + pd.to_timedelta([8, 16], unit="h"), "rate": 1e-4})
    with pytest.raises(DataError, match="funding of PERP is missing: 2 of 3 rows"):
        explain_pnl(start, end, {"PERP": 1.0}, funding=rows)
    with pytest.raises(DataError, match="funding of PERP is missing: 0 of 3 rows"):
        contract_pnl(start, end, pd.Index(["PERP"]), funding=rows.iloc[:0])
    assert np.isnan(contract_pnl(start, end, funding=rows)["PERP"])
    assert explain_pnl(start, end, {"COIN": 1.0}, funding=rows)["total"].item() == pytest.approx(0.02 * SPOT)


def test_a_row_of_funding_may_bring_the_mark_of_its_instant():
    start, end = coins("USD", 0, 0), coins("USD", 8, 1)
    table = pd.DataFrame({"instrument": ["LIN"], "type": "perpetual", "underlying": "BTC", "multiplier": 2.0})
    linear = [
        Market(table, pd.DataFrame({"instrument": ["LIN"], "bid": [p - 1], "ask": [p + 1]}), "USD", as_of=m.as_of,
               drivers=m.drivers.reset_index(), history=pd.DataFrame({"BTC": [p]}, pd.DatetimeIndex([m.as_of])))
        for m, p in ((start, 50_000.0), (end, 52_000.0))
    ]  # fmt: skip
    rows = pd.DataFrame({"instrument": ["LIN"], "time": [end.as_of], "rate": [1e-3], "mark": [51_000.0]})
    assert explain_pnl(*linear, {"LIN": 3.0}, funding=rows)["funding"].item() == pytest.approx(-3 * 2 * 51_000 * 1e-3)
