"""CVXPY terms of a user's own on the shipped models: certified, binding or not, whatever the size of the book."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from recorded_desks import RECORDED
from user_terms import KINDS, MODELS, Case, asked, draw, outcome

import optihedge as oh


@pytest.fixture(scope="module")
def market(example_folder: Path) -> oh.Market:
    return oh.read_market(example_folder)


@pytest.fixture(scope="module")
def book(example_folder: Path) -> pd.Series:
    return oh.read_book(example_folder / "book.csv")


def right(case: Case, became: str) -> bool:
    """Whether a case ended in a proof: a linear reward may push a contract to its default box; a limit may conflict."""
    allowed = {"optimal"}
    if case.kind == "linear" and case.side == "cost":
        allowed.add("unbounded")
    if case.side == "binding":
        allowed.add("InfeasibleError")
    return became.split(":")[0] in allowed


@pytest.mark.parametrize("seed", range(12))
def test_a_random_term_is_certified(seed: int, market: oh.Market, book: pd.Series) -> None:
    case = draw(seed)
    became = outcome(case, market, book)
    assert right(case, became), f"{case}: {became}"


@pytest.mark.slow
def test_five_hundred_random_terms_are_certified(market: oh.Market, book: pd.Series) -> None:
    cases = [draw(seed) for seed in range(500)]
    assert {case.kind for case in cases} == set(KINDS) and {case.model for case in cases} == set(MODELS)
    became = [outcome(case, market, book) for case in cases]
    wrong = [f"{case}: {word}" for case, word in zip(cases, became, strict=True) if not right(case, word)]
    assert not wrong, wrong
    assert np.mean([word == "optimal" for word in became]) > 0.9


FORMS: dict[str, Callable] = {
    "1-norm, raw": lambda h, p: cp.norm1(cp.multiply(p.measure("notional"), h - p.start)) <= 2e8,
    "1-norm, scaled": lambda h, p: cp.norm1(cp.multiply(p.measure("notional"), h - p.start)) / 1e6 <= 200,
    "2-norm, scaled": lambda h, p: cp.norm2(cp.multiply(p.measure("notional"), h - p.start)) / 1e6 <= 100,
    "linear": lambda h, p: p.measure("notional") @ (h - p.start) / 1e6 <= 100,
    "quadratic cost": lambda h, p: 1e-6 * cp.sum_squares(h - p.start),
    "3/2 power cost": lambda h, p: cp.sum(cp.power(cp.abs(h - p.start) / 1e3, 1.5)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "model", [m if m == "market_neutral" else pytest.param(m, marks=pytest.mark.slow) for m in MODELS]
)
def test_a_term_in_any_unit_is_certified_on_every_shipped_model(
    model: str, form: str, market: oh.Market, book: pd.Series
) -> None:
    shipped, mine = oh.load_model(model), oh.CvxpyTerm(FORMS[form], name="mine")
    where = "objective" if "cost" in form else "constraints"
    hedge = replace(shipped, **{where: (*getattr(shipped, where), mine)}).hedge(market, book)
    assert hedge.certificate.optimal


DESKS = ("coins", "alts", "stocks", "Deribit", "SPX")  # tens of contracts to thousands


@pytest.mark.parametrize("kind", ["l1", "l2", "power"])
@pytest.mark.parametrize("side", ["slack", "binding", "cost"])
@pytest.mark.parametrize("place", [p if p == "alts" else pytest.param(p, marks=pytest.mark.slow) for p in DESKS])
def test_a_term_is_certified_on_a_recorded_desk(
    place: str, side: str, kind: str, recorded: Callable[[str], Path]
) -> None:
    data, make, book_of = RECORDED[place]
    market = make(recorded(data))
    book = book_of(market)
    gross = oh.load_model("delta_neutral").problem(market, book).gross
    tight = {"slack": 2.0, "binding": 0.7, "cost": 1e-4}[side]
    case = Case(0, "delta_neutral", kind, side, gross, np.sqrt(gross), tight)
    became = outcome(case, market, book)
    assert right(case, became), f"{place} {case}: {became}"
    if place in ("alts", "stocks"):  # where less of a hedge is still one
        assert became == "optimal"


@pytest.mark.parametrize("seed", [1, 2])
def test_whole_lots_keep_a_binding_limit_or_the_list_is_held(seed: int, market: oh.Market, book: pd.Series) -> None:
    model = oh.load_model("market_neutral")
    before = model.hedge(market, book)
    notional = market.notional.reindex(before.problem.names).abs().to_numpy()
    used = np.abs(before.trades.to_numpy() * notional).sum()
    limit = (0.9, 0.8, 0.7)[seed % 3] * used
    mine = oh.CvxpyTerm(lambda h, p: cp.norm1(cp.multiply(notional, h - p.start)) <= limit, name="mine")
    hedge = replace(model, constraints=(*model.constraints, mine)).hedge(market, book)
    assert hedge.certificate.optimal
    assert np.abs(hedge.trades.to_numpy() * notional).sum() == pytest.approx(limit, rel=1e-5)
    listed = oh.trade_list(hedge, checks=oh.Checks(worth=False))
    if listed.held:
        assert any("CVXPY constraint 1 would end" in reason for reason in listed.reasons)
    else:
        quantity = listed.table.set_index("instrument")["quantity"].abs()
        assert quantity @ market.notional.abs()[quantity.index] <= limit * (1 + 1e-6)


@pytest.mark.parametrize("seed", [3, 9])
def test_what_a_cone_solver_certifies_too_has_the_same_objective(seed: int, market: oh.Market, book: pd.Series) -> None:
    model, scaled = asked(draw(seed), market, book)
    tangents, cone = (replace(model, solver=solver).hedge(market, scaled).certificate for solver in ("auto", "cvxpy"))
    assert tangents.optimal and cone.optimal
    assert any(step.startswith("cvxpy: optimal") for step in cone.chain)
    assert tangents.primal == pytest.approx(cone.primal, abs=2e-6 * cone.scale)


@pytest.mark.parametrize("name", ["market_neutral", "optimal_hedge", "delta_neutral"])
def test_a_term_with_variables_of_its_own_is_certified_or_named_with_a_remedy_that_works(
    name: str, market: oh.Market, book: pd.Series
) -> None:
    model = oh.load_model(name)

    def traded(h: cp.Expression, p: Any) -> cp.Expression:
        return cp.norm1(cp.multiply(p.measure("notional"), h - p.start))

    def own(h: cp.Expression, p: Any) -> list[cp.Expression]:
        s = cp.Variable(name="s")
        return [traded(h, p) <= s, 1e-3 * s]

    def hedge(term: Callable) -> oh.Hedge:
        mine = oh.CvxpyTerm(term, name="mine")
        return replace(model, objective=(*model.objective, mine)).hedge(market, book)

    alone = hedge(lambda h, p: 1e-3 * traded(h, p)).certificate
    assert alone.optimal
    try:
        assert hedge(own).certificate.primal == pytest.approx(alone.primal, abs=2e-6 * alone.scale)
    except oh.SpecError as error:
        assert re.search(r"mine has CVXPY variables of its own \(s\); write it of the quantities alone", str(error))
