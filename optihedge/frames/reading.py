"""Files at the door: regular ones of a size that fits, read as text, whole or not at all."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import DataError, SpecError, require_extra
from optihedge.frames.words import refuse_doubled

_LARGEST = 2**30  # bytes of a table
_LARGEST_TOML = 2**20


def regular(path: Path, largest: int = _LARGEST) -> Path:
    """The path of a regular file of at most so many bytes. Raises DataError for what is absent or something else."""
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; give the file")
        if not path.exists():
            raise DataError(f"{path} is not there; put the file in its folder")
        if not path.is_file():
            raise DataError(f"{path} is no regular file (a pipe, a socket, a device); copy its content into a file")
        size = path.stat().st_size
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero
        raise DataError(f"{str(path)[:200]!r} cannot be read ({error}); mend its name or its rights") from None
    if size > largest:
        raise DataError(f"{path} has {size:,} bytes, more than {largest:,}; split it, or leave out what is not needed")
    return path


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file. Raises DataError naming the file, also for one nested beyond any use."""
    try:
        return toml_of(regular(path, _LARGEST_TOML).read_text(encoding="utf-8"), path.name)
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); mend it") from None


def read_settings(path: Path | str) -> dict[str, Any]:
    """The content of a TOML file in which somebody says what they want. Raises SpecError naming the file."""
    try:
        return read_toml(Path(path))
    except DataError as error:
        raise SpecError(f"{path}: cannot be read ({error})") from None


def toml_of(text: str, source: str) -> dict[str, Any]:
    """The content of a TOML text, with or without a mark of its encoding; `source` is what messages call it. Raises
    DataError.
    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise DataError(f"{source}: its tables or lists are nested too deep; write them flat") from None
    except ValueError as error:  # a number of thousands of digits too
        raise DataError(f"{source}: {error}; mend that line") from None


def read_raw(path: Path | str, *, first: str = "", lenient: bool = False) -> pd.DataFrame:
    """The table as it stands, every field of a .csv as text, for a later `check_frame`; attrs["source"] is its name.

    first    what the first column is called where the header leaves its name empty
    lenient  a row with more or fewer fields than the header is cut or filled up, and told in attrs["broken"] by its
             position: who reads on has to leave it out

    Raises DataError, also for a column that stands twice.
    """
    path = Path(path)
    frame = _read_parquet(path) if path.suffix == ".parquet" else _read_text(path, first, lenient)
    refuse_doubled(frame.columns, path.name)
    frame.attrs["source"] = path.name
    return frame


def find_table(folder: Path, name: str) -> Path | None:
    """folder/name.csv, else folder/name.parquet, else None. Both at once is a DataError: which one holds?"""
    found = [regular(p) for p in (folder / f"{name}.csv", folder / f"{name}.parquet") if p.exists() or p.is_symlink()]
    if len(found) > 1:
        raise DataError(f"{folder}: both {found[0].name} and {found[1].name} are there; keep one")
    return found[0] if found else None


def _read_text(path: Path, first: str, lenient: bool) -> pd.DataFrame:
    regular(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream, strict=True))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); mend it") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path.name}: {error}; check its quotation marks") from None
    while rows and not rows[-1]:
        rows.pop()
    if not rows:
        raise DataError(f"{path.name} is empty; give a header row")
    header = [name.strip() for name in rows[0]]
    header[:1] = [name or first for name in header[:1]]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise DataError(f"{path.name}: its fields are not separated by commas; save it as comma-separated, UTF-8")
    body = rows[1:]
    for position, name in enumerate(header):
        if not name:
            raise DataError(f"{path.name}: column {position + 1} has no name; name it in the header or remove it")
    broken = _broken(body, len(header), path.name)
    if broken and not lenient:
        raise DataError(next(iter(broken.values())))
    for row in broken:
        body[row] = (body[row] + [""] * len(header))[: len(header)]
    cells = np.array(body, dtype=object).reshape(len(body), len(header))
    frame = pd.DataFrame(cells, columns=pd.Index(header), dtype=object)
    if broken:
        frame.attrs["broken"] = broken
    return frame


def _broken(body: list[list[str]], width: int, name: str) -> dict[int, str]:
    """What is said of each row that has not as many fields as the header."""
    lengths = np.fromiter(map(len, body), dtype=int, count=len(body))
    return {
        row: f"{name} row {row + 2}: {len(body[row])} fields where the header has {width}, starting "
        f"{','.join(body[row])[:60]!r}; quote a field that holds a comma, or complete the row"
        for row in np.flatnonzero(lengths != width).tolist()
    }


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise require_extra("pyarrow", "parquet") from None
    regular(path)
    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # the reader's own classes
        raise DataError(f"{path.name} is no parquet file ({type(error).__name__}); write it anew") from None
    return frame.reset_index() if frame.index.name is not None else frame
