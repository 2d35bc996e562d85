"""What a night says while it goes on: one JSON object a line, on request, with run and book in it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TextIO

import pandas as pd


@dataclass
class Journal:
    """on: whether anything is written;  to: where, default standard error as it is at the moment."""

    on: bool
    to: TextIO | None = None

    def tell(self, what: str, **fields: object) -> None:
        """Write a line: time, event and fields."""
        if self.on:
            line = {"time": pd.Timestamp.now("UTC").isoformat(), "event": what, **fields}
            print(json.dumps(line, default=str, allow_nan=False), file=self.to or sys.stderr, flush=True)
