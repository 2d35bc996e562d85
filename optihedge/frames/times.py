"""Times at the door: instants carry their time zone, dates mean their end, durations their unit."""

from __future__ import annotations

import re
from datetime import UTC
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames.words import array_of, objects, refuse, words

_DURATION = re.compile(r"[-+ \w.:]+")
DAY_END = pd.Timedelta(hours=23, minutes=59, seconds=59)  # of a date without a time
_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}(?P<hour>[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?P<offset>Z|[+-]\d{2}:?\d{2})?)?", re.ASCII
)
_EARLIEST, _LATEST = 1700, 2200  # years that an instant in nanoseconds holds with room to count


def parse_times(values: pd.Series, name: str, source: str) -> tuple[pd.Series, bool]:
    """UTC instants of a column, and whether all are dates without an hour, as `time_index` has them."""
    times, dates = time_index(array_of(values), name, source)
    return pd.Series(times, index=values.index, name=values.name), dates


def time_index(values: Any, name: str, source: str) -> tuple[pd.DatetimeIndex, bool]:
    """UTC instants, and whether all are dates without an hour (then midnight UTC of that day). Raises DataError.

    Written times are either all dates or all instants with one offset: a mixture hides an error of hours.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        times = pd.DatetimeIndex(values)
        if times.tz is not None:
            return times.tz_convert("UTC").as_unit("ns"), False
        naive = times.notna() & (times != times.normalize())
        refuse(naive, source, f"{name} {{value}} has no time zone", times, "use tz_localize('UTC')")
        return times.tz_localize("UTC").as_unit("ns"), bool(times.notna().any())
    given = values.tolist()
    if all(isinstance(v, pd.Timestamp) or (not isinstance(v, str) and pd.isna(v)) for v in given):
        zones = {str(v.tzinfo) for v in given if not pd.isna(v)}
        if len(zones) > 1:
            named = ", ".join(sorted(zones))
            raise DataError(f"{source}: column {name} mixes time zones ({named}); convert all to UTC")
        return time_index(pd.DatetimeIndex(given), name, source)
    return _read_times(words(values), name, source)


def _read_times(written: np.ndarray, name: str, source: str) -> tuple[pd.DatetimeIndex, bool]:
    """`time_index` of texts: each is looked at once, however often it stands there."""
    codes, texts = pd.factorize(written)
    found = [_TIME.fullmatch(text) for text in texts]
    offsets = [((one["offset"] or "").replace(":", "") or None) if one else None for one in found]
    hours = np.array([bool(one and one["hour"]) for one in found], dtype=bool)
    zoned = np.array([offset is not None for offset in offsets], dtype=bool)
    date = np.array([bool(one) for one in found], dtype=bool) & ~hours
    empty, naive = texts == "", hours & ~zoned
    first = str(texts[naive][0]).replace(" ", "T") if naive.any() else ""
    refuse(naive[codes], source, f"{name} {{value}} has no time zone", written, f"write {first}Z where it is UTC")
    known = empty | date | zoned
    remedy = "write a date 2026-01-20 or an instant 2026-01-20T16:00:00Z"
    refuse(~known[codes], source, name, written, remedy)
    if date.any() and zoned.any():
        refuse(date[codes], source, f"{name} {{value}} is a date among instants", written, "write instants everywhere")
    said = ["+0000" if offset == "Z" else offset for offset in offsets]
    if len({*said} - {None}) > 1:
        other = zoned & (objects(said) != next(offset for offset in said if offset is not None))
        remedy = "write all times in UTC, ending in Z"
        refuse(other[codes], source, f"{name} {{value}} mixes time zones", written, remedy)
    times = pd.DatetimeIndex(pd.to_datetime(np.where(empty, None, texts), utc=True, format="ISO8601", errors="coerce"))
    far = (times.year < _EARLIEST) | (times.year > _LATEST)
    remedy = f"write a year between {_EARLIEST} and {_LATEST}"
    refuse(far[codes], source, f"{name} {{value}} is out of range", written, remedy)
    times = times.as_unit("ns")
    refuse((~empty & times.isna())[codes], source, f"{name} {{value}} is no calendar time", written, "mend it")
    return times.take(codes), bool(date.any())


def duration(value: object, name: str) -> pd.Timedelta:
    """A positive duration written '1d', '8h', '30min'; `name` is what messages call it. Raises DataError."""
    text = re.sub(r"(?<![A-Za-z])d(ays?)?(?![A-Za-z])", "D", value.strip()) if isinstance(value, str) else value
    odd = isinstance(text, (int, float, np.number)) or (isinstance(text, str) and not _DURATION.fullmatch(text))
    try:  # a number has no unit, and "1,5d" would be read as fifteen days
        span = pd.NaT if odd else pd.Timedelta(text)
    except (TypeError, ValueError, OverflowError):
        span = pd.NaT
    if not span > pd.Timedelta(0):
        raise DataError(f"{name} is {str(value)[:80]!r}; write a duration such as '1d' or '30min'")
    return span


def instant(value: object, name: str) -> pd.Timestamp:
    """One UTC instant from text or a timestamp; a bare date is the last second of that day. Raises DataError."""
    told = isinstance(value, pd.Timestamp) and value.tzinfo is UTC and value.unit == "ns"
    if told and _EARLIEST < value.year < _LATEST:  # type: ignore[attr-defined]
        return value  # type: ignore[return-value]
    try:
        stamp = pd.Timestamp(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        _no_instant(value, name)
    if stamp is pd.NaT:
        _no_instant(value, name)
    if not _EARLIEST <= stamp.year <= _LATEST:
        raise DataError(f"{name} {stamp} is out of range; write a year between {_EARLIEST} and {_LATEST}")
    if stamp.tzinfo is None:
        if stamp != stamp.normalize():
            raise DataError(f"{name} {value} has no time zone; write {stamp.isoformat()}Z where it is UTC")
        return (stamp + DAY_END).tz_localize("UTC").as_unit("ns")
    return stamp.tz_convert("UTC").as_unit("ns")


def _no_instant(value: object, name: str) -> NoReturn:
    said = repr(str(value)[:80])
    raise DataError(f"{name} {said} is no time; write a date 2026-01-20 or an instant 2026-01-20T16:00:00Z")
