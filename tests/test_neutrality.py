"""Neutral: bands hold for the whole book, per group and robustly; a point inside stays, one outside is moved."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, options, own_greeks, stocks

from optihedge.display.numbers import number
from optihedge.errors import InfeasibleError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.report import notes
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.limits import TradeLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Variance
from optihedge.market.snapshot import Market
from optihedge.risk.beta import Beta

BAND = 1e-9  # relative: how far a certified answer may end outside a hard band


SPREAD = (SpreadCost(),)


def hedged(market, book, *constraints, objective=SPREAD, **given):
    return HedgeModel(objective=objective, constraints=constraints, risk=flat_risk(market), **given).hedge(market, book)


def test_a_book_inside_its_band_is_left_alone():
    market = stocks(3)
    cash = 10 * market.price["S0"]
    assert (hedged(market, {"S0": 10.0}, Neutral("delta", band=1.01 * cash)).trades == 0).all()


def test_money_in_the_base_currency_is_no_group_of_a_neutrality_by_underlying():
    market = with_money(stocks(2))
    limit = Neutral("delta", by="underlying", band=1.0, only_hedged=True)
    hedge = hedged(market, {"S0": 10.0, "S1": 3.0, "USD": 5e5, "GBP": 100.0}, limit, universe=("S0",))
    assert set(hedge.limits.index) == {"delta[S0]", "delta[S1]"}
    assert any("delta[S1]: no tradable" in note for note in hedge.problem.notes)
    assert not any("USD" in note or "[GBP]" in note for note in hedge.problem.notes)


def with_money(market):
    """The market with cash in its base currency and in pounds."""
    table = pd.DataFrame({"instrument": ["USD", "GBP"], "type": "cash", "underlying": ["USD", "GBP"],
                          "currency": ["USD", "GBP"]}).set_index("instrument")  # fmt: skip
    drivers = pd.concat([market.drivers, pd.DataFrame({"kind": "fx", "underlying": "GBP", "currency": "USD"},
                                                      index=["GBPUSD"])])  # fmt: skip
    history = market.history.assign(GBPUSD=1.25 * market.history["S1"] / market.history["S1"].iloc[-1])
    return Market(pd.concat([market.instruments, table]), market.quotes, "USD", drivers=drivers, history=history,
                  as_of=market.as_of)  # fmt: skip


def test_a_book_outside_its_band_is_brought_to_the_edge():
    market = stocks(3)
    cash = 10 * market.price["S0"]
    hedge = hedged(market, {"S0": 10.0}, Neutral("delta", band=0.6 * cash))
    assert hedge.exposures.loc["delta", "after"] == pytest.approx(0.6 * cash, rel=BAND)


@pytest.mark.parametrize(("target", "band", "low", "high"), [(0, 5, -5, 5), (10, 5, 5, 15), (10, (1, 3), 9, 13)])
def test_limits_are_target_less_below_and_plus_above(target, band, low, high):
    assert Neutral("delta", target=target, band=band).limits(0.0) == (low, high)


def test_band_share_is_of_the_books_gross_or_the_capital_if_that_is_larger():
    market = stocks(3)
    book = {"S0": 10.0, "S1": -10.0}
    gross = 10 * (market.price["S0"] + market.price["S1"])
    for capital, size in ((0.0, gross), (0.5 * gross, gross), (3 * gross, 3 * gross)):
        hedge = hedged(market, book, Neutral("delta", band_share=0.1), capital=capital)
        assert hedge.limits.loc["delta", "upper"] == pytest.approx(0.1 * size)


def test_by_holds_in_every_group_where_the_total_would_hide_it():
    market = stocks(4, sector=["x", "x", "y", "y"])
    book = {"S0": 100.0, "S2": -100 * market.price["S0"] / market.price["S2"]}
    assert abs(hedged(market, book, Neutral("delta", band=1.0)).trades).sum() == 0
    hedge = hedged(market, book, Neutral("delta", band=1.0, by="sector"))
    assert hedge.exposures.loc[["delta[x]", "delta[y]"], "after"].abs().max() <= 1 + 1e-6


def test_a_soft_band_gives_way_to_a_cost_above_its_penalty():
    market = stocks(2, spread=2e-3)
    book = {"S0": 100.0}
    per_dollar = 1e-3
    cheap, dear = (
        hedged(market, book, Neutral("delta", soft=factor * per_dollar), universe=("S1",)) for factor in (0.5, 2.0)
    )
    assert (cheap.trades == 0).all()
    assert cheap.charges["penalties"] == pytest.approx(0.5 * per_dollar * 100 * market.price["S0"])
    assert dear.exposures.loc["delta", "after"] == pytest.approx(0, abs=1e-6)
    assert dear.charges["penalties"] == pytest.approx(0, abs=1e-8)


def test_zero_uncertainty_or_zero_error_is_the_point_version_exactly():
    known, guessed = (
        own_greeks({"A": (1.0, e), "B": (1.2, e), "C": (0.8, e)}, ("slope", "slope_error"), half_spread=0.01)
        for e in (0.0, 0.1)
    )
    point = hedged(known, {"A": 10.0}, Neutral("slope", band=7.0))
    for market, kappa in ((known, 2.0), (guessed, 0.0)):
        robust = hedged(market, {"A": 10.0}, Neutral("slope", band=7.0, uncertainty=kappa))
        np.testing.assert_allclose(robust.trades, point.trades, rtol=1e-12, atol=1e-12)
    wider = hedged(guessed, {"A": 10.0}, Neutral("slope", band=7.0, uncertainty=0.5))
    assert not np.allclose(wider.trades, point.trades)


def test_robust_neutrality_holds_at_every_corner_of_the_box():
    errors = {"A": (1.0, 0.1), "B": (1.2, 0.05), "C": (0.8, 0.02)}
    market = own_greeks(errors, ("slope", "slope_error"), half_spread=0.01)
    band, kappa = 30.0, 2.0
    hedge = hedged(market, {"A": 100.0}, Neutral("slope", band=band, uncertainty=kappa), universe=("A", "B", "C"))
    after = hedge.after.to_numpy()
    slope, error = market.exposures["slope"].to_numpy(), market.exposures["slope_error"].to_numpy()
    corners = [slope + kappa * error * (np.array(s) - 1) for s in np.ndindex(3, 3, 3)]
    worst = max(abs(corner @ after) for corner in corners)
    assert worst <= band * (1 + BAND)
    assert worst == pytest.approx(band, rel=1e-6)  # and no tighter than it must be


def test_beta_stands_for_every_market_driver():
    market = stocks(5)
    drivers = market.drivers.assign(market=market.names.isin(["S3", "S4"]))
    market = replace(market, drivers=drivers)
    hedge = hedged(market, {"S0": 10.0, "S1": 10.0}, Neutral("beta", band=1.0), betas=Beta(), universe=("S3", "S4"))
    assert list(hedge.limits.index) == ["beta:S3", "beta:S4"]
    assert hedge.exposures.loc[["beta:S3", "beta:S4"], "after"].abs().max() <= 1 + 1e-6
    moves = market.moves()
    slopes = np.linalg.lstsq(
        np.column_stack([np.ones(len(moves)), moves[["S3", "S4"]]]), moves["S0"].to_numpy(), rcond=None
    )[0][1:]
    expected = slopes * market.price["S0"]
    found = hedge.market.exposures.loc["S0", ["beta:S3", "beta:S4"]].to_numpy(dtype=float)
    assert found == pytest.approx(expected, rel=1e-9)
    own = hedge.market.exposures.loc["S3", ["beta:S3", "beta:S4"]].to_numpy(dtype=float)
    assert own == pytest.approx([market.price["S3"], 0.0])


def test_robust_betas_leave_a_smaller_realised_beta_in_most_panels():
    """Panels with known betas: estimates err, and the robust hedge trusts a noisy hedge name less."""
    wins, panels = 0, 40
    rng = np.random.default_rng(5)
    for _ in range(panels):
        size = 12
        true, error = rng.normal(1, 0.3, size), rng.uniform(0.02, 0.6, size)
        error[:3] = 0.1  # of the book's own names
        estimate = true + error * rng.normal(size=size)
        names = [f"N{i}" for i in range(size)]
        market = own_greeks(
            {n: (e, s) for n, e, s in zip(names, estimate, error, strict=True)}, ("slope", "slope_error")
        )
        book = {n: 100.0 for n in names[:3]}
        realised = []
        for kappa in (0.0, 1.0):
            term = Neutral("slope", uncertainty=kappa, soft=1.0)
            limit = TradeLimit(200.0)
            hedge = hedged(market, book, term, limit, objective=(Variance(relative=1.0),), universe=tuple(names[3:]))
            realised.append(abs(true @ hedge.after.reindex(names).fillna(0.0).to_numpy()))
        wins += realised[1] < realised[0]
    assert wins > panels / 2


def test_a_gamma_and_a_vega_target_with_one_expiry_are_jointly_infeasible_by_name():
    market, longer = options(days=(30,)), options(days=(30, 90))
    book = {"C100-30": -100.0}
    constraints = (Neutral("delta"), Neutral("gamma", target=50.0), Neutral("vega", target=-50.0))
    with pytest.raises(InfeasibleError, match="gamma and vega are jointly infeasible: proportional") as caught:
        hedged(market, book, *constraints)
    assert "smallest change" in str(caught.value)
    found = hedged(longer, book, *constraints)
    assert found.exposures.loc["gamma", "after"] == pytest.approx(50, rel=1e-6)
    assert found.exposures.loc["vega", "after"] == pytest.approx(-50, rel=1e-6)


def test_an_optional_term_is_left_out_and_said_to_be_where_the_market_lacks_it():
    market = stocks(2)
    hedge = hedged(
        market, {"S0": 1.0}, Neutral("delta", by="sector", optional=True), Neutral("beta", optional=True),
        Neutral("delta", band=1e3, optional=True),
    )  # fmt: skip
    assert list(hedge.limits.index) == ["delta"]
    assert hedge.problem.notes[:2] == (
        "delta by sector: left out, the market has no sector", "beta: left out, the market has no beta"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"band": -1.0}, "band is -1"), ({"band": (1.0, 2.0, 3.0)}, "one number, or"),
        ({"target": np.nan}, "target is nan"),
        ({"uncertainty": -1.0}, "uncertainty is -1"), ({"band_share": np.inf}, "band_share is inf"),
        ({"soft": np.nan}, "soft is nan"), ({"soft": -1.0}, "soft is -1"), ({"priority": -1}, "priority is -1"),
        ({"soft": "5"}, "soft is '5'"), ({"soft": True}, "soft is True"), ({"priority": 1.5}, "priority is 1.5"),
        ({"priority": True}, "priority is True"),
    ],
)  # fmt: skip
def test_a_wrong_number_is_refused_by_name(given, text):
    with pytest.raises(SpecError, match=text):
        Neutral("delta", **given)


def test_an_unknown_exposure_is_named_with_those_there_are():
    with pytest.raises(SpecError, match=r"no exposure 'vegga' .did you mean vega..; it has delta"):
        hedged(stocks(2), {"S0": 1.0}, Neutral("vegga"))


def test_rows_are_labelled_with_their_unit():
    hedge = hedged(stocks(2), {"S0": 1.0}, Neutral("delta", name="flat"))
    assert hedge.shadow_prices.attrs["unit"] == {"flat": "base currency, P&L of +100 %"}
    assert isinstance(hedge.shadow_prices, pd.Series)


def test_a_group_that_the_market_spells_otherwise_is_named_where_a_term_is_left_out():
    market = stocks(2, Sector="energy")
    hedge = hedged(market, {"S0": 1.0}, Neutral("delta", by="sector", optional=True))
    assert "delta by sector: left out, the market has no sector (did you mean Sector?)" in hedge.problem.notes


@pytest.mark.parametrize(("price", "missed"), [(1e-12, True), (1.0, False)])
def test_a_soft_limit_that_an_answer_ends_beyond_is_a_note_with_its_miss(price, missed):
    market = stocks(2)
    hedge = hedged(market, {"S0": 1e4}, Neutral("delta", soft=price))
    told = [note for note in notes(hedge) if "is soft and ends" in note]
    assert bool(told) == missed == bool(hedge.limits.at["delta", "violation"] > 1.0)
    assert all(number(hedge.limits.at["delta", "violation"]) in note for note in told)
