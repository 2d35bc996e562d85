"""What labels stand for as a period is worked through: renamed, split, received and given up, one after the other."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from optihedge.accounts.quoted import Quoted
from optihedge.accounts.settle import Terms
from optihedge.errors import DataError
from optihedge.frames import nearest


class Labels:
    """The contracts of one period by the label that they have at the moment.

    then, now   the markets at its start and its end
    """

    def __init__(self, book: str, then: Quoted, now: Quoted) -> None:
        self.book, self.then, self.now = book, then, now
        self._terms: dict[str, Terms] = {}
        self._origin: dict[str, tuple[str, float]] = {}  # label now -> label at the start, units now for one then
        self._gone: dict[str, str] = {}  # label of the start that stands for its contract no more -> what became of it
        self._ratio: dict[str, float] = {}  # underlying -> its shares now for one at the start
        self._turned = False

    def terms(self, name: str) -> Terms:
        """The terms of a contract as they are now in the timeline. Raises DataError for an unknown one."""
        if name not in self._terms:
            self._terms[name] = self._found(name)
        return self._terms[name]

    def _found(self, name: str) -> Terms:
        if not self.of_start(name):
            return self._new(name)
        if name in self.now and name in self._origin:
            return self.now.terms(name)
        start, _ = self.at_start(name)
        known = self.then.terms(start)
        return known if name == start else replace(known, name=name)

    def _new(self, name: str) -> Terms:
        if name in self.now:
            return self.now.terms(name)
        if name in self._gone:
            raise DataError(f"{self.book}: {name} {self._gone[name]}, and is spoken of later; write what it is now")
        raise DataError(
            f"{self.book}: {name} is in neither market of the period{nearest(name, pd.Index(self.now.listed.names))}; "
            "add it to instruments, or mend the label"
        )

    def at_start(self, name: str) -> tuple[str, float]:
        """The label at the start of what is `name` now, and units now for one then."""
        return self._origin.get(name, (name, 1.0))

    def of_start(self, name: str) -> bool:
        """Whether the market at the start has the contract that is `name` now."""
        return name in self._origin or (name in self.then and name not in self._gone)

    def become(self, name: str, label: str, units: float, time: pd.Timestamp) -> tuple[Terms, Terms]:
        """One contract turns into `units` of what is called `label` from now on; the terms of both."""
        old, (start, before), known = self.terms(name), self.at_start(name), self.of_start(name)
        if label != name:
            self._origin.pop(name, None)
            self._terms.pop(name, None)
            self._gone[name] = f"became {label} on {time:%Y-%m-%d}"
        new = label not in self._origin and (label not in self.then or label in self._gone)
        if known and (label in (start, name) or new):  # else it joins what is called so
            self._origin[label] = (start, before * units)
            self._terms.pop(label, None)
        self._gone.pop(label, None)
        later = self.now.terms(label) if label in self.now else self.terms(label)
        self._terms[label] = later
        self._turned = True
        return old, later

    def split(self, name: str, ratio: float) -> None:
        """A share has split: what ends on it before a market lists it again is adjusted, see `adjusted`."""
        asset = self.terms(name).underlying
        self._ratio[asset] = self._ratio.get(asset, 1.0) * ratio

    def adjusted(self, name: str) -> tuple[Terms, float, float]:
        """Terms, the ratio by which splits since have divided their strike, and its size now for one of the terms'."""
        terms = self.terms(name)
        ratio = 1.0 if name in self.now else self._ratio.get(terms.underlying, 1.0)
        if ratio == 1.0 or not self.of_start(name):
            return terms, 1.0, 1.0
        start, units = self.at_start(name)
        return terms, ratio, self.then.terms(start).multiplier * ratio / (units * terms.multiplier)

    def end(self, name: str, how: str) -> None:
        """A contract has ended: whatever has its label from now on is another one."""
        self._gone[name] = how
        self._origin.pop(name, None)
        self._terms.pop(name, None)

    def deliverable(self, terms: Terms) -> str:
        """What an option or future delivers, by its label now. Raises DataError where neither market lists it."""
        if self._turned:
            at_start = {start: label for label, (start, _) in self._origin.items()}
            for start in map(str, self.then.listed.plain):
                if start in at_start and self.then.terms(start).underlying == terms.underlying:
                    return at_start[start]
        return self.now.deliverable(terms)
