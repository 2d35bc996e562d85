"""The box of a loss column from a feasible start: what costs more than doing nothing is no optimum.

Terms bound their auxiliaries by what the whole box of contracts could lose, a thousand times what the book does: a
general solver's scaling is then blind to the contracts, and a multiplier's last digit times such a box is no proof.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array
from optihedge.program.defined import with_defined
from optihedge.program.general.scaling import row_reach
from optihedge.program.program import Program, objective, row_violations
from optihedge.program.tolerances import limit_tolerance, row_tolerances

_ROOM = 2.0  # times as far from the start as is proved: an optimum does not touch the box


def within_the_start(p: Program) -> Program:
    """The Program with its auxiliaries in the box its start proves; p itself where that breaks a hard limit.

    With F the objective at the start and R the least of everything else, a column at a cost w is at most (F - R) / w,
    and a soft row is missed by at most (F - R) / penalty. No optimum is lost, so what is proved holds for p.
    """
    if p.cvxpy_terms or (p.lot > 0).all():
        return p
    auxiliary = measures(p)
    if not auxiliary.any():
        return p
    start = with_defined(p, np.clip(p.start, p.lower, p.upper))
    p = replace(p, start=np.where(auxiliary, start, p.start))
    if not _feasible(p, start):
        return p
    least = p.minimiser(p.start, p.linear, p.diagonal, p.lower, p.upper)
    cheapest = p.by_contract(p.start, least) + 0.5 * p.diagonal * least**2
    slack = max(objective(p, start) - p.constant - float(cheapest.sum()), 0.0)
    lower, upper = _left_by_rows(p, auxiliary, slack)
    with np.errstate(divide="ignore", invalid="ignore"):
        dearest = (cheapest + slack) / p.linear
    upper = np.where(p.linear > 0, np.minimum(upper, dearest), upper)
    lower = np.where(p.linear < 0, np.maximum(lower, dearest), lower)
    lower = np.clip(start + _ROOM * np.minimum(lower - start, 0.0), p.lower, p.upper)
    upper = np.clip(start + _ROOM * np.maximum(upper - start, 0.0), p.lower, p.upper)
    return replace(p, lower=np.where(auxiliary, lower, p.lower), upper=np.where(auxiliary, upper, p.upper))


def measures(p: Program) -> Array:
    """Columns that only measure, n booleans: no lot, no risk, no sizes, a linear cost at most."""
    idle = (p.lot == 0) & ~p.factors.any(axis=0) & (p.diagonal == 0)
    idle &= (p.buy == 0) & (p.sell == 0) & (p.quadratic == 0) & (p.power == 0) & (p.long == 0) & (p.short == 0)
    for used in (p.depth.column, p.specifics.indices, p.rows_on_holdings.indices, p.rows_on_trades.indices):
        idle[used] = False
    for v in (p.volatility_limit, p.volatility_price):
        if v is not None:
            idle[v.specifics.indices] = False
            idle &= ~v.factors.any(axis=0) & (v.diagonal == 0)
    return idle


def _feasible(p: Program, h: Array) -> bool:
    met = (row_violations(p, h) <= row_tolerances(p, h))[np.isinf(p.row_penalty)].all()
    v = p.volatility_limit
    return bool(met and (v is None or v.volatility(h) <= v.limit + limit_tolerance(p, h)))


def _left_by_rows(p: Program, auxiliary: Array, slack: float) -> tuple[Array, Array]:
    """What each row's limit, and how far a soft one may be missed, leaves an auxiliary when all else does its least."""
    low, high = row_reach(p)
    lower, upper = p.lower.copy(), p.upper.copy()
    with np.errstate(divide="ignore"):
        missed = np.where(np.isfinite(p.row_penalty), slack / p.row_penalty, 0.0)
    entries = sp.coo_array(p.rows[:, np.flatnonzero(auxiliary)])
    kept = entries.data != 0
    row, column, weight = entries.row[kept], np.flatnonzero(auxiliary)[entries.col[kept]], entries.data[kept]
    above, below = (p.row_upper + missed - low)[row], (high - p.row_lower + missed)[row]
    rising, size = weight > 0, np.abs(weight)
    np.minimum.at(upper, column, (p.lower[column] + np.where(rising, above, below) / size))
    np.maximum.at(lower, column, (p.upper[column] - np.where(rising, below, above) / size))
    return lower, upper
