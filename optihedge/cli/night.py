"""Verbs of the night: run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer
from rich.console import Console

from optihedge.cli.options import Allow, AsOf, Books, Data, Models, book_paths, load_models
from optihedge.cli.screen import console_of, print_frame, print_suspects, save_trace, say
from optihedge.errors import DataError

if TYPE_CHECKING:
    from optihedge.batch.run import Job, Outcome
    from optihedge.hedge.model import HedgeModel

_UNSHOWN = ("as_of", "book", "order_id", "venue_amount", "lot", "model", "model_hash")
_TOTALS = ("delta", "gamma", "vega", "theta")
RUN = (
    "[bold]Examples[/bold]\n\n"
    "optihedge run delta_neutral --data data/2026-01-20 --out out\n\n"
    "optihedge run delta_neutral my_model.toml --data data/2026-01-20 --send delta_neutral --workers 4\n\n"
    "Results lie in OUT/AS_OF/BOOK/MODEL: trades.csv, exposures.csv, limits.csv, costs.csv, report.html ..., a "
    "manifest.json last. With several models the lists are called ALTERNATIVE.csv but for the one to --send. A list "
    "that fails a check is held.csv. OUT/AS_OF/summary.csv and summary.json say what became of each."
)


def run(
    models: Models,
    data: Data,
    book: Books = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for results.")] = Path("out"),
    send: Annotated[str | None, typer.Option("--send", help="With several models: the one whose list is sent.")] = None,
    as_of: AsOf = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes side by side.")] = 1,
    allow: Allow = None,
) -> None:
    """Hedge every book under every model and write trade lists.

    Without --as-of, quotes older than max_age (market.toml, default 1 day) by the clock are refused.
    """
    loaded = load_models(models, allow)
    if send is not None and send not in loaded:
        known = ", ".join(loaded)
        raise typer.BadParameter(f"{send} is not among the models of this run ({known})", param_hint="--send")
    raise typer.Exit(run_books(loaded, data, book_paths(data, book), out, send=send, as_of=as_of, workers=workers))


def run_books(
    models: Mapping[str, HedgeModel], data: Path, books: Sequence[Path], out: Path, *, send: str | None,
    as_of: str | None, workers: int = 1, show: str | None = None,
) -> int:  # fmt: skip
    """Run and print; the exit code. show: the model whose result is printed, by default that of a single one."""
    from optihedge.batch.books import read_books, refuse_unread
    from optihedge.batch.output import instant_name
    from optihedge.batch.run import (
        Outcome,
        exit_code,
        plan,
        refuse_future,
        refuse_stale,
        result_folder,
        suspects,
        without_list,
        write_summary,
        write_suspects,
    )
    from optihedge.market.snapshot import read_market

    market, now = read_market(data, as_of=as_of), pd.Timestamp.now("UTC")
    refuse_future(market, now)
    readable, broken = read_books(books, market)
    if as_of is None:
        refuse_stale(market, now, readable)
    folder = out / instant_name(market.as_of)
    probed(folder)
    failed = [
        without_list(Outcome(name, model, "failed", why), result_folder(out, market.as_of, name, model))
        for name, why in broken.items()
        for model in models
    ]
    if failed and not readable:
        write_summary(folder, failed)
    refuse_unread(readable, broken)
    jobs = plan(data, readable, models, out, send=send, as_of=as_of)
    console = console_of()
    found = suspects(market)
    print_suspects(console, found)
    outcomes = [*failed, *_with_progress(console, jobs, workers)]
    write_suspects(folder, found)
    table = write_summary(folder, outcomes)
    shown = show if show is not None else (next(iter(models)) if len(jobs) == 1 else None)
    for outcome in outcomes:
        if outcome.model == shown and outcome.status in ("done", "held"):
            _print_result(console, result_folder(out, market.as_of, outcome.book, outcome.model))
    print_frame(console, f"{len(outcomes)} results in {folder}", table.set_index("book"))
    for outcome in outcomes:
        if outcome.trace:
            save_trace(outcome.trace, folder)
    return exit_code(outcomes)


def probed(out: Path) -> None:
    """Refuse, as wrong usage, a folder for results that cannot be written."""
    from optihedge.batch.output import probe

    try:
        probe(out)
    except DataError as error:
        raise typer.BadParameter(str(error), param_hint="--out") from None


def _with_progress(console: Console, jobs: Sequence[Job], workers: int) -> list[Outcome]:
    from optihedge.batch.run import run_jobs

    if not console.is_terminal or len(jobs) < 2:
        return run_jobs(jobs, workers=workers)
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("hedging", total=len(jobs))
        return run_jobs(jobs, workers=workers, each=lambda _: progress.advance(task))


def _print_result(console: Console, folder: Path) -> None:
    """The main tables of a result on disk, and its proof."""
    from optihedge.batch.record import money

    for name in ("trades", "ALTERNATIVE", "held", "exposures", "baselines"):
        path = folder / f"{name}.csv"
        if path.is_file():
            table = pd.read_csv(path, keep_default_na=False)
            table = _limited(table) if name == "exposures" else table
            table = table.drop(columns=[c for c in _UNSHOWN if c in table.columns])
            print_frame(console, f"{folder.name}: {name}", table.set_index(table.columns[0]))
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    proof, currency = result["certificate"], result["base_currency"]
    if None in (proof["objective"], proof["bound"]):
        say(console, f"no proof: {proof['status']}")
    else:
        amounts = proof["objective"], proof["bound"], max(proof["gap"], 0.0)
        best, bound, gap = (money(amount, proof["objective"]) for amount in amounts)
        say(
            console,
            f"proof: {proof['status']}; objective {best} {currency}, no hedge at all can do better than {bound}: "
            f"lots cost at most {gap}",
        )
    for note in (*result["reasons"], *result["notes"]):
        say(console, f"note: {note}")


def _limited(exposures: pd.DataFrame) -> pd.DataFrame:
    """Totals of delta, gamma, vega and theta, and every limited exposure that the trades move."""
    limited = exposures["target"] != ""
    moved = exposures["before"] != exposures["after"]
    return exposures[exposures["exposure"].isin(_TOTALS) | (limited & moved)].drop(columns="target")
