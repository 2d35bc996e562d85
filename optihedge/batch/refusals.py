"""What a run refuses before it begins."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import DAY_END, some
from optihedge.market.snapshot import Market

DEFAULT_MAX_AGE = pd.Timedelta("1D")
_NAMED = 5  # old quotes that a message lists


def refuse_future(market: Market, now: pd.Timestamp) -> None:
    """Raise DataError where as_of is after now; today's date, which is the end of the day, passes."""
    if market.as_of > now and market.as_of != now.normalize() + DAY_END:
        raise DataError(f"as_of {market.as_of:%Y-%m-%d %H:%M} UTC is after now; say an instant that has been")


def refuse_stale(market: Market, now: pd.Timestamp, books: Mapping[str, pd.Series]) -> None:
    """Raise DataError where the quote of a contract that a book holds, or that may be traded, is older than max_age
    (default 1 day) by the clock; one without a time is as old as as_of. What on_missing "freeze" has frozen passes.
    """
    quoted = market.trade_cost.notna().any(axis=1)
    held = [name for quantities in books.values() for name in quantities.index[quantities != 0]]
    in_play = market.instruments["hedge"] & quoted
    in_play |= market.names.isin(held) & (quoted | (market.on_missing != "freeze"))
    max_age = market.max_age if market.max_age is not None else DEFAULT_MAX_AGE
    times = market.quotes.loc[in_play, "time"]
    old = times[now - times > max_age].sort_values(kind="stable")
    if len(old):
        listed = some((f"{name} ({time:%Y-%m-%d %H:%M} UTC)" for name, time in old.items()), _NAMED)
        which = f"{len(old)} of {len(times)}" if len(old) < len(times) else "all"
        listed = listed if len(old) < len(times) else f"the newest of {old.iloc[-1]:%Y-%m-%d %H:%M} UTC"
        when = f"{market.as_of:%Y-%m-%dT%H:%M:%SZ}"
        raise DataError(
            f"{which} quotes in play are older than max_age ({max_age / pd.Timedelta('1h'):g} hours) now: {listed}; "
            f"renew quotes.csv, set max_age in market.toml, or say --as-of {when} to hedge at a past instant"
        )
