"""What a book's file says is held, at a market that need not list it: what has ended is left out and told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from optihedge.accounts.state import State
from optihedge.errors import DataError
from optihedge.frames import read_raw
from optihedge.market.book import read_book
from optihedge.market.snapshot import Market

Terms = Callable[[str], pd.Series]


@dataclass(frozen=True)
class Holding:
    """Contracts by instrument, and those that the file still names though they have ended, in words."""

    quantities: dict[str, float]
    ended: tuple[str, ...] = ()


def read_holding(path: Path, book: str, market: Market, state: State | None, terms: Terms) -> Holding:
    """The holding of a book in a file, which may name what the market does not list: a contract that has ended is left
    out, one that the state holds is carried on by the ledger.

    state   where the book stands, None on its first night;  terms   of any contract that was ever recorded

    Raises DataError for a file that cannot be read, and naming a contract that the market does not list.
    """
    frame = read_raw(path)
    known = _terms(frame, market, terms)
    ended = known.index[(known["expiry"] <= market.as_of).to_numpy()]
    held = [] if state is None else state.quantities().index
    found = read_book(frame, market, unlisted=known[known.index.isin([*ended, *held, *_none_of(frame)])])
    if isinstance(found, dict):
        if book not in found:
            raise DataError(f"{path}: there is no book {book} in it; its books are {', '.join(found)}")
        found = found[book]
    gone = [name for name in found.index if name in ended]
    told = (f"{name} ended {known['expiry'][name]:%Y-%m-%d %H:%M} UTC; take it out of {path.name}" for name in gone)
    found = found[~found.index.isin(gone) & (found.index.isin(market.names) | (found != 0))]
    return Holding({str(name): float(q) for name, q in found.items()}, tuple(told))


def _none_of(frame: pd.DataFrame) -> list[str]:
    """Contracts that the file names and holds none of."""
    amounts = [column for column in ("quantity", "venue_amount") if column in frame.columns]
    if "instrument" not in frame.columns or not amounts:
        return []
    nothing = pd.to_numeric(frame[amounts[0]], errors="coerce") == 0
    return list(frame["instrument"][nothing].astype(str).str.strip())


def _terms(frame: pd.DataFrame, market: Market, terms: Terms) -> pd.DataFrame:
    """Of the contracts that the file names and the market does not list, the terms of those that were ever recorded."""
    named = pd.Index([]) if "instrument" not in frame.columns else pd.Index(frame["instrument"].astype(str).str.strip())
    rows = []
    for name in named[~named.isin(market.names)].unique():
        try:
            rows.append(terms(name).rename(name))
        except DataError:  # the book's own door names it
            continue
    found = pd.DataFrame(rows).infer_objects() if rows else market.instruments.iloc[:0]
    return found.assign(expiry=pd.to_datetime(found["expiry"], utc=True))
