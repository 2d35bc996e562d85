"""Certify an answer on the original Program, from its quantities and row multipliers alone, whoever found it.

Multipliers give a lower bound of the optimum (Lagrangian duality): the least over the box splits into one closed form
per column. The gap between a feasible point and its bound is a sum of parts, none negative, one per column and row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.program.costs import Costs
from optihedge.program.defined import with_defined
from optihedge.program.program import (
    RESIDUAL_TOLERANCE,
    Array,
    Candidate,
    Program,
    objective,
    risk_value,
    row_values,
    row_violations,
)
from optihedge.program.status import Status

GAP_TOLERANCE = 1e-6  # of the objective's scale
OWN_TOLERANCE = 1e-6  # of a limit's own size: the most a residual may be
MOST_TOLERANCE = 1e-3  # likewise, where rounding alone is more than that
ROUNDING = 1e-14  # of what is summed


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
    residuals: pd.Series
    violations: pd.Series
    worst_row: str = ""
    chain: tuple[str, ...] = ()
    seconds: float = 0.0
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", Status(self.status))

    @property
    def optimal(self) -> bool:
        """Proved optimal within tolerance."""
        return self.status is Status.OPTIMAL

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
    m = np.clip(multipliers, -p.row_penalty, p.row_penalty)
    m = np.where(np.isinf(p.row_upper), np.minimum(m, 0), m)
    return np.where(np.isinf(p.row_lower), np.maximum(m, 0), m)


def dual_gap(p: Program, h: Array, m: Array, mu: float = 0.0) -> DualGap:
    """How far h (in the box) is from the bound that multipliers m (clipped) and mu >= 0 of the limit prove."""
    dense, sparse = p.factors @ h + p.factor_offset, p.specifics @ h + p.specific_offset
    slope = p.linear + dense @ p.factors + _transposed(p.specifics, sparse) + _transposed(p.rows, m)
    curvature, limit = p.diagonal, 0.0
    if p.volatility_price is not None:  # convex: nowhere below its tangent at h
        slope = slope + p.volatility_price.gradient(h)
    if mu > 0 and p.volatility_limit is not None:
        v = p.volatility_limit
        slope = slope + mu * ((v.factors @ h + v.factor_offset) @ v.factors)
        slope = slope + mu * (v.specifics.T @ (v.specifics @ h + v.specific_offset))
        curvature = curvature + mu * v.diagonal
        limit = 0.5 * mu * (v.limit**2 - v.volatility(h) ** 2)
    costs = p.with_sizes(_transposed(p.rows_on_trades, m), _transposed(p.rows_on_holdings, m))
    best = costs.minimiser(p.start, slope, curvature, p.lower, p.upper)
    columns = (
        (slope + 0.5 * curvature * (h + best)) * (h - best)
        + (costs.trading(h - p.start) - costs.trading(best - p.start))
        + (costs.holding(h) - costs.holding(best))
    )
    values = row_values(p, h)
    bound = np.where(m > 0, p.row_upper, np.where(m < 0, p.row_lower, values))
    soft = np.isfinite(p.row_penalty)
    rows = m * (bound - values)
    rows[soft] += p.row_penalty[soft] * row_violations(p, h)[soft]
    return DualGap(np.maximum(columns, 0), rows, limit, slope, curvature, costs, best)


def scale_of(p: Program, h: Array) -> float:
    """What a gap is measured against: risk before, risk, cost and penalty at h, the cheapest lot's cost."""
    soft = np.isfinite(p.row_penalty)
    penalty = p.row_penalty[soft] @ row_violations(p, h)[soft] if soft.any() else 0.0
    cost = p.by_contract(p.start, h).sum()
    tradable = (p.lot > 0) & (p.lower < p.upper)
    cheapest = 0.0
    if tradable.any():
        lots = np.minimum(np.abs(p.trading(p.lot)), np.abs(p.trading(-p.lot)))
        cheapest = (lots + np.abs(p.linear) * p.lot)[tradable].min()
    return float(risk_value(p, np.clip(p.start, p.lower, p.upper)) + risk_value(p, h) + abs(cost) + penalty + cheapest)


def row_sizes(p: Program, h: Array) -> Array:
    """Sum of |entry x quantity| of each row, fixed positions included: the scale of its rounding, desk unit."""
    size = p.row_fixed.copy()
    for matrix, quantities in ((p.rows, h), (p.rows_on_holdings, h), (p.rows_on_trades, h - p.start)):
        if matrix.nnz:
            filled = np.flatnonzero(np.diff(matrix.indptr))
            entries = np.abs(matrix.data) * np.abs(quantities)[matrix.indices]
            size[filled] += np.add.reduceat(entries, matrix.indptr[filled])
    return size


def row_tolerances(p: Program, h: Array) -> Array:
    """How far each hard row may be from its limits, desk unit: 1e-9 of its size at h, or of its finest lot's.

    The lot is for books of next to nothing. Its floor is the finest's, or one contract with a huge exposure per lot
    would excuse any miss by the others. However large the positions that offset each other, a millionth of the limit
    itself is the most; where even rounding is larger, a thousandth.
    """
    size, lots = row_sizes(p, h), np.full(len(p.row_fixed), np.inf)
    for matrix in (p.rows, p.rows_on_holdings, p.rows_on_trades):
        if matrix.nnz:
            filled = np.flatnonzero(np.diff(matrix.indptr))
            each = np.abs(matrix.data) * p.lot[matrix.indices]
            each[each == 0] = np.inf
            lots[filled] = np.minimum(lots[filled], np.minimum.reduceat(each, matrix.indptr[filled]))
    wanted = RESIDUAL_TOLERANCE * np.maximum(size, np.where(np.isfinite(lots), lots, 0.0))
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


def _row_of(matrix: sp.csr_array) -> Array:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _transposed(matrix: sp.csr_array, m: Array) -> Array:
    """matrix' m without building the transpose."""
    if not matrix.nnz:
        return np.zeros(matrix.shape[1])
    return np.bincount(matrix.indices, matrix.data * m[_row_of(matrix)], matrix.shape[1])


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
        hard = np.isinf(p.row_penalty)
        names = [name for name, is_hard in zip(p.row_names, hard, strict=True) if is_hard]
        residuals, tolerances = self.violations[hard], self.tolerances[hard]
        if p.volatility_limit is not None:
            names = [*names, p.volatility_limit.name]
            residuals = np.append(residuals, self.limit_excess)
            tolerances = np.append(tolerances, self.limit_tolerance)
        worst = names[int(np.argmax(residuals / np.maximum(tolerances, 1e-300)))] if names else ""
        soft = [name for name, is_hard in zip(p.row_names, hard, strict=True) if not is_hard]
        missed = np.where(self.violations > self.tolerances, self.violations, 0.0)[~hard]
        return Certificate(
            status=self.status, primal=self.primal, dual=self.primal - self.gap, gap=self.gap, scale=self.scale,
            residuals=pd.Series(residuals, index=pd.Index(names, dtype=object), name="residual"),
            violations=pd.Series(missed, index=pd.Index(soft, dtype=object), name="violation"),
            worst_row=worst, chain=tuple(chain), seconds=seconds, note=self.note,
        )  # fmt: skip


def judge(p: Program, candidate: Candidate, tolerance: float = GAP_TOLERANCE) -> Verdict:
    """The candidate's verdict, recomputed from the Program. Never raises for a wrong candidate.

    status is `optimal` if everything is finite, the box and the hard rows hold and |gap| <= tolerance x scale;
    `infeasible` if the candidate's multipliers prove that no quantities meet the hard rows; else `failed`.
    A Program with CVXPY terms is certified by the proof that the candidate carries, of tangents or of a cone problem.
    """
    h, m = np.asarray(candidate.h, dtype=float), np.asarray(candidate.multipliers, dtype=float)
    mu = max(float(candidate.limit_multiplier), 0.0)
    right_shape = h.shape == p.start.shape and m.shape == p.row_upper.shape
    if not right_shape or not (np.isfinite(h).all() and np.isfinite(m).all() and np.isfinite(mu)):
        return _verdict(p, np.clip(p.start, p.lower, p.upper), Status.FAILED, np.inf, note="not finite")
    h, m = np.clip(h, p.lower, p.upper), clip_multipliers(p, m)
    proof = getattr(candidate, "proof", None)  # a cone problem's, where there are CVXPY terms
    with np.errstate(over="ignore", invalid="ignore"):
        if candidate.status is Status.INFEASIBLE:
            proved = proves_infeasible(p, h, m, mu) or (proof is not None and proof.infeasible())
            note = "its multipliers prove that no quantities meet the limits" if proved else "infeasibility not proved"
            return _verdict(p, h, Status.INFEASIBLE if proved else Status.FAILED, np.inf, note=note)
        if p.cvxpy_terms:
            gap, extra = (np.inf, 0.0) if proof is None else proof.gap(p, h)
        else:
            gap, extra = dual_gap(p, h, m, mu).total, 0.0
        verdict = _verdict(p, h, Status.OPTIMAL, gap, tolerance, extra)
        if verdict.status is Status.OPTIMAL or not np.isfinite(gap):
            return verdict
        worth = worth_of_tolerances(p, h, m, mu, verdict.tolerances)
        return _verdict(p, h, Status.OPTIMAL, gap, tolerance, extra, worth / GAP_TOLERANCE)


def _verdict(
    p: Program, h: Array, status: Status, gap: float, tolerance: float = GAP_TOLERANCE, extra: float = 0.0,
    least: float = 0.0, note: str = "",
) -> Verdict:  # fmt: skip
    """The verdict of h in its box. `extra`: a user's own costs; `least`: what the gap's scale is at least."""
    violations, allowed, v = row_violations(p, h), row_tolerances(p, h), p.volatility_limit
    excess, room = (0.0, 0.0) if v is None else (max(v.volatility(h) - v.limit, 0.0), limit_tolerance(p, h))
    primal, scale = objective(p, h) + extra, max(scale_of(p, h) + abs(extra), least)
    if status is Status.OPTIMAL:
        beyond = np.flatnonzero(np.isinf(p.row_penalty) & (violations > allowed))
        if len(beyond):
            status, note = Status.FAILED, f"{p.row_names[beyond[0]]} is beyond its limit"
        elif excess > room:
            status, note = Status.FAILED, "the volatility is beyond its limit"
        elif not (abs(gap) <= tolerance * scale and np.isfinite(primal)):
            status = Status.FAILED
    return Verdict(status, primal, gap, scale, violations, allowed, excess, room, note)


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
    return Program(
        columns=p.columns, start=p.start, lower=p.lower, upper=p.upper, lot=p.lot, row_names=p.row_names, rows=p.rows,
        rows_on_holdings=p.rows_on_holdings, rows_on_trades=p.rows_on_trades, row_lower=p.row_lower,
        row_upper=p.row_upper, row_penalty=np.where(np.isinf(p.row_penalty), np.inf, 0.0), row_tier=p.row_tier,
        row_fixed=p.row_fixed, row_limit=p.row_limit, volatility_limit=p.volatility_limit,
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


def snap(p: Program, candidate: Candidate) -> Candidate:
    """The candidate with every column left untraded where trading either way would cost: clears solvers' dust."""
    h, m = np.clip(candidate.h, p.lower, p.upper), clip_multipliers(p, candidate.multipliers)
    below, above = column_slopes(p, dual_gap(p, h, m, max(candidate.limit_multiplier, 0.0)), p.start)
    still = (above > 0) & (below < 0) & (p.start >= p.lower) & (p.start <= p.upper)
    return replace(candidate, h=np.where(still, p.start, h), multipliers=m)


def judge_clean(p: Program, candidate: Candidate, tolerance: float = GAP_TOLERANCE) -> tuple[Candidate, Verdict]:
    """The candidate without a solver's dust, where that is optimal too, and its verdict.

    Dust in quantities is snapped to the start, and what rows define is as they say. Where nothing is at stake, dust in
    the multipliers hides that zeros prove the same.
    """
    candidate = replace(candidate, h=with_defined(p, np.asarray(candidate.h, dtype=float)))
    verdict = judge(p, candidate, tolerance)
    if candidate.status is Status.INFEASIBLE or p.cvxpy_terms or not np.isfinite(verdict.gap):
        return candidate, verdict
    clean = snap(p, candidate)
    if verdict.status is Status.OPTIMAL and (clean.h == candidate.h).all():
        return candidate, verdict
    none = replace(clean, multipliers=np.zeros_like(clean.multipliers), limit_multiplier=0.0)
    for one in (clean,) if verdict.status is Status.OPTIMAL else (clean, none):
        again = judge(p, one, tolerance)
        if again.status is Status.OPTIMAL:
            return one, again
    return candidate, verdict
