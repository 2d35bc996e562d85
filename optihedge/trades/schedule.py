"""A large list over a session: slices whose interim exposures stay inside their bands, legs paced with what they hedge.

With the list's lines i, slices t = 1..T, trades x[t, i] and positions q[t] after slice t:

    minimise    sum c x[t, i]^2 + lambda / (2 T) sum_{t < T} |R q[t]|^2     (impact, and risk while waiting)
    subject to  |x[t, i]| <= participation x volume of a slice, of one sign
                low <= A q[t] <= high                    (every limit of the hedge, all the way; left only last)
                sum_t x[t, i] = what the list asks       (left undone where a band or the volume says so)

A limit's way goes from its value before to its value after, through no more than its band and these two. c makes a
slice at its cap cost half a spread a contract; lambda (urgency 1) makes waiting a session cost what trading at the cap
costs. What is filled goes back in by `again`: the rest is decided anew, never forgotten. After Almgren and Chriss
(Optimal execution of portfolio transactions, 2001), with rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import SolverError, SpecError
from optihedge.frames import duration
from optihedge.market.instruments import trade_lots
from optihedge.program.certificate import Certificate
from optihedge.program.chain import solve
from optihedge.program.program import Program
from optihedge.program.status import Status
from optihedge.trades.export import csv_text
from optihedge.trades.tradelist import TradeList

Array = np.ndarray
_TRADING_DAY = {True: "6h30min", False: "24h"}  # of a daily volume, where drivers count business days; else
_BUSINESS_YEAR = 300.0  # periods a year: fewer are business days
_BREACH = 1e3  # of the whole trading cost: what leaving a band by its whole way costs, so that it is left last
_UNDONE = 10.0  # of half a spread: what a contract left undone costs, more than any slice's impact and less than a band


@dataclass(frozen=True, eq=False, kw_only=True)
class Schedule:
    """Slices of a list. Contracts are signed; a row is a limit of the hedge that the list moves.

    table         slice (1..T), time (UTC, its start), instrument, quantity: whole lots, the first slices first
    exposures     slice (0: before), row, value, lower, upper: interim exposures after each slice, prices held
    left          by instrument, contracts that do not fit the session at this participation
    certificate   the proof of the slices before they were rounded to lots
    """

    table: pd.DataFrame
    exposures: pd.DataFrame
    left: pd.Series
    certificate: Certificate
    task: Any

    def again(self, done: pd.Series, next_slice: int) -> Schedule:
        """The slices from `next_slice` on, decided anew: `done` are the contracts filled so far, by instrument.

        Raises SpecError for a slice outside the session and for more than the list asks.
        """
        return _schedule(self.task, done, next_slice)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Task:
    """What stays the same all session: lines, limits, risk, caps. N lines, m rows, k risk rows."""

    names: pd.Index
    total: Array  # N contracts, signed
    lot: Array
    cap: Array  # N contracts a slice
    cost: Array  # N, base currency per contract squared
    rows: Array  # m x N
    row_names: tuple[str, ...]
    before: Array  # m, value before
    lower: Array
    upper: Array
    risk: Array  # k x N, times the root of lambda / T
    risk_before: Array  # k
    breach: float
    times: pd.DatetimeIndex


def schedule(
    listed: TradeList,
    *,
    slices: int = 12,
    session: str = "6h",
    start: pd.Timestamp | None = None,
    participation: float = 0.1,
    urgency: float = 1.0,
) -> Schedule:
    """The list over a session from `start` (default its instant) in so many slices.

    participation   a slice trades this share of the volume of its time at most (no volume quoted: no cap)
    urgency         0 waits as evenly as the limits allow, above 1 trades sooner

    Raises SpecError where the list is held or a parameter is out of range, SolverError where nothing is proved.

    >>> import optihedge as oh, tempfile
    >>> folder = oh.write_example(tempfile.mkdtemp())
    >>> market, book = oh.read_market(folder), oh.read_book(folder / "book.csv")
    >>> plan = schedule(oh.trade_list(oh.load_model("beta_hedge").hedge(market, book)), slices=4)
    >>> sorted(plan.table["slice"].unique().tolist())
    [1, 2, 3, 4]
    """
    if listed.held:
        raise SpecError(f"schedule: the list is held, there is nothing to send: {'; '.join(listed.reasons)}")
    if not 1 <= slices <= 500 or not 0 < participation <= 1 or not 0 <= urgency < np.inf:
        raise SpecError(f"schedule: slices {slices}, participation {participation:g}, urgency {urgency:g}; give 1 to "
                        "500 slices, a share above 0 and at most 1, an urgency of 0 or more")  # fmt: skip
    return _schedule(_task(listed, slices, session, start, participation, urgency), None, 1)


def _task(
    listed: TradeList, slices: int, session: str, start: pd.Timestamp | None, participation: float, urgency: float
) -> _Task:
    hedge, market = listed.hedge, listed.hedge.market
    names = pd.Index(listed.table["instrument"])
    total = listed.table["quantity"].to_numpy(float)
    step = duration(session, "session") / slices
    day = duration(_TRADING_DAY[market.periods_per_year < _BUSINESS_YEAR], "day")
    volume = market.quotes.loc[names, "volume"].to_numpy(float) * (step / day)
    lot = trade_lots(market.instruments.loc[names])
    cap = np.where(np.isnan(volume), np.abs(total), np.maximum(participation * volume, lot))
    half = np.nan_to_num(np.where(total > 0, *market.trade_cost.loc[names, ["buy", "sell"]].to_numpy(float).T))
    unit = np.maximum(half, 1e-6 * market.notional[names].to_numpy(float))
    rows, row_names, before, lower, upper = _limits(hedge, names, total)
    risk, risk_before = _risk(hedge, names)
    dearest = float(unit @ np.abs(total))
    saved = risk_before @ risk_before - np.sum((risk @ total + risk_before) ** 2)
    weight = np.sqrt(urgency * dearest / (slices * saved)) if saved > 0 else 0.0
    at = market.as_of if start is None else start
    return _Task(
        names=names, total=total, lot=lot, cap=cap, cost=unit / cap, rows=rows, row_names=row_names, before=before,
        lower=lower, upper=upper, risk=weight * risk, risk_before=weight * risk_before, breach=_BREACH * dearest,
        times=pd.DatetimeIndex([at + step * i for i in range(slices)]),
    )  # fmt: skip


def _limits(hedge: Any, names: pd.Index, total: Array) -> tuple[Array, tuple[str, ...], Array, Array, Array]:
    """Rows over the lines, their values before, and the band of the way; only rows that are linear and that move."""
    p, problem = hedge.program, hedge.problem
    place = problem.names[problem.tradable].get_indexer(names)
    linear = (abs(p.rows_on_holdings).sum(axis=1) == 0) & (abs(p.rows_on_trades).sum(axis=1) == 0)
    others = abs(p.rows[:, problem.columns.traded :]).sum(axis=1) if p.rows.shape[0] else np.zeros(0)
    rows = p.rows.toarray()[:, place]
    before = p.rows @ problem.columns.to_columns(problem.start) + problem.row_offset
    moved = rows @ total
    kept = np.flatnonzero(linear & (others == 0) & (moved != 0) & (p.row_tier >= 0))
    before, after = before[kept], (before + moved)[kept]
    low, high = (p.row_lower + problem.row_offset)[kept], (p.row_upper + problem.row_offset)[kept]
    low, high = np.minimum(low, np.minimum(before, after)), np.maximum(high, np.maximum(before, after))
    return rows[kept], tuple(p.row_names[j] for j in kept), before, low, high


def _risk(hedge: Any, names: pd.Index) -> tuple[Array, Array]:
    """A root of the variance over the lines, and what the book brings to it; at most as many rows as lines."""
    form, problem = hedge.problem.variance, hedge.problem
    if form is None:
        return np.zeros((0, len(names))), np.zeros(0)
    place = problem.names.get_indexer(names)
    root = np.vstack([form.factors, form.specifics.toarray(), form.gamma, form.gamma_specifics.toarray()])
    basis, over = np.linalg.qr(root[:, place])
    return over, basis.T @ (root @ problem.start)


def _schedule(task: _Task, done: pd.Series | None, first: int) -> Schedule:
    """Slices first..T for what is not done yet."""
    count = len(task.times)
    filled = np.zeros(len(task.names)) if done is None else done.reindex(task.names).fillna(0.0).to_numpy(float)
    rest = np.where(np.abs(task.total - filled) < 1e-9 * task.lot, 0.0, task.total - filled)
    if not 1 <= first <= count or (np.sign(rest) * np.sign(task.total) < 0).any():
        raise SpecError(f"schedule: slice {first} of {count} with {filled.tolist()} done of {task.total.tolist()}; "
                        "give a slice of the session, and no more than the list asks")  # fmt: skip
    steps = count - first + 1
    most = np.floor(task.cap * steps / task.lot + 1e-9) * task.lot
    goal = np.sign(rest) * np.minimum(np.abs(rest), most)
    solution = solve(_program(task, filled, goal, steps))
    if solution.certificate.status not in (Status.OPTIMAL, Status.ROUNDED):
        raise SolverError(f"schedule: {solution.certificate.note or solution.certificate.status}; give fewer slices")
    plan = _whole_lots(solution.h.reshape(steps, -1), goal, task.lot)
    return Schedule(
        table=_table(task, plan, first), exposures=_exposures(task, filled, plan, first),
        left=_left(task, rest - plan.sum(axis=0)), certificate=solution.certificate, task=task,
    )  # fmt: skip


def _program(task: _Task, filled: Array, goal: Array, steps: int) -> Program:
    """Columns: slice by slice, the lines. Rows: each line's sum, then each limit after each slice."""
    n, m = len(task.names), len(task.row_names)
    so_far = sp.csr_array(np.tril(np.ones((steps, steps))))
    each = np.minimum(np.abs(goal), task.cap)
    now, risk_now = task.before + task.rows @ filled, task.risk_before + task.risk @ filled
    way = np.maximum(task.upper - task.lower, 1e-12)
    return Program(
        columns=tuple(f"{name} {t}" for t in range(steps) for name in task.names),
        start=np.zeros(steps * n), lower=np.tile(np.where(goal < 0, -each, 0.0), steps),
        upper=np.tile(np.where(goal > 0, each, 0.0), steps), quadratic=np.tile(task.cost, steps),
        factors=sp.kron(so_far[:-1], sp.csr_array(task.risk)).toarray(), factor_offset=np.tile(risk_now, steps - 1),
        row_names=(*task.names, *(f"{row} after {t}" for t in range(1, steps + 1) for row in task.row_names)),
        rows=sp.vstack([sp.kron(np.ones((1, steps)), sp.eye(n)), sp.kron(so_far, sp.csr_array(task.rows))]).tocsr(),
        row_lower=np.concatenate([goal, np.tile(task.lower - now, steps)]),
        row_upper=np.concatenate([goal, np.tile(task.upper - now, steps)]),
        row_penalty=np.concatenate([_UNDONE * task.cost * task.cap, np.tile(task.breach / way, steps)]),
        row_tier=np.concatenate([np.zeros(n), np.ones(m * steps)]),
    )  # fmt: skip


def _whole_lots(plan: Array, goal: Array, lot: Array) -> Array:
    """Slices in whole lots whose sum so far is the nearest to the plan's, and never falls back."""
    sign = np.sign(goal)
    lots = np.round(np.abs(np.cumsum(plan, axis=0)) / lot)
    done = np.isclose(np.abs(plan.sum(axis=0)), np.abs(goal), rtol=1e-6, atol=1e-6 * lot)
    lots[-1] = np.where(done, np.round(np.abs(goal) / lot), lots[-1])
    lots = np.minimum.accumulate(np.maximum.accumulate(lots, axis=0)[::-1], axis=0)[::-1]
    return np.round(np.diff(sign * lots, axis=0, prepend=0.0) * lot, 10) + 0.0


def slices_text(plans: Mapping[str, Schedule], format: Literal["csv", "json"] | str) -> str:
    """Schedules by book as text. csv: book, slice, time, instrument, quantity; json: by book also the interim
    exposures beside their bands and what is left. Raises SpecError for another format.
    """
    if format == "csv":
        return csv_text(pd.concat([_timed(plan.table).assign(book=book)[["book", *plan.table.columns]]
                                   for book, plan in plans.items()]))  # fmt: skip
    if format != "json":
        raise SpecError(f"schedule: format {format!r} is unknown; one of csv, json")
    told = {
        book: {"slices": _timed(plan.table).to_dict("records"), "left": plan.left.to_dict(),
               "exposures": plan.exposures.replace({np.inf: None, -np.inf: None}).astype(object).to_dict("records")}
        for book, plan in plans.items()
    }  # fmt: skip
    return json.dumps(told, indent=1, allow_nan=False) + "\n"


def _timed(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(time=table["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _table(task: _Task, plan: Array, first: int) -> pd.DataFrame:
    at, line = np.nonzero(plan)
    return pd.DataFrame({
        "slice": at + first, "time": task.times[at + first - 1], "instrument": task.names[line].astype(str),
        "quantity": plan[at, line],
    })  # fmt: skip


def _left(task: _Task, contracts: Array) -> pd.Series:
    left = pd.Series(np.round(contracts, 10) + 0.0, index=task.names, name="left")
    return left[left.abs() > 1e-9 * task.lot]


def _exposures(task: _Task, filled: Array, plan: Array, first: int) -> pd.DataFrame:
    positions = filled + np.vstack([np.zeros(len(task.names)), np.cumsum(plan, axis=0)])
    value = task.before + positions @ task.rows.T
    count, m = value.shape
    return pd.DataFrame({
        "slice": np.repeat(np.arange(first - 1, first - 1 + count), m), "row": np.tile(task.row_names, count),
        "value": value.ravel(), "lower": np.tile(task.lower, count), "upper": np.tile(task.upper, count),
    })  # fmt: skip
