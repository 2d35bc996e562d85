"""Margin as a limit and as a cost, distance to liquidation, what is at a venue: see `market.margin` for the rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import SpecError
from optihedge.hedge.builder import DEFINES, ProgramBuilder
from optihedge.hedge.terms.base import Term, check_number
from optihedge.market.margin import MarginRules, read_margin_rules
from optihedge.market.margin_least import least_of
from optihedge.market.margin_needs import Needs, moved_losses
from optihedge.market.margin_scan import margin_of
from optihedge.market.snapshot import Market

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Needed:
    """Margin in a Program: handles of auxiliaries, what each weighs, and a weight of each contract (N)."""

    handles: Array
    weights: Array
    linear: Array


@dataclass(frozen=True)
class VenueTerm(Term):
    """What is held at a venue, under rules of margin or a file of them.

    rules        MarginRules, the name of shipped ones ("deribit_like"; "deribit" says the same), or the path of their
                 TOML file; where they are left out, the shipped ones of the venue's name
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
        if not isinstance(self.rules, MarginRules):
            if not (self.rules or self.venue):
                raise SpecError(f"{self.label}: rules are missing; give MarginRules, the name of shipped ones or "
                                "the path of their file")  # fmt: skip
            object.__setattr__(self, "rules", read_margin_rules(self.rules or str(self.venue)))

    def read_rules(self) -> MarginRules:
        """The rules, which were read where the term was made."""
        return self.rules  # type: ignore[return-value]

    def here(self, market: Market, names: pd.Index) -> Array:
        """Which of the contracts lie at the venue (N booleans)."""
        if self.venue is None:
            return np.ones(len(names), bool)
        return (market.instruments.loc[names, "venue"] == self.venue).to_numpy()

    def _there(self, p: ProgramBuilder) -> tuple[Array, Needs]:
        """Places of what lies at the venue (n of the N in play), and what it needs."""
        place = np.flatnonzero(self.here(p.market, p.names))
        if not len(place):
            p.notes.append(f"{self.label}: nothing in play is at {self.venue}")
        return place, Needs.of(p.market, self.read_rules(), p.names[place])

    def _equity(self, p: ProgramBuilder, needs: Needs, place: Array, cut: bool = True) -> float:
        """Collateral after haircuts (unless not `cut`) and the value of the rest there, before trading."""
        counted = np.where(np.isnan(needs.counted) | (not cut), 1.0, needs.counted)
        return float((counted * p.market.value[p.names[place]].to_numpy(float)) @ p.start[place]) + self.unrealised

    def _needed(self, p: ProgramBuilder, needs: Needs, place: Array, label: str, price: float = 0.0) -> Needed:
        """The initial margin of what is at these places. price: of each unit."""
        least, spread = least_of(needs, p.start[place]), _spread(place, len(p.names))
        if price and least.linear.any():
            p.cost(linear=price * (least.linear @ spread))
        most = least.reach @ p.largest()[place]
        handles = [p.auxiliary(f"{label}:{name}", 0.0, float(up), price * cost)
                   for name, up, cost in zip(least.names, most, least.cost, strict=True)]  # fmt: skip
        found = np.concatenate([np.zeros(0, int), *handles])
        if len(least.most):
            names = [f"{label}[{i}]" for i in range(len(least.most))]
            p.rows(names, least.on_h @ spread, hi=least.most, on_holdings=least.on_abs @ spread,
                   auxiliaries=(found, least.on_x), tier=DEFINES, unit="base currency")  # fmt: skip
        return Needed(found, least.cost, least.linear @ spread)


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
        place, needs = self._there(p)
        needed = self._needed(p, needs, place, self.label)
        if not (len(needed.handles) or needed.linear.any()):
            return
        limit, each = self.most(p.size, self._equity(p, needs, place)), self.of_equity or 1.0
        handles, weights = needed.handles, needed.weights
        if self.transfer > 0:
            moved = p.auxiliary(f"{self.label}:transfer", 0.0, self.transfer, self.transfer_cost)
            handles, weights = np.append(handles, moved), np.append(weights, -each)
        value = partial(_after_transfer, needs, place, limit, each * self.transfer)
        p.row(self.label, needed.linear, hi=limit, auxiliaries=(handles, weights), soft=self.soft, tier=self.priority,
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
        place, needs = self._there(p)
        self._needed(p, needs, place, self.label, self.rate * p.years)


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
        (place, needs), rules = self._there(p), self.read_rules()
        if not len(place):
            return
        margined, equity, spread = np.isnan(needs.counted), self._equity(p, needs, place), _spread(place, len(p.names))
        counted = np.where(margined, 1.0, needs.counted)
        at, losses = moved_losses(p.market, rules, p.names[place], np.array(self.moves))
        for move, gain, scan in zip(self.moves, at, losses, strict=True):
            label = f"{self.label}[{move:+.0%}]"
            there = replace(needs, losses=np.where(margined, scan, 0.0))
            needed = self._needed(p, there, place, label)
            value = partial(_short_of, there, place, counted * gain, rules.maintenance)
            p.row(label, rules.maintenance * needed.linear - (counted * gain) @ spread, hi=equity,
                  auxiliaries=(needed.handles, rules.maintenance * needed.weights), soft=self.soft, tier=self.priority,
                  unit="base currency", value=value)  # fmt: skip


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
        place, needs = self._there(p)
        there = self._equity(p, needs, place, cut=False)
        gains = -needs.losses @ _spread(place, len(p.names))
        names = [f"{self.label}[{scenario}]" for scenario in range(len(gains))]
        p.rows(names, gains, hi=self.limit - there, soft=self.soft, tier=self.priority, unit="base currency")


def _spread(place: Array, count: int) -> sp.csr_array:
    """n x N: what stands at these places, over all contracts in play."""
    return sp.csr_array((np.ones(len(place)), (np.arange(len(place)), place)), shape=(len(place), count))


def _after_transfer(needs: Needs, place: Array, limit: float, transfer: float, quantities: Array) -> float:
    """The margin of N quantities less what a transfer meets of it beyond the limit."""
    margin = float(margin_of(needs, quantities[place])[0])
    return margin - min(max(margin - limit, 0.0), transfer)


def _short_of(needs: Needs, place: Array, gain: Array, maintenance: float, quantities: Array) -> float:
    """Maintenance margin of N quantities less what they gain."""
    held = quantities[place]
    return maintenance * float(margin_of(needs, held)[0]) - float(gain @ held)
