"""Pairs of perpetuals walked forward: chosen on a first year, held in the next by their z-score, after costs.

    OPTIHEDGE_DATA=... python benchmarks/spreads.py [pairs=4] [days=N, the first N after the first year; default all]

crypto_perp_daily, coins with a whole history. Chosen on the first 365 days alone: the pairs of logs with the least p
of no cointegration (`oh.stats.cointegration`; of 1 225 pairs, so that chance is not excluded), each coin once.
From then on every day: `Spread` (ratio lock, 250 rows) under `Variance`, spread and fees charged (assumed: those of the
loader), acted on by `ZScore` or every day. Fills at the far side, lots of a millionth of a coin (a search for the best
whole lots takes most of a step of two legs). Funding is not recorded for these days and left out. A line per pair as it
is done, then pooled over pairs: mean P&L and its deviation a year as a share of the limit, its t by days, pairs that
gained.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from recorded_markets import PERP_FEE, PERP_SPREAD, perpetual_closes  # noqa: E402

import optihedge as oh  # noqa: E402

DATA = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data")) / "crypto_perp_daily"
FIRST, LIMIT = 365, 100_000.0


def chosen(count: int) -> list[tuple[str, str, float]]:
    """Target, hedge and notional ratio, on the first year."""
    logs = np.log(perpetual_closes(DATA).dropna(axis=1).iloc[:FIRST])
    fits = {(a, b): oh.stats.cointegration(logs[[a, b]], a) for a, b in combinations(logs.columns, 2)}
    taken: set[str] = set()
    out = []
    for (a, b), fit in sorted(fits.items(), key=lambda one: one[1].p_value):
        ratio = float(fit.ratios.iloc[0])
        if not {a, b} & taken and 0.3 <= ratio <= 3.0:
            taken |= {a, b}
            out.append((a, b, ratio))
    return out[:count]


def walked(target: str, hedge: str, ratio: float, policy: object, count: int | None = None) -> pd.Series:
    """P&L per day in shares of the limit, of the first `count` days (None: all)."""
    legs = {target: 1.0, hedge: -ratio}
    model = oh.HedgeModel(
        risk=oh.EwmaRisk(halflife=63), objective=(oh.Variance(aversion=2e-5), oh.SpreadCost(), oh.FeeCost()),
        constraints=(oh.terms.Spread(legs, limit=LIMIT, rows=250),), universe=(target, hedge), capital=2 * LIMIT,
    )  # fmt: skip
    closes = perpetual_closes(DATA)[[target, hedge]]
    table = pd.DataFrame({"hedge": False, "lot": 1e-6}, closes.columns)
    markets = oh.Panel.from_prices(
        closes[: FIRST + count if count else None], rows=FIRST + 1, base_currency="USDT", spread=PERP_SPREAD,
        fee=PERP_FEE, instruments=table,
    )  # fmt: skip
    result = oh.run_backtest(model, markets, {}, policy=policy)
    return result.pnl["both"] / LIMIT


def told(name: str, pnl: pd.DataFrame) -> None:
    """A line of the table: mean and deviation a year, t by days."""
    total = pnl.mean(axis=1)
    deviation = total.std()
    t = total.mean() / deviation * np.sqrt(len(total)) if deviation > 0 else np.nan
    better = int((pnl.sum() > 0).sum())
    line = f"{name:36s} {total.mean() * 365:8.2%} {deviation * 365**0.5:8.2%} {t:6.2f} {len(total):5d}"
    print(f"{line} {better:3d} of {pnl.shape[1]}", flush=True)


def main(words: dict[str, str]) -> None:
    """Both policies over the chosen pairs."""
    began = time.process_time()
    pairs = chosen(int(words.get("pairs", 4)))
    count = int(words["days"]) if "days" in words else None
    print(f"pairs: {', '.join(f'{a} less {r:.2f} {b}' for a, b, r in pairs)} ({time.process_time() - began:.0f} CPU s)")
    print(f"{'policy':36s} {'mean':>8s} {'vol':>8s} {'t':>6s} {'days':>5s} gaining pairs", flush=True)
    for name, policy in (("z-score 2 / 0.5", None), ("every day", oh.policy.Always())):
        paths = {}
        for a, b, ratio in pairs:
            paths[f"{a} {b}"] = walked(a, b, ratio, policy or oh.policy.ZScore({a: 1.0, b: -ratio}), count)
            told(f"  {name}, {a} {b}", pd.DataFrame({a: paths[f"{a} {b}"]}).fillna(0.0))
        told(name, pd.DataFrame(paths).fillna(0.0))
    print(f"{time.process_time() - began:.0f} CPU s")


if __name__ == "__main__":
    main(dict(word.split("=") for word in sys.argv[1:]))
