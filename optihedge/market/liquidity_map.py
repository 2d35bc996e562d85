"""What trading costs across a market: options by expiry and place of their strike, all else by underlying and venue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr

from optihedge.market.contracts import Contracts

if TYPE_CHECKING:
    from optihedge.market.per_contract import PerContract

_BUCKETS = (0.1, 0.35, 0.65, 0.9)  # of a call's forward delta
PLACES = ("put wing", "25 delta put", "money", "25 delta call", "call wing")  # of a strike, from low to high
SAID = {"options": "half spread and fee, vol points", "others": "half spread and fee, basis points of notional"}


def liquidity_map(market: PerContract) -> dict[str, pd.DataFrame]:
    """One-way cost of the median contract of each cell: half of the quoted spread, and the fee.

    options  in vol points (cost over vega): expiry, with its underlying where there are several, x place of the strike
    others   in basis points of notional: underlying x venue, dearest first

    NaN where a cell holds nothing that is quoted on both sides; a map of nothing is left out.

    >>> import pandas as pd
    >>> import optihedge as oh
    >>> table = pd.DataFrame({"instrument": ["A", "B"], "type": "equity", "underlying": ["A", "B"], "venue": "XNYS"})
    >>> quotes = pd.DataFrame({"instrument": ["A", "B"], "bid": [99.9, 49.9], "ask": [100.1, 50.1]})
    >>> market = oh.Market(table, quotes, base_currency="USD", as_of="2026-01-20T16:00:00Z")
    >>> market.liquidity_map()["others"].round(6).to_dict()
    {'XNYS': {'B': 20.0, 'A': 10.0}}
    """
    table, option = market.instruments, market.contracts.option
    cost = market.trade_cost.mean(axis=1, skipna=False).to_numpy() + market.fees.to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        points = cost / np.abs(market.exposures["vega"].to_numpy())
        share = 1e4 * cost / np.abs(market.notional.to_numpy())
    found = {}
    for name, chosen, values in (("options", option, points), ("others", ~option, share)):
        kept = np.flatnonzero(chosen & np.isfinite(values))
        if not len(kept):
            continue
        part = table.iloc[kept]
        rows, columns = (
            (_expiries(part), strike_place(market.contracts.take(kept))) if name == "options"
            else (part["underlying"].to_numpy(), part["venue"].fillna("").to_numpy())
        )  # fmt: skip
        cells = pd.Series(values[kept]).groupby([rows, columns]).median().unstack()
        found[name] = _ordered(cells, name).rename_axis(index=None, columns=None)
    return found


def strike_place(c: Contracts) -> np.ndarray:
    """Which of `PLACES` each option's strike is, by the forward delta of its call."""
    deviation = c.vol * np.sqrt(c.years)
    with np.errstate(divide="ignore", invalid="ignore"):
        delta = ndtr(np.log(c.forward / c.strike) / deviation + deviation / 2)
    return np.array(PLACES[::-1])[np.digitize(np.nan_to_num(delta), _BUCKETS)]


def _expiries(options: pd.DataFrame) -> np.ndarray:
    day = options["expiry"].dt.strftime("%Y-%m-%d").to_numpy()
    several = options["underlying"].nunique() > 1
    return options["underlying"].to_numpy() + " " + day if several else day


def _ordered(cells: pd.DataFrame, name: str) -> pd.DataFrame:
    if name == "options":
        return cells[[place for place in PLACES if place in cells.columns]]
    return cells.loc[cells.max(axis=1).sort_values(ascending=False, kind="stable").index]
