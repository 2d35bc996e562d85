"""The simple hedges that are walked beside a model: none, the nearest instrument, a regression's beta."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from optihedge.hedge.baselines import simple_trades
from optihedge.hedge.model import HedgeModel
from optihedge.market.snapshot import Market

NAMES = ("no hedge", "nearest instrument", "regression beta")


@dataclass(frozen=True)
class Rule:
    """What a simple hedge answers: contracts to trade."""

    trades: pd.Series


@dataclass(frozen=True, eq=False)
class SimpleHedge:
    """One of NAMES, with the universe, the risk and the costs of a model; see `hedge.baselines`."""

    model: HedgeModel
    name: str

    def hedge(self, market: Market, book: pd.Series) -> Rule:
        """Its trades from the book as it stands, what hedges it included; none where it knows no answer."""
        if self.name == "no hedge":
            return Rule(pd.Series(dtype=float))
        problem = self.model.problem(market, book)
        trades = simple_trades(market, problem).get(self.name)
        return Rule(pd.Series(dtype=float) if trades is None else pd.Series(trades, problem.names))


def simple_hedges(model: HedgeModel) -> dict[str, SimpleHedge]:
    """All of them by name."""
    return {name: SimpleHedge(model, name) for name in NAMES}
