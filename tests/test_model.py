"""HedgeModel and Hedge: the door, the universe, what is reported, and what is refused."""

import pickle
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, options, simple, stocks
from sklearn.base import BaseEstimator
from sklearn.covariance import LedoitWolf

from optihedge.errors import DataError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.spec import canonical
from optihedge.hedge.terms.base import CvxpyTerm, Term
from optihedge.hedge.terms.costs import FeeCost, HoldingCost, ImpactCost, SpreadCost
from optihedge.hedge.terms.limits import PositionLimit, TradeLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import ExpectedReturn, Variance
from optihedge.hedge.universe import Universe
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.sample import SampleRisk

AGREE = 1e-6  # relative: two certified answers


# what is decided


def test_a_hedge_reduces_risk_at_a_cost_and_proves_it():
    market, book = stocks(3, spread=1e-4), {"S0": 1000.0, "S1": 500.0}
    hedge = simple(market, constraints=(Neutral("delta", band=1000.0),)).hedge(market, book)
    assert hedge.certificate.optimal
    assert hedge.risk.loc["volatility", "after"] < hedge.risk.loc["volatility", "before"]
    assert abs(hedge.exposures.loc["delta", "after"]) <= 1000 * (1 + 1e-9)
    assert hedge.trades.drop("S2").abs().sum() == 0


def test_the_answer_is_the_closed_form_with_one_hedge_and_a_spread():
    """Aversion (cov + var x) + half-spread sign(x) = 0."""
    market, book = stocks(3, spread=1e-5), {"S0": 1000.0}
    risk = flat_risk(market)
    hedge = simple(market).hedge(market, book)
    cash = market.notional
    covariance = risk.covariance().to_numpy() * np.outer(cash, cash)
    half = market.trade_cost.loc["S2", "sell"]
    expected = -(1e-5 * covariance[0, 2] * 1000 - half) / (1e-5 * covariance[2, 2])
    assert hedge.trades["S2"] == pytest.approx(expected, rel=AGREE)


def test_every_figure_is_recomputed_from_the_market_and_the_quantities():
    market, book = stocks(4, fee=1e-4), {"S0": 1000.0, "S1": -200.0}
    risk = EwmaRisk(halflife=30)
    model = simple(
        market, risk=risk, objective=(Variance(1e-5), SpreadCost(), FeeCost(), HoldingCost(borrow=0.02)),
        universe=("S2", "S3"), horizon="5d",
    )  # fmt: skip
    hedge = model.hedge(market, book)
    quantities = hedge.after.reindex(market.names).fillna(0.0)
    covariance = EwmaRisk(halflife=30).fit(market.moves()).risk_.covariance().to_numpy()
    cash = quantities.to_numpy() * market.notional.to_numpy()
    assert hedge.risk.loc["variance", "after"] == pytest.approx(5 * cash @ covariance @ cash, rel=1e-9)
    assert hedge.risk.loc["volatility", "after"] == pytest.approx(np.sqrt(cash @ covariance @ cash), rel=1e-9)
    traded = hedge.trades.abs()
    assert hedge.costs["spread"] == pytest.approx((traded * market.trade_cost["buy"]).sum())
    assert hedge.costs["fees"] == pytest.approx((traded * market.fees).sum())
    short = -np.minimum(quantities, 0) * market.value
    assert hedge.costs["holding"] == pytest.approx(0.02 * short.sum() * 5 / 252)
    total = 0.5e-5 * hedge.risk.loc["variance", "after"] + hedge.costs["total"]
    assert hedge.certificate.primal == pytest.approx(total, rel=1e-9)
    assert hedge.exposures.loc["delta", "after"] == pytest.approx(cash.sum())


def test_a_given_risk_and_an_estimator_that_learns_it_agree_and_the_estimator_is_not_touched():
    market, book = stocks(3), {"S0": 100.0}
    estimator = EwmaRisk(halflife=30)
    one = simple(market, risk=estimator).hedge(market, book)
    other = simple(market, risk=one.risk_model).hedge(market, book)
    assert not hasattr(estimator, "risk_")
    assert (one.trades == other.trades).all()


def test_an_empty_book_is_left_empty_and_an_all_fixed_one_as_it_is():
    market = stocks(3)
    assert (simple(market, capital=1e6).hedge(market, {}).trades == 0).all()
    hedge = simple(market, universe=()).hedge(market, {"S0": 5.0})
    assert hedge.after.to_dict() == {"S0": 5.0}
    assert hedge.certificate.optimal


def test_an_empty_book_without_capital_stands_still_or_asks_for_it():
    market = stocks(3)
    for term in (Variance(1e-5), Variance(relative=10)):
        assert (simple(market, objective=(term, SpreadCost())).hedge(market, {}).trades == 0).all()
    for constraint in (Neutral("delta", target=10.0), Neutral("delta", target=1e6)):
        model = simple(market, constraints=(constraint,))
        with pytest.raises(SpecError, match="both zero, so S2 has no natural trade limit; set capital"):
            model.hedge(market, {})
    assert replace(model, capital=1e7).hedge(market, {}).exposures.loc["delta", "after"] == pytest.approx(1e6)


def test_one_instrument_hedges_itself():
    market = stocks(1)
    hedge = simple(market, universe=("S0",), constraints=(Neutral("delta"),)).hedge(market, {"S0": 5.0})
    assert hedge.after["S0"] == pytest.approx(0, abs=1e-9)


def test_touching_a_default_box_is_unbounded_not_an_optimum():
    market = stocks(3)

    @dataclass(frozen=True)
    class Greed(Term):
        def contribute(self, p):
            p.cost(linear=-np.ones(len(p.names)))

    hedge = HedgeModel(objective=(Greed(),), universe=("S2",)).hedge(market, {"S0": 5.0})
    assert hedge.certificate.status == "unbounded"
    assert "S2: at the default trade limit" in hedge.certificate.note
    limited = HedgeModel(objective=(Greed(),), constraints=(TradeLimit(7.0),), universe=("S2",)).hedge(
        market, {"S0": 5.0}
    )
    assert limited.certificate.optimal
    assert limited.trades["S2"] == pytest.approx(7.0)


# limits that conflict


# starting from an earlier answer, sweeping


def test_a_warm_start_gives_the_same_hedge_even_under_other_names():
    market, book = stocks(6), {"S0": 1000.0, "S1": -300.0}
    model = simple(market, universe=("S2", "S3"), constraints=(Neutral("delta"),))
    cold = model.hedge(market, book)
    wider = replace(model, universe=Universe(instruments=("S2", "S3", "S4")), constraints=(Neutral("delta", name="d"),))
    for again in (model, wider):
        assert again.hedge(market, book, warm=cold).certificate.primal == pytest.approx(
            again.hedge(market, book).certificate.primal, rel=AGREE
        )


def test_a_frontier_buys_less_risk_with_more_cost():
    market, book = stocks(5, spread=5e-3), {"S0": 1000.0}
    model = simple(market, universe=("S1", "S2", "S3", "S4"), risk=EwmaRisk(halflife=30))
    hedges = model.frontier(market, book, np.geomspace(1e-6, 1e-2, 8))
    risks = [h.risk.loc["variance", "after"] for h in hedges]
    costs = [h.costs["total"] for h in hedges]
    assert all(b <= a * (1 + 1e-9) for a, b in pairwise(risks))
    assert all(b >= a - 1e-6 for a, b in pairwise(costs))
    single = replace(model, objective=(Variance(1e-2), SpreadCost())).hedge(market, book)
    assert hedges[-1].trades.to_numpy() == pytest.approx(single.trades.to_numpy(), rel=1e-4, abs=1e-4)


def test_a_frontier_needs_one_variance():
    with pytest.raises(SpecError, match="0 Variance or Volatility terms"):
        HedgeModel().frontier(stocks(2), {"S0": 1.0}, [1.0])


# the universe


def test_hedges_and_models_travel_to_workers():
    market = stocks(3)
    hedge = pickle.loads(pickle.dumps(simple(market, constraints=(Neutral("delta"),)).hedge(market, {"S0": 10.0})))
    assert hedge.model.hedge(hedge.market, {"S0": 10.0}).trades["S2"] == hedge.trades["S2"]


# users' own terms


def test_a_users_term_is_as_good_as_a_built_in_one():
    @dataclass(frozen=True)
    class Lean(Term):
        """Keep twice the first stock plus the second below a cap."""

        cap: float
        short_name = "lean"

        def contribute(self, p):
            p.row(self.label, np.array([2.0, 1.0, 0.0]), hi=self.cap, soft=self.soft, tier=self.priority)

    market = stocks(3)
    model = simple(market, universe=("S0", "S1", "S2"), objective=(SpreadCost(),), constraints=(Lean(cap=15.0),))
    hedge = model.hedge(market, {"S0": 10.0, "S1": 5.0, "S2": 1.0})
    assert 2 * hedge.after["S0"] + hedge.after["S1"] == pytest.approx(15.0)
    assert hedge.limits.loc["lean", "term"] == "lean"


def test_a_cvxpy_term_says_what_the_verbs_cannot():
    import cvxpy as cp

    market, book = stocks(3), {"S0": 100.0}
    cash = market.notional.to_numpy()
    cap = 60 * market.price["S0"]
    term = CvxpyTerm(lambda h, p: cp.norm(cp.multiply(cash, h), 2) <= cap)
    hedge = simple(market, universe=("S0", "S1", "S2"), objective=(SpreadCost(),), constraints=(term,)).hedge(
        market, book
    )
    assert hedge.certificate.optimal
    assert np.linalg.norm(cash * hedge.after.to_numpy()) <= cap * (1 + 1e-6)
    assert hedge.after["S0"] == pytest.approx(60, rel=1e-4)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda h, p: h[0] ** 2 >= 1, "mine: a constraint is not convex"),
        (lambda h, p: -(h[0] ** 2), "mine: its objective is not a convex scalar"),
        (lambda h, p: 5, "mine gave int"),
        (lambda h, p: None, "mine gave NoneType"),
        (lambda h, p: h @ np.ones(7), "mine: its function failed, ValueError"),
    ],
)
def test_a_cvxpy_term_that_is_none_is_named(function, message):
    market = stocks(3)
    model = simple(market, constraints=(CvxpyTerm(function, name="mine"),))
    with pytest.raises(SpecError, match=message):
        model.hedge(market, {"S0": 100.0})


def test_an_estimator_that_refuses_its_settings_is_named():
    market = stocks(3)
    risk = SampleRisk(LedoitWolf(block_size=0))
    with pytest.raises(SpecError, match="risk: SampleRisk could not be fitted: The 'block_size' parameter"):
        simple(market, risk=risk).hedge(market, {"S0": 100.0})
    with pytest.raises(SpecError, match=r"betas: .* could not be fitted"):
        simple(market, betas=risk.set_params(window="x")).hedge(market, {"S0": 100.0})


def test_a_term_without_contribute_says_what_is_missing():
    with pytest.raises(SpecError, match="needs a contribute"):
        HedgeModel(objective=(Term(),)).hedge(stocks(2), {"S0": 1.0})


# the report


# the door


@pytest.mark.parametrize(
    ("book", "text"),
    [({"S7": 1.0}, r"S7 is not in the market"), ({"S0": np.nan}, "quantity of S0 is not finite"),
     ({"S0": "many"}, "quantity"), (None, "NoneType is no book; give instrument -> quantity"),
     (["S0"], "list is no book"), (pd.DataFrame({"name": ["S0"]}), "instrument"),
     (pd.DataFrame({"instrument": ["S0"] * 2, "quantity": [1, 2], "book": ["a", "b"]}), "several books [(]a, b[)]"),
     (pd.Series([1.0, 2.0], index=["S0", "S0"]), "S0 appears twice")],
)  # fmt: skip
def test_a_wrong_book_is_refused_by_name(book, text):
    with pytest.raises(DataError, match=text):
        HedgeModel().hedge(stocks(2), book)


def test_a_book_may_be_a_frame_as_its_file_is_read():
    market, model = stocks(3), simple(stocks(3))
    frame = pd.DataFrame({"instrument": ["S1", "S0"], "quantity": [-5.0, 1000.0]})
    assert model.hedge(market, frame).before.to_dict() == {"S0": 1000.0, "S1": -5.0, "S2": 0.0}


def test_one_term_needs_no_tuple():
    market = stocks(3)
    one = simple(market, objective=SpreadCost(), constraints=Neutral("delta"))
    assert one.objective == (SpreadCost(),)
    assert one.fingerprint == simple(market, objective=(SpreadCost(),), constraints=(Neutral("delta"),)).fingerprint


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"horizon": "soon"}, "horizon is 'soon'"),
        ({"capital": -1.0}, "capital is -1"),
        ({"capital": np.nan}, "capital is nan"),
        ({"on_infeasible": "ignore"}, "on_infeasible is 'ignore'"),
        ({"objective": (3,)}, "3 is no Term"),
        ({"objective": 3}, "3 is no Term"),
        ({"constraints": None}, "None is no Term"),
        ({"objective": (Variance(1.0), Variance(2.0))}, "two terms are called 'variance'"),
        ({"universe": "S0"}, "universe is 'S0'"),
        ({"constraints": (Neutral("delta"), Neutral("delta"))}, "two terms are called 'delta'"),
    ],
)
def test_a_wrong_model_is_refused_by_name(given, text):
    with pytest.raises(SpecError, match=text):
        HedgeModel(**given)


@pytest.mark.parametrize("what", ["risk", "betas"])
@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        (np.eye(40), "give a covariance as Risk.from_covariance(frame)"),
        (pd.DataFrame(np.eye(40)), "give a covariance as Risk.from_covariance(frame)"),
        (EwmaRisk, "is the class EwmaRisk; give one of it, EwmaRisk()"),
        ("EwmaRisk", "is 'EwmaRisk'; give an estimator, such as"),
    ],
    ids=["array", "frame", "class", "name"],
)
def test_what_cannot_learn_is_refused_at_once_in_a_line_that_says_what_to_give(what, given, remedy):
    with pytest.raises(SpecError) as refused:
        HedgeModel(**{what: given})
    assert remedy in str(refused.value) and str(refused.value).startswith(what) and len(str(refused.value)) < 120


@pytest.mark.parametrize("kind", ["objective", "constraints"])
def test_numbers_where_a_term_is_asked_for_are_named_and_not_printed(kind):
    with pytest.raises(SpecError, match=f"{kind}: a Series is no Term; subclass optihedge.Term") as refused:
        HedgeModel(**{kind: (pd.Series(np.arange(40.0)),)})
    assert len(str(refused.value)) < 120


@pytest.mark.parametrize("term", [ExpectedReturn(pd.Series({"S0": 0.1})), Neutral(np.ones(2))], ids=["view", "limit"])
def test_a_term_that_is_given_numbers_for_a_name_says_where_they_go(term):
    with pytest.raises(SpecError, match=r"is no name; put the numbers into .* and give its name"):
        HedgeModel(risk=EwmaRisk(), objective=(term,)).hedge(stocks(2), {"S0": 1.0})


def test_a_beta_that_no_estimator_learns_says_who_does():
    model = HedgeModel(constraints=(Neutral("beta:S1"),))
    with pytest.raises(SpecError, match=r"no exposure 'beta:S1'.*betas come from HedgeModel\(betas=Beta"):
        model.hedge(stocks(2), {"S0": 1.0})


def test_a_variance_without_a_risk_is_refused():
    with pytest.raises(SpecError, match="variance: the hedging model has no risk"):
        HedgeModel(objective=(Variance(1.0),)).hedge(stocks(2), {"S0": 1.0})


def test_what_the_market_lacks_is_the_models_to_say():
    market = stocks(2)
    model = HedgeModel(risk=EwmaRisk(), objective=(Variance(1.0),), constraints=(Neutral("delta", by="sector"),))
    with pytest.raises(SpecError, match="delta by sector: instruments have no column 'sector'"):
        model.hedge(market, {"S0": 1.0})
    with pytest.raises(SpecError, match="quotes have no volume for any tradable contract"):
        simple(market, universe=None, objective=(ImpactCost(),)).hedge(market, {"S0": 1.0})


def test_a_fingerprint_says_everything_that_decides_and_nothing_else():
    market = stocks(2)
    base, same = (
        HedgeModel(
            risk=EwmaRisk(halflife=63), objective=(Variance(1.0),), constraints=(PositionLimit(upper={"a": 1.0}),)
        )
        for _ in range(2)
    )
    assert base.fingerprint == same.fingerprint == replace(base, name="x", description="y").fingerprint
    changes = (
        {"risk": EwmaRisk(halflife=64)},
        {"objective": (Variance(2.0),)},
        {"horizon": "2d"},
        {"risk": flat_risk(market)},
    )
    assert len({base.fingerprint, *(replace(base, **c).fingerprint for c in changes)}) == 5
    assert canonical(pd.Series([1.0], index=["a"])) != canonical(pd.Series([1.0], index=["b"]))


def test_beta_gamma_scales_with_the_square_of_beta():
    @dataclass
    class Twice(BaseEstimator):
        def fit(self, moves):
            self.betas_ = pd.DataFrame({"M": [2.0] * moves.shape[1]}, index=moves.columns)
            return self

    market = options()
    exposures = HedgeModel(objective=(SpreadCost(),), betas=Twice()).hedge(market, {"C100-30": -1.0}).market.exposures
    np.testing.assert_allclose(exposures["beta:M"], 2.0 * market.exposures["delta"])
    np.testing.assert_allclose(exposures["beta_gamma:M"], 4.0 * market.exposures["gamma"], atol=1e-15)
