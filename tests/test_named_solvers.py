"""Every shipped hedging model is solved by each general solver that can be named, and to the same objective."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from recorded_desks import RECORDED, front

import optihedge as oh

SOLVERS = ("clarabel", "piqp", "osqp", "cvxpy")
MODELS = tuple(sorted(path.stem for path in (Path(__file__).resolve().parents[1] / "models").glob("*.toml")))


FAST = ("market_neutral", "quantitative")  # the quantitative one leaves cvxpy's own answer inaccurate


def solves(model: str, solver: str, market: oh.Market, book: pd.Series) -> None:
    """The solver's answer is its own, certified, and worth what the default chain's is."""
    shipped = oh.load_model(model)
    named, auto = (replace(shipped, solver=one).hedge(market, book).certificate for one in (solver, "auto"))
    assert named.optimal and named.chain[0].startswith(f"{solver}: optimal")
    assert abs(named.primal - auto.primal) <= abs(named.gap) + abs(auto.gap) + 1e-9 * auto.scale


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("model", MODELS)
def test_a_named_solver_solves_every_shipped_model(model: str, solver: str, example_folder: Path) -> None:
    solves(model, solver, oh.read_market(example_folder), oh.read_book(example_folder / "book.csv"))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("model", [m if m in FAST else pytest.param(m, marks=pytest.mark.slow) for m in MODELS])
def test_a_named_solver_solves_every_shipped_model_of_an_options_desk(
    model: str, solver: str, recorded: Callable[[str], Path]
) -> None:
    data, make, book_of = RECORDED["Deribit"]
    market = front(make(recorded(data)), days=10)
    solves(model, solver, market, book_of(market))
