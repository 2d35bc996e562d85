"""What every risk estimator promises: scikit-learn's manners, no look-ahead, inputs left alone."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

from optihedge.risk.adaptive import AdaptiveRisk
from optihedge.risk.combined import CombinedEwmaRisk
from optihedge.risk.estimator import RiskEstimator
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.factor import FactorRisk, StackedRisk
from optihedge.risk.manners import ParameterError, plain_values
from optihedge.risk.manners import clone as own_clone
from optihedge.risk.observed import FundamentalRisk, ObservedFactorRisk
from optihedge.risk.sample import GivenRisk, SampleRisk

MARKET = ObservedFactorRisk()
ESTIMATORS = [
    SampleRisk(),
    SampleRisk(LedoitWolf(), window=30),
    EwmaRisk(),
    EwmaRisk(21, 63),
    CombinedEwmaRisk(),
    FactorRisk(),
    MARKET,
    FundamentalRisk(),
    StackedRisk((MARKET, FactorRisk("bai_ng"))),
    AdaptiveRisk(),
]


def exceptions(estimator: RiskEstimator) -> dict[str, str]:
    """Checks that an estimator fails, and why that is right."""
    if isinstance(estimator, (ObservedFactorRisk, StackedRisk)):
        return {"check_estimators_pickle": "its factor is a driver, which may not have gaps as other drivers may"}
    return {}


# GivenRisk is not here: it needs the desk's covariance of the drivers that it is fitted to.
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=exceptions)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_is_satisfied(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_a_copy_of_ours_is_that_of_scikit_learn(estimator):
    theirs, ours = clone(estimator).get_params(), own_clone(estimator).get_params()
    assert {name: repr(value) for name, value in ours.items()} == {name: repr(value) for name, value in theirs.items()}
    inside = [name for name, value in estimator.get_params().items() if hasattr(value, "get_params")]
    assert all(ours[name] is not estimator.get_params()[name] for name in inside)


def test_a_parameter_that_is_not_there_is_named():
    stacked = StackedRisk((MARKET, FactorRisk()))
    with pytest.raises(ParameterError, match="StackedRisk has no parameter 'halflive'; known are"):
        stacked.set_params(halflive=3.0)
    combined = AdaptiveRisk(FactorRisk(2)).set_params(base__halflife=21.0)
    assert combined.base.halflife == 21.0


@pytest.mark.parametrize("columns", [list("ABC"), range(3)], ids=["texts", "numbers"])
def test_plain_moves_are_what_scikit_learns_check_gives(columns):
    moves = some_moves(drivers=3).set_axis(columns, axis=1)
    moves.iloc[4, 1] = np.nan
    ours, theirs = EwmaRisk(), EwmaRisk()
    given = plain_values(ours, moves, reset=True, minimum=2)
    np.testing.assert_array_equal(given, validate_data(theirs, moves, dtype=float, ensure_all_finite=False))
    told = [{name: repr(value) for name, value in vars(one).items()} for one in (ours, theirs)]
    assert told[0] == told[1]
    assert plain_values(ours, moves, reset=False, minimum=1) is not None
    renamed = moves.set_axis(list("CBA"), axis=1)
    for odd in (renamed, moves.iloc[:, :2], moves.iloc[:1], moves.map(str)):
        assert plain_values(ours, odd, reset=False, minimum=2) is None  # left to scikit-learn's own words


def some_moves(rows: int = 150, drivers: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    values = 0.01 * (rng.normal(size=(rows, 1)) + rng.normal(size=(rows, drivers)))
    return pd.DataFrame(values, index=pd.date_range("2024-01-01", periods=rows, tz="UTC"), columns=range(drivers))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@given(day=st.integers(70, 148), seed=st.integers(0, 100))
@settings(max_examples=5)
def test_data_after_day_t_never_change_the_fit_at_t(estimator, day, seed):
    moves = some_moves()
    changed = moves.copy()
    changed.iloc[day:] = np.random.default_rng(seed).normal(size=(len(moves) - day, 6))
    known, other = (fitted_on(day, clone(estimator), m) for m in (moves, changed))
    np.testing.assert_array_equal(known, other)


def fitted_on(day: int, estimator: RiskEstimator, moves: pd.DataFrame) -> np.ndarray:
    """The covariance as it stood on `day` of an estimator walked to the end, online where it can be."""
    risks = {}
    for start, stop in pairwise([0, 60, day, len(moves)]):
        if hasattr(estimator, "partial_fit"):
            risks[stop] = estimator.partial_fit(moves.iloc[start:stop]).risk_
        else:
            risks[stop] = estimator.fit(moves.iloc[:stop]).risk_
    return risks[day].covariance().to_numpy()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_fitting_leaves_the_moves_alone_and_carries_their_calendar(estimator):
    moves = some_moves()
    moves.attrs["periods_per_year"] = 365.0
    before = moves.copy()
    risk = clone(estimator).fit(moves).risk_
    pd.testing.assert_frame_equal(moves, before)
    assert risk.periods_per_year == 365.0
    assert list(risk.drivers) == list(moves.columns)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_the_order_of_drivers_does_not_matter(estimator):
    moves = some_moves()
    order = [0, 5, 3, 1, 4, 2]
    one, other = (clone(estimator).fit(m).risk_.covariance() for m in (moves, moves[order]))
    np.testing.assert_allclose(other, one.loc[order, order], rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_twice_the_moves_are_four_times_the_variance(estimator):
    moves = some_moves()
    one, other = (clone(estimator).fit(m).risk_.covariance() for m in (moves, 2 * moves))
    np.testing.assert_allclose(other, 4 * one, rtol=1e-8, atol=1e-14)


def test_the_desks_own_covariance_satisfies_clone_and_score():
    moves = some_moves()
    given_risk = clone(GivenRisk(moves.cov())).fit(moves)
    assert np.isfinite(given_risk.score(moves))
