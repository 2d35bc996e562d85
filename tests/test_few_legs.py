"""The integer program over lots: its money is counted in sizes its solver can tell apart."""

import numpy as np
import pytest
from test_lots import every_choice, small_program

from optihedge.program.lots.few_legs import best_far_away, ranked
from optihedge.program.lots.grid import Grid
from optihedge.program.lots.local_search import Neighbourhood
from optihedge.program.program import objective


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 7])
def test_a_centre_dearer_than_the_answer_still_finds_the_best_lots_and_prints_nothing(seed: int, capfd) -> None:
    p = small_program(seed, 3)
    around = Neighbourhood(p, Grid.of(p, None))
    points, met = every_choice(p)
    values = np.array([objective(p, q) for q in points])
    centre = points[np.argmax(values)]  # far dearer than any answer
    begin = points[met][np.argsort(values[met])[met.sum() // 2]]
    found = best_far_away(around, centre, begin)
    best = values[met].min()
    assert ranked(around, found)[0] == 0
    assert objective(p, found) - best <= 0.01 * (values[met].max() - best)
    assert capfd.readouterr().out == ""
