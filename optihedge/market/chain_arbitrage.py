"""What a chain of option quotes contradicts: prices by strike beyond bid and ask, parity against the forward used."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.snapshot import Market

_PARITY = 0.01  # of the forward, beyond the spreads: the forward used is another than the chain's
_ROUNDING = 1e-3  # of a price: a coin option's two quotes were converted at forwards a moment apart


def chain_table(market: Market) -> pd.DataFrame:
    """The European-style view of every option: underlying, expiry, right, strike, bid, ask (NaN: none), by label.

    Prices in the strike's money: those of coin-settled options times their forward.
    """
    c = market.contracts
    at = np.flatnonzero(c.option)
    table = market.instruments.iloc[at]
    unit = np.where(c.inverse[at], c.forward[at], 1.0)
    quotes = market.quotes.iloc[at]
    return pd.DataFrame({
        "underlying": table["underlying"].to_numpy(), "expiry": table["expiry"].to_numpy(),
        "venue": table["venue"].to_numpy(), "multiplier": c.multiplier[at],
        "right": np.where(c.right[at] > 0, "C", "P"),
        "strike": c.strike[at], "bid": quotes["bid"].to_numpy() * unit, "ask": quotes["ask"].to_numpy() * unit,
        "forward": c.forward[at], "discount": c.discount[at], "american": c.american[at],
    }, index=market.names[at])  # fmt: skip


def strike_arbitrage(chain: pd.DataFrame) -> list[tuple[str, str]]:
    """(label, what) of options whose bid is above the ask of one worth more, or above that of a butterfly's wings."""
    found = []
    for (_, _, _, _, right), rows in chain.groupby(
        ["underlying", "expiry", "venue", "multiplier", "right"], sort=False
    ):
        if len(rows) < 2:
            continue
        ordered = rows.sort_values("strike", ascending=right == "C")  # worth more first
        bid = ordered["bid"].fillna(0.0).to_numpy()
        ask = ordered["ask"].where(ordered["ask"] > 0, np.inf).to_numpy()
        least = np.minimum.accumulate(ask)
        told = set()
        for i in np.flatnonzero(bid[1:] > least[:-1] * (1 + _ROUNDING)) + 1:
            better = int(np.argmin(ask[:i]))
            told.add(int(i))
            found.append((str(ordered.index[i]), f"bid {bid[i]:g} is above the ask {ask[better]:g} of "
                          f"{ordered.index[better]}, which is worth more"))  # fmt: skip
        found += [(str(ordered.index[i]), what) for i, what in _butterflies(ordered, bid, ask) if i not in told]
    return found


def _butterflies(ordered: pd.DataFrame, bid: np.ndarray, ask: np.ndarray) -> list[tuple[int, str]]:
    """Rows whose bid is above what the two next strikes cost in the mix that is worth as much or more."""
    strike = ordered["strike"].to_numpy()
    found = []
    for i in range(1, len(strike) - 1):
        low, high = strike[i - 1], strike[i + 1]
        share = (high - strike[i]) / (high - low)
        wings = share * ask[i - 1] + (1 - share) * ask[i + 1]
        if bid[i] > wings * (1 + _ROUNDING):
            found.append((i, f"bid {bid[i]:g} is above the {wings:g} that {ordered.index[i - 1]} and "
                          f"{ordered.index[i + 1]} cost together: prices are not convex in strike"))  # fmt: skip
    return found


def parity_gaps(chain: pd.DataFrame) -> list[tuple[tuple[str, ...], str]]:
    """(labels, what) by expiry where the median forward of its call-put pairs is not the one used.

    American pairs count from twice the distance on: exercise bends their parity.
    """
    two_sided = chain[(chain["bid"] > 0) & (chain["ask"] > chain["bid"])]
    keys = ["underlying", "expiry", "venue", "multiplier", "strike"]
    calls, puts = (two_sided[two_sided["right"] == right] for right in "CP")
    pairs = pd.merge(calls.reset_index(names="call"), puts.reset_index(names="put"), on=keys, suffixes=("", "_put"))
    if pairs.empty:
        return []
    mid = (pairs["bid"] + pairs["ask"] - pairs["bid_put"] - pairs["ask_put"]) / 2
    pairs["implied"] = pairs["strike"] + mid / pairs["discount"]
    spread = (pairs["ask"] - pairs["bid"] + pairs["ask_put"] - pairs["bid_put"]) / 2
    pairs["beyond"] = (pairs["implied"] - pairs["forward"]).abs() - spread
    found = []
    for (asset, expiry), rows in pairs.groupby(["underlying", "expiry"], sort=False):
        near = rows[(rows["strike"] / rows["forward"] - 1).abs() < 0.2]
        if near.empty:
            continue
        allowed = _PARITY * near["forward"] * np.where(near["american"], 2.0, 1.0)
        if (near["beyond"] > allowed).mean() > 0.5:
            says, used = near["implied"].median(), near["forward"].median()
            text = (
                f"{asset} {pd.Timestamp(expiry):%Y-%m-%d}: call less put says a forward of {says:.6g}, not {used:.6g}"
            )
            found.append(((*near["call"], *near["put"]), text))
    return found
