"""Local search over lots: move a leg by a lot, a leg and a fine one that takes up its residual, or two legs at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.lots.neighbourhood import Moves, Neighbourhood
from optihedge.program.program import objective

GAIN = 1e-10  # of the objective's scale: a smaller saving is rounding
_TRIES = 20  # of the best moves: one that trades a finer leg has less room afterwards, and may be none
_TOGETHER = 16  # moves whose sum is tried again
_PARTNERS = 64  # single moves that every other is tried with


def improve(around: Neighbourhood, h: Array, most: int = 2000) -> tuple[Array, int]:
    """Steepest descent over single and paired moves, excess first, then objective. Returns quantities and moves made.

    Starts from permitted lots (auxiliaries stay). What is gained counts by the room that is left after the move, so
    that no point comes twice. A pair is a lot of any leg with the multiple of a row's finest traded leg that brings the
    row back into its band: it crosses the ridges where a single lot breaks neutrality. Or it is any two single moves.
    A move that helps twice is made again, twice as far each time, while that helps too; so is what every sixteen moves
    did together, where small lots of several legs go a long way by turns.
    """
    gain = GAIN * max(abs(objective(around.program, h)), 1e-12)
    made, last, rank, before = 0, np.zeros_like(h), around.rank(h), h
    while made < most:
        if made and made % _TOGETHER == 0:
            h, rank = _further(around, h, h - before, rank)
            before = h
        moved = _Point.of(around, h, gain).next()
        if moved is None or (after := around.rank(moved)) >= rank:
            break  # what is left to gain is rounding
        step = moved - h
        if (step == last).all():
            moved, after = _further(around, moved, step, after)
        h, last, rank, made = moved, step, after, made + 1
    return h, made


class _Seen(NamedTuple):
    """M moves, what each changes in the objective, and excess after it by the room before."""

    moves: Moves
    change: Array
    excess: Array

    def plus(self, other: _Seen) -> _Seen:
        """Both."""
        legs = zip(self.moves.legs, other.moves.legs, strict=True)
        (i, to_i), (j, to_j) = ((np.append(a, c), np.append(b, d)) for (a, b), (c, d) in legs)
        return _Seen(
            Moves(i, to_i, j, to_j), np.append(self.change, other.change), np.append(self.excess, other.excess)
        )


@dataclass(frozen=True, eq=False)
class _Point:
    """Where the search stands: quantities, trades in lots, room around bands (m), excess; the least saving that counts;
    single moves: a lot more, a lot less, and none, of every leg.
    """

    around: Neighbourhood
    h: Array
    lots: Array
    room: Array
    excess: float
    gain: float
    singles: Moves

    @classmethod
    def of(cls, around: Neighbourhood, h: Array, gain: float) -> _Point:
        grid = around.grid
        lots = np.round(grid.lots(h))
        room = around.allowance(lots)
        steps = np.vstack([grid.neighbours(lots), np.where((grid.low <= 0) & (grid.high >= 0), 0.0, lots)])
        kind, column = np.nonzero((steps != lots) & grid.lumpy)
        return cls(around, h, lots, room, around.excess_at(h, room), gain, Moves(column, steps[kind, column]))

    def next(self) -> Array | None:
        """Quantities after the best single move that helps; where none does, after the best pair."""
        if not len(self.singles.i):
            return None
        change = self.around.change(self.h, self.singles)
        found = self._best(self._seen(self.singles, change))
        if found is not None:
            return found
        laddered, two = self._laddered(change), self.around.volatility is None
        if self.excess > 0:
            return self._best(laddered.plus(self._paired(change)) if two else laddered)
        found = self._best(laddered)
        return self._best(self._paired(change)) if found is None and two else found

    def _seen(self, moves: Moves, change: Array) -> _Seen:
        """Those that may help: where every row is met, those that save."""
        if self.excess == 0:
            worth = np.flatnonzero(change < -self.gain)
            moves, change = moves.some(worth), change[worth]
        none = np.zeros(0)
        return _Seen(moves, change, self.around.excess_after(self.h, moves, self.room) if len(change) else none)

    def _best(self, seen: _Seen) -> Array | None:
        """Quantities after the best of them that helps by the room it leaves; None where none does."""
        grid, gains = self.around.grid, seen.change < -self.gain
        for first in first_moves(np.round(seen.excess, 9), seen.change, _better(seen.excess, self.excess, gains)):
            moved = seen.moves.made(grid, self.h, first)
            after = self.around.excess_at(moved, self.around.allowance(np.round(grid.lots(moved))))
            if _better(after, self.excess, gains[first]):
                return moved
        return None

    def _laddered(self, change: Array) -> _Seen:
        """Single moves, each with what a fine leg of a row must do to bring that row back into its band."""
        around, lots, i, to = self.around, self.lots, self.singles.i, self.singles.to_i
        p, lot, pairs = around.program, around.grid.lot, _ladder(around, lots)
        row, leg = pairs.T[:, :, None]
        step = lot[i] * (to - lots[i])
        moved = around.here(self.h).values[row] + around.rows[row, i] * step
        wanted = np.minimum(np.maximum(moved, p.row_lower[row]), p.row_upper[row])
        to_leg = around.grid.nearest(lots[leg] + (wanted - moved) / (around.rows[row, leg] * lot[leg]), leg)
        at, one = np.nonzero((i != leg) & (to_leg != lots[leg]))
        moves = Moves(i[one], to[one], pairs[at, 1], to_leg[at, one])
        return self._seen(moves, around.change(self.h, moves))

    def _paired(self, change: Array) -> _Seen:
        """Any two single moves of different legs, one of them among those that save most, or bring rows nearest."""
        around, met, i, to = self.around, self.excess == 0, self.singles.i, self.singles.to_i
        p, step = around.program, around.grid.lot[i] * to - (self.h - around.program.start)[i]
        order = change if met else around.excess_after(self.h, self.singles, self.room)
        first = np.argsort(order, kind="stable")[:_PARTNERS]
        root = around.root[:, i] * step
        both = change[first, None] + change + root[:, first].T @ root
        one, other = np.nonzero((i[first, None] != i) & (both < (-self.gain if met else np.inf)))
        added, base, excess = around.added(self.h, self.singles), around.here(self.h).values, np.zeros(len(one))
        for row in np.flatnonzero(around.hard):
            least, most = (p.row_lower - self.room - base)[row], (p.row_upper + self.room - base)[row]
            of = added[row]
            if 2 * of.min() >= least and 2 * of.max() <= most:
                continue  # no two moves break it
            sums = of[first[one]] + of[other]
            beyond = np.maximum(least - sums, sums - most) / around.units[row]
            if met:
                kept = beyond <= around.flat[row]
                one, other, excess = one[kept], other[kept], excess[kept]
            else:
                excess += np.where(beyond > around.flat[row], beyond, 0.0)
        return _Seen(Moves(i[first[one]], to[first[one]], i[other], to[other]), both[one, other], excess)


def _better(excess: Any, now: float, gains: Any) -> Any:
    """Whether moves bring rows nearer to their bands, or are no further from them and gain."""
    return (excess < now - 1e-8) | ((excess <= now + 1e-9) & gains)


def first_moves(excess: Array, change: Array, better: Array) -> Array:
    """The first of M moves in order of excess, then change, up to one that is not better: _TRIES of them at most."""
    worse = np.flatnonzero(~better)
    if len(worse):
        least = excess[worse].min()
        ends = change[worse][excess[worse] == least].min()
        better = better & ((excess < least) | ((excess == least) & (change < ends)))
    among = np.flatnonzero(better)
    return among[np.lexsort((change[among], excess[among]))][:_TRIES]


def _further(
    around: Neighbourhood, h: Array, step: Array, rank: tuple[float, float]
) -> tuple[Array, tuple[float, float]]:
    """Quantities after the same step again, twice as far each time, while that helps; and their rank."""
    grid = around.grid
    while True:
        step = 2 * step
        moved = h + step
        if not (~grid.lumpy | grid.permitted(grid.lots(moved))).all() or (after := around.rank(moved)) >= rank:
            return h, rank
        h, rank = moved, after


def _ladder(around: Neighbourhood, lots: Array) -> Array:
    """Rows and legs (2 columns): for each hard row, the finest traded one, and the finest of all."""
    rows, exposure = around.ladder
    found, floor = [], 1e-6 * exposure.max(axis=1, initial=0.0, keepdims=True)
    for some in (lots != 0, True):
        among = np.where(some, exposure, 0.0)
        finest = np.where(among > floor, among, np.inf)
        each = zip(rows, finest.argmin(axis=1), finest.min(axis=1), strict=True)
        found += [(row, leg) for row, leg, least in each if least < np.inf]
    return np.array(list(dict.fromkeys(found)), dtype=int).reshape(-1, 2)
