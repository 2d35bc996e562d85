"""SmileRisk: laws of the revalued risk, against closed forms, worlds whose hedge is known, and its own parts."""

import numpy as np
import pandas as pd
import pytest
from desks import AS_OF, options, stocks

from optihedge.errors import SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.objective import Variance
from optihedge.market.pricing import black
from optihedge.market.snapshot import Market
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.smile_law import SmilePrior, compressed, standard_draws, word_covariance, word_root
from optihedge.risk.smile_risk import SmileRisk
from optihedge.risk.smile_state import SmileState, smile_state
from optihedge.risk.smile_table import smile_rows, smile_table

QUIET = {"vol_of_vol": 1e-9, "parallel": 1e-9, "skew": 1e-9, "noise": 0.0, "basis": (0.0, 0.0)}
STRIKES = tuple(np.arange(80.0, 121.0, 2.5))


def smile(level=0.2, skew=-0.3, spot=100.0, days=(14, 30, 60, 120), strikes=STRIKES, name="U", scale=1.0) -> Market:
    """Options on one underlying of vol level + skew ln(K/F)/sqrt(T), and the underlying; no history."""
    rows, quotes = [], []
    for day in days:
        years = day / 365
        for strike in strikes:
            vol = max(level + skew * np.log(strike / spot) / np.sqrt(years), 0.05)
            for right, sign in (("C", 1), ("P", -1)):
                price = max(float(black(spot, strike, years, vol, sign)), 1e-9)
                rows.append(
                    (f"{name}-{right}{strike:g}-{day}", "option", scale, AS_OF + pd.Timedelta(days=day), strike, right)
                )
                quotes.append((max(price - 0.02, 0.0), price + 0.02, price, vol))
    rows.append((name, "equity", scale, pd.NaT, np.nan, ""))
    quotes.append((spot - 0.005, spot + 0.005, spot, np.nan))
    index = pd.Index([row[0] for row in rows], name="instrument")
    table = pd.DataFrame([row[1:] for row in rows], index, ["type", "multiplier", "expiry", "strike", "right"])
    table["underlying"], table["lot"] = name, 1e-6
    frame = pd.DataFrame(quotes, index, ["bid", "ask", "mark", "vol"])
    return Market(table, frame, "USD", as_of=AS_OF)


def deviation(risk, book: pd.Series) -> float:
    q = book.reindex(risk.names).fillna(0.0).to_numpy()
    shared = ((risk.root @ q) ** 2).sum() + ((risk.specifics @ q) ** 2).sum()
    return float(np.sqrt(shared + (risk.own * q) @ (risk.own * q)))


def test_level_and_skew_of_a_planted_smile_are_read_whatever_one_wild_quote_says():
    market = smile(0.21, -0.25)
    state = smile_state(market, "U")
    assert (state.level, state.skew) == pytest.approx((0.21, -0.25), abs=1e-9)
    wild = market.quotes["vol"].copy()
    wild["U-C100-30"] = 0.9
    mended = Market(market.instruments.reset_index(), market.quotes.assign(vol=wild).reset_index(), "USD", as_of=AS_OF)
    state = smile_state(mended, "U")
    assert (state.level, state.skew) == pytest.approx((0.21, -0.25), abs=1e-3)


def test_too_few_strikes_give_the_mean_vol_and_no_skew():
    state = smile_state(smile(0.2, 0.0, strikes=(95.0, 105.0), days=(30,)), "U")
    assert (state.level, state.skew, state.expiries) == (pytest.approx(0.2), 0.0, 0)


@pytest.mark.parametrize("underlyings", [1, 2, 5])
@pytest.mark.parametrize("tails", [None, 4.0, (0.5, 1.0, 2.0)])
def test_draws_come_in_pairs_with_exactly_unit_covariance_for_every_tail(underlyings, tails):
    draws = standard_draws(200, underlyings, 1, tails)
    flat = draws.reshape(200, -1)
    np.testing.assert_allclose(flat.T @ flat / 200, np.eye(flat.shape[1]), atol=1e-9)
    np.testing.assert_array_equal(draws[:100], -draws[100:])


@pytest.mark.parametrize("underlyings", [1, 2, 5])
def test_fourth_moments_of_normal_draws_are_the_normal_law_s(underlyings):
    one = standard_draws(200, underlyings, 3)[:, 0]
    fourth = np.einsum("si,sj,sk,sl->ijkl", one, one, one, one) / 200
    eye = np.eye(4)
    pairs = ("ij,kl->ijkl", "ik,jl->ijkl", "il,jk->ijkl")
    np.testing.assert_allclose(fourth, sum(np.einsum(p, eye, eye) for p in pairs), atol=1e-6)


def test_fat_tails_have_a_larger_fourth_moment():
    flat, fat = ((standard_draws(2000, 1, 1, tails) ** 4).mean() for tails in (None, 4.0))
    assert fat > 1.3 * flat


def test_the_root_of_the_words_has_their_covariance_and_today_s_spot():
    covariance = word_covariance(SmileState("U", 0.2, -0.3, 5), 0.01, SmilePrior())
    root = word_root(covariance, 0.01)
    np.testing.assert_allclose(root @ root.T, covariance, rtol=1e-6, atol=1e-12)
    other = word_root(covariance, 0.02)
    assert other[0, 0] == pytest.approx(0.02)
    np.testing.assert_allclose(other[1:, 0], 2 * root[1:, 0], rtol=1e-12)


def test_compression_keeps_every_contract_s_variance():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 300)) * np.logspace(-6, 3, 300)
    size = np.sqrt((rows**2).sum(axis=0))
    kept, lost = compressed(rows, 28, size)
    assert len(kept) == 5
    np.testing.assert_allclose((kept**2).sum(axis=0) + lost, size**2, rtol=1e-9)
    assert (lost <= 1e-7 * size**2).all()


@pytest.mark.parametrize(("stickiness", "slides"), [(1.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize("skew", [-0.4, 0.3])
def test_the_least_variance_delta_is_black_s_in_a_sticky_strike_world_and_slides_in_a_sticky_delta_one(
    stickiness, slides, skew
):
    market = smile(0.25, skew)
    prior = SmilePrior(stickiness=stickiness, **QUIET)
    risk = SmileRisk(prior=prior).fit(market, periods=1e-8).risk_  # so short that only first derivatives count
    s, names = market.sensitivities, market.names
    option = market.contracts.option
    expected = s.delta - slides * s.vega * skew / np.sqrt(np.where(option, market.contracts.years, 1.0))
    spot = risk.specifics[[0]].toarray()[0]
    ratio = spot / spot[names.get_loc("U")]
    np.testing.assert_allclose(ratio[option], expected[option] / s.delta[names.get_loc("U")], atol=1e-6)


def test_a_stickiness_that_no_diffusion_shows_counts_as_two_and_is_named():
    market = smile(0.25, -0.4)
    two, more = (SmileRisk(prior={"stickiness": r}).fit(market).risk_ for r in (2.0, 2.8))
    np.testing.assert_array_equal(more.root, two.root)
    assert "SmileRisk: a stickiness of 2.8 counts as 2" in more.notes
    assert not any("stickiness" in note for note in two.notes)
    less = SmileRisk(prior={"stickiness": 1.9}).fit(market).risk_
    assert not np.allclose(less.root, two.root, rtol=1e-3)


def test_a_straddle_s_deviation_is_its_closed_form_in_first_and_second_order():
    market = smile(0.2, -0.3)
    risk = SmileRisk().fit(market).risk_
    state, prior = smile_state(market, "U"), SmilePrior()
    root = word_root(word_covariance(state, state.level / np.sqrt(252), prior), state.level / np.sqrt(252))
    for day in (14, 30, 60, 120):
        names = [f"U-C100-{day}", f"U-P100-{day}"]
        at = market.names.get_indexer(names)
        s = market.sensitivities
        delta, gamma, vega, vanna, volga = (
            float(getattr(s, k)[at].sum()) for k in ("delta", "gamma", "vega", "vanna", "volga")
        )
        years = day / 365
        shape = np.array([0.0, np.sqrt(30 / 365 / years), 1.0, 0.0])
        slope = root.T @ (np.array([delta, 0, 0, 0]) + vega * shape)
        hessian = vanna * np.outer([1, 0, 0, 0], shape)
        hessian = hessian + hessian.T + volga * np.outer(shape, shape)
        hessian[0, 0] += gamma
        curved = root.T @ hessian @ root
        basis = float(s.basis[at].sum()) * state.level / np.sqrt(252)
        own = risk.own[at]
        closed = slope @ slope + 0.5 * (curved**2).sum() + basis**2 * (0.04**2 + 0.015**2) + own @ own
        assert deviation(risk, pd.Series(1.0, index=names)) == pytest.approx(np.sqrt(closed), rel=0.07)


def test_two_seeds_agree_within_a_hundredth():
    market = smile()
    risks = [SmileRisk(seed=seed).fit(market).risk_ for seed in (0, 1)]
    delta = market.exposures["delta"]
    liquid = market.names[market.contracts.option & (delta / market.notional).abs().between(0.05, 0.6)]
    rng = np.random.default_rng(0)
    for signs in (rng.choice([-1.0, 1.0], 20), -np.ones(20)):
        book = pd.Series(rng.integers(1, 21, 20) * signs, index=rng.choice(liquid, 20, replace=False))
        book["U"] = -float(book @ delta[book.index]) / delta["U"]
        one, other = (deviation(risk, book) for risk in risks)
        assert one == pytest.approx(other, rel=0.01)


def test_parts_by_source_sum_to_the_variance_that_the_hedge_reports():
    market = smile()
    book = {"U-C100-30": -10.0, "U-P95-60": 4.0}
    hedge = HedgeModel(risk=SmileRisk(), objective=Variance(aversion=1.0), universe=["U"]).hedge(market, book)
    parts = hedge.risk["before"].drop(["variance", "volatility"])
    assert set(parts.index) == {"spot", "vol", "parallel vol", "skew", "basis", "gamma", "noise"}
    assert parts.sum() == pytest.approx(hedge.risk.loc["variance", "before"], rel=1e-12)
    covariance = hedge.risk_model.covariance()
    held = pd.Series(book).reindex(covariance.index).fillna(0.0)
    assert parts.sum() == pytest.approx(float(held @ covariance @ held), rel=1e-9)


def test_a_given_own_risk_replaces_the_law_of_noise():
    market = smile()
    table = market.instruments.assign(own_risk=0.0)
    table.loc["U-C100-30", "own_risk"] = 7.0
    known = Market(table.reset_index(), market.quotes.reset_index(), "USD", as_of=AS_OF)
    law, given = (SmileRisk().fit(m, periods=4.0).risk_ for m in (market, known))
    at = market.names.get_loc("U-C100-30")
    assert given.own[at] == pytest.approx(14.0, rel=1e-3)
    np.testing.assert_allclose(np.delete(given.own, at), np.delete(law.own, at))


def test_the_drivers_own_history_sets_the_spot_s_deviation_and_a_stock_stands_beside():
    market = options(history_vol=0.4)  # implied 0.2, realised 0.4, a period a day
    risk = SmileRisk(weight=1e-6).fit(market).risk_
    ewma = market.moves()["U"].ewm(halflife=63).std(bias=True).iloc[-1]
    assert risk.deviation()["U"] == pytest.approx(100 * ewma, rel=0.05)
    prior = SmileRisk(weight=1e9).fit(market).risk_
    assert prior.deviation()["U"] == pytest.approx(100 * 0.2 / np.sqrt(365), rel=1e-4)


def test_a_stock_without_chain_or_history_stands_beside_by_its_prior_and_is_named():
    market = smile()
    table = pd.concat([market.instruments, pd.DataFrame({"type": ["equity"], "underlying": ["X"]}, index=["X"])])
    quotes = pd.concat([market.quotes, pd.DataFrame({"bid": [9.9], "ask": [10.1]}, index=["X"])])
    wider = Market(
        table.rename_axis("instrument").reset_index(),
        quotes.rename_axis("instrument").reset_index(),
        "USD",
        as_of=AS_OF,
    )
    risk = SmileRisk().fit(wider).risk_
    assert risk.deviation()["X"] == pytest.approx(10 * 0.35 / np.sqrt(252), rel=1e-6)
    assert any("X" in note and "prior" in note for note in risk.notes)
    alone = SmileRisk().fit(market).risk_
    pd.testing.assert_series_equal(risk.deviation()[market.names], alone.deviation(), rtol=1e-6, check_names=False)


def test_a_market_without_a_chain_is_the_price_drivers_risk():
    market = stocks()
    risk, plain = SmileRisk().fit(market).risk_, EwmaRisk(halflife=63).fit(market.moves()).risk_
    price = market.price.to_numpy()
    np.testing.assert_allclose(risk.covariance(), plain.covariance() * np.outer(price, price), rtol=1e-9)


def moved(market: Market, term: float, spot: float, later: pd.Timedelta) -> Market:
    c = market.contracts
    life = np.where(c.option, c.years, 1.0)
    quotes = market.quotes.assign(vol=np.where(c.option, c.vol + term * np.sqrt(30 / 365 / life), np.nan))
    for side in ("bid", "ask", "mark"):
        quotes[side] = np.where(c.option, quotes[side], quotes[side] * (1 + spot))
    return Market(market.instruments.reset_index(), quotes.reset_index(), "USD", as_of=market.as_of + later)


def test_a_history_of_moves_outweighs_the_prior_as_it_grows():
    market = smile(0.2, 0.0)
    night = smile_rows(market, moved(market, 0.02, 0.0, pd.Timedelta("3D")))
    assert night.loc[0, ["term", "atm", "periods"]].tolist() == pytest.approx([0.02, 0.2, 1.0], abs=1e-6)
    few, many = (SmileRisk(history=pd.concat([night.assign(time=AS_OF)] * n)).fit(market).risk_ for n in (1, 2000))
    vega = float(market.sensitivities.vega[market.names.get_loc("U-C100-30")])
    vol = lambda risk: np.abs(risk.root[risk.sources.index("vol"), market.names.get_loc("U-C100-30")]) / vega  # noqa: E731

    def expected(n):  # what e2 does to a 30-day vol when n nights of 0.02 join a prior of 20
        term, with_level = (20 * 0.011**2 + n * 0.02**2) / (20 + n), -0.25 * 20 * 0.011**2 / (20 + n)
        return np.sqrt(term) + with_level / np.sqrt(term)

    assert vol(few) / vol(many) == pytest.approx(expected(1) / expected(2000), rel=0.01)


def test_rows_of_a_later_time_are_not_known_yet():
    market = smile()
    night = smile_table([market, moved(market, 0.05, 0.0, pd.Timedelta("1D"))])
    with_it, without = (SmileRisk(history=h).fit(market).risk_.deviation() for h in (night, None))
    pd.testing.assert_series_equal(with_it, without)


@pytest.mark.parametrize("wrong", [{"tails": 2.0}, {"tails": "fat"}, {"draws": 33}, {"weight": 0.0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(SpecError, match="SmileRisk"):
        SmileRisk(**wrong).fit(smile())
