"""Few lines: as good as the best choice where all can be tried, near the proven optimum where a solver proves one."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from random_programs import random_program

from optihedge.errors import InfeasibleError
from optihedge.program.candidate import Candidate
from optihedge.program.chain import solve
from optihedge.program.lots.few_lines import Lines, few_lines
from optihedge.program.narrow import narrowed
from optihedge.program.program import Program, objective, risk_value, row_violations


def random_desk(seed: int, count: int = 60, factors: int = 20, neutral: bool = False) -> Program:
    """A book with common risks, the first one large, and hedges with risks and costs of their own."""
    rng = np.random.default_rng(seed)
    sizes = np.geomspace(1, 0.05, factors)
    loadings = rng.normal(0, 1, (factors, count)) * sizes[:, None]
    loadings[0] = np.abs(loadings[0]) + 0.5
    book = rng.normal(0, 60, factors) * sizes
    book[0] = rng.choice([-1, 1]) * rng.uniform(100, 400)
    cost = rng.uniform(0.4, 6.0, count)
    rows = {"row_names": ("neutral",), "rows": loadings[:1], "row_lower": np.array([-book[0] - 2.0]),
            "row_upper": np.array([-book[0] + 2.0])}  # fmt: skip
    return Program(
        columns=tuple(f"C{i}" for i in range(count)), start=np.zeros(count), lower=np.full(count, -400.0),
        upper=np.full(count, 400.0), lot=np.ones(count), factors=loadings, factor_offset=book,
        diagonal=rng.uniform(0.02, 0.3, count), buy=cost, sell=cost, **(rows if neutral else {}),
    )  # fmt: skip


def few(program: Program, **given: object) -> tuple[Lines, Candidate]:
    first = solve(program).candidate
    every = np.ones(len(program.columns), bool)
    return few_lines(program, first, lambda p, warm: solve(p, warm=warm).candidate, every, **given), first


def only(program: Program, kept: list[int]) -> float:
    """The least objective with these columns alone; inf where none meets the rows."""
    still = ~np.isin(np.arange(len(program.columns)), kept)
    boxed = replace(program, lower=np.where(still, 0, program.lower), upper=np.where(still, 0, program.upper))
    found = solve(boxed)
    return objective(boxed, found.h) if found.certificate.optimal else np.inf


def test_a_few_lines_are_mostly_the_best_of_all_choices() -> None:
    above = []
    for seed in range(4):
        program = random_desk(seed, count=7, factors=4, neutral=seed % 2 == 1)
        for most in (2, 3):
            best = min(only(program, list(choice)) for choice in combinations(range(7), most))
            found, first = few(program, most=most)
            assert found.kept.sum() <= most
            assert objective(program, first.h) - 1e-9 <= best <= found.value + 1e-6 * best
            above.append(found.value / best - 1)
    assert np.median(above) <= 1e-6 and np.mean(above) <= 0.02


@pytest.mark.parametrize("seed", range(2))
def test_a_fee_a_ticket_is_weighed_against_what_a_line_saves(seed: int) -> None:
    program = random_desk(seed, count=6, factors=4)
    fee = 0.02 * risk_value(program, program.start)
    best = min(only(program, list(choice)) + fee * size for size in range(7) for choice in combinations(range(6), size))
    found, _ = few(program, fee=fee)
    assert best * (1 - 1e-6) <= found.value <= 1.03 * best
    free, first = few(program)
    assert free.value == pytest.approx(objective(program, first.h), rel=1e-6)


def test_more_lines_are_no_worse_and_impossible_ones_are_refused() -> None:
    program = random_desk(5, neutral=True)
    values = [few(program, most=most)[0].value for most in (3, 6, 12, 24)]
    assert (np.diff(values) <= 0.01 * values[0]).all()
    reach = 400 * np.abs(program.rows.toarray()).max()
    wide = replace(program, row_lower=np.array([3 * reach]), row_upper=np.array([np.inf]))
    with pytest.raises(InfeasibleError, match="no 2 lines were found that meet the limits"):
        few(wide, most=2)


def halved(seeds: range) -> tuple[list[float], list[float]]:
    """What half the lines cost, as shares of what the hedge with all of them saves and of the optimum's objective."""
    saved, optimum = [], []
    for seed in seeds:
        program = random_desk(seed, neutral=seed % 2 == 1)
        first = solve(program).candidate
        lines = int((np.abs(first.h) > 1e-7).sum())
        found, _ = few(program, most=lines // 2)
        assert found.kept.sum() <= lines // 2
        best = objective(program, first.h)
        saved.append((found.value - best) / (objective(program, program.start) - best))
        optimum.append(found.value / best - 1)
    return saved, optimum


def test_half_the_tickets_cost_little_of_what_the_hedge_saves() -> None:
    assert np.median(halved(range(4))[0]) <= 0.01


@pytest.mark.slow
def test_half_the_tickets_of_two_hundred_desks_cost_a_hundredth_of_what_the_hedge_saves_at_most_at_the_median() -> None:
    saved, optimum = halved(range(200))
    for name, prices in (("what the hedge saves", saved), ("the optimum", optimum)):
        print(f"tickets halved: median {np.median(prices):.2%} of {name}, 90 % {np.quantile(prices, 0.9):.2%}")
    assert np.median(saved) <= 0.01


def proven(program: Program, most: int, nodes: int) -> float:
    """The least objective with `most` lines, by an integer program of SCIP; NaN where its tree ends unproved.

    A line's own risk is of a size over its yes or no (a perspective, Frangioni and Gentile 2006): a tight bound.
    """
    scip = pytest.importorskip("pyscipopt")
    p, n, model, total = program, len(program.columns), scip.Model(), scip.quicksum
    model.hideOutput()
    model.setParam("limits/nodes", nodes)
    trade = [model.addVar(lb=-400, ub=400) for _ in range(n)]
    size, own = ([model.addVar(lb=0) for _ in range(n)] for _ in range(2))
    traded = [model.addVar(vtype="B") for _ in range(n)]
    left, risk = [model.addVar(lb=None) for _ in p.factors], model.addVar(lb=0)
    model.addCons(total(traded) <= most)
    for x, s, o, z in zip(trade, size, own, traded, strict=True):
        for row in (s >= x, s >= -x, s <= 400 * z, x * x <= o * z):
            model.addCons(row)
    for part, factor, offset in zip(left, p.factors, p.factor_offset, strict=True):
        model.addCons(part == offset + total(f * x for f, x in zip(factor, trade, strict=True)))
    model.addCons(total(part * part for part in left) <= risk)
    for row, low, high in zip(p.rows.toarray(), p.row_lower, p.row_upper, strict=True):
        value = total(a * x for a, x in zip(row, trade, strict=True))
        model.addCons(value >= low)
        model.addCons(value <= high)
    lines = zip(p.diagonal, own, p.buy, size, strict=True)
    model.setObjective(0.5 * risk + total(0.5 * d * o + cost * s for d, o, cost, s in lines))
    model.optimize()
    return float(model.getObjVal()) if model.getStatus() == "optimal" else np.nan


def above_proven(seeds: range, count: int, nodes: int) -> np.ndarray:
    """How far half the lines are above the optimum where a solver proves one, desk by desk; NaN where it does not."""
    above = []
    for seed in seeds:
        program = random_desk(seed, count=count, factors=count // 3, neutral=seed % 2 == 1)
        most = int((np.abs(solve(program).candidate.h) > 1e-7).sum()) // 2
        found, _ = few(program, most=most)
        above.append(found.value / proven(program, most, nodes) - 1)
    return np.array(above)


def test_half_the_lines_of_a_small_desk_are_within_one_percent_of_what_an_integer_solver_proves() -> None:
    above = above_proven(range(3), 24, 10_000)
    assert np.isfinite(above).all() and above.min() > -1e-4 and above.max() <= 0.01


@pytest.mark.slow
def test_half_the_lines_of_large_desks_are_within_one_percent_of_what_an_integer_solver_proves() -> None:
    above = above_proven(range(8), 60, 20_000)
    proved = above[np.isfinite(above)]
    print(f"{len(proved)} of {len(above)} proved, above the proven optimum by {np.median(proved):.2%}, most "
          f"{proved.max():.2%}")  # fmt: skip
    assert len(proved) >= len(above) // 2 and proved.min() > -1e-4
    assert proved.max() <= 0.01


@pytest.mark.parametrize("seed", range(40))
def test_a_program_without_its_fixed_columns_says_the_same(seed: int) -> None:
    rng, whole = np.random.default_rng(seed), random_program(seed, largest=30)
    fixed = rng.random(len(whole.start)) < 0.5
    at = whole.lower + rng.random(len(whole.start)) * (whole.upper - whole.lower)
    whole = replace(whole, lower=np.where(fixed, at, whole.lower), upper=np.where(fixed, at, whole.upper))
    narrow, columns = narrowed(whole)
    assert list(columns) == list(np.flatnonzero(whole.lower < whole.upper))
    for _ in range(3):
        h = whole.lower + rng.random(len(whole.start)) * (whole.upper - whole.lower)
        assert objective(narrow, h[columns]) == pytest.approx(objective(whole, h), rel=1e-9, abs=1e-9)
        assert row_violations(narrow, h[columns]) == pytest.approx(row_violations(whole, h), rel=1e-9, abs=1e-9)
        for one, other in ((narrow.volatility_limit, whole.volatility_limit),
                           (narrow.volatility_price, whole.volatility_price)):  # fmt: skip
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert one.volatility(h[columns]) == pytest.approx(other.volatility(h), rel=1e-9)
