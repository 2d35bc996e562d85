"""SVI slices of total variance: formula, fit, and the two arbitrages that a slice or a pair of slices can hold.

Symbols: x = ln(K/F), w(x) = vol^2 T. Raw SVI (Gatheral 2004): w = a + b [rho (x - m) + sqrt((x - m)^2 + sigma^2)].
Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 2014, is the source throughout.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from optihedge.errors import DataError

Floats = NDArray[np.float64]

WIDE = np.concatenate([-np.geomspace(6.0, 0.02, 60), [0.0], np.geomspace(0.02, 6.0, 60)])  # log-moneyness


@dataclass(frozen=True)
class SviSlice:
    """Raw SVI parameters of one expiry, in total variance."""

    a: float
    b: float
    rho: float
    m: float
    sigma: float

    def __post_init__(self) -> None:
        lowest = self.a + self.b * self.sigma * np.sqrt(max(1 - self.rho**2, 0.0))
        if not (self.b >= 0 and abs(self.rho) < 1 and self.sigma > 0 and lowest >= 0):
            raise DataError(f"{self} is no variance: needs b >= 0, |rho| < 1, sigma > 0, lowest variance >= 0")

    def variance(self, x: ArrayLike) -> Floats:
        """Total variance w(x)."""
        return self.derivatives(x)[0]

    def derivatives(self, x: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """w, w', w'' at log-moneyness x."""
        return raw_svi(np.asarray(x, dtype=float), self.a, self.b, self.rho, self.m, self.sigma)


def raw_svi(x: Floats, a: float, b: float, rho: float, m: float, sigma: float) -> tuple[Floats, Floats, Floats]:
    """w, w', w'' of these parameters, checked or not, at log-moneyness x."""
    y = x - m
    root = np.sqrt(y * y + sigma**2)
    return a + b * (rho * y + root), b * (rho + y / root), b * sigma**2 / root**3


def butterfly(x: ArrayLike, w: ArrayLike, w1: ArrayLike, w2: ArrayLike) -> Floats:
    """g = (1 - x w'/2w)^2 - w'^2/4 (1/w + 1/4) + w''/2: the density is g n(d2)/(K sqrt(w)), so g < 0 is arbitrage."""
    x, w, w1, w2 = (np.asarray(a, dtype=float) for a in (x, w, w1, w2))
    return (1 - x * w1 / (2 * w)) ** 2 - w1**2 / 4 * (1 / w + 0.25) + w2 / 2


def check_slices(slices: list[SviSlice], years: ArrayLike, grid: ArrayLike | None = None) -> None:
    """Refuse slices (in order of `years`) with arbitrage, naming the place: DataError.

    Butterfly: g < 0 somewhere, or a wing steeper than 2 (Lee's bound). Calendar: variance falling between expiries.
    """
    dense = np.linspace(-2, 2, 2001)
    x = np.unique(np.concatenate([dense, WIDE])) if grid is None else np.asarray(grid, dtype=float)
    years = np.asarray(years, dtype=float)
    before = np.zeros(x.size)
    for time, slice_ in zip(years, slices, strict=True):
        w, w1, w2 = slice_.derivatives(x)
        g = butterfly(x, w, w1, w2)
        worst = int(np.argmin(g))
        if g[worst] < 0:
            raise DataError(
                f"SVI slice at {time:.6g} years has butterfly arbitrage: g = {g[worst]:.4f} at log-moneyness "
                f"{x[worst]:.4f}; refit it with g >= 0"
            )
        steepest = slice_.b * (1 + abs(slice_.rho))
        if steepest > 2:
            raise DataError(f"SVI slice at {time:.6g} years has a wing of slope {steepest:.3f}, above 2; refit it")
        fall = before - w
        worst = int(np.argmax(fall))
        if fall[worst] > 1e-12:
            raise DataError(
                f"SVI slice at {time:.6g} years has calendar arbitrage: its total variance {w[worst]:.6f} at "
                f"log-moneyness {x[worst]:.4f} lies below the earlier expiry's {before[worst]:.6f}; refit them jointly"
            )
        before = w


def fit_svi(x: ArrayLike, w: ArrayLike, weight: ArrayLike, before: SviSlice | None = None) -> SviSlice:
    """Least squares of SVI to total variances w (n,) with `weight` (n,), pushed off butterfly and calendar arbitrage.

    `before` is the previous expiry's slice, below which this one is kept from falling. What few quotes leave
    open is taken from its shape (a flat, slightly skewed smile where there is none).
    """
    x, w, weight = (np.asarray(a, dtype=float) for a in (x, w, weight))
    level = float(np.interp(0.0, x, w))
    width = np.sqrt(level)
    weight = weight / np.sqrt(np.mean(weight**2)) / np.sqrt(x.size)
    grid = np.concatenate([width * np.linspace(-8, 8, 41), WIDE[::6]])
    floor = None if before is None else before.variance(grid)
    start = np.array([0.5, 0.5, -0.3, 0.0, 1.0])  # a/level, b/width, rho, m/width, sigma/width
    if before is not None:
        v = float(before.variance(0.0))
        start = np.array(
            [before.a / v, before.b / np.sqrt(v), before.rho, before.m / np.sqrt(v), before.sigma / np.sqrt(v)]
        )
    low = np.array([-2.0, 1e-4, -0.8, -3.0, 0.05])
    high = np.array([4.0, 1 / width, 0.8, 3.0, 8.0])
    start = np.clip(start, low, high)

    def unpack(p: Floats) -> tuple[float, float, float, float, float]:
        return p[0] * level, p[1] * width, p[2], p[3] * width, p[4] * width

    def residuals(p: Floats) -> Floats:
        fit = weight * (raw_svi(x, *unpack(p))[0] - w) / level
        value, first, second = raw_svi(grid, *unpack(p))
        safe = np.maximum(value, 1e-3 * level)
        arbitrage = np.minimum(butterfly(grid, safe, first, second) - 0.02, 0)
        negative = np.minimum(value / level - 1e-3, 0)
        crossing = np.zeros(0) if floor is None else 10 * np.minimum(value / floor - 1.0005, 0)
        return np.concatenate([fit, arbitrage, negative, crossing, 1e-3 * (p - start)])

    found = least_squares(residuals, start, bounds=(low, high), method="trf", x_scale=1.0, max_nfev=60)
    a, b, rho, m, sigma = unpack(found.x)
    a = max(a, -b * sigma * np.sqrt(1 - rho**2) + 1e-4 * level)
    fitted = SviSlice(a, b, rho, m, sigma)
    if before is None:
        return fitted
    far = np.unique(np.concatenate([grid, WIDE]))
    lift = float(np.max(before.variance(far) * (1 + 1e-6) - fitted.variance(far)))
    return replace(fitted, a=a + max(lift, 0.0))
