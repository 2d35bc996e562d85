"""The timeline of one period: events and fills applied to a book's accounts in order of time, rank and id.

Positions change here, and money moves; every movement is noted with the part of the P&L it belongs to, in its own
money. What prices did meanwhile is the explanation's business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from optihedge.accounts.holdings import Holdings
from optihedge.accounts.quoted import quoted
from optihedge.accounts.settle import Terms
from optihedge.accounts.state import ACCOUNTS, Fill, State
from optihedge.errors import DataError
from optihedge.frames import nearest
from optihedge.market.events import Event
from optihedge.market.fate import ORDER, Fate
from optihedge.market.snapshot import Market
from optihedge.readonly import numbers


@dataclass(frozen=True)
class Flow:
    """Money that moved in an account, and the part of the P&L it is."""

    account: str
    instrument: str
    part: str
    money: str
    amount: float


@dataclass
class Delivery:
    """A contract that was turned into its underlying: what was received and what was paid for it."""

    account: str
    origin: str
    instrument: str
    contracts: float  # in units of the start's contract
    quantity: float
    paid: float
    money: str


class Timeline:
    """A book worked through one period.

    carried   account -> label at the start -> contracts, in the start's units, that were held through the period,
              those bought in it included: the P&L explained is theirs
    bought    account, money -> what those bought were worth at the start's mark
    after     positions, cash, accrued and rates at the end, as a State holds them, once the period was followed
    """

    def __init__(self, state: State, before: Market, market: Market, fate: Fate) -> None:
        self.state, self.before, self.market, self.fate = state, before, market, fate
        self.then, self.now = quoted(before), quoted(market)
        self.holdings = Holdings(state)
        self.after: dict[str, Any] = {}
        self.flows: list[Flow] = []
        self.deliveries: list[Delivery] = []
        self.carried = {account: dict(state.held.get(account, {})) for account in ACCOUNTS}
        self.bought: dict[tuple[str, str], float] = defaultdict(float)
        self.terms: dict[str, Terms] = {}
        self.origin: dict[str, tuple[str, float]] = {}  # label now -> label at the start, units now for one then

    def follow(self, events: Iterable[Event], fills: Iterable[Fill]) -> None:
        """Apply what happened, then settle what has expired and pay borrow to the end."""
        due: list[tuple[pd.Timestamp, int, str, Event | Fill]] = [
            (e.time, ORDER.index(e.kind), e.event_id, e) for e in events
        ]
        due += [(f.time, ORDER.index("fill"), f.fill_id, f) for f in fills]
        for time, _, _, one in sorted(due, key=lambda entry: entry[:3]):
            self._accrue(min(time, self.market.as_of))
            if isinstance(one, Fill):
                self._fill(one)
            else:
                getattr(self, "_" + one.kind)(one)
        self._expire()
        self._borrow()
        self._accrue(self.market.as_of)
        self.after = self.holdings.frozen()

    # ---- what is known of a contract ---------------------------------------------------------------------------------

    def known(self, name: str) -> Terms:
        """The terms of a contract as they are now in the timeline. Raises DataError for an unknown one."""
        if name not in self.terms:
            found = next((facts for facts in (self.then, self.now) if name in facts), None)
            if found is None:
                raise DataError(
                    f"{self.state.book}: {name} is in neither market of the period"
                    f"{nearest(name, self.market.names)}; add it to instruments, or mend the label"
                )
            self.terms[name] = found.terms(name)
        return self.terms[name]

    def at_start(self, name: str) -> tuple[str, float]:
        """The label at the start of what is `name` now, and units now for one then."""
        return self.origin.get(name, (name, 1.0))

    def _flow(self, account: str, name: str, part: str, money: str, amount: float) -> None:
        self.holdings.cash[account][money] += amount
        self.flows.append(Flow(account, self.at_start(name)[0], part, money, amount))

    def _accrue(self, time: pd.Timestamp) -> None:
        for (account, money), amount in self.holdings.accrue(time).items():
            self.flows.append(Flow(account, money, "interest", money, amount))

    # ---- fills -------------------------------------------------------------------------------------------------------

    def _fill(self, fill: Fill, part: str = "") -> None:
        terms = self.known(fill.instrument)
        if terms.cash:
            raise DataError(f"fill {fill.fill_id}: {terms.name} is cash; trade the pair (an instrument of type spot)")
        name, units = self.at_start(terms.name)
        part = part or ("late" if fill.time <= self.state.as_of else "fill")
        self.holdings.trade("hedge", terms, fill.quantity, fill.price, fill.time, fill.order_id)
        if name in self.then:
            scale = self.known(name).multiplier / (units * terms.multiplier)
            mark = self.then.price(name) * scale
            self.carried["hedge"][name] = self.carried["hedge"].get(name, 0.0) + fill.quantity / units
            self.bought["hedge", terms.money] += terms.worth(fill.quantity, mark)
        else:  # received or listed in the period: no mark at the start
            mark = self.now.price(terms.name)
        self.flows.append(Flow("hedge", name, part, terms.money, terms.gain(fill.quantity, fill.price, mark)))
        if fill.fee:
            self._flow("hedge", terms.name, part, fill.money, -fill.fee)

    def _bust(self, event: Event) -> None:
        found = [fill for fill in self.state.applied if fill.fill_id == event.other]
        if not found:
            raise DataError(f"event {event.event_id}: fill {event.other} is not among those applied in the last month")
        share = abs(event.value / found[0].quantity)
        if share > 1 + 1e-9:
            raise DataError(f"event {event.event_id}: takes back more than fill {event.other} traded")
        back = replace(
            found[0], fill_id=event.event_id, quantity=-share * found[0].quantity, fee=-share * found[0].fee,
            time=event.time,
        )  # fmt: skip
        self._fill(back, "late")

    # ---- money for what is held --------------------------------------------------------------------------------------

    def _funding(self, event: Event) -> None:
        self._pay(event, "funding", -1.0)

    def _dividend(self, event: Event) -> None:
        self._pay(event, "dividend", 1.0)

    def _pay(self, event: Event, part: str, sign: float) -> None:
        """Money per unit of multiplier on what is held now; of a late one on the lots that were held then."""
        for account, quantity in list(self.holdings.holders(event.instrument)):
            if event.time <= self.state.as_of:
                lots = self.holdings.lots[account][event.instrument]
                quantity, part = sum(lot.quantity for lot in lots if lot.time < event.time), "late"
            amount = sign * quantity * self.known(event.instrument).multiplier * event.value
            if amount:
                self._flow(account, event.instrument, part, event.money, amount)

    def _interest(self, event: Event) -> None:
        self.holdings.pay_interest(event.money, event.value)

    def _margin(self, event: Event) -> None:
        account = event.other or "hedge"
        if account not in ACCOUNTS:
            raise DataError(f"event {event.event_id}: account {account!r}; write one of {', '.join(ACCOUNTS)}")
        self._flow(account, event.money, "transfer", event.money, event.value)

    # ---- contracts that become others --------------------------------------------------------------------------------

    def _split(self, event: Event) -> None:
        self._become(event, event.instrument)

    def _rename(self, event: Event) -> None:
        self._become(event, event.other)

    def _merger(self, event: Event) -> None:
        if event.other:
            self._become(event, event.other)
        else:
            self._delisting(event)

    def _become(self, event: Event, label: str) -> None:
        if not any(True for _ in self.holdings.holders(event.instrument)) and event.instrument not in self.then:
            return
        old = self.known(event.instrument)
        name, units = self.at_start(old.name)
        later = self.now.terms(label) if label in self.now else replace(old, name=label)
        self.terms[label] = later
        self.holdings.convert(old, later, event.value)
        if label not in self.then or label == name:
            self.origin[label] = (name, units * event.value)
        for one in self.deliveries:
            if one.instrument == old.name:
                one.instrument, one.quantity = label, one.quantity * event.value

    def _spin_off(self, event: Event) -> None:
        """Shares received keep a part of the parent's cost, as their prices stand in the market after."""
        holders = list(self.holdings.holders(event.instrument))
        if not holders:
            return
        parent, child = self.known(event.instrument), self.known(event.other)
        after = [self.now.price(one.name) * one.multiplier if one.name in self.now else 0.0 for one in (parent, child)]
        part = event.value * after[1] / (after[0] + event.value * after[1])
        for account, _ in holders:
            lots = self.holdings.lots[account][parent.name]
            received = [
                replace(lot, quantity=lot.quantity * event.value,
                        price=lot.price * part * parent.multiplier / (event.value * child.multiplier))
                for lot in lots
            ]  # fmt: skip
            mine = self.holdings.lots[account]
            mine[parent.name] = tuple(replace(lot, price=lot.price * (1 - part)) for lot in lots)
            mine[child.name] = (*mine.get(child.name, ()), *received)

    # ---- contracts that end ------------------------------------------------------------------------------------------

    def _exercise(self, event: Event) -> None:
        self._deliver_some(event, 1.0)

    def _assignment(self, event: Event) -> None:
        self._deliver_some(event, -1.0)

    def _deliver_some(self, event: Event, side: float) -> None:
        """`value` contracts of long (exercise) or short (assignment) options become their underlying at the strike."""
        able = [(a, q) for a, q in self.holdings.holders(event.instrument) if q * side > 0]
        able = [(a, q) for a, q in able if event.other in ("", a)]
        if len(able) != 1 or event.value > abs(able[0][1]) * (1 + 1e-9):
            have = ", ".join(f"{q:g} in {a}" for a, q in able) or "none"
            raise DataError(
                f"event {event.event_id}: {event.kind} of {event.value:g} {event.instrument}, but there are {have}; "
                "name the account in `other`, or mend the number"
            )
        terms = self.known(event.instrument)
        if not terms.option:
            raise DataError(f"event {event.event_id}: {event.instrument} is no option")
        self._deliver(able[0][0], terms, side * event.value, terms.strike, event.time)

    def _deliver(self, account: str, terms: Terms, quantity: float, price: float, time: pd.Timestamp) -> None:
        """Contracts end against their underlying, bought (a put: sold) at `price`."""
        stock = self.known(self.now.deliverable(terms))
        name, units = self.at_start(terms.name)
        self.holdings.trade(account, terms, -quantity, 0.0 if terms.option else price, time)
        size = quantity * terms.multiplier * (terms.right if terms.option else 1.0) / stock.multiplier
        self.holdings.trade(account, stock, size, price, time, terms.name)
        paid = stock.worth(size, price)
        self.deliveries.append(Delivery(account, name, stock.name, quantity / units, size, paid, stock.money))

    def _settlement(self, event: Event) -> None:
        for account, quantity in list(self.holdings.holders(event.instrument)):
            terms = self.known(event.instrument)
            price = terms.settled_at(event.value)
            if event.other == "physical" and terms.margined and not terms.contract.future[0]:
                raise DataError(f"event {event.event_id}: {terms.name} delivers nothing; write cash in `other`")
            if event.other == "physical" and (not terms.option or price > 0):
                self._deliver(account, terms, quantity, terms.strike if terms.option else price, event.time)
            else:
                self.holdings.trade(account, terms, -quantity, price, event.time)

    def _delisting(self, event: Event) -> None:
        for account, quantity in list(self.holdings.holders(event.instrument)):
            self.holdings.trade(account, self.known(event.instrument), -quantity, event.value, event.time)

    def _expire(self) -> None:
        """What expired and was not settled by an event settles at the next level of its underlying."""
        assumed = set(self.fate.assumed)
        if not assumed:
            return
        for name in sorted({n for held in self.holdings.lots.values() for n in held} & assumed):
            level = float(self.fate.level[self.before.names.get_loc(name)])
            terms = self.known(name)
            for account, quantity in list(self.holdings.holders(name)):
                self.holdings.trade(account, terms, -quantity, terms.ends_at(level), terms.expiry)

    def _borrow(self) -> None:
        """Simple interest on the value of shorts at the start's rates and marks, paid at the end."""
        quoted_rates = numbers(self.before.quotes, "borrow_rate")
        lent = np.flatnonzero(quoted_rates > 0)
        if not lent.size:
            return
        rates = dict(zip(map(str, self.before.names[lent]), quoted_rates[lent].tolist(), strict=True))
        years = (self.market.as_of - self.before.as_of) / pd.Timedelta(days=365)
        held = [(account, *one) for account, carried in self.carried.items() for one in carried.items()]
        for account, name, quantity in held:
            if quantity < 0 and name in rates:
                terms = self.known(name)
                owed = terms.worth(-quantity, self.then.price(name)) * rates[name] * years
                if owed:
                    self._flow(account, name, "borrow", terms.money, -owed)
