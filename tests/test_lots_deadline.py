"""A deadline ends the search for better whole lots: the best list at hand is the answer, its gap as honest as ever."""

import time

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.sparse as sp

import optihedge as oh
from optihedge.program.chain import solve as certified
from optihedge.program.lots.rounding import Rounding, round_program
from optihedge.program.program import Program, objective


def eight_legs(seed: int) -> Program:
    """Eight coarse legs between two narrow bands, in boxes of far more lists than can be tried."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(2, 8))
    aim = rows @ rng.normal(0, 5, 8)
    cost = rng.uniform(0.05, 0.5, 8)
    return Program(
        columns=tuple(f"leg{i}" for i in range(8)), start=np.zeros(8), lower=np.full(8, -50.0), upper=np.full(8, 50.0),
        lot=np.ones(8), factors=rng.normal(size=(4, 8)), factor_offset=8 * rng.normal(size=4), buy=cost, sell=cost,
        row_names=("delta", "vega"), rows=sp.csr_array(rows), row_lower=aim - 0.01, row_upper=aim + 0.01,
    )  # fmt: skip


def rounded(p: Program, until: float | None) -> Rounding:
    optimum = certified(p)
    return round_program(p, optimum.h, lambda q: certified(q).candidate, multipliers=optimum.multipliers, until=until)


def is_a_list(p: Program, found: Rounding) -> None:
    assert (found.h == np.round(found.h)).all() and (p.lower <= found.h).all() and (found.h <= p.upper).all()
    assert found.objective == pytest.approx(objective(p, found.h))
    assert found.bound == pytest.approx(objective(p, certified(p).h))


@pytest.mark.parametrize("seed", range(4))
def test_an_integer_program_of_few_legs_is_told_how_long_it_may_look(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, told = scipy.optimize.milp, []

    def timed(*given, options, **others):
        told.append((time.perf_counter() + options["time_limit"], options["time_limit"]))
        return real(*given, options=options, **others)

    monkeypatch.setattr(scipy.optimize, "milp", timed)
    p = eight_legs(seed)
    is_a_list(p, rounded(p, None))
    assert told and all(limit == np.inf for _, limit in told)
    told.clear()
    until = time.perf_counter() + 60
    is_a_list(p, rounded(p, until))
    assert told and all(end == pytest.approx(until, abs=0.5) and limit > 0 for end, limit in told)


@pytest.mark.parametrize("seed", range(4))
def test_where_no_time_is_left_the_list_at_hand_stands_and_no_program_is_asked(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a program was asked")

    p = eight_legs(seed)
    best = rounded(p, None)
    monkeypatch.setattr(scipy.optimize, "milp", never)
    found = rounded(p, time.perf_counter())
    is_a_list(p, found)
    further = found.rows["violation"].sum() > best.rows["violation"].sum()  # the whole search meets bands
    assert further or found.objective >= best.objective - 1e-9 * abs(best.objective)


def eight_futures() -> tuple[oh.HedgeModel, oh.Market, pd.Series]:
    """Eight futures of coarse lots against a book of shares that may not be traded, neutral within a narrow band."""
    rng = np.random.default_rng(5)
    names = [f"F{i}" for i in range(8)] + [f"S{i}" for i in range(4)]
    moves = 0.01 * rng.normal(size=(120, 3)) @ rng.normal(size=(3, 12)) + 0.002 * rng.normal(size=(120, 12))
    levels = pd.DataFrame(
        100 * np.exp(np.cumsum(moves, axis=0)), pd.bdate_range("2025-01-02", periods=120, tz="UTC"), names
    )
    table = pd.DataFrame({"lot": [70.0, 90.0, 110.0, 130.0, 170.0, 190.0, 230.0, 290.0] + [1.0] * 4,
                          "hedge": [True] * 8 + [False] * 4}, names)  # fmt: skip
    market = oh.Market.from_prices(levels, base_currency="USD", spread=1e-4, instruments=table)
    model = oh.HedgeModel(
        risk=oh.EwmaRisk(halflife=40), objective=(oh.Variance(aversion=1e-4), oh.SpreadCost()),
        constraints=(oh.Neutral("delta", band=10.0),),
    )  # fmt: skip
    return model, market, pd.Series([1000.0, -700.0, 900.0, 1300.0], names[8:])


def test_a_search_that_its_deadline_stops_leaves_a_list_that_may_be_sent_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, market, book = eight_futures()
    hedge = model.hedge(market, book)
    free = oh.trade_list(hedge)
    assert not free.held and "deadline" not in free.hedge.certificate.note
    real, asked = scipy.optimize.milp, []

    def slow(*given, options, **others):
        asked.append(options["time_limit"])
        time.sleep(options["time_limit"])
        return real(*given, options=options | {"time_limit": 1e-3}, **others)

    monkeypatch.setattr(scipy.optimize, "milp", slow)
    listed = oh.trade_list(hedge, deadline=2.0)
    proof = listed.hedge.certificate
    assert asked and sum(asked) <= 1.0
    assert not listed.held, listed.reasons
    assert "stopped by the deadline" in proof.note and proof.note in listed.notes
    assert proof.gap == pytest.approx(objective(hedge.program, listed.hedge.h) - hedge.certificate.dual)
    assert proof.gap >= free.hedge.certificate.gap - 1e-9 * proof.scale
