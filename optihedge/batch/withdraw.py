"""What earlier runs left at an instant, found and taken away: no list of theirs passes for one of this run."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optihedge.batch.orders import WITHDRAWN, Order
from optihedge.batch.output import MANIFEST, discard, left_aside, remove, sha256_of

SENT, ALTERNATIVE, HELD = "trades.csv", "ALTERNATIVE.csv", "held.csv"


@dataclass(frozen=True)
class Earlier:
    """A result of an earlier run. order: its list, where it was one to send."""

    folder: Path
    book: str
    model: str
    order: Order | None


def earlier_results(folder: Path) -> list[Earlier]:
    """The results in the folder of an instant, sorted: every BOOK/MODEL with a manifest or a list, whole or torn."""
    found = []
    for result in sorted(path for path in folder.glob("*/*") if path.is_dir() and not path.name.startswith(".")):
        if any((result / name).is_file() for name in (MANIFEST, SENT, ALTERNATIVE, HELD)):
            book, model = _named(result)
            found.append(Earlier(result, book, model, _order(result, folder, book, model)))
    return found


def take_away(folder: Path, earlier: Sequence[Earlier]) -> dict[Path, str]:
    """Remove results and what a killed run left half written; by folder why one of them could not be removed."""
    stuck = {}
    for result in earlier:
        try:
            discard(result.folder)
        except OSError as error:
            stuck[result.folder] = str(error)
    for left in left_aside(folder):
        try:
            remove(left)
        except OSError as error:
            stuck[left] = str(error)
    for result in earlier:
        with contextlib.suppress(OSError):  # other models, or files of the desk's own
            result.folder.parent.rmdir()
    return stuck


def _named(result: Path) -> tuple[str, str]:
    """Book and model as its manifest has them, else its folders."""
    try:
        about = json.loads((result / MANIFEST).read_text(encoding="utf-8"))
        return str(about["book"]), str(about["model"])
    except (OSError, ValueError, KeyError, TypeError):
        return result.parent.name, result.name


def _order(result: Path, folder: Path, book: str, model: str) -> Order | None:
    try:
        content = (result / SENT).read_bytes()
    except OSError:
        return None
    lines = max(sum(1 for _ in csv.reader(content.decode(errors="replace").splitlines())) - 1, 0)
    path = (result / SENT).relative_to(folder).as_posix()
    return Order(book, model, WITHDRAWN, path, sha256_of(content), lines)
