"""The aversion to variance that stands for a price of volatility at one answer: its Program touches the other there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array, stacked, times
from optihedge.program.program import Program


def with_aversion(program: Program, aversion: float) -> Program:
    """The Program with aversion / 2 x sigma^2 + price^2 / (2 aversion) in place of price x sigma.

    That is nowhere below price x sigma, and equal to it where sigma = price / aversion.
    """
    v, root = program.volatility_price, np.sqrt(aversion)
    if v is None:
        return program
    changed = {
        "volatility_price": None, "factors": np.vstack([program.factors, root * v.factors]),
        "factor_offset": np.concatenate([program.factor_offset, root * v.factor_offset]),
        "specifics": stacked(program.specifics, times(root, v.specifics)),
        "specific_offset": np.concatenate([program.specific_offset, root * v.specific_offset]),
        "diagonal": program.diagonal + aversion * v.diagonal,
        "constant": program.constant + 0.5 * v.price**2 / aversion,
    }  # fmt: skip
    parts = (part.data if sp.issparse(part) else part for part in changed.values() if part is not None)
    if not all(np.isfinite(part).all() for part in parts):
        return replace(program, **changed)  # which says what it is
    made = program.derived(**changed)
    made.__dict__.update(row_table=program.row_table, powered=program.powered, cheapest_lot=program.cheapest_lot)
    return made


def equivalent_aversion(program: Program, h: Array) -> float:
    """price / sigma at quantities h, 1 / base currency; 0 without a price of volatility or a volatility."""
    v = program.volatility_price
    volatility = 0.0 if v is None else v.volatility(np.clip(h, program.lower, program.upper))
    return 0.0 if v is None or not volatility > 0 else v.price / volatility


def at_answer(program: Program, h: Array) -> Program:
    """The quadratic Program that touches this one at h: the same value and slope there, nowhere below it."""
    aversion = equivalent_aversion(program, h)
    return with_aversion(program, aversion) if aversion > 0 else replace(program, volatility_price=None)
