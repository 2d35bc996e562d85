"""The box of a loss column from a feasible start: narrow, and no optimum is outside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_zero_optimum import nothing_to_pay

import optihedge as oh
from optihedge.program.certificate import certify
from optihedge.program.chain import solve
from optihedge.program.loss_box import within_the_start
from optihedge.program.program import Program, objective
from optihedge.program.solvers import propose

SCENARIOS = [seed for seed in range(60) if seed % 5 in (2, 3)]  # the largest loss, and the shortfall


def paid(seed: int) -> Program:
    """A Program with scenario rows whose hedges cost something."""
    p, r = nothing_to_pay(seed), np.random.default_rng(seed)
    traded = p.lot > 0
    size = np.abs(p.rows).max(axis=0).toarray().ravel()
    rate = np.where(traded, size * r.random(len(p.start)) * 0.3, 0.0)
    return replace(p, buy=rate, sell=rate)


@pytest.mark.parametrize("seed", SCENARIOS)
def test_the_optimum_is_inside_and_is_the_same(seed: int) -> None:
    p = paid(seed)
    narrow = within_the_start(p)
    assert (narrow.lower >= p.lower).all() and (narrow.upper <= p.upper).all()
    assert (narrow.upper < 0.5 * p.upper)[p.lot == 0].any()
    free = propose(p, solver="highs")  # in the whole box
    found = solve(p)
    assert found.certificate.optimal
    assert objective(p, free.h) == pytest.approx(found.certificate.primal, abs=2e-6 * found.certificate.scale)
    room = 1e-9 * p.widest
    assert (narrow.lower - room <= free.h).all() and (free.h <= narrow.upper + room).all()


@pytest.mark.parametrize("seed", SCENARIOS)
def test_the_boxes_of_contracts_and_a_start_that_breaks_a_limit_are_left_alone(seed: int) -> None:
    p = paid(seed)
    traded = p.lot > 0
    narrow = within_the_start(p)
    assert (narrow.lower == p.lower)[traded].all() and (narrow.upper == p.upper)[traded].all()
    one = np.flatnonzero(traded)[:1]
    row = np.zeros((1, len(p.start)))
    row[0, one] = 1.0
    limited = replace(
        p, row_names=(*p.row_names, "at least"), rows=np.vstack([p.rows.toarray(), row]),
        rows_on_holdings=None, rows_on_trades=None, row_lower=np.append(p.row_lower, 0.5 * p.upper[one]),
        row_upper=np.append(p.row_upper, np.inf), row_penalty=np.append(p.row_penalty, np.inf),
        row_tier=np.append(p.row_tier, 0.0), row_fixed=np.append(p.row_fixed, 0.0), row_limit=None,
    )  # fmt: skip
    same = within_the_start(limited)
    assert (same.lower == p.lower).all() and (same.upper == p.upper).all()


@pytest.mark.parametrize("soft", [1e-3, 0.1, 10.0])
def test_the_loss_of_a_shipped_model_is_bounded_by_a_few_times_the_books_own(soft: float, example_folder: Path) -> None:
    market, book = oh.read_market(example_folder), oh.read_book(example_folder / "book.csv")
    model = oh.load_model("stress_limited")
    tails = [replace(one, soft=soft) if one.short_name == "worst case" else one for one in model.constraints]
    p = replace(model, constraints=tuple(tails)).problem(market, book).program
    at = p.columns.index("worst case:loss")
    narrow = within_the_start(p)
    own = abs(narrow.start[at])
    limit = p.row_upper[p.row_names.index("worst case")]
    assert narrow.start[at] == pytest.approx(max(_losses(p, at)))
    assert p.upper[at] > 100 * own
    assert narrow.upper[at] <= limit + 2 * (objective(p, narrow.start) - p.constant) / soft + 3 * own
    assert certify(narrow, solve(p).candidate).optimal


def _losses(p: Program, at: int) -> np.ndarray:
    """Loss by scenario at the start, from the rows that define the column."""
    h = np.where(np.arange(len(p.start)) == at, 0.0, p.start)
    rows = [i for i, name in enumerate(p.row_names) if name.startswith("worst case[")]
    return (p.rows @ h + p.rows_on_holdings @ np.abs(h) - p.row_upper)[rows]


def test_tails_of_any_size_have_an_answer() -> None:
    r = np.random.default_rng(5)
    moves = pd.DataFrame(r.standard_t(4, (400, 6)) * 0.01, columns=list("abcdef"))
    prices = 100 * np.exp(moves.cumsum() / 5)
    prices.index = pd.bdate_range("2024-01-01", periods=400)
    market = oh.Market.from_prices(prices, base_currency="USD", spread=4e-4)
    pnl = moves * market.price.to_numpy()
    for size in (1e3, 1e6, 1e9):
        book = pd.Series(size / 6 / market.price.to_numpy() * r.normal(size=6), list("abcdef"))
        for term in (oh.Shortfall(pnl=pnl), oh.WorstCase(pnl=pnl)):
            model = oh.HedgeModel(objective=(term, oh.SpreadCost()), universe=("a", "b", "c"), capital=size)
            assert model.hedge(market, book).certificate.optimal
