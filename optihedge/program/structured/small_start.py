"""A small Program's start for the Newton polish: PIQP, called on matrices that are written at once.

Up to about a hundred columns a compiled general solver is quicker than an interior point whose every step is a hundred
calls of NumPy. In the form's units (columns h, hinges v, factors y, how far soft rows are exceeded and missed s, r):

    minimise    1/2 h'curvature h + slope'h + hinge_slope'v + 1/2 y'y + penalty'(s + r)
    subject to  common'h + weights v - y = low (factors),  low <= common'h + weights v - s + r <= high (rows)
                v >= sign (h - at),  v, s, r >= 0,  lower <= h <= upper

Schwan, Jiang, Kuhn and Jones (2023), PIQP: a proximal interior-point quadratic programming solver.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import scipy.sparse as sp

from optihedge.program.structured.standard_form import StandardForm

Array = np.ndarray
_Entries = tuple[Array, Array, Array]  # variables, rows (integers), what stands there

_MOST_COLUMNS = 110  # beyond them the structured interior point is as quick
_TOLERANCE = 1e-8


def worth_a_small_start(form: StandardForm) -> bool:
    """Whether PIQP states the form, and is quicker."""
    n, local, _ = form.sizes
    return n <= _MOST_COLUMNS and not local and not form.powered


def small_start(form: StandardForm) -> tuple[Array, Array] | None:
    """(h, V) near the optimum, n and q; None where PIQP does not claim one."""
    (n, _, q), hinges = form.sizes, form.hinges
    count, equal = len(hinges.column), form.low == form.high
    bounded, soft = np.isfinite([form.low, form.high]), np.isfinite(form.penalty)
    factors, over, under = (
        np.flatnonzero(some) for some in (form.compliance > 0, soft & bounded[1], soft & bounded[0])
    )
    v, y, s, r, size = np.cumsum([n, count, len(factors), len(over), len(under)]).tolist()  # where each begins
    variables, each = np.arange(size), np.arange(count)

    entries = [_entries(form.common)]
    if len(form.sized):
        column, row, weight = _entries(form.weights.T)
        entries.append((n + column, form.sized[row], weight))
    for some, at, entry in ((factors, slice(y, s), -1.0), (over, slice(s, r), -1.0), (under, slice(r, size), 1.0)):
        if len(some):
            entries.append((variables[at], some, np.full(len(some), entry)))
    column, row, weight = (np.concatenate(part) for part in zip(*entries, strict=True))
    fixed = equal[row]
    exact, band = np.flatnonzero(equal), np.flatnonzero(~equal & bounded.any(axis=0))
    place = np.empty(q, dtype=np.int64)
    place[exact], place[band] = np.arange(len(exact)), np.arange(len(band))
    turns = len(band) + each

    quadratic, linear = np.zeros(size), np.zeros(size)
    quadratic[:n], quadratic[y:s] = form.curvature, 1.0
    linear[:n], linear[v:y] = form.slope, hinges.slope
    linear[s:r], linear[r:] = form.penalty[over], form.penalty[under]
    least, most = np.zeros(size), np.full(size, np.inf)
    least[:n], most[:n], least[y:s] = form.lower, form.upper, -np.inf

    solver, solved = _solver()
    solver.setup(
        _by_column((len(variables), size), (variables, variables, quadratic)), linear,
        _by_column((len(exact), size), (column[fixed], place[row[fixed]], weight[fixed])), form.low[exact],
        _by_column(
            (len(band) + count, size), (column[~fixed], place[row[~fixed]], weight[~fixed]),
            (hinges.column, turns, -hinges.sign), (n + each, turns, np.ones(count)),
        ),
        np.concatenate([form.low[band], -hinges.sign * hinges.at]),
        np.concatenate([form.high[band], np.full(count, np.inf)]), least, most,
    )  # fmt: skip
    if solver.solve() != solved:
        return None
    found, V = solver.result, np.zeros(q)
    V[exact], V[band] = found.y, (found.z_u - found.z_l)[: len(band)]
    return np.clip(found.x[:n], form.lower, form.upper), np.clip(V, *form.multiplier_bounds)


def _solver() -> tuple[Any, Any]:
    """PIQP's, and its word for an optimum. The form is scaled already."""
    piqp = import_module("piqp")
    solver = piqp.SparseSolver()
    settings = solver.settings
    settings.eps_abs = settings.eps_rel = settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = _TOLERANCE
    settings.check_duality_gap, settings.num_threads, settings.preconditioner_iter = True, 1, 0
    return solver, piqp.PIQP_SOLVED


def _entries(matrix: Array) -> _Entries:
    """Row, column and value of what is not zero, row by row."""
    flat = np.ravel(matrix)
    at = np.flatnonzero(flat)
    row, column = np.divmod(at, matrix.shape[1])
    return row, column, flat[at]


def _by_column(shape: tuple[int, int], *parts: _Entries) -> sp.csc_matrix:
    """The matrix of these entries; parts name their rows in ascending order within each variable."""
    column, row, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(column, kind="stable")
    ends = np.zeros(shape[1] + 1, dtype=np.int32)
    np.cumsum(np.bincount(column, minlength=shape[1]), out=ends[1:])
    return sp.csc_matrix((value[order], row[order].astype(np.int32), ends), shape=shape)
