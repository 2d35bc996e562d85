"""Hedge ratios in closed form, and how effective a hedge was.

Arrays of changes go by position; Series and DataFrames must carry equal row labels in the same order, else a DataError
names the first that differs. A number that makes no sense is a SpecError.

Source: Hull, Options, Futures, and Other Derivatives, chapters 3 and 6.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.frames import same_labels

Array = np.ndarray
Changes: TypeAlias = np.ndarray | pd.Series | pd.DataFrame


def minimum_variance_ratio(item_sd: float, hedge_sd: float, correlation: float) -> float:
    """Units of hedge to sell per unit of item held, correlation x item sd / hedge sd (sds of price changes).

    >>> import optihedge as oh
    >>> round(oh.stats.minimum_variance_ratio(0.0263, 0.0313, 0.928), 4)
    0.7798
    """
    if not -1 <= correlation <= 1:
        raise SpecError(f"correlation is {correlation}; give a number from -1 to 1")
    for name, value in (("item_sd", item_sd), ("hedge_sd", hedge_sd)):
        if not value >= 0:
            raise SpecError(f"{name} is {value}; a standard deviation is at least 0")
    _divisor(hedge_sd=hedge_sd)
    return correlation * item_sd / hedge_sd


def minimum_variance_hedge(item: Changes, hedges: Changes) -> tuple[Array, float]:
    """Ratios (m) to sell of hedges (T x m, or T) per unit of item (T), and the in-sample R2. Raises DataError.

    Both are changes or returns per period; the ratios are least-squares slopes with an intercept.

    >>> import optihedge as oh
    >>> ratio, explained = oh.stats.minimum_variance_hedge([1.0, -2.0, 3.0, 0.0], [2.0, -4.0, 6.0, 0.0])
    >>> print(ratio.round(6).tolist(), round(explained, 6))
    [0.5] 1.0
    """
    item, hedges = _moving(item=item, hedges=hedges)
    centred = hedges - hedges.mean(axis=0)
    ratios = np.linalg.lstsq(centred, item - item.mean(), rcond=None)[0]
    return ratios, 1.0 - float(np.var(item - hedges @ ratios) / np.var(item))


def futures_contracts(ratio: float, position: float, contract: float) -> float:
    """Contracts to sell of a hedge: ratio x position / contract, both in the same unit (gallons, or base currency).

    The ratio is that of `minimum_variance_ratio`: positive sells against a long position, negative buys; the trade has
    the other sign.

    >>> import optihedge as oh
    >>> round(oh.stats.futures_contracts(0.7798, 2_000_000, 42_000), 2)
    37.13
    """
    _divisor(contract=contract)
    return ratio * position / contract


def contracts_for_beta(value: float, beta: float, target: float, futures_value: float) -> float:
    """Index futures to trade, positive buys and negative sells, that move beta to target; values in base currency.

    A signed trade, unlike the contracts to sell of `contracts_for_duration` and `futures_contracts`.

    >>> import optihedge as oh
    >>> round(oh.stats.contracts_for_beta(5_050_000, 1.5, 0.0, 1_010 * 250), 2)
    -30.0
    """
    _divisor(futures_value=futures_value)
    return (target - beta) * value / futures_value


def contracts_for_duration(value: float, duration: float, futures_value: float, futures_duration: float) -> float:
    """Bond futures to sell against a parallel shift; values in base currency, durations in years at the horizon.

    Positive sells and negative buys, so the trade has the other sign.

    >>> import optihedge as oh
    >>> round(oh.stats.contracts_for_duration(10_000_000, 6.80, 93_062.50, 9.20), 2)
    79.42
    """
    _divisor(futures_value=futures_value, futures_duration=futures_duration)
    return value * duration / (futures_value * futures_duration)


def beta_weighted_delta(delta: float, price: float, beta: float, index: float) -> tuple[float, float]:
    """A position's delta in units of the index, and in cash (base currency): delta x price x beta.

    >>> import optihedge as oh
    >>> units, cash = oh.stats.beta_weighted_delta(55, 190, 1.2, 5_000)
    >>> print(round(units, 3), round(cash))
    2.508 12540
    """
    _divisor(index=index)
    cash = delta * price * beta
    return cash / index, cash


def effectiveness(item: Changes, hedged: Changes) -> float:
    """1 - Var(hedged) / Var(item), both P&L per period (T). Below zero, the hedge added risk. Raises DataError.

    >>> import optihedge as oh
    >>> oh.stats.effectiveness([1.0, -1.0, 1.0, -1.0], [0.1, -0.1, 0.1, -0.1])
    0.99
    """
    item, hedged = _moving(one=True, item=item, hedged=hedged)
    return 1.0 - float(np.var(hedged, ddof=1) / np.var(item, ddof=1))


def r_squared(item: Changes, hedge: Changes) -> float:
    """R2 of the item's changes on the hedge's (T each): the effectiveness of the best constant ratio in sample.

    >>> import optihedge as oh
    >>> round(oh.stats.r_squared([1.0, -2.0, 3.0, 0.0], [2.0, -4.0, 6.0, 0.0]), 6)
    1.0
    """
    return minimum_variance_hedge(*_moving(one=True, item=item, hedge=hedge))[1]


def dollar_offset(item: Changes, hedge: Changes, cumulative: bool = False) -> Array:
    """-hedge P&L / item P&L (T), per period or from the start; 1 offsets exactly, NaN where the item did not move.

    The 80-125 % band is IAS 39 / ASC 815 practice; IFRS 9 dropped it.

    >>> import optihedge as oh
    >>> oh.stats.dollar_offset([10.0, -4.0], [-9.0, 4.0]).tolist()
    [0.9, 1.0]
    """
    item, hedge = _changes(one=True, item=item, hedge=hedge)
    if cumulative:
        item, hedge = item.cumsum(), hedge.cumsum()
    return -np.divide(hedge, item, out=np.full(item.shape, np.nan), where=item != 0)


def _divisor(**values: float) -> None:
    for name, value in values.items():
        if not np.isfinite(value) or value == 0:
            raise SpecError(f"{name} is {value}; give a finite number other than 0")


def _moving(one: bool = False, **changes: Changes) -> tuple[Array, Array]:
    """As `_changes`; refuses an item that never moves."""
    item, hedges = _changes(one, **changes)
    if np.ptp(item) == 0:
        raise DataError("hedge effectiveness: the item does not move, so there is nothing to hedge")
    return item, hedges


def _changes(one: bool = False, **changes: Changes) -> tuple[Array, Array]:
    """Item (T) and hedges (T x m; T where only `one` is meant), with equal labels and no gap. Raises DataError."""
    same_labels("hedge effectiveness", 0, **changes)
    item, hedges = (np.asarray(c, dtype=float) for c in changes.values())
    hedges = hedges[:, None] if hedges.ndim == 1 else hedges
    if hedges.ndim != 2 or item.shape != hedges.shape[:1] or not hedges.size or (one and hedges.shape[1] > 1):
        of, wanted = " and ".join(changes), "T each" if one else "T and T x m"
        raise DataError(f"hedge effectiveness: shapes {item.shape} and {hedges.shape} of {of}; give {wanted}")
    if not (np.isfinite(item).all() and np.isfinite(hedges).all()):
        raise DataError("hedge effectiveness: a change is missing; leave that period out of both")
    return item, hedges[:, 0] if one else hedges
