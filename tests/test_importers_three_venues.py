"""One contract on three venues, by ccxt's dictionaries: each has its own quote, depth, fee, funding, basis driver."""

import json

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.cli.main import main
from optihedge.market.derived import driver_rows
from optihedge.market.folder import read_market
from optihedge.market.store.store import open_store

AT = pd.Timestamp("2024-03-05T08:00Z")  # a funding instant; the bars of Bybit and OKX close four hours later
SEEN = AT + pd.Timedelta("4h")
FEES = {"binance": 0.0005, "bybit": 0.00055, "okx": 0.0004}
SHOWN = {"binance": 40.0, "bybit": 25.0, "okx": 2.0}  # coins at the best price
SYMBOL = "BTC/USDT:USDT"


def said(folder) -> dict[str, tuple[float, float]]:
    """By venue the recorded price of the perpetual at one instant, and the funding paid before it."""
    bars = pd.read_parquet(folder / "all_exchanges_8h.parquet")
    bars = bars[(bars["pair"] == "BTCUSDT") & (bars["time_utc"] == AT.tz_localize(None))].set_index("exchange")
    hourly = pd.read_parquet(folder / "binance_btc_hourly_2021_2024.parquet").set_index("time_utc")["perp_usdt"]
    binance = float(hourly[SEEN.tz_localize(None) - pd.Timedelta("1h")])  # the close of the hour that starts then
    close = {"binance": binance, "bybit": float(bars.at["bybit", "close"]), "okx": float(bars.at["okx", "close"])}
    return {venue: (close[venue], float(bars.at[venue, "funding_rate"])) for venue in close}


def write_venue(folder, venue: str, price: float, rate: float) -> None:
    folder.mkdir(parents=True)
    when = int(SEEN.timestamp() * 1000)
    size = {"binance": 1.0, "bybit": 1.0, "okx": 0.01}[venue]  # OKX's contract is a hundredth of a coin
    market = {
        "id": "BTCUSDT", "symbol": SYMBOL, "base": "BTC", "quote": "USDT", "settle": "USDT", "type": "swap",
        "active": True, "linear": True, "inverse": False, "taker": FEES[venue], "contractSize": size,
        "precision": {"amount": 0.001 / size, "price": 0.1}, "limits": {"amount": {"min": 0.001 / size}}, "info": {},
    }  # fmt: skip
    shown = SHOWN[venue] / size
    levels = [[shown, 0.1], [3 * shown, 5.0]]
    told = {
        "markets": [market],
        "tickers": [{"symbol": SYMBOL, "timestamp": when, "bid": price - 0.1, "ask": price + 0.1, "markPrice": price,
                     "last": price, "baseVolume": 1e5, "quoteVolume": 1e5 * price}],
        "book": {"symbol": SYMBOL, "timestamp": when, "bids": [[price - far, amount] for amount, far in levels],
                 "asks": [[price + far, amount] for amount, far in levels]},
        "funding": [{"symbol": SYMBOL, "timestamp": when, "fundingRate": rate, "interval": "8h"}],
    }  # fmt: skip
    for name, value in told.items():
        (folder / f"{name}.json").write_text(json.dumps(value))


@pytest.fixture
def joined(recorded, tmp_path):
    """The folder of the market of all three, and what was said."""
    told = said(recorded("crypto_spot_perp_8h_2023_2024"))
    for number, (venue, (price, rate)) in enumerate(told.items()):
        write_venue(tmp_path / venue, venue, price, rate)
        words = ["import", "ccxt", str(tmp_path / venue), "--venue", venue, "--to", str(tmp_path / "m")]
        assert main(words + ["--add"] * (number > 0)) == 0
    return tmp_path / "m", told


def test_each_venue_has_its_own_quote_depth_fee_funding_and_basis(joined):
    folder, told = joined
    market = read_market(folder)
    prices = set()
    for venue, (price, rate) in told.items():
        name = f"{venue}:{SYMBOL}"
        prices.add(price)
        assert market.quotes.loc[name, ["bid", "ask"]].tolist() == pytest.approx([price - 0.1, price + 0.1])
        assert market.quotes.loc[name, ["funding_rate", "funding_hours"]].tolist() == [rate, 8.0]
        assert market.instruments.loc[name, "fee"] == FEES[venue]
        size = market.instruments.loc[name, "multiplier"]
        best = market.depth[(market.depth["instrument"] == name) & (market.depth["side"] == "bid")].iloc[0]
        assert best["size"] * size == pytest.approx(SHOWN[venue])
        basis = f"basis:BTC:{venue}:perpetual"
        assert market.drivers.loc[basis, ["kind", "venue"]].tolist() == ["basis", venue]
        matrix = pd.DataFrame(market.loadings.matrix.toarray(), market.drivers.index, market.names)
        assert matrix[name][basis] and not matrix[name][[f"basis:BTC:{v}:perpetual" for v in told if v != venue]].any()
        spot = market.levels["BTC"]
        level = driver_rows(market).set_index("driver")["level"]
        assert level[basis] == pytest.approx(np.log(price / spot), abs=1e-9)
    assert len(prices) == 3


def test_a_hedge_goes_where_it_is_cheap_and_on_where_the_book_is_thin(joined):
    market = read_market(joined[0])
    held = f"bybit:{SYMBOL}"
    names = [name for name in market.names if name.endswith(SYMBOL)]
    others = tuple(name for name in names if name != held)
    model = oh.HedgeModel(
        risk=oh.EwmaRisk(halflife=63), objective=(oh.SpreadCost(), oh.FeeCost(), oh.terms.DepthCost()),
        constraints=(oh.Neutral("delta", band=1.0),), universe=others,
    )  # fmt: skip
    coins = market.instruments["multiplier"].reindex(names)
    small, large = (model.hedge(market, {held: size}).trades.reindex(names) * coins for size in (1.0, 30.0))
    assert small[f"okx:{SYMBOL}"] == pytest.approx(-1.0, rel=0.01) and abs(small[f"binance:{SYMBOL}"]) < 1e-6
    assert large[f"okx:{SYMBOL}"] < -SHOWN["okx"] / 2 and large[f"binance:{SYMBOL}"] < -1.0


def test_the_store_keeps_all_three_and_says_when_one_is_elsewhere(joined, tmp_path):
    folder, _ = joined
    store = open_store(tmp_path / "store", create=True)
    market = read_market(folder)
    store.record(market)
    assert store.snapshots()["findings"].tolist() == [()]
    assert set(store.rows("venues")["venue"]) >= {"binance", "bybit", "okx"}
    odd = pd.read_csv(folder / "quotes.csv")
    at = odd["instrument"] == f"okx:{SYMBOL}"
    odd.loc[at, ["bid", "ask", "mark"]] *= 1.1
    odd.to_csv(folder / "quotes.csv", index=False)
    (folder / "depth.csv").unlink()
    store.record(read_market(folder), known_at=SEEN + pd.Timedelta("1h"))
    (finding,) = store.snapshots()["findings"].iloc[-1]
    assert f"okx:{SYMBOL} is +9.9%" in finding or f"okx:{SYMBOL} is +10.0%" in finding
