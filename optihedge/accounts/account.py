"""One account's lots, and what is read of them night after night, worked out once while they stay."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from optihedge.content import canonical_object
from optihedge.errors import DataError

Array = np.ndarray
_OF_NAMES = ("names", "_places", "_keyed")  # what is read of an account's instruments alone


class Account(dict[str, tuple[Any, ...]]):
    """Lots by instrument, oldest first and of one sign: a mapping that nobody changes."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The instruments in order of their labels."""
        return tuple(sorted(self))

    @cached_property
    def held(self) -> dict[str, float]:
        """Contracts by instrument."""
        return {
            name: lots[0].quantity if len(lots) == 1 else sum([lot.quantity for lot in lots])
            for name, lots in self.items()
        }

    @cached_property
    def quantities(self) -> Array:
        """Contracts in the order of `names`."""
        return np.array(list(map(self.held.__getitem__, self.names)), dtype=float)

    @cached_property
    def text(self) -> str:
        """As JSON: sorted keys, exact floats."""
        return canonical_object({name: f"[{','.join([lot.text for lot in lots])}]" for name, lots in self.items()})

    @classmethod
    def after(cls, before: Account, lots: dict[str, tuple[Any, ...]], account: str) -> Account:
        """An account whose lots were these: only what became of them is summed and checked."""
        made, held = cls(lots), before.held
        new = cls({name: its for name, its in lots.items() if before.get(name) is not its})
        new.check(account)
        changed = new.held
        told = {name: changed[name] if name in changed else held[name] for name in lots}
        made.__dict__.update(held=told, _sound=before.__dict__.get("_sound", False))
        if made.keys() == before.keys():
            made.__dict__.update({name: before.__dict__[name] for name in _OF_NAMES if name in before.__dict__})
        return made

    def check(self, account: str) -> None:
        """Raise a DataError for lots of one instrument that are not of one sign."""
        if self.__dict__.get("_sound"):
            return
        for name, held in self.items():
            if len(held) != 1 and len({(lot.quantity > 0) - (lot.quantity < 0) for lot in held}) != 1:
                raise DataError(f"state: the lots of {name} in account {account} are not of one sign")
        self.__dict__["_sound"] = True

    def places(self, place: dict[str, int]) -> Array:
        """Where each of `names` is in a market's order, -1 where it is not listed; place: its places by label."""
        known: tuple[dict[str, int], Array] | None = self.__dict__.get("_places")
        if known is None or known[0] is not place:
            found = np.array([place.get(name, -1) for name in self.names], dtype=int)
            self.__dict__["_places"] = known = place, found
        return known[1]

    def keyed(self, account: str) -> tuple[tuple[str, str], ...]:
        """(account, instrument) of each of `names`."""
        if "_keyed" not in self.__dict__:
            self.__dict__["_keyed"] = tuple([(account, name) for name in self.names])
        keyed: tuple[tuple[str, str], ...] = self.__dict__["_keyed"]
        return keyed

    def __reduce__(self) -> tuple[Any, ...]:
        return Account, (dict(self),)
