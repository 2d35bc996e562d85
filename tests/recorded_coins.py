"""Deribit's BTC and ETH options of the same instants (deribit_btc_eth_2026) as Markets with nothing from after them."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from optihedge.market.snapshot import Market

FUTURE_COST = 5.5e-4  # assumed: half spread and fee of a listed future, fraction of notional
OPTION_FEE, FEE_CAP = 3e-4, 0.125  # the venue's: of the index, at most this part of the mark


@lru_cache(maxsize=2)
def _coins(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_parquet(folder / "options.parquet"), pd.read_parquet(folder / "futures_curve_derived.parquet")


@lru_cache(maxsize=2)
def coin_times(folder: Path) -> list[pd.Timestamp]:
    """One snapshot a day, the one nearest 16:00 UTC."""
    times = pd.Series(sorted(_coins(folder)[0]["time"].unique()))
    away = (times - times.dt.normalize() - pd.Timedelta(hours=16)).abs()
    return list(times[away.groupby(times.dt.normalize()).idxmin()])


@lru_cache(maxsize=2)
def coin_history(folder: Path) -> pd.DataFrame:
    """Index prices of both coins by snapshot, one a day."""
    options = _coins(folder)[0]
    daily = options[options["time"].isin(coin_times(folder))]
    return daily.groupby(["time", "currency"], observed=True)["index_price"].median().unstack()


def coin_market(folder: Path, time: pd.Timestamp, coins: tuple[str, ...] = ("BTC", "ETH")) -> Market:
    """Options at their mids (the mark lies outside the quotes in a tenth of BTC's rows) and listed futures, in USD.

    Marks of one-sided quotes are the venue's. An option's forward is its row's; futures trade at their derived mark.
    """
    options, futures = (f[(f["time"] == time) & f["currency"].isin(coins)] for f in _coins(folder))
    options = options[(options["expiry"] > time) & (options["implied_volatility"] > 0) & (options["mark_price"] > 0)]
    futures = futures[futures["expiry"] > time]
    history = coin_history(folder)[list(coins)].loc[:time]
    table = pd.concat([
        pd.DataFrame({
            "instrument": options["instrument_name"].astype(str), "type": "inverse_option", "multiplier": 1.0,
            "underlying": options["currency"].astype(str), "expiry": options["expiry"], "strike": options["strike"],
            "right": np.where(options["option_type"] == "call", "C", "P"), "fee": OPTION_FEE, "fee_cap": FEE_CAP,
            "lot": np.where(options["currency"] == "BTC", 0.1, 1.0),
        }),
        pd.DataFrame({
            "instrument": futures["instrument_name"].astype(str), "type": "inverse_future", "fee": FUTURE_COST,
            "multiplier": 1.0, "underlying": futures["currency"].astype(str), "expiry": futures["expiry"], "lot": 10.0,
        }),
        pd.DataFrame({"instrument": [f"{c}-INDEX" for c in coins], "type": "index", "underlying": list(coins)}),
    ], ignore_index=True).assign(currency="USD")  # fmt: skip
    both = options["bid_price"].notna() & options["ask_price"].notna()
    mid = ((options["bid_price"] + options["ask_price"]) / 2).where(both, options["mark_price"])
    future = futures["mark_price"]
    quotes = pd.concat([
        pd.DataFrame({
            "instrument": options["instrument_name"].astype(str), "bid": options["bid_price"],
            "ask": options["ask_price"], "mark": mid, "vol": options["implied_volatility"],
            "underlying_price": options["underlying_price"],
        }),
        pd.DataFrame({
            "instrument": futures["instrument_name"].astype(str), "bid": future, "ask": future, "mark": future,
            "underlying_price": futures["index_price"],
        }),
        pd.DataFrame({"instrument": [f"{c}-INDEX" for c in coins], "mark": history.iloc[-1].to_numpy()}),
    ], ignore_index=True)  # fmt: skip
    drivers = pd.DataFrame({"driver": coins, "kind": "price", "underlying": coins, "currency": "USD", "market": True})
    return Market(
        table, quotes, "USD", drivers=drivers.assign(periods_per_year=365.0), history=history, as_of=time,
        on_missing="freeze", max_crossed=1.0,
    )  # fmt: skip
