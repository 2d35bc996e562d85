"""What a state is worth in a market: positions at their marks, unrealised gains, and cash, in base currency."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from optihedge.accounts.quoted import Quoted, quoted
from optihedge.accounts.state import ACCOUNTS, Lot, State
from optihedge.errors import DataError
from optihedge.frames import some
from optihedge.market.book import Book, book_quantities
from optihedge.market.snapshot import Market
from optihedge.readonly import kept, read_only

Array = np.ndarray
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
        money: dict[str, float] = {}
        for n, q in held.items():
            if terms[n].cash:
                money[terms[n].money] = money.get(terms[n].money, 0.0) + q
        positions |= {account: lots} if lots else {}
        cash |= {account: money} if money else {}
    return State(book=book, seq=0, as_of=market.as_of, snapshot=market, positions=positions, cash=cash)


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
    return worth_of(state, market).frame


class Worth:
    """A state in a market: its positions and balances, one row each, as arrays; the table of them on demand."""

    def __init__(self, state: State, market: Market) -> None:
        facts, held = quoted(market), state.held
        missing = sorted({name for lots in held.values() for name in lots if name not in facts})
        if missing:
            raise DataError(
                f"{state.book}: {some(missing)} held but not in the market of {market.as_of}; quote it there"
            )
        self.state, self._facts = state, facts
        self.accounts: list[str] = []
        self.instruments: list[str] = []
        self.moneys: list[str] = []
        parts = []
        for account in ACCOUNTS:
            names = sorted(held.get(account, {}))
            parts.append(self._positions(account, names, facts))
            balances = sorted(_balances(state, account).items())
            self.instruments += [*names, *(money for money, _ in balances)]
            self.moneys += [*facts.listed.money[facts.places(names)].tolist(), *(money for money, _ in balances)]
            self.accounts += [account] * (len(names) + len(balances))
            amounts = np.array([amount for _, amount in balances], dtype=float)
            parts.append(np.stack([amounts, np.ones(len(balances)), amounts, np.zeros(len(balances))]))
        self.quantity, self.price, self.value, unrealised = np.concatenate(parts, axis=1)
        self._margined = unrealised
        self.base: Array = self.value * facts.rates(self.moneys)

    def _positions(self, account: str, names: list[str], facts: Quoted) -> Array:
        """4 x names: quantity, mark, value, and whether it is paid by variation margin (1 or 0)."""
        at = facts.places(names)
        quantity = np.array([self.state.held[account][name] for name in names], dtype=float)
        mark, margined = facts.marks[at], facts.listed.margined[at]
        value = quantity * facts.listed.multiplier[at] * mark
        for i in np.flatnonzero(margined):
            value[i] = self._unrealised(account, names[i], float(mark[i]))
        return np.stack([quantity, mark, value, margined.astype(float)])

    def _unrealised(self, account: str, name: str, mark: float) -> float:
        one = self._facts.terms(name)
        return sum(one.gain(lot.quantity, lot.price, mark) for lot in self.state.positions[account][name])

    @property
    def like_cash(self) -> Array:
        """Rows that move with their money alone: balances, and gains of contracts paid by variation margin."""
        own = [m == n for n, m in zip(self.instruments, self.moneys, strict=True)]
        return np.array(own, dtype=bool) | (self._margined > 0)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """COLUMNS, see `valued`."""
        positions = self.state.positions
        unrealised = [
            self._unrealised(account, name, mark) if name in positions.get(account, {}) else 0.0
            for account, name, mark in zip(self.accounts, self.instruments, self.price.tolist(), strict=True)
        ]
        columns = (self.accounts, self.instruments, self.quantity, self.price, self.moneys, self.value, unrealised)
        table = pd.DataFrame(dict(zip(COLUMNS, (*columns, self.base), strict=True)), columns=COLUMNS)
        return read_only(table)


def _balances(state: State, account: str) -> dict[str, float]:
    """Cash of an account with what interest has accrued on it."""
    balances = {**state.cash.get(account, {})}
    for money, amount in state.accrued.get(account, {}).items():
        balances[money] = balances.get(money, 0.0) + amount
    return balances


def worth_of(state: State, market: Market) -> Worth:
    """What a state is worth in a market, worked out once: a state and the one it becomes by a step hold the same."""
    parts = (state.positions, state.cash, state.accrued)
    known = market.__dict__.get("_worth")
    if known is None or not all(one is other for one, other in zip(known[0], parts, strict=True)):
        market.__dict__["_worth"] = known = parts, Worth(state, market)
    return known[1]


def equity(state: State, market: Market) -> float:
    """Base currency: positions at their marks, unrealised gains and cash of both accounts."""
    return float(worth_of(state, market).base.sum())


def balances_by_account(state: State, market: Market) -> dict[tuple[str, str], float]:
    """(account, currency) -> cash plus accrued plus unrealised gains of contracts paid by variation margin.

    It is the cash that the balance would be if everything were closed at its mark: what moves with the currency.
    """
    worth = worth_of(state, market)
    found: dict[tuple[str, str], float] = {}
    for i in np.flatnonzero(worth.like_cash):
        key = worth.accounts[i], worth.moneys[i]
        found[key] = found.get(key, 0.0) + float(worth.value[i])
    return found


def _cash_names(table: pd.DataFrame) -> dict[str, str]:
    """Currency -> the cash instrument of it."""
    cash = table[table["type"] == "cash"]
    return dict(zip(cash["currency"], cash.index, strict=True))


def balances(state: State, market: Market) -> dict[str, float]:
    """Currency -> `balances_by_account` of both accounts together."""
    found: dict[str, float] = {}
    for (_, money), amount in balances_by_account(state, market).items():
        found[money] = found.get(money, 0.0) + amount
    return found


def model_book(state: State, market: Market) -> pd.Series:
    """What a hedging model sees: contracts of both accounts, and balances as the market's cash instruments.

    A balance in base currency moves with nothing: without a cash instrument it is left out. Raises DataError for a
    foreign balance that the market has no cash instrument for.
    """
    book = state.quantities()
    table = market.instruments
    named = kept(table, "cash of money", lambda: _cash_names(table))
    for money, amount in sorted(balances(state, market).items()):
        if amount == 0 or (money == market.base_currency and money not in named):
            continue
        if money not in named:
            raise DataError(
                f"{state.book}: a balance of {amount:,.6g} {money} moves with {money}, but the market of "
                f"{market.as_of} has no cash instrument of it; add one (type cash, currency {money})"
            )
        book.loc[named[money]] = book.get(named[money], 0.0) + amount
    return book.astype(float)
