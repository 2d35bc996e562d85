"""Tails beside a variance are solved without a column a scenario, and proved over all scenarios to nine digits."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from optihedge.program import solvers
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import GAP_TOLERANCE, certify
from optihedge.program.chain import Solution, solve
from optihedge.program.duality import scale_of
from optihedge.program.lots.rounding import round_program
from optihedge.program.program import Program, objective, row_violations
from optihedge.program.softened import own_columns
from optihedge.program.status import Status
from optihedge.program.volatility import VolatilityLimit, VolatilityPrice

EXACT = 1e-9  # of the scale
KINDS = ("plain", "ties", "equal", "zero", "whole numbers")


def curved_tail(seed: int, kind: str = "plain", count: int | None = None) -> Program:
    """A shortfall or a worst case beside risk, costs and limits of every kind, in its own currency unit."""
    r = np.random.default_rng(seed)
    n, k = int(r.integers(2, 31)), int(r.integers(1, 8))
    count = count or int(np.exp(r.uniform(np.log(30), np.log(1500))))
    confidence, money = float(r.choice([0.5, 0.8, 0.9, 0.95, 0.99, 0.999])), float(np.exp(r.normal(0, 3)))
    pnl = r.standard_t(4, size=(count, k)) @ r.normal(size=(k, n)) * r.random()
    pnl += r.uniform(0, 0.5) * r.standard_t(4, size=(count, n))
    if kind == "ties":
        pnl = pnl[r.integers(0, max(count // 10, 1), count)]
    if kind == "equal":
        pnl[:] = pnl[0]
    if kind == "zero":
        pnl[r.random(count) < 0.7] = 0.0
    if kind == "whole numbers":
        pnl = np.round(pnl)
    own = 0 if r.random() < 0.35 else count  # a worst case has no excess
    start = np.where(r.random(n) < 0.8, 10 * r.normal(size=n), 0.0)
    lower, upper = start - 20 * r.random(n), start + 20 * r.random(n)
    reach = float((np.abs(pnl) @ np.maximum(np.abs(lower), np.abs(upper))).max()) + 1.0
    weight, point = float(np.exp(r.normal(-1, 1))), lower + r.random(n) * (upper - lower)

    m = int(r.integers(0, 4))
    plain = r.normal(size=(m, n))
    values, room = plain @ point, r.exponential(0.5, m) * (r.random(m) < 0.6)
    penalty = np.where(r.random(m) < 0.3, r.exponential(0.3, m), np.inf)
    scenarios = np.hstack([-pnl, -np.ones((count, 1)), -np.eye(count, own)])
    turnover = 1.01 * np.abs(point - start).sum() if r.random() < 0.3 else np.inf
    none, size = np.zeros(1 + own), n + 1 + own
    wide = lambda v: np.concatenate([v, none])  # noqa: E731
    cost, factors = r.uniform(0, 0.2, n) * (r.random(n) < 0.9), np.exp(r.normal(-2, 1)) * r.normal(size=(k, n))
    factors = factors if r.random() < 0.8 else factors[:0]
    return Program(
        columns=(*(f"c{i}" for i in range(n)), "quantile", *(f"excess{s}" for s in range(own))), start=wide(start),
        lower=np.concatenate([lower, [-reach], np.zeros(own)]),
        upper=np.concatenate([upper, [reach], np.full(own, 2 * reach)]), lot=wide(np.full(n, 0.01)),
        linear=money * np.concatenate([r.normal(0, 0.1, n) * (r.random() < 0.5), [weight],
                                       np.full(own, weight / ((1 - confidence) * count))]),
        factors=np.sqrt(money) * np.hstack([factors, np.zeros((len(factors), 1 + own))]),
        diagonal=money * wide(r.uniform(0.01, 0.2, n) * (r.random(n) < (0.8 if len(factors) else 2.0))),
        buy=money * wide(cost), sell=money * wide(cost),
        quadratic=money * wide(r.uniform(0, 0.1, n) * (r.random() < 0.3)),
        power=money * wide(r.uniform(0, 0.2, n) * (r.random() < 0.15)),
        row_names=(*(f"r{j}" for j in range(m)), "turnover", *(f"loss{s}" for s in range(count))),
        rows=np.vstack([np.hstack([plain, np.zeros((m, 1 + own))]), np.zeros((1, size)), scenarios]),
        rows_on_trades=np.vstack([np.zeros((m, size)), wide(np.ones(n)), np.zeros((count, size))]),
        row_lower=np.concatenate([values - room, np.full(1 + count, -np.inf)]),
        row_upper=np.concatenate([values + room, [turnover], np.zeros(count)]),
        row_penalty=np.concatenate([money * penalty, np.full(1 + count, np.inf)]),
        row_tier=np.concatenate([np.zeros(m + 1), np.full(count, -1.0)]),
    )  # fmt: skip


def tail_of(program: Program) -> np.ndarray:
    """What each column adds to the tail: weights of the objective, the quantile's one."""
    auxiliary = program.lot == 0
    return np.where(auxiliary, program.linear, 0.0) / program.linear[auxiliary][0]


def limited(program: Program, limit: float, penalty: float = np.inf) -> Program:
    """The tail below a limit, free of charge."""
    tail, m = tail_of(program), len(program.row_names)
    none = sp.csr_array((1, len(tail)))
    return replace(
        program, linear=np.where(program.lot == 0, 0.0, program.linear), row_names=(*program.row_names, "tail"),
        rows=sp.vstack([program.rows, sp.csr_array(tail[None])], format="csr"), row_fixed=None, row_limit=None,
        rows_on_holdings=sp.csr_array((m + 1, len(tail))),
        rows_on_trades=sp.vstack([program.rows_on_trades, none], format="csr"),
        row_lower=np.append(program.row_lower, -np.inf), row_upper=np.append(program.row_upper, limit),
        row_penalty=np.append(program.row_penalty, penalty), row_tier=np.append(program.row_tier, 0.0),
    )  # fmt: skip


def proved(program: Program, warm: object = None, digits: float = EXACT) -> Solution:
    """The solution, found without a general solver over all scenarios and proved to nine digits."""
    found = solve(program, warm=warm)
    last = found.certificate.chain[-1].split(":")[0]
    assert last in ("start", "small", "softened", "screened"), found.certificate.chain
    assert found.certificate.optimal and abs(found.certificate.gap) <= digits * found.certificate.scale
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_a_tail_beside_risk_is_proved_to_nine_digits_over_all_scenarios(kind: str, seed: int) -> None:
    proved(curved_tail(seed, kind))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_hundreds_of_tails_are_proved_to_nine_digits(kind: str) -> None:
    for seed in range(100, 200):
        proved(curved_tail(seed, kind))


@pytest.mark.parametrize("seed", range(6))
def test_no_general_solver_finds_better(seed: int) -> None:
    program = curved_tail(seed, count=150)
    found, other = proved(program), solve(program, solver=("piqp", "clarabel")).certificate
    assert other.optimal
    assert found.certificate.primal <= other.primal + EXACT * other.scale
    assert found.certificate.primal == pytest.approx(other.primal, abs=abs(other.gap) + EXACT * other.scale)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_a_limit_where_a_weighted_tail_ends_has_the_weighted_tails_optimum(kind: str, seed: int) -> None:
    """Its multiplier is the weight (Lagrange)."""
    program = curved_tail(seed, kind)
    weighted = proved(program)
    value, scale = float(tail_of(program) @ weighted.h), weighted.certificate.scale
    found = proved(limited(program, value))
    weight = float(program.linear[program.lot == 0][0])
    assert found.certificate.primal == pytest.approx(weighted.certificate.primal - weight * value, abs=EXACT * scale)


def test_a_limit_that_does_not_bind_costs_nothing_and_a_soft_one_no_more_than_its_penalty() -> None:
    for seed in range(6):
        program = curved_tail(seed, count=200)
        weight = float(program.linear[program.lot == 0][0])
        weighted = proved(program)
        value, primal = float(tail_of(program) @ weighted.h), weighted.certificate.primal
        free = proved(replace(program, linear=np.where(program.lot == 0, 1e-9 * program.linear, program.linear)))
        loose = proved(limited(program, float(tail_of(program) @ free.h) + 1.0))
        scale = weighted.certificate.scale
        assert loose.certificate.primal == pytest.approx(free.certificate.primal, abs=1e-8 * scale)
        soft = proved(limited(program, value - 10.0, penalty=weight))
        assert soft.certificate.primal == pytest.approx(primal - weight * (value - 10.0), abs=EXACT * scale)


def test_a_limit_below_all_that_can_be_reached_is_proved_so() -> None:
    program = curved_tail(3, count=200)
    assert solve(limited(program, -1e9)).certificate.status == "infeasible"


@pytest.mark.parametrize("count", [60, 450])
@pytest.mark.parametrize("seed", range(3))
def test_a_tail_beside_a_priced_or_limited_volatility_has_an_answer_too(seed: int, count: int) -> None:
    program = curved_tail(seed + 2, count=count)
    plain = proved(program)
    n = len(program.start)
    risk = {"factors": program.factors, "factor_offset": np.zeros(len(program.factors)), "specific_offset": np.zeros(0),
            "specifics": sp.csr_array((0, n)), "diagonal": program.diagonal}  # fmt: skip
    at = VolatilityLimit(name="volatility", **risk, limit=1.0).volatility(plain.h)
    priced = VolatilityPrice(name="v", **risk, price=0.3 * at + 1e-3)
    rest = {"factors": None, "factor_offset": None, "diagonal": 0.5 * program.diagonal}
    proved(replace(program, **rest, volatility_price=priced), digits=GAP_TOLERANCE)
    loose, tight = (VolatilityLimit(name="v", **risk, limit=share * at + 1e-6) for share in (1.001, 0.999))
    scale, primal = plain.certificate.scale, plain.certificate.primal
    unbound = proved(replace(program, volatility_limit=loose))
    assert unbound.certificate.primal == pytest.approx(primal, abs=EXACT * scale)
    bound = proved(replace(program, volatility_limit=tight), digits=GAP_TOLERANCE)
    assert bound.certificate.primal >= primal - EXACT * scale


@pytest.mark.parametrize("count", [10, 12, 399, 400])
def test_few_scenarios_and_the_border_of_screening_are_no_exception(count: int) -> None:
    for seed in range(4):
        proved(curved_tail(seed, count=count))


@pytest.mark.parametrize("seed", range(4))
def test_a_warm_start_from_yesterdays_scenarios_ends_at_todays_optimum(seed: int) -> None:
    program = curved_tail(seed, count=500)
    r = np.random.default_rng(seed)
    moved = replace(program, linear=program.linear * (1 + 0.02 * r.normal(size=len(program.start)) * (program.lot > 0)))
    again, cold = proved(moved, proved(program).candidate), proved(moved)
    assert again.certificate.primal == pytest.approx(cold.certificate.primal, abs=EXACT * cold.certificate.scale)


@pytest.mark.parametrize("seed", range(3))
def test_whole_lots_of_a_curved_tail_cost_no_less_than_its_optimum_and_little_more(seed: int) -> None:
    program = replace(curved_tail(seed, count=60), row_lower=None, row_penalty=None)
    found = proved(program)
    rounded = round_program(program, found.h, lambda p: solve(p).candidate, multipliers=found.multipliers)
    scale = scale_of(program, found.h)
    assert -EXACT * scale <= rounded.objective - found.certificate.primal <= 0.05 * scale
    whole = (rounded.h / 0.01)[program.lot > 0] - (program.start / 0.01)[program.lot > 0]
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_without_scenarios_own_columns_the_objective_is_the_same_with_these_at_their_best(seed: int) -> None:
    program = curved_tail(seed, count=40)
    excess = np.array([name.startswith("excess") for name in program.columns])
    program = replace(program, lower=np.where(excess, 0.01 * seed, program.lower))
    own = own_columns(program)
    soft = own.softened(program)
    h = np.random.default_rng(seed).uniform(soft.lower, soft.upper)
    point = replace(found := solve(soft).candidate, h=h)
    whole = own.restored(program, point)
    assert objective(program, whole.h) == pytest.approx(objective(soft, h), rel=1e-12)
    assert (row_violations(program, whole.h)[own.row] <= 1e-12 * program.upper.max()).all()
    assert len(soft.columns) == len(program.columns) - len(own.row) and np.isfinite(found.h).all()


def test_a_quantile_outside_its_nearer_box_is_found_in_its_own() -> None:
    """The book's loss is small and every trade that the objective wants makes it large."""
    n, count = 3, 50
    rows = np.hstack([np.ones((count, n)), -np.ones((count, 1)), -np.eye(count)])
    none = np.zeros(1 + count)
    program = Program(
        columns=tuple(map(str, range(n + 1 + count))), start=np.append(np.full(n, 1e-3), none),
        lower=np.concatenate([np.zeros(n), [-1e4], np.zeros(count)]), upper=np.full(n + 1 + count, 1e4),
        lot=np.append(np.ones(n), none), diagonal=np.append(np.full(n, 0.1), none),
        linear=np.concatenate([np.full(n, -11.0), [1.0], np.full(count, 1 / 5)]), rows=rows,
        row_names=tuple(f"loss{s}" for s in range(count)), row_upper=np.zeros(count), row_tier=-np.ones(count),
    )  # fmt: skip
    found = proved(program)
    np.testing.assert_allclose(found.h[:n], 100.0, rtol=1e-9)  # 0.1 h = 11 - 1, for each of the three
    assert certify(program, found.candidate).optimal


@pytest.mark.parametrize("count", [150, 450])
def test_where_the_own_way_of_tails_fails_a_general_solver_answers(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(program: Program, deadline: float | None, warm: Candidate | None) -> Candidate:
        return Candidate.none(program, Status.FAILED, "out of order")

    program = curved_tail(0, count=count)
    own = proved(program).certificate
    monkeypatch.setattr(solvers, "_by_rows", fails)
    other = solve(program).certificate
    assert other.optimal and any("out of order" in step for step in other.chain)
    assert other.primal == pytest.approx(own.primal, abs=2 * GAP_TOLERANCE * own.scale)
