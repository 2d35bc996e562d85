"""Binance, Bybit, OKX, Hyperliquid: contract facts in the venue's own words, sizes in contracts, books as they end."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optihedge.market.importers.instant import market_frames
from optihedge.market.importers.sources import import_files

FOLDERS = {
    "deribit": ("deribit_20210722", "fixtures/deribit"), "okx": ("okx_20220513", "fixtures/okx"),
    "bybit": ("bybit_20210417", "fixtures/bybit"), "hyperliquid": ("hyperliquid_20250126", "fixtures/hyperliquid"),
    "binance_usdm": ("binance_usdm_20210722", "fixtures/binance/futures", "fixtures/binance_legacy"),
    "binance_coinm": ("binance_coinm_20210722",), "binance": ("fixtures/binance/spot",),
    "gateio": ("gateio_futures_20230524",), "bitcom": ("bitcom_20240107",), "coinbase": ("coinbase_spot_20210417",),
    "dydx": ("dydx_v3_20211028",),
}  # fmt: skip


def said(path: Path):
    with gzip.open(path) as stream:
        return json.load(stream)


def test_okx_facts_are_its_own_words(recorded):
    folder = recorded("venue_messages") / "okx_20220513"
    words = pd.concat([pd.DataFrame(said(path)["data"]) for path in sorted(folder.glob("rest_*"))])
    words = words[words["state"] == "live"].set_index("instId")
    facts = import_files("okx", [folder]).instruments.set_index("symbol").loc[words.index]
    number = words[["tickSz", "lotSz", "minSz", "ctVal", "ctMult", "stk"]].apply(pd.to_numeric)
    assert (facts["tick"] == number["tickSz"]).all() and (facts["lot"] == number["lotSz"]).all()
    assert (facts["min_quantity"] == number["minSz"]).all()
    size = (number["ctVal"] * number["ctMult"]).where(words["instType"] != "SPOT", 1.0)
    assert np.allclose(facts["multiplier"], size)
    inverse = (words["ctType"] == "inverse") | (words["instType"] == "OPTION")
    assert (facts["type"].str.startswith("inverse") == inverse).all()
    assert facts["strike"].equals(number["stk"].rename("strike"))
    expiry = pd.to_datetime(pd.to_numeric(words["expTime"]), unit="ms", utc=True)
    assert (facts["expiry"].eq(expiry) | expiry.isna() & facts["expiry"].isna()).all()


@pytest.mark.parametrize("source, folder", [("binance_usdm", "binance_usdm_20210722"),
                                            ("binance_coinm", "binance_coinm_20210722")])  # fmt: skip
def test_binance_facts_are_its_own_words(recorded, source, folder):
    place = recorded("venue_messages") / folder
    words = [s for s in said(place / "rest_v1_exchangeInfo.json.gz")["symbols"]
             if s.get("status", s.get("contractStatus")) == "TRADING"]  # fmt: skip
    facts = import_files(source, [place]).instruments.set_index("symbol")
    assert len(words) > 30
    for word in words:
        fact, filters = facts.loc[word["symbol"]], {f["filterType"]: f for f in word["filters"]}
        assert fact["tick"] == float(filters["PRICE_FILTER"]["tickSize"])
        assert fact["lot"] == float(filters["LOT_SIZE"]["stepSize"])
        assert fact["min_quantity"] == float(filters["LOT_SIZE"]["minQty"])
        assert fact["multiplier"] == float(word.get("contractSize", 1))
        assert (fact["underlying"], fact["settlement_currency"]) == (word["baseAsset"], word["marginAsset"])
        assert fact["type"].endswith("perpetual") == (word["contractType"] == "PERPETUAL")
        assert fact["type"].startswith("inverse") == (source == "binance_coinm")


def test_binance_books_chain_from_their_snapshot_by_update_ids(recorded):
    place = recorded("venue_messages") / "binance_usdm_20210722"
    found = import_files("binance_usdm", [place])
    whole = said(place / "rest_v1_depth_symbol_SUSHIUSDT_limit_1000.json.gz")
    sides = {side: {float(p): float(q) for p, q in whole[side + "s"]} for side in ("bid", "ask")}
    number = whole["lastUpdateId"]
    with gzip.open(place / "ws_1_0.jsonl.gz") as stream:
        for line in stream:
            data = json.loads(line)["msg"].get("data", {})
            if data.get("s") == "SUSHIUSDT" and data.get("e") == "depthUpdate" and data["u"] > number:
                assert data["U"] <= number + 1 or data["pu"] == number
                number = data["u"]
                for side, key in (("bid", "b"), ("ask", "a")):
                    sides[side] |= {float(p): float(q) for p, q in data[key]}
    mine = found.depth[found.depth["instrument"] == "binance_usdm:SUSHIUSDT"]
    for side, levels in sides.items():
        got = mine[mine["side"] == side].set_index("price")["size"].to_dict()
        assert got == {price: size for price, size in levels.items() if size > 0}


def test_a_gap_in_the_updates_ends_the_book_and_is_named(tmp_path):
    book = {"lastUpdateId": 5, "symbol": "XUSDT", "E": 1626992741000, "bids": [["10", "1"]], "asks": [["11", "1"]]}
    update = {
        "e": "depthUpdate",
        "s": "XUSDT",
        "E": 1626992742000,
        "U": 9,
        "u": 9,
        "pu": 8,
        "b": [["10", "7"]],
        "a": [],
    }
    (tmp_path / "a.json").write_text(json.dumps([book, update]))
    found = import_files("binance_usdm", [tmp_path])
    assert found.depth.set_index("side")["size"].to_dict() == {"bid": 1.0, "ask": 1.0}
    assert "gap" in found.rejected["why"].iloc[0]


def test_both_sides_of_a_hedged_account_add_up(tmp_path):
    rows = [{"symbol": "BTCUSDT", "positionAmt": amount, "positionSide": side, "markPrice": "50000",
             "updateTime": 1625474304765} for amount, side in (("20", "LONG"), ("-7.5", "SHORT"))]  # fmt: skip
    info = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT", "status": "TRADING",
            "contractType": "PERPETUAL", "filters": [{"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001"},
                                                      {"filterType": "PRICE_FILTER", "tickSize": "0.1"}]}  # fmt: skip
    (tmp_path / "p.json").write_text(json.dumps(rows))
    (tmp_path / "i.json").write_text(json.dumps({"symbols": [info]}))
    frames = market_frames(import_files("binance_usdm", [tmp_path]))
    assert frames.books.set_index("instrument")["quantity"].to_dict() == {"binance_usdm:BTCUSDT": 12.5}


def test_a_funding_rate_of_an_hour_is_not_one_of_eight(tmp_path):
    meta = [{"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}]},
            [{"funding": "0.0000125", "markPx": "77562.0", "oraclePx": "77605.0", "dayBaseVlm": "1"}]]  # fmt: skip
    (tmp_path / "m.json").write_text(json.dumps(meta))
    found = import_files("hyperliquid", [tmp_path], as_of=pd.Timestamp("2026-01-01T00:00Z"))
    funding = found.quotes[found.quotes["part"] == "funding"].iloc[0]
    assert (funding["funding_rate"], funding["funding_hours"]) == (0.0000125, 1.0)
    facts = market_frames(found).instruments.set_index("instrument").loc["hyperliquid:BTC"]
    assert facts["lot"] == 1e-5 and facts["tick"] == 1.0  # five figures of 77 562: whole dollars


def test_equity_of_an_account_with_options_is_not_all_cash(tmp_path):
    (tmp_path / "b.json").write_text(json.dumps({"code": "0", "data": [{"details": [
        {"ccy": "BTC", "eq": "10", "cashBal": "9", "uTime": "1744498994783"}], "totalEq": "1"}]}))  # fmt: skip
    (tmp_path / "p.json").write_text(json.dumps({"code": "0", "data": [
        {"instId": "BTC-USD-260327-90000-P", "instType": "OPTION", "pos": "-30", "posSide": "net", "ccy": "BTC",
         "optVal": "-0.5", "markPx": "0.05", "uTime": "1744498994783"}]}))  # fmt: skip
    books = import_files("okx", [tmp_path]).books.set_index("instrument")["quantity"]
    assert books["BTC"] == 10.5 and books["okx:BTC-USD-260327-90000-P"] == -30


def test_a_fee_paid_is_positive_whatever_sign_the_venue_gives_it(tmp_path):
    fill = {"instType": "SWAP", "instId": "BTC-USDT-SWAP", "tradeId": "1", "ordId": "2", "billId": "3", "fillPx": "100",
            "fillSz": "2", "side": "sell", "fee": "-0.5", "feeCcy": "USDT", "ts": "1625097600000"}  # fmt: skip
    (tmp_path / "f.json").write_text(json.dumps({"code": "0", "data": [fill]}))
    (row,) = import_files("okx", [tmp_path]).fills.to_dict("records")
    assert (row["quantity"], row["fee"]) == (-2.0, 0.5)


def test_the_accounts_own_fee_replaces_the_published_one(tmp_path, recorded):
    fixtures = recorded("venue_messages") / "fixtures" / "bybit"
    files = [fixtures / "http_get_instruments_linear.json", fixtures / "http_get_fee_rate.json"]
    fees = import_files("bybit", files).instruments.set_index("symbol")["fee"]
    assert fees["BTCUSDT"] == 0.0006 and fees["ETHUSDT"] == 0.0006
    assert import_files("bybit", files[:1]).notes  # published fees are said to be that


def _scrambled(value, rng: np.random.Generator):
    """The same message with one in twenty of its values of another kind, missing or doubled."""
    if isinstance(value, dict):
        kept = {k: _scrambled(v, rng) for k, v in value.items() if rng.random() > 0.02}
        return kept | ({"new_field": {"deep": [1, {"er": None}]}} if rng.random() < 0.2 else {})
    if isinstance(value, list):
        return [_scrambled(v, rng) for v in value]
    strange = (None, "", "abc", [], {}, -1, 1e300, True, "1e999", [["x"]], {"a": 1})
    return strange[rng.integers(len(strange))] if rng.random() < 0.05 else value


@pytest.mark.parametrize("source", [s for s in FOLDERS if s != "binance_coinm"])
def test_no_message_however_strange_breaks_an_import(recorded, tmp_path, source):
    rng = np.random.default_rng(7)
    files = []
    for folder in FOLDERS[source]:
        for path in sorted((recorded("venue_messages") / folder).rglob("*.json"))[:60]:
            out = tmp_path / f"{len(files)}.json"
            out.write_text(json.dumps(_scrambled(json.loads(path.read_text()), rng)))
            files.append(out)
    if not files:
        (tmp_path / "0.json").write_text(json.dumps(_scrambled({"coin": "BTC", "levels": [[], []], "time": 1}, rng)))
        files.append(tmp_path / "0.json")
    found = import_files(source, files)
    for path in files:
        assert found.used.get(path.name) or path.name in set(found.rejected["file"])
