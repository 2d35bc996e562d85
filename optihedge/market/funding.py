"""What perpetuals paid over a period: from given rows, each at its instant, or, without them, a forecast."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.errors import DataError
from optihedge.frames import Column, check_frame, some
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market

FUNDING = {
    "instrument": Column("text", required=True),
    "time": Column("time", required=True),
    "rate": Column("number", required=True),
    "mark": Column("number"),
}
"""Rows of funding: rate of the notional at its instant (long pays a positive one); mark, the contract's price then."""


def funding_paid(start: Market, end: Market, rows: pd.DataFrame) -> tuple[pd.Series, dict[str, str]]:
    """What one contract of each of `start` paid in (start, end], base currency, and by label what rows it misses.

    A row pays rate x notional at its instant: by its mark, else between the notionals of start and end. A perpetual
    has a row each `funding_hours` (as quoted), or one at least; what misses rows is NaN. Raises DataError.
    """
    table = check_frame(rows.reset_index(drop=True), FUNDING, str(rows.attrs.get("source", "funding")))
    table = table[(table["time"] > start.as_of) & (table["time"] <= end.as_of)]
    table = table[table["instrument"].isin(start.names)]
    elapsed = (end.as_of - start.as_of).total_seconds()
    share = ((table["time"] - start.as_of).dt.total_seconds() / elapsed).to_numpy() if len(table) else np.zeros(0)
    paid = pd.Series(0.0, index=start.names)
    if len(table):
        each = table["rate"].to_numpy() * _notional(start, end, table, share)
        paid = paid.add(pd.Series(each, index=table["instrument"].to_numpy()).groupby(level=0).sum(), fill_value=0.0)
        paid = paid.reindex(start.names)
    missing = _missing(start, end, table["instrument"].value_counts(), elapsed / 3600)
    paid[list(missing)] = np.nan
    return paid, missing


def _notional(start: Market, end: Market, table: pd.DataFrame, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Base currency of a contract at each row's instant."""
    names = table["instrument"]
    before = start.notional.reindex(names).to_numpy()
    after = end.notional.reindex(names).fillna(start.notional).to_numpy()
    between = before + share * (after - before)
    prices = [m.price.reindex(names).to_numpy() for m in (start, end)]
    price = prices[0] + share * (np.where(np.isfinite(prices[1]), prices[1], prices[0]) - prices[0])
    linear = ~types_of(start.instruments)["inverse"][start.names.get_indexer(names)]
    mark = table["mark"].to_numpy() if "mark" in table else np.full(len(table), np.nan)
    return np.where(linear & np.isfinite(mark), between * mark / price, between)


def _missing(start: Market, end: Market, count: pd.Series, hours: float) -> dict[str, str]:
    kinds = types_of(start.instruments)
    pays = start.names[kinds["margined"] & ~kinds["dated"]]
    quoted = end.quotes["funding_hours"].reindex(pays).fillna(start.quotes["funding_hours"].reindex(pays))
    missing = {}
    for name in pays:
        need = max(int(hours / quoted[name] + 1e-9), 0) if np.isfinite(quoted[name]) else 1
        have = int(count.get(name, 0))
        if have < need:
            missing[str(name)] = f"{have} of {need} rows of its funding are given"
    return missing


def forecast_note(names: pd.Index) -> str:
    """What is said where no rows are given."""
    return (
        f"funding of {some(names)} is a forecast, the rate quoted at the end for the time elapsed; give the rows of "
        "what was paid: instrument, time, rate"
    )


def refuse_missing(name: object, missing: dict[str, str], start: Market, end: Market) -> None:
    """Raise a DataError where the funding of a held contract is missing."""
    if str(name) in missing:
        raise DataError(
            f"P&L: funding of {name} is missing: {missing[str(name)]} between {start.as_of} and {end.as_of}; give the "
            "others (instrument, time, rate)"
        )
