"""Convex CVXPY expressions taken apart into pieces.

Affine atoms (sums, products with constants, indices ...) are peeled off from above; so a 1-norm is a sum of absolute
values, each of which is known from two tangents, where the norm of n would need 2^n. Affine arguments are peeled off
from below: a leaf is a function of u = A h + b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array
from optihedge.program.own.pieces import Leaf, Pieces, Root, Rows, flat, matrix

_MOST = 2000  # pieces of one expression; beyond that it stays whole


def pieces_of(variable: Any, cost: Any, constraints: list[Any]) -> Pieces | None:
    """The pieces of a convex cost and of constraints over one variable; None where a constraint is another cone.

    Where a function has no value, as a logarithm below zero, is a limit too.
    """
    parts = (cost, *(side for constraint in constraints for side in constraint.args))
    domain = [one for part in parts for one in part.domain if one.is_dcp()]  # others say that |x| >= 0, and the like
    sides = [_sides(constraint) for constraint in (*constraints, *domain)]
    found = _Found(variable)
    rows = [found.rows(cost, False), *(found.rows(*side) for side in sides if side is not None)]
    return found.pieces(rows) if len(rows) == 1 + len(sides) else None


def _sides(constraint: Any) -> tuple[Any, bool] | None:
    """A constraint as expression <= 0, or == 0 (True)."""
    import cvxpy as cp
    from cvxpy.constraints import PSD, SOC, Equality, Inequality, NonNeg, NonPos, Zero

    if isinstance(constraint, Inequality | Equality):
        return constraint.args[0] - constraint.args[1], isinstance(constraint, Equality)
    if isinstance(constraint, Zero | NonPos):
        return constraint.args[0], isinstance(constraint, Zero)
    if isinstance(constraint, NonNeg):
        return -constraint.args[0], False
    if isinstance(constraint, SOC):
        size, parts = constraint.args
        return cp.norm(parts, 2, axis=constraint.axis if parts.ndim > 1 else None) - size, False
    if isinstance(constraint, PSD):
        return cp.lambda_max(-constraint.args[0]), False
    return None


@dataclass(frozen=True, eq=False)
class _Taken:
    """An expression taken apart: constant, slope, and weights of leaves (by number)."""

    constant: Array
    slope: sp.csr_array
    weights: list[tuple[int, sp.csr_array]]
    equal: bool


class _Found:
    """Collects leaves while expressions are taken apart."""

    def __init__(self, variable: Any) -> None:
        self.variable, self.n = variable, variable.size
        self.leaves: list[Leaf] = []

    def rows(self, expression: Any, equal: bool) -> _Taken:
        """The expression's entries, taken apart."""
        size = expression.size
        constant, slope = np.zeros(size), sp.csr_array((size, self.n))
        weights: list[tuple[int, sp.csr_array]] = []
        left = [(expression, sp.csr_array(sp.eye_array(size)))]
        while left:
            one, weight = left.pop()
            if one.is_affine():
                at_zero, linear = affine(one, self.variable)
                constant, slope = constant + weight @ at_zero, sp.csr_array(slope + weight @ linear)
            elif (parts := peeled(one)) is not None:
                at_zero, maps = parts
                constant = constant + weight @ at_zero
                left += [(argument, sp.csr_array(weight @ linear)) for argument, linear in maps]
            else:
                leaf, still, entries = self._leaf(one)
                constant = constant + weight @ still
                weights.append((len(self.leaves), sp.csr_array(weight[:, entries])))
                self.leaves.append(leaf)
        return _Taken(constant, slope, weights, equal)

    def pieces(self, taken: list[_Taken]) -> Pieces:
        """All rows over the entries that some row weighs; concave ones, whose weights are negative, turned over."""
        firsts = np.cumsum([0, *(leaf.size for leaf in self.leaves)])
        full = [self._over_all(one) for one in taken]
        every = np.vstack([one.toarray() for one in full])
        sign = np.where(every.min(axis=0, initial=0.0) < 0, -1.0, 1.0)
        used = np.abs(every).any(axis=0)
        rows = [Rows(one.constant, one.slope, sp.csr_array((weight * sign)[:, used]), one.equal)
                for one, weight in zip(taken, full, strict=True)]  # fmt: skip
        leaves = []
        for leaf, first in zip(self.leaves, firsts[:-1], strict=True):
            entries = np.flatnonzero(used[first : first + leaf.size])
            leaves.append((leaf, entries, sign[first + entries]))
        return Pieces(rows[0], tuple(rows[1:]), tuple(leaves))

    def _over_all(self, taken: _Taken) -> sp.csr_array:
        blocks = [sp.csr_array((len(taken.constant), leaf.size)) for leaf in self.leaves]
        for number, weight in taken.weights:
            blocks[number] = blocks[number] + weight
        empty = sp.csr_array((len(taken.constant), 0))
        return sp.csr_array(sp.hstack([empty, *blocks]))

    def _leaf(self, expression: Any) -> tuple[Leaf, Array, Array]:
        """A leaf of the entries that move with the variable, the value of the others (size), and which entries move.

        At zero, say, CVXPY knows no gradient of a power: one such entry of a contract that cannot trade would hide all.
        """
        roots: list[Root] = []
        size, rooted = expression.size, self._rooted(expression, roots)
        every = Leaf(rooted, tuple(roots), False), np.zeros(size), np.arange(size)
        if len(roots) != 1 or expression.ndim != 1 or not _elementwise(rooted, roots[0].variable):
            return every
        (root,) = roots
        entries = np.flatnonzero(np.diff(root.slope.indptr))
        root.set(root.constant)
        still = flat(rooted.value) if len(entries) < size else np.zeros(size)
        still[entries] = 0.0
        few: list[Root] = []
        return Leaf(self._rooted(expression, few, entries), tuple(few), True), still, entries

    def _rooted(self, expression: Any, roots: list[Root], entries: Array | None = None) -> Any:
        """The expression over new variables in place of its affine arguments (of these entries alone)."""
        import cvxpy as cp

        if expression.is_constant():
            return expression if entries is None or expression.size == 1 else expression[entries]
        if isinstance(expression, cp.norm_inf) and expression.axis is None:  # its gradient CVXPY does not know
            expression = cp.max(cp.abs(expression.args[0]))
        if expression.is_affine():
            constant, slope = affine(expression, self.variable)
            if entries is None:
                variable = cp.Variable(expression.shape)
            else:
                variable, constant, slope = cp.Variable(len(entries)), constant[entries], slope[entries]
            roots.append(Root(variable, sp.csr_array(slope), constant))
            return variable
        return expression.copy([self._rooted(argument, roots, entries) for argument in expression.args])


def _elementwise(expression: Any, variable: Any) -> bool:
    """Whether each entry of a function of one variable depends on the variable's entry of the same place alone."""
    from cvxpy.atoms.affine.add_expr import AddExpression
    from cvxpy.atoms.affine.binary_operators import DivExpression, multiply
    from cvxpy.atoms.affine.unary_operators import NegExpression
    from cvxpy.atoms.elementwise.elementwise import Elementwise

    while expression is not variable:
        moving = [argument for argument in expression.args if not argument.is_constant()]
        known = isinstance(expression, Elementwise | AddExpression | DivExpression | multiply | NegExpression)
        sizes = {argument.size for argument in expression.args} | {expression.size}
        if not known or len(moving) != 1 or not sizes <= {1, variable.size} or expression.shape != variable.shape:
            return False
        (expression,) = moving
    return True


def peeled(expression: Any, most: float = _MOST) -> tuple[Array, list[tuple[Any, sp.csr_array]]] | None:
    """An expression as constant + sum of linear maps of arguments, of `most` entries; None where it is none."""
    import cvxpy as cp

    if isinstance(expression, cp.norm1) and expression.axis is None:
        expression = cp.sum(cp.abs(expression.args[0]))
    elif isinstance(expression, cp.quad_over_lin) and expression.axis is None and expression.args[1].is_constant():
        expression = cp.sum(cp.square(expression.args[0])) / expression.args[1]
    if not (expression.is_atom_affine() and expression.args):
        return None
    moving = [i for i, argument in enumerate(expression.args) if not argument.is_constant()]
    if sum(expression.args[i].size for i in moving) > most:
        return None
    stand_in = {i: cp.Variable(expression.args[i].shape) for i in moving}
    copied = expression.copy([stand_in.get(i, argument) for i, argument in enumerate(expression.args)])
    for variable in stand_in.values():
        variable.value = np.zeros(variable.shape)
    slopes = copied.grad
    maps = [(expression.args[i], matrix(slopes[v], v.size, copied.size)) for i, v in stand_in.items()]
    return flat(copied.value), maps


def affine(expression: Any, variable: Any) -> tuple[Array, sp.csr_array]:
    """Value at zero and slope (entries x n) of an affine expression."""
    variable.value = np.zeros(variable.shape)
    return flat(expression.value), matrix(expression.grad.get(variable, 0.0), variable.size, expression.size)
