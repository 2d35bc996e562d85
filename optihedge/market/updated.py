"""A market brought up to fresh messages: what they quote as they quote it, all else moved with its underlying."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from optihedge.market.importers.imported import PARTS, Imported
from optihedge.market.importers.instant import quotes_at, uncrossed
from optihedge.market.moved import moved
from optihedge.market.snapshot import Market

_FIRST = ("index", "spot", "equity", "perpetual", "inverse_perpetual", "future", "inverse_future")
_DAY = pd.Timedelta("1D")


def updated(market: Market, found: Imported) -> Market:
    """The market at the time of the latest message that quotes one of its contracts; the market itself without any.

    What is quoted takes the fresh quote, part by part; a mark that is older than its quote goes. Every other contract
    moves by its revaluation (`moved`) with the spot that the fresh quotes of its underlying imply (its index's, else a
    share's or coin's, else the perpetual's, else the nearest future's) and with the time that passed. Terms, history
    and drivers stay; contracts that the market does not know are left out.
    """
    rows = found.quotes[found.quotes["instrument"].isin(market.names) & (found.quotes["time"] > market.as_of)]
    if rows.empty:
        return market
    as_of = rows["time"].max()
    fresh = quotes_at(rows, None).set_index("instrument")
    shock = {f"spot:{name}": move for name, move in _spot_moves(market, fresh).items()}
    after = moved(market, {**shock, "days": (as_of - market.as_of) / _DAY})
    fresh = fresh[fresh.index.isin(after.names)]
    quotes = _overlaid(after.quotes, fresh, rows)
    quotes["time"] = quotes["time"].clip(upper=as_of)
    depth = found.depth[found.depth["instrument"].isin(after.names)][["instrument", "side", "price", "size"]]
    crossed: list[tuple[str, str]] = []
    quotes = uncrossed(quotes.reset_index(), crossed).set_index("instrument")
    depth = depth[~depth["instrument"].isin([what.removeprefix("bid and ask of ") for what, _ in crossed])]
    return replace(after, quotes=quotes, depth=depth.reset_index(drop=True) if len(depth) else None, as_of=as_of)


def _spot_moves(market: Market, fresh: pd.DataFrame) -> pd.Series:
    """Return of each underlying that the fresh quotes imply."""
    price = fresh["mark"].fillna((fresh["bid"] + fresh["ask"]) / 2)
    terms = market.instruments.loc[fresh.index]
    table = pd.DataFrame({
        "underlying": terms["underlying"], "move": price / market.price.reindex(fresh.index) - 1,
        "rank": terms["type"].map({name: rank for rank, name in enumerate(_FIRST)}), "expiry": terms["expiry"],
    })  # fmt: skip
    table = table[np.isfinite(table["move"]) & table["rank"].notna()].sort_values(["rank", "expiry"], kind="stable")
    return table.drop_duplicates("underlying").set_index("underlying")["move"]


def _overlaid(quotes: pd.DataFrame, fresh: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Quotes with the parts that fresh rows speak of; a quote without its mark's word takes its mid as mark."""
    quotes = quotes.copy()
    for part, fields in PARTS.items():
        spoken = rows["instrument"][rows["part"] == part].unique()
        names = fresh.index[fresh.index.isin(spoken)]
        for name in fields:
            if name in quotes.columns:
                quotes.loc[names, name] = fresh.loc[names, name].astype(float)
    sided = fresh.index[fresh[["bid", "ask"]].notna().all(axis=1) & fresh["mark"].isna()]
    quotes.loc[sided, "mark"] = np.nan
    quotes.loc[fresh.index, "time"] = fresh["time"]
    return quotes
