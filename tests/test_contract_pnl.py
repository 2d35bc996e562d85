"""What a contract earned between two markets: price, currency and funding, and what it ended at."""

import numpy as np
import pandas as pd
import pytest

from optihedge.market.earned import contract_pnl
from optihedge.market.snapshot import Market

CENT = 1e-9  # base currency, on amounts of some thousands


def coins(spot: float, future: float, day: int, base: str = "USD", funding: float = 0.0001, expired: bool = False):
    """BTC: coin, inverse perpetual and inverse future; from day 3 the future has expired."""
    expiry = pd.Timestamp("2024-01-03 08:00", tz="UTC")
    rows = [("BTC", "spot", 1.0, None), ("PERP", "inverse_perpetual", 10.0, None), ("LIN", "perpetual", 1.0, None),
            ("FUT", "inverse_future", 10.0, expiry)][: 3 if expired else 4]  # fmt: skip
    table = pd.DataFrame(rows, columns=["instrument", "type", "multiplier", "expiry"]).set_index("instrument")
    table["expiry"] = pd.to_datetime(table["expiry"], utc=True)
    table["underlying"] = "BTC"
    table["currency"] = "USD"
    price = pd.Series([spot, spot, spot, future][: len(table)], index=table.index)
    quotes = pd.DataFrame({"bid": price, "ask": price})
    quotes["funding_rate"] = [np.nan, np.nan, funding, np.nan][: len(table)]
    quotes["funding_hours"] = 8.0
    time = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=day)
    history = pd.DataFrame({"BTC": [spot]}, index=[time])
    drivers = pd.DataFrame({"driver": ["BTC"], "kind": ["price"], "underlying": ["BTC"], "currency": ["USD"]})
    return Market(instruments=table, quotes=quotes, base_currency=base, drivers=drivers, history=history, as_of=time)


@pytest.mark.parametrize("leave", [9_500.0, 10_500.0, 20_000.0])
def test_a_coin_with_a_short_inverse_perpetual_keeps_its_dollar_value(leave: float) -> None:
    pnl = contract_pnl(coins(10_000, 10_100, 0), coins(leave, leave, 1))
    assert pnl["BTC"] - 1_000 * pnl["PERP"] == pytest.approx(0.0, abs=CENT)
    in_coin = contract_pnl(coins(10_000, 10_100, 0, "BTC"), coins(leave, leave, 1, "BTC"))
    assert in_coin["BTC"] == pytest.approx(0.0, abs=1e-15)
    assert in_coin["PERP"] == pytest.approx(10 * (1 / 10_000 - 1 / leave), abs=1e-15)


def test_a_linear_perpetual_pays_three_fundings_a_day() -> None:
    pnl = contract_pnl(coins(10_000, 10_100, 0), coins(10_000, 10_050, 1))
    assert pnl["LIN"] == pytest.approx(-3 * 0.0001 * 10_000)


def test_an_expired_future_settles_at_the_next_level() -> None:
    start, end = coins(10_000, 10_100, 1), coins(11_000, 0, 3, expired=True)
    assert contract_pnl(start, end)["FUT"] == pytest.approx(10 * (1 / 10_100 - 1 / 11_000) * 11_000)


def option(spot: float, day: int, price: float | None) -> Market:
    time = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=day)
    table = pd.DataFrame({"type": ["equity", "option"], "underlying": "X", "multiplier": [1.0, 100.0],
                          "strike": [np.nan, 50.0], "right": ["", "C"],
                          "expiry": [None, "2024-01-02T21:00:00Z"]}, index=["X", "C50"])  # fmt: skip
    table["expiry"] = pd.to_datetime(table["expiry"], utc=True)
    quotes = pd.DataFrame({"bid": [spot, price], "ask": [spot, price]}, index=table.index)
    keep = table.index[: 2 if price is not None else 1]
    history = pd.DataFrame({"X": [spot]}, index=[time])
    return Market(instruments=table.loc[keep], quotes=quotes.loc[keep].astype(float), base_currency="USD",
                  history=history, as_of=time)  # fmt: skip


def test_an_expired_option_pays_its_intrinsic_value() -> None:
    start = option(52.0, 0, 3.0)
    assert contract_pnl(start, option(55.0, 2, None))["C50"] == pytest.approx(100 * (5.0 - 3.0))
    assert contract_pnl(start, option(45.0, 2, None))["C50"] == pytest.approx(-300.0)
