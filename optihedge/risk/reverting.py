"""Bases and rates may come back: over h periods their risk is that of their own moves over h, not the root of time's.

The variance ratio of Lo and MacKinlay, Review of Financial Studies 1 (1988), with overlapping moves, unbiased: that of
moves over h periods about their mean, over h times that of moves over one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.frames import some
from optihedge.market.snapshot import Market
from optihedge.risk.root import Risk

KINDS = ("basis", "rate")
_SPANS = 10  # moves over h periods side by side that a history must hold, else the root of time stays


def with_own_horizon(risk: Risk, market: Market, periods: float, needed: pd.Index) -> Risk:
    """The risk whose basis and rate drivers, over `periods`, move as much as their own moves over so many.

    needed   drivers whose figures are told in the notes. Shorter histories and horizons below two periods stay.
    """
    span = round(periods)
    if span < 2:
        return risk
    kind = market.drivers["kind"].reindex(risk.drivers)
    names = risk.drivers[kind.isin(KINDS).to_numpy() & risk.drivers.isin(market.history.columns)]
    if not len(names):
        return risk
    ratio = pd.Series(1.0, index=risk.drivers)
    for name in names:
        levels = market.history[name].dropna().to_numpy(dtype=float)
        if len(levels) > _SPANS * span:
            ratio[name] = np.sqrt(variance_ratio(levels, span))
    told = ratio[names.intersection(needed)]
    told = told[told != 1.0]
    note = (
        f"risk of {some(told.index)} over {span} periods: that of their own moves over so many, "
        f"{', '.join(f'{value:.2f}' for value in told.head(3))} of what the square root of time says"
    )
    return replace(risk.scaled(ratio.to_numpy()), notes=(*risk.notes, *([note] if len(told) else [])))


def variance_ratio(levels: NDArray[np.float64], span: int) -> float:
    """Variance of moves over `span` rows of T levels over `span` times that of moves over one; 1 where none moves."""
    steps = np.diff(levels)
    count, mean = len(steps), steps.mean()
    single = ((steps - mean) ** 2).sum() / (count - 1)
    if not single > 0:
        return 1.0
    over = ((levels[span:] - levels[:-span] - span * mean) ** 2).sum()
    return float(over / (span * (count - span + 1) * (1 - span / count)) / single)
