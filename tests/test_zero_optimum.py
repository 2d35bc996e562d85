"""No answer without proof, no refusal without proof: Programs whose optimum is nothing, and limits that are missed."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from optihedge.program.candidate import Candidate
from optihedge.program.certificate import certify, proves_infeasible
from optihedge.program.chain import solve
from optihedge.program.general.scaling import row_reach
from optihedge.program.program import Program, row_violations
from optihedge.program.solvers import default_chain
from optihedge.program.tolerances import row_tolerances
from optihedge.program.volatility import VolatilityLimit

KINDS = ("soft", "hard", "worst case", "shortfall", "sizes")


def nothing_to_pay(seed: int) -> Program:
    """A feasible Program without curvature whose optimum is zero: a hidden hedge is perfect and costs nothing."""
    r = np.random.default_rng(seed)
    kind, n = KINDS[seed % len(KINDS)], int(r.integers(1, 12))
    unit = 10 ** r.uniform(-3, 5, n) if r.random() < 0.7 else np.ones(n)
    size = 10 ** r.uniform(0, 9)
    point = np.round(size / unit * r.normal(size=n), int(r.integers(0, 8)))
    box = 10.0 * size / unit * 10 ** r.uniform(0, 3)
    fields = {"columns": tuple(f"c{i}" for i in range(n)), "start": np.zeros(n), "lower": np.minimum(-box, point),
              "upper": np.maximum(box, point), "lot": np.ones(n)}  # fmt: skip
    if kind in ("worst case", "shortfall"):
        return _scenarios(fields, r, kind, point, unit)
    m = int(r.integers(1, n + 1))
    rows = r.normal(size=(m, n)) * unit * (r.random((m, n)) < 0.8)
    values = rows @ point
    free = {"hard": np.full(m, np.inf), "soft": 10 ** r.uniform(-3, 3, m)}.get(kind, np.full(m, np.inf))
    low = np.where(r.random(m) < 0.5, values, values - np.abs(values) * r.random(m))
    fields |= {"row_names": tuple(f"r{j}" for j in range(m)), "rows": rows, "row_lower": low, "row_upper": values,
               "row_penalty": free, "row_fixed": np.abs(values)}  # fmt: skip
    if kind == "sizes":
        turnover = np.vstack([np.zeros((m - 1, n)), np.abs(r.normal(size=n)) * unit])
        end, most = np.arange(m) == m - 1, turnover[-1] @ np.abs(point)
        fields |= {"rows_on_trades": turnover, "rows": np.where(end[:, None], 0.0, rows),
                   "row_lower": np.where(end, -np.inf, low), "row_upper": np.where(end, most, values),
                   "row_penalty": np.where(end, np.inf, 1.0)}  # fmt: skip
    return Program(**fields)


def _scenarios(fields: dict, r: np.random.Generator, kind: str, point: np.ndarray, unit: np.ndarray) -> Program:
    """The largest or mean largest loss of scenarios that `point` hedges to the last cent."""
    count, n = int(r.integers(2, 60)), len(point)
    pnl = r.standard_t(4, (count, n)) * 0.01 * unit
    pnl, count = np.vstack([pnl, -pnl]), 2 * count  # whatever gains in one scenario loses in another
    brought = -pnl @ point  # P&L of what is fixed
    reach = np.abs(pnl) @ np.maximum(np.abs(fields["lower"]), np.abs(fields["upper"])) + np.abs(brought)
    extra = 1 if kind == "worst case" else 1 + count
    top = np.full(extra, 2 * reach.max())
    low = np.append(-top[:1], np.zeros(extra - 1))
    columns = (*fields["columns"], *(f"aux{i}" for i in range(extra)))
    pad = lambda v, tail: np.concatenate([v, tail])  # noqa: E731
    own = np.ones((count, 1)) if kind == "worst case" else np.hstack([np.ones((count, 1)), np.eye(count)])
    cost = pad([1.0], np.full(extra - 1, 1 / (0.05 * count)))
    return Program(
        columns=columns, start=pad(fields["start"], np.clip(0.0, low, top)), lower=pad(fields["lower"], low),
        upper=pad(fields["upper"], top), lot=pad(fields["lot"], np.zeros(extra)), linear=pad(np.zeros(n), cost),
        row_names=tuple(f"s{j}" for j in range(count)), rows=np.hstack([pnl, own]), row_lower=-brought,
        row_tier=np.full(count, -1.0), row_fixed=np.abs(pnl) @ np.abs(point),
    )  # fmt: skip


def unproved(seeds: range) -> list:
    failed = []
    for seed in seeds:
        p = nothing_to_pay(seed)
        certificate = solve(p).certificate
        size = np.abs(p.linear) @ p.widest + np.where(np.isfinite(p.row_penalty), p.row_penalty, 0.0) @ p.row_fixed
        if not certificate.optimal or abs(certificate.primal) > 1e-6 * size:
            failed.append((seed, KINDS[seed % len(KINDS)], certificate.status, certificate.primal, size))
    return failed


def test_an_optimum_of_nothing_is_certified():
    assert not unproved(range(60))


@pytest.mark.slow
def test_two_thousand_optima_of_nothing_are_certified():
    assert not unproved(range(2000))


def proportional(box: float, other: float = 0.0) -> Program:
    """Two rows that are proportional to rounding with targets that are not: gamma and vega of one expiry."""
    gamma = np.array([3.40484634, 3.6246859])
    return Program(
        columns=("a", "b"), start=np.zeros(2), lower=np.full(2, -box), upper=np.full(2, box), lot=np.ones(2),
        row_names=("gamma", "vega"), rows=np.vstack([gamma, 0.05 * gamma * (1 + np.array([0, other]))]),
        row_lower=[10.2, 0.613], row_upper=[10.2, 0.613],
    )  # fmt: skip


@pytest.mark.parametrize("box", [1e3, 1e6, 1e9, 1e12, 1e15])
@pytest.mark.parametrize("other", [0.0, 1e-15, 1e-12])
def test_a_limit_missed_by_a_tenth_of_itself_is_never_optimal(box, other):
    p = proportional(box, other)
    solution = solve(p)
    missed = row_violations(p, solution.h) / p.row_upper
    assert not solution.certificate.optimal or missed.max() <= 1e-3
    if other > 0 and box * other < 1e-3:  # far beyond the box: proved, not only not found
        assert solution.certificate.status == "infeasible"


def test_a_tolerance_is_at_most_a_millionth_of_its_limit_however_large_what_offsets():
    p = proportional(1e12)
    h = np.array([1e7, -1e7 * 3.40484634 / 3.6246859])
    assert (row_tolerances(p, h) <= 1.000001e-6 * p.row_upper).all()
    assert (row_tolerances(replace(p, row_limit=np.zeros(2)), h) > 1e-3).all()  # nothing to go by but what is summed
    huge = np.array([1e15, -1e15])
    assert (row_tolerances(p, huge) == 1e-3 * p.row_upper).all()  # rounding alone is more: a thousandth at most


def test_a_volatility_is_not_above_its_limit_by_what_huge_positions_round():
    none = {"specifics": sp.csr_array((0, 2)), "specific_offset": np.zeros(0), "diagonal": np.zeros(2)}
    v = VolatilityLimit(name="vol", factors=np.array([[1.0, -1.0]]), factor_offset=np.zeros(1), limit=10.0, **none)
    p = Program(columns=("a", "b"), start=np.zeros(2), lower=np.full(2, -1e12), upper=np.full(2, 1e12),
                lot=np.ones(2), volatility_limit=v)  # fmt: skip
    over = Candidate(np.array([1e10 + 11.0, 1e10]), np.zeros(0), "optimal")
    assert certify(p, over).status == "failed"
    assert certify(p, Candidate(np.array([1e10 + 9.0, 1e10]), np.zeros(0), "optimal")).optimal


def test_what_the_tolerances_are_worth_does_not_excuse_a_wrong_answer():
    r = np.random.default_rng(0)
    for seed in range(0, 60, 5):
        p = nothing_to_pay(seed)  # soft rows
        away = np.clip(p.start + 1e-3 * r.normal(size=len(p.start)) * p.widest, p.lower, p.upper)
        if row_violations(p, away).max() > 1e-6 * p.row_fixed.max():
            for m in (np.zeros(len(p.row_names)), p.row_penalty, -p.row_penalty):
                assert certify(p, Candidate(away, m, "optimal")).status == "failed"


def test_the_simplex_says_nothing_on_standard_output(capfd):
    """At the level of the process: what a C library prints counts too."""
    statuses = {solve(nothing_to_pay(seed), solver="highs").certificate.status for seed in range(60)}
    assert "optimal" in statuses
    told = capfd.readouterr()
    assert told.out == "" and told.err == ""


@pytest.mark.parametrize("seed", range(2, 40, 6))
def test_a_program_without_curvature_has_an_answer_when_all_other_solvers_fail(seed):
    """The simplex is in the default chain of every Program without curvature."""
    p = nothing_to_pay(seed)
    assert "highs" in default_chain(p)

    class Fails:
        def __init__(self, name):
            self.name = name

        def solve(self, program, *, deadline, warm=None):
            raise RuntimeError("no")

    chain = tuple(name if name == "highs" else Fails(name) for name in default_chain(p))
    assert solve(p, solver=chain).certificate.optimal


def test_a_proof_of_infeasibility_is_in_every_refusal():
    """Of random Programs made infeasible by one row, and of feasible ones: multipliers prove the first, never these."""
    refused = 0
    for seed in range(30):
        p = nothing_to_pay(seed)
        solution = solve(p)
        assert not proves_infeasible(p, solution.h, solution.multipliers)
        if not len(p.row_names) or np.isfinite(p.row_penalty[0]):
            continue
        low, high = row_reach(p)
        size = max(abs(low[0]), abs(high[0])) or 1.0
        first = np.arange(len(p.row_names)) == 0
        beyond = replace(p, row_lower=np.where(first, -np.inf, p.row_lower),
                         row_upper=np.where(first, low[0] - 0.1 * size, p.row_upper))  # fmt: skip
        solution = solve(beyond)
        assert solution.certificate.status == "infeasible"
        assert proves_infeasible(beyond, solution.h, solution.multipliers)
        refused += 1
    assert refused >= 10


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3, 1e9])
def test_a_perfect_costless_hedge_is_certified_and_a_tenth_beyond_a_limit_never_is(size):
    """In any unit: a floor in money, and a ceiling in the limit's own size."""
    p = Program(
        columns=("a", "b"), start=[0.0, 0.0], lower=[-1e3, -1e3], upper=[1e3, 1e3], lot=[1.0, 1.0],
        factors=size * np.array([[1.0, 1.0], [0.0, 1.0]]), factor_offset=size * np.array([-30.0, -10.0]),
        row_names=("delta", "gross"), rows=size * np.array([[1.0, -1.0], [0.0, 0.0]]),
        rows_on_holdings=size * np.array([[0.0, 0.0], [1.0, 1.0]]), row_lower=[10 * size, -np.inf],
        row_upper=[10 * size, 30 * size],
    )  # fmt: skip
    solution = solve(p)
    assert solution.certificate.optimal and solution.h == pytest.approx([20.0, 10.0], rel=1e-6)
    for beyond in ([22.0, 10.0], [21.0, 11.0], [20.0, 7.0]):
        for multipliers in (np.zeros(2), solution.multipliers, np.array([size, -size])):
            assert certify(p, Candidate(np.array(beyond), multipliers, "optimal")).status == "failed"
