"""What one contract of some instant of a period has become worth by its end, event by event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optihedge.errors import DataError
from optihedge.market.events import Event
from optihedge.market.moneys import money_rate
from optihedge.market.snapshot import Market


class Ends:
    """Worth at the end of a period of contracts without variation margin.

    events   of the period, as they are followed;  moneys   of labels that the end does not list: what they are paid in
    """

    def __init__(self, end: Market, events: Sequence[Event], moneys: Mapping[str, str]) -> None:
        self._end, self._events, self._moneys = end, events, moneys

    def of(self, name: str, after: int) -> float:
        """Of one contract held after so many events, base currency: itself, and all that it brings until then.

        Dividends are money of their own. Raises DataError for what neither ends nor is quoted at the end.
        """
        units, total = 1.0, 0.0
        for place in range(after, len(self._events)):
            event = self._events[place]
            if event.instrument != name:
                continue
            if event.kind == "spin_off":
                total += units * event.value * self.of(event.other, place + 1)
            elif event.kind == "split":
                units *= event.value
            elif event.kind in ("rename", "merger") and event.other:
                units, name = units * event.value, event.other
            elif event.kind in ("merger", "delisting", "settlement"):
                money = event.money if event.kind != "settlement" else ""
                return total + units * event.value * self._rate(money or self._moneys.get(name, ""))
        return total + units * self._quoted(name)

    def _rate(self, money: str) -> float:
        return money_rate(self._end, money) if money else 1.0

    def _quoted(self, name: str) -> float:
        at = self._end.names.get_indexer([name])[0]
        if at < 0:
            raise DataError(
                f"events: {name} was received but is not in the market of {self._end.as_of}; quote it there"
            )
        contracts = self._end.contracts
        return float(contracts.price[at] * contracts.multiplier[at] * contracts.fx[at])
