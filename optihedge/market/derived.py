"""What tonight's market says of its drivers, as a row of history: prices, bases, vols at the money, funding.

A venue's files seldom hold a past. The levels of every night, kept, become tomorrow's history.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.actions import adjusted_history
from optihedge.market.drivers import RETURNS, tenor_years
from optihedge.market.events import Event
from optihedge.market.pricing import SECONDS_PER_YEAR
from optihedge.market.snapshot import Market
from optihedge.market.valuation import underlying_drivers

Array = np.ndarray
LEVELS = ("time", "driver", "kind", "level")
FUNDING = ("time", "instrument", "rate", "hours", "paid", "payments")


def driver_rows(market: Market) -> pd.DataFrame:
    """The level of every driver that has one tonight: time, driver, kind, level.

    Prices and pairs as the market has them; a driver with a history of its own by its last row; a vol driver without
    by the chain's vol at the forward, its tenor interpolated in total variance; a basis driver by ln(F/S) of futures or
    perpetuals, else of its options' forwards, a tenor interpolated in time. One that names a venue or contract is of
    that alone.
    """
    known = market.history.notna().any().to_numpy() if len(market.history) else np.zeros(len(market.drivers), bool)
    levels = market.levels.to_numpy(copy=True)
    for row, driver in enumerate(market.drivers.itertuples()):
        if driver.kind in RETURNS or known[row]:
            continue
        if driver.kind == "vol":
            levels[row] = _at_tenor(*_vols(market, _spoken_for(market, driver)), _years(market, driver), power=2)
        elif driver.kind == "basis":
            levels[row] = _basis(market, driver)
    frame = pd.DataFrame({
        "time": market.as_of, "driver": market.drivers.index.astype(str), "kind": market.drivers["kind"].to_numpy(),
        "level": levels,
    })  # fmt: skip
    return frame[np.isfinite(levels)].reset_index(drop=True)


def _vols(market: Market, of: Array) -> tuple[Array, Array]:
    """Years and vol at the forward of every expiry with strikes on both sides of it, in order of time."""
    c = market.contracts
    on = of & c.option & (c.vol > 0) & (c.years > 0)
    table = pd.DataFrame({
        "years": c.years[on].round(6), "x": np.log(c.strike[on] / c.forward[on]), "vol": c.vol[on],
    })  # fmt: skip
    smiles = table.groupby(["years", "x"], sort=True)["vol"].mean().reset_index()
    found = [
        (life, np.interp(0.0, smile["x"], smile["vol"]))
        for life, smile in smiles.groupby("years")
        if smile["x"].iloc[0] <= 0 <= smile["x"].iloc[-1]
    ]
    years, vols = np.array(found).T if found else (np.array([]), np.array([]))
    return years, vols


def _years(market: Market, driver: object) -> float:
    """Tenor in years; 30 days where the driver has none."""
    tenor = getattr(driver, "tenor", "")
    when = tenor_years(tenor) if tenor and tenor != "perpetual" else 30 / 365
    if isinstance(when, float):
        return when
    same = market.instruments["expiry"].dt.normalize() == when
    end = market.instruments["expiry"][same].min() if same.any() else when
    return float((end - market.as_of).total_seconds() / SECONDS_PER_YEAR)


def _at_tenor(years: Array, values: Array, at: float, power: int = 1) -> float:
    """Interpolated in years (power 2: of total variance), flat beyond; NaN without any."""
    if not len(years) or not at > 0:
        return np.nan
    if power == 1:
        return float(np.interp(at, years, values))
    inside = np.clip(at, years[0], years[-1])
    return float(np.sqrt(np.interp(inside, years, values**2 * years) / inside))


def _spoken_for(market: Market, driver: Any) -> Array:
    """Which contracts a vol or basis driver speaks for: on its underlying, of its venue or the one that it names."""
    table = market.instruments
    of = table["underlying"] == driver.underlying
    if driver.instrument:
        of &= table.index == driver.instrument
    elif driver.venue:
        of &= table["venue"] == driver.venue
    return of.to_numpy()


def _basis(market: Market, driver: Any) -> float:
    """ln(F/S) at a driver's tenor, from the futures or perpetuals that it speaks for, or its options' own forwards."""
    c, of = market.contracts, _spoken_for(market, driver)
    dated = market.instruments["expiry"].notna().to_numpy()
    chosen = np.flatnonzero(of & c.future & (~dated if driver.tenor == "perpetual" else dated))
    price = c.price
    if not len(chosen) and driver.tenor != "perpetual":
        chosen = np.flatnonzero(of & c.option & market.quotes["underlying_price"].notna().to_numpy())
        price = c.forward
    with np.errstate(divide="ignore", invalid="ignore"):
        lean = np.log(price[chosen] / c.spot[chosen])
    if driver.tenor == "perpetual":
        return float(np.nanmedian(lean)) if np.isfinite(lean).any() else np.nan
    order = np.argsort(c.years[chosen], kind="stable")
    order = order[np.isfinite(lean[order])]
    return _at_tenor(c.years[chosen][order], lean[order], _years(market, driver))


def funding_rows(market: Market, events: Iterable[Event]) -> pd.DataFrame:
    """Of every perpetual: time, instrument, the rate quoted tonight and its hours, and what the events since the last
    night paid on one unit of multiplier and how often; paid is NaN where funding is quoted and no event told of any.
    """
    quotes = market.quotes[market.quotes["funding_rate"].notna()]
    told = [event for event in events if event.kind == "funding"]
    paid = pd.Series([e.value for e in told], [e.instrument for e in told], dtype=float).groupby(level=0)
    return pd.DataFrame({
        "time": market.as_of, "instrument": quotes.index.astype(str), "rate": quotes["funding_rate"].to_numpy(),
        "hours": quotes["funding_hours"].to_numpy(), "paid": paid.sum().reindex(quotes.index).to_numpy(),
        "payments": paid.size().reindex(quotes.index).fillna(0).astype(float).to_numpy(),
    })  # fmt: skip


def _driver_of(market: Market, event: Event) -> str:
    """The driver that is an event's share's own price, else what goes by its label."""
    if event.kind != "split" or event.instrument not in market.names:
        return event.instrument
    at = int(underlying_drivers(market.instruments.loc[[event.instrument]], market.drivers)[0])
    return str(market.drivers.index[at]) if at >= 0 else event.instrument


def with_history(market: Market, rows: pd.DataFrame, events: Iterable[Event] = ()) -> Market:
    """A market without a history of its own, with the rows (LEVELS) that earlier nights left: the last of each UTC day,
    drivers without a move left out, tonight's own row last. A market with a history stays as it is.

    events   what is known of: levels of before a share's split or rename go on in new units, under the new name
    """
    if len(market.history):
        return market
    tonight = driver_rows(market)
    past = rows[rows["time"] < market.as_of] if len(rows) else rows
    every = pd.concat([past, tonight], ignore_index=True) if len(past) else tonight
    table = every.pivot_table(index="time", columns="driver", values="level", aggfunc="last").sort_index()
    table = table[~table.index.normalize().duplicated(keep="last")]
    table.attrs = {"dates": False}
    turned = [event for event in events if event.kind in ("split", "rename") and event.time <= market.as_of]
    table = adjusted_history(table, [replace(event, instrument=_driver_of(market, event)) for event in turned])
    table = table.reindex(columns=market.drivers.index)
    whole = table.notna()[::-1].cummin()[::-1]  # from a driver's last gap on
    table = table.where(whole)
    moved = (table.max() - table.min()) > 1e-12 * table.abs().max()
    table = table.loc[:, :].where(np.broadcast_to(moved.to_numpy(), table.shape)).dropna(how="all")
    if len(table) < 2:
        return market
    history = table.rename_axis(columns="driver", index="time")
    history.attrs = {"dates": False}
    return replace(market, history=history)
