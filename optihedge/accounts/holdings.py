"""Holdings: the lots and balances of a book's accounts while a period is worked through, first in first out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from optihedge.accounts.account import Account
from optihedge.accounts.noted import Pasts
from optihedge.accounts.past import CASH, HELD, Key, Move
from optihedge.accounts.settle import Terms
from optihedge.accounts.state import ACCOUNTS, DUST, Lot, State
from optihedge.market.fate import ORDER
from optihedge.market.instruments import HOURS_PER_YEAR

_YEAR = pd.Timedelta(hours=HOURS_PER_YEAR)


@dataclass(frozen=True)
class Closed:
    """A lot, or a part of one, that was closed: what it gained in its money."""

    account: str
    instrument: str
    quantity: float
    entry: float
    leave: float
    opened: pd.Timestamp
    closed: pd.Timestamp
    order_id: str
    money: str
    gain: float


class Holdings:
    """The mutable side of a State, inside one `advance`."""

    def __init__(self, state: State) -> None:
        self._opened = state.positions
        self.lots: dict[str, dict[str, tuple[Lot, ...]]] = {a: dict(state.positions.get(a, {})) for a in ACCOUNTS}
        self.cash = {a: defaultdict(float, state.cash.get(a, {})) for a in ACCOUNTS}
        self.accrued = {a: defaultdict(float, state.accrued.get(a, {})) for a in ACCOUNTS}
        self.rates = dict(state.rates)
        self.clock = state.as_of
        self.closed: list[Closed] = []
        self.past = Pasts(state)
        self._noted = {a: dict(state.cash.get(a, {})) for a in ACCOUNTS}
        self._changed: set[tuple[str, str]] = set()

    def held(self, account: str, name: str) -> float:
        """Contracts held now."""
        return sum([lot.quantity for lot in self.lots[account].get(name, ())])

    def holders(self, name: str) -> Iterator[tuple[str, float]]:
        """Accounts that hold a contract, and how many."""
        for account in ACCOUNTS:
            quantity = self.held(account, name)
            if quantity:
                yield account, quantity

    def trade(
        self, account: str, terms: Terms, quantity: float, price: float, time: pd.Timestamp, order_id: str = ""
    ) -> None:
        """Buy (sell) at a price: close lots of the other sign oldest first, open the rest, move the money."""
        self.cash[account][terms.money] -= terms.worth(quantity, price)
        lots, left = self._against(account, terms, quantity, price, time)
        if left:
            last = lots[-1] if lots else None
            if last and (last.price, last.time, last.order_id) == (price, time, order_id):
                lots[-1] = replace(last, quantity=last.quantity + left)
            else:
                lots.append(Lot(left, price, time, order_id))
        self._hold(account, terms.name, lots)

    def receive(self, account: str, terms: Terms, received: Iterable[Lot], time: pd.Timestamp) -> None:
        """Put lots, for which nothing is paid, beside those held: against those of the other sign, at their price."""
        new = []
        for one in received:
            lots, left = self._against(account, terms, one.quantity, one.price, time)
            self._hold(account, terms.name, lots)
            new += [one if left == one.quantity else replace(one, quantity=left)] if left else []
        if new:
            joined = [*self.lots[account].get(terms.name, ()), *new]
            self._hold(account, terms.name, sorted(joined, key=lambda lot: lot.time))

    def give(self, account: str, terms: Terms, quantity: float, time: pd.Timestamp) -> None:
        """Contracts for which nothing is paid come to the lots from before an instant: what these cost is that of all.

        Where there are no such lots any more they are one of their own.
        """
        lots = self.lots[account].get(terms.name, ())
        old, new = [lot for lot in lots if lot.time < time], [lot for lot in lots if lot.time >= time]
        before = sum(lot.quantity for lot in old)
        units = (before + quantity) / before if before else 0.0
        if units > DUST:
            turned = [replace(lot, quantity=lot.quantity * units, price=lot.price / units) for lot in old]
            self._hold(account, terms.name, [*turned, *new])
        else:
            self.receive(account, terms, [Lot(quantity, 0.0, time)], time)

    def share_cost(self, account: str, parent: Terms, child: Terms, part: float, time: pd.Timestamp) -> None:
        """A part of what the lots from before an instant cost becomes the cost of what they brought then."""
        lots, theirs = (self.lots[account].get(one.name, ()) for one in (parent, child))
        cost = sum(parent.worth(lot.quantity, lot.price) * part for lot in lots if lot.time < time)
        size = sum(child.worth(lot.quantity, 1.0) for lot in theirs if lot.time <= time)
        if size:
            kept = [replace(lot, price=lot.price * (1 - part)) if lot.time < time else lot for lot in lots]
            self._hold(account, parent.name, kept)
            more = cost / size
            self._hold(account, child.name, [replace(lot, price=lot.price + more) if lot.time <= time else lot
                                             for lot in theirs])  # fmt: skip

    def _against(
        self, account: str, terms: Terms, quantity: float, price: float, time: pd.Timestamp
    ) -> tuple[list[Lot], float]:
        """Close lots of the other sign oldest first; the lots that stay, and what is left of the quantity."""
        lots = list(self.lots[account].get(terms.name, ()))
        left, size = quantity, abs(quantity)
        while lots and left * lots[0].quantity < 0:
            lot = lots[0]
            part = max(-lot.quantity, left) if left < 0 else min(-lot.quantity, left)
            self._close(account, terms, lot, -part, price, time)
            rest = lot.quantity + part
            lots[:1] = [replace(lot, quantity=rest)] if abs(rest) > DUST * abs(lot.quantity) else []
            left -= part
            if abs(left) <= DUST * size:
                left = 0.0
        return lots, left

    def _hold(self, account: str, name: str, lots: list[Lot]) -> None:
        self._changed.add((account, name))
        if lots:
            self.lots[account][name] = tuple(lots)
        else:
            self.lots[account].pop(name, None)

    def _close(self, account: str, terms: Terms, lot: Lot, quantity: float, price: float, time: pd.Timestamp) -> None:
        gain = terms.gain(quantity, lot.price, price)
        if terms.margined:
            self.cash[account][terms.money] += gain
        self.closed.append(
            Closed(account, terms.name, quantity, lot.price, price, lot.time, time, lot.order_id, terms.money, gain)
        )

    def convert(self, old: Terms, new: Terms, units: float, time: pd.Timestamp, rate: float = 1.0) -> None:
        """Every lot of one contract becomes `units` of another: what was paid for it stays, at `rate` in its money."""
        scale = rate * old.multiplier / (units * new.multiplier)
        for account in ACCOUNTS:
            lots = self.lots[account].pop(old.name, ())
            self._changed.add((account, old.name))
            turned = [replace(lot, quantity=lot.quantity * units, price=lot.price * scale) for lot in lots]
            self.receive(account, new, turned, time)

    def accrue(self, time: pd.Timestamp) -> dict[tuple[str, str], float]:
        """Interest on every balance up to `time`, simple; by account and currency what has accrued."""
        since, self.clock = self.clock, max(time, self.clock)
        if not self.rates:
            return {}
        years = max((time - since) / _YEAR, 0.0)
        gained = {}
        for money, rate in self.rates.items():
            for account in ACCOUNTS:
                amount = self.cash[account].get(money, 0.0) * rate * years
                if amount:
                    self.accrued[account][money] += amount
                    gained[account, money] = amount
        return gained

    def pay_interest(self, money: str, rate: float, key: Key) -> dict[tuple[str, str], float]:
        """What has accrued goes to cash, and balances earn another rate from an instant on.

        From one that is over, on what they were since: by account and currency what they gain by it until now.
        """
        gained = {}
        for account in ACCOUNTS:
            if key[0] >= self.clock and self.accrued[account].get(money):
                self.cash[account][money] += self.accrued[account].pop(money)
            gained[account, money] = self._put(account, money, Move(*key, 0.0, rate))
            self._noted[account][money] = self.cash[account].get(money, 0.0)
        self.rates[money] = self.past.rate(money, self.clock)
        return {at: amount for at, amount in gained.items() if amount}

    # ---- what became of them, move by move ---------------------------------------------------------------------------

    def along(self, account: str, path: Iterable[tuple[str, Move]]) -> None:
        """Note how, by label, an account came to what has changed of its contracts."""
        for name, move in path:
            self.past.put(account, HELD, name, move)
            self._changed.discard((account, name))

    def moved(self, key: Key) -> dict[tuple[str, str], float]:
        """Note what changed since the last time as moved at an instant; what that earned until now, if it is over."""
        for account, name in sorted(self._changed):
            held = self.held(account, name)
            change = held - self.past.amount(account, HELD, name)
            if abs(change) > DUST * abs(held):
                self.past.put(account, HELD, name, Move(*key, change))
        self._changed.clear()
        gained = {}
        for account in ACCOUNTS:
            for money, amount in list(self.cash[account].items()):
                change = amount - self._noted[account].get(money, 0.0)
                if change:
                    earned = self._put(account, money, Move(*key, change))
                    self._noted[account][money] = self.cash[account][money]
                    if earned:
                        gained[account, money] = earned
        return gained

    def _put(self, account: str, money: str, move: Move) -> float:
        """A move of a balance noted; one from before now has earned since, which is added to it and handed back."""
        old, new = self.past.put(account, CASH, money, move)
        if move.time >= self.clock:
            return 0.0
        was, now = old.brought(self.clock), new.brought(self.clock)
        paid, accrued = now.amount - was.amount - move.amount, now.accrued - was.accrued
        self.cash[account][money] += paid
        self.accrued[account][money] += accrued
        return paid + accrued

    def held_before(self, account: str, name: str, key: Key) -> float:
        """Contracts held under a label just before a place in the order of what happened."""
        past = self.past.of[account][HELD].get(name)
        known = None if past is None else past.before(key)
        if known is None:
            return sum([lot.quantity for lot in self.lots[account].get(name, ()) if lot.time < key[0]])
        return known

    def frozen(self) -> dict[str, Any]:
        """positions, cash, accrued, rates and past as a State holds them: nothing empty, nothing zero."""
        self.moved((self.clock, len(ORDER)))
        positions = {a: self.account(a) for a in self.lots}
        money = {
            name: {a: {c: v for c, v in sorted(balances.items()) if v} for a, balances in getattr(self, name).items()}
            for name in ("cash", "accrued")
        }
        full: dict[str, Any] = {"positions": positions, **money}
        kept = {name: {a: held for a, held in by.items() if held} for name, by in full.items()}
        return {**kept, "rates": dict(self.rates), "past": self.past.kept(self.clock)}

    def account(self, account: str) -> Account:
        """An account's lots now: where nothing became of it, the same as before."""
        held, before = self.lots[account], self._opened.get(account)
        if before is not None and held == before:
            return before
        lots = {name: held[name] for name in sorted(held) if held[name]}
        return Account(lots) if before is None else Account.after(before, lots, account)
