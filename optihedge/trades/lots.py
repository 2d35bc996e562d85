"""A hedge in whole venue lots: what the kernel's rounding means for a list."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optihedge.errors import SolverError
from optihedge.hedge.result import Hedge
from optihedge.market.instruments import closes_small
from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.certificate import Limits
from optihedge.program.chain import solve
from optihedge.program.duality import scale_of
from optihedge.program.few_columns import few_columns, few_may_trade
from optihedge.program.general.small import rough
from optihedge.program.lots.grid import Grid
from optihedge.program.lots.rounding import Rounding, round_program
from optihedge.program.program import Program, row_violations
from optihedge.program.solvers import propose, quick_to_try
from optihedge.program.status import Status
from optihedge.program.volatility import VOLATILITY_UNIT
from optihedge.readonly import numbers
from optihedge.trades.tickets import Tickets

_STOPPED = "the search for better lots was stopped by the deadline; none can save more than the gap"
_LOOKING = 0.5  # of a deadline: how long better lists are looked for than the one at hand


def _left(ends: float | None, deadline: float | None) -> float | None:
    """Seconds that are left of a deadline, None without one. Raises SolverError where it is over."""
    if ends is None:
        return None
    left = ends - time.perf_counter()
    if left <= 0:
        raise SolverError(f"whole lots were not found within {deadline:g} s; give more time")
    return left


def round_to_lots(hedge: Hedge, *, deadline: float | None = None) -> Hedge:
    """The hedge in whole venue lots, minimum quantities and notionals met; everything recomputed.

    Its certificate has status `rounded`: `gap` is what the lots cost against the proved bound of any hedge, base
    currency, and its note names each limit that ends beyond its band, and by how much. The setting
    `lots = {min_notional = 1000}` of the hedging model drops lines smaller than that (base currency).
    In the first half of `deadline` seconds better lists are looked for; then the best at hand is the answer, and the
    note says so: its gap is what any other could save at most.
    Raises InfeasibleError where a contract's limits hold no whole lot, SolverError where `deadline` seconds are over
    before there is a list.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> whole = oh.round_to_lots(oh.load_model("delta_neutral").hedge(market, book))
    >>> print(whole.certificate.status, bool((whole.trades % 1 == 0).all()))
    rounded True
    """
    smallest = smallest_trades(hedge)
    if hedge.status is Status.ROUNDED and _is_whole(hedge, smallest):
        return hedge
    began = time.perf_counter()
    ends, looking = (None, None) if deadline is None else (began + deadline, began + _LOOKING * deadline)
    again = _solver(hedge, ends, deadline)

    def rounded() -> Rounding:
        m = hedge.multipliers
        return round_program(program, hedge.h, again, multipliers=m, smallest=smallest, until=looking)

    allowed = _may_close(hedge)
    program, smallest = _within_position(hedge.program, _closes(hedge, smallest) & allowed, smallest, allowed)
    _left(ends, deadline)  # a rounding that needs no solve keeps it too
    rounding = rounded()
    turned = _turned(hedge, rounding.h, smallest)
    if turned.any():
        program, smallest = _within_position(program, turned, smallest, allowed)
        rounding = rounded()
    stopped = [_STOPPED] if looking is not None and time.perf_counter() > looking else []
    proved, told = hedge.certificate, rounding.ends
    certificate = replace(
        proved,
        status=Status.ROUNDED if proved.optimal else proved.status,
        primal=rounding.objective,
        gap=rounding.objective - proved.dual,
        scale=scale_of(hedge.program, rounding.h),
        limits=Limits(told.names, told.hard, told.violation),
        note="; ".join([*([proved.note] if proved.note else []), *stopped, *_broken_text(hedge, rounding)]),
    )
    return hedge.with_quantities(rounding.h, certificate)


def _solver(hedge: Hedge, ends: float | None, deadline: float | None) -> Callable[[Program], Candidate]:
    """Answers of Programs on the way to whole lots, which need no proof: the lots are judged as they are."""
    first = last = hedge.program, Candidate(hedge.h, hedge.multipliers, Status.ROUGH, hedge.limit_multiplier)

    def again(program: Program) -> Candidate:
        nonlocal last
        left = _left(ends, deadline)
        if hedge.model.solver == "auto":
            near = _quickly(program, hedge.program.volatility_price is not None)
            if near is not None:
                return near
        warm = last[1] if program.columns == last[0].columns else first[1].over(first[0], program)
        if program.cvxpy_terms:
            return solve(program, solver=hedge.model.solver, warm=warm, deadline=left).candidate
        found = propose(program, solver=hedge.model.solver, warm=warm, deadline=left)
        if found.status is Status.OPTIMAL:
            last = program, replace(found, status=Status.ROUGH)
        return found

    return again


def _quickly(program: Program, few: bool) -> Candidate | None:
    """An answer of a solver that takes next to no time, where there is one; `few`: whether few columns trade."""
    if few and few_may_trade(program):
        found = few_columns(program)
        if found is not None:
            return found
    return rough(program) if quick_to_try(program) else None


def _is_whole(hedge: Hedge, smallest: Array) -> bool:
    """Whether its trades are what it says: whole lots, of the least size or none."""
    grid = Grid.of(hedge.program, smallest)
    return bool((~grid.lumpy | grid.permitted(grid.lots(hedge.h))).all())


def _within_position(program: Program, some: Array, smallest: Array, allowed: Array) -> tuple[Program, Array]:
    """Positions smaller than a minimum are closed as a whole, where that is allowed, or left alone."""
    if not some.any():
        return program, smallest
    start = program.start
    box = replace(
        program,
        lower=np.where(some, np.maximum(program.lower, np.minimum(start, 0.0)), program.lower),
        upper=np.where(some, np.minimum(program.upper, np.maximum(start, 0.0)), program.upper),
    )
    return box, np.where(some & allowed, np.abs(start), smallest)


def _closes(hedge: Hedge, smallest: Array) -> Array:
    """Columns whose position is smaller than a minimum and would rather be closed than kept."""
    start = hedge.program.start
    toward = -np.sign(start) * (hedge.h - start)
    return (start != 0) & (np.abs(start) < smallest) & (toward > np.abs(start) / 2) & (toward < smallest)


def _may_close(hedge: Hedge) -> Array:
    """Columns whose whole position an order may close: the desk's own minimum never stops it, a venue's may."""
    start, at = hedge.program.start, hedge.problem.positions[hedge.problem.tradable]
    allowed = np.zeros(len(start), bool)
    enough = np.abs(start[: len(at)]) >= _least(hedge, 0.0) * (1 - 1e-9)
    allowed[: len(at)] = closes_small(hedge.market.instruments, at) | enough
    return allowed


def _turned(hedge: Hedge, h: Array, smallest: Array) -> Array:
    """Columns whose position a minimum size, not the optimum, turned from long to short or back."""
    start = hedge.program.start
    wanted = np.abs(hedge.h - start)
    return (start * h < 0) & (np.abs(start) < smallest) & (wanted < smallest)


def smallest_trades(hedge: Hedge) -> Array:
    """The least |trade| of each column (n, contracts) by venue minimum quantity and notional. Raises SpecError."""
    least = _least(hedge, Tickets.of(hedge.model.lots).min_notional)
    return np.concatenate([least, np.zeros(len(hedge.program.columns) - len(least))])


def _least(hedge: Hedge, min_notional: float) -> Array:
    """The least |trade| of each tradable contract by its venue's minimum, and by this notional (base currency)."""
    at = hedge.problem.positions[hedge.problem.tradable]
    table, notional = hedge.market.instruments, hedge.market.notional.to_numpy(float)[at]
    floor = np.maximum(numbers(table, "min_notional")[at], min_notional)
    by_notional = np.divide(floor, notional, out=np.zeros_like(floor), where=notional > 0)
    return np.maximum(numbers(table, "min_quantity")[at], by_notional)


def _broken_text(hedge: Hedge, rounding: Rounding) -> list[str]:
    ends = rounding.ends
    beyond_band = np.flatnonzero(ends.over())
    if not len(beyond_band):
        return []
    units = dict(zip(hedge.program.row_names, hedge.problem.row_units, strict=True))
    if hedge.program.volatility_limit is not None:
        units[hedge.program.volatility_limit.name] = VOLATILITY_UNIT
    before = row_violations(hedge.program, hedge.problem.columns.to_columns(hedge.problem.start))
    outside = dict(zip(hedge.program.row_names, before, strict=True))
    broken, texts = ends.over(ends.allowed), []
    for at in beyond_band:
        name = ends.names[at]
        beyond = f"{name} ends {ends.violation[at]:.6g} {units.get(name, '')} beyond its limit".replace("  ", " ")
        if not broken[at]:
            texts.append(f"{beyond}, within half a lot of {ends.finest[at]}")
        elif name in outside:
            texts.append(f"LIMIT NOT MET: {beyond} ({outside[name]:.6g} before); lots, minimum sizes and "
                         "trade limits left nothing nearer")  # fmt: skip
        else:
            texts.append(f"LIMIT NOT MET: {beyond}; no whole lots that meet it were found")
    return texts
