"""How a smile moves: level, term and skew of implied vols from one chain to the next, as drivers for scenarios.

The change of an option's vol at its own strike is read as  vol + term x sqrt(30 d / T) + skew x ln(K/F) / sqrt(T), by
least squares weighted with vega; the three coefficients and the underlying's return are one day's move, in the words of
`market.scenarios`. What the three leave is each contract's own noise, larger for short lives as sqrt(30 d / T).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import Column, check_frame
from optihedge.market.revaluation import smile_shape
from optihedge.market.snapshot import Market

Array = np.ndarray
SMILE = ("spot", "vol", "term", "skew")
_MONTH, _DAY = 30 / 365, 1 / 365
_LEAST = 10  # options seen on both days


def smile_move(start: Market, end: Market, underlying: str) -> pd.Series:
    """One move: spot (return), vol, term, skew (decimal), and `noise`, the deviation of what is left at 30 days.

    Only options of `underlying` quoted in both markets are read, at least a day from expiry. Raises DataError for
    fewer than ten of them.
    """
    both = start.names.intersection(end.names)
    at = start.names.get_indexer(both)
    c = start.contracts
    on = (start.instruments["underlying"] == underlying).to_numpy()[at]
    at = at[c.option[at] & on & (c.years[at] > _DAY)]
    later = end.contracts.vol[end.names.get_indexer(start.names[at])]
    change, weight = later - c.vol[at], start.exposures["vega"].to_numpy()[at]
    seen = np.isfinite(change) & (weight > 0)
    if seen.sum() < _LEAST:
        raise DataError(
            f"smile: {int(seen.sum())} options of {underlying} are quoted both on {start.as_of} and {end.as_of}; "
            f"it needs {_LEAST}"
        )
    at, change, weight = at[seen], change[seen], weight[seen]
    shape = np.column_stack([np.ones(len(at)), *smile_shape(c.strike[at], c.forward[at], c.years[at])])
    move = np.linalg.lstsq(shape * weight[:, None], change * weight, rcond=None)[0]
    left = (change - shape @ move) / shape[:, 1]
    place = start.drivers.index[(start.drivers["kind"] == "price") & (start.drivers["underlying"] == underlying)]
    spot = float(end.levels[place[0]] / start.levels[place[0]] - 1)
    noise = float(np.sqrt(np.average(left**2, weights=weight**2)))
    return pd.Series([spot, *move, noise], index=[*SMILE, "noise"], name=end.as_of)


def smile_history(markets: Iterable[Market], underlying: str) -> pd.DataFrame:
    """The moves between consecutive markets, T x (spot, vol, term, skew, noise), by the time of their end.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> later = oh.policy.moved(market, {"spot": 0.01, "days": 1.0})
    >>> list(oh.risk.smile_history([market, later], "SPX").columns)
    ['spot', 'vol', 'term', 'skew', 'noise']
    """
    return pd.DataFrame([smile_move(start, end, underlying) for start, end in pairwise(markets)])


def draw_shocks(history: pd.DataFrame, count: int, *, days: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """`count` normal shocks (S x spot, vol, term, skew, days) with the covariance of past moves and no mean.

    Drawn in pairs of opposite sign, the same for the same seed; `days` calendar days pass in each. Raises DataError for
    fewer than three past moves, and for one without any of the four numbers.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> past = pd.DataFrame({"spot": [0.01, -0.02, 0.0, 0.015], "vol": [-0.01, 0.02, 0.0, -0.01],
    ...                      "term": [0.001, -0.001, 0.0, 0.002], "skew": [0.0, 0.01, -0.01, 0.0]})
    >>> drawn = oh.risk.draw_shocks(past, 10)
    >>> bool(abs(drawn["spot"].sum()) < 1e-12)
    True
    """
    given = history[[name for name in SMILE if name in history.columns]]
    moves = check_frame(given, {name: Column("number", required=True) for name in SMILE}, "smile history").to_numpy()
    if len(moves) < 3:
        raise DataError(f"smile: {len(moves)} past moves; it needs at least 3 to know how they vary")
    values, vectors = np.linalg.eigh(np.cov(moves.T))
    half = np.random.default_rng(seed).normal(size=((count + 1) // 2, len(SMILE)))
    draws = np.vstack([half, -half])[:count] @ (vectors * np.sqrt(np.clip(values, 0.0, None))).T
    return pd.DataFrame(draws, columns=list(SMILE)).assign(days=float(days))


def smile_noise(market: Market, noise: float) -> pd.Series:
    """Deviation of each contract's own P&L over the period, base currency: vega x noise x sqrt(30 d / T).

    `noise` is in vol, decimal, at 30 days; DataError unless it is finite and at least zero.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> noise = oh.risk.smile_noise(market, 0.005)
    >>> bool(noise["AAPL"] == 0 and noise["SPX-SEP16-1950-P"] > 0)
    True
    """
    if not 0 <= noise < np.inf:
        raise DataError(f"smile: noise is {noise}; give a deviation of vol, decimal, of at least 0")
    c = market.contracts
    life = np.where(c.option, np.maximum(c.years, _DAY), 1.0)
    own = 100.0 * market.exposures["vega"].to_numpy() * noise * np.sqrt(_MONTH / life)
    return pd.Series(np.where(c.option, own, 0.0), index=market.names, name="noise")
