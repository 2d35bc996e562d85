"""The chain ends with a proof or an honest failure, whatever its solvers do."""

from dataclasses import replace

import numpy as np
import pytest
from programs import hostile_fields, planted_conflict, random_program, with_rows, with_volatility_limit

from optihedge.errors import SpecError
from optihedge.program.candidate import Candidate
from optihedge.program.chain import solve
from optihedge.program.general.clarabel_ import Clarabel
from optihedge.program.general.osqp_ import Osqp
from optihedge.program.infeasible import relax
from optihedge.program.program import Program, objective, row_violations
from optihedge.program.solvers import default_chain, solver_named
from optihedge.program.tolerances import row_tolerances
from optihedge.program.volatility_limit import fold_limit

GENERAL = ("clarabel", "piqp", "clarabel:box")


def book(seed: int = 0, n: int = 12) -> Program:
    """A feasible Program whose optimum is not where it starts."""
    rng = np.random.default_rng(seed)
    return with_rows(rng, random_program(rng, n, ("costs", "impact")), np.ones(n))


class Fault:
    """A solver with a fault: it does something to Clarabel's candidate, or raises."""

    def __init__(self, name, spoil):
        self.name, self.spoil = name, spoil

    def solve(self, program, *, deadline, warm=None):
        return self.spoil(program, Clarabel().solve(program))


def _raise(error):
    def spoil(program, candidate):
        raise error

    return spoil


def _feasible(program):
    return relax(program).h


FAULTS = [
    Fault("raises", _raise(RuntimeError("segment"))),
    Fault("division", _raise(ZeroDivisionError())),
    Fault("nan", lambda p, c: replace(c, h=c.h * np.nan)),
    Fault("inf multipliers", lambda p, c: replace(c, multipliers=c.multipliers + np.inf)),
    Fault("stale", lambda p, c: Candidate(p.start, np.zeros(len(p.row_names)), "optimal")),
    Fault("early stop", lambda p, c: replace(c, h=p.start + 0.9 * (c.h - p.start))),
    Fault("wrong but feasible", lambda p, c: Candidate(_feasible(p), c.multipliers, "optimal")),
    Fault("wrong shape", lambda p, c: replace(c, h=c.h[:-1])),
    Fault("nothing", lambda p, c: None),
    Fault("false infeasible", lambda p, c: replace(c, status="infeasible")),
    Fault("unbounded", lambda p, c: replace(c, status="unbounded", h=c.h + 1e30)),
    Fault("flipped", lambda p, c: replace(c, multipliers=-c.multipliers, h=np.clip(c.h * 1.5, p.lower, p.upper))),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_faulty_solver_is_caught_and_the_chain_goes_on(fault, seed):
    p = book(seed)
    truth = solve(p, solver="clarabel")
    assert truth.certificate.status == "optimal"
    solution = solve(p, solver=(fault, *GENERAL))
    assert solution.certificate.status == "optimal"
    assert abs(solution.certificate.primal - truth.certificate.primal) <= 2e-6 * truth.certificate.scale
    assert len(solution.certificate.chain) >= 2
    assert solution.certificate.chain[0].startswith(fault.name)
    assert "optimal" not in solution.certificate.chain[0].split(":")[1].split(",")[0] or "not certified" in str(
        solution.certificate.chain[0]
    )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_a_faulty_solver_alone_never_passes_for_right(fault):
    p = book(3)
    truth = solve(p, solver="clarabel").certificate
    solution = solve(p, solver=fault)
    assert solution.certificate.status in ("optimal", "failed")
    if solution.certificate.status == "optimal":  # its multipliers, polished, were enough
        assert abs(objective(p, solution.h) - truth.primal) <= 2e-6 * truth.scale
    assert np.isfinite(solution.h).all()


def backends() -> list:
    """Every backend with every fault: a failing word, NaN, stale values, an early stop, an exception."""
    words = ["failed: MaxTime", "failed: AlmostSolved", "infeasible", "unbounded", "optimal"]
    made = []
    for name in ("structured", "clarabel", "clarabel:box", "piqp", "osqp", "cvxpy"):
        for word in words:
            made.append((name, f"{word}, nothing", lambda p, c, w=word: Candidate(p.start, 0 * c.multipliers, w)))
        made += [
            (name, "nan", lambda p, c: replace(c, h=c.h + np.nan)),
            (name, "early", lambda p, c: replace(c, h=0.5 * (c.h + p.start), multipliers=0.5 * c.multipliers)),
            (name, "raise", _raise(MemoryError("out of memory"))),
        ]
    return made


class Broken:
    """A backend whose answer is spoilt on the way out."""

    def __init__(self, name, spoil):
        self.name, self.inner, self.spoil = name, solver_named(name), spoil

    def solve(self, program, *, deadline, warm=None):
        return self.spoil(program, self.inner.solve(program, deadline=deadline, warm=warm))


@pytest.mark.parametrize(("name", "fault", "spoil"), backends(), ids=lambda v: v if isinstance(v, str) else "")
def test_any_backend_may_break_and_the_answer_is_still_certified(name, fault, spoil):
    p = book(4)
    truth = solve(p, solver="piqp").certificate
    solution = solve(p, solver=(Broken(name, spoil), "piqp", "clarabel"))
    assert solution.certificate.status == "optimal"
    assert abs(solution.certificate.primal - truth.primal) <= 2e-6 * truth.scale
    alone = solve(p, solver=Broken(name, spoil))
    assert alone.certificate.status in ("optimal", "failed")
    if alone.certificate.status == "optimal":
        assert abs(objective(p, alone.h) - truth.primal) <= 2e-6 * truth.scale


def test_limits_of_the_libraries_themselves_are_failures():
    p = book(4, 300)
    assert Clarabel().solve(p, deadline=1e-9).status == "failed"
    assert Osqp(iterations=1).solve(p).status == "failed"
    assert solve(p, solver=(Osqp(iterations=1), "clarabel")).certificate.status == "optimal"


def test_doing_nothing_is_tried_first_and_a_solver_is_not_asked():
    box = {"start": [0, 0], "lower": [-1, -1], "upper": [1, 1]}
    p = Program(columns=("a", "b"), **box, factors=np.eye(2), buy=[1, 1], sell=[1, 1])
    solution = solve(p, solver=Fault("never asked", _raise(AssertionError())))
    assert solution.certificate.status == "optimal"
    assert solution.certificate.chain[0].startswith("start")
    assert (solution.h == 0).all()


@pytest.mark.parametrize("seed", range(40))
def test_every_feasible_program_is_certified(seed):
    rng = np.random.default_rng(1000 + seed)
    p = random_program(rng, int(rng.choice([1, 2, 7, 30, 80])))
    certificate = solve(p).certificate
    assert certificate.status == "optimal", str(certificate)


@pytest.mark.parametrize("seed", range(40))
def test_a_hostile_program_is_refused_or_proved_or_solved_but_never_wrong(seed):
    check_hostile(np.random.default_rng(seed))


@pytest.mark.slow
def test_five_hundred_hostile_programs_are_never_wrongly_optimal():
    for seed in range(500):
        check_hostile(np.random.default_rng(10_000 + seed))


def check_hostile(rng):
    fields, expected = hostile_fields(rng)
    try:
        p = Program(**fields)
    except SpecError:
        assert expected == "error"
        return
    assert expected != "error"
    solution = solve(p, deadline=20.0)
    status = solution.certificate.status
    allowed = {"infeasible": ("infeasible",), "solved": ("optimal",)}
    assert status in allowed.get(expected, ("optimal", "infeasible", "failed"))
    if status == "optimal":
        hard = np.isinf(p.row_penalty)
        assert (row_violations(p, solution.h) <= row_tolerances(p, solution.h))[hard].all()


def test_a_contradiction_below_tolerance_is_solved_within_it_and_reported():
    base = {"columns": ("a", "b"), "start": [0.0, 0.0], "lower": [-10, -10], "upper": [10, 10], "lot": [1, 1],
            "factors": np.eye(2), "factor_offset": [-3.0, -4.0]}  # fmt: skip
    rows = {"row_names": ("low", "high"), "rows": [[1.0, 1.0], [1.0, 1.0]], "row_upper": [5.0, np.inf]}
    p = Program(**base, **rows, row_lower=[-np.inf, 5.0 + 1e-9])
    certificate = solve(p).certificate
    assert certificate.status == "optimal"
    assert "contradict" in certificate.note or certificate.residuals.max() > 0
    assert solve(Program(**base, **rows, row_lower=[-np.inf, 5.0 + 1e-4])).certificate.status == "infeasible"


@pytest.mark.parametrize("solver", ["auto", GENERAL], ids=["auto", "general"])
@pytest.mark.parametrize("seed", range(8))
def test_planted_conflicts_are_proved(seed, solver):
    p, _ = planted_conflict(np.random.default_rng(seed))
    solution = solve(p, solver=solver)
    assert solution.certificate.status == "infeasible"
    assert "prove" in solution.certificate.note


def test_a_volatility_limit_binds_and_its_price_is_certified():
    priced = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        p = with_volatility_limit(rng, random_program(rng, 15), 0.8)
        solution = solve(p)
        assert solution.certificate.status in ("optimal", "infeasible")
        if solution.certificate.status == "optimal":
            limit = p.volatility_limit.limit
            assert (1 - 1e-5) * limit <= p.volatility_limit.volatility(solution.h) <= (1 + 1e-6) * limit
            assert solution.limit_multiplier > 0
            priced += 1
    assert priced >= 5


def test_the_folded_limit_is_the_lagrangian():
    rng = np.random.default_rng(5)
    p = with_volatility_limit(rng, random_program(rng, 9), 0.7)
    h = p.lower + (p.upper - p.lower) * rng.random(9)
    excess = p.volatility_limit.volatility(h) ** 2 - p.volatility_limit.limit**2
    free = objective(replace(p, volatility_limit=None), h)
    assert objective(fold_limit(p, 3.0), h) == pytest.approx(free + 1.5 * excess)


def test_a_volatility_limit_that_cannot_hold_is_proved_infeasible():
    rng = np.random.default_rng(6)
    p = with_volatility_limit(rng, random_program(rng, 9, ("rows",)), 0.5)
    unreachable = replace(p, volatility_limit=replace(p.volatility_limit, factors=p.volatility_limit.factors * 0))
    solution = solve(unreachable)
    assert solution.certificate.status == "infeasible"
    assert solution.limit_multiplier == 1.0


def test_the_deadline_holds_and_says_so():
    rng = np.random.default_rng(0)
    p = random_program(rng, 200)
    assert solve(p, deadline=1e-4).certificate.status in ("optimal", "failed")
    certificate = solve(p, deadline=0.0).certificate
    assert (certificate.status, certificate.chain[-1]) == ("failed", "deadline: no time left")


def test_no_columns_and_one_column_are_solved():
    empty = Program(columns=(), start=[], lower=[], upper=[], constant=3.0)
    assert solve(empty).certificate.status == "optimal"
    broken = Program(columns=(), start=[], lower=[], upper=[], row_names=("r",), row_lower=[1.0], row_upper=[2.0])
    assert solve(broken).certificate.status == "infeasible"


def test_solvers_are_found_by_name_and_a_wrong_name_is_mended():
    assert solver_named("cvxpy:scs").name == "cvxpy:SCS"
    assert solver_named("isolated:piqp").name == "isolated:piqp"
    assert [solver_named(name).name for name in default_chain(book())] == list(default_chain(book()))
    with pytest.raises(SpecError, match="did you mean clarabel"):
        solver_named("clarabell")


def test_a_warm_start_ends_at_the_same_certified_optimum():
    p = book(7)
    cold = solve(p)
    moved = replace(p, factor_offset=p.factor_offset * 1.01)
    warm = solve(moved, warm=cold.candidate)
    assert warm.certificate.status == "optimal"
    assert abs(warm.certificate.primal - solve(moved).certificate.primal) <= 2e-6 * warm.certificate.scale


def test_scenarios_with_a_column_each_go_to_the_sparse_solvers_first_and_without_curvature_to_the_simplex():
    n, count = 3, 40
    pnl = np.random.default_rng(0).normal(size=(count, n))
    size = n + count
    rows = np.hstack([-pnl, -np.eye(count)])  # loss - auxiliary <= 0
    p = Program(
        columns=tuple(f"c{i}" for i in range(size)), start=np.zeros(size), lot=np.append(np.ones(n), np.zeros(count)),
        lower=np.append(np.full(n, -5.0), np.zeros(count)), upper=np.append(np.full(n, 5.0), np.full(count, 100.0)),
        linear=np.append(-pnl.mean(axis=0), np.full(count, 0.1)), row_names=tuple(f"s{j}" for j in range(count)),
        rows=rows, row_upper=np.zeros(count),
    )  # fmt: skip
    curved = replace(p, diagonal=np.append(np.ones(n), np.zeros(count)))
    assert (default_chain(curved)[0], default_chain(p)[0]) == ("clarabel", "highs")
    assert default_chain(book())[:2] == ("small", "structured")
    assert solve(p).certificate.status == "optimal"
