"""A user's own CVXPY terms: what they say, and what they are worth at given quantities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from optihedge.errors import SpecError
from optihedge.program.arrays import Array
from optihedge.program.own.apart import pieces_of
from optihedge.program.own.pieces import Pieces, flat
from optihedge.program.own.told import told
from optihedge.program.program import Program

OWN_TOLERANCE = 1e-6  # of a constraint's largest side: how far it may be missed
_TINY = 1e-300


def own_terms(program: Program, h: Any) -> tuple[Any, list[Any]]:
    """The user's own terms over the CVXPY expression h: their objective, base currency, and their constraints.

    Raises SpecError, which names the term, for what is not convex, has no number, or is no term at all.
    """
    import cvxpy as cp

    objective, constraints = cp.Constant(0.0), []
    for name, one in _said(program, h):
        if isinstance(one, cp.Constraint):
            _check(name, one)
            if not one.is_dcp():
                raise SpecError(f"{name}: a constraint is not convex by CVXPY's rules: {one}")
            constraints.append(one)
        elif isinstance(one, cp.Expression):
            _check(name, one)
            if not (one.is_scalar() and one.is_convex()):
                raise SpecError(f"{name}: its objective is not a convex scalar by CVXPY's rules: {one}")
            objective = objective + cp.sum(one)
        else:
            raise SpecError(f"{name} gave {type(one).__name__}; give a constraint or a convex expression")
    return objective, constraints


def _said(program: Program, h: Any) -> Iterator[tuple[str, Any]]:
    for function in program.cvxpy_terms:
        said: Any = function(h)
        for one in said if isinstance(said, list | tuple) else [said]:
            yield _label(function), one


def _label(function: Any) -> str:
    return str(getattr(function, "label", "a CVXPY term"))


def labels(program: Program) -> str:
    """The names of the Program's CVXPY terms, for messages."""
    return ", ".join(map(_label, program.cvxpy_terms))


def without_tangents(program: Program) -> str:
    """Why tangents do not prove the Program's CVXPY terms: which of them, what they have, and the remedy."""
    import cvxpy as cp

    h = cp.Variable(len(program.columns))
    strangers = [(name, v) for name, one in _said(program, h) for v in one.variables() if v is not h]
    if not strangers:
        return f"{labels(program)}: a constraint of a kind without tangents; write it as convex expression <= number"
    name = strangers[0][0]
    own = ", ".join(dict.fromkeys(variable.name() for term, variable in strangers if term == name))
    return (f"{name} has CVXPY variables of its own ({own}); write it of the quantities alone, as norm1(x) in place of "
            "s with norm1(x) <= s")  # fmt: skip


def _check(name: str, said: Any) -> None:
    """Raise SpecError for numbers that are none, and for variables of whole numbers."""
    for number in (*said.constants(), *said.parameters()):
        if number.value is None:
            raise SpecError(f"{name}: {number.name()} is a CVXPY Parameter without a value; give it one")
        if not np.isfinite(flat(number.value)).all():
            raise SpecError(f"{name}: a number in it is NaN or infinite; give finite ones")
    for variable in said.variables():
        if variable.attributes["boolean"] or variable.attributes["integer"]:
            raise SpecError(f"{name}: {variable.name()} takes whole numbers only, which is not convex; relax it")


class OwnTerms:
    """A Program's CVXPY terms at given quantities h (n): what they cost, and how far each constraint is from met."""

    def __init__(self, program: Program) -> None:
        import cvxpy as cp

        self._h = cp.Variable(len(program.columns))
        self._program = program
        self._start = np.clip(program.start, program.lower, program.upper)
        self._cost, self._constraints = own_terms(program, self._h)
        self.names = tuple(f"CVXPY constraint {i + 1}" for i in range(len(self._constraints)))

    @cached_property
    def direct(self) -> bool:
        """Valued by arithmetic alone; otherwise, with variables of the user's own, each `at` solves a small problem."""
        parts = [self._cost, *self._constraints]
        return all(variable is self._h for part in parts for variable in part.variables())

    @cached_property
    def _split(self) -> tuple[Program, Any]:
        plain = replace(self._program, cvxpy_terms=())
        return told(plain, self._h, self._cost) if self.direct else (plain, self._cost)

    @property
    def plain(self) -> Program:
        """The Program without its terms, but for the costs of theirs that it can charge itself."""
        return self._split[0]

    @property
    def costly(self) -> bool:
        """Whether the terms cost anything anywhere."""
        return not self._cost.is_constant() or bool(np.any(self._cost.value))

    @cached_property
    def pieces(self) -> Pieces | None:
        """What is left of the terms as sums of convex pieces, which have tangents; None where some have not."""
        return pieces_of(self._h, self._split[1], self._constraints) if self.direct else None

    def at(self, h: Array) -> tuple[float, Array, Array]:
        """Cost (base currency), and by constraint: violation and tolerance, in its own unit.

        With variables of the user's own a violation is the distance to the nearest quantities, contracts, the h that
        meet all constraints together.
        """
        if not self.direct:
            return self._solved(h)
        self._h.value = h
        with np.errstate(all="ignore"):  # outside a function's domain
            violations = [float(np.max(c.violation(), initial=0.0)) for c in self._constraints]
            return self._worth(), np.array(violations), OWN_TOLERANCE * self._sizes()

    def idle(self, h: Array) -> bool:
        """Whether `plain` charges all of the terms' cost and h meets every constraint: then its optimum is theirs."""
        rest = self._split[1]
        if not self.direct or not rest.is_constant() or rest.value.any():
            return False
        _, violation, _ = self.at(h)
        return bool((violation <= 0).all())

    def excess(self, h: Array) -> float:
        """Sum of violations in tolerances, of constraints beyond their tolerance; a vector's entries all count."""
        _, violation, tolerance = self.at(h)
        whole = np.array([float(np.sum(c.violation())) for c in self._constraints]) if self.direct else violation
        return float((whole / np.maximum(tolerance, _TINY))[violation > tolerance].sum())

    def _sizes(self) -> Array:
        """The size of each limit: its constant side, or else what its sides come to, now or at the start."""
        now, at_start = (self._sides(h) for h in (self._h.value, self._start))
        return np.array(
            [fixed or max(moving, before) for (fixed, moving), (_, before) in zip(now, at_start, strict=True)]
        )

    def _sides(self, h: Any) -> list[tuple[float, float]]:
        """Of each constraint at h, the largest entry of its constant sides and of all of them."""
        kept, self._h.value = self._h.value, h
        sizes = []
        for constraint in self._constraints:
            entries = [(side.is_constant(), _largest(side.value)) for side in constraint.args]
            sizes.append((max((v for fixed, v in entries if fixed), default=0.0), max(v for _, v in entries)))
        self._h.value = kept
        return sizes

    def _worth(self) -> float:
        return 0.0 if self._cost.value is None else float(np.sum(self._cost.value))

    def _solved(self, h: Array) -> tuple[float, Array, Array]:
        import cvxpy as cp

        tolerance = OWN_TOLERANCE * max(float(np.abs(h).max(initial=0.0)), 1.0)
        away = cp.norm(self._h - h, "inf")
        cp.Problem(cp.Minimize(away), self._constraints).solve(solver="CLARABEL")
        distance = float(away.value)
        near = [*self._constraints, away <= distance + tolerance]
        cp.Problem(cp.Minimize(self._cost), near).solve(solver="CLARABEL")
        count = len(self._constraints)
        return self._worth(), np.full(count, distance), np.full(count, 2 * tolerance)


def _largest(value: Any) -> float:
    return 0.0 if value is None else float(np.max(np.abs(flat(value)), initial=0.0))
