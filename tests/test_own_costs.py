"""A user's cost that the Program's own costs say: exactly, without a tangent, of however many quantities."""

from collections.abc import Callable
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from programs import random_program

from optihedge.program.chain import solve
from optihedge.program.own.told import told
from optihedge.program.program import Program, objective

WEIGHTS = np.array([0.0, 1.0, 2.5, 0.3, 7.0, 1.0])

EXACT: dict[str, Callable] = {
    "sizes of trades": lambda h, p: 3.0 * cp.norm1(cp.multiply(WEIGHTS, h - p.start)),
    "sizes of quantities": lambda h, p: cp.sum(cp.multiply(WEIGHTS, cp.abs(h))),
    "distance from another book": lambda h, p: cp.norm1(h - p.start - 1.0) + cp.norm1(2 * h - p.start + 3.0),
    "squares of trades": lambda h, p: cp.sum_squares(cp.multiply(WEIGHTS, h - p.start)) / 3.0,
    "squares of quantities": lambda h, p: WEIGHTS @ cp.square(h + 2.0),
    "squares of sizes": lambda h, p: cp.sum(cp.power(cp.abs(h - p.start) / 5.0, 2)),
    "3/2 powers": lambda h, p: cp.sum(cp.power(cp.abs(h - p.start) / 7.0, 1.5)),
    "3/2 powers, weighted": lambda h, p: WEIGHTS @ cp.power(cp.multiply(WEIGHTS, cp.abs(h - p.start)), 1.5),
    "linear": lambda h, p: WEIGHTS @ (h - p.start) + 5.0,
    "of some": lambda h, p: cp.sum(cp.power(cp.abs((h - p.start)[:3]), 1.5)) + cp.norm1(h[4:]),
    "of nothing that moves": lambda h, p: cp.norm1(cp.multiply(0 * WEIGHTS, h) - 2.0) + cp.norm1(h),
}
PART: dict[str, Callable] = {
    "3/2 powers about another book": lambda h, p: cp.sum(cp.power(cp.abs(h - p.start - 1.0), 1.5)),
    "another power": lambda h, p: cp.sum(cp.power(cp.abs(h), 1.7)) + cp.norm1(h),
    "a norm": lambda h, p: cp.norm2(h - p.start) + cp.sum_squares(h),
    "the size of a sum": lambda h, p: cp.abs(cp.sum(h)) + cp.norm1(h - p.start),
}


def program(seed: int) -> Program:
    return random_program(np.random.default_rng(seed), len(WEIGHTS))


@pytest.mark.parametrize("form", [*EXACT, *PART])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_charged_and_what_is_left_are_the_cost(seed: int, form: str) -> None:
    p, variable, rng = program(seed), cp.Variable(len(WEIGHTS)), np.random.default_rng(seed)
    cost = (EXACT | PART)[form](variable, p)
    charged, rest = told(p, variable, cost)
    assert rest.is_constant() == (form in EXACT)
    for h in (p.start, 0 * p.start, *(p.start + 10 * rng.normal(size=(5, len(WEIGHTS))))):
        variable.value = h
        whole = objective(p, h) + float(cost.value)
        assert objective(charged, h) + float(rest.value) == pytest.approx(whole, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("form", EXACT)
def test_its_optimum_is_certified_for_the_function_itself(form: str) -> None:
    p = program(7)
    asked = replace(p, cvxpy_terms=(lambda h: EXACT[form](h, p),))
    found, cone = solve(asked), solve(asked, solver="cvxpy")
    assert found.certificate.optimal
    if cone.certificate.optimal:
        assert found.certificate.primal == pytest.approx(cone.certificate.primal, abs=2e-6 * cone.certificate.scale)


def test_thousands_of_quantities_need_no_rounds() -> None:
    n, rng = 3000, np.random.default_rng(0)
    p = Program(
        columns=tuple(f"c{i}" for i in range(n)), start=rng.normal(size=n), lower=np.full(n, -50.0),
        upper=np.full(n, 50.0), lot=np.ones(n), factors=rng.normal(size=(5, n)), factor_offset=rng.normal(size=5) * 50,
        cvxpy_terms=(lambda h: 1e-2 * cp.sum(cp.power(cp.abs(h - p.start), 1.5)),),
    )  # fmt: skip
    found = solve(p)
    assert found.certificate.optimal and any("own costs" in step for step in found.certificate.chain)
