"""Orders pass every recorded venue's own filters: amount and price on their increments, above the minimum, exactly."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from test_importers_facts import VENUES

import optihedge as oh
from optihedge.errors import DataError
from optihedge.market.importers.sources import import_files
from optihedge.market.instruments import venue_amounts
from optihedge.trades.orders.table import OrderStyle, order_table
from optihedge.trades.table import trade_table

ELSEWHERE = {"okx": "okx_20220513", "binance_usdm": "binance_usdm_20210722", "binance_coinm": "binance_coinm_20210722"}
NAMES = [*VENUES, *ELSEWHERE]


def listed(recorded, venue: str, rng: np.random.Generator) -> tuple[oh.Market, pd.DataFrame]:
    """The venue's instruments at random prices of its ticks, each for itself in USD; and its facts as imported."""
    folder = ELSEWHERE.get(venue) or VENUES[venue][0]
    place = recorded("venue_messages") / folder
    facts = import_files(venue.split()[0], sorted(place.glob("rest_*"))).instruments.set_index("instrument")
    facts = facts[facts["lot"].notna() & (facts["type"] != "index")]
    if venue in VENUES:  # other kinds of the same files are another entry's
        _, _, words, key, _ = VENUES[venue]
        facts = facts[facts["symbol"].isin([row[key] for row in words(place)])]
    tick = facts["tick"].fillna(0.0).where(lambda t: t > 0, 0.01)
    bid = np.round(rng.integers(1_000, 100_000, len(facts)) * tick, 12)
    table = pd.DataFrame({
        "type": "spot", "underlying": facts.index, "multiplier": facts.get("multiplier", 1.0), "venue": venue,
        "symbol": facts["symbol"], "lot": facts["lot"].astype(float), "tick": tick,
        "min_quantity": facts.get("min_quantity", pd.Series(0.0, facts.index)).fillna(0.0),
        "min_notional": facts.get("min_notional", pd.Series(0.0, facts.index)).fillna(0.0),
        "venue_amount": facts.get("venue_amount", pd.Series(np.nan, facts.index)).astype(float),
    }, index=facts.index)  # fmt: skip
    quotes = pd.DataFrame({"bid": bid, "ask": np.round(bid + tick, 12)}, index=facts.index)
    return oh.Market(table.rename_axis("instrument"), quotes.rename_axis("instrument"), "USD",
                     as_of="2024-01-10T12:00:00Z"), facts  # fmt: skip


def check_filters(recorded, venue: str, count: int) -> None:
    rng, made = np.random.default_rng(11), 0
    market, _ = listed(recorded, venue, rng)
    table, unit = market.instruments, venue_amounts(market.instruments)
    least = np.maximum(table["min_quantity"], table["min_notional"] / market.notional) / table["lot"]
    low = np.maximum(np.ceil(least.to_numpy(float) - 1e-9), 1.0)
    while made < count:
        lots = (low + rng.integers(0, 5_000, len(table))) * rng.choice([-1, 1], len(table))
        urgency = ("take", "middle", "join")[made % 3]
        lines = trade_table(market, pd.Series(lots * table["lot"], index=table.index))
        orders = order_table(market, lines, style=OrderStyle(urgency=urgency))
        own = table.loc[orders["instrument"]]
        for order, row, each in zip(orders.itertuples(), own.itertuples(), unit[table.index.get_indexer(own.index)],
                                    strict=True):  # fmt: skip
            step = Decimal(repr(row.lot)) * Decimal(repr(float(each)))
            assert Decimal(order.amount) % step == 0 < Decimal(order.amount), order.instrument
            assert Decimal(order.amount) >= Decimal(repr(row.min_quantity)) * Decimal(repr(float(each)))
            assert Decimal(order.price) % Decimal(repr(row.tick)) == 0 < Decimal(order.price), order.instrument
            assert order.symbol == row.symbol
        made += len(orders)


@pytest.mark.parametrize("venue", NAMES)
def test_random_orders_pass_a_recorded_venues_filters(recorded, venue: str) -> None:
    check_filters(recorded, venue, 1)


@pytest.mark.slow
@pytest.mark.parametrize("venue", NAMES)
def test_ten_thousand_random_orders_pass_a_recorded_venues_filters(recorded, venue: str) -> None:
    check_filters(recorded, venue, 10_000)


def test_an_order_below_a_recorded_venues_minimum_is_refused(recorded) -> None:
    market, _ = listed(recorded, "coinbase", np.random.default_rng(0))
    table = market.instruments[market.instruments["min_quantity"] > market.instruments["lot"]]
    lines = trade_table(market, table["lot"].iloc[:1])
    with pytest.raises(DataError, match="below its min_"):
        order_table(market, lines)
