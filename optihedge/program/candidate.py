"""What a solver is to the kernel: whatever proposes quantities and multipliers, of which nothing is trusted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from optihedge.program.arrays import Array
from optihedge.program.program import Program
from optihedge.program.status import Status


@dataclass(frozen=True, eq=False)
class Candidate:
    """What a solver proposes: quantities h (n), row multipliers (m, > 0 pushes on hi, < 0 on lo), its own word and why.

    `limit_multiplier` >= 0 is the weight on 1/2 (volatility^2 - limit^2). `pull`: what the price of volatility pulls
    with, over the parts of its volatility (see `Volatility.parts`), no longer than the price; None: as it does at h,
    which says nothing where nothing is left of it. Nothing here is trusted before `certify`: a word that is no Status
    counts as ROUGH, and stands in `why`.
    """

    h: Array
    multipliers: Array
    status: Status
    limit_multiplier: float = 0.0
    why: str = ""
    pull: Array | None = None

    def __post_init__(self) -> None:
        if isinstance(self.status, Status):
            return
        word = str(self.status)
        known = word in set(Status)
        object.__setattr__(self, "status", Status(word) if known else Status.ROUGH)
        object.__setattr__(self, "why", self.why if known else self.why or word)

    def over(self, program: Program, other: Program) -> Candidate:
        """The same under another Program of the same rows and fewer columns, by their names."""
        at = {name: i for i, name in enumerate(program.columns)}
        return replace(self, h=self.h[[at[name] for name in other.columns]])

    @classmethod
    def none(cls, program: Program, status: Status, why: str) -> Candidate:
        """No proposal, and why: quantities that are not numbers, multipliers of zero."""
        return cls(np.full(len(program.columns), np.nan), np.zeros(len(program.row_names)), status, why=why)


class Solver(Protocol):
    """Anything that proposes candidates. `deadline` in seconds from now; `warm` an earlier candidate, or None."""

    @property
    def name(self) -> str:
        """What the certificate's chain calls it."""

    def solve(self, program: Program, *, deadline: float | None, warm: Candidate | None = None) -> Candidate:
        """A candidate; its word is not trusted."""
