"""Forwards and discounts from parity and futures, against exact lines and against two venues' published vols."""

import numpy as np
import pandas as pd
import pytest
from recorded import deribit_chain, spx_chain

from optihedge.errors import DataError
from optihedge.market.forwards import fit_parity, futures_forwards, parity_forwards
from optihedge.market.pricing import black, coin_price, greeks, implied_vol, implied_vol_reason, venue_theta


def test_an_exact_line_gives_its_forward_and_discount() -> None:
    strike = np.arange(80.0, 121.0, 5.0)
    line = fit_parity(strike, 0.97 * (101.3 - strike), np.full(strike.size, 0.2))
    assert line.forward == pytest.approx(101.3, rel=1e-12)
    assert line.discount == pytest.approx(0.97, rel=1e-12)
    assert line.residual < 1e-12


def test_stale_quotes_do_not_move_the_line() -> None:
    rng = np.random.default_rng(0)
    strike = np.arange(80.0, 121.0, 1.0)
    difference = 0.97 * (101.3 - strike) + rng.normal(0, 0.01, strike.size)
    difference[[3, 17, 30]] += [4.0, -6.0, 9.0]
    line = fit_parity(strike, difference, np.full(strike.size, 0.1))
    assert line.forward == pytest.approx(101.3, abs=0.01)
    assert line.discount == pytest.approx(0.97, abs=5e-4)


def test_too_few_or_upside_down_quotes_are_refused() -> None:
    with pytest.raises(DataError, match="needs 4 strikes quoted on both sides, found 3"):
        fit_parity([90, 100, 110], [10, 0, -10], [1, 1, 1])
    with pytest.raises(DataError, match="does not fall with the strike"):
        fit_parity([90, 95, 100, 110], [-10, -5, 0, 10], [1, 1, 1, 1])


def test_a_chain_priced_on_a_curve_gives_the_curve_back_short_expiries_included() -> None:
    rows = []
    for days in (2, 30, 180, 400):
        years, rate, forward = days / 365, 0.025, 100 * np.exp(0.01 * days / 365)
        for strike in np.arange(88.0, 113.0, 2.0):
            for right, sign in (("C", 1), ("P", -1)):
                mid = black(forward, strike, years, 0.2, sign, np.exp(-rate * years))
                rows.append((days, years, strike, right, max(mid - 0.02, 0.0), mid + 0.02))
    chain = pd.DataFrame(rows, columns=["days", "years", "strike", "right", "bid", "ask"])
    found = parity_forwards(chain, ["days"])
    assert np.allclose(found["forward"], 100 * np.exp(0.01 * found["years"]), rtol=1e-5)
    assert np.allclose(found["rate"], 0.025, atol=2e-4)


def quoted(days: float, forward: float, rate: float, strikes: np.ndarray, spread: float, noise: float, seed: int):  # type: ignore[no-untyped-def]
    """A chain of one expiry at 20 % vol, its mids off by `noise`."""
    rng, years, rows = np.random.default_rng(seed), days / 365, []
    for strike in strikes:
        for right, sign in (("C", 1), ("P", -1)):
            mid = float(black(forward, strike, years, 0.2, sign, np.exp(-rate * years))) + noise * rng.normal()
            rows.append((days, years, strike, right, max(mid - spread / 2, 0.0), mid + spread / 2))
    return pd.DataFrame(rows, columns=["days", "years", "strike", "right", "bid", "ask"])


def test_a_far_expiry_of_few_strikes_takes_the_last_rate_of_the_curve() -> None:
    for seed in range(20):
        near = [quoted(d, 100.0, 0.04, np.arange(80, 121, 2.5), 0.06, 0.015, 10 * seed + d) for d in (7, 21, 49, 91)]
        far = quoted(365, 103.0, 0.04, np.array([95.0, 105.0, 115.0]), 0.3, 0.05, seed)
        found = parity_forwards(pd.concat([*near, far]), "days").loc[365]
        assert found["rate"] == pytest.approx(0.04, abs=0.01)
        assert found["forward"] == pytest.approx(103.0, abs=0.2)


@pytest.mark.parametrize(("strike", "bid", "ask"), [(50.0, 0.05, 200.0), (60.0, 5.0, 5.1), (100.0, 0.05, 50.0)])
def test_a_junk_pair_does_not_become_the_forward(strike: float, bid: float, ask: float) -> None:
    chain = quoted(182.5, 100.0, 0.06, np.arange(50.0, 151.0, 5.0), 0.1, 0.0, 0)
    chain.loc[chain["strike"] == strike, ["bid", "ask"]] = [bid, ask]
    found = parity_forwards(chain, "days").iloc[0]
    assert found["forward"] == pytest.approx(100.0, abs=1e-3)
    assert found["rate"] == pytest.approx(0.06, abs=1e-3)


def test_locked_quotes_are_as_good_as_any() -> None:
    chain = quoted(182.5, 100.0, 0.06, np.arange(85.0, 116.0, 5.0), 0.0, 0.0, 0)
    found = parity_forwards(chain, ["days"]).iloc[0]
    assert (found["forward"], found["rate"]) == (pytest.approx(100.0, rel=1e-9), pytest.approx(0.06, rel=1e-6))


def test_a_chain_that_makes_no_line_is_named() -> None:
    good = quoted(30, 100.0, 0.04, np.arange(85.0, 116.0, 5.0), 0.1, 0.0, 0)
    swapped = quoted(60, 100.0, 0.04, np.arange(85.0, 116.0, 5.0), 0.1, 0.0, 0)
    swapped["right"] = swapped["right"].map({"C": "P", "P": "C"})
    cases = [
        (pd.concat([good, swapped]), "parity of 60: call minus put does not fall"),
        (pd.concat([good, good.iloc[:1]]), "30, 85.0, C has two rows; keep one"),
        (good.drop(columns="years"), "no column years"),
        (good.drop(columns="bid"), "no column bid"),
        (good.assign(right="call"), "right of 30.*, 85.0 is 'call'; write C or P"),
        (good.assign(years=-0.1), "years of 30 is -0.1; drop the expired"),
        (good.assign(bid=good["bid"] / 1e4, ask=good["ask"] / 1e4), "are prices in coin"),
    ]
    for chain, message in cases:
        with pytest.raises(DataError, match=message):
            parity_forwards(chain, ["days"])


def test_futures_in_another_order_than_their_expiries_or_without_a_price_are_refused() -> None:
    expiries, futures = pd.Series({"F1": 0.25, "F2": 0.5}), pd.Series({"F2": 102.0, "F1": 101.0})
    with pytest.raises(DataError, match="label 1 of futures_expiry is F1 where that of futures is F2"):
        futures_forwards(0.25, expiries, futures, 100.0)
    assert futures_forwards(0.25, expiries, futures[expiries.index], 100.0) == pytest.approx(101.0)
    with pytest.raises(DataError, match=r"futures curve row 2: futures is 0.0; give a finite number above zero"):
        futures_forwards(0.25, [0.25, 0.5], [101.0, 0.0], 100.0)


def test_a_futures_curve_is_interpolated_in_its_log_basis() -> None:
    found = futures_forwards([0.0, 0.25, 0.5, 0.75, 2.0], [1.0, 0.5], [106.0, 102.0], 100.0)
    assert np.allclose(found, [100, np.sqrt(102 * 100), 102, np.sqrt(102 * 106), 100 * 1.06**2], rtol=1e-12)
    with pytest.raises(DataError, match="distinct and in the future"):
        futures_forwards([0.5], [0.5, 0.5], [101, 102], 100)


# ---- recorded chains -----------------------------------------------------------------------------------------------


def spx_against_published(folder, days=None) -> pd.DataFrame:  # type: ignore[no-untyped-def]
    """Liquid out-of-the-money quotes with our vol and delta beside the published ones, for every `days`-th day."""
    chain = spx_chain(folder)
    chain = chain[chain["years"] > 0]
    if days is not None:
        chain = chain[chain["quotedate"].isin(chain["quotedate"].unique()[::days])]
    key = ["expiration", "root"]
    curves = {day: parity_forwards(quotes, key) for day, quotes in chain.groupby("quotedate")}
    curve = pd.concat(curves, names=["quotedate", *key]).drop(columns="years")
    chain = chain.join(curve, on=["quotedate", *key])
    chain["sign"] = np.where(chain["right"] == "C", 1.0, -1.0)
    liquid = (chain["bid"] > 0) & chain["delta"].abs().between(0.05, 0.6) & chain["days"].between(7, 365)
    chain = chain[liquid & (chain["vol"] > 0) & (chain["sign"] * (chain["forward"] - chain["strike"]) <= 0)].copy()
    mid = (chain["bid"] + chain["ask"]) / 2
    terms = [chain[c] for c in ("forward", "strike", "years")]
    chain["our_vol"] = implied_vol(mid, *terms, chain["sign"], chain["discount"])
    ours = greeks(chain["forward"], *terms, chain["our_vol"], chain["sign"], chain["discount"])
    chain["our_delta"] = ours.delta
    return chain


def test_own_forwards_reproduce_the_published_vols_and_deltas_of_index_options(recorded) -> None:  # type: ignore[no-untyped-def]
    """Every fourth day; the delta is D N(d1): without D it is 1e-3 off."""
    chain = spx_against_published(recorded("spx_options_2019"), days=4)
    error = (chain["our_vol"] - chain["vol"]).abs()
    assert error.notna().all()
    assert error.median() < 5e-4
    assert error.quantile(0.99) < 5e-3
    assert (chain["our_delta"] - chain["delta"]).abs().median() < 2.5e-4
    assert (chain["our_delta"] / chain["discount"] - chain["delta"]).abs().median() > 5e-4


@pytest.mark.slow
def test_published_index_vols_are_met_on_every_day_but_four(recorded) -> None:  # type: ignore[no-untyped-def]
    chain = spx_against_published(recorded("spx_options_2019"))
    error = (chain["our_vol"] - chain["vol"]).abs()
    assert error.median() < 5e-4 and error.quantile(0.99) < 5e-3
    daily = error.groupby(chain["quotedate"]).quantile([0.5, 0.99]).unstack()
    bad = daily[(daily[0.5] > 4e-4) | (daily[0.99] > 3.5e-3)]
    # on these days the published vols of whole slices lie to one side of their own quotes' vols
    assert bad.index.strftime("%Y-%m-%d").tolist() == ["2019-04-26", "2019-04-29", "2019-05-09", "2019-05-20"]


def test_a_coin_venues_bid_and_ask_vols_and_prices_are_met(recorded) -> None:  # type: ignore[no-untyped-def]
    chain = deribit_chain(recorded("deribit_btc_2026"))
    forward, strike, years, sign = (chain[c] for c in ("underlying_price", "strike", "years", "sign"))
    errors, ticks = [], []
    for side in ("bid", "ask"):
        quote, published = chain[f"best_{side}_price"], chain[f"{side}_iv"]
        known = published.between(0, 999, inclusive="neither")
        vol = implied_vol(quote * forward, forward, strike, years, sign)
        errors.append((100 * vol - published)[known].abs())
        price = coin_price(forward, strike, years, published / 100, sign)
        ticks.append(((price - quote) / chain["tick_size"])[known].abs())
        unknown = implied_vol_reason(quote * forward, forward, strike, years, sign)[~known & (quote > 0)]
        assert set(unknown) <= {"below intrinsic"}  # the venue publishes no vol there, and neither do we
    error = pd.concat(errors)
    assert error.notna().all()
    assert error.median() < 0.005
    assert error.quantile(0.99) < 0.02
    assert pd.concat(ticks).quantile(0.99) < 0.25


def test_a_coin_venues_greeks_are_blacks_on_the_future_and_its_theta_has_a_rule(recorded) -> None:  # type: ignore[no-untyped-def]
    chain = deribit_chain(recorded("deribit_btc_2026"))
    forward, years = chain["underlying_price"], chain["years"]
    ours = greeks(forward, forward, chain["strike"], years, chain["mark_iv"] / 100, chain["sign"])
    assert np.quantile(np.abs(ours.delta - chain["delta"]), 0.99) < 1e-4
    assert np.quantile(np.abs(ours.vega / 100 - chain["vega"]), 0.99) < 0.03
    assert np.quantile(np.abs(ours.rho / 100 - chain["rho"]), 0.99) < 0.02
    theta = venue_theta(ours, years)
    assert np.quantile(np.abs(theta - chain["theta"]), 0.99) < 0.1
    assert np.all(theta >= -ours.price)
