"""The books of one period: lots change and money moves, each noted with the part of the P&L it belongs to."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

import pandas as pd

from optihedge.accounts.assumed import Assumed
from optihedge.accounts.flows import Delivery, Flow
from optihedge.accounts.holdings import Holdings
from optihedge.accounts.labels import Labels
from optihedge.accounts.late import Heard, Turn, known_late
from optihedge.accounts.orders import OpenOrders
from optihedge.accounts.past import Key
from optihedge.accounts.quoted import quoted
from optihedge.accounts.settle import Terms
from optihedge.accounts.state import ACCOUNTS, State
from optihedge.market.ends import Ends
from optihedge.market.events import Event
from optihedge.market.fate import Fate, ends_of
from optihedge.market.snapshot import Market


class Booking:
    """A book while one period of it is worked through.

    carried   account -> label at the start -> contracts, in the start's units, that were held through the period,
              those bought in it included: the P&L explained is theirs
    bought    account, money -> what those bought were worth at the start's mark
    assumed   what ended without a settlement event, in this period or before
    heard     events that the state has heard of: late news live through them;  past   they, as they were followed
    turned    what events made of contracts in this period
    orders    open orders by id, after their fills and what became of their contracts
    """

    def __init__(self, state: State, before: Market, market: Market, fate: Fate, heard: Heard) -> None:
        self.state, self.before, self.market, self.fate = state, before, market, fate
        self.then, self.now = quoted(before), quoted(market)
        self.holdings = Holdings(state)
        self.flows: list[Flow] = []
        self.deliveries: list[Delivery] = []
        self.carried = {account: dict(state.held.get(account, {})) for account in ACCOUNTS}
        self.bought: dict[tuple[str, str], float] = defaultdict(float)
        self.labels = Labels(state.book, self.then, self.now)
        self.orders = OpenOrders(state.orders)
        self.parted: set[str] = set()  # labels at the start of what has spun something off
        self.happened: list[Event] = []
        self.passed = 0  # events followed, without those known late
        self.heard, self.past = heard, heard.events
        self.turned: list[Turn] = []
        self.assumed = {name: Assumed.of(name, row) for name, row in state.assumed.items()}
        self.notes: list[str] = []

    @cached_property
    def ends(self) -> Ends:
        """What contracts become worth by the end of the period."""
        return ends_of(self.before, self.market, [one for one in self.happened if not known_late(one, self.state)])

    def _held(self, name: str) -> list[tuple[str, float]]:
        return list(self.holdings.holders(name))

    def _flow(self, account: str, name: str, part: str, money: str, amount: float) -> None:
        self.holdings.cash[account][money] += amount
        self.flows.append(Flow(account, self.labels.at_start(name)[0], part, money, amount))

    def _accrue(self, time: pd.Timestamp) -> None:
        for (account, money), amount in self.holdings.accrue(time).items():
            self.flows.append(Flow(account, money, "interest", money, amount))

    def _moved(self, key: Key) -> None:
        """Note what has moved by now as of its instant; what late money has earned since is late too."""
        part = "late" if key[0] <= self.state.as_of else "interest"
        for (account, money), amount in self.holdings.moved(key).items():
            self.flows.append(Flow(account, money, part, money, amount))

    def _trade(
        self, account: str, terms: Terms, quantity: float, price: float, time: pd.Timestamp, order_id: str, part: str
    ) -> None:
        """Contracts traded, carried from here on as if from the start, whose mark the price is set against."""
        self.holdings.trade(account, terms, quantity, price, time, order_id)
        self._carry(account, terms, quantity, price, part)

    def _carry(self, account: str, terms: Terms, quantity: float, price: float, part: str) -> None:
        """What was traded is carried as if from the start, and its price set against the mark then."""
        name, units = self.labels.at_start(terms.name)
        known = self.labels.of_start(terms.name) and name not in self.parted
        if known and self.then.terms(name).money == terms.money:
            scale = self.then.terms(name).multiplier / (units * terms.multiplier)
            mark = self.then.price(name) * scale
            self.carried[account][name] = self.carried[account].get(name, 0.0) + quantity / units
            self.bought[account, terms.money] += terms.worth(quantity, mark)
        elif terms.margined:  # listed in the period: no mark at the start
            mark = self.now.price(terms.name)
        else:  # received, listed, parted from or come from abroad
            mark = self.ends.of(terms.name, self.passed) / (self.now.rate(terms.money) * terms.multiplier)
        self.flows.append(Flow(account, name, part, terms.money, terms.gain(quantity, price, mark)))
