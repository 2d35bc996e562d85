"""Whole lots: from a continuous hedge to quantities that a venue accepts, limits kept.

Fix the coarsest legs, solve the rest again, repeat until every leg is whole; then search locally, and with few legs by
an integer program. The continuous optimum bounds what any lot choice could reach, so the price of whole lots is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.hedge.certificate import scale_of
from optihedge.hedge.program import (
    RESIDUAL_TOLERANCE,
    VOLATILITY_UNIT,
    Array,
    Candidate,
    Program,
    objective,
    row_values,
    row_violations,
)
from optihedge.hedge.result import Hedge
from optihedge.hedge.solve import solve
from optihedge.trades.dive import Answer, dive, settle
from optihedge.trades.exact import best_far_away, best_nearby, nearest_within, ranked
from optihedge.trades.grid import Grid
from optihedge.trades.other_limits import OwnTerms, meet_own, other_limits
from optihedge.trades.search import Neighbourhood, improve

_DEAR = 0.02  # of the objective: lots that cost more are looked for further away, where the legs are few
_WORTH = 1e-6  # of the objective's size before: nothing less is looked for
_LADDER = 4  # finest traded legs of each row that may mend what the local search could not
_REACH = 50  # lots


@dataclass(frozen=True, eq=False)
class Rounding:
    """Whole-lot quantities and what they cost against the continuous optimum.

    h          n, contracts; auxiliary columns continuous
    objective  base currency, at h; `bound` the continuous optimum's, below which no lot choice can fall
    rows       by row name: value, lower, upper, violation and allowed violation, desk unit; `finest` leg traded on it;
               then a volatility limit and the user's own constraints, where nothing is allowed
    """

    h: Array
    objective: float
    bound: float
    rows: pd.DataFrame
    solves: int
    moves: int

    @property
    def gap(self) -> float:
        """Objective above the continuous optimum, base currency; with equal limits no lot choice has a negative one."""
        return self.objective - self.bound

    @property
    def broken(self) -> pd.DataFrame:
        """Hard rows that end further outside their band than half the finest traded lot explains."""
        return self.rows[_over(self.rows, self.rows["allowed"])]


def round_program(
    program: Program,
    h: Array,
    solve: Callable[[Program], Answer],
    *,
    multipliers: Array | None = None,
    smallest: Array | None = None,
) -> Rounding:
    """Whole lots near the continuous optimum h (n): every trade a multiple of its lot, every quantity in its box.

    solve        takes a Program and returns anything with `.h` and `.status`
    multipliers  m, of the continuous optimum; they set how hard the dive holds each row
    smallest     n, contracts: the least |trade| of each column (minimum quantity or notional)

    With at most eight lumpy legs a band that a lot choice can meet is met, and where none meets all, the violations'
    sum is least, each row's in lots of its median leg; then the objective. Otherwise a row ends at most half the finest
    traded lot beyond its band, or is named in `broken`. Raises InfeasibleError where a box holds no whole lot.
    """
    grid = Grid.of(program, smallest)
    around = Neighbourhood(program, grid)
    dived, solves = dive(program, h, solve, grid, multipliers)
    if program.cvxpy_terms:  # only CVXPY can value these: the dive's answer stands unless it breaks one
        own = OwnTerms(program)
        met, moves = meet_own(around, own, dived)
        value, bound = (objective(program, q) + own.at(q)[0] for q in (met, h))
        return Rounding(met, value, bound, _rows(around, met, own), solves, moves)
    found, moves = improve(around, dived)
    answers = [found]
    if _rank(around, found)[0] > 0:
        answers += [improve(around, mended)[0] for mended in _mended(around, found)]
    centre = np.where(grid.lumpy, np.clip(h, program.lower, program.upper), dived)
    near = best_nearby(around, centre)
    if near is None:
        answer = min(answers, key=lambda q: _rank(around, q))
    else:
        answer = min([*answers, near], key=lambda q: ranked(around, q))
        value = objective(program, answer)
        dear = max(_DEAR * abs(value), _WORTH * scale_of(program, program.start))
        if _over(_rows(around, answer)).any() or value - objective(program, h) > dear:
            answer = best_far_away(around, centre, answer)
    if (grid.lot == 0).any() and solves:
        answer, solves = settle(program, answer, solve, grid, solves)
    return Rounding(answer, objective(program, answer), objective(program, h), _rows(around, answer), solves, moves)


def round_to_lots(hedge: Hedge) -> Hedge:
    """The hedge in whole venue lots, minimum quantities and notionals met; everything recomputed.

    Its certificate has status `rounded`: `gap` is what the lots cost against the proved bound of any hedge, base
    currency, and its note names each limit that ends beyond its band, and by how much. The setting
    `lots = {min_notional = 1000}` of the hedging model drops lines smaller than that (base currency).
    Raises InfeasibleError where a contract's limits hold no whole lot.
    """
    if hedge.certificate.status == "rounded":
        return hedge
    last = Candidate(hedge.h, hedge.multipliers, "warm", hedge.limit_multiplier)

    def again(program: Program) -> Candidate:
        return solve(program, solver=hedge.model.solver, warm=last).candidate

    rounding = round_program(
        hedge.program, hedge.h, again, multipliers=hedge.multipliers, smallest=smallest_trades(hedge)
    )  # fmt: skip
    proved = hedge.certificate
    certificate = replace(
        proved,
        status="rounded" if proved.optimal else proved.status,
        primal=rounding.objective,
        gap=rounding.objective - proved.dual,
        scale=scale_of(hedge.program, rounding.h),
        residuals=rounding.rows.loc[rounding.rows["hard"], "violation"].rename("residual"),
        violations=rounding.rows.loc[~rounding.rows["hard"], "violation"],
        worst_row="",
        note="; ".join([*([proved.note] if proved.note else []), *_broken_text(hedge, rounding)]),
    )
    return hedge.with_quantities(rounding.h, certificate)


def smallest_trades(hedge: Hedge) -> Array:
    """The least |trade| of each column (n, contracts) by venue minimum quantity and notional. Raises SpecError."""
    settings = dict(hedge.model.lots or {})
    least = float(settings.pop("min_notional", 0.0))
    if settings or not np.isfinite(least) or least < 0:
        raise SpecError(f"lots: {settings or least}; the one setting is min_notional, base currency, 0 or more")
    problem = hedge.problem
    at = problem.positions[problem.tradable]
    instruments, notional = hedge.market.instruments.iloc[at], hedge.market.notional.to_numpy(float)[at]
    floor = np.maximum(instruments["min_notional"].to_numpy(float), least)
    by_notional = np.divide(floor, notional, out=np.zeros_like(floor), where=notional > 0)
    smallest = np.maximum(instruments["min_quantity"].to_numpy(float), by_notional)
    return np.concatenate([smallest, np.zeros(len(hedge.program.columns) - len(at))])


def _broken_text(hedge: Hedge, rounding: Rounding) -> list[str]:
    units = dict(zip(hedge.program.row_names, hedge.problem.row_units, strict=True))
    if hedge.program.volatility_limit is not None:
        units[hedge.program.volatility_limit.name] = VOLATILITY_UNIT
    over = rounding.rows[_over(rounding.rows)]
    before = row_violations(hedge.program, hedge.problem.columns(hedge.problem.start))
    outside = dict(zip(hedge.program.row_names, before, strict=True))
    texts = []
    for name, row in zip(over.index, over.itertuples(), strict=True):
        beyond = f"{name} ends {row.violation:.6g} {units.get(name, '')} beyond its limit".replace("  ", " ")
        if name not in rounding.broken.index:
            texts.append(f"{beyond}, within half a lot of {row.finest}")
        elif name in outside:
            texts.append(f"LIMIT NOT MET: {beyond} ({outside[name]:.6g} before), more than half a lot explains: "
                         "lots, minimum sizes and trade limits left nothing nearer")  # fmt: skip
        else:
            texts.append(f"LIMIT NOT MET: {beyond}; no whole lots that meet it were found")
    return texts


def _rank(around: Neighbourhood, h: Array) -> tuple[float, float]:
    """Order of answers with many legs: excess beyond half a lot, then the objective."""
    excess = around.excess_at(h, around.allowance(np.round(around.grid.lots(h))))
    return round(excess, 9), objective(around.program, h)


def _mended(around: Neighbourhood, h: Array) -> list[Array]:
    """The point nearest h within its allowance, moving only the finest traded legs of each row; none or one."""
    lots = np.round(around.grid.lots(h))
    legs: set[int] = set()
    for row in np.flatnonzero(around.hard):
        exposure = np.where(around.grid.lumpy & (lots != 0) & (around.exposure[row] > 0), around.exposure[row], np.inf)
        finest = np.argsort(exposure, kind="stable")[:_LADDER]
        legs.update(finest[np.isfinite(exposure[finest])].tolist())
    if not legs:
        return []
    mended = nearest_within(around, h, np.array(sorted(legs)), _REACH, around.allowance(lots))
    return [mended] if mended is not None else []


def _over(rows: pd.DataFrame, allowed: pd.Series | float = 0.0) -> pd.Series:
    """Hard rows further outside their band than rounding explains (a mask)."""
    return rows["hard"] & (rows["violation"] > allowed + RESIDUAL_TOLERANCE * rows["scale"])


def _rows(around: Neighbourhood, h: Array, own: OwnTerms | None = None) -> pd.DataFrame:
    p, lots = around.program, np.round(around.grid.lots(h))
    traded = np.where((lots != 0) & around.grid.lumpy & (around.exposure > 0), around.exposure, np.inf)
    finest = [p.columns[row.argmin()] if np.isfinite(row).any() else "" for row in traded]
    rows = pd.DataFrame(
        {
            "value": row_values(p, h),
            "lower": p.row_lower,
            "upper": p.row_upper,
            "violation": row_violations(p, h),
            "allowed": around.allowance(lots),
            "finest": finest,
            "hard": around.hard,
            "scale": (np.abs(around.rows) + around.on_holdings) @ np.abs(h) + p.row_fixed + around.units,
        },
        index=pd.Index(p.row_names, name="row", dtype=object),
    )
    rest = other_limits(p, h, own)
    if rest.empty:
        return rows
    rest = rest.drop(columns="unit").assign(lower=-np.inf, allowed=0.0, finest="", hard=True)[list(rows.columns)]
    return pd.concat([rows, rest]) if len(rows) else rest
