"""Each general solver, through the one assembly, finds the Program's optimum or says that it did not."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from programs import random_program, with_rows

from optihedge.program.candidate import Candidate
from optihedge.program.certificate import certify
from optihedge.program.general.clarabel_ import Clarabel
from optihedge.program.general.osqp_ import Osqp
from optihedge.program.general.piqp_ import Piqp
from optihedge.program.general.scaling import normalise
from optihedge.program.general.sparse_qp import residuals
from optihedge.program.program import Program, objective
from optihedge.program.structured.solver import polish

ADAPTERS = [Clarabel(), Clarabel(scaling="box"), Piqp(), Osqp()]
UNITS = 1e-9


@pytest.mark.parametrize("by", ["risk", "box"])
@pytest.mark.parametrize("seed", range(12))
def test_normalising_changes_units_only(seed, by):
    rng = np.random.default_rng(seed)
    p = with_rows(rng, random_program(rng, 9), np.ones(9))
    scaled, scaling = normalise(p, by)
    h = p.lower + (p.upper - p.lower) * rng.random(9)
    candidate = Candidate(h, rng.normal(size=len(p.row_names)), "any")
    there = scaling.apply(candidate)
    assert objective(scaled, there.h) * scaling.money == pytest.approx(objective(p, h), rel=UNITS)
    back = scaling.restore(there)
    np.testing.assert_allclose(back.h, h, rtol=UNITS)
    np.testing.assert_allclose(back.multipliers, candidate.multipliers, rtol=UNITS)
    ours, theirs = (certify(q, replace(c, multipliers=0 * c.multipliers)) for q, c in ((p, candidate), (scaled, there)))
    assert theirs.gap * scaling.money == pytest.approx(ours.gap, rel=1e-6)


@pytest.mark.parametrize("solver", [Clarabel(), Piqp()], ids=lambda s: s.name)
@pytest.mark.parametrize("seed", range(20))
def test_interior_points_are_certified_on_every_mix_of_features(seed, solver):
    rng = np.random.default_rng(seed)
    p = replace(random_program(rng, 25), power=None)
    assert certify(p, solver.solve(p)).status == "optimal"


@pytest.mark.parametrize("seed", range(8))
def test_operator_splitting_is_certified_or_says_that_it_failed(seed):
    p = random_program(np.random.default_rng(seed), 15, ("costs", "impact", "rows"))
    certificate = certify(p, Osqp().solve(p))
    assert certificate.status in ("optimal", "failed")
    best = certify(p, Clarabel().solve(p))
    if certificate.status == "optimal":
        assert abs(certificate.primal - best.primal) <= 2e-6 * best.scale


@pytest.mark.parametrize("seed", range(10))
def test_three_halves_powers_are_cones_for_clarabel_and_a_rough_start_of_the_polish_for_piqp(seed):
    rng = np.random.default_rng(seed)
    p = replace(random_program(rng, 12, ("costs", "power", "rows")), power=10 ** rng.uniform(-5, -2, 12))
    assert certify(p, Clarabel().solve(p)).status == "optimal"
    assert certify(p, polish(p, Piqp().solve(p))).status == "optimal"


@pytest.mark.parametrize("solver", ADAPTERS, ids=lambda s: s.name)
def test_multipliers_come_back_in_the_programs_units_and_signs(solver):
    # least of (h + 10)^2 / 2 with 1000 h >= -5000: slope 5 at the limit, so 5 / 1000 per unit of the row
    p = Program(columns=("a",), start=[0.0], lower=[-100.0], upper=[100.0], lot=[1.0], factors=[[1.0]],
                factor_offset=[10.0], row_names=("floor",), rows=[[1000.0]], row_lower=[-5000.0])  # fmt: skip
    candidate = solver.solve(p)
    assert candidate.h[0] == pytest.approx(-5.0, abs=1e-6)
    assert candidate.multipliers[0] == pytest.approx(-5e-3, rel=1e-6)


@pytest.mark.parametrize("solver", [Clarabel(), Piqp()], ids=lambda s: s.name)
def test_more_factors_than_contracts_are_the_same_risk(solver):
    rng = np.random.default_rng(0)
    factors, offset = rng.normal(size=(200, 4)), rng.normal(size=200) * 5
    p = Program(columns=tuple("abcd"), start=np.zeros(4), lower=-np.full(4, 9.0), upper=np.full(4, 9.0), lot=np.ones(4),
                factors=factors, factor_offset=offset)  # fmt: skip
    candidate = solver.solve(p)
    np.testing.assert_allclose(candidate.h, np.linalg.lstsq(factors, -offset, rcond=None)[0], atol=1e-5)
    assert certify(p, candidate).status == "optimal"


def plain(q: list[float], l: list[float], u: list[float], curved: float = 1.0) -> tuple:  # noqa: E741
    """minimise curved |x|^2 / 2 + q'x subject to l <= (x1 + x2, x1) <= u."""
    A = sp.csc_array([[1.0, 1.0], [1.0, 0.0]])
    return sp.csc_array(np.eye(2) * curved), np.array(q), A, np.array(l), np.array(u)


@pytest.mark.parametrize("solver", ADAPTERS, ids=lambda s: s.name)
def test_plain_matrices_are_solved_with_their_multipliers(solver):
    found = solver.solve_qp(*plain([-1.0, -1.0], [-1e20, -np.inf], [1.0, 1e20]))
    assert found.status == "optimal"
    np.testing.assert_allclose(found.x, [0.5, 0.5], atol=1e-5)
    np.testing.assert_allclose(found.y, [0.5, 0.0], atol=1e-5)


@pytest.mark.parametrize("solver", ADAPTERS, ids=lambda s: s.name)
def test_infeasible_and_unbounded_matrices_are_said_to_be_so_or_failed(solver):
    contradictory = sp.csc_array([[1.0, 1.0], [1.0, 1.0]])
    P, q = sp.csc_array(np.eye(2)), np.ones(2)
    said = solver.solve_qp(P, q, contradictory, np.array([2.0, -np.inf]), np.array([np.inf, 1.0])).status
    assert said in ("infeasible", "failed")
    endless = solver.solve_qp(*plain([-1.0, -1.0], [-np.inf, -np.inf], [np.inf, 1.0], curved=0.0)).status
    assert endless in ("unbounded", "failed")


class Boastful(Clarabel):
    """Says optimal of anything."""

    def _run(self, qp, deadline, warm):
        found = super()._run(qp, deadline, warm)
        return replace(found, x=found.x + 1e-3)


def test_a_boastful_solver_of_plain_matrices_is_not_believed():
    said = Boastful().solve_qp(*plain([-1.0, -1.0], [-np.inf, -np.inf], [1.0, np.inf]))
    assert (said.status, said.why[:15]) == ("failed", "claimed optimal")


def test_residuals_see_a_multiplier_of_an_infinite_limit():
    problem = plain([0.0, 0.0], [-np.inf, -np.inf], [1.0, np.inf])
    assert residuals(*problem, np.zeros(2), np.array([0.0, 0.0])).max() == 0
    assert residuals(*problem, np.zeros(2), np.array([-1.0, 0.0])).max() > 0.1


def test_piqp_declines_what_it_could_not_stop_in_time():
    P, A = sp.csc_array((1001, 1001)), sp.csc_array(np.ones((1000, 1001)))
    said = Piqp().solve_qp(P, np.zeros(1001), A, np.zeros(1000), np.ones(1000), deadline=1.0)
    assert (said.status, said.why) == ("declined", "it could not be stopped in time")
