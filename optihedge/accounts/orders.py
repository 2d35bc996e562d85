"""Open orders while a period is worked through: what fills leave of them, what becomes of their contracts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from optihedge.accounts.quoted import quoted
from optihedge.accounts.settle import Terms
from optihedge.accounts.state import DUST, Fill, Order, Report
from optihedge.errors import DataError
from optihedge.market.events import Event
from optihedge.market.fate import Fate, with_option_splits
from optihedge.market.snapshot import Market


class OpenOrders:
    """The open orders of a book by id."""

    def __init__(self, orders: Iterable[Order]) -> None:
        self._by_id = {order.order_id: order for order in orders}
        self._left = {name: order.left for name, order in self._by_id.items()}

    def filled(self, fill: Fill) -> None:
        """Take a fill off its order. Raises DataError for one that is not of it, by side, contract or time."""
        order = self._by_id.get(fill.order_id)
        if order is None:
            return
        check_fill(fill, order)
        self._left[order.order_id] -= fill.quantity

    def became(self, old: Terms, new: Terms, units: float, made_before: pd.Timestamp | None = None) -> None:
        """Orders for one contract, all or those made before an instant, are for `units` of another from now on."""
        for name, order in self._by_id.items():
            if order.instrument == old.name and (made_before is None or order.made < made_before):
                self._by_id[name] = now = became(replace(order, left=self._left[name]), old, new, units)
                self._left[name] = now.left

    def left(self, reports: Iterable[Report]) -> tuple[Order, ...]:
        """Those still open after final words. Raises DataError for fills beyond their order."""
        done, found = {report.order_id for report in reports}, []
        for name, order in self._by_id.items():
            left = self._left[name]
            if left * order.quantity < -DUST * order.quantity**2:
                raise DataError(
                    f"order {name}: {order.quantity - left:g} {order.instrument} were filled of {order.quantity:g}; "
                    "check the fills, and take back by a bust event what is too much"
                )
            if abs(left) > DUST * abs(order.quantity) and name not in done:
                found.append(order if left == order.left else replace(order, left=left))
        return tuple(found)


def orders_at(orders: Iterable[Order], before: Market, market: Market, events: Iterable[Event]) -> tuple[Order, ...]:
    """Orders made at the market before, as they are at the later one: for what their contracts became by the events
    told between.

    One whose contract has ended is for no instrument ('').
    """
    orders = tuple(orders)
    if not orders:
        return orders
    heard = [one for one in events if before.as_of < max(one.time, one.known_at) <= market.as_of]
    heard = [one for one in heard if one.time > before.as_of or one.kind != "split"]  # told late: made for new units
    fate = Fate.of(before, market, with_option_splits(before, market, heard))
    then, now, found = quoted(before), quoted(market), []
    for order in orders:
        at = then.listed.place.get(order.instrument, -1)
        if at >= 0 and fate.ended[at]:
            order = replace(order, instrument="")
        elif at >= 0 and fate.touched[at] and fate.place[at] >= 0:
            old, new = then.terms(order.instrument), now.terms(str(fate.became[at]))
            order = became(order, old, new, float(fate.units[at]))
        found.append(order)
    return tuple(found)


def became(order: Order, old: Terms, new: Terms, units: float) -> Order:
    """An order for one contract as one for `units` of another."""
    return replace(
        order, instrument=new.name, quantity=order.quantity * units, left=order.left * units,
        limit=order.limit * old.multiplier / (units * new.multiplier),
    )  # fmt: skip


def check_fill(fill: Fill, order: Order) -> None:
    """Raise a DataError for a fill that cannot be of its order: another contract, the other side, or before it."""
    what, of = f"fill {fill.fill_id}", f"order {order.order_id}, which is"
    if fill.instrument != order.instrument or fill.quantity * order.quantity < 0:
        raise DataError(
            f"{what}: {fill.quantity:g} {fill.instrument} of {of} for {order.quantity:g} {order.instrument}; mend its "
            "side, instrument or order_id, or take it back by a bust event"
        )
    if fill.time < order.made:
        raise DataError(
            f"{what}: {fill.time} is before {of} of {order.made}; mend its time (is it in UTC?), or take it back by a "
            "bust event"
        )
