"""Boxes between lots, least sizes, odd positions, forced trades, sign flips: the right list, or an error that names."""

from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
from lot_choices import by_enumeration, every_list

from optihedge.errors import InfeasibleError
from optihedge.program.chain import solve as certified
from optihedge.program.duality import scale_of
from optihedge.program.lots.grid import Grid, _reached
from optihedge.program.lots.rounding import round_program
from optihedge.program.program import Program, objective
from optihedge.program.status import Status
from optihedge.program.volatility import VolatilityPrice


def box(rng: np.random.Generator, start: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Around the start; or it must be bought, or sold, or may not be sold; or longs end short."""
    kind, lower, upper = rng.integers(0, 5), start - size, start + size
    if kind == 1:
        return np.minimum(start + 0.4 * size, upper), upper
    if kind == 2:
        return lower, np.maximum(start - 0.4 * size, lower)
    if kind == 3:
        return start.copy(), upper
    if kind == 4:
        return np.where(start > 0, -size, np.minimum(lower, 0.0)), np.maximum(upper, 0.0)
    return lower, upper


def hostile(seed: int) -> tuple[Program, np.ndarray]:
    """One to four legs of lots that may be larger than their box, from positions that may be no whole lots."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    lot = rng.choice([0.1, 1.0, 7.0, 1e6], n) if rng.random() < 0.5 else np.ones(n)
    start = rng.choice([0.0, 0.3, -2.5, 3.0], n)
    lower, upper = box(rng, start, rng.choice([1.0, 3.0, 4.0], n) * np.minimum(lot, 1e3))
    root, offset = rng.normal(size=(2, n)) / lot, 4 * rng.normal(size=2)
    risk = {"factors": root, "factor_offset": offset}
    if rng.random() < 0.3:
        none = {"specifics": sp.csr_array((0, n)), "specific_offset": np.zeros(0), "diagonal": np.zeros(n)}
        risk = {"volatility_price": VolatilityPrice(name="v", price=rng.choice([0.1, 1.0, 5.0]), **risk, **none)}
    rows = rng.normal(size=(2, n)) * (rng.random((2, n)) < 0.8) / lot
    centre = rows @ np.clip(start + rng.normal(size=n) * lot, lower, upper)
    half = rng.choice([0.0, 0.01, 1.0, 1e6]) * np.abs(rows * lot).max(axis=1) / 2
    spread = rng.choice([0.0, 0.1, 2.0]) * rng.uniform(0.5, 1.0, n) / lot
    p = Program(
        columns=tuple(f"leg{i}" for i in range(n)), start=start, lower=lower, upper=upper, lot=lot, buy=spread,
        sell=spread / 2, row_names=("delta", "vega"), rows=sp.csr_array(rows), row_lower=centre - half,
        row_upper=centre + half, **risk,
    )  # fmt: skip
    return p, lot * rng.choice([0.0, 2.0, 5.0, 100.0], n) * (rng.random() < 0.5)


def check(seed: int) -> None:
    p, smallest = hostile(seed)
    continuous = certified(p)
    if continuous.certificate.status is not Status.OPTIMAL:
        return
    try:
        found = round_program(p, continuous.h, lambda q: certified(q).candidate, smallest=smallest)
    except InfeasibleError as error:
        assert not len(every_list(p, smallest)) and "leg" in str(error) and "widen" in str(error)
        return
    grid = Grid.of(p, smallest)
    assert grid.permitted(grid.lots(found.h))[grid.lumpy].all()
    assert (found.h >= p.lower - 1e-7 * p.lot).all() and (found.h <= p.upper + 1e-7 * p.lot).all()
    if len(every_list(p, smallest)):
        best, _ = by_enumeration(p, smallest)
        assert found.objective == pytest.approx(objective(p, found.h))
        assert found.objective == pytest.approx(best, abs=1e-6 * max(abs(best), scale_of(p, continuous.h)))


@pytest.mark.parametrize("seed", range(60))
def test_a_hostile_desk_gets_what_enumeration_finds_or_an_error_that_names_the_leg(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_four_hundred_more_hostile_desks_get_what_enumeration_finds(seed: int) -> None:
    check(seed)


def test_the_reach_of_a_leg_ends_at_its_first_and_last_permitted_trade() -> None:
    for low, high, least in product(range(-5, 6), range(-5, 6), (1, 2, 3, 4, 9)):
        lots = [k for k in range(low, high + 1) if k == 0 or abs(k) >= least] or [low, high]
        first, last = _reached(*(np.array([float(one)]) for one in (low, high, least)))
        assert (first[0], last[0]) == (lots[0], lots[-1])
