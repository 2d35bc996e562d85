"""Corporate actions that nobody told: jumps of a stock's own price without the trading that news would bring.

A split or a payout moves the price overnight and hardly anybody trades more; a jump of that size for a reason brings
three to six times the usual turnover. So a drop is suspected the sooner the larger it is in own deviations and the
duller its turnover, a rise only where it is as large as a reverse split's. Thresholds were set on every second name of
the S&P 500, 2012 to 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pandas as pd

Array = np.ndarray
CAN_SPLIT = ("equity",)  # types of instrument that companies act on; a perpetual, future, coin or index never splits

_DEVIATIONS = (6.0, 8.0, 10.5, 12.0, 20.0, 40.0)
_TURNOVER = (
    -0.3,
    0.45,
    1.3,
    1.6,
    1.8,
    3.0,
)  # log turnover over its usual below which a drop of so many deviations is dull
_BLIND, _UNSEEN = 16.0, 12.0  # deviations asked for where no volume is given at all; where this row's is no guide
_DEAD = -2.0  # log turnover so low that the volume itself is wrong
_RISE = np.log(1.2)
_AROUND, _USUAL = 61, 41  # rows for deviations; for turnover
_FEWEST = 20
_AT_ONCE = 20_000  # windows
_PLAIN = [Fraction(6, 5), Fraction(5, 4), Fraction(4, 3), Fraction(3, 2), Fraction(5, 3), Fraction(5, 2)]
_PLAIN += [Fraction(n) for n in (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 35, 40, 50)]
_RATIOS = np.log([float(ratio) for ratio in _PLAIN])


def missing_actions(
    prices: pd.DataFrame, volume: pd.DataFrame | None = None, types: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Suspected actions: instrument, time (of the first row after), move (log, own), deviations, turnover, guess.

    prices   T x N, adjusted for every action that is known (`actions.adjusted_history`)
    volume   units traded a row, T x N, as traded; without it only the largest jumps can be told from news
    types    instrument -> type; only those of CAN_SPLIT are looked at, all of them where it is not given

    guess: "split 7:1", "reverse split 1:10" where the move is such a ratio's within four deviations, else "payout of
    12.3 % of the price". turnover: price times volume over its usual, NaN where unknown.
    """
    names = [c for c in prices.columns if types is None or types.get(c, "equity") in CAN_SPLIT]
    levels = prices if len(names) == prices.shape[1] else prices[names]
    levels = levels if (levels.to_numpy() > 0).all() else levels.where(levels > 0)
    move, deviation = own_moves(levels, _BLIND if volume is None else _DEVIATIONS[0])
    turnover = _turnover(levels, None if volume is None else volume.reindex_like(levels))
    rows, columns = np.nonzero(_suspect(move, move / deviation, turnover, volume is not None))
    found = [
        (names[j], levels.index[t], move[t, j], move[t, j] / deviation[t, j], turnover[t, j],
         _guess(move[t, j], deviation[t, j]))
        for t, j in zip(rows, columns, strict=True)
    ]  # fmt: skip
    frame = pd.DataFrame(found, columns=["instrument", "time", "move", "deviations", "turnover", "guess"])
    frame["turnover"] = np.exp(frame["turnover"].astype(float))
    return frame


def types_of_drivers(instruments: pd.DataFrame, drivers: pd.DataFrame) -> dict[str, str]:
    """By driver the type of what it is the price of: the instrument of its name, else its underlying's."""
    own: dict[object, object] = {}
    first: dict[object, object] = {}
    for name, is_a, underlying in zip(*(each.tolist() for each in (
        instruments.index, instruments["type"], instruments["underlying"])), strict=True):  # fmt: skip
        if not str(is_a).endswith("option"):
            own[name] = is_a
            first.setdefault(underlying, is_a)
    found = {}
    for driver, on in zip(drivers.index.tolist(), drivers["underlying"].tolist(), strict=True):
        told = (own.get(driver), own.get(on), first.get(on))
        found[str(driver)] = next((kind for kind in told if kind is not None and kind == kind), None)
    return {driver: str(kind) for driver, kind in found.items() if kind is not None}


def own_moves(levels: pd.DataFrame, beyond: float = 0.0) -> tuple[Array, Array]:
    """Log returns less the row's median (of five or more), and their robust deviations, each T x N.

    A deviation is the larger of the 61 rows around and of all rows: a crisis is no sequence of actions. That of the
    rows around is worked out where a move is beyond so many of all rows.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log(levels.to_numpy(dtype=float))
    before = pd.DataFrame(values).ffill().to_numpy() if np.isnan(values).any() else values
    move = np.full_like(values, np.nan)
    np.subtract(values[1:], before[:-1], out=move[1:])
    if move.shape[1] >= 5:
        move = move - np.nan_to_num(median(move))[:, None]
    size = np.where(move == 0, np.nan, np.abs(move))
    whole = 1.4826 * median(size.T, _FEWEST)
    deviation = np.broadcast_to(whole, size.shape).copy()
    at = np.nonzero(~(size <= beyond * whole) & ~np.isnan(size))
    deviation[at] = np.fmax(whole[at[1]], 1.4826 * medians_around(size, at, _AROUND, _FEWEST))
    return move, deviation


def median(values: Array, fewest: int = 1) -> Array:
    """Along the last axis, of what is not NaN; NaN of fewer than `fewest`."""
    count, inorder = (~np.isnan(values)).sum(axis=-1), np.sort(values, axis=-1)
    ends = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[-1] - 1)], axis=-1)
    two = np.take_along_axis(inorder, ends, axis=-1)
    return np.where(count >= fewest, (two[..., 0] + two[..., 1]) / 2, np.nan)


def medians_around(values: Array, at: tuple[Array, ...], width: int, fewest: int) -> Array:
    """Median of the `width` rows around each of the cells `at` (rows, columns) of T x N; NaN of fewer than `fewest`."""
    padded = np.pad(values, ((width // 2, width // 2), (0, 0)), constant_values=np.nan)
    found = np.empty(len(at[0]))
    for first in range(0, len(found), _AT_ONCE):
        row, column = (part[first : first + _AT_ONCE] for part in at)
        found[first : first + _AT_ONCE] = median(padded[row[:, None] + np.arange(width), column[:, None]], fewest)
    return found


def _turnover(levels: pd.DataFrame, volume: pd.DataFrame | None) -> Array:
    """Log of price times volume over its median of the 41 rows around; NaN where unknown or plainly wrong."""
    if volume is None:
        return np.full(levels.shape, np.nan)
    traded = np.log(levels * volume.where(volume > 0))
    usual = traded.rolling(_USUAL, center=True, min_periods=_FEWEST // 2).median()
    above = (traded - usual).to_numpy()
    return np.where(above < _DEAD, np.nan, above)


def _suspect(move: Array, score: Array, turnover: Array, volumes: bool) -> Array:
    size = np.abs(score)
    with np.errstate(divide="ignore", invalid="ignore"):
        allowed = np.interp(np.log(size), np.log(_DEVIATIONS), _TURNOVER, left=-np.inf)
        dull = np.where(np.isnan(turnover), size > (_UNSEEN if volumes else _BLIND), turnover < allowed)
        dull |= size > _DEVIATIONS[-1]
        return dull & ((score < 0) | ((size > _UNSEEN) & (move > _RISE)))


def _guess(move: float, deviation: float) -> str:
    near = int(np.argmin(np.abs(_RATIOS - abs(move))))
    if abs(_RATIOS[near] - abs(move)) < 4 * deviation:
        ratio = _PLAIN[near]
        if move < 0:
            return f"split {ratio.numerator}:{ratio.denominator}"
        return f"reverse split {ratio.denominator}:{ratio.numerator}"
    return f"payout of {-np.expm1(move):.1%} of the price" if move < 0 else "reverse split"
