"""What holds a list because its market contradicts itself, and what of it somebody accepted by name."""

from __future__ import annotations

import pandas as pd

from optihedge.hedge.in_play import drivers_of
from optihedge.hedge.result import Hedge
from optihedge.risk.contradictions import HISTORY, book_contradictions, contradictions
from optihedge.risk.finding import SEVERE
from optihedge.trades.checks import Checks


def severe_contradictions(hedge: Hedge, checks: Checks) -> tuple[list[str], list[str]]:
    """Why the list is held for what its market contradicts, and notes: what of it was accepted by name, and of
    positions what gives pause: far beyond what trades, valued at one side.

    Of what is in play alone, and of history only where the model learns from it.
    """
    market, problem = hedge.market, hedge.problem
    positions = book_contradictions(market, pd.Series(problem.start, problem.names))
    said = [str(one) for one in positions if one.severity != SEVERE]
    if not checks.contradictions:
        return [], said
    learns = hasattr(hedge.model.risk, "fit") or hedge.model.betas is not None
    found = [one for one in (*contradictions(market), *positions) if one.severity == SEVERE]
    in_play = {*problem.names, *drivers_of(market, problem.positions)} if found else set()
    mine = [
        one for one in found
        if in_play.intersection(one.labels) and (learns or one.kind not in HISTORY)
    ]  # fmt: skip
    told = [one for one in mine if one.accepted_by(checks.accept)]
    reasons = [str(one).removeprefix(f"{SEVERE}: ") for one in mine if one not in told]
    notes = [f"accepted: {one.kind} of {one.subject}: {one.detail}" for one in told]
    return reasons, notes + said
