"""Small Programs: PIQP on matrices that are written at once, then the exact answer of the pieces where it ends.

Up to about a hundred columns a compiled general solver is quicker than steps that are a hundred calls of NumPy each. In
units of order one (columns h, hinges v, factors y, how far soft rows are exceeded and missed s, r):

    minimise    1/2 h'curvature h + slope'h + price'v + 1/2 y'y + penalty'(s + r)
    subject to  factors h - y = -offset,  low <= rows h + weights v - s + r <= high
                v >= sign (h - at),  v, s, r >= 0,  lower <= h <= upper

Which bounds, kinks and rows hold is read from its multipliers. With these everything is linear: one solve of the
optimality conditions over the columns that are free gives the answer to the last digit, with kinks met exactly.

Schwan, Jiang, Kuhn and Jones (2023), PIQP: a proximal interior-point quadratic programming solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.linalg.lapack import dgetrf, dgetrs

from optihedge.program.arrays import Array, fewest_rows
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import proved_as_it_stands
from optihedge.program.narrow import narrowed
from optihedge.program.program import Program
from optihedge.program.status import Status

_Entries = tuple[Array, Array, Array]  # rows, variables (integers), what stands there

_TOLERANCE = 1e-8  # of PIQP: near enough to tell which limits hold
_EXACT = 1e-11  # of the scale: the gap that is asked of the answer
_LEAST = 1e-4  # of a column's box: the smallest quantity that counts as one
_DAMPING, _REFINEMENTS = 1e-11, 2  # of the rows' multipliers where rows depend on each other
_TINY = 1e-300


@dataclass(frozen=True)
class Small:
    """Declines cones, powers and a warm start; fails where the pieces are not the optimum's, and says no more."""

    name: ClassVar[str] = "small"

    def solve(self, program: Program, *, deadline: float | None = None, warm: Candidate | None = None) -> Candidate:
        """An optimal candidate, proved, or none. It takes milliseconds at most: `deadline` is not looked at."""
        if warm is not None or _declined(program):
            return Candidate.none(program, Status.DECLINED, _declined(program) or "a warm start")
        part, columns = narrowed(program)
        with np.errstate(all="ignore"):
            form = _form(part)
            rough = _rough(form)
            found = None if rough is None else _exact(form, rough)
        if found is None:
            return Candidate.none(program, Status.FAILED, "no answer of pieces")
        h = program.lower.copy()
        h[columns] = found[0]
        proved = proved_as_it_stands(program, Candidate(h, found[1], Status.OPTIMAL), _EXACT)
        return proved or Candidate.none(program, Status.FAILED, "other pieces")


def rough(program: Program) -> Candidate | None:
    """PIQP's answer as it is, for a solve on the way to another; None where it is declined or claims none.

    Long order books are declined too: each of their levels is a variable.
    """
    if _declined(program) or len(program.depth.column) > len(program.columns):
        return None
    part, columns = narrowed(program)
    with np.errstate(all="ignore"):
        form = _form(part)
        found = _rough(form)
    if found is None:
        return None
    h = program.lower.copy()
    h[columns] = np.minimum(np.maximum(found.h * form.unit, part.lower), part.upper)
    return Candidate(h, np.where(found.side != 0, found.V, 0.0) * form.money / form.row_unit, Status.ROUGH)


def _declined(p: Program) -> str:
    if p.cvxpy_terms or p.has_cones or p.powered:
        return "a cone, or 3/2 powers"
    return "" if (p.lower < p.upper).any() else "nothing can move"


class _Form(NamedTuple):
    """The module's problem: n columns, k factors, m rows, H hinges; and its units."""

    lower: Array
    upper: Array
    curvature: Array
    slope: Array
    factors: Array
    offset: Array
    rows: Array
    low: Array
    high: Array
    penalty: Array
    column: Array  # of each hinge
    sign: Array
    at: Array
    price: Array
    kink: Array  # where it turns, in contracts
    sized: Array  # rows that count hinges
    weights: Array  # len(sized) x H
    unit: Array  # contracts, n
    row_unit: Array
    money: float
    program: Program


def _form(p: Program) -> _Form:
    factors, offset = p.factors, p.factor_offset
    if len(p.specific_offset):
        factors, offset = np.vstack([factors, p.specifics.toarray()]), np.concatenate([offset, p.specific_offset])
    factors, offset = fewest_rows(factors, offset)
    unit, money = _units(p, factors, offset)
    sized, held, traded = p.row_table.counted
    rows = np.asarray(p.row_table.plain)
    shift = np.zeros(len(rows))
    if len(sized):
        rows = rows.copy()
        rows[sized] += held + traded
        shift[sized] = traded @ p.start
    rows = rows * unit
    row_unit = np.abs(rows).max(axis=1, initial=0.0)
    row_unit[row_unit == 0] = 1.0

    sell, short = p.buy + p.sell, p.long + p.short
    sold = np.flatnonzero(((sell > 0) | traded.any(axis=0)) & (p.lower < p.start))
    shorted = np.flatnonzero(((short > 0) | held.any(axis=0)) & (p.lower < 0))
    d = p.depth
    column = np.concatenate([sold, shorted, d.column])
    sign = np.concatenate([np.full(len(sold) + len(shorted), -1.0), d.side])
    kink = np.concatenate([p.start[sold], np.zeros(len(shorted)), p.start[d.column] + d.side * d.beyond])
    price = np.concatenate([sell[sold], short[shorted], d.slope])
    of_hinge = unit[column]
    weights = np.concatenate([2 * traded[:, sold], 2 * held[:, shorted], np.zeros((len(sized), len(d.column)))], axis=1)
    root = np.sqrt(money)
    return _Form(
        lower=p.lower / unit, upper=p.upper / unit, curvature=(p.diagonal + 2 * p.quadratic) * (unit * unit / money),
        slope=(p.linear + p.buy + p.long - 2 * p.quadratic * p.start) * (unit / money),
        factors=factors * (unit / root), offset=offset / root, rows=rows / row_unit[:, None],
        low=(p.row_lower + shift) / row_unit, high=(p.row_upper + shift) / row_unit,
        penalty=p.row_penalty * row_unit / money, column=column, sign=sign, at=kink / of_hinge,
        price=price * of_hinge / money, kink=kink, sized=sized, weights=weights * of_hinge / row_unit[sized, None],
        unit=unit, row_unit=row_unit, money=money, program=p,
    )  # fmt: skip


def _units(p: Program, factors: Array, offset: Array) -> tuple[Array, float]:
    """What counts as one: of each column, what brings as much risk as the book has, at most the box; and in money."""
    start, width = np.minimum(np.maximum(p.start, p.lower), p.upper), p.upper - p.lower
    dense = factors @ start + offset
    norms = np.einsum("ij,ij->j", factors, factors) + p.diagonal + 2 * p.quadratic
    risk = np.sqrt(dense @ dense / len(start) / np.maximum(norms, _TINY))
    unit = np.minimum(np.maximum(np.maximum(np.abs(start), risk), _LEAST * width), width)
    pull = np.abs(dense @ factors + p.diagonal * start + p.linear) + np.abs(p.buy + p.sell) + np.abs(p.long + p.short)
    money = float(max((pull @ unit), norms @ (unit * unit))) / len(start)
    return unit, money if np.isfinite(money) and money > 0 else 1.0


class _Rough(NamedTuple):
    """PIQP's answer, and which pieces it lies on, told by the larger of slack and multiplier."""

    h: Array  # n
    V: Array  # m
    at_lower: Array  # n booleans
    at_upper: Array
    opened: Array  # H booleans
    turning: Array  # at its kink
    side: Array  # m: +1 where a row is held at its upper limit, -1 at its lower, 0 at none
    missed: Array  # m: +1 where a soft row is above its limits, -1 below


def _rough(f: _Form) -> _Rough | None:
    """PIQP's answer, None where it claims none."""
    n, m, count, k = len(f.lower), len(f.low), len(f.column), len(f.factors)
    reached = f.rows.any(axis=1)
    equal = reached & (f.low == f.high)
    exact, band = np.flatnonzero(equal), np.flatnonzero(reached & ~equal & (np.isfinite(f.low) | np.isfinite(f.high)))
    soft = np.flatnonzero(np.isfinite(f.penalty) & reached)
    over, under = soft[np.isfinite(f.high[soft])], soft[np.isfinite(f.low[soft])]
    v, y, s, r = n, n + count, n + count + k, n + count + k + len(over)
    size, each = r + len(under), np.arange(count)

    matrix = np.zeros((m, size))
    matrix[:, :n] = f.rows
    matrix[f.sized, v:y] = f.weights
    if len(soft):
        matrix[over, np.arange(s, r)], matrix[under, np.arange(r, size)] = -1.0, 1.0
    equations = np.zeros((k + len(exact), size))
    equations[:k, :n], equations[k:] = f.factors, matrix[exact]
    equations[np.arange(k), np.arange(y, s)] = -1.0
    turns = len(band) + each
    linear, curved = np.zeros(size), np.zeros(size)
    linear[:n], linear[v:y], linear[s:r], linear[r:] = f.slope, f.price, f.penalty[over], f.penalty[under]
    curved[:n], curved[y:s] = f.curvature, 1.0
    least, most = np.zeros(size), np.full(size, np.inf)
    least[:n], most[:n], least[y:s] = f.lower, f.upper, -np.inf

    solver, solved = _solver()
    variables = np.arange(size + 1, dtype=np.int32)
    solver.setup(
        sp.csc_matrix((curved, variables[:-1], variables), shape=(size, size)), linear,
        _by_column(equations.shape, _entries(equations)), np.concatenate([-f.offset, f.low[exact]]),
        _by_column((len(band) + count, size), _entries(matrix[band]), (turns, f.column, -f.sign),
                   (turns, v + each, np.ones(count))),
        np.concatenate([f.low[band], -f.sign * f.at]), np.concatenate([f.high[band], np.full(count, np.inf)]),
        least, most,
    )  # fmt: skip
    if solver.solve() != solved:
        return None
    found = solver.result
    x, low, up = found.x, found.z_bl, found.z_bu
    h, hinges = x[:n], x[v:y]
    V, side, missed = np.zeros(m), np.zeros(m), np.zeros(m)
    side[exact], V[exact], V[band] = 1.0, found.y[k:], (found.z_u - found.z_l)[: len(band)]
    value = matrix[band] @ x
    side[band] = (found.z_u[: len(band)] > f.high[band] - value) * 1.0
    side[band] -= found.z_l[: len(band)] > value - f.low[band]
    missed[over] = x[s:r] > low[s:r]
    missed[under] -= x[r:] > low[r:]
    opened = hinges > low[v:y]
    slack = hinges - f.sign * (h[f.column] - f.at)
    turning = ~opened & (found.z_l[len(band) :] > slack)
    return _Rough(h, V, low[:n] > h - f.lower, up[:n] > f.upper - h, opened, turning, side, missed)


def _exact(f: _Form, rough: _Rough) -> tuple[Array, Array] | None:
    """Quantities (n) and row multipliers (m) in the Program's units, solved where the rough answer's pieces hold."""
    p, n = f.program, len(f.lower)
    kept = np.full(n, np.nan)
    kept[f.column[rough.turning]] = f.kink[rough.turning]
    kept = np.where(rough.at_lower, p.lower, np.where(rough.at_upper, p.upper, kept))
    free = np.isnan(kept)
    still = np.where(free, 0.0, kept / f.unit)

    # with each hinge open or shut, costs and rows are linear
    column, signed = f.column[rough.opened], f.sign[rough.opened]
    slope = f.slope + np.bincount(column, signed * f.price[rough.opened], n)
    rows, shift = f.rows, np.zeros(len(f.low))
    if len(f.sized):
        counted = f.weights[:, rough.opened] * signed
        rows = rows.copy()
        for row, weights in zip(f.sized, counted, strict=True):
            rows[row] += np.bincount(column, weights, n)
        shift[f.sized] = counted @ f.at[rough.opened]
    V = np.where(rough.side != 0, rough.V, 0.0)
    soft = np.flatnonzero(rough.missed)
    V[soft] = rough.missed[soft] * f.penalty[soft]
    held = np.flatnonzero((rough.side != 0) & (rough.missed == 0))
    limit = np.where(rough.side > 0, f.high, f.low)[held] + shift[held]

    some = np.flatnonzero(free)
    count, size = len(some), len(some) + len(held)
    factors, kkt = f.factors[:, some], np.zeros((size, size))
    kkt[:count, :count] = factors.T @ factors
    kkt[np.arange(count), np.arange(count)] += f.curvature[some]
    kkt[count:, :count] = between = rows[held][:, some]
    kkt[:count, count:] = between.T
    right = np.empty(size)
    right[:count] = -(slope[some] + (f.factors @ still + f.offset) @ factors + V @ rows[:, some])
    right[count:] = limit - rows[held] @ still
    solution = _solved(kkt, right, count)
    kept[some] = solution[:count] * f.unit[some]
    V[held] += solution[count:]  # of many that prove the same, those nearest to PIQP's
    if not (np.isfinite(kept).all() and np.isfinite(V).all()):
        return None
    return np.minimum(np.maximum(kept + 0.0, p.lower), p.upper), V * f.money / f.row_unit


def _solved(kkt: Array, right: Array, count: int) -> Array:
    """The solution of the optimality conditions of `count` quantities and the rows' multipliers, where rows may say the
    same twice: multipliers are damped by next to nothing, which refinement takes out again.
    """
    if not len(right):
        return right
    damped = kkt.copy()
    rows = np.arange(count, len(kkt))
    damped[rows, rows] = -_DAMPING
    factors, pivots, _ = dgetrf(damped, overwrite_a=1)
    solution: Array = dgetrs(factors, pivots, right)[0]
    for _ in range(_REFINEMENTS):
        solution += dgetrs(factors, pivots, right - kkt @ solution)[0]
    return solution


def _solver() -> tuple[Any, Any]:
    """PIQP's, and its word for an optimum. The form is scaled already."""
    piqp = import_module("piqp")
    solver = piqp.SparseSolver()
    settings = solver.settings
    settings.eps_abs = settings.eps_rel = settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = _TOLERANCE
    settings.check_duality_gap, settings.num_threads, settings.preconditioner_iter = True, 1, 0
    return solver, piqp.PIQP_SOLVED


def _entries(matrix: Array) -> _Entries:
    """Row, column and value of what is not zero."""
    flat = np.ravel(matrix)
    at = np.flatnonzero(flat)
    row, column = np.divmod(at, max(matrix.shape[1], 1))
    return row, column, flat[at]


def _by_column(shape: tuple[int, int], *parts: _Entries) -> sp.csc_matrix:
    """The matrix of these entries, whose rows ascend."""
    row, column, value = (np.concatenate(part) for part in zip(*parts, strict=True)) if len(parts) > 1 else parts[0]
    order = np.argsort(column, kind="stable")
    ends = np.zeros(shape[1] + 1, dtype=np.int32)
    np.cumsum(np.bincount(column, minlength=shape[1]), out=ends[1:])
    return sp.csc_matrix((value[order], row[order].astype(np.int32), ends), shape=shape)
