"""What must give way: the least relaxation is feasible and least, and the named conflict is minimal, by another LP."""

import time
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from programs import planted_conflict, random_program, with_rows
from scipy.optimize import linprog

from optihedge.program.chain import solve
from optihedge.program.infeasible import conflict, give_way, relax, row_scale, unreachable_row
from optihedge.program.program import Program, row_violations
from optihedge.program.volatility import VolatilityLimit

TOTAL = 1e-6  # relative, of the least total against another LP's


def independent(p: Program, rows: np.ndarray, elastic: bool = True) -> float:
    """Least sum of violation / reach of the given hard rows by an LP over bought, sold, long and short parts.

    Quantities are h = long - short = start + bought - sold. Not elastic: 0 where the rows can be met, inf where not.
    """
    n, m = len(p.columns), len(rows)
    unit = np.maximum(np.maximum(np.abs(p.lower), np.abs(p.upper)), 1e-300)
    plain, size, trade = (matrix[rows].toarray() * unit for matrix in (p.rows, p.rows_on_holdings, p.rows_on_trades))
    scale = row_scale(p)[rows]
    value = np.hstack([plain + size, -plain + size, trade, trade]) / scale[:, None]  # long, short, bought, sold
    identity = sp.identity(n)
    balance = sp.hstack([identity, -identity, -identity, identity, sp.csr_array((n, 2 * m))])
    give = sp.identity(m)
    above = sp.hstack([sp.csr_array(value), -give, sp.csr_array((m, m))])
    below = sp.hstack([sp.csr_array(-value), sp.csr_array((m, m)), -give])
    box = sp.hstack([identity, -identity, sp.csr_array((n, 2 * n + 2 * m))])
    high, low = p.row_upper[rows] / scale, p.row_lower[rows] / scale
    limits = [(above, high), (below, -low), (box, p.upper / unit), (-box, -p.lower / unit)]
    A = sp.vstack([matrix for matrix, _ in limits], format="csr")
    b = np.concatenate([limit for _, limit in limits])
    bounds = [(0, None)] * (4 * n) + [(0, None if elastic else 0)] * (2 * m)
    found = linprog(
        np.concatenate([np.zeros(4 * n), np.ones(2 * m)]), A_ub=A[np.isfinite(b)], b_ub=b[np.isfinite(b)], A_eq=balance,
        b_eq=p.start / unit, bounds=bounds, method="highs-ipm" if elastic else "highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    return float(found.fun) if found.status == 0 else np.inf


def check_relaxation(seed: int) -> None:
    p, _ = planted_conflict(np.random.default_rng(seed))
    hard = np.flatnonzero(np.isinf(p.row_penalty))
    relaxation = relax(p)
    assert not relaxation.feasible
    least = independent(p, hard)
    assert relaxation.total == pytest.approx(least, rel=TOTAL, abs=1e-9)
    eased = give_way(p, relaxation.h)
    assert solve(eased).certificate.status == "optimal"
    assert solve(p).certificate.status == "infeasible"
    assert "one way to make it feasible is" in str(relaxation)
    assert (relaxation.frame["change"] != 0).all()


@pytest.mark.parametrize("seed", range(20))
def test_the_relaxation_applied_is_feasible_and_of_least_total(seed):
    check_relaxation(seed)


def check_conflict(seed: int) -> None:
    p, planted = planted_conflict(np.random.default_rng(seed))
    names = conflict(p)
    rows = np.array([p.row_names.index(name) for name in names])
    assert independent(p, rows) > 0
    assert independent(p, rows, elastic=False) == np.inf
    for j in range(len(rows)):
        assert independent(p, np.delete(rows, j), elastic=False) == 0.0, f"without {names[j]} the rest still conflicts"
    others = np.array([j for j, name in enumerate(p.row_names) if name not in planted and np.isinf(p.row_penalty[j])])
    only = all(independent(p, _without(p, name), elastic=False) == 0.0 for name in planted) if len(others) else True
    if only:
        assert set(names) == planted


def _without(p: Program, name: str) -> np.ndarray:
    return np.array([j for j, other in enumerate(p.row_names) if other != name and np.isinf(p.row_penalty[j])])


@pytest.mark.parametrize("seed", range(12))
def test_the_named_conflict_is_minimal_and_the_planted_one_where_that_is_the_only_one(seed):
    check_conflict(seed)


@pytest.mark.slow
def test_fifty_planted_conflicts_are_named():
    for seed in range(100, 150):
        check_conflict(seed)
        check_relaxation(seed)


def cash(**fields) -> Program:
    """Two contracts at 1 a piece, at most 10 of each."""
    base = {"columns": ("a", "b"), "start": [0.0, 0.0], "lower": [0.0, 0.0], "upper": [10.0, 10.0], "lot": [1.0, 1.0]}
    return Program(**(base | fields))


def test_have_need_and_change_are_in_the_desks_units():
    p = cash(row_names=("at most",), rows=[[1.0, 1.0]], row_upper=[-5.0])
    relaxation = relax(p)
    assert relaxation.frame.loc["at most"].to_list() == [-5.0, 0.0, 5.0]
    assert "at most: have -5, need 0, smallest change +5" in str(relaxation)
    assert relaxation.total == pytest.approx(5 / 20)


def test_no_unit_decides_what_gives_way():
    two = {"row_names": ("low", "high"), "row_lower": [-np.inf, 12.0], "row_upper": [8.0, np.inf]}
    p = cash(rows=[[1.0, 1.0], [1.0, 1.0]], **two)
    thousand = cash(rows=[[1.0, 1.0], [1000.0, 1000.0]], **two | {"row_lower": [-np.inf, 12_000.0]})
    assert relax(p).total == pytest.approx(relax(thousand).total)
    assert relax(p).total == pytest.approx(4 / 20)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_order_of_priority_decides_what_gives_way(order):
    limits = {"row_lower": [-np.inf, 12.0], "row_upper": [8.0, np.inf]}
    p = cash(rows=[[1.0, 1.0], [1.0, 1.0]], row_names=("low", "high"), **limits)
    relaxation = relax(p, order)
    assert relaxation.frame.index.to_list() == [("low", "high")[int(np.argmax(order))]]
    assert abs(relaxation.frame["change"].iloc[0]) == pytest.approx(4.0)
    assert relax(replace(p, row_tier=np.array(order))).frame.index.to_list() == relaxation.frame.index.to_list()


@pytest.mark.parametrize("seed", range(10))
def test_a_higher_priority_is_never_worsened_for_a_lower_one(seed):
    rng = np.random.default_rng(seed)
    p, _ = planted_conflict(rng)
    hard = np.isinf(p.row_penalty)
    order = rng.integers(0, 3, len(p.row_names))
    relaxation = relax(p, order)
    for tier in np.unique(order[hard]):
        first = relax(replace(p, row_penalty=np.where(hard & (order <= tier), np.inf, 0.0)), order)
        missed, alone = (row_violations(p, found.h) / row_scale(p) for found in (relaxation, first))
        at = hard & (order == tier)
        assert missed[at].sum() <= alone[at].sum() + 1e-6 * hard.sum() * 1.01


def test_a_row_that_only_defines_a_column_never_gives_way_and_is_not_named():
    """The second contract is at least the first; the first has to be 8, the second at most 3."""
    p = cash(
        row_names=("defines", "enough", "at most"), rows=[[-1.0, 1.0], [1.0, 0.0], [0.0, 1.0]],
        row_lower=[0.0, 8.0, -np.inf], row_upper=[np.inf, np.inf, 3.0], row_tier=[-1, 0, 0],
    )  # fmt: skip
    relaxation = relax(p)
    assert "defines" not in relaxation.frame.index
    assert relaxation.frame["change"].abs().sum() == pytest.approx(5.0)
    assert conflict(p) == ("enough", "at most")
    assert set(conflict(replace(p, row_tier=np.zeros(3)))) == {"defines", "enough", "at most"}


def test_limits_that_merely_bind_do_not_move():
    """Far boxes: a share of the reach would be wide of any limit."""
    p = cash(
        lower=[-1e6, -1e6], upper=[1e6, 1e6], row_names=("at most", "at least", "other"),
        rows=[[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]],
        row_upper=[3.0, np.inf, 1.0], row_lower=[-np.inf, 5.0, -np.inf],
    )  # fmt: skip
    h = np.array([1.0 + 1e-10, 2.0])  # binds on `other` but for dust, `at most` holds, `at least` is missed by 2
    eased = give_way(p, h)
    assert eased.row_upper.tolist() == [3.0, np.inf, 1.0]
    assert 2.0 <= 5.0 - eased.row_lower[1] <= 2.0 + 0.1
    assert solve(eased).certificate.status == "optimal"


def test_feasible_programs_need_no_relaxation_and_have_no_conflict():
    rng = np.random.default_rng(0)
    p = with_rows(rng, random_program(rng, 10), np.ones(10))
    assert relax(p).feasible
    assert str(relax(p)) == "every limit can be met"
    assert conflict(p) == ()
    assert unreachable_row(p) is None


def test_a_volatility_limit_gives_way_after_the_rows_and_is_named_in_a_conflict():
    none = {"specifics": sp.csr_array((0, 2)), "specific_offset": np.zeros(0), "diagonal": np.zeros(2)}
    limit = VolatilityLimit(name="volatility", factors=np.eye(2), factor_offset=np.zeros(2), limit=5.0, **none)
    rows = {"row_names": ("enough", "slack"), "rows": [[1.0, 1.0], [1.0, 0.0]]}
    tight = cash(**rows, row_lower=[12.0, 0.0], volatility_limit=limit)  # least volatility: 6 of each, sqrt(72)
    relaxation = relax(tight)
    assert relaxation.frame.index.to_list() == ["volatility"]
    assert relaxation.frame.loc["volatility"].to_list() == pytest.approx([5.0, np.sqrt(72), np.sqrt(72) - 5], rel=1e-4)
    assert conflict(tight) == ("enough", "volatility")
    assert solve(give_way(tight, relaxation.h)).certificate.status == "optimal"
    assert solve(tight).certificate.status == "infeasible"


def test_the_time_it_takes_is_a_few_solves():
    p, _ = planted_conflict(np.random.default_rng(3), 200)
    feasible = give_way(p, relax(p).h)
    times = {}
    acts = {"solve": lambda: solve(feasible), "relax": lambda: relax(p), "conflict": lambda: conflict(p)}
    for name, act in acts.items():
        runs = []
        for _ in range(3):
            began = time.process_time()
            act()
            runs.append(time.process_time() - began)
        times[name] = min(runs)
    assert times["relax"] <= 5 * times["solve"] + 0.05
    assert times["conflict"] <= 30 * times["solve"] + 0.05


def least_total(p: Program) -> float:
    """The least sum of |change| / reach over the rows, by scipy alone: reach from the box, row by row."""
    rows, n, m = p.rows.toarray(), len(p.columns), len(p.row_names)
    reach = (np.abs(rows) * (p.upper - p.lower)).sum(axis=1)
    scaled, t = rows / reach[:, None], np.eye(m)
    above = np.vstack([np.hstack([-scaled, -t]), np.hstack([scaled, -t])])
    most = np.concatenate([-p.row_lower / reach, p.row_upper / reach])
    bounds = [*zip(p.lower, p.upper, strict=True), *[(0, None)] * m]
    return linprog(np.r_[np.zeros(n), np.ones(m)], above, most, bounds=bounds).fun


@pytest.mark.parametrize("seed", range(60))
def test_what_is_called_the_smallest_change_is_the_least_total_or_says_by_how_much_it_is_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(2, 8)), int(rng.integers(2, 7))
    rows = rng.normal(size=(m, n)) * 10.0 ** rng.integers(-3, 6, size=(m, 1))
    lower = rng.normal(size=m) * 3 * np.abs(rows).sum(axis=1)
    p = Program(
        columns=tuple(f"c{i}" for i in range(n)), start=np.zeros(n), lower=np.full(n, -2.0), upper=np.full(n, 2.0),
        row_names=tuple(f"r{j}" for j in range(m)), rows=rows, row_lower=lower,
        row_upper=lower + np.abs(rng.normal(size=m) * rows.sum(axis=1)),
        row_tier=rng.integers(0, 3, m) if seed % 2 else np.zeros(m, int),
    )  # fmt: skip
    found = relax(p)
    if found.feasible:
        return
    least, text = least_total(p), str(found)
    if "smallest change" in text:
        assert found.total == pytest.approx(least, rel=2e-3)
    else:
        assert f"in all {found.total:.4g}" in text and f"where {least:.4g} would do" in text and found.total > least
