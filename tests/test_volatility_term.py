"""Volatility, the term: its price, what it asks of a book, and that everything that reads it reads one sigma."""

import numpy as np
import pandas as pd
import pytest
from desks import AS_OF, options, stocks
from test_smile_risk import smile

from optihedge.errors import SpecError
from optihedge.hedge.explain import shares
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.modelfile import parse_model
from optihedge.hedge.terms.base import CvxpyTerm
from optihedge.hedge.terms.costs import FeeCost, SpreadCost
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Variance, Volatility
from optihedge.market.snapshot import Market
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.smile_risk import SmileRisk
from optihedge.trades.tradelist import trade_list

BOOK = pd.Series({"U-C100-30": -10.0, "U-P95-60": 4.0, "U-C110-120": 7.0})
UNIVERSE = ("U", "U-C100-60", "U-P100-60", "U-C105-30", "U-P90-30", "U-C110-60")


def optimal(universe=UNIVERSE, **given) -> HedgeModel:
    objective = (Volatility(**given), SpreadCost(), FeeCost())
    return HedgeModel(risk=SmileRisk(), objective=objective, universe=universe)


def redenominated(market: Market, factor: float, multiplier: float = 1.0) -> Market:
    """The same market with prices in another unit of money."""
    table = market.instruments.assign(strike=market.instruments["strike"] * factor)
    table["multiplier"] = table["multiplier"] * multiplier
    quotes = market.quotes.copy()
    for column in ("bid", "ask", "mark", "underlying_price"):
        quotes[column] = quotes[column] * factor
    return Market(table.reset_index(), quotes.reset_index(), "USD", as_of=AS_OF)


def test_the_price_is_the_yearly_return_for_a_unit_of_yearly_volatility_spread_over_the_holding():
    assert Volatility().at(1.0, 252.0) == pytest.approx(10 / np.sqrt(252))
    assert Volatility().at(1.0, 365.0) == pytest.approx(10 / np.sqrt(365))
    assert Volatility(sharpe=2.0, holding="5d").at(5.0, 252.0) == pytest.approx(2 * np.sqrt(5 / 252))
    assert Volatility(price=0.6).at(7.0, 252.0) == 0.6


def test_trades_scale_with_the_book_and_do_not_depend_on_multiplier_or_money():
    market = smile()
    trades = optimal().hedge(market, BOOK).trades
    size = trades.abs().max()
    assert size > 1
    for factor, other, book in (
        (1e4, market, BOOK * 1e4),
        (1.0, redenominated(market, 1.0, multiplier=100.0), BOOK),
        (1.0, redenominated(market, 0.01), BOOK),
    ):
        again = optimal().hedge(other, book).trades / factor
        np.testing.assert_allclose(again, trades, atol=1e-6 * size)


def test_variance_at_the_equivalent_aversion_gives_the_same_list():
    market = smile()
    hedge = optimal().hedge(market, BOOK)
    aversion = hedge.equivalent_aversion
    assert f"an aversion of {aversion:.4g}" in str(hedge)
    same = HedgeModel(
        risk=SmileRisk(), objective=(Variance(aversion=aversion), SpreadCost(), FeeCost()), universe=UNIVERSE
    ).hedge(market, BOOK)
    np.testing.assert_allclose(same.trades, hedge.trades, atol=1e-6 * hedge.trades.abs().max())
    lists = [trade_list(one).table.set_index("instrument")["quantity"] for one in (hedge, same)]
    pd.testing.assert_series_equal(*lists, rtol=1e-5)


def test_risk_explain_and_objective_read_one_sigma():
    market = smile()
    hedge = optimal(price=0.7).hedge(market, BOOK)
    sigma = float(np.sqrt(hedge.risk.loc["variance", "after"]))
    assert hedge.certificate.primal == pytest.approx(0.7 * sigma + hedge.charges["total"], rel=1e-9)
    assert shares(hedge).contract["volatility"].sum() == pytest.approx(sigma, rel=1e-9)
    assert shares(hedge).factor["volatility"].sum() == pytest.approx(sigma, rel=1e-9)
    assert shares(hedge).term["objective"]["risk"] == pytest.approx(0.7 * sigma, rel=1e-9)


def test_a_higher_sharpe_buys_less_risk_for_more_money():
    hedges = optimal().frontier(smile(), BOOK, [0.2, 0.5, 1.0, 2.0, 5.0])
    sigma = [hedge.risk.loc["volatility", "after"] for hedge in hedges]
    cost = [hedge.charges["total"] for hedge in hedges]
    assert all(hedge.certificate.optimal for hedge in hedges)
    assert (np.diff(sigma) <= 1e-9).all() and (np.diff(cost) >= -1e-9).all()
    assert sigma[-1] < 0.9 * sigma[0]
    alone = optimal(sharpe=5.0).hedge(smile(), BOOK)
    np.testing.assert_allclose(hedges[-1].trades, alone.trades, atol=1e-5)


def test_an_empty_book_trades_nothing():
    market = smile()
    hedge = HedgeModel(risk=SmileRisk(), objective=(Volatility(), SpreadCost()), universe=UNIVERSE, capital=1e6).hedge(
        market, {}
    )
    assert hedge.certificate.optimal and not hedge.trades.any()


def test_stocks_are_hedged_by_it_as_options_are():
    market = stocks()
    model = HedgeModel(risk=EwmaRisk(), objective=(Volatility(), SpreadCost()), universe=("S4",))
    hedge = model.hedge(market, {"S0": 100.0, "S1": 50.0})
    assert hedge.certificate.optimal and hedge.trades["S4"] < 0
    assert hedge.risk.loc["volatility", "after"] < hedge.risk.loc["volatility", "before"]


def test_a_shadow_price_is_what_a_wider_limit_saves():
    market = smile()

    def hedge(target: float):
        objective = (Volatility(), SpreadCost(), FeeCost())
        limits = (Neutral("vega", target=target, band=0.0),)
        return HedgeModel(risk=SmileRisk(), objective=objective, constraints=limits, universe=UNIVERSE).hedge(
            market, BOOK
        )

    at, step = 1.0, 1e-3
    slope = (hedge(at + step).certificate.primal - hedge(at - step).certificate.primal) / (2 * step)
    assert abs(slope) > 1e-6
    assert hedge(at).shadow_prices["vega"] == pytest.approx(slope, rel=1e-3)


def test_a_user_s_cvxpy_term_stands_beside_it():
    market = smile()
    term = CvxpyTerm(lambda h, p: h[list(p.names).index("U")] <= 1.0)
    objective = (Volatility(), SpreadCost(), FeeCost())
    model = HedgeModel(risk=SmileRisk(), objective=objective, constraints=(term,), universe=UNIVERSE)
    hedge = model.hedge(market, BOOK)
    boxed = optimal().hedge(market, BOOK)
    assert hedge.certificate.optimal
    assert boxed.after["U"] > 1.0 >= hedge.after["U"] - 1e-6
    assert hedge.certificate.primal >= boxed.certificate.primal


def test_it_is_named_in_a_model_file():
    model = parse_model(
        'description = "x"\nrisk = { type = "SmileRisk", prior = { vol_of_vol = 0.06 } }\n'
        '[[objective]]\ntype = "Volatility"\nsharpe = 2.0\nholding = "5d"\n[[objective]]\ntype = "SpreadCost"\n'
    )
    assert model.objective[0] == Volatility(sharpe=2.0, holding="5d")
    hedge = model.hedge(smile(), BOOK)
    assert hedge.certificate.optimal
    assert set(hedge.risk.index) > {"spot", "vol", "skew", "noise", "basis"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"price": 0.5, "sharpe": 1.0}, "give price, or sharpe and holding"),
        ({"holding": "ten"}, "holding is 'ten'"),
        ({"sharpe": -1.0}, "sharpe is -1"),
        ({"price": np.nan}, "price is nan"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong, said):
    with pytest.raises(SpecError, match=said):
        Volatility(**wrong)


def test_two_prices_and_a_model_without_risk_are_refused():
    market = options()
    two = HedgeModel(risk=EwmaRisk(), objective=(Volatility(), Volatility(name="other")), universe=("U",))
    with pytest.raises(SpecError, match="at most one price of volatility"):
        two.hedge(market, {"C100-30": 1.0})
    with pytest.raises(SpecError, match="has no risk"):
        HedgeModel(objective=Volatility(), universe=("U",)).hedge(market, {"C100-30": 1.0})
