"""From rough multipliers to machine precision: semismooth Newton on the concave dual of the coordinates.

For multipliers V every column's minimiser t(V) has a closed form (prox.py), and the dual

    D(V) = sum of the columns' minima - sum (high V+ - low V-) - 1/2 sum compliance V^2,    least <= V <= most

has the gradient r(t(V)) - (the limit pushed on) - compliance V. Its generalised Hessian is the Newton system with the
response of the columns that lie inside a piece; those at a kink or a bound do not respond, and stay there exactly.
Rows that push on no limit leave the system (primal-dual active set), and the step is searched on D, which costs O(n).

A column of (nearly) no curvature has no single minimiser: a proximal term around the last answer gives it one, and the
centre follows the answer (Rockafellar 1976; Hintermueller, Ito and Kunisch 2002).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from optihedge.program.structured.newton_system import NewtonSystem
from optihedge.program.structured.proof import Proof, prove
from optihedge.program.structured.prox import cost, minimiser, response
from optihedge.program.structured.standard_form import StandardForm

Array = np.ndarray

PROXIMAL = 1e-5  # least curvature of a column, in the form's units
_LEAST_PROXIMAL = 1e-10
_ROUNDING = 1e-14  # of a coordinate's size
_NEAR = 1e-9  # likewise: so near that no kink lies between, where the dual is quadratic
_TRUST = 0.3  # the first step's largest change of a row's multiplier, share of the largest multiplier
_CRAWL = 0.02  # three steps in a row shorter than this share of Newton's lead nowhere
_STOPS = 2  # times that one step may be shortened for rows at their limits
_APART = 1e20  # compliance of a coordinate that leaves the system


@dataclass(frozen=True, eq=False)
class Point:
    """An answer and its proof."""

    h: Array
    V: Array
    proof: Proof


@dataclass(frozen=True, eq=False)
class _Trial:
    """The columns' answer to multipliers V: minimisers, coordinates' values, the dual's value."""

    V: Array
    hinge_slopes: Array
    t: Array
    r: Array
    dual: float


class _Dual:
    """The dual with a proximal term around `centre`."""

    def __init__(self, form: StandardForm, centre: Array, proximal: float) -> None:
        self.form = form
        extra = np.maximum(proximal - form.curvature, 0.0)
        self.curvature = form.curvature + extra
        self.slope = form.slope - extra * centre
        self.moving = bool(extra.any())

    def at(self, V: Array) -> _Trial:
        form = self.form
        slope, hinge_slopes = self.slope + form.adjoint(V), form.hinge_slopes(V)
        t = minimiser(form, slope, hinge_slopes, self.curvature)
        v = form.open_hinges(t)
        support = V @ np.where(V > 0, form.high, np.where(V < 0, form.low, 0.0))
        dual = cost(form, t, slope, hinge_slopes, self.curvature, v) - float(support + 0.5 * form.compliance @ (V * V))
        return _Trial(V, hinge_slopes, t, form.values(t, v), dual)


def polish_point(form: StandardForm, system: NewtonSystem, h: Array, V: Array, floor: float, *, tolerance: float,
                 steps: int, stop: float) -> Point:  # fmt: skip
    """The best point found from (h, V), itself included, in at most `steps` Newton steps.

    `floor`: proof.scale_floor(form). Ends once the proof passes `tolerance` or stops improving.
    """
    best, taken, proximal = None, 0, PROXIMAL
    start, centre, last = (h, V), h, np.inf
    while taken < steps and proximal <= 10.0:
        dual = _Dual(form, centre, proximal)
        h, found, used, settled = _ascend(dual, system, V, steps - taken, stop)
        taken += used
        point = Point(h, found, prove(form, h, found, floor))
        if best is None and not point.proof.exact(tolerance):
            best = Point(*start, prove(form, *start, floor))
        if best is None or point.proof.badness < best.proof.badness:
            best = point
        if best.proof.exact(tolerance) or time.perf_counter() > stop or not dual.moving:
            break
        if settled and point.proof.badness <= 0.5 * last:
            centre, V, last = h, found, point.proof.badness
        elif settled:  # the centre no longer moves: let what little curvature there is decide, once
            if proximal <= _LEAST_PROXIMAL:
                break
            centre, V, proximal, last = h, found, _LEAST_PROXIMAL, np.inf
        else:
            centre, V, proximal, last = best.h, best.V, 100 * proximal, np.inf
    return best if best is not None else Point(*start, prove(form, *start, floor))


def _ascend(dual: _Dual, system: NewtonSystem, V: Array, steps: int, stop: float) -> tuple[Array, Array, int, bool]:
    """Newton steps from V until only rounding is left: (h, V, steps, whether it got there)."""
    form = dual.form
    least, most = form.multiplier_bounds
    row, band, powered = form.compliance == 0, form.low < form.high, form.powered
    reach, lengths = _reach(form, 1.0 / dual.curvature), form.lengths
    trial, trust, crawling = dual.at(V), _TRUST * max(np.abs(V).max(), 1e-3), 0
    factored: tuple[Array, ...] | None = None  # the sets that the system's factors belong to
    light = False  # whether these were made with next to no damping
    for step in range(steps + 1):
        V, t = trial.V, trial.t
        active, gradient, shift = _active(form, V, trial.r, reach, least, most)
        free = response(form, t, trial.hinge_slopes, dual.curvature)
        opened = form.hinges.sign * (t[form.hinges.column] - form.hinges.at) > 0
        sets = active, free > 0, opened
        same = factored is not None and all(np.array_equal(a, b) for a, b in zip(factored, sets, strict=True))
        if same:
            size = lengths * np.sqrt(t @ t) + system.diagonal * np.abs(V).max()
            if (np.abs(gradient) <= (_NEAR if light and not powered else _ROUNDING) * size).all():
                change = np.where(active, system.solve(gradient), 0.0)  # the pieces hold: the model's answer is exact
                moved = t - free * system.adjoint(change)
                inside = (free > 0) & (moved > form.lower) & (moved < form.upper)
                return np.where(inside, moved, t), np.clip(V + change, least, most), step, True
        if step == steps or time.perf_counter() > stop:
            break
        # a row changes sides only by way of zero, where its dual has a kink
        side = np.where(band, np.sign(V) + (V == 0) * np.sign(gradient), 0.0)
        lowest, highest = np.where(side > 0, 0.0, least), np.where(side < 0, 0.0, most)
        if same and not powered and light:
            change = system.solve(gradient)
        else:
            damping = row * np.abs(gradient) / trust  # no multiplier moves further than trust
            system.tilt(opened.astype(float))
            step_taken = _newton(system, free, active, gradient, shift, damping, lowest - V, highest - V)
            if step_taken is None:
                break
            change, active = step_taken
            factored, light = (active, *sets[1:]), bool((damping <= 1e-6 * system.diagonal).all())
        found = _search(dual, trial, change, lowest, highest)
        if found is None:
            trust, factored = trust / 100, None
            if trust < 1e-9:
                break
        else:
            trial, length = found
            trust *= 4 if length > 0.5 else 0.5
            crawling = crawling + 1 if length < _CRAWL else 0
            if crawling == 3:
                break
    return trial.t, trial.V, step, False


def _newton(
    system: NewtonSystem, free: Array, active: Array, gradient: Array, shift: Array, damping: Array, down: Array,
    up: Array,
) -> tuple[Array, Array] | None:  # fmt: skip
    """The Newton step of V, where what would pass its limits (down, up) stops there; and what is still active."""
    change = shift
    for _ in range(_STOPS):
        yielding = np.where(active, system.form.compliance + damping, _APART)
        if not any(system.factor(free, yielding, None, regular) for regular in (1e-13, 1e-10, 1e-7, 1e-4)):
            return None
        right = gradient
        if shift.any():
            right = gradient - system.values(free * system.adjoint(shift))
        change = np.where(active, system.solve(np.where(active, right, 0.0)), shift)
        beyond = active & ((change < down) | (change > up))
        if not beyond.any():
            break
        shift, active = np.where(beyond, np.clip(change, down, up), shift), active & ~beyond
    return change, active


def predict(form: StandardForm, system: NewtonSystem, h: Array, V: Array) -> Array:
    """Multipliers that fit today's data if every column stays on the piece where h lies and the same rows push.

    One Newton step of the optimality conditions from an earlier answer (h, V); V itself where the dual is no better.
    """
    dual = _Dual(form, h, PROXIMAL)
    least, most = form.multiplier_bounds
    hinge_slopes, v = form.hinge_slopes(V), form.open_hinges(h)
    free = response(form, h, hinge_slopes, dual.curvature)
    if not free.any():  # every column lies at a kink, as where the earlier answer is today's start
        return V
    opened = (v > 0).astype(float)
    slope = dual.slope + dual.curvature * h + form.adjoint(V)
    slope += np.bincount(form.hinges.column, form.hinges.sign * opened * hinge_slopes, len(h))
    if form.powered:
        slope += 1.5 * form.power * np.sign(h - form.start) * np.sqrt(np.abs(h - form.start))
    pushing = (form.compliance > 0) | ((V != 0) & (least < V) & (most > V))
    gradient = form.values(h, v) - np.where(V < 0, form.low, np.where(pushing, form.high, 0.0)) - form.compliance * V
    system.tilt(opened)
    if not system.factor(free, np.where(pushing, form.compliance, _APART), None, 1e-12):
        return V
    right = np.where(pushing, gradient - system.values(free * slope), 0.0)
    ahead = np.clip(V + np.where(pushing, system.solve(right), 0.0), least, most)
    return ahead if dual.at(ahead).dual > dual.at(V).dual else V


def _active(form: StandardForm, V: Array, r: Array, reach: Array, least: Array, most: Array,
            ) -> tuple[Array, Array, Array]:  # fmt: skip
    """Which coordinates the Newton step solves for, their gradient, and where the others go (V to a limit or zero).

    A coordinate pushes on the limit that a Newton step of its own, from V, would lead to.
    """
    own = r - form.compliance * V
    above, below = own - form.high, own - form.low
    to_high, to_low = V + above / reach, V + below / reach
    at_high = (form.low == form.high) | (to_high > 0)
    aim = np.where(at_high, to_high, np.minimum(to_low, 0.0))  # zero where it pushes on neither
    active = (at_high | (to_low < 0)) & (least < aim) & (aim < most)
    end = np.minimum(np.maximum(aim, least), most)
    return active, np.where(active, np.where(at_high, above, below), 0.0), np.where(active, 0.0, end - V)


def _search(dual: _Dual, trial: _Trial, change: Array, least: Array, most: Array) -> tuple[_Trial, float] | None:
    """A trial along `change` near the top of the concave dual, and the share of it taken; None if nothing rises."""
    slack = 1e-13 * (abs(trial.dual) + 1.0)
    climb = _slope(dual, trial, change)
    best, low, high, up, down = None, 0.0, 1.0, climb, 0.0
    length = 1.0
    for _ in range(8):
        other = dual.at(np.minimum(np.maximum(trial.V + length * change, least), most))
        slope = _slope(dual, other, change)
        if other.dual >= trial.dual - slack and (best is None or other.dual >= best[0].dual):
            best = other, length
        if abs(slope) <= 0.3 * abs(climb) or (slope > 0 and length == 1.0):
            break
        if slope > 0:
            low, up = length, slope
        else:
            high, down = length, slope
        if length < 1e-4 or not down < up:
            break
        length = low + (high - low) * np.clip(up / (up - down), 0.02, 0.9)
    return best


def _slope(dual: _Dual, trial: _Trial, change: Array) -> float:
    """Slope of the dual along `change`."""
    form, V, r = dual.form, trial.V, trial.r
    near = np.minimum(np.maximum(r, form.low), form.high)
    side = np.where(V > 0, form.high, np.where(V < 0, form.low, near))
    return float((r - side - form.compliance * V) @ change)


def _reach(form: StandardForm, response: Array) -> Array:
    """How far each row's value moves per unit of its multiplier were all columns to respond, q (1 for factors)."""
    s, reach = form.local.shape[0], np.ones(len(form.low))
    reach[len(reach) - form.row_absolutes.shape[1] :] = response @ form.row_squares
    if s:
        reach[:s] = np.where(form.is_factor[:s], 1.0, form.local.power(2) @ response)
    return np.maximum(reach, 1e-300)
