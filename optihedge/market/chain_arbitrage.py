"""What a chain of option quotes contradicts: prices by strike beyond bid and ask, parity against the forward used."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.snapshot import Market

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


def strike_arbitrage(chain: pd.DataFrame) -> list[tuple[str, str]]:
    """(label, what) of options whose bid is above the ask of one worth more, or above that of a butterfly's wings."""
    group = _groups(chain, ["underlying", "expiry", "venue", "multiplier", "right"])
    strike, bids, asks = (chain[name].to_numpy(dtype=float) for name in ("strike", "bid", "ask"))
    worth = np.where((chain["right"] == "C").to_numpy(), strike, -strike)
    found: list[tuple[str, str]] = []
    for at in _members(group, worth):  # worth more first
        names, bid = chain.index[at], np.nan_to_num(bids[at])
        ask = np.where(asks[at] > 0, asks[at], np.inf)
        least = np.minimum.accumulate(ask)
        told = np.flatnonzero(bid[1:] > least[:-1] * (1 + _ROUNDING)) + 1
        for i in told:
            better = int(np.argmin(ask[:i]))
            found.append((str(names[i]), f"bid {bid[i]:g} is above the ask {ask[better]:g} of {names[better]}, "
                          "which is worth more"))  # fmt: skip
        wings = _wings(strike[at], ask)
        for i in np.setdiff1d(np.flatnonzero(bid > wings * (1 + _ROUNDING)), told):
            found.append((str(names[i]), f"bid {bid[i]:g} is above the {wings[i]:g} that {names[i - 1]} and "
                          f"{names[i + 1]} cost together: prices are not convex in strike"))  # fmt: skip
    return found


def _wings(strike: Array, ask: Array) -> Array:
    """By option what the two next strikes cost in the mix that is worth as much or more; inf at both ends."""
    wings = np.full(len(strike), np.inf)
    low, mid, high = strike[:-2], strike[1:-1], strike[2:]
    with np.errstate(divide="ignore", invalid="ignore"):  # options of one strike are no butterfly: NaN
        share = (high - mid) / (high - low)
        wings[1:-1] = share * ask[:-2] + (1 - share) * ask[2:]
    return wings


def parity_gaps(chain: pd.DataFrame) -> list[tuple[tuple[str, ...], str]]:
    """(labels, what) by expiry where the median forward of its call-put pairs is not the one used.

    American pairs count from twice the distance on: exercise bends their parity.
    """
    bid, ask, strike = (chain[name].to_numpy(dtype=float) for name in ("bid", "ask", "strike"))
    call, put = _pairs(chain, np.flatnonzero((bid > 0) & (ask > bid)))
    implied = strike[call] + (bid[call] + ask[call] - bid[put] - ask[put]) / 2 / chain["discount"].to_numpy()[call]
    spread = (ask[call] - bid[call] + ask[put] - bid[put]) / 2
    forward = chain["forward"].to_numpy()[call]
    allowed = _PARITY * forward * np.where(chain["american"].to_numpy()[call], 2.0, 1.0)
    far = np.abs(implied - forward) - spread > allowed
    near = np.flatnonzero(np.abs(strike[call] / forward - 1) < _NEAR)
    found = []
    for at in _members(_groups(chain, ["underlying", "expiry"])[call[near]]):
        of = near[at]
        if far[of].mean() > 0.5:
            asset, expiry = chain["underlying"].iloc[call[of[0]]], chain["expiry"].iloc[call[of[0]]]
            says, used = np.median(implied[of]), np.median(forward[of])
            text = f"{asset} {expiry:%Y-%m-%d}: call less put says a forward of {says:.6g}, not {used:.6g}"
            found.append(((*chain.index[call[of]], *chain.index[put[of]]), text))
    return found


def _pairs(chain: pd.DataFrame, among: Array) -> tuple[Array, Array]:
    """Places of the calls and puts that differ in nothing else, pair by pair in the order of the calls."""
    group = _groups(chain, ["underlying", "expiry", "venue", "multiplier", "strike"])
    right = (chain["right"] == "C").to_numpy()
    calls, puts = among[right[among]], among[~right[among]]
    puts = puts[np.argsort(group[puts], kind="stable")]
    first, end = (np.searchsorted(group[puts], group[calls], side) for side in ("left", "right"))
    count = np.where(group[calls] >= 0, end - first, 0)
    nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(calls, count), puts[np.repeat(first, count) + nth]


def _groups(chain: pd.DataFrame, keys: list[str]) -> Array:
    """A number per row, equal where all keys are, by first appearance; -1 where one is missing."""
    code, known = np.zeros(len(chain), dtype=np.int64), np.ones(len(chain), dtype=bool)
    for key in keys:
        own, names = pd.factorize(chain[key].array)
        known &= own >= 0
        code = pd.factorize(code * (len(names) + 1) + own)[0]
    return np.where(known, code, -1)


def _members(group: Array, order: Array | None = None) -> list[Array]:
    """Places of each group's rows, in its order; of those that are none (-1) not."""
    by = np.lexsort((group,) if order is None else (order, group))
    by = by[group[by] >= 0]
    return np.split(by, np.flatnonzero(np.diff(group[by])) + 1) if len(by) else []
