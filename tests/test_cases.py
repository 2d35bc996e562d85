"""Published hedges, reproduced through HedgeModel."""

import numpy as np
import pandas as pd
import pytest
from desks import own_greeks, stocks

from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.limits import TradeLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Variance
from optihedge.market.snapshot import Market
from optihedge.risk.root import Risk

EXACT = 1e-6  # relative: what a certified hedge differs from algebra by


def neutral(market, *exposures, capital=1e5):
    model = HedgeModel(constraints=tuple(Neutral(name) for name in exposures), capital=capital)
    return model.hedge(market, {"PORTFOLIO": 1.0}).trades


def portfolio(market):
    instruments = market.instruments.assign(hedge=market.names != "PORTFOLIO")
    return Market(
        instruments=instruments, quotes=market.quotes, base_currency="USD", own_exposures=market.own_exposures,
        as_of=market.as_of,
    )  # fmt: skip


def test_s1_delta_gamma_vega_with_two_options_and_the_underlying():
    """Hull: gamma -5 000, vega -8 000."""
    market = own_greeks(
        {"PORTFOLIO": (0, -5000, -8000), "O1": (0.6, 0.5, 2.0), "O2": (0.5, 0.8, 1.2), "U": (1.0, 0, 0)},
        ("delta", "gamma", "vega"),
    )
    trades = neutral(portfolio(market), "delta", "gamma", "vega")
    assert trades["O1"] == pytest.approx(400, rel=EXACT)
    assert trades["O2"] == pytest.approx(6000, rel=EXACT)
    assert trades["U"] == pytest.approx(-3240, rel=EXACT)


def test_s2_delta_gamma_with_one_option_and_the_underlying():
    """Hull: gamma -3 000."""
    market = own_greeks({"PORTFOLIO": (0, -3000), "O": (0.62, 1.50), "U": (1.0, 0)}, ("delta", "gamma"))
    trades = neutral(portfolio(market), "delta", "gamma")
    assert trades["O"] == pytest.approx(2000, rel=EXACT)
    assert trades["U"] == pytest.approx(-1240, rel=EXACT)


@pytest.mark.parametrize("scale", [0.1, 3.0, 250.0])
def test_s1_scales_with_the_book(scale):
    held = (0, -5000 * scale, -8000 * scale)
    legs = {"O1": (0.6, 0.5, 2.0), "O2": (0.5, 0.8, 1.2), "U": (1.0, 0, 0)}
    market = own_greeks({"PORTFOLIO": held, **legs}, ("delta", "gamma", "vega"))
    trades = neutral(portfolio(market), "delta", "gamma", "vega", capital=1e5 * scale)
    assert trades.loc[["O1", "O2", "U"]].to_numpy() == pytest.approx(scale * np.array([400, 6000, -3240]), rel=EXACT)


def test_m1_minimum_variance_hedge_of_jet_fuel_with_heating_oil():
    """Hull: h* = correlation x sd of spot / sd of futures = 0.7798; 37.13 contracts for 2 000 000 gallons."""
    names = pd.Index(["FUEL", "OIL"], name="instrument")
    market = Market(
        instruments=pd.DataFrame({"multiplier": [1.0, 42_000.0], "hedge": [False, True]}, index=names),
        quotes=pd.DataFrame({"bid": 1.0, "ask": 1.0}, index=names),
        base_currency="USD",
        drivers=pd.DataFrame({"driver": names, "kind": "price"}),
        as_of="2024-01-02T00:00:00Z",
    )
    sd = np.array([0.0263, 0.0313])  # per gallon; both prices are 1, so also returns
    covariance = pd.DataFrame(np.outer(sd, sd) * np.array([[1, 0.928], [0.928, 1]]), index=names, columns=names)
    model = HedgeModel(risk=Risk.from_covariance(covariance), objective=(Variance(1.0),))
    hedge = model.hedge(market, {"FUEL": 2_000_000})
    ratio = 0.928 * 0.0263 / 0.0313
    assert hedge.trades["OIL"] == pytest.approx(-ratio * 2_000_000 / 42_000, rel=EXACT)
    assert hedge.trades["OIL"] == pytest.approx(-37.13, abs=0.005)
    before, after = hedge.risk.loc["variance"]
    assert 1 - after / before == pytest.approx(0.928**2, rel=EXACT)


@pytest.mark.parametrize(("target", "contracts"), [(0.0, -30), (0.75, -15), (2.0, 10)])
def test_m3_change_of_beta_with_index_futures(target, contracts):
    """Hull: 5.05 m at beta 1.5, futures 1 010 x 250."""
    names = pd.Index(["FUND", "FUTURE"], name="instrument")
    market = Market(
        instruments=pd.DataFrame(
            {"type": ["equity", "future"], "underlying": ["FUND", "INDEX"], "multiplier": [1.0, 250.0],
             "expiry": [pd.NaT, pd.Timestamp("2024-06-21T21:00:00Z")], "hedge": [False, True]}, index=names,
        ),
        quotes=pd.DataFrame(
            {"bid": [5.05e6, 1010.0], "ask": [5.05e6, 1010.0], "underlying_price": [np.nan, 1010.0]}, index=names
        ),
        base_currency="USD",
        own_exposures=pd.DataFrame({"index beta": [1.5 * 5.05e6, 1010.0 * 250]}, index=names),
        as_of="2024-03-01T21:00:00Z",
    )  # fmt: skip
    model = HedgeModel(constraints=(Neutral("index beta", target=target * 5.05e6),))
    assert model.hedge(market, {"FUND": 1.0}).trades["FUTURE"] == pytest.approx(contracts, rel=EXACT)


def test_m4_duration_hedge():
    """Hull: 10 m at duration 6.80, futures 93 062.50 at 9.20: 79.42 contracts."""
    market = own_greeks({"PORTFOLIO": (10e6 * 6.80,), "FUTURE": (93_062.5 * 9.20,)}, ("dollar duration",))
    trades = neutral(portfolio(market), "dollar duration")
    assert trades["FUTURE"] == pytest.approx(-79.42, abs=0.005)


def test_g14_beta_weighted_delta_is_an_exposure():
    """Delta 55 at price 190 and beta 1.2 against an index at 5 000: 2.508 units, 12 540 in cash."""
    market = own_greeks({"PORTFOLIO": (55 * 190 * 1.2,), "INDEX": (5000.0,)}, ("beta:INDEX",))
    trades = neutral(portfolio(market), "beta:INDEX")
    assert trades["INDEX"] == pytest.approx(-2.508, rel=EXACT)
    assert pytest.approx(12_540) == 55 * 190 * 1.2


def test_a_perfect_hedge_of_a_stock_by_itself_is_no_position():
    market = stocks(3)
    model = HedgeModel(constraints=(Neutral("delta"),), universe=("S0",))
    hedge = model.hedge(market, {"S0": 100.0})
    assert hedge.after["S0"] == pytest.approx(0, abs=1e-7)


def test_a_trade_limit_too_small_for_s2_is_named():
    market = own_greeks({"PORTFOLIO": (0, -3000), "O": (0.62, 1.50), "U": (1.0, 0)}, ("delta", "gamma"))
    model = HedgeModel(constraints=(Neutral("delta"), Neutral("gamma"), TradeLimit(1500)), capital=1e5)
    with pytest.raises(Exception, match=r"gamma: have -?0, need -750, smallest change -750"):
        model.hedge(portfolio(market), {"PORTFOLIO": 1.0})
