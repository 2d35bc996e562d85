"""Implied vol: the hard grid round trips in price and vol; every impossible price is named."""

import numpy as np
import pytest
from scipy.special import erf

from optihedge.market.pricing import black, greeks, implied_vol, implied_vol_reason

EPS = np.finfo(float).eps
ULPS = 128  # of the price, and of the vol after conditioning


def hard_grid(years: float, right: int) -> tuple[np.ndarray, ...]:
    """Moneyness e^-3 .. e^3, vol sqrt(T) from 1e-4 to 12: prices from 1e-290 to the bound."""
    moneyness, deviation = np.meshgrid(np.linspace(-3, 3, 61), np.geomspace(1e-4, 12, 150))
    strike = (100 * np.exp(-moneyness)).ravel()
    vol = (deviation / np.sqrt(years)).ravel()
    return strike, vol, black(100, strike, years, vol, right)


@pytest.mark.parametrize("right", [1, -1])
@pytest.mark.parametrize("years", [1 / (365 * 1440), 0.1, 30.0], ids=["a minute", "a month", "30 years"])
def test_the_hard_grid_round_trips_in_price_and_in_vol(years: float, right: int) -> None:
    strike, vol, price = hard_grid(years, right)
    seen = price > 1e-290
    strike, vol, price = strike[seen], vol[seen], price[seen]
    assert np.all(implied_vol_reason(price, 100, strike, years, right) == "")
    found = implied_vol(price, 100, strike, years, right)
    again = black(100, strike, years, found, right)
    vega = greeks(100, 100, strike, years, vol, right).vega
    elasticity = vol * vega / price  # a vol's last bit moves the price by that many
    assert np.all(np.abs(again - price) <= ULPS * EPS * price * (1 + elasticity))
    with np.errstate(divide="ignore", over="ignore"):
        assert np.all(np.abs(found - vol) <= ULPS * EPS * vol * (1 + 1 / elasticity))


def test_out_of_the_money_vols_come_back_to_twelve_digits_down_to_1e_290() -> None:
    strike, vol, price = hard_grid(0.1, 1)
    wing = (strike >= 100) & (price > 1e-290) & (vol * np.sqrt(0.1) < 6)
    assert price[wing].min() < 1e-280
    assert np.allclose(implied_vol(price[wing], 100, strike[wing], 0.1, 1), vol[wing], rtol=3e-12, atol=0)


def test_discount_scales_the_price_and_leaves_the_vol() -> None:
    strike = np.array([60.0, 100.0, 170.0])
    price = black(100, strike, 0.5, 0.4, [-1, 1, 1], 0.9)
    assert np.allclose(implied_vol(price, 100, strike, 0.5, [-1, 1, 1], 0.9), 0.4, rtol=1e-13)


def test_at_the_money_the_closed_form_is_met() -> None:
    """At K = F the price is F erf(s / sqrt(8))."""
    deviation = np.geomspace(1e-8, 8, 100)
    assert np.allclose(implied_vol(100 * erf(deviation / np.sqrt(8)), 100, 100, 1, 1), deviation, rtol=1e-12)


def test_every_impossible_price_is_named_on_its_row() -> None:
    rows = [  # price, forward, strike, years, right, reason
        (5.0, 100, 100, 0.5, 1, ""),
        (9.99, 110, 100, 0.5, 1, "below intrinsic"),
        (-0.01, 100, 120, 0.5, 1, "below intrinsic"),
        (100.0, 100, 50, 0.5, 1, "above bound"),
        (150.0, 100, 150, 0.5, -1, "above bound"),
        (5.0, 100, 100, 0.0, 1, "expired"),
        (5.0, 100, 100, -0.1, 1, "expired"),
        (np.nan, 100, 100, 0.5, 1, "not a number"),
        (np.inf, 100, 100, 0.5, 1, "not a number"),
        (5.0, np.nan, 100, 0.5, 1, "not a number"),
        (5.0, 100, 0.0, 0.5, 1, "not a number"),
        (5.0, 100, 100, np.nan, 1, "not a number"),
    ]
    price, forward, strike, years, right, reason = (np.array(c) for c in zip(*rows, strict=True))
    assert implied_vol_reason(price, forward, strike, years, right).tolist() == reason.tolist()
    vol = implied_vol(price, forward, strike, years, right)
    assert np.array_equal(np.isfinite(vol), reason == "")


def test_the_intrinsic_value_itself_has_vol_zero() -> None:
    assert implied_vol([10.0, 0.0], [110, 100], [100, 120], 0.5, 1).tolist() == [0.0, 0.0]


def test_random_noise_never_yields_a_wrong_vol() -> None:
    """Whatever number is given, the answer reproduces it or is named."""
    rng = np.random.default_rng(7)
    n = 20_000
    price = 10.0 ** rng.uniform(-300, 3, n) * rng.choice([1, 1, 1, -1], n)
    strike = 100 * np.exp(rng.uniform(-3, 3, n))
    years, right = 10.0 ** rng.uniform(-6, 1.5, n), rng.choice([-1, 1], n)
    vol = implied_vol(price, 100, strike, years, right)
    reason = implied_vol_reason(price, 100, strike, years, right)
    assert np.array_equal(np.isnan(vol), reason != "")
    good = reason == ""
    again = black(100, strike[good], years[good], vol[good], right[good])
    itm = np.maximum(right[good] * (100 - strike[good]), 0)
    assert np.all(np.abs(again - price[good]) <= 1e-11 * price[good] + 8 * EPS * (itm + (itm > 0) * 100))


def test_a_price_a_rounding_below_its_bound_has_a_large_vol_and_gives_it_back() -> None:
    for forward, strike, right in ((100.0, 1e-5, -1), (100.0, 100.0, 1), (5.0, 5e5, 1)):
        price = np.full(5, forward if right > 0 else strike)
        for steps in range(5):
            for _ in range(steps + 1):
                price[steps] = np.nextafter(price[steps], 0)
        vol = implied_vol(price, forward, strike, 1.0, right)
        assert np.isfinite(vol).all() and (vol > 10).all()
        np.testing.assert_allclose(black(forward, strike, 1.0, vol, right), price, rtol=ULPS * EPS)
