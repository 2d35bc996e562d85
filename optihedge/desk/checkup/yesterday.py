"""Tonight against the night before: prices, vols, terms, funding, history and books that changed as none does."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.desk.checkup.findings import Findings, numbers, texts, times
from optihedge.desk.checkup.today import Night
from optihedge.desk.checkup.whole import check_whole
from optihedge.market.families import TERMS
from optihedge.market.instruments import INSTRUMENTS, only_shares
from optihedge.market.missing_actions import CAN_SPLIT
from optihedge.market.snapshot import Market

_JUMP = 10.0  # own daily deviations, of the days between the nights
_LEAST_DEVIATION = 0.02  # a day
_VOL_JUMP = 0.5  # of the vol, in a day
_LEAN = 0.1  # that a forward may move unlike the others of its underlying, in a day
_SPLITS = np.log([1.2, 1.25, 4 / 3, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50])
_POSITION = 10.0  # times that a position may grow in a night
_VOLUME = 500.0  # times that a volume may


def check_against(before: Market, night: Night, found: Findings) -> None:
    """Needs the night before; what is new tonight has nothing to be compared with."""
    if night.as_of is not None and night.as_of <= before.as_of:
        found.add(
            "market.toml",
            0,
            "",
            f"as_of {night.as_of} is not after the night before, {before.as_of}",
            "these are old files; bring tonight's",
        )
    if night.settings.get("base_currency", before.base_currency) != before.base_currency:
        now = night.settings["base_currency"]
        found.add(
            "market.toml",
            0,
            "",
            f"base_currency is {now}, the night before {before.base_currency}",
            "a desk keeps its currency; begin another desk",
        )
    acted = acted_on(before, night)
    _terms(before, night, acted, found)
    _gone(before, night, acted, found)
    _prices(before, night, acted, found)
    _others(before, night, found)
    _history(before, night, acted, found)
    check_whole(before, night, _days(before, night), found)


def acted_on(before: Market | None, night: Night) -> set[str]:
    """Instruments whose price, terms or position an event between the nights may have changed."""
    if night.events.empty:
        return set()
    when = times(night.events, "time")
    fresh = texts(night.events, "kind").ne("funding")
    if before is not None and night.as_of is not None:
        fresh &= (when > before.as_of) & (when <= night.as_of)
    return {*texts(night.events, "instrument")[fresh], *texts(night.events, "other")[fresh]} - {""}


def _terms(before: Market, night: Night, acted: set[str], found: Findings) -> None:
    both = night.instruments[night.instruments.index.isin(before.names) & ~night.instruments.index.isin(acted)]
    old = before.instruments.loc[both.index]
    for name in TERMS:
        if name not in both.columns:
            continue
        kind = INSTRUMENTS[name].kind
        if kind == "time":
            now, was = times(both, name), old[name]
            changed = now.notna() & was.notna() & (now != was)
        elif kind == "number":
            now, was = numbers(both, name), old[name]
            changed = now.notna() & was.notna() & ~np.isclose(now, was.astype(float), rtol=1e-9)
        else:
            now, was = texts(both, name), old[name].astype(str)
            if name == "currency":
                now = now.where(now != "", night.terms["currency"].reindex(both.index))
            changed = (now != "") & (was != "") & (now != was)
        found.where(
            changed,
            "instruments.csv",
            both,
            name + " is {0}, the night before {1}",
            "a contract's terms change by an event alone; mend the row, or give the split, rename or merger",
            now,
            was,
        )


def _gone(before: Market, night: Night, acted: set[str], found: Findings) -> None:
    """Held contracts that expired without a settlement."""
    if night.as_of is None:
        return
    for name, book in night.books.items():
        due = before.instruments["expiry"].reindex(book.index)
        late = (due <= night.as_of) & ~book.index.isin(acted)
        found.where(
            late,
            name,
            book,
            "{label} expired at {0} and is still held",
            "give its settlement in events.csv, and take it out of the book",
            due,
        )


def _prices(before: Market, night: Night, acted: set[str], found: Findings) -> None:
    was = _relabelled(before, night)
    table = night.quotes[night.quotes.index.isin([*before.names, *was])]
    old = pd.Index([was.get(name, name) for name in table.index])
    mid = numbers(table, "mark").fillna((numbers(table, "bid") + numbers(table, "ask")) / 2)
    mid = mid.fillna(numbers(table, "bid")).fillna(numbers(table, "ask"))
    terms = before.instruments.loc[old].set_axis(table.index)
    plain = terms["strike"].isna() & (terms["type"] != "cash")
    with np.errstate(divide="ignore", invalid="ignore"):
        move = np.log((mid / before.price.reindex(old).to_numpy()).where(plain & (mid > 0)))
    allowed = _JUMP * _deviation(before, terms["underlying"]) * np.sqrt(_days(before, night))
    common = move[plain].median() if plain.sum() >= 5 else 0.0
    if plain.any() and abs(common) <= np.median(allowed[plain]):  # no whole market halves in a night
        move = move - common
    _untold(night, table, move, allowed, found)
    with np.errstate(invalid="ignore"):
        jumped = (move.abs() > allowed) & ~table.index.isin(acted) & ~old.isin(acted)
    for at in np.flatnonzero(jumped.fillna(False)):
        ratio, name = float(np.exp(move.iloc[at])), str(table.index[at])
        tens = np.log10(ratio)
        of = f"that of {was[name]}" if name in was else "that"
        what = f"its price is {ratio:.4g} times {of} of the night before, beyond 10 own deviations"
        if abs(tens) > 0.9 and abs(tens - round(tens)) < 0.05:
            remedy = "pence for pounds, or thousands? bring the quote in its unit of always"
        elif terms["type"].iloc[at] in CAN_SPLIT and np.abs(_SPLITS - abs(move.iloc[at])).min() < 0.05:
            remedy = "a split or payout that events.csv does not tell? give it, or confirm the price"
        else:
            remedy = "confirm the price, or renew it"
        found.add("quotes.csv", int(table["row"].iloc[at]), name, what, remedy)


def _relabelled(before: Market, night: Night) -> dict[str, str]:
    """By tonight's label that of the night before, of shares that are the only one on their underlying in both, where
    the old label is gone.
    """
    if not len(night.terms):
        return {}
    alone = []
    for table in (night.terms, before.instruments):
        shares = table[only_shares(table)]
        alone.append(pd.Series(shares.index, pd.MultiIndex.from_frame(shares[["underlying", "currency"]])))
    now, was = alone
    pairs = [(str(label), str(was[key])) for key, label in now.items() if key in was.index]
    return {label: old for label, old in pairs if label not in before.names and old not in night.terms.index}


def _untold(night: Night, table: pd.DataFrame, move: pd.Series, allowed: np.ndarray, found: Findings) -> None:
    """Splits that are told and that the price does not show."""
    if night.as_of is None:
        return
    told = night.events[texts(night.events, "kind").eq("split") & (times(night.events, "time") <= night.as_of)]
    ratio = numbers(told, "value").set_axis(texts(told, "instrument")).groupby(level=0).prod().reindex(table.index)
    with np.errstate(divide="ignore", invalid="ignore"):
        silent = (np.log(ratio).abs() > allowed) & (move.abs() < allowed)
    found.where(
        silent, "quotes.csv", table, "a split of {0:g} is told, the price is {1:.3g} times that of the night before",
        "the quote is of before the split, or the split is not of tonight; renew the quote, or mend the event", ratio,
        np.exp(move),
    )  # fmt: skip


def _days(before: Market, night: Night) -> float:
    """Days between the nights, 1 at least."""
    return 1.0 if night.as_of is None else max((night.as_of - before.as_of).total_seconds() / 86_400, 1.0)


def _deviation(before: Market, underlying: pd.Series) -> np.ndarray:
    """Daily deviation of each underlying by the history of before, at least 2 %."""
    if len(before.history) < 10:
        return np.full(len(underlying), 2 * _LEAST_DEVIATION)
    moves = before.history.pct_change(fill_method=None).abs().median() * 1.4826 * np.sqrt(before.periods_per_year / 365)
    of = before.drivers["underlying"].reindex(moves.index)
    by = moves.groupby(of.to_numpy()).max()
    return np.fmax(by.reindex(underlying).to_numpy(), _LEAST_DEVIATION)


def _others(before: Market, night: Night, found: Findings) -> None:
    table = night.quotes[night.quotes.index.isin(before.names)]
    old = before.quotes.loc[table.index]
    life = pd.Series(before.contracts.years, before.names).reindex(table.index)
    option = before.instruments.loc[table.index, "strike"].notna()
    vol, forward = numbers(table, "vol"), numbers(table, "underlying_price")
    wider = np.sqrt(_days(before, night))
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = (np.log(vol / old["vol"]).abs() > _VOL_JUMP * wider) & option & (life > 7 / 365)
        lean = np.log(forward / old["underlying_price"]).where(option)
    lean -= lean.groupby(before.instruments.loc[table.index, "underlying"].to_numpy()).transform("median")
    found.where(
        apart,
        "quotes.csv",
        table,
        "vol is {0:g}, the night before {1:g}",
        "percent for decimals, or a stale chain? renew it",
        vol,
        old["vol"],
    )
    found.where(
        lean.abs() > _LEAN * wider,
        "quotes.csv",
        table,
        "underlying_price is {0:g}, the night before {1:g}: unlike the others",
        "an option's underlying_price is the forward of its expiry; renew it",
        forward,
        old["underlying_price"],
    )
    rate, hours = numbers(table, "funding_rate"), numbers(table, "funding_hours")
    found.where(
        rate.isna() & old["funding_rate"].notna(),
        "quotes.csv",
        table,
        "funding_rate is empty, the night before it was quoted",
        "bring the venue's rate and its hours",
    )
    paid = rate.ne(0) & old["funding_rate"].ne(0) & hours.notna() & old["funding_hours"].notna()
    found.where(
        paid & (hours != old["funding_hours"]),
        "quotes.csv",
        table,
        "funding_hours is {0:g}, the night before {1:g}",
        "the venue changed its interval, or the row is wrong; confirm it",
        hours,
        old["funding_hours"],
    )
    volume = numbers(table, "volume")
    found.where(
        (volume > _VOLUME * old["volume"]) & (old["volume"] > 0),
        "quotes.csv",
        table,
        "volume is {0:g}, the night before {1:g}",
        "its unit is another; convert it, or leave it empty",
        volume,
        old["volume"],
    )


def _history(before: Market, night: Night, acted: set[str], found: Findings) -> None:
    levels = night.levels
    if levels is None or levels.empty or before.history.empty:
        return
    rows = pd.Series(night.history["row"].to_numpy(), levels.index)
    absent = before.history.columns[before.history.notna().any()].difference(levels.columns, sort=False)
    for name in absent:
        found.add("history.csv", 0, str(name), f"column {name} is gone", "a driver keeps its history; bring it back")
    common = levels.index.intersection(before.history.index)
    for name in levels.columns.intersection(before.history.columns):
        if name in acted:
            continue
        was, now = before.history.loc[common, name], levels.loc[common, name]
        restated = (np.abs(now / was - 1) > 1e-6) & was.notna() & now.notna()
        for time in common[restated.to_numpy()][:1]:
            found.add(
                "history.csv",
                int(rows[time]),
                str(name),
                f"{name} of {time:%Y-%m-%d} is {now[time]:g}, known the night before as {was[time]:g}",
                "a past is restated by an event (split, rename); give it, or bring the levels back",
            )


def check_books(before: dict[str, pd.Series], night: Night, acted: set[str], found: Findings) -> None:
    """Positions that grew tenfold, turned or vanished since the book of the night before."""
    for name, book in night.books.items():
        was = before.get(name)
        if was is None or (book.empty and found.unread(name)):
            continue
        quantity = numbers(book, "quantity")
        old = was.reindex(book.index)
        with np.errstate(divide="ignore", invalid="ignore"):
            grown = (quantity / old).abs()
        jumped = ((grown > _POSITION) | ((grown > 0.5) & (quantity * old < 0))) & ~book.index.isin(acted)
        found.where(
            jumped,
            name,
            book,
            "quantity {0:g}, the night before {1:g}",
            "venue amounts for contracts, or a fill that was not told? confirm the position",
            quantity,
            old,
        )
        for label in was.index[(was != 0) & ~was.index.isin(book.index) & ~was.index.isin(acted)]:
            found.add(
                name,
                0,
                str(label),
                f"{label}, {was[label]:g} the night before, is gone",
                "confirm that it was closed; write quantity 0 for what is flat",
            )
