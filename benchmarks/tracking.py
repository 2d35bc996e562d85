"""Tracking an index with some of its shares, walked forward on recorded weekly prices, after costs.

    OPTIHEDGE_DATA=... python benchmarks/tracking.py [sets=1,2,4,5] [shares=20] [every=4]

OR-Library's index tracking sets (orlib_portfolio): 1 Hang Seng (31 names), 2 DAX (85), 3 FTSE (89), 4 S&P 100 (98),
5 Nikkei (225); 291 weekly prices. A book short the index is hedged with shares: half of the weeks (145) are known at
first, decided anew every `every` weeks, P&L by the week; costs as for large stocks (tests/recorded_markets.py).
Compared, by error a year before and after costs (deviation of P&L over the index's notional), turnover a year and mean
number of shares held:
  Ledoit-Wolf   HedgeModel: variance under SampleRisk(LedoitWolf()) and costs, all shares offered, horizon as `every`
  factors       the same under AdaptiveRisk(FactorRisk()), the risk of the shipped `quantitative`: the index's residual
                is a risk of its own there, so that it cannot see that the index is the sum of its shares
  regression    least squares of the index on the shares with weights of at least 0
  equal         equal money in all shares, their sum the index's
"N" beside a name: over the N shares that least squares on the first 145 weeks leaves when the least are dropped. Risk
was chosen on the sets 1 and 2; 4 and 5 are judged.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from sklearn.covariance import LedoitWolf

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from recorded_markets import EQUITY_FEE, EQUITY_SPREAD  # noqa: E402

import optihedge as oh  # noqa: E402

DATA = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data")) / "orlib_portfolio"
NAMES = {1: "Hang Seng", 2: "DAX", 3: "FTSE", 4: "S&P 100", 5: "Nikkei"}
ROWS, MONEY = 145, 1e7
Array = np.ndarray


def prices_of(number: int) -> pd.DataFrame:
    """Week x (INDEX, shares); the dates are made up, a week apart."""
    raw = pd.read_parquet(DATA / f"indtrack{number}.parquet").astype(float)
    table = raw.set_axis(["INDEX", *(f"S{i}" for i in range(1, raw.shape[1]))], axis=1)
    return table.set_axis(pd.date_range("1992-03-06", periods=len(table), freq="7D", tz="UTC"))


def least_squares(moves: pd.DataFrame, names: list[str]) -> pd.Series:
    """Weights of at least 0 of these shares that follow the index best."""
    return pd.Series(nnls(moves[names].to_numpy(), moves["INDEX"].to_numpy())[0], names)


def chosen(moves: pd.DataFrame, count: int) -> list[str]:
    """The shares left when the least one of the regression is dropped until `count` are."""
    names = list(moves.columns.drop("INDEX"))
    while len(names) > count:
        weights = least_squares(moves, names).sort_values(kind="stable")
        names = list(weights.index[max(1, (len(names) - count) // 4) :])
    return names


def modelled(panel: oh.Panel, names: list[str], every: int, risk: object) -> list[pd.Series]:
    """Money in each share, at every market decided, per money of the index."""
    model = oh.HedgeModel(
        risk=risk, horizon=f"{7 * every}d", universe=tuple(names),
        objective=(oh.Variance(relative=300), oh.SpreadCost(), oh.FeeCost()),
    )  # fmt: skip
    held, before, found = pd.Series(0.0, names), None, []
    for market in list(panel)[::every]:
        price = market.price[names]
        held = held if before is None else held * (price / before)
        book = pd.concat([pd.Series({"INDEX": -MONEY / market.price["INDEX"]}), held * MONEY / price])
        trades = model.hedge(market, book).trades.reindex(names).fillna(0.0)
        held, before = held + trades * price / MONEY, price
        found.append(held)
    return found


def simple(moves: pd.DataFrame, names: list[str], every: int, equal: bool = False) -> list[pd.Series]:
    """The same by least squares, or of equal money."""
    weeks = range(ROWS - 1, len(moves), every)
    flat = pd.Series(1.0 / len(names), names)
    return [flat if equal else least_squares(moves.iloc[t + 1 - (ROWS - 1) : t + 1], names) for t in weeks]


def figures(moves: pd.DataFrame, path: list[pd.Series], every: int) -> tuple[float, float, float, float]:
    """Error a year before and after costs, turnover a year, shares held; positions drift between decisions."""
    pnl, paid, traded, held = [], [], 0.0, pd.Series(dtype=float)
    for k, target in enumerate(path):
        size = target.sub(held, fill_value=0.0).abs().sum()
        traded += size if k else 0.0
        held = target
        for step, t in enumerate(range(ROWS + k * every, min(ROWS + (k + 1) * every, len(moves)))):
            pnl.append(float(held @ moves[held.index].iloc[t]) - float(moves["INDEX"].iloc[t]))
            paid.append((EQUITY_SPREAD / 2 + EQUITY_FEE) * size if step == 0 else 0.0)
            held = held * (1 + moves[held.index].iloc[t])
    years = len(pnl) / 52
    after = np.array(pnl) - np.array(paid)
    lines = float(np.mean([(each.abs() > 1e-4).sum() for each in path]))
    return float(np.std(pnl) * 52**0.5), float(np.std(after) * 52**0.5), traded / years, lines


def report(number: int, count: int, every: int) -> None:
    """The lines of one set."""
    prices = prices_of(number)
    moves = prices.pct_change(fill_method=None).iloc[1:]
    names = list(prices.columns.drop("INDEX"))
    few = chosen(moves.iloc[: ROWS - 1], count)
    panel = oh.Panel.from_prices(prices.iloc[:-1], rows=ROWS + 1, base_currency="USD", spread=EQUITY_SPREAD,
                                 fee=EQUITY_FEE, instruments=pd.DataFrame({"lot": 1e-6}, prices.columns))  # fmt: skip
    sample, factors = oh.risk.SampleRisk(LedoitWolf()), oh.risk.AdaptiveRisk(base=oh.FactorRisk())
    walks = {
        "Ledoit-Wolf": lambda: modelled(panel, names, every, sample),
        f"Ledoit-Wolf, {count}": lambda: modelled(panel, few, every, sample),
        f"factors, {count}": lambda: modelled(panel, few, every, factors),
        "regression": lambda: simple(moves, names, every), f"regression, {count}": lambda: simple(moves, few, every),
        "equal": lambda: simple(moves, names, every, equal=True),
    }  # fmt: skip
    for label, walk in walks.items():
        began = time.process_time()
        error, after, turnover, lines = figures(moves, walk(), every)
        took = time.process_time() - began
        print(f"{NAMES[number]:10s} {label:16s} {error:8.3%} {after:8.3%} {turnover:8.2f} {lines:7.1f} {took:6.0f}",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    words = dict(word.split("=") for word in sys.argv[1:])
    print(f"{'set':10s} {'hedge':16s} {'error':>8s} {'costs':>8s} {'turnover':>8s} {'shares':>7s} {'CPU s':>6s}")
    for one in words.get("sets", "1,2,4,5").split(","):
        report(int(one), int(words.get("shares", 20)), int(words.get("every", 4)))
