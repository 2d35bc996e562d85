"""Scenario hedging of SPX option books against Greek hedging, day by day on recorded closes: next-day P&L deviation.

    OPTIHEDGE_DATA=... python benchmarks/spx_hedging.py [books]

Each book (seeds 0, 1, ...) is hedged at one recorded close and valued at the next. Half the spread is paid and counted.
Drivers are estimated on past days only. Hedges may use the index and 20 options outside the book.

Peers, each with the index for delta:
  delta            the index alone
  total vega       the candidate option of largest vega, as a desk picks its vega hedge
  total vega, LP   the cheapest combination of all candidates
  vega buckets     three of them (under 30 days, 30 to 60, beyond), the cheapest combination
Ours minimises the variance over 800 fully revalued scenarios plus each contract's own noise, at no more cost than the
peer it stands beside. P&L is in units of the book's gross vega.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from recorded_markets import spx_days, spx_market  # noqa: E402

import optihedge as oh  # noqa: E402
from optihedge.hedge.builder import ProgramBuilder  # noqa: E402
from optihedge.market.earned import contract_pnl  # noqa: E402
from optihedge.market.scenarios import scenario_pnl  # noqa: E402
from optihedge.risk.smile import draw_shocks, smile_history, smile_noise  # noqa: E402

FIRST = 10  # past moves before the first hedge
PEERS = ("delta", "total vega", "total vega, LP", "vega buckets")
BUCKETS = ("vega <30d", "vega 30-60d", "vega >60d")


@dataclass(frozen=True)
class CostLimit(oh.Term):
    """Half spreads paid <= limit, base currency."""

    limit: float = 0.0

    def contribute(self, p: ProgramBuilder) -> None:
        buy, sell = p.half_spread()
        p.row("cost", on_trades=(buy + sell) / 2, hi=self.limit)


@cache
def desk(folder: Path, day: pd.Timestamp) -> oh.Market:
    """One close, options of 7 to 125 days, with three vega buckets as exposures."""
    market = spx_market(folder, day, max_days=125)
    days, vega = market.contracts.years * 365, market.exposures["vega"]
    which = np.where(days < 30, 0, np.where(days <= 60, 1, 2))
    frame = pd.DataFrame({name: np.where(which == i, vega, 0.0) for i, name in enumerate(BUCKETS)}, index=market.names)
    return market.with_exposures(frame)


@cache
def moves(folder: Path) -> pd.DataFrame:
    """All moves of the smile by the day of their end."""
    days = spx_days(folder)
    return smile_history((desk(folder, day) for day in days), "SPX").set_axis(days[1:], axis=0)


def draw_book(market: oh.Market, alive: pd.Index, kind: str, seed: int) -> tuple[pd.Series, list[str]]:
    """A book and 20 other options: 40 random legs (7 to 120 days, 5 to 60 delta), or a ladder of short straddles."""
    rng = np.random.default_rng(seed)
    delta = (market.exposures["delta"] / market.notional).abs()
    days = market.contracts.years * 365
    liquid = market.names[delta.between(0.05, 0.60) & (days >= 7) & (days <= 120) & market.names.isin(alive)]
    liquid = liquid[market.instruments.loc[liquid, "type"] == "option"]
    if kind == "random":
        chosen = rng.choice(liquid, 60, replace=False)
        sizes = rng.integers(1, 21, 40) * rng.choice([-1.0, 1.0], 40)
        return pd.Series(sizes, index=chosen[:40]), list(chosen[40:])
    table = market.instruments.loc[liquid]
    rungs = {}
    for _, options in table.groupby("expiry"):
        for right in "CP":
            side = options[options["right"] == right]
            if len(side):
                rungs[(side["strike"] - float(market.levels["SPX"])).abs().idxmin()] = -float(rng.integers(5, 21))
    book = pd.Series(rungs)
    return book, list(rng.choice(liquid.difference(book.index), 20, replace=False))


def greek_hedges(market: oh.Market, book: pd.Series, candidates: list[str]) -> dict[str, pd.Series]:
    """Trades of every peer."""
    vega = market.exposures["vega"]
    largest = vega[candidates].idxmax()
    universe = {
        "delta": ["SPX"], "total vega": ["SPX", largest], "total vega, LP": ["SPX", *candidates],
        "vega buckets": ["SPX", *candidates],
    }  # fmt: skip
    limits = {"delta": (), "vega buckets": BUCKETS}
    trades = {}
    for peer in PEERS:
        neutral = tuple(oh.Neutral(name) for name in ("delta", *limits.get(peer, ("vega",))))
        model = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=neutral, universe=universe[peer], capital=1e9)
        try:
            trades[peer] = model.hedge(market, book).trades
        except oh.InfeasibleError:  # a bucket without a candidate: the desk falls back on total vega
            trades[peer] = trades["total vega, LP"]
    return trades


def spread_paid(market: oh.Market, trades: pd.Series) -> float:
    return float(trades.abs() @ market.trade_cost["buy"].reindex(trades.index).fillna(0.0))


def run(folder: Path, books: int, kind: str) -> pd.DataFrame:
    """One row per book: day, and per hedger the next day's P&L and cost, per unit of gross vega."""
    days = spx_days(folder)
    pairs = list(pairwise(days))[FIRST:]
    past, rows = moves(folder), []
    for seed in range(books):
        day, after = pairs[seed % len(pairs)]
        market = desk(folder, day)
        earned = contract_pnl(market, desk(folder, after))
        book, candidates = draw_book(market, earned.index[earned.notna()], kind, seed)
        names = [*book.index, "SPX", *candidates]
        unit = float(book.abs() @ market.exposures["vega"][book.index])
        known = past[past.index <= day]
        shocks = draw_shocks(known, 800, days=(after - day).days, seed=seed)
        pnl, noise = scenario_pnl(market, shocks, names), smile_noise(market, float(known["noise"].median()))
        hedges = {"none": pd.Series(dtype=float), **greek_hedges(market, book, candidates)}
        for peer in PEERS[1:]:
            model = oh.HedgeModel(
                objective=(oh.ScenarioVariance(pnl, 1.0, noise=noise), oh.SpreadCost()),
                constraints=(CostLimit(limit=spread_paid(market, hedges[peer])),),
                universe=["SPX", *candidates], capital=1e9,
            )  # fmt: skip
            hedges[f"ours at {peer}"] = model.hedge(market, book).trades
        row: dict[tuple[str, str], object] = {("day", ""): day}
        for name, trades in hedges.items():
            traded = trades[trades.abs() > 1e-9]
            cost = spread_paid(market, traded)
            own = float(book @ earned[book.index])
            row["pnl", name] = (own + float(traded @ earned[traded.index]) - cost) / unit
            row["cost", name] = cost / unit
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.set_axis(pd.MultiIndex.from_tuples(table.columns), axis=1)


def ratio(table: pd.DataFrame, ours: str, peer: str, draws: int = 1000) -> tuple[float, float, float]:
    """Deviation of ours over the peer's, and a 95 % interval from resampling whole days."""
    pnl = table["pnl"]
    by_day = [group.index for _, group in table.groupby(("day", ""))]
    rng = np.random.default_rng(0)
    resampled = []
    for _ in range(draws):
        index = np.concatenate([by_day[i] for i in rng.integers(0, len(by_day), len(by_day))])
        resampled.append(pnl.loc[index, ours].std() / pnl.loc[index, peer].std())
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(pnl[ours].std() / pnl[peer].std()), float(low), float(high)


COMPARISONS = {  # ours, the peer at the same cost, the ratio it must not exceed
    "random": (
        ("ours at total vega", "delta", 0.50), ("ours at total vega", "total vega", 0.65),
        ("ours at total vega, LP", "total vega, LP", 0.80), ("ours at vega buckets", "vega buckets", 0.95),
    ),
    "ladder": (("ours at total vega", "total vega", 0.80), ("ours at total vega, LP", "total vega, LP", 0.80)),
}  # fmt: skip


def main(books: int) -> None:
    folder = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data")) / "spx_options_2019"
    for kind, comparisons in COMPARISONS.items():
        table = run(folder, books, kind)
        print(f"\n### {'Random 40-leg books' if kind == 'random' else 'Ladders of short straddles'}: {len(table)}\n")
        print("| hedge | next-day deviation | half spreads paid |\n|---|--:|--:|")
        for name in table["pnl"].columns:
            print(f"| {name} | {table['pnl'][name].std():.4f} | {table['cost'][name].mean():.4f} |")
        print("\n| comparison | ratio of deviations | 95 % interval, by day |\n|---|--:|--:|")
        for ours, peer, _ in comparisons:
            middle, low, high = ratio(table, ours, peer)
            print(f"| {ours} / {peer} | {middle:.2f} | {low:.2f} to {high:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
