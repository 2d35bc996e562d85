"""A few lumpy legs: the best whole lots of all, by every choice near the optimum and an integer program beyond.

Bands are met exactly, unless no lots do, or that raises the objective by more than it costs to trade the best list
within half a lot of its bands: then that list is the answer. Where there is none either, bands are missed least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.duality import clip_multipliers, dual_gap, scale_of
from optihedge.program.lots.lot_program import MOST_NODES, LotProgram
from optihedge.program.lots.neighbourhood import Neighbourhood
from optihedge.program.program import objective, row_violations

MOST_LEGS = 8
_SURE = 4  # legs: with no more, what is found is proved the best of the whole box
_POINTS = 4**MOST_LEGS  # enumerated around a point
_WHOLE = 2**19  # of a box that is tried whole where its lots are dear
_NEAR = 4**6  # enumerated around what an integer program found
_CHUNK = 4096
_MOST_ROUNDS = 25  # each makes the program exact where its last answer was
_MOST_BRANCHES = 100
_CLOSE = 1e-3  # of the price of lots: a saving not looked for with many legs
_EXACT = 1e-6  # and with few
_TIE, _ROUNDING = 1e-11, 1e-15  # of what a list is worth, and of the risk it hedges: smaller differences are rounding
_DEAR = 0.02  # of the objective: lots that cost more are looked for further away
_SLACK = 1e-6  # of a distance in lots
_WORTH = 1e-6  # of the objective's size before: nothing less is looked for

Rank = tuple[float, ...]


class _Best:
    """The best of the points seen: with the least excess beyond the bands, and among those within half a lot.

    Equal ones by the objective, then the fewest lots, then the order of the legs' names.
    """

    def __init__(self, around: Neighbourhood, legs: Array, like: Array) -> None:
        self._around, self._legs = around, legs
        # what rounding leaves open: of what such a list is worth, and of a large risk before that it hedges
        p = around.program
        scale = scale_of(p, like)
        own = max(scale - p.start_risk, 0.0)
        self.tick = max(_TIE * own, _ROUNDING * np.sqrt(scale * own), _ROUNDING**2 * scale, 1e-300)
        self.nearest: tuple[Rank, Array | None] = ((np.inf,), None)
        self.within: tuple[Rank, Array | None] = ((np.inf,), None)

    def see(self, points: Array) -> None:
        """Points, M x n contracts, permitted lots."""
        around = self._around
        lots = np.round(around.grid.lots(points))
        for name, room in (("nearest", np.zeros(len(around.units))), ("within", around.allowance(lots))):
            excess, value = around.points(points, room)
            traded = lots[:, self._legs].T
            keys = [np.round(excess, 9), np.round(value / self.tick), np.abs(traded).sum(axis=0), *traded]
            first = int(np.lexsort(keys[::-1])[0])
            rank = tuple(float(key[first]) for key in keys)
            if rank < getattr(self, name)[0] and (name == "nearest" or rank[0] == 0):
                setattr(self, name, (rank, points[first].copy()))

    @property
    def met(self) -> bool:
        """Whether a point was seen that meets every band."""
        return self.nearest[0][0] == 0

    @property
    def answer(self) -> Array:
        """By the rule of this module."""
        nearest, within, p = self.nearest[1], self.within[1], self._around.program
        assert nearest is not None, "a point was seen"
        if within is None:
            return nearest
        if not self.met:
            return within
        dearer = objective(p, nearest) - objective(p, within)
        cost = float(p.trading(within - p.start).sum())
        return within if dearer > cost + self.tick else nearest


def best_lots(
    around: Neighbourhood, centre: Array, begins: Sequence[Array], multipliers: Array | None = None, share: float = 1.0
) -> Array | None:  # fmt: skip
    """The best permitted point of the box by the rule of this module; None where the legs are more than eight.

    centre   a continuous optimum (n contracts): columns without a choice of lots keep its quantities
    begins   permitted points to start from
    multipliers  m, where centre is this Program's optimum: they bound how far away a better list may be
    share    of the work that integer programs may cost
    """
    grid, p = around.grid, around.program
    legs = np.flatnonzero(grid.lumpy)
    if len(legs) > MOST_LEGS or ((grid.lot == 0) & (p.lower < p.upper)).any():
        return None
    legs = legs[np.argsort(np.array(p.columns)[legs], kind="stable")]  # the order of instruments decides nothing
    best = _Best(around, legs, begins[0])
    for point in begins:
        best.see(point[None])
    if _look_nearby(around, centre, legs, best, _POINTS):
        return best.answer
    if len(legs) <= _SURE or _dear(around, centre, best.answer):
        _look_far_away(around, centre, legs, best, multipliers, share)
    return best.answer


def _dear(around: Neighbourhood, centre: Array, answer: Array) -> bool:
    p = around.program
    value = objective(p, answer)
    price = value - objective(p, centre)
    beyond = row_violations(p, answer)[around.hard]
    return bool((beyond > 0).any() or price > max(_DEAR * abs(value), _WORTH * scale_of(p, p.start)))


def _look_nearby(around: Neighbourhood, centre: Array, legs: Array, best: _Best, most: int) -> bool:
    """Every choice in a window of lots around `centre`; whether that was all there is."""
    grid = around.grid
    low, high = _window(np.floor(grid.lots(centre)[legs]), grid.low[legs], grid.high[legs], most)
    seen = _look_between(around, centre, legs, best, low, high)
    return seen and bool((low <= grid.low[legs]).all() and (high >= grid.high[legs]).all())


def _look_between(around: Neighbourhood, centre: Array, legs: Array, best: _Best, low: Array, high: Array) -> bool:
    """Every choice between so many lots of each leg; whether there was time for all."""
    grid = around.grid
    choices = []  # quantities of each leg; below the minimum size a trade snaps to none or to the minimum
    for leg, first, last in zip(legs, low, high, strict=True):
        window = first + np.arange(last - first + 1)
        choices.append(grid.start[leg] + grid.lot[leg] * np.unique(grid.nearest(window, np.full(len(window), leg))))
    shape = tuple(len(quantities) for quantities in choices)
    count = int(np.prod(shape))
    for begin in range(0, count, _CHUNK):
        if around.left <= 0:
            return False
        index = np.arange(begin, min(begin + _CHUNK, count))
        points = np.repeat(centre[None], len(index), axis=0)
        for leg, quantities, at in zip(legs, choices, np.unravel_index(index, shape) if shape else (), strict=True):
            points[:, leg] = quantities[at]
        best.see(points)
    return True


def _reach(
    around: Neighbourhood, centre: Array, legs: Array, best: _Best, multipliers: Array
) -> tuple[Array, Array]:  # fmt: skip
    """First and last lot of each leg of any list that could be the answer, where centre and multipliers prove it.

    With Q the curvature of the legs, no list within its allowance is worth less than the bound of centre, less that
    allowance at the multipliers' price, and 1/2 e'Q e more, e its distance from where the Lagrangian is least.
    """
    p, grid, within = around.program, around.grid, best.within[1]
    assert within is not None
    root, lot = around.root[:, legs] * grid.lot[legs], grid.lot[legs]
    curved = root.T @ root + np.diag((p.diagonal + 2 * p.quadratic)[legs] * lot**2)
    low, high = grid.low[legs], grid.high[legs]
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(curved))
    except np.linalg.LinAlgError:
        return low, high
    spread = (inverse**2).sum(axis=0)
    m = clip_multipliers(p, multipliers)
    gap, least = dual_gap(p, centre, m), objective(p, centre)
    value, nearest = objective(p, within), best.nearest[1]
    room = float(np.abs(m[around.hard]) @ around.exposure.max(axis=1, initial=0.0)[around.hard]) / 2
    met = value + float(p.trading(within - p.start).sum())  # a list that meets its bands is no answer above this
    if best.met and nearest is not None:
        met = min(met, objective(p, nearest))
    above = max(met, value + room) - least + gap.total + best.tick
    far = (np.sqrt(2 * max(above, 0.0) * spread) + np.sqrt(2 * gap.columns.sum() * spread)) * (1 + _SLACK) + _SLACK
    wanted = grid.lots(centre)[legs]
    return np.maximum(low, np.ceil(wanted - far)), np.minimum(high, np.floor(wanted + far))


def _window(below: Array, low: Array, high: Array, most: int) -> tuple[Array, Array]:
    """First and last lot of each leg: equally many on every side of the centre, as many as `most` points allow."""

    def reach(lots: float) -> tuple[Array, Array]:
        return np.clip(below + 1 - lots, low, high), np.clip(below + lots, low, high)

    fits, lots = 1.0, float(max((high - low).max(initial=1.0), 1.0)) + 2  # one more than reaches every end
    while lots - fits > 1:
        middle = np.floor((fits + lots) / 2)
        first, last = reach(middle)
        small = float(np.prod(last - first + 1)) <= most
        fits, lots = (middle, lots) if small else (fits, middle)
    return reach(fits)


@dataclass
class _Search:
    """Integer programs over parts of the box; `nodes` are what is left to spend on their trees."""

    around: Neighbourhood
    centre: Array
    legs: Array
    best: _Best
    share: float
    nodes: int = 0

    def afresh(self) -> _Search:
        """The same with all nodes left."""
        self.nodes = int(self.share * MOST_NODES)
        return self

    def least_excess(self) -> None:
        """The point of the whole box that ends least beyond its bands, with the least objective nearby."""
        program, zero = LotProgram(self.around, self.centre, self.legs), np.zeros(len(self.around.units))
        for _ in range(_MOST_ROUNDS):
            found, said, used = program.least(self.nodes)
            self.nodes -= used
            if found is None:
                break
            self.best.see(found[None])
            if self.around.excess_at(found, zero) - said <= _CLOSE or self.nodes <= 0:
                break
            program.refine(found)
        nearest = self.best.nearest[1]
        if nearest is not None:
            _look_nearby(self.around, nearest, self.legs, self.best, _POINTS)

    def cheapest(self, room: Array, low: Array, high: Array, bound: float) -> Array | None:
        """The least objective within `room` (m, desk unit) and lots low to high of each leg; None: none below bound."""
        p, grid, close = self.around.program, self.around.grid, _EXACT if len(self.legs) <= _SURE else _CLOSE
        centre, free = self.centre.copy(), low < high
        fixed = self.legs[~free]
        centre[fixed] = grid.start[fixed] + grid.lot[fixed] * low[~free]
        if not free.any():
            return centre if self.around.excess_at(centre, room) == 0 else None
        program = LotProgram(self.around, centre, self.legs[free], room=room, low=low[free], high=high[free])
        floor, value, answer = objective(p, centre), np.inf, None
        scale = max(abs(bound - floor) if np.isfinite(bound) else abs(floor), self.best.tick)
        for _ in range(_MOST_ROUNDS):
            found, said, used = program.least(self.nodes, scale, close)
            self.nodes -= used + 1
            if found is None:
                break
            if self.around.excess_at(found, room) == 0 and objective(p, found) < value:
                value, answer = objective(p, found), found
            if (min(value, bound) - floor) / scale - said <= close or self.nodes <= 0:
                break
            program.refine(found)
        return answer

    def within_half_a_lot(self) -> None:
        """The least objective of points within their own allowance, which is less the finer the legs they trade.

        A part of the box is searched with the room of the finest leg known to trade. Where its best trades a finer one
        and needs more than that leaves, the part is split: that leg is not traded, bought or sold.
        """
        around, grid, legs = self.around, self.around.grid, self.legs
        parts = [(grid.low[legs], grid.high[legs])]
        for _ in range(int(np.ceil(self.share * _MOST_BRANCHES))):
            if not parts or self.nodes <= 0:
                return
            low, high = parts.pop()
            within = self.best.within[1]
            bound = np.inf if within is None else objective(around.program, within)
            found = self.cheapest(self._room(low, high), low, high, bound)
            if found is None or objective(around.program, found) >= bound:
                continue
            self.best.see(found[None])
            lots = np.round(grid.lots(found))
            if around.excess_at(found, around.allowance(lots)) == 0:
                continue
            open_legs = np.flatnonzero((low <= 0) & (high >= 0) & (low < high))
            short = np.flatnonzero(around.allowance(lots) < self._room(low, high))
            split = min(
                open_legs, key=lambda k: (lots[legs[k]] == 0, around.exposure[short, legs[k]].min(initial=np.inf))
            )
            parts += _parts(low, high, int(split), float(grid.least[legs[split]]))

    def _room(self, low: Array, high: Array) -> Array:
        """The most that any point of a part may end beyond each band (m, desk unit)."""
        around, lots = self.around, np.zeros(len(self.around.grid.lot))
        sure = (low > 0) | (high < 0)
        lots[self.legs[sure]] = 1.0
        room = around.allowance(lots)
        certain = ((around.exposure > 0) & (lots != 0)).any(axis=1)
        single = np.zeros((len(self.legs), len(lots)))
        single[np.arange(len(self.legs)), self.legs] = (low < 0) | (high > 0)
        return np.where(certain, room, around.allowance(single).max(axis=1, initial=0.0))


def _parts(low: Array, high: Array, leg: int, least: float) -> list[tuple[Array, Array]]:
    """A part of the box in three: `leg` bought, sold, or not traded; without the empty ones."""
    parts = []
    for first, last in ((max(low[leg], least), high[leg]), (low[leg], min(high[leg], -least)), (0.0, 0.0)):
        if first <= last:
            lower, upper = low.copy(), high.copy()
            lower[leg], upper[leg] = first, last
            parts.append((lower, upper))
    return parts


def _look_far_away(
    around: Neighbourhood, centre: Array, legs: Array, best: _Best, multipliers: Array | None, share: float
) -> None:  # fmt: skip
    """The whole box, tried whole or by integer programs: bands met, or within half a lot, or missed least."""
    low, high, zero = around.grid.low[legs], around.grid.high[legs], np.zeros(len(around.units))
    if np.prod(high - low + 1) <= _WHOLE:
        _look_nearby(around, centre, legs, best, _WHOLE)
        return
    if multipliers is not None and best.within[1] is not None:
        low, high = _reach(around, centre, legs, best, multipliers)
        if np.prod(high - low + 1) <= _POINTS:
            _look_between(around, centre, legs, best, low, high)
            return
    search = _Search(around, centre, legs, best, share)
    nearest = best.nearest[1]
    bound = objective(around.program, nearest) if best.met and nearest is not None else np.inf
    found = search.afresh().cheapest(zero, low, high, bound)
    if found is not None:
        best.see(found[None])
        _look_nearby(around, found, legs, best, _NEAR)
    search.afresh().within_half_a_lot()
    if not best.met and best.within[1] is None:
        search.afresh().least_excess()
