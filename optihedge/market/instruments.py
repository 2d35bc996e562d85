"""Instruments: their types and fields, the checks on them, and the few formulas that belong to a contract's terms."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd

from optihedge.errors import DataError, Expired
from optihedge.frames import (
    Column,
    Schema,
    absent_columns,
    check_columns,
    label_index,
    misspelt,
    nearest,
    refuse,
    same_labels,
    table_of,
)
from optihedge.market.families import STRUCK, TYPES, InstrumentType
from optihedge.market.pricing import above_zero
from optihedge.readonly import kept, read_only, texts

HOURS_PER_YEAR = 365 * 24
_IMPLIED = tuple(field.name for field in fields(InstrumentType))
_PLACE = {name: place for place, name in enumerate(TYPES)}
_TRUE_OF = np.array([[getattr(kind, name) for kind in TYPES.values()] for name in _IMPLIED], dtype=bool)


INSTRUMENTS: Schema = {
    "type": Column("text", default="equity", choices=tuple(TYPES)),
    "underlying": Column("text"),
    "currency": Column("text"),
    "multiplier": Column("number", above=0.0),
    "expiry": Column("time"),
    "strike": Column("number", above=0.0),
    "right": Column("text", choices=("", "C", "P")),
    "exercise": Column("text", choices=("", "european", "american")),
    "forward": Column("text"),
    "venue": Column("text"),
    "venue_amount": Column("number", above=0.0),
    "lot": Column("number", default=1.0, above=0.0),
    "tick": Column("number", default=0.0, least=0.0),
    "min_quantity": Column("number", default=0.0, least=0.0),
    "min_notional": Column("number", default=0.0, least=0.0),
    "fee": Column("number", default=0.0),
    "fee_cap": Column("number", least=0.0),
    "fee_per_contract": Column("number", default=0.0),
    "settlement_window": Column("number", default=0.0, least=0.0),
    "hedge": Column("flag", default=False),
    "accrual_start": Column("time"),
    "range_lower": Column("number", least=0.0),
    "range_upper": Column("number", above=0.0),
    "own_risk": Column("number", default=0.0, least=0.0),
}
"""Fields of an instrument; any further column is the desk's own.

multiplier    units of the underlying per contract (linear), of the quote currency (inverse future and perpetual); an
              option or a future of a file must say it; of others, and in a frame, it is 1 where it is left out
underlying    the asset; cash gets its currency, or the coin whose price moves it against base
currency      of price and settlement, by default the base; for an inverse contract the coin or its quote currency,
              either names it
exercise      style of an option, by default what its venue and underlying say (see `market.styles`), else European
venue_amount  what an order of one contract says at the venue: 10 (USD), 0.001 (coin), 1 (contract); by default the
              multiplier of an inverse contract, 1 of any other
fee           one-way, fraction of notional (a maker's may be negative); fee_cap: at most this fraction of an option's
              value; fee_per_contract: settlement currency (quote currency for inverse), added
lot, min_quantity   contracts;  min_notional  base currency;  tick  price units
settlement_window   minutes before expiry over which the settlement price is averaged
accrual_start   of a variance swap: the instant from which it averages; empty: it starts now
range_lower, range_upper   of a pool, between which prices its liquidity lies; empty: down to 0, up to infinity. One
              contract is one unit of liquidity, sqrt(asset x money) in whole tokens
hedge         may be traded; without the column every tradable contract may, an empty field of it means no
own_risk      standard deviation of the contract's own noise per period, base currency per contract

Further columns that are read where they are there:

block         lots that trade together: every trade is a whole multiple of lot x block (1)
close_small   yes or no: whether the venue takes an order below its minimum that closes a whole position (reduce-only);
              empty: yes for futures and perpetuals, no for the rest
maker_fee     one-way, fraction of notional, of an order that waits in the book; empty: the fee
borrow_available   contracts located, which may be sold short; empty: any
"""


def check_instruments(frame: pd.DataFrame, as_of: pd.Timestamp, base_currency: str) -> pd.DataFrame:
    """The instruments, complete and by label, in their given order. Raises DataError."""
    source = frame.attrs.get("source", "instruments")
    misspelt(frame.columns, INSTRUMENTS, source)
    said = check_columns(frame, INSTRUMENTS, source, labels="instrument")
    labels = label_index(frame, "instrument", source)
    every = {"hedge": np.ones(len(labels), dtype=bool), **said}
    every |= absent_columns(every, INSTRUMENTS, len(labels))
    types, names, asset = every["type"], labels.to_numpy(), every["underlying"]
    kind, cash = implied(types), types == "cash"
    default = np.where(kind["inverse"], asset, base_currency)
    currency = np.where(every["currency"] != "", every["currency"], default)
    own_name = np.isin(types, ("equity", "spot", "index", "future"))
    empty = asset == ""
    refuse(
        empty & ~own_name & ~cash, source, "underlying{of} is empty", types, "name the underlying asset", labels
    )  # fmt: skip
    asset = np.where(empty, np.where(cash, currency, names), asset)
    _refuse_priced_in_itself(types, asset, currency, labels, source)
    dated, struck, expiry = kind["dated"], np.isin(types, STRUCK), every["expiry"]
    refuse(dated & expiry.isna(), source, "expiry{of} is empty", expiry, "give its instant, time zone included", labels)
    refuse(
        dated & (expiry <= as_of), source, f"{{value}}, the expiry{{of}}, is not after as_of {as_of}", expiry,
        "drop the expired contract, or set as_of to the time of the quotes", labels, error=Expired,
    )  # fmt: skip
    multiplier, strike, right = every["multiplier"], every["strike"], every["right"]
    refuse(
        dated & np.isnan(multiplier) & source.endswith((".csv", ".parquet")), source, "multiplier{of} is empty",
        multiplier,
        "say how many units a contract stands for: 100 for an option on US stock, 50 for the E-mini, 1 for one coin",
        labels,
    )  # fmt: skip
    refuse(struck & np.isnan(strike), source, "strike{of} is empty", strike, "give the strike", labels)
    refuse(struck & (right == ""), source, "right{of} is empty", right, "write C or P", labels)
    stray = ~struck & ((right != "") | ~np.isnan(strike))
    odd = "type{of} is {value}, yet it has a strike or right"
    refuse(stray, source, odd, types, "make it an option, or empty both fields", labels)
    _refuse_ranges(types == "pool", every["range_lower"], every["range_upper"], source, labels)
    known = {"", *names}
    lost = np.array([name not in known for name in every["forward"]], dtype=bool)
    refuse(lost, source, "forward{of} is {value}, no instrument here", every["forward"], "add that future", labels)
    every |= {
        "underlying": asset, "currency": currency, "multiplier": np.where(np.isnan(multiplier), 1.0, multiplier),
        "hedge": every["hedge"] & kind["tradable"],
    }  # fmt: skip
    order = [*INSTRUMENTS, *(name for name in every if name not in INSTRUMENTS)]
    return table_of({name: every[name] for name in order}, labels, source)


def _refuse_ranges(pool: np.ndarray, lower: np.ndarray, upper: np.ndarray, source: str, labels: pd.Index) -> None:
    refuse(pool & (lower >= upper), source, "range_lower{of} is {value}, not below its range_upper", lower,
           "give the lower price first", labels)  # fmt: skip
    for name, ends in (("range_lower", lower), ("range_upper", upper)):
        refuse(~pool & ~np.isnan(ends), source, f"{name}{{of}} is {{value}}, yet its type is not pool", ends,
               "make it a pool, or empty the field", labels)  # fmt: skip


def refuse_priced_in_itself(instruments: pd.DataFrame) -> None:
    """Refuse a contract that is quoted in its own underlying; cash and coin-settled contracts are not."""
    types, asset, currency = (instruments[name].to_numpy() for name in ("type", "underlying", "currency"))
    source = instruments.attrs.get("source", "instruments")
    _refuse_priced_in_itself(types, asset, currency, instruments.index, source)


def _refuse_priced_in_itself(
    types: np.ndarray, asset: np.ndarray, currency: np.ndarray, labels: pd.Index, source: str
) -> None:
    linear = (types != "cash") & ~implied(types)["inverse"]
    refuse(
        linear & (asset == currency), source,
        "underlying{of} is {value}, and so is its currency (by default the base currency)", asset,
        "say in column currency what it is quoted in", labels,
    )  # fmt: skip


def types_of(instruments: pd.DataFrame) -> dict[str, np.ndarray]:
    """What each contract's type implies: one boolean array per field of InstrumentType."""
    return kept(instruments, "types", lambda: implied(texts(instruments, "type")))


def implied(types: np.ndarray) -> dict[str, np.ndarray]:
    """`types_of` by the names of the types, N."""
    places = np.fromiter(map(_PLACE.__getitem__, types.tolist()), int, len(types))
    return {name: read_only(values) for name, values in zip(_IMPLIED, _TRUE_OF[:, places], strict=True)}


def only_shares(instruments: pd.DataFrame) -> np.ndarray:
    """N booleans: shares of which no other stands on the same underlying in the same currency."""
    only = (instruments["type"] == "equity").to_numpy(copy=True)
    only[only] = ~instruments[only].duplicated(["underlying", "currency"], keep=False).to_numpy()
    return only


def group_codes(instruments: pd.DataFrame, by: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes (N, -1 for none) and sorted labels of the groups of a column; instants by their UTC date."""
    if by not in instruments.columns:
        raise DataError(
            f"instruments: no column {by} to group by{nearest(by, instruments.columns)}; "
            f"there are {', '.join(map(str, instruments.columns))}"
        )
    column = instruments[by]
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.strftime("%Y-%m-%d")
    named = (column.notna() & (column.astype(str) != "")).to_numpy()
    labels, codes = np.unique(column.astype(str).to_numpy(dtype=object)[named], return_inverse=True)
    every = np.full(len(column), -1)
    every[named] = codes
    return every, tuple(str(label) for label in labels)


# ---- formulas of contract terms ------------------------------------------------------------------------------------


def annual_funding(rate: float | np.ndarray, hours: float | np.ndarray) -> float | np.ndarray:
    """A funding rate per interval of so many hours (above zero) as a simple yearly rate; positive: long pays.

    NaN where an input is. Raises DataError, also where Series differ in their labels.

    >>> import optihedge as oh
    >>> float(round(oh.annual_funding(0.0001, 8), 4))
    0.1095
    """
    same_labels("annual_funding", rate=rate, hours=hours)
    (hours,) = above_zero("annual_funding", hours=hours)
    return rate * (HOURS_PER_YEAR / hours)


def inverse_profit(
    quantity: float | np.ndarray, multiplier: float | np.ndarray, entry: float | np.ndarray, leave: float | np.ndarray
) -> float | np.ndarray:
    """Profit in coin of an inverse future or perpetual: quantity x multiplier x (1/entry - 1/exit), prices above zero.

    NaN where an input is. Raises DataError, also where Series differ in their labels.

    >>> import optihedge as oh
    >>> float(round(oh.inverse_profit(10_000, 10, 10_000, 10_500), 6))
    0.47619
    """
    same_labels("inverse_profit", quantity=quantity, multiplier=multiplier, entry=entry, leave=leave)
    entry, leave = above_zero("inverse_profit", entry=entry, leave=leave)
    return quantity * multiplier * (1 / entry - 1 / leave)


def venue_amounts(instruments: pd.DataFrame) -> np.ndarray:
    """What an order of one contract says at its venue: as the instrument does, else as its type implies."""

    def found() -> np.ndarray:
        implied = np.where(types_of(instruments)["inverse"], instruments["multiplier"], 1.0)
        given = instruments["venue_amount"].to_numpy(dtype=float)
        return read_only(np.where(np.isnan(given), implied, given))

    return kept(instruments, "venue amounts", found)


def number_column(instruments: pd.DataFrame, name: str, least: float, what: str) -> np.ndarray:
    """Numbers of a column that may be missing, NaN where nothing is said. Raises DataError for one below `least`."""
    given = (
        instruments[name].replace("", np.nan) if name in instruments.columns else pd.Series(np.nan, instruments.index)
    )
    numbers = pd.to_numeric(given, errors="coerce").to_numpy(dtype=float)
    wrong = given.notna().to_numpy() & ~((numbers >= least) & np.isfinite(numbers))
    if wrong.any():
        raise DataError(f"instruments: {name} of {given.index[wrong][0]} is {given[wrong].iloc[0]!r}; write {what}, or "
                        "leave it empty")  # fmt: skip
    return numbers


def trade_lots(instruments: pd.DataFrame) -> np.ndarray:
    """What a trade is a whole multiple of, contracts: lot x block. Raises DataError for a block that is not whole."""
    block = number_column(instruments, "block", 1.0, "lots that trade together, 1 or more")
    block = np.where(np.isnan(block), 1.0, block)
    odd = block != np.rint(block)
    if odd.any():
        raise DataError(f"instruments: block of {instruments.index[odd][0]} is {block[odd][0]:g}; write a whole number "
                        "of lots")  # fmt: skip
    return instruments["lot"].to_numpy(dtype=float) * block


def closes_small(instruments: pd.DataFrame, at: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Where an order below the venue's minimum may close a whole position, of those `at`. Raises DataError."""
    implied = types_of(instruments)["margined"][at]
    if "close_small" not in instruments.columns:
        return implied
    said = instruments["close_small"].iloc[at].fillna("").astype(str).str.strip().str.lower()
    words = said.map({"": -1, "yes": 1, "true": 1, "1": 1, "no": 0, "false": 0, "0": 0})
    if words.isna().any():
        raise DataError(f"instruments: close_small of {said.index[words.isna()][0]} is {said[words.isna()].iloc[0]!r}; "
                        "write yes or no, or leave it empty")  # fmt: skip
    return np.where(words == -1, implied, words == 1)


def contracts_of(amount: pd.Series, instruments: pd.DataFrame) -> pd.Series:
    """Contracts for a venue's amounts, by instrument (see field venue_amount). Raises DataError."""
    unknown = ~amount.index.isin(instruments.index)
    if unknown.any():
        raise DataError(f"venue_amount of {amount.index[unknown][0]}: no such instrument; add it to instruments.csv")
    return amount / venue_amounts(instruments.loc[amount.index])
