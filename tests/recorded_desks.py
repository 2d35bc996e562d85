"""Recorded desks: a market with quotes, and a book drawn on it, by place."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from recorded_markets import (
    deribit_market,
    deribit_snapshots,
    perpetual_market,
    sp500_market,
    spot_perpetual_market,
    spx_days,
    spx_market,
)

import optihedge as oh


def options_book(market: oh.Market, until: oh.Market | None = None) -> pd.Series:
    """Eight options drawn of the market; of those that are still there at another one, where it is given."""
    options = market.names[market.instruments["strike"].notna().to_numpy() & market.trade_cost.notna().all(axis=1)]
    options = options if until is None else options[options.isin(until.names)]
    chosen = np.random.default_rng(0).choice(len(options), 8, replace=False)
    lots = market.instruments["lot"].reindex(options[chosen])
    return pd.Series(np.array([10.0, -20, 15, -5, 8, -12, 6, -9]) * lots.to_numpy(), options[chosen])


def names_book(market: oh.Market) -> pd.Series:
    names = market.names[~market.instruments["hedge"].to_numpy(dtype=bool)][:12]
    size = 1e6 / market.notional[names]
    return (size * np.where(np.arange(len(names)) % 3, 1.0, -0.6)).round()


def coin_book(market: oh.Market) -> pd.Series:
    spot = market.names[market.instruments["type"].isin(["spot", "equity"]).to_numpy()]
    return pd.Series(25.0, spot)


RECORDED: dict[str, tuple[str, Callable[[Path], oh.Market], Callable[[oh.Market], pd.Series]]] = {
    "Deribit": ("deribit_btc_2026", lambda f: deribit_market(f, deribit_snapshots(f)[2]), options_book),
    "SPX": ("spx_options_2019", lambda f: spx_market(f, spx_days(f)[10]), options_book),
    "stocks": ("sp500_daily_2012_2017", lambda f: sp500_market(f, "2016-06-30"), names_book),
    "alts": ("crypto_perp_daily", lambda f: perpetual_market(f, "2024-06-30"), names_book),
    "coins": ("crypto_spot_perp_8h_2023_2024", lambda f: spot_perpetual_market(f, "2024-03-01T08:00Z"), coin_book),
}


def front(market: oh.Market, days: int) -> oh.Market:
    """The market without the options that expire later than in so many days."""
    table = market.instruments
    late = table["strike"].notna() & (table["expiry"] > market.as_of + pd.Timedelta(days=days))
    kept = table.index[~late]
    return oh.Market(
        table.loc[kept], market.quotes.loc[market.quotes.index.isin(kept)], market.base_currency,
        drivers=market.drivers, history=market.history, as_of=market.as_of, on_missing=market.on_missing,
    )  # fmt: skip
