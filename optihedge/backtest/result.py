"""Backtest: what a walk came to, as frozen frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from optihedge.accounts.explain import PARTS
from optihedge.accounts.state import ACCOUNTS
from optihedge.step.step import Step


@dataclass(frozen=True, eq=False)
class Backtest:
    """Frames of a walk; rows by market time, money in base currency.

    steps       status, why, equity, change, cost expected, notional traded, lines, sha256 of the list, state's hash
    explained   (time, account, instrument) x PARTS and total: sums to `change` at every step
    positions   (time, account) x instrument, contracts after the step's fills;  cash  (time, account) x currency
    trades      every line of every list
    closed      lots that were closed
    notes       (time, text): assumptions
    """

    base_currency: str
    steps: pd.DataFrame
    explained: pd.DataFrame
    positions: pd.DataFrame
    cash: pd.DataFrame
    trades: pd.DataFrame
    closed: pd.DataFrame
    notes: pd.DataFrame

    @classmethod
    def of(cls, taken: Sequence[tuple[pd.Timestamp, Step]], base_currency: str) -> Backtest:
        """The frames of steps by time."""
        times = pd.DatetimeIndex([time for time, _ in taken], name="time")
        steps = pd.DataFrame([_row(one) for _, one in taken], index=times)
        explained = pd.concat([one.explained for _, one in taken], keys=times, names=["time"])
        keys = [(time, account) for time in times for account in ACCOUNTS]
        index = pd.MultiIndex.from_tuples(keys, names=["time", "account"])
        held = [one.state.quantities(account) for _, one in taken for account in ACCOUNTS]
        money = [dict(one.state.cash.get(account, {})) for _, one in taken for account in ACCOUNTS]
        trades = pd.concat([one.trades.table for _, one in taken if one.trades is not None] or [pd.DataFrame()])
        closed = pd.concat([one.closed for _, one in taken if len(one.closed)] or [pd.DataFrame()])
        notes = [(time, note) for time, one in taken for note in one.notes]
        return cls(
            base_currency, steps, explained,
            pd.DataFrame([h.to_dict() for h in held], index=index).fillna(0.0),
            pd.DataFrame(money, index=index).fillna(0.0),
            trades.reset_index(drop=True), closed.reset_index(drop=True), pd.DataFrame(notes, columns=["time", "note"]),
        )  # fmt: skip

    @cached_property
    def pnl(self) -> pd.DataFrame:
        """Time x (book, hedge, both, cost): P&L of each account without transfers; cost is the hedge's `fill`, paid."""
        own = (self.explained["total"] - self.explained["transfer"]).groupby(level=["time", "account"]).sum()
        frame = own.unstack("account").reindex(index=self.steps.index[1:], columns=list(ACCOUNTS)).fillna(0.0)
        frame["both"] = frame["book"] + frame["hedge"]
        cost = -self.explained["fill"].groupby(level="time").sum()
        return frame.assign(cost=cost.reindex(frame.index, fill_value=0.0)).rename_axis(columns=None)

    @cached_property
    def parts(self) -> pd.DataFrame:
        """Account x PARTS and total, summed over the walk."""
        return self.explained.groupby(level="account").sum()

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
    def turnover(self) -> pd.Series:
        """Notional of the lists sent, by time."""
        return self.steps["notional"]


def _row(one: Step) -> dict[str, object]:
    listed = one.trades
    return {
        "status": one.status,
        "why": one.why,
        "equity": one.equity,
        "change": one.change,
        "cost": 0.0 if listed is None else listed.cost,
        "notional": 0.0 if listed is None else listed.notional,
        "lines": 0 if listed is None else len(listed.table),
        "sha256": "" if listed is None else listed.sha256,
        "state": one.state.hash,
    }


__all__ = ["PARTS", "Backtest"]
