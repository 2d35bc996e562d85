"""Forwards that a market takes from its chain's own calls and puts, and where they are contradicted."""

import numpy as np
import pandas as pd
import pytest

from optihedge.market.american import american_price
from optihedge.market.pricing import black
from optihedge.market.snapshot import Market

AS_OF = pd.Timestamp("2026-03-02T21:00Z")
STRIKES = np.arange(90.0, 111.0, 2.5)
SPOT, RATE, DAYS = 100.0, 0.04, (30, 180)
YEARS = np.array(DAYS) / 365


def chain(carry: float, style: str, wide: float = 0.02, **quoted: float) -> Market:
    """A stock of this carry (rate less what nobody told the market of) and its options at their true values."""
    rows, quotes = [("X", "equity", pd.NaT, np.nan, "")], [(SPOT, SPOT, np.nan)]
    for day in DAYS:
        for strike in STRIKES:
            for right in "CP":
                t = day / 365
                price = (
                    american_price(SPOT, strike, t, 0.3, right, RATE, carry) if style == "american"
                    else black(SPOT * np.exp(carry * t), strike, t, 0.3, right, np.exp(-RATE * t))
                )  # fmt: skip
                rows.append((f"{right}{strike:g}-{day}", "option", AS_OF + pd.Timedelta(days=day), strike, right))
                quotes.append((max(float(price) - wide, 0.0), float(price) + wide, RATE))
    names = pd.Index([row[0] for row in rows], name="instrument")
    table = pd.DataFrame([row[1:] for row in rows], names, ["type", "expiry", "strike", "right"])
    table["underlying"], table["exercise"] = "X", ["", *[style] * (len(rows) - 1)]
    frame = pd.DataFrame(quotes, names, ["bid", "ask", "rate"])
    for column, value in quoted.items():
        frame.loc[names[1:], column] = value
    return Market(table, frame, "USD", as_of=AS_OF)


@pytest.mark.parametrize("style", ["european", "american"])
@pytest.mark.parametrize("carry", [0.04, -0.06])
def test_calls_and_puts_say_the_forward_that_nobody_gave(style, carry):
    c = chain(carry, style).contracts
    forward = SPOT * np.exp(carry * c.years[1:])
    np.testing.assert_allclose(c.forward[1:], forward, rtol=1e-7 if style == "european" else 2e-4)
    np.testing.assert_allclose(c.vol[1:], 0.3, atol=1e-6 if style == "european" else 2e-3)
    if style == "american":
        np.testing.assert_allclose(c.carry[1:], carry, atol=2e-3)


def test_a_given_forward_stands_and_its_contradiction_is_named():
    market = chain(0.04, "european", underlying_price=99.0)
    assert (market.contracts.forward[1:] == 99.0).all()
    assert "C90-30 first (forward 99, parity 100.3" in market.summary()["parity"]
    assert "parity" not in chain(0.04, "european").summary()


def test_a_forward_too_far_from_the_spot_is_not_taken_but_named():
    market = chain(0.8, "european")
    np.testing.assert_allclose(market.contracts.forward[1:], SPOT * np.exp(RATE * market.contracts.years[1:]))
    assert "parity" in market.summary()


def test_wide_quotes_say_no_forward():
    market = chain(-0.06, "european", wide=0.6)
    np.testing.assert_allclose(market.contracts.forward[1:], SPOT * np.exp(RATE * market.contracts.years[1:]))


def test_a_market_read_again_keeps_its_forwards():
    market = chain(-0.06, "american")
    again = Market(market.instruments, market.quotes, "USD", drivers=market.drivers, as_of=AS_OF)
    assert again.hash == market.hash
    np.testing.assert_array_equal(again.contracts.forward, market.contracts.forward)
    np.testing.assert_allclose(again.contracts.carry, market.contracts.carry, atol=1e-12)
