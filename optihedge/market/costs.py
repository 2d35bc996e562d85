"""What trading and holding will cost, from the market alone: one reference for every figure that is told.

Trading: the far side of the quote less the mark, at least 0, plus the venue's fee, plus the order book beyond its best
price where there is one. Holding: funding and borrow over a time. Impact is a model's estimate and comes on top.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.depth import depth_hinges
from optihedge.market.instruments import annual_funding, types_of
from optihedge.market.snapshot import Market
from optihedge.readonly import kept, numbers

Array = np.ndarray
TRADING = ("spread", "fees", "depth")
HOLDING = ("funding", "borrow")
_RATES = ("funding_rate", "funding_hours", "borrow_rate")


def trading_costs(market: Market, trades: pd.Series) -> pd.DataFrame:
    """Cost of each trade (contracts by instrument, positive buys): TRADING, base currency; fees may be rebates.

    NaN spread where the side that is traded has no quote.
    """
    at = market.names.get_indexer(trades.index)
    return pd.DataFrame(trading_parts(market, at, trades.to_numpy(dtype=float)), index=trades.index)


def trading_parts(market: Market, at: Array, trade: Array) -> dict[str, Array]:
    """`trading_costs` of the contracts at positions `at` of market.names, part by part."""
    size, sides = np.abs(trade), market.sides[at]
    unit = np.where(trade > 0, sides[:, 0], sides[:, 1])
    return {
        "spread": np.where(trade != 0, size * unit, 0.0),
        "fees": size * market.fees.to_numpy()[at],
        "depth": _walked(market, at, trade),
    }


def holding_costs(market: Market, quantities: pd.Series, years: float) -> pd.DataFrame:
    """Cost of holding quantities (contracts by instrument) for so many years: HOLDING, base currency; < 0 is income.

    Funding at the quoted rate x notional (long pays a positive one), borrow on short market value; 0 where unquoted.
    """
    at = market.names.get_indexer(quantities.index)
    parts = holding_parts(market, at, quantities.to_numpy(dtype=float), years)
    return pd.DataFrame(parts, index=quantities.index)


def holding_parts(market: Market, at: Array, held: Array, years: float) -> dict[str, Array]:
    """`holding_costs` of the contracts at positions `at` of market.names, part by part."""
    funding, borrow = (rate[at] for rate in kept(market.quotes, "rates a year", lambda: _rates(market)))
    short = np.maximum(-held, 0.0) * np.maximum(market.exposure_columns["value"][at], 0.0)
    return {
        "funding": funding * market.notional.to_numpy()[at] * held * years,
        "borrow": borrow * short * years,
    }


def _rates(market: Market) -> tuple[Array, Array]:
    """Funding and borrow of every contract (N), decimal per year, 0 where unquoted."""
    rate, hours, borrowed = (numbers(market.quotes, name) for name in _RATES)
    return np.nan_to_num(annual_funding(rate, hours)), np.nan_to_num(borrowed)


def _walked(market: Market, at: Array, trade: Array) -> Array:
    if market.depth is None:
        return np.zeros(len(at))
    column, side, beyond, slope = depth_hinges(market, market.names[at])
    return np.bincount(column, slope * np.maximum(side * trade[column] - beyond, 0.0), len(at))


def unquoted_funding(market: Market, names: pd.Index) -> pd.Index:
    """Those of the names that pay funding and have no funding_rate quoted."""
    kinds = types_of(market.instruments)
    silent = kinds["margined"] & ~kinds["dated"] & np.isnan(numbers(market.quotes, "funding_rate"))
    return names[silent[market.names.get_indexer(names)]] if silent.any() else names[:0]
