"""Watching a book between two nights: what its policy would do at fresh quotes, where it next acts; nothing kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from optihedge.accounts.late import heard_of
from optihedge.accounts.state import State
from optihedge.accounts.valuation import opening
from optihedge.content import canonical_text
from optihedge.desk.deskfile import Desk
from optihedge.desk.ledger.database import get_text, open_ledger
from optihedge.desk.ledger.facts import due_fills, due_reports
from optihedge.desk.ledger.runs import LEFT, standing
from optihedge.desk.whose import events_of_book
from optihedge.display.numbers import number
from optihedge.errors import DataError
from optihedge.frames import nearest, some
from optihedge.market.events import Event
from optihedge.market.importers.imported import Imported
from optihedge.market.snapshot import Market
from optihedge.market.store.store import open_store
from optihedge.market.updated import updated
from optihedge.step.ladder import ladder, monitor
from optihedge.step.orderlist import Hedger
from optihedge.step.policies.base import Policy
from optihedge.step.policies.policyfile import policy_of


@dataclass(frozen=True, eq=False)
class Seen:
    """One look: the instant, what the policy says (`status` and `why` of the step), and the list it would make.

    change    of the book's equity since the market it stands in, base currency
    trades    contracts by instrument; empty where it waits;  cost   expected, base currency
    nearest   by axis (spot, vol, days) the shocks below and above from here at which it acts; empty where not asked
    """

    as_of: pd.Timestamp
    status: str
    why: str
    change: float
    trades: Mapping[str, float]
    cost: float
    nearest: Mapping[str, tuple[float | None, float | None]]

    @property
    def acts(self) -> bool:
        """Whether a list would leave, or be held, now."""
        return self.status in ("first", "solved", "held")

    def __str__(self) -> str:
        text = f"{self.as_of:%Y-%m-%d %H:%M:%S} UTC {'ACT' if self.acts else 'wait'}: {self.why}"
        if self.trades:
            lines = ", ".join(f"{quantity:+g} {name}" for name, quantity in self.trades.items())
            text += f"; {self.status}: {lines} at a cost of {number(self.cost)}"
        known = [(axis, shock) for axis, pair in self.nearest.items() for shock in pair if shock is not None]
        ends = [f"{axis} {_end(axis, shock)}" for axis, shock in known]
        return text + (f"; next at {', '.join(ends)}" if ends else "")


def _end(axis: str, shock: float) -> str:
    return f"+{shock:g}" if axis == "days" else f"{100 * shock:+g} {'%' if axis == 'spot' else 'points'}"


def hedged_state(book: str, market: Market, quantities: pd.Series) -> State:
    """The book as it stands after its list of that market: the policy counts from there."""
    return replace(opening(book, market, quantities), traded=market.as_of, decided=market.as_of)


@dataclass(frozen=True, eq=False)
class Stand:
    """Where a book stands and under what: its state, the market that it is as of, its model and its policy.

    since   what happened to it after that market until an instant: fills and final words on orders that the ledger was
            told, events that the store has
    """

    state: State
    market: Market
    model: Hedger
    policy: Policy
    since: Callable[[pd.Timestamp], Mapping[str, Any]] = lambda until: {}


def ledger_stand(desk: Desk, name: str) -> Stand:
    """Where a desk's ledger has a book after its last night. Raises DataError where it has had none."""
    if name not in desk.books:
        raise DataError(f"{desk.path.name} has no book {name!r}{nearest(name, desk.books)}; give it with --book")
    ledger, book = open_ledger(desk.ledger), desk.books[name]
    with ledger.read() as connection:
        nights = [run for run in standing(connection, name) if run["after"] is not None]
        if not nights:
            raise DataError(f"{name} has had no night yet; run --desk makes one")
        last = nights[-1]
        left = last["list"] is None or last["list"] in LEFT
        state = State.from_text(get_text(connection, last["after"] if left else last["unsent"]))
    store = open_store(desk.store)
    market = store.open(last["snapshot"])

    def since(until: pd.Timestamp) -> Mapping[str, Any]:
        instant = json.loads(canonical_text(until))
        with ledger.read() as connection:
            fills, reports = due_fills(connection, name, instant), due_reports(connection, state, instant)
            told = heard_of(store.events(None, until), state.as_of, until, fills)
            events = events_of_book(connection, told, state, fills, desk.books)
        return {"fills": fills, "reports": reports, "events": events}

    return Stand(state, market, desk.models[book.model].model, policy_of(dict(book.policy), desk.path.name), since)


def look(
    state: State, market: Market, found: Imported, model: Hedger, policy: Policy, *, rungs: bool = False,
    since: Callable[[pd.Timestamp], Mapping[str, Any]] = lambda until: {},
) -> Seen | None:  # fmt: skip
    """What the policy would do at the quotes found; None where they quote nothing of the market after its instant.

    state   as of `market`; it is left as it is;  rungs   also say where the policy next acts, which takes a step a rung
    since   what happened to the book after `market` until an instant, as `step` takes it
    """
    fresh = updated(market, found)
    if fresh is market:
        return None
    happened = since(fresh.as_of)
    _refuse_adjusted(state, market, happened.get("events", ()))
    done = monitor(state, market, fresh, model, policy, compare=False, **happened)
    listed = done.trades
    table = None if listed is None or listed.table.empty else listed.table
    trades = {} if table is None else dict(zip(table["instrument"], table["quantity"], strict=True))
    next_ = {}
    if rungs and done.status == "idle":
        next_ = ladder(done.state, fresh, model, policy).attrs["nearest"]
    cost = 0.0 if table is None else float(table["cost"].sum())
    return Seen(fresh.as_of, done.status, done.why, done.change, trades, cost, next_)


def _refuse_adjusted(state: State, market: Market, events: Iterable[Event]) -> None:
    """Raise a DataError where what is held stands on a share that split since, on terms that no market has yet."""
    table, held = market.instruments, state.quantities().index
    for event in events:
        if event.kind != "split" or event.time <= state.as_of or event.instrument not in table.index:
            continue
        on = table.index[(table["underlying"] == table["underlying"].at[event.instrument]).to_numpy()]
        others = on[table["expiry"].loc[on].notna().to_numpy()]
        if len(others) and on.isin(held).any():
            raise DataError(
                f"{state.book}: {event.instrument} split on {event.time:%Y-%m-%d}, and {some(list(others), 3)} on it "
                f"are known on the terms of {market.as_of:%Y-%m-%d} alone; record a market after it and run its night"
            )
