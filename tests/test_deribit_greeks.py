"""The venue's own Greeks on seven recorded days, through our exposures, each quote with its own time and forward."""

import numpy as np
import pandas as pd
import pytest
from recorded_markets import deribit_market, deribit_options, deribit_snapshots

from optihedge.market.pricing import coin_price, years_between

DELTA = 1.1e-4  # coin per contract; the venue publishes five decimals of a vol rounded to 0.01 point
GAMMA = 0.5e-5 + 1e-7  # per USD: half of the last published digit, and the rounding of the published vol
VEGA_99, VEGA_MOST = 0.03, 0.05  # USD per vol point
MARK = 5e-4  # coin


@pytest.fixture(scope="module")
def errors(recorded) -> pd.DataFrame:
    """Ours less the venue's on every two-sided quote of all snapshots, in the venue's units."""
    folder = recorded("deribit_btc_2026")
    pooled = []
    for snapshot in deribit_snapshots(folder):
        market = deribit_market(folder, snapshot)
        venue = deribit_options(folder, snapshot).set_index("instrument_name")
        venue = venue[(venue["best_bid_price"] > 0) & (venue["best_ask_price"] > 0)]
        venue = venue[venue.index.isin(market.names)]
        ours = market.exposures.loc[venue.index]
        spot, forward = market.levels["BTC"], venue["underlying_price"]
        years = years_between(venue["time"], venue["expiration"])
        right = np.where(venue["option_type"] == "call", 1.0, -1.0)
        mark = coin_price(forward, venue["strike"], years, venue["mark_iv"] / 100, right)
        pooled.append(pd.DataFrame({
            "delta": ours["delta"] / spot - venue["delta"],
            "gamma": 100 * ours["gamma"] / (spot * forward) - venue["gamma"],  # the venue's: per USD of the future
            "vega": ours["vega"] * forward / spot - venue["vega"],  # the venue's: of F times the coin price
            "mark": mark - venue["mark_price"],
            "premium": market.value[venue.index] / spot - venue["mark_price"],
        }))  # fmt: skip
    return pd.concat(pooled).abs()


def test_every_two_sided_quote_is_compared(errors):
    assert len(errors) > 4_000
    assert np.isfinite(errors.to_numpy()).all()


def test_delta_agrees_with_the_venue(errors):
    assert errors["delta"].max() <= DELTA


def test_gamma_agrees_within_its_rounding(errors):
    assert errors["gamma"].max() <= GAMMA


def test_vega_agrees_with_the_venue(errors):
    assert errors["vega"].quantile(0.99) <= VEGA_99
    assert errors["vega"].max() <= VEGA_MOST


def test_mark_is_the_price_at_the_published_vol(errors):
    assert errors["mark"].max() <= MARK
    assert errors["premium"].max() == pytest.approx(0.0, abs=1e-15)


def test_both_numeraires_of_the_desk_differ_by_exactly_the_equity(recorded):
    folder = recorded("deribit_btc_2026")
    snapshot = deribit_snapshots(folder)[2]
    dollar, coin = (deribit_market(folder, snapshot, base) for base in ("USD", "BTC"))
    rng = np.random.default_rng(0)
    names = dollar.names.drop("BTC-INDEX")
    book = pd.Series(rng.integers(-50, 50, len(names)) / 10, index=names)
    book[["BTC", "USD"]] = [120.0, -30_000.0]
    spot = dollar.levels["BTC"]
    in_dollars = (book * dollar.exposures.loc[names, "delta"]).sum() / spot
    in_coin = (book * coin.exposures.loc[names, "delta"]).sum()
    equity = (book * coin.value[names]).sum()
    gross = (book * dollar.exposures.loc[names, "delta"]).abs().sum() / spot
    assert abs(in_dollars - in_coin - equity) <= 1e-12 * gross
