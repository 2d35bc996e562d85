"""A small coin desk through time, shared by the tests of accounts, step and backtest: all by formula."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.market.events import Event
from optihedge.market.pricing import black
from optihedge.market.snapshot import Market

START = pd.Timestamp("2026-01-20T12:00:00Z")
EXPIRIES = [START + pd.Timedelta(days=days) for days in (5.5, 30)]


def path(steps: int, seed: int = 0) -> np.ndarray:
    """Spot of the coin, one level a step."""
    return 90_000 * np.exp(np.cumsum(0.02 * np.random.default_rng(seed).standard_normal(steps)))


def coin_markets(spots: np.ndarray, base: str = "USD", hours: float = 24.0, rename=str) -> list[Market]:
    """An index, coin and dollars, an inverse perpetual, a linear one, a future and calls and puts of two expiries."""
    return [_coin_market(spots[: i + 1], base, hours, rename) for i in range(len(spots))]


def _coin_market(spots: np.ndarray, base: str, hours: float, rename) -> Market:
    as_of, spot, vol = START + pd.Timedelta(hours=hours * (len(spots) - 1)), float(spots[-1]), 0.6
    rows = [("INDEX", "index", spot, 0.0, None), ("PERP", "inverse_perpetual", spot * 1.0005, 1.0, None),
            ("LIN", "perpetual", spot * 1.0004, 0.01, None)]  # fmt: skip
    options = []
    for number, expiry in enumerate(EXPIRIES):
        if expiry <= as_of:
            continue
        years = (expiry - as_of).total_seconds() / (365 * 86_400)
        forward = spot * np.exp(0.05 * years)
        rows.append((f"FUT{number}", "inverse_future", forward, 1.0, expiry))
        for right, sign, strike in (("C", 1, 95_000.0), ("P", -1, 85_000.0)):
            price = float(black(forward, strike, years, vol, sign)) / forward
            if price < 1e-12:
                continue
            options.append((f"{right}{number}", price, expiry, strike, right, forward))
    table = pd.DataFrame([(*r[:2], r[3], r[4]) for r in rows], columns=["instrument", "type", "lot", "expiry"])
    table["multiplier"] = np.where(table["type"].str.startswith("inverse"), 10.0, 1.0)
    more = pd.DataFrame(options, columns=["instrument", "mark", "expiry", "strike", "right", "underlying_price"])
    table = pd.concat([table, more[["instrument", "expiry", "strike", "right"]].assign(
        type="inverse_option", lot=0.1, multiplier=1.0)])  # fmt: skip
    table = pd.concat([table, pd.DataFrame({"instrument": ["COIN", "USD"], "type": "cash", "lot": 1.0,
                                            "currency": ["BTC", "USD"], "multiplier": 1.0})])  # fmt: skip
    table["lot"] = table["lot"].mask(table["lot"] == 0, 1.0)
    table["underlying"] = np.where(table["instrument"] == "USD", "USD", "BTC")
    table["currency"] = table["currency"].fillna("USD")
    table["expiry"] = pd.to_datetime(table["expiry"], utc=True)
    table["fee"], table["hedge"] = 1e-4, ~table["instrument"].isin(["INDEX", "COIN", "USD"])
    marks = pd.concat([pd.DataFrame({"instrument": [r[0] for r in rows], "mark": [r[2] for r in rows]}),
                       more[["instrument", "mark", "underlying_price"]]])  # fmt: skip
    half = np.where(marks["instrument"] == "INDEX", np.nan, 5e-4 * marks["mark"])
    marks["bid"], marks["ask"] = marks["mark"] - half, marks["mark"] + half
    for frame in (table, marks):
        frame["instrument"] = frame["instrument"].map(rename)
    times = pd.DatetimeIndex([START + pd.Timedelta(hours=hours * i) for i in range(len(spots))], name="time")
    drivers = pd.DataFrame({"driver": ["BTC"], "currency": ["USD"], "market": True, "periods_per_year": 365.0})
    return Market(table, marks, base, drivers=drivers, as_of=as_of, history=pd.DataFrame({"BTC": spots}, index=times))


def fundings(spots: np.ndarray, hours: float = 24.0, rename=str) -> list[Event]:
    """Every eight hours 1 bp of the level before, on both perpetuals: dollars per coin, coin per dollar."""
    events = []
    for eighth in range(1, int(hours * (len(spots) - 1) / 8) + 1):
        time = START + pd.Timedelta(hours=8 * eighth)
        spot = float(spots[int((8 * eighth - 1e-9) // hours)])
        for name, value, money in (("LIN", 1e-4 * spot, "USD"), ("PERP", 1e-4 / spot, "BTC")):
            events.append(Event(time, f"{name}-{eighth}", time, "funding", rename(name), value, money))
    return events


@dataclass(frozen=True)
class Trades:
    """What a rule answers."""

    trades: pd.Series


@dataclass(frozen=True)
class DeltaRule:
    """Sells the book's delta with one contract."""

    name: str = "PERP"

    def hedge(self, market: Market, book: pd.Series) -> Trades:
        delta = market.exposures["delta"]
        return Trades(pd.Series({self.name: -float(book @ delta.reindex(book.index)) / delta[self.name]}))
