"""Sums of convex scalar pieces: affine parts apart, the rest valued with their gradients (`apart` finds them).

A leaf is a function of affine arguments u = A h + b; its entries are pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array

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
        return flat(value), [matrix(one, len(v), self.size) for one, v in zip(gradients, u, strict=True)]

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

    @property
    def wide(self) -> bool:
        """Whether a piece has more arguments than its curvature is taken of, and is no sum of small ones."""
        return any(not (leaf.elementwise or leaf.curved) for leaf, _, _ in self.leaves)

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


def flat(value: Any) -> Array:
    """Entries in CVXPY's order, column by column."""
    dense = np.asarray(value.toarray() if hasattr(value, "toarray") else value)
    return dense.astype(complex if np.iscomplexobj(dense) else float).ravel(order="F")


def matrix(gradient: Any, n: int, size: int) -> sp.csr_array:
    """CVXPY's gradient (n x size, or a number) as entries x n."""
    if np.isscalar(gradient):
        return sp.csr_array(np.full((size, n), gradient, dtype=float))
    return sp.csr_array(sp.csr_array(gradient).reshape((n, size)).T)
