"""The verb doctor: a night looked at before anybody hedges on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from optihedge.cli.options import Data
from optihedge.cli.screen import console_of, print_table, say
from optihedge.frames import counted

DOCTOR = (
    "[bold]Examples[/bold]\n\n"
    "optihedge doctor --data today --before yesterday\n\n"
    "optihedge doctor --data today --store store --model delta_neutral --json\n\n"
    "Exit code 0: nothing found; 1: something is wrong with the night."
)


def doctor(
    data: Data,
    book: Annotated[list[Path] | None, typer.Option("--book", help="Book file; repeat. Default DATA/book.csv.")] = None,
    before: Annotated[Path | None, typer.Option("--before", help="Folder of the night before, books included.")] = None,
    store: Annotated[Path | None, typer.Option("--store", help="Store: verified, and the night before.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", help="Model that will run; repeat.")] = None,
    desk: Annotated[Path | None, typer.Option("--desk", help="Desk file: ledger, folders and disk too.")] = None,
    past: Annotated[bool, typer.Option("--past", help="A past night: its age is not looked at.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is wrong with a night's data, books and models: file, row, problem and remedy; nothing is changed."""
    from optihedge.desk.doctor import doctor as examine

    now = None if past else pd.Timestamp.now("UTC")
    seen = examine(data, books=book, before=before, store=store, models=model or (), desk=desk, now=now)
    if json:
        typer.echo(seen.to_json())
        raise typer.Exit(int(not seen.healthy))
    console = console_of()
    if store is not None and not (store.is_dir() and any(store.iterdir())):
        say(console, f"{store}: nothing is recorded yet, so there is no night before to compare with")
    for due in seen.due.itertuples():
        say(console, f"due {due.time:%Y-%m-%d %H:%M} UTC: {due.instrument} {due.what}")
    if seen.healthy:
        say(console, f"{data}: nothing found")
        return
    rows = [
        (str(f.file), str(f.row or ""), str(f.subject), str(f.problem), str(f.remedy))
        for f in seen.findings.itertuples()
    ]
    print_table(
        console, f"{counted(len(rows), 'finding')} in {data}", ("file", "row", "what", "problem", "remedy"), rows
    )
    raise typer.Exit(1)
