"""Markets of plain stocks, from their prices."""

import pytest
from desks import walk

from optihedge.market.snapshot import Market


def test_from_prices_reads_only_what_is_known():
    prices = walk(3)
    market = Market.from_prices(prices, base_currency="USD", as_of=prices.index[9], spread=2e-3)
    assert len(market.history) == 10
    assert market.price.tolist() == prices.iloc[9].tolist()
    assert market.trade_cost["buy"].tolist() == pytest.approx((prices.iloc[9] * 1e-3).tolist())


def test_one_instrument_makes_a_market():
    market = Market.from_prices(walk(1), base_currency="USD")
    assert market.loadings.matrix.toarray().tolist() == [market.value.tolist()]
