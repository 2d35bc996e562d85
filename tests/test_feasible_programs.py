"""Thousands of feasible Programs, plain and hostile: none ends without an answer, and no other solver finds better.

What is checked here does not rest on the certificate: limits and objective are worked out from the Program's own data.
"""

import numpy as np
import pytest
from random_programs import KINDS, hostile_program, random_program

from optihedge.program.chain import solve
from optihedge.program.duality import scale_of
from optihedge.program.general.clarabel_ import Clarabel
from optihedge.program.program import Program, objective, row_violations
from optihedge.program.tolerances import row_tolerances

FEASIBLE = ("zero row", "repeated rows", "repeated columns", "points", "thin boxes", "wide boxes", "no risk", "no cost",
            "no aversion", "all aversion")  # fmt: skip
GAP = 1e-6  # of the scale


def feasible(seed: int) -> Program:
    """Four of five plain, the fifth of a hostile kind that leaves the Program feasible."""
    if seed % 5:
        return random_program(seed + 200_000)
    kind = FEASIBLE[seed // 5 % len(FEASIBLE)]
    return hostile_program(seed // 5 * len(KINDS) + KINDS.index(kind))


def fault(p: Program) -> str:
    """What is wrong with the answer; "" where nothing is."""
    found = solve(p, deadline=60.0)
    if not found.certificate.optimal:
        held = np.isinf(p.row_penalty)
        start = np.clip(p.start, p.lower, p.upper)
        points = (row_violations(p, start) > row_tolerances(p, start))[held].any()
        fixed = bool((p.lower == p.upper).all() and points)  # nothing can move, and a limit is broken
        return "" if fixed and found.certificate.status == "infeasible" else f"no answer: {found.certificate}"
    h, scale = found.h, scale_of(p, found.h)
    if ((h < p.lower) | (h > p.upper)).any():
        return "outside the box"
    beyond = row_violations(p, h) > row_tolerances(p, h)
    if beyond[np.isinf(p.row_penalty)].any():
        return "beyond a limit"
    other = np.clip(Clarabel().solve(p, deadline=20.0).h, p.lower, p.upper)
    if (
        not np.isfinite(other).all()
        or (row_violations(p, other) > row_tolerances(p, other))[np.isinf(p.row_penalty)].any()
    ):
        return ""
    better = objective(p, h) - objective(p, other)
    return f"another answer is better by {better / scale:.1e} of the scale" if better > GAP * scale else ""


@pytest.mark.parametrize("seed", range(25))
def test_a_feasible_program_has_an_answer_and_none_is_better(seed: int) -> None:
    assert not fault(feasible(seed))


@pytest.mark.slow
def test_five_thousand_feasible_programs_have_an_answer_and_none_is_better() -> None:
    found = {seed: fault(feasible(seed)) for seed in range(5000)}
    assert not {seed: what for seed, what in found.items() if what}
