"""What multipliers prove: a lower bound of the optimum, and how far quantities are from it (Lagrangian duality).

The least of the Lagrangian over the box splits into one closed form per column. The gap between a feasible point and
its bound is a sum of parts, none negative, one per column and row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.costs import Costs
from optihedge.program.program import Program, beyond_limits, risk_parts
from optihedge.program.row_table import transposed


@dataclass(frozen=True, eq=False)
class DualGap:
    """Parts of primal - dual: per column, per row, of volatility's limit and price; and each column's slopes."""

    columns: Array
    rows: Array
    limit: float
    price: float
    slope: Array  # n, of the smooth linear part
    curvature: Array  # n
    costs: Costs  # the Program's, with the weights that the rows' multipliers put on |trade| and |quantity|
    best: Array  # n, in the box: where each column's part of the Lagrangian is least

    @property
    def total(self) -> float:
        """primal - dual, base currency."""
        return float(self.columns.sum() + self.rows.sum() + self.limit + self.price)

    def parts(self, start: Array, h: Array) -> Array:
        """What each column's part of the Lagrangian is more at h (n, in the box) than at its best."""
        costs, best = self.costs, self.best
        traded = costs.trading(h - start) - costs.trading(best - start)
        smooth = (self.slope + 0.5 * self.curvature * (h + best)) * (h - best)
        return smooth + traded + (costs.holding(h) - costs.holding(best))


def clip_multipliers(p: Program, multipliers: Array) -> Array:
    """The nearest multipliers that give a finite bound: zero where there is no limit, no larger than the penalty."""
    least, most = p.multiplier_bounds
    return np.minimum(np.maximum(multipliers, least), most)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a Program's pieces come to at quantities h (in the box): worked out once for a verdict."""

    h: Array
    trade: Array  # n
    cost: Array  # n, of that trade and of holding h, the linear part left out
    dense: Array  # F h + f
    sparse: Array  # S h + s
    values: Array  # m
    violations: Array  # m


def measured(p: Program, h: Array) -> Measured:
    """Of quantities h (n)."""
    trade = h - p.start
    values = p.row_table.values(h, trade)
    return Measured(h, trade, p.trading(trade) + p.holding(h), *risk_parts(p, h), values, beyond_limits(p, values))


def dual_gap(
    p: Program, h: Array, m: Array, mu: float = 0.0, at: Measured | None = None, pull: Array | None = None
) -> DualGap:
    """How far h (in the box) is from the bound that multipliers m (clipped), mu >= 0 of the limit and a pull prove.

    at  what is known of the Program at h;  pull  of the price of volatility, see `Candidate`
    """
    at = at or measured(p, h)
    slope = p.linear + at.dense @ p.factors + p.row_table.slopes(m)
    if len(at.sparse):
        slope += transposed(p.specifics, at.sparse)
    curvature, limit, price = p.diagonal, 0.0, 0.0
    if p.volatility_price is not None:  # convex: nowhere below any of its tangents
        priced, pull = p.volatility_price, _within_price(p, pull)
        slope = slope + (priced.gradient(h) if pull is None else priced.slopes(pull))
        price = 0.0 if pull is None else max(priced.price * priced.volatility(h) - float(pull @ priced.parts(h)), 0.0)
    if mu > 0 and p.volatility_limit is not None:
        v = p.volatility_limit
        slope = slope + mu * ((v.factors @ h + v.factor_offset) @ v.factors)
        slope = slope + mu * (v.specifics.T @ (v.specifics @ h + v.specific_offset))
        curvature = curvature + mu * v.diagonal
        limit = 0.5 * mu * (v.limit**2 - v.volatility(h) ** 2)
    on_trades, on_holdings = p.row_table.size_slopes(m)
    costs = p.with_sizes(on_trades, on_holdings)
    best = costs.minimiser(p.start, slope, curvature, p.lower, p.upper)
    other = best - p.start
    columns = (slope + 0.5 * curvature * (h + best)) * (h - best) + (at.cost - (p.trading(other) + p.holding(best)))
    columns += on_trades * (np.abs(at.trade) - np.abs(other)) + on_holdings * (np.abs(h) - np.abs(best))
    rows = m * (np.where(m > 0.0, p.row_upper, np.where(m < 0.0, p.row_lower, at.values)) - at.values)
    if len(p.soft):
        rows[p.soft] += p.row_penalty[p.soft] * at.violations[p.soft]
    return DualGap(np.maximum(columns, 0.0), rows, limit, price, slope, curvature, costs, best)


def _within_price(p: Program, pull: Array | None) -> Array | None:
    """A pull that is no longer than the price of volatility; None for one that is not of its parts."""
    v = p.volatility_price
    right = (
        v is not None and pull is not None and len(pull) == len(v.factor_offset) + len(v.specific_offset) + len(p.start)
    )
    if v is None or pull is None or not right or not np.isfinite(pull).all():
        return None
    length = float(np.linalg.norm(pull))
    return pull if length <= v.price else pull * (v.price / length)


def worth(p: Program, at: Measured) -> tuple[float, float]:
    """The objective at these quantities, and what a gap is measured against, base currency."""
    v, soft = p.volatility_price, p.soft
    penalty = float(p.row_penalty[soft] @ at.violations[soft]) if len(soft) else 0.0
    cost = float(at.cost.sum() + p.linear @ at.h)
    risk = 0.5 * float(at.dense @ at.dense + at.sparse @ at.sparse + p.diagonal @ (at.h * at.h))
    risk += 0.0 if v is None else v.price * v.volatility(at.h)
    return float(p.constant + risk + cost + penalty), p.least_scale + risk + abs(cost) + penalty


def scale_of(p: Program, h: Array) -> float:
    """What a gap is measured against: risk before, risk, cost and penalty at h, the cheapest lot's cost."""
    return worth(p, measured(p, h))[1]


def column_slopes(p: Program, gap: DualGap, at: Array) -> tuple[Array, Array]:
    """Slopes of each column's part of the Lagrangian just below and just above quantities `at`, per contract."""
    smooth = gap.slope + gap.curvature * at
    below, above = gap.costs.slopes(p.start, at)
    return smooth + below, smooth + above


def bound_prices(
    p: Program, h: Array, multipliers: Array, limit_multiplier: float = 0.0, pull: Array | None = None
) -> Array:
    """What one contract more of room changes, by column that rests on a bound; else 0 (n, base currency per contract).

    At an upper bound it is never positive: minus what each contract more saves. At a lower one it is never negative:
    what each contract less saves. So where costs have a kink at the bound, it is the slope beyond the bound.
    """
    gap = dual_gap(p, h, clip_multipliers(p, multipliers), limit_multiplier, pull=pull)
    below, above = column_slopes(p, gap, h)
    top, bottom = (h >= p.upper) & (p.lower < p.upper), (h <= p.lower) & (p.lower < p.upper)
    return np.where(top, np.minimum(above, 0), np.where(bottom, np.maximum(below, 0), 0))
