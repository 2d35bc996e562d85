"""American options with cash dividends beside QuantLib's finite differences: the misses, and the speed, in one run.

    OMP_NUM_THREADS=1 python benchmarks/american.py [contracts] [reference grid]

Contracts: 3 days to 3 years, vols of 10 to 70 %, rates from -2 %, half of them with up to eight dividends. QuantLib
needs five solves for price, delta, gamma, theta, vega and rho. Its grid is the coarsest of GRIDS that comes as near to
a fine grid, on a sample of the contracts, as ours does: within 1e-4 of the spot in 99 of 100 for every figure (gamma
and theta where exercise is not near, where both jump). Both are timed in turns; figures are in money for a move of 1 %,
a vol point, a day and a basis point, over the spot.
"""

import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from test_american import UNITS, misses, quantlib, quantlib_figures, random_contracts  # noqa: E402

from optihedge.market.american import american_greeks, american_price  # noqa: E402

GRIDS = (100, 200, 300, 400, 600, 800)
FINE, SAMPLE, TIMED, ROUNDS, WORST = 1600, 60, 320, 5, 40
NEAR = 1e-4


def some(c: dict[str, np.ndarray], at: slice) -> dict[str, np.ndarray]:
    """These contracts."""
    return {name: values[at] for name, values in c.items()}


def held(c: dict[str, np.ndarray]) -> np.ndarray:
    """Contracts that are worth more than 0.1 % of the spot above their payoff."""
    return american_price(100.0, **c) - np.maximum(c["right"] * (100.0 - c["strike"]), 0.0) > 0.1


def within(found: dict[str, np.ndarray], away: np.ndarray) -> dict[str, float]:
    """Share of contracts whose miss is below NEAR, by figure."""
    return {k: float(np.mean(np.abs(v[away] if k in ("gamma", "theta") else v) < NEAR)) for k, v in found.items()}


def grid_as_near(c: dict[str, np.ndarray]) -> int:
    """The coarsest grid of QuantLib's that comes within NEAR of its fine grid in 99 of 100, told as it is found."""
    away, fine = held(c), quantlib_figures(c, FINE)
    for grid in GRIDS:
        coarse = quantlib_figures(c, grid)
        shares = within({name: (coarse[name] - fine[name]) / 100 for name in UNITS}, away)
        print(f"QuantLib {grid} x {grid} against {FINE}: " + ", ".join(f"{k} {v:.3f}" for k, v in shares.items()))
        if min(shares.values()) >= 0.99:
            break
    ours = within(misses(c, FINE, fine), away)
    print(f"ours against {FINE}: " + ", ".join(f"{k} {v:.3f}" for k, v in ours.items()), flush=True)
    return grid


def speed(c: dict[str, np.ndarray], grid: int) -> None:
    """Seconds a contract, QuantLib's and ours in turns on the same ones, and the ratio."""
    ratios, ours, theirs = [], [], []
    american_greeks(100.0, **some(c, slice(0, 64)))
    for turn in range(ROUNDS):
        part = some(c, slice(turn * TIMED // ROUNDS, (turn + 1) * TIMED // ROUNDS))
        began = time.process_time()
        quantlib_figures(part, grid)
        theirs.append((time.process_time() - began) / len(part["years"]))
        began = time.process_time()
        american_greeks(100.0, **c)
        ours.append((time.process_time() - began) / len(c["years"]))
        ratios.append(theirs[-1] / ours[-1])
    low, high = min(ratios), max(ratios)
    print(f"QuantLib {np.mean(theirs) * 1e3:.2f} ms, ours {np.mean(ours) * 1e3:.3f} ms a contract: "
          f"{np.median(ratios):.1f} times ({low:.1f} to {high:.1f})", flush=True)  # fmt: skip


def whose(c: dict[str, np.ndarray], miss: np.ndarray) -> None:
    """Of the prices beyond NEAR of the reference, those furthest off: how many are near the fine grid's."""
    worst = np.argsort(-np.abs(miss))[: min(WORST, int((np.abs(miss) > NEAR).sum()))]
    part = {name: values[worst] for name, values in c.items()}
    fine = np.array([quantlib(part, i, FINE)[0] for i in range(len(worst))])
    left = np.abs(american_price(100.0, **part) - fine) / 100
    print(f"{(np.abs(miss) > NEAR).sum()} prices beyond; of the {len(worst)} furthest {np.sum(left < NEAR)} are within "
          f"1e-4 of {FINE} x {FINE}, and the furthest from that is at {left.max(initial=0.0):.1e}")  # fmt: skip


def main(count: int, reference: int) -> None:
    """The grid that is as near, the speed at it, and the misses of all contracts against `reference`."""
    grid = grid_as_near(random_contracts(SAMPLE, seed=5))
    speed(random_contracts(2000, seed=6), grid)
    c = random_contracts(count, seed=7)
    found, away = misses(c, reference), held(c)
    print(f"\n{count} contracts against {reference} x {reference}\n| figure | within 1e-4 | median | 99 % |")
    print("|---|--:|--:|--:|")
    for name, share in within(found, away).items():
        miss = np.abs(found[name][away] if name in ("gamma", "theta") else found[name])
        print(f"| {name} | {share:.4f} | {np.median(miss):.1e} | {np.quantile(miss, 0.99):.1e} |")
    whose(c, found["price"])


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]), *(10_000, 300)[len(sys.argv) - 1 :])
