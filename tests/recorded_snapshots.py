"""Two coins' options at the same instants (deribit_btc_eth_2026) as markets of the whole venue."""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from optihedge.market.snapshot import Market

COINS = ("BTC", "ETH")


@lru_cache(maxsize=1)
def _tables(folder: Path) -> tuple[dict[pd.Timestamp, pd.DataFrame], pd.DataFrame]:
    options = pd.read_parquet(folder / "options.parquet")
    for column in ("bid_price", "ask_price", "mark_price", "strike", "implied_volatility", "underlying_price"):
        options[column] = options[column].astype(float)
    return dict(iter(options.groupby("time"))), options.groupby(["time", "currency"], observed=True)[
        "index_price"
    ].median()


def coin_times(folder: Path) -> list[pd.Timestamp]:
    """The instants of the snapshots, in order."""
    return sorted(_tables(folder)[0])


def coin_levels(folder: Path) -> pd.DataFrame:
    """Index of BTC and ETH by snapshot."""
    return _tables(folder)[1].unstack("currency")[list(COINS)].astype(float)


def coin_market(folder: Path, time: pd.Timestamp, history: pd.DataFrame | None = None) -> Market:
    """The options, indices and coins of one snapshot in USD, with the indices so far as history (where given)."""
    rows = _tables(folder)[0][time]
    rows = rows[(rows["expiry"] > time) & (rows["underlying_price"] > 0) & (rows["implied_volatility"] > 0)]
    coin = rows["currency"].astype(str)
    fee = 0.0003
    instruments = pd.concat([
        pd.DataFrame({
            "instrument": rows["instrument_name"].astype(str), "type": "inverse_option", "underlying": coin,
            "currency": "USD", "expiry": rows["expiry"], "strike": rows["strike"],
            "right": rows["option_type"].astype(str).str[0].str.upper(), "fee": fee, "fee_cap": 0.125, "lot": 0.1,
        }),
        pd.DataFrame({
            "instrument": [f"{c}-INDEX" for c in COINS] + [*COINS, "USD"], "type": ["index"] * 2 + ["cash"] * 3,
            "underlying": [*COINS, *COINS, "USD"], "currency": ["USD", "USD", *COINS, "USD"],
        }),
    ], ignore_index=True)  # fmt: skip
    instruments["venue"] = "deribit"
    quotes = pd.DataFrame({
        "instrument": rows["instrument_name"].astype(str), "bid": rows["bid_price"], "ask": rows["ask_price"],
        "mark": rows["mark_price"], "vol": rows["implied_volatility"], "underlying_price": rows["underlying_price"],
    })  # fmt: skip
    outside = (quotes["mark"] > quotes["ask"]) | (quotes["mark"] < quotes["bid"])
    quotes.loc[outside, "mark"] = float("nan")
    level = coin_levels(folder).loc[time]
    quotes = pd.concat([quotes, pd.DataFrame({"instrument": [f"{c}-INDEX" for c in COINS], "mark": level.to_numpy()})])
    quotes["bid"], quotes["ask"] = quotes["bid"].astype(float), quotes["ask"].astype(float)
    drivers = pd.DataFrame({"driver": COINS, "kind": "price", "currency": "USD", "periods_per_year": 365.0})
    past = None if history is None else history[history.index <= time]
    return Market(
        instruments=instruments, quotes=quotes, drivers=drivers, history=past, base_currency="USD", as_of=time,
        on_missing="freeze",
    )  # fmt: skip
