"""What a contract is worth and priced on: its currency, its way to base, its forward."""

import re

import numpy as np
import pandas as pd
import pytest

from optihedge.errors import DataError
from optihedge.market.snapshot import Market


def money_market(table: dict, marks: dict, base: str = "USD", **fields: object) -> Market:
    table = pd.DataFrame(table).T.rename_axis("instrument")
    quotes = pd.DataFrame({"bid": marks, "ask": marks}, dtype=float).rename_axis("instrument")
    return Market(table, quotes, base, as_of="2026-01-20", **fields)


def test_a_coin_quoted_in_nothing_but_itself_is_told_to_name_its_currency():
    coin = pd.DataFrame({"driver": ["BTC"], "currency": ["USD"]})
    for drivers in (None, coin):
        with pytest.raises(
            DataError, match=r"row 1: underlying of BTC is BTC, and so is its currency.*say in column currency what"
        ):
            money_market({"BTC": {"type": "spot"}}, {"BTC": 9e4}, "BTC", drivers=drivers)
    pair = pd.DataFrame({"driver": ["EURUSD"], "kind": ["fx"]})
    with pytest.raises(DataError, match="underlying of EURUSD is EUR, and so is its currency"):
        money_market({"EURUSD": {"type": "spot"}}, {"EURUSD": 1.1}, "EUR", drivers=pair)


def test_a_price_quoted_in_another_currency_than_its_drivers_is_said_to_be():
    drivers = pd.DataFrame({"driver": ["BTC", "EURUSD"], "kind": ["price", "fx"], "currency": ["USD", "USD"]})
    drivers["underlying"] = ["BTC", "EUR"]
    table = {"BTC": {"type": "spot", "currency": "EUR"}, "FX": {"type": "spot", "underlying": "EUR"}}
    left = money_market(table, {"BTC": 9e4, "FX": 1.1}, drivers=drivers).left_out
    assert re.search(r"BTC has no price in USD \(only in EUR\); quote it .* or mend that driver", left["BTC"])


def test_cash_is_quoted_at_one_and_its_rate_is_a_pairs():
    table = {"SAP": {"currency": "EUR"}, "EUROS": {"type": "cash", "currency": "EUR"}}
    with pytest.raises(DataError, match=r"cash EUROS is quoted at 1\.1, but is worth 1 of its own money; leave"):
        money_market(table, {"SAP": 118, "EUROS": 1.1})
    with pytest.raises(DataError, match=r"currency EUR has no quoted path to USD; .* or quote it \(type spot"):
        money_market(table, {"SAP": 118})
    drivers = pd.DataFrame({"driver": ["SAP", "EURUSD"]})
    with pytest.raises(DataError, match=r"driver EURUSD, the price of EUR in USD, has no level: .*; quote an"):
        money_market(table, {"SAP": 118}, drivers=drivers)
    spot = {"type": "spot", "underlying": "EUR"}
    market = money_market({**table, "FX": spot}, {"SAP": 118, "EUROS": 1.0, "FX": 1.1})
    assert market.value.to_dict() == pytest.approx({"SAP": 129.8, "EUROS": 1.1, "FX": 1.1})


def test_an_option_priced_on_the_index_while_its_future_says_otherwise_is_noted():
    expiry = {"underlying": "I", "expiry": "2026-12-18T21:00Z"}
    table = {"I": {"type": "index"}, "F": {"type": "future", **expiry}}
    table["C"] = {"type": "option", **expiry, "strike": 100, "right": "C"}
    quotes = pd.DataFrame({"bid": [100, 104, 8.0]}, index=pd.Index(list(table), name="instrument"))
    quotes = quotes.assign(ask=quotes["bid"])
    instruments = pd.DataFrame(table).T.rename_axis("instrument")

    def note(given: float, **terms: list[str]) -> str | None:
        marks = quotes.assign(underlying_price=[np.nan, np.nan, given])
        return Market(instruments.assign(**terms), marks, "USD", as_of="2026-01-20").summary().get("forwards")

    assert note(100).startswith("1 options, C first, have a forward more than 2 %")
    assert note(104) is None and note(103) is None
    assert note(np.nan, forward=["", "", "F"]) is None
