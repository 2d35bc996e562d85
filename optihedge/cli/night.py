"""Verbs of the night: run."""

from __future__ import annotations

import contextlib
import json as _json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console

from optihedge.cli.codes import code_of, status_of
from optihedge.cli.desk import run_desk
from optihedge.cli.options import Allow, AsOf, Cluster, book_paths, load_models
from optihedge.cli.screen import console_of, grouped, print_contradictions, print_frame, save_trace, say
from optihedge.errors import DataError
from optihedge.frames import counted, duration

if TYPE_CHECKING:
    from optihedge.batch.run import Ended
    from optihedge.batch.stop import Stop
    from optihedge.hedge.model import HedgeModel
    from optihedge.market.snapshot import Market

_UNSHOWN = ("as_of", "book", "order_id", "venue_amount", "lot", "model", "model_hash")
_LESS = ("penalties", "unit", "turnover", "notional", "limit_price", "volatility_before", "venue")  # seen elsewhere too
_LEAST = 0.1  # seconds of a deadline: a number without a unit would be nanoseconds
_TOTALS = ("delta", "gamma", "vega", "theta")
RUN = (
    "[bold]Examples[/bold]\n\n"
    "optihedge run delta_neutral --data data/2026-01-20 --out out\n\n"
    "optihedge run delta_neutral my_model.toml --data data/2026-01-20 --send delta_neutral --workers 4\n\n"
    "optihedge run --desk desk.toml --as ann\n\n"
    "Results lie in OUT/AS_OF/BOOK/MODEL: trades.csv, exposures.csv, limits.csv, costs.csv, report.html ..., a "
    "manifest.json last. With several models the lists are called ALTERNATIVE.csv but for the one to --send. A list "
    "that fails a check is held.csv. OUT/AS_OF/summary.csv and summary.json say what became of each, orders.json which "
    "lists may be sent. A run takes away what earlier runs left in OUT/AS_OF, and says so first."
)


_DeskBooks = Annotated[
    list[Path] | None,
    typer.Option(
        "--book", help="Book file (default DATA/book.csv), or with --desk the name of a book; repeat for more."
    ),
]


def run(
    models: Annotated[list[str] | None, typer.Argument(help="Shipped hedging models, or paths of .toml files.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the market.")] = None,
    desk: Annotated[Path | None, typer.Option("--desk", help="Desk file: its books and models, with a ledger.")] = None,
    book: _DeskBooks = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for results.")] = Path("out"),
    send: Annotated[str | None, typer.Option("--send", help="With several models: the one whose list is sent.")] = None,
    as_of: AsOf = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes side by side.")] = 1,
    cluster: Cluster = None,
    deadline: Annotated[str | None, typer.Option("--deadline", help="For each book under each model: 5m, 90s.")] = None,
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Hedge a book without rows, too.")] = False,
    reports: Annotated[bool, typer.Option("--reports", help="A page a list, also of more than 20 books.")] = False,
    allow: Allow = None,
    who: Annotated[str | None, typer.Option("--as", help="With --desk: who runs it.")] = None,
    json_log: Annotated[bool, typer.Option("--log-json", help="With --desk: say events as JSON lines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but what went wrong.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print summary.json and nothing else.")] = False,
) -> None:
    """Hedge every book under every model and write trade lists; or, with --desk, take a desk through its night.

    Without --as-of, quotes older than max_age (market.toml, default 1 day) by the clock are refused.
    """
    from optihedge.batch.pool import most_workers
    from optihedge.batch.stop import Stop

    if desk is not None:
        if models or data is not None:
            raise typer.BadParameter("the desk file names models and data; leave them out", param_hint="--desk")
        _refuse_said({"--out": out != Path("out"), "--send": send, "--workers": workers != 1, "--cluster": cluster,
                      "--deadline": deadline, "--allow-empty": allow_empty, "--reports": reports,
                      "--json": json})  # fmt: skip
        names = tuple(map(str, book or ()))
        raise typer.Exit(run_desk(desk, as_of, who, allow, json_log=json_log, quiet=quiet, books=names))
    if not models or data is None:
        raise typer.BadParameter("name a model and --data DIR, or give --desk FILE", param_hint="MODELS")
    probed(out)
    with Stop() as stop, told(out) as status:
        seconds = _seconds(deadline)
        if workers > most_workers():
            most = f"{workers} is more than this machine serves; give at most {most_workers()}"
            raise typer.BadParameter(most, param_hint="--workers")
        with stop.interruptible():
            loaded = load_models(models, allow)
        if send is not None and send not in loaded:
            known = ", ".join(loaded)
            raise typer.BadParameter(f"{send} is not among the models of this run ({known})", param_hint="--send")
        paths = book_paths(data, book)
        output = "json" if json else "quiet" if quiet else "tables"
        options: dict[str, Any] = {
            "output": output,
            "workers": cluster or workers,
            "deadline": seconds,
            "allow_empty": allow_empty,
            "reports": reports,
        }
        raise typer.Exit(run_books(loaded, data, paths, out, as_of=as_of, stop=stop, told=status, send=send, **options))


def _refuse_said(given: Mapping[str, object]) -> None:
    """Refuse options beside --desk: a desk's night goes by its file alone."""
    unused = [name for name, value in given.items() if value]
    if unused:
        raise typer.BadParameter(f"the desk file says it; leave out {', '.join(unused)}", param_hint="--desk")


def run_books(
    models: Mapping[str, HedgeModel], data: Path, books: Sequence[Path], out: Path, *, as_of: str | None, stop: Stop,
    told: Told, show: str | None = None, output: str = "tables", **options: Any,
) -> int:  # fmt: skip
    """Read, run and print; the exit code.

    show: the model whose result is printed, by default that of a single one
    output: tables, quiet (nothing but what went wrong) or json (summary.json);  options: those of `run_batch`
    """
    from optihedge.batch.books import read_books, refuse_unread
    from optihedge.batch.read import read_unchanged
    from optihedge.batch.refusals import refuse_future, refuse_stale
    from optihedge.batch.run import result_folder, run_batch
    from optihedge.desk.doctor import doctor
    from optihedge.market.folder import read_market
    from optihedge.risk.suspects import suspects

    def read() -> tuple[Market, dict[str, pd.Series], dict[str, str], pd.DataFrame]:
        market, now = read_market(data, as_of=as_of), pd.Timestamp.now("UTC")
        told.as_of = market.as_of
        refuse_future(market, now)
        readable, broken = read_books(books, market)
        if as_of is None:
            refuse_stale(market, now, readable)
        return market, readable, broken, doctor(data, books=books, market=market).findings

    with stop.interruptible():
        (market, readable, broken, quality), digest = read_unchanged(data, read, books)
        found = suspects(market)
    console = console_of() if output == "tables" else Console(file=StringIO())
    warned = print_contradictions(console, market, readable)
    if len(quality):
        named = (
            f"the doctor has {counted(len(quality), 'finding')} in the night's data, {quality['file'].iloc[0]} first"
        )
        say(console, f"{named}; the pages list them, and so does optihedge doctor --data {data}")
    count = len(readable) * len(models)
    with _progress(console, count) as each:
        ended = run_batch(
            market, readable, models, out, unread=broken, data=digest, suspect=found, quality=quality,
            say=lambda text: say(console if output == "tables" else console_of(stderr=True), text), each=each,
            stop=stop, **options,
        )  # fmt: skip
    refuse_unread(readable, broken)
    shown = show if show is not None else (next(iter(models)) if count == 1 else None)
    for outcome in ended.outcomes:
        if outcome.model == shown and outcome.list_name:
            _print_result(console, result_folder(out, market.as_of, outcome.book, outcome.model), warned)
    _print_ended(console, ended, output, shown)
    return ended.exit_code


def _print_ended(console: Console, ended: Ended, output: str, shown: str | None) -> None:
    """The summary of a run that is over, its traces kept; what went wrong, or summary.json, where it was asked for.

    shown   the model whose results are printed above it, with their notes
    """
    told = (ended.table["model"] == shown) & (ended.table["list"] != "")
    table = ended.table.assign(note=ended.table["note"].mask(told, "")).set_index("book")
    said = table.columns[(table.notna() & (table != "")).any()]  # what nothing has leaves its room to the notes
    print_frame(console, f"{counted(len(ended.outcomes), 'result')} in {ended.folder}", table[said], drop=_LESS)
    for outcome in ended.outcomes:
        if outcome.trace:
            save_trace(outcome.trace, ended.folder)
    if output == "json":
        typer.echo((ended.folder / "summary.json").read_text(encoding="utf-8"), nl=False)
    if output == "quiet":
        for outcome in ended.outcomes:
            if outcome.status in ("held", "failed"):
                say(console_of(stderr=True), f"{outcome.book}, {outcome.model}: {outcome.status}: {outcome.note}")
    if ended.stopped:
        say(console_of(stderr=True), ended.stopped)


@dataclass
class Told:
    """What STATUS.json can say of a run that is refused."""

    as_of: pd.Timestamp | None = None


@contextlib.contextmanager
def told(out: Path) -> Iterator[Told]:
    """A run that ends before it hedges anything leaves STATUS.json in `out`: what was refused, and why."""
    from optihedge.batch.summary import write_status

    status = Told()
    try:
        yield status
    except typer.Exit:
        raise
    except BaseException as error:
        with contextlib.suppress(OSError):
            why = str(error) or repr(error)
            write_status(out, status_of(error), as_of=status.as_of, exit_code=code_of(error), why=why)
        raise


def probed(out: Path) -> None:
    """Refuse, as wrong usage, a folder for results that cannot be written."""
    from optihedge.batch.output import probe

    try:
        probe(out)
    except DataError as error:
        raise typer.BadParameter(str(error), param_hint="--out") from None


def _seconds(deadline: str | None) -> float | None:
    try:
        seconds = None if deadline is None else duration(deadline, "--deadline").total_seconds()
    except DataError as error:
        raise typer.BadParameter(str(error), param_hint="--deadline") from None
    if seconds is not None and seconds < _LEAST:
        raise typer.BadParameter(f"{deadline} is less than {_LEAST} s; write a unit: 5m, 90s", param_hint="--deadline")
    return seconds


@contextlib.contextmanager
def _progress(console: Console, count: int) -> Iterator[Callable[[], None]]:
    """A bar where somebody watches several; what it gives is called as each job ends."""
    if not console.is_terminal or count < 2:
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("hedging", total=count)
        yield lambda: progress.advance(task)


def _print_result(console: Console, folder: Path, warned: Sequence[str]) -> None:
    """The main tables of a result on disk, its proof, and its notes but for what was `warned` of before."""
    from optihedge.batch.tables import table_of

    for name in ("trades", "ALTERNATIVE", "held", "exposures", "baselines"):
        path = folder / f"{name}.csv"
        if path.is_file():
            table = table_of(path.read_text(encoding="utf-8"))
            table = _limited(table) if name == "exposures" else table
            table = table.drop(columns=[c for c in _UNSHOWN if c in table.columns])
            print_frame(console, f"{folder.name}: {name}", table.set_index(table.columns[0]), drop=_LESS)
    result = _json.loads((folder / "result.json").read_text(encoding="utf-8"))
    proof, currency = result["certificate"], result["base_currency"]
    if None in (proof["objective"], proof["bound"]):
        say(console, f"no proof: {proof['status']}")
    else:
        say(console, _proof(proof, currency))
    for note in (*result["reasons"], *grouped(n for n in result["notes"] if n not in warned)):
        say(console, f"note: {note}")


def _proof(proof: Mapping[str, Any], currency: str) -> str:
    """What the certificate proves, in words. Lots that end within half a lot of a band may cost less than the bound."""
    from optihedge.batch.record import money

    gap = proof["gap"]
    best, bound, price = (money(x, proof["objective"]) for x in (proof["objective"], proof["bound"], abs(gap)))
    said = f"proof: {proof['status']}; objective {best} {currency}, no hedge at all can do better than {bound}"
    if gap >= 0 or best == bound:
        return f"{said}: lots cost at most {price}"
    return f"{said} inside its bands: lots save {price} by ending less than a lot beyond one"


def _limited(exposures: pd.DataFrame) -> pd.DataFrame:
    """Totals of delta, gamma, vega and theta, and every limited exposure that the trades move."""
    limited = exposures["target"] != ""
    moved = exposures["before"] != exposures["after"]
    shown = exposures[exposures["exposure"].isin(_TOTALS) | (limited & moved)].drop(columns="target")
    return shown.assign(**{side: shown[side].where(np.isfinite(shown[side]), np.nan) for side in ("lower", "upper")})
