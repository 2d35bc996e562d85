"""What a contract family is: one frozen object that says all that the rest of the market asks of its contracts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.market.contracts import Contracts

Floats = NDArray[np.float64]
Parts = dict[str, Floats]
PARTS = ("value", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga", "charm", "basis")


@dataclass(frozen=True)
class InstrumentType:
    """What a type of instrument implies.

    tradable        may be bought and sold at all
    dated, option   has an expiry; has a strike and a right
    inverse         settled in its underlying (a coin), which is quoted in another currency
    margined        paid by variation margin: its market value is 0
    future          its price is a forward of its underlying's: a future, a perpetual
    signed          its price may be zero or negative
    volatile        moves with its underlying's vol
    modelled        without a mark it is worth what its terms say at its underlying's price
    """

    tradable: bool = True
    dated: bool = False
    option: bool = False
    inverse: bool = False
    margined: bool = False
    future: bool = False
    signed: bool = False
    volatile: bool = False
    modelled: bool = False


@dataclass(frozen=True, eq=False)
class Shift:
    """R scenarios for N contracts: growth of S and fx, changes of vol, rate, basis and funding, and the days of all.

    Each R x N, or R x 1 where every contract has the same, or a number where nothing moves.
    """

    growth: Floats
    log_growth: Floats
    fx_growth: Floats | float
    vol: Floats | float
    rate: Floats | float
    basis: Floats | float
    term: Floats | float
    skew: Floats | float
    funding: Floats | float
    days: float


def nothing(c: Contracts, *_: Floats) -> Floats:
    """0 of each contract."""
    return np.zeros(len(c.multiplier))


def one(c: Contracts) -> Floats:
    """1 of each contract."""
    return np.ones(len(c.multiplier))


def at_price(_: Contracts, price: Floats, __: Floats) -> Floats:
    """What is held is worth its price."""
    return price


def price_change(c: Contracts, price: Floats, _: Floats) -> Floats:
    """Variation margin linear in price."""
    return price - c.price


def at_level(_: Contracts, level: Floats) -> Floats:
    """A price that is what it is given: paid for, or ended at with the underlying there."""
    return level


@dataclass(frozen=True)
class Family:
    """Formulas of contracts of one kind, each over N of them, per unit of their multiplier, in their own currency.

    types      name -> what it implies
    parts      sensitivities at today's market: any of PARTS (the others are 0); see `Sensitivities`
    size       notional
    unit       for a rise of the price by 1.00 in the units it is quoted in
    paid       what buying at (contracts, price) costs, up to a constant
    worth      market value at (contracts, price, spot): 0 where variation margin is paid
    margin     variation margin from the contracts' price to (contracts, price, spot): 0 where none is paid
    settle     the price at which it ends, its underlying at (contracts, level)
    terms      fields of an instrument that its contracts have beside those of all: with another value it is another one
    told       (contracts, instruments, quotes): the contracts with what their family alone reads there
    revalue    gain under (contracts, shift), R x N; None, for options only: by Black's formula with the others
    """

    types: Mapping[str, InstrumentType]
    parts: Callable[[Contracts], Parts]
    size: Callable[[Contracts], Floats]
    unit: Callable[[Contracts], Floats] = one
    paid: Callable[[Contracts, Floats], Floats] = at_level
    worth: Callable[[Contracts, Floats, Floats], Floats] = nothing
    margin: Callable[[Contracts, Floats, Floats], Floats] = nothing
    settle: Callable[[Contracts, Floats], Floats] = at_level
    terms: tuple[str, ...] = ()
    told: Callable[[Contracts, pd.DataFrame, pd.DataFrame], Contracts] | None = None
    revalue: Callable[[Contracts, Shift], Floats] | None = None
