"""Levels of drivers over time: their history at the door, what of it is known at an instant, and the moves it tells."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import DAY_END, array_of, meant, number_block, refuse, refuse_doubled, row_of, some, time_index
from optihedge.market.drivers import RETURNS
from optihedge.market.history import changes, gaps, own_moves
from optihedge.readonly import keep, kept, read_only

_PERCENT = 8.0  # no tenor's vol was ever 800 %: such a level is in percent
_FLAT = 1e-12  # a range below this share of the level is no movement
_STILL = 10  # moves: fewer teach no estimator a risk of zero (a prior speaks), so many that are none are a fault


def read_history(frame: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """Levels by UTC time (column `time`, or the index), and whether its rows are bare dates. Raises DataError."""
    source = frame.attrs.get("source", "history")
    refuse_doubled(frame.columns, source)
    timeless = "time" not in frame.columns and not isinstance(frame.index, pd.DatetimeIndex)
    called = next((name for name in frame.columns if meant(name, ("time",))), "") if timeless else ""
    if called:
        raise DataError(f"{source}: column time is missing (did you mean {called}?); rename it")
    times, dates = time_index(array_of(frame["time"] if "time" in frame.columns else frame.index), "time", source)
    body = frame.drop(columns="time", errors="ignore")
    body.columns = body.columns.astype(str)
    refuse(times.isna(), source, "time is empty", times, "fill it")
    late = np.concatenate([[False], np.diff(times.asi8) <= 0])[: len(times)]
    refuse(late, source, "time {value} is not after the row before", times, "sort the rows and keep one per time")
    levels = pd.DataFrame(number_block(body, source), times.rename("time"), body.columns.rename("driver"))
    dates = bool(frame.attrs.get("dates", dates))
    levels.attrs = {"source": source, "dates": dates}
    return levels, dates


def known_history(levels: pd.DataFrame, dates: bool, drivers: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """The levels known at as_of, in the drivers' order: a row from its time, a bare date from its session's close."""
    levels = levels if levels.columns.identical(drivers.index) else levels.reindex(columns=drivers.index)
    if not dates:
        known_frame = levels[levels.index <= as_of]
        known_frame.attrs = {**levels.attrs, "dates": False}
        return known_frame
    known = levels.to_numpy(dtype=float, copy=True)
    for rule, members in drivers.groupby("known_at", sort=False):
        hidden = np.flatnonzero(close_times(levels.index, str(rule), members.index) > as_of)
        known[np.ix_(hidden, drivers.index.get_indexer(members.index))] = np.nan
    known_frame = pd.DataFrame(known, index=levels.index, columns=levels.columns)
    known_frame = known_frame[~np.isnan(known).all(axis=1)] if known.size else known_frame
    known_frame.attrs = {**levels.attrs, "dates": True}
    return known_frame


def by_month(levels: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each calendar month (UTC) that has any, by its name such as 2026-01."""
    for name, first, end in months_of(levels.index):
        yield name, levels.iloc[first:end]


def months_of(index: pd.DatetimeIndex) -> Iterator[tuple[str, int, int]]:
    """Each calendar month (UTC) that has any, by its name such as 2026-01, and its rows: from first to before end."""
    numbers = (index.year * 12 + index.month - 1).to_numpy()
    ends = [*np.flatnonzero(np.diff(numbers)) + 1, len(index)] if len(index) else []
    for first, end in zip([0, *ends], ends, strict=False):
        yield f"{numbers[first] // 12:04d}-{numbers[first] % 12 + 1:02d}", int(first), int(end)


def close_times(days: pd.DatetimeIndex, rule: str, of: Iterable[object] = ()) -> pd.DatetimeIndex:
    """The UTC instants at which the sessions of these dates close; '' is the last second of the UTC day.

    of   the drivers whose rule it is. Raises DataError for one that is none.
    """
    if not rule:
        return days + DAY_END
    match = re.fullmatch(r"(\d{1,2}:\d{2})(?:\s+(\S+))?", rule.strip())
    try:
        if match is None:
            raise ValueError
        hour = pd.Timedelta(f"{match[1]}:00")
        return (days.tz_localize(None) + hour).tz_localize(match[2] or "UTC").tz_convert("UTC")
    except (ValueError, KeyError):
        whose = tuple(map(str, of))
        text = f"known_at {rule!r}{f' of {some(whose)}' if whose else ''} is no time of day"
        raise DataError(f"drivers: {text}; write '16:00 America/New_York'", drivers=whose) from None


def check_levels(
    levels: pd.DataFrame, drivers: pd.DataFrame, signed: Collection[str], source: str, *, allow_gaps: bool = False
) -> None:
    """Refuse gaps (unless allowed), impossible levels and undeclared constants.

    signed   underlyings whose price may be negative
    """
    values = levels.to_numpy()
    absent = np.isnan(values)
    kind, asset = drivers["kind"].to_numpy(), drivers["underlying"].to_numpy()
    returns, vols = np.isin(kind, RETURNS), kind == "vol"
    free = np.array([name in signed for name in asset], dtype=bool) | ~returns
    with np.errstate(invalid="ignore"):
        low = np.where(free & returns, values == 0, ~free & (values <= 0))
        low |= vols & (values < 0)
    for bad, remedy in (
        (np.nan_to_num(values) * vols >= _PERCENT, "is {value:g}, a vol in percent; write decimals such as 0.2"),
        (
            gaps(levels) & (not allow_gaps),
            "is missing between known rows; fill the gap, drop the row, or set on_missing = 'freeze'",
        ),
        (low, "is {value:g}, no level to take a return from; mend the row"),
    ):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            text = remedy.format(value=values[row, column])
            name = str(drivers.index[column])
            raise DataError(f"{row_of(source, int(row))}: {name} {text}", drivers=(name,))
    if len(values) < 2:
        return
    with np.errstate(invalid="ignore"):
        filled = np.where(absent, np.nanmax(np.where(absent.all(axis=0), 0.0, values), axis=0), values)
    span, size = np.ptp(filled, axis=0), np.abs(filled).max(axis=0)
    known = (~absent).sum(axis=0)
    flat = (span <= _FLAT * size) & ~drivers["constant"].to_numpy(dtype=bool) & (known > _STILL)
    if flat.any():
        name = str(drivers.index[flat][0])
        raise DataError(
            f"{source}: driver {name} never moves over {known[flat][0]} rows; "
            "declare constant = true in drivers, or mend its column",
            drivers=(name,),
        )


def periods_per_year(drivers: pd.DataFrame, levels: pd.DataFrame) -> float:
    """Periods of the history in a year: as the drivers say (all alike, else a DataError), else from its spacing."""
    index = levels.index
    return periods_of(drivers, index.as_unit("ns").asi8, index.day_of_week.to_numpy() >= 5)


def periods_of(drivers: pd.DataFrame, times: np.ndarray, weekend: np.ndarray) -> float:
    """`periods_per_year` of a history with rows at these nanoseconds, of which these lie on a weekend."""
    said = kept(drivers, "periods", lambda: _stated_periods(drivers))
    if said is not None:
        return said
    if len(times) < 3:
        return 252.0
    days = np.median(np.diff(times)) / 86.4e12
    if 0.9 < days < 1.5:
        return 365.0 if weekend.any() else 252.0
    for typical, periods in ((7.0, 52.0), (30.4, 12.0), (91.3, 4.0)):
        if 0.9 < days / typical < 1.1:
            return periods
    return 365.0 / days


def _stated_periods(drivers: pd.DataFrame) -> float | None:
    """What the drivers say, None where they say nothing."""
    stated = drivers["periods_per_year"].dropna()
    if stated.nunique() > 1:
        one, other = stated.drop_duplicates().index[:2]
        raise DataError(
            f"drivers: periods_per_year is {stated[one]:g} for {one} and {stated[other]:g} for {other}; "
            "bring all histories to one period"
        )
    return float(stated.iloc[0]) if len(stated) else None


def moves_of(levels: pd.DataFrame, drivers: pd.DataFrame, rows: int | None, *, ragged: bool = True) -> pd.DataFrame:
    """The last `rows` moves (all by default), T x D: returns of prices and pairs, changes of the rest.

    ragged: every driver's own, a move next to a missing level missing (see `market.history`); else the rows that are
    complete, as many as the shortest driver has. Raises DataError where a history is shorter than asked.
    """
    values = levels.to_numpy(dtype=float)
    by_return = drivers["kind"].isin(RETURNS).to_numpy()
    if ragged:
        return own_moves(levels, by_return, rows)
    complete = np.isfinite(values).all(axis=1)
    last = len(values) - int(np.argmax(complete[::-1])) if complete.any() else 0
    values, times = values[:last], levels.index[:last]
    known = np.isfinite(values)
    count = known.sum(axis=0) - 1
    least = max(int(count.min(initial=len(values) - 1)), 0) if values.size else 0
    wanted = least if rows is None else rows
    if wanted > least or least < 1:
        driver = levels.columns[int(np.argmin(np.isfinite(levels.to_numpy(dtype=float)).sum(axis=0)))]
        raise DataError(
            f"history of {driver} has {least} moves, fewer than the {max(wanted, 1)} asked; "
            "give a longer history, ask for fewer rows or leave the driver out",
            drivers=(str(driver),),
        )
    window = values[last - wanted - 1 :] if last > wanted else values
    return pd.DataFrame(changes(window, by_return), index=times[-wanted:], columns=levels.columns)


def every_move(levels: pd.DataFrame, drivers: pd.DataFrame) -> np.ndarray:
    """The drivers' own moves, T x D, read-only, row by row: worked out once while a read-only table of levels lives."""
    made = lambda: read_only(np.ascontiguousarray(moves_of(levels, drivers, None).to_numpy()))  # noqa: E731
    return kept(levels, "moves", made, drivers)


def share_moves(whole: pd.DataFrame, drivers: pd.DataFrame, part: pd.DataFrame, first: int) -> None:
    """Let a part of a history's rows, from row `first` on, have the moves of the whole.

    Rows at weekends are told by all rows together: a history with such rows shares nothing.
    """
    if len(part) > 1 and not kept(whole, "at weekends", lambda: bool((whole.index.day_of_week >= 5).any())):
        keep(part, "moves", every_move(whole, drivers)[first : first + len(part) - 1], drivers)
