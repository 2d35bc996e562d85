"""Loaders of the recorded markets, shared by tests and benchmarks. Every path comes from the `recorded` fixture."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from optihedge.market.forwards import parity_forwards
from optihedge.market.pricing import greeks, implied_vol, implied_vol_reason, years_between

SECTOR_ETFS = ("XLB", "XLE", "XLF", "XLI", "XLK", "XLP", "XLU", "XLV", "XLY")


def large_cap_returns(folder: Path) -> pd.DataFrame:
    """sp500_returns_2007_2016: T x 431 simple returns, the two spin-off artefacts its README names set to missing."""
    returns = pd.read_parquet(folder / "returns.parquet").astype(float).drop(columns="USDOLLAR")
    returns.loc["2008-07-03", "FIS"] = returns.loc["2011-07-01", "MRO"] = np.nan
    return returns


def equity_weights(
    returns: pd.DataFrame, sectors: Path, tilt: float = 1.0, count: int = 200, seed: int = 0
) -> np.ndarray:
    """Weights (stocks x count) of books of 30 long against 30 short of the stocks in `returns`, 1 / 30 each.

    A stock of three sectors (drawn anew per book) is `tilt` times as likely to be bought, one of three others as likely
    to be sold: 1 is a random book, inf sectors against sectors.
    """
    rng = np.random.default_rng(seed)
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
    return weights


def hedge_returns(etfs: Path, index: pd.Index) -> pd.DataFrame:
    """Returns of VTI and nine sector ETFs (T x 10) on these days."""
    return pd.read_parquet(etfs / "etf_returns.parquet")[["VTI", *SECTOR_ETFS]].reindex(index)


@lru_cache(maxsize=2)
def perpetual_closes(folder: Path) -> pd.DataFrame:
    """crypto_perp_daily: UTC day x 70 coins, closes in USDT; a coin not yet listed is missing."""
    daily = pd.read_parquet(folder / "perp_1d.parquet")
    closes = daily.pivot(index="date", columns="symbol", values="close").astype(float)
    return closes.set_axis(closes.columns.astype(str), axis=1).tz_localize("UTC")


def alt_weights(alts: pd.DataFrame, long_short: bool, count: int = 200, seed: int = 1) -> np.ndarray:
    """Weights (coins x count) of books of 10 of the coins in `alts`: 10 long or 5 against 5, a tenth each."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((alts.shape[1], count))
    signs = np.repeat([0.1, -0.1 if long_short else 0.1], 5)
    for book in range(count):
        weights[rng.choice(alts.shape[1], 10, replace=False), book] = signs
    return weights


def spx_chain(folder: Path) -> pd.DataFrame:
    """SPX options, 33 closes: quotedate, expiration, root, right, strike, bid, ask, vol, delta, gamma, spot, days and
    years.

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
    """Deribit BTC options, 7 snapshots; `years` from each quote's own time, `sign` +1 for a call, -1 for a put."""
    chain = pd.read_parquet(folder / "options.parquet")
    chain["years"] = years_between(chain["time"], chain["expiration"])
    chain["sign"] = np.where(chain["option_type"] == "call", 1.0, -1.0)
    return chain


@lru_cache(maxsize=1)
def clean_stocks(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """sp500_daily_2012_2017: closes (T x 432, USD) and dollar volume of the clean panel its README names; sectors."""
    about = pd.read_csv(folder / "symbols_sectors.csv", keep_default_na=False).set_index("symbol")
    clean = about[(about["n"].astype(int) == 1258) & ~about["suspect_adjustment"].isin(["True", True])]
    bars = pd.read_parquet(folder / "ohlcv.parquet", columns=["date", "symbol", "close", "volume"])
    bars = bars[bars["symbol"].isin(clean.index)]
    close = bars.pivot(index="date", columns="symbol", values="close").astype(float)
    volume = bars.pivot(index="date", columns="symbol", values="volume").astype(float)
    return close, (close * volume).ffill(), clean["gics_sector"].reindex(close.columns)


def with_forwards(chain: pd.DataFrame) -> pd.DataFrame:
    """One or more days of `spx_chain` with own parity forward and discount, sign (+1 / -1), and settlement `expiry`."""
    key = ["expiration", "root"]
    chain = chain[chain["years"] > 0]
    curves = {day: parity_forwards(quotes, key) for day, quotes in chain.groupby("quotedate")}
    curve = pd.concat(curves, names=["quotedate", *key])[["forward", "discount"]]
    chain = chain.join(curve, on=["quotedate", *key])
    hour = pd.to_timedelta(np.where(chain["root"] == "SPX", 9.5, 16.0), unit="h")
    chain = chain.assign(sign=np.where(chain["right"] == "C", 1.0, -1.0), expiry=chain["expiration"] + hour)
    return chain[chain["forward"].notna()]


def spx_quotes(chain: pd.DataFrame) -> pd.DataFrame:
    """Two-sided quotes of `with_forwards` for a surface, deltas 0.003 to 0.65 at mid, all expiries."""
    middle = (chain["bid"] + chain["ask"]) / 2
    terms = [chain[c] for c in ("forward", "strike", "years")]
    vol = implied_vol(middle, *terms, chain["sign"], chain["discount"])
    delta = np.abs(greeks(chain["forward"], *terms, np.where(vol > 0, vol, np.nan), chain["sign"]).delta)
    return chain.assign(size=delta)[(chain["bid"] > 0) & (delta > 0.003) & (delta < 0.65)]


def deribit_quotes(snapshot: pd.DataFrame) -> pd.DataFrame:
    """Two-sided quotes of one snapshot of `deribit_chain` in USD, each over its own forward, for a surface."""
    quotes = snapshot.rename(columns={"underlying_price": "forward", "expiration": "expiry"}).assign(
        right=np.where(snapshot["sign"] > 0, "C", "P"),
        discount=1.0,
        size=snapshot["delta"].abs(),
        days=snapshot["years"] * 365,
    )
    for side in ("bid", "ask"):
        quotes[side] = quotes[f"best_{side}_price"] * quotes["forward"]
    priced = (quotes["bid"] > 0) & (quotes["ask"] > 0) & quotes["size"].between(0.003, 0.65)
    middle = (quotes["bid"] + quotes["ask"]) / 2
    reason = implied_vol_reason(middle, quotes["forward"], quotes["strike"], quotes["years"], quotes["sign"])
    return quotes[priced & (reason == "")]
