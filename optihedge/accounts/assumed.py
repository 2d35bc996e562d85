"""Contracts that ended without a settlement event, at the next level of their underlying: what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from optihedge.accounts.settle import Terms
from optihedge.market.contracts import Contracts
from optihedge.market.families import FAMILY_OF, TYPES

Row = Mapping[str, Any]
_KEPT = ("underlying", "money", "multiplier", "strike", "right")


@dataclass(frozen=True)
class Assumed:
    """What was assumed of one contract: its terms, the price it was ended at, and by account what was held."""

    terms: Terms
    paid: float
    held: Mapping[str, float]

    @property
    def row(self) -> dict[str, Any]:
        """As plain values, which a State holds."""
        kept = {name: getattr(self.terms, name) for name in _KEPT}
        numbers = {name: value if not isinstance(value, float) or np.isfinite(value) else None
                   for name, value in kept.items()}  # fmt: skip
        kind = next(name for name, at in FAMILY_OF.items() if self._is(name, at))
        return {**numbers, "type": kind, "expiry": self.terms.expiry.isoformat(), "paid": self.paid,
                "held": dict(self.held)}  # fmt: skip

    def _is(self, name: str, family: int) -> bool:
        """Whether a type is the contract's."""
        kind, mine = TYPES[name], self.terms
        same = (kind.option, kind.inverse, kind.margined) == (mine.option, mine.inverse, mine.margined)
        return same and family == int(mine.contract.family[0])

    @classmethod
    def of(cls, name: str, row: Row) -> Assumed:
        """What a row says."""
        kind = TYPES[row["type"]]
        number: dict[str, Any] = {key: np.nan if row[key] is None else row[key] for key in _KEPT}
        blank = {field.name: np.zeros(1, dtype=bool if "Flags" in str(field.type) else float)
                 for field in fields(Contracts)}  # fmt: skip
        blank |= {"family": np.array([FAMILY_OF[row["type"]]]), "future": np.array([kind.future])}
        blank |= {key: np.array([number[key]]) for key in ("multiplier", "strike", "right")}
        terms = Terms(
            name=name, expiry=pd.Timestamp(row["expiry"]), option=kind.option, inverse=kind.inverse,
            margined=kind.margined, cash=False, contracts=Contracts(**blank), place=0, **number,
        )  # fmt: skip
        return cls(terms, row["paid"], row["held"])

    def adjusted(self, name: str, ratio: float, multiplier: float, paid: float) -> Assumed:
        """The same contract under the label and on the terms that splits of what it stands on have given it."""
        row = self.row
        strike = None if row["strike"] is None else row["strike"] / ratio
        return Assumed.of(name, {**row, "strike": strike, "multiplier": multiplier, "paid": paid})

    def less(self, account: str, quantity: float) -> Assumed:
        """Without so many contracts, of which another end has become known."""
        held = {name: q - quantity if name == account else q for name, q in self.held.items()}
        return replace(self, held={name: q for name, q in held.items() if abs(q) > 1e-9})


def remembered(rows: Mapping[str, Assumed], since: pd.Timestamp) -> dict[str, dict[str, Any]]:
    """The rows of what ended since an instant and is still assumed."""
    return {name: one.row for name, one in sorted(rows.items()) if one.held and one.terms.expiry > since}
