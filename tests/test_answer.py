"""What cannot be met is said, or gives way by the least."""

from dataclasses import replace

import numpy as np
import pytest
from desks import flat_risk, own_greeks, simple, stocks

from optihedge.errors import InfeasibleError, SolverError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.base import CvxpyTerm
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.limits import TradeLimit, TurnoverLimit, VolatilityLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Variance
from optihedge.program.candidate import Candidate


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
