"""Several periods in one Program against one period at a time, walked forward on recorded coins.

    OPTIHEDGE_DATA=... python benchmarks/multi_period.py [alts] [carry]

The plan of H steps: positions q_1 .. q_H, trades x_t = q_t - q_{t-1}, minimise sum over t of risk(q_t) + cost(x_t) -
income_t q_t; the first step is traded, the rest decided again next time. Against it: one period with costs as they are,
and one period with costs (and income) spread over a holding of H: what `holding` and an aversion times kappa do.
  alts   8 random books of 10 coins hedged daily with BTC and ETH (crypto_perp_daily, 434 days), risk EWMA of 63 days,
         nothing is forecast. Per method: daily deviation over the unhedged book's, cost over the one period's, and the
         mean daily objective (aversion / 2 x P&L^2 + cost) over the one period's
  carry  spot against perpetual, BTC and ETH, every 8 hours (crypto_spot_perp_8h_2023_2024): funding is forecast by an
         AR(1) of the last 270 intervals, the plan sees it fade, a holding of H takes the forecasts' sum. Per method:
         mean P&L after costs less aversion / 2 x variance, per year, as a share of the limit; the aversion lets the
         first 270 intervals' mean funding hold half of the limit
Intervals (95 %): blocks of 20 rows, of the plan's daily objective less the holding's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from recorded_markets import PERP_FEE, PERP_SPREAD, perpetual_closes, spot_perpetual_panel  # noqa: E402

import optihedge as oh  # noqa: E402

DATA = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data"))
COST = PERP_FEE + PERP_SPREAD / 2
HORIZONS = (2, 5, 10)
Array = np.ndarray


def planned(root: Array, offset: Array, now: Array, income: Array, cost: Array | float, most: float) -> Array:
    """The positions after the first of H steps. root k x n, offset k (the book's), income H x n, now and cost n."""
    steps, n = income.shape
    so_far = np.tril(np.ones((steps, steps)))
    reach = np.tile(most - now, steps), np.tile(-most - now, steps)
    program = oh.Program(
        columns=tuple(f"{t} {i}" for t in range(steps) for i in range(n)), start=np.zeros(steps * n),
        lower=np.minimum(reach[1], -2 * most), upper=np.maximum(reach[0], 2 * most),
        factors=np.kron(so_far, root), factor_offset=np.tile(root @ now + offset, steps),
        linear=-(so_far.T @ income).ravel(), buy=np.full(steps * n, cost), sell=np.full(steps * n, cost),
        row_names=tuple(f"most {t} {i}" for t in range(steps) for i in range(n)),
        rows=sp.csr_array(np.kron(so_far, np.eye(n))), row_lower=reach[1], row_upper=reach[0],
    )  # fmt: skip
    return now + oh.solve(program).h[:n]


def methods(horizon: int) -> dict[str, tuple[int, float]]:
    """Steps of the plan, and over how many periods costs are spread."""
    return {"one period": (1, 1.0), f"holding {horizon}": (1, float(horizon)), f"plan of {horizon}": (horizon, 1.0)}


def interval(difference: Array, block: int = 20, draws: int = 2000) -> str:
    """Of a mean, by blocks."""
    rng, count = np.random.default_rng(0), len(difference)
    starts = rng.integers(0, count - block, (draws, -(-count // block)))
    means = difference[(starts[..., None] + np.arange(block)).reshape(draws, -1)].mean(axis=1)
    return "[{:+.3g}, {:+.3g}]".format(*np.quantile(means, [0.025, 0.975]))


def alts() -> None:
    """Books of coins against BTC and ETH."""
    closes = perpetual_closes(DATA / "crypto_perp_daily").dropna(axis=1)
    moves = closes.pct_change(fill_method=None).iloc[1:]
    hedges, rng, aversion, first = ["BTCUSDT", "ETHUSDT"], np.random.default_rng(0), 1e-5, 365
    names = [c for c in moves if c not in hedges]
    books = [rng.choice(names, 10, replace=False) for _ in range(8)]
    decay = 0.5 ** (np.arange(250)[::-1] / 63)
    print(f"{'alts':14s} {'deviation':>9s} {'cost':>6s} {'objective':>9s}  plan less holding")
    for horizon in HORIZONS:
        paths: dict[str, list[Array]] = {name: [] for name in methods(horizon)}
        costs: dict[str, float] = dict.fromkeys(paths, 0.0)
        whole: list[Array] = []
        for book in books:
            x, h = moves[book].to_numpy(), moves[hedges].to_numpy()
            held = np.full(10, 10_000.0)  # the client keeps its weights
            now = {name: np.zeros(2) for name in paths}
            each: dict[str, list[tuple[float, float]]] = {name: [] for name in paths}
            bare = []
            for t in range(first, len(moves)):
                past = np.sqrt(decay / decay.sum())[:, None] * np.c_[h[t - 250 : t], x[t - 250 : t]]
                root = np.sqrt(aversion) * np.linalg.qr(past, mode="r")
                income = np.zeros((horizon, 2))
                for name, (steps, spread) in methods(horizon).items():
                    to = planned(root[:, :2], root[:, 2:] @ held, now[name], income[:steps], COST / spread, 3e5)
                    paid = COST * np.abs(to - now[name]).sum()
                    costs[name] += paid
                    each[name].append((float(held @ x[t] + to @ h[t]), paid))
                    now[name] = to * (1 + h[t])
                bare.append(float(held @ x[t]))
            for name in paths:
                paths[name].append(np.array(each[name]))
            whole.append(np.array(bare))
        told("alts", horizon, paths, whole, costs, aversion)


def told(what: str, horizon: int, paths: dict[str, list[Array]], whole: list[Array], costs: dict[str, float],
         aversion: float) -> None:  # fmt: skip
    """The lines of one horizon."""
    daily = {n: np.mean([0.5 * aversion * p[:, 0] ** 2 + p[:, 1] for p in ps], axis=0) for n, ps in paths.items()}
    one, holding, plan = methods(horizon)
    for name, path in paths.items():
        ratio = np.exp(np.mean([np.log(p[:, 0].std() / w.std()) for p, w in zip(path, whole, strict=True)]))
        line = f"{name:14s} {ratio:9.4f} {costs[name] / costs[one]:6.2f} {daily[name].mean() / daily[one].mean():9.3f}"
        scale = daily[one].mean()
        print(line + (f"  {interval((daily[plan] - daily[holding]) / scale)}" if name == plan else ""), flush=True)


def carry() -> None:
    """Spot against perpetuals, funding forecast to fade."""
    panel = spot_perpetual_panel(DATA / "crypto_spot_perp_8h_2023_2024").dropna()
    funding = np.stack([panel[(coin, "funding")].to_numpy() for coin in ("BTC", "ETH")], axis=1)
    basis = np.stack(
        [np.log(panel[(c, "perp")] / panel[(c, "spot")]).diff().fillna(0.0).to_numpy() for c in ("BTC", "ETH")], axis=1
    )
    most, first = 1e5, 270
    aversion = float(np.median(funding[:first].mean(axis=0) / basis[:first].var(axis=0))) / (most / 2)
    cost = 2 * COST
    print(f"{'carry':14s} {'a year':>9s}   plan less holding, a year")
    for horizon in (3, 9, 21):
        utility: dict[str, Array] = {}
        for name, (steps, spread) in methods(horizon).items():
            now, out = np.zeros(2), []
            for t in range(first, len(funding) - 1):
                ahead = forecast(funding[t - 270 : t + 1], horizon)
                income = ahead[:steps] if steps > 1 else ahead.sum(axis=0, keepdims=True) / spread
                if spread == 1.0 and steps == 1:
                    income = ahead[:1]
                root = np.sqrt(aversion / 270) * np.linalg.qr(basis[t - 269 : t + 1], mode="r")
                to = planned(root, np.zeros(len(root)), now, income, cost / spread, most)
                earned = to @ (funding[t + 1] - basis[t + 1])
                out.append(earned - cost * np.abs(to - now).sum() - 0.5 * aversion * (to @ basis[t + 1]) ** 2)
                now = to
            utility[name] = np.array(out) * 3 * 365 / most
        _, holding, plan = methods(horizon)
        for name, path in utility.items():
            print(f"{name:14s} {path.mean():9.2%}" +
                  (f"   {interval(path - utility[holding])}" if name == plan else ""), flush=True)  # fmt: skip


def forecast(past: Array, steps: int) -> Array:
    """Funding of the next intervals by an AR(1) of the past, steps x n; past is T x n."""
    mean, out = past.mean(axis=0), np.empty((steps, past.shape[1]))
    away = past - mean
    keep = np.clip((away[1:] * away[:-1]).sum(axis=0) / (away[:-1] ** 2).sum(axis=0), 0.0, 0.999)
    for k in range(steps):
        out[k] = mean + keep ** (k + 1) * away[-1]
    return out


PARTS: dict[str, Callable[[], None]] = {"alts": alts, "carry": carry}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
