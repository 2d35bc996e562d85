"""Currencies: the way of each to base, by the pairs that are quoted."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import DataError


def currency_paths(
    currencies: Sequence[str] | pd.Index, drivers: pd.DataFrame, levels: np.ndarray, base_currency: str,
    users: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[np.ndarray, sp.csr_array]:  # fmt: skip
    """Base currency per unit of each of C currencies, and the signs C x D of the drivers on its path to base.

    The path with the fewest pairs that have a level is taken. Raises DataError naming the pair that is missing.

    users   instruments by a currency that they stand in
    """
    kind, assets, quotes = (drivers[name].to_numpy() for name in ("kind", "underlying", "currency"))
    monies = {*currencies, base_currency}
    pairs = (kind == "fx") | ((kind == "price") & np.array([asset in monies for asset in assets], dtype=bool))
    edges: dict[str, list[tuple[str, int, int]]] = {}
    for position in map(int, np.flatnonzero(pairs & (levels > 0))):
        asset, quote = assets[position], quotes[position]
        edges.setdefault(quote, []).append((asset, position, 1))
        edges.setdefault(asset, []).append((quote, position, -1))
    paths: dict[str, list[tuple[int, int]]] = {base_currency: []}
    queue = deque([base_currency])
    while queue:
        here = queue.popleft()
        for there, position, sign in edges.get(here, []):
            if there not in paths:
                paths[there] = [*paths[here], (position, sign)]
                queue.append(there)
    rate = np.ones(len(currencies))
    steps: list[tuple[int, int, float]] = []
    for row, currency in enumerate(currencies):
        if currency not in paths:
            at_fault = (users or {}).get(currency, ())
            mute = _mute_pair(currency, base_currency, drivers[pairs & ~(levels > 0)], [*paths])
            if mute:
                driver, asset, quote = mute
                raise DataError(
                    f"driver {driver}, the price of {asset} in {quote}, has no level: nothing quotes it and it has no "
                    f"history (cash is worth 1 of its own money); quote an instrument of type spot, underlying "
                    f"{asset}, currency {quote}, or give the history",
                    instruments=at_fault,
                )
            raise DataError(
                f"currency {currency} has no quoted path to {base_currency}; add the pair {currency}{base_currency} "
                f"as an fx driver with its history, or quote it (type spot, underlying {currency}, currency "
                f"{base_currency})",
                instruments=at_fault,
            )
        for pair, sign in paths[currency]:
            rate[row] *= levels[pair] ** sign
            steps.append((row, pair, float(sign)))
    rows, columns, values = zip(*sorted(steps), strict=True) if steps else ((), (), ())
    return rate, sp.csr_array((values, (rows, columns)), shape=(len(currencies), len(drivers)))


def _mute_pair(
    currency: str, base_currency: str, mute: pd.DataFrame, reached: list[str]
) -> tuple[str, str, str] | None:
    """Of the pairs without a level the one that leads from what base reaches towards this currency; None without one.

    One that ends at the currency or at base itself goes first.
    """
    near = [str(name) for name in mute.index if not {*mute.loc[name, ["underlying", "currency"]]}.isdisjoint(reached)]
    ends = [name for name in near if currency in {*mute.loc[name, ["underlying", "currency"]]}]
    if not near:
        near = [str(n) for n in mute.index if {*mute.loc[n, ["underlying", "currency"]]} & {currency, base_currency}]
    chosen = (ends or near or [""])[0]
    return (chosen, *mute.loc[chosen, ["underlying", "currency"]]) if chosen else None
