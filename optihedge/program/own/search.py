"""The optimum under a user's own terms: a sequence of outer Programs, each with the tangents at the last one's answer.

Cutting planes (Kelley 1960): a few tangents know a piece of one argument. For pieces of many, a 2-norm say, most rounds
have their curvature too: Newton steps. Multipliers prove a bound on the outer Program without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import GAP_TOLERANCE, Verdict, judge
from optihedge.program.general.scaling import column_scale
from optihedge.program.own.outer import Outer, OuterProof
from optihedge.program.own.pieces import Pieces
from optihedge.program.own.terms import OWN_TOLERANCE, OwnTerms, without_tangents
from optihedge.program.program import Program, objective
from optihedge.program.status import Status

IDLE = "CVXPY terms: met by the optimum without them"
CHARGED = "CVXPY terms: charged as the Program's own costs"
_ROUNDS = 60
_FEW_ROUNDS = 30  # where a piece has more arguments than curvature is taken of: a cone solver is then faster
_CYCLE = 4  # every so manieth round is without curvature
_SETTLED = 0.1  # of the tolerance: where tangents miss less, what is left is the outer Program's own gap
_CLOSE = 1e-4  # of the scale, and of the limits: where tangents miss less, older ones of curved pieces only disturb
_DUST = 1e-7  # of a column's scale: a trade so small is a solver's
_SEEDS = (-0.5, 0.25, 0.5, 1.0)  # of the way from the start to the optimum without the terms
_STEP = 1e-4  # of the arguments' size, for differences of gradients
_BESIDE = 1e-9  # of a column's scale: how far beside a point without a gradient
_BACK = (0.5, 0.9, 0.99)  # of the way back to where a piece has a tangent


Solve = Callable[[Program, Candidate | None], Candidate]


@dataclass(frozen=True, eq=False)
class ProvedCandidate(Candidate):
    """A candidate that carries its proof, where rows' multipliers alone are none."""

    proof: OuterProof | None = None


def search(
    program: Program, exact: Solve, quick: Solve, left: Callable[[], float | None], tolerance: float = GAP_TOLERANCE
) -> Candidate:  # fmt: skip
    """A candidate for a Program with CVXPY terms; DECLINED where these have no tangents. Raises SpecError of a term.

    exact, quick  solve Programs without such terms, from an earlier answer or None: certified, or as a solver claims
    """
    own = OwnTerms(program)
    without = exact(own.plain, None)
    if without.status is not Status.OPTIMAL:
        return without
    if own.idle(without.h):
        return _proved(program, own.plain, own, without, CHARGED if own.costly else IDLE)
    if own.pieces is None:
        return Candidate.none(program, Status.DECLINED, without_tangents(program))
    rounds = _Rounds(program, own, own.pieces, without.h, tolerance)
    if not rounds.seeded:
        return Candidate.none(program, Status.DECLINED, "CVXPY terms without a tangent near the start")
    for turn in range(_FEW_ROUNDS if own.pieces.wide else _ROUNDS):
        answered = rounds.take(exact, exact if rounds.settled else quick, newton=turn % _CYCLE < _CYCLE - 1)
        rest = left()
        if not answered or rounds.done or (rest is not None and rest <= 0):
            break
    if rounds.best:
        why = f"{turn + 1} rounds, {len(rounds.outer.piece)} tangents of {rounds.pieces.count} pieces"
        return replace(rounds.best[0], why=why)
    return Candidate.none(program, Status.FAILED, "no outer Program was solved")


class _Rounds:
    """The outer Program, the point from which the next Newton step is made, and the best candidate so far."""

    def __init__(self, program: Program, own: OwnTerms, pieces: Pieces, without: Array, tolerance: float) -> None:
        self.program, self.own, self.pieces, self.tolerance = program, own, pieces, tolerance
        self.outer = Outer(own.plain, pieces)
        self.scale = column_scale(self.outer.plain)
        self.curved, self.near, self.weights = pieces.curved, without, pieces.cost.weights.toarray().ravel()
        self.last: Candidate | None = None
        self.best: tuple[Candidate, Verdict] | None = None
        self.settled = not pieces.count  # whether tangents miss next to nothing: the gap is the outer Program's own
        self.close = False  # whether tangents miss so little that only the newest of curved pieces is of use
        start = np.clip(program.start, program.lower, program.upper)
        ways = [start + share * (without - start) for share in _SEEDS]
        for point in (start, *ways, start + self.scale, start - self.scale):
            self._tangents(np.clip(point, program.lower, program.upper))

    @property
    def seeded(self) -> bool:
        """Whether every piece has a tangent."""
        return bool(np.isin(np.arange(self.pieces.count), self.outer.piece).all())

    @property
    def done(self) -> bool:
        """Whether the best candidate is proved."""
        return self.best is not None and self.best[1].status.proved

    def take(self, exact: Solve, solve: Solve, newton: bool) -> bool:
        """One round: an outer Program's answer, judged, and the tangents there; False where there is no answer.

        What no solver claims to have solved may be a conflict: `exact` then looks for the proof.
        """
        newton &= bool(self.curved.any())
        outer = self._newest() if newton and self.close else self.outer
        asked = outer.program()
        answer = solve(self._with_curvature(asked) if newton else asked, self.last)
        if not answer.status.proved:
            if newton:
                return True
            answer = exact(asked, None)
        if not np.isfinite(answer.h).all():
            return False
        if answer.status is Status.INFEASIBLE:
            self._keep(asked, answer)
            return True
        answer = outer.touched(answer)
        self._judge(asked, answer)
        n, m, known = len(self.program.columns), len(self.program.row_names), len(self.outer.piece)
        self._tangents(answer.h[:n])
        if newton or not self.curved.any():
            self.near, self.weights = answer.h[:n], outer.prices(np.maximum(answer.multipliers[m:], 0))
        more = np.zeros(len(self.outer.piece) - known)
        self.last = None if newton else replace(answer, multipliers=np.append(answer.multipliers, more))
        return True

    def _judge(self, asked: Program, answer: Candidate) -> None:
        """Keep the answer where it is nearer to proved; where it is, without a solver's dust too."""
        verdict = self._keep(asked, answer)
        if verdict.status.proved:
            n = len(self.program.columns)
            x, start = answer.h, self.program.start
            dust = np.abs(x[:n] - start) <= _DUST * self.scale
            self._keep(asked, replace(answer, h=np.append(np.where(dust, start, x[:n]), x[n:])))
        missed = abs(verdict.primal - objective(asked, answer.h)) / max(verdict.scale, 1e-300)
        self.settled = bool(np.isfinite(verdict.gap) and missed <= _SETTLED * self.tolerance)
        self.close = missed <= _CLOSE and self._violation(answer.h) <= _CLOSE

    def _violation(self, x: Array) -> float:
        """The largest violation of the user's limits, share of their size."""
        _, violation, tolerance = self.own.at(x[: len(self.program.columns)])
        return float((violation / np.maximum(tolerance / OWN_TOLERANCE, 1e-300)).max(initial=0.0))

    def _keep(self, asked: Program, answer: Candidate) -> Verdict:
        candidate = _proved(self.program, asked, self.own, answer, answer.why)
        verdict = judge(self.program, candidate, self.tolerance)
        nearer = self.best is None or abs(verdict.gap) < abs(self.best[1].gap)
        if verdict.status.proved or (nearer and not self.done):
            self.best = candidate, verdict
        return verdict

    def _newest(self) -> Outer:
        """The outer Program with the curved pieces' tangents at the next Newton step's point alone."""
        heights, slopes = self.pieces.tangents(self.near, self.near + _BESIDE * self.scale)
        return self.outer.newest(self.curved & np.isfinite(heights), heights, slopes, self.near)

    def _tangents(self, h: Array) -> None:
        """The tangents at h; of pieces without one there or beside it, those on the way back to the start."""
        sound = self.outer.add(*self.pieces.tangents(h, h + _BESIDE * self.scale), h)
        for share in () if sound.all() else _BACK:
            point = h + share * (self.program.start - h)
            self.outer.add(*self.pieces.tangents(point, point), point)

    def _with_curvature(self, asked: Program) -> Program:
        """The outer Program with 1/2 (h - at)' H (h - at), H the curvature of the weighted pieces at `at`."""
        curvature = self.pieces.curvature(self.near, self.weights, _STEP)
        if not (np.isfinite(curvature).all() and curvature.any()):
            return asked
        size, ways = np.linalg.eigh(curvature)
        kept = size > 1e-12 * size.max(initial=0.0)
        rows = np.sqrt(size[kept])[:, None] * ways[:, kept].T
        wide = np.hstack([rows, np.zeros((len(rows), len(asked.columns) - len(self.near)))])
        return replace(asked, factors=np.vstack([asked.factors, wide]),
                       factor_offset=np.concatenate([asked.factor_offset, -rows @ self.near]))  # fmt: skip


def _proved(program: Program, outer: Program, own: OwnTerms, answer: Candidate, why: str) -> ProvedCandidate:
    """An outer Program's answer as a candidate for the Program; claimed optimal unless it is a proof of a conflict."""
    n, m = len(program.columns), len(program.row_names)
    status = answer.status if answer.status is Status.INFEASIBLE else Status.OPTIMAL
    proof = OuterProof(outer, own, answer.h, answer.multipliers, answer.limit_multiplier)
    return ProvedCandidate(answer.h[:n], answer.multipliers[:m], status, answer.limit_multiplier, why, proof=proof)
