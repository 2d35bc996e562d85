"""Vol after a move of the spot, and the minimum-variance delta with its gain."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from recorded import spx_chain, with_forwards

from optihedge.errors import DataError, SpecError
from optihedge.market.dynamics import (
    MinimumVarianceDelta,
    fit_minimum_variance_delta,
    hedging_gain,
    moved_vol,
    smile_delta,
)
from optihedge.market.pricing import black, greeks, implied_vol
from optihedge.market.surface import Surface, svi_surface
from optihedge.market.svi import SviSlice

YEARS = 0.25
STRIKES = np.array([80.0, 95.0, 100.0, 110.0])


@pytest.fixture(scope="module")
def surface() -> Surface:
    near = SviSlice(a=0.01, b=0.06, rho=-0.5, m=0.02, sigma=0.12)
    far = SviSlice(a=0.02, b=0.07, rho=-0.45, m=0.02, sigma=0.15)
    return svi_surface([near, far], [YEARS, 0.5], [100.0, 100.0], [1.0, 1.0])


def test_without_a_move_every_rule_keeps_the_surface(surface: Surface) -> None:
    today = surface.vol(np.log(STRIKES / 100), YEARS)
    for rule in ("sticky_strike", "sticky_moneyness", "sticky_delta"):
        assert np.allclose(moved_vol(surface, STRIKES, YEARS, 0.0, rule), today, rtol=1e-12)


def test_a_rally_leaves_a_strikes_vol_or_its_moneyness_vol(surface: Surface) -> None:
    today = surface.vol(np.log(STRIKES / 100), YEARS)
    assert np.allclose(moved_vol(surface, STRIKES, YEARS, 0.05, "sticky_strike"), today)
    for rule in ("sticky_moneyness", "sticky_delta"):
        moved = moved_vol(surface, 1.05 * STRIKES, YEARS, 0.05, rule)
        assert np.allclose(moved, today, rtol=1e-12)


def test_as_time_passes_sticky_delta_keeps_the_smile_in_deltas(surface: Surface) -> None:
    """Three quarters of the time gone: half the distance in log-moneyness is as many deviations as before."""
    strike = 100 * np.exp([-0.2, 0.1])
    nearer = 100 * np.exp([-0.1, 0.05])
    today = surface.vol([-0.2, 0.1], YEARS)
    assert np.allclose(moved_vol(surface, nearer, YEARS, 0.0, "sticky_delta", elapsed=0.75 * YEARS), today, rtol=1e-12)
    assert np.allclose(moved_vol(surface, strike, YEARS, 0.0, "sticky_moneyness", elapsed=0.75 * YEARS), today)
    with pytest.raises(DataError, match="1 contracts expire within the elapsed"):
        moved_vol(surface, strike, YEARS, 0.0, "sticky_delta", elapsed=0.3)


def test_the_smile_delta_is_the_derivative_of_the_price_under_its_rule(surface: Surface) -> None:
    step = 1e-4
    vol = surface.vol(np.log(STRIKES / 100), YEARS)
    x = np.log(STRIKES / 100)
    skew = (surface.vol(x + step, YEARS) - surface.vol(x - step, YEARS)) / (2 * step)
    g = greeks(100.0, 100.0, STRIKES, YEARS, vol, 1)
    for rule in ("sticky_strike", "sticky_moneyness", "sticky_delta"):
        up, down = (
            black(100 * (1 + r), STRIKES, YEARS, moved_vol(surface, STRIKES, YEARS, r, rule), 1) for r in (step, -step)
        )
        assert np.allclose(smile_delta(g.delta, g.vega, 100.0, skew, rule), (up - down) / (200 * step), atol=1e-5)


def test_an_unknown_rule_is_refused(surface: Surface) -> None:
    with pytest.raises(SpecError, match="use sticky_strike, sticky_moneyness or sticky_delta"):
        moved_vol(surface, STRIKES, YEARS, 0.0, "sticky")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="unknown dynamics 'sticky'"):
        smile_delta(0.5, 1.0, 100.0, 0.0, "sticky")  # type: ignore[arg-type]


def test_the_regression_finds_the_law_that_moved_the_vols_and_gains_what_it_explains() -> None:
    """Vols moved by (a + b delta + c delta^2) / sqrt(T) times the return, plus noise."""
    rng = np.random.default_rng(3)
    n = 4_000
    strike, years = 100 * np.exp(rng.normal(0, 0.08, n)), rng.uniform(0.1, 1.0, n)
    g = greeks(100.0, 100.0, strike, years, 0.2, 1)
    law = MinimumVarianceDelta(a=-0.25, b=0.3, c=-0.1)
    move = rng.normal(0, 1.0, n)
    noise = rng.normal(0, 0.002, n) * g.vega
    change = law.delta(g.delta, g.delta, g.vega, years, 100.0) * move + noise
    found = fit_minimum_variance_delta(g.delta, g.delta, g.vega, years, 100.0, move, change)
    assert found.a == pytest.approx(law.a, abs=0.03)
    assert found.b == pytest.approx(law.b, abs=0.1)
    assert found.c == pytest.approx(law.c, abs=0.1)
    error = change - found.delta(g.delta, g.delta, g.vega, years, 100.0) * move
    gain = hedging_gain(error, change - g.delta * move)
    assert gain == pytest.approx(1 - np.sum(noise**2) / np.sum((change - g.delta * move) ** 2), abs=2e-3)
    with pytest.raises(DataError, match="needs 30 observations, found 29"):
        fit_minimum_variance_delta(*(a[:29] for a in (g.delta, g.delta, g.vega, years, strike, move, change)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"vega": np.r_[1.0, np.nan, np.ones(38)]}, "row 2: vega is nan; drop the row"),
        ({"years": np.r_[0.0, np.ones(39)]}, "row 1: years is 0.0; .* above zero"),
        ({"value_move": np.ones(39)}, "rows of one length, found 40 delta, .*39 value_move; align them"),
    ],
)
def test_rows_that_hold_no_observation_are_refused_by_name(changed: dict[str, np.ndarray], message: str) -> None:
    names = ("delta", "call_delta", "vega", "years", "spot", "spot_move", "value_move")
    with pytest.raises(DataError, match=message):
        fit_minimum_variance_delta(**{**{name: np.ones(40) for name in names}, **changed})


def test_a_move_that_no_spot_makes_is_refused(surface: Surface) -> None:
    with pytest.raises(DataError, match=r"spot_return is -1\.5; give a return above -1"):
        moved_vol(surface, STRIKES, YEARS, -1.5, "sticky_moneyness")
    with pytest.raises(DataError, match=r"row 2: strike is -1\.0; give a strike above zero"):
        moved_vol(surface, [100.0, -1.0], YEARS, 0.0, "sticky_strike")


def next_day_moves(chain: pd.DataFrame) -> pd.DataFrame:
    """Two-sided options of 14 to 365 days and 5 to 95 call delta with their Greeks and the moves to the next day."""
    chain = chain[(chain["bid"] > 0)].copy()
    chain["mid"] = (chain["bid"] + chain["ask"]) / 2
    terms = [chain[c] for c in ("forward", "strike", "years")]
    vol = implied_vol(chain["mid"], *terms, chain["sign"], chain["discount"])
    g = greeks(chain["forward"], *terms, vol, chain["sign"], chain["discount"])
    chain["black"], chain["vega"] = g.delta, g.vega
    chain["call"] = greeks(chain["forward"], *terms, vol, 1.0).delta
    days = np.sort(chain["quotedate"].unique())
    chain["next"] = chain["quotedate"].map(dict(pairwise(days)))
    key = ["expiration", "root", "right", "strike"]
    later = chain[["quotedate", *key, "mid", "forward"]].rename(columns={"quotedate": "next"})
    pairs = chain.merge(later, on=["next", *key], suffixes=("", "_next"))
    pairs = pairs[pairs["days"].between(14, 365) & pairs["call"].between(0.05, 0.95)]
    return pairs.assign(move=pairs["forward_next"] - pairs["forward"], change=pairs["mid_next"] - pairs["mid"])


@pytest.mark.slow
def test_on_the_recorded_index_days_vols_fall_with_a_rally_and_the_gain_is_not_significant(recorded) -> None:  # type: ignore[no-untyped-def]
    """33 days hold two days of real movement: what is gained in sample is not found again in the days left out."""
    pairs = next_day_moves(with_forwards(spx_chain(recorded("spx_options_2019"))))

    def fit(rows: pd.DataFrame) -> MinimumVarianceDelta:
        columns = ("black", "call", "vega", "years", "forward", "move", "change")
        return fit_minimum_variance_delta(*(rows[c] for c in columns))

    def errors(law: MinimumVarianceDelta, rows: pd.DataFrame) -> pd.Series:
        delta = law.delta(rows["black"], rows["call"], rows["vega"], rows["years"], rows["forward"])
        return rows["change"] - delta * rows["move"]

    law = fit(pairs)
    assert law.a + law.b / 2 + law.c / 4 < 0
    plain = pairs["change"] - pairs["black"] * pairs["move"]
    assert 0.05 < hedging_gain(errors(law, pairs), plain) < 0.3
    by_day = []
    for day, rows in pairs.groupby("quotedate"):
        error = errors(fit(pairs[pairs["quotedate"] != day]), rows)
        by_day.append((np.sum(error**2), np.sum(plain[rows.index] ** 2)))
    ours, theirs = np.array(by_day).T
    picks = np.random.default_rng(0).integers(0, len(ours), (2_000, len(ours)))
    low, high = np.quantile(1 - ours[picks].sum(axis=1) / theirs[picks].sum(axis=1), [0.05, 0.95])
    assert low < 0 < high
