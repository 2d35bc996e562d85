"""What of a user's cost the Program's own costs say exactly: |u|, u^2 and |u|^(3/2) of single quantities.

Such a cost needs no tangents, of however many quantities it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array
from optihedge.program.costs import Depth
from optihedge.program.own.apart import affine, peeled
from optihedge.program.program import Program

_SAME = 1e-12  # of what is compared: a kink so near the start is at it


def told(program: Program, variable: Any, cost: Any) -> tuple[Program, Any]:
    """The Program with what it can charge itself of a convex cost over its columns, and what is left of the cost."""
    import cvxpy as cp

    found, rest, left = program, cp.Constant(0.0), [(cost, np.ones(1))]
    while left:
        one, weight = left.pop()
        if one.is_affine():
            constant, slope = affine(one, variable)
            found = replace(
                found, constant=found.constant + float(weight @ constant), linear=found.linear + slope.T @ weight
            )
        elif (parts := peeled(one, np.inf)) is not None:
            found = replace(found, constant=found.constant + float(weight @ parts[0]))
            left += [(argument, slope.T @ weight) for argument, slope in parts[1]]
        elif (more := _charged(found, variable, one, weight)) is not None:
            found = more
        else:
            rest = rest + cp.sum(cp.multiply(weight.reshape(one.shape, order="F"), one))
    return found, rest


def _charged(p: Program, variable: Any, one: Any, weight: Array) -> Program | None:
    """The Program that charges weight @ one too; None where its costs cannot say that."""
    said = _power_of(one, variable)
    if said is None or (weight < 0).any():
        return None
    power, slope, constant = said
    slope.eliminate_zeros()
    count = np.diff(slope.indptr)
    if count.max(initial=0) > 1:
        return None
    fixed, moving = float(weight[count == 0] @ np.abs(constant[count == 0]) ** power), count == 1
    p = replace(p, constant=p.constant + fixed)
    column, a, b, w = slope.indices, slope.data, constant[moving], weight[moving]
    at_start = np.abs(a * p.start[column] + b) <= _SAME * np.maximum(np.abs(a * p.start[column]), np.abs(b))
    size, n = w * np.abs(a) ** power, len(p.columns)
    total = lambda values: np.bincount(column, np.where(at_start, values, 0.0), n)  # noqa: E731
    if power == 2:
        off = ~at_start
        curve, pull = (np.bincount(column[off], values[off], n) for values in (2 * size, 2 * w * a * b))
        return replace(p, quadratic=p.quadratic + total(size), diagonal=p.diagonal + curve, linear=p.linear + pull,
                       constant=p.constant + float(w[off] @ b[off] ** 2))  # fmt: skip
    if power == 1.5:
        return replace(p, power=p.power + total(size)) if at_start.all() else None
    kinked = _kinked(p, column[~at_start], (-b / a)[~at_start], size[~at_start])
    return replace(kinked, buy=p.buy + total(size), sell=p.sell + total(size))


def _kinked(p: Program, column: Array, kink: Array, size: Array) -> Program:
    """The Program that charges size x |quantity - kink| too: a slope from the start's side, a hinge at the kink."""
    side = np.where(kink > p.start[column], 1.0, -1.0)
    hinges = Depth(column=column, side=side, beyond=side * (kink - p.start[column]), slope=2 * size)
    pull = np.bincount(column, -side * size, len(p.columns))
    return replace(p, depth=p.depth.plus(hinges), linear=p.linear + pull,
                   constant=p.constant + float((side * size) @ kink))  # fmt: skip


def _power_of(one: Any, variable: Any) -> tuple[float, sp.csr_array, Array] | None:
    """The exponent, slope and constant of |slope h + constant|^exponent; None for another function."""
    import cvxpy as cp
    from cvxpy.atoms.elementwise.power import Power

    power, scale = 1.0, np.ones(one.size)
    if isinstance(one, Power):
        power, one = float(one.p.value), one.args[0]
        if power not in (1.5, 2.0):
            return None
    while not (isinstance(one, cp.abs) or (power == 2 and one.is_affine())):
        parts = peeled(one, np.inf)
        if power == 1 or parts is None or parts[0].any() or len(parts[1]) != 1:
            return None
        ((one, slope),) = parts[1]
        diagonal = slope.diagonal()
        if slope.shape[0] != slope.shape[1] or abs(slope - sp.diags_array(diagonal)).sum() > 0:
            return None
        scale = scale * diagonal
    inner = one.args[0] if isinstance(one, cp.abs) else one
    if not inner.is_affine():
        return None
    constant, slope = affine(inner, variable)
    return power, sp.csr_array(sp.diags_array(scale) @ slope), scale * constant
