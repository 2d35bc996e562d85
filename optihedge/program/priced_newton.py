"""Newton steps on a Program under a price of volatility itself, for the last digits near a perfect hedge.

There the volatility is a millionth of what it was. Quadratic Programs of its aversion are then so curved that they are
proved at slopes which the price's own bound, linear over the whole box, does not forgive.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import judge
from optihedge.program.duality import clip_multipliers, column_slopes, dual_gap, scale_of
from optihedge.program.program import Program
from optihedge.program.status import Status
from optihedge.program.volatility import VolatilityPrice

_STEPS = 20
_MOST = 500  # columns that move
_EXACT = 1e-12  # of the objective's scale


def sharpened(program: Program, candidate: Candidate, tolerance: float) -> Candidate | None:
    """The candidate after Newton steps among the columns that move and the rows that hold; None if it is not proved."""
    v = program.volatility_price
    if not np.isfinite(candidate.h).all() or not np.isfinite(candidate.multipliers).all():
        return None
    h, m = np.clip(candidate.h, program.lower, program.upper), clip_multipliers(program, candidate.multipliers)
    for _ in range(_STEPS):
        gap = dual_gap(program, h, m)
        below, above = column_slopes(program, gap, h)
        slope = np.where(above < 0, above, np.where(below > 0, below, 0.0))  # 0 at a kink that holds its column
        columns = np.flatnonzero((slope != 0) & np.where(slope < 0, h < program.upper, h > program.lower))
        if v is None or not 0 < len(columns) <= _MOST or gap.total <= _EXACT * scale_of(program, h):
            break
        rows = np.flatnonzero(m)
        step = np.zeros(len(h))
        step[columns], change = _step(program, v, h, columns, rows, slope[columns])
        # to the first column that reaches its start, where costs have their kink, or its bound
        end = np.where(step > 0, program.upper, program.lower)
        end = np.where((h - program.start) * (h + step - program.start) < 0, program.start, end)
        share = np.divide(end - h, step, out=np.ones(len(h)), where=step != 0)
        part = min(1.0, float(share.min()))
        h = np.where((share <= part) & (part < 1), end, h + part * step)
        m = clip_multipliers(program, m + part * np.bincount(rows, change, len(m)))
    found = replace(candidate, h=h, multipliers=m)
    return found if judge(program, found, tolerance).status is Status.OPTIMAL else None


def _step(p: Program, v: VolatilityPrice, h: Array, columns: Array, rows: Array, slope: Array) -> tuple[Array, Array]:
    """The change of these columns and of these rows' multipliers that brings the slopes to zero."""
    size, gradient = v.volatility(h), v.half_gradient(h)[columns]
    priced = [v.factors[:, columns], v.specifics[:, columns].toarray(), np.diag(np.sqrt(v.diagonal[columns]))]
    own = [p.factors[:, columns], p.specifics[:, columns].toarray(), np.diag(np.sqrt(p.diagonal[columns]))]
    curvature = v.price / size * (_square(priced) - np.outer(gradient, gradient) / size**2) + _square(own)
    held = p.rows[rows][:, columns].toarray()
    system = np.block([[curvature, held.T], [held, np.zeros((len(rows), len(rows)))]])
    found = np.linalg.lstsq(system, np.append(-slope, np.zeros(len(rows))), rcond=None)[0]
    return found[: len(columns)], found[len(columns) :]


def _square(parts: list[Array]) -> Array:
    root = np.vstack(parts)
    return root.T @ root
