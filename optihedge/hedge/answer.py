"""From a Problem to a Hedge: solve, say what must give way where limits conflict, refuse what is unproved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optihedge.errors import InfeasibleError, SolverError, SpecError
from optihedge.frames import some
from optihedge.hedge.builder import DEFAULT_BOX
from optihedge.hedge.explain import bound_prices
from optihedge.hedge.problem import Problem
from optihedge.hedge.result import Hedge
from optihedge.market.snapshot import Market
from optihedge.program.certificate import (
    Certificate,
    bare,
    clip_multipliers,
    dual_gap,
    limit_tolerance,
)
from optihedge.program.chain import Solution, solve
from optihedge.program.infeasible import MARGIN, Relaxation, conflict, give_way, relax, row_scale
from optihedge.program.program import VOLATILITY_UNIT, Array, Candidate, Program
from optihedge.program.status import Status
from optihedge.risk.contract_risk import ContractRisk
from optihedge.risk.root import Risk

if TYPE_CHECKING:
    from optihedge.hedge.model import HedgeModel

_PARALLEL = 1e-9  # 1 - |cosine| below which two rows of exposures are proportional
_CONFLICT_BUDGET = 1.0  # seconds for naming a minimal conflict
_LONGEST_CONFLICT = 60.0  # seconds, where trades follow from it: so long that equal inputs end equally
_RESTS = 1e-7  # of a proof's size: what a contract's bound adds to it beyond rounding


def settle(
    model: HedgeModel,
    market: Market,
    risk: Risk | ContractRisk | None,
    problem: Problem,
    *,
    warm: Hedge | None = None,
    deadline: float | None = None,
) -> Hedge:
    """The Hedge of a Problem. Raises InfeasibleError, SolverError, and SpecError where capital is needed."""
    relaxed: list[pd.DataFrame] = []
    hopeless = _hopeless(problem)
    if len(hopeless):
        if model.on_infeasible == "error":
            raise InfeasibleError(_hopeless_text(hopeless, problem.notes), hopeless)
        need = hopeless["value"]
        have = hopeless["upper"].where(need > hopeless["upper"], hopeless["lower"])
        relaxed.append(pd.DataFrame({"have": have, "need": need, "change": need - have}))
        if not problem.program.columns:
            problem = replace(problem, program=give_way(problem.program, problem.program.start))
    start = None if warm is None else _warm(warm, problem.program)
    solution = solve(problem.program, solver=model.solver, deadline=deadline, warm=start)
    unsized = problem.asks_for_capital(solution.h if solution.certificate.status == "optimal" else None)
    if unsized:
        raise SpecError(
            f"the book's gross and the hedging model's capital are both zero, so {unsized} has no natural trade limit; "
            "set capital (base currency), or a TradeLimit"
        )
    if solution.certificate.status in ("infeasible", "failed"):
        relaxation = relax(problem.program)
        if relaxation.feasible and solution.certificate.status == "infeasible":
            raise InfeasibleError("no quantities meet the CVXPY terms and the other limits together; loosen one")
        if relaxation.feasible:
            raise SolverError(
                "no solver returned an answer that could be certified: "
                f"{'; '.join(solution.certificate.chain) or solution.certificate.note}"
            )
        names = conflict(problem.program, _CONFLICT_BUDGET if model.on_infeasible == "error" else _LONGEST_CONFLICT)
        relaxation = _sparing_others(problem.program, names, relaxation)
        witness = _whole_book(problem, relaxation)
        if model.on_infeasible == "error":
            raise InfeasibleError(_conflict_text(problem, names, relaxation, witness), relaxation)
        problem, solution = _solve_relaxed(problem, relaxation, model.solver, deadline)
        relaxed.append(_limits_used(witness, problem))
    certificate = _bounded(problem, solution)
    problem, h = _at_own_limits(problem, solution.h)
    return Hedge(
        model=model, market=market, risk_model=risk, problem=problem, h=h, multipliers=solution.multipliers,
        limit_multiplier=solution.limit_multiplier, certificate=certificate,
        relaxation=pd.concat(relaxed) if relaxed else None,
    )  # fmt: skip


def _hopeless(problem: Problem) -> pd.DataFrame:
    """Hard limits that are broken and that no tradable contract moves, the volatility limit among them."""
    rows = problem.decided[(problem.decided["violation"] > 0) & np.isinf(problem.decided["penalty"])]
    p, limit = problem.program, problem.program.volatility_limit
    if p.columns or limit is None or limit.volatility(p.start) <= limit.limit + limit_tolerance(p, p.start):
        return rows
    value = limit.volatility(p.start)
    row = {"value": value, "lower": -np.inf, "upper": limit.limit, "violation": value - limit.limit, "penalty": np.inf,
           "unit": VOLATILITY_UNIT, "term": limit.name}  # fmt: skip
    return pd.DataFrame([*rows.to_dict("records"), row], index=pd.Index([*rows.index, limit.name], name="limit"))


def _solve_relaxed(
    problem: Problem, relaxation: Relaxation, solver: Any, deadline: float | None
) -> tuple[Problem, Solution]:
    """The problem with the limits that must give way moved as far as they must, and by a margin that can be solved."""
    for margin in (MARGIN, 10 * MARGIN, 100 * MARGIN):
        program = give_way(problem.program, relaxation.h, margin)
        solution = solve(program, solver=solver, deadline=deadline)
        if solution.certificate.status == "optimal":
            return replace(problem, program=program), solution
    raise SolverError(
        "the relaxed limits could not be met; please report this with the Program, which "
        "optihedge.program.archive.save_program(model.problem(market, book).program, file) writes"
    )


def _limits_used(witness: pd.DataFrame, problem: Problem) -> pd.DataFrame:
    """The witness with the limits that the relaxed problem was solved within as its `need`."""
    p, offset = problem.program, problem.row_offset
    ends = pd.DataFrame({"lower": p.row_lower + offset, "upper": p.row_upper + offset}, index=list(p.row_names))
    if p.volatility_limit is not None:
        ends.loc[p.volatility_limit.name] = (-np.inf, p.volatility_limit.limit)
    ends = ends.loc[witness.index]
    need = ends["upper"].where(witness["change"] > 0, ends["lower"])
    return witness.assign(need=need, change=need - witness["have"])


def _bounded(problem: Problem, solution: Solution) -> Certificate:
    """The certificate; `unbounded` where the answer touches a default box, which no one meant as a limit."""
    certificate = solution.certificate
    touched = problem.at_default_box(solution.h) if certificate.status == "optimal" else []
    if not touched:
        return certificate
    at = f"{some(touched, 5)}: at {_default_limit(problem)}"
    note = f"{at}, which no one set; set a TradeLimit, a cost or an aversion"
    return replace(certificate, status=Status.UNBOUNDED, note=note)


def _at_own_limits(problem: Problem, h: Array) -> tuple[Problem, Array]:
    """The problem and h with each auxiliary that has a hard limit of its own fixed at it.

    That is as good an optimum, and the rows that define the auxiliary are then limits of the contracts alone, which is
    what a search over whole lots needs.
    """
    p = problem.program
    start, lower, upper = p.start.copy(), p.lower.copy(), p.upper.copy()
    for row in map(p.row_names.index, problem.row_measures):
        (entries,) = p.rows[[row]].toarray()
        own = np.flatnonzero(entries)
        if len(own) == 1 and np.isinf(p.row_penalty[row]):
            start[own] = np.clip(p.row_upper[row] / entries[own], lower[own], upper[own])
            lower[own] = upper[own] = start[own]
    return replace(problem, program=replace(p, start=start, lower=lower, upper=upper)), np.clip(h, lower, upper)


def _warm(hedge: Hedge, program: Program) -> Candidate:
    """An earlier hedge's quantities and multipliers under this Program's names; what is new starts at its own."""
    columns = pd.Series(hedge.h, index=pd.Index(hedge.program.columns))
    rows = pd.Series(hedge.multipliers, index=pd.Index(hedge.program.row_names), dtype=float)
    if hedge.program.columns == program.columns and hedge.program.row_names == program.row_names:
        return Candidate(hedge.h, hedge.multipliers, Status.ROUGH, hedge.limit_multiplier)
    h = columns.reindex(list(program.columns)).fillna(pd.Series(program.start, index=list(program.columns)))
    m = rows.reindex(list(program.row_names)).fillna(0.0)
    return Candidate(h.to_numpy(), m.to_numpy(dtype=float), Status.ROUGH, hedge.limit_multiplier)


def _whole_book(problem: Problem, relaxation: Relaxation) -> pd.DataFrame:
    """have, need and change with what fixed positions bring added back."""
    offset = pd.Series(problem.row_offset, index=list(problem.program.row_names), dtype=float)
    brought = offset.reindex(relaxation.frame.index).fillna(0.0)
    return relaxation.frame.assign(have=relaxation.frame["have"] + brought, need=relaxation.frame["need"] + brought)


def _hopeless_text(rows: pd.DataFrame, notes: tuple[str, ...]) -> str:
    lines = [
        f"  {row.Index} is {row.value:.10g}, allowed {_range(row.lower, row.upper)} {row.unit}".rstrip()
        for row in rows.itertuples()
    ]
    problem = "no tradable contract moves these limits; mark a hedge for each, widen its band or make it soft:"
    return "\n".join([problem, *lines, *(note for note in notes if ": not traded" in note)])


def _range(lower: float, upper: float) -> str:
    if np.isneginf(lower):
        return f"at most {upper:.10g}"
    return f"at least {lower:.10g}" if np.isposinf(upper) else f"{lower:.10g} to {upper:.10g}"


def _sparing_others(p: Program, names: tuple[str, ...], least: Relaxation) -> Relaxation:
    """The least relaxation in which, within each tier, limits outside the named conflict give way last."""
    if not names or least.frame.index.isin(names).all():
        return least
    return relax(p, [2 * int(tier) + (name in names) for tier, name in zip(p.row_tier, p.row_names, strict=True)])


def _at_default_text(problem: Problem, relaxation: Relaxation) -> list[str]:
    """A sentence where the proof of the conflict rests on default trade limits, which no one set."""
    p, m, mu = bare(problem.program), relaxation.multipliers, relaxation.limit_multiplier
    gap = dual_gap(p, relaxation.h, clip_multipliers(p, m), mu)
    price = bound_prices(p, gap.best, m, mu)
    used = (price < 0) & problem.default_upper | (price > 0) & problem.default_lower
    rests = used & (np.abs(price) * (p.upper - p.lower) > _RESTS * (np.abs(m) @ row_scale(p)))
    names = [name for name, one in zip(p.columns, rests, strict=True) if one]
    if not names:
        return []
    return [
        f"it rests on {_default_limit(problem)} of {some(names, 5)}, which no one set: "
        "set capital (base currency) or a TradeLimit"
    ]


def _default_limit(problem: Problem) -> str:
    return f"the default trade limit ({DEFAULT_BOX:g} x the book's gross or capital, {DEFAULT_BOX * problem.size:.6g})"


def _conflict_text(problem: Problem, names: tuple[str, ...], relaxation: Relaxation, witness: pd.DataFrame) -> str:
    units = dict(zip(problem.program.row_names, problem.row_units, strict=True))
    if problem.program.volatility_limit is not None:
        units[problem.program.volatility_limit.name] = VOLATILITY_UNIT
    lines = []
    for row in witness.itertuples():
        unit = units.get(row.Index, "")
        lines.append(
            f"  {row.Index}: have {row.have:.10g}, need {row.need:.10g}, smallest change {row.change:+.6g}"
            + (f" ({unit})" if unit else "")
        )
    text = [f"no quantities meet every limit; these conflict: {', '.join(names)}"] if names else []
    text += [*proportional_rows(problem, names), *_at_default_text(problem, relaxation)]
    return "\n".join([*(text or ["no quantities meet every limit"]), "one way to make it feasible is", *lines])


def proportional_rows(problem: Problem, names: tuple[str, ...]) -> list[str]:
    """A sentence for each pair of conflicting rows whose exposures are proportional over every tradable contract.

    Options of one expiry under a flat vol have proportional gamma and vega (vega = gamma S^2 vol T): no number of them
    meets both targets.
    """
    program = problem.program
    at = [program.row_names.index(name) for name in names if name in program.row_names]
    rows = program.rows[at].toarray()
    size = np.linalg.norm(rows, axis=1)
    sentences = []
    for i in range(len(at)):
        for j in range(i):
            if size[i] * size[j] > 0 and 1 - abs(rows[i] @ rows[j]) / (size[i] * size[j]) < _PARALLEL:
                pair = f"{program.row_names[at[j]]} and {program.row_names[at[i]]}"
                sentences.append(
                    f"{pair} are jointly infeasible: proportional over every tradable contract (as gamma and vega are "
                    "for options of one expiry under a flat vol); add a contract of another expiry, or drop one target"
                )
    return sentences
