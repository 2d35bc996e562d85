"""The history of a night: gaps, stale columns, an early end, moves that may be corporate actions nobody told."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.desk.checkup.findings import Findings, texts, times
from optihedge.desk.checkup.today import Night
from optihedge.market.actions import ON_UNITS
from optihedge.market.missing_actions import CAN_SPLIT, missing_actions
from optihedge.market.snapshot import Market

_LATE = 5.0  # usual spacings that a history may end before as_of
_DAY = 86_399 * 10**9  # nanoseconds of a bare date


def check_history(before: Market | None, night: Night, found: Findings) -> None:
    """The history by itself; moves that may be actions nobody told only where the night before did not have them."""
    levels = night.levels
    if levels is None or levels.empty:
        return
    rows = night.history["row"].to_numpy()
    spacing = np.diff(levels.index.as_unit("ns").asi8)
    if len(spacing) > 3 and night.as_of is not None:
        _ends(levels.index, rows, float(np.median(spacing)), night.as_of, levels.attrs["dates"], found)
    for name in levels.columns:
        values = levels[name].to_numpy()
        last = values[-6:]
        moved = len(values) > 30 and np.nanmax(values) > np.nanmin(values)
        if moved and np.isfinite(last).all() and np.ptp(last) == 0:
            found.add(
                "history.csv",
                int(rows[-1]),
                str(name),
                f"{name} stands at {last[-1]:g} for six rows",
                "the source is stale; renew its column",
            )
        gap = np.isnan(values) & np.logical_or.accumulate(~np.isnan(values))
        for at in np.flatnonzero(gap)[:3]:
            found.add("history.csv", int(rows[at]), str(name), f"{name} is missing", "fill the gap, or drop the row")
    seen = None if before is None or before.history.empty else before.history.index[-1]
    _missing_actions(levels, rows, seen, night, found)


def _ends(
    index: pd.DatetimeIndex, rows: np.ndarray, usual: float, as_of: pd.Timestamp, dates: bool, found: Findings
) -> None:
    """A history that ends long before the night, or goes on after it."""
    if (as_of - index[-1]).value - (_DAY if dates else 0) > _LATE * usual:
        found.add(
            "history.csv",
            int(rows[-1]),
            "",
            f"the history ends at {index[-1]:%Y-%m-%d %H:%M}, long before {as_of}",
            "bring the missing rows",
        )
    after = np.flatnonzero(index > as_of)
    if len(after):
        found.add(
            "history.csv",
            int(rows[after[0]]),
            "",
            f"time {index[after[0]]} is after as_of {as_of}",
            "nothing is known before it happens; drop the row, or mend as_of",
        )


def _missing_actions(
    levels: pd.DataFrame, rows: np.ndarray, seen: pd.Timestamp | None, night: Night, found: Findings
) -> None:
    """Moves of shares after `seen` that no event tells and that are too large for news; see `missing_actions`."""
    types = texts(night.instruments, "type").replace("", "equity")
    shares = [name for name in levels.columns if types.get(name) in CAN_SPLIT]
    if not shares:
        return
    told = _told(levels.index, night)
    for move in missing_actions(levels[shares]).itertuples():
        at = levels.index.get_loc(move.time)
        if (seen is not None and move.time <= seen) or (move.instrument, at) in told:
            continue
        size = f"{np.expm1(move.move):+.0%}, {abs(move.deviations):.0f} own deviations"
        found.add(
            "history.csv",
            int(rows[at]),
            str(move.instrument),
            f"{move.instrument} moved by {size}, as after a {move.guess}",
            "give the split, spin-off or dividend in events.csv and adjusted levels, or confirm the move",
        )


def _told(index: pd.DatetimeIndex, night: Night) -> set[tuple[str, int]]:
    """Instruments and the first rows after the events that change their units."""
    if night.events.empty:
        return set()
    table = night.events[texts(night.events, "kind").isin(ON_UNITS)]
    first = index.searchsorted(pd.DatetimeIndex(times(table, "time").dt.normalize()))
    return {(name, int(row)) for name, row in zip(texts(table, "instrument"), first, strict=True)}
