"""When to act: each policy by a case worked by hand, their composition, and the mistakes they refuse."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from nights import START, DeltaRule, Trades, coin_markets, path

import optihedge as oh
from optihedge.accounts.state import Fill, State
from optihedge.accounts.valuation import opening
from optihedge.errors import SpecError
from optihedge.hedge.bands import whalley_wilmott_band
from optihedge.market.snapshot import Market
from optihedge.step.policies.bands import CostBenefit, WhalleyWilmott
from optihedge.step.policies.base import Decision
from optihedge.step.policies.compose import All, Any, Not
from optihedge.step.policies.policyfile import policy_of
from optihedge.step.policies.triggers import (
    Always,
    Band,
    Clock,
    MarginTrigger,
    OnFill,
    RegimeChange,
    RiskTrigger,
    RollDue,
)
from optihedge.step.step import step

STOCK = pd.Timestamp("2026-01-20T21:00:00Z")


def stock(
    price: float = 100.0, day: int = 0, seed: int = 0, last: float = 0.01, rows: int = 60, wild: int = 0
) -> Market:
    """One stock and its own future-like twin, with a history of daily moves of 1 % that end at `price`."""
    rng = np.random.default_rng(seed)
    moves = 0.01 * rng.standard_normal((rows, 2))
    moves[rows - wild :] *= 6
    levels = price * np.exp(np.cumsum(moves, axis=0) - moves.sum(axis=0))
    times = pd.DatetimeIndex([STOCK + pd.Timedelta(days=day + i - rows + 1) for i in range(rows)], name="time")
    return Market.from_prices(
        pd.DataFrame(levels, columns=["X", "Y"], index=times), base_currency="USD", as_of=times[-1], spread=0.001,
    )  # fmt: skip


@dataclass(frozen=True)
class Flat:
    """Sells whatever X there is with Y."""

    def hedge(self, market, book):
        return Trades(pd.Series({"Y": -float(book.get("X", 0.0)) - float(book.get("Y", 0.0))}))


def asked(policy, quantity: float, model=None, memory=None, market=None, state=None):
    """The step of a book with so much X under a policy."""
    market = stock() if market is None else market
    state = opening("b", market, {"X": quantity}) if state is None else state
    return step(replace(state, memory=memory or {}), None, market, Flat() if model is None else model, policy)


@pytest.mark.parametrize(("held", "act"), [(-20.0, True), (-35.0, True), (-23.0, False)])
def test_a_threshold_policy_acts_at_its_edges(held, act):
    """Target -3, band +1 / -0.5: from -2 and -3.5 to -3, from -2.3 not at all (here in tenths, 100 a share)."""
    policy = Band("delta", target=-3_000.0, above=1_000.0, below=500.0)
    assert (asked(policy, held).status != "idle") is act


def test_a_band_by_group_sees_what_a_total_hides():
    market = stock()
    state = opening("b", market, {"X": 10.0, "Y": -10.0})
    assert asked(Band("delta", 900.0), 0, market=market, state=state).status == "idle"
    by = asked(Band("delta", 900.0, by="underlying"), 0, market=market, state=state)
    assert by.status != "idle" and "X 1,000" in by.why and "Y -1,000" in by.why
    assert asked(Band("delta", share=0.49, by="underlying"), 0, market=market, state=state).status == "empty"
    assert asked(Band("delta", share=0.51, by="underlying"), 0, market=market, state=state).status == "idle"


def test_a_band_that_could_never_rest_is_refused():
    model = oh.HedgeModel(constraints=oh.Neutral("delta", band=500.0))
    with pytest.raises(SpecError, match=r"the model's own is 1,000"):
        asked(Band("delta", 499.0), 10.0, model)
    assert asked(Band("delta", 500.0), 0.0, model).status == "idle"
    with pytest.raises(SpecError, match="one lot moves it by 100"):
        asked(Band("delta", 49.0), 10.0)
    with pytest.raises(SpecError, match=r"there is no exposure dleta .did you mean delta"):
        asked(Band("dleta", 49.0), 10.0)
    for wrong in ({"width": -1.0}, {}, {"width": 1.0, "share": 0.1}, {"below": 1.0}, {"width": float("nan")}):
        with pytest.raises(SpecError):
            Band("delta", **wrong)


def test_the_clock_counts_from_the_list_that_left():
    policy, market = Clock("2d"), stock()
    first = asked(policy, 10.0)
    assert first.status == "first"
    state, statuses = first.state, []
    for day in range(1, 5):
        later = stock(day=day)
        state = replace(state, orders=())
        done = step(state, market, later, Flat(), policy, compare=False)
        statuses.append(done.status)
        state, market = done.state, later
    assert statuses == ["idle", "solved", "idle", "solved"]
    with pytest.raises(SpecError, match="write a duration"):
        Clock("soon")


def test_what_is_kept_only_if_a_list_leaves_is_not_kept_of_a_held_one():
    class Remembers:
        def decide(self, view, memory):
            return Decision(True, "", {"asked": memory.get("asked", 0) + 1}, {"sent": True})

    limits = oh.Checks(total_notional=1.0)
    model = oh.HedgeModel(constraints=oh.Neutral("delta", band=0.0), objective=oh.SpreadCost(), checks=limits)
    market = stock()
    held = step(opening("b", market, {"X": 10.0}), None, market, model, Remembers())
    assert held.status == "held" and held.state.memory == {"asked": 1} and held.state.orders == ()
    sent = step(opening("b", market, {"X": 10.0}), None, market, replace(model, checks=None), Remembers())
    assert sent.status == "first" and sent.state.memory == {"asked": 1, "sent": True} and sent.state.orders


def test_whalley_and_wilmotts_band_is_the_formula_in_money():
    market = coin_markets(path(1))[0]
    state = opening("b", market, {"C1": 20.0, "COIN": -7.0})
    aversion = 1e-6
    from optihedge.step.policies.base import View

    view = View(state, None, market, DeltaRule(), None)
    width = WhalleyWilmott(aversion).widths(view)["BTC"]
    spot = float(market.levels["BTC"])
    natural = float(100 * market.exposures["gamma"]["C1"] * 20.0) / spot**2
    natural += float(100 * market.exposures["gamma"].reindex(["COIN"]).fillna(0.0).iloc[0] * -7.0) / spot**2
    share = ((market.trade_cost.min(axis=1) + market.fees) / market.notional)[["PERP", "LIN", "FUT0", "FUT1"]].min()
    units = float(whalley_wilmott_band(spot, natural, share, aversion))
    assert width == pytest.approx(units * spot, rel=1e-9)
    delta = abs(float(view.exposure("delta", "underlying")["BTC"]))
    for factor, act in ((0.999, True), (1.001, False)):
        wide = aversion * (width / delta) ** 3 / factor**3
        assert WhalleyWilmott(wide).decide(view, {}).act is act


def test_cost_and_benefit_waits_inside_the_no_trade_region_and_acts_on_a_broken_limit():
    market = stock()
    risk = oh.SampleRisk()
    dear = oh.HedgeModel(risk=risk, objective=(oh.Variance(aversion=1e-9), oh.SpreadCost()))
    cheap = oh.HedgeModel(risk=risk, objective=(oh.Variance(aversion=1.0), oh.SpreadCost()))
    assert asked(CostBenefit(), 10.0, dear, market=market).status == "idle"
    assert asked(CostBenefit(), 10.0, cheap, market=market).status == "first"
    assert asked(CostBenefit(times=1e6), 10.0, cheap, market=market).status == "idle"
    limited = replace(dear, constraints=oh.Neutral("delta", band=500.0))
    broken = asked(CostBenefit(), 10.0, limited, market=market)
    assert broken.status == "first" and "limit broken: delta" in broken.why
    assert asked(CostBenefit(), 4.0, limited, market=market).status == "idle"


def test_risk_above_its_limit_or_grown_since_the_last_list():
    model = oh.HedgeModel(risk=oh.SampleRisk(), objective=(oh.Variance(aversion=1.0), oh.SpreadCost()))
    market = stock()
    alone = float(market.moves()["X"].std(ddof=1)) * 1_000.0
    assert asked(RiskTrigger(limit=1.05 * alone), 10.0, model).status == "idle"
    done = asked(RiskTrigger(limit=0.95 * alone), 10.0, model)
    assert done.status == "first" and done.state.memory["volatility"] < alone
    assert asked(RiskTrigger(times=2.0), 10.0, model, memory={"volatility": alone / 1.9}).status == "idle"
    assert asked(RiskTrigger(times=2.0), 10.0, model, memory={"volatility": alone / 2.1}).status == "first"
    with pytest.raises(SpecError, match="has no risk"):
        asked(RiskTrigger(limit=1.0), 10.0, oh.HedgeModel(constraints=oh.Neutral("delta", band=500.0)))
    for wrong in ({}, {"limit": 1.0, "times": 2.0}, {"limit": -1.0}):
        with pytest.raises(SpecError):
            RiskTrigger(**wrong)


def test_a_regime_that_changes_is_a_reason():
    calm, wild = stock(rows=200), stock(rows=200, wild=40)
    first = asked(RegimeChange(driver="X"), 10.0, market=calm)
    assert first.status == "first"
    memory = dict(asked(RegimeChange(driver="X"), 10.0, market=stock(rows=200, wild=40)).state.memory)
    assert memory == {"regime": 1}
    assert asked(RegimeChange(driver="X"), 10.0, market=wild, memory=memory).status == "idle"
    assert asked(RegimeChange(driver="X"), 10.0, market=wild, memory={"regime": 0}).status == "first"
    with pytest.raises(SpecError, match="there is no driver Q"):
        asked(RegimeChange(driver="Q"), 10.0)


def test_fills_rolls_and_margin_are_reasons():
    markets = coin_markets(path(3))
    one, two, _ = markets
    first = step(opening("b", one, {"C1": -2.0}), None, one, DeltaRule(), OnFill())
    quiet = step(replace(first.state, orders=()), one, two, DeltaRule(), OnFill())
    assert first.status == "first" and quiet.status == "idle"
    bought = Fill("f", "", "LIN", 0.5, float(one.price["LIN"]), START + pd.Timedelta(hours=1))
    assert step(replace(first.state, orders=()), one, two, DeltaRule(), OnFill(), fills=[bought]).status == "solved"
    near, far = opening("b", one, hedge={"FUT0": 10.0}), opening("b", one, hedge={"FUT1": 10.0})
    assert step(near, None, one, DeltaRule(), RollDue(6.0)).status != "idle"
    assert step(near, None, one, DeltaRule(), RollDue(5.0)).status == "idle"
    assert step(far, None, one, DeltaRule(), RollDue(6.0)).status == "idle"
    notional = 900 * 10.0
    rich = opening("b", one, hedge={"PERP": -900.0, "USD": notional})
    assert step(rich, None, one, DeltaRule(), MarginTrigger(limit=0.1 + 1e-6, rate=0.1)).status == "idle"
    assert step(rich, None, one, DeltaRule(), MarginTrigger(limit=0.1 - 1e-6, rate=0.1)).status != "idle"


def test_policies_compose_and_each_keeps_its_own_memory():
    class Says:
        def __init__(self, act):
            self.act = act

        def decide(self, view, memory):
            return Decision(self.act, f"says {self.act}", {"n": memory.get("n", 0) + 1})

    yes, no = Says(True), Says(False)
    nested = All((yes, Not((Any((no, no)),))))
    acting = (Any((yes, no)), All((yes, yes)), Not((no,)), nested)
    waiting = (Any((no, no)), All((yes, no)), Not(yes))
    for policy, act in [(one, True) for one in acting] + [(one, False) for one in waiting]:
        done = asked(policy, 10.0)
        assert (done.status != "idle") is act
        again = asked(policy, 10.0, memory=done.state.memory)
        assert again.state.memory["0"].get("n", 2) == 2
    with pytest.raises(SpecError, match="needs policies"):
        Any(())
    with pytest.raises(SpecError, match="names 2 policies"):
        Not((yes, no))


def test_a_table_says_the_same_and_every_mistake_is_named_at_once():
    both = {"type": "All", "of": [{"type": "Clock", "every": "2d"}, {"type": "OnFill"}]}
    table = {"type": "Any", "of": [{"type": "Band", "exposure": "delta", "by": "underlying", "width": 2e4}, both]}
    assert policy_of(table) == Any((Band("delta", 2e4, by="underlying"), All((Clock("2d"), OnFill()))))
    wrong = {"type": "Any", "of": [{"type": "Bnad", "exposure": "delta"}, {"type": "Clock", "evry": "1d"},
                                   {"type": "Band", "width": 1.0}, {"type": "RollDue", "days": -1.0}, 3]}  # fmt: skip
    with pytest.raises(SpecError) as error:
        policy_of(wrong)
    told = str(error.value)
    for words in ("did you mean Band", "did you mean every", "Band needs exposure", "days is -1.0", "of[4]: 3 is no"):
        assert words in told
    assert policy_of({"type": "Always"}) == Always()


def test_a_state_with_memory_survives_its_text():
    done = asked(Any((Clock("1d"), OnFill())), 10.0)
    assert State.from_text(done.state.text).hash == done.state.hash
