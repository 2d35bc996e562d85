"""Shadow prices are what a limit's next unit is worth; shares of risk and cost sum to the whole."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from desks import options, stocks
from programs import random_program, with_rows

import optihedge as oh
from optihedge.hedge.explain import (
    explain,
    limit_sentences,
    shares,
    variance_by_contract,
    variance_by_factor,
)
from optihedge.hedge.variance import VarianceForm
from optihedge.program.chain import solve
from optihedge.program.duality import bound_prices
from optihedge.program.program import Program

SUM = 1e-9  # relative, of parts against the whole
PRICE = 0.01  # of the larger quotient


def moved(p: Program, row: int, step: float) -> Program:
    """The Program with the limits of one row moved by step."""
    shift = step * (np.arange(len(p.row_names)) == row)
    return replace(p, row_lower=p.row_lower + shift, row_upper=p.row_upper + shift)


def check_binding_limits(seed: int) -> int:
    """Compares every binding limit of a random Program with its difference quotients; returns how many."""
    rng = np.random.default_rng(seed)
    p = with_rows(rng, random_program(rng, 12, ("costs", "impact", "holding", "specifics", "scales")), np.ones(12))
    best = solve(p, solver="structured")
    assert best.certificate.status == "optimal"
    reach = (abs(p.rows) + p.rows_on_holdings + p.rows_on_trades) @ (p.upper - p.lower)
    weight = np.abs(best.multipliers) * reach
    count = 0
    for j in np.flatnonzero(weight > 1e-4 * best.certificate.scale):
        step = 1e-5 * reach[j]
        sides = [solve(moved(p, j, s), solver="structured").certificate for s in (-step, step)]
        if any(side.status != "optimal" for side in sides):
            continue  # the limits meet in one point: there is no quotient on that side
        left = (best.certificate.primal - sides[0].primal) / step
        right = (sides[1].primal - best.certificate.primal) / step
        price = -best.multipliers[j]
        noise = PRICE * max(abs(left), abs(right)) + 1e-9 * best.certificate.scale / step
        assert min(left, right) - noise <= price <= max(left, right) + noise, (seed, p.row_names[j], left, price, right)
        count += 1
    return count


@pytest.mark.parametrize("seed", range(6))
def test_a_shadow_price_lies_between_the_difference_quotients(seed):
    check_binding_limits(seed)


@pytest.mark.slow
def test_two_hundred_binding_limits_have_prices_between_their_difference_quotients():
    count, seed = 0, 100
    while count < 200:
        count, seed = count + check_binding_limits(seed), seed + 1


@pytest.mark.parametrize(
    ("held", "ends", "moved_ends", "sign"),
    [
        (1000.0, (-1e4, 2e4), (0.0, 1.0), -1),  # long: the upper end binds, and moving it up is wider
        (-1000.0, (-1e4, 2e4), (1.0, 0.0), 1),  # short: the lower end binds, and moving it up is tighter
        (1000.0, (5e3, 5e3), (1.0, 1.0), -1),  # a target: the derivative in the target
        (-1000.0, (-5e3, -5e3), (1.0, 1.0), 1),
    ],
)
def test_a_shadow_price_is_the_derivative_in_the_end_that_binds(held, ends, moved_ends, sign):
    market, middle = stocks(3), 0.5 * sum(ends)

    def hedged_within(step: float) -> oh.Hedge:
        low, high = (end + step * part for end, part in zip(ends, moved_ends, strict=True))
        centre = middle + step * min(moved_ends)
        limit = oh.Neutral("delta", target=centre, band=(centre - low, high - centre))
        return oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(limit,)).hedge(market, {"S0": held})

    left, at, right = (hedged_within(step) for step in (-10.0, 0.0, 10.0))
    price = at.shadow_prices["delta"]
    assert np.sign(price) == sign
    for a, b in ((left, at), (at, right)):
        assert (b.certificate.primal - a.certificate.primal) / 10 == pytest.approx(price, rel=1e-6)
    if ends[0] < ends[1]:  # what a wider band is worth
        wide = oh.Neutral("delta", target=middle, band=0.5 * (ends[1] - ends[0]) + 10.0)
        wider = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(wide,)).hedge(market, {"S0": held})
        assert (wider.certificate.primal - at.certificate.primal) / 10 == pytest.approx(-abs(price), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_parts_of_variance_sum_to_the_whole(seed):
    rng = np.random.default_rng(seed)
    form = VarianceForm(
        factors=rng.normal(size=(3, 7)), specifics=sp.csr_array(rng.normal(size=(4, 7))), own=rng.random(7),
        gamma=rng.normal(size=(2, 7)), gamma_specifics=sp.csr_array(rng.normal(size=(1, 7))),
    )  # fmt: skip
    quantities = rng.normal(size=7)
    whole = form.volatility(quantities) ** 2
    assert variance_by_contract(form, quantities).sum() == pytest.approx(whole, rel=SUM)
    assert variance_by_factor(form, quantities).sum() == pytest.approx(whole, rel=SUM)


def test_a_contracts_part_is_what_shrinking_its_position_takes_away():
    rng = np.random.default_rng(0)
    form = VarianceForm(factors=rng.normal(size=(3, 5)), specifics=sp.csr_array((0, 5)), own=rng.random(5),
                        gamma=np.zeros((0, 5)), gamma_specifics=sp.csr_array((0, 5)))  # fmt: skip
    quantities, step = rng.normal(size=5), 1e-6
    for i in range(5):
        less = quantities * (1 - step * (np.arange(5) == i))
        slope = (form.volatility(quantities) ** 2 - form.volatility(less) ** 2) / (2 * step)
        assert variance_by_contract(form, quantities)[i] == pytest.approx(slope, rel=1e-4)


def hedged() -> oh.HedgeModel:
    """A long stock book hedged by the last stock at a cost, with a turnover cap that binds."""
    model = oh.HedgeModel(
        risk=oh.SampleRisk(), objective=(oh.Variance(aversion=1e-3), oh.SpreadCost()),
        constraints=(oh.TurnoverLimit(30_000.0),),
    )  # fmt: skip
    return model.hedge(stocks(), pd.Series({"S0": 1000.0, "S1": 500.0}))


def test_shares_of_a_hedge_sum_to_its_risk_cost_and_objective():
    hedge = hedged()
    parts = shares(hedge)
    volatility = np.sqrt(hedge.risk.loc["variance", "after"])
    for frame in (parts.contract, parts.underlying, parts.factor):
        assert frame["volatility"].sum() == pytest.approx(volatility, rel=SUM)
    for frame in (parts.contract, parts.underlying):
        assert frame["cost"].sum() == pytest.approx(hedge.costs["total"], rel=SUM)
    assert parts.term["objective"].sum() == pytest.approx(hedge.certificate.primal, rel=SUM)


def test_explain_says_what_the_binding_limit_costs_and_where_risk_is():
    hedge = hedged()
    text = "\n".join(explain(hedge))
    name = hedge.limits["shadow_price"].abs().idxmax()
    assert f"{name} is at its upper limit" in text
    assert f"saves {abs(hedge.limits['shadow_price'][name]):,.4g} USD" in text
    assert "by underlying" in text
    assert "by factor" in text


def test_sentences_tell_targets_from_limits_and_are_silent_about_slack_ones():
    frame = pd.DataFrame(
        {"after": [0.0, 5.0, 1.0], "lower": [0.0, -np.inf, -9.0], "upper": [0.0, 5.0, 9.0], "violation": 0.0,
         "shadow_price": [2.0, -3.0, 0.0], "unit": ["USD", "USD", "USD"]}, index=["delta", "gross", "slack"],
    )  # fmt: skip
    sentences = limit_sentences(frame, "USD")
    assert sentences == [
        "gross is at its upper limit 5: one unit (USD) wider saves 3 USD, a tenth wider at most 1.5",
        "delta is held at 0: its target one unit (USD) further down saves 2 USD",
    ]
    assert limit_sentences(frame.iloc[:0], "USD") == []
    missed = frame.assign(violation=[7.0, *frame["violation"].iloc[1:]])
    (target,) = [s for s in limit_sentences(missed, "USD") if "is held at" in s]
    assert target.endswith("; it is missed by 7")


@pytest.mark.parametrize("seed", range(6))
def test_the_price_of_a_bound_lies_between_the_difference_quotients(seed):
    rng = np.random.default_rng(seed)
    p = random_program(rng, 8, ("costs", "impact", "holding", "depth", "power"))
    p = replace(p, start=np.clip(p.start, p.lower, p.upper), lower=p.lower * 0.1, upper=p.upper * 0.1)
    best = solve(p, solver="structured")
    price = bound_prices(p, best.h, best.multipliers)
    assert (price != 0).any()
    for i in np.flatnonzero(price):
        step = 1e-5 * (p.upper[i] - p.lower[i])
        name = "upper" if best.h[i] >= p.upper[i] else "lower"
        move = step * (np.arange(8) == i)
        sides = [solve(replace(p, **{name: getattr(p, name) + s * move}), solver="structured") for s in (-1, 1)]
        left = (best.certificate.primal - sides[0].certificate.primal) / step
        right = (sides[1].certificate.primal - best.certificate.primal) / step
        noise = PRICE * max(abs(left), abs(right)) + 1e-9 * best.certificate.scale / step
        assert min(left, right) - noise <= price[i] <= max(left, right) + noise


@pytest.mark.parametrize(("pull", "saves"), [(3.0, 0.0), (8.0, 3.0)])
def test_the_price_of_a_bound_is_what_one_contract_more_of_room_saves(pull, saves):
    """Held at its bound, where trading costs 5 either way: a contract more earns the pull and costs 5."""
    one = {"columns": ("a",), "start": [10.0], "lot": [1.0], "buy": [5.0], "sell": [5.0]}
    largest = Program(**one, lower=[0.0], upper=[10.0], linear=[-pull])
    smallest = Program(**one, lower=[10.0], upper=[20.0], linear=[pull])
    for p, wider, sign in ((largest, {"upper": [11.0]}, -1), (smallest, {"lower": [9.0]}, 1)):
        best = solve(p)
        assert best.h == 10.0
        assert bound_prices(p, best.h, best.multipliers) == pytest.approx(sign * saves)
        assert best.certificate.primal - solve(replace(p, **wider)).certificate.primal == pytest.approx(saves)


def test_a_binding_position_limit_gets_its_sentence():
    model = oh.HedgeModel(
        risk=oh.SampleRisk(), objective=(oh.Variance(aversion=1e-3), oh.SpreadCost()),
        constraints=(oh.PositionLimit(lower={"S0": 800.0}),),
    )  # fmt: skip
    hedge = model.hedge(stocks(), pd.Series({"S0": 1000.0, "S1": 500.0}))
    assert any("S0 is at its smallest quantity 800: each contract less saves" in text for text in explain(hedge))


def test_options_have_a_gamma_part():
    market = options()
    model = oh.HedgeModel(risk=oh.SampleRisk(), objective=(oh.Variance(aversion=1e-3), oh.SpreadCost()))
    hedge = model.hedge(market, pd.Series({"C100-30": -50.0}))
    parts = shares(hedge)
    assert parts.factor["volatility"].sum() == pytest.approx(np.sqrt(hedge.risk.loc["variance", "after"]), rel=SUM)
    assert (parts.factor.index == "gamma").sum() == 1
