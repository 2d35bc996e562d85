"""Brokers: what becomes of orders between two markets. A night imports fills, a backtest asks one of these."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import numpy as np
import pandas as pd

from optihedge.accounts.quoted import Quoted, quoted
from optihedge.accounts.state import Fill, Order, Report
from optihedge.errors import SpecError
from optihedge.market.snapshot import Market

Outcome = tuple[list[Fill], list[Report]]
LATENCY = pd.Timedelta(seconds=1)


class Broker(Protocol):
    """Turns the orders of the market `made` into fills and final words by the time of `later`.

    One that has a true `waits` gets the orders as they are at `later`: what their contracts have become by then.
    """

    def execute(self, orders: Sequence[Order], made: Market, later: Market) -> Outcome: ...


@dataclass(frozen=True)
class AtQuote:
    """Every order is filled whole at the far side of the quote it was made on; without that side it is rejected.

    >>> import optihedge as oh
    >>> oh.policy.AtQuote()
    AtQuote()
    """

    def execute(self, orders: Sequence[Order], made: Market, later: Market) -> Outcome:
        """Fills a second after the market the orders were made in."""
        fills, reports = [], []
        time, facts = made.as_of + LATENCY, quoted(made)
        for order in orders:
            price = _far(facts, order)
            if np.isnan(price):
                reports.append(Report(order.order_id, time, "rejected", "no quote on that side"))
                continue
            fills.append(_fill(order, order.left, price, time, facts, 1, "simulated at quote"))
            reports.append(Report(order.order_id, time, "filled"))
        return fills, reports


@dataclass(frozen=True)
class WalkDepth:
    """An order takes the order book level by level, within its limit where `limits`; what is beyond it is cancelled.

    A contract without an order book is filled at its quote.

    >>> import optihedge as oh
    >>> oh.policy.WalkDepth(limits=True).limits
    True
    """

    limits: bool = False

    def execute(self, orders: Sequence[Order], made: Market, later: Market) -> Outcome:
        """Fills a second after the market the orders were made in, one per level."""
        fills: list[Fill] = []
        reports: list[Report] = []
        time, depth = made.as_of + LATENCY, made.depth
        for order in orders:
            side = "ask" if order.left > 0 else "bid"
            book = None if depth is None else depth[(depth["instrument"] == order.instrument) & (depth["side"] == side)]
            if book is None or book.empty:
                whole = AtQuote().execute([order], made, later)
                fills, reports = fills + whole[0], reports + whole[1]
                continue
            left = order.left
            for number, (price, size) in enumerate(zip(book["price"], book["size"], strict=True), start=1):
                beyond = price > order.limit if order.left > 0 else price < order.limit
                if left == 0 or (self.limits and beyond):
                    break
                taken = float(np.sign(left) * min(abs(left), size))
                fills.append(_fill(order, taken, float(price), time, quoted(made), number, "simulated on depth"))
                left = round(left - taken, 10)
            reports.append(Report(order.order_id, time, "filled" if left == 0 else "cancelled"))
        return fills, reports


@dataclass(frozen=True)
class Delayed:
    """Orders are filled whole at the far side of the next market's quotes, just before it.

    They are for what their contracts have become by then: after a split in new units at the new price.

    >>> import optihedge as oh
    >>> oh.policy.Delayed()
    Delayed()
    """

    waits: ClassVar[bool] = True

    def execute(self, orders: Sequence[Order], made: Market, later: Market) -> Outcome:
        """Fills at the time of the next market; what it no longer quotes is rejected."""
        fills, reports = [], []
        facts = quoted(later)
        for order in orders:
            price = _far(facts, order) if order.instrument in facts else np.nan
            if np.isnan(price):
                reports.append(Report(order.order_id, later.as_of, "rejected", "no quote when it arrived"))
                continue
            fills.append(_fill(order, order.left, price, later.as_of, facts, 1, "simulated late"))
            reports.append(Report(order.order_id, later.as_of, "filled"))
        return fills, reports


@dataclass(frozen=True)
class Partial:
    """A share of each order, in whole lots, is filled by another broker; the rest is cancelled.

    >>> import optihedge as oh
    >>> oh.policy.Partial(0.5).share
    0.5
    """

    share: float = 0.5
    broker: Broker = field(default_factory=AtQuote)

    def __post_init__(self) -> None:
        _share(self, self.share)

    @property
    def waits(self) -> bool:
        """As the inner broker does."""
        return waiting(self.broker)

    def execute(self, orders: Sequence[Order], made: Market, later: Market) -> Outcome:
        """The inner broker's fills, cut to the share."""
        fills, reports = self.broker.execute(orders, made, later)
        lot = (later if self.waits else made).instruments["lot"]
        cut, left = [], {o.order_id: _whole(self.share * o.left, float(lot.get(o.instrument, 1.0))) for o in orders}
        for fill in fills:
            taken = float(np.sign(fill.quantity) * min(abs(fill.quantity), abs(left[fill.order_id])))
            left[fill.order_id] = round(left[fill.order_id] - taken, 10)
            if taken:
                part = abs(taken / fill.quantity)
                cut.append(replace(fill, quantity=taken, fee=fill.fee * part))
        final = {fill.order_id for fill in cut}
        told = [
            Report(r.order_id, r.time, "cancelled", "filled in part") if r.verdict == "filled" and self.share < 1
            else r for r in reports
        ]  # fmt: skip
        return cut, [r for r in told if r.order_id in final or r.verdict != "filled"]


@dataclass(frozen=True)
class Reject:
    """A share of the orders is rejected, drawn by their ids; another broker fills the rest.

    >>> import optihedge as oh
    >>> oh.policy.Reject(0.1).share
    0.1
    """

    share: float = 0.5
    broker: Broker = field(default_factory=AtQuote)

    def __post_init__(self) -> None:
        _share(self, self.share)

    @property
    def waits(self) -> bool:
        """As the inner broker does."""
        return waiting(self.broker)

    def execute(self, orders: Sequence[Order], made: Market, later: Market) -> Outcome:
        """The same orders are rejected in every run."""
        refused = [order for order in orders if _draw(order.order_id) < self.share]
        fills, reports = self.broker.execute([order for order in orders if order not in refused], made, later)
        time = made.as_of + LATENCY
        return fills, reports + [Report(order.order_id, time, "rejected", "rejected") for order in refused]


def waiting(broker: Broker) -> bool:
    """Whether a broker's orders meet the later market."""
    return bool(getattr(broker, "waits", False))


def _share(broker: object, share: float) -> None:
    if not (isinstance(share, (int, float)) and 0 <= share <= 1):
        raise SpecError(f"{type(broker).__name__}: share is {share!r}; give a number from 0 to 1")


def _far(facts: Quoted, order: Order) -> float:
    return facts.side(order.instrument, "ask" if order.left > 0 else "bid")


def _fill(
    order: Order, quantity: float, price: float, time: pd.Timestamp, facts: Quoted, number: int, source: str
) -> Fill:
    money = facts.money(order.instrument)
    fee = abs(quantity) * facts.fee(order.instrument) / facts.rate(money)
    return Fill(
        f"{order.order_id}-{number}", order.order_id, order.instrument, quantity, price, time, fee, money, source
    )


def _whole(quantity: float, lot: float) -> float:
    return float(np.sign(quantity) * np.floor(abs(quantity) / lot + 1e-9) * lot)


def _draw(text: str) -> float:
    """A number in [0, 1) that a text decides."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) / 16**12
