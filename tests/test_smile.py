"""Moves of a smile: planted moves are read back, scenarios have their covariance, noise is each contract's own."""

import numpy as np
import pandas as pd
import pytest
from desks import options

from optihedge.errors import DataError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.tail import ScenarioVariance
from optihedge.market.scenarios import scenario_pnl
from optihedge.market.snapshot import Market
from optihedge.risk.smile import draw_shocks, smile_history, smile_move, smile_noise

STRIKES = (80.0, 90.0, 95.0, 100.0, 105.0, 110.0, 120.0)


def moved(market: Market, vol: float, term: float, skew: float, spot: float) -> Market:
    """The market an instant later, its vols shifted by a planted move of the smile and its spot by a return."""
    c = market.contracts
    life = np.where(c.option, c.years, 1.0)
    moneyness = np.log(np.where(c.option, c.strike, 1) / c.forward)
    shift = vol + term * np.sqrt(30 / 365 / life) + skew * moneyness / np.sqrt(life)
    quotes = market.quotes.assign(vol=np.where(c.option, c.vol + shift, np.nan))
    for side in ("bid", "ask", "mark"):
        quotes[side] = np.where(c.option, quotes[side], quotes[side] * (1 + spot))
    return Market(
        market.instruments.reset_index(), quotes.reset_index(), "USD", drivers=market.drivers.reset_index(),
        history=market.history, as_of=market.as_of,
    )  # fmt: skip


def past_moves() -> pd.DataFrame:
    values = np.random.default_rng(0).normal(size=(40, 4)) * [0.01, 0.004, 0.006, 0.01]
    return pd.DataFrame(values, columns=["spot", "vol", "term", "skew"])


def test_a_planted_move_is_read_back():
    market = options(strikes=STRIKES, days=(10, 30, 90))
    move = smile_move(market, moved(market, 0.01, -0.004, -0.02, 0.03), "U")
    assert move[["spot", "vol", "term", "skew"]].tolist() == pytest.approx([0.03, 0.01, -0.004, -0.02], abs=1e-10)
    assert move["noise"] == pytest.approx(0.0, abs=1e-10)


def test_a_history_has_one_move_per_pair_of_markets():
    market = options(strikes=STRIKES, days=(10, 30, 90))
    history = smile_history([market, moved(market, 0.01, 0, 0, 0), market], "U")
    assert history["vol"].tolist() == pytest.approx([0.01, -0.01], abs=1e-10)


def test_too_few_common_options_are_refused():
    market = options(strikes=(100.0,), days=(30,))
    with pytest.raises(DataError, match="2 options of U are quoted both"):
        smile_move(market, market, "U")


def test_shocks_have_no_mean_the_past_covariance_and_one_seed():
    history = past_moves()
    shocks = draw_shocks(history, 20_000, days=3)
    np.testing.assert_allclose(shocks.iloc[:, :4].mean(), 0.0, atol=1e-15)
    np.testing.assert_allclose(shocks.iloc[:, :4].cov(), history.cov(), atol=0.05 * 1e-4)
    pd.testing.assert_frame_equal(shocks, draw_shocks(history, 20_000, days=3))
    assert (shocks["days"] == 3.0).all()
    with pytest.raises(DataError, match="2 past moves"):
        draw_shocks(history[:2], 10)


def test_past_moves_without_their_numbers_are_refused():
    history = past_moves()
    with pytest.raises(DataError, match="column skew is missing"):
        draw_shocks(history.drop(columns="skew"), 10)
    history.loc[2, "vol"] = np.nan
    with pytest.raises(DataError, match="row 3: vol is empty; give a number"):
        draw_shocks(history, 10)


@pytest.mark.parametrize("noise", [-1.0, np.nan, np.inf])
def test_a_noise_that_is_no_deviation_is_refused(noise):
    with pytest.raises(DataError, match=r"noise is .*; give a deviation of vol"):
        smile_noise(options(strikes=(100.0,), days=(30,)), noise)


def test_noise_is_a_diagonal_that_no_other_contract_hedges():
    """Two alike options cancel in every scenario; with noise of their own the hedge is smaller than one to one."""
    market = options(strikes=(100.0, 100.5), days=(30,))
    names = ["C100-30", "C100.5-30"]
    pnl = scenario_pnl(market, draw_shocks(past_moves(), 400), names)
    delta = market.exposures["delta"]
    quiet, loud = (
        HedgeModel(objective=(ScenarioVariance(pnl, 1.0, noise=noise),), universe=names[1:], capital=1e6)
        .hedge(market, {names[0]: -10.0}).trades[names[1]]
        for noise in (None, smile_noise(market, 0.01))
    )  # fmt: skip
    assert quiet == pytest.approx(10.0 * delta[names[0]] / delta[names[1]], rel=0.05)
    assert 0 < loud < 0.95 * quiet
    assert smile_noise(market, 0.01)["U"] == 0.0
