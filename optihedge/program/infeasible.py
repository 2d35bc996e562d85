"""What must give way when no quantities meet every limit: the least relaxation, and a minimal set that conflicts.

Elastic programming (Chinneck 2008, Feasibility and Infeasibility in Optimization): each hard row may be missed at a
price of one over its reach inside the box, so that no unit decides; what is missed at the least total is named.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from optihedge.errors import SolverError
from optihedge.program.arrays import Array
from optihedge.program.certificate import bare, proves_infeasible
from optihedge.program.general.scaling import row_reach
from optihedge.program.program import Program, row_values, row_violations
from optihedge.program.solvers import propose
from optihedge.program.status import Status, told
from optihedge.program.tolerances import limit_tolerance, row_tolerances
from optihedge.program.volatility import VolatilityLimit
from optihedge.program.volatility_limit import least_volatility

MARGIN = 1e-4  # of a limit's change: how much further it is moved so that a solver can work inside it
_LEAST = 1e-4  # of a row's reach: what a smaller change counts as for the margin
_SAME = 1e-3  # of a total: what the slack of a higher priority and rounding may add
PRIORITY = 1e-6  # of a row's reach: what a higher priority may lose to a lower one


@dataclass(frozen=True, eq=False)
class Relaxation:
    """One way to make a Program feasible, with its witness.

    frame        index limit; columns have (the limit), need (what the witness takes), change = need - have, desk units
    h            the witness: quantities in the box that meet every limit but these, and these as changed
    total        sum of |change| / reach of the row inside the box;  least  that of the rows in no order of priority
    multipliers  one per row: proof that the limits conflict (Farkas); limit_multiplier for the volatility limit
    """

    frame: pd.DataFrame
    h: Array
    total: float
    multipliers: Array
    limit_multiplier: float = 0.0
    least: float | None = None

    @property
    def word(self) -> str:
        """What a change is called: the smallest, unless the order of priority asks for more in all."""
        return "change" if self.beyond_least else "smallest change"

    @property
    def beyond_least(self) -> str:
        """By how much the changes together are not the least, because some limits give way after others; or ""."""
        if self.least is None or self.total <= self.least * (1 + _SAME):
            return ""
        return (
            f"some limits give way after others: in all {self.total:.4g} of what the limits' contracts reach, where "
            f"{self.least:.4g} would do in no order"
        )

    @property
    def feasible(self) -> bool:
        """Nothing needs to give way."""
        return self.frame.empty

    def __str__(self) -> str:
        if self.feasible:
            return "every limit can be met"
        lines = [f"  {row.Index}: have {row.have:.10g}, need {row.need:.10g}, {self.word} {row.change:+.6g}"
                 for row in self.frame.itertuples()]  # fmt: skip
        more = [self.beyond_least] if self.beyond_least else []
        return "\n".join(["no quantities meet every limit; one way to make it feasible is", *lines, *more])


def row_scale(p: Program) -> Array:
    """What one unit of relaxation is measured against, per row: its reach inside the box, never zero."""
    low, high = row_reach(p)
    size = np.maximum(np.abs(low), np.abs(high))
    scale = np.where(high - low > 1e-12 * size, high - low, size)
    return np.where(scale > 0, scale, 1.0)


def unreachable_row(p: Program) -> Array | None:
    """Multipliers that prove one hard row unreachable inside the box, if there is such a row."""
    hard = np.isinf(p.row_penalty)
    if not row_violations(p, np.clip(p.start, p.lower, p.upper))[hard].any():
        return None
    low, high = row_reach(p)
    if not (hard & ((low > p.row_upper) | (high < p.row_lower))).any():
        return None
    allowed = np.where(hard, row_tolerances(p, p.widest), np.inf)
    for beyond, sign in ((low - p.row_upper - allowed, 1.0), (p.row_lower - high - allowed, -1.0)):
        if len(beyond) and beyond.max() > 0:
            return sign * (np.arange(len(beyond)) == int(np.argmax(beyond)))
    return None


def relax(p: Program, order: Sequence[int] | None = None, *, deadline: float | None = None) -> Relaxation:
    """The least relaxation of the hard rows that makes the Program feasible. `deadline`: seconds from now.

    order  one integer per row (default: the Program's tiers); the smallest gives way last, negative ones never (they
           only define a column). Rows of one tier share the least total; a higher priority is never worsened for a
           lower one. The volatility limit gives way after them.

    >>> import optihedge as oh
    >>> program = oh.Program(columns=("a",), start=[0.0], lower=[-1.0], upper=[1.0], row_names=("at least",),
    ...                      rows=[[1.0]], row_lower=[3.0])
    >>> print(oh.relax(program))
    no quantities meet every limit; one way to make it feasible is
      at least: have 3, need 1, smallest change -2
    """
    given = np.asarray(p.row_tier if order is None else order)
    hard, scale = np.isinf(p.row_penalty), row_scale(p)
    found = _in_order(p, given, deadline)
    if len(np.unique(given[hard & (given >= 0)])) < 2 or found.feasible or p.volatility_limit is not None:
        return found
    h = _least_violation(p, hard & (given >= 0), hard & (given < 0), None)[0]
    return replace(found, least=min(float((row_violations(p, h) / scale)[hard].sum()), found.total))


def _in_order(p: Program, tiers: Array, deadline: float | None) -> Relaxation:
    """The least relaxation tier by tier."""
    hard, scale = np.isinf(p.row_penalty), row_scale(p)
    ends = None if deadline is None else time.perf_counter() + deadline
    moved, h, proof, mu = p, np.clip(p.start, p.lower, p.upper), np.zeros(len(hard)), 0.0
    for tier in np.unique(tiers[hard & (tiers >= 0)]):
        h, multipliers = _least_violation(moved, hard & (tiers == tier), hard & (tiers < tier), ends)
        broken = _broken(moved, h)
        proof = proof if broken[tiers < tier].any() else multipliers
        moved = _moved(moved, h, hard & (tiers == tier), np.where(broken, PRIORITY * row_scale(moved), 0.0))
    if p.volatility_limit is not None and p.volatility_limit.volatility(h) > p.volatility_limit.limit:
        broken = _broken(p, h)
        h, multipliers = least_volatility(_moved(p, h, broken, _room(p, h, MARGIN)), propose)
        if not broken.any():
            proof, mu = multipliers, 1.0
    return _relaxation(p, h, scale, proof, mu)


def give_way(p: Program, h: Array, margin: float = MARGIN) -> Program:
    """The Program with the hard limits that h breaks beyond tolerance moved to h's values, and margin x change further.

    Limits that merely bind at h stay where they are.
    """
    eased = _moved(p, h, _broken(p, h), _room(p, h, margin))
    return replace(eased, volatility_limit=_moved_limit(p, h, margin))


def _room(p: Program, h: Array, margin: float) -> Array:
    return margin * np.maximum(row_violations(p, h), _LEAST * row_scale(p))


def _moved(p: Program, h: Array, rows: Array, slack: Array) -> Program:
    """The Program with the limits of `rows` that h breaks moved to h's values, and by slack further."""
    values = row_values(p, h)
    return replace(
        p, row_lower=np.where(rows & (values < p.row_lower), values - slack, p.row_lower),
        row_upper=np.where(rows & (values > p.row_upper), values + slack, p.row_upper),
    )  # fmt: skip


def _moved_limit(p: Program, h: Array, margin: float) -> VolatilityLimit | None:
    limit = p.volatility_limit
    if limit is None or limit.volatility(h) <= limit.limit + limit_tolerance(p, h):
        return limit
    return replace(limit, limit=limit.volatility(h) * (1 + margin))


def conflict(p: Program, budget: float = 10.0) -> tuple[str, ...]:
    """Names of limits that no quantities in the box meet together, though they meet any fewer of them; () if none.

    A deletion filter: a row whose absence leaves the rest in conflict is dropped. `budget` in seconds; when it runs
    out, what is left is in conflict, but a row may be superfluous. Rows that only define a column always hold.

    >>> import optihedge as oh
    >>> program = oh.Program(columns=("a",), start=[0.0], lower=[-1.0], upper=[1.0], row_names=("low", "high"),
    ...                      rows=[[1.0], [1.0]], row_lower=[0.5, -9.0], row_upper=[9.0, -0.5])
    >>> oh.conflict(program)
    ('low', 'high')
    """
    ends, hard, with_limit = time.perf_counter() + budget, np.isinf(p.row_penalty) & (p.row_tier >= 0), False
    found = _conflicting(p, hard, False, None)
    if found is None and p.volatility_limit is not None:
        found, with_limit = _conflicting(p, hard, True, None), True
    if found is None:
        return ()
    active = found
    for j in np.flatnonzero(active):
        if not active[j] or time.perf_counter() > ends:
            continue
        try:
            found = _conflicting(p, active & (np.arange(len(active)) != j), with_limit, ends)
        except SolverError:  # out of time
            break
        active = active if found is None else found
    names = tuple(name for name, kept in zip(p.row_names, active, strict=True) if kept)
    return (*names, p.volatility_limit.name) if with_limit and p.volatility_limit is not None else names


def _conflicting(p: Program, active: Array, with_limit: bool, ends: float | None) -> Array | None:
    """Which of the active rows (with the volatility limit or without) prove a conflict among them, if one does."""
    defines = p.row_tier < 0
    there = active | defines
    only = replace(
        p, row_lower=np.where(there, p.row_lower, -np.inf), row_upper=np.where(there, p.row_upper, np.inf),
        volatility_limit=p.volatility_limit if with_limit else None,
    )  # fmt: skip
    h, multipliers = least_volatility(only, propose) if with_limit else _least_violation(only, active, defines, ends)
    if not proves_infeasible(only, h, multipliers, float(with_limit)):
        return None
    weight = np.abs(multipliers) * row_scale(p)
    strong = active & (weight > 1e-7 * weight.max(initial=0.0))
    only_strong = proves_infeasible(only, h, np.where(strong | defines, multipliers, 0.0), float(with_limit))
    return strong if only_strong else active & (multipliers != 0)


def _least_violation(p: Program, active: Array, kept: Array, ends: float | None) -> tuple[Array, Array]:
    """Quantities that miss the active rows by the least sum of distance / reach while the kept rows hold; multipliers.

    Rows that are neither are ignored. The multipliers are those of the active and kept rows, zero for the others.
    """
    if not p.columns:
        return np.zeros(0), np.zeros(len(active))
    hard = np.isinf(p.row_penalty) & (active | kept)
    elastic = replace(
        bare(p), row_lower=np.where(hard, p.row_lower, -np.inf), row_upper=np.where(hard, p.row_upper, np.inf),
        row_penalty=np.where(active, 1 / row_scale(p), np.inf), volatility_limit=None,
    )  # fmt: skip
    left = None if ends is None else ends - time.perf_counter()
    found = propose(elastic, solver="highs", deadline=left)  # at a vertex, which misses the fewest rows
    if found.status is not Status.OPTIMAL:
        raise SolverError(f"the least relaxation was not found: {told(found.status, found.why)}")
    return np.clip(found.h, p.lower, p.upper), found.multipliers


def _broken(p: Program, h: Array) -> Array:
    return np.isinf(p.row_penalty) & (row_violations(p, h) > row_tolerances(p, p.widest))


def _relaxation(p: Program, h: Array, scale: Array, proof: Array, mu: float) -> Relaxation:
    broken, values = np.flatnonzero(_broken(p, h)), row_values(p, h)
    have = np.where(values > p.row_upper, p.row_upper, p.row_lower)[broken]
    names = pd.Index([p.row_names[j] for j in broken], name="limit", dtype=str)
    frame = pd.DataFrame({"have": have, "need": values[broken]}, index=names)
    total, v = float((row_violations(p, h) / scale)[broken].sum()), p.volatility_limit
    if v is not None and v.volatility(h) > v.limit + limit_tolerance(p, h):
        frame.loc[v.name] = (v.limit, v.volatility(h))
        total += v.volatility(h) / v.limit - 1 if v.limit > 0 else 1.0
    return Relaxation(frame.assign(change=frame.need - frame.have), h, total, proof, mu)
