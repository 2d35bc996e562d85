"""Small markets that tests share: plain stocks, a desk with its own Greeks, options under a flat vol."""

import numpy as np
import pandas as pd

from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.objective import Variance
from optihedge.market.pricing import black
from optihedge.market.snapshot import Market
from optihedge.risk.root import Risk

AS_OF = pd.Timestamp("2024-03-01T21:00:00Z")


def stocks(
    n: int = 5, days: int = 120, seed: int = 0, *, spread: float = 1e-3, fee: float = 0.0, **columns: object
) -> Market:
    """n stocks S0, S1, ... driven by one factor; the last one is an index-like hedge with little of its own."""
    rng = np.random.default_rng(seed)
    own = np.full(n, 0.01)
    own[-1] = 0.001
    moves = rng.normal(0, 0.01, (days, 1)) + rng.normal(0, 1, (days, n)) * own
    levels = 50 * (1 + np.arange(n)) * np.cumprod(1 + moves, axis=0)
    names = [f"S{i}" for i in range(n)]
    index = pd.bdate_range(end="2024-03-01", periods=days, tz="UTC", name="time")
    table = pd.DataFrame({key: value for key, value in columns.items()}, index=names) if columns else None
    return Market.from_prices(
        pd.DataFrame(levels, columns=names, index=index), base_currency="USD", spread=spread, fee=fee, instruments=table
    )


def own_greeks(greeks: dict[str, tuple[float, ...]], columns: tuple[str, ...], half_spread: float = 0.0) -> Market:
    """Instruments at price 1 whose exposures are the desk's own; no history."""
    names = pd.Index(list(greeks), name="instrument")
    return Market(
        instruments=pd.DataFrame({"type": "equity"}, index=names),
        quotes=pd.DataFrame({"bid": 1.0 - half_spread, "ask": 1.0 + half_spread}, index=names),
        base_currency="USD",
        own_exposures=pd.DataFrame(list(greeks.values()), index=names, columns=list(columns)),
        as_of=AS_OF,
    )


def options(
    vol: float = 0.2, strikes: tuple[float, ...] = (90, 100, 110), days: tuple[int, ...] = (30, 90), *,
    half_spread: float = 0.02, spot: float = 100.0, history_vol: float | None = None,
) -> Market:  # fmt: skip
    """European options on U under a flat vol, no rate; the stock U, a future per expiry; drivers U and its vol."""
    rng = np.random.default_rng(3)
    rows, quotes = [], []
    for day in days:
        expiry = AS_OF + pd.Timedelta(days=day)
        for strike in strikes:
            for right, sign in (("C", 1), ("P", -1)):
                price = float(black(spot, strike, day / 365, vol, sign))
                rows.append((f"{right}{strike:g}-{day}", "option", "U", 1.0, expiry, strike, right))
                quotes.append((max(price - half_spread, 0.0), price + half_spread, price, vol))
        rows.append((f"F-{day}", "future", "U", 1.0, expiry, np.nan, ""))
        quotes.append((spot - 0.001, spot + 0.001, spot, np.nan))
    rows.append(("U", "equity", "U", 1.0, pd.NaT, np.nan, ""))
    quotes.append((spot - 0.005, spot + 0.005, spot, np.nan))
    names = pd.Index([row[0] for row in rows], name="instrument")
    columns = ["type", "underlying", "multiplier", "expiry", "strike", "right"]
    instruments = pd.DataFrame([row[1:] for row in rows], index=names, columns=columns)
    instruments["lot"] = 1e-6
    time = pd.date_range(end=AS_OF, periods=80, freq="D", name="time")
    returns = rng.normal(0, 1, 79)
    returns *= (vol if history_vol is None else history_vol) / np.sqrt(365) / np.sqrt((returns**2).mean())
    level = np.concatenate([[1.0], np.cumprod(1 + returns)])
    wobble = vol + 0.01 * np.sin(np.arange(80.0))
    return Market(
        instruments=instruments,
        quotes=pd.DataFrame(quotes, index=names, columns=["bid", "ask", "mark", "vol"]),
        base_currency="USD",
        drivers=pd.DataFrame({"driver": ["U", "U-vol"], "kind": ["price", "vol"], "underlying": ["U", "U"]}),
        history=pd.DataFrame({"U": level * spot / level[-1], "U-vol": wobble}, index=time),
        as_of=AS_OF,
    )


def flat_risk(market: Market, volatility: float = 0.01) -> Risk:
    """Every driver moves by `volatility` a period, half of its variance shared."""
    count = len(market.drivers)
    return Risk(
        np.full((1, count), volatility / np.sqrt(2)), np.full(count, volatility / np.sqrt(2)), market.drivers.index,
        market.periods_per_year,
    )  # fmt: skip


def simple(market: Market, **given: object) -> HedgeModel:
    """Variance and spread under the true risk; S2 may be traded."""
    given = {"risk": flat_risk(market), "objective": (Variance(1e-5), SpreadCost()), "universe": ("S2",)} | given
    return HedgeModel(**given)


def walk(columns: int, rows: int = 30, seed: int = 0, days: str = "B") -> pd.DataFrame:
    steps = np.random.default_rng(seed).normal(0, 0.01, (rows, columns))
    index = pd.date_range("2016-01-04", periods=rows, freq=days)
    return pd.DataFrame(100 * np.exp(steps.cumsum(axis=0)), index, [f"S{i}" for i in range(columns)])
