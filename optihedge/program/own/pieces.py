"""Convex CVXPY expressions as sums of scalar pieces: affine parts apart, the rest valued with their gradients.

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

_MOST = 2000  # pieces of one expression; beyond that it stays whole
_WIDEST = 300  # arguments of one leaf up to which curvature is taken: two gradients each
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Root:
    """An affine argument of a leaf: a CVXPY variable that stands for slope h + constant, its entries in order."""

    variable: Any
    slope: sp.csr_array
    constant: Array

    def set(self, u: Array) -> None:
        """Give the variable these entries."""
        self.variable.value = u.reshape(self.variable.shape, order="F")


@dataclass(frozen=True, eq=False)
class Leaf:
    """A function that is not affine, of affine arguments; its entries are pieces."""

    expression: Any
    roots: tuple[Root, ...]
    elementwise: bool  # every entry depends on one entry of one root alone, the same in order

    @property
    def size(self) -> int:
        """How many entries it has."""
        return int(self.expression.size)

    @property
    def curved(self) -> bool:
        """Whether a few tangents do not know it, and its curvature can be had."""
        return not self.elementwise and sum(len(root.constant) for root in self.roots) <= _WIDEST

    def at(self, h: Array) -> list[Array]:
        """The roots' entries at quantities h."""
        return [root.slope @ h + root.constant for root in self.roots]

    def tangents(self, u: list[Array]) -> tuple[Array, list[sp.csr_array]]:
        """Value of every entry, and its gradient by the entries of each root; NaN where it has none."""
        for root, entries in zip(self.roots, u, strict=True):
            root.set(entries)
        with np.errstate(all="ignore"):  # outside a function's domain
            value = self.expression.value
            slopes = self.expression.grad if value is not None else {}
        gradients = [slopes.get(root.variable) for root in self.roots]
        if value is None or any(one is None for one in gradients):
            return np.full(self.size, np.nan), [sp.csr_array((self.size, len(one))) for one in u]
        return flat(value), [_matrix(one, len(v), self.size) for one, v in zip(gradients, u, strict=True)]

    def curvature(self, h: Array, weights: Array, share: float) -> Array:
        """Second derivative (n x n) of the weighted sum of entries at h, by differences of `share` of their size."""
        u = self.at(h)
        slope = sp.csr_array(sp.vstack([root.slope for root in self.roots]))
        joined, ends = np.concatenate(u), np.cumsum([len(one) for one in u])[:-1]
        size = share * max(np.abs(joined).max(initial=0.0), _TINY)
        bends = np.zeros((len(joined), len(joined)))
        for i in np.flatnonzero(np.diff(slope.indptr)):
            step = size * (np.arange(len(joined)) == i)
            up, down = (self._pull(np.split(joined + way * step, ends), weights) for way in (1.0, -1.0))
            bends[i] = (up - down) / (2 * size)
        return np.asarray(slope.T @ (0.5 * (bends + bends.T)) @ slope)

    def _pull(self, u: list[Array], weights: Array) -> Array:
        _, slopes = self.tangents(u)
        return np.concatenate([weights @ one for one in slopes])


@dataclass(frozen=True, eq=False)
class Rows:
    """constant + slope h + weights f, R rows, f the pieces; as a limit: <= 0, or == 0 where `equal`."""

    constant: Array  # R
    slope: sp.csr_array  # R x n
    weights: sp.csr_array  # R x pieces, >= 0
    equal: bool = False


@dataclass(frozen=True, eq=False)
class Pieces:
    """The cost (one row), the limits, and the convex functions f that both weigh.

    leaves  each with the entries that are pieces and their sign: concave ones are turned over
    """

    cost: Rows
    limits: tuple[Rows, ...]
    leaves: tuple[tuple[Leaf, Array, Array], ...]

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return sum(len(entries) for _, entries, _ in self.leaves)

    @property
    def curved(self) -> Array:
        """Which pieces have many arguments, and few enough to take their curvature."""
        masks = [np.full(len(entries), leaf.curved) for leaf, entries, _ in self.leaves]
        return np.concatenate([np.zeros(0, bool), *masks])

    def tangents(self, h: Array, beside: Array) -> tuple[Array, sp.csr_array]:
        """Height at h and gradient (pieces x n) of a tangent of every piece: at h, or at `beside` where there is none.

        NaN where there is none at either.
        """
        heights, slopes = [np.zeros(0)], [sp.csr_array((0, len(h)))]
        for leaf, entries, sign in self.leaves:
            for point in (h, beside):
                value, gradients = leaf.tangents(leaf.at(point))
                slope = sp.csr_array((leaf.size, len(h)))
                for gradient, root in zip(gradients, leaf.roots, strict=True):
                    slope = sp.csr_array(slope + gradient @ root.slope)
                if np.isfinite(value).all():
                    break
            heights.append(sign * (value + slope @ (h - point))[entries])
            slopes.append(sp.csr_array(sp.diags_array(sign) @ slope[entries]))
        return np.concatenate(heights), sp.csr_array(sp.vstack(slopes))

    def curvature(self, h: Array, weights: Array, share: float) -> Array:
        """Second derivative (n x n) of the weighted sum of the curved pieces at h: the others a few tangents know."""
        out, first = np.zeros((len(h), len(h))), 0
        for leaf, entries, sign in self.leaves:
            if leaf.curved:
                every = np.zeros(leaf.size)
                every[entries] = sign * weights[first : first + len(entries)]
                out += leaf.curvature(h, every, share)
            first += len(entries)
        return out


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
                at_zero, linear = _affine(one, self.variable)
                constant, slope = constant + weight @ at_zero, sp.csr_array(slope + weight @ linear)
            elif (parts := _peeled(one)) is not None:
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
        full = [self._over_all(one, firsts) for one in taken]
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

    def _over_all(self, taken: _Taken, firsts: Array) -> sp.csr_array:
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
            constant, slope = _affine(expression, self.variable)
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


def _peeled(expression: Any) -> tuple[Array, list[tuple[Any, sp.csr_array]]] | None:
    """An expression as constant + sum of linear maps of arguments; None where it is none."""
    import cvxpy as cp

    if isinstance(expression, cp.norm1) and expression.axis is None:
        expression = cp.sum(cp.abs(expression.args[0]))
    elif isinstance(expression, cp.quad_over_lin) and expression.axis is None and expression.args[1].is_constant():
        expression = cp.sum(cp.square(expression.args[0])) / expression.args[1]
    if not (expression.is_atom_affine() and expression.args):
        return None
    moving = [i for i, argument in enumerate(expression.args) if not argument.is_constant()]
    if sum(expression.args[i].size for i in moving) > _MOST:
        return None
    stand_in = {i: cp.Variable(expression.args[i].shape) for i in moving}
    copied = expression.copy([stand_in.get(i, argument) for i, argument in enumerate(expression.args)])
    for variable in stand_in.values():
        variable.value = np.zeros(variable.shape)
    slopes = copied.grad
    maps = [(expression.args[i], _matrix(slopes[v], v.size, copied.size)) for i, v in stand_in.items()]
    return flat(copied.value), maps


def _affine(expression: Any, variable: Any) -> tuple[Array, sp.csr_array]:
    """Value at zero and slope (entries x n) of an affine expression."""
    variable.value = np.zeros(variable.shape)
    return flat(expression.value), _matrix(expression.grad.get(variable, 0.0), variable.size, expression.size)


def flat(value: Any) -> Array:
    """Entries in CVXPY's order, column by column."""
    dense = np.asarray(value.toarray() if hasattr(value, "toarray") else value)
    return dense.astype(complex if np.iscomplexobj(dense) else float).ravel(order="F")


def _matrix(gradient: Any, n: int, size: int) -> sp.csr_array:
    """CVXPY's gradient (n x size, or a number) as entries x n."""
    if np.isscalar(gradient):
        return sp.csr_array(np.full((size, n), gradient, dtype=float))
    return sp.csr_array(sp.csr_array(gradient).reshape((n, size)).T)
