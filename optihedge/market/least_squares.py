"""Least squares in a box for a handful of parameters: Levenberg and Marquardt, with the bend of each step.

Source: Transtrum and Sethna, "Improvements to the Levenberg-Marquardt algorithm for nonlinear least-squares
minimization", 2012 (arXiv:1201.5885). It stands here because `scipy.optimize` is a tenth of a short run to import, and
because residuals that are read at several points in one call cost little more than at one.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Residuals = Callable[[Floats], Floats]  # of several points at once: k x n -> k x m

_APART = 1e-7  # of the box: points of a derivative
_DAMPING = np.array([0.1, 1.0, 10.0])  # tried side by side, times the last that was best
_FIRST, _LEAST, _MOST = 1e-2, 1e-12, 1e9  # damping, in units of the box
_AHEAD = 0.1  # of a step: where its bend is read
_BENT = 0.375  # of a step: a bend beyond it says nothing
_ENOUGH = 1e-6  # of the sum of squares: what another step has to gain


def box_least_squares(residuals: Residuals, start: Floats, low: Floats, high: Floats, most: int = 60) -> Floats:
    """The parameters (n,) between `low` and `high` of a least sum of squares, sought from `start` by `most` steps."""
    width = high - low

    def read(at: Floats) -> Floats:
        return residuals(low + width * at)

    at, damping = (start - low) / width, _FIRST
    for _ in range(most):
        here, slopes = _slopes(read, at)
        cost, gained = here @ here, False
        while not gained and damping < _MOST:
            tried = np.clip(at + _steps(read, at, here, slopes, damping * _DAMPING), 0.0, 1.0)
            sums = np.square(read(tried)).sum(axis=1)
            best = int(sums.argmin())
            gained = bool(sums[best] < cost)
            damping = max(damping * float(_DAMPING[best % _DAMPING.size]), _LEAST) if gained else 1e3 * damping
        if not gained:
            break
        at = tried[best]
        if cost - sums[best] <= _ENOUGH * cost:
            break
    return low + width * at


def _slopes(read: Residuals, at: Floats) -> tuple[Floats, Floats]:
    """The residuals (m,) at a point of the unit box, and their derivatives m x n."""
    apart = np.where(at < 0.5, _APART, -_APART)  # inwards
    values = read(np.vstack([at, at + np.diag(apart)]))
    return values[0], ((values[1:] - values[0]) / apart[:, None]).T


def _steps(read: Residuals, at: Floats, here: Floats, slopes: Floats, damping: Floats) -> Floats:
    """A step for each damping (k,), and each again with half the bend of the residuals along it: 2 k x n."""
    gradient = here @ slopes
    inside = np.where(gradient > 0, at > 0, at < 1)  # where a bound does not hold it back
    slopes = slopes * inside
    inverse = np.linalg.inv(slopes.T @ slopes + damping[:, None, None] * np.eye(at.size))
    move = -inverse @ (gradient * inside)
    # the second derivative along each step, from a point ahead, and what it asks for
    ahead = (read(np.clip(at + _AHEAD * move, 0.0, 1.0)) - here) / _AHEAD
    bend = -np.einsum("kij,kj->ki", inverse, (ahead - move @ slopes.T) / _AHEAD @ slopes)
    told = np.linalg.norm(bend, axis=1) <= _BENT * np.linalg.norm(move, axis=1)
    return np.vstack([move, move + bend * told[:, None]])
