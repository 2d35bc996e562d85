"""Leland, Whalley-Wilmott and threshold policies, against books and in simulation."""

import numpy as np
import pandas as pd
import pytest

from optihedge.errors import DataError, SpecError
from optihedge.hedge.bands import (
    band_trade,
    follow_band,
    leland_number,
    leland_vol,
    replication_cash,
    whalley_wilmott_band,
)
from optihedge.market.pricing import greeks

HULL_PATH = """49.00 48.12 47.37 50.25 51.75 53.12 53.00 51.87 51.38 53.00 49.88
48.50 49.88 50.37 52.13 51.88 52.87 54.87 54.62 55.87 57.25"""


def test_lelands_number_and_vols() -> None:
    """Vol 20 %, round-trip cost 1 %, weekly."""
    assert leland_number(0.20, 0.01, 1 / 52) == pytest.approx(0.28768, abs=5e-6)
    assert leland_vol(0.20, 0.01, 1 / 52, [-1, 1]) == pytest.approx([0.226952, 0.168798], abs=5e-7)


def test_without_cost_lelands_vol_is_the_vol_and_a_ruinous_cost_leaves_none() -> None:
    assert leland_vol(0.2, 1e-12, 1 / 52, [-1, 1]) == pytest.approx(0.2)
    assert leland_vol(0.2, 0.5, 1 / 365, 1) == 0.0
    with pytest.raises(SpecError, match="interval must be positive, found 0"):
        leland_number(0.2, 0.01, [1 / 52, 0.0])
    assert leland_number(0.2, 0.0, 1 / 52) == 0.0
    assert leland_vol(0.2, 0.0, 1 / 52, [-1, 1]).tolist() == [0.2, 0.2]


@pytest.mark.parametrize("side", [0, 2, np.nan])
def test_a_side_is_long_or_short(side: float) -> None:
    with pytest.raises(SpecError, match=r"side must be .1 .long. or -1 .short., found"):
        leland_vol(0.2, 0.01, 1 / 52, side)


def test_costs_vols_and_aversions_that_make_no_sense_are_named() -> None:
    for arguments, name in (
        ((np.nan, 0.01, 1), "vol"), ((0.2, -0.01, 1), "round_trip"), ((0.2, np.nan, 1), "round_trip"),
        ((0.2, 0.01, np.nan), "interval"),
    ):  # fmt: skip
        with pytest.raises(SpecError, match=f"{name} must be"):
            leland_number(*arguments)
    for arguments, name in (
        ((np.nan, 1, 0.01, 1), "spot"), ((100, np.nan, 0.01, 1), "gamma"), ((100, 1, -0.01, 1), "one_way"),
        ((100, 1, np.nan, 1), "one_way"), ((100, 1, 0.01, 0), "risk_aversion"), ((100, 1, 0.01, 1, -1), "discount"),
    ):  # fmt: skip
        with pytest.raises(SpecError, match=f"{name} must be"):
            whalley_wilmott_band(*arguments)


def test_a_threshold_policy_goes_back_to_its_target_from_either_edge() -> None:
    """Target -3, band +1 / -0.5."""
    current = np.array([-2.0, -3.5, -2.3, -1.0, -4.0])
    assert (current + band_trade(current, -3, 0.5, 1)).tolist() == [-3, -3, -2.3, -3, -3]


def test_to_the_edge_it_trades_only_what_lies_outside() -> None:
    current = np.array([-1.0, -4.0, -2.5])
    assert (current + band_trade(current, -3, 0.5, 1, to_edge=True)).tolist() == [-2, -3.5, -2.5]


def test_a_zero_band_follows_the_target_and_a_negative_one_is_refused() -> None:
    target = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    assert np.array_equal(follow_band(target, 0, 0), target)
    with pytest.raises(SpecError, match="below must be at least 0, found -1"):
        band_trade(0, 0, -1, 1)


def test_a_missing_position_target_or_band_is_refused_and_never_means_no_trade() -> None:
    nan = np.nan
    for name, arguments in {
        "current": (nan, 0, 1, 1), "target": (0, nan, 1, 1), "below": (0, 0, nan, 1), "above": (0, 0, 1, nan)
    }.items():  # fmt: skip
        with pytest.raises(SpecError, match=f"{name} must be .*, found nan"):
            band_trade(*arguments)
        if name != "current":
            with pytest.raises(SpecError, match=f"{name} must be .*, found nan"):
                follow_band(np.array([[0.0], [arguments[1]]]), *arguments[2:])
    with pytest.raises(SpecError, match=r"current must be a finite number, found nan at \[2\]"):
        band_trade([0, 1, nan], 0, 1, 1)
    with pytest.raises(SpecError, match="start must be a finite number, found nan"):
        follow_band(np.zeros((2, 1)), 1, 1, start=nan)
    with pytest.raises(SpecError, match="holdings must be a finite number, found nan"):
        replication_cash([[1.0], [1.0]], [[1.0], [nan]])


def test_an_infinite_band_never_trades() -> None:
    assert band_trade([5.0, -7.0], 0, np.inf, np.inf).tolist() == [0, 0]
    assert band_trade(5.0, 0, np.inf, np.inf, to_edge=True) == 0


def test_positions_and_targets_in_another_order_are_refused() -> None:
    current, target = pd.Series({"A": 5.0, "B": 0.0}), pd.Series({"B": 0.0, "A": 5.0})
    with pytest.raises(DataError, match="bands: label 1 of current is A where that of target is B; reindex"):
        band_trade(current, target, 1, 1)
    assert band_trade(current, target[current.index], 1, 1).tolist() == [0, 0]
    path = pd.DataFrame([[5.0, 0.0], [5.0, 0.0]], columns=["A", "B"])
    with pytest.raises(DataError, match="label 1 of target is A where that of start is B"):
        follow_band(path, 1, 1, start=target)
    assert follow_band(path, 1, 1, start=current).tolist() == path.to_numpy().tolist()


def test_weekly_delta_hedging_of_100_000_short_calls_costs_what_the_book_says() -> None:
    """Hull, ch. 19, the path that ends in the money: 263 300, the strike received for the shares."""
    path = np.array(HULL_PATH.split(), dtype=float)
    years = np.arange(20, -1, -1) / 52
    discount = np.exp(-0.05 * years)
    delta = greeks(path, path / discount, 50, years, 0.20, 1, discount).delta
    cash = replication_cash(path, 100_000 * delta, interest=0.05 / 52)
    assert -cash - 50 * 100_000 == pytest.approx(263_300, abs=150)


def test_the_whalley_wilmott_band_grows_with_gamma_to_two_thirds_and_the_cost_to_one_third() -> None:
    band = whalley_wilmott_band(100, 0.03, 0.002, 0.5)
    assert band == pytest.approx((1.5 * 0.002 * 100 * 0.03**2 / 0.5) ** (1 / 3))
    assert whalley_wilmott_band(100, -0.06, 0.002, 0.5) == pytest.approx(band * 2 ** (2 / 3))
    assert whalley_wilmott_band(100, 0.03, 0.016, 0.5) == pytest.approx(band * 2)
    assert whalley_wilmott_band(100, 0.03, 0.0, 0.5) == 0


@pytest.mark.parametrize("one_way", [0.001, 0.005])
def test_bands_hedge_a_third_better_than_the_clock_at_equal_cost(one_way: float) -> None:
    """A short three-month call, seen eight times a day on 1 000 paths; the clock's frequency is tuned to the cost."""
    years, vol, strike, looks = 0.25, 0.25, 100.0, 728
    step = years / looks
    rng = np.random.default_rng(8)
    shocks = rng.standard_normal((looks, 1_000)) * vol * np.sqrt(step) - vol**2 * step / 2
    path = 100 * np.exp(np.vstack([np.zeros((1, 1_000)), np.cumsum(shocks, axis=0)]))
    left = years - step * np.arange(looks)[:, None]
    g = greeks(path[:-1], path[:-1], strike, left, vol, 1)
    payoff = np.maximum(path[-1] - strike, 0)

    def outcome(holdings: np.ndarray) -> tuple[float, float]:
        """Mean cost and standard deviation of the profit after cost."""
        cost = one_way * np.sum(np.abs(np.diff(holdings, axis=0, prepend=0)) * path[:-1], axis=0)
        gain = np.sum(holdings * np.diff(path, axis=0), axis=0) - payoff
        return float(cost.mean()), float((gain - cost).std())

    band = whalley_wilmott_band(path[:-1], g.gamma, one_way, 1.0)
    held = follow_band(g.delta, band, band, to_edge=True)
    cost, error = outcome(held)
    clocks = [outcome(g.delta[np.arange(looks) // every * every]) for every in (182, 128, 96, 64, 48, 32, 24, 16, 8)]
    costs, errors = (np.array(c) for c in zip(*clocks, strict=True))
    at_equal_cost = float(np.interp(cost, costs, errors))
    at_equal_error = float(np.interp(error, errors[::-1], costs[::-1]))
    assert error < 0.65 * at_equal_cost
    assert cost < at_equal_error  # so it trades less for the same error
    assert np.mean(np.diff(held, axis=0) != 0) < 0.25  # most looks end without a trade
