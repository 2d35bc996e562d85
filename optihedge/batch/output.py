"""A result on disk: whole or absent. Written aside, flushed, a manifest last, then renamed into place."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from optihedge.errors import DataError

MANIFEST = "manifest.json"
_LONGEST = 80  # characters of a label in a folder's name: with its hash and a suffix, far below the usual 255 bytes


def folder_name(text: object) -> str:
    """A label as the name of one folder, never a path. One with other characters than letters, digits and . _ -, or
    longer than 80, gets a hash at its end, so that two labels never share a folder.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", str(text)).lstrip(".")[:_LONGEST]
    return name if name and name == str(text) else f"{name}-{_digest(str(text))[:6]}"


def instant_name(as_of: pd.Timestamp) -> str:
    """An instant as a folder's name: 2026-01-20T123000Z."""
    return as_of.tz_convert("UTC").strftime("%Y-%m-%dT%H%M%SZ")


def write_whole(folder: Path, files: Mapping[str, str], about: Mapping[str, object]) -> None:
    """Put `files` (name -> text) into `folder`, with a manifest of their sizes and SHA-256, all or nothing.

    about   what else the manifest says (no clock: equal inputs give equal bytes)

    A result already there with the same manifest is left as it is; another one is replaced. Leftovers of a killed run
    are cleared. Concurrent writers of one folder are not supported.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(folder)
    listed = {name: {"bytes": len(text.encode()), "sha256": _digest(text)} for name, text in sorted(files.items())}
    manifest = json.dumps({**about, "files": listed}, indent=1, sort_keys=True, allow_nan=False) + "\n"
    if is_whole(folder) and (folder / MANIFEST).read_text(encoding="utf-8") == manifest:
        return
    aside = _beside(folder, "new")
    aside.mkdir()
    for name, text in files.items():
        _write(aside / name, text)
    _write(aside / MANIFEST, manifest)
    _flush_folder(aside)
    old = _beside(folder, "old")
    if folder.exists():
        os.replace(folder, old)
    os.replace(aside, folder)
    _flush_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def discard(folder: Path) -> None:
    """Take away a result and what a killed run left beside it: an old list must not pass for today's."""
    clear_leftovers(folder)
    if folder.exists():
        old = _beside(folder, "old")
        os.replace(folder, old)
        shutil.rmtree(old)


def probe(folder: Path) -> None:
    """Make the folder and write into it. Raises DataError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror or error}); give another folder") from None


def write_file(path: Path, text: str) -> None:
    """One file, whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    _write(aside, text)
    os.replace(aside, path)
    _flush_folder(path.parent)


def is_whole(folder: Path) -> bool:
    """Whether a folder's manifest is there and every file it lists has the listed bytes."""
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return all(_digest((folder / name).read_bytes()) == file["sha256"] for name, file in listed.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed run left beside `folder`; an old whole result that lost its place gets it back."""
    old, new = _beside(folder, "old"), _beside(folder, "new")
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    for path in (old, new):
        shutil.rmtree(path, ignore_errors=True)


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot flush a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
