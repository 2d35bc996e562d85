"""The trades a venue accepts: whole lots, at least the minimum size, inside the box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optihedge.errors import InfeasibleError
from optihedge.program.arrays import Array
from optihedge.program.program import Program

_MOST_LOTS = 2.0**40  # within a box: finer lots are taken in bundles, each a part in 1e12 of the box
_WHOLE = 1e-7  # of a lot: closer to a whole number than this is whole


@dataclass(frozen=True, eq=False)
class Grid:
    """Permitted trades of n columns: lot x k with low <= k <= high and k = 0 or |k| >= least.

    lot 0 marks a column that is not traded in lots (an auxiliary); lots too fine to count are taken in bundles of a
    power of two. `lumpy` columns are those with a choice.
    """

    columns: tuple[str, ...]
    start: Array
    lot: Array
    least: Array  # lots
    low: Array  # lots
    high: Array  # lots

    @classmethod
    def of(cls, program: Program, smallest: Array | None = None) -> Grid:
        """The grid of a Program; `smallest` (n, contracts) is the least |trade| where one is required.

        Raises InfeasibleError naming a contract whose box holds no permitted trade.
        """
        lot = np.where(program.lot > 0, program.lot, 1.0)
        reach = np.maximum(np.abs(program.lower - program.start), np.abs(program.upper - program.start)) / lot
        lot = lot * 2.0 ** np.maximum(np.ceil(np.log2(np.maximum(reach, 1.0) / _MOST_LOTS)), 0.0)
        least = np.maximum(np.ceil(np.nan_to_num(smallest) / lot - _WHOLE), 1.0) if smallest is not None else 1.0
        low = np.ceil((program.lower - program.start) / lot - _WHOLE)
        high = np.floor((program.upper - program.start) / lot + _WHOLE)
        traded = np.where(program.lot > 0, lot, 0.0)
        least = np.broadcast_to(least, lot.shape)
        grid = cls(program.columns, program.start, traded, least, *_reached(low, high, least))
        nothing = (grid.lot > 0) & (program.lower < program.upper) & ~grid._has_choice()
        if nothing.any():
            i = int(np.flatnonzero(nothing)[0])
            raise InfeasibleError(
                f"{grid.columns[i]}: no whole number of lots of {grid.lot[i]:g} (at least {grid.least[i]:g} of them) "
                f"takes its quantity from {program.start[i]:g} into [{program.lower[i]:g}, {program.upper[i]:g}]; "
                "widen its limits or give a smaller lot"
            )
        return grid

    def over(self, program: Program, columns: Array) -> Grid:
        """The same over those columns (integers), which are the Program's."""
        parts = (part[columns] for part in (self.start, self.lot, self.least, self.low, self.high))
        return Grid(program.columns, *parts)

    def _has_choice(self) -> Array:
        inside = (self.low <= 0) & (self.high >= 0)
        bought = self.high >= np.maximum(self.least, self.low)
        return inside | bought | (-self.low >= np.maximum(self.least, -self.high))

    @cached_property
    def lumpy(self) -> Array:
        """Columns (a mask) that are traded in lots and have a choice."""
        return (self.lot > 0) & (self.low < self.high)

    def lots(self, quantities: Array) -> Array:
        """Trades in lots, whole numbers where they are whole up to rounding."""
        exact = (quantities - self.start) / np.where(self.lot > 0, self.lot, 1.0)
        whole = np.round(exact)
        return np.where(np.abs(exact - whole) <= _WHOLE * np.maximum(1.0, np.abs(whole)), whole, exact)

    def permitted(self, lots: Array, columns: Array | slice = slice(None)) -> Array:
        """Mask of trades (lots, ... x n) of those columns that a venue would accept."""
        low, high, least = self.low[columns], self.high[columns], self.least[columns]
        inside = (lots == np.round(lots)) & (lots >= low) & (lots <= high)
        return inside & ((lots == 0) | (np.abs(lots) >= least)) if (least > 1).any() else inside

    def nearest(self, lots: Array, columns: Array | slice = slice(None)) -> Array:
        """The permitted trade nearest to each given one, in lots, for those columns."""
        low, high, least = self.low[columns], self.high[columns], self.least[columns]
        if (least <= 1).all():
            return np.maximum(np.minimum(np.round(lots), high), low)
        choices = np.stack([
            np.clip(np.round(lots), np.maximum(low, least), high),
            np.clip(np.round(lots), low, np.minimum(high, -least)),
            np.zeros_like(lots),
        ])  # fmt: skip
        allowed = (choices >= low) & (choices <= high) & ((choices == 0) | (np.abs(choices) >= least))
        distance = np.where(allowed, np.abs(choices - lots), np.inf)
        return np.take_along_axis(choices, distance.argmin(axis=0)[None], axis=0)[0]

    def neighbours(self, lots: Array, columns: Array | slice = slice(None)) -> Array:
        """The next permitted trade below and above each of those columns', 2 x n lots; the trade itself where there is
        none."""
        below, above, least = lots - 1, lots + 1, self.least[columns]
        if (least > 1).any():
            below = np.where((below > 0) & (below < least), 0.0, below)
            below = np.where((below < 0) & (below > -least), -least, below)
            above = np.where((above < 0) & (above > -least), 0.0, above)
            above = np.where((above > 0) & (above < least), least, above)
        steps = np.stack([below, above])
        return np.where(self.permitted(steps, columns) & self.lumpy[columns], steps, lots)


def _reached(low: Array, high: Array, least: Array) -> tuple[Array, Array]:
    """The first and last permitted of so many lots each: what is less than the least is none or out of reach; as they
    are where none is permitted."""
    none, most, fewest = (low <= 0) & (high >= 0), np.minimum(high, -least), np.maximum(low, least)
    last = np.where(high >= np.maximum(least, low), high, np.where(none, 0.0, most))
    first = np.where(-low >= np.maximum(least, -high), low, np.where(none, 0.0, fewest))
    some = (first <= last) & (first >= low) & (last <= high)
    return np.where(some, first, low), np.where(some, last, high)
