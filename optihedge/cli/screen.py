"""What the verbs print: tables and sentences, plain where nobody watches."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from optihedge.frames import visible

_NAMED = 5  # suspect moves that a message lists


def console_of(stderr: bool = False) -> Console:
    """The terminal, or a page of fixed width into a pipe."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=160)


def say(console: Console, text: object) -> None:
    """One text as it stands, without markup and colours; marks that steer a terminal are written out."""
    console.print(escape(visible(text, keep="\n\t")), highlight=False)


def print_frame(console: Console, title: str, frame: pd.DataFrame) -> None:
    """A frame with its index as first column."""
    from optihedge.display import number

    rows = [
        (str(label), *(number(_as_number(value)) for value in row))
        for label, row in zip(frame.index, frame.itertuples(index=False), strict=True)
    ]
    print_table(console, title, (str(frame.index.name or ""), *map(str, frame.columns)), rows)


def print_table(console: Console, title: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Rows of texts; columns of numbers stand to the right."""
    table = Table(title=escape(visible(title)), title_justify="left", title_style="bold")
    listed = [tuple(row) for row in rows]
    for position, name in enumerate(header):
        numeric = bool(listed) and all(_looks_numeric(row[position]) for row in listed)
        table.add_column(escape(visible(name)), justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*(escape(visible(cell, keep="\n")) for cell in row))
    console.print(table)


def print_suspects(console: Console, found: pd.DataFrame) -> None:
    """Moves of the history that may be errors, where there are any."""
    if len(found):
        from optihedge.risk.problems import describe

        more = f"\n  and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        lines = describe(found.head(_NAMED)).replace("\n", "\n  ")
        what = "these moves of the history may be errors, and the risk wrong with them; mend those that are"
        say(console, f"{what}:\n  {lines}{more}")


def save_trace(trace: str, folder: Path | None = None) -> None:
    """The trace of an internal error as a file, and where it is."""
    where = folder if folder is not None else Path(tempfile.mkdtemp(prefix="optihedge-"))
    where.mkdir(parents=True, exist_ok=True)
    path = where / "internal-error.txt"
    path.write_text(trace, encoding="utf-8")
    say(console_of(stderr=True), f"internal error; its trace is in {path}: please report it")


def _as_number(value: object) -> object:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value).removeprefix("'")


def _looks_numeric(text: str) -> bool:
    return text == "" or not isinstance(_as_number(text.replace(",", "")), str)
