"""What accounts ask of a market: each contract's terms and mark, and each money's rate; looked up once per market."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from optihedge.accounts.settle import Terms
from optihedge.errors import DataError
from optihedge.frames import nearest
from optihedge.market.instruments import types_of
from optihedge.market.moneys import rate_to_base, settle_currencies
from optihedge.market.snapshot import Market
from optihedge.readonly import coded, kept, numbers, texts, told

Array = np.ndarray


class Listed:
    """What the instruments alone say, by label and in their order; markets that share them share it."""

    def __init__(self, table: pd.DataFrame) -> None:
        kinds, names = types_of(table), table.index.astype(str).tolist()
        self.names, self.place = names, {name: i for i, name in enumerate(names)}
        self.by_name: Array = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=int)
        self.money: Array = settle_currencies(table)
        self.money_of, self.moneys = pd.factorize(self.money)
        self.multiplier: Array = numbers(table, "multiplier")
        self.own_money: Array = self.money == np.array(names, dtype=object)
        self.margined: Array = kinds["margined"]
        self.reciprocal: Array = kinds["inverse"] & kinds["margined"]
        self.cash: Array = told(table, "type", "cash")
        ends, expiries = coded(table, "expiry")
        columns: dict[str, Any] = {
            "money": self.money, "cash": self.cash, **{name: kinds[name] for name in ("option", "inverse", "margined")},
            "underlying": texts(table, "underlying"), "multiplier": self.multiplier, "strike": numbers(table, "strike"),
            "expiry": np.array([*expiries, pd.NaT], dtype=object)[ends],
        }  # fmt: skip
        self.columns: dict[str, list[Any]] = {name: values.tolist() for name, values in columns.items()}
        self.plain = table.index[told(table, "type", "equity") | told(table, "type", "spot")]
        self._labelled = b"", pd.Index([], dtype=object)
        self._said: dict[int, dict[str, Any]] = {}

    def said(self, at: int) -> dict[str, Any]:
        """What its columns say of the contract at a place, by name."""
        if at not in self._said:
            self._said[at] = {name: values[at] for name, values in self.columns.items()}
        return self._said[at]

    def labels(self, at: Array) -> pd.Index:
        """The labels at these places; of the same places as last time the same object."""
        key = at.tobytes()
        if key != self._labelled[0] or not key:
            self._labelled = key, pd.Index([self.names[i] for i in at], dtype=object)
        return self._labelled[1]


class Quoted:
    """A market by label; `listed` and `marks` by place in its order."""

    def __init__(self, market: Market) -> None:
        self.listed = kept(market.instruments, "listed", lambda: Listed(market.instruments))
        self.as_of, self._names = market.as_of, market.names
        self._place, self._columns, self._plain = self.listed.place, self.listed.columns, self.listed.plain
        self._contracts, self.marks = market.contracts, market.contracts.price
        self._sides = {side: numbers(market.quotes, side) for side in ("bid", "ask")}
        self._fees = market.fees.to_numpy()
        self._terms: dict[str, Terms] = {}
        self._rates: dict[str, float] = {}
        self._paths = market.drivers, market.levels, market.base_currency

    def __contains__(self, name: str) -> bool:
        return name in self._place

    def places(self, names: Iterable[str]) -> Array:
        """Where listed contracts are in the market's order. Raises DataError for another."""
        names, place = list(names), self._place
        try:
            return np.array([place[name] for name in names], dtype=int)
        except KeyError:
            return np.array([self._at(name) for name in names], dtype=int)

    def terms(self, name: str) -> Terms:
        """Of a listed contract. Raises DataError for another."""
        if name not in self._terms:
            at = self._at(name)
            right = float(self._contracts.right[at])
            self._terms[name] = Terms(
                name=name, contracts=self._contracts, place=at, right=right, **self.listed.said(at)
            )
        return self._terms[name]

    def money(self, name: str) -> str:
        """The money that a listed contract settles in."""
        return str(self._columns["money"][self._at(name)])

    def price(self, name: str) -> float:
        """The mark, in the contract's price units. Raises DataError for a contract that is not listed."""
        return float(self.marks[self._at(name)])

    def side(self, name: str, side: str) -> float:
        """The bid or ask of a listed contract, in its price units; NaN where there is none."""
        return float(self._sides[side][self._at(name)])

    def fee(self, name: str) -> float:
        """One-way fee per contract, base currency."""
        return float(self._fees[self._at(name)])

    def rate(self, money: str) -> float:
        """Base currency for one unit of a money. Raises DataError for one without a path to base."""
        if money not in self._rates:
            self._rates[money] = rate_to_base(money, *self._paths)
        return self._rates[money]

    def rates(self, moneys: Iterable[str]) -> Array:
        """`rate` of each of these moneys."""
        return np.array([self.rate(money) for money in moneys], dtype=float)

    def rates_at(self, at: Array, listed: Listed | None = None) -> Array:
        """`rate` of the moneys of the contracts at these places of the market's order, or of another `listed`'s."""
        of = self.listed if listed is None else listed
        codes = of.money_of[at]
        found = np.full(len(of.moneys), np.nan)
        for code in np.unique(codes) if len(of.moneys) > 1 else codes[:1]:
            found[code] = self.rate(of.moneys[code])
        return found[codes]

    def margined(self, name: str) -> bool:
        """Whether a listed contract is paid by variation margin."""
        return name in self._place and bool(self._columns["margined"][self._place[name]])

    def deliverable(self, terms: Terms) -> str:
        """What an option or future delivers: the stock or spot of its underlying, in its money. Raises DataError."""
        found = [n for n in map(str, self._plain) if self._columns["underlying"][self._place[n]] == terms.underlying]
        if not found:
            raise DataError(
                f"{terms.name} delivers {terms.underlying}, which the market of {self.as_of} does not list as equity "
                "or spot; add it, or settle the contract in cash"
            )
        return min(found, key=lambda name: self.terms(name).money != terms.money)

    def _at(self, name: str) -> int:
        if name not in self._place:
            raise DataError(f"{name} is not in the market of {self.as_of}{nearest(name, self._names)}; quote it there")
        return self._place[name]


def quoted(market: Market) -> Quoted:
    """The facts of a market, kept with it."""
    known = market.__dict__.get("_quoted")
    if known is None:
        market.__dict__["_quoted"] = known = Quoted(market)
    return known
