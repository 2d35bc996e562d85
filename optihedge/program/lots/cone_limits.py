"""Limits that are not rows of a Program: its volatility limit and the user's own CVXPY constraints, at whole lots."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.program.arrays import Array
from optihedge.program.lots.neighbourhood import Neighbourhood
from optihedge.program.own.terms import OwnTerms
from optihedge.program.program import RESIDUAL_TOLERANCE, Program, objective
from optihedge.program.tolerances import limit_tolerance
from optihedge.program.volatility import VOLATILITY_UNIT

_MOST_MOVES = 50


def other_limits(program: Program, h: Array, own: OwnTerms | None = None) -> pd.DataFrame:
    """By name of limit at h: value, upper, violation, unit and `scale` (1e-9 of it is rounding). May be empty."""
    names: list[str] = []
    entries: list[tuple[float, float, float, str, float]] = []
    limit = program.volatility_limit
    if limit is not None:
        names, value = [limit.name], limit.volatility(h)
        scale = limit_tolerance(program, h) / RESIDUAL_TOLERANCE
        entries = [(value, limit.limit, max(value - limit.limit, 0.0), VOLATILITY_UNIT, scale)]
    if own is not None:
        _, violations, tolerances = own.at(h)
        names += own.names
        unit = "in its own unit" if own.direct else "contracts"
        entries += [(v, 0.0, v, unit, t / RESIDUAL_TOLERANCE) for v, t in zip(violations, tolerances, strict=True)]
    frame = pd.DataFrame(entries, columns=["value", "upper", "violation", "unit", "scale"])
    return frame.set_axis(pd.Index(names, name="row", dtype=object))


def meet_own(around: Neighbourhood, own: OwnTerms, h: Array) -> tuple[Array, int]:
    """Single lots of traded legs moved until the user's constraints hold, no row further outside; and moves made."""
    p, grid = around.program, around.grid
    now = own.excess(h) if own.direct else 0.0
    made = 0
    while now > 0 and made < _MOST_MOVES:
        lots = np.round(grid.lots(h))
        room = around.allowance(lots)
        most = around.excess_at(h, room) + 1e-9
        best = None
        for leg in np.flatnonzero(grid.lumpy & (lots != 0)):
            for to in grid.neighbours(lots)[:, leg]:
                moved = h.copy()
                moved[leg] = grid.start[leg] + grid.lot[leg] * to
                if to != lots[leg] and around.excess_at(moved, room) <= most:
                    rank = (own.excess(moved), objective(p, moved) + own.at(moved)[0])
                    best = (rank, moved) if best is None or rank < best[0] else best
        if best is None or best[0][0] >= now:
            break
        (now, _), h = best
        made += 1
    return h, made
