"""Certify an answer on the original Program, from its quantities and row multipliers alone, whoever found it.

Multipliers give a lower bound of the optimum (Lagrangian duality): the least over the box splits into one closed form
per column. The gap between a feasible point and its bound is a sum of parts, none negative, one per column and row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.program.costs import PIECES, Costs, Depth
from optihedge.program.defined import with_defined
from optihedge.program.program import (
    RESIDUAL_TOLERANCE,
    Array,
    Candidate,
    Program,
    beyond_limits,
    risk_parts,
)
from optihedge.program.row_table import transposed
from optihedge.program.status import Status

GAP_TOLERANCE = 1e-6  # of the objective's scale
OWN_TOLERANCE = 1e-6  # of a limit's own size: the most a residual may be
MOST_TOLERANCE = 1e-3  # likewise, where rounding alone is more than that
ROUNDING = 1e-14  # of what is summed
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
class DualGap:
    """Parts of primal - dual: per column, per row, of the volatility limit; and what each column's slopes are."""

    columns: Array
    rows: Array
    limit: float
    slope: Array  # n, of the smooth linear part
    curvature: Array  # n
    costs: Costs  # the Program's, with the weights that the rows' multipliers put on |trade| and |quantity|
    best: Array  # n, in the box: where each column's part of the Lagrangian is least

    @property
    def total(self) -> float:
        """primal - dual, base currency."""
        return float(self.columns.sum() + self.rows.sum() + self.limit)


def clip_multipliers(p: Program, multipliers: Array) -> Array:
    """The nearest multipliers that give a finite bound: zero where there is no limit, no larger than the penalty."""
    most = np.where(np.isinf(p.row_upper), 0.0, p.row_penalty)
    least = np.where(np.isinf(p.row_lower), 0.0, -p.row_penalty)
    return np.minimum(np.maximum(multipliers, least), most)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a Program's pieces come to at quantities h (in the box): worked out once for a verdict."""

    h: Array
    trade: Array  # n
    dense: Array  # F h + f
    sparse: Array  # S h + s
    values: Array  # m
    violations: Array  # m


def measured(p: Program, h: Array) -> Measured:
    """Of quantities h (n)."""
    trade = h - p.start
    values = p.row_table.values(h, trade)
    return Measured(h, trade, *risk_parts(p, h), values, beyond_limits(p, values))


def dual_gap(p: Program, h: Array, m: Array, mu: float = 0.0, at: Measured | None = None) -> DualGap:
    """How far h (in the box) is from the bound that multipliers m (clipped) and mu >= 0 of the limit prove.

    at  what is known of the Program at h
    """
    at = at or measured(p, h)
    slope = p.linear + at.dense @ p.factors + p.row_table.slopes(m)
    if len(at.sparse):
        slope += transposed(p.specifics, at.sparse)
    curvature, limit = p.diagonal, 0.0
    if p.volatility_price is not None:  # convex: nowhere below its tangent at h
        slope = slope + p.volatility_price.gradient(h)
    if mu > 0 and p.volatility_limit is not None:
        v = p.volatility_limit
        slope = slope + mu * ((v.factors @ h + v.factor_offset) @ v.factors)
        slope = slope + mu * (v.specifics.T @ (v.specifics @ h + v.specific_offset))
        curvature = curvature + mu * v.diagonal
        limit = 0.5 * mu * (v.limit**2 - v.volatility(h) ** 2)
    costs = p.with_sizes(*p.row_table.size_slopes(m))
    best = costs.minimiser(p.start, slope, curvature, p.lower, p.upper)
    columns = (
        (slope + 0.5 * curvature * (h + best)) * (h - best)
        + (costs.trading(at.trade) - costs.trading(best - p.start))
        + (costs.holding(h) - costs.holding(best))
    )
    rows = m * (np.where(m > 0, p.row_upper, np.where(m < 0, p.row_lower, at.values)) - at.values)
    soft = np.isfinite(p.row_penalty)
    if soft.any():
        rows[soft] += p.row_penalty[soft] * at.violations[soft]
    return DualGap(np.maximum(columns, 0), rows, limit, slope, curvature, costs, best)


def _worth(p: Program, at: Measured) -> tuple[float, float]:
    """The objective at these quantities, and what a gap is measured against, base currency."""
    v, soft = p.volatility_price, np.isfinite(p.row_penalty)
    penalty = float(p.row_penalty[soft] @ at.violations[soft]) if soft.any() else 0.0
    cost = float((p.trading(at.trade) + p.holding(at.h) + p.linear * at.h).sum())
    risk = 0.5 * float(at.dense @ at.dense + at.sparse @ at.sparse + p.diagonal @ (at.h * at.h))
    risk += 0.0 if v is None else v.price * v.volatility(at.h)
    return float(p.constant + risk + cost + penalty), p.least_scale + risk + abs(cost) + penalty


def scale_of(p: Program, h: Array) -> float:
    """What a gap is measured against: risk before, risk, cost and penalty at h, the cheapest lot's cost."""
    return _worth(p, measured(p, h))[1]


def row_sizes(p: Program, h: Array) -> Array:
    """Sum of |entry x quantity| of each row, fixed positions included: the scale of its rounding, desk unit."""
    return p.row_fixed + p.row_table.sizes(h, h - p.start)


def row_tolerances(p: Program, h: Array) -> Array:
    """How far each hard row may be from its limits, desk unit: 1e-9 of its size at h, or of its finest lot's.

    The lot is for books of next to nothing. Its floor is the finest's, or one contract with a huge exposure per lot
    would excuse any miss by the others. However large the positions that offset each other, a millionth of the limit
    itself is the most; where even rounding is larger, a thousandth.
    """
    return _tolerances(p, row_sizes(p, h))


def _tolerances(p: Program, size: Array) -> Array:
    wanted = RESIDUAL_TOLERANCE * np.maximum(size, p.row_table.finest)
    return np.minimum(wanted, _ceiling(size, p.row_limit))


def _ceiling(size: Array, limit: Array) -> Array:
    """The most that a tolerance may be of a limit's own size; none where the limit is zero."""
    most = np.clip(ROUNDING * size, OWN_TOLERANCE * limit, MOST_TOLERANCE * limit)
    return np.where(limit > 0, most, np.inf)


def limit_tolerance(p: Program, h: Array) -> float:
    """How far the volatility may be above its limit: 1e-9 of the size of what it sums, or as `row_tolerances` says."""
    v = p.volatility_limit
    if v is None:
        return 0.0
    sizes = np.abs(v.factors) @ np.abs(h) + np.abs(v.factor_offset)
    own = abs(v.specifics) @ np.abs(h) + np.abs(v.specific_offset)
    size = float(np.sqrt(sizes @ sizes + own @ own + v.diagonal @ (h * h)) + v.limit)
    return min(RESIDUAL_TOLERANCE * size, float(_ceiling(np.array(size), np.array(v.limit))))


def worth_of_tolerances(p: Program, h: Array, m: Array, mu: float, tolerances: Array) -> float:
    """What the limits' tolerances and rounding are worth, base currency: no answer is better known than that.

    A soft row's tolerance costs its penalty, a hard one's its multiplier.
    """
    pieces = np.abs(p.trading(h - p.start)).sum() + np.abs(p.holding(h)).sum() + np.abs(p.linear) @ np.abs(h)
    price = np.where(np.isfinite(p.row_penalty), p.row_penalty, np.abs(m))
    limit = 0.0 if p.volatility_limit is None else mu * p.volatility_limit.limit * limit_tolerance(p, h)
    return float(price @ tolerances + limit + ROUNDING * pieces)


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
            parts = dual_gap(p, at.h, m, mu, at)
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
    allowed = _tolerances(p, p.row_fixed + p.row_table.sizes(h, at.trade))
    excess, room = (0.0, 0.0) if v is None else (max(v.volatility(h) - v.limit, 0.0), limit_tolerance(p, h))
    primal, scale = _worth(p, at)
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
    return Proved(candidate.h, candidate.multipliers, candidate.status, verdict=verdict,
                  of=(p, candidate.h, candidate.multipliers))  # fmt: skip


def certify(
    p: Program, candidate: Candidate, *, tolerance: float = GAP_TOLERANCE, chain: tuple[str, ...] = (),
    seconds: float = 0.0,
) -> Certificate:  # fmt: skip
    """The candidate's certificate, as `judge` says.

    >>> import optihedge as oh
    >>> program = oh.Program(columns=("a", "b"), start=[0.0, 0.0], lower=[-9.0, -9.0], upper=[9.0, 9.0], buy=[1.0, 2.0],
    ...                      sell=[1.0, 2.0], row_names=("sum",), rows=[[1.0, 1.0]], row_lower=[3.0])
    >>> solution = oh.solve(program)
    >>> oh.certify(program, solution.candidate).optimal
    True
    """
    return judge(p, candidate, tolerance).certificate(p, chain, seconds)


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


def column_slopes(p: Program, gap: DualGap, at: Array) -> tuple[Array, Array]:
    """Slopes of each column's part of the Lagrangian just below and just above quantities `at`, per contract."""
    smooth = gap.slope + gap.curvature * at
    below, above = gap.costs.slopes(p.start, at)
    return smooth + below, smooth + above


def bound_prices(p: Program, h: Array, multipliers: Array, limit_multiplier: float = 0.0) -> Array:
    """What one contract more of room changes, by column that rests on a bound; else 0 (n, base currency per contract).

    At an upper bound it is never positive: minus what each contract more saves. At a lower one it is never negative:
    what each contract less saves. So where costs have a kink at the bound, it is the slope beyond the bound.
    """
    gap = dual_gap(p, h, clip_multipliers(p, multipliers), limit_multiplier)
    below, above = column_slopes(p, gap, h)
    top, bottom = (h >= p.upper) & (p.lower < p.upper), (h <= p.lower) & (p.lower < p.upper)
    return np.where(top, np.minimum(above, 0), np.where(bottom, np.maximum(below, 0), 0))


def snap(p: Program, candidate: Candidate, gap: DualGap | None = None) -> Candidate:
    """The candidate with every column left untraded where trading either way would cost: clears solvers' dust.

    gap  its own, where that is known
    """
    h, m = np.clip(candidate.h, p.lower, p.upper), clip_multipliers(p, candidate.multipliers)
    gap = gap or dual_gap(p, h, m, max(candidate.limit_multiplier, 0.0))
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
