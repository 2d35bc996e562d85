"""Why each line is there: what its trade serves most, a limit or risk."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.hedge.result import Hedge
from optihedge.program.program import risk_gradient, row_values

Array = np.ndarray
_NOISE = 1e-6  # of what a trade takes off risk: a row that it serves by less does not bind


def reasons(hedge: Hedge) -> pd.Series:
    """By traded contract what its trade serves most, see `served`."""
    problem = hedge.problem
    trade = (hedge.h - hedge.program.start)[problem.columns.contracts]
    return pd.Series(served(hedge), index=problem.names[problem.tradable], dtype=object)[trade != 0]


def served(hedge: Hedge) -> Array:
    """By tradable contract what its trade serves most: a limit's name, or 'risk'; 'rounding' if nothing.

    A trade x serves a row by -multiplier a x, risk by what it takes off 1/2 variance (the mean gradient before and
    after, so that trades' parts add up), a volatility limit by its multiplier times the same; all in base currency.
    A trade that serves risk most is still there for a binding row that was outside its limits, if it does a larger
    part of bringing that row back than of taking risk off. One that serves nothing may do so too; else it may be one of
    several that take risk off together, as its marginal risk at the answer says.
    """
    p, problem = hedge.program, hedge.problem
    trade, contracts = hedge.h - p.start, problem.columns.contracts
    rows, middle = p.rows.toarray(), p.start + trade / 2  # a quadratic's mean gradient is that of the middle
    before = row_values(p, p.start)
    outside = np.maximum(before - p.row_upper, 0) - np.maximum(p.row_lower - before, 0)
    back = np.clip(-rows * trade / np.where(outside == 0, np.inf, outside)[:, None], 0, 1)  # part of the way back
    risk = -risk_gradient(p, middle) * trade
    money_for = [risk, *(-hedge.multipliers[:, None] * rows * trade)]
    labels = np.array(["risk", *problem.row_limits], dtype=object)
    if p.volatility_limit is not None:
        money_for.append(-hedge.limit_multiplier * p.volatility_limit.half_gradient(middle) * trade)
        labels = np.append(labels, p.volatility_limit.name)
    money = np.array(money_for)
    best = np.where(money.max(axis=0) > 0, money.argmax(axis=0), -1)
    binding = money[1 : 1 + len(rows)] > _NOISE * np.abs(risk)
    part_of_risk = np.divide(risk, risk.sum(), out=np.ones_like(risk), where=risk.sum() > 0)
    ahead = np.where(best == -1, back, np.where((best == 0) & binding & (back > part_of_risk), back, 0.0))
    if len(rows):
        best = np.where(ahead.max(axis=0) > 0, 1 + ahead.argmax(axis=0), best)
    together = -risk_gradient(p, hedge.h) * trade > 0
    best = np.where((best == -1) & together, 0, best)
    return np.where(best >= 0, labels[best], "rounding")[contracts]
