"""Small Programs: PIQP on matrices that are written at once, then the exact answer of the pieces where it ends.

Up to about a hundred columns a compiled general solver is quicker than steps that are a hundred calls of NumPy each.
Which bounds, kinks and rows hold is read from its multipliers; on these the answer is exact, see `pieces`.

Schwan, Jiang, Kuhn and Jones (2023), PIQP: a proximal interior-point quadratic programming solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array, by_column
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import proved_as_it_stands
from optihedge.program.general.pieces import Form, Pieces, exact, form_of, next_pieces
from optihedge.program.narrow import narrowed
from optihedge.program.program import Program
from optihedge.program.status import Status

_Entries = tuple[Array, Array, Array]  # rows, variables (integers), what stands there

_TOLERANCE = 1e-7  # of PIQP: near enough to tell which limits hold
_STEEPER = 30.0  # times the objective in PIQP: it takes a tenth fewer steps
_TO_BOUNDARY = 0.999  # likewise: how far a step goes
_EXACT = 1e-11  # of the scale: the gap that is asked of the answer
_WARM_COLUMNS = 60  # up to which it is quicker than Newton steps from an earlier answer
_TURNS = 6  # answers of pieces, each read from the last


@dataclass(frozen=True)
class Small:
    """Declines cones and powers; fails where no pieces are the optimum's, and says no more.

    Of a warm start it makes no use: of few columns it is quicker than Newton steps from there, of more it declines it.
    """

    name: ClassVar[str] = "small"

    def solve(self, program: Program, *, deadline: float | None = None, warm: Candidate | None = None) -> Candidate:
        """An optimal candidate, proved, or none. It takes milliseconds at most: `deadline` is not looked at."""
        why = _declined(program)
        if why or (warm is not None and len(program.columns) > _WARM_COLUMNS):
            return Candidate.none(program, Status.DECLINED, why or "a warm start")
        part, columns = narrowed(program)
        with np.errstate(all="ignore"):
            form = form_of(part)
            found = _rough(form)
            if found is None:
                return Candidate.none(program, Status.FAILED, "PIQP claims no optimum")
            pieces = found.pieces
            for _ in range(_TURNS):
                h, V = exact(form, pieces)
                proved = proved_as_it_stands(program, _candidate(program, form, columns, h, V), _EXACT)
                if proved or not np.isfinite(h).all():
                    break
                pieces = next_pieces(form, h, V, pieces)
        return proved or Candidate.none(program, Status.FAILED, "other pieces")


def rough(program: Program) -> Candidate | None:
    """PIQP's answer as it is, for a solve on the way to another; None where it is declined or claims none.

    Long order books are declined too: each of their levels is a variable.
    """
    if _declined(program) or len(program.depth.column) > len(program.columns):
        return None
    part, columns = narrowed(program)
    with np.errstate(all="ignore"):
        form = form_of(part)
        found = _rough(form)
    if found is None:
        return None
    V = np.where(found.pieces.side != 0, found.pieces.V, 0.0)
    return _candidate(program, form, columns, found.h * form.unit, V, Status.ROUGH)


def _candidate(
    program: Program, form: Form, columns: Array, moved: Array, V: Array, status: Status = Status.OPTIMAL
) -> Candidate:  # fmt: skip
    """Of quantities of the columns that can move."""
    h = program.lower.copy()
    h[columns] = np.minimum(np.maximum(moved + 0.0, form.program.lower), form.program.upper)  # no minus zero
    return Candidate(h, form.multipliers(V), status)


def _declined(p: Program) -> str:
    if p.cvxpy_terms or p.has_cones or p.powered:
        return "a cone, or 3/2 powers"
    return "" if p.moves else "nothing can move"


class _Rough(NamedTuple):
    """PIQP's answer (n), and which pieces it lies on."""

    h: Array
    pieces: Pieces


def _rough(f: Form) -> _Rough | None:
    """PIQP's answer, None where it claims none."""
    n, count, k = len(f.lower), len(f.column), len(f.factors)
    equal = f.reached & (f.low == f.high)
    exact = equal.nonzero()[0]
    band = (f.reached & ~equal & (np.isfinite(f.low) | np.isfinite(f.high))).nonzero()[0]
    soft = f.program.soft[f.reached[f.program.soft]]
    over, under = soft[np.isfinite(f.high[soft])], soft[np.isfinite(f.low[soft])]
    v, y, s, r = n, n + count, n + count + k, n + count + k + len(over)
    size = r + len(under)

    linear, curved = np.zeros(size), np.zeros(size)
    linear[:n], linear[v:y], linear[s:r], linear[r:] = f.slope, f.price, f.penalty[over], f.penalty[under]
    curved[:n], curved[y:s] = f.curvature, 1.0
    least, most = np.zeros(size), np.full(size, np.inf)
    least[:n], most[:n], least[y:s] = f.lower, f.upper, -np.inf
    slack = np.concatenate([over, under]), np.repeat([-1.0, 1.0], [len(over), len(under)])
    equations, limits = _matrices(f, exact, band, slack)
    solver, solved = _solver()
    variables = np.arange(size + 1, dtype=np.int32)
    solver.setup(
        by_column(_STEEPER * curved, variables[:-1], variables, size), _STEEPER * linear,
        equations, np.concatenate([-f.offset, f.low[exact]]),
        limits, np.concatenate([f.low[band], -f.sign * f.at]), np.concatenate([f.high[band], most[v:y]]), least, most,
    )  # fmt: skip
    if solver.solve() != solved:
        return None
    found = solver.result
    duals = (dual / _STEEPER for dual in (found.y, found.z_l, found.z_u, found.z_bl, found.z_bu))
    return _read(f, exact, band, (over, under), (found.x, *duals))


def _read(f: Form, exact: Array, band: Array, soft: tuple[Array, Array], found: tuple[Array, ...]) -> _Rough:
    """Which pieces PIQP's answer lies on: told by the larger of slack and multiplier."""
    x, y, z_l, z_u, low, up = found
    (n, m, count, k), (over, under) = (len(f.lower), len(f.low), len(f.column), len(f.factors)), soft
    h, hinges, s, r = x[:n], x[n : n + count], n + count + k, n + count + k + len(over)
    V, side, missed = np.zeros(m), np.zeros(m), np.zeros(m)
    below, above, values = z_l[: len(band)], z_u[: len(band)], f.rows @ h
    values[f.sized] += f.weights @ hinges
    if len(f.program.soft):
        values[over] -= x[s:r]
        values[under] += x[r:]
        missed[over] = x[s:r] > low[s:r]
        missed[under] -= x[r:] > low[r:]
    side[exact], V[exact], V[band] = 1.0, y[k:], above - below
    side[band] = (above > f.high[band] - values[band]) * 1.0 - (below > values[band] - f.low[band])
    past = f.sign * (h[f.column] - f.at)
    away, reached = hinges > low[n : n + count], z_l[len(band) :] > hinges - past
    opened = away & (reached | (past > 0.0))  # neither multiplier is large where a hinge costs next to nothing
    turning = reached & ~away
    return _Rough(h, Pieces(V, low[:n] > h - f.lower, up[:n] > f.upper - h, opened, turning, side, missed))


_Slack = tuple[Array, Array]  # of each soft side its row (integer), and its sign there


def _matrices(f: Form, exact: Array, band: Array, slack: _Slack) -> tuple[sp.csc_matrix, sp.csc_matrix]:
    """What defines the factors, then rows that are equalities; and rows between limits, then what opens the hinges."""
    n, k, count, lines = len(f.lower), len(f.factors), len(f.column), len(band)
    first, each = k + len(exact), np.arange(count)
    column, row, value = _entries(np.concatenate([f.factors, f.rows[exact], f.rows[band]]))
    above, none = row < first, np.zeros(count, dtype=int)
    equal = [np.bincount(column[above], minlength=n), none, np.ones(k, dtype=int)]
    equal_rows, equal_values = [row[above], np.arange(k)], [value[above], np.full(k, -1.0)]

    below = ~above
    column = np.concatenate([column[below], f.column])
    order = column.argsort(kind="stable")
    row, value = (
        np.concatenate([row[below] - first, lines + each])[order],
        np.concatenate([value[below], -f.sign])[order],
    )
    counts = np.searchsorted(band, f.sized)
    counted = (counts < lines).nonzero()[0]
    counted = counted[band[counts[counted]] == f.sized[counted]]
    hinge, which, weight = _entries(np.concatenate([f.weights[counted], np.ones((1, count))]))
    own = np.append(counts[counted], lines)[which]
    own[which == len(counted)] += each
    limit = [np.bincount(column, minlength=n), np.bincount(hinge, minlength=count), np.zeros(k, dtype=int)]
    limit_rows, limit_values = [row, own], [value, weight]
    if len(slack[0]):
        _with_slack(slack, exact, len(f.low), k, equal, equal_rows, equal_values)
        _with_slack(slack, band, len(f.low), 0, limit, limit_rows, limit_values)
    return _matrix(first, equal, equal_rows, equal_values), _matrix(lines + count, limit, limit_rows, limit_values)


def _with_slack(
    slack: _Slack, among: Array, m: int, first: int, ends: list[Array], rows: list[Array], values: list[Array]
) -> None:  # fmt: skip
    """A column more for each soft side: its sign in its row, where that is among these."""
    place = np.full(m, -1)
    place[among] = first + np.arange(len(among))
    own = place[slack[0]]
    here = own >= 0
    ends.append(here.astype(int))
    rows.append(own[here])
    values.append(slack[1][here])


def _solver() -> tuple[Any, Any]:
    """PIQP's, and its word for an optimum. The form is scaled already."""
    piqp = import_module("piqp")
    solver = piqp.SparseSolver()
    settings = solver.settings
    settings.eps_abs = settings.eps_rel = settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = _TOLERANCE
    settings.check_duality_gap, settings.num_threads, settings.preconditioner_iter = True, 1, 0
    settings.tau = _TO_BOUNDARY
    return solver, piqp.PIQP_SOLVED


def _entries(matrix: Array) -> _Entries:
    """Column, row and value of what is not zero, column by column."""
    across = matrix.T.ravel()
    at = across.nonzero()[0]
    column = at // max(len(matrix), 1)
    return column, at - column * len(matrix), across[at]


def _matrix(height: int, counts: list[Array], rows: list[Array], values: list[Array]) -> sp.csc_matrix:
    """The matrix of so many entries in each column, in order."""
    count = np.concatenate(counts)
    ends = np.zeros(len(count) + 1, dtype=np.int32)
    np.cumsum(count, out=ends[1:])
    return by_column(np.concatenate(values), np.concatenate(rows), ends, height)
