"""Margin as a limit and as a cost, distance to liquidation, what is at a venue: see `market.margin` for the rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import SpecError
from optihedge.hedge.builder import DEFINES, ProgramBuilder
from optihedge.hedge.terms.base import Term, check_number
from optihedge.market.margin import MarginRules, read_margin_rules
from optihedge.market.margin_scan import Needs, initial_margin, moved_losses
from optihedge.market.snapshot import Market

Array = np.ndarray


@dataclass(frozen=True)
class VenueTerm(Term):
    """What is held at a venue, under rules of margin or a file of them.

    rules        MarginRules, or the path of their TOML file
    venue        instruments' column `venue`; None: all of them
    unrealised   gains at the venue that it has not paid yet, base currency: no market knows them
    """

    rules: MarginRules | str = ""
    venue: str | None = None
    unrealised: float = 0.0

    reads_boxes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.label, "unrealised", self.unrealised)

    def read_rules(self) -> MarginRules:
        """The rules. Raises SpecError where there are none, or their file cannot be read."""
        if isinstance(self.rules, MarginRules):
            return self.rules
        if not self.rules:
            raise SpecError(f"{self.label}: rules are missing; give MarginRules or the path of their file")
        return read_margin_rules(self.rules)

    def here(self, market: Market, names: pd.Index) -> Array:
        """Which of the contracts lie at the venue (N booleans)."""
        if self.venue is None:
            return np.ones(len(names), bool)
        return (market.instruments.loc[names, "venue"] == self.venue).to_numpy()

    def _at_venue(self, p: ProgramBuilder) -> Array:
        here = self.here(p.market, p.names)
        if not here.any():
            p.notes.append(f"{self.label}: nothing in play is at {self.venue}")
        return here

    def _equity(self, p: ProgramBuilder, needs: Needs, here: Array, cut: bool = True) -> float:
        """Collateral after haircuts (unless not `cut`) and the value of the rest there, before trading."""
        counted = np.where(np.isnan(needs.counted) | (not cut), 1.0, needs.counted)
        return float((counted * here * p.market.value[p.names].to_numpy(float)) @ p.start) + self.unrealised

    def _needed(self, p: ProgramBuilder, needs: Needs, here: Array, label: str, price: float = 0.0) -> Array:
        """Handles of auxiliaries that sum to the initial margin of what is `here`. price: of each unit."""
        losses = np.vstack([needs.losses, np.zeros(len(p.names))])
        both, bend = needs.both + (needs.long + needs.short) / 2, (needs.long - needs.short) / 2
        groups, matrix = p.grouped(here.astype(float), "underlying")
        handles = [np.zeros(0, int)]
        for group, row in zip(groups, matrix.toarray(), strict=True):
            if not row.any():
                continue
            signed = (losses + bend) * row
            most = p.reach(signed)[1].max() + (both * row) @ p.largest()
            worst = p.auxiliary(f"{label}:{group}", 0.0, max(float(most), 0.0), price)
            names = [f"{label}[{group}][{scenario}]" for scenario in range(len(losses))]
            p.rows(names, signed, hi=0.0, on_holdings=np.tile(both * row, (len(losses), 1)),
                   auxiliaries=(worst, -np.ones((len(losses), 1))), tier=DEFINES, unit="base currency")  # fmt: skip
            handles.append(worst)
        return np.concatenate([*handles, self._netted(p, needs, here, label, price)])

    def _netted(self, p: ProgramBuilder, needs: Needs, here: Array, label: str, price: float) -> Array:
        """Handles of what is net short at each strike."""
        each = np.flatnonzero(here & (needs.strike >= 0) & (needs.at_strike > 0))
        if not len(each):
            return np.zeros(0, int)
        codes, strikes = pd.factorize(needs.strike[each])
        rows = sp.csr_array((-needs.at_strike[each], (codes, each)), shape=(len(strikes), len(p.names)))
        short = p.auxiliary(f"{label}:strike", 0.0, np.maximum(p.reach(rows)[1], 0.0), price, count=len(strikes))
        p.rows([f"{label}[strike][{i}]" for i in range(len(strikes))], rows, hi=0.0,
               auxiliaries=(short, -sp.eye_array(len(strikes))), tier=DEFINES, unit="base currency")  # fmt: skip
        return short


@dataclass(frozen=True)
class MarginLimit(VenueTerm):
    """Initial margin of what is held at a venue after trading <= limit (base currency), or <= `share` of the book's
    gross (or the capital, if larger), or <= `of_equity` times the equity that is there before trading.

    rules, venue, unrealised   see VenueTerm
    transfer        most that can be moved there in time, base currency: margin beyond the limit may be met by it; 0:
                    collateral stays where it is
    transfer_cost   of each unit that is moved

    >>> import optihedge as oh
    >>> from datetime import date
    >>> shares = {"equity": 0.5, "future": 0.1}
    >>> rules = oh.terms.MarginRules(source="a desk's own", date=date(2026, 1, 20), share=shares)
    >>> oh.terms.MarginLimit(rules=rules, limit=1e6).limit
    1000000.0
    """

    limit: float | None = None
    share: float | None = None
    of_equity: float | None = None
    transfer: float = 0.0
    transfer_cost: float = 0.0

    short_name: ClassVar[str] = "margin"

    def __post_init__(self) -> None:
        super().__post_init__()
        given = {name: getattr(self, name) for name in ("limit", "share", "of_equity")}
        if sum(value is not None for value in given.values()) != 1:
            raise SpecError(f"{self.label}: give limit (base currency) or share (of the book's gross) or of_equity, "
                            "one of them")  # fmt: skip
        for name, value in (*given.items(), ("transfer", self.transfer), ("transfer_cost", self.transfer_cost)):
            check_number(self.label, name, value or 0.0, 0.0)

    def contribute(self, p: ProgramBuilder) -> None:
        here = self._at_venue(p)
        needs = Needs.of(p.market, self.read_rules(), p.names)
        handles = self._needed(p, needs, here, self.label)
        if not len(handles):
            return
        limit, each = self.most(p.size, self._equity(p, needs, here)), self.of_equity or 1.0
        coefficients = np.ones(len(handles))
        if self.transfer > 0:
            moved = p.auxiliary(f"{self.label}:transfer", 0.0, self.transfer, self.transfer_cost)
            handles, coefficients = np.append(handles, moved), np.append(coefficients, -each)
        value = partial(_after_transfer, p.market, p.names, self.read_rules(), here, limit, each * self.transfer)
        p.row(self.label, hi=limit, auxiliaries=(handles, coefficients), soft=self.soft, tier=self.priority,
              unit="base currency", value=value)  # fmt: skip

    def most(self, size: float, equity: float) -> float:
        """The limit for a book of this size with this equity at the venue, base currency."""
        if self.of_equity is not None:
            return self.of_equity * max(equity, 0.0)
        return self.limit if self.limit is not None else (self.share or 0.0) * size


@dataclass(frozen=True)
class MarginCost(VenueTerm):
    """What the margin at a venue costs over the horizon: rate (decimal per year) x initial margin x years.

    >>> import optihedge as oh
    >>> from datetime import date
    >>> shares = {"equity": 0.5, "future": 0.1}
    >>> rules = oh.terms.MarginRules(source="a desk's own", date=date(2026, 1, 20), share=shares)
    >>> oh.terms.MarginCost(rules=rules, rate=0.05).label
    'margin cost'
    """

    rate: float = 0.05

    short_name: ClassVar[str] = "margin cost"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.label, "rate", self.rate, 0.0)

    def contribute(self, p: ProgramBuilder) -> None:
        needs = Needs.of(p.market, self.read_rules(), p.names)
        self._needed(p, needs, self._at_venue(p), self.label, self.rate * p.years)


@dataclass(frozen=True)
class LiquidationLimit(VenueTerm):
    """Equity at a venue still covers its maintenance margin after every return of all prices in `moves`, the scan made
    anew there. Equity is that before trading.

    rules, venue, unrealised   see VenueTerm;  moves  returns, decimal

    >>> import optihedge as oh
    >>> from datetime import date
    >>> shares = {"equity": 0.5, "future": 0.1}
    >>> rules = oh.terms.MarginRules(source="a desk's own", date=date(2026, 1, 20), share=shares)
    >>> oh.terms.LiquidationLimit(rules=rules, moves=(-0.1, 0.1)).moves
    (-0.1, 0.1)
    """

    moves: tuple[float, ...] = (-0.2, -0.1, 0.1, 0.2)

    short_name: ClassVar[str] = "liquidation"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.moves or not all(np.isfinite(move) and move > -1 for move in self.moves):
            raise SpecError(f"{self.label}: moves are {self.moves!r}; give returns above -1")

    def contribute(self, p: ProgramBuilder) -> None:
        here, rules = self._at_venue(p), self.read_rules()
        if not here.any():
            return
        needs = Needs.of(p.market, rules, p.names)
        margined, equity = np.isnan(needs.counted), self._equity(p, needs, here)
        counted = np.where(margined, 1.0, needs.counted) * here
        at, losses = moved_losses(p.market, rules, p.names, np.array(self.moves))
        for move, gain, scan in zip(self.moves, at, losses, strict=True):
            label = f"{self.label}[{move:+.0%}]"
            there = Needs(**{**vars(needs), "losses": np.where(margined, scan, 0.0)})
            handles = self._needed(p, there, here, label)
            value = partial(_short_of, p.market, p.names, there, here, counted * gain, rules.maintenance)
            p.row(label, -counted * gain, hi=equity, auxiliaries=(handles, rules.maintenance), soft=self.soft,
                  tier=self.priority, unit="base currency", value=value)  # fmt: skip


@dataclass(frozen=True)
class VenueLimit(VenueTerm):
    """What is lost if a venue fails <= limit, base currency: everything held there at its value, without haircuts, and
    what the positions after trading gain in the rules' best scenario, which it would owe as well.

    rules, venue, unrealised   see VenueTerm

    >>> import optihedge as oh
    >>> from datetime import date
    >>> shares = {"equity": 0.5, "future": 0.1}
    >>> rules = oh.terms.MarginRules(source="a desk's own", date=date(2026, 1, 20), share=shares)
    >>> oh.terms.VenueLimit(rules=rules, limit=2e6).limit
    2000000.0
    """

    limit: float = 0.0

    short_name: ClassVar[str] = "at venue"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.label, "limit", self.limit, 0.0)

    def contribute(self, p: ProgramBuilder) -> None:
        here = self._at_venue(p)
        needs = Needs.of(p.market, self.read_rules(), p.names)
        there = self._equity(p, needs, here, cut=False)
        gains = -needs.losses * here
        names = [f"{self.label}[{scenario}]" for scenario in range(len(gains))]
        p.rows(names, gains, hi=self.limit - there, soft=self.soft, tier=self.priority, unit="base currency")


def _margin_of(market: Market, names: pd.Index, rules: MarginRules, here: Array, quantities: Array) -> float:
    """The margin of N quantities."""
    return initial_margin(market, pd.Series(np.where(here, quantities, 0.0), index=names), rules)


def _after_transfer(
    market: Market, names: pd.Index, rules: MarginRules, here: Array, limit: float, transfer: float, quantities: Array
) -> float:
    """The margin of N quantities less what a transfer meets of it beyond the limit."""
    margin = _margin_of(market, names, rules, here, quantities)
    return margin - min(max(margin - limit, 0.0), transfer)


def _short_of(
    market: Market, names: pd.Index, needs: Needs, here: Array, gain: Array, maintenance: float, quantities: Array
) -> float:
    """Maintenance margin of N quantities less what they gain."""
    held = np.where(here, quantities, 0.0)
    return maintenance * float(needs.margin(market, names, held)[0]) - float(gain @ held)
