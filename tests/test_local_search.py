"""The local search over lots: where it ends nothing nearby is better, and what was searched is not searched again."""

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp

from optihedge.program.lots.grid import Grid
from optihedge.program.lots.local_search import GAIN, improve
from optihedge.program.lots.neighbourhood import Neighbourhood
from optihedge.program.program import Program, objective

LEGS = 16


def desk(seed: int, width: float) -> tuple[Neighbourhood, np.ndarray]:
    """Sixteen legs of lots a hundredfold apart between two bands, some with a least size; and a list to begin with."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(2, LEGS)) * (rng.random((2, LEGS)) < 0.7)
    lot = 10.0 ** rng.uniform(-1, 1, LEGS)
    start = lot * rng.integers(-3, 4, LEGS)
    spread = rng.uniform(0.01, 0.3, LEGS)
    p = Program(
        columns=tuple(f"leg{i}" for i in range(LEGS)), start=start, lower=start - 9 * lot, upper=start + 9 * lot,
        lot=lot, factors=rng.normal(size=(3, LEGS)), factor_offset=6 * rng.normal(size=3),
        diagonal=rng.uniform(0.01, 0.2, LEGS), buy=spread, sell=spread, row_names=("delta", "vega"),
        rows=sp.csr_array(rows), row_lower=rows @ start - width, row_upper=rows @ start + width,
    )  # fmt: skip
    smallest = np.where(rng.random(LEGS) < 0.3, 2 * lot, 0.0)
    grid = Grid.of(p, smallest)
    return Neighbourhood(p, grid), start + lot * grid.nearest(rng.integers(-4, 5, LEGS).astype(float))


def singles(around: Neighbourhood, h: np.ndarray) -> list[tuple[int, float]]:
    """A lot more, a lot less, and none, of every leg."""
    grid, lots = around.grid, np.round(around.grid.lots(h))
    steps = np.vstack([grid.neighbours(lots), 0 * lots])
    return [(leg, float(to[leg])) for to in steps for leg in range(LEGS) if to[leg] != lots[leg]]


def mended(around: Neighbourhood, h: np.ndarray, move: tuple[int, float]) -> list[list[tuple[int, float]]]:
    """A single move, with what the finest traded leg of each row, or the finest of all, must do to bring it back."""
    grid, p, found = around.grid, around.program, []
    lots, (i, to) = np.round(grid.lots(h)), move
    for row in range(len(p.row_names)):
        value = p.rows[[row]].toarray()[0] @ h + around.rows[row, i] * grid.lot[i] * (to - lots[i])
        out = np.clip(value, p.row_lower[row], p.row_upper[row]) - value
        for among in (lots != 0, lots == lots):
            leg = int(np.where(among & (around.exposure[row] > 0), around.exposure[row], np.inf).argmin())
            wanted = grid.nearest(lots + out / np.where(around.rows[row] == 0, np.inf, around.rows[row] * grid.lot))
            found += [[move, (leg, float(wanted[leg]))]] if leg != i and around.exposure[row, leg] > 0 else []
    return found


@pytest.mark.parametrize("width", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(8))
def test_where_the_search_ends_no_lot_and_no_two_lots_are_better(seed: int, width: float) -> None:
    around, begin = desk(seed, width)
    grid, p = around.grid, around.program
    found, _ = improve(around, begin)
    assert around.rank(found) <= around.rank(begin)
    room, best = around.allowance(np.round(grid.lots(found))), around.rank(found)
    moves = [[one] for one in singles(around, found)]
    moves += [[one, other] for (one,), (other,) in combinations(moves, 2) if one[0] != other[0]]
    moves += [two for one in singles(around, found) for two in mended(around, found, one)]
    for move in moves:
        h = found.copy()
        for leg, to in move:
            h[leg] = grid.start[leg] + grid.lot[leg] * to
        excess = max(around.excess_at(h, room), around.rank(h)[0])  # by the room before, and by what is left
        saved = objective(p, found) - objective(p, h)
        assert excess > best[0] - 1e-8 and not (excess <= best[0] and saved > 2 * GAIN * abs(objective(p, begin)))


@pytest.mark.parametrize("seed", range(8))
def test_a_search_ends_at_once_at_a_list_that_an_earlier_one_came_by(seed: int) -> None:
    around, begin = desk(seed, 1.0)
    been: set[bytes] = set()
    found, moves = improve(around, begin, been=been)
    assert (found == improve(around, begin)[0]).all()
    for most in range(moves):  # each list on the way
        passed, _ = improve(around, begin, most)
        again, more = improve(around, passed, been=been)
        assert more == 0 and (again == passed).all()
    assert len(been) >= moves
