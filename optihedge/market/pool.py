"""Liquidity pool positions and power perpetuals: value, Greeks, fees and divergence loss, and their rows of a market.

A position sells what rises: its value is concave, its gamma below zero, and fees are what it is paid for that. What it
holds at a price is the formula of its contract (`families/pool.py`): in a market it is so many units of liquidity of
an instrument of type pool. A constant product pool is the range from 0 to infinity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.errors import DataError
from optihedge.market.families.pool import amounts, bend
from optihedge.market.pool_state import PoolState, sqrt_price_at

Floats = NDArray[np.float64]
PARTS = ("delta", "gamma", "divergence", "fees")
"""Parts of a position's P&L: the asset held at the start, half its gamma times the squared move, the rest of what the
pool's own trading lost against holding, and fees with what they were worth.
"""


@dataclass(frozen=True)
class PoolPosition:
    """Liquidity between two prices of an asset in a money, and the fees it is owed.

    liquidity      sqrt(asset x money), in whole tokens
    lower, upper   money per asset; 0 and infinity: everywhere (a constant product pool)
    asset_owed, money_owed   fees, whole tokens

    >>> position = PoolPosition(1000.0, 1600.0, 2500.0)
    >>> round(float(position.value(2000.0)), 2), round(float(position.delta(2000.0)), 4)
    (9442.72, 2.3607)
    """

    liquidity: float
    lower: float = 0.0
    upper: float = np.inf
    asset_owed: float = 0.0
    money_owed: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.lower < self.upper:
            raise DataError(f"pool: range {self.lower:g} to {self.upper:g}; give 0 <= lower < upper, money per asset")
        for name in ("liquidity", "asset_owed", "money_owed"):
            if not 0 <= getattr(self, name) < np.inf:
                raise DataError(f"pool: {name} is {getattr(self, name):g}; give a finite number of at least 0")

    @classmethod
    def of_reserves(cls, asset: float, money: float, share: float = 1.0) -> PoolPosition:
        """A share of a constant product pool with these reserves, whole tokens."""
        return cls(share * float(np.sqrt(asset * money)))

    @classmethod
    def of_state(
        cls, state: PoolState, position: Mapping[str, Any], decimals: tuple[int, int], asset: int
    ) -> tuple[PoolPosition, float]:
        """A recorded position with what it is owed, and the pool's price now, money per asset.

        decimals   of token 0 and token 1;  asset  which of them is the asset, 0 or 1
        """
        if asset not in (0, 1):
            raise DataError(f"pool: asset is token {asset}; write 0 or 1")
        scale = 10.0 ** (decimals[0] - decimals[1])  # whole tokens 1 per token 0, of smallest units
        ends = [_price(sqrt_price_at(int(position[name])), scale) for name in ("tickLower", "tickUpper")]
        lower, upper = ends if asset == 0 else (1 / ends[1], 1 / ends[0])
        owed = [amount / 10.0**digits for amount, digits in zip(state.owed(position), decimals, strict=True)]
        now = _price(state.sqrt_price, scale)
        liquidity = int(position["liquidity"]) / 10.0 ** (sum(decimals) / 2)
        return cls(liquidity, lower, upper, owed[asset], owed[1 - asset]), now if asset == 0 else 1 / now

    # ---- at a price --------------------------------------------------------------------------------------------------

    def amounts(self, price: float | Floats) -> tuple[Floats, Floats]:
        """Asset and money in the range at these prices, whole tokens, fees left out."""
        asset, money = amounts(_prices(price), self.lower, self.upper)
        return self.liquidity * asset, self.liquidity * money

    def value(self, price: float | Floats) -> Floats:
        """What the position and its fees are worth, money."""
        asset, money = self.amounts(price)
        return (asset + self.asset_owed) * _prices(price) + money + self.money_owed

    def delta(self, price: float | Floats) -> Floats:
        """dV/dS: the asset in the range and owed, in whole tokens."""
        return self.amounts(price)[0] + self.asset_owed

    def gamma(self, price: float | Floats) -> Floats:
        """d2V/dS2, below zero inside the range and zero outside."""
        return self.liquidity * bend(_prices(price), self.lower, self.upper)

    def divergence_loss(self, entry: float, price: float | Floats) -> Floats:
        """What the range is worth less what its amounts at entry would be, money: never above zero."""
        asset, money = self.amounts(entry)
        now, cash = self.amounts(price)
        return (now - asset) * _prices(price) + cash - money

    # ---- through time ------------------------------------------------------------------------------------------------

    def with_fees(self, asset: float, money: float) -> PoolPosition:
        """The same with so much more owed, whole tokens."""
        return replace(self, asset_owed=self.asset_owed + asset, money_owed=self.money_owed + money)

    def earned(self, prices: Floats, paid_in: Floats, liquidity: Floats, fee: float) -> Floats:
        """T x 2: fees in asset and money per period, from what traders paid in (T x 2: asset, money, whole tokens).

        prices      at the end of each period: out of range then, nothing is earned (assumed of the whole period)
        liquidity   of the pool in range, this position's included, in its unit
        fee         fraction of what is paid in
        """
        at = _prices(prices)
        share = np.where(
            (at > self.lower) & (at < self.upper), self.liquidity / np.asarray(liquidity, dtype=float), 0.0
        )
        return share[:, None] * fee * np.asarray(paid_in, dtype=float)

    # ---- in a market -------------------------------------------------------------------------------------------------

    def tables(self, name: str, asset: str, money: str) -> dict[str, pd.DataFrame]:
        """Its row of instruments, to be joined to those of a market that knows the asset's price in this money, and of
        the book: so many units of liquidity.

        What it is owed stands in the book as what it is paid in: a line of the asset, one of cash.
        """
        ends = {"range_lower": [self.lower], "range_upper": [self.upper if np.isfinite(self.upper) else np.nan]}
        named = {"instrument": [name], "type": "pool", "underlying": asset, "currency": money, "hedge": False}
        return {
            "instruments": pd.DataFrame(named | ends),
            "book": pd.DataFrame({"instrument": [name], "quantity": [self.liquidity]}),
        }


def explain_pool(start: PoolPosition, end: PoolPosition, entry: float, leave: float) -> pd.Series:
    """The P&L of a position between two prices in PARTS and total, money; `end` is `start` with the fees since owed.

    Raises DataError where the two are not the same liquidity and range.
    """
    if (start.liquidity, start.lower, start.upper) != (end.liquidity, end.lower, end.upper):
        raise DataError("pool: liquidity or range changed between the two states; explain each stretch by itself")
    move = leave - entry
    held = float(start.delta(entry))
    gamma = 0.5 * float(start.gamma(entry)) * move**2
    asset, money = end.asset_owed - start.asset_owed, end.money_owed - start.money_owed
    parts = {
        "delta": held * move,
        "gamma": gamma,
        "divergence": float(start.divergence_loss(entry, leave)) - gamma,
        "fees": asset * leave + money,
    }
    return pd.Series({**parts, "total": float(end.value(leave)) - float(start.value(entry))})


# ---- power perpetuals ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PowerPerpetual:
    """A perpetual on a power of a price: worth factor x S^power / scale, in the money of S, per unit.

    factor   the normalisation that funding shrinks (Squeeth's norm_factor);  scale  10 000 for Squeeth
    premium  mark over that worth, minus 1
    """

    factor: float
    power: float = 2.0
    scale: float = 1e4
    premium: float = 0.0

    def value(self, price: float | Floats) -> Floats:
        """Worth of a unit, money."""
        return self.factor * (1 + self.premium) * _prices(price) ** self.power / self.scale

    def delta(self, price: float | Floats) -> Floats:
        """dV/dS per unit."""
        return self.power * self.value(price) / _prices(price)

    def gamma(self, price: float | Floats) -> Floats:
        """d2V/dS2 per unit."""
        return self.power * (self.power - 1) * self.value(price) / _prices(price) ** 2

    def decay(self, later_factor: float, price: float | Floats) -> Floats:
        """What funding took between two normalisations at this price: money per unit, below zero for a holder."""
        return (later_factor / self.factor - 1) * self.value(price)

    def tables(
        self, name: str, asset: str, money: str, price: float, daily_decay: float = 0.0, driver: str = ""
    ) -> dict[str, pd.DataFrame]:
        """Its rows of instruments, quotes, exposures and loadings; `daily_decay` (above 0): its theta."""
        worth = float(self.value(price))
        row = _OwnRow(name, worth, asset, money, driver or asset)
        gamma = float(self.gamma(price)) * price**2 / 100
        return row.tables(float(self.delta(price)) * price, gamma, -daily_decay * worth)


@dataclass(frozen=True)
class _OwnRow:
    """A line that the desk values itself, and is not traded."""

    name: str
    worth: float
    asset: str
    money: str
    driver: str

    def tables(self, delta: float, gamma: float, theta: float) -> dict[str, pd.DataFrame]:
        return {
            "instruments": pd.DataFrame({
                "instrument": [self.name], "type": "equity", "underlying": self.asset, "currency": self.money,
                "hedge": False,
            }),
            "quotes": pd.DataFrame({"instrument": [self.name], "bid": np.nan, "ask": np.nan, "mark": self.worth}),
            "exposures": pd.DataFrame({"instrument": [self.name], "delta": delta, "gamma": gamma, "theta": theta}),
            "loadings": pd.DataFrame({"instrument": [self.name], "driver": self.driver, "loading": delta}),
        }  # fmt: skip


def _price(sqrt_price: int, scale: float) -> float:
    return (sqrt_price / 2.0**96) ** 2 * scale


def _prices(price: float | Floats) -> Floats:
    at = np.asarray(price, dtype=float)
    if not (at > 0).all():
        raise DataError(f"pool: price {at[~(at > 0)].flat[0]:g}; give money per asset, above zero")
    return at
