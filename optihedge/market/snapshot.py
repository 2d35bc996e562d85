"""Market: what is known at one instant, made from tables and checked once at the door."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optihedge.content import content_hash
from optihedge.errors import DataError
from optihedge.frames import duration, instant, refuse_doubled
from optihedge.market.again import joined_history, joined_quotes, valued_again
from optihedge.market.dividends import expected_dividends
from optihedge.market.door import TABLES, Tables, admit, changed_by_events, refuse_broken, still_out, still_unread
from optihedge.market.drivers import check_drivers, pair_assets
from optihedge.market.instruments import check_instruments, refuse_priced_in_itself, types_of
from optihedge.market.levels import check_levels, known_history, periods_per_year, read_history
from optihedge.market.liquidity_map import liquidity_map
from optihedge.market.own_figures import own_exposures, own_loadings
from optihedge.market.per_driver import PerDriver
from optihedge.market.quotes import check_depth, check_quotes, latest_time
from optihedge.market.stocks import stock_frames
from optihedge.market.styles import exercise_styles
from optihedge.market.summary import summary
from optihedge.readonly import read_only

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POLICIES = ("error", "freeze")


@dataclass(frozen=True, eq=False, repr=False)
class Market(PerDriver):
    """Instruments, quotes, drivers and their history as known at `as_of`; an invalid Market cannot exist.

    instruments     by label, fields of market.instruments.INSTRUMENTS and any column of the desk's own
    quotes          by label, fields of market.quotes.QUOTES; an option's `underlying_price` is its forward, the price
                    of the future of its expiry, not the index
    base_currency   the currency in which everything is measured; every other currency needs a quoted path to it
    drivers         by label, fields of market.drivers.DRIVERS; without it every history column is a price
                    (a pair, kind fx, where its name is a currency, or two, that some instrument uses as its money)
    history         levels by time, one column per driver; what was not known at as_of is dropped
    own_exposures   the desk's exposures per contract, desk units: they replace ours of the same name, NaN keeps ours
    own_loadings    the desk's loadings (instrument, driver, loading: base currency per contract per unit move);
                    they replace all of an instrument's
    depth           the order book (instrument, side, price, size, [time])
    events          what is expected (see market.events): dividends whose ex-date is after as_of, known before it
    smile           past moves of smiles, a row a night and underlying (see `risk.smile_table`); SmileRisk reads them
    as_of           UTC instant, default the latest time seen; a bare date is the end of that day
    on_missing      "error", or "freeze": what has no fresh price keeps its last and is not traded
    max_crossed     how far a bid may exceed its ask, as a fraction of the price
    max_age         age at which a quote counts as missing, for instance "1d"; None: never

    left_out        by label why an instrument or a driver was left out for a fault of its own, or of what it stands on

    unread          by label what of a quote or fee could not be read: the contract is not traded and keeps its mark

    acted_on        instruments whose price or terms a given event changes: a split, a rename, a merger

    The last three are found at the door; what is made of a market (`replace`, `updated`, a store) carries them on, each
    until its cause is gone.

    Raises DataError naming table, row, column and remedy. Arrays per contract are in the order of `names`. The tables
    are read-only: what was computed from them stays true. `market.instruments.copy()` may be changed.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> instruments = pd.DataFrame({"instrument": ["STOCK", "FUT"], "type": ["equity", "future"],
    ...                             "multiplier": [1.0, 50.0], "underlying": ["STOCK", "INDEX"],
    ...                             "expiry": ["", "2026-03-20T21:00Z"]})
    >>> quotes = pd.DataFrame({"instrument": ["STOCK", "FUT"], "bid": [99.9, 4999.5], "ask": [100.1, 5000.5],
    ...                        "underlying_price": [None, 5000.0]})
    >>> market = oh.Market(instruments, quotes, "USD", as_of="2026-01-20T21:00Z")
    >>> market.notional.to_dict()
    {'STOCK': 100.0, 'FUT': 250000.0}
    """

    def __post_init__(self) -> None:
        if self.on_missing not in _POLICIES:
            raise DataError(f"on_missing is {self.on_missing!r}; write 'error' or 'freeze'")
        if not isinstance(self.base_currency, str) or not self.base_currency.strip():
            raise DataError("base_currency is empty; name the currency in which profit and loss is measured")
        number = isinstance(self.max_crossed, (int, float, np.number)) and not isinstance(self.max_crossed, bool)
        if not (number and np.isfinite(self.max_crossed) and self.max_crossed >= 0):
            raise DataError(f"max_crossed is {self.max_crossed!r}; give a fraction of the price, 0 or more")
        max_age = None if self.max_age is None else duration(self.max_age, "max_age")
        given = {name: getattr(self, name) for name in TABLES}
        for name, table in {**given, "smile": self.smile}.items():
            if isinstance(table, pd.DataFrame):
                refuse_doubled(table.columns, table.attrs.get("source", name.removeprefix("own_")))
        object.__setattr__(self, "acted_on", frozenset(self.acted_on) | changed_by_events(self.events))
        checked, left_out, unread = admit(
            lambda tables: self._checked(tables, max_age), given, frozen=self.on_missing == "freeze"
        )
        left_out |= still_out(self.left_out, given)
        said = {"max_age": max_age, "left_out": left_out, "unread": unread | still_unread(self.unread, checked)}
        for name, value in {**checked, **said}.items():
            object.__setattr__(self, name, read_only(value))

    def _checked(self, given: Tables, max_age: pd.Timedelta | None) -> dict[str, Any]:
        """The fields of a market of these tables. Raises DataError."""
        refuse_broken(given)
        raw, dates = (None, False) if given["history"] is None else read_history(given["history"])
        listed, quoted = given["instruments"], given["quotes"]
        as_of = instant(self.as_of, "as_of") if self.as_of is not None else latest_time(quoted, raw, dates)
        instruments = check_instruments(listed, as_of, self.base_currency)
        drivers = check_drivers(given["drivers"], raw, instruments, self.base_currency)
        instruments["underlying"] = pair_assets(instruments, drivers)
        refuse_priced_in_itself(instruments)
        quotes = check_quotes(
            quoted, instruments, as_of,
            on_missing=self.on_missing, max_crossed=self.max_crossed, max_age=max_age,
        )  # fmt: skip
        if raw is None:
            raw = pd.DataFrame(columns=drivers.index, index=pd.DatetimeIndex([], tz="UTC", name="time"), dtype=float)
        history = known_history(raw, dates, drivers, as_of)
        self._check_levels(instruments, drivers, history, raw.attrs.get("source", "history"))
        instruments["exercise"] = exercise_styles(instruments)
        dividends = expected_dividends(given["events"], as_of)
        events = dividends if len(dividends) else None
        valued = valued_again(
            instruments, quotes, drivers, history, self.base_currency, self.on_missing, as_of, dividends
        )
        instruments["underlying"] = valued["paths"].asset(instruments, drivers)
        names = instruments.index
        exposures = None if given["own_exposures"] is None else own_exposures(given["own_exposures"], names)
        own = given["own_loadings"]
        loadings = None if own is None else own_loadings(own, names, drivers.index)
        depth = None if given["depth"] is None else check_depth(
            given["depth"], names, as_of, max_crossed=self.max_crossed, max_age=max_age, on_missing=self.on_missing
        )  # fmt: skip
        return {
            "instruments": instruments, "drivers": drivers, "history": history,
            "own_exposures": exposures, "own_loadings": loadings, "depth": depth, "events": events,
            "smile": self.smile, "as_of": as_of, **valued,
            "periods_per_year": periods_per_year(drivers, history),
        }  # fmt: skip

    def _check_levels(
        self, instruments: pd.DataFrame, drivers: pd.DataFrame, history: pd.DataFrame, source: str = "levels"
    ) -> None:
        signed = {*instruments["underlying"].to_numpy()[types_of(instruments)["signed"]]}
        check_levels(history, drivers, signed, source, allow_gaps=self.on_missing == "freeze")

    def updated(
        self, quotes: pd.DataFrame, levels: pd.DataFrame | None = None, *, as_of: pd.Timestamp | str | None = None
    ) -> Market:
        """The market at a later instant; only what is new is checked, the answer is that of the whole door.

        quotes   by label; an instrument without a row keeps its quote, which is older by then
        levels   rows of history by time that follow the last one; one of its time fills what was not known of it
        as_of    default the latest time seen in either

        Instruments, drivers and the desk's own figures stay, the order book goes. An instrument that expired is
        settled as the whole door does. Raises DataError as Market does, and for an instant before this one.

        >>> import optihedge as oh, tempfile
        >>> market = oh.read_market(oh.write_example(tempfile.mkdtemp()))
        >>> later = market.updated(market.quotes[["bid", "ask"]] * 1.01, as_of=market.as_of + pd.Timedelta("1h"))
        >>> bool((later.price > market.price).any())
        True
        """
        refuse_doubled(quotes.columns, "quotes")
        raw = (None, False) if levels is None else read_history(levels)
        when = latest_time(quotes, *raw) if as_of is None else instant(as_of, "as_of")
        if when < self.as_of:
            raise DataError(f"as_of {when} is before this market's {self.as_of}; give later quotes")
        history = self.history if levels is None else joined_history(self.history, levels, self.drivers, when)
        joined = joined_quotes(self.quotes, quotes)
        if self.left_out or (self.instruments["expiry"] <= when).any():
            return replace(self, quotes=joined, history=history, depth=None, as_of=when)
        if levels is not None:
            self._check_levels(self.instruments, self.drivers, history)
        checked = check_quotes(
            joined, self.instruments, when,
            on_missing=self.on_missing, max_crossed=self.max_crossed, max_age=self.max_age,  # type: ignore[arg-type]
        )  # fmt: skip
        dividends = expected_dividends(self.events, when)
        valued = valued_again(
            self.instruments, checked, self.drivers, history, self.base_currency, self.on_missing, when, dividends
        )
        return self._with(
            unread=still_unread(self.unread, {**valued, "instruments": self.instruments, "history": history}),
            as_of=when, history=history, depth=None, events=dividends if len(dividends) else None,
            periods_per_year=periods_per_year(self.drivers, history), **valued,
        )  # fmt: skip

    def _with(self, **values: Any) -> Market:
        """The market with these fields, checked by the caller; everything derived is derived anew."""
        made = object.__new__(type(self))
        for item in fields(self):
            value = read_only(values[item.name]) if item.name in values else getattr(self, item.name)
            object.__setattr__(made, item.name, value)
        return made

    def with_exposures(self, frame: pd.DataFrame) -> Market:
        """The same market with further exposure columns (betas, say), per contract; labels must all be known."""
        extra = own_exposures(frame, self.names)
        taken = [c for c in extra.columns if c in self.exposure_columns]
        if taken:
            raise DataError(f"exposure {taken[0]} is there already; give the new one another name")
        market = copy.copy(self)
        more = {name: read_only(np.nan_to_num(extra[name].to_numpy(dtype=float), nan=0.0)) for name in extra.columns}
        units = {**dict.fromkeys(extra.columns, "desk unit"), **frame.attrs.get("unit", {})}
        market.__dict__.pop("exposures", None)
        market.__dict__["exposure_columns"] = {**self.exposure_columns, **more}
        market.__dict__["exposure_units"] = {**self.exposure_units, **units}
        market.__dict__["hash"] = content_hash({"market": self.hash, "exposures": extra})
        return market

    @classmethod
    def from_prices(
        cls,
        prices: pd.DataFrame,
        *,
        base_currency: str,
        as_of: pd.Timestamp | str | None = None,
        spread: float | pd.Series = 0.0,
        fee: float | pd.Series = 0.0,
        volume: pd.Series | None = None,
        instruments: pd.DataFrame | None = None,
        known_at: str = "",
        market: str | Sequence[str] = (),
    ) -> Market:
        """A market of plain stocks from their price levels, T x N: each column is an instrument and its own driver.

        spread   whole bid-ask spread, fraction of price;  fee  one-way, fraction of notional
        volume   shares a day;  instruments  further fields by label (sector, lot, currency ...)
        market   columns that are market drivers: betas are on their moves
        The last row known at as_of is the quote.
        """
        frames = stock_frames(prices, as_of, spread, fee, volume, instruments, known_at, market)
        return cls(base_currency=base_currency, as_of=as_of, **frames)

    def plot(self) -> Figure:
        """History of the drivers that moved most: levels rebased to 100, and the volatility of their moves."""
        from optihedge.display import plot_market

        return plot_market(self.history, self.moves())

    def liquidity_map(self) -> dict[str, pd.DataFrame]:
        """What trading costs one way, by expiry and strike or by underlying and venue; see `market.liquidity_map`."""
        return liquidity_map(self)

    def _repr_html_(self) -> str:
        table = self.summary()
        rows = "".join(f"<tr><th>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in table.items())
        return f"<table><caption>Market</caption>{rows}</table>"

    def __repr__(self) -> str:
        return "Market\n" + "\n".join(f"  {name}: {value}" for name, value in self.summary().items())

    def summary(self) -> dict[str, str]:
        """What there is, in words."""
        return summary(self)
