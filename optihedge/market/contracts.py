"""Contracts as arrays: what the formulas of their families read."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
OF_ONE_FAMILY = ("lower", "upper", "span")
"""Fields that a family brings for its contracts alone."""


@dataclass(frozen=True, eq=False)
class Contracts:
    """N contracts as arrays.

    family      which of `families.FAMILIES` each is of
    spot        S, price of the underlying in the contract's currency c
    price       of the contract: in c, and in coin for an inverse option
    forward     the price F of the future of its expiry (an option's forward; a future's own price)
    fx          base currency per unit of c
    power       exponent with which fx moves with S: 0, or -1 where the base currency is the underlying itself
    future      its price is a forward of its underlying: futures and perpetuals
    constant    worth the same in c whatever S does: cash
    unsettled   share of the settlement average still to come, 1 before its window
    years, vol, discount, right (+1, -1), strike    of options; ignored elsewhere
    american    may be exercised before expiry
    on_future   exercise gives the future `forward`, not the underlying
    carry       growth of what exercise gives, per year between ex-dates, continuous (American options)
    lower, upper   the range of prices that a pool's liquidity lies in; NaN elsewhere
    span        years over which a contract averages what it settles at (a variance swap); NaN elsewhere
    ex, cash    N x D: years to the ex-dates before expiry and dividends per unit, NaN and 0 beyond the last
    """

    family: NDArray[np.intp]
    option: Flags
    inverse: Flags
    margined: Flags
    future: Flags
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
    lower: Floats
    upper: Floats
    span: Floats
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
        if len(at) == len(self.multiplier) and bool((at == np.arange(len(at))).all()):
            return self
        return Contracts(**{field.name: getattr(self, field.name)[at] for field in fields(self)})

    def put(self, at: NDArray[np.intp], some: Contracts) -> Contracts:
        """These contracts with `some` in place of those at these positions."""
        values = {field.name: np.array(getattr(self, field.name)) for field in fields(self)}
        for name, array in values.items():
            array[at] = getattr(some, name)
        return Contracts(**values)
