"""Objective terms: each charges what its formula says, and moves the hedge the way it should."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from desks import AS_OF, flat_risk, options, stocks

from optihedge.errors import DataError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.base import Term
from optihedge.hedge.terms.costs import CarryCost, DepthCost, FeeCost, HoldingCost, ImpactCost, SpreadCost
from optihedge.hedge.terms.limits import TradeLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import ExpectedReturn, Tracking, Variance
from optihedge.market.pricing import black
from optihedge.market.snapshot import Market
from optihedge.risk.root import Risk

EXACT = 1e-9  # relative


def costs_at(market: Market, term, book: dict, after: dict, **model) -> pd.DataFrame:
    """Cost by contract of ending at `after`, whatever is best."""
    model = HedgeModel(objective=(term,), risk=flat_risk(market), capital=1e6, **model)
    hedge = model.hedge(market, book)
    h = hedge.after.copy()
    h.update(pd.Series(after, dtype=float))
    problem = hedge.problem
    return hedge.with_quantities(problem.columns.to_columns(h.to_numpy()), hedge.certificate).charges_by_contract


def test_variance_alone_removes_all_the_risk_it_can():
    market = stocks(3)
    hedge = HedgeModel(risk=flat_risk(market), objective=(Variance(1e-6),)).hedge(market, {"S0": 100.0, "S1": -50.0})
    assert hedge.certificate.optimal
    assert hedge.after.to_numpy() * market.notional.to_numpy() == pytest.approx(np.zeros(3), abs=1e-3)


def test_relative_aversion_is_aversion_times_the_books_gross():
    market, book = stocks(3), {"S0": 1000.0}
    gross = 1000 * market.notional["S0"]
    hedges = [
        HedgeModel(risk=flat_risk(market), objective=(term, SpreadCost()), universe=("S2",)).hedge(market, book)
        for term in (Variance(relative=30.0), Variance(30.0 / gross))
    ]
    assert hedges[0].trades["S2"] == pytest.approx(hedges[1].trades["S2"], rel=1e-6)
    assert hedges[0].trades["S2"] < 0


@dataclass(frozen=True)
class Pledge(Term):
    """`rate` x notional traded, and `price` for each contract that the first one is held short of `least`."""

    rate: float
    price: float
    least: float
    short_name = "pledge"

    def contribute(self, p) -> None:
        charge = self.rate * p.measure("notional")
        p.cost(buy=charge, sell=charge)
        short = p.auxiliary("short of it", 0.0, 10 * self.least, self.price)
        p.row("held", (np.arange(len(p.names)) == 0) * 1.0, lo=self.least, auxiliaries=(short, 1.0))


def test_what_a_term_charges_for_columns_of_its_own_is_added_to_what_it_charges_for_trades():
    market = stocks(3)
    model = HedgeModel(risk=flat_risk(market), objective=(Variance(0.1), Pledge(1e-3, 2.0, 100.0)), universe=("S0",))
    hedge = model.hedge(market, {"S0": 200.0})
    traded = abs(hedge.trades["S0"]) * market.notional["S0"]
    short = 100.0 - hedge.after["S0"]
    assert traded > 0 and short > 1.0
    assert hedge.charges["pledge"] == pytest.approx(1e-3 * traded + 2.0 * short, rel=EXACT)
    assert hedge.charges["total"] == pytest.approx(hedge.charges.drop("total").sum(), rel=EXACT)


@pytest.mark.parametrize("given", [{}, {"aversion": 1.0, "relative": 1.0}])
def test_variance_takes_one_of_aversion_and_relative(given):
    with pytest.raises(SpecError, match="one of them"):
        Variance(**given)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "1"])
def test_an_aversion_that_is_no_number_at_least_zero_is_refused(value):
    with pytest.raises(SpecError, match="variance: aversion is"):
        Variance(value)


def test_second_order_is_on_exactly_where_options_are_tradable():
    market = options()
    book = {"C100-30": -10.0}
    for universe, on in ((("U",), False), (("U", "P100-30"), True)):
        model = HedgeModel(risk=flat_risk(market), objective=(Variance(1.0),), universe=universe)
        sizes = {
            flag: model.__class__(
                risk=model.risk, objective=(Variance(1.0, second_order=flag),), universe=universe
            ).problem(market, book).program.factors.shape[0] for flag in (None, True, False)
        }  # fmt: skip
        assert sizes[None] == sizes[on]
        if on:
            assert sizes[True] != sizes[False]


def test_spread_is_half_the_quoted_spread_on_either_side():
    market = stocks(3, spread=2e-3)
    cost = costs_at(market, SpreadCost(), {"S0": 10.0}, {"S0": 4.0, "S1": 5.0})["spread"]
    half = market.quotes["ask"] - market.quotes["mark"]
    assert cost.loc["S0"] == pytest.approx(6 * half["S0"], rel=EXACT)
    assert cost.loc["S1"] == pytest.approx(5 * half["S1"], rel=EXACT)


def test_fees_are_a_fraction_of_notional():
    market = stocks(2, fee=3e-4)
    cost = costs_at(market, FeeCost(), {"S0": 10.0}, {"S1": -7.0})["fees"]
    assert cost["S1"] == pytest.approx(7 * 3e-4 * market.price["S1"], rel=EXACT)


@pytest.mark.parametrize("power", [1.5, 2.0])
def test_impact_is_its_formula(power):
    market = stocks(2)
    market = replace(market, quotes=market.quotes.assign(volume=[1e4, 5e4]))
    cost = costs_at(market, ImpactCost(0.7, power=power), {"S0": 10.0}, {"S1": 300.0}, horizon="5d")["impact"]
    expected = 0.7 * 0.01 * market.price["S1"] * 300 * (300 / 5e4) ** (power - 1)
    assert cost["S1"] == pytest.approx(expected, rel=EXACT)


def test_only_two_powers_of_impact_are_known():
    with pytest.raises(SpecError, match=r"power is 1\.7"):
        ImpactCost(power=1.7)


def test_spread_and_depth_together_walk_the_order_book():
    market = stocks(2)
    mid = float(market.price["S1"])
    asks, sizes = mid + np.array([0.1, 0.3, 0.9]), np.array([10.0, 20.0, 40.0])
    bids = mid - np.array([0.1, 0.2])
    rows = [("S1", "ask", p, s) for p, s in zip(asks, sizes, strict=True)]
    rows += [("S1", "bid", p, s) for p, s in zip(bids, (5.0, 5.0), strict=True)]
    quotes = market.quotes.copy()
    quotes.loc["S1", ["bid", "ask"]] = [bids[0], asks[0]]
    depth = pd.DataFrame(rows[::-1], columns=["instrument", "side", "price", "size"])
    market = replace(market, quotes=quotes, depth=depth)
    model = HedgeModel(objective=(SpreadCost(), DepthCost()), capital=1e6, risk=flat_risk(market))
    hedge = model.hedge(market, {"S0": 1.0})
    column = hedge.program.columns.index("S1")
    for trade, paid in ((4.0, 4 * 0.1), (25.0, 10 * 0.1 + 15 * 0.3), (60.0, 10 * 0.1 + 20 * 0.3 + 30 * 0.9),
                        (-8.0, 5 * 0.1 + 3 * 0.2)):  # fmt: skip
        h = hedge.program.start.copy()
        h[column] += trade
        total = hedge.with_quantities(h, hedge.certificate).costs["total"]
        assert total == pytest.approx(paid, rel=1e-7)


def test_depth_where_nothing_is_shown_charges_nothing():
    problem = HedgeModel(objective=(DepthCost(),), capital=1e5).problem(stocks(2), {"S0": 1.0})
    assert "depth" not in problem.costs


def test_borrow_is_paid_by_shorts_and_financing_by_longs():
    market = stocks(3)
    market = replace(market, quotes=market.quotes.assign(borrow_rate=[0.02, np.nan, 0.5]))
    cost = costs_at(market, HoldingCost(borrow=0.1, financing=0.04), {}, {"S0": -5.0, "S1": -5.0, "S2": 5.0},
                    horizon="21d")["holding"]  # fmt: skip
    year = 21 / 252
    price = market.price
    expected = [5 * price["S0"] * 0.02 * year, 5 * price["S1"] * 0.1 * year, 5 * price["S2"] * 0.04 * year]
    assert cost.to_numpy() == pytest.approx(expected, rel=EXACT)


def annual(market: Market, vol: float) -> Risk:
    """U moves by `vol` a year; its implied vol by a point a day."""
    day = np.array([vol / np.sqrt(market.periods_per_year), 0.01])
    return Risk(np.diag(day), np.zeros(2), market.drivers.index, market.periods_per_year)


def test_law_12_an_option_at_the_forecast_vol_has_no_carry():
    market = options(vol=0.3)
    model = HedgeModel(risk=annual(market, 0.3), objective=(CarryCost(),), capital=1e5, constraints=(TradeLimit(1.0),))
    carry = model.problem(market, {}).costs["carry"].linear
    assert carry == pytest.approx(np.zeros(len(carry)), abs=1e-12)


def test_law_12_holds_for_options_on_a_currency():
    """Priced at the forecast vol of its fx driver no carry; forecast above it, some."""
    names = pd.Index(["CALL", "EUR"], name="instrument")
    expiry = AS_OF + pd.Timedelta(days=73)
    level, vol = 1.1, 0.08
    price = float(black(level, 1.1, 73 / 365, vol, 1))
    market = Market(
        instruments=pd.DataFrame(
            {"type": ["option", "spot"], "underlying": "EUR", "multiplier": [1e4, 1.0], "expiry": [expiry, pd.NaT],
             "strike": [1.1, np.nan], "right": ["C", ""]}, index=names
        ),
        quotes=pd.DataFrame(
            {"bid": [price, level], "ask": [price, level], "mark": [price, level], "vol": [vol, np.nan]}, index=names
        ),
        base_currency="USD",
        drivers=pd.DataFrame({"driver": ["EURUSD"], "kind": ["fx"], "underlying": ["EUR"], "currency": ["USD"]}),
        history=pd.DataFrame({"EURUSD": [1.09, level]}, index=pd.date_range(end=AS_OF, periods=2, name="time")),
        as_of=AS_OF,
    )  # fmt: skip
    for forecast, sign in ((vol, 0), (2 * vol, 1)):
        day = np.array([[forecast / np.sqrt(market.periods_per_year)]])
        risk = Risk(day, np.zeros(1), market.drivers.index, market.periods_per_year)
        carry = -HedgeModel(risk=risk, objective=(CarryCost(),), capital=1e5).problem(market, {}).costs["carry"].linear
        assert np.sign(np.round(carry, 9)).tolist() == [sign, 0]


def test_carry_is_theta_and_half_gamma_of_the_forecast():
    """By repricing: the expected P&L of the delta-hedged option over a short time is theta + 1/2 gamma S^2 vol^2."""
    market = options(vol=0.3)
    forecast = 0.2
    model = HedgeModel(risk=annual(market, forecast), objective=(CarryCost(),), capital=1e5, horizon="1d")
    carry = -model.problem(market, {}).costs["carry"].linear
    theta = market.exposures["theta"]
    gamma = 100 * market.exposures["gamma"]
    expected = theta + 0.5 * gamma * forecast**2 / 365
    assert carry == pytest.approx(expected.to_numpy(), abs=1e-9)
    assert carry[market.names.get_loc("C100-30")] < 0  # implied 30 % against a forecast of 20 %: longs lose


def test_no_model_sells_options_because_theta_looks_free():
    market = options(vol=0.3)
    model = HedgeModel(risk=annual(market, 0.3), capital=1e5,
                       objective=(Variance(1e-4), SpreadCost(), CarryCost()))  # fmt: skip
    assert (model.hedge(market, {}).trades == 0).all()


def perpetual(funding: float, hours: float) -> Market:
    names = pd.Index(["PERP", "COIN"], name="instrument")
    return Market(
        instruments=pd.DataFrame({"type": ["perpetual", "spot"], "underlying": "BTC"}, index=names),
        quotes=pd.DataFrame(
            {"bid": 50_000.0, "ask": 50_000.0, "underlying_price": [50_000.0, np.nan],
             "funding_rate": [funding, np.nan], "funding_hours": [hours, np.nan]}, index=names,
        ),
        base_currency="USD",
        as_of=AS_OF,
    )  # fmt: skip


@pytest.mark.parametrize(("hours", "annual_rate"), [(8, 0.1095), (4, 0.2190), (1, 0.8760)])
def test_a_long_perpetual_pays_funding(hours, annual_rate):
    market = perpetual(1e-4, hours)
    model = HedgeModel(objective=(CarryCost(),), capital=1e5, horizon="365d")
    problem = model.problem(market, {})
    horizon_years = 365 / 252  # no history: business days
    cost = problem.costs["carry"].linear
    assert cost[0] == pytest.approx(50_000 * annual_rate * horizon_years, rel=EXACT)
    assert cost[1] == 0


def test_a_future_loses_its_basis_as_it_rolls_down():
    names = pd.Index(["COIN", "DATED"], name="instrument")
    expiry = AS_OF + pd.Timedelta(days=73)
    market = Market(
        instruments=pd.DataFrame(
            {"type": ["spot", "future"], "underlying": "BTC", "expiry": [pd.NaT, expiry]}, index=names
        ),
        quotes=pd.DataFrame({"bid": [50_000.0, 51_000.0], "ask": [50_000.0, 51_000.0]}, index=names),
        base_currency="USD",
        drivers=pd.DataFrame(
            {"driver": ["BTC", "b"], "kind": ["price", "basis"], "underlying": "BTC", "periods_per_year": 365.0,
             "tenor": ["", str(expiry.date())]}
        ),
        history=pd.DataFrame(
            {"BTC": [49_000.0, 50_000.0], "b": [0.01, 0.0198]}, index=pd.date_range(end=AS_OF, periods=2, name="time")
        ),
        as_of=AS_OF,
    )  # fmt: skip
    problem = HedgeModel(objective=(CarryCost(),), capital=1e6, horizon="10d").problem(market, {})
    assert problem.costs["carry"].linear == pytest.approx([0.0, 51_000 * np.log(51 / 50) * 10 / 73], rel=1e-9)


def test_expected_return_is_earned_on_notional_over_the_horizon():
    market = stocks(3, alpha=[0.1, np.nan, -0.2])
    cost = costs_at(market, ExpectedReturn("alpha"), {}, {"S0": 2.0, "S1": 3.0, "S2": 4.0}, horizon="21d",
                    constraints=(TradeLimit(10.0),))["expected return"]  # fmt: skip
    price = market.price
    expected = [-0.1 * 2 * price["S0"] / 12, 0.0, 0.2 * 4 * price["S2"] / 12]
    assert cost.to_numpy() == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("term", [ExpectedReturn("alpha"), Tracking("alpha")])
def test_text_where_numbers_are_needed_is_named(term):
    market = stocks(2, alpha=["0.1", "high"])
    with pytest.raises(DataError, match=f"{term.label}: alpha of S1 is 'high'; instruments need numbers"):
        HedgeModel(risk=flat_risk(market), objective=(term,)).hedge(market, {"S0": 1.0})


def test_tracking_keeps_the_names_and_hedges_the_rest():
    market = stocks(4, target=[100.0, 50.0, -20.0, np.nan])
    book = {"S0": 100.0, "S1": 50.0, "S2": -20.0}
    model = HedgeModel(
        risk=flat_risk(market), objective=(Variance(1e-6), Tracking("target", aversion=1e-2)),
        constraints=(Neutral("delta"),),
    )  # fmt: skip
    hedge = model.hedge(market, book)
    kept = hedge.after.drop("S3")
    assert kept.to_numpy() == pytest.approx(market.instruments["target"].to_numpy()[:3], rel=1e-3)
    assert hedge.trades["S3"] < 0
    for target in ("before", book):
        same = replace(model, objective=(Variance(1e-6), Tracking(target, aversion=1e-2))).hedge(market, book)
        assert same.after.to_numpy() == pytest.approx(hedge.after.to_numpy(), rel=1e-5, abs=1e-5)


def test_tracking_alone_goes_to_its_target():
    market = stocks(3)
    goal = {"S0": 10.0, "S1": -20.0, "S2": 5.0}
    hedge = HedgeModel(risk=flat_risk(market), objective=(Tracking(goal),), capital=1e6).hedge(market, {"S0": 3.0})
    assert hedge.after.to_dict() == pytest.approx(goal, rel=1e-4)


def test_tracking_an_unknown_contract_is_refused():
    with pytest.raises(SpecError, match="target names S9"):
        HedgeModel(risk=flat_risk(stocks(2)), objective=(Tracking({"S9": 1.0}),)).hedge(stocks(2), {"S0": 1.0})


def test_a_box_spread_costs_nothing_to_hold_at_the_rate_it_is_discounted_at():
    """Calls less puts at 90 against those at 110 are a loan at the options' rate: financed at it, no term charges."""
    plain = options(days=(90,))
    quotes = plain.quotes.assign(rate=np.where(plain.contracts.option, 0.05, np.nan))
    market = Market(plain.instruments, quotes, "USD", drivers=plain.drivers.reset_index(), history=plain.history,
                    as_of=plain.as_of)  # fmt: skip
    box = {"C90-90": 10.0, "P90-90": -10.0, "C110-90": -10.0, "P110-90": 10.0}
    terms = (HoldingCost(financing=0.05), CarryCost())
    hedge = HedgeModel(risk=flat_risk(market), objective=(Variance(1e-9), *terms), universe=("U",)).hedge(market, box)
    assert hedge.costs["financing"] == pytest.approx(0.0, abs=1e-9)
    charged = sum(cost.holding(hedge.after.to_numpy()).sum() + cost.linear @ hedge.after.to_numpy()
                  for cost in hedge.problem.costs.values())  # fmt: skip
    assert charged == pytest.approx(0.0, abs=1e-9)
    dear = HedgeModel(risk=flat_risk(market), objective=(Variance(1e-9), HoldingCost(financing=0.06)), universe=("U",))
    assert dear.hedge(market, box).costs["financing"] > 0
