"""Quotes at the door: two-sided, one-sided or only marked; each with its own time and forward."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import (
    Column,
    Schema,
    absent_columns,
    check_columns,
    check_frame,
    completed,
    label_index,
    nearest,
    refuse,
    row_of,
    shown,
    table_of,
)
from optihedge.market.instruments import types_of
from optihedge.market.levels import close_times

QUOTES: Schema = {
    "bid": Column("number", required=True, empty=True),
    "ask": Column("number", required=True, empty=True),
    "time": Column("time"),
    "underlying_price": Column("number", above=0.0),
    "bid_size": Column("number", least=0.0),
    "ask_size": Column("number", least=0.0),
    "volume": Column("number", least=0.0),
    "mark": Column("number"),
    "vol": Column("number", least=0.0),
    "rate": Column("number"),
    "funding_rate": Column("number"),
    "funding_hours": Column("number", above=0.0),
    "borrow_rate": Column("number"),
}
"""Fields of a quote; all but bid and ask may be left out, and every field may be empty.

bid, ask, mark     price units of the instrument (coin for an inverse option)
underlying_price   of an option its forward, the price of the future of its expiry, not the index (it goes before the
                   instrument's `forward`; where both are empty S e^(rT) is taken); the index of a future or perpetual
bid_size, ask_size, volume   contracts (volume: per day)
vol, rate          of the option: decimal; decimal per year, continuous
funding_rate       per interval of funding_hours, which goes with it, positive: long pays
borrow_rate        decimal per year, simple
"""

_PERCENT = 20.0  # a vol of 2000 % is one in percent
_MARK_SPREADS, _MARK_SHARE = 5.0, 0.05  # a mark may lie this many spreads, or this share of the price, beyond its quote

DEPTH: Schema = {
    "instrument": Column("text", required=True),
    "side": Column("text", required=True, choices=("bid", "ask")),
    "price": Column("number", required=True),
    "size": Column("number", required=True, above=0.0),
    "time": Column("time"),
}


def _refuse_inverted(bid: np.ndarray, ask: np.ndarray, most: float, labels: pd.Index, source: str) -> None:
    """Raise DataError for the first bid further above its ask than a share `most` of it."""
    crossed = bid > ask + most * np.abs(ask)
    rows = tuple(np.flatnonzero(crossed).tolist())
    if rows:
        each = tuple(
            f"{row_of(source, row)}: ask of {labels[row]} is {ask[row]:g}, below its bid {bid[row]:g}; "
            "drop the row or set max_crossed" for row in rows
        )  # fmt: skip
        raise DataError(each[0], table=source, rows=rows, each=each, instruments=tuple(map(str, labels[crossed])))


def _refuse_unknown(labels: pd.Index, position: np.ndarray, names: pd.Index, source: str) -> None:
    """Raise DataError for quotes of no instrument; where all are, the table is another market's."""
    unknown = np.flatnonzero(position < 0)
    if not unknown.size:
        return
    each = tuple(
        f"{row_of(source, row)}: {shown(labels[row])} is no known instrument{nearest(labels[row], names)}; add it to "
        "instruments" for row in unknown.tolist()
    )  # fmt: skip
    if len(unknown) == len(labels):
        raise DataError(f"{each[0]} (so are all others of {source})")
    raise DataError(each[0], table=source, rows=tuple(unknown.tolist()), each=each)


def check_quotes(
    frame: pd.DataFrame,
    instruments: pd.DataFrame,
    as_of: pd.Timestamp,
    *,
    on_missing: str,
    max_crossed: float,
    max_age: pd.Timedelta | None,
) -> pd.DataFrame:
    """The quotes in the instruments' order, NaN where a side or field is absent. Raises DataError.

    A zero bid or ask (of a price that cannot be negative) is an absent side. max_crossed: how far the bid may lie
    above the ask, as a fraction of the price. A mark far outside its own bid and ask is refused. An old quote is
    refused, or loses both sides under on_missing "freeze".
    """
    source = frame.attrs.get("source", "quotes")
    labels = label_index(frame, "instrument", source)
    position = instruments.index.get_indexer(labels)
    _refuse_unknown(labels, position, instruments.index, source)
    said = check_columns(frame, QUOTES, source, others=None, labels="instrument")
    every = said | absent_columns(said, QUOTES, len(labels))
    kinds = {name: values[position] for name, values in types_of(instruments).items()}
    for name in ("bid", "ask", "mark"):
        refuse((every[name] < 0) & ~kinds["signed"], source, f"{name}{{of}} is {{value}}, below zero",
               every[name], "mend it; only futures may have negative prices", labels)  # fmt: skip
    bid, ask = (np.where(kinds["signed"] | (every[side] != 0), every[side], np.nan) for side in ("bid", "ask"))
    refuse(every["vol"] >= _PERCENT, source, "vol{of} is {value}, in percent", every["vol"],
           "write decimals such as 0.2", labels)  # fmt: skip
    funding, time = every["funding_rate"], every["time"]
    hours = np.where(funding == 0, 1.0, every["funding_hours"])  # no rate, however often
    refuse(~np.isnan(funding) & np.isnan(hours), source, "funding_hours{of} is empty, yet its funding_rate is {value}",
           funding, "give the hours that the rate is paid for, such as 8", labels)  # fmt: skip
    refuse(time > as_of, source, f"time{{of}} {{value}} is after as_of {as_of}", time, "set as_of no earlier", labels)
    _refuse_inverted(bid, ask, max_crossed, labels, source)
    refuse(_astray(every["mark"], bid, ask), source, "mark{of} is {value}, far outside its own bid and ask",
           every["mark"], "mend the mark, or leave it empty for the mid", labels)  # fmt: skip
    mark = _first_known(every["mark"], (bid + ask) / 2, bid, np.where(kinds["option"], np.nan, ask))
    if max_age is not None:
        old = as_of - time > max_age
        if on_missing == "error":
            refuse(old, source, f"time{{of}} {{value}} is older than max_age {max_age} at as_of {as_of}",
                   time, "renew the quote, raise max_age or set on_missing = 'freeze'", labels)  # fmt: skip
        bid, ask = (np.where(old, np.nan, side) for side in (bid, ask))
    every |= {"bid": bid, "ask": ask, "mark": mark, "funding_hours": hours}
    return _ordered({name: every[name] for name in QUOTES}, position, instruments.index, as_of, source)


def _first_known(*prices: np.ndarray) -> np.ndarray:
    """The first of these that is there; an option without a bid is not worth its ask."""
    found = prices[0]
    for price in prices[1:]:
        found = np.where(np.isnan(found), price, found)
    return found


def _ordered(
    quotes: dict[str, np.ndarray], position: np.ndarray, names: pd.Index, as_of: pd.Timestamp, source: str
) -> pd.DataFrame:
    """Quotes at these positions among the names, NaN for others; a quote without a time is of as_of."""
    every = {}
    for name, values in quotes.items():
        if name == "time":
            seen = np.full(len(names), as_of.as_unit("ns").asm8)
            told = pd.DatetimeIndex(values)
            seen[position[told.notna()]] = told[told.notna()].tz_localize(None).asi8.view("M8[ns]")
            every[name] = pd.DatetimeIndex(seen).tz_localize("UTC")
        else:
            every[name] = np.full(len(names), np.nan)
            every[name][position] = values
    return table_of(every, names, source)


def _astray(mark: np.ndarray, bid: np.ndarray, ask: np.ndarray) -> np.ndarray:
    """Marks that lie beyond their bid and ask by more than _MARK_SPREADS spreads and _MARK_SHARE of the price."""
    low, high = np.minimum(bid, ask), np.maximum(bid, ask)
    beyond = np.maximum(low - mark, mark - high)
    allowed = np.maximum(_MARK_SPREADS * (high - low), _MARK_SHARE * np.maximum(np.abs(low), np.abs(high)))
    return beyond > allowed


def latest_time(quotes: pd.DataFrame, history: pd.DataFrame | None, dates: bool) -> pd.Timestamp:
    """The latest instant seen in quotes and history: when the market was seen. Raises DataError where none is given."""
    seen = []
    if history is not None and len(history):
        seen.append(close_times(history.index[-1:], "")[0] if dates else history.index[-1])
    if "time" in quotes.columns and quotes["time"].notna().any():
        source = quotes.attrs.get("source", "quotes")
        seen.append(check_columns(quotes[["time"]], {"time": QUOTES["time"]}, source)["time"].max())
    if not seen:
        raise DataError("as_of is not given and no quote has a time; say when this market was seen")
    return max(seen)


def prices_of(quotes: pd.DataFrame, instruments: pd.DataFrame, proxies: np.ndarray | None) -> np.ndarray:
    """Reference prices: the mark, else the mid, else the one side; cash is 1; NaN for an option without (one with an
    ask alone is): its vol will say, and for a pool. Raises DataError for another without, and for cash at another
    price.

    proxies   under on_missing "freeze" the last known level of each instrument's own price driver, NaN without: it
              stands in for a missing price, and the contract cannot be traded
    """
    price = quotes["mark"].to_numpy(dtype=float, copy=True)
    kinds = types_of(instruments)
    cash = (instruments["type"] == "cash").to_numpy()
    price[cash & np.isnan(price)] = 1.0
    traded = cash & ~np.isclose(price, 1.0, rtol=1e-6)
    if traded.any():
        name, money = instruments.index[traded][0], instruments["currency"][traded].iloc[0]
        raise DataError(
            f"quotes: cash {name} is quoted at {price[traded][0]:g}, but is worth 1 of its own money; leave its quote "
            f"out and quote the pair (an instrument of type spot, underlying {money}, with its currency)",
            instruments=(str(name),),
        )
    absent = np.isnan(price)
    if proxies is not None:
        price = np.where(absent, proxies, price)
        absent = np.isnan(price)
    labels = instruments.index
    lost = absent & ~kinds["option"] & ~kinds["modelled"]
    if lost.any():
        proxy = "" if proxies is not None else ", or set on_missing = 'freeze' to hold it at its last known level"
        _refuse_unpriced(labels[lost], f"{{}} has neither bid, ask nor mark; give its mark{proxy}")
    nothing = (price == 0) & ~kinds["signed"] & ~kinds["option"]
    if nothing.any():
        _refuse_unpriced(labels[nothing], "the price of {} is 0; give its price or drop it")
    return price


def _refuse_unpriced(names: pd.Index, text: str) -> NoReturn:
    each = tuple(f"quotes: {text.format(name)}" for name in names)
    raise DataError(each[0], instruments=tuple(map(str, names)), each=each)


def check_depth(
    frame: pd.DataFrame,
    names: pd.Index,
    as_of: pd.Timestamp | None = None,
    *,
    max_crossed: float = 0.0,
    max_age: pd.Timedelta | None = None,
    on_missing: str = "error",
) -> pd.DataFrame:
    """The order book: instrument, side, price, size (contracts), time of the level, best price first.

    Raises DataError for a level after as_of, and for a book whose best bid is above its best ask: it is indicative, as
    before an opening auction, or two books in one. A level older than max_age is refused, or left out under "freeze".
    """
    source = frame.attrs.get("source", "depth")
    depth = completed(check_frame(frame, DEPTH, source), DEPTH)[list(DEPTH)]
    unknown = ~depth["instrument"].isin(names).to_numpy()
    refuse(unknown, source, "instrument {value} is not known", depth["instrument"], "add it to instruments")
    if as_of is not None:
        late = (depth["time"] > as_of).to_numpy()
        refuse(late, source, f"time {{value}} is after as_of {as_of}", depth["time"], "set as_of no earlier")
        old = (as_of - depth["time"] > max_age).to_numpy() if max_age is not None else np.zeros(len(depth), bool)
        if on_missing == "error":
            refuse(old, source, f"time {{value}} is older than max_age {max_age} at as_of {as_of}", depth["time"],
                   "renew the order book, raise max_age or set on_missing = 'freeze'")  # fmt: skip
        depth = depth[~old]
    _refuse_crossed(depth, source, max_crossed)
    best_first = depth["price"].where(depth["side"] == "ask", -depth["price"])
    order = pd.DataFrame({"i": names.get_indexer(depth["instrument"]), "s": depth["side"], "p": best_first})
    return depth.loc[order.sort_values(["i", "s", "p"], kind="stable").index].reset_index(drop=True)


def _refuse_crossed(depth: pd.DataFrame, source: str, max_crossed: float) -> None:
    bid = depth["price"][depth["side"] == "bid"].groupby(depth["instrument"]).max()
    ask = depth["price"][depth["side"] == "ask"].groupby(depth["instrument"]).min().reindex(bid.index)
    crossed = bid > ask + max_crossed * ask.abs()
    if crossed.any():
        name = str(crossed.idxmax())
        raise DataError(
            f"{source}: the order book of {name} is crossed, best bid {bid[name]:g} above best ask {ask[name]:g}; "
            "leave out a book that does not trade yet, or set max_crossed",
            table=source, instruments=tuple(map(str, crossed.index[crossed])),
        )  # fmt: skip
