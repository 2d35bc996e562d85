"""The index of a desk's night: every book and model, what came of it, and what the doctor says of the night's data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from optihedge.batch.output import instant_name, result_folder
from optihedge.batch.summary import write_index
from optihedge.market.snapshot import Market
from optihedge.trades.panels import contradictions_table, quality_section

FIGURES = ("lines", "notional", "cost", "equity", "change")


class Ended(Protocol):
    """What the index reads of a result."""

    @property
    def book(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def why(self) -> str: ...


def write_night(out: Path, market: Market, results: Sequence[Ended], findings: pd.DataFrame | None) -> None:
    """out/AS_OF/index.html. findings: the doctor's; None: what the market contradicts is told."""
    rows = []
    for one in results:
        place = result_folder(out, market.as_of, one.book, one.model) / "night.json"
        told = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
        figures = {name: told.get(name, np.nan) for name in FIGURES}
        rows.append({"book": one.book, "model": one.model, "status": one.status, "note": one.why, **figures})
    table = pd.DataFrame(rows, columns=["book", "model", "status", "note", *FIGURES])
    found = contradictions_table(market) if findings is None else findings
    by = "the market's own checks" if findings is None else "the doctor"
    place = out / instant_name(market.as_of)
    place.mkdir(parents=True, exist_ok=True)
    write_index(place, table, quality_section(found, by=by), FIGURES)
