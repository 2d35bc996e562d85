"""The structured solver: every answer certified, exact where exactness is promised, honest where it fails."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from random_programs import KINDS, hostile_program, random_program

from optihedge.errors import SpecError
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import certify
from optihedge.program.chain import solve
from optihedge.program.costs import Depth
from optihedge.program.general.clarabel_ import Clarabel
from optihedge.program.general.osqp_ import Osqp
from optihedge.program.program import Program, objective, row_violations
from optihedge.program.structured import newton_polish
from optihedge.program.structured import solver as structured
from optihedge.program.structured.solver import Structured, polish
from optihedge.program.structured.standard_form import standard_form
from optihedge.program.volatility import VolatilityLimit

GAP = 1e-10  # share of the scale
PRICE = 1e-6  # relative, of a multiplier


def solved(p: Program, warm: Candidate | None = None) -> Candidate:
    candidate = Structured().solve(p, warm=warm)
    certificate = certify(p, candidate)
    assert candidate.status == "optimal"
    assert certificate.optimal, str(certificate)
    assert abs(certificate.gap) <= GAP * certificate.scale
    return candidate


def one(**fields: object) -> Program:
    """A single contract, from 0, inside [-10, 10]."""
    return Program(**({"columns": ("a",), "start": [0.0], "lower": [-10.0], "upper": [10.0], "lot": [1.0]} | fields))


@pytest.mark.parametrize(
    ("fields", "h"),
    [
        ({"diagonal": [2.0], "linear": [-4.0]}, 2.0),
        ({"diagonal": [2.0], "linear": [-4.0], "buy": [1.0]}, 1.5),
        ({"diagonal": [2.0], "linear": [-4.0], "buy": [5.0]}, 0.0),
        ({"diagonal": [2.0], "linear": [-4.0], "quadratic": [1.0]}, 1.0),
        ({"linear": [-3.0], "power": [1.0]}, 4.0),  # 1.5 sqrt(x) = 3
        ({"linear": [3.0], "power": [1.0], "sell": [1.5]}, -1.0),  # 1.5 + 1.5 sqrt|x| = 3
        ({"linear": [-1.0]}, 10.0),
        ({"linear": [1.0], "short": [2.0]}, 0.0),
        ({"linear": [-2.0], "depth": Depth(column=np.array([0, 0]), side=np.array([1, 1]), beyond=np.array([1.0, 3.0]),
                                           slope=np.array([1.0, 4.0]))}, 3.0),
        ({"start": [-5.0], "linear": [1e-3], "buy": [1e-3], "sell": [1e-3], "diagonal": [1e-9]}, -5.0),
        ({"factors": [[3.0]], "factor_offset": [-6.0]}, 2.0),
        ({"specifics": [[3.0]], "specific_offset": [-6.0]}, 2.0),
        ({"lower": [4.0], "upper": [4.0], "diagonal": [1.0]}, 4.0),
    ],
)  # fmt: skip
def test_one_contract_has_its_closed_form(fields, h):
    assert solved(one(**fields)).h[0] == pytest.approx(h, abs=1e-10)


@pytest.mark.parametrize(
    ("row", "h", "multiplier"),
    [
        ({"rows": [[1.0]], "row_lower": [-np.inf], "row_upper": [1.0]}, 1.0, 2.0),
        ({"rows": [[1.0]], "row_lower": [3.0], "row_upper": [5.0]}, 3.0, -2.0),
        ({"rows": [[1.0]], "row_lower": [0.0], "row_upper": [5.0]}, 2.0, 0.0),
        ({"rows": [[2.0]], "row_lower": [2.0], "row_upper": [2.0]}, 1.0, 1.0),
        ({"rows_on_trades": [[1.0]], "row_upper": [0.5]}, 0.5, 3.0),
        ({"rows_on_holdings": [[2.0]], "row_upper": [2.0]}, 1.0, 1.0),
        ({"rows": [[1.0]], "row_upper": [1.0], "row_penalty": [0.5]}, 1.75, 0.5),
        ({"rows": [[1.0]], "row_upper": [1.0], "row_penalty": [9.0]}, 1.0, 2.0),
    ],
)  # fmt: skip
def test_a_row_stops_the_answer_and_prices_it(row, h, multiplier):
    answer = solved(one(diagonal=[2.0], linear=[-4.0], row_names=("limit",), **row))
    assert answer.h[0] == pytest.approx(h, abs=1e-12)
    assert answer.multipliers[0] == pytest.approx(multiplier, abs=1e-9)


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_are_certified_without_help(seed):
    solved(random_program(seed, largest=150))


@pytest.mark.parametrize("seed", range(100, 125))
def test_an_independent_solver_agrees(seed):
    """Two objectives are no further apart than their gaps and what residuals are worth."""
    p = random_program(seed, largest=100)
    ours, theirs = Structured().solve(p), Clarabel().solve(p)
    proof = certify(p, theirs)
    h = np.clip(theirs.h, p.lower, p.upper)
    worth = np.abs(ours.multipliers) @ row_violations(p, h) + np.abs(theirs.multipliers) @ row_violations(p, ours.h)
    slack = abs(proof.gap) + worth + 1e-9 * proof.scale
    assert abs(objective(p, ours.h) - objective(p, h)) <= slack


@pytest.mark.parametrize("seed", range(200, 225))
def test_contradictions_are_proved(seed):
    p = random_program(seed, largest=100, feasible=False)
    candidate = Structured().solve(p)
    assert candidate.status == certify(p, candidate).status
    assert candidate.status == "infeasible" or not p.row_names


def test_untraded_contracts_are_exactly_untraded():
    r = np.random.default_rng(0)
    n = 100
    start = r.normal(size=n)
    p = Program(columns=tuple(map(str, range(n))), start=start, lower=start - 1, upper=start + 1,
                factors=r.normal(size=(5, n)), diagonal=np.full(n, 0.1), buy=np.full(n, 1.0), sell=np.full(n, 1.0),
                row_names=("net",), rows=np.ones((1, n)), row_lower=[0.0], row_upper=[0.0], lot=np.ones(n))  # fmt: skip
    h = solved(p).h
    still = h == start
    assert 20 < still.sum() < n
    assert (np.abs(h - start)[~still] > 1e-6).all()
    assert abs(h.sum()) <= 1e-14 * np.abs(h).sum()


def degenerate(kind: str) -> Program:
    r = np.random.default_rng(1)
    n = 30
    base = Program(columns=tuple(map(str, range(n))), start=r.normal(size=n), lower=np.full(n, -3.0),
                   upper=np.full(n, 3.0), lot=np.full(n, 0.01), factors=r.normal(size=(4, n)),
                   diagonal=np.full(n, 0.1), buy=np.full(n, 0.01), sell=np.full(n, 0.02), row_names=("net", "gross"),
                   rows=np.vstack([np.ones(n), np.zeros(n)]), rows_on_holdings=np.vstack([np.zeros(n), np.ones(n)]),
                   row_lower=[0.0, -np.inf], row_upper=[0.0, 40.0])  # fmt: skip
    two = sp.vstack([base.rows, base.rows[:1], 2 * base.rows[:1]])
    more = {"row_names": ("net", "gross", "again", "twice"), "rows": two,
            "rows_on_holdings": sp.vstack([base.rows_on_holdings, sp.csr_array((2, n))]),
            "rows_on_trades": sp.csr_array((4, n)), "row_lower": [0.0, -np.inf, 0.0, 0.0],
            "row_upper": [0.0, 40.0, 0.0, 0.0], "row_penalty": None, "row_tier": None, "row_fixed": None,
            "row_limit": None}  # fmt: skip
    none = {"row_names": (), "rows": None, "rows_on_holdings": None, "rows_on_trades": None, "row_lower": None,
            "row_upper": None, "row_penalty": None, "row_tier": None, "row_fixed": None,
            "row_limit": None}  # fmt: skip
    return replace(base, **{
        "no variance": {"factors": np.zeros((1, n)), "factor_offset": None, "diagonal": np.zeros(n)},
        "no variance, no cost": {"factors": None, "factor_offset": None, "diagonal": np.zeros(n), "buy": None,
                                 "sell": None},
        "collinear": {"factors": np.tile(base.factors[:, :1], (1, n)), "diagonal": np.zeros(n)},
        "more factors than contracts": {"factors": r.normal(size=(200, n)), "factor_offset": r.normal(size=200)},
        "redundant rows": more,
        "no rows": none,
        "no factors": {"factors": None, "factor_offset": None},
        "all but one fixed": {"lower": np.where(np.arange(n) > 1, base.start, -99.0),
                              "upper": np.where(np.arange(n) > 1, base.start, 99.0)},
        "tiny aversion": {"factors": 1e-8 * base.factors, "diagonal": 1e-16 * base.diagonal},
        "huge aversion": {"factors": 1e8 * base.factors, "diagonal": 1e16 * base.diagonal},
        "an empty book": {"start": np.zeros(n)},
        "a start outside its box": {"start": base.start + 5},
    }[kind])  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    ["no variance", "no variance, no cost", "collinear", "more factors than contracts", "redundant rows", "no rows",
     "no factors", "all but one fixed", "tiny aversion", "huge aversion", "an empty book", "a start outside its box"],
)  # fmt: skip
def test_degenerate_programs_are_certified(kind):
    solved(degenerate(kind))


def test_an_empty_book_without_targets_trades_nothing():
    assert not solved(degenerate("an empty book")).h.any()


def test_the_unit_of_a_contract_of_a_row_and_of_money_changes_nothing():
    p = random_program(3, largest=60, rescale=False)
    r = np.random.default_rng(0)
    unit, row = np.exp2(r.integers(-20, 20, len(p.columns))), np.exp2(r.integers(-20, 20, len(p.row_names)))
    money, d = 2.0**40, p.depth
    by = lambda M: sp.csr_array(M * (row[:, None] / unit))  # noqa: E731
    q = replace(
        p, start=p.start * unit, lower=p.lower * unit, upper=p.upper * unit, lot=p.lot * unit,
        factors=p.factors / unit * 2.0**20, factor_offset=p.factor_offset * 2.0**20,
        specifics=sp.csr_array(p.specifics * (2.0**20 / unit)), specific_offset=p.specific_offset * 2.0**20,
        diagonal=p.diagonal * money / unit**2, linear=p.linear * money / unit, buy=p.buy * money / unit,
        sell=p.sell * money / unit, quadratic=p.quadratic * money / unit**2, power=p.power * money / unit**1.5,
        long=p.long * money / unit, short=p.short * money / unit, constant=p.constant * money,
        depth=replace(d, beyond=d.beyond * unit[d.column], slope=d.slope * money / unit[d.column]),
        rows=by(p.rows), rows_on_holdings=by(p.rows_on_holdings), rows_on_trades=by(p.rows_on_trades),
        row_lower=p.row_lower * row, row_upper=p.row_upper * row, row_penalty=p.row_penalty * money / row,
    )  # fmt: skip
    one, other = solved(p), solved(q)
    scale = certify(p, one).scale
    assert abs(objective(q, other.h) / money - objective(p, one.h)) <= 2 * GAP * scale


def test_a_warm_start_needs_no_interior_point(monkeypatch):
    p = random_program(33, largest=300, rescale=False)
    first = solved(p)
    monkeypatch.setattr(structured, "InteriorPoint", None)
    again = solved(replace(p, linear=p.linear * 1.001), warm=first)
    assert np.abs(again.h - first.h).max() < 1.0


def test_a_wrong_warm_start_falls_back():
    p = random_program(34, largest=100)
    m = len(p.row_names)
    other = Candidate(np.zeros(len(p.columns) + 1), np.zeros(m), "optimal")
    nothing = Candidate(p.start * np.nan, np.zeros(m), "optimal")
    for warm in (Candidate(p.upper, np.full(m, 1e9), "optimal"), nothing, other):
        solved(p, warm=warm)


def test_a_rough_answer_is_polished_to_a_certified_one():
    polished = 0
    for seed in range(8):
        p = replace(random_program(seed + 50, largest=100, rescale=False), power=None)
        better = polish(p, Osqp().solve(p))
        if better.status == "optimal":
            certificate = certify(p, better)
            assert certificate.optimal
            assert abs(certificate.gap) <= GAP * certificate.scale
            polished += 1
    assert polished >= 6


def test_the_deadline_is_kept_and_the_answer_says_so():
    p = random_program(8, largest=500)
    candidate = Structured().solve(p, deadline=0.0)
    assert (candidate.status, candidate.why) in (("failed", "deadline"), ("optimal", ""))
    assert candidate.status == "optimal" or not certify(p, candidate).optimal


@pytest.mark.parametrize("money", [1e6, 1e8, 1e10])
def test_a_trade_far_smaller_than_its_box_is_the_cheapest_one(money):
    """A book a hair outside neutral, no risk, boxes of `money`: B is the cheapest dollar of delta to sell."""
    price, spread = np.array([100.0, 50.0, 20.0]), np.array([0.05, 0.02, 0.01])
    for miss in np.geomspace(1e-4, 10, 11):
        start = np.array([1000.0, -2000.0, miss])
        p = Program(
            columns=("A", "B", "C"), start=start, lower=start - money / price, upper=start + money / price,
            lot=np.ones(3), buy=spread, sell=spread, row_names=("delta",), rows=price[None], row_lower=[0.0],
            row_upper=[0.0],
        )  # fmt: skip
        candidate = Structured().solve(p)
        assert certify(p, candidate).optimal
        assert spread @ np.abs(candidate.h - start) == pytest.approx(0.02 * 20 * miss / 50, rel=1e-4, abs=2e-7)


def test_what_it_cannot_do_it_declines():
    p = one()
    limit = VolatilityLimit(name="volatility", factors=np.ones((1, 1)), factor_offset=np.zeros(1),
                            specifics=sp.csr_array((0, 1)), specific_offset=np.zeros(0), diagonal=np.zeros(1),
                            limit=1.0)  # fmt: skip
    for change, why in (
        ({"volatility_limit": limit}, "a volatility's limit or price"),
        ({"cvxpy_terms": (print,)}, "CVXPY terms"),
    ):
        said = Structured().solve(replace(p, **change))
        assert (said.status, said.why) == ("declined", why)


def scenarios(count: int, n: int) -> Program:
    """Shortfall: an auxiliary above each scenario's loss, beyond a level that is an auxiliary too."""
    r = np.random.default_rng(0)
    loss = np.hstack([-r.normal(size=(count, n)), -np.ones((count, 1)), -np.eye(count)])
    columns = n + 1 + count
    weight = np.concatenate([np.zeros(n), [1.0], np.full(count, 1 / (0.05 * count))])
    start = np.concatenate([r.normal(size=n), np.zeros(count + 1)])
    bound = np.concatenate([np.full(n, 5.0), np.full(count + 1, 1e3)])
    cost = np.concatenate([np.full(n, 0.05), np.zeros(count + 1)])
    return Program(columns=tuple(map(str, range(columns))), start=start, upper=bound,
                   lower=np.concatenate([-bound[: n + 1], np.zeros(count)]), linear=weight, buy=cost, sell=cost,
                   lot=np.concatenate([np.full(n, 0.01), np.zeros(count + 1)]), row_upper=np.zeros(count),
                   row_names=tuple(f"s{i}" for i in range(count)), rows=sp.csr_array(loss))  # fmt: skip


def test_a_few_scenarios_are_solved_and_thousands_declined():
    solved(scenarios(100, 20))
    many = Structured().solve(scenarios(1000, 30))
    assert (many.status, many.why[:9]) == ("declined", "1000 rows")


def test_a_contradiction_below_tolerance_is_met_within_it():
    p = one(rows=[[1.0], [1.0]], row_names=("this", "that"), row_lower=[1.0, 1.0 + 3e-10],
            row_upper=[1.0, 1.0 + 3e-10], diagonal=[1.0])  # fmt: skip
    assert certify(p, Structured().solve(p)).optimal


@pytest.mark.parametrize("size", [1.0, 1e-2, 1e-4, 1e-6])
def test_a_contradiction_above_tolerance_is_proved(size):
    p = one(rows=[[1.0], [1.0]], row_names=("this", "that"), row_lower=[1.0, 1.0 + size],
            row_upper=[1.0, 1.0 + size], diagonal=[1.0])  # fmt: skip
    candidate = Structured().solve(p)
    assert certify(p, candidate).status == "infeasible"


def check_hostile(seed: int) -> None:
    try:
        p = hostile_program(seed)
    except SpecError:
        return
    candidate = Structured().solve(p, deadline=10.0)
    verdict = certify(p, candidate)
    if candidate.status == "failed" and verdict.optimal:  # its own scale is the smaller: it claims less than it could
        assert verdict.gap > 1e-7 * verdict.scale
    else:
        assert verdict.status == candidate.status


@pytest.mark.parametrize("seed", range(2 * len(KINDS)))
def test_hostile_programs_end_with_a_true_word(seed):
    check_hostile(seed)


@pytest.mark.slow
def test_five_hundred_hostile_programs_end_with_a_true_word():
    for seed in range(500):
        check_hostile(seed)


def uncertified(word: Callable[[Program], str]) -> list[tuple[int, str]]:
    """Of a thousand random Programs, every fifth perhaps contradictory, those that end otherwise than proved."""
    failed = []
    for seed in range(1000):
        feasible = seed % 5 > 0
        p = random_program(seed + 20_000, feasible=feasible)
        said = word(p)
        if said != ("optimal" if feasible or not p.row_names else "infeasible"):
            failed.append((seed, said))
    return failed


@pytest.mark.slow
def test_a_thousand_random_programs_are_certified_by_the_chain():
    assert not uncertified(lambda p: solve(p).certificate.status)


@pytest.mark.slow
def test_a_thousand_random_programs_are_certified_alone():
    failed = uncertified(lambda p: certify(p, Structured().solve(p)).status)
    assert len(failed) <= 5, failed


def test_a_search_along_which_the_dual_falls_evenly_finds_nothing_and_ends() -> None:
    p = Program(columns=("a",), start=[0.0], lower=[0.0], upper=[1.0], diagonal=[1.0], linear=[-9.0],
                row_names=("most",), rows=[[1.0]], row_upper=[2.0])  # fmt: skip
    form = standard_form(p)
    dual = newton_polish._Dual(form, form.start, 0.0)
    V = np.full(form.low.shape, 0.1)
    trial = dual.at(V)
    assert trial.t == form.upper  # the column stays there, so that the dual is linear
    assert newton_polish._search(dual, trial, V, 0 * V, V + np.inf) is None
