"""The verb monitor: fresh messages, and what the policy would do; nothing is written."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optihedge.cli.options import AsOf, load_models
from optihedge.cli.screen import console_of, say
from optihedge.errors import DataError, SpecError
from optihedge.frames import read_settings

if TYPE_CHECKING:
    from optihedge.desk.watching import Stand
    from optihedge.market.importers.raw import RawFile
    from optihedge.step.policies.base import Policy

MONITOR = (
    "[bold]Examples[/bold]\n\n"
    "optihedge monitor delta_neutral --data today --source deribit --stream messages/ --policy policy.toml\n\n"
    "recorder | optihedge monitor delta_neutral --data today --source deribit --stream - --once\n\n"
    "optihedge monitor --desk desk.toml --book one --source deribit --stream messages/\n\n"
    "With --desk the book, its model and its policy are those of the desk, its state is the ledger's after its last "
    "night; fills told and events recorded since count. Otherwise the book stands as after the night of DATA. Every "
    "look starts from there, and nothing is kept. A policy file holds one table: "
    'type = "Band", exposure = "delta", by = "underlying", width = 2e4. Exit code 0: the policy waits '
    "at the last look; 1: it acts."
)


def monitor(
    source: Annotated[str, typer.Option("--source", help="Whose messages they are: deribit, okx, ...")],
    stream: Annotated[Path, typer.Option("--stream", help="Folder of messages that grows; - is standard input.")],
    model: Annotated[str | None, typer.Argument(help="Name of a shipped model, or path of a .toml file.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the market.")] = None,
    desk: Annotated[Path | None, typer.Option("--desk", help="Desk file: the book as its ledger has it.")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="TOML table; default type = 'CostBenefit'.")] = None,
    book: Annotated[Path | None, typer.Option("--book", help="Book file (DATA/book.csv), or a desk's book.")] = None,
    every: Annotated[float, typer.Option("--every", min=0.0, help="Seconds between two looks.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="One look: at the folder as it is, or at the end.")] = False,
    rungs: Annotated[bool, typer.Option("--rungs", help="Say at which spot, vol or day the policy next acts.")] = False,
    as_of: AsOf = None,
) -> None:
    """Say when the policy of a book acts, as quotes come in; the book's state is never advanced."""
    from optihedge.desk.watching import look
    from optihedge.market.importers.feed import import_stream

    rule = None if policy is None else _policy(policy)
    stand = _of_desk(desk, book) if desk is not None else _of_folder(data, book, model, as_of)
    hedging = stand.model if desk is None or model is None else next(iter(load_models([model], None).values()))
    console, acts = console_of(), False
    for raw in _looks(stream, every, once):
        found = import_stream(source, raw, stand.market)
        seen = look(stand.state, stand.market, found, hedging, rule or stand.policy, rungs=rungs, since=stand.since)
        if seen is None:
            say(console, f"no quote of this market after {stand.market.as_of:%Y-%m-%d %H:%M:%S} UTC yet")
            continue
        acts = seen.acts
        say(console, str(seen))
    raise typer.Exit(int(acts))


def _of_folder(data: Path | None, book: Path | None, model: str | None, as_of: str | None) -> Stand:
    """The book of a market folder, as after its list."""
    from optihedge.desk.watching import Stand, hedged_state
    from optihedge.market.book import read_book
    from optihedge.market.folder import read_market
    from optihedge.step.policies.bands import CostBenefit

    if data is None or model is None:
        raise SpecError("monitor needs a model and --data, or --desk")
    (hedging,) = load_models([model], None).values()
    market = read_market(data, as_of=as_of)
    path = book or data / "book.csv"
    held = read_book(path, market)
    if isinstance(held, dict):
        raise DataError(f"{path} holds several books ({', '.join(held)}); give a file of one with --book")
    return Stand(hedged_state(path.stem, market, held), market, hedging, CostBenefit())


def _of_desk(desk: Path, book: Path | None) -> Stand:
    """The book as a desk's ledger has it; the only one where none is named."""
    from optihedge.desk.deskfile import read_desk
    from optihedge.desk.watching import ledger_stand

    whole = read_desk(desk)
    if book is None and len(whole.books) != 1:
        raise SpecError(f"{desk.name} has the books {', '.join(whole.books)}; name one with --book")
    return ledger_stand(whole, next(iter(whole.books)) if book is None else str(book))


def _looks(stream: Path, every: float, once: bool) -> Iterator[RawFile]:
    """The messages so far, at each look."""
    from optihedge.market.importers.feed import folder_so_far, lines_so_far

    if str(stream) == "-":
        last, latest = time.monotonic(), None
        for latest in lines_so_far(sys.stdin):
            if not once and time.monotonic() - last >= every:
                yield latest
                last, latest = time.monotonic(), None
        if latest is not None:
            yield latest
        return
    before: object = None
    while True:
        now = [(str(p), p.stat().st_size) for p in sorted(stream.rglob("*")) if p.is_file()]
        if now != before or once:
            yield folder_so_far(stream)
        before = now
        if once:
            return
        time.sleep(every)


def _policy(path: Path) -> Policy:
    from optihedge.step.policies.policyfile import policy_of

    return policy_of(read_settings(path), str(path))
