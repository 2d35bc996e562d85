"""Terms over scenarios: a frame of P&L per contract, base currency, one row per scenario, one column per contract."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import DataError, SpecError
from optihedge.hedge.builder import DEFINES, ProgramBuilder
from optihedge.hedge.terms.base import Term, check_number

Array = np.ndarray


def scenario_rows(p: ProgramBuilder, term: Term, pnl: pd.DataFrame) -> Array:
    """The scenarios over contracts in play, S x N. Raises DataError for a contract without them."""
    missing = p.names.difference(pnl.columns, sort=False)
    if len(missing):
        raise DataError(f"{term.label}: the scenarios have no P&L for {missing[0]}; add its column")
    values = pnl.loc[:, p.names].to_numpy(dtype=float)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"{term.label}: P&L of {p.names[column]} in scenario {pnl.index[row]} is not finite")
    return values


def _check_frame(term: Term, pnl: pd.DataFrame) -> None:
    if not isinstance(pnl, pd.DataFrame) or not len(pnl) or pnl.columns.has_duplicates:
        raise SpecError(f"{term.label}: pnl must be a frame of at least one scenario, each contract's column once")


@dataclass(frozen=True, eq=False)
class ScenarioVariance(Term):
    """(aversion / 2) x variance of P&L over the scenarios, each equally likely: gamma and vega by full revaluation.

    noise   standard deviation of each contract's own P&L beyond the scenarios, base currency per contract; independent
    """

    pnl: pd.DataFrame
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
    """Expected loss in the worst (1 - confidence) of scenarios: `weight` times it in the objective, or <= `limit`.

    min over t of  t + sum_s max(loss_s - t, 0) / ((1 - confidence) S)   (Rockafellar and Uryasev 2000)
    """

    pnl: pd.DataFrame
    confidence: float = 0.95
    weight: float = 1.0
    limit: float | None = None

    short_name: ClassVar[str] = "shortfall"
    reads_boxes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_frame(self, self.pnl)
        check_number(self.label, "confidence", self.confidence, 0.0)
        if self.confidence >= 1:
            raise SpecError(f"{self.label}: confidence is {self.confidence}; give a number in [0, 1)")
        check_number(self.label, "weight", self.weight, 0.0)
        if self.limit is not None:
            check_number(self.label, "limit", self.limit)

    def value(self, pnl: Array) -> float:
        """The shortfall of P&L by scenario (S), base currency."""
        loss = np.sort(-pnl)[::-1]
        tail = (1 - self.confidence) * len(loss)
        weights = np.clip(tail - np.arange(len(loss)), 0.0, 1.0)
        return float(weights @ loss / tail)

    def contribute(self, p: ProgramBuilder) -> None:
        values = scenario_rows(p, self, self.pnl)
        count = len(values)
        share = 1 / ((1 - self.confidence) * count)
        low, high = p.reach(-values)
        weight = self.weight if self.limit is None else 0.0
        at = p.auxiliary(f"{self.label}:quantile", low.min(), high.max(), weight)
        beyond = p.auxiliary(f"{self.label}:excess", 0.0, np.maximum(high - low.min(), 0.0), weight * share, count)
        handles = np.concatenate([at, beyond])
        each = sp.hstack([np.ones((count, 1)), sp.eye_array(count)])
        names = [f"{self.label}[{scenario}]" for scenario in range(count)]
        p.rows(names, values, lo=0.0, auxiliaries=(handles, each), tier=DEFINES, unit="base currency")
        if self.limit is not None:
            coefficients = np.concatenate([[1.0], np.full(count, share)])
            p.row(self.label, hi=self.limit, auxiliaries=(handles, coefficients), soft=self.soft, tier=self.priority,
                  unit="base currency", value=partial(_of_quantities, self, values))  # fmt: skip


@dataclass(frozen=True, eq=False)
class WorstCase(Term):
    """The largest loss over the scenarios: `weight` times it in the objective, or <= `limit`."""

    pnl: pd.DataFrame
    weight: float = 1.0
    limit: float | None = None

    short_name: ClassVar[str] = "worst case"
    reads_boxes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_frame(self, self.pnl)
        check_number(self.label, "weight", self.weight, 0.0)
        if self.limit is not None:
            check_number(self.label, "limit", self.limit)

    def value(self, pnl: Array) -> float:
        """The largest loss of P&L by scenario (S), base currency."""
        return float(-pnl.min())

    def contribute(self, p: ProgramBuilder) -> None:
        values = scenario_rows(p, self, self.pnl)
        names = [f"{self.label}[{scenario}]" for scenario in range(len(values))]
        low, high = p.reach(-values)
        weight = self.weight if self.limit is None else 0.0
        worst = p.auxiliary(f"{self.label}:loss", low.max(), high.max(), weight)
        each = np.ones((len(values), 1))
        p.rows(names, values, lo=0.0, auxiliaries=(worst, each), tier=DEFINES, unit="base currency")
        if self.limit is not None:
            p.row(self.label, hi=self.limit, auxiliaries=(worst, 1.0), soft=self.soft, tier=self.priority,
                  unit="base currency", value=partial(_of_quantities, self, values))  # fmt: skip


def _of_quantities(term: Shortfall | WorstCase, values: Array, quantities: Array) -> float:
    """The term's value for N quantities, from the P&L of the contracts in play, S x N."""
    return term.value(values @ quantities)
