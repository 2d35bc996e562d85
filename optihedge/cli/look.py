"""Verbs that look and leave no list: explain, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from optihedge.cli.options import Allow, AsOf, Books, Data, Model, Set, book_paths, load_models
from optihedge.cli.screen import console_of, print_frame, print_hedge, say
from optihedge.errors import OptihedgeError, SpecError

Hedging = Annotated[list[str] | None, typer.Option("--hedge", help="A driver that hedges; repeat. Default: market.")]
EXPLAIN = "[bold]Example[/bold]\n\noptihedge explain delta_neutral --data data/2026-01-20"
EVALUATE = "[bold]Example[/bold]\n\noptihedge evaluate --data data/2026-01-20 --hedge SPX --plot risk.png"


def explain(
    model: Model,
    data: Data,
    change: Set = None,
    book: Books = None,
    as_of: AsOf = None,
    allow: Allow = None,
) -> None:
    """Hedge and say why: exposures, what each binding limit costs, baselines, the proof; or what must give way."""
    from optihedge.batch.books import read_books, refuse_unread
    from optihedge.hedge.explain import explain as sentences
    from optihedge.market.folder import read_market
    from optihedge.trades.tradelist import trade_list

    loaded = load_models([model], allow, change)
    market = read_market(data, as_of=as_of)
    books, failed = read_books(book_paths(data, book), market)
    refuse_unread(books, failed)
    console = console_of()
    code = int(bool(failed))
    for why in failed.values():
        say(console, f"data: {why}")
    for label, quantities in books.items():
        console.rule(escape(label))
        try:
            listed = trade_list(next(iter(loaded.values())).hedge(market, quantities), book=label)
        except SpecError:
            raise
        except OptihedgeError as error:
            say(console, f"{error.code}: {error}")
            code = 1
            continue
        print_hedge(console, listed.hedge)
        for sentence in sentences(listed.hedge):
            say(console, f"- {sentence}")
        for reason in listed.reasons:
            say(console, f"HELD: {reason}")
        code = max(code, int(listed.held))
    raise typer.Exit(code)


def evaluate(
    data: Data,
    hedge: Hedging = None,
    start: Annotated[int, typer.Option("--start", min=20, help="Rows of history before the first forecast.")] = 252,
    refit: Annotated[int, typer.Option("--refit", min=1, help="Rows between fits.")] = 5,
    plot: Annotated[Path | None, typer.Option("--plot", help="Picture to write: .png, .svg or .pdf.")] = None,
    as_of: AsOf = None,
) -> None:
    """Rank risk estimators on the market's own history: forecasts from past rows only, against what came.

    bias 1 is right, above 1 risk was understated; qlike and variances are against the first estimator, lower is better.
    """
    from optihedge.backtest.evaluate import evaluate_risk, usual_estimators
    from optihedge.market.folder import read_market

    if plot is not None and not (plot.suffix in (".png", ".svg", ".pdf") and plot.parent.is_dir()):
        raise typer.BadParameter(f"{plot}: give a .png, .svg or .pdf in a folder that is there", param_hint="--plot")
    market = read_market(data, as_of=as_of)
    prices = market.drivers.index[market.drivers["kind"].isin(["price", "fx"])]
    marked = market.drivers.index[market.drivers["market"].to_numpy(dtype=bool)]
    result = evaluate_risk(
        usual_estimators(), market.moves()[prices], start=start, refit=refit, hedges=tuple(hedge or marked),
    )  # fmt: skip
    console = console_of()
    print_frame(console, "estimators, best first", result.ranking())
    say(console, str(result).splitlines()[-1])
    if plot is not None:
        result.plot().savefig(plot)
        say(console, f"picture in {plot}")
