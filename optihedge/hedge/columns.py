"""Columns: the N contracts in play and the Program's n columns, and the way between them, said once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optihedge.program.program import Program

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Columns:
    """N contracts in play, of which the tradable ones are the Program's first columns; auxiliaries follow.

    tradable   N booleans
    start      N quantities before, contracts
    rest       starting values of the auxiliary columns
    """

    tradable: Array
    start: Array
    rest: Array

    @classmethod
    def of(cls, program: Program, tradable: Array, start: Array) -> Columns:
        """The columns of a Program over these contracts."""
        return cls(tradable, start, program.start[int(tradable.sum()) :])

    @property
    def traded(self) -> int:
        """How many columns are contracts."""
        return int(self.tradable.sum())

    @property
    def contracts(self) -> slice:
        """The columns that are contracts."""
        return slice(0, self.traded)

    def to_columns(self, quantities: Array) -> Array:
        """n columns from N quantities; auxiliaries at their start."""
        return np.concatenate([quantities[self.tradable], self.rest])

    def to_contracts(self, h: Array) -> Array:
        """N quantities from n columns; what cannot trade keeps its own."""
        book = self.start.copy()
        book[self.tradable] = h[self.contracts]
        return book

    def of_limit(self, limits: Array, otherwise: float) -> Array:
        """n limits of columns from N limits of contracts; auxiliaries have `otherwise`."""
        return np.concatenate([limits[self.tradable], np.full(len(self.rest), otherwise)])
