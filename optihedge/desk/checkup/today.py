"""Tonight's files by themselves: every row that a door refuses, and what a door lets pass but no desk should."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from optihedge.desk.checkup.findings import Findings, every_fault, numbers, raw_table, texts, times
from optihedge.errors import OptihedgeError
from optihedge.frames import instant
from optihedge.market.book import read_book
from optihedge.market.chain_arbitrage import Chain, strike_arbitrage
from optihedge.market.events import check_events
from optihedge.market.folder import FILES
from optihedge.market.instruments import TYPES, check_instruments
from optihedge.market.levels import read_history
from optihedge.market.quotes import check_depth, check_quotes, latest_time
from optihedge.market.settings import read_settings
from optihedge.market.units import unit_faults
from optihedge.risk.contradictions import MOST_DAYS, MOST_FUNDING

_MOST = 200  # figures in another unit that are told
_OLD = pd.Timedelta("1D")  # behind the newest quote
_WITHOUT = ("cash", *(name for name, kind in TYPES.items() if kind.modelled))  # types that need no quote
_WIDE = 0.5  # of the mid: no spread of a stock, future or coin


@dataclass
class Night:
    """The tables of a folder as far as they can be read, labelled, each with its spreadsheet's `row`.

    terms    the instruments as the door makes them, what is empty filled in
    levels   the history as the door makes it, a row each of `history`; None where it has none
    """

    settings: dict
    as_of: pd.Timestamp | None
    instruments: pd.DataFrame
    terms: pd.DataFrame
    quotes: pd.DataFrame
    depth: pd.DataFrame
    history: pd.DataFrame
    levels: pd.DataFrame | None
    events: pd.DataFrame
    books: dict[str, pd.DataFrame]


def read_night(folder: Path, books: list[Path], found: Findings) -> Night:
    """Every table, each row that a door refuses told and left out."""
    settings: dict = {}
    try:
        settings = read_settings(folder / "market.toml")
    except OptihedgeError as error:
        found.error(error, "market.toml")
    base = str(settings.get("base_currency", "USD"))
    tables = {name: raw_table(folder, name, found) for name in FILES}
    as_of = _as_of(settings, tables["quotes"], found)
    for name in ("instruments", "quotes"):
        missing = not (folder / f"{name}.csv").exists() and not (folder / f"{name}.parquet").exists()
        if missing:
            found.add(f"{name}.csv", 0, "", f"{name}.csv is not there", "a market needs it; bring the night's file")
    instruments, quotes = tables["instruments"], tables["quotes"]
    at = as_of if as_of is not None else pd.Timestamp("2100-01-01", tz="UTC")
    early = as_of if as_of is not None else pd.Timestamp("1900-01-01", tz="UTC")
    checked, levels = None, None
    if instruments is not None:
        instruments, checked = every_fault(instruments, lambda frame: check_instruments(frame, early, base), found)
    checked = pd.DataFrame() if checked is None else checked
    if quotes is not None and len(checked):
        crossed = float(settings.get("max_crossed", 0.0))

        def door(frame: pd.DataFrame) -> object:
            return check_quotes(frame, checked, at, on_missing="error", max_crossed=crossed, max_age=None)

        quotes, _ = every_fault(_listed(quotes, found), door, found)
    if tables["events"] is not None:
        tables["events"], _ = every_fault(tables["events"], check_events, found)
    names = pd.Index([]) if instruments is None else _labelled(instruments).index
    if tables["depth"] is not None:
        tables["depth"], _ = every_fault(tables["depth"], lambda frame: check_depth(frame, names), found)
    if tables["history"] is not None:
        tables["history"], levels = every_fault(tables["history"], lambda frame: read_history(frame)[0], found)
    if as_of is None and "as_of" not in settings and levels is not None and len(levels):
        as_of = latest_time(pd.DataFrame(), levels, levels.attrs["dates"])
    return Night(
        settings,
        as_of,
        _labelled(instruments),
        checked,
        _labelled(quotes),
        pd.DataFrame() if tables["depth"] is None else tables["depth"],
        pd.DataFrame() if tables["history"] is None else tables["history"],
        levels,
        pd.DataFrame(columns=["row"]) if tables["events"] is None else tables["events"],
        {path.name: _book(path, names, found) for path in books},
    )


def _listed(quotes: pd.DataFrame, found: Findings) -> pd.DataFrame:
    """The quotes without those of instruments that are refused already."""
    kept = quotes[~texts(quotes, "instrument").isin(found.told("instruments.csv"))]
    kept.attrs = dict(quotes.attrs)
    return kept


def _as_of(settings: dict, quotes: pd.DataFrame | None, found: Findings) -> pd.Timestamp | None:
    """What market.toml says, else the newest time of a quote."""
    try:
        if "as_of" in settings:
            return instant(settings["as_of"], "market.toml: as_of")
    except OptihedgeError as error:
        found.error(error, "market.toml")
        return None
    newest = pd.NaT if quotes is None else times(quotes, "time").max()
    return None if newest is pd.NaT else newest.as_unit("ns")


def _labelled(table: pd.DataFrame | None) -> pd.DataFrame:
    if table is None or "instrument" not in table.columns:
        return pd.DataFrame({"row": []}, index=pd.Index([], name="instrument"), dtype=int)
    return table.set_index(texts(table, "instrument"))


def _book(path: Path, names: pd.Index, found: Findings) -> pd.DataFrame:
    raw = raw_table(path.parent, path.stem, found)
    if raw is None:
        if not path.exists():
            found.add(path.name, 0, "", f"{path.name} is not there", "bring the book, or take it off the list")
        return pd.DataFrame({"row": []}, index=pd.Index([], name="instrument"))
    table = _labelled(every_fault(raw, read_book, found)[0])
    if len(names):
        found.where(
            ~table.index.isin(names),
            path.name,
            table,
            "{label} is held, but not among tonight's instruments",
            "add its row to instruments.csv and quotes.csv, or give its settlement, rename or delisting",
        )
    return table


# ---- what a door lets pass ------------------------------------------------------------------------------------------


def check_tonight(night: Night, found: Findings) -> None:
    """Units, quotes, chains, events and books against each other."""
    _units(night, found)
    _quotes(night, found)
    _events(night, found)
    _lots(night, found)
    _sides(night, found)


def _units(night: Night, found: Findings) -> None:
    """Fees, option prices and vols in another unit than ours."""
    if night.as_of is None or "type" not in night.instruments.columns:
        return
    listed = night.instruments.assign(expiry=times(night.instruments, "expiry"))
    tables = {"instruments": listed, "quotes": night.quotes}
    for one in unit_faults(listed, night.quotes, night.as_of)[:_MOST]:
        row = int(tables[one.table].loc[one.instrument, "row"])
        found.add(f"{one.table}.csv", row, one.instrument, one.problem, one.remedy)


def _quotes(night: Night, found: Findings) -> None:
    listed, quoted = night.instruments, night.quotes
    kind = texts(listed, "type").replace("", "equity")
    asked = ~kind.isin(_WITHOUT)
    silent = ~listed.index.isin([*quoted.index, *found.told("quotes.csv")]) & asked
    if silent.sum() == asked.sum() > 0:
        if not found.unread("quotes.csv"):
            found.add("quotes.csv", 0, "", f"it quotes none of {len(listed)} instruments", "bring the night's file")
        return
    found.where(silent, "instruments.csv", listed, "{label} has no row in quotes.csv", "bring its quote, or its mark")
    bid, ask, mark = (numbers(quoted, name) for name in ("bid", "ask", "mark"))
    kind = kind.reindex(quoted.index).fillna("equity")
    bare = bid.isna() & ask.isna() & mark.isna() & ~kind.isin(_WITHOUT)
    remedy = "give its mark, or drop it where nobody holds it"
    found.where(bare, "quotes.csv", quoted, "{label} has neither bid, ask nor mark", remedy)
    option = _is(kind, "option")
    wide = (ask - bid > _WIDE * (ask + bid) / 2) & ~option
    found.where(
        wide,
        "quotes.csv",
        quoted,
        "ask {0:g} is far above bid {1:g}",
        "one side is wrong, or of another moment; renew the quote",
        ask,
        bid,
    )
    seen = times(quoted, "time")
    found.where(
        seen.max() - seen > _OLD,
        "quotes.csv",
        quoted,
        "time {0} is {1} behind the newest",
        "renew the quote, or set on_missing = 'freeze' with max_age",
        seen,
        seen.max() - seen,
    )
    rate = numbers(quoted, "funding_rate")
    found.where(
        rate.abs() > MOST_FUNDING,
        "quotes.csv",
        quoted,
        "funding_rate is {0:g} for one interval",
        "write a fraction: 0.0001 is 0.01 %",
        rate,
    )
    perpetual = kind.isin(("perpetual", "inverse_perpetual")) & rate.isna() & rate.notna().any()
    found.where(
        perpetual,
        "quotes.csv",
        quoted,
        "funding_rate is empty, and others have theirs",
        "bring the venue's rate and its hours",
    )
    _volumes(listed, quoted, found)
    both = listed.index.intersection(quoted.index, sort=False)
    _chains(listed.loc[both], quoted.loc[both], found)


def _volumes(listed: pd.DataFrame, quoted: pd.DataFrame, found: Findings) -> None:
    """Volume against open interest and against what is quoted."""
    volume, interest = numbers(quoted, "volume"), numbers(listed, "open_interest").reindex(quoted.index)
    found.where(
        (volume > 100 * interest) & (interest > 0),
        "quotes.csv",
        quoted,
        "volume {0:g} against an open interest of {1:g}",
        "its unit is another (money for contracts?); convert it, or leave it empty",
        volume,
        interest,
    )
    option = quoted.index.isin(
        listed.index[texts(listed, "type").str.endswith("option")]
    )  # makers quote what seldom trades
    size = numbers(quoted, "bid_size").fillna(0) + numbers(quoted, "ask_size").fillna(0)
    found.where(
        (size > 50 * volume) & (volume > 0) & ~option,
        "quotes.csv",
        quoted,
        "{0:g} are quoted where {1:g} trade in a day",
        "sizes and volume are in different units; convert one",
        size,
        volume,
    )


def _chains(table: pd.DataFrame, quoted: pd.DataFrame, found: Findings) -> None:
    """Options of one expiry that are paid for being taken: see `strike_arbitrage`."""
    chain = pd.DataFrame({
        **{name: texts(table, name) for name in ("underlying", "expiry", "venue", "multiplier")},
        "right": texts(table, "right").str[:1].str.upper(),
        "strike": numbers(table, "strike"), "bid": numbers(quoted, "bid"), "ask": numbers(quoted, "ask"),
    })  # fmt: skip
    row = quoted["row"]
    for label, what in strike_arbitrage(Chain.of_table(chain[chain["strike"].notna()])):
        found.add("quotes.csv", int(row[label]), label, what, "one of the quotes is stale or wrong; renew them")


def _is(kind: pd.Series, what: str) -> pd.Series:
    """Whether each type of contract is so, a field of InstrumentType; an unknown one is not."""
    return kind.isin([name for name, one in TYPES.items() if getattr(one, what)])


def _events(night: Night, found: Findings) -> None:
    if night.events.empty or not len(night.instruments):
        return
    table = night.events.set_index(texts(night.events, "event_id"))
    named = texts(table, "instrument")
    known = {*night.instruments.index, *texts(night.instruments, "underlying"), ""}
    known |= {label for book in night.books.values() for label in book.index} | found.told("instruments.csv")
    found.where(
        ~named.isin(known),
        "events.csv",
        table,
        "{0} is no instrument here",
        "write the label of instruments.csv",
        named,
    )


def _lots(night: Night, found: Findings) -> None:
    lot, volume = numbers(night.instruments, "lot"), numbers(night.quotes, "volume")
    for name, book in night.books.items():
        quantity, size, daily = numbers(book, "quantity"), lot.reindex(book.index), volume.reindex(book.index)
        parts = ((quantity / size) - (quantity / size).round()).abs() > 1e-6
        found.where(
            parts,
            name,
            book,
            "quantity {0:g} is no whole number of lots of {1:g}",
            "write contracts of instruments.csv; a venue's amount goes into venue_amount",
            quantity,
            size,
        )
        days = quantity.abs() / daily
        found.where(
            (days > MOST_DAYS) & (daily > 0),
            name,
            book,
            "quantity {0:g} is {1:.0f} days of its volume",
            "check the unit of the quantity, and that of the volume",
            quantity,
            days,
        )


def _sides(night: Night, found: Findings) -> None:
    """Held contracts valued at the one side of their quote that is there; no option is at its ask alone."""
    held = {name for book in night.books.values() for name in book.index[numbers(book, "quantity").ne(0)]}
    table = night.quotes[night.quotes.index.isin(held)]
    kind = texts(night.instruments, "type").replace("", "equity").reindex(table.index)
    option = _is(kind, "option")
    bid, ask, mark = (numbers(table, name) for name in ("bid", "ask", "mark"))
    signed = _is(kind, "signed")
    bid, ask = (side.where(signed | side.ne(0)) for side in (bid, ask))
    words = "{{label}} is held, its {} is missing and it has no mark: it is valued at its {}, {{0:g}}"
    remedy = "bring both sides, or the venue's mark"
    found.where(bid.notna() & ask.isna() & mark.isna(), "quotes.csv", table, words.format("ask", "bid"), remedy, bid)
    lone = bid.isna() & ask.notna() & mark.isna() & ~option
    found.where(lone, "quotes.csv", table, words.format("bid", "ask"), remedy, ask)
