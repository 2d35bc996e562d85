"""The moved market and the ladder: marks move as they are revalued, the policy's next act is found, nothing is kept."""

import numpy as np
import pandas as pd
import pytest
from nights import DeltaRule, coin_markets, path

from optihedge.accounts.valuation import equity, opening
from optihedge.errors import DataError, SpecError
from optihedge.market.moved import moved
from optihedge.market.scenarios import scenario_pnl
from optihedge.step.ladder import ladder, monitor
from optihedge.step.policies.triggers import Band, RollDue
from optihedge.step.step import step

BOOK = {"C1": -10.0, "P1": 4.0, "FUT1": 300.0, "COIN": 3.0}


@pytest.mark.parametrize("base", ["USD", "BTC"])
@pytest.mark.parametrize(
    "shock", [{"spot": 0.05}, {"spot:BTC": -0.1, "vol": 0.08}, {"days": 3.0}, {"spot": 0.02, "days": 1.0, "vol": -0.05}]
)
def test_a_moved_market_is_worth_what_revaluation_says(base, shock):
    market = coin_markets(path(5), base)[-1]
    after = moved(market, shock)
    state = opening("b", market, BOOK)
    gained = equity(state, after) - equity(state, market)
    free = market.exposures["delta"].index
    expected = scenario_pnl(market, pd.DataFrame([shock])).iloc[0].reindex(free)
    assert gained == pytest.approx(float(pd.Series(BOOK) @ expected[list(BOOK)]), rel=1e-9)
    assert after.as_of == market.as_of + pd.Timedelta(days=shock.get("days", 0.0))
    pd.testing.assert_frame_equal(after.moves(), market.moves(), rtol=1e-9)
    spread = (market.quotes["ask"] - market.quotes["bid"]).reindex(after.names)
    kept = (after.quotes["ask"] - after.quotes["bid"]).dropna()
    assert len(kept) >= 5
    np.testing.assert_allclose(kept, spread[kept.index], rtol=1e-6, atol=1e-12)
    same = moved(market, {"spot": 0.0})
    np.testing.assert_allclose(same.exposures["delta"], market.exposures["delta"], rtol=1e-9)


def test_what_cannot_be_moved_is_refused():
    market = coin_markets(path(2))[-1]
    with pytest.raises(DataError, match="moved: skew is not among"):
        moved(market, {"skew": 0.1})
    with pytest.raises(DataError, match="days is -1"):
        moved(market, {"days": -1.0})


def test_the_ladder_finds_the_spot_at_which_the_band_is_left():
    market = coin_markets(path(3))[-1]
    opened = opening("b", market, BOOK)
    first = step(opened, None, market, DeltaRule())
    fills_at_mark = {order.instrument: order.quantity for order in first.state.orders}
    state = opening("b", market, BOOK, hedge=fills_at_mark)
    policy = Band("delta", 10_000.0)
    before = state.hash
    assert step(state, None, market, DeltaRule(), policy).status == "idle"
    table = ladder(
        state,
        market,
        DeltaRule(),
        policy,
        spots=(-0.03, -0.012, -0.004, 0.004, 0.012, 0.03),
        vols=(),
        days=(),
    )
    assert state.hash == before
    gamma = float((market.exposures["gamma"].reindex(BOOK) * pd.Series(BOOK)).sum())
    edge = 10_000.0 / abs(gamma) / 100  # the move at which gamma has made that much delta, to first order
    below, above = table.attrs["nearest"]["spot"]
    assert 0.004 < edge < 0.012 and -2 * edge < below <= -0.5 * edge and 0.5 * edge <= above < 2 * edge
    acted = table[table["status"] != "idle"]
    assert (acted["lines"] == 1).all() and acted["notional"].min() > 9_000
    inside = table[(table["shock"] > below) & (table["shock"] < above)]
    assert (inside["status"] == "idle").all() and (inside["lines"] == 0).all()


def test_time_alone_brings_a_roll():
    market = coin_markets(path(1))[0]
    state = opening("b", market, BOOK, hedge={"FUT0": 50.0})
    table = ladder(state, market, DeltaRule(), RollDue(3.0), spots=(), vols=(), days=(1.0, 2.0, 3.0, 4.0))
    assert table["status"].tolist() == ["idle", "idle", "solved", "solved"]


def test_a_monitor_leaves_the_state_as_it_was_and_says_what_the_night_would():
    markets = coin_markets(path(3))
    state = opening("b", markets[0], BOOK)
    before = state.hash
    seen = [monitor(state, markets[0], markets[1], DeltaRule(), Band("delta", 1_000.0)) for _ in range(3)]
    assert state.hash == before
    night = step(state, markets[0], markets[1], DeltaRule(), Band("delta", 1_000.0))
    assert {one.state.hash for one in seen} == {night.state.hash}
    assert {one.trades.sha256 for one in seen} == {night.trades.sha256}


def test_a_rung_at_today_is_today_and_no_rung_at_all_is_refused():
    markets = coin_markets(path(2))
    state = opening("b", markets[0], BOOK)
    rungs = ladder(state, markets[0], DeltaRule(), Band("delta", 1_000.0), spots=[0.0], vols=[], days=[0.0])
    assert rungs["status"].nunique() == 1 and rungs["trades"][0] == rungs["trades"][1] != {}
    with pytest.raises(SpecError, match="no rung; give spots"):
        ladder(state, markets[0], DeltaRule(), Band("delta", 1_000.0), spots=[], vols=[], days=[])
