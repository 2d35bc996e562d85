"""Verbs over the past: backtest."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from optihedge.cli.options import Allow, Cluster, Set, book_paths, load_models
from optihedge.cli.screen import console_of, print_frame, say
from optihedge.errors import DataError, SpecError
from optihedge.frames import counted, read_settings

BACKTEST = (
    "[bold]Examples[/bold]\n\n"
    "optihedge backtest delta_neutral --store store --book carry.csv --from 2026-01-01 --beside\n\n"
    "optihedge backtest beta_hedge market_neutral --data today --book shares.csv --from 2025-07-01\n\n"
    "optihedge backtest delta_neutral optimal_hedge --store store --book carry.csv --policy band.toml"
    "\n\noptihedge backtest optimal_hedge --store store --book carry.csv --vary Volatility.sharpe=0.5,1,2\n\n"
    "optihedge backtest --desk desk.toml --from 2026-01-01 --to 2026-03-31\n\n"
    "The book lives on from its first market by itself. Each walk lies in OUT/BOOK/WALK with its page; one that was "
    "done is not done again, so that a sweep that was stopped goes on."
)


def backtest(
    models: Annotated[list[str] | None, typer.Argument(help="Shipped hedging models, or paths of .toml files.")] = None,
    store: Annotated[Path | None, typer.Option("--store", help="Store of recorded markets.")] = None,
    book: Annotated[list[Path] | None, typer.Option("--book", help="Book file; repeat for more.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Instead of a store: a market folder, its shares at its history.")
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="With --data: rows of history between markets.")] = 5,
    rows: Annotated[int, typer.Option("--rows", min=2, help="With --data: rows that each market knows.")] = 252,
    desk: Annotated[
        Path | None, typer.Option("--desk", help="Desk file: its store, books, models and policies.")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="First date or instant.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Last date or instant.")] = None,
    policy: Annotated[list[Path] | None, typer.Option("--policy", help="TOML file of a policy; repeat.")] = None,
    vary: Annotated[list[str] | None, typer.Option("--vary", help="KEY=V1,V2,... of the models; repeat.")] = None,
    change: Set = None,
    broker: Annotated[str, typer.Option("--broker", help="quote, depth or delayed: what becomes of orders.")] = "quote",
    beside: Annotated[bool, typer.Option("--beside", help="Walk the simple hedges beside.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for results.")] = Path("backtests"),
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes side by side.")] = 1,
    cluster: Cluster = None,
    allow: Allow = None,
) -> None:
    """Take books through recorded markets by the step of every night, models, policies and values side by side."""
    from optihedge.batch.stop import Stop
    from optihedge.desk.walks import Walk, folder_of, walk_all, walks_of
    from optihedge.market.store.store import open_store

    console = console_of()
    if desk is not None:
        if models or store or data or book or policy or vary or change or every != 5 or rows != 252:
            raise typer.BadParameter("the desk file says what is walked; leave the rest out", param_hint="--desk")
        kept, walks = _of_desk(desk, since, until, broker, beside, allow)
    else:
        if not models or (store is None) == (data is None) or not (book or data):
            raise typer.BadParameter("name a model, --store and --book; or --data; or --desk", param_hint="MODELS")
        book = book_paths(data, book) if data is not None else book or []
        kept = open_store(store) if store is not None else _of_folder(data, book, out, rows, every)
        chosen = {
            ", ".join(part for part in (name if len(models) > 1 or not values else "", *values) if part): model
            for values in itertools.product(*(_values(one) for one in vary or ()))
            for name, model in load_models(models, allow, [*(change or ()), *values]).items()
        }
        books = _books(book, kept, since, until)
        walks = list(walks_of(kept, books, chosen, _policies(policy), since=since, until=until, broker=broker,
                              beside=beside))  # fmt: skip

    def each(walk: Walk, fresh: bool) -> None:
        say(console, f"{walk.book}, {walk.label}: {folder_of(out, walk)}{'' if fresh else ' (done before)'}")

    with Stop() as stop:
        table = walk_all(walks, kept, out, workers=cluster or workers, stop=stop, each=each)
    print_frame(console, f"{counted(len(table), 'walk')} in {out}", table.set_index("book"))
    raise typer.Exit(int((table["status"] != "done").any()))


def _of_folder(data: Path | None, books: list[Path], out: Path, rows: int, every: int) -> Any:
    from optihedge.batch.books import read_books, refuse_unread
    from optihedge.desk.past import past_store
    from optihedge.market.folder import read_market

    assert data is not None
    market = read_market(data)
    read, failed = read_books(books, market)
    refuse_unread(read, failed)
    held = {name: None for quantities in read.values() for name in quantities.index[quantities != 0]}
    return past_store(market, out / ".past", held, rows=rows, every=every)


def _of_desk(
    desk: Path, since: str | None, until: str | None, broker: str, beside: bool, allow: list[str] | None
) -> Any:
    from optihedge.desk.deskfile import read_desk
    from optihedge.desk.walks import walks_of
    from optihedge.market.store.store import open_store
    from optihedge.trades.checks import Checks

    found = read_desk(desk, allow=tuple(allow or ()))
    kept = open_store(found.store)
    walks: list[Any] = []
    for book in found.books.values():
        held = _books([book.positions], kept, since, until)
        if book.name not in held and len(held) > 1:
            raise DataError(f"{book.positions}: there is no book {book.name} in it; its books are {', '.join(held)}")
        for name in (book.model, *book.challengers):
            model = found.models[name].model
            checks = Checks.of(model.checks).tightened(found.checks, found.venues)
            walks += walks_of(kept, {book.name: held.get(book.name, next(iter(held.values())))}, {name: model},
                              {"": book.policy}, since=since, until=until, broker=broker, checks=checks,
                              beside=beside)  # fmt: skip
    return kept, walks


def _values(text: str) -> list[str]:
    key, sign, values = text.partition("=")
    if not sign or not values:
        raise SpecError(f"--vary {text}: write KEY=V1,V2, for instance Volatility.sharpe=0.5,1,2")
    return [f"{key}={value}" for value in values.split(",")]


def _policies(paths: list[Path] | None) -> dict[str, Mapping[str, Any]]:
    from optihedge.step.policies.policyfile import policy_of

    if not paths:
        return {"": {"type": "Always"}}
    found: dict[str, Mapping[str, Any]] = {}
    for path in paths:
        found[path.stem] = read_settings(path)
        policy_of(found[path.stem], path.name)
    return found


def _books(paths: list[Path], store: Any, since: str | None, until: str | None) -> dict[str, dict[str, float]]:
    """Books as the first market of the span knows them."""
    from optihedge.batch.books import read_books

    listed = store.snapshots(since, until)
    if listed.empty:
        raise DataError(f"store {store.path} has no market from {since} to {until}; widen --from and --to")
    books, failed = read_books(paths, store.open(listed["market"].iloc[0]))
    if failed:
        raise DataError("\n".join(failed.values()))
    return {str(name): {str(k): float(v) for k, v in held.items()} for name, held in books.items()}
