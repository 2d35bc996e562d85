"""SVI slices of total variance: formula, fit, and the two arbitrages that a slice or a pair of slices can hold.

Symbols: x = ln(K/F), w(x) = vol^2 T. Raw SVI (Gatheral 2004): w = a + b [rho (x - m) + sqrt((x - m)^2 + sigma^2)].
Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 2014, is the source throughout.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optihedge.errors import DataError
from optihedge.market.least_squares import box_least_squares

Floats = NDArray[np.float64]

WIDE = np.concatenate([-np.geomspace(6.0, 0.02, 60), [0.0], np.geomspace(0.02, 6.0, 60)])  # log-moneyness
_SCALES = np.concatenate([-np.geomspace(1e3, 1e-2, 120), [0.0], np.geomspace(1e-2, 1e3, 120)])
STEEPEST = 2.0  # Lee's bound on a wing's slope
_SAFE_G = 0.01  # least g of a fitted slice


@dataclass(frozen=True)
class SviSlice:
    """Raw SVI parameters of one expiry, in total variance.

    >>> import optihedge as oh
    >>> smile = oh.options.SviSlice(a=0.01, b=0.05, rho=-0.4, m=0.0, sigma=0.2)
    >>> smile
    SviSlice(a=0.01, b=0.05, rho=-0.4, m=0.0, sigma=0.2)
    """

    a: float
    b: float
    rho: float
    m: float
    sigma: float

    def __post_init__(self) -> None:
        lowest = self.a + self.b * self.sigma * np.sqrt(max(1 - self.rho**2, 0.0))
        finite = bool(np.all(np.isfinite([self.a, self.b, self.rho, self.m, self.sigma])))
        if not (finite and self.b >= 0 and abs(self.rho) < 1 and self.sigma > 0 and lowest >= 0):
            raise DataError(
                f"{self} is no variance: needs finite numbers, b >= 0, |rho| < 1, sigma > 0, lowest variance >= 0"
            )

    def variance(self, x: ArrayLike) -> Floats:
        """Total variance w(x)."""
        return self.derivatives(x)[0]

    def derivatives(self, x: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """w, w', w'' at log-moneyness x."""
        return raw_svi(np.asarray(x, dtype=float), self.a, self.b, self.rho, self.m, self.sigma)


def raw_svi(
    x: Floats, a: float | Floats, b: float | Floats, rho: float | Floats, m: float | Floats, sigma: float | Floats
) -> tuple[Floats, Floats, Floats]:
    """w, w', w'' of these parameters, checked or not, at log-moneyness x."""
    y = x - m
    root = np.sqrt(y * y + sigma**2)
    return a + b * (rho * y + root), b * (rho + y / root), b * sigma**2 / root**3


def butterfly(x: ArrayLike, w: ArrayLike, w1: ArrayLike, w2: ArrayLike) -> Floats:
    """g = (1 - x w'/2w)^2 - w'^2/4 (1/w + 1/4) + w''/2: the density is g n(d2)/(K sqrt(w)), so g < 0 is arbitrage."""
    x, w, w1, w2 = (np.asarray(a, dtype=float) for a in (x, w, w1, w2))
    return (1 - x * w1 / (2 * w)) ** 2 - w1**2 / 4 * (1 / w + 0.25) + w2 / 2


def lowest_g(slice_: SviSlice) -> tuple[float, float]:
    """The least g of a slice and its log-moneyness.

    Sought on the scales on which g turns, sigma about m and the money's deviation, then closer in about the dips.
    """
    deviation = np.sqrt(slice_.variance(0.0))
    fine = np.linspace(-12, 12, 481)
    scales = (slice_.m + slice_.sigma * _SCALES, slice_.m + slice_.sigma * fine, deviation * _SCALES, deviation * fine)
    points = np.unique(np.concatenate([*scales, WIDE]))
    lowest, at = np.inf, 0.0
    for _ in range(3):
        with np.errstate(all="ignore"):
            g = np.nan_to_num(butterfly(points, *slice_.derivatives(points)), nan=-np.inf)
        worst = int(np.argmin(g))
        if g[worst] < lowest:
            lowest, at = float(g[worst]), float(points[worst])
        dips = np.flatnonzero((g[1:-1] < g[:-2]) & (g[1:-1] <= g[2:])) + 1
        dips = dips[np.argsort(g[dips])[:8]]
        if not dips.size:
            break
        points = np.unique(np.linspace(points[dips - 1], points[dips + 1], 21))
    return lowest, at


def check_slices(slices: list[SviSlice], years: ArrayLike) -> None:
    """Refuse slices (in order of `years`) with arbitrage, naming the place: DataError.

    Butterfly: no variance or g < 0 somewhere, or a wing steeper than 2. Calendar: variance falling between expiries.
    """
    years = np.asarray(years, dtype=float)
    before: SviSlice | None = None
    for time, slice_ in zip(years, slices, strict=True):
        g, at = lowest_g(slice_)
        if g < 0:
            raise DataError(
                f"SVI slice at {time:.6g} years has butterfly arbitrage: g = {g:.4f} at log-moneyness "
                f"{at:.4g}; refit it with g >= 0"
            )
        steepest = slice_.b * (1 + abs(slice_.rho))
        if steepest > STEEPEST:
            raise DataError(f"SVI slice at {time:.6g} years has a wing of slope {steepest:.3f}, above 2; refit it")
        if before is not None:
            x = _common_points(before, slice_)
            fall = before.variance(x) - slice_.variance(x)
            worst = int(np.argmax(fall))
            if fall[worst] > 1e-12:
                raise DataError(
                    f"SVI slice at {time:.6g} years has calendar arbitrage: its total variance "
                    f"{slice_.variance(x[worst]):.6g} at log-moneyness {x[worst]:.4g} lies below the earlier expiry's "
                    f"{before.variance(x[worst]):.6g}; refit them jointly"
                )
        before = slice_


def _common_points(*slices: SviSlice) -> Floats:
    """Log-moneyness, up to that of `WIDE`, where two slices can cross: on the scales of both."""
    parts = [WIDE, np.linspace(-2, 2, 2001)]
    for s in slices:
        parts += [s.m + s.sigma * _SCALES, np.sqrt(s.variance(0.0)) * _SCALES]
    points = np.concatenate(parts)
    return np.unique(points[np.abs(points) <= WIDE[-1]])


def fit_svi(
    x: ArrayLike, w: ArrayLike, weight: ArrayLike, before: SviSlice | None = None, near: SviSlice | None = None
) -> SviSlice:
    """Least squares of SVI to total variances w (n,) with `weight` (n,), free of butterfly and calendar arbitrage.

    `before` is the previous expiry's slice, below which this one does not fall; it must be free of arbitrage itself.
    What few quotes leave open is taken from its shape (a flat, slightly skewed smile where there is none). The search
    starts from that shape, or from `near`, the fit of nearly the same quotes. A fit with arbitrage is moved towards
    `before` (towards a flat smile) as far as it takes.
    """
    x, w, weight = (np.asarray(a, dtype=float) for a in (x, w, weight))
    level = float(np.interp(0.0, x, w))
    width = np.sqrt(level)
    weight = weight / np.sqrt(np.mean(weight**2)) / np.sqrt(x.size)
    grid = np.concatenate([width * np.linspace(-8, 8, 41), WIDE[::6]])
    bend = np.concatenate([-np.geomspace(30, 0.1, 15), np.geomspace(0.1, 30, 15)])
    floor = None if before is None else before.variance(grid)
    low = np.array([-2.0, 1e-4, -0.999, -3.0, 0.02])  # a/level, b/width, rho, m/width, sigma/width
    high = np.array([4.0, 0.98 / width, 0.999, 3.0, 8.0])
    shape = np.array([0.5, 0.5, -0.3, 0.0, 1.0]) if before is None else _in_widths(before, float(before.variance(0.0)))
    shape = np.clip(shape, low, high)
    start = shape if near is None else np.clip(_in_widths(near, level), low, high)
    units = np.array([level, width, 1.0, width, width])

    def residuals(p: Floats) -> Floats:
        a, b, rho, m, sigma = (p * units).T[:, :, None]
        fit = weight * (raw_svi(x, a, b, rho, m, sigma)[0] - w) / level
        points = np.concatenate([np.broadcast_to(grid, (len(p), grid.size)), m + sigma * bend], axis=1)
        value, first, second = raw_svi(points, a, b, rho, m, sigma)
        safe = np.maximum(value, 1e-3 * level)
        arbitrage = np.minimum(butterfly(points, safe, first, second) - 2 * _SAFE_G, 0)
        negative = np.minimum(value / level - 1e-3, 0)
        crossing = [] if floor is None else [10 * np.minimum(value[:, : grid.size] / floor - 1.0005, 0)]
        return np.concatenate([fit, arbitrage, negative, *crossing, 1e-3 * (p - shape)], axis=1)

    return _mended(box_least_squares(residuals, start, low, high) * units, level, before)


def _in_widths(slice_: SviSlice, level: float) -> Floats:
    """a, b, rho, m and sigma in units of a variance at the money and of its root."""
    width = np.sqrt(level)
    return np.array([slice_.a / level, slice_.b / width, slice_.rho, slice_.m / width, slice_.sigma / width])


def _mended(fitted: Floats, level: float, before: SviSlice | None) -> SviSlice:
    """The parameters (5,) nearest to `fitted`, on the way to a slice free of arbitrage, that are free of it."""
    if before is None:
        anchors = [np.array([level, 0.0, *fitted[2:]])]
    else:
        shape = np.array([before.b, before.rho, before.m, before.sigma])
        lift = max(level - float(before.variance(0.0)), 0.0)
        anchors = [np.array([before.a * (1 + 1e-6) + lift, *shape]), np.array([before.a, *shape])]

    def towards(share: float, anchor: Floats) -> SviSlice:
        a, b, rho, m, sigma = (float(p) for p in anchor + share * (fitted - anchor))
        slice_ = SviSlice(max(a, -b * sigma * np.sqrt(1 - rho**2) + 1e-4 * level), b, rho, m, sigma)
        if before is None:
            return slice_
        points = _common_points(before, slice_)
        missing = float(np.max(before.variance(points) * (1 + 1e-6) - slice_.variance(points)))
        return replace(slice_, a=slice_.a + max(missing, 0.0))

    def free(slice_: SviSlice) -> bool:
        return lowest_g(slice_)[0] >= _SAFE_G

    for anchor in anchors:
        if free(towards(1.0, anchor)):
            return towards(1.0, anchor)
        good, bad = 0.0, 1.0
        if not free(towards(good, anchor)):
            continue
        for _ in range(12):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if free(towards(middle, anchor)) else (good, middle)
        return towards(good, anchor)
    assert before is not None
    return before
