"""250 daily re-solves of one market-neutral book on recorded prices of 432 stocks.

    python benchmarks/sequence.py [data folder] [days]

The book follows a slow momentum signal with 20 principal factors of the last year's returns, spreads, impact from each
day's volume, borrow, exact dollar and beta neutrality, bands on sectors and styles, turnover and gross limits.
Holdings are shares, so yesterday's answer is today's start; every method solves the same Programs.
"""

import os
import sys
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402
from measure import Run, cvxpy_solve, loosest, machine, run  # noqa: E402
from recorded import clean_stocks  # noqa: E402
from small import Qoco  # noqa: E402

from optihedge.program.candidate import Candidate  # noqa: E402
from optihedge.program.general.clarabel_ import Clarabel  # noqa: E402
from optihedge.program.general.osqp_ import Osqp  # noqa: E402
from optihedge.program.general.piqp_ import Piqp  # noqa: E402
from optihedge.program.general.sparse_form import SparseQP, single_variable_rows  # noqa: E402
from optihedge.program.general.sparse_qp import QPResult  # noqa: E402
from optihedge.program.program import Program  # noqa: E402
from optihedge.program.status import Status  # noqa: E402
from optihedge.program.structured.solver import Structured  # noqa: E402

GROSS, AVERSION, FACTORS = 1e8, 1e-5, 20  # USD, 1 / USD, count
SLOW = 25  # days that the slowest methods solve
STYLES = ("size", "volatility", "trend", "reversal")


@dataclass(frozen=True)
class PiqpUpdated(Piqp):
    """PIQP that keeps its solver from day to day and is told new numbers where the pattern is the last day's."""

    kept: dict[str, Any] = field(default_factory=dict)

    def _run(self, qp: SparseQP, deadline: float | None, warm: Candidate | None) -> QPResult:
        piqp, rows = import_module("piqp"), qp.A.tocsr()
        bounds, own, other = single_variable_rows(qp, rows)
        other = other[np.isfinite(qp.l[other]) | np.isfinite(qp.u[other])]
        equal, band = other[qp.l[other] == qp.u[other]], other[qp.l[other] != qp.u[other]]
        low, high = np.full(len(qp.q), -np.inf), np.full(len(qp.q), np.inf)
        low[own], high[own] = qp.l[bounds], qp.u[bounds]
        tables = [sp.csc_matrix(qp.P), sp.csc_matrix(rows[equal]), sp.csc_matrix(rows[band])]
        P, A, G = tables
        given = (P, qp.q, A, qp.u[equal], G, qp.l[band], qp.u[band], low, high)
        pattern = [part for table in tables for part in (table.indptr, table.indices)]
        known = self.kept.get("pattern")
        if known is not None and all(np.array_equal(one, of) for one, of in zip(known, pattern, strict=True)):
            solver = self.kept["solver"]
            solver.update(*given)
        else:
            solver = piqp.SparseSolver()
            solver.settings.eps_abs = solver.settings.eps_rel = self.tolerance
            solver.settings.check_duality_gap, solver.settings.num_threads = True, 1
            solver.settings.eps_duality_gap_abs = solver.settings.eps_duality_gap_rel = self.tolerance
            solver.setup(*given)
            self.kept.update(pattern=pattern, solver=solver)
        solved = solver.solve() == piqp.PIQP_SOLVED
        result, y = solver.result, np.zeros(len(qp.l))
        y[equal], y[band] = result.y, result.z_u - result.z_l
        y[bounds] = (result.z_bu - result.z_bl)[own]
        return QPResult(np.array(result.x), y, Status.OPTIMAL if solved else Status.FAILED, "")


class Days:
    """Daily Programs of the book; `program(t, start)` for the day t of the recorded panel."""

    def __init__(self, folder: Path) -> None:
        close, self.volume, sector = (frame.to_numpy() for frame in clean_stocks(folder))
        self.close = close
        self.returns = np.diff(close, axis=0) / close[:-1]
        self.sectors = (sector[:, None] == np.unique(sector)).T.astype(float)

    def wanted(self, t: int) -> np.ndarray:
        """Positions asked for on day t, USD: momentum of 60 days without the last 5, smoothed over 10, by rank."""
        lags = [(0.5 ** (lag / 10), t - 5 - lag) for lag in range(30)]
        momentum = sum(weight * (self.close[day] / self.close[day - 60] - 1) for weight, day in lags)
        rank = np.argsort(np.argsort(momentum)) - (len(momentum) - 1) / 2
        return GROSS * rank / np.abs(rank).sum()

    def styles(self, t: int, volatility: np.ndarray) -> np.ndarray:
        """Style exposures of day t, one row each, standardised across stocks."""
        size = np.log(np.nanmedian(self.volume[t - 60 : t], axis=0))
        trend, reversal = (np.log(self.close[t] / self.close[t - lag]) for lag in (250, 20))
        rows = np.vstack([size, np.log(volatility), trend, reversal])
        return (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)

    def program(self, t: int, start: np.ndarray | None) -> Program:
        """The Program of day t, holdings in shares; without a start, the first day's, free of turnover."""
        price, window = self.close[t], self.returns[t - 252 : t]
        n = len(price)
        centred = (window - window.mean(axis=0)) / np.sqrt(len(window))
        _, values, vectors = np.linalg.svd(centred, full_matrices=False)
        root = values[:FACTORS, None] * vectors[:FACTORS]
        own = (centred**2).sum(axis=0) - (root**2).sum(axis=0)
        market = window.mean(axis=1)
        beta = (centred * (market - market.mean())[:, None]).sum(axis=0) / (market.var() * np.sqrt(len(window)))
        wanted = self.wanted(t) / price
        volatility = np.sqrt((centred**2).sum(axis=0))
        daily = np.nanmedian(self.volume[t - 60 : t], axis=0)
        factors, specific = np.sqrt(AVERSION) * root * price, AVERSION * own * price**2
        table = np.vstack([np.ones(n), beta, self.sectors, self.styles(t, volatility)]) * price
        m = len(table)
        names = ("dollar", "beta", *(f"sector{s}" for s in range(len(self.sectors))), *STYLES)
        limit = np.where(np.arange(m) < 2, 0.0, 0.02 * GROSS)
        size = np.vstack([np.zeros((m, n)), price])
        first = start is None
        start = wanted if first else start
        room = np.maximum(0.02 * GROSS / price, np.abs(start))
        trade = np.maximum(0.05 * daily / price, 1e-3 * GROSS / price) * (1e3 if first else 1)
        quadratic = 0.1 * volatility * price**2 / daily
        return Program(
            columns=tuple(f"s{i}" for i in range(n)), start=start, lot=np.ones(n),
            lower=np.maximum(-room, start - trade), upper=np.minimum(room, start + trade), factors=factors,
            factor_offset=-factors @ wanted, diagonal=specific, linear=-specific * wanted,
            buy=2e-4 * price, sell=2.5e-4 * price, quadratic=quadratic, short=0.003 / 252 * price,
            row_names=(*names, "turnover", "gross"), rows=sp.csr_array(np.vstack([table, np.zeros((2, n))])),
            rows_on_trades=sp.csr_array(np.vstack([size, np.zeros(n)])),
            rows_on_holdings=sp.csr_array(np.vstack([np.zeros((m + 1, n)), price])),
            row_lower=np.concatenate([-limit, [-np.inf, -np.inf]]),
            row_upper=np.concatenate([limit, [10 * GROSS if first else 0.15 * GROSS, 1.05 * GROSS]]),
        )  # fmt: skip


def main(folder: Path, count: int) -> None:
    days, ours = Days(folder), Structured()
    last = len(days.close) - 1
    before = ours.solve(days.program(last - count - 1, None))
    programs, warm, cold = [], [], []
    for t in range(last - count, last):
        p = days.program(t, before.h)
        warm.append(run(lambda p=p, w=before: ours.solve(p, warm=w), p))
        cold.append(run(lambda p=p: ours.solve(p), p))
        programs.append(p)
        before = warm[-1].candidate
    sample = programs[:: max(count // 8, 1)]
    runs: dict[str, list[Run]] = {"structured, warm": warm, "structured, cold": cold}
    kinds = [("PIQP", Piqp), ("PIQP with updates", PiqpUpdated), ("Clarabel", Clarabel)]
    for name, make in kinds + ([("QOCO", Qoco)] if find_spec("qoco") else []):
        peer = loosest(lambda tolerance, make=make: make(tolerance=tolerance), sample)
        runs[f"{name} at {peer.tolerance:.0e}"] = [run(lambda p=p, s=peer: s.solve(p), p) for p in programs]
    osqp, previous, path = loosest(lambda tolerance: Osqp(tolerance=tolerance), sample), None, []
    for p in programs[:SLOW]:
        path.append(run(lambda p=p, w=previous: osqp.solve(p, warm=w), p))
        previous = path[-1].candidate
    runs[f"OSQP at {osqp.tolerance:.0e}, tuned, warm"] = path
    runs["CVXPY + Clarabel"] = [run(lambda p=p: cvxpy_solve(p, "CLARABEL"), p) for p in programs]
    runs["CVXPY, its default"] = [run(lambda p=p: cvxpy_solve(p, None), p) for p in programs[:SLOW]]

    best = np.mean([r.seconds for r in warm])
    n, k, _, m = programs[0].size
    print(f"{len(programs)} daily re-solves, n = {n}, k = {k}, {m} rows. {machine()}\n")
    print("| method | mean ms | median ms | worst ms | x structured | certified days | median gap | worst residual |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, path in runs.items():
        ms = 1e3 * np.array([r.seconds for r in path])
        print(f"| {name} | {ms.mean():.1f} | {np.median(ms):.1f} | {ms.max():.1f} | {ms.mean() / best / 1e3:.1f} | "
              f"{sum(r.certified for r in path)} of {len(path)} | {np.median([r.gap for r in path]):.0e} | "
              f"{max(r.residual for r in path):.0e} |")  # fmt: skip


if __name__ == "__main__":
    main(
        Path(sys.argv[1] if len(sys.argv) > 1 else ROOT.parent / "shared" / "data") / "sp500_daily_2012_2017",
        int(sys.argv[2]) if len(sys.argv) > 2 else 250,
    )
