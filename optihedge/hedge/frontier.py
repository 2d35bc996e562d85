"""A frontier: the hedges of one book along the price of its risk, as a table and a picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from optihedge.display.numbers import number
from optihedge.errors import SpecError
from optihedge.hedge.result import Hedge
from optihedge.hedge.spec import HedgeSpec
from optihedge.hedge.terms.objective import Variance, Volatility

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DUST = 1e-9  # contracts


def own_value(spec: HedgeSpec, size: float) -> float:
    """What a model asks now: the sharpe or price of its Volatility, the aversion of its Variance for a book of `size`
    (base currency). Raises SpecError where it has not just one of them."""
    mine = [term for term in spec.objective if isinstance(term, (Variance, Volatility))]
    if len(mine) != 1:
        raise SpecError(f"frontier: the objective has {len(mine)} Variance or Volatility terms; it needs one to vary")
    (term,) = mine
    if isinstance(term, Variance):
        return term.at(size)
    asked = term.sharpe if term.price is None else term.price
    return float(asked or 0.0)


class Frontier(tuple[Hedge, ...]):
    """Hedges in the order of their values: a tuple, with what they trade against each other.

    values   what was varied, one per hedge;  word  its name: aversion, sharpe or price
    """

    values: tuple[float, ...]
    word: str

    def __new__(cls, hedges: Iterable[Hedge], values: Iterable[float] = (), word: str = "value") -> Frontier:
        made = super().__new__(cls, hedges)
        made.values, made.word = tuple(float(v) for v in values), word
        return made

    @property
    def table(self) -> pd.DataFrame:
        """By value: volatility a day after, its share of before, cost to trade and in all (base currency), contracts
        traded, and status."""
        rows = []
        for hedge in self:
            before, after = hedge.risk.loc["volatility"] if len(hedge.risk) else (np.nan, np.nan)
            rows.append({
                "volatility": after, "of before": after / before if before else np.nan,
                "trading": hedge.costs["trading"], "cost": hedge.costs["total"],
                "contracts": int((hedge.trades.abs() > _DUST).sum()), "status": str(hedge.status),
            })  # fmt: skip
        return pd.DataFrame(rows, index=pd.Index(self.values, name=self.word))

    def plot(self) -> Figure:
        """Volatility a day against cost, with the simple hedges beside."""
        from optihedge.display import AFTER, BEFORE, figure

        drawn, axes = figure(1, 1, height=4.2, width=7.0)
        (axis,) = np.ravel(axes)
        table, money = self.table, self[0].market.base_currency
        axis.plot(table["cost"], table["volatility"], marker="o", color=AFTER, label=f"hedges by {self.word}")
        for value, row in zip(self.values, table.itertuples(), strict=True):
            place = (row.cost, row.volatility)
            axis.annotate(f"{value:.3g}", place, textcoords="offset points", xytext=(0, -13), fontsize=8, ha="center")
        for name, row in self[0].baselines.drop(index="hedge", errors="ignore").iterrows():
            place = (row["cost"], row["volatility"])
            axis.plot(*place, marker="s", linestyle="", color=BEFORE)
            axis.annotate(str(name), place, textcoords="offset points", xytext=(4, 5), fontsize=8)
        axis.set_xlabel(f"cost, {money}")
        axis.set_ylabel(f"volatility a day, {money}")
        axis.set_title(f"{self[0].model.name}: what risk costs to remove".lstrip(": "))
        for direction in (axis.xaxis, axis.yaxis):
            direction.set_major_formatter(lambda value, _: number(value))
        axis.grid(alpha=0.3)
        axis.set_ylim(bottom=0)
        axis.legend(loc="best", frameon=False)
        return drawn

    def _repr_html_(self) -> str:
        from optihedge.display import table_html

        return table_html(self.table, "frontier")

    def __repr__(self) -> str:
        return f"<Frontier of {len(self)} hedges by {self.word}>\n{self.table.to_string(float_format=number)}"
