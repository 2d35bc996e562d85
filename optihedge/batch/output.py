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
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import pandas as pd

from optihedge.errors import DataError
from optihedge.files import flush_folder

MANIFEST = "manifest.json"
_TOGETHER = 8  # files flushed at once
_LONGEST = 80  # characters of a label in a folder's name: with its hash and a suffix, far below the usual 255 bytes
_PLAIN = re.compile(rf"(?!.*-[0-9a-f]{{10}}$)[a-z0-9][a-z0-9_-]{{0,{_LONGEST - 1}}}")


def folder_name(text: object) -> str:
    """A label as the name of one folder, never a path, never that of another label or of a file of ours.

    A label of small letters, digits, _ and - is its own folder. Any other gets a hash of itself at its end: a disk may
    take names that differ by case, or by how an accent is spelled, for the same.
    """
    label = str(text)
    if _PLAIN.fullmatch(label):
        return label
    name = re.sub(r"[^A-Za-z0-9._-]", "_", label).lstrip(".")[:_LONGEST]
    return f"{name}-{sha256_of(label)[:10]}"


def instant_name(as_of: pd.Timestamp) -> str:
    """An instant as a folder's name: 2026-01-20T123000Z."""
    return as_of.tz_convert("UTC").strftime("%Y-%m-%dT%H%M%SZ")


def result_folder(out: Path, as_of: pd.Timestamp, book: str, model: str) -> Path:
    """out/AS_OF/BOOK/MODEL."""
    return out / instant_name(as_of) / folder_name(book) / folder_name(model)


def write_whole(folder: Path, files: Mapping[str, str], about: Mapping[str, object]) -> None:
    """Put `files` (name -> text) into `folder`, with a manifest of their sizes and SHA-256, all or nothing.

    about   what else the manifest says (no clock: equal inputs give equal bytes)

    What was there goes first: a run that is killed leaves the new result or none, never the old one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    discard(folder)
    content = {name: text.encode() for name, text in sorted(files.items())}
    listed = {name: {"bytes": len(raw), "sha256": sha256_of(raw)} for name, raw in content.items()}
    manifest = json.dumps({**about, "files": listed}, indent=1, sort_keys=True, allow_nan=False) + "\n"
    aside = _beside(folder, "new")
    aside.mkdir()
    _write_all({aside / name: raw for name, raw in {**content, MANIFEST: manifest.encode()}.items()})
    flush_folder(aside)
    os.replace(aside, folder)
    flush_folder(folder.parent)


def discard(folder: Path) -> None:
    """Take away a result, in one step, and what a killed run left beside it; nothing of it ever comes back."""
    old, new = _beside(folder, "old"), _beside(folder, "new")
    for left in (old, new):
        remove(left)
    if os.path.lexists(folder):
        os.replace(folder, old)
        flush_folder(folder.parent)
        remove(old)


def left_aside(folder: Path) -> list[Path]:
    """What killed runs left half written in an instant's folder; for who holds the lock of it."""
    return [*folder.glob(".*.new"), *folder.glob("*/.*.new"), *folder.glob("*/.*.old")]


def remove(path: Path) -> None:
    """Take away a folder, a file or a link, not what a link points to; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _write_all({aside: text.encode()})
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    flush_folder(path.parent)


def is_whole(folder: Path) -> bool:
    """Whether a folder's manifest is there and every file it lists has the listed bytes."""
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return all(sha256_of((folder / name).read_bytes()) == file["sha256"] for name, file in listed.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def sha256_of(content: str | bytes) -> str:
    """Of bytes, or of a text's UTF-8."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")


def _write_all(contents: Mapping[Path, bytes]) -> None:
    """Files, flushed side by side: a disk commits them together."""
    with contextlib.ExitStack() as opened:
        handles = []
        for path, content in contents.items():
            file = opened.enter_context(path.open("wb", buffering=0))
            file.write(content)
            handles.append(file.fileno())
        if len(handles) == 1:
            os.fsync(handles[0])
        else:
            list(_flushing(os.getpid()).map(os.fsync, handles))


@lru_cache(maxsize=1)
def _flushing(_: int) -> ThreadPoolExecutor:
    """Threads that flush, of this process: they wait on the disk, and starting them takes longer than writing."""
    return ThreadPoolExecutor(_TOGETHER, "optihedge-flush")
