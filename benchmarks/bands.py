"""When to re-hedge an option: bands against the clock at equal cost, on simulated and on recorded paths.

    OPTIHEDGE_DATA=... python benchmarks/bands.py

Short straddles at the money, delta hedged with their underlying, the vol that of the returns of so long before. Rules:
  clock    every so many looks
  wide     Whalley and Wilmott's band, to its edge (aversion varied)
  kappa    the no-trade region of one day's k S |trade| + kappa sigma: |delta gap| <= a |gamma| S vol sqrt(day / 2)
           / sqrt(1 - a^2), a = k / (kappa vol sqrt(day)), to its edge (kappa varied)
  fixed    the same width of delta always (width varied)
Each rule is tuned to the mean cost of a clock; what is told is its deviation of P&L after costs over the clock's, with
95 % intervals by whole options (bootstrap; of shares by the periods of all at once).
  simulated   4 000 three-month straddles, eight looks a day, vol 0.25, 20 bp one way
  BTC         the USDT perpetual by the hour, 2021-07 to 2024-07, straddles of 14 days one after the other, 5 bp
  shares      18 ETFs by the day, 2006-2022, straddles of 63 days one after the other, 2 bp
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

import optihedge as oh

DATA = Path(os.environ.get("OPTIHEDGE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
Array = np.ndarray


def cut(level: pd.Series, looks: int, year: float) -> tuple[Array, Array]:
    """Paths (looks + 1 x n) from 100, one after the other, and the vol of as many returns before each."""
    logs = np.log(level.to_numpy())
    starts = range(looks, len(logs) - looks, looks)
    vols = [np.std(np.diff(logs[s - looks : s + 1])) * np.sqrt(year) for s in starts]
    return 100 * np.exp(np.stack([logs[s : s + looks + 1] - logs[s] for s in starts], axis=1)), np.array(vols)


def outcomes(path: Array, vol: Array, one_way: float, year: float, day: int, clocks: tuple[int, ...]) -> pd.DataFrame:
    """rule, parameter -> cost and P&L after costs of every straddle (columns)."""
    looks = len(path) - 1
    left = (np.arange(looks, 0, -1) / year)[:, None]
    right = np.array([1.0, -1.0])[:, None, None]
    each = oh.options.greeks(path[:-1], path[:-1], 100.0, left, vol, right)
    delta, gamma = each.delta.sum(axis=0), each.gamma.sum(axis=0)
    premium = oh.options.black(path[0], 100.0, looks / year, vol, right[:, 0]).sum(axis=0)
    paid = np.abs(path[-1] - 100.0) - premium

    def told(held: Array) -> tuple[Array, Array]:
        cost = one_way * (np.abs(np.diff(held, axis=0, prepend=0)) * path[:-1]).sum(axis=0)
        return cost, (held * np.diff(path, axis=0)).sum(axis=0) - paid - cost

    rows = {("clock", float(n)): told(delta[np.arange(looks) // n * n]) for n in clocks}
    deviation = vol * np.sqrt(day / year)
    for rule, values in {
        "wide": np.geomspace(1e-3, 1e2, 26), "kappa": np.geomspace(4e-3, 10, 32), "fixed": np.geomspace(3e-3, 0.4, 26)
    }.items():  # fmt: skip
        for value in values:
            if rule == "wide":
                band = oh.policy.whalley_wilmott_band(path[:-1], gamma, one_way, value)
            elif rule == "kappa":
                a = np.minimum(one_way / (value * deviation), 0.999)
                band = a * np.abs(gamma) * path[:-1] * deviation / np.sqrt(2 * (1 - a**2))
            else:
                band = np.full(delta.shape, value)
            rows[rule, float(value)] = told(oh.policy.follow_band(delta, band, band, to_edge=True))
    return pd.DataFrame({key: np.concatenate(pair) for key, pair in rows.items()}).T


def ratios(found: pd.DataFrame, chosen: Array, clock: int) -> dict[str, float]:
    """Deviation of each rule's P&L at the clock's mean cost over the clock's own, on the chosen straddles."""
    n = found.shape[1] // 2
    cost, error = found.iloc[:, chosen].mean(axis=1), found.iloc[:, n + chosen].std(axis=1)
    at = cost["clock", float(clock)]
    out = {}
    for rule in ("wide", "kappa", "fixed"):
        mine = np.argsort(cost[rule].to_numpy())
        x, y = cost[rule].to_numpy()[mine], error[rule].to_numpy()[mine]
        out[rule] = float(np.interp(at, x, y, left=np.nan, right=np.nan) / error["clock", float(clock)])
    return out


def report(name: str, found: pd.DataFrame, clocks: tuple[int, ...], look: str, at_once: int = 1) -> None:
    """A row for each clock. at_once: underlyings that stand one after the other; they are drawn together."""
    n, rng = found.shape[1] // 2, np.random.default_rng(0)
    times = np.arange(n).reshape(at_once, -1)
    for clock in clocks:
        mid = ratios(found, np.arange(n), clock)
        drawn = (rng.integers(0, times.shape[1], times.shape[1]) for _ in range(200))
        draws = pd.DataFrame([ratios(found, times[:, one].ravel(), clock) for one in drawn])
        cells = [f"{mid[r]:.2f} [{draws[r].quantile(0.025):.2f}, {draws[r].quantile(0.975):.2f}]" for r in mid]
        print(f"{name:10s} {n:5d} every {clock:3d} {look:6s} " + "  ".join(f"{cell:>18s}" for cell in cells))


def main() -> None:
    """All three."""
    print(f"{'paths':10s} {'n':>5s} {'clock':16s} {'wide':>18s}  {'kappa':>18s}  {'fixed':>18s}")
    rng, looks, year = np.random.default_rng(8), 504, 8 * 252
    shocks = 0.25 / np.sqrt(year) * rng.standard_normal((looks, 4_000)) - 0.25**2 / (2 * year)
    path = 100 * np.exp(np.vstack([np.zeros((1, 4_000)), np.cumsum(shocks, axis=0)]))
    clocks = (96, 48, 32, 24, 16, 8, 4, 2, 1)
    report("simulated", outcomes(path, np.full(4_000, 0.25), 0.002, year, 8, clocks), (24, 8), "looks")
    coin = pd.read_parquet(DATA / "crypto_spot_perp_8h_2023_2024" / "binance_btc_hourly_2021_2024.parquet")
    hours = (96, 72, 48, 24, 12, 8, 4, 1)
    report("BTC", outcomes(*cut(coin["perp_usdt"], 336, 8760), 5e-4, 8760, 24, hours), (24, 8), "hours")
    etfs = pd.read_parquet(DATA / "etf_daily_2006_2022" / "etf_returns.parquet").dropna(axis=1)
    parts = [outcomes(*cut((1 + etfs[n]).cumprod(), 63, 252), 2e-4, 252, 1, (10, 5, 3, 2, 1)) for n in etfs]
    half = [part.shape[1] // 2 for part in parts]
    both = [pd.concat([p.iloc[:, :h] for p, h in zip(parts, half, strict=True)], axis=1),
            pd.concat([p.iloc[:, h:] for p, h in zip(parts, half, strict=True)], axis=1)]  # fmt: skip
    report("shares", pd.concat(both, axis=1), (5, 2), "days", at_once=len(parts))


if __name__ == "__main__":
    main()
