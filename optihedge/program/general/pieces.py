"""A small Program in units of order one, and its exact answer where it is known which bounds, kinks and rows hold.

With columns h, hinges v, factors y, and how far soft rows are exceeded and missed s, r:

    minimise    1/2 h'curvature h + slope'h + price'v + 1/2 y'y + penalty'(s + r)
    subject to  factors h - y = -offset,  low <= rows h + weights v - s + r <= high
                v >= sign (h - at),  v, s, r >= 0,  lower <= h <= upper

On given pieces everything is linear: one solve of the optimality conditions over the columns that are free gives the
answer to the last digit, with kinks met exactly. Where it is on other pieces, these are read from it and solved in
turn, which is Newton's method on the optimality conditions (Hintermueller, Ito and Kunisch 2003).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dgetrf, dgetrs

from optihedge.program.arrays import Array, fewest_rows
from optihedge.program.program import Program

_LEAST = 1e-4  # of a column's box: the smallest quantity that counts as one
_ROOM = 2.0  # times the start, or what brings as much risk as the book has: with more room PIQP takes fewer steps
_DAMPING, _REFINEMENTS = 1e-11, 2  # of the rows' multipliers where rows depend on each other
_TINY = 1e-300


class Form(NamedTuple):
    """The module's problem: n columns, k factors, m rows, H hinges; and its units."""

    lower: Array
    upper: Array
    curvature: Array
    slope: Array
    factors: Array
    offset: Array
    rows: Array
    low: Array
    high: Array
    penalty: Array
    reached: Array  # m booleans: rows of which some column moves the value
    column: Array  # of each hinge
    sign: Array
    at: Array
    price: Array
    kink: Array  # where it turns, in contracts
    sized: Array  # rows that count hinges
    weights: Array  # len(sized) x H
    unit: Array  # contracts, n
    row_unit: Array
    money: float
    program: Program

    def multipliers(self, V: Array) -> Array:
        """In the Program's units."""
        return V * (self.money / self.row_unit)


class Pieces(NamedTuple):
    """Which pieces an answer lies on, and rows' multipliers near its own."""

    V: Array  # m
    at_lower: Array  # n booleans
    at_upper: Array
    opened: Array  # H booleans
    turning: Array  # at its kink
    side: Array  # m: +1 where a row is held at its upper limit, -1 at its lower, 0 at none
    missed: Array  # m: +1 where a soft row is above its limits, -1 below


def form_of(p: Program) -> Form:
    """Of a Program without cones and powers, whose columns can all move."""
    factors, offset = p.factors, p.factor_offset
    if len(p.specific_offset):
        factors, offset = np.vstack([factors, p.specifics.toarray()]), np.concatenate([offset, p.specific_offset])
    factors, offset = fewest_rows(factors, offset)
    twice = 2.0 * p.quadratic
    kinks, curvature = np.array([p.buy + p.sell, p.long + p.short]), p.diagonal + twice
    unit, money = _units(p, factors, offset, curvature, np.abs(kinks))
    sized, held, traded = p.row_table.counted
    rows, high = np.asarray(p.row_table.plain) * unit, p.row_upper
    if len(sized):
        rows[sized] += (held + traded) * unit
        high = high.copy()  # what counts sizes has no lower limit
        high[sized] += traded @ p.start
    row_unit = np.abs(rows).max(axis=1, initial=0.0)
    reached = row_unit > 0.0
    row_unit[~reached] = 1.0
    rows /= row_unit[:, None]

    column, sign, kink, price, weights = _hinges(p, kinks, np.array([traded, held]))
    of_hinge, to_money, root = unit[column], unit / money, math.sqrt(money)
    return Form(
        lower=p.lower / unit, upper=p.upper / unit, curvature=curvature * (unit * to_money),
        slope=(p.linear + p.buy + p.long - twice * p.start) * to_money, factors=factors * (unit / root),
        offset=offset / root, rows=rows, low=p.row_lower / row_unit, high=high / row_unit,
        penalty=p.row_penalty * (row_unit / money), reached=reached, column=column, sign=sign, at=kink / of_hinge,
        price=price * of_hinge / money, kink=kink, sized=sized, weights=weights * of_hinge / row_unit[sized, None],
        unit=unit, row_unit=row_unit, money=money, program=p,
    )  # fmt: skip


def _hinges(p: Program, prices: Array, counts: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Of amounts sold and short, one where these turn at the same place, and of depth: column, sign, kink, price, and
    what rows count of each (len(sized) x H). prices and counts: of selling and of going short.
    """
    bent = prices > 0.0
    if counts.size:
        bent |= counts.any(axis=1)
    bent[0] &= p.lower < p.start
    bent[1] &= p.lower < 0.0
    if not p.start.all():
        same = bent[0] & bent[1] & (p.start == 0.0)
        bent[1] &= ~same
        prices[0] += same * prices[1]
        counts[0] += same * counts[1]
    kind, column = bent.nonzero()
    kink, price, weights = (kind == 0) * p.start[column], prices[kind, column], 2.0 * counts[kind, :, column].T
    d, sign = p.depth, np.full(len(column), -1.0)
    if len(d.column):
        column, sign = np.concatenate([column, d.column]), np.concatenate([sign, d.side])
        kink = np.concatenate([kink, p.start[d.column] + d.side * d.beyond])
        price = np.concatenate([price, d.slope])
        weights = np.concatenate([weights, np.zeros((len(weights), len(d.column)))], axis=1)
    return column, sign, kink, price, weights


def _units(p: Program, factors: Array, offset: Array, curvature: Array, kinks: Array) -> tuple[Array, float]:
    """What counts as one: of each column, what brings as much risk as the book has, at most the box; and in money."""
    start, width = np.minimum(np.maximum(p.start, p.lower), p.upper), p.upper - p.lower
    dense = factors @ start + offset
    norms = np.einsum("ij,ij->j", factors, factors) + curvature
    risk = np.sqrt(float(dense @ dense) / len(start) / np.maximum(norms, _TINY))
    unit = np.minimum(np.maximum(_ROOM * np.maximum(np.abs(start), risk), _LEAST * width), width)
    pull = np.abs(dense @ factors + p.diagonal * start + p.linear)
    pull += kinks[0]
    pull += kinks[1]
    money = max(float(pull @ unit), float(norms @ (unit * unit))) / len(start)
    return unit, money if 0.0 < money < np.inf else 1.0


def exact(f: Form, on: Pieces) -> tuple[Array, Array]:
    """Quantities (n, contracts) and rows' multipliers (m) where these pieces hold; not finite where there are none."""
    p, n = f.program, len(f.lower)
    turning, kept = on.turning.nonzero()[0], np.zeros(n, dtype=bool)
    h = np.zeros(n)
    h[f.column[turning]], kept[f.column[turning]] = f.kink[turning], True
    h = np.where(on.at_lower, p.lower, np.where(on.at_upper, p.upper, h))
    some = (~(kept | on.at_lower | on.at_upper)).nonzero()[0]
    still = h / f.unit  # 0 where it is free

    # with each hinge open or shut, costs and rows are linear
    opened = on.opened.nonzero()[0]
    column, signed = f.column[opened], f.sign[opened]
    slope = f.slope + np.bincount(column, signed * f.price[opened], n)
    active = ((on.side != 0.0) | (on.missed != 0.0)).nonzero()[0]
    rows, limit = f.rows[active], np.where(on.side > 0.0, f.high, f.low)[active]
    if len(f.sized):
        counted = f.weights[:, opened] * signed
        shift = counted @ f.at[opened]
        for place, at in zip(*(f.sized[:, None] == active).nonzero(), strict=True):
            rows[at] += np.bincount(column, counted[place], n)
            limit[at] += shift[place]
    V, held = np.zeros(len(f.low)), on.missed[active] == 0.0
    V[active] = np.where(held, on.V[active], on.missed[active] * f.penalty[active])

    count, between = len(some), rows[held][:, some]
    size, factors = count + len(between), f.factors[:, some]
    kkt = np.zeros((size, size), order="F")
    kkt[:count, :count] = factors.T @ factors
    kkt.reshape(-1, order="F")[: count * (size + 1) : size + 1] += f.curvature[some]
    kkt[count:, :count], kkt[:count, count:] = between, between.T
    right = np.empty(size)
    right[:count] = -(slope[some] + (f.factors @ still + f.offset) @ factors + V[active] @ rows[:, some])
    right[count:] = limit[held] - rows[held] @ still
    solution = _solved(kkt, right, count)
    h[some] = solution[:count] * f.unit[some]
    V[active[held]] += solution[count:]  # of many that prove the same, those nearest to what was given
    return h, V


def _solved(kkt: Array, right: Array, count: int) -> Array:
    """The solution of the optimality conditions of `count` quantities and the rows' multipliers, where rows may say the
    same twice: multipliers are damped by next to nothing, which refinement takes out again.
    """
    if not len(right):
        return right
    damped = kkt.copy(order="F")
    damped.reshape(-1, order="F")[count * (len(kkt) + 1) :: len(kkt) + 1] = -_DAMPING
    factors, pivots, _ = dgetrf(damped, overwrite_a=1)
    solution: Array = dgetrs(factors, pivots, right)[0]
    for _ in range(_REFINEMENTS):
        solution += dgetrs(factors, pivots, right - kkt @ solution)[0]
    return solution


def next_pieces(f: Form, h: Array, V: Array, on: Pieces) -> Pieces:
    """The pieces that an answer (h in contracts, V) of those points to: what passes a kink, a bound or a limit rests
    there next, and leaves where its multiplier has the wrong sign or is too large.
    """
    x = h / f.unit
    past = f.sign * (x[f.column] - f.at)
    price, values = f.price, f.rows @ x
    if len(f.sized):
        price = price + V[f.sized] @ f.weights
        values[f.sized] += f.weights @ np.where(on.opened, past, 0.0)
    paid = np.where(on.opened, price, 0.0)
    slope = f.curvature * x + f.slope + (f.factors @ x + f.offset) @ f.factors + V @ f.rows
    slope += np.bincount(f.column, f.sign * paid, len(x))
    pushed = -f.sign * slope[f.column]  # towards where its hinge is open, before that costs
    over, under = V + (values - f.high), (f.low - values) - V
    side = np.where(f.reached & (f.low == f.high), 1.0, (f.reached & (over > 0.0)) * 1.0 - (f.reached & (under > 0.0)))
    missed = np.where(f.reached & (over > f.penalty), 1.0, np.where(f.reached & (under > f.penalty), -1.0, 0.0))
    return Pieces(
        V=V, at_lower=slope > x - f.lower, at_upper=-slope > f.upper - x,
        opened=np.where(on.turning, pushed > price, (past > 0.0) & (on.opened | (price <= 0.0))),
        turning=(price > 0.0) & np.where(on.turning, (pushed >= 0.0) & (pushed <= price), (past > 0.0) != on.opened),
        side=side, missed=missed,
    )  # fmt: skip
