"""Expected cash dividends of what options stand on, and the forwards that follow from them.

A dividend is expected where an event says so: kind dividend, ex-date (its `time`) after the snapshot, known before it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optihedge.errors import DataError
from optihedge.market.events import check_events
from optihedge.market.pricing import SECONDS_PER_YEAR

Floats = NDArray[np.float64]

_ROUNDS = 50
_EXACT = 1e-13


def expected_dividends(events: pd.DataFrame | None, as_of: pd.Timestamp) -> pd.DataFrame:
    """The dividends with an ex-date after as_of that were known by then, in order of time. Raises DataError."""
    if events is None:
        return pd.DataFrame({"time": pd.DatetimeIndex([], tz="UTC"), "instrument": [], "value": [], "money": []})
    table = check_events(events)
    chosen = (table["kind"] == "dividend") & (table["time"] > as_of) & (table["known_at"] <= as_of)
    return table[chosen].reset_index(drop=True)


def dividend_schedule(
    expected: pd.DataFrame, instruments: pd.DataFrame, option: NDArray[np.bool_], quoted: pd.Series
) -> tuple[Floats, Floats]:
    """Years from its quote to each ex-date before its expiry and the cash per unit, N x D, NaN and 0 beyond the last.

    expected   as `expected_dividends`; an event's instrument is the underlying's name or a contract on it that is no
               option. Raises DataError for a dividend in a currency that is not the option's.
    """
    empty = np.full((len(instruments), 0), np.nan), np.zeros((len(instruments), 0))
    if not len(expected) or not option.any():
        return empty
    stock = instruments["underlying"].where(~option)
    asset = expected["instrument"].map(stock[stock.notna()]).fillna(expected["instrument"])
    live: list[tuple[int, pd.DataFrame]] = []
    for name, paid in expected[expected["value"] > 0].groupby(asset, sort=False):
        for row in np.flatnonzero(option & (instruments["underlying"] == name).to_numpy()):
            before = paid[paid["time"] < instruments["expiry"].iat[row]]
            strange = before[before["money"] != instruments["currency"].iat[row]]
            if len(strange):
                raise DataError(
                    f"events: dividend {strange['event_id'].iat[0]} of {name} is in {strange['money'].iat[0]}, but "
                    f"{instruments.index[row]} is in {instruments['currency'].iat[row]}; convert it",
                    instruments=(str(instruments.index[row]),),
                )
            live.append((int(row), before))
    width = max((len(before) for _, before in live), default=0)
    ex, cash = np.full((len(instruments), width), np.nan), np.zeros((len(instruments), width))
    for which, before in live:
        ex[which, : len(before)] = (before["time"] - quoted.iat[which]).dt.total_seconds() / SECONDS_PER_YEAR
        cash[which, : len(before)] = before["value"]
    return ex, cash


def dividend_forwards(spot: Floats, carry: Floats, years: Floats, ex: Floats, cash: Floats) -> Floats:
    """S e^(bT) less each dividend grown from its ex-date: spot, carry (per year) and years N; ex, cash N x D."""
    left = np.where(np.isfinite(ex), years[:, None] - ex, 0.0)
    return spot * np.exp(carry * years) - (cash * np.exp(carry[:, None] * left)).sum(axis=1)


def implied_carry(forward: Floats, spot: Floats, years: Floats, ex: Floats, cash: Floats) -> Floats:
    """The carry at which the dividends make this forward: the inverse of `dividend_forwards`, by Newton's steps."""
    carry = np.log((forward + cash.sum(axis=1)) / spot) / years
    left = np.where(np.isfinite(ex), years[:, None] - ex, 0.0)
    for _ in range(_ROUNDS if cash.shape[1] else 0):
        grown = cash * np.exp(carry[:, None] * left)
        ahead = spot * np.exp(carry * years)
        miss = ahead - grown.sum(axis=1) - forward
        carry = carry - miss / (years * ahead - (left * grown).sum(axis=1))
        if np.all(np.abs(miss) <= _EXACT * forward):
            break
    return carry
