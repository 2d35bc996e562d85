"""Pairs of perpetuals walked forward: chosen on a first year, held in the next by their z-score, after costs.

    OPTIHEDGE_DATA=... python benchmarks/spreads.py [pairs, default 4]

crypto_perp_daily, coins with a whole history. Chosen on the first 365 days alone: the pairs of logs with the least p
of no cointegration (`oh.stats.cointegration`; of 1 225 pairs, so that chance is not excluded), each coin once.
From then on every day: `Spread` (ratio lock, 250 rows) under `Variance`, spread and fees charged (assumed: those of the
loader), acted on by `ZScore` or every day. Fills at the far side. Funding is not recorded for these days and left out.
Pooled over pairs: mean P&L and its deviation a year as a share of the limit, its t by days, pairs that gained.
"""

from __future__ import annotations

import os
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from recorded_markets import perpetual_closes, perpetual_market  # noqa: E402

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


def walked(target: str, hedge: str, ratio: float, policy: object) -> pd.Series:
    """P&L per day in shares of the limit."""
    legs = {target: 1.0, hedge: -ratio}
    model = oh.HedgeModel(
        risk=oh.EwmaRisk(halflife=63), objective=(oh.Variance(aversion=2e-5), oh.SpreadCost(), oh.FeeCost()),
        constraints=(oh.terms.Spread(legs, limit=LIMIT, rows=250),), universe=(target, hedge), capital=2 * LIMIT,
    )  # fmt: skip
    days = perpetual_closes(DATA).index[FIRST:]
    markets = [perpetual_market(DATA, day, [target, hedge]) for day in days]
    result = oh.run_backtest(model, markets, {}, policy=policy)
    return result.pnl["both"] / LIMIT


def told(name: str, pnl: pd.DataFrame) -> None:
    """A line of the table: mean and deviation a year, t by days."""
    total = pnl.mean(axis=1)
    t = total.mean() / total.std() * np.sqrt(len(total))
    better = int((pnl.sum() > 0).sum())
    print(f"{name:28s} {total.mean() * 365:8.2%} {total.std() * 365**0.5:8.2%} {t:6.2f} {better:3d} of {pnl.shape[1]}")


def main() -> None:
    """Both policies over the chosen pairs."""
    pairs = chosen(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
    print(f"pairs: {', '.join(f'{a} less {r:.2f} {b}' for a, b, r in pairs)}")
    print(f"{'policy':28s} {'mean':>8s} {'vol':>8s} {'t':>6s} gaining pairs")
    for name, policy in (("z-score 2 / 0.5", None), ("every day", oh.policy.Always())):
        paths = {}
        for a, b, ratio in pairs:
            legs = {a: 1.0, b: -ratio}
            paths[f"{a} {b}"] = walked(a, b, ratio, policy or oh.policy.ZScore(legs))
        told(name, pd.DataFrame(paths).fillna(0.0))


if __name__ == "__main__":
    main()
