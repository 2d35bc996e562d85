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
_DOUBT = 12  # iterations after which the multipliers are tested for a proof that the rows contradict each other
_ROOM = 2.0  # how far inside the box and the hinges the start lies, at most
_NO_SIDE = 1e-20  # weight of a row without limits
_REGULAR = 1e-13  # proximal term on every column, relative to the objective's scale


class InteriorPoint:
    """The iterate (h, V, slacks, multipliers) of one solve; `advance` moves it to a tolerance."""

    def __init__(self, form: StandardForm, system: NewtonSystem, centre: float = 0.3) -> None:
        self.form, self.system = form, system
        n, _, q = form.sizes
        hinges = form.hinges
        count = len(hinges.column)
        row = form.compliance == 0
        self.equal = (form.low == form.high) & (~row | np.isinf(form.penalty))
        up = np.flatnonzero(~self.equal & np.isfinite(form.high))
        down = np.flatnonzero(~self.equal & np.isfinite(form.low))
        self.side_row = np.concatenate([up, down])
        self.side = np.concatenate([np.ones(len(up)), -np.ones(len(down))])
        self.limit = np.concatenate([form.high[up], form.low[down]])
        penalty = form.penalty[self.side_row]
        self.soft = np.flatnonzero(np.isfinite(penalty))
        sizes = (n, n, count, count, len(self.side), len(self.soft))
        ends = np.cumsum(sizes)
        self._parts = [slice(int(end - size), int(end)) for size, end in zip(sizes, ends, strict=True)]
        self.low, self.up, self.shut, self.open, self.rows, self.excess = self._parts
        self.sides = slice(self.shut.start, self.open.stop)
        self.powered = form.powered
        self.sized = form.sizes[1] + form.sized
        width = form.upper - form.lower
        room = np.minimum(0.25 * width, _ROOM)
        self.h = h = np.clip(form.start, form.lower + room, form.upper - room)
        self.t, self.z = np.empty(ends[-1]), np.empty(ends[-1])
        self.t[self.low], self.t[self.up] = h - form.lower, form.upper - h
        past = hinges.sign * (h[hinges.column] - hinges.at)
        self.t[self.shut] = np.maximum(past, 0.0) + room[hinges.column]
        self.t[self.open] = self.t[self.shut] - past
        self.r = form.values(h, self.t[self.shut])
        inside = self.side * (self.limit - self.r[self.side_row])
        self.t[self.rows], self.t[self.excess] = np.maximum(inside, 1.0), 1.0
        self.z[:] = centre / self.t
        pull = self.z[self.rows]
        pull[self.soft] = np.minimum(pull[self.soft], 0.5 * penalty[self.soft])
        self.z[self.excess] = penalty[self.soft] - pull[self.soft]
        self.t[self.excess] = centre / self.z[self.excess]
        self.V = np.zeros(q)
        self.factors = np.flatnonzero(form.is_factor)
        self.unequal = np.where(self.equal, 1.0, _NO_SIDE)
        self.stiffness = form.curvature + _REGULAR
        self.iterations = 0
        self.stalled = 0

    def advance(self, tolerance: float, stop: float, limit: int) -> str:
        """Step until gap and residuals are below tolerance ('close'), or V proves a 'contradiction'; else why not."""
        while True:
            self._residuals()
            if max(self.gap, self.primal, self.dual) <= tolerance:
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
        form, hinges, t = self.form, self.form.hinges, self.t
        z_low, z_up, z_shut, z_open, z_rows, _ = self._split(self.z)
        _, _, shut, opened, rows, excess = self._split(t)
        pull = np.bincount(self.side_row, self.side * z_rows, len(self.V))
        self.V = V = np.where(self.equal, self.V, pull)
        self.r = r = form.values(self.h, shut)
        adjoint, bent = form.adjoint(V), form.curvature * self.h
        self.slope = bent + form.slope + adjoint - z_low + z_up
        self.hinge_slope = form.hinge_slopes(V) - z_shut - z_open
        pushed = z_open
        if self.powered:
            bend = 1.5 * hinges.power * np.sqrt(opened)
            self.hinge_slope += 1.5 * hinges.power * np.sqrt(shut) + bend
            pushed = pushed - bend
        if len(hinges.column):
            self.slope += np.bincount(hinges.column, hinges.sign * pushed, len(self.h))
        self.missed = np.where(self.equal, r - form.compliance * V - form.low, 0.0)
        self.side_missed = self.side * (self.limit - r[self.side_row]) - rows
        if len(self.soft):
            self.side_missed[self.soft] += excess
        self.complementarity = float(t @ self.z)
        factors = V[self.factors]
        size = 0.5 * (factors @ factors) + abs(form.slope @ self.h) + 0.5 * (bent @ self.h)
        self.gap = self.complementarity / max(size, 1.0)
        self.primal = max(_largest(self.missed), _largest(self.side_missed)) / max(1.0, _largest(r))
        self.dual = max(_largest(self.slope), _largest(self.hinge_slope)) / max(1.0, _largest(adjoint))

    def _step(self) -> bool:
        t, z = self.t, self.z
        if not self._factored():
            return False
        product = t * z
        dh, dV, dt, dz = self._direction(product)
        length = _length(t, z, dt, dz)
        ahead = float((t + length * dt) @ (z + length * dz))
        mu = self.complementarity / len(t)
        centring = min((ahead / self.complementarity) ** 3, 1.0)
        if self.powered:  # its curvature leaves a residual, which must fall before the gap does
            centring = max(centring, min(self.dual / self.gap, 1.0))
        target = product + dt * dz - centring * mu
        if self.powered:
            target[self.sides] += (t + dt)[self.sides] * self._bend(np.maximum(dt, -0.9 * t), 1.0)
        dh, dV, dt, dz = self._direction(target)
        length = min(1.0, _TO_BOUNDARY * _length(t, z, dt, dz, 2.0))
        if length < 0.1:  # the corrector overshot: go back towards the centre
            other = self._direction(product - 0.8 * mu)
            longer = min(1.0, _TO_BOUNDARY * _length(t, z, *other[2:], 2.0))
            if longer > length:
                length, (dh, dV, dt, dz) = longer, other
        if not np.isfinite(length):
            return False
        self.stalled = self.stalled + 1 if length < 1e-5 else 0
        self.h = self.h + length * dh
        self.V = self.V + length * dV
        self.z = z + length * dz
        if self.powered:  # what is left of the bend stays in the slopes' residual
            self.z[self.sides] += np.maximum(self._bend(dt, length), -0.5 * self.z[self.sides])
        self.t = t + length * dt
        return True

    def _factored(self) -> bool:
        """Eliminate columns and hinges, and factor what is left; False where that is not definite."""
        form, hinges, t, z = self.form, self.form.hinges, self.t, self.z
        self.weight = weight = z / t
        low, up, shut, opened, rows, _ = self._split(weight)
        if self.powered:
            shut = shut + 0.75 * hinges.power / np.sqrt(t[self.shut])
            opened = opened + 0.75 * hinges.power / np.sqrt(t[self.open])
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
            give[self.soft] += t[self.excess] / z[self.excess]
            self.side_stiff = 1.0 / give
        self.side_weight = np.bincount(self.side_row, self.side_stiff, len(self.V)) + self.unequal
        compliance = np.where(self.equal, form.compliance, 1.0 / self.side_weight)
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

    def _direction(self, target: Array) -> tuple[Array, Array, Array, Array]:
        """Solve for the Newton step whose complementarity change is -target: (dh, dV, dt, dz)."""
        form, hinges, system = self.form, self.form.hinges, self.system
        # what the barriers of boxes and hinges push each quantity by
        push, pull = target / self.t, target / self.z
        low, up, shut, opened, _, _ = self._split(push)
        right = -self.slope - low + up
        hinge_right = -self.hinge_slope - shut - opened
        if len(hinges.column):
            carried = hinges.sign * (opened + self.openness * hinge_right)
            right += np.bincount(hinges.column, carried, len(self.h))
        # the sides of each row, put together as one equation in V
        side_right = -self.side_missed - pull[self.rows]
        if len(self.soft):
            side_right[self.soft] += pull[self.excess]
        side_push = np.bincount(self.side_row, self.side * side_right * self.side_stiff, len(self.V))
        missed = np.where(self.equal, self.missed, side_push / self.side_weight)

        # quantities answer at once (a diagonal); what is left is a small system in the common coordinates
        if system.tilted:
            missed[self.sized] += form.weights @ (self.give * hinge_right)
        dh, dV = system.step(right, missed)
        # back to slacks, in the order boxes, hinges, rows
        dt = np.empty_like(target)
        to_low, to_up, to_shut, to_open, to_rows, to_excess = self._split(dt)
        to_low[:] = dh
        np.negative(dh, out=to_up)
        if len(hinges.column):
            if system.tilted:
                hinge_right = hinge_right - dV[self.sized] @ form.weights
            moved = hinges.sign * dh[hinges.column]
            np.multiply(self.give, hinge_right + self.opened * moved, out=to_shut)
            np.subtract(to_shut, moved, out=to_open)
        dr = (dV - side_push) / self.side_weight
        change = (self.side * dr[self.side_row] + side_right) * self.side_stiff
        to_rows[:] = -pull[self.rows] - change / self.weight[self.rows]
        if len(self.soft):
            to_excess[:] = change[self.soft] / self.weight[self.excess] - pull[self.excess]
        return dh, dV, dt, -push - self.weight * dt  # multipliers keep the products on target


def _largest(x: Array) -> float:
    """The largest |entry|, 0 where there is none."""
    return float(np.abs(x).max()) if len(x) else 0.0


def _length(t: Array, z: Array, dt: Array, dz: Array, most: float = 1.0) -> float:
    """The longest common step that keeps t and z >= 0, at most `most`."""
    if not len(t):
        return most
    worst = -min((dt / t).min(), (dz / z).min())
    return float(min(most, 1.0 / worst)) if worst > 0 else most
