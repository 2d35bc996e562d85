"""Risk from other libraries' covariance estimators, and from the desk's own covariance."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.covariance import OAS, EmpiricalCovariance, GraphicalLasso, LedoitWolf, ShrunkCovariance
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from optihedge.errors import DataError, SpecError
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.sample import GivenRisk, SampleRisk

SAME = 1e-10  # relative, between our covariance and the library's own


def some_moves(rows: int = 60, columns: int = 4, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns)) * 0.01
    dates = pd.date_range("2024-01-01", periods=rows, freq="D", tz="UTC")
    frame = pd.DataFrame(values, index=dates, columns=list("ABCDEFGH"[:columns]))
    frame.attrs["periods_per_year"] = 365.0
    return frame


@pytest.mark.parametrize(
    "estimator", [EmpiricalCovariance(), LedoitWolf(), OAS(), ShrunkCovariance(), GraphicalLasso(alpha=1e-6)]
)
def test_the_risk_is_scikit_learns_covariance(estimator):
    moves = some_moves()
    risk = SampleRisk(estimator).fit(moves).risk_
    np.testing.assert_allclose(risk.covariance(), clone(estimator).fit(moves).covariance_, rtol=SAME, atol=1e-16)
    assert list(risk.drivers) == list("ABCD")
    assert risk.periods_per_year == 365.0


@pytest.mark.parametrize("name", ["GerberCovariance", "DenoiseCovariance", "LedoitWolf", "EWCovariance"])
def test_the_risk_is_skfolios_covariance(name):
    moments = pytest.importorskip("skfolio.moments")
    estimator, moves = getattr(moments, name)(), some_moves()
    theirs = clone(estimator).fit(moves).covariance_
    np.testing.assert_allclose(SampleRisk(estimator).fit(moves).risk_.covariance(), theirs, rtol=SAME, atol=1e-16)


def test_the_risk_is_that_of_a_skfolio_prior():
    prior = pytest.importorskip("skfolio.prior").EmpiricalPrior()
    moves = some_moves()
    theirs = clone(prior).fit(moves).return_distribution_.covariance
    np.testing.assert_allclose(SampleRisk(prior).fit(moves).risk_.covariance(), theirs, rtol=SAME)


def test_without_an_estimator_it_is_the_second_moment_about_zero():
    moves = some_moves()
    np.testing.assert_allclose(
        SampleRisk().fit(moves).risk_.covariance(), moves.T @ moves / len(moves), rtol=SAME, atol=1e-18
    )


def test_a_window_reads_only_the_latest_rows():
    moves = some_moves()
    windowed = SampleRisk(LedoitWolf(), window=30).fit(moves).risk_.covariance()
    pd.testing.assert_frame_equal(windowed, SampleRisk(LedoitWolf()).fit(moves.iloc[-30:]).risk_.covariance())


def test_grid_search_chooses_by_likelihood():
    search = GridSearchCV(SampleRisk(ShrunkCovariance()), {"estimator__shrinkage": [0.01, 0.9]}, cv=TimeSeriesSplit(3))
    assert search.fit(some_moves(400)).best_params_ == {"estimator__shrinkage": 0.01}


def test_the_score_is_the_mean_gaussian_log_density():
    stats = pytest.importorskip("scipy.stats")
    moves = some_moves()
    fitted = SampleRisk(LedoitWolf()).fit(moves)
    expected = stats.multivariate_normal(np.zeros(4), fitted.risk_.covariance()).logpdf(moves).mean()
    assert fitted.score(moves) == pytest.approx(expected, rel=SAME)


def test_the_desks_covariance_is_put_in_the_order_of_the_moves():
    moves = some_moves()
    desk = moves.cov().loc[list("DBCA"), list("DBCA")] * 365
    pd.testing.assert_frame_equal(
        GivenRisk(desk, periods=365).fit(moves).risk_.covariance(), moves.cov(), rtol=1e-9, check_names=False
    )


def test_the_desks_covariance_is_read_from_a_file(tmp_path):
    moves = some_moves()
    moves.cov().to_csv(tmp_path / "covariance.csv", index_label="driver")
    given = GivenRisk(tmp_path / "covariance.csv").fit(moves).risk_
    pd.testing.assert_frame_equal(given.covariance(), moves.cov(), rtol=1e-9, check_names=False)


def test_a_wrong_word_in_the_desks_file_is_named(tmp_path):
    (tmp_path / "covariance.csv").write_text("driver,A,B\nA,1,0\nB,zero,1\n")
    with pytest.raises(DataError, match="covariance of B and A is 'zero'"):
        GivenRisk(tmp_path / "covariance.csv").fit(some_moves(columns=2))


@pytest.mark.parametrize(
    ("fit", "error", "message"),
    [
        (lambda m: SampleRisk().fit(m.where(m != m.iloc[3, 1])), DataError, "driver B is nan .* at 2024-01-04"),
        (lambda m: SampleRisk().fit(m.set_axis(list("ABCA"), axis=1)), DataError, "driver A appears twice"),
        (lambda m: SampleRisk().fit(m.iloc[::-1]), DataError, "increasing order of time"),
        (lambda m: SampleRisk(window=1).fit(m), SpecError, "window is 1"),
        (lambda m: SampleRisk(PCA()).fit(m), SpecError, "leaves no covariance_"),
        (lambda m: GivenRisk(m.cov().loc[list("ABC"), list("ABC")]).fit(m), DataError, "does not hold driver D"),
        (lambda m: GivenRisk(m.cov(), periods=0).fit(m), SpecError, "periods is 0"),
    ],
)
def test_wrong_input_is_named(fit, error, message):
    with pytest.raises(error, match=message):
        fit(some_moves())


@pytest.mark.parametrize("estimator", [SampleRisk(), EwmaRisk(halflife=30)], ids=["sample", "ewma"])
def test_risk_of_fewer_rows_than_drivers_has_no_more_factors_than_rows(estimator) -> None:
    """T rows span T directions: whatever else a covariance of theirs holds is rounding."""
    moves = pd.DataFrame(np.random.default_rng(0).normal(0, 0.01, (20, 60)), columns=[f"S{i}" for i in range(60)])
    risk = clone(estimator).fit(moves).risk_
    assert len(risk.root) <= 20
    weights = np.random.default_rng(1).normal(size=(60, 4))
    dense = moves.T.to_numpy() @ moves.to_numpy() / 20
    if isinstance(estimator, SampleRisk):
        assert risk.variance(weights) == pytest.approx(np.einsum("ij,ik,kj->j", weights, dense, weights), rel=1e-10)
