"""Contracts that end in a period: exercised, settled, delisted, or expired with nobody to say how."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optihedge.accounts.assumed import Assumed
from optihedge.accounts.flows import Delivery
from optihedge.accounts.lived import Lived
from optihedge.accounts.settle import Terms
from optihedge.errors import DataError
from optihedge.market.events import Event
from optihedge.market.fate import ORDER
from optihedge.market.moneys import in_money


class Endings(Lived):
    """What becomes of contracts that end, event by event, and of those that expired without one."""

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
        self._deliver(able[0][0], terms, side * event.value, np.nan, event)

    def _deliver(self, account: str, terms: Terms, quantity: float, price: float, event: Event) -> None:
        """Contracts end against their underlying, bought (a put: sold) at `price`, of an option at its strike."""
        time, size = event.time, quantity * terms.multiplier * (terms.right if terms.option else 1.0)
        if time <= self.state.as_of:
            self._trade(account, terms, -quantity, 0.0 if terms.option else price, time, "", "late")
            self._delivered(account, event, terms, size, terms.strike if terms.option else price, now=True)
            return
        stock = self.labels.terms(self.labels.deliverable(terms))
        name, units = self.labels.at_start(terms.name)
        _, ratio, scale = self.labels.adjusted(terms.name)
        price = terms.strike / ratio if terms.option else price
        self.holdings.trade(account, terms, -quantity, 0.0 if terms.option else price * scale, time)
        size = size * scale / stock.multiplier
        self.holdings.trade(account, stock, size, price, time, terms.name)
        paid = stock.worth(size, price)
        self.deliveries.append(Delivery(account, name, stock.name, quantity / units, size, paid, stock.money))

    def _instead(self, event: Event, account: str, quantity: float, price: float) -> None:
        """Of what was assumed to be paid in money contracts became their underlying, at `price`; told late."""
        one = self.assumed[event.instrument]
        self.assumed[event.instrument] = one.less(account, quantity)
        self._flow(account, event.instrument, "late", one.terms.money, -one.terms.worth(quantity, one.paid))
        size = quantity * one.terms.multiplier * (one.terms.right if one.terms.option else 1.0)
        self._delivered(account, event, one.terms, size, price, now=False)

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
                self._deliver(account, terms, quantity, price, event)
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
            scale = was.multiplier / (units * terms.multiplier)
            price = was.ends_at(level) * scale
            held = self._held(name)
            _, ratio, size = self.labels.adjusted(name)
            if np.isclose(scale * ratio, size):  # else on what terms it was at its end is not known
                one = Assumed(was, price, dict(held))
                same = name == start and ratio == 1
                self.assumed[name] = one if same else one.adjusted(name, ratio, terms.multiplier * size, price / size)
            for account, quantity in held:
                self.holdings.trade(account, terms, -quantity, price, was.expiry)
            self._moved((was.expiry, ORDER.index("settlement")))
