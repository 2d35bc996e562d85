"""Forwards that a chain's own calls and puts imply, expiry by expiry, where nobody gives them.

European parity is exact. American calls and puts lose the premium of early exercise first, at the vols that their mids
imply on the forward found so far; near the money that premium is small, and a few rounds settle it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.errors import DataError
from optihedge.market.american import american_implied_vol, american_price
from optihedge.market.contracts import Contracts
from optihedge.market.dividends import implied_carry
from optihedge.market.forwards import fit_parity
from optihedge.market.pricing import black

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Positions = NDArray[np.intp]

_LEAST = 3  # strikes quoted on both sides, call and put, that an expiry needs
_MOST = 8  # and the ones nearest the money that are read
_REACH = 0.15  # of the forward, in ln K
_ROUNDS = 3  # of early exercise
_LOCKED = 1e-5  # of the strike: the least spread
_DEAR = 0.01  # of the forward: where the narrowest spread of call and put is wider, parity says nothing
_APART = 0.005  # in ln F: where parity contradicts a forward in use
_STRANGE, _YEARLY = 0.02, 0.30  # in ln F, and a year: a forward farther from the carried spot is not taken


def parity_of_chain(c: Contracts, underlying: NDArray[np.object_], bid: Floats, ask: Floats, asked: Flags) -> Floats:
    """N forwards by put-call parity for the options asked for, NaN where their expiry says none.

    c   forwards those of the carried spot, discounts given; prices in the strike's money (no coin-settled options)
    """
    found = np.full(len(c.price), np.nan)
    if not asked.any() or not len(pairs := _pairs(c, underlying, bid, ask, asked)):
        return found
    mid = (bid + ask) / 2
    difference = mid[pairs["call"]] - mid[pairs["put"]]
    forward = _fitted(c, pairs, difference)
    early = c.american[pairs["call"]]
    for _ in range(_ROUNDS if early.any() else 0):
        some = pairs[early & np.isfinite(forward)]
        premium = _premium(c, some, forward[some.index], mid)
        difference[some.index] = (mid[some["call"]] - mid[some["put"]]) - premium
        forward = _fitted(c, pairs, difference)
    by_group = pd.Series(forward).groupby(pairs["group"]).first()
    rows = np.flatnonzero(asked)
    found[rows] = pd.Series(_groups(c, underlying)[rows]).map(by_group).to_numpy(dtype=float)
    return found


def with_parity(c: Contracts, underlying: pd.Series, quotes: pd.DataFrame, unsaid: Flags) -> Contracts:
    """The contracts with the forwards that their chain says where nobody else does, and the carry that follows; one too
    far from the carried spot is not taken (see `contradictions`)."""
    bid, ask = (quotes[side].to_numpy(dtype=float) for side in ("bid", "ask"))
    found = parity_of_chain(c, underlying.to_numpy(), bid, ask, unsaid)
    taken = np.isfinite(found) & ~_strange(found, c.forward, c.years)
    if not taken.any():
        return c
    forward, carry, grows = np.where(taken, found, c.forward), c.carry.copy(), taken & c.american & ~c.on_future
    carry[grows] = implied_carry(forward[grows], c.spot[grows], c.years[grows], c.ex[grows], c.cash[grows])
    return replace(c, forward=forward, carry=carry)


def contradictions(c: Contracts, underlying: pd.Series, quotes: pd.DataFrame) -> Floats:
    """N forwards by parity where they are more than 0.5 % from the ones in use, NaN elsewhere."""
    bid, ask = (quotes[side].to_numpy(dtype=float) for side in ("bid", "ask"))
    found = parity_of_chain(c, underlying.to_numpy(), bid, ask, c.option & ~c.inverse)
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(np.log(found / c.forward)) > _APART, found, np.nan)


def _strange(forward: Floats, carried: Floats, years: Floats) -> Flags:
    with np.errstate(invalid="ignore", divide="ignore"):
        return ~(np.abs(np.log(forward / carried)) <= _STRANGE + _YEARLY * years)


def _groups(c: Contracts, underlying: NDArray[np.object_]) -> NDArray[np.intp]:
    """Codes of underlying, expiry and style, N."""
    frame = pd.DataFrame({"u": underlying, "t": np.round(c.years, 7), "a": c.american, "f": c.fx})
    return frame.groupby(list(frame), sort=False, dropna=False).ngroup().to_numpy()


def _pairs(c: Contracts, underlying: NDArray[np.object_], bid: Floats, ask: Floats, asked: Flags) -> pd.DataFrame:
    """Calls and puts of one strike near the money, quoted on both sides: group, call, put (positions), spread; expiries
    with too few are left out."""
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.abs(np.log(c.strike / c.forward))
    good = asked & (bid > 0) & (ask >= bid) & (away < _REACH) & (c.years > 0)
    at = np.flatnonzero(good)
    frame = pd.DataFrame({
        "group": _groups(c, underlying)[at], "strike": c.strike[at], "right": c.right[at], "row": at, "away": away[at],
    }).drop_duplicates(["group", "strike", "right"])  # fmt: skip
    calls, puts = (frame[frame["right"] == right].drop(columns="right") for right in (1.0, -1.0))
    pairs = calls.merge(puts[["group", "strike", "row"]], on=["group", "strike"], suffixes=("", "_put"))
    pairs = pairs.rename(columns={"row": "call", "row_put": "put"}).sort_values(["group", "away"], kind="stable")
    pairs = pairs[pairs.groupby("group").cumcount() < _MOST]
    pairs = pairs[pairs.groupby("group")["call"].transform("size") >= _LEAST].reset_index(drop=True)
    spread = sum(ask[pairs[side]] - bid[pairs[side]] for side in ("call", "put"))
    return pairs.assign(spread=np.maximum(spread, _LOCKED * pairs["strike"]))


def _fitted(c: Contracts, pairs: pd.DataFrame, difference: Floats) -> Floats:
    """The forward of each pair's expiry, NaN where its quotes are too wide or make no line."""
    forward = np.full(len(pairs), np.nan)
    for _, mine in pairs.groupby("group", sort=False):
        at, first = mine.index, mine["call"].iloc[0]
        at = at[np.isfinite(difference[at])]
        if len(at) < _LEAST or mine["spread"].min() > _DEAR * c.forward[first]:
            continue
        try:
            line = fit_parity(mine["strike"][at], difference[at], mine["spread"][at], float(c.discount[first]))
        except DataError:
            continue
        if line.forward > 0:
            forward[mine.index] = line.forward
    return forward


def _premium(c: Contracts, pairs: pd.DataFrame, forward: Floats, mid: Floats) -> Floats:
    """What early exercise makes the call dearer than the put of each pair, at vols from their mids; NaN without one."""
    premium = []
    for side in ("call", "put"):
        at = pairs[side].to_numpy()
        o = replace(c.take(at), forward=forward)
        grows = ~o.on_future
        carry = np.zeros(len(at))
        carry[grows] = implied_carry(forward[grows], o.spot[grows], o.years[grows], o.ex[grows], o.cash[grows])
        terms = (o.deliverable, o.strike, o.years)
        rest = (o.right, o.rate, carry, o.ex, o.cash)
        vol = american_implied_vol(mid[at], *terms, *rest)
        european = black(forward, o.strike, o.years, vol, o.right, o.discount)
        premium.append(american_price(*terms, vol, *rest) - european)
    return premium[0] - premium[1]
