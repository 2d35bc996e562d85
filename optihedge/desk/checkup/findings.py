"""What a check of a night found: file, row, subject, problem and remedy of every fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from optihedge.errors import OptihedgeError
from optihedge.frames import find_table, place_of, read_raw

Checked = TypeVar("Checked")

COLUMNS = ("file", "row", "subject", "problem", "remedy")
_MOST = 200  # faults of one table that are told


@dataclass
class Findings:
    """Faults so far; each place is told once, by the first check that sees it."""

    rows: list[tuple[str, int, str, str, str]] = field(default_factory=list)

    def add(self, file: str, row: int, subject: str, problem: str, remedy: str) -> None:
        """row   as a spreadsheet counts, 0: the file as a whole"""
        told = any(f == file and r == row and (s == subject or not subject) for f, r, s, _, _ in self.rows)
        if not (row and told) and (file, row, subject, problem, remedy) not in self.rows:
            self.rows.append((file, row, subject, problem, remedy))

    def where(
        self, bad: pd.Series | np.ndarray, file: str, table: pd.DataFrame, problem: str, remedy: str, *values: pd.Series
    ) -> None:
        """Every row of a table (a column `row`, labels as index) where `bad` holds.

        problem   words with {label} and, for the values in order, {0:g}, {1} ...
        """
        for at in np.flatnonzero(np.asarray(bad, dtype=bool))[:_MOST]:
            label = str(table.index[at])
            text = problem.format(*(value.iloc[at] for value in values), label=label)
            self.add(file, int(table["row"].iloc[at]), label, text, remedy)

    def told(self, file: str) -> set[str]:
        """The labels whose rows of a file are told already."""
        return {subject for name, _, subject, _, _ in self.rows if name == file and subject}

    def unread(self, file: str) -> bool:
        """Whether a file is told already for what it is, and not for one of its labels."""
        return any(name == file and not subject for name, _, subject, *_ in self.rows)

    def error(self, error: OptihedgeError, file: str = "") -> None:
        """A refusal of a door, in its own words, of the file that it names."""
        table, row, said = place_of(str(error))
        problem, _, remedy = said.partition("; ")
        named = row or not file or table.endswith((".csv", ".parquet", ".toml"))
        self.add(table if named else file, row, "", problem, remedy or "mend it")

    def earlier(self, error: OptihedgeError) -> None:
        """A refusal of a file of the night before: its place stays in the words, tonight's files are others."""
        problem, _, remedy = str(error).partition("; ")
        self.add("the night before", 0, "", problem, remedy or "mend it")

    def table(self) -> pd.DataFrame:
        """The faults, file by file and row by row."""
        frame = pd.DataFrame(self.rows, columns=list(COLUMNS))
        return frame.sort_values(["file", "row"], kind="stable").reset_index(drop=True)


def raw_table(folder: Path, name: str, found: Findings) -> pd.DataFrame | None:
    """A table of the folder as text with a column `row`; None where it is absent or cannot be read (which is told)."""
    try:
        path = find_table(folder, name)
        frame = None if path is None else read_raw(path)
    except OptihedgeError as error:
        found.error(error, f"{name}.csv")
        return None
    if frame is not None:
        frame["row"] = np.arange(len(frame)) + 2
        frame.attrs["source"] = path.name if path is not None else name
    return frame


def every_fault(
    frame: pd.DataFrame, check: Callable[[pd.DataFrame], Checked], found: Findings
) -> tuple[pd.DataFrame, Checked | None]:
    """What a door accepts of a table, once every row that it refuses is told and left out, and what it makes of that.

    The table keeps its `row`; it is empty, and nothing is made of it, where no row is at fault but the whole.
    """
    kept = frame
    for _ in range(_MOST):
        given = kept.drop(columns="row")
        given.attrs = dict(frame.attrs)
        try:
            return kept, check(given)
        except OptihedgeError as error:
            _, row, said = place_of(str(error))
            if not row or row - 2 >= len(kept):
                found.error(error, str(frame.attrs.get("source", "")))
                return kept.iloc[:0], None
            problem, _, remedy = said.partition("; ")
            at = kept.iloc[row - 2]
            subject = str(at.get("instrument", at.get("driver", at.get("event_id", ""))))
            more = problem.split(" (and ")[0]
            found.add(str(frame.attrs["source"]), int(at["row"]), subject, more, remedy)
            kept = kept.drop(index=kept.index[row - 2])
    return kept, None


def numbers(table: pd.DataFrame, name: str) -> pd.Series:
    """A column as numbers, NaN where it is empty, absent or no number."""
    if name not in table.columns:
        return pd.Series(np.nan, index=table.index)
    return pd.to_numeric(table[name], errors="coerce")


def texts(table: pd.DataFrame, name: str) -> pd.Series:
    """A column as text, empty where it is absent."""
    if name not in table.columns:
        return pd.Series("", index=table.index)
    return table[name].astype(str).str.strip()


def times(table: pd.DataFrame, name: str) -> pd.Series:
    """A column as UTC instants, NaT where it is none."""
    return pd.to_datetime(texts(table, name).where(lambda s: s != ""), utc=True, errors="coerce", format="ISO8601")
