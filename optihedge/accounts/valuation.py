"""What a state is worth in a market: positions at their marks, unrealised gains, and cash, in base currency."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from optihedge.accounts.quoted import quoted
from optihedge.accounts.state import ACCOUNTS, Lot, State
from optihedge.errors import DataError
from optihedge.frames import some
from optihedge.market.book import Book, book_quantities
from optihedge.market.snapshot import Market
from optihedge.readonly import read_only

COLUMNS = ["account", "instrument", "quantity", "price", "money", "value", "unrealised", "base"]


def opening(book: str, market: Market, client: Book | None = None, *, hedge: Book | None = None) -> State:
    """A book's first state: what the client holds and what of ours hedges it, at the market's marks.

    Contracts by instrument; cash instruments become balances. Raises DataError for an unknown instrument.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> def day(date, price):
    ...     quotes = pd.DataFrame({"instrument": ["S", "F"], "bid": [price - 0.01] * 2, "ask": [price + 0.01] * 2})
    ...     table = pd.DataFrame({"instrument": ["S", "F"], "type": ["equity", "perpetual"], "underlying": "S"})
    ...     return oh.Market(table, quotes, "USD", as_of=date)
    >>> market = day("2026-01-19T21:00Z", 100.0)
    >>> state = oh.policy.opening("book", market, {"S": 100.0})
    >>> state.seq
    0
    """
    positions: dict[str, dict[str, tuple[Lot, ...]]] = {}
    cash: dict[str, dict[str, float]] = {}
    facts = quoted(market)
    for account, given in (("book", client), ("hedge", hedge)):
        quantities = pd.Series(book_quantities({} if given is None else given, market), market.names)
        quantities = quantities[quantities != 0]
        held = {str(name): float(quantity) for name, quantity in quantities.items()}
        terms = {name: facts.terms(name) for name in held}
        lots: dict[str, tuple[Lot, ...]] = {
            n: (Lot(q, facts.price(n), market.as_of),) for n, q in held.items() if not terms[n].cash
        }
        money = {terms[n].money: q for n, q in held.items() if terms[n].cash}
        positions |= {account: lots} if lots else {}
        cash |= {account: money} if money else {}
    return State(book=book, seq=0, as_of=market.as_of, snapshot=market.hash, positions=positions, cash=cash)


def valued(state: State, market: Market) -> pd.DataFrame:
    """Positions and balances, one row each.

    value        in `money`, the currency it settles in: of a contract paid by variation margin its unrealised gain
    unrealised   gain of the open lots since their prices, in `money`
    base         value in base currency;  the sum of it is the book's equity
    Cash rows carry the currency as instrument, accrued interest included. Raises DataError for a contract that the
    market does not list, or a currency without a path to base.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> def day(date, price):
    ...     quotes = pd.DataFrame({"instrument": ["S", "F"], "bid": [price - 0.01] * 2, "ask": [price + 0.01] * 2})
    ...     table = pd.DataFrame({"instrument": ["S", "F"], "type": ["equity", "perpetual"], "underlying": "S"})
    ...     return oh.Market(table, quotes, "USD", as_of=date)
    >>> market = day("2026-01-19T21:00Z", 100.0)
    >>> state = oh.policy.opening("book", market, {"S": 100.0})
    >>> float(oh.policy.valued(state, market)["value"].sum().round(2))
    10000.0
    """
    parts = (state.positions, state.cash, state.accrued)
    known = _VALUED.get(market)
    if known is not None and all(one is other for one, other in zip(known[0], parts, strict=True)):
        return known[1]
    frame = _valued(state, market)
    _VALUED[market] = parts, frame
    return frame


_VALUED: WeakKeyDictionary[Market, tuple[tuple[object, ...], pd.DataFrame]] = WeakKeyDictionary()
"""What was valued last in a market: a state and the one that it becomes by a step hold the same."""


def _valued(state: State, market: Market) -> pd.DataFrame:
    names = pd.Index(sorted({n for held in state.positions.values() for n in held}), dtype=object)
    missing = names[~names.isin(market.names)]
    if len(missing):
        raise DataError(f"{state.book}: {some(missing)} held but not in the market of {market.as_of}; quote it there")
    facts, rows = quoted(market), []
    for account in ACCOUNTS:
        for name, lots in sorted(state.positions.get(account, {}).items()):
            one, mark = facts.terms(name), facts.price(name)
            quantity = sum(lot.quantity for lot in lots)
            unrealised = sum(one.gain(lot.quantity, lot.price, mark) for lot in lots)
            value = unrealised if one.margined else one.worth(quantity, mark)
            rows.append((account, name, quantity, mark, one.money, value, unrealised))
        balances = {**state.cash.get(account, {})}
        for money, amount in state.accrued.get(account, {}).items():
            balances[money] = balances.get(money, 0.0) + amount
        rows += [(account, money, amount, 1.0, money, amount, 0.0) for money, amount in sorted(balances.items())]
    frame = pd.DataFrame(rows, columns=COLUMNS[:-1])
    rates = [facts.rate(row[4]) for row in rows]
    return read_only(frame.assign(base=frame["value"] * np.array(rates, dtype=float)))


def equity(state: State, market: Market) -> float:
    """Base currency: positions at their marks, unrealised gains and cash of both accounts."""
    return float(valued(state, market)["base"].sum())


def balances(state: State, market: Market, by: str | list[str] = "money") -> pd.Series:
    """Currency -> cash plus accrued plus unrealised gains of contracts paid by variation margin, both accounts.

    It is the cash that the balance would be if everything were closed at its mark: what moves with the currency.
    by   "money", or ["account", "money"]
    """
    frame, facts = valued(state, market), quoted(market)
    like_cash = [
        m == n or facts.margined(n) for n, m in zip(frame["instrument"].tolist(), frame["money"].tolist(), strict=True)
    ]
    return frame[np.array(like_cash, dtype=bool)].groupby(by)["value"].sum()


def model_book(state: State, market: Market) -> pd.Series:
    """What a hedging model sees: contracts of both accounts, and foreign balances as the market's cash instruments.

    A balance in base currency moves with nothing and is left out. Raises DataError for a foreign balance that the
    market has no cash instrument for.
    """
    book = state.quantities()
    held = balances(state, market)
    table = market.instruments
    cash = table.index[table["type"] == "cash"]
    named = {table.at[name, "currency"]: name for name in cash}
    for money, amount in held.items():
        if money == market.base_currency or amount == 0:
            continue
        if money not in named:
            raise DataError(
                f"{state.book}: a balance of {amount:,.6g} {money} moves with {money}, but the market of "
                f"{market.as_of} has no cash instrument of it; add one (type cash, currency {money})"
            )
        book.loc[named[money]] = book.get(named[money], 0.0) + amount
    return book.astype(float)
