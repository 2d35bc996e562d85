"""What a balance or a holding has been, move by move: what becomes known late is set where it belongs.

A State remembers REMEMBERED of it. A balance earns interest; put among its moves, a late payment or rate has earned by
now what it would have earned in time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import pandas as pd

from optihedge.content import canonical_fields, canonical_object, canonical_text
from optihedge.market.instruments import HOURS_PER_YEAR

REMEMBERED = pd.Timedelta(days=31)
CASH, HELD = "cash", "held"
BEGINNING = pd.Timestamp(0, tz="UTC")
_YEAR = pd.Timedelta(hours=HOURS_PER_YEAR)

Key: TypeAlias = "tuple[pd.Timestamp, int]"  # an instant, and the rank of what happens at it


class Told:
    """A frozen value whose canonical text is written once: most of a state is what it was the night before."""

    @cached_property
    def text(self) -> str:
        """As JSON: sorted keys, exact floats."""
        return canonical_fields(self)


@dataclass(frozen=True)
class Move(Told):
    """What came (above 0) or went at an instant; rank among what happened then; rate: what it earns from then on.

    A rate of None says nothing; where there is one, what has accrued until then is paid.
    """

    time: pd.Timestamp
    rank: int
    amount: float
    rate: float | None = None

    @property
    def key(self) -> Key:
        """Where it is in the order of what happens."""
        return self.time, self.rank


@dataclass(frozen=True)
class Past(Told):
    """An amount since an instant: what it was then, interest accrued on it, its yearly rate, and its moves in order."""

    since: pd.Timestamp
    amount: float = 0.0
    accrued: float = 0.0
    rate: float = 0.0
    moves: tuple[Move, ...] = ()

    @cached_property
    def text(self) -> str:
        """As JSON: sorted keys, exact floats."""
        told = f"[{','.join([move.text for move in self.moves])}]"
        parts = {name: canonical_text(getattr(self, name)) for name in ("since", "amount", "accrued", "rate")}
        return canonical_object({**parts, "moves": told})

    def before(self, key: Key) -> float | None:
        """The amount just before a place in the order; None where that is before its beginning."""
        if key[0] < self.since:
            return None
        return self.amount + sum([move.amount for move in self.moves if move.key < key])

    def brought(self, until: pd.Timestamp) -> Past:
        """The same past from an instant on: its moves until then are told by what they have come to."""
        amount, accrued, rate, clock, passed = self.amount, self.accrued, self.rate, self.since, 0
        for move in self.moves:
            if move.time > until:
                break
            accrued += amount * rate * _years(clock, move.time) if rate else 0.0
            clock, passed = max(move.time, clock), passed + 1
            if move.rate is not None:
                amount, accrued, rate = amount + accrued, 0.0, move.rate
            amount += move.amount
        accrued += amount * rate * _years(clock, until) if rate else 0.0
        return Past(max(until, self.since), amount, accrued, rate, self.moves[passed:])

    def having(self, move: Move) -> Past:
        """The same past with another move in its place; one from before its beginning is put there."""
        move = move if move.time >= self.since else replace(move, time=self.since)
        moves, key = self.moves, move.key
        at = len(moves) if not moves or moves[-1].key <= key else bisect_right(moves, key, key=lambda one: one.key)
        last = moves[at - 1] if at else None
        if last is not None and last.key == key and last.rate is None and move.rate is None:
            move, at, moves = Move(*key, last.amount + move.amount), at - 1, (*moves[: at - 1], *moves[at:])
        return Past(self.since, self.amount, self.accrued, self.rate, (*moves[:at], move, *moves[at:]))

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Past:
        """What a text said."""
        moves = [Move(**{**move, "time": pd.Timestamp(move["time"])}) for move in plain["moves"]]
        return cls(**{**plain, "since": pd.Timestamp(plain["since"]), "moves": tuple(moves)})


def _years(since: pd.Timestamp, until: pd.Timestamp) -> float:
    return max((until - since) / _YEAR, 0.0)
