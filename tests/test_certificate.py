"""A certificate says optimal only of an optimum, whoever found it, and proves infeasibility before it says so."""

from dataclasses import replace

import numpy as np
import pytest
from programs import random_program
from scipy.optimize import minimize_scalar

from optihedge.program.candidate import Candidate
from optihedge.program.certificate import certify, snap
from optihedge.program.costs import Depth
from optihedge.program.program import Program, objective

EXACT = 1e-12


def one_contract(**fields) -> Program:
    """Variance h^2 / 2 around a fixed position of 10, box +-100."""
    base = {"columns": ("a",), "start": [0.0], "lower": [-100.0], "upper": [100.0], "lot": [1.0], "factors": [[1.0]],
            "factor_offset": [10.0], "buy": [2.0], "sell": [2.0]}  # fmt: skip
    return Program(**(base | fields))


def test_the_closed_form_optimum_is_certified_and_a_feasible_wrong_point_is_not():
    p = one_contract()  # least of (h + 10)^2 / 2 + 2 |h| is at h = -8
    assert certify(p, Candidate(np.array([-8.0]), np.zeros(0), "optimal")).status == "optimal"
    wrong = certify(p, Candidate(np.array([-8.1]), np.zeros(0), "optimal"))
    assert wrong.status == "failed"
    assert wrong.gap == pytest.approx(0.81)  # slope 1.9 - 2 there, linear bound at t = 0: 8.1 x 0.1
    assert wrong.dual <= objective(p, np.array([-8.0])) <= wrong.primal


def test_a_row_multiplier_of_the_right_sign_proves_a_binding_limit():
    p = one_contract(row_names=("floor",), rows=[[1.0]], row_lower=[-5.0], row_upper=[5.0])
    h = np.array([-5.0])  # slope there: (h + 10) - 2 = 3, pushed up by the lower limit
    good = certify(p, Candidate(h, np.array([-3.0]), "optimal"))
    assert good.status == "optimal"
    assert abs(good.gap) < EXACT
    assert certify(p, Candidate(h, np.array([3.0]), "optimal")).status == "failed"
    assert certify(p, Candidate(h, np.array([0.0]), "optimal")).status == "failed"


def test_a_broken_hard_row_fails_and_is_named_but_a_soft_one_is_reported():
    rows = {"row_names": ("floor",), "rows": [[1.0]], "row_lower": [-5.0]}
    hard = certify(one_contract(**rows), Candidate(np.array([-8.0]), np.zeros(1), "optimal"))
    assert hard.status == "failed"
    assert hard.worst_row == "floor"
    assert hard.residuals["floor"] == pytest.approx(3.0)
    soft = certify(one_contract(**rows, row_penalty=[1.0]), Candidate(np.array([-7.0]), np.array([-1.0]), "optimal"))
    assert soft.status == "optimal"
    assert soft.violations["floor"] == pytest.approx(2.0)
    assert "soft limit floor missed by 2" in str(soft)


def test_a_contract_of_a_huge_lot_does_not_excuse_a_miss_by_the_others():
    """A fixed exposure of 71 000 against a band of 1 000; one lot of `c` is 7e13."""
    p = Program(
        columns=("a", "b", "c"), start=np.zeros(3), lower=-1e3 * np.ones(3), upper=1e3 * np.ones(3), lot=np.ones(3),
        buy=np.ones(3), sell=np.ones(3), row_names=("delta",), rows=[[100.0, 1e-10, 7e13]], row_lower=[-72_000.0],
        row_upper=[-70_000.0], row_fixed=[71_000.0],
    )  # fmt: skip
    idle = certify(p, Candidate(np.zeros(3), np.zeros(1), "optimal"))
    assert (idle.status, idle.worst_row) == ("failed", "delta")
    dust = certify(p, Candidate(np.array([0.0, 0.0, 1e-14]), np.zeros(1), "optimal"))
    assert dust.status == "failed"


def test_an_empty_book_and_a_perfect_hedge_are_certified():
    rows = {"row_names": ("delta",), "rows": [[1.0, 1e-3]], "row_lower": [0.0], "row_upper": [0.0]}
    two = {"columns": ("a", "b"), "start": [0.0, 0.0], "lower": [-1e6, -1e6], "upper": [1e6, 1e6], "lot": [1.0, 1.0]}
    assert certify(Program(**two, **rows), Candidate(np.zeros(2), np.zeros(1), "optimal")).status == "optimal"
    perfect = Candidate(np.array([0.1 + 0.2, -300.0]), np.zeros(1), "optimal")  # 0.30000000000000004 against 0.3
    assert certify(Program(**two, **rows), perfect).status == "optimal"
    empty = one_contract(factor_offset=[0.0])
    assert certify(empty, Candidate(np.zeros(1), np.zeros(0), "optimal")).status == "optimal"
    free = one_contract(buy=[0.0], sell=[0.0])
    assert certify(free, Candidate(np.array([-10.0 + 1e-10]), np.zeros(0), "optimal")).status == "optimal"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_or_of_another_shape_is_never_certified(bad):
    p = one_contract(row_names=("r",), rows=[[1.0]])
    assert certify(p, Candidate(np.array([bad]), np.zeros(1), "optimal")).status == "failed"
    assert certify(p, Candidate(np.array([-8.0]), np.array([bad]), "optimal")).status == "failed"
    assert certify(p, Candidate(np.zeros(2), np.zeros(1), "optimal")).status == "failed"


def test_infeasible_is_said_only_with_a_proof():
    p = one_contract(row_names=("low", "high"), rows=[[1.0], [1.0]], row_upper=[1.0, np.inf], row_lower=[-np.inf, 2.0])
    assert certify(p, Candidate(np.zeros(1), np.array([1.0, -1.0]), "infeasible")).status == "infeasible"
    assert certify(p, Candidate(np.zeros(1), np.array([1.0, 0.0]), "infeasible")).status == "failed"
    feasible = replace(p, row_lower=[-np.inf, 1.0])
    assert certify(feasible, Candidate(np.zeros(1), np.array([1.0, -1.0]), "infeasible")).status == "failed"


def test_a_solvers_word_is_not_read():
    p = one_contract()
    for word in ("optimal", "solved", "failed", "almost"):
        assert certify(p, Candidate(np.array([-8.0]), np.zeros(0), word)).status == "optimal"


@pytest.mark.parametrize("seed", range(30))
def test_the_closed_form_minimum_of_a_column_is_the_minimum(seed):
    rng = np.random.default_rng(seed)
    p = random_program(rng, 6)
    if seed % 3 == 0:
        d = p.depth
        more = {"column": [2] * 4, "side": [1, 1, -1, -1], "beyond": [0, 1, 0, 1], "slope": [1, 2, 3, 0.5]}
        p = replace(p, depth=Depth(**{name: np.append(getattr(d, name), values) for name, values in more.items()}))
    slope, curvature = rng.normal(size=6) * (p.buy + 1e-3), p.diagonal * rng.random(6)
    sizes, trades = rng.random(6) * p.buy, rng.random(6) * p.buy
    best = p.with_sizes(trades, sizes).minimiser(p.start, slope, curvature, p.lower, p.upper)

    def value(t: np.ndarray) -> np.ndarray:
        return (slope * t + curvature / 2 * t**2 + sizes * np.abs(t) + trades * np.abs(t - p.start)
                + p.trading(t - p.start) + p.holding(t))  # fmt: skip

    assert ((p.lower <= best) & (best <= p.upper)).all()
    for i in np.flatnonzero(p.lower < p.upper):
        span = p.upper[i] - p.lower[i]
        found = minimize_scalar(
            lambda t, i=i: value(np.where(np.arange(6) == i, t, best))[i],
            bounds=(p.lower[i], p.upper[i]), method="bounded", options={"xatol": 1e-9 * span},
        )  # fmt: skip
        assert value(best)[i] <= found.fun + 1e-9 * abs(found.fun)


@pytest.mark.parametrize("seed", range(20))
def test_any_multipliers_bound_any_feasible_point_from_below(seed):
    rng = np.random.default_rng(seed)
    p = random_program(rng, 10)
    h, other = (p.lower + (p.upper - p.lower) * rng.random(10) for _ in range(2))
    m = rng.normal(size=len(p.row_names)) * 1e-3
    free = replace(p, row_penalty=np.minimum(p.row_penalty, 1.0))
    certificate = certify(free, Candidate(other, m, "optimal"))
    assert certificate.dual <= objective(free, h) + 1e-9 * (abs(objective(free, h)) + certificate.scale)


def test_dust_is_snapped_to_the_start_only_where_trading_either_way_costs():
    p = one_contract(start=[-9.0])
    dusty = Candidate(np.array([-9.0 + 1e-9]), np.zeros(0), "optimal")
    assert snap(p, dusty).h[0] == -9.0
    wanted = one_contract()
    assert snap(wanted, Candidate(np.array([-8.0]), np.zeros(0), "optimal")).h[0] == -8.0
    flat = one_contract(start=[-10.0], buy=[0.0], sell=[0.0])
    assert snap(flat, Candidate(np.array([-10.1]), np.zeros(0), "optimal")).h[0] == -10.1
