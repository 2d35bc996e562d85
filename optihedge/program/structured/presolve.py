"""A Program without what cannot move: fixed columns, rows no column reaches, hinges that never turn inside the box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from optihedge.program.program import RESIDUAL_TOLERANCE, Program

Array = np.ndarray

FEW = 60  # this many rows are kept dense, and are common to all columns whatever their pattern


@dataclass(frozen=True, eq=False)
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
        fields = (self.column, self.sign, self.at, self.slope, self.power)
        return Hinges(*(field[chosen] for field in fields))


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
    sized: Array  # integers: rows that count |quantity| or |trade|
    weights: Array  # len(sized) x H, >= 0: what they count of the hinges
    factors: Array  # k x n
    factor_offset: Array
    specifics: sp.csr_array  # s x n, two or more columns in each row
    specific_offset: Array
    row_index: Array  # integers: rows of the Program
    rows: sp.csr_array | Array  # m x n, dense where there are few
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
    factors, factor_offset, specifics, specific_offset = _risk_of(p, columns)
    sized, held, traded = p.row_table.counted
    rows, constant, size = _rows_of(p, columns, (sized, held, traded))
    if some_fixed:
        held, traded = held[:, columns], traded[:, columns]

    if specifics.shape[0]:
        bent, tilted, specifics, specific_offset = _single_rows(_clean(specifics), specific_offset, n)
        curvature, slope = curvature + bent, slope + tilted

    rows = rows if isinstance(rows, np.ndarray) else _clean(rows)
    reached = rows.any(axis=1) if isinstance(rows, np.ndarray) else np.diff(rows.indptr) > 0
    outside = np.maximum(p.row_lower - constant, constant - p.row_upper)
    side = np.where(constant > p.row_upper, 1.0, -1.0)
    broken = np.flatnonzero(~reached & np.isinf(p.row_penalty) & (outside > RESIDUAL_TOLERANCE * size))
    settled = np.where(~reached & np.isfinite(p.row_penalty) & (outside > 0), side * p.row_penalty, 0.0)
    limited = np.isfinite(p.row_lower) | np.isfinite(p.row_upper)
    keep = np.flatnonzero(reached & limited & (p.row_penalty > 0))
    low, high = p.row_lower - constant, p.row_upper - constant
    if len(keep) < m:
        left = np.flatnonzero(np.isin(sized, keep))
        held, traded, sized = held[left], traded[left], np.searchsorted(keep, sized[left])
        rows, size, low, high = rows[keep], size[keep], low[keep], high[keep]
    if len(keep):
        size = np.maximum(size, largest(scaled(rows, None, take(p.lot))))

    hinges, weights = _hinges(p, columns, start, held, traded)
    always = np.where(hinges.sign > 0, hinges.at <= lower[hinges.column], hinges.at >= upper[hinges.column])
    never = np.where(hinges.sign > 0, hinges.at >= upper[hinges.column], hinges.at <= lower[hinges.column])
    always &= hinges.power == 0
    never &= hinges.power == 0
    if always.any():
        opened = hinges[always]
        slope = slope + np.bincount(opened.column, opened.sign * opened.slope, n)
        if len(sized):
            shift, tilt = _opened_rows(opened, weights[:, always], sized, (len(keep), n))
            low, high = low + shift, high + shift
            rows = rows + (tilt if m <= FEW else sp.csr_array(tilt))
    if (always | never).any():
        turning = np.flatnonzero(~(always | never))
        hinges, weights = hinges[turning], weights[:, turning]
    return Folded(
        columns=columns, start=start, lower=lower, upper=upper, curvature=curvature, slope=slope, power=power,
        hinges=hinges, sized=sized, weights=weights,
        factors=factors, factor_offset=factor_offset, specifics=specifics,
        specific_offset=specific_offset, row_index=keep, rows=rows, low=low, high=high, penalty=p.row_penalty[keep],
        row_size=size, broken=broken,
        broken_side=side[broken], settled=settled,
    )  # fmt: skip


def _risk_of(p: Program, columns: Array) -> tuple[Array, Array, sp.csr_array, Array]:
    """Risk rows with their offsets over the columns that move."""
    if len(columns) == len(p.columns):
        return p.factors, p.factor_offset, p.specifics, p.specific_offset
    pinned = p.lower.copy()
    pinned[columns] = 0.0
    return (p.factors[:, columns], p.factor_offset + p.factors @ pinned, p.specifics[:, columns],
            p.specific_offset + p.specifics @ pinned)  # fmt: skip


def _rows_of(
    p: Program, columns: Array, sizes: tuple[Array, Array, Array]
) -> tuple[sp.csr_array | Array, Array, Array]:
    """Limit rows (dense where few) over the columns that move, |x| as x and |h| as h; what all else brings to each,
    and the size of what fixed columns bring.
    """
    m, (sized, held, traded) = len(p.row_names), sizes
    rows, constant, size = p.rows, np.zeros(m), p.row_fixed
    if m <= FEW:
        rows = dense(p.row_table.plain)
    if len(columns) < len(p.columns):
        pinned = p.lower.copy()
        pinned[columns] = 0.0
        trade = np.abs(pinned - p.start)
        trade[columns] = 0.0
        constant[sized] = brought = held @ np.abs(pinned) + traded @ trade
        constant, size = constant + rows @ pinned, size + abs(rows) @ np.abs(pinned)
        size[sized] += brought
        rows = rows[:, columns]
    if len(sized):
        constant[sized] -= traded[:, columns] @ p.start[columns]
        if m <= FEW:
            rows = rows.copy() if len(columns) == len(p.columns) else rows
            rows[sized] += held[:, columns] + traded[:, columns]
        else:
            rows = rows + p.rows_on_holdings[:, columns] + p.rows_on_trades[:, columns]
    return rows, constant, size


def _single_rows(specifics: sp.csr_array, offset: Array, n: int) -> tuple[Array, Array, sp.csr_array, Array]:
    """Curvature and slope (n) of specific rows that touch one column each, and the other rows with their offsets."""
    count = np.diff(specifics.indptr)
    single, several = np.flatnonzero(count == 1), np.flatnonzero(count > 1)
    at = specifics.indptr[single]
    column, weight = specifics.indices[at], specifics.data[at]
    curvature, slope = np.bincount(column, weight**2, n), np.bincount(column, weight * offset[single], n)
    return curvature, slope, specifics[several], offset[several]


def _opened_rows(opened: Hinges, weights: Array, sized: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    """What hinges that are always open add to the limits (m) and to the rows (m x n)."""
    signed = weights * opened.sign
    shift, tilt = np.zeros(shape[0]), np.zeros(shape)
    shift[sized] = signed @ opened.at
    tilt[sized] = [np.bincount(opened.column, row, shape[1]) for row in signed]
    return shift, tilt


def _clean(matrix: sp.csr_array) -> sp.csr_array:
    if matrix.has_canonical_format and matrix.data.all():
        return matrix
    matrix = matrix.copy()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def dense(matrix: sp.csr_array | Array) -> Array:
    """The matrix as an array."""
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def scaled(matrix: sp.csr_array | Array, by_row: Array | None, by_column: Array) -> sp.csr_array | Array:
    """diag(by_row) matrix diag(by_column); None: rows as they are."""
    if isinstance(matrix, np.ndarray):
        return matrix * by_column if by_row is None else matrix * by_row[:, None] * by_column
    data = matrix.data * by_column[matrix.indices]
    if by_row is not None:
        data *= np.repeat(by_row, np.diff(matrix.indptr))
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def largest(matrix: sp.csr_array | Array) -> Array:
    """The largest |entry| of each row."""
    if isinstance(matrix, np.ndarray):
        return np.abs(matrix).max(axis=1, initial=0.0)
    entries = np.append(np.abs(matrix.data), 0.0)
    return np.maximum.reduceat(entries, matrix.indptr[:-1]) * (np.diff(matrix.indptr) > 0)


def _hinges(p: Program, columns: Array, start: Array, held: Array, traded: Array) -> tuple[Hinges, Array]:
    """Sell parts, short parts, levels of depth; and what the rows of sizes count of them."""
    n = len(columns)
    power = p.power[columns]
    sell_cost, short_cost = (p.buy + p.sell)[columns], (p.long + p.short)[columns]
    sell = np.flatnonzero((sell_cost > 0) | (power > 0) | traded.any(axis=0))
    short = np.flatnonzero((short_cost > 0) | held.any(axis=0))
    parts = [
        (sell, np.full(len(sell), -1.0), start[sell], sell_cost[sell], power[sell]),
        (short, np.full(len(short), -1.0), np.zeros(len(short)), short_cost[short], np.zeros(len(short))),
    ]
    depth = p.depth
    if len(depth.column):
        place = np.full(len(p.columns), -1)
        place[columns] = np.arange(n)
        used = (place[depth.column] >= 0) & (depth.slope > 0)
        column, side = place[depth.column[used]], depth.side[used]
        at = start[column] + side * depth.beyond[used]
        parts.append((column, side.astype(float), at, depth.slope[used], np.zeros(len(column))))
    hinges = Hinges(*(np.concatenate(field) for field in zip(*parts, strict=True)))
    weights = np.zeros((len(held), len(hinges.column)))
    weights[:, : len(sell)] = 2 * traded[:, sell]
    weights[:, len(sell) : len(sell) + len(short)] = 2 * held[:, short]
    return hinges, weights
