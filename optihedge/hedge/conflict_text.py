"""What is said where limits conflict: which, by how much the least must give way, and what the proof rests on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.frames import some
from optihedge.hedge.builder import DEFAULT_BOX
from optihedge.hedge.problem import Problem
from optihedge.program.certificate import bare
from optihedge.program.duality import bound_prices, clip_multipliers, dual_gap
from optihedge.program.infeasible import Relaxation, row_scale
from optihedge.program.volatility import VOLATILITY_UNIT

_PARALLEL = 1e-9  # 1 - |cosine| below which two rows of exposures are proportional
_RESTS = 1e-7  # of a proof's size: what a contract's bound adds to it beyond rounding


def hopeless_text(rows: pd.DataFrame, left_out: tuple[str, ...]) -> str:
    """Limits that no tradable contract moves, a line each, and which contracts were left out and why."""
    lines = [
        f"  {row.Index} is {row.value:.10g}, allowed {_range(row.lower, row.upper)} {row.unit}".rstrip()
        for row in rows.itertuples()
    ]
    problem = "no tradable contract moves these limits; mark a hedge for each, widen its band or make it soft:"
    return "\n".join([problem, *lines, *left_out])


def _range(lower: float, upper: float) -> str:
    if np.isneginf(lower):
        return f"at most {upper:.10g}"
    return f"at least {lower:.10g}" if np.isposinf(upper) else f"{lower:.10g} to {upper:.10g}"


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
        f"it rests on {default_limit(problem)} of {some(names, 5)}, which no one set: "
        "set capital (base currency) or a TradeLimit"
    ]


def default_limit(problem: Problem) -> str:
    """The trade limit of a contract for which no one set one."""
    return f"the default trade limit ({DEFAULT_BOX:g} x the book's gross or capital, {DEFAULT_BOX * problem.size:.6g})"


def conflict_text(problem: Problem, names: tuple[str, ...], relaxation: Relaxation, witness: pd.DataFrame) -> str:
    """Which limits conflict (names), and one way to make the problem feasible: the witness, in desk units."""
    units = dict(zip(problem.program.row_names, problem.row_units, strict=True))
    if problem.program.volatility_limit is not None:
        units[problem.program.volatility_limit.name] = VOLATILITY_UNIT
    lines = []
    for row in witness.itertuples():
        unit = units.get(row.Index, "")
        lines.append(
            f"  {row.Index}: have {row.have:.10g}, need {row.need:.10g}, {relaxation.word} {row.change:+.6g}"
            + (f" ({unit})" if unit else "")
        )
    text = [f"no quantities meet every limit; these conflict: {', '.join(names)}"] if names else []
    text += [*proportional_rows(problem, names), *_at_default_text(problem, relaxation)]
    more = [relaxation.beyond_least] if relaxation.beyond_least else []
    return "\n".join(
        [
            *(text or ["no quantities meet every limit"]),
            "one way to make it feasible is",
            *lines,
            *more,
            *problem.left_out,
        ]
    )


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
