"""The tables of a hedge, as columns: limits, exposures, risk, costs and charges; every figure from its quantities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pandas as pd

from optihedge.frames.table import Table
from optihedge.hedge.costs import SUMS
from optihedge.hedge.problem import Problem
from optihedge.hedge.terms.neutrality import error_columns
from optihedge.market.snapshot import Market
from optihedge.program.program import Program, row_values, row_violations
from optihedge.program.volatility import VOLATILITY_UNIT, VolatilityLimit

Array = np.ndarray
NO_HEDGE = ("hard, no hedge", "soft, no hedge")  # kinds of limits that no tradable contract moves


class Answered(Protocol):
    """What tables are made of: a Hedge."""

    @property
    def market(self) -> Market: ...
    @property
    def problem(self) -> Problem: ...
    @property
    def program(self) -> Program: ...
    @property
    def h(self) -> Array: ...
    @property
    def multipliers(self) -> Array: ...
    @property
    def limit_multiplier(self) -> float: ...
    @property
    def relaxation(self) -> pd.DataFrame | None: ...
    @property
    def after(self) -> pd.Series: ...


def limit_table(hedge: Answered) -> Table:
    """See `Hedge.limits`."""
    p, problem, offset = hedge.program, hedge.problem, hedge.problem.row_offset
    columns = {
        "before": row_values(p, problem.columns.to_columns(problem.start)) + offset,
        "after": row_values(p, hedge.h) + offset,
        "target": problem.row_targets,
        "lower": p.row_lower + offset,
        "upper": p.row_upper + offset,
        "violation": row_violations(p, hedge.h),
        "shadow_price": -hedge.multipliers,
        "unit": list(problem.row_units),
        "term": list(problem.row_terms),
        "kind": np.where(np.isinf(p.row_penalty), "hard", "soft").tolist(),
    }
    live = Table("limit", list(p.row_names), columns, plain=True)
    beside = len(problem.decided) or p.volatility_limit is not None or hedge.relaxation is not None
    if not beside and not problem.row_measures and not (p.row_tier < 0).any():
        return live
    return Table.of(_all_limits(hedge, live.frame()))


def _all_limits(hedge: Answered, live: pd.DataFrame) -> pd.DataFrame:
    """Limits of rows beside others: measured exactly, of volatility, decided, or that gave way."""
    p, problem = hedge.program, hedge.problem
    for name, measure in problem.row_measures.items():
        after = measure(hedge.after.to_numpy())
        missed = max(after - live.loc[name, "upper"], 0.0)
        live.loc[name, ["before", "after", "violation"]] = (measure(problem.start), after, missed)
    live = live[p.row_tier >= 0] if (p.row_tier < 0).any() else live
    parts = [live] if len(live) else []
    parts += [_volatility_row(hedge, p.volatility_limit, live.columns)] if p.volatility_limit is not None else []
    parts += [_decided_rows(problem.decided, list(live.columns))] if len(problem.decided) else []
    limits = pd.concat(parts) if len(parts) > 1 else parts[0] if parts else live
    return limits if hedge.relaxation is None else _as_given(limits, hedge.relaxation)


def _decided_rows(fixed: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Limits that no tradable contract moves, as they stand."""
    kind = np.where(np.isinf(fixed["penalty"]), *NO_HEDGE)
    stuck = fixed.assign(before=fixed["value"], after=fixed["value"], shadow_price=0.0, kind=kind)
    return stuck[columns].rename_axis("limit")


def _as_given(limits: pd.DataFrame, moved: pd.DataFrame) -> pd.DataFrame:
    above = moved.index[moved["need"] > moved["have"]]
    below = moved.index.difference(above)
    limits.loc[above, "upper"], limits.loc[below, "lower"] = moved["have"][above], moved["have"][below]
    limits.loc[moved.index, "kind"] = "hard, gave way"
    of = limits.loc[moved.index]
    beyond = np.maximum(of["lower"] - of["after"], of["after"] - of["upper"])
    limits.loc[moved.index, "violation"] = np.maximum(beyond, 0.0)
    return limits


def _volatility_row(hedge: Answered, limit: VolatilityLimit, columns: pd.Index) -> pd.DataFrame:
    after = limit.volatility(hedge.h)
    row = {
        "before": limit.volatility(hedge.problem.columns.to_columns(hedge.problem.start)), "after": after,
        "target": np.nan,
        "lower": -np.inf, "upper": limit.limit, "violation": max(after - limit.limit, 0.0),
        "shadow_price": -hedge.limit_multiplier * limit.limit, "unit": VOLATILITY_UNIT,
        "term": limit.name, "kind": "hard",
    }  # fmt: skip
    return pd.DataFrame([row], index=pd.Index([limit.name], name="limit"))[list(columns)]


def exposure_table(hedge: Answered, limits: Table) -> Table:
    """See `Hedge.exposures`."""
    frame, problem = hedge.market.exposures, hedge.problem
    every, errors, units = list(frame.columns), error_columns(frame.columns), frame.attrs.get("unit", {})
    matrix = frame.to_numpy(dtype=float)[problem.positions]
    ends = {"before": problem.start @ matrix, "after": hedge.after.to_numpy() @ matrix}
    limited = np.flatnonzero(~np.isnan(limits.numbers("target")))
    once = [limits.index[i] for i in limited]
    kept = [i for i, name in enumerate(every) if name not in errors and name not in once]
    bare = {"target": np.nan, "lower": -np.inf, "upper": np.inf}
    columns = {}
    for name in (*ends, *bare):
        total = ends[name][kept] if name in ends else np.full(len(kept), bare[name])
        columns[name] = np.concatenate([total, limits.numbers(name)[limited]])
    names = [every[i] for i in kept]
    told = [*(units.get(name, "") for name in names), *(limits["unit"][i] for i in limited)]
    return Table("exposure", [*names, *once], {**columns, "unit": told}, plain=True)


def risk_table(hedge: Answered) -> Table:
    """See `Hedge.risk`; without a row where there is no risk."""
    form, days = hedge.problem.variance, hedge.problem.days
    if form is None:
        return Table("risk", [], {"before": np.zeros(0), "after": np.zeros(0)})
    ends = {"before": form.parts(hedge.problem.start), "after": form.parts(hedge.after.to_numpy())}
    for parts in ends.values():
        parts["variance"] = sum(parts.values())
        parts["volatility"] = float(np.sqrt(parts["variance"] / days))
    return Table("risk", list(ends["before"]), {end: np.array(list(parts.values())) for end, parts in ends.items()})


def charged_by_term(hedge: Answered) -> dict[str, float]:
    """By term what it charged all contracts, base currency."""
    before, after = hedge.problem.start, hedge.after.to_numpy()
    return {label: float(cost.by_contract(before, after).sum()) for label, cost in hedge.problem.costs.items()}


def charges_of(hedge: Answered, charged: Mapping[str, float]) -> dict[str, float]:
    """See `Hedge.charges`."""
    charges, program = dict(charged), hedge.program
    for label, cost in hedge.problem.auxiliary_costs.items():
        if cost.any():
            charges[label] = charges.get(label, 0.0) + float(cost @ hedge.h)
    soft = np.isfinite(program.row_penalty)
    if soft.any():
        missed = row_violations(program, hedge.h)[soft]
        charges["penalties"] = float(program.row_penalty[soft] @ missed)
    charges["total"] = sum(charges.values())
    return charges


def cost_table(cost: Mapping[str, float], charged: Mapping[str, float], covers: Mapping[str, tuple[str, ...]]) -> Table:
    """See `Hedge.cost_table`."""
    seen = dict.fromkeys(cost, 0.0)
    for label, covered in covers.items():
        if label in charged:
            kinds = [kind for kind in covered if kind in seen] or ([] if covered else ["other"])
            if kinds:
                seen[kinds[0]] += charged[label]
    for name, parts in SUMS.items():
        seen[name] = sum(seen[part] for part in parts)
    rows = [part for part in cost if part in SUMS or cost[part] != 0 or seen[part] != 0]
    columns = {name: np.array([of[part] for part in rows], float) for name, of in (("cost", cost), ("charged", seen))}
    return Table("part", rows, columns)
