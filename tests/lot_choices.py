"""Whole lots by trying every list: the rule of the integer search, without its code."""

from itertools import product

import numpy as np

from optihedge.program.program import Program, objective


def every_list(p: Program, smallest: np.ndarray | float) -> np.ndarray:
    """All permitted quantities: whole lots in the box, none or at least the smallest trade."""
    smallest = np.broadcast_to(smallest, p.lot.shape)
    options = []
    for i in range(len(p.columns)):
        most = int(np.floor((p.upper[i] - p.start[i]) / p.lot[i] + 1e-7))
        least = int(np.ceil((p.lower[i] - p.start[i]) / p.lot[i] - 1e-7))
        lots = np.arange(least, most + 1)
        options.append(p.start[i] + p.lot[i] * lots[(lots == 0) | (abs(lots) * p.lot[i] >= smallest[i] - 1e-9)])
    return np.array(list(product(*options)))


def by_enumeration(p: Program, smallest: np.ndarray | float = 0.0) -> tuple[float, np.ndarray]:
    """The objective and quantities that the rule asks for, by trying every list.

    Bands are met at the least objective; unless no list does, or the best list within half the finest traded lot of
    every band saves more than it costs to trade: then that one. Where there is none either, bands are missed by the
    least sum, in lots of each row's median leg.
    """
    points = every_list(p, smallest)
    trades = points - p.start
    values = p.rows @ points.T + p.rows_on_trades @ np.abs(trades).T
    beyond = np.maximum(np.maximum(p.row_lower[:, None] - values, values - p.row_upper[:, None]), 0)
    weight = np.abs(p.rows.toarray()) * np.where(np.ptp(points, axis=0) > 0, p.lot, 0.0)  # of legs with a choice
    usual = np.array([
        np.median(row[row > 0]) if (row > 0).any() else np.median(sizes[sizes > 0]) if (sizes > 0).any() else 1.0
        for row, sizes in zip(weight, p.rows_on_trades.toarray() * p.lot, strict=True)
    ])  # fmt: skip
    excess = np.round((np.where(beyond > 1e-9 * usual[:, None], beyond, 0) / usual[:, None]).sum(axis=0), 9)
    touched = (np.abs(trades)[None] > 1e-9) & (weight[:, None] > 0)
    finest = np.where(touched, weight[:, None], np.inf).min(axis=2)
    width = (p.row_upper - p.row_lower)[:, None]
    finest = np.where(np.isfinite(finest) & np.isfinite(width), finest, 0.0)
    half = np.where(finest > 0, np.maximum(finest - np.minimum(width, 1e300), 0) / 2, 0)
    within = (beyond <= half + 1e-9 * usual[:, None]).all(axis=0)
    met = excess == 0
    among = np.flatnonzero(met | within if (met | within).any() else excess == excess.min())
    money = dict(zip(among.tolist(), (objective(p, points[i]) for i in among), strict=True))
    exact, near = (min(np.flatnonzero(mask).tolist(), key=money.get, default=None) for mask in (met, within))
    best = min(money, key=money.get)
    if exact is not None:
        best = exact
        if near is not None and money[exact] - money[near] > p.trading(trades[near]).sum() + 1e-9 * abs(money[near]):
            best = near
    return money[best], points[best]
