"""What each Greek made of the moves between two markets, contract by contract."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from optihedge.market.fate import Fate, moving_drivers
from optihedge.market.instruments import HOURS_PER_YEAR, types_of
from optihedge.market.plain import plain_as
from optihedge.market.snapshot import Market
from optihedge.readonly import instants, numbers

GREEKS = ("delta", "gamma", "vega", "theta", "vanna", "volga", "charm", "carry", "currency")
"""Parts of a P&L that the start's exposures tell.

delta to charm   the start's exposures times the moves of the underlying, of the contract's own vol, and the time passed
carry            change of the basis ln(F/S) beyond what theta counts; for an option followed on its forward, the carry
                 of that forward; the change of its rate
currency         change of the pairs between a contract's currency and base, at the start's value
"""


def greek_parts(start: Market, end: Market, fate: Fate) -> dict[str, np.ndarray]:
    """Greek by Greek (GREEKS), base currency per contract of `start`, of which `fate` says what
    became; what ended is followed to the level or price at which it did, an expired option without a change of vol.
    """
    if fate.unchanged and plain_as(start, end) and start.contracts.price.all():
        move = end.contracts.price / start.contracts.price - 1
        still = np.zeros(len(move))
        return dict.fromkeys(GREEKS, still) | {"delta": start.sensitivities.delta * move}
    s, c, kinds = start.sensitivities, start.contracts, types_of(start.instruments)
    place = fate.place

    def later(values: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
        found = np.where(place >= 0, values[place], otherwise)
        return np.where(np.isfinite(found), found, otherwise)

    with np.errstate(invalid="ignore", divide="ignore"):
        change = fate.levels / start.levels.to_numpy(dtype=float) - 1
    moving, driver = moving_drivers(start.drivers), start.paths.driver
    change = np.where(moving & np.isfinite(change), change, 0.0)
    of_spot = np.where(driver >= 0, change[driver] if len(change) else 0.0, 0.0)
    at_level = np.isfinite(fate.level) & (c.option | c.future)  # another's settlement is a price of its own kind
    of_spot = np.where(at_level, fate.level / c.spot - 1, of_spot)
    spot = c.spot * (1 + of_spot)
    forward = later(end.contracts.forward, spot / fate.scale) * fate.scale
    linear = kinds["option"] & ~kinds["inverse"]
    followed = linear & (c.power == 0)  # on its forward: the spot's print may lag the quotes
    itself = ~kinds["option"] & ~kinds["margined"] & ~c.constant
    price = later(end.contracts.price, (spot - fate.received) / fate.scale) * fate.scale + fate.received
    price = np.where(np.isfinite(fate.paid), fate.paid + fate.received, price)
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
    nothing = (c.price == 0) & (c.future | itself) & ~kinds["inverse"]  # at a price of zero no return tells its gain
    gain = c.multiplier * c.fx * (np.where(at_level, fate.level, price) - c.price)
    return {
        "delta": np.where(nothing, gain, s.delta * move),
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
    quoted, later = (instants(one.quotes, "time") for one in (start, end))
    expiry = instants(start.instruments, "expiry")
    stop = np.fmin(expiry, np.datetime64(end.as_of.tz_convert(None).as_unit("ns").asm8))
    there = later[place]
    stop = np.where((place >= 0) & ~np.isnat(there), there, stop)
    passed = stop - quoted
    return np.where(np.isnat(passed), np.nan, passed.astype("int64") / 1e9) / (3600 * HOURS_PER_YEAR)
