"""Rolls: legs that expire before the risk they hedge, what to roll them into, and what that is expected to cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market

_OPEN = "open-ended"


def risk_ends(market: Market, book: pd.Series) -> pd.Series:
    """By underlying, when the risk of a book (contracts by instrument) ends: its last expiry; NaT where open-ended.

    Stocks, spot, coins and perpetuals have no expiry: what they bring to an underlying does not end.
    """
    held = book.index[book != 0]
    table = market.instruments.loc[held]
    delta = pd.Series(market.sensitivities.delta, market.names).reindex(held)
    open_ended = table.loc[table["expiry"].isna() & (delta != 0), "underlying"].unique()
    last = table.groupby("underlying")["expiry"].max()
    return last.mask(last.index.isin(open_ended)).rename("risk_ends")


def short_lived(market: Market, book: pd.Series, legs: pd.Index | list[str]) -> pd.Index:
    """Those of the legs that expire before the dated risk of the book on their underlying."""
    table = market.instruments.loc[pd.Index(legs)]
    ends = risk_ends(market, book).reindex(table["underlying"]).set_axis(table.index)
    return table.index[(table["expiry"] < ends).to_numpy(dtype=bool)]


def roll_plan(market: Market, book: pd.Series, trades: pd.Series) -> pd.DataFrame:
    """One row per traded leg that expires before the book's risk: what to roll into, when, how many, at what cost.

    quantity   contracts held of the leg after trading
    into       the contract of the same type (option: same right, nearest strike) with the next expiry; '' where none
    roll       contracts of it that keep the leg's delta (an option: as many)
    cost       half spreads and fees of closing the one and opening the other at today's quotes, base currency
    risk_ends  UTC instant, or 'open-ended'
    """
    after = book.add(trades, fill_value=0.0)
    table, ends = market.instruments, risk_ends(market, book)
    traded = trades.index[trades != 0]
    legs = [leg for leg in traded if pd.notna(table.at[leg, "expiry"]) and after[leg] != 0]
    rows = {}
    for leg in legs:
        end = ends.get(table.at[leg, "underlying"], pd.NaT)
        if pd.notna(end) and table.at[leg, "expiry"] >= end:
            continue
        if pd.isna(end) and table.at[leg, "underlying"] not in ends.index:
            continue
        into = next_leg(market, leg)
        quantity = float(after[leg])
        rolled = quantity * _ratio(market, leg, into) if into else 0.0
        rows[leg] = {
            "quantity": quantity,
            "expires": table.at[leg, "expiry"],
            "risk_ends": _OPEN if pd.isna(end) else end,
            "into": into,
            "roll": rolled,
            "cost": _one_way(market, leg, -quantity) + (_one_way(market, into, rolled) if into else 0.0),
        }
    columns = ["quantity", "expires", "risk_ends", "into", "roll", "cost"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("leg")


def next_leg(market: Market, leg: str) -> str:
    """The contract to roll a leg into: its type and underlying, the next expiry; '' where the market lists none."""
    if leg not in market.names:
        raise DataError(f"rolls: {leg} is not in the market")
    table = market.instruments
    own = table.loc[leg]
    same = table[(table["type"] == own["type"]) & (table["underlying"] == own["underlying"])]
    later = same[(same["right"] == own["right"]) & (same["expiry"] > own["expiry"])]
    quoted = market.trade_cost.loc[later.index].notna().any(axis=1)
    later = later[quoted]
    if later.empty:
        return ""
    following = later[later["expiry"] == later["expiry"].min()]
    if pd.isna(own["strike"]):
        return str(following.index[0])
    return str((following["strike"] - own["strike"]).abs().idxmin())


def _ratio(market: Market, leg: str, into: str) -> float:
    option = types_of(market.instruments.loc[[leg]])["option"][0]
    delta = pd.Series(market.sensitivities.delta, market.names)
    return 1.0 if option or delta[into] == 0 else float(delta[leg] / delta[into])


def _one_way(market: Market, leg: str, trade: float) -> float:
    side = market.trade_cost.loc[leg, "buy" if trade > 0 else "sell"]
    return float(np.abs(trade) * (np.nan_to_num(side) + market.fees[leg]))
