"""Own history: every driver's moves between its own levels, whatever the other drivers' columns hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.errors import DataError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_CLOSED = 0.9  # of the weekend's rows without a level or a move: the driver does not trade then
_WEEKENDS = 4  # rows that say so
_FEW = 20  # joint moves from which a beta is a driver's own


def own_moves(levels: pd.DataFrame, by_return: Flags, rows: int | None = None) -> pd.DataFrame:
    """The last `rows` moves (None: all), T x D, NaN where a driver has none: returns, else changes.

    by_return   D: moves by return;  a move next to a missing level is missing

    A driver that does not trade at weekends (stocks beside coins) has no move on their rows, whether its levels are
    missing there or repeated, and Monday's is from Friday: else its volatility would be that of five days in seven.
    Raises DataError for more rows than there are.
    """
    values = levels.to_numpy(dtype=float)
    count = max(len(values) - 1, 0)
    if (rows is not None and rows > count) or not count:
        named = levels.columns[int(np.argmin(np.isfinite(values).sum(axis=0)))] if values.size else "any driver"
        raise DataError(
            f"history of {named} has {count} moves, fewer than the {rows or 1} asked; give a longer history, ask for "
            "fewer rows or leave the driver out",
            drivers=(str(named),),
        )
    moves = changes(values, by_return)
    weekend = _weekend_rows(levels.index)
    closed = closed_at_weekends(values, weekend)
    if closed.any():
        open_rows = np.flatnonzero(~weekend)
        moves[:, closed] = np.nan
        moves[np.ix_(open_rows[1:] - 1, closed)] = changes(values[np.ix_(open_rows, closed)], by_return[closed])
    last = slice(None) if rows is None else slice(len(moves) - rows, None)
    return pd.DataFrame(moves[last], index=levels.index[1:][last], columns=levels.columns)


def changes(levels: Floats, by_return: Flags) -> Floats:
    """Moves from row to row, (T - 1) x D: returns where `by_return`, changes of the rest."""
    moves = levels[1:] - levels[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(levels[1:], levels[:-1], out=moves, where=by_return)
    return np.subtract(moves, 1.0, out=moves, where=by_return)


def filled_moves(moves: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Moves (T x D, attrs as `Market.moves` gives them) without a hole, and the drivers that had some.

    A driver without a move of its own moves by its beta to the mean of the market drivers that did: of its own moves
    about zero where _FEW rows tell it, else 1 of a price and 0 of anything else. At a weekend, and where no market
    driver moved, it stands still.
    """
    values = moves.to_numpy(dtype=float, copy=True)
    seen, weekend = np.isfinite(values), _weekend_rows(moves.index)
    known = np.where(seen, values, 0.0)
    markets = moves.columns.isin(moves.attrs["markets"])
    said = seen[:, markets].sum(axis=1)
    mean = np.where(said > 0, known[:, markets].sum(axis=1) / np.maximum(said, 1), 0.0)
    square = mean**2 @ seen
    kinds = moves.attrs["kinds"]
    usual = np.array([float(kinds[name] == "price") for name in moves.columns])
    told = ((seen & (said > 0)[:, None]).sum(axis=0) >= _FEW) & (square > 0)
    beta = np.where(told, mean @ known / np.where(square > 0, square, 1.0), usual)
    held = np.where(weekend[:, None], 0.0, np.outer(mean, beta))
    missing = (~seen & ~weekend[:, None]).any(axis=0)
    filled = pd.DataFrame(np.where(seen, values, held), moves.index, moves.columns)
    return filled, tuple(map(str, moves.columns[missing]))


def closed_at_weekends(levels: Floats, weekend: Flags) -> Flags:
    """Which drivers (D) have neither a level nor a move on the weekend's rows while others do."""
    if weekend.sum() < _WEEKENDS:
        return np.zeros(levels.shape[1], bool)
    moved = np.zeros(levels.shape, bool)
    moved[1:] = np.isfinite(levels[1:]) & np.isfinite(levels[:-1]) & (levels[1:] != levels[:-1])
    began = np.logical_or.accumulate(np.isfinite(levels), axis=0)
    lived = began & weekend[:, None]
    still = (lived & ~moved).sum(axis=0) >= _CLOSED * lived.sum(axis=0)
    return still & (lived.sum(axis=0) >= _WEEKENDS) & ((moved & ~weekend[:, None]).sum(axis=0) > 0)


def gaps(levels: pd.DataFrame) -> Flags:
    """Missing levels between a driver's first and last (T x D) that no closed weekend explains."""
    values = levels.to_numpy(dtype=float)
    absent = np.isnan(values)
    inside = np.logical_or.accumulate(~absent, axis=0) & np.logical_or.accumulate(~absent[::-1], axis=0)[::-1]
    weekend = _weekend_rows(levels.index)
    return absent & inside & ~(weekend[:, None] & closed_at_weekends(values, weekend))


def _weekend_rows(index: pd.Index) -> Flags:
    if not isinstance(index, pd.DatetimeIndex):
        return np.zeros(len(index), bool)
    return (index.day_of_week >= 5).astype(bool)
