"""Loaders of the recorded markets, shared by tests and benchmarks. Every path comes from the `recorded` fixture."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from optihedge.market.pricing import years_between

SECTOR_ETFS = ("XLB", "XLE", "XLF", "XLI", "XLK", "XLP", "XLU", "XLV", "XLY")


def large_cap_returns(folder: Path) -> pd.DataFrame:
    """sp500_returns_2007_2016: T x 431 simple returns, the two spin-off artefacts its README names set to missing."""
    returns = pd.read_parquet(folder / "returns.parquet").astype(float).drop(columns="USDOLLAR")
    returns.loc["2008-07-03", "FIS"] = returns.loc["2011-07-01", "MRO"] = np.nan
    return returns


def equity_books(stocks: Path, etfs: Path, sectors: Path, tilt: float = 1.0, count: int = 200, seed: int = 0):
    """Returns of books of 30 long against 30 short stocks (T x count), and of VTI and nine sector ETFs (T x 10).

    A stock of three sectors (drawn anew per book) is `tilt` times as likely to be bought, one of three others as likely
    to be sold: 1 is a random book, inf sectors against sectors.
    """
    rng = np.random.default_rng(seed)
    returns = large_cap_returns(stocks)
    sector = pd.read_csv(sectors / "symbols_sectors.csv").set_index("symbol")["gics_sector"].reindex(returns.columns)
    names = np.array(sorted(sector.dropna().unique()))
    weights = np.zeros((returns.shape[1], count))
    for book in range(count):
        drawn = rng.permutation(names)
        longs, shorts = (np.where(sector.isin(part), 1.0, 1.0 / tilt) for part in (drawn[:3], drawn[3:6]))
        chosen = rng.choice(len(longs), 30, replace=False, p=longs / longs.sum())
        shorts[chosen] = 0.0
        against = rng.choice(len(shorts), 30, replace=False, p=shorts / shorts.sum())
        weights[chosen, book], weights[against, book] = 1 / 30, -1 / 30
    hedges = pd.read_parquet(etfs / "etf_returns.parquet")[["VTI", *SECTOR_ETFS]].reindex(returns.index)
    return pd.DataFrame(returns.fillna(0.0).to_numpy() @ weights, index=returns.index), hedges


@lru_cache(maxsize=2)
def perpetual_closes(folder: Path) -> pd.DataFrame:
    """crypto_perp_daily: UTC day x 70 coins, closes in USDT; a coin not yet listed is missing."""
    daily = pd.read_parquet(folder / "perp_1d.parquet")
    closes = daily.pivot(index="date", columns="symbol", values="close").astype(float)
    return closes.set_axis(closes.columns.astype(str), axis=1).tz_localize("UTC")


def alt_books(folder: Path, long_short: bool, count: int = 200, seed: int = 1):
    """Returns of books of 10 alt perpetuals of full history (T x count; 10 long, or 5 against 5), and of BTC and ETH."""
    rng = np.random.default_rng(seed)
    returns = perpetual_closes(folder).pct_change(fill_method=None).iloc[1:].dropna(axis=1)
    alts = returns.drop(columns=["BTCUSDT", "ETHUSDT"])
    weights = np.zeros((alts.shape[1], count))
    signs = np.repeat([0.1, -0.1 if long_short else 0.1], 5)
    for book in range(count):
        weights[rng.choice(alts.shape[1], 10, replace=False), book] = signs
    return pd.DataFrame(alts.to_numpy() @ weights, index=alts.index), returns[["BTCUSDT", "ETHUSDT"]]


def spx_chain(folder: Path) -> pd.DataFrame:
    """SPX options, 33 closes: quotedate, expiration, root, right, strike, bid, ask, vol, delta, gamma, spot, days, years.

    SPX settles at the open of New York (09:30), SPXW at the close (16:00), at which the quotes were taken.
    """
    raw = pd.read_parquet(folder / "spx_chain.parquet")
    chain = raw[["quotedate", "expiration"]].copy()
    chain["root"], chain["right"] = raw["root"].astype(str), raw["type"].astype(str)
    for name, column in (("strike", "strike"), ("bid", "bid"), ("ask", "ask"), ("vol", "impliedvol")):
        chain[name] = raw[column].astype(float).round(4)  # the file holds single precision
    for name, column in (("delta", "delta"), ("gamma", "gamma"), ("spot", "underlying_last")):
        chain[name] = raw[column].astype(float).round(6)
    chain["days"] = (chain["expiration"] - chain["quotedate"]).dt.days
    chain["years"] = chain["days"] / 365 - np.where(chain["root"] == "SPX", 6.5 / 24 / 365, 0.0)
    return chain


def deribit_chain(folder: Path) -> pd.DataFrame:
    """Deribit BTC options, 7 snapshots, with `years` from each quote's own time and `sign` +1 for a call, -1 for a put."""
    chain = pd.read_parquet(folder / "options.parquet")
    chain["years"] = years_between(chain["time"], chain["expiration"])
    chain["sign"] = np.where(chain["option_type"] == "call", 1.0, -1.0)
    return chain
