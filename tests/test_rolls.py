"""A leg that expires before its risk is named, and told what to roll into; carry decides between near alternatives."""

import numpy as np
import pandas as pd
import pytest

from optihedge.errors import DataError, InfeasibleError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.modelfile import parse_model
from optihedge.hedge.rolls import next_leg, risk_ends, roll_plan, short_lived
from optihedge.hedge.terms.costs import CarryCost, FeeCost, SpreadCost
from optihedge.hedge.terms.limits import PositionLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.rolls import RollOut
from optihedge.hedge.universe import Universe
from optihedge.market.pricing import black
from optihedge.market.snapshot import Market
from optihedge.risk.root import Risk

AS_OF = pd.Timestamp("2026-01-05T12:00:00Z")
SPOT = 50_000.0


def coin_market(funding: float = 1e-4, forward: float = 1.004 * SPOT, spread: float = 5.0) -> Market:
    """BTC spot, a perpetual, a 30-day and a 90-day future, a 60-day call; the future's basis is a driver."""
    rows = [
        ("BTC", "spot", None, np.nan, "", SPOT, np.nan),
        ("PERP", "perpetual", None, np.nan, "", SPOT, funding),
        ("F30", "future", 30, np.nan, "", forward, np.nan),
        ("F90", "future", 90, np.nan, "", 1.012 * SPOT, np.nan),
        ("C60", "option", 60, SPOT, "C", 3_000.0, np.nan),
        ("C90", "option", 90, 1.05 * SPOT, "C", 3_500.0, np.nan),
        ("C91", "option", 91, 1.05 * SPOT, "C", 3_550.0, np.nan),
    ]
    table = pd.DataFrame({
        "instrument": [r[0] for r in rows], "type": [r[1] for r in rows], "underlying": "BTC", "currency": "USD",
        "expiry": [pd.NaT if r[2] is None else AS_OF + pd.Timedelta(days=r[2]) for r in rows],
        "strike": [r[3] for r in rows], "right": [r[4] for r in rows], "lot": 1e-3, "fee": 1e-4,
    })  # fmt: skip
    price = np.array([r[5] for r in rows])
    quotes = pd.DataFrame({
        "instrument": table["instrument"], "bid": price - spread, "ask": price + spread, "mark": price,
        "funding_rate": [r[6] for r in rows], "funding_hours": [8.0 if r[1] == "perpetual" else np.nan for r in rows],
    })  # fmt: skip
    days = [(AS_OF + pd.Timedelta(days=d)).strftime("%Y-%m-%d") for d in (30, 90)]
    drivers = pd.DataFrame(
        [("BTC", "price", "")] + [(f"basis:{day}", "basis", day) for day in days], columns=["driver", "kind", "tenor"]
    ).assign(underlying="BTC", currency=lambda d: np.where(d["kind"] == "price", "USD", ""), periods_per_year=365.0)
    return Market(table, quotes, "USD", drivers=drivers, as_of=AS_OF)


def test_risk_ends_with_the_last_expiry_and_never_for_spot():
    market = coin_market()
    assert risk_ends(market, pd.Series({"C60": 1.0, "F30": 2.0}))["BTC"] == AS_OF + pd.Timedelta(days=60)
    assert pd.isna(risk_ends(market, pd.Series({"C60": 1.0, "BTC": 2.0}))["BTC"])


def test_a_future_that_expires_before_the_option_is_short_lived():
    market = coin_market()
    assert list(short_lived(market, pd.Series({"C60": -1.0}), ["F30", "F90", "PERP"])) == ["F30"]


def test_the_plan_rolls_into_the_next_future_at_equal_delta_and_todays_cost():
    market = coin_market()
    plan = roll_plan(market, pd.Series({"C60": -10.0}), pd.Series({"F30": 6.0, "PERP": 1.0}))
    assert list(plan.index) == ["F30"] and plan.at["F30", "into"] == "F90"
    delta = market.exposures["delta"]
    assert plan.at["F30", "roll"] * delta["F90"] == pytest.approx(6.0 * delta["F30"])
    fees = 6.0 * market.fees["F30"] + plan.at["F30", "roll"] * market.fees["F90"]
    assert plan.at["F30", "cost"] == pytest.approx((6.0 + plan.at["F30", "roll"]) * 5.0 + fees)


def test_a_hedge_of_spot_with_a_future_is_always_to_be_rolled():
    plan = roll_plan(coin_market(), pd.Series({"BTC": 3.0}), pd.Series({"F90": -3.0}))
    assert plan.at["F90", "risk_ends"] == "open-ended"
    assert plan.at["F90", "into"] == ""


def test_an_option_rolls_into_the_next_expiry_at_the_nearest_strike():
    assert next_leg(coin_market(), "C60") == "C90"


def silenced(market: Market, sides: dict[str, str], **instruments: dict[str, object]) -> Market:
    """The same market without these sides of quotes (instrument -> 'bid' or 'ask'), with entries of instruments."""
    quotes, table = market.quotes.copy(), market.instruments.copy()
    for name, side in sides.items():
        quotes.loc[name, side] = np.nan
    for name, fields in instruments.items():
        table.loc[name, list(fields)] = list(fields.values())
    return Market(table, quotes, "USD", drivers=market.drivers, as_of=market.as_of)


def test_a_leg_that_cannot_be_closed_today_has_no_cost_and_says_so():
    market, book = silenced(coin_market(), {"F30": "bid"}), {"C60": -10.0}
    long = roll_plan(market, book, {"F30": 6.0}).loc["F30"]
    assert np.isnan(long["cost"]) and long["into"] == "F90" and long["note"] == "F30 has no bid to close it at"
    short = roll_plan(market, book, {"F30": -6.0}).loc["F30"]  # closed by buying, at its distance from the mark
    both = 5.0 * (6.0 - short["roll"]) + 6.0 * market.fees["F30"] - short["roll"] * market.fees["F90"]
    assert short["cost"] == pytest.approx(both) and short["note"] == ""


def test_a_target_that_cannot_be_traded_on_the_side_of_the_roll_is_skipped_by_name():
    book, silent = {"C60": -10.0}, silenced(coin_market(), {"F90": "ask", "C90": "ask"})
    long, short = (roll_plan(silent, book, {"F30": 6.0 * sign}).loc["F30"] for sign in (1, -1))
    assert (long["into"], long["roll"], long["note"]) == ("", 0.0, "F90 skipped, no ask")
    assert long["cost"] == pytest.approx(6.0 * (5.0 + 1e-4 * 1.004 * SPOT))  # of closing only
    assert (short["into"], short["note"]) == ("F90", "")
    assert (next_leg(silent, "C60", 1.0), next_leg(silent, "C60", -1.0)) == ("C91", "C90")


def test_options_roll_by_units_of_the_underlying_not_by_contracts():
    market = silenced(coin_market(), {}, C90={"multiplier": 0.1})
    plan = roll_plan(market, {"C91": -10.0}, {"C60": 6.0}).loc["C60"]
    assert (plan["into"], plan["roll"]) == ("C90", pytest.approx(60.0))
    fees = 1e-4 * SPOT * (6.0 * 1.0 + 60.0 * 0.1)
    assert plan["cost"] == pytest.approx(5.0 * (6.0 * 1.0 + 60.0 * 0.1) + fees)


def test_a_roll_plan_needs_known_instruments_and_finite_quantities():
    market = coin_market()
    for book, trades in (({"X": 1.0}, {"F30": 6.0}), ({"C60": 1.0}, {"X": 6.0})):
        with pytest.raises(DataError, match="instrument X is not in the market"):
            roll_plan(market, book, trades)
    with pytest.raises(DataError, match="quantity of C60 is not finite"):
        roll_plan(market, {"C60": np.nan}, {"F30": 6.0})


@pytest.mark.parametrize("above", [True, False])
def test_the_choice_between_perpetual_and_future_flips_at_the_break_even_funding(above):
    """Short hedges of equal cost: the perpetual is paid f per 8 hours, the future ln(F/S) / its life."""
    forward = 1.004 * SPOT
    even = np.log(forward / SPOT) / 30 / 3
    market = coin_market(funding=even * (1.001 if above else 0.999), forward=forward, spread=0.0)
    model = HedgeModel(
        objective=(CarryCost(),), constraints=(Neutral("delta"), PositionLimit(upper=0.0)), universe=("PERP", "F30"),
    )  # fmt: skip
    trades = model.hedge(market, {"BTC": 10.0}).trades
    chosen, other = ("PERP", "F30") if above else ("F30", "PERP")
    assert trades[chosen] < -9.9 and trades[other] == pytest.approx(0.0, abs=1e-6)


def test_a_dated_future_carries_its_basis_though_no_driver_speaks_of_it():
    """F30 at 1.004 S earns a short ln(1.004) in 30 days, the perpetual 1e-5 every 8 hours: F30 by 0.00399 to 0.0009."""
    market = coin_market(funding=1e-5, spread=0.0)
    plain = Market(
        market.instruments, market.quotes, "USD", as_of=AS_OF,
        drivers=pd.DataFrame({"driver": ["BTC"], "currency": ["USD"], "periods_per_year": [365.0]}),
    )  # fmt: skip
    model = HedgeModel(
        objective=(CarryCost(),), constraints=(Neutral("delta"), PositionLimit(upper=0.0)), universe=("PERP", "F30"),
        horizon="5d",
    )  # fmt: skip
    hedge = model.hedge(plain, {"BTC": 10.0})
    assert hedge.trades["PERP"] == pytest.approx(0.0, abs=1e-6)
    assert hedge.trades["F30"] == pytest.approx(-10 / 1.004)
    assert hedge.charges["carry"] == pytest.approx(-10 * SPOT * np.log(1.004) * 5 / 30)


def test_a_perpetual_without_a_funding_rate_is_named_where_its_carry_counts():
    model = HedgeModel(objective=(CarryCost(),), constraints=(Neutral("delta"),), universe=("PERP",))
    market = coin_market(funding=np.nan)
    assert "PERP: no funding_rate, carried at 0" in model.hedge(market, {"BTC": 1.0}).problem.notes
    assert not any("funding" in note for note in model.hedge(coin_market(), {"BTC": 1.0}).problem.notes)


def test_a_call_less_a_put_carries_what_their_future_does():
    """C - P = D (F - K): bought instead of the future it rolls down by as much, discounted; gamma and vega cancel."""
    expiry, years, discount, vol = AS_OF + pd.Timedelta(days=73), 0.2, 0.99, 0.6
    forward, spot = 102.0, 100.0
    calls = [float(black(forward, 105.0, years, vol, sign, discount)) for sign in (1, -1)]
    table = pd.DataFrame({
        "instrument": ["U", "F", "C", "P"], "type": ["spot", "future", "option", "option"], "underlying": "U",
        "expiry": [pd.NaT, *[expiry] * 3], "strike": [np.nan, np.nan, 105.0, 105.0], "right": ["", "", "C", "P"],
    })  # fmt: skip
    quotes = pd.DataFrame({
        "instrument": table["instrument"], "bid": np.nan, "ask": np.nan, "mark": [spot, forward, *calls],
        "underlying_price": [np.nan, np.nan, forward, forward],
        "rate": [np.nan, np.nan, *[-np.log(discount) / years] * 2],
    })  # fmt: skip
    drivers = pd.DataFrame({"driver": ["U"], "periods_per_year": [365.0]})
    market = Market(table, quotes, "USD", drivers=drivers, as_of=AS_OF)
    risk = Risk(np.array([[0.02]]), np.zeros(1), market.drivers.index, 365.0)
    model = HedgeModel(risk=risk, objective=(CarryCost(),), horizon="7d")
    held = {"U": 1.0, "F": 1.0, "C": 1.0, "P": -1.0}
    carry = -model.hedge(market, held).charges_by_contract["carry"]
    future = -forward * np.log(forward / spot) * 7 / 73
    assert carry["F"] == pytest.approx(future) and carry["U"] == 0
    assert carry["C"] + carry["P"] == pytest.approx(discount * future)


def test_costs_move_the_break_even():
    """With the perpetual's fee and spread the same as the future's, one that pays a little less loses."""
    forward = 1.004 * SPOT
    even = np.log(forward / SPOT) / 30 / 3
    model = HedgeModel(
        objective=(CarryCost(), SpreadCost(), FeeCost()),
        constraints=(Neutral("delta"), PositionLimit(upper=0.0)), universe=("PERP", "F30"),
    )  # fmt: skip
    assert model.hedge(coin_market(funding=0.5 * even), {"BTC": 10.0}).trades["F30"] < -9.9


def test_a_model_that_refuses_short_lived_legs_names_them():
    model = HedgeModel(
        objective=(SpreadCost(),), constraints=(Neutral("delta"),), universe=Universe(("F30", "F90"), rolls="refuse")
    )
    hedge = model.hedge(coin_market(), {"C60": -10.0})
    assert hedge.trades.get("F30", 0.0) == 0.0 and hedge.trades["F90"] > 0
    assert any("F30" in note and "expiring before the risk" in note for note in hedge.problem.notes)
    with pytest.raises(SpecError, match="rolls is 'sometimes'"):
        Universe(rolls="sometimes")


def test_refusing_every_leg_names_the_legs_and_why():
    model = HedgeModel(
        objective=(SpreadCost(),), constraints=(Neutral("delta"),), universe=Universe(("F30",), rolls="refuse")
    )
    with pytest.raises(InfeasibleError, match="no tradable contract") as refused:
        model.hedge(coin_market(), {"C60": -10.0})
    assert "F30: not traded, expiring before the risk they would hedge" in str(refused.value)


def test_a_hedge_carries_its_roll_plan():
    model = HedgeModel(objective=(SpreadCost(),), constraints=(Neutral("delta"),), universe=("F30",))
    hedge = model.hedge(coin_market(), {"C60": -10.0})
    assert list(hedge.rolls.index) == ["F30"]
    assert "to roll" in str(hedge)


@pytest.mark.parametrize(("days", "near"), [(40, 0.0), (29, -3.0)])
def test_a_future_that_is_due_is_left_for_one_that_lives_on_and_options_are_not(days, near):
    """Three coins sold by the near future: within the days all of it goes to the far one, before it nothing moves."""
    market, book = coin_market(), {"BTC": 3.0, "F30": -3.0, "C60": 1.0}
    model = HedgeModel(objective=(SpreadCost(), FeeCost()), universe=("F30", "F90", "C60"),
                       constraints=(Neutral("delta", band=3e4), RollOut(days=days)))  # fmt: skip
    after = model.hedge(market, book).after
    assert after["F30"] == pytest.approx(near, abs=1e-6) and after["C60"] == 1.0
    assert (after["F90"] < -2.0) == (days == 40)


def test_a_roll_without_days_or_softened_is_refused():
    with pytest.raises(SpecError, match="days"):
        RollOut(days=-1.0)
    with pytest.raises(SpecError, match="leave soft out"):
        RollOut(soft=1.0)
    text = 'description = "r"\n[[constraints]]\ntype = "RollOut"\ndays = 3\ntypes = ["future"]\n'
    assert parse_model(text, name="r").constraints[0] == RollOut(days=3, types=("future",))
