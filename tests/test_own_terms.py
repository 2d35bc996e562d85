"""A user's CVXPY terms taken apart: pieces and tangents state what the terms say, and a wrong term is refused."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest

from optihedge.errors import SpecError
from optihedge.program.certificate import certify
from optihedge.program.chain import solve
from optihedge.program.own.outer import Outer
from optihedge.program.own.search import search
from optihedge.program.own.terms import OwnTerms
from optihedge.program.program import Program
from optihedge.program.solvers import propose

N = 5
A = np.random.default_rng(0).normal(size=(7, N))

COSTS = {
    "1-norm": lambda h: cp.norm1(A @ h - 1),
    "2-norm": lambda h: cp.norm2(A @ h - 1),
    "largest": lambda h: cp.norm_inf(A @ h - 1),
    "3/2 power": lambda h: cp.sum(cp.power(cp.abs(h - 0.5) / 3, 1.5)),
    "weighted absolute values": lambda h: np.arange(N) @ cp.abs(h) + 3,
    "squares": lambda h: 0.1 * cp.sum_squares(A @ h) - 4 * h[1],
    "Huber": lambda h: cp.sum(cp.huber(h, 0.5)),
    "exponentials": lambda h: cp.sum(cp.exp(0.3 * h)) + cp.log_sum_exp(A @ h),
    "two-sided": lambda h: cp.sum(cp.maximum(h, -2 * h, 0.3)),
    "quadratic form": lambda h: cp.quad_form(h, A.T @ A),
    "entropy": lambda h: -cp.sum(cp.entr(h + 20)),
    "few of many": lambda h: cp.sum_largest(cp.abs(h), 2),
    "stacked": lambda h: cp.sum(cp.abs(cp.vstack([h, 2 * h - 1]))),
    "linear": lambda h: 3 * cp.sum(h) - 1,
}


LOOSE = {"tol_gap_abs": 1e-7, "tol_gap_rel": 1e-7, "tol_feas": 1e-7}


def program(*terms, **fields) -> Program:
    """Contracts wanted at 1, 2, ... within 10 either way."""
    return Program(columns=tuple("abcde"), start=np.zeros(N), lower=np.full(N, -10.0), upper=np.full(N, 10.0),
                   lot=np.ones(N), factors=np.eye(N), factor_offset=-1.0 - np.arange(N), cvxpy_terms=terms,
                   **fields)  # fmt: skip


@pytest.mark.parametrize("name", COSTS)
def test_pieces_add_up_to_the_term_and_their_tangents_lie_below_them(name):
    p = program(COSTS[name])
    own = OwnTerms(p)
    pieces = own.pieces
    outer, rng = Outer(p, pieces), np.random.default_rng(1)
    for _ in range(6):
        h = rng.uniform(-9, 9, N)
        values, slopes = pieces.tangents(h, h)
        outer.add(values, slopes, h)
        parts = pieces.cost.constant + pieces.cost.slope @ h + pieces.cost.weights @ values
        assert parts[0] == pytest.approx(own.at(h)[0], rel=1e-12)
    for _ in range(50 if pieces.count else 0):
        h = rng.uniform(-10, 10, N)
        values, _ = pieces.tangents(h, h)
        assert (outer.below(h) <= values + 1e-9 * (1 + np.abs(values))).all()


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("role", ["cost", "limit"])
def test_the_optimum_under_a_term_is_that_of_a_cone_solver(name, role):
    wanted, zero = (float(COSTS[name](cp.Constant(at)).value) for at in (1.0 + np.arange(N), np.zeros(N)))
    term = COSTS[name] if role == "cost" else lambda h: COSTS[name](h) <= 0.7 * wanted + 0.3 * zero
    h = cp.Variable(N)
    said = term(h)
    risk = 0.5 * cp.sum_squares(h - np.arange(1.0, N + 1))
    problem = cp.Problem(cp.Minimize(risk + (said if role == "cost" else 0)), [] if role == "cost" else [said])
    best = cp.Problem(problem.objective, [*problem.constraints, h >= -10, h <= 10]).solve("CLARABEL", **LOOSE)
    solution = solve(program(term), solver=("structured", "clarabel"))
    assert any(step.startswith("tangents: optimal") for step in solution.certificate.chain), solution.certificate.chain
    assert solution.certificate.primal == pytest.approx(best, abs=3e-6 * solution.certificate.scale)
    np.testing.assert_allclose(solution.h, h.value, atol=5e-3)


def test_limits_of_every_kind_are_taken():
    limits = (
        lambda h: [cp.SOC(cp.Constant(3.0), h), h[0] + h[1] == 1, h >= -2],
        lambda h: cp.bmat([[cp.Constant(4.0), h[2]], [h[2], cp.Constant(1.0)]]) >> 0,  # |h2| <= 2
        lambda h: cp.abs(h) <= np.full(N, 2.5),
    )
    solution = solve(program(*limits))
    assert solution.certificate.optimal
    assert np.linalg.norm(solution.h) <= 3 * (1 + 1e-6) and solution.h[:2].sum() == pytest.approx(1, abs=1e-6)
    assert abs(solution.h[2]) <= 2 + 1e-5 and np.abs(solution.h).max() <= 2.5 + 1e-5


def test_a_term_that_leaves_no_quantities_is_proved_to():
    conflict = (lambda h: cp.norm2(h) <= 1, lambda h: cp.sum(h) >= 3)  # at most sqrt(5)
    solution = solve(program(*conflict))
    assert solution.certificate.status == "infeasible" and "prove" in solution.certificate.note
    assert solve(program(conflict[0], lambda h: cp.sum(h) >= 2.2)).certificate.optimal


def test_a_forged_proof_is_no_proof():
    p = program(lambda h: 2 * cp.norm2(h), lambda h: cp.norm1(h) <= 4)
    found = search(p, lambda q, last: solve(q).candidate, lambda q, last: propose(q), lambda: None)
    assert certify(p, found).optimal
    away = np.random.default_rng(0).normal(size=N)
    shifted = [
        replace(found, h=found.h + 0.1 * away),  # other quantities than what was proved
        replace(found, h=found.h * 0.9),
        replace(found, proof=replace(found.proof, multipliers=0 * found.proof.multipliers)),
        replace(found, proof=replace(found.proof, multipliers=-found.proof.multipliers)),
        replace(found, proof=replace(found.proof, multipliers=1.5 * found.proof.multipliers)),
        replace(found, proof=None),
        replace(found, status="infeasible"),
    ]
    for one in shifted:
        assert certify(p, one).status == "failed"


def fails(h):
    raise KeyError("beta")


free, whole, unset = cp.Variable(), cp.Variable(boolean=True), cp.Parameter()
WRONG = {
    "fails": (fails, "its function failed, KeyError: 'beta'"),
    "shape": (lambda h: np.ones(3) @ h <= 1, "its function failed, ValueError"),
    "text": (lambda h: "h <= 1", "gave str"),
    "nothing": (lambda h: None, "gave NoneType"),
    "truth": (lambda h: [True], "gave bool"),
    "number": (lambda h: 1.0, "gave float"),
    "concave": (lambda h: -cp.norm2(h), "not a convex scalar"),
    "vector": (lambda h: cp.abs(h), "not a convex scalar"),
    "outside": (lambda h: cp.norm2(h) >= 1, "not convex"),
    "surface": (lambda h: cp.norm2(h) == 1, "not convex"),
    "NaN": (lambda h: h[0] <= np.nan, "NaN or infinite"),
    "infinite": (lambda h: np.full(N, np.inf) @ h, "NaN or infinite"),
    "unset": (lambda h: unset * h[0], "a CVXPY Parameter without a value"),
    "whole": (lambda h: h[0] <= whole, "whole numbers"),
    "endless": (lambda h: free, "nothing stops the objective in variables of its own"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_term_is_refused_by_its_name(name):
    function, words = WRONG[name]

    class Mine:
        label = "mine"

        def __call__(self, h):
            try:
                return function(h)
            except Exception as error:
                raise SpecError(f"mine: its function failed, {type(error).__name__}: {error}") from error

    with pytest.raises(SpecError, match=rf"^mine.*{words}"):
        solve(program(Mine()))
