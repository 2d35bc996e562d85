"""A pair or basket held in a locked ratio, and the reversion that its past lets expect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from optihedge.errors import SpecError
from optihedge.hedge.builder import ProgramBuilder
from optihedge.hedge.terms.base import Term, check_number
from optihedge.risk.spread import LEAST_ROWS, SpreadState, legs_of, spread_state


@dataclass(frozen=True)
class Spread(Term):
    """The notional of every leg after trading is weight x units; units (base currency) are free within +-limit.

    legs      contract -> weight: notional per unit; all have to be in play
    limit     most units, base currency
    rows      None: a locked ratio and no view. Else the objective earns what the spread's level is expected to return
              over the horizon: units x deviation x (1 - 2^(-periods / half_life)), over so many rows of history
    stop      beyond so many standard deviations the relation no longer holds: units are 0
    max_half_life   nothing is expected where the half-life is longer, in rows, or cannot be told from a random walk's

    >>> Spread({"ETH-PERP": 1.0, "BTC-PERP": -0.8}, limit=1e5, rows=250).label
    'locked spread'
    """

    legs: Mapping[str, float]
    limit: float
    rows: int | None = None
    stop: float = 4.0
    max_half_life: float = 60.0

    short_name: ClassVar[str] = "locked spread"

    def __post_init__(self) -> None:
        super().__post_init__()
        legs_of(self.label, self.legs)
        check_number(self.label, "limit", self.limit, 0.0)
        check_number(self.label, "stop", self.stop, 0.0, strict=True)
        check_number(self.label, "max_half_life", self.max_half_life, 0.0, strict=True)
        if self.rows is not None:
            check_number(self.label, "rows", self.rows, LEAST_ROWS)

    @property
    def covers(self) -> tuple[str, ...]:
        return ("view",)

    def contribute(self, p: ProgramBuilder) -> None:
        weights = legs_of(self.label, self.legs)
        missing = [name for name in weights.index if name not in p.names]
        if missing:
            raise SpecError(
                f"{self.label}: {missing[0]} is not in play (hedge, or held); mark it, or leave the leg out"
            )
        state = None if self.rows is None else spread_state(p.market, self.legs, self.rows)
        limit, earned = self._told(p, state)
        at = p.names.get_indexer(weights.index)
        notional, w = p.measure("notional")[at], weights.to_numpy()
        first, others = np.zeros(len(at) - 1, dtype=int), np.arange(1, len(at))
        unit = np.concatenate([others - 1, others - 1]), at[np.concatenate([others, first])]
        own = np.concatenate([notional[1:], -w[1:] / w[0] * notional[0]])
        rows = sp.csr_array((own, unit), shape=(len(at) - 1, len(p.names)))
        names = [f"{self.label}[{leg}]" for leg in weights.index[1:]]
        p.rows(names, rows, 0.0, 0.0, soft=self.soft, tier=self.priority, unit="base currency", target=0.0)
        most, earning = np.full(len(p.names), np.inf), np.zeros(len(p.names))
        most[at] = limit * abs(w) / notional
        earning[at] = earned * w * notional / (w @ w)
        p.box(-most, most)
        p.cost(linear=-earning)

    def _told(self, p: ProgramBuilder, state: SpreadState | None) -> tuple[float, float]:
        """Most units, and what a unit is expected to earn over the horizon; what was found becomes a note."""
        if state is None:
            return self.limit, 0.0
        told = f"{self.label}: {state.z:+.2f} deviations from its mean, half-life {state.half_life:.3g} rows"
        if abs(state.z) >= self.stop:
            p.notes.append(f"{told}: beyond {self.stop:g}, the relation is taken as broken, nothing may be held")
            return 0.0, 0.0
        if not state.half_life <= self.max_half_life:
            p.notes.append(
                f"{told} (infinite: like a random walk), max_half_life {self.max_half_life:g}: no return is expected"
            )
            return self.limit, 0.0
        p.notes.append(told)
        return self.limit, state.reversion(p.periods)
