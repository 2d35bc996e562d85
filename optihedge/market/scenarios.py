"""Scenarios: full revaluation of every contract under shocks of spot, vol, rates, basis, funding and time.

Shocks are a frame, one row per scenario. Its columns are drivers (moves in the driver's own unit, so a past move is a
scenario) and the words of SHOCKS, for the whole book or for one underlying ("spot:BTC"). The P&L it gives, base
currency per contract, is what ScenarioVariance, Shortfall and WorstCase take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from optihedge.errors import DataError
from optihedge.frames import nearest
from optihedge.market.drivers import RETURNS
from optihedge.market.instruments import annual_funding
from optihedge.market.snapshot import Market

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

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
_LEAST_DEVIATION = 1e-12

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
    book = _Revaluation(market, at)
    pnl = np.empty((len(shocks), len(at)))
    for row, shift in enumerate(_shifts(market, shocks, at)):
        pnl[row] = book.pnl(shift)
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
class _Shift:
    """One scenario for N contracts: growth of S and fx, changes of vol, rate, basis and funding (0.0: none), days."""

    growth: Floats
    log_growth: Floats
    fx_growth: Floats | float
    vol: Floats | float
    rate: Floats | float
    basis: Floats | float
    term: Floats | float
    skew: Floats | float
    funding: Floats | float
    days: float


def _shifts(market: Market, shocks: pd.DataFrame, at: Positions) -> Iterator[_Shift]:
    """The scenarios one by one, for the contracts at these positions."""
    drivers, paths = market.drivers, market.paths
    moves, words = _read_shocks(market, shocks, at)
    logs = np.where(drivers["kind"].isin(RETURNS).to_numpy(), np.log1p(np.maximum(moves, -0.999999)), 0.0)
    still = np.column_stack([logs, np.zeros(len(logs))])  # the last column: what has no driver
    currency, quote = paths.signs[at], paths.quote_signs[at]
    driver = paths.driver[at]
    foreign = currency.nnz + quote.nnz > 0
    kinds = {kind: (drivers["kind"] == kind).to_numpy() for kind in ("vol", "rate", "basis")}
    reach = {kind: getattr(market.shares, kind).T.tocsr()[at] for kind in kinds}
    for row, move in enumerate(moves):
        total: dict[str, Floats | float] = dict.fromkeys(("vol", "rate", "basis", "term", "skew", "funding"), 0.0)
        for kind, members in kinds.items():
            if move[members].any():
                total[kind] = reach[kind] @ move
        for word, values, reached in words:
            if values[row] and word != "days":
                total[word] = total[word] + values[row] * reached
        days = float(sum(values[row] for word, values, _ in words if word == "days"))
        own, fx = still[row][driver], 1.0
        if foreign:
            abroad = currency @ logs[row]
            own, fx = own + quote @ logs[row] - abroad, np.exp(abroad)
            growth = np.exp(own)
        else:
            growth = np.exp(still[row])[driver]
        yield _Shift(growth=growth, log_growth=own, fx_growth=fx, days=days, **total)


def _read_shocks(
    market: Market, shocks: pd.DataFrame, at: Positions
) -> tuple[Floats, list[tuple[str, Floats, Floats]]]:
    """Moves of the drivers, S x D, and per word its S values and the contracts it reaches (N, 0 or 1)."""
    drivers = market.drivers
    underlying = market.instruments["underlying"]
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
            if scope and not (underlying == scope).any():
                raise DataError(f"scenarios: {name}: no instrument is on {scope}{nearest(scope, underlying.unique())}")
            reached = (underlying == scope).to_numpy()[at] if scope else np.ones(len(at))
            words.append((word, values, reached.astype(float)))
    lost = (moves[:, drivers["kind"].isin(RETURNS).to_numpy()] <= -1).any(axis=1)
    if lost.any():
        raise DataError(f"scenarios: scenario {shocks.index[lost][0]} loses 100 % or more of a price")
    return moves, words


def _spot_drivers(drivers: pd.DataFrame, scope: str) -> Positions:
    if not scope:
        return np.flatnonzero(drivers["kind"] == "price")
    found = np.flatnonzero(drivers["kind"].isin(RETURNS) & (drivers["underlying"] == scope))
    if not found.size:
        raise DataError(f"scenarios: no price driver of {scope}{nearest(scope, drivers['underlying'].unique())}")
    return found


# ---- revaluation ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Clock:
    """The options after some days: value = a N(phi d1) - b N(phi d2), d1 = x / s + s / 2, s = vol root, at today's S.

    a, b hold phi and the discount; `share` is the part of today's time that is left, `left` in years.
    """

    left: Floats
    share: Floats
    root: Floats
    x: Floats
    a: Floats
    b: Floats


class _Revaluation:
    """N contracts of a market, ready to be revalued: positions of options, futures and the rest, and what they need.

    Options go by Black's formula as it stands: its error is a rounding of the forward, all that a P&L needs, and it
    takes a quarter of the time of `pricing.black`, which is exact in every wing.
    """

    def __init__(self, market: Market, at: Positions) -> None:
        self.contracts = c = market.contracts.take(at)
        self.option = o = _span(c.option)
        self.future = _span(c.margined)
        self.other = _span(~c.option & ~c.margined)
        ratio = c.forward / c.spot
        self.lean = np.where((c.option | c.margined) & (ratio > 0), np.log(np.where(ratio > 0, ratio, 1.0)), 0.0)
        quoted, undated = market.quotes.iloc[at], c.margined & np.isnan(c.years)
        funding = annual_funding(quoted["funding_rate"].to_numpy(), quoted["funding_hours"].to_numpy())
        self.funding = np.where(undated, np.nan_to_num(funding), 0.0)
        self.notional = np.where(undated, market.notional.to_numpy()[at], 0.0)
        self.unit = c.multiplier * c.fx
        self.clocks: dict[float, _Clock] = {}
        self.right, self.vol = c.right[o], c.vol[o]
        self.today = np.where(c.inverse, c.price * c.spot, c.price)[o]
        time = np.maximum(c.years[o], _DAY)
        self.term = np.sqrt(_MONTH / time)
        self.skew = np.log(c.strike[o] / c.forward[o]) / np.sqrt(time)
        clock = self.clock(0.0)
        self.gap = self.today - self.black(clock.x, self.vol * clock.root, clock.a, clock.b)

    def clock(self, days: float) -> _Clock:
        """The options' terms after `days`, computed once."""
        if days not in self.clocks:
            c, o = self.contracts, self.option
            left = np.maximum(c.years[o] - days * _DAY, 0.0)
            share = left / c.years[o]
            lean = self.lean[o] * share
            forward = c.spot[o] * np.exp(np.where(c.inverse[o], 0.0, lean))
            strike = c.strike[o] * np.exp(np.where(c.inverse[o], -lean, 0.0))
            signed = c.right[o] * c.discount[o] ** share
            terms = _Clock(left, share, np.sqrt(left), np.log(forward / strike), signed * forward, signed * strike)
            self.clocks[days] = terms
        return self.clocks[days]

    def black(self, x: Floats, s: Floats, a: Floats, b: Floats) -> Floats:
        """a N(phi d1) - b N(phi d2); at no deviation s the intrinsic value."""
        s = np.maximum(s, _LEAST_DEVIATION)
        d = x / s + s / 2
        d *= self.right
        s *= self.right
        value = ndtr(d)
        value *= a
        d -= s
        ndtr(d, out=d)
        d *= b
        value -= d
        return value

    def option_values(self, shift: _Shift) -> Floats:
        """Value per unit of the options, quote currency."""
        c, o, clock = self.contracts, self.option, self.clock(shift.days)
        vol = self.vol + _at(shift.vol, o)
        if np.any(shift.term) or np.any(shift.skew):
            vol = vol + self.term * _at(shift.term, o) + self.skew * _at(shift.skew, o)
        x, a, b = clock.x + _at(shift.log_growth, o), clock.a * _at(shift.growth, o), clock.b
        if np.any(shift.rate):
            grown = _at(shift.rate, o) * clock.left
            x, b = x + grown, b * np.exp(-grown)
        if np.any(shift.basis):
            lean = np.where(clock.left > 0, _at(shift.basis, o), 0.0)
            x = x + lean
            a, b = a * np.exp(np.where(c.inverse[o], 0.0, lean)), b * np.exp(np.where(c.inverse[o], -lean, 0.0))
        return self.black(x, vol * clock.root, a, b) + self.gap * clock.share

    def pnl(self, shift: _Shift) -> Floats:
        """P&L per contract, base currency."""
        c, o, f, other = self.contracts, self.option, self.future, self.other
        pnl = np.empty(len(self.unit))
        pnl[o] = self.option_values(shift) * _at(shift.fx_growth, o) - self.today
        left = np.where(np.isnan(c.years[f]), 1.0, np.maximum(1 - shift.days * _DAY / c.years[f], 0.0))
        roll = self.lean[f] * (left - 1) + np.where(left > 0, _at(shift.basis, f), 0.0)
        price = c.forward[f] * shift.growth[f] * np.exp(roll)
        spot = c.spot[f] * shift.growth[f]
        gain = np.where(c.inverse[f], (1 / c.forward[f] - 1 / price) * spot, price - c.forward[f])
        pnl[f] = gain * _at(shift.fx_growth, f)
        held = np.where(c.constant[other], 1.0, shift.growth[other]) * _at(shift.fx_growth, other)
        pnl[other] = c.price[other] * (held - 1)
        pnl *= self.unit
        if np.isfinite(shift.days):
            pnl[f] -= self.notional[f] * (self.funding[f] + _at(shift.funding, f)) * (shift.days * _DAY)
        return pnl


def _span(chosen: NDArray[np.bool_]) -> slice | Positions:
    """The chosen positions, as a slice where they are one run, which numpy reads without a copy."""
    positions = np.flatnonzero(chosen)
    if positions.size and positions[-1] - positions[0] + 1 == positions.size:
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def _at(values: Floats | float, positions: slice | Positions) -> Floats | float:
    return values[positions] if isinstance(values, np.ndarray) else values
