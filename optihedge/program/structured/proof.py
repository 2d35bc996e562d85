"""The structured solver's own test of an answer: duality gap and residuals, in the scaled form's units.

The gap is summed column by column and row by row from terms that are each >= 0, so that it keeps its digits where the
difference of two large objectives would lose them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optihedge.program.program import RESIDUAL_TOLERANCE, risk_value
from optihedge.program.structured.prox import cost, costlier, minimiser
from optihedge.program.structured.standard_form import StandardForm

Array = np.ndarray

_CLEAN = 1e-2  # of a row's tolerance
_TINY = 1e-300
_SMALL = 1e-12  # a gap of this share of the scale's floor is exact


@dataclass(frozen=True)
class Proof:
    """gap and scale (its floor, where the gap is exact) in objective units; residual in rows' tolerances (<= 1 met)."""

    gap: float
    scale: float
    residual: float

    def passes(self, tolerance: float) -> bool:
        """Whether the gap is within tolerance x scale and every hard row is met."""
        return self.residual <= 1.0 and abs(self.gap) <= tolerance * self.scale

    def exact(self, tolerance: float) -> bool:
        """Whether it passes with hard rows met all but to rounding."""
        return self.residual <= _CLEAN and self.passes(tolerance)

    @property
    def badness(self) -> float:
        """Smaller is better: the gap's share of the scale, hard rows first."""
        badness = max(self.residual - 1.0, 0.0) * 1e6 + 1e-9 * self.residual + abs(self.gap) / max(self.scale, 1e-300)
        return badness if np.isfinite(badness) else np.inf


def scale_floor(form: StandardForm) -> float:
    """Risk at the start plus the cost of one cheapest lot, in the form's units."""
    p = form.program
    lots = np.minimum(p.trading(p.lot), p.trading(-p.lot))[(p.lot > 0) & (p.upper > p.lower)]
    cheapest = max(lots.min(), 0.0) if len(lots) else 0.0
    return (p.start_risk + cheapest) / form.value_scale


def prove(form: StandardForm, h: Array, V: Array, floor: float) -> Proof:
    """Test (h, V): the factors' multipliers are recomputed from h, the rows' clipped to what their limits allow."""
    v, (least, most) = form.open_hinges(h), form.multiplier_bounds
    r = form.values(h, v)
    V = np.where(form.is_factor, form.factor_values(r), np.minimum(np.maximum(V, least), most))
    slope, hinge_slopes = form.slope + form.adjoint(V), form.hinge_slopes(V)
    best = minimiser(form, slope, hinge_slopes, form.curvature)
    rows, low, high, penalty, soft = form.limits
    r, V = r[rows], V[rows]
    pushed = np.where(V > 0, high, np.where(V < 0, low, r)) - r
    outside = np.maximum(np.maximum(low - r, r - high), 0.0)
    gap = costlier(form, h, best, slope, hinge_slopes, form.curvature, v) + float(V @ pushed)
    residual, hard = 0.0, outside
    if len(soft):
        gap += float(penalty[soft] @ outside[soft])
        hard = outside.copy()
        hard[soft] = 0.0
    if hard.any():
        size = np.maximum(row_sizes(form, h), form.row_size[rows])
        residual = float((hard / np.maximum(RESIDUAL_TOLERANCE * size, _TINY)).max())
    small = abs(gap) <= _SMALL * floor  # then the scale, which is no smaller than its floor, is not needed
    return Proof(gap, floor if small else floor + _size(form, h), residual)


def row_sizes(form: StandardForm, h: Array) -> Array:
    """Sum of |entry x h| of each row (factors left out), fixed positions included: the scale of its rounding."""
    s, size = form.local.shape[0], np.abs(h)
    sizes = size @ form.row_absolutes
    if s:
        sizes = np.concatenate([(abs(form.local) @ size)[form.rows[form.rows < s]], sizes])
    return sizes + form.row_size[form.rows]


def _size(form: StandardForm, h: Array) -> float:
    """|risk| + |cost| at h, in the form's units."""
    p, quantities = form.program, form.quantities(h)
    return (risk_value(p, quantities) + abs(p.by_contract(p.start, quantities).sum())) / form.value_scale


def ray_gap(form: StandardForm, V: Array) -> float:
    """How far beyond rounding and tolerances V proves the hard rows contradictory (Farkas): > 0 is proof.

    Over the whole box the least of V'r lies above what the limits allow.
    """
    hard = np.isinf(form.penalty) & (form.compliance == 0)
    V = np.where(hard, np.clip(V, *form.multiplier_bounds), 0.0)
    widest = np.maximum(np.abs(form.lower), np.abs(form.upper))
    noise = RESIDUAL_TOLERANCE * np.abs(V[form.compliance == 0]) @ row_sizes(form, widest)
    bare = form.elastic(1.0)  # no costs, no power
    slope, hinge_slopes = form.adjoint(V), bare.hinge_slopes(V)
    zero = np.zeros_like(form.lower)
    best = minimiser(bare, slope, hinge_slopes, zero)
    support = np.where(V > 0, V * form.high, np.where(V < 0, V * form.low, 0.0)).sum()
    return float(cost(bare, best, slope, hinge_slopes, zero, bare.open_hinges(best)) - support - noise)
