"""Hedges among drivers that were listed at different times: pair by pair, as one sample, on the rows that all have.

    OPTIHEDGE_DATA=... python benchmarks/listings.py [wti] [gas] [stocks] [vix] [brent] [coins]

How EwmaRisk reads unequal histories was drawn up on the first three; nothing was chosen on the others, of which VIX
futures were looked at meanwhile. Something is held from its 35th row on for 150 rows; every third day the covariance of
up to 252 rows (half-life 63, what was listed more than 30 rows ago) says how to hold the others at the least of
150 x variance and cost, as `Variance(relative=300)` and `SpreadCost` do.
  wti, gas, brent   January of each year against the other months, each listed nine months before its end, 5 bp
             (energy_curves_2007_2025)
  stocks     one of twenty stocks against the others, a third of them listed 5 to 250 rows before it, 5 bp; 20 draws
             (sp500_returns_2007_2016 to 2011, half of the names)
  vix        every fourth VIX future but those of the walk in through_time.py against the other months, 17 bp
  coins      each perpetual listed after 2024-03 against BTC, ETH and the twelve listed last before it, 5 bp
Variance removed is pooled over what was held, after costs; "worst" is the worst one's; cost is a share of what is held.
"Pair by pair" is what EwmaRisk did before; "in common" forgets what was before the youngest listing.
"""

import os
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from hedges import halves  # noqa: E402
from recorded import large_cap_returns, perpetual_closes  # noqa: E402
from recorded_futures import vix as vix_futures  # noqa: E402

import optihedge as oh  # noqa: E402
from optihedge.risk.ewma import repaired_correlation  # noqa: E402

DATA = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data"))
HALFLIFE, ROWS, LEAST, STEP, LIFE, AVERSION = 63, 252, 30, 3, 150, 300.0
Array = np.ndarray
Estimate = Callable[[pd.DataFrame], Array]
Case = tuple[pd.DataFrame, object, float]  # prices, missing before a listing; what is held; one-way cost


def pair_by_pair(moves: pd.DataFrame) -> Array:
    """Covariance of each pair on the rows that both have, repaired, with each driver's own deviation."""
    weights, seen = 0.5 ** (np.arange(len(moves))[::-1, None] / HALFLIFE), moves.notna().to_numpy().astype(float)
    values = moves.fillna(0.0).to_numpy()
    told = values.T @ (weights * values) / (seen.T @ (weights * seen))
    size = np.sqrt(np.diag(told))
    return repaired_correlation(told / np.outer(size, size)) * np.outer(size, size)


def one_sample(moves: pd.DataFrame) -> Array:
    return oh.EwmaRisk(HALFLIFE).fit(moves).risk_.covariance().to_numpy()


def in_common(moves: pd.DataFrame) -> Array:
    return one_sample(moves.dropna())


ESTIMATORS: dict[str, Estimate] = {
    "pair by pair": pair_by_pair, "one sample": one_sample, "all rows in common": in_common
}  # fmt: skip


def least(told: Array, held: int, before: Array, cost: float) -> Array:
    """Hedges w of the least aversion / 2 x variance of one held and w, plus cost x |w - before|; by coordinates."""
    w, slope = before.copy(), AVERSION * (told @ before + told[:, held])
    for _ in range(500):
        largest = 0.0
        for j in np.delete(np.arange(len(told)), held):
            size = AVERSION * told[j, j]
            away = w[j] - slope[j] / size - before[j]
            step = before[j] + np.sign(away) * max(abs(away) - cost / size, 0.0) - w[j]
            slope, w[j], largest = slope + AVERSION * step * told[:, j], w[j] + step, max(largest, abs(step))
        if largest < 1e-8:
            break
    return w


def walk(
    prices: pd.DataFrame, own: object, cost: float, estimate: Callable[[pd.DataFrame], Array]
) -> tuple[Array, float]:
    """Daily P&L of one unit held and its hedges, after costs, and what was paid."""
    days = prices[own].dropna().index[LEAST + 5 : LEAST + 5 + LIFE][::STEP]
    held, pnl, paid = pd.Series(dtype=float), [], 0.0
    for day, until in pairwise(days):
        past = prices.loc[:day].iloc[-ROWS - 1 :]
        names = past.columns[past.iloc[-1].notna().to_numpy() & (past.notna().sum() > LEAST).to_numpy()]
        at, before = names.get_loc(own), held.reindex(names).fillna(0.0).to_numpy()
        w = least(estimate(past[names].pct_change(fill_method=None).iloc[1:]), at, before, cost)
        ahead = prices.loc[day:until, names].ffill().to_numpy()
        grown = ahead / ahead[0] - 1
        gain, spent = np.diff(grown @ (w + np.eye(len(names))[at])), cost * np.abs(w - before).sum()
        gain[0] -= spent
        pnl.append(gain)
        paid += spent
        held = pd.Series(w * (1 + grown[-1]) / (1 + grown[-1, at]), names)
    return np.concatenate(pnl), paid


def curve(root: str, exchange: str) -> Iterator[Case]:
    folder = DATA / "energy_curves_2007_2025"
    rows, months = pd.read_parquet(folder / "settles.parquet"), pd.read_parquet(folder / "expiry_table.parquet")
    rows = rows[rows["root"] == root]
    months = months[months["cmdty"].astype(str) == exchange].sort_values("last_trade")
    nth = months["last_trade"].searchsorted(rows["date"]) + rows["rank"].to_numpy() - 1
    rows, nth = rows[nth < len(months)], nth[nth < len(months)]
    named = (months["year"] * 100 + months["month"]).to_numpy()[nth]
    prices = rows.assign(month=named).pivot_table(index="date", columns="month", values="settle")
    left = prices[::-1].notna().cumsum()[::-1]  # rows to its end
    prices = prices.where(left <= LEAST + 5 + LIFE)
    for own in [month for month in prices if month % 100 == 1 and prices[month].count() == LEAST + 5 + LIFE][1:]:
        yield prices, own, 5e-4


def stocks() -> Iterator[Case]:
    returns = large_cap_returns(DATA / "sp500_returns_2007_2016").fillna(0.0)
    returns = returns.loc[:"2011", halves(returns.columns)]
    for draw in range(20):
        rng = np.random.default_rng(draw)
        chosen = returns[rng.choice(returns.columns, 20, replace=False)]
        first = int(rng.integers(ROWS, len(chosen) - LIFE - LEAST - 10))
        prices = 100 * (1 + chosen).cumprod()
        for name in chosen.columns[1:7]:
            prices.iloc[: first - int(rng.integers(5, 250)), prices.columns.get_loc(name)] = np.nan
        prices.iloc[:first, 0] = np.nan
        yield prices, prices.columns[0], 5e-4


def vix() -> Iterator[Case]:
    prices = vix_futures(DATA / "vix_futures_2013_2026")
    apart = [name for name in prices if prices[name].count() > LIFE and not "VX-201904" < name < "VX-202002"]
    for own in apart[4::4]:
        yield prices, own, 17e-4


def coins() -> Iterator[Case]:
    prices = perpetual_closes(DATA / "crypto_perp_daily")
    first = prices.apply(pd.Series.first_valid_index).sort_values(kind="stable")
    for at, own in enumerate(first.index):
        if first[own] > pd.Timestamp("2024-03-01", tz="UTC"):
            others = [name for name in first.index[:at] if name not in ("BTCUSDT", "ETHUSDT")][-12:]
            yield prices[["BTCUSDT", "ETHUSDT", *others, own]], own, 5e-4


CASES: dict[str, Callable[[], Iterator[Case]]] = {
    "wti": lambda: curve("CL", "cmewti"), "gas": lambda: curve("NG", "cmeng"), "stocks": stocks, "vix": vix,
    "brent": lambda: curve("BRN", "icebrent"), "coins": coins,
}  # fmt: skip

if __name__ == "__main__":
    print("| market | hedge | variance removed | worst | cost |\n|---|---|--:|--:|--:|")
    for chosen in sys.argv[1:] or list(CASES):
        cases = list(CASES[chosen]())
        alone = np.array([walk(*case, lambda moves: np.eye(moves.shape[1]))[0].var() for case in cases])
        for label, estimate in ESTIMATORS.items():
            found = [walk(*case, estimate) for case in cases]
            ratio, cost = np.array([pnl.var() for pnl, _ in found]), np.mean([paid for _, paid in found])
            print(f"| {chosen}, {len(cases)} held | {label} | {1 - ratio.sum() / alone.sum():.3f} | "
                  f"{1 - (ratio / alone).max():.3f} | {cost:.4f} |", flush=True)  # fmt: skip
