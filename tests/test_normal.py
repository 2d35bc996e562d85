"""The table of the normal distribution function, against mpmath's and its own limits."""

import mpmath
import numpy as np

from optihedge.market.normal import normal_cdf


def test_the_table_is_the_normal_distribution_function_to_1e_15():
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(0, 3, 2_000), rng.uniform(-9, 9, 2_000), np.arange(-9, 9, 1 / 64)])
    exact = [float(mpmath.ncdf(value)) for value in z]
    np.testing.assert_allclose(normal_cdf(z.copy()), exact, rtol=0, atol=1e-15)


def test_far_values_are_zero_and_one_and_a_gap_stays_a_gap():
    far = np.append(np.geomspace(10, 1e305, 1_000), np.inf)
    np.testing.assert_allclose(normal_cdf(far.copy()), 1.0, rtol=0, atol=1e-15)
    np.testing.assert_allclose(normal_cdf(-far), 0.0, rtol=0, atol=1e-16)
    assert np.isnan(normal_cdf(np.array([np.nan]))).all()


def test_the_shape_is_kept():
    assert normal_cdf(np.zeros((2, 3, 4))).shape == (2, 3, 4)
    assert normal_cdf(np.zeros((2, 0))).shape == (2, 0)
