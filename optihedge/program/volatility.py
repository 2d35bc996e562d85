"""A volatility of the quantities: what a Program may limit, or price in its objective."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array, dense, sparse, vector

VOLATILITY_UNIT = "base currency per day"
_ROUNDING = 1e-14  # of what the positions' own volatilities sum to: less is nothing but rounding


@dataclass(frozen=True, eq=False, kw_only=True)
class Volatility:
    """(|C h + c|^2 + |E h + e|^2 + sum diagonal h^2)^(1/2), C dense, E sparse, base currency."""

    name: str
    factors: Array
    factor_offset: Array
    specifics: sp.csr_array
    specific_offset: Array
    diagonal: Array

    field: ClassVar[str] = "volatility"  # of Program, for messages

    def __post_init__(self) -> None:
        n = np.shape(self.factors)[-1]
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731

        put("factors", dense(f"{self.field}.factors", self.factors, n))
        put("specifics", sparse(f"{self.field}.specifics", self.specifics, None, n))
        sizes = {"factor_offset": len(self.factors), "specific_offset": self.specifics.shape[0], "diagonal": n}
        for name, size in sizes.items():
            put(name, vector(f"{self.field}.{name}", getattr(self, name), size, 0.0))

    @cached_property
    def each(self) -> Array:
        """The volatility of one of each column by itself, n."""
        return np.sqrt((self.factors**2).sum(axis=0) + (self.specifics**2).sum(axis=0) + self.diagonal)

    @cached_property
    def _fixed(self) -> float:
        """The volatility of what no column moves."""
        return float(np.hypot(np.linalg.norm(self.factor_offset), np.linalg.norm(self.specific_offset)))

    def volatility(self, h: Array) -> float:
        """Its value at quantities h; 0 where it is no more than rounding."""
        parts = (self.factors @ h + self.factor_offset, self.specifics @ h + self.specific_offset)
        value = float(np.sqrt(sum(p @ p for p in parts) + self.diagonal @ (h * h)))
        return value if value > _ROUNDING * (self.each @ np.abs(h) + self._fixed) else 0.0

    @cached_property
    def matrix(self) -> sp.csr_array:
        """C, E and sqrt(diagonal), one below the other."""
        own = sp.diags_array(np.sqrt(self.diagonal))
        return sp.csr_array(sp.vstack([sp.csr_array(self.factors), self.specifics, own]))

    def parts(self, h: Array) -> Array:
        """What it is the length of, at quantities h: C h + c, E h + e, sqrt(diagonal) h; zero where it is rounding."""
        offset = np.concatenate([self.factor_offset, self.specific_offset, np.zeros(len(h))])
        values, size = self.matrix @ h + offset, abs(self.matrix) @ np.abs(h) + np.abs(offset)
        return np.where(np.abs(values) > _ROUNDING * size, values, 0.0)

    def slopes(self, pull: Array) -> Array:
        """Of pull @ parts(h), by column."""
        return self.matrix.T @ pull

    def half_gradient(self, h: Array) -> Array:
        """Gradient of half its square at quantities h, by column."""
        dense = self.factors.T @ (self.factors @ h + self.factor_offset)
        return dense + self.specifics.T @ (self.specifics @ h + self.specific_offset) + self.diagonal * h


@dataclass(frozen=True, eq=False, kw_only=True)
class VolatilityLimit(Volatility):
    """A volatility <= limit, base currency per day."""

    limit: float

    field: ClassVar[str] = "volatility_limit"


@dataclass(frozen=True, eq=False, kw_only=True)
class VolatilityPrice(Volatility):
    """price x a volatility over the horizon in the objective, price > 0 a pure number."""

    price: float

    field: ClassVar[str] = "volatility_price"

    def gradient(self, h: Array) -> Array:
        """Of the term, by column, base currency per contract; where the volatility is 0, the subgradient 0."""
        volatility = self.volatility(h)
        return self.half_gradient(h) * (self.price / volatility if volatility > 0 else 0.0)
