"""ccxt's dictionaries: what its own parsers make of a venue's messages says the same as the messages themselves."""

import json

import numpy as np
import pandas as pd
import pytest
from raw_messages import write_deribit

from optihedge.cli.main import main
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.market.importers.instant import market_frames
from optihedge.market.importers.live import fetch
from optihedge.market.importers.sources import import_files

POSITIONS = [
    {"instrument_name": "BTC-27MAR26-90000-P", "size": -25.0, "direction": "sell", "average_price": 0.05},
    {"instrument_name": "BTC-PERPETUAL", "size": 250000.0, "direction": "buy", "average_price": 95000.0},
]
ACCOUNT = {"currency": "BTC", "equity": 10.5, "balance": 11.2, "options_value": -1.9, "margin_balance": 12.4}

SWAP = {
    "id": "BTCUSD_PERP", "symbol": "BTC/USD:BTC", "base": "BTC", "quote": "USD", "settle": "BTC", "type": "swap",
    "active": True, "linear": False, "inverse": True, "taker": 0.0005, "maker": 0.0001, "contractSize": 100.0,
    "precision": {"amount": 1.0, "price": 0.1}, "limits": {"amount": {"min": 1.0}, "cost": {"min": None}}, "info": {},
}  # fmt: skip
LINEAR = SWAP | {
    "id": "ETHUSDT", "symbol": "ETH/USDT:USDT", "base": "ETH", "quote": "USDT", "settle": "USDT", "linear": True,
    "inverse": False, "contractSize": 1.0, "precision": {"amount": 0.001, "price": 0.01},
    "limits": {"amount": {"min": 0.001}, "cost": {"min": 20.0}},
}  # fmt: skip


@pytest.fixture(scope="module")
def both(recorded, tmp_path_factory):
    """The same messages read as Deribit's, and as what ccxt's parsers make of them."""
    ccxt = pytest.importorskip("ccxt")
    raw, unified = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("ccxt")
    write_deribit(recorded("deribit_btc_2026"), raw, 3, POSITIONS, ACCOUNT)
    said = {name: json.loads((raw / f"{name}.json").read_text()) for name in ("instruments", "positions", "account")}
    client = ccxt.deribit()
    client.publicGetGetCurrencies = lambda params={}: {"result": [{"currency": "BTC"}]}
    client.publicGetGetInstruments = lambda params={}: said["instruments"]
    client.set_markets(client.fetch_markets())
    tickers = [json.loads(line)["result"] for line in (raw / "tickers.jsonl").read_text().splitlines()]
    write = {
        "markets": client.markets, "tickers": {t["instrument_name"]: client.parse_ticker(t) for t in tickers},
        "greeks": [client.parse_greeks(t) for t in tickers if "greeks" in t],
        "positions": [client.parse_position(p) for p in said["positions"]["result"]],
        "balance": client.parse_balance(said["account"]["result"]),
    }  # fmt: skip
    for name, value in write.items():
        (unified / f"{name}.json").write_text(json.dumps(value, default=str))
    as_of = pd.Timestamp("2026-01-17T13:00Z")
    return [import_files(s, [f], venue="deribit", as_of=as_of) for s, f in (("deribit", raw), ("ccxt", unified))]


def test_contracts_are_the_same_through_ccxt(both):
    ours, theirs = (found.instruments.query("type != 'index'") for found in both)
    theirs = theirs.assign(symbol=theirs["venue_symbol"]).set_index("symbol")
    columns = ["type", "underlying", "currency", "multiplier", "venue_amount", "lot", "expiry", "strike", "right",
               "tick", "fee", "min_quantity"]  # fmt: skip
    ours = ours.set_index("symbol")[columns]
    pd.testing.assert_frame_equal(ours, theirs.loc[ours.index, columns])


def test_quotes_forwards_and_vols_are_the_same_through_ccxt(both):
    ours, theirs = (market_frames(found, base_currency="USD") for found in both)
    named = theirs.instruments.set_index("instrument")["venue_symbol"]
    quotes = theirs.quotes.assign(instrument=theirs.quotes["instrument"].map(named)).set_index("instrument")
    names = ours.instruments.query("type == 'inverse_option'")["instrument"]
    mine = ours.quotes.set_index("instrument").loc[names]
    for column in ("bid", "ask", "bid_size", "ask_size", "mark", "underlying_price", "vol"):
        got = quotes.loc[names, column].replace(0.0, np.nan)
        assert np.allclose(mine[column].replace(0.0, np.nan), got, rtol=1e-12, equal_nan=True), column


def test_a_position_of_deribit_through_ccxt_is_not_ten_times_itself(both):
    ours, theirs = (found.books.set_index("instrument")["quantity"] for found in both)
    assert ours["BTC-PERPETUAL"] == theirs["deribit:BTC/USD:BTC"] == 25_000
    assert ours["BTC-27MAR26-90000-P"] == theirs["deribit:BTC/USD:BTC-260327-90000-P"] == -25
    assert ours["BTC"] == theirs["BTC"] == pytest.approx(12.4)  # equity without the options' marks


def imported(tmp_path, values: dict, venue: str = "x"):
    for name, value in values.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    return import_files("ccxt", [tmp_path], venue=venue)


def test_contracts_elsewhere_are_counted_as_contracts(tmp_path):
    position = {"symbol": "BTC/USD:BTC", "contracts": 12.0, "side": "short", "contractSize": 100.0}
    found = imported(tmp_path, {"markets": [SWAP, LINEAR], "positions": [position]})
    facts = found.instruments.set_index("instrument")
    assert facts.loc["x:BTC/USD:BTC", ["type", "currency", "multiplier", "lot"]].tolist() == [
        "inverse_perpetual", "USD", 100.0, 1.0]  # fmt: skip
    assert facts.loc["x:ETH/USDT:USDT", ["type", "currency", "multiplier", "lot"]].tolist() == [
        "perpetual", "USDT", 1.0, 0.001]  # fmt: skip
    assert found.books["quantity"].tolist() == [-12.0]


def test_amounts_that_may_be_money_or_contracts_are_named_not_guessed(tmp_path):
    found = imported(tmp_path, {"markets": [SWAP | {"precision": {"amount": 100.0, "price": 0.1}}]})
    assert found.instruments.empty and "--venue" in found.rejected["why"].iloc[0]


@pytest.mark.parametrize(("quote", "contracts"), [(3e6, 1e5), (None, None), (3e4, None)])
def test_a_volume_counts_in_contracts_where_its_two_sides_say_that_it_is_in_coins(quote, contracts, tmp_path):
    market = LINEAR | {"contractSize": 0.01}
    ticker = {"symbol": "ETH/USDT:USDT", "timestamp": 1768653000000, "bid": 2999.0, "ask": 3001.0, "last": 3000.0,
              "baseVolume": 1000.0, "quoteVolume": quote}  # fmt: skip
    for name, value in (("tickers", [ticker]), ("markets", [market])):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    quotes = import_files("ccxt", [tmp_path / "tickers.json", tmp_path / "markets.json"], venue="x").quotes
    assert quotes["volume"].dropna().tolist() == ([] if contracts is None else [contracts])


def test_funding_counts_for_the_hours_that_are_said_and_else_not_at_all(tmp_path):
    said = {"symbol": "ETH/USDT:USDT", "fundingRate": 1e-4, "timestamp": 1768653005013, "markPrice": 3.0}
    rates = [said | {"interval": interval} for interval in ("4h", None)]
    found = imported(tmp_path, {"markets": [LINEAR], "funding": rates})
    funding = found.quotes[found.quotes["part"] == "funding"]
    assert funding["funding_hours"].tolist() == [4.0]
    assert found.rejected["what"].tolist() == ["funding rate"]


def test_own_trades_are_fills_and_those_of_others_are_not(tmp_path):
    trade = {"id": "7", "order": "o1", "symbol": "ETH/USDT:USDT", "side": "sell", "amount": 0.5, "price": 3000.0,
             "timestamp": 1768653005013, "fee": {"cost": 0.75, "currency": "USDT"}}  # fmt: skip
    found = imported(tmp_path, {"trades": [trade, trade | {"id": "8", "order": None, "fee": None}]})
    (fill,) = found.fills.to_dict("records")
    assert (fill["fill_id"], fill["quantity"], fill["fee"], fill["money"]) == ("7", -0.5, 0.75, "USDT")
    assert found.rejected["count"].tolist() == [1]


class Client:
    """A client as a user would make one; it answers from memory."""

    id = "x"

    def load_markets(self):
        return {"ETH/USDT:USDT": LINEAR}

    def fetch_tickers(self, symbols=None):
        now = int(pd.Timestamp.now("UTC").timestamp() * 1000) - 5000
        return {"ETH/USDT:USDT": {"symbol": "ETH/USDT:USDT", "bid": 2999.0, "ask": 3001.0, "timestamp": now}}

    def fetch_balance(self):
        return {"total": {"USDT": 1000.0}, "timestamp": None}

    def fetch_positions(self, symbols=None):
        raise TimeoutError("the venue is slow")


def test_a_users_own_client_is_asked_and_what_it_cannot_say_is_named():
    found = fetch(Client(), books=["ETH/USDT:USDT"])
    assert found.instruments["instrument"].tolist() == ["x:ETH/USDT:USDT"]
    assert found.quotes["bid"].dropna().tolist() == [2999.0]
    assert found.books.set_index("instrument")["quantity"].to_dict() == {"USDT": 1000.0}
    named = found.rejected.set_index("file")["why"]
    assert "the venue is slow" in named["positions"] and "no such method" in named["book of ETH/USDT:USDT"]


TICKER = {"symbol": "ETH/USDT:USDT", "timestamp": 1768653000000, "bid": 2999.0, "ask": 3001.0, "markPrice": 3000.0,
          "indexPrice": 3001.0}  # fmt: skip
HELD = {"symbol": "ETH/USDT:USDT", "contracts": 12.0, "side": "long", "timestamp": 1768653000000}
PAID = {"id": "1", "order": "o", "symbol": "ETH/USDT:USDT", "side": "buy", "amount": 12.0, "price": 2990.0,
        "timestamp": 1768652000000, "fee": {"cost": 0.002, "currency": "BNB"}}  # fmt: skip


def test_fees_in_a_coin_that_nothing_prices_are_named_and_stop_no_hedge(tmp_path):
    values = {"markets": [LINEAR], "tickers": [TICKER], "positions": [HELD], "trades": [PAID]}
    frames = market_frames(imported(tmp_path, values))
    assert not frames.problems and any(
        "1 fills are in BNB, and no file has its price in USDT" in n for n in frames.notes
    )
    pair = {"symbol": "BNB/USDT", "base": "BNB", "quote": "USDT", "type": "spot", "precision": LINEAR["precision"]}
    told = {"pair": [pair], "price": [TICKER | {"symbol": "BNB/USDT", "bid": 900.0, "ask": 901.0}]}
    assert not any("fills are in BNB" in note for note in market_frames(imported(tmp_path, told)).notes)


def test_a_balance_that_nothing_prices_is_a_problem_until_the_user_leaves_it_out(tmp_path, capsys):
    balance = {"total": {"USDT": 1000.0, "BNB": 0.01}, "timestamp": 1768653000000}
    for name, value in (("markets", [LINEAR]), ("tickers", [TICKER]), ("positions", [HELD]), ("balance", balance)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    words = ["import", "ccxt", str(tmp_path), "--venue", "x", "--to", str(tmp_path / "m")]
    assert main(words) == 1
    assert "BNB is held: no price of BNB in USDT" in " ".join(capsys.readouterr().out.split())
    assert main([*words, "--leave", "BNB"]) == 0
    held = read_book(tmp_path / "m" / "book.csv", read_market(tmp_path / "m"))
    assert held[held != 0].to_dict() == {"x:ETH/USDT:USDT": 12.0, "USDT": 1000.0}
    assert "BNB" in (tmp_path / "m" / "left.csv").read_text()
    assert main([*words, "--leave", "BMB"]) == 3
    assert "did you mean BNB" in capsys.readouterr().err
