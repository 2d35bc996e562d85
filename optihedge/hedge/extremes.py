"""Where no answer can be certified: which term's figures are out of all proportion to the book, if one's are."""

from __future__ import annotations

import numpy as np

from optihedge.errors import OptihedgeError, SolverError, SpecError
from optihedge.hedge.problem import Problem
from optihedge.program.costs import PIECES
from optihedge.program.infeasible import row_scale

BEYOND = 1e6  # times the book's size, or what a limit's contracts can reach: no cost and no limit of a desk
_POWER = {"quadratic": 2.0, "power": 1.5}


def unproved(problem: Problem, why: str) -> OptihedgeError:
    """What to raise where nothing could be proved: SpecError naming a term out of proportion, else SolverError."""
    told = extreme_term(problem)
    return SpecError(f"{told}; no answer can be certified beside it: check its unit") if told else SolverError(why)


def extreme_term(problem: Problem) -> str:
    """The term whose costs, risk or limit are furthest out of proportion, and by how much; "" where none is."""
    found = [*_costs(problem), *_limits(problem), *_risk(problem)]
    ratio, text = max(found, default=(0.0, ""))
    return text if ratio > BEYOND else ""


def _costs(problem: Problem) -> list[tuple[float, str]]:
    """By term: the most that one contract can cost within its bounds, over the book's size."""
    p, size = problem.program, max(problem.size, 1.0)
    low, high = problem.start.copy(), problem.start.copy()
    low[problem.tradable], high[problem.tradable] = (box[problem.columns.contracts] for box in (p.lower, p.upper))
    held, traded = np.maximum(abs(low), abs(high)), np.maximum(abs(low - problem.start), abs(high - problem.start))
    found = []
    for term, costs in problem.costs.items():
        for piece in PIECES:
            each = np.abs(getattr(costs, piece))
            reach = held if piece in ("long", "short", "linear") else traded
            most = each * reach ** _POWER.get(piece, 1.0) / size
            at = int(np.argmax(most)) if len(most) else 0
            if len(most) and most[at] > BEYOND:
                told = f"{term}: {piece} of {problem.names[at]} is {each[at]:.6g} per contract"
                found.append((float(most[at]), f"{told}, up to {most[at]:.3g} times the book's size"))
    return found


def _limits(problem: Problem) -> list[tuple[float, str]]:
    """By row: its finite limit over what its contracts reach within their bounds."""
    p = problem.program
    scale = row_scale(p)
    found = []
    for low, high, size, name, term in zip(
        p.row_lower, p.row_upper, scale, p.row_names, problem.row_terms, strict=True
    ):
        ends = [abs(end) for end in (low, high) if np.isfinite(end)]
        ratio = max(ends, default=0.0) / size
        if ratio > BEYOND:
            named = name if name == term else f"{term}, {name}"
            found.append((ratio, f"{named}: its limit {max(ends):.6g} is {ratio:.3g} times what its contracts reach"))
    return found


def _risk(problem: Problem) -> list[tuple[float, str]]:
    """The terms of risk together: what the book costs them as it stands, over its size."""
    p = problem.program
    rest = np.concatenate([p.factors @ p.start + p.factor_offset, p.specifics @ p.start + p.specific_offset])
    worth = 0.5 * float(rest @ rest + p.diagonal @ p.start**2) / max(problem.size, 1.0)
    names = ", ".join(sorted(problem.risk_terms))
    return [(worth, f"{names}: the book's risk as it stands costs {worth:.3g} times the book's size")]
