"""What to type after an import: the command that works on what is there, or what is missing and how it comes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from optihedge.batch.books import read_books
from optihedge.batch.refusals import refuse_stale
from optihedge.errors import DataError
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market


def next_step(
    to: Path, market: Market, given: Sequence[str], options: Sequence[str], *, whole: bool = True,
    now: pd.Timestamp | None = None,
) -> tuple[str, str]:  # fmt: skip
    """Why, and the command that comes after an import into `to`.

    given    the source and files of the import;  options   its options as typed
    whole    whether all that is held is in the market;  now   by whose clock quotes are old (default: the clock)
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
        refuse_stale(market, now or pd.Timestamp.now("UTC"), books)
        return "hedge it (models/README.md has other models):", shlex.join(run)
    except DataError:
        when = market.as_of.isoformat().replace("+00:00", "Z")
        return "the quotes are of a past instant; hedge there:", shlex.join([*run, "--as-of", when])
