"""Scenarios: full revaluation of every contract under shocks of spot, vol, rates, basis, funding and time.

Shocks are a frame, one row per scenario. Its columns are drivers (moves in the driver's own unit, so a past move is a
scenario) and the words of SHOCKS, for the whole book or for one underlying ("spot:BTC"). The P&L it gives, base
currency per contract, is what ScenarioVariance, Shortfall and WorstCase take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.errors import DataError
from optihedge.frames import nearest
from optihedge.market.drivers import RETURNS
from optihedge.market.exposures import Sensitivities
from optihedge.market.families.base import Shift
from optihedge.market.history import filled_moves
from optihedge.market.revaluation import Revaluation, at_positions, settling, smile_shape
from optihedge.market.snapshot import Market
from optihedge.market.taylor import taken, taylor_pnl, with_own_greeks
from optihedge.readonly import told

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
_MONTH = 30 / 365
_BLOCK = 20_000  # values revalued at a time: enough to spread numpy's overhead, few enough for the cache

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

    A driver without a move of its own in a row (listed later, ended, a gap) moves there as its beta to the market
    drivers says, see `history.filled_moves`; attrs["filled"] names such drivers.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> len(oh.options.replay(market, rows=20))
    20
    """
    moves, filled = filled_moves(market.moves(rows))
    shocks = moves.assign(days=365 / market.periods_per_year)
    shocks.attrs["filled"] = filled
    return shocks


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
    book = Revaluation(market, at)
    own = np.flatnonzero(with_own_greeks(market.own_exposures, len(market.names))[at])
    greeks = taken(market.sensitivities, at[own])
    pnl, clock = np.empty((len(shocks), len(at))), book.clock(0.0)
    for rows, shift in _shifts(market, shocks, at):
        if shift.days != clock.days:
            clock = book.clock(shift.days)
        if vols is not None:
            shift = replace(shift, vol=shift.vol + vols[rows])
        pnl[rows] = book.pnl(settling(shift, book.contracts.unsettled), clock)
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
    members = {kind: told(drivers, "kind", kind) for kind in ("vol", "rate", "basis")}
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
            on = told(market.instruments, "underlying", scope) if scope else np.ones(len(market.names), dtype=bool)
            if scope and not on.any():
                close = nearest(scope, market.instruments["underlying"].unique())
                raise DataError(f"scenarios: {name}: no instrument is on {scope}{close}; rename the column")
            words.append((word, values, 1.0 if on[at].all() else on[at].astype(float)))
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
        return np.flatnonzero(told(drivers, "kind", "price"))
    found = np.flatnonzero(drivers["kind"].isin(RETURNS).to_numpy() & told(drivers, "underlying", scope))
    if not found.size:
        close = nearest(scope, drivers["underlying"].unique())
        raise DataError(f"scenarios: spot:{scope}: no price driver of {scope}{close}; rename the column")
    return found


def _by_greeks(market: Market, s: Sensitivities, at: Positions, own: Positions, shift: Shift) -> Floats:
    """P&L of the contracts at[own] by their Greeks; what the desk says of vol counts for theirs too."""
    c = market.contracts.take(at[own])
    dated = np.where(np.isfinite(c.years), c.years, _MONTH)
    level, slope = smile_shape(np.where(c.option, c.strike, c.spot), np.where(c.option, c.forward, c.spot), dated)
    vol = at_positions(shift.vol, own) + level * at_positions(shift.term, own) + slope * at_positions(shift.skew, own)
    returns = np.asarray(at_positions(shift.growth, own) - 1)
    gain = taylor_pnl(s, returns, vol, at_positions(shift.rate, own), at_positions(shift.basis, own), shift.days)
    return (gain + s.value) * at_positions(shift.fx_growth, own) - s.value
