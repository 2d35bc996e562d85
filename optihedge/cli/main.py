"""The command line: its verbs, and what its exit codes say."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from importlib import import_module
from keyword import iskeyword
from typing import Annotated

import typer
from rich.console import Console

from optihedge.batch.stop import Stopped
from optihedge.cli.codes import INTERNAL, code_of, stop_of
from optihedge.cli.screen import console_of, save_trace, say
from optihedge.errors import OptihedgeError
from optihedge.frames import visible

_STOPPED = "stopped; what was finished is whole, run again for the rest"

VERBS = {  # in the order of --help: the file where each stands, with its epilog in capitals
    "run": "night", "orders": "sending", "schedule": "dealing", "liquidity": "dealing", "quote": "dealing",
    "import": "importing", "doctor": "doctoring", "record": "recording", "backtest": "past", "monitor": "watching",
    "runs": "desk", "show": "desk", "diff": "desk", "approve": "desk", "hold": "desk", "send": "desk", "fills": "desk",
    "replay": "desk", "verify": "desk", "report": "desk", "slippage": "desk", "desk": "start", "check": "start",
    "explain": "look", "evaluate": "look", "compare": "whatif", "frontier": "whatif", "scenario": "whatif",
    "serve": "whatif", "models": "whatif", "init": "whatif", "demo": "start",
}  # fmt: skip
_HELP = (
    "Hedge a book: read a market, solve, prove the answer, and write a trade list that can be executed.\n\n"
    "A market is a folder of CSV files (market.toml, instruments.csv, quotes.csv, and optionally drivers.csv, "
    "history.csv, ...), a book is a CSV with the columns instrument and quantity, a hedging model is a TOML file "
    "or the name of a shipped one. Try [bold]optihedge demo[/bold] first: it writes and hedges all of these.\n\n"
    "Exit codes: 0 every promised list stands (each book's single or sent model; without one, all is done); 1 one "
    "does not; 2 wrong usage; 3 nothing usable (data or model files); 4 the desk is halted; 5 a file, folder "
    "or database that cannot be read or written; 6 internal error (its trace is saved); "
    "75 another run writes there; 130, 143 interrupted, terminated."
)


def app_of(verbs: Iterable[str] = VERBS) -> typer.Typer:
    """The command line with these verbs alone: reading the signatures of all of them takes as long as a small hedge."""
    made = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="rich",
        help=_HELP,
    )
    made.callback()(_all)
    for verb in verbs:
        home = import_module(f"optihedge.cli.{VERBS[verb]}")
        made.command(name=verb, epilog=getattr(home, verb.upper(), None))(getattr(home, verb + "_" * iskeyword(verb)))
    return made


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"optihedge {version('optihedge')}")
        raise typer.Exit


def _all(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    errors, given = console_of(stderr=True), sys.argv[1:] if arguments is None else arguments
    try:
        app = app_of([verb for verb in given[:1] if verb in VERBS] or VERBS)
        code = int(app(args=given, prog_name="optihedge", standalone_mode=False) or 0)
        if code == 130:
            say(errors, _STOPPED)
        return code
    except (Exception, Stopped, KeyboardInterrupt) as error:
        return _ended(errors, error)


def _ended(errors: Console, error: BaseException) -> int:
    """Say what ended a command line, and its exit code."""
    show = getattr(error, "show", None)
    if stop_of(error) is not None:
        say(errors, _STOPPED)
    elif isinstance(error, OptihedgeError):
        say(errors, f"{error.code}: {error}")
    elif isinstance(error, OSError):
        say(errors, f"storage: {error}; free the place or give another")
    elif callable(show):  # wrong usage, with typer's own message
        error.message = visible(getattr(error, "message", ""), keep="\n")  # type: ignore[attr-defined]
        show()
        return int(getattr(error, "exit_code", 2))
    else:
        save_trace(traceback.format_exc())
        return INTERNAL
    return code_of(error)
