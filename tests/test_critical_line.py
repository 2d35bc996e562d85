"""The critical line: along the price of risk each answer is what a solve anew gives, proved, and linear in between."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from programs import random_program

import optihedge as oh
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import judge
from optihedge.program.chain import solve
from optihedge.program.critical_line import CriticalLine
from optihedge.program.program import Program, objective
from optihedge.program.status import Status

KINDS = ("costs", "impact", "holding", "specifics", "odd", "rows", "sizes", "soft", "scales")
FACTORS = np.geomspace(0.2, 5.0, 9)


def walked(p: Program) -> list[tuple[Program, Candidate]]:
    """The Program at each price of risk, and the line's own word, begun from the answer before."""
    line, last, found = CriticalLine(p), solve(p.risk_scaled(FACTORS[0], p.constant)).candidate, []
    for factor in FACTORS[1:]:
        scaled = p.risk_scaled(factor, p.constant)
        answer = line.at(scaled, factor).solve(scaled, deadline=None, warm=last)
        found.append((scaled, answer))
        last = answer if answer.status is Status.OPTIMAL else solve(scaled).candidate
    return found


@pytest.mark.parametrize("n", [6, 30, 90])
def test_what_the_line_says_is_the_optimum_and_it_says_it_most_of_the_time(n: int) -> None:
    asked = told = 0
    for seed in range(10):
        for p, answer in walked(random_program(np.random.default_rng(seed), n, KINDS)):
            asked += 1
            if answer.status is not Status.OPTIMAL:
                continue
            told += 1
            verdict = judge(p, answer)
            assert verdict.status is Status.OPTIMAL
            assert objective(p, answer.h) - objective(p, solve(p).h) <= 1e-9 * verdict.scale
    assert told >= 0.6 * asked


def test_between_changes_of_sides_quantities_are_linear_in_one_over_the_price_of_risk() -> None:
    p = Program(
        columns=("A", "B"), start=[0.0, 0.0], lower=[-99.0, -99.0], upper=[99.0, 99.0], factors=[[1.0, 0.5]],
        factor_offset=[10.0], diagonal=[0.5, 0.25], buy=[0.1, 0.1], sell=[0.1, 0.1], row_names=("sum",),
        rows=[[1.0, 1.0]], row_lower=[-12.0], row_upper=[12.0],
    )  # fmt: skip
    answers = {factor: solve(p.risk_scaled(factor, 0.0)).candidate for factor in (1.0, 2.0, 4.0, 8.0)}
    slope = (answers[2.0].h - answers[1.0].h) / (1 / 2 - 1 / 1)
    line, last = CriticalLine(p), answers[1.0]
    for factor in (2.0, 4.0, 8.0):
        scaled = p.risk_scaled(factor, 0.0)
        last = line.at(scaled, factor).solve(scaled, deadline=None, warm=last)
        assert last.status is Status.OPTIMAL
        assert last.h == pytest.approx(answers[1.0].h + slope * (1 / factor - 1), rel=1e-9)
        assert last.h == pytest.approx(answers[factor].h, rel=1e-9)


def test_the_line_declines_what_is_not_its_own() -> None:
    p = random_program(np.random.default_rng(1), 8, ("costs",))
    scaled, warm = p.risk_scaled(2.0, p.constant), solve(p).candidate
    on = CriticalLine(p).at(scaled, 2.0)
    assert on.solve(replace(scaled, upper=scaled.upper + 1), deadline=None, warm=warm).status is Status.DECLINED
    assert on.solve(scaled, deadline=None).status is Status.DECLINED
    powered = replace(p, power=np.ones(8))
    bent = CriticalLine(powered).at(powered, 1.0)
    assert bent.solve(powered, deadline=None, warm=warm).status is Status.DECLINED


def test_where_doing_nothing_is_optimal_the_line_changes_nothing() -> None:
    p = Program(columns=("A",), start=[1.0], lower=[-9.0], upper=[9.0], diagonal=[1.0], linear=[-1.0 - 1e-5])
    warm = Candidate(np.array([1.0 + 1e-5]), np.zeros(0), Status.OPTIMAL)
    ahead = CriticalLine(p).at(p, 1.0)
    assert ahead.solve(p, deadline=None, warm=warm).h == pytest.approx([1 + 1e-5], abs=1e-12)
    for found in (solve(p), solve(p, warm=warm, ahead=ahead)):
        assert found.certificate.optimal and found.h.tolist() == [1.0]


def desk() -> tuple[oh.Market, oh.HedgeModel, dict[str, float]]:
    """Twelve shares of two factors, costs, a band and a limit on turnover."""
    rng = np.random.default_rng(3)
    names = [f"S{i:02d}" for i in range(12)]
    days = pd.bdate_range("2024-01-01", periods=90, tz="UTC")
    moves = rng.normal(size=(90, 2)) @ rng.normal(size=(2, 12)) * 0.01 + 0.01 * rng.normal(size=(90, 12))
    levels = pd.DataFrame(100 * np.exp(np.cumsum(moves, axis=0)), days, names)
    market = oh.Market.from_prices(levels, base_currency="USD", spread=1e-3, volume=pd.Series(1e6, names))
    model = oh.HedgeModel(
        risk=oh.EwmaRisk(30), objective=(oh.Variance(aversion=1e-6), oh.SpreadCost()),
        constraints=(oh.Neutral("delta", band_share=0.05), oh.TurnoverLimit(share=0.8)),
    )  # fmt: skip
    return market, model, {name: float(rng.integers(-50, 50)) * 100 for name in names[:6]}


def test_a_frontier_is_what_each_hedge_by_itself_is() -> None:
    market, model, book = desk()
    values = np.geomspace(1e-7, 1e-4, 15)
    frontier = model.frontier(market, book, values)
    for value, hedge in zip(values, frontier, strict=True):
        alone = replace(model, objective=(oh.Variance(aversion=value), oh.SpreadCost())).hedge(market, book)
        assert hedge.certificate.optimal
        assert hedge.trades.to_numpy() == pytest.approx(alone.trades.to_numpy(), rel=1e-6, abs=1e-4)
    assert sum("critical line" in hedge.certificate.chain[0] for hedge in frontier) >= 12


def test_a_line_that_is_wrong_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    market, model, book = desk()
    values = np.geomspace(1e-7, 1e-4, 6)
    right = model.frontier(market, book, values)
    wrong = CriticalLine.answer
    monkeypatch.setattr(CriticalLine, "along", lambda *a: None)
    monkeypatch.setattr(CriticalLine, "answer", lambda *a: tuple(1.01 * part for part in wrong(*a)))
    for one, other in zip(model.frontier(market, book, values), right, strict=True):
        assert one.certificate.optimal
        assert one.certificate.primal == pytest.approx(other.certificate.primal, rel=1e-9)
