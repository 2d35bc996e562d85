"""What a state is worth in a market: positions at their marks, unrealised gains, and cash, in base currency."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from optihedge.accounts.account import Account
from optihedge.accounts.quoted import Quoted, quoted
from optihedge.accounts.state import ACCOUNTS, Lot, State
from optihedge.errors import DataError
from optihedge.frames import some
from optihedge.market.book import Book, book_quantities
from optihedge.market.snapshot import Market
from optihedge.readonly import column_of, kept, read_only, told

Array = np.ndarray
_NOWHERE = np.zeros(0, dtype=int)
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
    positions: dict[str, Account] = {}
    cash: dict[str, dict[str, float]] = {}
    facts = quoted(market)
    names, cashlike, moneys = facts.listed.names, facts.listed.cash, facts.listed.money
    for account, given in (("book", client), ("hedge", hedge)):
        quantities = book_quantities({} if given is None else given, market)
        lots: dict[str, tuple[Lot, ...]] = {}
        money: dict[str, float] = {}
        for at in np.flatnonzero(quantities).tolist():
            if cashlike[at]:
                money[moneys[at]] = money.get(moneys[at], 0.0) + float(quantities[at])
            else:
                lots[names[at]] = (Lot(float(quantities[at]), float(facts.marks[at]), market.as_of),)
        positions |= {account: Account(lots)} if lots else {}
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


def valued_lots(state: State, market: Market) -> pd.DataFrame:
    """Every open lot at its contract's mark: account, instrument, quantity, price, time, order_id, mark, money and
    unrealised.

    price and mark are per unit of quotation; unrealised is the lot's gain since its price, in `money`. By instrument it
    sums to `valued`'s. Raises DataError as `valued` does.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> quotes = pd.DataFrame({"instrument": ["S"], "bid": [99.99], "ask": [100.01]})
    >>> table = pd.DataFrame({"instrument": ["S"], "type": ["equity"], "underlying": "S"})
    >>> market = oh.Market(table, quotes, "USD", as_of="2026-01-19T21:00Z")
    >>> bought = {"book": {"S": (oh.policy.Lot(10.0, 98.0, market.as_of),)}}
    >>> state = oh.policy.State(book="book", seq=0, as_of=market.as_of, positions=bought)
    >>> float(oh.policy.valued_lots(state, market)["unrealised"].iloc[0].round(2))
    20.0
    """
    worth_of(state, market)  # what the market does not list is refused
    facts, lots = quoted(market), state.lots()
    marks = [facts.price(name) for name in lots["instrument"]]
    terms = [facts.terms(name) for name in lots["instrument"]]
    gains = [one.gain(*lot) for one, *lot in zip(terms, lots["quantity"], lots["price"], marks, strict=True)]
    return lots.assign(mark=marks, money=[one.money for one in terms], unrealised=gains)


class Worth:
    """A state in a market: its positions and balances, one row each, as arrays; the table of them on demand."""

    def __init__(self, state: State, market: Market) -> None:
        self.state, self._facts = state, (facts := quoted(market))
        self.places = {account: state.positions[account].places(facts.listed.place) for account in state.positions}
        if any((at < 0).any() for at in self.places.values()):
            missing = sorted({name for lots in state.positions.values() for name in lots if name not in facts})
            raise DataError(
                f"{state.book}: {some(missing)} held but not in the market of {market.as_of}; quote it there"
            )
        self._balances = {account: sorted(_balances(state, account).items()) for account in ACCOUNTS}
        parts, rates = [], []
        for account in ACCOUNTS:
            balances, at = self._balances[account], self.places.get(account, _NOWHERE)
            parts.append(self._positions(account, at, facts))
            amounts = np.array([amount for _, amount in balances], dtype=float)
            parts.append(np.stack([amounts, np.ones(len(balances)), amounts, np.zeros(len(balances))]))
            rates += [facts.rates_at(at), facts.rates([money for money, _ in balances])]
        self.quantity, self.price, self.value, unrealised = np.concatenate(parts, axis=1)
        self._margined = unrealised
        self.base: Array = self.value * np.concatenate(rates)

    def _positions(self, account: str, at: Array, facts: Quoted) -> Array:
        """4 x contracts: quantity, mark, value, and whether it is paid by variation margin (1 or 0)."""
        if not len(at):
            return np.zeros((4, 0))
        quantity = self.state.positions[account].quantities
        mark, margined = facts.marks[at], facts.listed.margined[at]
        value = quantity * facts.listed.multiplier[at] * mark
        for i in np.flatnonzero(margined):
            value[i] = self._unrealised(account, facts.listed.names[at[i]], float(mark[i]))
        return np.stack([quantity, mark, value, margined.astype(float)])

    @cached_property
    def _labels(self) -> tuple[list[str], list[str], list[str]]:
        """Account, instrument (of a balance its currency) and money of each row."""
        accounts, instruments, moneys = list[str](), list[str](), list[str]()
        for account in ACCOUNTS:
            at, own = self.places.get(account, _NOWHERE), [money for money, _ in self._balances[account]]
            instruments += [*(self._facts.listed.names[i] for i in at), *own]
            moneys += [*self._facts.listed.money[at].tolist(), *own]
            accounts += [account] * (len(at) + len(own))
        return accounts, instruments, moneys

    def key(self, row: int) -> tuple[str, str]:
        """Account and money of a row."""
        for account in ACCOUNTS:
            at, own = self.places.get(account, _NOWHERE), self._balances[account]
            if row < len(at):
                return account, str(self._facts.listed.money[at[row]])
            if row < len(at) + len(own):
                return account, own[row - len(at)][0]
            row -= len(at) + len(own)
        raise IndexError(row)

    def _unrealised(self, account: str, name: str, mark: float) -> float:
        one = self._facts.terms(name)
        return sum(one.gain(lot.quantity, lot.price, mark) for lot in self.state.positions[account][name])

    @property
    def like_cash(self) -> Array:
        """Rows that move with their money alone: balances, and gains of contracts paid by variation margin."""
        parts = []
        for account in ACCOUNTS:
            at = self.places.get(account, _NOWHERE)
            parts += [self._facts.listed.own_money[at], np.ones(len(self._balances[account]), dtype=bool)]
        return np.concatenate(parts) | (self._margined > 0)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """COLUMNS, see `valued`."""
        positions, (accounts, instruments, moneys) = self.state.positions, self._labels
        unrealised = [
            self._unrealised(account, name, mark) if name in positions.get(account, {}) else 0.0
            for account, name, mark in zip(accounts, instruments, self.price.tolist(), strict=True)
        ]
        columns = (accounts, instruments, self.quantity, self.price, moneys, self.value, unrealised)
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
        key = worth.key(int(i))
        found[key] = found.get(key, 0.0) + float(worth.value[i])
    return found


def _cash_names(table: pd.DataFrame) -> dict[str, str]:
    """Currency -> the cash instrument of it."""
    rows = np.flatnonzero(told(table, "type", "cash"))
    return dict(zip(column_of(table, "currency")[rows], table.index[rows], strict=True))


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
    worth, listed, table = worth_of(state, market), quoted(market).listed, market.instruments
    total = np.zeros(len(listed.names))
    for account in ACCOUNTS:
        if account in worth.places:
            total[worth.places[account]] += state.positions[account].quantities
    held = listed.by_name[total[listed.by_name] != 0]
    book = pd.Series(total[held], listed.labels(held))
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
    return book
