"""Scenarios that decide nothing are left out of a linear Program, and its answer is proved on all of them."""

import numpy as np
import pytest

from optihedge.program.certificate import certify
from optihedge.program.chain import solve
from optihedge.program.program import Program, objective
from optihedge.program.screened import Screened, worth_screening
from optihedge.program.solvers import propose

COLUMNS, SCENARIOS = 6, 600


def tail(share: float, seed: int = 0, count: int = SCENARIOS, limit: float | None = None) -> Program:
    """Losses of scenarios: weight x (quantile + share x sum of what is beyond), or below a limit, with costs."""
    r = np.random.default_rng(seed)
    n, own = COLUMNS, count if share else 0
    pnl = r.standard_t(4, size=(count, 3)) @ r.normal(size=(3, n)) + 0.3 * r.standard_t(4, size=(count, n))
    rows = np.hstack([-pnl, -np.ones((count, 1)), -np.eye(count) if own else np.zeros((count, 0))])
    start = np.concatenate([10 * r.normal(size=n), [0.0], np.zeros(own)])
    reach = np.concatenate([np.full(n, 20.0), [1e4], np.full(own, 1e4)])
    weight = 0.0 if limit is not None else 1.0
    linear = np.concatenate([np.zeros(n), [weight], np.full(own, weight * share)])
    cost = np.concatenate([r.uniform(0.05, 0.2, n), np.zeros(1 + own)])
    names, tier, upper = [f"loss[{s}]" for s in range(count)], [-1.0] * count, [0.0] * count
    if limit is not None:
        rows = np.vstack([rows, np.concatenate([np.zeros(n), [1.0], np.full(own, share)])])
        names, tier, upper = [*names, "shortfall"], [*tier, 0.0], [*upper, limit]
    return Program(
        columns=(*(f"c{i}" for i in range(n)), "quantile", *(f"beyond[{s}]" for s in range(own))), start=start,
        lower=np.concatenate([-reach[:n], [-1e4], np.zeros(own)]), upper=reach,
        lot=np.concatenate([np.ones(n), np.zeros(1 + own)]), linear=linear, buy=cost, sell=cost,
        row_names=tuple(names), rows=rows, row_upper=np.array(upper), row_tier=np.array(tier),
    )  # fmt: skip


@pytest.mark.parametrize("share", [0.0, 1 / (0.05 * SCENARIOS)], ids=["worst case", "shortfall"])
@pytest.mark.parametrize("seed", range(3))
def test_a_tail_over_the_worst_scenarios_is_the_whole_tails_optimum(share: float, seed: int) -> None:
    program, sizes = tail(share, seed), []

    def inner(part: Program, deadline: float | None, warm: object) -> object:
        sizes.append(len(part.row_names))
        return propose(part, solver="highs")

    found = Screened(inner).solve(program, deadline=None)
    whole = solve(program, solver="highs")
    assert certify(program, found).optimal and max(sizes) < 0.6 * SCENARIOS
    assert objective(program, found.h) == pytest.approx(whole.certificate.primal, rel=1e-6)


def test_a_limit_on_a_tail_is_kept_over_all_scenarios() -> None:
    share = 1 / (0.05 * SCENARIOS)
    free = solve(tail(share)).certificate.primal
    program = tail(share, limit=1.5 * free)
    assert worth_screening(program)
    found, whole = solve(program), solve(program, solver="highs")
    assert found.certificate.optimal and found.certificate.chain[-1].startswith("screened")
    assert found.certificate.primal == pytest.approx(whole.certificate.primal, rel=1e-6, abs=1e-6)


def test_where_most_scenarios_matter_the_whole_program_is_solved() -> None:
    program = tail(1 / SCENARIOS)  # the mean loss: every scenario counts
    found = solve(program)
    assert found.certificate.optimal and "most scenarios matter" in " ".join(found.certificate.chain)


def test_programs_of_few_scenarios_are_left_to_other_solvers() -> None:
    assert worth_screening(tail(1 / (0.05 * SCENARIOS))) and not worth_screening(tail(0.01, count=60))
