"""The structured solver: diagonal plus low rank plus few rows, certified to machine precision, NumPy and SciPy only.

Warm: semismooth Newton from the last multipliers. Cold: interior point, then the same Newton as polish. What does not
converge is asked for its least violation: a Program without an answer is proved to have none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import certify
from optihedge.program.program import RESIDUAL_TOLERANCE, Program
from optihedge.program.status import Status
from optihedge.program.structured.interior_point import InteriorPoint
from optihedge.program.structured.newton_polish import PROXIMAL, Point, polish_point, predict
from optihedge.program.structured.own_variance import with_own_variance
from optihedge.program.structured.primal_system import PrimalSystem, newton_system
from optihedge.program.structured.proof import prove, ray_gap, row_sizes, scale_floor
from optihedge.program.structured.standard_form import StandardForm, rows_prevail, standard_form
from optihedge.program.structured.working_set import by_working_set, worth_a_working_set

_EXACT = 1e-11  # gap aimed at, share of the scale
_ENOUGH = 1e-6  # gap that still counts as optimal
_WARM_STEPS = 15
_ITERATIONS = 100
_FINER = 1e-6  # a second try's smallest position, share of the box
_MANY_ROWS = 300
_LARGEST_MATRIX = 5e7  # entries of the common coordinates
_LARGEST_WORK = 2e10  # multiplications in one factorisation
_LADDER = ((1e-3, 6), (1e-8, 12), (1e-11, 40))  # interior-point tolerance, then Newton steps at most
_FLAT_LADDER = ((1e-7, 6), (1e-9, 20), (1e-11, 40))  # where columns without curvature leave kinks hard to tell
_ROWS_LADDER = ((1e-11, 0), (1e-12, 0), (1e-13, 0), (1e-14, 6))  # where rows prevail, and a step costs less than Newton
_LAST = 6  # Newton steps at least where the interior point goes no further
_ROWS_EXACT = 1e-10  # the gap aimed at there
_LOOKS, _ROOM = 3, 100.0  # second looks, and their boxes in sizes of the largest trade
_ELASTIC_RISK = 1e-12  # share of the curvature that is left while violations are minimised


@dataclass(frozen=True)
class Structured:
    """Interior point and Newton on the k + m coordinates. Declines cones, and what would be slow."""

    name: ClassVar[str] = "structured"

    def solve(self, program: Program, *, deadline: float | None = None, warm: Candidate | None = None) -> Candidate:
        """A candidate that is optimal, infeasible, declined or failed. `deadline`: seconds from now.

        Infeasible: the multipliers prove it (Farkas); h is where the search ended. A warm start of other shape or with
        anything not finite is ignored.
        """
        stop = np.inf if deadline is None else time.perf_counter() + deadline
        with np.errstate(all="ignore"):
            if worth_a_working_set(program):
                usable = warm if warm is not None and _usable(program, warm) else None
                found = by_working_set(program, lambda part, last: _solve(part, stop, last), usable)
                if found is not None:
                    return found
            return _solve(with_own_variance(program), stop, warm)


def polish(program: Program, candidate: Candidate, *, steps: int = 40, deadline: float | None = None) -> Candidate:
    """Any candidate, rough as it may be, brought to machine precision from its multipliers; FAILED if it is not."""
    stop = np.inf if deadline is None else time.perf_counter() + deadline
    with np.errstate(all="ignore"):
        why = _declined(program)
        if why:
            return replace(candidate, status=Status.DECLINED, why=why)
        form = standard_form(program)
        if not len(form.lower):
            return _without_columns(form)
        if not _usable(program, candidate):
            return replace(candidate, status=Status.FAILED, why="not finite, or of another shape")
        best = _Search(form, stop).polish(*form.coordinates(candidate.h, candidate.multipliers), steps)
        return _answer(form, best, "not close enough to polish")


def near(program: Program, *, tolerance: float, deadline: float | None = None) -> Candidate:
    """Where the interior point stands at a tolerance, ROUGH; DECLINED or FAILED as the solver is."""
    stop = np.inf if deadline is None else time.perf_counter() + deadline
    with np.errstate(all="ignore"):
        form = _formed(program)
        if isinstance(form, Candidate):
            return form
        inner = InteriorPoint(form, newton_system(form))
        word = inner.advance(tolerance, stop, _ITERATIONS)
        status = Status.ROUGH if word == "close" else Status.FAILED
        return Candidate(form.quantities(inner.h), form.row_multipliers(inner.V), status, why=word)


def _solve(program: Program, stop: float, warm: Candidate | None) -> Candidate:
    form = _formed(program)
    if isinstance(form, Candidate):
        return form
    if form.work > _LARGEST_WORK:
        return Candidate.none(program, Status.DECLINED, f"{form.work:.0e} products a step")
    search = _Search(form, stop)
    best = None
    if warm is not None and _usable(program, warm):
        h, V = form.coordinates(warm.h, warm.multipliers)
        best = search.polish(h, predict(form, search.system, h, V), _WARM_STEPS)
        if best.proof.exact(_EXACT):
            return _answer(form, best)
    cold, word = search.cold()
    if word == "contradiction":
        return _contradiction(form, cold)
    best = cold if best is None else min(best, cold, key=_badness)
    if best.proof.passes(_ENOUGH) or word == "deadline":
        return _answer(form, best, "deadline" if word == "deadline" else "gap")
    answer = _least_violation(form, best, stop)
    if answer.status is not Status.FAILED:
        return answer
    rough = best
    for _ in range(_LOOKS):
        closer = _closer(form, rough, stop)
        if closer is None:
            break
        found, rough = _answer(form, closer), closer
        if found.status is Status.OPTIMAL:
            return found
    finer = standard_form(program, _FINER)
    again, _ = _Search(finer, stop).cold()
    return _answer(finer, again) if again.proof.passes(_ENOUGH) else answer


def _formed(program: Program) -> StandardForm | Candidate:
    """The standard form; or the answer where it is declined, or decided before any column moves."""
    why = _declined(program)
    if why:
        return Candidate.none(program, Status.DECLINED, why)
    form = standard_form(program)
    return _without_columns(form) if len(form.folded.broken) or not len(form.lower) else form


def _usable(program: Program, candidate: Candidate) -> bool:
    right = np.shape(candidate.h) == program.start.shape and np.shape(candidate.multipliers) == program.row_upper.shape
    return right and bool(np.isfinite(candidate.h).all() and np.isfinite(candidate.multipliers).all())


def _declined(program: Program) -> str:
    if program.cvxpy_terms:
        return "CVXPY terms"
    if program.has_cones:
        return "a volatility's limit or price"
    n, k, _, m = program.size
    wide = (np.diff(program.rows.indptr) > max(n // 8, 2)).sum() + (np.diff(program.specifics.indptr) > n // 8).sum()
    crowded = m > _MANY_ROWS and not rows_prevail(n, m) and program.rows.nnz > 10 * n  # scenario rows, say
    if crowded or (k + wide) * n > _LARGEST_MATRIX:
        return f"{m} rows and {k} factors on {n} columns, most common to all"
    return ""


class _Search:
    """One form, its Newton system, and the time that is left."""

    def __init__(self, form: StandardForm, stop: float) -> None:
        self.form, self.stop = form, stop
        self.system = newton_system(form)
        self.floor = scale_floor(form)

    def point(self, h: Array, V: Array) -> Point:
        """(h, V) with its proof."""
        return Point(h, V, prove(self.form, h, V, self.floor))

    def polish(self, h: Array, V: Array, steps: int) -> Point:
        """The best point from (h, V) in so many Newton steps."""
        return polish_point(self.form, self.system, h, V, self.floor, tolerance=_EXACT, steps=steps, stop=self.stop)

    def cold(self, done: Callable[[Point], bool] | None = None) -> tuple[Point, str]:
        """The best point of the ladder of tolerances, up to one that is `done`; the interior point's last word."""
        inner, points, word = InteriorPoint(self.form, self.system), [], ""
        ladder, exact = self._ladder()
        done = done or (lambda point: point.proof.exact(exact))
        for tolerance, steps in ladder:
            word = inner.advance(tolerance, self.stop, _ITERATIONS)
            if word == "contradiction":
                return self.point(inner.h, inner.V), word
            points.append(self.polish(inner.h, inner.V, steps if word == "close" else max(steps, _LAST)))
            if done(points[-1]) or word != "close":
                break
        best = min(points, key=_badness)
        if best.proof.badness > _ENOUGH:  # where there is nothing to gain, only multipliers of exactly zero prove it
            best = min(best, self.point(best.h, 0 * best.V), key=_badness)
        return best, word

    def _ladder(self) -> tuple[tuple[tuple[float, int], ...], float]:
        if isinstance(self.system, PrimalSystem):
            return _ROWS_LADDER, _ROWS_EXACT
        return _FLAT_LADDER if self.form.curvature.min() < PROXIMAL else _LADDER, _EXACT


def _badness(point: Point) -> float:
    return point.proof.badness


def _closer(form: StandardForm, rough: Point, stop: float) -> Point | None:
    """The optimum in a box of the size of rough trades, with Newton on the whole Program from its multipliers.

    Without risk, a trade far smaller than its box is lost in the rounding of what the box would cost.
    """
    p, columns = form.program, form.folded.columns
    middle = np.clip(p.start, p.lower, p.upper)
    size = (np.abs(form.quantities(rough.h) - middle)[columns] / form.column_scale).max()
    reach = np.zeros_like(middle)
    reach[columns] = _ROOM * size * form.column_scale
    lower, upper = np.maximum(p.lower, middle - reach), np.minimum(p.upper, middle + reach)
    if not 0 < size < np.inf or ((lower == p.lower) & (upper == p.upper)).all():
        return None
    near = standard_form(replace(p, lower=lower, upper=upper))
    point, word = _Search(near, stop).cold()
    if word == "contradiction" or not point.proof.passes(_ENOUGH):
        return None
    at = form.coordinates(near.quantities(point.h), near.row_multipliers(point.V))
    return _Search(form, stop).polish(*at, _LADDER[-1][1])


def _least_violation(form: StandardForm, best: Point, stop: float) -> Candidate:
    """Minimise what the hard rows are missed by: proof that no quantities meet them, or a solve inside tolerance."""
    hard = np.isinf(form.penalty) & (form.compliance == 0)
    if not hard.any():
        return _answer(form, best, "no convergence")
    point, word = _Search(form.elastic(_ELASTIC_RISK), stop).cold(lambda one: ray_gap(form, one.V) > 0)
    if ray_gap(form, point.V) > 0:
        return _contradiction(form, point)
    r = form.values(point.h, form.open_hinges(point.h))
    allowed = np.zeros_like(r)
    allowed[form.compliance == 0] = RESIDUAL_TOLERANCE * row_sizes(form, point.h)
    low, high = np.where(hard, np.minimum(form.low, r), form.low), np.where(hard, np.maximum(form.high, r), form.high)
    missed = np.maximum(form.low - low, high - form.high)
    if word == "deadline" or not missed.any() or (missed > 0.9 * allowed).any():
        return _answer(form, best, f"no convergence ({word})")
    near = replace(form, low=low, high=high)  # the rows contradict each other by less than their tolerances
    inside, word = _Search(near, stop).cold()
    point = Point(inside.h, inside.V, prove(form, inside.h, inside.V, scale_floor(form)))
    return _answer(form, min(best, point, key=_badness), f"no convergence ({word})")


def _answer(form: StandardForm, point: Point, otherwise: str = "gap") -> Candidate:
    """The point as a candidate: optimal where its proof is exact, or holds in the Program's own arithmetic too."""
    candidate = Candidate(form.quantities(point.h), form.row_multipliers(point.V), Status.OPTIMAL)
    if point.proof.exact(_EXACT) or (point.proof.passes(_ENOUGH) and certify(form.program, candidate).optimal):
        return candidate
    return replace(candidate, status=Status.FAILED, why=otherwise)


def _contradiction(form: StandardForm, point: Point) -> Candidate:
    """The hard rows' multipliers as a ray: no quantities in the box meet the limits they weigh."""
    V = np.where(np.isinf(form.penalty) & (form.compliance == 0), point.V, 0.0)
    return Candidate(form.quantities(point.h), form.row_multipliers(V / np.abs(V).max()), Status.INFEASIBLE)


def _without_columns(form: StandardForm) -> Candidate:
    """What is decided before any column moves: broken rows prove themselves, or everything is fixed."""
    p, broken = form.program, form.folded.broken
    multipliers = form.row_multipliers(np.zeros(len(form.low)))
    if len(broken):
        multipliers[:] = 0.0
        multipliers[broken[0]] = form.folded.broken_side[0]
    return Candidate(
        np.clip(p.start, p.lower, p.upper), multipliers, Status.INFEASIBLE if len(broken) else Status.OPTIMAL
    )
