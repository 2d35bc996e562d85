"""What the market shows and what lies beyond it: walking an order book, then the square root law of impact."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from optihedge.frames import Column, check_frame
from optihedge.market.exposures import price_value
from optihedge.market.snapshot import Market
from optihedge.readonly import numbers

Array = np.ndarray
Hinges = tuple[Array, Array, Array, Array]
IMPACT = 2.0 / 3.0  # a day's whole volume moves the price by one daily deviation: 2/3 of it on average (see impact_law)
_MOST_TURNED = 100.0  # times the open interest in a day: a volume beyond is no count of contracts
_PARTS = 2.0 ** np.arange(-12, 3)  # of the daily volume: where the law is exact; between them its chords


def places(market: Market, names: pd.Index) -> Array:
    """Where these instruments are in the market's order, -1 where it does not list one."""
    return np.arange(len(names)) if names is market.names else market.names.get_indexer(names)


def depth_hinges(market: Market, names: pd.Index) -> Hinges:
    """Kinks of walking the order book beyond its best price: column into `names`, side +-1, beyond (contracts), slope.

    A trade costs slope (base currency per contract) more on all it takes beyond each kink; beyond the last level it
    pays that level's price. Empty without a book.
    """
    book = _sorted_depth(market, names)
    if book is None:
        none = np.zeros(0)
        return none.astype(int), none, none, none
    column, side, price, size, first = book
    running = np.cumsum(size)
    start = np.maximum.accumulate(np.where(first, running - size, 0.0))
    value = price_value(market.contracts, price, market.names.get_indexer(names)[column])
    step = np.where(first, 0.0, side * np.diff(value, prepend=value[:1]))
    later = ~first
    return column[later], side[later], (running - size - start)[later], step[later]


def displayed(market: Market, names: pd.Index) -> Array:
    """Contracts shown on the bid and on the ask side, N x 2: of all levels of the order book where a contract has one,
    else the quoted size; NaN where nothing is known."""
    at = places(market, names)
    shown = np.stack([numbers(market.quotes, side)[at] for side in ("bid_size", "ask_size")], axis=1)
    book = _sorted_depth(market, names)
    if book is not None:
        column, side, _, size, _ = book
        total = np.bincount(2 * column + (side > 0), size, 2 * len(names)).reshape(-1, 2)
        seen = np.unique(column)
        shown[seen] = total[seen]
    return shown


def usable_volume(market: Market, names: pd.Index) -> Array:
    """Daily volume of contracts (N); NaN where none is quoted, or one beyond a hundred times the open interest, where
    that is known (a column `open_interest` of the instruments): it is money, or another's, and is not used."""
    table = market.instruments
    volume = numbers(market.quotes, "volume")[places(market, names)]
    if "open_interest" not in table.columns:
        return volume
    interest = pd.to_numeric(table.loc[names, "open_interest"], errors="coerce").to_numpy(dtype=float)
    return np.where((interest > 0) & (volume > _MOST_TURNED * interest), np.nan, volume)


def impact_law(part: Array) -> Array:
    """part^(3/2), interpolated between powers of two from 2^-12 to 4 and beyond: cost of trading part of a daily volume
    at coefficient 1, in daily deviations of a daily volume.

    The square root law (Toth et al. 2011; Donier and Bonart 2015): a trade that has reached part q of the daily volume
    has moved the price by q^(1/2) daily deviations. Its cost is the integral, 2/3 q^(3/2).
    """
    kinks, slopes = _chords()
    return np.maximum(np.asarray(part, dtype=float)[..., None] - kinks, 0.0) @ slopes


def beyond_hinges(
    market: Market, names: pd.Index, deviation: Array, coefficient: float | Mapping[str, float] = IMPACT
) -> Hinges:
    """Impact of what is traded beyond the displayed size y: coefficient x deviation x volume x impact_law(y / volume).

    deviation     N, base currency per contract: what one contract makes or loses in a day, one standard deviation
    coefficient   a number, or instrument type -> number; a type left out has IMPACT

    Hinges as `depth_hinges`, added to them: the price goes on from the last one shown. Contracts whose displayed size
    or whose daily volume is not known, or 0 a day, have none.
    """
    shown, volume = displayed(market, names), numbers(market.quotes, "volume")[places(market, names)]
    strength = coefficient_by_contract(market, names, coefficient) * deviation
    known = np.isfinite(shown) & (volume > 0)[:, None] & (strength > 0)[:, None]
    column, side = np.nonzero(known)
    kinks, slopes = _chords()
    beyond = shown[column, side][:, None] + kinks * volume[column][:, None]
    slope = strength[column][:, None] * slopes
    count = len(kinks)
    return np.repeat(column, count), np.repeat(2.0 * side - 1.0, count), beyond.ravel(), slope.ravel()


def coefficient_by_contract(market: Market, names: pd.Index, coefficient: float | Mapping[str, float]) -> Array:
    """The impact coefficient of each contract (N) from one number or instrument type -> number."""
    if not isinstance(coefficient, Mapping):
        return np.full(len(names), float(coefficient))
    return market.instruments.loc[names, "type"].map(coefficient).fillna(IMPACT).to_numpy(dtype=float)


def calibrated_impact(fills: pd.DataFrame, prior: float = IMPACT, weight: float = 20.0) -> pd.Series:
    """Impact coefficient by instrument type from a desk's own fills: that at which the law's total is what was paid.

    fills    a row an order: type; excess and volume, contracts beyond the displayed size and a day; deviation, base
             currency per contract and day; cost, what the excess paid beyond the last price shown, base currency
    weight   orders that the prior counts as, so that a few fills move it little

    Raises DataError for a missing column or an order whose volume or deviation is not above 0.

    >>> import pandas as pd
    >>> row = {"type": "future", "excess": 1e4 / 64, "volume": 1e4, "deviation": 64.0, "cost": 625.0}
    >>> calibrated_impact(pd.DataFrame([row] * 60)).round(3).to_dict()
    {'future': 0.542}
    """
    columns = dict(type=Column("text", required=True), excess=Column("number", required=True, least=0.0))
    columns |= {name: Column("number", required=True, above=0.0) for name in ("volume", "deviation")}
    fills = check_frame(fills, columns | dict(cost=Column("number", required=True)), "fills")
    law = fills["deviation"] * fills["volume"] * impact_law((fills["excess"] / fills["volume"]).to_numpy())
    by = pd.DataFrame({"paid": fills["cost"], "law": law, "count": 1.0}).groupby(fills["type"].astype(str)).sum()
    own = by["paid"].clip(lower=0.0) / by["law"].where(by["law"] > 0)
    share = (by["count"] / (by["count"] + weight)).where(own.notna(), 0.0)
    return (share * own.fillna(prior) + (1 - share) * prior).rename("impact").rename_axis("type")


def odd_books(market: Market, names: pd.Index) -> pd.Index:
    """Those of the names whose order book starts further from their quote than a quoted spread: one of them is old."""
    book = _sorted_depth(market, names)
    if book is None:
        return names[:0]
    column, side, price, _, first = book
    quotes = market.quotes.loc[names, ["bid", "ask"]].to_numpy(dtype=float)[column[first]]
    far = np.abs(price[first] - np.where(side[first] > 0, quotes[:, 1], quotes[:, 0]))
    return names[np.unique(column[first][far > np.abs(quotes[:, 1] - quotes[:, 0]) * (1 + 1e-9)])]


def _chords() -> tuple[Array, Array]:
    """Kinks (parts of a daily volume) and steps of slope of the chords of q^(3/2); beyond the last, the last chord."""
    ends = np.concatenate([[0.0], _PARTS])
    slopes = np.diff(ends**1.5) / np.diff(ends)
    return ends[:-1], np.diff(slopes, prepend=0.0)


def _sorted_depth(market: Market, names: pd.Index) -> tuple[Array, Array, Array, Array, Array] | None:
    """Column, side, price, size of each level, best first by side; whether a level is the best of its side."""
    if market.depth is None:
        return None
    column = names.get_indexer(market.depth["instrument"])
    depth, column = market.depth[column >= 0], column[column >= 0]
    side = np.where(depth["side"] == "ask", 1, -1)
    price, size = depth["price"].to_numpy(dtype=float), depth["size"].to_numpy(dtype=float)
    order = np.lexsort((side * price, side, column))
    column, side, price, size = column[order], side[order], price[order], size[order]
    first = np.r_[True, (column[1:] != column[:-1]) | (side[1:] != side[:-1])][: len(column)]
    return column, side, price, size, first
