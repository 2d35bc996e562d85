"""Few columns trade: the active set's answer is the optimum, whoever else is asked."""

import time
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from optihedge.program.certificate import judge
from optihedge.program.chain import solve
from optihedge.program.costs import Depth
from optihedge.program.few_columns import FewColumns
from optihedge.program.program import Program
from optihedge.program.status import Status
from optihedge.program.volatility import VolatilityPrice

PRICE = 0.6


def options(seed: int, n: int = 300, price: float | None = PRICE, own: float = 0.0, levels: int = 3) -> Program:
    """Many alike columns, dear to trade and dearer by the level, on a book of few; borrow on shorts, bounds at zero."""
    rng = np.random.default_rng(seed)
    start = np.where(rng.random(n) < 0.05, np.round(rng.normal(size=n) * 20), 0.0)
    each = rng.uniform(0.05, 1.0, n)
    curves = np.polynomial.legendre.legvander(np.linspace(-1, 1, n), 5).T * each  # one smile: strikes are nearly alike
    rest = sp.random(6, n, 0.1, random_state=seed, format="csr") * 0.1
    risk = {"factors": curves, "factor_offset": rng.normal(size=6) * 30, "specifics": rest,
            "specific_offset": rng.normal(size=6), "diagonal": (0.05 * each) ** 2}  # fmt: skip
    column, beyond = np.repeat(np.arange(n), 2 * levels), np.tile(np.arange(1.0, levels + 1), 2 * n) * 8
    side = np.tile(np.repeat([1.0, -1.0], levels), n)
    depth = Depth(column=column, side=side, beyond=beyond, slope=0.02 * each[column])
    lower = np.where(rng.random(n) < 0.3, np.minimum(start, 0.0), -200.0)
    costs = {
        "buy": 0.1 * each,
        "sell": 0.15 * each,
        "short": np.where(rng.random(n) < 0.5, 0.01, 0.0),
        "lot": np.ones(n),
    }
    if price is not None:
        risk = {"volatility_price": VolatilityPrice(name="v", price=price, **risk)}
    charged = {"factors": own * rng.normal(size=(2, n)) * each, "diagonal": np.full(n, own**2)} if own else {}
    return Program(columns=tuple(f"c{i}" for i in range(n)), start=start, lower=lower, upper=np.full(n, 200.0),
                   depth=depth, **costs, **risk, **charged)  # fmt: skip


def others(p: Program) -> float:
    """The optimum by what was asked before."""
    answer = solve(p, solver=("structured", "clarabel"))
    assert answer.certificate.optimal
    return answer.certificate.primal


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("own", [0.0, 0.05])
@pytest.mark.parametrize("price", [None, 0.1, PRICE, 3.0])
def test_the_answer_is_the_optimum_to_the_last_digits(seed, own, price):
    p = options(seed, price=price, own=own if price is not None else 0.0)
    found = FewColumns().solve(p)
    assert found.status is Status.OPTIMAL
    verdict = judge(p, found)
    assert abs(verdict.gap) <= 1e-10 * verdict.scale
    assert verdict.primal <= others(p) + 1e-9 * verdict.scale
    assert (0 if price == 0.1 else 1) <= (found.h != p.start).sum() < len(p.columns) / 3


def test_whoever_is_asked_answers_alike():
    p = options(1)
    quick, slow = solve(p), solve(p, solver="structured")
    assert quick.certificate.chain[0].startswith("few columns: optimal")
    assert not any("few columns" in step for step in slow.certificate.chain)
    np.testing.assert_allclose(quick.h, slow.h, atol=1e-6 * np.abs(slow.h - p.start).max())


def test_the_unit_of_a_contract_changes_nothing():
    p = options(2)
    d, unit = p.depth, 10.0 ** np.random.default_rng(0).integers(-4, 5, len(p.columns))
    v = p.volatility_price
    other = replace(
        p, start=p.start / unit, lower=p.lower / unit, upper=p.upper / unit, lot=p.lot / unit, buy=p.buy * unit,
        sell=p.sell * unit, short=p.short * unit,
        depth=replace(d, beyond=d.beyond / unit[d.column], slope=d.slope * unit[d.column]),
        volatility_price=replace(v, factors=v.factors * unit, specifics=v.specifics @ sp.diags_array(unit),
                                 diagonal=v.diagonal * unit**2),
    )  # fmt: skip
    one, two = FewColumns().solve(p), FewColumns().solve(other)
    np.testing.assert_allclose(two.h * unit, one.h, rtol=1e-8, atol=1e-8)


def test_what_rests_is_exactly_where_it_rests():
    p = options(3)
    h = FewColumns().solve(p).h
    assert (h == p.start).mean() > 0.8
    assert ((h >= p.lower) & (h <= p.upper)).all()
    assert (h[np.abs(h - p.start) < 1e-9] == p.start[np.abs(h - p.start) < 1e-9]).all()


def test_a_start_outside_its_box_is_brought_inside():
    p = options(4)
    upper = p.upper.copy()
    held = np.flatnonzero(p.start > 0)
    upper[held] = 0.5 * p.start[held]
    p = replace(p, upper=upper)
    found = FewColumns().solve(p)
    assert found.status is Status.OPTIMAL
    assert judge(p, found).primal == pytest.approx(others(p), rel=1e-8)


def test_the_answer_does_not_depend_on_an_earlier_one():
    p = options(5)
    first = FewColumns().solve(p)
    again = FewColumns().solve(p, warm=replace(first, h=first.h + 1.0))
    assert first.h.tobytes() == again.h.tobytes()


def test_columns_of_the_same_risk_and_cost_are_no_trap():
    p = options(6, n=40, levels=1)
    v = p.volatility_price
    twice = lambda a: np.concatenate([a, a], axis=-1)  # noqa: E731
    d = p.depth
    double = Program(
        columns=(*p.columns, *(f"{name} again" for name in p.columns)), start=twice(p.start), lower=twice(p.lower),
        upper=twice(p.upper), buy=twice(p.buy), sell=twice(p.sell), short=twice(p.short), lot=twice(p.lot),
        depth=Depth(column=np.append(d.column, d.column + 40), side=twice(d.side), beyond=twice(d.beyond),
                    slope=twice(d.slope)),
        volatility_price=replace(v, factors=twice(v.factors), specifics=sp.hstack([v.specifics] * 2, format="csr"),
                                 diagonal=np.zeros(80)),
    )  # fmt: skip
    assert solve(double).certificate.optimal


def test_what_nothing_can_hedge_is_left_and_what_hedges_wholly_is_left_to_others():
    free = replace(options(7, n=30), buy=np.zeros(30), sell=np.zeros(30), short=np.zeros(30), depth=None)
    v = free.volatility_price
    free = replace(free, volatility_price=replace(v, diagonal=np.zeros(30)))
    assert solve(free).certificate.optimal
    dear = replace(options(7, n=30), buy=np.full(30, 1e6), sell=np.full(30, 1e6))
    np.testing.assert_array_equal(solve(dear).h, dear.start)


def test_rows_curves_and_limits_are_declined():
    p = options(8, n=20)
    for other in (
        replace(p, row_names=("r",), rows=np.ones((1, 20)), row_upper=[1e9], row_lower=None, row_penalty=None,
                row_tier=None, row_fixed=None, row_limit=None, rows_on_holdings=None, rows_on_trades=None),
        replace(p, power=np.ones(20)), replace(p, quadratic=np.ones(20)), replace(p, lower=p.start, upper=p.start),
    ):  # fmt: skip
        assert FewColumns().solve(other).status is Status.DECLINED


def test_a_deadline_is_kept():
    p = options(9, n=2000)
    began = time.perf_counter()
    assert FewColumns().solve(p, deadline=0.0).status is Status.FAILED
    assert time.perf_counter() - began < 5.0
