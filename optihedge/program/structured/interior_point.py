"""Cold solve: a primal-dual interior point (Mehrotra) whose step costs one small dense factorisation.

Slacks t > 0 with multipliers z > 0: the box (h - lower, upper - h), each hinge (v >= 0, v >= sign (h - at)), each side
of a row that is an inequality, and the excess of soft sides, whose multiplier completes the side's to its penalty.
Per column h and its hinges are eliminated in closed form; what is left is the Newton system of the coordinates.
The start lies strictly inside the box and the hinges, so only rows and dual slopes have residuals.
Mehrotra (1992), Nocedal and Wright ch. 16.6.
"""

from __future__ import annotations

import time

import numpy as np

from optihedge.program.structured.newton_system import NewtonSystem
from optihedge.program.structured.proof import ray_gap
from optihedge.program.structured.standard_form import StandardForm

Array = np.ndarray

_TO_BOUNDARY = 0.995
_FINE = 1e-2  # gap from which steps are solved for to the last digit
_DOUBT = 12  # iterations after which the multipliers are tested for a proof that the rows contradict each other
_ROOM = 2.0  # how far inside the box and the hinges the start lies, at most
_NO_SIDE = 1e-20  # weight of a row without limits
_REGULAR = 1e-13  # proximal term on every column, relative to the objective's scale


class InteriorPoint:
    """The iterate (h, V, slacks t, multipliers z) of one solve; `advance` moves it to a tolerance."""

    def __init__(self, form: StandardForm, system: NewtonSystem, centre: float = 0.3) -> None:
        self.form, self.system = form, system
        n = len(form.lower)
        hinges = form.hinges
        count = len(hinges.column)
        row = form.compliance == 0
        equal = (form.low == form.high) & (~row | np.isinf(form.penalty))
        up = np.flatnonzero(~equal & np.isfinite(form.high))
        down = np.flatnonzero(~equal & np.isfinite(form.low))
        self.side_row: Array = np.concatenate([up, down])
        self.side = np.concatenate([np.ones(len(up)), -np.ones(len(down))])
        self.limit = self.side * np.concatenate([form.high[up], form.low[down]])
        penalty = form.penalty[self.side_row]
        self.soft = np.flatnonzero(np.isfinite(penalty))
        sizes = (n, n, count, count, len(self.side), len(self.soft))
        ends = np.cumsum(sizes)
        parts = [slice(int(end - size), int(end)) for size, end in zip(sizes, ends, strict=True)]
        self._parts, self.sides, self.rest = parts, slice(parts[2].start, parts[3].stop), slice(parts[4].start, None)
        self.powered, self.tilted = form.powered, system.tilted
        self.sized = form.sizes[1] + form.sized
        self.is_equal, self.unequal = equal * 1.0, np.where(equal, 1.0, _NO_SIDE)
        self.compliance, self.equals = np.where(equal, form.compliance, 0.0), np.where(equal, form.low, 0.0)
        self.stiffness = form.curvature + _REGULAR
        self.pair, self.step = np.empty((2, 2, int(ends[-1])))  # t and z, and their change
        self.t, self.z = self.pair
        self.dt, self.dz = self.step
        self.aim, self.weight = np.empty((2, int(ends[-1])))  # what z is led to, less weight x dt; z / t
        of = (self._split(each) for each in (self.t, self.z, self.dt, self.aim, self.weight))
        self.of_t, self.of_z, self.of_dt, self.of_aim, self.of_weight = of
        self._begin(centre, penalty[self.soft])
        self.factors = np.flatnonzero(form.is_factor)
        self.iterations = self.stalled = 0

    def _begin(self, centre: float, penalty: Array) -> None:
        """A start strictly inside the box and the hinges, with equal products."""
        form, hinges, (low, up, shut, opened, rows, excess) = self.form, self.form.hinges, self.of_t
        width = form.upper - form.lower
        room = np.minimum(0.25 * width, _ROOM)
        self.h = h = np.minimum(np.maximum(form.start, form.lower + room), form.upper - room)
        low[:], up[:] = h - form.lower, form.upper - h
        past = hinges.sign * (h[hinges.column] - hinges.at)
        shut[:] = np.maximum(past, 0.0) + room[hinges.column]
        opened[:] = shut - past
        inside = self.limit - self.side * form.values(h, shut)[self.side_row]
        rows[:], excess[:] = np.maximum(inside, 1.0), 1.0
        self.z[:] = centre / self.t
        pull, price = self.of_z[4:]
        pull[self.soft] = np.minimum(pull[self.soft], 0.5 * penalty)
        price[:] = penalty - pull[self.soft]
        excess[:] = centre / price
        self.V: Array = np.bincount(self.side_row, self.side * pull, len(form.low))

    def advance(self, tolerance: float, stop: float, limit: int) -> str:
        """Step until gap and residuals are below tolerance ('close'), or V proves a 'contradiction'; else why not."""
        while True:
            self._residuals()
            if self.gap <= tolerance and max(self._primal(), self._dual()) <= tolerance:
                return "close"
            if self.iterations >= limit:
                return "limit"
            if time.perf_counter() > stop:
                return "deadline"
            if self.iterations >= _DOUBT and self.iterations % 4 == 0 and ray_gap(self.form, self.V) > 0:
                return "contradiction"
            if self.stalled >= 3 or not self._step():
                return "stalled"
            self.iterations += 1

    def _split(self, x: Array) -> list[Array]:
        """Views of what belongs to lower and upper bounds, shut and open hinges, rows' sides, soft sides' excess."""
        return [x[part] for part in self._parts]

    def _residuals(self) -> None:
        """What is missed in each condition; slopes without the multipliers z, as `_direction` takes them."""
        form, hinges, V = self.form, self.form.hinges, self.V
        shut, opened, rows, excess = self.of_t[2:]
        self.r = r = form.values(self.h, shut)
        self.adjoint, bent = form.adjoint(V), form.curvature * self.h
        self.slope = bent + form.slope
        self.slope += self.adjoint
        self.hinge_slope = form.hinge_slopes(V)
        if self.powered:
            bend = 1.5 * hinges.power * np.sqrt(opened)
            self.hinge_slope = self.hinge_slope + 1.5 * hinges.power * np.sqrt(shut) + bend
            self.slope -= np.bincount(hinges.column, hinges.sign * bend, len(self.h))
        self.missed = (r - self.compliance * V) * self.is_equal - self.equals
        self.side_missed = self.limit - self.side * r[self.side_row] - rows
        if len(self.soft):
            self.side_missed[self.soft] += excess
        self.complementarity = float(self.t @ self.z)
        factors = V[self.factors]
        size = 0.5 * float(factors @ factors) + abs(float(form.slope @ self.h)) + 0.5 * float(bent @ self.h)
        self.gap = self.complementarity / max(size, 1.0)

    def _primal(self) -> float:
        return max(_largest(self.missed), _largest(self.side_missed)) / max(1.0, _largest(self.r))

    def _dual(self) -> float:
        hinges, (low, up, shut, opened, _, _) = self.form.hinges, self.of_z
        slope = self.slope - low + up
        if len(hinges.column):
            slope += np.bincount(hinges.column, hinges.sign * opened, len(slope))
        return max(_largest(slope), _largest(self.hinge_slope - shut - opened)) / max(1.0, _largest(self.adjoint))

    def _step(self) -> bool:
        t, z, dt, aim = self.t, self.z, self.dt, self.aim
        if not self._factored():
            return False
        self._direction(refined=False)  # towards products of zero: z by -z (1 + dt / t)
        ratio = dt / t
        length = min(1.0, 1.0 / max(-float(ratio.min()), 1.0 + float(ratio.max())))
        bent = ratio * (1.0 + ratio)
        bent *= z  # minus dt dz / t
        ahead = (1.0 - length) * self.complementarity - length * length * float(bent @ t)
        mu = self.complementarity / len(t)
        centring = min((ahead / self.complementarity) ** 3, 1.0)
        if self.powered:  # its curvature leaves a residual, which must fall before the gap does
            centring = max(centring, min(self._dual() / self.gap, 1.0))
        np.divide(centring * mu, t, out=aim)
        aim += bent
        if self.powered:
            ahead_of = np.maximum(dt, -0.9 * t)
            aim[self.sides] -= (1.0 + ratio)[self.sides] * self._bend(ahead_of, 1.0)
        dh, dV, length = self._corrected()
        if length < 0.1:  # the corrector overshot: go back towards the centre
            kept = self.step.copy()
            np.divide(0.8 * mu, t, out=aim)
            other = self._corrected()
            if other[2] > length:
                dh, dV, length = other
            else:
                self.step[:] = kept
        if not np.isfinite(length):
            return False
        self.stalled = self.stalled + 1 if length < 1e-5 else 0
        self.h = self.h + length * dh
        self.V = self.V + length * dV
        bend = self._bend(dt, length) if self.powered else None
        self.step *= length
        self.pair += self.step
        if bend is not None:  # what is left of the bend stays in the slopes' residual
            z[self.sides] += np.maximum(bend, -0.5 * z[self.sides])
        return True

    def _factored(self) -> bool:
        """Eliminate columns and hinges, and factor what is left; False where that is not definite."""
        hinges = self.form.hinges
        np.divide(self.z, self.t, out=self.weight)
        low, up, shut, opened, rows, _ = self.of_weight
        if self.powered:
            shut = shut + 0.75 * hinges.power / np.sqrt(self.of_t[2])
            opened = opened + 0.75 * hinges.power / np.sqrt(self.of_t[3])
        self.give = 1.0 / (shut + opened)
        self.openness = opened * self.give
        stiffness = self.stiffness + low + up
        if len(hinges.column):
            stiffness += np.bincount(hinges.column, shut * self.openness, len(self.h))
        self.response = 1.0 / stiffness
        self.opened = opened
        self.side_stiff = rows
        if len(self.soft):
            give = 1.0 / rows
            give[self.soft] += self.of_t[5] / self.of_z[5]
            self.side_stiff = 1.0 / give
        self.side_weight = np.bincount(self.side_row, self.side_stiff, len(self.V)) + self.unequal
        compliance = self.compliance + (1.0 - self.is_equal) / self.side_weight
        self.system.tilt(self.openness)
        regular = 1e-14
        while not self.system.factor(self.response, compliance, self.give, regular):
            regular *= 100
            if regular > 1e-6:
                return False
        return True

    def _bend(self, dt: Array, length: float) -> Array:
        """What the slope of the 3/2 power gains over its tangent along a step: <= 0, 2 H."""
        power, t, moved = 1.5 * np.tile(self.form.hinges.power, 2), self.t[self.sides], length * dt[self.sides]
        return power * (np.sqrt(t + moved) - np.sqrt(t) - 0.5 * moved / np.sqrt(t))

    def _direction(self, led: bool = False, refined: bool = True) -> tuple[Array, Array]:
        """The Newton step (dh, dV) that takes z to aim - weight dt, its dt written down; without `led`, aim is 0."""
        form, hinges, system = self.form, self.form.hinges, self.system
        right, hinge_right, pull = -self.slope, -self.hinge_slope, self.t[self.rest]
        weight, aim = self.weight[self.rest], self.aim[self.rest]
        if led:
            low, up, shut, opened, _, _ = self.of_aim
            right += low
            right -= up
            hinge_right += shut
            hinge_right += opened
            pull = pull - aim / weight
        if len(hinges.column):
            carried = self.openness * hinge_right
            if led:
                carried -= opened
            carried *= hinges.sign
            right += np.bincount(hinges.column, carried, len(right))
        # the sides of each row, put together as one equation in V
        pull, over = pull[: len(self.side)], pull[len(self.side) :]
        side_right = -self.side_missed - pull
        if len(self.soft):
            side_right[self.soft] += over
        side_push = np.bincount(self.side_row, self.side * side_right * self.side_stiff, len(self.V))
        missed = self.missed + side_push / self.side_weight

        # quantities answer at once (a diagonal); what is left is a small system in the common coordinates
        if self.tilted:
            missed[self.sized] += form.weights @ (self.give * hinge_right)
        dh, dV = system.step(right, missed, refined)
        # back to slacks, in the order boxes, hinges, rows
        to_low, to_up, to_shut, to_open, to_rows, to_excess = self.of_dt
        to_low[:] = dh
        np.negative(dh, out=to_up)
        if len(hinges.column):
            if self.tilted:
                hinge_right -= dV[self.sized] @ form.weights
            moved = hinges.sign * dh[hinges.column]
            hinge_right += self.opened * moved
            np.multiply(self.give, hinge_right, out=to_shut)
            np.subtract(to_shut, moved, out=to_open)
        dr = (dV - side_push) / self.side_weight
        change = (self.side * dr[self.side_row] + side_right) * self.side_stiff
        to_rows[:] = -pull - change / weight[: len(pull)]
        if len(self.soft):
            to_excess[:] = change[self.soft] / weight[len(pull) :] - over
        return dh, dV

    def _corrected(self) -> tuple[Array, Array, float]:
        """The step led by aim, its dz written down too, and how much of it is taken."""
        dh, dV = self._direction(led=True, refined=self.gap < _FINE)
        np.multiply(self.weight, self.dt, out=self.dz)
        np.subtract(self.aim, self.dz, out=self.dz)
        self.dz -= self.z
        worst = -float((self.step / self.pair).min())
        return dh, dV, min(1.0, _TO_BOUNDARY * min(2.0, 1.0 / worst) if worst > 0 else 1.0)


def _largest(x: Array) -> float:
    """The largest |entry|, 0 where there is none."""
    return float(np.abs(x).max()) if len(x) else 0.0
