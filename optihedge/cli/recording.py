"""The verb record: markets into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from optihedge.cli.options import AsOf
from optihedge.cli.screen import console_of, say
from optihedge.frames import counted

RECORD = (
    "[bold]Examples[/bold]\n\n"
    "optihedge record today --store store\n\n"
    "optihedge record data/2026-01-* --store store\n\n"
    "A folder's events.csv is recorded with it. A second market of the same instant is a correction: it stands from "
    "--known-at on. Recording the same again changes nothing."
)


def record(
    folders: Annotated[list[Path], typer.Argument(help="Folders of markets, in any order.")],
    store: Annotated[Path, typer.Option("--store", help="Folder of the store; made where there is none.")],
    as_of: AsOf = None,
    known_at: Annotated[
        str | None, typer.Option("--known-at", help="When this was known; default: as_of, of a correction now.")
    ] = None,
) -> None:
    """Record markets in a store, for ever, and derive tonight's rows of history (levels, smile, funding)."""
    from optihedge.desk.record import record_folder
    from optihedge.market.store.store import open_store

    kept = open_store(store, create=True)
    console = console_of()
    for folder in folders:
        done = record_folder(kept, folder, as_of=as_of, known_at=known_at)
        rows = ", ".join(f"{count} {name}" for name, count in done.derived.items()) or "none"
        if done.events:
            rows += f"; {counted(done.events, 'new event')}"
        say(
            console,
            f"{folder}: {done.as_of:%Y-%m-%d %H:%M:%S} UTC is {done.market[:12]}; rows added to history: {rows}",
        )
        for finding in done.findings:
            say(console, f"note: {finding}")
