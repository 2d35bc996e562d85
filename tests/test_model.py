"""HedgeModel and Hedge: the door, the universe, what is reported, and what is refused."""

import pickle
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, options, own_greeks, stocks
from sklearn.base import BaseEstimator
from sklearn.covariance import LedoitWolf

from optihedge.errors import DataError, InfeasibleError, SolverError, SpecError
from optihedge.hedge.model import HedgeModel, canonical
from optihedge.hedge.program import Candidate
from optihedge.hedge.terms.base import CvxpyTerm, Term
from optihedge.hedge.terms.limits import PositionLimit, TradeLimit, TurnoverLimit, VolatilityLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import FeeCost, HoldingCost, ImpactCost, SpreadCost, Variance
from optihedge.hedge.universe import Universe
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.sample import SampleRisk

AGREE = 1e-6  # relative: two certified answers


def simple(market, **given):
    given = {"risk": flat_risk(market), "objective": (Variance(1e-5), SpreadCost()), "universe": ("S2",)} | given
    return HedgeModel(**given)


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


def test_infeasible_says_have_need_and_smallest_change():
    market, book = stocks(3), {"S0": 1000.0}
    cash = 1000 * market.price["S0"]
    model = simple(market, constraints=(Neutral("delta"), TurnoverLimit(0.3 * cash)))
    with pytest.raises(InfeasibleError, match=r"these conflict: (delta, turnover|turnover, delta)") as caught:
        model.hedge(market, book)
    text = str(caught.value)
    assert "have" in text and "need" in text and "smallest change" in text
    (name, row), *others = caught.value.relaxation.frame.iterrows()
    assert not others
    assert abs(row["change"]) == pytest.approx(0.7 * cash, rel=1e-4), name


def test_relax_hedges_within_the_least_relaxed_limits_and_says_so():
    market, book = stocks(3), {"S0": 1000.0}
    cash = 1000 * market.price["S0"]
    for priorities, name in (((0, 1), "turnover"), ((1, 0), "delta")):
        constraints = (
            Neutral("delta", priority=priorities[0]), TurnoverLimit(0.3 * cash, priority=priorities[1])
        )  # fmt: skip
        hedge = simple(market, constraints=constraints, on_infeasible="relax").hedge(market, book)
        assert list(hedge.relaxation.index) == [name]
        assert abs(hedge.relaxation.loc[name, "change"]) == pytest.approx(0.7 * cash, rel=1e-3)
        assert hedge.certificate.optimal
        assert "limits that gave way" in str(hedge)


def test_relax_leaves_the_limits_that_did_not_have_to_give_way():
    """49 names with default boxes: a book's reach is many times the limits."""
    market, book = stocks(50, days=200), {"S0": 1000.0}
    turnover = 0.1 * 1000 * market.price["S0"]
    model = simple(
        market, objective=(Variance(1e-4),), constraints=(Neutral("delta"), TurnoverLimit(turnover)),
        universe=tuple(market.names[1:]), on_infeasible="relax",
    )  # fmt: skip
    hedge = model.hedge(market, book)
    traded = (hedge.trades.abs() * market.notional).sum()
    assert traded <= turnover * (1 + 1e-9)
    assert hedge.relaxation.index.tolist() == ["delta"]
    assert hedge.limits.loc["turnover", "upper"] == pytest.approx(turnover, rel=1e-12)
    delta = hedge.limits.loc["delta"]
    assert (delta["lower"], delta["upper"]) == (0.0, 0.0)
    assert delta["violation"] == pytest.approx(0.9 * 1000 * market.price["S0"], rel=1e-3)
    need = hedge.relaxation.loc["delta", "need"]
    assert abs(delta["after"]) <= need <= delta["violation"] * 1.001


def test_what_gives_way_is_in_the_named_conflict_where_that_suffices():
    """X needs 5 of A and Y 8 of B; a turnover of 4 conflicts with each, and X has the widest reach: A may trade 100."""
    market = own_greeks({"P": (5, 8), "A": (1, 0), "B": (0, 1)}, ("x", "y"))
    limits = (Neutral("x"), Neutral("y"), TurnoverLimit(4.0), TradeLimit({"A": 100.0, "B": 10.0}))
    model = HedgeModel(constraints=limits, universe=("A", "B"))
    with pytest.raises(InfeasibleError, match=r"these conflict: (turnover, y|y, turnover)") as caught:
        model.hedge(market, {"P": 1.0})
    frame = caught.value.relaxation.frame
    assert frame.index.tolist() == ["turnover"]
    assert frame.loc["turnover", "need"] == pytest.approx(13.0)
    relaxed = replace(model, on_infeasible="relax").hedge(market, {"P": 1.0})
    assert relaxed.relaxation.index.tolist() == ["turnover"]
    assert relaxed.limits.loc[["x", "y"], "after"].abs().max() < 1e-6


def test_a_conflict_that_rests_on_a_default_trade_limit_says_so_and_how_to_lift_it():
    market = own_greeks({"P": (0.0, -3000.0), "O": (0.62, 1.5), "S": (1.0, 0.0)}, ("delta", "gamma"))
    model = HedgeModel(constraints=(Neutral("delta"), Neutral("gamma")), universe=("O", "S"))
    text = r"default trade limit \(10 x the book's gross or capital, 10\) of O, which no one set: set capital"
    with pytest.raises(InfeasibleError, match=text):
        model.hedge(market, {"P": 1.0})
    for lifted in ({"capital": 1e3}, {"constraints": (*model.constraints, TradeLimit(1e4))}):
        trades = replace(model, **lifted).hedge(market, {"P": 1.0}).trades
        assert trades[["O", "S"]].to_dict() == pytest.approx({"O": 2000.0, "S": -1240.0})
    chosen = replace(model, constraints=(*model.constraints, TradeLimit(10.0)))
    with pytest.raises(InfeasibleError) as caught:
        chosen.hedge(market, {"P": 1.0})
    assert "default" not in str(caught.value)


def test_a_conflict_that_no_wider_trade_would_solve_does_not_speak_of_default_limits():
    market, book = stocks(3), {"S0": 1000.0}
    model = simple(market, constraints=(Neutral("delta"), TurnoverLimit(1000.0)))
    with pytest.raises(InfeasibleError) as caught:
        model.hedge(market, book)
    assert "default" not in str(caught.value)


def test_limits_that_no_tradable_moves_are_named():
    market, book = stocks(3), {"S0": 1000.0}
    market = replace(market, instruments=market.instruments.assign(desk=["a", "b", "b"]))
    model = simple(market, constraints=(Neutral("delta", by="desk"),))
    with pytest.raises(InfeasibleError, match=r"no tradable contract moves these limits.*\n  delta\[a\] is"):
        model.hedge(market, book)
    hedge = replace(model, on_infeasible="relax").hedge(market, book)
    assert hedge.relaxation.index.tolist() == ["delta[a]"]


def test_no_certificate_is_a_solver_error_never_a_trade():
    class Liar:
        name = "liar"

        def solve(self, program, *, deadline, warm=None):
            return Candidate(np.full_like(program.upper, np.nan), np.zeros(len(program.row_names)), "optimal")

    market = stocks(3)
    with pytest.raises(SolverError, match="liar"):
        simple(market, solver=Liar(), constraints=(Neutral("delta"),)).hedge(market, {"S0": 1000.0})


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
    with pytest.raises(SpecError, match="0 Variance terms"):
        HedgeModel().frontier(stocks(2), {"S0": 1.0}, [1.0])


# the universe


def test_the_default_universe_is_what_is_marked_hedge():
    market = stocks(3, hedge=[False, True, False])
    hedge = simple(market, universe=None).hedge(market, {"S0": 10.0})
    assert hedge.program.columns == ("S1",)


def test_a_universe_selects_by_column_and_freezes_by_name():
    market = stocks(4, sector=["x", "x", "y", "y"])
    universe = Universe(where={"sector": ["x"]}, frozen=("S0",))
    assert simple(market, universe=universe).hedge(market, {"S0": 10.0}).program.columns == ("S1",)


@pytest.mark.parametrize(
    ("universe", "text"),
    [(("S9",), r"S9 is no instrument of this market \(did you mean S1\?\)"), (Universe(frozen=("S7",)), "S7 is no"),
     (Universe(where={"sectr": "x"}), "no column 'sectr'")],
)  # fmt: skip
def test_an_unknown_name_in_the_universe_is_refused(universe, text):
    with pytest.raises(SpecError, match=text):
        simple(stocks(2), universe=universe).hedge(stocks(2), {"S0": 1.0})


def test_a_leg_that_expires_within_the_horizon_is_refused_by_name():
    market = options(days=(3, 90))
    model = HedgeModel(risk=flat_risk(market), objective=(Variance(1e-3),), horizon="5d")
    hedge = model.hedge(market, {"U": 10.0})
    assert not any(name.endswith("-3") for name in hedge.program.columns)
    assert any("F-3" in note and "expiring within the horizon" in note for note in hedge.problem.notes)


def test_a_hedge_without_a_quote_is_not_traded_and_named():
    market = stocks(3)
    quotes = market.quotes.copy()
    quotes.loc["S2", ["bid", "ask"]] = np.nan
    market = replace(market, quotes=quotes)
    hedge = simple(market, universe=("S1", "S2")).hedge(market, {"S0": 10.0})
    assert hedge.program.columns == ("S1",)
    assert "S2: not traded, no quote" in hedge.problem.notes


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


def test_a_cvxpy_constraint_that_conflicts_is_infeasible():
    import cvxpy as cp

    market, book = stocks(3), {"S0": 100.0}
    term = CvxpyTerm(lambda h, p: cp.norm(h, 2) <= 1.0)
    model = simple(market, constraints=(term, Neutral("delta")), objective=(SpreadCost(),))
    with pytest.raises(InfeasibleError, match="CVXPY terms and the other limits"):
        model.hedge(market, book)


def test_a_volatility_that_cannot_be_reached_gives_way_to_the_least_there_is():
    market, book = stocks(3), {"S0": 1000.0}
    model = simple(market, constraints=(VolatilityLimit(1.0), Neutral("delta", band=1e3)), on_infeasible="relax")
    hedge = model.hedge(market, book)
    assert list(hedge.relaxation.index) == ["volatility"]
    least = HedgeModel(risk=flat_risk(market), objective=(Variance(1.0),), universe=("S2",),
                       constraints=(Neutral("delta", band=1e3),)).hedge(market, book)  # fmt: skip
    assert hedge.relaxation.loc["volatility", "need"] == pytest.approx(least.risk.loc["volatility", "after"], rel=2e-4)
    assert hedge.risk.loc["volatility", "after"] == pytest.approx(least.risk.loc["volatility", "after"], rel=2e-2)


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


def test_a_volatility_that_no_tradable_moves_is_named():
    market, book = stocks(3), {"S0": 1000.0}
    model = simple(market, constraints=(VolatilityLimit(1.0),), universe=())
    with pytest.raises(InfeasibleError, match=r"no tradable .*\n  volatility is [\d.]+, allowed at most 1 base"):
        model.hedge(market, book)
    hedge = replace(model, on_infeasible="relax").hedge(market, book)
    alone = hedge.risk.loc["volatility", "before"]
    assert hedge.relaxation.loc["volatility", ["have", "need"]].tolist() == pytest.approx([1.0, alone])
    assert hedge.limits.loc["volatility", "violation"] == pytest.approx(alone - 1)
    assert hedge.certificate.optimal
    fine = replace(model, constraints=(VolatilityLimit(2 * alone),)).hedge(market, book)
    assert fine.certificate.optimal


def test_a_term_without_contribute_says_what_is_missing():
    with pytest.raises(NotImplementedError, match="needs a contribute"):
        HedgeModel(objective=(Term(),)).hedge(stocks(2), {"S0": 1.0})


# the report


def test_the_report_names_what_matters():
    market, book = stocks(3, spread=1e-4), {"S0": 1000.0}
    hedge = simple(market, constraints=(Neutral("delta"), VolatilityLimit(1e6)), name="mine").hedge(market, book)
    text = str(hedge)
    for word in ("Hedge mine", "volatility per day", "exposures", "costs", "spread", "baselines", "no trade",
                 "regression beta", "nearest instrument", "optimal", "aversion 1e-05", "base currency"):  # fmt: skip
        assert word in text, word
    assert hedge._repr_html_().startswith("<div>")
    assert "<script" not in replace(hedge, model=replace(hedge.model, name="<script>"))._repr_html_()


def test_the_report_shows_the_largest_trades_first_and_says_what_it_leaves_out():
    market = stocks(60)
    book = dict.fromkeys(market.names, 100.0)
    hedge = HedgeModel(risk=flat_risk(market), objective=(Variance(1e-3),), name="all").hedge(market, book)
    text = str(hedge)
    assert "... and 20 more" in text and "... and 20 more" in hedge._repr_html_()
    largest = (hedge.trades.abs() * market.notional).idxmax()
    assert text.index(f"\n{largest} ") < text.index("... and 20 more")
    assert "inf" not in text.split("costs")[0]


def test_baselines_are_no_trade_the_nearest_instrument_and_a_regression():
    market, book = stocks(4, spread=1e-4), {"S0": 1000.0, "S1": 500.0}
    hedge = simple(market, universe=("S2", "S3"), risk=EwmaRisk(halflife=60)).hedge(market, book)
    frame = hedge.baselines
    assert list(frame.index) == ["no trade", "nearest instrument", "regression beta", "hedge"]
    assert frame.loc["no trade", "volatility"] == pytest.approx(hedge.risk.loc["volatility", "before"])
    assert frame.loc["hedge", "volatility"] == pytest.approx(hedge.risk.loc["volatility", "after"])
    assert frame.loc["no trade", "cost"] == 0
    covariance = hedge.risk_model.covariance().to_numpy()
    cash = np.array([1000.0, 500.0, 0, 0]) * market.price.to_numpy()
    best = min(
        cash @ covariance @ cash - (covariance[i] @ cash) ** 2 / covariance[i, i] for i in (2, 3)
    )  # the least variance one instrument can leave
    assert frame.loc["nearest instrument", "volatility"] == pytest.approx(np.sqrt(best))
    moves = market.moves().to_numpy()
    item = moves @ cash
    slopes = [np.cov(item, moves[:, i])[0, 1] / np.var(moves[:, i], ddof=1) for i in (2, 3)]
    corr = [abs(np.corrcoef(item, moves[:, i])[0, 1]) for i in (2, 3)]
    i = int(np.argmax(corr))
    after = cash - slopes[i] * np.eye(4)[2 + i]
    assert frame.loc["regression beta", "volatility"] == pytest.approx(np.sqrt(after @ covariance @ after))


def test_other_quantities_recompute_the_whole_report():
    market, book = stocks(3), {"S0": 1000.0}
    hedge = simple(market).hedge(market, book)
    other = hedge.with_quantities(np.round(hedge.h), hedge.certificate)
    assert other.after["S2"] == round(hedge.after["S2"])
    assert other.costs["spread"] == pytest.approx(abs(other.trades["S2"]) * market.trade_cost.loc["S2", "buy"])


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
    bare = replace(market, history=None)
    with pytest.raises(SpecError, match="risk: the market has no history"):
        HedgeModel(risk=EwmaRisk()).hedge(bare, {"S0": 1.0})


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


def test_vega_without_a_driver_is_reported():
    market = options()
    drivers = market.drivers.loc[["U"]].rename_axis("driver").reset_index()
    bare = replace(market, drivers=drivers, history=market.history[["U"]])
    hedge = HedgeModel(risk=flat_risk(bare), objective=(Variance(1e-3),), universe=("U",)).hedge(
        bare, {"C100-30": 10.0}
    )
    assert any("vega of 1 contracts" in note for note in hedge.problem.notes)


def test_a_hedge_that_is_not_worth_its_cost_says_what_it_is_worth_and_costs():
    market = stocks(spread=0.2, hedge=[False] * 4 + [True])
    hedge = HedgeModel(risk=flat_risk(market), objective=(Variance(1e-9), SpreadCost())).hedge(market, {"S0": 100.0})
    assert (hedge.trades == 0).all()
    assert "no trade: risk reduction worth" in str(hedge)
    row = hedge.baselines.loc["nearest instrument"]
    worth = 1e-9 / 2 * (hedge.baselines.loc["no trade", "volatility"] ** 2 - row["volatility"] ** 2)
    assert f"worth {worth:,.6g}, cost {row['cost']:,.6g}" in str(hedge)
    assert worth < row["cost"]


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
