"""The hidden Markov model finds statsmodels' optimum and looks only back; regimes mix into one risk."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import kurtosis
from sklearn.utils.estimator_checks import check_estimator

from optihedge.errors import DataError, SolverError, SpecError
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.regime import GaussianHmm, RegimeRisk, correlation_breakdown, leptokurtosis

LIKELIHOOD = 1e-4  # log likelihood units, on some thousands
COVARIANCE = 1e-12


def switching(periods: int = 700, drivers: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Moves of a calm and a wild state, and the states (0, 1)."""
    rng = np.random.default_rng(seed)
    stay, state, states = [0.98, 0.94], 0, []
    for _ in range(periods):
        state = state if rng.random() < stay[state] else 1 - state
        states.append(state)
    states = np.array(states)
    common = rng.standard_normal((periods, 1))
    own = rng.standard_normal((periods, drivers))
    mixed = np.where(states[:, None] == 1, 0.8 * common + 0.6 * own, own) if drivers > 1 else own
    return np.array([0.05, -0.1])[states, None] + np.array([0.7, 2.0])[states, None] * mixed, states


def test_the_optimum_is_that_of_statsmodels_likelihood() -> None:
    import statsmodels.api as sm

    moves, _ = switching()
    hmm = GaussianHmm().fit(moves)
    assert hmm.converged_
    oracle = sm.tsa.MarkovRegression(moves[:, 0], 2, trend="c", switching_variance=True)

    def likelihood(parameters: np.ndarray) -> float:
        """statsmodels' likelihood, its state two steps before the first row set so that the first row's is uniform."""
        transition = np.array([[parameters[0], 1 - parameters[0]], [parameters[1], 1 - parameters[1]]])
        oracle.initialize_known(np.full(2, 0.5) @ np.linalg.matrix_power(np.linalg.inv(transition), 2))
        return oracle.loglike(parameters)

    ours = np.r_[hmm.transition_[:, 0], hmm.means_.ravel(), hmm.covariances_.ravel()]
    assert likelihood(ours) == pytest.approx(hmm.log_likelihood_, abs=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = oracle.fit(disp=False).params
        box = [(0.8, 0.999), (0.001, 0.2), (-1, 1), (-1, 1), (0.1, 9), (0.1, 9)]
        best = minimize(lambda p: -likelihood(p), start, bounds=box, options={"ftol": 1e-13})
    assert hmm.log_likelihood_ == pytest.approx(-best.fun, abs=LIKELIHOOD)
    np.testing.assert_allclose(ours, best.x, atol=5e-3)
    likelihood(ours)
    filtered = oracle.filter(ours).filtered_marginal_probabilities
    np.testing.assert_allclose(hmm.probabilities_, filtered, atol=1e-8)


def test_states_are_ordered_from_calm_to_wild_and_recognised() -> None:
    moves, states = switching(1500, drivers=3)
    hmm = GaussianHmm().fit(moves)
    assert np.trace(hmm.covariances_[0]) < np.trace(hmm.covariances_[1])
    assert ((hmm.probabilities_[:, 1] > 0.5) == (states == 1)).mean() > 0.95
    np.testing.assert_allclose(hmm.forecast(), hmm.probabilities_[-1] @ hmm.transition_)
    correlation = hmm.covariances_[1] / np.sqrt(np.outer(*[np.diag(hmm.covariances_[1])] * 2))
    np.testing.assert_allclose(correlation[np.triu_indices(3, 1)], 0.64, atol=0.1)


def test_filtered_probabilities_never_see_a_later_row() -> None:
    moves, _ = switching(drivers=2)
    hmm = GaussianHmm().fit(moves)
    np.testing.assert_allclose(hmm.filter(moves), hmm.probabilities_, atol=1e-12)
    changed = moves.copy()
    changed[400:] *= 5
    np.testing.assert_allclose(hmm.filter(changed)[:400], hmm.probabilities_[:400], atol=1e-12)
    np.testing.assert_allclose(hmm.filter(moves[:400]), hmm.probabilities_[:400], atol=1e-12)


def test_one_state_is_the_sample() -> None:
    moves, _ = switching(drivers=2)
    hmm = GaussianHmm(states=1).fit(moves)
    np.testing.assert_allclose(hmm.covariances_[0], np.cov(moves.T, ddof=0), rtol=1e-10)
    np.testing.assert_allclose(hmm.means_[0], moves.mean(axis=0))


def test_each_iteration_raises_the_likelihood_or_is_an_error(monkeypatch) -> None:
    moves, _ = switching(300)
    scores = [GaussianHmm(iterations=n, tolerance=0.0).fit(moves).log_likelihood_ for n in range(2, 8)]
    assert (np.diff(scores) >= -1e-9).all()
    expect = GaussianHmm._expect
    calls = []

    def falling(self, values):
        calls.append(1)
        smoothed, counts, likelihood = expect(self, values)
        return smoothed, counts, likelihood - 10 * len(calls) ** 2

    monkeypatch.setattr(GaussianHmm, "_expect", falling)
    with pytest.raises(SolverError, match="log likelihood fell"):
        GaussianHmm().fit(moves)


def test_what_cannot_be_fitted_is_named() -> None:
    moves, _ = switching(40, drivers=2)
    with pytest.raises(DataError, match="a state is left with"):
        GaussianHmm(states=20).fit(moves)
    with pytest.raises(DataError, match="constant or collinear"):
        GaussianHmm().fit(moves[:, [0, 0]])
    with pytest.raises(SpecError, match="states is 0"):
        GaussianHmm(states=0).fit(moves)
    with pytest.raises(SpecError, match="market driver SPX is not"):
        RegimeRisk(market=("SPX",)).fit(moves)


def test_regime_risk_is_the_probability_weighted_sum_of_covariances() -> None:
    moves, _ = switching(drivers=4)
    risk = RegimeRisk().fit(moves)
    expected = 0.0
    for probability, weight in zip(risk.hmm_.probabilities_.T, risk.weights_, strict=True):
        expected = expected + weight * (moves.T * probability) @ moves / probability.sum()
    np.testing.assert_allclose(risk.risk_.covariance(), expected, rtol=1e-10, atol=COVARIANCE)
    assert risk.weights_.sum() == pytest.approx(1.0)
    assert risk.risks_[0].volatility().mean() < risk.risks_[1].volatility().mean()


def test_regime_risk_takes_any_base_and_named_markets() -> None:
    values, states = switching(drivers=3)
    moves = pd.DataFrame(values, columns=["BTC", "ETH", "SOL"])
    moves.attrs["periods_per_year"] = 365
    risk = RegimeRisk(EwmaRisk(halflife=100), market=("BTC", "ETH")).fit(moves)
    assert risk.hmm_.means_.shape == (2, 2)
    assert risk.risk_.periods_per_year == 365
    wild = RegimeRisk(EwmaRisk(halflife=100)).fit(moves.iloc[: np.flatnonzero(states[200:] == 1)[5] + 201])
    assert wild.weights_[1] > 0.5


def test_the_future_never_changes_the_risk() -> None:
    moves, _ = switching(drivers=3)
    changed = moves.copy()
    changed[500:] = 7.0
    first, second = (RegimeRisk().fit(m[:500]).risk_.root for m in (moves, changed))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("estimator", [GaussianHmm(states=1), RegimeRisk(states=1)], ids=["hmm", "risk"])
def test_scikit_learn_accepts_the_estimators(estimator) -> None:
    checks = check_estimator(estimator, on_fail=None, on_skip=None)
    failed = {c["check_name"]: c["exception"] for c in checks if c["status"] == "failed"}
    assert failed == {}


def test_leptokurtosis_is_scipys_and_flags_fat_tails_only() -> None:
    rng = np.random.default_rng(1)
    moves = pd.DataFrame({"normal": rng.standard_normal(3000), "fat": rng.standard_t(4, 3000)})
    moves.iloc[:100, 1] = np.nan
    table = leptokurtosis(moves)
    assert table.loc["fat", "excess_kurtosis"] == pytest.approx(kurtosis(moves["fat"].dropna(), bias=False))
    assert abs(table.loc["normal", "t_statistic"]) < 3 < 10 < table.loc["fat", "t_statistic"]
    assert table.loc["normal", "expected_days"] == pytest.approx(3000 * 0.0026998, rel=1e-4)
    assert table.loc["fat", "tail_days"] > 2 * table.loc["fat", "expected_days"]
    with pytest.raises(DataError, match="fat has 0 moves"):
        leptokurtosis(moves.iloc[:50])


def test_choosing_wild_days_alone_is_no_breakdown_but_a_changed_correlation_is() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal(8000)
    steady = 0.5 * x + np.sqrt(0.75) * rng.standard_normal(8000)
    broken = np.where(np.abs(x) > 1.5, 0.0, 0.5) * x + np.sqrt(0.75) * rng.standard_normal(8000)
    table = correlation_breakdown(pd.DataFrame({"M": x, "steady": steady, "broken": broken}), "M")
    assert table.loc["steady", "stressed"] > table.loc["steady", "all"] + 0.1
    assert abs(table.loc["steady", "t_statistic"]) < 3
    assert table.loc["broken", "t_statistic"] < -5
    with pytest.raises(DataError, match="SPX is not a driver"):
        correlation_breakdown(pd.DataFrame({"M": x}), "SPX")


@pytest.mark.parametrize("wrong", [{"states": 2.0}, {"states": 0}, {"iterations": 0}, {"iterations": "9"}])
def test_states_and_iterations_that_are_no_whole_numbers_are_refused_by_name(wrong: dict) -> None:
    with pytest.raises(SpecError, match=f"GaussianHmm: {next(iter(wrong))} is"):
        GaussianHmm(**wrong).fit(switching()[0])
