"""The timeline of one period: events and fills applied to a book's accounts in order of time, rank and id.

Positions change here, and money moves; every movement is noted with the part of the P&L it belongs to, in its own
money. What prices did meanwhile is the explanation's business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from optihedge.accounts.assumed import Assumed
from optihedge.accounts.busts import taken_back, without_undone
from optihedge.accounts.flows import Delivery, Flow
from optihedge.accounts.holdings import Holdings
from optihedge.accounts.labels import Labels
from optihedge.accounts.orders import OpenOrders
from optihedge.accounts.quoted import quoted
from optihedge.accounts.settle import Terms
from optihedge.accounts.state import ACCOUNTS, Fill, State
from optihedge.errors import DataError
from optihedge.market.ends import Ends
from optihedge.market.events import Event
from optihedge.market.fate import ORDER, Fate, ends_of, followed, in_order
from optihedge.market.moneys import in_money
from optihedge.market.snapshot import Market
from optihedge.readonly import numbers


class Timeline:
    """A book worked through one period.

    carried   account -> label at the start -> contracts, in the start's units, that were held through the period,
              those bought in it included: the P&L explained is theirs
    bought    account, money -> what those bought were worth at the start's mark
    assumed   what ended without a settlement event, in this period or before
    orders    open orders by id, after their fills and what became of their contracts;  busts  fills taken back
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
        self.labels = Labels(state.book, self.then, self.now)
        self.orders = OpenOrders(state.orders)
        self.parted: set[str] = set()  # labels at the start of what has spun something off
        self.happened: list[Event] = []
        self.passed = 0  # events followed
        self.fills: dict[str, Fill] = {}
        self.busts: list[Fill] = []
        self.assumed = {name: Assumed.of(name, row) for name, row in state.assumed.items()}
        self.notes: list[str] = []

    def follow(self, events: Iterable[Event], fills: Iterable[Fill]) -> None:
        """Apply what happened, then settle what has expired and pay borrow to the end."""
        events, fills, self.busts = without_undone([*events], [*fills])
        self.happened = happened = followed(events)
        due: list[tuple[pd.Timestamp, int, int, Event | Fill]] = [
            (*in_order(e)[:2], i, e) for i, e in enumerate(happened)
        ]
        due += [(f.time, ORDER.index("fill"), i, f) for i, f in enumerate(fills)]
        for time, _, _, one in sorted(due, key=lambda entry: entry[:3]):
            self._accrue(min(time, self.market.as_of))
            if isinstance(one, Fill):
                self._fill(one)
                self.orders.filled(one)
            else:
                self.passed += 1
                getattr(self, "_" + one.kind)(one)
        self._expire()
        self._borrow()
        self._accrue(self.market.as_of)
        self.after = self.holdings.frozen()

    @cached_property
    def ends(self) -> Ends:
        """What contracts become worth by the end of the period."""
        return ends_of(self.before, self.market, self.happened)

    def _held(self, name: str) -> list[tuple[str, float]]:
        return list(self.holdings.holders(name))

    def _flow(self, account: str, name: str, part: str, money: str, amount: float) -> None:
        self.holdings.cash[account][money] += amount
        self.flows.append(Flow(account, self.labels.at_start(name)[0], part, money, amount))

    def _accrue(self, time: pd.Timestamp) -> None:
        for (account, money), amount in self.holdings.accrue(time).items():
            self.flows.append(Flow(account, money, "interest", money, amount))

    # ---- fills -------------------------------------------------------------------------------------------------------

    def _fill(self, fill: Fill, part: str = "") -> None:
        terms = self.labels.terms(fill.instrument)
        if terms.cash:
            raise DataError(f"fill {fill.fill_id}: {terms.name} is cash; trade the pair (an instrument of type spot)")
        part = part or ("late" if fill.time <= self.state.as_of else "fill")
        self.fills[fill.fill_id] = fill
        self._trade("hedge", terms, fill.quantity, fill.price, fill.time, fill.order_id, part)
        if fill.fee:
            self._flow("hedge", terms.name, part, fill.money, -fill.fee)

    def _trade(
        self, account: str, terms: Terms, quantity: float, price: float, time: pd.Timestamp, order_id: str, part: str
    ) -> None:
        """Contracts traded, carried from here on as if from the start, whose mark the price is set against."""
        name, units = self.labels.at_start(terms.name)
        self.holdings.trade(account, terms, quantity, price, time, order_id)
        if self.labels.of_start(terms.name) and name not in self.parted:
            scale = self.then.terms(name).multiplier / (units * terms.multiplier)
            mark = self.then.price(name) * scale
            self.carried[account][name] = self.carried[account].get(name, 0.0) + quantity / units
            self.bought[account, terms.money] += terms.worth(quantity, mark)
        elif terms.margined:  # listed in the period: no mark at the start
            mark = self.now.price(terms.name)
        else:  # received, listed or parted from
            mark = self.ends.of(terms.name, self.passed) / (self.now.rate(terms.money) * terms.multiplier)
        self.flows.append(Flow(account, name, part, terms.money, terms.gain(quantity, price, mark)))

    def _bust(self, event: Event) -> None:
        """A fill taken back, whole or in part, in the units and under the label that its contract has now."""
        known = {fill.fill_id: fill for fill in (*self.state.applied, *self.busts)} | self.fills
        undone = taken_back(event, known)
        self._fill(self.labels.as_now(replace(undone, time=known[event.other].time), event.time), "late")
        self.busts.append(undone)

    # ---- money for what is held --------------------------------------------------------------------------------------

    def _funding(self, event: Event) -> None:
        self._pay(event, "funding", -1.0)

    def _dividend(self, event: Event) -> None:
        self._pay(event, "dividend", 1.0)

    def _pay(self, event: Event, part: str, sign: float) -> None:
        """Money per unit of multiplier on what is held now; of a late one on what was held then."""
        late = event.time <= self.state.as_of
        for account, quantity in self._held_then(event) if late else self._held(event.instrument):
            if quantity:
                amount = sign * quantity * self.labels.terms(event.instrument).multiplier * event.value
                self._flow(account, event.instrument, "late" if late else part, event.money, amount)

    def _held_then(self, event: Event) -> Iterable[tuple[str, float]]:
        """Contracts held at a late event's instant: lots from before it, and what fills since have closed of these."""
        since = [self.labels.as_now(fill, fill.time) for fill in self.state.applied if fill.time >= event.time]
        since = [fill for fill in since if fill.instrument == event.instrument]
        times = {fill.time for fill in since}
        for account in ACCOUNTS:
            lots = self.holdings.lots[account].get(event.instrument, ())
            held = sum(lot.quantity for lot in lots if lot.time < event.time)
            if account == "hedge" and since:
                left = sum(lot.quantity for lot in lots if lot.time in times)
                held += left - sum(fill.quantity for fill in since)
            yield account, held

    def _interest(self, event: Event) -> None:
        was = self.holdings.rates.get(event.money, 0.0)
        if event.time < self.state.as_of and event.value != was and self.state.seq:
            self.notes.append(
                f"interest {event.event_id} on {event.money} was known after {self.state.as_of}: until then its "
                f"balances have earned {was:g} a year; enter the difference as a margin event"
            )
        self.holdings.pay_interest(event.money, event.value)

    def _margin(self, event: Event) -> None:
        account = event.other or "hedge"
        if account not in ACCOUNTS:
            raise DataError(f"event {event.event_id}: account {account!r}; write one of {', '.join(ACCOUNTS)}")
        self._flow(account, event.money, "transfer", event.money, event.value)

    # ---- contracts that become others --------------------------------------------------------------------------------

    def _split(self, event: Event) -> None:
        self._become(event, event.instrument)
        if event.instrument in self.then and pd.isna(self.then.terms(event.instrument).expiry):
            self.labels.split(event.instrument, event.value)

    def _rename(self, event: Event) -> None:
        self._become(event, event.other)

    def _merger(self, event: Event) -> None:
        if event.other:
            self._become(event, event.other)
        else:
            self._delisting(event)

    def _become(self, event: Event, label: str) -> None:
        if not self._held(event.instrument) and not self.labels.of_start(event.instrument):
            return
        old, later = self.labels.become(event.instrument, label, event.value, event.time)
        rate = 1.0 if old.money == later.money else self.now.rate(old.money) / self.now.rate(later.money)
        self.holdings.convert(old, later, event.value, event.time, rate)
        for one in self.deliveries:
            if one.instrument == old.name:
                one.instrument, one.quantity = label, one.quantity * event.value
        self.orders.became(old, later, event.value)

    def _spin_off(self, event: Event) -> None:
        """Shares received keep a part of the parent's cost, as their prices stand in the market after."""
        holders = self._held(event.instrument)
        self.parted.add(self.labels.at_start(event.instrument)[0])
        if not holders:
            return
        parent, child = self.labels.terms(event.instrument), self.labels.terms(event.other)
        after = [self.ends.of(one.name, self.passed) / self.now.rate(parent.money) for one in (parent, child)]
        whole = after[0] + event.value * after[1]
        part = event.value * after[1] / whole if whole else 0.0
        for account, _ in holders:
            lots = self.holdings.lots[account][parent.name]
            received = [
                replace(lot, quantity=lot.quantity * event.value,
                        price=lot.price * part * parent.multiplier / (event.value * child.multiplier))
                for lot in lots
            ]  # fmt: skip
            self.holdings.lots[account][parent.name] = tuple(replace(lot, price=lot.price * (1 - part)) for lot in lots)
            self.holdings.receive(account, child, received, event.time)

    # ---- contracts that end ------------------------------------------------------------------------------------------

    def _exercise(self, event: Event) -> None:
        self._deliver_some(event, 1.0)

    def _assignment(self, event: Event) -> None:
        self._deliver_some(event, -1.0)

    def _deliver_some(self, event: Event, side: float) -> None:
        """`value` contracts of long (exercise) or short (assignment) options become their underlying at the strike."""
        held = self._held(event.instrument)
        assumed = None if held else self.assumed.get(event.instrument)
        held = held if assumed is None else list(assumed.held.items())
        able = [(a, q) for a, q in held if q * side > 0 and event.other in ("", a)]
        if len(able) != 1 or event.value > abs(able[0][1]) * (1 + 1e-9):
            have = ", ".join(f"{q:g} in {a}" for a, q in able) or "none"
            raise DataError(
                f"event {event.event_id}: {event.kind} of {event.value:g} {event.instrument}, but there are {have}; "
                "name the account in `other`, or mend the number"
            )
        terms = self.labels.terms(event.instrument) if assumed is None else assumed.terms
        if not terms.option:
            raise DataError(f"event {event.event_id}: {event.instrument} is no option")
        if assumed is not None:
            self._instead(event, able[0][0], side * event.value, terms.strike)
            return
        self._deliver(able[0][0], terms, side * event.value, np.nan, event.time)

    def _deliver(self, account: str, terms: Terms, quantity: float, price: float, time: pd.Timestamp) -> None:
        """Contracts end against their underlying, bought (a put: sold) at `price`, of an option at its strike."""
        stock = self.labels.terms(self.labels.deliverable(terms))
        name, units = self.labels.at_start(terms.name)
        _, ratio, scale = self.labels.adjusted(terms.name)
        price = terms.strike / ratio if terms.option else price
        self.holdings.trade(account, terms, -quantity, 0.0 if terms.option else price * scale, time)
        size = quantity * terms.multiplier * scale * (terms.right if terms.option else 1.0) / stock.multiplier
        self.holdings.trade(account, stock, size, price, time, terms.name)
        paid = stock.worth(size, price)
        self.deliveries.append(Delivery(account, name, stock.name, quantity / units, size, paid, stock.money))

    def _instead(self, event: Event, account: str, quantity: float, price: float) -> None:
        """Of what was assumed to be paid in money contracts became their underlying, at `price`; told late."""
        one = self.assumed[event.instrument]
        self.assumed[event.instrument] = one.less(account, quantity)
        self._flow(account, event.instrument, "late", one.terms.money, -one.terms.worth(quantity, one.paid))
        stock = self.labels.terms(self.labels.deliverable(one.terms))
        size = quantity * one.terms.multiplier * (one.terms.right if one.terms.option else 1.0) / stock.multiplier
        self._trade(account, stock, size, price, event.time, event.instrument, "late")

    def _settled_late(self, event: Event) -> None:
        """The settlement of what was assumed to end at another level: the difference, or the delivery."""
        one = self.assumed[event.instrument]
        price = one.terms.settled_at(event.value)
        for account, quantity in one.held.items():
            gain = one.terms.gain(quantity, one.paid, price)
            self._flow(account, event.instrument, "late", one.terms.money, gain)
        self.assumed[event.instrument] = replace(one, paid=price)
        if event.other == "physical" and (price > 0 or not one.terms.option):
            for account, quantity in one.held.items():
                self._instead(event, account, quantity, one.terms.strike if one.terms.option else price)
        self.assumed[event.instrument] = replace(one, held={})

    def _settlement(self, event: Event) -> None:
        if event.instrument in self.assumed and not self._held(event.instrument):
            self._settled_late(event)
            return
        for account, quantity in self._held(event.instrument):
            terms, ratio, scale = self.labels.adjusted(event.instrument)
            price = terms.settled_at(event.value * ratio) / ratio
            if event.other == "physical" and terms.margined and not terms.contract.future[0]:
                raise DataError(f"event {event.event_id}: {terms.name} delivers nothing; write cash in `other`")
            if event.other == "physical" and (not terms.option or price > 0):
                self._deliver(account, terms, quantity, price, event.time)
            else:
                self.holdings.trade(account, terms, -quantity, price * scale, event.time)
        self.labels.end(event.instrument, f"settled on {event.time:%Y-%m-%d}")

    def _delisting(self, event: Event) -> None:
        """Contracts end at their last value, paid in the event's money."""
        for account, quantity in self._held(event.instrument):
            terms = self.labels.terms(event.instrument)
            price = event.value if terms.margined else in_money(self.market, event.value, event.money, terms.money)
            self.holdings.trade(account, terms, -quantity, price, event.time)
            if event.money and not terms.margined:
                paid = terms.worth(quantity, 1.0)
                self.holdings.cash[account][terms.money] -= paid * price
                self.holdings.cash[account][event.money] += paid * event.value
        self.labels.end(event.instrument, f"ended on {event.time:%Y-%m-%d}")

    def _expire(self) -> None:
        """What expired and was not settled by an event settles at the next level of its underlying."""
        assumed = set(self.fate.assumed)
        if not assumed:
            return
        for name in sorted({n for held in self.holdings.lots.values() for n in held}):
            start, units = self.labels.at_start(name)
            if start not in assumed:
                continue
            terms, was = self.labels.terms(name), self.then.terms(start)
            level = float(self.fate.level[self.before.names.get_loc(start)])
            price = was.ends_at(level) * was.multiplier / (units * terms.multiplier)
            held = self._held(name)
            if name in self.then and price == was.ends_at(level):  # in terms that are its own
                self.assumed[name] = Assumed(was, price, dict(held))
            for account, quantity in held:
                self.holdings.trade(account, terms, -quantity, price, was.expiry)

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
                terms = self.then.terms(name)
                owed = terms.worth(-quantity, self.then.price(name)) * rates[name] * years
                if owed:
                    self._flow(account, name, "borrow", terms.money, -owed)
