"""Where rows and other limits end at whole lots, in arrays; as a table where one is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from optihedge.program.arrays import Array
from optihedge.program.lots.cone_limits import other_limits
from optihedge.program.lots.neighbourhood import Neighbourhood
from optihedge.program.own.terms import OwnTerms
from optihedge.program.program import RESIDUAL_TOLERANCE, beyond_limits, row_values


@dataclass(frozen=True, eq=False)
class RowEnds:
    """Of each row, then of a volatility limit and the user's own constraints: as `Rounding.rows` says, desk unit."""

    names: tuple[str, ...]
    value: Array
    lower: Array
    upper: Array
    violation: Array
    allowed: Array
    finest: tuple[str, ...]
    hard: Array
    scale: Array  # 1e-9 of it is rounding

    @classmethod
    def of(cls, around: Neighbourhood, h: Array, own: OwnTerms | None = None) -> RowEnds:
        """At quantities h (n)."""
        p, lots = around.program, np.round(around.grid.lots(h))
        traded = np.where((lots != 0) & around.grid.lumpy & (around.exposure > 0), around.exposure, np.inf)
        some = np.isfinite(traded.min(axis=1, initial=np.inf)).tolist()
        leg = traded.argmin(axis=1).tolist() if traded.size else [0] * len(some)
        finest = tuple(p.columns[i] if one else "" for i, one in zip(leg, some, strict=True))
        value = row_values(p, h)
        scale = (np.abs(around.rows) + around.on_holdings) @ np.abs(h) + p.row_fixed + around.units
        rows = cls(p.row_names, value, p.row_lower, p.row_upper, beyond_limits(p, value), around.allowance(lots),
                   finest, around.hard, scale)  # fmt: skip
        return rows if p.volatility_limit is None and own is None else rows._with(other_limits(p, h, own))

    def _with(self, rest: pd.DataFrame) -> RowEnds:
        """These and other limits, which are hard and met exactly."""
        none, joined = np.zeros(len(rest)), np.concatenate
        value, upper, violation, scale = (
            joined([mine, rest[name].to_numpy(float)])
            for name, mine in (("value", self.value), ("upper", self.upper), ("violation", self.violation),
                               ("scale", self.scale))
        )  # fmt: skip
        return RowEnds(
            (*self.names, *rest.index), value, joined([self.lower, none - np.inf]), upper, violation,
            joined([self.allowed, none]), (*self.finest, *[""] * len(rest)), joined([self.hard, none == 0]), scale,
        )  # fmt: skip

    @cached_property
    def table(self) -> pd.DataFrame:
        """The same by name."""
        columns = {name: getattr(self, name) for name in ("value", "lower", "upper", "violation", "allowed")}
        columns |= {"finest": np.array(self.finest, dtype=object), "hard": self.hard, "scale": self.scale}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="row", dtype=object))

    def over(self, allowed: Array | float = 0.0) -> Array:
        """Hard ones further outside their band than that and rounding explain (a mask)."""
        beyond: Array = self.hard & (self.violation > allowed + RESIDUAL_TOLERANCE * self.scale)
        return beyond

    @property
    def beyond(self) -> float:
        """How far hard ones end beyond what rounding explains, in sum."""
        return float(np.maximum(self.violation - self.allowed, 0.0)[self.hard].sum())
