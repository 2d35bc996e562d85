"""The implied-vol surface: slices of normalised calls, free of arbitrage, and what is read off them.

A slice's call over its forward, c(x), x = ln(K/F), is an SVI base plus vega times a spline (see surface_fit). Between
expiries calls of equal x are mixed, which keeps every slice convex and total variance rising; before the first and
after the last expiry a slice's smile is kept in x / sqrt(T).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline
from scipy.special import erf, ndtr

from optihedge.errors import DataError
from optihedge.market.pricing import black, implied_vol
from optihedge.market.svi import SviSlice, butterfly, check_slices

Floats = NDArray[np.float64]

_ROOT_TWO_PI = np.sqrt(2 * np.pi)


@dataclass(frozen=True, eq=False)
class Spline:
    """A cubic spline that vanishes, with two derivatives, at and beyond its first and last knot."""

    knots: Floats
    weights: Floats

    def derivatives(self, x: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """u, u', u'' at x; zero outside the knots."""
        x = np.asarray(x, dtype=float)
        first, last = self.knots[0], self.knots[-1]
        ends = np.zeros(3)
        spline = BSpline(
            np.concatenate([ends + first, self.knots, ends + last]), np.concatenate([ends, self.weights, ends]), 3
        )
        inside, at = (x > first) & (x < last), np.clip(x, first, last)
        value, slope, bend = (np.where(inside, spline(at, nu), 0.0) for nu in range(3))
        return value, slope, bend


@dataclass(frozen=True, eq=False)
class BaseTerms:
    """A base slice at points x: out-of-the-money price and vega (forward 1), and its density's linear form.

    Density times s / n(d1) is g + kappa [u'' + first u' + zeroth u] when the call is base + vega u.
    """

    price: Floats
    vega: Floats
    g: Floats
    kappa: Floats
    first: Floats
    zeroth: Floats
    d1: Floats
    s: Floats


def base_terms(base: SviSlice, years: float, x: Floats) -> BaseTerms:
    """All that the price and the density of base + vega u need, at log-moneyness x."""
    w, w1, w2 = base.derivatives(x)
    s = np.sqrt(w)
    s1 = w1 / (2 * s)
    s2 = w2 / (2 * s) - w1**2 / (4 * s**3)
    d = -x / s + s / 2
    d_1 = -1 / s + x * s1 / s**2 + s1 / 2
    d_2 = 2 * s1 / s**2 + x * s2 / s**2 - 2 * x * s1**2 / s**3 + s2 / 2
    slope = -d * d_1  # v'/v
    bend = slope**2 - d_1**2 - d * d_2  # v''/v
    root = np.sqrt(years)
    return BaseTerms(
        price=black(1.0, np.exp(x), years, s / root, np.where(x >= 0, 1.0, -1.0)),
        vega=np.exp(-d * d / 2) / _ROOT_TWO_PI * root,
        g=butterfly(x, w, w1, w2),
        kappa=s * root,
        first=2 * slope - 1,
        zeroth=bend - slope,
        d1=d,
        s=s,
    )


@dataclass(frozen=True, eq=False)
class Slice:
    """One expiry: years, forward, discount, SVI base and the spline of its correction (None: the base alone)."""

    years: float
    forward: float
    discount: float
    base: SviSlice
    correction: Spline | None = None

    def price(self, x: ArrayLike) -> Floats:
        """Out-of-the-money option over the forward, undiscounted, at log-moneyness x."""
        x = np.asarray(x, dtype=float)
        terms = base_terms(self.base, self.years, x)
        return terms.price if self.correction is None else terms.price + terms.vega * self.correction.derivatives(x)[0]

    def vol(self, x: ArrayLike) -> Floats:
        """Implied vol at log-moneyness x; where nothing is corrected, the base's."""
        x = np.asarray(x, dtype=float)
        base = np.sqrt(self.base.variance(x) / self.years)
        if self.correction is None:
            return base
        terms = base_terms(self.base, self.years, x)
        lift = terms.vega * self.correction.derivatives(x)[0]
        vol = implied_vol(terms.price + lift, 1.0, np.exp(x), self.years, np.where(x >= 0, 1.0, -1.0))
        return np.where(lift == 0, base, vol)

    def g(self, x: ArrayLike) -> Floats:
        """Density over n(d2)/(K s) of the slice's own vol, from exact derivatives; negative is butterfly arbitrage."""
        x = np.asarray(x, dtype=float)
        terms = base_terms(self.base, self.years, x)
        if self.correction is None:
            return terms.g
        u, u1, u2 = self.correction.derivatives(x)
        scaled = terms.g + terms.kappa * (u2 + terms.first * u1 + terms.zeroth * u)
        s = self.vol(x) * np.sqrt(self.years)
        d1 = -x / s + s / 2
        return scaled * np.exp((d1**2 - terms.d1**2) / 2) * s / terms.s


@dataclass(frozen=True, eq=False)
class Surface:
    """Slices in order of expiry. Fit one with `surface_fit.fit_surface`, or take SVI parameters with `svi_surface`."""

    slices: tuple[Slice, ...]

    def __post_init__(self) -> None:
        if not self.slices:
            raise DataError("a surface needs at least one slice")
        years = self.years
        if not (years[0] > 0 and np.all(np.diff(years) > 0)):
            raise DataError(f"a surface's expiries must be positive and increasing, found {years.tolist()}")

    @property
    def years(self) -> Floats:
        """Years to each slice's expiry (n,)."""
        return np.array([s.years for s in self.slices])

    def forward(self, years: ArrayLike) -> Floats:
        """Forward: its log is linear in time between expiries, constant before the first and after the last."""
        return np.exp(np.interp(np.asarray(years, dtype=float), self.years, np.log([s.forward for s in self.slices])))

    def discount(self, years: ArrayLike) -> Floats:
        """Discount factor: its log is linear in time from 1 today; after the last expiry that one's rate is kept."""
        years = np.asarray(years, dtype=float)
        log = np.log([s.discount for s in self.slices])
        inside = np.interp(years, np.append(0.0, self.years), np.append(0.0, log))
        return np.exp(np.where(years > self.years[-1], log[-1] * years / self.years[-1], inside))

    def vol(self, x: ArrayLike, years: ArrayLike) -> Floats:
        """Implied vol at log-moneyness x = ln(K/F) and `years`, broadcast.

        Between two expiries the calls of equal x are mixed, (1 - l) c_near + l c_far, with l such that at the money
        total variance is linear in time: no arbitrage arises (Gatheral and Jacquier 2014, lemma 5.1). Outside, the
        nearest slice's smile is kept as a function of x / sqrt(T).
        """
        x, years = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(years, dtype=float))
        vol = np.full(x.shape, np.nan)
        ends = self.years
        first, last = self.slices[0], self.slices[-1]
        before, after = (years > 0) & (years <= ends[0]), years >= ends[-1]
        vol[before] = first.vol(x[before] * np.sqrt(ends[0] / years[before]))
        vol[after] = last.vol(x[after] * np.sqrt(ends[-1] / years[after]))
        for near, far in zip(self.slices[:-1], self.slices[1:], strict=True):
            between = (years > near.years) & (years < far.years)
            if between.any():
                vol[between] = _mixed_vol(near, far, x[between], years[between])
        on_slice = np.isin(years, ends)
        for slice_ in self.slices if on_slice.any() else ():
            here = years == slice_.years
            vol[here] = slice_.vol(x[here])
        return vol

    def price(self, strike: ArrayLike, years: ArrayLike, right: ArrayLike) -> Floats:
        """Discounted price of a European call (+1) or put (-1), in currency."""
        forward, strike = self.forward(years), np.asarray(strike, dtype=float)
        vol = self.vol(np.log(strike / forward), years)
        return black(forward, strike, years, vol, right, self.discount(years))

    def check(self, points: int = 2001, widths: float = 6.0) -> pd.DataFrame:
        """Arbitrage slice by slice on a dense grid, `widths` at-the-money deviations to either side.

        Columns years, lowest_g and its log-moneyness at_g, lowest_rise (of total variance over the previous slice's,
        relative) and its at_rise.
        """
        rows = []
        previous: Slice | None = None
        for slice_ in self.slices:
            width = np.sqrt(slice_.base.variance(0.0))
            x = np.linspace(-widths * width, widths * width, points)
            g = slice_.g(x)
            rise = np.full(points, np.inf)
            if previous is not None:
                rise = slice_.vol(x) ** 2 * slice_.years / (previous.vol(x) ** 2 * previous.years) - 1
            low, fall = int(np.argmin(g)), int(np.argmin(rise))
            rows.append((slice_.years, g[low], x[low], rise[fall], x[fall]))
            previous = slice_
        return pd.DataFrame(rows, columns=["years", "lowest_g", "at_g", "lowest_rise", "at_rise"])

    def readings(self) -> pd.DataFrame:
        """What a desk reads off each expiry: one row a slice.

        years, forward, vol (at the money forward), skew (dvol/dx there), risk_reversal (25-delta call less put vol),
        butterfly (their mean less the money's vol), forward_vol (between the previous expiry and this, at the money).
        """
        rows = []
        variance, time = 0.0, 0.0
        for s in self.slices:
            vol = float(s.vol(0.0))
            step = 1e-3 * vol * np.sqrt(s.years)
            skew = float((s.vol(step) - s.vol(-step)) / (2 * step))
            call, put = (float(s.vol(_delta_moneyness(s, sign * 0.25))) for sign in (1, -1))
            gained = max(vol**2 * s.years - variance, 0.0)
            rows.append(
                (s.years, s.forward, vol, skew, call - put, (call + put) / 2 - vol, np.sqrt(gained / (s.years - time)))
            )
            variance, time = vol**2 * s.years, s.years
        columns = ["years", "forward", "vol", "skew", "risk_reversal", "butterfly", "forward_vol"]
        return pd.DataFrame(rows, columns=columns)


def svi_surface(parameters: list[SviSlice], years: ArrayLike, forwards: ArrayLike, discounts: ArrayLike) -> Surface:
    """A surface from given SVI slices; one with butterfly or calendar arbitrage is refused, naming where: DataError."""
    check_slices(parameters, years)
    rows = zip(*(np.asarray(a, dtype=float).tolist() for a in (years, forwards, discounts)), parameters, strict=True)
    return Surface(tuple(Slice(*row) for row in rows))


def _mixed_vol(near: Slice, far: Slice, x: Floats, years: Floats) -> Floats:
    """Vol of the mixture of two slices' out-of-the-money prices."""
    low, high = (float(s.vol(0.0)) ** 2 * s.years for s in (near, far))
    share = (years - near.years) / (far.years - near.years)
    deviation = np.sqrt(low + share * (high - low))
    ends = erf(np.sqrt([low, high]) / np.sqrt(8))
    if ends[1] > ends[0]:
        share = (erf(deviation / np.sqrt(8)) - ends[0]) / (ends[1] - ends[0])
    sign = np.where(x >= 0, 1.0, -1.0)
    prices = [black(1.0, np.exp(x), s.years, s.vol(x), sign) for s in (near, far)]
    return implied_vol((1 - share) * prices[0] + share * prices[1], 1.0, np.exp(x), years, sign)


def _delta_moneyness(slice_: Slice, delta: float) -> float:
    """Log-moneyness at which the undiscounted forward delta of the call (> 0) or put (< 0) is `delta`; by bisection."""
    width = np.sqrt(slice_.base.variance(0.0))
    side = np.sign(delta)
    near, far = -side * width, side * 20 * width
    for _ in range(60):
        middle = (near + far) / 2
        deviation = float(slice_.vol(middle)) * np.sqrt(slice_.years)
        reached = ndtr(side * (-middle / deviation + deviation / 2))
        near, far = (middle, far) if reached > abs(delta) else (near, middle)
    return float(middle)
