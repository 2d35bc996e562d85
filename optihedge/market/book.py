"""Books: quantities by instrument, read from a file or a table and laid out in the market's order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.errors import DataError
from optihedge.frames import Column, check_frame, misspelt, nearest, read_raw, refuse, refuse_sides
from optihedge.market.instruments import contracts_of
from optihedge.market.snapshot import Market
from optihedge.readonly import kept, told

_SAME = 1e-6  # of a quantity: what its venue amount may differ by in rounding

Book: TypeAlias = pd.Series | Mapping[str, float] | pd.DataFrame  # quantities by instrument; see `book_quantities`


def read_book(
    source: Path | str | pd.Series | dict | pd.DataFrame,
    market: Market | None = None,
    *,
    unlisted: pd.DataFrame | None = None,
) -> pd.Series | dict[str, pd.Series]:
    """Quantities by instrument (contracts, signed); with a column `book`, a dict of books by name. Raises DataError.

    A file has columns instrument and quantity, or venue_amount (coin for an option, quote currency for an inverse
    future) in its place; where it has both, they must agree. Short is negative: a column `side` is refused. With a
    market, every instrument must be in it.

    >>> import optihedge as oh
    >>> oh.read_book({"AAPL": 100, "MSFT": -50}).to_dict()
    {'AAPL': 100.0, 'MSFT': -50.0}
    """
    if isinstance(source, pd.DataFrame):
        frame, name = source, str(source.attrs.get("source", "book"))
    elif isinstance(source, (pd.Series, dict)):
        series = pd.Series(source, dtype=object)
        frame, name = pd.DataFrame({"instrument": series.index.astype(str), "quantity": series.to_numpy()}), "book"
    else:
        path = Path(source)
        frame, name = read_raw(path), path.name
    refuse_sides(frame.columns, name)
    amounts = [column for column in ("quantity", "venue_amount") if column in frame.columns]
    schema = {
        "instrument": Column("text", required=True),
        **{column: Column("number", required=True) for column in amounts or ("quantity",)},
        "book": Column("text", required="book" in frame.columns),
    }
    table = check_frame(frame, schema, name)
    misspelt(frame.columns, (*schema, "quantity", "venue_amount"), name)
    if market is not None:
        more = unlisted is not None and len(unlisted) > 0
        known = pd.concat([market.instruments, unlisted]) if more else market.instruments
        _refuse_unknown(table["instrument"], known.index, market, name)
    books = table["book"] if "book" in table.columns else pd.Series("", index=table.index)
    twice = pd.DataFrame({"book": books, "instrument": table["instrument"]}).duplicated().to_numpy()
    refuse(twice, name, "instrument {value} appears twice", table["instrument"], "add up its rows")
    labelled = table.set_index("instrument")
    if "venue_amount" in amounts:
        if market is None:
            raise DataError(f"{name}: venue_amount needs the market's multipliers; read the book with its market")
        counted = contracts_of(labelled["venue_amount"], known).rename("quantity")
        if "quantity" in amounts:
            apart = ~np.isclose(labelled["quantity"], counted, rtol=_SAME, atol=0.0)
            refuse(
                apart, name, "quantity{of} is {value}, and its venue_amount says another number of contracts",
                labelled["quantity"], "keep the one that is right", labelled.index,
            )  # fmt: skip
    quantity = labelled["quantity"] if "quantity" in amounts else counted
    if "book" not in table.columns:
        return quantity
    return {str(book): part for book, part in quantity.groupby(books.to_numpy(), sort=False)}


def _refuse_unknown(names: pd.Series, known: pd.Index, market: Market, source: str) -> None:
    unknown = ~names.isin(known).to_numpy()
    for name in names.to_numpy()[unknown]:
        if name in market.left_out:
            raise DataError(f"{source}: instrument {name} was left out of the market: {market.left_out[name]}")
    if unknown.any():
        close = nearest(names.to_numpy()[unknown][0], market.names)
        refuse(unknown, source, f"instrument {{value}} is not in the market{close}", names,
               "add it to instruments.csv and quotes.csv, or take it out of the book")  # fmt: skip


def book_quantities(book: Book, market: Market, what: str = "book") -> NDArray[np.float64]:
    """The book as N quantities in the market's order. Raises DataError for unknown, repeated or non-finite entries.

    what   what messages call it, such as "trades"

    A frame has the columns of a book's file (see `read_book`), of one book.
    """
    series = read_book(book, market) if isinstance(book, pd.DataFrame) else book
    if isinstance(book, pd.DataFrame) and isinstance(series, dict):
        several = ", ".join(series)
        raise DataError(f"{what}: the frame holds several books ({several}); take one of them: read_book(frame)[name]")
    if not isinstance(series, (pd.Series, Mapping)):
        raise DataError(
            f"{what}: {type(book).__name__} is no book; give instrument -> quantity (a Series or a dict), or a frame "
            "with columns instrument and quantity"
        )
    series = series if isinstance(series, pd.Series) else pd.Series(dict(series), dtype=object)
    if series.index.has_duplicates:
        twice = series.index[series.index.duplicated()][0]
        raise DataError(f"{what}: instrument {twice} appears twice; add up its rows")
    at = kept(market.instruments, "places", lambda: market.names.get_indexer(series.index), series.index)
    if (at < 0).any():
        unknown = series.index[at < 0][0]
        if unknown in market.left_out:
            raise DataError(f"{what}: instrument {unknown} was left out of the market: {market.left_out[unknown]}")
        raise DataError(
            f"{what}: instrument {unknown} is not in the market{nearest(str(unknown), market.names)}; "
            f"add it to instruments and quotes, or take it out of the {what}"
        )
    try:
        values = series.to_numpy(dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: a quantity is no number ({error}); mend it") from None
    if not np.isfinite(values).all():
        raise DataError(f"{what}: quantity of {series.index[~np.isfinite(values)][0]} is not finite; mend it")
    before = np.zeros(len(market.names))
    before[at] = values
    return before


def gross_notional(market: Market, held: pd.Series) -> float:
    """Sum of |contracts| x notional, base currency; money in base currency moves with nothing and is no part of it."""
    held = held[held != 0]
    return gross_of(market, market.names.get_indexer(held.index), held.to_numpy(dtype=float))


def gross_of(market: Market, positions: NDArray[np.intp], quantities: NDArray[np.float64]) -> float:
    """`gross_notional` of quantities (contracts) at positions of the market's names."""

    table = market.instruments
    still = told(table, "type", "cash") & told(table, "currency", market.base_currency)
    counted = (quantities != 0) & ~still[positions]
    size = np.abs(market.notional.to_numpy(dtype=float)[positions[counted]])
    return float(np.abs(quantities[counted]) @ size)
