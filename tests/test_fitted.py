"""Risk and betas are learnt once a market and content of the estimator, and are what a fit of one's own gives."""

import gc
import weakref

import numpy as np
from nights import coin_markets, path

import optihedge as oh
from optihedge.hedge.fitted import fitted_once


class Counted(oh.EwmaRisk):
    """Counts its fits."""

    fits = 0

    def fit(self, moves, y=None):
        type(self).fits += 1
        return super().fit(moves, y)


def test_many_books_and_rules_of_one_market_share_one_fit_and_another_market_gets_its_own():
    markets = coin_markets(path(30))[-2:]
    Counted.fits = 0
    terms = (oh.Variance(aversion=1e-6), oh.SpreadCost())
    for market in markets:
        for size in (1.0, 2.0):
            for halflife in (20, 20, 40):
                model = oh.HedgeModel(risk=Counted(halflife), objective=terms)
                found = model.hedge(market, {"COIN": size}).risk_model
                alone = oh.EwmaRisk(halflife).fit(market.moves()).risk_
                np.testing.assert_array_equal(found.covariance(), alone.covariance())
    assert Counted.fits == 4  # two markets x two half-lives


def test_what_was_learnt_goes_with_its_market():
    (market,) = coin_markets(path(2))[-1:]
    learnt = fitted_once(market, ("x", oh.EwmaRisk()), lambda: np.ones(3))
    assert fitted_once(market, ("x", oh.EwmaRisk()), lambda: np.zeros(3)) is learnt
    gone = weakref.ref(learnt)
    del market, learnt
    gc.collect()
    assert gone() is None


def test_an_estimator_without_a_text_is_fitted_every_time():
    (market,) = coin_markets(path(2))[-1:]
    calls = []
    for _ in range(2):
        fitted_once(market, lambda moves: moves, lambda: calls.append(1))
    assert len(calls) == 2
