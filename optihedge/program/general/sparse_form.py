"""Write a Program as one sparse quadratic program in (h, q, s, t, slacks, y), for general solvers.

q >= max(h0 - h, 0) is what is sold and s >= max(-h, 0) what is held short, so that |h - h0| = h - h0 + 2 q and
|h| = h + 2 s; t are the depth hinges, slacks let soft rows give way at their penalty, y = R h + r are the factors, so
that the quadratic part is diagonal. 3/2 powers need two second-order cones each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from optihedge.program.program import Array, Program, fewest_rows


@dataclass(frozen=True, eq=False)
class SparseQP:
    """minimise 1/2 x'Px + q'x subject to l <= A x <= u, and offset - cone x in second-order cones of three.

    The first n of x are h; A's rows `first` ... `first + m` are the Program's own.
    """

    P: sp.csc_array
    q: Array
    A: sp.csc_array
    l: Array  # noqa: E741
    u: Array
    cone: sp.csc_array
    cone_offset: Array
    first: int


def assemble(p: Program) -> SparseQP:
    """The Program's sparse form. Nothing is scaled here: normalise first."""
    factors, offset = fewest_rows(p.factors, p.factor_offset)
    some, own = factors.any(axis=1), np.flatnonzero(abs(p.specifics).sum(axis=1))  # rows of zeros are constants
    p = replace(
        p, factors=factors[some], factor_offset=offset[some], specifics=p.specifics[own],
        specific_offset=p.specific_offset[own],
    )  # fmt: skip
    n, k, shared = len(p.columns), len(p.factors), p.specifics.shape[0]
    d, penalised = p.depth, np.flatnonzero(np.isfinite(p.row_penalty))
    on_trades, on_holdings = _columns_of(p.rows_on_trades), _columns_of(p.rows_on_holdings)
    powered = np.flatnonzero((p.power > 0) & (p.lower < p.upper))
    sold = np.flatnonzero(((p.buy + p.sell > 0) | on_trades | (p.power > 0)) & (p.lower < p.start))
    shorted = np.flatnonzero(((p.long + p.short > 0) | on_holdings) & (p.lower < 0))
    over = penalised[np.isfinite(p.row_upper[penalised])]
    under = penalised[np.isfinite(p.row_lower[penalised])]
    sizes = [n, len(sold), len(shorted), len(d.column), len(over), len(under), k, shared, len(powered), len(powered)]
    at = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    h, q, s, t, give_over, give_under, y, ys, z, w = (np.arange(at[i], at[i + 1]) for i in range(10))
    sold_at, shorted_at = np.full(n, -1), np.full(n, -1)
    sold_at[sold], shorted_at[shorted] = q, s

    entries: list[tuple[Array, Array, Array]] = []
    low: list[Array] = []
    high: list[Array] = []
    count = 0

    def block(lo: Array, hi: Array, *parts: tuple[Array, Array, Array | float]) -> None:
        """One block of rows; parts are (row within the block, variable, coefficient)."""
        nonlocal count
        entries.extend((row + count, column, np.broadcast_to(value, np.shape(row))) for row, column, value in parts)
        low.append(lo)
        high.append(hi)
        count += len(lo)

    def each(variables: Array) -> Array:
        return np.arange(len(variables))

    rows_k, columns_k = np.divmod(np.arange(k * n), max(n, 1))
    block(-p.factor_offset, -p.factor_offset, (rows_k, columns_k, p.factors.ravel()), (each(y), y, -1.0))
    own = p.specifics.tocoo()
    block(-p.specific_offset, -p.specific_offset, (own.row, own.col, own.data), (each(ys), ys, -1.0))
    block(p.start[sold], np.full(len(sold), np.inf), (each(q), sold, 1.0), (each(q), q, 1.0))
    block(np.zeros(len(shorted)), np.full(len(shorted), np.inf), (each(s), shorted, 1.0), (each(s), s, 1.0))
    beyond = d.beyond + d.side * p.start[d.column]
    block(np.full(len(t), -np.inf), beyond, (each(t), d.column, d.side.astype(float)), (each(t), t, -1.0))

    first = count
    plain = (p.rows + p.rows_on_holdings + p.rows_on_trades).tocoo()
    trades, holdings = p.rows_on_trades.tocoo(), p.rows_on_holdings.tocoo()
    shift = p.rows_on_trades @ p.start
    sells, shorts = sold_at[trades.col] >= 0, shorted_at[holdings.col] >= 0
    block(
        p.row_lower + shift, p.row_upper + shift, (plain.row, plain.col, plain.data),
        (trades.row[sells], sold_at[trades.col[sells]], 2 * trades.data[sells]),
        (holdings.row[shorts], shorted_at[holdings.col[shorts]], 2 * holdings.data[shorts]),
        (over, give_over, -1.0), (under, give_under, 1.0),
    )  # fmt: skip

    positive = np.concatenate([q, s, t, give_over, give_under])
    boxed = np.concatenate([h, positive])
    block(np.concatenate([p.lower, np.zeros(len(positive))]),
          np.concatenate([p.upper, np.full(len(positive), np.inf)]), (each(boxed), boxed, 1.0))  # fmt: skip

    size = at[-1]
    linear, curved = np.zeros(size), np.zeros(size)
    linear[h] = p.linear + p.buy + p.long - 2 * p.quadratic * p.start
    curved[h] = p.diagonal + 2 * p.quadratic
    linear[q], linear[s], linear[t] = (p.buy + p.sell)[sold], (p.long + p.short)[shorted], d.slope
    linear[give_over], linear[give_under] = p.row_penalty[over], p.row_penalty[under]
    linear[z] = p.power[powered]
    curved[y] = curved[ys] = 1.0
    cone, offset = _powers(p, powered, sold_at, z, w, size)
    row, column, value = (np.concatenate([e[i] for e in entries]) for i in range(3))
    return SparseQP(
        P=sp.csc_array((curved, (np.arange(size), np.arange(size))), shape=(size, size)), q=linear,
        A=sp.csc_array((value, (row, column)), shape=(count, size)), l=np.concatenate(low), u=np.concatenate(high),
        cone=cone, cone_offset=offset, first=first,
    )  # fmt: skip


def single_variable_rows(qp: SparseQP, rows: sp.csr_array) -> tuple[Array, Array, Array]:
    """Rows that only bound one variable with coefficient 1 (the first such row of each); the variables; the rest."""
    single = np.flatnonzero(np.diff(rows.indptr) == 1)
    single = single[(rows.data[rows.indptr[single]] == 1.0) & (qp.l[single] < qp.u[single])]
    own, place = np.unique(rows.indices[rows.indptr[single]], return_index=True)
    bounds = single[place]
    return bounds, own, np.setdiff1d(np.arange(len(qp.l)), bounds)


def _columns_of(matrix: sp.csr_array) -> Array:
    used = np.zeros(matrix.shape[1], dtype=bool)
    used[matrix.indices[matrix.data != 0]] = True
    return used


def _powers(p: Program, powered: Array, sold_at: Array, z: Array, w: Array, size: int) -> tuple[sp.csc_array, Array]:
    """Cones for z >= |x|^(3/2): with a = |x|, a^2 <= z w and w^2 <= a, each |(2 a, z - w)| <= z + w."""
    count = len(powered)
    if not count:
        return sp.csc_array((0, size)), np.zeros(0)
    top = 6 * np.arange(count)
    sells = sold_at[powered] >= 0
    entries: list[tuple[Array, Array, float]] = [(top, z, -1.0), (top, w, -1.0), (top + 2, z, -1.0), (top + 2, w, 1.0)]
    entries.append((top + 4, w, -2.0))
    offset = np.zeros(6 * count)
    for place, weight in ((1, 2.0), (3, 1.0), (5, 1.0)):  # a = h - h0 + 2 q
        entries.append((top + place, powered, -weight))
        entries.append(((top + place)[sells], sold_at[powered[sells]], -2 * weight))
        offset[top + place] -= weight * p.start[powered]
    offset[top + 3] += 1.0
    offset[top + 5] -= 1.0
    row, column = (np.concatenate([e[i] for e in entries]) for i in range(2))
    value = np.concatenate([np.full(len(e[0]), e[2]) for e in entries])
    return sp.csc_array((value, (row, column)), shape=(6 * count, size)), offset
