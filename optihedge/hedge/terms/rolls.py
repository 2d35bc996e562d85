"""Rolls: futures that are due are left, so that what they hedged goes to those that live on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.hedge.builder import ProgramBuilder
from optihedge.hedge.terms.base import Term, check_number


@dataclass(frozen=True)
class RollOut(Term):
    """Nothing is held after trading of what may be traded, has one of these types and expires within `days`.

    days    calendar days, from the market's instant to the expiry
    types   types of contracts; options of a client's book end by themselves

    With the policy `RollDue` of more days it rolls: the policy acts in time, and the other limits ask for a contract
    that lives on.

    >>> import optihedge as oh
    >>> oh.terms.RollOut(days=10).types
    ('future', 'inverse_future')
    """

    days: float = 5.0
    types: tuple[str, ...] = ("future", "inverse_future")

    short_name: ClassVar[str] = "roll"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "types", tuple(self.types))
        check_number(self.label, "days", self.days, 0.0)
        if self.soft is not None:
            raise SpecError(f"{self.label}: a roll is due or it is not; leave soft out, or give fewer days")

    def contribute(self, p: ProgramBuilder) -> None:
        table = p.market.instruments.loc[p.names, ["type", "expiry"]]
        near = table["expiry"] - p.market.as_of <= pd.Timedelta(days=self.days)
        due = (near & table["type"].isin(self.types)).to_numpy() & p.tradable
        p.box(np.where(due, 0.0, -np.inf), np.where(due, 0.0, np.inf))
