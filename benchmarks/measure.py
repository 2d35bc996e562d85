"""What the solver benchmarks share: CPU time of one call, certified; peers at the loosest setting that passes."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cvxpy as cp
import numpy as np

from optihedge.program.candidate import Candidate
from optihedge.program.certificate import certify
from optihedge.program.program import RESIDUAL_TOLERANCE, Program, row_violations
from optihedge.program.tolerances import row_tolerances

GAP = 1e-6  # share of the scale that every method has to reach
TOLERANCES = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9)  # what peers are tried at, loosest first


@dataclass(frozen=True, eq=False)
class Run:
    """One certified call: CPU seconds, gap as a share of the scale, the worst hard row as a share of its size."""

    seconds: float
    gap: float
    residual: float
    certified: bool
    candidate: Candidate


def run(solve: Callable[[], Candidate], program: Program) -> Run:
    """Time one call of a solver on a Program and certify what it says."""
    began = time.process_time()
    candidate = solve()
    seconds = time.process_time() - began
    certificate = certify(program, candidate, tolerance=GAP)
    h = np.clip(candidate.h, program.lower, program.upper)
    size = row_tolerances(program, h) / RESIDUAL_TOLERANCE
    residual = float((row_violations(program, h) / np.maximum(size, 1e-300)).max(initial=0.0))
    gap = abs(certificate.gap) / max(certificate.scale, 1e-300)
    return Run(seconds, gap, residual, certificate.optimal, candidate)


def loosest(make: Callable[[float], object], programs: list[Program]) -> object:
    """The peer at the loosest tolerance that certifies all these Programs (the tightest where none does)."""
    for tolerance in TOLERANCES:
        solver = make(tolerance)
        if all(run(lambda p=p, s=solver: s.solve(p, deadline=None), p).certified for p in programs):
            return solver
    return make(TOLERANCES[-1])


def cvxpy_solve(p: Program, solver: str | None) -> Candidate:
    """The Program as a user of CVXPY writes it (rows of one kind each), with a named solver or CVXPY's default."""
    h = cp.Variable(len(p.columns))
    x = h - p.start
    cost = p.buy @ cp.pos(x) + p.sell @ cp.neg(x) + p.quadratic @ cp.square(x)
    cost += p.long @ cp.pos(h) + p.short @ cp.neg(h)
    risk = cp.sum_squares(p.factors @ h + p.factor_offset) + cp.sum_squares(cp.multiply(np.sqrt(p.diagonal), h))
    sized = np.diff(p.rows_on_holdings.indptr) + np.diff(p.rows_on_trades.indptr) > 0
    equal = ~sized & (p.row_lower == p.row_upper)
    band = ~sized & ~equal
    A = p.rows.toarray()
    limits = [h >= p.lower, h <= p.upper, A[equal] @ h == p.row_upper[equal], A[band] @ h <= p.row_upper[band],
              A[band] @ h >= p.row_lower[band]]  # fmt: skip
    on_holdings, on_trades = p.rows_on_holdings.toarray()[sized], p.rows_on_trades.toarray()[sized]
    limits += [a @ cp.abs(h) + b @ cp.abs(x) <= top for a, b, top in
               zip(on_holdings, on_trades, p.row_upper[sized], strict=True)]  # fmt: skip
    problem = cp.Problem(cp.Minimize(0.5 * risk + p.linear @ h + cost), limits)
    problem.solve(solver=solver)
    m = np.zeros(len(p.row_names))
    if h.value is None:
        return Candidate(p.start, m, problem.status)
    m[equal], m[band] = limits[2].dual_value, limits[3].dual_value - limits[4].dual_value
    m[sized] = [float(limit.dual_value) for limit in limits[5:]]
    return Candidate(h.value, m, problem.status)


def machine() -> str:
    """One line that says where the figures come from."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    names = ("numpy", "scipy", "clarabel", "piqp", "osqp", "cvxpy")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{model}, {os.cpu_count()} cores, one thread; Python {platform.python_version()}, {packages}"
