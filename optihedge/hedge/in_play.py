"""What is in play: the contracts that a book holds or a model may trade, and the drivers that move them.

What nobody holds and no model may trade changes nothing: neither its quote, its listing nor its column of history.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.frames import some
from optihedge.hedge.universe import Universe
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market
from optihedge.readonly import kept

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class InPlay:
    """Contracts in play of a market.

    positions   N' integers into market.names;  tradable  N' booleans;  held  N' quantities before, contracts
    drivers     what moves them, and the drivers marked market: labels in the market's order
    notes       what was left out of what may be traded, and why
    """

    positions: Array
    tradable: Array
    held: Array
    drivers: pd.Index
    notes: tuple[str, ...]

    @classmethod
    def of(cls, market: Market, book: Array, universe: Universe, years: float) -> InPlay:
        """Of a book of N quantities in the market's order. Raises SpecError for a universe the market does not have."""
        chosen, notes = universe.tradable(market, book, years)
        bought, sold = np.isfinite(market.sides).T
        sides, whole = bought | sold, ~types_of(market.instruments)["option"]  # options without a bid are worth none
        for missing, words in (
            (~sides, "not traded, no quote"),
            (whole & sold & ~bought, "not bought, no ask"),
            (whole & bought & ~sold, "not sold, no bid"),
        ):
            if (chosen & missing).any():
                notes.append(f"{some(market.names[chosen & missing])}: {words}")
        positions = np.flatnonzero((book != 0) | (chosen & sides))
        moved = drivers_of(market, positions)
        return cls(positions, chosen[positions], book[positions], moved, tuple(notes))


def drivers_of(market: Market, positions: Array) -> pd.Index:
    """The drivers that move the contracts at these positions, or whose gamma they have, and the market drivers."""
    inside = np.zeros(len(market.names), dtype=bool)
    inside[positions] = True
    loaded = reached(market.loadings.matrix, inside)
    loaded[market.price_rows[reached(market.convexity, inside)]] = True
    own = market.paths.driver[positions]
    loaded[own[own >= 0]] = True
    table = market.drivers
    moved = loaded | kept(table, "market", lambda: table["market"].to_numpy(dtype=bool))
    return market.drivers.index if moved.all() else market.drivers.index[moved]


def reached(matrix: sp.csr_array, inside: Array) -> Array:
    """Rows that have an entry in one of these columns."""
    if inside.all():
        return np.diff(matrix.indptr) > 0
    reached = np.zeros(matrix.shape[0], dtype=bool)
    reached[np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[inside[matrix.indices]]] = True
    return reached
