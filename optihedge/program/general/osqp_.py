"""OSQP behind the one sparse form: for warm sequences and who asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.general.sparse_form import SparseQP
from optihedge.program.general.sparse_qp import QPResult, SparseSolver
from optihedge.program.status import Status

_FINER = 1e-2  # of the tolerance: where the polish of a rough answer fails


@dataclass(frozen=True)
class Osqp(SparseSolver):
    """Operator splitting (Stellato et al. 2020): fast when warm, polished, weak on badly scaled books."""

    tolerance: float = 1e-6
    iterations: int = 50_000
    kind: ClassVar[str] = "osqp"

    def _run(self, qp: SparseQP, deadline: float | None, warm: Candidate | None) -> QPResult:
        osqp = import_module("osqp")
        solver = osqp.OSQP()
        limit = {} if deadline is None else {"time_limit": max(deadline, 1e-3)}
        solver.setup(
            sp.csc_matrix(sp.triu(qp.P)), qp.q, sp.csc_matrix(qp.A), np.maximum(qp.l, -1e30), np.minimum(qp.u, 1e30),
            verbose=False, eps_abs=self.tolerance, eps_rel=self.tolerance, rho=0.1, adaptive_rho=False, scaling=10,
            polishing=True, max_iter=self.iterations, **limit,
        )  # fmt: skip
        if warm is not None:
            x, y = np.zeros(len(qp.q)), np.zeros(len(qp.l))
            x[: len(warm.h)], y[qp.first : qp.first + len(warm.multipliers)] = warm.h, warm.multipliers
            solver.warm_start(x, y)
        result = solver.solve(raise_error=False)
        if result.info.status == "solved" and result.info.status_polish < 1:  # what was found is too rough to certify
            fine = self.tolerance * _FINER
            rest = {} if deadline is None else {"time_limit": max(deadline - result.info.run_time, 1e-3)}
            solver.update_settings(eps_abs=fine, eps_rel=fine, **rest)
            result = solver.solve(raise_error=False)
        words = {"solved": Status.OPTIMAL, "primal infeasible": Status.INFEASIBLE, "dual infeasible": Status.UNBOUNDED}
        word = words.get(result.info.status, Status.FAILED)
        why = str(result.info.status) if word is Status.FAILED else ""
        y = result.prim_inf_cert if word is Status.INFEASIBLE else result.y
        return QPResult(_filled(result.x, len(qp.q)), _filled(y, len(qp.l)), word, why)


def _filled(values: Array | None, size: int) -> Array:
    return np.zeros(size) if values is None else np.asarray(values, dtype=float)
