"""Backtest: what a walk came to, as frozen frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from optihedge.accounts.explain import PARTS
from optihedge.accounts.state import ACCOUNTS
from optihedge.backtest.effectiveness import Effectiveness, newey_west, worst_drawdown
from optihedge.display.numbers import number
from optihedge.errors import SpecError
from optihedge.frames import nearest
from optihedge.market.snapshot import Market
from optihedge.step.step import Step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CARRY = ("theta", "carry", "funding", "dividend", "borrow", "interest", "fill")


@dataclass(frozen=True, eq=False)
class Backtest:
    """Frames of a walk; rows by market time, money in base currency.

    steps       status, why, equity, change, cost expected, notional traded, lines, sha256 of the list, state's hash
    explained   (time, account, instrument) x PARTS and total: sums to `change` at every step
    positions   (time, account) x instrument, contracts after what happened until then
    cash        (time, account) x currency, balances
    trades      every line of every list;  closed  lots that were closed;  notes  (time, note): assumptions
    levels      time x driver marked market
    beside      by name the simple hedges of the same book over the same markets

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> def day(date, price):
    ...     quotes = pd.DataFrame({"instrument": ["S", "F"], "bid": [price - 0.01] * 2, "ask": [price + 0.01] * 2})
    ...     table = pd.DataFrame({"instrument": ["S", "F"], "type": ["equity", "perpetual"], "underlying": "S"})
    ...     return oh.Market(table, quotes, "USD", as_of=date)
    >>> markets = [day("2026-01-19T21:00Z", 100.0), day("2026-01-20T21:00Z", 101.0)]
    >>> model = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(oh.Neutral("delta"),), universe=("F",))
    >>> run = oh.run_backtest(model, markets, {"S": 100.0})
    >>> print(run.base_currency, "equity" in run.steps.columns)
    USD True
    """

    base_currency: str
    steps: pd.DataFrame
    explained: pd.DataFrame
    positions: pd.DataFrame
    cash: pd.DataFrame
    trades: pd.DataFrame
    closed: pd.DataFrame
    notes: pd.DataFrame
    levels: pd.DataFrame
    beside: Mapping[str, Backtest] = field(default_factory=dict)

    @classmethod
    def of(cls, taken: Sequence[Taken], base_currency: str, beside: Mapping[str, Backtest] | None = None) -> Backtest:
        """The frames of steps."""
        times = pd.DatetimeIndex([one.time for one in taken], name="time")
        done = [one.step for one in taken]
        keys = [(time, account) for time in times for account in ACCOUNTS]
        index = pd.MultiIndex.from_tuples(keys, names=["time", "account"])
        held = [one.state.quantities(account).to_dict() for one in done for account in ACCOUNTS]
        money = [dict(one.state.cash.get(account, {})) for one in done for account in ACCOUNTS]
        trades = [one.trades.table for one in done if one.trades is not None]
        closed = [one.closed for one in done if len(one.closed)]
        notes = [(time, note) for time, one in zip(times, done, strict=True) for note in one.notes]
        return cls(
            base_currency=base_currency,
            steps=pd.DataFrame([_row(one) for one in done], index=times),
            explained=pd.concat([one.explained for one in done], keys=times, names=["time"]),
            positions=pd.DataFrame(held, index=index).fillna(0.0),
            cash=pd.DataFrame(money, index=index).fillna(0.0),
            trades=pd.concat(trades, ignore_index=True) if trades else pd.DataFrame(),
            closed=pd.concat(closed, ignore_index=True) if closed else pd.DataFrame(),
            notes=pd.DataFrame(notes, columns=["time", "note"]),
            levels=pd.DataFrame([one.levels for one in taken], index=times),
            beside=dict(beside or {}),
        )

    @cached_property
    def pnl(self) -> pd.DataFrame:
        """Time x (book, hedge, both, cost): P&L of each account without transfers; cost is what fills paid, 0 or more
        as a rule, and is in `hedge`.
        """
        own = (self.explained["total"] - self.explained["transfer"]).groupby(level=["time", "account"]).sum()
        frame = own.unstack("account").reindex(index=self.steps.index[1:], columns=list(ACCOUNTS)).fillna(0.0)
        frame["both"] = frame["book"] + frame["hedge"]
        cost = -self.explained["fill"].groupby(level="time").sum()
        return frame.assign(cost=cost.reindex(frame.index, fill_value=0.0)).rename_axis(columns=None)

    @cached_property
    def parts(self) -> pd.DataFrame:
        """Account x PARTS and total, summed over the walk."""
        return self.attribution("account")

    def attribution(self, *by: str) -> pd.DataFrame:
        """PARTS and total summed by any of time, account and instrument; the sums are the changes of equity to 1e-9.

        Without any: the whole walk, one row `all`. Raises SpecError for another word.
        """
        levels = list(self.explained.index.names)
        for word in by:
            if word not in levels:
                raise SpecError(
                    f"attribution: there is no {word!r}{nearest(word, levels)}; there are {', '.join(levels)}"
                )
        if not by:
            return self.explained.sum().to_frame("all").T
        return self.explained.groupby(level=list(by)).sum()

    @cached_property
    def drawdown(self) -> pd.DataFrame:
        """Time x (book, both): P&L since the start below its highest until then (0 or less)."""
        total = self.pnl[["book", "both"]].cumsum()
        return total - np.maximum(total.cummax(), 0.0)

    @cached_property
    def monthly(self) -> pd.DataFrame:
        """Month x (book, hedge, both, cost): sums of `pnl`."""
        return self.pnl.groupby(self.pnl.index.tz_convert(None).to_period("M")).sum()

    @cached_property
    def effectiveness(self) -> Effectiveness:
        """With a dead zone of a tenth of the book's standard deviation; `Effectiveness.of(pnl, ...)` for others."""
        return Effectiveness.of(self.pnl, dead_zone=0.1 * float(self.pnl["book"].std()))

    @cached_property
    def gamma_scalping(self) -> pd.DataFrame:
        """Time x (realised, implied, total): what gamma earned of the moves that came, and what theta charged for those
        that were priced; both accounts, the carry of forwards in theta.
        """
        each = self.attribution("time")[["gamma", "theta"]].set_axis(["realised", "implied"], axis=1)
        return each.assign(total=each.sum(axis=1))

    @cached_property
    def alpha(self) -> pd.Series:
        """P&L of both accounts per period less their beta on the market drivers' moves, carry and cost; with its error.

        Carry is theta, carry, funding, dividend, borrow and interest. `beta`: base currency per unit return of the
        first market driver. Newey and West's error. NaN without a market driver that moves.
        """
        moves = self.levels.pct_change(fill_method=None).iloc[1:].dropna(axis=1, how="any")
        parts = self.attribution("time").reindex(self.pnl.index, fill_value=0.0)
        rest = self.pnl["both"] - parts[list(_CARRY)].sum(axis=1)
        if moves.empty or not (moves.std() > 0).any() or len(moves) < 3:
            return pd.Series({"alpha": np.nan, "error": np.nan, "beta": np.nan})
        first = moves.loc[:, moves.std() > 0].iloc[:, 0].to_numpy()
        fitted = newey_west(rest.to_numpy(), first)
        return pd.Series({"alpha": fitted.intercept, "error": fitted.intercept_error, "beta": fitted.slope})

    @cached_property
    def summary(self) -> pd.DataFrame:
        """This walk and the simple hedges beside it: P&L, volatility per period, variance removed, cost, turnover."""
        walks = {"this": self, **self.beside}
        return pd.DataFrame({name: _figures(walk) for name, walk in walks.items()}).T.rename_axis("hedge")

    def plot(self) -> Figure:
        """P&L since the start of book, hedge and both, drawdown, rolling beta of book and both on the first market
        driver, and what trading cost so far; base currency.
        """
        from optihedge.display import figure, lines

        drawn, axes = figure(2, 2, height=2.8, width=11)
        pnl, base = self.pnl, self.base_currency
        lines(axes[0, 0], pnl[["book", "hedge", "both"]].cumsum(), "P&L since the start, after costs", base)
        lines(axes[0, 1], self.drawdown, "drawdown", base)
        moves = self.levels.pct_change(fill_method=None).reindex(pnl.index).dropna(axis=1, how="any")
        window = max(min(len(pnl) // 4, 60), 5)
        if moves.shape[1] and len(pnl) > window:
            first = moves.iloc[:, 0]
            spread = first.rolling(window).var()
            beta = pnl[["book", "both"]].apply(lambda c: c.rolling(window).cov(first)).div(spread, axis=0)
            name = f"rolling beta on {moves.columns[0]}, {window} periods"
            lines(axes[1, 0], beta.dropna(), name, f"{base} per unit return")
        lines(axes[1, 1], pnl[["cost"]].cumsum(), "cost so far", base)
        for panel in np.ravel(axes):
            panel.tick_params(axis="x", rotation=20)
        return drawn

    def __repr__(self) -> str:
        return f"<Backtest: {len(self.steps)} steps to {self.steps.index[-1]:%Y-%m-%d}, {len(self.trades)} lines>"

    def __str__(self) -> str:
        span = f"{self.steps.index[0]:%Y-%m-%d} to {self.steps.index[-1]:%Y-%m-%d}"
        counts = ", ".join(f"{n} {status}" for status, n in self.steps["status"].value_counts().items())
        parts = self.parts.loc[:, (self.parts != 0).any()].T
        texts = [
            f"Backtest of {len(self.steps)} steps, {span}, in {self.base_currency}: {counts}",
            self.summary.to_string(float_format=number),
            parts.to_string(float_format=number),
        ]
        if len(self.notes):
            texts.append(f"{len(self.notes)} notes, first: {self.notes['note'].iloc[0]}")
        return "\n\n".join(texts)

    def _repr_html_(self) -> str:
        from optihedge.display import page_html

        counts = ", ".join(f"{n} {status}" for status, n in self.steps["status"].value_counts().items())
        parts = self.parts.loc[:, (self.parts != 0).any()].T.rename_axis("part")
        title = f"{self.steps.index[0]:%Y-%m-%d} to {self.steps.index[-1]:%Y-%m-%d}, {self.base_currency}: {counts}"
        return page_html(title, {"summary": self.summary, "where the money came from": parts})


@dataclass(frozen=True, eq=False)
class Taken:
    """One step of a walk and what is kept of its market."""

    time: pd.Timestamp
    step: Step
    levels: pd.Series

    @classmethod
    def of(cls, market: Market, step: Step) -> Taken:
        """Its instant and the levels of the drivers marked market."""
        return cls(market.as_of, step, market.levels[market.drivers["market"].to_numpy(dtype=bool)])


def _row(one: Step) -> dict[str, object]:
    listed = one.trades
    return {
        "status": one.status,
        "why": one.why,
        "equity": one.equity,
        "change": one.change,
        "cost": 0.0 if listed is None or listed.held else float(np.nansum(listed.columns["cost"])),
        "notional": 0.0 if listed is None or listed.held else float(np.nansum(listed.columns["notional"])),
        "lines": 0 if listed is None else len(listed),
        "sha256": "" if listed is None or listed.held else listed.sha256,
        "state": one.state.hash,
    }


def _figures(walk: Backtest) -> dict[str, float]:
    pnl = walk.pnl
    variance = float(pnl["book"].var())
    return {
        "P&L": float(pnl["both"].sum()),
        "volatility": float(pnl["both"].std()),
        "variance removed": 1 - float(pnl["both"].var()) / variance if variance > 0 else np.nan,
        "worst drawdown": float(worst_drawdown(pnl["both"].to_numpy())),
        "cost": float(pnl["cost"].sum()),
        "turnover": float(walk.steps["notional"].sum()),
        "lists": float((walk.steps["lines"] > 0).sum()),
    }


__all__ = ["PARTS", "Backtest", "Taken"]
