"""Books of a batch: read one by one, so that a broken one is named and the others go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import check_frame, read_raw
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
            parts, broken = _parts(path)
            failed |= broken
        except (DataError, OSError) as error:
            failed[path.stem] = str(error)
            continue
        several = len(parts) + len(broken) > 1
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
                failed[name] = f"{path.name}, rows of {name} only: {error}" if several else str(error)
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


def _parts(path: Path) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The raw rows of each book in a file, which is read once; one with a header alone is an empty book. And by book
    which row has not as many fields as the header: of every book of the file where the row does not say whose it is.
    """
    raw = read_raw(path, lenient=True)
    frame, broken = check_frame(raw, {}, path.name), dict[int, str](raw.attrs.get("broken", {}))
    if broken and "book" not in frame.columns:
        raise DataError(next(iter(broken.values())))
    labels = frame["book"].astype(str) if "book" in frame.columns else pd.Series(path.stem, frame.index)
    labels = labels.where(labels.str.strip() != "", path.stem)  # refused below, under a name that can be found
    if frame.empty:
        return {path.stem: frame.drop(columns="book", errors="ignore")}, {}
    whole = ~np.isin(np.arange(len(frame)), list(broken))
    said = {str(labels.iloc[row]): text for row, text in broken.items()}
    if not {*said} <= {*labels[whole]}:
        raise DataError(next(iter(broken.values())))
    keep = ~labels.isin(list(said))
    frame, labels = frame[keep], labels[keep]
    if labels.nunique() == 1 and not said:
        return {labels.iloc[0]: frame}, {}
    parts = {str(name): part.reset_index(drop=True) for name, part in frame.groupby(labels.to_numpy(), sort=False)}
    for part in parts.values():
        part.attrs.clear()  # its rows are not those of the file
    return parts, said
