"""Delimited text of any shape to records: separators, preambles, numbers as people write them."""

from __future__ import annotations

import csv
import re

import pandas as pd

from optihedge.market.importers.intake import Intake

_MOST = 1 << 20  # characters of one field


def csv_rows(text: str, separator: str = "") -> list[list[str]]:
    """All rows of a delimited text; the separator, where it is not given, is the one that fills the longest row."""
    csv.field_size_limit(_MOST)
    mark = separator or max(",;\t|", key=lambda m: max((line.count(m) for line in text.splitlines()[:30]), default=0))
    return [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=mark)]


def csv_records(text: str, intake: Intake, *, separator: str = "", skip: int = 0) -> list[dict[str, str]]:
    """Rows as mappings by the header (the first row after `skip`); rows of another length are named."""
    lines = [(number, row) for number, row in enumerate(csv_rows(text, separator)[skip:], start=skip + 1) if any(row)]
    if not lines:
        intake.reject("the file", "it holds no table")
        return []
    header, rows = lines[0][1], lines[1:]
    named = [
        name if header.count(name) == 1 else f"{name}.{header[:at].count(name) + 1}" for at, name in enumerate(header)
    ]
    good = [row for _, row in rows if len(row) == len(header)]
    for number, row in rows:
        filled = [cell for cell in row if cell]
        if len(row) != len(header):
            tell = intake.lose if len(filled) > 1 else intake.reject  # one cell alone is prose below a table
            tell(f"row of {filled[0][:40]}", f"{len(row)} fields, the header has {len(header)}", f"row {number}")
    return [dict(zip(named, row, strict=True)) for row in good]


def written_numbers(values: pd.Series, decimal: str = ".") -> pd.Series:
    """Numbers as people write them: '$1,234.50', '1.234,50' (decimal ','), '(12)', '12-', '5 %', '-$30', '1e-5'.

    A percent sign divides by a hundred. What is written otherwise is NaN, never a guess.
    """
    words = values.where(values.notna(), "").astype(str).str.strip()
    negative = words.str.fullmatch(r"\(.*\)") | words.str.contains(r"^[^\d(]*[-−]|[-−]$")
    percent = words.str.endswith("%")
    bare = words.str.replace(r"[()\s$€£¥%']|[A-Z]{3}", "", regex=True).str.replace(r"^[+\-−]|[+\-−]$", "", regex=True)
    group, point = (",", r"\.") if decimal == "." else (r"\.", ",")
    shape = rf"(?:\d+|\d{{1,3}}(?:{group}\d{{3}})+)?(?:{point}\d+)?(?:[eE][+-]?\d+)?"
    good = bare.str.fullmatch(shape) & bare.str.contains(r"\d")
    plain = bare.str.replace(re.sub(r"\\", "", group), "", regex=False).str.replace(decimal, ".", regex=False)
    numbers = pd.to_numeric(plain.where(good), errors="coerce").astype(float)
    numbers = numbers.where(~negative, -numbers)
    return numbers.where(~percent, numbers / 100)
