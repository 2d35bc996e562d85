"""What American options are worth over Black's formula, tabled by spot and vol so that scenarios read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optihedge.market.american import american_profiles
from optihedge.market.american_grid import NODES
from optihedge.market.contracts import Contracts
from optihedge.market.pricing import black

Floats = NDArray[np.float64]

_VOLS = np.array([0.5, 0.75, 1.0, 1.35, 2.0])  # of today's; between them a polynomial in the log of vol, flat beyond
_LOGS = np.log(_VOLS)


@dataclass(frozen=True, eq=False)
class EarlyPremium:
    """The premium of N options (0 where European), on nodes of ln(S) for a few vols of each, price units.

    at       positions of the American options, A
    table    V x A x M;  step, first   V x A: spacing and first node of ln of the deliverable's growth
    vol      today's, A
    """

    at: NDArray[np.intp]
    table: Floats
    step: Floats
    first: Floats
    vol: Floats

    @classmethod
    def of(cls, c: Contracts, years: Floats) -> EarlyPremium:
        """With so many years left, N; ln(F/S) has shrunk with the time. Expired options have none."""
        at = np.flatnonzero(c.american & (years > 0) & (c.vol > 0))
        if not at.size:
            none = np.zeros((len(_VOLS), 0))
            return cls(at, np.zeros((*none.shape, NODES)), none, none, np.zeros(0))
        o, left = c.take(at), years[at]
        share = left / o.years
        lean = np.where(o.on_future, 0.0, np.log(o.forward / o.spot)) * share
        table, step, first = [], [], []
        for factor in _VOLS:
            vol = o.vol * factor
            growth, value = american_profiles(
                o.deliverable, o.strike, left, vol, o.right, o.rate, o.carry, o.ex - (o.years - left)[:, None], o.cash
            )
            level = o.deliverable[:, None] * np.exp(growth)
            terms = (a[:, None] for a in (o.strike, left, vol, o.right, o.discount**share))
            table.append(value - black(level * np.exp(lean)[:, None], *terms))
            step.append(growth[:, 1] - growth[:, 0])
            first.append(growth[:, 0])
        shape = (len(_VOLS), len(at))
        nodes = np.reshape(table, (*shape, NODES))
        return cls(at, nodes, np.reshape(step, shape), np.reshape(first, shape), o.vol)

    def __call__(self, log_growth: Floats, vol: Floats) -> Floats:
        """R x A: the premium where the deliverable has grown so and vol is so (each R x A)."""
        with np.errstate(divide="ignore"):
            x = np.clip(np.log(np.maximum(vol, 0.0) / self.vol), _LOGS[0], _LOGS[-1])
        total = np.zeros_like(x)
        row = np.arange(len(self.at)) * NODES
        for k, own in enumerate(_LOGS):
            weight = np.ones_like(x)
            for other in np.delete(_LOGS, k):
                weight *= (x - other) / (own - other)
            place = np.clip((log_growth - self.first[k]) / self.step[k], 0.0, NODES - 1 - 1e-9)
            node = place.astype(np.intp)
            flat = self.table[k].ravel()
            below = flat.take(row + node)
            total += weight * (below + (place - node) * (flat.take(row + node + 1) - below))
        return total
