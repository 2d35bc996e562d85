"""The verb monitor: fresh messages, and what the policy would do; nothing is written."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optihedge.cli.options import AsOf, Data, load_models
from optihedge.cli.screen import console_of, say
from optihedge.errors import DataError, SpecError

if TYPE_CHECKING:
    from optihedge.market.importers.raw import RawFile

MONITOR = (
    "[bold]Examples[/bold]\n\n"
    "optihedge monitor delta_neutral --data today --source deribit --stream messages/ --policy policy.toml\n\n"
    "recorder | optihedge monitor delta_neutral --data today --source deribit --stream - --once\n\n"
    "The book stands as after the night of DATA; every look starts from there, and nothing is kept. A policy file "
    'holds one table: type = "Band", exposure = "delta", by = "underlying", width = 2e4. Exit code 0: the policy waits '
    "at the last look; 1: it acts."
)


def monitor(
    model: Annotated[str, typer.Argument(help="Name of a shipped hedging model, or path of a .toml file.")],
    data: Data,
    source: Annotated[str, typer.Option("--source", help="Whose messages they are: deribit, okx, ...")],
    stream: Annotated[Path, typer.Option("--stream", help="Folder of messages that grows; - is standard input.")],
    policy: Annotated[Path | None, typer.Option("--policy", help="TOML table; default type = 'CostBenefit'.")] = None,
    book: Annotated[Path | None, typer.Option("--book", help="Book file. Default DATA/book.csv.")] = None,
    every: Annotated[float, typer.Option("--every", min=0.0, help="Seconds between two looks.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="One look: at the folder as it is, or at the end.")] = False,
    rungs: Annotated[bool, typer.Option("--rungs", help="Say at which spot, vol or day the policy next acts.")] = False,
    as_of: AsOf = None,
) -> None:
    """Say when the policy of a book acts, as quotes come in; the book's state is never advanced."""
    from optihedge.desk.watching import hedged_state, look
    from optihedge.market.book import read_book
    from optihedge.market.importers.feed import import_stream
    from optihedge.market.snapshot import read_market
    from optihedge.step.policies.bands import CostBenefit

    (hedging,) = load_models([model], None).values()
    rule = CostBenefit() if policy is None else _policy(policy)
    market = read_market(data, as_of=as_of)
    path = book or data / "book.csv"
    held = read_book(path, market)
    if isinstance(held, dict):
        raise DataError(f"{path} holds several books ({', '.join(held)}); give a file of one with --book")
    state = hedged_state(path.stem, market, held)
    console, acts = console_of(), False
    for raw in _looks(stream, every, once):
        seen = look(state, market, import_stream(source, raw, market), hedging, rule, rungs=rungs)
        if seen is None:
            say(console, f"no quote of this market after {market.as_of:%Y-%m-%d %H:%M:%S} UTC yet")
            continue
        acts = seen.acts
        say(console, str(seen))
    raise typer.Exit(int(acts))


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


def _policy(path: Path):  # type: ignore[no-untyped-def]
    import tomllib

    from optihedge.step.policies.policyfile import policy_of

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecError(f"{path}: {error}") from None
    return policy_of(table, str(path))
