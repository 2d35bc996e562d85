"""PIQP behind the one sparse form: the fastest general solver of small Programs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from optihedge.program.candidate import Candidate
from optihedge.program.general.sparse_form import SparseQP, single_variable_rows
from optihedge.program.general.sparse_qp import QPResult, SparseSolver
from optihedge.program.status import Status

_UNSTOPPABLE = 1_000_000  # entries from which PIQP takes seconds, and it knows no time limit
_ENDLESS = "it could not be stopped in time"


@dataclass(frozen=True)
class Piqp(SparseSolver):
    """Proximal interior point (Schwan et al. 2023); rows of one variable become bounds. No time limit of its own."""

    tolerance: float = 1e-9
    kind: ClassVar[str] = "piqp"

    def _run(self, qp: SparseQP, deadline: float | None, warm: Candidate | None) -> QPResult:
        piqp = import_module("piqp")
        if deadline is not None and qp.A.nnz > _UNSTOPPABLE:
            return QPResult(np.zeros(len(qp.q)), np.zeros(len(qp.l)), Status.DECLINED, _ENDLESS)
        rows = qp.A.tocsr()
        bounds, own, other = single_variable_rows(qp, rows)
        other = other[np.isfinite(qp.l[other]) | np.isfinite(qp.u[other])]
        equal, band = other[qp.l[other] == qp.u[other]], other[qp.l[other] != qp.u[other]]
        solver = piqp.SparseSolver()
        solver.settings.eps_abs, solver.settings.eps_rel = self.tolerance, self.tolerance
        solver.settings.check_duality_gap = True
        solver.settings.eps_duality_gap_abs = solver.settings.eps_duality_gap_rel = self.tolerance
        solver.settings.num_threads = 1
        low, high = np.full(len(qp.q), -np.inf), np.full(len(qp.q), np.inf)
        low[own], high[own] = qp.l[bounds], qp.u[bounds]
        solver.setup(sp.csc_matrix(qp.P), qp.q, sp.csc_matrix(rows[equal]), qp.u[equal], sp.csc_matrix(rows[band]),
                     qp.l[band], qp.u[band], low, high)  # fmt: skip
        word = solver.solve()
        result = solver.result
        y = np.zeros(len(qp.l))
        y[equal] = result.y
        y[band] = result.z_u - result.z_l
        y[bounds] = (result.z_bu - result.z_bl)[own]
        words = {piqp.PIQP_SOLVED: Status.OPTIMAL, piqp.PIQP_PRIMAL_INFEASIBLE: Status.INFEASIBLE,
                 piqp.PIQP_DUAL_INFEASIBLE: Status.UNBOUNDED}  # fmt: skip
        status = words.get(word, Status.FAILED)
        return QPResult(np.array(result.x), y, status, str(word) if status is Status.FAILED else "")
