"""Profit and loss between two markets: what every contract earned, and why."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import DataError
from optihedge.market.book import Book, book_quantities
from optihedge.market.contracts import Contracts
from optihedge.market.costs import trading_costs
from optihedge.market.exposures import by_family
from optihedge.market.families import TERMS
from optihedge.market.fate import Fate, moving_drivers
from optihedge.market.funding import forecast_note, funding_paid, refuse_missing
from optihedge.market.instruments import HOURS_PER_YEAR, types_of
from optihedge.market.plain import plain_as
from optihedge.market.snapshot import Market
from optihedge.market.valuation import underlying_drivers
from optihedge.readonly import numbers

PARTS = (
    "delta", "gamma", "vega", "theta", "vanna", "volga", "charm", "carry", "currency", "funding", "fees",
    "unexplained",
)  # fmt: skip
"""Parts of a P&L, base currency.

delta to charm   the start's exposures times the moves of the underlying, of the contract's own vol, and the time passed
carry            change of the basis ln(F/S) beyond what theta counts; for an option followed on its forward, the carry
                 of that forward; the change of its rate
currency         change of the pairs between a contract's currency and base, at the start's value
fees             half spread and fees of the trades at the start (below zero)
"""
_MOVED = PARTS[:9]  # delta to currency


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
    earned, received, missing = _earned_parts(start, end, funding)
    pnl = (earned + received).rename("pnl")
    if held is None:
        return pnl
    pnl = pnl.reindex(held)
    _refuse_unknown(start, end, pnl, missing)
    return pnl


def _each_cost(market: Market, trades: pd.Series) -> pd.Series:
    """Spread, fee and depth of each trade (contracts), base currency. Raises DataError for a side without a quote."""
    wrong = trades.index[~np.isfinite(trades.to_numpy(dtype=float))]
    if len(wrong):
        raise DataError(f"trades: quantity of {wrong[0]} is {trades[wrong[0]]}, not finite; mend it")
    cost = trading_costs(market, trades.astype(float)).sum(axis=1, skipna=False)
    if cost.isna().any():
        raise DataError(f"trades: {cost.index[cost.isna()][0]} was traded on a side without a quote")
    return cost


def explain_pnl(
    start: Market, end: Market, quantities: Book, trades: Book | None = None, *, funding: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Why quantities held from start to end gained what they gained: contracts x (PARTS, total), base currency.

    quantities   contracts held over the period, trades included;  trades   of them, what was bought at the start
    funding      what was paid, as in `contract_pnl`; a forecast in its place is named in attrs["notes"]

    A linear option is followed on its own forward, a stock on its own price, the rest on the underlying's level. The
    Greeks are the start's. total is `contract_pnl` less the trades' cost, and the parts sum to it: what no Greek
    explains stands under unexplained. Raises DataError for a quantity that is not finite, a contract that is unknown,
    has vanished or has changed (see `contract_pnl`), a trade on a side without a quote, and markets that do not
    compare: another base currency, an end before the start.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> later = oh.policy.moved(market, {"spot": 0.01})
    >>> told = oh.explain_pnl(market, later, {"AAPL": 100})
    >>> bool(abs(told["total"].sum() - 0.01 * 100 * market.price["AAPL"]) < 1e-6)
    True
    """
    held, traded = _by_name(quantities, start, "book"), _by_name({} if trades is None else trades, start, "trades")
    names = held.index.union(traded.index, sort=False)
    at, quantity = start.names.get_indexer(names), held.reindex(names, fill_value=0.0).to_numpy()
    earned, received, missing = _earned_parts(start, end, funding)
    _refuse_unknown(start, end, (earned + received).iloc[at][quantity != 0], missing)
    earned, received = (part.iloc[at].where(quantity != 0, 0.0) for part in (earned, received))
    parts = {name: quantity * part[at] for name, part in greek_parts(start, end, Fate.of(start, end)).items()}
    parts["funding"] = quantity * received.to_numpy()
    parts["fees"] = 0.0 - _each_cost(start, traded.reindex(names, fill_value=0.0)).to_numpy()
    frame = pd.DataFrame(parts, index=names)
    total = quantity * (earned + received) + frame["fees"]
    frame["unexplained"] = total - frame.sum(axis=1)
    told = frame[list(PARTS)].assign(total=total).rename_axis("instrument")
    guessed = names[(frame["funding"] != 0).to_numpy()] if funding is None else names[:0]
    told.attrs["notes"] = (forecast_note(guessed),) if len(guessed) else ()
    return told


def explain_hedge(
    start: Market, end: Market, book: Book, hedge: Book, trades: Book, *, funding: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Book against hedge: rows book, hedge and both, columns PARTS and total, base currency; as `explain_pnl`.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> later = oh.policy.moved(market, {"spot": 0.01})
    >>> told = oh.explain_hedge(market, later, {"AAPL": 100}, {"ES-SEP16": -1}, {"ES-SEP16": -1})
    >>> list(told.index)
    ['book', 'hedge', 'both']
    """
    parts = {
        "book": explain_pnl(start, end, book, funding=funding).sum(),
        "hedge": explain_pnl(start, end, hedge, trades, funding=funding).sum(),
    }
    return pd.DataFrame({**parts, "both": parts["book"] + parts["hedge"]}).T


def _by_name(book: Book, market: Market, what: str) -> pd.Series:
    """A checked book's quantities under the names it gives, in its order (a frame's: those that are not zero)."""
    whole = pd.Series(book_quantities(book, market, what), index=market.names)
    if isinstance(book, pd.DataFrame):
        return whole[whole != 0]
    return whole.reindex(pd.Index(list(book.keys()), dtype=object))


def greek_parts(start: Market, end: Market, fate: Fate) -> dict[str, np.ndarray]:
    """Greek by Greek (PARTS from delta to currency), base currency per contract of `start`, of which `fate` says what
    became; what ended is followed to the level or price at which it did, an expired option without a change of vol.
    """
    if fate.unchanged and plain_as(start, end):
        move = end.contracts.price / start.contracts.price - 1
        still = np.zeros(len(move))
        return dict.fromkeys(_MOVED, still) | {"delta": start.sensitivities.delta * move}
    s, c, kinds = start.sensitivities, start.contracts, types_of(start.instruments)
    place = fate.place

    def later(values: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
        found = np.where(place >= 0, values[place], otherwise)
        return np.where(np.isfinite(found), found, otherwise)

    with np.errstate(invalid="ignore", divide="ignore"):
        change = fate.levels / start.levels.to_numpy(dtype=float) - 1
    moving, driver = moving_drivers(start.drivers), start.paths.driver
    change = np.where(moving & ~np.isnan(change), change, 0.0)
    of_spot = np.where(driver >= 0, change[driver] if len(change) else 0.0, 0.0)
    at_level = np.isfinite(fate.level) & (c.option | c.future)  # another's settlement is a price of its own kind
    of_spot = np.where(at_level, fate.level / c.spot - 1, of_spot)
    spot = c.spot * (1 + of_spot)
    forward = later(end.contracts.forward, spot / fate.scale) * fate.scale
    linear = kinds["option"] & ~kinds["inverse"]
    followed = linear & (c.power == 0)  # on its forward: the spot's print may lag the quotes
    itself = ~kinds["option"] & ~kinds["margined"] & ~c.constant
    price = later(end.contracts.price, (spot - fate.received) / fate.scale) * fate.scale + fate.received
    price = np.where(np.isfinite(fate.paid), fate.paid, price)
    own = np.where(itself, price / np.where(c.price == 0, 1.0, c.price) - 1, of_spot)
    with np.errstate(invalid="ignore", divide="ignore"):
        move = np.where(followed, forward / c.forward - 1, own)
        lean = np.log((forward / spot) / (c.forward / c.spot))
    lean = np.where(np.isfinite(lean) & (c.future | c.option), lean, 0.0)
    years = _years_passed(start, end, place)
    now = np.where(end.contracts.option, numbers(end.quotes, "vol"), end.contracts.vol)
    vol = np.where(kinds["volatile"], later(now, c.vol) - c.vol, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.where(linear, -np.log(c.discount) / c.years, 0.0)
        growth = np.where(linear, np.log(c.forward / c.spot) / c.years, 0.0)
    new_rate = later(numbers(end.quotes, "rate"), rate)
    left = np.maximum(np.nan_to_num(c.years) - years, 0.0)
    discounting = np.where(linear, -left * s.value * (new_rate - rate), 0.0)
    carry = s.basis * (np.where(followed, 0.0, lean) + growth * years) + discounting  # theta has paid the growth
    return {
        "delta": s.delta * move,
        "gamma": 0.5 * s.gamma * move**2,
        "vega": s.vega * vol,
        "theta": s.theta * years,
        "vanna": s.vanna * move * vol,
        "volga": 0.5 * s.volga * vol**2,
        "charm": s.charm * move * years,
        "carry": carry,
        "currency": _by_currency(start, change, of_spot),
    }


def _by_currency(start: Market, change: np.ndarray, of_spot: np.ndarray) -> np.ndarray:
    """What the pairs on a contract's way to base did to it, its own underlying's move apart; N, base currency.

    Other loadings, which a desk may give, are no currency: what they mean is the contract's price, seen otherwise.
    """
    paths = start.paths
    if not (paths.signs.nnz or paths.quote_signs.nnz):
        return np.zeros(len(of_spot))
    passed = (abs(paths.signs) + abs(paths.quote_signs)) > 0
    pairs = sp.coo_array(start.loadings.matrix.multiply(sp.csr_array(passed).T))
    at_own = pairs.row == paths.driver[pairs.col]
    currency = sp.csr_array(pairs).T @ change
    currency[pairs.col[at_own]] -= pairs.data[at_own] * of_spot[pairs.col[at_own]]
    return currency


def _years_passed(start: Market, end: Market, place: np.ndarray) -> np.ndarray:
    """Per contract of `start`, years from its quote to that of the end, else to its expiry or the end."""
    quoted, later = (one.quotes["time"].to_numpy(dtype="datetime64[ns]") for one in (start, end))
    expiry = start.instruments["expiry"].to_numpy(dtype="datetime64[ns]")
    stop = np.fmin(expiry, np.datetime64(end.as_of.tz_convert(None).as_unit("ns").asm8))
    there = later[place]
    stop = np.where((place >= 0) & ~np.isnat(there), there, stop)
    passed = stop - quoted
    return np.where(np.isnat(passed), np.nan, passed.astype("int64") / 1e9) / (3600 * HOURS_PER_YEAR)


def _earned_parts(start: Market, end: Market, rows: pd.DataFrame | None) -> tuple[pd.Series, pd.Series, dict[str, str]]:
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


def _refuse_unknown(start: Market, end: Market, pnl: pd.Series, missing: dict[str, str]) -> None:
    """Raise a DataError saying why the first P&L of a held contract that is NaN is unknown."""
    if not pnl.isna().any():
        return
    name = pnl.index[pnl.isna()][0]
    refuse_missing(name, missing, start, end)
    if name not in start.names:
        raise DataError(f"P&L: {name} is held but is not in the market of {start.as_of}")
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
