"""Neutral in beta to what cannot be traded: where the contracts that may be traded hardly move with it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.hedge.in_play import InPlay, reached
from optihedge.market.snapshot import Market
from optihedge.readonly import kept
from optihedge.risk.root import Risk

_HALF = 0.5  # of a market's moves: hedges that explain less add variance when its beta is brought to zero


def hardly_moved(market: Market, risk: Risk, own: InPlay) -> tuple[str, ...]:
    """A sentence on each market driver on which nothing may be traded and of which no tradable contract explains half.

    With r the correlation of the hedge h with the market m and s their deviations, its beta is r s_h / s_m: a book of
    beta b is neutral with -b s_m / (r s_h) of it, which leaves b^2 s_m^2 (1 / r^2 - 1) of the b^2 s_m^2 that m moves.
    """
    names, table = market.drivers.index, market.drivers
    tradable = np.zeros(len(market.names), dtype=bool)
    tradable[own.positions[own.tradable]] = True
    moved = reached(market.loadings.matrix, tradable)
    marked = kept(table, "market", lambda: table["market"].to_numpy(dtype=bool))
    if not (marked & ~moved).any():
        return ()
    price = np.zeros(len(names), dtype=bool)
    price[market.price_rows] = True
    traded, bare = (names[on].intersection(risk.drivers, sort=False) for on in (moved & price, marked & ~moved))
    if not len(bare) or not len(traded):
        return ()
    shares = explained(risk, bare, traded)
    best = shares.argmax(axis=1)
    return tuple(
        f"beta:{name}: nothing on {name} may be traded, and {traded[k]}, which moves with it most, explains "
        f"{share:.0%} of its moves: brought to zero by it, what {name} moves of a book leaves "
        f"{1 / share - 1:.1f} times its variance; mark a driver that is traded as the market, or leave it to Variance"
        for name, k, share in zip(bare, best, shares.max(axis=1), strict=True)
        if 0 < share < _HALF
    )


def explained(risk: Risk, of: pd.Index, by: pd.Index) -> np.ndarray:
    """Squared correlation of each driver of `of` with each of `by`, no driver in both; 0 where one does not move."""
    at, on = risk.drivers.get_indexer(of), risk.drivers.get_indexer(by)
    variance = (risk.root**2).sum(axis=0) + risk.specific**2
    product = risk.root[:, at].T @ risk.root[:, on]
    size = np.outer(variance[at], variance[on])
    return product**2 / np.where(size > 0, size, np.inf)
