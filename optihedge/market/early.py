"""Early exercise of American options: whether it pays now, and what the next dividend may bring."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.market.american import american_greeks, american_price
from optihedge.market.contracts import Contracts
from optihedge.market.pricing import black

Floats = NDArray[np.float64]


UNITS = {
    "exercise": "whether exercise now is worth at least as much as holding",
    "premium": "base currency per contract: the value over that of the same European option",
    "ex_years": "years to the next ex-date before expiry",
    "dividend": "base currency per contract",
    "before_dividend": "whether exercise just before the ex-date is worth more than holding, at today's price then",
    "forgone": "base currency per contract: what a holder loses who does not exercise then",
}


def early_exercise(c: Contracts, names: pd.Index) -> pd.DataFrame:
    """The American options of a market by label, columns of UNITS (attrs["unit"]).

    The holder of a call that is worth less after the dividend than its payoff before it exercises the day before; who
    is short should expect assignment, pays the dividend and loses what is left of the option. Spot as today, carried to
    the ex-date; `forgone` is 0 where exercise does not pay.
    """
    at = np.flatnonzero(c.option & c.american)
    o = c.take(at)
    level, unit = o.deliverable, o.multiplier * o.fx
    g = american_greeks(level, o.strike, o.years, o.vol, o.right, o.rate, o.carry, o.ex, o.cash)
    european = black(o.forward, o.strike, o.years, o.vol, o.right, o.discount)
    size, width = o.ex.shape
    first = np.fmin.reduce(o.ex, axis=1) if width else np.full(size, np.nan)
    paid = (o.cash * (o.ex == first[:, None])).sum(axis=1)
    falls = np.isfinite(first)
    later = np.maximum(np.nan_to_num(first), 0.0)
    there = level * np.exp(o.carry * later)
    left = np.maximum(o.years - later, 0.0)
    after = american_price(
        np.maximum(there - paid, 1e-9 * level), o.strike, left, o.vol, o.right, o.rate, o.carry, o.ex - later[:, None],
        o.cash,
    )  # fmt: skip
    forgone = np.where(falls, np.maximum(o.right * (there - o.strike), 0.0) - after, 0.0)
    frame = pd.DataFrame({
        "exercise": g.exercise, "premium": np.maximum(g.price - european, 0.0) * unit, "ex_years": first,
        "dividend": paid * unit, "before_dividend": forgone > 0, "forgone": np.maximum(forgone, 0.0) * unit,
    }, index=names[at])  # fmt: skip
    frame.attrs["unit"] = dict(UNITS)
    return frame
