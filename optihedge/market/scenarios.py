"""Scenarios: full revaluation of every contract under shocks of spot, vol, rates, basis, funding and time.

Shocks are a frame, one row per scenario. Its columns are drivers (moves in the driver's own unit, so a past move is a
scenario) and the words of SHOCKS, for the whole book or for one underlying ("spot:BTC"). The P&L it gives, base
currency per contract, is what ScenarioVariance, Shortfall and WorstCase take.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import nearest
from optihedge.market.drivers import RETURNS
from optihedge.market.exposures import Contracts
from optihedge.market.instruments import annual_funding
from optihedge.market.pricing import black
from optihedge.market.snapshot import Market

SHOCKS = {
    "spot": "return of the underlying",
    "vol": "change of vol, decimal, the same for every option",
    "term": "change of vol of a 30-day option, decimal; others by the root of 30 days over their time, 1 day at least",
    "skew": "change of vol per unit of ln(K/F) / sqrt(T), decimal; T in years, 1 day at least",
    "rate": "change of the continuous rate, decimal per year, spot held",
    "basis": "change of ln(F/S)",
    "funding": "change of the funding rate, decimal per year, simple; earned over `days`",
    "days": "calendar days that pass; infinite: to each contract's own expiry",
}
_EVERYWHERE = ("days",)
_DAY = 1 / 365
_MONTH = 30 / 365

STRESSES = pd.DataFrame(
    {
        "1987-10-19": {"spot": -0.2047, "term": 1.1382},
        "2008-10-15": {"spot": -0.0903, "term": 0.1412},
        "2018-02-05": {"spot": -0.0410, "term": 0.2001},
        "2020-03-12": {"spot": -0.0951, "term": 0.2157},
        "2020-03-16": {"spot": -0.1198, "term": 0.2486},
        "2020-03-24": {"spot": 0.0938, "term": 0.0008},
    }
).T
"""Days of stress on the S&P 500: its return and the change of the VIX (in 1987 of the VXO), as shocks."""


def shock_grid(axes: Mapping[str, Iterable[float]]) -> pd.DataFrame:
    """Every combination of the axes' values, the last axis fastest: {"spot": [...], "vol": [...]} -> S x axes."""
    names = list(axes)
    rows = pd.DataFrame(list(product(*axes.values())), columns=names, dtype=float)
    rows.index = pd.MultiIndex.from_frame(rows) if len(names) > 1 else pd.Index(rows[names[0]])
    return rows


def replay(market: Market, rows: int | None = None) -> pd.DataFrame:
    """The last `rows` moves of the drivers as scenarios, each with the calendar time of one period."""
    moves = market.moves(rows)
    return moves.assign(days=365 / market.periods_per_year)


def scenario_pnl(market: Market, shocks: pd.DataFrame, names: Iterable[str] | None = None) -> pd.DataFrame:
    """P&L of one contract of each instrument (of `names`) in every scenario: S x N, base currency.

    A vol is held for the strike. As time passes, options keep their vol and rate, ln(F/S) of what has an expiry shrinks
    in proportion to its time, and perpetuals pay funding on today's notional. An option whose mark is not the price at
    its vol keeps the difference, fading with its time. Raises DataError for a shock or contract it does not know.
    """
    chosen = market.names if names is None else pd.Index(names)
    at = market.names.get_indexer(chosen)
    if (at < 0).any():
        unknown = chosen[at < 0][0]
        raise DataError(f"scenarios: {unknown} is not in the market{nearest(unknown, market.names)}")
    shifts = _Shifts.of(market, shocks, at)
    book = _Revaluation.of(market, at)
    pnl = np.empty((len(shocks), len(at)))
    for row in range(len(shocks)):
        pnl[row] = book.pnl(**shifts.row(row))
    return pd.DataFrame(pnl, index=shocks.index, columns=chosen)


def payoff_profile(
    market: Market, book: pd.Series, trades: pd.Series, returns: Iterable[float], underlying: str | None = None
) -> pd.DataFrame:
    """P&L of book, hedge and both over returns of the underlying (of all), now and at expiry, base currency.

    Rows by return, columns (when, what). At expiry: every contract at its own, vols and rates no longer mattering.
    """
    word = "spot" if underlying is None else f"spot:{underlying}"
    held = book.index.union(trades.index, sort=False)
    parts = {"book": book.reindex(held).fillna(0.0), "hedge": trades.reindex(held).fillna(0.0)}
    parts["both"] = parts["book"] + parts["hedge"]
    columns = {}
    for when, days in (("now", 0.0), ("expiry", np.inf)):
        shocks = shock_grid({word: returns}).assign(days=days)
        pnl = scenario_pnl(market, shocks, held)
        for what, quantity in parts.items():
            columns[when, what] = pnl @ quantity
    return pd.DataFrame(columns)


# ---- shocks by contract --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Shifts:
    """Shocks spelt out: moves S x D of the drivers, and per word S values with the contracts (N) they reach."""

    moves: np.ndarray
    words: list[tuple[str, np.ndarray, np.ndarray]]
    market: Market
    at: np.ndarray

    @classmethod
    def of(cls, market: Market, shocks: pd.DataFrame, at: np.ndarray) -> _Shifts:
        drivers = market.drivers
        underlying = market.instruments["underlying"].to_numpy()[at]
        moves = np.zeros((len(shocks), len(drivers)))
        words = []
        for name in shocks.columns:
            values = shocks[name].to_numpy(dtype=float)
            word, _, scope = str(name).partition(":")
            if np.isnan(values).any():
                raise DataError(f"scenarios: {name} of scenario {shocks.index[np.isnan(values)][0]} is not a number")
            if name in drivers.index:
                moves[:, drivers.index.get_loc(name)] += values
            elif word not in SHOCKS or (scope and word in _EVERYWHERE):
                close = nearest(name, [*SHOCKS, *drivers.index])
                raise DataError(f"scenarios: {name} is neither a driver nor one of {', '.join(SHOCKS)}{close}")
            elif word == "spot":
                moves[:, _spot_drivers(drivers, scope)] += values[:, None]
            else:
                reached = np.ones(len(at), dtype=bool) if not scope else underlying == scope
                if scope and not reached.any() and scope not in market.instruments["underlying"].to_numpy():
                    raise DataError(f"scenarios: {name}: no instrument is on {scope}{nearest(scope, underlying)}")
                words.append((word, values, reached))
        lost = moves[:, drivers["kind"].isin(RETURNS).to_numpy()] <= -1
        if lost.any():
            raise DataError(f"scenarios: scenario {shocks.index[lost.any(axis=1)][0]} loses 100 % or more of a price")
        return cls(moves, words, market, at)

    def row(self, row: int) -> dict[str, np.ndarray | float]:
        """One scenario: growth of S and of fx, and changes of vol, rate, basis and funding, each N; days."""
        market, at = self.market, self.at
        move, paths, shares = self.moves[row], market.paths, market.shares
        moving = market.drivers["kind"].isin(RETURNS).to_numpy()
        logs = np.where(moving, np.log1p(np.where(moving, move, 0.0)), 0.0)
        own = np.where(paths.driver >= 0, logs[paths.driver] if len(logs) else 0.0, 0.0)
        currency = paths.signs @ logs
        total = {
            "growth": np.exp(own + paths.quote_signs @ logs - currency)[at],
            "fx_growth": np.exp(currency)[at],
            "vol": (shares.vol.T @ move)[at],
            "rate": (shares.rate.T @ move)[at],
            "basis": (shares.basis.T @ move)[at],
            "term": np.zeros(len(at)),
            "skew": np.zeros(len(at)),
            "funding": np.zeros(len(at)),
        }
        days = 0.0
        for word, values, reached in self.words:
            if word == "days":
                days += float(values[row])
            else:
                total[word] = total[word] + np.where(reached, values[row], 0.0)
        return {**total, "days": days}


def _spot_drivers(drivers: pd.DataFrame, scope: str) -> np.ndarray:
    if not scope:
        return np.flatnonzero(drivers["kind"] == "price")
    found = np.flatnonzero(drivers["kind"].isin(RETURNS) & (drivers["underlying"] == scope))
    if not found.size:
        raise DataError(f"scenarios: no price driver of {scope}{nearest(scope, drivers['underlying'])}")
    return found


# ---- revaluation ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Revaluation:
    """What revaluing N contracts needs, prepared once. `option`, `future`, `other`: positions of each kind."""

    contracts: Contracts
    option: np.ndarray
    future: np.ndarray
    other: np.ndarray
    lean: np.ndarray  # ln(F/S)
    gap: np.ndarray  # price less model, quote currency, of options
    funding: np.ndarray  # simple per year, of perpetuals
    notional: np.ndarray

    @classmethod
    def of(cls, market: Market, at: np.ndarray) -> _Revaluation:
        c = market.contracts.take(at)
        option = np.flatnonzero(c.option)
        future = np.flatnonzero(c.margined)
        other = np.flatnonzero(~c.option & ~c.margined)
        ratio = c.forward / c.spot
        lean = np.where((c.option | c.margined) & (ratio > 0), np.log(np.where(ratio > 0, ratio, 1.0)), 0.0)
        quoted = market.quotes.iloc[at]
        funding = np.nan_to_num(annual_funding(quoted["funding_rate"], quoted["funding_hours"]))
        undated = c.margined & np.isnan(c.years)
        book = cls(
            c, option, future, other, lean, np.zeros(len(at)), np.where(undated, funding, 0.0),
            np.where(undated, market.notional.to_numpy()[at], 0.0),
        )  # fmt: skip
        nothing = np.zeros(len(at))
        model = book.option_values(c.spot, c.years, nothing, nothing, nothing)
        book.gap[option] = (np.where(c.inverse, c.price * c.spot, c.price))[option] - model
        return book

    def option_values(
        self, spot: np.ndarray, years: np.ndarray, vol: np.ndarray, rate: np.ndarray, basis: np.ndarray
    ) -> np.ndarray:
        """Model value per unit of the options, quote currency, at a spot and time with changes of vol, rate, basis."""
        c, o = self.contracts, self.option
        left, inverse, spot, rate = years[o], c.inverse[o], spot[o], rate[o]
        lean = np.where(left > 0, self.lean[o] * (left / c.years[o]) + basis[o], 0.0)
        own = np.where(inverse, 0.0, -np.log(c.discount[o]) / c.years[o])
        forward = spot * np.exp(rate * left + np.where(inverse, 0.0, lean))
        strike = c.strike[o] * np.exp(np.where(inverse, -lean, 0.0))
        discount = np.exp(-(own + rate) * left)
        return black(forward, strike, left, np.maximum(c.vol[o] + vol[o], 0.0), c.right[o], discount)

    def pnl(
        self, *, growth: np.ndarray, fx_growth: np.ndarray, vol: np.ndarray, term: np.ndarray, skew: np.ndarray,
        rate: np.ndarray, basis: np.ndarray, funding: np.ndarray, days: float,
    ) -> np.ndarray:  # fmt: skip
        """P&L per contract, base currency, of one scenario."""
        c, o, f, other = self.contracts, self.option, self.future, self.other
        spot = c.spot * growth
        years = np.maximum(c.years - days * _DAY, 0.0)
        before, after = np.zeros(len(spot)), np.zeros(len(spot))
        if o.size:
            time = np.maximum(c.years, _DAY)
            change = vol + term * np.sqrt(_MONTH / time)
            if skew.any():
                change = change + skew * np.where(c.option, np.log(c.strike / c.forward) / np.sqrt(time), 0.0)
            value = self.option_values(spot, years, change, rate, basis)
            after[o] = value + self.gap[o] * (years[o] / c.years[o])
            before[o] = np.where(c.inverse[o], c.price[o] * c.spot[o], c.price[o])
        left = np.where(np.isnan(c.years[f]), 1.0, years[f] / c.years[f])
        lean = self.lean[f] * left + np.where(left > 0, basis[f], 0.0)
        price = c.forward[f] * growth[f] * np.exp(lean - self.lean[f])
        inverse = c.inverse[f]
        after[f] = np.where(inverse, (1 / c.forward[f] - 1 / price) * spot[f], price - c.forward[f])
        before[other] = c.price[other]
        after[other] = c.price[other] * np.where(c.constant[other], 1.0, growth[other])
        paid = self.notional * (self.funding + funding) * (days * _DAY) if np.isfinite(days) else 0.0
        return c.multiplier * c.fx * (after * fx_growth - before) - paid
