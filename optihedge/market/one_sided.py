"""Prices that stand on one side of a quote, or on none: what a contract is valued at for want of both and of a mark."""

from __future__ import annotations

import numpy as np

from optihedge.market.instruments import types_of
from optihedge.market.per_driver import PerDriver
from optihedge.readonly import numbers

_OF_BOTH = ("equity", "spot", "index")  # types whose quote may be the price of an underlying


def one_sided(market: PerDriver, held: np.ndarray) -> dict[str, str]:
    """By label at what a contract is valued for want of two sides and a mark: those held (N booleans), and those whose
    price is that of what a held one stands on. An option valued by a vol is none: `Market.vol_from` tells whose it is.
    """
    bid, ask, mark = (numbers(market.quotes, name) for name in ("bid", "ask", "mark"))
    lone = np.isnan(bid) != np.isnan(ask)
    if not (lone | np.isnan(mark)).any():
        return {}
    kinds, price = types_of(market.instruments), market.contracts.price
    unvalued = kinds["modelled"] | (market.instruments["type"] == "cash").to_numpy()
    own = ~market.names.isin(market.vol_from.index)
    with np.errstate(invalid="ignore"):
        told = {
            "its ask is missing: it is valued at its bid, {:.6g}": lone & (mark == bid),
            "its bid is missing: it is valued at its ask, {:.6g}": lone & (mark == ask),
            "it has an ask alone, and nobody has a vol for it: it is valued at half its ask, {:.6g}":
                lone & kinds["option"] & np.isnan(mark) & (price == ask / 2) & own,
            "it has neither side nor a mark: it is valued at the last level of its history, {:.6g}":
                ~lone & ~kinds["option"] & ~unvalued & np.isnan(mark) & np.isnan(bid),
        }  # fmt: skip
    asked = held | _prices_of(market, held)
    return {str(market.names[i]): words.format(price[i])
            for words, hit in told.items() for i in np.flatnonzero(hit & asked)}  # fmt: skip


def _prices_of(market: PerDriver, held: np.ndarray) -> np.ndarray:
    """N booleans: contracts whose price is the level of the driver that one of these stands on."""
    driver = market.paths.driver
    used = np.unique(driver[held & (driver >= 0)])
    types = market.instruments["type"]
    at = np.flatnonzero(np.isin(driver, used) & types.isin(_OF_BOTH).to_numpy())
    found = np.zeros(len(held), dtype=bool)
    found[at] = market.contracts.price[at] == market.levels.to_numpy(dtype=float)[driver[at]]
    return found
