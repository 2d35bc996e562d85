"""The normalised out-of-the-money price b(x, s) and its inverse in s: what every Black price and implied vol stands on.

x = -|ln(F/K)|, s = vol sqrt(T), b = price / (discount sqrt(F K)). R(z) = N(z)/n(z) is the Mills ratio.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

Floats = NDArray[np.float64]

_ROOT_TWO_PI = np.sqrt(2 * np.pi)
_ROOT_HALF_PI = np.sqrt(np.pi / 2)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)
_EPS = np.finfo(float).eps


def normalised_price(x: Floats, s: Floats) -> Floats:
    """The out-of-the-money price over sqrt(F K) for x = -|ln(F/K)| and s = vol sqrt(T), in full relative precision.

    exp(-(h^2 + t^2)/2) [R(h + t) - R(h - t)] / sqrt(2 pi), h = x/s, t = s/2. The difference is a Taylor series for
    small t, an integral of R' = 1 + z R far in the wing, else as it stands; NaN where an input is.
    """
    s = np.asarray(s, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        h = np.where(s > 0, x / s, -np.inf)
    # where the difference of the two tails is lost in rounding, it is written another way
    t = s / 2
    value = np.where(np.isnan(x) | np.isnan(s), np.nan, 0.0)
    seen = h > -40.0  # below, the price is under the smallest double
    series = seen & (t < 0.02) & (h >= -5.0)
    wing = seen & (h < -5.0) & (t < -0.1 * h)
    wide = seen & (h + t >= 10.0)
    plain = seen & ~(series | wing | wide)
    for region, difference in ((series, _by_series), (wing, _by_integral), (plain, _as_it_stands)):
        if region.any():
            a, b = h[region], t[region]
            value[region] = np.exp(-(a * a + b * b) / 2) * difference(a, b) / _ROOT_TWO_PI
    # so wide that there is nothing to cancel: both terms as Black has them
    if wide.any():
        a, b, y = h[wide], t[wide], x[wide]
        value[wide] = np.exp(y / 2) * ndtr(a + b) - np.exp(-y / 2) * ndtr(a - b)
    return value


def _mills(z: Floats) -> Floats:
    return _ROOT_HALF_PI * erfcx(-z / np.sqrt(2))


def _as_it_stands(h: Floats, t: Floats) -> Floats:
    return _mills(h + t) - _mills(h - t)


def _by_series(h: Floats, t: Floats) -> Floats:
    """Odd Taylor terms up to t^7, by R' = 1 + z R and R^(n+1) = z R^(n) + n R^(n-1)."""
    even = _mills(h)
    odd = 1 + h * even
    total, factor = odd, np.ones_like(t)
    for n in (1, 3, 5):
        even = h * odd + n * even
        odd = h * even + (n + 1) * odd
        factor = factor * t * t / ((n + 1) * (n + 2))
        total = total + factor * odd
    return 2 * t * total


def _by_integral(h: Floats, t: Floats) -> Floats:
    """Gauss-Legendre integral of R' over [h - t, h + t]."""
    total = np.zeros_like(t)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        z = h + t * node
        total += weight * (1 + z * _mills(z))
    return t * total


def solve_deviation(x: Floats, target: Floats) -> Floats:
    """s with normalised_price(x, s) = target, for x <= 0 and 0 <= target < exp(x/2); by region (see `implied_vol`)."""
    bound = np.exp(x / 2)
    target = np.minimum(target, bound * (1 - _EPS))  # a price just below its bound may round to it here
    inflection = np.sqrt(-2 * x)
    at_inflection = normalised_price(x, inflection)
    low = target < at_inflection
    high = ~low & (target > bound / 2) & (target > (at_inflection + bound) / 2)
    room = bound - target
    positive = target > 0
    tiny = np.log(np.where(positive, target, 1.0))
    s = np.where(low, -x / np.sqrt(np.maximum(-2 * tiny, 1e-3)), inflection + _ROOT_TWO_PI * (target - at_inflection))
    s = np.where(low, np.minimum(s, inflection), s)
    s = np.where(high, np.sqrt(inflection**2 - 8 * np.log(np.maximum(room / bound, _EPS**2))), s)
    below, above = np.where(low, 0.0, inflection), np.where(low, inflection, np.inf)
    s[~positive] = 0.0
    last = np.full(s.size, np.inf)
    active = np.flatnonzero(positive)
    for _ in range(100):
        if not active.size:
            break
        old, y = s[active], x[active]
        price = normalised_price(y, old)
        error = price - target[active]
        below[active] = np.where(error < 0, old, below[active])
        above[active] = np.where(error > 0, old, above[active])
        step = _halley(y, old, price, error, target[active], low[active], high[active], room[active])
        step = np.where(error == 0, 0.0, step)
        new = old + step
        floor, ceiling = below[active], above[active]
        outside = ~((new >= floor) & (new <= ceiling))
        middle = np.where(np.isinf(ceiling), 2 * old, (floor + ceiling) / 2)
        new = np.where(outside, middle, new)
        s[active] = new
        size = np.abs(new - old) / new
        stalled = (size < 1e-9) & (size > last[active] / 2)  # what is left is the rounding of the price
        last[active] = size
        active = active[(size > 2 * _EPS) & (ceiling - floor > 2 * _EPS * new) & ~stalled]
    return s


def _halley(
    x: Floats,
    s: Floats,
    price: Floats,
    error: Floats,
    target: Floats,
    low: NDArray[np.bool_],
    high: NDArray[np.bool_],
    room: Floats,
) -> Floats:
    """Halley's step on f: 1/ln b - 1/ln(target) if low, ln(bound - b) if high, else b - target."""
    with np.errstate(all="ignore"):
        slope = np.exp(-((x / s) ** 2 + s * s / 4) / 2) / _ROOT_TWO_PI
        bend = x * x / s**3 - s / 4  # b'' / b'
        left = room - error
        log_price = np.log(price)
        # f/f' and f''/f' of each objective, in terms of b' and b''/b'
        gap = np.where(np.abs(error) < 0.1 * target, np.log1p(error / target), log_price - np.log(target))
        newton = np.where(low, gap * price * log_price / (np.log(target) * slope), error / slope)
        curve = np.where(low, bend - slope / price * (1 + 2 / log_price), bend)
        newton = np.where(high, -np.log(left / room) * left / slope, newton)
        curve = np.where(high, bend + slope / left, curve)
        step = -newton / np.maximum(1 - newton * curve / 2, 0.5)
    return np.where(np.isfinite(step), step, np.inf)
