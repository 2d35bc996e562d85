"""Local search over lots: move a leg by a lot, a leg and a fine one that takes up its residual, or two legs at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.lots.neighbourhood import Moves, Neighbourhood
from optihedge.program.program import objective

GAIN = 1e-10  # of the objective's scale: a smaller saving is rounding
_TRIES = 20  # of the best moves: one that trades a finer leg has less room afterwards, and may be none
_TOGETHER = 16  # moves whose sum is tried again
_PARTNERS = 64  # single moves that every other is tried with
_NEARLY_HALF = 0.49  # of a lot: a fine leg that is to make up for less stays where it is
_SLACK = 1e-9  # of excess: a smaller rise is rounding


def improve(
    around: Neighbourhood, h: Array, most: int = 2000, *, been: set[bytes] | None = None
) -> tuple[Array, int]:  # fmt: skip
    """Steepest descent over single and paired moves, excess first, then objective. Returns quantities and moves made.

    Starts from permitted lots (auxiliaries stay). What is gained counts by the room that is left after the move, so
    that no point comes twice. A pair is a lot of any leg with the multiple of a row's finest traded leg that brings the
    row back into its band: it crosses the ridges where a single lot breaks neutrality. Or it is any two single moves.
    A move that helps twice is made again, twice as far each time, while that helps too; so is what every sixteen moves
    did together, where small lots of several legs go a long way by turns.

    been   lists that earlier descents came by, to which this one's are added; at one of these it ends, for what follows
           is known
    """
    point = _Point.of(around, h, GAIN * max(abs(objective(around.program, h)), 1e-12))
    made, last, before, known = 0, np.zeros_like(h), h, frozenset(been or ())
    while made < most and point.mark not in known and around.left > 0:
        if been is not None:
            been.add(point.mark)
        if made and made % _TOGETHER == 0:
            point = _further(point, point.h - before)
            before = point.h
        after = point.next()
        if after is None or after.rank >= point.rank:
            break  # what is left to gain is rounding
        step = after.h - point.h
        if (step == last).all():
            after = _further(after, step)
        point, last, made = after, step, made + 1
    return point.h, made


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


class _Each(NamedTuple):
    """S single moves: what is added (contracts), what that changes but for soft rows, and in all (base currency)."""

    moves: Moves
    step: Array
    alone: Array
    change: Array


class _Singles(NamedTuple):
    """Three moves of each of n columns, a lot less, a lot more, and none, 3 x n: lots after; what is added (contracts);
    what that changes in the column's own costs and variance (base currency), infinite where there is no such move.
    """

    to: Array
    step: Array
    own: Array

    @classmethod
    def of(cls, around: Neighbourhood, h: Array, lots: Array, columns: Array) -> _Singles:
        """Of some columns (integers)."""
        grid, here = around.grid, around.here(h)
        lots, lot = lots[columns], grid.lot[columns]
        to = np.empty((3, len(columns)))
        to[:2], to[2] = grid.neighbours(lots, columns), 0.0
        x, before = lot * to, h[columns] - grid.start[columns]
        step = x - before
        own = around.leg_cost(np.broadcast_to(columns, to.shape), x) - here.costs[columns]
        own += 0.5 * around.curvature[columns] * step**2
        own[(to == lots) | ~grid.lumpy[columns]] = np.inf
        own[2, (grid.low[columns] > 0) | (grid.high[columns] < 0)] = np.inf
        return cls(to, step, own)

    def after(self, around: Neighbourhood, h: Array, lots: Array, columns: Array) -> _Singles:
        """The same where those columns have changed."""
        parts = []
        for part, new in zip(self, _Singles.of(around, h, lots, columns), strict=True):
            parts.append(part.copy())
            parts[-1][:, columns] = new
        return _Singles(*parts)


@dataclass(frozen=True, eq=False)
class _Point:
    """Where the search stands: quantities, trades in lots, room around bands (m), excess; the least saving that counts;
    its single moves.
    """

    around: Neighbourhood
    h: Array
    lots: Array
    room: Array
    excess: float
    gain: float
    singles: _Singles

    @classmethod
    def of(cls, around: Neighbourhood, h: Array, gain: float) -> _Point:
        lots = np.round(around.grid.lots(h)) + 0.0
        room = around.allowance(lots)
        singles = _Singles.of(around, h, lots, np.arange(len(h)))
        return cls(around, h, lots, room, around.excess_at(h, room), gain, singles)

    def moved(self, h: Array, lots: Array, room: Array, excess: float) -> _Point:
        """The point at other quantities of a few columns."""
        singles = self.singles.after(self.around, h, lots, np.flatnonzero(lots != self.lots))
        return replace(self, h=h, lots=lots, room=room, excess=excess, singles=singles)

    @cached_property
    def rank(self) -> tuple[float, float]:
        """Order of points: excess, then the objective."""
        return round(self.excess, 9), self.around.value(self.h)

    @property
    def mark(self) -> bytes:
        """The same for equal lists alone."""
        return self.lots.tobytes()

    def next(self) -> _Point | None:
        """After the best single move that helps; where none does, after the best pair."""
        around, met = self.around, self.excess == 0
        alone = self.singles.own + self.singles.step * around.here(self.h).gradient
        most = -self.gain if met and not around.has_soft else np.inf  # only what saves is looked at
        some = self._some(alone, most)
        found = self._best(self._seen(some.moves, some.change))
        if found is not None:
            return found
        each = self._some(alone, np.inf)
        if not len(each.change):
            return None
        laddered, two = self._laddered(each), around.volatility is None
        if not met:
            return self._best(laddered.plus(self._paired(each)) if two else laddered)
        found = self._best(laddered)
        return self._best(self._paired(each)) if found is None and two else found

    def _some(self, alone: Array, most: float) -> _Each:
        """The single moves that change less than `most`; alone: what each changes but for soft rows (3 x n)."""
        kind, column = np.nonzero(alone < most)
        moves, alone = Moves(column, self.singles.to[kind, column]), alone[kind, column]
        change = alone + self.around.missed_more(self.h, moves)
        return _Each(moves, self.singles.step[kind, column], alone, change)

    def _seen(self, moves: Moves, change: Array) -> _Seen:
        """Those that may help: where every row is met, those that save."""
        if self.excess == 0:
            worth = np.flatnonzero(change < -self.gain)
            moves, change = moves.some(worth), change[worth]
        none = np.zeros(0)
        return _Seen(moves, change, self.around.excess_after(self.h, moves, self.room) if len(change) else none)

    def _best(self, seen: _Seen) -> _Point | None:
        """After the best of them that helps by the room it leaves; None where none does."""
        if not len(seen.change):
            return None
        gains = seen.change < -self.gain
        for first in _in_turn(np.round(seen.excess, 9), seen.change, _better(seen.excess, self.excess, gains)):
            h, lots = seen.moves.made(self.around.grid, self.h, first), self.lots.copy()
            for column, to in seen.moves.legs:
                lots[column[first]] = to[first] + 0.0
            room = self.around.allowance(lots)
            excess = self.around.excess_at(h, room)
            if _better(excess, self.excess, gains[first]):
                return self.moved(h, lots, room, excess)
        return None

    def _laddered(self, singles: _Each) -> _Seen:
        """Single moves, each with what a fine leg of a row must do to bring that row back into its band."""
        around, lots, i, step = self.around, self.lots, singles.moves.i, singles.step
        p, pairs = around.program, _ladder(around, lots)
        row, leg = pairs.T
        each = around.rows[row, leg] * around.grid.lot[leg]
        # which moves take each row out of its band by what its finest leg could make up for
        beyond = around.here(self.h).values[:, None] + around.rows[:, i] * step
        beyond -= np.minimum(np.maximum(beyond, p.row_lower[:, None]), p.row_upper[:, None])
        least = np.full(len(beyond), np.inf)
        np.minimum.at(least, row, _NEARLY_HALF * np.abs(each))  # less brings it no nearer
        out, one = np.nonzero(np.abs(beyond) > least[:, None])
        begin, end = np.searchsorted(out, row), np.searchsorted(out, row, side="right")
        at = np.repeat(np.arange(len(row)), end - begin)
        one = one[np.arange(len(at)) + np.repeat(begin - np.cumsum(end - begin) + (end - begin), end - begin)]
        to_leg = around.grid.nearest(lots[leg[at]] - beyond[row[at], one] / each[at], leg[at])
        kept = (i[one] != leg[at]) & (to_leg != lots[leg[at]])
        return self._two(singles, one[kept], leg[at[kept]], to_leg[kept])

    def _two(self, singles: _Each, one: Array, leg: Array, to_leg: Array) -> _Seen:
        """Single moves (integers) and a second leg of each."""
        around, h, lot = self.around, self.h, self.around.grid.lot
        x = lot[leg] * to_leg
        step = x - (h - around.grid.start)[leg]
        here = around.here(h)
        change = around.leg_cost(leg, x) - here.costs[leg]
        change += step * (here.gradient[leg] + 0.5 * around.curvature[leg] * step) + singles.alone[one]
        if self.excess == 0:  # at most they save what each does, the product of their lengths, and what is missed now
            longest = around.length[leg] * np.abs(step) * (around.length[singles.moves.i] * np.abs(singles.step))[one]
            worth = np.flatnonzero(change - (1 + _SLACK) * longest - around.missed(h) < -self.gain)
            one, leg, to_leg, step, change = one[worth], leg[worth], to_leg[worth], step[worth], change[worth]
        i = singles.moves.i[one]
        change += singles.step[one] * step * np.einsum("km,km->m", around.root[:, i], around.root[:, leg])
        moves = Moves(i, singles.moves.to_i[one], leg, to_leg)
        return self._seen(moves, change + around.missed_more(h, moves))

    def _paired(self, singles: _Each) -> _Seen:
        """Any two single moves of different legs, one of them among those that save most, or bring rows nearest."""
        around, met, (moves, step, _, change) = self.around, self.excess == 0, singles
        i, to = moves.i, moves.to_i
        added = around.added(self.h, moves)
        order = change if met else around.excess_after(self.h, moves, self.room)
        first, others = np.argsort(order, kind="stable")[:_PARTNERS], np.arange(len(i))
        if met:  # those that some other can bring back into its bands, and then save
            first = first[self._mendable(added[:, first], added)]
            if not len(first):
                return _Seen(Moves(first, to[first], first, to[first]), order[first], order[first])
            others = others[self._mendable(added, added[:, first])]
            # together they change what each does, and step x root step of both, no less than minus their lengths
            length = around.length[i] * np.abs(step)
            lowest = change[first].min() - (1 + _SLACK) * length[first].max() * length[others]
            others = others[change[others] + lowest < -self.gain]
        root = around.root[:, i[others]] * step[others]
        both = (around.root[:, i[first]] * step[first]).T @ root
        both += change[others]
        both += change[first, None]
        promising = both < -self.gain if met else self._nearer(added[:, first], added)
        one, other = np.nonzero((i[first, None] != i[others]) & promising)
        both, one, other = both[one, other], first[one], others[other]
        excess, kept = self._together(added, one, other)
        one, other = one[kept], other[kept]
        return _Seen(Moves(i[one], to[one], i[other], to[other]), both[kept], excess)

    @cached_property
    def _left(self) -> tuple[Array, Array]:
        """What may be added to each hard row at least and at most, room included (desk unit)."""
        p, values, hard = self.around.program, self.around.here(self.h).values, self.around.hard
        return (p.row_lower - self.room - values)[hard], (p.row_upper + self.room - values)[hard]

    def _mendable(self, added: Array, others: Array) -> Array:
        """Moves (a mask) that leave each hard row where one of the others brings it into its band (m x some each)."""
        hard, flat = self.around.hard, (self.around.flat * self.around.units)[self.around.hard]
        (least, most), added, others = self._left, added[hard], others[hard]
        lowest, highest = least - others.max(axis=1) - flat, most - others.min(axis=1) + flat
        return ((added >= lowest[:, None]) & (added <= highest[:, None])).all(axis=0)

    @cached_property
    def _furthest(self) -> Array:
        """Hard rows in order of how far they are out (integers of those of `_left`): the first leave the fewest."""
        least, most = self._left
        return np.argsort(-np.maximum(least, -most) / self.around.units[self.around.hard], kind="stable")

    def _nearer(self, added: Array, others: Array) -> Array:
        """Pairs of moves (a mask) after which the row that is furthest out is not further than all are now."""
        k = self._furthest[0]
        row = np.flatnonzero(self.around.hard)[k]
        (least, most), room = self._left, (self.excess + _SLACK) * self.around.units[row]
        sums = added[row][:, None] + others[row]
        return (sums >= least[k] - room) & (sums <= most[k] + room)

    def _together(self, added: Array, one: Array, other: Array) -> tuple[Array, Array]:
        """Excess after pairs of moves, and which pairs (integers) those are: the others have more than there is now."""
        around, kept, excess = self.around, np.arange(len(one)), np.zeros(len(one))
        rows, (least, most) = np.flatnonzero(around.hard), self._left
        lowest, highest = 2 * added[rows].min(axis=1), 2 * added[rows].max(axis=1)
        safe = (lowest >= least) & (highest <= most)  # no two moves break these
        for k in self._furthest[~safe[self._furthest]]:
            row, of = rows[k], added[rows[k]]
            sums = of[one[kept]] + of[other[kept]]
            beyond = np.maximum(least[k] - sums, sums - most[k]) / around.units[row]
            excess += np.where(beyond > around.flat[row], beyond, 0.0)
            near = excess <= self.excess + _SLACK
            kept, excess = kept[near], excess[near]
        return excess, kept


def _better(excess: Any, now: float, gains: Any) -> Any:
    """Whether moves bring rows nearer to their bands, or are no further from them and gain."""
    return (excess < now - 1e-8) | ((excess <= now + _SLACK) & gains)


def _in_turn(excess: Array, change: Array, better: Array) -> Iterator[int]:
    """As `first_moves`, the first of which mostly ends the search."""
    least = np.flatnonzero(excess == excess.min())
    first = int(least[change[least].argmin()])
    if better[first]:
        yield first
        yield from first_moves(excess, change, better)[1:].tolist()


def first_moves(excess: Array, change: Array, better: Array) -> Array:
    """The first of M moves in order of excess, then change, up to one that is not better: _TRIES of them at most."""
    worse = np.flatnonzero(~better)
    if len(worse):
        least = excess[worse].min()
        ends = change[worse][excess[worse] == least].min()
        better = better & ((excess < least) | ((excess == least) & (change < ends)))
    among = np.flatnonzero(better)
    return among[np.lexsort((change[among], excess[among]))][:_TRIES]


def _further(point: _Point, step: Array) -> _Point:
    """After the same step again, twice as far each time, while that helps."""
    around, grid = point.around, point.around.grid
    while True:
        step = 2 * step
        h = point.h + step
        if not (~grid.lumpy | grid.permitted(grid.lots(h))).all() or around.rank(h) >= point.rank:
            return point
        lots = np.round(grid.lots(h)) + 0.0
        room = around.allowance(lots)
        point = point.moved(h, lots, room, around.excess_at(h, room))


def _ladder(around: Neighbourhood, lots: Array) -> Array:
    """Rows and legs (2 columns): for each hard row, the finest traded one, and the finest of all."""
    rows, exposure = around.ladder
    found = []
    for columns in (np.flatnonzero(lots), np.arange(len(lots))):
        if len(columns):
            some = exposure[:, columns]
            finest = some.argmin(axis=1)
            which = np.flatnonzero(some[np.arange(len(rows)), finest] < np.inf)
            found += list(zip(rows[which].tolist(), columns[finest[which]].tolist(), strict=True))
    return np.array(list(dict.fromkeys(found)), dtype=int).reshape(-1, 2)
