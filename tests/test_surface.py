"""The surface: inside bid and ask on recorded chains, free of arbitrage at the quotes and between them."""

import numpy as np
import pandas as pd
import pytest
from recorded import deribit_chain, deribit_quotes, spx_chain, spx_quotes, with_forwards

from optihedge.errors import DataError
from optihedge.market.pricing import black
from optihedge.market.surface import Slice, Surface, svi_surface
from optihedge.market.surface_fit import fit_surface
from optihedge.market.svi import SviSlice

NODE_ARBITRAGE = 1e-9  # of the forward
LOWEST_G = -1e-3
LARGEST_FALL = 0.02  # of total variance from one expiry to the next
HALF_TICK = 1e-9  # of the forward: rounding of a price against its own quote

SKEWED = SviSlice(a=0.01, b=0.06, rho=-0.5, m=0.02, sigma=0.12)
LATER = SviSlice(a=0.02, b=0.07, rho=-0.45, m=0.02, sigma=0.15)


# ---- what is measured ----------------------------------------------------------------------------------------------


def calls(slice_: Slice, x: np.ndarray) -> np.ndarray:
    """Normalised calls, by parity from the out-of-the-money price."""
    return slice_.price(x) + np.maximum(1 - np.exp(x), 0.0)


def inside(surface: Surface, quotes: pd.DataFrame) -> pd.Series:
    """Whether the surface's price lies within each quote's bid and ask, each at its own forward."""
    found = []
    for slice_, (_, rows) in zip(surface.slices, by_expiry(quotes), strict=True):
        x = np.log(rows["strike"] / rows["forward"])
        away = np.maximum(rows["sign"] * (1 - np.exp(x)), 0.0)
        price = (slice_.price(x) + away) * rows["forward"] * rows["discount"]
        slip = HALF_TICK * rows["forward"]
        found.append((price >= rows["bid"] - slip) & (price <= rows["ask"] + slip))
    return pd.concat(found)


def by_expiry(quotes: pd.DataFrame) -> list[tuple[object, pd.DataFrame]]:
    return sorted(quotes.groupby("expiry"), key=lambda group: float(group[1]["years"].median()))


def liquid(quotes: pd.DataFrame) -> pd.Series:
    return (quotes["bid"] > 0) & quotes["size"].between(0.05, 0.6) & quotes["days"].between(7, 365)


def node_arbitrage(surface: Surface, quotes: pd.DataFrame) -> float:
    """The largest violation of monotonicity, convexity and calendar order at the quoted strikes."""
    worst, previous = 0.0, None
    for slice_, (_, rows) in zip(surface.slices, by_expiry(quotes), strict=True):
        strike = np.unique(np.exp(np.log(rows["strike"] / slice_.forward)))
        price = calls(slice_, np.log(strike))
        slope = np.diff(price) / np.diff(strike)
        middle = price[1:-1] - np.interp(strike[1:-1], strike[[0, -1]], price[[0, -1]])
        if strike.size > 2:
            share = (strike[1:-1] - strike[:-2]) / (strike[2:] - strike[:-2])
            middle = price[1:-1] - (1 - share) * price[:-2] - share * price[2:]
        falls = 0.0 if previous is None else np.max(calls(previous, np.log(strike)) - price)
        worst = max(worst, float(np.max(middle, initial=0)), float(slope.max()), float(-1 - slope.min()), float(falls))
        previous = slice_
    return worst


def summary(quotes: pd.DataFrame) -> dict[str, float]:
    surface = fit_surface(quotes)
    assert len(surface.slices) == quotes["expiry"].nunique()
    check = surface.check()
    chosen = liquid(quotes)
    return {
        "inside": inside(surface, quotes)[chosen].mean(),
        "nodes": node_arbitrage(surface, quotes),
        "slices": len(check),
        "bad": (check["lowest_g"] < LOWEST_G).sum(),
        "fall": -check["lowest_rise"].min(),
    }


def left_out(quotes: pd.DataFrame) -> tuple[int, int]:
    """Every other strike left out, both ways: how many liquid ones the surface through the others holds inside."""
    held, count = 0, 0
    odd = quotes.groupby("expiry")["strike"].rank(method="dense") % 2 == 1
    for keep in (odd, ~odd):
        given, rest = quotes[keep], quotes[~keep]
        common = set(given["expiry"]) & set(rest["expiry"])
        given, rest = given[given["expiry"].isin(common)], rest[rest["expiry"].isin(common)]
        good = inside(fit_surface(given), rest)[liquid(rest)]
        held, count = held + int(good.sum()), count + len(good)
    return held, count


# ---- recorded chains -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spx_days(recorded) -> pd.DataFrame:  # type: ignore[no-untyped-def]
    return spx_chain(recorded("spx_options_2019"))


def spx_day(chain: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    return spx_quotes(with_forwards(chain[chain["quotedate"] == day]))


def test_an_index_day_lies_inside_bid_and_ask_without_arbitrage(spx_days) -> None:  # type: ignore[no-untyped-def]
    """The day after the sell-off of May 2019; every day in the slow test below."""
    found = summary(spx_day(spx_days, pd.Timestamp("2019-05-07")))
    assert found["slices"] >= 38
    assert found["inside"] >= 0.97
    assert found["nodes"] <= NODE_ARBITRAGE
    assert found["bad"] == 0
    assert found["fall"] <= LARGEST_FALL


def test_coin_option_days_lie_inside_bid_and_ask_without_arbitrage(recorded) -> None:  # type: ignore[no-untyped-def]
    chain = deribit_chain(recorded("deribit_btc_2026"))
    rows = [summary(deribit_quotes(snapshot)) for _, snapshot in chain.groupby("snapshot")]
    days = pd.DataFrame(rows)
    assert len(days) == 7
    assert days["inside"].min() >= 0.97
    assert days["nodes"].max() <= NODE_ARBITRAGE
    assert days["bad"].sum() <= 0.01 * days["slices"].sum()
    assert days["fall"].max() <= LARGEST_FALL


@pytest.mark.slow
def test_coin_strikes_left_out_are_predicted_every_day(recorded) -> None:  # type: ignore[no-untyped-def]
    chain = deribit_chain(recorded("deribit_btc_2026"))
    for _, snapshot in chain.groupby("snapshot"):
        held, count = left_out(deribit_quotes(snapshot))
        assert held >= 0.90 * count


@pytest.mark.slow
def test_every_index_day_lies_inside_bid_and_ask_and_predicts_the_strikes_left_out(spx_days) -> None:  # type: ignore[no-untyped-def]
    rows = []
    for day in spx_days["quotedate"].unique():
        quotes = spx_day(spx_days, day)
        held, count = left_out(quotes)
        rows.append({**summary(quotes), "day": day, "held": held, "count": count})
    days = pd.DataFrame(rows).set_index("day")
    assert len(days) == 33
    assert days["inside"].min() >= 0.97
    assert days["nodes"].max() <= NODE_ARBITRAGE
    assert days["bad"].sum() <= 0.01 * days["slices"].sum()
    assert days["fall"].max() <= LARGEST_FALL
    assert (days["held"] / days["count"]).min() >= 0.95


# ---- the fit -------------------------------------------------------------------------------------------------------


def quoted(slices: list[SviSlice], years: list[float], half_spread: float) -> pd.DataFrame:
    rows = []
    for slice_, time_ in zip(slices, years, strict=True):
        forward, discount = 100 * np.exp(0.01 * time_), np.exp(-0.02 * time_)
        for x in np.linspace(-0.6, 0.4, 31):
            vol, sign = np.sqrt(slice_.variance(x) / time_), 1 if x >= 0 else -1
            mid = float(black(forward, forward * np.exp(x), time_, vol, sign, discount))
            right = "C" if sign > 0 else "P"
            rows.append(
                (
                    time_,
                    time_,
                    forward,
                    discount,
                    forward * np.exp(x),
                    right,
                    sign,
                    mid - half_spread,
                    mid + half_spread,
                )
            )
    columns = ["expiry", "years", "forward", "discount", "strike", "right", "sign", "bid", "ask"]
    return pd.DataFrame(rows, columns=columns).assign(bid=lambda f: f["bid"].clip(lower=0))


def test_quotes_from_a_smile_give_the_smile_back() -> None:
    surface = fit_surface(quoted([SKEWED, LATER], [0.25, 0.5], 0.005))
    x = np.linspace(-0.5, 0.35, 101)
    for slice_, time_ in ((SKEWED, 0.25), (LATER, 0.5)):
        assert np.allclose(surface.vol(x, time_), np.sqrt(slice_.variance(x) / time_), atol=2e-3)


def test_a_quote_no_arbitrage_free_surface_can_meet_is_missed_alone() -> None:
    quotes = quoted([SKEWED, LATER], [0.25, 0.5], 0.02)
    broken = quotes["strike"].sub(90).abs().idxmin()  # in the near slice, well above its neighbours
    quotes.loc[broken, ["bid", "ask"]] += 1.0
    surface = fit_surface(quotes)
    assert (~inside(surface, quotes)).to_numpy().nonzero()[0].tolist() == [broken]
    assert surface.check()["lowest_g"].min() >= LOWEST_G


@pytest.mark.parametrize("seed", [*range(10), *(pytest.param(s, marks=pytest.mark.slow) for s in range(10, 200))])
def test_no_noise_in_quotes_makes_a_butterfly_of_negative_price(seed: int) -> None:
    rng = np.random.default_rng(seed)
    years = float(rng.choice([3, 7, 30, 180])) / 365
    width = rng.uniform(0.1, 0.8) * np.sqrt(years)
    x = np.sort(rng.uniform(-2.5, 2.5, rng.integers(5, 16))) * width
    sign = np.where(x >= 0, 1.0, -1.0)
    fair = black(100.0, 100 * np.exp(x), years, width / np.sqrt(years) * (1 - 0.1 * x / width), sign)
    price = fair * (1 + rng.uniform(0, 0.15) * rng.normal(size=x.size)).clip(0.5)
    quotes = pd.DataFrame({"strike": 100 * np.exp(x), "right": sign, "bid": 0.99 * price, "ask": 1.01 * price})
    fitted = fit_surface(quotes.assign(expiry="w", years=years, forward=100.0, discount=1.0)).slices[0]
    at = np.linspace(-4 * width, 4 * width, 3001)
    strike, value = np.exp(at), calls(fitted, at)
    slope = np.diff(value) / np.diff(strike)
    assert np.diff(slope).min() > -1e-12 / np.diff(strike).min()


def test_quotes_that_cross_in_time_give_a_surface_that_does_not() -> None:
    quotes = quoted([LATER, SKEWED], [0.25, 0.5], 0.02)  # total variance falls from the first to the second
    check = fit_surface(quotes).check()
    assert check["lowest_rise"].min() >= -LARGEST_FALL
    assert check["lowest_g"].min() >= LOWEST_G


def test_a_slice_of_one_quote_is_kept() -> None:
    quotes = quoted([SKEWED, LATER], [0.25, 0.5], 0.02)
    alone = pd.concat([quotes[quotes["years"] == 0.25].iloc[[15]], quotes[quotes["years"] == 0.5]])
    surface = fit_surface(alone)
    assert len(surface.slices) == 2
    assert inside(surface, alone).all()


def ssvi(rho: float, years: tuple[float, ...], vol: float = 0.5, eta: float = 1.0) -> list[SviSlice]:
    """Gatheral and Jacquier's SSVI with phi = eta / sqrt(theta (1 + theta)).

    Free of arbitrage where eta^2 (1 + |rho|) <= 4 (1 + theta).
    """
    slices = []
    for time_ in years:
        theta = vol**2 * time_
        phi = eta / np.sqrt(theta * (1 + theta))
        bend = np.sqrt(1 - rho**2)
        slices.append(SviSlice(theta * bend**2 / 2, theta * phi / 2, rho, -rho / phi, bend / phi))
    return slices


@pytest.mark.parametrize("rho", [-0.97, -0.9, 0.9])
def test_the_steepest_of_skews_is_met_in_every_slice(rho: float) -> None:
    """An arbitrage-free market whose one wing is nearly flat: every quote is met, and beyond them the wing goes on."""
    years = (0.02, 0.1, 0.5, 1.5)
    slices = ssvi(rho, years)
    rng = np.random.default_rng(0)
    rows = []
    for slice_, time_ in zip(slices, years, strict=True):
        width = float(np.sqrt(slice_.variance(0.0)))
        for x in width * np.linspace(-2.5, 2.5, 21):
            true = float(black(1e4, 1e4 * np.exp(x), time_, np.sqrt(slice_.variance(x) / time_), 1 if x >= 0 else -1))
            half = max(0.02 * true, 0.2)
            mid = true + rng.uniform(-0.5, 0.5) * half
            quote = (max(mid - half, 0.0), mid + half)
            rows.append((time_, time_, 1e4, 1.0, 1e4 * np.exp(x), "C" if x >= 0 else "P", *quote))
    columns = ["expiry", "years", "forward", "discount", "strike", "right", "bid", "ask"]
    surface = fit_surface(pd.DataFrame(rows, columns=columns))
    check = surface.check()
    assert check["quotes"].tolist() == [21] * 4
    assert check["missed"].tolist() == [0] * 4
    assert check["lowest_g"].min() >= LOWEST_G
    steep = -np.sign(rho)
    for fitted, slice_ in zip(surface.slices, slices, strict=True):
        far = -steep * 4 * np.sqrt(slice_.variance(0.0))
        assert float(fitted.vol(far)) == pytest.approx(float(np.sqrt(slice_.variance(far) / fitted.years)), rel=0.15)


def test_a_steep_skew_with_bids_of_zero_is_met() -> None:
    """Thirteen quotes that a convex price curve meets: puts of a straight wing, calls that fall off at once."""
    strike = [71456, 74277, 77210, 80259, 83428, 86722, 90147, 93706, 97406, 101253, 105251, 109407, 113727]
    bid = [901.06, 1098.18, 1346.58, 1676.97, 2105.56, 2606.30, 3373.95, 1137.42, 90.49, 2.34, 0, 0, 0]
    ask = [937.47, 1142.90, 1401.69, 1745.22, 2190.66, 2713.61, 3512.18, 1183.73, 94.19, 5.95, 2.12, 1.90, 1.57]
    frame = pd.DataFrame({"strike": strike, "right": ["P"] * 6 + ["C"] * 7, "bid": bid, "ask": ask})
    surface = fit_surface(frame.assign(expiry="A", years=0.035423, forward=90146.784672, discount=0.998372))
    assert surface.check()["missed"].tolist() == [0]
    assert float(surface.slices[0].vol(-1.0)) > float(surface.slices[0].vol(-0.23))  # the wing does not fall back


def test_missed_quotes_are_counted_where_they_are() -> None:
    quotes = quoted([SKEWED, LATER], [0.25, 0.5], 0.02)
    broken = quotes["strike"].sub(90).abs().idxmin()
    quotes.loc[broken, ["bid", "ask"]] += 1.0
    check = fit_surface(quotes).check()
    assert check["missed"].tolist() == [1, 0]
    assert check["worst_miss"][0] > 10  # of its 0.02; it stands 1.0 off
    assert check["worst_miss"][1] == 0


def test_rights_may_be_letters_or_signs() -> None:
    quotes = quoted([SKEWED], [0.25], 0.02)
    spellings = (quotes["right"], quotes["right"].str.lower(), quotes["sign"], quotes["sign"].astype(float))
    vols = [float(fit_surface(quotes.assign(right=right)).vol(-0.1, 0.25)) for right in spellings]
    assert len(set(vols)) == 1


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("ask", 0.0, "row 4: ask is 0.0, zero or below the bid.*without an ask or with the bid above it"),
        ("ask", np.nan, "row 4: ask is empty"),
        ("ask", np.inf, "row 4: ask is inf"),
        ("bid", np.nan, "row 4: bid is empty"),
        ("bid", -0.5, "row 4: bid is -0.5; give at least 0"),
        ("strike", np.nan, "row 4: strike is empty"),
        ("forward", 0.0, "row 4: forward is 0.0; give a number above 0"),
        ("years", 0.75, r"expiry 0\.25 has years from 0\.25 to 0\.75; give each settlement its own label"),
        ("right", "call", "row 4: right is 'call'; write C or"),
        ("expiry", None, "row 4: expiry is empty"),
    ],
)
def test_an_unusable_quote_is_refused_by_row(column: str, value: object, message: str) -> None:
    quotes = quoted([SKEWED], [0.25], 0.02)
    quotes.loc[3, column] = value
    with pytest.raises(DataError, match=message):
        fit_surface(quotes)


def test_quotes_without_what_a_fit_needs_are_refused() -> None:
    quotes = quoted([SKEWED], [0.25], 0.02)
    with pytest.raises(DataError, match=r"0\.25 has no quote with an implied vol"):
        fit_surface(quotes.assign(ask=1e6))
    with pytest.raises(DataError, match="no column discount"):
        fit_surface(quotes.drop(columns="discount"))
    with pytest.raises(DataError, match="there are no quotes"):
        fit_surface(quotes.iloc[:0])


def test_the_density_is_the_second_difference_of_prices() -> None:
    """g n(d2) / (K s) against finite differences of calls in the strike."""
    slice_ = fit_surface(quoted([SKEWED], [0.25], 0.05)).slices[0]
    x, h = np.linspace(-0.5, 0.35, 41), 2e-4
    strike = np.exp(x)
    density = (calls(slice_, np.log(strike + h)) - 2 * calls(slice_, x) + calls(slice_, np.log(strike - h))) / h**2
    s = slice_.vol(x) * 0.5
    normal = np.exp(-((-x / s - s / 2) ** 2) / 2) / np.sqrt(2 * np.pi)
    assert np.allclose(slice_.g(x) * normal / (strike * s), density, rtol=2e-3, atol=2e-4)


# ---- SVI -----------------------------------------------------------------------------------------------------------


# ---- in time, and what is read off ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair() -> Surface:
    return svi_surface([SKEWED, LATER], [0.25, 0.5], [100.0, 101.0], [0.995, 0.985])


def test_between_expiries_there_is_no_arbitrage_and_the_money_is_linear(pair: Surface) -> None:
    x = np.linspace(-0.8, 0.6, 281)
    times = np.array([0.05, 0.15, 0.25, 0.26, 0.3, 0.375, 0.45, 0.499, 0.5, 0.6])
    variance = np.array([pair.vol(x, t) ** 2 * t for t in times])
    assert np.all(np.diff(variance, axis=0) >= -1e-12)
    strike = np.exp(x)
    for t, w in zip(times, variance, strict=True):
        price = black(1.0, strike, t, np.sqrt(w / t), 1)
        slope = np.diff(price) / np.diff(strike)
        assert np.all(np.diff(slope) >= -1e-9), t
    money = [float(pair.vol(0.0, t)) ** 2 * t for t in (0.25, 0.375, 0.5)]
    assert money[1] == pytest.approx((money[0] + money[2]) / 2, rel=1e-9)


@pytest.mark.parametrize("last", [ssvi(-0.7, (2.0,), 0.65, 1.9)[0], LATER], ids=["steep", "mild"])
def test_after_the_last_expiry_calls_stay_convex_and_rise(last: SviSlice) -> None:
    surface = svi_surface([last], [2.0], [100.0], [1.0])
    width = float(np.sqrt(last.variance(0.0)))
    strike = np.exp(width * np.linspace(-6, 6, 1201))
    before = np.zeros(strike.size)
    for t in (2.0, 2.002, 2.2, 3.0, 6.0, 20.0):
        vol = surface.vol(np.log(strike), t)
        out = black(1.0, strike, t, vol, np.where(strike >= 1, 1, -1))
        call = out + np.maximum(1 - strike, 0)
        slope = np.diff(call) / np.diff(strike)
        assert np.diff(slope).min() >= -1e-12, t
        assert (out - before).min() >= -1e-15, t
        before = out
    assert abs(float(surface.vol(0.0, 6.0)) / float(surface.vol(0.0, 2.0)) - 1) < 0.05


def test_where_a_price_underflows_there_is_still_a_vol() -> None:
    flat = [SviSlice(a=a, b=0.0, rho=0.0, m=0.0, sigma=0.1) for a in (0.0004, 0.0008)]
    surface = svi_surface(flat, [0.01, 0.02], [100.0, 100.0], [1.0, 1.0])
    for t in (0.005, 0.01, 0.015, 0.02, 0.03):
        assert np.all(surface.vol([-6.0, -3.0, 3.0, 6.0], t) >= 0.2 * (1 - 1e-9))


def test_after_the_last_expiry_a_flat_smile_stays_flat() -> None:
    surface = svi_surface([SviSlice(a=0.04, b=0.0, rho=0.0, m=0.0, sigma=0.1)], [1.0], [100.0], [1.0])
    assert np.allclose(surface.vol(np.linspace(-2, 2, 21), 4.0), 0.2, rtol=1e-12)


def test_at_an_expiry_the_surface_is_its_slice_and_prices_obey_parity(pair: Surface) -> None:
    x = np.linspace(-0.5, 0.4, 7)
    assert np.allclose(pair.vol(x, 0.5), np.sqrt(LATER.variance(x) / 0.5), rtol=1e-12)
    strike = np.array([80.0, 100.0, 120.0])
    parity = pair.discount(0.4) * (pair.forward(0.4) - strike)
    assert np.allclose(pair.price(strike, 0.4, 1) - pair.price(strike, 0.4, -1), parity, atol=1e-12)


def test_readings_of_flat_smiles_and_their_forward_vol() -> None:
    flat = [
        SviSlice(a=0.04 * 0.5, b=0.0, rho=0.0, m=0.0, sigma=0.1),
        SviSlice(a=0.09, b=0.0, rho=0.0, m=0.0, sigma=0.1),
    ]
    table = svi_surface(flat, [0.5, 1.0], [100, 100], [1, 1]).readings()
    assert np.allclose(table["vol"], [0.2, 0.3])
    assert np.allclose(table[["skew", "risk_reversal", "butterfly"]], 0, atol=1e-9)
    assert np.allclose(table["forward_vol"], [0.2, np.sqrt((0.09 - 0.02) / 0.5)])


def test_readings_of_a_skew(pair: Surface) -> None:
    table = pair.readings()
    w, first, _ = SKEWED.derivatives(0.0)
    assert table["skew"][0] == pytest.approx(float(first / (2 * np.sqrt(w * 0.25))), rel=1e-4)
    assert (table["risk_reversal"] < 0).all()  # puts dearer
    assert (table["butterfly"] > 0).all()


def test_a_surface_needs_increasing_expiries(pair: Surface) -> None:
    with pytest.raises(DataError, match="positive and increasing"):
        Surface(pair.slices[::-1])
    with pytest.raises(DataError, match="at least one slice"):
        Surface(())
