"""Auxiliary columns that a row defines, moved until it holds: a solver leaves such rows a tolerance short."""

from __future__ import annotations

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.program import Program, row_values


def with_defined(p: Program, h: Array) -> Array:
    """h (n) with the auxiliaries (lot 0) of broken rows that define one (tier below 0) moved by what is missing.

    Each such row moves the auxiliary that stands in the fewest rows, within its box; contracts stay as they are.
    """
    defines = np.flatnonzero(p.row_tier < 0)
    if not len(defines) or h.shape != p.start.shape or not np.isfinite(h).all():
        return h
    values = row_values(p, h)[defines]
    missing = np.where(values > p.row_upper[defines], p.row_upper[defines] - values,
                       np.where(values < p.row_lower[defines], p.row_lower[defines] - values, 0.0))  # fmt: skip
    stands = np.bincount(p.rows.indices, minlength=len(h))
    moves = np.zeros(len(h))
    for row, amount in zip(defines[missing != 0], missing[missing != 0], strict=True):
        span = slice(p.rows.indptr[row], p.rows.indptr[row + 1])
        columns, entries = p.rows.indices[span], p.rows.data[span]
        own = np.flatnonzero((p.lot[columns] == 0) & (p.lower[columns] < p.upper[columns]) & (entries != 0))
        if own.size:
            at = own[np.argmin(stands[columns[own]])]
            move = amount / entries[at]
            if abs(move) > abs(moves[columns[at]]):
                moves[columns[at]] = move
    return np.clip(h + moves, p.lower, p.upper) if moves.any() else h
