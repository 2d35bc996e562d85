"""Problems of a history of levels: gaps, stale and wrong levels, missing splits, look-alikes, each with its date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.drivers import RETURNS
from optihedge.market.missing_actions import CAN_SPLIT, median, medians_around, missing_actions, types_of_drivers
from optihedge.market.snapshot import Market
from optihedge.risk.look_alikes import look_alikes

ALL = "(all)"  # the driver of a problem that concerns whole rows
BREAKS = ("wrong units", "unadjusted split", "missing payout", "jump")  # the level stays where it broke to
_SCARCE = 20  # moves below which a driver's sigma is that of the others
_SPLITS = np.log([1.5, 4 / 3, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50])


@dataclass(frozen=True)
class Thresholds:
    """What counts as a problem; moves are log returns (price, fx) or changes, less the median driver's of that row.

    jump         log return that can be a missing split: 3 for 2, less a day's own move
    sigmas       and at least so many robust standard deviations of the driver's moves (changes: this alone)
    spike        robust standard deviations of a move that the next one takes back
    stale        rows with the same level that count as stale;  hole  row spacing, in usual ones, that counts as missing
    look_alike   absolute correlation of two drivers' moves where both are observed, also a row apart
    reference    log distance of the last level from the quote
    """

    jump: float = float(np.log(1.5)) - 0.05
    sigmas: float = 12.0
    spike: float = 10.0
    stale: int = 5
    hole: float = 5.0
    look_alike: float = 0.9995
    reference: float = 0.25


def find_problems(
    levels: pd.DataFrame | Market,
    kinds: Mapping[str, str] | None = None,
    *,
    reference: pd.Series | None = None,
    thresholds: Thresholds | None = None,
    types: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Every problem of a history of levels (T x D): driver, date and until (first and last row), problem, detail.

    levels     or a market, whose history, kinds and types are taken
    kinds      driver -> kind, "price" where left out: prices and fx rates move by returns, the others by changes
    types      driver -> type of its instrument: splits and payouts are looked for in shares alone, and in all of them
               by their own deviations (`missing_actions`); where it is not given any price may have split
    reference  today's price by driver, to compare the last level with

    Problems: unsorted dates, duplicated date, missing rows, not a number, sign, zero, gap, late listing, delisting,
    stale, wrong units (the shorter side of a level that does not come back), unadjusted split, missing payout, spike,
    jump, look-alike.
    Raises DataError for a history without rows, a driver that appears twice, a row without a date.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> days = pd.date_range("2025-01-01", periods=200, freq="B")
    >>> levels = pd.DataFrame(100 * np.exp(np.cumsum(rng.normal(0, 0.01, (200, 3)), axis=0)), days, ["A", "B", "C"])
    >>> levels.loc[days[50], "B"] *= 100
    >>> oh.risk.find_problems(levels)["problem"].tolist()
    ['wrong units']
    """
    limits = thresholds or Thresholds()
    if isinstance(levels, Market):
        kinds = levels.drivers["kind"].to_dict() if kinds is None else kinds
        types = types_of_drivers(levels.instruments, levels.drivers) if types is None else types
        return find_problems(levels.history, kinds, reference=reference, thresholds=thresholds, types=types)
    if not isinstance(levels, pd.DataFrame):
        raise DataError(f"history is a {type(levels).__name__}; give a frame of levels, a column per driver")
    found, values = _rows(levels, limits)
    kinds = {} if kinds is None else dict(kinds)
    priced = np.array([kinds.get(d, "price") in RETURNS for d in values.columns], dtype=bool)
    found += _cells(values, priced)
    array = values.to_numpy()
    good = np.isfinite(array) & ~((array <= 0) & priced)
    trusted = values if good.all() else values.where(good)
    found += _spans(trusted, limits)
    moves = _moves(trusted, priced)
    breaks = _breaks(trusted, *_own_moves(moves, priced), priced, limits)
    found += breaks if types is None else _acted(breaks, trusted.loc[:, priced], types)
    if limits.look_alike < 1:
        found += look_alikes(moves.where(trusted.shift(1).notna()), limits.look_alike)  # none over a gap
    if reference is not None:
        found += _against(trusted, reference, limits)
    frame = pd.DataFrame(found, columns=["driver", "date", "until", "problem", "detail"])
    return frame.sort_values(["driver", "date"], key=lambda c: c.astype(str), kind="stable").reset_index(drop=True)


def describe(findings: pd.DataFrame) -> str:
    """One line per finding: driver, date, problem, detail and, where there is one, the action."""
    lines = []
    for row in findings.itertuples(index=False):
        date = _day(row.date) if row.date == row.until else f"{_day(row.date)} to {_day(row.until)}"
        action = f" -> {row.action}" if hasattr(row, "action") else ""
        lines.append(f"{row.driver}, {date}: {row.problem} ({row.detail}){action}")
    return "\n".join(lines) or "no problems found"


def _rows(levels: pd.DataFrame, limits: Thresholds) -> tuple[list[tuple], pd.DataFrame]:
    """Problems of the index and of cells that are no numbers; the levels in order of time, one row per date."""
    found: list[tuple] = []
    if levels.empty:
        raise DataError(f"history: {len(levels)} rows of {levels.shape[1]} drivers; give one of each at least")
    if levels.columns.has_duplicates:
        raise DataError(f"history: driver {levels.columns[levels.columns.duplicated()][0]} appears twice; rename one")
    index = levels.index
    if index.hasnans:
        raise DataError(f"history: row {int(np.argmax(index.isna())) + 1} has no date; give one")
    backward = np.flatnonzero(np.r_[False, index[1:] < index[:-1]])
    found += [(ALL, index[t], index[t], "unsorted dates", f"after {_day(index[t - 1])}") for t in backward]
    numbers = levels
    if levels.to_numpy().dtype != np.float64:
        numbers = levels.apply(pd.to_numeric, errors="coerce").astype(float)
    values = numbers if index.is_monotonic_increasing else numbers.sort_index(kind="stable")
    for date in values.index[values.index.duplicated()].unique():
        rows = values.loc[[date]]
        differing = rows.columns[(rows.nunique(dropna=False) > 1).to_numpy()]
        detail = f"{len(rows)} rows"
        found += [(d, date, date, "duplicated date", f"{detail}: {', '.join(map(str, rows[d]))}") for d in differing]
        if not len(differing):
            found.append((ALL, date, date, "duplicated date", f"{detail}, equal"))
    if numbers is not levels:
        text = levels.notna() & numbers.isna()
        found += [(levels.columns[j], index[t], index[t], "not a number", repr(levels.iat[t, j]))
                  for t, j in np.argwhere(text.to_numpy())]  # fmt: skip
    values = values if values.index.is_unique else values[~values.index.duplicated(keep="first")]
    if isinstance(values.index, pd.DatetimeIndex) and len(values) > 2:
        spacing = np.diff(values.index.as_unit("ns").asi8)
        for t in np.flatnonzero(spacing > limits.hole * np.median(spacing)):
            rows = f"{spacing[t] / np.median(spacing):.0f} times the usual spacing"
            found.append((ALL, values.index[t + 1], values.index[t + 1], "missing rows", rows))
    return found, values


def _cells(values: pd.DataFrame, priced: np.ndarray) -> list[tuple]:
    """Infinite levels; prices that are zero or negative, as runs."""
    array = values.to_numpy()
    found = []
    for problem, bad in (
        ("not a number", np.isinf(array)),
        ("sign", (array < 0) & np.isfinite(array) & priced),
        ("zero", (array == 0) & priced),
    ):
        for j, start, stop in _runs(bad):
            detail = f"level {array[start, j]:g}" + (f", {stop - start} rows" if stop - start > 1 else "")
            found.append((values.columns[j], values.index[start], values.index[stop - 1], problem, detail))
    return found


def _spans(values: pd.DataFrame, limits: Thresholds) -> list[tuple]:
    """Late listings, delistings, gaps and stale runs."""
    array, index = values.to_numpy(), values.index
    known = np.isfinite(array)
    found = []
    for j in np.flatnonzero(~known.all(axis=0) | (array[1:] == array[:-1]).any(axis=0)):
        name, rows = values.columns[j], np.flatnonzero(known[:, j])
        if not rows.size:
            found.append((name, index[0], index[-1], "gap", "no level at all"))
            continue
        first, last = rows[0], rows[-1]
        if first > 0:
            found.append((name, index[0], index[first - 1], "late listing", f"first level {_day(index[first])}"))
        if last < len(array) - 1:
            found.append((name, index[last + 1], index[-1], "delisting", f"last level {_day(index[last])}"))
        for _, start, stop in _runs(~known[first : last + 1, [j]]):
            span = index[first + start], index[first + stop - 1]
            found.append((name, *span, "gap", f"{stop - start} levels missing"))
        seen = array[rows, j]
        for _, start, stop in _runs(np.r_[False, seen[1:] == seen[:-1]][:, None]):
            if stop - start + 1 >= limits.stale:
                span = index[rows[start]], index[rows[stop - 1]]
                found.append((name, *span, "stale", f"{stop - start + 1} rows at {seen[start]:g}"))
    return found


def _moves(values: pd.DataFrame, priced: np.ndarray) -> pd.DataFrame:
    """Log returns of prices and changes of the rest from the last known level, T x D."""
    array, level = values.to_numpy(), _filled(values)
    moves = np.full_like(array, np.nan)
    moves[1:] = array[1:] - level[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        now = np.log(np.where(array > 0, array, np.nan))
        last = now if level is array else np.log(np.where(level > 0, level, np.nan))
    np.subtract(now[1:], last[:-1], out=moves[1:], where=priced)
    return pd.DataFrame(moves, values.index, values.columns, copy=False)


def _filled(values: pd.DataFrame) -> np.ndarray:
    """Every level, or the last known before it, T x D."""
    array = values.to_numpy()
    return values.ffill().to_numpy() if np.isnan(array).any() else array


def _own_moves(moves: pd.DataFrame, priced: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moves less the row's median move of prices (T x D), and their robust sigma over the whole history (D)."""
    own = moves.to_numpy()
    if priced.sum() >= 5:
        own = np.where(priced, own - np.nan_to_num(median(own[:, priced]))[:, None], own)
    size = np.where(own == 0, np.nan, np.abs(own)).T
    sigma = 1.4826 * median(size)
    scarce = np.count_nonzero(~np.isnan(size), axis=1) < _SCARCE
    for group in (priced, ~priced):
        if (group & ~scarce).any():
            sigma[group & scarce] = np.median(sigma[group & ~scarce])
    return own, sigma


def _large(
    move: np.ndarray, whole: np.ndarray, priced: np.ndarray, limits: Thresholds
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moves too large to be a day's, those that the next move takes back, and sigma, T x D.

    Sigma is the larger of the whole history's and that of the 41 rows around: a crisis is not a row of typing errors.
    The latter is worked out where the former leaves a doubt.
    """
    size, following = np.abs(move), np.full_like(move, np.nan)
    following[:-1] = move[1:] if not np.isnan(move[1:]).any() else pd.DataFrame(move).bfill().to_numpy()[1:]
    taken_back = np.abs(move + following) < 0.25 * size
    sigma, least = np.broadcast_to(whole, move.shape).copy(), np.where(priced, limits.jump, 0.0)
    large = size > np.maximum(least, limits.sigmas * whole)
    spike = taken_back & (size > limits.spike * whole)
    doubt = large | spike
    if np.isnan(whole).any():
        doubt |= np.isnan(whole) & ~np.isnan(move)
    at = np.nonzero(doubt)
    around = 1.4826 * medians_around(np.where(move == 0, np.nan, size), at, 41, 20)
    sigma[at] = near = np.fmax(sigma[at], around)
    large[at] = size[at] > np.maximum(least[at[1]], limits.sigmas * near)
    spike[at] = taken_back[at] & (size[at] > limits.spike * near)
    return large, spike, sigma


def _breaks(
    values: pd.DataFrame, move: np.ndarray, whole: np.ndarray, priced: np.ndarray, limits: Thresholds
) -> list[tuple]:
    """Moves too large to be a day's: wrong units, missing splits, spikes that the next move takes back, other jumps."""
    index, size = values.index, np.abs(move)
    level = _filled(values)
    large, spike, sigma = _large(move, whole, priced, limits)
    spike &= ~np.vstack([np.zeros((1, sigma.shape[1]), bool), spike[:-1]])  # the way back is part of the same spike
    found: list[tuple] = []
    returned: set[tuple[int, int]] = set()
    for t, j in np.argwhere(large | spike):
        back = t > 0 and np.any(spike[max(t - 3, 0) : t, j] & (np.abs(move[max(t - 3, 0) : t, j] + move[t, j])
                                                               < 0.25 * size[t, j]))  # fmt: skip
        if back or (t, j) in returned:
            continue
        ratio = level[t, j] / level[t - 1, j] if level[t - 1, j] != 0 else np.inf
        tens = np.log10(abs(ratio)) if 0 < abs(ratio) < np.inf else 0.0
        start = end = t
        against = "before"
        if ratio < 0 and abs(abs(ratio) - 1) < 0.2:
            problem = "sign"
        elif abs(tens) > 0.9 and abs(tens - round(tens)) < 0.07:
            later = np.flatnonzero(np.abs(move[t + 1 :, j] + move[t, j]) < 0.07 * size[t, j])
            problem, end = "wrong units", t + later[0] if later.size else len(values) - 1
            returned.add((end + 1, j))
            first = int(np.argmax(np.isfinite(level[:, j])))
            if not later.size and t - first < len(values) - t:  # it never goes back: the shorter span is the wrong one
                start, end, ratio, against = first, t - 1, 1 / ratio, "after"
        elif spike[t, j]:
            problem = "spike"
        elif priced[j] and np.abs(_SPLITS - size[t, j]).min() < max(0.02, 3 * sigma[t, j]):
            problem = "unadjusted split"
        else:
            problem = "jump"
        detail = f"{ratio:.4g} times the level {against}, {size[t, j] / sigma[t, j]:.0f} sigmas"
        found.append((values.columns[j], index[start], index[end], problem, detail))
    return found


def _acted(breaks: list[tuple], levels: pd.DataFrame, types: Mapping[str, str]) -> list[tuple]:
    """Breaks where the types of the instruments are known: what never splits jumps, and a share's move that no news
    explains is a missing split or payout.
    """
    shares = levels.loc[:, [types.get(d) in CAN_SPLIT for d in levels.columns]]
    missing = missing_actions(shares) if shares.shape[1] else pd.DataFrame()
    told = {}
    for row in missing.itertuples():
        problem = "missing payout" if "payout" in row.guess else "unadjusted split"
        detail = f"{row.guess}, {abs(row.deviations):.0f} own deviations"
        told[row.instrument, row.time] = (row.instrument, row.time, row.time, problem, detail)
    kept = []
    for one in breaks:
        driver, date, until, problem, detail = one
        if problem == "unadjusted split" and types.get(driver, "equity") not in CAN_SPLIT:
            one = (driver, date, until, "jump", detail)
        if problem in ("unadjusted split", "jump") and (driver, date) in told:
            continue
        after = levels.index.get_loc(until) + 1
        for day in (date, *levels.index[after : after + 1]):  # its start, and the way back
            told.pop((driver, day), None)
        kept.append(one)
    return kept + list(told.values())


def _against(values: pd.DataFrame, reference: pd.Series, limits: Thresholds) -> list[tuple]:
    """Last levels that disagree with today's prices."""
    found = []
    for name, price in reference.dropna().items():
        if name not in values.columns or values[name].isna().all() or not price > 0:
            continue
        series = values[name].dropna()
        distance = np.log10(series.iloc[-1] / price)
        if abs(distance) * np.log(10) > limits.reference:
            tens = abs(distance) > 0.9 and abs(distance - round(distance)) < 0.07
            detail = f"last level {series.iloc[-1]:g}, quoted {price:g}"
            found.append((name, series.index[-1], values.index[-1], "wrong units" if tens else "jump", detail))
    return found


def _runs(flags: np.ndarray) -> list[tuple[int, int, int]]:
    """(column, start, stop) of every run of True in a T x D array."""
    if not flags.any():
        return []
    padded = np.vstack([np.zeros((1, flags.shape[1]), bool), flags, np.zeros((1, flags.shape[1]), bool)])
    change = np.diff(padded.astype(np.int8), axis=0)
    starts, stops = np.argwhere(change.T == 1), np.argwhere(change.T == -1)
    return [(int(j), int(a), int(b)) for (j, a), (_, b) in zip(starts, stops, strict=True)]


def _day(date: object) -> str:
    if isinstance(date, pd.Timestamp):
        return str(date.date()) if date == date.normalize() else str(date)
    return str(date)
