"""Limits: a point inside is left alone, a point outside is brought to the edge."""

from dataclasses import replace

import numpy as np
import pytest
from desks import flat_risk, options, stocks

from optihedge.errors import InfeasibleError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.limits import (
    GrossLimit,
    ParticipationLimit,
    PositionLimit,
    TradeLimit,
    TurnoverLimit,
    VolatilityLimit,
)
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Variance
from optihedge.market.snapshot import Market

EDGE = 1e-7  # relative


SPREAD = (SpreadCost(),)


def hedged(market, book, *constraints, objective=SPREAD, **given):
    return HedgeModel(objective=objective, constraints=constraints, risk=flat_risk(market), **given).hedge(market, book)


@pytest.mark.parametrize(
    ("limit", "held", "after"),
    [
        (PositionLimit(upper=100.0), 90.0, 90.0),
        (PositionLimit(upper=100.0), 140.0, 100.0),
        (PositionLimit(lower=-100.0), -140.0, -100.0),
        (PositionLimit(lower=0.0, upper={"S0": 70.0}), 90.0, 70.0),
        (PositionLimit(lower=0.0, upper={"S1": 70.0}), 90.0, 90.0),
    ],
)
def test_position_limit_in_contracts(limit, held, after):
    assert hedged(stocks(2), {"S0": held}, limit).after["S0"] == pytest.approx(after, rel=EDGE)


def test_position_limit_in_base_currency_and_as_a_share_of_gross():
    market = stocks(2)
    cash = 100 * market.price["S0"]
    for limit in (PositionLimit(upper=0.5 * cash, measure="notional"), PositionLimit(share=0.5),
                  PositionLimit(upper=0.5 * cash, measure="delta")):  # fmt: skip
        assert hedged(market, {"S0": 100.0}, limit).after["S0"] == pytest.approx(50, rel=EDGE)


def test_a_fixed_position_beyond_its_limit_stays_and_is_named():
    hedge = hedged(stocks(3), {"S0": 140.0}, PositionLimit(upper=100.0), universe=("S2",))
    assert hedge.after["S0"] == 140.0
    assert "position: S0 beyond the limit, but not tradable" in hedge.problem.notes


def test_a_limit_on_a_contract_that_cannot_trade_is_named():
    fixed = {"universe": ("S2",)}
    hedge = hedged(stocks(3), {"S0": 1000.0}, PositionLimit(upper={"S0": 10.0}), **fixed)
    assert "position: S0 beyond the limit, but not tradable" in hedge.problem.notes
    hedge = hedged(stocks(3), {"S0": 1000.0}, PositionLimit(upper={"S0": 10.0}, soft=1.0), **fixed)
    assert "position: S0 beyond the limit, but not tradable" in hedge.problem.notes
    hedge = hedged(stocks(3), {"S0": 1000.0}, TradeLimit({"S0": 10.0, "S2": 1.0}), **fixed)
    assert "trade: S0 limited, but not tradable: the limit does nothing" in hedge.problem.notes
    assert not [n for n in hedged(stocks(3), {"S0": 1.0}, TradeLimit({"S2": 1.0}), **fixed).problem.notes if "S0" in n]


@pytest.mark.parametrize("kind", [TurnoverLimit, GrossLimit])
def test_a_misspelt_group_is_named_with_the_nearest(kind):
    market = stocks(3, venue=["XETR", "NYSE", "NYSE"], desk=[1, 2, 2])
    with pytest.raises(SpecError, match=r"venue has no group NYSEE \(did you mean NYSE\?\); it has NYSE, XETR"):
        hedged(market, {"S0": 10.0}, kind({"NYSEE": 1.0}, by="venue"))
    limited = hedged(market, {"S0": 10.0}, kind({1: 0.0}, by="desk"), capital=1e6)
    assert limited.limits.index.tolist() == [f"{kind.short_name}[1]"]
    away = hedged(market, {"S0": 10.0}, kind({"NYSE": 1.0}, by="venue"), universe=("S0",))
    assert away.certificate.optimal  # a group of the market, though nothing of it is in play


def test_a_soft_position_limit_gives_way_to_a_cost_above_its_penalty():
    market = stocks(2, spread=2e-3)
    cost = 1e-3 * market.price["S0"]
    for factor, after in ((0.5, 140.0), (2.0, 100.0)):
        limit = PositionLimit(upper=100.0, soft=factor * cost)
        assert hedged(market, {"S0": 140.0}, limit).after["S0"] == pytest.approx(after, rel=EDGE)


def test_trade_limit_caps_each_trade():
    market = stocks(3)
    book = {"S0": 100.0}
    free = hedged(market, book, Neutral("delta"), universe=("S2",)).trades["S2"]
    with pytest.raises(Exception, match="no quantities meet every limit"):
        hedged(market, book, Neutral("delta"), TradeLimit(0.9 * abs(free)), universe=("S2",))
    inside = hedged(market, book, Neutral("delta"), TradeLimit(1.1 * abs(free)), universe=("S2",))
    assert inside.trades["S2"] == pytest.approx(free, rel=EDGE)
    shared = hedged(market, book, Neutral("delta", soft=1.0), TradeLimit(share=0.25), universe=("S2",))
    assert abs(shared.trades["S2"]) * market.price["S2"] == pytest.approx(25 * market.price["S0"], rel=EDGE)


def test_turnover_limit_caps_the_sum_of_trades():
    market = stocks(3)
    cash = 100 * market.price["S0"]
    soft = Neutral("delta", soft=1.0)
    capped = hedged(market, {"S0": 100.0}, soft, TurnoverLimit(0.4 * cash))
    size = (capped.trades.abs() * market.notional).sum()
    assert size == pytest.approx(0.4 * cash, rel=EDGE)
    assert capped.shadow_prices["turnover"] == pytest.approx(-(1 - 5e-4), rel=1e-3)  # one unit more saves one of delta
    free = hedged(market, {"S0": 100.0}, soft, TurnoverLimit(2 * cash))
    assert free.exposures.loc["delta", "after"] == pytest.approx(0, abs=1e-4)


def test_turnover_by_group_and_with_a_limit_for_each():
    market = stocks(4, venue=["a", "a", "b", "b"])
    cash = 100 * market.price["S0"]
    soft = Neutral("delta", soft=1.0)
    limit = TurnoverLimit({"a": 0.1 * cash, "b": 0.2 * cash}, by="venue")
    hedge = hedged(market, {"S0": 100.0}, soft, limit)
    size = (hedge.trades.abs() * market.notional).groupby(market.instruments["venue"]).sum()
    assert size.to_dict() == pytest.approx({"a": 0.1 * cash, "b": 0.2 * cash}, rel=EDGE)
    partly = hedged(market, {"S0": 100.0}, soft, TurnoverLimit({"a": 0.0}, by="venue"))
    assert partly.trades[["S0", "S1"]].abs().max() <= 1e-9
    assert partly.exposures.loc["delta", "after"] == pytest.approx(0, abs=1e-4)


def test_gross_limit_caps_the_sum_of_holdings():
    market = stocks(3)
    cash = 100 * market.price["S0"]
    hedge = hedged(market, {"S0": 100.0, "S1": 10.0}, GrossLimit(0.5 * cash))
    assert (hedge.after.abs() * market.notional).sum() == pytest.approx(0.5 * cash, rel=EDGE)
    inside = hedged(market, {"S0": 100.0}, GrossLimit(share=1.01))
    assert (inside.trades == 0).all()


def test_gross_counts_fixed_positions():
    market = stocks(3)
    cash = 100 * market.price["S0"]
    limit = GrossLimit(1.5 * cash)
    hedge = hedged(market, {"S0": 100.0}, Neutral("delta", soft=1.0), limit, universe=("S2",))
    assert -hedge.after["S2"] * market.price["S2"] == pytest.approx(0.5 * cash, rel=EDGE)


def test_delta_measures_an_option_by_its_delta():
    market = options()
    delta = abs(market.exposures.loc["C110-30", "delta"])
    hedge = hedged(market, {"C110-30": 10.0}, GrossLimit(4 * delta, measure="delta"), universe=("C110-30",))
    assert hedge.after["C110-30"] == pytest.approx(4, rel=EDGE)


def test_participation_is_a_share_of_daily_volume():
    market = stocks(3)
    volumes = {"S0": 100.0, "S1": 200.0, "S2": np.nan}
    market = Market(
        instruments=market.instruments, quotes=market.quotes.assign(volume=volumes), base_currency="USD",
        history=market.history, as_of=market.as_of,
    )  # fmt: skip
    hedge = hedged(market, {"S0": 100.0}, Neutral("delta", soft=1.0), ParticipationLimit(0.1), universe=("S0", "S1"))
    assert hedge.trades[["S0", "S1"]].to_numpy() == pytest.approx([-10, -20], rel=EDGE)
    all_three = hedged(market, {"S0": 100.0}, Neutral("delta", soft=1.0), ParticipationLimit(0.1))
    assert all_three.trades["S2"] == 0 and any("S2" in note for note in all_three.problem.notes)


def test_participation_is_of_the_time_that_is_traded_over():
    market = stocks(3)
    market = replace(market, quotes=market.quotes.assign(volume=500.0))

    def most(over, horizon="1d"):
        limit = ParticipationLimit(0.1, over=over)
        model = HedgeModel(objective=SPREAD, constraints=(limit,), risk=flat_risk(market), horizon=horizon)
        program = model.problem(market, {"S0": 1000.0}).program
        return program.upper - program.start

    assert most("1d") == pytest.approx(50.0) and most("4h") == pytest.approx(50.0 / 6)
    assert most("horizon", "2d") == pytest.approx(100.0) and most("1d", "2d") == pytest.approx(50.0)
    with pytest.raises(SpecError, match="over is 'soon'"):
        ParticipationLimit(0.1, over="soon")


def test_volatility_limit_is_per_day_and_binds():
    market = stocks(3)
    book = {"S0": 1000.0}
    risk = flat_risk(market)
    now = HedgeModel(risk=risk, objective=(SpreadCost(),)).hedge(market, book).risk.loc["volatility", "before"]
    for horizon in ("1d", "5d"):
        hedge = hedged(market, book, VolatilityLimit(0.8 * now), horizon=horizon)
        assert hedge.certificate.optimal
        assert hedge.risk.loc["volatility", "after"] == pytest.approx(0.8 * now, rel=1e-6)
        assert hedge.shadow_prices["volatility"] < 0
    assert (hedged(market, book, VolatilityLimit(1.01 * now)).trades == 0).all()
    gross = 1000 * market.price["S0"]
    shared = hedged(market, book, VolatilityLimit(share=0.5 * now / gross))
    assert shared.risk.loc["volatility", "after"] == pytest.approx(0.5 * now, rel=1e-6)


@pytest.mark.parametrize("horizon", ["1d", "5d", "12h"])
def test_the_price_of_a_volatility_limit_is_per_unit_of_its_argument_whatever_the_horizon(horizon):
    market, book = stocks(3), {"S0": 1000.0}
    limit = 0.8 * HedgeModel(risk=flat_risk(market)).hedge(market, book).risk.loc["volatility", "before"]
    step = 1e-3 * limit
    left, at, right = (
        hedged(market, book, VolatilityLimit(limit + s), horizon=horizon) for s in (-step, 0.0, step)
    )  # fmt: skip
    quotients = [(b.certificate.primal - a.certificate.primal) / step for a, b in ((left, at), (at, right))]
    assert quotients[0] * (1 + EDGE) <= at.shadow_prices["volatility"] <= quotients[1] * (1 - EDGE) < 0
    row = at.limits.loc["volatility"]
    assert (row["upper"], row["unit"]) == (limit, "base currency per day")
    assert row["after"] == pytest.approx(at.risk.loc["volatility", "after"])
    with pytest.raises(InfeasibleError, match=r"volatility: have 1, need .* \(base currency per day\)") as caught:
        hedged(market, book, VolatilityLimit(1.0), horizon=horizon, universe=("S2",))
    least = HedgeModel(risk=flat_risk(market), objective=(Variance(1.0),), universe=("S2",)).hedge(market, book)
    assert caught.value.relaxation.frame.loc["volatility", "need"] == pytest.approx(
        least.risk.loc["volatility", "after"], rel=1e-4
    )


def test_volatility_limit_counts_the_own_risk_of_fixed_contracts():
    market = stocks(3, own_risk=[0.5, 0.0, 0.0])
    hedge = hedged(market, {"S0": 100.0}, VolatilityLimit(70.0), universe=("S2",), objective=(Variance(1e-12),))
    assert hedge.risk.loc["own risk"].tolist() == pytest.approx([2500.0, 2500.0])
    assert hedge.risk.loc["volatility", "after"] <= 70 * (1 + 1e-8)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PositionLimit(), "give lower, upper or share"),
        (lambda: TradeLimit(), "give limit or share"),
        (lambda: TradeLimit(-1.0), "limit is -1"),
        (lambda: TurnoverLimit(), "one of them"),
        (lambda: TurnoverLimit(1.0, share=1.0), "one of them"),
        (lambda: GrossLimit({"a": 1.0}), "need by"),
        (lambda: GrossLimit(np.nan), "limit is nan"),
        (lambda: ParticipationLimit(np.inf), "participation is inf"),
        (lambda: VolatilityLimit(), "one of them"),
        (lambda: VolatilityLimit(0.0), "limit is 0"),
        (lambda: VolatilityLimit(1.0, soft=1.0), "cannot be soft"),
    ],
)
def test_a_limit_that_limits_nothing_is_refused(make, text):
    with pytest.raises(SpecError, match=text):
        make()


def test_a_limit_on_an_unknown_contract_is_refused():
    with pytest.raises(SpecError, match="position: S9 is no contract"):
        hedged(stocks(2), {"S0": 1.0}, PositionLimit(upper={"S9": 1.0}))


def test_two_volatility_limits_are_refused():
    with pytest.raises(SpecError, match="at most one volatility limit"):
        hedged(stocks(2), {"S0": 1.0}, VolatilityLimit(1.0), VolatilityLimit(2.0, name="second"))
