"""Panel: the markets of plain shares through time, checked once; each is then a view, not a door."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.again import all_plain
from optihedge.market.levels import close_times, periods_of, share_moves
from optihedge.market.plain import PlainShares
from optihedge.market.snapshot import Market
from optihedge.market.stocks import by_name
from optihedge.readonly import numbers, read_only_view

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Panel:
    """Markets of shares, one at the close of each row of their prices; iterating gives them in order.

    last    the market of the last row, which knows every row: what a view does not change is shared with it
    rows    of history that each market knows, its own included
    times   the instants that have so many rows: as_of of each market
    half    N, half the spread of each share, as a fraction of its price

    Levels are checked over all rows at once; that a share never moves within a window alone is not asked again.

    >>> import optihedge as oh
    >>> days = pd.bdate_range("2026-01-05", periods=4, tz="UTC")
    >>> prices = pd.DataFrame({"A": [100.0, 101.0, 99.0, 102.0]}, days)
    >>> [float(market.price["A"]) for market in oh.Panel.from_prices(prices, rows=3, base_currency="USD")]
    [99.0, 102.0]
    """

    last: Market
    rows: int
    times: pd.DatetimeIndex
    half: Array
    _months: dict[tuple[Any, ...], str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_prices(
        cls,
        prices: pd.DataFrame,
        *,
        rows: int,
        base_currency: str,
        spread: float | pd.Series = 0.0,
        fee: float | pd.Series = 0.0,
        volume: pd.Series | None = None,
        instruments: pd.DataFrame | None = None,
        known_at: str = "",
        market: str | Sequence[str] = (),
    ) -> Panel:
        """The markets that `Market.from_prices` makes of each window of `rows` rows of prices (T x N).

        Raises DataError as that does, for fewer rows than a window, for a share without a price where markets begin,
        and for what is no plain share in base currency.

        >>> import optihedge as oh
        >>> days = pd.bdate_range("2026-01-05", periods=40, tz="UTC")
        >>> levels = 100 * np.exp(np.cumsum(0.01 * np.random.default_rng(0).normal(size=(40, 2)), axis=0))
        >>> panel = oh.Panel.from_prices(pd.DataFrame(levels, days, ["A", "B"]), rows=30, base_currency="USD")
        >>> len(panel), panel.at("2026-02-27").names.tolist()
        (11, ['A', 'B'])
        """
        last = Market.from_prices(
            prices, base_currency=base_currency, spread=spread, fee=fee, volume=volume, instruments=instruments,
            known_at=known_at, market=market,
        )  # fmt: skip
        history = last.history
        if not 2 <= rows <= len(history):
            raise DataError(f"panel: rows is {rows} and there are {len(history)} rows of prices; give 2 to as many")
        if not all_plain(last.instruments, last.drivers, last.paths) or last.left_out:
            raise DataError("panel: it holds plain shares in base currency; make markets of anything else one by one")
        late = np.isnan(history.to_numpy()[rows - 1 :]).any(axis=0)
        if late.any():
            name = history.columns[late][0]
            raise DataError(f"panel: {name} has no price in a row that is a market; begin later, or leave it out")
        ends = history.index[rows - 1 :]
        times = close_times(ends, "") if history.attrs["dates"] else ends
        half = by_name(spread, last.names).to_numpy() / 2
        return cls(last, rows, pd.DatetimeIndex(times), half)

    @classmethod
    def of(cls, market: Market, *, rows: int = 252, keep: Iterable[str] = ()) -> Panel:
        """The past that a market's own history tells: its shares at each row's levels, with spreads and fees of now.

        rows   of history that each of the markets knows
        keep   contracts that must be among them, such as a book's

        Contracts that are no plain share in base currency have no past price in a history, and are left out, as are
        shares without a level in a row; other drivers are there and not traded. Levels are taken as they are: those of
        before a split are those of after it, or the split is a loss. Raises DataError for one of `keep` left out.

        >>> import optihedge as oh
        >>> market = oh.read_market(oh.write_example("example"))
        >>> panel = oh.Panel.of(market, rows=60, keep=["AAPL", "USMV"])
        >>> "ES-SEP16" in panel.last.names, panel.times[-1].date() == market.as_of.date()
        (False, True)
        """
        drivers, table, history = market.drivers, market.instruments, market.history
        priced = drivers.index[(drivers["kind"] == "price") & (drivers["currency"] == market.base_currency)]
        whole = history.columns[history.iloc[rows - 1 :].notna().all().to_numpy()]
        shares = table[(table["type"] == "equity") & (table["currency"] == market.base_currency)
                       & (table["multiplier"] == 1) & table["underlying"].isin(priced.intersection(whole))]  # fmt: skip
        gone = [name for name in keep if name not in shares.index]
        if gone and gone[0] in market.left_out:
            raise DataError(f"{gone[0]} was left out of the market: {market.left_out[gone[0]]}")
        if gone:
            raise DataError(
                f"{gone[0]} has no past price in the history: it is no share in {market.base_currency} with a level in "
                f"every row from row {rows} on; take it out of the book, or record markets night by night"
            )
        of = shares["underlying"].drop_duplicates()
        rest = [name for name in priced.intersection(whole) if name not in set(of)]
        labels = pd.Series([*of.index, *rest], [*of, *rest])
        quotes = market.quotes.reindex(labels.to_numpy())
        spread = ((quotes["ask"] - quotes["bid"]) / quotes["mark"]).clip(lower=0.0)
        fee = market.fees.reindex(labels.to_numpy()) / market.notional.reindex(labels.to_numpy())
        told = table.reindex(of.index).drop(columns=["underlying", "multiplier", "fee"]).reindex(labels.to_numpy())
        told["hedge"] = told["hedge"].fillna(False).astype(bool) & spread.notna().to_numpy()
        closes = set(drivers.loc[labels.index, "known_at"])
        marked = [labels[name] for name in drivers.index[drivers["market"].to_numpy(bool)] if name in labels.index]
        return cls.from_prices(
            history[labels.index].set_axis(labels.to_numpy(), axis=1), rows=rows, base_currency=market.base_currency,
            spread=spread.fillna(0.0), fee=fee.fillna(0.0), volume=quotes["volume"], instruments=told, market=marked,
            known_at=closes.pop() if len(closes) == 1 else "",
        )  # fmt: skip

    def at(self, time: pd.Timestamp | str) -> Market:
        """The market at one of `times` (or the date of one). Raises DataError for another."""
        when = pd.Timestamp(time)
        when = when.tz_localize("UTC") if when.tzinfo is None else when
        place = self.times.searchsorted(when)
        if place == len(self.times) or (self.times[place] != when and self.times[place].normalize() != when):
            raise DataError(f"panel: there is no market at {time}; there are {len(self.times)} from {self.times[0]}")
        return self._view(int(place))

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[Market]:
        return map(self._view, range(len(self)))

    @cached_property
    def _shares(self) -> PlainShares:
        return PlainShares(self.last)

    @cached_property
    def _calendar(self) -> tuple[Array, Array]:
        """Every row's nanoseconds, and whether it lies on a weekend."""
        index = self.last.history.index
        return index.as_unit("ns").asi8, index.day_of_week.to_numpy() >= 5

    def _view(self, place: int) -> Market:
        whole, shares = self.last, self._shares
        history = whole.history.iloc[place : place + self.rows]
        history.attrs = dict(whole.history.attrs)
        history = read_only_view(history)
        share_moves(whole.history, whole.drivers, history, place)
        price = np.array(history.to_numpy()[-1])
        quoted = {"bid": price * (1 - self.half), "ask": price * (1 + self.half), "mark": price}
        quoted["volume"] = numbers(whole.quotes, "volume")
        fields = shares.fields(quoted, self.times[place])
        periods = periods_of(whole.drivers, *(each[place : place + self.rows] for each in self._calendar))
        view = whole._with(as_of=self.times[place], history=history, periods_per_year=periods, **fields)
        view.__dict__.update(shares.derived(fields["contracts"], quoted), _months=self._months)
        return view
