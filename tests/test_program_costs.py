"""The cost pieces of columns: one formula for terms, Programs, proofs and lots."""

from dataclasses import replace

import numpy as np
import pytest
from programs import random_program

from optihedge.program import costs
from optihedge.program.costs import Costs, Depth

STEP = 1e-6


def pieces(seed: int, n: int = 5) -> Costs:
    r = np.random.default_rng(seed)
    depth = Depth(column=r.integers(0, n - 1, 7), side=r.choice([-1, 1], 7), beyond=r.integers(0, 16, 7) / 8,
                  slope=r.uniform(0, 1, 7))  # fmt: skip
    return Costs.of(n, buy=r.uniform(0, 1, n), sell=r.uniform(0, 1, n), quadratic=r.uniform(0, 1, n),
                    power=r.uniform(0, 1, n) * (r.random(n) < 0.5), long=r.uniform(0, 1, n), short=r.uniform(0, 1, n),
                    linear=r.normal(size=n), depth=depth)  # fmt: skip


def by_hand(c: Costs, before: float, after: float, i: int) -> float:
    """The module's formula, one column at a time."""
    x = after - before
    cost = c.buy[i] * max(x, 0) + c.sell[i] * max(-x, 0) + c.quadratic[i] * x * x + c.power[i] * abs(x) ** 1.5
    for column, side, beyond, slope in zip(c.depth.column, c.depth.side, c.depth.beyond, c.depth.slope, strict=True):
        cost += slope * max(side * x - beyond, 0) if column == i else 0.0
    return cost + c.long[i] * max(after, 0) + c.short[i] * max(-after, 0) + c.linear[i] * after


@pytest.mark.parametrize("seed", range(10))
def test_a_cost_is_what_the_formula_says(seed):
    c, r = pieces(seed), np.random.default_rng(seed + 100)
    before, after = r.normal(size=(2, 5)) * 3
    whole = c.by_contract(before, after)
    np.testing.assert_allclose(whole, [by_hand(c, before[i], after[i], i) for i in range(5)], rtol=1e-12)
    some = np.array([[4, 0, 3], [1, 1, 2]])  # of chosen columns, in any shape
    x = (after - before)[some]
    np.testing.assert_allclose(c.trading(x, some), c.trading(after - before)[some], rtol=1e-12)
    np.testing.assert_allclose(c.holding(after[some], some), c.holding(after)[some], rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_many_points_of_long_order_books_cost_what_each_alone_does(seed, monkeypatch):
    c, r = pieces(seed), np.random.default_rng(seed)
    x, column = np.round(r.normal(size=(40, 5)) * 8) / 8, np.broadcast_to(np.arange(5), (40, 5))
    alone = np.array([c.trading(row) for row in x])
    np.testing.assert_allclose(c.trading(x, column), alone, rtol=1e-12)
    monkeypatch.setattr(costs, "_MANY", 0)
    np.testing.assert_allclose(c.trading(x, column), alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_slopes_are_the_one_sided_differences(seed):
    c, r = pieces(seed), np.random.default_rng(seed + 200)
    before = r.integers(-16, 16, 5) / 8  # so that kinks are hit exactly
    kinks = np.array([before, np.zeros(5), r.normal(size=5)])
    kinks[2, c.depth.column[0]] = before[c.depth.column[0]] + c.depth.side[0] * c.depth.beyond[0]
    for at in kinks:
        below, above = c.slopes(before, at)
        right = (c.by_contract(before, at + STEP) - c.by_contract(before, at)) / STEP - c.linear
        left = (c.by_contract(before, at) - c.by_contract(before, at - STEP)) / STEP - c.linear
        np.testing.assert_allclose(above, right, atol=2e-3)  # sqrt of the step, where a 3/2 power starts
        np.testing.assert_allclose(below, left, atol=2e-3)
        assert (below <= above + 1e-12).all()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kinks", ["many", "two"])
def test_the_minimiser_has_no_slope_down_on_either_side(seed, kinks):
    c, r = pieces(seed), np.random.default_rng(seed + 300)
    if kinks == "two":  # at the start and at zero; each piece alone may pay
        pay, flat = 0.5 * r.random(5) * (r.random((2, 5)) < 0.5), r.random(5) < 0.6
        c = replace(c, sell=c.sell - pay[0] * c.buy, short=c.short + c.long, long=-pay[1] * c.long,
                    quadratic=c.quadratic * flat, power=0 * c.power, depth=Depth.none())  # fmt: skip
    before, slope, curvature = r.normal(size=5) * 3, r.normal(size=5) * 3, r.random(5) * (r.random(5) < 0.7)
    lower, upper = before - r.uniform(0, 4, 5), before + r.uniform(0, 4, 5)
    best = c.minimiser(before, slope, curvature, lower, upper)
    below, above = (slope + curvature * best + part for part in c.slopes(before, best))
    assert ((best >= lower) & (best <= upper)).all()
    assert ((above >= -1e-7) | (best == upper)).all()
    assert ((below <= 1e-7) | (best == lower)).all()


def test_two_charges_add_up_and_a_part_keeps_its_columns_costs():
    one, other, r = pieces(1), pieces(2), np.random.default_rng(3)
    before, after = r.normal(size=(2, 5)) * 3
    both = one.plus(other)
    together = one.by_contract(before, after) + other.by_contract(before, after)
    np.testing.assert_allclose(both.by_contract(before, after), together, rtol=1e-12)
    chosen = np.array([3, 0])
    part = one.over(chosen, 4)
    start, end = (np.concatenate([v[chosen], [7.0, -7.0]]) for v in (before, after))
    expected = np.concatenate([one.by_contract(before, after)[chosen], [0.0, 0.0]])
    np.testing.assert_allclose(part.by_contract(start, end), expected, rtol=1e-12)


def test_sizes_that_rows_count_are_costs_of_trading_and_holding():
    c, r = pieces(4), np.random.default_rng(5)
    before, after, on_trades, on_holdings = r.normal(size=(4, 5))
    charged = c.with_sizes(np.abs(on_trades), np.abs(on_holdings)).by_contract(before, after)
    sizes = np.abs(on_trades) * np.abs(after - before) + np.abs(on_holdings) * np.abs(after)
    np.testing.assert_allclose(charged, c.by_contract(before, after) - c.linear * after + sizes, rtol=1e-12)


def test_a_program_charges_what_its_pieces_say():
    p = random_program(np.random.default_rng(1), n=12)
    h = p.start + np.linspace(-1, 1, 12) * (p.upper - p.lower)
    assert p.by_contract(p.start, h) == pytest.approx(Costs(**p.pieces).by_contract(p.start, h))
