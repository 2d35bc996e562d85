"""Write a Program as one sparse quadratic program in (h, q, s, t, slacks, y), for general solvers.

q >= max(h0 - h, 0) is what is sold and s >= max(-h, 0) what is held short, so that |h - h0| = h - h0 + 2 q and
|h| = h + 2 s; t are the depth hinges, slacks let soft rows give way at their penalty, y = R h + r are the factors, so
that the quadratic part is diagonal. 3/2 powers need two second-order cones each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array, fewest_rows
from optihedge.program.program import Program


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


class _Layout(NamedTuple):
    """Where each kind of variable stands, and the columns (or rows) that each of them belongs to."""

    size: int
    h: Array  # quantities after
    q: Array  # amounts sold, of the columns `sold`
    s: Array  # amounts short, of the columns `shorted`
    t: Array  # what goes beyond each hinge of depth
    over: Array  # by how much the rows `soft_over` are exceeded, and those `soft_under` missed
    under: Array
    y: Array  # factors, then specifics
    ys: Array
    z: Array  # 3/2 powers and their sizes, of the columns `powered`
    w: Array
    sold: Array
    shorted: Array
    soft_over: Array
    soft_under: Array
    powered: Array


def _layout(p: Program) -> _Layout:
    """A variable for each thing that the Program's objective or rows bend at."""
    n, d, penalised = len(p.columns), p.depth, np.flatnonzero(np.isfinite(p.row_penalty))
    on_trades, on_holdings = _columns_of(p.rows_on_trades), _columns_of(p.rows_on_holdings)
    powered = np.flatnonzero((p.power > 0) & (p.lower < p.upper))
    sold = np.flatnonzero(((p.buy + p.sell > 0) | on_trades | (p.power > 0)) & (p.lower < p.start))
    shorted = np.flatnonzero(((p.long + p.short > 0) | on_holdings) & (p.lower < 0))
    over = penalised[np.isfinite(p.row_upper[penalised])]
    under = penalised[np.isfinite(p.row_lower[penalised])]
    sizes = [n, len(sold), len(shorted), len(d.column), len(over), len(under), len(p.factors), p.specifics.shape[0],
             len(powered), len(powered)]  # fmt: skip
    at = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    h, q, s, t, give_over, give_under, y, ys, z, w = (np.arange(at[i], at[i + 1]) for i in range(10))
    return _Layout(
        size=int(at[-1]), h=h, q=q, s=s, t=t, over=give_over, under=give_under, y=y, ys=ys, z=z, w=w,
        sold=sold, shorted=shorted, soft_over=over, soft_under=under, powered=powered,
    )  # fmt: skip


class _Rows:
    """Rows of A with their limits, said block by block."""

    def __init__(self) -> None:
        self.entries: list[tuple[Array, Array, Array]] = []
        self.low: list[Array] = []
        self.high: list[Array] = []
        self.count = 0

    def block(self, lo: Array, hi: Array, *parts: tuple[Array, Array, Array | float]) -> None:
        """One block of rows; parts are (row within the block, variable, coefficient)."""
        said = ((row + self.count, column, np.broadcast_to(value, np.shape(row))) for row, column, value in parts)
        self.entries.extend(said)
        self.low.append(lo)
        self.high.append(hi)
        self.count += len(lo)

    def matrix(self, size: int) -> sp.csc_array:
        row, column, value = (np.concatenate([e[i] for e in self.entries]) for i in range(3))
        return sp.csc_array((value, (row, column)), shape=(self.count, size))


def _each(variables: Array) -> Array:
    return np.arange(len(variables))


def assemble(p: Program) -> SparseQP:
    """The Program's sparse form. Nothing is scaled here: normalise first."""
    factors, offset = fewest_rows(p.factors, p.factor_offset)
    some, own = factors.any(axis=1), np.flatnonzero(abs(p.specifics).sum(axis=1))  # rows of zeros are constants
    p = replace(
        p, factors=factors[some], factor_offset=offset[some], specifics=p.specifics[own],
        specific_offset=p.specific_offset[own],
    )  # fmt: skip
    at, rows = _layout(p), _Rows()
    _defining_rows(p, at, rows)
    first = rows.count
    _limit_rows(p, at, rows)

    positive = np.concatenate([at.q, at.s, at.t, at.over, at.under])
    boxed = np.concatenate([at.h, positive])
    none = np.zeros(len(positive))
    rows.block(np.concatenate([p.lower, none]), np.concatenate([p.upper, none + np.inf]), (_each(boxed), boxed, 1.0))

    linear, curved = np.zeros(at.size), np.zeros(at.size)
    linear[at.h] = p.linear + p.buy + p.long - 2 * p.quadratic * p.start
    curved[at.h] = p.diagonal + 2 * p.quadratic
    linear[at.q], linear[at.s] = (p.buy + p.sell)[at.sold], (p.long + p.short)[at.shorted]
    linear[at.t] = p.depth.slope
    linear[at.over], linear[at.under] = p.row_penalty[at.soft_over], p.row_penalty[at.soft_under]
    linear[at.z] = p.power[at.powered]
    curved[at.y] = curved[at.ys] = 1.0
    cone, cone_offset = _powers(p, at.powered, _place(len(p.columns), at.sold, at.q), at.z, at.w, at.size)
    diagonal = np.arange(at.size)
    return SparseQP(
        P=sp.csc_array((curved, (diagonal, diagonal)), shape=(at.size, at.size)), q=linear, A=rows.matrix(at.size),
        l=np.concatenate(rows.low), u=np.concatenate(rows.high), cone=cone, cone_offset=cone_offset, first=first,
    )  # fmt: skip


def _place(n: int, columns: Array, variables: Array) -> Array:
    """By column the variable that belongs to it, -1 where none does."""
    place = np.full(n, -1)
    place[columns] = variables
    return place


def _defining_rows(p: Program, at: _Layout, rows: _Rows) -> None:
    """Factors and specifics, amounts sold and short, and what goes beyond a hinge, each as what it is."""
    n, k, d = len(p.columns), len(p.factors), p.depth
    rows_k, columns_k = np.divmod(np.arange(k * n), max(n, 1))
    rows.block(-p.factor_offset, -p.factor_offset, (rows_k, columns_k, p.factors.ravel()), (_each(at.y), at.y, -1.0))
    own = p.specifics.tocoo()
    rows.block(-p.specific_offset, -p.specific_offset, (own.row, own.col, own.data), (_each(at.ys), at.ys, -1.0))
    for variables, columns, least in ((at.q, at.sold, p.start[at.sold]), (at.s, at.shorted, np.zeros(len(at.s)))):
        each = _each(variables)
        rows.block(least, np.full(len(columns), np.inf), (each, columns, 1.0), (each, variables, 1.0))
    beyond, each = d.beyond + d.side * p.start[d.column], _each(at.t)
    rows.block(np.full(len(at.t), -np.inf), beyond, (each, d.column, d.side.astype(float)), (each, at.t, -1.0))


def _limit_rows(p: Program, at: _Layout, rows: _Rows) -> None:
    """The Program's rows: |x| = x + 2 sold and |h| = h + 2 short make them linear; soft ones may be missed."""
    sold_at, shorted_at = _place(len(p.columns), at.sold, at.q), _place(len(p.columns), at.shorted, at.s)
    plain = (p.rows + p.rows_on_holdings + p.rows_on_trades).tocoo()
    trades, holdings = p.rows_on_trades.tocoo(), p.rows_on_holdings.tocoo()
    shift = p.rows_on_trades @ p.start
    sells, shorts = sold_at[trades.col] >= 0, shorted_at[holdings.col] >= 0
    rows.block(
        p.row_lower + shift, p.row_upper + shift, (plain.row, plain.col, plain.data),
        (trades.row[sells], sold_at[trades.col[sells]], 2 * trades.data[sells]),
        (holdings.row[shorts], shorted_at[holdings.col[shorts]], 2 * holdings.data[shorts]),
        (at.soft_over, at.over, -1.0), (at.soft_under, at.under, 1.0),
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
