"""Loadings and exposures are derivatives: of a revaluation written out here, in either numeraire."""

import numpy as np
import pandas as pd
import pytest

from optihedge.errors import DataError
from optihedge.market.exposures import tenor_weights
from optihedge.market.pricing import black
from optihedge.market.snapshot import Market

FIRST_ORDER = 1e-6  # relative agreement of a central difference with a first derivative
SECOND_ORDER = 1e-4
EXACT = 1e-9

AS_OF = pd.Timestamp("2026-01-20T12:00:00Z")
EXPIRY = pd.Timestamp("2026-03-27T08:00:00Z")
YEARS = (EXPIRY - AS_OF).total_seconds() / (365 * 86_400)
SPOT, VOL, BASIS, PERP_BASIS = 92_000.0, 0.55, 0.011, -0.0004
STRIKES = {"CALL": (90_000.0, "C", 1.0), "PUT": (80_000.0, "P", -1.0)}
QUANTITY = 1.0 * pd.Series(
    {"COIN": 3, "USD": 50_000, "PERP": -9_000, "FUT": 4_000, "CALL": -7, "PUT": 5, "LINEAR": 2, "LFUT": 1.5}
)


def coin_value(name: str, spot: float, vol: float, basis: float, perp: float, years: float) -> float:
    """USD value of one contract held from today's prices, from the contract's own terms."""
    forward = spot * np.exp(basis)
    if name == "COIN":
        return spot
    if name == "USD":
        return 1.0
    if name in ("PERP", "FUT"):
        entry = SPOT * np.exp(PERP_BASIS if name == "PERP" else BASIS)
        leave = spot * np.exp(perp) if name == "PERP" else forward
        return 10 * (1 / entry - 1 / leave) * spot
    if name == "LFUT":
        return forward - SPOT * np.exp(BASIS)
    strike, _, right = STRIKES.get(name, STRIKES["CALL"])
    price = float(black(forward, strike, years, vol, right))
    return price if name == "LINEAR" else price / forward * spot


def coin_market(base: str, **fields: object) -> Market:
    options = [
        {"instrument": name, "type": "inverse_option", "strike": strike, "right": right}
        for name, (strike, right, _) in STRIKES.items()
    ]
    strike, right, _ = STRIKES["CALL"]
    options.append({"instrument": "LINEAR", "type": "option", "strike": strike, "right": right})
    table = pd.DataFrame([
        {"instrument": "INDEX", "type": "index"},
        {"instrument": "COIN", "type": "cash", "currency": "BTC"},
        {"instrument": "USD", "type": "cash", "underlying": "USD"},
        {"instrument": "PERP", "type": "inverse_perpetual", "multiplier": 10.0},
        {"instrument": "FUT", "type": "inverse_future", "multiplier": 10.0, "expiry": EXPIRY},
        {"instrument": "LFUT", "type": "future", "expiry": EXPIRY},
        *[{**option, "expiry": EXPIRY} for option in options],
    ])  # fmt: skip
    table["underlying"] = table["underlying"].fillna("BTC")
    table["currency"] = table["currency"].fillna("USD")
    forward = SPOT * np.exp(BASIS)
    quotes = {"INDEX": SPOT, "PERP": SPOT * np.exp(PERP_BASIS), "FUT": forward, "LFUT": forward}
    for name, (strike, _, right) in STRIKES.items():
        quotes[name] = float(black(forward, strike, YEARS, VOL, right)) / forward
    quotes["LINEAR"] = quotes["CALL"] * forward
    marks = pd.DataFrame({"instrument": list(quotes), "mark": list(quotes.values()), "bid": np.nan, "ask": np.nan})
    marks["underlying_price"] = np.where(marks["instrument"].isin([*STRIKES, "LINEAR"]), forward, np.nan)
    drivers = pd.DataFrame(
        [
            ("BTC", "price", "BTC", ""),
            ("vol", "vol", "BTC", ""),
            ("basis", "basis", "BTC", "2026-03-27"),
            ("perp", "basis", "BTC", "perpetual"),
        ],
        columns=["driver", "kind", "underlying", "tenor"],
    )
    return Market(table, marks, base, drivers=drivers, as_of=AS_OF, **fields)


def revalued(market: Market, spot=SPOT, vol=VOL, basis=BASIS, perp=PERP_BASIS, days=0.0) -> np.ndarray:
    """Base-currency value of one contract of each, INDEX left out (it cannot be held)."""
    names = market.names.drop("INDEX")
    usd = np.array([coin_value(name, spot, vol, basis, perp, YEARS - days / 365) for name in names])
    return usd / (spot if market.base_currency == "BTC" else 1.0)


def held(market: Market, frame: pd.DataFrame | pd.Series) -> np.ndarray:
    return frame.loc[market.names.drop("INDEX")].to_numpy()


@pytest.mark.parametrize("base", ["USD", "BTC"])
def test_loadings_are_the_first_differences_of_revaluation(base):
    market = coin_market(base)
    loadings = pd.DataFrame(market.loadings.matrix.toarray(), market.drivers.index, market.names).T
    steps = {"BTC": ("spot", SPOT, 1e-4), "vol": ("vol", VOL, 1e-4), "basis": ("basis", BASIS, 1e-4)}
    for driver, (argument, level, step) in {**steps, "perp": ("perp", PERP_BASIS, 1e-4)}.items():
        size = level * step if driver == "BTC" else step
        up, down = (revalued(market, **{argument: level + sign * size}) for sign in (1, -1))
        expected = (up - down) / (2 * step)
        np.testing.assert_allclose(held(market, loadings[driver]), expected, rtol=FIRST_ORDER, atol=1e-7 * SPOT / 1e4)


@pytest.mark.parametrize("base", ["USD", "BTC"])
def test_desk_greeks_are_differences_of_revaluation_in_the_base_currency(base):
    market = coin_market(base)
    exposures = market.exposures.loc[market.names.drop("INDEX")]
    scale = 1.0 if base == "USD" else 1 / SPOT

    def cash_delta(spot=SPOT, **others):
        step = spot * 1e-3
        change = revalued(market, spot=spot + step, **others) - revalued(market, spot=spot - step, **others)
        return change / (2 * step) * spot

    def agree(name, expected, relative):
        floor = 1e-5 * scale * abs(exposures[name]).max() / scale
        np.testing.assert_allclose(exposures[name].to_numpy(), expected, rtol=relative, atol=max(floor, 1e-12))

    up, here, down = (revalued(market, spot=SPOT * (1 + s)) for s in (1e-3, 0.0, -1e-3))
    agree("gamma", (up - 2 * here + down) / 1e-6 / 100, SECOND_ORDER)
    agree("vega", (revalued(market, vol=VOL + 1e-4) - revalued(market, vol=VOL - 1e-4)) / 2e-4 * 0.01, FIRST_ORDER)
    agree("vanna", (cash_delta(vol=VOL + 1e-3) - cash_delta(vol=VOL - 1e-3)) / 2e-3 * 0.01, SECOND_ORDER)
    vols = [revalued(market, vol=VOL + s) for s in (1e-3, 0.0, -1e-3)]
    agree("volga", (vols[0] - 2 * vols[1] + vols[2]) / 1e-6 * 1e-4, SECOND_ORDER)
    coin = [name for name in exposures.index if name != "LINEAR"]
    at = [exposures.index.get_loc(name) for name in coin]
    theta = (revalued(market, days=0.01) - revalued(market, days=-0.01)) / 0.02
    np.testing.assert_allclose(exposures["theta"].to_numpy()[at], theta[at], rtol=FIRST_ORDER, atol=1e-9 * scale)
    charm = (cash_delta(days=0.01) - cash_delta(days=-0.01)) / 0.02
    np.testing.assert_allclose(exposures["charm"].to_numpy()[at], charm[at], rtol=SECOND_ORDER, atol=1e-6 * scale)


def test_two_forms_of_the_coin_settled_delta_are_equal():
    """Equity plus premium-adjusted deltas, or cash plus unrealised profit plus Black-Scholes deltas (in coin)."""
    market = coin_market("USD")
    unrealised = 0.37
    quantity = QUANTITY.drop(["USD", "LINEAR", "LFUT"])
    cash = quantity["COIN"]
    delta = market.exposures["delta"] / SPOT
    options = quantity[["CALL", "PUT"]]
    futures = quantity[["PERP", "FUT"]]
    marks = market.price[options.index]
    over_forward = (futures * 10 / market.price[futures.index]).sum()
    equity = cash + unrealised + (options * marks).sum()
    first = equity + (options * (delta[options.index] - marks)).sum() + over_forward
    second = cash + unrealised + (options * delta[options.index]).sum() + over_forward
    assert first == pytest.approx(second, rel=1e-14)
    assert (quantity * delta[quantity.index]).sum() + unrealised == pytest.approx(second, rel=EXACT)


def test_numeraires_differ_by_exactly_the_equity():
    """The delta in dollars less the delta in coin, both in coin, is the book's value in coin."""
    dollar, coin = coin_market("USD"), coin_market("BTC")
    in_dollars = (QUANTITY * dollar.exposures.loc[QUANTITY.index, "delta"]).sum() / SPOT
    in_coin = (QUANTITY * coin.exposures.loc[QUANTITY.index, "delta"]).sum()
    equity = (QUANTITY * coin.value[QUANTITY.index]).sum()
    assert in_dollars - in_coin == pytest.approx(equity, rel=EXACT)
    assert equity == pytest.approx((QUANTITY * dollar.value[QUANTITY.index]).sum() / SPOT, rel=EXACT)


def test_a_dollar_neutral_coin_with_a_short_inverse_perpetual_is_flat_at_every_spot():
    market = coin_market("USD")
    delta = market.exposures["delta"]
    short = -delta["COIN"] / delta["PERP"]
    now = revalued(market)
    names = list(market.names.drop("INDEX"))
    for spot in SPOT * np.array([0.05, 0.5, 0.9, 1.0, 1.1, 2.0, 20.0]):
        change = revalued(market, spot=spot) - now
        gain = change[names.index("COIN")] + short * change[names.index("PERP")]
        assert abs(gain) <= EXACT * SPOT
    assert market.convexity[:, market.names.get_indexer(["COIN", "PERP"])].nnz == 0


def test_a_coin_settled_call_has_spot_delta_n_d1_and_a_linear_one_times_f_over_s():
    market = coin_market("USD")
    delta = market.exposures["delta"] / SPOT
    assert delta["LINEAR"] / delta["CALL"] == pytest.approx(np.exp(BASIS), rel=1e-12)
    coin = coin_market("BTC").exposures["delta"]
    assert coin["CALL"] == pytest.approx(delta["CALL"] - market.price["CALL"], rel=1e-12)


def test_delta_decays_over_the_settlement_window():
    """Half of it is left 15 minutes before the end of a 30-minute average, all of it before the window opens."""

    def desk(minutes: float, window: float) -> Market:
        expiry = AS_OF + pd.Timedelta(minutes=minutes)
        table = pd.DataFrame({
            "instrument": ["INDEX", "CALL", "FUT"], "type": ["index", "inverse_option", "inverse_future"],
            "underlying": "BTC", "expiry": [pd.NaT, expiry, expiry], "strike": [np.nan, 50_000.0, np.nan],
            "right": ["", "C", ""], "multiplier": [1.0, 1.0, 10.0], "settlement_window": [0.0, window, window],
        })  # fmt: skip
        quotes = pd.DataFrame({
            "instrument": table["instrument"], "mark": [SPOT, 1 - 50_000 / SPOT, SPOT], "bid": np.nan, "ask": np.nan,
            "underlying_price": [np.nan, SPOT, np.nan], "vol": [np.nan, 0.5, np.nan],
        })  # fmt: skip
        return Market(table, quotes, "USD", as_of=AS_OF)

    whole = desk(15, 0).exposures["delta"]
    np.testing.assert_allclose(desk(15, 30).exposures["delta"][1:], 0.5 * whole[1:], rtol=1e-12)
    np.testing.assert_allclose(desk(45, 30).exposures["delta"][1:], desk(45, 0).exposures["delta"][1:], rtol=1e-12)
    assert whole["CALL"] == pytest.approx(SPOT, rel=1e-9)


def test_another_unit_of_price_is_the_same_exposure():
    """Prices a thousand times higher with a thousandth of the units per contract change no cash exposure."""
    days = pd.bdate_range("2016-01-04", periods=60)
    rng = np.random.default_rng(3)
    prices = pd.DataFrame(50 * np.exp(rng.normal(0, 0.01, (60, 3)).cumsum(axis=0)), days, ["A", "B", "C"])
    plain = Market.from_prices(prices, base_currency="USD", spread=1e-3, fee=1e-4)
    scaled = Market.from_prices(
        prices * 1000, base_currency="USD", spread=1e-3, fee=1e-4,
        instruments=pd.DataFrame({"multiplier": 1e-3}, index=["A", "B", "C"]),
    )  # fmt: skip
    pd.testing.assert_frame_equal(plain.exposures, scaled.exposures, rtol=1e-12)
    pd.testing.assert_frame_equal(plain.trade_cost, scaled.trade_cost, rtol=1e-12)
    pd.testing.assert_series_equal(plain.fees, scaled.fees, rtol=1e-12)


def test_beta_weighting_of_a_position_in_index_units():
    """Delta 55 at price 190 with beta 1.2 is 12 540 of cash delta on the index, 2.508 units of it at 5 000."""
    quotes = pd.DataFrame({"instrument": ["X", "SPX"], "bid": [190.0, 5000.0], "ask": [190.0, 5000.0]})
    table = pd.DataFrame({"instrument": ["X", "SPX"], "type": ["equity", "index"]})
    market = Market(table, quotes, "USD", as_of="2026-01-20")
    beta = market.with_exposures(pd.DataFrame({"beta": 1.2 * market.exposures["delta"]}))
    cash = 55 * beta.exposures.loc["X", "beta"]
    assert cash == pytest.approx(12_540, rel=1e-12)
    assert cash / market.exposures.loc["SPX", "delta"] == pytest.approx(2.508, rel=1e-12)


def test_a_foreign_stock_loads_on_its_price_and_on_its_currency():
    table = pd.DataFrame({"instrument": ["SAP"], "currency": ["EUR"]})
    quotes = pd.DataFrame({"instrument": ["SAP"], "bid": [199.0], "ask": [201.0]})
    days = pd.date_range("2026-01-01", periods=4)
    history = pd.DataFrame({"SAP": [190, 195, 198, 200.0], "EURUSD": [1.1, 1.11, 1.09, 1.2]}, days)
    drivers = pd.DataFrame({"driver": ["SAP", "EURUSD"], "kind": ["price", "fx"]})
    market = Market(table, quotes, "USD", drivers=drivers, history=history)
    assert market.loadings.matrix.toarray().ravel() == pytest.approx([240.0, 240.0])
    assert market.exposures.loc["SAP", "delta"] == pytest.approx(240.0)
    assert list(market.price_drivers) == ["SAP"]
    at_home = Market(table, quotes, "EUR", drivers=drivers, history=history)
    foreign, home = market.exposures, at_home.exposures
    pd.testing.assert_frame_equal(home.drop(columns="fx") * 1.2, foreign.drop(columns="fx"), rtol=1e-12)
    assert (foreign.loc["SAP", "fx"], home.loc["SAP", "fx"]) == (pytest.approx(240.0), 0.0)
    assert at_home.loadings.matrix.toarray().ravel() == pytest.approx([200.0, 0.0])


def test_a_future_priced_in_another_currency_than_its_driver_carries_no_value_but_the_pair():
    """A EUR future on an index quoted in USD: its EUR price falls as the euro rises."""
    table = pd.DataFrame({
        "instrument": ["SPX", "FEUR"], "type": ["index", "future"], "underlying": ["SPX", "SPX"],
        "currency": ["USD", "EUR"], "expiry": [pd.NaT, EXPIRY],
    })  # fmt: skip
    quotes = pd.DataFrame({"instrument": ["SPX", "FEUR"], "bid": [6000.0, 5000.0], "ask": [6000.0, 5000.0]})
    days = pd.date_range("2026-01-01", periods=3)
    history = pd.DataFrame({"SPX": [5900, 5950, 6000.0], "EURUSD": [1.1, 1.15, 1.2]}, days)
    drivers = pd.DataFrame({"driver": ["SPX", "EURUSD"], "kind": ["price", "fx"]})
    market = Market(table, quotes, "USD", drivers=drivers, history=history)
    assert market.loadings.matrix.toarray()[:, 1] == pytest.approx([6000.0, -6000.0])
    assert market.value["FEUR"] == 0


def test_vega_without_a_vol_driver_is_reported_never_silent():
    market = coin_market("USD")
    assert set(market.unmodelled.index[market.unmodelled["vega"] != 0]) == set()
    bare = Market(
        market.instruments, market.quotes, "USD", drivers=pd.DataFrame({"driver": ["BTC"], "currency": ["USD"]}),
        as_of=AS_OF,
    )  # fmt: skip
    vega = bare.unmodelled["vega"]
    assert list(vega.index[vega != 0]) == ["CALL", "PUT", "LINEAR"]
    pd.testing.assert_series_equal(vega[vega != 0], bare.exposures["vega"][["CALL", "PUT", "LINEAR"]])
    assert set(bare.unmodelled.index[bare.unmodelled["basis"] != 0]) >= {"PERP", "FUT"}


def test_tenor_weights_interpolate_and_a_parallel_move_stays_whole():
    years = np.array([0.01, 0.1, 0.2, 0.5, 3.0])
    lower, upper, weight = tenor_weights(years, np.array([0.1, 0.3, 1.0]))
    tenors = np.array([0.1, 0.3, 1.0])
    blended = tenors[lower] * (1 - weight) + tenors[upper] * weight
    np.testing.assert_allclose(blended, np.clip(years, 0.1, 1.0), rtol=1e-12)
    assert ((weight >= 0) & (weight <= 1)).all()


def test_the_desks_own_greeks_override_ours_and_reach_the_loadings():
    plain = coin_market("USD")
    own = pd.DataFrame({"instrument": ["CALL"], "delta": [12_345.0], "vega": [99.0], "liquidity": [7.0]})
    market = coin_market("USD", own_exposures=own)
    assert market.exposures.loc["CALL", ["delta", "vega", "liquidity"]].tolist() == [12_345.0, 99.0, 7.0]
    assert market.exposures.loc["PUT", "delta"] == plain.exposures.loc["PUT", "delta"]
    assert market.exposures.loc["PUT", "liquidity"] == 0.0
    at = market.names.get_loc("CALL")
    matrix = market.loadings.matrix.toarray()
    assert matrix[0, at] == pytest.approx(12_345.0)
    assert matrix[1, at] == pytest.approx(9_900.0)


def test_the_desks_own_loadings_replace_all_of_an_instruments():
    own = pd.DataFrame({"instrument": ["CALL", "CALL"], "driver": ["BTC", "perp"], "loading": [5.0, -2.0]})
    market = coin_market("USD", own_loadings=own)
    at = market.names.get_loc("CALL")
    assert market.loadings.matrix.toarray()[:, at].tolist() == [5.0, 0.0, 0.0, -2.0]


# ---- tenors by date ------------------------------------------------------------------------------------------------


def dated_options(*tenors: str, kind: str = "vol") -> Market:
    """Three calls on X, expiring in February, March (the 27th) and June; drivers of these tenors, at 0.02, 0.03 ..."""
    table = pd.DataFrame({
        "instrument": ["X", "FEB", "MAR", "JUN"], "type": ["equity", "option", "option", "option"], "underlying": "X",
        "strike": [np.nan, 100.0, 100.0, 100.0], "right": ["", "C", "C", "C"],
        "expiry": pd.to_datetime([None, "2026-02-20T21:00Z", EXPIRY, "2026-06-19T21:00Z"], utc=True),
    })  # fmt: skip
    quotes = pd.DataFrame({"instrument": table["instrument"], "bid": [100.0, 4.0, 5.0, 7.0]})
    quotes = quotes.assign(ask=quotes["bid"], vol=[np.nan, 0.3, 0.3, 0.3])
    names = [f"N{i}" for i in range(len(tenors))]
    owner = "X" if kind == "vol" else "USD"
    drivers = pd.DataFrame({
        "driver": ["X", *names], "kind": ["price"] + [kind] * len(names), "underlying": ["X"] + [owner] * len(names),
        "tenor": ["", *tenors],
    })  # fmt: skip
    history = pd.DataFrame([[100.0, *(0.02 + 0.01 * i for i in range(len(names)))]] * 2, columns=["X", *names])
    history.index = pd.DatetimeIndex([AS_OF - pd.Timedelta(days=1), AS_OF])
    drivers["constant"] = True
    return Market(table, quotes, "USD", drivers=drivers, history=history, as_of=AS_OF)


@pytest.mark.parametrize("kind", ["vol", "rate"])
def test_a_tenor_may_be_an_expirys_date_whose_options_then_load_on_it_alone(kind):
    market = dated_options("2026-06-19", "2026-03-27", kind=kind)
    share = getattr(market.shares, kind).toarray()[1:, 1:]
    np.testing.assert_allclose(share, [[0, 0, 1], [1, 1, 0]], atol=1e-12)  # flat before the first
    assert np.count_nonzero(market.loadings.matrix.toarray()[1:, 2]) == 1
    if kind == "rate":
        np.testing.assert_allclose(market.quotes["rate"][1:], [0.03, 0.03, 0.02], rtol=1e-12)


def test_dates_and_durations_interpolate_together_and_an_expired_date_plays_no_part():
    days = (pd.Timestamp("2026-06-19T21:00Z") - AS_OF) / pd.Timedelta(days=1)
    within = (EXPIRY - AS_OF) / pd.Timedelta(days=1) - 30
    market = dated_options("2026-01-16", "30d", "2026-06-19")
    share = market.shares.vol.toarray()[1:, 2]
    np.testing.assert_allclose(share, [0, 1 - within / (days - 30), within / (days - 30)], rtol=1e-12, atol=1e-15)
    assert dated_options("2026-01-16").unmodelled["vega"].loc[["FEB", "MAR", "JUN"]].gt(0).all()


@pytest.mark.parametrize("tenor", ["soon", "perpetual", "2026-02-30", "27-03-2026"])
@pytest.mark.parametrize("kind", ["vol", "rate"])
def test_a_tenor_that_is_none_makes_no_market(tenor, kind):
    """Where it is of a rate; without a vol driver that has none, the options on it go."""
    text = f"drivers: N0: tenor '{tenor}' is no tenor; write 30d, 3m, 1y or an expiry"
    if kind == "rate":
        with pytest.raises(DataError, match=text):
            dated_options(tenor, kind=kind)
    else:
        left = dated_options(tenor, kind=kind).left_out
        assert {*left} == {"N0", "FEB", "MAR", "JUN"} and text in left["N0"]
