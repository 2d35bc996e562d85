"""A policy says when to act, never how: a frozen value of plain numbers, asked once a step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd

from optihedge.accounts.advance import Advance
from optihedge.accounts.state import State
from optihedge.accounts.valuation import model_book
from optihedge.errors import DataError, SpecError
from optihedge.frames import duration, nearest
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.problem import Problem
from optihedge.hedge.result import Hedge
from optihedge.hedge.terms.base import check_number
from optihedge.market.book import gross_notional
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
    """What a policy may look at: the state brought to the market, and on demand the book and the model's answer.

    book   what the model sees, where it is known; None: of the state
    ends   until when it may be asked, by time.monotonic
    warm   an earlier answer from which the model's starts
    """

    def __init__(
        self, state: State, before: Market | None, market: Market, model: Hedger, moved: Advance, *,
        book: pd.Series | None = None, ends: float | None = None, warm: HasTrades | None = None,
    ) -> None:  # fmt: skip
        self.state, self.before, self.market, self.model, self.moved = state, before, market, model, moved
        self._book, self._ends, self._warm = book, ends, warm

    @property
    def first(self) -> bool:
        """Whether no list has left yet."""
        return self.state.traded is None

    @cached_property
    def book(self) -> pd.Series:
        """What the model sees: contracts of both accounts, balances as cash."""
        return model_book(self.state, self.market) if self._book is None else self._book

    @property
    def size(self) -> float:
        """What shares are taken of, base currency: the book's gross notional, or the model's capital if larger."""
        gross = gross_notional(self.market, self.book)
        return max(gross, self.model.capital) if isinstance(self.model, HedgeModel) else gross

    @cached_property
    def hedge(self) -> HasTrades:
        """The model's answer, asked once."""
        warm = self._warm if isinstance(self._warm, Hedge) else None
        if isinstance(self.model, HedgeModel) and not (self._ends is None and warm is None):
            return self.model.hedge(self.market, self.book, warm=warm, deadline=self.left)
        return self.model.hedge(self.market, self.book)

    @property
    def left(self) -> float | None:
        """Seconds until the deadline; None: without one."""
        return None if self._ends is None else max(self._ends - time.monotonic(), 0.0)

    @cached_property
    def problem(self) -> Problem:
        """What the model would solve. Raises SpecError for a rule that solves nothing."""
        if not isinstance(self.model, HedgeModel):
            raise SpecError(f"{type(self.model).__name__} states no problem; this policy needs a HedgeModel")
        return self.model.problem(self.market, self.book)

    def exposure(self, name: str, by: str = "") -> pd.Series:
        """The book's exposure (desk units), in total or by a column of the instruments. Raises SpecError."""
        frame, table = self.exposures_with(name), self.market.instruments
        if name not in frame.columns:
            raise SpecError(f"policy: there is no exposure {name}{nearest(name, frame.columns)}; write another")
        if by and by not in table.columns:
            raise SpecError(f"policy: instruments have no column {by}{nearest(by, table.columns)}; write another")
        each = frame[name].reindex(self.book.index) * self.book
        groups = table[by].reindex(self.book.index).astype(str) if by else pd.Series("", self.book.index)
        return each.groupby(groups.to_numpy()).sum()

    def exposures_with(self, name: str) -> pd.DataFrame:
        """The market's exposures; where `name` is not among them those of the model's answer, its betas included."""
        if name in self.market.exposures.columns or not isinstance(self.model, HedgeModel):
            return self.market.exposures
        return self.hedge.market.exposures  # type: ignore[attr-defined, no-any-return]

    def lot(self, name: str, by: str = "") -> pd.Series:
        """The exposure of one lot of the finest contract that may be traded, by group; inf where there is none."""
        market = self.market
        sides = np.isfinite(market.sides).any(axis=1)
        tradable = market.instruments["hedge"].to_numpy(dtype=bool) & sides
        size = (self.exposures_with(name)[name] * market.instruments["lot"]).abs()
        size = size.where(tradable & (size > 0).to_numpy(), np.inf)
        groups = market.instruments[by].astype(str) if by else pd.Series("", market.names)
        return size.groupby(groups.to_numpy()).min()


class Policy(Protocol):
    """When to act. `decide` is a pure function of the view and of what the state remembers."""

    def decide(self, view: View, memory: Memory) -> Decision: ...


def told(values: pd.Series, most: int = 3) -> str:
    """'BTC 1,200, ETH -300': the largest of some figures in words."""
    large = values.reindex(values.abs().sort_values(ascending=False, kind="stable").index)[:most]
    return ", ".join(f"{name} {value:,.6g}".strip() for name, value in large.items())


def number(policy: object, name: str, value: object, least: float = 0.0, *, above: bool = False) -> None:
    """Refuse with a SpecError what is no finite number from `least` on (`above`: strictly)."""
    check_number(type(policy).__name__, name, value, least, strict=above)


def span(policy: object, name: str, value: str) -> pd.Timedelta:
    """A duration such as '8h'. Raises SpecError."""
    try:
        return duration(value, name)
    except DataError as error:
        raise SpecError(f"{type(policy).__name__}: {error}") from None
