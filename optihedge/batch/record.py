"""What a hedge leaves on disk: tables as CSV, the whole as JSON and as a page. Numbers rounded, no clock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from optihedge.frames import plain_text
from optihedge.frames.table import Table
from optihedge.hedge.report import notes
from optihedge.trades.export import csv_of, csv_text, numbers
from optihedge.trades.page import limit_used, page_of
from optihedge.trades.tradelist import TradeList

_DIGITS = 10  # significant digits in tables
PAGE = "report.html"
FIGURES = ("trades", "turnover", "cost", "penalties", "volatility_before", "volatility_after", "limit_used")


def figures(listed: TradeList) -> dict[str, float]:
    """The summary's FIGURES: lines; turnover, cost to trade and to hold, soft limits' penalties (base currency);
    volatility per day; the share of the tightest limit that is used, above 1 where it is missed, NaN without limits.
    Of a held list they are what it would have been.
    """
    hedge = listed.hedge
    trades, notional = hedge.trades.to_numpy(), hedge.market.notional.to_numpy(float)[hedge.problem.positions]
    values = (
        int(np.count_nonzero(trades)),
        float(np.abs(trades) @ notional),
        listed.cost_sums["total"] if not listed.held else hedge.cost_sums["total"],
        hedge.charge_sums.get("penalties", 0.0),
        *map(float, hedge.volatility()),
        limit_used(hedge.limit_columns),
    )
    return dict(zip(FIGURES, values, strict=True))


def money(value: float, of: float) -> str:
    """An amount to the sixth digit of another one, at least to two decimals: a coin's amounts are small numbers."""
    decimals = 5 - int(np.floor(np.log10(abs(of)))) if of and np.isfinite(of) else 2
    return f"{value:,.{min(max(decimals, 2), 12)}f}"


def files(
    listed: TradeList, said: Mapping[str, float], *, model: str, list_name: str, quality: pd.DataFrame | None = None,
    page: bool = True, past: Sequence[dict[str, Any]] = (),
) -> dict[str, str]:  # fmt: skip
    """The files of one result, name -> text. What a held list proposed is in held.csv, and no other list is there.

    said      its `figures`
    quality   findings of the night's data, for the page;  past  its sections that only a past can tell
    page      False: without a page, where the list is not held
    """
    written = {"held.csv": csv_text(listed.proposed)} if listed.held else {list_name: listed.text()}
    for name, table in listed.hedge.tables.items():
        written[f"{name}.csv"] = _text(table)
    written["result.json"] = json.dumps(_result(listed, said, model), indent=1, allow_nan=False) + "\n"
    if page or listed.held:
        written[PAGE] = page_of(listed, title=f"{listed.book}: {model}", quality=quality, past=past)
    return written


def _text(table: Table) -> str:
    """A table as CSV: labels as a first column, numbers to ten digits, texts that no spreadsheet computes."""
    columns = {table.label: table.index, **table.columns}
    return csv_of(columns, [_cells(column) for column in columns.values()])


def _cells(column: np.ndarray | list[str]) -> list[str]:
    kind = "O" if isinstance(column, list) else column.dtype.kind
    values: list[Any] = column if isinstance(column, list) else column.tolist()
    if kind == "f":
        return numbers(significant(value, _DIGITS) for value in values)
    return [str(value) if kind in "iub" else plain_text(value) for value in values]


def _result(listed: TradeList, said: Mapping[str, float], model: str) -> dict[str, object]:
    hedge, certificate = listed.hedge, listed.hedge.certificate
    return {
        "as_of": hedge.market.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "base_currency": hedge.market.base_currency,
        "book": listed.book,
        "model": model,
        "status": "held" if listed.held else "done",
        "reasons": list(listed.reasons),
        "notes": list(dict.fromkeys([*notes(hedge), *listed.notes])),
        "certificate": {
            "status": certificate.status,
            "objective": _number(certificate.primal),
            "bound": _number(certificate.dual),
            "gap": _number(certificate.gap),
            "scale": _number(certificate.scale),
        },
        **{name: value if isinstance(value, int) else _number(value) for name, value in said.items()},
        "costs": {name: _number(value) for name, value in hedge.cost_sums.items()},
        "charges": {name: _number(value) for name, value in hedge.charge_sums.items()},
        "sha256": None if listed.held else listed.sha256,
    }


def _number(value: float) -> float | None:
    return significant(value, _DIGITS) if np.isfinite(value) else None


def significant(value: float, digits: int) -> float:
    """The value to so many significant digits, no minus zero."""
    return float(f"{value:.{digits}g}") + 0.0
