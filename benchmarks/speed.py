"""How long a walk, a batch and a hedge take as shipped: CPU milliseconds, and ratios to one certified solve of the run.

    python benchmarks/speed.py [PART ...] [--days 20] [--books 20] [--peer PYTHON] [--beside CHECKOUT] [--check FILE]
                                [--save]

  walk      `run_backtest` of a book of 500 shares with costs, accounts and a proof every day, P&L and positions read; a
            given risk of 20 factors or one learnt daily (20 days, without their markets), the book as it is or a fifth
            of its names anew each day; whole shares, checks and lists, or what the hedge says traded as it is
            ("lots off", as the peer: and what all its other tables and hashes take; of a checkout that cannot, lots of
            a millionth of a share)
  batch     books of 50 positions in a market of 600 shares, lists and tables written
  hedge     5 000 shares under EwmaRisk, learnt, solved and proved
  tails     worst case and shortfall without curvature, 5 000 scenarios of 50 shares, proved on all of them
  curved    a shortfall with variance, 5 000 and 20 000 scenarios of 50 and of 500 shares, and one that is limited; only
            where it is named
  suspects  suspect moves of 505 rows, a driver
  solve     the hedge's Program alone, n = 500: a given risk, EwmaRisk cold and warm from the day before
--peer      an interpreter that has cvxportfolio: the same walk by peer_cvxportfolio.py, by each solver, and how far
            its P&L is off the proved one's, in costs of the hedge
--beside    a checkout of an earlier commit: the same measurements by it, paired
--check     compare with an earlier file of history/: a ratio worse by half fails;  --save  write one

Prices are synthetic (20 factors, seed 0). Ratios within one run are what can be compared between machines.
"""

from __future__ import annotations

import argparse
import gc
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
if __name__ == "__main__" and "OPTIHEDGE_BESIDE" not in os.environ:
    sys.path.insert(0, str(HERE.parent))

import optihedge as oh  # noqa: E402

WINDOW, TERMS = 505, {"base_currency": "USD", "spread": 4e-4, "fee": 5e-5}
TABLES = ("steps", "explained", "positions", "cash", "trades", "closed", "notes", "levels", "pnl")
WORSE = 1.5  # times an earlier ratio: a regression
FLOW = 0.2  # of a client's names, each day
CAPITAL = 4e8  # of the walk, more than its gross: one aversion all days


def shares(n: int, days: int, k: int = 20) -> tuple[pd.DataFrame, pd.Series, oh.Risk]:
    """Prices over a window and so many days more, a long-short book of about 0.8 million a name, its factor risk."""
    r = np.random.default_rng(0)
    betas = 0.2 * r.normal(size=(n, k))
    betas[:, 0] = 1 + 0.3 * r.normal(size=n)
    size, own = 0.01 * np.geomspace(1, 0.2, k), r.uniform(0.008, 0.02, n)
    rows = WINDOW + days
    moves = np.clip((r.normal(size=(rows, k)) * size) @ betas.T + r.normal(size=(rows, n)) * own, -0.2, 0.2)
    levels = np.exp(np.cumsum(moves, axis=0)) * r.uniform(20, 200, n)
    names = [f"S{i:04d}" for i in range(n)]
    times = pd.bdate_range("2015-01-02", periods=rows, tz="UTC") + pd.Timedelta("21h")
    book = pd.Series(np.round(1e6 * r.normal(size=n) / levels[WINDOW - 1]), names)
    return pd.DataFrame(levels, times, names), book, oh.Risk((betas * size).T, own, pd.Index(names), 252.0)


def model(risk: object) -> oh.HedgeModel:
    """Variance, half spreads and fees; neutral in money."""
    terms = (oh.Variance(relative=300.0), oh.SpreadCost(), oh.FeeCost())
    return oh.HedgeModel(risk=risk, objective=terms, constraints=(oh.Neutral("delta"),), capital=CAPITAL)


def markets(prices: pd.DataFrame, lot: float, days: int) -> object:
    """The panel of the windows; of a checkout that has none, their markets."""
    own = {**TERMS, "volume": pd.Series(5e6, prices.columns), "instruments": pd.DataFrame({"lot": lot}, prices.columns)}
    if hasattr(oh, "Panel"):
        return oh.Panel.from_prices(prices.iloc[: WINDOW + days], rows=WINDOW, **own)
    return [oh.Market.from_prices(prices.iloc[i : WINDOW + i], **own) for i in range(days + 1)]


def flowing(book: pd.Series, prices: pd.DataFrame) -> Callable[[oh.Market], pd.Series]:
    """What a client holds at each market: the book, of which a fifth of the names is drawn anew each day."""
    held, r = {prices.index[WINDOW - 1]: book}, np.random.default_rng(1)
    for before, day in zip(prices.index[WINDOW - 1 :], prices.index[WINDOW:], strict=False):
        anew = np.round(1e6 * r.normal(size=len(book)) / prices.loc[day])
        held[day] = held[before].where(r.uniform(size=len(book)) > FLOW, anew)
    return lambda market: held[market.as_of]


def timed(act: Callable[[], object], times: int = 1) -> tuple[object, float]:
    """What it gives, and the least CPU milliseconds of it."""
    least, found = np.inf, None
    for _ in range(times):
        gc.collect()
        began = time.process_time()
        found = act()
        least = min(least, 1e3 * (time.process_time() - began))
    return found, least


def walks(days: int) -> dict[str, float]:
    """Milliseconds a day, markets included."""
    if not hasattr(oh, "run_backtest"):  # an earlier checkout
        return {}
    prices, book, given = shares(500, days)
    few = min(days, 20)
    off = {"lots": False} if "lots" in inspect.signature(oh.run_backtest).parameters else {}
    cases = {"walk, lots off": (given, 1.0 if off else 1e-6, days), "walk": (given, 1.0, days)}
    learnt = (oh.EwmaRisk(), oh.FactorRisk(), oh.AdaptiveRisk())
    cases |= {f"walk {type(risk).__name__}": (risk, 1.0, few) for risk in learnt}
    cases |= {f"walk {type(risk).__name__}, a fifth anew": (risk, 1.0, few) for risk in (given, *learnt)}
    if off:
        cases |= {f"walk {type(risk).__name__}, a fifth anew, lots off": (risk, 1.0, few) for risk in learnt}
    told = {}
    for name, (risk, lot, span) in cases.items():
        walk = partial(oh.run_backtest, **off) if "lots off" in name else oh.run_backtest
        walk(model(risk), markets(prices, lot, 1), book)  # what is loaded once
        views, made = timed(lambda p=lot, d=span: markets(prices, p, d))
        held = flowing(book, prices) if "anew" in name else book
        done, spent = timed(lambda w=walk, r=risk, v=views, h=held: _read(w(model(r), v, h), ("pnl", "positions")))
        told[name] = (spent + (made if span == days else 0.0)) / (span + 1)  # of few days the markets would weigh most
        if name == "walk, lots off":
            _, more = timed(lambda run=done: _read(run, TABLES))
            told[f"{name}: all tables and hashes beside"] = more / (span + 1)
        assert set(done.steps["status"]) <= {"first", "solved"}, "every day is hedged and proved"
    return told


def _read(run: object, tables: tuple[str, ...]) -> object:
    for name in tables:
        getattr(run, name)
    return run


def solves() -> dict[str, float]:
    """Milliseconds of certified solves of the hedge's Program."""
    prices, book, given = shares(500, 2)
    first, second = list(markets(prices, 1.0, 1))[:2]
    told = {}
    for name, risk in (("solve", given), ("solve EwmaRisk", oh.EwmaRisk())):
        one, two = (model(risk).problem(market, book).program for market in (first, second))
        found, told[name] = timed(lambda p=one: oh.solve(p), 3)
        again, told[f"{name}, warm"] = timed(lambda p=two, w=found.candidate: oh.solve(p, warm=w), 3)
        assert found.certificate.optimal
        assert again.certificate.optimal
    return told


def wide() -> dict[str, float]:
    """Milliseconds of one hedge of 5 000 shares under EwmaRisk, learnt and solved; and of its market."""
    prices, book, _ = shares(5000, 0)
    market, spent = timed(lambda: oh.Market.from_prices(prices, **TERMS))
    hedge, took = timed(lambda: model(oh.EwmaRisk()).hedge(market, book))
    assert hedge.certificate.optimal
    return {"market, 5000 shares": spent, "hedge EwmaRisk, 5000 shares": took}


def tail(count: int, n: int, term: object, risk: bool) -> float:
    """Milliseconds of a tail over so many scenarios of n shares, costs beside, certified over all of them."""
    prices, book, given = shares(n, 0)
    market, r = oh.Market.from_prices(prices, **TERMS), np.random.default_rng(2)
    returns = 0.01 * r.standard_t(4, size=(count, 8)) @ r.normal(size=(8, n))
    returns += 0.012 * r.standard_t(4, size=(count, n))
    pnl = pd.DataFrame(returns * prices.iloc[-1].to_numpy(), columns=prices.columns)
    terms = (term(pnl), oh.SpreadCost(), oh.FeeCost(), *((oh.Variance(aversion=2e-8),) if risk else ()))
    asked = oh.HedgeModel(risk=given if risk else None, objective=terms, constraints=(oh.Neutral("delta"),))
    program = asked.problem(market, book).program
    found, spent = timed(lambda: oh.solve(program))
    assert found.certificate.optimal
    return spent


def tails() -> dict[str, float]:
    """Milliseconds of tails without curvature."""
    if not hasattr(oh, "terms"):  # an earlier checkout
        return {}
    kinds = {"worst case": oh.terms.WorstCase, "shortfall": oh.terms.Shortfall}
    return {f"{name}, 5000 x 50": tail(5000, 50, partial(term, weight=0.1), False) for name, term in kinds.items()}


def curved() -> dict[str, float]:
    """Milliseconds of a shortfall beside variance."""
    if not hasattr(oh, "terms"):
        return {}
    sizes, term = ((5000, 50), (20_000, 50), (5000, 500), (20_000, 500)), partial(oh.terms.Shortfall, weight=0.02)
    told = {f"shortfall with variance, {count} x {n}": tail(count, n, term, True) for count, n in sizes}
    limit = partial(oh.terms.Shortfall, share=0.005)
    return told | {f"shortfall limited beside variance, {n} x 50": tail(n, 50, limit, True) for n in (5000, 20_000)}


def suspects() -> dict[str, float]:
    """Milliseconds a driver of looking for suspect moves."""
    from optihedge.risk.problems import Thresholds, find_problems

    market = oh.Market.from_prices(shares(400, 0)[0], **TERMS)
    levels = market if hasattr(oh, "Panel") else market.history  # of an earlier checkout
    _, spent = timed(lambda: find_problems(levels, thresholds=Thresholds(look_alike=np.inf)), 2)
    return {"suspects, a driver": spent / 400}


def batch(books: int) -> dict[str, float]:
    """Milliseconds a book of 50 positions, its list and tables written."""
    from optihedge.batch import run

    prices, _, given = shares(600, 0)
    market, r = oh.Market.from_prices(prices, **TERMS, volume=pd.Series(5e6, prices.columns)), np.random.default_rng(1)
    held = {}
    for i in range(books):
        names = r.choice(prices.columns, 50, replace=False)
        held[f"B{i:04d}"] = pd.Series(np.round(1e6 * r.normal(size=50) / prices[names].iloc[-1].to_numpy()), names)
    with tempfile.TemporaryDirectory() as folder:
        if hasattr(run, "run_batch"):
            ended, spent = timed(lambda: run.run_batch(market, held, {"m": model(given)}, Path(folder)).outcomes)
        else:  # an earlier checkout
            run._market = lambda *_: market
            jobs = [run.Job(Path(), None, Path(folder), *one, "m", model(given), "trades.csv") for one in held.items()]
            ended, spent = timed(lambda: [run.hedge_one(job) for job in jobs])
    assert all(one.status == "done" for one in ended)
    return {"batch, a book": spent / books}


def written(path: str, days: int) -> None:
    """The walk as arrays, which peers read."""
    prices, book, given = shares(500, days)
    np.savez(
        path, prices=prices.to_numpy(), times=prices.index.tz_localize(None).to_numpy(), first=WINDOW - 1,
        book=book.to_numpy(), root=given.root, specific=given.specific, volume=5e6, cost=2.5e-4, relative=300.0,
        capital=CAPITAL,
    )  # fmt: skip


def peer(python: str, days: int) -> dict[str, float]:
    """The same walk by cvxportfolio, milliseconds a day, and how far its P&L is off the proved one's."""
    prices, book, given = shares(500, days)
    ours = oh.run_backtest(model(given), markets(prices, 1.0, days), book, lots=False).pnl.cumsum()
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/walk.npz"
        written(path, days)
        for solver in ("CLARABEL", "OSQP", "OSQP@1e-7", "QOCO", "PIQP", "ECOS"):
            call = [python, str(HERE / "peer_cvxportfolio.py"), path, solver, str(days)]
            env = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
            done = subprocess.run(call, env=env, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                said = json.loads(done.stdout.splitlines()[-1])
                proved = ours.iloc[said["days"] - 1]
                off = abs(said["gained"] - proved["both"]) / proved["cost"]
                spent = 1e3 * said["seconds"] / said["days"]
                told[f"cvxportfolio walk, {solver}, off by {off:.2g} of its costs"] = spent
    return told


def peak() -> float:
    """The most memory that this process has held, MB; NaN where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return np.nan
    return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))


def measured(days: int, books: int, parts: list[str]) -> dict[str, float]:
    """Everything that this checkout does, or these parts of it; `solve` is always one."""
    does = {"solve": solves, "batch": lambda: batch(books), "tails": tails, "curved": curved, "suspects": suspects,
            "walk": lambda: walks(days), "hedge": wide}  # fmt: skip
    chosen = ["solve", *(part for part in parts or does if part not in (("solve",) if parts else ("solve", "curved")))]
    told: dict[str, float] = {}
    for part in chosen:
        told |= {} if part == "hedge" and "OPTIHEDGE_BESIDE" in os.environ else does[part]()
    return {**told, "peak MB": peak()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--books", type=int, default=21)
    parser.add_argument("--peer", default="")
    parser.add_argument("--beside", default="")
    parser.add_argument("--check", default="")
    parser.add_argument("--save", action="store_true")
    asked = parser.parse_args()
    if "OPTIHEDGE_BESIDE" in os.environ:
        print(json.dumps(measured(asked.days, asked.books, asked.parts)))
        return 0
    told = measured(asked.days, asked.books, asked.parts)
    table = pd.DataFrame({"ms": told})
    table["solves"] = table["ms"].drop("peak MB") / told["solve"]
    if asked.beside:
        env = {**os.environ, "PYTHONPATH": asked.beside, "OPTIHEDGE_BESIDE": "1"}
        call = [
            sys.executable,
            str(HERE / "speed.py"),
            *asked.parts,
            "--days",
            str(min(asked.days, 6)),
            "--books",
            str(asked.books),
        ]
        done = subprocess.run(call, env=env, capture_output=True, text=True, check=False, cwd=tempfile.gettempdir())
        if done.returncode:
            print(f"{asked.beside}: {done.stderr.strip().splitlines()[-1]}")
        else:
            table["ms beside"] = pd.Series(json.loads(done.stdout.splitlines()[-1]))
            table["times faster"] = table["ms beside"] / table["ms"]
    for name, spent in (peer(asked.peer, asked.days) if asked.peer else {}).items():
        table.loc[name, "ms"], table.loc[name, "solves"] = spent, spent / told["solve"]
    print(table.to_string(float_format="{:,.2f}".format), flush=True)
    if asked.save:
        sys.path.insert(0, str(HERE))
        from measure import machine

        now = datetime.now(UTC)
        kept = {"time": now.isoformat(), "machine": machine(), "peak MB": told["peak MB"],
                "ms": table["ms"].drop("peak MB").to_dict(),
                "solves": table["solves"].drop("peak MB").to_dict()}  # fmt: skip
        path = HERE / "history" / f"{now:%Y-%m-%dT%H%M%S}.json"
        path.write_text(json.dumps(kept, indent=1) + "\n")
        print(path)
    if asked.check:
        earlier = json.loads(Path(asked.check).read_text())["solves"]
        slower = {k: (v, table["solves"][k]) for k, v in earlier.items() if table["solves"].get(k, 0.0) > WORSE * v}
        print(
            "\n".join(f"SLOWER: {k} was {a:.1f} solves and is {b:.1f}" for k, (a, b) in slower.items()) or "no slower"
        )
        return int(bool(slower))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
