"""Verbs of a list at work: schedule, liquidity, quote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optihedge.cli.options import Allow, AsOf, Books, Data, Model, Set, book_paths, load_models
from optihedge.cli.screen import console_of, print_frame, say
from optihedge.errors import OptihedgeError, SpecError
from optihedge.frames import counted
from optihedge.frames.times import instant

if TYPE_CHECKING:
    import pandas as pd

    from optihedge.hedge.result import Hedge

_MOST_ROWS = 30  # of a table on the screen
SCHEDULE = (
    "[bold]Examples[/bold]\n\n"
    "optihedge schedule delta_neutral --data data/2026-01-20 --slices 6 --session 6h --to slices.csv\n\n"
    "optihedge schedule delta_neutral --data data/2026-01-20 --slices 6 --done fills.csv --from 3 --to rest.json"
)
LIQUIDITY = "[bold]Example[/bold]\n\noptihedge liquidity delta_neutral --data data/2026-01-20 --share 0.05"
QUOTE = "[bold]Example[/bold]\n\noptihedge quote optimal_hedge AAPL 100 --data data/2026-01-20"


def schedule(
    model: Model,
    data: Data,
    to: Annotated[Path, typer.Option("--to", help="File to write: .csv (the slices), or .json (exposures too).")],
    slices: Annotated[int, typer.Option("--slices", help="How many slices.")] = 12,
    session: Annotated[str, typer.Option("--session", help="How long it takes: 6h, 90min.")] = "6h",
    start: Annotated[str | None, typer.Option("--start", help="When it begins. Default: the market's instant.")] = None,
    participation: Annotated[float, typer.Option("--volume", help="Share of each slice's volume, at most.")] = 0.1,
    urgency: Annotated[float, typer.Option("--urgency", help="0 waits, above 1 trades sooner.")] = 1.0,
    done: Annotated[Path | None, typer.Option("--done", help="Fills so far (fills.csv): the rest is decided.")] = None,
    next_slice: Annotated[int, typer.Option("--from", help="The slice that comes next, with --done.")] = 1,
    change: Set = None,
    book: Books = None,
    as_of: AsOf = None,
    allow: Allow = None,
) -> None:
    """Cut the list of each book into slices over a session, every limit kept on the way; nothing is sent."""
    import pandas as pd

    from optihedge.accounts.fills import read_fills
    from optihedge.files import write_text
    from optihedge.trades.schedule import schedule as slice_up
    from optihedge.trades.schedule import slices_text
    from optihedge.trades.tradelist import trade_list

    if to.suffix not in (".csv", ".json"):
        raise SpecError(f"--to {to}: write a .csv or a .json")
    filled = read_fills(done) if done else []
    sums = pd.Series([f.quantity for f in filled], [f.instrument for f in filled], dtype=float).groupby(level=0).sum()
    begins = None if start is None else instant(start, "--start")
    if done is None and next_slice != 1:
        raise SpecError(f"--from {next_slice}: it goes with --done, the fills so far")
    console, plans = console_of(), {}

    def tell(label: str, hedge: Hedge) -> bool:
        listed = trade_list(hedge, book=label)
        if listed.held:
            say(console, f"{label}: HELD: {'; '.join(listed.reasons)}")
            return False
        plan = slice_up(listed, slices=slices, session=session, start=begins, participation=participation,
                        urgency=urgency)  # fmt: skip
        if done is not None:
            plan = plan.again(sums, next_slice)
        plans[label] = plan
        print_frame(console, f"{label}: slices", plan.table.pivot_table(
            index="slice", columns="instrument", values="quantity", aggfunc="sum").fillna(0.0))  # fmt: skip
        for name, contracts in plan.left.items():
            say(console, f"{label}: {contracts:+.10g} {name} does not fit the session at this participation")
        return True

    code = _each_hedge(tell, model, data, change, book, as_of, allow)
    if plans:
        write_text(to, slices_text(plans, to.suffix.removeprefix(".")))
        say(console, f"slices of {counted(len(plans), 'book')} in {to}; nothing was sent")
    raise typer.Exit(code)


def liquidity(
    model: Model,
    data: Data,
    share: Annotated[float, typer.Option("--share", help="Of the daily volume that closing may be.")] = 0.1,
    confidence: Annotated[float, typer.Option("--confidence", help="Of what may be lost till then.")] = 0.99,
    change: Set = None,
    book: Books = None,
    as_of: AsOf = None,
    allow: Allow = None,
) -> None:
    """What trading costs, across the market; days to close each line and the book, and what may be lost till then."""
    from optihedge.market.liquidity_map import SAID

    console = console_of()
    mapped: list[str] = []

    def tell(label: str, hedge: Hedge) -> None:
        for name, table in hedge.market.liquidity_map().items() if not mapped else ():
            mapped.append(name)
            print_frame(console, f"{name}: {SAID[name]}", table.iloc[:_MOST_ROWS])
        print_frame(console, f"{label}: to be rid of it", hedge.liquidity(share=share, confidence=confidence))

    raise typer.Exit(_each_hedge(tell, model, data, change, book, as_of, allow))


def quote(
    model: Model,
    contract: Annotated[str, typer.Argument(help="An instrument of the market.")],
    size: Annotated[float, typer.Argument(help="Contracts bought and sold.")],
    data: Data,
    change: Set = None,
    book: Books = None,
    as_of: AsOf = None,
    allow: Allow = None,
) -> None:
    """What one more trade costs each hedged book or saves it: the skew of a bid (bought) and of an ask (sold)."""
    import pandas as pd

    console = console_of()

    def tell(label: str, hedge: Hedge) -> None:
        both: list[pd.Series] = [hedge.marginal(contract, sign * abs(size)) for sign in (1.0, -1.0)]
        print_frame(console, f"{label}: {contract}", pd.DataFrame(both))

    raise typer.Exit(_each_hedge(tell, model, data, change, book, as_of, allow))


def _each_hedge(
    tell: Callable[[str, Hedge], bool | None], model: str, data: Path, change: list[str] | None,
    book: list[Path] | None, as_of: str | None, allow: list[str] | None,
) -> int:  # fmt: skip
    """Tell of each book's hedge; 1 where a book has none, why is said, or `tell` says False. Else 0."""
    from optihedge.batch.books import read_books, refuse_unread
    from optihedge.market.folder import read_market

    loaded = next(iter(load_models([model], allow, change).values()))
    market = read_market(data, as_of=as_of)
    books, failed = read_books(book_paths(data, book), market)
    refuse_unread(books, failed)
    errors, code = console_of(stderr=True), int(bool(failed))
    for why in failed.values():
        say(errors, f"data: {why}")
    for label, quantities in books.items():
        try:
            hedge = loaded.hedge(market, quantities)
        except SpecError:
            raise
        except OptihedgeError as error:
            say(errors, f"{label}: {error.code}: {error}")
            code = 1
            continue
        code = max(code, int(tell(label, hedge) is False))
    return code
