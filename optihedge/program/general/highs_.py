"""HiGHS behind the one sparse form: the simplex method for Programs without curvature, ending at a vertex."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from optihedge.program.candidate import Candidate
from optihedge.program.general.sparse_form import SparseQP, single_variable_rows
from optihedge.program.general.sparse_qp import QPResult, SparseSolver
from optihedge.program.status import Status

_WORDS = {0: Status.OPTIMAL, 2: Status.INFEASIBLE, 3: Status.UNBOUNDED}  # of scipy.optimize.linprog


@dataclass(frozen=True)
class Highs(SparseSolver):
    """Dual simplex (Huangfu and Hall 2018), as SciPy ships it. Declines any curvature; its answers miss fewest rows."""

    scaling: str = "box"
    tolerance: float = 1e-10
    kind: ClassVar[str] = "highs"

    @property
    def name(self) -> str:
        """What a certificate's chain calls it."""
        return self.kind

    def _run(self, qp: SparseQP, deadline: float | None, warm: Candidate | None) -> QPResult:
        size, count = len(qp.q), len(qp.l)
        if qp.P.data.any() or len(qp.cone_offset):
            return QPResult(np.zeros(size), np.zeros(count), Status.DECLINED, "curvature")
        rows = qp.A.tocsr()
        bounds, own, other = single_variable_rows(qp, rows)
        low, high = np.full(size, -np.inf), np.full(size, np.inf)
        low[own], high[own] = qp.l[bounds], qp.u[bounds]
        l, u = qp.l[other], qp.u[other]  # noqa: E741
        equal = other[l == u]
        above, below = other[(l != u) & np.isfinite(u)], other[(l != u) & np.isfinite(l)]
        options = {"primal_feasibility_tolerance": self.tolerance, "dual_feasibility_tolerance": self.tolerance}
        if deadline is not None:
            options["time_limit"] = max(deadline, 0.01)
        found = linprog(
            qp.q, A_ub=sp.vstack([rows[above], -rows[below]]), b_ub=np.concatenate([qp.u[above], -qp.l[below]]),
            A_eq=rows[equal], b_eq=qp.u[equal], bounds=np.column_stack([low, high]), method="highs-ds", options=options,
        )  # fmt: skip
        word = _WORDS.get(found.status, Status.FAILED)
        if found.x is None:
            return QPResult(np.full(size, np.nan), np.zeros(count), word, str(found.message))
        y = np.zeros(count)
        y[equal] = -found.eqlin.marginals
        y[above] -= found.ineqlin.marginals[: len(above)]
        y[below] += found.ineqlin.marginals[len(above) :]
        y[bounds] = -(found.lower.marginals + found.upper.marginals)[own]
        return QPResult(found.x, y, word, "" if word is Status.OPTIMAL else str(found.message))
