"""Ragged moves: what estimators get where drivers have different histories, and what is said of the short ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from optihedge.frames import some

SHORT = 0.8  # of the longest history's moves: a driver with fewer is named
_WHOLE = 0.9  # of the rows: a driver observed on fewer is left to its prior by an estimator that needs whole rows

_AFTER_WEEKEND = 3  # the latest day of a month that may be its first weekday
_PERIODS = ((3, 0.15), (1, 0.1))  # months, and the share of the rows that may be left out before one


def takes_missing(estimator: Any) -> bool:
    """Whether the estimator understands NaN as a move that was not observed."""
    own = getattr(estimator, "_accepts_missing", None)
    if own is not None:
        return bool(own)
    try:
        from sklearn.utils import get_tags

        return bool(get_tags(estimator).input_tags.allow_nan)
    except (AttributeError, TypeError, ValueError):
        return False


def whole_part(moves: pd.DataFrame) -> pd.DataFrame:
    """The drivers observed on nearly all of the last rows, on the rows where all of them are: for dense estimators.

    A driver that is observed on fewer is left out, so that it does not cut everybody's history; attrs are kept.
    """
    seen = moves.notna()
    kept = moves.loc[:, (seen.mean() >= _WHOLE).to_numpy()]
    whole = kept[kept.notna().all(axis=1)]
    whole.attrs = dict(moves.attrs)
    return whole


def from_whole_period(moves: pd.DataFrame) -> pd.DataFrame:
    """The moves from the first whole quarter on, else from the first whole month, where few rows are before it.

    So windows that roll day by day begin with the same row for a quarter, and what was learnt of one is extended by the
    next. A month is whole from its first weekday; attrs are kept.
    """
    if not isinstance(moves.index, pd.DatetimeIndex) or not len(moves):
        return moves
    rows = moves.index[: int(max(part for _, part in _PERIODS) * len(moves)) + 2]  # what may be left out, and one more
    first, months = rows[0], 12 * rows.year.to_numpy() + rows.month.to_numpy() - 1
    begun = first.day == 1 or (first.day <= _AFTER_WEEKEND and first.day_of_week == 0)
    for length, part in _PERIODS:
        period = months // length
        rest = 0 if begun and months[0] % length == 0 else int((period == period[0]).argmin())
        if 0 <= rest <= part * len(moves) and (rest or begun):
            whole = moves.iloc[rest:]
            whole.attrs = dict(moves.attrs)
            return whole
    return moves


def short_histories(moves: pd.DataFrame, drivers: pd.Index) -> tuple[str, ...]:
    """A sentence on those of the drivers (columns of moves, T x D) whose history is much shorter than the longest."""
    count = observed(moves)
    longest = int(count.max(initial=0))
    short = np.flatnonzero(count < SHORT * longest)
    short = short[moves.columns[short].isin(drivers)] if len(short) else short
    if not len(short):
        return ()
    said = [f"{name} ({moves[name].first_valid_index():%Y-%m-%d} to {moves[name].last_valid_index():%Y-%m-%d}, "
            f"{number} moves)" if isinstance(moves.index, pd.DatetimeIndex) and number else f"{name} ({number} moves)"
            for name, number in zip(moves.columns[short], count[short].tolist(), strict=True)]  # fmt: skip
    note = f"short history of {some(said, 5)}: its own moves alone say how it moves; the longest has {longest}"
    return (note,)


def observed(moves: pd.DataFrame) -> np.ndarray:
    """Moves observed of each driver, D."""
    missing = np.isnan(moves.to_numpy(dtype=float))
    every = np.full(missing.shape[1], len(moves))
    return every - np.count_nonzero(missing, axis=0) if missing.any() else every
