"""Answer: what is proved of a Problem. One function makes it: first solve, after boxing, relaxation, frontier."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from optihedge.errors import InfeasibleError, OptihedgeError, SolverError, SpecError
from optihedge.frames import some
from optihedge.hedge.conflict_text import conflict_text, default_limit, hopeless_text
from optihedge.hedge.extremes import unproved
from optihedge.hedge.problem import Problem
from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate, Solver
from optihedge.program.certificate import Certificate
from optihedge.program.chain import Solution, solve
from optihedge.program.infeasible import MARGIN, Relaxation, conflict, give_way, relax
from optihedge.program.own.terms import labels
from optihedge.program.program import Program
from optihedge.program.status import Status
from optihedge.program.tolerances import limit_tolerance
from optihedge.program.volatility import VOLATILITY_UNIT
from optihedge.readonly import read_only

_CONFLICT_BUDGET = 1.0  # seconds for naming a minimal conflict
_LONGEST_CONFLICT = 60.0  # seconds, where trades follow from it: so long that equal inputs end equally


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """Quantities and what is proved of them.

    asked                  the Problem as the terms said it
    problem                as it was answered: limits that gave way moved, auxiliaries with a limit of their own at it
    h, multipliers         n quantities by column, m multipliers by row; `limit_multiplier` of the volatility limit,
                           `pull` of the price of volatility (see `Candidate`)
    certificate            its status: OPTIMAL, UNBOUNDED (it rests on a box that no one set), ROUNDED, FAILED
    relaxation             limits that gave way, or None: have (the limit), need (the limit used instead), change
    """

    asked: Problem
    problem: Problem
    h: Array
    multipliers: Array
    limit_multiplier: float
    certificate: Certificate
    relaxation: pd.DataFrame | None = None
    pull: np.ndarray | None = None

    @property
    def status(self) -> Status:
        """What is proved."""
        return self.certificate.status

    @property
    def relaxed(self) -> bool:
        """Whether some limit gave way."""
        return self.relaxation is not None

    @property
    def candidate(self) -> Candidate:
        """For a warm start of another solve."""
        return Candidate(self.h, self.multipliers, Status.ROUGH, limit_multiplier=self.limit_multiplier)

    @property
    def one_optimum(self) -> bool:
        """Whether solvers end at the same quantities wherever they start: a sum of squares in every column that moves.

        Each has risk of its own, or there are as many factors as columns (a full covariance); a price or a limit of
        volatility is met to a tolerance only.
        """
        p = self.problem.program
        moving = p.lower < p.upper
        curved = bool((p.diagonal[moving] > 0).all()) or len(p.factors) >= int(moving.sum())
        return curved and not (p.has_cones or p.cvxpy_terms)


def answer(
    problem: Problem,
    *,
    solver: str | Solver | Sequence[str | Solver] = "auto",
    on_infeasible: str = "error",
    warm: Answer | None = None,
    deadline: float | None = None,
    ahead: Solver | None = None,
) -> Answer:
    """The certified optimum of a Problem, or of the least relaxed one; `UNBOUNDED` where only a default box stops it.

    deadline   seconds for all of it
    ahead      what is asked before the solver, see `program.chain.solve`

    Raises InfeasibleError with a proof in hand, SolverError where nothing could be proved, and SpecError where that is
    so because of a user's CVXPY term, or where a book of nothing needs capital.
    """
    ends = None if deadline is None else time.perf_counter() + deadline
    left = lambda: None if ends is None else max(ends - time.perf_counter(), 0.0)  # noqa: E731
    asked, gave_way = problem, [rows for rows in [_hopeless(problem)] if len(rows)]
    if gave_way:
        if on_infeasible == "error":
            raise InfeasibleError(hopeless_text(gave_way[0], problem.left_out), gave_way[0])
        gave_way = [_as_they_stand(gave_way[0])]
        if not problem.program.columns:
            problem = replace(problem, program=give_way(problem.program, problem.program.start))
    start = None if warm is None else _warm(warm, problem.program)
    solution = solve(problem.program, solver=solver, deadline=left(), warm=start, ahead=ahead)
    _refuse_without_capital(problem, solution)
    if solution.certificate.status is Status.FAILED:
        raise _without_proof(problem, solution, solver, left())
    if solution.certificate.status is Status.INFEASIBLE:
        relaxation = _least_relaxation(problem, on_infeasible)
        problem, solution = _solve_relaxed(problem, relaxation, solver, left())
        gave_way.append(_limits_used(whole_book(asked, relaxation), problem))
    certificate = _bounded(problem, solution)
    problem, h = _at_own_limits(problem, solution.h)
    return Answer(
        asked=asked, problem=problem, h=read_only(h), multipliers=read_only(solution.multipliers),
        limit_multiplier=solution.limit_multiplier, certificate=certificate,
        relaxation=read_only(pd.concat(gave_way)) if gave_way else None, pull=solution.pull,
    )  # fmt: skip


def _without_proof(
    problem: Problem, solution: Solution, solver: str | Solver | Sequence[str | Solver], deadline: float | None
) -> OptihedgeError:
    """What to raise where nothing was proved: SpecError of a user's own terms without which there is an answer."""
    program, tried = problem.program, "; ".join(solution.certificate.chain) or solution.certificate.note
    if program.cvxpy_terms and deadline != 0:
        rest = solve(replace(program, cvxpy_terms=()), solver=solver, deadline=deadline)
        if rest.certificate.optimal:
            return SpecError(
                f"{labels(program)}: no answer with it could be certified, and without it there is one; write it with "
                f"norms, squares or powers of the quantities alone, or leave it out. Tried: {tried}"
            )
    return unproved(problem, f"no solver returned an answer that could be certified: {tried}")


def _refuse_without_capital(problem: Problem, solution: Solution) -> None:
    unsized = problem.asks_for_capital(solution.h if solution.certificate.optimal else None)
    if unsized:
        raise SpecError(
            f"the book's gross and the hedging model's capital are both zero, so {unsized} has no natural trade limit; "
            "set capital (base currency), or a TradeLimit"
        )


def _least_relaxation(problem: Problem, on_infeasible: str) -> Relaxation:
    """What must give way. Raises InfeasibleError, naming it, unless limits may be relaxed."""
    try:
        relaxation = relax(problem.program)
    except SolverError as error:
        raise unproved(problem, str(error)) from error
    if relaxation.feasible:
        raise InfeasibleError("no quantities meet the CVXPY terms and the other limits together; loosen one")
    names = conflict(problem.program, _CONFLICT_BUDGET if on_infeasible == "error" else _LONGEST_CONFLICT)
    relaxation = _sparing_others(problem.program, names, relaxation)
    if on_infeasible == "error":
        text = conflict_text(problem, names, relaxation, whole_book(problem, relaxation))
        raise InfeasibleError(text, relaxation)
    return relaxation


def _as_they_stand(rows: pd.DataFrame) -> pd.DataFrame:
    """Limits that no tradable moves, as ones that gave way to where they stand."""
    need = rows["value"]
    have = rows["upper"].where(need > rows["upper"], rows["lower"])
    return pd.DataFrame({"have": have, "need": need, "change": need - have})


def _hopeless(problem: Problem) -> pd.DataFrame:
    """Hard limits that are broken and that no tradable contract moves, the volatility limit among them."""
    rows = problem.decided
    if len(rows):
        rows = rows[(rows["violation"] > 0) & np.isinf(rows["penalty"])]
    p, limit = problem.program, problem.program.volatility_limit
    if p.columns or limit is None or limit.volatility(p.start) <= limit.limit + limit_tolerance(p, p.start):
        return rows
    value = limit.volatility(p.start)
    row = {"value": value, "lower": -np.inf, "upper": limit.limit, "violation": value - limit.limit, "penalty": np.inf,
           "unit": VOLATILITY_UNIT, "term": limit.name}  # fmt: skip
    return pd.DataFrame([*rows.to_dict("records"), row], index=pd.Index([*rows.index, limit.name], name="limit"))


def _solve_relaxed(
    problem: Problem, relaxation: Relaxation, solver: str | Solver | Sequence[str | Solver], deadline: float | None
) -> tuple[Problem, Solution]:
    """The problem with the limits that must give way moved as far as they must, and by a margin that can be solved."""
    for margin in (MARGIN, 10 * MARGIN, 100 * MARGIN):
        program = give_way(problem.program, relaxation.h, margin)
        solution = solve(program, solver=solver, deadline=deadline)
        if solution.certificate.status == "optimal":
            return replace(problem, program=program), solution
    raise unproved(
        problem,
        "the relaxed limits could not be met; please report this with the Program, which "
        "optihedge.program.archive.save_program(model.problem(market, book).program, file) writes",
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
    """The certificate; UNBOUNDED where the answer touches a default box, which no one meant as a limit."""
    certificate = solution.certificate
    touched = problem.at_default_box(solution.h) if certificate.optimal else []
    if not touched:
        return certificate
    at = f"{some(touched, 5)}: at {default_limit(problem)}"
    note = f"{at}, which no one set; set a TradeLimit, a cost or an aversion"
    return replace(certificate, status=Status.UNBOUNDED, note=note)


def _at_own_limits(problem: Problem, h: Array) -> tuple[Problem, Array]:
    """The problem and h with each auxiliary that has a hard limit of its own fixed at it.

    That is as good an optimum, and the rows that define the auxiliary are then limits of the contracts alone, which is
    what a search over whole lots needs.
    """
    p = problem.program
    if not problem.row_measures:
        return problem, np.clip(h, p.lower, p.upper)
    start, lower, upper = p.start.copy(), p.lower.copy(), p.upper.copy()
    for row in map(p.row_names.index, problem.row_measures):
        (entries,) = p.rows[[row]].toarray()
        own = np.flatnonzero(entries)
        if len(own) == 1 and np.isinf(p.row_penalty[row]):
            start[own] = np.clip(p.row_upper[row] / entries[own], lower[own], upper[own])
            lower[own] = upper[own] = start[own]
    return replace(problem, program=replace(p, start=start, lower=lower, upper=upper)), np.clip(h, lower, upper)


def _warm(earlier: Answer, program: Program) -> Candidate:
    """An earlier answer's quantities and multipliers under this Program's names; what is new, or holds another quantity
    than the answer left, starts at its own.
    """
    before, h, multipliers = earlier.problem.program, earlier.h, earlier.multipliers
    start = before.start
    if before.columns != program.columns or before.row_names != program.row_names:
        known = pd.DataFrame({"h": h, "start": start}, index=pd.Index(before.columns)).reindex(list(program.columns))
        h, start = known["h"].to_numpy(), known["start"].to_numpy()
        rows = pd.Series(multipliers, index=pd.Index(before.row_names), dtype=float)
        multipliers = rows.reindex(list(program.row_names)).fillna(0.0).to_numpy(dtype=float)
    flowed = (program.start != start) & ~(abs(program.start - h) <= program.lot)
    return Candidate(np.where(flowed, program.start, h), multipliers, Status.ROUGH, earlier.limit_multiplier)


def whole_book(problem: Problem, relaxation: Relaxation) -> pd.DataFrame:
    """have, need and change with what fixed positions bring added back."""
    offset = pd.Series(problem.row_offset, index=list(problem.program.row_names), dtype=float)
    brought = offset.reindex(relaxation.frame.index).fillna(0.0)
    return relaxation.frame.assign(have=relaxation.frame["have"] + brought, need=relaxation.frame["need"] + brought)


def _sparing_others(p: Program, names: tuple[str, ...], least: Relaxation) -> Relaxation:
    """The least relaxation in which, within each tier, limits outside the named conflict give way last."""
    if not names or least.frame.index.isin(names).all():
        return least
    return relax(p, [2 * int(tier) + (name in names) for tier, name in zip(p.row_tier, p.row_names, strict=True)])
