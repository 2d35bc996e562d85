"""Combined iterated EWMAs: the published problem's optimum, chunks equal to the whole."""

from itertools import pairwise

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from optihedge.errors import DataError, SpecError
from optihedge.risk.combined import CombinedEwmaRisk, likeliest_weights, precision_factors
from optihedge.risk.ewma import EwmaRisk

ONLINE = 1e-12  # relative, between chunks and the whole
PAIRS = ((5, 10), (10, 21), (21, 63), (63, 125))


def some_moves(rows: int = 200, columns: int = 6, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = 0.01 * rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns))
    values *= np.exp(np.cumsum(0.05 * rng.normal(size=rows)))[:, None]
    return pd.DataFrame(values, columns=[f"D{i}" for i in range(columns)])


def test_one_expert_is_the_iterated_ewma():
    moves = some_moves()
    one = CombinedEwmaRisk(((10, 40),)).fit(moves).risk_.covariance()
    np.testing.assert_allclose(one, EwmaRisk(10, 40).fit(moves).risk_.covariance(), rtol=1e-10)


def test_a_precision_factor_is_lower_triangular_and_squares_to_the_inverse():
    rng = np.random.default_rng(1)
    products = np.cov(rng.normal(size=(5, 50)))
    volatility = rng.uniform(0.5, 2.0, 5)
    factor = precision_factors(products, volatility)
    scale = volatility / np.sqrt(np.diag(products))
    np.testing.assert_allclose(factor @ factor.T, np.linalg.inv(products * np.outer(scale, scale)), rtol=1e-10)
    assert np.abs(np.triu(factor, 1)).max() == 0


@pytest.mark.parametrize("seed", range(6))
def test_the_weights_are_the_optimum_of_the_published_problem(seed):
    rng = np.random.default_rng(seed)
    diagonals = rng.uniform(0.5, 2.0, size=(10, 4, 6)) * rng.uniform(0.8, 1.2, size=(1, 4, 1))
    projected = rng.normal(size=(10, 4, 6))
    found = likeliest_weights(diagonals, projected)
    weights = cp.Variable(4)
    likelihood = sum(
        cp.sum(cp.log(diagonals[t].T @ weights)) - 0.5 * cp.sum_squares(projected[t].T @ weights) for t in range(10)
    )
    problem = cp.Problem(cp.Maximize(likelihood), [weights >= 0, cp.sum(weights) == 1])
    problem.solve(solver="CLARABEL")
    ours = sum(np.log(diagonals[t].T @ found).sum() - 0.5 * np.sum((projected[t].T @ found) ** 2) for t in range(10))
    assert ours == pytest.approx(problem.value, abs=1e-6)
    np.testing.assert_allclose(found, weights.value, atol=1e-4)


@pytest.mark.parametrize("cuts", [(30,), (20, 21, 22, 150), (100, 195)])
def test_chunks_equal_the_whole(cuts):
    moves = some_moves()
    online = CombinedEwmaRisk(PAIRS)
    for start, stop in pairwise([0, *cuts, len(moves)]):
        online.partial_fit(moves.iloc[start:stop])
    whole = CombinedEwmaRisk(PAIRS).fit(moves)
    covariance = whole.risk_.covariance()
    atol = ONLINE * np.abs(covariance).max().max()
    np.testing.assert_allclose(online.risk_.covariance(), covariance, rtol=1e-9, atol=atol)


def test_the_path_is_what_fitting_again_every_row_gives():
    moves, estimator = some_moves(), CombinedEwmaRisk(PAIRS)
    path = estimator.path(moves, 100)
    assert len(path) == 100
    for row in (100, 163, 164, 199):
        expected = clone(estimator).fit(moves.iloc[: row + 1]).risk_.covariance()
        np.testing.assert_allclose(path[row - 100], expected, rtol=1e-9, atol=1e-12 * path[-1].max())


def test_after_a_burst_the_fast_expert_is_believed():
    moves = pd.DataFrame(np.random.default_rng(2).normal(size=(400, 6)))
    estimator = CombinedEwmaRisk(((5, 21), (250, 500)))
    calm = estimator.fit(moves).weights_["5/21"]
    moves.iloc[-12:] *= 5
    assert estimator.fit(moves).weights_["5/21"] > calm + 0.3


@pytest.mark.parametrize(
    ("fit", "error", "message"),
    [
        (lambda m: CombinedEwmaRisk().fit(m.iloc[:6]), DataError, "6 rows for 6 drivers"),
        (lambda m: CombinedEwmaRisk().fit(m.assign(D2=0.0)), DataError, "driver D2 never moves"),
        (lambda m: CombinedEwmaRisk(clip=1e9).fit(m.assign(D2=m["D1"])), DataError, "exact combination"),
        (lambda m: CombinedEwmaRisk(((10, -1),)).fit(m), SpecError, "positive half-lives"),
        (lambda m: CombinedEwmaRisk(lookback=0).fit(m), SpecError, "lookback"),
    ],
)
def test_wrong_input_is_named(fit, error, message):
    with pytest.raises(error, match=message):
        fit(some_moves())
