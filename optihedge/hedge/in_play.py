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
from optihedge.market.snapshot import Market

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
        chosen, notes = universe.tradable(market, pd.Series(book, index=market.names), years)
        sides = np.isfinite(market.trade_cost.to_numpy(dtype=float)).any(axis=1)
        silent = market.names[chosen & ~sides]
        if len(silent):
            notes.append(f"{some(silent)}: not traded, no quote")
        positions = np.flatnonzero((book != 0) | (chosen & sides))
        moved = drivers_of(market, positions)
        return cls(positions, chosen[positions], book[positions], moved, tuple(notes))


def drivers_of(market: Market, positions: Array) -> pd.Index:
    """The drivers that move the contracts at these positions, or whose gamma they have, and the market drivers."""
    loaded = np.diff(sp.csc_array(market.loadings.matrix)[:, positions].tocsr().indptr) > 0
    curved = np.diff(sp.csc_array(market.convexity)[:, positions].tocsr().indptr) > 0
    loaded |= market.drivers.index.isin(market.price_drivers[curved])
    own = market.paths.driver[positions]
    loaded[own[own >= 0]] = True
    return market.drivers.index[loaded | market.drivers["market"].to_numpy(dtype=bool)]
