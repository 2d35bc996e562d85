"""Values of a Program around whole-lot points: excess over the hard rows, then objective; of points and of moves."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array
from optihedge.program.lots.grid import Grid
from optihedge.program.narrow import narrowed
from optihedge.program.program import Program, objective, row_values
from optihedge.program.volatility import VolatilityLimit

_NOISE = 1e-9  # of the largest exposure on a row: a smaller one is rounding
_FLAT = 1e-9  # of a lot's exposure: a smaller excess is rounding
_ROUNDING = 1e-14  # of the largest value a row can reach

Steps = list[tuple[Array, Array, Array]]
"""Of each leg of M moves: its column, its trade after, what is added (contracts)."""


@dataclass(frozen=True, eq=False)
class Moves:
    """M candidate moves: trade of column i becomes `to_i` lots and that of column j `to_j` (None: no second leg)."""

    i: Array
    to_i: Array
    j: Array | None = None
    to_j: Array | None = None

    def made(self, grid: Grid, h: Array, which: int) -> Array:
        """Quantities after one of them."""
        h = h.copy()
        for column, to in self.legs:
            leg = column[which]
            h[leg] = grid.start[leg] + grid.lot[leg] * to[which]
        return h

    def some(self, which: Array) -> Moves:
        """Those of them (integers or a mask)."""
        if self.j is None or self.to_j is None:
            return Moves(self.i[which], self.to_i[which])
        return Moves(self.i[which], self.to_i[which], self.j[which], self.to_j[which])

    @property
    def legs(self) -> list[tuple[Array, Array]]:
        """Columns and lots of the first legs, and of the second where there are some."""
        second = [] if self.j is None or self.to_j is None else [(self.j, self.to_j)]
        return [(self.i, self.to_i), *second]


@dataclass(frozen=True, eq=False)
class Volatility:
    """A volatility limit around whole-lot points; variance is |root h + offset|^2 + sum diagonal h^2."""

    root: Array
    offset: Array
    diagonal: Array
    limit: float

    @classmethod
    def of(cls, limit: VolatilityLimit) -> Volatility:
        """With dense and sparse rows in one matrix."""
        root = np.vstack([limit.factors, limit.specifics.toarray()])
        offset = np.concatenate([limit.factor_offset, limit.specific_offset])
        return cls(root, offset, limit.diagonal, limit.limit)

    def excess(self, variance: Array) -> Array:
        """Thousandths of the limit by which a volatility is beyond it."""
        over = np.sqrt(np.maximum(variance, 0)) / max(self.limit, 1e-300) - 1
        return np.where(over > _FLAT, over * 1e3, 0.0)

    def at(self, h: Array) -> Array:
        """Variance of M points (M x n)."""
        return ((self.root @ h.T + self.offset[:, None]) ** 2).sum(axis=0) + (h**2) @ self.diagonal

    def after(self, h: Array, steps: list[tuple[Array, Array]]) -> Array:
        """Variance after each of M moves from h: one or two legs (columns M, contracts M), or as it stands."""
        now = self.root @ h + self.offset
        variance = np.asarray(now @ now + self.diagonal @ (h * h))
        for column, step in steps:
            root = self.root[:, column]
            variance = variance + 2 * step * (now @ root + self.diagonal[column] * h[column])
            variance = variance + step**2 * ((root**2).sum(axis=0) + self.diagonal[column])
        if len(steps) == 2:
            (i, step_i), (j, step_j) = steps
            variance = variance + 2 * step_i * step_j * (self.root[:, j] * self.root[:, i]).sum(axis=0)
        return variance


@dataclass(frozen=True, eq=False)
class _Here:
    """What is worked out once of quantities h: slope of risk and of what is linear, costs by column, values of rows;
    risk (base currency)."""

    h: Array
    risk: float
    gradient: Array
    costs: Array
    values: Array


class Neighbourhood:
    """Values of a Program around whole-lot points: excess over the hard rows, then objective.

    until  instant (`time.perf_counter`, s) from which no better point is looked for; None: until none is found
    """

    def __init__(self, program: Program, grid: Grid, until: float | None = None) -> None:
        self.program, self.grid, self.until = program, grid, until
        self.rows = _dense(program.rows)
        self.on_holdings = _dense(program.rows_on_holdings)
        self.on_trades = _dense(program.rows_on_trades)
        self.hard = ~np.isfinite(program.row_penalty)
        self._hard = slice(None) if self.hard.all() else np.flatnonzero(self.hard)
        self._soft = np.flatnonzero(~self.hard)
        self.has_soft = bool(len(self._soft))
        self.exposure = np.abs(self.rows) * grid.lot  # m x n, desk unit per lot
        self.exposure[self.exposure < _NOISE * self.exposure.max(axis=1, initial=0.0, keepdims=True)] = 0.0
        sizes = self.on_holdings + self.on_trades
        self.sized = sizes.any(axis=1)
        weights = np.where(self.exposure > 0, self.exposure, sizes * grid.lot)
        self.units = _medians(np.where(grid.lumpy, weights, 0.0))  # a unit of excess: a usual lot
        reach = (np.abs(self.rows) + sizes + self.on_trades) @ program.widest + program.row_fixed
        self.flat = _FLAT + _ROUNDING * reach / self.units
        self.offset = np.concatenate([program.factor_offset, program.specific_offset])
        limit = program.volatility_limit
        self.volatility = None if limit is None else Volatility.of(limit)
        self._here: _Here | None = None

    def over(self, columns: Array, h: Array) -> Neighbourhood:
        """The same over those columns (integers) where the others stay at h (n), excess in the same units."""
        lower, upper = h.copy(), h.copy()
        lower[columns], upper[columns] = self.program.lower[columns], self.program.upper[columns]
        program = narrowed(self.program.boxed(lower, upper))[0]
        inner = Neighbourhood(program, self.grid.over(program, columns), self.until)
        inner.units, inner.flat, inner.exposure = self.units, self.flat, self.exposure[:, columns]
        return inner

    @property
    def left(self) -> float:
        """Seconds left to look for better points."""
        return np.inf if self.until is None else max(self.until - time.perf_counter(), 0.0)

    @cached_property
    def root(self) -> Array:
        """Rows of risk, dense."""
        p = self.program
        return np.vstack([p.factors, p.specifics.toarray()]) if len(p.specific_offset) else p.factors

    @cached_property
    def curvature(self) -> Array:
        """n: the second derivative of each column's risk."""
        return self.program.curvature

    @cached_property
    def length(self) -> Array:
        """n: of each column of `root`."""
        return np.sqrt(np.einsum("kn,kn->n", self.root, self.root))

    @cached_property
    def coarseness(self) -> Array:
        """n: size of each leg's lot against the coarsest on any row or in risk, between 0 and 1."""
        lots = np.abs(np.vstack([self.rows, np.sqrt(self.curvature)])) * self.grid.lot
        largest = lots.max(axis=1, initial=0.0, keepdims=True)
        return (lots / np.where(largest > 0, largest, 1.0)).max(axis=0)

    @cached_property
    def _lumpy_exposure(self) -> Array:
        """m x n: what a lot of each leg with a choice does to each row, infinite where it does nothing."""
        return np.where((self.exposure > 0) & self.grid.lumpy, self.exposure, np.inf)

    @cached_property
    def _width(self) -> Array:
        """m: of each band."""
        return self.program.row_upper - self.program.row_lower

    @cached_property
    def ladder(self) -> tuple[Array, Array]:
        """Hard rows (integers), and what a lot of each leg with a choice does to them (some x n, desk unit), infinite
        where that is a millionth of what the coarsest does, or less."""
        rows = np.flatnonzero(self.hard)
        exposure = np.where(self.grid.lumpy, np.abs(self.rows) * self.grid.lot, 0.0)[rows]
        return rows, np.where(exposure > 1e-6 * exposure.max(axis=1, initial=0.0, keepdims=True), exposure, np.inf)

    def here(self, h: Array) -> _Here:
        """Of quantities h; of the last ones that were asked it is kept."""
        if self._here is None or self._here.h is not h:
            p = self.program
            moved, own = self.root @ h + self.offset, p.diagonal * h
            costs = p.trading(h - p.start) + p.holding(h)
            risk = 0.5 * float(moved @ moved + own @ h)
            self._here = _Here(h, risk, moved @ self.root + own + p.linear, costs, row_values(p, h))
        return self._here

    def allowance(self, lots: Array) -> Array:
        """How far each hard row may end beyond its band (m, desk unit): half the finest traded leg's lot exposure.

        lots   n; or M x n for M points, which gives m x M

        A band as wide as that lot can be met, so the allowance shrinks with the band: max(0, lot - width) / 2.
        Rows that limit |quantity| or |trade|, and rows without a traded leg, have none.
        """
        if lots.ndim == 1:
            finest = self._lumpy_exposure[:, lots != 0].min(axis=1, initial=np.inf)
        else:
            finest = np.where(lots != 0, self._lumpy_exposure[:, None], np.inf).min(axis=2, initial=np.inf).T
        room = np.where(np.isfinite(finest), np.minimum(finest, 1e300) - self._width, 0.0) / 2
        return np.where(self.hard & ~self.sized, np.maximum(room, 0.0), 0.0).T

    def leg_cost(self, i: Array, x: Array) -> Array:
        """Cost of trading x of column i and of holding what results, base currency."""
        p = self.program
        return p.trading(x, i) + p.holding(p.start[i] + x, i)

    def excess(self, values: Array, room: Array) -> Array:
        """Sum over hard rows of the distance beyond band and room, in row units. values m x M, room m or m x M."""
        return self._excess(values[self._hard], room[self._hard])

    def _excess(self, values: Array, room: Array) -> Array:
        """The same of the hard rows alone."""
        p, hard = self.program, self._hard
        room = room[:, None] if room.ndim == 1 else room
        beyond = np.maximum((p.row_lower[hard, None] - room) - values, values - (p.row_upper[hard, None] + room))
        beyond = np.maximum(beyond, 0.0) / self.units[hard, None]
        return (beyond * (beyond > self.flat[hard, None])).sum(axis=0)

    def penalty(self, values: Array) -> Array:
        """Soft rows' penalties, base currency. values: of the soft rows x M."""
        p, soft = self.program, self._soft
        beyond = np.maximum(p.row_lower[soft, None] - values, values - p.row_upper[soft, None])
        return p.row_penalty[soft] @ np.maximum(beyond, 0.0)

    def excess_at(self, h: Array, room: Array) -> float:
        """Excess of quantities h (n), the volatility limit's included."""
        excess = float(self.excess(row_values(self.program, h)[:, None], room)[0])
        if self.volatility is None:
            return excess
        return excess + float(self.volatility.excess(self.volatility.after(h, [])))

    def excess_of(self, lists: Array) -> Array:
        """Excess of M lists (M x n) beyond half a lot."""
        return np.round(self.points(lists, self.allowance(np.round(self.grid.lots(lists))))[0], 9)

    def rank(self, h: Array) -> tuple[float, float]:
        """Order of lists: excess beyond half a lot, then the objective."""
        excess = self.excess_at(h, self.allowance(np.round(self.grid.lots(h))))
        return round(excess, 9), objective(self.program, h)

    def value(self, h: Array) -> float:
        """The objective at quantities h, base currency."""
        here, p = self.here(h), self.program
        return p.constant + here.risk + float(here.costs.sum() + p.linear @ h) + self.missed(h)

    def missed(self, h: Array) -> float:
        """What soft rows cost at quantities h, base currency."""
        return float(self.penalty(self.here(h).values[self._soft, None])[0]) if self.has_soft else 0.0

    def points(self, h: Array, room: Array) -> tuple[Array, Array]:
        """Excess and objective of M points (M x n contracts)."""
        p = self.program
        moved = (self.root @ h.T) + self.offset[:, None]
        values = self.rows @ h.T + self.on_holdings @ np.abs(h.T) + self.on_trades @ np.abs(h - p.start).T
        cost = self.leg_cost(np.broadcast_to(np.arange(h.shape[1]), h.shape), h - p.start).sum(axis=1)
        risk = 0.5 * (moved**2).sum(axis=0) + 0.5 * (h**2) @ p.diagonal
        excess = self.excess(values, room)
        if self.volatility is not None:
            excess = excess + self.volatility.excess(self.volatility.at(h))
        return excess, p.constant + risk + h @ p.linear + cost + self.penalty(values[self._soft])

    def change(self, h: Array, moves: Moves) -> Array:
        """Change of the objective by each of M moves from quantities h, base currency."""
        here, steps = self.here(h), self._steps(h, moves)
        change = np.zeros(len(moves.i))
        # each leg of a move alone: to first and second order in its own step
        for column, x, step in steps:
            change += step * (here.gradient[column] + 0.5 * self.curvature[column] * step)
            change += self.leg_cost(column, x) - here.costs[column]
        # and what two legs do to the variance together
        if len(steps) == 2:
            change += steps[0][2] * steps[1][2] * self._joint(steps[0][0], steps[1][0])
        return change + self.missed_more(h, moves)

    def missed_more(self, h: Array, moves: Moves) -> Array | float:
        """What soft rows cost more after each of M moves from quantities h, base currency."""
        if not self.has_soft:
            return 0.0
        after = self.penalty(self._values(h, self._steps(h, moves), self._soft))
        return after - self.penalty(self.here(h).values[self._soft, None])

    def excess_after(self, h: Array, moves: Moves, room: Array) -> Array:
        """Excess after each of M moves from quantities h, with room m (desk unit) around the bands."""
        steps = self._steps(h, moves)
        excess = self._excess(self._values(h, steps, self._hard), room[self._hard])
        if self.volatility is None:
            return excess
        after = self.volatility.after(h, [(column, step) for column, _, step in steps])
        return excess + self.volatility.excess(after)

    def added(self, h: Array, moves: Moves) -> Array:
        """What each of M moves from quantities h adds to the rows (m x M)."""
        return self._values(h, self._steps(h, moves), slice(None)) - self.here(h).values[:, None]

    def _steps(self, h: Array, moves: Moves) -> Steps:
        p, found = self.program, []
        for column, to in moves.legs:
            x = self.grid.lot[column] * to
            found.append((column, x, x - (h[column] - p.start[column])))
        return found

    def _values(self, h: Array, steps: Steps, which: Array | slice) -> Array:
        """Values of those rows after each of M moves."""
        p, sized = self.program, np.flatnonzero(self.sized[which])
        on_holdings, on_trades = self.on_holdings[which][sized], self.on_trades[which][sized]
        values: Array = self.here(h).values[which, None]
        for column, x, step in steps:
            values = values + self.rows[which][:, column] * step
            if len(sized):
                now, after = h[column], p.start[column] + x
                more = on_holdings[:, column] * (np.abs(after) - np.abs(now))
                values[sized] += more + on_trades[:, column] * (np.abs(x) - np.abs(now - p.start[column]))
        return values

    def _joint(self, i: Array, j: Array) -> Array:
        """What one contract of each of two columns do to risk together, M pairs."""
        if len(i) > len(self.grid.lot):  # more pairs than columns: of few second legs
            legs, at = np.unique(j, return_inverse=True)
            if len(legs) * len(self.grid.lot) <= len(i):
                return (self.root[:, legs].T @ self.root)[at, i]
        return np.einsum("km,km->m", self.root[:, i], self.root[:, j])


def _dense(matrix: sp.csr_array) -> Array:
    return matrix.toarray() if matrix.nnz else np.zeros(matrix.shape)


def _medians(weights: Array) -> Array:
    """The median of what is above zero in each row; 1 where nothing is."""
    ordered, count = np.sort(np.where(weights > 0, weights, np.inf), axis=1), (weights > 0).sum(axis=1)
    at = np.maximum(np.stack([(count - 1) // 2, count // 2]), 0)
    if not ordered.shape[1]:
        return np.ones(len(weights))
    return np.where(count > 0, np.take_along_axis(ordered, at.T, axis=1).mean(axis=1), 1.0)
