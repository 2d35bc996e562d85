"""A first hedge without a past: priors are stated, give way to moves as they come, and never touch what is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from optihedge.errors import NotApplicable
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.modelfile import load_model
from optihedge.hedge.terms.objective import Variance
from optihedge.market.snapshot import Market
from optihedge.risk.beta import Beta
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.prior import BETA_ERROR, STRENGTH, TOGETHER, YEARLY, fitted_betas, fitted_risk

DAYS = pd.date_range("2026-01-01", periods=60, tz="UTC")


def stocks(prices: pd.DataFrame | None, names=("A", "B", "C"), **given) -> Market:
    """Shares at 100 with the history they have."""
    quotes = pd.DataFrame({"instrument": list(names), "bid": 99.9, "ask": 100.1, "time": DAYS[-1]})
    table = pd.DataFrame({"instrument": list(names), "type": "equity"})
    drivers = pd.DataFrame({"driver": list(names), "market": [name == "M" for name in names], "periods_per_year": 252})
    history = None if prices is None else prices.rename_axis("time")
    return Market(table, quotes, "USD", drivers=drivers, history=history, as_of=DAYS[-1], on_missing="freeze", **given)


def walk(names, rows: int, seed: int = 0) -> pd.DataFrame:
    moves = 0.02 * np.random.default_rng(seed).normal(size=(rows, len(names)))
    return pd.DataFrame(100 * np.cumprod(1 + moves, axis=0), DAYS[-rows:], list(names))


def test_without_a_history_every_driver_has_its_stated_prior_and_is_named():
    risk = fitted_risk(EwmaRisk(), stocks(None))
    covariance = risk.covariance().to_numpy()
    assert np.sqrt(np.diag(covariance)) == pytest.approx(YEARLY["stock"] / np.sqrt(252))
    assert covariance[0, 1] / covariance[0, 0] == pytest.approx(TOGETHER["stock"])
    (note,) = risk.notes
    assert "A and 2 more" in note and "no history" in note and "35% a year" in note


def test_a_market_without_a_past_is_what_its_group_moves_together_so_that_risk_and_betas_agree():
    market = stocks(None, ("A", "B", "M"))
    covariance = fitted_risk(EwmaRisk(), market).covariance()
    betas, _, _ = fitted_betas(Beta(), market)
    by_risk = covariance["M"] / covariance.loc["M", "M"]
    pd.testing.assert_series_equal(by_risk, betas["M"], check_names=False)
    assert np.sqrt(covariance.loc["A", "A"] * 252) == pytest.approx(YEARLY["stock"])
    assert covariance.loc["A", "B"] / covariance.loc["A", "A"] == pytest.approx(TOGETHER["stock"])
    assert any("M: no history; prior of 22% a year" in note for note in fitted_risk(EwmaRisk(), market).notes)


def test_with_enough_history_the_prior_says_nothing():
    market = stocks(walk("ABC", 60))
    risk = fitted_risk(EwmaRisk(halflife=10), market)
    assert risk.notes == ()
    pd.testing.assert_frame_equal(risk.covariance(), EwmaRisk(halflife=10).fit(market.moves()).risk_.covariance())


def test_a_short_history_counts_for_its_moves_against_the_priors_twenty():
    prices = walk("ABC", 8)
    risk = fitted_risk(EwmaRisk(), stocks(prices))
    squares = (prices.pct_change().iloc[1:] ** 2).sum()
    expected = (STRENGTH * YEARLY["stock"] ** 2 / 252 + squares) / (STRENGTH + 7)
    assert np.diag(risk.covariance()) == pytest.approx(expected.to_numpy())
    assert "a short history" in risk.notes[0]


def test_a_new_listing_leaves_the_risk_of_the_others_as_it_is_and_moves_with_them():
    prices = walk("AB", 60).assign(C=np.nan)
    prices.loc[DAYS[-3:], "C"] = [100.0, 101.0, 100.0]
    market = stocks(prices)
    risk = fitted_risk(EwmaRisk(), market).covariance()
    alone = EwmaRisk().fit(market.moves()[["A", "B"]]).risk_.covariance()
    pd.testing.assert_frame_equal(risk.loc[["A", "B"], ["A", "B"]], alone)
    known = np.sqrt(np.diag(alone))
    basket = risk.loc["C", ["A", "B"]] @ (1 / known)
    variance = (1 / known) @ alone.to_numpy() @ (1 / known)
    together = basket / np.sqrt(variance * risk.loc["C", "C"])
    assert together == pytest.approx(np.sqrt(TOGETHER["stock"]))


def test_an_underlying_with_options_has_the_vol_that_they_trade_at():
    market = stocks(None, ("A",))
    table = pd.concat([market.instruments.reset_index(), pd.DataFrame([{
        "instrument": "A-C", "type": "option", "underlying": "A", "expiry": DAYS[-1] + pd.Timedelta(days=30),
        "strike": 100.0, "right": "C", "multiplier": 100.0}])])[
        ["instrument", "type", "underlying", "expiry", "strike", "right", "multiplier"]]  # fmt: skip
    quotes = pd.DataFrame({"instrument": ["A", "A-C"], "bid": [99.9, 5.6], "ask": [100.1, 5.8], "vol": [np.nan, 0.5]})
    drivers = pd.DataFrame({"driver": ["A", "v"], "kind": ["price", "vol"], "underlying": ["A", "A"],
                            "tenor": ["", "30d"], "periods_per_year": 252})  # fmt: skip
    optioned = Market(table, quotes, "USD", drivers=drivers, as_of=DAYS[-1])
    deviation = np.sqrt(np.diag(fitted_risk(EwmaRisk(), optioned).covariance()))
    assert deviation[0] == pytest.approx(0.5 / np.sqrt(252))
    assert deviation[1] == pytest.approx(0.5 * np.hypot(0.055, 0.011))


def test_betas_without_a_history_are_one_and_say_so():
    betas, errors, notes = fitted_betas(Beta(), stocks(None, ("A", "M")))
    assert betas["M"].to_dict() == {"A": 1.0, "M": 1.0}
    assert errors["M"].to_dict() == {"A": BETA_ERROR, "M": 0.0}
    assert notes == ("beta of A: no or a short history, taken as 1",)


def test_the_market_of_betas_is_the_one_that_is_named_or_marked_and_its_absence_is_said():
    market = stocks(None, ("A", "M"))
    drivers = market.drivers.assign(market=False)
    unmarked = replace(market, drivers=drivers)
    betas, _, notes = fitted_betas(Beta(market="M"), unmarked)
    assert betas["M"].to_dict() == {"A": 1.0, "M": 1.0} and notes
    with pytest.raises(NotApplicable, match=r"no market driver; mark one in drivers\.csv"):
        fitted_betas(Beta(), unmarked)


def test_a_new_listing_gets_the_prior_beta_beside_estimated_ones():
    prices = walk(("A", "B", "M"), 60).assign(B=np.nan)
    betas, _, notes = fitted_betas(Beta(), stocks(prices, ("A", "B", "M")))
    own = Beta().fit(stocks(prices[["A", "M"]], ("A", "M")).moves()).betas_.at["A", "M"]
    assert betas.at["A", "M"] == pytest.approx(own) and betas.at["B", "M"] == 1.0
    assert notes == ("beta of B: no or a short history, taken as 1",)


def test_every_shipped_model_hedges_a_first_night_and_says_what_it_assumed():
    market = stocks(None, ("A", "B", "M"))
    market = replace(market, instruments=market.instruments.assign(hedge=[False, False, True], sector=["x", "x", ""]))
    for name in ("delta_neutral", "optimal_hedge", "beta_hedge", "market_neutral"):
        hedge = load_model(name).hedge(market, {"A": 1000.0, "B": -300.0})
        assert any("history" in note for note in hedge.problem.notes), name


def test_the_second_night_is_not_the_first():
    book = {"A": 1000.0}
    model = HedgeModel(risk=EwmaRisk(), objective=(Variance(1e-4),))
    first, later = (model.hedge(stocks(prices), book) for prices in (None, walk("ABC", 9)))
    volatility = [hedge.risk.at["volatility", "before"] for hedge in (first, later)]
    assert volatility[0] == pytest.approx(1000 * 100 * YEARLY["stock"] / np.sqrt(252), rel=1e-3)
    assert volatility[1] != pytest.approx(volatility[0], rel=0.01)
