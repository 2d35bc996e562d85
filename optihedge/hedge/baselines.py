"""Baselines: what a desk would do without this library, at the same costs and under the same risk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.display.numbers import number
from optihedge.errors import DataError
from optihedge.frames import counted
from optihedge.frames.table import Table
from optihedge.hedge.costs import cost_parts
from optihedge.hedge.problem import Problem
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market
from optihedge.program.program import row_violations

Array = np.ndarray
_OBSERVED, _LEAST = 0.5, 3  # of the rows: a driver observed on fewer plays no part; rows that a regression needs
_FEWEST = 30  # rows to look back over where all that may be traded was listed lately
_PART, _CLOSE = 1e-3, 1e-6  # of a baseline's trade: what must be possible; of that: what counts as equal
_KEPT, _PARTS = 1e7, 512  # numbers that are kept for the next book; contracts whose P&L is written out at once


def baselines(market: Market, problem: Problem, after: Array, parts: Mapping[str, Array]) -> Table:
    """One row each: volatility per day, cost in all (trading and holding, base currency), trades as text.

    no trade            the book as it stands
    nearest instrument  the tradable contract (an option only where there is nothing else) most correlated with the
                        book under the risk, at minimum variance
    regression beta     least squares of the book's P&L on the hedges' over the recorded moves (see `regression_trades`)
    hedge               quantities `after` (N), whose `cost_parts` these are, for comparison
    """
    start = problem.start
    trades = {"no trade": np.zeros(len(start)), **simple_trades(market, problem)}
    ends = [*(start + trade for trade in trades.values()), after]
    costs = [*(cost_parts(market, problem, start, end) for end in ends[:-1]), parts]
    said = [_text(problem.names, trade) for trade in trades.values()]
    columns = {
        "volatility": np.array([_volatility(problem, end) for end in ends]),
        "cost": np.array([float(sum(part.sum() for part in cost.values())) for cost in costs]),
        "trades": [*said, counted(int(np.count_nonzero(after != start)), "line")],
    }
    return Table("baseline", [*trades, "hedge"], columns)


def simple_trades(market: Market, problem: Problem) -> dict[str, Array]:
    """N trades by name of what takes no optimiser."""
    trades = {"nearest instrument": nearest_trade(market, problem)}
    regressed = regression_trades(market, problem)
    return trades if regressed is None else {**trades, "regression beta": regressed}


def why_no_trade(market: Market, problem: Problem, table: pd.DataFrame, aversion: float, price: float = 0.0) -> str:
    """Why the optimum trades nothing, in figures of the simple hedge (a row of `baselines`) that takes off most risk.

    '' where none takes off any. One that is worth more than it costs is named before one that is not: then its limits
    forbid even a part of it, or what is neither risk, cost nor limit does. price: of volatility over the horizon.
    """
    alone, simple = table.loc["no trade"], table.drop(index=["no trade", "hedge"])
    worth = aversion / 2 * problem.days * (alone["volatility"] ** 2 - simple["volatility"] ** 2)
    worth += price * np.sqrt(problem.days) * (alone["volatility"] - simple["volatility"])
    cost = simple["cost"] - alone["cost"]
    pays = (worth > 0) & (worth > cost)
    if not (worth > 0).any():
        return ""
    best = worth[pays].idxmax() if pays.any() else worth.idxmax()
    figures = f"risk reduction worth {number(worth[best])}, cost {number(cost[best])}"
    trades = simple.at[best, "trades"]
    if not pays.any():
        return f"no trade: {figures} ({best}: {trades})"
    forbidding = _forbidding(problem, simple_trades(market, problem)[best])
    reason = f"limits forbid it: {', '.join(forbidding)}" if forbidding else "whole lots or another term leave it out"
    return f"no trade, not for its cost ({figures}, {best}: {trades}): {reason}"


def _forbidding(problem: Problem, trade: Array) -> list[str]:
    """The hard limits that a small part of a trade (N) would break, or break further."""
    p = problem.program
    before, after = (problem.columns.to_columns(problem.start + part * trade) for part in (0.0, _PART))
    near = _CLOSE * np.abs(after - before)
    boxes = (after > before) & (after > p.upper + near) | (after < before) & (after < p.lower - near)
    more = row_violations(p, after) - row_violations(p, before)
    moved = abs(p.rows) @ np.abs(after - before)
    rows = (more > _CLOSE * moved) & np.isinf(p.row_penalty) & (p.row_tier >= 0)
    named = [name for name, one in zip(p.row_names, rows, strict=True) if one]
    return named + [f"bounds of {name}" for name, one in zip(p.columns, boxes, strict=True) if one]


def _volatility(problem: Problem, quantities: Array) -> float:
    """A day, base currency; NaN without a risk."""
    return np.nan if problem.variance is None else problem.variance.volatility(quantities) / np.sqrt(problem.days)


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
    joint = form.factors.T @ (form.factors @ start) + form.own * start
    covariance = (joint + form.specifics.T @ (form.specifics @ start))[column]
    variance = form.single[column]
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
    recorded = _recorded_once(market, problem.positions, free)
    if recorded is None:
        return None
    moves, loadings, chosen = recorded.moves, recorded.loadings, recorded.chosen
    book = moves @ (loadings @ problem.start)
    book = book - book.mean()
    if recorded.size is not None:
        joint = np.abs(loadings.T @ (book @ moves))[chosen]
        strength = np.divide(joint, recorded.size, out=np.zeros(len(chosen)), where=recorded.size > 0)
        chosen = chosen[[int(np.argmax(strength))]]
    hedges = moves @ loadings[:, chosen].toarray()
    hedges = hedges - hedges.mean(axis=0)
    trade = np.zeros(len(problem.start))
    scale = np.linalg.norm(hedges, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    trade[chosen] = -np.linalg.lstsq(hedges / scale, book, rcond=1e-10)[0] / scale
    return trade


@dataclass(frozen=True, eq=False)
class _Recorded:
    """What the recorded moves say of the N contracts in play, whatever the book.

    moves, loadings   T x D without a hole, D x N
    chosen            contracts to regress on: all of them, or where their P&L's `size` (norm about its mean) is told
                      the one most correlated with the book
    """

    moves: Array
    loadings: sp.csc_array
    chosen: Array
    size: Array | None


def _recorded_once(market: Market, positions: Array, free: Array) -> _Recorded | None:
    """`_recorded`, and for the next book with the same contracts in play the same object, unless it is large."""
    key = positions.tobytes(), free.tobytes()
    known = market.__dict__.get("_recorded")
    if known is not None and known[0] == key:
        return known[1]  # type: ignore[no-any-return]
    found = _recorded(market, positions, free)
    if found is None or found.moves.size <= _KEPT:
        market.__dict__["_recorded"] = key, found
    return found


def _rows_that_tell(moves: Array, loadings: sp.csr_array, free: Array) -> tuple[int, Array]:
    """How many of the last rows of moves (T x D), and which drivers are observed on enough of them.

    All rows; where none of the `free` contracts (of N) is observed on enough, as no future is between two rolls, the
    last half of them, the last quarter ..., while a month is left. loadings D x N.
    """
    used, rows = abs(loadings), len(moves)
    while rows >= _FEWEST or rows == len(moves):
        known = (~np.isnan(moves[-rows:])).mean(axis=0) >= _OBSERVED
        if known.all() or (free & (used[known].sum(axis=0) > 0) & (used[~known].sum(axis=0) == 0)).any():
            return rows, known
        rows //= 2
    return len(moves), (~np.isnan(moves)).mean(axis=0) >= _OBSERVED


def _recorded(market: Market, positions: Array, free: Array) -> _Recorded | None:
    loadings = sp.csc_array(market.loadings.matrix)[:, positions].tocsr()
    active = np.flatnonzero(np.diff(loadings.indptr) > 0)
    try:
        moves = market.moves(drivers=market.drivers.index[active]).to_numpy()
    except DataError:
        return None
    loadings = loadings[active]
    rows, known = _rows_that_tell(moves, loadings, free)
    moves, loadings = moves[-rows:, known], loadings[known]
    moves = moves[~np.isnan(moves).any(axis=1)]
    if len(moves) < _LEAST:
        return None
    marked = market.drivers["market"].to_numpy(dtype=bool)[active[known]]
    on_market = free & (np.asarray(abs(loadings[np.flatnonzero(marked)]).sum(axis=0)).ravel() > 0)
    chosen, loadings = np.flatnonzero(on_market if on_market.any() else free), sp.csc_array(loadings)
    if on_market.any():
        return _Recorded(moves, loadings, chosen, None)
    centred = moves - moves.mean(axis=0)
    parts = np.array_split(chosen, len(chosen) // _PARTS + 1)
    size = [np.linalg.norm(centred @ loadings[:, part].toarray(), axis=0) for part in parts]
    return _Recorded(moves, loadings, chosen, np.concatenate(size))
