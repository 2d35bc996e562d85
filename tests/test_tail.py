"""Terms over scenarios, against brute force and independent linear programs."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from desks import own_greeks, stocks
from scipy.optimize import linprog

from optihedge.errors import DataError, InfeasibleError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.limits import TradeLimit, TurnoverLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.tail import ScenarioVariance, Shortfall, WorstCase
from optihedge.program.certificate import judge, judge_clean
from optihedge.program.chain import solve
from optihedge.program.status import Status
from optihedge.program.tolerances import ROUNDING, row_sizes
from optihedge.trades.lots import round_to_lots
from optihedge.trades.tradelist import trade_list

AGREE = 1e-6  # relative, of objectives
LIMITS = [(WorstCase, {}), (Shortfall, {"confidence": 0.9})]


def scenarios(market, count=200, seed=0):
    """Skewed P&L per contract: rare large losses that most contracts share."""
    rng = np.random.default_rng(seed)
    shock = -np.abs(rng.standard_t(3, (count, 1))) * 0.02
    moves = shock + rng.normal(0, 0.01, (count, len(market.names)))
    return pd.DataFrame(moves * market.notional.to_numpy(), columns=market.names)


BOXES = (TradeLimit(500.0),)


def hedged(market, book, objective, constraints=BOXES, **given):
    return HedgeModel(objective=objective, constraints=constraints, **given).hedge(market, book)


def cvar_by_linear_program(pnl, start, limit, confidence, half):
    """min t + sum z / ((1 - c) S) + half-spreads |x|, x = buys - sells in [0, limit] each."""
    count, n = pnl.shape
    c = np.concatenate([half, half, [1.0], np.full(count, 1 / ((1 - confidence) * count))])
    rows = np.hstack([-pnl, pnl, -np.ones((count, 1)), -np.eye(count)])
    bounds = [(0, limit)] * (2 * n) + [(None, None)] + [(0, None)] * count
    return linprog(c, A_ub=rows, b_ub=pnl @ start, bounds=bounds, method="highs").fun


@pytest.mark.parametrize("confidence", [0.0, 0.9, 0.95, 0.99])
def test_shortfall_is_the_mean_of_the_worst_losses_and_its_minimum_the_linear_programs(confidence):
    market, book = stocks(4), {"S0": 1000.0, "S1": -200.0}
    pnl = scenarios(market)
    term = Shortfall(pnl, confidence)
    hedge = hedged(market, book, (term, SpreadCost()))
    assert hedge.certificate.optimal
    start = hedge.before.to_numpy()
    half = market.trade_cost["buy"].to_numpy()
    best = cvar_by_linear_program(pnl.to_numpy(), start, 500.0, confidence, half)
    assert hedge.certificate.primal == pytest.approx(best, rel=AGREE)
    losses = np.sort(-(pnl.to_numpy() @ hedge.after.to_numpy()))[::-1]
    worst = round((1 - confidence) * len(losses))
    assert term.value(pnl.to_numpy() @ hedge.after.to_numpy()) == pytest.approx(losses[:worst].mean())
    assert hedge.charges["shortfall"] == pytest.approx(losses[:worst].mean(), rel=1e-5)


def test_shortfall_as_a_limit_binds():
    market, book = stocks(4), {"S0": 1000.0}
    pnl = scenarios(market)
    free = Shortfall(pnl, 0.9).value(pnl.to_numpy() @ np.array([1000.0, 0, 0, 0]))
    constraints = (Shortfall(pnl, 0.9, limit=0.5 * free), TradeLimit(1000.0))
    hedge = hedged(market, book, (SpreadCost(),), constraints)
    after = Shortfall(pnl, 0.9).value(pnl.to_numpy() @ hedge.after.to_numpy())
    assert after == pytest.approx(0.5 * free, rel=1e-5)
    inside = hedged(market, book, (SpreadCost(),), (Shortfall(pnl, 0.9, limit=1.01 * free), TradeLimit(1000.0)))
    assert (inside.trades == 0).all()


def test_worst_case_is_the_largest_loss():
    market, book = stocks(3), {"S0": 1000.0}
    pnl = scenarios(market, 50)
    hedge = hedged(market, book, (WorstCase(pnl), SpreadCost()))
    loss = (-(pnl.to_numpy() @ hedge.after.to_numpy())).max()
    assert hedge.charges["worst case"] == pytest.approx(loss, rel=1e-6)
    near = Shortfall(pnl, 1 - 1 / 50)  # the worst of fifty
    assert hedge.certificate.primal == pytest.approx(
        hedged(market, book, (near, SpreadCost())).certificate.primal, rel=AGREE
    )
    capped = hedged(market, book, (SpreadCost(),), (WorstCase(pnl, limit=1.5 * loss), TradeLimit(500.0)))
    assert (-(pnl.to_numpy() @ capped.after.to_numpy())).max() == pytest.approx(1.5 * loss, rel=1e-6)


@pytest.mark.parametrize(("kind", "given"), LIMITS)
@pytest.mark.parametrize("seed", range(4))
def test_the_price_of_a_tail_limit_lies_between_the_difference_quotients_in_its_argument(kind, given, seed):
    market, book = stocks(4, seed=seed), {"S0": 1000.0, "S1": -200.0}
    pnl = scenarios(market, 60, seed)
    start = pnl.to_numpy() @ np.array([1000.0, -200.0, 0.0, 0.0])
    limit = 0.6 * kind(pnl, **given).value(start)
    step = 1e-3 * limit
    left, at, right = (
        hedged(market, book, (SpreadCost(),), (kind(pnl, limit=limit + s, **given), TradeLimit(2000.0)))
        for s in (-step, 0.0, step)
    )
    quotients = [(b.certificate.primal - a.certificate.primal) / step for a, b in ((left, at), (at, right))]
    price = at.shadow_prices[kind.short_name]
    assert price < 0
    assert quotients[0] * (1 + AGREE) <= price <= quotients[1] * (1 - AGREE)
    assert at.limits.index.tolist() == [kind.short_name]
    assert at.limits.loc[kind.short_name, "upper"] == limit


@pytest.mark.parametrize(("kind", "given"), LIMITS)
def test_a_tail_limit_reports_its_own_value_whether_it_binds_or_not(kind, given):
    market, book = stocks(3), {"S0": 1000.0}
    pnl = scenarios(market, 50)
    term = kind(pnl, **given)
    before = term.value(1000.0 * pnl["S0"].to_numpy())
    for limit in (0.5 * before, 3 * before):
        hedge = hedged(market, book, (SpreadCost(),), (kind(pnl, limit=limit, **given), TradeLimit(2000.0)))
        row = hedge.limits.loc[term.label]
        assert row["before"] == pytest.approx(before)
        assert row["after"] == pytest.approx(term.value(pnl.to_numpy() @ hedge.after.to_numpy()))
        assert row["after"] == pytest.approx(min(limit, before), rel=1e-6)


@pytest.mark.parametrize(("kind", "given"), LIMITS)
def test_a_tail_limit_that_conflicts_is_one_limit_with_have_and_need_in_its_unit(kind, given):
    market, book = stocks(3), {"S0": 1000.0}
    pnl = scenarios(market, 50)
    values, cash = pnl.to_numpy(), market.notional.to_numpy()
    least = min(  # one turnover's worth of the stock sold, or of another that helps more
        kind(pnl, **given).value(values @ (np.array([1000.0, 0.0, 0.0]) + trade))
        for trade in 1000.0 / cash * np.array([*np.eye(3), *-np.eye(3)])
    )
    limit = 0.1 * least
    constraints = (kind(pnl, limit=limit, **given), TurnoverLimit(1000.0, priority=0))
    loosen = (kind(pnl, limit=limit, priority=1, **given), constraints[1])
    with pytest.raises(InfeasibleError) as caught:
        hedged(market, book, (SpreadCost(),), loosen)
    text = str(caught.value)
    assert "[" not in text and len(text.splitlines()) == 3
    (row,) = caught.value.relaxation.frame.itertuples()
    assert (row.Index, row.have) == (kind.short_name, pytest.approx(limit))
    assert limit < row.need <= least * (1 + AGREE)
    relaxed = hedged(market, book, (SpreadCost(),), loosen, on_infeasible="relax")
    assert relaxed.relaxation.index.tolist() == [kind.short_name]
    assert relaxed.limits.loc[kind.short_name, "after"] == pytest.approx(row.need, rel=1e-3)
    assert relaxed.limits.loc[kind.short_name, "violation"] == pytest.approx(row.need - limit, rel=1e-3)


@pytest.mark.parametrize(("kind", "given"), LIMITS)
def test_a_soft_tail_limit_is_paid_for_once_by_what_it_is_missed_by(kind, given):
    market, book = stocks(3, spread=0.1), {"S0": 1000.0}
    pnl = scenarios(market, 50)
    limit = 0.5 * kind(pnl, **given).value(1000.0 * pnl["S0"].to_numpy())
    hedge = hedged(market, book, (SpreadCost(),), (kind(pnl, limit=limit, soft=0.01, **given), TradeLimit(2000.0)))
    missed = kind(pnl, **given).value(pnl.to_numpy() @ hedge.after.to_numpy()) - limit
    assert missed > 0
    assert hedge.charges["penalties"] == pytest.approx(0.01 * missed, rel=1e-6)
    assert hedge.certificate.violations.index.tolist() == [kind.short_name]
    assert hedge.limits.loc[kind.short_name, "violation"] == pytest.approx(missed, rel=1e-6)


def test_whole_lots_keep_a_worst_case_at_the_least_cost_of_all_lots():
    market = own_greeks({"B": (0.0,), "X": (0.0,), "Y": (0.0,)}, ("none",), half_spread=0.01)
    rng = np.random.default_rng(0)
    pnl = pd.DataFrame(rng.normal(0, 1, (40, 3)), columns=market.names)
    pnl["X"] += 0.8 * pnl["B"]
    pnl["Y"] -= 0.5 * pnl["B"]
    worst = lambda x, y: WorstCase(pnl).value(pnl.to_numpy() @ np.array([9.0, x, y]))  # noqa: E731
    limit = 0.7 * worst(0, 0)
    hedge = hedged(market, {"B": 9.0}, (SpreadCost(),), (WorstCase(pnl, limit=limit), TradeLimit(30.0)),
                   universe=("X", "Y"))  # fmt: skip
    lots = round_to_lots(hedge)
    best = min(abs(x) + abs(y) for x, y in product(range(-30, 31), repeat=2) if worst(x, y) <= limit)
    assert lots.trades.abs().sum() == best
    assert lots.limits.loc["worst case", "after"] <= limit
    assert (trade_list(hedge)["reason"] == "worst case").all()


def test_lots_that_break_a_worst_case_say_by_how_much_and_how_far_it_was_before():
    market = own_greeks({"B": (0.0,), "X": (0.0,)}, ("none",), half_spread=0.01)
    market = replace(market, instruments=market.instruments.assign(min_quantity=[0.0, 8.0]))
    pnl = pd.DataFrame({"B": [-1.0, -0.5], "X": [-1.0, 1.0]})
    hedge = hedged(market, {"B": 9.0}, (SpreadCost(),), (WorstCase(pnl, limit=7.5), TradeLimit(10.0)), universe=("X",))
    assert hedge.trades["X"] == pytest.approx(-1.5)  # and 8 at least would lose 12.5 in the other scenario
    lots = round_to_lots(hedge)
    assert lots.trades["X"] == 0
    assert "ends 1.5 base currency beyond its limit (1.5 before)" in lots.certificate.note
    assert lots.limits.loc["worst case", "violation"] == pytest.approx(1.5)


def test_scenario_variance_is_the_variance_of_the_scenarios():
    market, book = stocks(4), {"S0": 1000.0, "S1": 300.0}
    pnl = scenarios(market)
    hedge = hedged(market, book, (ScenarioVariance(pnl, 1e-3), SpreadCost()), universe=("S2", "S3"))
    after = pnl.to_numpy() @ hedge.after.to_numpy()
    assert hedge.certificate.primal == pytest.approx(0.5e-3 * after.var() + hedge.costs["spread"], rel=1e-9)
    assert after.var() < (pnl.to_numpy() @ hedge.before.to_numpy()).var()


def test_fixed_positions_count_in_every_scenario():
    market, book = stocks(3), {"S0": 1000.0}
    pnl = scenarios(market, 40)
    hedge = hedged(market, book, (WorstCase(pnl), SpreadCost()), universe=("S2",))
    losses = -(pnl[hedge.after.index].to_numpy() @ hedge.after.to_numpy())
    assert list(hedge.after.index) == ["S0", "S2"]
    assert hedge.charges["worst case"] == pytest.approx(losses.max(), rel=1e-6)


def test_a_thousand_scenarios_of_a_hundred_contracts_are_certified():
    market = stocks(100)
    rng = np.random.default_rng(0)
    book = dict(zip(market.names[:60], rng.normal(0, 100, 60), strict=True))
    pnl = scenarios(market, 1000)
    hedge = hedged(market, book, (Shortfall(pnl), SpreadCost()), (TradeLimit(300.0), Neutral("delta")))
    assert hedge.certificate.optimal


def test_a_contract_without_scenarios_is_named():
    market = stocks(3)
    pnl = scenarios(market)
    with pytest.raises(DataError, match="no P&L for S2"):
        hedged(market, {"S0": 1.0}, (Shortfall(pnl[["S0", "S1"]]),))
    pnl.iloc[3, 1] = np.nan
    with pytest.raises(DataError, match="P&L of S1 in scenario 3 is not finite"):
        hedged(market, {"S0": 1.0}, (WorstCase(pnl),))


@pytest.mark.parametrize(
    "make",
    [
        lambda pnl: Shortfall(pnl, 1.0), lambda pnl: Shortfall(pnl, weight=-1.0), lambda pnl: WorstCase(pnl.to_numpy()),
        lambda pnl: ScenarioVariance(pnl, np.nan), lambda pnl: WorstCase(pnl.iloc[:0]),
    ],
)  # fmt: skip
def test_a_wrong_term_is_refused(make):
    with pytest.raises(SpecError):
        make(scenarios(stocks(2)))


def test_scenarios_do_not_need_a_risk():
    market = stocks(2)
    assert hedged(market, {"S0": 1.0}, (ScenarioVariance(scenarios(market), 1.0),)).risk.empty


def test_noise_without_labels_and_a_confidence_that_is_no_number_are_refused():
    pnl = pd.DataFrame({"S0": [1.0, -1.0]})
    with pytest.raises(SpecError, match="noise is ndarray; give a Series by contract"):
        ScenarioVariance(pnl, 1e-3, noise=np.array([1.0]))
    for confidence in ("x", np.nan, -0.1, 1.0):
        with pytest.raises(SpecError, match=f"confidence is .?{confidence}.?; give a number"):
            Shortfall(pnl, confidence=confidence)


def test_what_rows_define_is_settled_where_a_solver_leaves_it_short():
    """Losses are auxiliaries that rows define: a hair short they prove nothing, moved they do, contracts unmoved."""
    market = stocks()
    pnl = pd.DataFrame(np.random.default_rng(1).normal(0, 2, (60, len(market.names))), columns=market.names)
    book = pd.Series([100.0, -300.0, 200.0], index=market.names[:3])
    for term in (Shortfall(pnl, confidence=0.9), WorstCase(pnl)):
        model = HedgeModel(objective=(SpreadCost(), term), constraints=BOXES, universe=market.names[3:])
        program = model.problem(market, book).program
        answer = solve(program).candidate
        auxiliary = program.lot == 0
        short = replace(answer, h=np.where(auxiliary & (answer.h > 1.0), answer.h - 1e-3, answer.h))
        assert (short.h != answer.h).any()
        assert judge(program, short).status is Status.FAILED
        settled, verdict = judge_clean(program, short)
        assert verdict.status is Status.OPTIMAL
        assert (verdict.violations <= ROUNDING * row_sizes(program, settled.h)).all()
        np.testing.assert_array_equal(settled.h[~auxiliary], answer.h[~auxiliary])
