"""A Program of many columns of which few trade: an active set of columns, all others by their reduced costs.

Without rows, and with costs that are linear between kinks, a column rests at a kink or a bound or is free between two.
The optimum over the free ones at an aversion lambda solves linear equations. The way there is searched exactly: along a
line the slope of the objective rises, and jumps at kinks; where it passes zero at a kink, that column rests. Where the
free ones are at their optimum the resting one that gains most is freed. Where none does, the reduced costs of all other
columns name those that join; where none gains there either, the answer is the whole Program's, and is proved as such.

Under a price of volatility lambda is price / sigma at the optimum. With t = 1 / lambda the free columns move along a
line in t on which sigma^2 - t^2 price^2 is linear in t^2: the lambda of these pieces is known at once.

Perold (1984) of factor risk and costs with kinks; Bartels, Conn and Sinclair (1978) of lines across kinks.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from scipy.linalg.lapack import dposv

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import proved_as_it_stands
from optihedge.program.program import Program
from optihedge.program.status import Status
from optihedge.program.volatility import VolatilityPrice
from optihedge.program.volatility_price import first_aversion

_JOIN, _ROUNDS = 20, 40  # columns that join at once, and how often some may
_SMALL = 100  # columns of which all may join at once
_MOST = 200  # columns that trade: with more, others are quicker
_STEPS = 1500  # in all
_LARGEST = 2e7  # entries of the risk of all columns
_FARTHEST = 1e4  # lambda^2 changes by no more in a step
_SETTLED = 1e-14  # of lambda^2
_ROUNDING = 1e-12  # of what is summed: a smaller gain is none
_EXACT = 1e-10  # of the scale: the gap that is asked of the answer


class _Risk(NamedTuple):
    """|M h + o|^2 + sum diagonal h^2 + fixed, k rows over some columns."""

    matrix: Array
    offset: Array
    diagonal: Array
    fixed: float

    def over(self, columns: Array, h: Array) -> _Risk:
        """Over some columns (integers), with the others at h."""
        rest = h.copy()
        rest[columns] = 0.0
        fixed = self.fixed + float(self.diagonal @ (rest * rest))
        return _Risk(self.matrix[:, columns], self.matrix @ rest + self.offset, self.diagonal[columns], fixed)

    def half_gradient(self, h: Array) -> Array:
        """Of half of it, by column."""
        return (self.matrix @ h + self.offset) @ self.matrix + self.diagonal * h

    def curvature(self) -> Array:
        """Half of its second derivative, by column."""
        return np.einsum("kn,kn->n", self.matrix, self.matrix) + self.diagonal

    def square(self) -> Array:
        """M'M with the diagonal."""
        made = self.matrix.T @ self.matrix
        made.reshape(-1)[:: len(made) + 1] += self.diagonal
        return made

    def value(self, h: Array) -> float:
        """Itself."""
        parts = self.matrix @ h + self.offset
        return float(parts @ parts + self.diagonal @ (h * h)) + self.fixed


class _Part(NamedTuple):
    """Some columns of a Program, the others held where they are."""

    price: float  # of volatility; 0 without one, where nothing is priced
    priced: _Risk
    own: _Risk  # charged as it is
    squares: tuple[Array, Array]  # of both
    each: Array  # root of their diagonals' sum
    linear: Array
    bought: Array  # slope of a column's other costs above its kinks of size, where it is bought and long
    column: Array  # of each kink
    at: Array
    upward: Array  # booleans: whether its charge begins above it, else below
    charge: Array  # a contract beyond it; infinite beyond a bound
    signed: Array  # likewise, as a slope

    def slopes(self, x: Array) -> tuple[Array, Array]:
        """Of the costs with kinks just below and just above x, by column."""
        place, count = x[self.column], len(x)
        below, above = self.upward == (place > self.at), self.upward == (place >= self.at)
        return (
            self.bought + np.bincount(self.column[below], self.signed[below], count),
            self.bought + np.bincount(self.column[above], self.signed[above], count),
        )

    def second(self, aversion: float) -> Array:
        """Second derivatives of the risk, by two columns."""
        return aversion * self.squares[0] + self.squares[1]


class _State(NamedTuple):
    """Where an active set stands."""

    x: Array  # contracts, of each column of the part
    free: Array  # booleans
    side: Array  # of a column just freed +1 if it moves up, -1 down; 0 of others
    aversion: float


@dataclass(frozen=True)
class FewColumns:
    """Declines rows, costs that are not linear between kinks, a volatility limit and a user's terms; fails where many
    columns trade.
    """

    name: ClassVar[str] = "few columns"
    takes_price: ClassVar[bool] = True

    def solve(self, program: Program, *, deadline: float | None = None, warm: Candidate | None = None) -> Candidate:
        """An optimal candidate, proved, or none. It begins where nothing is traded: of `warm` it makes no use."""
        if not few_may_trade(program):
            return Candidate.none(program, Status.DECLINED, "rows, curved costs or many factors")
        found = few_columns(program, np.inf if deadline is None else time.perf_counter() + deadline)
        proved = None if found is None else proved_as_it_stands(program, found, _EXACT)
        return proved or Candidate.none(program, Status.FAILED, "many columns trade, or no end")


def few_may_trade(p: Program) -> bool:
    """Whether it is a Program of this form."""
    n, k, s, m = p.size
    if m or p.cvxpy_terms or p.volatility_limit is not None or p.powered or p.quadratic.any() or not p.moves:
        return False
    v = p.volatility_price
    rows = k + s if v is None else k + s + len(v.factor_offset) + len(v.specific_offset)
    return rows * n <= _LARGEST


def few_columns(program: Program, stop: float = np.inf) -> Candidate | None:
    """The optimum of such a Program, unproved; None where many columns trade, or it does not end."""
    with np.errstate(all="ignore"):
        h = _optimum(program, stop)
    return None if h is None or not np.isfinite(h).all() else Candidate(h, np.zeros(0), Status.OPTIMAL)


def _optimum(p: Program, stop: float) -> Array | None:
    """Quantities, n; None where it does not end."""
    v, priced, own = p.volatility_price, *_risks(p)
    h = np.minimum(np.maximum(p.start, p.lower), p.upper)
    aversion, steps = 0.0 if v is None else first_aversion(p), _STEPS
    each = np.sqrt(priced.curvature() + own.curvature())
    below, above = p.slopes(p.start, h)  # of columns that rest where they began
    below, above = np.where(h > p.lower, below, -np.inf), np.where(h < p.upper, above, np.inf)
    chosen, free = np.flatnonzero(h != p.start), np.zeros(len(h), dtype=bool)
    for _ in range(_ROUNDS):
        gain = _gains((aversion * priced.half_gradient(h), own.half_gradient(h), p.linear), below, above) / each
        gain[chosen] = 0.0
        new = np.argpartition(-gain, _JOIN)[:_JOIN] if len(gain) > _SMALL else np.arange(len(gain))
        new = new[gain[new] > 0]
        if not len(new):
            return h
        columns = np.sort(np.concatenate([chosen, new]))
        part = _part(p, columns, h, priced, own)
        state, steps = _settled(part, _State(h[columns], free[columns], np.zeros(len(columns)), aversion), steps)
        if steps <= 0 or time.perf_counter() > stop:
            return None
        h[columns], free[columns], aversion = state.x, state.free, state.aversion
        chosen = np.flatnonzero(h != p.start)
        if len(chosen) > _MOST:
            return None
    return None


def _risks(p: Program) -> tuple[_Risk, _Risk]:
    """What is priced, and what is charged as it is, of all columns."""
    n, own = len(p.start), _Risk(*_stacked(p), p.diagonal, 0.0)
    if p.volatility_price is None:
        return _Risk(np.zeros((0, n)), np.zeros(0), np.zeros(n), 0.0), own
    return _Risk(*_stacked(p.volatility_price), p.volatility_price.diagonal, 0.0), own


def _stacked(risk: Program | VolatilityPrice) -> tuple[Array, Array]:
    """Its factors and its sparse rows as one matrix, and their offsets."""
    if not len(risk.specific_offset):
        return risk.factors, risk.factor_offset
    both = np.concatenate([risk.factors, risk.specifics.toarray()])
    return both, np.concatenate([risk.factor_offset, risk.specific_offset])


def _part(p: Program, columns: Array, h: Array, priced: _Risk, own: _Risk) -> _Part:
    """Of some columns (integers) of a Program."""
    count, d = len(columns), p.depth
    place = np.full(len(h), -1)
    place[columns] = np.arange(count)
    levels = np.flatnonzero(place[d.column] >= 0)
    column, side, start = place[d.column[levels]], d.side[levels], p.start[columns]
    buy, sell, long, short = (piece[columns] for piece in (p.buy, p.sell, p.long, p.short))
    at = (start, np.zeros(count), p.lower[columns], p.upper[columns], start[column] + side * d.beyond[levels])
    charge = np.concatenate([buy + sell, long + short, np.full(2 * count, np.inf), d.slope[levels]])
    sign = np.concatenate([np.full(3 * count, -1.0), np.ones(count), side])
    some, priced, own = np.flatnonzero(charge > 0), priced.over(columns, h), own.over(columns, h)
    squares = priced.square(), own.square()
    return _Part(
        0.0 if p.volatility_price is None else p.volatility_price.price, priced, own, squares,
        np.sqrt(squares[0].diagonal() + squares[1].diagonal()), p.linear[columns], buy + long,
        np.concatenate([np.tile(np.arange(count), 4), column])[some], np.concatenate(at)[some], sign[some] > 0,
        charge[some], (sign * charge)[some],
    )  # fmt: skip


def _settled(part: _Part, state: _State, steps: int) -> tuple[_State, int]:
    """The optimum of a part from where it stands, and the steps that are left: none where it does not end."""
    still = not state.free.any()  # whether the free columns are at their optimum
    second, between = part.second(state.aversion), [0.0, np.inf]
    while steps > 0:
        steps -= 1
        x, free, side, aversion = state
        below, above = part.slopes(x)
        priced, own = part.priced.half_gradient(x), part.own.half_gradient(x)
        smooth = aversion * priced + own + part.linear
        if not still:
            found = _step(part, state, second, smooth + np.where(side > 0, above, below))
            if found is None:
                break
            state, still = found
            continue
        gain = np.where(free, 0.0, _gains((aversion * priced, own, part.linear), below, above)) / part.each
        most = int(np.argmax(gain))
        if gain[most] > 0:
            free, side = free.copy(), np.zeros(len(x))
            free[most], side[most] = True, 1.0 if -(smooth + above)[most] > (smooth + below)[most] else -1.0
            state, still = _State(x, free, side, aversion), False
            continue
        if not part.price:
            return state, steps
        other = _next_aversion(part, state, second, own + part.linear + above, between)
        if other == aversion:
            return state, steps
        state, still, second = state._replace(aversion=other), not free.any(), part.second(other)
    return state, 0


def _gains(slopes: tuple[Array, Array, Array], below: Array, above: Array) -> Array:
    """What a contract of each column gains by moving the better way: 0 where none does, or no more than rounding."""
    one, two, three = slopes
    smooth, size = one + two + three, np.abs(one) + np.abs(two) + np.abs(three)
    return np.maximum(np.maximum(-(smooth + above), smooth + below) - _ROUNDING * size, 0.0)


def _step(part: _Part, state: _State, second: Array, slope: Array) -> tuple[_State, bool] | None:
    """Towards the optimum of the free columns' pieces, as far as the objective falls; and whether that is there.

    slope  of the objective on these pieces;  None where columns depend on each other
    """
    x, free, way = state.x.copy(), np.flatnonzero(state.free), np.zeros(len(state.x))
    _, way[free], info = dposv(second[free][:, free], -slope[free])
    if info:
        return None
    share, kink = _share(part, x, way, -float(slope[free] @ way[free]))
    x += share * way
    still = state._replace(x=x, side=np.zeros(len(x)))
    if kink < 0:
        return still, share == 1.0
    rests, unfree = part.column[kink], state.free.copy()
    x[rests], unfree[rests] = part.at[kink], False
    return still._replace(free=unfree), not unfree.any()


def _share(part: _Part, x: Array, way: Array, fall: float) -> tuple[float, int]:
    """The share of a way on which the objective falls, and the kink where it ends, -1 for none.

    fall  what its first contract saves: so much is gone at the end of the way, more where kinks are crossed
    """
    speed = way[part.column]
    when = (part.at - x[part.column]) / speed
    met = np.flatnonzero((when > 0) & (when < 1))
    if not len(met):
        return 1.0, -1
    met = met[np.argsort(when[met], kind="stable")]
    jump = part.charge[met] * np.abs(speed[met])
    after = np.cumsum(jump)
    before, left = np.concatenate([[0.0], after[:-1]]), fall * (1 - when[met])
    ends = np.flatnonzero(after >= left)
    if not len(ends):
        return 1 - float(after[-1]) / fall, -1
    first = ends[0]
    if before[first] >= left[first]:
        return 1 - float(before[first]) / fall, -1
    return float(when[met[first]]), int(met[first])


def _next_aversion(part: _Part, state: _State, second: Array, charged: Array, between: list[float]) -> float:
    """The aversion at which aversion x volatility is the price if all columns stay on their pieces.

    charged  slope of all that is not priced;  between  the 1 / aversion that are known to be too small and too large
    """
    x, free, t, along = state.x, np.flatnonzero(state.free), 1 / state.aversion, 0.0
    square = part.priced.value(x)
    if len(free):
        way = np.zeros(len(x))
        way[free] = dposv(second[free][:, free] * t, -charged[free])[1]
        along = float(part.priced.half_gradient(x) @ way) / t
    u = (square - along * t * t) / (part.price**2 - along) if part.price**2 > along else square / part.price**2
    u = min(max(u, t * t / _FARTHEST), t * t * _FARTHEST)
    if abs(u / (t * t) - 1) <= _SETTLED:
        return state.aversion
    between[int(square < (part.price * t) ** 2)] = t
    low, high = between
    other = math.sqrt(u)
    return 1 / (other if low < other < high else math.sqrt(low * high))
