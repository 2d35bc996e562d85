"""A market at a later instant: fresh quotes and levels join what was checked, and what they decide is valued."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.levels import known_history, read_history
from optihedge.market.quotes import prices_of
from optihedge.market.valuation import Paths, driver_levels, value_contracts

Array = np.ndarray


def valued_again(
    instruments: pd.DataFrame, quotes: pd.DataFrame, drivers: pd.DataFrame, history: pd.DataFrame, base_currency: str,
    on_missing: str, as_of: pd.Timestamp, dividends: pd.DataFrame,
) -> dict[str, Any]:  # fmt: skip
    """What checked tables say of every contract: the fields levels, paths, contracts, quotes and vol_from of a market.

    Raises DataError for a contract or an underlying without a price, and for a currency without a path to base.
    """
    last = _last_known(history)
    proxies = pd.Series(last, drivers.index).reindex(instruments.index).to_numpy() if on_missing == "freeze" else None
    price = prices_of(quotes, instruments, proxies)
    levels = driver_levels(drivers, last, instruments, quotes, price)
    paths = Paths.of(instruments, drivers, levels, base_currency)
    contracts, quotes, vol_from = value_contracts(
        instruments, quotes, price, drivers, levels, paths, on_missing, as_of, dividends
    )
    return {
        "levels": pd.Series(levels, index=drivers.index, name="level"), "paths": paths, "contracts": contracts,
        "quotes": quotes, "vol_from": vol_from,
    }  # fmt: skip


def _last_known(history: pd.DataFrame) -> np.ndarray:
    """The last known level of each driver, D; NaN for one that has none."""
    levels = history.to_numpy(dtype=float)
    if not len(levels):
        return np.full(levels.shape[1], np.nan)
    back = (~np.isnan(levels[::-1])).argmax(axis=0)
    return levels[len(levels) - 1 - back, np.arange(levels.shape[1])]


def joined_quotes(known: pd.DataFrame, fresh: pd.DataFrame) -> pd.DataFrame:
    """The fresh quotes as they came, and of every other instrument the one that is known."""
    fresh = fresh.set_index("instrument") if "instrument" in fresh.columns else fresh
    old = known[~known.index.isin(fresh.index)].dropna(axis=1, how="all")
    joined = pd.concat([old, fresh]) if len(old) else fresh
    joined.attrs = dict(fresh.attrs)
    return joined.rename_axis("instrument")


def joined_history(
    known: pd.DataFrame, fresh: pd.DataFrame, drivers: pd.DataFrame, as_of: pd.Timestamp
) -> pd.DataFrame:
    """History with further rows; one at the time of the last row fills what was not known of it.

    Raises DataError for a row before the last, a column that is no driver, and dates joined to instants.
    """
    rows, dates = read_history(fresh)
    stray = rows.columns[~rows.columns.isin(drivers.index)]
    if len(stray):
        raise DataError(f"levels: {stray[0]} is no driver of this market; drop the column, or make the market anew")
    if not len(known):
        return known_history(rows, dates, drivers, as_of)
    if dates != known.attrs["dates"]:
        raise DataError("levels: bare dates and instants cannot be joined; write times as the history has them")
    if len(rows) and rows.index[0] < known.index[-1]:
        raise DataError(f"levels: {rows.index[0]} is before the history's last row {known.index[-1]}; give later rows")
    rows = known_history(rows, dates, drivers, as_of)
    again = rows.index == known.index[-1]
    ended = known.iloc[-1:].combine_first(rows[again]) if again.any() else known.iloc[-1:]
    joined = pd.concat([known.iloc[:-1], ended[known.columns], rows[~again]])
    joined.attrs = dict(known.attrs)
    return joined


def all_plain(instruments: pd.DataFrame, drivers: pd.DataFrame, paths: Paths) -> bool:
    """Whether every contract is a share in base currency whose own price is its driver: only that price counts."""
    shares = bool((instruments["type"] == "equity").all()) and not len(drivers) - len(instruments)
    own = shares and bool((paths.driver == np.arange(len(instruments))).all())
    return own and not paths.signs.nnz and not paths.quote_signs.nnz and bool((drivers["kind"] == "price").all())
