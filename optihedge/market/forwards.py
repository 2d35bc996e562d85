"""Forward and discount of each expiry: from put-call parity of its own quotes, or from a futures curve.

European parity says C - P = D (F - K) at every strike, a straight line in K: its slope is the discount, its root the
forward. Quotes are noisy in proportion to their spreads and some are stale, so the line is fitted to mids weighted by
spread, by iterated reweighting with Tukey's biweight.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from optihedge.errors import DataError
from optihedge.frames import refuse_doubled, same_labels
from optihedge.market.pricing import above_zero

Floats = NDArray[np.float64]

_TUKEY = 4.685  # 95 % efficiency at the normal distribution
_ROUNDS = 50
_MINIMUM_STRIKES = 4
_LEAST_DISCOUNT = 0.05
_LOCKED = 1e-5  # of the strike: the spread where every quote is locked


@dataclass(frozen=True)
class ParityLine:
    """C - P = discount (forward - K); residual is the weighted mean absolute distance from the line, in price units;
    discount_error the standard error of the discount (0 where it was given)."""

    forward: float
    discount: float
    discount_error: float
    residual: float
    strikes: int


def fit_parity(
    strike: ArrayLike, difference: ArrayLike, spread: ArrayLike, discount: float | None = None
) -> ParityLine:
    """The parity line through call minus put mids `difference` (n,), with `spread` (n,) > 0 the error scale of each.

    A given `discount` is kept and only the forward is fitted. DataError where fewer than four strikes have both sides
    (one with a discount), or where the slope is not negative.
    """
    strike, difference, spread = (np.asarray(a, dtype=float) for a in (strike, difference, spread))
    needed = _MINIMUM_STRIKES if discount is None else 1
    if strike.size < needed:
        raise DataError(f"parity needs {needed} strikes quoted on both sides, found {strike.size}; give the forward")
    centre = np.average(strike, weights=1 / spread**2)
    weight = 1 / spread**2
    level = slope = 0.0
    for _ in range(_ROUNDS):
        level, slope = _line(strike - centre, difference, weight, discount)
        error = (difference - level - slope * (strike - centre)) / spread
        scale = max(1.4826 * float(np.median(np.abs(error))), 1e-3)
        trusted = np.clip(1 - (error / (_TUKEY * scale)) ** 2, 0, None) ** 2
        new = trusted / spread**2
        if np.allclose(new, weight, rtol=1e-9, atol=0):
            break
        weight = new
    if slope >= 0:
        raise DataError(f"call minus put does not fall with the strike (slope {slope:.4g}); drop this expiry's quotes")
    residual = difference - level - slope * (strike - centre)
    share = weight / weight.sum()
    width = share @ (strike - centre - share @ (strike - centre)) ** 2
    effective = 1 / (share @ share)
    error = 0.0 if discount is not None else np.sqrt(share @ residual**2 / (width * max(effective - 2, 1)))
    return ParityLine(
        forward=float(centre - level / slope),
        discount=float(-slope),
        discount_error=float(error),
        residual=float(share @ np.abs(residual)),
        strikes=int(strike.size),
    )


def _line(x: Floats, y: Floats, weight: Floats, discount: float | None) -> tuple[float, float]:
    total = weight.sum()
    mean_x, mean_y = weight @ x / total, weight @ y / total
    slope = -discount if discount is not None else weight @ ((x - mean_x) * (y - mean_y)) / (weight @ (x - mean_x) ** 2)
    return float(mean_y - slope * mean_x), float(slope)


def parity_pairs(chain: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Call and put of each strike side by side, where all four quotes are there: `by`, strike, difference, spread.

    `chain` has columns `by`, strike, right ('C'/'P'), bid, ask. DataError for a missing column, another right, and two
    rows for one option.
    """
    refuse_doubled(chain.columns, "parity")
    keys = [*by, "strike"]
    columns = [*keys, "bid", "ask"]
    absent = [name for name in (*columns, "right") if name not in chain.columns]
    if absent:
        raise DataError(f"parity: the chain has no column {absent[0]}; it needs {', '.join([*columns, 'right'])}")
    odd = chain.loc[~chain["right"].isin(["C", "P"]), [*keys, "right"]]
    if len(odd):
        raise DataError(f"parity: right of {_listed(odd.iloc[0, :-1])} is {odd['right'].iloc[0]!r}; write C or P")
    twice = chain.loc[chain.duplicated([*keys, "right"]), [*keys, "right"]]
    if len(twice):
        raise DataError(f"parity: {_listed(twice.iloc[0])} has two rows; keep one")
    quoted = chain[(chain["bid"] > 0) & (chain["ask"] >= chain["bid"])]
    pairs = pd.merge(
        quoted.loc[quoted["right"] == "C", columns],
        quoted.loc[quoted["right"] == "P", columns],
        on=keys,
        suffixes=("_call", "_put"),
        validate="one_to_one",
    )
    pairs["difference"] = (pairs["bid_call"] + pairs["ask_call"] - pairs["bid_put"] - pairs["ask_put"]) / 2
    pairs["spread"] = pairs["ask_call"] - pairs["bid_call"] + pairs["ask_put"] - pairs["bid_put"]
    wide = pairs.loc[pairs["spread"] > 0, "spread"]
    pairs["spread"] = pairs["spread"].clip(lower=wide.min() if len(wide) else _LOCKED * pairs["strike"].median())
    return pairs[[*keys, "difference", "spread"]]


def parity_forwards(
    chain: pd.DataFrame, by: str | list[str], *, reach: float = 0.15, rate_error: float = 1e-3
) -> pd.DataFrame:
    """Forward, discount and rate of every group of one snapshot's chain, from put-call parity alone.

    `chain` has columns `by` (an expiry, perhaps a settlement), years, strike, right ('C'/'P'), bid, ask, prices in the
    strike's currency. Strikes within `reach` (relative) of the median of K + C - P enter. Short expiries hardly reveal
    their discount, so each rate is pulled towards a curve through all of them, a + b T + c T^2, flat beyond the first
    and the last, as if it lay within `rate_error` of it. Groups with too few pairs for a line of their own take the
    curve's discount; where no group has one, the rate is 0. Returns one row per group, indexed by `by`: years, forward,
    discount, rate (per year, continuous), residual (price units), strikes; groups without a single pair have NaN.
    DataError names a group whose quotes make no line.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> strikes = np.array([95.0, 100.0, 105.0])
    >>> rows = [pd.DataFrame({"expiry": "x", "years": 0.5, "strike": strikes, "right": right,
    ...                       "bid": oh.options.black(102.0, strikes, 0.5, 0.2, right) - 0.01,
    ...                       "ask": oh.options.black(102.0, strikes, 0.5, 0.2, right) + 0.01}) for right in "CP"]
    >>> oh.options.parity_forwards(pd.concat(rows), "expiry")["forward"].round(1).tolist()
    [102.0]
    """
    by = [by] if isinstance(by, str) else list(by)
    pairs = parity_pairs(chain, by)
    if "years" not in chain.columns:
        raise DataError("parity: the chain has no column years; give years to expiry")
    groups = by if len(by) > 1 else by[0]
    years = chain.groupby(groups)["years"].first()
    gone = years[~(years >= 0)]
    if len(gone):
        raise DataError(f"parity: years of {gone.index[0]} is {gone.iloc[0]:g}; drop the expired")
    near = {key: _near_money(g, reach) for key, g in pairs.groupby(groups)}
    free = {
        key: _named(key, fit_parity, g["strike"], g["difference"], g["spread"])
        for key, g in near.items()
        if len(g) >= _MINIMUM_STRIKES and years[key] > 0
    }
    for key, line in free.items():
        if line.discount < _LEAST_DISCOUNT:
            raise DataError(
                f"parity of {key}: discount {line.discount:.2g}; are prices in coin? multiply them by the forward"
            )
    rates = _rates(years, free, rate_error)
    rows = {}
    for key, g in near.items():
        discount = float(np.exp(-rates[key] * years[key]))
        line = _named(key, fit_parity, g["strike"], g["difference"], g["spread"], discount)
        rows[key] = (line.forward, discount, rates[key], line.residual, line.strikes)
    columns = ["forward", "discount", "rate", "residual", "strikes"]
    found = pd.DataFrame(rows.values(), index=list(rows), columns=columns)
    if len(by) > 1:
        found.index = pd.MultiIndex.from_tuples(found.index)
    return years.to_frame().join(found.reindex(years.index).astype(float))


def _listed(values: pd.Series) -> str:
    return ", ".join(map(str, values))


def _near_money(pairs: pd.DataFrame, reach: float) -> pd.DataFrame:
    """The pairs with strikes near the forward, as most quotes see it: a median, which no junk quote moves."""
    forward = (pairs["strike"] + pairs["difference"]).to_numpy()
    order = np.argsort(forward)
    heard = np.cumsum(1 / pairs["spread"].to_numpy()[order])
    middle = forward[order][np.searchsorted(heard, heard[-1] / 2)]
    chosen = pairs[np.abs(pairs["strike"] / middle - 1) < reach]
    return chosen if len(chosen) else pairs.iloc[[int(np.abs(pairs["strike"] / middle - 1).argmin())]]


def _named(key: object, fit: Callable[..., ParityLine], *data: object) -> ParityLine:
    try:
        return fit(*data)
    except DataError as error:
        raise DataError(f"parity of {key}: {error}") from None


def _rates(years: pd.Series, lines: dict[object, ParityLine], rate_error: float) -> pd.Series:
    """Each group's rate: its own line's pulled towards the curve by their precisions."""
    if not lines:
        return pd.Series(0.0, index=years.index)
    own = [key for key in lines if lines[key].discount > 0]
    time = years.loc[own].to_numpy()
    rate = -np.log([lines[key].discount for key in own]) / time
    error = np.array([lines[key].discount_error / lines[key].discount for key in own]) / time
    weight = 1 / (error**2 + rate_error**2)
    degree = min(2, len(own) - 1)
    basis = np.vander(time, degree + 1, increasing=True)
    fit, *_ = np.linalg.lstsq(basis * np.sqrt(weight)[:, None], rate * np.sqrt(weight), rcond=None)
    within = np.clip(years.to_numpy(), time.min(), time.max())
    curve = pd.Series(np.vander(within, degree + 1, increasing=True) @ fit, index=years.index)
    pull = error**2 / (error**2 + rate_error**2)
    curve.loc[own] = (1 - pull) * rate + pull * curve.loc[own]
    return curve


def futures_forwards(expiry: ArrayLike, futures_expiry: ArrayLike, futures: ArrayLike, spot: float) -> Floats:
    """Forwards at `expiry` (years from now) read off a futures curve: ln(F/S) is linear in time between futures.

    The curve starts at the spot (basis 0 at time 0); beyond the last future its annualised basis is kept. Raises
    DataError for expired or repeated futures, prices not above zero, and futures labelled unlike their expiries.

    >>> import optihedge as oh
    >>> oh.options.futures_forwards([0.375], [0.25, 0.5], [101.0, 102.0], 100.0).round(3).tolist()
    [101.499]
    """
    same_labels("futures curve", futures_expiry=futures_expiry, futures=futures)
    level, futures = above_zero("futures curve", spot=spot, futures=futures)
    expiry, when = (np.asarray(a, dtype=float) for a in (expiry, futures_expiry))
    order = np.argsort(when)
    when, basis = np.append(0.0, when[order]), np.append(0.0, np.log(futures[order] / level))
    if np.any(np.diff(when) <= 0):
        raise DataError("futures expiries must be distinct and in the future; drop the expired or repeated one")
    inside = np.interp(expiry, when, basis)
    return level * np.exp(np.where(expiry > when[-1], basis[-1] * expiry / when[-1], inside))
