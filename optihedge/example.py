"""The embedded example: a real book day, 30 June 2016, written as a market folder that every command can read.

Real: daily closes of 20 US stocks, the S&P 500 and five factor ETFs (skfolio, BSD-3), the VIX (arch, NCSA). Both come
inside their wheels; nothing is downloaded. Closes are adjusted for splits and dividends. Assumed, and labelled so in
the column `assumption` of instruments.csv: bid/ask spreads, volumes, fees, the futures' carry, and all option premiums
(Black's formula with the VIX as at-the-money volatility and the stated skew).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from optihedge.errors import require_extra
from optihedge.market.pricing import black, years_between

DAY = "2016-06-30"
AS_OF = pd.Timestamp("2016-06-30T20:00:00Z")  # 16:00 New York
HISTORY = 504  # days, about two years
EXPIRIES = {"SEP16": pd.Timestamp("2016-09-16T20:00:00Z"), "DEC16": pd.Timestamp("2016-12-16T21:00:00Z")}
CARRY = -0.014  # per year: a financing rate of 0.7 % less a dividend yield of 2.1 %
RATE = 0.007  # per year, continuous
SKEW = 0.35  # fall of implied vol per unit of ln(K/F) / sqrt(4 T): about 3.7 points at 90 % for three months
SECTORS = {
    "AAPL": "Technology", "AMD": "Technology", "MSFT": "Technology", "BAC": "Financials", "JPM": "Financials",
    "BBY": "Consumer", "HD": "Consumer", "WMT": "Consumer", "KO": "Staples", "PEP": "Staples", "PG": "Staples",
    "CVX": "Energy", "RRC": "Energy", "XOM": "Energy", "GE": "Industrials", "JNJ": "Health", "LLY": "Health",
    "MRK": "Health", "PFE": "Health", "UNH": "Health",
}  # fmt: skip
BOOK_DOLLARS = {  # what a stock picker might hold, thousands of USD; tilted long
    "AAPL": 900, "MSFT": 1_200, "AMD": 350, "JPM": 1_100, "BAC": 700, "HD": 900, "UNH": 800, "LLY": 600, "XOM": 500,
    "RRC": 250, "BBY": 300, "WMT": -700, "KO": -600, "PEP": -450, "PG": -800, "GE": -500, "CVX": -400, "PFE": -350,
    "MRK": -300, "JNJ": -550,
}  # fmt: skip
BOOK_OPTIONS = {"SPX-SEP16-1950-P": -12, "SPX-SEP16-2150-C": -15, "SPX-DEC16-2000-P": -5}
STRIP = {"SEP16": (1850, 1950, 2000, 2050, 2100, 2150, 2200), "DEC16": (1850, 2000, 2100, 2200)}
MODELLED = "premium modelled: Black, VIX at the money, stated skew"


@dataclass(frozen=True, eq=False)
class Example:
    """The market's frames and the book (contracts by instrument), as the files hold them."""

    instruments: pd.DataFrame
    quotes: pd.DataFrame
    drivers: pd.DataFrame
    history: pd.DataFrame
    book: pd.DataFrame


def implied_vol_assumed(strike: np.ndarray, forward: float, years: float, at_the_money: float) -> np.ndarray:
    """The example's skew: vol (decimal) falling in ln(K/F), flatter for longer expiries, at least 5 %."""
    return np.maximum(at_the_money - SKEW * np.log(np.asarray(strike) / forward) / np.sqrt(4 * years), 0.05)


def load_example() -> Example:
    """The frames of the example. Raises SpecError where the `demo` extra is not installed."""
    closes, vix = _closes()
    last = closes.iloc[-1]
    spot, vol = float(last["SPX"]), float(vix.iloc[-1]) / 100
    stocks, etfs = list(SECTORS), [c for c in closes.columns if c not in SECTORS and c != "SPX"]
    rows = [
        *(_share(name, last[name], 0.3, 0.5, sector=SECTORS[name]) for name in stocks),
        *(_share(name, last[name], 0.5, 2.0, sector="", hedge=True) for name in etfs),
        _index(spot),
        *(_future(label, expiry, spot) for label, expiry in EXPIRIES.items()),
        *(row for label, strikes in STRIP.items() for row in _options(label, strikes, spot, vol)),
    ]
    table = pd.DataFrame(rows)
    quoted = ["bid", "ask", "volume", "vol"]
    drivers = pd.DataFrame({"driver": [*closes.columns, "SPX-VOL"], "kind": ["price"] * closes.shape[1] + ["vol"]})
    drivers["underlying"] = np.where(drivers["driver"] == "SPX-VOL", "SPX", drivers["driver"])
    drivers["tenor"] = np.where(drivers["driver"] == "SPX-VOL", "30d", "")
    drivers["market"] = drivers["driver"] == "SPX"
    drivers["periods_per_year"] = 252
    drivers["known_at"] = "16:00 America/New_York"
    history = closes.assign(**{"SPX-VOL": vix / 100}).round(6)
    history.index = history.index.strftime("%Y-%m-%d")
    dollars = pd.Series(BOOK_DOLLARS) * 1_000
    book = pd.concat([(dollars / last[dollars.index]).round(-1), pd.Series(BOOK_OPTIONS, dtype=float)])
    return Example(
        instruments=table.drop(columns=quoted),
        quotes=table[["instrument", *quoted]].dropna(subset=["bid"]),
        drivers=drivers,
        history=history.rename_axis("time").reset_index(),
        book=book.astype(int).rename_axis("instrument").rename("quantity").reset_index(),
    )


def write_example(folder: Path | str) -> Path:
    """Write the example as a market folder (CSV files and market.toml) and return its path.

    >>> import optihedge as oh
    >>> folder = oh.write_example("example")
    >>> sorted(path.name for path in folder.iterdir())
    ['book.csv', 'drivers.csv', 'history.csv', 'instruments.csv', 'market.toml', 'quotes.csv']
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    example = load_example()
    for name in ("instruments", "quotes", "drivers", "history", "book"):
        getattr(example, name).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    (folder / "market.toml").write_text(f'base_currency = "USD"\nas_of = "{AS_OF:%Y-%m-%dT%H:%M:%SZ}"\n', "utf-8")
    return folder


def _closes() -> tuple[pd.DataFrame, pd.Series]:
    try:
        import arch.data.vix
        from skfolio.datasets import load_factors_dataset, load_sp500_dataset, load_sp500_index
    except ImportError:
        raise require_extra("skfolio and arch", "demo") from None
    index = load_sp500_index()["SP500"].rename("SPX")
    closes = pd.concat([load_sp500_dataset(), load_factors_dataset(), index], axis=1, join="inner")
    closes = closes.loc[:DAY].tail(HISTORY)
    return closes, arch.data.vix.load()["vix"].reindex(closes.index)


def _share(name: str, price: float, fee_bp: float, half_spread_bp: float, *, sector: str, hedge: bool = False) -> dict:
    half = max(0.005, price * half_spread_bp * 1e-4)
    return {
        "instrument": name, "type": "equity", "underlying": name, "multiplier": 1, "lot": 1 if hedge else 10,
        "tick": 0.01, "fee": fee_bp * 1e-4, "hedge": hedge, "sector": sector, "venue": "XNYS",
        "bid": round(price - half, 2), "ask": round(price + half, 2),
        "volume": round((3e7 if hedge else 6e8) / price, -3),
        "assumption": "spread, volume and fee assumed",
    }  # fmt: skip


def _index(spot: float) -> dict:
    return {"instrument": "SPX", "type": "index", "underlying": "SPX", "multiplier": 1, "lot": 1, "tick": 0.01,
            "hedge": False, "sector": "", "bid": spot, "ask": spot, "assumption": "not tradable"}  # fmt: skip


def _forward(expiry: pd.Timestamp, spot: float) -> tuple[float, float]:
    years = float(years_between(AS_OF, expiry))
    return spot * np.exp(CARRY * years), years


def _future(label: str, expiry: pd.Timestamp, spot: float) -> dict:
    price, _ = _forward(expiry, spot)
    return {
        "instrument": f"ES-{label}", "type": "future", "underlying": "SPX", "multiplier": 50, "expiry": _iso(expiry),
        "lot": 1, "tick": 0.25, "fee": 2.0 / (50 * spot), "hedge": True, "sector": "", "venue": "XCME",
        "bid": np.floor(price * 4) / 4, "ask": np.floor(price * 4) / 4 + 0.25,
        "volume": 1_500_000 if label == "SEP16" else 20_000,
        "assumption": f"price modelled: index x exp({CARRY} x years); spread, volume and fee assumed",
    }  # fmt: skip


def _options(label: str, strikes: tuple[int, ...], spot: float, at_the_money: float) -> list[dict]:
    forward, years = _forward(EXPIRIES[label], spot)
    strike = np.array(strikes, dtype=float)
    right = np.where(strike <= forward, -1.0, 1.0)
    vol = implied_vol_assumed(strike, forward, years, at_the_money)
    middle = black(forward, strike, years, vol, right, np.exp(-RATE * years))
    half = np.maximum(0.15, 0.015 * middle)
    bid, ask = np.round((middle - half) * 20) / 20, np.round((middle + half) * 20) / 20
    return [
        {
            "instrument": f"SPX-{label}-{k:.0f}-{'C' if r > 0 else 'P'}", "type": "option", "underlying": "SPX",
            "multiplier": 100, "expiry": _iso(EXPIRIES[label]), "strike": k, "right": "C" if r > 0 else "P",
            "forward": f"ES-{label}", "lot": 1, "tick": 0.05, "fee": 1.0 / (100 * spot), "hedge": True,
            "sector": "", "venue": "XCBO", "bid": b, "ask": a, "vol": round(v, 6), "volume": 3_000,
            "assumption": f"{MODELLED}; spread, volume and fee assumed",
        }
        for k, r, b, a, v in zip(strike, right, bid, ask, vol, strict=True)
    ]  # fmt: skip


def _iso(instant: pd.Timestamp) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
