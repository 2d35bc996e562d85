"""What general solvers share: one sparse form in, one answer out, and a check of every claim they make."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.general.scaling import column_scale, normalise
from optihedge.program.general.sparse_form import SparseQP, assemble
from optihedge.program.program import Program
from optihedge.program.status import Status

INFINITE = 1e20  # a bound this large is none
CHECKED = 1e-6  # relative residual up to which a claimed solution is believed
_ROUNDS = 6  # quadratic programs that stand for one with 3/2 powers
_SMALLEST = 1e-8  # of a column's scale: the least trade at which a quadratic touches
RAY = 1e-9  # residual per unit of promise up to which a claimed ray is


@dataclass(frozen=True, eq=False)
class QPResult:
    """x, row multipliers y (> 0 pushes on u, < 0 on l), the solver's word and why."""

    x: Array
    y: Array
    status: Status
    why: str = ""


def residuals(P: sp.csc_array, q: Array, A: sp.csc_array, l: Array, u: Array, x: Array, y: Array) -> Array:  # noqa: E741
    """Primal residual, dual residual and duality gap of minimise 1/2 x'Px + q'x subject to l <= A x <= u, relative.

    y of an infinite limit counts as dual residual. Each is divided by 1 + the largest of what it compares.
    """
    value, curved = A @ x, P @ x
    wrong = np.where((y > 0) & np.isinf(u), y, np.where((y < 0) & np.isinf(l), y, 0.0))
    y = y - wrong
    limits = np.where(y > 0, u, np.where(y < 0, l, 0.0))
    primal = np.maximum(np.maximum(l - value, value - u), 0).max(initial=0.0)
    dual = max(np.abs(curved + q + A.T @ y).max(initial=0.0), np.abs(wrong).max(initial=0.0))
    terms = np.array([x @ curved, q @ x, limits @ y])
    return np.array([
        primal / (1 + np.abs(value).max(initial=0.0)),
        dual / (1 + max(np.abs(q).max(initial=0.0), np.abs(curved).max(initial=0.0))),
        abs(terms.sum()) / (1 + np.abs(terms).max()),
    ])  # fmt: skip


def _ray_residual(
    P: sp.csc_array, q: Array, A: sp.csc_array, l: Array, u: Array, claim: QPResult,  # noqa: E741
) -> float:  # fmt: skip
    """How far the claim's ray is from a proof: y with A'y = 0, limits'y < 0; or x with P x = 0, q'x < 0, A x inside."""
    if claim.status is Status.INFEASIBLE:
        y = np.where(np.isinf(u), np.minimum(claim.y, 0), claim.y)
        y = np.where(np.isinf(l), np.maximum(y, 0), y)
        promise = -float(np.where(y > 0, u, np.where(y < 0, l, 0.0)) @ y)
        unmet = np.abs(A.T @ y).max(initial=0.0)
    else:
        x, along = claim.x, A @ claim.x
        promise = -float(q @ x)
        outside = np.maximum(np.where(np.isinf(u), 0.0, along), np.where(np.isinf(l), 0.0, -along))
        unmet = max(np.abs(P @ x).max(initial=0.0), outside.max(initial=0.0))
    return unmet / promise if promise > 0 else np.inf


@dataclass(frozen=True)
class SparseSolver:
    """Normalise, assemble, solve, and bring quantities and multipliers back. `scaling`: 'risk' or 'box'."""

    scaling: str = "risk"
    kind: ClassVar[str]
    cones: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What a certificate's chain calls it."""
        return self.kind if self.scaling == "risk" else f"{self.kind}:{self.scaling}"

    def solve_qp(
        self, P: sp.csc_array, q: Array, A: sp.csc_array, l: Array, u: Array, *,  # noqa: E741
        deadline: float | None = None,
    ) -> QPResult:  # fmt: skip
        """minimise 1/2 x'Px + q'x subject to l <= A x <= u (P symmetric, whole). `deadline`: seconds from now.

        What the solver claims is checked: a solution by its residuals, infeasible and unbounded by their rays.
        """
        l, u = np.where(l <= -INFINITE, -np.inf, l), np.where(u >= INFINITE, np.inf, u)  # noqa: E741
        money = max(np.abs(q).max(initial=0.0), np.abs(P.data).max(initial=0.0)) or 1.0
        none = sp.csc_array((0, len(q)))
        found = self._run(SparseQP(sp.csc_array(P / money), q / money, sp.csc_array(A), l, u, none, np.zeros(0), 0),
                          deadline, None)  # fmt: skip
        result = QPResult(found.x, found.y * money, found.status, found.why)
        if result.status in (Status.FAILED, Status.DECLINED):
            return result
        if result.status is Status.OPTIMAL:
            worst, allowed = float(residuals(P, q, A, l, u, result.x, result.y).max()), CHECKED
        else:
            worst, allowed = _ray_residual(P, q, A, l, u, result), RAY
        if worst <= allowed:
            return result
        return QPResult(result.x, result.y, Status.FAILED, f"claimed {result.status} with residual {worst:.1e}")

    def solve(self, program: Program, *, deadline: float | None = None, warm: Candidate | None = None) -> Candidate:
        """A candidate for `certify`, in the Program's own units. `deadline`: seconds from now."""
        n, m = len(program.columns), len(program.row_names)
        if program.cvxpy_terms or program.has_cones:
            return Candidate.none(program, Status.DECLINED, "a cone of the user's, or a volatility's limit or price")
        if program.power.any() and not self.cones:
            return self._by_quadratics(program, deadline)
        scaled, scaling = normalise(program, self.scaling)
        qp = assemble(scaled)
        guess = None if warm is None else scaling.apply(warm)
        result = self._run(qp, deadline, guess)
        multipliers = result.y[qp.first : qp.first + m]
        return scaling.restore(Candidate(result.x[:n], multipliers, result.status, why=result.why))

    def _by_quadratics(self, program: Program, deadline: float | None) -> Candidate:
        """A rough candidate without cones: quadratics that touch |x|^(3/2) at the last answer's trades, from above.

        |x|^(3/2) <= 3/4 x^2 / sqrt(z) + 1/4 z^(3/2), equal at |x| = z. For Newton steps to finish.
        """
        ends = None if deadline is None else time.perf_counter() + deadline
        unit = column_scale(program)
        trade, answer = unit, Candidate.none(program, Status.FAILED, "no time")
        for _ in range(_ROUNDS):
            left = None if ends is None else ends - time.perf_counter()
            if left is not None and left <= 0:
                break
            curved = program.quadratic + 0.75 * program.power / np.sqrt(trade)
            answer = self.solve(replace(program, power=np.zeros_like(curved), quadratic=curved), deadline=left)
            if answer.status is not Status.OPTIMAL:
                return answer
            trade = np.maximum(np.abs(answer.h - program.start), _SMALLEST * unit)
        if answer.status is not Status.OPTIMAL:
            return answer
        return replace(answer, status=Status.ROUGH, why="3/2 powers by quadratics")

    def _run(self, qp: SparseQP, deadline: float | None, warm: Candidate | None) -> QPResult:
        raise NotImplementedError
