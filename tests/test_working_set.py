"""A working set of columns changes how an optimum is found, never what it is."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from optihedge.program.candidate import Candidate
from optihedge.program.certificate import certify
from optihedge.program.chain import solve
from optihedge.program.program import Program, objective
from optihedge.program.structured import solver as structured
from optihedge.program.structured.own_variance import with_own_variance
from optihedge.program.structured.solver import Structured
from optihedge.program.structured.working_set import worth_a_working_set


def many_factors(seed: int, n: int = 200, rows: int = 260, cost: float = 1.0, **changes: object) -> Program:
    """Moves of a few factors and noise as the rows of the risk: as many as columns; neutral, sectors, short costs."""
    rng = np.random.default_rng(seed)
    betas = rng.normal(size=(n, 5)) * np.array([1.0, 0.5, 0.3, 0.2, 0.1])
    moves = rng.normal(size=(rows, 5)) @ betas.T + rng.normal(size=(rows, n)) * rng.uniform(0.3, 1.0, n)
    start = rng.normal(size=n) * rng.uniform(0.5, 2.0, n)
    start[rng.random(n) < 0.1] = 0.0
    table = np.vstack([np.ones(n), *((rng.integers(0, 4, n) == g).astype(float) for g in range(3))])
    band = np.array([0.0, 3.0, 3.0, 3.0])
    lower, upper = start - 5.0, start + 5.0
    upper[:7] = lower[:7] = start[:7]
    return Program(**{
        "columns": tuple(f"c{i}" for i in range(n)), "start": start, "lower": lower, "upper": upper,
        "lot": np.full(n, 0.01), "factors": moves / np.sqrt(rows), "factor_offset": 0.1 * rng.normal(size=rows),
        "diagonal": rng.uniform(0, 1e-3, n), "buy": cost * rng.uniform(0.5, 2.0, n),
        "sell": cost * rng.uniform(0.5, 2.0, n), "short": rng.uniform(0, 0.1, n), "row_names": tuple("abcd"),
        "rows": sp.csr_array(table), "row_lower": -band, "row_upper": band, **changes,
    })  # fmt: skip


CHANGES = {
    "plain": {},
    "soft rows": {"row_penalty": np.array([5.0, 0.2, np.inf, 0.01])},
    "turnover": {"rows_on_trades": np.vstack([np.zeros((3, 200)), np.ones(200)]),
                 "row_lower": np.array([0.0, -3.0, -3.0, -np.inf]), "row_upper": np.array([0.0, 3.0, 3.0, 60.0])},
    "impact": {"power": np.full(200, 0.2), "quadratic": np.full(200, 0.05)},
    "dear": {"cost": 20.0},
    "cheap": {"cost": 0.01},
}  # fmt: skip


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_is_that_of_the_whole_program(seed, changes):
    p = many_factors(seed, **changes)
    assert worth_a_working_set(p)
    by_set, whole = Structured().solve(p), structured._solve(p, np.inf, None)
    for found in (by_set, whole):
        assert certify(p, found).optimal
    assert objective(p, by_set.h) == pytest.approx(objective(p, whole.h), rel=1e-9)


def test_many_more_columns_than_factors_are_solved_over_a_part_too():
    p = many_factors(6, n=1200, diagonal=np.zeros(1200), cost=3.0)
    assert worth_a_working_set(p)
    by_set, whole = Structured().solve(p), structured._solve(p, np.inf, None)
    assert certify(p, by_set).optimal
    assert objective(p, by_set.h) == pytest.approx(objective(p, whole.h), rel=1e-9)


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_own_variance_states_the_same_objective_but_for_a_constant_and_curves_every_column(changes):
    p = many_factors(4, **changes, diagonal=np.zeros(200))
    stated, rng = with_own_variance(p), np.random.default_rng(0)
    moving = p.lower < p.upper
    points = [rng.uniform(p.lower, p.upper) for _ in range(5)]
    apart = [objective(stated, h) - objective(p, h) for h in points]
    np.testing.assert_allclose(apart, apart[0], rtol=0, atol=1e-11 * abs(objective(p, points[0])))
    assert (stated.diagonal[moving] >= 1e-5 * (p.factors**2).sum(axis=0)[moving]).all()
    assert not stated.diagonal[~moving].any()


def test_without_a_full_covariance_nothing_is_restated():
    thin, given = many_factors(5, rows=120, diagonal=np.zeros(200)), many_factors(5, diagonal=np.ones(200))
    twins = replace(given, factors=given.factors[:, [*range(199), 198]], diagonal=np.zeros(200))
    for p in (thin, given, twins):
        assert with_own_variance(p) is p


def test_a_part_of_the_columns_is_enough(monkeypatch):
    sizes, before = [], structured._solve

    def counted(program, stop, warm):
        moving = int((program.lower < program.upper).sum())
        if (len(program.factors), moving) != (20, 193):  # the surrogate's
            sizes.append(moving)
        return before(program, stop, warm)

    monkeypatch.setattr(structured, "_solve", counted)
    p = many_factors(1, cost=4.0)
    first = Structured().solve(p)
    assert certify(p, first).optimal
    assert sizes
    assert max(sizes) <= 0.6 * 193
    sizes.clear()
    again = Structured().solve(p, warm=first)
    assert len(sizes) == 1
    assert objective(p, again.h) == pytest.approx(objective(p, first.h), rel=1e-9)


def test_a_start_outside_the_box_a_wrong_warm_start_and_a_contradiction_end_as_without():
    p = many_factors(2)
    moved = replace(p, lower=np.where((np.arange(200) >= 7) & (np.arange(200) < 27), p.start + 1.0, p.lower))
    assert certify(moved, Structured().solve(moved)).optimal
    odd = Candidate(np.full(200, np.nan), np.zeros(4), "rough")
    far = Candidate(p.upper, np.full(4, 1e6), "rough")
    for warm in (odd, far):
        assert certify(p, Structured().solve(p, warm=warm)).optimal
    none = replace(p, row_lower=np.array([5e3, -3.0, -3.0, -3.0]), row_upper=np.array([6e3, 3.0, 3.0, 3.0]))
    assert solve(none).certificate.status == "infeasible"


def test_a_risk_of_rank_below_its_columns_is_solved():
    p = many_factors(3, rows=120)
    by_set, whole = Structured().solve(p), structured._solve(p, np.inf, None)
    assert certify(p, by_set).optimal
    assert objective(p, by_set.h) == pytest.approx(objective(p, whole.h), rel=1e-9)
