"""A store's files: tables named by the hash of their values, a log whose lines are chained, writes that are whole.

Every file is written aside, brought to disk and renamed, so that it is there whole or not at all; a log line is the
last thing written of a record. Whatever is read is hashed again: a torn or altered file is named, never used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from optihedge.content import canonical_text, content_hash
from optihedge.errors import DataError, require_extra
from optihedge.files import write_bytes

LOG = "log.jsonl"
_MEND = "bring the file back from a copy, or record that day again"


# ---- tables ----------------------------------------------------------------------------------------------------------


def table_path(folder: Path, name: str) -> Path:
    """objects/xx/HASH.parquet"""
    return folder / "objects" / name[:2] / f"{name}.parquet"


def write_table(folder: Path, table: pd.DataFrame, name: str = "") -> str:
    """The table's hash (`name`, where it is known), once it lies on disk whole and reads back equal.

    Raises DataError for a mixed column.
    """
    name = name or content_hash(table)
    path = table_path(folder, name)
    if not path.is_file() or table_fault(folder, name):
        _write(path, _parquet_bytes(table, name))
    return name


def _parquet_bytes(table: pd.DataFrame, name: str) -> bytes:
    arrow, parquet = _arrow()
    bare = table.copy(deep=False)
    bare.attrs = {}
    try:
        body = arrow.Table.from_pandas(bare)
        read_back = body.to_pandas()
    except (arrow.ArrowException, ValueError) as error:
        raise DataError(f"store: a column holds values of several types ({error}); give it one type") from None
    if content_hash(read_back) != name:
        changed = [c for c in table.columns if content_hash(read_back[c]) != content_hash(table[c])]
        raise DataError(
            f"store: column {(changed or ['of labels'])[0]} holds values of several types; give it one type"
        )
    sink = arrow.BufferOutputStream()
    parquet.write_table(body, sink)
    return sink.getvalue().to_pybytes()


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """The table of this hash, its values hashed again. Raises DataError naming a missing, torn or altered file."""
    arrow, parquet = _arrow()
    path = table_path(folder, name)
    if not path.is_file():
        raise DataError(f"store: {_shown(path, folder)} is missing; {_MEND}")
    try:
        table = parquet.read_table(path).to_pandas()
    except (arrow.ArrowException, OSError, ValueError, KeyError) as error:
        raise DataError(f"store: {_shown(path, folder)} is torn or altered ({_first_line(error)}); {_MEND}") from None
    if content_hash(table) != name:
        raise DataError(f"store: {_shown(path, folder)} is altered: its values have another hash; {_MEND}")
    return table


def table_fault(folder: Path, name: str) -> str:
    """What is wrong with a table's file, empty where nothing is."""
    try:
        read_table(folder, name)
    except DataError as error:
        return str(error)
    return ""


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise require_extra("pyarrow", "store") from None
    return pyarrow, pyarrow.parquet


# ---- manifests -------------------------------------------------------------------------------------------------------


def manifest_path(folder: Path, name: str) -> Path:
    """snapshots/HASH.json"""
    return folder / "snapshots" / f"{name}.json"


def write_manifest(folder: Path, manifest: Mapping[str, object]) -> str:
    """The manifest's hash, which is sha256 of its file."""
    text = canonical_text(manifest).encode()
    name = hashlib.sha256(text).hexdigest()
    path = manifest_path(folder, name)
    if not path.is_file() or path.read_bytes() != text:
        _write(path, text)
    return name


def read_manifest(folder: Path, name: str) -> dict[str, Any]:
    """The manifest of this hash. Raises DataError naming a missing, torn or altered file."""
    path = manifest_path(folder, name)
    if not path.is_file():
        raise DataError(f"store: {_shown(path, folder)} is missing; {_MEND}")
    text = path.read_bytes()
    if hashlib.sha256(text).hexdigest() != name:
        raise DataError(f"store: {_shown(path, folder)} is torn or altered; {_MEND}")
    return json.loads(text)


# ---- the log ---------------------------------------------------------------------------------------------------------


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines in order, each checked against the one before. Raises DataError naming the line that was altered.

    A last line without its end was never finished: its record gave no hash, and it does not count.
    """
    before, entries = "", []
    for number, line in enumerate(_lines(folder), start=1):
        try:
            entry = json.loads(line)
            own = entry.pop("hash")
            whole = own == content_hash(entry) and entry["before"] == before and entry["seq"] == number
        except (ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise DataError(f"store: {LOG} line {number} is altered, or the line before it is; bring back a copy")
        before = own
        entries.append(entry)
    return entries


def append_log(folder: Path, entry: Mapping[str, object]) -> None:
    """One more line, on disk when this returns; what an interrupted record left of its line is cut off first."""
    lines = _lines(folder)
    before = json.loads(lines[-1])["hash"] if lines else ""
    body = {**entry, "seq": len(lines) + 1, "before": before}
    text = canonical_text({**body, "hash": content_hash(body)}).encode() + b"\n"
    end = sum(len(line) + 1 for line in lines)
    with (folder / LOG).open("r+b") as stream:
        stream.truncate(end)
        stream.seek(end)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _lines(folder: Path) -> list[bytes]:
    """The finished lines of the log. Raises DataError where there is no log."""
    path = folder / LOG
    if not path.is_file():
        raise DataError(f"store: {path} is missing; bring the file back from a copy")
    return path.read_bytes().split(b"\n")[:-1]


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, body)


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:80]
