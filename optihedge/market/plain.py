"""What a market of plain shares derives, straight from their prices: every figure of it goes with them.

The same numbers as the formulas of all families give, see `again.all_plain`; what does not depend on prices is taken
over from a market of the same shares.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.contracts import Contracts
from optihedge.market.exposures import UNITS
from optihedge.market.instruments import number_column
from optihedge.market.loadings import Loadings
from optihedge.market.per_contract import tradable
from optihedge.market.quotes import QUOTES
from optihedge.market.snapshot import Market
from optihedge.program.arrays import compressed
from optihedge.readonly import numbers, read_only, read_only_like, read_only_series

Array = np.ndarray
_NUMBERS = tuple(name for name in QUOTES if name != "time")


def plain_as(one: Market, other: Market) -> bool:
    """Whether two markets are of the same plain shares."""
    mine = one.__dict__.get("_plain")
    return mine is not None and mine is other.__dict__.get("_plain")


class PlainShares:
    """Shares as they are on every day: `fields` and `derived` of a market at other prices."""

    def __init__(self, market: Market) -> None:
        c, table = market.contracts, market.instruments
        self.market, self.scale = market, c.multiplier * c.fx
        self.fee, self.fixed = numbers(table, "fee"), numbers(table, "fee_per_contract") * c.fx
        maker = number_column(table, "maker_fee", -1.0, "a share")
        self.maker = np.where(np.isnan(maker), self.fee, maker)
        self.tradable = tradable(table)[:, None]
        self.pattern = market.loadings.matrix
        self.still = {name: values for name, values in market.exposure_columns.items() if not values.any()}
        self.quotes = pd.DataFrame(np.zeros((len(table), len(_NUMBERS))), market.quotes.index, list(_NUMBERS))
        instants = pd.DatetimeIndex([market.as_of] * len(table)).as_unit("ns")
        self.quotes.insert(list(QUOTES).index("time"), "time", instants)
        _ = market.shares, market.unspoken, market.price_rows, market.sensitivities

    def fields(self, quoted: dict[str, Array], as_of: pd.Timestamp) -> dict[str, Any]:
        """levels, contracts and quotes, from their quoted columns (N each), mark included."""
        market, price = self.market, read_only(quoted["mark"])
        return {
            "levels": read_only_series(price, market.drivers.index, "level"),
            "quotes": read_only_like(self.quotes, _NUMBERS, self._table(quoted), as_of),
            "contracts": replace(market.contracts, spot=price, price=price, forward=price),
        }

    def _table(self, quoted: dict[str, Array]) -> Array:
        table = np.full((len(_NUMBERS), len(self.scale)), np.nan)
        for name, values in quoted.items():
            table[_NUMBERS.index(name)] = values
        return table

    def derived(self, contracts: Contracts, quoted: dict[str, Array]) -> dict[str, Any]:
        """By name the properties of a market of these fields, as its own formulas would give them."""
        market, names, price, scale = self.market, self.market.names, contracts.price, self.scale
        value, delta = price * scale, price * contracts.unsettled * scale
        s = replace(market.sensitivities, value=value, delta=delta, outright=delta)
        size = np.abs(scale * price)
        low, mid, high = (scale * one for one in (quoted["bid"], price, quoted["ask"]))
        cost = np.maximum(np.stack([high - mid, mid - low], axis=1), 0.0)
        exposed = self.still | {"delta": delta, "value": value, "notional": size}
        matrix = compressed(delta, self.pattern.indices, self.pattern.indptr, self.pattern.shape)
        series = {"notional": size, "fees": self.fee * size + self.fixed, "maker_fees": self.maker * size + self.fixed}
        labels = {"notional": "notional", "fees": "fee", "maker_fees": "fee"}
        arrays = {
            "sides": np.where(self.tradable, cost, np.nan),
            "sensitivities": s,
            "_loadings": (matrix, market._loadings[1]),
            "loadings": Loadings(matrix, market.drivers.index, market.loadings.skew),
        }
        return {
            **{name: read_only(value) for name, value in arrays.items()},
            **{name: read_only_series(read_only(v), names, labels[name]) for name, v in series.items()},
            "exposure_columns": {name: read_only(exposed[name]) for name in UNITS},
            "exposure_units": market.exposure_units, "shares": market.shares, "unspoken": market.unspoken,
            "_convexity": market._convexity, "_plain": self,
        }  # fmt: skip
