"""Successive rounding: leg after leg takes its nearest lot, and those to come make up for what that leaves.

Around the continuous optimum the objective of n trades in lots is half of e'(D + U'U)e, e what each is away from it: D
curvature of each leg alone, U rows of risk, and rows that bind as stiff ones. When the coarsest legs have been rounded,
the least over the rest is linear in s, the sum of U_i e_i so far: the next leg belongs at its own optimum minus g_i's.

    g_i = M_i U_i / (D_i + U_i' M_i U_i),   M_i^-1 = 1 + sum over the legs after i of U_j U_j' / D_j

M is built from the last leg to the first, a rank at a time. Known of lattices as Babai's nearest plane (1986). Several
lists at once are had by keeping the best of what both neighbours of each leg's own optimum lead to (a beam).
"""

from __future__ import annotations

import numpy as np

from optihedge.program.arrays import Array, fewest_rows
from optihedge.program.duality import clip_multipliers, column_slopes, dual_gap
from optihedge.program.lots.grid import Grid
from optihedge.program.lots.neighbourhood import Neighbourhood
from optihedge.program.program import Program

_STIFF = 100.0  # of a median leg's curvature: how hard a row that binds is held, for its finest leg's lot
_NEAR = 1e-2  # of a lot: how far from a bound or kink a rough answer may be that rests there
_LEAST = 1e-14  # of the largest curvature: what a leg without any has


def successive(around: Neighbourhood, h: Array, multipliers: Array | None, fixed: Array | None = None) -> Array:
    """Permitted quantities near the continuous optimum h (n), the coarsest legs first.

    multipliers  m, of that optimum: rows where these are not zero are held
    fixed        n booleans: legs that are whole already
    """
    grid = around.grid
    wanted = grid.lots(h)
    legs = np.flatnonzero(grid.lumpy & ~_kinked(around, h) & (True if fixed is None else ~fixed))
    legs = legs[np.argsort(-around.coarseness[legs], kind="stable")]
    lots = np.where(grid.lot > 0, grid.nearest(wanted), wanted)
    lots[legs] = wanted[legs]
    rows, done, own = _stated(around, h, multipliers, legs, legs, lots)
    low, high, least, aim = (part[legs].tolist() for part in (grid.low, grid.high, grid.least, wanted))
    for k, (leg, pull, row) in enumerate(zip(legs.tolist(), _pulls(own, rows), rows.T, strict=True)):
        at = aim[k] - float(pull @ done)
        whole = float(round(at)) if least[k] <= 1 else float(grid.nearest(np.array([at]), np.array([leg]))[0])
        lots[leg] = whole = min(max(whole, low[k]), high[k])
        done += (whole - aim[k]) * row
    return np.where(grid.lot > 0, grid.start + grid.lot * lots, h)


def several(around: Neighbourhood, h: Array, multipliers: Array, most: int) -> Array:
    """At most so many lists (some x n, permitted quantities) near the continuous optimum h (n), the likeliest first.

    Legs that rest at a bound or kink are rounded too, at what their multipliers say a lot costs; the others do not
    count on them.
    """
    p, grid = around.program, around.grid
    wanted, legs = grid.lots(h), np.flatnonzero(grid.lumpy)
    legs = legs[np.argsort(-around.coarseness[legs], kind="stable")]
    rests = _kinked(around, h)[legs]
    below, above = column_slopes(p, dual_gap(p, h, clip_multipliers(p, multipliers)), h)
    more, less = (np.maximum(slope, 0.0) * grid.lot for slope in (above, -below))
    lots = np.where(grid.lot > 0, grid.nearest(wanted), wanted)
    free = legs[~rests] if not rests.all() else legs
    rows, start, own = _stated(around, h, multipliers, legs, free, np.where(grid.lumpy, wanted, lots))
    moved, weight = _completed(own, rows, rests)
    done, cost, table = start[None], np.zeros(1), np.repeat(lots[None], 1, axis=0)
    for k, leg in enumerate(legs.tolist()):
        pull = done @ moved[k]
        choices = _choices(grid, leg, np.full(len(pull), wanted[leg]) if rests[k] else wanted[leg] - pull / weight[k])
        away = choices - wanted[leg]
        after = cost + away * pull + 0.5 * weight[k] * away**2
        if rests[k]:
            after += np.where(away > 0, more[leg], less[leg]) * np.abs(away)
        else:
            after += 0.5 * pull**2 / weight[k]  # the least that the rest could have left
        after[1:][(choices[1:] == choices[0]) | (choices[1:] == choices[:-1])] = np.inf
        kept = np.argsort(after, axis=None, kind="stable")[: min(most, int(np.isfinite(after).sum()))]
        which, parent = np.unravel_index(kept, after.shape)
        done = done[parent] + away[which, parent][:, None] * rows[:, k]
        cost, table = after[which, parent], table[parent]
        table[:, leg] = choices[which, parent]
    return np.where(grid.lot > 0, grid.start + grid.lot * table, h)


def _choices(grid: Grid, leg: int, at: Array) -> Array:
    """Permitted lots of a leg around each of M places, 3 x M: the nearest and those beside it, or it again."""
    one = np.full(len(at), leg)
    near = grid.nearest(at, one)
    return np.stack([near, *grid.neighbours(near, one)])


def _stated(
    around: Neighbourhood, h: Array, multipliers: Array | None, legs: Array, free: Array, lots: Array
) -> tuple[Array, Array, Array]:
    """In units of lots what each leg does to risk and to the rows that bind (some x legs), as stiff as `free` ones say;
    what the others have done already (some); and the curvature of each leg alone."""
    grid = around.grid
    parts, others = (around.root, _held(around, h, multipliers, free)), (lots - grid.lots(h)) * grid.lot
    rows = np.vstack([part[:, legs] for part in parts]) * grid.lot[legs]
    rows, done = fewest_rows(rows, np.concatenate([part @ others for part in parts]))
    own = _curvature(around.program, h)[legs] * grid.lot[legs] ** 2
    largest = max(own.max(initial=0.0), (rows**2).sum(axis=0).max(initial=0.0))
    return rows, done, np.maximum(own, _LEAST * largest if largest > 0 else 1.0)


def _pulls(own: Array, rows: Array) -> Array:
    """g_i of each leg (count x rows)."""
    moved, weight = _completed(own, rows, np.zeros(len(own), bool))
    return moved / weight[:, None]


def _completed(own: Array, rows: Array, rests: Array) -> tuple[Array, Array]:
    """M_i U_i (count x rows) and D_i + U_i' M_i U_i of each leg, where legs that rest make up for nothing."""
    columns, matrix = np.ascontiguousarray(rows.T), np.eye(len(rows))
    moved, weight = np.empty_like(columns), np.empty(len(columns))
    for leg in range(len(own) - 1, -1, -1):
        moved[leg] = matrix @ columns[leg]
        weight[leg] = own[leg] + columns[leg] @ moved[leg]
        if not rests[leg]:
            matrix -= moved[leg][:, None] * (moved[leg] / weight[leg])
    return moved, weight


def _kinked(around: Neighbourhood, h: Array) -> Array:
    """Columns (a mask) that rest at a bound or where their cost's slope jumps: a little more or less does not pay."""
    p, near = around.program, _NEAR * around.grid.lot
    x, d = h - p.start, p.depth
    found = (h <= p.lower + near) | (h >= p.upper - near)
    found |= (np.abs(x) <= near) & (p.buy + p.sell > 0) | (np.abs(h) <= near) & (p.long + p.short > 0)
    at = np.abs(d.side * x[d.column] - d.beyond) <= near[d.column]
    found[d.column[at]] = True
    return found


def _curvature(p: Program, h: Array) -> Array:
    """Second derivative of each column's own costs and risk (n)."""
    x = np.abs(h - p.start)
    powered = np.divide(0.75 * p.power, np.sqrt(x), out=np.zeros_like(x), where=x > 0)
    return p.diagonal + 2 * p.quadratic + powered


def _held(around: Neighbourhood, h: Array, multipliers: Array | None, legs: Array) -> Array:
    """Rows that bind (some x n), so stiff that a lot of its finest leg beyond one costs what many lots of legs do."""
    p, lot = around.program, around.grid.lot
    binding = np.flatnonzero(multipliers) if multipliers is not None else np.zeros(0, dtype=int)
    rows = around.rows[binding] + around.on_holdings[binding] * np.sign(h)
    rows = rows + around.on_trades[binding] * np.sign(h - p.start)
    each = np.abs(rows[:, legs]) * lot[legs]
    finest = np.where(each > 0, each, np.inf).min(axis=1, initial=np.inf)
    usual = np.median(around.curvature[legs] * lot[legs] ** 2) if len(legs) else 0.0
    return rows * (np.sqrt(_STIFF * usual) / finest)[:, None]
