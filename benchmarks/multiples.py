"""What whole lots, a frontier and a market cost as multiples of one solve; CPU time, in one run.

    python benchmarks/multiples.py lots       synthetic books of 20 to 500 shares, whole shares
    python benchmarks/multiples.py coins      the recorded coin-settled desk of benchmarks/lots.py [data folder]
    python benchmarks/multiples.py frontier   twenty aversions over two decades
    python benchmarks/multiples.py market     the door at five shares, and a view of a checked panel

A solve is the structured solver alone, cold; beside it the certified `solve`. Medians over books, each pair by turns.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from measure import machine  # noqa: E402
from speed import timed  # noqa: E402

import optihedge as oh  # noqa: E402
from optihedge.program.structured.solver import Structured  # noqa: E402
from optihedge.trades.lots import round_to_lots  # noqa: E402

BOOKS = {20: 40, 50: 30, 200: 10, 500: 5}
ROWS, FACTORS = 260, 20


def book_of(n: int, seed: int) -> tuple[oh.Market, oh.HedgeModel, pd.Series]:
    """n shares of eleven sectors, a given factor risk, delta and sector bands and a turnover limit; books of 5 to 100
    thousand a name, so that a share is between a part of a thousandth and a hundredth of a position.
    """
    r, k = np.random.default_rng(seed), min(FACTORS, n)
    size, betas = np.geomspace(0.01, 0.001, k), r.normal(size=(n, k))
    betas[:, 0] = 1 + 0.3 * r.normal(size=n)
    moves = (r.normal(size=(ROWS, k)) * size) @ betas.T + 0.015 * r.normal(size=(ROWS, n))
    names = [f"S{i:03d}" for i in range(n)]
    days = pd.bdate_range("2023-03-01", periods=ROWS, tz="UTC") + pd.Timedelta("21h")
    levels = pd.DataFrame(50 * np.exp(np.cumsum(moves - moves.mean(axis=0), axis=0)), days, names)
    table = pd.DataFrame({"sector": [f"G{i % 11}" for i in range(n)], "lot": 1.0}, names)
    market = oh.Market.from_prices(
        levels, base_currency="USD", spread=4e-4, fee=5e-5, instruments=table, volume=pd.Series(5e6, names)
    )
    book = np.round(1e5 * r.choice([0.05, 0.3, 1.0]) * r.normal(size=n) / levels.iloc[-1])
    model = oh.HedgeModel(
        risk=oh.Risk((betas * size).T, np.full(n, 0.015), pd.Index(names), 252.0),
        objective=(oh.Variance(relative=300.0), oh.SpreadCost(), oh.FeeCost()),
        constraints=(
            oh.Neutral("delta", band_share=0.001), oh.Neutral("delta", by="sector", band_share=0.02, name="sector"),
            oh.TurnoverLimit(share=0.5),
        ),
    )  # fmt: skip
    return market, model, book


def told(name: str, pairs: list[tuple[float, float, float]]) -> None:
    """One row: medians of what is measured, over the structured solver and over the certified solve."""
    alone, proved, whole = (np.array(column) for column in zip(*pairs, strict=True))
    print(f"| {name} | {len(pairs)} | {np.median(alone):.1f} | {np.median(whole):.3g} | {np.median(whole / alone):.3g} "
          f"| {np.median(whole / proved):.3g} |", flush=True)  # fmt: skip


def of_hedge(hedge: oh.Hedge) -> tuple[float, float, float]:
    """Milliseconds of the structured solver alone, of the certified solve, and of whole lots."""
    _, alone = timed(lambda: Structured().solve(hedge.program))
    _, proved = timed(lambda: oh.solve(hedge.program))
    _, whole = timed(lambda: round_to_lots(hedge))
    return alone, proved, whole


def lots() -> None:
    for n, books in BOOKS.items():
        pairs = []
        for seed in range(books):
            market, model, book = book_of(n, seed)
            try:
                pairs.append(of_hedge(model.hedge(market, book)))
            except oh.InfeasibleError:  # a book of few names beyond what its sectors allow
                continue
        told(f"whole shares, n = {n}", pairs)


def coins(data: Path) -> None:
    from recorded_markets import deribit_market, deribit_snapshots
    from test_desk_deribit import desk_book, desk_model

    folder, pairs = data / "deribit_btc_2026", []
    for snapshot in deribit_snapshots(folder):
        market = deribit_market(folder, snapshot)
        pairs.append(of_hedge(desk_model(market).hedge(market, desk_book(market))))
    told("lots of the coin desk", pairs)


def frontier() -> None:
    for n in (50, 200, 500, 1000):
        pairs = []
        for seed in range(5 if n < 1000 else 2):
            market, model, book = book_of(n, seed)
            try:
                hedge = model.hedge(market, book)
            except oh.InfeasibleError:
                continue
            middle = model.objective[0].at(hedge.problem.size)
            values = middle * np.geomspace(0.1, 10.0, 20)
            _, alone = timed(lambda p=hedge.program: Structured().solve(p))
            _, proved = timed(lambda p=hedge.program: oh.solve(p))
            found, whole = timed(lambda a=(market, book, values), m=model: m.frontier(*a))
            assert all(one.certificate.optimal for one in found)
            pairs.append((alone, proved, whole))
        told(f"frontier of 20, n = {n}", pairs)


def market() -> None:
    """`Market()` of five shares from tables, and views; the solve is of 500 shares."""
    whole, model, book = book_of(500, 0)
    program = model.problem(whole, book).program
    small = book_of(5, 0)[0]
    tables = {"instruments": small.instruments, "quotes": small.quotes, "drivers": small.drivers}
    panels = {n: oh.Panel.from_prices(m.history, rows=250, base_currency="USD") for n, m in ((5, small), (500, whole))}
    acts = {
        "Market() of 5 shares": lambda: oh.Market(**tables, history=small.history, base_currency="USD"),
        **{f"a panel's view, {n} shares": lambda p=p: p.at(p.times[3]) for n, p in panels.items()},
    }
    for name, act in acts.items():
        solves = [
            (timed(lambda: Structured().solve(program))[1], timed(lambda: oh.solve(program))[1]) for _ in range(9)
        ]
        times = [timed(act)[1] for _ in range(9)]
        told(name, [(*pair, took) for pair, took in zip(solves, times, strict=True)])


def main(part: str, data: Path) -> None:
    print("| what | books | solve, ms | this, ms | over the solver alone | over the certified solve |")
    print("|---|--:|--:|--:|--:|--:|")
    {"lots": lots, "coins": lambda: coins(data), "frontier": frontier, "market": market}[part]()
    print(machine())


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("lots", "coins", "frontier", "market"):
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT.parent / "shared" / "data")
