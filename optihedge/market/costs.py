"""What trading and holding will cost, from the market alone: one reference for every figure that is told.

Trading: the far side of the quote less the mark, at least 0, plus the venue's fee, plus the order book beyond its best
price where there is one. Holding: funding and borrow over a time. Impact is a model's estimate and comes on top.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.exposures import price_unit
from optihedge.market.instruments import annual_funding, types_of
from optihedge.market.snapshot import Market

Array = np.ndarray
TRADING = ("spread", "fees", "depth")
HOLDING = ("funding", "borrow")


def trading_costs(market: Market, trades: pd.Series) -> pd.DataFrame:
    """Cost of each trade (contracts by instrument, positive buys): TRADING, base currency; fees may be rebates.

    NaN spread where the side that is traded has no quote.
    """
    names, trade = trades.index, trades.to_numpy(dtype=float)
    size, sides = np.abs(trade), market.trade_cost.reindex(names)
    unit = np.where(trade > 0, sides["buy"], sides["sell"])
    return pd.DataFrame(
        {
            "spread": np.where(trade != 0, size * unit, 0.0),
            "fees": size * market.fees.reindex(names).to_numpy(),
            "depth": _walked(market, names, trade),
        },
        index=names,
    )


def holding_costs(market: Market, quantities: pd.Series, years: float) -> pd.DataFrame:
    """Cost of holding quantities (contracts by instrument) for so many years: HOLDING, base currency; < 0 is income.

    Funding at the quoted rate x notional (long pays a positive one), borrow on short market value; 0 where unquoted.
    """
    names, held = quantities.index, quantities.to_numpy(dtype=float)
    quotes = market.quotes.loc[names]
    funding = np.nan_to_num(annual_funding(quotes["funding_rate"].to_numpy(), quotes["funding_hours"].to_numpy()))
    borrow = np.nan_to_num(quotes["borrow_rate"].to_numpy(dtype=float))
    short = np.maximum(-held, 0.0) * np.maximum(market.value.reindex(names).to_numpy(dtype=float), 0.0)
    return pd.DataFrame(
        {
            "funding": funding * market.notional.reindex(names).to_numpy() * held * years,
            "borrow": borrow * short * years,
        },
        index=names,
    )


def depth_hinges(market: Market, names: pd.Index) -> tuple[Array, Array, Array, Array]:
    """Kinks of walking the order book beyond its best price: column into `names`, side +-1, beyond (contracts), slope.

    A trade costs slope (base currency per contract) more on all it takes beyond each kink. Empty without a book.
    """
    book = _sorted_depth(market, names)
    if book is None:
        none = np.zeros(0)
        return none.astype(int), none, none, none
    column, side, price, size, first = book
    running = np.cumsum(size)
    start = np.maximum.accumulate(np.where(first, running - size, 0.0))
    unit = price_unit(market.contracts)[market.names.get_indexer(names)][column]
    step = np.where(first, 0.0, side * np.diff(price, prepend=price[:1])) * unit
    later = ~first
    return column[later], side[later], (running - size - start)[later], step[later]


def displayed(market: Market, names: pd.Index) -> Array:
    """Contracts shown by the order book on its bid and ask side, N x 2; NaN where a contract has no order book."""
    shown = np.full((len(names), 2), np.nan)
    book = _sorted_depth(market, names)
    if book is not None:
        column, side, _, size, _ = book
        total = np.bincount(2 * column + (side > 0), size, 2 * len(names)).reshape(-1, 2)
        seen = np.unique(column)
        shown[seen] = total[seen]
    return shown


def _sorted_depth(market: Market, names: pd.Index) -> tuple[Array, Array, Array, Array, Array] | None:
    """Column, side, price, size of each level, best first by side; whether a level is the best of its side."""
    if market.depth is None:
        return None
    column = names.get_indexer(market.depth["instrument"])
    depth, column = market.depth[column >= 0], column[column >= 0]
    side = np.where(depth["side"] == "ask", 1, -1)
    price, size = depth["price"].to_numpy(dtype=float), depth["size"].to_numpy(dtype=float)
    order = np.lexsort((side * price, side, column))
    column, side, price, size = column[order], side[order], price[order], size[order]
    first = np.r_[True, (column[1:] != column[:-1]) | (side[1:] != side[:-1])][: len(column)]
    return column, side, price, size, first


def _walked(market: Market, names: pd.Index, trade: Array) -> Array:
    column, side, beyond, slope = depth_hinges(market, names)
    return np.bincount(column, slope * np.maximum(side * trade[column] - beyond, 0.0), len(names))


def unquoted_funding(market: Market, names: pd.Index) -> pd.Index:
    """Those of the names that pay funding and have no funding_rate quoted."""
    kinds = types_of(market.instruments)
    pays = pd.Series(kinds["margined"] & ~kinds["dated"], index=market.names).reindex(names).to_numpy()
    return names[pays & market.quotes["funding_rate"].reindex(names).isna().to_numpy()]
