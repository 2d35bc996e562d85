"""A market as it would be after a shock: every mark moved by its contract's revaluation, everything else as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import nearest
from optihedge.market.drivers import RETURNS
from optihedge.market.scenarios import SHOCKS, scenario_pnl
from optihedge.market.snapshot import Market

_WORDS = ("spot", "vol", "days")


def moved(market: Market, shock: Mapping[str, float]) -> Market:
    """The market after one shock: spot (return), vol (decimal), each for all or one underlying ("spot:BTC"), and days.

    Marks move by what full revaluation gives, bid and ask with them; forwards roll as scenarios roll them; the history
    is rescaled, so that its moves, and every risk learnt from them, stay. What expires within `days` is gone. Raises
    DataError for another word, and for days below 0.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> later = oh.policy.moved(market, {"spot": 0.02, "vol": 0.01})
    >>> round(float(later.price["AAPL"] / market.price["AAPL"]), 4)
    1.02
    """
    for name in shock:
        if name.partition(":")[0] not in _WORDS:
            raise DataError(
                f"moved: {name} is not among {', '.join(_WORDS)}{nearest(name, SHOCKS)}; give one of those, for all or "
                "for one underlying as spot:BTC"
            )
    days = float(shock.get("days", 0.0))
    if not days >= 0:
        raise DataError(f"moved: days is {days:g}; give 0 or more")
    as_of = market.as_of + pd.Timedelta(days=days)
    pnl = scenario_pnl(market, pd.DataFrame([dict(shock)], dtype=float)).to_numpy()[0]
    growth = _by_contract(market, shock, "spot")
    vol = _by_contract(market, shock, "vol")
    quotes, live = _quotes(market, pnl, growth, vol, days)
    quotes["time"] = np.minimum(quotes["time"] + pd.Timedelta(days=days), as_of)
    keep = market.names[live]
    table = market.instruments.loc[keep]
    table = table.assign(forward=table["forward"].where(table["forward"].isin(keep), ""))
    own: dict[str, Any] = {
        name: None if frame is None else frame.loc[keep] if name == "own_exposures" else
        frame[frame["instrument"].isin(keep)].reset_index(drop=True)
        for name, frame in (("own_exposures", market.own_exposures), ("own_loadings", market.own_loadings))
    }  # fmt: skip
    return replace(
        market, instruments=table, quotes=quotes.loc[keep], history=_history(market, shock), as_of=as_of,
        depth=None, on_missing="freeze", **own,
    )  # fmt: skip


def _by_contract(market: Market, shock: Mapping[str, float], word: str) -> np.ndarray:
    """N shocks of one word: those for all, and those for each contract's own underlying."""
    total = np.full(len(market.names), float(shock.get(word, 0.0)))
    for name, value in shock.items():
        kind, _, scope = name.partition(":")
        if kind == word and scope:
            total += value * (market.instruments["underlying"] == scope).to_numpy()
    return total


def _quotes(
    market: Market, pnl: np.ndarray, growth: np.ndarray, vol: np.ndarray, days: float
) -> tuple[pd.DataFrame, np.ndarray]:
    """Quotes after the shock, and which contracts are still live."""
    c, quotes = market.contracts, market.quotes.copy()
    live = ~(c.years * 365 <= days)
    spot = c.spot * np.where(c.constant, 1.0, 1 + growth)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(np.isfinite(c.years), np.maximum(1 - days / (365 * c.years), 0.0), 1.0)
        lean = np.where(c.option | c.future, np.log(c.forward / c.spot), 0.0)
    forward = np.where(c.option | c.future, spot * np.exp(lean * share), spot)
    fx = c.fx * np.where(c.power != 0, (1 + growth) ** c.power, 1.0)
    unit = c.multiplier * fx * np.where(c.option & c.inverse, spot, 1.0)
    averaging = c.margined & ~c.future
    price = np.where(c.future, forward, (np.where(averaging, c.price * unit, market.value.to_numpy()) + pnl) / unit)
    price = np.where(c.constant, c.price, price)
    price = np.where(c.option, np.maximum(price, 0.0), price)
    change = price - c.price
    for side in ("bid", "ask"):
        moved_side = quotes[side].to_numpy() + change
        quotes[side] = np.where(c.option, np.maximum(moved_side, 0.0), moved_side)
    quotes["mark"] = price
    index = quotes["underlying_price"].to_numpy() * np.where(c.future, 1 + growth, 1.0)
    quotes["underlying_price"] = np.where(c.option, forward, index)
    volatile = c.option | averaging
    own = np.where(averaging, c.vol, quotes["vol"].to_numpy())
    quotes["vol"] = np.where(volatile, np.maximum(own + vol, 1e-4), quotes["vol"].to_numpy())
    return quotes, live


def _history(market: Market, shock: Mapping[str, float]) -> pd.DataFrame:
    """Levels rescaled to end where the shock puts them: prices in proportion, vols by a shift."""
    history, drivers = market.history.copy(), market.drivers
    for name in history.columns:
        kind, of = drivers.at[name, "kind"], drivers.at[name, "underlying"]
        if kind in RETURNS and (kind == "price" or f"spot:{of}" in shock):
            history[name] *= 1 + (shock.get("spot", 0.0) if kind == "price" else 0.0) + shock.get(f"spot:{of}", 0.0)
        elif kind == "vol":
            history[name] = np.maximum(history[name] + shock.get("vol", 0.0) + shock.get(f"vol:{of}", 0.0), 1e-4)
    return history
