"""What to type next: after an import, after a desk's night, and where a list stands on its way."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from optihedge.batch.books import read_books
from optihedge.batch.refusals import refuse_stale
from optihedge.errors import DataError
from optihedge.frames import some
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market


def next_step(
    to: Path, market: Market, given: Sequence[str], options: Sequence[str], *, whole: bool = True
) -> tuple[str, str]:
    """Why, and the command that comes after an import into `to`.

    given    the source and files of the import;  options   its options as typed
    whole    whether all that is held is in the market
    """
    adding = [word for word in options if word not in ("--add", "--from-fills")]
    more = shlex.join(["optihedge", "import", given[0], "FILES", *adding, "--add"])
    if not whole:
        return (
            "mend what the problems name and import again; what lacks but a price gets it from files of quotes:",
            more,
        )
    if not (to / "book.csv").is_file():
        written = f"{to / 'book.csv'} (columns instrument, quantity: contracts, short negative)"
        return f"no file says what is held; write {written}, or import the files that say it:", more
    books, _ = read_books([to / "book.csv"], market)
    quoted = market.instruments["hedge"] & market.trade_cost.notna().any(axis=1)
    if not quoted.any():
        table = ["optihedge", "import", "csv", "quotes.csv", "--map", "map.toml", "--to", str(to), "--add"]
        why = "nothing has a bid and an ask, so nothing can be traded; import quotes of what you hedge with (columns "
        return f"{why}instrument, bid, ask, time; docs/howto/import_files.md has a map):", shlex.join(table)
    kinds, betas = types_of(market.instruments), bool(market.drivers["market"].any())
    if not betas and not (kinds["option"] | kinds["margined"]).any():
        again = ["optihedge", "import", *given, *options, "--market", str(market.names[quoted][0])]
        return "say which price betas are on, that of your index or ETF:", shlex.join(again)
    run = ["optihedge", "run", "beta_hedge" if betas else "delta_neutral", "--data", str(to)]
    try:
        refuse_stale(market, pd.Timestamp.now("UTC"), books)
        return "hedge it (models/README.md has other models):", shlex.join(run)
    except DataError:
        when = market.as_of.isoformat().replace("+00:00", "Z")
        return "the quotes are of a past instant; hedge there:", shlex.join([*run, "--as-of", when])


def next_of_list(row: Mapping[str, Any], approval: str, desk: Path) -> str:
    """The command that brings a list on its way, "" where it has none or stands no more.

    row   of its run: book, as_of, submitter, list (its status), sha256, stands;  approval   as the desk file has it
    """
    state, word = row["list"], f"{row['book']}@{row['as_of'][:16]}"
    if not row["stands"] or state is None:
        return ""
    if state in ("sending", "sent"):
        return _typed(desk, "fills", "FILE", "--reports", "FILE")
    if state == "approved" or (state == "made" and approval == "none"):
        return _typed(desk, "send", word)
    if state in ("made", "vetoed"):
        who = "ANOTHER" if approval == "another" else "WHO"
        return _typed(desk, "approve", word, row["sha256"][:12], "--as", who)
    return ""


def next_of_night(results: Iterable[Any], rows: Iterable[Mapping[str, Any]], approval: str, desk: Path) -> list[str]:
    """What is to be done after a night, a sentence a kind, with the command of the first book.

    results   of the lists that are to leave (book, status, lines);  rows   of their runs, as in `next_of_list`
    """
    told = []
    waiting = [row for row in rows if row["stands"] and row["list"] in ("made", "approved", "vetoed")]
    if waiting:
        word = f"{waiting[0]['book']}@{waiting[0]['as_of'][:16]}"
        many = "1 list waits" if len(waiting) == 1 else f"{len(waiting)} lists wait, this one first"
        told.append(f"{many}: {_typed(desk, 'show', word)}, then {next_of_list(waiting[0], approval, desk)}")
    blocked = [one.book for one in results if one.status == "blocked"]
    if blocked:
        words = _typed(desk, "fills", "FILE", "--reports", "FILE")
        told.append(f"{some(blocked, 3)} blocked: say what became of the orders ({words}), then run again")
    wrong = [one.book for one in results if one.status in ("failed", "held")]
    if wrong:
        told.append(f"{some(wrong, 3)} without a list: mend what is said of each, then run again")
    return told


def _typed(desk: Path, *words: str) -> str:
    """A verb of a desk as it is typed."""
    more = [] if str(desk) == "desk.toml" else ["--desk", str(desk)]
    return shlex.join(["optihedge", *words, *more])
