"""A spread: legs of fixed weight; where its level stands against its own past, and how fast deviations have gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.frames import nearest
from optihedge.market.snapshot import Market

LEAST_ROWS = 30  # fewer say nothing about a mean and a speed
_STALE_ROWS = 5
_SHORTEST = 0.5  # rows: a faster reversion than one row counts as half of one
_MACKINNON = -2.86154, -2.8903, -4.234, -40.04  # of 1, 1/T, 1/T^2, 1/T^3: 5 % with a constant (MacKinnon 2010)


@dataclass(frozen=True, eq=False)
class SpreadState:
    """A spread at a market: P&L per unit of notional, cumulated over its history.

    level       sum of weight x log return of each leg's price since the first row, by time
    deviation   last level less the mean over the rows;  z  the same in standard deviations (ddof 0)
    half_life   rows of history in which half of a deviation is gone; infinite where that cannot be told from a random
                walk: the Dickey-Fuller t of the level (lags, constant) is above its 5 % value
    t           that statistic

    >>> SpreadState(pd.Series([0.0, 0.02]), 0.02, 1.0, 5.0, -4.0).z
    1.0
    """

    level: pd.Series
    deviation: float
    z: float
    half_life: float
    t: float

    def reversion(self, periods: float) -> float:
        """The expected change of the level over so many rows: -deviation x (1 - 2^(-periods / half_life)).

        >>> SpreadState(pd.Series([0.0, 0.02]), 0.02, 1.0, 5.0, -4.0).reversion(5.0)
        -0.01
        """
        return -self.deviation * (1.0 - 2.0 ** (-periods / self.half_life))


def spread_state(market: Market, legs: Mapping[str, float], rows: int = 250) -> SpreadState:
    """Where the spread of some contracts stands.

    market  whose history holds the drivers of the legs
    legs    contract -> weight: notional, base currency, per unit of the spread; two or more, none 0
    rows    last rows of the history in which all legs moved

    A leg's return is first order: moves of drivers (T x D) times its loadings per unit of notional. Raises SpecError
    for legs that are no spread or not in the market and fewer rows than 30, DataError where the history has fewer, and
    where one of them has not moved over its last five rows.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("out/example"))
    >>> state = spread_state(market, {"USMV": 1.0, "VLUE": -1.0})
    >>> len(state.level), state.half_life > 0
    (250, True)
    """
    weights = legs_of("spread", legs)
    unknown = [name for name in weights.index if name not in market.names]
    if unknown:
        hint = nearest(unknown[0], market.names)
        raise SpecError(f"spread: {unknown[0]} is no contract of this market{hint}; name one")
    at = market.names.get_indexer(weights.index)
    per_unit = market.loadings.matrix[:, at].toarray() / market.notional.to_numpy(dtype=float)[at]
    used = np.flatnonzero(np.abs(per_unit).max(axis=1) > 0)
    if not used.size:
        raise DataError(f"spread of {', '.join(weights.index)}: no driver moves them; give history for one")
    if rows < LEAST_ROWS:
        raise SpecError(f"spread: rows is {rows}; give {LEAST_ROWS} or more")
    every = market.moves(drivers=market.drivers.index[used])
    moves = every.dropna().iloc[-rows:]
    if len(moves) < LEAST_ROWS:
        raise DataError(
            f"spread of {', '.join(weights.index)}: {len(moves)} rows of history in which all moved; "
            f"it takes {LEAST_ROWS}"
        )
    since = len(every) - 1 - every.index.get_loc(moves.index[-1])
    if since > _STALE_ROWS:
        raise DataError(
            f"spread of {', '.join(weights.index)}: not all of them have moved since {moves.index[-1]}, {since} rows "
            "ago; where it stands today is not known: give what is missing of their history"
        )
    returns = np.maximum(moves.to_numpy() @ per_unit[used], -0.99)
    level = pd.Series(np.cumsum(np.log1p(returns) @ weights.to_numpy()), index=moves.index, name="spread")
    away = level.to_numpy() - level.mean()
    scale = float(away.std())
    if not scale > 1e-12:
        raise DataError(f"spread of {', '.join(weights.index)}: its level never moves; the legs are one thing")
    return SpreadState(level, float(away[-1]), float(away[-1] / scale), *half_life(away))


def half_life(level: np.ndarray) -> tuple[float, float]:
    """Rows in which half of a deviation of a level (T) is gone, and the Dickey-Fuller t that tells it from none.

    Infinite where t is above its 5 % value, else `decay_rows`. As many changes before as Schwert's rule says, 4
    (T/100)^(1/4), stand beside the level: with one, a random walk seen through bid and ask is taken for a reversion.

    >>> slow, t = half_life(np.cumsum(np.ones(50)) + 0.1 * np.sin(np.arange(50.0)))
    >>> slow, t > -2.9
    (inf, True)
    """
    change = np.diff(level)
    lags = max(int(4 * (len(level) / 100) ** 0.25), 1)
    before = [change[lags - lag : len(change) - lag] for lag in range(1, lags + 1)]
    design = np.column_stack([np.ones(len(change) - lags), level[lags:-1], *before])
    found, _, rank, _ = np.linalg.lstsq(design, change[lags:], rcond=None)
    left = change[lags:] - design @ found
    spread = left @ left / max(len(left) - design.shape[1], 1)
    error = np.sqrt(spread * np.linalg.pinv(design.T @ design)[1, 1])
    t = float(found[1] / error) if error > 0 and rank == design.shape[1] else 0.0
    critical = sum(beta / len(change) ** power for power, beta in enumerate(_MACKINNON))
    return (decay_rows(level) if t < critical else np.inf), t


def decay_rows(level: np.ndarray) -> float:
    """Rows in which half of a deviation of a level (T) is gone, 0.5 or more; infinite where nothing goes.

    An AR(1) seen through noise of its own: kept from row to row is the second autocovariance over the first, in which
    the noise has no part, plus (1 + 3 kept) / T, what a sample of T rows is short of (Marriott and Pope 1954). A first
    autocorrelation within chance is noise alone.

    >>> drawn = np.random.default_rng(0).standard_normal(20_000)
    >>> bool(6 < decay_rows(np.convolve(drawn, 0.9 ** np.arange(200.0), "valid")) < 7.2)
    True
    """
    away = level - level.mean()
    size, first = len(away), float(away[1:] @ away[:-1])
    if first <= 2.0 / np.sqrt(size) * float(away @ away):
        return _SHORTEST
    kept = float(away[2:] @ away[:-2]) / first
    kept += (1.0 + 3.0 * kept) / size
    if kept >= 1.0:
        return np.inf
    return max(float(np.log(2) / -np.log(kept)), _SHORTEST) if kept > 0 else _SHORTEST


def legs_of(label: str, legs: object) -> pd.Series:
    """Weights by contract. Raises SpecError for what is no spread."""
    if not isinstance(legs, Mapping) or len(legs) < 2:
        raise SpecError(f"{label}: legs are {legs!r}; give two contracts or more, each with its weight")
    for name, weight in legs.items():
        number = isinstance(weight, (int, float, np.number)) and not isinstance(weight, bool)
        if not isinstance(name, str) or not number or not np.isfinite(weight) or weight == 0:
            raise SpecError(f"{label}: the weight of {name} is {weight!r}; give a finite number that is not 0")
    return pd.Series({name: float(weight) for name, weight in legs.items()}, dtype=float)
