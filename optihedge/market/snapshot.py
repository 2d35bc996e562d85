"""Market: what is known at one instant. Read from a folder or made from frames, checked once at the door."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.content import content_hash, content_hashes
from optihedge.errors import DataError
from optihedge.frames import duration, find_table, instant, read_raw, refuse_doubled
from optihedge.market import drivers as _drivers
from optihedge.market.again import joined_history, joined_quotes, valued_again
from optihedge.market.contracts import Contracts
from optihedge.market.dividends import expected_dividends
from optihedge.market.door import TABLES, Tables, admit, changed_by_events
from optihedge.market.early import early_exercise
from optihedge.market.exposures import UNITS, Sensitivities, notional, price_unit, price_value, sensitivities
from optihedge.market.fee_tiers import with_fee_tiers
from optihedge.market.instruments import (
    check_instruments,
    group_codes,
    number_column,
    refuse_priced_in_itself,
    types_of,
)
from optihedge.market.loadings import UNSPOKEN, Loadings, Shares, contract_loadings, convexity_rows
from optihedge.market.own_figures import own_exposures, own_loadings
from optihedge.market.parity import contradictions
from optihedge.market.quotes import check_depth, check_quotes, latest_time
from optihedge.market.settings import read_settings
from optihedge.market.skew import skew_loadings
from optihedge.market.stocks import stock_frames
from optihedge.market.styles import exercise_styles, unsaid_styles
from optihedge.market.valuation import Paths, astray_forwards
from optihedge.readonly import content_of, kept, numbers, read_only, read_only_property

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILES = (
    "instruments", "quotes", "drivers", "history", "exposures", "loadings", "depth", "events", "smile", "fee_tiers",
)  # fmt: skip
"""Tables of a market's folder, each a .csv or .parquet; the first two must be there."""
_POLICIES = ("error", "freeze")


@dataclass(frozen=True, eq=False, repr=False)
class Market:
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

    left_out        by label why an instrument that nobody may trade (hedge = false, or expired), or a driver that
                    nothing else stands on, was left out for a fault of its own

    acted_on        instruments whose price or terms a given event changes: a split, a rename, a merger

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
    left_out: dict[str, str] = field(init=False, repr=False)
    acted_on: frozenset[str] = field(init=False, repr=False)

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
        for name, table in {**given, "events": self.events, "smile": self.smile}.items():
            if isinstance(table, pd.DataFrame):
                refuse_doubled(table.columns, table.attrs.get("source", name.removeprefix("own_")))
        object.__setattr__(self, "acted_on", changed_by_events(self.events))
        checked, left_out = admit(lambda tables: self._checked(tables, max_age), given)
        for name, value in {**checked, "max_age": max_age, "left_out": left_out}.items():
            object.__setattr__(self, name, read_only(value))

    def _checked(self, given: Tables, max_age: pd.Timedelta | None) -> dict[str, Any]:
        """The fields of a market of these tables. Raises DataError."""
        raw, dates = (None, False) if given["history"] is None else _drivers.read_history(given["history"])
        listed, quoted = given["instruments"], given["quotes"]
        as_of = instant(self.as_of, "as_of") if self.as_of is not None else latest_time(quoted, raw, dates)
        instruments = check_instruments(listed, as_of, self.base_currency)
        drivers = _drivers.check_drivers(given["drivers"], raw, instruments, self.base_currency)
        instruments["underlying"] = _drivers.pair_assets(instruments["underlying"], drivers)
        refuse_priced_in_itself(instruments)
        quotes = check_quotes(
            quoted, instruments, as_of,
            on_missing=self.on_missing, max_crossed=self.max_crossed, max_age=max_age,
        )  # fmt: skip
        if raw is None:
            raw = pd.DataFrame(columns=drivers.index, index=pd.DatetimeIndex([], tz="UTC", name="time"), dtype=float)
        history = _drivers.known_history(raw, dates, drivers, as_of)
        self._check_levels(instruments, drivers, history, raw.attrs.get("source", "history"))
        instruments["exercise"] = exercise_styles(instruments)
        dividends = expected_dividends(self.events, as_of)
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
            "periods_per_year": _drivers.periods_per_year(drivers, history),
        }  # fmt: skip

    def _check_levels(
        self, instruments: pd.DataFrame, drivers: pd.DataFrame, history: pd.DataFrame, source: str = "levels"
    ) -> None:
        kinds = types_of(instruments)
        by_underlying = pd.Series(kinds["signed"], index=instruments["underlying"]).groupby(level=0).any()
        signed = by_underlying.index[by_underlying]
        _drivers.check_levels(history, drivers, signed, source, allow_gaps=self.on_missing == "freeze")

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
        raw = (None, False) if levels is None else _drivers.read_history(levels)
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
            as_of=when, history=history, depth=None, events=dividends if len(dividends) else None,
            periods_per_year=_drivers.periods_per_year(self.drivers, history), **valued,
        )  # fmt: skip

    def _with(self, **values: Any) -> Market:
        """The market with these fields, checked by the caller; everything derived is derived anew."""
        made = object.__new__(type(self))
        for item in fields(self):
            value = read_only(values[item.name]) if item.name in values else getattr(self, item.name)
            object.__setattr__(made, item.name, value)
        return made

    @cached_property
    def manifest(self) -> dict[str, object]:
        """What this market consists of: its settings, and the content hash of every table (of history by month)."""
        stated = {item.name: getattr(self, item.name) for item in fields(self) if item.init and item.name != "history"}
        tables = {name: content_of(table) for name, table in stated.items() if isinstance(table, pd.DataFrame)}
        history = self._history_hashes()
        units = {} if self.own_exposures is None else self.own_exposures.attrs.get("unit", {})
        return {**stated, **tables, "history": history, "dates": self.history.attrs["dates"], "units": units}

    def _history_hashes(self) -> dict[str, str]:
        """Month -> content hash of its rows; views of one panel share those of months they have in common."""
        index, known = self.history.index, self.__dict__.get("_months", {})
        times = index.asi8
        months = {(m, times[first], times[end - 1]): (first, end) for m, first, end in _drivers.months_of(index)}
        new = {key: self.history.iloc[slice(*rows)] for key, rows in months.items() if key not in known}
        known |= content_hashes(new)
        return {key[0]: known[key] for key in months}

    @cached_property
    def hash(self) -> str:
        """The content of this market, 64 hexadecimal digits: equal for equal markets, whatever files they came from."""
        return content_hash(self.manifest)

    # ---- per contract ----------------------------------------------------------------------------------------------

    @property
    def names(self) -> pd.Index:
        """The N instruments, in the order of every array per contract."""
        return self.instruments.index

    @property
    def price(self) -> pd.Series:
        """Reference price per contract unit, in the instrument's price units: the mark, else the mid, else one side."""
        return pd.Series(self.contracts.price, index=self.names, name="price")

    @property
    def value(self) -> pd.Series:
        """Market value per contract, base currency; 0 for futures and perpetuals."""
        return pd.Series(self.exposure_columns["value"], index=self.names, name="value")

    @read_only_property
    def trade_cost(self) -> pd.DataFrame:
        """Far side of the quote less the mark, at least 0, to buy or sell one contract: base currency; NaN where that
        side cannot be traded. The mark is the mid unless the venue's is given.
        """
        return pd.DataFrame(self.sides, index=self.names, columns=["buy", "sell"])

    @read_only_property
    def sides(self) -> np.ndarray:
        """`trade_cost` as N x 2."""
        bid, ask = (numbers(self.quotes, side) for side in ("bid", "ask"))
        low, mid, high = (price_value(self.contracts, price) for price in (bid, self.contracts.price, ask))
        cost = np.maximum(np.stack([high - mid, mid - low], axis=1), 0.0)
        return np.where(types_of(self.instruments)["tradable"][:, None], cost, np.nan)

    @read_only_property
    def fees(self) -> pd.Series:
        """One-way fee per contract, base currency: fraction of notional, capped for options, plus the fixed part."""
        return self._fees(numbers(self.instruments, "fee"))

    @read_only_property
    def maker_fees(self) -> pd.Series:
        """The same of an order that waits in the book: `maker_fee` of the instruments, else their fee."""
        maker, fee = number_column(self.instruments, "maker_fee", -1.0, "a share"), numbers(self.instruments, "fee")
        return self._fees(np.where(np.isnan(maker), fee, maker))

    def _fees(self, rate: np.ndarray) -> pd.Series:
        table, c = self.instruments, self.contracts
        cap = np.where(c.option, numbers(table, "fee_cap") * np.abs(c.price) * price_unit(c), np.nan)
        fixed = numbers(table, "fee_per_contract") * c.fx
        return pd.Series(np.fmin(rate * self.notional.to_numpy(), cap) + fixed, index=self.names, name="fee")

    @read_only_property
    def notional(self) -> pd.Series:
        """Base currency per contract: multiplier x underlying price; an inverse future's is its multiplier."""
        return pd.Series(notional(self.contracts), index=self.names, name="notional")

    @read_only_property
    def sensitivities(self) -> Sensitivities:
        """Ours, with the desk's own delta, gamma, vega, theta ... in their place where it gave them."""
        return sensitivities(self.contracts).replaced(self.own_exposures)

    @read_only_property
    def exposures(self) -> pd.DataFrame:
        """Exposures per contract in desk units (attrs["unit"]), the desk's own columns last.

        fx is the P&L of +100 % of every foreign money against base, prices in their own money held: what an fx driver
        moves is fx, and a contract on a pair (spot, future, option) has fx in place of delta; its gamma, vanna and
        charm are changes of its sensitivity to the pair as that is quoted. A delta that the desk gives for it stands,
        and counts in its fx. With a coin as base, the money that the coin is quoted in counts as home.

        The theta of a coin-settled option holds ln(F/S), that of a linear one lets the forward roll down to the spot.
        """
        table = pd.DataFrame(self.exposure_columns, index=self.names)
        table.attrs["unit"] = dict(self.exposure_units)
        return table

    @cached_property
    def exposure_columns(self) -> dict[str, np.ndarray]:
        """`exposures` by name, N each."""
        paths, desk = self.paths, self.sensitivities.desk()
        desk |= {
            "delta": np.where(paths.pair, 0.0, desk["delta"]),
            "fx": self.sensitivities.fx(paths.abroad, paths.asset_abroad),
            "notional": self.notional.to_numpy(),
        }
        given_by_desk = {} if self.own_exposures is None else dict(self.own_exposures.items())
        for name, column in given_by_desk.items():
            given = column.to_numpy(dtype=float)
            desk[name] = np.where(np.isnan(given), desk.get(name, 0.0), given)
        return {name: read_only(desk[name]) for name in dict.fromkeys((*UNITS, *desk))}

    @cached_property
    def exposure_units(self) -> dict[str, str]:
        """The desk unit of each exposure."""
        own = {} if self.own_exposures is None else self.own_exposures.attrs.get("unit", {})
        return {name: own.get(name, UNITS.get(name, "desk unit")) for name in self.exposure_columns}

    @read_only_property
    def early_exercise(self) -> pd.DataFrame:
        """The American options, and what early exercise means for each (attrs["unit"]): see `market.early`."""
        return early_exercise(self.contracts, self.names)

    # ---- drivers ---------------------------------------------------------------------------------------------------

    @read_only_property
    def _loadings(self) -> tuple[sp.csr_array, dict[str, np.ndarray]]:
        return contract_loadings(self.sensitivities, self.instruments, self.drivers, self.paths, self.shares)

    @read_only_property
    def shares(self) -> Shares:
        """How much of each vol, rate and basis driver's move reaches each contract."""
        return Shares.of(self.instruments, self.drivers, self.as_of)

    @read_only_property
    def loadings(self) -> Loadings:
        """D x N, base currency per contract per unit move of each driver."""
        own, underlying = self.own_loadings, self.instruments["underlying"]
        matrix = self._loadings[0]
        skew = skew_loadings(
            self.sensitivities, self.contracts, underlying, self.drivers, self.paths, self.shares.vol
        )  # fmt: skip
        if own is not None:
            column = self.names.get_indexer(own["instrument"])
            keep = np.ones(len(self.names))
            keep[column] = 0.0
            given = (own["loading"].to_numpy(), (self.drivers.index.get_indexer(own["driver"]), column))
            skew = sp.csr_array(skew @ sp.diags_array(keep))
            matrix = sp.csr_array(matrix @ sp.diags_array(keep) + sp.coo_array(given, shape=matrix.shape))
        if skew.nnz or own is not None:
            matrix = sp.csr_array(matrix + skew)
            matrix.eliminate_zeros()
        return Loadings(matrix, self.drivers.index, skew)

    @read_only_property
    def unmodelled(self) -> pd.DataFrame:
        """Vega, basis and rho per contract that no driver speaks for (attrs["unit"]); rows with any."""
        frame = pd.DataFrame(self.unspoken, index=self.names)
        chosen = frame[(frame != 0).any(axis=1)]
        chosen.attrs["unit"] = dict(UNSPOKEN)
        return chosen

    @cached_property
    def unspoken(self) -> dict[str, np.ndarray]:
        """By vega, basis and rho, N each: what no driver speaks for, desk units; 0 where the desk gave loadings."""
        left = {name: self._loadings[1][name] for name in UNSPOKEN}
        if self.own_loadings is not None:
            given = self.names.isin(self.own_loadings["instrument"])
            left = {name: np.where(given, 0.0, values) for name, values in left.items()}
        return {name: read_only(values) for name, values in left.items()}

    @read_only_property
    def _convexity(self) -> tuple[np.ndarray, sp.csr_array]:
        return convexity_rows(self.sensitivities, self.loadings.matrix, self.drivers, self.paths)

    @property
    def price_rows(self) -> np.ndarray:
        """Positions of `price_drivers` among the drivers, U."""
        return self._convexity[0]

    @property
    def price_drivers(self) -> pd.Index:
        """The U price drivers that some contract stands on."""
        return self.drivers.index[self.price_rows]

    @property
    def convexity(self) -> sp.csr_array:
        """U x N: S^2 gamma by price driver, base currency per squared return."""
        return self._convexity[1]

    @property
    def price_delta(self) -> sp.csr_array:
        """U x N: cash delta by price driver, vols held, base currency."""
        return sp.csr_array(self.loadings.matrix - self.loadings.skew)[self._convexity[0]]

    def moves(self, rows: int | None = None, *, drivers: pd.Index | None = None, ragged: bool = True) -> pd.DataFrame:
        """The last `rows` moves of the drivers (all, or these), T x D, all by default. Raises DataError if too few.

        Every driver has its own history: a move next to a missing level is NaN, so that a late listing, a gap or a dead
        feed cuts nobody else's; a driver closed at weekends moves from Friday to Monday. ragged=False: the complete
        rows alone, as many as the shortest driver has.
        attrs: periods_per_year, kinds (driver -> kind), and markets (the drivers marked market).
        """
        chosen = self.drivers if drivers is None else self.drivers.loc[drivers]
        count = len(self.history) - 1
        if ragged and 0 < count >= (count if rows is None else rows):
            last = slice(0 if rows is None else count - rows, None)
            own = _drivers.every_move(self.history, self.drivers)[last]
            own = own.copy() if drivers is None else own.take(self.drivers.index.get_indexer(drivers), axis=1)
            names = self.history.columns if drivers is None else chosen.index
            moves = pd.DataFrame(own, self.history.index[1:][last], names, copy=False)
        else:
            moves = _drivers.moves_of(self.history[chosen.index], chosen, rows, ragged=ragged)
        kinds, markets = kept(chosen, "kinds", lambda: _drivers.kinds_and_markets(chosen))
        moves.attrs = {"periods_per_year": self.periods_per_year, "kinds": kinds, "markets": markets}
        return moves

    # ---- groups and copies -----------------------------------------------------------------------------------------

    def group(self, by: str) -> tuple[np.ndarray, tuple[str, ...]]:
        """Codes (N, -1 for none) and labels of the groups of an instrument column; expiries by their UTC date."""
        return group_codes(self.instruments, by)

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

    def _repr_html_(self) -> str:
        table = self.summary()
        rows = "".join(f"<tr><th>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in table.items())
        return f"<table><caption>Market</caption>{rows}</table>"

    def __repr__(self) -> str:
        return "Market\n" + "\n".join(f"  {name}: {value}" for name, value in self.summary().items())

    def summary(self) -> dict[str, str]:
        """What there is, in words."""
        kinds = self.instruments["type"].value_counts()
        drivers = self.drivers["kind"].value_counts()
        sides = self.trade_cost.notna()
        span = f"{self.history.index[0]:%Y-%m-%d} to {self.history.index[-1]:%Y-%m-%d}" if len(self.history) else "none"
        text = {
            "as of": f"{self.as_of:%Y-%m-%d %H:%M:%S} UTC, in {self.base_currency}",
            "instruments": f"{len(self.names)} ({', '.join(f'{n} {t}' for t, n in kinds.items())})",
            "tradable": f"{int(sides.all(axis=1).sum())} on both sides, {int((sides.sum(axis=1) == 1).sum())} on one",
            "drivers": f"{len(self.drivers)} ({', '.join(f'{n} {t}' for t, n in drivers.items())})",
            "history": f"{len(self.history)} rows, {span}, {self.periods_per_year:g} periods a year",
        }
        if self.left_out:
            first, why = next(iter(self.left_out.items()))
            text["left out"] = f"{len(self.left_out)} instruments or drivers, {first} first: {why}"
        bare = (self.unmodelled[["vega", "basis"]] != 0).sum()
        for name, count in bare[bare > 0].items():
            text[f"unmodelled {name}"] = f"{count} contracts have no {'vol' if name == 'vega' else name} driver"
        loads = sp.coo_array(self._loadings[0])
        beside = (self.drivers["kind"] == "price").to_numpy()[loads.row] & (loads.row != self.paths.driver[loads.col])
        for driver, count in self.drivers.index[loads.row[beside]].value_counts(sort=False).items():
            text[f"beside {driver}"] = (
                f"{count} contracts on something else load on this price too, which is neither their delta nor fx"
                + ("; give it kind fx" if self.drivers.at[driver, "underlying"] in _drivers.MONEY else "")
            )
        unsaid = unsaid_styles(self.instruments)
        if len(unsaid):
            text["exercise"] = (
                f"{len(unsaid)} options on US stocks, {unsaid[0]} first, are valued as European, since neither their "
                "venue nor field exercise says otherwise; write american where they are"
            )
        astray = astray_forwards(self.contracts, self.instruments)
        if astray.any():
            text["forwards"] = (
                f"{int(astray.sum())} options, {self.names[astray][0]} first, have a forward more than 2 % from the "
                "future of their expiry; underlying_price is a forward, not the index"
            )
        against = contradictions(self.contracts, self.instruments["underlying"], self.quotes)
        if np.isfinite(against).any():
            at = int(np.argmax(np.isfinite(against)))
            text["parity"] = (
                f"{int(np.isfinite(against).sum())} options, {self.names[at]} first (forward "
                f"{self.contracts.forward[at]:g}, parity {against[at]:g}), have a forward that their own calls and "
                "puts contradict by more than 0.5 %; mend underlying_price, rate, dividends or borrow"
            )
        return text


# ---- reading a folder ----------------------------------------------------------------------------------------------


def read_market(folder: Path | str, *, as_of: pd.Timestamp | str | None = None) -> Market:
    """The market of a folder: market.toml, instruments, quotes and, optionally, drivers, history, exposures, loadings,
    depth, smile, events, fee_tiers, each a .csv (or .parquet). `as_of` overrides the one in market.toml. Raises
    DataError.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> print(market.base_currency, len(market.names))
    USD 39
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give the folder that holds market.toml and instruments.csv")
    settings: dict[str, Any] = read_settings(folder / "market.toml")
    tables: dict[str, pd.DataFrame | None] = {}
    for name in FILES:
        path = find_table(folder, name)
        if path is None and name in ("instruments", "quotes"):
            raise DataError(f"{folder / name}.csv is not there; a market needs instruments.csv and quotes.csv")
        tables[name] = None if path is None else read_raw(path)
    if as_of is not None:
        settings["as_of"] = as_of
    instruments, traded = tables["instruments"], settings.pop("traded", {})
    if tables["fee_tiers"] is not None:
        instruments = with_fee_tiers(instruments, tables["fee_tiers"], traded)
    return Market(
        instruments=instruments,
        quotes=tables["quotes"],
        drivers=tables["drivers"],
        history=tables["history"],
        own_exposures=tables["exposures"],
        own_loadings=tables["loadings"],
        depth=tables["depth"],
        events=tables["events"],
        smile=tables["smile"],
        **settings,
    )
