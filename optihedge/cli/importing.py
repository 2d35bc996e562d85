"""The verb import: what venues, brokers and vendors write, to a market folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer
from rich.console import Console

from optihedge.cli.options import AsOf
from optihedge.cli.screen import console_of, print_table, say
from optihedge.errors import OptihedgeError
from optihedge.frames import instant

if TYPE_CHECKING:
    from optihedge.market.snapshot import Market

IMPORT = (
    "[bold]Examples[/bold]\n\n"
    "optihedge import deribit instruments.json tickers.json positions.json account.json --to today\n\n"
    "optihedge run optimal_hedge --data today\n\n"
    "The last line printed is the command that comes next. What was left aside is listed in left.csv with the reason, "
    "what was assumed in import.json. Exit code 1: what is held cannot be valued."
)
Files = Annotated[list[Path], typer.Argument(help="Files of the source, or folders of them; .gz too.")]
Leave = Annotated[
    list[str] | None, typer.Option("--leave", help="Balance or position that the book does without; repeat.")
]
_SHOWN = 12  # rows of what was left aside that the screen shows


def import_(
    source: Annotated[str, typer.Argument(help="Whose files they are: deribit ...")],
    files: Files,
    to: Annotated[Path, typer.Option("--to", help="Folder of the market to write.")],
    base: Annotated[str | None, typer.Option("--base", help="Currency to measure in; default: the source's.")] = None,
    venue: Annotated[str, typer.Option("--venue", help="Name of the venue, for ccxt and tables.")] = "",
    account: Annotated[str, typer.Option("--account", help="Name of the book that positions belong to.")] = "",
    map_: Annotated[Path | None, typer.Option("--map", help="Map of a table's columns, for source csv.")] = None,
    add: Annotated[bool, typer.Option("--add", help="Keep what an earlier import wrote there.")] = False,
    store: Annotated[Path | None, typer.Option("--store", help="Store to record the market in as well.")] = None,
    from_fills: Annotated[
        bool, typer.Option("--from-fills", help="Books are the sum of the fills, marks their last prices.")
    ] = False,
    market: Annotated[
        list[str] | None, typer.Option("--market", help="Price that betas are on (an index, an ETF, BTC); repeat.")
    ] = None,
    leave: Leave = None,
    as_of: AsOf = None,
) -> None:
    """Turn raw files of a venue, a broker or a vendor into a market folder with its book, units converted and named."""
    from optihedge.market.folder import read_market
    from optihedge.market.importers.folder import joined, markets_of, past_of, write_market
    from optihedge.market.importers.from_fills import from_fills as summed
    from optihedge.market.importers.holdings import left_out
    from optihedge.market.importers.instant import marked, market_frames
    from optihedge.market.importers.mapped import read_map
    from optihedge.market.importers.sound import sound
    from optihedge.market.importers.sources import import_files, paths_of

    until = None if as_of is None else instant(as_of, "--as-of")
    paths = paths_of(files)
    settings = None if map_ is None else read_map(map_)
    found = import_files(source, paths, venue=venue, as_of=until, account=account, settings=settings)
    console, now = console_of(), pd.Timestamp.now("UTC")
    try:
        found = summed(found) if from_fills else found
        found = left_out(joined(found, to) if add else found, leave or ())
        frames = sound(market_frames(found, base_currency=base or "", as_of=until, now=now, past=past_of(to)))
        frames = marked(frames, market or (markets_of(to) if add else ()))
    except OptihedgeError:
        _show(console, found.rejected, "left aside")
        raise
    write_market(found, to, frames, {path.name: _sha256(path) for path in paths if path.is_file()})
    _show(console, pd.concat([found.rejected, frames.left]), f"left aside ({to / 'left.csv'} has all)")
    _tell(console, frames.notes, frames.problems)
    counts = f"{len(frames.instruments)} instruments, {len(frames.books)} positions, {len(found.fills)} fills"
    say(console, f"{to}: {counts}, in {frames.base_currency} as of {frames.as_of:%Y-%m-%d %H:%M:%S} UTC")
    try:
        opened = read_market(to)
    except OptihedgeError as error:
        if not frames.problems:
            say(console, f"PROBLEM: {error}")
        raise typer.Exit(1) from None
    if store is not None:
        _record(console, store, to)
    said = {"--map": map_, "--base": base, "--venue": venue, "--account": account, "--as-of": as_of, "--to": to}
    flags = {"--from-fills": from_fills, "--add": add}
    _tell_next(console, to, opened, [source, *map(str, files)], said, flags, whole=not frames.problems)
    raise typer.Exit(int(bool(frames.problems)))


def _record(console: Console, store: Path, to: Path) -> None:
    from optihedge.desk.record import record_folder
    from optihedge.market.store.store import open_store

    recorded = record_folder(open_store(store, create=True), to)
    say(console, f"{store}: recorded as {recorded.market[:12]}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _tell_next(
    console: Console, to: Path, market: Market, given: list[str], said: Mapping[str, object],
    flags: Mapping[str, bool], *, whole: bool,
) -> None:  # fmt: skip
    """The last lines: why, and the command that comes next, unbroken so that it can be copied."""
    from optihedge.cli.next_step import next_step

    options = [str(word) for option, value in said.items() if value for word in (option, value)]
    options += [flag for flag, chosen in flags.items() if chosen]
    why, command = next_step(to, market, given, options, whole=whole)
    say(console, f"next: {why}")
    console.print(command, soft_wrap=True, markup=False, highlight=False)


def _show(console: Console, left: pd.DataFrame, title: str) -> None:
    """The first rows of what was left aside."""
    rows = [
        (str(r.file), f"{r.what}, {r.place}" if r.place else str(r.what), str(r.why), f"{r.count:.0f}")
        for r in left.head(_SHOWN).itertuples()
    ]
    if rows:
        print_table(console, title, ("file", "what", "why", "rows"), rows)


def _tell(console: Console, notes: Iterable[str], problems: Sequence[str]) -> None:
    for note in notes:
        say(console, f"note: {note}")
    for problem in problems[:_SHOWN]:
        say(console, f"PROBLEM: {problem}")
    if len(problems) > _SHOWN:
        say(console, f"PROBLEM: and {len(problems) - _SHOWN} more, in import.json")
