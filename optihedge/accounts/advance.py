"""advance: what happened to a book between two markets, in order of time, and where the money came from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from optihedge.accounts.assumed import remembered
from optihedge.accounts.busts import undone
from optihedge.accounts.carried import CarriedRows, note_of, rows_of, with_rows
from optihedge.accounts.explain import Explained, explained_period
from optihedge.accounts.flows import Flow
from optihedge.accounts.holdings import Closed
from optihedge.accounts.late import AT_FILL, Heard, known_late, label_now
from optihedge.accounts.past import REMEMBERED
from optihedge.accounts.quoted import quoted
from optihedge.accounts.state import Fill, Report, State, by_time
from optihedge.accounts.timeline import Timeline
from optihedge.accounts.valuation import worth_of
from optihedge.accounts.verify import verify
from optihedge.errors import DataError
from optihedge.market.events import Event
from optihedge.market.fate import Fate, in_order, with_option_splits
from optihedge.market.snapshot import Market

CLOSES = 1e-9  # of the money that moved
_NONE = np.zeros(0, dtype=int)


@dataclass(frozen=True, eq=False)
class Advance:
    """A state brought to a market, and what it gained on the way; money in base currency.

    state        as of the market, orders and reports applied; its hash of before and memory are the step's to set
    parts        by account and instrument over PARTS; cash rows carry their currency;  explained  their table
    equity       of the state now;  change  since the start, transfers included
    left         lots that were closed;  closed  their table: account, instrument, quantity, entry, leave, opened,
                 closed, order_id, money, gain (in money)
    notes        assumptions that were made
    market       the market, with held contracts that it does not list carried at their last marks

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> def day(date, price):
    ...     quotes = pd.DataFrame({"instrument": ["S", "F"], "bid": [price - 0.01] * 2, "ask": [price + 0.01] * 2})
    ...     table = pd.DataFrame({"instrument": ["S", "F"], "type": ["equity", "perpetual"], "underlying": "S"})
    ...     return oh.Market(table, quotes, "USD", as_of=date)
    >>> market = day("2026-01-19T21:00Z", 100.0)
    >>> state = oh.policy.opening("book", market, {"S": 100.0})
    >>> oh.policy.advance(state, market, day("2026-01-20T21:00Z", 101.0)).change
    100.0
    """

    state: State
    parts: Explained
    equity: float
    change: float
    left: tuple[Closed, ...]
    notes: tuple[str, ...]
    market: Market

    @property
    def explained(self) -> pd.DataFrame:
        """(account, instrument) x PARTS and total."""
        return self.parts.frame

    @cached_property
    def closed(self) -> pd.DataFrame:
        """Lots that were closed, one row each."""
        return pd.DataFrame([vars(one) for one in self.left])


def advance(
    state: State,
    before: Market,
    market: Market,
    fills: Iterable[Fill] = (),
    reports: Iterable[Report] = (),
    events: Iterable[Event] = (),
    *,
    client: pd.Series | None = None,
    compare: bool = True,
) -> Advance:
    """Bring a state from the market `before`, at which it stands, to `market`.

    fills     applied once by fill_id; one from before the state is booked as `late`
    reports   the final words on orders
    events    those that took effect, or became known, in (state.as_of, market.as_of]; earlier ones for late fills
    client    what the client now holds (contracts by instrument): the difference is a transfer, no P&L; None: no change
    compare   whether terms and pasts must agree; False for a market that is supposed, such as a moved one

    Changes of equity are the sum of their parts to 1e-9, or a DataError of this book. Raises DataError too for markets
    out of order, fills of unknown contracts or beyond their order, and held contracts without a price.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> def day(date, price):
    ...     quotes = pd.DataFrame({"instrument": ["S"], "bid": [price - 0.01], "ask": [price + 0.01]})
    ...     return oh.Market(pd.DataFrame({"instrument": ["S"]}), quotes, "USD", as_of=date)
    >>> market, later = day("2026-01-19T21:00Z", 100.0), day("2026-01-20T21:00Z", 101.0)
    >>> state = oh.policy.opening("book", market, {"S": 100.0})
    >>> sold = oh.policy.Fill("1", "", "S", -40.0, 100.5, pd.Timestamp("2026-01-20T15:00Z"), money="USD")
    >>> round(oh.policy.advance(state, market, later, [sold]).change, 2)  # 60 x 1.00 + 40 x 0.50
    80.0
    """
    _check_order(state, before, market)
    snapshot, before, events = market, with_rows(before, state.carried), list(events)
    due = _with_options(state, before, market, _due(state, market, events))
    market, fate, carried = _with_carried(state, before, market, due)
    taken = {event.other: abs(event.value) for event in due if event.kind == "bust"}
    new, heard = _new_fills(state, market, fills, taken), Heard(events, state.as_of, state.turned)
    due, standing, busts, back = undone(due, new, state.applied)
    if compare:
        traded = [label_now(fill.instrument, (fill.time, AT_FILL), heard.events) for fill in standing]
        verify(state.book, _listed(state, before, traded), before, market, fate)
    line = Timeline(state, before, market, fate, heard)
    line.follow(due, standing, back)
    closed, lots = tuple(line.holdings.closed), line.holdings.lots
    carried = {name: row for name, row in carried.items() if any(name in held for held in lots.values())}
    _transfer(line, client)
    after = line.holdings.frozen()
    parts, notes = explained_period(line, after["positions"])
    if carried:
        notes.append(note_of(carried))
    since = market.as_of - REMEMBERED
    moved = state.becoming(
        as_of=market.as_of, snapshot=snapshot, orders=line.orders.left(reports), carried=carried,
        **_remembered(state, new, busts, since), assumed=remembered(line.assumed, since),
        turned=(*(row for row in state.turned if pd.Timestamp(row["time"]) > since), *(one.row for one in line.turned)),
        **after,
    )  # fmt: skip
    return _ended(state, before, moved, market, parts, closed, tuple(notes))


def _with_options(state: State, before: Market, market: Market, due: list[Event]) -> list[Event]:
    """The events, and those of options on what splits, see `with_option_splits`: a split that is known late has turned
    none that `before` lists, which is in new units, but those that are carried from before."""
    every = with_option_splits(before, market, due)
    if not any(known_late(event, state) for event in due):
        return every
    soon = with_option_splits(before, market, [event for event in due if not known_late(event, state)])
    found = [one for one in every if known_late(one, state) or one.instrument in state.carried]
    return sorted([*found, *(one for one in soon if one.instrument not in state.carried)], key=in_order)


def _with_carried(state: State, before: Market, market: Market, due: list[Event]) -> tuple[Market, Fate, CarriedRows]:
    """The market with held contracts that it does not list, the fates in it, and the rows of these."""
    due = [event for event in due if not known_late(event, state)]
    fate = Fate.of(before, market, due)
    carried = rows_of(before, _gone(state, before, fate, due), fate, state.carried)
    if not carried:
        return market, fate, {}
    market = with_rows(market, carried)
    return market, Fate.of(before, market, due), carried


def _ended(
    state: State, before: Market, moved: State, market: Market, parts: Explained, closed: tuple[Closed, ...],
    notes: tuple[str, ...],
) -> Advance:  # fmt: skip
    """What the period ends in, once its parts are found to sum to the change."""
    worth, was = worth_of(moved, market).base, worth_of(state, before).base
    change = float(worth.sum() - was.sum())
    _close(state, change, parts.values, float(np.abs(worth).sum() + np.abs(was).sum()))
    return Advance(moved, parts, float(worth.sum()), change, closed, notes, market)


def _listed(state: State, before: Market, traded: Iterable[str] = ()) -> np.ndarray:
    """Places in the market before of what is held, or traded, and listed there, in its order."""
    held, place = np.zeros(len(before.names), dtype=bool), quoted(before).listed.place
    held[[place[name] for name in traded if name in place]] = True
    for lots in state.positions.values():
        at = lots.places(place)
        held[at[at >= 0]] = True
    return np.flatnonzero(held)


def _gone(state: State, before: Market, fate: Fate, due: Iterable[Event]) -> np.ndarray:
    """Places of held contracts that neither are in the market under any label nor have ended, nor are delivered."""
    if not ((fate.place < 0) & ~fate.ended).any():
        return _NONE
    at = _listed(state, before)
    delivered = {event.instrument for event in due if event.kind in ("exercise", "assignment")}
    return at[(fate.place[at] < 0) & ~fate.ended[at] & ~before.names[at].isin(list(delivered))]


def _check_order(state: State, before: Market, market: Market) -> None:
    if state.as_of != before.as_of:
        raise DataError(f"{state.book}: the state is as of {state.as_of}, its market of {before.as_of}; give its own")
    if market.as_of <= before.as_of:
        raise DataError(f"{state.book}: the market {market.as_of} is not after {before.as_of}; give a later one")
    if market.base_currency != before.base_currency:
        raise DataError(
            f"{state.book}: the base currency was {before.base_currency} and is {market.base_currency}; keep one"
        )


def _due(state: State, market: Market, events: Iterable[Event]) -> list[Event]:
    """Events that took effect or became known in the period, each id once. Raises DataError for two of one id."""
    by_id: dict[str, Event] = {}
    for event in events:
        if by_id.setdefault(event.event_id, event) != event:
            raise DataError(
                f"{state.book}: event {event.event_id} is given twice and differs; give a restatement an id"
            )
    return [one for one in by_id.values() if state.as_of < max(one.time, one.known_at) <= market.as_of]


def _new_fills(state: State, market: Market, fills: Iterable[Fill], taken: Mapping[str, float]) -> list[Fill]:
    """Fills that were not applied before, in order. taken: by id what is taken back; whole, it may be of any age."""
    fills = list(fills)
    again = state.known.intersection([fill.fill_id for fill in fills])
    known = {fill.fill_id: fill for fill in state.applied if fill.fill_id in again} if again else {}
    new: dict[str, Fill] = {}
    forgotten = state.as_of - REMEMBERED
    for fill in fills:
        seen = known.get(fill.fill_id) or new.get(fill.fill_id)
        if seen is not None:
            if seen != fill:
                raise DataError(
                    f"{state.book}: fill {fill.fill_id} came before with other figures ({seen.quantity:g} "
                    f"{seen.instrument} at {seen.price:g}); send a bust of it and a new fill"
                )
            continue
        if fill.time > market.as_of:
            raise DataError(f"{state.book}: fill {fill.fill_id} of {fill.time} is after the market of {market.as_of}")
        if fill.time <= forgotten and taken.get(fill.fill_id) != abs(fill.quantity):
            raise DataError(
                f"{state.book}: fill {fill.fill_id} of {fill.time} is older than {REMEMBERED.days} days; the state no "
                "longer knows whether it was applied: book it by hand under a new id and today's time, and take it out "
                f"by a bust event (other: {fill.fill_id}, value: {abs(fill.quantity):g})"
            )
        new[fill.fill_id] = fill
    return sorted(new.values(), key=by_time)


def _remembered(state: State, new: list[Fill], busts: list[Fill], forgotten: pd.Timestamp) -> dict[str, Any]:
    """Fills applied, and taken back, since an instant, in order of time, and their ids; the new ones are in order."""
    new = sorted([*new, *busts], key=by_time) if busts else new
    old = bisect_right(state.applied, forgotten, key=lambda fill: fill.time)
    every = state.applied[old:]
    late = bool(every and new) and by_time(new[0]) < by_time(every[-1])
    known = state.known.difference([fill.fill_id for fill in state.applied[:old]])
    return {
        "applied": tuple(sorted((*every, *new), key=by_time)) if late else (*every, *new),
        "known": known.union([fill.fill_id for fill in new]),
    }


def _transfer(line: Timeline, client: pd.Series | None) -> None:
    """Bring the account `book` to what the client now holds: what came (above 0) or went is a transfer."""
    if client is None:
        return
    facts, holdings, as_of = line.now, line.holdings, line.market.as_of
    held, cash = holdings.account("book").held, {**holdings.cash["book"]}
    wanted = dict(zip(map(str, client.index), client.tolist(), strict=True))
    names = {**held, **wanted}
    unknown = [name for name in names if name not in facts]
    if unknown:
        raise DataError(f"{line.state.book}: {unknown[0]} of the client's book is not in the market of {as_of}")
    for name in names:
        quantity = wanted.get(name, 0.0) - held.get(name, 0.0)
        if quantity == 0 and wanted.get(name) != 0:
            continue
        one, price = facts.terms(name), facts.price(name)
        if quantity == 0 and not one.cash:  # a balance of none is one
            continue
        if one.cash:
            balance = cash.get(one.money, 0.0)
            quantity, price = wanted[name] - balance if name in wanted else 0.0, 1.0
            holdings.cash["book"][one.money] += quantity
        else:
            holdings.trade("book", one, quantity, price, as_of, "transfer")
            holdings.cash["book"][one.money] += one.worth(quantity, price)
        value = quantity * price * one.multiplier if one.cash else one.worth(quantity, price)
        if value:
            line.flows.append(Flow("book", name, "transfer", one.money, value))


def _close(state: State, change: float, values: np.ndarray, size: float) -> None:
    parts = values.sum()
    moved = size + np.abs(values).sum()
    if not abs(change - parts) <= CLOSES * (1.0 + moved):
        raise DataError(
            f"{state.book}: equity changed by {change:,.9g} and its parts sum to {parts:,.9g}; a contract's terms or "
            "currency changed without an event"
        )
