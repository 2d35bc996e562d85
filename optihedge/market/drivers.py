"""Drivers: what moves prices. Their table, their history of levels, their moves, and the paths between currencies."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import DataError
from optihedge.frames import (
    DAY_END,
    Column,
    Schema,
    check_frame,
    completed,
    meant,
    nearest,
    number_block,
    parse_times,
    refuse,
    refuse_doubled,
    row_of,
    unique_labels,
)
from optihedge.market.history import changes, gaps, own_moves
from optihedge.readonly import Shared, keep, kept, read_only

KINDS = ("price", "fx", "vol", "rate", "basis")
RETURNS = ("price", "fx")
"""Kinds that move by their return; the others by their absolute change."""

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
_PERCENT = 8.0  # no tenor's vol was ever 800 %: such a level is in percent
_FLAT = 1e-12  # a range below this share of the level is no movement


# ---- the table -----------------------------------------------------------------------------------------------------


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
    table = check_frame(unique_labels(frame, "driver", source), DRIVERS, source, others=None)
    table = completed(table, DRIVERS)[list(DRIVERS)]
    for driver, tenor in table["tenor"][table["kind"].isin(("vol", "rate", "basis"))].items():
        if tenor and (tenor != "perpetual" or table.at[driver, "kind"] != "basis"):
            tenor_years(tenor, f"{source}: {driver}")
    if history is not None:
        stray = history.columns[~history.columns.isin(table.index)]
        if len(stray):
            raise DataError(
                f"{source}: {stray[0]} is a column of history without a row here{nearest(stray[0], table.index)}; "
                "add the row or drop the column"
            )
    _refuse_doubles(table, instruments, source)
    return _name_pairs(table, instruments, base_currency, monies, source)


def _refuse_doubles(table: pd.DataFrame, instruments: pd.DataFrame, source: str) -> None:
    """Refuse two drivers that speak for the same vol, rate or basis, and one for a contract that is not there."""
    spoken = table[table["kind"].isin(("vol", "rate", "basis"))]
    keys = ["kind", "underlying", "tenor", "venue", "instrument"]
    twice = spoken.duplicated(keys)
    if twice.any():
        second = twice.index[twice][0]
        kind, asset, tenor, *_ = said = spoken.loc[second, keys]
        first = spoken.index[(spoken[keys] == said).all(axis=1)][0]
        of = f"{kind} of {asset}" + (f" at tenor {tenor}" if tenor else "")
        remedy = "keep one" if kind == "rate" else "keep one, or say in column instrument or venue whom each speaks for"
        raise DataError(f"{source}: {first} and {second} are both the {of}; {remedy}")
    named = spoken["instrument"]
    stray = named[(named != "") & ~named.isin(instruments.index)]
    if len(stray):
        close = nearest(stray.iloc[0], instruments.index)
        raise DataError(
            f"{source}: {stray.index[0]} speaks for {stray.iloc[0]}, no instrument here{close}; write its label",
        )


def _name_pairs(
    table: pd.DataFrame, instruments: pd.DataFrame, base_currency: str, monies: frozenset[str], source: str
) -> pd.DataFrame:
    """Fill kind, underlying and currency of prices and pairs; refuse one coin under two drivers."""
    table = table.copy()
    unsaid = table["kind"] == ""
    named = [not asset and monies.issuperset(pair_of(name)) for name, asset in table["underlying"].items()]
    table["kind"] = kind = table["kind"].where(~unsaid, np.where(named, "fx", "price"))
    for driver in table.index[(kind == "fx") & ((table["underlying"] == "") | (table["currency"] == ""))]:
        pair = pair_of(driver)
        if pair != ("", ""):
            table.loc[driver, ["underlying", "currency"]] = pair
        elif table.at[driver, "underlying"] == "":
            raise DataError(
                f"{source}: fx driver {driver} names no pair; call it EURUSD, or fill underlying and currency"
            )
    price = kind == "price"
    table["underlying"] = table["underlying"].where(~price | (table["underlying"] != ""), table.index.to_series())
    votes = instruments.loc[instruments["currency"] != instruments["underlying"], ["underlying", "currency"]]
    vote = votes.drop_duplicates("underlying").set_index("underlying")["currency"]
    silent = kind.isin(RETURNS) & (table["currency"] == "")
    guess = table["underlying"].map(vote).astype(object).fillna(base_currency)
    table["currency"] = table["currency"].where(~silent, guess)
    money = unsaid & table["underlying"].isin(monies) & table["currency"].isin(monies)
    table["kind"] = kind = kind.where(~money, "fx")
    itself = (kind.isin(RETURNS) & (table["underlying"] == table["currency"])).to_numpy()
    refuse(
        itself, source, "driver {value} is priced in nothing but itself", table.index.to_series(),
        "say in column currency what it is quoted in",
    )  # fmt: skip
    twice = table[kind.isin(RETURNS)].duplicated(["underlying", "currency"])
    if twice.any():
        driver = twice.index[twice][0]
        first = table.index[(table["underlying"] == table.loc[driver, "underlying"]) & kind.isin(RETURNS)][0]
        asset = table.loc[driver, "underlying"]
        raise DataError(f"{source}: {first} and {driver} are both the price of {asset}; keep one")
    return table


def pair_of(name: object) -> tuple[str, str]:
    """What a pair such as EURUSD or BTC/USD is the price of, and in what; ('', '') for another name."""
    pair = _PAIR.fullmatch(str(name))
    asset, quote = [part for part in pair.groups() if part] if pair else ("", "")
    return asset, quote


def pair_assets(underlying: pd.Series, drivers: pd.DataFrame) -> pd.Series:
    """The underlyings, with EUR in place of EURUSD where that is an fx driver's pair and no driver's underlying."""
    known = drivers[drivers["kind"].isin(RETURNS)]
    pairs = set(known.loc[known["kind"] == "fx", ["underlying", "currency"]].itertuples(index=False, name=None))
    if not pairs:
        return underlying
    strange = {name: pair_of(name) for name in underlying[~underlying.isin(known["underlying"])].unique()}
    return underlying.replace({name: pair[0] for name, pair in strange.items() if pair in pairs})


def tenor_years(tenor: str, source: str = "drivers") -> float | pd.Timestamp:
    """Years of a duration such as '30d', '3m' or '1y'; the date of an expiry. Raises DataError."""
    duration = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([hdwmy])", tenor.lower())
    if duration:
        return float(duration[1]) * _TENOR_YEARS[duration[2]]
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", tenor):
            raise ValueError
        return pd.Timestamp(tenor, tz="UTC")
    except ValueError:
        raise DataError(f"{source}: tenor {tenor!r} is no tenor; write 30d, 3m, 1y or an expiry date") from None


# ---- history -------------------------------------------------------------------------------------------------------


def read_history(frame: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """Levels by UTC time (column `time`, or the index), and whether its rows are bare dates. Raises DataError."""
    source = frame.attrs.get("source", "history")
    refuse_doubled(frame.columns, source)
    timeless = "time" not in frame.columns and not isinstance(frame.index, pd.DatetimeIndex)
    called = next((name for name in frame.columns if meant(name, ("time",))), "") if timeless else ""
    if called:
        raise DataError(f"{source}: column time is missing (did you mean {called}?); rename it")
    given = frame["time"] if "time" in frame.columns else frame.index.to_series()
    body = frame.drop(columns="time", errors="ignore")
    body.columns = body.columns.astype(str)
    times, dates = parse_times(given.reset_index(drop=True), "time", source)
    refuse(times.isna().to_numpy(), source, "time is empty", times, "fill it")
    late = np.concatenate([[False], np.diff(pd.DatetimeIndex(times).asi8) <= 0])[: len(times)]
    refuse(late, source, "time {value} is not after the row before", times, "sort the rows and keep one per time")
    levels = pd.DataFrame(
        number_block(body, source), pd.DatetimeIndex(times, name="time"), body.columns.rename("driver")
    )
    dates = bool(frame.attrs.get("dates", dates))
    levels.attrs = {"source": source, "dates": dates}
    return levels, dates


def known_history(levels: pd.DataFrame, dates: bool, drivers: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """The levels known at as_of, in the drivers' order: a row from its time, a bare date from its session's close."""
    levels = levels.reindex(columns=drivers.index)
    if not dates:
        known_frame = levels[levels.index <= as_of]
        known_frame.attrs = {**levels.attrs, "dates": False}
        return known_frame
    known = levels.to_numpy(dtype=float, copy=True)
    for rule, members in drivers.groupby("known_at", sort=False):
        hidden = np.flatnonzero(close_times(levels.index, str(rule)) > as_of)
        known[np.ix_(hidden, drivers.index.get_indexer(members.index))] = np.nan
    known_frame = pd.DataFrame(known, index=levels.index, columns=levels.columns)
    known_frame = known_frame[~np.isnan(known).all(axis=1)] if known.size else known_frame
    known_frame.attrs = {**levels.attrs, "dates": True}
    return known_frame


def by_month(levels: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each calendar month (UTC) that has any, by its name such as 2026-01."""
    for name, first, end in months_of(levels.index):
        yield name, levels.iloc[first:end]


def months_of(index: pd.DatetimeIndex) -> Iterator[tuple[str, int, int]]:
    """Each calendar month (UTC) that has any, by its name such as 2026-01, and its rows: from first to before end."""
    numbers = (index.year * 12 + index.month - 1).to_numpy()
    ends = [*np.flatnonzero(np.diff(numbers)) + 1, len(index)] if len(index) else []
    for first, end in zip([0, *ends], ends, strict=False):
        yield f"{numbers[first] // 12:04d}-{numbers[first] % 12 + 1:02d}", int(first), int(end)


def close_times(days: pd.DatetimeIndex, rule: str) -> pd.DatetimeIndex:
    """The UTC instants at which the sessions of these dates close; '' is the last second of the UTC day."""
    if not rule:
        return days + DAY_END
    match = re.fullmatch(r"(\d{1,2}:\d{2})(?:\s+(\S+))?", rule.strip())
    try:
        if match is None:
            raise ValueError
        hour = pd.Timedelta(f"{match[1]}:00")
        return (days.tz_localize(None) + hour).tz_localize(match[2] or "UTC").tz_convert("UTC")
    except (ValueError, KeyError):
        raise DataError(f"drivers: known_at {rule!r} is no time of day; write '16:00 America/New_York'") from None


def check_levels(
    levels: pd.DataFrame, drivers: pd.DataFrame, signed: pd.Index, source: str, *, allow_gaps: bool = False
) -> None:
    """Refuse gaps (unless allowed), impossible levels and undeclared constants.

    signed   underlyings whose price may be negative
    """
    values = levels.to_numpy()
    absent = np.isnan(values)
    returns, vols = drivers["kind"].isin(RETURNS).to_numpy(), (drivers["kind"] == "vol").to_numpy()
    free = drivers["underlying"].isin(signed).to_numpy() | ~returns
    with np.errstate(invalid="ignore"):
        low = np.where(free & returns, values == 0, ~free & (values <= 0))
        low |= vols & (values < 0)
    for bad, remedy in (
        (np.nan_to_num(values) * vols >= _PERCENT, "is {value:g}, a vol in percent; write decimals such as 0.2"),
        (
            gaps(levels) & (not allow_gaps),
            "is missing between known rows; fill the gap, drop the row, or set on_missing = 'freeze'",
        ),
        (low, "is {value:g}, no level to take a return from; mend the row"),
    ):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            text = remedy.format(value=values[row, column])
            name = str(drivers.index[column])
            raise DataError(f"{row_of(source, int(row))}: {name} {text}", drivers=(name,))
    if len(values) < 2:
        return
    with np.errstate(invalid="ignore"):
        filled = np.where(absent, np.nanmax(np.where(absent.all(axis=0), 0.0, values), axis=0), values)
    span, size = np.ptp(filled, axis=0), np.abs(filled).max(axis=0)
    flat = (span <= _FLAT * size) & ~drivers["constant"].to_numpy(dtype=bool) & ((~absent).sum(axis=0) >= 2)
    if flat.any():
        raise DataError(
            f"{source}: driver {drivers.index[flat][0]} never moves over {len(values)} rows; "
            "declare constant = true in drivers, or mend its column",
            drivers=(str(drivers.index[flat][0]),),
        )


def periods_per_year(drivers: pd.DataFrame, levels: pd.DataFrame) -> float:
    """Periods of the history in a year: as the drivers say (all alike, else a DataError), else from its spacing."""
    index = levels.index
    return periods_of(drivers, index.as_unit("ns").asi8, index.day_of_week.to_numpy() >= 5)


def periods_of(drivers: pd.DataFrame, times: np.ndarray, weekend: np.ndarray) -> float:
    """`periods_per_year` of a history with rows at these nanoseconds, of which these lie on a weekend."""
    said = kept(drivers, "periods", lambda: _stated_periods(drivers))
    if said is not None:
        return said
    if len(times) < 3:
        return 252.0
    days = np.median(np.diff(times)) / 86.4e12
    if 0.9 < days < 1.5:
        return 365.0 if weekend.any() else 252.0
    for typical, periods in ((7.0, 52.0), (30.4, 12.0), (91.3, 4.0)):
        if 0.9 < days / typical < 1.1:
            return periods
    return 365.0 / days


def _stated_periods(drivers: pd.DataFrame) -> float | None:
    """What the drivers say, None where they say nothing."""
    stated = drivers["periods_per_year"].dropna()
    if stated.nunique() > 1:
        one, other = stated.drop_duplicates().index[:2]
        raise DataError(
            f"drivers: periods_per_year is {stated[one]:g} for {one} and {stated[other]:g} for {other}; "
            "bring all histories to one period"
        )
    return float(stated.iloc[0]) if len(stated) else None


def moves_of(levels: pd.DataFrame, drivers: pd.DataFrame, rows: int | None, *, ragged: bool = True) -> pd.DataFrame:
    """The last `rows` moves (all by default), T x D: returns of prices and pairs, changes of the rest.

    ragged: every driver's own, a move next to a missing level missing (see `market.history`); else the rows that are
    complete, as many as the shortest driver has. Raises DataError where a history is shorter than asked.
    """
    values = levels.to_numpy(dtype=float)
    by_return = drivers["kind"].isin(RETURNS).to_numpy()
    if ragged:
        return own_moves(levels, by_return, rows)
    complete = np.isfinite(values).all(axis=1)
    last = len(values) - int(np.argmax(complete[::-1])) if complete.any() else 0
    values, times = values[:last], levels.index[:last]
    known = np.isfinite(values)
    count = known.sum(axis=0) - 1
    least = max(int(count.min(initial=len(values) - 1)), 0) if values.size else 0
    wanted = least if rows is None else rows
    if wanted > least or least < 1:
        driver = levels.columns[int(np.argmin(np.isfinite(levels.to_numpy(dtype=float)).sum(axis=0)))]
        raise DataError(
            f"history of {driver} has {least} moves, fewer than the {max(wanted, 1)} asked; "
            "give a longer history, ask for fewer rows or leave the driver out",
            drivers=(str(driver),),
        )
    window = values[last - wanted - 1 :] if last > wanted else values
    return pd.DataFrame(changes(window, by_return), index=times[-wanted:], columns=levels.columns)


def every_move(levels: pd.DataFrame, drivers: pd.DataFrame) -> np.ndarray:
    """The drivers' own moves, T x D, read-only: worked out once while a read-only table of levels lives."""
    return kept(levels, "moves", lambda: read_only(moves_of(levels, drivers, None).to_numpy()), drivers)


def kinds_and_markets(drivers: pd.DataFrame) -> tuple[Shared, tuple[str, ...]]:
    """Driver -> kind, and the drivers marked market."""
    return Shared(drivers["kind"].to_dict()), tuple(drivers.index[drivers["market"].astype(bool)])


def share_moves(whole: pd.DataFrame, drivers: pd.DataFrame, part: pd.DataFrame, first: int) -> None:
    """Let a part of a history's rows, from row `first` on, have the moves of the whole.

    Rows at weekends are told by all rows together: a history with such rows shares nothing.
    """
    if len(part) > 1 and not kept(whole, "at weekends", lambda: bool((whole.index.day_of_week >= 5).any())):
        keep(part, "moves", every_move(whole, drivers)[first : first + len(part) - 1], drivers)


# ---- currencies ----------------------------------------------------------------------------------------------------


def currency_paths(
    currencies: pd.Index, drivers: pd.DataFrame, levels: np.ndarray, base_currency: str
) -> tuple[np.ndarray, sp.csr_array]:
    """Base currency per unit of each of C currencies, and the signs C x D of the drivers on its path to base.

    The path with the fewest pairs that have a level is taken. Raises DataError naming the pair that is missing.
    """
    pairs = drivers["kind"] == "fx"
    pairs |= (drivers["kind"] == "price") & drivers["underlying"].isin([*currencies, base_currency])
    edges: dict[str, list[tuple[str, int, int]]] = {}
    for position in map(int, np.flatnonzero(pairs & (levels > 0))):
        asset, quote = drivers["underlying"].iat[position], drivers["currency"].iat[position]
        edges.setdefault(quote, []).append((asset, position, 1))
        edges.setdefault(asset, []).append((quote, position, -1))
    paths: dict[str, list[tuple[int, int]]] = {base_currency: []}
    queue = deque([base_currency])
    while queue:
        here = queue.popleft()
        for there, position, sign in edges.get(here, []):
            if there not in paths:
                paths[there] = [*paths[here], (position, sign)]
                queue.append(there)
    rate = np.ones(len(currencies))
    signs = sp.lil_array((len(currencies), len(drivers)))
    for row, currency in enumerate(currencies):
        if currency not in paths:
            mute = _mute_pair(currency, base_currency, drivers[pairs & ~(levels > 0)], [*paths])
            if mute:
                driver, asset, quote = mute
                raise DataError(
                    f"driver {driver}, the price of {asset} in {quote}, has no level: nothing quotes it and it has no "
                    f"history (cash is worth 1 of its own money); quote an instrument of type spot, underlying "
                    f"{asset}, currency {quote}, or give the history"
                )
            raise DataError(
                f"currency {currency} has no quoted path to {base_currency}; add the pair {currency}{base_currency} "
                f"as an fx driver with its history, or quote it (type spot, underlying {currency}, currency "
                f"{base_currency})"
            )
        for pair, sign in paths[currency]:
            rate[row] *= levels[pair] ** sign
            signs[row, pair] = sign
    return rate, sp.csr_array(signs)


def _mute_pair(
    currency: str, base_currency: str, mute: pd.DataFrame, reached: list[str]
) -> tuple[str, str, str] | None:
    """Of the pairs without a level the one that leads from what base reaches towards this currency; None without one.

    One that ends at the currency or at base itself goes first.
    """
    near = [str(name) for name in mute.index if not {*mute.loc[name, ["underlying", "currency"]]}.isdisjoint(reached)]
    ends = [name for name in near if currency in {*mute.loc[name, ["underlying", "currency"]]}]
    if not near:
        near = [str(n) for n in mute.index if {*mute.loc[n, ["underlying", "currency"]]} & {currency, base_currency}]
    chosen = (ends or near or [""])[0]
    return (chosen, *mute.loc[chosen, ["underlying", "currency"]]) if chosen else None
