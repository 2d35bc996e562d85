"""Limits that are not rows of a Program: its volatility limit and the user's own CVXPY constraints, at whole lots."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from optihedge.program.certificate import limit_tolerance
from optihedge.program.lots.local_search import Neighbourhood
from optihedge.program.program import RESIDUAL_TOLERANCE, VOLATILITY_UNIT, Array, Program, objective

_CONE_TOLERANCE = 1e-6  # of a constraint's largest side: what a cone solver leaves open
_MOST_MOVES = 50


class OwnTerms:
    """A Program's CVXPY terms at given quantities h (n): what they cost, and how far each constraint is from met."""

    def __init__(self, program: Program) -> None:
        import cvxpy as cp

        from optihedge.program.general.cvxpy_ import own_terms

        self._h = cp.Variable(len(program.columns))
        self._cost, self._constraints = own_terms(program, self._h)
        self.names = tuple(f"CVXPY constraint {i + 1}" for i in range(len(self._constraints)))

    @cached_property
    def _variables(self) -> list[Any]:
        """Variables of the user's own, which have no value until they are solved for."""
        parts = [self._cost, *self._constraints]
        return [v for v in dict.fromkeys(v for part in parts for v in part.variables()) if v is not self._h]

    @property
    def direct(self) -> bool:
        """Valued by arithmetic alone; otherwise each `at` solves a small problem."""
        return not self._variables

    def at(self, h: Array) -> tuple[float, Array, Array]:
        """Cost (base currency), and by constraint: violation and tolerance, in its own unit.

        With variables of the user's own a violation is the distance to the nearest quantities, contracts, the h that
        meet all constraints together.
        """
        if not self.direct:
            return self._solved(h)
        self._h.value = h
        violations = [float(np.max(c.violation(), initial=0.0)) for c in self._constraints]
        sizes = [max((float(np.max(np.abs(side.value), initial=0.0)) for side in c.args), default=0.0)
                 for c in self._constraints]  # fmt: skip
        return self._worth(), np.array(violations), _CONE_TOLERANCE * np.array(sizes)

    def idle(self, h: Array) -> bool:
        """Whether the terms cost nothing anywhere and h meets every constraint: then they change no optimum there."""
        if not self.direct or not self._cost.is_constant() or self._worth() != 0:
            return False
        _, violation, _ = self.at(h)
        return bool((violation <= 0).all())

    def excess(self, h: Array) -> float:
        """Sum of violations in tolerances, of constraints beyond their tolerance; a vector's entries all count."""
        _, violation, tolerance = self.at(h)
        whole = np.array([float(np.sum(c.violation())) for c in self._constraints]) if self.direct else violation
        return float((whole / np.maximum(tolerance, 1e-300))[violation > tolerance].sum())

    def _worth(self) -> float:
        return 0.0 if self._cost.value is None else float(np.sum(self._cost.value))

    def _solved(self, h: Array) -> tuple[float, Array, Array]:
        import cvxpy as cp

        tolerance = _CONE_TOLERANCE * max(float(np.abs(h).max(initial=0.0)), 1.0)
        away = cp.norm(self._h - h, "inf")
        cp.Problem(cp.Minimize(away), self._constraints).solve(solver="CLARABEL")
        distance = float(away.value)
        near = [*self._constraints, away <= distance + tolerance]
        cp.Problem(cp.Minimize(self._cost), near).solve(solver="CLARABEL")
        count = len(self._constraints)
        return self._worth(), np.full(count, distance), np.full(count, 2 * tolerance)


def other_limits(program: Program, h: Array, own: OwnTerms | None = None) -> pd.DataFrame:
    """By name of limit at h: value, upper, violation, unit and `scale` (1e-9 of it is rounding). May be empty."""
    names: list[str] = []
    entries: list[tuple[float, float, float, str, float]] = []
    limit = program.volatility_limit
    if limit is not None:
        names, value = [limit.name], limit.volatility(h)
        scale = limit_tolerance(program, h) / RESIDUAL_TOLERANCE
        entries = [(value, limit.limit, max(value - limit.limit, 0.0), VOLATILITY_UNIT, scale)]
    if own is not None:
        _, violations, tolerances = own.at(h)
        names += own.names
        unit = "in its own unit" if own.direct else "contracts"
        entries += [(v, 0.0, v, unit, t / RESIDUAL_TOLERANCE) for v, t in zip(violations, tolerances, strict=True)]
    frame = pd.DataFrame(entries, columns=["value", "upper", "violation", "unit", "scale"])
    return frame.set_axis(pd.Index(names, name="row", dtype=object))


def meet_own(around: Neighbourhood, own: OwnTerms, h: Array) -> tuple[Array, int]:
    """Single lots of traded legs moved until the user's constraints hold, no row further outside; and moves made."""
    p, grid = around.program, around.grid
    now = own.excess(h) if own.direct else 0.0
    made = 0
    while now > 0 and made < _MOST_MOVES:
        lots = np.round(grid.lots(h))
        room = around.allowance(lots)
        most = around.excess_at(h, room) + 1e-9
        best = None
        for leg in np.flatnonzero(grid.lumpy & (lots != 0)):
            for to in grid.neighbours(lots)[:, leg]:
                moved = h.copy()
                moved[leg] = grid.start[leg] + grid.lot[leg] * to
                if to != lots[leg] and around.excess_at(moved, room) <= most:
                    rank = (own.excess(moved), objective(p, moved) + own.at(moved)[0])
                    best = (rank, moved) if best is None or rank < best[0] else best
        if best is None or best[0][0] >= now:
            break
        (now, _), h = best
        made += 1
    return h, made
