"""European options in forward form (Black 1976): price, Greeks in natural units, implied vol; vectorised in doubles.

Arrays broadcast. `right` is +1 or "C" for a call and -1 or "P" for a put; `years` is ACT/365; `vol` is decimal.

Years at or below zero mean expired: the payoff. A missing number (NaN) gives NaN. An impossible one is a DataError that
names its row (of the argument, flattened) and value: another right, a negative vol, a spot, forward, strike or discount
that is not above zero and finite. Only implied vols, whose inputs are quotes, give NaN there and a reason for each row.

Symbols: x = ln(F/K), s = vol sqrt(T), d1 = x/s + s/2, d2 = d1 - s. Every price is parity's intrinsic part plus the
out-of-the-money option of the same strike, which is a difference of Mills ratios R(z) = N(z)/n(z), so that no wing
loses its digits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from optihedge.errors import DataError
from optihedge.frames import refuse
from optihedge.market.normalised_price import normalised_price, solve_deviation

Floats = NDArray[np.float64]

SECONDS_PER_YEAR = 365 * 86_400
_ROOT_TWO_PI = np.sqrt(2 * np.pi)
_EPS = np.finfo(float).eps
_SIGNS = {"C": 1.0, "P": -1.0, 1: 1.0, -1: -1.0}


@dataclass(frozen=True, eq=False)
class Greeks:
    """Natural derivatives per contract unit, arrays of one shape: vols and rates per 1.00, times per year.

    >>> import optihedge as oh
    >>> found = oh.options.greeks(49.0, 49.952, 50.0, 20 / 52, 0.2, "C", 0.98095)
    >>> float(found.delta.round(3))
    0.522
    """

    price: Floats
    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    rho: Floats
    vanna: Floats
    volga: Floats
    charm: Floats


def black(
    forward: ArrayLike, strike: ArrayLike, years: ArrayLike, vol: ArrayLike, right: ArrayLike, discount: ArrayLike = 1.0
) -> Floats:
    """Black's price, D [phi (F N(phi d1) - K N(phi d2))], in the currency of the strike (Hull, ch. 18).

    phi = right: +1 or "C" a call, -1 or "P" a put. Expired or at zero vol it is the discounted intrinsic value. Raises
    DataError for a negative vol and a forward, strike or discount not above zero; NaN gives NaN.

    >>> import optihedge as oh
    >>> float(oh.options.black(100.0, 100.0, 1.0, 0.2, "C").round(4))
    7.9656
    """
    years, vol, right, forward, strike, discount = _checked(
        years, vol, right, forward=forward, strike=strike, discount=discount
    )
    return _black(forward, strike, years, vol, right, discount)


def _black(forward: Floats, strike: Floats, years: Floats, vol: Floats, right: Floats, discount: Floats) -> Floats:
    deviation = vol * np.sqrt(np.maximum(years, 0.0))
    out_of_money = np.sqrt(forward * strike) * normalised_price(-np.abs(_log_ratio(forward, strike)), deviation)
    return discount * (np.maximum(right * (forward - strike), 0.0) + out_of_money)


def greeks(
    spot: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    right: ArrayLike,
    discount: ArrayLike = 1.0,
) -> Greeks:
    """Price and derivatives with respect to the spot S, vol, time and rate (Hull, ch. 19; Haug, ch. 2).

    The carry ln(F/S)/T and the rate -ln(D)/T are held, but rho moves both by the same amount (spot and yield held).
    theta and charm are derivatives in calendar time, so minus those in T. Where nothing is left of the time or the
    vol, delta is the exercise indicator and the rest is zero. right: +1 or "C" a call, -1 or "P" a put. Raises
    DataError as `black`, also for the spot; NaN gives NaN.

    >>> import optihedge as oh
    >>> found = oh.options.greeks(49.0, 49.952, 50.0, 20 / 52, 0.2, "C", 0.98095)  # Hull: 2.4005, 0.522, 0.066
    >>> print(found.price.round(3), found.delta.round(3), found.gamma.round(3))
    2.401 0.522 0.066
    """
    years, vol, right, spot, forward, strike, discount = _checked(
        years, vol, right, spot=spot, forward=forward, strike=strike, discount=discount
    )
    alive = ~((years <= 0) | (vol <= 0))
    time = np.where(alive, years, 1.0)
    sigma = np.where(alive, vol, 1.0)
    root = np.sqrt(time)
    deviation = sigma * root
    moneyness = _log_ratio(forward, strike)
    d1 = moneyness / deviation + deviation / 2
    d2 = moneyness / deviation - deviation / 2
    itm = np.where(forward == strike, 0.5, right * (forward - strike) > 0)
    n1 = np.where(alive, ndtr(right * d1), itm)
    n2 = np.where(alive, ndtr(right * d2), itm)
    density = np.where(alive, np.exp(-d1 * d1 / 2) / _ROOT_TWO_PI, 0.0)
    carry = _log_ratio(forward, spot) / time
    rate = -np.log(discount) / time
    growth = discount * forward / spot

    price = _black(forward, strike, years, vol, right, discount)
    delta = right * growth * n1
    vega = discount * forward * density * root
    decay = vega * sigma / (2 * time)
    theta = rate * price - carry * spot * delta - decay
    charm = (rate - carry) * delta - growth * density * (carry / deviation - d2 / (2 * time))
    return Greeks(
        price=price,
        delta=delta,
        gamma=growth * density / (spot * deviation),
        vega=vega,
        theta=np.where(alive, theta, 0.0),
        rho=np.where(alive, time * discount * strike * right * n2, 0.0),
        vanna=-growth * density * d2 / sigma,
        volga=vega * d1 * d2 / sigma,
        charm=np.where(alive, charm, 0.0),
    )


# ---- implied vol ---------------------------------------------------------------------------------------------------


def implied_vol(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    right: ArrayLike,
    discount: ArrayLike = 1.0,
) -> Floats:
    """The vol (decimal) at which `black` gives the price; NaN where there is none, see `implied_vol_reason`.

    Bracketed Halley steps on the log of the normalised out-of-the-money price below its inflection in s, on the price
    above it, and on the log of its distance from the bound near the bound (after Jaeckel, "Let's be rational", 2015).
    A price equal to the intrinsic value (to rounding) has vol 0. right: +1 or "C" a call, -1 or "P" a put, any other is
    a DataError.

    >>> import optihedge as oh
    >>> float(oh.options.implied_vol(7.9656, 100.0, 100.0, 1.0, "C").round(4))
    0.2
    """
    terms = _arrays(price, forward, strike, years, right_signs(right), discount)
    fine = implied_vol_reason(*terms) == ""
    vol = np.full(fine.shape, np.nan)
    paid, ahead, exercise, time, sign, factor = (term[fine] for term in terms)
    time_value = paid / factor - np.maximum(sign * (ahead - exercise), 0.0)
    target = np.maximum(time_value, 0.0) / np.sqrt(ahead * exercise)
    vol[fine] = solve_deviation(-np.abs(_log_ratio(ahead, exercise)), target) / np.sqrt(time)
    return vol


def implied_vol_reason(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    right: ArrayLike,
    discount: ArrayLike = 1.0,
) -> NDArray[np.str_]:
    """Why a row has no implied vol: 'not a number', 'expired', 'below intrinsic', 'above bound'; '' where it has one.

    Infinite inputs and forwards, strikes or discounts that are not positive count as 'not a number'. A right that is
    neither call (+1, "C") nor put (-1, "P") is a DataError.

    >>> import optihedge as oh
    >>> str(oh.options.implied_vol_reason(4.0, 105.0, 100.0, 1.0, "C"))
    'below intrinsic'
    """
    price, forward, strike, years, right, discount = _arrays(
        price, forward, strike, years, right_signs(right), discount
    )
    number = np.isfinite(price) & np.isfinite(years) & np.isfinite(right)
    for positive in (forward, strike, discount):
        number &= np.isfinite(positive) & (positive > 0)
    with np.errstate(invalid="ignore"):
        undiscounted = price / np.where(number, discount, 1.0)
        intrinsic = np.maximum(right * (forward - strike), 0.0)
        bound = np.where(right > 0, forward, strike)
        rounding = np.where(intrinsic > 0, 4 * _EPS * np.maximum(forward, strike), 0.0)
        reasons = (~number, years <= 0, undiscounted < intrinsic - rounding, undiscounted >= bound)
    return np.select(reasons, ("not a number", "expired", "below intrinsic", "above bound"), default="")


# ---- coin-settled options ------------------------------------------------------------------------------------------


def coin_price(forward: ArrayLike, strike: ArrayLike, years: ArrayLike, vol: ArrayLike, right: ArrayLike) -> Floats:
    """The price in coin of a coin-settled option, undiscounted Black over the forward of its expiry.

    Arguments and errors as `black`.

    >>> import optihedge as oh
    >>> float(oh.options.coin_price(50_000.0, 50_000.0, 0.25, 0.6, "C").round(4))
    0.1192
    """
    return black(forward, strike, years, vol, right) / np.asarray(forward, dtype=float)


def inverse_greeks(
    spot: ArrayLike, forward: ArrayLike, strike: ArrayLike, years: ArrayLike, vol: ArrayLike, right: ArrayLike
) -> Greeks:
    """Greeks of a coin-settled option's value in quote currency, S coin_price(F), with the basis b = ln(F/S) held.

    That value is Black's with forward S and strike K S/F, hence a call's delta is N(d1) with no factor F/S.
    Arguments and errors as `greeks`.

    >>> import optihedge as oh
    >>> float(oh.options.inverse_greeks(50_000.0, 50_000.0, 50_000.0, 0.25, 0.6, "C").delta.round(4))
    0.5596
    """
    spot, forward, strike = above_zero("option", spot=spot, forward=forward, strike=strike)
    return greeks(spot, spot, strike * (spot / forward), years, vol, right)


def coin_greeks(quote_greeks: Greeks, spot: ArrayLike) -> Greeks:
    """Greeks of V/S, the value in coin, from those of V in quote currency (the quotient rule).

    Times S, the delta of a coin-settled option is its premium-adjusted delta, delta - mark.

    >>> import optihedge as oh
    >>> in_dollars = oh.options.inverse_greeks(50_000.0, 50_000.0, 50_000.0, 0.25, 0.6, "C")
    >>> in_coin = oh.options.coin_greeks(in_dollars, 50_000.0)
    >>> bool(abs(50_000.0 * in_coin.delta - (in_dollars.delta - in_dollars.price / 50_000.0)) < 1e-12)
    True
    """
    g = quote_greeks
    spot = np.asarray(spot, dtype=float)
    return Greeks(
        price=g.price / spot,
        delta=(g.delta - g.price / spot) / spot,
        gamma=(g.gamma - 2 * (g.delta - g.price / spot) / spot) / spot,
        vega=g.vega / spot,
        theta=g.theta / spot,
        rho=g.rho / spot,
        vanna=(g.vanna - g.vega / spot) / spot,
        volga=g.volga / spot,
        charm=(g.charm - g.theta / spot) / spot,
    )


def venue_theta(quote_greeks: Greeks, years: ArrayLike) -> Floats:
    """Deribit's theta per day: the decay of one day, or of the lifetime if that is shorter, at most the whole value.

    >>> import optihedge as oh
    >>> found = oh.options.inverse_greeks(50_000.0, 50_000.0, 50_000.0, 0.25, 0.6, "C")
    >>> bool(abs(oh.options.venue_theta(found, 0.25) - found.theta / 365) < 1e-9)
    True
    """
    lifetime = np.minimum(np.asarray(years, dtype=float), 1 / 365)
    return np.maximum(quote_greeks.theta * lifetime, -quote_greeks.price)


def settlement_weight(minutes_to_expiry: ArrayLike, window: ArrayLike = 30.0) -> Floats:
    """Share of the delta left while the settlement average runs over the last `window` minutes: falls linearly to 0.

    Raises DataError for a window that is not above zero.

    >>> import optihedge as oh
    >>> float(oh.options.settlement_weight(15.0))
    0.5
    """
    (window,) = above_zero("settlement_weight", window=window)
    return np.clip(np.asarray(minutes_to_expiry, dtype=float) / window, 0.0, 1.0)


def years_between(start: Any, end: Any) -> Floats:
    """Years from start to end, seconds / (365 x 86 400), NaN at NaT; instants or arrays of them, time zone required.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> float(oh.options.years_between(pd.Timestamp("2026-01-20T21:00Z"), pd.Timestamp("2027-01-20T21:00Z")))
    1.0
    """
    return (_instants(end) - _instants(start)) / np.timedelta64(SECONDS_PER_YEAR, "s")


# ---- the door ------------------------------------------------------------------------------------------------------


def _arrays(*values: ArrayLike) -> tuple[Floats, ...]:
    return tuple(np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in values)))


def above_zero(source: str, /, **values: ArrayLike) -> tuple[Floats, ...]:
    """The values as arrays, finite and above zero or NaN; DataError names the first that is neither."""
    arrays = {name: np.asarray(value, dtype=float) for name, value in values.items()}
    for name, array in arrays.items():
        _refuse((array <= 0) | (array == np.inf), source, name, array, "give a finite number above zero")
    return tuple(arrays.values())


def _checked(years: ArrayLike, vol: ArrayLike, right: ArrayLike, **positive: ArrayLike) -> tuple[Floats, ...]:
    """Years, vol, right as a sign, then the positive terms in their order, broadcast."""
    vol = np.asarray(vol, dtype=float)
    _refuse(vol < 0, "option", "vol", vol, "give a vol of at least 0, decimal")
    return _arrays(years, vol, right_signs(right), *above_zero("option", **positive))


def right_signs(right: ArrayLike) -> Floats:
    """+1 for a call and -1 for a put, however it was written; NaN where it is missing."""
    given = np.asarray(right)
    if given.dtype.kind in "OTU":
        signs = pd.Series(given.ravel(), dtype=object).map(_SIGNS).to_numpy(dtype=float).reshape(given.shape)
    else:
        signs = given.astype(float, copy=False)
    wrong = np.abs(signs) != 1
    if wrong.any():
        wrong &= ~np.asarray(pd.isna(given))
        _refuse(wrong, "option", "right", given, "give +1 or 'C' for a call, -1 or 'P' for a put")
    return signs


def _refuse(bad: NDArray[np.bool_], source: str, name: str, values: np.ndarray, remedy: str) -> None:
    if np.count_nonzero(bad):
        refuse(np.ravel(bad), source, name, pd.Series(np.ravel(values)), remedy)


def _log_ratio(numerator: Floats, denominator: Floats) -> Floats:
    """ln(a/b) to relative precision also where a is close to b."""
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = (numerator - denominator) / denominator
        return np.where(np.abs(excess) < 0.5, np.log1p(np.maximum(excess, -0.5)), np.log(numerator / denominator))


def _instants(value: Any) -> NDArray[np.datetime64]:
    """UTC instants as numpy holds them; a naive one is a DataError."""
    index = pd.DatetimeIndex([value] if np.ndim(value) == 0 else value)
    if index.tz is None:
        raise DataError(f"instant {index[0]} has no time zone; give it one, for instance tz_localize('UTC')")
    instants = index.tz_convert("UTC").tz_localize(None).to_numpy("datetime64[ns]")
    return instants.reshape(np.shape(value))
