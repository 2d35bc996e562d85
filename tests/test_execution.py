"""After the list: what its fills cost beside what was expected, and one list for many books, shared fairly."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk
from hypothesis import given, settings
from hypothesis import strategies as st
from test_depth import shown_stocks

import optihedge as oh
from optihedge.accounts.state import Fill
from optihedge.errors import DataError, SpecError
from optihedge.hedge.modelfile import load_model
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.market.snapshot import Market
from optihedge.trades.netting import net, shares
from optihedge.trades.slippage import impact_rows, slippage
from optihedge.trades.table import trade_table
from optihedge.trades.tradelist import trade_list

NAMES = ["ES-SEP16", "USMV"]


@pytest.fixture(scope="module")
def market(example_folder) -> Market:
    return read_market(example_folder)


def lines_of(market: Market, **quantities: float) -> pd.DataFrame:
    return trade_table(market, pd.Series({NAMES[int(k[1:])]: q for k, q in quantities.items()}))


def fill(line, quantity: float, price: float, number: int = 1, fee: float = 0.0) -> Fill:
    time = pd.Timestamp("2016-06-30T20:01Z") + pd.Timedelta(seconds=number)
    return Fill(f"f{number}-{line.instrument}", line.order_id, line.instrument, quantity, price, time, fee, "USD")


def test_a_list_filled_at_the_far_side_with_its_fees_costs_what_was_expected(market):
    lines = trade_table(market, pd.Series({"ES-SEP16": -28.0, "USMV": 1000.0}))
    far = {n: market.quotes.at[n, "ask" if q > 0 else "bid"] for n, q in zip(lines["instrument"], lines["quantity"],
                                                                            strict=True)}  # fmt: skip
    fees = market.fees
    fills = [fill(x, x.quantity, far[x.instrument], fee=abs(x.quantity) * fees[x.instrument])
             for x in lines.itertuples()]  # fmt: skip
    told = slippage(market, lines, fills)
    assert told["excess"].abs().max() < 1e-3 and (told["left"] == 0).all()  # the list rounds its cost to six digits
    assert told["expected"].sum() == pytest.approx(lines["cost"].sum(), rel=1e-12)


def test_slippage_by_hand(market):
    """28 sold in two fills a point and two points below the mark, of 30: one point of ES is 50 USD a contract."""
    lines = trade_table(market, pd.Series({"ES-SEP16": -30.0}))
    (line,) = lines.itertuples()
    mark = float(market.price["ES-SEP16"])
    fills = [fill(line, -20.0, mark - 1, 1, fee=40.0), fill(line, -8.0, mark - 2, 2, fee=16.0)]
    told = slippage(market, lines, fills, benchmark=pd.Series({"ES-SEP16": mark - 1.5})).iloc[0]
    assert told["price_cost"] == pytest.approx(20 * 50 + 8 * 2 * 50) and told["fees"] == pytest.approx(56.0)
    assert told["average"] == pytest.approx(mark - 36 / 28) and told["left"] == -2.0
    assert told["against_benchmark"] == pytest.approx((28 * (mark - 1.5) - 20 * (mark - 1) - 8 * (mark - 2)) * 50)
    assert np.isnan(told["shortfall"])  # two contracts are left, and nobody said where the market went
    assert told["expected"] == pytest.approx(lines["cost"].iloc[0] * 28 / 30)


def test_what_was_not_done_is_charged_the_move_of_the_market(market):
    """30 to sell, 20 sold at the mark; the market falls by four points: the ten left cost 10 x 4 x 50."""
    lines = trade_table(market, pd.Series({"ES-SEP16": -30.0}))
    (line,) = lines.itertuples()
    quotes = market.quotes.copy()
    quotes.loc["ES-SEP16", ["bid", "ask", "mark"]] -= 4.0
    later = replace(market, quotes=quotes)
    told = slippage(market, lines, [fill(line, -20.0, float(market.price["ES-SEP16"]))], later=later).iloc[0]
    assert told["opportunity"] == pytest.approx(10 * 4 * 50) and told["shortfall"] == pytest.approx(2000.0)


def test_a_strange_or_excessive_fill_is_refused(market):
    lines = trade_table(market, pd.Series({"ES-SEP16": -30.0}))
    (line,) = lines.itertuples()
    for bad in (fill(line, -31.0, 2000.0), fill(line, 1.0, 2000.0), replace(fill(line, -1.0, 2000.0), order_id="o1")):
        with pytest.raises(DataError, match="leave"):
            slippage(market, lines, [bad])


def test_books_cross_inside_at_the_mark_and_the_rest_is_one_order(market):
    lists = {"a": lines_of(market, n0=30.0), "b": lines_of(market, n0=-12.0, n1=500.0), "c": lines_of(market, n0=10.0)}
    one = net(market, lists)
    assert dict(zip(one.table["instrument"], one.table["quantity"], strict=True)) == {"ES-SEP16": 28.0, "USMV": 500.0}
    inside = one.inside()
    assert inside["b"][0].quantity == -12.0 and inside["b"][0].price == market.price["ES-SEP16"]
    assert sum(f.quantity for fills in inside.values() for f in fills) == 0
    assert {b: [f.quantity for f in fills] for b, fills in inside.items()} == {"a": [9.0], "b": [-12.0], "c": [3.0]}
    cost = lambda q: trade_table(market, pd.Series({"ES-SEP16": q}))["cost"].iloc[0]  # noqa: E731
    assert one.saved == pytest.approx(cost(30.0) + cost(12.0) + cost(10.0) - cost(28.0), abs=0.01) and one.saved > 0


@given(
    wanted=st.lists(st.integers(-400, 400).filter(bool), min_size=1, max_size=6),
    cuts=st.lists(st.floats(0.0, 1.0), max_size=5),
)
@settings(max_examples=150)
def test_at_the_end_each_book_has_what_it_asked_for_and_on_the_way_its_fair_part(market, wanted, cuts):
    lists = {f"book{i}": lines_of(market, n0=float(q)) for i, q in enumerate(wanted)}
    one = net(market, lists)
    total = float(sum(wanted))
    marks = sorted({round(abs(total) * cut) for cut in cuts} | {0, abs(round(total))})
    parts = np.sign(total) * np.diff(marks)
    order = one.table.iloc[0] if len(one.table) else None
    fills = [fill(order, float(p), 2000.0 + i, i, fee=3.0) for i, p in enumerate(parts)] if order is not None else []
    inside, given = one.inside(), one.allocate(fills)
    for book, quantity in zip(lists, wanted, strict=True):
        assert sum(f.quantity for f in (*inside[book], *given[book])) == quantity
        assert all(np.sign(f.quantity) == np.sign(quantity) for f in (*inside[book], *given[book]))
    for f in fills:
        mine = [g for book in given.values() for g in book if g.fill_id.startswith(f.fill_id + "-o")]
        assert sum(g.quantity for g in mine) == pytest.approx(f.quantity, abs=1e-9)
        assert sum(g.fee for g in mine) == pytest.approx(f.fee, rel=1e-12) and {g.price for g in mine} == {f.price}


@given(wanted=st.lists(st.integers(1, 300), min_size=1, max_size=8), seed=st.integers(0, 10**6))
@settings(max_examples=200)
def test_shares_are_whole_never_taken_back_and_within_a_lot_of_the_exact_part(wanted, seed):
    rng, lot = np.random.default_rng(seed), 0.1
    want = np.array(wanted) * lot
    have = np.zeros(len(want))
    for total in sorted(rng.integers(0, sum(wanted) + 1, 6)):
        now = shares(want, total * lot, lot, have)
        assert np.allclose(now / lot, np.round(now / lot)) and now.sum() == pytest.approx(total * lot)
        assert (now >= have - 1e-12).all()
        exact = want * total / sum(wanted)
        assert (np.abs(now - exact) < 2 * lot).all()
        have = now


def test_a_held_list_is_never_netted(market, example_folder):
    hedge = load_model("beta_hedge").hedge(market, read_book(example_folder / "book.csv"))
    with pytest.raises(SpecError, match="held"):
        net(market, {"a": trade_list(hedge, checks={"total_notional": 1.0})})
    assert len(net(market, {"a": trade_list(hedge)}).table) == len(trade_list(hedge))


def test_the_order_of_books_never_matters(market):
    lists = {"a": lines_of(market, n0=3.0), "b": lines_of(market, n0=3.0), "c": lines_of(market, n0=-1.0)}
    here, there = net(market, lists), net(market, dict(reversed(lists.items())))
    pd.testing.assert_frame_equal(here.outside, there.outside)
    pd.testing.assert_frame_equal(here.table, there.table)


def test_a_fill_of_another_order_is_refused(market):
    one = net(market, {"a": lines_of(market, n0=3.0)})
    order = one.table.iloc[0]
    with pytest.raises(DataError, match="no order"):
        one.allocate([replace(fill(order, 1.0, 2000.0), order_id="o0")])
    with pytest.raises(DataError, match="more than"):
        one.allocate([fill(order, 4.0, 2000.0)])


def test_a_desks_own_fills_teach_its_impact_coefficient() -> None:
    """Orders far beyond 70 contracts shown, filled as the square root law says at 0.4: that is what is learnt."""
    market = shown_stocks(volume=64_000.0)
    model = oh.HedgeModel(risk=flat_risk(market, 0.01), universe=("S1",),
                          objective=(oh.Variance(1e-3), oh.SpreadCost(), oh.DepthCost()))  # fmt: skip
    hedge = model.hedge(market, {"S0": 1e4})
    rows, mark = [], float(market.price["S1"])
    for part in (2.0**-6, 2.0**-4, 2.0**-2):  # of the daily volume, where the law's chords are exact
        excess = part * 64_000
        lines = trade_table(market, pd.Series({"S1": -(70 + excess)}))
        shown = 10 * 0.1 + 20 * 0.3 + (40 + excess) * 0.9
        paid = shown + 0.4 * 0.01 * mark * excess * np.sqrt(part)
        told = slippage(market, lines, [fill(line, line.quantity, mark - paid / abs(line.quantity))
                                        for line in lines.itertuples()])  # fmt: skip
        rows += [impact_rows(hedge, told)] * 100
        assert rows[-1]["cost"].iloc[0] == pytest.approx(paid - shown, rel=1e-9)
    learnt = oh.stats.calibrated_impact(pd.concat(rows, ignore_index=True), weight=0.0)
    assert learnt["equity"] == pytest.approx(0.4, rel=1e-6)
    small = slippage(market, trade_table(market, pd.Series({"S1": -50.0})), [])
    assert not len(impact_rows(hedge, small))
    bare = oh.HedgeModel(objective=(oh.SpreadCost(),), capital=1e5).hedge(market, {"S0": 1.0})
    with pytest.raises(DataError, match="give the hedging model a risk"):
        impact_rows(bare, small)
