"""Contracts with the desk's own Greeks are valued by them under shocks, never as the vanilla their fields describe."""

import numpy as np
import pandas as pd
import pytest
from desks import AS_OF, options

from optihedge.market.scenarios import scenario_pnl
from optihedge.market.snapshot import Market

NAME = "C100-30"


def with_greeks(**greeks: float) -> Market:
    market = options()
    own = pd.DataFrame([greeks], index=pd.Index([NAME], name="instrument"))
    return Market(
        market.instruments.reset_index(), market.quotes.reset_index(), "USD", drivers=market.drivers.reset_index(),
        history=market.history, own_exposures=own.reset_index(), as_of=AS_OF,
    )  # fmt: skip


def test_a_digital_s_own_greeks_give_its_pnl_and_leave_other_contracts_alone():
    market = with_greeks(delta=500.0, gamma=-20.0, vega=-3.0, theta=0.5, rho=0.0, vanna=4.0, volga=-0.2, charm=0.0)
    shocks = pd.DataFrame({"spot": [0.02], "vol": [0.01], "days": [1.0]})
    pnl = scenario_pnl(market, shocks)
    second = 0.5 * -20.0 * 0.02**2 * 100 + 4.0 * 0.02 * 1.0 + 0.5 * -0.2 * 1.0  # per 1 %, per vol point
    assert pnl[NAME].iloc[0] == pytest.approx(500 * 0.02 - 3.0 * 1.0 + 0.5 + second, rel=1e-9)
    others = scenario_pnl(options(), shocks).drop(columns=NAME)
    pd.testing.assert_frame_equal(pnl.drop(columns=NAME), others)


@pytest.mark.parametrize("word", ["spot", "vol", "term", "skew", "rate", "days"])
def test_our_own_greeks_given_back_agree_with_revaluation_to_second_order(word):
    plain = options()
    market = with_greeks(**plain.exposures.loc[NAME, ["delta", "gamma", "vega", "theta", "rho", "vanna", "volga"]])
    for size, allowed in ((1e-2, 0.06), (1e-4, 2e-3)):
        shock = pd.DataFrame({word: [size]})
        full, taylor = (scenario_pnl(m, shock, [NAME]).iloc[0, 0] for m in (plain, market))
        if word != "skew":  # at the money the skew moves nothing
            assert taylor == pytest.approx(full, rel=allowed)
        assert abs(taylor - full) <= allowed * max(abs(full), 1e-9)


def test_a_single_own_greek_is_enough_and_infinite_time_counts_no_theta():
    market = with_greeks(delta=123.0)
    pnl = scenario_pnl(market, pd.DataFrame({"spot": [1e-6], "days": [np.inf]}), [NAME])
    assert pnl.iloc[0, 0] == pytest.approx(123e-6, rel=1e-3)
