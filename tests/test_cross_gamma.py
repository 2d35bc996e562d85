"""Cross gammas are the second differences of full revaluation, whatever the currencies."""

import numpy as np
import pandas as pd
import pytest
from test_exposures import AS_OF, EXPIRY, coin_market
from test_fx import accounts

from optihedge.errors import DataError
from optihedge.market.cross_gamma import cross_gamma
from optihedge.market.scenarios import scenario_pnl
from optihedge.market.snapshot import Market

STEP = 1e-3


def foreign_options(base: str) -> Market:
    """A stock in euros, its put and its future, and an option on a dollar index that settles in euros."""
    table = pd.DataFrame(
        [
            ("SAP", "equity", "SAP", "EUR", pd.NaT, np.nan, None), ("PUT", "option", "SAP", "EUR", EXPIRY, 190.0, "P"),
            ("FUT", "future", "SAP", "EUR", EXPIRY, np.nan, None), ("SPX", "index", "SPX", "USD", pd.NaT, np.nan, None),
            ("QUANTO", "option", "SPX", "EUR", EXPIRY, 5200.0, "C"),
        ],
        columns=["instrument", "type", "underlying", "currency", "expiry", "strike", "right"],
    )  # fmt: skip
    marks = pd.DataFrame({"instrument": table["instrument"], "mark": [200.0, 5.0, 201.0, 6000.0, 90.0]})
    marks = marks.assign(bid=np.nan, ask=np.nan, underlying_price=[np.nan, 201.0, np.nan, np.nan, 5000.0])
    days = pd.date_range(end=AS_OF, periods=3)
    history = pd.DataFrame({"SAP": [190, 195, 200.0], "SPX": [5900, 5950, 6000.0], "EURUSD": [1.1, 1.15, 1.2]}, days)
    drivers = pd.DataFrame({"driver": ["SAP", "SPX", "EURUSD"], "kind": ["price", "price", "fx"]})
    return Market(table, marks, base, drivers=drivers, history=history, as_of=AS_OF)


def second_differences(market: Market, book: pd.Series, drivers: pd.Index) -> np.ndarray:
    def pnl(first: str, second: str, one: float, two: float) -> float:
        shock = pd.DataFrame({name: [0.0] for name in drivers})
        shock[first] += one * STEP
        shock[second] += two * STEP
        return float(scenario_pnl(market, shock).iloc[0] @ book.reindex(market.names).fillna(0.0))

    def mixed(a: str, b: str) -> float:
        if a == b:
            return (pnl(a, a, 1, 0) + pnl(a, a, -1, 0)) / STEP**2
        return (pnl(a, b, 1, 1) - pnl(a, b, 1, -1) - pnl(a, b, -1, 1) + pnl(a, b, -1, -1)) / (4 * STEP**2)

    return np.array([[mixed(a, b) for b in drivers] for a in drivers])


MARKETS = {
    "coin options in dollars": coin_market("USD"),
    "coin options in coin": coin_market("BTC"),
    "accounts in euros": accounts("EUR"),
    "accounts in coin": accounts("BTC"),
    "euro options in dollars": foreign_options("USD"),
    "euro options in euros": foreign_options("EUR"),
}


@pytest.mark.parametrize("name", MARKETS)
def test_a_cross_gamma_is_the_second_difference_of_revaluation(name):
    market = MARKETS[name]
    names = market.names.difference(["INDEX", "SPX"], sort=False)
    book = pd.Series(np.random.default_rng(0).integers(-5, 6, len(names)) + 0.5, names)
    ours = cross_gamma(market, book)
    expected = second_differences(market, book, ours.index) / 100
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max() + 1e-9)
    assert np.abs(ours - ours.T).to_numpy().max() == 0


def test_an_option_in_euros_has_its_delta_as_cross_gamma_with_the_euro():
    market = foreign_options("USD")
    crossed = cross_gamma(market, pd.Series({"PUT": 3.0}))
    assert list(crossed.index) == ["SAP", "EURUSD"]
    delta, gamma = market.exposures.loc["PUT", ["delta", "gamma"]]
    assert crossed.loc["SAP", "EURUSD"] == pytest.approx(3 * delta / 100)
    assert crossed.loc["SAP", "SAP"] == pytest.approx(3 * gamma)
    assert crossed.loc["EURUSD", "EURUSD"] == pytest.approx(0, abs=1e-12)
    assert cross_gamma(market, pd.Series({"PUT": 0.0})).empty


def test_a_book_of_unknown_contracts_is_refused():
    with pytest.raises(DataError, match="PUTT is not in the market"):
        cross_gamma(coin_market("USD"), pd.Series({"PUTT": 1.0}))
