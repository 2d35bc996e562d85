"""A volatility of the quantities: what a Program may limit, or price in its objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array, dense, sparse, vector

VOLATILITY_UNIT = "base currency per day"


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

    def volatility(self, h: Array) -> float:
        """Its value at quantities h."""
        parts = (self.factors @ h + self.factor_offset, self.specifics @ h + self.specific_offset)
        return float(np.sqrt(sum(p @ p for p in parts) + self.diagonal @ (h * h)))

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
