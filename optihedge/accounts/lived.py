"""What is told of an instant that is over: contracts that came or went then live through all that happened since."""

from __future__ import annotations

from dataclasses import replace

from optihedge.accounts.booking import Booking
from optihedge.accounts.late import AT_FILL, Ended, Turn, key_of, label_now, life
from optihedge.accounts.past import Key
from optihedge.accounts.settle import Terms
from optihedge.accounts.state import ACCOUNTS, DUST, Fill
from optihedge.errors import DataError
from optihedge.market.events import Event
from optihedge.market.fate import turns


class Lived(Booking):
    """A book whose fills, deliveries, splits and spin-offs of before its state are booked as what they came to."""

    def _lived(self, account: str, fill: Fill, part: str, rank: int = AT_FILL, *, given: bool = False) -> Fill:
        """Book a fill, a late one as what it has become since; it, in the units and under the label of now.

        rank   of what it is at its instant;  given  what nothing is paid for comes to the lots of before its instant
        """
        lived = life(fill, self.heard if fill.time <= self.state.as_of else None, self._share, rank)
        for one in lived.pieces:
            if self._has_ended(one):
                self._into_its_end(account, one, part)
                continue
            terms = self.labels.terms(one.instrument)
            if terms.cash:
                raise DataError(f"{terms.name} is cash; trade the pair (type spot)")
            if given:
                self.holdings.give(account, terms, one.quantity, fill.time)
                self._carry(account, terms, one.quantity, 0.0, part)
            else:
                self._trade(account, terms, one.quantity, one.price, one.time, one.order_id, part)
        first = lived.pieces[0]
        terms = self.assumed[first.instrument].terms if self._has_ended(first) else self.labels.terms(first.instrument)
        if lived.money not in ("", terms.money):  # bought abroad, before it merged
            paid = terms.worth(first.quantity, first.price)
            self._flow(account, terms.name, part, terms.money, paid)
            self._flow(account, terms.name, part, lived.money, -paid / lived.rate)
        if fill.fee:
            self._flow(account, first.instrument, part, fill.money, -fill.fee)
        self.holdings.along(account, lived.path)
        if part != "fill":  # of now, what those of one instant paid moves together
            self._moved((fill.time, rank))
        for event, quantity, place in lived.paid:
            terms = self.labels.terms(lived.pieces[place].instrument)
            sign = -1.0 if event.kind == "funding" else 1.0
            self._flow(account, terms.name, "late", event.money, sign * quantity * terms.multiplier * event.value)
            self._moved(key_of(event))
        return first

    def _share(self, event: Event) -> float:
        """Of a share's cost what goes with that which it spun off before the state, as prices stand there."""
        if any(turn.money != turn.became for turn in self.heard.turns.values()):
            return 0.0  # in which money its cost is told then is open: all of it stays
        parent, child = (label_now(name, key_of(event), self.past) for name in (event.instrument, event.other))
        if parent not in self.then or child not in self.then or self.then.money(parent) != self.then.money(child):
            return 0.0
        held, received = self.then.price(parent), event.value * self.then.price(child)
        return received / (held + received) if held + received else 0.0

    # ---- into an end that was assumed --------------------------------------------------------------------------------

    def _has_ended(self, fill: Fill) -> bool:
        """Whether a fill is of a contract that has ended at a price which was assumed."""
        one = self.assumed.get(fill.instrument)
        return one is not None and fill.time <= one.terms.expiry <= self.state.as_of

    def _into_its_end(self, account: str, fill: Fill, part: str) -> None:
        """Contracts that are told of after their end: they ended with the others, and are settled with them."""
        one, name = self.assumed[fill.instrument], fill.instrument
        self._flow(account, name, part, one.terms.money, one.terms.gain(fill.quantity, fill.price, one.paid))
        held = {**one.held, account: one.held.get(account, 0.0) + fill.quantity}
        self.assumed[name] = replace(one, held={a: q for a, q in held.items() if abs(q) > DUST})
        self.notes.append(
            f"fill {fill.fill_id}: {name} has ended since; it ended at {one.paid:g}, which was assumed of {name}"
        )

    # ---- what became of what was held then ---------------------------------------------------------------------------

    def _late_split(self, event: Event) -> None:
        """What was held just before it has as many more units, whatever was traded since in new ones."""
        for account, held in self._held_then(event):
            self._given(account, event, event.instrument, held * (event.value - 1))
        name = label_now(event.instrument, key_of(event), self.past)
        if name in self.then:
            terms = self.labels.terms(name)
            self.turned.append(Turn(event, terms.money, terms.money, 1.0, 1 / event.value))
            self.orders.became(terms, terms, event.value, made_before=event.time)

    def _late_spin_off(self, event: Event) -> None:
        """What was held just before it has brought its children, which take their part of the lots' cost along."""
        parent, part = label_now(event.instrument, key_of(event), self.past), self._share(event)
        child = label_now(event.other, key_of(event), self.past)
        for account, held in self._held_then(event):
            if self._given(account, event, event.other, held * event.value) and parent in self.then:
                self.holdings.share_cost(account, self.labels.terms(parent), self.labels.terms(child), part, event.time)

    def _held_then(self, event: Event) -> list[tuple[str, float]]:
        """Accounts that held an event's contract just before it, and how much."""
        held = [(a, self.holdings.held_before(a, event.instrument, key_of(event))) for a in ACCOUNTS]
        return [(account, quantity) for account, quantity in held if quantity]

    def _given(self, account: str, event: Event, name: str, quantity: float) -> bool:
        """Contracts that came for nothing at an event's instant; whether they are still there to be booked."""
        one = Fill(event.event_id, "", name, quantity, 0.0, event.time)
        try:
            self._lived(account, one, "late", key_of(event)[1], given=True)
        except Ended as error:
            self.notes.append(f"{event.kind} {event.event_id} is not applied: {error}")
            return False
        return True

    # ---- delivered ---------------------------------------------------------------------------------------------------

    def _delivered(self, account: str, event: Event, terms: Terms, size: float, price: float, *, now: bool) -> None:
        """Units of a contract's underlying that were bought at a price when an event was, of which is told late.

        now   whether units and price are those of now, not of then
        """
        key = key_of(event)
        then = self._label_then(terms, key)
        one = Fill(event.event_id, event.instrument, then, 1.0, 0.0, event.time)
        units = life(one, self.heard, self._share, key[1]).pieces[0].quantity if now else 1.0
        stock = self.labels.terms(label_now(then, key, self.past))
        bought = replace(one, quantity=size / stock.multiplier / units, price=price * units)
        self._lived(account, bought, "late", key[1])

    def _label_then(self, terms: Terms, key: Key) -> str:
        """What a contract delivers, by its label at a place in the order of what happened."""
        since = [event for event in self.past if turns(event) and key_of(event) > key]
        if any(event.instrument == terms.underlying for event in since):
            return terms.underlying
        name = self.labels.deliverable(terms)
        for event in reversed(since):
            name = event.instrument if event.kind == "rename" and event.other == name else name
        return name
