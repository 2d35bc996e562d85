"""Laws that any solver of a Program obeys: agreement within proof, monotone limits, no unit and no order decides."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from programs import random_program, with_rows

import optihedge as oh
from optihedge.example import write_example
from optihedge.program.certificate import certify
from optihedge.program.chain import Solution, solve
from optihedge.program.costs import Depth
from optihedge.program.program import Program, objective, row_violations
from optihedge.program.solvers import solver_named

SOLVERS = ("structured", "clarabel", "piqp", "osqp", "cvxpy")
SLACK = 1e-9  # of the scale: rounding of the objective itself


def book(seed: int, n: int = 14) -> Program:
    rng = np.random.default_rng(seed)
    return with_rows(rng, random_program(rng, n, ("costs", "impact", "holding", "specifics", "scales")), np.ones(n))


def solved(p: Program) -> Solution:
    solution = solve(p)
    assert solution.certificate.status == "optimal", str(solution.certificate)
    return solution


@pytest.mark.parametrize("seed", range(12))
def test_law_8_solvers_differ_by_no_more_than_their_gaps_and_residuals_allow(seed):
    p = book(seed)
    found = []
    for name in SOLVERS:
        candidate = solver_named(name).solve(p, deadline=20.0)
        certificate = certify(p, candidate)
        if certificate.status == "optimal":
            h = np.clip(candidate.h, p.lower, p.upper)
            hard = np.isinf(p.row_penalty)
            slack = np.abs(candidate.multipliers[hard]) @ row_violations(p, h)[hard]
            found.append((certificate.primal, abs(certificate.gap) + slack, certificate.scale))
    assert len(found) >= 3
    for value, room, scale in found:
        for other, more, _ in found:
            assert abs(value - other) <= room + more + SLACK * scale


@pytest.mark.parametrize("seed", range(12))
def test_law_6_a_tighter_limit_never_lowers_the_objective_and_a_wider_universe_never_raises_it(seed):
    p = book(seed)
    best = solved(p).certificate
    room = 2e-6 * best.scale
    low, high = (limit * 0.1 for limit in (np.abs(p.row_lower), np.abs(p.row_upper)))
    wide = replace(p, row_lower=p.row_lower - low, row_upper=p.row_upper + high)
    assert solved(wide).certificate.primal <= best.primal + room
    boxed = replace(p, lower=p.lower - 0.1 * (p.upper - p.lower), upper=p.upper + 0.1 * (p.upper - p.lower))
    assert solved(boxed).certificate.primal <= best.primal + room
    frozen = np.arange(len(p.columns)) == 2
    inside = np.clip(p.start, p.lower, p.upper)
    fewer = replace(p, lower=np.where(frozen, inside, p.lower), upper=np.where(frozen, inside, p.upper))
    narrow = solve(fewer).certificate
    assert narrow.status in ("optimal", "infeasible")
    assert narrow.status == "infeasible" or narrow.primal >= best.primal - room


def permuted(p: Program, order: np.ndarray) -> Program:
    """The Program with its columns in another order."""
    back = np.argsort(order)
    vectors = ("start", "lower", "upper", "lot", "diagonal", "linear", "buy", "sell", "quadratic", "power", "long",
               "short")  # fmt: skip
    d = p.depth
    return replace(
        p, columns=tuple(p.columns[i] for i in order), factors=p.factors[:, order], specifics=p.specifics[:, order],
        rows=p.rows[:, order], rows_on_holdings=p.rows_on_holdings[:, order], rows_on_trades=p.rows_on_trades[:, order],
        depth=Depth(column=back[d.column], side=d.side, beyond=d.beyond, slope=d.slope),
        **{name: getattr(p, name)[order] for name in vectors},
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_law_2_the_order_of_columns_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    p = random_program(rng, 14)
    order = rng.permutation(14)
    one, other = solved(p).certificate, solved(permuted(p, order)).certificate
    assert abs(one.primal - other.primal) <= 2e-6 * one.scale


@pytest.mark.parametrize("seed", range(8))
def test_law_2_a_duplicate_column_at_linear_cost_and_a_useless_one_change_nothing(seed):
    rng = np.random.default_rng(seed)
    p = random_program(rng, 8, ("costs", "scales"))
    p = replace(p, diagonal=None, start=np.zeros(8), lower=p.lower * 100, upper=p.upper * 100)
    useless = np.zeros((len(p.factors), 1))

    def joined(column: np.ndarray, buy: float, sell: float) -> Program:
        return replace(
            p, columns=(*p.columns, "more"), start=np.append(p.start, 0), lower=np.append(p.lower, p.lower[0]),
            upper=np.append(p.upper, p.upper[0]), lot=np.append(p.lot, p.lot[0]),
            factors=np.hstack([p.factors, column]), specifics=None, diagonal=None, linear=np.append(p.linear, 0),
            buy=np.append(p.buy, buy), sell=np.append(p.sell, sell), quadratic=None, power=None, long=None, short=None,
            rows=None, rows_on_holdings=None, rows_on_trades=None,
        )  # fmt: skip

    best = solved(p)
    at_box = np.isclose(best.h[0], p.lower[0]) or np.isclose(best.h[0], p.upper[0])
    twin = solved(joined(p.factors[:, :1], p.buy[0], p.sell[0])).certificate
    idle = solved(joined(useless, p.buy[0] + 1e-6, p.sell[0] + 1e-6)).certificate
    if not at_box:
        assert abs(twin.primal - best.certificate.primal) <= 2e-6 * best.certificate.scale
    assert abs(idle.primal - best.certificate.primal) <= 2e-6 * best.certificate.scale


@pytest.mark.parametrize("seed", range(8))
def test_law_1_contracts_of_another_size_and_another_currency_leave_the_hedge_unchanged(seed):
    rng = np.random.default_rng(seed)
    p = random_program(rng, 10, ("costs", "impact", "holding", "rows", "scales"))
    size, money = 10 ** rng.uniform(-3, 3, 10), 137.0
    root = np.sqrt(money)
    other = replace(
        p, start=p.start / size, lower=p.lower / size, upper=p.upper / size, lot=p.lot / size,
        factors=p.factors * size * root, factor_offset=p.factor_offset * root, diagonal=p.diagonal * size**2 * money,
        linear=p.linear * size * money, buy=p.buy * size * money, sell=p.sell * size * money,
        long=p.long * size * money, short=p.short * size * money, quadratic=p.quadratic * size**2 * money,
        rows=p.rows @ sp.diags_array(size),
    )  # fmt: skip
    one, two = solved(p), solved(other)
    assert two.certificate.primal / money == pytest.approx(one.certificate.primal, abs=2e-6 * one.certificate.scale)
    reach = np.maximum(np.abs(p.lower), np.abs(p.upper))
    if (p.diagonal > 0).all():
        np.testing.assert_allclose(two.h * size / reach, one.h / reach, atol=1e-3)


def test_law_5_without_risk_only_what_the_limits_force_is_traded():
    p = Program(columns=("dear", "cheap"), start=[3.0, 0.0], lower=[-50, -50], upper=[50, 50], lot=[1, 1],
                buy=[2.0, 1.0], sell=[2.0, 1.0], row_names=("delta",), rows=[[1.0, 1.0]], row_lower=[10.0],
                row_upper=[10.0])  # fmt: skip
    np.testing.assert_allclose(solved(p).h, [3.0, 10.0 - 3.0], atol=1e-6)
    free = replace(p, row_lower=[-np.inf], row_upper=[20.0])
    assert (solved(free).h == free.start).all()
    prohibitive = replace(p, factors=np.eye(2), factor_offset=[-9.0, -9.0], buy=p.buy * 1e6, sell=p.sell * 1e6)
    np.testing.assert_allclose(solved(prohibitive).h, [3.0, 7.0], atol=1e-6)


def test_law_7_an_empty_book_trades_nothing():
    p = book(3)
    zero = replace(p, start=np.zeros(14), lower=-np.abs(p.lower) - 1, upper=np.abs(p.upper) + 1,
                   factor_offset=None, specific_offset=None, linear=None, sell=np.abs(p.sell),
                   row_lower=np.minimum(p.row_lower, 0), row_upper=np.maximum(p.row_upper, 0))  # fmt: skip
    solution = solved(zero)
    assert (solution.h == 0).all()
    assert objective(zero, solution.h) == 0


@pytest.mark.parametrize("seed", range(6))
def test_law_4_a_doubled_book_doubles_a_cost_free_neutral_hedge(seed):
    rng = np.random.default_rng(seed)
    n = 6
    factors, fixed, exposure = rng.normal(size=(8, n)), rng.normal(size=8), rng.normal(size=n)
    p = Program(columns=tuple("abcdef"), start=np.zeros(n), lower=-np.full(n, 1e3), upper=np.full(n, 1e3),
                lot=np.full(n, 1e-3), factors=factors, factor_offset=fixed, row_names=("delta",), rows=[exposure],
                row_lower=[2.0], row_upper=[2.0])  # fmt: skip
    twice = replace(p, factor_offset=2 * fixed, row_lower=[4.0], row_upper=[4.0])
    np.testing.assert_allclose(solved(twice).h, 2 * solved(p).h, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["beta_hedge", "delta_neutral", "market_neutral", "optimal_hedge", "quantitative"])
def test_every_solver_ends_certified_at_one_optimum_of_every_shipped_model(name, tmp_path):
    pytest.importorskip("skfolio")
    pytest.importorskip("arch")
    folder = write_example(tmp_path / "example")
    market = oh.read_market(folder)
    book, model = oh.read_book(folder / "book.csv", market), oh.load_model(name)
    best = model.hedge(market, book).certificate
    for solver in SOLVERS:
        certificate = replace(model, solver=solver).hedge(market, book).certificate
        assert certificate.status == "optimal"
        assert abs(certificate.primal - best.primal) <= 2e-6 * best.scale
