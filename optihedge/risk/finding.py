"""A finding: what contradicts itself, how severe it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

COLUMNS = ("severity", "kind", "subject", "detail", "remedy")
SEVERE, WARNING = "severe", "warning"
LEFT_OUT, UNREAD = "left out", "unread"
_IS = {LEFT_OUT: "is left out of the market", UNREAD: "is not read whole"}


@dataclass(frozen=True)
class Finding:
    """One contradiction. subject: an instrument, driver or underlying;  labels: all that it is about."""

    severity: str
    kind: str
    subject: str
    detail: str
    remedy: str
    labels: tuple[str, ...]

    def __str__(self) -> str:
        what = f"{self.subject} {_IS[self.kind]}" if self.kind in _IS else f"{self.kind} of {self.subject}"
        return f"{self.severity}: {what}: {self.detail}; {self.remedy}"

    def accepted_by(self, names: Iterable[str]) -> bool:
        """Whether it is accepted: by its kind and subject, `jump of IDX`."""
        return f"{self.kind} of {self.subject}" in names


def contradiction_table(found: Iterable[Finding]) -> pd.DataFrame:
    """The findings as a table, COLUMNS.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> table = oh.risk.contradiction_table(oh.risk.find_contradictions(market))
    >>> list(table.columns)
    ['severity', 'kind', 'subject', 'detail', 'remedy']
    """
    return pd.DataFrame([[getattr(one, name) for name in COLUMNS] for one in found], columns=list(COLUMNS))
