"""The trade list: right amounts for the venue, limit prices that fill, the same bytes for the same inputs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optihedge.frames import plain_text
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.limits import TradeLimit, VolatilityLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Variance
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.market.snapshot import Market
from optihedge.risk.ewma import EwmaRisk
from optihedge.trades.export import columns_text, csv_text, outward, rounded_to
from optihedge.trades.table import COLUMNS, frame_of, trade_table
from optihedge.trades.tradelist import trade_list


def coin_market() -> Market:
    """A coin-settled venue: option, inverse future and perpetual, and one stock, with hand-made quotes."""
    instruments = pd.DataFrame({
        "instrument": ["BTC-27MAR26-90000-C", "BTC-27MAR26", "BTC-PERP", "ACME", "=cmd()"],
        "type": ["inverse_option", "inverse_future", "inverse_perpetual", "equity", "equity"],
        "underlying": ["BTC", "BTC", "BTC", "ACME", "=cmd()"],
        "multiplier": [1.0, 10.0, 10.0, 1.0, 1.0],
        "expiry": ["2026-03-27T08:00:00Z", "2026-03-27T08:00:00Z", "", "", ""],
        "strike": [90000.0, np.nan, np.nan, np.nan, np.nan],
        "right": ["C", "", "", "", ""],
        "forward": ["BTC-27MAR26", "", "", "", ""],
        "venue": ["DERIBIT", "DERIBIT", "DERIBIT", "XNYS", "XNYS"],
        "lot": [0.1, 1.0, 1.0, 1.0, 1.0],
        "tick": [0.0005, 2.5, 0.5, 0.01, 0.01],
    })  # fmt: skip
    quotes = pd.DataFrame({
        "instrument": instruments["instrument"],
        "bid": [0.0452, 90501.0, 90000.2, 10.004, 5.0],
        "ask": [0.0461, 90512.0, 90000.9, 10.016, 5.0],
        "vol": [0.5, np.nan, np.nan, np.nan, np.nan],
    })  # fmt: skip
    days = pd.date_range("2026-01-01", periods=20, tz="UTC")
    waves = np.sin(np.arange(20))
    levels = {"BTC": 90000 + 500 * waves, "ACME": 10 + waves / 10, "=cmd()": 5 + waves / 10}
    history = pd.DataFrame({"time": days, **levels})
    as_of = "2026-01-20T12:00:00Z"
    return Market(instruments=instruments, quotes=quotes, history=history, base_currency="USD", as_of=as_of)


TRADES = pd.Series({"BTC-27MAR26-90000-C": -2.3, "BTC-27MAR26": 7.0, "BTC-PERP": -12.0, "ACME": 100.0, "=cmd()": -5.0})


def test_it_has_the_agreed_columns_and_counts_as_the_venue_does() -> None:
    table = trade_table(coin_market(), TRADES, book="main", model="delta", model_hash="abc").set_index("instrument")
    assert (*table.reset_index().columns[1:4],) == ("as_of", "book", "order_id")
    assert set(table.reset_index().columns) == set(COLUMNS)
    assert table["venue_amount"].tolist() == [2.3, 70.0, 120.0, 100.0, 5.0]  # coin; USD; USD; shares; shares
    assert table["quantity"].tolist() == [-2.3, 7.0, -12.0, 100.0, -5.0]
    assert table["side"].tolist() == ["SELL", "BUY", "SELL", "BUY", "SELL"]


def test_a_limit_price_is_the_far_side_rounded_outwards_to_the_tick() -> None:
    table = trade_table(coin_market(), TRADES)
    assert table["limit_price"].tolist() == [0.045, 90512.5, 90000.0, 10.02, 5.0]


def test_a_price_on_its_tick_stays_there_in_spite_of_floats() -> None:
    price, tick = np.array([0.3, 0.3, 7.123, 0.0575]), np.array([0.1, 0.1, 0.0, 0.0005])
    assert outward(price, tick, np.array([True, False, True, False])).tolist() == [0.3, 0.3, 7.123, 0.0575]


def test_texts_that_a_spreadsheet_would_compute_are_defused() -> None:
    table = trade_table(coin_market(), TRADES, book="@sum(A1)")
    assert table["instrument"].iloc[-1] == "'=cmd()" and (table["book"] == "'@sum(A1)").all()
    assert plain_text("-5x") == "'-5x" and plain_text("ES-SEP16") == "ES-SEP16"


def test_notional_and_cost_are_in_base_currency() -> None:
    table = trade_table(coin_market(), TRADES).set_index("instrument")
    assert table.loc["BTC-PERP", "notional"] == 120.0
    assert table.loc["ACME", "notional"] == pytest.approx(1001.0, abs=0.01)
    assert table.loc["ACME", "cost"] == pytest.approx(100 * 0.006, abs=0.01)
    # an inverse future's half-spread: 7 x 10 USD x (5.5 / 90506.5), in coin, valued at the coin's price
    assert table.loc["BTC-27MAR26", "cost"] == pytest.approx(70 * 5.5 / 90506.5, abs=0.01)


def test_nothing_to_trade_is_an_empty_list_with_its_header() -> None:
    table = trade_table(coin_market(), TRADES * 0)
    assert csv_text(table) == ",".join(COLUMNS) + "\n"


def test_order_ids_are_stable_and_differ_by_quantity_book_and_model() -> None:
    market = coin_market()
    first = trade_table(market, TRADES, book="a", model_hash="m")["order_id"]
    assert first.is_unique and first.equals(trade_table(market, TRADES[::-1], book="a", model_hash="m")["order_id"])
    for other in (trade_table(market, TRADES * 2, book="a", model_hash="m"),
                  trade_table(market, TRADES, book="b", model_hash="m"),
                  trade_table(market, TRADES, book="a", model_hash="n")):  # fmt: skip
        assert not set(first) & set(other["order_id"])


def test_an_order_at_another_limit_price_is_another_order_and_no_id_reads_as_a_number() -> None:
    market = coin_market()
    moved = market.quotes.copy()
    moved.loc["ACME", "ask"] += 0.02
    moved.loc["BTC-27MAR26", "bid"] -= 5.0  # a buy does not see the bid
    before, after = (
        trade_table(seen, TRADES, model_hash="m").set_index("instrument")["order_id"]
        for seen in (market, replace(market, quotes=moved))
    )
    assert before.index[before != after].tolist() == ["ACME"]
    assert before.str.fullmatch("o[0-9a-f]{15}").all()


@pytest.fixture(scope="module")
def model() -> HedgeModel:
    return HedgeModel(
        name="vega", risk=EwmaRisk(halflife=63), objective=(Variance(aversion=1e-6), SpreadCost()),
        constraints=(Neutral("vega", band=500),),
    )  # fmt: skip


def test_a_hedges_list_is_in_whole_lots_with_reasons_and_the_same_bytes_twice(
    example_folder: Path, model: HedgeModel
) -> None:
    texts = []
    for _ in range(2):
        market = read_market(example_folder)
        listed = trade_list(model.hedge(market, read_book(example_folder / "book.csv")), book="main")
        texts.append(listed.text())
    assert texts[0] == texts[1]
    lots = listed["quantity"] / listed["lot"]
    assert (lots == lots.round()).all() and len(listed)
    assert set(listed["reason"]) <= {"vega", "risk", "rounding"}
    assert "vega" in set(listed["reason"])


def test_the_models_hash_changes_with_what_it_says_and_only_then(model: HedgeModel) -> None:
    same = replace(model)
    other = replace(model, risk=EwmaRisk(halflife=64))
    assert same.fingerprint == model.fingerprint != other.fingerprint
    assert replace(model, constraints=()).fingerprint != model.fingerprint


@pytest.mark.parametrize("untraded", ["no universe", "no book", "no quotes", "all fixed"])
def test_where_nothing_can_trade_the_list_is_empty(untraded: str) -> None:
    names = ["A", "B"]
    waves = {name: 100 + np.sin(np.arange(30) * (1 + i)) for i, name in enumerate(names)}
    sides = [np.nan, np.nan] if untraded == "no quotes" else [99.0, 99.0]
    market = Market(
        instruments=pd.DataFrame({"instrument": names}),
        quotes=pd.DataFrame({"instrument": names, "bid": sides, "ask": np.array(sides) + 2}),
        history=pd.DataFrame({"time": pd.date_range("2026-01-01", periods=30, tz="UTC"), **waves}),
        base_currency="USD", as_of="2026-02-01T00:00:00Z", on_missing="freeze",
    )  # fmt: skip
    model = HedgeModel(
        risk=EwmaRisk(halflife=10), objective=(Variance(aversion=1e-3), SpreadCost()),
        constraints=(TradeLimit(limit=0.0),) if untraded == "all fixed" else (),
        universe=() if untraded == "no universe" else None,
    )  # fmt: skip
    listed = trade_list(model.hedge(market, {} if untraded == "no book" else {"A": 10.0}))
    assert listed.text() == ",".join(COLUMNS) + "\n"


def stock_market(base: str = "USD", scale: float = 1.0, **columns: object) -> Market:
    """Two stocks A and B that move together, with a spread of 0.2 %, prices about 100 x scale."""
    moves = np.random.default_rng(0).normal(0, 0.01, (100, 2)) @ np.array([[1.0, 1.0], [0.0, 0.3]])
    levels = scale * 100 * np.exp(moves.cumsum(axis=0))
    history = pd.DataFrame(levels, columns=["A", "B"])
    history.insert(0, "time", pd.date_range("2026-01-01", periods=100, tz="UTC"))
    instruments = {"instrument": ["A", "B"], "hedge": [False, True]}
    quotes = {"instrument": ["A", "B"], "bid": levels[-1] * 0.999, "ask": levels[-1] * 1.001}
    return Market(
        instruments=pd.DataFrame(instruments | {k: v for k, v in columns.items() if k not in ("bid", "ask")}),
        quotes=pd.DataFrame(quotes | {k: v for k, v in columns.items() if k in ("bid", "ask")}),
        history=history, base_currency=base, as_of="2026-05-01T00:00:00Z",
    )  # fmt: skip


def test_money_and_prices_keep_their_digits_in_any_base_currency() -> None:
    market = stock_market("BTC", scale=1e-8)
    line = trade_table(market, pd.Series({"B": -17.0})).iloc[0]
    price = float(market.price["B"])
    assert price < 2e-6
    assert line["price"] == pytest.approx(price, rel=1e-11)
    assert line["limit_price"] == pytest.approx(price * 0.999, rel=1e-9)
    assert line["notional"] == pytest.approx(17 * price, rel=1e-5, abs=0)
    assert line["cost"] == pytest.approx(17 * price * 0.001, rel=1e-5, abs=0)


def test_large_money_is_rounded_to_cents_and_small_to_six_digits() -> None:
    assert rounded_to(np.array([1234567.891, 12.3456789, 0.00178123456, 0.0, -2.5e-9]), 6).tolist() == [
        1234567.89, 12.3457, 0.00178123, 0.0, -2.5e-9,
    ]  # fmt: skip


def test_a_sell_limit_below_one_tick_is_one_tick_unless_prices_may_be_negative() -> None:
    few_cents = {"tick": 0.05, "bid": [99.0, 0.03], "ask": [101.0, 0.09], "scale": 5e-4}
    assert trade_table(stock_market(**few_cents), pd.Series({"B": -5.0}))["limit_price"].tolist() == [0.05]
    signed = {"type": ["equity", "future"], "expiry": ["", "2026-09-01T00:00:00Z"]}
    assert trade_table(stock_market(**few_cents, **signed), pd.Series({"B": -5.0}))["limit_price"].tolist() == [0.0]
    assert trade_table(stock_market(**few_cents), pd.Series({"B": 5.0}))["limit_price"].tolist() == [0.1]


@pytest.mark.parametrize(
    ("objective", "limits", "reason"),
    [
        ((Variance(aversion=1e-1), SpreadCost()), (), "risk"),
        ((Variance(aversion=1e-1),), (), "risk"),  # its gradient is zero at the optimum
        ((SpreadCost(),), (Neutral("delta", band=100.0),), "delta"),
        ((SpreadCost(),), (VolatilityLimit(limit=500.0),), "volatility"),
        ((Variance(aversion=1e-9), SpreadCost()), (Neutral("delta", band=100.0),), "delta"),
    ],
)  # fmt: skip
def test_a_line_that_carries_the_hedge_says_what_it_serves(objective: tuple, limits: tuple, reason: str) -> None:
    model = HedgeModel(risk=EwmaRisk(halflife=30), objective=objective, constraints=limits)
    listed = trade_list(model.hedge(stock_market(), {"A": 1000.0}))
    assert listed["reason"].tolist() == [reason]


def test_a_list_written_line_by_line_has_the_bytes_of_its_table() -> None:
    r = np.random.default_rng(0)
    texts = ["plain", "a,b", 'say "so"', "two\nlines", "", "'=1+1", " led", "\u00e9\u4e2d", "None", "nan", "1e5"]
    numbers = [
        0.0,
        -0.0,
        1.0,
        1e-7,
        123456789.125,
        -1e22,
        np.nan,
        *(10.0 ** r.uniform(-12, 15, 60) * r.normal(size=60)),
    ]
    columns: dict[str, list[object]] = {name: [str(r.choice(texts)) for _ in numbers] for name in COLUMNS}
    columns |= {name: [float(v) for v in r.permutation(numbers)] for name in ("quantity", "limit_price", "cost")}
    columns |= {name: [1.0] * len(numbers) for name in ("venue_amount", "lot", "price", "notional")}
    assert columns_text(columns) == csv_text(frame_of(columns))
    nothing: dict[str, list[object]] = {name: [] for name in COLUMNS}
    assert columns_text(nothing) == csv_text(frame_of(nothing))
