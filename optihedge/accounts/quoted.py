"""What accounts ask of a market: each contract's terms and mark, and each money's rate; looked up once per market."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from optihedge.accounts.settle import Terms
from optihedge.errors import DataError
from optihedge.frames import nearest
from optihedge.market.fate import money_rate, settle_currencies
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market


class Quoted:
    """A market by label."""

    def __init__(self, market: Market) -> None:
        table, kinds = market.instruments, types_of(market.instruments)
        self.as_of, self._names = market.as_of, market.names
        self._place = {str(name): i for i, name in enumerate(market.names)}
        self._contracts, self._price = market.contracts, market.contracts.price.tolist()
        self._columns = {
            "money": settle_currencies(table).tolist(), "underlying": table["underlying"].tolist(),
            "multiplier": table["multiplier"].tolist(), "strike": table["strike"].tolist(),
            "right": market.contracts.right.tolist(), "expiry": table["expiry"].tolist(),
            "cash": (table["type"] == "cash").tolist(),
            **{name: kinds[name].tolist() for name in ("option", "inverse", "margined")},
        }  # fmt: skip
        self._sides = {side: market.quotes[side].tolist() for side in ("bid", "ask")}
        self._fees = market.fees.tolist()
        self._terms: dict[str, Terms] = {}
        self._rates: dict[str, float] = {}
        self._rate_of = lambda money: money_rate(market, money)
        self._plain = table.index[table["type"].isin(("equity", "spot"))]

    def __contains__(self, name: str) -> bool:
        return name in self._place

    def terms(self, name: str) -> Terms:
        """Of a listed contract. Raises DataError for another."""
        if name not in self._terms:
            at = self._at(name)
            fields = {field: values[at] for field, values in self._columns.items()}
            self._terms[name] = Terms(name=name, contracts=self._contracts, place=at, **fields)
        return self._terms[name]

    def price(self, name: str) -> float:
        """The mark, in the contract's price units. Raises DataError for a contract that is not listed."""
        return self._price[self._at(name)]

    def side(self, name: str, side: str) -> float:
        """The bid or ask of a listed contract, in its price units; NaN where there is none."""
        return self._sides[side][self._at(name)]

    def fee(self, name: str) -> float:
        """One-way fee per contract, base currency."""
        return self._fees[self._at(name)]

    def rate(self, money: str) -> float:
        """Base currency for one unit of a money. Raises DataError for one without a path to base."""
        if money not in self._rates:
            self._rates[money] = self._rate_of(money)
        return self._rates[money]

    def margined(self, name: str) -> bool:
        """Whether a listed contract is paid by variation margin."""
        return name in self._place and self._columns["margined"][self._place[name]]

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


_KNOWN: WeakKeyDictionary[Market, Quoted] = WeakKeyDictionary()


def quoted(market: Market) -> Quoted:
    """The facts of a market, kept as long as it lives."""
    if market not in _KNOWN:
        _KNOWN[market] = Quoted(market)
    return _KNOWN[market]
