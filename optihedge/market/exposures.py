"""From contracts to sensitivities: what one contract gains, in base currency, for a unit move of what drives it.

A contract's value V(S, vol, t) stands in a currency c whose price in base currency may itself move with S (a coin as
numeraire: base per unit of c goes as S^power, power -1). Everything here is a derivative of V S^power, so that a book
reads the same in either numeraire, and one coin is one driver whether it is underlying, collateral or base. Currency
pairs are no part of delta: what foreign money gains or loses stands apart, see `Sensitivities.fx`. Here `delta` is the
sensitivity to the contract's own driver, pair or not; `Market.exposures` sorts it by what that driver is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.market.contracts import Contracts, Flags, Floats
from optihedge.market.families import FAMILIES
from optihedge.market.families.base import PARTS, Family

UNITS = {
    "delta": "base currency, P&L of +100 %",
    "gamma": "base currency, change of delta for +1 %",
    "vega": "base currency per vol point",
    "theta": "base currency per calendar day",
    "rho": "base currency per basis point, spot held",
    "vanna": "base currency, change of delta per vol point",
    "volga": "base currency, change of vega per vol point",
    "charm": "base currency, change of delta per calendar day",
    "fx": "base currency, P&L of +100 % of the foreign currency",
    "value": "base currency",
    "notional": "base currency",
}
_PER_UNIT = {
    "delta": 1.0, "gamma": 0.01, "vega": 0.01, "theta": 1 / 365, "rho": 1e-4, "vanna": 0.01, "volga": 1e-4,
    "charm": 1 / 365, "value": 1.0,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """Per contract, base currency, per unit return of S and per 1.00 of vol, rate and basis; times per year.

    delta = S d/dS, gamma = S^2 d2/dS2, vanna = S d vega/dS, charm = d delta/dt, each of V S^power. `outright` is the
    delta of V alone: what a contract gains when S moves and its currency does not.
    """

    value: Floats
    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    rho: Floats
    vanna: Floats
    volga: Floats
    charm: Floats
    basis: Floats
    outright: Floats

    def desk(self) -> dict[str, Floats]:
        """The same in the desk's units, see UNITS."""
        return {name: getattr(self, name) * unit for name, unit in _PER_UNIT.items()}

    def fx(self, own: Flags, asset: Flags) -> Floats:
        """P&L of +100 % of every foreign money against base, base currency; long money > 0 however it is quoted.

        A contract holds `outright` of its underlying and the rest of its value in its currency. own, asset: whether
        that currency is foreign; and whether the underlying is, being a money, or else the money it is quoted in.
        """
        return own * (self.value - self.outright) + asset * self.outright

    def replaced(self, desk: pd.DataFrame | None) -> Sensitivities:
        """With the desk's own figures (desk units, N rows, NaN keeps ours) in place of ours of the same name."""
        if desk is None:
            return self
        parts = {}
        for name in desk.columns.intersection(list(_PER_UNIT)):
            own = desk[name].to_numpy(dtype=float) / _PER_UNIT[name]
            parts[name] = np.where(np.isnan(own), getattr(self, name), own)
        if "delta" in parts:
            parts["outright"] = self.outright + parts["delta"] - self.delta
        return replace(self, **parts)


def sensitivities(c: Contracts) -> Sensitivities:
    """Sensitivities of one contract of each kind, by the formulas of its family.

    While the settlement average runs, a contract keeps the share of its first derivatives that is unsettled, and its
    square of the second.
    """
    parts = {name: np.zeros(len(c.multiplier)) for name in PARTS}
    for family, at in by_family(c):
        for name, values in family.parts(c.take(at)).items():
            parts[name][at] = values
    value, delta = parts.pop("value"), parts.pop("delta")
    for name in parts:
        parts[name] *= c.unsettled**2 if name in ("gamma", "volga") else c.unsettled
    delta *= c.unsettled
    p, scale = c.power, c.multiplier * c.fx
    parts["gamma"] += p * (2 * delta + (p - 1) * value)
    parts["vanna"] += p * parts["vega"]
    parts["charm"] += p * parts["theta"]
    return Sensitivities(
        value=value * scale,
        delta=(delta + p * value) * scale,
        outright=delta * scale,
        **{name: part * scale for name, part in parts.items()},
    )


def by_family(c: Contracts) -> Iterator[tuple[Family, NDArray[np.intp]]]:
    """Each family that is there, and the positions of its contracts."""
    for place in np.unique(c.family):
        yield FAMILIES[place], np.flatnonzero(c.family == place)


def _each(c: Contracts, formula: Callable[[Family, Contracts], Floats]) -> Floats:
    values = np.zeros(len(c.multiplier))
    for family, at in by_family(c):
        values[at] = formula(family, c.take(at))
    return values


def price_unit(c: Contracts) -> Floats:
    """Base currency per contract for a rise of its price by 1.00, in the units it is quoted in."""
    return c.multiplier * c.fx * _each(c, lambda family, some: family.unit(some))


def price_value(c: Contracts, price: Floats, at: NDArray[np.intp] | slice = slice(None)) -> Floats:
    """Base currency that buying at a price costs, up to a constant, for each of those `at`: differences are exact."""
    chosen, paid = c.take(np.arange(len(c.multiplier))[at]), np.zeros(len(price))
    for family, place in by_family(chosen):
        paid[place] = family.paid(chosen.take(place), price[place])
    return chosen.multiplier * chosen.fx * paid


def notional(c: Contracts) -> Floats:
    """Base currency per contract, above zero: multiplier x what its family calls its size."""
    return np.abs(c.multiplier * c.fx * _each(c, lambda family, some: family.size(some)))


def tenor_weights(years: Floats, tenors: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Linear interpolation between tenors (sorted, years): lower and upper index and the weight of the upper.

    Flat beyond the ends, so that weights are in [0, 1] and a parallel move of all tenors is one move of every contract.
    """
    upper = np.clip(np.searchsorted(tenors, years), 0, len(tenors) - 1)
    lower = np.where(years < tenors[upper], np.maximum(upper - 1, 0), upper)
    gap = tenors[upper] - tenors[lower]
    weight = np.where(gap > 0, (years - tenors[lower]) / np.where(gap > 0, gap, 1.0), 0.0)
    return lower, upper, np.clip(weight, 0.0, 1.0)
