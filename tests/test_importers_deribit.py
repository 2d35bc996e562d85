"""Deribit's own files: facts as the venue says them, amounts to contracts, its Greeks found again, nothing unsaid."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from raw_messages import deribit_instrument, write_deribit

from optihedge.cli.main import main
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.market.importers.instant import market_frames
from optihedge.market.importers.sources import import_files
from optihedge.market.pricing import greeks, years_between
from optihedge.trades.table import trade_table

POSITIONS = [
    {"instrument_name": "BTC-27MAR26-90000-P", "size": -25.0, "direction": "sell", "average_price": 0.05},
    {"instrument_name": "BTC-27MAR26-110000-C", "size": 30.5, "direction": "sell", "average_price": 0.05},
    {"instrument_name": "BTC-PERPETUAL", "size": 250000.0, "direction": "buy", "average_price": 95000.0},
    {"instrument_name": "BTC-27FEB26", "size": 0.0, "direction": "zero", "average_price": 0.0},
]  # fmt: skip
ACCOUNT = {"currency": "BTC", "equity": 10.5, "balance": 11.2, "options_value": -1.9, "margin_balance": 12.4}


@pytest.fixture(scope="module")
def raw(recorded, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    write_deribit(recorded("deribit_btc_2026"), folder, 3, POSITIONS, ACCOUNT)
    return folder


@pytest.fixture(scope="module")
def folder(raw, tmp_path_factory) -> Path:
    to = tmp_path_factory.mktemp("market")
    assert main(["import", "deribit", str(raw), "--to", str(to)]) == 0
    return to


def test_every_fact_of_a_contract_is_the_venues_own_word(raw):
    said = pd.DataFrame(json.loads((raw / "instruments.json").read_text())["result"]).set_index("instrument_name")
    facts = import_files("deribit", [raw]).instruments.set_index("instrument").loc[said.index]
    assert (facts["symbol"] == said.index).all()
    assert (facts["multiplier"] == said["contract_size"]).all() and (
        facts["venue_amount"] == said["contract_size"]
    ).all()
    assert (facts["lot"] * facts["venue_amount"] == said["min_trade_amount"]).all()
    assert (facts["tick"] == said["tick_size"]).all() and (facts["fee"] == said["taker_commission"]).all()
    perpetual = said["settlement_period"] == "perpetual"
    expiry = pd.to_datetime(said["expiration_timestamp"].where(~perpetual), unit="ms", utc=True)
    assert (facts["expiry"].eq(expiry) | perpetual & facts["expiry"].isna()).all()
    assert facts["strike"].eq(said["strike"]).eq(said["strike"].notna()).all()
    assert (
        facts["right"].replace({"C": "call", "P": "put", "": np.nan}).fillna("-") == said["option_type"].fillna("-")
    ).all()
    assert set(facts["type"]) == {"inverse_option", "inverse_future", "inverse_perpetual"}
    assert (facts["underlying"] == "BTC").all() and (facts["settlement_currency"] == "BTC").all()


def test_dollars_of_a_future_and_coins_of_an_option_become_contracts_and_come_back_to_the_unit(folder):
    market = read_market(folder)
    book = read_book(folder / "book.csv", market)
    assert book.to_dict() == {
        "BTC": 12.4, "BTC-27MAR26-90000-P": -25.0, "BTC-27MAR26-110000-C": -30.5, "BTC-PERPETUAL": 25000.0,
    }  # fmt: skip
    listed = trade_table(market, book.drop("BTC")).set_index("instrument")
    for position in POSITIONS[:3]:
        assert listed.at[position["instrument_name"], "venue_amount"] == abs(position["size"])


def test_the_venues_own_greeks_follow_from_what_was_imported(raw):
    found = import_files("deribit", [raw])
    frames = market_frames(found)
    quotes, facts = frames.quotes.set_index("instrument"), frames.instruments.set_index("instrument")
    told = found.greeks.set_index("instrument")
    names = told.index[told.index.isin(quotes.index)]
    quote, fact, told = quotes.loc[names], facts.loc[names], told.loc[names]
    years = years_between(quote["time"], fact["expiry"])
    sign = np.where(fact["right"] == "C", 1.0, -1.0)
    forward = quote["underlying_price"].to_numpy()
    ours = greeks(forward, forward, fact["strike"].to_numpy(), years, quote["vol"].to_numpy(), sign)
    assert len(names) > 600
    assert np.abs(ours.delta - told["venue_delta"]).max() < 2e-4  # the venue's fifth decimal and its rounded vol
    assert np.abs(ours.vega / 100 - told["venue_vega"]).quantile(0.99) < 0.05


def test_an_account_counts_what_is_no_option_mark(recorded):
    summaries = recorded("venue_messages") / "fixtures" / "deribit" / "http_get_account_summaries.json"
    book = import_files("deribit", [summaries]).books.set_index("instrument")["quantity"]
    said = {s["currency"]: s for s in json.loads(summaries.read_text())["result"]["summaries"]}
    assert book["ETH"] == 100
    assert book["BTC"] == pytest.approx(said["BTC"]["margin_balance"], abs=2e-8)


def test_every_recorded_option_is_accepted_or_named(recorded):
    for name, count in (("deribit_btc_2026", 4626),):
        found = import_files("deribit", [recorded(name) / "options.parquet"])
        seen = found.quotes[found.quotes["instrument"].str.contains("-[CP]$") & (found.quotes["part"] == "top")]
        assert len(seen) == count and found.rejected.empty


@pytest.mark.slow
def test_every_option_of_five_months_is_accepted_or_named(recorded):
    options = recorded("deribit_btc_eth_2026") / "options.parquet"
    found = import_files("deribit", [options])
    top = found.quotes[(found.quotes["part"] == "top")]
    assert len(top) == 297_640 and found.rejected.empty
    vol = found.quotes.loc[found.quotes["part"] == "vol", "vol"].dropna()
    said = pd.read_parquet(options, columns=["implied_volatility"])["implied_volatility"]
    assert np.allclose(np.sort(vol), np.sort(said[said > 0]))  # told apart from percent by repricing the marks


def test_a_field_never_seen_before_breaks_nothing_and_a_missing_one_is_named(raw, tmp_path):
    said = json.loads((raw / "instruments.json").read_text())["result"]
    new = [{**row, "quantum_flag": {"a": [1]}, "fee_curve": None} for row in said]
    less = [{k: v for k, v in row.items() if k != "tick_size"} for row in said]
    facts = {}
    for name, rows in (("new", new), ("less", less), ("same", said)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"result": rows}))
        facts[name] = import_files("deribit", [tmp_path / f"{name}.json"])
    pd.testing.assert_frame_equal(facts["new"].instruments, facts["same"].instruments)
    assert facts["new"].rejected.empty
    named = facts["less"].rejected
    assert named["what"].tolist() == ["instrument: tick_size"] and named["count"].tolist() == [len(said)]


def test_recorded_books_end_where_their_changes_end(recorded):
    found = import_files("deribit", [recorded("venue_messages") / "deribit_20210722"])
    best = found.depth[found.depth["side"] == "bid"].groupby("instrument")["price"].max()
    top = found.quotes[found.quotes["part"] == "top"].sort_values("time", kind="stable")
    last = top.drop_duplicates("instrument", keep="last").set_index("instrument")["bid"]
    assert len(best) >= 7
    assert (best == last[best.index]).all()


def test_what_is_held_without_a_price_stays_in_the_book_and_is_said(raw, tmp_path):
    held = [*POSITIONS, {"instrument_name": "ETH-PERPETUAL", "size": 10.0, "direction": "buy", "average_price": 3000.0}]
    (tmp_path / "positions.json").write_text(json.dumps({"result": held}))
    files = [str(raw / name) for name in ("instruments.json", "tickers.jsonl")]
    assert main(["import", "deribit", *files, str(tmp_path / "positions.json"), "--to", str(tmp_path / "m")]) == 1
    assert "ETH-PERPETUAL" in (tmp_path / "m" / "book.csv").read_text()
    (problem,) = json.loads((tmp_path / "m" / "import.json").read_text())["problems"]
    assert "ETH-PERPETUAL" in problem


def test_old_messages_without_an_instrument_type_settle_dollar_contracts_in_coin(recorded):
    found = import_files("deribit", [recorded("venue_messages") / "deribit_20210722"])
    kinds = found.instruments.set_index("instrument")["type"]
    assert kinds["BTC-PERPETUAL"] == "inverse_perpetual" and kinds["BTC-24SEP21-40000-P"] == "inverse_option"


def test_a_linear_contract_is_counted_in_contracts_and_ordered_in_coin(tmp_path):
    row = pd.Series({"instrument_name": "ETH_USDC-PERPETUAL", "expiration": pd.NaT, "contract_size": 0.001, "tick_size":
                     0.05, "taker_commission": 0.0005, "maker_commission": 0.0})  # fmt: skip
    linear = deribit_instrument(row) | {"instrument_type": "linear", "quote_currency": "USDC", "base_currency": "ETH",
                                        "counter_currency": "USDC", "settlement_currency": "USDC"}  # fmt: skip
    held = {"instrument_name": "ETH_USDC-PERPETUAL", "size": -2.5, "direction": "sell", "average_price": 3000.0}
    (tmp_path / "a.json").write_text(json.dumps([linear]))
    (tmp_path / "b.json").write_text(json.dumps([held]))
    found = import_files("deribit", [tmp_path])
    fact = found.instruments.set_index("instrument").loc["ETH_USDC-PERPETUAL"]
    assert (fact["type"], fact["currency"], fact["multiplier"], fact["venue_amount"]) == (
        "perpetual",
        "USDC",
        0.001,
        0.001,
    )
    assert found.books["quantity"].tolist() == [-2500.0]


def test_positions_lie_deep_and_come_in_parts(tmp_path):
    """user.changes, subaccounts, pages, lines and coins without any: every position is read, whatever wraps it."""

    def held(name, size):
        return {"instrument_name": name, "size": size, "direction": "buy" if size > 0 else "sell", "kind": "option"}

    changes = {"instrument_name": "A", "trades": [], "orders": [], "positions": [held("BTC-27MAR26-90000-P", 3.0)]}
    answers = [
        {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": "user.changes.any", "data": changes}},
        {"result": [{"uid": 7, "positions": [held("ETH-27MAR26-3000-C", -20.0)], "open_orders": []}], "usOut": 1e15},
        {"result": {"data": [held("BTC_USDC-27MAR26-90000-C", 1.5)], "continuation": None, "count": 1}},
        {"result": []},
    ]
    (tmp_path / "positions.jsonl").write_text("\n".join(map(json.dumps, answers)))
    found = import_files("deribit", [tmp_path])
    assert not found.problems
    assert dict(zip(found.books["instrument"], found.books["quantity"], strict=True)) == {
        "BTC-27MAR26-90000-P": 3.0, "ETH-27MAR26-3000-C": -20.0, "BTC_USDC-27MAR26-90000-C": 1.5,
    }  # fmt: skip
