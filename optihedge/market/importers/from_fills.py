"""Positions and marks out of fills, for exports that say trades alone."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from optihedge.errors import DataError
from optihedge.market.importers.imported import HELD, Imported
from optihedge.market.importers.intake import Intake


def from_fills(found: Imported) -> Imported:
    """Books as the sum of the fills through the splits that are told, and each last price traded as a mark.

    Books that a statement gives stay as they are. Raises DataError where there is no fill. A note says what such a book
    is worth: the fills must go back to the first trade, and a last price is as old as it is.
    """
    fills = found.fills.sort_values("time", kind="stable")
    if fills.empty:
        raise DataError("the files hold no fills: nothing to sum up; import them without --from-fills")
    fills = fills[fills["instrument"] != ""]
    ratio = _splits_since(fills, found.events)
    fills = fills.assign(quantity=fills["quantity"] * ratio, price=fills["price"] / ratio)
    stated = set(found.books["book"])
    held = fills[~fills["book"].isin(stated)].groupby(["book", "instrument"], as_index=False)["quantity"].sum()
    held["quantity"] = held["quantity"].round(9)
    last = fills.drop_duplicates("instrument", keep="last")
    extra = Intake()
    extra.add("books", held.assign(time=fills["time"].max(), scope="sum of fills"))
    marks = pd.DataFrame({"instrument": last["instrument"], "time": last["time"], "mark": last["price"], "part": HELD})
    extra.add("quotes", marks)
    made = extra.imported(amounts=False)
    books, quotes = ([a for a in pair if len(a)] for pair in ((found.books, made.books), (found.quotes, made.quotes)))
    note = (f"positions are the sum of {len(fills)} fills, marks the prices last traded: right only where the files go "
            "back to the first trade and a newer price is added")  # fmt: skip
    return replace(
        found, books=pd.concat(books or [made.books], ignore_index=True), quotes=pd.concat(quotes, ignore_index=True),
        notes=(*found.notes, note), problems=(*found.problems, *found.moves),
    )  # fmt: skip


def _splits_since(fills: pd.DataFrame, events: pd.DataFrame) -> pd.Series:
    """Units now for one unit of each fill."""
    ratio = pd.Series(1.0, index=fills.index)
    splits = events[events["kind"] == "split"]
    for name, when, value in zip(splits["instrument"], splits["time"], splits["value"], strict=True):
        ratio = ratio.where((fills["instrument"] != name) | (fills["time"] >= when), ratio * value)
    return ratio
