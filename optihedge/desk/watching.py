"""Watching a book between two nights: what its policy would do at fresh quotes, where it next acts; nothing kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from optihedge.accounts.state import State
from optihedge.accounts.valuation import opening
from optihedge.market.importers.imported import Imported
from optihedge.market.snapshot import Market
from optihedge.market.updated import updated
from optihedge.step.ladder import ladder, monitor
from optihedge.step.orderlist import Hedger
from optihedge.step.policies.base import Policy


@dataclass(frozen=True, eq=False)
class Seen:
    """One look: the instant, what the policy says (`status` and `why` of the step), and the list it would make.

    change    of the book's equity since the market it stands in, base currency
    trades    contracts by instrument; empty where it waits;  cost   expected, base currency
    nearest   by axis (spot, vol, days) the shocks below and above from here at which it acts; empty where not asked
    """

    as_of: pd.Timestamp
    status: str
    why: str
    change: float
    trades: Mapping[str, float]
    cost: float
    nearest: Mapping[str, tuple[float | None, float | None]]

    @property
    def acts(self) -> bool:
        """Whether a list would leave, or be held, now."""
        return self.status in ("first", "solved", "held")

    def __str__(self) -> str:
        text = f"{self.as_of:%Y-%m-%d %H:%M:%S} UTC {'ACT' if self.acts else 'wait'}: {self.why}"
        if self.trades:
            lines = ", ".join(f"{quantity:+g} {name}" for name, quantity in self.trades.items())
            text += f"; {self.status}: {lines} at a cost of {self.cost:,.6g}"
        known = [(axis, shock) for axis, pair in self.nearest.items() for shock in pair if shock is not None]
        ends = [f"{axis} {_end(axis, shock)}" for axis, shock in known]
        return text + (f"; next at {', '.join(ends)}" if ends else "")


def _end(axis: str, shock: float) -> str:
    return f"+{shock:g}" if axis == "days" else f"{100 * shock:+g} {'%' if axis == 'spot' else 'points'}"


def hedged_state(book: str, market: Market, quantities: pd.Series) -> State:
    """The book as it stands after its list of that market: the policy counts from there."""
    return replace(opening(book, market, quantities), traded=market.as_of, decided=market.as_of)


def look(
    state: State, market: Market, found: Imported, model: Hedger, policy: Policy, *, rungs: bool = False
) -> Seen | None:
    """What the policy would do at the quotes found; None where they quote nothing of the market after its instant.

    state   as of `market`; it is left as it is;  rungs   also say where the policy next acts, which takes a step a rung
    """
    fresh = updated(market, found)
    if fresh is market:
        return None
    done = monitor(state, market, fresh, model, policy, compare=False)
    listed = done.trades
    table = None if listed is None or listed.table.empty else listed.table
    trades = {} if table is None else dict(zip(table["instrument"], table["quantity"], strict=True))
    next_ = {}
    if rungs and done.status == "idle":
        next_ = ladder(done.state, fresh, model, policy).attrs["nearest"]
    cost = 0.0 if table is None else float(table["cost"].sum())
    return Seen(fresh.as_of, done.status, done.why, done.change, trades, cost, next_)
