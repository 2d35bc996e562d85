"""What the verbs print: tables and sentences, plain where nobody watches."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from optihedge.frames import visible

if TYPE_CHECKING:
    from optihedge.hedge.result import Hedge
    from optihedge.market.snapshot import Market

_MOST = 40  # contradictions
_NARROWEST, _PIPED = 20, 160  # characters of a page into a pipe: the least that COLUMNS may say, and without it
_WIDE = 100  # characters of a page on which a table loses columns rather than becoming records
_LONGEST_WORD = 48  # characters of a word that is never broken
_TONES = {"done": "green", "send": "green", "ok": "green", "held": "bold red", "failed": "bold red",
          "skipped": "yellow", "empty": "yellow"}  # fmt: skip
_LIMITED = re.compile(r"^\S.* limited to [\d.,e+-]+ contracts \((?P<why>[^()]*)\)$")


def console_of(stderr: bool = False) -> Console:
    """The terminal, or a page into a pipe: as wide as COLUMNS says, else 160. NO_COLOR is respected."""
    console = Console(stderr=stderr)
    if console.is_terminal:
        return console
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) >= _NARROWEST else _PIPED
    return Console(stderr=stderr, width=width)


def say(console: Console, text: object) -> None:
    """One text as it stands, without markup and colours; marks that steer a terminal are written out."""
    console.print(escape(visible(text, keep="\n\t")), highlight=False)


def print_frame(console: Console, title: str, frame: pd.DataFrame, *, drop: Sequence[str] = ()) -> None:
    """A frame with its index as first column. drop: see `print_table`."""
    from optihedge.display.numbers import numbers

    columns = [numbers(map(_as_number, frame.iloc[:, place])) for place in range(frame.shape[1])]
    rows = list(zip(map(str, frame.index), *columns, strict=True))
    print_table(console, title, (str(frame.index.name or ""), *map(str, frame.columns)), rows, drop=drop)


def print_table(
    console: Console, title: str, header: Iterable[str], rows: Iterable[Iterable[str]], *, drop: Sequence[str] = ()
) -> None:
    """Rows of texts: a table where it fits without breaking a word or number, else one record a block.

    drop   columns that may go, the first first, on a page that is wide (100 characters) and yet too narrow
    """
    names = [visible(name) for name in header]
    listed = [tuple(visible(cell, keep="\n") for cell in row) for row in rows]
    least = _least_widths(names, listed)
    gone = _dropped(names, least, console, drop) if console.width >= _WIDE else set()
    kept = [place for place, name in enumerate(names) if name not in gone]
    if listed and not _fits([least[place] for place in kept], console):
        _print_records(console, title, names, listed)
        return
    names, least = [names[place] for place in kept], [least[place] for place in kept]
    listed = [tuple(row[place] for place in kept) for row in listed]
    table = Table(title=escape(visible(title)), title_justify="left", title_style="bold")
    for place, (name, width) in enumerate(zip(names, _widths(names, listed, least, console), strict=True)):
        numeric = bool(listed) and all(_looks_numeric(row[place]) for row in listed)
        table.add_column(escape(name), justify="right" if numeric else "left", width=width)
    for row in listed:
        table.add_row(*(_toned(cell) for cell in row))
    console.print(table)
    if gone:
        say(console, f"not shown on a page of {console.width} characters: {', '.join(sorted(gone))}")


def _dropped(names: Sequence[str], least: Sequence[int], console: Console, drop: Sequence[str]) -> set[str]:
    """The first of `drop` without which the table fits."""
    gone: set[str] = set()
    for name in drop:
        if _fits([width for width, kept in zip(least, names, strict=True) if kept not in gone], console):
            break
        gone |= {name} & set(names)
    return gone


def _fits(widths: Sequence[int], console: Console) -> bool:
    return sum(widths) + 3 * len(widths) + 1 <= console.width


def _widths(names: Sequence[str], rows: Sequence[Sequence[str]], least: Sequence[int], console: Console) -> list[int]:
    """Of columns that fit: the least, and what room is left to those that have longer texts, the first first."""
    room = console.width - sum(least) - 3 * len(least) - 1
    given = []
    for place, (name, width) in enumerate(zip(names, least, strict=True)):
        more = min(max(cell_len(text) for text in (name, *(row[place] for row in rows))) - width, max(room, 0))
        room -= more
        given.append(width + more)
    return given


def _least_widths(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return [_least_width(name, column) for name, column in zip(names, columns, strict=True)]


def _least_width(name: str, column: Sequence[str]) -> int:
    """The width below which a column would break a number or a word; long texts may be folded at their spaces."""
    words = [word for cell in (name, *column) for word in ([cell] if _looks_numeric(cell) else cell.split())]
    return min(max((cell_len(word) for word in words), default=1), _LONGEST_WORD)


def _print_records(console: Console, title: str, names: list[str], rows: list[tuple[str, ...]]) -> None:
    """A block a row: its first cell, then `name value` pairs, as many on a line as fit; empty cells are left out."""
    console.print(f"[bold]{escape(visible(title))}[/bold]")
    for row in rows:
        console.print(f"[bold]{_toned(row[0]) or '-'}[/bold]", highlight=False)
        line: list[str] = []
        width = 0
        for name, cell in zip(names[1:], row[1:], strict=True):
            size = cell_len(name) + cell_len(cell) + 1
            if line and width + 2 + size > console.width - 2:
                console.print(Padding("  ".join(line), (0, 0, 0, 2), expand=False), highlight=False)
                line, width = [], 0
            if cell:
                line.append(f"[dim]{escape(name)}[/dim] {_toned(cell)}")
                width += size + 2
        if line:
            console.print(Padding("  ".join(line), (0, 0, 0, 2), expand=False), highlight=False)


def _toned(cell: str) -> str:
    """A cell as markup: the word of a verdict in its colour, every other text as it stands."""
    tone = _TONES.get(cell.lower())
    return f"[{tone}]{escape(cell)}[/{tone}]" if tone else escape(cell)


def grouped(notes: Iterable[str]) -> list[str]:
    """Notes that say the same of several contracts as one, with how many: never a wall of names.

    Alike are sentences that begin with different names and end in the same words: 'A limited to 3 contracts (x)'.
    """
    alike: dict[str, list[str]] = {}
    for note in notes:
        found = _LIMITED.match(note)
        alike.setdefault(f"limited by {found['why']}" if found else note, []).append(note)
    return [
        told[0] if len(told) == 1 else f"{len(told)} contracts {what}, {told[0].split(' limited')[0]} first"
        for what, told in alike.items()
    ]


def print_hedge(console: Console, hedge: Hedge) -> None:
    """A hedge as its report has it: headline, tables, notes, proof."""
    from optihedge.hedge.report import ROWS, headline, notes, tables

    for line in headline(hedge):
        say(console, line)
    for name, table in tables(hedge).items():
        whole = table.replace([np.inf, -np.inf], np.nan).iloc[:ROWS]
        print_frame(console, name, whole, drop=("unit", "kind", "target"))
        if len(table) > ROWS:
            say(console, f"and {len(table) - ROWS} more")
    for note in grouped(notes(hedge)):
        say(console, f"note: {note}")
    say(console, hedge.certificate)


def print_contradictions(console: Console, market: Market, books: Mapping[str, pd.Series]) -> list[str]:
    """What the market and its books contradict, and moves that may be errors: a line each, severe ones first; all of
    them as texts.
    """
    from optihedge.risk.contradictions import book_contradictions, find_contradictions

    held = pd.concat([abs(book) for book in books.values()]).groupby(level=0).max() if books else pd.Series(dtype=float)
    found = sorted(
        [*find_contradictions(market), *book_contradictions(market, held)], key=lambda one: one.severity != "severe"
    )
    for one in found[:_MOST]:
        say(console, one)
    if len(found) > _MOST:
        say(console, f"and {len(found) - _MOST} more contradictions")
    return [str(one) for one in found]


def save_trace(trace: str, folder: Path | None = None) -> None:
    """The trace of an internal error as a file, and where it is."""
    where = folder if folder is not None else Path(tempfile.mkdtemp(prefix="optihedge-"))
    where.mkdir(parents=True, exist_ok=True)
    path = where / "internal-error.txt"
    path.write_text(trace, encoding="utf-8")
    say(console_of(stderr=True), f"internal error; its trace is in {path}: please report it")


def _as_number(value: object) -> object:
    """A number as one; a text as it stands: a contract may be called 005930, a hash 325364974231."""
    if isinstance(value, str):
        return value.removeprefix("'")
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value)


def _looks_numeric(text: str) -> bool:
    try:
        float(text.replace(",", "") or 0)
        return True
    except ValueError:
        return False
