"""What every contract earned between two markets, and why one is unknown."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.contracts import Contracts
from optihedge.market.exposures import by_family
from optihedge.market.families import TERMS
from optihedge.market.funding import funding_paid, refuse_missing
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market
from optihedge.market.valuation import underlying_drivers
from optihedge.readonly import numbers


def contract_pnl(
    start: Market, end: Market, held: pd.Index | None = None, *, funding: pd.DataFrame | None = None
) -> pd.Series:
    """What one contract of each instrument of `start` earned until `end`, base currency: price, currency and funding.

    held      only these, each of them known: DataError saying why one is not; without it such a one is NaN
    funding   rows instrument, time, rate (of the notional at that instant, long pays a positive one), mark (optional);
              a perpetual without its rows is unknown. Without it funding is a forecast: the rate quoted at the end for
              every interval elapsed.

    Unknown: what neither has a price at the end nor has expired, what has other TERMS there, and a perpetual whose
    funding was quoted at the start and is not at the end. Borrow, which depends on the side, is not in it. Raises
    DataError for an end before the start, or in another base currency.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> later = oh.policy.moved(market, {"spot": 0.01})
    >>> earned = oh.contract_pnl(market, later)
    >>> round(float(earned["AAPL"] / market.price["AAPL"]), 4)
    0.01
    """
    earned, received, missing = earned_parts(start, end, funding)
    pnl = (earned + received).rename("pnl")
    if held is None:
        return pnl
    pnl = pnl.reindex(held)
    refuse_unknown(start, end, pnl, missing)
    return pnl


def earned_parts(start: Market, end: Market, rows: pd.DataFrame | None) -> tuple[pd.Series, pd.Series, dict[str, str]]:
    """Per contract of `start`, base currency: what its price and currency earned, and funding received; and by label
    what its funding misses.
    """
    _in_order(start, end)
    if start.base_currency != end.base_currency:
        raise DataError(
            f"P&L: the start is in {start.base_currency}, the end in {end.base_currency}; "
            "give both markets one base_currency"
        )
    before, kinds = start.contracts, types_of(start.instruments)
    place = end.names.get_indexer(start.names)
    here = place >= 0
    after = end.contracts

    def later(values: np.ndarray) -> np.ndarray:
        return np.where(here, values[place], np.nan)

    fx, price, spot = later(after.fx), later(after.price), later(after.spot)
    value = later(end.value.to_numpy()) - start.value.to_numpy()
    earned = np.where(kinds["margined"], _margin(before, price, spot) * fx, value)
    earned = np.where(here, earned, _settled(start, end))
    earned = np.where(np.column_stack([*_changed(start, end).values()]).any(axis=1), np.nan, earned)
    earned = pd.Series(earned, index=start.names)
    if rows is not None:
        given, missing = funding_paid(start, end, rows)
        return earned, 0.0 - given, missing
    hours = (end.as_of - start.as_of).total_seconds() / 3600
    funding = later(numbers(end.quotes, "funding_rate")) * hours / later(numbers(end.quotes, "funding_hours"))
    paid = np.where(_unquoted(funding, here, start), np.nan, np.nan_to_num(funding * later(end.notional.to_numpy())))
    return earned, pd.Series(0.0 - paid, index=start.names), {}


def _unquoted(funding: np.ndarray, here: np.ndarray, start: Market) -> np.ndarray:
    """Contracts that had a funding rate at the start and, being still there, have none at the end."""
    return here & np.isnan(funding) & start.quotes["funding_rate"].notna().to_numpy()


def _changed(start: Market, end: Market) -> dict[str, np.ndarray]:
    """By field of TERMS, which contracts of `start` (N booleans) have another value of it at the end."""
    place = end.names.get_indexer(start.names)
    here = np.flatnonzero(place >= 0)
    changed = {}
    for field in TERMS:
        before, after = start.instruments[field].array[here], end.instruments[field].array[place[here]]
        differs = np.asarray(before != after)
        differs[differs] = ~np.asarray(pd.isna(before[differs]) & pd.isna(after[differs]))
        changed[field] = np.zeros(len(place), dtype=bool)
        changed[field][here] = differs
    return changed


def refuse_unknown(start: Market, end: Market, pnl: pd.Series, missing: dict[str, str]) -> None:
    """Raise a DataError saying why the first P&L of a held contract that is NaN is unknown."""
    if not pnl.isna().any():
        return
    name = pnl.index[pnl.isna()][0]
    refuse_missing(name, missing, start, end)
    if name not in start.names:
        raise DataError(f"P&L: {name} is held but is not in the market of {start.as_of}; add its rows there")
    if name not in end.names:
        expired = start.instruments.at[name, "expiry"] <= end.as_of
        if not expired:
            raise DataError(f"P&L: {name} is held but has no price on {end.as_of} and has not expired; quote it there")
        asset = start.instruments.at[name, "underlying"]
        if np.isfinite(_levels_at(start, end)[start.names.get_loc(name)]):
            raise DataError(
                f"P&L: {name} has expired, and the level of {asset} alone does not say what it ends at; follow it in "
                "accounts, with its settlement event"
            )
        raise DataError(
            f"P&L: {name} has expired, but its underlying {asset} has no level on {end.as_of} to settle it at; quote "
            "it or give its driver a history"
        )
    for field, changed in _changed(start, end).items():
        if changed[start.names.get_loc(name)]:
            have, need = (market.instruments.at[name, field] for market in (start, end))
            raise DataError(
                f"P&L: {field} of {name} is {have} on {start.as_of} and {need} on {end.as_of}, which is not the same "
                "contract; give a new contract a name of its own, and after a split or an adjustment state the start's "
                "terms, quotes and quantities as the end does"
            )
    raise DataError(
        f"P&L: {name} is held but its funding is unknown: it has a funding_rate on {start.as_of} and none on "
        f"{end.as_of}; give funding_rate and funding_hours there (a rate of 0 where none was paid)"
    )


def _in_order(start: Market, end: Market) -> None:
    if end.as_of < start.as_of:
        raise DataError(f"P&L: the end {end.as_of} is before the start {start.as_of}; give the earlier market first")


def _margin(c: Contracts, price: np.ndarray, spot: np.ndarray) -> np.ndarray:
    """Variation margin per contract in its currency, from its price to `price` with the underlying then at `spot`."""
    margin = np.zeros(len(price))
    for family, at in by_family(c):
        margin[at] = family.margin(c.take(at), price[at], spot[at])
    return c.multiplier * margin


def _levels_at(start: Market, end: Market) -> np.ndarray:
    """N levels at the end of the underlyings of the contracts of `start`, NaN where it has none."""
    driver = start.drivers.index[underlying_drivers(start.instruments, start.drivers)]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = end.levels.reindex(driver).to_numpy() / start.levels.reindex(driver).to_numpy()
    return start.contracts.spot * ratio


def _settled(start: Market, end: Market) -> np.ndarray:
    """P&L per contract of what expired between the markets, at the next level of its underlying; NaN for the rest.

    Its currency is taken at the start's rate, moved with the underlying where the two are one (coin accounts).
    """
    c = start.contracts
    expired = (start.instruments["expiry"] <= end.as_of).to_numpy()
    spot = _levels_at(start, end)
    ratio = spot / c.spot
    paid = np.zeros(len(spot))
    for family, at in by_family(c):
        some, level = c.take(at), spot[at]
        price = family.settle(some, level)
        paid[at] = family.worth(some, price, level) + family.margin(some, price, level)
    fx = c.fx * ratio**c.power
    earned = c.multiplier * paid * fx - start.value.to_numpy()
    return np.where(expired, earned, np.nan)
