"""What a chain of option quotes contradicts: prices by strike beyond bid and ask, parity against the forward used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.market.snapshot import Market
from optihedge.readonly import coded, numbers

_PARITY = 0.01  # of the forward, beyond the spreads: the forward used is another than the chain's
_ROUNDING = 1e-3  # of a price: a coin option's two quotes were converted at forwards a moment apart
_NEAR = 0.2  # of the forward: strikes that tell it

Array = np.ndarray


def chain_table(market: Market) -> pd.DataFrame:
    """The European-style view of every option: underlying, expiry, right, strike, bid, ask (NaN: none), by label.

    Prices in the strike's money: those of coin-settled options times their forward.
    """
    c, table, quotes = market.contracts, market.instruments, market.quotes
    at = np.flatnonzero(c.option)
    unit = np.where(c.inverse[at], c.forward[at], 1.0)
    return pd.DataFrame({
        **{name: table[name].array[at] for name in ("underlying", "expiry", "venue")}, "multiplier": c.multiplier[at],
        "right": np.where(c.right[at] > 0, "C", "P"), "strike": c.strike[at],
        **{side: quotes[side].to_numpy()[at] * unit for side in ("bid", "ask")},
        "forward": c.forward[at], "discount": c.discount[at], "american": c.american[at],
    }, index=market.names[at])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Chain:
    """n options as arrays, prices in the strike's money, NaN where there is none.

    tick     of its price; 0 where it is not told
    expiry   which underlying's expiry each is of, numbered by first appearance; -1: not told
    series   the same of options that differ in right and strike alone
    """

    names: pd.Index
    expiry: Array
    series: Array
    call: Array
    strike: Array
    bid: Array
    ask: Array
    tick: Array

    @classmethod
    def of(cls, market: Market) -> Chain:
        """The options of a market."""
        c, table = market.contracts, market.instruments
        at = np.flatnonzero(c.option)
        unit = np.where(c.inverse[at], c.forward[at], 1.0)
        told = [coded(table, name)[0][at] for name in ("underlying", "expiry", "venue")]
        expiry, (bid, ask) = _joined(*told[:2]), [market.quotes[side].to_numpy()[at] * unit for side in ("bid", "ask")]
        series = _joined(expiry, told[2], pd.factorize(c.multiplier[at])[0])
        tick = np.nan_to_num(numbers(table, "tick")[at]) * unit
        return cls(market.names[at], expiry, series, c.right[at] > 0, c.strike[at], bid, ask, tick)

    @classmethod
    def of_table(cls, table: pd.DataFrame) -> Chain:
        """Of a table of underlying, expiry, venue, multiplier, right, strike, bid and ask by label."""
        told = [pd.factorize(table[name].array)[0] for name in ("underlying", "expiry", "venue", "multiplier")]
        expiry, call = _joined(*told[:2]), (table["right"] == "C").to_numpy()
        strike, bid, ask = (table[name].to_numpy(dtype=float) for name in ("strike", "bid", "ask"))
        return cls(table.index, expiry, _joined(expiry, *told[2:]), call, strike, bid, ask, np.zeros(len(table)))


def strike_arbitrage(chain: Chain) -> list[tuple[str, str]]:
    """(label, what) of options whose bid is above the ask of one worth more, or by more than a tick above that of a
    butterfly's wings: prices on a grid bend by less than a tick where nothing is wrong.
    """
    group = _joined(chain.series, chain.call.astype(int))
    by = np.lexsort((np.where(chain.call, chain.strike, -chain.strike), group))  # worth more first
    by = by[group[by] >= 0]
    group, strike, bid, names = group[by], chain.strike[by], np.nan_to_num(chain.bid[by]), chain.names[by]
    ask = np.where(chain.ask[by] > 0, chain.ask[by], np.inf)
    before = np.append(False, group[1:] == group[:-1])[: len(by)]  # there is one before it in its group
    least, wings = _least_so_far(ask, group), _wings(strike, ask, before)
    dear = np.flatnonzero(before & (bid > np.append(np.inf, least[:-1])[: len(by)] * (1 + _ROUNDING)))
    bent = np.setdiff1d(np.flatnonzero(bid > wings * (1 + _ROUNDING) + chain.tick[by]), dear)
    found = []
    for i in dear:
        first = int(np.searchsorted(group, group[i]))
        better = first + int(np.argmin(ask[first:i]))
        what = f"bid {bid[i]:g} is above the ask {ask[better]:g} of {names[better]}, which is worth more"
        found.append((group[i], 0, str(names[i]), what))
    for i in bent:
        what = f"bid {bid[i]:g} is above the {wings[i]:g} that {names[i - 1]} and {names[i + 1]} cost together"
        found.append((group[i], 1, str(names[i]), f"{what}: prices are not convex in strike"))
    return [one[2:] for one in sorted(found, key=lambda one: one[:2])]


def _least_so_far(values: Array, group: Array) -> Array:
    """The least of each and those before it in its group, groups in order: by ranks, those of later groups lower."""
    order = np.argsort(values, kind="stable")
    rank, lift = np.argsort(order, kind="stable"), len(values) * group
    return values[order][np.minimum.accumulate(rank - lift) + lift]


def _wings(strike: Array, ask: Array, before: Array) -> Array:
    """By option what the two next strikes cost in the mix that is worth as much or more; inf at a group's ends."""
    wings = np.full(len(strike), np.inf)
    low, mid, high = strike[:-2], strike[1:-1], strike[2:]
    with np.errstate(divide="ignore", invalid="ignore"):  # options of one strike are no butterfly: NaN
        share = (high - mid) / (high - low)
        wings[1:-1] = np.where(before[1:-1] & before[2:], share * ask[:-2] + (1 - share) * ask[2:], np.inf)
    return wings


def parity_gaps(market: Market, chain: Chain) -> list[tuple[tuple[str, ...], str]]:
    """(labels, what) by expiry where the median forward of its call-put pairs is not the one used.

    American pairs count from twice the distance on: exercise bends their parity.
    """
    c = market.contracts
    forward, discount, american = (values[c.option] for values in (c.forward, c.discount, c.american))
    bid, ask, strike = chain.bid, chain.ask, chain.strike
    call, put = _pairs(chain, np.flatnonzero((bid > 0) & (ask > bid)))
    implied = strike[call] + (bid[call] + ask[call] - bid[put] - ask[put]) / 2 / discount[call]
    spread = (ask[call] - bid[call] + ask[put] - bid[put]) / 2
    used = forward[call]
    allowed = _PARITY * used * np.where(american[call], 2.0, 1.0)
    far = np.abs(implied - used) - spread > allowed
    near = np.flatnonzero(np.abs(strike[call] / used - 1) < _NEAR)
    found = []
    for of in members(chain.expiry[call], near):
        if far[of].mean() > 0.5:
            first = market.instruments.loc[chain.names[call[of[0]]]]
            says = f"{np.median(implied[of]):.6g}, not {np.median(used[of]):.6g}"
            text = f"{first['underlying']} {first['expiry']:%Y-%m-%d}: call less put says a forward of {says}"
            found.append(((*chain.names[call[of]], *chain.names[put[of]]), text))
    return found


def _pairs(chain: Chain, among: Array) -> tuple[Array, Array]:
    """Places of the calls and puts that differ in nothing else, pair by pair in the order of the calls."""
    group = _joined(chain.series, pd.factorize(chain.strike)[0])
    calls, puts = among[chain.call[among]], among[~chain.call[among]]
    puts = puts[np.argsort(group[puts], kind="stable")]
    first, end = (np.searchsorted(group[puts], group[calls], side) for side in ("left", "right"))
    count = np.where(group[calls] >= 0, end - first, 0)
    nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(calls, count), puts[np.repeat(first, count) + nth]


def _joined(*codes: Array) -> Array:
    """A number per row, equal where all codes are, by first appearance; -1 where one is."""
    joined = codes[0]
    for own in codes[1:]:
        missing = (joined < 0) | (own < 0)
        joined = pd.factorize(joined * (own.max(initial=0) + 1) + own)[0]
        joined[missing] = -1
    return joined


def members(group: Array, among: Array) -> Iterator[Array]:
    """The places `among` all that are of each group, in order; of those that are of none (-1) not."""
    by = among[np.argsort(group[among], kind="stable")]
    by = by[group[by] >= 0]
    yield from np.split(by, np.flatnonzero(np.diff(group[by])) + 1) if len(by) else ()
