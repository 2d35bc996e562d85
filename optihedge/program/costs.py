"""What each column costs to trade and to hold: the pieces of the objective that terms, Programs, proofs and lots share.

Of a column held at h after a trade x from its start:

    buy x+ + sell x- + quadratic x^2 + power |x|^(3/2) + sum of its depth hinges + long h+ + short h- + linear h
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any

import numpy as np

from optihedge.program.arrays import Array, frozen

_ABSENT: Any = None
_TINY = 1e-300  # curvature of a column without any
_MANY = 1 << 18  # sizes times hinges: beyond it those of a column are summed once, in order


@dataclass(frozen=True, eq=False, kw_only=True)
class Depth:
    """Convex piecewise-linear cost of trading: hinge j costs slope_j x max(side_j x trade - beyond_j, 0).

    column  p integers, side +1 (buying) or -1 (selling), beyond >= 0 contracts, slope >= 0 base currency per contract
    """

    column: Array
    side: Array
    beyond: Array
    slope: Array

    @classmethod
    @cache
    def none(cls) -> Depth:
        """No hinges."""
        nothing = np.zeros(0)
        return cls(column=nothing, side=nothing, beyond=nothing, slope=nothing)

    def __post_init__(self) -> None:
        for name, kind in (("column", int), ("side", float), ("beyond", float), ("slope", float)):
            object.__setattr__(self, name, frozen(np.array(getattr(self, name), dtype=kind)))

    def plus(self, other: Depth) -> Depth:
        """Both books' hinges."""
        if not (len(self.column) and len(other.column)):
            return self if len(self.column) else other
        return Depth(**{f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(Depth)})

    def renumbered(self, to: Array) -> Depth:
        """Hinges of the columns that `to` (integers by column; -1: left out) keeps, under their new numbers."""
        if not len(self.column):
            return self
        column = to[self.column]
        kept = column >= 0
        return Depth(column=column[kept], side=self.side[kept], beyond=self.beyond[kept], slope=self.slope[kept])


@dataclass(frozen=True, eq=False, kw_only=True)
class Costs:
    """Costs of n columns, base currency per contract (quadratic: squared; power: to the 3/2). See the module."""

    buy: Array = _ABSENT
    sell: Array = _ABSENT
    quadratic: Array = _ABSENT
    power: Array = _ABSENT
    depth: Depth = _ABSENT
    long: Array = _ABSENT
    short: Array = _ABSENT
    linear: Array = _ABSENT

    @classmethod
    def of(cls, size: int, **pieces: Any) -> Costs:
        """Costs of `size` columns: the given pieces, one number for all columns or an array; nothing else."""
        none = {name: np.zeros(size) for name in PIECES} | {"depth": Depth.none()}
        given = {name: v if name == "depth" else np.broadcast_to(v, size) for name, v in pieces.items()}
        return Costs(**none | given)

    @property
    def pieces(self) -> dict[str, Any]:
        """The fields of Costs by name."""
        return {field.name: getattr(self, field.name) for field in fields(Costs)}

    def plus(self, other: Costs) -> Costs:
        """Both charges."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in PIECES}
        return Costs(**sums, depth=self.depth.plus(other.depth))

    def over(self, columns: Array, size: int) -> Costs:
        """The costs of those columns (integers) as the first of `size` columns; the others cost nothing."""
        if len(columns) == len(self.buy) == size:  # all of them, in order
            return self
        to = np.full(len(self.buy), -1)
        to[columns] = np.arange(len(columns))
        tail = np.zeros(size - len(columns))
        picked = {name: np.concatenate([getattr(self, name)[columns], tail]) for name in PIECES}
        return Costs(**picked, depth=self.depth.renumbered(to))

    def trading(self, x: Array, column: Array | None = None) -> Array:
        """Cost of trades x (contracts): of all columns in order, or of `column` (integers of x's shape)."""
        buy, sell, quadratic = _of(self.buy, column), _of(self.sell, column), _of(self.quadratic, column)
        cost = buy * np.maximum(x, 0.0) + sell * np.maximum(-x, 0.0) + quadratic * (x * x)
        if self.powered:
            cost = cost + _of(self.power, column) * np.abs(x) ** 1.5
        return cost + self._walked(x, column) if len(self.depth.column) else cost

    def holding(self, h: Array, column: Array | None = None) -> Array:
        """Cost of holding quantities h over the horizon: of all columns in order, or of `column`."""
        long, short = _of(self.long, column), _of(self.short, column)
        return long * np.maximum(h, 0.0) + short * np.maximum(-h, 0.0)

    def by_contract(self, before: Array, after: Array) -> Array:
        """Cost of going from quantities before to after (n) and holding them, linear part included."""
        return self.trading(after - before) + self.holding(after) + self.linear * after

    def slopes(self, before: Array, at: Array) -> tuple[Array, Array]:
        """What one contract more costs just below and just above quantities `at`, n each; the linear part left out."""
        x, d = at - before, self.depth
        smooth = 2 * self.quadratic * x + 1.5 * self.power * np.sign(x) * np.sqrt(np.abs(x))
        beyond = d.side * x[d.column] - d.beyond

        def side(bought: Array, held: Array, reached: Array) -> Array:
            kinks = np.where(bought, self.buy, -self.sell) + np.where(held, self.long, -self.short)
            if not len(d.column):
                return smooth + kinks
            return smooth + kinks + np.bincount(d.column[reached], (d.side * d.slope)[reached], len(x))

        below = side(x > 0, at > 0, (beyond > 0) | ((beyond == 0) & (d.side < 0)))
        return below, side(x >= 0, at >= 0, (beyond > 0) | ((beyond == 0) & (d.side > 0)))

    def minimiser(self, before: Array, slope: Array, curvature: Array, lower: Array, upper: Array) -> Array:
        """Per column, the t in [lower, upper] with the least slope t + curvature / 2 t^2 + these costs at t.

        The linear part is left out (it is part of `slope`). Convex, so the slope only rises: find the piece between
        two kinks on which it passes zero.
        """
        if not (len(self.depth.column) or self.powered):
            return self._of_two_kinks(before, slope, curvature, lower, upper)
        at, jump = self._kinks(before)
        left = slope - self.short - self.sell
        selling = self.depth.side < 0
        left -= np.bincount(self.depth.column[selling], self.depth.slope[selling], len(left))
        slopes = left + np.vstack([np.zeros_like(left), np.cumsum(jump, axis=0)])
        still = self.stationary(before, slopes, curvature)
        piece = np.argmax(still <= np.vstack([at, np.full_like(left, np.inf)]), axis=0)
        column = np.arange(len(left))
        previous = np.vstack([np.full_like(left, -np.inf), at])[piece, column]
        return np.clip(np.maximum(still[piece, column], previous), lower, upper)

    def _of_two_kinks(self, before: Array, slope: Array, curvature: Array, lower: Array, upper: Array) -> Array:
        """The same where slopes jump at the start and at zero only: each piece's own point, kept between its kinks."""
        bend, pull = np.maximum(curvature + 2 * self.quadratic, _TINY), 2 * self.quadratic * before - slope
        inner = np.where(before > 0, self.sell - self.long, self.short - self.buy)
        with np.errstate(over="ignore"):
            t = np.maximum((pull - self.buy - self.long) / bend, np.maximum(before, 0.0))
            t = np.maximum(np.minimum((pull + inner) / bend, t), np.minimum(before, 0.0))
            t = np.minimum((pull + self.sell + self.short) / bend, t)
        return np.minimum(np.maximum(t, lower), upper)

    def stationary(self, before: Array, slope: Array, curvature: Array) -> Array:
        """The t where slope + curvature t + d/dt(quadratic x^2 + power |x|^(3/2)) = 0, x = t - before; -+inf if none.

        Slopes may have leading axes before the columns'.
        """
        return before + resting_trade(slope + curvature * before, curvature + 2 * self.quadratic, self.power)

    def with_sizes(self, on_trades: Array, on_holdings: Array) -> Costs:
        """These costs with weights of |trade| and |quantity|, as rows add them; without the linear part."""
        made = Costs(
            buy=self.buy + on_trades, sell=self.sell + on_trades, quadratic=self.quadratic, power=self.power,
            depth=self.depth, long=self.long + on_holdings, short=self.short + on_holdings,
            linear=np.zeros(self.linear.shape),
        )  # fmt: skip
        made.__dict__["powered"] = self.powered
        return made

    @cached_property
    def powered(self) -> bool:
        """Whether any power is not zero."""
        return bool(self.power.any())

    @cached_property
    def hinge_table(self) -> tuple[Array, Array, Array]:
        """Hinges of each column side by side, n x (most of one column): side, beyond, slope (0 where none)."""
        d = self.depth
        order = np.argsort(d.column, kind="stable")
        column = d.column[order]
        place = np.arange(len(column)) - np.searchsorted(column, column)
        padded = np.zeros((3, len(self.buy), int(place.max(initial=-1)) + 1))
        for table, values in zip(padded, (d.side, d.beyond, d.slope), strict=True):
            table[column, place] = values[order]
        return padded[0], padded[1], padded[2]

    def _walked(self, x: Array, column: Array | None) -> Array:
        d = self.depth
        if column is None:
            return np.bincount(d.column, d.slope * np.maximum(d.side * x[d.column] - d.beyond, 0), len(x))
        if x.size * self.hinge_table[0].shape[1] > _MANY:  # points of few columns with long order books
            walked = np.zeros(x.shape)
            for own in np.unique(d.column):
                at = column == own
                walked[at] = self._walked_in(int(own), x[at])
            return walked
        side, beyond, slope = (table[column] for table in self.hinge_table)
        return (slope * np.maximum(side * x[..., None] - beyond, 0)).sum(axis=-1)

    def _walked_in(self, own: int, x: Array) -> Array:
        """Hinges of one column at sizes x: those that a size is beyond are a head of them in order, summed once."""
        walked = np.zeros(len(x))
        for side in (1.0, -1.0):
            mine = (self.depth.column == own) & (self.depth.side == side)
            order = np.argsort(self.depth.beyond[mine], kind="stable")
            beyond, slope = self.depth.beyond[mine][order], self.depth.slope[mine][order]
            head = np.searchsorted(beyond, side * x)
            slopes, offsets = np.append(0.0, np.cumsum(slope)), np.append(0.0, np.cumsum(slope * beyond))
            walked += slopes[head] * side * x - offsets[head]
        return walked

    def _kinks(self, before: Array) -> tuple[Array, Array]:
        """Per column (second axis), sorted: where the slope jumps, and by how much. Padded with inf, 0."""
        n, d = len(before), self.depth
        width = int(np.bincount(d.column, minlength=1).max()) if len(d.column) else 0
        at, jump = np.full((2 + width, n), np.inf), np.zeros((2 + width, n))
        at[0], jump[0] = 0.0, self.long + self.short
        at[1], jump[1] = before, self.buy + self.sell
        if width:
            order = np.argsort(d.column, kind="stable")
            column = d.column[order]
            place = 2 + np.arange(len(column)) - np.searchsorted(column, column)
            at[place, column] = before[column] + (d.side * d.beyond)[order]
            jump[place, column] = d.slope[order]
        order = np.argsort(at, axis=0, kind="stable")
        return np.take_along_axis(at, order, axis=0), np.take_along_axis(jump, order, axis=0)


def _of(piece: Array, column: Array | None) -> Array:
    return piece if column is None else piece[column]


def resting_trade(push: Array, bend: Array, power: Array) -> Array:
    """The x where push + bend x + d/dx power |x|^(3/2) = 0, by a quadratic in sqrt|x|; -+inf where there is none."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        root = 2 * np.abs(push) / (1.5 * power + np.sqrt(2.25 * power**2 + 4 * bend * np.abs(push)))
        trade = np.where(power > 0, -np.sign(push) * root**2, -push / bend)
    return np.where(push == 0, np.where(bend > 0, 0.0, -np.inf), trade)


PIECES = tuple(field.name for field in fields(Costs) if field.name != "depth")
