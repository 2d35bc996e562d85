"""Solve a Program: a chain of solvers, each answer certified on the original data, until one is proved."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from optihedge.errors import OptihedgeError, SolverError, SpecError
from optihedge.hedge.certificate import GAP_TOLERANCE, Certificate, certify, scale_of, snap
from optihedge.hedge.infeasible import give_way, relax, unreachable_row
from optihedge.hedge.program import Array, Candidate, Program

_HOME = {
    "structured": ("structured", "Structured", {}),
    "clarabel": ("sparse_qp", "Clarabel", {}),
    "clarabel:box": ("sparse_qp", "Clarabel", {"scaling": "box"}),
    "piqp": ("sparse_qp", "Piqp", {}),
    "osqp": ("sparse_qp", "Osqp", {}),
    "modelled": ("modelled", "Modelled", {}),
}
_FOLDS = 40  # solves at most to meet a volatility limit
_INSIDE = 1e-8  # how far inside its limit the volatility is aimed, relative
_TINY = 1e-300
_EASED = "limits contradict each other by less than their tolerances, within which they are met"


class Solver(Protocol):
    """Anything that proposes candidates. `deadline` in seconds from now; `warm` an earlier candidate, or None."""

    @property
    def name(self) -> str:
        """What the certificate's chain calls it."""

    def solve(self, program: Program, *, deadline: float | None, warm: Candidate | None = None) -> Candidate:
        """A candidate; its word is not trusted."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Quantities h (n), row multipliers (m; shadow price = minus the multiplier) and what is proved of them."""

    h: Array
    multipliers: Array
    limit_multiplier: float
    certificate: Certificate

    @property
    def candidate(self) -> Candidate:
        """For a warm start of the next solve."""
        return Candidate(self.h, self.multipliers, self.certificate.status, self.limit_multiplier)


def solver_named(name: str) -> Solver:
    """The solver of that name; "modelled:SCS" is CVXPY with SCS. Raises SpecError with the nearest right name."""
    key, _, option = name.partition(":")
    if name in _HOME:
        module, kind, options = _HOME[name]
    elif key == "modelled" and option:
        module, kind, options = "modelled", "Modelled", {"solver": option.upper()}
    else:
        near = difflib.get_close_matches(name, _HOME, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_HOME)} and modelled:NAME"
        raise SpecError(f"there is no solver {name!r}; {hint}")
    return getattr(import_module(f"optihedge.hedge.solvers.{module}"), kind)(**options)


def default_chain(program: Program) -> tuple[str, ...]:
    """Solvers in the order that measurement favours for a Program of this shape and size."""
    if program.cvxpy_terms:
        return ("modelled",)
    if find_spec("optihedge.hedge.solvers.structured") is None:
        return ("clarabel", "piqp", "clarabel:box")
    return ("structured", "clarabel", "piqp", "clarabel:box")


def solve(
    program: Program,
    *,
    solver: str | Solver | Sequence[str | Solver] = "auto",
    deadline: float | None = None,
    warm: Candidate | None = None,
    tolerance: float = GAP_TOLERANCE,
) -> Solution:
    """The certified optimum, or a proof that there is none, or the best that was found with status `failed`.

    solver    "auto", a name, an object with `solve`, or several in order; each answer is certified, whoever gave it
    deadline  seconds for all of it
    Never raises for what a solver does. Raises SpecError for a solver that does not exist.
    """
    named = default_chain(program) if solver == "auto" else (solver,) if not _several(solver) else tuple(solver)
    solvers = [solver_named(one) if isinstance(one, str) else one for one in named]
    walk = _Walk(program, tolerance, deadline)
    if not program.cvxpy_terms:
        start = np.clip(program.start, program.lower, program.upper)
        if walk.proved("start", Candidate(start, np.zeros(len(program.row_names)), "optimal")):
            return walk.best
        ray = unreachable_row(program)
        if ray is not None and walk.proved("box", Candidate(start, ray, "infeasible")):
            return walk.best
    for one in solvers:
        if walk.late():
            break
        candidate = walk.attempt(one, warm)
        if candidate is not None and walk.proved(one.name, candidate):
            return walk.best
        if candidate is not None and warm is None and np.isfinite(candidate.h).all():
            warm = replace(candidate, multipliers=np.nan_to_num(candidate.multipliers))
    if not program.cvxpy_terms and not walk.late():
        _explain_failure(walk, solvers)
    return walk.best


def _several(solver: object) -> bool:
    return isinstance(solver, Sequence) and not isinstance(solver, str)


class _Walk:
    """The state of one call: what was tried, what became of it, the best so far, the time left."""

    def __init__(self, program: Program, tolerance: float, deadline: float | None) -> None:
        self.program, self.tolerance, self.deadline = program, tolerance, deadline
        self.began = time.perf_counter()
        self.chain: list[str] = []
        nothing = Candidate(np.clip(program.start, program.lower, program.upper), np.zeros(len(program.row_names)), "")
        self.best = self._solution(nothing, certify(program, nothing, tolerance=tolerance))

    def left(self) -> float | None:
        """Seconds left, None without a deadline."""
        return None if self.deadline is None else self.deadline - (time.perf_counter() - self.began)

    def late(self) -> bool:
        left = self.left()
        return left is not None and left <= 0

    def attempt(self, solver: Solver, warm: Candidate | None) -> Candidate | None:
        """The solver's candidate, or None with the reason in the chain: whatever it raises is its failure, not ours."""
        try:
            if self.program.volatility_limit is not None and not getattr(solver, "takes_limit", False):
                candidate = _within_limit(self.program, solver, self.left, warm, self.tolerance)
            else:
                candidate = solver.solve(self.program, deadline=self.left(), warm=warm)
            shapes = np.shape(candidate.h) == self.program.start.shape
            if not shapes or np.shape(candidate.multipliers) != self.program.row_upper.shape:
                raise SolverError("its answer has the wrong shape")
        except Exception as error:
            self.chain.append(f"{solver.name}: failed: {type(error).__name__}: {str(error)[:200]}")
            return None
        if candidate.status.startswith("declined"):
            self.chain.append(f"{solver.name}: {candidate.status}")
            return None
        return candidate

    def proved(self, name: str, candidate: Candidate, program: Program | None = None, note: str = "") -> bool:
        """Certify; keep the better of what is known. True when optimal or infeasible is proved."""
        judged = program or self.program
        certificate = certify(judged, candidate, tolerance=self.tolerance)
        if certificate.status in ("optimal", "failed") and np.isfinite(certificate.gap) and not judged.cvxpy_terms:
            clean = snap(judged, candidate)
            again = certify(judged, clean, tolerance=self.tolerance)
            if again.status == "optimal":
                candidate, certificate = clean, again
        proof = certificate.status in ("optimal", "infeasible")
        if proof or name != "start":
            word = certificate.status if proof else f"{candidate.status}, not certified"
            self.chain.append(f"{name}: {word} after {1e3 * (time.perf_counter() - self.began):.1f} ms")
        certificate = replace(certificate, note=note or certificate.note)
        if proof or _better(certificate, self.best.certificate):
            self.best = self._solution(candidate, certificate)
        else:
            self.best = self._solution(self.best.candidate, self.best.certificate)
        return proof

    def _solution(self, candidate: Candidate, certificate: Certificate) -> Solution:
        h = np.clip(candidate.h, self.program.lower, self.program.upper)
        seconds = time.perf_counter() - self.began
        certificate = replace(certificate, chain=tuple(self.chain), seconds=seconds)
        return Solution(h, np.asarray(candidate.multipliers), float(candidate.limit_multiplier), certificate)


def _better(new: Certificate, old: Certificate) -> bool:
    """Nearer to feasible, then nearer to proved."""
    if not np.isfinite(new.primal):
        return False
    return (new.residuals.sum(), abs(new.gap)) < (old.residuals.sum(), abs(old.gap))


def _explain_failure(walk: _Walk, solvers: Sequence[Solver]) -> None:
    """Nothing was proved: prove the limits contradictory, or solve with a contradiction below tolerance set aside."""
    program = walk.program
    try:
        least = relax(program, np.zeros(len(program.row_names), dtype=int), deadline=walk.left())
    except (OptihedgeError, ValueError) as error:
        walk.chain.append(f"relaxation: failed: {error}")
        return
    ray = Candidate(least.h, least.multipliers, "infeasible", least.limit_multiplier)
    if not least.feasible:
        walk.proved("relaxation", ray)
        return
    eased = give_way(program, least.h, margin=0.0)
    if (eased.row_lower == program.row_lower).all() and (eased.row_upper == program.row_upper).all():
        return
    for one in solvers:
        if walk.late():
            return
        candidate = walk.attempt(one, None)
        if candidate is not None and walk.proved(f"{one.name} (eased)", candidate, eased, _EASED):
            return


def fold_limit(program: Program, mu: float) -> Program:
    """The Program without its volatility limit; mu / 2 x (volatility^2 - limit^2) is charged instead."""
    v, root = program.volatility_limit, np.sqrt(mu)
    if v is None:
        return program
    return replace(
        program, volatility_limit=None, factors=np.vstack([program.factors, root * v.factors]),
        factor_offset=np.concatenate([program.factor_offset, root * v.factor_offset]),
        specifics=sp.vstack([program.specifics, root * v.specifics], format="csr"),
        specific_offset=np.concatenate([program.specific_offset, root * v.specific_offset]),
        diagonal=program.diagonal + mu * v.diagonal, constant=program.constant - 0.5 * mu * v.limit**2,
    )  # fmt: skip


def _within_limit(
    program: Program, solver: Solver, left: Callable[[], float | None], warm: Candidate | None, tolerance: float
) -> Candidate:
    """The solver's candidate under the volatility limit: the price mu of variance at which the limit just holds.

    Volatility falls continuously in mu; the root is found on logarithms by the Illinois form of the secant method.
    """
    limit = program.volatility_limit
    target = limit.limit * (1 - _INSIDE)
    candidate = solver.solve(fold_limit(program, 0.0), deadline=left(), warm=warm)
    if not np.isfinite(candidate.h).all() or candidate.status.startswith(("declined", "infeasible")):
        return candidate
    if limit.volatility(np.clip(candidate.h, program.lower, program.upper)) <= limit.limit:
        return replace(candidate, limit_multiplier=0.0)

    mu = warm.limit_multiplier if warm is not None else 0.0
    mu = mu or scale_of(program, candidate.h) / max(limit.limit, 1e-12 * limit.volatility(candidate.h)) ** 2
    low, high, was_above = None, None, None  # log mu and log(volatility / target) of the nearest above and below
    for _ in range(_FOLDS):
        answer = solver.solve(fold_limit(program, mu), deadline=left(), warm=candidate)
        if not np.isfinite(answer.h).all():
            break
        candidate = replace(answer, limit_multiplier=mu)
        if certify(program, candidate, tolerance=tolerance).status == "optimal":
            break
        volatility = limit.volatility(np.clip(answer.h, program.lower, program.upper))
        excess = float(np.log(max(volatility, _TINY) / max(target, _TINY)))
        above = excess > 0
        if above:
            low = (np.log(mu), excess)
            high = (high[0], high[1] / 2) if high is not None and was_above else high
        else:
            high = (np.log(mu), excess)
            low = (low[0], low[1] / 2) if low is not None and was_above is False else low
        was_above = above
        if low is None or high is None:
            mu *= 10.0 if above else 0.1
        else:
            mu = float(np.exp(low[0] + (high[0] - low[0]) * low[1] / (low[1] - high[1])))
        rest = left()
        if rest is not None and rest <= 0:
            break
    return candidate
