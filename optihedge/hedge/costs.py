"""What a hedge will cost, all of it, and which part of that the objective saw."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optihedge.frames import counted
from optihedge.hedge.problem import Problem
from optihedge.market.costs import holding_parts, trading_parts, unquoted_funding
from optihedge.market.depth import beyond_hinges, displayed
from optihedge.market.snapshot import Market
from optihedge.program.costs import Costs, Depth
from optihedge.readonly import numbers

Array = np.ndarray
TRADING = ("spread", "fees", "depth", "impact", "other")
HOLDING = ("funding", "borrow", "financing")
SUMS = {"trading": TRADING, "holding": HOLDING, "total": ("trading", "holding")}
_QUOTED = ("borrow_rate", "funding_rate")
_TERMS = {"spread": "SpreadCost", "fees": "FeeCost", "depth": "DepthCost", "impact": "DepthCost",
          "borrow": "HoldingCost",
          "funding": "HoldingCost(funding=true)"}  # fmt: skip


def cost_parts(market: Market, problem: Problem, before: Array, after: Array) -> dict[str, Array]:
    """What it costs to go from quantities before to after (N each) and hold them over the horizon, base currency.

    By part, N each: TRADING (impact and other are the terms' own estimates; where no term charges impact, it is that of
    what the market does not show), then HOLDING. A trade on a side without a quote has a NaN spread: what it would cost
    is not known.
    """
    trade, at = after - before, problem.positions
    parts = {**trading_parts(market, at, trade), "impact": np.zeros(len(trade)), "other": np.zeros(len(trade))}
    for label, cost in problem.costs.items():
        covers = problem.covers.get(label, ())
        if not covers or "impact" in covers:
            parts["impact" if covers else "other"] += cost.trading(trade)
    if not _charged(problem, "impact"):
        parts["impact"] += expected_impact(market, problem).trading(trade)
    value = np.maximum(market.exposure_columns["value"][at], 0.0)
    parts |= holding_parts(market, at, after, problem.years)
    parts["borrow"] = problem.borrow * np.maximum(-after, 0.0) * value * problem.years
    parts["financing"] = problem.financing * np.maximum(after, 0.0) * value * problem.years
    return {part: parts[part] for part in (*TRADING, *HOLDING)}


def expected_impact(market: Market, problem: Problem) -> Costs:
    """What trading beyond the displayed size costs by the square root law (see market.depth), over N contracts."""
    known: Costs | None = problem.__dict__.get("_impact") if market is problem.market else None
    if known is None:
        known = problem.__dict__["_impact"] = _impact(market, problem)
    return known


def _impact(market: Market, problem: Problem) -> Costs:
    if problem.variance is None or not np.isfinite(displayed(market, problem.names)).any():
        return Costs.of(len(problem.names))
    daily = problem.variance.alone() / np.sqrt(problem.days)
    column, side, beyond, slope = beyond_hinges(market, problem.names, daily)
    return Costs.of(len(problem.names), depth=Depth(column=column, side=side, beyond=beyond, slope=slope))


def _charged(problem: Problem, part: str) -> bool:
    return any(part in covers for covers in problem.covers.values())


def cost_sums(told: Mapping[str, Array]) -> dict[str, float]:
    """The parts of `cost_parts`, their sums `trading` and `holding`, and `total`, base currency."""
    parts = {part: float(told[part].sum()) for part in (*TRADING, *HOLDING)}
    for name, of in SUMS.items():
        parts[name] = sum(parts[part] for part in of)
    return {part: parts[part] for part in (*TRADING, "trading", *HOLDING, "holding", "total")}


def uncharged(market: Market, problem: Problem) -> tuple[str, ...]:
    """A sentence for each cost that these contracts have and no term of the model charges."""
    covered = {part for covers in problem.covers.values() for part in covers}
    at, depth = problem.positions[problem.tradable], market.depth
    one = np.ones(len(at))
    bought, sold = trading_parts(market, at, one), trading_parts(market, at, -one)
    levels = np.zeros(len(market.names))
    if depth is not None:
        levels = np.bincount(market.names.get_indexer(depth["instrument"]), minlength=len(levels)).astype(float)
    beyond = expected_impact(market, problem).depth
    quoted = {name: numbers(market.quotes, name)[problem.positions] for name in _QUOTED}
    amounts = {
        "spread": bought["spread"] + sold["spread"], "fees": bought["fees"] + sold["fees"],
        "depth": np.maximum(levels[at], 2.0) - 2.0, "borrow": quoted["borrow_rate"], "funding": quoted["funding_rate"],
        "impact": np.bincount(beyond.column, beyond.slope, len(problem.names)),
    }  # fmt: skip
    counts = {part: int((np.nan_to_num(amount) != 0).sum()) for part, amount in amounts.items()}
    sentences = [
        f"{part} of {counted(count, 'contract')} in play {'are' if part == 'fees' else 'is'} charged by no term of the "
        f"objective; add {_TERMS[part]} (told costs count it all the same)"
        for part, count in counts.items()
        if count and part not in covered and not (part == "funding" and "carry" in covered)
    ]
    silent = unquoted_funding(market, problem.names)
    if len(silent):
        sentences.append(f"{len(silent)} contracts in play pay funding and quote no rate, {silent[0]} first: told as 0")
    return tuple(sentences)
