"""SVI slices: accepted free of arbitrage, refused where they are not, fitted."""

import numpy as np
import pytest

from optihedge.errors import DataError
from optihedge.market.surface import svi_surface
from optihedge.market.svi import SviSlice, butterfly, fit_svi

SKEWED = SviSlice(a=0.01, b=0.06, rho=-0.5, m=0.02, sigma=0.12)
LATER = SviSlice(a=0.02, b=0.07, rho=-0.45, m=0.02, sigma=0.15)


def test_a_published_svi_slice_with_butterfly_arbitrage_is_refused_where_it_fails() -> None:
    """Axel Vogt's parameters, Gatheral and Jacquier 2014, section 3.1: the density is negative near x = 0.8."""
    vogt = SviSlice(a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153)
    with pytest.raises(DataError, match=r"butterfly arbitrage: g = -0\.\d+ at log-moneyness (0\.[789]|1\.0)"):
        svi_surface([vogt], [1.0], [100.0], [1.0])


def test_a_slice_whose_bend_is_far_narrower_than_a_strike_is_refused_for_its_arbitrage() -> None:
    narrow = SviSlice(a=3.288e-07, b=2.0934e-3, rho=-0.0458, m=2.06e-5, sigma=2.0e-5)
    x = narrow.m + narrow.sigma * np.linspace(-40, 40, 8001)
    assert butterfly(x, *narrow.derivatives(x)).min() < -0.1
    with pytest.raises(DataError, match="butterfly arbitrage"):
        svi_surface([narrow], [1 / 8760], [100.0], [1.0])


def test_slices_that_are_accepted_have_a_density_everywhere() -> None:
    """Random slices of every scale: g on a grid in their own units is not negative where none was refused."""
    rng = np.random.default_rng(1)
    accepted = 0
    for _ in range(300):
        scale = np.exp(rng.uniform(np.log(1e-3), np.log(0.5)))
        b, rho, sigma = scale * 10 ** rng.uniform(-2, 0.3), rng.uniform(-0.95, 0.95), scale * 10 ** rng.uniform(-2, 1)
        a = scale**2 * rng.uniform(0.2, 1.5) - b * sigma * np.sqrt(1 - rho**2) * rng.uniform()
        try:
            slice_ = SviSlice(a, b, rho, scale * rng.normal(), sigma)
            svi_surface([slice_], [0.1], [100.0], [1.0])
        except DataError:
            continue
        accepted += 1
        for x in (scale * np.linspace(-12, 12, 4001), slice_.m + sigma * np.linspace(-20, 20, 4001)):
            assert butterfly(x, *slice_.derivatives(x)).min() >= 0
    assert accepted > 150


def test_a_surface_of_given_slices_names_what_is_not_a_market() -> None:
    for arguments, message in (
        (([SKEWED], [0.25], [-100.0], [1.0]), "forward is -100"),
        (([SKEWED], [0.25], [np.nan], [1.0]), "forward is nan"),
        (([SKEWED], [0.25], [100.0], [0.0]), "discount is 0"),
        (([SKEWED], [-0.25], [100.0], [1.0]), "years is -0.25"),
        (([SKEWED], [0.25, 0.5], [100.0], [1.0]), "2 years for 1 slices; give one per slice"),
        (([SKEWED, LATER], [0.25, 0.5], [100.0], [1, 1]), "1 forwards for 2 slices"),
        (([SviSlice(0.0, 0.0, 0.0, 0.0, 0.1)], [0.25], [100.0], [1.0]), "butterfly arbitrage"),
    ):
        with pytest.raises(DataError, match=message):
            svi_surface(*arguments)


def test_slices_that_cross_are_refused_where_they_do() -> None:
    with pytest.raises(
        DataError, match=r"SVI slice at 0\.5 years has calendar arbitrage: its total variance .* lies below"
    ):
        svi_surface([LATER, SKEWED], [0.25, 0.5], [100, 100], [1, 1])
    assert len(svi_surface([SKEWED, LATER], [0.25, 0.5], [100, 100], [1, 1]).slices) == 2


def test_parameters_that_are_no_variance_are_refused() -> None:
    with pytest.raises(DataError, match="lowest variance >= 0"):
        SviSlice(a=-0.1, b=0.1, rho=0.0, m=0.0, sigma=0.1)
    with pytest.raises(DataError, match="finite numbers"):
        SviSlice(a=0.1, b=0.1, rho=0.0, m=np.nan, sigma=0.1)


def test_svis_derivatives_and_g_are_those_of_its_variance() -> None:
    x, h = np.linspace(-1, 1, 21), 1e-4
    w, first, second = SKEWED.derivatives(x)
    up, down = SKEWED.variance(x + h), SKEWED.variance(x - h)
    assert np.allclose(first, (up - down) / (2 * h), atol=1e-7)
    assert np.allclose(second, (up - 2 * w + down) / h**2, atol=1e-6)
    assert np.allclose(butterfly(x, np.full(21, 0.04), 0.0, 0.0), 1.0)  # a flat smile


def test_fitting_svi_to_itself_finds_its_variance() -> None:
    x = np.linspace(-0.5, 0.4, 30)
    assert np.allclose(fit_svi(x, SKEWED.variance(x), np.ones(30)).variance(x), SKEWED.variance(x), rtol=5e-3)
