"""A concentrated-liquidity pool's own integers: prices of ticks, amounts of positions, fees owed, exactly as the chain.

Square roots of prices are fixed-point with 96 bits, fee growth with 128 and modulo 2^256, both of the smallest unit of
token 1 per that of token 0 (of a token per unit of liquidity). Source: the published Uniswap v3 core white paper,
sections 6.1 to 6.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

from optihedge.errors import DataError
from optihedge.frames import nearest

Q96, Q128, _WRAP = 1 << 96, 1 << 128, 1 << 256
MOST_TICKS = 887_272
_STEP = 10_001, 10_000  # a tick is a price step of one basis point


def _tick_factors() -> list[int]:
    """1.0001^(-2^i / 2) with 128 bits, rounded to nearest, for the bits of a tick."""
    bits, factors = 512, []
    root = isqrt(((_STEP[1] << bits) // _STEP[0]) << bits)
    for _ in range(20):
        factors.append((root + (1 << (bits - 129))) >> (bits - 128))
        root = (root * root) >> bits
    return factors


_FACTORS = _tick_factors()


def sqrt_price_at(tick: int) -> int:
    """sqrt(1.0001^tick) x 2^96, rounded up as the chain does. Raises DataError for a tick out of range."""
    if abs(tick) > MOST_TICKS:
        raise DataError(f"pool: tick {tick} is out of range; ticks lie between -{MOST_TICKS} and {MOST_TICKS}")
    ratio = Q128
    for bit, factor in enumerate(_FACTORS):
        if abs(tick) >> bit & 1:
            ratio = (ratio * factor) >> 128
    if tick > 0:
        ratio = (_WRAP - 1) // ratio
    return (ratio >> 32) + (ratio % (1 << 32) != 0)


def amounts_of(liquidity: int, sqrt_price: int, lower: int, upper: int) -> tuple[int, int]:
    """Smallest units of token 0 and token 1 that burning this liquidity over a tick range pays, rounded down."""
    low, high = sqrt_price_at(lower), sqrt_price_at(upper)
    at = min(max(sqrt_price, low), high)
    zero = ((liquidity << 96) * (high - at) // high) // at
    return zero, liquidity * (at - low) // Q96


@dataclass(frozen=True)
class PoolState:
    """One pool at one block, integers throughout.

    sqrt_price, tick, liquidity   the current price (x 2^96), its tick, the liquidity in range
    growth    fees of token 0 and token 1 ever earned per unit of liquidity, x 2^128
    outside   by tick: the same on the far side of the tick
    """

    sqrt_price: int
    tick: int
    liquidity: int
    growth: tuple[int, int]
    outside: Mapping[int, tuple[int, int]]

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> PoolState:
        """From a recorded state: sqrtPriceX96, tickCurrent, liquidity, feeGrowthGlobal0X128, ...1X128 and ticks.

        Integers may be written as text. Raises DataError for a missing field, and for a price that is not its tick's.
        """
        outside = {
            int(_field(row, "tick")): (_whole(row, "feeGrowthOutside0X128"), _whole(row, "feeGrowthOutside1X128"))
            for row in _field(state, "ticks")
        }
        growth = _whole(state, "feeGrowthGlobal0X128"), _whole(state, "feeGrowthGlobal1X128")
        pool = cls(
            _whole(state, "sqrtPriceX96"), _whole(state, "tickCurrent"), _whole(state, "liquidity"), growth, outside
        )
        if not sqrt_price_at(pool.tick) <= pool.sqrt_price < sqrt_price_at(pool.tick + 1):
            raise DataError(f"pool: sqrtPriceX96 {pool.sqrt_price} is not a price of tick {pool.tick}; mend the state")
        return pool

    def growth_inside(self, lower: int, upper: int) -> tuple[int, int]:
        """Fees of both tokens earned per unit of liquidity inside a range, x 2^128, modulo 2^256."""
        for tick in (lower, upper):
            if tick not in self.outside:
                raise DataError(f"pool: tick {tick} is an end of a position but not in the state's ticks; add its row")
        zero, one = (
            self._inside(total, self.outside[lower][token], self.outside[upper][token], lower, upper)
            for token, total in enumerate(self.growth)
        )
        return zero, one

    def _inside(self, total: int, low: int, high: int, lower: int, upper: int) -> int:
        below = low if self.tick >= lower else total - low
        above = high if self.tick < upper else total - high
        return (total - below - above) % _WRAP

    def amounts(self, position: Mapping[str, Any]) -> tuple[int, int]:
        """Smallest units of token 0 and 1 in a recorded position (tickLower, tickUpper, liquidity), fees left out."""
        lower, upper = _whole(position, "tickLower"), _whole(position, "tickUpper")
        return amounts_of(_whole(position, "liquidity"), self.sqrt_price, lower, upper)

    def owed(self, position: Mapping[str, Any]) -> tuple[int, int]:
        """Fees of token 0 and 1 that a recorded position could collect now: what is booked and what has grown since."""
        liquidity = _whole(position, "liquidity")
        if not liquidity:
            return _whole(position, "tokensOwed0"), _whole(position, "tokensOwed1")
        inside = self.growth_inside(_whole(position, "tickLower"), _whole(position, "tickUpper"))
        zero, one = (
            _whole(position, f"tokensOwed{token}")
            + (inside[token] - _whole(position, f"feeGrowthInside{token}LastX128")) % _WRAP * liquidity // Q128
            for token in (0, 1)
        )
        return zero, one


def _field(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise DataError(f"pool: field {name} is missing{nearest(name, row)}; add it")
    return row[name]


def _whole(row: Mapping[str, Any], name: str) -> int:
    value = _field(row, name)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise DataError(f"pool: {name} is {value!r}, no integer; write it exactly, as text if it is long")
    try:
        return int(value)
    except ValueError:
        raise DataError(f"pool: {name} is {value!r}, no integer; write it exactly") from None
