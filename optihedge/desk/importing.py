"""What the venue said, into the ledger: files of fills and of final words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sqlalchemy import Connection

from optihedge.accounts.fills import read_fills, read_reports
from optihedge.accounts.orders import check_fill
from optihedge.accounts.state import DUST, Fill
from optihedge.desk.deskfile import Desk
from optihedge.desk.ledger.database import open_ledger
from optihedge.desk.ledger.facts import fills_of, import_fills, import_reports, order_of
from optihedge.errors import DataError, SpecError
from optihedge.market.store.store import open_store

_TURNS = ("split", "rename", "merger")


@dataclass(frozen=True)
class Imported:
    """How many fills were new, how many known already with the same figures, and how many final words were new."""

    fills: int
    known: int
    reports: int


def import_told(desk: Desk, fills: Path | None = None, reports: Path | None = None, *, book: str = "") -> Imported:
    """Import fills (columns as `accounts.fills.FILLS`) and final words, all of both files or nothing.

    book   of fills that belong to no order of ours. Raises DataError for an id that came before with other figures,
    for what belongs to no order, and for fills that cannot be of theirs: on the other side, in another contract, before
    it was made, or beyond it; SpecError for an unknown book.
    """
    if book and book not in desk.books:
        raise SpecError(f"there is no book {book} in {desk.path.name}; there are {', '.join(desk.books)}")
    filled = [] if fills is None else read_fills(fills)
    words = [] if reports is None else read_reports(reports)
    with open_ledger(desk.ledger).write() as connection:
        _refuse_strange(connection, desk, filled)
        new, old = import_fills(connection, filled, book)
        return Imported(new, old, import_reports(connection, words))


def _refuse_strange(connection: Connection, desk: Desk, fills: Iterable[Fill]) -> None:
    """Raise a DataError for fills that cannot be of their orders; what turned into another contract is let through."""
    by_order: dict[str, list[Fill]] = {}
    for fill in fills:
        by_order.setdefault(fill.order_id, []).append(fill)
    orders = {name: order for name in by_order if name and (order := order_of(connection, name)) is not None}
    turned = _turned(desk) if orders else {}
    for name, order in orders.items():
        if turned.get(order.instrument, order.made) > order.made:
            continue
        for fill in by_order[name]:
            check_fill(fill, order)
        every = {fill.fill_id: fill for fill in (*fills_of(connection, order), *by_order[name])}
        total = sum(fill.quantity for fill in every.values())
        if abs(total) > abs(order.quantity) * (1 + DUST):
            raise DataError(
                f"order {name}: with {by_order[name][-1].fill_id} {total:g} {order.instrument} would be filled of "
                f"{order.quantity:g}; leave out what was imported under another id"
            )


def _turned(desk: Desk) -> dict[str, pd.Timestamp]:
    """When a contract last became another, or more or fewer of itself, by label."""
    events = open_store(desk.store).events()
    events = events[events["kind"].isin(_TURNS)]
    return events.groupby("instrument")["time"].max().to_dict()
