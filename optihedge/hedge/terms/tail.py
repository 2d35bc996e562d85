"""Terms over scenarios: P&L per contract, base currency, one row per scenario; a frame, or a spec (`risk.sources`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import DataError, SpecError
from optihedge.frames import some
from optihedge.hedge.builder import DEFINES, ProgramBuilder
from optihedge.hedge.terms.base import Term, check_number
from optihedge.market.taylor import with_own_greeks
from optihedge.risk.sources import ScenarioSource

Array = np.ndarray


Scenarios: TypeAlias = pd.DataFrame | ScenarioSource  # P&L (S x contracts, base currency), or a spec of it


def scenario_rows(p: ProgramBuilder, term: Term, pnl: Scenarios) -> Array:
    """The scenarios over contracts in play, S x N. Raises DataError for a contract without them."""
    frame = pnl.pnl(p.market, p.names, p.periods) if isinstance(pnl, ScenarioSource) else pnl
    missing = p.names.difference(frame.columns, sort=False)
    if len(missing):
        raise DataError(f"{term.label}: the scenarios have no P&L for {missing[0]}; add its column")
    values = frame.loc[:, p.names].to_numpy(dtype=float)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"{term.label}: P&L of {p.names[column]} in scenario {frame.index[row]} is not finite; "
                        "mend it, or drop the scenario")  # fmt: skip
    if isinstance(pnl, ScenarioSource):
        p.assumed.extend(note for note in pnl.notes(p.market, p.names) if note not in p.assumed)
    own = p.names[with_own_greeks(p.market.own_exposures, len(p.market.names))[p.positions]]
    if isinstance(pnl, ScenarioSource) and len(own):
        p.notes.append(f"{term.label}: {some(own)} valued by the desk's own Greeks, to second order")
    return values


def closing_rows(p: ProgramBuilder, pnl: Scenarios) -> Array | None:
    """What closing one contract costs in each scenario, S x N; None where nothing is closed."""
    closing = pnl.closing(p.market, p.names) if isinstance(pnl, ScenarioSource) else None
    return closing if closing is not None and closing.any() else None


def _check_frame(term: Term, pnl: Scenarios) -> None:
    if isinstance(pnl, ScenarioSource):
        return
    if not isinstance(pnl, pd.DataFrame) or not len(pnl) or pnl.columns.has_duplicates:
        raise SpecError(f"{term.label}: pnl must be a source, or a frame of at least one scenario, each contract once")


def _check_limit(term: Shortfall | WorstCase) -> None:
    if term.limit is not None and term.share is not None:
        raise SpecError(f"{term.label}: give limit (base currency) or share (of the book's gross), not both")
    for name in ("limit", "share"):
        if getattr(term, name) is not None:
            check_number(term.label, name, getattr(term, name))


def _limit(p: ProgramBuilder, term: Shortfall | WorstCase) -> float | None:
    return term.limit if term.share is None else term.share * p.size


@dataclass(frozen=True, eq=False)
class _Losses:
    """Losses of S scenarios by N quantities: -pnl q + closing |q|."""

    pnl: Array
    closing: Array | None

    @classmethod
    def of(cls, p: ProgramBuilder, term: Shortfall | WorstCase) -> _Losses:
        """Of a term's scenarios over the contracts in play."""
        return cls(scenario_rows(p, term, term.pnl), closing_rows(p, term.pnl))

    def __call__(self, quantities: Array) -> Array:
        loss = -self.pnl @ quantities
        return loss if self.closing is None else loss + self.closing @ np.abs(quantities)

    def reach(self, p: ProgramBuilder) -> tuple[Array, Array]:
        """The least and greatest loss of each scenario within the boxes said so far."""
        low, high = p.reach(-self.pnl)
        return low, high if self.closing is None else high + self.closing @ p.largest()

    def below(self, p: ProgramBuilder, names: list[str], handles: Array, each: Array | sp.sparray) -> None:
        """Rows that say loss_s <= each_s' z, z the auxiliaries of these handles."""
        p.rows(names, -self.pnl, hi=0.0, on_holdings=self.closing, auxiliaries=(handles, -each), tier=DEFINES,
               unit="base currency")  # fmt: skip


@dataclass(frozen=True, eq=False)
class ScenarioVariance(Term):
    """(aversion / 2) x variance of P&L over the scenarios, each equally likely: gamma and vega by full revaluation.

    noise   standard deviation of each contract's own P&L beyond the scenarios, base currency per contract; independent

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> pnl = oh.options.scenario_pnl(market, oh.options.shock_grid({"spot": [-0.05, 0.0, 0.05]}))
    >>> oh.terms.ScenarioVariance(pnl, aversion=1e-6).aversion
    1e-06
    """

    pnl: Scenarios
    aversion: float
    noise: pd.Series | None = None

    short_name: ClassVar[str] = "scenario variance"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_frame(self, self.pnl)
        check_number(self.label, "aversion", self.aversion, 0.0)
        if self.noise is not None and not isinstance(self.noise, pd.Series):
            raise SpecError(f"{self.label}: noise is {type(self.noise).__name__}; give a Series by contract")

    def contribute(self, p: ProgramBuilder) -> None:
        values = scenario_rows(p, self, self.pnl)
        p.risk_rows(np.sqrt(self.aversion / len(values)) * (values - values.mean(axis=0)))
        if self.noise is not None:
            p.diagonal(self.aversion * self.noise.reindex(p.names).to_numpy(dtype=float) ** 2)


@dataclass(frozen=True, eq=False)
class Shortfall(Term):
    """Expected loss in the worst (1 - confidence) of scenarios: `weight` times it in the objective, or <= `limit` (base
    currency) or `share` (of the book's gross, or the capital if larger).

    min over t of  t + sum_s max(loss_s - t, 0) / ((1 - confidence) S)   (Rockafellar and Uryasev 2000)

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> pnl = oh.options.scenario_pnl(market, oh.options.shock_grid({"spot": [-0.1, -0.05, 0.0, 0.05, 0.1]}))
    >>> oh.terms.Shortfall(pnl, confidence=0.8, limit=1e6).limit
    1000000.0
    """

    pnl: Scenarios
    confidence: float = 0.95
    weight: float = 1.0
    limit: float | None = None
    share: float | None = None

    short_name: ClassVar[str] = "shortfall"
    reads_boxes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_frame(self, self.pnl)
        check_number(self.label, "confidence", self.confidence, 0.0)
        if self.confidence >= 1:
            raise SpecError(f"{self.label}: confidence is {self.confidence}; give a number in [0, 1)")
        check_number(self.label, "weight", self.weight, 0.0)
        _check_limit(self)

    def value(self, pnl: Array) -> float:
        """The shortfall of P&L by scenario (S), base currency."""
        loss = np.sort(-pnl)[::-1]
        tail = (1 - self.confidence) * len(loss)
        weights = np.clip(tail - np.arange(len(loss)), 0.0, 1.0)
        return float(weights @ loss / tail)

    def contribute(self, p: ProgramBuilder) -> None:
        losses, limit = _Losses.of(p, self), _limit(p, self)
        count = len(losses.pnl)
        share = 1 / ((1 - self.confidence) * count)
        low, high = losses.reach(p)
        weight = self.weight if limit is None else 0.0
        at = p.auxiliary(f"{self.label}:quantile", low.min(), high.max(), weight)
        beyond = p.auxiliary(f"{self.label}:excess", 0.0, np.maximum(high - low.min(), 0.0), weight * share, count)
        handles = np.concatenate([at, beyond])
        each = sp.hstack([np.ones((count, 1)), sp.eye_array(count)])
        names = [f"{self.label}[{scenario}]" for scenario in range(count)]
        losses.below(p, names, handles, each)
        if limit is not None:
            coefficients = np.concatenate([[1.0], np.full(count, share)])
            p.row(self.label, hi=limit, auxiliaries=(handles, coefficients), soft=self.soft, tier=self.priority,
                  unit="base currency", value=partial(_of_quantities, self, losses))  # fmt: skip


@dataclass(frozen=True, eq=False)
class WorstCase(Term):
    """The largest loss over the scenarios: `weight` times it in the objective, or <= `limit` (base currency) or `share`
    (of the book's gross, or the capital if larger).

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> pnl = oh.options.scenario_pnl(market, oh.options.shock_grid({"spot": [-0.1, 0.1]}))
    >>> oh.terms.WorstCase(pnl, weight=0.1).weight
    0.1
    """

    pnl: Scenarios
    weight: float = 1.0
    limit: float | None = None
    share: float | None = None

    short_name: ClassVar[str] = "worst case"
    reads_boxes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_frame(self, self.pnl)
        check_number(self.label, "weight", self.weight, 0.0)
        _check_limit(self)

    def value(self, pnl: Array) -> float:
        """The largest loss of P&L by scenario (S), base currency."""
        return float(-pnl.min())

    def contribute(self, p: ProgramBuilder) -> None:
        losses, limit = _Losses.of(p, self), _limit(p, self)
        names = [f"{self.label}[{scenario}]" for scenario in range(len(losses.pnl))]
        low, high = losses.reach(p)
        weight = self.weight if limit is None else 0.0
        worst = p.auxiliary(f"{self.label}:loss", low.max(), high.max(), weight)
        losses.below(p, names, worst, np.ones((len(losses.pnl), 1)))
        if limit is not None:
            p.row(self.label, hi=limit, auxiliaries=(worst, 1.0), soft=self.soft, tier=self.priority,
                  unit="base currency", value=partial(_of_quantities, self, losses))  # fmt: skip


def _of_quantities(term: Shortfall | WorstCase, losses: _Losses, quantities: Array) -> float:
    """The term's value for N quantities."""
    return term.value(-losses(quantities))
