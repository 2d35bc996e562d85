"""How implied vol moves when the spot moves: three rules of thumb, their deltas, and the minimum-variance delta."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optihedge.errors import DataError, SpecError
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
    """
    strike, years = np.asarray(strike, dtype=float), np.asarray(years, dtype=float)
    if np.any(years <= elapsed):
        raise DataError(f"{int(np.sum(years <= elapsed))} contracts expire within the elapsed {elapsed:.6g} years")
    before = np.log(strike / surface.forward(years))
    after = before - np.log1p(np.asarray(spot_return, dtype=float))
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
    natural and those of its start. DataError with fewer than 30 rows.
    """
    rows = (np.asarray(a, dtype=float) for a in (delta, call_delta, vega, years, spot, spot_move, value_move))
    delta, call, vega, years, spot, spot_move, value_move = rows
    if delta.size < 30:
        raise DataError(f"a minimum-variance delta needs 30 observations, found {delta.size}")
    scale = vega * spot_move / (spot * np.sqrt(years))
    terms = scale[:, None] * np.stack([np.ones_like(call), call, call**2], axis=1)
    found, *_ = np.linalg.lstsq(terms, value_move - delta * spot_move, rcond=None)
    return MinimumVarianceDelta(*(float(f) for f in found))


def hedging_gain(error: ArrayLike, benchmark: ArrayLike) -> float:
    """1 - sum of squared hedging errors over those of the benchmark: Hull and White's gain."""
    return float(1 - np.sum(np.asarray(error) ** 2) / np.sum(np.asarray(benchmark) ** 2))
