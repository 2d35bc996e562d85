"""Prices and Greeks against books, 50-digit arithmetic, finite differences, QuantLib and a recorded oracle."""

from dataclasses import fields

import mpmath
import numpy as np
import pandas as pd
import pytest
import QuantLib as ql

from optihedge.errors import DataError
from optihedge.market.pricing import (
    Greeks,
    black,
    coin_greeks,
    coin_price,
    greeks,
    implied_vol,
    implied_vol_reason,
    inverse_greeks,
    settlement_weight,
    venue_theta,
    years_between,
)

MINUTE = 1 / (365 * 1440)
NAMES = tuple(f.name for f in fields(Greeks))


def random_options(count: int, seed: int) -> dict[str, np.ndarray]:
    """Options from five minutes to five years, strikes from one-delta put to one-delta call and a little beyond."""
    rng = np.random.default_rng(seed)
    years = np.exp(rng.uniform(np.log(5 * MINUTE), np.log(5.0), count))
    vol = np.exp(rng.uniform(np.log(0.05), np.log(1.5), count))
    spot = np.exp(rng.uniform(np.log(1.0), np.log(1e5), count))
    rate, carry = rng.uniform(-0.02, 0.08, (2, count))
    forward = spot * np.exp(carry * years)
    strike = forward * np.exp(rng.uniform(-2.5, 2.5, count) * vol * np.sqrt(years))
    right = rng.choice([-1.0, 1.0], count)
    return {
        "spot": spot,
        "forward": forward,
        "strike": strike,
        "years": years,
        "vol": vol,
        "right": right,
        "discount": np.exp(-rate * years),
    }


# ---- published cases -----------------------------------------------------------------------------------------------


def test_hulls_call_on_a_stock() -> None:
    """Hull, ch. 19: S 49, K 50, r 5 %, vol 20 %, 20 weeks."""
    years = 20 / 52
    g = greeks(49, 49 * np.exp(0.05 * years), 50, years, 0.20, 1, np.exp(-0.05 * years))
    assert g.price == pytest.approx(2.4005, abs=6e-5)
    assert g.delta == pytest.approx(0.5216, abs=6e-5)
    assert g.gamma == pytest.approx(0.0655, abs=6e-5)
    assert g.vega == pytest.approx(12.105, abs=6e-4)
    assert g.theta == pytest.approx(-4.305, abs=6e-4)
    assert g.rho == pytest.approx(8.907, abs=6e-4)


def test_mcdonalds_call() -> None:
    """McDonald, Derivatives Markets, ch. 13: S = K = 40, vol 30 %, r 8 %, 91 days."""
    years = 91 / 365
    g = greeks(40, 40 * np.exp(0.08 * years), 40, years, 0.30, 1, np.exp(-0.08 * years))
    assert g.price == pytest.approx(2.7804, abs=6e-5)
    assert g.delta == pytest.approx(0.5824, abs=6e-5)
    assert g.gamma == pytest.approx(0.0652, abs=6e-5)
    assert g.theta / 365 == pytest.approx(-0.0173, abs=6e-5)


def test_the_delta_decays_linearly_over_the_settlement_window() -> None:
    assert settlement_weight(15) == 0.5
    assert settlement_weight([60, 30, 7.5, 0, -1]).tolist() == [1.0, 1.0, 0.25, 0.0, 0.0]


def test_a_settlement_window_is_above_zero() -> None:
    with pytest.raises(DataError, match=r"window is 0.0; give a finite number above zero"):
        settlement_weight(15, 0)


def test_a_same_strike_call_less_put_is_the_forward_in_every_greek() -> None:
    o = random_options(2_000, seed=1)
    spot, forward, strike, years, discount = (o[k] for k in ("spot", "forward", "strike", "years", "discount"))
    call = greeks(**{**o, "right": 1.0})
    put = greeks(**{**o, "right": -1.0})
    rate, carry = -np.log(discount) / years, np.log(forward / spot) / years
    growth = discount * forward / spot
    expected = {
        "price": discount * (forward - strike),
        "delta": growth,
        "theta": -(carry - rate) * discount * forward - rate * discount * strike,
        "rho": years * discount * strike,
        "charm": -(carry - rate) * growth,
    }
    for name in NAMES:
        difference = getattr(call, name) - getattr(put, name)
        scale = np.abs(getattr(call, name)) + np.abs(getattr(put, name))
        if name in ("price", "theta"):  # parity cancels here: the rounding is that of the legs
            scale = scale + discount * forward * (1.0 if name == "price" else np.abs(rate) + np.abs(carry))
        assert np.all(np.abs(difference - expected.get(name, 0.0)) <= 1e-11 * scale), name


# ---- 50 digits -----------------------------------------------------------------------------------------------------


def exact_price(spot, strike, years, vol, right, rate, carry):  # type: ignore[no-untyped-def]
    """The price formula alone, in mpmath numbers; every Greek below is a derivative of it."""
    forward = spot * mpmath.exp(carry * years)
    deviation = vol * mpmath.sqrt(years)
    d1 = mpmath.log(forward / strike) / deviation + deviation / 2
    cdf = mpmath.ncdf
    value = right * (forward * cdf(right * d1) - strike * cdf(right * (d1 - deviation)))
    return mpmath.exp(-rate * years) * value


def exact_greeks(option: dict[str, float]) -> dict[str, float]:
    with mpmath.workdps(50):
        spot, forward, strike, years, vol, right, discount = (mpmath.mpf(float(option[k])) for k in option)
        rate, carry = -mpmath.log(discount) / years, mpmath.log(forward / spot) / years

        def price(s, v, t):  # type: ignore[no-untyped-def]
            return exact_price(s, strike, t, v, right, rate, carry)

        def shifted(r):  # type: ignore[no-untyped-def]
            return exact_price(spot, strike, years, vol, right, rate + r, carry + r)

        def derivative(*orders: int) -> mpmath.mpf:
            # steps of 1e-15 of each scale: error 1e-30 relative, 20 digits of the 50 lost to rounding at most
            width = vol * mpmath.sqrt(years)
            steps = [spot * width, vol, years]
            return mpmath.diff(
                lambda a, b, c: price(spot + a * steps[0], vol + b * steps[1], years + c * steps[2]), (0, 0, 0), orders
            ) / mpmath.fprod(step**order for step, order in zip(steps, orders, strict=True))

        values = {
            "price": price(spot, vol, years),
            "delta": derivative(1, 0, 0),
            "gamma": derivative(2, 0, 0),
            "vega": derivative(0, 1, 0),
            "theta": -derivative(0, 0, 1),
            "rho": mpmath.diff(shifted, 0),
            "vanna": derivative(1, 1, 0),
            "volga": derivative(0, 2, 0),
            "charm": -derivative(1, 0, 1),
        }
    return {name: float(value) for name, value in values.items()}


def test_fifty_digits_agree_on_price_and_every_greek() -> None:
    options = pd.DataFrame(random_options(300, seed=2))
    ours = greeks(*(options[k].to_numpy() for k in options))
    exact = pd.DataFrame([exact_greeks(row) for row in options.to_dict("records")])
    for name in NAMES:
        error = np.abs(getattr(ours, name) / exact[name] - 1)
        assert error.max() < 1e-10, f"{name}: {error.max():.1e} at {options.loc[error.idxmax()].to_dict()}"


def test_fifty_digits_agree_on_prices_down_to_the_smallest_doubles() -> None:
    rng = np.random.default_rng(3)
    count = 300
    deviation = np.exp(rng.uniform(np.log(1e-4), np.log(6.0), count))
    wing = -rng.uniform(0, 36.0, count)
    moneyness = np.maximum(wing * deviation, -3.0)
    strike = 100 * np.exp(-moneyness)
    ours = black(100, strike, 0.25, deviation / 0.5, 1)
    for price, k, s in zip(ours, strike, deviation, strict=True):
        with mpmath.workdps(350):
            value = exact_price(mpmath.mpf(100), mpmath.mpf(k), mpmath.mpf(0.25), mpmath.mpf(s / 0.5), 1, 0, 0)
            assert abs(float(mpmath.mpf(price) / value) - 1) < 1e-11, (k, s)


# ---- finite differences in doubles ---------------------------------------------------------------------------------

STENCIL = np.array([-1.0, 9.0, -45.0, 0.0, 45.0, -9.0, 1.0]) / 60  # sixth order, first derivative
CURVE = np.array([2.0, -27.0, 270.0, -490.0, 270.0, -27.0, 2.0]) / 180  # sixth order, second derivative
POINTS = np.arange(-3, 4)


def test_finite_differences_agree_on_ten_thousand_random_options() -> None:
    o = random_options(10_000, seed=4)
    ours = greeks(**o)
    rate, carry = -np.log(o["discount"]) / o["years"], np.log(o["forward"] / o["spot"]) / o["years"]
    deviation = o["vol"] * np.sqrt(o["years"])

    def price(spot=0.0, vol=0.0, years=0.0, rates=0.0):  # type: ignore[no-untyped-def]
        time = o["years"] + years
        forward = (o["spot"] + spot) * np.exp((carry + rates) * time)
        return black(forward, o["strike"], time, o["vol"] + vol, o["right"], np.exp(-(rate + rates) * time))

    steps = {
        "spot": 0.02 * np.minimum(deviation, 0.7) * o["spot"],
        "vol": 0.02 * o["vol"] / np.maximum(deviation, 1.0),
        "years": 0.02 * o["years"] / np.maximum(deviation, 1.0),
        "rates": np.minimum(0.02 * deviation, 0.2) / np.maximum(o["years"], 1e-9),
    }

    def first(name: str) -> np.ndarray:
        h = steps[name]
        return sum(w * price(**{name: p * h}) for w, p in zip(STENCIL, POINTS, strict=True)) / h

    def second(name: str) -> np.ndarray:
        h = {"spot": 6, "vol": 1.5}[name] * steps[name]
        return sum(w * price(**{name: p * h}) for w, p in zip(CURVE, POINTS, strict=True)) / h**2

    def mixed(a: str, b: str) -> np.ndarray:
        ha, hb = 2 * steps[a], 2 * steps[b]
        total = 0.0
        for v, p in zip(STENCIL, POINTS, strict=True):
            for w, q in zip(STENCIL, POINTS, strict=True):
                if v and w:
                    total = total + v * w * price(**{a: p * ha, b: q * hb})
        return total / (ha * hb)

    # the natural scale is the largest value the Greek takes over strikes, up to a factor near one
    peak = o["discount"] * o["forward"] / np.sqrt(2 * np.pi)
    scale = {
        "delta": np.ones(10_000),
        "vega": peak * np.sqrt(o["years"]),
        "theta": peak * deviation / o["years"],
        "rho": o["years"] * o["strike"],
        "gamma": peak / (deviation * o["spot"] ** 2),
        "volga": peak * np.sqrt(o["years"]) / o["vol"],
        "vanna": peak / o["spot"] / o["vol"],
        "charm": peak / o["spot"] / o["years"],
    }
    for name, found in (
        ("delta", first("spot")),
        ("vega", first("vol")),
        ("theta", -first("years")),
        ("rho", first("rates")),
    ):
        expected = getattr(ours, name)
        allowed = 1e-6 * (np.abs(expected) + 0.01 * scale[name])
        worst = np.argmax(np.abs(found - expected) / allowed)
        assert np.all(np.abs(found - expected) <= allowed), f"{name} {found[worst]} {expected[worst]}"
    for name, found in (
        ("gamma", second("spot")),
        ("volga", second("vol")),
        ("vanna", mixed("spot", "vol")),
        ("charm", -mixed("spot", "years")),
    ):
        expected = getattr(ours, name)
        allowed = 1e-4 * np.abs(expected) + 1e-8 * scale[name]
        ratio = np.abs(found - expected) / allowed
        assert ratio.max() <= 1, f"{name}: {(ratio > 1).sum()} rows, worst {ratio.max():.1f}"


# ---- edges ---------------------------------------------------------------------------------------------------------


def test_an_expired_option_is_worth_its_intrinsic_value_and_has_an_indicator_delta() -> None:
    g = greeks(105, 105, [100, 110, 100, 110], 0.0, 0.2, [1, 1, -1, -1])
    assert g.price.tolist() == [5, 0, 0, 5]
    assert g.delta.tolist() == [1, 0, 0, -1]
    for name in ("gamma", "vega", "theta", "rho", "vanna", "volga", "charm"):
        assert np.all(getattr(g, name) == 0), name


def test_an_unknown_vol_gives_unknown_numbers_not_zeros() -> None:
    g = greeks(100, 100, 100, [0.5, 0.5], [np.nan, 0.2], 1)
    for name in NAMES:
        assert np.isnan(getattr(g, name)[0]) and np.isfinite(getattr(g, name)[1]), name


@pytest.mark.parametrize("price", [black, coin_price])
def test_a_missing_number_gives_a_missing_price(price) -> None:
    for missing in range(5):
        terms: list[object] = [[100.0, 100.0], [90.0, 90.0], [0.5, 0.5], [0.2, 0.2], [1.0, 1.0]]
        terms[missing] = [np.nan, np.mean(terms[missing])]
        assert np.isnan(price(*terms)).tolist() == [True, False]


@pytest.mark.parametrize(
    ("name", "value"),
    [("spot", 0.0), ("forward", -1.0), ("forward", np.inf), ("strike", 0.0), ("discount", 0.0), ("vol", -0.2),
     ("right", 2.0), ("right", 0.0), ("right", "X"), ("right", "c")],
)  # fmt: skip
def test_a_number_no_option_can_have_is_named_with_its_row(name: str, value: object) -> None:
    good = {"spot": 100.0, "forward": 100.0, "strike": 90.0, "years": 0.5, "vol": 0.2, "right": 1, "discount": 1.0}
    terms = {**good, name: [good[name], value, good[name]] if name != "right" else ["C", value, "P"]}
    if name == "right" and not isinstance(value, str):
        terms[name] = [1, value, -1]
    calls = [lambda: greeks(**terms)]
    if name != "spot":
        calls.append(lambda: black(**{k: v for k, v in terms.items() if k != "spot"}))
    if name != "discount":
        calls.append(lambda: inverse_greeks(**{k: v for k, v in terms.items() if k != "discount"}))
        if name != "spot":
            calls.append(lambda: coin_price(**{k: v for k, v in terms.items() if k not in ("spot", "discount")}))
    if name == "right":
        calls += [lambda f=f: f(10.0, 100, 90, 0.5, terms["right"]) for f in (implied_vol, implied_vol_reason)]
    for call in calls:
        with pytest.raises(DataError, match=f"option row 2: {name} is {value!r}; give "):
            call()


def test_markets_write_rights_as_c_and_p() -> None:
    signs = np.array([1.0, -1.0, -1.0, np.nan])
    rights = ["C", "P", "P", None]
    for words in (rights, np.array(rights, dtype=object), pd.Series(rights), pd.Series(rights, dtype="category")):
        np.testing.assert_array_equal(black(100, 90, 0.5, 0.2, words), black(100, 90, 0.5, 0.2, signs))
    grid = np.array([["C", "P"], ["P", "C"]])
    assert black(100, 90, 0.5, 0.2, grid).tolist() == black(100, 90, 0.5, 0.2, np.where(grid == "C", 1, -1)).tolist()
    assert black(100, 90, 0.5, 0.2, "P") == black(100, 90, 0.5, 0.2, -1)
    assert np.isnan(black(100, 90, 0.5, 0.2, np.nan)) and np.isnan(black(100, 90, 0.5, 0.2, None))
    assert greeks(100, 100, 90, 0.5, 0.2, "P").delta == greeks(100, 100, 90, 0.5, 0.2, -1).delta
    assert implied_vol(black(100, 90, 0.5, 0.2, "P"), 100, 90, 0.5, "P") == pytest.approx(0.2, rel=1e-12)


def test_years_below_zero_are_expired() -> None:
    assert black(105, 100, -0.1, 0.2, [1, -1]).tolist() == [5, 0]
    assert greeks(105, 105, 100, -0.1, 0.2, [1, -1]).delta.tolist() == [1, 0]


def test_a_second_before_expiry_and_a_century_are_finite() -> None:
    years = np.array([1 / 31_536_000, 100.0])[:, None]
    strike = np.geomspace(1e-3, 1e5, 101)
    g = greeks(100, 101, strike, years, 0.6, 1, 0.9)
    for name in NAMES:
        assert np.isfinite(getattr(g, name)).all(), name
    assert np.all(np.diff(g.price, axis=1) <= 0)


def test_years_are_seconds_over_365_days_and_need_a_time_zone() -> None:
    start = pd.Timestamp("2026-01-15 12:30", tz="UTC")
    end = pd.DatetimeIndex(["2026-01-16 08:00", "2027-01-15 12:30"], tz="UTC")
    assert years_between(start, end).tolist() == [19.5 / 24 / 365, 1.0]
    assert years_between(start, pd.Timestamp("2026-01-16 07:30", tz="America/New_York")) == 1 / 365
    assert np.isnan(years_between(start, pd.DatetimeIndex(["NaT"], tz="UTC"))).all()
    with pytest.raises(DataError, match="has no time zone"):
        years_between(pd.Timestamp("2026-01-15"), end)


# ---- coin-settled options ------------------------------------------------------------------------------------------


def coin_settled() -> dict[str, np.ndarray]:
    o = random_options(500, seed=5)
    return {k: o[k] for k in ("spot", "forward", "strike", "years", "vol", "right")}


def test_a_coin_settled_calls_delta_is_the_normal_of_d1_without_the_forward_factor() -> None:
    o = coin_settled()
    d1 = np.log(o["forward"] / o["strike"]) / (o["vol"] * np.sqrt(o["years"])) + o["vol"] * np.sqrt(o["years"]) / 2
    normal = np.array([float(mpmath.ncdf(x)) for x in d1])
    quote = inverse_greeks(**{**o, "right": 1.0})
    assert np.allclose(quote.delta, normal, rtol=1e-9)
    assert np.allclose(quote.price, o["spot"] * coin_price(*(o[k] for k in list(o)[1:5]), 1.0), rtol=1e-9)
    linear = greeks(**{**o, "right": 1.0})
    assert np.allclose(linear.delta, normal * o["forward"] / o["spot"], rtol=1e-9)


def test_in_coin_the_delta_is_premium_adjusted_and_every_greek_is_a_derivative_of_the_coin_price() -> None:
    o = coin_settled()
    quote = inverse_greeks(**o)
    coin = coin_greeks(quote, o["spot"])
    growth = o["forward"] / o["spot"]
    width = o["vol"] * np.sqrt(o["years"])
    move, lift = 0.01 * width, 0.01 * o["vol"]
    mark = coin_price(*(o[k] for k in list(o)[1:]))

    def price(spot: float = 0.0, vol: float = 0.0) -> np.ndarray:
        forward = o["spot"] * (1 + spot * move) * growth
        return coin_price(forward, o["strike"], o["years"], o["vol"] + vol * lift, o["right"])

    def same(ours: np.ndarray, difference: np.ndarray) -> bool:
        return bool(
            np.all(np.abs(ours - difference) <= 1e-3 * np.abs(ours) + 1e-3 * np.abs(ours / width).max() * width)
        )

    assert np.allclose(o["spot"] * coin.delta, quote.delta - mark, rtol=1e-9, atol=1e-12)
    cash_move, cash_gamma = move * o["spot"], (price(1) - 2 * mark + price(-1))
    assert same(coin.delta * cash_move, (price(1) - price(-1)) / 2)
    assert same(coin.gamma * cash_move**2, cash_gamma)
    assert same(coin.vega * lift, (price(0, 1) - price(0, -1)) / 2)
    assert same(coin.volga * lift**2, price(0, 1) - 2 * mark + price(0, -1))
    assert same(coin.vanna * cash_move * lift, (price(1, 1) - price(1, -1) - price(-1, 1) + price(-1, -1)) / 4)


# ---- other people's numbers ----------------------------------------------------------------------------------------


def test_quantlibs_black_calculator_agrees() -> None:
    """Its volga is vega d1 d2 / (sigma sqrt T): wrong by 1/sqrt(T), so it is corrected before it is compared."""
    options = pd.DataFrame(random_options(300, seed=6))
    ours = greeks(*(options[k].to_numpy() for k in options))
    rows = []
    for o in options.itertuples():
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if o.right > 0 else ql.Option.Put, o.strike)
        c = ql.BlackCalculator(payoff, o.forward, o.vol * np.sqrt(o.years), o.discount)
        volga = c.volga(o.years) * np.sqrt(o.years)
        rows.append((c.value(), c.delta(o.spot), c.gamma(o.spot), c.vega(o.years), c.rho(o.years), volga))
    theirs = pd.DataFrame(rows, columns=["price", "delta", "gamma", "vega", "rho", "volga"])
    for name in theirs:  # their prices lose digits in the wings
        scale = np.maximum(np.abs(theirs[name]), 1e-6 * options["forward"] if name == "price" else 1e-12)
        assert np.max(np.abs(getattr(ours, name) - theirs[name]) / scale) < 1e-8, name


def test_the_recorded_minutes_of_an_index_option_agree_to_nine_digits(recorded) -> None:  # type: ignore[no-untyped-def]
    """252 trading days a year; theta and charm are one-day differences at a fixed forward; delta is not discounted."""
    frame = pd.read_parquet(recorded("nifty_options_1day_oracle") / "chain_2026-01-27.parquet")
    right = np.where(frame["option_type"] == "CE", 1, -1)
    years, discount = frame["dte_days"] / 252, frame["discount"]
    forward, strike, vol = frame["forward"], frame["strike"], frame["iv"]
    plain = greeks(forward, forward, strike, years, vol, right)
    paid = greeks(forward, forward, strike, years, vol, right, discount)
    later, later_discount = years - 1 / 252, discount ** (1 - 1 / frame["dte_days"])
    tomorrow = greeks(forward, forward, strike, later, vol, right)
    found = {
        "delta": plain.delta,
        "gamma": plain.gamma,
        "vega": paid.vega / 100,
        "rho": paid.rho / 100,
        "vanna": plain.vanna / 100,
        "volga": paid.volga / 1e4,
        "theta": later_discount * tomorrow.price - paid.price,
        "charm": tomorrow.delta - plain.delta,
    }
    for name, value in found.items():
        assert np.max(np.abs(value - frame[name]) / np.abs(frame[name]).max()) < 1e-9, name
        assert np.quantile(np.abs(value / frame[name] - 1), 0.99) < 1e-9, name
    implied = implied_vol(frame["last"], forward, strike, years, right, discount)
    assert np.nanmedian(np.abs(implied - vol)) < 1e-12


def test_the_venues_theta_is_one_days_or_a_lifetimes_and_never_more_than_the_value() -> None:
    g = greeks(100, 100, [100, 100, 100], [30 / 365, 0.5 / 365, 0.5 / 365], [0.5, 0.5, 0.05], 1)
    day, half, small = venue_theta(g, np.array([30 / 365, 0.5 / 365, 0.5 / 365]))
    assert day == pytest.approx(g.theta[0] / 365)
    assert half == pytest.approx(g.theta[1] * 0.5 / 365)
    assert small >= -g.price[2]
