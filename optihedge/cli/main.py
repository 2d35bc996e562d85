"""The command line: its verbs, and what its exit codes say."""

from __future__ import annotations

import traceback
from typing import Annotated

import typer

from optihedge.batch.stop import Stopped
from optihedge.cli import (
    dealing,
    desk,
    doctoring,
    importing,
    look,
    night,
    past,
    recording,
    sending,
    start,
    watching,
    whatif,
)
from optihedge.cli.codes import INTERNAL, code_of
from optihedge.cli.screen import console_of, save_trace, say
from optihedge.errors import OptihedgeError
from optihedge.frames import visible

_STOPPED = "stopped; what was finished is whole, run again for the rest"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    help=(
        "Hedge a book: read a market, solve, prove the answer, and write a trade list that can be executed.\n\n"
        "A market is a folder of CSV files (market.toml, instruments.csv, quotes.csv, and optionally drivers.csv, "
        "history.csv, ...), a book is a CSV with the columns instrument and quantity, a hedging model is a TOML file "
        "or the name of a shipped one. Try [bold]optihedge demo[/bold] first: it writes and hedges all of these.\n\n"
        "Exit codes: 0 every promised list stands (each book's single or sent model; without one, all is done); 1 one "
        "does not; 2 wrong usage; 3 nothing usable (data or model files); 4 the desk is halted; 5 a file, folder "
        "or database that cannot be read or written; 6 internal error (its trace is saved); "
        "75 another run writes there; 130, 143 interrupted, terminated."
    ),
)
app.command(epilog=night.RUN)(night.run)
app.command(epilog=sending.ORDERS)(sending.orders)
app.command(epilog=dealing.SCHEDULE)(dealing.schedule)
app.command(epilog=dealing.LIQUIDITY)(dealing.liquidity)
app.command(epilog=dealing.QUOTE)(dealing.quote)
app.command(name="import", epilog=importing.IMPORT)(importing.import_)
app.command(epilog=doctoring.DOCTOR)(doctoring.doctor)
app.command(epilog=recording.RECORD)(recording.record)
app.command(epilog=past.BACKTEST)(past.backtest)
app.command(epilog=watching.MONITOR)(watching.monitor)
app.command(epilog=desk.RUNS)(desk.runs)
app.command(epilog=desk.SHOW)(desk.show)
app.command()(desk.diff)
app.command(epilog=desk.APPROVE)(desk.approve)
app.command(epilog=desk.HOLD)(desk.hold)
app.command(epilog=desk.SEND)(desk.send)
app.command(epilog=desk.FILLS)(desk.fills)
app.command(epilog=desk.REPLAY)(desk.replay)
app.command()(desk.verify)
app.command()(desk.report)
app.command(epilog=desk.SLIPPAGE)(desk.slippage)
app.command(epilog=start.DESK)(start.desk)
app.command(epilog=start.CHECK)(start.check)
app.command(epilog=look.EXPLAIN)(look.explain)
app.command(epilog=look.EVALUATE)(look.evaluate)
app.command(epilog=whatif.COMPARE)(whatif.compare)
app.command(epilog=whatif.FRONTIER)(whatif.frontier)
app.command(epilog=whatif.SCENARIO)(whatif.scenario)
app.command(epilog=whatif.SERVE)(whatif.serve)
app.command(epilog=whatif.MODELS)(whatif.models)
app.command(epilog=whatif.INIT)(whatif.init)
app.command(epilog=start.DEMO)(start.demo)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"optihedge {version('optihedge')}")
        raise typer.Exit


@app.callback()
def _all(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    errors = console_of(stderr=True)
    try:
        code = int(app(args=arguments, prog_name="optihedge", standalone_mode=False) or 0)
        if code == 130:
            say(errors, _STOPPED)
        return code
    except OptihedgeError as error:
        say(errors, f"{error.code}: {error}")
        return code_of(error)
    except OSError as error:
        say(errors, f"storage: {error}; free the place or give another")
        return code_of(error)
    except (Stopped, KeyboardInterrupt) as error:
        say(errors, _STOPPED)
        return code_of(error)
    except Exception as error:
        show = getattr(error, "show", None)
        if callable(show):  # wrong usage, with typer's own message
            error.message = visible(getattr(error, "message", ""), keep="\n")  # type: ignore[attr-defined]
            show()
            return int(getattr(error, "exit_code", 2))
        save_trace(traceback.format_exc())
        return INTERNAL
