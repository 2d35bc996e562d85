"""Proof of a cone problem's answer: minimise 1/2 x'Px + c'x subject to A x + s = b, s in a product of cones K."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from optihedge.errors import SolverError
from optihedge.program.arrays import Array
from optihedge.program.general.scaling import Scaling
from optihedge.program.program import Program

CONE_TOLERANCE = 1e-8  # of the largest entry: how far s and y may be outside their cones
RAY_TOLERANCE = 1e-6  # any answer would be larger than the inverse of this, in units in which the book is of order one


@dataclass(frozen=True, eq=False)
class ConeProof:
    """A primal-dual pair (x, y) of a cone problem in normalised units. K: zero, nonnegative, second-order, PSD, exp.

    money  base currency per unit of its objective
    place  where in x the n normalised quantities begin;  column  contracts per unit of each
    extra  the user's own objective terms at the answer, base currency
    """

    P: sp.csc_array
    c: Array
    A: sp.csc_array
    b: Array
    cones: tuple[tuple[str, int], ...]  # kind and number of rows, in order
    x: Array
    y: Array
    money: float
    place: int
    column: Array
    extra: float = 0.0

    @classmethod
    def read(cls, data: dict[str, Any], raw: Any, solver: str, normal: Any, scaling: Scaling) -> ConeProof:
        """From CVXPY's canonical data and Clarabel's or SCS's raw answer; normal: the variable of the quantities.

        Raises SolverError for other solvers.
        """
        if solver not in ("CLARABEL", "SCS"):
            raise SolverError(f"{solver}'s answer to CVXPY terms cannot be certified; name cvxpy or cvxpy:SCS")
        dims = data["dims"]
        if dims.p3d or dims.pnd:
            raise SolverError("power cones cannot be certified; write the term with second-order or exponential cones")
        triangle = "psd upper" if solver == "CLARABEL" else "psd lower"
        cones = [("zero", dims.zero), ("nonnegative", dims.nonneg), *(("second-order", size) for size in dims.soc)]
        cones += [(triangle, size * (size + 1) // 2) for size in dims.psd] + [("exponential", 3)] * dims.exp
        x, y = (raw["x"], raw["y"]) if isinstance(raw, dict) else (raw.x, raw.z)
        x, y = (np.asarray([] if v is None else v, dtype=float) for v in (x, y))
        n, place = len(data["c"]), int(data["param_prob"].var_id_to_col[normal.id])
        P = sp.csc_array((n, n)) if data.get("P") is None else sp.csc_array(data["P"])
        return cls(
            P, data["c"], sp.csc_array(data["A"]), data["b"], tuple(cones), x, y, scaling.money, place, scaling.column
        )

    @property
    def h(self) -> Array:
        """The quantities of x, contracts."""
        return self.column * self.x[self.place : self.place + len(self.column)]

    def gap(self, p: Program, h: Array) -> tuple[float, float]:
        """How far quantities h of the Program p are from optimal, and what the user's terms cost there.

        Base currency; infinite where h is not what x says.
        """
        own = self.h
        right = np.shape(own) == np.shape(h) and bool((np.clip(own, p.lower, p.upper) == h).all())
        return (self.bound() if right else np.inf), self.extra

    def bound(self) -> float:
        """Bound of how far x is from optimal, base currency; infinite where it is outside the cones."""
        if not (np.isfinite(self.x).all() and np.isfinite(self.y).all()):
            return np.inf
        taken = self.A @ self.x
        size = max(1.0, np.abs(self.b).max(initial=0.0), np.abs(taken).max(initial=0.0))
        outside = max((_outside(kind, s) for kind, s in self._blocks(self.b - taken)), default=0.0)
        wrong = max((_outside_dual(kind, y) for kind, y in self._blocks(self.y)), default=0.0)
        if outside > CONE_TOLERANCE * size or wrong > CONE_TOLERANCE * max(1.0, np.abs(self.y).max(initial=0.0)):
            return np.inf
        curved = self.P @ self.x
        unmet = np.abs(curved + self.c + self.A.T @ self.y) @ np.abs(self.x)
        difference = self.x @ curved + self.c @ self.x + self.b @ self.y
        return float(self.money * (abs(difference) + unmet + outside * np.abs(self.y).sum()))

    def infeasible(self) -> bool:
        """Whether y proves that no x exists: A'y = 0, b'y < 0, y in the dual cones."""
        promise = -float(self.b @ self.y)
        if not np.isfinite(promise) or promise <= 0:
            return False
        y = self.y / promise
        wrong = max((_outside_dual(kind, part) for kind, part in self._blocks(y)), default=0.0)
        return bool(wrong <= CONE_TOLERANCE and np.abs(self.A.T @ y).max(initial=0.0) <= RAY_TOLERANCE)

    def _blocks(self, rows: Array) -> Iterator[tuple[str, Array]]:
        first = 0
        for kind, size in self.cones:
            yield kind, rows[first : first + size]
            first += size


def _outside(kind: str, s: Array) -> float:
    """How far s is outside the cone, zero inside."""
    if kind == "zero":
        return float(np.abs(s).max(initial=0.0))
    if kind == "exponential":  # closure of y exp(x / y) <= z, y > 0
        x, y, z = s
        if y <= 0:
            return float(max(-y, x, -z, 0.0))
        return float(max(x - y * np.log(max(z, 1e-300) / y), -z, 0.0))
    return _outside_self_dual(kind, s)


def _outside_dual(kind: str, y: Array) -> float:
    """How far y is outside the dual cone, zero inside."""
    if kind == "zero":
        return 0.0
    if kind == "exponential":  # closure of -u exp(v / u) <= e w, u < 0
        u, v, w = y
        if u >= 0:
            return float(max(u, -v, -w, 0.0))
        return float(max(-u * np.exp(min(v / u, 700.0)) / np.e - w, -w, 0.0))
    return _outside_self_dual(kind, y)


def _outside_self_dual(kind: str, s: Array) -> float:
    if kind == "nonnegative":
        return float(max(-s.min(initial=0.0), 0.0))
    if kind == "second-order":
        return float(max(np.linalg.norm(s[1:]) - s[0], 0.0)) if len(s) else 0.0
    size = int(np.sqrt(2 * len(s)))
    columns, rows = np.tril_indices(size)  # column by column of the upper triangle
    if kind == "psd lower":
        rows, columns = (index[::-1] for index in (size - 1 - columns, size - 1 - rows))
    matrix = np.zeros((size, size))
    matrix[rows, columns] = np.where(rows == columns, s, s / np.sqrt(2))
    matrix = matrix + matrix.T - np.diag(np.diag(matrix))
    return float(max(-np.linalg.eigvalsh(matrix)[0], 0.0))
