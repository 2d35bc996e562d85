"""Every shipped hedging model is solved by each general solver that can be named, and to the same objective."""

from dataclasses import replace
from pathlib import Path

import pytest

import optihedge as oh

SOLVERS = ("clarabel", "piqp", "osqp", "cvxpy")
MODELS = tuple(sorted(path.stem for path in (Path(__file__).resolve().parents[1] / "models").glob("*.toml")))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("model", MODELS)
def test_a_named_solver_solves_every_shipped_model(model: str, solver: str, example_folder: Path) -> None:
    market, book = oh.read_market(example_folder), oh.read_book(example_folder / "book.csv")
    shipped = oh.load_model(model)
    named, auto = (replace(shipped, solver=one).hedge(market, book).certificate for one in (solver, "auto"))
    assert named.optimal and named.chain[0].startswith(solver)
    assert abs(named.primal - auto.primal) <= abs(named.gap) + abs(auto.gap) + 1e-9 * auto.scale
