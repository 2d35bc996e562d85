"""Whole lots: every trade a multiple of its lot, no box broken, bands met where a lot choice can meet them."""

import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse as sp
from lot_choices import by_enumeration
from scipy.optimize import Bounds, LinearConstraint, milp

import optihedge as oh
from optihedge.errors import InfeasibleError
from optihedge.market.scenarios import replay, scenario_pnl
from optihedge.program.candidate import Candidate
from optihedge.program.chain import solve as certified
from optihedge.program.duality import scale_of
from optihedge.program.lots.grid import Grid
from optihedge.program.lots.local_search import GAIN, first_moves, improve
from optihedge.program.lots.neighbourhood import Moves, Neighbourhood
from optihedge.program.lots.refined import tradable
from optihedge.program.lots.rounding import round_program
from optihedge.program.program import Program, objective, row_violations

BAND_TOLERANCE = 1e-7  # of a row's limit


def solve(p: Program) -> Candidate:
    """The continuous optimum."""
    return certified(p).candidate


def small_program(seed: int, legs: int, width: float = 0.6) -> Program:
    """A random book on lumpy legs with two bands and a turnover limit; feasible as a continuous problem."""
    rng = np.random.default_rng(seed)
    exposures = rng.normal(size=(2, legs)) * np.array([[1.0], [0.4]])
    start = rng.integers(-3, 4, legs) + rng.choice([0.0, 0.25], legs)
    inside = start + rng.normal(size=legs)
    centre = exposures @ inside
    rows = np.vstack([exposures, np.zeros(legs)])
    trades = np.vstack([np.zeros((2, legs)), np.ones(legs)])
    return Program(
        columns=tuple(f"leg{i}" for i in range(legs)),
        start=start,
        lower=start - 4.0,
        upper=start + 4.0,
        lot=rng.choice([0.5, 1.0, 2.0], legs),
        factors=rng.normal(size=(2, legs)),
        factor_offset=rng.normal(size=2),
        diagonal=rng.uniform(0.1, 0.5, legs),
        buy=rng.uniform(0, 0.3, legs),
        sell=rng.uniform(0, 0.3, legs),
        row_names=("delta", "vega", "turnover"),
        rows=sp.csr_array(rows),
        rows_on_trades=sp.csr_array(trades),
        row_lower=np.append(centre - width / 2, -np.inf),
        row_upper=np.append(centre + width / 2, np.abs(inside - start).sum() + 4),
    )


def every_choice(p: Program) -> tuple[np.ndarray, np.ndarray]:
    """Brute force: all whole-lot quantities of a small Program, and which of them meet every row."""
    options = []
    for i in range(len(p.columns)):
        most = int(np.floor((p.upper[i] - p.start[i]) / p.lot[i] + 1e-9))
        least = int(np.ceil((p.lower[i] - p.start[i]) / p.lot[i] - 1e-9))
        options.append(p.start[i] + p.lot[i] * np.arange(least, most + 1))
    points = np.array(list(product(*options)))
    values = p.rows @ points.T + p.rows_on_holdings @ np.abs(points.T) + p.rows_on_trades @ np.abs(points - p.start).T
    met = (values >= p.row_lower[:, None] - 1e-9).all(axis=0) & (values <= p.row_upper[:, None] + 1e-9).all(axis=0)
    return points, met


@pytest.mark.parametrize("seed", range(24))
def test_lots_of_four_legs_are_those_that_enumeration_finds_by_the_same_rule(seed: int) -> None:
    p = small_program(seed, legs=4, width=[0.05, 0.2, 0.6][seed % 3])
    continuous = solve(p)
    rounding = round_program(p, continuous.h, solve)
    trades = (rounding.h - p.start) / p.lot
    assert np.allclose(trades, np.round(trades), atol=1e-9)
    assert (rounding.h >= p.lower - 1e-12).all() and (rounding.h <= p.upper + 1e-12).all()
    assert np.isclose(rounding.objective, objective(p, rounding.h))
    best, _ = by_enumeration(p)
    assert rounding.objective == pytest.approx(best, rel=1e-9)
    worst = row_violations(p, rounding.h)
    assert np.allclose(rounding.rows["violation"], worst)


@pytest.mark.parametrize("seed", range(6))
def test_with_eight_legs_a_band_far_from_the_optimum_is_found(seed: int) -> None:
    p = small_program(100 + seed, legs=8, width=0.01)
    _, met = every_choice(replace_box(p, 1.0))
    rounding = round_program(p, solve(p).h, solve)
    if met.any():  # already within one lot either way
        assert row_violations(p, rounding.h).max() <= BAND_TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_eight_legs_within_two_lots_agree_with_enumeration(seed: int) -> None:
    p = small_program(300 + seed, legs=8, width=[0.002, 0.01, 0.05][seed % 3])
    p = replace(p, lot=np.ones(8), lower=p.start - 2.0, upper=p.start + 2.0)
    continuous = certified(p)
    if continuous.certificate.status != "optimal":
        assert not every_choice(p)[1].any()
        return
    rounding, (best, _) = round_program(p, continuous.h, solve), by_enumeration(p)
    assert rounding.objective - best <= 0.5 * max(best - rounding.bound, 0.05 * abs(best))


@pytest.mark.parametrize("seed", range(8))
def test_where_no_lot_choice_meets_every_band_the_least_total_violation_is_found_at_its_price(seed: int) -> None:
    p = small_program(1000 + seed, legs=3, width=0.002)
    p = replace(p, lower=p.start - 12.0, upper=p.start + 12.0)
    best, point = by_enumeration(p)
    rounding = round_program(p, solve(p).h, solve)
    assert rounding.h == pytest.approx(point)
    assert rounding.objective == pytest.approx(best, rel=1e-7)


@pytest.mark.parametrize(("seed", "legs"), [(s, n) for s in range(3) for n in (3, 5, 7)])
def test_with_few_legs_the_cheapest_lots_that_meet_the_bands_are_found(seed: int, legs: int) -> None:
    rng = np.random.default_rng(7 * seed + legs)
    exposures, cost = rng.normal(0, [[1000.0], [700.0]], (2, legs)), rng.uniform(1, 60, legs)
    away, band = rng.normal(0, 9000, 2), np.array([300.0, 400.0])
    p = Program(columns=tuple(f"leg{i}" for i in range(legs)), start=np.zeros(legs), lower=np.full(legs, -40.0),
                upper=np.full(legs, 40.0), lot=np.ones(legs), buy=cost, sell=cost, row_names=("e1", "e2"),
                rows=exposures, row_lower=-band - away, row_upper=band - away)  # fmt: skip
    oracle = milp(
        np.tile(cost, 2), integrality=np.ones(2 * legs), bounds=Bounds(0, 40),
        constraints=LinearConstraint(np.hstack([exposures, -exposures]), p.row_lower, p.row_upper),
    )  # fmt: skip
    rounding = round_program(p, solve(p).h, solve)
    assert oracle.status == 0 and row_violations(p, rounding.h).max() <= BAND_TOLERANCE * band.min()
    assert rounding.objective == pytest.approx(oracle.fun, rel=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_lots_of_four_legs_in_wide_boxes_are_the_best_of_all(seed: int) -> None:
    p = small_program(1000 + seed, legs=4, width=[0.005, 0.05, 0.2, 0.6][seed % 4])
    p = replace(p, lower=p.start - 6.0, upper=p.start + 6.0)
    best, point = by_enumeration(p)
    rounding = round_program(p, solve(p).h, solve)
    assert rounding.objective == pytest.approx(best, rel=1e-6), (rounding.h, point)


@pytest.mark.parametrize("power", [0, 5, 10, 14, 18, 30])
def test_lots_too_fine_to_count_are_harmless(power: int) -> None:
    p = small_program(0, legs=5)
    p = replace(p, lot=np.full(5, 0.5**power))
    continuous = solve(p)
    begin = time.process_time()
    rounding = round_program(p, continuous.h * 1.0, solve)
    assert time.process_time() - begin < 5
    assert row_violations(p, rounding.h).max() <= 0.5**power
    finer = replace(p, lot=np.full(5, 10.0 ** -(power + 12)))
    rounding = round_program(finer, continuous.h, solve)
    assert np.abs(rounding.h - continuous.h).max() <= 1e-6 and rounding.broken.empty
    assert rounding.gap <= 1e-6 * abs(rounding.bound)


def replace_box(p: Program, size: float) -> Program:
    return replace(p, lower=p.start - size, upper=p.start + size)


def ladder_program(seed: int, n: int = 60) -> Program:
    """A desk: two equality rows, lots from coarse to fine, costs, a turnover limit."""
    rng = np.random.default_rng(seed)
    lot = 10.0 ** rng.integers(-2, 2, n)
    delta, vega = rng.normal(size=n), rng.normal(size=n) * (rng.random(n) < 0.7)
    delta[-1], vega[-1], lot[-1] = 1.0, 0.0, 1e-3
    start = np.round(rng.normal(size=n) * 20)
    return Program(
        columns=tuple(f"leg{i}" for i in range(n)),
        start=start,
        lower=start - 200.0,
        upper=start + 200.0,
        lot=lot,
        factors=rng.normal(size=(5, n)) * 0.1,
        factor_offset=rng.normal(size=5) * 3,
        diagonal=rng.uniform(0.001, 0.01, n),
        buy=rng.uniform(0.01, 0.1, n),
        sell=rng.uniform(0.01, 0.1, n),
        row_names=("delta", "vega", "turnover"),
        rows=sp.csr_array(np.vstack([delta, vega, np.zeros(n)])),
        rows_on_trades=sp.csr_array(np.vstack([np.zeros((2, n)), np.ones(n)])),
        row_lower=np.array([0.0, 0.0, -np.inf]),
        row_upper=np.array([0.0, 0.0, 600.0]),
    )


@pytest.mark.parametrize("seed", range(5))
def test_equality_rows_end_within_half_the_finest_traded_lot(seed: int) -> None:
    p = ladder_program(seed)
    continuous = solve(p)
    rounding = round_program(p, continuous.h, solve)
    trades = (rounding.h - p.start) / p.lot
    traded = np.abs(np.round(trades)) > 0
    for row, violation in zip(p.rows.toarray()[:2], row_violations(p, rounding.h)[:2], strict=True):
        finest = (np.abs(row) * p.lot)[traded & (row != 0)].min()
        assert violation <= finest / 2 * (1 + 1e-9)
    assert row_violations(p, rounding.h)[2] <= 1e-9
    assert rounding.broken.empty
    naive = p.start + p.lot * np.round((continuous.h - p.start) / p.lot)
    assert row_violations(p, rounding.h)[:2].max() < row_violations(p, naive)[:2].max() / 10
    assert rounding.gap <= 0.05 * abs(rounding.bound)


def test_a_minimum_quantity_is_zero_or_met_and_boxes_hold() -> None:
    p = small_program(3, legs=6, width=3.0)
    rounding = round_program(p, solve(p).h, solve, smallest=np.full(6, 2.0))
    trades = np.abs(rounding.h - p.start)
    assert ((trades < 1e-12) | (trades >= 2.0 - 1e-12)).all()
    assert (rounding.h >= p.lower - 1e-12).all() and (rounding.h <= p.upper + 1e-12).all()


def test_odd_lots_are_kept_and_trades_are_whole() -> None:
    p = Program(columns=("A",), start=[10.3], lower=[0.0], upper=[20.0], lot=[5.0], diagonal=[1.0])
    assert round_program(p, solve(p).h, solve).h == pytest.approx([0.3])


def test_a_quantity_that_its_box_forces_is_kept_beside_free_legs() -> None:
    p = Program(columns=("forced", "half", "free"), start=[2.0, 0.0, 0.0], lower=[5.0, 0.5, -9.0],
                upper=[5.0, 0.5, 9.0], lot=np.ones(3), diagonal=np.ones(3), linear=[0.0, 0.0, -2.4])  # fmt: skip
    assert round_program(p, solve(p).h, solve).h == pytest.approx([5.0, 0.5, 2.0])


def test_a_limit_that_no_lot_can_mend_is_left_broken_and_said() -> None:
    """The trade limit of 5 is less than a lot of 20, so 9 stay where 6 are allowed."""
    p = Program(columns=("A",), start=[9.0], lower=[4.0], upper=[14.0], lot=[20.0], buy=[0.01], sell=[0.01],
                row_names=("gross",), rows_on_holdings=[[1.0]], row_upper=[6.0])  # fmt: skip
    rounding = round_program(p, solve(p).h, solve)
    assert rounding.h == pytest.approx([9.0])
    assert list(rounding.broken.index) == ["gross"]


def test_a_box_without_a_whole_lot_is_named() -> None:
    p = Program(columns=("A", "B"), start=[0.0, 0.0], lower=[0.2, -1.0], upper=[0.8, 1.0], lot=[1.0, 1.0])
    with pytest.raises(InfeasibleError, match=r"A: no whole number of lots of 1 .* into \[0.2, 0.8\]; widen"):
        round_program(p, np.array([0.5, 0.0]), solve)


@pytest.mark.parametrize("seed", [0, 2])
def test_lots_too_fine_to_matter_need_no_solve_and_cost_next_to_nothing(seed: int) -> None:
    p = ladder_program(seed)
    p = replace(p, lot=1e-6 * p.lot)
    best = solve(p)
    found = round_program(p, best.h, solve, multipliers=best.multipliers)
    assert found.solves == 0
    assert found.broken.empty
    lots = (found.h - p.start) / p.lot
    np.testing.assert_allclose(lots, np.round(lots), atol=1e-5 * np.abs(lots).max())
    assert found.gap <= 1e-9 * scale_of(p, best.h)


def share_program(seed: int, n: int = 60) -> Program:
    """A desk of shares near its optimum: positions of thousands, single shares as lots, neutral in money."""
    rng = np.random.default_rng(seed)
    price, betas = rng.uniform(20, 200, n), 0.2 * rng.normal(size=(20, n))
    start = np.round(1e6 * rng.normal(size=n) / price)
    aversion = 300 / float(np.abs(start) @ price)
    return Program(
        columns=tuple(f"share{i}" for i in range(n)), start=start, lower=start - 1e6, upper=start + 1e6,
        lot=np.ones(n), factors=np.sqrt(aversion) * 0.01 * betas * price, diagonal=aversion * (0.015 * price) ** 2,
        buy=2.5e-4 * price, sell=2.5e-4 * price, row_names=("delta",), rows=sp.csr_array(price[None, :]),
        row_lower=np.zeros(1), row_upper=np.zeros(1),
    )  # fmt: skip


@pytest.mark.parametrize("lot", [1e-6, 1e-3, 1.0])
def test_lots_that_no_move_can_better_are_bettered_by_no_search(lot: float) -> None:
    """Multipliers bound what a move may gain: where that is nothing the nearest lots stand, and no search gains."""
    stood = 0
    for seed in range(8):
        p = replace(share_program(seed), lot=np.full(60, lot))
        p = replace(p, start=np.round(solve(p).h + 10 * np.random.default_rng(seed).normal(size=60)))
        best = solve(p)
        at_once, searched = (round_program(p, best.h, solve, multipliers=m) for m in (best.multipliers, None))
        if (at_once.h == p.start + p.lot * np.round((best.h - p.start) / p.lot)).all():
            assert at_once.broken.empty
            assert at_once.objective - searched.objective <= GAIN * abs(searched.objective)
            stood += 1
    assert stood or lot > 1e-6


@pytest.mark.parametrize("lot", [1e-5, 1e-3])
def test_the_nearest_lots_of_few_shares_stand_only_where_the_room_around_a_limit_is_worth_nothing(lot: float) -> None:
    """Lots so fine that rounding costs nothing may still be bettered: half a lot beyond a limit is worth its price."""
    stood = 0
    for seed in range(30):
        p, target = share_program(seed, 9), [1e6 * (seed % 3 - 1)]
        p = replace(p, lot=np.full(9, lot), row_lower=target, row_upper=target)
        best = solve(p)
        at_once, searched = (round_program(p, best.h, solve, multipliers=m) for m in (best.multipliers, None))
        if (at_once.h == p.start + p.lot * np.round((best.h - p.start) / p.lot)).all():
            assert at_once.broken.empty
            assert at_once.objective - searched.objective <= GAIN * abs(searched.objective)
            stood += 1
    assert stood or lot > 1e-5


@pytest.mark.parametrize("lot", [1.0, 30.0])
def test_a_list_that_is_better_trades_no_column_that_multipliers_leave_out(lot: float) -> None:
    left_out, bettered = 0, 0
    for seed in range(20):
        p = share_program(seed, 5)
        start = np.round(solve(p).h + 1.5 * lot * np.random.default_rng(seed).normal(size=5))
        p = replace(p, start=start, lower=start - 3 * lot, upper=start + 3 * lot, lot=np.full(5, lot))
        around, best, (points, _) = Neighbourhood(p, Grid.of(p)), solve(p), every_choice(p)
        excess, value = around.points(points, around.allowance(np.round(around.grid.lots(points))))
        lists = points[excess <= 1e-9][np.argsort(value[excess <= 1e-9])]
        for place in range(min(len(lists), 10)):
            kept = tradable(around, best.h, lists[place], best.multipliers)
            better = [one for one in lists[: place + 1] if around.rank(one) < around.rank(lists[place])]
            assert not any((one != p.start)[~kept].any() for one in better)
            left_out, bettered = left_out + (~kept).sum(), bettered + len(better)
    assert left_out > 5 and bettered > 100


def test_a_whole_answer_stays_as_it_is_and_needs_no_solve() -> None:
    def never(p: Program) -> Candidate:
        raise RuntimeError("not needed")

    p = Program(columns=("A", "B"), start=[0.0, 0.0], lower=[-9, -9], upper=[9, 9], lot=[1.0, 0.5],
                diagonal=[1.0, 1.0], linear=[-3.0, 2.5])  # fmt: skip
    rounding = round_program(p, np.array([3.0, -2.5]), never)
    assert rounding.h.tolist() == [3.0, -2.5] and rounding.gap == 0.0 and rounding.solves == 0


@pytest.mark.parametrize("seed", range(3))
def test_predicted_changes_of_moves_equal_recomputation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = ladder_program(seed, 12)
    grid = Grid.of(p)
    around = Neighbourhood(p, grid)
    h = p.start + p.lot * rng.integers(-3, 4, 12)
    legs = np.arange(11)
    moves = Moves(legs, np.round(grid.lots(h))[legs] + 1, np.full(11, 11), rng.integers(-5, 5, 11).astype(float))
    change, beyond = around.change(h, moves), around.excess_after(h, moves, np.zeros(3))
    for k in legs:
        after = h.copy()
        after[k] = p.start[k] + p.lot[k] * moves.to_i[k]
        after[11] = p.start[11] + p.lot[11] * moves.to_j[k]
        assert change[k] == pytest.approx(objective(p, after) - objective(p, h), rel=1e-9, abs=1e-9)
        excess, value = around.points(after[None], np.zeros(3))
        assert value[0] == pytest.approx(objective(p, after))
        assert beyond[k] == pytest.approx(excess[0], abs=1e-8)
        assert (excess[0] > 0) == (row_violations(p, after).max() > 1e-9)


def test_a_finer_leg_that_leaves_its_row_less_room_ends_the_search_and_no_point_comes_twice() -> None:
    """A lot of the coarse leg excuses 5 of delta, one of the fine leg half of it: trading that gains, and breaks."""
    p = Program(
        columns=("coarse", "fine"), start=np.zeros(2), lower=np.full(2, -20.0), upper=np.full(2, 20.0), lot=np.ones(2),
        linear=np.array([-100.0, 0.1]), row_names=("delta",), rows=sp.csr_array([[10.0, 1.0]]),
        row_lower=np.array([-6.0]), row_upper=np.array([-6.0]), diagonal=np.array([100.0, 1e-3]),
    )  # fmt: skip
    around = Neighbourhood(p, Grid.of(p))
    h, moves = np.array([-1.0, 0.0]), 0
    ranks = []
    for _ in range(50):
        ranks.append((around.excess_at(h, around.allowance(np.round(around.grid.lots(h)))), objective(p, h)))
        h, moves = improve(around, h, most=1)
        if not moves:
            break
    assert moves == 0
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize("lot", [1e-7, 1e-3, 1.0, 300.0])
def test_a_search_never_ends_at_a_worse_list_however_fine_the_lots(lot: float) -> None:
    for seed in range(4):
        p = replace(share_program(seed, 30), lot=np.full(30, lot))
        around = Neighbourhood(p, Grid.of(p))
        start = p.start + lot * np.round((solve(p).h - p.start) / lot)
        found, moves = improve(around, start)
        assert around.rank(found) < around.rank(start) or moves == 0


@pytest.mark.parametrize("lots", [100, 10_000, 1_000_000])
def test_lots_of_two_legs_that_only_pay_together_go_a_long_way_in_few_moves(lots: int) -> None:
    """Along a ridge each leg moves by turns: what they do together is made again, however many lots that is."""
    ridge = np.array([[30.0, -30.0], [0.1, 0.1]])
    p = Program(
        columns=("A", "B"), start=np.zeros(2), lower=np.full(2, -1e7), upper=np.full(2, 1e7), lot=np.ones(2),
        factors=ridge, factor_offset=-ridge @ np.full(2, float(lots)),
    )  # fmt: skip
    found, moves = improve(Neighbourhood(p, Grid.of(p)), np.zeros(2))
    assert found == pytest.approx(np.full(2, lots), abs=2)
    assert moves < 500


def test_leg_costs_agree_with_the_program_including_depth() -> None:
    from optihedge.program.program import Depth

    depth = Depth(column=np.array([1, 0, 1]), side=np.array([1, -1, 1]), beyond=np.array([1.0, 0.0, 2.0]),
                  slope=np.array([0.5, 0.2, 1.5]))  # fmt: skip
    p = Program(columns=("A", "B"), start=[0.0, 0.0], lower=[-9, -9], upper=[9, 9], lot=[1.0, 1.0], power=[0.1, 0.0],
                depth=depth)  # fmt: skip
    around = Neighbourhood(p, Grid.of(p))
    for x in np.array([[3.0, 4.0], [-3.0, 1.5], [0.0, -2.0]]):
        assert around.leg_cost(np.arange(2), x) == pytest.approx(p.trading(x))


def example_hedge(folder: Path, **changes: object) -> oh.Hedge:
    """The example's book under a model with vega in a band and the given changes."""
    fields = {"risk": oh.EwmaRisk(halflife=63), "objective": (oh.Variance(aversion=1e-6), oh.SpreadCost()),
              "constraints": (oh.Neutral("vega", band=500),)}  # fmt: skip
    market = oh.read_market(folder)
    return oh.HedgeModel(**(fields | changes)).hedge(market, oh.read_book(folder / "book.csv"))


def whole(hedge: oh.Hedge) -> oh.Hedge:
    rounded = oh.round_to_lots(hedge)
    assert rounded.certificate.status == "rounded"
    assert np.allclose(rounded.trades, rounded.trades.round(), atol=1e-9) and (rounded.trades != 0).any()
    assert abs(rounded.exposures.loc["vega", "after"]) <= 500 * (1 + BAND_TOLERANCE)
    assert -1e-6 * rounded.certificate.scale <= rounded.certificate.gap <= 0.05 * abs(rounded.certificate.primal)
    return rounded


def test_a_volatility_limit_holds_in_whole_lots(example_folder: Path) -> None:
    cheapest = (oh.SpreadCost(), oh.FeeCost())
    limits = (oh.Neutral("vega", band=500), oh.VolatilityLimit(limit=40_000.0))
    rounded = whole(example_hedge(example_folder, objective=cheapest, constraints=limits))
    assert rounded.risk.loc["volatility", "after"] <= 40_000 * (1 + BAND_TOLERANCE)


def test_tails_are_settled_again_for_the_final_lots(example_folder: Path) -> None:
    market = oh.read_market(example_folder)
    pnl = scenario_pnl(market, replay(market, 100))
    rounded = whole(example_hedge(example_folder, objective=(oh.Shortfall(pnl=pnl, weight=0.05), oh.SpreadCost())))
    losses = np.sort(-(pnl[rounded.after.index] @ rounded.after).to_numpy())[::-1]
    worst = losses[: round(len(losses) * (1 - oh.Shortfall(pnl=pnl).confidence))].mean()
    assert rounded.certificate.primal == pytest.approx(0.05 * worst + rounded.costs["spread"], rel=1e-6)


def test_a_users_cone_is_kept_by_the_dive(example_folder: Path) -> None:
    norm = oh.CvxpyTerm(function=lambda h, p: cp.norm(h - p.start, 2) <= 20_000)
    rounded = whole(example_hedge(example_folder, constraints=(oh.Neutral("vega", band=500), norm)))
    assert np.linalg.norm(rounded.trades) <= 20_000 + 1


def test_three_halves_impact_rounds_at_little_cost(example_folder: Path) -> None:
    terms = (oh.Variance(aversion=1e-5), oh.SpreadCost(), oh.ImpactCost(power=1.5))
    rounded = whole(example_hedge(example_folder, objective=terms))
    assert rounded.certificate.gap <= 0.01 * rounded.certificate.primal


def test_a_smallest_notional_drops_smaller_lines(example_folder: Path) -> None:
    rounded = whole(example_hedge(example_folder, lots={"min_notional": 1e6}))
    size = rounded.trades.abs() * rounded.market.notional[rounded.trades.index]
    assert (size[size > 0] >= 1e6).all()
    with pytest.raises(oh.SpecError, match="there is no"):
        oh.round_to_lots(example_hedge(example_folder, lots={"smallest": 5}))


@pytest.mark.parametrize("seed", range(20))
def test_the_first_moves_are_those_of_all_in_order_up_to_one_that_does_not_help(seed):
    rng = np.random.default_rng(seed)
    excess = rng.choice([0.0, 1.0, 2.0], 60, p=[0.2, 0.4, 0.4])
    change = rng.normal(size=60)
    better = (excess < 2) & (change < rng.normal()) | (rng.random(60) < 0.9) & (excess < 1)
    order = np.lexsort((change, excess))
    ends = next((i for i, move in enumerate(order) if not better[move]), len(order))
    assert first_moves(excess, change, better).tolist() == order[: min(ends, 20)].tolist()
