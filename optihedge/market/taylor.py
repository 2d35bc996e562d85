"""P&L under a shock from Greeks alone, to second order: for contracts of which the desk gives its own.

Such a contract may be anything (a barrier, a basket): revalued as the vanilla that its fields describe it would be
wrong by more than the terms that are left out here.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.market.exposures import Sensitivities

Floats = NDArray[np.float64]
GREEKS = ("delta", "gamma", "vega", "theta", "rho", "vanna", "volga", "charm")


def with_own_greeks(own: pd.DataFrame | None, size: int) -> NDArray[np.bool_]:
    """N booleans: contracts of which the desk gives one Greek or more (own exposures, N rows, NaN where not given)."""
    if own is None:
        return np.zeros(size, dtype=bool)
    return own[own.columns.intersection(list(GREEKS))].notna().any(axis=1).to_numpy()


def taylor_pnl(
    s: Sensitivities, returns: Floats, vol: Floats | float, rate: Floats | float, basis: Floats | float, days: float
) -> Floats:
    """P&L, R x n, base currency, of n contracts: first order in all, second in the return and the vol.

    returns of the underlying, changes of vol, rate and ln(F/S) (R x n each); days that pass, 0 where infinite
    """
    years = days / 365 if np.isfinite(days) else 0.0
    first = s.delta * returns + s.vega * vol + s.rho * rate + s.basis * basis + s.theta * years
    second = 0.5 * s.gamma * returns**2 + s.vanna * returns * vol + 0.5 * s.volga * vol**2
    return first + second + s.charm * years * returns


def taken(s: Sensitivities, at: NDArray[np.intp]) -> Sensitivities:
    """The sensitivities of the contracts at these positions."""
    return Sensitivities(**{field.name: getattr(s, field.name)[at] for field in fields(s)})
