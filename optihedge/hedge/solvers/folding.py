"""A Program without what cannot move: fixed columns, rows no column reaches, hinges that never turn inside the box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from optihedge.hedge.program import Program

Array = np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class Hinges:
    """v_j = max(sign_j (h_column(j) - at_j), 0), costing slope_j v_j.

    `power`: the column's 3/2-power cost where the hinge is its sell part, else 0.
    """

    column: Array
    sign: Array
    at: Array
    slope: Array
    power: Array

    def __getitem__(self, chosen: Array) -> Hinges:
        return Hinges(
            column=self.column[chosen], sign=self.sign[chosen], at=self.at[chosen], slope=self.slope[chosen],
            power=self.power[chosen],
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Folded:
    """The same problem over the columns with room to move, in the Program's units (see StandardForm for the form)."""

    columns: Array  # n integers: columns of the Program
    start: Array
    lower: Array
    upper: Array
    curvature: Array
    slope: Array
    power: Array
    hinges: Hinges
    weights: sp.csr_array  # m x H, >= 0: what rows count of the hinges
    factors: Array  # k x n
    factor_offset: Array
    specifics: sp.csr_array  # s x n, two or more columns in each row
    specific_offset: Array
    row_index: Array  # integers: rows of the Program
    rows: sp.csr_array
    low: Array
    high: Array
    penalty: Array
    row_size: Array  # what fixed positions and one lot bring to the row's tolerance
    broken: Array  # integers: hard rows of the Program no column reaches, outside their limits
    broken_side: Array  # +1 where above the upper limit, -1 where below the lower one
    settled: Array  # multipliers of all the Program's rows that no column reaches: soft ones pay their penalty


def fold(p: Program) -> Folded:
    """Fold what cannot move into constants; |x| = x + 2 sell part and |h| = h + 2 short part make all rows linear."""
    total, m = len(p.columns), len(p.row_names)
    columns = np.flatnonzero(p.upper > p.lower)
    n, some_fixed = len(columns), len(columns) < total
    take = (lambda v: v[columns]) if some_fixed else (lambda v: v)
    start, lower, upper, power = take(p.start), take(p.lower), take(p.upper), take(p.power)

    curvature = take(p.diagonal) + 2 * take(p.quadratic)
    slope = take(p.linear) + take(p.buy) + take(p.long) - 2 * take(p.quadratic) * start
    factors, factor_offset = p.factors, p.factor_offset
    specifics, specific_offset = p.specifics, p.specific_offset
    rows, held, traded = p.rows, p.rows_on_holdings, p.rows_on_trades
    constant, size = np.zeros(m), p.row_fixed
    if some_fixed:
        pinned = p.lower.copy()
        pinned[columns] = 0.0
        trade = np.abs(pinned - p.start)
        trade[columns] = 0.0
        factors, factor_offset = factors[:, columns], factor_offset + factors @ pinned
        specifics, specific_offset = specifics[:, columns], specific_offset + specifics @ pinned
        sizes = held @ np.abs(pinned) + traded @ trade
        constant, size = rows @ pinned + sizes, size + abs(rows) @ np.abs(pinned) + sizes
        rows, held, traded = rows[:, columns], held[:, columns], traded[:, columns]

    if specifics.shape[0]:
        specifics = _clean(specifics)
        count = np.diff(specifics.indptr)
        single, several = np.flatnonzero(count == 1), np.flatnonzero(count > 1)
        at = specifics.indptr[single]
        curvature = curvature + np.bincount(specifics.indices[at], specifics.data[at] ** 2, n)
        slope = slope + np.bincount(specifics.indices[at], specifics.data[at] * specific_offset[single], n)
        specifics, specific_offset = specifics[several], specific_offset[several]

    if held.nnz or traded.nnz:
        rows, constant = rows + held + traded, constant - traded @ start
    rows = _clean(rows) if m else rows
    reached = np.diff(rows.indptr) > 0
    outside = np.maximum(p.row_lower - constant, constant - p.row_upper)
    side = np.where(constant > p.row_upper, 1.0, -1.0)
    broken = np.flatnonzero(~reached & np.isinf(p.row_penalty) & (outside > 1e-9 * size))
    settled = np.where(~reached & np.isfinite(p.row_penalty) & (outside > 0), side * p.row_penalty, 0.0)
    limited = np.isfinite(p.row_lower) | np.isfinite(p.row_upper)
    keep = np.flatnonzero(reached & limited & (p.row_penalty > 0))
    if len(keep) < m:
        rows, held, traded = rows[keep], held[keep], traded[keep]
    size = size[keep]
    if len(keep):
        size = np.maximum(size, largest(scaled(rows, 1.0, take(p.lot))))
    low, high = p.row_lower[keep] - constant[keep], p.row_upper[keep] - constant[keep]

    hinges, weights = _hinges(p, columns, start, held, traded)
    always = np.where(hinges.sign > 0, hinges.at <= lower[hinges.column], hinges.at >= upper[hinges.column])
    never = np.where(hinges.sign > 0, hinges.at >= upper[hinges.column], hinges.at <= lower[hinges.column])
    always &= hinges.power == 0
    never &= hinges.power == 0
    if always.any():
        opened = hinges[always]
        slope = slope + np.bincount(opened.column, opened.sign * opened.slope, n)
        if weights.nnz:
            count = len(opened.column)
            spread = sp.csr_array((opened.sign, (np.arange(count), opened.column)), shape=(count, n))
            rows = sp.csr_array(rows + weights[:, always] @ spread)
            shift = weights[:, always] @ (opened.sign * opened.at)
            low, high = low + shift, high + shift
    if (always | never).any():
        turning = np.flatnonzero(~(always | never))
        hinges, weights = hinges[turning], sp.csr_array(weights[:, turning])
    return Folded(
        columns=columns, start=start, lower=lower, upper=upper, curvature=curvature, slope=slope, power=power,
        hinges=hinges, weights=weights, factors=factors, factor_offset=factor_offset, specifics=specifics,
        specific_offset=specific_offset, row_index=keep, rows=rows, low=low, high=high, penalty=p.row_penalty[keep],
        row_size=size, broken=broken,
        broken_side=side[broken], settled=settled,
    )  # fmt: skip


def _clean(matrix: sp.csr_array) -> sp.csr_array:
    if matrix.has_canonical_format and matrix.data.all():
        return matrix
    matrix = matrix.copy()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def scaled(matrix: sp.csr_array, by_row: Array | float, by_column: Array) -> sp.csr_array:
    """diag(by_row) matrix diag(by_column)."""
    row = np.repeat(np.broadcast_to(by_row, matrix.shape[:1]), np.diff(matrix.indptr))
    data = matrix.data * row * by_column[matrix.indices]
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def largest(matrix: sp.csr_array) -> Array:
    """The largest |entry| of each row."""
    entries = np.append(np.abs(matrix.data), 0.0)
    return np.maximum.reduceat(entries, matrix.indptr[:-1]) * (np.diff(matrix.indptr) > 0)


def _hinges(p: Program, columns: Array, start: Array, held: sp.csr_array, traded: sp.csr_array,
            ) -> tuple[Hinges, sp.csr_array]:  # fmt: skip
    """Sell parts, short parts, levels of depth; and what rows count of them."""
    n, m = len(columns), held.shape[0]
    power = p.power[columns]
    sell_cost, short_cost = (p.buy + p.sell)[columns], (p.long + p.short)[columns]
    sold, shorted = (sell_cost > 0) | (power > 0), short_cost > 0
    sold[traded.indices] = True
    shorted[held.indices] = True
    sell, short = np.flatnonzero(sold), np.flatnonzero(shorted)
    column = np.concatenate([sell, short])
    count = len(column)
    sign, at = np.full(count, -1.0), np.concatenate([start[sell], np.zeros(len(short))])
    slope = np.concatenate([sell_cost[sell], short_cost[short]])
    sell_power = np.concatenate([power[sell], np.zeros(len(short))])
    depth = p.depth
    if len(depth.column):
        place = np.full(len(p.columns), -1)
        place[columns] = np.arange(n)
        used = (place[depth.column] >= 0) & (depth.slope > 0)
        where, side = place[depth.column[used]], depth.side[used]
        column, sign = np.concatenate([column, where]), np.concatenate([sign, side])
        at = np.concatenate([at, start[where] + side * depth.beyond[used]])
        slope = np.concatenate([slope, depth.slope[used]])
        sell_power = np.concatenate([sell_power, np.zeros(len(where))])
    weights = sp.csr_array((m, len(column)))
    if held.nnz or traded.nnz:
        of_sell, of_short = np.cumsum(sold) - 1, np.cumsum(shorted) - 1 + len(sell)
        w, s = traded.tocoo(), held.tocoo()
        data = 2 * np.concatenate([w.data, s.data])
        at_hinge = np.concatenate([of_sell[w.col], of_short[s.col]])
        weights = sp.csr_array((data, (np.concatenate([w.row, s.row]), at_hinge)), shape=weights.shape)
    return Hinges(column=column, sign=sign, at=at, slope=slope, power=sell_power), weights
