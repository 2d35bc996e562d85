"""Books of a batch: read one by one, so that a broken one is named and the others go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import read_frame
from optihedge.market.book import read_book
from optihedge.market.snapshot import Market


def read_books(paths: Sequence[Path], market: Market) -> tuple[dict[str, pd.Series], dict[str, str]]:
    """Quantities (contracts) by book, and by book why it could not be read.

    A book is called by the column `book`, else by its file's stem.
    """
    books: dict[str, pd.Series] = {}
    failed: dict[str, str] = {}
    for path in paths:
        try:
            parts = _parts(path)
        except (DataError, OSError) as error:
            failed[path.stem] = str(error)
            continue
        whole = _whole(parts, market) if len(parts) > 1 else {}
        for name, frame in parts.items():
            if name in books or name in failed:
                failed[name] = f"{path.name}: book {name} is there twice; name each book once"
                books.pop(name, None)
                continue
            if name in whole:
                books[name] = whole[name]
                continue
            try:
                found = read_book(frame, market)
                books[name] = found if isinstance(found, pd.Series) else found[name]
            except DataError as error:
                failed[name] = str(error) if len(parts) == 1 else f"{path.name}, rows of {name} only: {error}"
    return books, failed


def _whole(parts: Mapping[str, pd.DataFrame], market: Market) -> dict[str, pd.Series]:
    """All books of a file read at once, by the name that each has there; none where one of them is broken."""
    try:
        found = read_book(pd.concat(parts.values(), ignore_index=True), market)
    except DataError:
        return {}
    return found if isinstance(found, dict) and set(found) == set(parts) else {}


def refuse_unread(books: Mapping[str, pd.Series], failed: Mapping[str, str]) -> None:
    """Raise DataError where no book could be read."""
    if failed and not books:
        raise DataError("\n".join(failed.values()))


def _parts(path: Path) -> dict[str, pd.DataFrame]:
    """The raw rows of each book in a file, which is read once; one with a header alone is an empty book."""
    frame = read_frame(path, {})
    labels = frame["book"].astype(str) if "book" in frame.columns else pd.Series(path.stem, frame.index)
    labels = labels.where(labels.str.strip() != "", path.stem)  # refused below, under a name that can be found
    if frame.empty:
        return {path.stem: frame.drop(columns="book", errors="ignore")}
    if labels.nunique() == 1:
        return {labels.iloc[0]: frame}
    parts = {str(name): part.reset_index(drop=True) for name, part in frame.groupby(labels.to_numpy(), sort=False)}
    for part in parts.values():
        part.attrs.clear()  # its rows are not those of the file
    return parts
