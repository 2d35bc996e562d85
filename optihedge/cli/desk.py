"""Verbs of a desk with a ledger: runs, show, diff, approve, hold, send, fills, replay, verify, report, slippage."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer

from optihedge.cli.next_step import next_of_list, next_of_night
from optihedge.cli.screen import console_of, print_frame, say
from optihedge.errors import SpecError

if TYPE_CHECKING:
    from optihedge.desk.deskfile import Desk
    from optihedge.desk.night import Night
    from optihedge.market.snapshot import Market

DeskFile = Annotated[Path, typer.Option("--desk", help="Desk file.")]
Run = Annotated[str, typer.Argument(help="A run: six digits of its id or more, or BOOK@DATE.")]
Who = Annotated[str | None, typer.Option("--as", help="Who you are. Default: $OPTIHEDGE_USER, else the login name.")]
_DESK = Path("desk.toml")
RUNS = "[bold]Examples[/bold]\n\noptihedge runs\n\noptihedge runs carry --desk /srv/desk/desk.toml"
SHOW = "[bold]Examples[/bold]\n\noptihedge show carry@2026-01-20\n\noptihedge show 5df8151b"
APPROVE = (
    "[bold]Example[/bold]\n\noptihedge approve carry@2026-01-20 46ef215dd173 --as ann\n\n"
    "The sha256 (twelve digits or more) is the one that show prints: an approval is of these bytes and no others."
)
HOLD = "[bold]Example[/bold]\n\noptihedge hold carry@2026-01-20 46ef215dd173 --why 'too large before the Fed'"
SEND = (
    "[bold]Example[/bold]\n\noptihedge send carry@2026-01-20\n\n"
    "The list appears in the outbox once, whole, under its book and the first digits of its sha256."
)
FILLS = (
    "[bold]Examples[/bold]\n\noptihedge fills fills.csv --reports reports.csv\n\n"
    "Columns of fills: fill_id, order_id, instrument, quantity, price, fee, money, time, source; of reports: order_id, "
    "time, verdict (filled, cancelled, rejected, expired), why. The same file twice is once."
)
SLIPPAGE = (
    "[bold]Examples[/bold]\n\noptihedge slippage\n\noptihedge slippage carry --from 2026-01-01\n\n"
    "Realised: what fills paid against the mark at which the list was made, and fees; expected: what the list said of "
    "what was filled; opportunity: what the rest moved by until the next night."
)
REPLAY = (
    "[bold]Example[/bold]\n\noptihedge replay carry@2026-01-20\n\nExit code 0: the same bytes; 1: something differs."
)


def who_is(given: str | None) -> str:
    """The name under which something is run or approved."""
    return given or os.environ.get("OPTIHEDGE_USER") or getpass.getuser()


def runs(
    book: Annotated[str | None, typer.Argument(help="Only runs of this book.")] = None, desk: DeskFile = _DESK
) -> None:
    """List every run: its night, what it came to, and where its list is."""
    from optihedge.desk.looking import runs_table

    print_frame(console_of(), f"runs of {desk}", runs_table(_read(desk), book).set_index("run"))


def show(run: Run, desk: DeskFile = _DESK) -> None:
    """Show a run: what it was asked, why it did what it did, its list and the way the list went."""
    from optihedge.desk.looking import shown

    console, read = console_of(), _read(desk)
    seen = shown(read, run)
    for line in seen.lines:
        say(console, line)
    if len(seen.trades):
        print_frame(console, "list", seen.trades.set_index("instrument"))
    print_frame(console, "log", seen.log.set_index("at"))
    if command := next_of_list(seen.row, read.approval, desk):
        say(console, f"next: {command}")


def diff(
    first: Annotated[str, typer.Argument(help="A run, or BOOK@DATE.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    desk: DeskFile = _DESK,
) -> None:
    """Say what two runs were asked differently, and what that did to positions and list."""
    from optihedge.desk.looking import difference

    console, seen = console_of(), difference(_read(desk), first, second)
    for line in seen.lines:
        say(console, line)
    for title, table in seen.tables.items():
        print_frame(console, title, table)


def approve(
    run: Run,
    sha256: Annotated[str, typer.Argument(help="The list's sha256, twelve digits or more.")],
    desk: DeskFile = _DESK,
    who: Who = None,
) -> None:
    """Approve a list, by its bytes; whoever ran it may not."""
    from optihedge.desk.outbox import approve as approve_list

    done = approve_list(_read(desk), run, sha256, who_is(who))
    say(console_of(), f"{done.book}, run {done.run[:12]}: {done.lines} lines approved by {who_is(who)}")


def hold(
    run: Run,
    sha256: Annotated[str, typer.Argument(help="The list's sha256, twelve digits or more.")],
    why: Annotated[str, typer.Option("--why", help="Why it must not go.")],
    desk: DeskFile = _DESK,
    who: Who = None,
) -> None:
    """Hold a list back that has not left."""
    from optihedge.desk.outbox import hold as hold_list

    done = hold_list(_read(desk), run, sha256, who_is(who), why)
    say(console_of(), f"{done.book}, run {done.run[:12]}: held back by {who_is(who)}: {why}")


def send(run: Run, desk: DeskFile = _DESK) -> None:
    """Put an approved list into the outbox, once."""
    from optihedge.desk.outbox import send as send_list

    done = send_list(_read(desk), run)
    say(console_of(), f"{done.path}: {done.lines} lines, sha256 {done.sha256}")


def fills(
    file: Annotated[
        Path | None, typer.Argument(help="Fills: .csv or .parquet; none where there are only words.")
    ] = None,
    reports: Annotated[Path | None, typer.Option("--reports", help="Final words on orders: .csv or .parquet.")] = None,
    book: Annotated[str, typer.Option("--book", help="Book of fills that belong to no order of ours.")] = "",
    desk: DeskFile = _DESK,
) -> None:
    """Import what was traded, and final words on orders; all of it or nothing."""
    from optihedge.desk.importing import import_told

    if file is None and reports is None:
        raise SpecError("fills: nothing to import; give a file of fills, --reports, or both")
    done = import_told(_read(desk), file, reports, book=book)
    say(console_of(), f"{done.fills} fills new, {done.known} known already, {done.reports} final words new")


def replay(run: Run, desk: DeskFile = _DESK) -> None:
    """Compute a run again from what the ledger kept, and compare every byte."""
    from optihedge.desk.replay import replay as again

    console, done = console_of(), again(_read(desk), run)
    if done.others:
        told = "last digits, texts and what a state holds may differ, the list should not"
        say(console, f"not those of the run: {', '.join(done.others)}; {told}")
    for difference in done.differences:
        say(console, difference)
    if done.differences and done.others:
        say(console, "the run was made by another version, which gives its bytes; this one gives what is told above")
    if not done.differences:
        say(console, f"{done.run[:12]}: the same bytes")
    raise typer.Exit(int(bool(done.differences)))


def verify(desk: DeskFile = _DESK) -> None:
    """Check every text, chain, fill, folder and snapshot of a desk; exit code 1 where something is wrong."""
    from optihedge.desk.replay import verify as faults

    console, found = console_of(), faults(_read(desk))
    for row in found.itertuples():
        say(console, f"{row.where}: {row.problem}")
    if found.empty:
        say(console, f"{desk}: all agrees")
    raise typer.Exit(int(len(found) > 0))


def report(
    book: Annotated[str | None, typer.Argument(help="Only this book.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="From this date or instant on.")] = None,
    desk: DeskFile = _DESK,
) -> None:
    """Tell what the nights came to: equity, where its change came from, and what trading was to cost."""
    from optihedge.desk.challengers import beside_challengers
    from optihedge.desk.looking import nights_table

    console, read = console_of(), _read(desk)
    found = nights_table(read, book, since)
    print_frame(console, f"nights of {desk}", found.nights.set_index("book"))
    for text in found.failed:
        say(console, text)
    if found.parts.size:
        print_frame(console, "where the money came from, base currency", found.parts)
    if len(found.drift):
        print_frame(console, "realised P&L over its forecast, root mean square", found.drift)
    beside = beside_challengers(read, book) if any(one.challengers for one in read.books.values()) else None
    if beside is not None and len(beside):
        print_frame(
            console, "challengers' lists over those that were made, until the next night", beside.set_index("book")
        )


def slippage(
    book: Annotated[str | None, typer.Argument(help="Only this book.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Lists from this date or instant on.")] = None,
    desk: DeskFile = _DESK,
) -> None:
    """Tell what the lists that left cost beside what was expected: by line, then by book, in base currency and bp."""
    from optihedge.desk.execution import executed

    console, found = console_of(), executed(_read(desk), book, since)
    if len(found.lines):
        shown = found.lines[["as_of", "instrument", "wanted", "filled", "arrival", "average", "realised", "expected",
                             "excess", "opportunity"]]  # fmt: skip
        print_frame(console, f"lines of {desk}", shown.set_index(found.lines["book"]))
        print_frame(console, "by book, base currency", found.books)
    for why in found.failed.values():
        say(console_of(stderr=True), why)
    raise typer.Exit(int(bool(found.failed)))


def _read(path: Path) -> Desk:
    from optihedge.desk.deskfile import read_desk

    return read_desk(path)


def run_desk(
    desk: Path, as_of: str | None, who: str | None, allow: list[str] | None, *, json_log: bool, quiet: bool,
    books: tuple[str, ...],
) -> int:  # fmt: skip
    """Run a desk's night, of all its books or of these, and print what became of each; the exit code."""
    from optihedge.batch.refusals import refuse_future, refuse_stale
    from optihedge.batch.stop import Stop
    from optihedge.desk.deskfile import read_desk
    from optihedge.desk.doctor import doctor
    from optihedge.desk.journal import Journal
    from optihedge.desk.metrics import write_metrics
    from optihedge.desk.night import run_night

    found = read_desk(desk, allow=tuple(allow or ()))
    journal = Journal(json_log)

    def check(market: Market) -> None:
        now = pd.Timestamp.now("UTC")
        refuse_future(market, now)
        if as_of is None:
            refuse_stale(market, now, {})

    with Stop() as stop:
        night = run_night(found, as_of=as_of, who=who_is(who), tell=journal.tell, check=check, stop=stop,
                          books=books, look=lambda folder: doctor(folder, books=[]).findings)  # fmt: skip
    if found.metrics is not None:
        write_metrics(found.metrics, night)
    for text in night.strayed:
        say(console_of(stderr=True), text)
    if not (json_log or quiet):
        for text in night.recovered:
            say(console_of(), f"recovered: {text}")
        _print_night(desk, found, night)
    return night.code


def _print_night(path: Path, desk: Desk, night: Night) -> None:
    """What became of each book, and what comes next."""
    from optihedge.desk.ledger.runs import SEND
    from optihedge.desk.looking import rows_of

    said = [{"run": one.run[:12], "new": "" if one.new or not one.run else "known"} for one in night.results]
    rows = pd.DataFrame([vars(one) | more for one, more in zip(night.results, said, strict=True)])
    title = f"{path}: {night.as_of:%Y-%m-%d %H:%M} UTC"
    print_frame(console_of(), title, rows.drop(columns=[] if rows["bug"].any() else "bug").set_index("book"))
    sent = [one for one in night.results if one.role == SEND]
    for text in next_of_night(sent, rows_of(desk, [one.run for one in sent if one.lines]), desk.approval, path):
        say(console_of(), f"next: {text}")
