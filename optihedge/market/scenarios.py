"""Scenarios: full revaluation of every contract under shocks of spot, vol, rates, basis, funding and time.

Shocks are a frame, one row per scenario. Its columns are drivers (moves in the driver's own unit, so a past move is a
scenario) and the words of SHOCKS, for the whole book or for one underlying ("spot:BTC"). The P&L it gives, base
currency per contract, is what ScenarioVariance, Shortfall and WorstCase take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.errors import DataError
from optihedge.frames import nearest
from optihedge.market.drivers import RETURNS
from optihedge.market.exposures import Sensitivities, by_family
from optihedge.market.families.base import Shift
from optihedge.market.instruments import annual_funding
from optihedge.market.normal import normal_cdf
from optihedge.market.premium import EarlyPremium
from optihedge.market.snapshot import Market
from optihedge.market.taylor import taken, taylor_pnl, with_own_greeks

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

SHOCKS = {
    "spot": "return of the underlying's price; of a currency pair only where it is named, as spot:EUR",
    "vol": "change of vol, decimal, the same for every option",
    "term": "change of vol of a 30-day option, decimal; others by the root of 30 days over their time, 1 day at least",
    "skew": "change of vol per unit of ln(K/F) / sqrt(T), decimal; T in years, 1 day at least",
    "rate": "change of the continuous rate, decimal per year, spot held",
    "basis": "change of ln(F/S)",
    "funding": "change of the funding rate, decimal per year, simple; earned over `days`",
    "days": "calendar days that pass; infinite: to each contract's own expiry",
}
_DAY = 1 / 365
_MONTH = 30 / 365
_LEAST_DEVIATION = 1e-12
_BLOCK = 10_000  # values revalued at a time: enough to spread numpy's overhead, few enough for the cache

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
    """Every combination of the axes' values, the last axis fastest: {"spot": [...], "vol": [...]} -> S x axes.

    >>> import optihedge as oh
    >>> oh.options.shock_grid({"spot": [-0.1, 0.1], "vol": [0.0, 0.05]}).to_numpy().tolist()
    [[-0.1, 0.0], [-0.1, 0.05], [0.1, 0.0], [0.1, 0.05]]
    """
    names = list(axes)
    if not names:
        raise DataError('shock_grid: no axes; give some, as in {"spot": [-0.1, 0.1], "vol": [0.0, 0.05]}')
    rows = pd.DataFrame(list(product(*axes.values())), columns=names, dtype=float)
    rows.index = pd.MultiIndex.from_frame(rows) if len(names) > 1 else pd.Index(rows[names[0]])
    return rows


def replay(market: Market, rows: int | None = None) -> pd.DataFrame:
    """The last `rows` moves of the drivers as scenarios, each with the calendar time of one period.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> len(oh.options.replay(market, rows=20))
    20
    """
    moves = market.moves(rows)
    return moves.assign(days=365 / market.periods_per_year)


def scenario_pnl(
    market: Market, shocks: pd.DataFrame, names: Iterable[str] | None = None, *, vols: Floats | None = None
) -> pd.DataFrame:
    """P&L of one contract of each instrument (of `names`) in every scenario: S x N, base currency.

    A contract of which the desk gives a Greek is valued by its Greeks, to second order (see `taylor_pnl`), never as the
    vanilla that its fields describe. A vol is held for the strike. As time passes, options keep their vol and rate,
    ln(F/S) of what has an expiry shrinks in proportion to its time, and perpetuals pay funding on today's notional. An
    option whose mark is not the price at its vol keeps the difference, fading with its time. An American option's
    premium over Black is read from a table by spot and vol (`market.premium`); shocks of rate, and of a stock's basis,
    leave the premium. While its settlement average runs, a contract sees the unsettled share of every move. Raises
    DataError for a shock or contract it does not know.

    vols   S x N, decimal: changes of each option's own vol beside what the shocks say

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> shocks = oh.options.shock_grid({"spot": [-0.1, 0.1]})
    >>> pnl = oh.options.scenario_pnl(market, shocks, names=["AAPL"])
    >>> (pnl["AAPL"] / market.price["AAPL"]).round(6).tolist()
    [-0.1, 0.1]
    """
    chosen = market.names if names is None else pd.Index([names] if isinstance(names, str) else names)
    at = market.names.get_indexer(chosen)
    if (at < 0).any():
        unknown = chosen[at < 0][0]
        close = nearest(unknown, market.names)
        raise DataError(f"scenarios: {unknown} is not in the market{close}; add it to instruments and quotes")
    book = _Revaluation(market, at)
    own = np.flatnonzero(with_own_greeks(market.own_exposures, len(market.names))[at])
    greeks = taken(market.sensitivities, at[own])
    pnl, clock = np.empty((len(shocks), len(at))), book.clock(0.0)
    for rows, shift in _shifts(market, shocks, at):
        if shift.days != clock.days:
            clock = book.clock(shift.days)
        if vols is not None:
            shift = replace(shift, vol=shift.vol + vols[rows])
        pnl[rows] = book.pnl(_settling(shift, book.contracts.unsettled), clock)
        if own.size:
            pnl[np.ix_(rows, own)] = _by_greeks(market, greeks, at, own, shift)
    return pd.DataFrame(pnl, index=shocks.index, columns=chosen, copy=False)


def payoff_profile(
    market: Market,
    book: pd.Series | Mapping[str, float],
    trades: pd.Series | Mapping[str, float],
    returns: Iterable[float],
    underlying: str | None = None,
) -> pd.DataFrame:
    """P&L of book, hedge and both over returns of the underlying (of all), now and at expiry, base currency.

    Rows by return, columns (when, what). At expiry: every contract at its own, vols and rates no longer mattering.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> profile = oh.options.payoff_profile(market, {"AAPL": 100.0}, {"AAPL": -100.0}, [-0.1, 0.1])
    >>> profile.shape
    (2, 6)
    """
    word = "spot" if underlying is None else f"spot:{underlying}"
    book, trades = pd.Series(book, dtype=float), pd.Series(trades, dtype=float)
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


def smile_shape(strike: Floats, forward: Floats, years: Floats) -> tuple[Floats, Floats]:
    """What the shocks term and skew of one do to the vol of each option (n each), as SHOCKS says."""
    life = np.maximum(years, _DAY)
    return np.sqrt(_MONTH / life), np.log(strike / forward) / np.sqrt(life)


# ---- shocks by contract --------------------------------------------------------------------------------------------


def _shifts(market: Market, shocks: pd.DataFrame, at: Positions) -> Iterator[tuple[Positions, Shift]]:
    """The scenarios by blocks of the same days, each with its rows, for the contracts at these positions."""
    drivers, paths = market.drivers, market.paths
    moves, words = _read_shocks(market, shocks, at)
    logs = np.log1p(np.where(drivers["kind"].isin(RETURNS).to_numpy(), moves, 0.0))
    still = np.column_stack([logs, np.zeros(len(logs))])  # the last column: what has no driver
    currency, quote = paths.signs[at], paths.quote_signs[at]
    driver = paths.driver[at]
    if (driver == driver[:1]).all():
        driver = driver[:1]
    foreign = currency.nnz + quote.nnz > 0
    members = {kind: (drivers["kind"] == kind).to_numpy() for kind in ("vol", "rate", "basis")}
    moved = {kind: (moves[:, member] != 0).any(axis=1) for kind, member in members.items()}
    reach = {kind: getattr(market.shares, kind).T.tocsr()[at] for kind in moved if moved[kind].any()}
    days = sum((values for word, values, _ in words if word == "days"), np.zeros(len(moves)))
    for rows in _blocks(days, len(at)):
        total: dict[str, Floats | float] = dict.fromkeys(("vol", "rate", "basis", "term", "skew", "funding"), 0.0)
        for kind, reached in reach.items():
            if moved[kind][rows].any():
                total[kind] = np.ascontiguousarray((reached @ moves[rows].T).T)
        for word, values, reached in words:
            if word != "days" and values[rows].any():
                total[word] = total[word] + values[rows, None] * reached
        own, fx = still[rows].take(driver, axis=1), 1.0
        if foreign:
            log = logs[rows].T
            abroad = (currency @ log).T
            own, fx = own + (quote @ log).T - abroad, np.exp(abroad)
        yield rows, Shift(growth=np.exp(own), log_growth=own, fx_growth=fx, days=float(days[rows[0]]), **total)


def _settling(shift: Shift, unsettled: Floats) -> Shift:
    """The moves that contracts see of which this share of the settlement average is still to come."""
    if (unsettled == 1).all():
        return shift
    growth = 1 + unsettled * (shift.growth - 1)
    moved = {name: getattr(shift, name) for name in ("vol", "rate", "basis", "term", "skew")}
    part = {name: value * unsettled for name, value in moved.items() if _varies(value)}
    return replace(shift, growth=growth, log_growth=np.log(growth), **part)


def _blocks(days: Floats, contracts: int) -> Iterator[Positions]:
    """The scenarios' rows in groups of the same days, of about _BLOCK values."""
    height = max(1, _BLOCK // max(contracts, 1))
    order = np.argsort(days, kind="stable")
    ordered = days[order]
    for group in np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1):
        for top in range(0, len(group), height):
            yield group[top : top + height]


def _read_shocks(
    market: Market, shocks: pd.DataFrame, at: Positions
) -> tuple[Floats, list[tuple[str, Floats, Floats | float]]]:
    """Moves of the drivers, S x D, and per word its S values and the contracts it reaches (N of 0 or 1; 1.0: all)."""
    drivers = market.drivers
    underlying = market.instruments["underlying"]
    moves = np.zeros((len(shocks), len(drivers)))
    words = []
    twice = shocks.columns[shocks.columns.duplicated()]
    if len(twice):
        raise DataError(f"scenarios: column {twice[0]} appears twice; add up the two")
    place = drivers.index.get_indexer(shocks.columns)
    own = np.flatnonzero(place >= 0)
    moves[:, place[own]] = _block(shocks.iloc[:, own])
    for name in shocks.columns[place < 0]:
        values = _numbers(shocks[name])
        word, colon, scope = str(name).partition(":")
        if word not in SHOCKS or (colon and not scope):
            close = nearest(name, [*SHOCKS, *drivers.index, *(f"{word}:{scope}" for word in SHOCKS if scope)])
            raise DataError(f"scenarios: {name} is neither a driver nor one of {', '.join(SHOCKS)}{close}; rename it")
        elif word == "days" and scope:
            raise DataError(f"scenarios: {name}: time passes for every contract; call the column days")
        elif word == "spot":
            moves[:, _spot_drivers(drivers, scope)] += values[:, None]
        else:
            if scope and not (underlying == scope).any():
                close = nearest(scope, underlying.unique())
                raise DataError(f"scenarios: {name}: no instrument is on {scope}{close}; rename the column")
            reached = (underlying == scope).to_numpy()[at].astype(float) if scope else 1.0
            words.append((word, values, reached))
    lost = (moves <= -1) & drivers["kind"].isin(RETURNS).to_numpy()
    if lost.any():
        row, driver = np.argwhere(lost)[0]
        raise DataError(
            f"scenarios: scenario {shocks.index[row]} loses 100 % or more of a price: {drivers.index[driver]} returns "
            f"{moves[row, driver]:g}; give returns above -1"
        )
    return moves, words


def _block(columns: pd.DataFrame) -> Floats:
    """The shocks of columns of drivers, S x columns, finite."""
    numeric = all(isinstance(dtype, np.dtype) and dtype.kind == "f" for dtype in set(columns.dtypes.to_numpy()))
    values = columns.to_numpy(dtype=float) if numeric else np.zeros(columns.shape)
    if numeric and np.isfinite(values).all():
        return values
    return np.array([_numbers(columns.iloc[:, i]) for i in range(columns.shape[1])]).reshape(columns.shape[::-1]).T


def _numbers(column: pd.Series) -> Floats:
    """The shocks of one column; only days may be infinite."""
    try:
        values = column.to_numpy(dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"scenarios: column {column.name} holds no numbers ({error}); mend it") from None
    bad = ~np.isfinite(values) & ~((values == np.inf) & (column.name == "days"))
    if bad.any():
        label, value = column.index[bad][0], values[bad][0]
        raise DataError(f"scenarios: {column.name} of scenario {label} is {value}; give a finite number")
    return values


def _spot_drivers(drivers: pd.DataFrame, scope: str) -> Positions:
    if not scope:
        return np.flatnonzero(drivers["kind"] == "price")
    found = np.flatnonzero(drivers["kind"].isin(RETURNS) & (drivers["underlying"] == scope))
    if not found.size:
        close = nearest(scope, drivers["underlying"].unique())
        raise DataError(f"scenarios: spot:{scope}: no price driver of {scope}{close}; rename the column")
    return found


def _by_greeks(market: Market, s: Sensitivities, at: Positions, own: Positions, shift: Shift) -> Floats:
    """P&L of the contracts at[own] by their Greeks; what the desk says of vol counts for theirs too."""
    c = market.contracts.take(at[own])
    dated = np.where(np.isfinite(c.years), c.years, _MONTH)
    level, slope = smile_shape(np.where(c.option, c.strike, c.spot), np.where(c.option, c.forward, c.spot), dated)
    vol = _at(shift.vol, own) + level * _at(shift.term, own) + slope * _at(shift.skew, own)
    returns = np.asarray(_at(shift.growth, own) - 1)
    gain = taylor_pnl(s, returns, vol, _at(shift.rate, own), _at(shift.basis, own), shift.days)
    return (gain + s.value) * _at(shift.fx_growth, own) - s.value


# ---- revaluation ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Clock:
    """The options after some days: value = a N(phi d1) - b N(phi d2), d1 = x / s + s / 2, s = vol root, at today's S.

    a, b hold phi, the discount and the contract's unit; `rest` is what is left of the mark's excess over the formula,
    less today's value; `left` is in years. premium: what American options are worth beside.
    """

    days: float
    left: Floats
    root: Floats
    x: Floats
    a: Floats
    b: Floats
    rest: Floats
    premium: EarlyPremium


class _Revaluation:
    """N contracts of a market, ready to be revalued: positions of options, futures and the rest, and what they need.

    Options go by Black's formula as it stands: its error is a rounding of the forward, all that a P&L needs, and it
    takes a sixth of the time of `pricing.black`, which is exact in every wing.
    """

    def __init__(self, market: Market, at: Positions) -> None:
        c = market.contracts.take(at)
        o = _span(c.option)
        self.contracts, self.option = c, o
        self.others = [(family, _span(c.family == c.family[where[0]]), c.take(where))
                       for family, where in by_family(c) if family.revalue is not None]  # fmt: skip
        ratio = c.forward / c.spot
        self.lean = np.where((c.option | c.future) & (ratio > 0), np.log(np.where(ratio > 0, ratio, 1.0)), 0.0)
        quoted, undated = market.quotes.iloc[at], c.margined & np.isnan(c.years)
        funding = annual_funding(quoted["funding_rate"].to_numpy(), quoted["funding_hours"].to_numpy())
        self.funding = np.where(undated, np.nan_to_num(funding), 0.0)
        self.notional = np.where(undated, market.notional.to_numpy()[at], 0.0)
        self.funded = np.flatnonzero(undated)
        self.unit = c.multiplier * c.fx
        self.right, self.half_right, self.vol = c.right[o], c.right[o] / 2, c.vol[o]
        self.today = (np.where(c.inverse, c.price * c.spot, c.price) * self.unit)[o]
        self.term, self.skew = smile_shape(c.strike[o], c.forward[o], c.years[o])
        x, a, b = self.terms(np.ones(len(self.term)))
        self.gap = self.today - self.black(x, self.vol * np.sqrt(np.maximum(c.years[o], 0.0)), a, b)
        self.options = c.take(np.arange(len(c.option))[o])
        self.premium = EarlyPremium.of(self.options, self.options.years)
        early = self.premium.at
        if early.size:
            self.gap[early] -= self.early_value(self.premium, np.zeros((1, len(early))), self.vol[None, early])[0]

    def terms(self, share: Floats) -> tuple[Floats, Floats, Floats]:
        """x, a, b of the options with this share of today's time left."""
        c, o = self.contracts, self.option
        lean = self.lean[o] * share
        forward = c.spot[o] * np.exp(np.where(c.inverse[o], 0.0, lean))
        strike = c.strike[o] * np.exp(np.where(c.inverse[o], -lean, 0.0))
        signed = self.unit[o] * c.right[o] * c.discount[o] ** share
        return np.log(forward / strike), signed * forward, signed * strike

    def clock(self, days: float) -> _Clock:
        """The options' terms after `days`."""
        years = self.contracts.years[self.option]
        left = np.maximum(years - days * _DAY, 0.0)
        share = left / years
        premium = self.premium if days == 0 else EarlyPremium.of(self.options, left)
        rest = self.gap * share - self.today
        return _Clock(days, left, np.sqrt(left), *self.terms(share), rest=rest, premium=premium)

    def early_value(self, premium: EarlyPremium, log_growth: Floats, vol: Floats) -> Floats:
        """The premium of the American options in base currency per contract, R x A."""
        return premium(log_growth, vol) * self.unit[self.option][premium.at]

    def black(self, x: Floats, s: Floats, a: Floats, b: Floats) -> Floats:
        """a N(phi d1) - b N(phi d2); at no deviation s the intrinsic value. Overwrites x and s."""
        if not s.min(initial=1.0) >= _LEAST_DEVIATION:
            np.maximum(s, _LEAST_DEVIATION, out=s)
        x *= self.right / s
        s *= self.half_right
        d = np.empty((2, *x.shape))
        np.add(x, s, out=d[0])
        np.subtract(x, s, out=d[1])
        first, second = normal_cdf(d)
        first *= a
        second *= b
        first -= second
        return first

    def pnl(self, shift: Shift, clock: _Clock) -> Floats:
        """P&L per contract, R x N, base currency."""
        gain = self.option_pnl(shift, clock)
        if not self.others:
            return gain
        pnl = np.empty((len(gain), len(self.unit)))
        pnl[:, self.option] = gain
        for family, where, contracts in self.others:
            if family.revalue is not None:
                pnl[:, where] = family.revalue(contracts, _of(shift, where)) * self.unit[where]
        if np.isfinite(shift.days):
            pnl[:, self.funded] -= self.funding_paid(shift)
        return pnl

    def option_pnl(self, shift: Shift, clock: _Clock) -> Floats:
        c, o = self.contracts, self.option
        vol = self.vol + _at(shift.vol, o)
        if _varies(shift.term) or _varies(shift.skew):
            vol = vol + self.term * _at(shift.term, o) + self.skew * _at(shift.skew, o)
        x, a, b = clock.x + _at(shift.log_growth, o), clock.a * _at(shift.growth, o), clock.b
        if _varies(shift.rate):
            grown = _at(shift.rate, o) * clock.left
            x, b = x + grown, b * np.exp(-grown)
        if _varies(shift.basis):
            lean = np.where(clock.left > 0, _at(shift.basis, o), 0.0)
            x = x + lean
            a, b = a * np.exp(np.where(c.inverse[o], 0.0, lean)), b * np.exp(np.where(c.inverse[o], -lean, 0.0))
        early = clock.premium.at
        if early.size:  # before Black overwrites what it reads
            growth = np.broadcast_to(_at(shift.log_growth, o), x.shape)[:, early]
            on_future = self.options.on_future[early]
            if _varies(shift.basis) and on_future.any():
                growth = growth + np.broadcast_to(_at(shift.basis, o), x.shape)[:, early] * on_future
            premium = self.early_value(clock.premium, growth, np.broadcast_to(vol, x.shape)[:, early])
        vol = vol * clock.root
        value = self.black(x, vol, a, b)
        value += clock.rest
        if early.size:
            value[:, early] += premium
        if _varies(shift.fx_growth):
            value *= _at(shift.fx_growth, o)
            value += self.today * (_at(shift.fx_growth, o) - 1)
        return value

    def funding_paid(self, shift: Shift) -> Floats:
        """What the contracts that pay funding pay in so many days."""
        rate = self.funding[self.funded] + _at(shift.funding, self.funded)
        return self.notional[self.funded] * rate * (shift.days * _DAY)


def _of(shift: Shift, where: slice | Positions) -> Shift:
    """The shift of some contracts."""
    names = ("growth", "log_growth", "fx_growth", "vol", "rate", "basis", "term", "skew", "funding")
    return Shift(**{name: _at(getattr(shift, name), where) for name in names}, days=shift.days)  # type: ignore[arg-type]


def _span(chosen: NDArray[np.bool_]) -> slice | Positions:
    """The chosen positions, as a slice where they are one run, which numpy reads without a copy."""
    positions = np.flatnonzero(chosen)
    if positions.size and positions[-1] - positions[0] + 1 == positions.size:
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def _varies(values: Floats | float) -> bool:
    return isinstance(values, np.ndarray)


def _at(values: Floats | float, positions: slice | Positions) -> Floats | float:
    """The contracts' columns; what all share stays as it is."""
    return values[:, positions] if isinstance(values, np.ndarray) and values.shape[1] > 1 else values
