"""Act where what came is not what was forecast: a model that has drifted from its book."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.hedge.horizon import periods_a_day
from optihedge.market.snapshot import Market
from optihedge.step.policies.base import Decision, Memory, View, number

_YEAR = pd.Timedelta(days=365)


@dataclass(frozen=True)
class Drift:
    """Act where the root mean square of realised over forecast P&L is `times` or more, or 1 / `times` or less.

    Forecast: at each step the model's volatility of what the book then holds, for the time until the next one.
    Realised: the change of equity less transfers and what fills paid.

    times      above 1;  halflife  steps in which a step's weight halves;  least  steps before it says anything

    >>> import optihedge as oh
    >>> oh.policy.Drift(times=2.0).least
    10
    """

    times: float = 1.5
    halflife: float = 20.0
    least: int = 10

    def __post_init__(self) -> None:
        number(self, "times", self.times, 1.0, above=True)
        number(self, "halflife", self.halflife, above=True)
        number(self, "least", self.least, 1.0)

    def decide(self, view: View, memory: Memory) -> Decision:
        """The ratio so far. Raises SpecError for a model without risk."""
        form = view.problem.variance
        if form is None:
            raise SpecError("Drift: the model has no risk, so it forecasts nothing; add one, or take another policy")
        past = memory.get("drift", {"squares": 0.0, "weight": 0.0, "steps": 0, "forecast": 0.0})
        squares, weight, steps = past["squares"], past["weight"], past["steps"]
        if past["forecast"] > 0:
            forecast = past["forecast"] * np.sqrt(driver_days(view.market, pd.Timestamp(past["at"])))
            fade = 0.5 ** (1.0 / self.halflife)
            squares = fade * squares + (realised(view.moved.change, view.moved.explained) / forecast) ** 2
            weight, steps = fade * weight + 1.0, steps + 1
        told = {
            "squares": float(squares), "weight": float(weight), "steps": steps, "at": view.market.as_of.isoformat(),
            "forecast": float(form.volatility(view.problem.start) / np.sqrt(view.problem.days)),
        }  # fmt: skip
        if steps < self.least:
            return Decision(False, f"{steps} of {self.least} steps compared with their forecast", {"drift": told})
        ratio = float(np.sqrt(squares / weight))
        why = (
            f"realised over forecast {ratio:.2f} (rms of {steps} steps), limits {1 / self.times:.2f} and {self.times:g}"
        )
        return Decision(not 1 / self.times < ratio < self.times, why, {"drift": told})


def realised(change: float, explained: pd.DataFrame) -> float:
    """What a book gained in a step but for transfers and fills' costs, base currency."""
    return float(change - explained["transfer"].sum() - explained["fill"].sum()) if len(explained) else 0.0


def driver_days(market: Market, since: pd.Timestamp) -> float:
    """Days of the drivers' calendar since then: business days where they count those."""
    a_year = market.periods_per_year
    return float((market.as_of - since) / _YEAR * a_year / periods_a_day(a_year))
