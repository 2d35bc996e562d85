"""What a list costs: the book's next seconds beside the estimate, fewer tickets, few lines in place of many.

    OPTIHEDGE_DATA=... python benchmarks/lists.py replay | tickets FIRST LAST | bound | desk | sessions

replay   random trades at recorded books of Binance (a second apart) and of ES (five seconds): told by walking the book
         of one instant, paid by walking the next one
tickets  random books of 40 options on recorded Deribit markets, hedged by `optimal_hedge` as shipped; of those with
         more than twenty lines, what half of them cost
bound    random factor desks: half the lines beside a bound that no choice of them can be below (perspective relaxation)
sessions sessions of the example's delta desk in six slices, with partial fills and rejections: how far interim delta
         is beyond its band, prices held and prices moving
desk     the recorded options desk whose delta hedge took dozens of lines: twelve in place of them
"""

import os
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from recorded_markets import deribit_market, deribit_snapshots  # noqa: E402
from test_depth import recorded_books  # noqa: E402
from test_desk_deribit import desk_book  # noqa: E402
from test_few_lines import few, random_desk  # noqa: E402
from test_tickets import beside, halved_desks  # noqa: E402

import optihedge as oh  # noqa: E402
from optihedge.market.costs import trading_costs  # noqa: E402
from optihedge.market.depth import displayed  # noqa: E402
from optihedge.market.moved import moved  # noqa: E402
from optihedge.program.chain import solve  # noqa: E402
from optihedge.program.program import objective  # noqa: E402
from optihedge.trades.schedule import schedule  # noqa: E402

DATA = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data"))
MOST_APART = 6.0  # seconds between an estimate and its replay


def walked(market: oh.Market, trades: pd.Series) -> pd.Series:
    """Spread and depth of each trade, base currency."""
    return trading_costs(market, trades)[["spread", "depth"]].sum(axis=1)


def replay(data: Path, rounds: int = 3, seed: int = 0) -> pd.DataFrame:
    """By instrument: what random trades up to all that is shown should cost, and did at the next book."""
    rng, parts = np.random.default_rng(seed), []
    books = recorded_books(lambda name: data / name, per=1, most=60)
    for now, later in pairwise(books):
        if not 0 < (later.as_of - now.as_of).total_seconds() <= MOST_APART:
            continue
        names = pd.Index(now.depth["instrument"].unique())
        for _ in range(rounds):
            side = rng.integers(2, size=len(names))
            most = np.minimum(*(displayed(one, names)[np.arange(len(names)), side] for one in (now, later)))
            trades = pd.Series((2.0 * side - 1) * rng.uniform(0, 1, len(names)) ** 3 * most, index=names)
            parts.append(pd.DataFrame({"told": walked(now, trades), "paid": walked(later, trades),
                                       "notional": trades.abs() * now.notional[names]}))  # fmt: skip
    table = pd.concat(parts).rename_axis("instrument").reset_index()
    by, sums = table["instrument"], table.groupby("instrument")[["told", "paid", "notional"]].sum()
    off = (1e4 * (table["paid"] - table["told"]) / table["notional"]).abs().groupby(by)
    return pd.DataFrame({
        "trades": by.value_counts(), "told, bp": 1e4 * sums["told"] / sums["notional"],
        "paid / told": sums["paid"] / sums["told"], "apart, median bp": off.median(), "95 % bp": off.quantile(0.95),
    })  # fmt: skip


def tickets(data: Path, first: int, last: int) -> pd.DataFrame:
    """Desks first .. last - 1: lines of the hedge, and what half of them cost."""
    rows = []
    for seed, lines in enumerate(halved_desks(data / "deribit_btc_2026", range(first, last)), first):
        rows.append(lines)
        print(seed, *rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows, columns=["lines", "of the objective", "of what it saves"])


def perspective(program: object, most: int) -> float:
    """The least objective with `most` lines where a line may be a part of one: a bound (Frangioni and Gentile 2006)."""
    import cvxpy as cp

    p, n = program, len(program.columns)
    bought, sold, whole = (cp.Variable(n, nonneg=True) for _ in range(3))
    h = bought - sold
    own = 0.5 * sum(p.diagonal[i] * cp.quad_over_lin(h[i], whole[i]) for i in range(n))
    cost = 0.5 * cp.sum_squares(p.factors @ h + p.factor_offset) + own + p.buy @ bought + p.sell @ sold
    rows = p.rows.toarray() @ h
    limits = [whole <= 1, cp.sum(whole) <= most, bought + sold <= cp.multiply(p.upper, whole)]
    limits += [rows >= p.row_lower, rows <= p.row_upper] if p.rows.shape[0] else []
    problem = cp.Problem(cp.Minimize(cost), limits)
    problem.solve(solver="CLARABEL")
    return float(problem.value)


def bound(count: int = 40) -> pd.DataFrame:
    """Random factor desks: half the lines and the bound, above the optimum with all of them, and of what is saved."""
    rows = []
    for seed in range(count):
        program = random_desk(seed, neutral=seed % 2 == 1)
        first = solve(program).candidate
        lines, best = int((np.abs(first.h) > 1e-7).sum()), objective(program, first.h)
        if lines <= 20:
            continue
        found, _ = few(program, most=lines // 2)
        saved = objective(program, program.start) - best
        rows.append((lines, found.value / best - 1, perspective(program, lines // 2) / best - 1,
                     (found.value - best) / saved))  # fmt: skip
    return pd.DataFrame(rows, columns=["lines", "half", "no choice is below", "of what the hedge saves"])


def desk(data: Path) -> pd.DataFrame:
    """The recorded desks: lines, cost and volatility by one quoted level a line, and of at most twelve lines."""
    folder, tables = data / "deribit_btc_2026", {}
    for snapshot in deribit_snapshots(folder):
        market = deribit_market(folder, snapshot)
        for name, book in (("options", desk_book(market)), ("30 coins", pd.Series({"BTC": 30.0}))):
            tables[f"{snapshot:%d %b}", name] = beside(market, book)
    return pd.concat(tables, names=["snapshot", "book"])


def sessions(count: int = 60, slices: int = 6, daily: float = 0.02) -> pd.DataFrame:
    """Instants after a slice: how often some delta is beyond its band by more than a slice's lots, and by how much.

    Half the fills are partial, a fifth is rejected; moving prices walk by `daily` a day, all underlyings alike, and the
    session is a quarter of one. Beyond is told as a share of the band's own half-width (or of the lots, if larger).
    """
    folder = oh.write_example(tempfile.mkdtemp())
    market, book = oh.read_market(folder), oh.read_book(folder / "book.csv")
    listed = oh.trade_list(oh.load_model("delta_neutral").hedge(market, book))
    plan = schedule(listed, slices=slices)
    task, found = plan.task, {"held": [], "moving": []}
    at = market.names.get_indexer(listed.hedge.problem.names)
    start, lines = listed.hedge.problem.start, listed.hedge.problem.names.get_indexer(task.names)
    underlying = market.instruments["underlying"].iloc[at]
    half = np.maximum((task.upper - task.lower) / 2, np.abs(task.rows) @ task.lot)
    for seed in range(count):
        rng, done = np.random.default_rng(seed), pd.Series(0.0, index=task.names)
        walk = np.cumsum(rng.normal(0, daily * np.sqrt(0.25 / slices), slices))
        for t in range(1, slices + 1):
            now = plan.again(done, t)
            sent = now.table[now.table["slice"] == t].set_index("instrument")["quantity"]
            sent = sent.reindex(task.names).fillna(0.0)
            part = np.where(rng.random(len(sent)) < 0.2, 0.0, rng.random(len(sent)))
            done = done + np.sign(sent) * np.floor(sent.abs() / task.lot * part + 1e-9) * task.lot
            held = start.copy()
            held[lines] += done.to_numpy()
            slack = np.abs(task.rows) @ (sent.abs().to_numpy() + task.lot / 2)
            for name, there in (("held", market), ("moving", moved(market, {"spot": float(np.expm1(walk[t - 1]))}))):
                delta = there.exposures["delta"].to_numpy(float)[at] * held
                by = pd.Series(delta, index=underlying.to_numpy()).groupby(level=0).sum()
                value = by.reindex([row[6:-1] for row in task.row_names]).to_numpy(float)
                beyond = np.maximum(np.maximum(task.lower - value, value - task.upper) - slack, 0.0)
                found[name].append((beyond / half).max(initial=0.0))
    told = pd.DataFrame(found)
    return pd.DataFrame({"instants": len(told), "beyond": (told > 1e-6).sum(), "largest": told.max(),
                         "99 %": told.quantile(0.99)})  # fmt: skip


def main(part: str, *rest: str) -> None:
    if part == "replay":
        print(replay(DATA).round(3).to_string())
    elif part == "desk":
        print(desk(DATA).round(0).to_string())
    elif part == "sessions":
        print(sessions().to_string(float_format="{:.4f}".format))
    else:
        table = bound() if part == "bound" else tickets(DATA, int(rest[0]), int(rest[1]))
        told = table.dropna()
        print(f"{len(told)} desks of {len(table)} with more than 20 lines")
        print(told.quantile([0.25, 0.5, 0.75, 0.9]).to_string(float_format="{:.4f}".format))


if __name__ == "__main__":
    main(*sys.argv[1:])
