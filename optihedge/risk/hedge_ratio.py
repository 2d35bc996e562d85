"""Hedge ratios in closed form, and how effective a hedge was.

Source: Hull, Options, Futures, and Other Derivatives, chapters 3 and 6.
"""

from __future__ import annotations

import numpy as np

from optihedge.errors import DataError

Array = np.ndarray


def minimum_variance_ratio(item_sd: float, hedge_sd: float, correlation: float) -> float:
    """Units of hedge to sell per unit of item held, correlation x item sd / hedge sd (sds of price changes)."""
    return correlation * item_sd / hedge_sd


def minimum_variance_hedge(item: Array, hedges: Array) -> tuple[Array, float]:
    """Ratios (m) to sell of hedges (T x m) per unit of item (T), and the in-sample R2. Raises DataError.

    Both are changes or returns per period; the ratios are least-squares slopes with an intercept.
    """
    item, hedges = _changes(item, hedges)
    centred = hedges - hedges.mean(axis=0)
    ratios = np.linalg.lstsq(centred, item - item.mean(), rcond=None)[0]
    return ratios, 1.0 - float(np.var(item - hedges @ ratios) / np.var(item))


def futures_contracts(ratio: float, position: float, contract: float) -> float:
    """Contracts to sell: ratio x position / contract, both in the same unit (gallons, or base currency)."""
    return ratio * position / contract


def contracts_for_beta(value: float, beta: float, target: float, futures_value: float) -> float:
    """Index futures to trade (positive buys) that move a portfolio's beta to target; values in base currency."""
    return (target - beta) * value / futures_value


def contracts_for_duration(value: float, duration: float, futures_value: float, futures_duration: float) -> float:
    """Bond futures to sell against a parallel shift; values in base currency, durations in years at the horizon."""
    return value * duration / (futures_value * futures_duration)


def beta_weighted_delta(delta: float, price: float, beta: float, index: float) -> tuple[float, float]:
    """A position's delta in units of the index, and in cash (base currency): delta x price x beta."""
    cash = delta * price * beta
    return cash / index, cash


def effectiveness(item: Array, hedged: Array) -> float:
    """1 - Var(hedged) / Var(item), both P&L per period (T). Below zero, the hedge added risk. Raises DataError."""
    item, hedged = _changes(item, hedged)
    return 1.0 - float(np.var(hedged[:, 0], ddof=1) / np.var(item, ddof=1))


def r_squared(item: Array, hedge: Array) -> float:
    """R2 of the item's changes on the hedge's (T each): the effectiveness of the best constant ratio in sample."""
    return minimum_variance_hedge(item, hedge)[1]


def dollar_offset(item: Array, hedge: Array, cumulative: bool = False) -> Array:
    """-hedge P&L / item P&L (T), per period or from the start; 1 offsets exactly, NaN where the item did not move.

    The 80-125 % band is IAS 39 / ASC 815 practice; IFRS 9 dropped it.
    """
    item, hedge = np.asarray(item, dtype=float), np.asarray(hedge, dtype=float)
    if cumulative:
        item, hedge = item.cumsum(), hedge.cumsum()
    return -np.divide(hedge, item, out=np.full(item.shape, np.nan), where=item != 0)


def _changes(item: Array, hedges: Array) -> tuple[Array, Array]:
    item, hedges = np.asarray(item, dtype=float), np.asarray(hedges, dtype=float)
    hedges = hedges[:, None] if hedges.ndim == 1 else hedges
    if item.ndim != 1 or len(hedges) != len(item) or len(item) < 2:
        raise DataError(f"hedge effectiveness: shapes {item.shape} and {hedges.shape}; give T >= 2 and T x m")
    if not (np.isfinite(item).all() and np.isfinite(hedges).all()):
        raise DataError("hedge effectiveness: a change is missing; leave that period out of both")
    if np.ptp(item) == 0:
        raise DataError("hedge effectiveness: the item does not move, so there is nothing to hedge")
    return item, hedges
