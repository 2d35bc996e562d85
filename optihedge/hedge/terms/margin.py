"""Margin as a limit and as a cost, venue by venue: see `market.margin` for the rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.hedge.builder import DEFINES, ProgramBuilder
from optihedge.hedge.terms.base import Term, check_number
from optihedge.market.margin import MarginRules, contract_margin, initial_margin, read_margin_rules, scanned_losses
from optihedge.market.snapshot import Market

Array = np.ndarray


@dataclass(frozen=True)
class _Margin(Term):
    """The initial margin of what is held at a venue, by rules or a file of them."""

    rules: MarginRules | str = ""
    venue: str | None = None

    reads_boxes: ClassVar[bool] = True

    def _rules(self) -> MarginRules:
        if isinstance(self.rules, MarginRules):
            return self.rules
        if not self.rules:
            raise SpecError(f"{self.label}: rules are missing; give MarginRules or the path of their file")
        return read_margin_rules(self.rules)

    def _needed(self, p: ProgramBuilder, price: float = 0.0) -> tuple[Array, Array]:
        """Handles of the margin of each underlying, and the contracts that count (N booleans). price: of each unit."""
        rules = self._rules()
        here = np.ones(len(p.names), bool)
        if self.venue is not None:
            here = (p.instrument_column("venue") == self.venue).to_numpy()
            if not here.any():
                p.notes.append(f"{self.label}: nothing in play is at {self.venue}")
        losses = np.vstack([scanned_losses(p.market, rules, p.names), np.zeros(len(p.names))])
        own = contract_margin(p.market, rules, p.names)
        groups, matrix = p.grouped(here.astype(float), "underlying")
        handles = [np.zeros(0, int)]
        for group, row in zip(groups, matrix.toarray(), strict=True):
            if not row.any():
                continue
            most = p.reach(losses * row)[1].max() + (own * row) @ p.largest()
            worst = p.auxiliary(f"{self.label}:{group}", 0.0, max(float(most), 0.0), price)
            names = [f"{self.label}[{group}][{scenario}]" for scenario in range(len(losses))]
            p.rows(names, losses * row, hi=0.0, on_holdings=np.tile(own * row, (len(losses), 1)),
                   auxiliaries=(worst, -np.ones((len(losses), 1))), tier=DEFINES, unit="base currency")  # fmt: skip
            handles.append(worst)
        return np.concatenate(handles), here


@dataclass(frozen=True)
class MarginLimit(_Margin):
    """Initial margin of what is held at a venue after trading <= limit (base currency), or <= `share` of the book's
    gross (or the capital, if larger).

    rules    MarginRules, or the path of their TOML file
    venue    instruments' column `venue`; None: all of them
    """

    limit: float | None = None
    share: float | None = None

    short_name: ClassVar[str] = "margin"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.limit is None) == (self.share is None):
            raise SpecError(f"{self.label}: give limit (base currency) or share (of the book's gross), one of them")
        check_number(self.label, "limit" if self.share is None else "share", self.limit or self.share or 0.0, 0.0)

    def contribute(self, p: ProgramBuilder) -> None:
        handles, here = self._needed(p)
        if not len(handles):
            return
        limit = self.limit if self.limit is not None else (self.share or 0.0) * p.size
        value = partial(_margin_of, p.market, p.names, self._rules(), here)
        p.row(self.label, hi=limit, auxiliaries=(handles, 1.0), soft=self.soft, tier=self.priority,
              unit="base currency", value=value)  # fmt: skip


@dataclass(frozen=True)
class MarginCost(_Margin):
    """What the margin at a venue costs over the horizon: rate (decimal per year) x initial margin x years."""

    rate: float = 0.05

    short_name: ClassVar[str] = "margin cost"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.label, "rate", self.rate, 0.0)

    def contribute(self, p: ProgramBuilder) -> None:
        self._needed(p, self.rate * p.years)


def _margin_of(market: Market, names: pd.Index, rules: MarginRules, here: Array, quantities: Array) -> float:
    """The margin of N quantities."""
    return initial_margin(market, pd.Series(np.where(here, quantities, 0.0), index=names), rules)
