"""Backtest: what a walk came to, as frozen frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optihedge.accounts.explain import PARTS
from optihedge.accounts.quoted import quoted
from optihedge.accounts.state import ACCOUNTS
from optihedge.backtest.effectiveness import Effectiveness, worst_drawdown
from optihedge.backtest.slopes import newey_west, rolling_slopes, still
from optihedge.display.numbers import number
from optihedge.errors import SpecError
from optihedge.frames import nearest
from optihedge.market.snapshot import Market
from optihedge.readonly import kept
from optihedge.step.step import Step
from optihedge.trades.table import COLUMNS, frame_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TRANSFER, _FILL = np.array(PARTS) == "transfer", PARTS.index("fill")
_GREEKS = ("delta", "gamma", "vega", "theta")
_PERIODS_A_BETA = 10
_CARRY = ("theta", "carry", "funding", "dividend", "borrow", "interest", "fill")


@dataclass(frozen=True, eq=False)
class Backtest:
    """The steps `taken` by a walk, and frames of them, made when they are read: rows by market time, money in base
    currency.

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
    taken: tuple[Taken, ...]
    beside: Mapping[str, Backtest] = field(default_factory=dict)

    @classmethod
    def of(cls, taken: Sequence[Taken], base_currency: str, beside: Mapping[str, Backtest] | None = None) -> Backtest:
        """Of the steps of a walk."""
        return cls(base_currency, tuple(taken), dict(beside or {}))

    @cached_property
    def times(self) -> pd.DatetimeIndex:
        """When each step was taken."""
        return pd.DatetimeIndex([one.time for one in self.taken], name="time")

    @cached_property
    def _done(self) -> list[Step]:
        return [one.step for one in self.taken]

    @cached_property
    def steps(self) -> pd.DataFrame:
        """By time status, why, equity, change, cost expected, notional traded, lines, list's sha256, state's hash."""
        return pd.DataFrame([_row(one) for one in self._done], index=self.times)

    @cached_property
    def explained(self) -> pd.DataFrame:
        """(time, account, instrument) x PARTS and total."""
        parts = [one.moved.parts for one in self._done]
        keys = [key for one in parts for key in one.keys]
        at = self.times.repeat([len(one.keys) for one in parts])
        accounts, instruments = (pd.Index([key[i] for key in keys], dtype="str") for i in (0, 1))
        index = pd.MultiIndex.from_arrays([at, accounts, instruments], names=["time", "account", "instrument"])
        frame = pd.DataFrame(np.concatenate([one.values for one in parts]), index=index, columns=list(PARTS))
        return frame.assign(total=frame.sum(axis=1))

    @cached_property
    def _accounts(self) -> pd.MultiIndex:
        keys = [(time, account) for time in self.times for account in ACCOUNTS]
        return pd.MultiIndex.from_tuples(keys, names=["time", "account"])

    @cached_property
    def positions(self) -> pd.DataFrame:
        """(time, account) x instrument, contracts."""
        place: dict[str, int] = {}
        known: dict[int, Any] = {}  # an account to which nothing became is the same one night after night
        rows = []
        for held in (one.state.positions.get(account) for one in self._done for account in ACCOUNTS):
            if held is not None and id(held) not in known:
                known[id(held)] = [place.setdefault(name, len(place)) for name in held.names], held.quantities
            rows.append(([], 0.0) if held is None else known[id(held)])
        table = np.zeros((len(rows), len(place)))
        for row, (at, quantities) in zip(table, rows, strict=True):
            row[at] = quantities
        return pd.DataFrame(table, index=self._accounts, columns=list(place))

    @cached_property
    def cash(self) -> pd.DataFrame:
        """(time, account) x currency, balances."""
        money = [one.state.cash.get(account, {}) for one in self._done for account in ACCOUNTS]
        return _by_name(money, self._accounts)

    @cached_property
    def trades(self) -> pd.DataFrame:
        """Every line of every list."""
        listed = [one.trades for one in self._done if one.trades is not None]
        if not listed:
            return pd.DataFrame()
        sent = [one.columns for one in listed if not one.held]
        return frame_of({name: [cell for columns in sent for cell in columns[name]] for name in COLUMNS})

    @cached_property
    def closed(self) -> pd.DataFrame:
        """Lots that were closed."""
        return pd.DataFrame([vars(lot) for one in self._done for lot in one.moved.left])

    @cached_property
    def notes(self) -> pd.DataFrame:
        """(time, note): assumptions."""
        told = [(time, note) for time, one in zip(self.times, self._done, strict=True) for note in one.notes]
        return pd.DataFrame(told, columns=["time", "note"])

    @cached_property
    def levels(self) -> pd.DataFrame:
        """Time x driver marked market."""
        return pd.DataFrame([one.levels for one in self.taken], index=self.times)

    @cached_property
    def pnl(self) -> pd.DataFrame:
        """Time x (book, hedge, both, cost): P&L of each account without transfers; cost is what fills paid, 0 or more
        as a rule, and is in `hedge`.
        """
        rows = []
        for one in self._done[1:]:
            parts = one.moved.parts
            own = parts.values[:, ~_TRANSFER].sum(axis=1)
            mine = np.array([account == "book" for account, _ in parts.keys], dtype=bool)
            book, hedge = float(own[mine].sum()), float(own[~mine].sum())
            rows.append((book, hedge, book + hedge, -float(parts.values[:, _FILL].sum())))
        return pd.DataFrame(rows, index=self.times[1:], columns=["book", "hedge", "both", "cost"], dtype=float)

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
    def greeks(self) -> pd.DataFrame:
        """(time, account) x (delta, gamma, vega, theta) of `positions` at each step, before its list; desk units."""
        return pd.DataFrame(np.concatenate([one.greeks for one in self.taken]), self._accounts, list(_GREEKS))

    @cached_property
    def _market_moves(self) -> pd.DataFrame:
        """Returns of the market drivers from step to step, T x drivers: those that are known throughout and move."""
        moves = self.levels.pct_change(fill_method=None).reindex(self.pnl.index).dropna(axis=1, how="any")
        return moves.loc[:, [not still(column) for column in moves.to_numpy().T]]

    def betas(self, window: int | None = None) -> pd.DataFrame:
        """Time x (market driver, of book or both): slope of P&L on that driver alone, base currency per unit return,
        over the last `window` periods (None: a quarter of all, 5 to 60). Raises SpecError for a window below 3.
        """
        rows = max(min(len(self.pnl) // 4, 60), 5) if window is None else window
        if rows < 3:
            raise SpecError(f"betas: window is {window}; give 3 periods or more")
        moves = self._market_moves
        found = {name: rolling_slopes(self.pnl[["book", "both"]], moves[name], rows) for name in moves}
        none = pd.MultiIndex.from_arrays([[], []], names=["driver", "of"])
        whole = pd.concat(found, axis=1, names=none.names) if found else pd.DataFrame(columns=none)
        return whole.reindex(self.pnl.index)

    @cached_property
    def alpha(self) -> pd.Series:
        """P&L of both accounts per period less carry, cost, and betas on the market drivers' moves; with its error.

        Carry is theta, carry, funding, dividend, borrow and interest. One regression on all market drivers, or on the
        first of them, as many as there are ten periods for each (one at least). beta: on the first, base currency per
        unit return; beta:NAME on each other. Newey and West's error. NaN without a market driver that moves.
        """
        moves = self._market_moves.iloc[:, : max(len(self.pnl) // _PERIODS_A_BETA, 1)]
        parts = self.attribution("time").reindex(self.pnl.index, fill_value=0.0)
        rest = self.pnl["both"] - parts[list(_CARRY)].sum(axis=1)
        if moves.empty or len(moves) < 3:
            return pd.Series({"alpha": np.nan, "error": np.nan, "beta": np.nan})
        fitted = newey_west(rest.to_numpy(), moves.to_numpy())
        betas = dict(zip(["beta", *(f"beta:{name}" for name in moves.columns[1:])], fitted.slopes, strict=True))
        return pd.Series({"alpha": fitted.intercept, "error": fitted.intercept_error, **betas})

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
        betas = self.betas().dropna()
        if betas.size:
            name = betas.columns[0][0]
            lines(axes[1, 0], betas[name], f"rolling beta on {name}", f"{base} per unit return")
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
    greeks: np.ndarray

    @classmethod
    def of(cls, market: Market, step: Step) -> Taken:
        """Its instant, the levels of the drivers marked market, and what is held's Greeks by account."""
        drivers = market.drivers
        marked = kept(drivers, "market", lambda: drivers["market"].to_numpy(dtype=bool))
        labels = kept(drivers, "marked", lambda: drivers.index[marked])
        levels = pd.Series(market.levels.to_numpy()[marked], labels, name="level")
        return cls(market.as_of, step, levels, np.array([_held_greeks(market, step, name) for name in ACCOUNTS]))


def _held_greeks(market: Market, step: Step, account: str) -> list[float]:
    """_GREEKS of what an account holds of what the market lists."""
    held = step.state.positions.get(account)
    if not held:
        return [0.0] * len(_GREEKS)
    at = held.places(quoted(market).listed.place)
    quantities, at = held.quantities[at >= 0], at[at >= 0]
    return [float(quantities @ market.exposure_columns[name][at]) for name in _GREEKS]


def _by_name(rows: Sequence[Mapping[str, float]], index: pd.MultiIndex) -> pd.DataFrame:
    """One row each, 0 where it does not name a column; columns as they first appear."""
    place: dict[str, int] = {}
    for row in rows:
        for name in row:
            place.setdefault(name, len(place))
    table = np.zeros((len(rows), len(place)))
    for numbers, row in zip(table, rows, strict=True):
        numbers[[place[name] for name in row]] = list(row.values())
    return pd.DataFrame(table, index=index, columns=list(place))


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
