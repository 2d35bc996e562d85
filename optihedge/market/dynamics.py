"""How implied vol moves when the spot moves: three rules of thumb, their deltas, and the minimum-variance delta."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from optihedge.errors import DataError, SpecError
from optihedge.frames import refuse
from optihedge.market.surface import Surface

Floats = NDArray[np.float64]
Dynamics = Literal["sticky_strike", "sticky_moneyness", "sticky_delta"]


def moved_vol(
    surface: Surface,
    strike: ArrayLike,
    years: ArrayLike,
    spot_return: ArrayLike,
    dynamics: Dynamics,
    *,
    elapsed: float = 0.0,
) -> Floats:
    """Vol of contracts (strike, years to expiry today) after the spot's `spot_return` and `elapsed` years.

    Forwards move with the spot. sticky_strike: each contract keeps its vol. sticky_moneyness: each expiry keeps its
    smile in ln(K/F). sticky_delta: in ln(K/F) / sqrt(time left), hence in delta; the two differ only as time passes.
    DataError: a contract that expires by then, a strike not above zero, a return of -1 or less; SpecError: other rules.

    >>> import optihedge as oh
    >>> smile = oh.options.SviSlice(a=0.01, b=0.05, rho=-0.4, m=0.0, sigma=0.2)
    >>> surface = oh.options.svi_surface([smile], [0.25], [100.0], [1.0])
    >>> kept = oh.options.moved_vol(surface, 95.0, 0.25, -0.05, "sticky_strike")
    >>> bool(abs(kept - surface.vol(-0.0513, 0.25)) < 1e-4)
    True
    """
    strike, years, move = (np.asarray(a, dtype=float) for a in (strike, years, spot_return))
    refuse(np.ravel(strike <= 0), "moved_vol", "strike", pd.Series(np.ravel(strike)), "give a strike above zero")
    refuse(np.ravel(move <= -1), "moved_vol", "spot_return", pd.Series(np.ravel(move)), "give a return above -1")
    if np.any(years <= elapsed):
        raise DataError(
            f"{int(np.sum(years <= elapsed))} contracts expire within the elapsed {elapsed:.6g} years; drop them"
        )
    before = np.log(strike / surface.forward(years))
    after = before - np.log1p(move)
    if dynamics == "sticky_strike":
        before, after = np.broadcast_arrays(before, after)
        return surface.vol(before, years)
    if dynamics == "sticky_moneyness":
        return surface.vol(after, years)
    if dynamics == "sticky_delta":
        return surface.vol(after * np.sqrt(years / (years - elapsed)), years)
    raise SpecError(f"unknown dynamics {dynamics!r}; use sticky_strike, sticky_moneyness or sticky_delta")


def smile_delta(delta: ArrayLike, vega: ArrayLike, spot: ArrayLike, skew: ArrayLike, dynamics: Dynamics) -> Floats:
    """Natural delta with the vol's move in it: delta + vega dvol/dS, `skew` = dvol/d ln(K/F) at the contract.

    Sticky strike has dvol/dS = 0, the other two -skew/S.

    >>> import optihedge as oh
    >>> float(oh.options.smile_delta(0.5, 20.0, 100.0, -0.1, "sticky_moneyness").round(4))
    0.52
    """
    delta, vega, spot, skew = (np.asarray(a, dtype=float) for a in (delta, vega, spot, skew))
    if dynamics == "sticky_strike":
        return np.broadcast_arrays(delta, vega)[0].copy()
    if dynamics in ("sticky_moneyness", "sticky_delta"):
        return delta - vega * skew / spot
    raise SpecError(f"unknown dynamics {dynamics!r}; use sticky_strike, sticky_moneyness or sticky_delta")


@dataclass(frozen=True)
class MinimumVarianceDelta:
    """Hull and White's regression delta: delta + vega / (S sqrt(T)) (a + b delta + c delta^2).

    The bracket is the expected move of vol for a relative move of the spot, times sqrt(T). `delta` is the call's
    (a put's plus one), so that both sides of a strike share one fit. Hull and White, "Optimal delta hedging for
    options", Journal of Banking and Finance 2017.
    """

    a: float
    b: float
    c: float

    def delta(
        self, delta: ArrayLike, call_delta: ArrayLike, vega: ArrayLike, years: ArrayLike, spot: ArrayLike
    ) -> Floats:
        """Natural delta of contracts with Black's `delta` and `vega` (natural), expiring in `years`."""
        d = np.asarray(call_delta, dtype=float)
        bracket = self.a + self.b * d + self.c * d**2
        return np.asarray(delta, dtype=float) + np.asarray(vega) * bracket / (np.asarray(spot) * np.sqrt(years))


def fit_minimum_variance_delta(
    delta: ArrayLike,
    call_delta: ArrayLike,
    vega: ArrayLike,
    years: ArrayLike,
    spot: ArrayLike,
    spot_move: ArrayLike,
    value_move: ArrayLike,
) -> MinimumVarianceDelta:
    """Least squares of what delta left unexplained, value_move - delta spot_move, on the three terms; rows (n,).

    `value_move` and `spot_move` are changes over one period of option value and spot, in price units; the Greeks are
    natural and those of its start. One number stands for every row. DataError: fewer than 30 rows, lengths that
    differ, a number that is not finite, years or spot not above zero.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> delta, move = rng.uniform(0.2, 0.8, 100), rng.normal(0, 1.0, 100)
    >>> ones = np.ones(100)
    >>> moves = {"spot_move": move, "value_move": delta * move}
    >>> fitted = oh.options.fit_minimum_variance_delta(delta, delta, 20 * ones, ones / 4, 100 * ones, **moves)
    >>> type(fitted).__name__
    'MinimumVarianceDelta'
    """
    given = {"delta": delta, "call_delta": call_delta, "vega": vega, "years": years, "spot": spot,
             "spot_move": spot_move, "value_move": value_move}  # fmt: skip
    rows = {name: np.asarray(values, dtype=float) for name, values in given.items()}
    lengths = {name: values.size for name, values in rows.items() if values.ndim}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{size} {name}" for name, size in lengths.items())
        raise DataError(f"a minimum-variance delta needs rows of one length, found {found}; align them")
    for name, values in rows.items():
        bad = ~np.isfinite(values) | ((values <= 0) & (name in ("years", "spot")))
        remedy = "drop the row, or give a finite number" + (" above zero" if name in ("years", "spot") else "")
        refuse(np.ravel(bad), "minimum-variance delta", name, pd.Series(np.ravel(values)), remedy)
    delta, call, vega, years, spot, spot_move, value_move = np.broadcast_arrays(*rows.values())
    if delta.size < 30:
        raise DataError(f"a minimum-variance delta needs 30 observations, found {delta.size}; give more rows")
    scale = vega * spot_move / (spot * np.sqrt(years))
    terms = scale[:, None] * np.stack([np.ones_like(call), call, call**2], axis=1)
    found, *_ = np.linalg.lstsq(terms, value_move - delta * spot_move, rcond=None)
    return MinimumVarianceDelta(*(float(f) for f in found))


def hedging_gain(error: ArrayLike, benchmark: ArrayLike) -> float:
    """1 - sum of squared hedging errors over those of the benchmark: Hull and White's gain.

    >>> import optihedge as oh
    >>> round(oh.options.hedging_gain([0.5, -0.5], [1.0, -1.0]), 6)
    0.75
    """
    return float(1 - np.sum(np.asarray(error) ** 2) / np.sum(np.asarray(benchmark) ** 2))
