"""step: one night of one book: what happened, whether to act, and the list; night, backtest and monitor call it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optihedge.accounts.advance import Advance, advance
from optihedge.accounts.explain import PARTS, Explained
from optihedge.accounts.state import Fill, Order, Report, State
from optihedge.accounts.valuation import equity
from optihedge.errors import InfeasibleError, SolverError, SpecError
from optihedge.frames import some
from optihedge.market.events import Event
from optihedge.market.snapshot import Market
from optihedge.step.orderlist import HasTrades, Hedger, RuleList, order_list
from optihedge.step.policies.base import Decision, Policy, View
from optihedge.step.policies.triggers import Always
from optihedge.trades.checks import Checks
from optihedge.trades.tradelist import TradeList

STATUSES = ("first", "idle", "solved", "empty", "held", "blocked", "failed")
OPEN_ORDERS = ("block", "cancel")
_ORDERED = ("order_id", "instrument", "quantity", "limit_price")


@dataclass(frozen=True, eq=False)
class Step:
    """One step of one book; money in base currency.

    state      to carry on from;  trades  the list, None where none was made
    status     first (a list at the first market), idle (the policy waits), solved (a list), empty (nothing to trade),
               held (a list that must not be sent), blocked (open orders), failed (no hedge: the accounting stands)
    why        in words;  decision  of the policy
    moved      how the accounts were brought here: explained, equity, change, closed
    answer     what the model said, None where it was not asked
    """

    state: State
    trades: TradeList | RuleList | None
    why: str
    status: str
    moved: Advance
    notes: tuple[str, ...]
    decision: Decision | None = None
    answer: HasTrades | None = None

    @property
    def explained(self) -> pd.DataFrame:
        """(account, instrument) x PARTS and total of what happened since the last step."""
        return self.moved.explained

    @property
    def equity(self) -> float:
        """Of the book now, base currency."""
        return self.moved.equity

    @property
    def change(self) -> float:
        """Of equity since the last step, base currency."""
        return self.moved.change

    @property
    def closed(self) -> pd.DataFrame:
        """Lots that were closed since the last step."""
        return self.moved.closed

    @property
    def parts(self) -> pd.DataFrame:
        """account x PARTS and total."""
        return self.explained.groupby(level="account").sum()


def step(
    state: State,
    before: Market | None,
    market: Market,
    model: Hedger,
    policy: Policy | None = None,
    *,
    fills: Iterable[Fill] = (),
    reports: Iterable[Report] = (),
    events: Iterable[Event] = (),
    client: pd.Series | None = None,
    checks: Checks | None = None,
    on_open_orders: str = "block",
    ask: bool = True,
    compare: bool = True,
    deadline: float | None = None,
    lots: bool = True,
    warm: HasTrades | None = None,
) -> Step:
    """Advance a book's state to `market`, ask the policy, and make a list where it says so.

    state, before   where the book stands, and the market it stands in; before is None for an opening state
    client          what the client holds now; None: as before, with what happened to it. Of an opening state it is what
                    the model sees: money still lies at its venues
    checks          None: the model's own
    on_open_orders  without a final word on an order: "block" makes no list, "cancel" counts it as cancelled
    ask             False: bring the accounts up to the market and stop
    compare         False: the market is supposed, see `advance`
    deadline        seconds for the model's answer and its list, of a HedgeModel
    lots            False: what the model answers is traded as it is, without lots, checks or a list
    warm            an earlier answer from which a HedgeModel's starts; None: cold

    A failure of the model is a step of status failed, whose accounting stands. Raises DataError where what happened
    does not add up (see `advance`), SpecError for a policy that cannot work with this model.
    """
    policy = Always() if policy is None else policy
    if on_open_orders not in OPEN_ORDERS:
        raise SpecError(f"on_open_orders is {on_open_orders!r}; write block or cancel")
    if before is None:
        moved = _opened(state, market)
    else:
        moved = advance(state, before, market, fills, reports, events, client=client, compare=compare)
    now = moved.state.becoming(seq=state.seq + 1, before=state)
    notes = [*moved.notes]
    if now.orders and on_open_orders == "cancel":
        notes.append(f"cancelled: {some([o.order_id for o in now.orders], 3)}")
        now = now.becoming(orders=())
    done = _Outcome(moved, now, notes)
    if not ask:
        return done.of("idle", "not asked")
    if now.orders:
        return done.of("blocked", f"no final word on {some([order.order_id for order in now.orders], 3)}")
    ends = None if deadline is None else time.monotonic() + deadline
    view = View(now, before, moved.market, model, moved, book=client if before is None else None, ends=ends, warm=warm)
    decision = policy.decide(view, dict(now.memory))
    memory: dict[str, Any] = {**now.memory, **decision.memory}
    done.state = now = now.becoming(memory=memory, decided=moved.market.as_of)
    if not decision.act:
        return done.of("idle", decision.why, decision)
    return _listed(done, view, decision, memory, checks, lots)


def _listed(
    done: _Outcome, view: View, decision: Decision, memory: dict[str, Any], checks: Checks | None, lots: bool
) -> Step:
    """The step of a policy that acts: its list, or why there is none."""
    now, market = done.state, view.market
    try:
        answer = view.hedge
        trades = order_list(answer, market, now.book, checks, view.left, lots=lots)
    except (InfeasibleError, SolverError) as error:
        return done.of("failed", f"{error.code}: {error}", decision)
    if trades.held:
        return done.of("held", "; ".join(trades.reasons), decision, answer, trades)
    sent = {**memory, **decision.on_sent}
    if not len(trades):
        done.state = now.becoming(memory=sent)
        return done.of("empty", decision.why, decision, answer, trades)
    done.state = now.becoming(memory=sent, orders=_orders(trades, market, lots), traded=market.as_of)
    return done.of("first" if view.before is None else "solved", decision.why, decision, answer, trades)


def _opened(state: State, market: Market) -> Advance:
    """An opening state where it stands. Raises SpecError where that is not its market's instant."""
    if state.as_of != market.as_of:
        raise SpecError(f"{state.book}: an opening state is as of its market; give the market before")
    return Advance(state, Explained.of((), np.zeros((0, len(PARTS))), {}), equity(state, market), 0.0, (), (), market)


class _Outcome:
    """What a step hands back, whatever it comes to."""

    def __init__(self, moved: Advance, state: State, notes: list[str]) -> None:
        self.moved, self.state, self.notes = moved, state, notes

    def of(
        self, status: str, why: str, decision: Decision | None = None, answer: HasTrades | None = None,
        trades: TradeList | RuleList | None = None,
    ) -> Step:  # fmt: skip
        notes = (*self.notes, *(() if trades is None else trades.notes))
        return Step(self.state, trades, why, status, self.moved, notes, decision, answer)


def _orders(trades: TradeList | RuleList, market: Market, lots: bool) -> tuple[Order, ...]:
    list_id = trades.sha256 if lots else ""  # of a list alone
    columns = (trades.columns[name] for name in _ORDERED)
    return tuple(
        Order(order_id, name, quantity, quantity, limit, market.as_of, list_id)
        for order_id, name, quantity, limit in zip(*columns, strict=True)
    )
