"""Contradictions: what a market says twice and differently. Each has a kind, a severity, what is wrong and a remedy.

Severe ones hold the lists of models that read them, until they are mended or accepted by name.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from optihedge.frames import shown
from optihedge.market.chain_arbitrage import Chain, members, parity_gaps, strike_arbitrage
from optihedge.market.history import own_moves
from optihedge.market.instruments import only_shares
from optihedge.market.one_sided import one_sided
from optihedge.market.snapshot import Market
from optihedge.readonly import coded, kept, numbers, read_only
from optihedge.risk.finding import LEFT_OUT, SEVERE, UNREAD, WARNING, Finding
from optihedge.risk.suspects import suspect_findings

HISTORY = ("late column", "market jump", "old history", "midnight bars", "through zero", "renamed")
"""Kinds that speak of history: they matter to what is estimated from it."""

_SIGMAS = 12.0  # own deviations
_LEAST_JUMP = np.log(1.4)  # a quote nearer to its last level is a move, however many deviations
_SAME_DAY = 0.1  # ln of a price and a level: one thing, a day apart
_ROWS = 756  # of history looked at
_PERPETUAL, _YEARLY = 0.1, 1.0  # ln(F/S) of a perpetual; of a future a year (at least a month counts)
_LATE, _OLD = 5.0, 60.0  # usual spacings that a history may end before the instant: named, severe
_LAG, _APART = 0.3, 0.2  # correlation a row apart that counts, and by how much it exceeds that of the same row
_CHAIN = 4  # strikes that say where the market saw the price
_STRIKES, _BESIDE = 1.5, 0.1  # times the price that the middle of all strikes, calls and puts, is; and no strike beyond
_FEE, _RATE, _BORROW = 0.05, 1.0, 5.0
_COINS = "a contract of 1000 coins has multiplier 1000 and is quoted per coin; bring both to one unit"
_JOINED = "a history joined over rolls must end at today's price: scale it; else bring both to one unit"
_LOST = "mend it or take it out: until then nobody trades it, and who holds it is refused"
_MEND = "mend it: until then it keeps its mark, or its level before, and is not traded"
_SIDES = "bring both sides, or the venue's mark"
_FUND = "other units, or a split? bring all to one, or give the event; of a fund, quote its underlying too (type index)"
MOST_FUNDING = 0.02  # of the notional in one interval
MOST_DAYS = 25.0  # of volume, that a position may be


def find_contradictions(market: Market) -> tuple[Finding, ...]:
    """Everything that a market contradicts, severe ones first, and then the moves of its history that may be errors.

    Kinds: quote and history, share and underlying, against spot,
    parity, strike arbitrage, strikes and spot, units, late column, market jump,
    old history, midnight bars, through zero, renamed, left out, unread; of single moves, as warnings, the problems of
    `find_problems` that change the risk: wrong units, unadjusted split, missing payout, spike, jump.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> sorted({one.severity for one in oh.risk.find_contradictions(market)})
    ['warning']
    """
    found = contradictions(market)
    told = {one.subject for one in found if one.severity == SEVERE}  # of one driver the same is said once
    return (*found, *(one for one in suspect_findings(market) if one.subject not in told))


def contradictions(market: Market) -> tuple[Finding, ...]:
    """Those of `find_contradictions` that may hold a list, and other warnings; worked out once a market."""
    known = market.__dict__.get("_contradictions")
    if known is None:
        found = [
            *_quotes_and_history(market), *_relabelled(market), *_against_spot(market),
            *_chains(market), *_strikes(market), *_units(market),
            *_through_zero(market), *_ends(market), *_midnight(market), *_market_columns(market), *_renamed(market),
            *_faults(LEFT_OUT, market.left_out, _LOST), *_faults(UNREAD, market.unread, _MEND),
        ]  # fmt: skip
        known = tuple(sorted(found, key=lambda one: one.severity != SEVERE))
        market.__dict__["_contradictions"] = known
    return known


def _faults(kind: str, told: Mapping[str, str], remedy: str) -> list[Finding]:
    return [Finding(WARNING, kind, shown(name), why, remedy, (name,)) for name, why in told.items()]


def book_contradictions(market: Market, book: pd.Series) -> tuple[Finding, ...]:
    """Positions (contracts by label) beyond the open interest, or beyond many days of volume, and those whose value
    stands on one side of a quote.
    """
    at = market.names.get_indexer(book.index)
    size = np.where(at >= 0, np.abs(book.to_numpy(dtype=float)), 0.0)
    found = []
    interest, volume = _column(market, "open_interest")[at], numbers(market.quotes, "volume")[at]
    remedy = "check the units of both"
    for i in np.flatnonzero((size > interest) & (interest > 0)):
        name, detail = str(book.index[i]), f"{size[i]:,.6g} contracts against an open interest of {interest[i]:,.6g}"
        found.append(Finding(SEVERE, "beyond open interest", name, detail, remedy, (name,)))
    for i in np.flatnonzero((size > MOST_DAYS * volume) & (volume > 0)):
        name, detail = str(book.index[i]), f"{size[i]:,.6g} contracts are {size[i] / volume[i]:,.0f} days of volume"
        found.append(Finding(WARNING, "beyond volume", name, detail, remedy, (name,)))
    held = np.zeros(len(market.names), dtype=bool)
    held[at[(at >= 0) & (size > 0)]] = True
    sides = one_sided(market, held)
    return (*found, *(Finding(WARNING, "one side", shown(n), why, _SIDES, (n,)) for n, why in sides.items()))


# ---- quotes ----------------------------------------------------------------------------------------------------------


def _quotes_and_history(market: Market) -> list[Finding]:
    """A quote far from the last level of its own driver: other units, or a split that the history does not know."""
    prices, values = _prices(market), _price_levels(market)
    if len(market.history) < 20 or not len(prices):
        return []
    since, last = np.zeros(len(prices), dtype=int), values[-1]
    if np.isnan(last).any():
        known = np.isfinite(values)
        since = known[::-1].argmax(axis=0)  # rows after the last level
        last = np.where(known.any(axis=0), values[len(values) - 1 - since, np.arange(len(prices))], np.nan)
    now = market.levels.to_numpy(dtype=float)[_priced(market)]
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where((now > 0) & (last > 0), np.abs(np.log(now / last)), 0.0)
    far = [i for i in np.flatnonzero(moved > _LEAST_JUMP) if prices[i] not in market.acted_on]
    sigma = 1.4826 * _own(market, [prices[i] for i in far]).abs().median() if far else pd.Series()
    found = []
    for i in far:
        name, level, before, move = prices[i], float(now[i]), float(last[i]), moved[i]
        if move > _SIGMAS * float(sigma[name]) * np.sqrt(max(int(since[i]), 1)):
            detail = f"quoted {level:.6g}, last level {before:.6g} ({level / before:.4g} times)"
            remedy = "other units, or a split? bring quote, history and book to one unit, or give the event"
            found.append(Finding(SEVERE, "quote and history", str(name), detail, remedy, (str(name),)))
    return found


def _relabelled(market: Market) -> list[Finding]:
    """The only share on an underlying, under another label, far from the last level that is taken for its price: a
    hundred times it is pence for pounds; else a fund on it, a split, or another unit.
    """
    table, c, at = market.instruments, market.contracts, market.paths.driver
    rows = np.flatnonzero(only_shares(table) & (table["underlying"] != table.index).to_numpy() & (at >= 0))
    if not rows.size or not len(market.history):
        return []
    last = market.history.ffill().iloc[-1].to_numpy(dtype=float)[at[rows]]
    level, price = market.levels.to_numpy(dtype=float)[at[rows]], c.price[rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.log(price / last)
    found = []
    for i in np.flatnonzero((level == last) & (np.abs(apart) > _LEAST_JUMP)):
        name, asset = str(market.names[rows[i]]), str(table["underlying"].iloc[rows[i]])
        if {name, asset} & market.acted_on:
            continue
        pence = abs(apart[i] - np.log(100.0)) < _SAME_DAY
        detail = f"quoted {price[i]:.6g} on {asset}, last level {last[i]:.6g} ({price[i] / last[i]:.4g} times)"
        found.append(Finding(SEVERE if pence else WARNING, "share and underlying", name, detail, _FUND, (name, asset)))
    return found


def _against_spot(market: Market) -> list[Finding]:
    """A perpetual or future far from the price of its underlying; where all of an underlying's are, its price is."""
    c = market.contracts
    at = np.flatnonzero(c.future & (c.price > 0) & (c.spot > 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(np.log(c.price[at] / c.spot[at]))
    years = np.where(np.isfinite(c.years[at]), np.maximum(c.years[at], 1 / 12), np.nan)
    allowed = np.where(np.isnan(years), _PERPETUAL, np.maximum(_PERPETUAL, _YEARLY * years))
    far = apart > allowed
    if not far.any():
        return []
    assets, found = market.instruments["underlying"].to_numpy()[at], []
    for asset in dict.fromkeys(assets[far]):
        own = assets == asset
        names, prices = [str(name) for name in market.names[at[own & far]]], c.price[at[own]]
        ratio, spot = prices / c.spot[at[own]], f"{c.spot[at[own]][0]:.6g}, the price of {asset}"
        if len(names) > 1 and far[own].all() and ratio.max() / ratio.min() < np.exp(_LEAST_JUMP):
            detail = f"{len(names)} contracts at {prices.min():.6g} to {prices.max():.6g} against {spot}"
            found.append(Finding(SEVERE, "against spot", str(asset), detail, _JOINED, tuple(names)))
            continue
        for name, price in zip(names, c.price[at[own & far]], strict=True):
            found.append(Finding(SEVERE, "against spot", name, f"{price:.6g} against {spot}", _COINS, (name,)))
    return found


def _chains(market: Market) -> list[Finding]:
    """Arbitrage by strike, and forwards that call-put parity contradicts."""
    if not market.contracts.option.any():
        return []
    chain = Chain.of(market)
    remedy = "one of the quotes is stale or wrong; renew it, or give the option's vol"
    found = [Finding(SEVERE, "strike arbitrage", name, what, remedy, (name,)) for name, what in strike_arbitrage(chain)]
    for labels, what in parity_gaps(market, chain):
        remedy = "give underlying_price, the forward of the expiry (dividends and borrow are in it), or events.csv"
        found.append(Finding(SEVERE, "parity", what.split(":")[0], what.split(": ", 1)[1], remedy, labels))
    return found


def _strikes(market: Market) -> list[Finding]:
    """All strikes of an underlying's calls and puts on one side of its price: a split that one does not know."""
    c = market.contracts
    at = np.flatnonzero(c.option & (c.spot > 0))
    if not at.size:
        return []
    ratio, call = c.strike[at] / c.spot[at], c.right[at] > 0
    codes, assets = coded(market.instruments, "underlying")
    found = []
    for of in members(codes[at], np.arange(at.size)):
        own, middle = ratio[of], np.median(ratio[of])
        beyond = own.min() > 1 + _BESIDE or own.max() < 1 - _BESIDE
        sided = call[of].any() and not call[of].all()
        if max(middle, 1 / middle) > _STRIKES and beyond and sided and len(np.unique(own)) >= _CHAIN:
            asset, labels = str(assets[codes[at[of[0]]]]), tuple(map(str, market.names[at[of]]))
            detail = f"its strikes are {own.min():.3g} to {own.max():.3g} times its price"
            remedy = "an unadjusted split? bring strikes, quote and multiplier to one side of it"
            found.append(Finding(SEVERE, "strikes and spot", asset, detail, remedy, labels))
    return found


def _units(market: Market) -> list[Finding]:
    """Fees, funding, rates and borrow that no market has: percent or basis points for fractions."""
    table, quotes, size = market.instruments, market.quotes, market.notional.to_numpy(dtype=float)
    fixed = numbers(table, "fee_per_contract") * market.contracts.fx
    told = (
        ("fee", numbers(table, "fee"), _FEE, "of the notional"),
        ("fee_per_contract", np.divide(fixed, size, out=np.zeros_like(fixed), where=size > 0), _FEE, "of the notional"),
        ("funding_rate", numbers(quotes, "funding_rate"), MOST_FUNDING, "for one interval"),
        ("rate", numbers(quotes, "rate"), _RATE, "a year"),
        ("borrow_rate", numbers(quotes, "borrow_rate"), _BORROW, "a year"),
    )  # fmt: skip
    found = []
    for column, figures, most, of in told:
        for i in np.flatnonzero(np.abs(figures) > most):
            name, detail = str(market.names[i]), f"{column} is {figures[i]:.4g} {of}"
            found.append(Finding(SEVERE, "units", name, detail, "write a fraction: 0.0005 is 5 bp", (name,)))
    return found


# ---- history ---------------------------------------------------------------------------------------------------------


def _through_zero(market: Market) -> list[Finding]:
    found, values = [], _price_levels(market)
    if not (values <= 0).any():
        return []
    lowest = np.fmin.reduce(values, axis=0, initial=np.inf)
    for at in np.flatnonzero(lowest <= 0):
        name, low = _prices(market)[at], lowest[at]
        detail = f"its levels go down to {low:.6g}: a return through zero has no meaning"
        remedy = "give changes of price: a driver of another contract month, or its risk from outside"
        found.append(Finding(SEVERE, "through zero", str(name), detail, remedy, (str(name),)))
    return found


def _ends(market: Market) -> list[Finding]:
    """A history that ends long before the instant."""
    index = market.history.index
    if len(index) < 5:
        return []
    gap = (market.as_of - index[-1]).value - (86_399e9 if market.history.attrs.get("dates") else 0.0)
    late = gap / float(np.median(np.diff(index.as_unit("ns").asi8))) if gap > 0 else 0.0
    if late <= _LATE:
        return []
    detail = f"it ends {index[-1]:%Y-%m-%d %H:%M}, {late:.0f} usual rows before {market.as_of:%Y-%m-%d %H:%M}"
    names = tuple(map(str, market.history.columns))
    return [Finding(SEVERE if late > _OLD else WARNING, "old history", "history", detail, "bring its last rows", names)]


def _midnight(market: Market) -> list[Finding]:
    """Daily rows stamped midnight UTC, though the drivers say that a day's level is known at its close."""
    index = market.history.index
    if market.history.attrs.get("dates") or len(index) < 5 or index[0] != index[0].normalize():
        return []
    said = market.drivers.index[(market.drivers["known_at"] != "").to_numpy()]
    if not len(said) or not (index == index.normalize()).all():
        return []
    detail = f"rows are stamped 00:00 UTC, and {said[0]} is known at {market.drivers.at[said[0], 'known_at']}"
    remedy = "write bare dates (2026-01-20), which known_at makes instants, or the instant of each close"
    return [Finding(SEVERE, "midnight bars", "history", detail, remedy, tuple(map(str, said)))]


def _market_columns(market: Market) -> list[Finding]:
    """Market drivers a row apart from the rest, and jumps of theirs when nothing else moves."""
    prices, markets = _prices(market), kept(market.drivers, "markets", lambda: _markets(market.drivers))
    if not markets:
        return []
    marked = [name for name in prices if name in markets]
    others = [name for name in prices if name not in markets]
    if not marked or not others or len(market.history) < 60:
        return []
    moves = _own(market, prices).tail(_ROWS)
    rest = moves[others]
    common = (rest / rest.std()).mean(axis=1)
    found = []
    for name in marked:
        own = np.log1p(moves[name])
        clipped = own.clip(-6 * own.abs().median(), 6 * own.abs().median())
        same, before, after = (clipped.corr(common.shift(lag)) for lag in (0, 1, -1))
        for word, value in (("later", before), ("earlier", after)):
            if value > _LAG and value > same + _APART:
                detail = f"its moves correlate {value:.2f} with the others' a row apart, {same:.2f} on the same row"
                found.append(Finding(SEVERE, "late column", name, f"{detail}: its column is a row {word}",
                                     "shift the column, or give each driver its known_at", (name,)))  # fmt: skip
        sigma = 1.4826 * own.abs().median()
        quiet = (rest.abs() / (1.4826 * rest.abs().median())).median(axis=1) < 3
        for row in own.index[(own.abs() > _SIGMAS * sigma) & quiet]:
            detail = (
                f"{own[row]:+.1%} on {row:%Y-%m-%d}, {abs(own[row]) / sigma:.0f} own deviations, and nothing else moved"
            )
            remedy = "a roll or another contract? chain the column, or mend the row"
            found.append(Finding(SEVERE, "market jump", name, detail, remedy, (name,)))
    return found


def _markets(drivers: pd.DataFrame) -> frozenset[str]:
    return frozenset(str(name) for name in drivers.index[drivers["market"].to_numpy(dtype=bool)])


def _renamed(market: Market) -> list[Finding]:
    """A column that ends where another begins, at a level that it could have had."""
    history, values = market.history, _price_levels(market)
    if len(history) < 20 or not np.isnan(values[-1]).any():
        return []
    names, known = _prices(market), np.isfinite(values)
    first, last = known.argmax(axis=0), len(known) - 1 - known[::-1].argmax(axis=0)
    found = []
    for i in np.flatnonzero(known.any(axis=0) & (last < len(known) - 1)):
        for j in np.flatnonzero((first > last[i]) & (first <= last[i] + 3)):
            ratio = history[names[j]].iloc[first[j]] / history[names[i]].iloc[last[i]]
            if 0.7 < ratio < 1.4:
                detail = f"{names[i]} ends {history.index[last[i]]:%Y-%m-%d} where {names[j]} begins"
                remedy = "renamed? chain both into one column under the new name, or give the rename as an event"
                found.append(Finding(WARNING, "renamed", names[j], detail, remedy, (names[i], names[j])))
    return found


# ---- parts -----------------------------------------------------------------------------------------------------------


def _priced(market: Market) -> np.ndarray:
    """D booleans: drivers of a price."""
    return kept(market.drivers, "priced", lambda: read_only((market.drivers["kind"] == "price").to_numpy()))


def _prices(market: Market) -> list[str]:
    return kept(market.drivers, "prices", lambda: [str(name) for name in market.drivers.index[_priced(market)]])


def _price_levels(market: Market) -> np.ndarray:
    """History of the price drivers, T x their number."""
    levels, priced = market.history.to_numpy(dtype=float), _priced(market)
    return levels if priced.all() else levels[:, priced]


def _own(market: Market, names: list[str]) -> pd.DataFrame:
    return own_moves(market.history[names], np.ones(len(names), bool))


def _column(market: Market, name: str) -> np.ndarray:
    """A column of numbers of the desk's own (N), NaN where there is none."""
    if name not in market.instruments.columns:
        return np.full(len(market.names), np.nan)
    return pd.to_numeric(market.instruments[name], errors="coerce").to_numpy(dtype=float)
