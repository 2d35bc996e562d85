"""The Program as the structured solver sees it: folded, scaled, and split into what is local and what is common.

With columns h, hinges v_j = max(sign_j (h_c(j) - at_j), 0) and one multiplier V for each coordinate of the values r:

    minimise    sum 1/2 curvature h^2 + slope h + power |h - start|^(3/2) + sum hinge_slope v
              + 1/2 sum of squares of the factors' V + penalties of soft rows
    values      r = [local h ; common' h + weights v],    low <= r - compliance V <= high,    lower <= h <= upper

A sell part is a hinge at the start, a short part a hinge at zero, a level of depth a hinge of its own.
A factor has compliance 1 and low = high = minus its offset, so that V is the factor's value; a row has compliance 0.
All scales are powers of two: a test passed here is passed in the user's units, and kinks stay exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import compressed, fewest_rows
from optihedge.program.program import Program
from optihedge.program.structured.presolve import FEW, Folded, Hinges, dense, fold, largest, scaled

Array = np.ndarray
_LARGEST_BLOCK = 40  # the longest row of a larger block becomes common
_MORE, _MOST_COLUMNS = (
    1.2,
    1000,
)  # coordinates a column from which the columns' side is the smaller, and columns to which
_PASSES = 8  # at what couples blocks, before no structure is assumed


@dataclass(frozen=True, eq=False, kw_only=True)
class StandardForm:
    """See the module's docstring. n columns, H hinges, q coordinates: s local ones, then k factors, then rows."""

    lower: Array  # n
    upper: Array
    start: Array
    curvature: Array
    slope: Array
    power: Array
    powered: bool  # whether any power is not zero
    hinges: Hinges
    sized: Array  # integers: the common coordinates that count hinges (rows of |quantity| and |trade|)
    weights: Array  # len(sized) x H, >= 0: what they count of each hinge
    table: Array  # levels x n integers: each column's hinges by ascending `at`; H where there is none
    table_at: Array  # levels x n
    table_above: Array  # levels x n, 1.0 where the hinge is open above `at`
    local: sp.csr_array  # s x n
    blocks: tuple[tuple[int, int], ...]  # (how many, rows in each), in the order of `local`
    common: Array  # n x (q - s)
    low: Array  # q
    high: Array
    compliance: Array
    penalty: Array  # q, inf = hard
    row_size: Array  # q, what fixed positions and one lot bring to a row's tolerance
    row_index: Array  # q integers, -1 for a factor
    column_scale: Array  # quantity = column_scale x h
    row_scale: Array  # value of a row in its unit = row_scale x r
    value_scale: float  # base currency = value_scale x objective
    folded: Folded
    program: Program

    @cached_property
    def is_factor(self) -> Array:
        """Which coordinates are factors, q booleans."""
        return self.compliance > 0

    @cached_property
    def rows(self) -> Array:
        """The coordinates that are no factors, integers."""
        return np.flatnonzero(~self.is_factor)

    @cached_property
    def limits(self) -> tuple[Array, Array, Array, Array, Array]:
        """These; their limits low and high and penalties; which of them are soft (integers)."""
        penalty = self.penalty[self.rows]
        return self.rows, self.low[self.rows], self.high[self.rows], penalty, np.flatnonzero(np.isfinite(penalty))

    @cached_property
    def row_absolutes(self) -> Array:
        """The |entries| of the common coordinates that are rows, which follow the factors: n x how many these are."""
        return np.abs(self.common[:, int(self.is_factor[self.local.shape[0] :].sum()) :])

    @cached_property
    def row_squares(self) -> Array:
        """Their squares."""
        return self.row_absolutes**2

    @cached_property
    def lengths(self) -> Array:
        """Euclidean length of each coordinate's entries, q."""
        common = np.einsum("ij,ij->j", self.common, self.common)
        return np.sqrt(np.concatenate([self.local.power(2).sum(axis=1), common]) if self.local.shape[0] else common)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """n columns, s local coordinates, q coordinates."""
        return len(self.lower), self.local.shape[0], len(self.low)

    def open_hinges(self, h: Array) -> Array:
        """v, H."""
        return np.maximum(self.hinges.sign * (h[self.hinges.column] - self.hinges.at), 0.0)

    def values(self, h: Array, v: Array) -> Array:
        """r, q."""
        common = h @ self.common
        if len(self.sized):
            common[self.sized] += self.weights @ v
        return np.concatenate([self.local @ h, common]) if self.local.shape[0] else common

    def adjoint(self, V: Array) -> Array:
        """What the coordinates add to each column's slope, hinges apart, n."""
        s = self.local.shape[0]
        return self.common @ V[s:] + V[:s] @ self.local if s else self.common @ V

    def hinge_slopes(self, V: Array) -> Array:
        """Each hinge's slope with what the rows add, H."""
        if not len(self.sized):
            return self.hinges.slope
        return self.hinges.slope + V[self.local.shape[0] :][self.sized] @ self.weights

    def quantities(self, h: Array) -> Array:
        """Quantities of all the Program's columns."""
        full = self.program.lower.copy()
        full[self.folded.columns] = h * self.column_scale + 0.0  # no minus zero
        return full

    def row_multipliers(self, V: Array) -> Array:
        """Multipliers of all the Program's rows."""
        full = self.folded.settled.copy()
        rows = self.row_index >= 0
        full[self.row_index[rows]] = V[rows] * self.value_scale / self.row_scale[rows]
        return full

    def coordinates(self, quantities: Array, row_multipliers: Array) -> tuple[Array, Array]:
        """(h, V) of quantities and row multipliers."""
        h = np.clip(quantities[self.folded.columns] / self.column_scale, self.lower, self.upper)
        rows = self.row_index >= 0
        V = self.factor_values(self.values(h, self.open_hinges(h)))
        V[rows] = row_multipliers[self.row_index[rows]] * self.row_scale[rows] / self.value_scale
        return h, np.clip(V, *self.multiplier_bounds)

    def factor_values(self, r: Array) -> Array:
        """V of the factors at values r, zero for the rows."""
        return np.where(self.is_factor, r - self.low, 0.0) / np.where(self.is_factor, self.compliance, 1.0)

    @property
    def work(self) -> float:
        """Multiplications in one factorisation of the Newton system."""
        n, s, q = self.sizes
        if not s and rows_prevail(n, len(self.rows)):  # by the columns' side
            return q * n**2 + n**3 / 3
        local = sum(count * size**2 * (size + q - s) for count, size in self.blocks)
        return n * (q - s) ** 2 + (q - s) ** 3 / 3 + s * (q - s) ** 2 + local

    def elastic(self, risk: float) -> StandardForm:
        """The same rows, each hard one missed at a price of one; soft ones, risk and costs (all but) left out."""
        factor, soft = self.compliance > 0, np.isfinite(self.penalty)
        return replace(
            self, curvature=np.full_like(self.slope, risk), slope=-risk * np.clip(self.start, self.lower, self.upper),
            power=np.zeros_like(self.power), powered=False,
            hinges=replace(self.hinges, slope=np.zeros_like(self.hinges.slope), power=np.zeros_like(self.hinges.slope)),
            low=np.where(soft, -np.inf, self.low), high=np.where(soft, np.inf, self.high),
            compliance=np.where(factor, 1 / risk, 0.0), penalty=np.where(factor, np.inf, 1.0),
        )  # fmt: skip

    @cached_property
    def multiplier_bounds(self) -> tuple[Array, Array]:
        """Least and largest V: a row pushes on the sides it has, a soft one no harder than its penalty."""
        factor = self.compliance > 0
        least = np.where(factor, -np.inf, np.where(np.isfinite(self.low), -self.penalty, 0.0))
        most = np.where(factor, np.inf, np.where(np.isfinite(self.high), self.penalty, 0.0))
        return least, most


def standard_form(p: Program, least: float = 1e-4) -> StandardForm:
    """Fold, scale and split a Program. Raises nothing: a Program is checked when it is made.

    `least`: the smallest position that counts as of order one, as a share of its box.
    """
    f = fold(p)
    n, k, s, m = len(f.columns), len(f.factors), f.specifics.shape[0], len(f.row_index)
    scale, value = _scales(f, least)
    root, powered, hinge_scale, row_scale = np.sqrt(value), bool(f.power.any()), scale[f.hinges.column], np.ones(m)
    factors, factor_offset, rows = f.factors, f.factor_offset, scaled(f.rows, None, scale)
    if m:
        size = largest(rows)
        row_scale = _power_of_two(np.where(size > 0, size, 1.0))

    # which coordinates are local: row numbers of [specifics; rows] in the order of the blocks
    chosen, local = np.zeros(0, int), compressed(np.zeros(0), np.zeros(0), np.zeros(1), (0, n))
    blocks: tuple[tuple[int, int], ...] = ()
    if s + m > FEW and not rows_prevail(n, m):
        parts = scaled(f.specifics, None, scale / root), scaled(f.rows, 1 / row_scale, scale)
        both = sp.csr_array(sp.vstack(parts))
        eligible = np.ones(s + m, bool)
        eligible[s + f.sized] = False
        chosen, blocks = split_blocks(both, eligible)
        local = both[chosen] if len(chosen) else local
    left, rest = np.arange(s), np.arange(m)
    if len(chosen):
        left, rest = np.delete(left, chosen[chosen < s]), np.delete(rest, chosen[chosen >= s] - s)
    if len(left):
        factors = np.vstack([factors, dense(f.specifics[left])])
        factor_offset = np.concatenate([factor_offset, f.specific_offset[left]])
    factors, factor_offset = fewest_rows(factors, factor_offset)
    if not len(factors) + len(rest):  # at least one common coordinate, so that no matrix below is empty
        factors, factor_offset = np.zeros((1, n)), np.zeros(1)
    k = len(factors)
    common = np.empty((n, k + len(rest)))
    np.multiply(factors, scale / root, out=common.T[:k])
    np.divide(dense(rows if len(rest) == m else rows[rest]), row_scale[rest, None], out=common.T[k:])
    sized = k + np.searchsorted(rest, f.sized)
    weights = f.weights * hinge_scale / row_scale[f.sized, None]

    def gather(of_specifics: Array, of_factors: Array, of_rows: Array) -> Array:
        if not len(chosen):
            return np.concatenate([of_factors, of_rows if len(rest) == m else of_rows[rest]])
        return np.concatenate([np.concatenate([of_specifics, of_rows])[chosen], of_factors, of_rows[rest]])

    shared, exact = -f.specific_offset / root, -factor_offset / root
    hinges = _scaled_hinges(f.hinges, hinge_scale, value, powered)
    table, table_at, table_above = _table(hinges, f.upper / scale)
    return StandardForm(
        lower=f.lower / scale, upper=f.upper / scale, start=f.start / scale, curvature=f.curvature * scale**2 / value,
        slope=f.slope * scale / value, power=f.power * scale**1.5 / value if powered else f.power, powered=powered,
        hinges=hinges, sized=sized, weights=weights, table=table, table_at=table_at, table_above=table_above,
        local=local, blocks=blocks, common=common,
        low=gather(shared, exact, f.low / row_scale), high=gather(shared, exact, f.high / row_scale),
        compliance=gather(np.ones(s), np.ones(k), np.zeros(m)),
        penalty=gather(np.full(s, np.inf), np.full(k, np.inf), f.penalty * row_scale / value),
        row_size=gather(np.zeros(s), np.zeros(k), f.row_size / row_scale),
        row_index=gather(np.full(s, -1), np.full(k, -1), f.row_index).astype(int), column_scale=scale,
        row_scale=gather(np.ones(s), np.ones(k), row_scale), value_scale=float(value), folded=f, program=p,
    )  # fmt: skip


def rows_prevail(columns: int, rows: int) -> bool:
    """Whether the Newton system of so many rows is better by the columns' side, and without blocks."""
    return columns <= _MOST_COLUMNS and rows > _MORE * columns


def _scaled_hinges(hinges: Hinges, scale: Array, value: float, powered: bool) -> Hinges:
    power = hinges.power * scale**1.5 / value if powered else hinges.power
    return Hinges(hinges.column, hinges.sign, hinges.at / scale, hinges.slope * scale / value, power)


def split_blocks(matrix: sp.csr_array, eligible: Array) -> tuple[Array, tuple[tuple[int, int], ...]]:
    """Rows of the matrix that fall into small independent blocks, ordered by block, and (how many, rows in each)."""
    from scipy.sparse.csgraph import connected_components  # brings all of scipy.sparse.linalg

    none = np.zeros(0, int), ()
    rows = np.flatnonzero(eligible & (np.diff(matrix.indptr) <= max(matrix.shape[1] // 8, 2)))
    for _ in range(_PASSES if len(rows) else 0):
        part = matrix[rows]
        corner = sp.bmat([[None, part], [part.T, None]], format="csr")
        label = connected_components(corner, directed=False)[1][: len(rows)]
        _, label, size = np.unique(label, return_inverse=True, return_counts=True)
        if size.max() <= _LARGEST_BLOCK:
            order = np.lexsort((label, size[label]))
            return rows[order], tuple((int((size == b).sum()), int(b)) for b in np.unique(size))
        crowded = size[label] > _LARGEST_BLOCK
        length = np.where(crowded, np.diff(part.indptr), 0)
        drop = np.argsort(-length, kind="stable")[: max(crowded.sum() // 50, 1)]
        rows = np.delete(rows, drop)
    return none


def _power_of_two(x: Array) -> Array:
    return np.exp2(np.round(np.log2(x)))


def _scales(f: Folded, least: float) -> tuple[Array, float]:
    """Column scales that make positions of order 1, and the objective's scale (a power of 4)."""
    n = len(f.columns)
    if n == 0:
        return np.ones(0), 1.0
    norms = np.einsum("ij,ij->j", f.factors, f.factors) + f.curvature
    dense = f.factors @ f.start + f.factor_offset
    gradient = dense @ f.factors + f.curvature * f.start + f.slope
    variance = dense @ dense
    if f.specifics.shape[0]:
        shared = f.specifics @ f.start + f.specific_offset
        norms = norms + np.bincount(f.specifics.indices, f.specifics.data**2, n)
        gradient, variance = gradient + shared @ f.specifics, variance + shared @ shared
    width, risk = f.upper - f.lower, np.sqrt(variance / n)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        by_risk = risk / np.sqrt(norms)
    reach = np.maximum(np.abs(f.start), np.where(np.isfinite(by_risk), by_risk, width))
    scale = _power_of_two(np.minimum(np.maximum(reach, least * width), width))
    kinks = np.bincount(f.hinges.column, f.hinges.slope, n) + 1.5 * f.power * np.sqrt(scale)
    size = max((np.abs(gradient) + kinks) @ scale, norms @ scale**2) / n
    return scale, float(np.exp2(2 * np.round(np.log2(size) / 2))) if size > 0 else 1.0


def _table(hinges: Hinges, upper: Array) -> tuple[Array, Array, Array]:
    """Each column's hinges by ascending `at`, padded with hinge H (no slope) at the upper bound."""
    n, count = len(upper), len(hinges.column)
    order = np.lexsort((hinges.at, hinges.column))
    column = hinges.column[order]
    per_column = np.bincount(column, minlength=n)
    level = np.arange(count) - np.repeat(np.cumsum(per_column) - per_column, per_column)
    levels = int(per_column.max(initial=0))
    table = np.full((levels, n), count)
    table[level, column] = order
    at = np.tile(upper, (levels, 1))
    at[level, column] = hinges.at[order]
    above = np.zeros((levels, n))
    above[level, column] = hinges.sign[order] > 0
    return table, at, above
