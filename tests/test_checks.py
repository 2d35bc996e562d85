"""Checks on a list: a line beyond its limit is boxed and the book solved again; what still fails holds it all."""

from collections.abc import Callable
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest

from optihedge.errors import DataError, SpecError
from optihedge.hedge.builder import ProgramBuilder
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.modelfile import parse_model
from optihedge.hedge.result import Hedge
from optihedge.hedge.terms.base import CvxpyTerm
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.limits import TradeLimit, VolatilityLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Variance
from optihedge.market.snapshot import Market
from optihedge.program.program import objective
from optihedge.risk.root import Risk
from optihedge.trades.checks import Checks, list_reasons
from optihedge.trades.line_limits import line_limits
from optihedge.trades.lots import round_to_lots
from optihedge.trades.tradelist import checked

OFF = Checks(max_age=None, displayed=None, volume=None, worth=False, lots_cost=None)


def market(**quotes: list) -> Market:
    """A stock BOOK held long, and two hedges NEAR and FAR that move with it (correlation 0.9 and 0.8)."""
    names = ["BOOK", "NEAR", "FAR"]
    rng = np.random.default_rng(0)
    history = pd.DataFrame(100 * np.exp(np.cumsum(rng.normal(0, 0.01, (30, 3)), axis=0)), columns=names)
    history.insert(0, "time", pd.date_range("2026-01-01T21:00:00Z", periods=30))
    sides = {"bid": [100.0, 99.99, 99.98], "ask": [100.0, 100.01, 100.02]}
    return Market(
        instruments=pd.DataFrame({"instrument": names, "hedge": [False, True, True]}),
        quotes=pd.DataFrame({"instrument": names, **sides, **quotes}),
        history=history,
        base_currency="USD",
        as_of="2026-01-31T00:00:00Z",
    )


def hedge(given: Market, aversion: float = 1e-4, constraints: tuple = (), quantity: float = 1000.0) -> Hedge:
    correlation = np.array([[1, 0.9, 0.8], [0.9, 1, 0.75], [0.8, 0.75, 1]])
    covariance = pd.DataFrame(correlation * 1e-4, index=given.drivers.index, columns=given.drivers.index)
    model = HedgeModel(risk=Risk.from_covariance(covariance), objective=(Variance(aversion=aversion), SpreadCost()),
                       constraints=constraints)  # fmt: skip
    return model.hedge(given, {"BOOK": quantity})


def test_a_list_within_its_limits_is_sent_as_it_is() -> None:
    result, verdict = checked(hedge(market()))
    assert not verdict.held and verdict.notes == ()
    assert result.certificate.status == "rounded"
    assert result.trades["NEAR"] < -500


@pytest.mark.parametrize(
    ("quotes", "checks", "most", "named"),
    [
        ({"bid_size": [9, 120, 9000], "ask_size": [9, 9, 9]}, Checks(volume=None), 120, "1 x displayed size"),
        ({"volume": [9, 900, 1e6]}, Checks(displayed=None), 90, "10% of daily volume"),
        ({}, Checks(line_notional=25_000.0), 250, "25,000 of notional a line"),
        ({"time": ["2026-01-31T00:00:00Z", "2026-01-29T23:00:00Z", "2026-01-31T00:00:00Z"]}, Checks(), 0,
         "quote older than 1d"),
    ],
)  # fmt: skip
def test_a_line_beyond_its_limit_is_boxed_and_the_rest_takes_over(
    quotes: dict, checks: Checks, most: float, named: str
) -> None:
    given = hedge(market(**quotes))
    free = round_to_lots(given)
    assert abs(free.trades["NEAR"]) > most, "the check must have something to catch"
    result, verdict = checked(given, checks)
    assert not verdict.held
    assert abs(result.trades["NEAR"]) <= most
    assert abs(result.trades["FAR"]) > abs(free.trades["FAR"]), "the other hedge takes over"
    assert any(note.startswith("NEAR limited to") and named in note for note in verdict.notes)
    assert result.certificate.status == "rounded"


def test_no_size_no_volume_and_a_fresh_quote_limit_nothing() -> None:
    lines = line_limits(hedge(market()), Checks()).frame
    assert np.isinf(lines[["buy", "sell"]].to_numpy()).all() and (lines[["buy_check", "sell_check"]] == "no limit").all(
        axis=None
    )


def test_a_volume_that_cannot_be_in_contracts_limits_nothing_upwards() -> None:
    """A day's volume of a thousand times the open interest is money: what is shown is all a line may trade."""
    shown = {"bid_size": [9, 120, 9000], "ask_size": [9, 9, 9]}
    for interest, most in ((5e6, 1e5), (1e3, 120.0)):
        given = market(**shown, volume=[9, 1e6, 1e6])
        given = replace(given, instruments=given.instruments.assign(open_interest=[9, interest, 1e6]))
        assert line_limits(hedge(given), Checks()).frame.loc["NEAR", "sell"] == most


def test_sides_have_their_own_displayed_size() -> None:
    lines = line_limits(hedge(market(bid_size=[1, 2, 3], ask_size=[10, 20, 30])), Checks()).frame
    assert lines.loc["NEAR", ["buy", "sell"]].tolist() == [20, 2]


def test_a_list_that_cannot_meet_its_limits_once_boxed_is_held() -> None:
    given = hedge(market(bid_size=[1, 10, 10]), constraints=(Neutral("delta", band=1000.0),))
    _, verdict = checked(given)
    assert verdict.held
    assert "NEAR limited to 10 contracts" in verdict.reasons[0]


def test_a_total_notional_above_its_cap_holds_the_list() -> None:
    _, verdict = checked(hedge(market()), Checks(total_notional=10_000.0))
    assert verdict.held and "above total_notional 10,000" in verdict.reasons[0]


@pytest.mark.parametrize(("limit", "held"), [(10_000.0, True), (1e9, False)])
def test_a_venues_total_holds_the_list_and_another_venues_does_not(limit: float, held: bool) -> None:
    given = market()
    given = replace(given, instruments=given.instruments.assign(venue=["HOME", "HERE", "THERE"]))
    _, verdict = checked(hedge(given), replace(OFF, venues={"HERE": {"total_notional": limit}}))
    assert verdict.held is held and any("on HERE" in reason for reason in verdict.reasons) is held
    _, other = checked(hedge(given), replace(OFF, venues={"NOWHERE": {"total_notional": 1.0}}))
    assert not other.held


def test_a_venues_line_is_boxed_there_and_nowhere_else() -> None:
    given = market()
    given = replace(given, instruments=given.instruments.assign(venue=["HOME", "HERE", "THERE"]))
    result, verdict = checked(hedge(given), replace(OFF, venues={"HERE": {"line_notional": 20_000.0}}))
    price = given.price["NEAR"]
    assert not verdict.held and abs(result.trades["NEAR"]) * price <= 20_000.0
    assert any("on HERE" in note for note in verdict.notes) and abs(result.trades["FAR"]) * price > 20_000.0


@pytest.mark.parametrize("status", ["unbounded", "failed"])
def test_what_is_not_proved_optimal_is_held(status: str) -> None:
    given = hedge(market())
    unproved = replace(given.certificate, status=status, note="NEAR: at the default trade limit")
    _, verdict = checked(given.with_quantities(given.h, unproved), OFF)
    assert verdict.held and verdict.reasons[0] == (
        f"the hedge is {status}, not proved optimal: NEAR: at the default trade limit"
    )


def test_trading_that_is_worse_than_nothing_is_held_where_nothing_is_allowed() -> None:
    given = hedge(market(), aversion=1e-4)
    idle = given.program.start
    worse = given.with_quantities(idle + np.where(idle == 0, 400.0, 0.0), round_to_lots(given).certificate)
    _, verdict = checked(worse)
    assert verdict.held and verdict.reasons[0].startswith("not worth its cost: doing nothing meets every limit")


def test_a_limit_that_ends_further_out_than_before_holds_the_list() -> None:
    given = hedge(market(), constraints=(Neutral("delta", band=5000.0), TradeLimit(limit=5000.0)))
    lots = round_to_lots(given)
    moved = lots.with_quantities(lots.h - np.array([3000.0, 0.0]), lots.certificate)
    _, verdict = checked(moved, OFF)
    assert verdict.held
    assert verdict.reasons[0].startswith("delta would end") and "beyond its limit" in verdict.reasons[0]


def test_a_misspelt_or_impossible_setting_is_named_with_its_remedy() -> None:
    with pytest.raises(SpecError, match=r"there is no displaid \(did you mean displayed\?\)"):
        Checks.of({"displaid": 1.0})
    with pytest.raises(SpecError, match="volume is -1"):
        Checks(volume=-1)
    with pytest.raises(DataError, match="max_age is 'soon'"):
        Checks(max_age="soon")
    assert Checks.of({"volume": False}).volume is None
    assert Checks.of({"worth": False}).worth is False
    assert Checks.of(None) == Checks()


def coarse(lot: float) -> Market:
    """The market with its hedges in lots of that size."""
    given = market()
    return replace(given, instruments=given.instruments.assign(lot=[1.0, lot, lot]))


def test_a_volatility_limit_that_lots_break_is_named_and_holds_the_list() -> None:
    limits = (VolatilityLimit(limit=500.0),)
    fine, sent = checked(hedge(coarse(1.0), aversion=1e-9, constraints=limits), OFF)
    assert not sent.held and fine.limits.loc["volatility", "after"] <= 500.0
    result, verdict = checked(hedge(coarse(1500.0), aversion=1e-9, constraints=limits), OFF)
    beyond = result.limits.loc["volatility", "after"] - 500.0
    assert beyond > 1.0
    assert result.certificate.residuals["volatility"] == pytest.approx(beyond)
    assert f"volatility ends {beyond:.6g} base currency per day beyond its limit" in result.certificate.note
    assert verdict.held and verdict.reasons[0].startswith(f"volatility would end {beyond:,.6g} base currency")


def own(function: Callable) -> tuple[CvxpyTerm]:
    return (CvxpyTerm(function=function, name="mine"),)


def test_a_users_constraint_is_met_by_other_lots_nearby() -> None:
    limit = 0.97 * float(np.linalg.norm(hedge(coarse(1.0)).trades))
    given = hedge(coarse(50.0), constraints=own(lambda h, p: cp.norm(h - p.start, 2) <= limit))
    to_nearest = given.trades.to_numpy() / 50
    assert np.linalg.norm(50 * np.round(to_nearest)) > limit, "rounding must have something to break"
    result, verdict = checked(given, OFF)
    assert np.linalg.norm(result.trades) <= limit and (result.trades != 0).any()
    assert np.allclose(result.trades % 50, 0) and not verdict.held


def test_a_users_limit_on_every_line_is_met_line_by_line() -> None:
    most = np.array([100.0, 130.0, 130.0])  # three lots of 50 are nearest, on two lines
    given = hedge(coarse(50.0), constraints=own(lambda h, p: cp.abs(h - p.start) <= most))
    assert np.abs(given.trades.to_numpy()[1:]) == pytest.approx([130.0, 130.0], rel=1e-6)
    result, verdict = checked(given, OFF)
    assert result.trades[["NEAR", "FAR"]].tolist() == [-100.0, -100.0] and not verdict.held


@pytest.mark.parametrize("with_variable", [False, True])
def test_a_users_constraint_that_no_lots_meet_holds_the_list(with_variable: bool) -> None:
    def close_to(h: cp.Expression, p: ProgramBuilder) -> list[cp.Constraint]:
        away = cp.norm(h - np.array([1000.0, -460.0, -220.0]), "inf")
        if not with_variable:
            return [away <= 5]
        most = cp.Variable()
        return [away <= most, most <= 5]

    result, verdict = checked(hedge(coarse(100.0), constraints=own(close_to)), OFF)
    beyond = np.abs(result.after - [1000, -460, -220]).max() - 5
    assert beyond > 0
    assert verdict.held and verdict.reasons[0].startswith("CVXPY constraint 1 would end ")
    assert result.certificate.residuals["CVXPY constraint 1"] == pytest.approx(beyond, abs=1e-3)
    assert "CVXPY constraint 1 ends" in result.certificate.note


@pytest.mark.parametrize("with_variable", [False, True])
def test_what_a_users_objective_costs_is_in_the_price_of_whole_lots(with_variable: bool) -> None:
    def toll(h: cp.Expression, p: ProgramBuilder) -> object:
        if not with_variable:
            return 0.02 * cp.norm(h - p.start, 1)
        size = cp.Variable()
        return [cp.norm(h - p.start, 1) <= size, 0.02 * size]

    result = round_to_lots(hedge(coarse(50.0), constraints=own(toll)))
    paid = 0.02 * result.trades.abs().sum()
    assert result.certificate.primal == pytest.approx(objective(result.program, result.h) + paid, rel=1e-5)
    assert paid > 1 and result.certificate.gap >= -1e-6 * result.certificate.scale


def test_a_band_that_lots_could_meet_holds_the_list_where_it_is_left() -> None:
    band = 6000.0  # as wide as a lot of a hundred shares, nearly 10,000: lots explain nothing
    given = hedge(coarse(100.0), aversion=1e-9, quantity=-30.0, constraints=(Neutral("delta", band=band),))
    lots = round_to_lots(given)
    worse = lots.with_quantities(lots.h + np.array([100.0, 0.0]), lots.certificate)
    assert abs(lots.exposures.loc["delta", "before"]) < band < worse.exposures.loc["delta", "after"]
    _, verdict = checked(worse, OFF)
    assert verdict.held and verdict.reasons[0].startswith("delta would end") and verdict.reasons[0].endswith("0 now")


def test_a_band_that_minimum_sizes_leave_unmet_is_said_plainly_and_not_held_if_no_further_out() -> None:
    given = hedge(coarse(1.0), quantity=30.0, constraints=(Neutral("delta", band=1000.0),))
    given = replace(given, model=replace(given.model, lots={"min_notional": 1e6}))
    result, verdict = checked(given, OFF)
    outside = result.exposures.loc["delta", "before"] - 1000.0
    assert (result.trades == 0).all() and not verdict.held
    assert verdict.notes[0].startswith("LIMIT NOT MET: delta ends ")
    assert f"({outside:.6g} before); lots, minimum sizes" in verdict.notes[0]


def test_a_list_whose_whole_lots_cost_more_than_the_stated_share_is_held() -> None:
    """950 of NEAR are wanted in lots of 600: 600 or 1 200 leave much of the risk that an exact hedge takes away."""
    given = market()
    coarse = given.instruments.assign(lot=[1.0, 600.0, 600.0])
    lumpy = Market(
        instruments=coarse, quotes=given.quotes, history=given.history, base_currency="USD", as_of=given.as_of
    )
    exact = hedge(lumpy, aversion=1e-2)
    rounded = round_to_lots(exact)
    price = rounded.certificate.primal - exact.certificate.primal
    doing_nothing = objective(exact.program, exact.program.start)
    share = price / max(rounded.certificate.primal, doing_nothing)
    assert price > 1e-4 * exact.problem.size and 0.01 < share < 0.5
    _, sent = checked(exact, Checks(max_age=None, lots_cost=share * 1.01))
    _, held = checked(exact, Checks(max_age=None, lots_cost=share * 0.99))
    assert not sent.held and held.held
    assert held.reasons[0].startswith(f"whole lots cost {price:,.2f} USD, {share:.0%} of the objective")
    _, off = checked(exact, Checks(max_age=None, lots_cost=None))
    assert not off.held


def held_market(**quotes: list) -> Hedge:
    """BOOK held long 1000, NEAR held long 200 and FAR short 100; all may be traded."""
    given = market(**quotes)
    given = replace(given, instruments=given.instruments.assign(hedge=True))
    correlation = np.array([[1, 0.9, 0.8], [0.9, 1, 0.75], [0.8, 0.75, 1]])
    covariance = pd.DataFrame(correlation * 1e-4, index=given.drivers.index, columns=given.drivers.index)
    model = HedgeModel(risk=Risk.from_covariance(covariance), objective=(Variance(aversion=1e-4), SpreadCost()),
                       universe=("NEAR", "FAR"))  # fmt: skip
    return model.hedge(given, {"BOOK": 1000.0, "NEAR": 200.0, "FAR": -100.0})


ONE_CHECK = {
    "quantity": ({"line_quantity": 50.0}, {}, "50 contracts a line"),
    "notional": ({"line_notional": 5000.0}, {}, "5,000 of notional a line"),
    "price band": ({"price_band": 0.001}, {"mark": [100.0, 99.85, 100.0]},
                   "further than 0.10% from its mark"),
    "participation": ({"participation": 0.05}, {"volume": [1e9, 1000.0, 1e9], "bid_size": [1e9] * 3},
                      "participation 5% of daily volume"),
    "position": ({"position_notional": 30_000.0}, {}, "30,000 of notional held"),
    "restricted": ({"restricted": ("NEAR",)}, {}, "restricted"),
    "no short": ({"no_short": ("NEAR",)}, {}, "no short"),
    "reduce only": ({"reduce_only": ("NEAR",)}, {}, "reduce only"),
    "stale": ({"max_age": "1h"}, {"time": ["2026-01-31T00:00:00Z", "2026-01-30T22:00:00Z", "2026-01-31T00:00:00Z"]},
              "quote older than 1h"),
    "displayed": ({"displayed": 1.0}, {"bid_size": [9, 120, 9000]}, "1 x displayed size"),
    "volume": ({"volume": 0.1}, {"volume": [1e6, 900, 1e6]}, "10% of daily volume"),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(ONE_CHECK))
def test_each_check_of_a_line_fires_alone_and_names_itself(kind: str) -> None:
    settings, quotes, named = ONE_CHECK[kind]
    given = held_market(**quotes)
    free, _ = checked(given, OFF)
    checks = replace(OFF, **settings)
    lines = line_limits(given, checks).frame
    result, verdict = checked(given, checks)
    notes = [note for note in verdict.notes if not note.startswith("checks switched off")]
    assert not verdict.held and notes
    assert all(named in note for note in notes)
    assert set(lines[["buy_check", "sell_check"]].to_numpy().ravel()) <= {named, "no limit"}
    changed = result.trades[(result.trades - free.trades).abs() > 0.5]
    assert len(changed) > 0
    bought, sold = result.trades.clip(lower=0), -result.trades.clip(upper=0)
    assert (bought <= lines["buy"] + 1e-9).all() and (sold <= lines["sell"] + 1e-9).all()


@pytest.mark.parametrize("kind", sorted(ONE_CHECK))
def test_a_line_beyond_its_check_is_parked_or_holds_the_list_where_the_policy_says_so(kind: str) -> None:
    settings, quotes, named = ONE_CHECK[kind]
    given = held_market(**quotes)
    limited, _ = checked(given, replace(OFF, **settings))
    beyond = given.trades.index[(round_to_lots(given).trades - limited.trades).abs() > 0.5]
    parked, verdict = checked(given, replace(OFF, **settings, on_failure="park"))
    gone = [note.split()[0] for note in verdict.notes if " parked: " in note]
    assert not verdict.held and gone and set(gone) <= set(beyond) and (parked.trades[gone] == 0).all()
    assert all(named in note for note in verdict.notes if " parked: " in note)
    _, verdict = checked(given, replace(OFF, **settings, on_failure="hold"))
    assert verdict.held and all(named in reason and "would trade" in reason for reason in verdict.reasons)
    other = "venues" if kind != "restricted" else "max_age"
    assert not checked(given, replace(OFF, **settings, on_failure={other: "hold"}))[1].held, "another check's policy"


def test_what_is_parked_leaves_the_bands_to_the_rest_or_holds_the_list() -> None:
    """Delta within 1 000 of nothing: without NEAR all of it is FAR's; without FAR too, nobody's."""
    band = (Neutral("delta", band=1000.0),)
    parks = replace(OFF, line_quantity=100.0, on_failure={"line_quantity": "park"})
    names = market(bid_size=[9, 1, 9000], ask_size=[9, 9, 9000])
    result, verdict = checked(hedge(names, constraints=band), replace(OFF, displayed=1.0, on_failure="park"))
    assert not verdict.held and result.trades["NEAR"] == 0
    assert abs(result.exposures.loc["delta", "after"]) <= 1000.0 < abs(result.exposures.loc["delta", "before"])
    _, verdict = checked(hedge(market(), constraints=band), parks)
    assert verdict.held and "no hedge meets the limits with" in verdict.reasons[0] and "parked" in verdict.reasons[0]


@pytest.mark.parametrize(("over", "days"), [("1d", 1.0), ("4h", 1 / 6), ("2d", 2.0), ("horizon", 3.0)])
def test_participation_is_of_the_volume_of_the_time_that_is_traded_over(over: str, days: float) -> None:
    given = market(volume=[1e9, 1200.0, 1e9])
    base = hedge(given)
    longer = replace(base.model, horizon="3d").hedge(given, {"BOOK": 1000.0})
    lines = line_limits(longer, replace(OFF, participation={over: 0.05})).frame
    assert lines.loc["NEAR", ["buy", "sell"]].to_numpy(float) == pytest.approx([0.05 * 1200 * days] * 2)
    both = line_limits(longer, replace(OFF, participation={over: 0.05, "1d": 0.01})).frame
    assert both.loc["NEAR", "buy"] == pytest.approx(1200 * min(0.05 * days, 0.01))


def test_a_model_file_says_policies_and_participation_as_python_does() -> None:
    text = ['description = "x"', "[[objective]]", 'type = "SpreadCost"', "[checks]", 'participation = {"4h" = 0.1}']
    both = {"price_band": "hold", "max_age": "park"}
    for said, told in (('"park"', "park"), ('{price_band = "hold", max_age = "park"}', both)):
        checks = Checks.of(parse_model("\n".join([*text, f"on_failure = {said}"])).checks)
        assert checks == Checks(participation={"4h": 0.1}, on_failure=told)
    with pytest.raises(SpecError, match="on_failure is 3"):
        parse_model("\n".join([*text, "on_failure = 3"]))


def test_policies_and_shares_of_two_tables_end_as_the_stricter_of_both() -> None:
    own = Checks(participation=0.1, on_failure={"price_band": "park"})
    both = own.tightened({"participation": {"1d": 0.2, "4h": 0.05}, "on_failure": "park"}, {})
    assert both.participation == {"1d": 0.1, "4h": 0.05} and both.on_failure == "park"
    held = own.tightened({"on_failure": {"price_band": "hold"}}, {})
    assert held.failure("price_band") == "hold" and held.failure("volume") == "limit"
    for wrong, named in (
        (("on_failure", "stop"), "write limit, park, hold"),
        (("on_failure", {"volum": "park"}), "volum"),
        (("participation", {"soon": 0.1}), "soon"),
        (("participation", {"1d": -0.1}), "-0.1"),
    ):
        with pytest.raises(SpecError, match=named):
            Checks.of(dict([wrong]))


def _worse() -> tuple[Hedge, Hedge]:
    given = hedge(market(), aversion=1e-4)
    idle = given.program.start
    return given, given.with_quantities(idle + np.where(idle == 0, 400.0, 0.0), round_to_lots(given).certificate)


def _lumpy() -> tuple[Hedge, Hedge]:
    exact = hedge(coarse(600.0), aversion=1e-2)
    return exact, round_to_lots(exact)


def _outside() -> tuple[Hedge, Hedge]:
    given = hedge(market(), constraints=(Neutral("delta", band=5000.0), TradeLimit(limit=5000.0)))
    lots = round_to_lots(given)
    return given, lots.with_quantities(lots.h - np.array([3000.0, 0.0]), lots.certificate)


def _listed() -> tuple[Hedge, Hedge]:
    placed = market()
    given = hedge(replace(placed, instruments=placed.instruments.assign(venue=["HOME", "HERE", "THERE"])))
    return given, round_to_lots(given)


ONE_LIST_CHECK = {
    "total notional": (_listed, {"total_notional": 10_000.0}, "above total_notional 10,000"),
    "venue's total": (_listed, {"venues": {"HERE": {"total_notional": 10_000.0}}}, "on HERE is"),
    "gross": (_listed, {"gross_notional": 1.0}, "above gross_notional 1"),
    "cost above benefit": (_worse, {"worth": True}, "not worth its cost"),
    "whole lots": (_lumpy, {"lots_cost": 0.05}, "whole lots cost"),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(ONE_LIST_CHECK))
def test_each_check_of_a_list_fires_alone_and_says_its_number(kind: str) -> None:
    make, settings, named = ONE_LIST_CHECK[kind]
    given, listed = make()
    (said,) = list_reasons(listed, replace(OFF, margin=True, **settings), given.answer)
    assert named in said and any(letter.isdigit() for letter in said)
    assert list_reasons(listed, replace(OFF, margin=True), given.answer) == []


def test_an_exposure_moved_the_wrong_way_fires_alone_and_whatever_is_switched_off() -> None:
    given, listed = _outside()
    (said,) = list_reasons(listed, Checks.none(), given.answer)
    assert said.startswith("delta would end") and "beyond its limit" in said


def test_no_short_and_reduce_only_leave_what_closes_a_position() -> None:
    given = held_market()
    lines = line_limits(given, replace(OFF, no_short=("NEAR",))).frame
    assert lines.loc["NEAR", ["buy", "sell"]].tolist() == [np.inf, 200.0]
    lines = line_limits(given, replace(OFF, reduce_only=("NEAR", "FAR"))).frame
    assert lines.loc["NEAR", ["buy", "sell"]].tolist() == [0.0, 200.0]
    assert lines.loc["FAR", ["buy", "sell"]].tolist() == [100.0, 0.0]
    lines = line_limits(given, replace(OFF, position_notional=15_000.0)).frame
    assert lines.loc["NEAR", ["buy", "sell"]].tolist() == [0.0, 350.0], "already above: towards nothing, and no further"


@pytest.mark.parametrize(
    ("located", "sell"), [(["", 50.0, ""], [np.inf, 250.0, np.inf]), (["", 0.0, 30.0], [np.inf, 200.0, 0.0]),
                          (["", "", 250.0], [np.inf, np.inf, 150.0])],
)  # fmt: skip
def test_no_more_is_sold_short_than_can_be_borrowed(located: list, sell: list) -> None:
    """NEAR is held long 200, FAR short 100: what is held may be sold, then what was located."""
    given = held_market()
    given = replace(given, market=replace(given.market, instruments=given.market.instruments.assign(
        borrow_available=located)))  # fmt: skip
    lines = line_limits(given, OFF).frame
    assert lines["sell"].tolist() == sell and np.isinf(lines["buy"]).all()
    assert (lines.loc[np.isfinite(lines["sell"]), "sell_check"] == "borrow available").all()


def test_what_can_be_borrowed_is_a_number() -> None:
    given = held_market()
    wrong = given.market.instruments.assign(borrow_available=["", "plenty", ""])
    with pytest.raises(DataError, match="borrow_available of NEAR is 'plenty'"):
        line_limits(replace(given, market=replace(given.market, instruments=wrong)), OFF)


def test_a_gross_above_its_cap_holds_the_list_unless_it_shrinks() -> None:
    given = held_market()
    assert (given.after.abs() > given.before.abs() + 1).any()
    _, verdict = checked(given, replace(OFF, gross_notional=1.0))
    assert verdict.held and "above gross_notional 1" in verdict.reasons[0] and len(verdict.reasons) == 1
    less = given.with_quantities(0.5 * given.program.start, round_to_lots(given).certificate)
    assert not any("gross_notional" in why for why in checked(less, replace(OFF, gross_notional=1.0))[1].reasons)


def test_lists_of_contracts_are_lists_of_contracts_that_exist() -> None:
    with pytest.raises(SpecError, match="restricted is 'NEAR'; give a list"):
        Checks(restricted="NEAR")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"NEER is no instrument of this market \(did you mean NEAR\?\)"):
        line_limits(held_market(), replace(OFF, restricted=("NEER",)))
    both = Checks(restricted=("A",), line_quantity=5.0).tightened({"restricted": ["B"], "line_quantity": 3.0}, {})
    assert both.restricted == ("A", "B") and both.line_quantity == 3.0
