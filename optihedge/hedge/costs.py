"""What a hedge will cost, all of it, and which part of that the objective saw."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.hedge.problem import Problem
from optihedge.market.costs import holding_costs, trading_costs, unquoted_funding
from optihedge.market.depth import beyond_hinges
from optihedge.market.snapshot import Market
from optihedge.program.costs import Costs, Depth

Array = np.ndarray
TRADING = ("spread", "fees", "depth", "impact", "other")
HOLDING = ("funding", "borrow", "financing")
_TERMS = {"spread": "SpreadCost", "fees": "FeeCost", "depth": "DepthCost", "impact": "DepthCost",
          "borrow": "HoldingCost",
          "funding": "HoldingCost(funding=true)"}  # fmt: skip


def told_costs(market: Market, problem: Problem, before: Array, after: Array) -> pd.DataFrame:
    """What it costs to go from quantities before to after (N each) and hold them over the horizon, base currency.

    One row per contract in play; TRADING (impact and other are the terms' own estimates; where no term charges impact,
    it is that of what the market does not show), then HOLDING. A trade on a side without a quote has a NaN spread: what
    it would cost is not known.
    """
    trades = pd.Series(after - before, index=problem.names)
    frame = trading_costs(market, trades)
    for part in ("impact", "other"):
        frame[part] = 0.0
    for label, cost in problem.costs.items():
        covers = problem.covers.get(label, ())
        if not covers or "impact" in covers:
            frame["impact" if covers else "other"] += cost.trading(after - before)
    if not _charged(problem, "impact"):
        frame["impact"] += expected_impact(market, problem).trading(after - before)
    held = holding_costs(market, pd.Series(after, index=problem.names), problem.years)
    value = np.maximum(market.value.to_numpy(dtype=float)[problem.positions], 0.0)
    held["borrow"] = problem.borrow * np.maximum(-after, 0.0) * value * problem.years
    held["financing"] = problem.financing * np.maximum(after, 0.0) * value * problem.years
    return frame.join(held)[[*TRADING, *HOLDING]]


def expected_impact(market: Market, problem: Problem) -> Costs:
    """What trading beyond the displayed size costs by the square root law (see market.depth), over N contracts."""
    known: Costs | None = problem.__dict__.get("_impact") if market is problem.market else None
    if known is None:
        known = problem.__dict__["_impact"] = _impact(market, problem)
    return known


def _impact(market: Market, problem: Problem) -> Costs:
    if problem.variance is None:
        return Costs.of(len(problem.names))
    daily = problem.variance.alone() / np.sqrt(problem.days)
    column, side, beyond, slope = beyond_hinges(market, problem.names, daily)
    return Costs.of(len(problem.names), depth=Depth(column=column, side=side, beyond=beyond, slope=slope))


def _charged(problem: Problem, part: str) -> bool:
    return any(part in covers for covers in problem.covers.values())


def cost_series(told: pd.DataFrame) -> pd.Series:
    """The parts of `told_costs`, their sums `trading` and `holding`, and `total`, base currency."""
    parts = told.sum(skipna=False)
    trading, holding = parts[list(TRADING)].sum(skipna=False), parts[list(HOLDING)].sum(skipna=False)
    sums = {**parts[list(TRADING)], "trading": trading, **parts[list(HOLDING)], "holding": holding}
    return pd.Series({**sums, "total": trading + holding}, dtype=float).rename("cost")


def uncharged(market: Market, problem: Problem) -> tuple[str, ...]:
    """A sentence for each cost that these contracts have and no term of the model charges."""
    covered = {part for covers in problem.covers.values() for part in covers}
    tradable = problem.names[problem.tradable]
    one = pd.Series(1.0, index=tradable)
    trade = trading_costs(market, one) + trading_costs(market, -one)
    rates = market.quotes.loc[problem.names, ["borrow_rate", "funding_rate"]].fillna(0.0)
    beyond = expected_impact(market, problem).depth
    walks = pd.Series(0.0, index=tradable)
    if market.depth is not None:
        walks = market.depth["instrument"].value_counts().reindex(tradable).fillna(0.0).clip(lower=2.0) - 2.0
    amounts = {
        "spread": trade["spread"], "fees": trade["fees"], "depth": walks,
        "borrow": rates["borrow_rate"], "funding": rates["funding_rate"],
        "impact": pd.Series(np.bincount(beyond.column, beyond.slope, len(problem.names))),
    }  # fmt: skip
    counts = {part: int((amount.fillna(0.0) != 0).sum()) for part, amount in amounts.items()}
    sentences = [
        f"{part} of {count} contracts in play is charged by no term of the objective; add {_TERMS[part]} "
        "(told costs count it all the same)"
        for part, count in counts.items()
        if count and part not in covered and not (part == "funding" and "carry" in covered)
    ]
    silent = unquoted_funding(market, problem.names)
    if len(silent):
        sentences.append(f"{len(silent)} contracts in play pay funding and quote no rate, {silent[0]} first: told as 0")
    return tuple(sentences)
