"""Solve a Program: a chain of solvers, each answer certified on the original data, until one is proved."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optihedge.errors import OptihedgeError
from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate, Solver
from optihedge.program.certificate import GAP_TOLERANCE, Certificate, Verdict, judge, judge_clean
from optihedge.program.duality import measured, worth
from optihedge.program.infeasible import relax, unreachable_row
from optihedge.program.loss_box import within_the_start
from optihedge.program.own.search import search
from optihedge.program.program import Program, row_violations
from optihedge.program.solvers import (
    Named,
    attempt,
    default_chain,
    guarded,
    many_auxiliaries,
    polished,
    propose,
    solvers_for,
    solvers_of,
)
from optihedge.program.status import Status, told
from optihedge.program.threads import one_thread
from optihedge.program.tolerances import row_tolerances

_TINY = 1e-300
_EASE = 0.9  # of the rows' tolerances
_NO_TIME = "deadline: no time left"
_EASED = "limits contradict each other by less than their tolerances, within which they are met"


@dataclass(frozen=True, eq=False)
class Solution:
    """Quantities h (n), row multipliers (m; shadow price = minus the multiplier) and what is proved of them.

    pull  of the price of volatility, where it is not as at h (see `Candidate`)
    """

    h: Array
    multipliers: Array
    limit_multiplier: float
    certificate: Certificate
    pull: Array | None = None

    @property
    def candidate(self) -> Candidate:
        """For a warm start of the next solve."""
        return Candidate(self.h, self.multipliers, self.certificate.status, self.limit_multiplier, pull=self.pull)


@one_thread()
def solve(
    program: Program,
    *,
    solver: Named = "auto",
    deadline: float | None = None,
    warm: Candidate | None = None,
    ahead: Solver | None = None,
    tolerance: float = GAP_TOLERANCE,
) -> Solution:
    """The certified optimum, or a proof that there is none, or the best that was found with status `failed`.

    solver    "auto", a name, an object with `solve`, or several in order; each answer is certified, whoever gave it
    deadline  seconds for all of it
    ahead     a solver that takes less time than to see which others need be asked, and goes first
    Never raises for what a solver does. Raises SpecError for a solver that does not exist.

    >>> import optihedge as oh
    >>> program = oh.Program(columns=("a", "b"), start=[0.0, 0.0], lower=[-9.0, -9.0], upper=[9.0, 9.0], buy=[1.0, 2.0],
    ...                      sell=[1.0, 2.0], row_names=("sum",), rows=[[1.0, 1.0]], row_lower=[3.0])
    >>> (oh.solve(program).h + 0.0).round(6).tolist()
    [3.0, 0.0]
    """
    program = within_the_start(program)
    walk = _Walk(program, tolerance, deadline)
    if ahead is not None and _by_ahead(walk, ahead, warm):
        return walk.solution()
    solvers = solvers_of(program, solver)
    if program.cvxpy_terms:
        _ = _with_own_terms(walk, solver, solvers, warm)
    else:
        quick, rest = ([one for one in solvers if (one.name == "small") is first] for first in (True, False))
        _ = (
            _starts_optimal(walk) or _by_solvers(walk, quick, warm) or _out_of_reach(walk)
            or _by_solvers(walk, rest, warm) or _by_relaxation(walk, rest)
        )  # fmt: skip
    return walk.solution()


def _with_own_terms(walk: _Walk, solver: Named, solvers: Sequence[Solver], warm: Candidate | None) -> bool:
    """Whether a user's terms are proved by tangents, or by a solver that takes them; one that was named goes first."""
    cones, named = [one for one in solvers if getattr(one, "takes_own", False)], solver != "auto"
    if named and _by_solvers(walk, cones, warm):
        return True

    def exact(program: Program, last: Candidate | None) -> Candidate:
        start = warm if last is None else last
        return solve(program, solver=solver, deadline=walk.left(), warm=start, tolerance=0.5 * walk.tolerance).candidate

    def quick(program: Program, last: Candidate | None) -> Candidate:
        own = solver if named or not program.has_cones else ("cvxpy", *default_chain(program))
        return propose(program, solver=own, deadline=walk.left(), warm=last)

    if not walk.late():
        found = guarded(walk.program, lambda: search(walk.program, exact, quick, walk.left, walk.tolerance))
        candidate = walk.taken("tangents", found)
        if candidate is not None and walk.proved("tangents", candidate):
            walk.chain.append(candidate.why)
            return True
    return not named and _by_solvers(walk, cones, warm)


def _by_ahead(walk: _Walk, ahead: Solver, warm: Candidate | None) -> bool:
    """Whether the answer of what goes first is proved; where doing nothing is optimal too, that is the answer."""
    start = walk.candidate
    if not _by_solvers(walk, [ahead], warm):
        return False
    found, verdict = walk.candidate, walk.verdict
    value, scale = worth(walk.program, measured(walk.program, start.h))
    if value - verdict.primal <= walk.tolerance * scale:
        walk.candidate, walk.verdict = start, judge(walk.program, start, walk.tolerance)
        if not _starts_optimal(walk):
            walk.candidate, walk.verdict = found, verdict
    return True


def _starts_optimal(walk: _Walk) -> bool:
    """Whether doing nothing is optimal: seen from the limits alone where it breaks one."""
    h, p = walk.candidate.h, walk.program
    if (np.isinf(p.row_penalty) & (row_violations(p, h) > row_tolerances(p, h))).any():
        return False
    if walk.verdict.status is not Status.OPTIMAL:
        return False
    walk.chain.append("start: optimal, nothing to trade")
    return True


def _out_of_reach(walk: _Walk) -> bool:
    """Whether a limit lies outside what the box can reach."""
    ray = unreachable_row(walk.program)
    return ray is not None and walk.proved("box", Candidate(walk.candidate.h, ray, Status.INFEASIBLE))


def _by_solvers(walk: _Walk, solvers: Sequence[Solver], warm: Candidate | None) -> bool:
    """Whether one of the solvers' answers is proved, as it stands or after Newton steps from its multipliers."""
    for one in solvers_for(walk.program, solvers):
        if walk.late():
            return False
        candidate = walk.attempt(one, warm)
        if candidate is not None and (walk.proved(one.name, candidate) or _polished(walk, one.name, candidate)):
            return True
    return False


class _Walk:
    """The state of one call: what was tried, what became of it, the best so far, the time left."""

    def __init__(self, program: Program, tolerance: float, deadline: float | None) -> None:
        self.program, self.tolerance, self.deadline = program, tolerance, deadline
        self.began = time.perf_counter()
        self.chain: list[str] = []
        start = np.minimum(np.maximum(program.start, program.lower), program.upper)
        nothing = np.zeros(len(program.row_names))
        self.candidate = Candidate(start, nothing, Status.OPTIMAL)  # no trade is often the answer
        self._verdict: Verdict | None = None

    @property
    def verdict(self) -> Verdict:
        """Of the candidate, the best so far; of the start only where it is asked."""
        if self._verdict is None:
            self._verdict = judge(self.program, self.candidate, self.tolerance)
        return self._verdict

    @verdict.setter
    def verdict(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def left(self) -> float | None:
        """Seconds left, None without a deadline."""
        return None if self.deadline is None else self.deadline - (time.perf_counter() - self.began)

    def late(self) -> bool:
        """Whether the time is over; the chain then says so."""
        left = self.left()
        if left is None or left > 0:
            return False
        if _NO_TIME not in self.chain:
            self.chain.append(_NO_TIME)
        return True

    def attempt(self, solver: Solver, warm: Candidate | None, program: Program | None = None) -> Candidate | None:
        """The solver's candidate, or None with the reason in the chain."""
        return self.taken(solver.name, attempt(solver, program or self.program, self.left, warm, self.tolerance))

    def polished(self, name: str, candidate: Candidate) -> Candidate | None:
        """The candidate after Newton steps from its multipliers, or None with the reason in the chain."""
        return self.taken(name, polished(self.program, candidate, self.left))

    def taken(self, name: str, candidate: Candidate) -> Candidate | None:
        """The candidate if it is one at all, or None with the reason in the chain."""
        nothing = candidate.status is Status.FAILED and not np.isfinite(candidate.h).all()
        if candidate.status is not Status.DECLINED and not nothing:
            return candidate
        self.chain.append(f"{name}: {told(candidate.status, candidate.why)}")
        return None

    def proved(self, name: str, candidate: Candidate, eased: Program | None = None) -> bool:
        """Certify; keep the better of what is known. True when optimal or infeasible is proved.

        eased  the Program with limits moved by less than their tolerances; residuals are still those of the original.
        """
        judged = eased or self.program
        candidate, verdict = judge_clean(judged, candidate, self.tolerance)
        proof = verdict.status.proved
        word = verdict.status if proof else f"{told(candidate.status, candidate.why)}, not certified"
        self.chain.append(f"{name}: {word} after {1e3 * (time.perf_counter() - self.began):.1f} ms")
        if eased is not None:
            own = judge(self.program, candidate, np.inf)
            proof = proof and own.status is Status.OPTIMAL
            status, note = (verdict.status, _EASED) if proof else (Status.FAILED, own.note)
            verdict = replace(own, status=status, gap=verdict.gap, note=note)
        if proof or _better(verdict, self.verdict):
            self.candidate, self._verdict = candidate, verdict
        return proof

    def solution(self) -> Solution:
        """The best so far, with the chain walked."""
        h = np.minimum(np.maximum(self.candidate.h, self.program.lower), self.program.upper)
        certificate = self.verdict.certificate(self.program, tuple(self.chain), time.perf_counter() - self.began)
        m, mu = np.asarray(self.candidate.multipliers), float(self.candidate.limit_multiplier)
        return Solution(h, m, mu, certificate, self.candidate.pull)


def _polished(walk: _Walk, name: str, candidate: Candidate) -> bool:
    """Whether Newton steps from a rough candidate's multipliers end certified."""
    final = name == "structured" or candidate.status is Status.INFEASIBLE or many_auxiliaries(walk.program)
    if final or walk.program.cvxpy_terms or walk.program.volatility_limit is not None:
        return False
    better = walk.polished(f"{name} polished", candidate)
    return better is not None and walk.proved(f"{name} polished", better)


def _better(new: Verdict, old: Verdict) -> bool:
    """Nearer to feasible, then nearer to proved."""
    if not np.isfinite(new.primal):
        return False
    return (_beyond(new), abs(new.gap)) < (_beyond(old), abs(old.gap))


def _beyond(verdict: Verdict) -> float:
    """How far rows are beyond what is allowed, in units of that."""
    rows = np.maximum(verdict.violations / np.maximum(verdict.tolerances, _TINY) - 1, 0).sum()
    return float(rows + max(verdict.limit_excess / max(verdict.limit_tolerance, _TINY) - 1, 0.0))


def _by_relaxation(walk: _Walk, solvers: Sequence[Solver]) -> bool:
    """Whether the limits are proved contradictory, or an optimum where they contradict by less than can be told."""
    program = walk.program
    if walk.late():
        return False
    try:
        least = relax(replace(program, cvxpy_terms=(), row_tier=np.zeros(len(program.row_names))), deadline=walk.left())
    except (OptihedgeError, ValueError) as error:
        walk.chain.append(f"relaxation: failed: {error}")
        return False
    ray = Candidate(least.h, least.multipliers, Status.INFEASIBLE, least.limit_multiplier)
    if not least.feasible and walk.proved("relaxation", ray):
        return True
    room = np.where(np.isinf(program.row_penalty), _EASE * row_tolerances(program, least.h), 0.0)
    eased = replace(program, row_lower=program.row_lower - room, row_upper=program.row_upper + room)
    if not row_violations(program, least.h)[np.isinf(program.row_penalty)].any():
        return False
    for one in solvers:
        candidate = None if walk.late() else walk.attempt(one, None, eased)
        if candidate is not None and walk.proved(f"{one.name} eased", candidate, eased):
            return True
    return False
