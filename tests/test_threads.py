"""Linear algebra has one thread inside every fit and every solve, whoever calls, and its own number afterwards."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.covariance import EmpiricalCovariance
from sklearn.pipeline import make_pipeline
from test_estimators import ESTIMATORS, some_moves
from threadpoolctl import threadpool_info, threadpool_limits

import optihedge as oh
from optihedge.program.candidate import Candidate
from optihedge.program.chain import solve
from optihedge.program.program import Program
from optihedge.program.solvers import propose
from optihedge.program.threads import one_thread
from optihedge.risk.estimator import MovesEstimator, RiskEstimator


def threads() -> set[int]:
    """How many each loaded BLAS may use, those apart that were built without threads."""
    libraries = [one for one in threadpool_info() if one["user_api"] == "blas"]
    return {one["num_threads"] for one in libraries if one.get("threading_layer") != "disabled"}


@pytest.fixture
def two() -> object:
    with threadpool_limits(2, user_api="blas"):
        if threads() != {2}:
            pytest.skip("this BLAS cannot have two threads")
        yield
        assert threads() == {2}  # restored


class Asked:
    """A solver that notes the threads it was given."""

    name = "asked"

    def __init__(self) -> None:
        self.seen: list[set[int]] = []

    def solve(self, program: Program, *, deadline: float | None, warm: Candidate | None = None) -> Candidate:
        self.seen.append(threads())
        raise RuntimeError("restored after a failure too")


def test_a_solver_has_one_thread(two: object) -> None:
    p = Program(columns=("a",), start=[0.0], lower=[-9.0], upper=[9.0], factors=[[1.0]], factor_offset=[3.0])
    for way in (solve, propose):
        asked = Asked()
        way(p, solver=asked)
        assert asked.seen and all(seen == {1} for seen in asked.seen)


@pytest.mark.parametrize("estimator", [*ESTIMATORS, oh.Beta(), oh.risk.RegimeRisk(oh.EwmaRisk())], ids=str)
def test_an_estimator_has_one_thread(estimator: MovesEstimator, two: object, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, read = [], MovesEstimator._read

    def spying(self: MovesEstimator, *arguments: object, **keywords: object) -> object:
        seen.append(threads())
        return read(self, *arguments, **keywords)

    monkeypatch.setattr(MovesEstimator, "_read", spying)
    moves = some_moves()
    moves.attrs["markets"] = (0,)
    clone(estimator).fit(moves)
    assert seen and all(one == {1} for one in seen)


def test_a_users_estimator_and_a_hedge_have_one_thread(two: object, example_folder: Path) -> None:
    seen = []

    class Mine(RiskEstimator):
        def fit(self, moves: pd.DataFrame, y: object = None) -> "Mine":
            seen.append(threads())
            values, drivers = self._read(moves)
            self.risk_ = oh.Risk(np.diag(values.std(axis=0)), np.zeros(len(drivers)), drivers)
            return self

    market, book = oh.read_market(example_folder), oh.read_book(example_folder / "book.csv")
    assert oh.HedgeModel(risk=Mine(), objective=(oh.Variance(1e-6), oh.SpreadCost())).hedge(market, book)
    assert seen and all(one == {1} for one in seen)


class Plain(EmpiricalCovariance):
    """An estimator of scikit-learn, which knows nothing of our limit, that notes the threads it is fitted with."""

    seen: ClassVar[list[set[int]]] = []

    def fit(self, moves: pd.DataFrame, y: object = None) -> "Plain":
        self.seen.append(threads())
        return super().fit(moves)


@pytest.mark.parametrize(
    "risk",
    [Plain(), make_pipeline(oh.SampleRisk(Plain())), oh.SampleRisk(Plain())],
    ids=("plain", "last of a pipeline", "in a SampleRisk"),
)
def test_a_plain_estimator_as_the_risk_has_one_thread(
    risk: BaseEstimator, two: object, example_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plain, "seen", [])
    market, book = oh.read_market(example_folder), oh.read_book(example_folder / "book.csv")
    assert oh.HedgeModel(risk=risk, objective=(oh.Variance(1e-6), oh.SpreadCost())).hedge(market, book)
    assert Plain.seen and all(one == {1} for one in Plain.seen)


def test_a_limit_inside_a_limit_ends_with_the_outer_one(two: object) -> None:
    with one_thread():
        with one_thread():
            assert threads() == {1}
        assert threads() == {1}
