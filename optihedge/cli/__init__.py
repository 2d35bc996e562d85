"""The command line, `optihedge`."""

import gc

gc.set_threshold(50_000, 20, 100)  # modules and tables stay: looking for cycles in them would be a tenth of a short run

from typing import TYPE_CHECKING  # noqa: E402

from optihedge.cli.main import app_of, main  # noqa: E402

if TYPE_CHECKING:
    import typer

    app: typer.Typer

__all__ = ["app", "main"]


def __getattr__(name: str) -> "typer.Typer":
    """`app`: the command line with all of its verbs, made when it is asked for."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return app_of()
