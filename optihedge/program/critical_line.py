"""Answers of one Program along the price of its risk: the critical line.

Between two prices at which a column or a row changes sides, the optimum is the solution of linear equations: which
columns rest (at a bound, where nothing is traded or held) and which rows bind stays the same. With risk a x variance, x
the columns that move, and V the multipliers of the rows that bind, divided by a:

    [C + F'F   R'] [x]   [-slope / a - what resting columns bring]
    [R         0 ] [V] = [limits - what resting columns bring    ]     C own curvature, F factors, R rows on these sides

From an earlier answer's sides the equations are solved at another a. What passes the end of its piece rests there, what
would gain by leaving leaves, rows likewise, and they are solved again until nothing changes sides. The answer is proved
as any other; where that fails, solvers begin anew.

Markowitz (1956); sides changed all at once as by Hintermueller, Ito and Kunisch (2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg.lapack import dgetrf, dgetrs

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import proved_as_it_stands
from optihedge.program.program import Program
from optihedge.program.status import Status

_ROUNDS = 12  # of equations for one answer
_EXACT = 1e-11  # of the scale: the gap that is asked of the answer
_OWN = 1e-6  # of a column's variance: with less of its own, its equations are solved as they stand
_MOST = 400  # columns that are solved so
_DAMPING, _REFINEMENTS = 1e-12, 1  # of rows that depend on each other
_ROUNDING = 1e-12  # of what is summed


@dataclass(frozen=True, eq=False)
class _Sides:
    """Where columns (n) and rows (m) stand."""

    free: Array  # booleans: inside a piece
    traded: Array  # +1 bought, -1 sold, 0 neither
    held: Array  # +1 long, -1 short, 0 neither
    binding: Array  # +1 at the upper limit, -1 at the lower, 0 at none
    missed: Array  # of soft rows: +1 above the upper limit, -1 below the lower


class CriticalLine:
    """Solvers for one Program at other prices of its quadratic risk. Declines what is not piecewise quadratic."""

    def __init__(self, program: Program) -> None:
        p = self._program = program
        self.declined = bool(p.cvxpy_terms or p.has_cones or p.powered or len(p.depth.column))
        self.declined |= not p.row_table.dense
        self._points: list[tuple[float, Array, Array]] = []  # one or two with the same sides: 1 / factor, columns, rows
        self._last: Array | None = None  # the quantities of the last answer
        if self.declined:
            return
        # what counts as one: of each column what brings one of risk, of each row its largest column's
        curved, width = p.curvature > 0, np.where(p.upper > p.lower, p.upper - p.lower, 1.0)
        self._unit = unit = np.where(curved, 1 / np.sqrt(np.where(curved, p.curvature, 1.0)), width)
        rows = np.asarray(p.row_table.plain) * unit
        self._sized, on_holdings, on_trades = p.row_table.counted
        sizes = np.abs(rows)
        sizes[self._sized] += (on_holdings + on_trades) * unit
        self._row_unit = row_unit = np.maximum(sizes.max(axis=1, initial=0.0), 1e-300)
        self._rows, self._sizes = rows / row_unit[:, None], sizes / row_unit[:, None]
        of_sized = unit / row_unit[self._sized, None]
        self._on_holdings, self._on_trades = on_holdings * of_sized, on_trades * of_sized
        self._low, self._high, self._penalty = p.row_lower / row_unit, p.row_upper / row_unit, p.row_penalty * row_unit
        self._equal = self._low == self._high
        factors = np.vstack([p.factors, p.specifics.toarray()]) if len(p.specific_offset) else p.factors
        self._factors, self._offset = factors * unit, np.concatenate([p.factor_offset, p.specific_offset])
        self._own, self._bend = p.diagonal * unit**2, 2 * p.quadratic * unit**2
        self._lower, self._upper, self._start = p.lower / unit, p.upper / unit, p.start / unit
        self._linear, self._buy, self._sell = p.linear * unit, p.buy * unit, p.sell * unit
        self._long, self._short = p.long * unit, p.short * unit
        self._turns = (p.buy + p.sell > 0) | on_trades.any(axis=0)
        self._flips = (p.long + p.short > 0) | on_holdings.any(axis=0)

    def at(self, program: Program, factor: float) -> OnTheLine:
        """The solver of this one, which is the line's with its quadratic risk times `factor`."""
        return OnTheLine(self, program, factor)

    def along(self, h: Array, factor: float) -> tuple[Array, Array] | None:
        """Quantities (n) and row multipliers (m) where the sides of the last answer stay, which h is; or None.

        With these both are linear in 1 / factor, so two answers tell all others.
        """
        if len(self._points) < 2 or self._last is None or not np.array_equal(h, self._last):
            return None
        (one, x, V), (other, x_other, V_other) = self._points
        share = (1 / factor - one) / (other - one)
        x, V = x + share * (x_other - x), V + share * (V_other - V)
        low, high = self._ends
        if ((x < low) | (x > high)).any():
            return None
        self._last = self._quantities(x)
        return self._last, V * factor / self._row_unit

    def answer(self, h: Array, multipliers: Array, factor: float) -> tuple[Array, Array] | None:
        """The same from another answer's sides, as far as they change; None where they do not settle."""
        p = self._program
        x = np.where(h == p.lower, self._lower, np.where(h == p.upper, self._upper, h / self._unit))
        x = np.where(h == p.start, self._start, x)
        first = sides = self._sides(x, multipliers * self._row_unit)
        for _ in range(_ROUNDS):
            found = self._solved(sides, x, factor)
            if found is None:
                return None
            x, V, after = self._after(sides, *found, factor)
            if after is None:
                point = 1 / factor, x, V
                same = sides is first and self._last is not None and np.array_equal(h, self._last)
                straight = not self._bend.any()
                self._points = [*self._points[:1], point] if same and straight else [point]
                self._ends, self._last = self._pieces(sides), self._quantities(x)
                return self._last, V * factor / self._row_unit
            sides = after
        return None

    def _quantities(self, x: Array) -> Array:
        """In contracts; those of columns that rest are exactly where they do."""
        p = self._program
        h = np.where(x == self._lower, p.lower, np.where(x == self._upper, p.upper, x * self._unit))
        return np.where(x == self._start, p.start, h)

    def _pieces(self, sides: _Sides) -> tuple[Array, Array]:
        """Where each column's piece begins and ends, n each."""
        traded, held = sides.traded * self._turns, sides.held * self._flips
        low = np.maximum(self._lower, np.where(traded > 0, self._start, -np.inf))
        high = np.minimum(self._upper, np.where(traded < 0, self._start, np.inf))
        return np.where(held > 0, np.maximum(low, 0.0), low), np.where(held < 0, np.minimum(high, 0.0), high)

    def _sides(self, x: Array, V: Array) -> _Sides:
        traded, held = np.sign(x - self._start), np.sign(x)
        rests = (x <= self._lower) | (x >= self._upper) | (self._turns & (traded == 0)) | (self._flips & (held == 0))
        side = np.where(self._equal & (V == 0), 1.0, np.sign(V))
        missed = np.where(np.abs(V) >= self._penalty * (1 - _ROUNDING), side, 0.0)
        return _Sides(~rests, traded, held, np.where(missed == 0, side, 0.0), missed)

    def _solved(self, sides: _Sides, x: Array, factor: float) -> tuple[Array, Array] | None:
        """Columns (n, resting ones as in x) and rows' multipliers / factor that solve the equations of these sides."""
        free, bound = np.flatnonzero(sides.free), np.flatnonzero(sides.binding)
        rest = np.where(sides.free, 0.0, x)
        V = sides.missed * np.where(sides.missed != 0, self._penalty, 0.0) / factor
        rows, limit = self._rows, np.where(sides.binding > 0, self._high, self._low)
        if len(self._sized):  # on these sides sizes are linear
            traded = self._on_trades * sides.traded
            rows, limit = rows.copy(), limit.copy()
            rows[self._sized] += self._on_holdings * sides.held + traded
            limit[self._sized] += traded @ self._start
        slope = self._linear + np.where(sides.traded < 0, -self._sell, self._buy)
        slope = slope + np.where(sides.held < 0, -self._short, self._long) - self._bend * self._start
        moved = self._factors @ rest + self._offset
        right = -(slope / factor + moved @ self._factors + V @ rows)[free]
        some = rows[bound]
        limit = limit[bound] - some @ rest
        own = (self._own + self._bend / factor)[free]
        between, factors = some[:, free], self._factors[:, free]
        if len(free) > len(factors) + len(bound) and (own > _OWN).all():
            found = _by_factors(own, factors, between, right, limit)
        elif len(free) <= _MOST:
            found = _by_columns(own, factors, between, right, limit)
        else:
            return None
        rest[free] = found[: len(free)]
        V[bound] = found[len(free) :]
        return (rest, V) if np.isfinite(found).all() else None

    def _after(self, sides: _Sides, x: Array, V: Array, factor: float) -> tuple[Array, Array, _Sides | None]:
        """Columns kept in their pieces, multipliers, and the sides then; None for sides that stay."""
        free, traded, held = sides.free, sides.traded, sides.held
        # a column that passes the end of its piece rests there
        low, high = self._pieces(sides)
        kept = np.where(free, np.minimum(np.maximum(x, low), high), x)
        stops = free & (kept != x)
        # one that rests leaves where that gains
        gradient = (self._factors @ x + self._offset) @ self._factors + self._own * x + V @ self._rows
        smooth = gradient + (self._linear + self._bend * (x - self._start)) / factor
        buy, sell, long, short = (part / factor for part in (self._buy, self._sell, self._long, self._short))
        value = self._rows @ x
        if len(self._sized):
            charged, weighed = V[self._sized] @ self._on_trades, V[self._sized] @ self._on_holdings
            buy, sell, long, short = buy + charged, sell + charged, long + weighed, short + weighed
            value[self._sized] += self._on_holdings @ np.abs(x) + self._on_trades @ np.abs(x - self._start)
        above = smooth + np.where(x >= self._start, buy, -sell) + np.where(x >= 0, long, -short)
        below = smooth + np.where(x > self._start, buy, -sell) + np.where(x > 0, long, -short)
        least = _ROUNDING * (np.abs(smooth) + np.abs(gradient) + 1e-300)
        up, down = ~free & (above < -least) & (x < self._upper), ~free & (below > least) & (x > self._lower)
        leaves = up | down
        way = np.where(up, 1.0, -1.0)
        # rows bind where they are passed, and no longer where they would push the other way
        room = _ROUNDING * (self._sizes @ np.abs(x) + np.abs(value))
        over, under = value > self._high + room, value < self._low - room
        wrong = (sides.binding * V < 0) & ~self._equal
        beyond = (sides.binding != 0) & (np.abs(V) * factor > self._penalty)
        back = (sides.missed > 0) & (value < self._high) | (sides.missed < 0) & (value > self._low)
        passed = (sides.binding == 0) & (sides.missed == 0) & (over | under)
        binding = np.where(wrong | beyond, 0.0, np.where(passed, np.where(over, 1.0, -1.0), sides.binding))
        binding = np.where(back, sides.missed, binding)
        missed = np.where(back, 0.0, np.where(beyond & ~wrong, np.sign(V), sides.missed))
        if not (stops.any() or leaves.any() or (wrong | beyond | passed | back).any()):
            return kept, V, None
        traded = np.where(leaves & (x == self._start), way, np.where(stops & (kept == self._start), 0.0, traded))
        held = np.where(leaves & (x == 0), way, np.where(stops & (kept == 0), 0.0, held))
        return kept, V, _Sides((free & ~stops) | leaves, traded, held, binding, missed)


@dataclass(frozen=True, eq=False)
class OnTheLine:
    """The solver of one Program on a critical line; `warm` is an answer at another price of risk."""

    line: CriticalLine
    program: Program
    factor: float
    name: ClassVar[str] = "critical line"

    def solve(self, program: Program, *, deadline: float | None, warm: Candidate | None = None) -> Candidate:
        """An optimal candidate, proved, or none. It takes a millisecond: `deadline` is not looked at."""
        if self.line.declined or warm is None or program is not self.program:
            return Candidate.none(program, Status.DECLINED, "not on the line")
        with np.errstate(all="ignore"):
            proved = self._proved(self.line.along(warm.h, self.factor))
            if proved is None:
                proved = self._proved(self.line.answer(warm.h, warm.multipliers, self.factor))
        return proved or Candidate.none(program, Status.FAILED, "sides that do not settle, or others")

    def _proved(self, found: tuple[Array, Array] | None) -> Candidate | None:
        if found is None:
            return None
        h = np.minimum(np.maximum(found[0] + 0.0, self.program.lower), self.program.upper)
        return proved_as_it_stands(self.program, Candidate(h, found[1], Status.OPTIMAL), _EXACT)


def _by_columns(own: Array, factors: Array, rows: Array, right: Array, limit: Array) -> Array:
    """Columns and multipliers from the equations as they stand."""
    count, size = len(own), len(own) + len(limit)
    matrix = np.zeros((size, size))
    matrix[:count, :count] = factors.T @ factors
    matrix[count:, :count], matrix[:count, count:] = rows, rows.T
    diagonal = matrix.reshape(-1)[:: size + 1]
    diagonal[:count] += own
    diagonal[count:] = -_DAMPING
    both = np.concatenate([right, limit])
    if not size:
        return both
    parts, pivots, _ = dgetrf(matrix)
    found: Array = dgetrs(parts, pivots, both)[0]
    diagonal[count:] = 0.0
    for _ in range(_REFINEMENTS):
        found += dgetrs(parts, pivots, both - matrix @ found)[0]
    return found


def _by_factors(own: Array, factors: Array, rows: Array, right: Array, limit: Array) -> Array:
    """The same by way of what factors and rows are multiplied with, fewer than the columns."""
    k, matrix = len(factors), np.concatenate([factors, rows])
    if not len(matrix):
        return right / own
    weighed = matrix / own
    system = weighed @ matrix.T
    diagonal = system.reshape(-1)[:: len(system) + 1]
    diagonal[:k] += 1.0
    damped = system.copy()
    damped.reshape(-1)[:: len(system) + 1][k:] *= 1 + _DAMPING
    parts, pivots, _ = dgetrf(damped)
    wanted = np.concatenate([np.zeros(k), limit])
    pull = np.zeros(len(system))
    for _ in range(1 + _REFINEMENTS):
        pull += dgetrs(parts, pivots, weighed @ right - wanted - system @ pull)[0]
    return np.concatenate([(right - pull @ matrix) / own, pull[k:]])
