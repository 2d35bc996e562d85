"""Plain stocks: the frames of a market from price levels alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import instant, nearest
from optihedge.market.levels import known_history, read_history


def stock_frames(
    prices: pd.DataFrame,
    as_of: pd.Timestamp | str | None,
    spread: float | pd.Series,
    fee: float | pd.Series,
    volume: pd.Series | None,
    instruments: pd.DataFrame | None,
    known_at: str,
    market: str | Sequence[str] = (),
) -> dict[str, pd.DataFrame]:
    """Instruments, quotes, drivers and history of stocks, each its own driver, as `Market.from_prices` says.

    Raises DataError where no row is known, or a field is given for a stock without prices.
    """
    history, dates = read_history(prices)
    names = history.columns
    marked = [market] if isinstance(market, str) else list(market)
    stray = [name for name in marked if name not in names]
    if stray:
        raise DataError(f"market: {stray[0]} has no column of prices{nearest(stray[0], names)}; add it")
    drivers = pd.DataFrame({"driver": names, "known_at": known_at, "market": names.isin(marked)})
    if as_of is not None:
        history = known_history(history, dates, drivers.set_index("driver"), instant(as_of, "as_of"))
        history.attrs["dates"] = dates
    if history.empty:
        raise DataError(f"history: no row is known at as_of {as_of}; give earlier prices or a later as_of")
    last = history.iloc[-1]
    half = by_name(spread, names) / 2
    quotes = pd.DataFrame({"bid": last * (1 - half), "ask": last * (1 + half), "mark": last})
    if volume is not None:
        quotes["volume"] = volume.reindex(names)
    table = pd.DataFrame(index=pd.Index(names, name="instrument"))
    if instruments is not None:
        stray = instruments.index[~instruments.index.isin(names)]
        if len(stray):
            raise DataError(f"instruments: {stray[0]} has no column of prices{nearest(stray[0], names)}; add it")
        table = instruments.reindex(names).rename_axis("instrument")
    table["fee"] = by_name(fee, names)
    return {
        "instruments": table,
        "quotes": quotes.rename_axis("instrument"),
        "drivers": drivers,
        "history": history,
    }


def by_name(value: float | pd.Series, names: pd.Index) -> pd.Series:
    """A number for every name, or the one of each. Raises DataError for a name without."""
    if isinstance(value, pd.Series):
        missing = names[~names.isin(value.index[value.notna()])]
        if len(missing):
            raise DataError(f"{missing[0]} has no value in the series given for it; give one per column of prices")
        return value.reindex(names).astype(float)
    return pd.Series(np.full(len(names), float(value)), index=names)
