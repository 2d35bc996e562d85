"""Options on a linear price, European by Black's formula, American by their early exercise."""

from __future__ import annotations

import numpy as np

from optihedge.market.american import american_greeks
from optihedge.market.contracts import Contracts
from optihedge.market.families.base import Family, Floats, InstrumentType, Parts, at_price
from optihedge.market.pricing import Greeks, greeks

STRUCK = ("strike", "right")


def cash_parts(g: Greeks, spot: Floats) -> Parts:
    """Natural Greeks as parts: by return of S where they are by its price."""
    by_vol = {name: getattr(g, name) for name in ("vega", "theta", "rho", "volga")}
    by_spot = {name: getattr(g, name) * spot for name in ("delta", "vanna", "charm")}
    return {**by_vol, **by_spot, "gamma": g.gamma * spot * spot}


def spot_size(c: Contracts) -> Floats:
    """Notional of an option: its underlying's price."""
    return c.spot


def payoff(c: Contracts, level: Floats) -> Floats:
    """What exercise at expiry is worth."""
    return np.maximum(c.right * (level - c.strike), 0.0)


def _parts(c: Contracts) -> Parts:
    parts = cash_parts(greeks(c.spot, c.forward, c.strike, c.years, c.vol, c.right, c.discount), c.spot)
    parts |= {"value": c.price, "basis": parts["delta"].copy()}
    early = np.flatnonzero(c.american)
    if early.size:
        for name, part in _american(c.take(early)).items():
            parts[name] = parts[name].copy()
            parts[name][early] = part
    return parts


def _american(c: Contracts) -> Parts:
    """Parts of American options, ln(F/S) over its time held, as `greeks` holds it."""
    level = c.deliverable
    g = american_greeks(level, c.strike, c.years, c.vol, c.right, c.rate, c.carry, c.ex, c.cash)
    delta, gamma = g.delta * level, g.gamma * level**2
    lean = np.where(c.on_future, np.log(c.forward / c.spot), 0.0)  # a future rolls down to the spot
    roll = lean / c.years
    return {
        "delta": delta, "gamma": gamma, "vega": g.vega, "volga": g.volga, "vanna": g.vanna * level,
        "theta": g.theta - roll * delta,
        "charm": g.charm * level - roll * (gamma + delta),
        "rho": np.where(c.on_future, g.rho - g.carry_rho + delta * c.years, g.rho),
        "basis": np.where(c.on_future, delta, g.carry_rho / c.years),
    }  # fmt: skip


OPTION = Family(
    types={"option": InstrumentType(dated=True, option=True, volatile=True)},
    parts=_parts, size=spot_size, worth=at_price, settle=payoff, terms=STRUCK,
)  # fmt: skip
