"""Whether two markets speak of the same contracts: terms that changed and histories that were restated, unannounced."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.families import TERMS
from optihedge.market.fate import Fate, moving_drivers
from optihedge.market.plain import plain_as
from optihedge.market.snapshot import Market
from optihedge.readonly import column_of

_RESTATED = 1e-3  # of a level: more than a late correction of a close


def verify(book: str, at: np.ndarray, before: Market, market: Market, fate: Fate) -> None:
    """Raise a DataError for a held contract whose terms changed, or whose driver's past was restated, without an event.

    at   places of held contracts that `before` lists
    """
    if before.instruments is not market.instruments:  # one frozen table says nothing else of itself
        _same_terms(book, at, before, market, fate)
    _same_past(book, before.paths.driver[at], before, market, fate)


def _same_terms(book: str, at: np.ndarray, before: Market, market: Market, fate: Fate) -> None:
    names, place = before.names[at], fate.place[at]
    kept = (place >= 0) & (fate.became[at] == names.to_numpy()) & ~fate.touched[at]
    for field in TERMS:
        was = column_of(before.instruments, field)[at[kept]].tolist()
        now = column_of(market.instruments, field)[place[kept]].tolist()
        pairs = enumerate(zip(was, now, strict=True))
        differs = [i for i, (a, b) in pairs if a != b and not (pd.isna(a) and pd.isna(b))]
        if differs:
            i = differs[0]
            raise DataError(
                f"{book}: {field} of {names[kept][i]} is {was[i]} on {before.as_of} and {now[i]} on {market.as_of}, "
                "which is not the same contract; give the event (split, rename, merger), or a new contract a new label"
            )


def _same_past(book: str, drivers: np.ndarray, before: Market, market: Market, fate: Fate) -> None:
    """Both histories at their last common instant: a split is allowed for, anything else is a restatement."""
    if fate.unchanged and plain_as(before, market):  # one table of levels
        return
    last = _last_common(before.history.index, market.history.index)
    chosen = np.unique(drivers[drivers >= 0])
    chosen = chosen[moving_drivers(before.drivers)[chosen] & ~np.isin(chosen, [*fate.renamed])]
    names = before.drivers.index[chosen]
    if before.drivers is not market.drivers:
        known = names.isin(market.history.columns)
        chosen, names = chosen[known], names[known]
    if last is None or not len(chosen):
        return
    was, now = (_levels_at(one, last, names) for one in (before, market))
    times = [last] * len(names)
    for i in np.flatnonzero(~np.isfinite(was) | ~np.isfinite(now)).tolist():  # halted then: where both last know it
        both = [one.history[names[i]].dropna() for one in (before, market)]
        common = _last_common(both[0].index, both[1].index)
        if common is not None:
            was[i], now[i], times[i] = both[0][common], both[1][common], common
    raw, now = now, now * fate.driver_units[chosen]
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.abs(now / was - 1) > _RESTATED
    if moved.any():
        i = int(np.argmax(moved))
        if abs(raw[i] / was[i] - 1) <= _RESTATED:  # as it was, though a split is told
            raise DataError(
                f"{book}: {names[i]} has split by {fate.driver_units[chosen][i]:g}, and its levels of before are still "
                f"in old units ({raw[i]:.8g} at {times[i]}); divide them by it: a history is adjusted for splits"
            )
        raise DataError(
            f"{book}: the level of {names[i]} at {times[i]} was {was[i]:.8g} and is now {now[i]:.8g}; a restated "
            "history needs its split event, or keep the levels as they were"
        )


def _last_common(first: pd.DatetimeIndex, second: pd.DatetimeIndex) -> pd.Timestamp | None:
    """The last instant of both, None where they share none."""
    if len(first) and first[-1] in second:
        return first[-1]
    common = first.intersection(second)
    return common[-1] if len(common) else None


def _levels_at(market: Market, time: pd.Timestamp, names: pd.Index) -> np.ndarray:
    row = market.history.iloc[market.history.index.get_loc(time)].to_numpy(dtype=float)
    return row[market.history.columns.get_indexer(names)]
