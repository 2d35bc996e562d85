"""Clarabel behind the one sparse form: the default among general solvers, cones included."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from optihedge.program.candidate import Candidate
from optihedge.program.general.sparse_form import SparseQP
from optihedge.program.general.sparse_qp import QPResult, SparseSolver
from optihedge.program.status import Status


@dataclass(frozen=True)
class Clarabel(SparseSolver):
    """Interior point with cones (Goulart and Chen 2024), at 1e-9: tighter can stall, looser may not certify."""

    tolerance: float = 1e-9
    kind: ClassVar[str] = "clarabel"
    cones: ClassVar[bool] = True

    def _run(self, qp: SparseQP, deadline: float | None, warm: Candidate | None) -> QPResult:
        clarabel = import_module("clarabel")
        equal = np.flatnonzero(qp.l == qp.u)
        above = np.flatnonzero((qp.l != qp.u) & np.isfinite(qp.u))
        below = np.flatnonzero((qp.l != qp.u) & np.isfinite(qp.l))
        rows = qp.A.tocsr()
        A = sp.vstack([rows[equal], rows[above], -rows[below], qp.cone], format="csc")
        b = np.concatenate([qp.u[equal], qp.u[above], -qp.l[below], qp.cone_offset])
        cones = [clarabel.ZeroConeT(len(equal)), clarabel.NonnegativeConeT(len(above) + len(below))]
        cones += [clarabel.SecondOrderConeT(3)] * (len(qp.cone_offset) // 3)
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.max_threads = 1
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = self.tolerance
        settings.time_limit = np.inf if deadline is None else max(deadline, 1e-3)
        upper = sp.csc_matrix(sp.triu(qp.P))
        solution = clarabel.DefaultSolver(upper, qp.q, sp.csc_matrix(A), b, cones, settings).solve()
        z, y = np.array(solution.z), np.zeros(len(qp.l))
        ends = np.cumsum([len(equal), len(above), len(below)])
        y[equal] = z[: ends[0]]
        y[above] += z[ends[0] : ends[1]]
        y[below] -= z[ends[1] : ends[2]]
        words = {"Solved": Status.OPTIMAL, "PrimalInfeasible": Status.INFEASIBLE, "DualInfeasible": Status.UNBOUNDED}
        word = words.get(str(solution.status), Status.FAILED)
        return QPResult(np.array(solution.x), y, word, str(solution.status) if word is Status.FAILED else "")
