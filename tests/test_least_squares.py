"""What smiles are fitted with: least squares in a box, and cubic splines, against SciPy's."""

import numpy as np
import pytest
from scipy.interpolate import BSpline
from scipy.optimize import least_squares

from optihedge.market.least_squares import box_least_squares
from optihedge.market.splines import cubic_splines


@pytest.mark.parametrize("seed", range(20))
def test_a_fit_of_curved_residuals_is_as_good_as_scipys(seed: int) -> None:
    """Sums of exponentials, whose rates and shares are in a narrow bent valley, some of them bound."""
    rng = np.random.default_rng(seed)
    at = np.linspace(0.0, 3.0, 25)
    low, high = np.array([0.1, 0.1, 0.1, 1.0]), np.array([2.0, 1.5 + seed % 3, 2.0, 4.0])

    def decay(p: np.ndarray) -> np.ndarray:
        first, fast, second, slow = np.moveaxis(p, -1, 0)[..., None]
        return first * np.exp(-fast * at) + second * np.exp(-slow * at)

    told = decay(rng.uniform(low, [2.0, 4.0, 2.0, 4.0])) + 0.01 * rng.normal(size=25)

    def residuals(p: np.ndarray) -> np.ndarray:
        return decay(p) - told

    start = (low + high) / 2
    ours = box_least_squares(residuals, start, low, high)
    theirs = least_squares(residuals, start, bounds=(low, high), xtol=1e-12, ftol=1e-12, gtol=1e-12, max_nfev=5000).x
    assert (ours >= low).all() and (ours <= high).all()
    assert np.square(residuals(ours)).sum() <= np.square(residuals(theirs)).sum() * (1 + 1e-4)


def test_a_fit_that_starts_at_its_answer_stays_there() -> None:
    def residuals(p: np.ndarray) -> np.ndarray:
        return np.stack([10 * (p[:, 1] - p[:, 0] ** 2), 1 - p[:, 0]], axis=1)  # Rosenbrock's

    low, high = np.array([-2.0, -2.0]), np.array([2.0, 2.0])
    found = box_least_squares(residuals, np.array([-1.2, 1.0]), low, high)
    assert np.allclose(found, 1.0, atol=1e-6)
    assert np.allclose(box_least_squares(residuals, np.ones(2), low, high), 1.0, atol=1e-12)


def test_cubic_splines_and_their_derivatives_are_scipys_and_vanish_at_both_ends() -> None:
    rng = np.random.default_rng(2)
    knots, weights, none = np.sort(rng.normal(size=12)), rng.normal(size=8), np.zeros(3)
    x = np.concatenate([np.linspace(knots[0] - 1, knots[-1] + 1, 301), knots])
    padded = np.concatenate([none + knots[0], knots, none + knots[-1]])
    spline = BSpline(padded, np.concatenate([none, weights, none]), 3)
    which, parts = cubic_splines(knots, x)
    inside = (x >= knots[0]) & (x <= knots[-1])
    for order, part in enumerate(parts):
        ours = (part * np.concatenate([none, weights, none])[which + 3]).sum(axis=1)
        assert np.allclose(ours, np.where(inside, spline(np.clip(x, knots[0], knots[-1]), order), 0.0), atol=1e-9)
