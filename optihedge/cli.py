"""The command line: run, check, explain, evaluate, demo."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from optihedge.errors import DataError, OptihedgeError, SpecError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    help=(
        "Hedge a book: read a market, solve, prove the answer, and write a trade list that can be executed.\n\n"
        "A market is a folder of CSV files (market.toml, instruments.csv, quotes.csv, and optionally drivers.csv, "
        "history.csv, ...), a book is a CSV with the columns instrument and quantity, a hedging model is a TOML file "
        "or the name of a shipped one. Try [bold]optihedge demo[/bold] first: it writes and hedges all of these.\n\n"
        "Exit codes: 0 all done; 1 some book failed or was held; 2 wrong usage; 3 nothing usable (data or model files);"
        " 6 internal error (its trace is saved)."
    ),
)

Models = Annotated[list[str], typer.Argument(help="Names of shipped hedging models, or paths of .toml files.")]
Data = Annotated[Path, typer.Option("--data", help="Folder of the market.")]
Books = Annotated[list[Path] | None, typer.Option("--book", help="Book file; repeat for more. Default DATA/book.csv.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Hedge at this instant: 2026-01-20T12:30:00Z, or a date.")]
Allow = Annotated[list[str] | None, typer.Option("--allow", help="package.module:Class a model file may name; repeat.")]
Hedging = Annotated[list[str] | None, typer.Option("--hedge", help="A driver that hedges; repeat. Default: market.")]
_NAMED = 5  # suspect moves that a message lists
_UNSHOWN = ("as_of", "book", "order_id", "venue_amount", "lot", "model", "model_hash")
_TOTALS = ("delta", "gamma", "vega", "theta")
_EPILOG_RUN = (
    "[bold]Examples[/bold]\n\n"
    "optihedge run delta_neutral --data data/2026-01-20 --out out\n\n"
    "optihedge run delta_neutral my_model.toml --data data/2026-01-20 --send delta_neutral --workers 4\n\n"
    "Results lie in OUT/AS_OF/BOOK/MODEL: trades.csv, exposures.csv, limits.csv, costs.csv, report.html ..., a "
    "manifest.json last. With several models the lists are called ALTERNATIVE.csv but for the one to --send. A list "
    "that fails a check is held.csv. OUT/AS_OF/summary.csv and summary.json say what became of each."
)


@app.command(epilog=_EPILOG_RUN)
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
    loaded = _load_models(models, allow)
    if send is not None and send not in loaded:
        known = ", ".join(loaded)
        raise typer.BadParameter(f"{send} is not among the models of this run ({known})", param_hint="--send")
    raise typer.Exit(_run(loaded, data, _book_paths(data, book), out, send=send, as_of=as_of, workers=workers))


@app.command(epilog="[bold]Example[/bold]\n\noptihedge check delta_neutral --data data/2026-01-20")
def check(models: Models, data: Data, book: Books = None, as_of: AsOf = None, allow: Allow = None) -> None:
    """Read and validate the market, the books and the models; build every problem; solve nothing.

    Without --as-of it also says whether run would refuse the quotes as too old.
    """
    from optihedge.batch.books import read_books, refuse_unread
    from optihedge.batch.run import refuse_stale, suspects
    from optihedge.market.snapshot import read_market

    loaded = _load_models(models, allow)
    market = read_market(data, as_of=as_of)
    console = _console()
    console.print(escape(repr(market)), highlight=False)
    _print_suspects(console, suspects(market))
    books, failed = read_books(_book_paths(data, book), market)
    refuse_unread(books, failed)
    rows = [(name, "", "failed", why) for name, why in failed.items()]
    for label, quantities in books.items():
        for name, model in loaded.items():
            try:
                program = model.problem(market, quantities).program
                n, k, s, m = program.size
                rows.append((label, name, "ok", f"{n} columns, {k + s} risk rows, {m} limits"))
            except SpecError as error:
                rows.append((label, name, "skipped", str(error)))
            except OptihedgeError as error:
                rows.append((label, name, "failed", f"{error.code}: {error}"))
    _print_table(console, "checked", ("book", "model", "status", "what"), rows)
    if as_of is None:
        try:
            refuse_stale(market, pd.Timestamp.now("UTC"), books)
        except DataError as error:
            console.print(f"run would refuse: {escape(str(error))}", highlight=False)
    served = {label for label, _, status, _ in rows if status == "ok"}
    bad = any(status == "failed" for _, _, status, _ in rows) or any(label not in served for label in books)
    raise typer.Exit(int(bad))


@app.command(epilog="[bold]Example[/bold]\n\noptihedge explain delta_neutral --data data/2026-01-20")
def explain(
    model: Annotated[str, typer.Argument(help="Name of a shipped hedging model, or path of a .toml file.")],
    data: Data,
    book: Books = None,
    as_of: AsOf = None,
    allow: Allow = None,
) -> None:
    """Hedge and say why: exposures, what each binding limit costs, baselines, the proof; or what must give way."""
    from optihedge.batch.books import read_books
    from optihedge.hedge.explain import explain as sentences
    from optihedge.market.snapshot import read_market
    from optihedge.trades.checks import checked

    loaded = _load_models([model], allow)
    market = read_market(data, as_of=as_of)
    books, failed = read_books(_book_paths(data, book), market)
    if failed:
        raise DataError("\n".join(failed.values()))
    console = _console()
    code = 0
    for label, quantities in books.items():
        console.rule(escape(label))
        try:
            hedge, verdict = checked(next(iter(loaded.values())).hedge(market, quantities))
        except SpecError:
            raise
        except OptihedgeError as error:
            console.print(escape(f"{error.code}: {error}"), highlight=False)
            code = 1
            continue
        console.print(escape(str(hedge)), highlight=False)
        for sentence in sentences(hedge):
            console.print(escape(f"- {sentence}"), highlight=False)
        for reason in verdict.reasons:
            console.print(escape(f"HELD: {reason}"), highlight=False)
        code = max(code, int(verdict.held))
    raise typer.Exit(code)


@app.command(epilog="[bold]Example[/bold]\n\noptihedge evaluate --data data/2026-01-20 --hedge SPX --plot risk.png")
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
    from optihedge.market.snapshot import read_market

    if plot is not None and not (plot.suffix in (".png", ".svg", ".pdf") and plot.parent.is_dir()):
        raise typer.BadParameter(f"{plot}: give a .png, .svg or .pdf in a folder that is there", param_hint="--plot")
    market = read_market(data, as_of=as_of)
    prices = market.drivers.index[market.drivers["kind"].isin(["price", "fx"])]
    marked = market.drivers.index[market.drivers["market"].to_numpy(dtype=bool)]
    result = evaluate_risk(
        usual_estimators(), market.moves()[prices], start=start, refit=refit, hedges=tuple(hedge or marked),
    )  # fmt: skip
    console = _console()
    _print_frame(console, "estimators, best first", result.ranking())
    console.print(escape(str(result).splitlines()[-1]), highlight=False)
    if plot is not None:
        result.plot().savefig(plot)
        console.print(f"picture in {escape(str(plot))}", highlight=False)


@app.command(epilog="[bold]Example[/bold]\n\noptihedge demo --out demo")
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the example market and its results.")] = Path("out"),
) -> None:
    """Hedge the embedded example: a long-short stock book with short index options, on real prices of 2016."""
    from optihedge.example import AS_OF, write_example
    from optihedge.hedge.modelfile import load_model, model_names

    console = _console()
    _probe(out)
    data = write_example(out / "example")
    models = {name: load_model(name) for name in model_names()}
    console.print(
        f"Example market written to {escape(str(data))}: real closes of 30 June 2016; spreads, fees, volumes and "
        "option premiums are assumptions, labelled in instruments.csv.",
        highlight=False,
    )
    send = "optimal_hedge"
    as_of = AS_OF.strftime("%Y-%m-%dT%H:%M:%SZ")
    code = _run(models, data, [data / "book.csv"], out, send=send, as_of=as_of, workers=1, show=send)
    raise typer.Exit(code)


# ---- what the commands share ---------------------------------------------------------------------------------------


def _run(
    models: dict, data: Path, books: list[Path], out: Path, *, send: str | None, as_of: str | None, workers: int,
    show: str | None = None,
) -> int:  # fmt: skip
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
    _probe(folder)
    failed = [
        without_list(Outcome(name, model, "failed", why), result_folder(out, market.as_of, name, model))
        for name, why in broken.items()
        for model in models
    ]
    if failed and not readable:
        write_summary(folder, failed)
    refuse_unread(readable, broken)
    jobs = plan(data, readable, models, out, send=send, as_of=as_of)
    console = _console()
    found = suspects(market)
    _print_suspects(console, found)
    outcomes = [*failed, *_with_progress(console, jobs, workers)]
    write_suspects(folder, found)
    table = write_summary(folder, outcomes)
    shown = show if show is not None else (next(iter(models)) if len(jobs) == 1 else None)
    for outcome in outcomes:
        if outcome.model == shown and outcome.status in ("done", "held"):
            _print_result(console, result_folder(out, market.as_of, outcome.book, outcome.model))
    _print_frame(console, f"{len(outcomes)} results in {folder}", table.set_index("book"))
    for outcome in outcomes:
        if outcome.trace:
            _save_trace(outcome.trace, folder)
    return exit_code(outcomes)


def _print_suspects(console: Console, found: pd.DataFrame) -> None:
    if len(found):
        from optihedge.risk.problems import describe

        more = f"\n  and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        lines = escape(describe(found.head(_NAMED))).replace("\n", "\n  ")
        what = "these moves of the history may be errors, and the risk wrong with them; mend those that are"
        console.print(f"{what}:\n  {lines}{more}", highlight=False)


def _probe(out: Path) -> None:
    """Refuse, as wrong usage, a folder for results that cannot be written."""
    from optihedge.batch.output import probe

    try:
        probe(out)
    except DataError as error:
        raise typer.BadParameter(str(error), param_hint="--out") from None


def _with_progress(console: Console, jobs: list, workers: int) -> list:
    from optihedge.batch.run import run_jobs

    if not console.is_terminal or len(jobs) < 2:
        return run_jobs(jobs, workers=workers)
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("hedging", total=len(jobs))
        return run_jobs(jobs, workers=workers, each=lambda _: progress.advance(task))


def _load_models(sources: Iterable[str], allow: list[str] | None) -> dict:
    """Models by name, every mistake of every file at once. Raises SpecError."""
    from optihedge.hedge.modelfile import load_model
    from optihedge.trades.checks import Checks

    models, mistakes = {}, []
    for source in sources:
        try:
            model = load_model(source, allow=tuple(allow or ()))
            Checks.of(model.checks)
            if model.name in models:
                raise SpecError(f"two models are called {model.name}; rename one of the files")
            models[model.name] = model
        except OptihedgeError as error:
            mistakes.append(str(error))
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return models


def _book_paths(data: Path, books: list[Path] | None) -> list[Path]:
    return list(books) if books else [data / "book.csv"]


def _print_result(console: Console, folder: Path) -> None:
    """The main tables of a result on disk, and its proof."""
    from optihedge.batch.record import money

    for name in ("trades", "ALTERNATIVE", "held", "exposures", "baselines"):
        path = folder / f"{name}.csv"
        if path.is_file():
            table = pd.read_csv(path, keep_default_na=False)
            table = _limited(table) if name == "exposures" else table
            table = table.drop(columns=[c for c in _UNSHOWN if c in table.columns])
            _print_frame(console, f"{folder.name}: {name}", table.set_index(table.columns[0]))
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    proof, currency = result["certificate"], result["base_currency"]
    if None in (proof["objective"], proof["bound"]):
        console.print(f"no proof: {proof['status']}", highlight=False)
    else:
        amounts = proof["objective"], proof["bound"], max(proof["gap"], 0.0)
        best, bound, gap = (money(amount, proof["objective"]) for amount in amounts)
        console.print(
            f"proof: {proof['status']}; objective {best} {currency}, no hedge at all can do better than {bound}: "
            f"lots cost at most {gap}",
            highlight=False,
        )
    for note in (*result["reasons"], *result["notes"]):
        console.print(escape(f"note: {note}"), highlight=False)


def _limited(exposures: pd.DataFrame) -> pd.DataFrame:
    """Totals of delta, gamma, vega and theta, and every limited exposure that the trades move."""
    limited = exposures["target"] != ""
    moved = exposures["before"] != exposures["after"]
    return exposures[exposures["exposure"].isin(_TOTALS) | (limited & moved)].drop(columns="target")


def _print_frame(console: Console, title: str, frame: pd.DataFrame) -> None:
    from optihedge.display import number

    rows = [
        (str(label), *(number(_as_number(value)) for value in row))
        for label, row in zip(frame.index, frame.itertuples(index=False), strict=True)
    ]
    _print_table(console, title, (str(frame.index.name or ""), *map(str, frame.columns)), rows)


def _as_number(value: object) -> object:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value).removeprefix("'")


def _print_table(console: Console, title: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    listed = [tuple(row) for row in rows]
    for position, name in enumerate(header):
        numeric = bool(listed) and all(_looks_numeric(row[position]) for row in listed)
        table.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


def _looks_numeric(text: str) -> bool:
    return text == "" or not isinstance(_as_number(text.replace(",", "")), str)


def _console(stderr: bool = False) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=160)


def _save_trace(trace: str, folder: Path | None = None) -> None:
    where = folder if folder is not None else Path(tempfile.mkdtemp(prefix="optihedge-"))
    where.mkdir(parents=True, exist_ok=True)
    path = where / "internal-error.txt"
    path.write_text(trace, encoding="utf-8")
    _console(stderr=True).print(escape(f"internal error; its trace is in {path}: please report it"), highlight=False)


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    errors = _console(stderr=True)
    stopped = "interrupted; what was finished is whole, run again for the rest"
    try:
        code = int(app(args=arguments, prog_name="optihedge", standalone_mode=False) or 0)
        if code == 130:
            errors.print(stopped, highlight=False)
        return code
    except OptihedgeError as error:
        errors.print(escape(f"{error.code}: {error}"), highlight=False)
        return 3
    except KeyboardInterrupt:
        errors.print(stopped, highlight=False)
        return 130
    except Exception as error:
        show = getattr(error, "show", None)
        if callable(show):  # wrong usage, with typer's own message
            show()
            return int(getattr(error, "exit_code", 2))
        _save_trace(traceback.format_exc())
        return 6


if __name__ == "__main__":
    sys.exit(main())
