"""Protective and covered books of US stocks with American options: `optimal_hedge` as shipped against the stock alone.

    OPTIHEDGE_DATA=... python benchmarks/stock_options.py [books]

Recorded chains two at a time: NVDA over its ex-date of 4 December 2025 (the only one recorded between two chains: a
cent a share, and options of three days), Apple over its split of seven for one, News Corp from day to day. A protective
book holds the stock and as many puts of random strikes and expiries, a covered one is short as many calls. Hedges: the
stock, and 20 other options. P&L at mids with the dividend, over the book's stock; deviation is the root mean square
over books; cost is half spreads. One step a chain: there are no intervals by day.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from option_books import Desk, rms  # noqa: E402
from test_american_recorded import APPLE, chain, daily  # noqa: E402

import optihedge as oh  # noqa: E402

DATA = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data"))
Pair = tuple[oh.Market, oh.Market, float, float]  # before, after, dividend a share, split


def recorded(name: str) -> Path:
    """A recorded folder."""
    return DATA / name


def nvda() -> Pair:
    """2 to 5 December 2025, a cent paid on the 4th."""
    rows = pd.read_parquet(recorded("us_stock_options_nvda_2025") / "options.parquet")
    known = [("2025-12-04", 0.01), ("2026-03-11", 0.01)]
    markets = []
    for when, mine in list(rows.groupby("time"))[:2]:
        ahead = [paid for paid in known if pd.Timestamp(paid[0], tz="UTC") > when]
        markets.append(chain(mine, float(mine["stock_last"].iloc[0]), when, "NVDA", 0.038, ahead))
    return markets[0], markets[1], 0.01, 1.0


def apple() -> Pair:
    """Over the weekend of the split."""
    before = daily(recorded, "AAPL", "2014-06-06", rate=0.002, paid=APPLE)
    return before, daily(recorded, "AAPL", "2014-06-09", rate=0.002, paid=APPLE, split=7.0), 0.0, 7.0


def news() -> Pair:
    """27 to 28 June 2013."""
    return *(daily(recorded, "NWSA", day, rate=0.002) for day in ("2013-06-27", "2013-06-28")), 0.0, 1.0


PAIRS = {"NVDA, a dividend": nvda, "AAPL, a split": apple, "NWSA, a day": news}


def earned(before: oh.Market, after: oh.Market, dividend: float, split: float) -> pd.Series:
    """P&L of one contract at mids over the step (no bid: at its neighbours' vol), NaN for what is gone."""
    table = before.instruments
    moved = {
        name: name if split == 1 or kind != "option" else f"{right}{round(strike / split, 2):g}-{name.split('-')[1]}"
        for name, kind, right, strike in zip(table.index, table["type"], table["right"], table["strike"], strict=True)
    }
    then = after.price.reindex([moved[name] for name in table.index]).to_numpy()
    cash = np.where(table["type"] == "equity", dividend, 0.0)
    return (split * then + cash - before.price) * table["multiplier"]


def books(market: oh.Market, alive: pd.Index, kind: str, count: int, rng: np.random.Generator) -> list[pd.Series]:
    """Stock and one to three lines of puts bought or calls sold, as many as the stock."""
    right, sign = ("P", 1.0) if kind == "protective" else ("C", -1.0)
    mine = alive[(market.instruments.loc[alive, "right"] == right).to_numpy()]
    drawn = []
    for _ in range(count):
        legs = rng.choice(mine, min(int(rng.integers(1, 4)), len(mine)), replace=False)
        size = float(rng.integers(5, 51))
        stock = pd.Series({market.names[0]: 100.0 * size * len(legs)})
        drawn.append(pd.concat([stock, pd.Series(sign * size, index=legs)]))
    return drawn


def report(name: str, count: int) -> None:
    """Deviation over books of each kind, hedged by the stock alone and by the model, and the cost."""
    before, after, dividend, split = PAIRS[name]()
    gain, delta = earned(before, after, dividend, split), before.exposures["delta"]
    share = (delta / before.notional).abs()
    sides = before.trade_cost.notna().all(axis=1)
    c = before.contracts
    alive = before.names[c.option & (c.years > 2 / 365) & share.between(0.05, 0.6) & sides & gain.notna()]
    model = oh.load_model("optimal_hedge")
    model = replace(model, risk=model.risk.fit(before).risk_)  # once for all books
    for kind in ("protective", "covered"):
        rng, rows = np.random.default_rng(3), []
        for book in books(before, alive, kind, count, rng):
            others = alive.difference(book.index)
            hedges = [before.names[0], *rng.choice(others, min(20, len(others)), replace=False)]
            desk, value = Desk.of(before, hedges), float(book.iloc[0] * before.price.iloc[0])
            own, plain = float(book @ gain[book.index]), desk.delta_hedge(float(book @ delta[book.index]))
            hedge = replace(model, universe=hedges).hedge(before, book)
            ours = hedge.trades.reindex(hedges).fillna(0.0).to_numpy()
            row: list[float] = []
            for trades in (plain, ours):
                row += [(own + trades @ gain[hedges].to_numpy()) / value, float(np.abs(trades) @ desk.cost) / value]
            rows.append(row)
        table = np.array(rows)
        one, other = rms(table[:, 0]), rms(table[:, 2])
        print(f"| {name} | {kind} | {len(alive)} | {one:.5f} | {other:.5f} | {other / one:.2f} | "
              f"{table[:, 1].mean():.6f} | {table[:, 3].mean():.6f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    print("| chain | book | options | delta only | optimal_hedge | ratio | cost, delta | cost, ours |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for chosen in PAIRS:
        report(chosen, int(sys.argv[1]) if len(sys.argv) > 1 else 40)
