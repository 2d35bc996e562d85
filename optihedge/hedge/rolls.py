"""Rolls: legs that expire before the risk they hedge, what to roll them into, and what that is expected to cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.book import Book, book_quantities
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market

_OPEN = "open-ended"


def risk_ends(market: Market, book: pd.Series) -> pd.Series:
    """By underlying, when the risk of a book (contracts by instrument) ends: its last expiry; NaT where open-ended.

    Stocks, spot, coins and perpetuals have no expiry: what they bring to an underlying does not end.
    """
    held = book.index[book != 0]
    table = market.instruments.loc[held]
    delta = pd.Series(market.sensitivities.delta, market.names).reindex(held)
    open_ended = table.loc[table["expiry"].isna() & (delta != 0), "underlying"].unique()
    last = table.groupby("underlying")["expiry"].max()
    return last.mask(last.index.isin(open_ended)).rename("risk_ends")


def short_lived(market: Market, book: pd.Series, legs: pd.Index | list[str]) -> pd.Index:
    """Those of the legs that expire before the dated risk of the book on their underlying."""
    table = market.instruments.loc[pd.Index(legs)]
    ends = risk_ends(market, book).reindex(table["underlying"]).set_axis(table.index)
    return table.index[(table["expiry"] < ends).to_numpy(dtype=bool)]


def roll_plan(market: Market, book: Book, trades: Book) -> pd.DataFrame:
    """One row per traded leg that expires before the book's risk: what to roll into, when, how many, at what cost.

    quantity   contracts held of the leg after trading
    into       the contract of the same type (option: same right, nearest strike) with the next expiry that can be
               traded on the side that the roll needs; '' where none
    roll       contracts of it that keep the leg's delta (an option: as many units of the underlying)
    cost       half spreads and fees of closing the one and opening the other at today's quotes, base currency; NaN
               where the leg has no quote on the side that closes it
    risk_ends  UTC instant, or 'open-ended'
    note       what cannot be traded today, and is therefore skipped or left without a cost

    Raises DataError for an instrument that is not in the market and a quantity that is not finite.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> plan = oh.policy.roll_plan(market, book, {"ES-SEP16": -10.0})
    >>> plan.loc["ES-SEP16", "into"]
    'ES-DEC16'
    """
    before, traded = (
        pd.Series(book_quantities(given, market, what), index=market.names)
        for given, what in ((book, "book"), (trades, "trades"))
    )
    after, table, ends = before + traded, market.instruments, risk_ends(market, before)
    rows = {}
    for leg in market.names[(traded != 0) & (after != 0) & table["expiry"].notna()]:
        underlying = table.at[leg, "underlying"]
        end = ends.get(underlying, pd.NaT)
        if underlying not in ends.index or (pd.notna(end) and table.at[leg, "expiry"] >= end):
            continue
        quantity = float(after[leg])
        into, skipped = _next_leg(market, leg, quantity)
        rolled = quantity * _ratio(market, leg, into) if into else 0.0
        closing = _one_way(market, leg, -quantity)
        silent = [f"{leg} has no {_side(-quantity)} to close it at"] if np.isnan(closing) else []
        rows[leg] = {
            "quantity": quantity,
            "expires": table.at[leg, "expiry"],
            "risk_ends": _OPEN if pd.isna(end) else end,
            "into": into,
            "roll": rolled,
            "cost": closing + (_one_way(market, into, rolled) if into else 0.0),
            "note": "; ".join(silent + [f"{name} skipped, no {_side(quantity)}" for name in skipped]),
        }
    columns = ["quantity", "expires", "risk_ends", "into", "roll", "cost", "note"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("leg")


def next_leg(market: Market, leg: str, quantity: float = 1.0) -> str:
    """The contract to roll a leg into: its type and underlying, the next expiry; '' where the market lists none.

    quantity   held of the leg: a long one needs a contract that can be bought, a short one (below zero) one to sell
    """
    return _next_leg(market, leg, quantity)[0]


def _next_leg(market: Market, leg: str, quantity: float) -> tuple[str, list[str]]:
    """`next_leg`, and the nearer contracts that would have been it, had they been quoted on the side it needs."""
    if leg not in market.names:
        raise DataError(f"rolls: {leg} is not in the market; name one of its instruments")
    table = market.instruments
    own = table.loc[leg]
    same = table[(table["type"] == own["type"]) & (table["underlying"] == own["underlying"])]
    later = same[(same["right"] == own["right"]) & (same["expiry"] > own["expiry"])]
    away = (later["strike"] - own["strike"]).abs().fillna(0.0)
    order = later.index[np.lexsort((away, later["expiry"]))]
    quoted = market.trade_cost.loc[order, "buy" if quantity > 0 else "sell"].notna().to_numpy()
    first = int(np.argmax(quoted)) if quoted.any() else len(order)
    nearest = order[:first]
    nearest = nearest[~table.loc[nearest, "expiry"].duplicated().to_numpy()]  # of each expiry the one that was meant
    return (str(order[first]) if first < len(order) else ""), [str(name) for name in nearest]


def _ratio(market: Market, leg: str, into: str) -> float:
    """Contracts of `into` for one of the leg: by delta, options by multiplier."""
    option = types_of(market.instruments.loc[[leg]])["option"][0]
    size = market.instruments["multiplier"] if option else pd.Series(market.sensitivities.delta, market.names)
    return 1.0 if size[into] == 0 else float(size[leg] / size[into])


def _one_way(market: Market, leg: str, trade: float) -> float:
    """Half spread and fee of a trade, base currency; NaN on a side without a quote."""
    return float(np.abs(trade) * (market.trade_cost.at[leg, "buy" if trade > 0 else "sell"] + market.fees[leg]))


def _side(trade: float) -> str:
    return "ask" if trade > 0 else "bid"
