"""Certify an answer on the original Program, from its quantities and row multipliers alone, whoever found it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.costs import PIECES, Depth
from optihedge.program.defined import with_defined
from optihedge.program.duality import DualGap, Measured, clip_multipliers, column_slopes, dual_gap, measured, worth
from optihedge.program.program import Program
from optihedge.program.status import Status
from optihedge.program.tolerances import (
    ROUNDING,
    limit_tolerance,
    row_sizes,
    row_tolerances,
    tolerances_of,
    worth_of_tolerances,
)

GAP_TOLERANCE = 1e-6  # of the objective's scale
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Limits:
    """How each row (then the volatility limit, where there is one) stands to its limits, in order, desk units.

    names  of the rows; hard: booleans; missed: distance from their limits; tolerances: of that, None where none counts
    """

    names: tuple[str, ...]
    hard: Array
    missed: Array
    tolerances: Array | None = None

    def of(self, hard: bool) -> list[str]:
        """Names of the hard ones, or of the soft ones."""
        return [name for name, is_hard in zip(self.names, self.hard.tolist(), strict=True) if is_hard is hard]


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is proved of an answer. Money in base currency, residuals in each row's desk unit.

    status     what is proved; `note`: why no more is
    primal     objective at the answer; dual: proved lower bound of any answer; gap = primal - dual
    scale      what the gap is measured against
    residuals  distance of each hard row (and the volatility limit) from its limits; violations: of each soft row
    worst_row  the hard row nearest to, or furthest beyond, its tolerance
    chain      the solvers tried, in order, with what became of each

    >>> import optihedge as oh
    >>> program = oh.Program(columns=("a", "b"), start=[0.0, 0.0], lower=[-9.0, -9.0], upper=[9.0, 9.0], buy=[1.0, 2.0],
    ...                      sell=[1.0, 2.0], row_names=("sum",), rows=[[1.0, 1.0]], row_lower=[3.0])
    >>> proof = oh.solve(program).certificate
    >>> print(proof.status, round(proof.primal, 6), proof.gap < 1e-5)
    optimal 3.0 True
    """

    status: Status
    primal: float
    dual: float
    gap: float
    scale: float
    limits: Limits
    chain: tuple[str, ...] = ()
    seconds: float = 0.0
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", Status(self.status))

    @property
    def optimal(self) -> bool:
        """Proved optimal within tolerance."""
        return self.status is Status.OPTIMAL

    @cached_property
    def residuals(self) -> pd.Series:
        """Distance of each hard row, and of the volatility limit, from its limits, desk unit."""
        limits = self.limits
        return pd.Series(
            limits.missed[limits.hard], index=pd.Index(limits.of(hard=True), dtype=object), name="residual"
        )

    @cached_property
    def violations(self) -> pd.Series:
        """Distance of each soft row from its limits, desk unit; 0 within its tolerance."""
        limits = self.limits
        allowed = 0.0 if limits.tolerances is None else limits.tolerances
        missed = np.where(limits.missed > allowed, limits.missed, 0.0)[~limits.hard]
        return pd.Series(missed, index=pd.Index(limits.of(hard=False), dtype=object), name="violation")

    @cached_property
    def worst_row(self) -> str:
        """The hard row nearest to, or furthest beyond, its tolerance; "" where there is none."""
        limits, names = self.limits, self.limits.of(hard=True)
        if limits.tolerances is None or not names:
            return ""
        return names[int(np.argmax((limits.missed / np.maximum(limits.tolerances, _TINY))[limits.hard]))]

    def __str__(self) -> str:
        lines = [f"{self.status}: objective {self.primal:.10g}, proved within {self.gap:.2g} (scale {self.scale:.4g})"]
        if self.worst_row:
            lines.append(f"  tightest row {self.worst_row}, residual {self.residuals[self.worst_row]:.2g}")
        lines += [f"  soft limit {name} missed by {miss:,.6g}" for name, miss in self.violations.items() if miss > 0]
        lines += [f"  {step}" for step in self.chain]
        return "\n".join([*lines, f"  {self.note}"] if self.note else lines)


@dataclass(frozen=True, eq=False)
class Verdict:
    """A certificate in numbers, one per row where they are arrays; without names."""

    status: Status
    primal: float
    gap: float
    scale: float
    violations: Array  # m, desk unit
    tolerances: Array  # m
    limit_excess: float  # volatility above its limit, base currency
    limit_tolerance: float
    note: str = ""

    def certificate(self, p: Program, chain: tuple[str, ...] = (), seconds: float = 0.0) -> Certificate:
        """The same with names."""
        limits = Limits(p.row_names, np.isinf(p.row_penalty), self.violations, self.tolerances)
        if p.volatility_limit is not None:
            limits = Limits(
                (*p.row_names, p.volatility_limit.name), np.append(limits.hard, True),
                np.append(self.violations, self.limit_excess), np.append(self.tolerances, self.limit_tolerance),
            )  # fmt: skip
        return Certificate(
            status=self.status, primal=self.primal, dual=self.primal - self.gap, gap=self.gap, scale=self.scale,
            limits=limits, chain=tuple(chain), seconds=seconds, note=self.note,
        )  # fmt: skip


def judge(p: Program, candidate: Candidate, tolerance: float = GAP_TOLERANCE) -> Verdict:
    """The candidate's verdict, recomputed from the Program. Never raises for a wrong candidate.

    status is `optimal` if everything is finite, the box and the hard rows hold and |gap| <= tolerance x scale;
    `infeasible` if the candidate's multipliers prove that no quantities meet the hard rows; else `failed`.
    A Program with CVXPY terms is certified by the proof that the candidate carries, of tangents or of a cone problem.
    """
    return _judged(p, candidate, tolerance)[0]


def _judged(p: Program, candidate: Candidate, tolerance: float) -> tuple[Verdict, DualGap | None]:
    """The verdict, and the gap's parts where it rests on them."""
    h, m = np.asarray(candidate.h, dtype=float), np.asarray(candidate.multipliers, dtype=float)
    mu = max(float(candidate.limit_multiplier), 0.0)
    right_shape = h.shape == p.start.shape and m.shape == p.row_upper.shape
    if not right_shape or not (np.isfinite(h).all() and np.isfinite(m).all() and np.isfinite(mu)):
        start = measured(p, np.clip(p.start, p.lower, p.upper))
        return _verdict(p, start, Status.FAILED, np.inf, note="not finite"), None
    at, m = measured(p, np.minimum(np.maximum(h, p.lower), p.upper)), clip_multipliers(p, m)
    proof = getattr(candidate, "proof", None)  # a cone problem's, where there are CVXPY terms
    with np.errstate(over="ignore", invalid="ignore"):
        if candidate.status is Status.INFEASIBLE:
            proved = proves_infeasible(p, at.h, m, mu) or (proof is not None and proof.infeasible())
            note = "its multipliers prove that no quantities meet the limits" if proved else "infeasibility not proved"
            return _verdict(p, at, Status.INFEASIBLE if proved else Status.FAILED, np.inf, note=note), None
        parts, extra = None, 0.0
        if p.cvxpy_terms:
            gap, extra = (np.inf, 0.0) if proof is None else proof.gap(p, at.h)
        else:
            parts = dual_gap(p, at.h, m, mu, at, candidate.pull)
            gap = parts.total
        verdict = _verdict(p, at, Status.OPTIMAL, gap, tolerance, extra)
        if verdict.status is Status.OPTIMAL or verdict.note or not np.isfinite(gap):
            return verdict, parts
        worth = worth_of_tolerances(p, at.h, m, mu, verdict.tolerances) / GAP_TOLERANCE
        return _verdict(p, at, Status.OPTIMAL, gap, tolerance, extra, worth), parts


def _verdict(
    p: Program, at: Measured, status: Status, gap: float, tolerance: float = GAP_TOLERANCE, extra: float = 0.0,
    least: float = 0.0, note: str = "",
) -> Verdict:  # fmt: skip
    """The verdict of quantities in the box. `extra`: a user's own costs; `least`: what the gap's scale is at least."""
    h, violations, v = at.h, at.violations, p.volatility_limit
    allowed = tolerances_of(p, p.row_fixed + p.row_table.sizes(h, at.trade))
    excess, room = (0.0, 0.0) if v is None else (max(v.volatility(h) - v.limit, 0.0), limit_tolerance(p, h))
    primal, scale = worth(p, at)
    primal, scale = primal + extra, max(scale + abs(extra), least)
    if status is Status.OPTIMAL:
        beyond = np.isinf(p.row_penalty) & (violations > allowed)
        if beyond.any():
            status, note = Status.FAILED, f"{p.row_names[int(np.argmax(beyond))]} is beyond its limit"
        elif excess > room:
            status, note = Status.FAILED, "the volatility is beyond its limit"
        elif not (abs(gap) <= tolerance * scale and np.isfinite(primal)):
            status = Status.FAILED
    return Verdict(status, primal, gap, scale, violations, allowed, excess, room, note)


@dataclass(frozen=True, eq=False)
class Proved(Candidate):
    """A candidate whose verdict is known: of this Program, and of these very arrays."""

    verdict: Verdict | None = None
    of: tuple[Program, Array, Array] | None = None

    def known(self, p: Program) -> Verdict | None:
        """Its verdict as an answer of p, where it is one: no other array has taken the place of those judged."""
        judged = self.of is not None and all(
            a is b for a, b in zip(self.of, (p, self.h, self.multipliers), strict=True)
        )
        return self.verdict if judged else None


def proved_as_it_stands(p: Program, candidate: Candidate, tolerance: float) -> Proved | None:
    """The candidate with its verdict where that is optimal within so little of the scale; else None."""
    verdict = judge(p, candidate, tolerance)
    if verdict.status is not Status.OPTIMAL:
        return None
    return Proved(candidate.h, candidate.multipliers, candidate.status, pull=candidate.pull, verdict=verdict,
                  of=(p, candidate.h, candidate.multipliers))  # fmt: skip


def certify(p: Program, candidate: Candidate, *, tolerance: float = GAP_TOLERANCE) -> Certificate:
    """The candidate's certificate, as `judge` says.

    >>> import optihedge as oh
    >>> program = oh.Program(columns=("a", "b"), start=[0.0, 0.0], lower=[-9.0, -9.0], upper=[9.0, 9.0], buy=[1.0, 2.0],
    ...                      sell=[1.0, 2.0], row_names=("sum",), rows=[[1.0, 1.0]], row_lower=[3.0])
    >>> solution = oh.solve(program)
    >>> oh.certify(program, solution.candidate).optimal
    True
    """
    return judge(p, candidate, tolerance).certificate(p)


def bare(p: Program) -> Program:
    """The hard limits alone: nothing to gain or lose, soft rows without a penalty."""
    none, nothing = Depth.none(), np.zeros(len(p.columns))
    return p.derived(
        **dict.fromkeys(("diagonal", *PIECES), nothing), depth=none, factors=np.zeros((0, len(nothing))),
        factor_offset=np.zeros(0), specifics=sp.csr_array((0, len(nothing))), specific_offset=np.zeros(0), constant=0.0,
        row_penalty=np.where(np.isinf(p.row_penalty), np.inf, 0.0), volatility_price=None, cvxpy_terms=(),
    )  # fmt: skip


def proves_infeasible(p: Program, h: Array, m: Array, mu: float = 0.0) -> bool:
    """Whether multipliers m (and mu of the volatility limit) prove that no quantities in the box meet the hard rows.

    They do when the least over the box of m'(rows - limits) is above what the rows' tolerances allow (Farkas).
    """
    limits = bare(p)
    m = clip_multipliers(limits, m)
    if not np.isfinite(m).all() or not (m.any() or mu > 0):
        return False
    noise = np.abs(m) @ np.maximum(row_tolerances(p, p.widest), ROUNDING * row_sizes(p, p.widest))
    if mu > 0 and p.volatility_limit is not None:
        noise += mu * p.volatility_limit.limit * limit_tolerance(p, h)
    return -dual_gap(limits, h, m, mu).total > noise


def snap(p: Program, candidate: Candidate, gap: DualGap | None = None) -> Candidate:
    """The candidate with every column left untraded where trading either way would cost: clears solvers' dust.

    gap  its own, where that is known
    """
    h, m = np.clip(candidate.h, p.lower, p.upper), clip_multipliers(p, candidate.multipliers)
    gap = gap or dual_gap(p, h, m, max(candidate.limit_multiplier, 0.0), pull=candidate.pull)
    below, above = column_slopes(p, gap, p.start)
    still = (above > 0) & (below < 0) & (p.start >= p.lower) & (p.start <= p.upper)
    return replace(candidate, h=np.where(still, p.start, h), multipliers=m)


def judge_clean(p: Program, candidate: Candidate, tolerance: float = GAP_TOLERANCE) -> tuple[Candidate, Verdict]:
    """The candidate without a solver's dust, where that is optimal too, and its verdict.

    Dust in quantities is snapped to the start, and what rows define is as they say. Where nothing is at stake, dust in
    the multipliers hides that zeros prove the same.
    """
    known = candidate.known(p) if isinstance(candidate, Proved) else None
    if known is not None and abs(known.gap) <= tolerance * known.scale:
        return candidate, known
    candidate = replace(candidate, h=with_defined(p, np.asarray(candidate.h, dtype=float)))
    verdict, gap = _judged(p, candidate, tolerance)
    if gap is None or not np.isfinite(verdict.gap):
        return candidate, verdict
    clean = snap(p, candidate, gap)
    if verdict.status is Status.OPTIMAL and (clean.h == candidate.h).all():
        return candidate, verdict
    none = replace(clean, multipliers=np.zeros_like(clean.multipliers), limit_multiplier=0.0)
    for one in (clean,) if verdict.status is Status.OPTIMAL else (clean, none):
        again = judge(p, one, tolerance)
        if again.status is Status.OPTIMAL:
            return one, again
    return candidate, verdict
