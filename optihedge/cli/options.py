"""What several verbs take: their arguments, said once, and the models and books that they name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optihedge.errors import OptihedgeError, SpecError

if TYPE_CHECKING:
    from optihedge.hedge.model import HedgeModel

Model = Annotated[str, typer.Argument(help="Name of a shipped hedging model, or path of a .toml file.")]
Models = Annotated[list[str], typer.Argument(help="Names of shipped hedging models, or paths of .toml files.")]
Data = Annotated[Path, typer.Option("--data", help="Folder of the market.")]
Books = Annotated[list[Path] | None, typer.Option("--book", help="Book file; repeat for more. Default DATA/book.csv.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Hedge at this instant: 2026-01-20T12:30:00Z, or a date.")]
Allow = Annotated[list[str] | None, typer.Option("--allow", help="package.module:Class a model file may name; repeat.")]

Cluster = Annotated[
    str | None,
    typer.Option("--cluster", help="Compute on a Dask cluster that is there: its scheduler, tcp://HOST:8786."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE of the model: Volatility.sharpe=0.5, Neutral\\[vega].band=5000; repeat."),
]


def load_models(
    sources: Iterable[str], allow: list[str] | None, changes: Sequence[str] | None = None
) -> dict[str, HedgeModel]:
    """Models by name, every mistake of every file at once. Raises SpecError."""
    from optihedge.hedge.modelfile import load_model
    from optihedge.trades.checks import Checks

    models: dict[str, HedgeModel] = {}
    mistakes = []
    for source in sources:
        try:
            model = load_model(source, allow=tuple(allow or ()), changes=tuple(changes or ()))
            Checks.of(model.checks)
            if model.name in models:
                raise SpecError(f"two models are called {model.name}; rename one of the files")
            models[model.name] = model
        except OptihedgeError as error:
            mistakes.append(str(error))
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return models


def book_paths(data: Path, books: list[Path] | None) -> list[Path]:
    """The book files of a call."""
    return list(books) if books else [data / "book.csv"]
