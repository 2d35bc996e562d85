"""Local search over lots: move one leg by a lot, or a leg and a fine leg that takes up its residual."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.lots.grid import Grid
from optihedge.program.program import Program, objective, row_values
from optihedge.program.volatility import VolatilityLimit

_TRIES = 20  # of the best moves: one that trades a finer leg has less room afterwards, and may be none
GAIN = 1e-10  # of the objective's scale: a smaller saving is rounding
_NOISE = 1e-9  # of the largest exposure on a row: a smaller one is rounding
_FLAT = 1e-9  # of a lot's exposure: a smaller excess is rounding
_ROUNDING = 1e-14  # of the largest value a row can reach


@dataclass(frozen=True, eq=False)
class Moves:
    """M candidate moves: trade of column i becomes `to_i` lots and that of column j `to_j` (j = -1: no second leg)."""

    i: Array
    to_i: Array
    j: int
    to_j: Array

    def made(self, grid: Grid, h: Array, which: int) -> Array:
        """Quantities after one of them."""
        h, i = h.copy(), self.i[which]
        h[i] = grid.start[i] + grid.lot[i] * self.to_i[which]
        if self.j >= 0:
            h[self.j] = grid.start[self.j] + grid.lot[self.j] * self.to_j[which]
        return h


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


class Neighbourhood:
    """Values of a Program around whole-lot points: excess over the hard rows, then objective."""

    def __init__(self, program: Program, grid: Grid) -> None:
        self.program, self.grid = program, grid
        self.rows = program.rows.toarray()
        self.on_holdings = program.rows_on_holdings.toarray()
        self.on_trades = program.rows_on_trades.toarray()
        self.hard = ~np.isfinite(program.row_penalty)
        self.exposure = np.abs(self.rows) * grid.lot  # m x n, desk unit per lot
        self.exposure[self.exposure < _NOISE * self.exposure.max(axis=1, initial=0.0, keepdims=True)] = 0.0
        self.sized = (self.on_holdings.any(axis=1)) | (self.on_trades.any(axis=1))
        weights = np.where(self.exposure > 0, self.exposure, (self.on_holdings + self.on_trades) * grid.lot)
        lots = [row[(row > 0) & grid.lumpy] for row in weights]
        self.units = np.array([np.median(row) if len(row) else 1.0 for row in lots])  # a unit of excess: a usual lot
        reach = (np.abs(self.rows) + self.on_holdings + 2 * self.on_trades) @ program.widest + program.row_fixed
        self.flat = _FLAT + _ROUNDING * reach / self.units
        self.offset = np.concatenate([program.factor_offset, program.specific_offset])
        limit = program.volatility_limit
        self.volatility = None if limit is None else Volatility.of(limit)
        self._gradient: tuple[Array, Array] | None = None
        self._joint: dict[int, Array] = {}

    @cached_property
    def root(self) -> Array:
        """Rows of risk, dense."""
        return np.vstack([self.program.factors, self.program.specifics.toarray()])

    @cached_property
    def curvature(self) -> Array:
        """n: the second derivative of each column's risk."""
        p = self.program
        return (p.factors**2).sum(axis=0) + np.asarray(p.specifics.power(2).sum(axis=0)).ravel() + p.diagonal

    def gradient(self, h: Array) -> Array:
        """n: the slope of risk and of what is linear at quantities h; of the last ones that were asked it is kept."""
        known = self._gradient
        if known is None or known[0] is not h:
            p = self.program
            risk = p.factors.T @ (p.factors @ h + p.factor_offset)
            risk += p.specifics.T @ (p.specifics @ h + p.specific_offset)
            self._gradient = known = h, risk + p.diagonal * h + p.linear
        return known[1]

    def joint(self, leg: int) -> Array:
        """n: what one contract of each column and one of `leg` do to risk together, worked out once a leg."""
        if leg not in self._joint:
            p = self.program
            own = p.specifics.T @ p.specifics[:, [leg]].toarray().ravel()
            self._joint[leg] = p.factors[:, leg] @ p.factors + own
        return self._joint[leg]

    def allowance(self, lots: Array) -> Array:
        """How far each hard row may end beyond its band (m, desk unit): half the finest traded leg's lot exposure.

        lots   n; or M x n for M points, which gives m x M

        A band as wide as that lot can be met, so the allowance shrinks with the band: max(0, lot - width) / 2.
        Rows that limit |quantity| or |trade|, and rows without a traded leg, have none.
        """
        points = np.atleast_2d(lots)
        traded = (self.exposure > 0)[:, None] & ((points != 0) & self.grid.lumpy)[None]
        finest = np.where(traded, self.exposure[:, None], np.inf).min(axis=2, initial=np.inf)
        width = (self.program.row_upper - self.program.row_lower)[:, None]
        room = np.where(np.isfinite(finest) & np.isfinite(width), (np.minimum(finest, 1e300) - width) / 2, 0.0)
        room = np.where((self.hard & ~self.sized)[:, None], np.maximum(room, 0.0), 0.0)
        return room[:, 0] if lots.ndim == 1 else room

    def leg_cost(self, i: Array, x: Array) -> Array:
        """Cost of trading x of column i and of holding what results, base currency."""
        p = self.program
        return p.trading(x, i) + p.holding(p.start[i] + x, i)

    def excess(self, values: Array, room: Array) -> Array:
        """Sum over hard rows of the distance beyond band and room, in row units. values m x M, room m or m x M."""
        p = self.program
        beyond = np.maximum(p.row_lower[:, None] - values, values - p.row_upper[:, None])[self.hard]
        room = room[:, None] if room.ndim == 1 else room
        beyond = np.maximum(beyond - room[self.hard], 0.0) / self.units[self.hard, None]
        return np.where(beyond > self.flat[self.hard, None], beyond, 0.0).sum(axis=0)

    def penalty(self, values: Array) -> Array:
        """Soft rows' penalties, base currency. values m x M."""
        p, soft = self.program, ~self.hard
        beyond = np.maximum(p.row_lower[:, None] - values, values - p.row_upper[:, None])[soft]
        return p.row_penalty[soft] @ np.maximum(beyond, 0.0)

    def excess_at(self, h: Array, room: Array) -> float:
        """Excess of quantities h (n), the volatility limit's included."""
        excess = float(self.excess(row_values(self.program, h)[:, None], room)[0])
        if self.volatility is None:
            return excess
        return excess + float(self.volatility.excess(self.volatility.after(h, [])))

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
        return excess, p.constant + risk + h @ p.linear + cost + self.penalty(values)

    def moves(self, h: Array, moves: Moves, room: Array) -> tuple[Array, Array]:
        """Excess after, and change of the objective by, each of M moves from quantities h."""
        p, lot = self.program, self.grid.lot
        base = row_values(p, h)
        values, change = base[:, None], np.zeros(len(moves.i)) - self.penalty(base[:, None])
        # each leg of a move alone: to first and second order in its own step
        gradient, steps = self.gradient(h), []
        for column, to in ((moves.i, moves.to_i), (np.full(len(moves.i), moves.j), moves.to_j)):
            if (column < 0).all():
                continue
            now, x = h[column] - p.start[column], lot[column] * to
            after, step = p.start[column] + x, x - now
            values = values + self.rows[:, column] * step
            values = values + self.on_holdings[:, column] * (np.abs(after) - np.abs(h[column]))
            values = values + self.on_trades[:, column] * (np.abs(x) - np.abs(now))
            change += step * gradient[column] + 0.5 * step**2 * self.curvature[column]
            change += self.leg_cost(column, x) - self.leg_cost(column, now)
            steps.append((column, step))
        # and what two legs do to the variance together
        if len(steps) == 2:
            change += steps[0][1] * steps[1][1] * self.joint(moves.j)[moves.i]
        excess = self.excess(values, room)
        if self.volatility is not None:
            excess = excess + self.volatility.excess(self.volatility.after(h, steps))
        return excess, change + self.penalty(values)


def improve(around: Neighbourhood, h: Array, most: int = 2000) -> tuple[Array, int]:
    """Steepest descent over single and paired moves, excess first, then objective. Returns quantities and moves made.

    Starts from permitted lots (auxiliaries stay). What is gained counts by the room that is left after the move, so
    that no point comes twice. A pair is a lot of any leg with the multiple of a row's finest
    traded leg that brings the row back into its band: it crosses the ridges where a single lot breaks neutrality.
    """
    p, grid = around.program, around.grid
    scale = max(abs(objective(p, h)), 1e-12)
    made = 0
    while made < most:
        lots = np.round(grid.lots(h))
        room = around.allowance(lots)
        now = around.excess_at(h, room)
        best = None
        for candidates in _candidates(around, h, lots):
            excess, change = around.moves(h, candidates, room)
            gain = change < -GAIN * scale
            for first in first_moves(np.round(excess, 9), change, _better(excess, now, gain)):
                rank, gains = (round(excess[first], 9), change[first]), gain[first]
                if best is not None and rank >= best[0]:
                    break
                moved = candidates.made(grid, h, first)
                if _better(around.excess_at(moved, around.allowance(np.round(grid.lots(moved)))), now, gains):
                    best = rank, moved
                    break
            if best is not None and candidates.j < 0:
                break  # a single move helps: pairs wait
        if best is None:
            return h, made
        h, made = best[1], made + 1
    return h, made


def _better(excess: Any, now: float, gains: Any) -> Any:
    """Whether moves bring rows nearer to their bands, or are no further from them and gain."""
    return (excess < now - 1e-8) | ((excess <= now + 1e-9) & gains)


def first_moves(excess: Array, change: Array, better: Array) -> Array:
    """The first of M moves in order of excess, then change, up to one that is not better: _TRIES of them at most."""
    worse = np.flatnonzero(~better)
    if len(worse):
        least = excess[worse].min()
        ends = change[worse][excess[worse] == least].min()
        better = better & ((excess < least) | ((excess == least) & (change < ends)))
    among = np.flatnonzero(better)
    return among[np.lexsort((change[among], excess[among]))][:_TRIES]


def _candidates(around: Neighbourhood, h: Array, lots: Array) -> Iterator[Moves]:
    grid = around.grid
    steps = grid.neighbours(lots)
    columns = np.tile(np.arange(len(lots)), 2)
    to = steps.ravel()
    closing = np.flatnonzero((lots != 0) & grid.lumpy & (grid.low <= 0) & (grid.high >= 0))
    columns, to = np.concatenate([columns, closing]), np.concatenate([to, np.zeros(len(closing))])
    real = to != lots[columns]
    columns, to = columns[real], to[real]
    if not len(columns):
        return
    yield Moves(columns, to, -1, np.zeros(len(columns)))
    base = row_values(around.program, h)
    for row, leg in _ladder(around, lots):
        weight = around.rows[row, leg] * grid.lot[leg]
        moved = base[row] + around.rows[row, columns] * grid.lot[columns] * (to - lots[columns])
        low, high = around.program.row_lower[row], around.program.row_upper[row]
        wanted = np.clip(moved, low, high)
        to_leg = grid.nearest(lots[leg] + (wanted - moved) / weight, np.full(len(columns), leg))
        keep = (columns != leg) & (to_leg != lots[leg])
        if keep.any():
            yield Moves(columns[keep], to[keep], leg, to_leg[keep])


def _ladder(around: Neighbourhood, lots: Array) -> list[tuple[int, int]]:
    """For each hard row, its finest legs: the finest traded one, and the finest of all."""
    grid = around.grid
    pairs = []
    for row in np.flatnonzero(around.hard):
        exposure = np.where(grid.lumpy, np.abs(around.rows[row]) * grid.lot, 0.0)
        for among in (exposure * (lots != 0), exposure):
            legs = np.flatnonzero(among > 1e-6 * exposure.max(initial=0.0))
            if len(legs):
                pairs.append((int(row), int(legs[among[legs].argmin()])))
    return list(dict.fromkeys(pairs))
