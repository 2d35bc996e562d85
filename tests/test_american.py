"""American options beside QuantLib's finite differences and QdFp engine, and by the laws that any price obeys."""

from dataclasses import replace

import numpy as np
import pytest

from optihedge.errors import DataError
from optihedge.market.american import american_greeks, american_implied_vol, american_price, exercise_boundary
from optihedge.market.pricing import black, greeks

ql = pytest.importorskip("QuantLib")

DAY = 1 / 365
UNITS = {"price": 1.0, "delta": 0.01, "gamma": 0.01, "vega": 0.01, "theta": DAY, "rho": 1e-4}
"""Money for a move of 1 % (delta, and delta's own change over it for gamma), a vol point, a day, a basis point."""


def random_contracts(count: int, seed: int, dividends: int = 8) -> dict[str, np.ndarray]:
    """Contracts in whole days, 3 days to 3 years, spot 100; half of them pay up to eight dividends."""
    rng = np.random.default_rng(seed)
    days = np.round(np.exp(rng.uniform(np.log(3), np.log(1100), count)))
    vol = rng.uniform(0.1, 0.7, count)
    width = np.minimum(vol * np.sqrt(days * DAY), 0.4)
    first, gap = np.round(rng.uniform(1, 90, count)), 91
    ex = (first[:, None] + gap * np.arange(dividends)) * DAY
    ex[(rng.random(count) < 0.5)[:, None] | (ex >= days[:, None] * DAY)] = np.nan
    return {
        "strike": np.round(100 * np.exp(rng.uniform(-1.5, 1.5, count) * width), 2),
        "years": days * DAY, "vol": vol, "right": rng.choice([-1.0, 1.0], count),
        "rate": rng.uniform(-0.02, 0.08, count), "carry": rng.uniform(-0.04, 0.08, count),
        "ex_years": ex, "dividends": rng.uniform(0.1, 1.5, (count, dividends)),
    }  # fmt: skip


def quantlib(c: dict[str, np.ndarray], i: int, grid: int, vol: float = 0.0, rate: float = 0.0) -> tuple[float, ...]:
    """Price, delta, gamma, theta of contract i by QuantLib's finite differences, vol and rates moved."""
    today = ql.Date(1, 1, 2020)
    ql.Settings.instance().evaluationDate = today
    count = ql.Actual365Fixed()
    r, b = c["rate"][i] + rate, c["carry"][i] + rate
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(100.0)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, r - b, count)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, r, count)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), c["vol"][i] + vol, count)),
    )
    kind = ql.Option.Call if c["right"][i] > 0 else ql.Option.Put
    expiry = today + round(c["years"][i] * 365)
    option = ql.VanillaOption(ql.PlainVanillaPayoff(kind, c["strike"][i]), ql.AmericanExercise(today, expiry))
    paid = np.isfinite(c["ex_years"][i])
    dates = [today + round(t * 365) for t in c["ex_years"][i][paid]]
    cash = ql.DividendVector(dates, list(c["dividends"][i][paid]))
    option.setPricingEngine(ql.FdBlackScholesVanillaEngine(process, cash, grid, grid))
    return option.NPV(), option.delta(), option.gamma(), option.theta()


SCALE = {"delta": 100.0, "gamma": 100.0**2 * 0.01}
"""What makes a derivative by spot one by its return, at the spot of 100."""


def quantlib_figures(c: dict[str, np.ndarray], grid: int) -> dict[str, np.ndarray]:
    """QuantLib's price and Greeks of every contract in UNITS: five solves each."""
    rows = []
    for i in range(len(c["years"])):
        price, delta, gamma, theta = quantlib(c, i, grid)
        up, down = (quantlib(c, i, grid, vol=s * 0.02 * c["vol"][i])[0] for s in (1, -1))
        high, low = (quantlib(c, i, grid, rate=s * 0.005)[0] for s in (1, -1))
        rows.append((price, delta, gamma, (up - down) / (0.04 * c["vol"][i]), theta, (high - low) / 0.01))
    found = zip(UNITS.items(), np.array(rows).T, strict=True)
    return {name: figure * unit * SCALE.get(name, 1.0) for (name, unit), figure in found}


def misses(c: dict[str, np.ndarray], grid: int, theirs: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Our price and Greeks less QuantLib's, in UNITS over the spot of 100. Its theta is a difference over most of a day
    (0.99 / 365, or to the first ex-date), and so is ours here.
    """
    ours = american_greeks(100.0, **c)
    first = np.fmin(np.nanmin(c["ex_years"], axis=1, initial=np.inf), DAY)
    step = 0.99 * first
    later = c | {"years": c["years"] - step, "ex_years": c["ex_years"] - step[:, None]}
    ours = replace(ours, theta=(american_price(100.0, **later) - ours.price) / step)
    theirs = quantlib_figures(c, grid) if theirs is None else theirs
    return {
        name: (getattr(ours, name) * unit * SCALE.get(name, 1.0) - theirs[name]) / 100 for name, unit in UNITS.items()
    }


def test_price_and_greeks_are_quantlibs_finite_differences() -> None:
    found = misses(random_contracts(40, seed=3), grid=300)
    for name, miss in found.items():
        assert np.median(np.abs(miss)) < 2e-5, name
    for name in ("price", "vega", "theta", "rho"):
        assert np.quantile(np.abs(found[name]), 0.9) < 1e-4, name


@pytest.mark.slow
def test_ten_thousandths_of_spot_on_many_contracts() -> None:
    """Gamma and theta are compared where nobody is about to exercise: both jump at the boundary, which grids smear."""
    c = random_contracts(400, seed=11)
    found = misses(c, grid=800)
    held = american_price(100.0, **c) - np.maximum(c["right"] * (100.0 - c["strike"]), 0.0) > 0.1
    for name, miss in found.items():
        counts = held if name in ("gamma", "theta") else np.ones(len(held), dtype=bool)
        assert np.mean(np.abs(miss[counts]) < 1e-4) > 0.99, name


def test_prices_without_dividends_are_those_of_the_integral_equation() -> None:
    """QuantLib's QdFp engine (Andersen, Lake and Offengenden) is exact to 1e-10."""
    rng = np.random.default_rng(5)
    count = 60
    years, vol, rate = rng.uniform(0.05, 2.0, count), rng.uniform(0.1, 0.6, count), rng.uniform(0.005, 0.08, count)
    dividend_yield = rng.uniform(0.0, 0.06, count)
    strike, right = 100 * np.exp(rng.uniform(-0.2, 0.2, count)), rng.choice([-1.0, 1.0], count)
    exact = []
    for i in range(count):
        today = ql.Date(1, 1, 2020)
        ql.Settings.instance().evaluationDate = today
        clock, end = ql.Actual365Fixed(), today + 3650
        speed = years[i] / 10  # ten years at a slower clock
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(ql.SimpleQuote(100.0)),
            ql.YieldTermStructureHandle(ql.FlatForward(today, dividend_yield[i] * speed, clock)),
            ql.YieldTermStructureHandle(ql.FlatForward(today, rate[i] * speed, clock)),
            ql.BlackVolTermStructureHandle(
                ql.BlackConstantVol(today, ql.NullCalendar(), vol[i] * np.sqrt(speed), clock)
            ),
        )
        kind = ql.Option.Call if right[i] > 0 else ql.Option.Put
        option = ql.VanillaOption(ql.PlainVanillaPayoff(kind, strike[i]), ql.AmericanExercise(today, end))
        option.setPricingEngine(ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme()))
        exact.append(option.NPV())
    ours = american_price(100.0, strike, years, vol, right, rate, rate - dividend_yield)
    assert np.abs(ours - exact).max() < 1e-4 * 100
    assert np.median(np.abs(ours - exact)) < 1e-5 * 100


def test_an_option_that_nobody_exercises_early_is_europes() -> None:
    strike = np.array([80.0, 100.0, 120.0])
    call = american_price(100.0, strike, 1.0, 0.3, "C", 0.03, 0.03)
    assert call == pytest.approx(black(100 * np.exp(0.03), strike, 1.0, 0.3, "C", np.exp(-0.03)), rel=1e-12)
    put = american_price(100.0, strike, 1.0, 0.3, "P", -0.01, -0.02)
    assert put == pytest.approx(black(100 * np.exp(-0.02), strike, 1.0, 0.3, "P", np.exp(0.01)), rel=1e-12)
    near = american_price(100.0, strike, 1.0, 0.3, "C", 0.03, 0.03 - 1e-9)  # by the grid
    assert near == pytest.approx(call, abs=2e-4)


def test_the_grids_greeks_are_blacks_where_exercise_is_worth_nothing() -> None:
    strike = np.array([85.0, 100.0, 115.0])
    grid = american_greeks(100.0, strike, 0.8, 0.25, "C", 0.03, 0.03 - 1e-9)
    exact = greeks(100.0, 100 * np.exp(0.024), strike, 0.8, 0.25, "C", np.exp(-0.024))
    for name, unit in (("delta", 1e-4), ("gamma", 1e-5), ("vega", 0.05), ("theta", 0.02), ("rho", 0.05),
                       ("vanna", 2e-3), ("volga", 0.5), ("charm", 2e-3)):  # fmt: skip
        assert getattr(grid, name) == pytest.approx(getattr(exact, name), abs=unit), name


def test_an_american_option_is_worth_its_payoff_and_the_european_one_at_least() -> None:
    c = random_contracts(300, seed=2) | {"ex_years": None, "dividends": None}
    ours = american_price(100.0, **c)
    forward, discount = 100 * np.exp(c["carry"] * c["years"]), np.exp(-c["rate"] * c["years"])
    european = black(forward, c["strike"], c["years"], c["vol"], c["right"], discount)
    assert (ours >= np.maximum(c["right"] * (100 - c["strike"]), 0.0)).all()
    assert (ours >= european - 1e-3).all()
    assert (ours <= np.where(c["right"] > 0, 100 * np.maximum(1, np.exp((c["carry"] - c["rate"]) * c["years"])),
                             c["strike"] * np.maximum(1, discount)) + 1e-3).all()  # fmt: skip


def test_a_dividend_makes_puts_dearer_and_calls_cheaper() -> None:
    with_cash = [american_price(100.0, 100.0, 0.5, 0.25, right, 0.04, 0.04, [0.2], [d]) for d in (0.0, 1.0, 3.0)
                 for right in ("C", "P")]  # fmt: skip
    calls, puts = np.array(with_cash[::2]), np.array(with_cash[1::2])
    assert (np.diff(calls) < 0).all() and (np.diff(puts) > 0).all()


def test_a_call_before_a_dividend_is_worth_the_better_of_exercise_and_the_price_after() -> None:
    """A call with one dividend and no other reason to exercise: a European option on that maximum, by quadrature."""
    years, ex, cash, vol, rate, strike = 0.5, 0.2, 4.0, 0.3, 0.05, 95.0
    x = np.linspace(-9, 9, 200_001)
    before = 100 * np.exp((rate - vol**2 / 2) * ex + vol * np.sqrt(ex) * x)
    left = np.maximum(before - cash, 1e-9)
    after = black(left * np.exp(rate * (years - ex)), strike, years - ex, vol, "C", np.exp(-rate * (years - ex)))
    better = np.maximum(after, before - strike)
    exact = np.exp(-rate * ex) * np.sum(better * np.exp(-x * x / 2)) * (x[1] - x[0]) / np.sqrt(2 * np.pi)
    assert american_price(100.0, strike, years, vol, "C", rate, rate, [ex], [cash]) == pytest.approx(exact, abs=2e-3)


def test_prices_rise_with_vol_and_time_and_are_homogeneous() -> None:
    vols = american_price(100.0, 105.0, 1.0, np.linspace(0.05, 1.0, 30), "P", 0.05, 0.02, [0.3, 0.6], [1.0, 1.0])
    assert (np.diff(vols) > 0).all()
    spans = american_price(100.0, 105.0, np.linspace(0.02, 2.0, 30), 0.25, "P", 0.05, 0.02)
    assert (np.diff(spans) > 0).all()
    small = american_price(1.0, 1.05, 1.0, 0.3, "P", 0.05, 0.02, [0.3], [0.02])
    assert american_price(1000.0, 1050.0, 1.0, 0.3, "P", 0.05, 0.02, [0.3], [20.0]) == pytest.approx(1000 * small)


def test_a_put_is_the_call_with_spot_and_strike_and_rate_and_yield_exchanged() -> None:
    spot, strike = 100.0, np.array([80.0, 100.0, 125.0])
    for rate, carry in ((0.05, 0.02), (0.01, -0.04), (-0.01, 0.03)):
        put = american_price(spot, strike, 1.5, 0.3, "P", rate, carry)
        call = american_price(strike, spot, 1.5, 0.3, "C", rate - carry, -carry)
        assert put == pytest.approx(call, abs=0.01)


def test_price_and_delta_are_continuous_where_exercise_begins() -> None:
    boundary = float(exercise_boundary(100.0, 0.5, 0.3, "P", 0.06, 0.06))
    assert 70 < boundary < 90
    spots = boundary * (1 + np.linspace(-0.03, 0.03, 61))
    g = american_greeks(spots, 100.0, 0.5, 0.3, "P", 0.06, 0.06)
    assert np.abs(np.diff(g.price) + np.diff(spots) * 1.0).max() < 0.02
    assert np.abs(np.diff(g.delta)).max() < 0.02
    assert g.exercise[0] and not g.exercise[-1] and np.diff(g.exercise.astype(int)).min() >= -1
    assert np.count_nonzero(np.diff(g.exercise.astype(int))) == 1
    assert (g.delta[g.exercise] == -1).all() and (g.theta[g.exercise] == 0).all()


def test_the_implied_vol_gives_the_price_back() -> None:
    c = random_contracts(120, seed=8)
    price = american_price(100.0, **c)
    paid = price - np.maximum(c["right"] * (100 - c["strike"]), 0.0)
    terms = {name: values for name, values in c.items() if name != "vol"}
    vol = american_implied_vol(price, 100.0, **terms)
    seen = paid > 0.02
    assert np.isfinite(vol[seen]).all()
    again = american_price(100.0, **(c | {"vol": np.where(np.isfinite(vol), vol, 0.1)}))
    assert np.abs(again - price)[np.isfinite(vol)].max() < 1e-6
    assert np.abs(vol - c["vol"])[paid > 0.5].max() < 1e-5


def test_a_price_at_or_below_the_payoff_implies_no_vol() -> None:
    vol = american_implied_vol([20.0, 19.0, np.nan, 120.0], 100.0, 120.0, 0.5, "P", 0.05, 0.05)
    assert np.isnan(vol).all()


def test_an_expired_option_is_its_payoff_and_what_is_missing_stays_missing() -> None:
    g = american_greeks(100.0, 110.0, [0.0, -1.0, np.nan], 0.2, "P")
    assert g.price[:2] == pytest.approx([10.0, 10.0]) and np.isnan(g.price[2])
    assert g.delta[:2] == pytest.approx([-1.0, -1.0]) and np.isnan(g.delta[2])


def test_a_price_does_not_depend_on_what_else_is_priced() -> None:
    c = random_contracts(70, seed=4)
    together = american_price(100.0, **c)
    alone = [american_price(100.0, **{k: v[i : i + 1] for k, v in c.items()})[0] for i in range(0, 70, 10)]
    assert together[::10] == pytest.approx(np.array(alone), rel=1e-12)


def test_two_dividends_of_one_day_are_their_sum() -> None:
    one = american_price(100.0, 100.0, 1.0, 0.3, ["C", "P"], 0.03, 0.03, [0.4], [3.0])
    two = american_price(100.0, 100.0, 1.0, 0.3, ["C", "P"], 0.03, 0.03, [0.4, 0.4], [1.0, 2.0])
    assert two == pytest.approx(one, abs=1e-3)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"vol": -0.1}, "vol"), ({"rate": np.inf}, "rate"), ({"right": "X"}, "right"), ({"spot": 0.0}, "spot"),
     ({"ex_years": [0.1], "dividends": [-1.0]}, "dividend")],
)  # fmt: skip
def test_the_impossible_is_named(wrong: dict[str, object], words: str) -> None:
    right = {"spot": 100.0, "strike": 100.0, "years": 1.0, "vol": 0.2, "right": "C"}
    with pytest.raises(DataError, match=words):
        american_price(**(right | wrong))
