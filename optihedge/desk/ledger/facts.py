"""What the venue said: fills and final words on orders, imported once; and what of it a night has still to apply."""

from __future__ import annotations

import json
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import Connection

from optihedge.accounts.state import Fill, Order, Report, State
from optihedge.content import canonical_text
from optihedge.desk.ledger.database import get_text, note
from optihedge.desk.ledger.runs import LEFT
from optihedge.desk.ledger.schema import APPLIED, FILLS, LISTS, NIGHTS, ORDERS, REPORTS, RUNS
from optihedge.errors import DataError


def book_of(connection: Connection, order_id: str) -> str | None:
    """The book whose list had the order; None for an unknown one."""
    return connection.execute(sa.select(ORDERS.c.book).where(ORDERS.c.order_id == order_id)).scalar()


def order_of(connection: Connection, order_id: str) -> Order | None:
    """An order as its list had it, by the run that stands or left; None for an unknown one."""
    asked = sa.select(RUNS.c.after, LISTS.c.status).join(ORDERS, ORDERS.c.run == RUNS.c.id)
    asked = asked.join(LISTS, LISTS.c.run == RUNS.c.id).where(ORDERS.c.order_id == order_id)
    rows = sorted(connection.execute(asked).all(), key=lambda row: row.status in LEFT, reverse=True)
    state = State.from_text(get_text(connection, rows[0].after)) if rows else None
    return None if state is None else next((order for order in state.orders if order.order_id == order_id), None)


def fills_of(connection: Connection, order: Order) -> list[Fill]:
    """The fills of an order that are kept."""
    asked = sa.select(FILLS.c.body).where(FILLS.c.time >= _text(order.made))
    fills = [Fill(**json.loads(body)) for (body,) in connection.execute(asked)]
    return [fill for fill in fills if fill.order_id == order.order_id]


def import_fills(connection: Connection, fills: Iterable[Fill], book: str = "") -> tuple[int, int]:
    """Keep fills; how many were new, and how many were here already with the same figures.

    book   of fills that belong to none of our orders. Raises DataError for an id that is here with other figures, and
    for a fill of no known order where no book is given.
    """
    new = old = 0
    for fill in fills:
        owner = (book_of(connection, fill.order_id) if fill.order_id else None) or book
        if not owner:
            raise DataError(f"fill {fill.fill_id}: order {fill.order_id!r} is of no list; say whose it is with --book")
        key = (FILLS.c.book == owner, FILLS.c.fill_id == fill.fill_id)
        body, known = canonical_text(fill), connection.execute(sa.select(FILLS.c.body).where(*key)).scalar()
        if known is not None and known != body:
            was = json.loads(known)
            raise DataError(
                f"fill {fill.fill_id} of {owner} was imported with other figures ({was['quantity']:g} "
                f"{was['instrument']} at {was['price']:g}); give its correction as a bust event and a new fill"
            )
        if known is None:
            row = {"book": owner, "fill_id": fill.fill_id, "time": _text(fill.time), "body": body}
            connection.execute(FILLS.insert().values(row))
        new, old = new + (known is None), old + (known is not None)
    if new:
        note(connection, "fills", book=book, text=f"{new} new, {old} known")
    return new, old


def import_reports(connection: Connection, reports: Iterable[Report]) -> int:
    """Keep final words; how many were new. Raises DataError for an unknown order, and for a second, other word."""
    new = 0
    for report in reports:
        if book_of(connection, report.order_id) is None:
            raise DataError(f"report of {report.order_id}: it is of no list of this ledger; leave it out")
        key, body = REPORTS.c.order_id == report.order_id, canonical_text(report)
        known = connection.execute(sa.select(REPORTS.c.body).where(key)).scalar()
        if known is not None and known != body:
            raise DataError(f"report of {report.order_id}: it was {json.loads(known)['verdict']} before; keep one word")
        if known is None:
            row = {"order_id": report.order_id, "time": _text(report.time), "body": body}
            connection.execute(REPORTS.insert().values(row))
            new += 1
    return new


def due_fills(connection: Connection, book: str, as_of: str) -> list[Fill]:
    """The fills of a book until an instant that no night before it, as they stand, has applied."""
    chain = sa.select(APPLIED.c.fill_id).join(NIGHTS, NIGHTS.c.run == APPLIED.c.run)
    chain = chain.where(NIGHTS.c.book == book, NIGHTS.c.as_of < as_of)
    asked = sa.select(FILLS.c.body).where(FILLS.c.book == book, FILLS.c.time <= as_of, FILLS.c.fill_id.not_in(chain))
    return [Fill(**json.loads(body)) for (body,) in connection.execute(asked.order_by(FILLS.c.time, FILLS.c.fill_id))]


def due_reports(connection: Connection, state: State, as_of: str) -> list[Report]:
    """The final words until an instant on the orders that a state still has open."""
    open_ = [order.order_id for order in state.orders]
    asked = sa.select(REPORTS.c.body).where(REPORTS.c.order_id.in_(open_), REPORTS.c.time <= as_of)
    return [Report(**json.loads(body)) for (body,) in connection.execute(asked.order_by(REPORTS.c.order_id))]


def _text(value: object) -> str:
    """An instant as the ledger sorts it."""
    text: str = json.loads(canonical_text(value))
    return text
