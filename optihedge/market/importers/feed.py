"""Messages as they come: a folder that grows, or lines of a stream, as one file so far, in the order of their coming.

A book needs its snapshot and every change since, so the whole so far is read anew at each look: begin another folder or
stream each day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from optihedge.errors import DataError
from optihedge.market.importers.imported import INSTRUMENTS, Imported
from optihedge.market.importers.raw import RawFile, json_values, read_file
from optihedge.market.importers.sources import import_raw, paths_of
from optihedge.market.snapshot import Market


def folder_so_far(folder: Path) -> RawFile:
    """The messages of all files of a folder, file after file by name; a last line that is half written waits.

    Raises DataError for a folder without files.
    """
    values: list[tuple[str, object]] = []
    for path in paths_of([folder]):
        raw = read_file(path)
        if raw.form != "json":
            raise DataError(f"{path.name}: {raw.form} is no stream of messages; a folder to watch holds JSON lines")
        values += [(f"{path.name} {place}", value) for place, value in raw.content]
    return RawFile(folder.name, "json", values)


def lines_so_far(lines: Iterable[str]) -> Iterator[RawFile]:
    """After each line the messages so far."""
    values: list[tuple[str, object]] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            values += [(f"line {number}", value) for _, value in json_values(line)]
            yield RawFile("stream", "json", list(values))


def import_stream(source: str, raw: RawFile, market: Market) -> Imported:
    """What the messages say of a market's contracts, in its units (their terms are the market's)."""
    table = market.instruments.reset_index()
    known = table[[name for name in (*INSTRUMENTS, "settlement_currency") if name in table.columns]]
    venues = {str(name) for name in table.get("venue", pd.Series(dtype=object)) if name}
    venue = next(iter(venues)) if len(venues) == 1 else ""
    return import_raw(source, [raw], venue=venue, known=known.assign(symbol=table.get("symbol", table["instrument"])))
