"""Histories of unequal length: one covariance of all of them, which is Stambaugh's; what short ones leave open."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optihedge.risk.completed import completed
from optihedge.risk.ewma import EwmaRisk

SAME = 1e-10  # relative, between two ways to the same number


def staircase(rows: int, listed: list[int], seed: int = 0, common: float = 1.0) -> np.ndarray:
    """Moves of a common factor and noise, missing before each column's row of listing."""
    rng = np.random.default_rng(seed)
    moves = 0.01 * (common * rng.normal(size=(rows, 1)) + rng.normal(size=(rows, len(listed))))
    moves[np.arange(rows)[:, None] < np.array(listed)] = np.nan
    return moves


def decayed(rows: int, halflife: float) -> np.ndarray:
    return 0.5 ** (np.arange(rows)[::-1] / halflife)


def covariance(moves: np.ndarray, halflife: float = 40.0) -> np.ndarray:
    return EwmaRisk(halflife).fit(moves).risk_.covariance().to_numpy()


def products(moves: np.ndarray) -> np.ndarray:
    """Weighted sums of products of completed moves, with what they leave open."""
    filled, left, late = completed(moves, weights := decayed(len(moves), 40.0))
    assert np.isfinite(filled).all()
    told = filled.T @ (weights[:, None] * filled)
    told[np.ix_(late, late)] += left
    return told


@pytest.mark.parametrize("halflife", [np.inf, 30.0])
def test_of_two_drivers_it_is_stambaughs_closed_form(halflife):
    moves = staircase(120, [0, 70])
    weight = decayed(120, halflife)
    long, short = moves.T
    before, since = np.arange(120) < 70, np.arange(120) >= 70
    slope = (weight * long * short)[since].sum() / (weight * long**2)[since].sum()
    squares = (weight[since] * (short - slope * long)[since] ** 2).sum()
    residual = squares / (weight[since].sum() - 1)  # a degree of freedom is the slope's
    error = residual * (weight * long**2)[before].sum() / (weight * long**2)[since].sum()
    told = covariance(moves, halflife) * weight.sum()
    own = (weight * long**2).sum()
    assert told[0, 0] == pytest.approx(own, rel=SAME)
    assert told[0, 1] == pytest.approx(slope * own, rel=SAME)
    expected = slope**2 * own + squares + residual * weight[before].sum() + error
    assert told[1, 1] == pytest.approx(expected, rel=SAME)


def test_slopes_on_two_longer_drivers_are_those_of_the_rows_that_all_have():
    moves = staircase(150, [0, 0, 90], seed=1)
    told, rows = covariance(moves), np.sqrt(decayed(150, 40.0))[90:, None] * moves[90:]
    slopes = np.linalg.lstsq(rows[:, :2], rows[:, 2], rcond=None)[0]
    np.testing.assert_allclose(np.linalg.solve(told[:2, :2], told[:2, 2]), slopes, rtol=SAME)


def test_of_whole_histories_nothing_is_told_nor_left_open():
    moves = staircase(60, [0, 0, 0])
    filled, left, late = completed(moves, decayed(60, 40.0))
    np.testing.assert_array_equal(filled, moves)
    assert not left.size and not late.size


def test_drivers_listed_first_have_the_risk_that_they_have_alone():
    moves = staircase(100, [0, 0, 0, 30, 60], seed=2)
    np.testing.assert_allclose(covariance(moves)[:3, :3], covariance(moves[:, :3]), rtol=SAME)


def test_a_copy_of_a_longer_history_has_all_of_it():
    moves = staircase(200, [0, 0])
    moves[:150] *= 0.3  # calm before the copy is listed
    moves = np.column_stack([moves, np.where(np.arange(200) < 150, np.nan, 2 * moves[:, 0])])
    told = covariance(moves)
    assert told[2, 2] == pytest.approx(4 * told[0, 0], rel=1e-9)
    assert told[0, 2] == pytest.approx(2 * told[0, 0], rel=1e-9)


@given(
    listed=st.lists(st.integers(0, 65), min_size=2, max_size=40), seed=st.integers(0, 99), common=st.floats(0.0, 100.0)
)
@settings(max_examples=40)
def test_it_is_positive_semidefinite_and_no_order_of_drivers_matters(listed, seed, common):
    moves = staircase(80, [0, *listed], seed, common)
    order = np.random.default_rng(seed).permutation(len(listed) + 1)
    told, other = products(moves), products(moves[:, order])
    assert np.linalg.eigvalsh(told)[0] >= -1e-12 * np.trace(told)
    np.testing.assert_allclose(other, told[np.ix_(order, order)], rtol=1e-6, atol=1e-9 * np.trace(told))


@pytest.mark.parametrize("columns", [10, 120])  # products of the drivers, or rows as the root
@pytest.mark.parametrize("estimator", [EwmaRisk(40), EwmaRisk(20, 40)], ids=str)
def test_chunks_equal_the_whole(estimator, columns):
    listed = np.sort(np.random.default_rng(0).integers(0, 90, columns))
    listed[: columns // 2] = 0
    moves = pd.DataFrame(staircase(160, list(listed)))
    online = EwmaRisk(**estimator.get_params())
    for start, stop in ((0, 110), (110, 111), (111, 160)):
        online.partial_fit(moves.iloc[start:stop])
    whole = estimator.fit(moves).risk_.covariance()
    np.testing.assert_allclose(online.risk_.covariance(), whole, rtol=SAME, atol=1e-12 * whole.max().max())


def test_a_gap_after_the_listing_stays_a_gap():
    moves = staircase(100, [0, 0, 0, 40])
    moves[70, 1] = np.nan
    filled, _, _ = completed(moves, decayed(100, 40.0))
    assert np.argwhere(np.isnan(filled)).tolist() == [[70, 1]]
    assert np.linalg.eigvalsh(covariance(moves))[0] >= -1e-15


def test_a_history_that_begins_on_its_weekend_is_not_listed_late():
    moves = staircase(140, [0, 2])
    moves[np.arange(140) % 7 < 2, 1] = np.nan
    np.testing.assert_array_equal(completed(moves, decayed(140, 40.0))[0], moves)
    moves[:9, 1] = np.nan  # a week more
    assert np.isfinite(completed(moves, decayed(140, 40.0))[0][:9, 1]).all()


def hedged(told: np.ndarray, truth: np.ndarray, short: int) -> tuple[float, float]:
    """True variance of one of `short` hedged with the others by what is told, over the least; and over the forecast."""
    others = np.delete(np.arange(len(told)), short)
    weights = np.zeros(len(told))
    weights[short], weights[others] = 1.0, -np.linalg.lstsq(told[np.ix_(others, others)], told[others, short])[0]
    least = 1 / np.linalg.inv(truth)[short, short]
    return weights @ truth @ weights / least, weights @ truth @ weights / (weights @ told @ weights)


def test_months_that_move_as_one_are_not_bet_against_each_other():
    """Nine months of a curve, listed one after another while its moves grow: the newest hedged with the others."""
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        level = rng.normal(size=(250, 3)) * np.linspace(0.3, 1.7, 250)[:, None]
        shape = np.array([np.ones(9), np.linspace(0.2, -0.2, 9), 0.05 * np.linspace(-1, 1, 9) ** 2])
        own = 0.03
        moves = 0.01 * (level @ shape + own * rng.normal(size=(250, 9)))
        moves[np.arange(250)[:, None] < 25 * np.arange(9)] = np.nan
        truth = 1e-4 * (shape.T @ shape + own**2 * np.eye(9))
        found.append(hedged(covariance(moves), truth, 8)[0])
    assert np.mean(found) < 1.5


def test_a_listing_of_few_weeks_beside_many_names_is_hedged_about_as_well_as_it_can_be_known():
    """Forty names, one with 20 moves: more slopes than moves, so that a ridge has to choose among them."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        loadings = np.vstack([1 + 0.3 * rng.normal(size=40), 0.3 * rng.normal(size=(2, 40))])
        moves = 0.01 * (rng.normal(size=(250, 3)) @ loadings + rng.normal(size=(250, 40)))
        moves[:230, 7] = np.nan
        truth = 1e-4 * (loadings.T @ loadings + np.eye(40))
        found.append(hedged(covariance(moves, 63.0), truth, 7))
    variance, forecast = np.mean(found, axis=0)
    assert variance < 1.5
    assert 0.7 < forecast < 1.5
