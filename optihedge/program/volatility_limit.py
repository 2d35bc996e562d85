"""The price of variance at which a volatility limit just holds: a search over Programs without the limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from optihedge.errors import SolverError, SpecError
from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import bare, judge_clean
from optihedge.program.duality import scale_of
from optihedge.program.program import Program
from optihedge.program.status import Status, told

_FOLDS = 40  # solves at most
_RISING = 6  # of them in which the price may only rise before the least volatility is asked for
_INSIDE = 1e-8  # how far inside its limit the volatility is aimed, relative
_TINY = 1e-300
SETTLED = (Status.DECLINED, Status.INFEASIBLE)  # no price of variance changes these


def fold_limit(program: Program, mu: float) -> Program:
    """The Program without its volatility limit; mu / 2 x (volatility^2 - limit^2) is charged instead."""
    v, root = program.volatility_limit, np.sqrt(mu)
    if v is None:
        return program
    return replace(
        program, volatility_limit=None, factors=np.vstack([program.factors, root * v.factors]),
        factor_offset=np.concatenate([program.factor_offset, root * v.factor_offset]),
        specifics=sp.vstack([program.specifics, root * v.specifics], format="csr"),
        specific_offset=np.concatenate([program.specific_offset, root * v.specific_offset]),
        diagonal=program.diagonal + mu * v.diagonal, constant=program.constant - 0.5 * mu * v.limit**2,
    )  # fmt: skip


def least_volatility(program: Program, solve: Callable[..., Candidate]) -> tuple[Array, Array]:
    """Quantities of the least limited volatility that meet the rows, and the rows' multipliers. Raises SolverError.

    solve  takes a Program and `solver`, its name, and gives a candidate
    """
    v = program.volatility_limit
    if v is None:
        raise SpecError("the Program has no volatility limit")
    if not program.columns:
        return np.zeros(0), np.zeros(len(program.row_names))
    least = replace(
        bare(program), volatility_limit=None, factors=v.factors, factor_offset=v.factor_offset, specifics=v.specifics,
        specific_offset=v.specific_offset, diagonal=v.diagonal,
    )  # fmt: skip
    candidate = solve(least, solver="clarabel")
    if not np.isfinite(candidate.h).all():
        why = told(candidate.status, candidate.why)
        raise SolverError(f"the least volatility within the limits was not found: {why}")
    return np.clip(candidate.h, program.lower, program.upper), candidate.multipliers


def within_limit(
    program: Program,
    inner: Callable[[Program, Candidate | None], Candidate],
    solve: Callable[..., Candidate],
    left: Callable[[], float | None],
    warm: Candidate | None,
    tolerance: float,
) -> Candidate:
    """A candidate under the volatility limit: the price mu of variance at which the limit just holds.

    inner  takes a Program without the limit and an earlier candidate or None; `solve` as in `least_volatility`
    Volatility falls continuously in mu; the root is found on logarithms by the Illinois form of the secant method.
    """
    limit = program.volatility_limit
    if limit is None:
        return inner(program, warm)
    target = limit.limit * (1 - _INSIDE)
    candidate = inner(fold_limit(program, 0.0), warm)
    if not np.isfinite(candidate.h).all() or candidate.status in SETTLED:
        return candidate
    if limit.volatility(np.clip(candidate.h, program.lower, program.upper)) <= limit.limit:
        return replace(candidate, limit_multiplier=0.0)

    mu = warm.limit_multiplier if warm is not None else 0.0
    stake = scale_of(program, candidate.h) or 1.0
    mu = mu or stake / max(limit.limit, 1e-12 * limit.volatility(candidate.h)) ** 2
    low, high, was_above = None, None, None  # log mu and log(volatility / target) of the nearest above and below
    for fold in range(_FOLDS):
        if fold == _RISING and high is None:  # no price seems high enough: can the limit be met at all?
            h, multipliers = least_volatility(program, solve)
            if limit.volatility(h) > limit.limit:
                return Candidate(h, multipliers, Status.INFEASIBLE, 1.0)
        answer = inner(fold_limit(program, mu), candidate)
        if not np.isfinite(answer.h).all():
            break
        candidate, verdict = judge_clean(program, replace(answer, limit_multiplier=mu), tolerance)
        if verdict.status is Status.OPTIMAL:
            break
        volatility = limit.volatility(np.clip(answer.h, program.lower, program.upper))
        excess = float(np.log(max(volatility, _TINY) / max(target, _TINY)))
        above = excess > 0
        if above:
            low = (np.log(mu), excess)
            high = (high[0], high[1] / 2) if high is not None and was_above else high
        else:
            high = (np.log(mu), excess)
            low = (low[0], low[1] / 2) if low is not None and was_above is False else low
        was_above = above
        if low is None or high is None:
            mu *= 10.0 if above else 0.1
        else:
            mu = float(np.exp(low[0] + (high[0] - low[0]) * low[1] / (low[1] - high[1])))
        rest = left()
        if rest is not None and rest <= 0:
            break
    return candidate
