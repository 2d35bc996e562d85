"""Few lines: which columns to trade when each one traded costs a fee, or only so many may be.

Trading is charged a fee per contract that is the larger the smaller a line was (reweighted L1: it majorises a fee per
line), more and more until the lines are few; the rest is solved again without the fee, lines are dropped and exchanged.
The optimum with all lines bounds what any choice can reach.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from optihedge.errors import InfeasibleError
from optihedge.program.arrays import Array
from optihedge.program.aversion import at_answer
from optihedge.program.candidate import Candidate
from optihedge.program.duality import bound_prices, clip_multipliers, column_slopes, dual_gap
from optihedge.program.general.scaling import column_scale
from optihedge.program.narrow import narrowed
from optihedge.program.program import Program, objective, row_violations
from optihedge.program.tolerances import row_tolerances

_TRADED = 1e-9  # of the box: less is no line
_FIRST, _DOUBLINGS = 1e-3, 16  # of the objective's size: the fee that the search begins with, and how often it doubles
_SMALL = 1e-2  # of a usual trade: below it a line is as small as can be
_STIFF = 1e6  # of the largest curvature: how hard rows that bind are held while a loss is estimated
_EXCHANGED = 3  # lines that come back at a time
_SWAPPED = 8  # lines that others are tried in place of
_TRIED = 16  # lines that are tried to be dropped, where the cheapest to do without leaves no answer
_ROUNDS = 10


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines kept (n booleans), an answer that trades them alone, and what it is worth, tickets included."""

    kept: Array
    answer: Candidate
    value: float


def few_lines(
    program: Program, first: Candidate, solve: Callable[[Program, Candidate], Candidate], tickets: Array, *,
    fee: float = 0.0, most: int | None = None,
) -> Lines:  # fmt: skip
    """The best lines found: at most `most` of the columns `tickets` (n booleans) traded, each for `fee` base currency.

    first   the optimum with all lines;  solve  an answer of a Program, begun from another, with quantities that are not
            finite where it has none. Columns that must trade to reach their box are never dropped.

    Raises InfeasibleError where no choice of so few lines was found that meets the limits.
    """
    optional = tickets & (program.lower <= program.start) & (program.start <= program.upper)
    search = _Search(program, first, solve, optional, fee, most, tickets)
    best: Lines | None = None
    for kept in search.path():
        at = search.only(kept)
        while at is not None and not search.few(at):
            at = search.dropped(at)
        best = search.better(best, at)
    if best is None:
        raise InfeasibleError(f"no {most} lines were found that meet the limits; allow more, or loosen a limit")
    for _ in range(_ROUNDS):
        enough = best.value - 1e-9 * abs(best.value)
        other = search.exchanged(best) or best
        if other.value >= enough:
            other = search.swapped(best, enough)
        if other.value >= enough:
            break
        best = other
    return best


@dataclass(frozen=True, eq=False)
class _Search:
    program: Program
    first: Candidate
    solve: Callable[[Program, Candidate], Candidate]
    optional: Array
    fee: float
    most: int | None
    tickets: Array

    def lines(self, answer: Candidate) -> Lines:
        p = self.program
        traded = self.tickets & (np.abs(answer.h - p.start) > _TRADED * np.maximum(p.upper - p.lower, 1e-300))
        return Lines(traded, answer, objective(p, answer.h) + self.fee * float(traded.sum()))

    def few(self, one: Lines) -> bool:
        return self.most is None or one.kept.sum() <= self.most

    def better(self, best: Lines | None, one: Lines | None) -> Lines | None:
        if one is None or not self.few(one):
            return best
        return one if best is None or one.value < best.value else best

    def path(self) -> list[Array]:
        """Lines traded (n booleans) under rising fees that are worth a look: about as many as may be, or as pay."""
        p, first, usual = self.program, self.first, column_scale(self.program)
        size, level = np.abs(first.h - p.start), _FIRST * max(abs(objective(p, first.h)), 1e-12)
        if self.fee > 0:
            level = min(level, self.fee / 2)
        found = [self.lines(first).kept]
        for _ in range(_DOUBLINGS):
            charge = np.where(self.optional, level / (size + _SMALL * usual), 0.0)
            answer = self.solve(replace(p, buy=p.buy + charge, sell=p.sell + charge), first)
            if not np.isfinite(answer.h).all():
                break
            size, level = np.abs(answer.h - p.start), 2 * level
            found.append(self.lines(answer).kept)
            if self.most is not None and found[-1].sum() <= self.most and level > self.fee:
                break
            if self.most is None and level > 8 * self.fee:
                break
        return found[-2:] if self.fee == 0 else found[-5:]

    def only(self, kept: Array) -> Lines | None:
        """The answer that trades none but these; None where there is none."""
        p, still = self.program, self.optional & ~kept
        lower, upper = np.where(still, p.start, p.lower), np.where(still, p.start, p.upper)
        inner, columns = narrowed(replace(p, lower=lower, upper=upper))
        answer = self.solve(inner, self.first.over(p, inner))
        if not np.isfinite(answer.h).all():
            return None
        h = np.clip(p.start, lower, upper)
        h[columns] = np.clip(answer.h, lower[columns], upper[columns])
        beyond = np.isinf(p.row_penalty) & (row_violations(p, h) > 10 * row_tolerances(p, h))
        limit = p.volatility_limit
        if beyond.any() or (limit is not None and limit.volatility(h) > limit.limit * (1 + 1e-6)):
            return None
        return self.lines(replace(answer, h=h))

    def dropped(self, at: Lines) -> Lines | None:
        """The lines left after dropping those cheapest to do without; None where any drop leaves no answer."""
        droppable = np.flatnonzero(at.kept & self.optional)
        order = droppable[np.argsort(losses(self.program, at.answer, at.kept)[droppable], kind="stable")]
        count = min(int(np.ceil((at.kept.sum() - (self.most or 0)) / 4)), len(order))
        while count > 0:
            found = self.without(at, order[:count])
            if found is not None:
                return found
            count //= 2
        return next((found for one in order[1:_TRIED] if (found := self.without(at, one)) is not None), None)

    def without(self, at: Lines, columns: Array) -> Lines | None:
        kept = at.kept.copy()
        kept[columns] = False
        return self.only(kept)

    def exchanged(self, best: Lines) -> Lines | None:
        """The best lines after some that gain most come back and as many of the others go."""
        gain = np.where(best.kept | ~self.optional, 0.0, gains(self.program, best.answer))
        back = np.argsort(-gain, kind="stable")[:_EXCHANGED]
        back = back[gain[back] > 0]
        kept = best.kept.copy()
        kept[back] = True
        at: Lines | None = self.only(kept) if len(back) else None
        found: Lines | None = None
        while at is not None:
            found = self.better(found, at)
            droppable = np.flatnonzero(at.kept & self.optional)
            if at.kept.sum() < best.kept.sum() or not len(droppable):
                break
            at = self.without(at, droppable[losses(self.program, at.answer, at.kept)[droppable].argmin()])
        return found

    def swapped(self, best: Lines, enough: float) -> Lines:
        """The first lines below `enough` that have another in place of one; else the best themselves."""
        droppable = np.flatnonzero(best.kept & self.optional)
        order = np.argsort(losses(self.program, best.answer, best.kept)[droppable], kind="stable")
        for one in droppable[order[:_SWAPPED]]:
            less = self.without(best, one)
            if less is None:
                continue
            gain = np.where(less.kept | ~self.optional, 0.0, gains(self.program, less.answer))
            gain[one] = 0.0
            for other in np.argsort(-gain, kind="stable")[:_EXCHANGED]:
                kept = less.kept.copy()
                kept[other] = True
                found = self.better(None, self.only(kept)) if gain[other] > 0 else None
                if found is not None and found.value < enough:
                    return found
        return best


def losses(program: Program, answer: Candidate, kept: Array) -> Array:
    """What doing without each of the lines kept costs where the others make up for it (n), base currency; an estimate.

    1/2 over the diagonal of the inverse curvature, in units of the trades (what dropping a variable from a quadratic
    optimum costs), with rows that bind held; of a line at its bound also what the bound is worth.
    """
    p, legs, h = at_answer(program, answer.h), np.flatnonzero(kept), answer.h
    trade = (h - p.start)[legs]
    size = np.abs(trade)
    curvature = p.diagonal + 2 * p.quadratic
    curvature += 0.75 * p.power / np.sqrt(np.maximum(np.abs(h - p.start), 1e-300))
    root = np.vstack([p.factors[:, legs], p.specifics[:, legs].toarray()]) * trade
    matrix = root.T @ root + np.diag(curvature[legs] * size**2)
    binding = (answer.multipliers != 0) & np.isinf(p.row_penalty)
    rows = p.rows[np.flatnonzero(binding)][:, legs].toarray() * trade
    rows /= np.maximum(np.abs(rows).max(axis=1, initial=0.0, keepdims=True), 1e-300)
    largest = max(float(matrix.diagonal().max(initial=0.0)), 1e-12)
    matrix += _STIFF * largest * (rows.T @ rows) + 1e-10 * largest * np.eye(len(legs))
    inverse = np.linalg.inv(matrix).diagonal()
    found = np.full(len(h), np.inf)
    found[legs] = 0.5 / np.maximum(inverse, 1e-300)
    prices = bound_prices(p, h, answer.multipliers, answer.limit_multiplier)
    found[legs] += np.abs(prices[legs] * trade)
    return found


def gains(program: Program, answer: Candidate) -> Array:
    """What letting each column at its start trade gains by itself (n), base currency: slope^2 / (2 curvature)."""
    p = at_answer(program, answer.h)
    gap = dual_gap(p, answer.h, clip_multipliers(p, answer.multipliers), max(answer.limit_multiplier, 0.0))
    below, above = column_slopes(p, gap, p.start)
    slope = np.maximum(np.maximum(-above, below), 0.0)
    curvature = p.curvature + 2 * p.quadratic
    reach = np.maximum(p.upper - p.start, p.start - p.lower)
    step = np.minimum(np.divide(slope, curvature, out=reach.copy(), where=curvature > 0), reach)
    return slope * step - 0.5 * curvature * step**2
