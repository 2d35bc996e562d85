"""What each book holds at an instant, out of statements: nothing that a statement holds is lost without a word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from optihedge.errors import SpecError
from optihedge.frames import nearest
from optihedge.market.importers.imported import Imported

TOGETHER = pd.Timedelta("15min")  # statements of one scope this near to each other were asked for together
LATER = pd.Timedelta("1h")  # after the last price: positions are asked for after the tickers


def books_at(
    books: pd.DataFrame, as_of: pd.Timestamp, latest: pd.Timestamp, notes: list[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Contracts by book and instrument, and what was told too late to count (problems).

    books    rows of `Imported.books`; `statement` is one answer of a source, `scope` what it speaks of
    latest   rows told after it do not count

    Of a scope the last statement counts, with those told within a quarter of an hour of it; an earlier one is replaced.
    Rows of one statement may have times of their own (when each position last changed): all count, unless a contract
    comes at several times: then the statement is a log, and its last time counts. Rows of one contract at one time are
    lots, and add up.
    """
    told = books.assign(time=books["time"].fillna(as_of))
    scope = [told["book"], told["scope"]]
    first = told["time"].groupby(scope).transform("min")
    after = told[(told["time"] > latest) & (first > latest)]  # of a scope told in time the later word is not known yet
    problems = [f"{name} is held by a statement of {time:%Y-%m-%d %H:%M:%S} UTC, too long after the last price, "
                f"{as_of:%Y-%m-%d %H:%M:%S}; bring prices of then, or give --as-of"
                for name, time in after.groupby("instrument", sort=False)["time"].min().items()]  # fmt: skip
    told = told[told["time"] <= latest]
    unread = told.loc[told["quantity"].isna() & (told["instrument"] != ""), "instrument"].unique()
    problems += [f"{name} is held, and how much cannot be read; mend its row, which left.csv names" for name in unread]
    if "statement" not in told.columns:
        told = told.assign(statement=0)
    kept = [_of_scope(rows, notes) for _, rows in told.groupby(["book", "scope"], sort=False)]
    rows = pd.concat(kept) if kept else told
    soon = rows[rows["time"] > as_of]
    if len(soon):
        notes.append(f"{len(soon)} positions and balances were told up to {(soon['time'] - as_of).max().round('s')} "
                     "after the last price, and count")  # fmt: skip
    summed = rows.groupby(["book", "instrument"], sort=False, as_index=False)["quantity"].sum()
    return summed[summed["quantity"] != 0], problems


def _of_scope(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The rows of one book and scope that count."""
    said = rows.groupby("statement")["time"].transform("max")
    rows = rows[said >= said.max() - TOGETHER]
    parts = [_of_statement(one, notes) for _, one in rows.groupby("statement", sort=True)]
    newest: dict[str, int] = {}
    for number, part in enumerate(parts):
        newest |= dict.fromkeys(part["instrument"], number)
    return pd.concat([part[part["instrument"].map(newest) == number] for number, part in enumerate(parts)])


def _of_statement(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    if rows.groupby("instrument")["time"].nunique().gt(1).any():
        return rows[rows["time"] == rows["time"].max()]
    twice = rows["instrument"][rows["instrument"].duplicated()].unique()
    if len(twice):
        notes.append(f"{len(twice)} contracts come in several rows of one statement, {twice[0]} first: lots, added up")
    return rows


def left_out(found: Imported, names: Iterable[str]) -> Imported:
    """What was imported without these balances or positions, by the user's word, which the rejected repeat.

    Raises SpecError for a name that nothing holds.
    """
    held = found.books["instrument"]
    for name in names:
        if not (held == name).any():
            raise SpecError(f"--leave {name} is not held{nearest(name, held.unique())}; take it off")
    gone = found.books[held.isin(list(names))]
    why = "left out of the book by --leave"
    rows = pd.DataFrame({"file": "", "place": "", "what": gone["instrument"], "why": why, "count": 1})
    return replace(found, books=found.books.drop(index=gone.index), rejected=pd.concat([found.rejected, rows]))
