"""Whose an event of the store is, where a desk has several books, and of a walk over that store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import Connection

from optihedge.accounts.state import Fill, State
from optihedge.desk.ledger.reading import books_of
from optihedge.desk.ledger.schema import FILLS
from optihedge.market.events import Event


def events_of_book(
    connection: Connection, events: Sequence[Event], state: State, fills: Iterable[Fill], books: Collection[str]
) -> list[Event]:
    """Of a store's events those of one book of a desk.

    A bust is of the book that has its fill. Money moved, an exercise and an assignment are of the book that `other`
    names before its account (BOOK/ACCOUNT); an exercise or assignment that names none of those that hold its contract.
    """
    books = {*books, *books_of(connection)}  # and those that the desk had before
    busts = [event.other for event in events if event.kind == "bust"]
    asked = sa.select(FILLS.c.fill_id, FILLS.c.book).where(FILLS.c.fill_id.in_(busts))
    owners = [(fill, book) for fill, book in connection.execute(asked)] if busts else []
    theirs = {fill for fill, _ in owners} - {fill for fill, book in owners if book == state.book}
    held = {*state.assumed, *(fill.instrument for fill in fills), *(event.other for event in events)}
    held |= {name for lots in state.positions.values() for name in lots}
    found = []
    for event in events:
        book, _, account = _named(event)
        if book in books:
            found += [replace(event, other=account)] if book == state.book else []
        elif event.kind in ("exercise", "assignment") and len(books) > 1:
            found += [event] if event.instrument in held else []
        elif event.kind != "bust" or event.other not in theirs:
            found.append(event)
    return found


def events_of_walk(events: Iterable[Event], book: str) -> tuple[Event, ...]:
    """Of a store's events those of a walk of a book, which has none of the desk's fills: no bust is of it, and nothing
    that names another book.
    """
    named = [(event, *_named(event)) for event in events if event.kind != "bust"]
    return tuple(replace(event, other=account) if of else event for event, of, _, account in named if of in ("", book))


def _named(event: Event) -> tuple[str, str, str]:
    """What BOOK/ACCOUNT says, taken apart; nothing where an event names no book."""
    parts = event.other.partition("/")
    return parts if event.kind in ("margin", "exercise", "assignment") and parts[2] else ("", "", event.other)
