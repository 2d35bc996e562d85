"""Full revaluation: exact where a closed form exists, and the Greeks in the small."""

import numpy as np
import pandas as pd
import pytest
from test_exposures import BASIS, PERP_BASIS, SPOT, VOL, coin_market, held, revalued

from optihedge.errors import DataError
from optihedge.market.pricing import black
from optihedge.market.scenarios import STRESSES, payoff_profile, replay, scenario_pnl, shock_grid
from optihedge.market.snapshot import Market

EXACT = 1e-11  # of the notional


@pytest.mark.parametrize("base", ["USD", "BTC"])
def test_scenarios_are_the_contracts_own_terms_revalued(base):
    market = coin_market(base)
    shocks = shock_grid({"spot": [-0.5, -0.1, 0.0, 0.3], "vol": [-0.2, 0.0, 0.4]})
    pnl = scenario_pnl(market, shocks, market.names.drop("INDEX"))
    now = revalued(market)
    scale = SPOT if base == "USD" else 1.0
    for (spot, vol), row in pnl.iterrows():
        expected = revalued(market, spot=SPOT * (1 + spot), vol=VOL + vol) - now
        np.testing.assert_allclose(row, expected, rtol=0, atol=EXACT * scale)


@pytest.mark.parametrize("base", ["USD", "BTC"])
def test_drivers_move_what_loads_on_them(base):
    market = coin_market(base)
    shocks = pd.DataFrame(np.diag([0.02, 0.01, 3e-3, 2e-3]), columns=["BTC", "vol", "basis", "perp"])
    expected = np.array([
        revalued(market, **change) - revalued(market)
        for change in (
            {"spot": SPOT * 1.02}, {"vol": VOL + 0.01}, {"basis": BASIS + 3e-3}, {"perp": PERP_BASIS + 2e-3}
        )
    ])  # fmt: skip
    scale = SPOT if base == "USD" else 1.0
    names = market.names.drop("INDEX")
    # "basis" and "vol" are drivers here: they come before the words
    np.testing.assert_allclose(scenario_pnl(market, shocks, names), expected, rtol=0, atol=EXACT * scale)


def test_small_shocks_are_the_loadings():
    market = coin_market("USD")
    step = 1e-5
    for row, driver in enumerate(market.drivers.index):
        up, down = (scenario_pnl(market, pd.DataFrame({driver: [sign * step]})).to_numpy()[0] for sign in (1, -1))
        slope = (up - down) / (2 * step)
        np.testing.assert_allclose(slope, market.loadings.matrix.toarray()[row], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("family", ["option", "inverse_option", "inverse_future"])
def test_while_the_settlement_average_runs_small_shocks_are_the_greeks_and_half_a_move_counts(family):
    """A quarter of an hour before the end of half an hour's average."""

    def desk(window: float) -> Market:
        expiry = pd.Timestamp("2026-01-20T08:15Z")
        table = pd.DataFrame({
            "instrument": ["I", "C"], "type": ["index", family], "underlying": "I", "expiry": [pd.NaT, expiry],
            "strike": [np.nan, 101.0 if "option" in family else np.nan], "settlement_window": [0.0, window],
            "right": ["", "C" if "option" in family else ""],
        })  # fmt: skip
        mark = np.nan if "option" in family else 100.0
        quotes = pd.DataFrame({"instrument": ["I", "C"], "mark": [100.0, mark], "bid": np.nan, "ask": np.nan,
                               "underlying_price": [np.nan, 100.0], "vol": [np.nan, 0.9]})  # fmt: skip
        return Market(table, quotes, "USD", as_of="2026-01-20T08:00Z")

    market, step = desk(30.0), 1e-5
    for word, greek in (("spot", "delta"), ("vol", "vega")):
        up, down = scenario_pnl(market, pd.DataFrame({word: [step, -step]}), "C")["C"]
        unit = 1.0 if word == "spot" else 100.0
        assert (up - down) / (2 * step) == pytest.approx(unit * market.exposures.at["C", greek], rel=1e-5, abs=1e-9)
    up, down = scenario_pnl(market, pd.DataFrame({"spot": [1e-4, -1e-4]}), "C")["C"]
    assert (up + down) / 1e-8 == pytest.approx(market.sensitivities.gamma[1], rel=1e-3, abs=1e-4)
    whole = scenario_pnl(desk(0.0), pd.DataFrame({"spot": [0.02, -0.02]}), "C")["C"]
    half = scenario_pnl(market, pd.DataFrame({"spot": [0.04, -0.04]}), "C")["C"]
    np.testing.assert_allclose(half, whole, rtol=1e-12)


def test_a_day_is_theta_and_a_rate_is_rho():
    """Theta of coin-settled contracts holds the basis, which a day shrinks: so theta less the basis that rolls down."""
    market = coin_market("USD")
    day = 1e-3
    pnl = scenario_pnl(market, pd.DataFrame({"days": [day, -day], "rate": 0.0})).to_numpy()
    basis = market.loadings.matrix.toarray()[market.drivers.index.get_loc("basis")]
    years = np.nan_to_num(market.contracts.years, nan=np.inf)
    roll = -basis * BASIS / years / 365
    coin = ~market.names.isin(["LINEAR"])
    theta = market.exposures["theta"].to_numpy() + np.where(coin, roll, 0.0)
    np.testing.assert_allclose((pnl[0] - pnl[1]) / (2 * day), theta, rtol=1e-5, atol=1e-6)
    rate = scenario_pnl(market, pd.DataFrame({"rate": [1e-4, -1e-4]})).to_numpy()
    np.testing.assert_allclose((rate[0] - rate[1]) / 2, market.exposures["rho"], rtol=1e-6, atol=1e-6)


def test_at_expiry_a_contract_is_worth_its_payoff():
    market = coin_market("USD")
    returns = np.array([-0.4, -0.02, 0.0, 0.25])
    book = pd.Series({"CALL": -2.0, "PUT": 1.0, "LINEAR": 1.0})
    trades = pd.Series({"FUT": 300.0})
    profile = payoff_profile(market, book, trades, returns, "BTC")
    spot = SPOT * (1 + returns)
    call, put = np.maximum(spot - 90_000, 0), np.maximum(80_000 - spot, 0)
    forward = SPOT * np.exp(BASIS)
    premium = (book * market.value[book.index]).sum()
    np.testing.assert_allclose(profile["expiry", "book"], -2 * call + put + call - premium, atol=1e-8)
    np.testing.assert_allclose(profile["expiry", "hedge"], 3000 * (1 / forward - 1 / spot) * spot, atol=1e-8)
    np.testing.assert_allclose(profile["now", "both"], profile["now", "book"] + profile["now", "hedge"], atol=1e-8)
    assert profile["now", "both"].iloc[2] == pytest.approx(0, abs=1e-8)


def test_an_option_far_out_of_the_money_expires_worthless_and_a_long_one_loses_its_premium():
    """ln(F/K) of -6.9 and -9.2 over no deviation at all: as far out as a double can say."""
    market = coin_market("USD")
    calls = ["CALL", "LINEAR"]
    for shock in ({"spot": [-0.999, -0.9999], "days": np.inf}, {"spot": [-0.999, -0.9999], "vol": -2 * VOL}):
        pnl = scenario_pnl(market, pd.DataFrame(shock), calls)
        np.testing.assert_allclose(pnl, -market.value[calls].to_numpy() * np.ones((2, 1)), rtol=1e-12)


@pytest.mark.parametrize("contracts", [["CALL"], ["FUT", "PUT", "LINEAR", "COIN", "CALL"]])
def test_a_scenario_is_worth_the_same_alone_and_in_any_order(contracts):
    """Blocks of scenarios and days that come back change nothing: 12 000 rows, each also by itself."""
    market = coin_market("USD")
    rng = np.random.default_rng(2)
    shocks = pd.DataFrame({
        "spot": rng.uniform(-0.5, 0.5, 12_000), "vol": rng.uniform(-0.2, 0.2, 12_000),
        "days": rng.choice([0.0, 1.0, 30.0, np.inf], 12_000),
    })  # fmt: skip
    pnl = scenario_pnl(market, shocks, contracts)
    for row in rng.integers(0, 12_000, 20):
        alone = scenario_pnl(market, shocks.iloc[[row]], contracts)
        np.testing.assert_allclose(pnl.iloc[[row]], alone, rtol=0, atol=EXACT * SPOT)


def test_skew_and_term_bend_the_vols_of_strikes_and_tenors():
    market = coin_market("USD")
    c = market.contracts
    pnl = scenario_pnl(market, pd.DataFrame({"skew": [0.1, 0.0], "term": [0.0, 0.05]})).iloc
    for name in ("CALL", "PUT"):
        at = market.names.get_loc(name)
        years, strike, forward = c.years[at], c.strike[at], c.forward[at]
        scale = SPOT / forward
        for row, change in (
            (0, 0.1 * np.log(strike / forward) / np.sqrt(years)), (1, 0.05 * np.sqrt(30 / 365 / years))
        ):  # fmt: skip
            later, now = (float(black(forward, strike, years, v, c.right[at])) for v in (VOL + change, VOL))
            assert pnl[row][name] == pytest.approx((later - now) * scale, rel=1e-9)


def test_funding_is_paid_by_the_long_over_the_days():
    table = pd.DataFrame({"instrument": ["I", "P"], "type": ["index", "perpetual"], "underlying": "BTC"})
    quotes = pd.DataFrame({
        "instrument": ["I", "P"], "bid": 1e5, "ask": 1e5, "funding_rate": [np.nan, 1e-4], "funding_hours": [np.nan, 8]
    })  # fmt: skip
    market = Market(table, quotes, "USD", as_of="2026-01-20")
    pnl = scenario_pnl(market, pd.DataFrame({"days": [1.0, 1.0], "funding": [0.0, 0.365]}))["P"]
    assert pnl.tolist() == pytest.approx([-30.0, -130.0])


def test_a_replayed_day_of_stocks_is_their_returns():
    steps = np.random.default_rng(0).normal(0, 0.02, (40, 3))
    days = pd.bdate_range("2016-01-04", periods=40)
    prices = pd.DataFrame(100 * np.exp(steps.cumsum(axis=0)), days, ["A", "B", "C"])
    market = Market.from_prices(prices, base_currency="USD")
    pnl = scenario_pnl(market, replay(market, 10))
    np.testing.assert_allclose(pnl, market.moves(10) * market.value.to_numpy(), rtol=1e-12, atol=1e-12)


def test_a_foreign_contract_is_revalued_in_its_currency_and_converted():
    table = pd.DataFrame({"instrument": ["SAP"], "currency": ["EUR"]})
    quotes = pd.DataFrame({"instrument": ["SAP"], "bid": [200.0], "ask": [200.0]})
    days = pd.date_range("2026-01-01", periods=3)
    history = pd.DataFrame({"SAP": [190, 195, 200.0], "EURUSD": [1.1, 1.15, 1.2]}, days)
    drivers = pd.DataFrame({"driver": ["SAP", "EURUSD"], "kind": ["price", "fx"]})
    market = Market(table, quotes, "USD", drivers=drivers, history=history)
    pnl = scenario_pnl(market, pd.DataFrame({"spot": [0.1, 0.1], "EURUSD": [0.0, -0.05]}))["SAP"]
    assert pnl.tolist() == pytest.approx([24.0, 240 * (1.1 * 0.95 - 1)])


@pytest.mark.parametrize(
    ("shocks", "message"),
    [
        ({"spt": [0.1]}, r"spt is neither a driver nor one of spot, vol, .*\(did you mean spot\?\)"),
        ({"spot:ETH": [0.1]}, "no price driver of ETH"),
        ({"skew:ETH": [0.1]}, "skew:ETH: no instrument is on ETH"),
        ({"voll:BTC": [0.1]}, r"voll:BTC is neither .*\(did you mean vol:BTC\?\)"),
        ({"vol:btc": [0.1]}, r"vol:btc: no instrument is on btc \(did you mean BTC\?\)"),
        ({"spot:": [0.1]}, "spot: is neither a driver nor"),
        ({"spot": [-1.0]}, "scenario 0 loses 100 % or more of a price: BTC returns -1; give returns above -1"),
        ({"spot": [np.nan]}, "spot of scenario 0 is nan; give a finite number"),
        ({"rate": [0.0, np.inf]}, "rate of scenario 1 is inf"),
        ({"days": [-np.inf]}, "days of scenario 0 is -inf"),
        ({"spot": ["a"]}, "column spot holds no numbers"),
        ({"days:BTC": [1.0]}, "days:BTC: time passes for every contract; call the column days"),
    ],
)
def test_an_unknown_shock_is_refused(shocks, message):
    with pytest.raises(DataError, match=message):
        scenario_pnl(coin_market("USD"), pd.DataFrame(shocks))
    with pytest.raises(DataError, match=r"scenarios: CALLL is not in the market \(did you mean CALL\?\); add it"):
        scenario_pnl(coin_market("USD"), pd.DataFrame({"spot": [0.0]}), ["CALLL"])
    with pytest.raises(DataError, match="column basis:BTC appears twice"):
        scenario_pnl(coin_market("USD"), pd.DataFrame([[0.1, 0.2]], columns=["basis:BTC"] * 2), ["PERP", "FUT"])
    with pytest.raises(DataError, match="shock_grid: no axes"):
        shock_grid({})


def test_named_stresses_revalue_a_book():
    market = coin_market("USD")
    pnl = scenario_pnl(market, STRESSES)
    assert pnl.index.tolist() == STRESSES.index.tolist()
    assert (held(market, pnl.T).T[:, 0] < 0).tolist() == (STRESSES["spot"] < 0).tolist()


def test_the_stresses_are_the_recorded_changes_of_the_vix(recorded):
    vix = pd.read_parquet(recorded("vix_daily") / "vix_daily.parquet")
    close = vix.set_index(pd.DatetimeIndex(vix.get("date", vix.index))).filter(regex="(?i)close").iloc[:, 0]
    for day in STRESSES.index.drop("1987-10-19"):
        change = close.diff().loc[day]
        assert STRESSES.loc[day, "term"] == pytest.approx(change / 100, abs=1e-6)
