"""Verbs that ask what if, and leave no list: models, init, compare, frontier, scenario, serve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optihedge.cli.desk import who_is
from optihedge.cli.options import Allow, AsOf, Books, Data, Model, Set, book_paths, load_models
from optihedge.cli.screen import console_of, print_frame, print_table, say
from optihedge.errors import DataError, SpecError

if TYPE_CHECKING:
    import pandas as pd

    from optihedge.desk.past_page import Past
    from optihedge.market.snapshot import Market

MODELS = "[bold]Examples[/bold]\n\noptihedge models\n\noptihedge models optimal_hedge > my_model.toml"
INIT = "[bold]Example[/bold]\n\noptihedge init desk --model beta_hedge"
COMPARE = (
    "[bold]Examples[/bold]\n\n"
    "optihedge compare beta_hedge optimal_hedge --data data/2026-01-20\n\n"
    "optihedge compare optimal_hedge --vary Volatility.sharpe=0.5,1,2 --data data/2026-01-20\n\n"
    "optihedge compare delta_neutral --vary 'Neutral\\[vega].band=5000,10000' --data data/2026-01-20"
)
FRONTIER = (
    "[bold]Examples[/bold]\n\n"
    "optihedge frontier optimal_hedge --data data/2026-01-20 --plot frontier.png\n\n"
    "optihedge frontier optimal_hedge --data data/2026-01-20 --values 0.25,0.5,1,2"
)
SERVE = (
    "[bold]Examples[/bold]\n\noptihedge serve --data data/2026-01-20 --out out optimal_hedge beta_hedge\n\n"
    "optihedge serve --data data/2026-01-20 --desk desk.toml --allow-approve --as ben"
)
SCENARIO = "[bold]Example[/bold]\n\noptihedge scenario optimal_hedge --data data/2026-01-20"
_FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the model's own value: the default frontier


def models(
    name: Annotated[str | None, typer.Argument(help="A shipped model: its file is printed as it stands.")] = None,
) -> None:
    """List the shipped hedging models, or print one's file to start your own from."""
    from optihedge.hedge.modelfile import load_model, model_names, model_text

    if name is not None:
        typer.echo(model_text(name), nl=False)
        return
    rows = [(one, load_model(one).description) for one in model_names()]
    print_table(console_of(), "hedging models", ("model", "what it does"), rows)


def init(
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet, or is empty.")],
    model: Annotated[str, typer.Option("--model", help="The shipped model to start from.")] = "optimal_hedge",
) -> None:
    """Make a folder to start from: a small market, a book, a model file, and what each column means."""
    from optihedge.desk.starter import write_start
    from optihedge.hedge.modelfile import model_text

    write_start(folder, model_text(model))
    console = console_of()
    say(
        console,
        f"{folder} holds a small market, a book and model.toml ({model}); README.md says what each column means",
    )
    say(console, f"next: optihedge run {folder / 'model.toml'} --data {folder} --out out")


def compare(
    models: Annotated[list[str], typer.Argument(help="Names of shipped hedging models, or paths of .toml files.")],
    data: Data,
    vary: Annotated[str | None, typer.Option("--vary", help="KEY=V1,V2,...: one column a value.")] = None,
    change: Set = None,
    book: Books = None,
    as_of: AsOf = None,
    allow: Allow = None,
) -> None:
    """Models, or values of one, side by side: verdict, risk, cost, exposures. No list is written."""
    from optihedge.trades.compare import compare as side_by_side

    market, books = _read(data, book, as_of)
    if vary is None:
        chosen = load_models(models, allow, change)
    else:
        key, sign, values = vary.partition("=")
        if not sign or not values:
            raise SpecError(f"--vary {vary}: write KEY=V1,V2, for instance Volatility.sharpe=0.5,1,2")
        chosen = {
            f"{name}, {key}={value}" if len(models) > 1 else f"{key}={value}": one
            for value in values.split(",")
            for name, one in load_models(models, allow, [*(change or ()), f"{key}={value}"]).items()
        }
    for label, quantities in books.items():
        print_frame(console_of(), label, side_by_side(market, quantities, chosen))


def frontier(
    model: Model,
    data: Data,
    values: Annotated[str | None, typer.Option("--values", help="V1,V2,...: sharpes (or aversions).")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Picture to write: .png, .svg or .pdf.")] = None,
    change: Set = None,
    book: Books = None,
    as_of: AsOf = None,
    allow: Allow = None,
) -> None:
    """What less risk costs: one hedge a value of the price of risk, volatility against cost. No list is written."""
    from optihedge.hedge.frontier import own_value

    (chosen,) = load_models([model], allow, change).values()
    try:
        asked = None if values is None else [float(value) for value in values.split(",")]
    except ValueError:
        raise SpecError(f"--values {values}: write numbers with commas between, for instance 0.25,0.5,1") from None
    market, books = _read(data, book, as_of)
    if plot is not None and (plot.suffix not in (".png", ".svg", ".pdf") or len(books) > 1):
        raise SpecError(f"--plot {plot}: give a .png, .svg or .pdf, and one book")
    for label, quantities in books.items():
        own = 1.0 if asked is not None else own_value(chosen, chosen.problem(market, quantities).size)
        found = chosen.frontier(market, quantities, asked or [own * factor for factor in _FACTORS])
        print_frame(console_of(), label, found.table)
        if plot is not None:
            found.plot().savefig(plot)
            say(console_of(), f"picture in {plot}")


def scenario(
    model: Model, data: Data, change: Set = None, book: Books = None, as_of: AsOf = None, allow: Allow = None
) -> None:
    """P&L of each book before and after its hedge: stresses, the worst of the model's own scenario sources, and the
    tails of recorded moves and of those sources. No list is written."""
    from optihedge.trades.scenario_panels import scenario_tables, stresses, tails
    from optihedge.trades.tradelist import trade_list

    (chosen,) = load_models([model], allow, change).values()
    market, books = _read(data, book, as_of)
    for label, quantities in books.items():
        listed = trade_list(chosen.hedge(market, quantities), book=label)
        console = console_of()
        print_frame(console, f"{label}: P&L under stresses, {market.base_currency}", stresses(listed.hedge))
        for worst in scenario_tables(listed.hedge):
            print_frame(console, f"{label}: P&L in the {worst.index.name}, {market.base_currency}", worst)
        found = tails(listed.hedge)
        if len(found):
            print_frame(console, f"{label}: losses of one period over the recorded moves", found)
        for reason in listed.reasons:
            say(console_of(stderr=True), f"HELD: {reason}")


def serve(
    data: Data,
    models: Annotated[list[str] | None, typer.Argument(help="Models to choose from. Default: all shipped.")] = None,
    book: Books = None,
    as_of: AsOf = None,
    out: Annotated[Path | None, typer.Option("--out", help="Show the runs of this folder, too.")] = None,
    desk: Annotated[Path | None, typer.Option("--desk", help="Show the runs of this desk's ledger, too.")] = None,
    allow_approve: Annotated[
        bool, typer.Option("--allow-approve", help="With --desk: lists may be approved and held back, by --as.")
    ] = False,
    who: Annotated[str | None, typer.Option("--as", help="Who says so. Default: $OPTIHEDGE_USER, else login.")] = None,
    port: Annotated[int, typer.Option("--port", help="Port on this machine, 1024 or more.")] = 5006,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> None:
    """A page in the browser: move a number of a model, leave lines out, see trades, cost, risk and shadow prices; and
    the runs that were.

    Served to this machine alone (127.0.0.1). Nothing is sent, and nothing is written but, with --allow-approve, who
    approved or held back a list: the ledger keeps the name.
    """
    from optihedge.desk.what_if import serve as serve_page
    from optihedge.hedge.modelfile import model_names

    if not 1024 <= port < 65536:
        raise typer.BadParameter(f"{port} is no port for everybody; give 1024 to 65535", param_hint="--port")
    if allow_approve and desk is None:
        raise typer.BadParameter("lists are approved in a desk's ledger; give --desk", param_hint="--allow-approve")
    chosen = tuple(models or model_names())
    load_models(chosen, None)
    market, books = _read(data, book, as_of)
    name = who_is(who) if allow_approve else None
    told = "nothing is written" if name is None else f"what is approved is written as said by {name}"
    say(console_of(), f"http://127.0.0.1:{port}: stop with Ctrl-C; {told}")
    serve_page(market, books, chosen, port=port, show=open_browser, past=_past(out, desk, name))


def _past(out: Path | None, desk: Path | None, who: str | None) -> Callable[[], list[Past]] | None:
    """How the runs of a folder and of a desk are read, each time that somebody looks; None for neither."""
    if out is None and desk is None:
        return None
    from optihedge.desk.past_page import of_desk, of_folder

    if desk is not None:
        from optihedge.desk.deskfile import read_desk

        found = read_desk(desk)
        return lambda: [*of_desk(found, who), *(of_folder(out) if out is not None else [])]
    return lambda: of_folder(out) if out is not None else []


def _read(data: Path, book: list[Path] | None, as_of: str | None) -> tuple[Market, dict[str, pd.Series]]:
    from optihedge.batch.books import read_books
    from optihedge.market.folder import read_market

    market = read_market(data, as_of=as_of)
    books, failed = read_books(book_paths(data, book), market)
    if failed:
        raise DataError("\n".join(failed.values()))
    return market, books
