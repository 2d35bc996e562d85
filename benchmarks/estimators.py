"""Risk estimators out of sample: bias, QLIKE and realised variance on recorded markets; and how fast they are.

    OMP_NUM_THREADS=1 python benchmarks/estimators.py [data folder] [--speed | --perpetuals | --large]

Prints Markdown tables; intervals are 95 % circular block bootstrap. The default, AdaptiveRisk(), was developed on the
equities and is reported on the perpetuals unchanged.
"""

import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from recorded import large_cap_returns, perpetual_closes  # noqa: E402

from optihedge.backtest.evaluate import RiskEvaluation, evaluate_risk, usual_estimators  # noqa: E402
from optihedge.risk.adaptive import AdaptiveRisk  # noqa: E402
from optihedge.risk.combined import CombinedEwmaRisk  # noqa: E402
from optihedge.risk.estimator import RiskEstimator  # noqa: E402
from optihedge.risk.factor import FactorRisk  # noqa: E402

PAIRS = ((10, 21), (21, 63), (63, 125), (125, 250), (250, 500))


def equities(data: Path, names: int, estimators: dict[str, RiskEstimator], books: int = 100) -> RiskEvaluation:
    """Random large caps, 2008-2016 by year; hedged books are long-only books against the equal-weighted market."""
    returns = large_cap_returns(data / "sp500_returns_2007_2016").dropna(axis=1)
    chosen = np.sort(np.random.default_rng(0).choice(returns.shape[1], names, replace=False))
    return evaluate_risk(estimators, returns.iloc[:, chosen], start=252, books=books)


def perpetuals(data: Path, estimators: dict[str, RiskEstimator], books: int = 100) -> RiskEvaluation:
    """The perpetuals with full history, from September 2024 by half-year; books of 10, hedged with BTC and ETH."""
    closes = perpetual_closes(data / "crypto_perp_daily").dropna(axis=1)
    returns = closes.pct_change().iloc[1:]
    returns.attrs["periods_per_year"] = 365.0
    hedges = ("BTCUSDT", "ETHUSDT")
    return evaluate_risk(estimators, returns, start=252, hedges=hedges, books=books, size=10, months=6)


def compared() -> dict[str, RiskEstimator]:
    return {**usual_estimators(), "combined EWMA": CombinedEwmaRisk(), "factors only": FactorRisk()}


def show(title: str, found: RiskEvaluation) -> None:
    """Print the tables of an evaluation."""
    print(f"\n### {title}\n")
    print(f"| estimator | books | bias | lowest .. highest | QLIKE less {found.baseline}'s |\n|---|---|---|---|---|")
    for (estimator, books), row in found.forecasts.iterrows():
        bias = f"{row['bias']:.3f} [{row['bias_low']:.3f}, {row['bias_high']:.3f}]"
        qlike = f"{row['qlike']:+.3f} [{row['qlike_low']:+.3f}, {row['qlike_high']:+.3f}]"
        print(f"| {estimator} | {books} | {bias} | {row['period_low']:.2f} .. {row['period_high']:.2f} | {qlike} |")
    print(f"\n| estimator | portfolio it builds | realised variance / {found.baseline}'s |\n|---|---|---|")
    for (estimator, portfolio), row in found.variances.iterrows():
        print(f"| {estimator} | {portfolio} | {row['ratio']:.3f} [{row['low']:.3f}, {row['high']:.3f}] |", flush=True)


def published_iewma(returns: pd.DataFrame, pairs: tuple[tuple[float, float], ...], lookback: int = 10) -> pd.DataFrame:
    """The peer: the published algorithm in plain pandas and CVXPY, one row and one expert at a time, as its authors do.

    Written here from the paper (no code of theirs); returns the last covariance.
    """
    import cvxpy as cp

    dimension = returns.shape[1]
    factors = {}
    for volatility_halflife, halflife in pairs:
        volatility = np.sqrt((returns**2).ewm(halflife=volatility_halflife).mean())
        standard = (returns / volatility).clip(-4.2, 4.2)
        mean, decay, known = pd.DataFrame(0.0, returns.columns, returns.columns), 0.5 ** (1 / halflife), {}
        for count, (when, row) in enumerate(standard.iterrows(), start=1):
            outer = pd.DataFrame(np.outer(row, row), returns.columns, returns.columns)
            mean = mean + (1 - decay) / (1 - decay**count) * (outer - mean)
            if count > dimension:
                size = np.sqrt(np.diag(mean))
                scale = volatility.loc[when].to_numpy() / size
                known[when] = np.linalg.cholesky(np.linalg.inv(scale[:, None] * mean.to_numpy() * scale))
        factors[volatility_halflife, halflife] = known
    times = list(known)
    weights = cp.Variable(len(pairs))
    diagonals, root = cp.Parameter((dimension * lookback, len(pairs))), cp.Parameter((len(pairs), len(pairs)))
    likelihood = cp.sum(cp.log(diagonals @ weights)) - 0.5 * cp.sum_squares(root.T @ weights)
    problem = cp.Problem(cp.Maximize(likelihood), [weights >= 0, cp.sum(weights) == 1])
    for end in range(lookback, len(times)):
        span = range(end - lookback, end)
        diagonals.value = np.vstack([np.column_stack([np.diag(f[times[i]]) for f in factors.values()]) for i in span])
        moves = np.vstack(
            [np.column_stack([f[times[i]].T @ returns.loc[times[i + 1]] for f in factors.values()]) for i in span]
        )
        root.value = np.linalg.cholesky(moves.T @ moves)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "solution may be inaccurate", to 1e-8
            problem.solve(solver="CLARABEL")
        mixed = sum(weight * f[times[end]] for weight, f in zip(weights.value, factors.values(), strict=True))
        covariance = pd.DataFrame(np.linalg.inv(mixed @ mixed.T), returns.columns, returns.columns)
    return covariance


def seconds(work: Callable[[], object], repeat: int = 1) -> float:
    """Least processor time of some runs; run with OMP_NUM_THREADS=1 to compare."""
    best = np.inf
    for _ in range(repeat):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


def simulated(rows: int, drivers: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    values = 0.01 * (rng.normal(size=(rows, 5)) @ rng.normal(size=(5, drivers)) + 2 * rng.normal(size=(rows, drivers)))
    return pd.DataFrame(values, columns=[f"D{i}" for i in range(drivers)])


def refit_daily(estimator: RiskEstimator, moves: pd.DataFrame, days: int, window: int) -> None:
    for day in range(len(moves) - days, len(moves)):
        estimator.fit(moves.iloc[day - window : day])


def update_daily(estimator: RiskEstimator, moves: pd.DataFrame, days: int) -> None:
    estimator.fit(moves.iloc[:-days])
    for day in range(len(moves) - days, len(moves)):
        estimator.partial_fit(moves.iloc[day : day + 1])


def speed() -> None:
    """Print the table of speeds; each line in this process, one after another."""
    print("\n### Speed\n\n| what | processor seconds |\n|---|---|")
    large = np.random.default_rng(0).normal(size=(1000, 5000))
    fit = seconds(lambda: FactorRisk(10, clusters=1.0).fit(large))
    print(f"| principal components, 5 000 drivers x 1 000 rows | {fit:.2f} |")
    fit = seconds(lambda: FactorRisk(10).fit(large))
    print(f"| the same with clusters of look-alikes | {fit:.2f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"| (peak memory of the process so far, GiB) | {peak:.2f} |", flush=True)
    moves = simulated(1010, 500)
    daily = seconds(lambda: refit_daily(FactorRisk(20), moves, 250, 504))
    print(f"| factor model of 500 names fitted anew on 250 days, 504 rows each | {daily:.2f} |")
    online = seconds(lambda: update_daily(AdaptiveRisk(), moves, 250))
    print(f"| AdaptiveRisk of 500 names updated on 250 days | {online:.2f} |", flush=True)
    moves, rows = simulated(460, 50), 400
    ours = CombinedEwmaRisk(PAIRS)
    fast = seconds(lambda: ours.path(moves, len(moves) - rows), repeat=3)
    slow = seconds(lambda: published_iewma(moves, PAIRS))
    gap = np.abs(ours.path(moves, len(moves) - 1)[-1] - published_iewma(moves, PAIRS)).max().max()
    print(f"| combined iterated EWMA, 50 drivers, 5 experts, {rows} rows | {fast:.2f} |")
    print(f"| the same in plain pandas and CVXPY (largest difference {gap:.1e}) | {slow:.2f} |")
    print(f"| ratio | {slow / fast:.0f} |", flush=True)


def main(arguments: list[str]) -> None:
    folders = [Path(argument) for argument in arguments if not argument.startswith("--")]
    data = folders[0] if folders else ROOT.parent / "shared" / "data"
    if "--speed" in arguments:
        return speed()
    if "--perpetuals" in arguments:
        return show("50 perpetuals, September 2024 - March 2026", perpetuals(data, compared()))
    if "--large" in arguments:
        few = {name: usual_estimators()[name] for name in ("Ledoit-Wolf 252", "adaptive")}
        return show("400 large caps, 2008-2016", equities(data, 400, few, books=50))
    show("100 large caps, 2008-2016", equities(data, 100, compared()))
    show("50 perpetuals, September 2024 - March 2026", perpetuals(data, compared()))


if __name__ == "__main__":
    main(sys.argv[1:])
