"""Drivers: what moves prices, and their table at the door. `levels` has their history, `currencies` ways to base."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import (
    Column,
    Schema,
    absent_columns,
    check_columns,
    label_index,
    nearest,
    objects,
    refuse,
    table_of,
)
from optihedge.readonly import Shared, texts

KINDS = ("price", "fx", "vol", "rate", "basis")
RETURNS = ("price", "fx")
"""Kinds that move by their return; the others by their absolute change."""
_SPOKEN = ("vol", "rate", "basis")  # kinds that speak for something of an underlying

DRIVERS: Schema = {
    "kind": Column("text", choices=("", *KINDS)),
    "underlying": Column("text"),
    "tenor": Column("text"),
    "venue": Column("text"),
    "instrument": Column("text"),
    "at": Column("text", default="forward", choices=("", "forward", "strike")),
    "currency": Column("text"),
    "market": Column("flag", default=False),
    "periods_per_year": Column("number", above=0.0),
    "constant": Column("flag", default=False),
    "known_at": Column("text"),
}
"""Fields of a driver.

kind         default fx for a pair of currencies, both of which some instrument (or base) uses as its money; else price.
             Contracts on a price have delta, those on a pair have fx
underlying   the asset (or foreign currency) a price belongs to, default the driver's own name; of a vol or basis its
             underlying, of a rate its currency
venue        of a basis or vol: only contracts of this venue; empty: any that no driver of its own venue speaks for
instrument   of a basis or vol: this contract alone, before any driver of its venue
at           of a vol: a series at the moving forward (the default), whose moves with the spot along today's smile are
             taken back in the spot loadings, or at a strike that stays
currency     what a price or pair is quoted in, default the currency of the instruments on it
tenor        '30d', '3m', '1y' or an expiry date 2026-03-27; empty: every expiry; of a basis also 'perpetual'.
             A date stands for the expiry of that day, and for nothing once that has passed
known_at     when a date-only row of history is known: '16:00 America/New_York', '08:00' (UTC); default the day's end
"""

MONEY = frozenset({
    "AED", "ARS", "AUD", "BGN", "BHD", "BRL", "CAD", "CHF", "CLP", "CNH", "CNY", "COP", "CZK", "DKK", "EUR", "GBP",
    "HKD", "HUF", "IDR", "ILS", "INR", "JPY", "KRW", "MXN", "MYR", "NOK", "NZD", "PEN", "PHP", "PLN", "RON", "RUB",
    "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "USD", "ZAR",
})  # fmt: skip
"""The currencies that trade most, told from coins, which are prices."""

_PAIR = re.compile(r"([A-Z]{3})([A-Z]{3})|(\w+)[/\-_.](\w+)")
_TENOR_YEARS = {"h": 1 / (365 * 24), "d": 1 / 365, "w": 7 / 365, "m": 1 / 12, "y": 1.0}


def check_drivers(
    frame: pd.DataFrame | None, history: pd.DataFrame | None, instruments: pd.DataFrame, base_currency: str
) -> pd.DataFrame:
    """The drivers by label, complete; without a frame every history column is a price or a pair. Raises DataError.

    Without history too, each underlying of an instrument is one, so that exposures need no past. A driver without a
    column of history can be loaded on, but only a risk given from outside knows its moves.
    """
    monies = MONEY.intersection([base_currency, *instruments["currency"]])
    if frame is None:
        moving = instruments["type"] != "cash"
        names = pd.Index(instruments.loc[moving, "underlying"].unique() if history is None else history.columns)
        if history is None:  # EUR is EURUSD's already
            names = names.drop([pair[0] for pair in map(pair_of, names) if monies.issuperset(pair)], errors="ignore")
        frame = pd.DataFrame({"driver": names.astype(str)})
    source = frame.attrs.get("source", "drivers")
    labels = label_index(frame, "driver", source)
    said = check_columns(frame, DRIVERS, source, others=None, labels="driver")
    said |= absent_columns(said, DRIVERS, len(labels))
    for driver, kind, tenor in zip(labels, said["kind"], said["tenor"], strict=True):
        if tenor and kind in _SPOKEN and (tenor != "perpetual" or kind != "basis"):
            tenor_years(tenor, f"{source}: {driver}", str(driver))
    if history is not None:
        stray = history.columns[~history.columns.isin(labels)]
        if len(stray):
            mute = labels[~labels.isin(history.columns)]  # each may be what a strange column was to be called
            raise DataError(
                f"{source}: {stray[0]} is a column of history without a row here{nearest(stray[0], mute)}; "
                "add the row or drop the column",
                drivers=(*map(str, stray), *(name for name in mute if nearest(name, stray))),
            )
    _refuse_doubles(labels, said, instruments, source)
    said |= _named(labels, said, instruments, base_currency, monies, source)
    return table_of({name: said[name] for name in DRIVERS}, labels, source)


def _refuse_doubles(labels: pd.Index, said: dict[str, np.ndarray], instruments: pd.DataFrame, source: str) -> None:
    """Refuse two drivers that speak for the same vol, rate or basis, and one for a contract that is not there."""
    keys = zip(*(said[name] for name in ("kind", "underlying", "tenor", "venue", "instrument")), strict=True)
    first: dict[tuple[str, ...], str] = {}
    for driver, key in zip(labels, keys, strict=True):
        kind, asset, tenor, *_ = key
        if kind in _SPOKEN and first.setdefault(key, driver) != driver:
            of = f"{kind} of {asset}" + (f" at tenor {tenor}" if tenor else "")
            own = "" if kind == "rate" else ", or say in column instrument or venue whom each speaks for"
            raise DataError(
                f"{source}: {first[key]} and {driver} are both the {of}; keep one{own}", drivers=(first[key], driver)
            )
    for driver, named in zip(labels, said["instrument"], strict=True):
        if named and named not in instruments.index:
            close = nearest(named, instruments.index)
            raise DataError(
                f"{source}: {driver} speaks for {named}, no instrument here{close}; write its label", drivers=(driver,)
            )


def _named(
    labels: pd.Index, said: dict[str, np.ndarray], instruments: pd.DataFrame, base_currency: str,
    monies: frozenset[str], source: str,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Kind, underlying and currency of prices and pairs filled; refuses one coin under two drivers."""
    kind, asset, quote = (said[name].copy() for name in ("kind", "underlying", "currency"))
    names, pairs, unsaid = labels.to_numpy(), [pair_of(name) for name in labels], kind == ""
    for row in np.flatnonzero(unsaid):
        kind[row] = "fx" if not asset[row] and monies.issuperset(pairs[row]) else "price"
    for row in np.flatnonzero((kind == "fx") & ((asset == "") | (quote == ""))):
        if pairs[row] != ("", ""):
            asset[row], quote[row] = pairs[row]
        elif asset[row] == "":
            raise DataError(
                f"{source}: fx driver {names[row]} names no pair; call it EURUSD, or fill underlying and currency",
                drivers=(str(names[row]),),
            )
    asset = np.where((kind == "price") & (asset == ""), names, asset)
    votes: dict[str, str] = {}
    for on, money in dict.fromkeys(zip(texts(instruments, "underlying"), texts(instruments, "currency"), strict=True)):
        if on != money:
            votes.setdefault(on, money)
    moving = np.isin(kind, RETURNS)
    for row in np.flatnonzero(moving & (quote == "")):
        quote[row] = votes.get(asset[row], base_currency)
    for row in np.flatnonzero(unsaid):
        if asset[row] in monies and quote[row] in monies:
            kind[row] = "fx"
    refuse(
        moving & (asset == quote), source, "driver {value} is priced in nothing but itself", names,
        "say in column currency what it is quoted in",
    )  # fmt: skip
    seen: set[tuple[str, str]] = set()
    for row in np.flatnonzero(moving):
        if (asset[row], quote[row]) in seen:
            first = names[moving & (asset == asset[row])][0]
            raise DataError(
                f"{source}: {first} and {names[row]} are both the price of {asset[row]}; keep one",
                drivers=(str(first), str(names[row])),
            )
        seen.add((asset[row], quote[row]))
    return {"kind": kind, "underlying": asset, "currency": quote}


def pair_of(name: object) -> tuple[str, str]:
    """What a pair such as EURUSD or BTC/USD is the price of, and in what; ('', '') for another name."""
    pair = _PAIR.fullmatch(str(name))
    asset, quote = [part for part in pair.groups() if part] if pair else ("", "")
    return asset, quote


def pair_assets(instruments: pd.DataFrame, drivers: pd.DataFrame) -> np.ndarray:
    """N underlyings, with EUR in place of EURUSD where that is an fx driver's pair and no driver's underlying."""
    told = list(zip(*(drivers[name] for name in ("kind", "underlying", "currency")), strict=True))
    pairs = {(asset, quote) for kind, asset, quote in told if kind == "fx"}
    known = {asset for kind, asset, _ in told if kind in RETURNS}
    named = texts(instruments, "underlying")
    paired = {name: pair_of(name) for name in {*named} - known} if pairs else {}
    short = {name: pair[0] for name, pair in paired.items() if pair in pairs}
    return objects(short.get(name, name) for name in named) if short else named


@lru_cache(maxsize=10_000)
def tenor_years(tenor: str, source: str = "drivers", of: str = "") -> float | pd.Timestamp:
    """Years of a duration such as '30d', '3m' or '1y'; the date of an expiry. `of`: whose it is. Raises DataError."""
    duration = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([hdwmy])", tenor.lower())
    if duration:
        return float(duration[1]) * _TENOR_YEARS[duration[2]]
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", tenor):
            raise ValueError
        return pd.Timestamp(tenor, tz="UTC")
    except ValueError:
        text = f"{source}: tenor {tenor!r} is no tenor; write 30d, 3m, 1y or an expiry date"
        raise DataError(text, drivers=(of,) if of else ()) from None


def kinds_and_markets(drivers: pd.DataFrame) -> tuple[Shared, tuple[str, ...]]:
    """Driver -> kind, and the drivers marked market."""
    return Shared(drivers["kind"].to_dict()), tuple(drivers.index[drivers["market"].astype(bool)])
