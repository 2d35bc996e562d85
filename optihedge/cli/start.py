"""Verbs to start with: demo, desk, check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from optihedge.cli.night import probed, run_books, told
from optihedge.cli.options import Allow, AsOf, Books, Data, Models, book_paths, load_models
from optihedge.cli.screen import console_of, print_contradictions, print_table, say
from optihedge.errors import DataError, NotApplicable, OptihedgeError

DEMO = "[bold]Example[/bold]\n\noptihedge demo --out demo"
DESK = (
    "[bold]Example[/bold]\n\noptihedge desk --data today --model delta_neutral\n\n"
    "Then: optihedge run --desk desk.toml, and optihedge show BOOK@DATE."
)
CHECK = "[bold]Example[/bold]\n\noptihedge check delta_neutral --data data/2026-01-20"


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the example market and its results.")] = Path("out"),
) -> None:
    """Hedge the embedded example: a long-short stock book with short index options, on real prices of 2016."""
    from optihedge.batch.stop import Stop
    from optihedge.example import AS_OF, write_example
    from optihedge.hedge.modelfile import load_model, model_names

    probed(out)
    data = write_example(out / "example")
    models = {name: load_model(name) for name in model_names()}
    say(
        console_of(),
        f"Example market written to {data}: real closes of 30 June 2016; spreads, fees, volumes and "
        "option premiums are assumptions, labelled in instruments.csv.",
    )
    send = "optimal_hedge"
    as_of = AS_OF.strftime("%Y-%m-%dT%H:%M:%SZ")
    book = data / "book.csv"
    with Stop() as stop, told(out) as status:
        code = run_books(models, data, [book], out, as_of=as_of, stop=stop, told=status, show=send, send=send)
        raise typer.Exit(code)


def desk(
    data: Data,
    model: Annotated[str, typer.Option("--model", help="Shipped hedging model, or path of a .toml file.")],
    to: Annotated[Path, typer.Option("--to", help="Folder of the desk.")] = Path("."),
) -> None:
    """Write a desk file: a market's folder with its book, a model, a store and a ledger."""
    from optihedge.desk.first import write_desk

    say(console_of(), f"{write_desk(to, data, model)} written; read it, then: optihedge run --desk {to / 'desk.toml'}")


def check(models: Models, data: Data, book: Books = None, as_of: AsOf = None, allow: Allow = None) -> None:
    """Read and validate the market, the books and the models; build every problem; solve nothing.

    Without --as-of it also says whether run would refuse the quotes as too old.
    """
    from optihedge.batch.books import read_books, refuse_unread
    from optihedge.batch.refusals import refuse_stale
    from optihedge.hedge.costs import uncharged
    from optihedge.market.folder import read_market

    loaded = load_models(models, allow)
    market = read_market(data, as_of=as_of)
    console = console_of()
    say(console, repr(market))
    books, failed = read_books(book_paths(data, book), market)
    print_contradictions(console, market, books)
    refuse_unread(books, failed)
    rows = [(name, "", "failed", why) for name, why in failed.items()]
    for label, quantities in books.items():
        for name, model in loaded.items():
            try:
                problem = model.problem(market, quantities)
                n, k, s, m = problem.program.size
                told = [f"{n} columns, {k + s} risk rows, {m} limits", *uncharged(market, problem)]
                rows.append((label, name, "ok", "; ".join(told)))
            except NotApplicable as error:
                rows.append((label, name, "skipped", str(error)))
            except OptihedgeError as error:
                rows.append((label, name, "failed", f"{error.code}: {error}"))
    print_table(console, "checked", ("book", "model", "status", "what"), rows)
    if as_of is None:
        try:
            refuse_stale(market, pd.Timestamp.now("UTC"), books)
        except DataError as error:
            say(console, f"run would refuse: {error}")
    served = {label for label, _, status, _ in rows if status == "ok"}
    bad = any(status == "failed" for _, _, status, _ in rows) or any(label not in served for label in books)
    raise typer.Exit(int(bad))
