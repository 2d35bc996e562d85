"""A column's own minimiser is the least of its function, whatever its kinks."""

import numpy as np
import pytest

from optihedge.program.costs import Depth
from optihedge.program.program import Program
from optihedge.program.structured.prox import cost, costlier, minimiser, response
from optihedge.program.structured.standard_form import StandardForm, standard_form

N = 200


def columns(seed: int) -> Program:
    r = np.random.default_rng(seed)
    start = r.normal(size=N)
    count = 3 * N
    depth = Depth(column=r.integers(0, N, count), side=r.choice([-1, 1], count), beyond=r.uniform(0, 1, count),
                  slope=r.uniform(0, 1, count))  # fmt: skip
    return Program(
        columns=tuple(f"c{i}" for i in range(N)), start=start, lower=start - r.uniform(0.1, 3, N),
        upper=start + r.uniform(0.1, 3, N), diagonal=r.exponential(1, N) * (r.random(N) < 0.7),
        linear=r.normal(0, 2, N), buy=r.uniform(0, 1, N), sell=r.uniform(0, 1, N),
        quadratic=r.exponential(0.3, N) * (r.random(N) < 0.5), power=r.exponential(1, N) * (r.random(N) < 0.5),
        long=r.uniform(0, 0.5, N), short=r.uniform(0, 0.5, N), depth=depth,
    )  # fmt: skip


def best(form: StandardForm) -> np.ndarray:
    return minimiser(form, form.slope, form.hinges.slope, form.curvature)


def value(p: Program, h: np.ndarray) -> np.ndarray:
    return p.linear * h + 0.5 * p.diagonal * h**2 + p.trading(h - p.start) + p.holding(h)


@pytest.mark.parametrize("seed", range(5))
def test_no_point_of_a_fine_grid_is_better(seed):
    p = columns(seed)
    form = standard_form(p)
    least = value(p, form.quantities(best(form)))
    for share in np.linspace(0, 1, 1001):
        assert (least <= value(p, p.lower + share * (p.upper - p.lower)) + 1e-12).all()


def test_the_cost_differs_from_the_programs_by_a_constant_of_each_column():
    p = columns(7)
    form = standard_form(p)
    one, two = form.lower, 0.3 * form.lower + 0.7 * form.upper
    slopes = form.slope, form.hinges.slope, form.curvature
    for i in range(len(one)):
        moved = np.where(np.arange(len(one)) == i, two, one)
        ours = cost(form, moved, *slopes, form.open_hinges(moved)) - cost(form, one, *slopes, form.open_hinges(one))
        theirs = (value(p, form.quantities(moved)) - value(p, form.quantities(one))).sum()
        assert ours * form.value_scale == pytest.approx(theirs, abs=1e-12)
        assert costlier(form, moved, one, *slopes, form.open_hinges(moved)) == pytest.approx(ours, abs=1e-12)


def test_soft_threshold_is_exact_at_the_kink():
    p = Program(columns=("a", "b", "c"), start=[2.0, 2.0, 2.0], lower=[-9.0] * 3, upper=[9.0] * 3,
                diagonal=[1.0] * 3, linear=[-1.5, -2.5, -4.0], buy=[1.0] * 3, sell=[1.0] * 3)  # fmt: skip
    form = standard_form(p)
    np.testing.assert_array_equal(form.quantities(best(form)), [2.0, 2.0, 3.0])  # |slope at the start| against the cost


def test_three_half_power_has_its_closed_form():
    p = Program(columns=("a",), start=[0.0], lower=[-9.0], upper=[9.0], linear=[-3.0], power=[1.0])
    form = standard_form(p)
    np.testing.assert_allclose(form.quantities(best(form)), [4.0], rtol=1e-14)  # 1.5 sqrt(x) = 3


def test_the_response_is_the_slope_of_the_minimiser():
    p = columns(3)
    form = standard_form(p)
    step = 1e-6
    moved = [minimiser(form, form.slope + d, form.hinges.slope, form.curvature) for d in (-step, step)]
    got = response(form, best(form), form.hinges.slope, form.curvature)
    slopes = (moved[0] - moved[1]) / (2 * step)
    same = np.isclose(got, slopes, rtol=1e-4, atol=1e-6)
    assert same[form.curvature > 0.05].mean() > 0.97  # a few columns lie within a step of a kink
