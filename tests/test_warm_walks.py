"""A walk of whole lots starts each hedge from the last where there is one optimum only: its lists are cold nights'."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from test_lots_off import BOOK, NAMES, model, panel

import optihedge as oh
from optihedge.hedge.answer import _warm
from optihedge.step.broker import AtQuote
from optihedge.step.step import Step, step

RISKS = {"given": model().risk, "full": oh.EwmaRisk(15), "factors": oh.FactorRisk(3)}
COSTS = (oh.SpreadCost(), oh.FeeCost())


def nights(asked: oh.HedgeModel, days: list[oh.Market]) -> list[Step]:
    """Cold, one after the other."""
    done = [step(oh.policy.opening("book", days[0], BOOK), None, days[0], asked)]
    for before, market in pairwise(days):
        fills, reports = AtQuote().execute(done[-1].state.orders, before, market)
        done.append(step(done[-1].state, before, market, asked, fills=fills, reports=reports))
    return done


def started_from(asked: oh.HedgeModel, markets: oh.Panel, monkeypatch: pytest.MonkeyPatch) -> tuple[oh.Backtest, list]:
    """The walk, and what each of its hedges started from."""
    seen, hedge = [], oh.HedgeModel.hedge
    with monkeypatch.context() as patch:
        patch.setattr(oh.HedgeModel, "hedge", lambda *a, **k: (seen.append(k.get("warm")), hedge(*a, **k))[1])
        return oh.run_backtest(asked, markets, BOOK), seen


@pytest.mark.parametrize("risk", RISKS)
def test_a_walk_lists_what_cold_nights_list(risk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, markets = model(risk=RISKS[risk]), panel(days=8)
    run, seen = started_from(asked, markets, monkeypatch)
    assert seen[0] is None and all(isinstance(one, oh.Hedge) for one in seen[1:])
    for quick, slow in zip(run.taken, nights(asked, list(markets)), strict=True):
        exact = slow.trades.table.drop(columns=["notional", "cost"])
        pd.testing.assert_frame_equal(quick.step.trades.table.drop(columns=["notional", "cost"]), exact)
        assert quick.step.state.held == slow.state.held
        worth = (quick.step.answer.trades - slow.answer.trades) * slow.answer.market.notional[NAMES]
        np.testing.assert_allclose(worth, 0.0, atol=1e-9 * float((BOOK.abs() * slow.answer.market.notional).sum()))


@pytest.mark.parametrize(
    "own",
    [
        {"objective": COSTS},  # any shares that are short by the book's delta
        {"objective": (oh.Variance(relative=30.0), oh.terms.Volatility(sharpe=1.0), *COSTS)},  # met to a tolerance
        {"risk": oh.Risk(model().risk.root, np.zeros(25), pd.Index(NAMES))},  # two factors and nothing of their own
    ],
    ids=["costs alone", "a price of volatility", "few factors"],
)
def test_where_optima_may_be_several_every_day_starts_cold(own: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    assert started_from(model(**own), panel(days=2), monkeypatch)[1] == [None] * 3


def flowing(market: oh.Market) -> pd.Series:
    """Another third of the book is other each day."""
    day = market.as_of.day_of_year
    return (BOOK + 300.0 * np.sin(day + np.arange(len(BOOK))) * (np.arange(len(BOOK)) % 3 == day % 3)).round()


@pytest.mark.parametrize("risk", RISKS)
def test_a_walk_of_a_flowing_book_lists_what_cold_hedges_list(risk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, markets = model(risk=RISKS[risk]), panel(days=8)
    quick, hedge = oh.run_backtest(asked, markets, flowing), oh.HedgeModel.hedge
    monkeypatch.setattr(oh.HedgeModel, "hedge", lambda *a, **k: hedge(*a, **k | {"warm": None}))
    slow = oh.run_backtest(asked, markets, flowing)
    assert quick.steps["sha256"].tolist() == slow.steps["sha256"].tolist()
    assert quick.steps["lines"].iloc[1:].sum() > 8


@pytest.mark.parametrize("listed", [NAMES, NAMES[:-3]])
def test_where_a_book_flows_a_warm_start_is_what_is_held_now_and_elsewhere_the_answer_before(listed) -> None:
    """A column that the client changed, or that was not there, rests where it is now: from where it was, all of them
    would seem to move.
    """
    asked, (first, second) = model(), list(panel(days=2))[:2]
    before = replace(asked, universe=tuple(listed)).hedge(first, BOOK)
    held = before.after.round() + 50.0 * (np.arange(len(NAMES)) % 3 == 0)
    program = asked.problem(second, held).program
    start, changed = _warm(before.answer, program).h, np.array([NAMES.index(name) % 3 == 0 for name in program.columns])
    changed |= ~np.isin(program.columns, before.program.columns)
    assert 0 < changed.sum() < len(changed)
    np.testing.assert_array_equal(start[changed], program.start[changed])
    np.testing.assert_array_equal(start[~changed], before.after.reindex(program.columns)[~changed])
