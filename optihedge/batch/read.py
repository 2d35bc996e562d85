"""The market of a run: its folder is read once, its bytes hashed, and what was read is what every job gets."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from optihedge.errors import DataError
from optihedge.market.snapshot import Market, read_market

_TRIES = 3  # readings of a folder that is being written
_FILES = ("*.toml", "*.csv", "*.parquet")


def read_once(folder: Path, as_of: pd.Timestamp | str | None = None) -> tuple[Market, str]:
    """The market of a folder, and the sha256 of the bytes that it was read from.

    Raises DataError as `read_market` does, for a file that cannot be read, and where the files change all the while.
    """
    before = _state(folder)
    for _ in range(_TRIES):
        try:
            market = read_market(folder, as_of=as_of)
        except OSError as error:
            raise DataError(f"{error.filename or folder} cannot be read ({error.strerror or error}); mend it") from None
        after = _state(folder)
        if after == before:
            return market, after[0]
        before = after
    raise DataError(f"{folder} changed while it was read, {_TRIES} times; run again when its files are written")


def _state(folder: Path) -> tuple[str, tuple[int, ...]]:
    """sha256 of the files' names and bytes, and when each was written: a change and back is a change too."""
    digest = hashlib.sha256()
    written = []
    for path in sorted(path for pattern in _FILES for path in folder.glob(pattern) if path.is_file()):
        try:
            content = path.read_bytes()
            written.append(path.stat().st_mtime_ns)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror or error}); mend it") from None
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest(), tuple(written)
