"""The Program in CVXPY: the same optimum by another road, and the only road for a user's own cones."""

from dataclasses import replace
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from programs import FEATURES, random_program, with_rows, with_volatility_limit

import optihedge as oh
from optihedge.errors import SpecError
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import certify
from optihedge.program.chain import solve
from optihedge.program.general.cvxpy_ import ConeCandidate, Modelled, render
from optihedge.program.program import Program, objective

OBJECTIVE = 1e-6  # of the certificate's scale
QUANTITY = 1e-4  # flat at the optimum: a gap of 1e-9 leaves 1e-5


@pytest.mark.parametrize("seed", range(15))
def test_cvxpy_renders_the_objective_and_the_rows_that_the_program_states(seed):
    rng = np.random.default_rng(seed)
    p = with_rows(rng, random_program(rng, 8), np.ones(8))
    h = p.lower + (p.upper - p.lower) * rng.random(8)
    hard = replace(p, row_penalty=np.full(len(p.row_names), np.inf))
    value, _, _ = render(hard, cp.Constant(h))
    assert float(value.value) == pytest.approx(objective(hard, h), rel=1e-9)


def agrees(seed: int) -> bool:
    """Whether CVXPY certified a random Program; if it did, its objective is the chain's, as both proofs allow."""
    rng = np.random.default_rng(seed)
    p = random_program(rng, int(rng.choice([3, 12, 40])))
    oracle, chain = certify(p, Modelled().solve(p)), solve(p).certificate
    assert chain.status == "optimal"
    if oracle.status == "optimal":
        room = abs(oracle.gap) + abs(chain.gap) + OBJECTIVE * chain.scale
        assert abs(oracle.primal - chain.primal) <= room
    return oracle.status == "optimal"


def test_cvxpy_and_the_chain_agree_on_every_feature():
    assert np.mean([agrees(seed) for seed in range(15)]) >= 0.6


@pytest.mark.slow
def test_cvxpy_and_the_chain_agree_on_three_hundred_programs():
    assert np.mean([agrees(2000 + seed) for seed in range(300)]) >= 0.6


def test_a_volatility_limit_by_a_cone_agrees_with_its_price():
    rng = np.random.default_rng(4)
    p = with_volatility_limit(rng, random_program(rng, 10, ("costs",)), 0.6)
    cone = Modelled().solve(p)
    priced = solve(p, solver="clarabel")
    assert priced.certificate.status == "optimal"
    assert objective(p, cone.h) == pytest.approx(objective(p, priced.h), rel=1e-6)
    assert certify(p, cone).status == "optimal"
    assert cone.limit_multiplier == pytest.approx(priced.limit_multiplier, rel=1e-3)


def simple(**fields) -> Program:
    """Two contracts wanted at 3 and 4: least of |h - (3, 4)|^2 / 2."""
    return Program(columns=("a", "b"), start=[0.0, 0.0], lower=[-10, -10], upper=[10, 10], lot=[1, 1],
                   factors=np.eye(2), factor_offset=[-3.0, -4.0], **fields)  # fmt: skip


@pytest.mark.parametrize("solver", ["auto", "cvxpy:SCS"])
def test_a_users_own_cone_is_solved_and_certified(solver):
    solution = solve(simple(cvxpy_terms=(lambda h: cp.norm(h, 2) <= 2.5,)), solver=solver)
    assert solution.certificate.status == "optimal"
    np.testing.assert_allclose(solution.h, [1.5, 2.0], atol=QUANTITY)
    assert solution.certificate.primal == pytest.approx(2.5**2 / 2, rel=1e-6)


def test_a_users_own_objective_counts_and_lists_are_taken():
    terms = (lambda h: [2.0 * cp.norm(h, 2), h[0] >= 0],)
    solution = solve(simple(cvxpy_terms=terms))  # shrinks (3, 4) by 2 of its length 5
    assert solution.certificate.status == "optimal"
    np.testing.assert_allclose(solution.h, [1.8, 2.4], atol=QUANTITY)
    assert solution.certificate.primal == pytest.approx(0.5 * 4 + 2 * 3, rel=1e-6)


@pytest.mark.parametrize(
    ("function", "answer"),
    [(lambda h: cp.exp(h[0]) <= 2.0, [np.log(2.0), 4.0]), (lambda h: cp.lambda_max(cp.diag(h)) <= 2.0, [2.0, 2.0])],
)
def test_exponential_and_semidefinite_cones_are_certified(function, answer):
    solution = solve(simple(cvxpy_terms=(function,)))
    assert solution.certificate.status == "optimal"
    np.testing.assert_allclose(solution.h, answer, atol=QUANTITY)


def test_an_impossible_term_is_proved_impossible_and_a_wrong_one_is_refused():
    impossible = solve(simple(cvxpy_terms=(lambda h: cp.norm(h - 100, 2) <= 1,)))
    assert impossible.certificate.status == "infeasible"
    with pytest.raises(SpecError, match="not convex"):
        Modelled().solve(simple(cvxpy_terms=(lambda h: cp.norm(h, 2) >= 1,)))
    with pytest.raises(SpecError, match="gave float"):
        Modelled().solve(simple(cvxpy_terms=(lambda h: 1.0,)))


def test_a_point_that_ignores_the_cone_is_not_certified_and_neither_is_one_without_its_proof():
    p = simple(cvxpy_terms=(lambda h: cp.norm(h, 2) <= 2.5,))
    right = Modelled().solve(p)
    assert certify(p, right).status == "optimal"
    assert certify(p, Candidate(right.h, right.multipliers, "optimal")).status == "failed"
    for x in (right.proof.x + 1e-3, right.proof.x * np.nan, np.zeros_like(right.proof.x)):
        wrong = ConeCandidate(right.h, right.multipliers, "optimal", proof=replace(right.proof, x=x))
        assert certify(p, wrong).status == "failed"


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_a_proof_is_of_the_quantities_in_its_own_answer_and_of_no_others(solver):
    """Whatever CVXPY hands back as the variable's value: what is judged is what the cones hold."""
    p = simple(cvxpy_terms=(lambda h: cp.norm(h, 2) <= 2.5,))
    right = Modelled(solver).solve(p)
    np.testing.assert_array_equal(right.proof.h, right.h)
    assert certify(p, right, tolerance=1e-5).status == "optimal"
    for h in ([1.5, 1.9], [0.0, 0.0], right.h * (1 + 1e-9)):  # feasible, worse; or next to it
        other = ConeCandidate(np.array(h), right.multipliers, "optimal", proof=right.proof)
        assert certify(p, other, tolerance=1e-5).status == "failed"


@pytest.mark.parametrize("status", ["user_limit", "infeasible_inaccurate", "solver_error"])
def test_a_variable_filled_by_anything_but_success_is_not_read(status, monkeypatch):
    unpack = cp.Problem.unpack_results

    def filled(self, *arguments):
        unpack(self, *arguments)
        self._status = status

    monkeypatch.setattr(cp.Problem, "unpack_results", filled)
    p = simple()
    candidate = Modelled().solve(p)
    assert (candidate.status, candidate.why) == ("failed", status)
    assert np.isnan(candidate.h).all()


@pytest.mark.parametrize(("off", "became"), [(0.0, "optimal"), (0.1, "failed")])
def test_an_inaccurate_answer_claims_nothing_and_is_judged_by_what_it_is(off, became, monkeypatch):
    unpack = cp.Problem.unpack_results

    def inaccurate(self, *arguments):
        unpack(self, *arguments)
        self._status = cp.OPTIMAL_INACCURATE
        for variable in self.variables():
            variable.save_value(variable.value + off)

    monkeypatch.setattr(cp.Problem, "unpack_results", inaccurate)
    p = simple()
    candidate = Modelled().solve(p)
    assert (candidate.status, candidate.why) == ("failed", "optimal_inaccurate")
    assert certify(p, candidate).status == became


def test_an_error_of_cvxpy_is_a_failure_in_the_chain(monkeypatch):
    def broken(self, *arguments):
        raise cp.SolverError("Solver failed")

    monkeypatch.setattr(cp.Problem, "unpack_results", broken)
    p = simple(cvxpy_terms=(lambda h: cp.norm(h, 2) <= 2.5,))
    certificate = solve(p, solver="cvxpy").certificate
    assert certificate.status == "failed"
    assert "SolverError" in certificate.chain[0]
    assert solve(p).certificate.status == "optimal"  # by tangents, which need no cone solver


def test_every_feature_is_among_those_generated():
    assert set(FEATURES) >= {"power", "depth", "sizes", "soft"}


@pytest.mark.parametrize("name", ["optimal_hedge", "market_neutral", "beta_hedge", "delta_neutral", "quantitative"])
def test_a_users_limit_that_the_optimum_meets_anyway_is_proved_and_moves_nothing(
    name: str, example_folder: Path
) -> None:
    market = oh.read_market(example_folder)
    book = oh.read_book(example_folder / "book.csv")
    model = oh.load_model(name)
    plain = model.hedge(market, book)

    def turnover(h: cp.Expression, p: object) -> cp.Constraint:
        return cp.norm1(cp.multiply(p.measure("notional"), h - p.start)) <= 2e9  # type: ignore[attr-defined]

    mine = oh.CvxpyTerm(turnover, name="mine")
    hedge = replace(model, constraints=(*model.constraints, mine)).hedge(market, book)
    assert hedge.certificate.status == "optimal"
    np.testing.assert_allclose(hedge.h, plain.h, rtol=1e-9, atol=1e-6)
    assert any("met by the optimum without them" in step for step in hedge.certificate.chain)
