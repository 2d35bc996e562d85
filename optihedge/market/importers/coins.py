"""Coins: what crypto venues' contracts have in common, from a venue's words to instruments."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.importers.intake import Intake
from optihedge.market.pricing import black, years_between

SETTLES_IN_COIN = "inverse_"


def label_of(venue: str, symbol: pd.Series) -> pd.Series:
    """The instrument's label, `venue:symbol`: the same every night, whatever else is imported beside it."""
    return (venue + ":" + symbol.astype(str)).where(symbol.astype(str) != "", "")


def add_contracts(intake: Intake, rows: pd.DataFrame) -> None:
    """Instruments from columns in a venue's words.

    symbol, family (spot, perpetual, future, option), base, quote, settle (of a contract), size (units of base, or of
    quote where it settles in base), tick, lot and least (contracts); and, where the venue says them, amount (what it
    counts for one contract), expiry, strike, right (C, P), fee, fee_cap, min_notional, further facts.
    """
    base, quote = rows["base"], rows["quote"]
    settle = rows["settle"].where(rows["settle"] != "", quote)
    contract = rows["family"] != "spot"
    inverse = contract & (settle == base)
    table = rows.drop(columns=["family", "base", "quote", "settle", "size", "least"]).assign(
        instrument=label_of(intake.venue, rows["symbol"]), venue=intake.venue, underlying=base, multiplier=rows["size"],
        type=np.where(inverse, SETTLES_IN_COIN, "") + rows["family"].astype(str),
        currency=quote.where(inverse | ~contract, settle), min_quantity=rows["least"],
        settlement_currency=settle.where(contract, ""),
    )  # fmt: skip
    if "amount" in table.columns:
        table = table.rename(columns={"amount": "venue_amount"})
    lost = table["multiplier"].isna() | (table["underlying"] == "")
    if lost.any():
        intake.reject("contract", "its size or its base currency is not said", count=int(lost.sum()))
    intake.add("instruments", table[~lost])


def add_index(intake: Intake, base: pd.Series, quote: pd.Series, time: pd.Series, level: pd.Series) -> None:
    """The index of a base currency, as an instrument of type index with its quote."""
    pairs = pd.DataFrame({"underlying": base, "currency": quote, "time": time, "mark": level}).dropna(subset=["mark"])
    pairs = pairs[(pairs["underlying"] != "") & (pairs["currency"] != "") & (pairs["mark"] > 0)]
    pairs["symbol"] = pairs["underlying"].astype(str) + "/" + pairs["currency"].astype(str)
    pairs["instrument"] = label_of(intake.venue, "index:" + pairs["symbol"])
    rows = pairs.drop_duplicates("instrument")[["instrument", "symbol", "underlying", "currency"]]
    intake.add("instruments", rows.assign(type="index", venue=intake.venue, multiplier=1.0))
    intake.quotes(pairs[["instrument", "time", "mark"]])


def vol_scale(
    vol: pd.Series, price: pd.Series, forward: pd.Series, strike: pd.Series, years: np.ndarray, right: pd.Series,
    inverse: np.ndarray,
) -> float:  # fmt: skip
    """What turns a column of vols into decimals: 1, 0.01, or NaN; settled by which of them reprices the marks."""
    good = ((vol > 0) & (price > 0) & (forward > 0) & (strike > 0)).to_numpy() & (np.asarray(years) > 0)
    at = np.flatnonzero(good)[:5000]
    if not at.size:
        return float("nan")
    f, k, p = (s.to_numpy(dtype=float)[at] for s in (forward, strike, price))
    sign = np.where(right.to_numpy()[at] == "C", 1.0, -1.0)
    unit = np.where(np.asarray(inverse)[at], 1.0, f)
    errors = {}
    for scale in (1.0, 0.01):
        fair = black(f, k, np.asarray(years)[at], vol.to_numpy(dtype=float)[at] * scale, sign) / f
        errors[scale] = float(np.median(np.abs(fair - p / unit)))
    best = min(errors, key=errors.__getitem__)
    return best if errors[best] < 1e-3 else float("nan")


def years_to(time: pd.Series, expiry: pd.Series) -> np.ndarray:
    """Years from a quote to an expiry, NaN where either is missing."""
    return np.asarray(years_between(pd.DatetimeIndex(time), pd.DatetimeIndex(expiry)), dtype=float)
