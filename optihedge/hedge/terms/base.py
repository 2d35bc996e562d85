"""Term: what a user says, and the one method by which it says it to a ProgramBuilder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from optihedge.errors import SpecError
from optihedge.hedge.builder import ProgramBuilder
from optihedge.hedge.builder_data import HUGE


@dataclass(frozen=True)
class Term:
    """One sentence of a hedging model. Subclass it, give fields, and write `contribute` with the builder's verbs.

    name       what reports and rows call it; None takes the class's short name
    soft       None is hard; a number is the penalty, base currency per desk unit of violation
    priority   with on_infeasible = "relax": 0 gives way last, larger numbers earlier

    >>> import optihedge as oh
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class TicketCost(oh.Term):
    ...     rate: float = 0.0001
    ...
    ...     def contribute(self, p):
    ...         charge = self.rate * p.measure("notional")
    ...         p.cost(buy=charge, sell=charge)
    >>> TicketCost().label
    'TicketCost'
    """

    short_name: ClassVar[str] = ""
    reads_boxes: ClassVar[bool] = False  # contributes after the terms that set bounds, for p.reach and p.largest

    _: KW_ONLY
    name: str | None = None
    soft: float | None = None
    priority: int = 0

    def __post_init__(self) -> None:
        if self.soft is not None:
            check_number(self.label, "soft", self.soft, 0.0)
        whole = isinstance(self.priority, (int, np.integer)) and not isinstance(self.priority, bool)
        if not whole or self.priority < 0:
            raise SpecError(
                f"{self.label}: priority is {self.priority!r}; give an integer, 0 gives way last, larger ones earlier"
            )

    @property
    def label(self) -> str:
        """The name that reports use; unique within a model."""
        return self.name or self.short_name or type(self).__name__

    @property
    def covers(self) -> tuple[str, ...]:
        """Which real costs this term charges: spread, fees, depth, impact, borrow, funding; () where none of these.

        What a term that covers none of them charges on trades is told as `other`.
        """
        return ()

    def contribute(self, p: ProgramBuilder) -> None:
        """Write this term to the Program under construction."""
        raise NotImplementedError(f"{type(self).__name__} needs a contribute(self, p) method")


@dataclass(frozen=True)
class CvxpyTerm(Term):
    """What the verbs cannot say: function(h, p) -> a CVXPY expression to add to the objective, a constraint, or a list.

    h is a CVXPY expression, the quantities after trading over p.names (contracts); p.start holds those before, and
    p.exposure, p.total and p.measure give data in the same order. Tangents stand for it while the Program is solved
    (sizes, squares and 3/2 powers of trades need none), and the proof is of the function itself; with variables of its
    own, the whole Program goes through CVXPY, which proves less often: write norm1(x) rather than s with norm1(x) <= s.
    A term for which nothing can be proved, where the Program without it has an answer, is a SpecError that names it.

    >>> import optihedge as oh
    >>> import cvxpy as cp
    >>> oh.terms.CvxpyTerm(lambda h, p: cp.norm(h - p.start, 1) <= 5_000.0, name="few contracts").label
    'few contracts'
    """

    function: Callable[[Any, ProgramBuilder], Any]

    def contribute(self, p: ProgramBuilder) -> None:
        p.cvxpy(self.function)


def check_number(label: str, name: str, value: object, least: float = -np.inf, strict: bool = False) -> None:
    """Raise SpecError unless value is finite and >= least (> least where strict)."""
    if (
        not isinstance(value, (int, float, np.floating, np.integer)) or isinstance(value, bool)
        or not np.isfinite(value) or value < least or (strict and value == least)
    ):  # fmt: skip
        bound = "finite" if least == -np.inf else f"finite and {'>' if strict else '>='} {least:g}"
        raise SpecError(f"{label}: {name} is {value!r}; give a number that is {bound}")
    if not -HUGE <= value <= HUGE:
        raise SpecError(f"{label}: {name} is {value!r}, beyond {HUGE:g}; check its unit")
