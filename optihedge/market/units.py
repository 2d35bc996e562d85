"""Figures in another unit than ours: fees in percent, coin options priced in dollars, vols in percent.

Each is told by what it implies: a fee above any market's, a price above what an option can ever pay, a vol that
reprices its mark only a hundred times larger or smaller.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from optihedge.market.families import TYPES
from optihedge.market.pricing import black, years_between

_FEE = 0.03  # of the notional: above what any venue charges; Deribit's 0.03 % written in percent
_BEYOND = 2.0  # times the most that an option can pay
_LEAST_WORTH = 0.05  # of the forward, that an option gains by exercise and must be worth a tenth of
_TIME_VALUE = 2e-4  # of the forward: below it no vol can be told


class UnitFault(NamedTuple):
    """A figure in another unit: its table (instruments, quotes), contract, column, what is wrong, and the remedy."""

    table: str
    instrument: str
    column: str
    problem: str
    remedy: str


def unit_faults(instruments: pd.DataFrame, quotes: pd.DataFrame, as_of: pd.Timestamp) -> list[UnitFault]:
    """Every figure in another unit of instruments and quotes (both by label, columns as a market's, some absent)."""
    fee = _numbers(instruments, "fee")
    found = [
        UnitFault("instruments", str(name), "fee", f"fee {fee[name]:g} is {100 * fee[name]:g} % of the notional",
                  "write a fraction: 0.0005 is 5 bp")
        for name in fee.index[fee.abs() >= _FEE]
    ]  # fmt: skip
    kind = instruments["type"].map(TYPES)
    option = np.array([getattr(k, "option", False) for k in kind], dtype=bool)
    priced = quotes.drop(columns=[name for name in quotes.columns if name in instruments.columns])
    table = instruments[option].join(priced, how="inner")
    if table.empty:
        return found
    inverse = np.array([TYPES[name].inverse for name in table["type"]], dtype=bool)
    return [*found, *_prices(table, inverse), *_vols(table, inverse, as_of)]


def _prices(table: pd.DataFrame, inverse: np.ndarray) -> list[UnitFault]:
    """Prices above what an option can pay, and marks far below what its exercise would bring."""
    forward, strike = _numbers(table, "underlying_price"), _numbers(table, "strike")
    call = (table["right"] == "C").to_numpy()
    ratio = strike / forward
    most = pd.Series(np.where(call, 1.0, ratio.fillna(np.inf)), table.index).where(
        inverse, np.where(call, forward, strike)
    )
    worth = pd.Series(np.where(call, 1 - ratio, ratio - 1), table.index).where(
        inverse, np.where(call, 1, -1) * (forward - strike)
    )
    unit = pd.Series(np.where(inverse, 1.0, forward), table.index)
    found = []
    for column in ("mark", "bid", "ask"):
        price = _numbers(table, column)
        above = (most > 0) & (price > most * _BEYOND * (2 if column == "ask" else 1))
        below = (price < worth / 10) & (price > 0) & (worth > _LEAST_WORTH * unit) & (column == "mark")
        for name in table.index[above | below]:
            far = f"more than {most[name]:g}, the most it can pay" if above[name] else (
                f"a tenth of {worth[name]:g}, what its exercise brings, or less")  # fmt: skip
            money = "coin" if inverse[table.index.get_loc(name)] else "the quote currency"
            found.append(UnitFault("quotes", str(name), column, f"{column} {price[name]:g} is {far}",
                                   f"another unit? its price is in {money}"))  # fmt: skip
    return found


def _vols(table: pd.DataFrame, inverse: np.ndarray, as_of: pd.Timestamp) -> list[UnitFault]:
    """Vols whose hundredfold or hundredth alone reprices the mark."""
    vol, forward, strike = (_numbers(table, n).to_numpy() for n in ("vol", "underlying_price", "strike"))
    middle = (_numbers(table, "bid") + _numbers(table, "ask")) / 2
    mark = _numbers(table, "mark").fillna(middle).to_numpy()
    sign = np.where(table["right"] == "C", 1.0, -1.0)
    years = np.asarray(years_between(as_of, pd.DatetimeIndex(table["expiry"])), dtype=float)
    with np.errstate(invalid="ignore"):
        good = np.flatnonzero((vol > 0) & (mark > 0) & (forward > 0) & (strike > 0) & (years > 0))
    if not good.size:
        return []
    f, k, v, t, s = forward[good], strike[good], vol[good], years[good], sign[good]
    price = mark[good] / np.where(inverse[good], 1.0, f)
    timed = price - np.maximum(s * (f - k), 0) / f
    gaps = {scale: np.abs(black(f, k, t, np.minimum(v * scale, 50), s) / f - price) for scale in (1.0, 0.01, 100.0)}
    found = []
    for scale, word in ((0.01, "percent"), (100.0, "a hundredth")):
        wrong = (gaps[1.0] > 0.5 * timed) & (gaps[scale] < 0.1 * timed) & (timed > _TIME_VALUE)
        found += [
            UnitFault("quotes", str(table.index[good[at]]), "vol", f"vol {v[at]:g} does not reprice its mark, "
                      f"{v[at] * scale:g} does: {word} for decimals", "write decimals: 0.6 is 60 %")
            for at in np.flatnonzero(wrong)
        ]  # fmt: skip
    return found


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    if name not in table.columns:
        return pd.Series(np.nan, index=table.index)
    return pd.to_numeric(table[name], errors="coerce").astype(float)
