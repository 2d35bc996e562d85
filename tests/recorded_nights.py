"""Recorded desks through time: markets one after the other, with nothing from after them, and their events."""

from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from recorded_markets import EQUITY_FEE, EQUITY_SPREAD, NEW_YORK, perpetual_fundings, spot_perpetual_panel

from optihedge.market.events import Event
from optihedge.market.snapshot import Market
from optihedge.market.stocks import stock_frames

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
    folder: Path,
    time: pd.Timestamp,
    coins: tuple[str, ...] = ("BTC", "ETH"),
    reach: float = 0.5,
    keep: tuple[str, ...] = (),
) -> Market:
    """Deribit at one snapshot in USD: options with strikes within `reach` of the index (log) and those to keep, listed
    futures, coin cash.

    Options at mid where both sides are quoted, else at the venue's mark; futures' spreads are assumed.
    """
    options, curve, history = _coins(folder)
    options = options[(options["time"] == time) & options["currency"].isin(coins) & (options["expiry"] > time)]
    near = np.abs(np.log(options["strike"] / options["index_price"])) < reach
    options = options[near | options["instrument_name"].isin(keep)]
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


# ---- spot against perpetuals, with funding --------------------------------------------------------------------------


def carry_fundings(folder: Path, exchange: str = "binance", suffix: str = "") -> list[Event]:
    """Every funding of both perpetuals: USDT per coin, the rate paid x the perpetual's last price at that instant.

    suffix   of the perpetuals' names, where a market lists those of several venues
    """
    panel, rates = spot_perpetual_panel(folder, exchange), perpetual_fundings(folder, exchange)
    events = []
    for coin in ("BTC", "ETH"):
        rate, price = rates[coin].dropna(), panel[(coin, "perp")].ffill()
        last = price.reindex(rate.index, method="ffill").dropna()
        for time, known in last.items():
            label, name = f"{coin}{suffix}-{time:%Y%m%d%H}", f"{coin}-PERP{suffix}"
            events.append(Event(time, label, time, "funding", name, float(rate[time]) * float(known), "USDT"))
    return events


# ---- stocks with dividends and splits, and true ETFs -----------------------------------------------------------------

OPEN = pd.Timedelta(hours=9, minutes=30)
ETFS = ("VTI", "XLB", "XLE", "XLF", "XLI", "XLK", "XLP", "XLU", "XLV", "XLY")


@lru_cache(maxsize=1)
def _stocks(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    prices = pd.read_parquet(folder / "prices_2012_2017.parquet", columns=["date", "symbol", "close"])
    closes = prices.assign(symbol=prices["symbol"].astype(str)).pivot(index="date", columns="symbol", values="close")
    events = pd.read_parquet(folder / "events_1999_2017.parquet")
    events = events.assign(symbol=events["symbol"].astype(str), flag=events["flag"].astype(str))
    ratio = events["split_coefficient"]  # written 7.000007 for 7
    exact = ratio.map(lambda value: float(Fraction(value).limit_denominator(100)))
    events["split_coefficient"] = exact.where((exact / ratio - 1).abs() < 1e-4, ratio)
    closes = closes.dropna(axis=1)
    return closes, events[events["symbol"].isin(closes.columns)]


def stock_names(folder: Path) -> list[str]:
    """Names with a close on every day and no spin-off booked as a dividend."""
    closes, events = _stocks(folder)
    odd = set(events[(events["date"] >= "2012") & events["flag"].str.contains("spin")]["symbol"])
    return [name for name in closes.columns if name not in odd]


def stock_events(folder: Path, names: list[str], first: str, last: str) -> list[Event]:
    """Dividends and splits at the open of their ex-dates."""
    rows = _stocks(folder)[1]
    rows = rows[rows["symbol"].isin(names) & rows["date"].between(first, last)]
    events = []
    for row in rows.itertuples():
        time = (row.date + OPEN).tz_localize("America/New_York").tz_convert("UTC")
        label = f"{row.symbol}-{row.date:%Y%m%d}"
        if row.split_coefficient != 1.0:
            events.append(Event(time, f"{label}-split", time, "split", row.symbol, row.split_coefficient))
        if row.dividend_amount > 0:
            events.append(Event(time, f"{label}-div", time, "dividend", row.symbol, row.dividend_amount, "USD"))
    return events


def stock_market(folder: Path, etfs: Path, day: pd.Timestamp, names: list[str], rows: int = 504) -> Market:
    """Stocks at their raw closes and ten ETFs (levels of total return), in USD; the past is adjusted for splits so far.

    Assumed: spread and fee as for large stocks; only the ETFs may be traded, VTI is the market.
    """
    closes, events = _stocks(folder)
    past = closes.loc[:day, names].iloc[-rows:].copy()
    splits = events[events["symbol"].isin(names) & (events["split_coefficient"] != 1.0) & (events["date"] <= day)]
    for row in splits.itertuples():
        past.loc[past.index < row.date, row.symbol] /= row.split_coefficient
    returns = pd.read_parquet(etfs / "etf_returns.parquet")[list(ETFS)]
    levels = 100 * (1 + returns.loc["2010":].fillna(0.0)).cumprod()
    past = past.join(levels.reindex(past.index).ffill())
    table = pd.DataFrame({"hedge": past.columns.isin(ETFS)}, index=past.columns)
    frames = stock_frames(past, None, EQUITY_SPREAD, EQUITY_FEE, None, table, f"16:00 {NEW_YORK}")
    frames["drivers"] = frames["drivers"].assign(market=frames["drivers"]["driver"].eq("VTI"), periods_per_year=252.0)
    return Market(base_currency="USD", **frames)
