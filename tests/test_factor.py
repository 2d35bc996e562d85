"""Factor risk: planted factors are found, the factor form is the dense form, other libraries agree."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from recorded import large_cap_returns
from sklearn.decomposition import PCA
from sklearn.linear_model import HuberRegressor, Lasso, LinearRegression, Ridge

from optihedge.errors import DataError, SpecError
from optihedge.risk.factor import FactorRisk, StackedRisk, principal_components
from optihedge.risk.observed import FundamentalRisk, ObservedFactorRisk
from optihedge.risk.residual import look_alikes, shrunk_shares

SAME = 1e-10  # relative, between two forms of one number


def planted(rows: int = 600, drivers: int = 60, factors: int = 3, seed: int = 0, noise: float = 0.01) -> pd.DataFrame:
    """Moves with that many factors of volatility 1 % and loadings around one, and specific noise."""
    rng = np.random.default_rng(seed)
    returns = 0.01 * rng.normal(size=(rows, factors))
    loadings = rng.normal(1.0, 1.0, size=(factors, drivers))
    values = returns @ loadings + noise * rng.normal(size=(rows, drivers))
    frame = pd.DataFrame(values, columns=[f"D{i}" for i in range(drivers)])
    frame.attrs["truth"] = (returns, loadings)
    return frame


def canonical(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Canonical correlations of the columns of two arrays."""
    return np.linalg.svd(np.linalg.qr(a)[0].T @ np.linalg.qr(b)[0], compute_uv=False)


@pytest.mark.parametrize("criterion", ["bai_ng", "eigenvalue_ratio"])
@pytest.mark.parametrize(("rows", "drivers"), [(600, 60), (120, 300)])
def test_a_criterion_counts_the_planted_factors(criterion, rows, drivers):
    assert FactorRisk(criterion, halflife=None).fit(planted(rows, drivers)).n_factors_ == 3


@pytest.mark.parametrize(("rows", "drivers"), [(600, 60), (120, 300)])
def test_the_components_span_the_planted_factors(rows, drivers):
    moves = planted(rows, drivers)
    found = FactorRisk(3, halflife=None).fit(moves)
    assert canonical(found.factor_returns_.to_numpy(), moves.attrs["truth"][0]).min() > 0.98


@pytest.mark.parametrize(("rows", "drivers"), [(200, 30), (30, 200)])
def test_the_components_are_those_of_scikit_learn(rows, drivers):
    moves = np.random.default_rng(1).normal(size=(rows, drivers))
    moves -= moves.mean(axis=0)
    values, axes = principal_components(moves, 5)
    theirs = PCA(5, svd_solver="full").fit(moves)
    np.testing.assert_allclose(values / (rows - 1), theirs.explained_variance_, rtol=SAME)
    np.testing.assert_allclose(np.abs(np.sum(axes * theirs.components_, axis=1)), 1.0, rtol=SAME)


@pytest.mark.parametrize(
    "estimator",
    [
        FactorRisk(5, clusters=1.0),
        ObservedFactorRisk(("D0", "D7"), clusters=1.0),
        FundamentalRisk(clusters=1.0),
        StackedRisk((ObservedFactorRisk(("D0",)), FactorRisk(4)), clusters=1.0),
    ],
    ids=lambda e: type(e).__name__,
)
def test_the_factor_form_is_the_dense_form(estimator):
    moves = planted()
    fitted = estimator.fit(moves)
    weights = 0.5 ** (np.arange(len(moves))[::-1] / 252)
    returns, loadings = fitted.factor_returns_.to_numpy(), fitted.loadings_.to_numpy()
    dense = loadings.T @ (returns.T * weights) @ returns @ loadings / weights.sum() + np.diag(fitted.specific_**2)
    np.testing.assert_allclose(fitted.risk_.covariance(), dense, rtol=SAME, atol=SAME * dense.max())
    book = np.random.default_rng(2).normal(size=(60, 7))
    np.testing.assert_allclose(fitted.risk_.variance(book), np.einsum("dn,de,en->n", book, dense, book), rtol=SAME)


def test_the_likelihood_in_factor_form_is_the_dense_one():
    stats = pytest.importorskip("scipy.stats")
    moves = planted()
    fitted = FactorRisk(5).fit(moves)
    dense = stats.multivariate_normal(np.zeros(60), fitted.risk_.covariance()).logpdf(moves).mean()
    assert fitted.score(moves) == pytest.approx(dense, rel=SAME)


def test_nothing_as_large_as_drivers_squared_is_held():
    moves = planted(rows=60, drivers=3000)
    tracemalloc.start()
    FactorRisk(5).fit(moves)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * 8 * 3000**2


def test_volatilities_are_those_of_the_sample():
    moves = planted()
    sample = np.sqrt((moves**2).mean())
    np.testing.assert_allclose(FactorRisk(3, halflife=None).fit(moves).risk_.volatility(), sample, rtol=0.02)


@pytest.mark.parametrize("drivers", [2, 5, 40])
def test_the_spread_of_look_alikes_keeps_its_small_risk(drivers):
    moves = planted(drivers=drivers)
    rng = np.random.default_rng(3)
    moves["D1"] = moves["D0"] + 1e-4 * rng.normal(size=len(moves))
    spread = FactorRisk(halflife=None).fit(moves).risk_.variance(np.eye(drivers)[0] - np.eye(drivers)[1])
    assert 0.8 < np.sqrt(spread) / 1e-4 < 2.0


def test_a_late_listing_loads_by_its_own_rows_and_before_that_like_the_others():
    moves = planted(rows=2000)
    full = FactorRisk(3, halflife=None).fit(moves).loadings_["D5"]
    for listed, closeness in ((1000, 0.9), (1985, 0.0)):
        late = moves.assign(D5=moves["D5"].where(moves.index >= listed))
        found = FactorRisk(3, halflife=None).fit(late).loadings_["D5"]
        assert found @ full / np.sqrt((found @ found) * (full @ full)) > closeness
        assert np.abs(found).max() < 2 * np.abs(full).max()


def test_scattered_gaps_hardly_change_the_risk():
    moves = planted()
    gaps = moves.mask(np.random.default_rng(4).uniform(size=moves.shape) < 0.02)
    whole, partial = (FactorRisk(3, halflife=None).fit(m).risk_.covariance().to_numpy() for m in (moves, gaps))
    assert np.linalg.norm(whole - partial) < 0.05 * np.linalg.norm(whole)


@pytest.mark.parametrize("estimator", [FactorRisk(3), FundamentalRisk()], ids=lambda e: type(e).__name__)
def test_a_row_without_any_move_counts_for_nothing(estimator):
    moves = planted()
    holes = moves.mask(pd.Series(moves.index % 3 == 0))
    full, partial = (estimator.set_params(halflife=None).fit(m).risk_.covariance() for m in (holes.dropna(), holes))
    np.testing.assert_allclose(partial, full, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_regression_on_observed_factors_is_that_of_statsmodels(missing):
    linear = pytest.importorskip("statsmodels.api")
    moves = planted()
    moves["D9"] = moves["D9"].mask(np.random.default_rng(5).uniform(size=len(moves)) < missing)
    fitted = ObservedFactorRisk(("D0", "D1"), halflife=100).fit(moves)
    weights = 0.5 ** (np.arange(len(moves))[::-1] / 100)
    seen = moves["D9"].notna()
    theirs = linear.WLS(moves["D9"][seen], moves[["D0", "D1"]][seen], weights=weights[seen]).fit()
    np.testing.assert_allclose(fitted.loadings_["D9"], theirs.params, rtol=SAME)
    np.testing.assert_allclose(fitted.r2_["D9"], theirs.rsquared, rtol=SAME)


def test_t_statistics_are_those_of_statsmodels_where_specific_risk_does_not_shrink():
    linear = pytest.importorskip("statsmodels.api")
    moves = planted()[["D0", "D1", "D2"]]
    fitted = ObservedFactorRisk(("D0",), halflife=None).fit(moves)
    theirs = linear.OLS(moves["D1"], moves[["D0"]]).fit()
    np.testing.assert_allclose(fitted.t_statistics_.loc["D0", "D1"], theirs.tvalues["D0"], rtol=SAME)


@pytest.mark.parametrize(
    "regression",
    [LinearRegression(), Ridge(1e-9), Lasso(1e-9, tol=1e-10), HuberRegressor(epsilon=1e3, alpha=0)],
    ids=str,
)
def test_a_regressor_without_penalty_agrees_with_least_squares(regression):
    moves = planted(drivers=8)
    plain, through = (ObservedFactorRisk(("D0", "D1"), r).fit(moves).loadings_ for r in (None, regression))
    np.testing.assert_allclose(through, plain, rtol=1e-4, atol=1e-5)


def test_a_lasso_drops_weak_factors_and_a_factor_driver_keeps_its_own():
    moves = planted(drivers=8)
    moves["D7"] = 0.01 * np.random.default_rng(6).normal(size=len(moves))
    fitted = ObservedFactorRisk(("D0", "D1"), Lasso(0.2)).fit(moves)
    assert (fitted.loadings_["D7"] == 0).all()
    assert fitted.loadings_["D0"].tolist() == [1.0, 0.0]
    assert fitted.risk_.specific[0] < 1e-12


def test_factors_from_outside_are_matched_by_time_and_their_future_is_never_read():
    moves = planted()
    returns = pd.DataFrame(moves.attrs["truth"][0], columns=["market", "size", "value"])
    wild = returns.copy()
    wild.iloc[500:] = np.nan
    known, changed = (ObservedFactorRisk(f).fit(moves.iloc[:500]).risk_ for f in (returns, wild))
    np.testing.assert_array_equal(known.root, changed.root)
    assert ObservedFactorRisk(returns).fit(moves).r2_.mean() > 0.7


def test_sector_returns_weigh_to_zero_and_the_market_is_the_mean():
    moves = planted(drivers=30)
    size = pd.Series(np.linspace(1, 9, 30) ** 2, index=moves.columns)
    sectors = pd.Series([f"S{i % 4}" for i in range(30)], index=moves.columns)
    found = FundamentalRisk(sectors=sectors, size=size).fit(moves).factor_returns_
    share = size.groupby(sectors).sum() / size.sum()
    np.testing.assert_allclose(found[share.index] @ share, 0.0, atol=1e-15)
    equal = FundamentalRisk(sectors=sectors).fit(moves).factor_returns_
    np.testing.assert_allclose(equal["market"], moves.mean(axis=1), rtol=SAME)


def test_known_characteristics_recover_their_factor_returns():
    moves = planted(drivers=200, noise=0.002)
    returns, loadings = moves.attrs["truth"]
    styles = pd.DataFrame(loadings.T, index=moves.columns, columns=["A", "B", "C"])
    found = FundamentalRisk(styles).fit(moves).factor_returns_
    np.testing.assert_allclose(found[["A", "B", "C"]], returns, atol=0.001)


def test_a_stack_explains_what_its_stages_leave_over():
    moves = planted(drivers=40)
    market = ObservedFactorRisk(("D0",))
    stacked = StackedRisk((market, FactorRisk(2))).fit(moves)
    assert list(stacked.loadings_.index) == ["1:D0", "2:PC1", "2:PC2"]
    assert stacked.r2_.mean() > market.fit(moves).r2_.mean() + 0.1


def test_equal_shares_do_not_shrink_and_noisy_ones_meet_in_the_middle():
    rng = np.random.default_rng(7)
    noisy = rng.chisquare(50, size=400) / 50
    assert shrunk_shares(noisy, np.full(400, 50.0)).std() < 0.5 * noisy.std()
    wide = np.exp(rng.normal(size=400))
    np.testing.assert_allclose(shrunk_shares(wide, np.full(400, 5000.0)), wide, rtol=0.01)


def test_only_drivers_whose_residuals_move_together_share_a_cluster():
    rng = np.random.default_rng(8)
    residuals = rng.normal(size=(500, 30))
    residuals[:, 4] = residuals[:, 17] + 0.1 * rng.normal(size=500)
    labels = look_alikes(residuals, np.full(500, 1 / 500), 0.5)
    assert labels[4] == labels[17]
    assert len(set(labels)) == 29


def test_what_factors_leave_is_the_same_by_the_products_of_moves_as_by_residuals(monkeypatch):
    moves = planted(rows=700, drivers=600)  # more drivers than are looked at together
    moves["D550"] = moves["D3"] + 0.002 * np.random.default_rng(9).normal(size=700)
    by_products = FactorRisk(3).fit(moves)
    monkeypatch.setattr("optihedge.risk.factor._TOLD", np.inf)
    by_residuals = FactorRisk(3).fit(moves)
    assert by_products.clusters_["D3"] == by_products.clusters_["D550"]
    assert by_products.clusters_.nunique() == 599
    pd.testing.assert_series_equal(by_products.clusters_, by_residuals.clusters_)
    np.testing.assert_allclose(by_products.specific_, by_residuals.specific_, rtol=SAME)
    np.testing.assert_allclose(by_products.risk_.root, by_residuals.risk_.root, rtol=0, atol=SAME * 0.01)
    assert not np.array_equal(by_products.specific_, by_residuals.specific_), "two ways"


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (FactorRisk(60), SpecError, "60 factors from 600 moves of 60 drivers; give at most 59"),
        (FactorRisk("scree"), SpecError, "factors is 'scree'"),
        (FactorRisk(halflife=-1), SpecError, "halflife is -1"),
        (ObservedFactorRisk(("SPY",)), SpecError, "factor SPY is not among the drivers"),
        (ObservedFactorRisk(()), SpecError, "there are no factors"),
        (ObservedFactorRisk(pd.DataFrame({"F": np.ones(500)})), DataError, "factor F has no return at 500"),
        (FundamentalRisk(sectors=pd.Series({"D0": "Energy"})), SpecError, "sectors of driver D1 is missing"),
        (FundamentalRisk(size=pd.Series(0.0, index=[f"D{i}" for i in range(60)])), SpecError, "size of D0 is not pos"),
    ],
)
def test_wrong_input_is_named(estimator, error, message):
    with pytest.raises(error, match=message):
        estimator.fit(planted())


def test_fama_french_factors_explain_large_caps_as_statsmodels_says(recorded):
    linear = pytest.importorskip("statsmodels.api")
    returns = large_cap_returns(recorded("sp500_returns_2007_2016"))
    factors = pd.read_parquet(recorded("ff_daily_factors") / "ff5_mom_rev_daily.parquet").drop(columns="RF")
    fitted = ObservedFactorRisk(factors, halflife=None).fit(returns)
    assert fitted.loadings_.loc["Mkt-RF"].mean() == pytest.approx(1.0, abs=0.1)
    assert 0.4 < fitted.r2_.mean() < 0.6
    for name in ("MMM", "FIS"):  # FIS has a gap
        theirs = linear.OLS(returns[name].dropna(), factors.loc[returns[name].dropna().index]).fit()
        np.testing.assert_allclose(fitted.loadings_[name], theirs.params, rtol=1e-8)
        np.testing.assert_allclose(fitted.r2_[name], theirs.rsquared, rtol=1e-8)


@pytest.mark.parametrize("criterion", ["bai_ng", "eigenvalue_ratio"])
def test_a_criterion_finds_two_planted_factors_among_few_drivers(criterion: str) -> None:
    rng = np.random.default_rng(0)
    for drivers in (12, 20, 60):
        loadings = rng.normal([[1.0], [0.0]], 1.0, (2, drivers))
        moves = rng.normal(size=(500, 2)) @ loadings + rng.normal(size=(500, drivers))
        most = max(drivers // 3, 1)
        count = FactorRisk(criterion, halflife=None).fit(moves).n_factors_
        assert count == 2 if drivers >= 20 else count <= most


@pytest.mark.parametrize("criterion", ["bai_ng", "eigenvalue_ratio"])
@pytest.mark.parametrize("drivers", [1, 2, 3, 5])
def test_a_criterion_searches_no_further_than_a_third_of_the_drivers(criterion: str, drivers: int) -> None:
    moves = np.random.default_rng(0).normal(size=(100, drivers))
    assert FactorRisk(criterion).fit(moves).n_factors_ <= min(1, drivers - 1)
