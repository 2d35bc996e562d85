"""Risk over drivers: its algebra and its door."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optihedge.errors import DataError
from optihedge.risk.root import Risk

DRIVERS = pd.Index(["A", "B", "C"], name="driver")


def some_risk(seed: int, k: int = 2) -> Risk:
    rng = np.random.default_rng(seed)
    return Risk(rng.normal(size=(k, 3)), rng.uniform(0.1, 1.0, 3), DRIVERS)


def test_a_covariance_survives_the_way_into_a_root_and_back():
    covariance = some_risk(0).covariance()
    pd.testing.assert_frame_equal(Risk.from_covariance(covariance).covariance(), covariance, rtol=1e-12)


def test_a_singular_covariance_gets_a_thin_root():
    one = pd.DataFrame(np.ones((3, 3)), index=DRIVERS, columns=DRIVERS)
    assert np.allclose(Risk.from_covariance(one).covariance(), 1.0)


@given(st.integers(0, 10_000))
def test_variance_is_the_quadratic_form_of_the_covariance(seed):
    risk, loadings = some_risk(seed), np.random.default_rng(seed + 1).normal(size=(3, 5))
    expected = np.einsum("dn,de,en->n", loadings, risk.covariance().to_numpy(), loadings)
    np.testing.assert_allclose(risk.variance(loadings), expected, rtol=1e-10)


def test_mixing_adds_covariances_by_weight():
    a, b = some_risk(1), some_risk(2, k=1)
    mixed = Risk.mix([a, b], np.array([0.25, 0.75])).covariance()
    np.testing.assert_allclose(mixed, 0.25 * a.covariance() + 0.75 * b.covariance(), rtol=1e-12)


def test_reindexing_keeps_the_entries_of_the_covariance():
    risk = some_risk(3)
    order = pd.Index(["C", "A"])
    np.testing.assert_allclose(risk.reindex(order).covariance(), risk.covariance().loc[order, order], rtol=1e-12)


def test_scaling_a_volatility_scales_its_row_and_column():
    risk, factor = some_risk(4), np.array([2.0, 1.0, 0.5])
    np.testing.assert_allclose(risk.scaled(factor).volatility(), risk.volatility() * factor, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((1, 3)), np.ones(3), ["A", "A", "B"]), "driver A appears twice"),
        ((np.ones((1, 2)), np.ones(3), DRIVERS), "give k x D and D"),
        (([[1, np.nan, 1]], np.ones(3), DRIVERS), "root of driver B is not finite"),
        ((np.ones((1, 3)), [1, 1, -1], DRIVERS), "specific of driver C is negative"),
        ((np.ones((1, 3)), np.ones(3), DRIVERS, 0.0), "periods_per_year"),
    ],
)
def test_a_wrong_risk_is_named_at_the_door(arguments, message):
    with pytest.raises(DataError, match=message):
        Risk(*arguments)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 0.5], [0.4, 1]], "not symmetric"),
        ([[1, 2], [2, 1]], "negative eigenvalue"),
        ([[1, np.nan], [0, 1]], "finite"),
    ],
)
def test_a_wrong_covariance_is_named_at_the_door(matrix, message):
    with pytest.raises(DataError, match=message):
        Risk.from_covariance(pd.DataFrame(matrix, index=["A", "B"], columns=["A", "B"], dtype=float))


def test_a_risk_cannot_be_changed_from_outside():
    root = np.ones((1, 3))
    risk = Risk(root, np.ones(3), DRIVERS)
    root[:] = 7.0
    assert (risk.root == 1.0).all()
    with pytest.raises(ValueError, match="read-only"):
        risk.root[0, 0] = 7.0
