"""What the lists of a desk cost, line by line, beside what they were expected to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from optihedge.accounts.state import DUST, Fill
from optihedge.batch.tables import table_of
from optihedge.desk.deskfile import Desk
from optihedge.desk.ledger.database import get_text, open_ledger
from optihedge.desk.ledger.reading import fills_of, runs_of
from optihedge.desk.ledger.runs import LEFT
from optihedge.desk.looking import since_of
from optihedge.errors import DataError
from optihedge.frames import nearest
from optihedge.market.store.store import Store, open_store
from optihedge.trades.slippage import COLUMNS, slippage

_SUMS = ("lines", "notional", "expected", "price_cost", "fees", "realised", "excess", "opportunity")


@dataclass(frozen=True, eq=False)
class Executed:
    """lines   a row per order of a list that left: book, as_of (of the list), notional (of what was filled, base
            currency, at arrival), and the columns of `trades.slippage.slippage`
    failed  by run, why its list cannot be told
    """

    lines: pd.DataFrame
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def books(self) -> pd.DataFrame:
        """book x sums of lines and money, and realised and expected in bp of the notional filled (`_bp`).

        An opportunity that is not known yet counts as none.
        """
        sums = self.lines.assign(lines=1).groupby("book")[list(_SUMS)].sum()
        sums["shortfall"] = sums["realised"] + sums["opportunity"]
        for name in ("realised", "expected"):
            sums[f"{name}_bp"] = 1e4 * sums[name] / sums["notional"].where(sums["notional"] > 0)
        return sums


def executed(desk: Desk, book: str | None = None, since: str | None = None) -> Executed:
    """Realised slippage of every list that left, from the ledger's fills and the store's markets.

    book, since   only this book, only lists of nights from this date or instant on

    What is left of an order is charged its move until the book's next night; of the last night's lists it is NaN.
    What a bust took back counts no more. Raises DataError where no list has left.
    """
    start, store = since_of(since), open_store(desk.store)
    events = store.events()
    busts = events[events["kind"] == "bust"].groupby("other")["value"].sum().abs()
    rows: list[pd.DataFrame] = []
    failed: dict[str, str] = {}
    with open_ledger(desk.ledger).read() as connection:
        runs = runs_of(connection, book)
        nights = sorted((run["book"], run["as_of"], run["snapshot"]) for run in runs if run["stands"] and run["after"])
        for run in runs:
            if run["list"] not in LEFT or (start is not None and pd.Timestamp(run["as_of"]) < start):
                continue
            later = next((name for of, at, name in nights if of == run["book"] and at > run["as_of"]), None)
            lines = table_of(get_text(connection, run["sha256"]))
            try:
                fills = _standing(fills_of(connection, run["book"], set(lines["order_id"])), busts)
                rows.append(_told(store, run, lines, fills, later))
            except DataError as error:
                failed[run["id"]] = f"{run['book']} at {run['as_of'][:16]}: {error}"
    if not rows and not failed:
        known = {run["book"] for run in runs}
        raise DataError(f"no list {f'of {book}{nearest(book, desk.books)} ' if book not in known and book else ''}has "
                        "left yet; send puts one into the outbox")  # fmt: skip
    columns = ["book", "as_of", "notional", *COLUMNS]
    return Executed(pd.concat(rows)[columns] if rows else pd.DataFrame(columns=columns), failed)


def _told(
    store: Store, run: dict[str, Any], lines: pd.DataFrame, fills: Iterable[Fill], later: str | None
) -> pd.DataFrame:
    market = store.open(run["snapshot"])
    told = slippage(market, lines, fills, later=None if later is None else store.open(later))
    size = market.notional[told["instrument"]].abs().to_numpy() * told["filled"].abs()
    return told.assign(book=run["book"], as_of=run["as_of"][:16], notional=size)


def _standing(fills: Iterable[Fill], busts: pd.Series) -> Iterator[Fill]:
    """What of the fills stands when busts have taken back their part."""
    for fill in fills:
        part = 1 - float(busts.get(fill.fill_id, 0.0)) / abs(fill.quantity)
        if part > DUST:
            yield replace(fill, quantity=fill.quantity * part, fee=fill.fee * part)
