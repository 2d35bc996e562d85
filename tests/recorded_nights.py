"""Recorded desks through time: markets one after the other, with nothing from after them, and their events."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from optihedge.market.snapshot import Market

COIN_TENORS = {"7d": 7, "30d": 30, "90d": 90, "180d": 180}
FUTURE_SPREAD = 4e-4  # assumed: whole spread of a listed coin future, fraction of price
OPTION_FEE, OPTION_FEE_CAP, FUTURE_FEE = 3e-4, 0.125, 5e-4  # Deribit's published taker fees


@lru_cache(maxsize=1)
def _coins(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    options = pd.read_parquet(folder / "options.parquet")
    for name in ("currency", "instrument_name", "option_type", "underlying_index"):
        options[name] = options[name].astype(str)
    options = options[(options["underlying_index"] != "SYN.EXPIRY") & (options["implied_volatility"] > 0)]
    curve = pd.read_parquet(folder / "futures_curve_derived.parquet")
    curve[["currency", "instrument_name"]] = curve[["currency", "instrument_name"]].astype(str)
    return options, curve, _coin_history(options)


def _coin_history(options: pd.DataFrame) -> pd.DataFrame:
    """Snapshot x (coin, vol:coin:tenor): the index, and the vol at the moving forward interpolated to each tenor."""
    options = options.assign(days=(options["expiry"] - options["time"]).dt.total_seconds() / 86_400)
    near = options[(np.abs(options["strike"] / options["underlying_price"] - 1) < 0.05) & (options["days"] > 1)]
    weight = 1 / (1e-3 + np.abs(near["strike"] / near["underlying_price"] - 1))
    near = near.assign(weighted=near["implied_volatility"] * weight, weight=weight)
    level = near.groupby(["currency", "time", "days"])[["weighted", "weight"]].sum()
    level = level["weighted"] / level["weight"]
    rows: dict[str, dict] = {}
    for (coin, time), vols in level.groupby(level=["currency", "time"]):
        days = vols.index.get_level_values("days").to_numpy()
        for tenor, at in COIN_TENORS.items():
            rows.setdefault(f"vol:{coin}:{tenor}", {})[time] = float(np.interp(at, days, vols.to_numpy()))
    index = options.groupby(["time", "currency"])["index_price"].median().unstack()
    return pd.concat([index, pd.DataFrame(rows)], axis=1).sort_index().dropna()


def coin_days(folder: Path) -> list[pd.Timestamp]:
    """The snapshots, one a day: the last of each UTC day."""
    times = _coins(folder)[2].index.to_series()
    return list(times.groupby(times.dt.normalize()).last())


def coin_market(
    folder: Path, time: pd.Timestamp, coins: tuple[str, ...] = ("BTC", "ETH"), reach: float = 0.5
) -> Market:
    """Deribit at one snapshot in USD: options with strikes within `reach` of the index, listed futures, coin cash.

    Options at mid where both sides are quoted, else at the venue's mark; futures' spreads are assumed.
    """
    options, curve, history = _coins(folder)
    options = options[(options["time"] == time) & options["currency"].isin(coins) & (options["expiry"] > time)]
    options = options[np.abs(np.log(options["strike"] / options["index_price"])) < reach]
    curve = curve[(curve["time"] == time) & curve["currency"].isin(coins) & (curve["expiry"] > time)]
    past = history.loc[:time]
    table, quotes = [], []
    table.append(pd.DataFrame({
        "instrument": options["instrument_name"], "type": "inverse_option", "underlying": options["currency"],
        "currency": "USD", "expiry": options["expiry"], "strike": options["strike"], "multiplier": 1.0,
        "right": np.where(options["option_type"] == "call", "C", "P"), "lot": 0.1, "fee": OPTION_FEE,
        "fee_cap": OPTION_FEE_CAP, "hedge": True, "tick": 1e-4,
    }))  # fmt: skip
    bid, ask, mark = options["bid_price"], options["ask_price"], options["mark_price"]
    quotes.append(pd.DataFrame({
        "instrument": options["instrument_name"], "bid": bid, "ask": ask, "vol": options["implied_volatility"],
        "mark": ((bid + ask) / 2).fillna(mark.clip(lower=bid.fillna(0.0), upper=ask.fillna(np.inf))),
        "underlying_price": options["underlying_price"],
    }))  # fmt: skip
    table.append(pd.DataFrame({
        "instrument": curve["instrument_name"], "type": "inverse_future", "underlying": curve["currency"],
        "currency": "USD", "expiry": curve["expiry"], "multiplier": 10.0, "lot": 1.0, "fee": FUTURE_FEE, "hedge": True,
    }))  # fmt: skip
    half = curve["mark_price"] * FUTURE_SPREAD / 2
    quotes.append(pd.DataFrame({
        "instrument": curve["instrument_name"], "bid": curve["mark_price"] - half, "ask": curve["mark_price"] + half,
        "mark": curve["mark_price"], "underlying_price": past.iloc[-1].reindex(curve["currency"]).to_numpy(),
    }))  # fmt: skip
    for coin in coins:
        table.append(pd.DataFrame({"instrument": [f"{coin}-INDEX", coin], "type": ["index", "cash"],
                                   "underlying": coin, "currency": ["USD", coin]}))  # fmt: skip
        quotes.append(pd.DataFrame({"instrument": [f"{coin}-INDEX"], "mark": [past[coin].iloc[-1]]}))
    names = [name for name in past.columns if name.removeprefix("vol:").split(":")[0] in coins]
    drivers = pd.DataFrame({"driver": names})
    drivers["kind"] = np.where(drivers["driver"].str.startswith("vol:"), "vol", "price")
    drivers["underlying"] = drivers["driver"].where(drivers["kind"] == "price", drivers["driver"].str.split(":").str[1])
    drivers["tenor"] = drivers["driver"].str.split(":").str[2].fillna("")
    drivers["currency"] = np.where(drivers["kind"] == "price", "USD", "")
    drivers["market"] = drivers["kind"] == "price"
    drivers["periods_per_year"] = 365.0
    daily = past[names].groupby(past.index.normalize()).last()
    daily.index = [past.index[past.index.normalize() == day][-1] for day in daily.index]
    return Market(
        pd.concat(table, ignore_index=True), pd.concat(quotes, ignore_index=True), "USD", drivers=drivers,
        history=daily.rename_axis("time"), as_of=time, on_missing="freeze",
    )  # fmt: skip
