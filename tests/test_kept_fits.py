"""What is kept of a fit changes nothing: a fit is a function of what was learnt, to the bit, in any order of asking."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from test_panel import TERMS

import optihedge as oh
from optihedge.risk import kept
from optihedge.risk.prior import fitted_risk
from optihedge.risk.ragged import from_whole_period

ADAPTIVE = oh.AdaptiveRisk(scale_halflives=(3.0, 4.0, 5.0), window=90)
ESTIMATORS = [oh.EwmaRisk(), oh.FactorRisk(3), ADAPTIVE, oh.AdaptiveRisk(oh.FactorRisk(2), refresh=3)]


class Own(oh.EwmaRisk):
    """A desk's own estimator, which may read more than its moves."""


def some_moves(rows: int = 150, drivers: int = 25, missing: float = 0.0, late: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    values = 0.01 * (rng.normal(size=(rows, 1)) + rng.normal(size=(rows, drivers)))
    values[rng.random(values.shape) < missing] = np.nan
    values[:late, 3] = np.nan
    return pd.DataFrame(values, pd.bdate_range("2025-01-01", periods=rows, tz="UTC"), [f"D{i}" for i in range(drivers)])


def same(one: oh.Risk, other: oh.Risk) -> None:
    assert one.root.tobytes() == other.root.tobytes()
    assert one.specific.tobytes() == other.specific.tobytes()
    assert one.drivers.equals(other.drivers) and one.periods_per_year == other.periods_per_year


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@given(
    windows=st.lists(st.tuples(st.sampled_from([0, 0, 7]), st.integers(80, 150)), min_size=2, max_size=8),
    missing=st.sampled_from([0.0, 0.05]), late=st.sampled_from([0, 60]),
)  # fmt: skip
@settings(max_examples=12)
def test_a_kept_fit_is_the_fresh_fit_whatever_was_asked_before(estimator, windows, missing, late):
    moves = some_moves(missing=missing, late=late)
    for first, end in windows:
        asked = moves.iloc[first:end]
        same(kept.fitted_on(estimator, asked).risk_, clone(estimator).fit(asked).risk_)


@pytest.mark.parametrize("cuts", [range(70, 150), (20, 55, 61, 90), (149,)], ids=["rows", "chunks", "one"])
@pytest.mark.parametrize("estimator", ESTIMATORS[2:], ids=str)
def test_adaptive_risk_in_steps_is_that_of_all_rows_to_the_bit(estimator, cuts):
    moves, online = some_moves(missing=0.02), clone(estimator)
    for start, stop in pairwise([0, *cuts, len(moves)]):
        online.partial_fit(moves.iloc[start:stop])
    same(online.risk_, clone(estimator).fit(moves).risk_)


def test_another_parameter_calendar_label_or_cell_is_another_fit():
    moves = some_moves()
    first = kept.fitted_on(ADAPTIVE, moves)
    assert kept.fitted_on(clone(ADAPTIVE), moves.copy()) is first
    cell, label, day = moves.copy(), moves.rename(columns={"D3": "X"}), moves.set_axis(moves.index + pd.Timedelta("1h"))
    cell.iloc[40, 2] += 1e-9
    yearly = moves.copy()
    yearly.attrs["periods_per_year"] = 365.0
    market, kind = moves.copy(), moves.copy()
    market.attrs["markets"], kind.attrs["kinds"] = ["D3"], {"D3": "vol"}
    for other in (cell, label, day, yearly, market, kind):
        assert kept.fitted_on(ADAPTIVE, other) is not first
    assert kept.fitted_on(clone(ADAPTIVE).set_params(window=91), moves) is not first
    assert kept.fitted_on(clone(ADAPTIVE).set_params(base=oh.FactorRisk(4)), moves) is not first


def test_moves_that_change_later_do_not_change_what_is_kept():
    moves = some_moves()
    before = kept.fitted_on(ADAPTIVE, moves).risk_.root.copy()
    changed = moves.copy()
    moves.iloc[:] = 1.0
    np.testing.assert_array_equal(kept.fitted_on(ADAPTIVE, changed).risk_.root, before)


class OwnBase(oh.FactorRisk):
    """Likewise, inside another."""


@pytest.mark.parametrize("estimator", [Own(), oh.AdaptiveRisk(OwnBase()), oh.SampleRisk(LedoitWolf())], ids=str)
def test_an_estimator_that_is_not_all_ours_is_fitted_every_time(estimator):
    moves = some_moves()
    assert kept.parameters(estimator) is None
    assert kept.fitted_on(estimator, moves) is not kept.fitted_on(estimator, moves)


def test_few_fits_are_kept(monkeypatch):
    moves = some_moves()
    monkeypatch.setattr(kept, "_BYTES", 3 * moves.to_numpy().nbytes)
    for halflife in range(20, 40):
        kept.fitted_on(oh.EwmaRisk(halflife), moves)
    assert len(kept._FITS) == 3


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(3)
    levels = 50 * np.exp(np.cumsum(0.02 * (rng.normal(size=(560, 1)) + rng.normal(size=(560, 25))), axis=0))
    days = pd.bdate_range("2023-01-09 21:00", periods=560, tz="UTC")
    return oh.Panel.from_prices(pd.DataFrame(levels, days, [f"S{i}" for i in range(25)]), rows=505, **TERMS)


def test_the_days_of_a_panel_learn_what_each_learns_alone(panel):
    """Forwards, backwards and by itself: a walk and a night know one risk."""
    found = [fitted_risk(oh.AdaptiveRisk(), market) for market in panel]
    again = [fitted_risk(oh.AdaptiveRisk(), market) for market in list(panel)[::-1]][::-1]
    for place in range(0, len(panel), 9):
        kept._FITS.clear()
        alone = fitted_risk(oh.AdaptiveRisk(), panel.at(panel.times[place]))
        same(found[place], alone)
        same(again[place], alone)


def test_a_day_of_a_walk_fits_the_base_again_at_every_refresh_alone(panel, monkeypatch):
    fits, before = [], oh.AdaptiveRisk._fit_base
    monkeypatch.setattr(oh.AdaptiveRisk, "_fit_base", lambda *given: (fits.append(1), before(*given))[1])
    kept._FITS.clear()
    counts = []
    for market in list(panel)[:40]:
        fits.clear()
        fitted_risk(oh.AdaptiveRisk(), market)
        counts.append(len(fits))
    whole, rest = [count for count in counts if count > 1], [count for count in counts if count <= 1]
    assert len(whole) <= 2 and sum(rest) == pytest.approx(len(rest) / 5, abs=1)


@pytest.mark.parametrize("rows", [100, 252, 504])
def test_windows_that_roll_begin_with_one_row_a_quarter_or_month_and_lose_little(rows):
    index = pd.bdate_range("2023-01-02", periods=900, tz="UTC")
    moves = pd.DataFrame({"A": np.arange(900.0)}, index)
    moves.attrs["kinds"] = "told"
    firsts = []
    for start in range(390):
        window = moves.iloc[start : start + rows]
        window.attrs = dict(moves.attrs)
        whole = from_whole_period(window)
        assert whole.attrs == moves.attrs
        assert whole.index[-1] == window.index[-1]
        assert len(whole) >= 0.85 * rows
        firsts.append(whole.index[0])
    assert firsts == sorted(firsts)
    if rows == 504:
        assert len(set(firsts)) <= 8  # quarters in 390 days and the one before
        assert {first.month for first in firsts} == {1, 4, 7, 10}


def test_history_from_the_first_weekday_of_a_quarter_or_without_dates_is_taken_whole():
    for index in (pd.bdate_range("2023-01-02", periods=300), pd.RangeIndex(300)):
        assert from_whole_period(pd.DataFrame({"A": 0.0}, index)).index[0] == index[0]
