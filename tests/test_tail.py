"""Terms over scenarios, against brute force and independent linear programs."""


import numpy as np
import pandas as pd
import pytest
from desks import stocks
from scipy.optimize import linprog

from optihedge.errors import DataError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.limits import TradeLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import SpreadCost
from optihedge.hedge.terms.tail import ScenarioVariance, Shortfall, WorstCase

AGREE = 1e-6  # relative, of objectives


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
    assert hedge.costs["shortfall"] == pytest.approx(losses[:worst].mean(), rel=1e-5)


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
    assert hedge.costs["worst case"] == pytest.approx(loss, rel=1e-6)
    near = Shortfall(pnl, 1 - 1 / 50)  # the worst of fifty
    assert hedge.certificate.primal == pytest.approx(
        hedged(market, book, (near, SpreadCost())).certificate.primal, rel=AGREE
    )
    capped = hedged(market, book, (SpreadCost(),), (WorstCase(pnl, limit=1.5 * loss), TradeLimit(500.0)))
    assert (-(pnl.to_numpy() @ capped.after.to_numpy())).max() == pytest.approx(1.5 * loss, rel=1e-6)


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
    assert hedge.costs["worst case"] == pytest.approx(losses.max(), rel=1e-6)


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
