"""From contracts to sensitivities: what one contract gains, in base currency, for a unit move of what drives it.

A contract's value V(S, vol, t) stands in a currency c whose price in base currency may itself move with S (a coin as
numeraire: base per unit of c goes as S^power, power -1). Everything here is a derivative of V S^power, so that a book
reads the same in either numeraire, and one coin is one driver whether it is underlying, collateral or base. Currency
pairs are no part of delta: what foreign money gains or loses stands apart, see `Sensitivities.fx`. Here `delta` is the
sensitivity to the contract's own driver, pair or not; `Market.exposures` sorts it by what that driver is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.market.american import american_greeks
from optihedge.market.pricing import greeks, inverse_greeks

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

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
class Contracts:
    """N contracts as arrays.

    spot        S, price of the underlying in the contract's currency c
    price       of the contract: in c, and in coin for an inverse option
    forward     the price F of the future of its expiry (an option's forward; a future's own price)
    fx          base currency per unit of c
    power       exponent with which fx moves with S: 0, or -1 where the base currency is the underlying itself
    constant    worth the same in c whatever S does: cash
    unsettled   share of the settlement average still to come, 1 before its window
    years, vol, discount, right (+1, -1), strike    of options; ignored elsewhere
    american    may be exercised before expiry
    on_future   exercise gives the future `forward`, not the underlying
    carry       growth of what exercise gives, per year between ex-dates, continuous (American options)
    ex, cash    N x D: years to the ex-dates before expiry and dividends per unit, NaN and 0 beyond the last
    """

    option: Flags
    inverse: Flags
    margined: Flags
    constant: Flags
    multiplier: Floats
    spot: Floats
    price: Floats
    forward: Floats
    fx: Floats
    power: Floats
    unsettled: Floats
    strike: Floats
    right: Floats
    years: Floats
    vol: Floats
    discount: Floats
    american: Flags
    on_future: Flags
    carry: Floats
    ex: Floats
    cash: Floats

    @property
    def deliverable(self) -> Floats:
        """The price of what exercise gives or takes: the spot, or the future."""
        return np.where(self.on_future, self.forward, self.spot)

    @property
    def rate(self) -> Floats:
        """Continuous, per year; 0 where nothing is discounted."""
        return -np.log(self.discount) / np.where(self.years > 0, self.years, 1.0)

    def take(self, at: NDArray[np.intp]) -> Contracts:
        """The contracts at these positions."""
        return Contracts(**{field.name: getattr(self, field.name)[at] for field in fields(self)})


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
    """Sensitivities of one contract of each kind.

    Linear future: V = m (S e^b - F0). Inverse future: V = m (1/F0 - 1/F) S in quote currency, hence delta m S/F and no
    gamma. Inverse option: V = m S C(F)/F. The basis b is held in every derivative but its own. While the settlement
    average runs, a contract keeps the share of its first derivatives that is unsettled, and its square of the second.
    """
    size = len(c.multiplier)
    spot = c.spot
    parts = {name: np.zeros(size) for name in ("gamma", "vega", "theta", "rho", "vanna", "volga", "charm", "basis")}
    future = c.margined
    delta = np.where(future, np.where(c.inverse, spot / c.forward, c.forward), np.where(c.constant, 0.0, c.price))
    value = np.where(future, 0.0, c.price)
    parts["basis"] = np.where(future, delta, 0.0)
    for inverse in (False, True):
        at = np.flatnonzero(c.option & (c.inverse == inverse))
        if not at.size:
            continue
        s = spot[at]
        terms = (s, c.forward[at], c.strike[at], c.years[at], c.vol[at], c.right[at])
        g = inverse_greeks(*terms) if inverse else greeks(*terms, c.discount[at])
        value[at] = c.price[at] * s if inverse else c.price[at]
        delta[at] = g.delta * s
        parts["gamma"][at] = g.gamma * s * s
        for name in ("vega", "theta", "rho", "volga"):
            parts[name][at] = getattr(g, name)
        for name in ("vanna", "charm"):
            parts[name][at] = getattr(g, name) * s
        parts["basis"][at] = delta[at] - value[at] if inverse else delta[at]
    early = np.flatnonzero(c.option & c.american)
    if early.size:
        delta[early], american = _american(c.take(early))
        for name, part in american.items():
            parts[name][early] = part
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


def _american(c: Contracts) -> tuple[Floats, dict[str, Floats]]:
    """Cash delta and the other parts of American options, ln(F/S) over its time held, as `greeks` holds it."""
    level = c.deliverable
    g = american_greeks(level, c.strike, c.years, c.vol, c.right, c.rate, c.carry, c.ex, c.cash)
    delta, gamma = g.delta * level, g.gamma * level**2
    lean = np.where(c.on_future, np.log(c.forward / c.spot), 0.0)  # a future rolls down to the spot
    roll = lean / c.years
    parts = {
        "gamma": gamma, "vega": g.vega, "volga": g.volga, "vanna": g.vanna * level,
        "theta": g.theta - roll * delta,
        "charm": g.charm * level - roll * (gamma + delta),
        "rho": np.where(c.on_future, g.rho - g.carry_rho + delta * c.years, g.rho),
        "basis": np.where(c.on_future, delta, g.carry_rho / c.years),
    }  # fmt: skip
    return delta, parts


def price_unit(c: Contracts) -> Floats:
    """Base currency per contract for a rise of its price by 1.00, in the units it is quoted in."""
    inverse_future = c.inverse & c.margined
    per_price = np.where(inverse_future, c.spot / c.forward**2, np.where(c.inverse, c.spot, 1.0))
    return c.multiplier * c.fx * per_price


def price_value(c: Contracts, price: Floats, at: NDArray[np.intp] | slice = slice(None)) -> Floats:
    """Base currency that buying at a price costs, up to a constant, per contract of those `at`: differences are exact.

    An inverse future bought at a rather than b loses multiplier x (1/b - 1/a) coin; anything else is linear in price.
    """
    inverse_future = (c.inverse & c.margined)[at]
    linear = price_unit(c)[at] * price
    with np.errstate(divide="ignore"):
        return np.where(inverse_future, -(c.multiplier * c.fx * c.spot)[at] / price, linear)


def notional(c: Contracts) -> Floats:
    """Base currency per contract: multiplier x underlying price; for an inverse future its quote-currency amount."""
    margined_price = np.where(c.margined, c.forward, c.price)
    per_unit = np.where(c.option, c.spot, np.where(c.inverse, 1.0, margined_price))
    return np.abs(c.multiplier * c.fx * per_unit)


def tenor_weights(years: Floats, tenors: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Linear interpolation between tenors (sorted, years): lower and upper index and the weight of the upper.

    Flat beyond the ends, so that weights are in [0, 1] and a parallel move of all tenors is one move of every contract.
    """
    upper = np.clip(np.searchsorted(tenors, years), 0, len(tenors) - 1)
    lower = np.where(years < tenors[upper], np.maximum(upper - 1, 0), upper)
    gap = tenors[upper] - tenors[lower]
    weight = np.where(gap > 0, (years - tenors[lower]) / np.where(gap > 0, gap, 1.0), 0.0)
    return lower, upper, np.clip(weight, 0.0, 1.0)
