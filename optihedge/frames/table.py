"""A small table as columns: what a frame and a file are made of, where a frame costs more than what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class Table:
    """Labels (n texts) under `label`, and columns of n numbers (arrays) or texts by name.

    plain   whether a frame's labels are plain objects, not pandas' texts
    """

    label: str
    index: list[str]
    columns: Mapping[str, Any]
    plain: bool = False

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Table:
        """A frame's columns."""
        columns = {str(name): column.to_numpy() for name, column in frame.items()}
        return cls(str(frame.index.name or "index"), frame.index.tolist(), columns, frame.index.dtype == object)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def numbers(self, name: str) -> np.ndarray:
        """A column as floats, n."""
        return np.asarray(self.columns[name], dtype=float)

    def frame(self) -> pd.DataFrame:
        """As a frame."""
        index = pd.Index(self.index, name=self.label, dtype=object if self.plain else None)
        return pd.DataFrame(dict(self.columns), index=index)
