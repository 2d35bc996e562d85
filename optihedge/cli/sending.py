"""The verb orders: the lists of a run as venues and brokers take them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from optihedge.cli.options import Data
from optihedge.cli.screen import console_of, say

ORDERS = (
    "[bold]Examples[/bold]\n\n"
    "optihedge orders out/2026-01-20T160000Z --data data/2026-01-20 --format fix --to orders.fix\n\n"
    "optihedge orders out/2026-01-20T160000Z --data data/2026-01-20 --format ccxt --to orders.jsonl --time-in-force ioc"
    "\n\nFormats: csv, jsonl, parquet, fix (one message an order), fix-list, ccxt (arguments of its calls), ibkr (a "
    "basket). Only lists that orders.json promises and whose bytes are right are read."
)


def orders(
    folder: Annotated[Path, typer.Argument(help="A run's folder, OUT/AS_OF.")],
    data: Data,
    format: Annotated[str, typer.Option("--format", help="csv, jsonl, parquet, fix, fix-list, ccxt or ibkr.")],
    to: Annotated[Path, typer.Option("--to", help="File to write.")],
    book: Annotated[list[str] | None, typer.Option("--book", help="Name of a book; repeat. Default: all.")] = None,
    type: Annotated[str, typer.Option("--type", help="limit or market.")] = "limit",
    time_in_force: Annotated[str, typer.Option("--time-in-force", help="day, gtc, ioc or fok.")] = "day",
    urgency: Annotated[str, typer.Option("--urgency", help="take (far side), middle or join (near side).")] = "take",
    open_orders: Annotated[
        Path | None, typer.Option("--open", help="Orders (csv of this verb) that may still be open.")
    ] = None,
    positions: Annotated[
        list[Path] | None, typer.Option("--positions", help="Book file before trading: what closes is reduce-only.")
    ] = None,
    sender: Annotated[str, typer.Option("--sender", help="SenderCompID of FIX.")] = "DESK",
    target: Annotated[str, typer.Option("--target", help="TargetCompID of FIX.")] = "VENUE",
) -> None:
    """Write the orders of a run's lists in a venue's or broker's format; nothing is sent."""
    import pandas as pd

    from optihedge.batch.books import read_books, refuse_unread
    from optihedge.batch.read import read_once
    from optihedge.batch.standing import standing
    from optihedge.errors import DataError, SpecError
    from optihedge.frames import counted, nearest, read_raw
    from optihedge.trades.orders.formats import FORMATS, write_orders
    from optihedge.trades.orders.table import OrderStyle, beside, empty, order_table

    if format not in FORMATS:
        raise SpecError(f"--format {format}{nearest(format, FORMATS)} is unknown; one of {', '.join(FORMATS)}")
    style = OrderStyle(type=type, time_in_force=time_in_force, urgency=urgency)  # type: ignore[arg-type]
    stands = standing(folder)
    strange = [name for name in book or () if name not in stands.lists and name not in stands.missing]
    if strange:
        known = (*stands.lists, *stands.missing)
        raise SpecError(f"--book {strange[0]}{nearest(strange[0], known)}: {folder} has no such book")
    market, _ = read_once(data, stands.instant)
    if market.hash != stands.market:
        raise DataError(f"{data} is not the market of {folder} (its content differs); give the folder of that run")
    lists = {name: lines for name, lines in stands.lists.items() if not book or name in book}
    held, failed = read_books(positions or (), market)
    refuse_unread(held, failed)
    table = pd.concat([order_table(market, lines, style=style, held=held.get(name)) for name, lines in lists.items()]
                      or [empty()])  # fmt: skip
    if open_orders is not None:
        table = beside(table, read_raw(open_orders))
    session = {"sender": sender, "target": target} if format in ("fix", "fix-list") else {}
    write_orders(table.reset_index(drop=True), to, format, **session)
    missing = {name: why for name, why in stands.missing.items() if not book or name in book}
    for name, why in missing.items():
        say(console_of(stderr=True), f"no list for {name}, {why}")
    counts = ", ".join(f"{count} {action}" for action, count in table["action"].value_counts().items()) or "none"
    say(console_of(), f"orders of {counted(len(lists), 'book')} in {to}: {counts}; nothing was sent")
    raise typer.Exit(int(bool(missing)))
