"""What a market says of each contract: price, cost of a trade, fees, notional, exposures."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from optihedge.market.early import early_exercise
from optihedge.market.exposures import UNITS, Sensitivities, notional, price_unit, price_value, sensitivities
from optihedge.market.fee_tiers import UNTRADED, untraded
from optihedge.market.instruments import group_codes, number_column, types_of
from optihedge.market.known import Known
from optihedge.readonly import numbers, read_only, read_only_property


class PerContract(Known):
    """Arrays and tables of the N contracts of a market, in the order of `names`, each worked out when it is read."""

    @property
    def price(self) -> pd.Series:
        """Reference price per contract unit, in the instrument's price units: the mark, else the mid, else one side."""
        return pd.Series(self.contracts.price, index=self.names, name="price")

    @property
    def value(self) -> pd.Series:
        """Market value per contract, base currency; 0 for futures and perpetuals."""
        return pd.Series(self.exposure_columns["value"], index=self.names, name="value")

    @read_only_property
    def trade_cost(self) -> pd.DataFrame:
        """Far side of the quote less the mark, at least 0, to buy or sell one contract: base currency; NaN where that
        side cannot be traded. The mark is the mid unless the venue's is given.
        """
        return pd.DataFrame(self.sides, index=self.names, columns=["buy", "sell"])

    @read_only_property
    def sides(self) -> np.ndarray:
        """`trade_cost` as N x 2."""
        bid, ask = (numbers(self.quotes, side) for side in ("bid", "ask"))
        low, mid, high = (price_value(self.contracts, price) for price in (bid, self.contracts.price, ask))
        cost = np.maximum(np.stack([high - mid, mid - low], axis=1), 0.0)
        return np.where(tradable(self.instruments)[:, None], cost, np.nan)

    @read_only_property
    def fees(self) -> pd.Series:
        """One-way fee per contract, base currency: fraction of notional, capped for options, plus the fixed part."""
        return self._fees(numbers(self.instruments, "fee"))

    @read_only_property
    def maker_fees(self) -> pd.Series:
        """The same of an order that waits in the book: `maker_fee` of the instruments, else their fee."""
        if "maker_fee" not in self.instruments.columns:
            return self.fees
        maker, fee = number_column(self.instruments, "maker_fee", -1.0, "a share"), numbers(self.instruments, "fee")
        return self._fees(np.where(np.isnan(maker), fee, maker))

    def _fees(self, rate: np.ndarray) -> pd.Series:
        table, c = self.instruments, self.contracts
        cap = np.where(c.option, numbers(table, "fee_cap") * np.abs(c.price) * price_unit(c), np.nan)
        fixed = numbers(table, "fee_per_contract") * c.fx
        return pd.Series(np.fmin(rate * self.notional.to_numpy(), cap) + fixed, index=self.names, name="fee")

    @read_only_property
    def notional(self) -> pd.Series:
        """Base currency per contract: multiplier x underlying price; an inverse future's is its multiplier."""
        return pd.Series(notional(self.contracts), index=self.names, name="notional")

    @read_only_property
    def sensitivities(self) -> Sensitivities:
        """Ours, with the desk's own delta, gamma, vega, theta ... in their place where it gave them."""
        return sensitivities(self.contracts).replaced(self.own_exposures)

    @read_only_property
    def exposures(self) -> pd.DataFrame:
        """Exposures per contract in desk units (attrs["unit"]), the desk's own columns last.

        fx is the P&L of +100 % of every foreign money against base, prices in their own money held: what an fx driver
        moves is fx, and a contract on a pair (spot, future, option) has fx in place of delta; its gamma, vanna and
        charm are changes of its sensitivity to the pair as that is quoted. A delta that the desk gives for it stands,
        and counts in its fx. With a coin as base, the money that the coin is quoted in counts as home.

        The theta of a coin-settled option holds ln(F/S), that of a linear one lets the forward roll down to the spot.
        """
        table = pd.DataFrame(self.exposure_columns, index=self.names)
        table.attrs["unit"] = dict(self.exposure_units)
        return table

    @cached_property
    def exposure_columns(self) -> dict[str, np.ndarray]:
        """`exposures` by name, N each."""
        paths, desk = self.paths, self.sensitivities.desk()
        desk |= {
            "delta": np.where(paths.pair, 0.0, desk["delta"]),
            "fx": self.sensitivities.fx(paths.abroad, paths.asset_abroad),
            "notional": self.notional.to_numpy(),
        }
        given_by_desk = {} if self.own_exposures is None else dict(self.own_exposures.items())
        for name, column in given_by_desk.items():
            given = column.to_numpy(dtype=float)
            desk[name] = np.where(np.isnan(given), desk.get(name, 0.0), given)
        return {name: read_only(desk[name]) for name in dict.fromkeys((*UNITS, *desk))}

    @cached_property
    def exposure_units(self) -> dict[str, str]:
        """The desk unit of each exposure."""
        own = {} if self.own_exposures is None else self.own_exposures.attrs.get("unit", {})
        return {name: own.get(name, UNITS.get(name, "desk unit")) for name in self.exposure_columns}

    @read_only_property
    def early_exercise(self) -> pd.DataFrame:
        """The American options, and what early exercise means for each (attrs["unit"]): see `market.early`."""
        return early_exercise(self.contracts, self.names)

    def group(self, by: str) -> tuple[np.ndarray, tuple[str, ...]]:
        """Codes (N, -1 for none) and labels of the groups of an instrument column; expiries by their UTC date."""
        return group_codes(self.instruments, by)


def tradable(instruments: pd.DataFrame) -> np.ndarray:
    """N booleans: contracts of a type that is traded, and whose fee can be told."""
    of_type = types_of(instruments)["tradable"]
    return of_type & (untraded(instruments) == "").to_numpy() if UNTRADED in instruments.columns else of_type
