"""A few lumpy legs: every lot choice near the optimum, and an integer program for the limits far from it."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from optihedge.hedge.program import Array, row_values
from optihedge.trades.search import Neighbourhood

MOST_LEGS = 8
NEAR, FAR = 4**MOST_LEGS, 8 * 4**MOST_LEGS  # points enumerated: always; where no near one meets the limits
_CHUNK = 4096
_MOST_NODES = 5_000  # of the integer program's tree


def best_nearby(around: Neighbourhood, centre: Array, most: int = NEAR) -> Array | None:
    """The permitted point in a window of lots around `centre` (n contracts) with the least (excess, objective).

    most   points enumerated, at most: the window is as wide as they allow, or the box
    Excess is measured beyond the bands themselves; columns without a choice of lots keep centre's quantities. None
    where there are more than eight lumpy legs.
    """
    grid = around.grid
    legs = np.flatnonzero(grid.lumpy)
    if len(legs) > MOST_LEGS or (grid.lot == 0).any():
        return None
    low, high = _window(np.floor(grid.lots(centre)[legs]), grid.low[legs], grid.high[legs], most)
    choices = []  # quantities of each leg; below the minimum size a trade snaps to none or to the minimum
    for leg, first, last in zip(legs, low, high, strict=True):
        lots = np.unique(grid.nearest(np.arange(first, last + 1), np.full(int(last - first + 1), leg)))
        choices.append(grid.start[leg] + grid.lot[leg] * lots)
    shape = tuple(len(quantities) for quantities in choices)
    count = int(np.prod(shape))
    best, value = None, (np.inf, np.inf)
    for begin in range(0, count, _CHUNK):
        index = np.arange(begin, min(begin + _CHUNK, count))
        points = np.repeat(centre[None], len(index), axis=0)
        for leg, quantities, at in zip(legs, choices, np.unravel_index(index, shape) if shape else (), strict=True):
            points[:, leg] = quantities[at]
        excess, objective = around.points(points, np.zeros(len(around.units)))
        order = np.lexsort((objective, np.round(excess, 9)))[0]
        if (round(excess[order], 9), objective[order]) < value:
            best, value = points[order].copy(), (round(excess[order], 9), objective[order])
    return best


def _window(below: Array, low: Array, high: Array, most: int) -> tuple[Array, Array]:
    """First and last lot of each leg: from those on either side of the centre outwards, in turn, inside the box."""
    first, last = np.clip(below, low, high), np.clip(below + 1, low, high)
    grown = True
    while grown:
        grown = False
        for leg in range(len(below)):
            for edge, step, end in ((first, -1, low), (last, 1, high)):
                edge[leg] += step * (edge[leg] != end[leg])
                if np.prod(last - first + 1) > most:
                    edge[leg] -= step
                else:
                    grown |= edge[leg] != end[leg]
    return first, last


def within_limits(around: Neighbourhood, centre: Array, legs: Array, reach: float, room: Array) -> Array | None:
    """Permitted lots that meet every hard row within `room`, near `centre`; None if there are none.

    legs   columns that may change, by at most `reach` lots; the others keep centre's quantities
    room   m, desk unit: how far beyond its band a row may end

    A mixed-integer linear program (HiGHS): lots traded = up - down, each zero or at least the minimum. It weighs the
    distance from centre by each leg's risk and cost. The caller checks the answer on the original rows.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    p, grid = around.program, around.grid
    n, lot, wanted = len(legs), grid.lot[legs], grid.lots(centre)[legs]
    low = np.maximum(grid.low[legs], np.floor(wanted - reach))
    high = np.minimum(grid.high[legs], np.ceil(wanted + reach))
    most_up, most_down = np.maximum(high, 0), np.maximum(-low, 0)
    hard = np.flatnonzero(around.hard)
    base = centre.copy()
    base[legs] = p.start[legs]
    holdings, trades = around.on_holdings[np.ix_(hard, legs)], around.on_trades[np.ix_(hard, legs)] * lot
    constant = row_values(p, base)[hard] - holdings @ np.abs(p.start[legs])
    a, unit = around.rows[np.ix_(hard, legs)] * lot, around.units[hard]

    # columns: up, down (lots), bought, sold (0 or 1), size (|quantity|), away (|lots traded - wanted|)
    zero, eye, blocks, lower, upper = sp.csr_array((n, n)), sp.eye_array(n, format="csr"), [], [], []

    def add(parts: list, lo: Array | float, hi: Array | float, rows: int = n) -> None:
        blocks.append(sp.hstack([sp.csr_array(part) for part in parts], format="csr"))
        lower.append(np.broadcast_to(np.asarray(lo, dtype=float), (rows,)))
        upper.append(np.broadcast_to(np.asarray(hi, dtype=float), (rows,)))

    none, scale = np.zeros((len(hard), n)), 1 / unit[:, None]
    add([(a + trades) * scale, (trades - a) * scale, none, none, holdings * scale, none],
        (p.row_lower[hard] - room[hard] - constant) / unit, (p.row_upper[hard] + room[hard] - constant) / unit,
        len(hard))  # fmt: skip
    least = sp.diags_array(grid.least[legs])
    add([eye, zero, -sp.diags_array(most_up), zero, zero, zero], -np.inf, 0.0)
    add([zero, eye, zero, -sp.diags_array(most_down), zero, zero], -np.inf, 0.0)
    add([eye, zero, -least, zero, zero, zero], 0.0, np.inf)
    add([zero, eye, zero, -least, zero, zero], 0.0, np.inf)
    add([zero, zero, eye, eye, zero, zero], -np.inf, 1.0)
    add([eye, -eye, zero, zero, zero, zero], low, high)
    traded = sp.diags_array(lot)
    add([traded, -traded, zero, zero, -eye, zero], -np.inf, -p.start[legs])
    add([-traded, traded, zero, zero, -eye, zero], -np.inf, p.start[legs])
    add([eye, -eye, zero, zero, zero, -eye], -np.inf, wanted)
    add([-eye, eye, zero, zero, zero, -eye], -np.inf, -wanted)

    weight = lot * (np.sqrt(around.curvature[legs]) + (p.buy + p.sell)[legs])
    size = np.abs(p.start[legs]) + lot * (most_up + most_down)
    found = milp(
        np.concatenate([np.zeros(5 * n), weight / max(weight.max(), 1e-300) + 1e-6]),
        constraints=LinearConstraint(sp.vstack(blocks), np.concatenate(lower), np.concatenate(upper)),
        bounds=Bounds(np.zeros(6 * n), np.concatenate([most_up, most_down, np.ones(2 * n), size, np.full(n, np.inf)])),
        integrality=np.concatenate([np.ones(4 * n), np.zeros(2 * n)]),
        options={"node_limit": _MOST_NODES},
    )
    if found.x is None:
        return None
    lots = np.round(found.x[:n]) - np.round(found.x[n : 2 * n])
    answer = centre.copy()
    answer[legs] = p.start[legs] + lot * lots
    return answer if bool(grid.permitted(grid.lots(answer))[legs].all()) else None
