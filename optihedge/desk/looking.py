"""Looking back: the runs of a desk, one run, what differs between two, and what the nights came to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from scipy.stats import chi2
from sqlalchemy import Connection

from optihedge.accounts.state import DUST, State
from optihedge.batch.tables import table_of
from optihedge.desk.deskfile import Desk
from optihedge.desk.ledger.database import get_text, open_ledger
from optihedge.desk.ledger.reading import files_of, fills_of, find_run, inputs_of, run_of, runs_of
from optihedge.desk.ledger.runs import LEFT
from optihedge.desk.ledger.schema import LOG
from optihedge.desk.task import ALTERNATIVE
from optihedge.errors import DataError
from optihedge.frames import counted, instant, nearest

_REFUSED = {"book", "role", "snapshot", "model", "version"}  # what a run that could not be begun was asked


@dataclass(frozen=True, eq=False)
class Shown:
    """A run in words, its list (empty where there is none; of a challenger the one that never leaves), its log and row.

    row   book, as_of, submitter, list (its status), sha256, stands ...
    """

    lines: tuple[str, ...]
    trades: pd.DataFrame
    log: pd.DataFrame
    row: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Difference:
    """What two runs differ in, in words and as tables by title."""

    lines: tuple[str, ...]
    tables: Mapping[str, pd.DataFrame]


@dataclass(frozen=True, eq=False)
class Nights:
    """nights: a row per book and night; parts: book x where the money came from, base currency, summed.

    drift   by book: nights that had a forecast, root mean square of realised over forecast, what chance leaves of a
            right one (95 %), and the finding
    failed  what became of each night that failed, in words
    """

    nights: pd.DataFrame
    parts: pd.DataFrame
    drift: pd.DataFrame
    failed: tuple[str, ...] = ()


def runs_table(desk: Desk, book: str | None = None) -> pd.DataFrame:
    """run, book, as_of, model, role, status, outcome, list, lines, stands, by, why; a row per run, by night."""
    with open_ledger(desk.ledger).read() as connection:
        rows = runs_of(connection, book)
    if book is not None and not rows:
        raise DataError(f"there are no runs of {book}{nearest(book, desk.books)}")
    return pd.DataFrame(
        [
            {
                "run": row["id"][:12], "book": row["book"], "as_of": row["as_of"][:16], "model": row["model"],
                "role": row["role"], "status": row["status"], "outcome": row["outcome"], "list": row["list"] or "",
                "lines": row["lines"] or 0, "stands": "yes" if row["stands"] else "", "by": row["submitter"],
                "why": row["why"],
            }
            for row in rows
        ],
        columns=["run", "book", "as_of", "model", "role", "status", "outcome", "list", "lines", "stands", "by", "why"],
    )  # fmt: skip


def shown(desk: Desk, word: str) -> Shown:
    """A run by its id or BOOK@DATE. Raises DataError."""
    with open_ledger(desk.ledger).read() as connection:
        run = find_run(connection, word)
        row, inputs = run_of(connection, run), inputs_of(connection, run)
        files = files_of(connection, run)
        made = get_text(connection, row["sha256"]) if row["sha256"] else files.get(ALTERNATIVE, "")
        trades = table_of(made) if made else pd.DataFrame()
        log = connection.execute(sa.select(LOG.c.at, LOG.c.what, LOG.c.text).where(LOG.c.run == run).order_by(LOG.c.id))
        told = pd.DataFrame(log.all(), columns=["at", "what", "text"])
        night = json.loads(files.get("night.json", "{}"))
    lines = [
        f"run {run}",
        f"{row['book']} at {row['as_of'][:19]} UTC under {row['model']} ({row['role']}), by {row['submitter']}",
        f"{row['outcome'] or row['status']}: {row['why']}",
        f"market {row['snapshot'][:12]}, {_gone_on_from(row, inputs)}",
    ]
    if row["sha256"]:
        lines.append(f"list: {counted(row['lines'], 'line')}, {row['list']}, sha256 {row['sha256']}")
    elif len(trades):
        lines.append(f"a challenger's list: {counted(len(trades), 'line')}; it never leaves")
    if night:
        lines.append(f"equity {night['equity']:,.2f} {desk.base_currency}, change {night['change']:,.2f}")
        lines += [f"note: {text}" for text in night["notes"]]
    return Shown(tuple(lines), trades, told, row)


def _gone_on_from(row: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    """The states of a run, and what it was told of between."""
    if "refused" in inputs:
        return "refused before it began: nothing was computed, nothing can be sent"
    states = f"state {(row['before'] or 'opening')[:12]} -> {(row['after'] or '-')[:12]}"
    return f"{states}, {len(inputs['fills'])} fills, {len(inputs['reports'])} final words"


def rows_of(desk: Desk, runs: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of runs, as `Shown` has one, in their order."""
    with open_ledger(desk.ledger).read() as connection:
        return [run_of(connection, run) for run in runs]


def difference(desk: Desk, first: str, second: str) -> Difference:
    """What two runs were asked otherwise, and how their positions and lists differ. Raises DataError."""
    with open_ledger(desk.ledger).read() as connection:
        runs = [find_run(connection, word) for word in (first, second)]
        rows = [run_of(connection, run) for run in runs]
        asked = [inputs_of(connection, run) for run in runs]
        lists = [table_of(get_text(connection, row["sha256"])) if row["sha256"] else None for row in rows]
        states = [State.from_text(get_text(connection, row["after"])) if row["after"] else None for row in rows]
    if runs[0] == runs[1]:
        return Difference(("they are the same run",), {})
    if any("refused" in one for one in asked):  # of what could not be begun nothing else is known
        asked = [{name: one[name] for name in asked[0].keys() & asked[1].keys() & _REFUSED} for one in asked]
    lines = [f"{name}: {_told(a)} and {_told(b)}" for name, a, b in _unequal(asked[0], asked[1])]
    lines += [
        f"{name}: {a[name]} and {b[name]}" for name in ("outcome", "why") for a, b in [rows] if a[name] != b[name]
    ]
    held = [pd.Series(dtype=float) if state is None else state.quantities() for state in states]
    traded = [pd.Series(dtype=float) if one is None else one.set_index("instrument")["quantity"] for one in lists]
    tables = {"positions": _side_by_side(*held), "lists": _side_by_side(*traded)}
    return Difference(tuple(lines), {title: table for title, table in tables.items() if len(table)})


def nights_table(desk: Desk, book: str | None = None, since: str | None = None) -> Nights:
    """What every standing night came to. Raises DataError for a book without nights."""
    start = since_of(since)
    rows: list[dict[str, Any]] = []
    parts: dict[str, Any] = {}
    last: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {}  # by book: place, row, figures
    compared: list[float | None] = []
    begun: list[bool] = []
    failed: list[str] = []
    with open_ledger(desk.ledger).read() as connection:
        for row in runs_of(connection, book):
            if not row["stands"] or (start is not None and pd.Timestamp(row["as_of"]) < start):
                continue
            files = files_of(connection, row["id"])
            night = json.loads(files.get("night.json", "{}"))
            if row["after"] is not None:  # else the next night goes on from the one before
                if row["book"] in last:
                    place, before, figures = last[row["book"]]
                    compared[place] = _came_true(connection, before, figures, row["as_of"])
                last[row["book"]] = len(rows), row, json.loads(files.get("result.json", "{}")) | night
            compared.append(None)
            begun.append(row["after"] is not None)
            failed += [f"{row['book']} {row['as_of'][:16]}: {row['why']}"] if row["outcome"] == "failed" else []
            rows.append({
                "book": row["book"], "as_of": row["as_of"][:16], "outcome": row["outcome"],
                "equity": night.get("equity"), "change": night.get("change"),
                "realised": night.get("realised"), "days": night.get("days"), "forecast": night.get("forecast"),
                "expected cost": night.get("cost"),
                "notional": night.get("notional"), "lines": night.get("lines"), "list": row["list"] or "",
            })  # fmt: skip
            if "explained.csv" in files:
                table = table_of(files["explained.csv"]).drop(columns=["account", "instrument"]).sum()
                parts[row["book"]] = parts.get(row["book"], 0.0) + table
    if not rows:
        raise DataError("there are no such nights yet; run --desk makes one")
    frame = pd.DataFrame(parts).T.rename_axis("book")
    nights = pd.DataFrame(rows)
    nights["over forecast"] = over_forecast(nights.assign(forecast=compared)[begun])
    told = nights.drop(columns=["realised", "days"])
    return Nights(told, frame.loc[:, (frame != 0).any()] if len(frame) else frame, drift(nights), (*failed,))


def _came_true(connection: Connection, row: Mapping[str, Any], figures: Mapping[str, Any], until: str) -> float | None:
    """The deviation forecast for what a book held after a night: with its list where that was filled whole, without it
    where it never left, none where it was filled in part."""
    if row["list"] is not None and row["list"] not in LEFT:
        return figures.get("volatility_before")
    if row["list"] in LEFT and not _filled_whole(connection, row, until):
        return None
    return figures.get("forecast")


def _filled_whole(connection: Connection, run: Mapping[str, Any], until: str) -> bool:
    """Whether every line of a run's list was filled whole by an instant (as the ledger writes it)."""
    wanted = table_of(get_text(connection, run["sha256"])).set_index("order_id")["quantity"]
    found = [fill for fill in fills_of(connection, run["book"], set(wanted.index)) if fill.time <= pd.Timestamp(until)]
    filled = pd.Series({one.order_id: 0.0 for one in found}, dtype=float)
    for one in found:
        filled[one.order_id] += one.quantity
    left = (wanted - filled.reindex(wanted.index, fill_value=0.0)).abs()
    return bool((left <= DUST * wanted.abs()).all())


def since_of(since: str | None) -> pd.Timestamp | None:
    """The instant of --from; a date is its first. Raises DataError."""
    if since is None:
        return None
    start = instant(since, "--from")
    return start.normalize() if len(since) <= 10 else start


def over_forecast(nights: pd.DataFrame) -> pd.Series:
    """Realised P&L over the deviation that the night before forecast for it, by row; NaN where there was none."""
    numbers = nights[["realised", "days", "forecast"]].apply(pd.to_numeric)
    before = numbers["forecast"].groupby(nights["book"]).shift()
    return numbers["realised"] / (before * np.sqrt(numbers["days"])).where(lambda s: s > 0)


def drift(nights: pd.DataFrame) -> pd.DataFrame:
    """By book, whether what came is what was forecast; see `Nights`."""
    rows = {}
    for book, ratio in nights["over forecast"].dropna().groupby(nights["book"]):
        count, rms = len(ratio), float(np.sqrt((ratio**2).mean()))
        low, high = np.sqrt(chi2.ppf([0.025, 0.975], count) / count)
        finding = "in line" if low <= rms <= high else f"drift: {rms:.2f} times what was forecast; look at its risk"
        rows[book] = {"nights": count, "rms": rms, "low": low, "high": high, "finding": finding}
    return pd.DataFrame(rows, index=["nights", "rms", "low", "high", "finding"]).T.rename_axis("book")


def _unequal(a: Any, b: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """The leaves in which two plain values differ, by path."""
    if isinstance(a, dict) and isinstance(b, dict):
        return [
            found
            for key in sorted(a.keys() | b.keys())
            for found in _unequal(a.get(key), b.get(key), f"{name}.{key}" if name else key)
        ]
    return [] if a == b else [(name, a, b)]


def _told(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} of them"
    text = "none" if value is None else str(value)
    return text[:12] if len(text) == 64 else text


def _side_by_side(first: pd.Series, second: pd.Series) -> pd.DataFrame:
    frame = pd.DataFrame({"first": first, "second": second}).fillna(0.0)
    frame["change"] = frame["second"] - frame["first"]
    return frame[frame["change"] != 0].rename_axis("instrument")
