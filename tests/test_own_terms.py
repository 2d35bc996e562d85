"""What a user brings: a term, whatever it does wrong, ends in an error that names it; any covariance is a risk."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, stocks
from sklearn.covariance import LedoitWolf, ShrunkCovariance
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

import optihedge as oh

WRONG: dict[str, Callable[[object, int], object]] = {
    "divides by zero": lambda p, n: 1 / 0,
    "misses a key": lambda p, n: {}["x"],
    "another size": lambda p, n: p.cost(buy=np.ones(n + 1)),
    "not a number": lambda p, n: p.cost(buy=np.full(n, np.nan)),
    "infinite": lambda p, n: p.cost(linear=np.full(n, np.inf)),
    "complex": lambda p, n: p.cost(linear=np.ones(n) * 1j),
    "words": lambda p, n: p.cost(buy="x"),
    "not convex": lambda p, n: p.cost(quadratic=np.full(n, -1.0)),
    "a row of another size": lambda p, n: p.row("x", np.ones(n + 2), 0, 1),
    "limits that are none": lambda p, n: p.row("x", np.ones(n), None, None),
    "limits the wrong way round": lambda p, n: p.row("x", np.ones(n), 1, 0),
    "a box the wrong way round": lambda p, n: p.box(np.ones(n), -np.ones(n)),
    "an unbounded column": lambda p, n: p.auxiliary("a", -np.inf, np.nan),
    "risk of another size": lambda p, n: p.risk_rows(np.ones((2, n + 1))),
    "no such verb": lambda p, n: p.nothing(),
    "writes into the book": lambda p, n: p.start.fill(0.0),
    "exits": lambda p, n: sys.exit(3),
    "stops": lambda p, n: next(iter(())),
    "never ends": lambda p, n: WRONG["never ends"](p, n),
}


@dataclass(frozen=True)
class Own(oh.Term):
    """Does one of these."""

    what: str = ""

    def contribute(self, p: object) -> None:
        WRONG[self.what](p, len(p.names))  # type: ignore[attr-defined]


@pytest.mark.parametrize("what", WRONG)
def test_a_users_term_whatever_it_does_wrong_is_named(what: str) -> None:
    market = stocks(4)
    model = oh.HedgeModel(risk=flat_risk(market), objective=(oh.Variance(1e-5), Own(what, name="mine")))
    with pytest.raises((oh.SpecError, oh.DataError), match=r"^mine"):
        model.hedge(market, {"S0": 100.0})


def model_with(risk: object) -> oh.HedgeModel:
    return oh.HedgeModel(risk=risk, objective=(oh.Variance(1e-5), oh.SpreadCost()), universe=("S3",))  # type: ignore[arg-type]


def test_any_estimator_with_a_covariance_is_a_risk() -> None:
    market = stocks(4)
    book = {"S0": 100.0}
    wrapped = model_with(oh.SampleRisk(LedoitWolf())).hedge(market, book).trades
    pd.testing.assert_series_equal(model_with(LedoitWolf()).hedge(market, book).trades, wrapped)
    search = GridSearchCV(ShrunkCovariance(), {"shrinkage": [0.1]}, cv=2)
    chosen = model_with(oh.SampleRisk(ShrunkCovariance(shrinkage=0.1))).hedge(market, book).trades
    pd.testing.assert_series_equal(model_with(search).hedge(market, book).trades, chosen)
    piped = Pipeline([("risk", oh.EwmaRisk())])
    plain = model_with(oh.EwmaRisk()).hedge(market, book).trades
    pd.testing.assert_series_equal(model_with(piped).hedge(market, book).trades, plain)
    with pytest.raises(oh.SpecError, match=r"last step of Pipeline is LedoitWolf.*end the pipeline with SampleRisk"):
        model_with(Pipeline([("risk", LedoitWolf())])).hedge(market, book)


def test_market_drivers_of_plain_prices_are_named() -> None:
    prices = stocks(3).history
    market = oh.Market.from_prices(prices, base_currency="USD", market="S2")
    assert market.drivers["market"].to_dict() == {"S0": False, "S1": False, "S2": True}
    hedge = oh.HedgeModel(betas=oh.Beta(), constraints=(oh.Neutral("beta"),), universe=("S2",), capital=1e6)
    assert hedge.hedge(market, {"S0": 100.0}).trades["S2"] < 0
    with pytest.raises(oh.DataError, match=r"market: S22 has no column of prices \(did you mean S2"):
        oh.Market.from_prices(prices, base_currency="USD", market=["S22"])


def test_checks_that_are_no_table_are_refused() -> None:
    with pytest.raises(oh.SpecError, match="checks: 5 is no Checks"):
        oh.Checks.of(5)
