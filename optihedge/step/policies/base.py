"""A policy says when to act, never how: a frozen value of plain numbers, asked once a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import pandas as pd

from optihedge.accounts.advance import Advance
from optihedge.accounts.state import State
from optihedge.accounts.valuation import model_book
from optihedge.market.snapshot import Market
from optihedge.step.orderlist import HasTrades, Hedger

Memory = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """Act or wait, and why. `memory` is kept in any case, `on_sent` only where a list leaves or none is needed."""

    act: bool
    why: str
    memory: Memory = field(default_factory=dict)
    on_sent: Memory = field(default_factory=dict)


class View:
    """What a policy may look at: the state brought to the market, and on demand the book and the model's answer."""

    def __init__(self, state: State, before: Market | None, market: Market, model: Hedger, moved: Advance) -> None:
        self.state, self.before, self.market, self.model, self.moved = state, before, market, model, moved

    @property
    def first(self) -> bool:
        """Whether no list has left yet."""
        return self.state.traded is None

    @cached_property
    def book(self) -> pd.Series:
        """What the model sees: contracts of both accounts, foreign balances as cash."""
        return model_book(self.state, self.market)

    @cached_property
    def hedge(self) -> HasTrades:
        """The model's answer, asked once."""
        return self.model.hedge(self.market, self.book)

    def exposure(self, name: str, by: str = "") -> pd.Series:
        """The book's exposure (desk units), in total or by a column of the instruments."""
        each = self.market.exposures[name].reindex(self.book.index) * self.book
        if not by:
            return pd.Series({"": float(each.sum())})
        groups = self.market.instruments[by].reindex(self.book.index).astype(str)
        return each.groupby(groups).sum()


class Policy(Protocol):
    """When to act. `decide` is a pure function of the view and the memory of the state."""

    def decide(self, view: View, memory: Memory) -> Decision: ...


@dataclass(frozen=True)
class Always:
    """Act at every market."""

    def decide(self, view: View, memory: Memory) -> Decision:
        """Yes."""
        return Decision(True, "always")
