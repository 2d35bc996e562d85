"""Non-linear shrinkage: close to the unreachable optimum, better than linear, scikit-learn's manners."""

import mpmath
import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance, LedoitWolf
from sklearn.utils.estimator_checks import parametrize_with_checks

from optihedge.errors import DataError
from optihedge.risk.sample import SampleRisk
from optihedge.risk.shrinkage import AnalyticalShrinkage, hilbert_kernel, shrunk_eigenvalues


def sample(rows: int, drivers: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Normal moves, and their true covariance: eigenvalues 1 (20 %), 3 (40 %), 10 (40 %), as in the paper."""
    rng = np.random.default_rng(seed)
    values = np.repeat([1.0, 3.0, 10.0], [drivers // 5, 2 * drivers // 5, drivers - 3 * (drivers // 5)])[:drivers]
    axes = np.linalg.qr(rng.normal(size=(drivers, drivers)))[0]
    truth = (axes * values) @ axes.T
    return rng.normal(size=(rows, drivers)) @ np.linalg.cholesky(truth).T, truth


@pytest.mark.parametrize(("rows", "drivers"), [(600, 200), (250, 200), (100, 300)])
def test_it_comes_close_to_the_best_eigenvalues_for_the_samples_axes(rows, drivers):
    moves, truth = sample(rows, drivers)
    values, axes = np.linalg.eigh(np.cov(moves.T))
    best = np.einsum("di,de,ei->i", axes, truth, axes)
    found = shrunk_eigenvalues(values, rows - 1)
    assert np.linalg.norm(found - best) < 0.15 * np.linalg.norm(best)
    assert np.linalg.norm(found - best) < 0.5 * np.linalg.norm(values - best)


@pytest.mark.parametrize(("rows", "drivers"), [(600, 200), (250, 200), (100, 300)])
def test_it_loses_no_more_than_linear_shrinkage(rows, drivers):
    moves, truth = sample(rows, drivers, seed=1)
    ours, linear = (np.linalg.norm(e.fit(moves).covariance_ - truth) for e in (AnalyticalShrinkage(), LedoitWolf()))
    assert ours < 1.01 * linear


def test_with_many_rows_it_is_the_sample_covariance():
    moves, _ = sample(200_000, 5)
    np.testing.assert_allclose(AnalyticalShrinkage().fit(moves).covariance_, np.cov(moves.T), rtol=0.02, atol=0.05)


def test_the_unit_of_the_moves_does_not_matter():
    moves, _ = sample(100, 20)
    one, other = (AnalyticalShrinkage().fit(scale * moves).covariance_ for scale in (1.0, 1e-4))
    np.testing.assert_allclose(other, 1e-8 * one, rtol=1e-9, atol=1e-18)


def exact_kernel(distance: mpmath.mpf) -> mpmath.mpf:
    """The Hilbert transform of the Epanechnikov kernel, the closed form in the digits of the day."""
    five = mpmath.sqrt(5)
    logarithm = mpmath.log(abs((five - distance) / (five + distance)))
    bump = 3 / (4 * five * mpmath.pi) * (1 - distance**2 / 5) * logarithm
    return -3 * distance / (10 * mpmath.pi) + bump


def exact_shrunk(values: np.ndarray, observations: int) -> list[float]:
    """Equations 4.3, 4.7 and 4.8 of the paper for fewer drivers than rows, a sum at a time."""
    width, share = mpmath.mpf(observations) ** (mpmath.mpf(-1) / 3), mpmath.mpf(len(values)) / observations
    found, known = [], [mpmath.mpf(float(v)) for v in values]
    for value in known:
        apart = [((value - other) / (width * other), width * other) for other in known]
        density = sum(3 / (4 * mpmath.sqrt(5)) * max(1 - d**2 / 5, 0) / scale for d, scale in apart) / len(known)
        hilbert = sum(exact_kernel(d) / scale for d, scale in apart) / len(known)
        real, imaginary = 1 - share - mpmath.pi * share * value * hilbert, mpmath.pi * share * value * density
        found.append(float(value / (real**2 + imaginary**2)))
    return found


def test_the_kernel_agrees_with_60_digits_however_far_out():
    distance = np.concatenate([-np.geomspace(1e-3, 1e12, 200), np.geomspace(1e-3, 1e12, 200), [4.4721, 4.4722]])
    with mpmath.workdps(60):
        exact = [float(exact_kernel(mpmath.mpf(float(d)))) for d in distance]
    np.testing.assert_allclose(hilbert_kernel(distance), exact, rtol=1e-12)


@pytest.mark.parametrize("drivers", [10, 28, 30])
def test_eigenvalues_eleven_decades_apart_are_shrunk_as_60_digits_say(drivers):
    values = np.sort(np.geomspace(1e-11, 1.0, drivers) * np.random.default_rng(drivers).uniform(0.5, 2.0, drivers))
    with mpmath.workdps(60):
        np.testing.assert_allclose(shrunk_eigenvalues(values, 30), exact_shrunk(values, 30), rtol=1e-8)


@pytest.mark.parametrize("drivers", [60, 118, 119, 120, 121, 180])
def test_total_variance_is_kept_with_about_as_many_drivers_as_rows(drivers):
    rng = np.random.default_rng(drivers)
    moves = rng.normal(size=(120, 1)) * 0.01 + rng.normal(size=(120, drivers)) * rng.uniform(0.008, 0.03, drivers)
    found, equal = AnalyticalShrinkage().fit(moves).covariance_, np.full(drivers, 1 / drivers)
    assert np.trace(found) == pytest.approx(moves.var(axis=0).sum(), rel=0.1)
    assert equal @ found @ equal == pytest.approx((moves @ equal).var(), rel=0.2)
    assert np.linalg.eigvalsh(found)[0] > 0


class Shrunken(EmpiricalCovariance):
    """An estimator whose arithmetic failed."""

    def fit(self, X: np.ndarray, y: object = None) -> "Shrunken":
        super().fit(X)
        self.covariance_ = self.covariance_ * 1e-4
        return self


def test_a_covariance_of_another_size_than_the_moves_is_refused_by_name():
    with pytest.raises(DataError, match="Shrunken says a total variance"):
        SampleRisk(Shrunken()).fit(sample(100, 5)[0])


@parametrize_with_checks([AnalyticalShrinkage()])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_is_satisfied(estimator, check):
    check(estimator)
