"""Contract facts are the venue's own words, for every recorded instrument; books end where independent ones do."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optihedge.market.importers.sources import import_files


def said(path: Path):
    with gzip.open(path) as stream:
        return json.load(stream)


def sent(path: Path):
    """Messages of a recorded stream that came from the venue."""
    with gzip.open(path) as stream:
        for line in stream:
            entry = json.loads(line)
            if entry["dir"] == "recv":
                yield entry["msg"]


def results(folder: Path, pattern: str, key: str = "result") -> list[dict]:
    return [row for path in sorted(folder.glob(pattern)) for row in said(path)[key]]


def _deribit(folder: Path) -> list[dict]:
    return [row | {"perpetual": row["settlement_period"] == "perpetual"} for row in results(folder, "rest_*")]


def _undated(folder: Path) -> list[dict]:
    """Symbols without a month; a dated one does not say its expiry and is named."""
    return [row for row in results(folder, "rest_*") if not row["name"][-2:].isdigit()]


def _when(row: dict, key: str, never: bool) -> pd.Timestamp:
    return pd.NaT if never else pd.Timestamp(row[key], unit="ms", tz="UTC")


VENUES: dict[str, tuple[str, int, Callable, str, dict[str, Callable]]] = {
    "deribit": ("deribit_20210722", 824, _deribit, "instrument_name", {
        "multiplier": lambda r: r["contract_size"], "venue_amount": lambda r: r["contract_size"],
        "lot": lambda r: r["min_trade_amount"] / r["contract_size"], "tick": lambda r: r["tick_size"],
        "fee": lambda r: r["taker_commission"], "underlying": lambda r: r["base_currency"],
        "strike": lambda r: r.get("strike", np.nan), "right": lambda r: r.get("option_type", " ")[0].upper().strip(),
        "expiry": lambda r: _when(r, "expiration_timestamp", r["perpetual"]),
        "type": lambda r: "inverse_perpetual" if r["perpetual"] else f"inverse_{r['kind']}",
    }),
    "bybit": ("bybit_20210417", 13, _undated, "name", {
        "tick": lambda r: float(r["price_filter"]["tick_size"]), "lot": lambda r: r["lot_size_filter"]["qty_step"],
        "min_quantity": lambda r: r["lot_size_filter"]["min_trading_qty"], "fee": lambda r: float(r["taker_fee"]),
        "underlying": lambda r: r["base_currency"], "currency": lambda r: r["quote_currency"],
        "type": lambda r: "inverse_perpetual" if r["quote_currency"] == "USD" else "perpetual",
    }),
    "gateio": ("gateio_futures_20230524", 301,
               lambda folder: [r for r in said(next(folder.glob("*contracts*"))) if not r["in_delisting"]], "name", {
        "multiplier": lambda r: float(r["quanto_multiplier"]), "tick": lambda r: float(r["order_price_round"]),
        "min_quantity": lambda r: r["order_size_min"], "lot": lambda r: 1, "type": lambda r: "perpetual",
        "fee": lambda r: float(r["taker_fee_rate"]), "underlying": lambda r: r["name"].rpartition("_")[0],
        "currency": lambda r: r["name"].rpartition("_")[2],
    }),
    "bitcom": ("bitcom_20240107", 86, lambda folder: results(folder, "rest_linear*", "data"), "instrument_id", {
        "multiplier": lambda r: float(r["contract_size"]), "tick": lambda r: float(r["price_step"]),
        "lot": lambda r: float(r["size_step"]) / float(r["contract_size"]), "type": lambda r: "perpetual",
        "underlying": lambda r: r["base_currency"], "currency": lambda r: r["quote_currency"],
    }),
    "bitcom spot": ("bitcom_20240107", 183, lambda folder: results(folder, "rest_spot*", "data"), "pair", {
        "tick": lambda r: float(r["price_step"]), "lot": lambda r: float(r["qty_step"]), "type": lambda r: "spot",
        "min_quantity": lambda r: float(r["qty_min"]), "min_notional": lambda r: float(r["quote_qty_min"]),
        "fee": lambda r: float(r["taker_fee_rate"]), "underlying": lambda r: r["base_currency"],
        "currency": lambda r: r["quote_currency"],
    }),
    "coinbase": ("coinbase_spot_20210417", 162, lambda folder: said(next(folder.glob("rest_*"))), "id", {
        "tick": lambda r: float(r["quote_increment"]), "lot": lambda r: float(r["base_increment"]),
        "min_quantity": lambda r: float(r["base_min_size"]), "min_notional": lambda r: float(r["min_market_funds"]),
        "underlying": lambda r: r["base_currency"], "currency": lambda r: r["quote_currency"],
        "type": lambda r: "spot",
    }),
    "dydx": ("dydx_v3_20211028", 27, lambda folder: list(said(next(folder.glob("rest_*")))["markets"].values()),
             "market", {
        "tick": lambda r: float(r["tickSize"]), "lot": lambda r: float(r["stepSize"]),
        "min_quantity": lambda r: float(r["minOrderSize"]), "underlying": lambda r: r["baseAsset"],
        "currency": lambda r: "USDC", "type": lambda r: "perpetual",
    }),
}  # fmt: skip


@pytest.mark.parametrize("venue", VENUES)
def test_every_fact_of_every_recorded_instrument_is_the_venues_own_word(recorded, venue):
    folder, count, words, key, facts = VENUES[venue]
    place = recorded("venue_messages") / folder
    rows = words(place)
    assert len(rows) == count
    found = import_files(venue.split()[0], sorted(place.glob("rest_*"))).instruments.set_index("symbol")
    for row in rows:
        mine = found.loc[row[key]]
        for ours, theirs in facts.items():
            wanted = theirs(row)
            assert mine[ours] == wanted or (pd.isna(mine[ours]) and pd.isna(wanted)), (row[key], ours)


# ---- books -----------------------------------------------------------------------------------------------------------


def applied(sides: dict[str, dict[float, float]], side: str, levels) -> None:
    for level in levels:
        price, size = (level["price"], level["size"]) if isinstance(level, dict) else level
        sides[side][float(price)] = float(size)


def shown(sides: dict[str, dict[float, float]]) -> dict[str, dict[float, float]]:
    return {side: {price: size for price, size in levels.items() if size > 0} for side, levels in sides.items()}


def imported(found, label: str) -> dict[str, dict[float, float]]:
    mine = found.depth[found.depth["instrument"] == label]
    return {side: mine[mine["side"] == side].set_index("price")["size"].to_dict() for side in ("bid", "ask")}


WORD = {"buy": "bid", "sell": "ask"}


def test_coinbases_books_are_their_snapshots_and_every_change_since(recorded):
    place = recorded("venue_messages") / "coinbase_spot_20210417"
    books: dict[str, dict] = {}
    for message in sent(next(place.glob("ws_*"))):
        if message["type"] == "snapshot":
            books[message["product_id"]] = {"bid": {}, "ask": {}}
            for side in ("bid", "ask"):
                applied(books[message["product_id"]], side, message[side + "s"])
        elif message["type"] == "l2update":
            for word, price, size in message["changes"]:
                applied(books[message["product_id"]], WORD[word], [(price, size)])
    found = import_files("coinbase", [place])
    assert len(books) == 10
    for symbol, sides in books.items():
        assert imported(found, f"coinbase:{symbol}") == shown(sides)


def test_bitcoms_book_is_its_last_snapshot_and_the_changes_that_follow_it(recorded):
    place = recorded("venue_messages") / "bitcom_20240107"
    sides: dict[str, dict] = {}
    for message in sent(next(place.glob("ws_*"))):
        data = message.get("data", {})
        if message.get("channel") == "depth" and data["type"] == "snapshot":
            sides = {"bid": {}, "ask": {}}
            for side in ("bid", "ask"):
                applied(sides, side, data[side + "s"])
        elif message.get("channel") == "depth":
            for word, price, size in data["changes"]:
                applied(sides, WORD[word], [(price, size)])
    found = import_files("bitcom", [place])
    assert imported(found, "bitcom:NEAR-USDT-PERPETUAL") == shown(sides)


def test_dydxs_books_are_what_their_offsets_make_of_them(recorded):
    """By the venue's rule: a level changes only where the message's offset is above the level's own."""
    place = recorded("venue_messages") / "dydx_v3_20211028"
    books: dict[str, dict] = {}
    for message in sent(next(place.glob("ws_*"))):
        if message.get("channel") != "v3_orderbook":
            continue
        whole = message["type"] == "subscribed"
        book = {"bid": {}, "ask": {}} if whole else books[message["id"]]
        books[message["id"]] = book
        for side in ("bid", "ask"):
            for level in message["contents"][side + "s"]:
                price, size, offset = (level["price"], level["size"], level["offset"]) if whole else (
                    *level, message["contents"]["offset"])  # fmt: skip
                if int(offset) >= book[side].get(float(price), (0, 0))[0]:
                    book[side][float(price)] = (int(offset), float(size))
    found = import_files("dydx", [place])
    assert len(books) == 10
    for symbol, book in books.items():
        sides = {side: {p: size for p, (_, size) in levels.items()} for side, levels in book.items()}
        assert imported(found, f"dydx:{symbol}") == shown(sides), symbol


def test_gateios_books_go_on_from_the_update_that_contains_their_number(recorded):
    place = recorded("venue_messages") / "gateio_futures_20230524"
    found = import_files("gateio", [place])
    moved = 0
    for path in sorted(place.glob("*order_book*")):
        symbol = path.name.partition("contract_")[2].partition("_limit")[0]
        whole, sides = said(path), {"bid": {}, "ask": {}}
        for side in ("bid", "ask"):
            applied(sides, side, [(level["p"], level["s"]) for level in whole[side + "s"]])
        for message in sent(place / "ws_1_0.jsonl.gz"):
            data = message.get("result", {})
            if message["channel"] != "futures.order_book_update" or data.get("s") != symbol:
                continue
            if data["u"] > whole["id"]:
                moved += 1
                for side, key in (("bid", "b"), ("ask", "a")):
                    applied(sides, side, [(level["p"], level["s"]) for level in data[key]])
        assert imported(found, f"gateio:{symbol}") == shown(sides)
    assert moved > 50


def test_a_time_that_rest_answers_lack_is_the_one_that_is_given(recorded):
    """Marks, funding by its interval and indices of Gate.io are quotes once somebody says when they were seen."""
    contracts = next((recorded("venue_messages") / "gateio_futures_20230524").glob("*contracts*"))
    seen = pd.Timestamp("2023-05-24T12:09:25Z")
    found = import_files("gateio", [contracts], as_of=seen)
    words = {r["name"]: r for r in said(contracts)}
    funding = found.quotes[found.quotes["part"] == "funding"].set_index("instrument").loc["gateio:BTC_USDT"]
    assert funding["funding_rate"] == float(words["BTC_USDT"]["funding_rate"]) and funding["funding_hours"] == 8.0
    assert (found.quotes["time"] == seen).all()
    assert import_files("gateio", [contracts]).quotes.empty
