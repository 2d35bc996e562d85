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
    broken = np.flatnonzero(missing)
    if not len(broken):
        return h
    part = p.rows[defines[broken]]
    row, column = np.repeat(broken, np.diff(part.indptr)), part.indices
    own = (p.lot[column] == 0) & (p.lower[column] < p.upper[column]) & (part.data != 0)
    row, column, entry = row[own], column[own], part.data[own]
    stands = np.bincount(p.rows.indices, minlength=len(h))
    # the rarest of each row's, then the largest move of each column
    order = np.lexsort((stands[column], row))
    rarest = order[np.unique(row[order], return_index=True)[1]]
    column, move = column[rarest], missing[row[rarest]] / entry[rarest]
    order = np.lexsort((-np.abs(move), column))
    largest = order[np.unique(column[order], return_index=True)[1]]
    moved = h.copy()
    moved[column[largest]] += move[largest]
    return np.clip(moved, p.lower, p.upper) if len(largest) else h
