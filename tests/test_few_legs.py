"""Whole lots of a few legs: what enumeration finds by the same rule, whatever the order of instruments."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from lot_choices import by_enumeration

from optihedge.program.candidate import Candidate
from optihedge.program.chain import solve as certified
from optihedge.program.lots import few_legs as few
from optihedge.program.lots.few_legs import _window
from optihedge.program.lots.rounding import round_program
from optihedge.program.program import Program, objective, row_violations
from optihedge.program.status import Status


def solve(p: Program) -> Candidate:
    return certified(p).candidate


def few_legs(seed: int) -> tuple[Program, np.ndarray]:
    """A random hedge of one to four lumpy legs, with one or two bands from much wider to much narrower than a lot."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    lot = rng.choice([0.1, 1.0, 5.0], n)
    m = int(rng.integers(1, 3))
    exposures = rng.normal(size=(m, n)) * rng.choice([1.0, 300.0], (m, 1))
    start = np.round(rng.normal(0, 3, n), 1)
    wanted = start + lot * rng.normal(0, 4, n)
    centre = exposures @ wanted + rng.normal(size=m) * 0.2 * np.abs(exposures * lot).max(axis=1)
    width = rng.choice([0.0, 0.02, 0.3, 2.0]) * np.abs(exposures * lot).max(axis=1)
    size = {1: 60, 2: 20, 3: 9, 4: 6}[n]
    risky = rng.random() < 0.7
    cost = rng.choice([0.0, 0.01, 1.0]) * rng.uniform(0.2, 1, n) * lot
    trades = np.vstack([np.zeros((m, n)), np.ones(n)])
    p = Program(
        columns=tuple(f"leg{i}" for i in rng.permutation(n)), start=start, lower=start - size * lot,
        upper=start + size * lot, lot=lot, factors=rng.normal(size=(2, n)) * risky,
        factor_offset=rng.normal(size=2) * 5 * risky, diagonal=rng.uniform(0.01, 0.3, n) * risky,
        buy=cost * rng.uniform(0.5, 1.5), sell=cost, row_names=(*(f"row{i}" for i in range(m)), "turnover"),
        rows=sp.csr_array(np.vstack([exposures, np.zeros(n)])), rows_on_trades=sp.csr_array(trades),
        row_lower=np.append(centre - width / 2, -np.inf),
        row_upper=np.append(centre + width / 2, np.abs(wanted - start).sum() * rng.choice([1.2, 50])),
    )  # fmt: skip
    smallest = lot * rng.choice([0.0, 3.0], n, p=[0.8, 0.2])
    return p, smallest


def check(seed: int) -> None:
    p, smallest = few_legs(seed)
    continuous = certified(p)
    if continuous.certificate.status is not Status.OPTIMAL:
        return
    found = round_program(p, continuous.candidate.h, solve, smallest=smallest)
    best, point = by_enumeration(p, smallest)
    assert found.objective == pytest.approx(best, rel=1e-6, abs=1e-9), (found.h, point, row_violations(p, found.h))


@pytest.mark.parametrize("seed", range(40))
def test_random_hedges_of_up_to_four_legs_agree_with_enumeration(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1500))
def test_five_hundred_more_agree_with_enumeration(seed: int) -> None:
    check(seed)


def in_order(p: Program, order: np.ndarray) -> Program:
    """The same Program with its columns in another order."""
    vectors = ("start", "lower", "upper", "lot", "diagonal", "buy", "sell")
    tables = ("factors", "rows", "rows_on_trades")
    moved = {name: getattr(p, name)[order] for name in vectors} | {
        name: sp.csr_array(getattr(p, name))[:, order] for name in tables
    }
    return replace(p, columns=tuple(p.columns[i] for i in order), **moved | {"factors": p.factors[:, order]})


@pytest.mark.parametrize("seed", [*range(25), *(pytest.param(s, marks=pytest.mark.slow) for s in range(2000, 2200))])
def test_the_order_of_instruments_never_changes_the_lots(seed: int) -> None:
    p, smallest = few_legs(seed)
    continuous = certified(p)
    if continuous.certificate.status is not Status.OPTIMAL:
        return
    first = dict(zip(p.columns, round_program(p, continuous.candidate.h, solve, smallest=smallest).h, strict=True))
    order = np.random.default_rng(seed).permutation(len(p.columns))[::-1]
    other = in_order(p, order)
    again = round_program(other, certified(other).candidate.h, solve, smallest=smallest[order]).h
    assert dict(zip(other.columns, again, strict=True)) == pytest.approx(first)


def test_of_two_equal_legs_the_first_by_name_is_traded_in_any_order() -> None:
    names = ("B", "A")
    lists = []
    for columns in (names, names[::-1]):
        p = Program(columns=columns, start=np.zeros(2), lower=[-9.0, -9.0], upper=[9.0, 9.0], lot=[1.0, 1.0],
                    buy=[0.1, 0.1], sell=[0.1, 0.1], row_names=("delta",), rows=[[1.0, 1.0]], row_lower=[4.6],
                    row_upper=[5.2])  # fmt: skip
        lists.append(dict(zip(columns, round_program(p, certified(p).candidate.h, solve).h, strict=True)))
    assert lists[0] == lists[1] and sum(lists[0].values()) == 5


def test_a_band_narrower_than_a_lot_is_not_met_by_buying_one_leg_and_selling_its_twin() -> None:
    """To end within 4 900 by 48 bought and 66 sold costs six times the 19 lots that end within half a lot."""
    rows = np.array([[295_306.25, 297_518.75]])
    p = Program(columns=("near", "far"), start=np.zeros(2), lower=np.full(2, -200.0), upper=np.full(2, 200.0),
                lot=np.ones(2), buy=[6.25, 6.25], sell=[6.25, 6.25], row_names=("beta",), rows=rows,
                row_lower=[-5_470_299.4], row_upper=[-5_460_544.8])  # fmt: skip
    found = round_program(p, certified(p).candidate.h, solve).h
    assert np.abs(found).sum() == 18 and (found <= 0).all()
    risky = replace(p, factors=rows / 1e3, factor_offset=[5_465_422.0 / 1e3])  # half a lot is worth more than 700 here
    exact = round_program(risky, certified(risky).candidate.h, solve).h
    assert row_violations(risky, exact).max() == 0


def test_the_window_of_lots_is_as_wide_for_every_leg() -> None:
    low, high = _window(np.zeros(3), np.full(3, -100.0), np.full(3, 100.0), 4**8)
    assert (high - low == high[0] - low[0]).all() and (high + low == 1).all()
    assert (high[0] - low[0] + 1) ** 3 <= 4**8 < (high[0] - low[0] + 3) ** 3


@pytest.mark.parametrize("below", [-5.0, 0.0, 7.0])
def test_a_window_that_may_be_the_whole_box_is_the_whole_box(below: float) -> None:
    """Wherever its centre lies, at an end too."""
    low, high = _window(np.full(2, below), np.full(2, -5.0), np.full(2, 7.0), 13**2)
    assert (low == -5).all() and (high == 7).all()


@pytest.mark.parametrize(
    "order", [("PERP", "NEAR", "FAR"), ("FAR", "NEAR", "PERP"), ("NEAR", "FAR", "PERP")], ids=" ".join
)
def test_three_legs_of_other_lots_end_at_the_enumerated_optimum_in_any_order(order: tuple[str, ...]) -> None:
    """A perpetual in tenths and two options in whole lots against delta -40, vega -3 000: 2 194.104 by enumeration."""
    legs = {
        "PERP": (1.0, 0.0, 0.0, 3.0, 0.1),
        "NEAR": (0.52, 30.0, 2e-4, 25.0, 1.0),
        "FAR": (0.55, 95.0, 0.9e-4, 60.0, 1.0),
    }
    delta, vega, pnl, half, lot = np.array([legs[name] for name in order]).T
    p = Program(
        columns=order, start=np.zeros(3), lower=np.full(3, -1e4), upper=np.full(3, 1e4), lot=lot, buy=half, sell=half,
        factors=np.sqrt(2e7) * pnl[None], factor_offset=[np.sqrt(2e7) * -0.012], row_names=("delta", "vega"),
        rows=np.array([delta, vega]), row_lower=[39.95, 2970.0], row_upper=[40.05, 3030.0],
    )  # fmt: skip
    found = round_program(p, certified(p).candidate.h, solve)
    assert found.objective == pytest.approx(2194.104, abs=1e-3)


def test_near_a_perfect_hedge_of_a_large_risk_lists_are_told_apart() -> None:
    """A hundred million of risk before: what is left of it is a ten-millionth, and less of it is better."""
    p = Program(
        columns=("coarse", "fine"), start=np.zeros(2), lower=np.array([0.0, -20.0]), upper=np.array([2e8, 20.0]),
        lot=np.array([1e7, 1.0]), factors=np.ones((1, 2)), factor_offset=np.array([-1e8 + 7.0]),
    )  # fmt: skip
    value, best = by_enumeration(p)
    assert value == 0.0 and best.tolist() == [1e8, -7.0]
    assert round_program(p, np.array([1e8, 0.0]), solve).h.tolist() == best.tolist()


@pytest.mark.parametrize("seed", range(12))
def test_where_the_optimum_proves_how_far_better_lists_may_be_these_are_tried_and_no_program_is_asked(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two legs in thousandths: their box holds a hundred million lists."""
    rng = np.random.default_rng(seed)
    exposure, spread = rng.normal(size=(1, 2)), rng.uniform(0, 0.1, 2)
    p = Program(
        columns=("A", "B"), start=np.zeros(2), lower=np.full(2, -5.0), upper=np.full(2, 5.0), lot=np.full(2, 1e-3),
        factors=rng.normal(size=(2, 2)), factor_offset=rng.normal(size=2), diagonal=rng.uniform(0.1, 1.0, 2),
        buy=spread, sell=spread, row_names=("delta",), rows=exposure, row_lower=exposure @ [0.3, -0.2] - 1e-5,
        row_upper=exposure @ [0.3, -0.2] + 1e-5,
    )  # fmt: skip
    optimum = certified(p)
    programs = round_program(p, optimum.h, solve)  # without multipliers nothing is known of how far they may be

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a program was asked")

    monkeypatch.setattr(few, "LotProgram", never)
    tried = round_program(p, optimum.h, solve, multipliers=optimum.multipliers)
    assert tried.broken.empty
    if (row_violations(p, tried.h) > 1e-12).any() == (row_violations(p, programs.h) > 1e-12).any():
        assert objective(p, tried.h) <= objective(p, programs.h) + 1e-11


@pytest.mark.parametrize("seed", range(6))
def test_legs_whose_least_trade_their_box_cannot_hold_are_no_legs(seed: int) -> None:
    """Ten more that may not be traded leave the list of four what enumeration finds."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(1, 14))
    p = Program(
        columns=tuple(f"leg{i}" for i in range(14)), start=np.zeros(14), lower=np.full(14, -4.0),
        upper=np.full(14, 4.0), lot=np.ones(14), factors=rng.normal(size=(3, 14)), factor_offset=6 * rng.normal(size=3),
        diagonal=np.full(14, 0.05), buy=rng.uniform(0.1, 1.0, 14), sell=rng.uniform(0.1, 1.0, 14), row_names=("delta",),
        rows=sp.csr_array(rows), row_lower=rows[0, :4] @ [1.0, -2.0, 0.0, 1.0] + [-1e-3],
        row_upper=rows[0, :4] @ [1.0, -2.0, 0.0, 1.0] + [1e-3],
    )  # fmt: skip
    smallest = np.where(np.arange(14) < 4, 0.0, 100.0)
    best, point = by_enumeration(p, smallest)
    found = round_program(p, certified(p).candidate.h, solve, smallest=smallest)
    assert found.objective == pytest.approx(best, rel=1e-6), (found.h, point)
