"""Profit and loss between two markets, explained: by Greek, funding and cost, for a book and for its hedge."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.book import Book, book_quantities
from optihedge.market.costs import trading_costs
from optihedge.market.earned import earned_parts, refuse_unknown
from optihedge.market.fate import Fate
from optihedge.market.funding import forecast_note
from optihedge.market.greek_pnl import GREEKS, greek_parts
from optihedge.market.snapshot import Market

PARTS = (*GREEKS, "funding", "fees", "unexplained")
"""Parts of a P&L, base currency: those of `greek_pnl.GREEKS`, and

funding       what perpetuals paid or were paid
fees          half spread and fees of the trades at the start (below zero)
unexplained   what none of these tells
"""


def explain_pnl(
    start: Market, end: Market, quantities: Book, trades: Book | None = None, *, funding: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Why quantities held from start to end gained what they gained: contracts x (PARTS, total), base currency.

    quantities   contracts held over the period, trades included;  trades   of them, what was bought at the start
    funding      what was paid, as in `contract_pnl`; a forecast in its place is named in attrs["notes"]

    A linear option is followed on its own forward, a stock on its own price, the rest on the underlying's level. The
    Greeks are the start's. total is `contract_pnl` less the trades' cost, and the parts sum to it: what no Greek
    explains stands under unexplained. Raises DataError for a quantity that is not finite, a contract that is unknown,
    has vanished or has changed (see `contract_pnl`), a trade on a side without a quote, and markets that do not
    compare: another base currency, an end before the start.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> later = oh.policy.moved(market, {"spot": 0.01})
    >>> told = oh.explain_pnl(market, later, {"AAPL": 100})
    >>> bool(abs(told["total"].sum() - 0.01 * 100 * market.price["AAPL"]) < 1e-6)
    True
    """
    held, traded = _by_name(quantities, start, "book"), _by_name({} if trades is None else trades, start, "trades")
    names = held.index.union(traded.index, sort=False)
    at, quantity = start.names.get_indexer(names), held.reindex(names, fill_value=0.0).to_numpy()
    earned, received, missing = earned_parts(start, end, funding)
    refuse_unknown(start, end, (earned + received).iloc[at][quantity != 0], missing)
    earned, received = (part.iloc[at].where(quantity != 0, 0.0) for part in (earned, received))
    parts = {name: quantity * part[at] for name, part in greek_parts(start, end, Fate.of(start, end)).items()}
    parts["funding"] = quantity * received.to_numpy()
    parts["fees"] = 0.0 - _each_cost(start, traded.reindex(names, fill_value=0.0)).to_numpy()
    frame = pd.DataFrame(parts, index=names)
    total = quantity * (earned + received) + frame["fees"]
    frame["unexplained"] = total - frame.sum(axis=1)
    told = frame[list(PARTS)].assign(total=total).rename_axis("instrument")
    guessed = names[(frame["funding"] != 0).to_numpy()] if funding is None else names[:0]
    told.attrs["notes"] = (forecast_note(guessed),) if len(guessed) else ()
    return told


def explain_hedge(
    start: Market, end: Market, book: Book, hedge: Book, trades: Book, *, funding: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Book against hedge: rows book, hedge and both, columns PARTS and total, base currency; as `explain_pnl`.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> later = oh.policy.moved(market, {"spot": 0.01})
    >>> told = oh.explain_hedge(market, later, {"AAPL": 100}, {"ES-SEP16": -1}, {"ES-SEP16": -1})
    >>> list(told.index)
    ['book', 'hedge', 'both']
    """
    parts = {
        "book": explain_pnl(start, end, book, funding=funding).sum(),
        "hedge": explain_pnl(start, end, hedge, trades, funding=funding).sum(),
    }
    return pd.DataFrame({**parts, "both": parts["book"] + parts["hedge"]}).T


def _each_cost(market: Market, trades: pd.Series) -> pd.Series:
    """Spread, fee and depth of each trade (contracts), base currency. Raises DataError for a side without a quote."""
    wrong = trades.index[~np.isfinite(trades.to_numpy(dtype=float))]
    if len(wrong):
        raise DataError(f"trades: quantity of {wrong[0]} is {trades[wrong[0]]}, not finite; mend it")
    cost = trading_costs(market, trades.astype(float)).sum(axis=1, skipna=False)
    if cost.isna().any():
        raise DataError(
            f"trades: {cost.index[cost.isna()][0]} was traded on a side without a quote; give its bid and ask"
        )
    return cost


def _by_name(book: Book, market: Market, what: str) -> pd.Series:
    """A checked book's quantities under the names it gives, in its order (a frame's: those that are not zero)."""
    whole = pd.Series(book_quantities(book, market, what), index=market.names)
    if isinstance(book, pd.DataFrame):
        return whole[whole != 0]
    return whole.reindex(pd.Index(list(book.keys()), dtype=object))
