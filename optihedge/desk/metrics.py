"""A night's figures in Prometheus' text format, for a collector that reads files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from optihedge.files import write_text
from optihedge.step.step import STATUSES

if TYPE_CHECKING:
    from optihedge.desk.night import Night


def write_metrics(path: Path, night: Night) -> None:
    """Write the file, whole. Raises DataError where it cannot be."""
    sent = [one for one in (*night.results, *night.rest) if one.role == "send"]
    counts = Counter(one.status for one in sent)
    lines = [
        "# HELP optihedge_night_seconds Instant of the market of the last night, seconds since 1970.",
        "# TYPE optihedge_night_seconds gauge",
        f"optihedge_night_seconds {night.as_of.timestamp():.0f}",
        "# HELP optihedge_exit_code Exit code of the last night.",
        "# TYPE optihedge_exit_code gauge",
        f"optihedge_exit_code {night.code}",
        "# HELP optihedge_books Books of the last night by what became of them.",
        "# TYPE optihedge_books gauge",
        *(f'optihedge_books{{status="{status}"}} {counts[status]}' for status in STATUSES),
        "# HELP optihedge_list_lines Lines of the book's list of the last night.",
        "# TYPE optihedge_list_lines gauge",
        *(f'optihedge_list_lines{{book="{_escaped(one.book)}"}} {one.lines}' for one in sent),
    ]
    write_text(path, "\n".join(lines) + "\n")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
