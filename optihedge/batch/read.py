"""The market of a run: its folder is read once, its bytes hashed, and what was read is what every job gets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pandas as pd

from optihedge.errors import DataError
from optihedge.market.folder import read_market
from optihedge.market.snapshot import Market

T = TypeVar("T")

_TRIES = 3  # readings of a folder that is being written
_FILES = ("*.toml", "*.csv", "*.parquet")


def read_once(folder: Path, as_of: pd.Timestamp | str | None = None) -> tuple[Market, str]:
    """The market of a folder, and the sha256 of the bytes that it was read from.

    Raises DataError as `read_market` does, for a file that cannot be read, and where the files change all the while.
    """
    return read_unchanged(folder, lambda: read_market(folder, as_of=as_of))


def read_unchanged(folder: Path, read: Callable[[], T], others: Sequence[Path] = ()) -> tuple[T, str]:
    """What `read` reads of a folder and of other files, all of it from the same bytes, and the sha256 of the folder's.

    `read` is called again where a file changed meanwhile. Raises DataError as it does, for a file that cannot be read,
    and where the files change all the while.
    """
    before = _state(folder, others)
    for _ in range(_TRIES):
        try:
            found = read()
        except OSError as error:
            raise DataError(f"{error.filename or folder} cannot be read ({error.strerror or error}); mend it") from None
        after = _state(folder, others)
        if after == before:
            return found, after[0]
        before = after
    raise DataError(f"{folder} changed while it was read, {_TRIES} times; run again when its files are written")


def _state(folder: Path, others: Sequence[Path]) -> tuple[str, str, tuple[int, ...]]:
    """sha256 of the names and bytes of both, and when each was written: a change and back is one too."""
    own = sorted(path for pattern in _FILES for path in folder.glob(pattern) if path.is_file())
    parts = [_hashed(own), _hashed([path for path in others if path.is_file()])]
    return parts[0][0], parts[1][0], (*parts[0][1], *parts[1][1])


def _hashed(paths: Sequence[Path]) -> tuple[str, list[int]]:
    digest = hashlib.sha256()
    written = []
    for path in paths:
        try:
            content = path.read_bytes()
            written.append(path.stat().st_mtime_ns)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror or error}); mend it") from None
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest(), written
