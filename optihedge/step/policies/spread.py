"""When to enter and leave a spread: by standard deviations of its level and by how fast they have gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from optihedge.errors import SpecError
from optihedge.risk.spread import LEAST_ROWS, legs_of, spread_state
from optihedge.step.policies.base import Decision, Memory, View, number


@dataclass(frozen=True)
class ZScore:
    """Act where the spread is entered or left: |z| at `entry` or more with none held, at `exit` or less with some; and
    where a leg is missing or on the wrong side, which leaves the others open.

    legs      contract -> weight, as in the model's `Spread`;  rows  of history for mean, deviation, half-life
    stop      also act where one is held and |z| is at `stop` or more; nothing is entered there
    max_half_life   enter only where half of a deviation has gone within so many rows

    >>> ZScore({"ETH-PERP": 1.0, "BTC-PERP": -0.8}, entry=1.5).exit
    0.5
    """

    legs: Mapping[str, float]
    rows: int = 250
    entry: float = 2.0
    exit: float = 0.5
    stop: float = 4.0
    max_half_life: float = 60.0

    def __post_init__(self) -> None:
        legs_of("ZScore", self.legs)
        number(self, "rows", self.rows, LEAST_ROWS)
        number(self, "exit", self.exit)
        number(self, "max_half_life", self.max_half_life, above=True)
        if not self.exit < self.entry < self.stop:
            raise SpecError(f"ZScore: exit {self.exit}, entry {self.entry}, stop {self.stop}; give them in this order")

    def decide(self, view: View, memory: Memory) -> Decision:
        """Where the spread stands. Raises SpecError, DataError as `spread_state`."""
        state = spread_state(view.market, self.legs, self.rows)
        away, told = abs(state.z), f"spread {state.z:+.2f} deviations away, half-life {state.half_life:.3g} rows"
        held = view.book.reindex(list(self.legs)).fillna(0.0)
        if (held != 0).any():
            sides = {float(side) for side in np.sign(held.to_numpy() * [*self.legs.values()])}
            if len(sides) > 1:
                open_legs = ", ".join(f"{name} {held[name]:g}" for name in self.legs)
                return Decision(True, f"{told}: legs do not match ({open_legs})")
            due = away <= self.exit or away >= self.stop
            return Decision(due, f"{told}: {'leave' if due else 'held'}")
        due = self.entry <= away < self.stop and state.half_life <= self.max_half_life
        return Decision(due, f"{told}: {'enter' if due else 'wait'}")
