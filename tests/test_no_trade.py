"""Inside the no-trade region doing nothing is optimal; from outside the optimum lies on its edge."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from optihedge.program.chain import solve
from optihedge.program.no_trade import NoTradeRegion
from optihedge.program.program import Program
from optihedge.program.volatility import VolatilityPrice


def some_program(seed: int, cost: float, n: int = 5) -> Program:
    rng = np.random.default_rng(seed)
    return Program(
        columns=tuple("abcde"[:n]), start=rng.normal(size=n), lower=np.full(n, -50.0), upper=np.full(n, 50.0),
        factors=rng.normal(size=(3, n)), factor_offset=rng.normal(size=3), diagonal=rng.uniform(0.1, 1, n),
        buy=cost * rng.uniform(0.5, 1.5, n), sell=cost * rng.uniform(0.5, 1.5, n), lot=np.full(n, 1e-3),
    )  # fmt: skip


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.01, 30.0))
def test_nothing_is_traded_exactly_where_the_start_lies_inside(seed, cost):
    program = some_program(seed, cost)
    region = NoTradeRegion(program)
    h = solve(program, tolerance=1e-12).h  # what gains a millionth of the scale is traded too
    assert region.contains(program.start) == (np.abs(h - program.start).max() < 1e-7)
    marginal, slack = region.marginal(h), 1e-4 * cost
    assert (marginal >= -program.buy - slack).all() and (marginal <= program.sell + slack).all()


@pytest.mark.parametrize(("cost", "trades"), [(2.9, True), (3.1, False)])
def test_where_no_volatility_is_left_a_contract_trades_if_that_costs_less_than_to_hold_it(cost, trades):
    volatility = VolatilityPrice(
        name="v", price=0.3, factors=np.array([[10.0]]), factor_offset=np.zeros(1), specifics=sp.csr_array((0, 1)),
        specific_offset=np.zeros(0), diagonal=np.zeros(1),
    )  # fmt: skip
    program = Program(columns=("a",), start=[0.0], lower=[-50.0], upper=[50.0], buy=[cost], sell=[cost], lot=[1e-3],
                      volatility_price=volatility)  # fmt: skip
    edges = NoTradeRegion(program).edges(np.zeros(1)).iloc[0]
    assert edges[["lower", "upper"]].tolist() == ([0.0, 0.0] if trades else [-np.inf, np.inf])
    for start in (-2.0, 2.0):
        answer = solve(replace(program, start=np.array([start])))
        assert answer.certificate.optimal
        assert answer.h[0] == pytest.approx(0.0 if trades else start, abs=1e-9)


def test_the_edges_of_one_contract_are_where_its_trade_begins():
    program = some_program(3, 0.5, n=1)
    edges = NoTradeRegion(program).edges(program.start).iloc[0]
    for quantity, trades in ((edges["lower"] + 1e-6, False), (edges["lower"] - 1e-3, True),
                             (edges["upper"] - 1e-6, False), (edges["upper"] + 1e-3, True)):  # fmt: skip
        moved = Program(columns=("a",), start=[quantity], lower=[-50.0], upper=[50.0], factors=program.factors,
                        factor_offset=program.factor_offset, diagonal=program.diagonal, buy=program.buy,
                        sell=program.sell, lot=[1e-3])  # fmt: skip
        assert (abs(solve(moved).h[0] - quantity) > 1e-7) == trades


def test_a_dearer_contract_has_a_wider_region():
    narrow, wide = (NoTradeRegion(some_program(1, cost)).edges(np.zeros(5)) for cost in (0.1, 1.0))
    assert ((wide["upper"] - wide["lower"]) > (narrow["upper"] - narrow["lower"])).all()
    assert (wide["upper"] - wide["lower"]).iloc[0] == pytest.approx(10 * (narrow["upper"] - narrow["lower"]).iloc[0])
