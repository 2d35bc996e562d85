"""Files written whole or not at all, and where the shipped ones are."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from optihedge.errors import DataError


def models_folder() -> Path:
    """Where the shipped model files are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def write_text(path: Path, text: str) -> None:
    """One file of UTF-8 text; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, body: bytes) -> None:
    """One file, whole or absent: written aside, flushed, renamed into place. Raises DataError where it cannot be."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with aside.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        flush_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise DataError(f"{path} cannot be written ({error.strerror or error}); give another place") from None


def flush_folder(folder: Path) -> None:
    """A folder's own entries to disk, where its file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
