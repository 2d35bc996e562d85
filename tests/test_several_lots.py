"""Several lists at once: the likeliest that the neighbours of each leg lead to, each a start of the search."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp

from optihedge.program.aversion import at_answer
from optihedge.program.chain import solve as certified
from optihedge.program.lots.grid import Grid
from optihedge.program.lots.local_search import improve
from optihedge.program.lots.neighbourhood import Neighbourhood
from optihedge.program.lots.rounding import Rounding, round_program
from optihedge.program.lots.successive import several, successive
from optihedge.program.program import Program, objective, row_violations
from optihedge.program.volatility import VolatilityPrice


def free(seed: int, n: int) -> tuple[Program, np.ndarray]:
    """Risk alone, in boxes that do not bind; and its optimum by least squares."""
    rng = np.random.default_rng(seed)
    root, offset = rng.normal(size=(n + 2, n)), 9 * rng.normal(size=n + 2)
    p = Program(columns=tuple(f"leg{i}" for i in range(n)), start=np.zeros(n), lower=np.full(n, -90.0),
                upper=np.full(n, 90.0), lot=np.ones(n), factors=root, factor_offset=offset)  # fmt: skip
    return p, np.linalg.lstsq(root, -offset)[0]


def desk(seed: int, priced: bool) -> Program:
    """Twelve or twenty coarse legs, spreads, a band narrower than most lots; under an aversion or a price of risk."""
    rng = np.random.default_rng(seed)
    n = 12 if seed % 2 else 20
    each, rows = 10.0 ** rng.uniform(-0.7, 0.7, n), rng.normal(size=(1, n))
    root, offset = rng.normal(size=(4, n)) * each, 6 * rng.normal(size=4)
    spread, own = each * 10.0 ** rng.uniform(-2.5, -0.5, n), 0.05 * each
    vol = {"factors": root, "factor_offset": offset}
    risk = {
        True: {"volatility_price": VolatilityPrice(
            name="v", price=0.5, specifics=sp.csr_array((0, n)), specific_offset=np.zeros(0), diagonal=own**2, **vol
        )},
        False: vol | {"diagonal": own**2},
    }[priced]  # fmt: skip
    return Program(
        columns=tuple(f"leg{i}" for i in range(n)), start=np.zeros(n), lower=np.full(n, -12.0), upper=np.full(n, 12.0),
        lot=np.ones(n), buy=spread, sell=spread, row_names=("delta",), rows=sp.csr_array(rows), row_lower=[-0.3],
        row_upper=[0.3], **risk,
    )  # fmt: skip


def whole(p: Program) -> tuple[Rounding, np.ndarray, np.ndarray]:
    """Its lots, optimum and multipliers."""
    optimum = certified(p)
    found = round_program(p, optimum.h, lambda q: certified(q).candidate, multipliers=optimum.multipliers)
    return found, optimum.h, optimum.multipliers


@pytest.mark.parametrize("seed", range(6))
def test_where_nothing_binds_several_lists_come_in_the_order_of_what_they_are_worth(seed: int) -> None:
    p, h = free(seed, 6)
    lists = several(Neighbourhood(p, Grid.of(p)), h, np.zeros(0), 3**6)
    assert len(np.unique(lists, axis=0)) == len(lists) == 3**6
    values = [objective(p, one) for one in lists]
    assert values == sorted(values) or np.diff(values).min() > -1e-9 * values[0]
    nearby = (np.round(h) + np.array(step) for step in product((-1.0, 0.0, 1.0), repeat=6))
    assert values[0] <= min(objective(p, one) for one in nearby) * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_one_of_several_is_the_list_of_successive_rounding(seed: int) -> None:
    p, h = free(seed, 15)
    around = Neighbourhood(p, Grid.of(p))
    assert (several(around, h, np.zeros(0), 1)[0] == successive(around, h, None)).all()


@pytest.mark.parametrize("seed", range(12))
def test_every_one_of_several_is_permitted_and_no_two_are_equal(seed: int) -> None:
    p = desk(seed, priced=False)
    optimum, smallest = certified(p), np.where(np.arange(len(p.lot)) % 3 == 0, 3.0, 0.0)
    p = replace(p, lower=np.where(np.arange(len(p.lot)) % 5 == 0, 0.0, p.lower))
    grid = Grid.of(p, smallest)
    lists = several(Neighbourhood(p, grid), np.clip(optimum.h, p.lower, p.upper), optimum.multipliers, 32)
    assert len(np.unique(lists, axis=0)) == len(lists) == 32
    assert grid.permitted(grid.lots(lists)).all()


@pytest.mark.parametrize("priced", [False, True], ids=["aversion", "price"])
@pytest.mark.parametrize("seed", range(12))
def test_dear_lots_are_no_worse_than_the_likeliest_of_several_improved(seed: int, priced: bool) -> None:
    p = desk(seed, priced)
    found, h, multipliers = whole(p)
    assert found.broken.empty and found.gap > 0.01 * abs(found.bound)
    touch = at_answer(p, h)
    around, rank = Neighbourhood(touch, Grid.of(p)), Neighbourhood(p, Grid.of(p)).excess_of
    lists = several(around, np.clip(h, p.lower, p.upper), multipliers, 32)
    values = np.array([objective(p, one) for one in lists])
    for first in np.lexsort((values, rank(lists)))[:4]:
        other, _ = improve(Neighbourhood(at_answer(p, lists[first]), Grid.of(p)), lists[first])
        if rank(other[None])[0] == 0:
            assert found.objective <= objective(p, other) + 1e-9 * abs(found.objective)
    assert row_violations(p, found.h).max() <= found.rows["allowed"].max() + 1e-9
