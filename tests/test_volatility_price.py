"""The price of volatility: the optimum of cost + price x sigma, proved, against cones solved elsewhere."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from recorded_markets import spx_days, spx_market

import optihedge as oh
from optihedge.errors import SpecError
from optihedge.program.archive import load_program, save_program
from optihedge.program.aversion import at_answer, equivalent_aversion, with_aversion
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import judge
from optihedge.program.chain import solve
from optihedge.program.duality import dual_gap
from optihedge.program.lots import rounding
from optihedge.program.lots.rounding import round_program
from optihedge.program.program import Program, objective
from optihedge.program.status import Status
from optihedge.program.volatility import VolatilityLimit, VolatilityPrice


def priced(seed=0, price=0.6, n=40, scale=1.0, **given) -> Program:
    """A book whose hedges cost; held positions in a third of the columns."""
    rng = np.random.default_rng(seed)
    start = np.where(rng.random(n) < 0.3, rng.normal(size=n) * 10, 0.0) * scale
    volatility = VolatilityPrice(
        name="v", price=price, factors=rng.normal(size=(8, n)), factor_offset=rng.normal(size=8) * 5 * scale,
        specifics=sp.random(5, n, 0.2, random_state=seed, format="csr"), specific_offset=np.zeros(5),
        diagonal=np.full(n, 0.01),
    )  # fmt: skip
    columns = tuple(f"c{i}" for i in range(n))
    box = {"lower": start - 100 * scale, "upper": start + 100 * scale}
    costs = {"buy": np.full(n, 0.3), "sell": np.full(n, 0.3), "lot": np.ones(n)}
    return Program(columns=columns, start=start, volatility_price=volatility, **{**box, **costs, **given})


def by_cone(p: Program) -> float:
    h, v = cp.Variable(len(p.columns)), p.volatility_price
    parts = [v.factors @ h + v.factor_offset, v.specifics @ h + v.specific_offset, cp.multiply(v.diagonal**0.5, h)]
    cost = cp.sum(cp.multiply(p.buy, cp.abs(h - p.start))) + v.price * cp.norm(cp.hstack(parts), 2)
    rows = [p.rows @ h <= p.row_upper] if len(p.row_names) else []
    limit = p.volatility_limit
    if limit is not None:
        rows.append(cp.norm(limit.factors @ h + limit.factor_offset, 2) <= limit.limit)
    return cp.Problem(cp.Minimize(cost), [h >= p.lower, h <= p.upper, *rows]).solve(solver="CLARABEL")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("solver", ["auto", "clarabel", "cvxpy"])
def test_the_optimum_is_that_of_the_cone_problem_and_proved(seed, solver):
    p = priced(seed)
    answer = solve(p, solver=solver)
    assert answer.certificate.primal == pytest.approx(by_cone(p), rel=1e-6)
    if solver != "cvxpy":
        assert answer.certificate.optimal


def test_the_program_of_an_aversion_is_whole_and_one_that_overflows_is_refused():
    p = priced(3)
    made = with_aversion(p, 0.25)
    checked = replace(made)  # looked at again, entry by entry
    h = np.random.default_rng(0).normal(size=len(p.columns)) * 10
    assert made.row_table is p.row_table
    assert (made.specifics != checked.specifics).nnz == 0
    assert made.specifics.has_canonical_format
    assert objective(made, h) == pytest.approx(objective(checked, h), rel=1e-14)
    sigma, v = p.volatility_price.volatility(h), p.volatility_price
    by_hand = objective(p, h) - v.price * sigma + 0.125 * sigma**2 + v.price**2 / 0.5
    assert objective(made, h) == pytest.approx(by_hand, rel=1e-12)
    with np.errstate(invalid="ignore"), pytest.raises(SpecError):
        with_aversion(p, np.inf)


def closable(seed: int, spread: float, cost: float, fixed: float = 0.0) -> Program:
    """A book of which every line may be traded, of risks that differ by powers of ten, and what nobody can hedge."""
    rng, n = np.random.default_rng(seed), 15
    mix = lambda rows: np.linalg.qr(rng.normal(size=(rows, n)))[0]  # noqa: E731
    start, each = np.round(rng.normal(size=n) * 50), cost * rng.uniform(0.2, 1, n)
    volatility = VolatilityPrice(
        name="v", price=0.63, factors=1e3 * (mix(16) * np.logspace(0, -spread, n)) @ mix(n), factor_offset=np.zeros(16),
        specifics=sp.csr_array((1, n)), specific_offset=np.array([fixed]), diagonal=np.zeros(n),
    )  # fmt: skip
    return Program(columns=tuple(f"c{i}" for i in range(n)), start=start, lower=start - 3e3, upper=start + 3e3,
                   buy=each, sell=each, lot=np.ones(n), volatility_price=volatility)  # fmt: skip


@pytest.mark.parametrize("fixed", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("spread", [0.0, 2.0, 4.0])
@pytest.mark.parametrize("cost", [1e-3, 0.1, 10.0])
def test_a_hedge_that_leaves_no_volatility_is_proved(fixed, spread, cost):
    for seed in range(3):
        p = closable(seed, spread, cost, fixed)
        answer = solve(p)
        assert answer.certificate.optimal, str(answer.certificate)
        assert answer.certificate.primal <= by_cone(p) + 1e-6 * answer.certificate.scale


def test_a_book_that_is_worth_closing_is_closed_and_in_whole_lots_too():
    p = closable(0, 0.0, 1e-3)
    answer = solve(p)
    assert answer.certificate.optimal and np.abs(answer.h).max() < 1e-9
    whole = round_program(p, answer.h, solve, multipliers=answer.multipliers)
    assert not whole.h.any()
    assert whole.objective == pytest.approx(float(p.buy @ np.abs(p.start)))


@pytest.mark.parametrize("seed", [15, 30, 63, 78, 86, 116])
def test_whole_lots_of_a_whole_hedge_are_no_worse_than_the_nearest_ones_or_none(seed):
    p = anyhow(seed)
    p = replace(p, lot=np.full(len(p.start), [0.1, 1.0, 5.0][seed % 3]))
    answer = solve(p)
    assert answer.pull is not None and not p.row_names
    whole = round_program(p, answer.h, solve, multipliers=answer.multipliers)
    nearest = p.start + p.lot * np.round((answer.h - p.start) / p.lot)
    assert whole.objective == objective(p, whole.h)
    assert whole.objective <= min(objective(p, nearest), objective(p, p.start)) + 1e-9 * answer.certificate.scale


def test_no_pull_proves_more_than_the_optimum():
    """A pull longer than the price is shortened to it: its bound stays below the optimum."""
    rng = np.random.default_rng(2)
    for seed in range(5):
        p = closable(seed, 1.0, 1.0, 0.1)
        least = by_cone(p)
        for size in (0.1, 1.0, 10.0, 1e6):
            pull = size * rng.normal(size=len(p.volatility_price.parts(p.start)))
            verdict = judge(p, Candidate(p.start, np.zeros(0), Status.OPTIMAL, pull=pull))
            assert verdict.primal - verdict.gap <= least * (1 + 1e-7)
    dear = closable(0, 0.0, 1e4)  # not worth closing, and a long enough pull leaves no slope in what would be traded
    v = dear.volatility_price
    pull = np.linalg.lstsq(v.matrix.T.toarray(), dear.sell * np.sign(dear.start), rcond=None)[0]
    assert np.linalg.norm(pull) > v.price
    assert judge(dear, Candidate(0 * dear.start, np.zeros(0), Status.OPTIMAL, pull=pull)).status is Status.FAILED


def test_a_pull_of_other_parts_or_not_finite_is_no_pull():
    p = closable(1, 1.0, 1.0, 0.1)
    plain = judge(p, Candidate(p.start, np.zeros(0), Status.OPTIMAL))
    for pull in (np.zeros(3), np.full(len(p.volatility_price.parts(p.start)), np.nan)):
        assert judge(p, Candidate(p.start, np.zeros(0), Status.OPTIMAL, pull=pull)).gap == plain.gap


@pytest.mark.slow
def test_random_programs_near_whole_hedges_are_proved():
    """Rows, quadratic and 3/2 costs, own risks, offsets: at most one in a hundred may be left to no solver."""
    kinks = failed = 0
    for seed in range(400):
        p = anyhow(seed)
        answer = solve(p)
        kinks += answer.pull is not None
        failed += answer.certificate.status is Status.FAILED
    assert kinks > 100 and failed <= 4


def anyhow(seed: int) -> Program:
    """A random Program under a price of volatility, of sizes over several powers of ten."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 40))
    k = int(rng.integers(1, n + 8))
    some = lambda share, value: value if rng.random() < share else 0.0 * value  # noqa: E731
    factors = rng.normal(size=(k, n)) * 10 ** (rng.uniform(0, 3) - rng.uniform(0, 1.5) * np.arange(k)[:, None] / k)
    start = np.round(rng.normal(size=n) * 10 ** rng.uniform(0, 3)) * (rng.random(n) < 0.7)
    volatility = VolatilityPrice(
        name="v", price=10 ** rng.uniform(-2, 1), factors=factors, specifics=sp.csr_array((1, n)),
        factor_offset=some(0.3, rng.normal(size=k) * 10 ** rng.uniform(-4, 3)),
        specific_offset=np.array([some(0.3, 10 ** rng.uniform(-6, 2))]),
        diagonal=some(0.4, 10 ** rng.uniform(-2, 2, n)),
    )  # fmt: skip
    each, width = 10 ** rng.uniform(-3, 2) * rng.uniform(0.2, 1, n), 10 ** rng.uniform(1, 4)
    rows = rng.normal(size=(int(some(0.4, 1.0) * rng.integers(1, 4)), n))
    room = np.abs(rows @ start) * 0.3 + 0.01
    return Program(
        columns=tuple(f"c{i}" for i in range(n)), start=start, lower=start - width, upper=start + width, buy=each,
        sell=each * rng.uniform(0.8, 1.2, n), lot=np.ones(n), volatility_price=volatility,
        row_names=tuple(f"r{i}" for i in range(len(rows))), rows=rows, row_lower=np.minimum(rows @ start, 0) - room,
        row_upper=np.maximum(rows @ start, 0) * 0.2 + room,
        quadratic=some(0.3, each * 1e-4), power=some(0.2, each * 1e-2),
    )  # fmt: skip


def test_rows_and_a_limit_of_another_volatility_hold_beside_the_price():
    free = priced(3)
    row = np.zeros(40)
    row[:5] = 1.0
    limit = VolatilityLimit(
        name="l", factors=np.eye(40)[:3], factor_offset=np.zeros(3), specifics=sp.csr_array((0, 40)),
        specific_offset=np.zeros(0), diagonal=np.zeros(40), limit=2.0,
    )  # fmt: skip
    p = priced(3, row_names=("r",), rows=sp.csr_array(row[None]), row_upper=np.array([-3.0]), volatility_limit=limit)
    answer = solve(p)
    assert answer.certificate.optimal
    assert answer.certificate.primal == pytest.approx(by_cone(p), abs=1e-6 * answer.certificate.scale)
    assert answer.certificate.primal > solve(free).certificate.primal + 1e-3


def test_variance_at_the_equivalent_aversion_gives_the_same_trades():
    p = priced(1)
    answer = solve(p)
    aversion = equivalent_aversion(p, answer.h)
    assert aversion == pytest.approx(0.6 / p.volatility_price.volatility(answer.h))
    np.testing.assert_allclose(solve(with_aversion(p, aversion)).h, answer.h, atol=1e-8)


def test_a_book_in_other_units_has_the_same_hedge():
    p, large = priced(2), priced(2, scale=1e4)
    np.testing.assert_allclose(solve(large).h / 1e4, solve(p).h, atol=1e-8)


def test_the_quadratic_program_touches_the_priced_one_from_above():
    p = priced(4)
    rng = np.random.default_rng(0)
    at = rng.normal(size=40)
    touching = at_answer(p, at)
    assert objective(touching, at) == pytest.approx(objective(p, at), rel=1e-12)
    for other in rng.normal(size=(20, 40)) * 5:
        assert objective(touching, other) >= objective(p, other)


def test_the_proof_is_a_bound_below_every_other_answer():
    p = priced(5)
    rng = np.random.default_rng(0)
    at = p.start + rng.normal(size=40) * 0.1
    bound = objective(p, at) - dual_gap(p, at, np.zeros(0)).total
    for other in rng.uniform(p.lower, p.upper, size=(50, 40)):
        assert objective(p, other) >= bound
    assert judge(p, Candidate(at, np.zeros(0), "optimal")).status != "optimal"


def test_dear_hedges_leave_the_book_as_it_is_and_cheap_ones_take_all_risk_off():
    dear = priced(0, buy=np.full(40, 1e6), sell=np.full(40, 1e6))
    np.testing.assert_array_equal(solve(dear).h, dear.start)
    p = priced(0, buy=np.full(40, 1e-6), sell=np.full(40, 1e-6))
    least = solve(with_aversion(p, 1e6)).h
    v = p.volatility_price
    assert v.volatility(solve(p).h) == pytest.approx(v.volatility(least), rel=1e-3)


def test_nothing_held_and_nothing_to_hedge_trades_nothing():
    p = priced(0)
    v = p.volatility_price
    empty = VolatilityPrice(**{**vars(v), "factor_offset": np.zeros(8)})
    q = Program(columns=p.columns, start=np.zeros(40), lower=p.lower, upper=p.upper, buy=p.buy, sell=p.sell,
                volatility_price=empty)  # fmt: skip
    answer = solve(q)
    assert answer.certificate.optimal and not answer.h.any()


@pytest.mark.parametrize("seed", range(4))
def test_whole_lots_are_no_worse_than_any_of_their_neighbours(seed):
    p = priced(seed, n=6, buy=np.full(6, 0.5), sell=np.full(6, 0.5), lot=np.full(6, 4.0))
    answer = solve(p)
    found = round_program(p, answer.h, lambda q: solve(q).candidate)
    lots = (found.h - p.start) / 4.0
    np.testing.assert_allclose(lots, np.round(lots), atol=1e-9)
    assert found.objective == pytest.approx(objective(p, found.h), rel=1e-12)
    assert found.bound <= found.objective
    near = np.array(np.meshgrid(*[[-4.0, 0.0, 4.0]] * 6)).reshape(6, -1).T
    best = min(objective(p, found.h + step) for step in near)
    assert found.objective <= best + 1e-9 * abs(best)


def test_books_that_trading_frees_of_all_but_a_millionth_of_their_risk_are_proved(recorded):
    """One option each, hedged with the index and all options of up to 30 days."""
    folder = recorded("spx_options_2019")
    market = spx_market(folder, spx_days(folder)[9], liquid=False, max_days=30)
    model = oh.load_model("optimal_hedge")
    for name, quantity in (("SPXW-20190520-2870-C", 71.0), ("SPXW-20190605-2905-P", -292.0)):
        program = model.problem(market, pd.Series({name: quantity})).program
        volatility = program.volatility_price.volatility
        answer = solve(program, solver="structured")
        assert volatility(answer.h) < 1e-5 * volatility(program.start)
        assert answer.certificate.optimal, answer.certificate


def test_a_saved_program_keeps_its_price(tmp_path):
    p = priced(1)
    save_program(p, tmp_path / "p.npz")
    again = load_program(tmp_path / "p.npz")
    at = np.random.default_rng(0).normal(size=40)
    assert objective(again, at) == pytest.approx(objective(p, at), rel=1e-14)


@pytest.mark.parametrize("price", [0.0, -1.0, np.nan, np.inf])
def test_a_price_that_is_none_is_refused(price):
    with pytest.raises(SpecError, match="volatility_price"):
        priced(0, price=price)


def test_lots_of_few_legs_that_cost_nothing_are_looked_for_once(monkeypatch):
    """The nearest lots of a nearly perfect hedge change its volatility many times over, and cost no more than it."""
    held = np.array([70_000.3, -40_000.7])
    volatility = VolatilityPrice(
        name="v", price=0.6, factors=np.eye(2), factor_offset=held + np.array([3e-7, -2e-7]),
        specifics=sp.csr_array((0, 2)), specific_offset=np.zeros(0), diagonal=np.zeros(2),
    )  # fmt: skip
    p = Program(columns=("A", "B"), start=np.zeros(2), lower=[-1e6, -1e6], upper=[1e6, 1e6], buy=np.full(2, 0.1),
                sell=np.full(2, 0.1), lot=np.full(2, 0.1), volatility_price=volatility)  # fmt: skip
    answer, looked = solve(p).candidate, []
    best_lots = rounding.best_lots
    monkeypatch.setattr(rounding, "best_lots", lambda *args: looked.append(args) or best_lots(*args))
    found = round_program(p, answer.h, lambda inner: solve(inner).candidate, multipliers=answer.multipliers)
    assert found.h == pytest.approx(-held) and found.gap == pytest.approx(0.0, abs=1e-6)
    assert len(looked) <= 1


SIZES = (0, 12, 19, 26, 32, 53, 71, 83, 85, 88)  # of which quadratic Programs alone proved none


def of_all_sizes(seed: int) -> Program:
    """Columns that may double each other, free or dear, some fixed, most without risk of their own."""
    r = np.random.default_rng(seed)
    n, k = int(r.choice([5, 20, 80])), int(r.choice([1, 3, 10, 40]))
    some = lambda share: np.abs(r.normal(size=n)) * (r.random(n) < share)  # noqa: E731
    risk = r.normal(size=(k, n)) * 10.0 ** r.uniform(-3, 3)
    risk[:, 1] = -2 * risk[:, 0]
    price = VolatilityPrice(
        name="v", price=float(10.0 ** r.uniform(-2, 2)), factors=risk, specifics=sp.csr_array((0, n)),
        factor_offset=10.0 ** r.uniform(-2, 4) * r.normal(size=k), specific_offset=np.zeros(0),
        diagonal=some(r.choice([0, 0.5])) * 10.0 ** r.uniform(-4, 2),
    )  # fmt: skip
    start = np.round(r.normal(size=n) * 10) * (r.random(n) < 0.5)
    room = np.where(r.random((2, n)) < 0.2, 0.0, 10.0 ** r.uniform(0, 4, (2, n)))
    return Program(
        columns=tuple(f"c{i}" for i in range(n)), start=start, lower=start - room[0], upper=start + room[1],
        lot=10.0 ** r.integers(-2, 3, n), buy=some(0.5) * 10.0 ** r.uniform(-3, 2), sell=some(0.5), short=some(0.2),
        linear=r.normal(size=n) * 10.0 ** r.uniform(-3, 0), volatility_price=price,
    )  # fmt: skip


@pytest.mark.parametrize("seed", SIZES)
def test_columns_that_can_hedge_each_other_wholly_in_many_ways_have_a_proved_answer(seed: int) -> None:
    assert solve(of_all_sizes(seed)).certificate.optimal


def test_nothing_held_and_no_lots_is_proved_under_a_price_of_volatility() -> None:
    price = VolatilityPrice(
        name="v", price=2.0, factors=np.array([[3.0]]), factor_offset=np.zeros(1), specifics=sp.csr_array((0, 1)),
        specific_offset=np.zeros(0), diagonal=np.zeros(1),
    )  # fmt: skip
    still = Program(columns=("a",), start=[0.0], lower=[-9.0], upper=[9.0], linear=[1.0], volatility_price=price)
    found = solve(still)
    assert found.certificate.optimal and found.h.tolist() == [0.0]
