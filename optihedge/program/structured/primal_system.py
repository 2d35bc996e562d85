"""The Newton system by the columns' side, n x n: where coordinates outnumber columns, as scenarios do.

With columns' responses w, coordinates' compliances e and what is missed in each one's condition, a step (dh, dV) meets

    dh / w + M dV = right,    e dV - M' dh = missed

Coordinates that give way are eliminated; those that hardly do (equalities, limits that hold) are few and stay:

    (1 / w + M_s diag(1 / e_s) M_s') dh + M_h dV_h = right - M_s (missed_s / e_s),    e_h dV_h - M_h' dh = missed_h

A column of no curvature has a huge response, and its step is found here as it is, not as what two huge numbers leave.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dsyrk, dtrsm
from scipy.linalg.lapack import dpotrf, dpotrs

from optihedge.program.structured.newton_system import NewtonSystem
from optihedge.program.structured.standard_form import StandardForm, rows_prevail

Array = np.ndarray

_STIFF, _STIFFEST = (
    1e-9,
    1e-14,
)  # compliance up to which a coordinate stays; likewise where more would than columns move
_APART = 1e15  # and from which it is left out
_LEAST = 1e-200  # a diagonal entry
_FLAT = 1e-5  # curvature of a column that has (nearly) none
_FEW = 100  # coordinates up to which the other side does as well


def newton_system(form: StandardForm) -> NewtonSystem:
    """The system by the side that is better."""
    n, blocks, total = form.sizes
    many = total > _FEW or bool((form.curvature < _FLAT).any())
    return PrimalSystem(form) if not blocks and many and rows_prevail(n, len(form.rows)) else NewtonSystem(form)


class PrimalSystem(NewtonSystem):
    """As NewtonSystem, of a form without local coordinates."""

    def __init__(self, form: StandardForm) -> None:
        super().__init__(form)
        self._squares = form.common**2
        self._counts = np.zeros(self.p, bool)  # hinges: these stay, so that what they add is in one corner
        self._counts[form.sized] = True
        self._held = np.zeros((0, 0))

    def factor(self, response: Array, compliance: Array, give: Array | None = None, regular: float = 1e-14) -> bool:
        """Factor for these responses (n >= 0), compliances (q) and hinges' own response (H). False: not definite."""
        moving = np.flatnonzero(response)
        if not len(moving):
            return False
        stays = compliance <= _STIFF
        if stays.sum() > len(moving):  # ties
            stays = compliance <= _STIFFEST
            if stays.sum() > len(moving):
                return False
        stays |= self._counts
        self.diagonal = response @ self._squares + np.minimum(compliance, _APART)
        self._within, self._stays, self._moving = compliance < _APART, np.flatnonzero(stays), moving
        self._give = np.where(stays | ~self._within, 0.0, 1.0 / np.maximum(compliance, _STIFFEST))
        self._root = np.sqrt(response[moving])
        # what gives way, over the columns that move
        half = self._over_moving(slice(None)) * np.sqrt(self._give)
        square = dsyrk(1.0, half.T, trans=1, lower=1)
        square.reshape(-1, order="F")[:: len(square) + 1] += 1.0
        self._factor, failed = dpotrf(square, lower=1, overwrite_a=1, clean=0)
        if failed:
            return False
        # what stays, scaled to a diagonal of one
        self._half = dtrsm(1.0, self._factor, np.asfortranarray(self._over_moving(self._stays)), lower=1)
        corner = self._half.T @ self._half + np.diag(compliance[self._stays])
        if give is not None and self.tilted:
            at = np.searchsorted(self._stays, self.form.sized)
            corner[np.ix_(at, at)] += (self.form.weights * give) @ self.form.weights.T
        self._scale = 1.0 / np.sqrt(np.maximum(corner.diagonal(), _LEAST))
        self._corner = corner * self._scale * self._scale[:, None]
        if not len(corner):
            return True
        self._held, failed = dpotrf(self._corner + regular * np.eye(len(corner)), lower=1)
        return not failed

    def solve(self, right: Array, refined: bool = True) -> Array:
        """The solution for one right-hand side, q."""
        return self.step(np.zeros(len(self.matrix)), right)[1]

    def step(self, right: Array, missed: Array, refined: bool = True) -> tuple[Array, Array]:
        """Steps of columns (n) and coordinates (q) for what is missed in each one's own condition."""
        missed = np.where(self._within, missed, 0.0)
        dV, dh = missed * self._give, np.zeros(len(right))
        ahead = self._root * (right - self.matrix @ dV)[self._moving]
        ahead = dtrsm(1.0, self._factor, ahead[:, None], lower=1)[:, 0]
        if len(self._stays):
            wanted = self._scale * (missed[self._stays] + ahead @ self._half)
            found = dpotrs(self._held, wanted, lower=1)[0]
            if refined:
                found += dpotrs(self._held, wanted - self._corner @ found, lower=1)[0]
            dV[self._stays] = self._scale * found
            ahead = ahead - self._half @ dV[self._stays]
        dh[self._moving] = self._root * dtrsm(1.0, self._factor, ahead[:, None], lower=1, trans_a=1)[:, 0]
        dV += self._give * (dh @ self.matrix)
        return dh, dV

    def _over_moving(self, coordinates: Array | slice) -> Array:
        """These coordinates over the columns that respond, by the root of their response."""
        every = len(self._moving) == len(self.matrix)
        part = self.matrix[:, coordinates] if every else self.matrix[self._moving][:, coordinates]
        return np.asarray(part * self._root[:, None])
