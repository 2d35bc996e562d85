"""Adaptive risk: each group's scale follows what happened, chunks equal the whole, ragged histories."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import perpetual_closes
from sklearn.base import clone

from optihedge.errors import DataError, SpecError
from optihedge.risk.adaptive import AdaptiveRisk, realised_squares
from optihedge.risk.factor import FactorRisk, StackedRisk
from optihedge.risk.observed import FundamentalRisk, ObservedFactorRisk
from optihedge.risk.root import Risk

ONLINE = 1e-12  # relative, between chunks and the whole
DRIVERS = 30


def moves_of(
    rows: int, seed: int = 0, market: float = 1.0, specific: float = 1.0, missing: float = 0.0
) -> pd.DataFrame:
    """One market and two styles over 30 drivers; volatilities of market and specific moves in percent."""
    rng = np.random.default_rng(seed)
    loadings = np.vstack([rng.uniform(0.7, 1.3, DRIVERS), 0.5 * rng.normal(size=(2, DRIVERS))])
    rng = np.random.default_rng(seed + 1)
    returns = 0.01 * rng.normal(size=(rows, 3)) * [market, 1, 1]
    values = returns @ loadings + 0.01 * specific * rng.normal(size=(rows, DRIVERS))
    values[rng.uniform(size=values.shape) < missing] = np.nan
    return pd.DataFrame(values, columns=[f"D{i}" for i in range(DRIVERS)])


def follow(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True)


BOOKS = {"market": np.ones(DRIVERS) / DRIVERS, "specific": np.eye(DRIVERS)[0] - np.eye(DRIVERS)[1]}


@pytest.mark.parametrize(("group", "other"), [("market", "specific"), ("specific", "market")])
def test_a_change_in_one_group_is_followed_there_and_only_there(group, other):
    calm = moves_of(600)
    wild = follow(calm, moves_of(60, seed=0, **{group: 2.0}))
    before, after = (AdaptiveRisk(FactorRisk(3)).fit(m).risk_ for m in (calm, wild))
    ratio = {name: np.sqrt(after.variance(book) / before.variance(book)) for name, book in BOOKS.items()}
    assert 1.6 < ratio[group] < 2.4
    assert 0.75 < ratio[other] < 1.35


def test_a_steady_world_has_scales_of_one_and_its_own_volatilities():
    fitted = AdaptiveRisk(FactorRisk(3), volatility_halflife=250, scale_halflives=(100, 100, 100)).fit(moves_of(2000))
    np.testing.assert_allclose(fitted.scales_, 1.0, atol=0.12)
    truth = moves_of(20_000).std()
    np.testing.assert_allclose(fitted.risk_.volatility(), truth, rtol=0.15)


def test_realised_squares_average_to_one_when_the_risk_is_right():
    rng = np.random.default_rng(3)
    root, specific = rng.normal(size=(3, DRIVERS)), rng.uniform(0.5, 2.0, DRIVERS)
    risk = Risk(root, specific, pd.RangeIndex(DRIVERS))
    moves = rng.normal(size=(20_000, 3)) @ root + rng.normal(size=(20_000, DRIVERS)) * specific
    groups = np.array(["market", "factors", "factors"], dtype=object)
    np.testing.assert_allclose(realised_squares(risk, groups, moves).mean(axis=0), 1.0, atol=0.04)
    moves[::2, :10] = np.nan
    np.testing.assert_allclose(realised_squares(risk, groups, moves).mean(axis=0), 1.0, atol=0.04)


@pytest.mark.parametrize(
    "base",
    [
        FactorRisk(3),
        FundamentalRisk(),
        ObservedFactorRisk(("D0", "D1")),
        StackedRisk((ObservedFactorRisk(("D0",)), FactorRisk(2))),
    ],
    ids=lambda b: type(b).__name__,
)
def test_any_factor_model_can_be_the_base(base):
    moves = moves_of(300)
    risk = AdaptiveRisk(base).fit(moves).risk_
    np.testing.assert_allclose(risk.volatility(), moves.std(), rtol=0.5)


@given(cuts=st.lists(st.integers(20, 319), max_size=4, unique=True), missing=st.sampled_from([0.0, 0.05]))
@settings(max_examples=6)
def test_chunks_equal_the_whole(cuts, missing):
    moves = moves_of(320, missing=missing)
    estimator = AdaptiveRisk(FactorRisk(3), scale_halflives=(5, 10, 10), window=150, refresh=7)
    online = clone(estimator)
    for start, stop in pairwise([0, *sorted(cuts), len(moves)]):
        online.partial_fit(moves.iloc[start:stop])
    whole = estimator.fit(moves).risk_.covariance()
    np.testing.assert_allclose(online.risk_.covariance(), whole, rtol=1e3 * ONLINE, atol=ONLINE * whole.max().max())


def test_chunks_equal_the_whole_when_a_driver_was_listed_just_now():
    moves = moves_of(280)
    moves["D4"] = moves["D4"].where(moves.index >= 250)
    estimator = AdaptiveRisk(FactorRisk(3), scale_halflives=(5, 10, 10), window=150, refresh=7)
    online = clone(estimator).fit(moves.iloc[:260])  # nine moves of D4 when the base was due
    for start, stop in ((260, 263), (263, 280)):
        online.partial_fit(moves.iloc[start:stop])
    whole = estimator.fit(moves).risk_.covariance()
    np.testing.assert_allclose(online.risk_.covariance(), whole, rtol=1e3 * ONLINE, atol=ONLINE * whole.max().max())


def test_a_driver_listed_last_month_has_its_own_volatility():
    moves = moves_of(400)
    late = moves.assign(D7=3 * moves["D7"].where(moves.index >= 380))
    risk = AdaptiveRisk().fit(late).risk_
    assert risk.volatility()["D7"] == pytest.approx(3 * moves["D7"].iloc[-20:].std(), rel=0.5)


def test_few_drivers_and_one_driver_are_served():
    moves = moves_of(200)
    for count in (1, 2, 3):
        np.testing.assert_allclose(
            AdaptiveRisk().fit(moves.iloc[:, :count]).risk_.volatility(), moves.iloc[:, :count].std(), rtol=0.5
        )


@pytest.mark.parametrize(
    ("fit", "error", "message"),
    [
        (lambda m: AdaptiveRisk(scale_halflives=(1, 2)).fit(m), SpecError, "three positive scale_halflives"),
        (lambda m: AdaptiveRisk(volatility_halflife=0).fit(m), SpecError, "positive volatility_halflife"),
        (lambda m: AdaptiveRisk(window=10).fit(m), SpecError, "window of at least 60"),
        (lambda m: AdaptiveRisk().fit(m.assign(D3=m["D3"].where(m.index > 95))), DataError, "driver D3 has 4 observed"),
    ],
)
def test_wrong_input_is_named(fit, error, message):
    with pytest.raises(error, match=message):
        fit(moves_of(100))


def test_perpetuals_listed_late_are_served_with_the_others(recorded):
    moves = perpetual_closes(recorded("crypto_perp_daily")).pct_change(fill_method=None).iloc[1:]
    risk = AdaptiveRisk().fit(moves).risk_
    assert len(risk.drivers) == 70
    own = np.sqrt((moves**2).ewm(halflife=42).mean().iloc[-1])
    assert (risk.volatility() / own).between(0.5, 1.5).all()


@pytest.mark.parametrize("halflife", [42.0, None])
def test_a_driver_unobserved_for_longer_than_the_window_keeps_its_risk(halflife: float | None) -> None:
    moves = 0.01 * np.random.default_rng(0).normal(size=(900, 6))
    moves[:, 3] = 2 * moves[:, 2] + 0.5 * moves[:, 3]
    moves[150:, 3] = np.nan
    model = AdaptiveRisk(window=200, volatility_halflife=halflife)
    last = clone(model).fit(moves[:335]).risk_
    online = clone(model).fit(moves[:150])
    for start, stop in pairwise((150, 300, 340, 341, 600, 603, 900)):
        online.partial_fit(moves[start:stop])
    whole = clone(model).fit(moves).risk_
    np.testing.assert_allclose(online.risk_.covariance(), whole.covariance(), rtol=1e-9, atol=1e-16)
    assert len(online._history) <= 200 + 5 + 10
    assert whole.volatility()[3] == pytest.approx(last.volatility()[3], rel=0.25)
    assert whole.correlation().loc[2, 3] == pytest.approx(last.correlation().loc[2, 3], abs=0.2)


def test_a_row_that_is_refused_changes_nothing() -> None:
    moves = 0.01 * np.random.default_rng(0).normal(size=(120, 4))
    model, bad = AdaptiveRisk().fit(moves[:100]), moves[100:102].copy()
    bad[0, 1] = np.inf
    before = dict(vars(model))
    for call in (model.partial_fit, model.fit):
        with pytest.raises(DataError):
            call(bad)
    model.set_params(base=FactorRisk(factors=50))  # fails late, with the rows already taken in
    with pytest.raises(SpecError):
        model.partial_fit(moves[100:])
    model.set_params(base=None)
    assert all(vars(model)[name] is value for name, value in before.items())
    risk = model.partial_fit(moves[100:]).risk_
    np.testing.assert_allclose(risk.covariance(), AdaptiveRisk().fit(moves).risk_.covariance(), rtol=1e-9)
