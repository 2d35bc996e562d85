"""What is wrong with a file as a whole: yesterday's copied over, a column in another unit, times of another clock."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.desk.checkup.findings import Findings, numbers, texts
from optihedge.desk.checkup.today import Night
from optihedge.market.snapshot import Market

_FEW = 5  # quotes from which a column is judged
_SAME = 0.9  # of the quotes, that no new night leaves as they were
_UNIT = 20.0  # times that the median volume may change in a night
_BASIS = 0.05  # that an underlying may move unlike its options' forwards, in a day
_LARGE = 0.25  # of the price: no dividend
_ACROSS = 0.02  # of the price, that a book and a quote of one moment may cross
_PLAIN = ("index", "spot", "equity")


def check_whole(before: Market, night: Night, days: float, found: Findings) -> None:
    """Tonight's quotes and history as whole files against the night before, `days` ago."""
    table = night.quotes[night.quotes.index.isin(before.names)]
    _copied(before.quotes.loc[table.index], table, found)
    _volumes(before.quotes.loc[table.index], table, found)
    _basis(before, table, np.sqrt(days), found)
    _clock(before, night, found)


def _copied(old: pd.DataFrame, table: pd.DataFrame, found: Findings) -> None:
    """Quotes that are the very ones of the night before; bids that stand in the column of asks too."""
    bid, ask = numbers(table, "bid"), numbers(table, "ask")
    both = (bid.notna() & ask.notna() & old["bid"].notna() & old["ask"].notna()).to_numpy()
    same = ((bid == old["bid"]) & (ask == old["ask"]))[both]
    if len(same) >= _FEW and same.mean() > _SAME:
        what = f"{int(same.sum())} of {len(same)} quotes are those of the night before to the last digit"
        found.add("quotes.csv", 0, "", what, "last night's file was copied, or nothing traded; bring tonight's")
    flat, was = (bid == ask)[both], (old["bid"] == old["ask"])[both]
    if flat.sum() >= _FEW and flat.mean() > 0.5 and was.mean() < 0.1:
        what = (
            f"{int(flat.sum())} of {len(flat)} quotes have one price as bid and ask, {int(was.sum())} the night before"
        )
        found.add("quotes.csv", 0, "", what, "one column was copied into the other; bring both sides")


def _volumes(old: pd.DataFrame, table: pd.DataFrame, found: Findings) -> None:
    now, was = numbers(table, "volume"), old["volume"]
    ratio = (now / was)[(now > 0) & (was > 0)]
    if len(ratio) >= _FEW and abs(np.log(ratio.median())) > np.log(_UNIT):
        what = f"volumes are {ratio.median():.4g} times those of the night before, in the median of {len(ratio)}"
        found.add("quotes.csv", 0, "", what, "the column is in another unit (lots, money, thousands?); convert it")


def _basis(before: Market, table: pd.DataFrame, wider: float, found: Findings) -> None:
    """An underlying's own price that moved unlike the forwards of its options."""
    terms = before.instruments.loc[table.index]
    forward, old = numbers(table, "underlying_price"), before.quotes.loc[table.index, "underlying_price"]
    price = numbers(table, "mark").fillna((numbers(table, "bid") + numbers(table, "ask")) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.log(forward / old)[terms["strike"].notna()]
        own = np.log(price / before.price.reindex(table.index))[terms["type"].isin(_PLAIN)]
    of = moved.groupby(terms["underlying"].reindex(moved.index)).median()
    apart = own - of.reindex(terms["underlying"].reindex(own.index)).to_numpy()
    for label in apart.index[apart.abs() > _BASIS * wider]:
        what = f"its price moved by {np.expm1(own[label]):+.1%}, its options' forwards by {-apart[label]:+.1%} more"
        found.add(
            "quotes.csv", int(table["row"][label]), str(label), what, "one of them is stale or in error; renew it"
        )


def _clock(before: Market, night: Night, found: Findings) -> None:
    """A history whose times are not those of the night before, or that is gone."""
    if "time" not in night.history.columns or before.history.empty:
        return
    if night.levels is None or night.history.empty:
        what = f"it has no row, the night before it had {len(before.history)}"
        found.add("history.csv", 0, "", what, "bring the levels back")
        return
    index = night.levels.index
    known = before.history.index
    known = known[(known >= index[0] - pd.Timedelta("1D")) & (known <= index[-1])]
    gone = ~known.isin(index)
    if len(known) >= 2 * _FEW and gone.mean() > 0.5:
        what = f"{int(gone.sum())} of {len(known)} times of the night before are not there, {known[gone][-1]} the last"
        found.add(
            "history.csv", int(night.history["row"].iloc[0]), "", what, "another zone or close? write times as always"
        )


# ---- tonight's tables against each other ----------------------------------------------------------------------------


def check_across(night: Night, found: Findings) -> None:
    """Events and order books against the quotes."""
    _dividends(night, found)
    _books(night, found)


def _dividends(night: Night, found: Findings) -> None:
    """Dividends of a size that none has."""
    table = night.events.set_index(texts(night.events, "instrument"))
    quoted = night.quotes[~night.quotes.index.duplicated()]
    mid = numbers(quoted, "mark").fillna((numbers(quoted, "bid") + numbers(quoted, "ask")) / 2).reindex(table.index)
    money = texts(night.instruments, "currency").reindex(table.index).fillna("")
    value = numbers(table, "value")
    large = (value > _LARGE * mid) & texts(table, "kind").eq("dividend") & (texts(table, "money") == money)
    found.where(large, "events.csv", table, "a dividend of {0:g} on a price of {1:g}",
                "write it per share, in the money that it names; cents, or the whole payment?", value, mid)  # fmt: skip


def _books(night: Night, found: Findings) -> None:
    """Order books that lie across the quote: of another moment or unit."""
    if night.depth.empty:
        return
    side, price = texts(night.depth, "side"), numbers(night.depth, "price")
    label = texts(night.depth, "instrument")
    bid, ask = price[side == "bid"].groupby(label).max(), price[side == "ask"].groupby(label).min()
    quoted = night.quotes[~night.quotes.index.duplicated()]
    plain = quoted.index[~texts(night.instruments, "type").reindex(quoted.index).fillna("").str.endswith("option")]
    above = bid.reindex(plain) > (1 + _ACROSS) * numbers(quoted, "ask").reindex(plain)
    below = ask.reindex(plain) < (1 - _ACROSS) * numbers(quoted, "bid").reindex(plain)
    for name in plain[above | below]:
        best, other = (bid, "ask") if above[name] else (ask, "bid")
        row = int(night.depth["row"][label == name].iloc[0])
        what = f"its order book is at {best[name]:g}, its quoted {other} at {float(numbers(quoted, other)[name]):g}"
        found.add("depth.csv", row, str(name), what, "the book is of another moment or unit; renew it, or leave it out")
