"""A day of an options desk under `run_backtest`: recorded Deribit days and SPX closes; CPU milliseconds and solves.

    python benchmarks/option_days.py [--data FOLDER] [--days 6]

Eight options are held, all that is listed is a market; the markets are made before. `given`: variance under a given
risk of spot and vol, spreads and fees, delta and vega in bands, few hedges tradable; `shipped`: `optimal_hedge` with
its whole chain tradable. A solve is the certified one of the day's Program; parts are of the walk, by a profile.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from measure import machine  # noqa: E402
from recorded_desks import options_book  # noqa: E402
from recorded_markets import deribit_market, deribit_snapshots, spx_days, spx_market  # noqa: E402
from speed import timed  # noqa: E402

import optihedge as oh  # noqa: E402

PARTS = ("advance", "hedge", "trade_list", "severe_contradictions", "round_to_lots")


def risk_of(markets: list[oh.Market]) -> oh.Risk:
    """An assumed daily risk: spot 2 %, vols 3 points at 30 days falling with the root of the tenor, bases 10 bp."""
    told = pd.concat([market.drivers for market in markets])
    drivers = told[~told.index.duplicated()]
    tenor = drivers["tenor"].str.extract(r"^(\d+)d$")[0].astype(float).fillna(30.0).to_numpy()
    own = np.select([drivers["kind"] == "price", drivers["kind"] == "vol"], [0.0, 0.005], 1e-3)
    root = np.zeros((2, len(drivers)))
    root[0] = np.select([drivers["kind"] == "price", drivers["kind"] == "vol"], [0.02, -0.01], 0.0)
    root[1] = np.where(drivers["kind"] == "vol", 0.03 * np.sqrt(30 / tenor), 0.0)
    return oh.Risk(root, own, drivers.index, markets[0].periods_per_year)


def few_hedges(market: oh.Market, last: oh.Market, book: pd.Series) -> list[str]:
    """What is no option, and the twenty options nearest the money that are quoted on both sides and last."""
    table = market.instruments
    linear = table.index[table["strike"].isna() & ~table["type"].isin(["cash", "index"])]
    quoted = market.trade_cost.notna().all(axis=1) & table.index.isin(last.names)
    linear = linear[linear.isin(last.names)]
    options = table.index[table["strike"].notna() & quoted & ~table.index.isin(book.index)]
    spot = market.contracts.forward[market.names.get_indexer(options)]
    near = np.abs(np.log(table.loc[options, "strike"].to_numpy(float) / spot))
    return [*linear, *options[np.argsort(near, kind="stable")[:20]]]


def given(markets: list[oh.Market], book: pd.Series) -> oh.HedgeModel:
    terms = (oh.Variance(relative=300.0), oh.SpreadCost(), oh.FeeCost())
    bands = (oh.Neutral("delta", band_share=0.01), oh.Neutral("vega", band_share=0.0005, optional=True))
    hedges = few_hedges(markets[0], markets[-1], book)
    return oh.HedgeModel(risk=risk_of(markets), objective=terms, constraints=bands, universe=hedges)


def told(name: str, make: object, days: int) -> None:
    """One desk: its markets, a solve, the walk under both models."""
    markets, making = timed(lambda: [make(i) for i in range(days)])
    book = options_book(markets[0], markets[-1])
    for label, model in (("given", given(markets, book)), ("shipped", oh.load_model("optimal_hedge"))):
        oh.run_backtest(model, [make(0), make(1)], book)  # what is loaded once
        walked = [make(i) for i in range(days)]
        run, took = timed(lambda m=model, w=walked: oh.run_backtest(m, w, book))
        program = model.problem(markets[0], book).program
        _, solve = timed(lambda p=program: oh.solve(p), 3)
        profile = cProfile.Profile(time.process_time)
        walked = [make(i) for i in range(days)]
        profile.enable()
        oh.run_backtest(model, walked, book)
        profile.disable()
        stats = pstats.Stats(profile).stats
        whole = sum(row[2] for row in stats.values())
        mine = [(key[2], row[3]) for key, row in stats.items() if "optihedge" in key[0]]
        part = {name: max((took for of, took in mine if of == name), default=0.0) for name in PARTS}
        shares = ", ".join(f"{name} {took / whole:.0%}" for name, took in part.items())
        lists = int((run.steps["lines"] > 0).sum())
        desk = f"{name}, {len(markets[0].names)} contracts, {label}"
        print(f"| {desk} | {took / days:.0f} | {solve:.1f} | {took / days / solve:.1f} | {lists} of {days} | "
              f"{making / days:.0f} | {shares} |", flush=True)  # fmt: skip


def main(data: Path, days: int) -> None:
    print("| desk | ms a day | a solve, ms | solves a day | lists | its market, ms | of the walk |")
    print("|---|--:|--:|--:|--:|--:|---|")
    deribit, spx = data / "deribit_btc_2026", data / "spx_options_2019"
    snapshots, closes = deribit_snapshots(deribit), spx_days(spx)[10:]
    told("Deribit", lambda i: deribit_market(deribit, snapshots[i]), min(days, len(snapshots)))
    listed = set.intersection(*(set(spx_market(spx, day, liquid=False).names) for day in closes[:days]))
    names = [name for name in spx_market(spx, closes[0]).names if name in listed]  # of one chain that lasts
    told("SPX", lambda i: spx_market(spx, closes[i], liquid=False, names=names), min(days, len(closes)))
    print(machine())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of recorded markets")
    parser.add_argument("--days", type=int, default=6, help="walked, at most")
    asked = parser.parse_args()
    main(asked.data, asked.days)
