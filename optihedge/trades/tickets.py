"""Tickets: what an order costs beside its trade, how many there may be, and the answer that makes do with few."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from optihedge.errors import SpecError
from optihedge.frames import nearest
from optihedge.hedge.answer import answer
from optihedge.hedge.result import Hedge
from optihedge.hedge.terms.base import check_number
from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.chain import solve
from optihedge.program.lots.few_lines import few_lines
from optihedge.program.program import Program
from optihedge.program.status import Status


@dataclass(frozen=True)
class Tickets:
    """Settings of a list's lines, the table `lots` of a model file.

    min_notional   base currency: no line is smaller, but for one that closes a position
    ticket_fee     base currency: what each line costs beside its trade; lines that earn less are merged into others
    most_lines     a list has at most so many
    """

    min_notional: float = 0.0
    ticket_fee: float = 0.0
    most_lines: int | None = None

    def __post_init__(self) -> None:
        check_number("lots", "min_notional", self.min_notional, 0.0)
        check_number("lots", "ticket_fee", self.ticket_fee, 0.0)
        most = self.most_lines
        if most is not None and (not isinstance(most, (int, np.integer)) or isinstance(most, bool) or most < 1):
            raise SpecError(f"lots: most_lines is {most!r}; give a whole number, 1 or more, or leave it out")

    @classmethod
    def of(cls, settings: Tickets | Mapping[str, object] | None) -> Tickets:
        """Tickets from a hedging model's `lots`. Raises SpecError for an unknown field, with the nearest right name."""
        if isinstance(settings, Tickets):
            return settings
        known = [f.name for f in fields(cls)]
        for name in settings or {}:
            if name not in known:
                raise SpecError(f"lots: there is no {name}{nearest(name, known)}; there are {', '.join(known)}")
        return cls(**(settings or {}))  # type: ignore[arg-type]

    @property
    def few(self) -> bool:
        """Whether the number of lines matters."""
        return self.ticket_fee > 0 or self.most_lines is not None


def within(hedge: Hedge, most: Array, deadline: float | None) -> Hedge:
    """The hedge with every trade within the `most` it may buy and sell (N x 2), answered as the first was, cold."""
    boxed = hedge.answer.asked.boxed(most[:, 0], most[:, 1])
    found = answer(boxed, solver=hedge.model.solver, on_infeasible=hedge.model.on_infeasible, deadline=deadline)
    return replace(hedge, answer=found)


def with_few_lines(
    hedge: Hedge, may: Array, tickets: Tickets, left: Callable[[], float | None]
) -> tuple[Hedge, list[str]]:
    """The hedge answered again with the lines that are worth their tickets, and a note; as it is where they are few.

    may   the most that each contract may buy and sell (N x 2), within which the hedge was answered
    left  seconds that remain, or None

    Raises InfeasibleError where no choice of so few lines meets the limits.
    """
    problem, program = hedge.problem, hedge.program
    counted = int((hedge.trades.abs() > 0).sum())
    if hedge.answer.relaxed or program.cvxpy_terms:
        return hedge, ["lines are not merged: limits gave way, or the model has terms of its own"]
    mask = np.zeros(len(program.columns), bool)
    mask[problem.columns.contracts] = True

    def again(one: Program, warm: Candidate) -> Candidate:
        return solve(one, solver=hedge.model.solver, warm=warm, deadline=left()).candidate

    found = few_lines(program, hedge.answer.candidate, again, mask, fee=tickets.ticket_fee, most=tickets.most_lines)
    kept = np.zeros(len(problem.names), bool)
    kept[problem.tradable] = found.kept[problem.columns.contracts]
    fewer = within(hedge, np.where(kept[:, None], may, 0.0), left())
    return fewer, [f"{int(found.kept.sum())} lines in place of {counted}"]


def beside(listed: Hedge, first: Hedge) -> Hedge:
    """The list's hedge with the bound of the hedge that had all lines: no list within its limits is below it."""
    proof, dual = listed.certificate, first.certificate.dual
    if listed.status is not Status.ROUNDED:
        return listed
    return listed.with_quantities(listed.h, replace(proof, dual=dual, gap=proof.primal - dual))
