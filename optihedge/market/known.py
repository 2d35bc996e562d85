"""What a market knows: its tables and settings as they were checked, and the hash of their content."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import ClassVar

import pandas as pd

from optihedge.content import content_hash, content_hashes
from optihedge.market.contracts import Contracts
from optihedge.market.levels import months_of
from optihedge.market.valuation import Paths
from optihedge.readonly import content_of

CARRIED = ("left_out", "unread", "acted_on")
"""Fields that say what the tables no longer hold: what is made of a market has them until their cause is gone."""


@dataclass(frozen=True, eq=False, repr=False)
class Known:
    """The fields of a `Market`, which says what each is."""

    seals_itself: ClassVar[bool] = True

    instruments: pd.DataFrame
    quotes: pd.DataFrame
    base_currency: str
    drivers: pd.DataFrame = None  # type: ignore[assignment]  # filled at the door, as are the others below
    history: pd.DataFrame = None  # type: ignore[assignment]
    own_exposures: pd.DataFrame | None = None
    own_loadings: pd.DataFrame | None = None
    depth: pd.DataFrame | None = None
    events: pd.DataFrame | None = None
    smile: pd.DataFrame | None = None
    as_of: pd.Timestamp = None  # type: ignore[assignment]
    on_missing: str = "error"
    max_crossed: float = 0.0
    max_age: pd.Timedelta | str | None = None
    levels: pd.Series = field(init=False, repr=False)
    contracts: Contracts = field(init=False, repr=False)
    vol_from: pd.Series = field(init=False, repr=False)
    periods_per_year: float = field(init=False, repr=False)
    paths: Paths = field(init=False, repr=False)
    left_out: dict[str, str] = field(default_factory=dict, repr=False, kw_only=True)
    unread: dict[str, str] = field(default_factory=dict, repr=False, kw_only=True)
    acted_on: frozenset[str] = field(default=frozenset(), repr=False, kw_only=True)

    @property
    def names(self) -> pd.Index:
        """The N instruments, in the order of every array per contract."""
        return self.instruments.index

    @cached_property
    def manifest(self) -> dict[str, object]:
        """What this market consists of: its settings, and the content hash of every table (of history by month)."""
        stated = {item.name: getattr(self, item.name) for item in fields(self) if item.init and item.name != "history"}
        stated |= {"acted_on": sorted(self.acted_on)}
        stated = {name: value for name, value in stated.items() if name not in CARRIED or value}
        tables = {name: content_of(table) for name, table in stated.items() if isinstance(table, pd.DataFrame)}
        history = self._history_hashes()
        units = {} if self.own_exposures is None else self.own_exposures.attrs.get("unit", {})
        return {**stated, **tables, "history": history, "dates": self.history.attrs["dates"], "units": units}

    def _history_hashes(self) -> dict[str, str]:
        """Month -> content hash of its rows; views of one panel share those of months they have in common."""
        index, known = self.history.index, self.__dict__.get("_months", {})
        times = index.asi8
        months = {(m, times[first], times[end - 1]): (first, end) for m, first, end in months_of(index)}
        new = {key: self.history.iloc[slice(*rows)] for key, rows in months.items() if key not in known}
        known |= content_hashes(new)
        return {key[0]: known[key] for key in months}

    @cached_property
    def hash(self) -> str:
        """The content of this market, 64 hexadecimal digits: equal for equal markets, whatever files they came from."""
        return content_hash(self.manifest)
