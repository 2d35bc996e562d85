"""The timeline of one period: events and fills applied to a book's accounts in order of time, rank and id.

What prices did meanwhile is the explanation's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby

import numpy as np
import pandas as pd

from optihedge.accounts.endings import Endings
from optihedge.accounts.flows import Flow
from optihedge.accounts.late import AT_FILL, Ended, Turn, key_of, known_late, label_now
from optihedge.accounts.state import ACCOUNTS, Fill
from optihedge.errors import DataError
from optihedge.market.events import Event
from optihedge.market.fate import followed
from optihedge.readonly import numbers


class Timeline(Endings):
    """A book worked through one period: `follow` does it."""

    def follow(self, events: Iterable[Event], fills: Iterable[Fill], back: Iterable[Fill] = ()) -> None:
        """Apply what happened, then settle what has expired and pay borrow to the end.

        back   fills taken back, reversed: as if they had been traded when what they undo was
        """
        self.happened = happened = followed(events)
        due: list[tuple[pd.Timestamp, int, int, Event | Fill]] = [(*key_of(e), i, e) for i, e in enumerate(happened)]
        undone = {fill.fill_id for fill in back}
        due += [(f.time, AT_FILL, i, f) for i, f in enumerate((*fills, *back))]
        ordered = sorted(due, key=lambda entry: entry[:3])
        for (time, rank), together in groupby(ordered, key=lambda entry: entry[:2]):
            self._accrue(min(time, self.market.as_of))
            for *_, one in together:
                if isinstance(one, Fill) and one.fill_id in undone:
                    self._back(one)
                elif isinstance(one, Fill):
                    self.orders.filled(self._fill(one))
                else:
                    self.passed += not known_late(one, self.state)
                    getattr(self, "_" + one.kind)(one)
                    self._moved((time, rank))
            self._moved((time, rank))  # what the fills of one instant paid together
        self._accrue(self.market.as_of)
        self._expire()
        self._borrow()

    # ---- fills -------------------------------------------------------------------------------------------------------

    def _fill(self, fill: Fill) -> Fill:
        """Book a fill; it, in the units and under the label of now. Raises DataError, and says how to go on."""
        try:
            return self._lived("hedge", fill, "late" if fill.time <= self.state.as_of else "fill")
        except DataError as error:
            how = "and" if isinstance(error, Ended) else "or"
            raise DataError(
                f"fill {fill.fill_id}: {error}, {how} take the fill out by a bust event (other: {fill.fill_id}, value: "
                f"{abs(fill.quantity):g})"
            ) from None

    def _back(self, fill: Fill) -> None:
        """Book what was taken back of a fill; of a contract that has ended since it is noted."""
        try:
            self._lived("hedge", fill, "late")
        except Ended as error:
            self.notes.append(f"{fill.fill_id} is not applied: {error}")

    def _bust(self, event: Event) -> None:
        """Its fill, reversed, is among those that are followed."""

    # ---- money for what is held --------------------------------------------------------------------------------------

    def _funding(self, event: Event) -> None:
        self._pay(event, "funding", -1.0)

    def _dividend(self, event: Event) -> None:
        self._pay(event, "dividend", 1.0)

    def _pay(self, event: Event, part: str, sign: float) -> None:
        """Money per unit of multiplier on what is held now; of a late one on what was held then."""
        late, name = event.time <= self.state.as_of, event.instrument
        held = self._held(name)
        if late:
            held = [(account, self.holdings.held_before(account, name, key_of(event))) for account in ACCOUNTS]
            name = label_now(name, key_of(event), self.past)
        for account, quantity in held:
            if quantity:
                amount = sign * quantity * self.labels.terms(name).multiplier * event.value
                self._flow(account, name, "late" if late else part, event.money, amount)

    def _interest(self, event: Event) -> None:
        since = self.holdings.past.since(event.money)
        if event.time < since and self.state.seq:
            self.notes.append(
                f"interest {event.event_id} on {event.money} is from before {since}, and what its balances were then "
                "is known no more: it counts from there; enter the difference as a margin event"
            )
        for (account, money), amount in self.holdings.pay_interest(event.money, event.value, key_of(event)).items():
            self.flows.append(Flow(account, money, "late", money, amount))

    def _margin(self, event: Event) -> None:
        account = event.other or "hedge"
        if account not in ACCOUNTS:
            raise DataError(f"event {event.event_id}: account {account!r}; write one of {', '.join(ACCOUNTS)}")
        self._flow(account, event.money, "transfer", event.money, event.value)

    # ---- contracts that become others --------------------------------------------------------------------------------

    def _split(self, event: Event) -> None:
        if known_late(event, self.state):
            self._late_split(event)
            return
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
        scale = rate * old.multiplier / (event.value * later.multiplier)
        self.turned.append(Turn(event, old.money, later.money, rate, scale))
        for one in self.deliveries:
            if one.instrument == old.name:
                one.instrument, one.quantity = label, one.quantity * event.value
        self.orders.became(old, later, event.value)

    def _spin_off(self, event: Event) -> None:
        """Shares received keep a part of the parent's cost, as their prices stand in the market after."""
        if known_late(event, self.state):
            self._late_spin_off(event)
            return
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
