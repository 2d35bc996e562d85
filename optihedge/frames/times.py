"""Times at the door: instants carry their time zone, dates mean their end, durations their unit."""

from __future__ import annotations

import re
from datetime import UTC
from typing import NoReturn

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames.words import refuse

_DURATION = re.compile(r"[-+ \w.:]+")
DAY_END = pd.Timedelta(hours=23, minutes=59, seconds=59)  # of a date without a time
_DATE = r"\d{4}-\d{2}-\d{2}"
_INSTANT = rf"{_DATE}[T ]\d{{2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?"
_EARLIEST, _LATEST = 1700, 2200  # years that an instant in nanoseconds holds with room to count


def parse_times(values: pd.Series, name: str, source: str) -> tuple[pd.Series, bool]:
    """UTC instants, and whether all are dates without an hour (then midnight UTC of that day). Raises DataError.

    Written times are either all dates or all instants with one offset: a mixture hides an error of hours.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            return values.dt.tz_convert("UTC").dt.as_unit("ns"), False
        naive = (values.notna() & (values != values.dt.normalize())).to_numpy()
        refuse(naive, source, f"{name} {{value}} has no time zone", values, "use tz_localize('UTC')")
        return values.dt.tz_localize("UTC").dt.as_unit("ns"), bool(values.notna().any())
    if all(isinstance(v, pd.Timestamp) or pd.isna(v) for v in values):
        zones = {str(v.tzinfo) for v in values if not pd.isna(v)}
        if len(zones) > 1:
            named = ", ".join(sorted(zones))
            raise DataError(f"{source}: column {name} mixes time zones ({named}); convert all to UTC")
        return parse_times(pd.Series(pd.DatetimeIndex(values), index=values.index), name, source)
    words = values.where(values.notna(), "").astype(str).str.strip()
    empty = (words == "").to_numpy()
    dates = words.str.fullmatch(_DATE).to_numpy(dtype=bool)
    offsets = words.str.extract(rf"^{_INSTANT}(Z|[+-]\d{{2}}:?\d{{2}})$", expand=False)
    naive = words.str.fullmatch(_INSTANT).to_numpy(dtype=bool)
    zoned = offsets.notna().to_numpy()
    first = str(words[naive].iloc[0]).replace(" ", "T") if naive.any() else ""
    refuse(naive, source, f"{name} {{value}} has no time zone", words, f"write {first}Z where it is UTC")
    known = empty | dates | zoned
    refuse(~known, source, name, words, "write a date 2026-01-20 or an instant 2026-01-20T16:00:00Z")
    if dates.any() and zoned.any():
        refuse(dates, source, f"{name} {{value}} is a date among instants", words, "write instants everywhere")
    offset = offsets.str.replace(":", "").replace({"Z": "+0000"})
    if offset.dropna().nunique() > 1:
        other = (zoned & (offset != offset[zoned].iloc[0])).to_numpy()
        refuse(other, source, f"{name} {{value}} mixes time zones", words, "write all times in UTC, ending in Z")
    times = pd.to_datetime(words.where(~empty, None), utc=True, format="ISO8601", errors="coerce")
    far = ((times.dt.year < _EARLIEST) | (times.dt.year > _LATEST)).to_numpy()
    refuse(far, source, f"{name} {{value}} is out of range", words, f"write a year between {_EARLIEST} and {_LATEST}")
    times = times.dt.as_unit("ns")
    refuse(known & ~empty & times.isna().to_numpy(), source, f"{name} {{value}} is no calendar time", words, "mend it")
    return times, bool(dates.any())


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
