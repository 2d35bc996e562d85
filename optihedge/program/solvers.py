"""Solvers by name, and what they propose: the one place where a solver is called. Nothing is proved here."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import numpy as np

from optihedge.errors import SolverError, SpecError
from optihedge.program.aversion import at_answer
from optihedge.program.candidate import Candidate, Solver
from optihedge.program.certificate import GAP_TOLERANCE, judge
from optihedge.program.few_columns import FewColumns, few_may_trade
from optihedge.program.program import Program
from optihedge.program.screened import Screened, has_scenarios, worth_screening
from optihedge.program.softened import Softened
from optihedge.program.status import Status
from optihedge.program.structured.solver import near, polish
from optihedge.program.threads import one_thread
from optihedge.program.volatility_limit import SETTLED, within_limit
from optihedge.program.volatility_price import at_price

_HOME = {
    "small": ("general.small", "Small", {}),
    "structured": ("structured.solver", "Structured", {}),
    "clarabel": ("general.clarabel_", "Clarabel", {}),
    "clarabel:box": ("general.clarabel_", "Clarabel", {"scaling": "box"}),
    "piqp": ("general.piqp_", "Piqp", {}),
    "piqp:box": ("general.piqp_", "Piqp", {"scaling": "box"}),
    "osqp": ("general.osqp_", "Osqp", {}),
    "highs": ("general.highs_", "Highs", {}),
    "cvxpy": ("general.cvxpy_", "Modelled", {}),
    "modelled": ("general.cvxpy_", "Modelled", {}),  # its earlier name
}
_SMALL_COLUMNS = 160  # up to which a compiled solver's one call is quicker than NumPy's many
_SMALL_WORK = 3e5  # likewise: products of a column's entries with each other, all columns
_ROUGHLY = 1e-3  # how near an answer need be to name the worst scenarios
_AUXILIARIES = 10  # columns without risk or lot from which general solvers go first

Named = str | Solver | Sequence[str | Solver]


@cache
def solver_named(name: str) -> Solver:
    """The solver of that name; "cvxpy:SCS" is CVXPY with SCS, "isolated:piqp" is PIQP in a process of its own.

    Raises SpecError with the nearest right name.
    """
    key, _, option = name.partition(":")
    if name in _HOME:
        module, kind, options = _HOME[name]
    elif key in ("cvxpy", "modelled") and option:
        module, kind, options = "general.cvxpy_", "Modelled", {"solver": option.upper()}
    elif key == "isolated" and solver_named(option):
        module, kind, options = "general.isolated", "Isolated", {"solver": option}
    else:
        near = difflib.get_close_matches(name, _HOME, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_HOME)} cvxpy:NAME and isolated:NAME"
        raise SpecError(f"there is no solver {name!r}; {hint}")
    return getattr(import_module(f"optihedge.program.{module}"), kind)(**options)


def solvers_of(program: Program, named: Named) -> list[Solver]:
    """The named solvers in order; "auto": those that measurement favours. Raises SpecError for an unknown one."""
    several = (named,) if isinstance(named, str) or not isinstance(named, Sequence) else named
    first: list[Solver] = []
    if several == ("auto",):
        several, first = default_chain(program), _of_few(program) + _of_tails(program)
    return first + [solver_named(one) if isinstance(one, str) else one for one in several]


def _of_few(program: Program) -> list[Solver]:
    """What goes first where a price of volatility leaves most columns as they are."""
    return [FewColumns()] if program.volatility_price is not None and few_may_trade(program) else []


def _of_tails(program: Program) -> list[Solver]:
    """What goes first where rows of scenarios prevail."""
    curved = program.curved or program.has_cones
    if worth_screening(program):
        return [Screened(_soft, _nearly) if curved else Screened(_over_a_part)]
    return [Softened(_by_rows)] if curved and has_scenarios(program) else []


def _over_a_part(program: Program, deadline: float | None, warm: Candidate | None) -> Candidate:
    return propose(program, solver=default_chain(program), deadline=deadline, warm=warm)


def _by_rows(program: Program, deadline: float | None, warm: Candidate | None) -> Candidate:
    return propose(program, solver=("structured", "piqp", "clarabel"), deadline=deadline, warm=warm)


def _soft(program: Program, deadline: float | None, warm: Candidate | None) -> Candidate:
    return Softened(_by_rows).solve(program, deadline=deadline, warm=warm)


def _nearly(program: Program, deadline: float | None, warm: Candidate | None) -> Candidate:
    rough = lambda p, left, _: near(p, tolerance=_ROUGHLY, deadline=left)  # noqa: E731
    return Softened(rough, tolerance=10 * _ROUGHLY).solve(program, deadline=deadline, warm=warm)


def default_chain(program: Program) -> tuple[str, ...]:
    """Solvers in the order that measurement favours for a Program of this shape and size."""
    if program.cvxpy_terms:
        return ("cvxpy",)
    last: tuple[str, ...] = () if program.curved else ("highs",)
    if program.volatility_price is not None:
        last = (*last, "cvxpy")  # where no volatility is left, and quadratic Programs tell no way there
    if last and (program.lot == 0).any():  # losses: the simplex is 3 to 10 times faster
        return (*last, "clarabel", "piqp", "structured", "clarabel:box", "piqp:box")
    if many_auxiliaries(program):
        return ("clarabel", "piqp", "clarabel:box", "piqp:box", "structured", *last)
    first = ("small",) if quick_to_try(program) else ()
    return (*first, "structured", "clarabel", "piqp", "clarabel:box", "piqp:box", *last)


def quick_to_try(program: Program) -> bool:
    """Whether `small` states the Program, and is quicker than what comes after it."""
    n, *rows = program.size
    few = 0 < n <= _SMALL_COLUMNS and n * sum(rows) ** 2 <= _SMALL_WORK and program.row_table.dense
    return few and not (program.has_cones or program.powered) and program.moves


def many_auxiliaries(program: Program) -> bool:
    """Whether rows of scenarios with a column each prevail: sparse general solvers are 2 to 20 times faster there."""
    some = (program.lot == 0.0).nonzero()[0]
    if len(some) < _AUXILIARIES:
        return False
    idle = ~(program.factors[:, some].any(axis=0) | (program.diagonal[some] > 0))
    return int(idle.sum()) >= _AUXILIARIES


def propose(
    program: Program, *, solver: Named = "auto", deadline: float | None = None, warm: Candidate | None = None
) -> Candidate:  # fmt: skip
    """The first candidate that a solver claims to be optimal or infeasible, unproved; else the last one's word.

    For a solve inside another whose answer is proved as a whole. `deadline`: seconds from now, for all solvers.
    """
    ends = None if deadline is None else time.perf_counter() + deadline
    left = lambda: None if ends is None else ends - time.perf_counter()  # noqa: E731
    candidate = Candidate.none(program, Status.FAILED, "no time left")
    for one in solvers_of(program, solver):
        rest = left()
        if rest is not None and rest <= 0:
            break
        candidate = attempt(one, program, left, warm)
        if candidate.status.proved:
            break
    return candidate


@one_thread()
def attempt(
    solver: Solver, program: Program, left: Callable[[], float | None], warm: Candidate | None = None,
    tolerance: float = GAP_TOLERANCE,
) -> Candidate:  # fmt: skip
    """The solver's candidate within `left` seconds: whatever it raises is its failure, not ours.

    A volatility limit is priced, and a price of volatility made an aversion, where the solver does not take them.
    Raises SpecError of a user's own CVXPY term.
    """
    if not program.has_cones or _takes_cones(solver) or getattr(solver, "takes_price", False):
        return guarded(program, lambda: solver.solve(program, deadline=left(), warm=warm))
    inner = lambda p, last: _sharp(solver, p, left, last, tolerance)  # noqa: E731
    limited = lambda p, last: within_limit(p, inner, propose, left, last, tolerance)  # noqa: E731
    return guarded(program, lambda: at_price(program, limited, left, warm, tolerance))


@dataclass(frozen=True)
class Priced:
    """A solver that takes a volatility's limit or price as a cone, asked by quadratic Programs as others are."""

    solver: Solver

    @property
    def name(self) -> str:
        """What a certificate's chain calls it."""
        return f"{self.solver.name} priced"

    def solve(self, program: Program, *, deadline: float | None, warm: Candidate | None = None) -> Candidate:
        """What the solver says."""
        return self.solver.solve(program, deadline=deadline, warm=warm)


def solvers_for(program: Program, solvers: Sequence[Solver]) -> list[Solver]:
    """The solvers, each that takes a volatility as a cone followed by itself without that, where there is one."""
    two = program.has_cones and not program.cvxpy_terms
    return [each for one in solvers for each in ((one, Priced(one)) if two and _takes_cones(one) else (one,))]


def _takes_cones(solver: Solver) -> bool:
    return getattr(solver, "takes_limit", False)


def polished(program: Program, candidate: Candidate, left: Callable[[], float | None]) -> Candidate:
    """Newton steps from a rough candidate's multipliers; a price of volatility is the aversion it asks for there."""
    return guarded(program, lambda: polish(at_answer(program, candidate.h), candidate, deadline=left()))


def guarded(program: Program, act: Callable[[], Candidate]) -> Candidate:
    """What `act` gives if it is a candidate at all; else none, and why."""
    try:
        candidate = act()
        right = np.shape(candidate.h) == program.start.shape
        if not right or np.shape(candidate.multipliers) != program.row_upper.shape:
            raise SolverError("its answer has the wrong shape")
    except Exception as error:
        if isinstance(error, SpecError) and program.cvxpy_terms:
            raise
        return Candidate.none(program, Status.FAILED, f"{type(error).__name__}: {str(error)[:200]}")
    return candidate


def _sharp(
    solver: Solver, program: Program, left: Callable[[], float | None], warm: Candidate | None, tolerance: float
) -> Candidate:
    """The solver's candidate, after Newton steps where it could not be certified as it stands and then can."""
    candidate = solver.solve(program, deadline=left(), warm=warm)
    final = solver.name == "structured" or candidate.status in SETTLED
    if final or judge(program, candidate, tolerance).status is Status.OPTIMAL:
        return candidate
    better = polish(program, candidate, deadline=left())
    return better if judge(program, better, tolerance).status is Status.OPTIMAL else candidate
