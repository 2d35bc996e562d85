"""Baselines: what a desk would do without this library, at the same costs and under the same risk."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import DataError
from optihedge.hedge.problem import Problem
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market

Array = np.ndarray


def baselines(market: Market, problem: Problem, after: Array) -> pd.DataFrame:
    """One row each: volatility per day and cost (base currency), trades as text.

    no trade            the book as it stands
    nearest instrument  the tradable contract (an option only where there is nothing else) most correlated with the
                        book under the risk, at minimum variance
    regression beta     least squares of the book's P&L on the hedges' over the recorded moves (see `regression_trades`)
    hedge               quantities `after` (N), for comparison
    """
    start = problem.start
    candidates = {"no trade": np.zeros(len(start)), "nearest instrument": nearest_trade(market, problem)}
    regressed = regression_trades(market, problem)
    if regressed is not None:
        candidates["regression beta"] = regressed
    rows = {name: _row(problem, start, start + trade) for name, trade in {**candidates, "hedge": after - start}.items()}
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("baseline")
    frame["trades"] = [_text(problem.names, trade) for trade in candidates.values()] + [
        f"{int(np.count_nonzero(after != start))} contracts"
    ]
    return frame


def _row(problem: Problem, before: Array, after: Array) -> dict[str, float]:
    volatility = np.nan if problem.variance is None else problem.variance.volatility(after) / np.sqrt(problem.days)
    cost = sum(float(c.by_contract(before, after).sum()) for c in problem.costs.values())
    return {"volatility": volatility, "cost": cost}


def _text(names: pd.Index, trade: Array) -> str:
    moved = np.flatnonzero(trade)
    return ", ".join(f"{trade[i]:+.6g} {names[i]}" for i in moved[:4]) + (" ..." if len(moved) > 4 else "") or "none"


def nearest_trade(market: Market, problem: Problem) -> Array:
    """N trades, one of them not zero: the minimum-variance quantity of the contract most correlated with the book."""
    form, start, trade = problem.variance, problem.start, np.zeros(len(problem.start))
    if form is None or not problem.tradable.any():
        return trade
    plain = problem.tradable & ~types_of(market.instruments)["option"][problem.positions]
    column = np.flatnonzero(plain if plain.any() else problem.tradable)
    own = form.own[column]
    covariance = form.factors[:, column].T @ (form.factors @ start) + own * start[column]
    variance = (form.factors[:, column] ** 2).sum(axis=0) + own
    if form.specifics.shape[0]:
        specifics = sp.csc_array(form.specifics)[:, column]
        covariance = covariance + specifics.T @ (form.specifics @ start)
        variance = variance + np.asarray(specifics.power(2).sum(axis=0)).ravel()
    strength = np.divide(np.abs(covariance), np.sqrt(variance), out=np.zeros(len(column)), where=variance > 0)
    best = int(np.argmax(strength))
    if strength[best] > 0:
        trade[column[best]] = -covariance[best] / variance[best]
    return trade


def regression_trades(market: Market, problem: Problem) -> Array | None:
    """N trades: minus the slopes of least squares of the book's P&L on the hedges' over the recorded moves.

    Hedges: the tradable contracts without an option on drivers marked `market`; without any, the one of the tradable
    contracts most correlated with the book. None where there is no history.
    """
    free = problem.tradable & ~types_of(market.instruments)["option"][problem.positions]
    if not free.any() or not problem.start.any():
        return None
    try:
        moves = market.moves().to_numpy()
    except DataError:
        return None
    loadings = sp.csc_array(market.loadings.matrix)[:, problem.positions]
    book = moves @ (loadings @ problem.start)
    marked = market.drivers["market"].to_numpy(dtype=bool)
    on_market = free & (np.asarray(abs(loadings[np.flatnonzero(marked)]).sum(axis=0)).ravel() > 0)
    chosen = np.flatnonzero(on_market if on_market.any() else free)
    hedges = moves @ loadings[:, chosen].toarray()
    book, hedges = book - book.mean(), hedges - hedges.mean(axis=0)
    if not on_market.any():
        size = np.linalg.norm(hedges, axis=0)
        strength = np.divide(np.abs(book @ hedges), size, out=np.zeros(len(chosen)), where=size > 0)
        best = [int(np.argmax(strength))]
        chosen, hedges = chosen[best], hedges[:, best]
    trade = np.zeros(len(problem.start))
    scale = np.linalg.norm(hedges, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    trade[chosen] = -np.linalg.lstsq(hedges / scale, book, rcond=1e-10)[0] / scale
    return trade
