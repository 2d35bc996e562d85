"""A Program with a user's terms, from outside: an ordinary Program in which tangents stand for the user's functions.

Every convex piece f of the terms is a column t, held above tangents of f. Quantities that meet the user's own limits
meet these rows too, with t = f and at no more cost: the optimum is a lower bound, and so is every dual value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import proves_infeasible
from optihedge.program.duality import clip_multipliers, dual_gap
from optihedge.program.own.pieces import Pieces
from optihedge.program.own.terms import OwnTerms
from optihedge.program.program import Program, objective

_SAME = 1e-12  # of a piece's value: a tangent that rises by less is known
_WIDER = 1e-6  # of the values a piece's tangents take: how much wider its column's box is


class Outer:
    """A Program without its CVXPY terms, their pieces, and the tangents known so far."""

    def __init__(self, plain: Program, pieces: Pieces) -> None:
        self.plain = plain
        self.pieces = pieces
        self.piece = np.zeros(0, int)  # of each tangent
        self.slope = sp.csr_array((0, len(plain.columns)))
        self.offset = np.zeros(0)

    def add(self, values: Array, slopes: sp.csr_array, h: Array) -> Array:
        """Take the tangents at h that are numbers and rise above those known; which pieces have one (a mask)."""
        offset = values - slopes @ h
        sound = np.isfinite(values) & np.isfinite(offset)
        new = np.flatnonzero(sound & ~(values <= self.below(h) + _SAME * np.abs(values)))
        self.piece = np.concatenate([self.piece, new])
        self.slope = sp.csr_array(sp.vstack([self.slope, slopes[new]]))
        self.offset = np.concatenate([self.offset, offset[new]])
        return sound

    def newest(self, pieces: Array, values: Array, slopes: sp.csr_array, h: Array) -> Outer:
        """The same with one tangent, that at h, of these pieces (a mask)."""
        other = Outer(self.plain, self.pieces)
        kept, new = ~pieces[self.piece], np.flatnonzero(pieces)
        other.piece = np.concatenate([self.piece[kept], new])
        other.slope = sp.csr_array(sp.vstack([self.slope[kept], slopes[new]]))
        other.offset = np.concatenate([self.offset[kept], (values - slopes @ h)[new]])
        return other

    def below(self, h: Array) -> Array:
        """The largest tangent of each piece at h."""
        out = np.full(self.pieces.count, -np.inf)
        np.maximum.at(out, self.piece, self.slope @ h + self.offset)
        return out

    def box(self) -> tuple[Array, Array]:
        """Between what each piece's tangents lie, for quantities in their box."""
        p, rising, falling = self.plain, self.slope.maximum(0), self.slope.minimum(0)
        most = rising @ p.upper + falling @ p.lower + self.offset
        least = rising @ p.lower + falling @ p.upper + self.offset
        low, high = np.full(self.pieces.count, -np.inf), np.full(self.pieces.count, -np.inf)
        np.maximum.at(low, self.piece, least)
        np.maximum.at(high, self.piece, most)
        high = np.minimum(high, self._implied(low))
        room = _WIDER * (high - low) + _WIDER * np.abs(high)
        return low - room, high + room

    def _implied(self, low: Array) -> Array:
        """What the user's limits leave of each piece at most, never below `low`: far boxes would blind a solver."""
        p, out = self.plain, np.full(self.pieces.count, np.inf)
        for limit in self.pieces.limits:
            least = limit.constant + limit.slope.maximum(0) @ p.lower + limit.slope.minimum(0) @ p.upper
            left = -(least + limit.weights @ low)
            row, piece = limit.weights.nonzero()
            weight = np.asarray(limit.weights[row, piece]).ravel()
            np.minimum.at(out, piece, low[piece] + np.maximum(left[row], 0.0) / weight)
        return out

    def touched(self, answer: Candidate) -> Candidate:
        """An answer of the outer Program with its pieces' columns on their highest tangents, and tangents' multipliers
        whose sum is each piece's price exactly: a bound then does not depend on how far these columns may go.
        """
        n, m, pieces = len(self.plain.columns), len(self.plain.row_names), self.pieces
        first = m + sum(len(limit.constant) for limit in pieces.limits)
        limits = np.maximum(answer.multipliers[m:first], 0) if first > m else np.zeros(0)
        equal = np.concatenate([np.zeros(0, bool), *(np.full(len(one.constant), one.equal) for one in pieces.limits)])
        limits = np.where(equal, answer.multipliers[m:first], limits)
        price, heights = self.prices(limits), self.slope @ answer.h[:n] + self.offset
        own = np.maximum(answer.multipliers[first:], 0)
        total = np.bincount(self.piece, own, pieces.count)
        order = np.lexsort((heights, self.piece))
        highest = order[np.searchsorted(self.piece[order], np.arange(pieces.count), side="right") - 1]
        own = own * np.where(total > 0, price / np.where(total > 0, total, 1.0), 0.0)[self.piece]
        own[highest[total <= 0]] = price[total <= 0]
        multipliers = np.concatenate([answer.multipliers[:m], limits, own])
        return replace(answer, h=np.append(answer.h[:n], heights[highest]), multipliers=multipliers)

    def prices(self, limits: Array) -> Array:
        """What one unit of each piece counts in the Lagrangian: in the cost, and in the limits by their multipliers."""
        out, first = self.pieces.cost.weights.toarray().ravel(), 0
        for one in self.pieces.limits:
            size = len(one.constant)
            out, first = out + one.weights.T @ limits[first : first + size], first + size
        return out

    def program(self) -> Program:
        """Columns: the Program's, then one a piece. Rows: the Program's, the user's limits, the tangents."""
        p, pieces, count = self.plain, self.pieces, self.pieces.count
        low, high = self.box()
        wide = _widened(p, low, high, np.clip(self.below(np.clip(p.start, p.lower, p.upper)), low, high))
        limits = [sp.hstack([one.slope, one.weights]) for one in pieces.limits]
        at = sp.csr_array(
            (-np.ones(len(self.piece)), (np.arange(len(self.piece)), self.piece)), (len(self.piece), count)
        )
        rows = sp.csr_array(sp.vstack([wide.rows, *limits, sp.hstack([self.slope, at])]))
        upper = np.concatenate([*(-one.constant for one in pieces.limits), -self.offset])
        equal = np.concatenate([*(np.full(len(one.constant), one.equal) for one in pieces.limits), 0 * self.offset])
        more = len(upper)
        none = sp.csr_array((more, rows.shape[1]))
        pad = lambda v, value: np.append(v, np.full(more, value))  # noqa: E731
        linear = wide.linear + np.append(pieces.cost.slope.toarray().ravel(), pieces.cost.weights.toarray().ravel())
        return replace(
            wide, linear=linear, constant=p.constant + float(pieces.cost.constant[0]), rows=rows,
            row_names=(*p.row_names, *(f"own:{i}" for i in range(more))),
            rows_on_holdings=sp.csr_array(sp.vstack([wide.rows_on_holdings, none])),
            rows_on_trades=sp.csr_array(sp.vstack([wide.rows_on_trades, none])),
            row_lower=np.append(p.row_lower, np.where(equal, upper, -np.inf)), row_upper=np.append(p.row_upper, upper),
            row_penalty=pad(p.row_penalty, np.inf), row_tier=pad(p.row_tier, -1.0), row_fixed=pad(p.row_fixed, 0.0),
            row_limit=pad(p.row_limit, 0.0),
        )  # fmt: skip


def _widened(p: Program, low: Array, high: Array, start: Array) -> Program:
    """The Program with columns that as yet do nothing behind its own."""
    more = len(low)
    none = np.zeros(more)
    pad = lambda v: np.append(v, none)  # noqa: E731
    wide = lambda m: sp.csr_array(sp.hstack([m, sp.csr_array((m.shape[0], more))]))  # noqa: E731
    costs: dict[str, Any] = {name: pad(value) for name, value in p.pieces.items() if name != "depth"}
    return replace(
        p, columns=(*p.columns, *(f"own:{k}" for k in range(more))), start=np.append(p.start, start),
        lower=np.append(p.lower, low), upper=np.append(p.upper, high), lot=pad(p.lot), factors=_beside(p.factors, more),
        specifics=wide(p.specifics), diagonal=pad(p.diagonal), rows=wide(p.rows),
        rows_on_holdings=wide(p.rows_on_holdings), rows_on_trades=wide(p.rows_on_trades),
        volatility_limit=_volatility(p.volatility_limit, more), volatility_price=_volatility(p.volatility_price, more),
        **costs,
    )  # fmt: skip


def _beside(matrix: Array, more: int) -> Array:
    return np.hstack([matrix, np.zeros((len(matrix), more))])


def _volatility(v: Any, more: int) -> Any:
    """A volatility's limit or price over columns that do not move it."""
    if v is None:
        return None
    specifics = sp.csr_array(sp.hstack([v.specifics, sp.csr_array((v.specifics.shape[0], more))]))
    return replace(
        v, factors=_beside(v.factors, more), specifics=specifics, diagonal=np.append(v.diagonal, np.zeros(more))
    )


@dataclass(frozen=True, eq=False)
class OuterProof:
    """Quantities x and multipliers of an outer Program: what they prove under the user's own terms."""

    program: Program  # outer
    own: OwnTerms
    x: Array
    multipliers: Array
    limit_multiplier: float

    def gap(self, p: Program, h: Array) -> tuple[float, float]:
        """How far quantities h of the Program p are from the proved bound, and what the user's terms cost there.

        Base currency; infinite where h misses the user's limits.
        """
        outer, x = self.program, np.clip(self.x, self.program.lower, self.program.upper)
        worth, violation, tolerance = self.own.at(h)
        if (violation > tolerance).any() or not np.isfinite(worth):
            return np.inf, worth
        multipliers = clip_multipliers(outer, self.multipliers)
        bound = objective(outer, x) - dual_gap(outer, x, multipliers, self.limit_multiplier).total
        return objective(p, h) + worth - bound, worth

    def infeasible(self) -> bool:
        """Whether the multipliers prove that no quantities meet the tangents and the other limits."""
        return proves_infeasible(self.program, self.x, clip_multipliers(self.program, self.multipliers),
                                 self.limit_multiplier)  # fmt: skip
