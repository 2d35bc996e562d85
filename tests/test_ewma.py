"""Exponentially weighted risk: pandas' numbers, chunks equal to the whole, ragged histories."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from optihedge.errors import DataError, SpecError
from optihedge.risk.ewma import EwmaRisk, decayed, repaired_correlation

SAME = 1e-10  # relative, between our numbers and pandas'
ONLINE = 1e-12  # relative, between chunks and the whole

ESTIMATORS = [EwmaRisk(20), EwmaRisk(10, 40), EwmaRisk(63, 21, clip=2.0)]


def some_moves(rows: int = 120, columns: int = 4, seed: int = 0, missing: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns)) * 0.01
    values[rng.uniform(size=values.shape) < missing] = np.nan
    return pd.DataFrame(values, columns=[f"D{i}" for i in range(columns)])


def test_plain_ewma_is_that_of_pandas():
    moves = some_moves()
    pairs = pd.DataFrame({(a, b): moves[a] * moves[b] for a in moves for b in moves})
    expected = pairs.ewm(halflife=20).mean().iloc[-1].to_numpy().reshape(4, 4)
    np.testing.assert_allclose(EwmaRisk(20).fit(moves).risk_.covariance(), expected, rtol=SAME)


def test_volatilities_of_ragged_histories_are_those_of_pandas():
    moves = some_moves(missing=0.2)
    expected = np.sqrt((moves**2).ewm(halflife=10).mean().iloc[-1])
    np.testing.assert_allclose(EwmaRisk(10, 40).fit(moves).risk_.volatility(), expected, rtol=SAME)


def test_running_decayed_sums_are_those_of_a_filter_to_the_bit():
    rng = np.random.default_rng(4)
    values, start, decay = rng.normal(size=(200, 7)) ** 2, rng.random(7), 0.5 ** (1 / 21)
    filtered, _ = lfilter([1.0], [1.0, -decay], values, axis=0, zi=decay * start[None])
    np.testing.assert_array_equal(decayed(values, decay, start), filtered)


def test_iterated_correlations_are_those_of_moves_divided_by_their_running_volatility():
    moves = some_moves()
    standard = (moves / np.sqrt((moves**2).ewm(halflife=10).mean())).clip(-4.2, 4.2)
    weights = 0.5 ** (np.arange(len(moves))[::-1] / 40)
    products = (standard.T * weights) @ standard
    scale = np.sqrt(np.diag(products))
    covariance = EwmaRisk(10, 40).fit(moves).risk_.covariance()
    volatility = np.sqrt(np.diag(covariance))
    expected = products / np.outer(scale, scale)
    np.testing.assert_allclose(covariance / np.outer(volatility, volatility), expected, rtol=SAME)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@given(cuts=st.lists(st.integers(20, 119), max_size=4, unique=True), missing=st.sampled_from([0.0, 0.1]))
@settings(max_examples=20)
def test_chunks_equal_the_whole(estimator, cuts, missing):
    moves = some_moves(missing=missing)
    online = type(estimator)(**estimator.get_params())
    for start, stop in pairwise([0, *sorted(cuts), len(moves)]):
        online.partial_fit(moves.iloc[start:stop])
    whole = estimator.fit(moves).risk_.covariance()
    np.testing.assert_allclose(online.risk_.covariance(), whole, rtol=ONLINE, atol=ONLINE * np.abs(whole).max().max())


def test_a_half_observed_pair_keeps_its_correlation():
    rng = np.random.default_rng(3)
    common = rng.normal(size=4000)
    moves = pd.DataFrame({"A": common, "B": common + rng.normal(size=4000)})
    moves.loc[:1999, "B"] = np.nan
    covariance = EwmaRisk(1000).fit(moves).risk_.covariance()
    correlation = covariance.loc["A", "B"] / np.sqrt(covariance.loc["A", "A"] * covariance.loc["B", "B"])
    assert correlation == pytest.approx(np.sqrt(0.5), abs=0.05)


def test_a_driver_that_never_moves_has_no_risk_and_no_correlation():
    moves = some_moves().assign(D1=0.0)
    covariance = EwmaRisk(10, 40).fit(moves).risk_.covariance()
    assert (covariance.loc["D1"].abs() < ONLINE * covariance.max().max()).all()


def test_a_repaired_correlation_is_positive_semidefinite_with_a_unit_diagonal():
    impossible = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    repaired = repaired_correlation(impossible)
    assert np.linalg.eigvalsh(repaired)[0] > -1e-12
    np.testing.assert_allclose(np.diag(repaired), 1.0)


@pytest.mark.parametrize(
    ("fit", "error", "message"),
    [
        (lambda m: EwmaRisk().fit(m.assign(D2=m["D2"].where(m.index > 114))), DataError, "driver D2 has 5 observed"),
        (lambda m: EwmaRisk().fit(m.replace(m.iloc[7, 1], np.inf)), DataError, "driver D1 is inf .* at 7"),
        (lambda m: EwmaRisk(halflife=0).fit(m), SpecError, "halflife is 0"),
        (lambda m: EwmaRisk(correlation_halflife=-1).fit(m), SpecError, "correlation_halflife is -1"),
        (lambda m: EwmaRisk().fit(m).partial_fit(m[["D1", "D0", "D2", "D3"]]), ValueError, "feature names"),
    ],
)
def test_wrong_input_is_named(fit, error, message):
    with pytest.raises(error, match=message):
        fit(some_moves())


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@pytest.mark.parametrize("rows", [40, 80])
def test_of_few_rows_the_root_has_a_row_each_and_the_covariance_is_that_of_their_products(estimator, rows):
    moves = some_moves(rows=rows, columns=60)
    wide = estimator.fit(moves).risk_
    assert len(wide.root) <= rows
    more = some_moves(rows=160 - rows, columns=60, seed=1)
    online = type(estimator)(**estimator.get_params()).partial_fit(moves).partial_fit(more)  # past the drivers' number
    both = type(estimator)(**estimator.get_params()).fit(pd.concat([moves, more]).reset_index(drop=True))
    np.testing.assert_allclose(online.risk_.covariance(), both.risk_.covariance(), rtol=1e-9, atol=1e-15)
    pair = list(moves.columns[:2])
    alone = type(estimator)(**estimator.get_params()).fit(moves[pair]).risk_.covariance()
    np.testing.assert_allclose(wide.covariance().loc[pair, pair], alone, rtol=SAME)


def test_a_short_history_of_what_moves_as_another_is_fitted():
    """A future with a quarter of its index's history, calmer before: pair by pair they correlate above one."""
    rng = np.random.default_rng(0)
    index = 0.01 * rng.standard_normal(200) * np.r_[np.full(150, 0.3), np.full(50, 1.0)]
    future = np.r_[np.full(150, np.nan), index[150:]]
    moves = pd.DataFrame({"future": future, "index": index}, pd.bdate_range("2025-01-01", periods=200))
    risk = EwmaRisk(halflife=63).fit(moves).risk_
    told = risk.covariance()
    assert told.at["future", "index"] <= np.sqrt(told.at["future", "future"] * told.at["index", "index"]) * (1 + 1e-12)
    assert told.at["future", "index"] > 0.99 * np.sqrt(told.at["future", "future"] * told.at["index", "index"])
