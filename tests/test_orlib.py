"""Published mean-variance frontiers (Chang, Meade, Beasley and Sharaiha 2000; OR-Library) are met to 1e-6."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import cholesky

from optihedge.program.chain import solve
from optihedge.program.program import Program

VARIANCE = 1e-6  # relative; the files round correlations to six decimals


@cache
def _set(folder: Path, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean returns N, covariance N x N, and 2 000 frontier points (mean return, variance)."""
    numbers = np.array((folder / f"port{number}.txt").read_text(encoding="ascii").split(), dtype=float)
    n = int(numbers[0])
    mean, deviation = numbers[1 : 1 + 2 * n].reshape(n, 2).T
    pairs = numbers[1 + 2 * n :].reshape(-1, 3)
    correlation = np.zeros((n, n))
    i, j = pairs[:, 0].astype(int) - 1, pairs[:, 1].astype(int) - 1
    correlation[i, j] = correlation[j, i] = pairs[:, 2]
    frontier = np.array((folder / f"portef{number}.txt").read_text(encoding="ascii").split(), dtype=float)
    return mean, correlation * np.outer(deviation, deviation), frontier.reshape(-1, 2)


def _least_variance(mean: np.ndarray, covariance: np.ndarray, target: float, solver: str) -> float:
    """Variance of the fully invested long-only portfolio of the given mean return."""
    n = len(mean)
    program = Program(
        columns=tuple(f"s{i}" for i in range(n)), start=np.zeros(n), lower=np.zeros(n), upper=np.ones(n),
        lot=np.full(n, 1e-6), factors=cholesky(covariance), row_names=("invested", "mean return"),
        rows=np.vstack([np.ones(n), mean]), row_lower=[1.0, target], row_upper=[1.0, target],
    )  # fmt: skip
    solution = solve(program, solver=solver)
    assert solution.certificate.status == "optimal", str(solution.certificate)
    return 2 * solution.certificate.primal


@pytest.mark.parametrize("solver", ["auto", "clarabel", "piqp"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_frontier_points_are_the_published_ones(recorded, number, solver):
    mean, covariance, frontier = _set(recorded("orlib_portfolio"), number)
    for target, published in frontier[1::333]:
        assert _least_variance(mean, covariance, target, solver) == pytest.approx(published, rel=VARIANCE)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
def test_many_frontier_points_are_the_published_ones(recorded, number):
    mean, covariance, frontier = _set(recorded("orlib_portfolio"), number)
    for target, published in frontier[1::40]:
        assert _least_variance(mean, covariance, target, "auto") == pytest.approx(published, rel=VARIANCE)
