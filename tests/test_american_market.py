"""American options, dividends and borrow in a Market: styles, forwards, vols, Greeks, early exercise, scenarios."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from optihedge.errors import DataError
from optihedge.market.american import american_price
from optihedge.market.pricing import black
from optihedge.market.scenarios import scenario_pnl
from optihedge.market.snapshot import Market
from optihedge.market.styles import exercise_styles

AS_OF = pd.Timestamp("2026-03-02T21:00Z")
SPOT, RATE, VOL = 100.0, 0.05, 0.3
BESIDE = 3e-5  # of the spot: what the grid smears beside the exercise boundary
EX, CASH = AS_OF + pd.Timedelta(days=30), 3.0


def dividend(**changed: object) -> pd.DataFrame:
    row = {
        "event_id": "d1",
        "time": EX,
        "known_at": AS_OF - pd.Timedelta(days=9),
        "kind": "dividend",
        "instrument": "X",
        "value": CASH,
        "money": "USD",
    }
    return pd.DataFrame([row | changed])


def stock_market(
    style: str = "american",
    events: pd.DataFrame | None = None,
    *,
    spot: float = SPOT,
    vol: float = VOL,
    days: float = 0.0,
    rate: float = RATE,
    **settings: object,
) -> Market:
    """Calls and puts on the stock X in 90 days, at these vols and rates; the Market fills in forwards."""
    strikes = np.array([80.0, 100.0, 125.0])
    names = [f"{right}{k:g}" for right in "CP" for k in strikes]
    table = pd.DataFrame(
        {
            "instrument": ["X", *names],
            "type": ["equity", *["option"] * 6],
            "underlying": "X",
            "multiplier": [1.0, *[100.0] * 6],
            "strike": [np.nan, *strikes, *strikes],
            "right": ["", *"CCCPPP"],
            "exercise": ["", *[style] * 6],
            "expiry": [pd.NaT, *[AS_OF + pd.Timedelta(days=90)] * 6],
        }
    )
    quotes = pd.DataFrame(
        {
            "instrument": table["instrument"],
            "mark": [spot, *[1.0] * 6],
            "bid": np.nan,
            "ask": np.nan,
            "vol": [np.nan, *[vol] * 6],
            "rate": [np.nan, *[rate] * 6],
        }
    )
    drivers = pd.DataFrame({"driver": ["X", "V"], "kind": ["price", "vol"], "underlying": "X"})
    when = AS_OF + pd.Timedelta(days=days)
    c = Market(table, quotes, "USD", drivers=drivers, events=events, as_of=when, **settings).contracts
    o = c.take(np.flatnonzero(c.option))
    early = american_price(o.deliverable, o.strike, o.years, o.vol, o.right, o.rate, o.carry, o.ex, o.cash)
    european = black(o.forward, o.strike, o.years, o.vol, o.right, o.discount)
    quotes["mark"] = [spot, *np.where(o.american, early, european)]
    return Market(table, quotes, "USD", drivers=drivers, events=events, as_of=when, **settings)


# ---- styles ----------------------------------------------------------------------------------------------------------


def test_venue_and_underlying_say_the_style_where_the_instrument_does_not() -> None:
    rows = [
        ("AAPL", "option", "opra", "", "american"),
        ("SPX", "option", "cboe", "", "european"),
        ("SPXW", "option", "", "", "european"),
        ("XSP", "option", "opra", "", "european"),
        ("ES", "option", "cme", "", "american"),
        ("BTC", "inverse_option", "deribit", "", "european"),
        ("BTC", "option", "okx", "", "european"),
        ("ACME", "option", "", "", ""),
        ("OEX", "option", "cboe", "", "american"),
        ("AAPL", "option", "opra", "european", "european"),
        ("XYZ", "option", "", "american", "american"),
        ("AAPL", "equity", "nasdaq", "", ""),
    ]
    table = pd.DataFrame(rows, columns=["underlying", "type", "venue", "exercise", "style"])
    table["strike"] = 1.0
    assert exercise_styles(table.drop(columns="style")).tolist() == table["style"].tolist()


def test_a_style_that_nobody_says_on_a_us_stock_is_named() -> None:
    assert "6 options on US stocks, C80 first" in stock_market("").summary()["exercise"]
    assert "exercise" not in stock_market("american").summary()


def test_an_american_option_settled_in_coin_is_refused() -> None:
    table = pd.DataFrame(
        {"type": ["inverse_option"], "underlying": ["BTC"], "venue": [""], "exercise": ["american"]}, ["O"]
    )
    with pytest.raises(DataError, match="O is american"):
        exercise_styles(table)


# ---- dividends and forwards ------------------------------------------------------------------------------------------


def test_expected_dividends_lower_the_forward() -> None:
    years, paid = 90 / 365, 60 / 365
    for style in ("american", "european"):
        m = stock_market(style, dividend())
        expected = SPOT * np.exp(RATE * years) - CASH * np.exp(RATE * paid)
        np.testing.assert_allclose(m.quotes["underlying_price"][1:], expected, rtol=1e-12)


@pytest.mark.parametrize(
    "changed",
    [
        {"known_at": AS_OF + pd.Timedelta(days=1)},
        {"time": AS_OF - pd.Timedelta(days=1)},
        {"kind": "split", "money": ""},
        {"time": AS_OF + pd.Timedelta(days=91)},
        {"instrument": "Y"},
    ],
)
def test_what_is_not_known_not_ahead_or_not_a_dividend_of_the_stock_plays_no_part(changed: dict[str, object]) -> None:
    plain, told = stock_market(), stock_market(events=dividend(**changed))
    pd.testing.assert_frame_equal(plain.exposures, told.exposures)


def test_a_dividend_in_other_money_leaves_out_the_options_on_its_payer() -> None:
    left = replace(stock_market(), events=dividend(money="EUR")).left_out
    assert len(left) == 6 and all("d1 of X is in EUR" in text for text in left.values())


def test_borrow_is_no_growth() -> None:
    m = stock_market()
    quotes = m.quotes.assign(underlying_price=np.nan, vol=np.where(m.contracts.option, VOL, np.nan))
    quotes.loc["X", "borrow_rate"] = 0.02
    dear = Market(m.instruments, quotes, "USD", drivers=m.drivers, as_of=AS_OF)
    np.testing.assert_allclose(dear.quotes["underlying_price"][1:], SPOT * np.exp((RATE - 0.02) * 90 / 365), rtol=1e-12)
    np.testing.assert_allclose(dear.contracts.carry[1:], RATE - 0.02, rtol=1e-9)


def test_a_given_forward_stands_and_says_the_carry_between_the_dividends() -> None:
    m = stock_market(events=dividend())
    again = Market(m.instruments, m.quotes, "USD", drivers=m.drivers, events=m.events, as_of=AS_OF)
    np.testing.assert_allclose(again.contracts.carry[1:], RATE, rtol=1e-9)
    assert again.hash == m.hash


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [None, dividend()])
def test_a_vol_implied_by_the_price_is_the_vol_it_was_made_at(events: pd.DataFrame | None) -> None:
    m = stock_market(events=events)
    quotes = m.quotes.assign(vol=np.nan)
    implied = Market(m.instruments, quotes, "USD", drivers=m.drivers, events=events, as_of=AS_OF, on_missing="freeze")
    held = ~implied.early_exercise["exercise"].to_numpy()
    np.testing.assert_allclose(implied.contracts.vol[1:][held], VOL, atol=1e-5)


@pytest.mark.parametrize("events", [None, dividend()])
def test_exposures_are_differences_of_revaluation(events: pd.DataFrame | None) -> None:
    m, width = stock_market(events=events), 0.004
    e = m.exposures.iloc[1:]
    up, down = (stock_market(events=events, spot=SPOT * (1 + s)).price[1:] * 100 for s in (width, -width))
    value = m.price[1:] * 100
    np.testing.assert_allclose((up - down) / (2 * width), e["delta"], atol=1e-3 * SPOT * 100)
    np.testing.assert_allclose((up + down - 2 * value) / width**2 / 100, e["gamma"], atol=5e-3 * SPOT * 100)
    up, down = (stock_market(events=events, vol=VOL + s).price[1:] * 100 for s in (0.01, -0.01))
    np.testing.assert_allclose((up - down) / 2, e["vega"], atol=BESIDE * SPOT * 100)
    up, down = (stock_market(events=events, rate=RATE + s).price[1:] * 100 for s in (0.002, -0.002))
    np.testing.assert_allclose((up - down) / 40, e["rho"], atol=1e-6 * SPOT * 100)
    later = stock_market(events=events, days=0.5).price[1:] * 100
    held = ~m.early_exercise["exercise"].to_numpy()
    np.testing.assert_allclose((2 * (later - value))[held], e["theta"][held], atol=BESIDE * SPOT * 100)


def test_a_call_before_a_dividend_that_it_would_lose_is_told_with_its_money() -> None:
    frame = stock_market(events=dividend()).early_exercise
    assert frame.loc["C80", "before_dividend"] and not frame.loc["C125", "before_dividend"]
    assert frame.loc["C80", "dividend"] == pytest.approx(300.0)
    there = SPOT * np.exp(RATE * 30 / 365)
    after = american_price(there - CASH, 80.0, 60 / 365, VOL, "C", RATE, RATE)
    assert frame.loc["C80", "forgone"] == pytest.approx(100 * (there - 80 - after), abs=0.5)
    assert frame.loc["C80", "ex_years"] == pytest.approx(30 / 365)
    assert not frame["before_dividend"].filter(like="P").any()
    assert set(frame.columns) == set(frame.attrs["unit"])


def test_a_put_deep_in_the_money_is_exercised_now() -> None:
    m = stock_market(spot=60.0)
    assert m.early_exercise.loc["P125", "exercise"] and not m.early_exercise.loc["P80", "premium"] < 0
    assert m.exposures.loc["P125", "delta"] == pytest.approx(-6000.0)
    assert m.exposures.loc["P125", "vega"] == 0.0


# ---- scenarios -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [None, dividend()])
def test_scenarios_revalue_american_options_as_american(events: pd.DataFrame | None) -> None:
    m = stock_market(events=events)
    shocks = pd.DataFrame({"spot": [0.0, -0.2, 0.15, 0.0, 0.0, -0.1], "vol": [0.0, 0.0, 0.0, 0.1, -0.1, 0.15]})
    found = scenario_pnl(m, shocks).iloc[:, 1:]
    for row, shock in shocks.iterrows():
        there = stock_market(events=events, spot=SPOT * (1 + shock["spot"]), vol=VOL + shock["vol"])
        np.testing.assert_allclose(found.loc[row], (there.price[1:] - m.price[1:]) * 100, atol=6e-4 * SPOT * 100)


def test_days_that_pass_leave_the_american_value_of_what_remains() -> None:
    m = stock_market()
    found = scenario_pnl(m, pd.DataFrame({"spot": [0.0, -0.2], "days": [20.0, 20.0]})).iloc[:, 1:]
    for row, spot in enumerate((SPOT, 0.8 * SPOT)):
        there = stock_market(spot=spot, days=20.0)
        np.testing.assert_allclose(found.iloc[row], (there.price[1:] - m.price[1:]) * 100, atol=6e-4 * SPOT * 100)
    end = scenario_pnl(m, pd.DataFrame({"spot": [-0.2], "days": [np.inf]})).iloc[0, 1:]
    payoff = [0, 0, 0, 0, 20.0, 45.0]
    np.testing.assert_allclose(end, (np.array(payoff) - m.price[1:]) * 100, atol=1e-6)


# ---- options on futures ----------------------------------------------------------------------------------------------


def test_options_that_give_a_future_exercise_into_it() -> None:
    expiry = AS_OF + pd.Timedelta(days=180)
    table = pd.DataFrame(
        {
            "instrument": ["SPX", "ESU6", "ES-C", "ES-P"],
            "type": ["index", "future", "option", "option"],
            "underlying": "SPX",
            "multiplier": [1.0, 50.0, 50.0, 50.0],
            "expiry": [pd.NaT, expiry, expiry, expiry],
            "exercise": ["", "", "american", "american"],
            "strike": [np.nan, np.nan, 3700.0, 4600.0],
            "right": ["", "", "C", "P"],
            "forward": ["", "", "ESU6", "ESU6"],
        }
    )
    future, spot, years = 4000.0, 3950.0, 180 / 365
    price = american_price(future, [3700.0, 4600.0], years, 0.2, ["C", "P"], 0.05, 0.0)
    quotes = pd.DataFrame(
        {
            "instrument": table["instrument"],
            "bid": np.nan,
            "ask": np.nan,
            "mark": [spot, future, *price],
            "rate": [np.nan, np.nan, 0.05, 0.05],
        }
    )
    m = Market(table, quotes, "USD", as_of=AS_OF, on_missing="freeze")
    assert m.contracts.on_future.tolist() == [False, False, True, True]
    np.testing.assert_allclose(m.contracts.vol[2:], 0.2, atol=1e-6)
    up, down = (
        american_price(future * (1 + s), [3700.0, 4600.0], years, 0.2, ["C", "P"], 0.05, 0.0) for s in (0.01, -0.01)
    )
    np.testing.assert_allclose(m.exposures["delta"][2:], (up - down) / 0.02 * 50, atol=1e-3 * future * 50)
    assert (price - black(future, [3700.0, 4600.0], years, 0.2, ["C", "P"], np.exp(-0.05 * years)) > 0.05).all()
