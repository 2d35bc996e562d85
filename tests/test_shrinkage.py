"""Non-linear shrinkage: close to the unreachable optimum, better than linear, scikit-learn's manners."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.utils.estimator_checks import parametrize_with_checks

from optihedge.risk.shrinkage import AnalyticalShrinkage, shrunk_eigenvalues


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


@parametrize_with_checks([AnalyticalShrinkage()])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_is_satisfied(estimator, check):
    check(estimator)
